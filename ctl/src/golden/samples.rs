//! Answers of the agent that are not in the fixture: what pages are drawn from.

use super::*;
use crate::verbs::reload;
use lb_shared::history::{CheckEnd, CheckRun, History, HistoryRow, Sample, SampleState, ServerWord};
use lb_shared::request::{Refusal, RefusalCode, Reloaded};
use lb_shared::state::VrrpState;
use lb_shared::trial::{TestEnd, Tested, TestedCheck, TestedServer};
use lb_shared::whatif::{Facts, Foreseen, Foretold, Move};

/// The last answer of a drain that is followed, after a minute of others.
pub(super) fn progress(view: &View<'_>, look: &Look) -> Vec<String> {
    let demo = fixture::demo();
    let mut follow = progress::Follow::new(&demo.snapshot, vec![id_of()]);
    for (ago, active) in [(48, 134), (0, 37)] {
        let mut counters = demo.counters.clone();
        counters.servers.get_mut(&id_of()).unwrap().active = active;
        follow.sample(&counters, view.now - Duration::from_secs(ago));
    }
    match look.width {
        Some(columns) => follow.block(view, columns).to_vec(),
        None => vec![follow.line(view, look)],
    }
}

pub(super) fn last_server() -> Refusal {
    Refusal::new(
        RefusalCode::LastServer,
        "web would keep 0 of 6 servers in rotation (4 in rotation now)",
        "quorum 200, weight after the drain 0: the service would go DOWN\n\
         to see the effect: add --dry-run      to do it anyway: add --force",
    )
}

pub(super) fn fault() -> Refusal {
    Refusal::new(
        RefusalCode::Fault,
        "VI_mgmt is in FAULT: interface eth2 is down",
        "promote cannot lift a fault; mend it or use another node",
    )
}

/// A file with one service more, another quorum and one server less.
pub(super) fn reload(view: &View<'_>) -> Vec<String> {
    let plan = Reloaded {
        dry_run: true,
        revision: 18,
        changes: vec![
            "+ vs:203.0.113.12:443/tcp with 4 servers".into(),
            "~ vs:203.0.113.10:443/tcp quorum 200 -> 300".into(),
            "- rs:203.0.113.10:443/tcp/198.51.100.26:443".into(),
        ],
        cut: [("rs:203.0.113.10:443/tcp/198.51.100.26:443".to_owned(), 3_762)].into(),
        ..Reloaded::default()
    };
    let going: lb_shared::state::State = {
        let mut state = lb_shared::state::State::default();
        let id = "203.0.113.10:443/tcp/198.51.100.26:443".parse().unwrap();
        let server = view.state.servers.get(&id).unwrap();
        state.servers.insert(id, Arc::clone(server));
        state
    };
    let going = View::new(&going, view.now, view.wall_ms);
    let lines = reload::lines(17, &plan, true);
    let mut all = vec![lines[0].clone()];
    all.extend(reload::summary(&plan, &going, view));
    all.extend_from_slice(&lines[1..]);
    all
}

/// Two samples and one run of a check.
pub(super) fn history(demo: &Demo) -> History {
    let now = demo.snapshot.now;
    let at = vec![now - Duration::from_secs(20), now - Duration::from_secs(10)];
    let sample = |active, check_us| {
        Some(Sample {
            state: SampleState::Server(ServerWord::Drain),
            weight: 0,
            active,
            inactive: 12,
            connections_per_s: 0,
            bytes_in_per_s: 9_000,
            bytes_out_per_s: 61_000,
            check_us,
        })
    };
    History {
        step_ms: 10_000,
        now,
        wall_ms: demo.snapshot.wall_ms,
        rows: vec![HistoryRow {
            object: ObjectId::Server(id_of()),
            samples: vec![sample(49, Some(2_100)), sample(37, None)],
            checks: vec![CheckRun {
                at: at[1],
                check: 0,
                ended: CheckEnd::Failed,
                took_us: 2_100,
                why: "status 503, want 200-299".into(),
            }],
        }],
        at,
    }
}

/// One that passes, one that fails, one without checks.
pub(super) fn tested() -> Tested {
    let server = |last: &str, end: Option<(TestEnd, &str)>| TestedServer {
        server: format!("203.0.113.10:443/tcp/{last}:443").parse().unwrap(),
        checks: end
            .map(|(end, detail)| TestedCheck {
                kind: "SSL_GET".into(),
                target: format!("{last}:443 /healthz"),
                end,
                took_us: Some(2_100),
                detail: detail.into(),
                weight: None,
            })
            .into_iter()
            .collect(),
    };
    Tested {
        dry_run: false,
        servers: vec![
            server("198.51.100.21", Some((TestEnd::Passed, ""))),
            server(
                "198.51.100.25",
                Some((TestEnd::Failed, "status 503, want 200-299")),
            ),
            server("198.51.100.26", None),
        ],
    }
}

/// Two that answer, one in the future and with another role, and one that cannot be reached.
pub(super) fn hosts(look: &Look) -> Vec<String> {
    use crate::fleet::{Answer, hosts};
    use crate::trouble::Trouble;
    use lb_shared::client::ClientError;
    use lb_shared::host::Host;
    use lb_shared::request::{Hello, Role};
    let met = |host: &str, role, skew_ms, rtt| hosts::Met {
        hello: Hello {
            agent: "0.4.1".into(),
            host: host.into(),
            role,
        },
        skew_ms,
        rtt: Duration::from_micros(rtt),
    };
    let answer = |name: &str, got| Answer {
        host: Host::parse(&format!("ssh://{name}")).unwrap(),
        name: name.to_owned(),
        got,
    };
    let gone = Trouble::Agent(ClientError::Ssh("ssh: connection timed out".into()));
    let answers = [
        answer("lb1", Ok(met("lb1", Role::Admin, 0, 412))),
        answer("lb2", Ok(met("lb2", Role::Viewer, 1_400, 12_345))),
        answer("lb3", Err(gone)),
    ];
    hosts::lines(&answers, look)
}

/// An interface goes down under a master.
pub(super) fn foreseen() -> Foreseen {
    let facts = |state, priority| Facts::Instance { state, priority };
    Foreseen {
        for_ms: 30_000,
        changes: vec![Foretold {
            object: ObjectId::Instance("VI_edge".into()),
            at_ms: 0,
            from: facts(VrrpState::Master, 150),
            to: facts(VrrpState::Fault, 0),
            why: "interface eth0 is down".into(),
        }],
        moves: vec![Move {
            address: "203.0.113.10/24 dev eth0".into(),
            instance: "VI_edge".into(),
            from: "lb1".into(),
            to: "203.0.113.3".into(),
        }],
        scripts: vec!["/etc/keepalived/notify.sh INSTANCE VI_edge FAULT 150".into()],
        unchanged: vec![ObjectId::Instance("VI_int".into())],
        notes: vec!["203.0.113.3 is taken to be alive, as it was heard".into()],
    }
}
