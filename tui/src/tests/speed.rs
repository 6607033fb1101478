//! What a picture costs with 50,000 servers. Figures, not verdicts about this machine: run by `scripts/bench dashboard`.

use super::Bench;
use super::windows::{Agent, wanted};
use crate::app::{Msg, News};
use crate::view;
use lb_shared::client::Update;
use lb_shared::event::{Change, Event, Numbered, What};
use lb_shared::fixture;
use lb_shared::state::{Object, ObjectId};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const FRAMES: u64 = 60;

/// The time this thread has had of a processor: what else runs on the machine does not count.
fn cpu() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}

/// Median and worst of what is measured for each frame.
fn median(mut spans: Vec<Duration>) -> (Duration, Duration) {
    spans.sort_unstable();
    (spans[spans.len() / 2], spans[spans.len() - 1])
}

/// A server's reason changes: an event that touches one object.
fn event(bench: &Bench, nth: u64) -> Msg {
    let state = &bench.app.data.as_ref().unwrap().state;
    let mut view = state.servers.values().nth(9).unwrap().clone();
    Arc::make_mut(&mut view).reason = format!("status {}", 500 + nth);
    Msg::Link(News::Update(Update::Event(Box::new(Numbered {
        seq: 1_000_000 + nth,
        wall_ms: fixture::NOW_MS + nth * 1_000,
        event: Event {
            what: What::ServerDown,
            object: ObjectId::Server(view.id.clone()),
            text: "UP -> DOWN".into(),
            why: None,
            actor: None,
            at: fixture::NOW + Duration::from_secs(nth),
            changes: vec![Change::Put(Object::Server(view))],
        },
    }))))
}

#[test]
#[ignore = "a figure: scripts/bench dashboard"]
fn a_picture_of_fifty_thousand_servers_while_their_counters_change() {
    for (name, keys, events) in [
        ("overview", "1", false),
        ("services", "2", false),
        ("servers", "3", false),
        ("servers, filtered", "3 / st:down Enter", false),
        ("servers by cps", "3 : sort Space cps Enter", false),
        (
            "servers by active, in the middle",
            "3 : sort Space active Enter G : sort Space -active Enter",
            false,
        ),
        (
            "servers by active, and a server changes, too",
            "3 : sort Space active Enter",
            true,
        ),
        (
            "servers with more than 2,000 active by cps",
            "3 / act:>2000 Enter : sort Space cps Enter",
            false,
        ),
        (
            "servers with more than 2,000 active, and a server changes, too",
            "3 / act:>2000 Enter",
            true,
        ),
        (
            "servers that are as they are for a minute",
            "3 / for:>1m Enter",
            true,
        ),
        ("events", "4", true),
    ] {
        if std::env::var("ONLY").is_ok_and(|only| name != only) {
            continue;
        }
        let demo = fixture::big();
        let mut agent = Agent::of(&demo);
        let mut bench = Bench::of(demo, 140, 40);
        bench.keys(keys);
        let viewport = ratatui::Viewport::Fixed(Rect::new(0, 0, 140, 40));
        let backend = CrosstermBackend::new(Vec::new());
        let mut terminal = Terminal::with_options(backend, ratatui::TerminalOptions { viewport }).unwrap();
        let (mut arrived, mut drawn) = (Vec::new(), Vec::new());
        let mut ask = None;
        for nth in 0..=FRAMES {
            let counters = Arc::make_mut(&mut agent.counters);
            counters.at = counters.at + Duration::from_secs(1);
            for (server, of) in counters.servers.values_mut().zip(1_u64..) {
                server.active = (of * 7_919 + nth * (of % 1_000)) % 5_000;
                server.connections_per_s += 1 + of % 7;
            }
            bench.at += Duration::from_secs(1);
            ask = wanted(&mut bench).or(ask);
            let mut news = vec![match &ask {
                Some(ask) => agent.news(ask),
                None => Msg::Link(News::Alive),
            }];
            news.extend(events.then(|| event(&bench, nth)));
            // News, order and picture are one frame, as the program makes it.
            let began = cpu();
            for msg in news {
                bench.send(msg);
            }
            let settled = cpu() - began;
            terminal
                .draw(|frame| view::draw(black_box(&bench.app), frame))
                .unwrap();
            let whole = cpu() - began;
            // The first one brings everything.
            if nth > 0 {
                arrived.push(whole);
                drawn.push(whole - settled);
            }
        }
        let ((frame, worst), (draw, _)) = (median(arrived), median(drawn));
        println!(
            "  {name}: a frame with new counters {:.2} ms (median; worst {:.2}), its drawing {:.2} ms   (target: 8)",
            frame.as_secs_f64() * 1e3,
            worst.as_secs_f64() * 1e3,
            draw.as_secs_f64() * 1e3
        );
    }
}
