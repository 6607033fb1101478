//! When things happen, to the microsecond.

use super::*;
use crate::model::Elsewhere;

#[test]
fn a_lone_backup_takes_over_after_the_down_interval() {
    let cases = [
        (1, 3_996_093),
        (100, 3_609_375),
        (150, 3_414_062),
        (254, 3_007_812),
    ];
    for (priority, want) in cases {
        let mut node = Node::start("10.5.0.1", &[vi(51, priority)], &[]);
        node.run(Mono(10 * S));
        assert_eq!(
            node.entered(What::BecameMaster),
            [Mono(want)],
            "priority {priority}"
        );
    }
}

#[test]
fn becoming_master_sends_then_tells_then_announces_then_notifies() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    let got = node.run(Mono(4 * S));
    assert_eq!(
        brief(&got),
        ["send 100", "vrrp.master", "announce 5", "notify VI_51 MASTER 100"]
    );
}

#[test]
fn a_master_advertises_every_interval_and_does_not_drift() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    let mut moments = Vec::new();
    while moments.len() < 4 {
        let at = node.routers.deadline().unwrap();
        // Each time 3 ms late.
        let late = at + Duration::from_millis(3);
        if !sends(&node.tick(late)).is_empty() {
            moments.push(at.0);
        }
    }
    let first = 3_609_375 + 3 * MS;
    assert_eq!(moments, [3_609_375, first + S, first + 2 * S, first + 3 * S]);
}

#[test]
fn a_periodic_timer_fires_once_however_late_it_is() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    node.run(Mono(4 * S));
    let got = node.tick(Mono(100 * S));
    assert_eq!(sends(&got).len(), 1);
    assert_eq!(node.routers.deadline(), Some(Mono(101 * S)));
}

#[test]
fn announcements_come_in_two_blocks_and_then_as_often_as_refresh_says() {
    let mut cfg = vi(51, 100);
    cfg.garp.refresh = Duration::from_secs(60);
    cfg.garp.refresh_repeat = 2;
    let mut node = Node::start("10.5.0.1", &[cfg], &[]);
    node.run(Mono(130 * S));
    let rounds: Vec<_> = node
        .log
        .iter()
        .filter_map(|(at, effect)| match effect {
            Effect::Announce { rounds, .. } => Some((at.0, *rounds)),
            _ => None,
        })
        .collect();
    let start = 3_609_375;
    assert_eq!(
        rounds,
        [
            (start, 5),
            (start + 5 * S, 5),
            (start + 60 * S, 2),
            (start + 120 * S, 2)
        ]
    );
}

#[test]
fn an_owner_configured_as_master_is_master_at_once_and_only_that_one() {
    for (priority, initial_master, want) in [
        (255, true, VrrpState::Master),
        (255, false, VrrpState::Backup),
        (254, true, VrrpState::Backup),
    ] {
        let mut cfg = vi(51, priority);
        cfg.initial_master = initial_master;
        let node = Node::start("10.5.0.1", &[cfg], &[]);
        assert_eq!(node.state("VI_51"), want, "{priority} {initial_master}");
        let told = node.entered(What::BecameBackup).len();
        assert_eq!(told == 0, want == VrrpState::Master, "of a BACKUP that never was");
    }
}

#[test]
fn nothing_starts_before_the_startup_delay_is_over_and_adverts_do_not_count() {
    let cfg = vi(51, 100);
    let mut node = Node::cold("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    node.apply(Mono::ZERO, Duration::from_secs(20));
    let ground = ground("10.5.0.1");
    node.with(Mono::ZERO, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), ground, out);
    });
    assert_eq!(node.state("VI_51"), VrrpState::Init);
    node.hear(Mono(19 * S), &advert(&cfg, "10.5.0.2", 200));
    assert_eq!(
        node.routers.counters(&"VI_51".into()).unwrap().adverts_received,
        0
    );
    node.run(Mono(60 * S));
    assert_eq!(node.entered(What::BecameBackup), [Mono(20 * S)]);
    assert_eq!(node.entered(What::BecameMaster), [Mono(23_609_375)]);
}

