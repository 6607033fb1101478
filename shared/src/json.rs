//! The JSON form of everything a client is told: what the socket's lines carry and `lbctl -o json` prints.
//!
//! Fields are only ever added. States are lower-case words, moments RFC 3339 in UTC with milliseconds, spans numbers
//! with their unit in the name; what is not there or not measured is `null`.

use crate::diagnostic::{Diagnostic, Severity};
use crate::event::{Actor, Event, Numbered, What};
use crate::names::Family;
use crate::problems::{self, Problem};
use crate::request::{Acted, Hello, Outcome, Refusal, Reloaded};
use crate::state::{
    CheckView, GroupView, InstanceView, Object, Override, OverrideKind, Pin, Programmed, ServerView,
    ServiceView, State, TrackerView,
};
use crate::units::Mono;
use crate::view::{View, rfc3339};
use crate::whatif::{Facts, Foreseen};
use crate::why::Why;
use serde_json::{Map, Value, json};

/// The version in `"v"`.
pub const VERSION: u64 = 1;

fn moment(view: &View<'_>, at: Mono) -> Value {
    rfc3339(view.wall(at)).into()
}

/// Several objects of one kind.
pub fn list<T>(items: impl IntoIterator<Item = T>, form: impl Fn(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(form).collect())
}

/// The head of a status, its problems, overrides and totals.
pub fn status(view: &View<'_>) -> Value {
    let agent = &view.state.agent;
    let tally = |tally: problems::Tally| -> Value {
        tally
            .into_iter()
            .map(|(word, count)| (word.to_lowercase(), json!(count)))
            .collect::<Map<_, _>>()
            .into()
    };
    json!({
        "agent": {
            "host": agent.host,
            "version": agent.version,
            "pid": agent.pid,
            "since": moment(view, Mono::ZERO),
            "stopping": agent.stopping,
            "ipvs_missing": agent.ipvs_missing,
            "kernel_trouble": agent.kernel_trouble,
            "sync": agent.sync.as_ref().map(|it| json!({
                "interface": it.interface,
                "id": it.id,
                "instance": it.instance.as_ref().map(|name| &name.0),
                "sends": it.sends,
                "takes": it.takes,
            })),
        },
        "config": config(view),
        "problems": list(problems::problems(view), |it| problem(view, &it)),
        "overrides": list(view.state.overrides.values(), |it| change(view, it)),
        "vrrp": tally(problems::instances(view.state)),
        "services": tally(view.service_tally()),
        "servers": tally(view.server_tally()),
        "traffic": view.totals().map(|totals| json!({
            "active": totals.active,
            "inactive": totals.inactive,
            "cps": totals.connections_per_s,
            "in_bps": totals.bytes_in_per_s,
            "out_bps": totals.bytes_out_per_s,
        })),
    })
}

/// The configuration in force.
pub fn config(view: &View<'_>) -> Value {
    let config = &view.state.agent.config;
    json!({
        "file": config.file,
        "revision": config.revision,
        "loaded": moment(view, config.loaded_at),
        "warnings": config.warnings,
        "refused": config.refused,
        "unconfirmed": config.unconfirmed.as_ref().map(|it| json!({
            "until": moment(view, it.until),
            "actor": actor(&it.actor),
        })),
        "restored": config.restored,
    })
}

/// One problem. `object` is its name, `id` the canonical form.
pub fn problem(view: &View<'_>, it: &Problem) -> Value {
    json!({
        "state": it.state.to_lowercase(),
        "object": it.name,
        "id": it.object.to_string(),
        "since": it.since.map(|at| moment(view, at)),
        "text": it.text,
        "also": list(&it.also, |id| view.server_name(id).into()),
    })
}

