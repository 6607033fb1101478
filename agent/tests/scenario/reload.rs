//! A configuration file is read again.

use crate::node::{
    Did, Node, Start, by_script, entry, instance, ip, model, new_model, script_chk, server_key, service,
};
use crate::operators::server;
use lb_shared::event::What;
use lb_shared::names::{Protocol, VirtualKey};
use lb_shared::request::Verb;
use lb_shared::state::{DrainThen, VrrpState};
use lb_shared::units::{Vrid, Weight};
use lbagent::engine::Input;
use lbagent::ipvs::IpvsOp;
use lbagent::model::{Authentication, Model, Script, Service, SyncGroup, Tracking, VrrpScript};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn s12_an_identical_file_causes_no_operation_and_no_transition() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    let due = node.engine.next_deadline();
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    for did in &node.did {
        let Did::Said(event) = did else {
            panic!("an identical file caused {did:?}")
        };
        assert!(matches!(event.what, What::Applied | What::Present), "{event:?}");
    }
    assert_eq!(node.engine.next_deadline(), due, "a timer was restarted");
}

#[test]
fn a_setting_that_waits_for_the_next_start_is_told_at_every_reload_until_it_is_taken_back() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    let mut waits = model(100, service("rr", 3));
    waits.host.vrrp.real_time = Some(50);
    let told = |node: &mut Node, it| {
        node.did.clear();
        node.feed(Input::Model(Box::new(new_model(it))));
        let said = node.did.iter().filter_map(|did| match did {
            Did::Said(event) if event.what == What::Finding => Some(event.text.clone()),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    for _ in 0..2 {
        let said = told(&mut node, waits.clone());
        assert!(
            said.len() == 1 && said[0].contains("vrrp_rt_priority none -> 50"),
            "{said:?}"
        );
    }
    assert_eq!(node.engine.state().agent.config.warnings, 1);
    assert!(told(&mut node, model(100, service("rr", 3))).is_empty());
}

#[test]
fn f090_a_drain_outlasts_a_reload_and_a_server_that_leaves_and_returns() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.act(
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        server(3),
    );
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    assert_eq!(node.weight(3), Some(0));
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    assert_eq!(node.weight(3), None);
    assert!(node.engine.state().overrides[&server(3)].dormant.is_some());
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    assert_eq!(node.weight(3), Some(0), "a drained server came back with weight");
    assert!(node.engine.state().overrides[&server(3)].dormant.is_none());
}

#[test]
fn f086_another_scheduler_is_an_edit_in_place() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    node.feed(Input::Model(Box::new(new_model(model(100, service("wlc", 3))))));
    let ops: Vec<&IpvsOp> = node
        .did
        .iter()
        .filter_map(|did| match did {
            Did::Ipvs(op) => Some(op),
            _ => None,
        })
        .collect();
    assert!(matches!(ops[..], [IpvsOp::EditService(..)]), "{ops:?}");
    assert_eq!(
        node.ipvs.as_ref().unwrap().services[&entry()].settings.scheduler,
        "wlc"
    );
}

#[test]
fn a_server_removed_from_the_file_leaves_and_the_others_are_not_touched() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    let touched = node.did.iter().filter(|did| match did {
        Did::Ipvs(IpvsOp::RemoveServer(_, key)) => *key != server_key(3),
        Did::Ipvs(_) | Did::Net(_) | Did::Sent(_) => true,
        _ => false,
    });
    assert_eq!(touched.count(), 0, "{:?}", node.did);
    assert_eq!(node.weight(3), None);
}

#[test]
fn what_leaves_the_file_leaves_the_kernel_at_once() {
    let other = VirtualKey::Address {
        address: ip("192.0.2.81"),
        port: 80,
        protocol: Protocol::Tcp,
    };
    let mut two = service("rr", 3);
    two.entries.push(other);
    let mut node = Start::with(model(100, two)).go();
    node.run_for(Duration::from_secs(10), &[]);
    let held = |node: &Node| -> Vec<VirtualKey> {
        node.ipvs
            .iter()
            .flat_map(|it| it.services.keys().copied())
            .collect()
    };
    assert_eq!(held(&node).len(), 2);
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    assert_eq!(held(&node), [entry()]);
    let mut none = model(100, service("rr", 3));
    none.services.clear();
    node.feed(Input::Model(Box::new(new_model(none))));
    assert_eq!(held(&node), []);
}

