//! Every role crossed with every input, those where nothing may happen included.

use super::*;
use crate::vrrp::role::Role;
use crate::vrrp::router::Router;
use lb_shared::state::Pin;

const AT: Mono = Mono(20 * S);

#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Init,
    Backup,
    Master,
    Fault,
}

const ALL: [From; 4] = [From::Init, From::Backup, From::Master, From::Fault];

fn cfg() -> Instance {
    vi(51, 150)
}

/// A node whose only instance is in this state at [`AT`].
fn node(from: From) -> Node {
    let mut node = match from {
        From::Init => {
            let mut node = Node::cold("10.5.0.5", &[cfg()], &[]);
            node.apply(Mono::ZERO, Duration::ZERO);
            node
        }
        From::Backup | From::Master | From::Fault => Node::start("10.5.0.5", &[cfg()], &[]),
    };
    match from {
        From::Init => {}
        From::Backup => {
            for second in 1..=20 {
                node.hear(Mono(second * S), &advert(&cfg(), "10.5.0.9", 200));
            }
        }
        From::Master => {
            node.run(AT);
        }
        From::Fault => {
            let name: InstanceName = "VI_51".into();
            node.with(AT, |routers, now, out| {
                routers.on_ground(now, &name, down("10.5.0.5"), out);
            });
        }
    }
    let want = [
        VrrpState::Init,
        VrrpState::Backup,
        VrrpState::Master,
        VrrpState::Fault,
    ];
    assert_eq!(node.state("VI_51"), want[from as usize]);
    node
}

/// What must not change when nothing may happen.
fn soul(node: &Node) -> (Role, u8, Option<Mono>, InstanceView) {
    let router: &Router = node.routers.slots[0].as_ref().unwrap();
    (
        router.role.clone(),
        router.effective,
        router.deadline(),
        router.view(),
    )
}

type Give = fn(&mut Node) -> Vec<Effect>;

fn check(what: &str, give: Give, want: [&[&str]; 4]) {
    for (from, want) in ALL.into_iter().zip(want) {
        let mut node = node(from);
        let before = soul(&node);
        let got = give(&mut node);
        assert_eq!(brief(&got), want, "{from:?}: {what}");
        if want.is_empty() && !matches!((from, what), (From::Backup, "advert, higher" | "advert, equal")) {
            assert_eq!(soul(&node), before, "{from:?}: {what}");
        }
    }
}

fn hear(node: &mut Node, source: &str, priority: u8) -> Vec<Effect> {
    node.hear(AT, &advert(&cfg(), source, priority))
}

#[test]
fn an_advert_that_beats_us() {
    check(
        "advert, higher",
        |node| hear(node, "10.5.0.9", 200),
        [&[], &[], &["vrrp.backup", "notify VI_51 BACKUP 150"], &[]],
    );
    check(
        "advert, equal from a higher address",
        |node| hear(node, "10.5.0.6", 150),
        [
            &[],
            &["vrrp.master_heard"],
            &["vrrp.backup", "notify VI_51 BACKUP 150"],
            &[],
        ],
    );
}

#[test]
fn an_advert_that_does_not_beat_us() {
    let answered: &[&str] = &["vrrp.master_heard", "send 150", "announce 5", "rx lower 150"];
    check(
        "advert, lower",
        |node| hear(node, "10.5.0.9", 100),
        [&[], &["vrrp.master_heard"], answered, &[]],
    );
    check(
        "advert, equal from a lower address",
        |node| hear(node, "10.5.0.4", 150),
        [&[], &["vrrp.master_heard"], answered, &[]],
    );
}

#[test]
fn a_farewell() {
    check(
        "advert, priority 0",
        |node| hear(node, "10.5.0.9", 0),
        [&[], &["vrrp.changed"], &["send 150"], &[]],
    );
}

#[test]
fn a_tick_before_its_time() {
    check(
        "tick",
        |node| node.with(AT, |routers, now, out| routers.on_tick(now, out)),
        [&[], &[], &[], &[]],
    );
}

