//! `use_vmac_addr` and `use_ipvlan`: interfaces for single addresses, and for adverts.

use crate::node::{Did, Node, Start, VIP, host, ip, model, new_model, service};
use lb_shared::event::What;
use lb_shared::names::{Family, InstanceName};
use lb_shared::state::VrrpState;
use lbagent::engine::{Input, NetNews, Previous, StopMode};
use lbagent::model::{AddressExtras, Instance, Ipvlan, IpvlanMode, Model, OwnKind, OwnLink, VirtualAddress};
use lbagent::net::{Link, NetOp, NetTable};
use lbagent::wire::LinkIndex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];
const ELSEWHERE: [&str; 2] = ["198.51.100.100", "198.51.100.101"];

fn address(text: &str, device: &str) -> VirtualAddress {
    VirtualAddress {
        address: ip(text),
        prefix_len: 24,
        device: device.into(),
        label: None,
        scope: 0,
        broadcast: None,
        track: true,
        extras: AddressExtras::default(),
    }
}

fn with(change: impl FnOnce(&mut Instance)) -> Model {
    let mut model = model(100, service("rr", 1));
    let name: InstanceName = "VI_1".into();
    let mut instance: Instance = (*model.instances[&name]).clone();
    change(&mut instance);
    model.instances.insert(name, Arc::new(instance));
    model
}

/// Addresses on eth1 with a MAC of their own.
fn with_addresses(track: bool) -> Model {
    with(|it| {
        it.address_vmacs = vec![OwnLink {
            name: "vrrp.51".into(),
            parent: "eth1".into(),
            family: Family::Inet,
            kind: OwnKind::Macvlan(MAC),
        }];
        for text in ELSEWHERE {
            let address = address(text, "vrrp.51");
            it.excluded_addresses.push(VirtualAddress { track, ..address });
        }
    })
}

fn with_ipvlan() -> Model {
    let mut model = with(|it| {
        it.ipvlan = Some(Ipvlan {
            name: "slim".into(),
            mode: IpvlanMode::Vepa,
            address: Some((ip("192.0.2.51"), 24)),
        });
    });
    model.static_addresses.push(address("192.0.2.51", "slim"));
    model
}

/// With eth1 beside eth0.
fn two_links() -> NetTable {
    let mut net = host();
    let second = Link {
        index: LinkIndex(3),
        name: "eth1".into(),
        mac: vec![2, 0, 0, 0, 0, 2],
        ..net.links[&LinkIndex(2)].clone()
    };
    net.links.insert(second.index, second);
    net
}

fn start(model: Model) -> Node {
    let mut start = Start::with(model);
    start.net = two_links();
    start.go()
}

fn master(model: Model) -> Node {
    let mut node = start(model);
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(state(&node), VrrpState::Master);
    node
}

fn state(node: &Node) -> VrrpState {
    node.engine.state().instances[&"VI_1".into()].state
}

fn place(node: &Node, text: &str) -> Option<String> {
    let key = node.net.addresses.keys().find(|key| key.address == ip(text))?;
    Some(node.net.links[&key.link].name.clone())
}

fn last_advert(node: &Node) -> (IpAddr, Option<LinkIndex>) {
    let sent = node.did.iter().rev().find_map(|did| match did {
        Did::Sent(advert) => Some((advert.source, advert.link)),
        _ => None,
    });
    sent.expect("an advert was sent")
}

#[test]
fn addresses_elsewhere_share_an_interface_with_the_virtual_mac_and_the_others_stay() {
    let node = master(with_addresses(true));
    let link = node.net.link("vrrp.51").expect("it was made").clone();
    assert_eq!(
        (link.mac.as_slice(), link.private_over),
        (&MAC[..], Some(LinkIndex(3)))
    );
    assert_eq!(place(&node, VIP).as_deref(), Some("eth0"));
    for text in ELSEWHERE {
        assert_eq!(place(&node, text).as_deref(), Some("vrrp.51"), "{text}");
    }
    let announced = |about: &str, mac: &[u8]| {
        node.did.iter().any(|did| match did {
            Did::Net(NetOp::Announce { about: it, frame, .. }) => *it == ip(about) && frame[6..12] == *mac,
            _ => false,
        })
    };
    assert!(announced(ELSEWHERE[0], &MAC) && announced(ELSEWHERE[1], &MAC));
    assert!(announced(VIP, &[2, 0, 0, 0, 0, 1]));
    assert_eq!(
        last_advert(&node).1,
        Some(LinkIndex(2)),
        "adverts stay on the interface"
    );
    assert_eq!(node.said(What::BecameFault), 0);
}

