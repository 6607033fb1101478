//! `undrain --ramp`: a weight that rises in steps.

use crate::crash::again;
use crate::node::{Node, Start, model, server_key, service};
use crate::operators::server;
use lb_shared::request::{Act, Outcome, RefusalCode, Reply, Verb};
use lb_shared::state::{DrainThen, OverrideKind, WeightSource};
use lb_shared::units::Weight;
use lbagent::model::Model;
use std::sync::Arc;
use std::time::Duration;

const DRAIN: Verb = Verb::Drain {
    timeout_ms: None,
    then: DrainThen::Keep,
    inactive: false,
};
const RAMP: Verb = Verb::Ramp { over_ms: 90_000 };

/// Three servers of weight 100.
fn weighed() -> Model {
    let mut service = service("rr", 3);
    for server in service.servers.values_mut() {
        Arc::make_mut(server).weight = Weight::clamped(100);
    }
    model(100, service)
}

/// The second of them drained.
fn drained() -> Node {
    let mut node = Start::with(weighed()).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.act(DRAIN, server(2));
    assert_eq!(node.weight(2), Some(0));
    node
}

fn overrides(node: &Node) -> Vec<OverrideKind> {
    node.engine.state().overrides.values().map(|it| it.kind).collect()
}

#[test]
fn the_weight_rises_by_tenths_and_the_override_ends_with_the_last() {
    let mut node = drained();
    let Reply::Acted(acted) = node.act(RAMP, server(2)) else {
        panic!()
    };
    assert_eq!(acted.targets[0].change, "weight 0 -> 100 over 1m30s");
    let mut seen = vec![node.weight(2)];
    for _ in 0..90 {
        node.run_for(Duration::from_secs(1), &[]);
        let weight = node.weight(2);
        if seen.last() != Some(&weight) {
            seen.push(weight);
        }
    }
    let tenths: Vec<Option<u32>> = (1..=10).map(|step| Some(step * 10)).collect();
    assert_eq!(seen, tenths);
    assert!(overrides(&node).is_empty());
    let view = node.engine.state().servers.values().nth(1).unwrap();
    assert_eq!(view.source, WeightSource::Config);
    // The other servers were left alone, and so is everything from now on.
    assert_eq!((node.weight(1), node.weight(3)), (Some(100), Some(100)));
    node.run_for(Duration::from_secs(100), &[]);
    assert_eq!(node.weight(2), Some(100));
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let mut node = drained();
    let asked = |dry_run| Act {
        verb: RAMP,
        targets: vec![server(2), server(1)],
        dry_run,
        force: false,
        message: String::new(),
        key: None,
    };
    let Reply::Acted(tried) = node.act_with(asked(true)) else {
        panic!()
    };
    assert_eq!((node.weight(2), overrides(&node).len()), (Some(0), 1));
    let Reply::Acted(done) = node.act_with(asked(false)) else {
        panic!()
    };
    assert_eq!(
        (tried.targets, tried.effects),
        (done.targets.clone(), done.effects)
    );
    assert_eq!(done.targets[1].outcome, Outcome::Skipped("not drained".into()));
}

#[test]
fn it_goes_on_after_a_restart_where_it_would_be() {
    let mut node = drained();
    node.act(RAMP, server(2));
    node.run_for(Duration::from_secs(35), &[]);
    assert_eq!(node.weight(2), Some(40));
    let mut start = again(node, Duration::from_millis(500));
    start.model = weighed();
    start.wall_ms += 36_000;
    let mut node = start.go();
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(node.weight(2), Some(40));
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(node.weight(2), Some(50));
    node.run_for(Duration::from_secs(100), &[]);
    assert_eq!(node.weight(2), Some(100));
    assert!(overrides(&node).is_empty());
}

#[test]
fn other_verbs_end_it() {
    for (verb, weight) in [
        (Verb::Undrain, 100),
        (DRAIN, 0),
        (
            Verb::Weight(lb_shared::request::WeightChange::To(Weight::clamped(7))),
            7,
        ),
    ] {
        let mut node = drained();
        node.act(RAMP, server(2));
        node.run_for(Duration::from_secs(15), &[]);
        assert_eq!(node.weight(2), Some(20));
        node.act(verb, server(2));
        for _ in 0..3 {
            assert_eq!(node.weight(2), Some(weight), "{verb:?}");
            node.run_for(Duration::from_secs(40), &[]);
        }
    }
}

#[test]
fn a_server_whose_check_fails_stays_out_and_comes_back_where_the_ramp_is() {
    let mut node = drained();
    node.act(RAMP, server(2));
    node.run_for(Duration::from_secs(25), &[server_key(2)]);
    assert_eq!(node.weight(2), None);
    node.run_for(Duration::from_secs(25), &[]);
    assert_eq!(node.weight(2), Some(60));
}

#[test]
fn a_span_that_is_none_is_refused() {
    let mut node = drained();
    for over_ms in [0, 999, 86_400_001, u64::MAX] {
        match node.act(Verb::Ramp { over_ms }, server(2)) {
            Reply::Refused(refusal) => assert_eq!(refusal.code, RefusalCode::BadRequest),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(node.weight(2), Some(0));
}
