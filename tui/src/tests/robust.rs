//! Any size, any name, any key: no panic, and nothing drawn that moves the cursor.

use super::Bench;
use crate::app::{Msg, News};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::counters::{Counters, InstanceCounters, ServerCounters};
use lb_shared::event::Numbered;
use lb_shared::fixture::{self, Demo};
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use lb_shared::view::Totals;
use lb_shared::window::{Rows, Window};
use proptest::prelude::*;
use std::sync::Arc;

const SCREENS: [&str; 15] = [
    "1",
    "1 Tab",
    "2",
    "2 Tab",
    "3",
    "4",
    "5",
    "3 Enter",
    "5 j j Enter",
    "?",
    "3 d",
    "j j P",
    "j = j =",
    "2 Tab Space j Space =",
    ": help Space drain Enter",
];

#[test]
fn every_screen_can_be_drawn_at_every_size() {
    for keys in SCREENS {
        let mut bench = Bench::demo(140, 40);
        bench.keys(keys);
        for width in (1..=200).step_by(29).chain([79, 80, 119, 120, 200]) {
            for height in (1..=60).step_by(13).chain([2, 23, 24, 60]) {
                bench.send(Msg::Resize(width, height));
                assert_eq!(bench.picture().lines().count(), usize::from(height));
            }
        }
    }
    let mut empty = Bench::empty(80, 24);
    for size in [(1, 1), (5, 2), (200, 60)] {
        empty.send(Msg::Resize(size.0, size.1));
        empty.picture();
    }
}

#[test]
fn an_agent_with_nothing_configured_can_be_looked_at() {
    let mut demo = fixture::demo();
    demo.snapshot.state = lb_shared::state::State::default();
    demo.counters = Counters::default();
    demo.events.clear();
    for keys in SCREENS {
        let mut bench = Bench::of(demo.clone(), 140, 40);
        bench.keys(keys).keys("j Enter d P Space v V Enter Esc");
        bench.picture();
    }
}

#[test]
fn fifty_thousand_servers_show_only_what_is_seen() {
    let mut bench = Bench::of(fixture::big(), 140, 40);
    bench.keys("3 / st:down Enter G");
    let picture = bench.picture();
    assert_eq!(bench.app.servers.rows.len(), 807);
    assert!(picture.contains("rows 775-807 of 807"), "{picture}");
}

/// The fixture with a nasty text wherever one comes from outside.
fn nasty(text: &str) -> Demo {
    let mut demo = fixture::demo();
    let state = &mut demo.snapshot.state;
    state.agent.host = text.into();
    state.agent.kernel_trouble = vec![text.into()];
    let mut view = state.instances[&"VI_int".into()].as_ref().clone();
    view.name = InstanceName(text.into());
    view.why = text.into();
    view.faults = vec![text.into()];
    view.interface = Some(text.into());
    view.addresses = vec![text.into()];
    for term in &mut view.terms {
        term.detail = text.into();
    }
    state.instances.insert(view.name.clone(), Arc::new(view));
    for service in state.services.values_mut().map(Arc::make_mut) {
        service.name = Some(text.into());
        service.scheduler = text.into();
    }
    for server in state.servers.values_mut().map(Arc::make_mut) {
        server.reason = text.into();
        for check in &mut server.checks {
            check.detail = text.into();
            check.target = text.into();
        }
    }
    for change in state.overrides.values_mut() {
        change.message = text.into();
        change.actor.user = text.into();
    }
    for Numbered { event, .. } in &mut demo.events {
        event.text = text.into();
        event.why = Some(text.into());
    }
    demo
}

