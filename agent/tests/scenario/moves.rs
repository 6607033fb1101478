//! What a plan says of the addresses, and what the reload then brings.

use crate::node::{Node, Start, by_script, instance, ip, model, new_model, script_chk, service};
use lb_shared::state::VrrpState::{Backup, Fault, Master};
use lb_shared::state::{InstanceView, VrrpState};
use lb_shared::units::Vrid;
use lbagent::engine::Input;
use lbagent::model::{Authentication, Instance, Model, SyncGroup, Tracking, VrrpScript};
use lbagent::vrrp::Datagram;
use lbagent::wire::LinkIndex;
use std::sync::Arc;
use std::time::Duration;

/// VI_1 and VI_2, each with an address of its own.
fn two(first: u8, second: u8) -> Model {
    let mut model = model(first, service("rr", 1));
    let mut twin = instance(second);
    twin.name = "VI_2".into();
    twin.vrid = Vrid::new(52).expect("a number");
    twin.addresses[0].address = ip("192.0.2.102");
    model.instances.insert("VI_2".into(), Arc::new(twin));
    model
}

fn in_a_group(mut model: Model) -> Model {
    let group = SyncGroup {
        name: "G".into(),
        members: vec!["VI_1".into(), "VI_2".into()],
        tracking: Tracking::default(),
        tracking_weight: false,
        notify: Default::default(),
    };
    model.groups.insert("G".into(), Arc::new(group));
    model
}

fn change(model: &mut Model, name: &str, how: impl FnOnce(&mut Instance)) {
    let instance = model.instances.get_mut(&name.into()).expect("it is there");
    how(Arc::make_mut(instance));
}

/// Its script has failed, at weight 0.
fn broken(mut model: Model, name: &str) -> Model {
    let script = VrrpScript {
        rise: 1_000,
        init_fail: true,
        ..script_chk()
    };
    model.scripts.insert("chk".into(), Arc::new(script));
    change(&mut model, name, |it| it.tracking = by_script(0));
    model
}

fn view(node: &Node, name: &str) -> InstanceView {
    (*node.engine.state().instances[&name.into()]).clone()
}

fn states(node: &Node) -> [VrrpState; 2] {
    ["VI_1", "VI_2"].map(|name| view(node, name).state)
}

/// Somebody else is MASTER of VI_2.
fn hear(node: &mut Node, priority: u8) {
    let mut payload = vec![0x21, 52, priority, 1, 0, 1, 0, 0];
    payload.extend_from_slice(&[192, 0, 2, 102, 0, 0, 0, 0, 0, 0, 0, 0]);
    let sum = lbagent::wire::checksum::internet(&payload);
    payload[6..8].copy_from_slice(&sum.to_be_bytes());
    node.feed(Input::Datagram(Datagram {
        link: LinkIndex(2),
        source: ip("192.0.2.2"),
        destination: ip("224.0.0.18"),
        ttl: Some(255),
        envelope: Default::default(),
        payload,
    }));
}

/// For a while, with somebody at this priority who is MASTER of VI_2 until our own node is.
fn live(node: &mut Node, other: u8, seconds: u32) {
    for _ in 0..seconds {
        if view(node, "VI_2").state != Master {
            hear(node, other);
        }
        node.run_for(Duration::from_secs(1), &[]);
    }
}

fn reload(node: &mut Node, model: Model) {
    node.feed(Input::Model(Box::new(new_model(model))));
}

#[test]
fn an_instance_that_leaves_fault_takes_over() {
    let mut node = Start::with(broken(two(100, 100), "VI_1")).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(states(&node), [Fault, Master]);
    let healed = two(90, 100);
    assert_eq!(
        node.plan(healed.clone()).moves,
        ["VI_1: it leaves FAULT, and takes over unless it then hears a priority of 90 or more"]
    );
    assert_eq!(states(&node), [Fault, Master], "a plan changes nothing");
    reload(&mut node, healed);
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(states(&node), [Master, Master]);
}

#[test]
fn a_new_group_with_a_backup_in_it_is_backup() {
    let mut node = Start::with(two(100, 100)).go();
    live(&mut node, 150, 10);
    assert_eq!(states(&node), [Master, Backup]);
    let grouped = in_a_group(two(100, 100));
    let moves = node.plan(grouped.clone()).moves;
    reload(&mut node, grouped);
    live(&mut node, 150, 10);
    assert_eq!(states(&node), [Backup, Backup]);
    assert_eq!(
        moves,
        ["VI_1: it becomes BACKUP with its group: VI_2 is not MASTER"]
    );
}

#[test]
fn who_falls_takes_its_group_along() {
    let mut node = Start::with(in_a_group(two(100, 100))).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(states(&node), [Master, Master]);
    let lower = in_a_group(two(100, 60));
    assert_eq!(
        node.plan(lower.clone()).moves,
        [
            "VI_1: it goes with VI_2 of its group, whose priority falls from 100 to 60: a peer above 60 takes over",
            "VI_2: its priority falls from 100 to 60: a peer above 60 takes over"
        ]
    );
    reload(&mut node, lower);
    hear(&mut node, 70);
    assert_eq!(states(&node), [Backup, Backup]);
}

#[test]
fn a_backup_that_rises_takes_its_group_along_when_that_can_follow() {
    let mut node = Start::with(in_a_group(two(100, 100))).go();
    live(&mut node, 150, 10);
    assert_eq!(states(&node), [Backup, Backup]);
    let higher = in_a_group(two(100, 200));
    let moves = node.plan(higher.clone()).moves;
    reload(&mut node, higher);
    live(&mut node, 150, 10);
    assert_eq!(states(&node), [Master, Master]);
    assert_eq!(
        moves,
        [
            "VI_1: it takes over with its group",
            "VI_2: it takes over from 192.0.2.2: its priority 200 is above 150"
        ]
    );
}

#[test]
fn a_backup_that_no_longer_understands_its_master_is_one_beside_it() {
    let mut node = Start::with(two(100, 100)).go();
    live(&mut node, 150, 10);
    let mut other = two(100, 100);
    change(&mut other, "VI_2", |it| {
        it.authentication = Authentication::Pass(*b"hunter22");
    });
    let moves = node.plan(other.clone()).moves;
    reload(&mut node, other);
    for _ in 0..10 {
        hear(&mut node, 150);
        node.run_for(Duration::from_secs(1), &[]);
    }
    assert_eq!(states(&node), [Master, Master]);
    assert_eq!(
        moves,
        ["VI_2: it becomes MASTER beside 192.0.2.2, whose adverts are then refused"]
    );
}

#[test]
fn a_delay_of_preemption_does_not_hide_a_move_and_what_comes_anyway_is_none() {
    let mut node = Start::with(two(100, 100)).go();
    live(&mut node, 150, 10);
    let mut later = two(100, 200);
    change(&mut later, "VI_2", |it| {
        it.preempt_delay = Duration::from_secs(900)
    });
    assert_eq!(
        node.plan(later).moves,
        ["VI_2: it takes over from 192.0.2.2: its priority 200 is above 150"]
    );
    // It is about to take over, whatever the file says.
    hear(&mut node, 50);
    node.run_for(Duration::from_millis(100), &[]);
    assert_eq!(node.plan(two(90, 110)).moves.len(), 1, "VI_1 falls");
}
