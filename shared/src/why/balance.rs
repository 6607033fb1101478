//! Why a service answers or not, and why a server takes connections or not.

use super::{Row, Why, by_whom, sentence};
use crate::names::{ServerId, ServiceKey};
use crate::problems;
use crate::state::{
    Admin, Health, ObjectId, OverrideKind, Programmed, ServerView, ServiceState, ServiceView, WeightSource,
};
use crate::text::{self, escape, span};
use crate::view::View;

pub(super) fn service(view: &View<'_>, key: &ServiceKey) -> Option<Why> {
    let it = view.state.services.get(key)?;
    let name = view.service_name(key);
    let (up, all) = view.up_of(key);
    let quorum = format!("weight {}, quorum {}", it.live_weight, it.quorum);
    let reason = match it.state {
        ServiceState::Init => "No server has a check result yet.".to_owned(),
        ServiceState::Up => format!("{up} of {all} servers are up ({quorum})."),
        ServiceState::Sorry => format!(
            "{up} of {all} servers are up ({quorum}); the sorry server {} answers.",
            it.sorry.map_or_else(|| "-".to_owned(), |sorry| sorry.to_string())
        ),
        ServiceState::Down => {
            format!("{up} of {all} servers are up ({quorum}), and there is no sorry server.")
        }
    };
    Some(Why {
        object: ObjectId::Service(key.clone()),
        sentence: format!(
            "{name} is {} ({}). {reason}",
            it.state.word(),
            span(view.age(it.since))
        ),
        state: it.state.word(),
        since: Some(it.since),
        terms: service_terms(view, it),
        blockers: service_blockers(view, it),
        heading: if it.state == ServiceState::Up {
            String::new()
        } else {
            "It is UP again".into()
        },
        returns: if it.state == ServiceState::Up {
            Vec::new()
        } else {
            let needed = it.quorum.saturating_add(it.hysteresis);
            vec![(
                "by itself".into(),
                format!("when servers of weight {needed} or more are up"),
            )]
        },
        name,
    })
}

fn service_terms(view: &View<'_>, it: &ServiceView) -> Vec<Row> {
    let mut rows: Vec<Row> = view
        .state
        .servers_of(&it.key)
        .map(|server| {
            let counts = server.in_rotation();
            let mut words = format!("{}, {}", server.word(), span(view.age(server.since)));
            let reason = problems::server_reason(server);
            if !reason.is_empty() {
                words.push_str(&format!(", {reason}"));
            }
            if !counts {
                words.push_str(" (not counted)");
            }
            let mut row = Row::new(
                "server",
                server.id.server.to_string(),
                problems::weight(server),
                words,
            );
            row.delta = Some(server.effective.map_or(0, |weight| weight.get().into()));
            row.ok = Some(counts);
            row.since = Some(server.since);
            row
        })
        .collect();
    rows.push(Row::new("sum", "live weight", it.live_weight, ""));
    let hysteresis = match it.hysteresis {
        0 => String::new(),
        hysteresis => format!("hysteresis {hysteresis}"),
    };
    rows.push(Row::new("quorum", "quorum", it.quorum, hysteresis));
    rows
}

fn service_blockers(view: &View<'_>, it: &ServiceView) -> Vec<String> {
    let mut blockers = Vec::new();
    match &it.programmed {
        Programmed::Yes => {}
        Programmed::Pending => blockers.push("not in the kernel yet".into()),
        Programmed::Unavailable => {
            blockers.push("not available: no ip_vs in this kernel (modprobe ip_vs)".into());
        }
        Programmed::Failed(error) => blockers.push(format!("the kernel refused it: {}", escape(error))),
    }
    if it.state != ServiceState::Up {
        blockers.extend(
            view.state
                .servers_of(&it.key)
                .filter(|server| !server.in_rotation())
                .map(|server| format!("{} is {}", server.id.server, server.word())),
        );
    }
    blockers
}

pub(super) fn server(view: &View<'_>, id: &ServerId) -> Option<Why> {
    let it = view.state.servers.get(id)?;
    let name = view.server_name(id);
    let reason = server_sentence(view, it);
    Some(Why {
        object: ObjectId::Server(id.clone()),
        sentence: format!("{name} is {} ({}). {reason}", it.word(), span(view.age(it.since))),
        state: it.word(),
        since: Some(it.since),
        terms: server_terms(view, it),
        blockers: server_blockers(it),
        heading: if it.in_rotation() {
            "It leaves rotation".into()
        } else {
            "It is in rotation again".into()
        },
        returns: server_returns(it, &name),
        name,
    })
}

