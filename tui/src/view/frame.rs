//! What every screen has: the first two lines and the last one.

use super::paint::{Area, Paint, Row, row};
use super::words::short;
use super::{Scene, detail, events};
use crate::app::{App, Link};
use crate::fleet::Standing;
use crate::keys::{self, Action, Screen};
use crate::mouse::Spot;
use crate::prompt::Prompt;
use crate::theme::Role;
use lb_shared::text::{count, escape, span};
use std::time::Duration;

/// ` lb1  [1 Overview] 2 Services …      LIVE 09:20:00`.
pub(super) fn head(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    let mut left = row(
        format!(" {}  ", escape(&scene.data.state.agent.host)),
        Role::Master,
    );
    let several = app.fleet.several();
    // With one more name the blanks around them are needed.
    let tight = several && !scene.wide;
    for (nth, screen) in Screen::ALL.into_iter().enumerate() {
        if screen == Screen::Hosts && !several {
            continue;
        }
        let name = format!("{} {}", nth + 1, screen.name());
        let spot = Spot::Tab(screen);
        if screen == app.screen {
            left.push_spot(format!("[{name}]"), Role::Master, spot);
        } else if tight {
            left.push(
                if nth == 0 || left.ends_with(']') { "" } else { " " },
                Role::Plain,
            );
            left.push_spot(name, Role::Plain, spot);
        } else {
            left.push_spot(format!(" {name} "), Role::Plain, spot);
        }
    }
    let right = connection(scene);
    paint.both(area.x, 0, area.width, left, right);
}

/// Role, connection and the time of what is shown.
fn connection(scene: &Scene<'_>) -> Row {
    let app = scene.app;
    let mut right = Row::default();
    if scene.wide {
        host_names(scene, &mut right);
        if let Some(role) = scene.data.role {
            right.push(format!("{}   ", role.word()), Role::Plain);
        }
    }
    if app.read_only {
        right.push("READ ONLY ", Role::Warn);
    }
    if app.all_hosts {
        right.push(if scene.wide { "ALL HOSTS   " } else { "ALL " }, Role::Alarm);
    }
    if app.stale() {
        let silent = span(app.now.saturating_sub(app.heard));
        right.push(format!("STALE {silent}"), Role::Bad);
    } else if let Some(it) = &app.playing {
        let word = if it.playing {
            format!("PLAY {}", it.speed)
        } else {
            "PAUSED".into()
        };
        right.push(format!("{word} {}", scene.clock(scene.view.wall_ms)), Role::Warn);
    } else if let Some(then_ms) = app.past.as_ref().and_then(|past| past.then_ms) {
        let now_ms = crate::past::clocks(app).map_or(then_ms, |(_, now)| now);
        let ago = span(Duration::from_millis(now_ms.saturating_sub(then_ms)));
        right.push(format!("REPLAY -{ago}"), Role::Warn);
        // The second line has the time in any case.
        if scene.wide {
            right.push(format!(" {}", scene.clock(scene.view.wall_ms)), Role::Plain);
        }
    } else if let Some(past) = &app.past {
        let waiting = if scene.wide {
            format!("FROZEN, {} waiting", count(past.waiting, "change"))
        } else {
            format!("FROZEN +{}", past.waiting)
        };
        right.push(waiting, Role::Warn);
        right.push(format!(" {}", scene.clock(scene.view.wall_ms)), Role::Plain);
    } else {
        right.push("LIVE", Role::Plain);
        right.push(format!(" {}", scene.clock(scene.view.wall_ms)), Role::Plain);
    }
    right
}

/// `cluster edge: lb1* lb2 lb3!`: the one in front, and those that do not answer.
fn host_names(scene: &Scene<'_>, right: &mut Row) {
    let fleet = &scene.app.fleet;
    if !fleet.several() {
        return;
    }
    match &fleet.cluster {
        Some(name) => right.push(format!("cluster {}:", escape(name)), Role::Plain),
        None => right.push("hosts:", Role::Plain),
    }
    for (nth, host) in fleet.hosts.iter().enumerate() {
        let front = if nth == scene.app.seat { "*" } else { "" };
        let (lost, look) = match host.standing {
            Standing::Live => ("", Role::Plain),
            Standing::Stale(_) | Standing::Unreachable => ("!", Role::Bad),
        };
        right.push(format!(" {}{front}{lost}", host.name), look);
    }
    right.push("   ", Role::Plain);
}

