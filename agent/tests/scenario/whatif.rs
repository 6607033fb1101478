//! What would happen if: a copy of the engine is asked, and then it is tried.

use crate::node::{
    Node, Start, by_script, instance_of, ip, model, script_chk, server_key, service, service_key,
};
use crate::operators::{server, vi_1};
use lb_shared::names::ServerId;
use lb_shared::request::{Act, RefusalCode, Verb};
use lb_shared::state::{DrainThen, ObjectId, ServiceState, VrrpState};
use lb_shared::whatif::{Facts, Foreseen, Foretold, Suppose, WhatIf};
use lbagent::engine::{Input, NetNews, foresee};
use lbagent::model::{Model, NotifyScripts, Script};
use lbagent::wire::LinkIndex;
use std::sync::Arc;
use std::time::Duration;

const FOR: Duration = Duration::from_secs(30);

fn ask(node: &Node, events: Vec<Suppose>) -> Foreseen {
    let asked = WhatIf {
        events,
        for_ms: 30_000,
    };
    foresee(node.engine.clone(), node.now, 1_000_000, &asked).expect("a question that makes sense")
}

fn of<'a>(foreseen: &'a Foreseen, id: &ObjectId) -> Vec<&'a Foretold> {
    foreseen
        .changes
        .iter()
        .filter(|change| change.object == *id)
        .collect()
}

fn vi() -> ObjectId {
    ObjectId::Instance("VI_1".into())
}

/// Master for a while, with a script that moves the priority by -20.
fn tracked() -> Model {
    let mut model = model(100, service("rr", 2));
    model.scripts.insert("chk".into(), Arc::new(script_chk()));
    let instance = instance_of(&mut model);
    instance.tracking = by_script(-20);
    instance.notify = NotifyScripts {
        any: Some(Script {
            argv: vec!["/bin/notify".into()],
            user: None,
        }),
        ..NotifyScripts::default()
    };
    model
}

fn settled(model: Model) -> Node {
    let mut node = Start::with(model).go();
    node.run_for(Duration::from_secs(20), &[]);
    node
}

#[test]
fn nothing_supposed_changes_nothing_and_the_engine_that_was_asked_is_as_before() {
    let node = settled(model(100, service("rr", 2)));
    let before = node.engine.state().clone();
    let foreseen = ask(&node, vec![]);
    assert_eq!(foreseen.changes, []);
    assert_eq!((foreseen.moves.len(), foreseen.scripts.len()), (0, 0));
    assert!(foreseen.unchanged.contains(&vi()));
    assert_eq!(*node.engine.state(), before);
}

#[test]
fn an_interface_that_goes_down_is_foreseen_as_it_then_comes() {
    let mut node = settled(tracked());
    let foreseen = ask(
        &node,
        vec![Suppose::Interface {
            name: "eth0".into(),
            up: false,
        }],
    );
    let told = of(&foreseen, &vi());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].at_ms, told[0].why.as_str()),
        (0, "interface eth0 is down")
    );
    assert_eq!(foreseen.moves.len(), 1);
    assert_eq!(
        (foreseen.moves[0].from.as_str(), foreseen.moves[0].to.as_str()),
        ("lb1", "nobody")
    );
    assert_eq!(foreseen.scripts, ["/bin/notify INSTANCE VI_1 FAULT 100"]);

    let mut link = node.net.links[&LinkIndex(2)].clone();
    link.running = false;
    node.feed(Input::Net(NetNews::Link(link)));
    node.run_for(FOR, &[]);
    let view = node.view();
    let came = Facts::Instance {
        state: view.state,
        priority: view.effective_priority,
    };
    assert_eq!(told[0].to, came);
    assert_eq!(view.state, VrrpState::Fault);
}

#[test]
fn servers_that_fail_take_their_service_along_when_their_checks_notice() {
    let mut node = settled(model(100, service("rr", 2)));
    let id = |last| ServerId {
        service: service_key(),
        server: server_key(last),
    };
    let events = [1, 2].map(|last| Suppose::Server {
        server: id(last),
        up: false,
    });
    let foreseen = ask(&node, events.to_vec());
    let told = of(&foreseen, &ObjectId::Service(service_key()));
    let last = told.last().expect("the service goes down");
    assert_eq!(
        last.to,
        Facts::Service {
            state: ServiceState::Down,
            live_weight: 0,
        }
    );
    assert!(
        last.at_ms > 0 && last.at_ms <= 3_100,
        "checked every 3 s: {} ms",
        last.at_ms
    );

    let began = node.now;
    node.run_for(
        Duration::from_millis(last.at_ms - 1),
        &[server_key(1), server_key(2)],
    );
    assert_ne!(
        node.engine.state().services[&service_key()].state,
        ServiceState::Down
    );
    node.run_for(Duration::from_millis(2), &[server_key(1), server_key(2)]);
    assert_eq!(
        node.engine.state().services[&service_key()].state,
        ServiceState::Down,
        "{began:?}"
    );
}