fn server_sentence(view: &View<'_>, it: &ServerView) -> String {
    let change = view
        .server_override(&it.id)
        .map_or_else(String::new, |change| format!(" {}", by_whom(view, change)));
    let set = if change.is_empty() { "" } else { ", set" };
    match (it.admin, it.health) {
        (Admin::Disabled, _) => format!("It is disabled{set}{change}."),
        (Admin::Drained, _) => format!("It is drained: no connection is left. Drained{change}."),
        (Admin::Draining, _) => {
            let left = view.server_counters(&it.id).map_or_else(String::new, |counters| {
                format!("; {} connections are left", text::thousands(counters.active))
            });
            format!("It is being drained{set}{change}{left}.")
        }
        (Admin::Enabled, Health::Down) => {
            format!("It failed its check: {}.", sentence(&problems::server_reason(it)))
        }
        (Admin::Enabled, Health::Init) => "It has no check result yet.".into(),
        (Admin::Enabled, Health::None) => "No checker is configured: it counts as up.".into(),
        (Admin::Enabled, Health::Up) if it.in_rotation() => {
            "Its checks pass and it takes new connections.".into()
        }
        (Admin::Enabled, Health::Up) => {
            "Its checks pass, but its weight of 0 keeps new connections away.".into()
        }
    }
}

fn server_terms(view: &View<'_>, it: &ServerView) -> Vec<Row> {
    let mut rows = vec![Row::new("configured", "configured", it.configured, "weight")];
    for check in &it.checks {
        let verdict = match check.ok {
            None => "no result yet".to_owned(),
            Some(true) => "ok".into(),
            Some(false) => escape(&check.detail),
        };
        let mut row = Row::new(
            "check",
            escape(&check.kind),
            "",
            format!("{verdict} ({})", escape(&check.target)),
        );
        row.ok = check.ok;
        rows.push(row);
    }
    let change = view.server_override(&it.id);
    rows.push(Row::new(
        "override",
        "override",
        match change.map(|change| change.kind) {
            Some(OverrideKind::Weight(weight)) => weight.to_string(),
            Some(OverrideKind::Drain { .. }) => "0".into(),
            Some(OverrideKind::Ramp { .. }) => it.effective.map_or_else(|| "-".into(), |it| it.to_string()),
            Some(OverrideKind::Disable | OverrideKind::Pin(_)) | None => "-".into(),
        },
        match change {
            Some(change) => format!("{} {}", change.kind.word(), by_whom(view, change)),
            None => "none".into(),
        },
    ));
    let source = match it.source {
        WeightSource::Config => "as configured",
        WeightSource::Operator if change.is_some_and(|it| matches!(it.kind, OverrideKind::Ramp { .. })) => {
            "rising in steps after an undrain"
        }
        WeightSource::Operator => "set by an operator",
        WeightSource::Dynamic => "set by a check",
        WeightSource::Inhibit => "0 because its check failed (inhibit_on_failure)",
    };
    let (value, source) = match it.effective {
        Some(weight) => (weight.to_string(), source),
        None => ("-".to_owned(), "not in IPVS"),
    };
    rows.push(Row::new("effective", "effective", value, source));
    rows
}

fn server_blockers(it: &ServerView) -> Vec<String> {
    let mut blockers = Vec::new();
    match it.admin {
        Admin::Enabled => {}
        Admin::Draining => blockers.push("draining".to_owned()),
        Admin::Drained => blockers.push("drained".into()),
        Admin::Disabled => blockers.push("disabled".into()),
    }
    if it.health == Health::Down {
        blockers.push(problems::server_reason(it));
    }
    blockers
}

fn server_returns(it: &ServerView, name: &str) -> Vec<(String, String)> {
    let mut ways = Vec::new();
    if it.in_rotation() {
        ways.push(("by hand".to_owned(), format!("lbctl drain {name}")));
        return ways;
    }
    if it.health == Health::Down {
        let when = match it.admin {
            Admin::Enabled => "when its checks pass",
            Admin::Draining | Admin::Drained | Admin::Disabled => "not before its checks pass",
        };
        ways.push(("by itself".into(), when.into()));
    }
    if it.admin != Admin::Enabled {
        ways.push(("by hand".into(), format!("lbctl undrain {name}")));
    } else if it.source == WeightSource::Operator {
        ways.push(("by hand".into(), format!("lbctl weight {name} config")));
    }
    ways
}
