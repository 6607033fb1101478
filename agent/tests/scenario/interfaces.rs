//! Interfaces that come and go, and how long that has to last.

use crate::node::{Node, Start, host, model, new_model, service};
use lb_shared::state::VrrpState;
use lbagent::engine::{Input, NetNews};
use lbagent::model::{InterfaceDelays, Model};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn delayed(down: u64, up: u64) -> Model {
    let mut model = model(100, service("rr", 1));
    let delays = InterfaceDelays {
        down: Duration::from_millis(down),
        up: Duration::from_millis(up),
    };
    model.host.interface_delays.insert("eth0".into(), delays);
    model
}

fn master(model: Model) -> Node {
    Start::with(model).go().mastered()
}

fn eth0(node: &mut Node, running: bool) {
    let mut link = host().links.values().next().expect("the host has eth0").clone();
    link.running = running;
    node.feed(Input::Net(NetNews::Link(link)));
}

/// F046.
#[test]
fn a_change_of_an_interface_counts_once_it_has_lasted() {
    let mut node = master(delayed(1_500, 2_500));
    eth0(&mut node, false);
    node.run_for(SECOND, &[]);
    assert!(node.has_vip(), "a second is not enough");
    eth0(&mut node, true);
    node.run_for(5 * SECOND, &[]);
    assert!(node.has_vip(), "nobody has noticed");
    eth0(&mut node, false);
    node.run_for(2 * SECOND, &[]);
    assert!(!node.has_vip(), "1.5 s are over");
    // Up for 2 s only, and then for good: 2.5 s and the time a backup waits.
    eth0(&mut node, true);
    node.run_for(2 * SECOND, &[]);
    eth0(&mut node, false);
    node.run_for(10 * SECOND, &[]);
    assert!(!node.has_vip());
    eth0(&mut node, true);
    node.run_for(5 * SECOND, &[]);
    assert!(!node.has_vip(), "2.5 s and 3.6 s are not over");
    node.run_for(2 * SECOND, &[]);
    assert!(node.has_vip());
}

#[test]
fn what_did_not_count_yet_is_forgotten_with_the_interface() {
    for gone in [true, false] {
        let mut node = master(delayed(60_000, 0));
        eth0(&mut node, false);
        assert_eq!(node.state(), VrrpState::Master, "a minute is not over");
        if gone {
            let index = host().links.values().next().expect("the host has eth0").index;
            node.feed(Input::Net(NetNews::LinkGone(index)));
            eth0(&mut node, false);
        } else {
            // Everything is read again: what is seen there counts.
            let mut net = node.net.clone();
            net.links.values_mut().for_each(|link| link.running = false);
            node.feed(Input::Net(NetNews::Table(net)));
        }
        assert_eq!(node.view().faults, ["interface eth0 is down"], "gone: {gone}");
    }
}

#[test]
fn without_delays_a_change_counts_at_once_and_a_reload_brings_them() {
    let mut node = master(model(100, service("rr", 1)));
    eth0(&mut node, false);
    assert!(!node.has_vip());
    eth0(&mut node, true);
    node.run_for(5 * SECOND, &[]);
    assert!(node.has_vip());
    node.feed(Input::Model(Box::new(new_model(delayed(1_000, 0)))));
    eth0(&mut node, false);
    assert!(node.has_vip());
}

#[test]
fn vrrp_delay_after_boot_counts_from_the_boot_of_the_host() {
    for (since_boot, within) in [(0, false), (57, false), (59, true), (3_600, true)] {
        let mut model = model(100, service("rr", 1));
        model.host.delay_after_boot = 60 * SECOND;
        let mut start = Start::with(model);
        start.since_boot = since_boot * SECOND;
        let mut node = start.go();
        node.run_for(5 * SECOND, &[]);
        assert_eq!(node.has_vip(), within, "{since_boot} s after boot");
    }
}
