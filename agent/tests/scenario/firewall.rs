//! `no_accept`: packets to the addresses are kept away while this node is their MASTER.

use crate::crash::again;
use crate::node::{Did, Node, Start, VIP, instance_of, ip, model, new_model, service};
use lb_shared::event::What;
use lb_shared::names::Family;
use lbagent::engine::{Input, NetNews, StopMode};
use lbagent::model::{Instance, Model, VirtualAddress};
use lbagent::net::{Content, FirewallChange, Guard, NetOp, Ruleset, TableName};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// With these addresses beside the usual one.
fn closed(more: &[&str]) -> Model {
    let mut model = model(100, service("rr", 1));
    change(&mut model, |it| {
        it.accept = false;
        for address in more {
            let new = VirtualAddress {
                address: ip(address),
                ..it.addresses[0].clone()
            };
            it.addresses.push(new);
        }
    });
    model
}

fn change(model: &mut Model, how: impl FnOnce(&mut Instance)) {
    how(instance_of(model));
}

fn master(model: Model) -> Node {
    Start::with(model).go().mastered()
}

fn table(family: Family) -> TableName {
    let name = "keepalived".to_owned();
    TableName { family, name }
}

/// What the kernel's table holds.
fn guards(node: &Node, family: Family) -> Option<Vec<String>> {
    let guards = guards_of(node.net.firewall.get(&table(family))?);
    Some(guards.iter().map(|it| it.address.to_string()).collect())
}

fn guards_of(ruleset: &Ruleset) -> &BTreeSet<Guard> {
    match &ruleset.content {
        Content::Guards(guards) => guards,
        other => panic!("{other}"),
    }
}

fn reload(node: &mut Node, model: Model) {
    node.feed(Input::Model(Box::new(new_model(model))));
    node.stand_still(Duration::from_secs(1));
}

fn changes(node: &Node, from: usize) -> Vec<FirewallChange> {
    let ops = node.did[from..].iter().filter_map(|did| match did {
        Did::Net(NetOp::Firewall(op)) => Some(op.change.clone()),
        _ => None,
    });
    ops.collect()
}

#[test]
fn the_guard_stands_before_the_address_and_leaves_after_it() {
    let mut node = master(closed(&[]));
    let of = |node: &Node, from: usize, wanted: fn(&Did) -> bool| {
        node.did[from..].iter().position(wanted).expect("it did so")
    };
    let guarded = of(&node, 0, |did| matches!(did, Did::Net(NetOp::Firewall(_))));
    assert!(guarded < of(&node, 0, |did| matches!(did, Did::Net(NetOp::AddAddress { .. }))));
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
    assert_eq!(guards(&node, Family::Inet6), None, "no table without need");

    let from = node.did.len();
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    let away = of(&node, from, |did| {
        matches!(did, Did::Net(NetOp::RemoveAddress { .. }))
    });
    assert!(away < of(&node, from, |did| matches!(did, Did::Net(NetOp::Firewall(_)))));
    assert_eq!(changes(&node, from), [FirewallChange::Drop]);
    assert!(node.net.firewall.is_empty());
}

#[test]
fn a_stop_that_leaves_the_addresses_leaves_their_guards() {
    for mode in [(true, false), (false, true)] {
        let mut node = master(closed(&[]));
        node.feed(Input::Stop(StopMode {
            keep_addresses: mode.0,
            hand_over: mode.1,
            ..StopMode::default()
        }));
        node.stand_still(Duration::from_secs(1));
        assert_eq!(
            guards(&node, Family::Inet),
            Some(vec![VIP.to_owned()]),
            "{mode:?}"
        );
    }
}

#[test]
fn who_accepts_packets_has_no_table() {
    let node = master(model(100, service("rr", 1)));
    assert_eq!(changes(&node, 0), []);
}

