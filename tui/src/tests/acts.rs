//! What keys do: which requests they lead to, and when they lead to none.

use super::Bench;
use super::keys::type_line;
use crate::app::{Failure, Msg, News};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::event::{Change, Event, Numbered, What};
use lb_shared::fixture;
use lb_shared::request::{Act, Acted, Outcome, Reply, Request, Role, TargetReport, Verb, WeightChange};
use lb_shared::state::{Admin, DrainThen, Object, ObjectId, Target};
use lb_shared::trial::{TestEnd, Tested, TestedCheck, TestedServer};
use lb_shared::units::Weight;
use std::sync::Arc;
use std::time::Duration;

fn server(text: &str) -> Target {
    Target::Server(text.parse().unwrap())
}

fn act(request: Request) -> Act {
    match request {
        Request::Act(act) | Request::ActIf(act, _) => act,
        other => panic!("{other:?} is no act"),
    }
}

/// The agent would do it.
pub(super) fn agree(bench: &mut Bench) {
    let (ticket, request) = bench.asked().pop().expect("a dry run was asked");
    let act = act(request);
    assert!(act.dry_run);
    let targets = act.targets.into_iter().map(|target| TargetReport {
        target,
        outcome: Outcome::Done,
        change: String::new(),
        active: None,
    });
    let reply = Reply::Acted(Acted {
        dry_run: true,
        op: 1,
        targets: targets.collect(),
        effects: Vec::new(),
        warnings: Vec::new(),
    });
    bench.send(Msg::Answer(ticket, Ok(Box::new(reply))));
}

#[test]
fn a_server_drains_after_four_keys_and_the_confirmation() {
    let mut bench = Bench::demo(80, 24);
    // `web/198.51.100.25` is down and first; two further is one that works.
    bench.keys("3 G d");
    agree(&mut bench);
    bench.keys("Enter");
    let act = act(bench.asked().pop().unwrap().1);
    assert!(!act.dry_run && !act.force && act.key.is_some());
    assert_eq!(
        act.verb,
        Verb::Drain {
            timeout_ms: Some(600_000),
            then: DrainThen::Keep,
            inactive: false,
        }
    );
    assert_eq!(
        act.targets,
        [server("[2001:db8:10::443]:443/tcp/[2001:db8:20::4]:443")]
    );
}

#[test]
fn a_dialog_that_just_opened_takes_no_key() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G d");
    agree(&mut bench);
    let mut typed_ahead = Bench::demo(80, 24);
    typed_ahead.keys("3 G");
    typed_ahead.code(KeyCode::Char('d'));
    agree(&mut typed_ahead);
    typed_ahead.code(KeyCode::Enter);
    assert_eq!(typed_ahead.asked(), []);
    typed_ahead.keys("Enter");
    assert_eq!(typed_ahead.asked().len(), 1);
}

#[test]
fn several_marked_servers_need_a_second_look() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 / svc:api Enter V d");
    agree(&mut bench);
    // The first Enter is on Cancel.
    bench.keys("Enter");
    assert_eq!(bench.asked(), []);
    assert!(bench.app.dialog.is_none());
    bench.keys("d");
    agree(&mut bench);
    bench.keys("BackTab Enter");
    let act = act(bench.asked().pop().unwrap().1);
    assert_eq!((act.targets.len(), act.dry_run), (4, false));
}

#[test]
fn a_promote_needs_its_name() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("j j P");
    agree(&mut bench);
    bench.keys("Enter VI_in Enter");
    assert_eq!(bench.asked(), []);
    bench.keys("t Enter");
    let act = act(bench.asked().pop().unwrap().1);
    assert_eq!(act.verb, Verb::Promote { for_ms: None });
    assert_eq!(act.targets, [Target::Instance("VI_int".into())]);
}

