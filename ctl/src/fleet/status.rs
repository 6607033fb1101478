//! `status` of several hosts: a row for each, then what they do not agree on.

use super::{Answer, Seen, differences, document, ended, part};
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::Trouble;
use lb_shared::differences::{Difference, master_of};
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::problems;
use lb_shared::site::Site;
use lb_shared::text::{escape, thousands, width};
use lb_shared::why::wrap;
use serde_json::json;

pub(crate) fn run(
    site: &Site,
    global: &Global,
    look: &Look,
    out: &mut Out,
    targets: &[String],
) -> Result<(), Trouble> {
    let ask = ExcerptAsk {
        targets: targets.to_vec(),
        at_wall_ms: connect::at(global, look)?,
        ..ExcerptAsk::all(Scope::Status)
    };
    let answers = super::look(&site.hosts, global, &ask);
    let found = differences(&answers, site.cluster.as_deref());
    match global.output {
        Output::Table | Output::Wide => {
            for line in lines(&answers, &found, look) {
                out.line(&line)?;
            }
        }
        Output::Json | Output::Jsonl => {
            let parts: Vec<_> = answers.iter().map(|answer| part(answer, status)).collect();
            if global.output == Output::Jsonl {
                for part in parts {
                    out.line(&part.to_string())?;
                }
            } else {
                let found = json::list(
                    &found,
                    |it| json!({"kind": it.kind, "object": it.name, "text": it.text}),
                );
                document(out, look, parts, Some(("differences", found)))?;
            }
        }
        Output::Name => {
            let mut names: Vec<String> = answers
                .iter()
                .filter_map(|answer| answer.got.as_ref().ok())
                .flat_map(|seen| problems::problems(&seen.view()))
                .map(|problem| problem.object.to_string())
                .collect();
            names.sort();
            names.dedup();
            for name in names {
                out.line(&name)?;
            }
        }
    }
    // The rows have told of those that were not reached.
    ended(super::worst(&answers))
}

fn status(seen: &Seen) -> serde_json::Value {
    json::status(&seen.view())
}

/// The whole text.
pub(crate) fn lines(answers: &[Answer<Seen>], found: &[Difference], look: &Look) -> Vec<String> {
    let rows: Vec<(char, Row)> = answers
        .iter()
        .map(|answer| {
            let row = Row::of(answer, look);
            (row.mark, row)
        })
        .collect();
    let columns: [Column<Row>; 12] = [
        Column::left("S", 0, |row| row.mark.into()),
        Column::left("HOST", 0, |row| row.host.clone()),
        Column::left("STATE", 0, |row| row.state.into()),
        Column::left("AGENT", 2, |row| row.agent.clone()),
        Column::left("CONFIG", 1, |row| row.config.clone()),
        Column::left("MASTER OF", 7, |row| row.master_of.clone()),
        Column::left("VRRP", 6, |row| row.vrrp.clone()),
        Column::left("SERVICES", 5, |row| row.services.clone()),
        Column::left("SERVERS", 4, |row| row.servers.clone()),
        Column::right("ACTIVE", 3, |row| row.active.clone()),
        Column::right("CPS", 2, |row| row.per_s.clone()),
        Column::left("PROBLEMS", 0, |row| row.problems.clone()),
    ];
    let mut lines = Grid::new(&columns, &rows).lines(look);
    if found.is_empty() {
        return lines;
    }
    lines.push(String::new());
    let s = if found.len() == 1 { "" } else { "S" };
    lines.push(format!("{} DIFFERENCE{s}", thousands(found.len() as u64)));
    let kind = found.iter().map(|it| it.kind.len()).max().unwrap_or(0).max(6);
    let name = found.iter().map(|it| width(&it.name)).max().unwrap_or(0);
    for it in found {
        let head = format!(
            "{} {:<kind$}  {}{}  ",
            it.mark,
            it.kind,
            it.name,
            " ".repeat(name - width(&it.name)),
        );
        // What to do about it stands at the end: nothing may be cut off.
        let room = match look.width {
            Some(columns) => columns.saturating_sub(width(&head)).max(20),
            None => usize::MAX,
        };
        let mut words = wrap(&it.text, room).into_iter();
        lines.push(format!("{head}{}", words.next().unwrap_or_default()));
        lines.extend(words.map(|more| format!("{}{more}", " ".repeat(width(&head)))));
    }
    lines
}

struct Row {
    mark: char,
    host: String,
    state: &'static str,
    agent: String,
    config: String,
    master_of: String,
    vrrp: String,
    services: String,
    servers: String,
    active: String,
    per_s: String,
    problems: String,
}

impl Row {
    fn of(answer: &Answer<Seen>, look: &Look) -> Self {
        let nothing = || "-".to_owned();
        let mut row = Self {
            mark: '!',
            host: answer.name.clone(),
            state: "UNREACHABLE",
            agent: nothing(),
            config: nothing(),
            master_of: nothing(),
            vrrp: nothing(),
            services: nothing(),
            servers: nothing(),
            active: nothing(),
            per_s: nothing(),
            problems: nothing(),
        };
        let seen = match &answer.got {
            Ok(seen) => seen,
            Err(trouble) => {
                if !trouble.is_unreachable() {
                    row.state = "REFUSED";
                }
                if let Some(refusal) = trouble.refusal() {
                    row.problems = escape(&refusal.message);
                }
                return row;
            }
        };
        let view = seen.view();
        let agent = &view.state.agent;
        (row.mark, row.state) = if agent.stopping {
            ('~', "STOPPING")
        } else {
            ('+', "LIVE")
        };
        row.agent = escape(&agent.version);
        row.config = format!("r{}", agent.config.revision);
        let names: Vec<String> = master_of(view.state).iter().map(|name| escape(&name.0)).collect();
        if !names.is_empty() {
            row.master_of = names.join(",");
        }
        row.vrrp = problems::marks(&problems::instances(view.state), ",");
        row.services = problems::marks(&view.service_tally(), ",");
        row.servers = problems::marks(&view.server_tally(), ",");
        if let Some(totals) = view.totals() {
            row.active = look.number(totals.active);
            row.per_s = look.number(totals.connections_per_s);
        }
        row.problems = problems::problems(&view).len().to_string();
        row
    }
}
