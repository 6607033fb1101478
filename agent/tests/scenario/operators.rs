//! Changes operators make live.

use crate::node::{Did, Node, Start, model, new_model, server_key, service, service_key};
use lb_shared::event::What;
use lb_shared::names::ServerId;
use lb_shared::request::{Act, Outcome, RefusalCode, Reply, Verb, WeightChange};
use lb_shared::state::{Admin, DrainThen, Pin, Target, VrrpState};
use lb_shared::units::Weight;
use lbagent::engine::Input;
use lbagent::ipvs::IpvsOp;
use lbagent::ipvs::table::flags;
use lbagent::model::{Persistence, SyncGroup};
use std::sync::Arc;
use std::time::Duration;

const DRAIN: Verb = Verb::Drain {
    timeout_ms: None,
    then: DrainThen::Keep,
    inactive: false,
};

pub(crate) fn server(last: u8) -> Target {
    Target::Server(ServerId {
        service: service_key(),
        server: server_key(last),
    })
}

pub(crate) fn vi_1() -> Target {
    Target::Instance("VI_1".into())
}

fn three() -> Node {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node
}

fn refused(reply: &Reply) -> RefusalCode {
    match reply {
        Reply::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_drain_is_durable_before_the_kernel_sees_it_and_answered_after() {
    let mut node = three();
    node.did.clear();
    let reply = node.act(DRAIN, server(2));
    let Reply::Acted(acted) = reply else {
        panic!("{reply:?}")
    };
    assert_eq!(acted.targets[0].outcome, Outcome::Done);
    assert_eq!(acted.targets[0].change, "weight 1 -> 0");
    let stored = node.position(|did| matches!(did, Did::Persisted)).unwrap();
    let edited = node
        .position(|did| matches!(did, Did::Ipvs(IpvsOp::EditServer(..))))
        .unwrap();
    assert!(stored < edited, "the kernel was told before the disk");
    assert_eq!(node.weight(2), Some(0));
    assert_eq!(node.weight(1), Some(1));
}

#[test]
fn f096_a_change_that_cannot_be_stored_is_not_made() {
    let mut node = three();
    node.disk_works = false;
    let reply = node.act(DRAIN, server(2));
    assert_eq!(refused(&reply), RefusalCode::Disk);
    assert_eq!(node.weight(2), Some(1));
    assert!(node.engine.state().overrides.is_empty());
}

#[test]
fn f091_a_drained_server_stays_drained_while_its_check_fails_and_recovers() {
    let mut node = three();
    node.act(DRAIN, server(2));
    for down in [&[server_key(2)][..], &[][..], &[server_key(2)][..]] {
        node.run_for(Duration::from_secs(12), down);
        assert_eq!(node.weight(2), Some(0), "with {} servers down", down.len());
    }
    let Reply::Acted(_) = node.act(Verb::Undrain, server(2)) else {
        panic!()
    };
    node.run_for(Duration::from_secs(12), &[]);
    assert_eq!(node.weight(2), Some(1));
}

#[test]
fn f101_undraining_a_server_whose_check_fails_leaves_it_out() {
    let mut node = three();
    node.act(DRAIN, server(2));
    node.run_for(Duration::from_secs(12), &[server_key(2)]);
    let Reply::Acted(acted) = node.act(Verb::Undrain, server(2)) else {
        panic!()
    };
    assert_eq!(acted.targets[0].change, "stays out until its check passes");
    assert_eq!(node.weight(2), None);
}

#[test]
fn f099_draining_the_last_server_is_refused_and_said_why() {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    node.run_for(Duration::from_secs(5), &[]);
    let reply = node.act(DRAIN, server(1));
    assert_eq!(refused(&reply), RefusalCode::LastServer);
    assert_eq!(node.weight(1), Some(1));
    let forced = Act {
        verb: DRAIN,
        targets: vec![server(1)],
        dry_run: false,
        force: true,
        message: String::new(),
        key: None,
    };
    let Reply::Acted(_) = node.act_with(forced) else {
        panic!()
    };
    assert_eq!(node.weight(1), Some(0));
}

#[test]
fn several_targets_are_checked_whole_before_the_first_is_touched() {
    let mut node = three();
    let all = Act {
        verb: DRAIN,
        targets: vec![server(1), server(2), server(3)],
        dry_run: false,
        force: false,
        message: String::new(),
        key: None,
    };
    assert_eq!(refused(&node.act_with(all)), RefusalCode::LastServer);
    assert_eq!([node.weight(1), node.weight(2), node.weight(3)], [Some(1); 3]);
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut node = three();
    node.did.clear();
    let dry = Act {
        verb: DRAIN,
        targets: vec![server(2)],
        dry_run: true,
        force: false,
        message: String::new(),
        key: None,
    };
    let Reply::Acted(acted) = node.act_with(dry) else {
        panic!()
    };
    assert!(
        acted.effects[0].contains("2 of 3 servers in rotation"),
        "{:?}",
        acted.effects
    );
    assert!(node.did.is_empty(), "{:?}", node.did);
}

#[test]
fn f098_the_same_key_acts_once() {
    let mut node = three();
    let act = Act {
        verb: Verb::Weight(WeightChange::By(4)),
        targets: vec![server(2)],
        dry_run: false,
        force: false,
        message: String::new(),
        key: Some("deploy-42".into()),
    };
    let first = node.act_with(act.clone());
    assert_eq!(node.act_with(act), first);
    assert_eq!(node.weight(2), Some(5));
}

#[test]
fn f081_a_drain_under_sh_lets_its_clients_move_and_gives_the_flag_back() {
    for scheduler in ["sh", "mh"] {
        let mut node = Start::with(model(100, service(scheduler, 3))).go();
        node.run_for(Duration::from_secs(5), &[]);
        let fallback = |node: &Node| {
            let service = node.ipvs.as_ref().unwrap().services.values().next().unwrap();
            service.settings.flags & flags::SCHED_1 != 0
        };
        assert!(!fallback(&node), "{scheduler}");
        let Reply::Acted(acted) = node.act(DRAIN, server(2)) else {
            panic!()
        };
        assert!(
            fallback(&node),
            "{scheduler} would refuse the drained server's clients"
        );
        assert!(
            acted.effects.iter().any(|it| it.contains("fallback")),
            "{:?}",
            acted.effects
        );
        node.act(Verb::Undrain, server(2));
        assert!(!fallback(&node), "{scheduler}");
    }
}

#[test]
fn f080_a_drain_of_a_persistent_service_expires_templates_and_gives_the_sysctl_back() {
    let mut persistent = service("rr", 3);
    persistent.persistence = Some(Persistence {
        timeout_s: 300,
        prefix_len: 32,
        engine: None,
    });
    let mut node = Start::with(model(100, persistent)).go();
    node.run_for(Duration::from_secs(5), &[]);
    node.did.clear();
    node.act(DRAIN, server(2));
    node.act(Verb::Undrain, server(2));
    let values: Vec<String> = node
        .did
        .iter()
        .filter_map(|did| match did {
            Did::Ipvs(IpvsOp::Sysctl {
                name: "expire_quiescent_template",
                value,
            }) => Some(value.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(values, ["1", "0"]);
}

#[test]
fn only_what_takes_a_server_away_needs_a_setting_of_the_kernel() {
    let weight = Verb::Weight(WeightChange::To(Weight::clamped(7)));
    for (verb, want) in [
        (weight, None),
        (DRAIN, Some("1")),
        (Verb::Disable { cut: false }, Some("1")),
    ] {
        let mut node = three();
        assert!(matches!(node.act(verb, server(2)), Reply::Acted(_)), "{verb:?}");
        assert_eq!(node.setting("expire_nodest_conn"), want, "{verb:?}");
    }
}

#[test]
fn a_drain_without_connections_is_drained_after_a_while_and_its_deadline_ends_it() {
    let mut node = three();
    node.act(
        Verb::Drain {
            timeout_ms: Some(60_000),
            then: DrainThen::Undrain,
            inactive: false,
        },
        server(2),
    );
    node.run_for(Duration::from_secs(20), &[]);
    let view = node
        .engine
        .state()
        .servers
        .values()
        .find(|it| it.id.server == server_key(2))
        .unwrap();
    assert_eq!(view.admin, Admin::Drained);
    assert_eq!(node.said(What::DrainFinished), 1);
    node.run_for(Duration::from_secs(45), &[]);
    assert_eq!(node.weight(2), Some(1));
    assert!(node.disk.is_empty(), "the ended drain is still on disk");
}

/// F092: of a weight; a drain stays at 0 as well.
#[test]
fn a_weight_set_live_outlasts_a_reload_that_changes_the_files_weight() {
    let mut node = three();
    node.act(Verb::Weight(WeightChange::To(Weight::clamped(7))), server(2));
    assert_eq!(node.weight(2), Some(7));
    let mut changed = service("rr", 3);
    for server in changed.servers.values_mut() {
        Arc::make_mut(server).weight = Weight::clamped(3);
    }
    node.feed(Input::Model(Box::new(new_model(model(100, changed)))));
    assert_eq!([node.weight(1), node.weight(2)], [Some(3), Some(7)]);
    node.act(Verb::Weight(WeightChange::Config), server(2));
    assert_eq!(node.weight(2), Some(3));
}

#[test]
fn a_promoted_backup_takes_the_addresses_at_once_and_keeps_them_over_a_reload() {
    let mut node = three();
    node.hear(150);
    assert_eq!(node.state(), VrrpState::Backup);
    let Reply::Acted(_) = node.act(Verb::Promote { for_ms: None }, vi_1()) else {
        panic!()
    };
    assert!(node.has_vip());
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
    node.run_for(Duration::from_secs(3), &[]);
    assert!(node.has_vip());
    let Reply::Acted(_) = node.act(Verb::Release, vi_1()) else {
        panic!()
    };
    node.hear(150);
    assert!(!node.has_vip(), "a released node yields to a higher priority");
}

#[test]
fn a_promotion_ends_by_its_time() {
    let mut node = three();
    node.hear(150);
    node.act(Verb::Promote { for_ms: Some(30_000) }, vi_1());
    node.run_for(Duration::from_secs(29), &[]);
    assert!(node.has_vip());
    node.run_for(Duration::from_secs(2), &[]);
    assert_eq!(node.said(What::OverrideExpired), 1);
    node.hear(150);
    assert!(!node.has_vip());
}

#[test]
fn promote_cannot_lift_a_fault() {
    let mut start = Start::with(model(100, service("rr", 3)));
    start.net.links.values_mut().for_each(|link| link.running = false);
    let mut node = start.go();
    node.run_for(Duration::from_secs(5), &[]);
    assert_eq!(
        refused(&node.act(Verb::Promote { for_ms: None }, vi_1())),
        RefusalCode::Fault
    );
}

#[test]
fn a_demoted_master_says_goodbye_and_takes_over_only_when_nobody_else_does() {
    let mut node = three();
    assert!(node.has_vip());
    node.did.clear();
    let Reply::Acted(_) = node.act(Verb::Demote { hard: false }, vi_1()) else {
        panic!()
    };
    let farewell = node.position(|did| matches!(did, Did::Sent(advert) if advert.payload[2] == 0));
    assert!(farewell.is_some(), "no priority 0 advert");
    assert!(!node.has_vip());
    for _ in 0..6 {
        node.hear(50);
        node.run_for(Duration::from_secs(1), &[]);
    }
    assert!(!node.has_vip(), "a demoted node left a lower one alone");
    node.run_for(Duration::from_secs(6), &[]);
    assert!(node.has_vip(), "nobody serves the addresses");
}

#[test]
fn an_unknown_target_is_not_found_and_a_wrong_kind_is_said() {
    let mut node = three();
    assert_eq!(refused(&node.act(DRAIN, server(99))), RefusalCode::NotFound);
    assert_eq!(
        refused(&node.act(Verb::Promote { for_ms: None }, server(1))),
        RefusalCode::BadRequest
    );
    let zero = Verb::Weight(WeightChange::To(Weight::ZERO));
    assert_eq!(refused(&node.act(zero, server(1))), RefusalCode::BadRequest);
}

fn drain_of(last: u8, key: Option<&str>) -> Act {
    Act {
        verb: DRAIN,
        targets: vec![server(last)],
        dry_run: false,
        force: false,
        message: String::new(),
        key: key.map(str::to_owned),
    }
}

#[test]
fn f097_two_drains_at_once_do_not_empty_a_service_between_them() {
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.slow_disk = true;
    let first = node.begin(1001, drain_of(1, None));
    let second = node.begin(1002, drain_of(2, None));
    node.catch_up();
    assert!(matches!(node.replies[&first], Reply::Acted(_)));
    assert_eq!(refused(&node.replies[&second]), RefusalCode::LastServer);
    assert_eq!([node.weight(1), node.weight(2)], [Some(0), Some(1)]);
}

#[test]
fn f098_the_same_key_under_way_is_answered_with_the_one_result() {
    let mut node = three();
    node.slow_disk = true;
    let asked = [1, 2, 3].map(|_| node.begin(1001, drain_of(2, Some("k"))));
    node.catch_up();
    let ops: Vec<u64> = asked
        .iter()
        .map(|ticket| match &node.replies[ticket] {
            Reply::Acted(acted) => acted.op,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ops, [1, 1, 1]);
    assert_eq!(
        node.did
            .iter()
            .filter(|did| matches!(did, Did::Persisted))
            .count(),
        1
    );
}

#[test]
fn f098_a_key_belongs_to_its_user_and_to_one_command() {
    let mut node = three();
    let first = node.begin(1001, drain_of(2, Some("k")));
    let other_user = node.begin(1002, drain_of(3, Some("k")));
    assert!(matches!(node.replies[&first], Reply::Acted(_)));
    assert!(matches!(&node.replies[&other_user], Reply::Acted(acted) if acted.op == 2));
    assert_eq!(node.weight(3), Some(0));
    let reused = node.begin(1001, drain_of(1, Some("k")));
    assert_eq!(refused(&node.replies[&reused]), RefusalCode::Conflict);
    node.run_for(Duration::from_secs(601), &[]);
    node.act(Verb::Undrain, server(2));
    let later = node.begin(1001, drain_of(2, Some("k")));
    assert!(matches!(&node.replies[&later], Reply::Acted(acted) if acted.op > 2));
}

#[test]
fn f040_a_drain_whose_server_leaves_the_file_before_it_is_on_disk_sleeps() {
    let mut node = three();
    node.slow_disk = true;
    let asked = node.begin(1001, drain_of(3, None));
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    node.catch_up();
    assert!(node.replies.contains_key(&asked));
    assert!(node.engine.state().overrides[&server(3)].dormant.is_some());
}

#[test]
fn f085_an_override_whose_server_does_not_come_back_is_forgotten_and_said_so() {
    let mut node = three();
    node.act(DRAIN, server(3));
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 2))))));
    let written = node.disk.clone();
    let since = written[0].dormant.map(|dormant| dormant.since_wall_ms);
    assert_eq!(since, Some(1_000_000), "the disk does not say since when");
    for (days_ago, forgotten) in [(29, false), (31, true)] {
        let mut start = Start::with(model(100, service("rr", 2)));
        start.disk.clone_from(&written);
        start.wall_ms += days_ago * 24 * 3600 * 1000;
        let mut later = start.go();
        later.run_for(Duration::from_secs(1), &[]);
        assert_eq!(
            later.engine.state().overrides.is_empty(),
            forgotten,
            "{days_ago} days"
        );
        assert_eq!(later.disk.is_empty(), forgotten, "{days_ago} days");
        let told = later.position(
            |did| matches!(did, Did::Said(event) if event.what == What::OverrideExpired && event.text.contains("30 days")),
        );
        assert_eq!(told.is_some(), forgotten, "{days_ago} days");
        later.feed(Input::Model(Box::new(new_model(model(100, service("rr", 3))))));
        assert_eq!(
            later.weight(3),
            Some(if forgotten { 1 } else { 0 }),
            "{days_ago} days"
        );
    }
}

