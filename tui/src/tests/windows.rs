//! What goes over the connection: the first screen before the rest, the numbers that are seen, and nothing twice.

use super::Bench;
use super::golden::SIZES;
use crate::app::{Cmd, Msg, News, STALE_AFTER};
use lb_shared::client::Update;
use lb_shared::counters::Counters;
use lb_shared::excerpt::{ExcerptAsk, Reading, Scope};
use lb_shared::fixture::{self, Demo};
use lb_shared::names::ServerId;
use lb_shared::request::{Hello, Role};
use lb_shared::view::View;
use lb_shared::window::{CounterSums, Rows, Told, Window, WindowAsk};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// An agent that answers questions for numbers.
pub(super) struct Agent {
    told: Told,
    pub(super) counters: Arc<Counters>,
}

impl Agent {
    pub(super) fn of(demo: &Demo) -> Self {
        Self {
            told: Told::default(),
            counters: Arc::new(demo.counters.clone()),
        }
    }

    fn window(&mut self, ask: &WindowAsk) -> Window {
        let sums = Arc::new(CounterSums::of(&self.counters));
        self.told.next(ask.clone(), &self.counters, &sums)
    }

    /// The answer to a question.
    pub(super) fn news(&mut self, ask: &WindowAsk) -> Msg {
        Msg::Link(News::Window(ask.rows.clone(), Box::new(self.window(ask))))
    }

    /// Answers what was asked for last; how many servers that told of.
    fn answer(&mut self, bench: &mut Bench, ask: &WindowAsk) -> usize {
        let window = self.window(ask);
        let told = window.servers.len();
        bench.send(Msg::Link(News::Window(ask.rows.clone(), Box::new(window))));
        told
    }
}

/// The last question for numbers.
pub(super) fn wanted(bench: &mut Bench) -> Option<WindowAsk> {
    let mut asks = bench.cmds.drain(..).filter_map(|cmd| match cmd {
        Cmd::Sample(ask) => Some(ask),
        _ => None,
    });
    asks.next_back().flatten()
}

fn hello(bench: &mut Bench, demo: &Demo) {
    let hello = Hello {
        agent: "0.4.1".into(),
        host: "lb1".into(),
        role: Role::Admin,
    };
    bench.send(Msg::Link(News::Connected(hello, demo.events.clone())));
}

fn snapshot(demo: &Demo) -> Msg {
    Msg::Link(News::Update(Update::Snapshot(Box::new(demo.snapshot.clone()))))
}

#[test]
fn the_first_screen_of_an_excerpt_is_that_of_the_whole() {
    for demo in [fixture::demo(), fixture::big()] {
        for (width, height) in SIZES {
            let mut bench = Bench::empty(width, height);
            let before = bench.picture();
            hello(&mut bench, &demo);
            assert_eq!(
                bench.picture(),
                before,
                "nothing is known yet, and an empty screen would be a lie"
            );
            let view = View::of(&demo.snapshot).with_counters(Some(&demo.counters));
            let mut reading = Reading::new(&view, &ExcerptAsk::all(Scope::Screen)).unwrap();
            let mut excerpt = reading.next(&view, demo.snapshot.seq);
            excerpt.snapshot.role = demo.snapshot.role;
            bench.send(Msg::Link(News::Early(Box::new(excerpt))));
            let early = bench.picture();
            assert!(bench.app.hands_off().is_some());
            bench.send(snapshot(&demo));
            bench.send(Msg::Link(News::Counters(Box::new(demo.counters.clone()))));
            // The sparklines have their first sample by then.
            let whole = bench.picture();
            let bar = |c: char| ('\u{2581}'..='\u{2588}').contains(&c);
            let same = |(a, b): &(&str, &str)| a == b || b.contains(bar);
            // The last line names the keys that act, and those do not yet.
            let lines = early.lines().zip(whole.lines()).take(usize::from(height) - 1);
            let other: Vec<_> = lines.filter(|pair| !same(pair)).collect();
            assert!(other.is_empty(), "{other:#?}");
            assert!(bench.app.hands_off().is_none());
            // The cursor of a list is where it is without an early part.
            bench.keys("2 Tab");
            assert_eq!(bench.app.members.at(), 0);
        }
    }
}

#[test]
fn a_terminal_that_nobody_types_into_wants_its_numbers_less_often_and_is_not_drawn_for_it() {
    let mut bench = Bench::demo(80, 24);
    bench.cmds.clear();
    bench.app.dirty = false;
    for focused in [false, true] {
        bench.send(Msg::Focus(focused));
        assert_eq!(bench.cmds.drain(..).collect::<Vec<_>>(), [Cmd::Hurry(focused)]);
        assert!(!bench.app.dirty);
    }
}

#[test]
fn an_early_part_shows_no_lists_that_lack_most_rows() {
    let demo = fixture::big();
    let mut bench = Bench::empty(80, 24);
    bench.app.screen = crate::keys::Screen::Servers;
    hello(&mut bench, &demo);
    let view = View::of(&demo.snapshot);
    let mut reading = Reading::new(&view, &ExcerptAsk::all(Scope::Screen)).unwrap();
    let excerpt = Box::new(reading.next(&view, demo.snapshot.seq));
    bench.send(Msg::Link(News::Early(excerpt)));
    assert!(bench.picture().contains("connecting"), "{}", bench.picture());
    bench.send(snapshot(&demo));
    assert!(bench.picture().contains("of 50,000"), "{}", bench.picture());
}

