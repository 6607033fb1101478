//! Routes and rules come and go with their instance.

use crate::node::{Did, Node, Start, instance_of, model, new_model, service};
use lb_shared::event::What;
use lb_shared::names::Family;
use lbagent::engine::{Input, NetNews, Previous};
use lbagent::model::{Leg, Model, Route, Rule, RuleAction, TABLE_MAIN};
use lbagent::net::{NetOp, Routing, RoutingGone};
use lbagent::wire::LinkIndex;
use std::collections::BTreeMap;
use std::time::Duration;

fn route(third: u8) -> Route {
    Route {
        legs: vec![Leg {
            device: Some("eth0".to_owned()),
            via: Some([10, 0, 0, 9].into()),
            weight: 1,
            ..Leg::default()
        }],
        ..Route::to(([10, 50, third, 0].into(), 24))
    }
}

fn rule(preference: u32) -> Rule {
    Rule {
        from: Some(([10, 50, 0, 0].into(), 16)),
        ..Rule::new(Family::Inet, preference, RuleAction::Lookup(100))
    }
}

fn with_routes(routes: Vec<Route>, rules: Vec<Rule>) -> Model {
    let mut model = model(100, service("rr", 3));
    let instance = instance_of(&mut model);
    (instance.routes, instance.rules) = (routes, rules);
    model
}

fn master(model: Model) -> Node {
    Start::with(model).go().mastered()
}

/// What the kernel holds, in words.
fn held(node: &Node) -> Vec<String> {
    node.net.routing.iter().map(ToString::to_string).collect()
}

fn ops_since(node: &Node, from: usize) -> Vec<String> {
    let ops = node.did[from..].iter().filter_map(|did| match did {
        Did::Net(op @ (NetOp::AddRouting(_) | NetOp::RemoveRouting(_))) => Some(op.to_string()),
        Did::Net(op @ NetOp::RemoveAddress { .. }) => Some(op.to_string()),
        _ => None,
    });
    ops.collect()
}

const ROUTE: &str = "route 10.50.1.0/24 via 10.0.0.9 dev eth0 table 254";

#[test]
fn they_come_after_the_addresses_and_leave_before_them() {
    let mut node = master(with_routes(vec![route(1)], vec![rule(1000)]));
    assert_eq!(held(&node), [ROUTE, "IPv4 rule 1000"]);
    let address = node.position(|did| matches!(did, Did::Net(NetOp::AddAddress { .. })));
    let first = node.position(|did| matches!(did, Did::Net(NetOp::AddRouting(_))));
    assert!(address.unwrap() < first.unwrap(), "{:?}", node.did);
    let from = node.did.len();
    node.feed(Input::Stop(Default::default()));
    node.stand_still(Duration::from_secs(2));
    let ops = ops_since(&node, from);
    assert_eq!(
        ops[..2],
        ["remove IPv4 rule 1000".to_owned(), format!("remove {ROUTE}")]
    );
    assert!(ops[2].starts_with("remove address"), "{ops:?}");
    assert!(held(&node).is_empty());
}

#[test]
fn a_reload_touches_only_what_differs() {
    let mut node = master(with_routes(vec![route(1), route(2)], vec![rule(1000)]));
    let from = node.did.len();
    node.feed(Input::Model(Box::new(new_model(with_routes(
        vec![route(1), route(2)],
        vec![rule(1000)],
    )))));
    assert!(ops_since(&node, from).is_empty(), "{:?}", ops_since(&node, from));
    node.feed(Input::Model(Box::new(new_model(with_routes(
        vec![route(1), route(3)],
        vec![rule(1000)],
    )))));
    let other = |third| ROUTE.replace("50.1", &format!("50.{third}"));
    assert_eq!(
        ops_since(&node, from),
        [format!("remove {}", other(2)), format!("add {}", other(3))]
    );
}

#[test]
fn what_somebody_removes_is_put_back_but_not_in_a_loop() {
    let mut node = master(with_routes(vec![route(1)], Vec::new()));
    let gone = || {
        Input::Net(NetNews::RoutingGone(RoutingGone::Route {
            table: TABLE_MAIN,
            destination: ([10, 50, 1, 0].into(), 24),
        }))
    };
    let from = node.did.len();
    for _ in 0..20 {
        node.net.routing.clear();
        node.feed(gone());
    }
    assert_eq!(ops_since(&node, from).len(), 1);
    node.stand_still(Duration::from_secs(2));
    assert_eq!(held(&node), [ROUTE]);
    assert_eq!(ops_since(&node, from).len(), 2);
    // One that may be lost is left alone.
    let mut loose = route(1);
    loose.track = false;
    let mut node = master(with_routes(vec![loose], Vec::new()));
    let from = node.did.len();
    node.feed(gone());
    assert!(ops_since(&node, from).is_empty());
}

