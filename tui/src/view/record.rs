//! How a server did in the last day, from its events, and when its checks run, from how they ran.

use super::Scene;
use lb_shared::event::{Numbered, What};
use lb_shared::history::CheckRun;
use lb_shared::names::ServerId;
use lb_shared::state::{Health, ObjectId, ServerView};
use lb_shared::text::{count, span};
use lb_shared::units::Mono;
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Its times up and down between two moments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Record {
    down_ms: u64,
    longest_ms: u64,
    outages: usize,
    /// Of those, the ones that began in the last hour.
    lately: usize,
}

/// What the last day was like, and how long a time that is: the events may not reach back so far.
pub(crate) fn line(scene: &Scene<'_>, server: &ServerView) -> Option<(String, String)> {
    let now_ms = scene.view.wall_ms;
    if server.health == Health::None {
        return None;
    }
    let events = &scene.data.events;
    let from_ms = events.front()?.wall_ms.max(now_ms.saturating_sub(DAY_MS));
    let whole_ms = now_ms.checked_sub(from_ms).filter(|whole| *whole > 0)?;
    let own = events
        .iter()
        .map(|event| &**event)
        .filter(|it| is_of(it, &server.id));
    let since_ms = now_ms.saturating_sub(ms(scene.view.age(server.since)));
    let down_since_ms = (server.health == Health::Down).then_some(since_ms);
    let it = record(own, down_since_ms, from_ms, now_ms);
    let label = match whole_ms {
        DAY_MS.. => "24 h".to_owned(),
        less => span(Duration::from_millis(less)),
    };
    let up = 100.0 * (whole_ms - it.down_ms.min(whole_ms)) as f64 / whole_ms as f64;
    // Nearly all of it is not all.
    let up = if it.down_ms > 0 { up.min(99.9) } else { up };
    let mut text = format!("up {up:.1} %, {}", count(it.outages, "outage"));
    if it.outages > 0 {
        text.push_str(&format!(
            ", longest {}; {} began in the last hour",
            span(Duration::from_millis(it.longest_ms)),
            it.lately
        ));
    }
    Some((label, text))
}

fn is_of(event: &Numbered, id: &ServerId) -> bool {
    matches!(event.event.what, What::ServerUp | What::ServerDown)
        && matches!(&event.event.object, ObjectId::Server(of) if of == id)
}

/// `events` are the server's own, the oldest first; it is down now since `down_since_ms`, if it is.
fn record<'a>(
    events: impl Iterator<Item = &'a Numbered>,
    down_since_ms: Option<u64>,
    from_ms: u64,
    now_ms: u64,
) -> Record {
    let mut record = Record::default();
    let mut outage = |began: u64, until: u64| {
        let lasted = until.saturating_sub(began);
        // It was over before the beginning.
        if lasted == 0 {
            return;
        }
        record.down_ms += lasted;
        record.longest_ms = record.longest_ms.max(lasted);
        record.outages += 1;
        record.lately += usize::from(began + HOUR_MS > now_ms && began > from_ms);
    };
    let mut events = events.peekable();
    // Before its first event it was what that ended.
    let fell_before = match events.peek() {
        Some(first) => first.event.what == What::ServerUp && first.event.text.starts_with("DOWN"),
        None => false,
    };
    let mut since = fell_before.then_some(from_ms);
    for event in events {
        let at = event.wall_ms.clamp(from_ms, now_ms);
        if event.event.what == What::ServerDown {
            since.get_or_insert(at);
        } else if let Some(began) = since.take() {
            outage(began, at);
        }
    }
    if let Some(known_ms) = down_since_ms {
        outage(since.unwrap_or(known_ms).clamp(from_ms, now_ms), now_ms);
    }
    record
}

