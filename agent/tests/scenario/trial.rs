//! Checks run once at an operator's word.

use crate::node::{Node, Start, model, server_key, service, service_key};
use lb_shared::names::ServerId;
use lb_shared::request::{RefusalCode, Reply};
use lb_shared::trial::{TestAsk, TestEnd, Tested};
use lbagent::engine::{Input, Ticket};
use lbagent::health::CheckOutcome;
use std::time::Duration;

fn three() -> Node {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node
}

fn ask(node: &mut Node, servers: &[u8], dry_run: bool) -> Ticket {
    node.next_ticket += 1;
    let ticket = Ticket(node.next_ticket);
    let id = |last: &u8| ServerId {
        service: service_key(),
        server: server_key(*last),
    };
    let asked = TestAsk {
        servers: servers.iter().map(id).collect(),
        dry_run,
    };
    node.feed(Input::Test(ticket, asked));
    ticket
}

fn tested(node: &mut Node, ticket: Ticket) -> Tested {
    match node.replies.remove(&ticket) {
        Some(Reply::Tested(tested)) => tested,
        other => panic!("{other:?}"),
    }
}

fn failure() -> CheckOutcome {
    CheckOutcome::Fail {
        took: Duration::from_millis(3),
        why: "connection refused".into(),
    }
}

#[test]
fn a_test_tells_what_its_own_runs_found_and_changes_nothing() {
    let mut node = three();
    let before = node.engine.state().clone();
    let deadline = node.engine.next_deadline();
    let decides: Vec<_> = node.checks.keys().copied().collect();
    let ticket = ask(&mut node, &[1, 2], false);
    let runs: Vec<_> = node.checks.keys().copied().collect();
    let runs: Vec<_> = runs.into_iter().filter(|id| !decides.contains(id)).collect();
    assert_eq!(runs.len(), 2);
    node.checks.retain(|id, _| decides.contains(id));
    node.feed(Input::Checked(runs[0], failure()));
    assert!(!node.replies.contains_key(&ticket), "one run is still out");
    let passed = CheckOutcome::Pass {
        took: Duration::from_millis(2),
        weight: None,
    };
    node.feed(Input::Checked(runs[1], passed));
    let tested = tested(&mut node, ticket);
    let ends: Vec<_> = tested.servers.iter().map(|it| it.checks[0].end).collect();
    assert_eq!(ends, [TestEnd::Failed, TestEnd::Passed]);
    assert_eq!(tested.servers[0].checks[0].detail, "connection refused");
    assert_eq!(tested.servers[0].checks[0].took_us, Some(3_000));
    assert!(tested.is_bad());
    // A server that failed a test is as up as its own checks say.
    assert_eq!(node.weight(1), Some(1));
    assert_eq!(node.engine.state().servers, before.servers);
    assert_eq!(node.engine.next_deadline(), deadline, "the schedule is as it was");
}

#[test]
fn a_dry_run_lists_the_checks_and_runs_none() {
    let mut node = three();
    let before = node.checks.len();
    let ticket = ask(&mut node, &[3], true);
    let tested = tested(&mut node, ticket);
    assert_eq!(tested.servers[0].checks[0].end, TestEnd::WouldRun);
    assert_eq!(node.checks.len(), before);
    assert!(!tested.is_bad());
}

#[test]
fn a_run_that_does_not_come_back_is_told_as_such() {
    let mut node = three();
    let ticket = ask(&mut node, &[1], false);
    let out = node.checks.len();
    node.stand_still(Duration::from_secs(19));
    assert!(!node.replies.contains_key(&ticket));
    node.stand_still(Duration::from_secs(2));
    let tested = tested(&mut node, ticket);
    assert_eq!(tested.servers[0].checks[0].end, TestEnd::Inconclusive);
    assert!(
        tested.servers[0].checks[0].detail.contains("20s"),
        "{:?}",
        tested.servers[0]
    );
    assert!(out > 0);
}

#[test]
fn what_cannot_be_tested_is_refused_before_anything_runs() {
    let mut node = three();
    let before = node.checks.len();
    for (servers, code) in [
        (vec![], RefusalCode::BadRequest),
        (vec![1, 9], RefusalCode::NotFound),
        ((1..=21).collect(), RefusalCode::BadRequest),
    ] {
        let ticket = ask(&mut node, &servers, false);
        match node.replies.remove(&ticket) {
            Some(Reply::Refused(refusal)) => assert_eq!(refusal.code, code, "{servers:?}"),
            other => panic!("{servers:?}: {other:?}"),
        }
    }
    assert_eq!(node.checks.len(), before);
}
