//! The keys, from the one table, and what marks and numbers mean.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use crate::app::Page;
use crate::keys::{self, Binding, Group, KEYS};
use crate::theme::Role;
use lb_shared::text::{escape, span};
use lb_shared::why::wrap;

const WORDS: [&str; 10] = [
    " # MASTER  holds the addresses          + UP       its checks pass",
    " - BACKUP  listens                      ! DOWN     a check fails",
    " ! FAULT   cannot take part             ~ DRAIN    weight 0, connections left",
    " ! MASTER2 another master is heard      = DRAINED  weight 0, none left",
    " ? INIT    no result yet                - OFF      disabled by an operator",
    " * SORRY   the sorry server answers     ~          cut text, or lowered",
    "",
    " a/b   effective/configured, when they differ: priority 130/150, weight 0/100",
    " -     not there or not measured: OUT for DR and TUN never passes this host",
    " ?     after a time: the agent has not answered since",
];

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, scroll: usize) {
    paint.both(
        0,
        0,
        area.width,
        row(" Help", Role::Master),
        row("j k scroll   Esc or ? closes ", Role::Plain),
    );
    let lines = lines(scene);
    let height = usize::from(area.height).saturating_sub(1);
    let top = scroll.min(lines.len().saturating_sub(height));
    for (nth, (title, line)) in lines.iter().skip(top).take(height).enumerate() {
        let y = 1 + u16::try_from(nth).unwrap_or(u16::MAX);
        match title {
            Some(title) => paint.rule(0, y, area.width, title, ""),
            None => paint.row(0, y, area.width, line),
        }
    }
}

fn lines(scene: &Scene<'_>) -> Vec<(Option<String>, Row)> {
    let mut lines = Vec::new();
    if let Page::Log = scene.app.page {
        lines.push((Some("Log of this dashboard, newest first".into()), Row::default()));
        lines.extend(scene.app.log.newest().map(|(at, text)| {
            let ago = span(scene.app.now.saturating_sub(at));
            (None, row(format!(" {ago:>7} ago  {}", escape(text)), Role::Plain))
        }));
        return lines;
    }
    if let Page::Command(verb) = scene.app.page {
        lines.push((Some("Command".into()), Row::default()));
        let usage = wrap(&format!(":{} {}", verb.name, verb.takes), 76).into_iter();
        lines.extend(usage.map(|line| (None, row(format!(" {line}"), Role::Master))));
        lines.push((None, Row::default()));
        let wrapped = wrap(verb.help, 76).into_iter();
        lines.extend(wrapped.map(|line| (None, row(format!(" {line}"), Role::Plain))));
        lines.push((None, Row::default()));
        lines.push((None, row(format!(" :{}", verb.example), Role::Override)));
        return lines;
    }
    let app = scene.app;
    let here = keys::line(app.screen, app.detail.last().map(|detail| &detail.object));
    let here: Vec<&Binding> = here.iter().filter_map(|action| keys::binding(*action)).collect();
    lines.push((Some(format!("Here: {}", app.screen.name())), Row::default()));
    lines.extend(side_by_side(scene, &here));
    for group in Group::ALL {
        let rows: Vec<&Binding> = KEYS.iter().filter(|binding| binding.group == group).collect();
        lines.push((Some(group.title().into()), Row::default()));
        lines.extend(side_by_side(scene, &rows));
    }
    lines.push((Some("Marks and numbers".into()), Row::default()));
    lines.extend(WORDS.iter().map(|line| (None, row(*line, Role::Plain))));
    lines
}

/// Keys and what they do, in as many columns as there is room for.
fn side_by_side(scene: &Scene<'_>, rows: &[&Binding]) -> Vec<(Option<String>, Row)> {
    let (columns, cell) = if scene.wide { (3, 46) } else { (2, 39) };
    let down = rows.len().div_ceil(columns);
    let line = |nth| {
        let mut line = Row::default();
        for binding in rows.iter().skip(nth).step_by(down) {
            let text = format!(" {:<8} {}", scene.app.keymap.label(binding.action), binding.help);
            line.push(
                format!("{:<cell$}", lb_shared::text::cut(&text, cell - 1)),
                Role::Plain,
            );
        }
        (None, line)
    };
    (0..down).map(line).collect()
}
