//! How a test of servers ended.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use super::words::took;
use crate::theme::{Role, of_mark};
use crate::trial::{self, Trial};
use lb_shared::text::escape;
use lb_shared::trial::{TestEnd, TestedCheck};
use lb_shared::why::wrap;

/// Width of the box with its border, and of what is inside.
const WIDTH: u16 = 76;
const INSIDE: usize = 72;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, trial: &Trial) {
    let mut lines = Vec::new();
    match &trial.end {
        None => lines.push(row("the agent runs the checks", Role::Plain)),
        Some(Err(failure)) => {
            for (text, role) in [(&failure.message, Role::Bad), (&failure.hint, Role::Plain)] {
                let parts = wrap(&escape(text), INSIDE).into_iter();
                lines.extend(parts.map(|part| row(part, role)));
            }
        }
        Some(Ok(tested)) => {
            for server in &tested.servers {
                lines.push(row(escape(&scene.view.server_name(&server.server)), Role::Master));
                if server.checks.is_empty() {
                    lines.push(row("  it has no check", Role::Plain));
                }
                lines.extend(server.checks.iter().flat_map(check));
            }
        }
    }
    let room = usize::from(area.height).saturating_sub(6).max(1);
    let top = trial.scroll.min(lines.len().saturating_sub(room));
    let mut shown: Vec<Row> = lines.into_iter().skip(top).take(room).collect();
    shown.push(Row::default());
    shown.push(row(
        "No state was changed by it.   t again   j k scroll   Esc closes",
        Role::Rule,
    ));
    paint.boxed(area, WIDTH, &trial::title(trial), &shown);
}

fn check(it: &TestedCheck) -> Vec<Row> {
    let mark = match it.end {
        TestEnd::Passed => '+',
        TestEnd::Failed => '!',
        TestEnd::Inconclusive => '?',
        TestEnd::WouldRun | TestEnd::NotRun => ' ',
    };
    let mut line = row(format!("{mark} "), of_mark(mark));
    line.push(format!("{:<10} ", it.end.word()), of_mark(mark));
    let time = it.took_us.map_or_else(|| "-".into(), took);
    line.push(
        format!("{} {}  {time}", escape(&it.kind), escape(&it.target)),
        Role::Plain,
    );
    let weight = it.weight.map(|weight| format!("weight {weight}"));
    let detail = Some(escape(&it.detail)).filter(|text| !text.is_empty());
    let more: Vec<String> = detail.into_iter().chain(weight).collect();
    let mut rows = vec![line];
    let parts = wrap(&more.join(", "), INSIDE - 4).into_iter();
    rows.extend(
        parts
            .filter(|part| !part.is_empty())
            .map(|part| row(format!("    {part}"), Role::Plain)),
    );
    rows
}
