//! Samples of the last quarter of an hour: what moved, of every instance, service and server.
//!
//! A sample of everything is a few columns of small numbers; a column that did not change is shared with the sample
//! before. 50,000 servers stay below 64 MiB together with what the hub keeps to take events back.

use super::limits;
use lb_shared::counters::{Counters, ServerCounters};
use lb_shared::history::{History, HistoryAsk, HistoryRow, KEPT_MS, Sample, SampleState, ServerWord};
use lb_shared::names::{InstanceName, ServerId, ServerKey, ServiceKey};
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::state::{ObjectId, ServiceState, State, VrrpState};
use lb_shared::units::Mono;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often so many servers are sampled.
pub(super) fn step(servers: usize) -> Duration {
    Duration::from_secs(match servers {
        0..=2_000 => 5,
        2_001..=30_000 => 10,
        _ => 15,
    })
}

/// The samples, oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples {
    frames: Mutex<VecDeque<Frame>>,
}

/// Everything at one moment.
#[derive(Clone, Debug)]
struct Frame {
    at: Mono,
    servers: Arc<[ServerId]>,
    words: Arc<[ServerWord]>,
    numbers: [Arc<[Small]>; NUMBERS],
    services: Arc<[(ServiceKey, ServiceState, u64)]>,
    instances: Arc<[(InstanceName, VrrpState, u8)]>,
}

/// The columns of a frame: weight in IPVS, active, inactive, per second connections, bytes in and out, span of a check.
const NUMBERS: usize = 7;

impl Samples {
    /// Takes a sample, and forgets what is too old.
    pub(super) fn take(&self, state: &State, counters: &Counters, now: Mono) {
        // Made without the lock: it takes its time with many servers.
        let last = self.lock().back().cloned();
        let frame = Frame::of(state, counters, now, last.as_ref());
        let mut frames = self.lock();
        let oldest = Mono(now.0.saturating_sub(KEPT_MS * 1_000));
        while frames.front().is_some_and(|frame| frame.at < oldest) {
            frames.pop_front();
        }
        frames.push_back(frame);
    }

