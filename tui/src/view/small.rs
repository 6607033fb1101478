//! What fits a terminal that is too small for the screens: what is wrong, and who is master.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use super::words::short;
use crate::app::SIZE_MIN;
use crate::theme::{Role, of_mark};
use lb_shared::problems;
use lb_shared::text::{count, escape, span};

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    let now = if app.stale() {
        row(
            format!("STALE {} ", span(app.now.saturating_sub(app.heard))),
            Role::Bad,
        )
    } else {
        row(format!("LIVE {} ", scene.clock(scene.view.wall_ms)), Role::Plain)
    };
    let host = escape(&scene.data.state.agent.host);
    let (width, height) = SIZE_MIN;
    let size = format!(
        " {host}   {}x{}: too small, {width}x{height} needed",
        area.width, area.height
    );
    paint.both(0, 0, area.width, row(size, Role::Master), now);
    let data = scene.data;
    let mut lines = vec![
        row(
            format!(
                " {}   {}",
                count(data.problems.len(), "problem"),
                count(data.state.overrides.len(), "override")
            ),
            Role::Plain,
        ),
        Row::default(),
    ];
    for problem in data.problems.iter().take(8) {
        let mut line = row(format!(" {} ", problem.mark), of_mark(problem.mark));
        let since = problem.since.map(|since| scene.age(since)).unwrap_or_default();
        line.push(
            format!("{:<22} {:<7} {since}", problem.name, problem.state),
            Role::Plain,
        );
        lines.push(line);
    }
    lines.push(Row::default());
    for it in data.state.instances.values().take(8) {
        let mark = problems::instance_mark(it);
        let mut line = row(format!(" {mark} "), of_mark(mark));
        line.push(
            format!(
                "{:<10} {:<7} {}",
                escape(&it.name.0),
                problems::instance_word(it),
                problems::priority(it)
            ),
            Role::Plain,
        );
        lines.push(line);
    }
    if let Some(totals) = data.totals {
        lines.push(row(
            format!(
                " {} conns   {} cps",
                short(totals.active),
                short(totals.connections_per_s)
            ),
            Role::Plain,
        ));
    }
    // The last line is for the way out.
    let room = usize::from(area.height).saturating_sub(3);
    for (nth, line) in lines.iter().take(room).enumerate() {
        let y = 2 + u16::try_from(nth).unwrap_or(u16::MAX);
        paint.row(0, y, area.width, line);
    }
    if area.height > 1 {
        paint.row(
            0,
            area.height - 1,
            area.width,
            &row(" Read only at this size.   q quit", Role::Plain),
        );
    }
}
