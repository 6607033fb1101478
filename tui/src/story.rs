//! The events of several hosts as one story: merged by time, so that a failover is read from top to bottom.

use crate::app::App;
use lb_shared::event::{Numbered, What};
use lb_shared::state::ObjectId;
use std::collections::VecDeque;
use std::rc::Rc;

/// Clocks that differ by less are taken as they are: the way the news takes is not known better than that, and hosts
/// that keep their clocks right are closer to each other.
const SKEW_MIN_MS: i64 = 250;
/// Events of other hosts that belong to one are at most this far from it.
const TOGETHER_MS: u64 = 10_000;

/// An event: the place of its host, and its number there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    pub(crate) seat: usize,
    pub(crate) seq: u64,
}

/// What another host told.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    pub(crate) seat: usize,
    pub(crate) host: String,
    /// How far its clock is ahead of the one of the host in front.
    pub(crate) ahead_ms: i64,
    pub(crate) events: VecDeque<Rc<Numbered>>,
}

impl Elsewhere {
    /// When it was by the clock of the host in front.
    pub(crate) fn ms(&self, event: &Numbered) -> u64 {
        if self.ahead_ms.abs() < SKEW_MIN_MS {
            event.wall_ms
        } else {
            event.wall_ms.saturating_add_signed(-self.ahead_ms)
        }
    }

    fn find(&self, seq: u64) -> Option<&Rc<Numbered>> {
        let at = self.events.binary_search_by_key(&seq, |event| event.seq).ok()?;
        self.events.get(at)
    }
}

/// What the hosts besides the one at `at` told. `before` is what was gathered last; what did not change is kept.
pub(crate) fn gather(seats: &[App], at: usize, before: Vec<Elsewhere>) -> Vec<Elsewhere> {
    let now_ms = |seat: &App| Some(seat.live()?.clock(seat.now).1);
    let here = seats.get(at).and_then(now_ms);
    let mut before = before.into_iter().map(Some).collect::<Vec<_>>();
    seats
        .iter()
        .enumerate()
        .filter(|(nth, _)| *nth != at)
        .filter_map(|(nth, seat)| {
            let log = &seat.live()?.events;
            let stamp = |events: &VecDeque<Rc<Numbered>>| {
                (
                    events.len(),
                    events.back().map(|last| last.seq),
                    events.front().map(|first| first.seq),
                )
            };
            let kept = before
                .iter_mut()
                .find(|it| {
                    it.as_ref()
                        .is_some_and(|it| it.seat == nth && stamp(&it.events) == stamp(log))
                })
                .and_then(Option::take);
            let events = kept.map_or_else(|| log.clone(), |it| it.events);
            let ahead_ms = match (now_ms(seat), here) {
                (Some(there), Some(here)) => {
                    i64::try_from(i128::from(there) - i128::from(here)).unwrap_or_default()
                }
                _ => 0,
            };
            Some(Elsewhere {
                seat: nth,
                host: seat.name(),
                ahead_ms,
                events,
            })
        })
        .collect()
}

impl App {
    /// The event of that key.
    pub(crate) fn event(&self, key: Key) -> Option<&Numbered> {
        if key.seat == self.seat {
            return self.data.as_ref()?.find(key.seq);
        }
        let there = self.elsewhere.iter().find(|it| it.seat == key.seat)?;
        there.find(key.seq).map(|event| &**event)
    }

    /// When it was, by the clock of this host.
    pub(crate) fn event_ms(&self, key: Key, event: &Numbered) -> u64 {
        match self.elsewhere.iter().find(|it| it.seat == key.seat) {
            Some(there) => there.ms(event),
            None => event.wall_ms,
        }
    }

    /// The name of the host of an event.
    pub(crate) fn event_host(&self, key: Key) -> String {
        match self.elsewhere.iter().find(|it| it.seat == key.seat) {
            Some(there) => there.host.clone(),
            None => self.name(),
        }
    }

    /// What became of the same virtual router on the other hosts about then: `lb2 BACKUP -> MASTER 0.014s earlier`.
    pub(crate) fn elsewhere_of(&self, key: Key, event: &Numbered) -> Vec<String> {
        let ObjectId::Instance(name) = &event.event.object else {
            return Vec::new();
        };
        if !about_role(event.event.what) {
            return Vec::new();
        }
        let own = |row: &&crate::fleet::RouterRow| {
            row.names
                .get(key.seat)
                .is_some_and(|it| it.as_ref() == Some(name))
        };
        let Some(router) = self.fleet.routers.iter().find(own) else {
            return Vec::new();
        };
        let at = self.event_ms(key, event);
        let mut told = Vec::new();
        for (seat, name) in router.names.iter().enumerate() {
            let Some(name) = name.as_ref().filter(|_| seat != key.seat) else {
                continue;
            };
            let events: Vec<&Rc<Numbered>> = if seat == self.seat {
                self.data.iter().flat_map(|data| &data.events).collect()
            } else {
                let there = self.elsewhere.iter().filter(|it| it.seat == seat);
                there.flat_map(|it| &it.events).collect()
            };
            let nearest = events
                .into_iter()
                .filter(|it| about_role(it.event.what) && it.event.object == ObjectId::Instance(name.clone()))
                .map(|it| (self.event_ms(Key { seat, seq: it.seq }, it), it))
                .filter(|(ms, _)| ms.abs_diff(at) <= TOGETHER_MS)
                .min_by_key(|(ms, _)| ms.abs_diff(at));
            if let Some((ms, it)) = nearest {
                let host = self.event_host(Key { seat, seq: it.seq });
                let text = lb_shared::text::escape(&it.event.text);
                told.push(match ms.abs_diff(at) {
                    0 => format!("{host} {text} in the same millisecond"),
                    off => {
                        let word = if ms < at { "earlier" } else { "later" };
                        format!("{host} {text} {}.{:03}s {word}", off / 1_000, off % 1_000)
                    }
                });
            }
        }
        told
    }
}

fn about_role(what: What) -> bool {
    matches!(
        what,
        What::BecameInit | What::BecameBackup | What::BecameMaster | What::BecameFault
    )
}
