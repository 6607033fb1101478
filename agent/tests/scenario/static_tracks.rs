//! Instances of a track group stand on static addresses, routes and rules.

use crate::node::{Did, Node, Start, VIP, ip, model, new_model, service};
use lb_shared::event::What;
use lb_shared::names::{Family, InstanceName};
use lbagent::engine::{Input, NetNews};
use lbagent::model::{Leg, Model, Route, Rule, RuleAction, StaticLine, StaticTrack, TABLE_MAIN};
use lbagent::net::{AddressKey, NetOp, RoutingGone};
use lbagent::wire::LinkIndex;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const ETH1: LinkIndex = LinkIndex(3);

fn route() -> Route {
    Route {
        legs: vec![Leg {
            device: Some("eth1".to_owned()),
            via: Some([10, 0, 0, 9].into()),
            weight: 1,
            ..Leg::default()
        }],
        ..Route::to(([10, 70, 0, 0].into(), 16))
    }
}

fn rule() -> Rule {
    Rule {
        iif: Some("eth1".to_owned()),
        ..Rule::new(Family::Inet, 900, RuleAction::Lookup(100))
    }
}

fn follows(line: StaticLine) -> StaticTrack {
    StaticTrack {
        line,
        interface: "eth1".to_owned(),
        group: "TG_1".to_owned(),
        members: [InstanceName::from("VI_1")].into(),
    }
}

fn with_route() -> Model {
    let mut model = model(100, service("rr", 1));
    model.static_routes = vec![route()];
    model.static_tracks = vec![follows(StaticLine::Route(Box::new(route())))];
    model
}

/// A host with two interfaces.
fn start(model: Model) -> Start {
    let mut start = Start::with(model);
    let mut second = start.net.links.values().next().expect("eth0").clone();
    (second.index, second.name) = (ETH1, "eth1".to_owned());
    start.net.links.insert(second.index, second);
    start
}

fn master(model: Model) -> Node {
    start(model).go().mastered()
}

fn set_eth1(node: &mut Node, running: bool) {
    let mut link = node.net.links[&ETH1].clone();
    link.running = running;
    node.net.links.insert(ETH1, link.clone());
    node.net.routing.clear();
    node.feed(Input::Net(NetNews::Link(link)));
    node.stand_still(SECOND);
}

fn faults(node: &Node) -> Vec<String> {
    let view = &node.engine.state().instances[&InstanceName::from("VI_1")];
    view.faults.to_vec()
}

fn steal_route(node: &mut Node) {
    node.net.routing.clear();
    node.feed(Input::Net(NetNews::RoutingGone(RoutingGone::Route {
        table: TABLE_MAIN,
        destination: ([10, 70, 0, 0].into(), 16),
    })));
    node.stand_still(Duration::from_millis(100));
}

#[test]
fn an_interface_that_is_down_is_a_fault_that_names_the_line() {
    let mut node = master(with_route());
    set_eth1(&mut node, false);
    assert!(!node.has_vip());
    let why = "static route 10.70.0.0/16 of track group TG_1: interface eth1 is down";
    assert_eq!(faults(&node), [why]);
    let told = |did: &Did| matches!(did, Did::Said(it) if it.what == What::BecameFault && it.why.as_deref() == Some(why));
    assert!(node.did.iter().any(told));
    set_eth1(&mut node, true);
    assert_eq!(faults(&node), [""; 0]);
    node.run_for(5 * SECOND, &[]);
    assert!(node.has_vip());
}

#[test]
fn lines_of_every_kind_stand_on_their_interface() {
    let address = StaticLine::Address {
        address: ip("10.7.0.1"),
        prefix_len: 24,
    };
    for line in [
        address,
        StaticLine::Route(Box::new(route())),
        StaticLine::Rule(Box::new(rule())),
    ] {
        let mut model = model(100, service("rr", 1));
        model.static_tracks = vec![follows(line.clone())];
        let mut node = master(model);
        set_eth1(&mut node, false);
        assert!(!node.has_vip(), "{line}");
    }
}

#[test]
fn one_that_is_put_back_is_no_fault() {
    let mut node = master(with_route());
    let backups = node.said(What::BecameBackup);
    for _ in 0..3 {
        steal_route(&mut node);
        node.stand_still(2 * SECOND);
        assert_eq!(node.net.routing.len(), 1);
    }
    assert!(node.has_vip() && node.said(What::BecameBackup) == backups);
}

#[test]
fn one_that_went_and_cannot_be_put_back_is_a_fault_until_it_can() {
    let mut node = master(with_route());
    node.refuses_net = |op| matches!(op, NetOp::AddRouting(_));
    steal_route(&mut node);
    assert!(!node.has_vip());
    let why =
        "static route 10.70.0.0/16 of track group TG_1: it is gone, and the kernel does not take it again";
    assert!(faults(&node)[0].starts_with(why), "{:?}", faults(&node));
    node.refuses_net = |_| false;
    node.run_for(10 * SECOND, &[]);
    assert!(node.has_vip() && faults(&node).is_empty());
}

#[test]
fn one_that_the_kernel_never_took_is_told_and_is_no_fault() {
    let mut node = start(with_route()).go();
    node.refuses_net = |op| matches!(op, NetOp::AddRouting(_));
    node.run_for(10 * SECOND, &[]);
    // As in keepalived: the file has run like this before.
    assert!(node.has_vip());
}

#[test]
fn an_address_that_went_and_cannot_be_put_back_is_a_fault() {
    const STATIC: &str = "10.7.0.1";
    let mut model = model(100, service("rr", 1));
    let mut fixed = crate::instance::address(ip(STATIC));
    (fixed.prefix_len, fixed.device) = (24, "eth1".to_owned());
    model.static_addresses = vec![fixed];
    model.static_tracks = vec![follows(StaticLine::Address {
        address: ip(STATIC),
        prefix_len: 24,
    })];
    let mut node = master(model);
    node.refuses_net = |op| matches!(op, NetOp::AddAddress { key, .. } if key.link == ETH1);
    let key = AddressKey {
        link: ETH1,
        address: ip(STATIC),
        prefix_len: 24,
    };
    node.net.addresses.remove(&key);
    node.feed(Input::Net(NetNews::AddressGone(key)));
    node.stand_still(2 * SECOND);
    assert!(!node.has_vip() && faults(&node)[0].contains("static address 10.7.0.1/24"));
    node.refuses_net = |_| false;
    node.run_for(10 * SECOND, &[]);
    assert!(node.has_vip());
}

#[test]
fn a_reload_that_follows_no_line_any_more_ends_the_fault_and_touches_no_route() {
    let mut node = master(with_route());
    set_eth1(&mut node, false);
    let mut next = with_route();
    next.static_tracks.clear();
    let from = node.did.len();
    node.feed(Input::Model(Box::new(new_model(next))));
    node.run_for(5 * SECOND, &[]);
    assert!(node.has_vip());
    let touched = |did: &Did| matches!(did, Did::Net(NetOp::AddRouting(_) | NetOp::RemoveRouting(_)));
    assert!(!node.did[from..].iter().any(touched));
    assert!(node.net.addresses.keys().any(|key| key.address == ip(VIP)));
}

#[test]
fn an_instance_outside_the_group_does_not_mind() {
    let mut model = with_route();
    model.static_tracks[0].members = [InstanceName::from("VI_2")].into();
    let mut node = master(model);
    set_eth1(&mut node, false);
    assert!(node.has_vip());
}
