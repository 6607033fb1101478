//! The first screen: is anything wrong, why, since when, and what did a person change.

use super::paint::{Area, Paint, Pane, Row, row};
use super::table::{Column, Line, table};
use super::words::{bar, short, spark, what};
use super::{Scene, events, vrrp};
use crate::data::event_mark;
use crate::keys::Screen;
use crate::mouse::{self, Spot};
use crate::theme::{Role, of_mark};
use lb_shared::event::What;
use lb_shared::problems::{self, Problem};
use lb_shared::state::{ObjectId, Override, Target};
use lb_shared::text::{cut, escape, span, thousands};
use std::time::Duration;

/// Width of the second pane column, and of the gap before it.
const SIDE: u16 = 51;
const GAP: u16 = 1;
/// Minutes in a strip.
const MINUTES: usize = 60;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    if scene.app.zoom {
        let alone = match scene.app.second_pane {
            true => problem_pane(scene, area.width, usize::from(area.height) - 1),
            false => instances(scene, area, usize::from(area.height) - 2),
        };
        return paint.panes(area, &[alone]);
    }
    if scene.wide {
        let main = Area {
            width: area.width - SIDE - GAP,
            ..area
        };
        let side = Area {
            x: area.width - SIDE,
            width: SIDE,
            ..area
        };
        for y in area.y..area.y + area.height {
            paint.row(main.width, y, 1, &row("│", Role::Rule));
        }
        paint.panes(main, &main_panes(scene, main));
        paint.panes_inset(side, &side_panes(scene, side), 1);
    } else {
        let mut panes = vec![
            instances(scene, area, third(area)),
            why(scene, area.width),
            problem_pane(scene, area.width, 8),
            strips(scene),
        ];
        if !scene.data.state.overrides.is_empty() && area.height > 24 {
            panes.insert(3, overrides(scene, area.width));
        }
        paint.panes(area, &panes);
    }
}

fn main_panes(scene: &Scene<'_>, area: Area) -> Vec<Pane> {
    let blank = |mut pane: Pane| {
        pane.rows.push(Row::default());
        pane
    };
    vec![
        blank(instances(scene, area, third(area))),
        blank(why(scene, area.width)),
        blank(vrrp::masters(scene, area.width)),
        blank(strips(scene)),
        transitions(scene),
    ]
}

fn side_panes(scene: &Scene<'_>, area: Area) -> Vec<Pane> {
    let blank = |mut pane: Pane| {
        pane.rows.push(Row::default());
        pane
    };
    let mut panes = vec![blank(problem_pane(scene, area.width, 6))];
    if !scene.data.state.overrides.is_empty() {
        panes.push(blank(overrides(scene, area.width)));
    }
    panes.push(blank(traffic(scene)));
    panes.push(blank(services(scene, area.width)));
    panes.push(recent(scene));
    panes
}

/// Rows for the instances beside everything else.
fn third(area: Area) -> usize {
    usize::from(area.height / 3).max(4)
}

fn instances(scene: &Scene<'_>, area: Area, height: usize) -> Pane {
    let app = scene.app;
    let all = app.instances.rows.len();
    let focused = app.screen == Screen::Vrrp || !app.second_pane;
    let (head, rows) = vrrp::table_rows(scene, usize::from(area.width), height, focused);
    let mut lines = vec![head];
    lines.extend(rows);
    if all == 0 {
        lines.push(row("   no vrrp_instance in the configuration", Role::Plain));
    }
    let mut pane = Pane::new("VRRP", vrrp::counted(scene), lines);
    pane.least = pane.rows.len().min(height + 1);
    pane
}

/// Why the object under the cursor is as it is.
pub(crate) fn why(scene: &Scene<'_>, columns: u16) -> Pane {
    match scene.app.subject() {
        Some(object) => vrrp::why_pane(scene, &object, columns, scene.wide),
        None => Pane::new("Why", "", vec![row("   nothing is selected", Role::Plain)]),
    }
}