#[test]
fn f014_f015_version_3_counts_silence_in_the_masters_intervals() {
    for (centiseconds, want) in [
        (1, 36_093),
        (50, 1_804_687),
        (1000, 36_093_750),
        (4095, 147_803_906),
    ] {
        let mut theirs = vi(51, 200);
        theirs.version = VrrpVersion::V3;
        theirs.advert_interval = Duration::from_millis(10 * centiseconds);
        let mut ours = theirs.clone();
        ours.advert_interval = Duration::from_secs(1);
        ours.priority = Priority::new(100).unwrap();
        let mut node = Node::start("10.5.0.1", &[ours], &[]);
        node.hear(Mono(S), &advert(&theirs, "10.5.0.2", 200));
        node.run(Mono(S + 200 * S));
        assert_eq!(
            node.entered(What::BecameMaster),
            [Mono(S + want)],
            "{centiseconds} cs"
        );
        assert_eq!(
            node.view("VI_51").master_down_us,
            3_609_375,
            "its own again once it is master"
        );
    }
}

#[test]
fn priority_zero_leaves_only_the_skew_and_repeating_it_does_not_put_off_the_election() {
    let cfg = vi(51, 150);
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    node.hear(Mono(S), &advert(&cfg, "10.5.0.2", 200));
    for step in 0..10 {
        node.hear(Mono(2 * S + step * 40 * MS), &advert(&cfg, "10.5.0.2", 0));
    }
    node.run(Mono(3 * S));
    assert_eq!(node.entered(What::BecameMaster), [Mono(2 * S + 414_062)]);
}

#[test]
fn f024_a_forged_farewell_is_undone_by_the_masters_next_advert() {
    let cfg = vi(51, 100);
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    node.hear(Mono(S), &advert(&cfg, "10.5.0.2", 200));
    node.hear(Mono(S + 500 * MS), &advert(&cfg, "10.5.0.9", 0));
    node.hear(Mono(2 * S), &advert(&cfg, "10.5.0.2", 200));
    node.run(Mono(5 * S));
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
    node.run(Mono(6 * S));
    assert_eq!(node.entered(What::BecameMaster), [Mono(2 * S + 3_609_375)]);
}

#[test]
fn a_changed_priority_moves_the_end_of_the_silence_at_once() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    node.with(Mono(S), |routers, now, out| {
        routers.on_terms(now, &"VI_51".into(), terms(&[100]), out);
    });
    node.run(Mono(4 * S));
    assert_eq!(node.entered(What::BecameMaster), [Mono(3_218_750)]);

    // So far that the silence is already over.
    let mut node = Node::start("10.5.0.1", &[vi(51, 1)], &[]);
    node.with(Mono(3_900 * MS), |routers, now, out| {
        routers.on_terms(now, &"VI_51".into(), terms(&[253]), out);
    });
    node.tick(Mono(3_900 * MS));
    assert_eq!(node.entered(What::BecameMaster), [Mono(3_900 * MS)]);
}

#[test]
fn f042_preempt_delay_respects_a_lower_master_and_then_waits_out_the_down_interval() {
    let mut cfg = vi(51, 150);
    cfg.preempt_delay = Duration::from_secs(5);
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    let mut at = 500 * MS;
    while node.state("VI_51") == VrrpState::Backup && at < 20 * S {
        node.run(Mono(at));
        node.hear(Mono(at), &advert(&cfg, "10.5.0.2", 100));
        at += S;
    }
    // The last respected advert came at 4.5 s; at 5.5 s the delay, begun at 0.5 s, was over.
    assert_eq!(node.entered(What::BecameMaster), [Mono(4_500 * MS + 3_414_062)]);
}

