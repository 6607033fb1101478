//! Sync groups move as one.

use super::*;
use lb_shared::state::Pin;

const MEMBERS: [&str; 2] = ["VI_51", "VI_52"];

fn group_node(source: &str, priorities: [u8; 2]) -> Node {
    Node::start(
        source,
        &[vi(51, priorities[0]), vi(52, priorities[1])],
        &[group("G1", &MEMBERS)],
    )
}

fn states(node: &Node) -> Vec<VrrpState> {
    let mut states: Vec<_> = MEMBERS.iter().map(|name| node.state(name)).collect();
    states.push(node.routers.group_view(&"G1".into()).unwrap().state);
    states
}

fn all(state: VrrpState) -> Vec<VrrpState> {
    vec![state; 3]
}

#[test]
fn a_group_takes_over_with_its_slowest_member_and_is_told_after_its_members() {
    let mut node = group_node("10.5.0.1", [200, 100]);
    let got = node.run(Mono(4 * S));
    assert_eq!(
        node.entered(What::BecameMaster),
        [Mono(3_609_375), Mono(3_609_375)],
        "not at 3.218 s, when the first was ready"
    );
    assert_eq!(
        brief(&got),
        [
            "send 100",
            "vrrp.master",
            "announce 5",
            "notify VI_52 MASTER 100",
            "send 200",
            "vrrp.master",
            "announce 5",
            "notify VI_51 MASTER 200",
            "group G1 BACKUP -> MASTER",
            "notify G1 MASTER 0",
        ]
    );
    assert_eq!(states(&node), all(VrrpState::Master));
}

#[test]
fn f043_one_members_fault_takes_the_group_along_with_a_farewell_each() {
    let mut node = group_node("10.5.0.1", [200, 100]);
    node.run(Mono(5 * S));
    let got = node.with(Mono(5 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_52".into(), down("10.5.0.1"), out);
    });
    assert_eq!(priorities(&got), [0, 0]);
    assert_eq!(states(&node), all(VrrpState::Fault));
    assert_eq!(node.view("VI_51").faults, ["VI_52 of its sync group is in FAULT"]);
    assert_eq!(node.view("VI_52").faults, ["interface eth0 is down"]);
    node.run(Mono(60 * S));
    assert_eq!(states(&node), all(VrrpState::Fault));
    node.with(Mono(60 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_52".into(), ground("10.5.0.1"), out);
    });
    assert_eq!(states(&node), all(VrrpState::Backup));
}

#[test]
fn a_member_that_hears_a_better_master_takes_the_group_along_without_a_farewell() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    node.run(Mono(5 * S));
    let got = node.hear(Mono(5 * S), &advert(&vi(52, 200), "10.5.0.9", 200));
    assert!(sends(&got).is_empty());
    assert_eq!(states(&node), all(VrrpState::Backup));
    assert_eq!(brief(&got).last().unwrap(), "notify G1 BACKUP 0");
}

#[test]
fn a_group_whose_link_is_cut_on_one_side_does_not_flap() {
    let mut lan = Lan::new(vec![
        group_node("10.5.0.1", [150, 150]),
        group_node("10.5.0.2", [100, 100]),
    ]);
    lan.run(Mono(10 * S));
    assert_eq!(states(&lan.nodes[0]), all(VrrpState::Master));
    assert_eq!(states(&lan.nodes[1]), all(VrrpState::Backup));
    // One member of the backup hears nothing more; the other one still does.
    for step in 0..60u64 {
        let now = Mono(10 * S + step * S);
        lan.nodes[1].run(now);
        lan.nodes[1].hear(now, &advert(&vi(51, 150), "10.5.0.1", 150));
    }
    assert_eq!(states(&lan.nodes[1]), all(VrrpState::Backup));
    // And when that one falls silent as well, the group goes.
    lan.nodes[1].run(Mono(69 * S + 4 * S));
    assert_eq!(states(&lan.nodes[1]), all(VrrpState::Master));
}

