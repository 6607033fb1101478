//! Drawing: a picture is a function of the [`App`] and the size, nothing else.

mod columns;
mod compare;
mod confirm;
mod detail;
mod events;
mod help;
mod hosts;
mod overview;
mod paint;
mod runs;
mod servers;
mod services;
mod small;
mod table;
mod trial;
mod vrrp;
mod words;

use crate::app::{App, Link, Prompt, SIZE_MIN, WIDE};
use crate::data::Data;
use crate::fleet::Standing;
use crate::keys::{self, Screen};
use crate::mouse::Spot;
use crate::theme::{self, Role};
use lb_shared::text::{count, escape, span};
use lb_shared::view::View;
use paint::{Area, Paint, Row, row};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
pub(crate) use words::took;
use words::{clock, moment, short};

/// What the drawing of a screen looks at.
pub(crate) struct Scene<'a> {
    pub(crate) app: &'a App,
    pub(crate) data: &'a Data,
    pub(crate) view: View<'a>,
    pub(crate) wide: bool,
}

impl Scene<'_> {
    /// The time of day: `09:20:00`.
    pub(crate) fn clock(&self, wall_ms: u64) -> String {
        clock(self.ahead(wall_ms))
    }

    /// The time of day, or the day when that is another one than of `now_ms`.
    pub(crate) fn moment(&self, wall_ms: u64, now_ms: u64) -> String {
        moment(self.ahead(wall_ms), self.ahead(now_ms))
    }

    fn ahead(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.app.ahead_ms(wall_ms))
    }

    /// How long something has been so; with a `?` when nobody confirms it any more.
    pub(crate) fn age(&self, since: lb_shared::units::Mono) -> String {
        let unsure = if self.app.stale() { "?" } else { "" };
        format!("{}{unsure}", span(self.view.age(since)))
    }
}

/// Draws everything.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    paint(app, frame.buffer_mut());
    if app.ascii {
        theme::to_ascii(frame.buffer_mut());
    }
}

/// The picture, cell by cell.
pub(crate) fn buffer(app: &App) -> Buffer {
    let (width, height) = app.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    drop(paint(app, &mut buffer));
    if app.ascii {
        theme::to_ascii(&mut buffer);
    }
    buffer
}

/// The picture as text, without colours and without blanks at the ends of lines.
pub(crate) fn text(app: &App) -> String {
    let (width, height) = app.size;
    let buffer = buffer(app);
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The cells behind a wide character are its own.
            x = x.saturating_add(u16::try_from(lb_shared::text::width(symbol)).unwrap_or(1).max(1));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number for what is seen below the first line, whose clock goes on in any case.
pub(crate) fn look(picture: &Buffer) -> u64 {
    let mut hasher = DefaultHasher::new();
    let first = usize::from(picture.area.width);
    for cell in picture.content.iter().skip(first) {
        cell.hash(&mut hasher);
    }
    hasher.finish()
}

/// What stays on the terminal after the end: the problems, so that nobody leaves without having seen them.
pub(crate) fn farewell(app: &App) -> String {
    const LINES: usize = 5;
    let Some(data) = app.live() else {
        return String::new();
    };
    let problems = &data.problems;
    let mut text = format!(
        "{}: {}, {}\n",
        escape(&data.state.agent.host),
        count(problems.len(), "problem"),
        count(data.state.overrides.len(), "override")
    );
    for problem in problems.iter().take(LINES) {
        text.push_str(&format!(
            "{} {:<7} {}  {}\n",
            problem.mark, problem.state, problem.name, problem.text
        ));
    }
    if problems.len() > LINES {
        text.push_str(&format!("  and {} more: lbctl status\n", problems.len() - LINES));
    }
    text
}

/// What a click at a place of the picture means: it is drawn again, and looked at.
pub(crate) fn spot(app: &App, x: u16, y: u16) -> Option<Spot> {
    let (width, height) = app.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    paint(app, &mut buffer).spot(x, y)
}

fn paint<'a>(app: &App, buffer: &'a mut Buffer) -> Paint<'a> {
    let size = buffer.area;
    let mut paint = Paint::new(buffer, app.theme);
    let area = Area {
        x: 0,
        y: 0,
        width: size.width,
        height: size.height,
    };
    match &app.data {
        None => connecting(app, &mut paint, area),
        // Lists with most of their rows missing would be wrong ones.
        Some(data) if data.is_early() && app.screen != Screen::Overview => connecting(app, &mut paint, area),
        Some(data) => {
            let scene = Scene {
                app,
                data,
                view: data.view(app.shown_at()).with_peers(&app.fleet.peers),
                wide: area.width >= WIDE,
            };
            if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
                small::draw(&scene, &mut paint, area);
            } else {
                full(&scene, &mut paint, area);
            }
        }
    }
    paint
}

