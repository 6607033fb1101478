//! What a picture costs with 50,000 servers. Figures, not verdicts about this machine: run by `scripts/bench dashboard`.

use super::Bench;
use crate::app::{Msg, News};
use crate::view;
use lb_shared::fixture;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use std::hint::black_box;
use std::time::Duration;

const FRAMES: u32 = 60;

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

#[test]
#[ignore = "a figure: scripts/bench dashboard"]
fn a_picture_of_fifty_thousand_servers_while_their_counters_change() {
    for (name, keys) in [
        ("overview", "1"),
        ("services", "2"),
        ("servers", "3"),
        ("servers, filtered", "3 / st:down Enter"),
        ("servers by cps", "3 : sort Space cps Enter"),
        ("events", "4"),
    ] {
        let mut bench = Bench::of(fixture::big(), 140, 40);
        bench.keys(keys);
        let viewport = ratatui::Viewport::Fixed(Rect::new(0, 0, 140, 40));
        let backend = CrosstermBackend::new(Vec::new());
        let mut terminal = Terminal::with_options(backend, ratatui::TerminalOptions { viewport }).unwrap();
        let (mut arrived, mut drawn) = (Vec::new(), Vec::new());
        for nth in 0..FRAMES {
            let mut counters = bench.app.data.as_ref().unwrap().counters.clone().unwrap();
            counters.at = counters.at + Duration::from_secs(1);
            for server in counters.servers.values_mut() {
                server.active = server.active.wrapping_add(u64::from(nth) + 1) % 5_000;
                server.connections_per_s += 1;
            }
            bench.at += Duration::from_secs(1);
            // News, order and picture are one frame, as the program makes it.
            let began = cpu();
            bench.send(Msg::Link(News::Counters(Box::new(counters))));
            let settled = cpu() - began;
            terminal
                .draw(|frame| view::draw(black_box(&bench.app), frame))
                .unwrap();
            let whole = cpu() - began;
            arrived.push(whole);
            drawn.push(whole - settled);
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
