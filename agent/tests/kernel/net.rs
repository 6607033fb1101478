//! Addresses, announcements and notifications against rtnetlink.

use super::lab::{Netns, expect, wanted};
use lbagent::engine::{BatchId, NetNews, OpError};
use lbagent::io::lane::NetLane;
use lbagent::io::nft_socket::OwnPort;
use lbagent::io::rtnl_socket::Monitor;
use lbagent::model::{AddressExtras, IpvlanMode, OwnKind};
use lbagent::net::{Address, AddressKey, NetOp, NetTable, NewLink, announce, plan};
use lbagent::wire::LinkIndex;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

pub(crate) struct Host {
    lane: NetLane,
    pub(crate) monitor: Monitor,
    pub(crate) news: Receiver<NetNews>,
}

impl Host {
    /// A lane and a monitor in the namespace of this thread.
    pub(crate) fn start() -> Self {
        let (sender, news) = mpsc::channel();
        let done = sender.clone();
        let host = Self {
            lane: NetLane::start(OwnPort::default(), move |it| drop(done.send(it))),
            monitor: Monitor::start(move |it| drop(sender.send(it))).unwrap(),
            news,
        };
        host.next_table();
        host
    }

    fn next_table(&self) -> NetTable {
        expect(&self.news, "a table", |it| match it {
            NetNews::Table(table) => Some(table),
            _ => None,
        })
    }

    pub(crate) fn table(&self) -> NetTable {
        self.monitor.refresh();
        self.next_table()
    }

    pub(crate) fn submit(&self, number: u64, ops: Vec<NetOp>) -> Vec<(usize, OpError)> {
        self.lane.submit(BatchId(number), ops);
        expect(&self.news, "the end of a batch", |it| match it {
            NetNews::Done(BatchId(done), failed) if done == number => Some(failed),
            _ => None,
        })
    }
}

fn key(link: u32, address: &str, prefix_len: u8) -> AddressKey {
    AddressKey {
        link: LinkIndex(link),
        address: address.parse().unwrap(),
        prefix_len,
    }
}

fn add(key: AddressKey) -> NetOp {
    NetOp::AddAddress {
        key,
        address: Address::default(),
    }
}

/// Not chosen as a source, as the virtual IPv6 addresses of full length are.
fn deprecated() -> Address {
    with(|it| it.preferred_s = Some(0))
}

fn with(change: impl FnOnce(&mut AddressExtras)) -> Address {
    let mut address = Address::default();
    change(&mut address.extras);
    address
}