/// When the next check is due, as far as the last ones tell: `every 5.0s, the next in about 4.7s`.
pub(crate) fn next_check(scene: &Scene<'_>, server: &ServerView) -> Option<String> {
    let runs = scene.app.runs.as_ref().filter(|runs| runs.server == server.id)?;
    let past = runs.history.as_ref()?.rows.first()?;
    let counted = scene.view.server_counters(&server.id);
    let checked_at = counted.and_then(|it| it.checked_at);
    let all = server.checks.len();
    let due = (0..all).filter_map(|nth| {
        let own = past
            .checks
            .iter()
            .filter(|run| usize::try_from(run.check) == Ok(nth));
        let (every, last) = rhythm(own)?;
        // Of one check alone the newest run is known without being asked for.
        let last = checked_at.filter(|at| all == 1 && *at > last).unwrap_or(last);
        Some((last + every, every))
    });
    let (at, every) = due.min()?;
    let left = at.0.checked_sub(scene.view.now.0)?;
    let seconds = |span: Duration| format!("{:.1}s", span.as_secs_f64());
    Some(format!(
        "every {}, the next in about {}",
        seconds(every),
        seconds(Duration::from_micros(left))
    ))
}

/// The time between most runs, and the last of them.
fn rhythm<'a>(runs: impl Iterator<Item = &'a CheckRun>) -> Option<(Duration, Mono)> {
    const ENOUGH: usize = 2;
    let at: Vec<Mono> = runs.map(|run| run.at).collect();
    let mut gaps: Vec<Duration> = at.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    if gaps.len() < ENOUGH {
        return None;
    }
    gaps.sort_unstable();
    Some((gaps[gaps.len() / 2], *at.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::Event;

    const MINUTE: u64 = 60_000;

    fn events(told: &[(char, u64)]) -> Vec<Numbered> {
        let event = |(what, minute): &(char, u64)| Numbered {
            seq: *minute,
            wall_ms: minute * MINUTE,
            event: Event {
                what: if *what == '+' {
                    What::ServerUp
                } else {
                    What::ServerDown
                },
                object: ObjectId::Agent,
                text: if *what == '+' { "DOWN -> UP" } else { "UP -> DOWN" }.into(),
                why: None,
                actor: None,
                at: Mono::ZERO,
                changes: Vec::new(),
            },
        };
        told.iter().map(event).collect()
    }

    #[test]
    fn outages_are_told_apart_and_counted_once() {
        // From minute 100 to minute 200: what was told, since when it is down, then minutes down, the longest, outages, lately.
        type Row<'a> = (&'a [(char, u64)], Option<u64>, u64, u64, usize, usize);
        let cases: &[Row<'_>] = &[
            (&[], None, 0, 0, 0, 0),
            (&[], Some(50), 100, 100, 1, 0),
            (&[], Some(120), 80, 80, 1, 0),
            (&[('!', 150)], Some(150), 50, 50, 1, 1),
            (&[('!', 120), ('+', 130)], None, 10, 10, 1, 0),
            (&[('!', 110), ('+', 120), ('!', 190)], Some(190), 20, 10, 2, 1),
            // Down from before; told twice; told before the beginning.
            (&[('+', 120)], None, 20, 20, 1, 0),
            (&[('!', 150), ('!', 160), ('+', 170)], None, 20, 20, 1, 1),
            (&[('+', 50)], None, 0, 0, 0, 0),
            (&[('!', 50)], Some(50), 100, 100, 1, 0),
            (&[('!', 50), ('+', 120)], None, 20, 20, 1, 0),
        ];
        for (told, down, minutes, longest, outages, lately) in cases {
            let events = events(told);
            let want = Record {
                down_ms: minutes * MINUTE,
                longest_ms: longest * MINUTE,
                outages: *outages,
                lately: *lately,
            };
            assert_eq!(
                record(
                    events.iter(),
                    down.map(|at| at * MINUTE),
                    100 * MINUTE,
                    200 * MINUTE
                ),
                want,
                "{told:?}"
            );
        }
    }
}