#[test]
fn a_failing_script_moves_the_addresses_only_to_a_peer_that_is_better_then() {
    let node = settled(tracked());
    let fails = Suppose::Script {
        name: "chk".into(),
        ok: false,
    };
    let foreseen = ask(&node, vec![fails.clone()]);
    let told = of(&foreseen, &vi());
    assert_eq!(told.len(), 1, "{told:#?}");
    // Every 2 s, three times.
    assert!((4_000..=6_000).contains(&told[0].at_ms), "{}", told[0].at_ms);
    assert_eq!(
        told[0].to,
        Facts::Instance {
            state: VrrpState::Master,
            priority: 80,
        }
    );
    assert!(
        foreseen.notes[0].contains("name one with 'peer ADDRESS priority N'"),
        "{:?}",
        foreseen.notes
    );

    for (priority, moves) in [(70, false), (90, true)] {
        let peer = Suppose::PeerPriority {
            address: ip("192.0.2.2"),
            priority,
        };
        let foreseen = ask(&node, vec![peer, fails.clone()]);
        let last = of(&foreseen, &vi())
            .pop()
            .expect("its priority changes")
            .to
            .clone();
        let state = if moves {
            VrrpState::Backup
        } else {
            VrrpState::Master
        };
        assert_eq!(last, Facts::Instance { state, priority: 80 }, "{priority}");
        let to: Vec<_> = foreseen.moves.iter().map(|it| it.to.as_str()).collect();
        assert_eq!(to, if moves { vec!["192.0.2.2"] } else { vec![] }, "{priority}");
    }
}

#[test]
fn a_master_that_falls_silent_is_followed_after_the_down_interval() {
    let mut node = settled(model(100, service("rr", 2)));
    // A better master comes, and is heard.
    let better = Suppose::PeerPriority {
        address: ip("192.0.2.2"),
        priority: 200,
    };
    let foreseen = ask(&node, vec![better]);
    assert_eq!(foreseen.moves[0].to, "192.0.2.2");
    let advert = crate::node::advert_of(&node, 200, "192.0.2.2");
    node.feed(Input::Datagram(advert));
    assert_eq!(node.state(), VrrpState::Backup);

    let silent = Suppose::PeerSilent {
        address: ip("192.0.2.2"),
    };
    let foreseen = ask(&node, vec![silent]);
    let told = of(&foreseen, &vi());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].at_ms, 3_609, "3 x 1 s and the skew of 100");
    assert_eq!(
        (foreseen.moves[0].from.as_str(), foreseen.moves[0].to.as_str()),
        ("192.0.2.2", "lb1")
    );
    // While it is heard, nothing changes.
    assert_eq!(ask(&node, vec![]).changes, []);
}

#[test]
fn an_operators_change_is_foreseen_with_its_refusal() {
    let node = settled(model(100, service("rr", 2)));
    let act = |verb, target, force| {
        Suppose::Act(Act {
            verb,
            targets: vec![target],
            dry_run: false,
            force,
            message: String::new(),
            key: None,
        })
    };
    let drain = Verb::Drain {
        timeout_ms: None,
        then: DrainThen::Keep,
        inactive: false,
    };
    let foreseen = ask(&node, vec![act(drain, server(1), false)]);
    let told = of(
        &foreseen,
        &ObjectId::Server(match server(1) {
            lb_shared::state::Target::Server(id) => id,
            other => panic!("{other:?}"),
        }),
    );
    assert!(
        matches!(&told[0].to, Facts::Server { word, .. } if word.starts_with("DRAIN")),
        "{told:?}"
    );
    let foreseen = ask(
        &node,
        vec![act(drain, server(1), false), act(drain, server(2), false)],
    );
    assert!(
        foreseen.notes.iter().any(|note| note.starts_with("refused: ")),
        "{:?}",
        foreseen.notes
    );
    let foreseen = ask(&node, vec![act(Verb::Demote { hard: true }, vi_1(), true)]);
    assert_eq!(foreseen.moves[0].to, "nobody");
    assert_eq!(node.engine.state().overrides.len(), 0);
}

#[test]
fn what_is_not_there_is_named() {
    let node = settled(model(100, service("rr", 2)));
    for event in [
        Suppose::Interface {
            name: "eth9".into(),
            up: false,
        },
        Suppose::Script {
            name: "none".into(),
            ok: true,
        },
        Suppose::PeerSilent {
            address: ip("192.0.2.9"),
        },
        Suppose::PeerPriority {
            address: ip("203.0.113.1"),
            priority: 5,
        },
    ] {
        let asked = WhatIf {
            events: vec![event],
            for_ms: 1_000,
        };
        let refusal = foresee(node.engine.clone(), node.now, 0, &asked).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotFound);
    }
}
