//! Adverts between two namespaces.

use super::lab::{Netns, wanted};
use lbagent::io::vrrp::Sockets;
use lbagent::vrrp::{Advert, Datagram, Ear, Endpoint, Envelope};
use lbagent::wire::LinkIndex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io::Read;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Waits for a datagram.
fn receive(sockets: &mut Sockets, limit_ms: u16) -> Option<Datagram> {
    if let Some(datagram) = sockets.receive().unwrap() {
        return Some(datagram);
    }
    let count = poll(
        &mut [PollFd::new(sockets.as_fd(), PollFlags::POLLIN)],
        PollTimeout::from(limit_ms),
    );
    if count.unwrap() == 0 {
        None
    } else {
        sockets.receive().unwrap()
    }
}

struct Side {
    sockets: Sockets,
    link: LinkIndex,
}

fn sides(pair: &[Netns; 2], endpoints: impl Fn(usize, LinkIndex) -> BTreeSet<Endpoint> + Sync) -> [Side; 2] {
    [0, 1].map(|side| {
        let link = LinkIndex(pair[side].index("eth0"));
        let sockets = pair[side].run(|| {
            let mut sockets = Sockets::new().unwrap();
            let failed = sockets.set(&endpoints(side, link).into_iter().map(Ear::from).collect());
            assert!(failed.is_empty(), "{failed:?}");
            sockets
        });
        Side { sockets, link }
    })
}

#[test]
fn multicast_adverts_arrive_once_and_not_at_home() {
    if !wanted("multicast_adverts_arrive_once_and_not_at_home") {
        return;
    }
    let pair = Netns::pair();
    for (source, group) in [
        ("10.91.0.1", "224.0.0.18"),
        ("10.91.0.1", "239.1.2.3"),
        ("fe80::91:1", "ff02::12"),
    ] {
        let (source, group) = (ip(source), ip(group));
        let [mut one, mut two] = sides(&pair, |_, link| {
            BTreeSet::from([Endpoint::Multicast { link, group }])
        });
        let advert = Advert {
            link: Some(one.link),
            source,
            destination: group,
            ttl: 255,
            envelope: Default::default(),
            number: None,
            payload: (0..20).collect(),
        };
        pair[0].run(|| one.sockets.send(&advert).unwrap());
        let wanted = Datagram {
            link: two.link,
            source,
            destination: group,
            ttl: Some(255),
            envelope: Default::default(),
            payload: advert.payload.clone(),
        };
        assert_eq!(receive(&mut two.sockets, 5000), Some(wanted), "{group}");
        assert_eq!(receive(&mut two.sockets, 50), None, "{group} twice");
        assert_eq!(receive(&mut one.sockets, 50), None, "{group} at home");
    }
}

#[test]
fn unicast_adverts_arrive_at_the_address_they_are_for() {
    if !wanted("unicast_adverts_arrive_at_the_address_they_are_for") {
        return;
    }
    let pair = Netns::pair();
    pair[1].sh("ip addr add 10.91.0.22/24 dev eth0");
    for (sources, targets) in [
        (["10.91.0.1", "10.91.0.1"], ["10.91.0.2", "10.91.0.22"]),
        (["fe80::91:1", "fe80::91:1"], ["fe80::91:2", "fe80::91:2"]),
    ] {
        let [mut one, mut two] = sides(&pair, |side, _| {
            let locals = if side == 0 { sources } else { targets };
            locals.map(|local| Endpoint::Unicast { local: ip(local) }).into()
        });
        for target in BTreeSet::from(targets) {
            let advert = Advert {
                // By route where a route can tell.
                link: ip(target).is_ipv6().then_some(one.link),
                source: ip(sources[0]),
                destination: ip(target),
                ttl: 255,
                envelope: Default::default(),
                number: None,
                payload: vec![1; 40],
            };
            pair[0].run(|| one.sockets.send(&advert).unwrap());
            let datagram = receive(&mut two.sockets, 5000).expect(target);
            assert_eq!(
                (datagram.source, datagram.destination),
                (advert.source, advert.destination)
            );
            assert_eq!((datagram.ttl, datagram.link), (Some(255), two.link));
            assert_eq!(receive(&mut two.sockets, 50), None, "{target} twice");
        }
    }
}

