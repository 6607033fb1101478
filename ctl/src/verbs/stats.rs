//! `stats`: what was counted.

use super::list::document;
use super::since;
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::Trouble;
use lb_shared::client::Client;
use lb_shared::counters::{InstanceCounters, ServerCounters};
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::names::ServiceKey;
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::select;
use lb_shared::state::{InstanceView, ObjectId, ServerView};
use lb_shared::text::{escape, span};
use lb_shared::view::View;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

type Routers<'a> = (String, &'a InstanceCounters, &'a Look);
type Servers<'a> = (String, ServerCounters, &'a Look);

pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    targets: &[String],
    shown: Shown,
) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let mut excerpt = ask(&mut client, targets, connect::at(global, look)?)?;
    let Some(counters) = excerpt.counters.take() else {
        return Err(Refusal::new(RefusalCode::Busy, "the agent gave no counters", "try again").into());
    };
    let snapshot = &excerpt.snapshot;
    let host = &snapshot.state.agent.host;
    let counters = match shown.since_last {
        false => counters,
        true => {
            let (counters, last) = since::last(host, snapshot.wall_ms, counters)?;
            if !global.quiet {
                match last {
                    Some(at) => {
                        let ago = Duration::from_millis(snapshot.wall_ms.saturating_sub(at));
                        eprintln!("counted since {} ({} ago)", look.zone.clock(at), span(ago));
                    }
                    None => eprintln!("asked for the first time: counted since the beginning"),
                }
            }
            counters
        }
    };
    excerpt.counters = Some(counters);
    let view = View::excerpt(&excerpt);
    let page = Page::of(&view, targets, shown, look)?;
    match global.output {
        Output::Table | Output::Wide => {
            for line in page.lines(look) {
                out.line(&line)?;
            }
        }
        Output::Json | Output::Jsonl | Output::Name => {
            document(out, look, &json::document(host, page.json(&view)))?;
        }
    }
    Ok(())
}

/// The counters of what is named, or of everything. Where there are no targets the servers come in pieces.
fn ask(client: &mut Client, targets: &[String], at_wall_ms: Option<u64>) -> Result<Excerpt, Trouble> {
    let of = |scope| ExcerptAsk {
        targets: targets.to_vec(),
        at_wall_ms,
        ..ExcerptAsk::all(scope)
    };
    if !targets.is_empty() {
        return Ok(client.excerpt(&of(Scope::Objects))?);
    }
    let mut all = client.excerpt(&of(Scope::Instances))?;
    all.join(client.excerpt(&of(Scope::Servers))?);
    Ok(all)
}

/// Which of the numbers are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) since_last: bool,
    pub(crate) rate: bool,
    pub(crate) total: bool,
    pub(crate) errors: bool,
}

