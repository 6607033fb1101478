//! Each guard rail: it refuses, says why and how to go on, `--dry-run` has the same verdict, `--force` overrides it where
//! that is allowed, and nothing was changed before.

use crate::node::{Did, Node, Start, model, service};
use crate::operators::{server, vi_1};
use lb_shared::expect::{Expected, Facts};
use lb_shared::request::{Act, RefusalCode, Reply, Verb, WeightChange};
use lb_shared::state::{DrainThen, Target};
use lb_shared::units::Weight;
use std::time::Duration;

const DRAIN: Verb = Verb::Drain {
    timeout_ms: None,
    then: DrainThen::Keep,
    inactive: false,
};
const PROMOTE: Verb = Verb::Promote { for_ms: None };

fn act(verb: Verb, targets: &[Target]) -> Act {
    Act {
        verb,
        targets: targets.to_vec(),
        dry_run: false,
        force: false,
        message: String::new(),
        key: None,
    }
}

/// One row: how a node gets there, what is asked, the refusal, and whether `--force` helps.
fn holds(mut node: Node, asked: Act, code: RefusalCode, by_force: bool) {
    node.did.clear();
    for dry_run in [true, false] {
        let asked = Act {
            dry_run,
            ..asked.clone()
        };
        match node.act_with(asked.clone()) {
            Reply::Refused(refusal) => {
                assert_eq!(refusal.code, code, "{asked:?}");
                assert!(
                    !refusal.message.is_empty() && !refusal.hint.is_empty(),
                    "{refusal:?}"
                );
                assert_eq!(refusal.hint.contains("--force"), by_force, "{}", refusal.hint);
            }
            other => panic!("{asked:?} was not refused: {other:?}"),
        }
    }
    let changed = |did: &Did| matches!(did, Did::Persisted | Did::Ipvs(_));
    assert!(node.position(changed).is_none(), "{:?}", node.did);
    let forced = Act {
        force: true,
        ..asked.clone()
    };
    assert_eq!(
        matches!(node.act_with(forced), Reply::Acted(_)),
        by_force,
        "{asked:?}"
    );
}

fn servers(count: u8, quorum: u64) -> Node {
    let mut service = service("rr", count);
    service.quorum = quorum;
    let mut node = Start::with(model(100, service)).go();
    node.run_for(Duration::from_secs(10), &[]);
    node
}

#[test]
fn a_service_keeps_a_server_in_rotation() {
    for verb in [DRAIN, Verb::Disable { cut: false }] {
        let all = [server(1), server(2)];
        holds(servers(2, 1), act(verb, &all), RefusalCode::LastServer, true);
    }
}

#[test]
fn a_service_keeps_its_quorum() {
    for verb in [DRAIN, Verb::Disable { cut: false }] {
        holds(servers(3, 3), act(verb, &[server(1)]), RefusalCode::Quorum, true);
    }
    // A weight that is lowered counts as well.
    let mut service = service("rr", 2);
    service.quorum = 15;
    for server in service.servers.values_mut() {
        std::sync::Arc::make_mut(server).weight = Weight::clamped(10);
    }
    let mut node = Start::with(model(100, service)).go();
    node.run_for(Duration::from_secs(10), &[]);
    let lower = Verb::Weight(WeightChange::To(Weight::clamped(1)));
    holds(node, act(lower, &[server(1)]), RefusalCode::Quorum, true);
}

#[test]
fn checks_that_stand_still_vouch_for_nobody() {
    let stopped = || {
        let mut node = servers(3, 1);
        // The checks begin and none comes back: three intervals of 3 s, and a little.
        node.stand_still(Duration::from_secs(10));
        node
    };
    for verb in [DRAIN, Verb::Disable { cut: false }] {
        holds(stopped(), act(verb, &[server(1)]), RefusalCode::Stale, true);
    }
    // To put a server back is no risk.
    let mut node = stopped();
    let forced = Act {
        force: true,
        ..act(DRAIN, &[server(1)])
    };
    assert!(matches!(node.act_with(forced), Reply::Acted(_)));
    assert!(matches!(
        node.act_with(act(Verb::Undrain, &[server(1)])),
        Reply::Acted(_)
    ));
}

#[test]
fn a_promote_lifts_no_fault_and_fights_no_owner() {
    let mut start = Start::with(model(100, service("rr", 2)));
    start.net.links.values_mut().for_each(|link| link.running = false);
    let mut down = start.go();
    down.run_for(Duration::from_secs(5), &[]);
    holds(down, act(PROMOTE, &[vi_1()]), RefusalCode::Fault, false);
    let mut beside = servers(2, 1);
    beside.hear(255);
    holds(beside, act(PROMOTE, &[vi_1()]), RefusalCode::SplitBrain, false);
}

