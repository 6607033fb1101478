//! `use_vmac_addr` and `use_ipvlan`: interfaces for single addresses, and for adverts.

use crate::node::{Did, Node, Start, VIP, host, instance_of, ip, model, new_model, service};
use lb_shared::event::What;
use lb_shared::names::Family;
use lb_shared::state::VrrpState;
use lb_shared::units::Priority;
use lbagent::engine::{Input, NetNews, Previous, StopMode};
use lbagent::model::{
    AddressExtras, Elsewhere, GarpGroup, Instance, Ipvlan, IpvlanMode, Model, OwnKind, OwnLink, UnicastPeer,
    VirtualAddress, Vmac,
};
use lbagent::net::{Link, NetOp, NetTable};
use lbagent::wire::LinkIndex;
use std::net::IpAddr;
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
    change(instance_of(&mut model));
    model
}

/// On eth1, with the virtual MAC.
fn macvlan() -> OwnLink {
    OwnLink {
        name: "vrrp.51".into(),
        parent: "eth1".into(),
        family: Family::Inet,
        kind: OwnKind::Macvlan(MAC),
    }
}

/// Addresses on eth1 with a MAC of their own.
fn with_addresses(track: bool) -> Model {
    with(|it| {
        it.address_vmacs = vec![macvlan()];
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
    start(model).mastered()
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
        assert_eq!(node.state(), after, "tracked: {track}");
        if track {
            let faults = node.view().faults;
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
    assert_eq!(node.state(), VrrpState::Master);
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
    assert_eq!(node.state(), VrrpState::Master);
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
    assert_eq!(next.state(), VrrpState::Master);
    assert_eq!(next.net.link("slim").unwrap().index, index, "the same link");
    next.feed(Input::Stop(StopMode::default()));
    next.stand_still(Duration::from_secs(1));
    assert_eq!(next.net, two_links());
    let goodbye =
        |did: &Did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0 && advert.link == Some(index));
    assert!(next.did.iter().any(goodbye));
}

/// When which address was announced, in steps of 10 ms from now on.
fn announcements(node: &mut Node, span: Duration) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    for step in 1..=span.as_millis() / 10 {
        let from = node.did.len();
        node.run_for(Duration::from_millis(10), &[]);
        let frames = node.did[from..].iter().filter_map(|did| match did {
            Did::Net(NetOp::Announce { about, .. }) => Some(about.to_string()),
            _ => None,
        });
        seen.extend(frames.map(|about| (step as u64 * 10, about)));
    }
    seen
}

fn with_elsewhere(mut model: Model, all: bool) -> Model {
    let instance = instance_of(&mut model);
    instance.garp.delay = Duration::ZERO;
    instance.elsewhere = Some(Elsewhere {
        every: Duration::from_secs(2),
        all,
    });
    model
}

#[test]
fn one_address_on_each_interface_elsewhere_is_announced_every_so_often() {
    let mut node = master(with_elsewhere(with_addresses(true), false));
    let seen = announcements(&mut node, Duration::from_secs(6));
    assert!(seen.iter().all(|(_, about)| about == ELSEWHERE[0]), "{seen:?}");
    let times: Vec<u64> = seen.iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 3, "{times:?}");
    assert!(times.windows(2).all(|it| it[1] - it[0] == 2_000), "{times:?}");
}

#[test]
fn with_all_addresses_of_interfaces_as_they_are_count_too() {
    let plain = || {
        with(|it| {
            it.excluded_addresses = ELSEWHERE.iter().map(|text| address(text, "eth1")).collect();
        })
    };
    for (all, count) in [(true, 3), (false, 0)] {
        let mut node = master(with_elsewhere(plain(), all));
        let seen = announcements(&mut node, Duration::from_secs(6));
        assert_eq!(seen.len(), count, "all: {all}, {seen:?}");
        assert!(seen.iter().all(|(_, about)| about == ELSEWHERE[0]), "{seen:?}");
    }
}

/// VIP on eth0 and two on eth1, each announced five times.
fn many(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = with(|it| {
        it.excluded_addresses = ELSEWHERE.iter().map(|text| address(text, "eth1")).collect();
        it.garp.delay = Duration::ZERO;
        it.garp.arp_gap = Duration::from_millis(100);
    });
    change(&mut model);
    model
}

/// What is announced from the moment of mastership, each with its time since the first.
fn burst(model: Model) -> Vec<(u64, String)> {
    let mut node = start(model);
    let seen = announcements(&mut node, Duration::from_secs(6));
    let first = seen.first().map_or(0, |(at, _)| *at);
    seen.into_iter().map(|(at, about)| (at - first, about)).collect()
}

fn on<'a>(seen: &'a [(u64, String)], wanted: &[&str]) -> Vec<(u64, &'a str)> {
    let mine = seen.iter().filter(|(_, about)| wanted.contains(&about.as_str()));
    mine.map(|(at, about)| (*at, about.as_str())).collect()
}

