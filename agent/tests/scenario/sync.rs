//! Connections copied to the other director: the daemons follow the instance.

use crate::node::{Did, Node, Start, model, new_model, service};
use lb_shared::event::What;
use lbagent::engine::{Input, StopMode};
use lbagent::ipvs::IpvsOp;
use lbagent::ipvs::table::{SyncDaemon, SyncRole};
use lbagent::model::{Model, SyncSettings};
use std::time::Duration;

fn copying(ttl: u8) -> Model {
    let mut model = model(100, service("rr", 1));
    model.global.sync_daemon = Some(SyncSettings {
        interface: "eth0".into(),
        instance: Some("VI_1".into()),
        id: 51,
        maxlen: 0,
        port: 0,
        ttl,
        group: None,
    });
    model
}

fn foreign() -> SyncDaemon {
    SyncDaemon {
        interface: "eth9".into(),
        id: 9,
        maxlen: 1472,
        port: 8848,
        ttl: 1,
        group: None,
    }
}

/// What was done to the daemons since the last look.
fn turns(node: &mut Node) -> Vec<String> {
    let did = std::mem::take(&mut node.did);
    did.iter()
        .filter_map(|it| match it {
            Did::Ipvs(op @ (IpvsOp::StartSync(..) | IpvsOp::StopSync(_))) => Some(op.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_backup_takes_and_the_master_sends() {
    let mut node = Start::with(copying(0)).go();
    assert_eq!(turns(&mut node), ["start the backup sync daemon on eth0, id 51"]);
    node.run_for(Duration::from_secs(5), &[]);
    assert!(node.has_vip());
    let both = [
        "stop the backup sync daemon",
        "start the master sync daemon on eth0, id 51",
    ];
    assert_eq!(turns(&mut node), both);
    let view = node.engine.state().agent.sync.clone().expect("it is configured");
    assert!(view.sends && !view.takes, "{view:?}");
    node.run_for(Duration::from_secs(30), &[]);
    assert!(turns(&mut node).is_empty(), "an audit finds nothing to do");
    node.hear(200);
    let back = [
        "stop the master sync daemon",
        "start the backup sync daemon on eth0, id 51",
    ];
    assert_eq!(turns(&mut node), back);
    node.feed(Input::Stop(StopMode::default()));
    node.run_for(Duration::from_secs(1), &[]);
    assert_eq!(turns(&mut node), ["stop the backup sync daemon"]);
}

#[test]
fn a_hand_over_leaves_the_daemon_and_the_next_start_takes_it_as_it_is() {
    let mut node = Start::with(copying(0)).go();
    node.run_for(Duration::from_secs(5), &[]);
    turns(&mut node);
    node.feed(Input::Stop(StopMode {
        hand_over: true,
        ..StopMode::default()
    }));
    assert!(turns(&mut node).is_empty());
    let mut start = Start::with(copying(0));
    start.ipvs = node.ipvs.clone();
    if let Some(table) = &mut start.ipvs {
        // As the kernel lists one it runs: with its own values where none were asked for.
        let daemon = table.daemons.remove(&SyncRole::Master).expect("it runs");
        let shown = SyncDaemon {
            maxlen: 1472,
            port: 8848,
            ttl: 1,
            group: Some("224.0.0.81".parse().expect("an address")),
            ..daemon
        };
        table.daemons.insert(SyncRole::Backup, shown);
    }
    let mut next = start.go();
    assert!(turns(&mut next).is_empty());
}

#[test]
fn a_reload_restarts_it_only_for_other_values_and_ends_it_with_its_line() {
    let mut node = Start::with(copying(0)).go();
    turns(&mut node);
    node.feed(Input::Model(Box::new(new_model(copying(0)))));
    assert!(turns(&mut node).is_empty());
    node.feed(Input::Model(Box::new(new_model(copying(3)))));
    assert_eq!(
        turns(&mut node),
        [
            "stop the backup sync daemon",
            "start the backup sync daemon on eth0, id 51"
        ]
    );
    // The kernel brings a length into its own bounds: what it has then says nothing of what was wanted.
    let longer = || {
        let mut model = copying(3);
        model
            .global
            .sync_daemon
            .as_mut()
            .expect("it is configured")
            .maxlen = 1_400;
        Input::Model(Box::new(new_model(model)))
    };
    node.feed(longer());
    assert_eq!(turns(&mut node).len(), 2);
    node.feed(longer());
    assert!(turns(&mut node).is_empty());
    node.feed(Input::Model(Box::new(new_model(model(100, service("rr", 1))))));
    assert_eq!(turns(&mut node), ["stop the backup sync daemon"]);
    assert_eq!(node.engine.state().agent.sync, None);
}

#[test]
fn daemons_of_others_stay_where_none_is_configured() {
    let mut start = Start::with(model(100, service("rr", 1)));
    if let Some(table) = &mut start.ipvs {
        table.daemons.insert(SyncRole::Master, foreign());
    }
    let mut node = start.go();
    node.run_for(Duration::from_secs(30), &[]);
    assert!(turns(&mut node).is_empty());
}

#[test]
fn one_that_the_kernel_refuses_is_told_once_and_tried_again() {
    let mut node = Start::with(copying(0)).go_with(|node| {
        node.refuses_ipvs = |op| matches!(op, IpvsOp::StartSync(..));
    });
    node.run_for(Duration::from_secs(60), &[]);
    let told = node.said(What::KernelRefused);
    assert!((1..=2).contains(&told), "told {told} times");
    let tries = turns(&mut node).len();
    assert!((3..40).contains(&tries), "{tries} tries in a minute");
    assert!(!node.engine.state().agent.kernel_trouble.is_empty());
    node.refuses_ipvs = |_| false;
    node.run_for(Duration::from_secs(20), &[]);
    assert!(node.ipvs.as_ref().is_some_and(|it| it.daemons.len() == 1));
    assert!(node.engine.state().agent.kernel_trouble.is_empty());
}