#[test]
fn numbers_are_asked_for_where_the_eye_is_and_change_with_it() {
    let demo = fixture::big();
    let mut bench = Bench::of(demo.clone(), 140, 40);
    let mut agent = Agent::of(&demo);
    bench.keys("3");
    let ask = wanted(&mut bench).unwrap();
    let Rows::These(ids) = &ask.rows else {
        panic!("{ask:?}")
    };
    let shown: BTreeSet<&ServerId> = bench.app.servers.rows.iter().take(80).collect();
    let asked: BTreeSet<&ServerId> = ids.iter().collect();
    assert!(asked.is_superset(&shown) && ids.len() < 250, "{}", ids.len());
    agent.answer(&mut bench, &ask);
    // One step changes nothing; the end of the list is another part of it.
    bench.keys("j");
    assert_eq!(wanted(&mut bench), None);
    bench.keys("G");
    let last = wanted(&mut bench).unwrap();
    assert!(agent.answer(&mut bench, &last) > 30);
    let row = bench.app.servers.rows.iter().next_back().unwrap().clone();
    let counted = |bench: &Bench| {
        bench
            .app
            .data
            .as_ref()
            .unwrap()
            .counters
            .as_ref()
            .unwrap()
            .servers
            .clone()
    };
    assert!(counted(&bench).contains_key(&row));
    assert!(counted(&bench).len() < 250, "what is out of sight is not kept");
    // What is asked about is looked at, too; what chooses rows or their order is wanted of all.
    bench.keys("g : drain Space svc-100/* Space --force Enter");
    let ask = wanted(&mut bench).unwrap();
    let asked = bench.app.dialog.as_ref().unwrap().targets.len();
    assert!(
        matches!(&ask.rows, Rows::These(ids) if ids.len() > asked),
        "{asked}"
    );
    bench.keys("Esc : sort Space cps Enter");
    assert_eq!(wanted(&mut bench).unwrap().rows, Rows::All);
    bench.keys(": sort Space state Enter / act:>100 Enter");
    assert_eq!(bench.app.sampling_rows(), Some(&Rows::All));
    bench.keys("Esc");
    assert!(matches!(bench.app.sampling_rows(), Some(Rows::These(_))));
}

#[test]
fn windows_lead_to_the_picture_that_all_counters_lead_to() {
    for keys in ["1", "2 j Tab", "3", "3 j j Enter", "3 : sort Space active Enter"] {
        let demo = fixture::demo();
        let mut windows = Bench::of(demo.clone(), 140, 40);
        let mut agent = Agent::of(&demo);
        windows.keys(keys);
        let mut whole = Bench::of(demo.clone(), 140, 40);
        whole.keys(keys);
        for nth in 1..4 {
            let counters = Arc::make_mut(&mut agent.counters);
            counters.at = counters.at + Duration::from_secs(1);
            for (id, server) in counters.servers.iter_mut().skip(nth) {
                server.active += nth as u64 * u64::from(id.server.port);
                server.connections_per_s += 1;
            }
            let counters = agent.counters.clone();
            windows.pass(Duration::from_secs(3));
            whole.pass(Duration::from_secs(3));
            let ask = crate::window::ask(&windows.app).unwrap();
            agent.answer(&mut windows, &ask);
            whole.send(Msg::Link(News::Counters(Box::new((*counters).clone()))));
            assert_eq!(windows.picture(), whole.picture(), "{keys}");
        }
    }
}

#[test]
fn after_a_restart_of_the_agent_all_numbers_are_asked_for_again() {
    let demo = fixture::demo();
    let mut bench = Bench::demo(80, 24);
    let before = wanted(&mut bench).unwrap();
    let mut restarted = demo.snapshot.clone();
    restarted.state.agent.pid += 1;
    bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(restarted)))));
    assert_ne!(wanted(&mut bench).unwrap().round, before.round);
}

#[test]
fn where_nothing_changes_nothing_is_drawn_but_for_ages() {
    let mut bench = Bench::demo(80, 24);
    let at = |bench: &Bench, seconds| {
        bench.app.data.as_ref().unwrap().counters.as_ref().unwrap().at + Duration::from_secs(seconds)
    };
    // Sparklines are full of the same after a while.
    for nth in 1..400 {
        let still = News::Still(at(&bench, 1));
        bench.at += Duration::from_secs(1);
        bench.app.dirty = false;
        bench.send(Msg::Link(still));
        assert!(nth < 330 || !bench.app.dirty, "{nth}");
    }
    bench.pass(Duration::from_secs(1));
    bench.send(Msg::Tick);
    assert!(!bench.app.dirty);
    let drawn = bench.at;
    let app = &bench.app;
    assert_eq!(app.wake_at(drawn, false), drawn + Duration::from_secs(1));
    // Without ages the clock waits; not so the word that the agent fell silent, nor the end of a message.
    assert_eq!(app.wake_at(drawn, true), drawn + STALE_AFTER);
    bench.app.tell("done");
    bench.at += Duration::from_millis(4_900);
    bench.send(Msg::Link(News::Alive));
    assert_eq!(bench.app.wake_at(bench.at, true), drawn + Duration::from_secs(5));
    // A sign of life after silence is news.
    bench.app.dirty = false;
    bench.at += Duration::from_secs(9);
    bench.send(Msg::Link(News::Alive));
    assert!(bench.app.dirty);
}