fn harmless(picture: &str) -> bool {
    picture.chars().all(|c| {
        c == '\n'
            || !c.is_control()
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

#[test]
fn names_cannot_turn_or_move_what_is_drawn() {
    for text in [
        "\u{1b}[2J\u{1b}[H",
        "\u{202e}gnp.exe",
        "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字",
        "e\u{301}\u{301}\u{301}\u{301}",
        "👩\u{200d}👩\u{200d}👧 🇩🇪",
        "line\nbreak\ttab\rreturn",
        "",
        "مرحبا שלום",
    ] {
        for keys in SCREENS {
            for (width, height) in [(80, 24), (140, 40), (60, 16)] {
                let mut bench = Bench::of(nasty(text), width, height);
                bench.keys(keys);
                assert!(harmless(&bench.picture()), "{text:?} on {keys}");
            }
        }
    }
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        4 => prop::sample::select(vec!['j', 'k', 'g', 'G', 'd', 'u', 'w', 'x', 'P', 'D', 'R', '/', ':', 's', 'S', ' ',
            'v', 'V', 'e', 'f', 'y', '?', '1', '2', '3', '4', '5', '6', 'a', '0',
            '[', ']', '{', '}', 'T', '<', '>', 'p']).prop_map(KeyCode::Char),
        2 => prop::sample::select(vec![KeyCode::Enter, KeyCode::Esc, KeyCode::Tab, KeyCode::BackTab, KeyCode::Down,
            KeyCode::Up, KeyCode::Left, KeyCode::Right, KeyCode::End, KeyCode::Home, KeyCode::PageDown,
            KeyCode::PageUp, KeyCode::Backspace]),
        1 => any::<char>().prop_map(KeyCode::Char),
    ];
    (code, any::<bool>()).prop_map(|(code, ctrl)| {
        let modifiers = if ctrl {
            KeyModifiers::CONTROL
        } else {
            KeyModifiers::NONE
        };
        KeyEvent::new(code, modifiers)
    })
}

/// What breaks terminals, among ordinary letters: wide, without width, controls, turns of direction, long piles of marks.
fn mischief() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec!["a", "web", "198.51.100.24", "/", ":", " "]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            "漢", "ｗ", "\u{1100}\u{1161}", "👩\u{200d}👧", "🇩🇪", "\u{fe0f}", "\u{301}", "\u{200b}", "\u{ad}", "\u{feff}",
            "\u{202e}", "\u{2066}", "\u{200f}", "م", "ש", "\u{1b}[31m", "\u{9b}2J", "\r", "\n", "\t", "\u{7f}", "\0",
            "\u{2028}", "\u{e000}", "\u{fffd}", "\u{10ffff}",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// No line is wider than the screen, and there are as many as it has rows.
fn fits(picture: &str, (width, height): (u16, u16)) -> bool {
    picture.lines().count() == usize::from(height)
        && picture
            .lines()
            .all(|line| lb_shared::text::width(line) <= usize::from(width))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_storm_of_sizes_ends_in_a_whole_picture_whatever_names_there_are(
        text in mischief(),
        screen in 0..SCREENS.len(),
        storm in prop::collection::vec((1u16..=200, 1u16..=60), 1..40),
    ) {
        let mut bench = Bench::of(nasty(&text), 80, 24);
        bench.keys(SCREENS[screen]);
        for (nth, (width, height)) in storm.iter().copied().enumerate() {
            bench.send(Msg::Resize(width, height));
            // A terminal draws some of them.
            if nth % 5 == 0 || nth + 1 == storm.len() {
                let picture = bench.picture();
                prop_assert!(harmless(&picture), "{text:?} at {width}x{height}: {picture}");
                prop_assert!(fits(&picture, (width, height)), "{text:?} at {width}x{height}: {picture}");
            }
        }
    }

    #[test]
    fn no_sequence_of_keys_and_sizes_breaks_it(
        keys in prop::collection::vec((any_key(), 1u16..200, 1u16..60, 0u64..400), 1..30),
    ) {
        let mut bench = Bench::demo(80, 24);
        for (nth, (key, width, height, ms)) in keys.into_iter().enumerate() {
            bench.pass(std::time::Duration::from_millis(ms));
            if nth % 5 == 0 {
                bench.send(Msg::Resize(width, height));
            }
            bench.send(Msg::Key(key));
            prop_assert!(harmless(&bench.picture()));
        }
    }

    #[test]
    fn no_text_from_outside_breaks_it(text in "\\PC{0,40}|.{0,40}") {
        let mut bench = Bench::of(nasty(&text), 80, 24);
        for keys in SCREENS {
            bench.keys(keys);
            prop_assert!(harmless(&bench.picture()));
            bench.keys("Esc Esc Esc");
        }
        let snapshot = nasty("x").snapshot;
        bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(snapshot)))));
        bench.picture();
    }
}