fn full(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    if let Some(scroll) = app.help {
        return help::draw(scene, paint, area, scroll);
    }
    head(scene, paint, area);
    if let Some(accent) = app.accent {
        paint.tint(Area { height: 1, ..area }, accent);
    }
    second_line(scene, paint, area);
    let body = Area {
        y: 2,
        height: area.height - 3,
        ..area
    };
    // What the others say is not old.
    paint.faded = app.stale() && app.screen != Screen::Hosts;
    if let Some(compare) = app.compared() {
        compare::draw(scene, paint, body, compare);
        paint.faded = false;
        return foot(scene, paint, area);
    }
    match (app.detail.last(), app.screen) {
        (Some(detail), _) => detail::draw(scene, paint, body, detail),
        (None, Screen::Overview) => overview::draw(scene, paint, body),
        (None, Screen::Vrrp) => vrrp::draw(scene, paint, body),
        (None, Screen::Services) => services::draw(scene, paint, body),
        (None, Screen::Servers) => servers::draw(scene, paint, body),
        (None, Screen::Events) => events::draw(scene, paint, body),
        (None, Screen::Hosts) => hosts::draw(scene, paint, body),
    }
    paint.faded = false;
    foot(scene, paint, area);
    if let Some(at) = app.columns.open {
        columns::draw(scene, paint, area, at);
    }
    if let Some(trial) = &app.trial {
        trial::draw(scene, paint, area, trial);
    }
    if let Some(dialog) = &app.dialog {
        confirm::draw(scene, paint, area, dialog);
    }
}

/// ` lb1  [1 Overview] 2 Services …      LIVE 09:20:00`.
fn head(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
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
fn second_line(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
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

/// The prompt, what came of an action, or the keys of this screen.
fn foot(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    let y = area.height - 1;
    match &app.prompt {
        Prompt::Filter(text) => {
            let mut line = row(format!(" / {}_", escape(text)), Role::Plain);
            if let Some(error) = &app.narrowed().error {
                line.push(format!("   {}", escape(error)), Role::Warn);
            }
            return paint.row(area.x, y, area.width, &line);
        }
        Prompt::Command { text, error } => {
            let mut line = row(format!(" : {}_", escape(text)), Role::Plain);
            if !error.is_empty() {
                line.push(format!("   {}", escape(error)), Role::Warn);
            }
            return paint.row(area.x, y, area.width, &line);
        }
        Prompt::None => {}
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
    let mut line = Row::default();
    for action in keys::line(app.screen, app.detail.last().map(|detail| &detail.object)) {
        if hands_off && keys::acts(*action) {
            continue;
        }
        let Some(binding) = keys::binding(*action) else {
            continue;
        };
        let key = app.keymap.label(*action).split(' ').next().unwrap_or_default();
        let lead = if line.is_empty() { " " } else { "  " };
        if line.width() + lead.len() + key.len() + 1 + binding.short.len() > usize::from(area.width) {
            break;
        }
        line.push(lead, Role::Plain);
        line.push_spot(key, Role::Master, Spot::Key(*action));
        line.push_spot(format!(" {}", binding.short), Role::Plain, Spot::Key(*action));
    }
    paint.row(area.x, y, area.width, &line);
}

/// Before the first answer.
fn connecting(app: &App, paint: &mut Paint<'_>, area: Area) {
    let mut lines = vec![row(" lbtui", Role::Master), Row::default()];
    match &app.link {
        Link::Starting | Link::Up => {
            lines.push(row(
                format!(" connecting to {}", escape(&app.socket)),
                Role::Plain,
            ));
        }
        Link::Down {
            failure,
            attempt,
            retry_at,
        } => {
            lines.push(row(format!(" {}", escape(&failure.message)), Role::Bad));
            if !failure.hint.is_empty() {
                lines.push(row(format!(" {}", escape(&failure.hint)), Role::Plain));
            }
            lines.push(Row::default());
            let left = span(retry_at.saturating_sub(app.now) + Duration::from_millis(999));
            lines.push(row(
                format!(" attempt {attempt} failed; the next one in {left}   r now   q quit"),
                Role::Plain,
            ));
        }
    }
    for (nth, line) in lines.iter().enumerate() {
        let y = u16::try_from(nth).unwrap_or(u16::MAX);
        if y < area.height {
            paint.row(area.x, y, area.width, line);
        }
    }
}