#[test]
fn the_ground_gives_way_and_comes_back() {
    fn give(node: &mut Node, ground: Ground) -> Vec<Effect> {
        node.with(AT, |routers, now, out| {
            routers.on_ground(now, &"VI_51".into(), ground, out);
        })
    }
    check(
        "down",
        |node| give(node, down("10.5.0.5")),
        [
            &["vrrp.fault", "notify VI_51 FAULT 150"],
            &["vrrp.fault", "notify VI_51 FAULT 150"],
            &["send 0", "vrrp.fault", "notify VI_51 FAULT 150"],
            &[],
        ],
    );
    check(
        "up",
        |node| give(node, ground("10.5.0.5")),
        [
            &["vrrp.backup", "notify VI_51 BACKUP 150"],
            &[],
            &[],
            &["vrrp.backup", "notify VI_51 BACKUP 150"],
        ],
    );
}

#[test]
fn a_tracker_fails_as_a_weight_or_as_a_fault() {
    fn give(node: &mut Node, terms: Terms) -> Vec<Effect> {
        node.with(AT, |routers, now, out| {
            routers.on_terms(now, &"VI_51".into(), terms, out);
        })
    }
    check(
        "weight",
        |node| give(node, terms(&[-20])),
        [
            &["vrrp.changed"],
            &["vrrp.priority"],
            &["vrrp.priority"],
            &["vrrp.changed"],
        ],
    );
    let fault: &[&str] = &["vrrp.fault", "notify VI_51 FAULT 150"];
    check(
        "fault",
        |node| {
            give(
                node,
                Terms {
                    faults: vec!["script chk failed (exit 1)".into()],
                    ..Terms::default()
                },
            )
        },
        [
            fault,
            fault,
            &["send 0", "vrrp.fault", "notify VI_51 FAULT 150"],
            &["vrrp.changed"],
        ],
    );
}

#[test]
fn an_address_is_lost() {
    fn give(node: &mut Node) -> Vec<Effect> {
        node.with(AT, |routers, now, out| {
            routers.on_address_lost(now, &"VI_51".into(), ip("10.5.1.51"), out);
        })
    }
    check(
        "address lost",
        give,
        [
            &[],
            &[],
            &["send 0", "vrrp.backup", "notify VI_51 BACKUP 150"],
            &[],
        ],
    );
    check(
        "another address lost",
        |node| {
            node.with(AT, |routers, now, out| {
                routers.on_address_lost(now, &"VI_51".into(), ip("10.5.1.52"), out);
            })
        },
        [&[], &[], &[], &[]],
    );
    // Nobody wants it: back after the skew.
    let mut node = node(From::Master);
    give(&mut node);
    node.run(Mono(AT.0 + S));
    assert_eq!(
        node.entered(What::BecameMaster).last(),
        Some(&Mono(AT.0 + 414_062))
    );
}

#[test]
fn an_address_that_is_not_tracked_may_be_lost() {
    let mut cfg = cfg();
    cfg.addresses[0].track = false;
    let mut node = Node::start("10.5.0.5", &[cfg], &[]);
    node.run(AT);
    let got = node.with(AT, |routers, now, out| {
        routers.on_address_lost(now, &"VI_51".into(), ip("10.5.1.51"), out);
    });
    assert!(got.is_empty());
}

#[test]
fn operators_pin() {
    fn give(node: &mut Node, pin: Option<Pin>) -> Vec<Effect> {
        node.with(AT, |routers, now, out| {
            routers.on_pin(now, &"VI_51".into(), pin, out);
        })
    }
    check(
        "promote",
        |node| give(node, Some(Pin::Promoted)),
        [
            &["vrrp.changed"],
            &[
                "vrrp.priority",
                "vrrp.changed",
                "send 254",
                "vrrp.master",
                "announce 5",
                "notify VI_51 MASTER 254",
            ],
            &["vrrp.priority", "vrrp.changed", "send 254"],
            &["vrrp.changed"],
        ],
    );
    let demoted: [&[&str]; 4] = [
        &["vrrp.changed"],
        &["vrrp.priority", "vrrp.changed"],
        &[
            "send 0",
            "vrrp.backup",
            "notify VI_51 BACKUP 150",
            "vrrp.priority",
            "vrrp.changed",
        ],
        &["vrrp.changed"],
    ];
    check("demote", |node| give(node, Some(Pin::Demoted)), demoted);
    check("demote hard", |node| give(node, Some(Pin::DemotedHard)), demoted);
    check("release", |node| give(node, None), [&[], &[], &[], &[]]);
}