#[test]
fn the_fields_of_a_dialog_reach_the_agent() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G d");
    agree(&mut bench);
    // Deadline, then, reason; each is reached from the button by going on.
    bench.keys("Tab Tab Backspace Backspace Backspace 5m Tab Space");
    agree(&mut bench);
    bench.keys("Tab");
    bench.send(Msg::Paste("kernel\nupdate".into()));
    bench.keys("Enter");
    let act = act(bench.asked().pop().unwrap().1);
    assert_eq!(act.message, "kernelupdate");
    assert_eq!(
        act.verb,
        Verb::Drain {
            timeout_ms: Some(300_000),
            then: DrainThen::Undrain,
            inactive: false,
        }
    );
}

#[test]
fn a_weight_is_tried_as_it_is_typed() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G w");
    assert_eq!(bench.asked(), [], "an empty weight is no question");
    bench.keys("5");
    agree(&mut bench);
    bench.keys("0");
    let asked = bench.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        act(asked[0].1.clone()).verb,
        Verb::Weight(WeightChange::To(Weight::clamped(50)))
    );
    bench.keys("x");
    assert_eq!(bench.asked(), []);
    assert!(bench.picture().contains("'50x' is no weight"));
    bench.keys("Enter");
    assert_eq!(bench.asked(), []);
}

#[test]
fn a_late_answer_to_an_older_question_is_not_believed() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G w 5 0");
    let asked = bench.asked();
    let refusal = lb_shared::request::Refusal::new(lb_shared::request::RefusalCode::Quorum, "no", "");
    bench.send(Msg::Answer(asked[0].0, Ok(Box::new(Reply::Refused(refusal)))));
    assert!(!bench.picture().contains("Refused"));
}

#[test]
fn force_is_a_typed_command_and_a_typed_name() {
    let mut bench = Bench::demo(80, 24);
    bench.keys(":");
    for c in "drain web/198.51.100.21 --force -m \"both of them\"".chars() {
        bench.code(KeyCode::Char(c));
    }
    bench.keys("Enter");
    agree(&mut bench);
    bench.keys("Enter");
    assert_eq!(bench.asked(), []);
    bench.keys("web Enter");
    let act = act(bench.asked().pop().unwrap().1);
    assert!(act.force);
    assert_eq!(act.message, "both of them");
}

#[test]
fn a_reload_is_tried_first() {
    let mut bench = Bench::demo(80, 24);
    bench.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
    let asked = bench.asked();
    assert_eq!(
        asked[0].1,
        Request::Reload {
            dry_run: true,
            force: false
        }
    );
    let plan = lb_shared::request::Reloaded {
        confirm_within_ms: None,
        cut: Default::default(),
        dry_run: true,
        revision: 18,
        changes: vec!["+ vs:203.0.113.12:443/tcp".into()],
        findings: Vec::new(),
        moves: Vec::new(),
    };
    bench.send(Msg::Answer(asked[0].0, Ok(Box::new(Reply::Reloaded(plan)))));
    bench.keys("Enter");
    assert_eq!(
        bench.asked()[0].1,
        Request::Reload {
            dry_run: false,
            force: false
        }
    );
}

/// Every acting key on every screen, with Enter after it.
fn act_everywhere(bench: &mut Bench) -> Vec<(u64, Request)> {
    for screen in ["1", "2", "2 Tab", "3", "4", "5"] {
        for key in [
            "d",
            "u",
            "w",
            "x",
            "t",
            "P",
            "D",
            "R",
            ": reload Enter",
            ": undo Enter",
            ": drain web Enter",
        ] {
            bench.keys(screen).keys(key).keys("Enter Enter Esc Esc Esc");
        }
        bench.send(Msg::Key(KeyEvent::new(KeyCode::Char('r'), KeyModifiers::CONTROL)));
        bench.keys("Enter Esc");
    }
    bench.asked()
}

#[test]
fn viewers_read_only_and_small_terminals_send_nothing() {
    let mut viewer = fixture::demo();
    viewer.snapshot.role = Some(Role::Viewer);
    assert_eq!(act_everywhere(&mut Bench::of(viewer, 80, 24)), []);
    let mut read_only = Bench::demo(80, 24);
    read_only.app.read_only = true;
    assert_eq!(act_everywhere(&mut read_only), []);
    assert_eq!(act_everywhere(&mut Bench::demo(79, 24)), []);
    assert_eq!(act_everywhere(&mut Bench::empty(80, 24)), []);
}

