//! The list from which columns are chosen.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use crate::theme::Role;

const WIDTH: u16 = 36;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, at: usize) {
    let choices = scene.app.columns.choices(scene.app.screen);
    let mut lines: Vec<Row> = choices
        .iter()
        .enumerate()
        .map(|(nth, (title, shown))| {
            let mut line = Row::under(nth == at);
            let mark = if *shown { "x" } else { " " };
            line.push(format!("[{mark}] {title}"), Role::Plain);
            line
        })
        .collect();
    lines.push(row("Space choose   a all   Esc done", Role::Rule));
    paint.boxed(area, WIDTH, "Columns", &lines);
}