fn problem_pane(scene: &Scene<'_>, columns: u16, height: usize) -> Pane {
    let app = scene.app;
    let found = &scene.data.problems;
    let at = app.second_pane.then(|| app.problems.at());
    let mut rows = Vec::new();
    if found.is_empty() {
        rows.push(row("   nothing is wrong", Role::Plain));
    }
    let top = app.problems.top(height).min(found.len().saturating_sub(1));
    let seen = found
        .get(top..(top + height).min(found.len()))
        .unwrap_or_default();
    let lines: Vec<Line> = seen
        .iter()
        .enumerate()
        .map(|(nth, problem)| Line {
            mark: problem.mark,
            cursor: at == Some(top + nth),
            marked: false,
            differs: false,
            spot: Some(Spot::Row(mouse::Pane::Problems, top + nth)),
            cells: cells(scene, problem),
        })
        .collect();
    let columns = usize::from(columns);
    let layout = [
        Column::new("", 21).gap(0).max(40).keep_end(),
        Column::new("", 6).max(7),
        Column::new("", 6).max(8),
        Column::new("", 10).max(120),
    ];
    if scene.wide && !scene.app.zoom {
        let short: Vec<Line> = lines.clone();
        let (_, heads) = table(&layout[..3], &short, columns);
        for (head, problem) in heads.into_iter().zip(seen) {
            rows.push(head);
            rows.push(row(
                format!("     {}", cut(&text(problem), columns.saturating_sub(5))),
                Role::Plain,
            ));
        }
    } else {
        rows.extend(table(&layout, &lines, columns).1);
    }
    let mut pane = Pane::new("Problems", thousands(found.len() as u64), rows);
    pane.least = pane.rows.len().min(4);
    pane
}

fn text(problem: &Problem) -> String {
    match problem.also.len() {
        0 => problem.text.clone(),
        more => format!("{} (+{more} more of this server)", problem.text),
    }
}

fn cells(scene: &Scene<'_>, problem: &Problem) -> Vec<(String, Role)> {
    let role = of_mark(problem.mark);
    vec![
        (problem.name.clone(), Role::Plain),
        (problem.state.to_owned(), role),
        (
            problem.since.map(|since| scene.age(since)).unwrap_or_default(),
            Role::Plain,
        ),
        (text(problem), Role::Plain),
    ]
}

fn strips(scene: &Scene<'_>) -> Pane {
    let room = if scene.wide { 12 } else { 8 };
    let top = scene.app.instances.top(room);
    let names = scene.app.instances.rows.iter().skip(top).take(room);
    let mut rows: Vec<Row> = names
        .map(|name| {
            let mut line = row(format!("   {:<10} ", cut(&escape(&name.0), 10)), Role::Plain);
            for mark in scene.data.strip(name, scene.view.wall_ms, MINUTES).chars() {
                line.push(mark.to_string(), of_mark(mark));
            }
            line
        })
        .collect();
    if scene.wide && !rows.is_empty() {
        let hour = |minutes: u64| {
            let at = scene.view.wall_ms.saturating_sub(minutes * 60_000);
            scene.clock(at).get(..5).unwrap_or_default().to_owned()
        };
        rows.push(row(
            format!(
                "              {:<15}{:<15}{:<15}{:<10}{}",
                hour(60),
                hour(45),
                hour(30),
                hour(15),
                hour(0)
            ),
            Role::Rule,
        ));
    }
    let mut pane = Pane::new(
        "State, last 60 min",
        "# master  - backup  ! fault  . no data",
        rows,
    );
    pane.least = pane.rows.len().min(1);
    pane
}

pub(crate) fn overrides(scene: &Scene<'_>, columns: u16) -> Pane {
    let all = &scene.data.state.overrides;
    let rows = all
        .values()
        .flat_map(|change| override_rows(scene, change, usize::from(columns)))
        .collect();
    Pane::new("Overrides", thousands(all.len() as u64), rows)
}

fn override_rows(scene: &Scene<'_>, change: &Override, columns: usize) -> Vec<Row> {
    let view = &scene.view;
    let name = escape(&view.target_name(&change.target));
    let mut head = row(" ~ ", Role::Override);
    head.push(change.kind.word(), Role::Override);
    head.push(format!("  {name}"), Role::Plain);
    if change.dormant.is_some() {
        head.push("  (not in the configuration)", Role::Warn);
    }
    let mut rows = vec![head];
    if let Target::Server(id) = &change.target
        && let Some(drain) = view
            .state
            .servers
            .get(id)
            .and_then(|server| server.drain.as_ref())
        && let Some(counters) = view.server_counters(id)
    {
        let eta = match counters.drain_eta_s {
            Some(s) => format!("  ETA {}", span(Duration::from_secs(s))),
            None => String::new(),
        };
        let deadline = match drain.deadline {
            Some(deadline) => format!("  deadline {}", span(deadline.since(view.now))),
            None => String::new(),
        };
        rows.push(row(
            format!(
                "     {} of {} left{eta}{deadline}",
                thousands(drain.left(counters)),
                thousands(drain.active_at_start)
            ),
            Role::Plain,
        ));
        let room = columns.saturating_sub(8).min(44);
        rows.push(row(
            format!("     {}", bar(drain.active_at_start, drain.left(counters), room)),
            Role::Plain,
        ));
    } else if let Some(until) = change.until_wall_ms {
        let left = span(Duration::from_millis(until.saturating_sub(view.wall_ms)));
        rows.push(row(format!("     ends in {left}"), Role::Plain));
    }
    rows.push(row(format!("     {}", by(scene, change)), Role::Plain));
    rows
}