#[test]
fn announcements_keep_their_distance_on_each_interface() {
    let seen = burst(many(|_| {}));
    assert_eq!(on(&seen, &[VIP]), [(0, VIP), (100, VIP)]);
    let [one, two] = ELSEWHERE;
    assert_eq!(on(&seen, &ELSEWHERE), [(0, one), (100, two), (200, one)]);
}

#[test]
fn an_interface_of_ones_own_keeps_the_pace_of_the_one_below() {
    let seen = burst(many(|model| {
        let instance = instance_of(model);
        instance.address_vmacs = vec![macvlan()];
        instance.excluded_addresses[1].device = "vrrp.51".into();
    }));
    let [one, two] = ELSEWHERE;
    assert_eq!(on(&seen, &ELSEWHERE), [(0, one), (100, two), (200, one)]);
}

#[test]
fn interfaces_of_a_garp_group_share_their_pace() {
    let group = GarpGroup {
        interfaces: ["eth0".to_owned(), "eth1".to_owned()].into(),
        arp_gap: Duration::from_millis(200),
        na_gap: Duration::ZERO,
    };
    let seen = burst(many(|model| model.host.garp_groups.push(group)));
    let [one, two] = ELSEWHERE;
    let seen: Vec<(u64, &str)> = seen.iter().map(|(at, about)| (*at, about.as_str())).collect();
    assert_eq!(seen, [(0, VIP), (200, one), (400, two), (600, VIP)]);
}

#[test]
fn what_waits_for_its_turn_is_not_said_after_the_mastership() {
    let slow = |model: &mut Model| instance_of(model).garp.arp_gap = Duration::from_secs(1);
    let mut node = start(many(slow));
    while node.state() != VrrpState::Master {
        node.run_for(Duration::from_millis(10), &[]);
    }
    let before = announcements(&mut node, Duration::from_millis(1_200));
    assert!(
        before.iter().any(|(_, about)| about == ELSEWHERE[1]),
        "{before:?}"
    );
    node.hear(200);
    assert_eq!(node.state(), VrrpState::Backup);
    assert_eq!(announcements(&mut node, Duration::from_secs(2)), []);
}

fn in_a_vrf() -> Model {
    with(|it| {
        it.interface = None;
        it.vrf = Some("blue".into());
        it.source = Some(ip("192.0.2.1"));
        it.unicast_peers = vec![UnicastPeer {
            address: ip("192.0.2.2"),
            min_ttl: None,
            max_ttl: None,
        }];
    })
}

#[test]
fn adverts_of_a_vrf_come_and_go_by_it_and_its_absence_is_a_fault() {
    let mut node = start(in_a_vrf());
    assert_eq!(node.state(), VrrpState::Fault);
    let faults = node.view().faults;
    assert_eq!(faults, &["VRF blue does not exist"]);
    let vrf = Link {
        index: LinkIndex(9),
        name: "blue".into(),
        ..node.net.links[&LinkIndex(2)].clone()
    };
    node.net.links.insert(vrf.index, vrf.clone());
    node.feed(Input::Net(NetNews::Link(vrf)));
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(node.state(), VrrpState::Master);
    assert_eq!(last_advert(&node), (ip("192.0.2.1"), Some(LinkIndex(9))));
    let vrfs: Vec<_> = node.ears.iter().map(|ear| ear.vrf).collect();
    assert_eq!(vrfs, [Some(LinkIndex(9))]);
}

#[test]
fn an_interface_of_ones_own_is_in_the_vrf_of_the_one_below() {
    let mut start = Start::with(with_addresses(true));
    start.net = two_links();
    start.net.links.get_mut(&LinkIndex(3)).unwrap().vrf = Some(LinkIndex(9));
    let node = start.go();
    assert_eq!(node.net.link("vrrp.51").unwrap().vrf, Some(LinkIndex(9)));
}

#[test]
fn a_master_from_the_first_moment_puts_its_addresses_on_a_link_that_comes_after() {
    let owner = with(|it| {
        (it.initial_master, it.priority) = (true, Priority::OWNER);
        it.vmac = Some(Vmac {
            name: "vrrp.51".into(),
            mac: MAC,
            sends_on_base: false,
        });
        for address in &mut it.addresses {
            address.device = "vrrp.51".into();
        }
    });
    let mut start = Start::with(owner);
    start.net = two_links();
    // Nothing to wait for.
    start.model.services.clear();
    let mut node = start.go();
    assert_eq!(node.state(), VrrpState::Master);
    node.run_for(Duration::from_secs(1), &[]);
    assert_eq!(place(&node, VIP).as_deref(), Some("vrrp.51"));
    let announced = |did: &Did| matches!(did, Did::Net(NetOp::Announce { about, .. }) if *about == ip(VIP));
    assert_eq!(node.did.iter().filter(|did| announced(did)).count(), 5);
}
