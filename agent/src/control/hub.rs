//! The hub: the state as every client sees it, the last events, and those who watch.

use super::limits;
use super::metrics::Tally;
use lb_shared::event::{Change, Event, Numbered, What};
use lb_shared::history::KEPT_MS;
use lb_shared::request::{Refusal, RefusalCode, Role, Snapshot};
use lb_shared::state::State;
use lb_shared::units::Mono;
use lb_shared::view::rfc3339;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, broadcast};

/// Folds events, numbers them and passes them on.
#[derive(Debug)]
pub(super) struct Hub {
    epoch: Instant,
    inner: Mutex<Inner>,
    keep: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Shared with whoever reads it just now; the fold copies it then.
    state: Arc<State>,
    seq: u64,
    ring: VecDeque<Arc<Numbered>>,
    /// How to take back what was folded, oldest first.
    undo: VecDeque<Undo>,
    /// From here on the past is known.
    known: Mono,
    tally: Tally,
    /// Its room is taken when the first watcher comes.
    news: Option<broadcast::Sender<Arc<Numbered>>>,
}

/// What takes one event back.
#[derive(Debug)]
struct Undo {
    seq: u64,
    /// On the engine's clock: wall clocks are set.
    at: Mono,
    changes: Vec<Change>,
}

/// What one costs in memory: mostly the form of a server, with its words.
#[cfg(test)]
pub(super) const UNDO_BYTES: usize =
    size_of::<Undo>() + size_of::<Change>() + size_of::<lb_shared::state::ServerView>() + 200;

/// The state at one moment, without copying it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) state: Arc<State>,
    pub(super) seq: u64,
    pub(super) now: Mono,
    pub(super) wall_ms: u64,
}

impl Seen {
    /// For the wire.
    pub(super) fn snapshot(&self, role: Role) -> Snapshot {
        Snapshot {
            seq: self.seq,
            now: self.now,
            wall_ms: self.wall_ms,
            role: Some(role),
            state: (*self.state).clone(),
        }
    }
}

/// A state, and every event after it. A reader that falls behind gets `Lagged` and looks again.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) seen: Seen,
    /// Events asked for that came before `seen`.
    pub(super) past: Vec<Arc<Numbered>>,
    pub(super) news: broadcast::Receiver<Arc<Numbered>>,
}

impl Hub {
    pub(super) fn new(epoch: Instant) -> Self {
        Self {
            keep: Notify::new(),
            epoch,
            inner: Mutex::new(Inner {
                state: Arc::default(),
                seq: 0,
                ring: VecDeque::new(),
                undo: VecDeque::new(),
                known: Mono(u64::try_from(epoch.elapsed().as_micros()).unwrap_or(u64::MAX)),
                tally: Tally::default(),
                news: None,
            }),
        }
    }

    /// Begins with the events of earlier runs; numbers go on after them.
    pub(super) fn recall(&self, past: Vec<Numbered>) {
        let mut inner = self.lock();
        inner.seq = past.last().map_or(0, |it| it.seq);
        inner.ring = past.into_iter().map(Arc::new).collect();
    }

    /// Returns when something happened since it last did.
    pub(super) async fn something_to_keep(&self) {
        self.keep.notified().await;
    }

    /// Folds one event and tells the watchers.
    pub(super) fn publish(&self, event: Event) {
        let mut inner = self.lock();
        // What was while the first configuration came into force is nobody's past.
        let begun = inner.state.agent.config.revision > 0;
        let changes = if begun {
            inner.state.inverse(&event)
        } else {
            Vec::new()
        };
        Arc::make_mut(&mut inner.state).apply(&event);
        inner.tally.fold(&event);
        inner.seq += 1;
        let seq = inner.seq;
        let at = self.now();
        if begun {
            inner.remember(Undo { seq, at, changes });
        } else {
            inner.known = at;
        }
        let mut numbered = Numbered {
            seq,
            wall_ms: wall_ms(),
            event,
        };
        // Sent under the lock, so that a subscription misses nothing and sees nothing twice.
        if let Some(news) = inner.news.as_ref().filter(|news| news.receiver_count() > 0) {
            let _ = news.send(Arc::new(numbered.clone()));
        }
        // What has nothing to tell would only push out what has.
        if numbered.event.what != What::Present {
            // Whoever asks for the past gets the state of now beside it: old views would only take room.
            numbered.event.changes = Vec::new();
            if inner.ring.len() == limits::EVENTS_KEPT {
                inner.ring.pop_front();
            }
            inner.ring.push_back(Arc::new(numbered));
            self.keep.notify_one();
        }
    }

