//! How the checks of one server ended in the last quarter of an hour, what they took, and why they failed.

use super::Scene;
use super::paint::{Pane, Row, row};
use super::words::{spark, took};
use crate::theme::{Role, of_mark};
use lb_shared::history::{CheckEnd, CheckRun, History};
use lb_shared::names::ServerId;
use lb_shared::state::ServerView;
use lb_shared::text::{cut, escape};
use std::collections::VecDeque;

/// Failures that are listed.
const FAILURES: usize = 8;
/// Columns before a line of marks.
const LEAD: usize = 11;

pub(crate) fn panes(scene: &Scene<'_>, id: &ServerId, columns: u16) -> Vec<Pane> {
    let runs = scene.app.runs.as_ref().filter(|runs| runs.server == *id);
    let history = runs.and_then(|runs| runs.history.as_ref());
    let (Some(history), Some(server)) = (history, scene.view.state.servers.get(id)) else {
        return Vec::new();
    };
    let Some(past) = history.rows.first() else {
        return Vec::new();
    };
    let room = usize::from(columns).saturating_sub(LEAD + 1);
    let mut rows = Vec::new();
    for nth in 0..server.checks.len() {
        rows.extend(of_check(server, nth, &past.checks, room));
    }
    let samples = |of: &dyn Fn(&lb_shared::history::Sample) -> u64| -> VecDeque<u64> {
        past.samples.iter().map(|it| it.as_ref().map_or(0, of)).collect()
    };
    rows.push(labelled("active", &spark(&samples(&|it| it.active), room)));
    rows.push(labelled(
        "cps",
        &spark(&samples(&|it| it.connections_per_s), room),
    ));
    rows.push(Row::default());
    let mut panes = vec![Pane::new(
        "Check history, newest right",
        "+ ok  ! fail  ? no verdict",
        rows,
    )];
    panes.extend(failures(scene, server, history, &past.checks));
    panes
}

fn labelled(label: &str, text: &str) -> Row {
    row(format!(" {label:<9} {text}"), Role::Plain)
}

/// Two lines of one check: how its runs ended, and how long they took.
fn of_check(server: &ServerView, nth: usize, runs: &[CheckRun], room: usize) -> Vec<Row> {
    let own = |run: &&CheckRun| usize::try_from(run.check) == Ok(nth);
    let runs: Vec<&CheckRun> = runs.iter().filter(own).collect();
    let newest = &runs[runs.len().saturating_sub(room)..];
    let label = match server.checks.len() {
        1 => "result".to_owned(),
        _ => cut(&escape(&server.checks[nth].kind), LEAD - 2),
    };
    let mut marks = row(format!(" {label:<9} "), Role::Plain);
    marks.push(" ".repeat(room - newest.len()), Role::Plain);
    for run in newest {
        let mark = mark(run.ended);
        marks.push(mark.to_string(), of_mark(mark));
    }
    let latencies = newest.iter().map(|run| run.took_us).collect();
    vec![marks, labelled("latency", &spark(&latencies, room))]
}

fn mark(ended: CheckEnd) -> char {
    match ended {
        CheckEnd::Passed => '+',
        CheckEnd::Failed => '!',
        CheckEnd::Inconclusive => '?',
    }
}

fn failures(scene: &Scene<'_>, server: &ServerView, history: &History, runs: &[CheckRun]) -> Option<Pane> {
    let failed = runs.iter().filter(|run| run.ended != CheckEnd::Passed).count();
    if failed == 0 {
        return None;
    }
    // When they were is reckoned from the moment of the answer.
    let then = lb_shared::view::View::new(scene.view.state, history.now, history.wall_ms);
    let mut rows: Vec<Row> = runs
        .iter()
        .rev()
        .filter(|run| run.ended != CheckEnd::Passed)
        .take(FAILURES)
        .map(|run| {
            let check = usize::try_from(run.check)
                .ok()
                .and_then(|nth| server.checks.get(nth));
            let kind = check.map_or_else(String::new, |check| escape(&check.kind));
            let why = match run.why.as_str() {
                "" => run.ended.word(),
                why => why,
            };
            let mark = mark(run.ended);
            let mut line = row(format!(" {mark} "), of_mark(mark));
            line.push(
                format!(
                    "{:<8} {:>7}  {kind:<10} {}",
                    scene.moment(then.wall(run.at), scene.view.wall_ms),
                    took(run.took_us),
                    escape(why)
                ),
                Role::Plain,
            );
            line
        })
        .collect();
    rows.push(Row::default());
    let shown = failed.min(FAILURES);
    Some(Pane::new("Failures", format!("{shown} of {failed}"), rows))
}