#[test]
fn another_priority_keeps_the_mastership_and_a_removed_instance_says_goodbye() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    let mut lower = model(100, service("rr", 2));
    lower.instances.insert("VI_1".into(), Arc::new(instance(50)));
    node.feed(Input::Model(Box::new(new_model(lower))));
    let view = node.view();
    assert_eq!((view.state, view.effective_priority), (VrrpState::Master, 50));
    assert!(node.has_vip());

    node.did.clear();
    let mut without = model(100, service("rr", 2));
    without.instances.clear();
    node.feed(Input::Model(Box::new(new_model(without))));
    assert!(!node.has_vip());
    assert!(
        node.position(|did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0))
            .is_some()
    );
    assert!(node.engine.state().instances.is_empty());
}

#[test]
fn a_removed_instance_tells_its_scripts_once_more() {
    let mut old = model(100, service("rr", 1));
    let mut instance = instance(100);
    instance.notify.any = Some(Script {
        argv: vec!["/n".into()],
        user: None,
    });
    old.instances.insert("VI_1".into(), Arc::new(instance));
    let mut node = Start::with(old.clone()).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    old.instances.clear();
    node.feed(Input::Model(Box::new(new_model(old))));
    let told = node
        .did
        .iter()
        .any(|did| matches!(did, Did::Ran(words) if words.starts_with("/n INSTANCE VI_1 FAULT")));
    assert!(told, "{:?}", node.did);
}

#[test]
fn a_signal_before_the_first_table_starts_with_the_newer_file() {
    let mut node = Start::with(model(100, service("rr", 1))).go_with(|node| node.slow = true);
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    node.catch_up();
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!([node.weight(1), node.weight(2)], [Some(1); 2]);
}

#[test]
fn lists_follow_the_order_of_the_file_and_moving_a_line_changes_nothing() {
    let mut moved = model(100, service("rr", 1));
    let mut node = Start::with(moved.clone()).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.did.clear();
    moved.layout.instances.insert("VI_1".into(), "k.conf:7".into());
    moved.layout.services.insert(crate::node::service_key(), 3);
    node.feed(Input::Model(Box::new(new_model(moved))));
    let state = node.engine.state();
    assert_eq!(state.instances[&"VI_1".into()].place, "k.conf:7");
    assert_eq!(state.services[&crate::node::service_key()].order, 3);
    let ops = node.position(|did| matches!(did, Did::Net(_) | Did::Ipvs(_)));
    assert_eq!(ops, None);
}

#[test]
fn a_plan_tells_whose_connections_end() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    let table = node.ipvs.as_mut().unwrap();
    let entry = table.services.values_mut().next().unwrap();
    for (server, active) in [(1, 5), (2, 0), (3, 7)] {
        let it = entry.destinations.get_mut(&server_key(server)).unwrap();
        it.counters.active = active;
    }
    node.run_for(Duration::from_secs(11), &[]);
    let cut = |plan: lb_shared::request::Reloaded| -> Vec<(String, u64)> { plan.cut.into_iter().collect() };
    assert_eq!(cut(node.plan(model(100, service("wlc", 3)))), []);
    let fewer = node.plan(model(100, service("rr", 1)));
    let gone: Vec<_> = fewer.changes.iter().filter(|it| it.starts_with("- ")).collect();
    let cut_off = cut(fewer.clone());
    assert_eq!(gone.len(), 2);
    assert_eq!(
        cut_off.iter().map(|it| it.1).collect::<Vec<_>>(),
        [7],
        "the second has none"
    );
    assert!(
        gone.contains(&&format!("- {}", cut_off[0].0)),
        "as in the changes: {cut_off:?}"
    );
    let mut none = model(100, service("rr", 1));
    none.services.clear();
    let key = crate::node::service_key();
    assert_eq!(cut(node.plan(none)), [(format!("vs:{key}"), 12)]);

    // The service stays, under another address.
    let change = |how: fn(&mut Service)| {
        let mut model = model(100, service("rr", 3));
        for it in model.services.values_mut() {
            how(Arc::make_mut(it));
        }
        model
    };
    let moved = change(|it| it.entries[0] = it.entries[0].to_string().replace(":80", ":81").parse().unwrap());
    assert_eq!(cut(node.plan(moved)), [(format!("vs:{key}"), 12)]);
    // Another service takes over its address and servers: the kernel sees none of it.
    let mut renamed = change(|it| it.key = "group:web/tcp".parse().unwrap());
    renamed.services = (renamed.services.into_values())
        .map(|it| (it.key.clone(), it))
        .collect();
    assert_eq!(cut(node.plan(renamed)), []);
}