/// An instance.
pub fn instance(view: &View<'_>, it: &InstanceView) -> Value {
    let counters = view.instance_counters(&it.name);
    json!({
        "name": it.name.0,
        "id": format!("vrrp:{}", it.name),
        "state": it.state,
        "second_master": it.second_master,
        "since": moment(view, it.since),
        "why": it.why,
        "faults": it.faults,
        "group": it.group.as_ref().map(|name| &name.0),
        "interface": it.interface,
        "vmac": it.vmac,
        "vrid": it.vrid,
        "family": it.family,
        "version": it.version,
        "unicast": it.unicast,
        "priority": {"base": it.base_priority, "effective": it.effective_priority},
        "override": pin(it.pin),
        "master": it.master.as_ref().map(|master| json!({
            "address": master.address.to_string(),
            "priority": master.priority,
            "host": view.peer(master.address),
        })),
        "refused": it.refused.as_ref().map(|it| json!({
            "source": it.source.to_string(),
            "why": it.why,
            "at": moment(view, it.at),
        })),
        "heard": counters.and_then(|counters| counters.heard_at).map(|at| moment(view, at)),
        "advert_interval_ms": ms(it.advert_interval_us),
        "master_down_ms": ms(it.master_down_us),
        "preempt": it.preempt,
        "preempt_delay_ms": ms(it.preempt_delay_us),
        "addresses": it.addresses,
        "trackers": list(&it.terms, |term| json!({
            "kind": term.tracker.kind(),
            "name": term.tracker.name(),
            "delta": term.delta,
            "weight": term.weight,
            "ok": term.ok,
            "since": moment(view, term.since),
            "detail": term.detail,
        })),
    })
}

/// Milliseconds, as a whole number where they are.
fn ms(us: u64) -> Value {
    if us.is_multiple_of(1_000) {
        json!(us / 1_000)
    } else {
        json!(us as f64 / 1_000.0)
    }
}

fn pin(pin: Option<Pin>) -> &'static str {
    match pin {
        None => "none",
        Some(Pin::Promoted) => "promoted",
        Some(Pin::Demoted) => "demoted",
        Some(Pin::DemotedHard) => "demoted-hard",
    }
}

/// A sync group.
pub fn group(view: &View<'_>, it: &GroupView) -> Value {
    json!({
        "name": it.name.0,
        "id": format!("group:{}", it.name),
        "state": it.state,
        "since": moment(view, it.since),
        "members": list(&it.members, |name| name.0.clone().into()),
    })
}

/// A tracker.
pub fn tracker(view: &View<'_>, it: &TrackerView) -> Value {
    json!({
        "kind": it.name.kind(),
        "name": it.name.name(),
        "id": format!("{}:{}", it.name.kind(), it.name.name()),
        "ok": it.ok,
        "since": moment(view, it.since),
        "detail": it.detail,
    })
}

/// A service.
pub fn service(view: &View<'_>, it: &ServiceView) -> Value {
    let totals = view.service_totals(&it.key);
    let (up, all) = view.up_of(&it.key);
    let (programmed, trouble) = match &it.programmed {
        Programmed::Yes => ("yes", None),
        Programmed::Pending => ("pending", None),
        Programmed::Unavailable => ("unavailable", None),
        Programmed::Failed(error) => ("failed", Some(error)),
    };
    json!({
        "name": view.service_name(&it.key),
        "id": format!("vs:{}", it.key),
        "address": it.key.to_string(),
        "entries": list(&it.entries, |key| key.to_string().into()),
        "state": it.state,
        "since": moment(view, it.since),
        "scheduler": it.scheduler,
        "method": it.method,
        "persistence_s": it.persistence_s,
        "quorum": it.quorum,
        "hysteresis": it.hysteresis,
        "live_weight": it.live_weight,
        "up": up,
        "all": all,
        "sorry": it.sorry.map(|server| server.to_string()),
        "programmed": programmed,
        "programmed_error": trouble,
        "vrrp": it.instance.as_ref().map(|name| &name.0),
        "active": totals.map(|totals| totals.active),
        "inactive": totals.map(|totals| totals.inactive),
        "cps": totals.map(|totals| totals.connections_per_s),
        "in_bps": totals.map(|totals| totals.bytes_in_per_s),
        "out_bps": totals.map(|totals| totals.bytes_out_per_s),
    })
}

