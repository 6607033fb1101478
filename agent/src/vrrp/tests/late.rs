//! A master that was not run for a while (`timer_expired_backup`), and checksums of long ago.

use super::{Node, S, advert, datagram, sends, vi};
use crate::model::{Instance, OldChecksum, UnicastPeer, VrrpVersion};
use crate::vrrp::{Effect, packet};
use lb_shared::state::VrrpState;
use lb_shared::units::Mono;

/// A master, and when it last sent.
fn master(cfg: Instance) -> (Node, u64) {
    let mut node = Node::start("10.5.0.1", &[cfg], &[]);
    node.with(Mono::ZERO, |routers, now, out| {
        routers.on_terms(now, &"VI_51".into(), Default::default(), out);
    });
    node.run(Mono(8 * S));
    assert_eq!(node.state("VI_51"), VrrpState::Master);
    let sent = node
        .log
        .iter()
        .rev()
        .find(|(_, it)| matches!(it, Effect::Send { .. }));
    let at = sent.unwrap().0.0;
    (node, at)
}

fn late(nopreempt: bool, priority: Option<u8>) -> Instance {
    Instance {
        preempt: !nopreempt,
        late_backup: priority,
        ..vi(51, 100)
    }
}

#[test]
fn a_late_master_stands_back_once_a_node_of_that_priority_has_taken_over() {
    // 3 s, and a skew of (256 - 254) / 256 or (256 - 1) / 256 s.
    for (priority, micros) in [(254, 3_007_813), (1, 3_996_094)] {
        let (mut node, sent) = master(late(true, Some(priority)));
        let mut early = node.routers.clone();
        let mut out = Vec::new();
        early.on_tick(Mono(sent + micros - 10_000), &mut out);
        assert_eq!(sends(&out).len(), 1, "it goes on");
        let out = node.tick(Mono(sent + micros));
        assert_eq!(node.state("VI_51"), VrrpState::Backup, "priority {priority}");
        assert!(sends(&out).is_empty(), "the other master is not disturbed");
        assert!(
            node.view("VI_51").why.contains("timer_expired_backup"),
            "{}",
            node.view("VI_51").why
        );
        node.run(Mono(sent + micros + 5 * S));
        assert_eq!(node.state("VI_51"), VrrpState::Master, "nobody had taken over");
    }
}

#[test]
fn without_the_word_or_with_preemption_a_late_master_goes_on() {
    for cfg in [late(true, None), late(false, Some(254))] {
        let (mut node, sent) = master(cfg);
        let out = node.tick(Mono(sent + 60 * S));
        assert_eq!(sends(&out).len(), 1);
        assert_eq!(node.state("VI_51"), VrrpState::Master);
    }
}

#[test]
fn the_checksum_of_long_ago_is_answered_sent_always_or_refused_as_written() {
    let of = |old_unicast_checksum, peer: [u8; 4]| Instance {
        version: VrrpVersion::V3,
        unicast_peers: vec![UnicastPeer {
            address: peer.into(),
            min_ttl: None,
            max_ttl: None,
        }],
        old_unicast_checksum,
        ..vi(51, 100)
    };
    let form = |it: &crate::vrrp::Advert| {
        let ends = packet::Ends {
            source: it.source,
            destination: it.destination,
        };
        packet::decode(&it.payload, &[], ends, VrrpVersion::V3, false)
            .unwrap()
            .checksum
    };
    let theirs = advert(&of(OldChecksum::Always, [10, 5, 0, 1]), "10.5.0.2", 200);
    assert_eq!(form(&theirs), packet::ChecksumForm::OldUnicast);
    for (word, heard, answer) in [
        (OldChecksum::Detected, true, packet::ChecksumForm::OldUnicast),
        (OldChecksum::Always, true, packet::ChecksumForm::OldUnicast),
        (OldChecksum::Never, false, packet::ChecksumForm::PseudoHeader),
    ] {
        let (mut node, sent) = master(of(word, [10, 5, 0, 2]));
        let heard_it = datagram(&theirs);
        node.with(Mono(sent + 1), |routers, now, out| {
            routers.on_datagram(now, &heard_it, out)
        });
        assert_eq!(node.state("VI_51") == VrrpState::Backup, heard, "{word:?}");
        let again = node.run(Mono(sent + 9 * S));
        assert_eq!(form(sends(&again).last().unwrap()), answer, "{word:?}");
    }
}