#[test]
fn a_plan_tells_what_changes_and_which_addresses_move_and_changes_nothing() {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    node.did.clear();
    let same = node.plan(model(100, service("rr", 3)));
    assert!(same.changes.is_empty() && same.moves.is_empty(), "{same:?}");

    let lower = node.plan(model(50, service("rr", 2)));
    assert_eq!(lower.changes.len(), 2, "{lower:?}");
    assert!(lower.changes.iter().any(|line| line.starts_with("- rs:")));
    assert_eq!(
        lower.moves,
        ["VI_1: its priority falls from 100 to 50: a peer above 50 takes over"]
    );

    let mut without = model(100, service("rr", 3));
    without.instances.clear();
    assert_eq!(
        node.plan(without).moves,
        ["VI_1: it is not in the file: its addresses go to the peer"]
    );
    let mut renumbered = instance(100);
    renumbered.vrid = Vrid::new(99).unwrap();
    let mut other = model(100, service("rr", 3));
    other.instances.insert("VI_1".into(), Arc::new(renumbered));
    assert!(node.plan(other).moves[0].contains("it becomes another virtual router"));
    let mut bare = instance(100);
    let gone = bare.addresses.remove(0).address;
    let mut fewer = model(100, service("rr", 3));
    fewer.instances.insert("VI_1".into(), Arc::new(bare));
    assert_eq!(node.plan(fewer).moves, [format!("VI_1: {gone} no longer held")]);
    assert!(node.did.is_empty() && node.has_vip(), "{:?}", node.did);
}

#[test]
fn a_plan_tells_that_a_backup_would_take_over() {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    node.hear(150);
    node.run_for(Duration::from_millis(500), &[]);
    node.hear(150);
    assert!(!node.has_vip());
    assert!(node.plan(model(120, service("rr", 1))).moves.is_empty());
    let moves = node.plan(model(200, service("rr", 1))).moves;
    assert!(
        moves.len() == 1
            && moves[0].starts_with("VI_1: it takes over from")
            && moves[0].contains("200 is above 150"),
        "{moves:?}"
    );
}

/// VI_1 follows a script that counts as failed until very many runs have succeeded.
fn failing(weight: i32) -> Model {
    let mut model = model(100, service("rr", 1));
    let script = VrrpScript {
        rise: 1_000,
        init_fail: true,
        ..script_chk()
    };
    model.scripts.insert("chk".into(), Arc::new(script));
    let mut it = instance(100);
    it.tracking = by_script(weight);
    model.instances.insert("VI_1".into(), Arc::new(it));
    model
}

#[test]
fn a_plan_counts_what_failing_trackers_make_of_a_master_and_the_reload_makes_it_so() {
    let mut node = Start::with(failing(-5)).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    assert!(node.plan(failing(-5)).moves.is_empty());
    assert!(node.plan(failing(-3)).moves.is_empty(), "the priority rises");
    assert_eq!(
        node.plan(failing(-60)).moves,
        ["VI_1: its priority falls from 95 to 40: a peer above 40 takes over"]
    );
    assert!(node.plan(model(100, service("rr", 1))).moves.is_empty());
    let faulted = node.plan(failing(0)).moves;
    assert!(
        faulted.len() == 1 && faulted[0].starts_with("VI_1: it goes to FAULT: script chk failed"),
        "{faulted:?}"
    );
    // A script that has no result yet takes nothing away.
    let mut unknown = failing(0);
    let mut other = (*unknown.scripts["chk"]).clone();
    other.name = "other".into();
    other.init_fail = false;
    unknown.scripts.clear();
    unknown.scripts.insert("other".into(), Arc::new(other));
    let mut it = instance(100);
    it.tracking = by_script(0);
    it.tracking.scripts[0].script = "other".into();
    unknown.instances.insert("VI_1".into(), Arc::new(it));
    assert!(node.plan(unknown).moves.is_empty());

    node.feed(Input::Model(Box::new(new_model(failing(-60)))));
    let now = node.engine.state().instances[&"VI_1".into()].effective_priority;
    assert_eq!(now, 40);
    node.feed(Input::Model(Box::new(new_model(failing(0)))));
    assert!(!node.has_vip());
}