/// A server.
pub fn server(view: &View<'_>, it: &ServerView) -> Value {
    let counters = view.server_counters(&it.id);
    json!({
        "name": view.server_name(&it.id),
        "id": it.id.to_string(),
        "service": view.service_name(&it.id.service),
        "address": it.id.server.address.to_string(),
        "port": it.id.server.port,
        "state": it.word().to_lowercase(),
        "health": it.health,
        "admin": it.admin,
        "weight": {
            "configured": it.configured.get(),
            "effective": it.effective.map(|weight| weight.get()),
            "source": it.source,
        },
        "since": moment(view, it.since),
        "reason": it.reason,
        "checks": list(&it.checks, check),
        "drain": it.drain.as_ref().map(|drain| json!({
            "since": moment(view, drain.since),
            "deadline": drain.deadline.map(|at| moment(view, at)),
            "active_at_start": drain.active_at_start,
            "left": counters.map(|counters| drain.left(counters)),
            "inactive": drain.inactive,
            "eta_s": counters.and_then(|counters| counters.drain_eta_s),
        })),
        "override": view.server_override(&it.id).map(|it| change(view, it)),
        "active": counters.map(|counters| counters.active),
        "inactive": counters.map(|counters| counters.inactive),
        "persistent": counters.map(|counters| counters.persistent),
        "cps": counters.map(|counters| counters.connections_per_s),
        "in_bps": counters.map(|counters| counters.bytes_in_per_s),
        "out_bps": counters.map(|counters| counters.bytes_out_per_s),
        "check_ms": counters.and_then(|counters| counters.check_us).map(ms),
    })
}

fn check(it: &CheckView) -> Value {
    json!({"kind": it.kind, "target": it.target, "ok": it.ok, "detail": it.detail})
}

/// An operator's change.
pub fn change(view: &View<'_>, it: &Override) -> Value {
    let (then, weight) = match it.kind {
        OverrideKind::Drain { then, .. } => (Some(then), None),
        OverrideKind::Weight(weight) => (None, Some(weight.get())),
        OverrideKind::Disable | OverrideKind::Pin(_) | OverrideKind::Ramp { .. } => (None, None),
    };
    json!({
        "kind": it.kind.word(),
        "object": view.target_name(&it.target),
        "id": it.target.to_string(),
        "then": then,
        "inactive": matches!(it.kind, OverrideKind::Drain { inactive: true, .. }),
        "weight": weight,
        "hard": it.kind == OverrideKind::Pin(Pin::DemotedHard),
        "actor": actor(&it.actor),
        "at": rfc3339(it.at_wall_ms),
        "until": it.until_wall_ms.map(rfc3339),
        "message": it.message,
        "dormant": it.dormant.is_some(),
        "dormant_since": it.dormant.map(|dormant| rfc3339(dormant.since_wall_ms)),
    })
}

/// What is under way on a server: the only operations that last are drains.
pub fn operation(view: &View<'_>, it: &ServerView) -> Value {
    let counters = view.server_counters(&it.id);
    json!({
        "kind": "drain",
        "object": view.server_name(&it.id),
        "id": it.id.to_string(),
        "since": it.drain.as_ref().map(|drain| moment(view, drain.since)),
        "deadline": it.drain.as_ref().and_then(|drain| drain.deadline).map(|at| moment(view, at)),
        "active": counters.map(|counters| counters.active),
        "inactive": counters.map(|counters| counters.inactive),
        "left": it.drain.as_ref().zip(counters).map(|(drain, counters)| drain.left(counters)),
        "active_at_start": it.drain.as_ref().map(|drain| drain.active_at_start),
        "eta_s": counters.and_then(|counters| counters.drain_eta_s),
    })
}

/// Who did something.
pub fn actor(it: &Actor) -> Value {
    json!({"user": it.user, "uid": it.uid, "pid": it.pid})
}

/// One object of any kind.
pub fn object(view: &View<'_>, it: &Object) -> Value {
    match it {
        Object::Agent(_) => status(view)["agent"].take(),
        Object::Instance(it) => instance(view, it),
        Object::Group(it) => group(view, it),
        Object::Tracker(it) => tracker(view, it),
        Object::Service(it) => service(view, it),
        Object::Server(it) => server(view, it),
        Object::Override(it) => change(view, it),
    }
}

/// The whole state.
pub fn state(view: &View<'_>) -> Value {
    let state: &State = view.state;
    json!({
        "status": status(view),
        "vrrp": list(state.instances.values(), |it| instance(view, it)),
        "groups": list(state.groups.values(), |it| group(view, it)),
        "trackers": list(state.trackers.values(), |it| tracker(view, it)),
        "services": list(view.services(), |it| service(view, it)),
        "servers": list(view.servers(), |it| server(view, it)),
    })
}

/// An explanation.
pub fn why(view: &View<'_>, it: &Why) -> Value {
    json!({
        "object": it.name,
        "id": it.object.to_string(),
        "state": it.state.to_lowercase(),
        "since": it.since.map(|at| moment(view, at)),
        "sentence": it.sentence,
        "terms": list(&it.terms, |row| json!({
            "kind": row.kind,
            "name": row.name,
            "value": row.value,
            "delta": row.delta,
            "ok": row.ok,
            "since": row.since.map(|at| moment(view, at)),
            "detail": row.text,
        })),
        "blockers": it.blockers,
        "returns_when": list(&it.returns, |(label, what)| json!({"how": label, "what": what})),
        "text": it.lines(80),
    })
}