#[test]
fn a_send_fails() {
    fn give(node: &mut Node) -> Vec<Effect> {
        node.with(AT, |routers, now, out| {
            routers.on_send_failed(now, &"VI_51".into(), out);
        })
    }
    for from in [From::Init, From::Backup, From::Fault] {
        let mut node = node(from);
        let before = soul(&node);
        assert!(give(&mut node).is_empty());
        assert_eq!(soul(&node), before, "{from:?}");
    }
    let mut node = node(From::Master);
    assert!(give(&mut node).is_empty());
    assert_eq!(node.routers.deadline(), Some(Mono(AT.0 + 100 * MS)));
}

#[test]
fn the_agent_stops() {
    let give: Give = |node| {
        let got = node.with(AT, |routers, now, out| routers.stop(now, true, out));
        assert_eq!(node.routers.deadline(), None);
        assert!(!node.routers.is_master(&"VI_51".into()));
        // And nothing wakes it again.
        assert!(hear(node, "10.5.0.9", 100).is_empty());
        assert!(node.tick(Mono(AT.0 + 100 * S)).is_empty());
        got
    };
    for (from, want) in ALL.into_iter().zip([
        vec!["notify VI_51 STOP 150"],
        vec!["vrrp.init", "notify VI_51 STOP 150"],
        vec!["send 0", "vrrp.init", "notify VI_51 STOP 150"],
        vec!["vrrp.init", "notify VI_51 STOP 150"],
    ]) {
        assert_eq!(brief(&give(&mut node(from))), want, "{from:?}");
    }
}

#[test]
fn a_hand_over_says_nothing_and_keeps_everything() {
    for from in ALL {
        let mut node = node(from);
        let before = soul(&node);
        let got = node.with(AT, |routers, now, out| routers.stop(now, false, out));
        assert!(got.is_empty(), "{from:?}");
        assert_eq!(soul(&node), before, "{from:?}");
        assert_eq!(node.routers.deadline(), None);
    }
}

#[test]
fn f033_a_lower_master_heard_after_a_long_pause_is_respected_by_nopreempt_only() {
    for (preempt, want) in [(true, VrrpState::Master), (false, VrrpState::Backup)] {
        let mut cfg = cfg();
        cfg.preempt = preempt;
        let mut node = Node::start("10.5.0.5", std::slice::from_ref(&cfg), &[]);
        node.run(AT);
        let late = Mono(AT.0 + 60 * S);
        let got = node.hear(late, &advert(&cfg, "10.5.0.9", 100));
        assert_eq!(node.state("VI_51"), want, "preempt {preempt}");
        assert_eq!(priorities(&got), if preempt { vec![150] } else { vec![] });
    }
}

#[test]
fn f041_nopreempt_leaves_a_live_lower_master_alone_but_an_owner_does_not() {
    for (preempt, priority, want) in [
        (true, 150, VrrpState::Master),
        (false, 150, VrrpState::Backup),
        (false, 255, VrrpState::Master),
    ] {
        let mut cfg = vi(51, priority);
        cfg.preempt = preempt;
        let mut node = Node::start("10.5.0.5", std::slice::from_ref(&cfg), &[]);
        for second in 1..=20 {
            node.run(Mono(second * S));
            node.hear(Mono(second * S), &advert(&cfg, "10.5.0.9", 100));
        }
        assert_eq!(node.state("VI_51"), want, "preempt {preempt} priority {priority}");
    }
}

#[test]
fn f023_a_forged_better_master_is_obeyed_and_outlived() {
    let mut node = node(From::Master);
    hear(&mut node, "10.5.0.66", 255);
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
    node.run(Mono(AT.0 + 10 * S));
    assert_eq!(node.state("VI_51"), VrrpState::Master);
}

#[test]
fn f063_of_two_owners_the_higher_address_wins_and_both_say_so() {
    for (other, want) in [("10.5.0.4", VrrpState::Master), ("10.5.0.6", VrrpState::Backup)] {
        let mut cfg = vi(51, 255);
        cfg.initial_master = true;
        let mut node = Node::start("10.5.0.5", std::slice::from_ref(&cfg), &[]);
        let got = node.hear(Mono(S), &advert(&cfg, other, 255));
        assert_eq!(node.state("VI_51"), want, "{other}");
        assert!(brief(&got).contains(&"vrrp.second_master".to_owned()), "{other}");
    }
}