#[test]
fn the_ip_header_is_as_keepalived_writes_it() {
    if !wanted("the_ip_header_is_as_keepalived_writes_it") {
        return;
    }
    let pair = Netns::pair();
    let all = Protocol::from(i32::from(0x0003u16.to_be()));
    let mut heard = pair[1].run(|| Socket::new(Domain::PACKET, Type::RAW, Some(all)).unwrap());
    heard.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let link = LinkIndex(pair[0].index("eth0"));
    let mut sockets = Sockets::new().unwrap();
    for (source, group, head) in [
        ("10.91.0.1", "224.0.0.18", [0x45, 0xc0]),
        ("fe80::91:1", "ff02::12", [0x6c, 0x00]),
    ] {
        let advert = Advert {
            link: Some(link),
            source: ip(source),
            destination: ip(group),
            ttl: 255,
            envelope: Default::default(),
            number: None,
            payload: vec![7; 20],
        };
        pair[0].run(|| sockets.send(&advert).unwrap());
        let mut buffer = [0; 2048];
        let packet = loop {
            let length = heard.read(&mut buffer).expect("the advert");
            let (packet, v4) = (&buffer[14..length], buffer[12..14] == [8, 0]);
            if packet.len() >= 40 && packet[if v4 { 9 } else { 6 }] == 112 {
                break packet;
            }
        };
        // The low half of the second byte begins IPv6's flow label, which the kernel chooses.
        let class = [
            packet[0],
            if ip(group).is_ipv4() {
                packet[1]
            } else {
                packet[1] & 0xf0
            },
        ];
        assert_eq!(class, head, "{group}: {packet:x?}");
        if ip(group).is_ipv4() {
            assert_eq!(buffer[..6], [1, 0, 0x5e, 0, 0, 0x12]);
            assert_eq!(packet[6] & 0x40, 0, "{group}: may be fragmented: {packet:x?}");
            assert_eq!((packet[8], &packet[20..]), (255, &advert.payload[..]));
        } else {
            assert_eq!((packet[7], &packet[40..]), (255, &advert.payload[..]));
        }
        pair[0].run(|| sockets = Sockets::new().unwrap());
    }
}

#[test]
fn sealed_adverts_keep_their_number_and_their_ttl_and_are_heard_apart_from_open_ones() {
    if !wanted("sealed_adverts_keep_their_number_and_their_ttl_and_are_heard_apart_from_open_ones") {
        return;
    }
    let pair = Netns::pair();
    let endpoint = Endpoint::Unicast {
        local: ip("10.91.0.2"),
    };
    let [mut sealed, mut open] = [true, false].map(|sealed| {
        pair[1].run(|| {
            let mut sockets = Sockets::new().unwrap();
            assert!(
                sockets
                    .set(&BTreeSet::from([Ear {
                        endpoint,
                        sealed,
                        vrf: None
                    }]))
                    .is_empty()
            );
            sockets
        })
    });
    let advert = Advert {
        link: None,
        source: ip("10.91.0.1"),
        destination: ip("10.91.0.2"),
        ttl: 7,
        envelope: Envelope::Sealed {
            identification: 0xbeef,
        },
        number: None,
        payload: vec![1; 44],
    };
    pair[0].run(|| Sockets::new().unwrap().send(&advert).unwrap());
    let heard = receive(&mut sealed, 5000).expect("it arrives");
    assert_eq!(
        (heard.envelope, heard.ttl, heard.payload),
        (advert.envelope, Some(7), advert.payload)
    );
    assert_eq!(receive(&mut open, 50), None);
}

#[test]
fn an_endpoint_that_cannot_be_heard_on_is_told_and_tried_again() {
    if !wanted("an_endpoint_that_cannot_be_heard_on_is_told_and_tried_again") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = LinkIndex(one.index("eth0"));
    one.run(|| {
        let mut sockets = Sockets::new().unwrap();
        let group = ip("224.0.0.18");
        let good = Endpoint::Multicast { link, group };
        let bad = Endpoint::Multicast {
            link: LinkIndex(9999),
            group,
        };
        // An address that is not here (yet) can be listened on.
        let absent = Endpoint::Unicast {
            local: ip("198.51.100.1"),
        };
        for _ in 0..2 {
            let failed = sockets.set(&BTreeSet::from([good, bad, absent].map(Ear::from)));
            let places: Vec<_> = failed.iter().map(|(endpoint, _)| *endpoint).collect();
            assert_eq!(places, [bad], "{failed:?}");
        }
        assert!(sockets.set(&BTreeSet::new()).is_empty());
        let members = one.sh("cat /proc/net/igmp");
        assert!(!members.contains("120000E0"), "still a member: {members}");
    });
}

#[test]
fn an_advert_leaves_before_its_ipv6_source_is_there() {
    if !wanted("an_advert_leaves_before_its_ipv6_source_is_there") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = LinkIndex(one.index("eth0"));
    one.run(|| {
        let advert = Advert {
            link: Some(link),
            source: ip("fe80::bad"),
            destination: ip("ff02::12"),
            ttl: 255,
            envelope: Default::default(),
            number: None,
            payload: vec![0; 24],
        };
        // As the first one by a virtual router's own interface does; the kernel lets IPv4 do so anyway.
        Sockets::new().unwrap().send(&advert).unwrap();
    });
}
