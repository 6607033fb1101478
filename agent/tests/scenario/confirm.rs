//! `reload --confirm`: what nobody confirms is taken back, also by the next run.

use crate::node::{Did, Node, Start, model, new_model, service};
use lb_shared::event::{Actor, What};
use lb_shared::request::{RefusalCode, Reply};
use lb_shared::state::ConfigView;
use lbagent::config::{self, Alone, Facts, Texts};
use lbagent::engine::{FormerNote, Input, NewModel, Ticket};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Texts that differ from others of another name.
fn texts(name: &str) -> Arc<Texts> {
    let text = format!("global_defs {{\n router_id {name}\n}}\n");
    let loaded = config::load(&Alone(&text), "k.conf", &Facts::default());
    Arc::new(Texts::of(loaded.sources))
}

/// A model with so many servers, from texts of its own.
fn file(servers: u8) -> NewModel {
    NewModel {
        texts: texts(&servers.to_string()),
        ..new_model(model(100, service("rr", servers)))
    }
}

fn tried(servers: u8) -> NewModel {
    NewModel {
        confirm: Some(MINUTE),
        ..file(servers)
    }
}

/// A node that runs with one server.
fn started() -> Node {
    let mut node = Start::with(model(100, service("rr", 1))).go();
    node.run_for(Duration::from_secs(10), &[]);
    node.feed(Input::Model(Box::new(file(1))));
    node.run_for(Duration::from_secs(1), &[]);
    node.did.clear();
    node
}

fn config(node: &Node) -> &ConfigView {
    &node.engine.state().agent.config
}

fn servers(node: &Node) -> usize {
    (1..=4).filter(|last| node.weight(*last).is_some()).count()
}

fn confirm(node: &mut Node) -> Option<Reply> {
    node.next_ticket += 1;
    let ticket = Ticket(node.next_ticket);
    node.feed(Input::Confirm(ticket, Actor::default()));
    node.replies.remove(&ticket)
}