#[test]
fn promote_is_refused_beside_another_promotion() {
    let mut node = three();
    node.hear(254);
    let promote = Verb::Promote { for_ms: None };
    assert_eq!(refused(&node.act(promote, vi_1())), RefusalCode::SplitBrain);
}

#[test]
fn a_pin_of_one_member_holds_for_the_group_it_is_put_into_later() {
    let mut node = three();
    let demote = Act {
        verb: Verb::Demote { hard: true },
        targets: vec![vi_1()],
        force: true,
        ..drain_of(1, None)
    };
    assert!(matches!(node.act_with(demote), Reply::Acted(_)));
    let mut grouped = model(100, service("rr", 3));
    let other = crate::instance::v2("VI_2", 52, 100);
    grouped.instances.insert("VI_2".into(), Arc::new(other));
    let group = SyncGroup {
        name: "G".into(),
        members: vec!["VI_1".into(), "VI_2".into()],
        tracking: Default::default(),
        tracking_weight: false,
        notify: Default::default(),
    };
    grouped.groups.insert("G".into(), Arc::new(group));
    node.feed(Input::Model(Box::new(new_model(grouped))));
    node.run_for(Duration::from_secs(20), &[]);
    for name in ["VI_1", "VI_2"] {
        let view = &node.engine.state().instances[&name.into()];
        assert_eq!(
            (view.state, view.pin),
            (VrrpState::Backup, Some(Pin::DemotedHard)),
            "{name}"
        );
    }
}