#[test]
fn a_silent_agent_gets_no_orders() {
    let mut bench = Bench::demo(80, 24);
    bench.at += Duration::from_secs(5);
    bench.send(Msg::Tick);
    bench.code(KeyCode::Char('3')).code(KeyCode::Char('d'));
    assert_eq!(bench.asked(), []);
    assert!(bench.app.note.as_ref().unwrap().0.contains("does not answer"));
    // It answers again.
    bench.keys("3 G d");
    assert_eq!(bench.asked().len(), 1);
}

#[test]
fn a_question_ends_when_its_server_changes() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G d");
    agree(&mut bench);
    let id = "[2001:db8:10::443]:443/tcp/[2001:db8:20::4]:443".parse().unwrap();
    let mut view = bench.app.data.as_ref().unwrap().state.servers[&id].clone();
    Arc::make_mut(&mut view).admin = Admin::Disabled;
    let event = Numbered {
        seq: 1_188,
        wall_ms: fixture::NOW_MS,
        event: Event {
            what: What::OverrideSet,
            object: ObjectId::Server(id),
            text: "disabled".into(),
            why: None,
            actor: None,
            at: fixture::NOW,
            changes: vec![Change::Put(Object::Server(view))],
        },
    };
    bench.send(Msg::Link(News::Update(Update::Event(Box::new(event)))));
    bench.keys("Enter");
    assert_eq!(bench.asked(), []);
    let note = bench.app.note.clone().unwrap().0;
    assert_eq!(
        note,
        "nothing was done: web6/[2001:db8:20::4]:443: state is off by now, not up"
    );
}

#[test]
fn a_change_of_order_does_not_move_another_server_under_the_key() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 s j j");
    let seen = bench.app.subject();
    bench.keys("s s S d");
    agree(&mut bench);
    let Some(ObjectId::Server(id)) = seen else {
        panic!("no server under the cursor");
    };
    assert_eq!(bench.app.dialog.as_ref().unwrap().targets, [Target::Server(id)]);
}

#[test]
fn a_lost_answer_says_that_it_may_have_been_done() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G d");
    agree(&mut bench);
    bench.keys("Enter");
    let (ticket, _) = bench.asked().pop().unwrap();
    let failure = Failure {
        message: "the agent closed the connection".into(),
        hint: String::new(),
    };
    bench.send(Msg::Answer(ticket, Err(failure)));
    assert!(bench.picture().contains("may have been done nevertheless"));
}

#[test]
fn the_wrong_kind_of_row_says_so() {
    let mut bench = Bench::demo(80, 24);
    for (keys, words) in [
        ("1 d", "takes a server"),
        ("2 d", "Tab goes to them"),
        ("3 P", "takes an instance"),
    ] {
        bench.keys(keys);
        let note = bench.app.note.clone().map(|(note, _)| note).unwrap_or_default();
        assert!(note.contains(words), "{keys}: {note}");
    }
    assert_eq!(bench.asked(), []);
}

#[test]
fn a_test_runs_the_checks_at_once_and_shows_how_they_ended() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G t");
    let (ticket, request) = bench.asked().pop().unwrap();
    let Request::Test(ask) = request else {
        panic!("{request:?}");
    };
    assert_eq!((ask.servers.len(), ask.dry_run), (1, false));
    let check = |end, detail: &str| TestedCheck {
        kind: "HTTP_GET".into(),
        target: "[2001:db8:20::4]:443 /healthz".into(),
        end,
        took_us: Some(2_100),
        detail: detail.into(),
        weight: None,
    };
    let tested = Tested {
        dry_run: false,
        servers: vec![TestedServer {
            server: ask.servers[0].clone(),
            checks: vec![
                check(TestEnd::Passed, ""),
                check(TestEnd::Failed, "status 503, want 200-299"),
            ],
        }],
    };
    bench.send(Msg::Answer(ticket, Ok(Box::new(Reply::Tested(tested)))));
    super::golden::picture("test", (80, 24), bench.picture());
    // Once more, then away.
    bench.keys("t");
    assert_eq!(bench.asked().len(), 1);
    bench.keys("Esc d");
    assert!(bench.app.trial.is_none());
    assert_eq!(bench.asked().len(), 1, "keys reach the list again");
}