#[test]
fn f042_a_better_advert_ends_the_preempt_delay() {
    let mut cfg = vi(51, 150);
    cfg.preempt_delay = Duration::from_secs(2);
    let mut node = Node::start("10.5.0.1", std::slice::from_ref(&cfg), &[]);
    let heard = [(500, 100), (1500, 200), (2600, 100), (3600, 100), (4700, 100)];
    for (at, priority) in heard {
        node.run(Mono(at * MS));
        node.hear(Mono(at * MS), &advert(&cfg, "10.5.0.2", priority));
    }
    node.run(Mono(10 * S));
    // The second delay began at 2.6 s, so the advert of 4.7 s was the first to be discarded.
    assert_eq!(node.entered(What::BecameMaster), [Mono(3_600 * MS + 3_414_062)]);
}

#[test]
fn f058_a_master_that_cannot_send_tries_often_then_gives_up_its_addresses_and_returns() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    node.run(Mono(4 * S));
    let mut at = Mono(4_609_375);
    let mut tries = 0;
    while node.state("VI_51") == VrrpState::Master {
        assert!(!sends(&node.tick(at)).is_empty());
        node.with(at, |routers, now, out| {
            routers.on_send_failed(now, &"VI_51".into(), out)
        });
        tries += 1;
        if node.state("VI_51") == VrrpState::Master {
            let next = node.routers.deadline().unwrap();
            assert!(
                next <= at + Duration::from_millis(100),
                "retried within a tenth of the interval"
            );
            at = next;
        }
    }
    assert!(tries >= 36, "{tries}");
    assert_eq!(at, Mono(4_609_375 + 3_700 * MS));
    assert_eq!(node.view("VI_51").faults, ["adverts cannot be sent"]);
    node.run(Mono(at.0 + 30 * S));
    assert_eq!(node.entered(What::BecameBackup).len(), 2);
}

#[test]
fn f058_one_failed_send_is_retried_and_forgotten() {
    let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
    node.run(Mono(4 * S));
    let mut fails = true;
    while node.routers.deadline().unwrap() < Mono(100 * S) {
        let at = node.routers.deadline().unwrap();
        if !sends(&node.tick(at)).is_empty() {
            if fails {
                node.with(at, |routers, now, out| {
                    routers.on_send_failed(now, &"VI_51".into(), out)
                });
            }
            fails = !fails;
        }
    }
    assert_eq!(node.state("VI_51"), VrrpState::Master);
}

#[test]
fn f058_a_unicast_master_keeps_its_addresses_when_the_peer_cannot_be_reached() {
    let mut cfg = vi(51, 100);
    cfg.unicast_peers = vec![crate::model::UnicastPeer {
        address: ip("10.5.0.2"),
        min_ttl: None,
        max_ttl: None,
    }];
    let mut node = Node::start("10.5.0.1", &[cfg], &[]);
    for round in 0..200 {
        let at = Mono(4 * S + round * 100 * MS);
        node.run(at);
        node.with(at, |routers, now, out| {
            routers.on_send_failed(now, &"VI_51".into(), out)
        });
    }
    assert_eq!(node.state("VI_51"), VrrpState::Master);
    assert!(
        node.log.iter().any(|(_, effect)| matches!(
            effect,
            Effect::Changed { text, .. } if text.contains("could not be sent")
        )),
        "but it says so"
    );
}

