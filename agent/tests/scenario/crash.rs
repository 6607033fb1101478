//! The agent ends without a goodbye and is started again.

use crate::node::{Did, Node, Start, model, new_model, server_key, service, settings};
use crate::operators::server;
use lb_shared::diagnostic::{Diagnostic, Severity};
use lb_shared::event::What;
use lb_shared::request::{Reply, Verb};
use lb_shared::state::{Admin, DrainThen, Target, VrrpState};
use lbagent::engine::{Input, Previous};
use lbagent::ipvs::IpvsOp;
use lbagent::net::NetOp;
use std::time::Duration;

/// The next start of a node that was killed, `ago` after its last advert.
pub(crate) fn again(node: Node, ago: Duration) -> Start {
    let sent_ago = node
        .ledger
        .masters
        .keys()
        .map(|name| (name.clone(), ago))
        .collect();
    Start {
        texts: Default::default(),
        former: None,
        refused: Vec::new(),
        model: model(100, service("rr", 3)),
        net: node.net,
        ipvs: node.ipvs,
        disk: node.disk,
        intent_lost: false,
        wall_ms: 1_000_000,
        previous: Some(Previous {
            ledger: node.ledger,
            sent_ago,
        }),
        settings: Some("0"),
        since_boot: Duration::ZERO,
    }
}

fn master() -> Node {
    Start::with(model(100, service("rr", 3))).go().mastered()
}

#[test]
fn f153_a_quick_restart_goes_on_as_master_and_touches_nothing() {
    let node = again(master(), Duration::from_millis(900)).go();
    assert_eq!(node.state(), VrrpState::Master);
    assert!(
        node.position(|did| matches!(did, Did::Sent(advert) if advert.payload[2] == 100))
            .is_some()
    );
    let harm = node.did.iter().find(|did| {
        matches!(did, Did::Net(NetOp::RemoveAddress { .. }))
            || matches!(did, Did::Ipvs(op) if !matches!(op, IpvsOp::Sysctl { .. }))
    });
    assert!(harm.is_none(), "{harm:?}");
}

#[test]
fn a_file_that_was_refused_at_the_start_is_told_until_a_good_one_comes() {
    let finding = Diagnostic::new(
        Severity::Error,
        "L-01",
        "'virtual_serve' is not a keyword".to_owned(),
    );
    let mut next = again(master(), Duration::from_millis(900));
    next.refused = vec![finding];
    let mut node = next.go();
    assert_eq!(node.state(), VrrpState::Master, "what was in force goes on");
    assert_eq!(node.said(What::ReloadRefused), 1);
    let refused = |node: &Node| node.engine.state().agent.config.refused.join(" ");
    assert!(refused(&node).contains("virtual_serve"), "{}", refused(&node));
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    assert_eq!(refused(&node), "");
}

#[test]
fn f153_a_late_restart_removes_its_stale_address_before_it_speaks() {
    let mut node = again(master(), Duration::from_millis(2_100)).go();
    assert!(!node.has_vip());
    assert_eq!(node.said(What::Cleaned), 1);
    assert!(node.position(|did| matches!(did, Did::Sent(_))).is_none());
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip(), "nobody else is there");
}

#[test]
fn f089_a_drain_survives_a_crash_and_no_server_gets_weight_on_the_way() {
    let mut before = master();
    before.act(
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        server(2),
    );
    let mut node = again(before, Duration::from_millis(500)).go();
    assert_eq!(node.weight(2), Some(0));
    node.run_for(Duration::from_secs(30), &[]);
    assert_eq!(node.weight(2), Some(0));
    let given = node.did.iter().any(
        |did| matches!(did, Did::Ipvs(IpvsOp::EditServer(_, key, it) | IpvsOp::AddServer(_, key, it)) if *key == server_key(2) && it.weight > 0),
    );
    assert!(!given);
}

