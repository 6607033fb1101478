//! What the kernel is told, in which order, and what happens when somebody else meddles.

use crate::instance::{v3, v3_inet6};
use crate::node::{Did, Node, Start, VIP, entry, ip, model, server_key, service};
use lb_shared::event::What;
use lb_shared::names::{Protocol, ServiceKey, VirtualKey};
use lb_shared::state::{Programmed, VrrpState};
use lbagent::engine::{Input, NetNews, StopMode};
use lbagent::ipvs::IpvsOp;
use lbagent::ipvs::table::{IpvsService, IpvsTable, ServiceSettings};
use lbagent::model::{Model, Service};
use lbagent::net::NetOp;
use lbagent::net::{Address, AddressKey};
use lbagent::wire::LinkIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn ipvs_is_complete_before_an_address_appears_and_announced_after() {
    let mut node = Start::with(model(255, service("rr", 2))).go();
    node.run_for(Duration::from_secs(2), &[]);
    let served = node
        .position(|did| matches!(did, Did::Ipvs(IpvsOp::AddServer(..))))
        .unwrap();
    let added = node
        .position(|did| matches!(did, Did::Net(NetOp::AddAddress { .. })))
        .unwrap();
    let announced = node
        .position(|did| matches!(did, Did::Net(NetOp::Announce { .. })))
        .unwrap();
    assert!(
        served < added && added < announced,
        "{served} {added} {announced}"
    );
}

#[test]
fn the_kernel_is_told_before_anybody_hears_of_it() {
    let node = Start::with(model(255, service("rr", 2))).go();
    let served = node
        .position(|did| matches!(did, Did::Ipvs(IpvsOp::AddServer(..))))
        .unwrap();
    let said = node
        .position(|did| matches!(did, Did::Said(event) if event.what == What::ServiceChanged))
        .unwrap();
    assert!(served < said, "{served} {said}");
}

#[test]
fn f161_a_stop_says_goodbye_then_removes_addresses_then_services() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    node.did.clear();
    node.feed(Input::Stop(StopMode::default()));
    node.run_for(Duration::from_secs(1), &[]);
    let farewell = node
        .position(|did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0))
        .unwrap();
    let address = node
        .position(|did| matches!(did, Did::Net(NetOp::RemoveAddress { .. })))
        .unwrap();
    let removed = node
        .position(|did| matches!(did, Did::Ipvs(IpvsOp::RemoveService(_))))
        .unwrap();
    let finished = node.position(|did| matches!(did, Did::Finished)).unwrap();
    assert!(farewell < address && address < removed && removed < finished);
    assert!(node.ipvs.unwrap().services.is_empty());
    assert!(node.ledger.masters.is_empty());
}

#[test]
fn f070_without_ip_vs_vrrp_and_checks_run_and_services_follow_when_it_appears() {
    let mut start = Start::with(model(100, service("rr", 2)));
    start.ipvs = None;
    let mut node = start.go();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    let programmed = |node: &Node| {
        node.engine
            .state()
            .services
            .values()
            .next()
            .unwrap()
            .programmed
            .clone()
    };
    assert_eq!(programmed(&node), Programmed::Unavailable);
    assert!(
        node.engine
            .state()
            .agent
            .ipvs_missing
            .as_ref()
            .unwrap()
            .contains("modprobe ip_vs")
    );
    node.ipvs = Some(IpvsTable::default());
    node.run_for(Duration::from_secs(15), &[]);
    assert_eq!(programmed(&node), Programmed::Yes);
    assert_eq!([node.weight(1), node.weight(2)], [Some(1); 2]);
}

/// Somebody else gives a server another weight.
fn tamper(node: &mut Node) {
    let services = &mut node.ipvs.as_mut().expect("it has IPVS").services;
    let servers = &mut services.get_mut(&entry()).expect("it is there").destinations;
    servers
        .get_mut(&server_key(1))
        .expect("it is there")
        .settings
        .weight = 9;
}

