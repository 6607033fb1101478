//! `auth_type AH`: sealed adverts between two nodes, and what is not taken.

use super::{Node, S, datagram, sends, vi};
use crate::model::{Authentication, Instance, UnicastPeer};
use crate::vrrp::{Advert, Envelope};
use crate::wire::ah;
use lb_shared::state::VrrpState;
use lb_shared::units::Mono;

fn sealed(key: &[u8; 8], priority: u8) -> Instance {
    Instance {
        authentication: Authentication::Header(*key),
        ..vi(51, priority)
    }
}

fn number(advert: &Advert) -> u32 {
    u32::from_be_bytes(advert.payload[8..12].try_into().unwrap())
}

/// A master and what it has sent in its first seconds.
fn master(cfg: &Instance, source: &str, floor: u32) -> (Node, Vec<Advert>) {
    let mut node = Node::cold(source, std::slice::from_ref(cfg), &[]);
    node.routers.number_from(floor);
    node.apply(Mono::ZERO, std::time::Duration::ZERO);
    let ground = super::ground(source);
    node.with(Mono::ZERO, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), ground, out);
        routers.on_terms(now, &"VI_51".into(), Default::default(), out);
    });
    let sent = node.run(Mono(8 * S));
    assert_eq!(node.state("VI_51"), VrrpState::Master);
    let adverts = sends(&sent).into_iter().cloned().collect();
    (node, adverts)
}

fn refused(node: &Node) -> Vec<String> {
    let counters = node.routers.counters(&"VI_51".into()).unwrap();
    counters.rejected.into_keys().collect()
}

#[test]
fn numbers_grow_by_one_from_the_floor_and_so_do_identifications() {
    let (_, sent) = master(&sealed(b"secret\0\0", 100), "10.5.0.1", 1_000);
    let numbers: Vec<u32> = sent.iter().map(number).collect();
    assert_eq!(numbers[..3], [1_000, 1_001, 1_002]);
    let identification = |advert: &Advert| match advert.envelope {
        Envelope::Sealed { identification } => identification,
        Envelope::Open => panic!("open"),
    };
    assert_eq!(
        sent.iter().map(identification).take(3).collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn a_lower_node_yields_to_a_sealed_advert_and_goes_on_from_its_number() {
    let (mut high, _) = master(&sealed(b"secret\0\0", 150), "10.5.0.1", 500);
    let (mut low, _) = master(&sealed(b"secret\0\0", 100), "10.5.0.2", 0);
    let next = high.run(Mono(9 * S));
    low.hear(Mono(9 * S), sends(&next)[0]);
    assert_eq!(low.state("VI_51"), VrrpState::Backup);
    assert!(refused(&low).is_empty());
    let heard = number(sends(&next)[0]);
    let alone = low.run(Mono(20 * S));
    assert_eq!(number(sends(&alone)[0]), heard + 1);
}

#[test]
fn what_was_heard_before_does_not_count_again() {
    let (_, sent) = master(&sealed(b"secret\0\0", 150), "10.5.0.1", 500);
    let (mut low, _) = master(&sealed(b"secret\0\0", 100), "10.5.0.2", 0);
    low.hear(Mono(9 * S), &sent[1]);
    assert_eq!(low.state("VI_51"), VrrpState::Backup);
    for _ in 0..20 {
        low.hear(Mono(9 * S + 500_000), &sent[0]);
        low.hear(Mono(9 * S + 500_000), &sent[1]);
    }
    assert_eq!(refused(&low), ["replay"]);
    low.run(Mono(14 * S));
    assert_eq!(
        low.state("VI_51"),
        VrrpState::Master,
        "replayed adverts keep nobody down"
    );
}

#[test]
fn only_whoever_knows_the_key_is_heard() {
    let plain = vi(51, 150);
    let wrong = sealed(b"another\0", 150);
    let right = sealed(b"secret\0\0", 150);
    let ours = sealed(b"secret\0\0", 100);
    for (theirs, ours, want) in [
        (&wrong, &ours, "seal"),
        (&plain, &ours, "unsealed"),
        (&right, &vi(51, 100), "auth_type"),
    ] {
        let (_, sent) = master(theirs, "10.5.0.1", 0);
        let (mut node, _) = master(ours, "10.5.0.2", 0);
        node.hear(Mono(9 * S), &sent[0]);
        assert_eq!(refused(&node), [want]);
        assert_eq!(node.state("VI_51"), VrrpState::Master);
    }
}

#[test]
fn a_sealed_advert_with_any_bit_flipped_is_refused() {
    let (_, sent) = master(&sealed(b"secret\0\0", 150), "10.5.0.1", 0);
    let (node, _) = master(&sealed(b"secret\0\0", 100), "10.5.0.2", 0);
    for bit in 0..sent[0].payload.len() * 8 {
        let mut heard = datagram(&sent[0]);
        heard.payload[bit / 8] ^= 1 << (bit % 8);
        if heard.payload[ah::LENGTH + 1] != 51 {
            continue;
        }
        let mut routers = node.routers.clone();
        routers.on_datagram(Mono(9 * S), &heard, &mut Vec::new());
        let counters = routers.counters(&"VI_51".into()).unwrap();
        assert_eq!(counters.rejected.len(), 1, "bit {bit}");
    }
}

#[test]
fn a_farewell_is_sealed_and_sealed_adverts_have_a_socket_of_their_own() {
    let (mut node, _) = master(&sealed(b"secret\0\0", 150), "10.5.0.1", 0);
    let ears: Vec<bool> = node.routers.ears().into_iter().map(|ear| ear.sealed).collect();
    assert_eq!(ears, [false, true]);
    let mut out = Vec::new();
    node.routers.stop(Mono(9 * S), true, &mut out);
    let farewell = sends(&out)[0];
    assert!(matches!(farewell.envelope, Envelope::Sealed { .. }));
    assert_eq!(farewell.payload[ah::LENGTH + 2], 0, "priority 0");
}

#[test]
fn peers_get_one_number_a_round_and_the_ttl_that_is_written() {
    let peer = |last: u8| UnicastPeer {
        address: std::net::IpAddr::from([10, 5, 0, last]),
        min_ttl: None,
        max_ttl: None,
    };
    let cfg = Instance {
        unicast_peers: vec![peer(2), peer(3)],
        unicast_ttl: 3,
        ..sealed(b"secret\0\0", 150)
    };
    let (_, sent) = master(&cfg, "10.5.0.1", 7);
    let numbers: Vec<u32> = sent.iter().map(number).collect();
    assert_eq!(numbers[..4], [7, 7, 8, 8]);
    assert!(sent.iter().all(|it| it.ttl == 3));
    let ours = Instance {
        unicast_peers: vec![peer(1)],
        ..sealed(b"secret\0\0", 100)
    };
    let (mut node, _) = master(&ours, "10.5.0.2", 0);
    node.hear(Mono(9 * S), &sent[0]);
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
}
