//! `use_vmac`: an interface of the instance's own.

use crate::node::{Did, Node, Start, VIP, host, instance_of, ip, model, new_model, service};
use lb_shared::event::What;
use lb_shared::state::VrrpState;
use lbagent::engine::{Input, NetNews, Previous, StopMode};
use lbagent::model::{Model, Vmac};
use lbagent::net::{Link, NetOp};
use lbagent::wire::LinkIndex;
use std::time::Duration;

pub(crate) const NAME: &str = "vrrp.51";
const MAC: [u8; 6] = [0, 0, 0x5e, 0, 1, 51];

pub(crate) fn with_vmac(on_base: bool) -> Model {
    let mut model = model(100, service("rr", 1));
    let instance = instance_of(&mut model);
    instance.vmac = Some(Vmac {
        name: NAME.into(),
        mac: MAC,
        sends_on_base: on_base,
    });
    for address in &mut instance.addresses {
        address.device = NAME.into();
    }
    model
}

fn sysctls(node: &mut Node) {
    for (key, value) in [
        ("net/ipv4/conf/eth0/arp_ignore", "0"),
        ("net/ipv4/conf/eth0/arp_filter", "0"),
        ("net/ipv4/conf/eth0/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/conf/all/rp_filter", "2"),
    ] {
        node.sysctls.insert(key.into(), value.into());
    }
}

fn start(model: Model) -> Node {
    Start::with(model).go_with(sysctls)
}

fn master(model: Model) -> Node {
    start(model).mastered()
}

fn vmac(node: &Node) -> Option<Link> {
    node.net.link(NAME).cloned()
}

/// Where the virtual address is.
fn place(node: &Node) -> Option<LinkIndex> {
    let mut keys = node.net.addresses.keys();
    keys.find(|key| key.address == ip(VIP)).map(|key| key.link)
}

fn sent_by(node: &Node) -> Option<LinkIndex> {
    node.did.iter().rev().find_map(|did| match did {
        Did::Sent(advert) => advert.link,
        _ => None,
    })
}

fn sysctl<'a>(node: &'a Node, path: &str) -> &'a str {
    node.sysctls.get(path).map_or("-", String::as_str)
}

#[test]
fn the_link_is_there_before_there_is_a_master_and_nobody_was_in_fault() {
    let node = start(with_vmac(false));
    let link = vmac(&node).expect("it was made");
    assert_eq!(
        (link.mac.as_slice(), link.private_over, link.running),
        (&MAC[..], Some(LinkIndex(2)), true)
    );
    assert_eq!(node.state(), VrrpState::Backup);
    assert_eq!(node.said(What::BecameFault), 0);
    let node = master(with_vmac(false));
    assert_eq!(place(&node), vmac(&node).map(|it| it.index));
    assert_eq!(sent_by(&node), vmac(&node).map(|it| it.index));
}

#[test]
fn vmac_xmit_base_sends_by_the_interface_and_holds_on_the_link() {
    let node = master(with_vmac(true));
    assert_eq!(sent_by(&node), Some(LinkIndex(2)));
    assert_eq!(place(&node), vmac(&node).map(|it| it.index));
}

#[test]
fn what_is_announced_carries_the_virtual_mac() {
    let node = master(with_vmac(false));
    let frames = node.did.iter().filter_map(|did| match did {
        Did::Net(NetOp::Announce { frame, link, .. }) => Some((frame[6..12].to_vec(), *link)),
        _ => None,
    });
    let link = vmac(&node).unwrap().index;
    let frames: Vec<_> = frames.collect();
    assert!(!frames.is_empty());
    assert!(frames.iter().all(|it| *it == (MAC.to_vec(), link)), "{frames:?}");
}

#[test]
fn a_stop_says_goodbye_by_the_link_then_removes_it_and_gives_settings_back() {
    let mut node = master(with_vmac(false));
    assert_eq!(sysctl(&node, "net/ipv4/conf/eth0/arp_ignore"), "1");
    assert_eq!(sysctl(&node, "net/ipv4/conf/all/rp_filter"), "0");
    assert_eq!(sysctl(&node, "net/ipv4/conf/eth0/rp_filter"), "2");
    assert_eq!(sysctl(&node, "net/ipv4/conf/vrrp.51/rp_filter"), "0");
    let from = node.did.len();
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    let of = |wanted: fn(&Did) -> bool| node.did[from..].iter().position(wanted).expect("it did so");
    let goodbye = of(|did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0));
    let away = of(|did| matches!(did, Did::Net(NetOp::RemoveAddress { .. })));
    let link = of(|did| matches!(did, Did::Net(NetOp::RemoveLink { .. })));
    assert!(goodbye < away && away < link);
    assert_eq!(vmac(&node), None);
    for (path, value) in [
        ("eth0/arp_ignore", "0"),
        ("all/rp_filter", "2"),
        ("eth0/rp_filter", "0"),
    ] {
        assert_eq!(sysctl(&node, &format!("net/ipv4/conf/{path}")), value, "{path}");
    }
}

#[test]
fn a_reload_without_it_removes_it_and_an_identical_one_touches_nothing() {
    let mut node = master(with_vmac(false));
    let from = node.did.len();
    node.feed(Input::Model(Box::new(new_model(with_vmac(false)))));
    let nets = node.did[from..].iter().filter(|did| matches!(did, Did::Net(_)));
    assert_eq!(nets.count(), 0);
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 1))))));
    node.stand_still(Duration::from_secs(1));
    assert_eq!(vmac(&node), None);
    assert_eq!(sysctl(&node, "net/ipv4/conf/eth0/arp_ignore"), "0");
}

