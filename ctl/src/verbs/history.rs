//! `history`: the samples of the last quarter of an hour, and how checks ended.

use super::list::document;
use crate::args::{Global, HistoryArgs, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::Trouble;
use lb_shared::duration;
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::history::{CheckRun, History, HistoryAsk, HistoryRow, Sample};
use lb_shared::json;
use lb_shared::select;
use lb_shared::state::State;
use lb_shared::text::escape;
use lb_shared::units::Mono;
use lb_shared::view::View;
use std::time::Duration;

pub(crate) fn run(global: &Global, look: &Look, out: &mut Out, asked: &HistoryArgs) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let seen = client.excerpt(&ExcerptAsk::of(Scope::Objects, &asked.targets))?;
    let view = View::excerpt(&seen);
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let span = |text: &Option<String>| text.as_deref().map(duration::parse).transpose();
    let history = client.history(HistoryAsk {
        objects: select::objects(&view, &asked.targets)?,
        since_ms: span(&asked.since)?.map(ms),
        step_ms: span(&asked.step)?.map(ms),
        checks: true,
    })?;
    match global.output {
        Output::Table | Output::Wide => {
            for line in lines(&view, &history, look) {
                out.line(&line)?;
            }
            Ok(())
        }
        Output::Json => {
            let data = history.json(&view, &[]);
            document(out, look, &json::document(&view.state.agent.host, data))
        }
        Output::Jsonl => Ok(out.line(&history.json(&view, &[]).to_string())?),
        Output::Name => {
            for row in &history.rows {
                out.line(&row.object.to_string())?;
            }
            Ok(())
        }
    }
}

type Moment<'a> = (u64, &'a Sample, &'a Look);
type Run<'a> = (u64, String, &'a CheckRun, &'a Look);

/// The answer for eyes: for each object its samples, then how its checks ended.
pub(crate) fn lines(names: &View<'_>, history: &History, look: &Look) -> Vec<String> {
    let clock = View::new(names.state, history.now, history.wall_ms);
    let mut lines = Vec::new();
    for row in &history.rows {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(escape(&names.object_name(&row.object)));
        let moments = moments(row, &history.at, &clock, look);
        if moments.is_empty() {
            lines.push("  no samples yet".into());
        } else {
            lines.extend(Grid::new(&columns(), &moments).lines(look));
        }
        if !row.checks.is_empty() {
            lines.push(String::new());
            let runs: Vec<(char, Run<'_>)> = row
                .checks
                .iter()
                .map(|run| (' ', (clock.wall(run.at), kind(names.state, row, run), run, look)))
                .collect();
            lines.extend(Grid::new(&run_columns(), &runs).lines(look));
        }
    }
    lines
}

fn moments<'a>(
    row: &'a HistoryRow,
    at: &[Mono],
    clock: &View<'_>,
    look: &'a Look,
) -> Vec<(char, Moment<'a>)> {
    at.iter()
        .zip(&row.samples)
        .filter_map(|(at, sample)| Some((' ', (clock.wall(*at), sample.as_ref()?, look))))
        .collect()
}

fn columns<'a>() -> Vec<Column<Moment<'a>>> {
    vec![
        Column::left("TIME", 0, |row: &Moment<'_>| row.2.zone.clock(row.0)),
        Column::left("STATE", 0, |row| row.1.state.word().to_owned()),
        Column::right("WEIGHT", 0, |row| row.2.number(row.1.weight)),
        Column::right("ACTIVE", 0, |row| row.2.number(row.1.active)),
        Column::right("INACT", 1, |row| row.2.number(row.1.inactive)),
        Column::right("CPS", 0, |row| row.2.number(row.1.connections_per_s)),
        Column::right("IN/S", 2, |row| row.2.rate(row.1.bytes_in_per_s)),
        Column::right("OUT/S", 2, |row| row.2.rate(row.1.bytes_out_per_s)),
        Column::right("CHECK", 3, |row| took(row.1.check_us)),
    ]
}

fn run_columns<'a>() -> Vec<Column<Run<'a>>> {
    vec![
        Column::left("TIME", 0, |row: &Run<'_>| row.3.zone.clock(row.0)),
        Column::left("CHECK", 0, |row| row.1.clone()),
        Column::left("RESULT", 0, |row| row.2.ended.word().to_owned()),
        Column::right("TOOK", 0, |row| took(Some(row.2.took_us))),
        Column::left("WHY", 0, |row| match row.2.why.as_str() {
            "" => "-".into(),
            why => escape(why),
        }),
    ]
}

fn took(us: Option<u64>) -> String {
    us.map_or_else(|| "-".into(), |us| format!("{}.{}ms", us / 1_000, us / 100 % 10))
}

/// The keyword of the check a run is of.
fn kind(state: &State, row: &HistoryRow, run: &CheckRun) -> String {
    let lb_shared::state::ObjectId::Server(id) = &row.object else {
        return "-".into();
    };
    state
        .servers
        .get(id)
        .and_then(|server| server.checks.get(usize::try_from(run.check).ok()?))
        .map_or_else(|| "-".into(), |check| escape(&check.kind))
}
