//! Two to five nodes on one segment.

use super::*;

const VI: &str = "VI_51";

fn pair(one: u8, two: u8) -> Lan {
    Lan::new(vec![
        Node::start("10.5.0.1", &[vi(51, one)], &[]),
        Node::start("10.5.0.2", &[vi(51, two)], &[]),
    ])
}

/// The one master there is.
fn master(lan: &Lan) -> usize {
    let masters = lan.masters(VI);
    assert_eq!(masters.len(), 1, "at {:?}: {masters:?}", lan.now);
    masters[0]
}

#[test]
fn f037_of_nodes_that_start_together_the_best_one_wins_without_detours() {
    let cases: [&[u8]; 5] = [
        &[100, 150],
        &[150, 100],
        &[100, 100],
        &[1, 2, 3, 4, 5],
        &[254, 254, 254],
    ];
    for priorities in cases {
        let nodes = priorities
            .iter()
            .enumerate()
            .map(|(at, priority)| Node::start(&format!("10.5.0.{}", at + 1), &[vi(51, *priority)], &[]));
        let mut lan = Lan::new(nodes.collect());
        lan.run(Mono(10 * S));
        let best = (0..priorities.len())
            .max_by_key(|at| (priorities[*at], *at))
            .unwrap();
        assert_eq!(master(&lan), best, "{priorities:?}");
        for node in &lan.nodes {
            assert!(node.entered(What::BecameBackup).len() <= 2);
        }
    }
}

#[test]
fn f031_when_the_master_dies_the_backup_takes_over_in_its_down_interval() {
    let mut lan = pair(150, 100);
    lan.run(Mono(10 * S));
    let last = lan.nodes[0]
        .routers
        .counters(&VI.into())
        .unwrap()
        .sent_at
        .unwrap();
    lan.kill(0);
    lan.run(Mono(20 * S));
    let want = last + lan.delay + Duration::from_micros(3_609_375);
    assert_eq!(lan.nodes[1].entered(What::BecameMaster), [want]);
}

#[test]
fn f032_when_the_master_stops_in_order_the_backup_waits_for_its_skew_only() {
    let mut lan = pair(150, 100);
    lan.run(Mono(10 * S));
    lan.nodes[0].with(Mono(10 * S), |routers, now, out| routers.stop(now, true, out));
    lan.run(Mono(20 * S));
    let want = Mono(10 * S) + lan.delay + Duration::from_micros(609_375);
    assert_eq!(lan.nodes[1].entered(What::BecameMaster), [want]);
}

#[test]
fn of_two_backups_the_better_one_follows_and_the_other_does_not_move() {
    let mut lan = Lan::new(vec![
        Node::start("10.5.0.1", &[vi(51, 200)], &[]),
        Node::start("10.5.0.2", &[vi(51, 150)], &[]),
        Node::start("10.5.0.3", &[vi(51, 100)], &[]),
    ]);
    lan.run(Mono(10 * S));
    lan.nodes[0].with(Mono(10 * S), |routers, now, out| routers.stop(now, true, out));
    lan.run(Mono(20 * S));
    assert_eq!(master(&lan), 1);
    assert!(lan.nodes[2].entered(What::BecameMaster).is_empty());
}

#[test]
fn f033_f034_a_pause_shorter_than_the_down_interval_changes_nothing() {
    for paused in [0, 1] {
        for pause in [500 * MS, 2_500 * MS] {
            let mut lan = pair(150, 100);
            lan.run(Mono(10 * S));
            let before: Vec<_> = lan
                .nodes
                .iter()
                .map(|node| node.entered(What::BecameMaster))
                .collect();
            lan.off.insert(paused);
            lan.run(Mono(10 * S + pause));
            lan.off.clear();
            lan.run(Mono(30 * S));
            let after: Vec<_> = lan
                .nodes
                .iter()
                .map(|node| node.entered(What::BecameMaster))
                .collect();
            assert_eq!(after, before, "node {paused} paused {pause} µs");
        }
    }
}

#[test]
fn f033_f054_f055_a_master_that_slept_reads_before_it_speaks_and_wins_back_what_is_its_own() {
    for preempt in [true, false] {
        let mut lan = pair(150, 100);
        for node in &mut lan.nodes {
            let mut cfg = (*node.instances[&VI.into()]).clone();
            cfg.preempt = preempt;
            node.configure(&[cfg], &[]);
            node.apply(Mono::ZERO, Duration::ZERO);
        }
        lan.run(Mono(10 * S));
        lan.off.insert(0);
        lan.run(Mono(60 * S));
        assert_eq!(master(&lan), 1);
        let slept = lan.nodes[0].log.len();
        lan.off.clear();
        lan.run(Mono(60 * S + MS));
        let first = lan.nodes[0].log[slept..]
            .iter()
            .map(|(_, effect)| effect.clone())
            .collect::<Vec<_>>();
        lan.run(Mono(90 * S));
        if preempt {
            assert_eq!(master(&lan), 0);
            assert!(
                brief(&first).contains(&"announce 5".to_owned()),
                "clients learn anew"
            );
        } else {
            assert_eq!(master(&lan), 1);
            assert!(sends(&first).is_empty(), "no word before it has read");
        }
    }
}