/// What is to be told.
pub(crate) struct Page<'a> {
    instances: Vec<&'a InstanceView>,
    /// By service, in the order of the list.
    servers: Vec<&'a ServerView>,
    routers: Vec<(char, Routers<'a>)>,
    services: Vec<(char, Servers<'a>)>,
    machines: Vec<(char, Servers<'a>)>,
    shown: Shown,
}

impl<'a> Page<'a> {
    pub(crate) fn of(
        view: &View<'a>,
        targets: &[String],
        shown: Shown,
        look: &'a Look,
    ) -> Result<Self, Trouble> {
        let chosen: Option<BTreeSet<ObjectId>> = if targets.is_empty() {
            None
        } else {
            Some(select::objects(view, targets)?.into_iter().collect())
        };
        let wants = |id: ObjectId| chosen.as_ref().is_none_or(|chosen| chosen.contains(&id));
        let state = view.state;
        let instances = state.instances.values().map(|it| &**it);
        let instances = instances.filter(|it| wants(ObjectId::Instance(it.name.clone())));
        let servers = view.servers().filter(|it| {
            wants(ObjectId::Server(it.id.clone())) || wants(ObjectId::Service(it.id.service.clone()))
        });
        let (instances, servers): (Vec<_>, Vec<_>) = (instances.collect(), servers.collect());
        let routers = instances
            .iter()
            .filter_map(|it| Some((' ', (escape(&it.name.0), view.instance_counters(&it.name)?, look))))
            .filter(|(_, row)| !shown.errors || row.1.rejected.values().any(|count| *count > 0))
            .collect();
        let mut services: Vec<(&ServiceKey, ServerCounters)> = Vec::new();
        let mut machines = Vec::new();
        for it in &servers {
            let Some(counters) = view.server_counters(&it.id) else {
                continue;
            };
            machines.push((' ', (view.server_name(&it.id), counters.clone(), look)));
            match services.last_mut() {
                Some((key, sum)) if **key == it.id.service => sum.add(counters),
                Some(_) | None => services.push((&it.id.service, counters.clone())),
            }
        }
        // A part of a service is not the service.
        let services = services
            .into_iter()
            .filter(|(key, _)| wants(ObjectId::Service((*key).clone())))
            .map(|(key, sum)| (' ', (view.service_name(key), sum, look)))
            .collect();
        Ok(Self {
            instances,
            servers,
            routers,
            services,
            machines,
            shown,
        })
    }

    fn json(&self, view: &View<'_>) -> Value {
        serde_json::json!({
            "vrrp": json::list(&self.instances, |it| json::instance_stats(view, it)),
            "servers": json::list(&self.servers, |it| json::server_stats(view, it)),
        })
    }

    /// A table each of instances, services and servers.
    pub(crate) fn lines(&self, look: &Look) -> Vec<String> {
        let Shown {
            rate, total, errors, ..
        } = self.shown;
        let mut tables = Vec::new();
        if errors {
            tables.push(Grid::new(&error_columns(), &self.routers));
        } else {
            if !rate {
                tables.push(Grid::new(&router_columns(), &self.routers));
            }
            tables.push(Grid::new(&server_columns("SERVICE", rate, total), &self.services));
            tables.push(Grid::new(&server_columns("SERVER", rate, total), &self.machines));
        }
        let mut lines = Vec::new();
        for table in tables.into_iter().filter(|table| !table.rows.is_empty()) {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(table.lines(look));
        }
        if lines.is_empty() && errors {
            lines.push("no advert was refused".into());
        }
        lines
    }
}

fn error_columns<'a>() -> Vec<Column<Routers<'a>>> {
    vec![
        Column::left("INSTANCE", 0, |row: &Routers<'_>| row.0.clone()),
        Column::right("RECEIVED", 0, |row| row.2.number(row.1.adverts_received)),
        Column::left("REJECTED", 0, rejected),
    ]
}

fn router_columns<'a>() -> Vec<Column<Routers<'a>>> {
    vec![
        Column::left("INSTANCE", 0, |row: &Routers<'_>| row.0.clone()),
        Column::right("SENT", 0, |row| row.2.number(row.1.adverts_sent)),
        Column::right("RECEIVED", 0, |row| row.2.number(row.1.adverts_received)),
        Column::right("BECAME-MASTER", 3, |row| row.2.number(row.1.became_master)),
        Column::right("RELEASED", 3, |row| row.2.number(row.1.released_master)),
        Column::right("ZERO-SENT", 1, |row| row.2.number(row.1.priority_zero_sent)),
        Column::right("ZERO-RECEIVED", 2, |row| {
            row.2.number(row.1.priority_zero_received)
        }),
        Column::left("REJECTED", 0, rejected),
    ]
}

/// `ttl=3,checksum=1`, or `-`.
fn rejected(row: &Routers<'_>) -> String {
    let reasons: Vec<String> = row
        .1
        .rejected
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| format!("{}={count}", escape(reason)))
        .collect();
    if reasons.is_empty() {
        "-".into()
    } else {
        reasons.join(",")
    }
}

/// What was counted, and what it is per second; both unless one of them is wanted.
fn server_columns<'a>(name: &'static str, rate: bool, total: bool) -> Vec<Column<Servers<'a>>> {
    let mut columns = vec![Column::left(name, 0, |row: &Servers<'_>| row.0.clone())];
    if !rate {
        columns.extend([
            Column::right("CONNS", 0, |row: &Servers<'_>| row.2.number(row.1.connections)),
            Column::right("IN-PACKETS", 1, |row| row.2.rate(row.1.packets_in)),
            Column::right("OUT-PACKETS", 1, |row| row.2.rate(row.1.packets_out)),
            Column::right("IN-BYTES", 0, |row| row.2.rate(row.1.bytes_in)),
            Column::right("OUT-BYTES", 0, |row| row.2.rate(row.1.bytes_out)),
        ]);
    }
    if !total {
        columns.extend([
            Column::right("CPS", 0, |row: &Servers<'_>| {
                row.2.number(row.1.connections_per_s)
            }),
            Column::right("IN/S", 0, |row| row.2.rate(row.1.bytes_in_per_s)),
            Column::right("OUT/S", 0, |row| row.2.rate(row.1.bytes_out_per_s)),
        ]);
    }
    columns
}