/// `by ops (uid 1001) 2m48s ago: kernel update`.
pub(crate) fn by(scene: &Scene<'_>, change: &Override) -> String {
    let ago = span(Duration::from_millis(
        scene.view.wall_ms.saturating_sub(change.at_wall_ms),
    ));
    let reason = match change.message.as_str() {
        "" => String::new(),
        message => format!(": {}", escape(message)),
    };
    format!(
        "by {} (uid {}) {ago} ago{reason}",
        escape(&change.actor.user),
        change.actor.uid
    )
}

fn traffic(scene: &Scene<'_>) -> Pane {
    let Some(totals) = scene.data.totals else {
        return Pane::new("Traffic", "", vec![row("   no numbers yet", Role::Plain)]);
    };
    let history = &scene.data.history;
    let rows = [
        ("cps", &history.per_s, thousands(totals.connections_per_s)),
        ("conns", &history.active, short(totals.active)),
        ("in", &history.bytes_in, short(totals.bytes_in_per_s)),
        ("out", &history.bytes_out, short(totals.bytes_out_per_s)),
    ]
    .into_iter()
    .map(|(label, samples, now)| {
        row(
            format!(" {label:<5} {} {now:>7}", spark(samples, 34)),
            Role::Plain,
        )
    })
    .collect();
    Pane::new("Traffic, 1 cell = 1 s", "", rows)
}

fn services(scene: &Scene<'_>, columns: u16) -> Pane {
    let all = scene.view.services();
    let lines: Vec<Line> = all
        .iter()
        .take(8)
        .map(|service| {
            let (up, of) = scene.view.up_of(&service.key);
            let totals = scene.data.services.get(&service.key);
            let number = |value: Option<u64>| value.map_or("-".to_owned(), thousands);
            Line {
                mark: problems::service_mark(service.state),
                cursor: false,
                marked: false,
                differs: false,
                spot: None,
                cells: vec![
                    (scene.view.service_name(&service.key), Role::Plain),
                    (format!("{up}/{of}"), Role::Plain),
                    (number(totals.map(|it| it.active)), Role::Plain),
                    (number(totals.map(|it| it.connections_per_s)), Role::Plain),
                ],
            }
        })
        .collect();
    let layout = [
        Column::new("SERVICE", 12).gap(0).max(22).keep_end(),
        Column::new("UP/ALL", 6).max(9).right(),
        Column::new("ACTIVE", 9).right(),
        Column::new("CPS", 7).right(),
    ];
    let (head, mut rows) = table(&layout, &lines, usize::from(columns));
    if lines.is_empty() {
        rows.push(row("   no virtual_server in the configuration", Role::Plain));
    } else {
        rows.insert(0, head);
    }
    let count = scene.data.service_count();
    if count > lines.len() {
        rows.push(row(
            format!("   and {} more: 2 shows them", count - lines.len()),
            Role::Plain,
        ));
    }
    Pane::new("Services", thousands(count as u64), rows)
}

fn recent(scene: &Scene<'_>) -> Pane {
    let rows = scene
        .data
        .events
        .iter()
        .rev()
        .filter(|event| event.event.what.level() >= lb_shared::event::Level::Notice)
        .take(8)
        .map(|event| {
            let mark = event_mark(event);
            let mut line = row(format!(" {mark} "), of_mark(mark));
            line.push(
                format!(
                    "{:<8} {:<7} {} {}",
                    scene.moment(event.wall_ms, scene.view.wall_ms),
                    event.event.what.topic(),
                    events::name(scene, &event.event.object),
                    escape(&event.event.text)
                ),
                Role::Plain,
            );
            line
        })
        .collect();
    Pane::new("Recent events", "", rows)
}

fn transitions(scene: &Scene<'_>) -> Pane {
    let rows: Vec<Row> = scene
        .data
        .events
        .iter()
        .rev()
        .filter(|event| {
            matches!(event.event.object, ObjectId::Instance(_))
                && matches!(
                    event.event.what,
                    What::BecameMaster | What::BecameBackup | What::BecameFault | What::BecameInit
                )
        })
        .take(6)
        .map(|event| {
            row(
                format!(
                    "   {:<8}  {:<9} {}",
                    scene.moment(event.wall_ms, scene.view.wall_ms),
                    events::name(scene, &event.event.object),
                    what(event)
                ),
                Role::Plain,
            )
        })
        .collect();
    Pane::new("Transitions", "4: all events", rows)
}