fn steal(node: &mut Node) {
    let index = vmac(node).expect("it is there").index;
    node.net
        .apply(&NetOp::RemoveLink { link: index })
        .expect("it can go");
    node.feed(Input::Net(NetNews::LinkGone(index)));
}

#[test]
fn one_that_somebody_removes_is_put_back_but_not_in_a_loop() {
    let mut node = master(with_vmac(false));
    let from = node.did.len();
    let made = |node: &Node| {
        let mut ops = node.did[from..].iter();
        ops.by_ref()
            .filter(|did| matches!(did, Did::Net(NetOp::AddLink(_))))
            .count()
    };
    steal(&mut node);
    assert!(vmac(&node).is_some());
    steal(&mut node);
    assert!(vmac(&node).is_none(), "not a second time at once");
    assert_eq!((made(&node), node.state()), (1, VrrpState::Fault));
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!((made(&node), node.state()), (2, VrrpState::Master));
    assert_eq!(place(&node), vmac(&node).map(|it| it.index));
}

#[test]
fn a_name_that_is_taken_is_a_fault_with_its_reason_until_it_is_free() {
    let mut start = Start::with(with_vmac(false));
    start.net = host();
    let foreign = Link {
        index: LinkIndex(7),
        name: NAME.into(),
        ..start.net.links[&LinkIndex(2)].clone()
    };
    start.net.links.insert(foreign.index, foreign);
    let mut node = start.go_with(sysctls);
    node.stand_still(Duration::from_secs(5));
    assert_eq!(node.state(), VrrpState::Fault);
    let faults = node.view().faults;
    assert!(
        faults[0].contains("is there already") && faults[0].contains("eth0"),
        "{faults:?}"
    );
    assert_eq!(node.said(What::KernelRefused), 1);
    node.net.links.remove(&LinkIndex(7));
    node.feed(Input::Net(NetNews::LinkGone(LinkIndex(7))));
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(node.state(), VrrpState::Master);
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
}

#[test]
fn a_kernel_that_cannot_make_one_is_asked_again() {
    let mut node = Start::with(with_vmac(false)).go_with(|node| {
        sysctls(node);
        node.refuses_net = |op| matches!(op, NetOp::AddLink(_));
    });
    node.stand_still(Duration::from_secs(10));
    assert_eq!(node.state(), VrrpState::Fault);
    assert_eq!(node.said(What::KernelRefused), 1);
    node.refuses_net = |_| false;
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(node.state(), VrrpState::Master);
}

#[test]
fn a_crash_loses_neither_the_link_nor_what_was_before_it() {
    let node = master(with_vmac(false));
    let sent_ago = [("VI_1".to_owned(), Duration::from_millis(300))].into();
    let index = vmac(&node).unwrap().index;
    let before = node.sysctls.clone();
    let mut next = Start::with(with_vmac(false));
    next.net = node.net;
    next.ipvs = node.ipvs;
    next.previous = Some(Previous {
        ledger: node.ledger,
        sent_ago,
    });
    let mut next = next.go_with(|node| node.sysctls = before.clone());
    assert_eq!(next.state(), VrrpState::Master);
    assert_eq!(vmac(&next).unwrap().index, index, "the same link");
    assert_eq!(sent_by(&next), Some(index));
    next.feed(Input::Stop(StopMode::default()));
    next.stand_still(Duration::from_secs(1));
    assert_eq!(vmac(&next), None);
    assert_eq!(sysctl(&next, "net/ipv4/conf/eth0/arp_ignore"), "0");
    assert_eq!(sysctl(&next, "net/ipv4/conf/all/rp_filter"), "2");
}

#[test]
fn a_start_after_a_crash_removes_one_that_left_the_file() {
    let node = master(with_vmac(false));
    let mut next = Start::with(model(100, service("rr", 1)));
    next.net = node.net;
    next.previous = Some(Previous {
        ledger: node.ledger,
        ..Previous::default()
    });
    let mut next = next.go();
    next.stand_still(Duration::from_secs(1));
    assert_eq!(vmac(&next), None);
}

#[test]
fn settings_that_the_file_names_are_made_so_and_given_back() {
    const PROMOTE: &str = "net/ipv4/conf/eth0/promote_secondaries";
    const IGMP: &str = "net/ipv4/igmp_link_local_mcast_reports";
    let mut wanted = model(100, service("rr", 1));
    let instance = instance_of(&mut wanted);
    instance.promote_secondaries = true;
    wanted.global.disable_local_igmp = true;
    let settings = |node: &mut Node| {
        node.sysctls.insert(PROMOTE.into(), "0".into());
        node.sysctls.insert(IGMP.into(), "1".into());
    };
    let mut node = Start::with(wanted.clone()).go_with(settings);
    assert_eq!((sysctl(&node, PROMOTE), sysctl(&node, IGMP)), ("1", "0"));
    // The interface is made anew, with the kernel's default.
    let link = node.net.links[&LinkIndex(2)].clone();
    node.sysctls.remove(PROMOTE);
    node.feed(Input::Net(NetNews::LinkGone(LinkIndex(2))));
    node.sysctls.insert(PROMOTE.into(), "0".into());
    node.feed(Input::Net(NetNews::Link(link)));
    assert_eq!(sysctl(&node, PROMOTE), "1");
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 1))))));
    assert_eq!((sysctl(&node, PROMOTE), sysctl(&node, IGMP)), ("0", "1"));

    let mut node = Start::with(wanted).go_with(settings);
    node.feed(Input::Stop(StopMode::default()));
    node.stand_still(Duration::from_secs(1));
    assert_eq!((sysctl(&node, PROMOTE), sysctl(&node, IGMP)), ("0", "1"));
}