#[test]
fn before_the_first_result_after_a_crash_the_servers_in_the_kernel_count() {
    let mut before = master();
    before.run_for(Duration::from_secs(10), &[]);
    let mut node = again(before, Duration::from_millis(500)).go();
    assert_eq!(node.weight(2), Some(1), "it is served");
    let drain = |node: &mut Node, last| {
        let then = DrainThen::Keep;
        let verb = Verb::Drain {
            timeout_ms: None,
            then,
            inactive: false,
        };
        node.act(verb, server(last))
    };
    for last in [1, 2] {
        let reply = drain(&mut node, last);
        assert!(matches!(reply, Reply::Acted(_)), "{reply:?}");
    }
    match drain(&mut node, 3) {
        Reply::Refused(it) => assert!(
            it.message
                .contains("0 of 3 servers in rotation (1 in rotation now)"),
            "{it}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_drain_waits_for_survives_a_crash() {
    let idle = |node: &mut Node, inactive: u32| {
        let table = node.ipvs.as_mut().unwrap();
        let service = table.services.values_mut().next().unwrap();
        let destination = service.destinations.get_mut(&server_key(2)).unwrap();
        destination.counters.inactive = inactive;
    };
    let admin = |node: &Node| {
        node.engine
            .state()
            .servers
            .values()
            .find(|it| Target::Server(it.id.clone()) == server(2))
            .unwrap()
            .admin
    };
    for (inactive, want) in [(true, Admin::Draining), (false, Admin::Drained)] {
        let mut before = master();
        idle(&mut before, 3);
        let then = DrainThen::Keep;
        before.act(
            Verb::Drain {
                timeout_ms: None,
                then,
                inactive,
            },
            server(2),
        );
        let mut node = again(before, Duration::from_millis(500)).go();
        node.run_for(Duration::from_secs(30), &[]);
        assert_eq!(admin(&node), want);
        idle(&mut node, 0);
        node.run_for(Duration::from_secs(30), &[]);
        assert_eq!(admin(&node), Admin::Drained);
    }
}

#[test]
fn f093_after_a_reboot_a_drained_server_never_has_weight() {
    let mut before = master();
    before.act(
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        server(2),
    );
    let mut start = Start::with(model(100, service("rr", 3)));
    start.disk = before.disk;
    let mut node = start.go();
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(
        [node.weight(1), node.weight(2), node.weight(3)],
        [Some(1), Some(0), Some(1)]
    );
    let given = node
        .did
        .iter()
        .any(|did| matches!(did, Did::Ipvs(IpvsOp::AddServer(_, key, it)) if *key == server_key(2) && it.weight > 0));
    assert!(!given);
}

#[test]
fn s17_with_the_overrides_unreadable_a_server_at_weight_0_stays_drained() {
    let mut before = master();
    before.act(
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        server(2),
    );
    let mut start = again(before, Duration::from_millis(500));
    start.disk.clear();
    start.intent_lost = true;
    let mut node = start.go();
    node.run_for(Duration::from_secs(30), &[]);
    assert_eq!(node.weight(2), Some(0));
    assert_eq!(node.said(What::IntentTrouble), 1);
    let it = node.engine.state().overrides.values().next().unwrap();
    assert_eq!(it.actor.user, "unknown operator");
}

#[test]
fn a_failed_server_found_absent_stays_absent_until_its_check_passes() {
    let mut before = master();
    before.run_for(Duration::from_secs(10), &[server_key(3)]);
    assert_eq!(before.weight(3), None);
    let mut node = again(before, Duration::from_millis(500)).go();
    assert_eq!(node.weight(3), None, "traffic would go to a dead server");
    node.run_for(Duration::from_secs(10), &[]);
    assert_eq!(node.weight(3), Some(1));
}

#[test]
fn a_demotion_survives_a_restart_and_a_promotion_does_not() {
    for (verb, left) in [
        (Verb::Demote { hard: true }, 1),
        (Verb::Promote { for_ms: None }, 0),
    ] {
        let mut before = master();
        before.hear(50);
        before.act(verb, Target::Instance("VI_1".into()));
        let mut node = again(before, Duration::from_secs(60)).go();
        node.run_for(Duration::from_secs(10), &[]);
        assert_eq!(node.engine.state().overrides.len(), left, "{verb:?}");
        assert_eq!(node.has_vip(), left == 0, "{verb:?}");
    }
}

#[test]
fn s17_what_was_concluded_from_the_kernel_is_stored_at_once() {
    let mut before = master();
    before.act(
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        server(2),
    );
    let mut start = again(before, Duration::from_millis(500));
    start.disk.clear();
    start.intent_lost = true;
    let node = start.go();
    assert_eq!(node.disk.len(), 1, "the next crash would forget it");
}

#[test]
fn an_adopted_address_leaves_when_its_instance_yields_before_ipvs_is_ready() {
    let mut start = again(master(), Duration::from_millis(900));
    // The table is empty, and the kernel is slow to fill it: the gate stays closed.
    start.ipvs = Some(Default::default());
    let mut node = start.go_with(|node| node.slow = true);
    let table = node.late.pop_front().unwrap();
    node.feed(table);
    assert!(node.has_vip());
    node.hear(200);
    node.catch_up();
    assert!(!node.has_vip(), "the address stayed behind");
}

#[test]
fn an_adopted_address_leaves_when_its_instance_starts_in_fault() {
    let mut start = again(master(), Duration::from_millis(900));
    if let Some(link) = start.net.links.values_mut().next() {
        link.running = false;
    }
    let node = start.go();
    assert_eq!(node.state(), VrrpState::Fault);
    assert!(!node.has_vip(), "the address stayed behind");
}

#[test]
fn a_restart_after_a_crash_does_not_flush_though_a_clean_start_would() {
    let flush = |node: &Node| {
        node.position(|did| matches!(did, Did::Ipvs(IpvsOp::Flush)))
            .is_some()
    };
    let mut start = again(master(), Duration::from_millis(900));
    start.model.global.lvs_flush = true;
    let mut clean = Start::with(start.model.clone());
    clean.ipvs.clone_from(&start.ipvs);
    assert!(!flush(&start.go()));
    assert!(flush(&clean.go()));
}

#[test]
fn what_a_drain_changed_is_given_back_though_the_agent_was_killed_meanwhile() {
    let drain = Verb::Drain {
        timeout_ms: None,
        then: DrainThen::Keep,
        inactive: false,
    };
    let mut before = master();
    before.act(drain, server(2));
    assert_eq!(before.setting("expire_nodest_conn"), Some("1"));
    let mut start = again(before, Duration::from_millis(500));
    start.settings = Some("1");
    let mut node = start.go();
    node.run_for(Duration::from_secs(2), &[]);
    node.act(Verb::Undrain, server(2));
    assert_eq!(node.setting("expire_nodest_conn"), Some("0"));
}

#[test]
fn a_drain_has_its_settings_though_ip_vs_was_loaded_after_the_start() {
    let mut start = Start::with(model(100, service("rr", 3)));
    start.settings = None;
    let mut node = start.go();
    node.run_for(Duration::from_secs(5), &[]);
    node.feed(Input::IpvsSettings(settings("0")));
    assert_eq!(node.setting("expire_nodest_conn"), None);
    let drain = Verb::Drain {
        timeout_ms: None,
        then: DrainThen::Keep,
        inactive: false,
    };
    node.act(drain, server(2));
    assert_eq!(node.setting("expire_nodest_conn"), Some("1"));
    node.act(Verb::Undrain, server(2));
    assert_eq!(node.setting("expire_nodest_conn"), Some("0"));
}

#[test]
fn a_service_that_left_the_file_is_ours_until_the_kernel_has_let_it_go() {
    let mut node = master();
    node.refuses_ipvs = |op| matches!(op, IpvsOp::RemoveService(_));
    let mut empty = model(100, service("rr", 1));
    empty.services.clear();
    node.feed(Input::Model(Box::new(new_model(empty.clone()))));
    let mut start = again(node, Duration::from_millis(500));
    start.model = empty;
    let node = start.go();
    assert!(node.ipvs.unwrap().services.is_empty());
}