#[test]
fn an_undo_takes_back_ones_own_last_change_while_it_stands() {
    let undo = || Act {
        verb: Verb::Undo,
        targets: Vec::new(),
        ..drain_of(1, None)
    };
    let mut node = three();
    assert_eq!(refused(&node.act_of(1001, undo())), RefusalCode::NotFound);
    node.act_of(1001, drain_of(1, None));
    assert_eq!(node.weight(1), Some(0));
    // Another user has nothing to take back.
    assert_eq!(refused(&node.act_of(1002, undo())), RefusalCode::NotFound);
    let tried = Act {
        dry_run: true,
        ..undo()
    };
    let Reply::Acted(tried) = node.act_of(1001, tried) else {
        panic!()
    };
    assert_eq!(tried.targets[0].change, "weight 0 -> 1");
    assert_eq!(node.weight(1), Some(0), "a dry run changed something");
    assert!(matches!(node.act_of(1001, undo()), Reply::Acted(_)));
    assert_eq!(node.weight(1), Some(1));
    // Twice is once more: the drain is back, with the reason it had.
    assert!(matches!(node.act_of(1001, undo()), Reply::Acted(_)));
    assert_eq!(node.weight(1), Some(0));
    // Somebody else changed it meanwhile.
    let undrain = Act {
        verb: Verb::Undrain,
        ..drain_of(1, None)
    };
    node.act_of(1002, undrain);
    assert_eq!(refused(&node.act_of(1001, undo())), RefusalCode::Conflict);
}