#[test]
fn the_kernel_takes_and_tells_all_that_a_line_can_say_of_an_address() {
    if !wanted("the_kernel_takes_and_tells_all_that_a_line_can_say_of_an_address") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        let host = Host::start();
        let before = host.table();
        let peer = |text: &str| Some(text.parse().unwrap());
        let want = BTreeMap::from([
            (key(link, "10.92.0.1", 30), with(|it| it.peer = peer("10.92.0.2"))),
            (key(link, "10.92.1.1", 24), with(|it| it.noprefixroute = true)),
            (key(link, "10.92.2.1", 24), deprecated()),
            (key(link, "239.92.0.1", 32), with(|it| it.autojoin = true)),
            (key(link, "2001:db8:92::1", 64), with(|it| it.home = true)),
            (key(link, "2001:db8:92::2", 64), with(|it| it.temporary = true)),
            (key(link, "2001:db8:92::3", 64), with(|it| it.dad = true)),
            (
                key(link, "2001:db8:92::4", 128),
                with(|it| it.peer = peer("2001:db8:93::4")),
            ),
            (
                key(link, "2001:db8:92::5", 64),
                with(|it| it.preferred_s = Some(60)),
            ),
        ]);
        assert_eq!(host.submit(1, plan(&want, &before, &BTreeSet::new())), []);
        let shown = one.sh("ip addr show eth0");
        for part in [
            "10.92.0.1 peer 10.92.0.2/30",
            "10.92.1.1/24 scope global noprefixroute",
            "10.92.2.1/24 scope global deprecated",
            "239.92.0.1/32 scope global autojoin",
            "2001:db8:92::1/64 scope global nodad home",
            "2001:db8:92::2/64 scope global nodad mngtmpaddr",
            "2001:db8:92::3/64 scope global tentative",
            "2001:db8:92::4 peer 2001:db8:93::4/128",
        ] {
            let squeezed = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(squeezed.contains(part), "no {part} in {squeezed}");
        }
        let routes = one.sh("ip route show dev eth0");
        assert!(!routes.contains("10.92.1.0"), "{routes}");
        let owned: BTreeSet<_> = want.keys().copied().collect();
        assert_eq!(plan(&want, &host.table(), &owned), [], "as it was meant");
        // One of them is meant otherwise now.
        let mut other = want.clone();
        other.insert(key(link, "10.92.0.1", 30), with(|it| it.peer = peer("10.92.0.3")));
        assert_eq!(host.submit(2, plan(&other, &host.table(), &owned)), []);
        assert_eq!(plan(&other, &host.table(), &owned), []);
        assert_eq!(host.submit(3, plan(&BTreeMap::new(), &host.table(), &owned)), []);
        let after = host.table();
        let left: Vec<_> = after.addresses.keys().filter(|key| owned.contains(key)).collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

#[test]
fn addresses_come_and_go_as_planned_and_the_monitor_tells() {
    if !wanted("addresses_come_and_go_as_planned_and_the_monitor_tells") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        let host = Host::start();
        let before = host.table();
        let labelled = Address {
            label: Some("eth0:vip".to_owned()),
            broadcast: Some([10, 91, 0, 255].into()),
            ..Address::default()
        };
        let want = BTreeMap::from([
            (key(link, "10.91.0.100", 24), labelled.clone()),
            (key(link, "10.91.1.100", 32), Address::default()),
            (key(link, "2001:db8:91::100", 128), deprecated()),
        ]);
        let ops = plan(&want, &before, &BTreeSet::new());
        assert_eq!(host.submit(1, ops.clone()), []);
        let shown = one.sh("ip addr show eth0");
        assert!(
            shown.contains("inet 10.91.0.100/24 brd 10.91.0.255 scope global secondary"),
            "{shown}"
        );
        assert!(shown.contains("eth0:vip"), "{shown}");
        let shown = one.sh("ip addr show eth0 to 2001:db8:91::100");
        for part in [
            "2001:db8:91::100/128",
            "nodad",
            "deprecated",
            "preferred_lft 0sec",
        ] {
            assert!(shown.contains(part), "no {part} in {shown}");
        }

        let after = host.table();
        let owned: BTreeSet<_> = want.keys().copied().collect();
        assert_eq!(plan(&want, &after, &owned), []);
        let v6 = &after.addresses[&key(link, "2001:db8:91::100", 128)];
        assert!(v6.usable, "no duplicate detection");
        // Where the kernel knows the mark.
        assert!(after.addresses[&key(link, "10.91.1.100", 32)].ours);
        assert_eq!(host.submit(2, ops), [], "what is there already is no failure");

        // Another label: replaced. The foreign address of the subnet stays.
        let mut relabelled = want.clone();
        relabelled.get_mut(&key(link, "10.91.0.100", 24)).unwrap().label = None;
        assert_eq!(host.submit(3, plan(&relabelled, &after, &owned)), []);
        let shown = one.sh("ip addr show eth0");
        assert!(
            !shown.contains("eth0:vip") && shown.contains("10.91.0.100/24"),
            "{shown}"
        );

        let gone = plan(&BTreeMap::new(), &host.table(), &owned);
        assert_eq!(host.submit(4, gone.clone()), []);
        assert_eq!(host.submit(5, gone), [], "what is gone already is no failure");
        assert_eq!(host.table(), before);
    });
}

#[test]
fn a_macvlan_is_made_quiet_and_private_and_the_monitor_tells_what_it_is() {
    if !wanted("a_macvlan_is_made_quiet_and_private_and_the_monitor_tells_what_it_is") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = LinkIndex(one.index("eth0"));
    one.run(|| {
        let host = Host::start();
        let mac = [0, 0, 0x5e, 0, 1, 51];
        let name = "vrrp.51".to_owned();
        let new = NewLink {
            name: name.clone(),
            over: link,
            kind: OwnKind::Macvlan(mac),
            vrf: None,
        };
        let quiet = NetOp::QuietLink { name: name.clone() };
        let raise = NetOp::RaiseLink { name: name.clone() };
        let ops = vec![NetOp::AddLink(new.clone()), quiet, raise];
        assert_eq!(host.submit(1, ops), []);
        let table = host.table();
        let made = table.link(&name).expect("it is there");
        assert_eq!((made.private_over, made.running), (Some(link), true));
        assert_eq!(made.mac, mac);
        assert_eq!(table.links[&link].private_over, None);
        assert_eq!(
            table.on_link(made.index).count(),
            0,
            "it made an address of its own"
        );
        let shown = one.sh("ip -d link show vrrp.51");
        assert!(
            shown.contains("macvlan mode private") && shown.contains("addrgenmode none"),
            "{shown}"
        );
        let again = host.submit(2, vec![NetOp::AddLink(new.clone())]);
        assert!(
            again[0].1.text.contains("another name behind use_vmac"),
            "{again:?}"
        );
        one.sh("ip link add bridge.51 link eth0 type macvlan mode bridge");
        assert_eq!(host.table().link("bridge.51").unwrap().private_over, None);
        let gone = vec![NetOp::RemoveLink { link: made.index }];
        assert_eq!(host.submit(3, gone.clone()), []);
        assert_eq!(host.submit(4, gone), [], "what is gone already is no failure");
        // Its parent is gone: whoever wants it hears of that.
        let orphan = NewLink {
            over: LinkIndex(4_711),
            ..new
        };
        assert_eq!(host.submit(5, vec![NetOp::AddLink(orphan)]), []);
        assert!(host.table().link(&name).is_none());
    });
}