#[test]
fn f036_f056_after_a_split_the_better_one_stays_and_announces_again() {
    let mut lan = pair(150, 100);
    lan.run(Mono(10 * S));
    lan.cut = BTreeSet::from([(0, 1), (1, 0)]);
    lan.run(Mono(30 * S));
    assert_eq!(lan.masters(VI), [0, 1]);
    let healed = lan.now;
    lan.cut.clear();
    lan.run(Mono(30 * S + 1_001 * MS));
    assert_eq!(master(&lan), 0);
    lan.run(Mono(40 * S));
    let announced = lan.nodes[0]
        .log
        .iter()
        .any(|(at, effect)| *at > healed && matches!(effect, Effect::Announce { rounds: 5, .. }));
    assert!(announced);
    assert!(
        !lan.nodes[0].view(VI).second_master,
        "one interval of two masters is no alarm"
    );
}

#[test]
fn f035_two_masters_are_flagged_by_the_one_that_hears_and_cleared_when_it_is_over() {
    let mut lan = pair(150, 100);
    lan.run(Mono(10 * S));
    lan.cut.insert((0, 1));
    lan.run(Mono(30 * S));
    assert_eq!(lan.masters(VI), [0, 1]);
    let view = lan.nodes[0].view(VI);
    assert!(view.second_master);
    assert_eq!(view.master.unwrap().address, ip("10.5.0.2"));
    assert!(!lan.nodes[1].view(VI).second_master, "it hears nobody");
    lan.cut.clear();
    lan.run(Mono(50 * S));
    assert_eq!(master(&lan), 0);
    assert!(!lan.nodes[0].view(VI).second_master);
    assert_eq!(lan.nodes[0].entered(What::SecondMaster).len(), 1);
    assert_eq!(lan.nodes[0].entered(What::SecondMasterGone).len(), 1);
}

#[test]
fn an_equal_pair_heals_to_the_higher_address() {
    let mut lan = pair(100, 100);
    lan.cut = BTreeSet::from([(0, 1), (1, 0)]);
    lan.run(Mono(10 * S));
    assert_eq!(lan.masters(VI), [0, 1]);
    lan.cut.clear();
    lan.run(Mono(12 * S));
    assert_eq!(master(&lan), 1);
}

#[test]
fn a_returning_better_node_takes_over_after_its_down_interval() {
    let mut lan = pair(150, 100);
    lan.off.insert(0);
    lan.run(Mono(10 * S));
    assert_eq!(master(&lan), 1);
    // A new process.
    lan.nodes[0] = Node::cold("10.5.0.1", &[vi(51, 150)], &[]);
    lan.nodes[0].apply(Mono(10 * S), Duration::ZERO);
    let solid = ground("10.5.0.1");
    lan.nodes[0].with(Mono(10 * S), |routers, now, out| {
        routers.on_ground(now, &VI.into(), solid, out)
    });
    lan.off.clear();
    lan.run(Mono(30 * S));
    assert_eq!(
        lan.nodes[0].entered(What::BecameMaster),
        [Mono(10 * S + 3_414_062)]
    );
    assert_eq!(master(&lan), 0);
}

#[test]
fn f050_a_removed_address_moves_to_the_peer_only_if_that_is_faster() {
    for (other, want) in [(149, 0), (100, 0)] {
        let mut lan = pair(150, other);
        lan.run(Mono(10 * S));
        lan.nodes[0].with(Mono(10 * S), |routers, now, out| {
            routers.on_address_lost(now, &VI.into(), ip("10.5.1.51"), out);
        });
        lan.run(Mono(20 * S));
        assert_eq!(master(&lan), want, "peer {other}");
    }
}

#[test]
fn version_3_over_ipv6_elects_and_fails_over_at_10_milliseconds() {
    let mut cfg = vi6(51, 200);
    cfg.advert_interval = Duration::from_millis(10);
    let mut lower = cfg.clone();
    lower.priority = Priority::new(100).unwrap();
    let mut lan = Lan::new(vec![
        Node::start("fe80::1", &[cfg], &[]),
        Node::start("fe80::2", &[lower], &[]),
    ]);
    lan.run(Mono(S));
    assert_eq!(master(&lan), 0);
    lan.kill(0);
    lan.run(Mono(S + 50 * MS));
    assert_eq!(master(&lan), 1);
}

#[test]
fn unicast_pairs_elect_and_fail_over() {
    let unicast = |priority, peer: &str| {
        let mut cfg = vi(51, priority);
        cfg.unicast_peers = vec![crate::model::UnicastPeer {
            address: ip(peer),
            min_ttl: None,
            max_ttl: None,
        }];
        cfg
    };
    let mut lan = Lan::new(vec![
        Node::start("10.5.0.1", &[unicast(150, "10.5.0.2")], &[]),
        Node::start("10.5.0.2", &[unicast(100, "10.5.0.1")], &[]),
    ]);
    lan.run(Mono(10 * S));
    assert_eq!(master(&lan), 0);
    lan.kill(0);
    lan.run(Mono(20 * S));
    assert_eq!(master(&lan), 1);
}

#[test]
fn f013_version_2_intervals_that_differ_make_two_masters_and_both_say_why() {
    let mut slow = vi(51, 100);
    slow.advert_interval = Duration::from_secs(2);
    let mut lan = Lan::new(vec![
        Node::start("10.5.0.1", &[vi(51, 150)], &[]),
        Node::start("10.5.0.2", &[slow], &[]),
    ]);
    lan.run(Mono(30 * S));
    assert_eq!(lan.masters(VI), [0, 1]);
    for node in &lan.nodes {
        assert_eq!(node.entered(What::AdvertRejected).len(), 1);
    }
}