#[test]
fn an_interface_that_comes_back_gets_its_routes_again() {
    // The instance itself does not mind the loss of that interface.
    let mut loose = route(1);
    loose.track = false;
    loose.legs[0].device = Some("eth1".to_owned());
    let mut start = Start::with(with_routes(vec![loose], Vec::new()));
    let mut second = start.net.links.values().next().unwrap().clone();
    (second.index, second.name) = (LinkIndex(3), "eth1".to_owned());
    start.net.links.insert(second.index, second);
    let mut node = start.go();
    node.run_for(Duration::from_secs(10), &[]);
    let link = node
        .net
        .links
        .values()
        .find(|link| link.name == "eth1")
        .unwrap()
        .clone();
    let mut down = link.clone();
    down.running = false;
    node.net.links.insert(link.index, down.clone());
    node.net.routing.clear();
    node.feed(Input::Net(NetNews::Link(down)));
    assert!(held(&node).is_empty());
    node.net.links.insert(link.index, link.clone());
    node.feed(Input::Net(NetNews::Link(link)));
    node.stand_still(Duration::from_secs(1));
    assert_eq!(held(&node), [ROUTE.replace("eth0", "eth1")]);
    assert!(node.has_vip());
}

#[test]
fn a_refusal_is_told_once_and_tried_again() {
    let mut node = Start::with(with_routes(vec![route(1)], Vec::new())).go();
    node.refuses_net = |op| matches!(op, NetOp::AddRouting(_));
    node.run_for(Duration::from_secs(15), &[]);
    assert_eq!(node.said(What::KernelRefused), 1);
    assert!(node.engine.state().agent.kernel_trouble[0].starts_with(ROUTE));
    node.refuses_net = |_| false;
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(held(&node), [ROUTE]);
    assert_eq!(node.said(What::KernelRecovered), 1);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
}

#[test]
fn a_crash_loses_none_and_the_next_start_removes_what_left_the_file() {
    let node = master(with_routes(vec![route(1), route(2)], vec![rule(1000)]));
    let sent_ago = (node.ledger.masters.keys()).map(|name| (name.clone(), Duration::from_millis(300)));
    let sent_ago = sent_ago.collect();
    let mut next = Start::with(with_routes(vec![route(1)], Vec::new()));
    next.net = node.net;
    next.ipvs = node.ipvs;
    next.previous = Some(Previous {
        ledger: node.ledger,
        sent_ago,
    });
    let mut next = next.go();
    next.run_for(Duration::from_secs(1), &[]);
    assert!(next.has_vip());
    assert_eq!(held(&next), [ROUTE]);
    let removed_first = next.did.iter().any(|did| {
        matches!(did, Did::Net(NetOp::RemoveRouting(it)) if matches!(&**it, Routing::Route(it, _) if *it == route(1)))
    });
    assert!(!removed_first, "a route that stays was taken away for a moment");
}

#[test]
fn those_of_the_file_are_there_on_a_backup_too() {
    let mut model = model(100, service("rr", 3));
    model.static_routes = vec![route(1)];
    model.static_rules = vec![rule(1000)];
    let mut node = Start::with(model).go();
    node.stand_still(Duration::from_secs(1));
    assert!(!node.has_vip());
    assert_eq!(held(&node), [ROUTE, "IPv4 rule 1000"]);
}

#[test]
fn what_an_earlier_run_left_goes_also_from_an_interface_without_a_carrier() {
    let node = master(with_routes(vec![route(1)], Vec::new()));
    let mut next = Start::with(model(100, service("rr", 3)));
    next.net = node.net;
    for link in next.net.links.values_mut() {
        link.running = false;
    }
    next.previous = Some(Previous {
        ledger: node.ledger,
        sent_ago: BTreeMap::new(),
    });
    let mut next = next.go();
    next.stand_still(Duration::from_secs(1));
    assert!(held(&next).is_empty());
}

#[test]
fn a_route_of_a_vrf_waits_for_it_and_goes_to_its_table() {
    let mut it = route(1);
    it.vrf = Some("blue".to_owned());
    it.track = false;
    let mut node = master(with_routes(vec![it], Vec::new()));
    assert!(held(&node).is_empty());
    let mut vrf = node.net.links.values().next().unwrap().clone();
    (vrf.index, vrf.name, vrf.vrf_table) = (LinkIndex(7), "blue".to_owned(), Some(77));
    node.net.links.insert(vrf.index, vrf.clone());
    node.feed(Input::Net(NetNews::Link(vrf)));
    node.stand_still(Duration::from_secs(1));
    assert_eq!(held(&node), [ROUTE.replace("table 254", "table 77")]);
}

#[test]
fn a_route_whose_time_was_up_is_set_again_and_told_as_such() {
    let mut it = route(1);
    it.expires = Some(30);
    let mut node = master(with_routes(vec![it], Vec::new()));
    node.net.routing.clear();
    node.feed(Input::Net(NetNews::RoutingGone(RoutingGone::Route {
        table: TABLE_MAIN,
        destination: ([10, 50, 1, 0].into(), 24),
    })));
    node.stand_still(Duration::from_secs(1));
    assert_eq!(held(&node), [ROUTE]);
    let why = Some("its time was up, or somebody removed it");
    let told =
        |did: &Did| matches!(did, Did::Said(it) if it.what == What::DriftHealed && it.why.as_deref() == why);
    assert!(node.did.iter().any(told));
}