#[test]
fn a_plan_tells_that_a_group_takes_a_master_into_fault() {
    // VI_2 is in FAULT: its script failed, at weight 0. VI_1 is MASTER.
    let apart = || {
        let mut model = failing(0);
        let mut second = instance(100);
        second.name = "VI_2".into();
        second.vrid = Vrid::new(52).unwrap();
        second.addresses[0].address = ip("192.0.2.102");
        second.tracking = by_script(0);
        model.instances.insert("VI_2".into(), Arc::new(second));
        model.instances.insert("VI_1".into(), Arc::new(instance(100)));
        model
    };
    let group = |members: &[&str], tracking: Tracking| {
        let group = SyncGroup {
            name: "G".into(),
            members: members.iter().map(|it| (*it).into()).collect(),
            tracking,
            tracking_weight: false,
            notify: Default::default(),
        };
        let mut model = apart();
        model.groups.insert("G".into(), Arc::new(group));
        model
    };
    let mut node = Start::with(apart()).go();
    node.run_for(Duration::from_secs(10), &[]);
    assert!(node.has_vip());
    let both = node.plan(group(&["VI_1", "VI_2"], Tracking::default())).moves;
    assert!(
        both.len() == 1
            && both[0].starts_with(
                "VI_1: it goes to FAULT: VI_2 of its sync group is in FAULT (VI_2: script chk failed"
            ),
        "{both:?}"
    );
    let own = node.plan(group(&["VI_1"], by_script(0))).moves;
    assert!(
        own.len() == 1 && own[0].starts_with("VI_1: it goes to FAULT: script chk failed"),
        "{own:?}"
    );
    assert_eq!(
        node.plan(group(&["VI_1"], by_script(-60))).moves,
        ["VI_1: its priority falls from 100 to 40: a peer above 40 takes over"]
    );
    node.feed(Input::Model(Box::new(new_model(group(
        &["VI_1", "VI_2"],
        Tracking::default(),
    )))));
    assert!(!node.has_vip());
}

#[test]
fn a_plan_tells_each_setting_from_what_to_what_and_no_secret() {
    let old = |priority| {
        let mut it = instance(priority);
        it.authentication = Authentication::Pass(*b"hunter22");
        let mut model = model(100, service("rr", 3));
        model.instances.insert("VI_1".into(), Arc::new(it));
        model
    };
    let mut node = Start::with(old(100)).go();
    node.run_for(Duration::from_secs(10), &[]);
    let mut new = old(150);
    let mut it = (**new.instances.get(&"VI_1".into()).unwrap()).clone();
    it.authentication = Authentication::Pass(*b"hunter33");
    it.preempt_delay = Duration::from_millis(1_500);
    it.addresses[0].address = "192.0.2.101".parse().unwrap();
    new.instances.insert("VI_1".into(), Arc::new(it));
    let mut service = service("wrr", 3);
    let mut first = (*service.servers[&server_key(1)]).clone();
    first.weight = Weight::clamped(3);
    first.checks[0].retry = 2;
    service.servers.insert(server_key(1), Arc::new(first));
    let mut second = (*service.servers[&server_key(2)]).clone();
    second.checks.clear();
    service.servers.insert(server_key(2), Arc::new(second));
    new.services.insert(service.key.clone(), Arc::new(service));
    let plan = node.plan(new);
    assert_eq!(
        plan.changes,
        [
            "~ vrrp:VI_1 priority 100 -> 150, auth_pass changes (not shown), preempt_delay 0s -> 1.5s, \
             virtual_ipaddress + 192.0.2.101/32 dev eth0 - 192.0.2.100/32 dev eth0",
            "~ vs:192.0.2.100:80/tcp lb_algo rr -> wrr",
            "~ rs:192.0.2.100:80/tcp/198.51.100.1:80 weight 1 -> 3, TCP_CHECK retry 0 -> 2",
            "~ rs:192.0.2.100:80/tcp/198.51.100.2:80 checks - TCP_CHECK",
        ]
    );
    assert!(!format!("{plan:?}").contains("hunter"), "{plan:?}");
}