#[test]
fn the_interface_below_an_address_is_tracked_as_the_address_is() {
    for (track, after) in [(true, VrrpState::Fault), (false, VrrpState::Master)] {
        let mut node = master(with_addresses(track));
        for name in ["vrrp.51", "eth1"] {
            let mut link = node.net.link(name).unwrap().clone();
            link.running = false;
            node.net.links.insert(link.index, link.clone());
            node.feed(Input::Net(NetNews::Link(link)));
        }
        node.stand_still(Duration::from_secs(3));
        assert_eq!(state(&node), after, "tracked: {track}");
        if track {
            let faults = &node.engine.state().instances[&"VI_1".into()].faults;
            assert_eq!(faults, &["interface eth1 is down"]);
        }
    }
}

#[test]
fn a_reload_without_them_moves_the_addresses_and_removes_the_interface() {
    let mut node = master(with_addresses(true));
    let plain = with(|it| {
        it.excluded_addresses = ELSEWHERE.iter().map(|text| address(text, "eth1")).collect();
    });
    node.feed(Input::Model(Box::new(new_model(plain))));
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(node.net.link("vrrp.51"), None);
    assert_eq!(place(&node, ELSEWHERE[0]).as_deref(), Some("eth1"));
    assert_eq!(state(&node), VrrpState::Master);
}

#[test]
fn adverts_leave_by_the_ipvlan_from_its_own_address_and_virtual_addresses_stay_on_the_interface() {
    let node = start(with_ipvlan());
    let link = node.net.link("slim").expect("it was made").clone();
    assert_eq!((link.ipvlan_over, link.private_over), (Some(LinkIndex(2)), None));
    assert_eq!(
        place(&node, "192.0.2.51").as_deref(),
        Some("slim"),
        "before there is a master"
    );
    let node = master(with_ipvlan());
    assert_eq!(node.said(What::BecameFault), 0);
    assert_eq!(last_advert(&node), (ip("192.0.2.51"), Some(link.index)));
    assert_eq!(place(&node, VIP).as_deref(), Some("eth0"));
    let quieted = |did: &Did| matches!(did, Did::Net(NetOp::QuietLink { .. } | NetOp::Sysctl { .. }));
    assert!(!node.did.iter().any(quieted), "nothing to be changed for it");
}

#[test]
fn an_ipvlan_that_somebody_removes_comes_back_with_its_address() {
    let mut node = master(with_ipvlan());
    let index = node.net.link("slim").unwrap().index;
    node.net.apply(&NetOp::RemoveLink { link: index }).unwrap();
    node.feed(Input::Net(NetNews::LinkGone(index)));
    assert_eq!(place(&node, "192.0.2.51").as_deref(), Some("slim"));
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(state(&node), VrrpState::Master);
}

#[test]
fn a_stop_takes_ipvlan_and_address_away_and_a_crash_leaves_them_to_the_next_start() {
    let node = master(with_ipvlan());
    let mut next = Start::with(with_ipvlan());
    let index = node.net.link("slim").unwrap().index;
    (next.net, next.ipvs) = (node.net, node.ipvs);
    next.previous = Some(Previous {
        ledger: node.ledger,
        sent_ago: [("VI_1".to_owned(), Duration::from_millis(300))].into(),
    });
    let mut next = next.go();
    assert_eq!(state(&next), VrrpState::Master);
    assert_eq!(next.net.link("slim").unwrap().index, index, "the same link");
    next.feed(Input::Stop(StopMode::default()));
    next.stand_still(Duration::from_secs(1));
    assert_eq!(next.net, two_links());
    let goodbye =
        |did: &Did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0 && advert.link == Some(index));
    assert!(next.did.iter().any(goodbye));
}