/// The alarm, if there is one; else the sums.
pub(super) fn second_line(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    if let Some(alarm) = alarm(scene) {
        let line = format!("{alarm:<width$}", width = usize::from(area.width));
        return paint.row(area.x, 1, area.width, &row(line, Role::Alarm));
    }
    let data = scene.data;
    let app = scene.app;
    if app.past.as_ref().is_some_and(|past| past.then_ms.is_some()) {
        return paint.row(area.x, 1, area.width, &journey(scene));
    }
    let mut left = Row::default();
    match app.screen {
        _ if !app.detail.is_empty() => left = detail::title(scene),
        Screen::Overview => {
            let problems = data.problems.len();
            let look = if problems == 0 { Role::Plain } else { Role::Bad };
            left.push(format!(" {}", count(problems, "problem")), look);
            let overrides = data.state.overrides.len();
            let look = if overrides == 0 {
                Role::Plain
            } else {
                Role::Override
            };
            left.push(format!("  {}", count(overrides, "override")), look);
            left.push(format!("  {}", totals(scene, true)), Role::Plain);
            return paint.row(area.x, 1, area.width, &left);
        }
        Screen::Services => {
            left.push(
                format!(" {}   ", count(data.state.services.len(), "service")),
                Role::Plain,
            );
            if scene.wide {
                left.push(
                    format!("{}   ", count(data.state.servers.len(), "server")),
                    Role::Plain,
                );
            }
        }
        Screen::Servers => {
            left.push(
                format!(" {}   ", count(data.state.servers.len(), "server")),
                Role::Plain,
            );
            if !app.narrowed().text.is_empty() {
                left.push(
                    format!(
                        "{} match   ",
                        lb_shared::text::thousands(app.servers.rows.len() as u64)
                    ),
                    Role::Plain,
                );
            }
        }
        Screen::Events => {
            let elsewhere: usize = app.elsewhere.iter().map(|it| it.events.len()).sum();
            let all = count(data.events.len() + elsewhere, "event");
            left.push(format!(" {all}   "), Role::Plain);
            if app.fleet.several() {
                left.push(format!("{}   ", events::merged(scene)), Role::Plain);
            }
            left.push("newest first   ", Role::Plain);
            let follow = if app.follow { "on" } else { "off" };
            left.push(format!("follow: {follow}   "), Role::Plain);
        }
        Screen::Vrrp => left.push(
            format!(" {}   ", count(data.state.instances.len(), "instance")),
            Role::Plain,
        ),
        Screen::Hosts => {
            let fleet = &app.fleet;
            let differences = fleet.differences.len();
            let look = if differences == 0 { Role::Plain } else { Role::Warn };
            left.push(format!(" {}", count(fleet.hosts.len(), "host")), Role::Plain);
            left.push(format!("  {}", count(differences, "difference")), look);
            return paint.row(area.x, 1, area.width, &left);
        }
    }
    if app.detail.is_empty() {
        if let Some((by, reversed)) = app.order.of(app.screen) {
            let sign = if reversed { " reversed" } else { "" };
            left.push(format!("sort: {}{sign}   ", by.word()), Role::Plain);
        }
        let filter = match app.narrowed().text.as_str() {
            "" => "none".to_owned(),
            text => escape(text),
        };
        left.push(format!("filter: {filter}"), Role::Plain);
        let marked = app.marked().len();
        if marked > 0 {
            left.push(format!("   marked: {marked}"), Role::Override);
        }
    }
    let right = if app.screen == Screen::Events || !app.detail.is_empty() {
        Row::default()
    } else {
        row(format!("  {}", totals(scene, scene.wide)), Role::Plain)
    };
    paint.both(area.x, 1, area.width, left, right);
}

/// `<< 09:07:27 of 09:20:00   event 12 of 40   [ ] event  { } minute  T time  0 live`.
fn journey(scene: &Scene<'_>) -> Row {
    let all = scene.app.live().map_or(0, |live| live.events.len());
    let now_ms = crate::past::clocks(scene.app).map_or(0, |(_, now)| now);
    let mut line = row(
        format!(
            " << {} of {}",
            scene.clock(scene.view.wall_ms),
            scene.clock(now_ms)
        ),
        Role::Warn,
    );
    line.push(
        format!(
            "   event {} of {}   [ ] event  {{ }} minute  0 live",
            lb_shared::text::thousands(scene.data.events.len() as u64),
            lb_shared::text::thousands(all as u64)
        ),
        Role::Plain,
    );
    line
}

/// `27.1k conns  1.51k cps  in 10.0M  out 52.4M`.
fn totals(scene: &Scene<'_>, bytes: bool) -> String {
    let Some(totals) = scene.data.totals else {
        return String::new();
    };
    let mut text = format!(
        "{} conns  {} cps",
        short(totals.active),
        short(totals.connections_per_s)
    );
    if bytes {
        text.push_str(&format!(
            "  in {}  out {}",
            short(totals.bytes_in_per_s),
            short(totals.bytes_out_per_s)
        ));
    }
    text
}