/// What is counted for an instance, with every reason for which an advert was refused.
pub fn instance_stats(view: &View<'_>, it: &InstanceView) -> Value {
    view.instance_counters(&it.name).map_or(Value::Null, |counters| {
        json!({
            "name": it.name.0,
            "id": format!("vrrp:{}", it.name),
            "adverts_sent": counters.adverts_sent,
            "adverts_received": counters.adverts_received,
            "became_master": counters.became_master,
            "released_master": counters.released_master,
            "priority_zero_sent": counters.priority_zero_sent,
            "priority_zero_received": counters.priority_zero_received,
            "rejected": counters.rejected,
            "sent": counters.sent_at.map(|at| moment(view, at)),
            "heard": counters.heard_at.map(|at| moment(view, at)),
        })
    })
}

/// What the kernel counts for a server.
pub fn server_stats(view: &View<'_>, it: &ServerView) -> Value {
    view.server_counters(&it.id).map_or(Value::Null, |counters| {
        json!({
            "name": view.server_name(&it.id),
            "id": it.id.to_string(),
            "active": counters.active,
            "inactive": counters.inactive,
            "persistent": counters.persistent,
            "connections": counters.connections,
            "packets_in": counters.packets_in,
            "packets_out": counters.packets_out,
            "bytes_in": counters.bytes_in,
            "bytes_out": counters.bytes_out,
            "cps": counters.connections_per_s,
            "in_bps": counters.bytes_in_per_s,
            "out_bps": counters.bytes_out_per_s,
        })
    })
}

/// The line of a stream for one event, without `v` and `id`.
pub fn event(view: &View<'_>, it: &Numbered) -> Value {
    json!({
        "seq": it.seq,
        "t": rfc3339(it.wall_ms),
        "event": event_body(view, &it.event),
    })
}

fn event_body(view: &View<'_>, it: &Event) -> Value {
    let (from, to) = match it.text.split_once(" -> ") {
        Some((from, to)) if is_word(from) && is_word(to) => {
            (Some(from.to_lowercase()), Some(to.to_lowercase()))
        }
        _ => (None, None),
    };
    json!({
        "kind": it.what.topic(),
        "what": it.what.name(),
        "level": level(it.what),
        "object": view.object_name(&it.object),
        "id": it.object.to_string(),
        "from": from,
        "to": to,
        "text": it.text,
        "why": it.why,
        "actor": it.actor.as_ref().map(actor),
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c == '2')
}

fn level(what: What) -> &'static str {
    match what.level() {
        crate::event::Level::Debug => "debug",
        crate::event::Level::Info => "info",
        crate::event::Level::Notice => "notice",
        crate::event::Level::Warning => "warning",
        crate::event::Level::Error => "error",
    }
}

/// What an act did.
pub fn acted(view: &View<'_>, it: &Acted) -> Value {
    json!({
        "dry_run": it.dry_run,
        "op": format!("op-{}", it.op),
        "targets": list(&it.targets, |report| {
            let (outcome, detail) = match &report.outcome {
                Outcome::Done => ("done", None),
                Outcome::Skipped(why) => ("skipped", Some(why)),
                Outcome::Failed(why) => ("failed", Some(why)),
            };
            json!({
                "object": view.target_name(&report.target),
                "id": report.target.to_string(),
                "outcome": outcome,
                "detail": detail,
                "change": report.change,
                "active": report.active,
            })
        }),
        "effects": it.effects,
        "warnings": it.warnings,
    })
}

/// What would happen. `events`: as they were asked for.
pub fn foreseen(view: &View<'_>, events: &[String], it: &Foreseen) -> Value {
    json!({
        "events": events,
        "for_s": seconds(it.for_ms),
        "changes": list(&it.changes, |change| json!({
            "object": change.object.to_string(),
            "name": view.object_name(&change.object),
            "at_s": seconds(change.at_ms),
            "from": facts(&change.from),
            "to": facts(&change.to),
            "why": change.why,
        })),
        "moves": list(&it.moves, |it| json!({
            "address": it.address,
            "instance": it.instance.0,
            "from": it.from,
            "to": it.to,
        })),
        "scripts": it.scripts,
        "unchanged": list(&it.unchanged, |id| id.to_string().into()),
        "notes": it.notes,
    })
}