#[test]
fn a_primary_that_goes_leaves_its_secondaries() {
    if !wanted("a_primary_that_goes_leaves_its_secondaries") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        one.sh("sysctl -qw net.ipv4.conf.all.promote_secondaries=0 net.ipv4.conf.eth0.promote_secondaries=0");
        let host = Host::start();
        let first = key(link, "10.92.0.1", 24);
        assert_eq!(
            host.submit(1, vec![add(first), add(key(link, "10.92.0.2", 24))]),
            []
        );
        let want = BTreeMap::from([(key(link, "10.92.0.3", 24), Address::default())]);
        let ops = plan(&want, &host.table(), &BTreeSet::from([first]));
        assert_eq!(host.submit(2, ops), []);
        let shown = one.sh("ip addr show eth0");
        assert!(!shown.contains("10.92.0.1/24"), "{shown}");
        assert!(
            shown.contains("10.92.0.2/24") && shown.contains("10.92.0.3/24"),
            "{shown}"
        );
    });
}

#[test]
fn a_thousand_addresses_go_up_in_one_batch_and_failures_name_their_place() {
    if !wanted("a_thousand_addresses_go_up_in_one_batch_and_failures_name_their_place") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        let host = Host::start();
        let mut ops: Vec<_> = (0..1000u32)
            .map(|number| {
                let address = Ipv4Addr::from(0x0a5d_0000 + number);
                add(key(link, &address.to_string(), 32))
            })
            .collect();
        // No such interface; a prefix too long.
        ops[300] = add(key(9999, "10.93.9.1", 32));
        ops[999] = add(key(link, "10.93.9.2", 33));
        let failed = host.submit(1, ops);
        let errnos: Vec<_> = failed
            .iter()
            .map(|(place, error)| (*place, error.errno))
            .collect();
        assert_eq!(
            errnos,
            [(300, libc_errno::ENODEV), (999, libc_errno::EINVAL)],
            "{failed:?}"
        );
        let shown = one.sh("ip -o -4 addr show eth0 | wc -l");
        assert_eq!(shown.trim(), "999");
    });
}

mod libc_errno {
    pub(super) const ENODEV: i32 = 19;
    pub(super) const EINVAL: i32 = 22;
}

#[test]
fn links_that_change_and_go_are_told() {
    if !wanted("links_that_change_and_go_are_told") {
        return;
    }
    let [one, two] = Netns::pair();
    one.run(|| {
        let host = Host::start();
        let table = host.table();
        let eth0 = table.link("eth0").unwrap();
        assert!(
            eth0.running && eth0.arp && eth0.multicast && !eth0.loopback,
            "{eth0:?}"
        );
        assert_eq!((eth0.mtu, eth0.mac.len()), (1500, 6));
        let lo = table.link("lo").unwrap();
        assert!(lo.loopback && lo.mac.is_empty(), "{lo:?}");

        two.sh("ip link set eth0 down");
        expect(&host.news, "a carrier lost", |it| match it {
            NetNews::Link(link) if link.name == "eth0" && !link.running => Some(()),
            _ => None,
        });
        one.sh("ip link add br0 type bridge; ip link set eth0 master br0; ip link set eth0 nomaster");
        one.sh("ip link del br0");
        expect(
            &host.news,
            "the bridge gone, and not its former port",
            |it| match it {
                NetNews::LinkGone(index) => {
                    assert_ne!(index, eth0.index);
                    Some(())
                }
                _ => None,
            },
        );
        one.sh("ip link del eth0");
        expect(&host.news, "the link gone", |it| match it {
            NetNews::LinkGone(index) if index == eth0.index => Some(()),
            _ => None,
        });
        assert_eq!(host.table().link("eth0"), None);
    });
}