#[test]
fn an_undo_is_asked_like_any_change() {
    let mut bench = Bench::demo(80, 24);
    type_line(&mut bench, "undo");
    let (ticket, request) = bench.asked().pop().unwrap();
    let asked = act(request);
    assert_eq!(
        (asked.verb, asked.dry_run, asked.targets.len()),
        (Verb::Undo, true, 0)
    );
    let report = TargetReport {
        target: server("203.0.113.10:443/tcp/198.51.100.24:443"),
        outcome: Outcome::Done,
        change: "weight 0 -> 100".into(),
        active: None,
    };
    let reply = Reply::Acted(Acted {
        dry_run: true,
        op: 1,
        targets: vec![report],
        effects: Vec::new(),
        warnings: Vec::new(),
    });
    bench.send(Msg::Answer(ticket, Ok(Box::new(reply))));
    assert!(
        bench.picture().contains("Undo your last change on lb1"),
        "{}",
        bench.picture()
    );
    bench.keys("Enter");
    assert!(!act(bench.asked().pop().unwrap().1).dry_run);
}

#[test]
fn an_act_is_sent_with_what_was_seen_and_a_conflict_says_what_is_true_by_now() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("2 j Tab j j d");
    let (_, tried) = bench.asked_all().pop().unwrap();
    bench.keys("Esc d");
    agree(&mut bench);
    bench.keys("Enter");
    let (ticket, done) = bench.asked().pop().unwrap();
    for request in [tried, done] {
        let Request::ActIf(act, seen) = request else {
            panic!("{request:?} expects nothing")
        };
        assert_eq!(seen.len(), act.targets.len());
        assert_eq!(seen[0].target, act.targets[0]);
        let facts = &seen[0].facts;
        assert_eq!(
            (facts.state.as_deref(), facts.weight, facts.change.as_deref()),
            (Some("up"), Some(100), Some("none"))
        );
    }
    let refusal = lb_shared::request::Refusal::new(
        lb_shared::request::RefusalCode::Conflict,
        "web/198.51.100.23:443: weight is 50 by now, not 100",
        "nothing was changed: look again, then decide",
    );
    bench.send(Msg::Answer(ticket, Ok(Box::new(Reply::Refused(refusal)))));
    let picture = bench.picture();
    assert!(picture.contains("weight is 50 by now, not 100"), "{picture}");
    assert!(picture.contains("[ Close ]"), "{picture}");
    bench.keys("Enter");
    assert!(bench.app.dialog.is_none());
    assert_eq!(bench.asked(), []);
    // What changes while the question is open closes it: here an instance whose priority moved.
    bench.keys("1 j j P");
    let Some((_, Request::ActIf(_, seen))) = bench.asked_all().pop() else {
        panic!("nothing was asked")
    };
    assert_eq!(seen[0].facts.priority, Some(130));
    let mut view = bench.app.data.as_ref().unwrap().state.instances[&"VI_int".into()].clone();
    Arc::make_mut(&mut view).effective_priority = 120;
    let event = Numbered {
        seq: 1_189,
        wall_ms: fixture::NOW_MS,
        event: Event {
            what: What::PriorityChanged,
            object: ObjectId::Instance("VI_int".into()),
            text: "130 -> 120".into(),
            why: None,
            actor: None,
            at: fixture::NOW,
            changes: vec![Change::Put(Object::Instance(view))],
        },
    };
    bench.send(Msg::Link(News::Update(Update::Event(Box::new(event)))));
    let note = bench.app.note.clone().unwrap().0;
    assert_eq!(note, "nothing was done: VI_int: priority is 120 by now, not 130");
}