#[test]
fn somebody_who_keeps_changing_a_service_is_named_and_answered_once_a_minute() {
    let told = |node: &Node| -> Vec<bool> {
        let healed = node.did.iter().filter_map(|did| match did {
            Did::Said(event) if event.what == What::DriftHealed => event.why.as_deref(),
            _ => None,
        });
        healed.map(|why| why.contains("keeps changing it")).collect()
    };
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(5), &[]);
    for _ in 0..4 {
        tamper(&mut node);
        node.run_for(Duration::from_secs(10), &[]);
        assert_eq!(node.weight(1), Some(1));
    }
    assert_eq!(
        told(&node),
        [false, false, false, true],
        "the fourth in five minutes"
    );
    tamper(&mut node);
    node.run_for(Duration::from_secs(40), &[]);
    assert_eq!((node.weight(1), told(&node).len()), (Some(9), 4), "not at once");
    node.run_for(Duration::from_secs(30), &[]);
    assert_eq!((node.weight(1), told(&node).len()), (Some(1), 5));
    // After five quiet minutes it is one change as any other.
    node.run_for(Duration::from_secs(300), &[]);
    tamper(&mut node);
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!((node.weight(1), told(&node).last()), (Some(1), Some(&false)));
}

#[test]
fn f075_a_weight_changed_by_hand_is_put_right_and_said() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(5), &[]);
    tamper(&mut node);
    node.run_for(Duration::from_secs(12), &[]);
    assert_eq!(node.weight(1), Some(1));
    assert_eq!(node.said(What::DriftHealed), 1);
}

#[test]
fn f076_a_flushed_table_is_rebuilt_within_one_audit() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(5), &[]);
    node.ipvs = Some(IpvsTable::default());
    node.run_for(Duration::from_secs(12), &[]);
    assert_eq!([node.weight(1), node.weight(2)], [Some(1); 2]);
}

#[test]
fn f077_services_of_others_stay_untouched_from_start_to_stop() {
    let foreign = VirtualKey::Address {
        address: ip("203.0.113.9"),
        port: 25,
        protocol: Protocol::Tcp,
    };
    let settings = ServiceSettings {
        scheduler: "rr".into(),
        flags: 0,
        timeout_s: 0,
        prefix_len: 32,
        engine: None,
    };
    let mut start = Start::with(model(100, service("rr", 2)));
    let table = start.ipvs.as_mut().unwrap();
    table.services.insert(
        foreign,
        IpvsService {
            settings,
            destinations: BTreeMap::new(),
        },
    );
    let mut node = start.go();
    node.run_for(Duration::from_secs(25), &[]);
    node.feed(Input::Stop(StopMode::default()));
    assert_eq!(node.ipvs.unwrap().services.keys().collect::<Vec<_>>(), [&foreign]);
}

#[test]
fn f050_a_virtual_address_removed_by_hand_costs_the_mastership_and_comes_back() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    let key = *node
        .net
        .addresses
        .keys()
        .find(|key| key.address == ip(VIP))
        .unwrap();
    node.net.addresses.remove(&key);
    node.feed(Input::Net(NetNews::AddressGone(key)));
    assert_eq!(node.state(), VrrpState::Backup);
    assert_eq!(node.said(What::AddressLost), 1);
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip());
}

#[test]
fn an_interface_that_goes_down_is_a_fault_with_its_reason_and_heals() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    let mut link = node.net.links.values().next().unwrap().clone();
    link.running = false;
    node.feed(Input::Net(NetNews::Link(link.clone())));
    let view = node.view();
    assert_eq!(view.state, VrrpState::Fault);
    assert_eq!(view.faults, ["interface eth0 is down"]);
    assert!(!node.has_vip());
    link.running = true;
    node.feed(Input::Net(NetNews::Link(link)));
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip());
}

#[test]
fn a_failed_server_leaves_the_table_and_returns_when_its_check_passes() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.run_for(Duration::from_secs(10), &[server_key(2)]);
    assert_eq!([node.weight(1), node.weight(2)], [Some(1), None]);
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!([node.weight(1), node.weight(2)], [Some(1); 2]);
}

#[test]
fn an_ipv6_address_that_left_with_its_link_is_put_back_and_each_version_speaks_its_own() {
    let mut both = model(100, service("rr", 2));
    let (four, six) = (v3("V4", 60, 100), v3_inet6("V6", 60, 100));
    both.instances = [four, six]
        .into_iter()
        .map(|it| (it.name.clone(), Arc::new(it)))
        .collect();
    let mut start = Start::with(both);
    let own = AddressKey {
        link: LinkIndex(2),
        address: ip("fe80::1"),
        prefix_len: 64,
    };
    start.net.addresses.insert(
        own,
        Address {
            usable: true,
            ..Address::default()
        },
    );
    let mut node = start.go();
    node.run_for(Duration::from_secs(10), &[]);
    let virtual_address = |node: &Node| {
        node.net
            .addresses
            .keys()
            .find(|key| key.address == ip("fe80::100"))
            .copied()
    };
    let held = virtual_address(&node).expect("the IPv6 address is held");
    let versions: BTreeSet<u8> = node
        .did
        .iter()
        .filter_map(|did| match did {
            Did::Sent(advert) => Some(advert.payload[0]),
            _ => None,
        })
        .collect();
    assert_eq!(versions, BTreeSet::from([0x31]));

    let mut link = node.net.links.values().next().unwrap().clone();
    link.running = false;
    node.feed(Input::Net(NetNews::Link(link.clone())));
    node.net.addresses.remove(&held);
    node.feed(Input::Net(NetNews::AddressGone(held)));
    link.running = true;
    node.feed(Input::Net(NetNews::Link(link)));
    node.run_for(Duration::from_secs(5), &[]);
    assert!(virtual_address(&node).is_some());
}