    /// The state now.
    pub(super) fn seen(&self) -> Seen {
        let inner = self.lock();
        self.seen_in(&inner)
    }

    /// The state as it was at a moment of the last quarter of an hour, in Unix time in milliseconds.
    pub(super) fn seen_at(&self, wall_ms: u64) -> Result<Seen, Refusal> {
        let inner = self.lock();
        let mut seen = self.seen_in(&inner);
        let back_ms = seen.wall_ms.saturating_sub(wall_ms);
        let known_ms = u64::try_from(seen.now.since(inner.known).as_millis()).unwrap_or(u64::MAX);
        if back_ms > known_ms.min(KEPT_MS) {
            let oldest = seen.wall_ms.saturating_sub(known_ms.min(KEPT_MS));
            return Err(Refusal::new(
                RefusalCode::NotFound,
                format!("the past is known from {} on", rfc3339(oldest)),
                "ask for a later moment; older ones are only in recordings (lbctl record)",
            ));
        }
        seen.now = Mono(seen.now.0.saturating_sub(back_ms.saturating_mul(1_000)));
        seen.wall_ms -= back_ms;
        let later = inner.undo.iter().rev().take_while(|it| it.at > seen.now);
        let changes: Vec<Change> = later.clone().flat_map(|it| it.changes.iter().cloned()).collect();
        if let Some(first) = later.last() {
            seen.seq = first.seq - 1;
        }
        drop(inner);
        if !changes.is_empty() {
            Arc::make_mut(&mut seen.state).put_back(changes);
        }
        Ok(seen)
    }

    /// What was counted of the events since the start.
    pub(super) fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// The state now and all that follows; with `after`, also the kept events with a higher number.
    pub(super) fn subscribe(&self, after: Option<u64>) -> Subscription {
        let mut inner = self.lock();
        let news = inner
            .news
            .get_or_insert_with(|| broadcast::channel(limits::EVENTS_BEHIND).0)
            .subscribe();
        Subscription {
            seen: self.seen_in(&inner),
            past: match after {
                Some(after) => inner
                    .ring
                    .iter()
                    .filter(|event| event.seq > after)
                    .cloned()
                    .collect(),
                None => Vec::new(),
            },
            news,
        }
    }

    /// The newest `limit` kept events with a number above `after`, oldest first.
    pub(super) fn events(&self, after: Option<u64>, limit: usize) -> Vec<Arc<Numbered>> {
        let inner = self.lock();
        let after = after.unwrap_or(0);
        let first = inner.ring.partition_point(|event| event.seq <= after);
        let first = first.max(inner.ring.len().saturating_sub(limit));
        inner.ring.range(first..).cloned().collect()
    }