fn seconds(ms: u64) -> Value {
    // Thousandths are exact enough in a double for a span of hours.
    json!(ms as f64 / 1_000.0)
}

fn facts(it: &Facts) -> Value {
    match it {
        Facts::Instance { state, priority } => json!({"state": state, "priority": priority}),
        Facts::Group { state } => json!({"state": state}),
        Facts::Tracker { ok } => json!({"ok": ok}),
        Facts::Service { state, live_weight } => json!({"state": state, "live_weight": live_weight}),
        Facts::Server { word, weight } => json!({"state": word.to_lowercase(), "weight": weight}),
        Facts::Absent => Value::Null,
    }
}

/// What a reload changed.
pub fn reloaded(it: &Reloaded) -> Value {
    json!({
        "dry_run": it.dry_run,
        "revision": it.revision,
        "changes": it.changes,
        "moves_address": !it.moves.is_empty(),
        "moves": it.moves,
        "cut": it.cut.iter().map(|(object, connections)| json!({"object": object, "connections": connections}))
            .collect::<Vec<_>>(),
        "findings": list(&it.findings, diagnostic),
        "confirm_within_s": it.confirm_within_ms.map(|ms| ms as f64 / 1e3),
    })
}

/// A finding of the configuration.
pub fn diagnostic(it: &Diagnostic) -> Value {
    let place = it.place.clone().unwrap_or_default();
    json!({
        "code": it.code,
        "severity": it.severity,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "object": it.object,
        "message": it.message,
        "advice": it.notes.join(" "),
    })
}

/// Findings with their numbers by severity.
pub fn findings(all: &[Diagnostic]) -> Value {
    let count = |severity| all.iter().filter(|it| it.severity == severity).count();
    json!({
        "findings": list(all, diagnostic),
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "hints": count(Severity::Hint),
    })
}

/// Who answers.
pub fn hello(it: &Hello) -> Value {
    json!({
        "agent": it.agent,
        "host": it.host,
        "role": it.role,
        "protocol": VERSION,
        "frames": crate::frame::VERSION.to_string(),
        "features": ["rows", "watch", "fifo", "wait", "what-if", "metrics", "history", "at", "schema"],
    })
}

/// This agent as one of several hosts. Agents do not talk to each other: who wants all asks each.
pub fn host(view: &View<'_>, role: crate::request::Role) -> Value {
    let agent = &view.state.agent;
    json!({
        "host": agent.host,
        "state": if agent.stopping { "stopping" } else { "live" },
        "agent": agent.version,
        "protocol": VERSION,
        "frames": crate::frame::VERSION.to_string(),
        "role": role,
        "t": rfc3339(view.wall_ms),
        "since": moment(view, Mono::ZERO),
    })
}

/// Why nothing was done.
pub fn refusal(it: &Refusal) -> Value {
    let details: Map<String, Value> = it.details.iter().fold(Map::new(), |mut map, (name, value)| {
        // The same name twice makes a list, as the candidates of an ambiguous name do.
        match map.get_mut(name) {
            None => drop(map.insert(name.clone(), value.clone().into())),
            Some(Value::Array(list)) => list.push(value.clone().into()),
            Some(first) => *first = json!([first.take(), value]),
        }
        map
    });
    json!({
        "code": it.code.word(),
        "exit": it.code.exit(),
        "message": it.message,
        "hint": it.hint,
        "details": details,
    })
}

/// One document for programs: `{"v":1,"host":…,"data":…}`.
pub fn document(host: &str, data: Value) -> Value {
    json!({"v": VERSION, "host": host, "data": data})
}

/// `51`, or `51/6` for IPv6: the two families number their routers apart.
pub fn vrid(vrid: u8, family: Family) -> String {
    match family {
        Family::Inet => vrid.to_string(),
        Family::Inet6 => format!("{vrid}/6"),
    }
}

/// The word of a weight's source.
pub fn source_word(source: crate::state::WeightSource) -> &'static str {
    match source {
        crate::state::WeightSource::Config => "config",
        crate::state::WeightSource::Operator => "operator",
        crate::state::WeightSource::Dynamic => "dynamic",
        crate::state::WeightSource::Inhibit => "inhibit",
    }
}
