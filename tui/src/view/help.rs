//! The keys, from the one table, and what marks and numbers mean.

use super::paint::{Area, Paint, Row, row};
use super::{Scene, frame};
use crate::app::Page;
use crate::command::{VERBS, Verb};
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

/// A line of help: the title of a part, or text.
type Line = (Option<String>, Row);

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, scroll: usize) {
    let app = scene.app;
    let title = match app.page {
        Page::Keys => format!(" Help: {}", app.screen.name()),
        Page::Command(verb) => format!(" Help: {}", verb.name),
        Page::Log => " Log".to_owned(),
    };
    paint.both(
        0,
        0,
        area.width,
        row(title, Role::Master),
        row("? or Esc closes ", Role::Plain),
    );
    let lines = lines(scene);
    let height = usize::from(area.height).saturating_sub(2);
    let top = scroll.min(lines.len().saturating_sub(height));
    for (nth, (title, line)) in lines.iter().skip(top).take(height).enumerate() {
        let y = 1 + u16::try_from(nth).unwrap_or(u16::MAX);
        match title {
            Some(title) => paint.rule(0, y, area.width, title, ""),
            None => paint.row(0, y, area.width, line),
        }
    }
    let foot = frame::prompt(app).unwrap_or_else(|| {
        let text = match app.sought.as_str() {
            "" => " j k scroll   / search help   :help drain opens the page for one command".to_owned(),
            sought => format!(
                " only what has: {}   / search for something else   Esc shows all",
                escape(sought)
            ),
        };
        row(text, Role::Plain)
    });
    paint.row(0, area.height - 1, area.width, &foot);
}

/// All of it, or what has the words that are sought.
pub(crate) fn lines(scene: &Scene<'_>) -> Vec<Line> {
    let sought: Vec<String> = scene
        .app
        .sought
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut lines = match scene.app.page {
        Page::Log => log(scene),
        Page::Command(verb) => command(verb),
        Page::Keys if sought.is_empty() => keys(scene),
        Page::Keys => all_singly(scene),
    };
    if sought.is_empty() {
        return lines;
    }
    lines.retain(|(title, line)| {
        let text = line.text().to_lowercase();
        title.is_some() || sought.iter().all(|word| text.contains(word))
    });
    // A part without a line has no title either.
    let titles: Vec<bool> = lines.iter().map(|(title, _)| title.is_some()).collect();
    let mut nth = 0;
    lines.retain(|_| {
        nth += 1;
        !titles[nth - 1] || titles.get(nth) == Some(&false)
    });
    if lines.is_empty() {
        lines.push((None, row(" nothing in here has that", Role::Plain)));
    }
    lines
}

fn log(scene: &Scene<'_>) -> Vec<Line> {
    let mut lines = vec![title("Log of this dashboard, newest first")];
    lines.extend(scene.app.log.newest().map(|(at, text)| {
        let ago = span(scene.app.now.saturating_sub(at));
        (None, row(format!(" {ago:>7} ago  {}", escape(text)), Role::Plain))
    }));
    lines
}

fn command(verb: &Verb) -> Vec<Line> {
    let mut lines = vec![title("Command")];
    let usage = wrap(&format!(":{} {}", verb.name, verb.takes), 76).into_iter();
    lines.extend(usage.map(|line| (None, row(format!(" {line}"), Role::Master))));
    lines.push((None, Row::default()));
    let wrapped = wrap(verb.help, 76).into_iter();
    lines.extend(wrapped.map(|line| (None, row(format!(" {line}"), Role::Plain))));
    lines.push((None, Row::default()));
    lines.push((None, row(format!(" :{}", verb.example), Role::Override)));
    lines
}

fn title(text: &str) -> Line {
    (Some(text.into()), Row::default())
}

fn words() -> impl Iterator<Item = Line> {
    WORDS.iter().map(|line| (None, row(*line, Role::Plain)))
}

/// The keys: those of the screen first.
fn keys(scene: &Scene<'_>) -> Vec<Line> {
    let app = scene.app;
    let here = keys::line(app.screen, app.detail.last().map(|detail| &detail.object));
    let here: Vec<&Binding> = here.iter().filter_map(|action| keys::binding(*action)).collect();
    let mut lines = vec![title(&format!("Here: {}", app.screen.name()))];
    lines.extend(side_by_side(scene, &here));
    for group in Group::ALL {
        let rows: Vec<&Binding> = KEYS.iter().filter(|binding| binding.group == group).collect();
        lines.push(title(group.title()));
        lines.extend(side_by_side(scene, &rows));
    }
    lines.push(title("Commands, after :"));
    let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
    let columns = usize::from(app.size.0).saturating_sub(3).max(20);
    let names = wrap(&names.join(" "), columns).into_iter();
    lines.extend(names.map(|line| (None, row(format!(" {line}"), Role::Plain))));
    lines.push(title("Marks and numbers"));
    lines.extend(words());
    lines
}

/// Each key and each command on a line of its own.
fn all_singly(scene: &Scene<'_>) -> Vec<Line> {
    let app = scene.app;
    let mut lines = Vec::new();
    for group in Group::ALL {
        lines.push(title(group.title()));
        let rows = KEYS.iter().filter(|binding| binding.group == group);
        lines.extend(rows.map(|it| {
            let text = format!(" {:<12} {}", app.keymap.label(it.action), it.help);
            (None, row(text, Role::Plain))
        }));
    }
    lines.push(title("Commands"));
    lines.extend(VERBS.iter().map(|verb| {
        let text = format!(" {:<12} {}", format!(":{}", verb.name), verb.help);
        (None, row(text, Role::Plain))
    }));
    lines.push(title("Marks and numbers"));
    lines.extend(words());
    lines
}

/// Keys and what they do, in as many columns as there is room for.
fn side_by_side(scene: &Scene<'_>, rows: &[&Binding]) -> Vec<Line> {
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
