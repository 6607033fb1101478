//! `auth_hmac`: signed adverts between nodes, and what does not count.

use super::{MS, Node, S, datagram, ip, sends, vi, vi6};
use crate::model::{Authentication, Instance, Signing, SigningKey, SigningMode, UnicastPeer, VrrpVersion};
use crate::vrrp::Advert;
use crate::wire::trailer;
use lb_shared::event::What;
use lb_shared::state::VrrpState;
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the clocks say at the start: 2026.
const YEAR_2026_US: u64 = 1_780_000_000 * S;
const HOUR: u64 = 3_600 * S;

fn signing(keys: &[(u8, u8)], active: u8) -> Signing {
    let keys = keys.iter().map(|(id, byte)| (*id, SigningKey(vec![*byte; 32])));
    Signing {
        keys: keys.collect(),
        active,
        mode: SigningMode::Enforce,
        window: Some(Duration::from_secs(5)),
    }
}

fn with(signing: Signing, cfg: Instance) -> Instance {
    Instance {
        authentication: Authentication::Signed(signing),
        ..cfg
    }
}

fn one() -> Signing {
    signing(&[(1, 0xaa)], 1)
}

fn monotonic() -> Signing {
    Signing {
        window: None,
        ..one()
    }
}

/// A node whose clock is right, and what it sends in its first eight seconds: it is master by then.
fn master(cfg: &Instance, source: &str) -> (Node, Vec<Advert>) {
    master_at(cfg, source, YEAR_2026_US)
}

fn master_at(cfg: &Instance, source: &str, unix_us: u64) -> (Node, Vec<Advert>) {
    let mut node = Node::start(source, std::slice::from_ref(cfg), &[]);
    node.routers.on_wall(Mono::ZERO, unix_us);
    let sent = node.run(Mono(8 * S));
    assert_eq!(node.view(&cfg.name.0).state, VrrpState::Master);
    let adverts = sends(&sent).into_iter().cloned().collect();
    (node, adverts)
}

fn next(node: &mut Node, at: u64) -> Advert {
    let sent = node.run(Mono(at));
    sends(&sent).last().expect("an advert").to_owned().clone()
}

/// The last one that node 2 hears.
fn to_us(sent: &[Advert]) -> &Advert {
    let ours = [ip("10.5.0.2"), ip("fe80::2")];
    let heard = sent
        .iter()
        .rev()
        .find(|it| it.destination.is_multicast() || ours.contains(&it.destination));
    heard.expect("an advert for node 2")
}

fn number(advert: &Advert) -> u64 {
    let trailer = &advert.payload[advert.payload.len() - trailer::LENGTH..];
    let number = u64::from_be_bytes(trailer[4..12].try_into().unwrap());
    assert_eq!(advert.number, Some(number));
    number
}

fn refused(node: &Node) -> BTreeMap<String, u64> {
    let name = node.names()[0].clone();
    node.routers.counters(&name).unwrap().rejected
}

fn reasons(node: &Node) -> Vec<String> {
    refused(node).into_keys().collect()
}

/// What a lower node that is master thinks of an advert; `None`: it yields.
fn verdict(ours: &Instance, advert: &Advert, at: u64) -> Option<String> {
    let (mut node, _) = master(
        ours,
        if advert.source.is_ipv6() {
            "fe80::2"
        } else {
            "10.5.0.2"
        },
    );
    node.hear(Mono(at), advert);
    let why = reasons(&node);
    assert!(why.len() <= 1, "{why:?}");
    let yields = node.view(&ours.name.0).state == VrrpState::Backup;
    assert_eq!(yields, why.is_empty(), "{why:?}");
    why.into_iter().next()
}

