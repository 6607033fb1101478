//! BFD sessions: what follows one moves with it.

use crate::node::{Did, NEIGHBOR, Node, Start, instance_of, ip, model, new_model, server_key, service};
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::{ObjectId, VrrpState};
use lb_shared::whatif::{Facts, Suppose, WhatIf};
use lbagent::engine::{Input, StopMode, foresee};
use lbagent::model::{BfdPath, BfdSession, BfdTrack, CheckKind, Model};
use std::sync::Arc;
use std::time::Duration;

const DETECTION: Duration = Duration::from_millis(300);

fn session() -> BfdSession {
    BfdSession {
        name: "peer".into(),
        path: BfdPath {
            neighbor: ip(NEIGHBOR),
            source: None,
            ttl: 255,
            multihop: false,
        },
        min_rx: Duration::from_millis(100),
        min_tx: Duration::from_millis(100),
        idle_tx: Duration::from_secs(1),
        multiplier: 3,
        passive: false,
        ttl_min: 255,
    }
}

/// An instance and the first of two servers follow the session.
fn followed(weight: i32, reverse: bool) -> Model {
    let mut service = service("rr", 2);
    let server = Arc::make_mut(service.servers.get_mut(&server_key(1)).expect("there are two"));
    server.checks[0].kind = CheckKind::Bfd("peer".into());
    server.checks[0].retry = 0;
    let mut model = model(100, service);
    model.sessions.insert("peer".into(), Arc::new(session()));
    let instance = instance_of(&mut model);
    instance.tracking.sessions = vec![BfdTrack {
        session: "peer".into(),
        weight,
        reverse,
    }];
    model
}

fn up(model: Model) -> Node {
    let mut node = Start::with(model).go_with(|node| node.neighbor = true);
    node.run_for(Duration::from_secs(10), &[]);
    node
}

fn state(node: &Node) -> (VrrpState, u8) {
    let view = node.view();
    (view.state, view.effective_priority)
}

#[test]
fn an_instance_and_a_server_fall_with_a_session_and_rise_with_it() {
    let mut node = up(followed(0, false));
    assert!(node.has_vip());
    assert_eq!(node.weight(1), Some(1));
    let since = node.did.len();
    node.neighbor = false;
    node.run_for(DETECTION, &[]);
    assert!(!node.has_vip());
    assert_eq!(state(&node).0, VrrpState::Fault);
    assert_eq!((node.weight(1), node.weight(2)), (None, Some(1)));
    let why = node.did[since..].iter().find_map(|did| match did {
        Did::Said(event) if event.what == What::ServerDown => event.why.clone(),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("BFD_CHECK: nothing heard for 300 ms"));
    let reasons = node.view().faults;
    assert!(
        reasons
            .iter()
            .any(|it| it.starts_with("BFD session peer is down")),
        "{reasons:?}"
    );
    node.neighbor = true;
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    assert_eq!(node.weight(1), Some(1));
}

#[test]
fn a_weight_moves_the_priority_and_reverse_turns_it_round() {
    for (weight, reverse, when_up, when_down) in [
        (-20, false, 100, 80),
        (20, false, 120, 100),
        (-20, true, 80, 100),
        (20, true, 100, 120),
    ] {
        let mut node = up(followed(weight, reverse));
        assert_eq!(state(&node), (VrrpState::Master, when_up), "{weight} {reverse}");
        node.neighbor = false;
        node.run_for(DETECTION, &[]);
        assert_eq!(state(&node), (VrrpState::Master, when_down), "{weight} {reverse}");
    }
}

#[test]
fn before_a_session_is_up_an_instance_waits_and_then_it_is_a_fault() {
    let mut node = Start::with(followed(0, false)).go();
    node.run_for(Duration::from_millis(2_900), &[]);
    assert_eq!(state(&node).0, VrrpState::Init);
    assert_eq!(
        node.weight(1),
        Some(1),
        "as before the start, until something is known"
    );
    node.run_for(Duration::from_millis(200), &[]);
    assert_eq!(state(&node).0, VrrpState::Fault);
    assert_eq!(node.weight(1), None);
}

#[test]
fn a_reload_that_changes_timers_moves_nothing_and_one_without_the_session_lets_go_of_it() {
    let mut node = up(followed(0, false));
    let since = node.did.len();
    let mut slower = followed(0, false);
    let timers = BfdSession {
        min_tx: Duration::from_millis(300),
        ..session()
    };
    slower.sessions.insert("peer".into(), Arc::new(timers));
    node.feed(Input::Model(Box::new(new_model(slower))));
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip());
    let moved =
        |did: &Did| matches!(did, Did::Said(it) if matches!(it.what, What::BecameFault | What::ServerDown));
    assert!(!node.did[since..].iter().any(moved));
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    let tracker = TrackerName::Bfd("peer".into());
    assert!(!node.engine.state().trackers.contains_key(&tracker));
    node.neighbor = false;
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip());
}

#[test]
fn what_if_a_session_were_down_is_answered_and_a_session_does_not_end_in_the_answer_by_itself() {
    let node = up(followed(0, false));
    let ask = |events: Vec<Suppose>| {
        let asked = WhatIf {
            events,
            for_ms: 10_000,
        };
        foresee(node.engine.clone(), node.now, 1_000_000, &asked)
    };
    let down = ask(vec![Suppose::Bfd {
        name: "peer".into(),
        up: false,
    }])
    .expect("it is there");
    let of = |id: ObjectId| {
        down.changes
            .iter()
            .find(|it| it.object == id)
            .map(|it| it.to.clone())
    };
    let fault = Facts::Instance {
        state: VrrpState::Fault,
        priority: 0,
    };
    assert_eq!(of(ObjectId::Instance("VI_1".into())), Some(fault));
    assert_eq!(
        of(ObjectId::Tracker(TrackerName::Bfd("peer".into()))),
        Some(Facts::Tracker { ok: Some(false) })
    );
    assert_eq!(ask(Vec::new()).expect("a question").changes, []);
    assert!(
        ask(vec![Suppose::Bfd {
            name: "none".into(),
            up: false
        }])
        .is_err()
    );
}

#[test]
fn an_agent_that_ends_is_silent() {
    let mut node = up(followed(0, false));
    node.feed(Input::Stop(StopMode::default()));
    node.run_for(Duration::from_secs(1), &[]);
    assert!(
        matches!(node.did.last(), Some(Did::Finished)),
        "{:?}",
        node.did.last()
    );
}
