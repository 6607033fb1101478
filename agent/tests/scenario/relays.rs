//! Reports of multicast groups by an interface with a virtual MAC leave by the one below.

use crate::crash::again;
use crate::node::{Did, Node, Start, model, new_model, service};
use crate::vmac::{NAME, with_vmac};
use lb_shared::event::What;
use lb_shared::names::Family;
use lb_shared::state::VrrpState;
use lbagent::engine::{Input, NetNews, StopMode};
use lbagent::net::{Content, NetOp, Relays, TableName};
use lbagent::wire::LinkIndex;
use std::time::Duration;

fn table() -> TableName {
    TableName {
        family: Family::Inet,
        name: "keepalived_vmac".into(),
    }
}

fn relays(node: &Node) -> Option<Relays> {
    match &node.net.firewall.get(&table())?.content {
        Content::Relays(relays) => Some(relays.clone()),
        other => panic!("{other}"),
    }
}

fn below(index: u32) -> Option<Relays> {
    Some([(NAME.to_owned(), LinkIndex(index))].into())
}

fn place(node: &Node, from: usize, wanted: fn(&NetOp) -> bool) -> usize {
    let mut did = node.did[from..].iter();
    did.position(|did| matches!(did, Did::Net(op) if wanted(op)))
        .expect("it did so")
}

#[test]
fn they_do_before_the_interface_is_there_and_until_it_is_gone() {
    let mut node = Start::with(with_vmac(false)).go();
    assert_eq!(relays(&node), below(2));
    assert_eq!(node.net.firewall.len(), 1, "one family, and no guards");
    let relayed = place(&node, 0, |op| matches!(op, NetOp::Firewall(_)));
    assert!(relayed < place(&node, 0, |op| matches!(op, NetOp::AddLink(_))));

    let from = node.did.len();
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    assert!(node.net.firewall.is_empty());
    let link = place(&node, from, |op| matches!(op, NetOp::RemoveLink { .. }));
    assert!(link < place(&node, from, |op| matches!(op, NetOp::Firewall(_))));
}

#[test]
fn a_reload_without_the_interface_removes_the_table_after_it() {
    let mut node = Start::with(with_vmac(false)).go();
    let from = node.did.len();
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 1))))));
    node.stand_still(Duration::from_secs(1));
    assert!(node.net.firewall.is_empty());
    let link = place(&node, from, |op| matches!(op, NetOp::RemoveLink { .. }));
    assert!(link < place(&node, from, |op| matches!(op, NetOp::Firewall(_))));
}

#[test]
fn what_others_remove_is_put_back_and_an_interface_made_anew_has_its_new_number() {
    let mut node = Start::with(with_vmac(false)).go();
    node.net.firewall.clear();
    node.feed(Input::Net(NetNews::FirewallLost(table())));
    assert_eq!(relays(&node), below(2));
    assert_eq!(node.said(What::DriftHealed), 1);

    let mut parent = node.net.links[&LinkIndex(2)].clone();
    let own = node.net.link(NAME).expect("it is there").index;
    for gone in [own, parent.index] {
        node.net.links.remove(&gone);
        node.feed(Input::Net(NetNews::LinkGone(gone)));
    }
    parent.index = LinkIndex(9);
    node.net.links.insert(parent.index, parent.clone());
    node.feed(Input::Net(NetNews::Link(parent)));
    assert_eq!(relays(&node), below(9));
}

#[test]
fn a_crash_leaves_them_to_the_next_start_which_makes_them_its_own_or_removes_them() {
    let next = again(
        Start::with(with_vmac(false)).go().mastered(),
        Duration::from_millis(300),
    );
    let next = Start {
        model: with_vmac(false),
        ..next
    };
    assert_eq!(relays(&next.go()), below(2));

    let next = again(Start::with(with_vmac(false)).go(), Duration::from_secs(60));
    let next = Start {
        model: model(100, service("rr", 1)),
        ..next
    };
    let mut node = next.go();
    node.stand_still(Duration::from_secs(1));
    assert!(node.net.firewall.is_empty());
}

#[test]
fn a_kernel_that_cannot_is_told_of_once_and_nobody_is_in_fault() {
    let mut node = Start::with(with_vmac(false)).go_with(|node| {
        node.refuses_net = |op| matches!(op, NetOp::Firewall(_));
    });
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(node.state(), VrrpState::Master);
    assert_eq!(node.said(What::KernelRefused), 1);
    let trouble = &node.engine.state().agent.kernel_trouble;
    assert!(
        trouble[0].contains("make nftables table ip keepalived_vmac for vrrp.51"),
        "{trouble:?}"
    );
    node.refuses_net = |_| false;
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(relays(&node), below(2));
    assert_eq!(node.said(What::KernelRecovered), 1);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
}