#[test]
fn ha_suspend_rests_the_checks_while_the_address_is_elsewhere() {
    let mut suspended = service("rr", 1);
    suspended.ha_suspend = true;
    let mut node = Start::with(model(100, suspended)).go();
    for _ in 0..10 {
        node.hear(200);
        node.run_for(Duration::from_secs(1), &[]);
    }
    let checked = |node: &Node| node.did.iter().filter(|did| matches!(did, Did::Checked)).count();
    assert_eq!(checked(&node), 0, "checked while BACKUP");
    node.run_for(Duration::from_secs(20), &[]);
    assert!(node.has_vip());
    assert!(checked(&node) > 2);
    node.hear(200);
    node.did.clear();
    for _ in 0..10 {
        node.hear(200);
        node.run_for(Duration::from_secs(1), &[]);
    }
    assert_eq!(checked(&node), 0, "checked after the address left");
}

/// One service for each port from 1,000 on, with one server.
fn many_services(count: u16) -> Model {
    let mut model = model(100, service("rr", 1));
    for port in 1_000..1_000 + count {
        let key = VirtualKey::Address {
            address: ip(VIP),
            port,
            protocol: Protocol::Tcp,
        };
        let service = Service {
            key: ServiceKey::Single(key),
            name: None,
            entries: vec![key],
            ..service("rr", 1)
        };
        model.services.insert(service.key.clone(), Arc::new(service));
    }
    model
}

#[test]
fn a_big_table_is_compared_in_slices_and_adverts_are_sent_in_between() {
    let mut node = Start::with(many_services(900)).go();
    node.run_for(Duration::from_secs(10), &[]);
    let table = node.ipvs.as_mut().unwrap();
    // Somebody else takes a server out of the service that is compared last.
    let last = *table.services.last_key_value().unwrap().0;
    table.services.get_mut(&last).unwrap().destinations.clear();
    node.did.clear();
    while node.position(|did| matches!(did, Did::Looked)).is_none() {
        let at = node.engine.next_deadline().unwrap();
        node.now = node.now.max(at);
        node.feed(Input::Tick);
    }
    assert_eq!(node.said(What::DriftHealed), 0, "not all of it in one go");
    assert!(node.engine.next_deadline().unwrap() <= node.now + Duration::from_micros(1));
    // A second later than that, as on a processor others need: the advert does not wait for the rest.
    node.did.clear();
    node.now = node.now + Duration::from_secs(1);
    node.feed(Input::Tick);
    assert!(node.position(|did| matches!(did, Did::Sent(_))).is_some());
    assert_eq!(node.said(What::DriftHealed), 0);
    let mut slices = 0;
    while node.said(What::DriftHealed) == 0 {
        let at = node.engine.next_deadline().unwrap();
        assert!(at <= node.now + Duration::from_micros(1), "it goes on");
        node.now = node.now.max(at);
        node.feed(Input::Tick);
        slices += 1;
    }
    assert!((2..=9).contains(&slices), "{slices} slices");
    assert_eq!(node.ipvs.as_ref().unwrap().services[&last].destinations.len(), 1);
    node.run_for(Duration::from_millis(100), &[]);
    assert!(
        node.engine.next_deadline().unwrap() > node.now,
        "it comes to rest"
    );
}

#[test]
fn an_audit_that_finds_nothing_tells_nobody_anything() {
    let mut node = Start::with(many_services(300)).go();
    node.run_for(Duration::from_secs(15), &[]);
    node.did.clear();
    node.run_for(Duration::from_secs(30), &[]);
    let looks = node.did.iter().filter(|did| matches!(did, Did::Looked)).count();
    let said = node.did.iter().filter(|did| matches!(did, Did::Said(_))).count();
    assert!(looks >= 2 && said == 0, "{looks} looks, {said} events");
}
