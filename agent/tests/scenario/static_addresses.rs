//! Addresses of `static_ipaddress` are there whatever the instances do.

use crate::node::{Did, Node, Start, VIP, ip, model, new_model, service};
use lb_shared::event::What;
use lbagent::engine::{Input, NetNews, Previous, StopMode};
use lbagent::model::{Model, VirtualAddress};
use lbagent::net::{Address, AddressKey, NetOp};
use lbagent::wire::LinkIndex;
use std::collections::BTreeMap;
use std::time::Duration;

const STATIC: &str = "10.7.0.1";

fn key(address: &str) -> AddressKey {
    AddressKey {
        link: LinkIndex(2),
        address: ip(address),
        prefix_len: 24,
    }
}

fn fixed(address: &str) -> VirtualAddress {
    let mut it = crate::instance::address(ip(address));
    it.prefix_len = 24;
    it
}

fn with(addresses: &[&str]) -> Model {
    let mut model = model(100, service("rr", 1));
    model.static_addresses = addresses.iter().map(|it| fixed(it)).collect();
    model
}

fn has(node: &Node, address: &str) -> bool {
    node.net.addresses.contains_key(&key(address))
}

fn steal(node: &mut Node, address: &str) {
    node.net.addresses.remove(&key(address));
    node.feed(Input::Net(NetNews::AddressGone(key(address))));
}

fn added(node: &Node, address: &str) -> usize {
    let of = |did: &&Did| matches!(did, Did::Net(NetOp::AddAddress { key: it, .. }) if *it == key(address));
    node.did.iter().filter(of).count()
}

#[test]
fn they_are_there_before_there_is_a_master_and_go_at_the_stop() {
    let mut node = Start::with(with(&[STATIC])).go();
    assert!(has(&node, STATIC) && !node.has_vip());
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    assert!(!has(&node, STATIC) && !node.has_vip());
}

#[test]
fn one_that_somebody_removes_is_put_back_but_not_in_a_loop() {
    let mut node = Start::with(with(&[STATIC])).go();
    node.stand_still(Duration::from_secs(2));
    let backups = node.said(What::BecameBackup);
    for _ in 0..20 {
        steal(&mut node, STATIC);
    }
    // What is heard just after an answer of the kernel is doubted for a second, and the pause is one, too.
    node.stand_still(Duration::from_millis(900));
    assert_eq!(added(&node, STATIC), 2);
    node.stand_still(Duration::from_secs(2));
    assert!(has(&node, STATIC));
    assert!(added(&node, STATIC) <= 3);
    assert!(node.said(What::DriftHealed) >= 1);
    assert_eq!(node.said(What::BecameBackup), backups, "no instance minds");
}

#[test]
fn one_with_no_track_is_left_alone() {
    let mut model = with(&[STATIC]);
    model.static_addresses[0].track = false;
    let mut node = Start::with(model).go();
    node.stand_still(Duration::from_secs(2));
    steal(&mut node, STATIC);
    node.stand_still(Duration::from_secs(5));
    assert!(!has(&node, STATIC));
}

#[test]
fn one_that_was_there_without_us_stays_at_the_stop() {
    let mut start = Start::with(with(&[STATIC]));
    start.net.addresses.insert(key(STATIC), Address::default());
    let mut node = start.go();
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    assert!(has(&node, STATIC));
    assert_eq!(added(&node, STATIC), 0);
}

#[test]
fn a_reload_touches_only_what_differs() {
    let mut node = Start::with(with(&[STATIC, "10.7.1.1"])).go();
    let from = node.did.len();
    node.feed(Input::Model(Box::new(new_model(with(&[STATIC, "10.7.2.1"])))));
    assert!(has(&node, STATIC) && !has(&node, "10.7.1.1") && has(&node, "10.7.2.1"));
    let ops = node.did[from..]
        .iter()
        .filter(|did| matches!(did, Did::Net(NetOp::AddAddress { .. })));
    assert_eq!(ops.count(), 1);
}

#[test]
fn a_crash_loses_none_and_the_next_start_removes_what_left_the_file() {
    let mut node = Start::with(with(&[STATIC, "10.7.1.1"])).go();
    node.stand_still(Duration::from_secs(1));
    let mut next = Start::with(with(&[STATIC]));
    next.net = node.net;
    next.previous = Some(Previous {
        ledger: node.ledger,
        sent_ago: BTreeMap::new(),
    });
    let mut next = next.go();
    assert!(has(&next, STATIC) && !has(&next, "10.7.1.1"));
    assert_eq!(added(&next, STATIC), 0, "it was not taken away for a moment");
    // And it is ours again.
    next.feed(Input::Stop(StopMode::default()));
    next.stand_still(Duration::from_secs(1));
    assert!(!has(&next, STATIC));
}

#[test]
fn an_interface_that_appears_gets_its_addresses() {
    let mut start = Start::with(with(&[STATIC]));
    let link = start.net.links.remove(&LinkIndex(2)).unwrap();
    let mut node = start.go();
    assert!(!has(&node, STATIC));
    node.net.links.insert(link.index, link.clone());
    node.feed(Input::Net(NetNews::Link(link)));
    assert!(has(&node, STATIC));
    assert!(!node.net.addresses.keys().any(|it| it.address == ip(VIP)));
}