#[test]
fn a_fault_ends_the_chance_to_resume() {
    let name: InstanceName = "VI_51".into();
    for fault_first in [true, false] {
        let mut node = Node::cold("10.5.0.1", &[vi(51, 100)], &[]);
        node.apply(Mono::ZERO, Duration::ZERO);
        let resume = |routers: &mut Routers, now, out: &mut Vec<Effect>| {
            routers.resume(now, &"VI_51".into(), Duration::from_millis(1), out);
        };
        if !fault_first {
            node.with(Mono::ZERO, resume);
        }
        let gone = down("10.5.0.1");
        node.with(Mono::ZERO, |routers, now, out| {
            routers.on_ground(now, &name, gone, out)
        });
        assert_eq!(node.state("VI_51"), VrrpState::Fault);
        if fault_first {
            node.with(Mono::ZERO, resume);
        }
        let solid = ground("10.5.0.1");
        let soon = Mono(500 * MS);
        node.with(soon, |routers, now, out| {
            routers.on_ground(now, &name, solid, out)
        });
        assert_eq!(
            node.state("VI_51"),
            VrrpState::Backup,
            "fault first: {fault_first}"
        );
        // From then on as after any fault: an election, and announcements.
        let after = node.run(Mono(10_000 * MS));
        assert_eq!(node.state("VI_51"), VrrpState::Master);
        assert!(
            after
                .iter()
                .any(|effect| matches!(effect, Effect::Announce { .. }))
        );
    }
}

#[test]
fn resuming_sends_at_once_announces_nothing_and_only_while_nobody_can_have_taken_over() {
    for (ago_ms, want) in [(0, true), (1_999, true), (2_000, false), (60_000, false)] {
        for ground_first in [true, false] {
            let mut node = Node::cold("10.5.0.1", &[vi(51, 100)], &[]);
            node.apply(Mono::ZERO, Duration::ZERO);
            let name: InstanceName = "VI_51".into();
            let resume = |routers: &mut Routers, now, out: &mut Vec<Effect>| {
                routers.resume(now, &"VI_51".into(), Duration::from_millis(ago_ms), out);
            };
            if !ground_first {
                node.with(Mono::ZERO, resume);
            }
            let solid = ground("10.5.0.1");
            node.with(Mono::ZERO, |routers, now, out| {
                routers.on_ground(now, &name, solid, out)
            });
            if ground_first {
                node.with(Mono::ZERO, resume);
            }
            let all: Vec<_> = node.log.iter().map(|(_, effect)| effect.clone()).collect();
            assert_eq!(
                node.routers.is_master(&name),
                want,
                "{ago_ms} ms, ground first: {ground_first}"
            );
            assert_eq!(priorities(&all), if want { vec![100] } else { vec![] });
            assert!(!all.iter().any(|effect| matches!(effect, Effect::Announce { .. })));
        }
    }
}

#[test]
fn a_master_says_goodbye_unless_the_interface_for_it_is_gone() {
    let gone = Ground {
        link: None,
        ..down("10.5.0.1")
    };
    for (ground, want) in [(down("10.5.0.1"), vec![0]), (gone, vec![])] {
        let mut node = Node::start("10.5.0.1", &[vi(51, 100)], &[]);
        node.run(Mono(10 * S));
        let effects = node.with(Mono(10 * S), |routers, now, out| {
            routers.on_ground(now, &"VI_51".into(), ground.clone(), out);
        });
        assert_eq!(node.state("VI_51"), VrrpState::Fault);
        assert_eq!(priorities(&effects), want, "{ground:?}");
    }
}

#[test]
fn what_is_announced_is_not_announced_again_for_the_interfaces_elsewhere() {
    let mut cfg = vi(51, 100);
    cfg.garp.refresh = Duration::from_secs(4);
    cfg.garp.refresh_repeat = 1;
    cfg.elsewhere = Some(Elsewhere {
        every: Duration::from_secs(2),
        all: true,
    });
    let mut node = Node::start("10.5.0.1", &[cfg], &[]);
    node.run(Mono(4 * S));
    let began = node.entered(What::BecameMaster)[0];
    let told: Vec<String> = (1..=8)
        .flat_map(|second| {
            let effects = node.run(began + Duration::from_secs(second));
            let told = brief(&effects)
                .into_iter()
                .filter(|it| it.starts_with("announce"));
            told.map(|it| format!("{second} s: {it}")).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        told,
        [
            "2 s: announce elsewhere",
            "4 s: announce 1",
            "5 s: announce 5",
            "6 s: announce elsewhere",
            "8 s: announce 1"
        ]
    );
}