#[test]
fn f064_trackers_never_lead_out_of_1_to_254_and_never_touch_an_owner() {
    for (base, deltas, want) in [
        (100, vec![-300], 1),
        (100, vec![300], 254),
        (100, vec![-50, -50, -50], 1),
        (255, vec![-300], 255),
        (254, vec![1], 254),
    ] {
        let mut cfg = vi(51, base);
        cfg.initial_master = base == 255;
        let mut node = Node::start("10.5.0.5", &[cfg], &[]);
        node.with(Mono(S), |routers, now, out| {
            routers.on_terms(now, &"VI_51".into(), terms(&deltas), out);
        });
        assert_eq!(node.view("VI_51").effective_priority, want, "{base} {deltas:?}");
    }
}

#[test]
fn contributions_beyond_the_edge_are_not_lost() {
    let mut node = node(From::Backup);
    for (deltas, want) in [(vec![-100, -100], 1), (vec![-100, 0], 50), (vec![0, 0], 150)] {
        node.with(AT, |routers, now, out| {
            routers.on_terms(now, &"VI_51".into(), terms(&deltas), out);
        });
        assert_eq!(node.view("VI_51").effective_priority, want, "{deltas:?}");
    }
}

#[test]
fn an_instance_that_tracks_something_waits_for_its_first_result() {
    let mut cfg = cfg();
    cfg.tracking.scripts.push(crate::model::ScriptTrack {
        script: "chk".into(),
        weight: 0,
        reverse: false,
    });
    let mut node = Node::start("10.5.0.5", &[cfg], &[]);
    node.run(AT);
    assert_eq!(node.state("VI_51"), VrrpState::Init);
    assert!(
        node.log
            .iter()
            .all(|(_, effect)| !matches!(effect, Effect::Notify { .. }))
    );
    let got = node.with(AT, |routers, now, out| {
        routers.on_terms(now, &"VI_51".into(), Terms::default(), out);
    });
    assert_eq!(brief(&got), ["vrrp.backup", "notify VI_51 BACKUP 150"]);
    // Later waiting (a tracker added by a reload) does not cost anything.
    let waiting = Terms {
        waiting: true,
        ..Terms::default()
    };
    node.with(AT, |routers, now, out| {
        routers.on_terms(now, &"VI_51".into(), waiting, out);
    });
    assert_eq!(node.state("VI_51"), VrrpState::Backup);
}

#[test]
fn f047_an_interface_made_anew_costs_mastership_without_a_farewell_on_the_wrong_link() {
    let mut node = node(From::Master);
    let moved = Ground {
        link: Some(LinkIndex(9)),
        ..ground("10.5.0.5")
    };
    let got = node.with(AT, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), moved, out);
    });
    assert_eq!(brief(&got), ["vrrp.backup", "notify VI_51 BACKUP 150"]);
    let endpoints: Vec<_> = node.routers.ears().into_iter().map(|ear| ear.endpoint).collect();
    assert_eq!(
        endpoints,
        [Endpoint::Multicast {
            link: LinkIndex(9),
            group: ip("224.0.0.18")
        }]
    );
    let got = node.run(Mono(AT.0 + 4 * S));
    assert_eq!(sends(&got)[0].link, Some(LinkIndex(9)));
}

#[test]
fn f049_a_master_goes_on_from_its_new_primary_address() {
    let mut node = node(From::Master);
    let got = node.with(AT, |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), ground("10.5.0.77"), out);
    });
    assert!(got.is_empty());
    let got = node.run(Mono(AT.0 + S));
    assert_eq!(sends(&got)[0].source, ip("10.5.0.77"));
}

#[test]
fn without_a_link_or_a_source_there_is_a_fault_that_says_so() {
    for (link, source, want) in [
        (None, None, "interface eth0 does not exist"),
        (Some(LINK), None, "no source address for adverts"),
    ] {
        let mut node = node(From::Backup);
        let bare = Ground {
            link,
            source,
            ..Ground::default()
        };
        node.with(AT, |routers, now, out| {
            routers.on_ground(now, &"VI_51".into(), bare, out);
        });
        assert_eq!(node.view("VI_51").faults, [want]);
        assert_eq!(node.view("VI_51").effective_priority, 0);
    }
}
