//! The kernel refuses, is slow, or is asked in vain.

use crate::node::{Did, Node, Start, model, server_key, service};
use crate::operators::server;
use lb_shared::event::What;
use lb_shared::request::Verb;
use lb_shared::state::DrainThen;
use lbagent::engine::{Input, Ticket};
use lbagent::ipvs::IpvsOp;
use std::time::Duration;

fn running() -> Node {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node
}

fn drain(node: &mut Node) {
    let verb = Verb::Drain {
        timeout_ms: None,
        then: DrainThen::Keep,
    };
    node.act(verb, server(2));
}

fn looks(node: &Node) -> usize {
    node.did.iter().filter(|did| matches!(did, Did::Looked)).count()
}

#[test]
fn f074_a_refused_service_is_told_once_and_retried_with_growing_pauses() {
    let mut start = Start::with(model(100, service("rr", 3)));
    start.ipvs = Some(Default::default());
    let mut node = start.go_with(|node| node.refuses_ipvs = |op| matches!(op, IpvsOp::AddService(..)));
    node.run_for(Duration::from_secs(120), &[]);
    assert_eq!(node.said(What::KernelRefused), 1);
    assert_eq!(node.said(What::KernelRecovered), 0);
    let tries = node
        .did
        .iter()
        .filter(|did| matches!(did, Did::Ipvs(IpvsOp::AddService(..))))
        .count();
    assert!((5..=9).contains(&tries), "{tries} tries in 120 s");
    node.refuses_ipvs = |_| false;
    node.run_for(Duration::from_secs(70), &[]);
    assert_eq!(node.said(What::KernelRecovered), 1);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
    assert_eq!(node.weight(1), Some(1));
}

#[test]
fn a_retry_the_kernel_has_not_answered_yet_wakes_nobody() {
    let mut node = running();
    node.refuses_ipvs = |op| matches!(op, IpvsOp::EditServer(..));
    drain(&mut node);
    node.slow = true;
    assert!(node.wake_ups(Duration::from_secs(4)) < 50);
    assert_eq!(node.said(What::KernelRecovered), 0, "the kernel has not said so");
    node.catch_up();
    assert_eq!(node.said(What::KernelRecovered), 0);
}

#[test]
fn draining_without_ip_vs_looks_no_more_often_than_an_audit() {
    let mut start = Start::with(model(100, service("rr", 3)));
    start.ipvs = None;
    let mut node = start.go();
    node.run_for(Duration::from_secs(10), &[]);
    drain(&mut node);
    node.did.clear();
    node.run_for(Duration::from_secs(60), &[]);
    assert!(looks(&node) <= 7, "{} looks", looks(&node));
}

#[test]
fn the_table_is_read_each_second_while_draining_and_each_ten_otherwise() {
    let mut node = running();
    node.did.clear();
    node.run_for(Duration::from_secs(60), &[]);
    assert!((5..=7).contains(&looks(&node)), "{} idle looks", looks(&node));
    drain(&mut node);
    node.did.clear();
    node.run_for(Duration::from_secs(4), &[]);
    assert!((3..=6).contains(&looks(&node)), "{} looks", looks(&node));
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    node.run_for(Duration::from_secs(60), &[server_key(9)]);
    assert!(
        (5..=7).contains(&looks(&node)),
        "{} looks once drained",
        looks(&node)
    );
}

#[test]
fn counters_are_answered_when_ip_vs_vanishes_under_the_question() {
    let mut node = running();
    node.ipvs = None;
    node.feed(Input::Sample(Ticket(77)));
    assert!(node.replies.contains_key(&Ticket(77)));
}