    /// The moment on the engine's clock.
    pub(super) fn now(&self) -> Mono {
        Mono(u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn seen_in(&self, inner: &Inner) -> Seen {
        Seen {
            state: Arc::clone(&inner.state),
            seq: inner.seq,
            now: self.now(),
            wall_ms: wall_ms(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here is left half-done by a panic of a reader.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn remember(&mut self, undo: Undo) {
        let oldest = Mono(undo.at.0.saturating_sub(KEPT_MS * 1_000));
        self.undo.push_back(undo);
        while self.undo.len() > limits::UNDO_KEPT || self.undo.front().is_some_and(|it| it.at < oldest) {
            // Before the event that is forgotten now, nothing is known.
            if let Some(forgotten) = self.undo.pop_front() {
                self.known = forgotten.at;
            }
        }
    }
}

/// Unix time in milliseconds.
pub(super) fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::Change;
    use lb_shared::state::{AgentView, ConfigView, Object, ObjectId};
    use tokio::sync::broadcast::error::TryRecvError;

    fn host(name: usize) -> Event {
        revised(name, 1)
    }

    fn revised(name: usize, revision: u64) -> Event {
        Event {
            what: What::Applied,
            object: ObjectId::Agent,
            text: String::new(),
            why: None,
            actor: None,
            at: Mono::ZERO,
            changes: vec![Change::Put(Object::Agent(Box::new(AgentView {
                host: name.to_string(),
                config: ConfigView {
                    revision,
                    ..ConfigView::default()
                },
                ..AgentView::default()
            })))],
        }
    }

    #[test]
    fn a_subscription_continues_exactly_where_its_state_ends() {
        let hub = Hub::new(Instant::now());
        hub.publish(host(1));
        let mut subscription = hub.subscribe(None);
        hub.publish(host(2));
        assert_eq!(
            (subscription.seen.seq, subscription.seen.state.agent.host.as_str()),
            (1, "1")
        );
        assert_eq!(subscription.news.try_recv().unwrap().seq, 2);
        assert_eq!(subscription.news.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn a_reader_that_never_reads_costs_no_more_than_the_ring() {
        let hub = Hub::new(Instant::now());
        let mut slow = hub.subscribe(None);
        for i in 0..limits::EVENTS_KEPT + 500 {
            hub.publish(host(i));
        }
        assert_eq!(hub.events(None, usize::MAX).len(), limits::EVENTS_KEPT);
        assert_eq!(hub.events(None, usize::MAX)[0].seq, 501);
        assert!(matches!(slow.news.try_recv(), Err(TryRecvError::Lagged(_))));
    }

    #[test]
    fn the_state_of_a_moment_is_the_present_with_what_came_later_taken_back() {
        let hub = Hub::new(Instant::now());
        hub.publish(host(1));
        let then = hub.seen();
        let after = then.wall_ms + 1;
        while wall_ms() <= after {
            std::thread::yield_now();
        }
        hub.publish(host(2));
        hub.publish(host(3));
        let past = hub.seen_at(after).unwrap();
        assert_eq!((&past.state, past.seq, past.wall_ms), (&then.state, 1, after));
        assert_eq!(hub.seen_at(wall_ms()).unwrap().state, hub.seen().state);
        let refusal = hub.seen_at(then.wall_ms - 60_000).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::NotFound);
    }

    #[test]
    fn the_past_begins_with_the_first_configuration() {
        let hub = Hub::new(Instant::now());
        for name in 0..3 {
            hub.publish(revised(name, 0));
        }
        hub.publish(revised(3, 1));
        assert!(hub.lock().undo.is_empty());
        assert_eq!(hub.events(None, 9).len(), 4);
        hub.publish(revised(4, 1));
        assert_eq!(hub.lock().undo.len(), 1);
    }

    #[test]
    fn what_is_forgotten_is_not_made_up() {
        let hub = Hub::new(Instant::now());
        let mut inner = hub.lock();
        let undo = |seq: usize, at: u64| Undo {
            seq: seq as u64,
            at: Mono(at),
            changes: Vec::new(),
        };
        for n in 1..=limits::UNDO_KEPT + 2 {
            inner.remember(undo(n, n as u64));
        }
        assert_eq!((inner.undo.len(), inner.known), (limits::UNDO_KEPT, Mono(2)));
        inner.remember(undo(0, 5_000 + KEPT_MS * 1_000));
        assert_eq!((inner.undo[0].at, inner.known), (Mono(5_000), Mono(4_999)));
    }

    #[test]
    fn the_past_is_cut_by_number_and_by_limit() {
        let hub = Hub::new(Instant::now());
        (1..=9).for_each(|i| hub.publish(host(i)));
        let seqs = |after, limit| -> Vec<u64> { hub.events(after, limit).iter().map(|e| e.seq).collect() };
        assert_eq!(seqs(Some(6), 100), [7, 8, 9]);
        assert_eq!(seqs(None, 2), [8, 9]);
        assert!(seqs(Some(9), 2).is_empty());
        assert!(seqs(Some(99), 2).is_empty());
        let past: Vec<u64> = hub.subscribe(Some(7)).past.iter().map(|e| e.seq).collect();
        assert_eq!(past, [8, 9]);
    }
}