/// Numbers no kernel counts, of servers there are and others, in no order and more than once.
fn nonsense() -> impl Strategy<Value = Window> {
    let number = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
    let id = (0u8..40, 0u8..3).prop_map(|(nth, other)| {
        let demo = fixture::demo();
        let mut id = demo.counters.servers.keys().nth(usize::from(nth)).cloned();
        if let (Some(id), 0) = (&mut id, other) {
            id.server.port = 9;
        }
        id.unwrap_or_else(|| "fwmark:99/192.0.2.1:0".parse().unwrap())
    });
    let server = (id, prop::collection::vec(number(), 6)).prop_map(|(id, it)| {
        let counters = ServerCounters {
            active: it[0],
            inactive: it[1],
            connections: it[2],
            connections_per_s: it[3],
            bytes_in: it[0],
            bytes_out: it[1],
            bytes_in_per_s: it[4],
            bytes_out_per_s: it[5],
            checked_at: Some(Mono(it[5])),
            check_us: Some(it[4]),
            drain_eta_s: Some(it[3]),
            ..ServerCounters::default()
        };
        (id, counters)
    });
    let totals = number().prop_map(|it| Totals {
        active: it,
        connections_per_s: it,
        bytes_in_per_s: it,
        ..Totals::default()
    });
    let instance = number().prop_map(|it| InstanceCounters {
        adverts_received: it,
        rejected: [("ttl".to_owned(), it), ("\u{1b}[2J".to_owned(), it)].into(),
        heard_at: Some(Mono(it)),
        ..InstanceCounters::default()
    });
    (
        (number(), any::<bool>(), prop::option::of(totals)),
        prop::collection::vec(server, 0..60),
        prop::collection::vec(instance, 0..2),
    )
        .prop_map(|((at, whole, totals), servers, instances)| Window {
            at: Mono(at),
            whole,
            totals,
            services: totals
                .map(|it| ("fwmark:8".parse().unwrap(), it))
                .into_iter()
                .collect(),
            gone: servers.iter().take(3).map(|(id, _)| id.clone()).collect(),
            servers,
            instances: instances.into_iter().map(|it| ("VI_int".into(), it)).collect(),
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_numbers_from_the_agents_side_break_it(
        told in prop::collection::vec((nonsense(), any::<bool>()), 1..6),
        screen in 0..SCREENS.len(),
        sorted in prop::sample::select(vec!["active", "-active", "cps", "state"]),
    ) {
        let mut bench = Bench::demo(140, 40);
        bench.keys(&format!("3 : sort Space {sorted} Enter")).keys(SCREENS[screen]);
        for (window, all) in told {
            let rows = match all {
                true => Rows::All,
                false => Rows::These(window.servers.iter().map(|(id, _)| id.clone()).collect()),
            };
            let counters = Counters {
                at: window.at,
                servers: window.servers.iter().cloned().collect(),
                ..Counters::default()
            };
            bench.at += std::time::Duration::from_secs(1);
            bench.send(Msg::Link(News::Window(rows, Box::new(window))));
            let picture = bench.picture();
            prop_assert!(harmless(&picture) && fits(&picture, (140, 40)), "{picture}");
            if all {
                bench.send(Msg::Link(News::Counters(Box::new(counters))));
                bench.picture();
            }
        }
        // Every server is still in the list, once.
        bench.keys("Esc Esc Esc 3 Esc");
        let rows: std::collections::BTreeSet<_> = bench.app.servers.rows.iter().collect();
        prop_assert_eq!((rows.len(), bench.app.servers.rows.len()), (37, 37));
    }
}

/// An event of the fixture with another time and number.
fn at_times(seq: u64, wall_ms: u64, at: Mono) -> Msg {
    let mut event = fixture::demo().events.last().unwrap().clone();
    (event.seq, event.wall_ms, event.event.at) = (seq, wall_ms, at);
    Msg::Link(News::Update(Update::Event(Box::new(event))))
}

#[test]
fn clocks_that_jump_break_nothing() {
    let jumps = [
        0,
        1,
        fixture::NOW_MS - 86_400_000,
        fixture::NOW_MS + 86_400_000,
        u64::MAX / 2,
        u64::MAX,
    ];
    for size in [(80, 24), (140, 40)] {
        for (nth, wall_ms) in jumps.into_iter().enumerate() {
            let mut bench = Bench::demo(size.0, size.1);
            let seq = 2_000 + nth as u64;
            for at in [Mono::ZERO, fixture::NOW, Mono(u64::MAX)] {
                bench.send(at_times(seq + at.0 % 7, wall_ms, at));
                let mut counters = fixture::demo().counters;
                counters.at = at;
                bench.send(Msg::Link(News::Counters(Box::new(counters))));
                for keys in SCREENS {
                    bench.keys(keys);
                    let picture = bench.picture();
                    assert!(fits(&picture, size), "{wall_ms} on {keys}: {picture}");
                    bench.keys("Esc Esc Esc");
                }
                for keys in ["4 T", "[", "]", "{", "}", "0", ": at Space 5m Enter", "0"] {
                    bench.keys(keys);
                    bench.picture();
                }
                bench.keys("Esc");
            }
            // It goes on with the clock of now.
            let snapshot = fixture::demo().snapshot;
            bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(snapshot)))));
            bench.keys("0 1");
            assert!(bench.picture().contains("LIVE 09:2"), "{}", bench.picture());
        }
    }
}
