//! `stats`: what was counted.

use super::list::document;
use super::since;
use crate::args::{Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::Trouble;
use lb_shared::counters::{InstanceCounters, ServerCounters};
use lb_shared::json;
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::select;
use lb_shared::state::ObjectId;
use lb_shared::text::{escape, span};
use lb_shared::view::View;
use std::collections::BTreeSet;
use std::time::Duration;

type Routers<'a> = (String, &'a InstanceCounters, &'a Look);
type Servers<'a> = (String, &'a ServerCounters, &'a Look);

pub(crate) fn run(
    global: &Global,
    look: &Look,
    out: &mut Out,
    targets: &[String],
    since_last: bool,
) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let (snapshot, counters) = connect::look(&mut client, connect::at(global, look)?)?;
    let Some(counters) = counters else {
        return Err(Refusal::new(RefusalCode::Busy, "the agent gave no counters", "try again").into());
    };
    let host = &snapshot.state.agent.host;
    let counters = match since_last {
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
    let view = View::of(&snapshot).with_counters(Some(&counters));
    let chosen: Option<BTreeSet<ObjectId>> = if targets.is_empty() {
        None
    } else {
        Some(select::objects(&view, targets)?.into_iter().collect())
    };
    let wants = |id: ObjectId| chosen.as_ref().is_none_or(|chosen| chosen.contains(&id));
    let instances: Vec<_> = view
        .state
        .instances
        .values()
        .filter(|it| wants(ObjectId::Instance(it.name.clone())))
        .collect();
    let servers: Vec<_> = view
        .servers()
        .filter(|it| {
            wants(ObjectId::Server(it.id.clone())) || wants(ObjectId::Service(it.id.service.clone()))
        })
        .collect();
    if matches!(global.output, Output::Json | Output::Jsonl | Output::Name) {
        let data = serde_json::json!({
            "vrrp": json::list(instances, |it| json::instance_stats(&view, it)),
            "servers": json::list(servers, |it| json::server_stats(&view, it)),
        });
        return document(out, look, &json::document(&snapshot.state.agent.host, data));
    }
    let routers: Vec<(char, Routers<'_>)> = instances
        .iter()
        .filter_map(|it| Some((' ', (escape(&it.name.0), view.instance_counters(&it.name)?, look))))
        .collect();
    let machines: Vec<(char, Servers<'_>)> = servers
        .iter()
        .filter_map(|it| {
            Some((
                ' ',
                (view.server_name(&it.id), view.server_counters(&it.id)?, look),
            ))
        })
        .collect();
    if !routers.is_empty() {
        for line in Grid::new(&router_columns(), &routers).lines(look) {
            out.line(&line)?;
        }
    }
    if !routers.is_empty() && !machines.is_empty() {
        out.line("")?;
    }
    if !machines.is_empty() {
        for line in Grid::new(&server_columns(), &machines).lines(look) {
            out.line(&line)?;
        }
    }
    Ok(())
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

fn server_columns<'a>() -> Vec<Column<Servers<'a>>> {
    vec![
        Column::left("SERVER", 0, |row: &Servers<'_>| row.0.clone()),
        Column::right("CONNS", 0, |row| row.2.number(row.1.connections)),
        Column::right("IN-PACKETS", 1, |row| row.2.rate(row.1.packets_in)),
        Column::right("OUT-PACKETS", 1, |row| row.2.rate(row.1.packets_out)),
        Column::right("IN-BYTES", 0, |row| row.2.rate(row.1.bytes_in)),
        Column::right("OUT-BYTES", 0, |row| row.2.rate(row.1.bytes_out)),
        Column::right("CPS", 0, |row| row.2.number(row.1.connections_per_s)),
        Column::right("IN/S", 0, |row| row.2.rate(row.1.bytes_in_per_s)),
        Column::right("OUT/S", 0, |row| row.2.rate(row.1.bytes_out_per_s)),
    ]
}
