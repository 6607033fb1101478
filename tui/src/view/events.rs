//! What happened, newest first, and below it what the selected event means.

use super::Scene;
use super::paint::{Area, Paint, Pane, Row, row};
use super::table::{Column, Line, table};
use super::words::{spark, what};
use crate::data::event_mark;
use crate::mouse::{self, Spot};
use crate::story::Key;
use crate::theme::{Role, of_mark};
use lb_shared::event::Numbered;
use lb_shared::state::ObjectId;
use lb_shared::text::escape;
use lb_shared::view::rfc3339;
use lb_shared::why::wrap;
use std::collections::VecDeque;

/// Lines of the lower pane.
const BELOW: u16 = 5;
const BELOW_WIDE: u16 = 9;
/// Lines of the pane that shows how many there were.
const RATE: u16 = 4;
/// Cells of it, and the time of one.
const CELLS: usize = 120;
const CELL_MS: u64 = 30_000;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let list = &scene.app.events;
    let below = if area.height > 26 { BELOW_WIDE } else { BELOW };
    let below = if scene.app.zoom { 0 } else { below };
    let rate = if scene.wide && below == BELOW_WIDE {
        RATE
    } else {
        0
    };
    let height = usize::from(area.height.saturating_sub(below + 3 + rate));
    let top = list.top(height);
    let lines: Vec<Line> = list
        .rows
        .iter()
        .enumerate()
        .skip(top)
        .take(height)
        .filter_map(|(nth, key)| Some(line(scene, *key, scene.app.event(*key)?, nth)))
        .collect();
    let mut layout = vec![
        Column::new("TIME", 8).gap(0),
        Column::new("KIND", 8),
        // What happened needs the room more.
        Column::new("OBJECT", 22)
            .max(if scene.wide { 40 } else { 26 })
            .keep_end(),
        Column::new("WHAT", 20).max(200),
    ];
    if scene.app.fleet.several() {
        layout.insert(1, Column::new("HOST", 4).max(12));
    }
    let (head, rows) = table(&layout, &lines, usize::from(area.width));
    paint.rule(area.x, area.y, area.width, "", "");
    paint.row(area.x, area.y + 1, area.width, &head);
    for (nth, line) in rows.iter().enumerate() {
        let y = area.y + 2 + u16::try_from(nth).unwrap_or(u16::MAX);
        paint.row(area.x, y, area.width, line);
    }
    if lines.is_empty() {
        paint.row(
            area.x,
            area.y + 2,
            area.width,
            &row("   no event matches", Role::Plain),
        );
    }
    let lower = Area {
        y: area.y + area.height - below - 1,
        height: below + 1,
        ..area
    };
    if below == 0 {
        return;
    }
    if rate > 0 {
        let above = Area {
            y: lower.y - rate,
            height: rate,
            ..area
        };
        paint.panes(above, &[rates(scene)]);
    }
    let selected = list
        .current()
        .and_then(|key| Some((*key, scene.app.event(*key)?)));
    let pane = match selected {
        Some((key, event)) => explain(scene, key, event, usize::from(area.width)),
        None => Pane::new("", "", Vec::new()),
    };
    paint.panes(lower, &[pane]);
}

/// How many of the listed events fell into each half minute of the last hour.
fn rates(scene: &Scene<'_>) -> Pane {
    let app = scene.app;
    let now_ms = scene.view.wall_ms;
    let mut cells = VecDeque::from(vec![0_u64; CELLS]);
    for key in app.events.rows.iter() {
        let Some(event) = app.event(*key) else { continue };
        let Some(ago) = now_ms.checked_sub(app.event_ms(*key, event)) else {
            continue;
        };
        let nth = usize::try_from(ago / CELL_MS).unwrap_or(CELLS);
        if let Some(cell) = CELLS.checked_sub(nth + 1).and_then(|at| cells.get_mut(at)) {
            *cell += 1;
        }
    }
    let peak = cells.iter().copied().max().unwrap_or(0);
    let hour = |minutes: u64| -> String {
        let at = now_ms.saturating_sub(minutes * 60_000);
        scene.clock(at).chars().take(5).collect()
    };
    let hours = format!(
        "            {:<30}{:<30}{:<30}{:<25}{}",
        hour(60),
        hour(45),
        hour(30),
        hour(15),
        hour(0)
    );
    let rows = vec![
        row(format!("   events   {}", spark(&cells, CELLS)), Role::Plain),
        row(hours, Role::Rule),
        Row::default(),
    ];
    Pane::new(
        "Rate, last 60 min, 1 cell = 30 s",
        format!("peak {peak} in 30 s"),
        rows,
    )
}

