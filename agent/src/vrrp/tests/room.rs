//! An advert is never larger than its link takes.

use super::*;
use crate::model::room::MTU;
use crate::model::{Authentication, Signing, SigningKey, SigningMode};

const AT: Mono = Mono(20 * S);

fn with(count: u16, cfg: Instance) -> Instance {
    let address = |n: u16| match cfg.family {
        Family::Inet => IpAddr::from([10, 6, n.to_be_bytes()[0], n.to_be_bytes()[1]]),
        Family::Inet6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 7, n]),
    };
    Instance {
        addresses: (0..count).map(|n| instance::address(address(n))).collect(),
        ..cfg
    }
}

fn signed(cfg: Instance) -> Instance {
    let signing = Signing {
        keys: BTreeMap::from([(1, SigningKey(vec![7; 32]))]),
        active: 1,
        window: None,
        mode: SigningMode::Enforce,
    };
    Instance {
        authentication: Authentication::Signed(signing),
        ..cfg
    }
}

fn on(mtu: u32, source: &str) -> Ground {
    Ground {
        mtu: Some(mtu),
        ..ground(source)
    }
}

/// What an MTU does to a master: how many addresses its next advert counts, and how long its packet is.
fn sent(node: &mut Node, mtu: u32, at: Mono) -> (u8, usize) {
    let source = node.source.clone();
    node.with(at, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), on(mtu, &source), out);
    });
    let got = node.run(Mono(at.0 + S));
    let advert = sends(&got)[0];
    let (header, sealed) = (
        if advert.source.is_ipv4() { 20 } else { 40 },
        matches!(advert.envelope, Envelope::Sealed { .. }),
    );
    let message = if sealed { 24 } else { 0 };
    (advert.payload[message + 3], header + advert.payload.len())
}

#[test]
fn an_advert_carries_what_its_link_has_room_for_whatever_proves_it() {
    let v4 = || with(255, vi(51, 150));
    let v3 = || Instance {
        version: VrrpVersion::V3,
        ..v4()
    };
    let v6 = || with(100, vi6(51, 150));
    let sealed = Instance {
        authentication: Authentication::Header(*b"secret\0\0"),
        ..v4()
    };
    // keepalived takes 14 bytes of Ethernet off, although the MTU does not cover them.
    for (cfg, mtu, count, length) in [
        (v4(), MTU, 255, 1_056),
        (v4(), 576, 131, 560),
        (v3(), 576, 133, 560),
        (sealed, 576, 125, 560),
        (signed(v3()), 576, 126, 560),
        (v6(), 9_000, 100, 1_648),
        (v6(), MTU, 89, 1_472),
        (signed(v6()), MTU, 88, 1_484),
        (v6(), 1_280, 76, 1_264),
        (v4(), 0, 1, 40),
    ] {
        let source = if cfg.family == Family::Inet {
            "10.5.0.1"
        } else {
            "fe80::1"
        };
        let mut node = Node::start(source, &[cfg], &[]);
        node.run(AT);
        assert_eq!(sent(&mut node, mtu, AT), (count, length), "{source} {mtu}");
    }
}

#[test]
fn the_first_ones_stay_and_it_is_said_how_many_are_left_out_once_for_each_change() {
    let cfg = with(100, vi6(51, 150));
    let mut node = Node::start("fe80::1", std::slice::from_ref(&cfg), &[]);
    node.run(AT);
    let mut told = |mtu| {
        let got = node.with(AT, |routers, now, out| {
            routers.on_ground(now, &"VI_51".into(), on(mtu, "fe80::1"), out);
        });
        let changes = got.into_iter().filter_map(|effect| match effect {
            Effect::Changed { text, why, .. } => Some((text, why.unwrap_or_default())),
            _ => None,
        });
        changes.collect::<Vec<_>>()
    };
    assert_eq!(
        told(9_000),
        [("adverts carry all 100 addresses again".to_owned(), String::new())]
    );
    let left_out = "adverts carry 89 of 100 addresses: the last 11 are held and not advertised".to_owned();
    let why = "an MTU of 1500 has room for 89".to_owned();
    assert_eq!(told(1_500), [(left_out, why)]);
    assert_eq!(told(1_501), []);
    let advert = sends(&node.run(Mono(AT.0 + S)))[0].payload.clone();
    let first: Vec<u8> = cfg.addresses[..89]
        .iter()
        .flat_map(|it| octets(it.address))
        .collect();
    assert_eq!(advert[8..], first);
}

#[test]
fn a_reload_that_adds_an_address_too_many_keeps_to_the_room() {
    let mut node = Node::start("fe80::1", &[with(89, vi6(51, 150))], &[]);
    node.run(AT);
    assert_eq!(sent(&mut node, MTU, AT).0, 89);
    node.instances
        .insert("VI_51".into(), Arc::new(with(90, vi6(51, 150))));
    let got = node.apply(Mono(AT.0 + 2 * S), Duration::ZERO);
    let said = |effect: &Effect| matches!(effect, Effect::Changed { text, .. } if text.contains("89 of 90"));
    assert!(got.iter().any(said), "{got:?}");
}

#[test]
fn a_peer_with_the_same_room_has_the_same_list() {
    let cfg = with(100, vi6(51, 150));
    let mut nodes = ["fe80::1", "fe80::2"].map(|source| Node::start(source, std::slice::from_ref(&cfg), &[]));
    let adverts = nodes.each_mut().map(|node| {
        let got = node.run(AT);
        sends(&got)[0].clone()
    });
    let got = nodes[0].with(AT, |routers, now, out| {
        routers.on_datagram(now, &datagram(&adverts[1]), out);
    });
    let complains =
        |effect: &Effect| matches!(effect, Effect::Changed { text, .. } if text.contains("advertises"));
    assert!(!got.iter().any(complains), "{got:?}");
    let counters = nodes[0].routers.counters(&"VI_51".into()).unwrap();
    assert_eq!(counters.adverts_received, 1);
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    }
}
