//! The kernel refuses, is slow, or is asked in vain.

use crate::node::{Did, Node, Start, host, ip, model, server_key, service};
use crate::operators::server;
use lb_shared::event::What;
use lb_shared::request::Verb;
use lb_shared::state::{DrainThen, VrrpState};
use lbagent::engine::{Input, NetNews, StopMode, Ticket};
use lbagent::ipvs::IpvsOp;
use lbagent::net::{Address, AddressKey, NetOp};
use lbagent::wire::LinkIndex;
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
        inactive: false,
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
    // After 1, 2, 4, 8 seconds, then every 16.
    assert!((10..=12).contains(&tries), "{tries} tries in 120 s");
    node.refuses_ipvs = |_| false;
    node.run_for(Duration::from_secs(17), &[]);
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

fn vip() -> AddressKey {
    AddressKey {
        link: LinkIndex(2),
        address: ip(crate::node::VIP),
        prefix_len: 32,
    }
}

fn adds(node: &Node) -> usize {
    node.did
        .iter()
        .filter(|did| matches!(did, Did::Net(NetOp::AddAddress { .. })))
        .count()
}

#[test]
fn an_address_the_kernel_refused_is_retried_announced_and_shown_as_trouble() {
    let mut node = Start::with(model(100, service("rr", 1)))
        .go_with(|node| node.refuses_net = |op| matches!(op, NetOp::AddAddress { .. }));
    node.run_for(Duration::from_secs(40), &[]);
    assert_eq!(node.said(What::KernelRefused), 1);
    assert!((3..=12).contains(&adds(&node)), "{} tries", adds(&node));
    assert_eq!(node.engine.state().agent.kernel_trouble.len(), 1);
    node.did.clear();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(adds(&node) > 0, "it is tried on");
    let announced = (node.did.iter()).any(|did| matches!(did, Did::Net(NetOp::Announce { .. })));
    assert!(!announced, "an address that is not there was announced");
    node.refuses_net = |_| false;
    node.did.clear();
    node.run_for(Duration::from_secs(70), &[]);
    assert!(node.has_vip());
    assert_eq!(node.said(What::KernelRecovered), 1);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
    let added = node.position(|did| matches!(did, Did::Net(NetOp::AddAddress { .. })));
    let announced = node
        .did
        .iter()
        .rposition(|did| matches!(did, Did::Net(NetOp::Announce { .. })));
    assert!(added < announced, "it was never announced");
}

#[test]
fn a_removal_the_kernel_refused_is_tried_again_before_a_stop_is_over() {
    let mut node = running();
    node.refuses_net = |op| matches!(op, NetOp::RemoveAddress { .. });
    node.feed(Input::Stop(StopMode::default()));
    assert_eq!(node.position(|did| matches!(did, Did::Finished)), None);
    node.refuses_net = |_| false;
    node.run_for(Duration::from_secs(3), &[]);
    assert!(!node.has_vip());
    assert!(node.position(|did| matches!(did, Did::Finished)).is_some());
}

#[test]
fn news_of_our_own_addition_that_comes_after_the_removal_is_not_an_intruder() {
    let mut node = running();
    let address = node.net.addresses[&vip()].clone();
    node.hear(200);
    assert_eq!(node.state(), VrrpState::Backup);
    assert!(!node.has_vip());
    node.did.clear();
    node.feed(Input::Net(NetNews::Address(vip(), address)));
    node.feed(Input::Net(NetNews::AddressGone(vip())));
    assert_eq!(node.said(What::AddressFound), 0);
    let ops = node.did.iter().filter(|did| matches!(did, Did::Net(_))).count();
    assert_eq!(ops, 0);
}

#[test]
fn news_of_our_own_removal_that_comes_after_the_next_addition_is_no_theft() {
    let mut node = running();
    let address = node.net.addresses[&vip()].clone();
    node.hear(200);
    node.hear(0);
    while node.state() != VrrpState::Master {
        node.run_for(Duration::from_millis(10), &[]);
    }
    node.feed(Input::Net(NetNews::AddressGone(vip())));
    node.feed(Input::Net(NetNews::Address(vip(), address)));
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(node.said(What::AddressLost), 0);
    assert_eq!(node.state(), VrrpState::Master);
}

#[test]
fn f065_a_table_read_before_our_addition_takes_nothing_away() {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    while !node.has_vip() {
        node.run_for(Duration::from_millis(10), &[]);
    }
    let stale = host();
    node.feed(Input::Net(NetNews::Table(stale)));
    node.feed(Input::Net(NetNews::Address(
        vip(),
        node.net.addresses[&vip()].clone(),
    )));
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(node.said(What::AddressLost), 0);
    assert_eq!(node.state(), VrrpState::Master);
}

#[test]
fn f050_an_address_taken_right_after_it_was_added_is_noticed_all_the_same() {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    while !node.has_vip() {
        node.run_for(Duration::from_millis(10), &[]);
    }
    node.net.addresses.remove(&vip());
    node.feed(Input::Net(NetNews::AddressGone(vip())));
    node.run_for(Duration::from_secs(6), &[]);
    assert_eq!(node.said(What::AddressLost), 1);
    assert!(node.has_vip());
}

#[test]
fn f050_our_mark_on_an_address_that_appears_on_a_backup_has_it_removed() {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    for _ in 0..5 {
        node.hear(200);
        node.run_for(Duration::from_secs(1), &[]);
    }
    let address = Address {
        ours: true,
        usable: true,
        ..Address::default()
    };
    node.net.addresses.insert(vip(), address.clone());
    node.feed(Input::Net(NetNews::Address(vip(), address)));
    assert!(!node.has_vip());
}

#[test]
fn f167_a_stop_before_the_first_table_ends_at_once_and_starts_nothing() {
    let mut node = Start::with(model(100, service("rr", 1))).go_with(|node| node.slow = true);
    node.feed(Input::Stop(StopMode::default()));
    assert!(node.position(|did| matches!(did, Did::Finished)).is_some());
    assert!(
        !node.engine.left_in_order(),
        "what an earlier run left is for the clean-up"
    );
    node.catch_up();
    node.run_for(Duration::from_secs(20), &[]);
    assert_eq!(node.said(What::Started), 0);
    assert!(!node.has_vip());
}

#[test]
fn f167_a_second_signal_hurries_a_stop_that_the_kernel_holds_up() {
    let mut node = running();
    node.slow = true;
    node.feed(Input::Stop(StopMode::default()));
    node.feed(Input::Stop(StopMode::default()));
    node.wake_ups(Duration::from_millis(900));
    assert_eq!(node.position(|did| matches!(did, Did::Finished)), None);
    node.wake_ups(Duration::from_millis(200));
    assert!(node.position(|did| matches!(did, Did::Finished)).is_some());
    assert!(
        !node.engine.left_in_order(),
        "nobody knows whether the address is gone"
    );
}
