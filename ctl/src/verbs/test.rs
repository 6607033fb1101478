//! `test`: the checks of servers once, now, and what each says.

use super::list::document;
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::{Trouble, usage};
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::text::{escape, short_span};
use lb_shared::trial::{TestAsk, TestEnd, Tested, TestedCheck};
use lb_shared::view::View;
use std::time::Duration;

pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    targets: &[String],
    dry_run: bool,
) -> Result<(), Trouble> {
    if targets.is_empty() {
        return Err(usage("test needs a server", "name at least one"));
    }
    let mut client = connect::client(global)?;
    let found = client.excerpt(&ExcerptAsk::of(Scope::Meant, targets))?;
    let view = View::excerpt(&found);
    let servers = view.state.servers.keys().cloned().collect();
    let tested = client.test(TestAsk { servers, dry_run })?;
    match global.output {
        Output::Json => {
            let it = json::document(&view.state.agent.host, tested.json(&view));
            document(out, look, &it)?;
        }
        Output::Jsonl => out.line(&tested.json(&view).to_string())?,
        Output::Name => {
            for it in &tested.servers {
                out.line(&it.server.to_string())?;
            }
        }
        Output::Table | Output::Wide => {
            for line in lines(&view, &tested, look) {
                out.line(&line)?;
            }
        }
    }
    if tested.is_bad() {
        return Err(Trouble::Exit(1));
    }
    Ok(())
}

type Row<'a> = (String, Option<&'a TestedCheck>);

/// One line a check; a server without checks has one that says so.
pub(crate) fn lines(view: &View<'_>, tested: &Tested, look: &Look) -> Vec<String> {
    let mut rows: Vec<(char, Row<'_>)> = Vec::new();
    for it in &tested.servers {
        let name = view.server_name(&it.server);
        if it.checks.is_empty() {
            rows.push((' ', (name.clone(), None)));
        }
        for check in &it.checks {
            rows.push((mark(check.end), (name.clone(), Some(check))));
        }
    }
    let columns: Vec<Column<Row<'_>>> = vec![
        Column::left("S", 0, |row: &Row<'_>| {
            row.1.map_or(' ', |it| mark(it.end)).to_string()
        }),
        Column::left("SERVER", 0, |row: &Row<'_>| row.0.clone()),
        Column::left("CHECK", 0, |row| row.1.map_or("-", |it| &it.kind).to_owned()),
        Column::left("RESULT", 0, |row| {
            row.1.map_or("no-check", |it| it.end.word()).to_uppercase()
        }),
        Column::right("TOOK", 1, |row| {
            let took = row.1.and_then(|it| it.took_us);
            took.map_or_else(|| "-".into(), span_of)
        }),
        Column::left("TARGET", 0, |row| row.1.map_or_else(|| "-".into(), detail)),
    ];
    let mut lines = Vec::new();
    if tested.dry_run {
        lines.push("dry run: no check is run".to_owned());
    }
    lines.extend(Grid::new(&columns, &rows).lines(look));
    lines
}

fn mark(end: TestEnd) -> char {
    match end {
        TestEnd::Passed => '+',
        TestEnd::Failed => '!',
        TestEnd::Inconclusive => '?',
        TestEnd::WouldRun | TestEnd::NotRun => ' ',
    }
}

/// `0.2ms`, `250ms`, `3.0s`
fn span_of(us: u64) -> String {
    match us {
        0..10_000 => format!("{}.{}ms", us / 1_000, us / 100 % 10),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        _ => short_span(Duration::from_micros(us)),
    }
}

/// `198.51.100.25:443 /healthz: status 503, want 200-299`
fn detail(check: &TestedCheck) -> String {
    let weight = check.weight.map(|weight| format!("weight {weight}"));
    let detail = Some(escape(&check.detail)).filter(|it| !it.is_empty());
    let more: Vec<String> = detail.into_iter().chain(weight).collect();
    if more.is_empty() {
        escape(&check.target)
    } else {
        format!("{}: {}", escape(&check.target), more.join(", "))
    }
}