#[test]
fn a_promote_beside_a_promoted_one_is_refused() {
    let mut node = servers(2, 1);
    node.hear(254);
    holds(node, act(PROMOTE, &[vi_1()]), RefusalCode::SplitBrain, true);
}

#[test]
fn a_hard_demote_without_a_successor_is_refused_and_a_soft_one_tells_of_it() {
    let node = servers(2, 1);
    assert!(node.has_vip());
    let hard = Verb::Demote { hard: true };
    holds(node, act(hard, &[vi_1()]), RefusalCode::NoSuccessor, true);
    let mut node = servers(2, 1);
    match node.act_with(act(Verb::Demote { hard: false }, &[vi_1()])) {
        Reply::Acted(acted) => {
            let effects = format!("{acted:?}");
            assert!(effects.contains("none was heard as master"), "{effects}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_demote_is_not_refused_when_another_master_was_heard_or_this_node_is_none() {
    for hard in [true, false] {
        let demote = || act(Verb::Demote { hard }, &[vi_1()]);
        let mut heard = servers(2, 1);
        heard.hear(50);
        assert!(matches!(heard.act_with(demote()), Reply::Acted(_)));
        let mut backup = servers(2, 1);
        backup.hear(200);
        assert!(!backup.has_vip());
        assert!(matches!(backup.act_with(demote()), Reply::Acted(_)));
    }
}

#[test]
fn a_server_with_connections_is_disabled_only_with_cut() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    let table = node.ipvs.as_mut().unwrap();
    let service = table.services.values_mut().next().unwrap();
    let busy = service.destinations.get_mut(&crate::node::server_key(1)).unwrap();
    busy.counters.active = 7;
    node.run_for(Duration::from_secs(11), &[]);
    let disable = |cut, dry_run| Act {
        dry_run,
        ..act(Verb::Disable { cut }, &[server(1)])
    };
    for dry_run in [true, false] {
        match node.act_with(disable(false, dry_run)) {
            Reply::Refused(refusal) => {
                assert_eq!(refusal.code, RefusalCode::Connections);
                assert!(refusal.hint.contains("--cut"), "{}", refusal.hint);
            }
            other => panic!("not refused: {other:?}"),
        }
    }
    assert_eq!(node.weight(1), Some(1));
    assert!(matches!(node.act_with(disable(true, false)), Reply::Acted(_)));
    assert_eq!(node.weight(1), None);
}

#[test]
fn what_was_seen_has_to_hold_still() {
    let seen = |target: Target, text: &str| {
        vec![Expected {
            target,
            facts: Facts::parse(text).unwrap(),
        }]
    };
    for (verb, target, wrong, right) in [
        (DRAIN, server(1), "state=down", "state=up,weight=1,override=none"),
        (DRAIN, server(1), "weight=2", "weight=1"),
        (
            Verb::Disable { cut: true },
            server(1),
            "override=drain",
            "override=none",
        ),
        (
            Verb::Demote { hard: false },
            vi_1(),
            "state=backup",
            "state=MASTER",
        ),
        (
            Verb::Demote { hard: false },
            vi_1(),
            "priority=99",
            "priority=100",
        ),
        (
            Verb::Weight(WeightChange::To(Weight::clamped(5))),
            server(1),
            "state=drain",
            "state=up",
        ),
    ] {
        let mut node = servers(3, 1);
        node.did.clear();
        for (dry_run, force) in [(true, false), (false, false), (false, true)] {
            let asked = Act {
                dry_run,
                force,
                ..act(verb, std::slice::from_ref(&target))
            };
            match node.act_if(asked, seen(target.clone(), wrong)) {
                Reply::Refused(refusal) => {
                    assert_eq!(refusal.code, RefusalCode::Conflict, "{wrong}");
                    assert!(
                        !refusal.hint.is_empty() && refusal.details.len() == 4,
                        "{refusal:?}"
                    );
                }
                other => panic!("{wrong}: {other:?}"),
            }
        }
        let changed = |did: &Did| matches!(did, Did::Persisted | Did::Ipvs(_));
        assert!(node.position(changed).is_none(), "{wrong}: {:?}", node.did);
        let dry = Act {
            dry_run: true,
            ..act(verb, std::slice::from_ref(&target))
        };
        let reply = node.act_if(dry, seen(target.clone(), right));
        assert!(matches!(reply, Reply::Acted(_)), "{right}: {reply:?}");
    }
    // Of what is not there nothing can be seen.
    let mut node = servers(2, 1);
    let reply = node.act_if(act(DRAIN, &[server(1)]), seen(server(9), "state=up"));
    assert!(matches!(reply, Reply::Refused(refusal) if refusal.code == RefusalCode::Conflict));
}
