//! Looking back: at a moment of the last quarter of an hour, and at how one server's checks ended.

use super::Bench;
use super::golden::{SIZES, picture};
use crate::app::{Failure, Msg, News};
use lb_shared::client::Update;
use lb_shared::fixture;
use lb_shared::history::{CheckEnd, CheckRun, History, HistoryRow, Past, Sample, SampleState, ServerWord};
use lb_shared::request::{Refusal, RefusalCode, Reply, Request};
use lb_shared::state::{ObjectId, VrrpState};
use std::sync::Arc;
use std::time::Duration;

/// Three seconds after the script failed, one before the instance fell.
fn fell(wall_ms: u64) -> Past {
    let demo = fixture::demo();
    let mut snapshot = demo.snapshot;
    let back = Duration::from_millis(fixture::NOW_MS - wall_ms);
    snapshot.now = snapshot.now - back;
    snapshot.wall_ms = wall_ms;
    snapshot.state.overrides.clear();
    let it = Arc::make_mut(snapshot.state.instances.get_mut(&"VI_int".into()).unwrap());
    it.state = VrrpState::Master;
    it.since = snapshot.now - Duration::from_secs(3_600);
    it.master = None;
    Past {
        snapshot,
        counters: Some(demo.counters),
    }
}

/// The moment that was asked for, and its answer.
fn travel(bench: &mut Bench) -> u64 {
    let (ticket, asked) = bench.asked().pop().unwrap();
    let Request::Past { wall_ms } = asked else {
        panic!("{asked:?}");
    };
    let past = Reply::Past(Box::new(fell(wall_ms)));
    bench.send(Msg::Answer(ticket, Ok(Box::new(past))));
    // What happened within a millisecond is in the state of the next one.
    wall_ms - 1
}

#[test]
fn the_past_is_as_drawn() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        // The events before the drain: DOWN of a server, then the fall.
        for key in ["[", "[", "["] {
            bench.keys(key);
            travel(&mut bench);
        }
        bench.keys("j j");
        picture("past", (width, height), bench.picture());
    }
}

#[test]
fn one_goes_back_by_events_and_minutes_and_comes_back_to_now() {
    let mut bench = Bench::demo(80, 24);
    let now_ms = fixture::NOW_MS;
    bench.keys("[");
    let drained = bench.app.live().unwrap().events.back().unwrap().wall_ms;
    assert_eq!(travel(&mut bench), drained);
    bench.keys("{");
    assert_eq!(travel(&mut bench), drained - 60_000);
    bench.keys("}");
    assert_eq!(travel(&mut bench), drained);
    // There is no event after it: that is now.
    bench.keys("]");
    assert!(bench.asked().is_empty());
    assert!(bench.app.past.is_none());
    assert!(bench.picture().contains("LIVE"), "{}", bench.picture());
    bench.keys(":").keys("at Space 5m Enter");
    let asked = travel(&mut bench);
    assert!((now_ms - 300_000..now_ms - 297_000).contains(&asked), "{asked}");
    bench.keys("0");
    assert!(bench.app.past.is_none());
}

#[test]
fn no_further_than_the_agent_remembers() {
    let mut bench = Bench::demo(80, 24);
    bench.keys(":").keys("at Space 2h Enter");
    let asked = travel(&mut bench);
    assert!(asked >= fixture::NOW_MS - 15 * 60_000, "{asked}");
    assert!(
        bench.picture().contains("remembers 15 minutes"),
        "{}",
        bench.picture()
    );
}

#[test]
fn an_event_is_gone_to_by_its_number() {
    let mut bench = Bench::demo(80, 24);
    bench.keys(":").keys("at Space seq Space 1185 Enter");
    let fell = bench.app.live().unwrap().find(1_185).unwrap().wall_ms;
    assert_eq!(travel(&mut bench), fell);
    bench.keys(":").keys("at Space seq Space 7 Enter");
    assert!(
        bench.picture().contains("there is no event 7"),
        "{}",
        bench.picture()
    );
}