fn refused(reply: Option<Reply>) -> RefusalCode {
    match reply {
        Some(Reply::Refused(refusal)) => refusal.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_confirms_is_taken_back_to_the_second() {
    let mut node = started();
    let ticket = node.reload(tried(3));
    let Some(Reply::Reloaded(reloaded)) = node.replies.remove(&ticket) else {
        panic!("{:?}", node.replies)
    };
    assert_eq!((reloaded.confirm_within_ms, reloaded.revision), (Some(60_000), 3));
    assert!(config(&node).unconfirmed.is_some() && node.said(What::Unconfirmed) == 1);
    assert_eq!(servers(&node), 3);
    node.run_for(MINUTE - Duration::from_millis(1), &[]);
    assert_eq!(servers(&node), 3, "it was taken back too early");
    node.run_for(Duration::from_millis(1), &[]);
    assert_eq!(servers(&node), 1);
    let view = config(&node);
    assert_eq!(view.unconfirmed, None);
    let text = view.restored.clone().expect("status says why");
    assert_eq!(
        text,
        "r3 was not confirmed within 1m00s: r2 is in force again, as r4"
    );
    assert_eq!(node.said(What::Restored), 1);
    assert!(node.has_vip(), "and the mastership was not given away for it");
    // The file still has it: the next start must know.
    assert!(node.former.as_ref().is_some_and(|it| it.note.restored));
    assert_eq!(refused(confirm(&mut node)), RefusalCode::Conflict);
    // Loading the file again, on purpose, ends that.
    node.reload(file(2));
    assert!(config(&node).restored.is_none() && node.former.is_none());
    assert_eq!(servers(&node), 2);
}

#[test]
fn what_is_confirmed_in_time_stays() {
    let mut node = started();
    node.reload(tried(3));
    node.run_for(MINUTE / 2, &[]);
    let reply = confirm(&mut node);
    assert!(
        matches!(&reply, Some(Reply::Reloaded(it)) if it.revision == 3),
        "{reply:?}"
    );
    assert!(node.former.is_none() && config(&node).unconfirmed.is_none());
    assert_eq!(node.said(What::Confirmed), 1);
    node.run_for(MINUTE * 2, &[]);
    assert_eq!((servers(&node), node.said(What::Restored)), (3, 0));
    assert_eq!(refused(confirm(&mut node)), RefusalCode::Conflict, "twice");
}

#[test]
fn a_confirmation_counts_from_when_it_came_even_if_the_disk_is_slow() {
    let mut node = started();
    node.reload(tried(3));
    node.run_for(MINUTE - Duration::from_secs(1), &[]);
    node.slow_disk = true;
    assert_eq!(confirm(&mut node), None, "no answer before the disk has it");
    node.run_for(MINUTE, &[]);
    assert_eq!(servers(&node), 3);
    node.slow_disk = false;
    node.catch_up();
    assert_eq!((servers(&node), node.said(What::Confirmed)), (3, 1));
}

#[test]
fn nothing_comes_into_force_before_the_disk_has_the_way_back() {
    let mut node = started();
    node.slow_disk = true;
    let ticket = node.reload(tried(3));
    assert!(servers(&node) == 1 && node.replies.is_empty());
    let busy = node.reload(file(2));
    assert_eq!(refused(node.replies.remove(&busy)), RefusalCode::Busy);
    node.slow_disk = false;
    node.catch_up();
    assert!(servers(&node) == 3 && node.replies.contains_key(&ticket));

    let mut node = started();
    node.disk_works = false;
    let ticket = node.reload(tried(3));
    assert_eq!(refused(node.replies.remove(&ticket)), RefusalCode::Disk);
    assert_eq!((servers(&node), config(&node).revision), (1, 2));
    node.run_for(MINUTE * 2, &[]);
    assert_eq!(node.said(What::Restored), 0);
}

#[test]
fn another_reload_is_refused_and_another_one_to_confirm_replaces_it() {
    let mut node = started();
    node.reload(tried(3));
    let plain = node.reload(file(2));
    assert_eq!(refused(node.replies.remove(&plain)), RefusalCode::Conflict);
    node.feed(Input::Model(Box::new(file(2))));
    assert_eq!(
        node.said(What::ReloadRefused),
        1,
        "a signal is refused for all to see"
    );
    assert_eq!(servers(&node), 3);
    node.plan(model(100, service("rr", 2)));
    node.run_for(MINUTE / 2, &[]);
    node.reload(tried(4));
    assert_eq!(servers(&node), 4);
    node.run_for(MINUTE - Duration::from_secs(1), &[]);
    assert_eq!(servers(&node), 4, "it has a minute of its own");
    node.run_for(Duration::from_secs(1), &[]);
    assert_eq!(servers(&node), 1, "back to the last one that was confirmed");
}

#[test]
fn spans_that_make_no_sense_are_refused() {
    let mut node = started();
    for span in [Duration::from_millis(999), Duration::from_secs(86_401)] {
        let ticket = node.reload(NewModel {
            confirm: Some(span),
            ..file(3)
        });
        assert_eq!(refused(node.replies.remove(&ticket)), RefusalCode::BadRequest);
    }
    assert!(node.did.iter().all(|did| !matches!(did, Did::Ipvs(_))));
}

fn note() -> FormerNote {
    FormerNote {
        at_wall_ms: 1_000_000,
        until_wall_ms: 1_060_000,
        actor: Actor::default(),
        tried: texts("3").fingerprint(),
        restored: false,
    }
}

/// A start at this wall time with `on_disk` servers in the file, and one in the configuration to go back to.
fn restart(wall_ms: u64, on_disk: u8, note: FormerNote) -> Node {
    let mut start = Start::with(model(100, service("rr", on_disk)));
    start.texts = texts(&on_disk.to_string());
    start.wall_ms = wall_ms;
    start.former = Some((file(1), note));
    let mut node = start.go();
    node.run_for(Duration::from_millis(500), &[]);
    node
}

#[test]
fn a_killed_agent_goes_on_with_what_is_left_of_the_time() {
    let mut node = restart(1_040_000, 3, note());
    assert!(config(&node).unconfirmed.is_some() && node.said(What::Unconfirmed) == 1);
    node.run_for(Duration::from_secs(19), &[]);
    assert_eq!(servers(&node), 3);
    node.run_for(Duration::from_secs(1), &[]);
    assert_eq!((servers(&node), node.said(What::Restored)), (1, 1));
    assert!(node.former.as_ref().is_some_and(|it| it.note.restored));
    let mut node = restart(1_040_000, 3, note());
    assert!(
        matches!(confirm(&mut node), Some(Reply::Reloaded(_))),
        "it can still be confirmed"
    );
    node.run_for(MINUTE, &[]);
    assert_eq!(servers(&node), 3);
}

#[test]
fn a_start_after_the_time_begins_with_the_former_one_and_so_does_the_next() {
    let node = restart(1_060_000, 3, note());
    assert_eq!((servers(&node), node.said(What::Restored)), (1, 1));
    let kept = node.former.expect("it is noted").note;
    assert!(kept.restored);
    let next = restart(9_000_000, 3, kept.clone());
    assert_eq!((servers(&next), next.said(What::Restored)), (1, 1));
    // The file was changed since then: it counts again.
    let next = restart(9_000_000, 2, kept);
    assert_eq!((servers(&next), next.said(What::Restored)), (2, 0));
}

#[test]
fn a_clock_that_was_stepped_back_never_makes_it_longer() {
    let mut node = restart(400_000, 3, note());
    node.run_for(MINUTE, &[]);
    assert_eq!((servers(&node), node.said(What::Restored)), (1, 1));
}