/// Both versions, both families, multicast and unicast.
fn forms(priority: u8) -> Vec<(Instance, &'static str)> {
    let peers = |mut cfg: Instance, addresses: [&str; 2]| {
        cfg.unicast_peers = addresses
            .iter()
            .map(|address| UnicastPeer {
                address: ip(address),
                min_ttl: None,
                max_ttl: None,
            })
            .collect();
        cfg
    };
    let v3 = |cfg: Instance| Instance {
        version: VrrpVersion::V3,
        ..cfg
    };
    let v2_inet6 = Instance {
        version: VrrpVersion::V2,
        ..vi6(51, priority)
    };
    vec![
        (vi(51, priority), "10.5.0.1"),
        (v3(vi(51, priority)), "10.5.0.1"),
        (vi6(51, priority), "fe80::1"),
        (v2_inet6, "fe80::1"),
        (peers(vi(51, priority), ["10.5.0.2", "10.5.0.1"]), "10.5.0.1"),
        (peers(v3(vi(51, priority)), ["10.5.0.2", "10.5.0.1"]), "10.5.0.1"),
        (peers(vi6(51, priority), ["fe80::2", "fe80::1"]), "fe80::1"),
    ]
}

#[test]
fn signed_adverts_count_in_every_form_and_a_farewell_is_signed() {
    for ((high, source), (low, _)) in forms(150).into_iter().zip(forms(100)) {
        let (mut node, sent) = master(&with(one(), high), source);
        assert_eq!(
            verdict(&with(one(), low.clone()), to_us(&sent), 9 * S),
            None,
            "{low:?}"
        );
        let mut out = Vec::new();
        node.routers.stop(Mono(9 * S), true, &mut out);
        let farewell = to_us(&sends(&out).into_iter().cloned().collect::<Vec<_>>()).clone();
        assert_eq!(farewell.payload[2], 0, "priority 0");
        assert!(number(&farewell) > number(sent.last().unwrap()));
        let (mut other, _) = master(
            &with(one(), low),
            if source == "fe80::1" {
                "fe80::2"
            } else {
                "10.5.0.2"
            },
        );
        other.hear(Mono(9 * S), &farewell);
        assert!(refused(&other).is_empty());
    }
}

#[test]
fn every_bit_counts_but_those_of_the_checksum_which_has_to_be_right_itself() {
    for ((high, source), (low, _)) in forms(150).into_iter().zip(forms(100)) {
        let (_, sent) = master(&with(one(), high), source);
        let ours = if source == "fe80::1" {
            "fe80::2"
        } else {
            "10.5.0.2"
        };
        let (node, _) = master(&with(one(), low), ours);
        for bit in 0..sent[0].payload.len() * 8 {
            let mut heard = datagram(to_us(&sent));
            heard.payload[bit / 8] ^= 1 << (bit % 8);
            let mut routers = node.routers.clone();
            routers.on_datagram(Mono(9 * S), &heard, &mut Vec::new());
            let counters = routers.counters(&"VI_51".into()).unwrap();
            // The number of the router is how its adverts are told apart: another one is not heard at all.
            let elsewhere = bit / 8 == 1;
            assert_eq!(counters.rejected.len(), usize::from(!elsewhere), "bit {bit}");
            assert_eq!(routers.view(&"VI_51".into()).unwrap().state, VrrpState::Master);
        }
    }
}