/// What nobody may miss: nobody answers, or two nodes claim the same addresses.
fn alarm(scene: &Scene<'_>) -> Option<String> {
    let app = scene.app;
    if app.stale() {
        let host = escape(&scene.data.state.agent.host);
        let silent = span(app.now.saturating_sub(app.heard));
        let shown = scene.clock(scene.view.wall_ms);
        let retry = match &app.link {
            Link::Down {
                attempt, retry_at, ..
            } => format!(
                " Retry {attempt} in {} (r: now)",
                span(retry_at.saturating_sub(app.now) + Duration::from_millis(999))
            ),
            Link::Starting | Link::Up => String::new(),
        };
        return Some(format!(
            " !! {host} has not answered for {silent}. Showing {shown}.{retry}"
        ));
    }
    // Also when the picture is frozen: this is about now.
    let two = app
        .live()?
        .state
        .instances
        .values()
        .find(|instance| instance.second_master);
    let Some(two) = two else {
        let text = app.fleet.alarm(app.now)?;
        return Some(format!(" !! {}", escape(text)));
    };
    let other = match &two.master {
        Some(master) => format!(
            "{} (prio {})",
            scene.view.peer_text(master.address),
            master.priority
        ),
        None => "another node".into(),
    };
    Some(format!(
        " !! TWO MASTERS for {}: this node (prio {}) and {other}",
        escape(&two.name.0),
        two.effective_priority
    ))
}

/// The line that is being typed.
pub(super) fn prompt(app: &App) -> Option<Row> {
    match &app.prompt {
        Prompt::Filter(text) => {
            let mut line = row(format!(" / {}_", escape(text)), Role::Plain);
            if let Some(error) = &app.narrowed().error {
                line.push(format!("   {}", escape(error)), Role::Warn);
            }
            Some(line)
        }
        Prompt::Search => Some(row(format!(" / {}_", escape(&app.sought)), Role::Plain)),
        Prompt::Command { text, error } => {
            let mut line = row(format!(" : {}_", escape(text)), Role::Plain);
            if !error.is_empty() {
                line.push(format!("   {}", escape(error)), Role::Warn);
            }
            Some(line)
        }
        Prompt::None => None,
    }
}

/// The prompt, what came of an action, or the keys of this screen.
pub(super) fn foot(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    let y = area.height - 1;
    if let Some(line) = prompt(app) {
        return paint.row(area.x, y, area.width, &line);
    }
    if let Some((note, _)) = &app.note {
        return paint.row(area.x, y, area.width, &row(format!(" {note}"), Role::Master));
    }
    if app.stale() {
        let text = " Actions are off while stale.   r reconnect   ? help   q quit";
        return paint.row(area.x, y, area.width, &row(text, Role::Plain));
    }
    if app.compared().is_some() {
        let text = " Esc closes   j k scroll";
        return paint.row(area.x, y, area.width, &row(text, Role::Plain));
    }
    if let Some(it) = &app.playing {
        let of = format!(
            " {} of {}   p play, pause  + - speed  [ ] event  {{ }} minute  T time  0 end  ? help",
            span(it.at),
            span(it.end)
        );
        return paint.row(area.x, y, area.width, &row(of, Role::Plain));
    }
    if app.past.as_ref().is_some_and(|past| past.then_ms.is_some()) {
        let text = " Changes are off in the past.   [ ] event  { } minute  T time  0 live  ? help";
        return paint.row(area.x, y, area.width, &row(text, Role::Plain));
    }
    let hands_off = app.hands_off().is_some();
    // Whoever finds nothing else finds this.
    let help = format!(
        "  {} help",
        app.keymap
            .label(Action::Help)
            .split(' ')
            .next()
            .unwrap_or_default()
    );
    let mut line = Row::default();
    let mut helped = false;
    for action in keys::line(app.screen, app.detail.last().map(|detail| &detail.object)) {
        if hands_off && keys::acts(*action) {
            continue;
        }
        let Some(binding) = keys::binding(*action) else {
            continue;
        };
        let key = app.keymap.label(*action).split(' ').next().unwrap_or_default();
        let lead = if line.is_empty() { " " } else { "  " };
        helped |= *action == Action::Help;
        let kept = if helped { 0 } else { help.len() };
        let wanted = lead.len() + key.len() + 1 + binding.short.len();
        if line.width() + wanted + kept > usize::from(area.width) {
            if helped {
                break;
            }
            continue;
        }
        line.push(lead, Role::Plain);
        line.push_spot(key, Role::Master, Spot::Key(*action));
        line.push_spot(format!(" {}", binding.short), Role::Plain, Spot::Key(*action));
    }
    paint.row(area.x, y, area.width, &line);
}
