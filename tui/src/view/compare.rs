//! Two objects side by side.

use super::Scene;
use super::paint::{Area, Paint, Row};
use crate::compare::{self, Compare};
use crate::theme::Role;
use lb_shared::text::{count, cut, width};

/// How many lines there are to scroll through.
pub(crate) fn rows(scene: &Scene<'_>, compare: &Compare) -> usize {
    compare::lines(scene.app, compare).map_or(0, |(_, _, lines)| lines.len())
}

/// Columns of the labels and of the mark before them.
const LABEL: usize = 22;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, compare: &Compare) {
    let Some((left, right, lines)) = compare::lines(scene.app, compare) else {
        return;
    };
    let differing = lines.iter().filter(|line| line.differs()).count();
    let note = match differing {
        0 => "no difference".to_owned(),
        some => format!("{}, marked ~", count(some, "difference")),
    };
    paint.rule(area.x, area.y, area.width, "Compare", &note);
    let half = usize::from(area.width).saturating_sub(LABEL + 3) / 2;
    let cells = |mark: char, label: &str, left: &str, right: &str, look: Role| {
        let cell = |text: &str, columns: usize| {
            let text = cut(text, columns);
            let blanks = columns.saturating_sub(width(&text));
            format!("{text}{}", " ".repeat(blanks))
        };
        let mut line = Row::default();
        line.push(format!(" {mark} {} ", cell(label, LABEL - 3)), look);
        line.push(format!("{} ", cell(left, half)), look);
        line.push(cell(right, half), look);
        line
    };
    paint.row(
        area.x,
        area.y + 1,
        area.width,
        &cells(' ', "", &left, &right, Role::Title),
    );
    let room = usize::from(area.height).saturating_sub(2);
    let top = compare.scroll.min(lines.len().saturating_sub(room));
    for (nth, line) in lines.iter().skip(top).take(room).enumerate() {
        let y = area.y + 2 + u16::try_from(nth).unwrap_or(u16::MAX);
        let (mark, look) = if line.differs() {
            ('~', Role::Warn)
        } else {
            (' ', Role::Plain)
        };
        paint.row(
            area.x,
            y,
            area.width,
            &cells(mark, &line.label, &line.left, &line.right, look),
        );
    }
}