#[test]
fn f019_what_is_not_signed_with_a_known_key_is_refused_in_enforce() {
    let ours = with(one(), vi(51, 100));
    let cases = [
        (vi(51, 150), "unsigned"),
        (with(signing(&[(2, 0xaa)], 2), vi(51, 150)), "signature_key"),
        (with(signing(&[(1, 0xbb)], 1), vi(51, 150)), "signature"),
    ];
    for (theirs, want) in cases {
        let (_, sent) = master(&theirs, "10.5.0.1");
        assert_eq!(verdict(&ours, sent.last().unwrap(), 9 * S).as_deref(), Some(want));
    }
    let (_, mut sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
    let last = sent.last_mut().unwrap();
    let at = last.payload.len() - trailer::LENGTH;
    last.payload[at + 2] = 1;
    assert_eq!(
        verdict(&ours, sent.last().unwrap(), 9 * S).as_deref(),
        Some("signature_form")
    );
    let (_, sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
    assert_eq!(
        verdict(&vi(51, 100), sent.last().unwrap(), 9 * S).as_deref(),
        Some("signed")
    );
}

#[test]
fn f019_permissive_and_receive_only_take_what_is_not_signed_but_no_wrong_signature() {
    for mode in [SigningMode::Permissive, SigningMode::ReceiveOnly] {
        let ours = with(Signing { mode, ..one() }, vi(51, 100));
        let (_, sent) = master(&vi(51, 150), "10.5.0.1");
        assert_eq!(verdict(&ours, sent.last().unwrap(), 9 * S), None);
        let (_, sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
        assert_eq!(verdict(&ours, sent.last().unwrap(), 9 * S), None);
        let (_, sent) = master(&with(signing(&[(1, 0xbb)], 1), vi(51, 150)), "10.5.0.1");
        assert_eq!(
            verdict(&ours, sent.last().unwrap(), 9 * S).as_deref(),
            Some("signature")
        );
        let (_, own) = master(&ours, "10.5.0.2");
        assert_eq!(own[0].number.is_some(), mode == SigningMode::Permissive);
    }
    let (mut node, _) = master(
        &with(
            Signing {
                mode: SigningMode::Permissive,
                ..one()
            },
            vi(51, 100),
        ),
        "10.5.0.2",
    );
    let (_, sent) = master(&vi(51, 150), "10.5.0.1");
    let told = |node: &mut Node, at| {
        node.hear(Mono(at), &sent[0])
            .iter()
            .filter(|it| format!("{it:?}").contains("not signed"))
            .count()
    };
    assert_eq!(
        (told(&mut node, 9 * S), told(&mut node, 10 * S)),
        (1, 0),
        "said once a minute"
    );
}

#[test]
fn f019_old_and_far_future_adverts_are_refused_and_at_the_edge_of_the_window_they_count() {
    let (_, sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
    let made_s = (number(&sent[0]) >> 32) - YEAR_2026_US / S;
    let ours = with(one(), vi(51, 100));
    for (late_s, counts) in [(0, true), (5, true), (6, false), (30, false)] {
        let at = (made_s + late_s) * S + 1;
        let (mut node, _) = master(&ours, "10.5.0.2");
        node.run(Mono(at.max(8 * S)));
        let early = (9 * S).saturating_sub(at);
        node.routers
            .on_wall(Mono(at.max(9 * S)), YEAR_2026_US + at.max(9 * S) - early);
        node.hear(Mono(at.max(9 * S)), &sent[0]);
        let want: &[&str] = if counts { &[] } else { &["signature_time"] };
        assert_eq!(reasons(&node), want, "{late_s} s late");
    }
    let (_, ahead) = master_at(&with(one(), vi(51, 150)), "10.5.0.1", YEAR_2026_US + HOUR);
    assert_eq!(
        verdict(&ours, ahead.last().unwrap(), 9 * S).as_deref(),
        Some("signature_time")
    );
    let without = with(monotonic(), vi(51, 100));
    assert_eq!(
        verdict(&without, ahead.last().unwrap(), 9 * S),
        None,
        "clocks do not matter"
    );
}

#[test]
fn f019_f029_what_was_heard_before_does_not_count_again() {
    for how in [one(), monotonic()] {
        let (_, sent) = master(&with(how.clone(), vi(51, 150)), "10.5.0.1");
        let (mut node, _) = master(&with(how, vi(51, 100)), "10.5.0.2");
        node.hear(Mono(8 * S + 100 * MS), sent.last().unwrap());
        assert_eq!(node.state("VI_51"), VrrpState::Backup);
        // Its twin, those before it, and itself once more, again and again: nobody is kept down.
        for round in 0..100 {
            for advert in sent.iter().rev() {
                node.hear(Mono(9 * S + round), advert);
            }
        }
        assert!(refused(&node)["signature_replay"] >= 100);
        node.run(Mono(12 * S));
        assert_eq!(node.state("VI_51"), VrrpState::Master);
    }
}

#[test]
fn who_is_refused_and_why_is_shown_until_it_counts_again() {
    let (mut high, sent) = master(&with(signing(&[(1, 0xbb)], 1), vi(51, 150)), "10.5.0.1");
    let (mut low, _) = master(&with(one(), vi(51, 100)), "10.5.0.2");
    low.hear(Mono(8 * S + 1), sent.last().unwrap());
    let refused = low.view("VI_51").refused.expect("somebody is refused");
    assert_eq!(refused.source, ip("10.5.0.1"));
    assert!(refused.why.contains("signature does not fit"), "{}", refused.why);
    high.configure(&[with(one(), vi(51, 150))], &[]);
    high.apply(Mono(9 * S), Duration::ZERO);
    let advert = next(&mut high, 10 * S);
    low.hear(Mono(10 * S), &advert);
    assert_eq!(low.view("VI_51").refused, None);
}

#[test]
fn numbers_are_kept_apart_by_sender() {
    let (_, from_one) = master(&with(one(), vi(51, 150)), "10.5.0.1");
    let (_, from_three) = master(&with(one(), vi(51, 150)), "10.5.0.3");
    let (mut node, _) = master(&with(one(), vi(51, 100)), "10.5.0.2");
    node.hear(Mono(8 * S + 100 * MS), from_one.last().unwrap());
    node.hear(Mono(8 * S + 200 * MS), from_three.last().unwrap());
    assert!(refused(&node).is_empty(), "the same moment from another node");
}

#[test]
fn a_unicast_sender_has_to_be_a_peer() {
    let (mut cfg, _) = forms(100).swap_remove(5);
    let (_, sent) = master(&with(one(), forms(150).swap_remove(5).0), "10.5.0.1");
    cfg.unicast_peers.truncate(1);
    let (mut node, _) = master(&with(one(), cfg), "10.5.0.2");
    node.hear(Mono(9 * S), to_us(&sent));
    assert_eq!(reasons(&node), ["unicast_source"]);
}

#[test]
fn all_peers_get_the_same_number_and_rounds_grow() {
    let (_, sent) = master(&with(one(), forms(150).swap_remove(5).0), "10.5.0.1");
    let numbers: Vec<u64> = sent.iter().map(number).collect();
    assert_eq!(numbers[0], numbers[1]);
    assert!(numbers[1] < numbers[2] && numbers[2] == numbers[3]);
    let made_us = (numbers[2] >> 32) * S + (numbers[2] >> 16 & 0xffff) * S / 65_536;
    let sent_us = YEAR_2026_US + 3_414_062 + S;
    assert!(made_us.abs_diff(sent_us) < 20, "{made_us} {sent_us}");
}

#[test]
fn f019_the_end_of_the_seconds_is_no_event() {
    // 2106: the seconds of Unix time no longer fit into 32 bits.
    let end_us = (1u64 << 32) * S;
    for how in [one(), monotonic()] {
        let (mut high, sent) = master_at(&with(how.clone(), vi(51, 150)), "10.5.0.1", end_us - 10 * S);
        let (mut low, _) = master_at(&with(how, vi(51, 100)), "10.5.0.2", end_us - 10 * S);
        low.hear(Mono(8 * S + 1), sent.last().unwrap());
        let mut wrapped = false;
        for second in 9..20 {
            let advert = next(&mut high, second * S);
            wrapped |= number(&advert) < 100 << 32;
            low.hear(Mono(second * S + 1), &advert);
            assert_eq!(low.state("VI_51"), VrrpState::Backup);
        }
        assert!(wrapped && refused(&low).is_empty());
    }
}

#[test]
fn f019_keys_are_rotated_in_three_reloads_of_each_node_without_a_lost_master() {
    let stages = [
        signing(&[(1, 0xaa)], 1),
        signing(&[(1, 0xaa), (2, 0xbb)], 1),
        signing(&[(1, 0xaa), (2, 0xbb)], 2),
        signing(&[(2, 0xbb)], 2),
    ];
    let (mut high, sent) = master(&with(stages[0].clone(), vi(51, 150)), "10.5.0.1");
    let (mut low, _) = master(&with(stages[0].clone(), vi(51, 100)), "10.5.0.2");
    low.hear(Mono(8 * S + 1), sent.last().unwrap());
    let mut second = 9;
    let reload = |node: &mut Node, cfg: Instance, at: u64| {
        node.configure(&[cfg], &[]);
        let told = node.apply(Mono(at), Duration::ZERO);
        assert!(
            sends(&told).is_empty(),
            "nothing but the signature changes on the wire"
        );
    };
    for stage in &stages[1..] {
        // Backups first, then the master; a few adverts after each.
        for step in 0..4 {
            let at = second * S;
            let advert = next(&mut high, at);
            low.hear(Mono(at + 1), &advert);
            match step {
                0 => reload(&mut low, with(stage.clone(), vi(51, 100)), at + 2),
                2 => reload(&mut high, with(stage.clone(), vi(51, 150)), at + 2),
                _ => {}
            }
            second += 1;
        }
    }
    assert!(refused(&low).is_empty() && refused(&high).is_empty());
    assert_eq!(
        (low.state("VI_51"), high.state("VI_51")),
        (VrrpState::Backup, VrrpState::Master)
    );
    assert_eq!(low.entered(What::BecameMaster).len(), 1, "its own start");
    assert_eq!(high.entered(What::BecameMaster).len(), 1);
}

#[test]
fn numbers_go_on_above_those_of_an_earlier_run_even_if_the_clock_was_set_back() {
    let earlier = (YEAR_2026_US / S + 1_000_000) << 32;
    let start = |how: Signing| {
        let mut node = Node::cold("10.5.0.1", &[with(how, vi(51, 150))], &[]);
        node.routers.on_wall(Mono::ZERO, YEAR_2026_US);
        node.routers.sign_after(Some(earlier));
        node.apply(Mono::ZERO, Duration::ZERO);
        node.with(Mono::ZERO, |routers, now, out| {
            routers.on_ground(now, &"VI_51".into(), super::ground("10.5.0.1"), out);
        });
        let sent = node.run(Mono(8 * S));
        sends(&sent).into_iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(start(monotonic())[..2], [earlier + 1, earlier + 2]);
    // By the clock nobody would take those; the peers have forgotten them, too.
    assert!(start(one())[0] < earlier);
    let mut node = Node::start("10.5.0.1", &[with(one(), vi(51, 150))], &[]);
    node.routers.on_wall(Mono::ZERO, YEAR_2026_US);
    let sent = node.run(Mono(8 * S));
    let last = number(sends(&sent).last().unwrap());
    assert_eq!(node.routers.last_number(), Some(last));
}

#[test]
fn f053_a_step_of_the_clock_changes_no_state_without_a_window() {
    let year = 365 * 24 * HOUR;
    for step in [
        S as i64,
        -(S as i64),
        HOUR as i64,
        -(HOUR as i64),
        20 * year as i64,
        -20 * year as i64,
    ] {
        for whose in ["master", "backup"] {
            let (mut high, sent) = master(&with(monotonic(), vi(51, 150)), "10.5.0.1");
            let (mut low, _) = master(&with(monotonic(), vi(51, 100)), "10.5.0.2");
            low.hear(Mono(8 * S + 1), sent.last().unwrap());
            let mut last = number(sent.last().unwrap());
            for second in 9..40 {
                if second == 12 || second == 25 {
                    // There, and back again.
                    let unix = YEAR_2026_US + second * S;
                    let unix = if second == 12 {
                        unix.saturating_add_signed(step)
                    } else {
                        unix
                    };
                    let node = if whose == "master" { &mut high } else { &mut low };
                    node.routers.on_wall(Mono(second * S - 1), unix);
                }
                let advert = next(&mut high, second * S);
                assert!(number(&advert) > last, "numbers never go backwards");
                last = number(&advert);
                low.hear(Mono(second * S + 1), &advert);
                assert_eq!(low.state("VI_51"), VrrpState::Backup, "{step} {whose} {second}");
            }
            assert!(refused(&low).is_empty());
        }
    }
}

#[test]
fn f053_with_a_window_a_drifting_clock_is_told_before_it_matters() {
    let (mut high, sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
    let (mut low, _) = master(&with(one(), vi(51, 100)), "10.5.0.2");
    low.hear(Mono(8 * S + 1), sent.last().unwrap());
    let (mut told_at, mut refused_at) = (None, None);
    for second in 9..60 {
        // A tenth of a second each second.
        let drift = (second - 9) * S / 10;
        low.routers
            .on_wall(Mono(second * S - 1), YEAR_2026_US + second * S + drift);
        let advert = next(&mut high, second * S);
        low.hear(Mono(second * S), &advert);
        if told_at.is_none() && !low.entered(What::ClocksApart).is_empty() {
            told_at = Some(second);
        }
        if refused_at.is_none() && !refused(&low).is_empty() {
            refused_at = Some(second);
            break;
        }
        assert_eq!(low.state("VI_51"), VrrpState::Backup);
    }
    let (told, refused) = (told_at.expect("an alarm"), refused_at.expect("a refusal"));
    assert!(told + 20 <= refused, "told at {told}, refused at {refused}");
}

#[test]
fn f053_steps_within_the_window_and_leap_seconds_change_nothing() {
    for step in [S as i64, -(S as i64), 4 * S as i64, -4 * (S as i64)] {
        let (mut high, sent) = master(&with(one(), vi(51, 150)), "10.5.0.1");
        let (mut low, _) = master(&with(one(), vi(51, 100)), "10.5.0.2");
        low.hear(Mono(8 * S + 1), sent.last().unwrap());
        for second in 9..30 {
            if second == 12 {
                let unix = (YEAR_2026_US + second * S).saturating_add_signed(step);
                high.routers.on_wall(Mono(second * S - 1), unix);
            }
            let advert = next(&mut high, second * S);
            low.hear(Mono(second * S + 1), &advert);
            assert_eq!(low.state("VI_51"), VrrpState::Backup, "{step} {second}");
        }
        assert!(refused(&low).is_empty(), "{step}");
    }
}

#[test]
fn f053_with_a_window_a_node_whose_clock_was_put_right_is_heard_again_at_once() {
    let (mut high, _) = master_at(&with(one(), vi(51, 150)), "10.5.0.1", YEAR_2026_US + HOUR);
    let (mut low, _) = master(&with(one(), vi(51, 100)), "10.5.0.2");
    let advert = next(&mut high, 9 * S);
    low.hear(Mono(9 * S), &advert);
    assert_eq!(reasons(&low), ["signature_time"]);
    high.routers.on_wall(Mono(9 * S + 1), YEAR_2026_US + 9 * S + 1);
    let advert = next(&mut high, 10 * S);
    low.hear(Mono(10 * S), &advert);
    assert_eq!(low.state("VI_51"), VrrpState::Backup);
}

#[test]
fn what_a_key_is_stands_in_no_debug_form() {
    let cfg = with(signing(&[(1, b'h')], 1), vi(51, 100));
    let shown = format!("{cfg:?}");
    assert!(shown.contains("32 bytes") && !shown.contains("104, 104") && !shown.contains("hhhh"));
}