#[test]
fn announcements_leave_behind_their_address() {
    if !wanted("announcements_leave_behind_their_address") {
        return;
    }
    let [one, two] = Netns::pair();
    // Frames of all protocols.
    let mut heard = two.run(|| {
        let all = Protocol::from(i32::from(0x0003u16.to_be()));
        Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap()
    });
    heard.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    one.run(|| {
        let host = Host::start();
        let table = host.table();
        let link = table.link("eth0").unwrap();
        for vip in ["10.91.0.100", "2001:db8:91::100"] {
            let vip: IpAddr = vip.parse().unwrap();
            let length = if vip.is_ipv4() { 32 } else { 128 };
            let announcement = announce(link, vip).unwrap();
            let NetOp::Announce { frame, .. } = &announcement else {
                panic!("{announcement}")
            };
            let ops = vec![
                add(key(link.index.0, &vip.to_string(), length)),
                announcement.clone(),
            ];
            assert_eq!(host.submit(1, ops), []);
            let mut buffer = [0; 2048];
            loop {
                let length = heard.read(&mut buffer).expect("the announcement");
                if buffer[..length] == frame[..] {
                    break;
                }
            }
        }
        let gone = NetOp::Announce {
            link: LinkIndex(9999),
            about: [10, 91, 0, 100].into(),
            frame: vec![0; 42],
        };
        let failed = host.submit(2, vec![gone]);
        assert!(failed[0].1.text.contains("interface is gone"), "{failed:?}");
    });
}

#[test]
fn lost_notifications_are_made_up_for_by_reading_everything_again() {
    if !wanted("lost_notifications_are_made_up_for_by_reading_everything_again") {
        return;
    }
    let [one, _two] = Netns::pair();
    one.run(|| {
        let (sender, news) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        // Nobody listens from the first change on, until the gate opens.
        let monitor = Monitor::start(move |it| {
            let change = matches!(it, NetNews::Address(..));
            let _ = sender.send(it);
            if change {
                let _ = gate.recv();
            }
        });
        let monitor = monitor.unwrap();
        expect(&news, "a table", |it| {
            matches!(it, NetNews::Table(_)).then_some(())
        });
        one.sh("for i in $(seq 20000); do
                 echo addr add 10.94.0.1/32 dev eth0; echo addr del 10.94.0.1/32 dev eth0
             done | ip -batch -; ip addr add 10.94.0.2/32 dev eth0");
        drop(open);
        let table = expect(&news, "a table nobody asked for", |it| match it {
            NetNews::Table(table) => Some(table),
            _ => None,
        });
        let addresses: Vec<_> = table.addresses.keys().map(|key| key.address).collect();
        assert!(addresses.contains(&IpAddr::from([10, 94, 0, 2])), "{addresses:?}");
        assert!(
            !addresses.contains(&IpAddr::from([10, 94, 0, 1])),
            "{addresses:?}"
        );
        drop(monitor);
    });
}

#[test]
fn an_ipvlan_is_made_in_its_mode_and_the_monitor_tells_what_it_is() {
    if !wanted("an_ipvlan_is_made_in_its_mode_and_the_monitor_tells_what_it_is") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = LinkIndex(one.index("eth0"));
    one.run(|| {
        let host = Host::start();
        let name = "ipv51".to_owned();
        for (turn, mode, word) in [
            (1, IpvlanMode::Bridge, "bridge"),
            (3, IpvlanMode::Private, "private"),
            (5, IpvlanMode::Vepa, "vepa"),
        ] {
            let new = NewLink {
                name: name.clone(),
                over: link,
                kind: OwnKind::Ipvlan(mode),
                vrf: None,
            };
            let ops = vec![NetOp::AddLink(new), NetOp::RaiseLink { name: name.clone() }];
            assert_eq!(host.submit(turn, ops), []);
            let table = host.table();
            let made = table.link(&name).expect("it is there");
            assert_eq!(
                (made.ipvlan_over, made.private_over, made.running),
                (Some(link), None, true)
            );
            assert_eq!(made.mac, table.links[&link].mac);
            let shown = one.sh("ip -d link show ipv51");
            assert!(
                shown.contains("ipvlan") && shown.contains(&format!("mode l2 {word}")),
                "{shown}"
            );
            let gone = vec![NetOp::RemoveLink { link: made.index }];
            assert_eq!(host.submit(turn + 1, gone), []);
        }
        one.sh("ip link add l3 link eth0 type ipvlan mode l3");
        assert_eq!(host.table().link("l3").unwrap().ipvlan_over, None);
    });
}