/// The name an event's object is shown by.
pub(crate) fn name(scene: &Scene<'_>, object: &ObjectId) -> String {
    escape(&scene.view.object_name(object))
}

fn line(scene: &Scene<'_>, key: Key, event: &Numbered, nth: usize) -> Line {
    let app = scene.app;
    let mark = event_mark(event);
    let mut cells = vec![
        (
            scene.moment(app.event_ms(key, event), scene.view.wall_ms),
            Role::Plain,
        ),
        (event.event.what.topic().to_owned(), of_mark(mark)),
        (name(scene, &event.event.object), Role::Plain),
        (what(event), Role::Plain),
    ];
    if app.fleet.several() {
        cells.insert(1, (app.event_host(key), Role::Plain));
    }
    Line {
        mark,
        cursor: nth == app.events.at(),
        marked: false,
        differs: false,
        spot: Some(Spot::Row(mouse::Pane::Events, nth)),
        cells,
    }
}

/// The hosts whose events are merged, and how far their clocks are off.
pub(crate) fn merged(scene: &Scene<'_>) -> String {
    let app = scene.app;
    let mut text = format!("of {}", app.name());
    for there in &app.elsewhere {
        let ahead = there.ahead_ms;
        let sign = if ahead < 0 { "-" } else { "+" };
        let off = lb_shared::text::span(std::time::Duration::from_millis(ahead.unsigned_abs()));
        text.push_str(&match ahead.abs() {
            0..1_000 => format!(" {}", there.host),
            _ => format!(" {} (clock {sign}{off})", there.host),
        });
    }
    text
}

/// Reason, cause and effects.
fn explain(scene: &Scene<'_>, key: Key, event: &Numbered, columns: usize) -> Pane {
    let data = scene.data;
    let app = scene.app;
    let own = key.seat == app.seat;
    let host = if app.fleet.several() {
        format!("  {}", app.event_host(key))
    } else {
        String::new()
    };
    let head = format!(
        "{}{host}  {}  {}  {}",
        rfc3339(event.wall_ms),
        event.event.what.name(),
        name(scene, &event.event.object),
        escape(&event.event.text)
    );
    // On one line where there is room; otherwise what happened follows on lines of its own, whole.
    let heads = match lb_shared::text::width(&head) < columns {
        true => vec![head],
        false => {
            let (head, text) = head.split_at(head.len() - escape(&event.event.text).len());
            let mut lines = wrap(head, columns.saturating_sub(2));
            lines.extend(wrap(text, columns.saturating_sub(2)));
            lines
        }
    };
    let mut rows: Vec<Row> = heads
        .into_iter()
        .map(|line| row(format!(" {line}"), Role::Master))
        .collect();
    let mut say = |label: &str, text: &str| {
        for (nth, part) in wrap(text, columns.saturating_sub(12)).into_iter().enumerate() {
            let label = if nth == 0 { label } else { "" };
            rows.push(row(format!(" {label:<9} {part}"), Role::Plain));
        }
    };
    if let Some(why) = &event.event.why {
        say("reason", &escape(why));
    }
    if let Some(actor) = &event.event.actor {
        say("by", &escape(&actor.to_string()));
    }
    let brief = |event: &Numbered| {
        format!(
            "{} {} (seq {})",
            name(scene, &event.event.object),
            escape(&event.event.text),
            event.seq
        )
    };
    if let Some(cause) = data.cause(event).filter(|_| own) {
        say(
            "cause",
            &format!(
                "{} at {}",
                brief(cause),
                scene.moment(cause.wall_ms, scene.view.wall_ms)
            ),
        );
    }
    let effects = data.effects(event).into_iter().filter(|_| own);
    let effects: Vec<String> = effects.take(6).map(brief).collect();
    if !effects.is_empty() {
        say("effects", &effects.join("; "));
    }
    let elsewhere = app.elsewhere_of(key, event);
    if !elsewhere.is_empty() {
        say("elsewhere", &elsewhere.join("; "));
    }
    Pane::new(format!("Event {}", event.seq), "", rows)
}