#[test]
fn an_undo_does_not_bring_back_what_would_be_over_by_now() {
    let act = |verb| Act {
        verb,
        targets: if verb == Verb::Undo {
            Vec::new()
        } else {
            vec![vi_1()]
        },
        ..drain_of(1, None)
    };
    for (later, pin) in [(30, Some(Pin::Promoted)), (90, None)] {
        let mut node = three();
        let for_ms = Some(60_000);
        for verb in [Verb::Promote { for_ms }, Verb::Release] {
            assert!(
                matches!(node.act_of(1001, act(verb)), Reply::Acted(_)),
                "{verb:?}"
            );
        }
        node.run_for(Duration::from_secs(later), &[]);
        assert!(matches!(node.act_of(1001, act(Verb::Undo)), Reply::Acted(_)));
        assert_eq!(node.view().pin, pin, "{later} s later");
    }
}

#[test]
fn an_undo_needs_the_role_of_what_it_does() {
    use lb_shared::request::Role;
    let undo = |dry_run| Act {
        verb: Verb::Undo,
        targets: Vec::new(),
        dry_run,
        ..drain_of(1, None)
    };
    let promote = Act {
        verb: Verb::Promote { for_ms: None },
        targets: vec![vi_1()],
        ..drain_of(1, None)
    };
    let mut node = three();
    // Who promoted and is no admin any more may not end it by an undo.
    assert!(matches!(node.act_of(1001, promote), Reply::Acted(_)));
    for dry_run in [true, false] {
        let reply = node.act_as(1001, Role::Operator, undo(dry_run));
        assert_eq!(refused(&reply), RefusalCode::Forbidden);
    }
    assert_eq!(node.engine.state().overrides.len(), 1, "it still stands");
    assert!(matches!(
        node.act_as(1001, Role::Admin, undo(false)),
        Reply::Acted(_)
    ));
    assert_eq!(node.engine.state().overrides.len(), 0);
    node.act_of(1001, drain_of(1, None));
    assert!(matches!(
        node.act_as(1001, Role::Operator, undo(false)),
        Reply::Acted(_)
    ));
}

#[test]
fn an_undo_has_its_time_and_the_guards_of_what_it_does() {
    let undo = || Act {
        verb: Verb::Undo,
        targets: Vec::new(),
        ..drain_of(1, None)
    };
    let mut node = Start::with(model(100, service("rr", 2))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.act_of(1001, drain_of(1, None));
    let undrain = Act {
        verb: Verb::Undrain,
        ..drain_of(1, None)
    };
    node.act_of(1001, undrain);
    // The other server is drained now: to drain this one again would empty the service.
    node.act_of(1002, drain_of(2, None));
    assert_eq!(refused(&node.act_of(1001, undo())), RefusalCode::LastServer);
    node.run_for(Duration::from_secs(601), &[]);
    assert_eq!(refused(&node.act_of(1001, undo())), RefusalCode::NotFound);
}