#[test]
fn on_the_events_one_goes_to_the_selected_one() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("4 j T");
    let wanted = *bench.app.events.current().unwrap();
    let wanted = bench.app.live().unwrap().find(wanted.seq).unwrap().wall_ms;
    assert_eq!(travel(&mut bench), wanted);
}

#[test]
fn nothing_can_be_changed_in_the_past_and_what_goes_on_is_kept() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("[");
    travel(&mut bench);
    bench.keys("3 d");
    assert!(bench.asked().is_empty());
    assert!(
        bench.picture().contains("this is the past"),
        "{}",
        bench.picture()
    );
    let mut later = fixture::demo().snapshot;
    later.state.agent.host = "renamed".into();
    bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(later)))));
    assert!(!bench.picture().contains("renamed"));
    bench.keys("0");
    assert!(bench.picture().contains("renamed"), "{}", bench.picture());
}

#[test]
fn an_agent_that_cannot_tell_leaves_the_picture_as_it_is() {
    let mut bench = Bench::demo(80, 24);
    let no = Refusal::new(RefusalCode::UnknownOp, "this agent keeps no past", "");
    let gone = Failure {
        message: "the agent closed the connection".into(),
        hint: String::new(),
    };
    for (answer, said) in [
        (Ok(Box::new(Reply::Refused(no))), "keeps no past"),
        (Err(gone), "closed the connection"),
    ] {
        bench.keys("{");
        let (ticket, _) = bench.asked().pop().unwrap();
        bench.send(Msg::Answer(ticket, answer));
        assert!(bench.picture().contains(said), "{}", bench.picture());
        assert!(bench.app.past.is_none());
    }
}

/// A server whose check passed, then failed, every five seconds.
fn history(object: ObjectId) -> History {
    let at = |seconds: u64| fixture::NOW - Duration::from_secs(seconds);
    let runs = (0..60u64).map(|nth| {
        let failed = nth >= 45 || (20..22).contains(&nth);
        CheckRun {
            at: at(5 * (60 - nth)),
            check: 0,
            ended: if failed {
                CheckEnd::Failed
            } else {
                CheckEnd::Passed
            },
            took_us: if nth == 44 {
                3_000_000
            } else {
                2_000 + 100 * (nth % 7)
            },
            why: if failed {
                "status 503".into()
            } else {
                String::new()
            },
        }
    });
    let sample = |nth: u64| Sample {
        state: SampleState::Server(ServerWord::Up),
        weight: 100,
        active: if nth < 22 { 4_000 + 100 * (nth % 3) } else { 0 },
        inactive: 0,
        connections_per_s: if nth < 22 { 100 } else { 0 },
        bytes_in_per_s: 0,
        bytes_out_per_s: 0,
        check_us: None,
    };
    History {
        step_ms: 10_000,
        now: fixture::NOW,
        wall_ms: fixture::NOW_MS,
        at: (0..30).map(|nth| at(10 * (30 - nth))).collect(),
        rows: vec![HistoryRow {
            object,
            samples: (0..30).map(|nth| Some(sample(nth))).collect(),
            checks: runs.collect(),
        }],
    }
}

#[test]
fn an_open_server_shows_how_its_checks_ended() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys("3 / 100.25:443 Enter Enter");
        let (ticket, asked) = bench.asked_all().pop().unwrap();
        let Request::History(ask) = asked else {
            panic!("{asked:?}");
        };
        assert!(ask.checks && ask.objects.len() == 1, "{ask:?}");
        let history = history(ask.objects[0].clone());
        bench.send(Msg::Answer(
            ticket,
            Ok(Box::new(Reply::History(Box::new(history)))),
        ));
        bench.keys("j j j j j j j j");
        picture("server-checks", (width, height), bench.picture());
        // Asked again after a while, and no more once it is closed.
        bench.asked_all();
        bench.pass(Duration::from_secs(4));
        bench.pass(Duration::from_secs(2));
        assert_eq!(bench.asked_all().len(), 1);
        bench.keys("Esc");
        bench.pass(Duration::from_secs(4));
        bench.pass(Duration::from_secs(4));
        assert!(bench.asked_all().is_empty());
    }
}