#[test]
fn a_reload_adds_and_removes_single_addresses_and_both_families_have_a_table() {
    let mut node = master(closed(&[]));
    let from = node.did.len();
    reload(&mut node, closed(&["192.0.2.101", "2001:db8::1", "fe80::9"]));
    let one = |address: &str| Guard::new(ip(address), lbagent::wire::LinkIndex(2));
    let made = Ruleset {
        priority: -1,
        counters: false,
        content: Content::Guards([one("2001:db8::1"), one("fe80::9")].into()),
    };
    assert_eq!(
        changes(&node, from),
        [
            FirewallChange::Guard([one("192.0.2.101")].into()),
            FirewallChange::Build(made)
        ]
    );
    let links: Vec<_> = guards_of(&node.net.firewall[&table(Family::Inet6)])
        .iter()
        .map(|it| it.link.is_some())
        .collect();
    assert_eq!(links, [false, true], "a link-local address means one link");

    let from = node.did.len();
    reload(&mut node, closed(&["192.0.2.101"]));
    let gone = [one("2001:db8::1"), one("fe80::9")].into();
    assert_eq!(changes(&node, from), [FirewallChange::Unguard(gone)]);

    let mut open = closed(&[]);
    change(&mut open, |it| it.accept = true);
    reload(&mut node, open);
    assert!(node.net.firewall.is_empty(), "nobody can need it");
}

#[test]
fn other_settings_make_the_table_anew() {
    let mut node = master(closed(&[]));
    let mut other = closed(&[]);
    other.global.firewall.table = "lb".into();
    other.global.firewall.counters = true;
    reload(&mut node, other);
    let tables: Vec<_> = node.net.firewall.iter().collect();
    let [(name, ruleset)] = tables[..] else {
        panic!("{tables:?}")
    };
    assert_eq!(
        (name.name.as_str(), ruleset.counters, guards_of(ruleset).len()),
        ("lb", true, 1)
    );
}

#[test]
fn what_the_kernel_refuses_is_told_of_the_instance_tried_again_and_taken_back() {
    let mut node = Start::with(closed(&[])).go_with(|node| {
        node.refuses_net = |op| matches!(op, NetOp::Firewall(_));
    });
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip(), "an address that answers is better than none");
    let of_instance = |node: &Node, what: What| {
        let said = node.did.iter().filter(|did| match did {
            Did::Said(it) => it.what == what && it.object.to_string() == "vrrp:VI_1",
            _ => false,
        });
        said.count()
    };
    assert_eq!(of_instance(&node, What::KernelRefused), 1, "once");
    let trouble = &node.engine.state().agent.kernel_trouble;
    assert!(
        trouble[0].contains("make nftables table ip keepalived for 192.0.2.100"),
        "{trouble:?}"
    );
    node.refuses_net = |_| false;
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
    assert_eq!(of_instance(&node, What::KernelRecovered), 1);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
}

#[test]
fn what_others_remove_is_put_back_at_once_then_once_a_second() {
    let mut node = master(closed(&[]));
    let lose = |node: &mut Node| {
        node.net.firewall.clear();
        node.feed(Input::Net(NetNews::FirewallLost(table(Family::Inet))));
    };
    lose(&mut node);
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
    assert_eq!(node.said(What::DriftHealed), 1);
    lose(&mut node);
    assert_eq!(guards(&node, Family::Inet), None, "no fight at full speed");
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
    node.net.firewall.clear();
    node.feed(Input::Net(NetNews::FirewallUnknown));
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
    // Somebody else's.
    let from = node.did.len();
    let theirs = TableName {
        family: Family::Inet,
        name: "filter".into(),
    };
    node.feed(Input::Net(NetNews::FirewallLost(theirs)));
    assert_eq!(changes(&node, from), []);
}

#[test]
fn after_a_crash_the_table_is_made_anew_by_a_master_and_removed_by_a_backup() {
    let quick = again(master(closed(&[])), Duration::from_millis(900));
    let node = Start {
        model: closed(&[]),
        ..quick
    };
    let node = node.go();
    assert!(matches!(changes(&node, 0)[..], [FirewallChange::Build(_)]));

    let late = again(master(closed(&[])), Duration::from_secs(60));
    let node = Start {
        model: closed(&[]),
        ..late
    };
    let node = node.go();
    assert_eq!(changes(&node, 0), [FirewallChange::Drop]);
    assert!(node.net.firewall.is_empty());
}

#[test]
fn of_two_instances_with_one_address_one_may_go() {
    let mut model = closed(&[]);
    let twin = Instance {
        name: "VI_2".into(),
        vrid: lb_shared::units::Vrid::new(52).expect("a number"),
        ..(*model.instances[&"VI_1".into()]).clone()
    };
    model.instances.insert("VI_2".into(), Arc::new(twin));
    let mut node = master(model.clone());
    model.instances.remove(&"VI_2".into());
    let from = node.did.len();
    reload(&mut node, model);
    assert_eq!(changes(&node, from), [], "the other still wants it");
    assert_eq!(guards(&node, Family::Inet), Some(vec![VIP.to_owned()]));
}