    /// What was asked for.
    pub(super) fn history(&self, ask: &HistoryAsk, now: Mono, wall_ms: u64) -> Result<History, Refusal> {
        let oldest = Mono(
            now.0
                .saturating_sub(ask.since_ms.unwrap_or(KEPT_MS).saturating_mul(1_000)),
        );
        let apart = ask.step_ms.unwrap_or(0).saturating_mul(1_000);
        let mut frames: Vec<Frame> = Vec::new();
        // From the newest back, so that the newest is among them.
        for frame in self.lock().iter().rev().take_while(|frame| frame.at >= oldest) {
            let wanted = frames.last().is_none_or(|later| later.at.0 - frame.at.0 >= apart);
            if wanted {
                frames.push(frame.clone());
            }
        }
        frames.reverse();
        let objects = match (ask.objects.is_empty(), frames.last()) {
            (false, _) => ask.objects.clone(),
            (true, None) => Vec::new(),
            (true, Some(last)) => last.objects(),
        };
        if objects.len() * frames.len() > limits::HISTORY_SAMPLES {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                format!(
                    "these are {} objects at {} moments; one answer holds {} samples",
                    objects.len(),
                    frames.len(),
                    limits::HISTORY_SAMPLES
                ),
                "name fewer targets, or ask with a longer step",
            ));
        }
        Ok(History {
            step_ms: frames.last().map_or(0, |last| {
                u64::try_from(step(last.servers.len()).as_millis()).unwrap_or(u64::MAX)
            }),
            now,
            wall_ms,
            at: frames.iter().map(|frame| frame.at).collect(),
            rows: objects
                .into_iter()
                .map(|object| HistoryRow {
                    samples: frames.iter().map(|frame| frame.sample(&object)).collect(),
                    object,
                    checks: Vec::new(),
                })
                .collect(),
        })
    }

    /// The counters of the last sample not after `at`, as far as a sample has them.
    pub(super) fn counters_at(&self, at: Mono) -> Option<Counters> {
        let frame = {
            let frames = self.lock();
            frames.iter().rev().find(|frame| frame.at <= at)?.clone()
        };
        let servers = frame.servers.iter().enumerate().map(|(nth, id)| {
            let number = |column: usize| frame.numbers[column][nth].value();
            let counters = ServerCounters {
                active: number(1),
                inactive: number(2),
                connections_per_s: number(3),
                bytes_in_per_s: number(4),
                bytes_out_per_s: number(5),
                check_us: Some(number(6)).filter(|us| *us > 0),
                ..ServerCounters::default()
            };
            (id.clone(), counters)
        });
        Some(Counters {
            at: frame.at,
            servers: servers.collect(),
            ..Counters::default()
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        // Whoever panicked was reading, or had not pushed yet.
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frame {
    fn of(state: &State, counters: &Counters, at: Mono, last: Option<&Self>) -> Self {
        let none = ServerCounters::default();
        let count = state.servers.len();
        let mut numbers: [Vec<Small>; NUMBERS] = std::array::from_fn(|_| Vec::with_capacity(count));
        for (id, view) in &state.servers {
            let it = counters.servers.get(id).unwrap_or(&none);
            let row = [
                view.effective.map_or(0, |weight| weight.get().into()),
                it.active,
                it.inactive,
                it.connections_per_s,
                it.bytes_in_per_s,
                it.bytes_out_per_s,
                it.check_us.unwrap_or(0),
            ];
            for (column, value) in numbers.iter_mut().zip(row) {
                column.push(Small::of(value));
            }
        }
        let mut nth = 0;
        Self {
            at,
            servers: match last {
                Some(last) if last.servers.iter().eq(state.servers.keys()) => Arc::clone(&last.servers),
                Some(_) | None => state.servers.keys().cloned().collect(),
            },
            words: shared(
                state.servers.values().map(|it| ServerWord::of(it)).collect(),
                last.map(|it| &it.words),
            ),
            numbers: numbers.map(|column| {
                let before = last.map(|it| &it.numbers[nth]);
                nth += 1;
                shared(column, before)
            }),
            services: shared(
                state
                    .services
                    .values()
                    .map(|it| (it.key.clone(), it.state, it.live_weight))
                    .collect(),
                last.map(|it| &it.services),
            ),
            instances: shared(
                state
                    .instances
                    .values()
                    .map(|it| (it.name.clone(), it.state, it.effective_priority))
                    .collect(),
                last.map(|it| &it.instances),
            ),
        }
    }

    fn objects(&self) -> Vec<ObjectId> {
        let instances = self
            .instances
            .iter()
            .map(|(name, ..)| ObjectId::Instance(name.clone()));
        let services = self
            .services
            .iter()
            .map(|(key, ..)| ObjectId::Service(key.clone()));
        let servers = self.servers.iter().cloned().map(ObjectId::Server);
        instances.chain(services).chain(servers).collect()
    }

    fn sample(&self, object: &ObjectId) -> Option<Sample> {
        match object {
            ObjectId::Instance(name) => {
                let nth = self.instances.binary_search_by(|it| it.0.cmp(name)).ok()?;
                let (_, state, priority) = self.instances[nth];
                Some(still(SampleState::Instance(state), priority.into()))
            }
            ObjectId::Service(key) => {
                let nth = self.services.binary_search_by(|it| it.0.cmp(key)).ok()?;
                let (_, state, weight) = self.services[nth];
                let mut sum = still(SampleState::Service(state), weight);
                let first = ServerId {
                    service: key.clone(),
                    server: ServerKey {
                        address: IpAddr::from([0, 0, 0, 0]),
                        port: 0,
                    },
                };
                let from = self.servers.partition_point(|id| *id < first);
                let own = self.servers[from..].iter().take_while(|id| id.service == *key);
                for (nth, _) in own.enumerate() {
                    let it = self.server(from + nth);
                    sum.active += it.active;
                    sum.inactive += it.inactive;
                    sum.connections_per_s += it.connections_per_s;
                    sum.bytes_in_per_s += it.bytes_in_per_s;
                    sum.bytes_out_per_s += it.bytes_out_per_s;
                }
                Some(sum)
            }
            ObjectId::Server(id) => self.servers.binary_search(id).ok().map(|nth| self.server(nth)),
            ObjectId::Agent | ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => None,
        }
    }

    fn server(&self, nth: usize) -> Sample {
        let [weight, active, inactive, per_s, bytes_in, bytes_out, check] =
            [0, 1, 2, 3, 4, 5, 6].map(|column: usize| self.numbers[column][nth].value());
        Sample {
            state: SampleState::Server(self.words[nth]),
            weight,
            active,
            inactive,
            connections_per_s: per_s,
            bytes_in_per_s: bytes_in,
            bytes_out_per_s: bytes_out,
            check_us: Some(check).filter(|us| *us > 0),
        }
    }

    /// Bytes of what is not shared with `before`.
    #[cfg(test)]
    fn bytes_beyond(&self, before: Option<&Self>) -> usize {
        let same = |a: &Arc<[Small]>, b: Option<&Arc<[Small]>>| b.is_some_and(|b| Arc::ptr_eq(a, b));
        let mut bytes = size_of::<Self>();
        for (nth, column) in self.numbers.iter().enumerate() {
            if !same(column, before.map(|it| &it.numbers[nth])) {
                bytes += size_of_val::<[Small]>(column);
            }
        }
        if !before.is_some_and(|it| Arc::ptr_eq(&self.words, &it.words)) {
            bytes += size_of_val::<[ServerWord]>(&self.words);
        }
        if !before.is_some_and(|it| Arc::ptr_eq(&self.servers, &it.servers)) {
            bytes += size_of_val::<[ServerId]>(&self.servers);
        }
        if !before.is_some_and(|it| Arc::ptr_eq(&self.services, &it.services)) {
            bytes += size_of_val::<[(ServiceKey, ServiceState, u64)]>(&self.services);
        }
        bytes
    }
}

fn still(state: SampleState, weight: u64) -> Sample {
    Sample {
        state,
        weight,
        active: 0,
        inactive: 0,
        connections_per_s: 0,
        bytes_in_per_s: 0,
        bytes_out_per_s: 0,
        check_us: None,
    }
}

/// The column itself, or the one before where nothing changed.
fn shared<T: PartialEq>(column: Vec<T>, before: Option<&Arc<[T]>>) -> Arc<[T]> {
    match before {
        Some(before) if **before == *column => Arc::clone(before),
        Some(_) | None => column.into(),
    }
}

/// A number in two bytes: exact below 2,048, above to one part in a thousand, up to some 10^12.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Small(u16);

impl Small {
    const DIGITS: u32 = 11;

    fn of(value: u64) -> Self {
        let shift = (u64::BITS - value.leading_zeros()).saturating_sub(Self::DIGITS);
        let most = u16::MAX >> Self::DIGITS;
        match u16::try_from(shift) {
            Ok(shift) if shift <= most => {
                let digits = u16::try_from(value >> shift).unwrap_or(u16::MAX >> (16 - Self::DIGITS));
                Self(shift << Self::DIGITS | digits)
            }
            Ok(_) | Err(_) => Self(u16::MAX),
        }
    }

    fn value(self) -> u64 {
        u64::from(self.0 & ((1 << Self::DIGITS) - 1)) << (self.0 >> Self::DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub::UNDO_BYTES;
    use super::*;
    use lb_shared::fixture;

    #[test]
    fn small_numbers_are_exact_and_big_ones_nearly() {
        for value in (0..2_048).chain([4_655, 10_001, 123_456_789, 1 << 41]) {
            let small = Small::of(value).value();
            assert!(
                small <= value && value - small <= value / 1_024,
                "{value}: {small}"
            );
            assert!(value >= 2_048 || small == value, "{value}");
        }
        assert_eq!(Small::of(u64::MAX).value(), 2_047 << 31);
    }

    fn asked(objects: Vec<ObjectId>) -> HistoryAsk {
        HistoryAsk {
            objects,
            ..HistoryAsk::default()
        }
    }

    #[test]
    fn samples_tell_what_was_and_what_was_not_there() {
        let demo = fixture::demo();
        let mut state = demo.snapshot.state.clone();
        let samples = Samples::default();
        let server: ServerId = "203.0.113.10:443/tcp/198.51.100.24:443".parse().unwrap();
        let second = |n: u64| Mono(n * 1_000_000);
        samples.take(&state, &demo.counters, second(5));
        let removed = state.servers.remove(&server);
        samples.take(&state, &demo.counters, second(10));
        state.servers.extend(removed.map(|it| (server.clone(), it)));
        samples.take(&state, &demo.counters, second(15));
        let objects = vec![
            ObjectId::Server(server.clone()),
            ObjectId::Service(server.service.clone()),
            ObjectId::Instance("VI_int".into()),
        ];
        let history = samples.history(&asked(objects), second(16), 1_000_000).unwrap();
        assert_eq!(history.at, [second(5), second(10), second(15)]);
        let states = |nth: usize| -> Vec<&str> {
            let row = history.rows[nth].samples.iter();
            row.map(|it| it.map_or("-", |it| it.state.word())).collect()
        };
        assert_eq!(states(0), ["DRAIN", "-", "DRAIN"]);
        assert_eq!(states(1), ["UP", "UP", "UP"]);
        assert_eq!(states(2), ["BACKUP", "BACKUP", "BACKUP"]);
        assert_eq!(history.rows[0].samples[0].unwrap().active, 37);
        let sums: Vec<u64> = history.rows[1]
            .samples
            .iter()
            .flatten()
            .map(|it| it.active)
            .collect();
        assert_eq!(sums[0] - sums[1], 37);
        assert_eq!(samples.counters_at(second(12)).unwrap().at, second(10));
        assert!(samples.counters_at(second(4)).is_none());
    }

    #[test]
    fn the_past_is_cut_by_age_and_thinned_by_step() {
        let demo = fixture::demo();
        let samples = Samples::default();
        let second = |n: u64| Mono(n * 1_000_000);
        for n in 0..400 {
            samples.take(&demo.snapshot.state, &demo.counters, second(n * 5));
        }
        let at = |since_ms, step_ms| {
            let ask = HistoryAsk {
                since_ms,
                step_ms,
                ..asked(vec![ObjectId::Instance("VI_int".into())])
            };
            samples.history(&ask, second(1_996), 0).unwrap().at
        };
        assert_eq!(at(None, None).len(), 180);
        assert_eq!(at(None, None)[0], second(1_100));
        assert_eq!(
            at(Some(21_000), None),
            [1_975, 1_980, 1_985, 1_990, 1_995].map(second)
        );
        assert_eq!(at(Some(21_000), Some(10_000)), [1_975, 1_985, 1_995].map(second));
        let everything = samples.history(&asked(Vec::new()), second(1_996), 0).unwrap();
        let state = &demo.snapshot.state;
        let all = state.servers.len() + state.services.len() + state.instances.len();
        assert_eq!(everything.rows.len(), all);
    }

    #[test]
    fn a_question_for_too_much_is_refused_with_what_to_do() {
        let demo = fixture::big();
        let samples = Samples::default();
        for n in 0..10 {
            samples.take(&demo.snapshot.state, &demo.counters, Mono(n));
        }
        let refusal = samples.history(&asked(Vec::new()), Mono(20), 0).unwrap_err();
        assert!(refusal.message.contains("objects at 10 moments"), "{refusal}");
        assert!(refusal.hint.contains("longer step"));
    }

    /// The worst case: every number of every server is another one in every sample.
    #[test]
    fn fifty_thousand_servers_stay_below_64_mib() {
        let mut demo = fixture::big();
        let samples = Samples::default();
        let count = demo.snapshot.state.servers.len();
        let step_us = u64::try_from(step(count).as_micros()).unwrap();
        let mut frames: Vec<Frame> = Vec::new();
        for round in 0..3 {
            for it in demo.counters.servers.values_mut() {
                it.active = round;
                it.inactive = round;
                it.connections_per_s = round;
                it.bytes_in_per_s = round;
                it.bytes_out_per_s = round;
                it.check_us = Some(round + 1);
            }
            let frame = Frame::of(
                &demo.snapshot.state,
                &demo.counters,
                Mono(round * step_us),
                frames.last(),
            );
            frames.push(frame);
        }
        samples.lock().extend(frames.iter().cloned());
        let first = frames[0].bytes_beyond(None);
        let each = frames[2].bytes_beyond(Some(&frames[1]));
        let kept = usize::try_from(KEPT_MS * 1_000 / step_us).unwrap() + 1;
        // Of each server's runs of checks 16 of 16 bytes; of events what takes them back.
        let all = first + each * (kept - 1) + count * 16 * 16 + limits::UNDO_KEPT * UNDO_BYTES;
        assert!(each <= count * 14, "a sample is {each} bytes");
        assert!(all < 64 << 20, "{all} bytes");
    }
}