#[test]
fn groups_on_two_nodes_elect_fail_over_and_heal_as_one() {
    let mut lan = Lan::new(vec![
        group_node("10.5.0.1", [150, 100]),
        group_node("10.5.0.2", [120, 90]),
    ]);
    lan.run(Mono(10 * S));
    assert_eq!(states(&lan.nodes[0]), all(VrrpState::Master));
    lan.nodes[0].with(Mono(10 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), down("10.5.0.1"), out);
    });
    lan.run(Mono(12 * S));
    assert_eq!(states(&lan.nodes[1]), all(VrrpState::Master), "after the skew");
    lan.nodes[0].with(Mono(12 * S), |routers, now, out| {
        routers.on_ground(now, &"VI_51".into(), ground("10.5.0.1"), out);
    });
    lan.run(Mono(30 * S));
    assert_eq!(states(&lan.nodes[0]), all(VrrpState::Master));
    assert_eq!(states(&lan.nodes[1]), all(VrrpState::Backup));
}

#[test]
fn a_pin_moves_the_whole_group() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    node.hear(Mono(S), &advert(&vi(51, 200), "10.5.0.9", 200));
    let got = node.with(Mono(S), |routers, now, out| {
        routers.on_pin(now, &"VI_52".into(), Some(Pin::Promoted), out);
    });
    assert_eq!(priorities(&got), [254, 254]);
    assert_eq!(states(&node), all(VrrpState::Master));
    let got = node.with(Mono(2 * S), |routers, now, out| {
        routers.on_pin(now, &"VI_51".into(), Some(Pin::Demoted), out);
    });
    assert_eq!(priorities(&got), [0, 0]);
    assert_eq!(states(&node), all(VrrpState::Backup));
    for name in MEMBERS {
        assert_eq!(node.view(name).pin, Some(Pin::Demoted));
        assert_eq!(node.view(name).effective_priority, 1);
    }
}

#[test]
fn a_group_resumes_only_as_a_whole() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    let resume = |node: &mut Node, name: &str| {
        node.with(Mono(MS), |routers, now, out| {
            routers.resume(now, &name.into(), Duration::from_millis(100), out);
        })
    };
    assert!(resume(&mut node, "VI_51").is_empty());
    assert_eq!(states(&node), all(VrrpState::Backup));
    assert_eq!(priorities(&resume(&mut node, "VI_52")), [100, 100]);
    assert_eq!(states(&node), all(VrrpState::Master));
}

#[test]
fn a_group_waits_for_its_slowest_member_to_start() {
    let mut slow = vi(52, 100);
    slow.tracking.scripts.push(crate::model::ScriptTrack {
        script: "chk".into(),
        weight: 0,
        reverse: false,
    });
    let mut node = Node::start("10.5.0.1", &[vi(51, 100), slow], &[group("G1", &MEMBERS)]);
    node.run(Mono(60 * S));
    assert_eq!(states(&node), all(VrrpState::Init));
    node.with(Mono(60 * S), |routers, now, out| {
        routers.on_terms(now, &"VI_52".into(), Terms::default(), out);
    });
    assert_eq!(states(&node), all(VrrpState::Backup));
}

#[test]
fn a_lower_master_of_one_member_makes_all_announce() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    node.run(Mono(5 * S));
    let got = node.hear(Mono(5 * S), &advert(&vi(51, 50), "10.5.0.9", 50));
    let announcing: BTreeSet<_> = got
        .iter()
        .filter_map(|effect| match effect {
            Effect::Announce { instance, .. } => Some(instance.0.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(announcing, BTreeSet::from(MEMBERS));
}

#[test]
fn a_lost_address_sends_the_whole_group_away_for_a_skew() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    node.run(Mono(5 * S));
    let got = node.with(Mono(5 * S), |routers, now, out| {
        routers.on_address_lost(now, &"VI_51".into(), ip("10.5.1.51"), out);
    });
    assert_eq!(priorities(&got), [0, 0]);
    node.run(Mono(6 * S));
    assert_eq!(states(&node), all(VrrpState::Master));
}

#[test]
fn a_farewell_of_somebody_else_does_not_use_up_the_answer_to_a_lower_master() {
    let mut node = group_node("10.5.0.1", [100, 100]);
    node.run(Mono(5 * S));
    node.hear(Mono(5 * S), &advert(&vi(51, 50), "10.5.0.8", 0));
    let got = node.hear(Mono(5 * S + 1), &advert(&vi(51, 50), "10.5.0.9", 50));
    let announced = got.iter().any(|effect| matches!(effect, Effect::Announce { .. }));
    assert!(announced, "{:?}", brief(&got));
}
