//! Where adverts come from: an address that is given, and where it has to be.

use crate::node::{Did, Node, Start, host, instance, ip, model, service};
use lbagent::engine::{Input, NetNews};
use lbagent::model::UnicastPeer;
use lbagent::net::{AddressKey, Link, NetOp, NetTable};
use lbagent::wire::LinkIndex;
use std::sync::Arc;
use std::time::Duration;

/// As `host`, with the address on eth1 or on none.
fn moved(there: bool) -> NetTable {
    let mut net = host();
    let other = LinkIndex(3);
    let eth0 = net.links.values().next().expect("the host has eth0").clone();
    net.links.insert(
        other,
        Link {
            index: other,
            name: "eth1".into(),
            ..eth0
        },
    );
    for (key, address) in std::mem::take(&mut net.addresses) {
        if there {
            net.addresses.insert(AddressKey { link: other, ..key }, address);
        }
    }
    net
}

#[test]
fn a_source_may_be_anywhere_unless_track_src_ip_wants_it_on_the_interface() {
    // The host, whether it is tracked, and whether the address is taken.
    let cases = [
        (host(), false, true),
        (host(), true, true),
        (moved(true), false, true),
        (moved(true), true, false),
        (moved(false), false, false),
        (moved(false), true, false),
    ];
    for (net, tracked, taken) in cases {
        let mut model = model(100, service("rr", 1));
        let mut it = instance(100);
        it.source = Some(ip("192.0.2.1"));
        it.track_source = tracked;
        model.instances.insert("VI_1".into(), Arc::new(it));
        let mut start = Start::with(model);
        start.net = net;
        let mut node = start.go();
        node.run_for(Duration::from_secs(5), &[]);
        assert_eq!(node.has_vip(), taken, "tracked {tracked}");
    }
}

#[test]
fn a_unicast_instance_that_leaves_fault_announces_where_its_adverts_come_from() {
    for unicast in [false, true] {
        let mut model = model(100, service("rr", 1));
        let mut it = instance(100);
        if unicast {
            it.unicast_peers = vec![UnicastPeer {
                address: ip("192.0.2.2"),
                min_ttl: None,
                max_ttl: None,
            }];
        }
        model.instances.insert("VI_1".into(), Arc::new(it));
        let mut node = Start::with(model).go();
        let mut link = node.net.link("eth0").expect("the host has it").clone();
        let announced = |node: &Node| -> Vec<String> {
            let about = node.did.iter().filter_map(|did| match did {
                Did::Net(NetOp::Announce { about, .. }) => Some(about.to_string()),
                _ => None,
            });
            about.collect()
        };
        for running in [false, true] {
            assert!(
                announced(&node).is_empty(),
                "at the start nobody has forgotten it"
            );
            link.running = running;
            node.net.links.insert(link.index, link.clone());
            node.feed(Input::Net(NetNews::Link(link.clone())));
        }
        let want: &[&str] = if unicast { &["192.0.2.1"] } else { &[] };
        assert_eq!(announced(&node), want);
    }
}
