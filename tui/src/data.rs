//! What is known about the agent: its state, folded from its events, with what is derived from both.

use crate::survey::{Survey, Touched};
use lb_shared::counters::Counters;
use lb_shared::event::{Change, Numbered, What};
use lb_shared::excerpt::{Excerpt, Sums};
use lb_shared::filter::Load;
use lb_shared::names::ServiceKey;
use lb_shared::problems::{Problem, Tally};
use lb_shared::request::{Role, Snapshot};
use lb_shared::state::{Object, ObjectId, State};
use lb_shared::units::Mono;
use lb_shared::view::{Totals, View};
use lb_shared::window::{CounterSums, Rows, Window};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// The most events that are kept.
const EVENTS_MAX: usize = 20_000;
/// The most samples of a sparkline that are kept; one per second for the whole, one per five seconds for a service.
const SAMPLES_MAX: usize = 300;
/// The most samples one sparkline shows.
const SAMPLES_SHOWN: usize = 64;
/// The most services of which more than the new connections is kept: ten kilobytes each.
const CARRIED_MAX: usize = 500;
/// Seconds between two samples of a service.
const SERVICE_STEP: u64 = 5;

/// Everything known about one agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Data {
    pub(crate) state: State,
    pub(crate) role: Option<Role>,
    /// Of the servers that are looked at.
    pub(crate) counters: Option<Counters>,
    /// The oldest first.
    pub(crate) events: VecDeque<Rc<Numbered>>,
    /// Sums of the last counters of all servers: over everything, and by service.
    pub(crate) totals: Option<Totals>,
    pub(crate) services: BTreeMap<ServiceKey, Totals>,
    pub(crate) history: History,
    pub(crate) problems: Vec<Problem>,
    pub(crate) service_tally: Tally,
    pub(crate) server_tally: Tally,
    seq: u64,
    /// The agent's clocks and ours at the same moment.
    mono: Mono,
    wall_ms: u64,
    at: Duration,
    derived: bool,
    /// Grows with every change of the state, and with every change of the numbers.
    version: u64,
    samples: u64,
    /// Grows when there are other services or servers, or with another name or place.
    roster: u64,
    /// Grows when the numbers are those of other servers.
    counted: u64,
    /// What is known of the objects that are still to come, while only a first part of the state is here.
    early: Option<Box<Sums>>,
    survey: Survey,
    /// What the list of servers asks of the counters, in their order; `None` until it asks.
    loads: Option<Vec<Load>>,
    pub(crate) touched: Touched,
}

/// Past sums, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) per_s: VecDeque<u64>,
    pub(crate) active: VecDeque<u64>,
    pub(crate) bytes_in: VecDeque<u64>,
    pub(crate) bytes_out: VecDeque<u64>,
    /// New connections per second of each service.
    pub(crate) services: BTreeMap<ServiceKey, VecDeque<u64>>,
    /// Active connections, bytes in and out per second of each service, unless there are very many.
    pub(crate) carried: BTreeMap<ServiceKey, [VecDeque<u64>; 3]>,
    sampled_s: Option<u64>,
    services_s: Option<u64>,
}

/// Whether a sparkline looks different with it.
fn remember(samples: &mut VecDeque<u64>, value: u64) -> bool {
    let mut last = samples.iter().rev().take(SAMPLES_SHOWN);
    let moved = last.len() < SAMPLES_SHOWN || last.any(|sample| *sample != value);
    if samples.len() == SAMPLES_MAX {
        samples.pop_front();
    }
    samples.push_back(value);
    moved
}

impl Data {
    /// Takes a whole state; events and history stay.
    pub(crate) fn snapshot(&mut self, at: Duration, snapshot: Snapshot) {
        self.early = None;
        self.state = snapshot.state;
        self.survey = Survey::of(&self.state);
        self.touched = Touched::all();
        self.role = snapshot.role.or(self.role);
        self.seq = snapshot.seq;
        self.version += 1;
        self.roster += 1;
        self.set_clock(at, snapshot.now, snapshot.wall_ms);
        self.derived = false;
    }

    /// Takes the part of the state that the first screen shows.
    pub(crate) fn excerpt(&mut self, at: Duration, excerpt: Excerpt) {
        self.snapshot(at, excerpt.snapshot);
        self.counters = excerpt.counters;
        self.loads = None;
        self.counted += 1;
        let all = excerpt.sums.all.as_ref();
        self.totals = all.and_then(|all| all.totals);
        let services = excerpt.sums.of_services.iter();
        self.services = services
            .filter_map(|(key, sum)| Some((key.clone(), sum.totals?)))
            .collect();
        self.early = Some(Box::new(excerpt.sums));
    }

    /// Whether most of the state is still to come.
    pub(crate) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// How many services there are.
    pub(crate) fn service_count(&self) -> usize {
        match self.early.as_ref().and_then(|sums| sums.all.as_ref()) {
            Some(all) => all.services.iter().map(|(_, count)| *count as usize).sum(),
            None => self.state.services.len(),
        }
    }

    /// How everything was at a moment of the past, as the agent tells it, shown at `at`.
    pub(crate) fn at(&self, at: Duration, was: &lb_shared::history::Past, to_ms: u64) -> Self {
        let events = self.events.iter().filter(|event| event.wall_ms <= to_ms);
        let mut then = Self {
            role: self.role,
            events: events.cloned().collect(),
            ..Self::default()
        };
        then.snapshot(at, was.snapshot.clone());
        // No number a state of now has.
        then.version = 1 << 63 | to_ms;
        (then.roster, then.counted) = (then.version, then.version);
        if let Some(counters) = &was.counters {
            then.sample(counters.clone());
        }
        then
    }

    /// Takes past events, oldest first, in place of all before.
    pub(crate) fn backlog(&mut self, events: Vec<Numbered>) {
        self.events = events.into_iter().map(Rc::new).collect();
        self.trim();
    }

    /// Folds one event. Those a snapshot already contains are only listed.
    pub(crate) fn event(&mut self, at: Duration, event: Numbered) {
        if event.seq > self.seq {
            for change in &event.event.changes {
                self.roster += u64::from(changes_roster(&self.state, change));
                self.survey.take(&self.state, change);
                self.touched.take(change);
                self.state.apply_change(change);
            }
            self.seq = event.seq;
            self.version += 1;
            self.derived = false;
            let (_, wall_ms) = self.clock(at);
            // The clock of the agent's host was set.
            if wall_ms.abs_diff(event.wall_ms) > 2_000 {
                self.set_clock(at, event.event.at, event.wall_ms);
            }
        }
        if event.event.what != What::Present && self.events.back().is_none_or(|last| last.seq < event.seq) {
            self.events.push_back(Rc::new(event));
            self.trim();
        }
    }

    /// Takes a sample of all counters.
    pub(crate) fn sample(&mut self, counters: Counters) {
        let sums = CounterSums::of(&counters);
        self.totals = Some(sums.all);
        self.services = sums.services;
        let at = counters.at;
        self.counters = Some(counters);
        self.loads = None;
        self.counted += 1;
        self.samples += 1;
        self.draw_on(at);
    }

    /// Takes what changed of the numbers of these rows.
    pub(crate) fn window(&mut self, rows: &Rows, window: Window) {
        if window.whole {
            self.counters = None;
            self.services = BTreeMap::new();
        }
        let counters = self.counters.get_or_insert_default();
        let before = counters.servers.len();
        counters.at = window.at;
        counters.instances.extend(window.instances);
        self.loads = take(&mut counters.servers, window.servers, |it| Load::from(it));
        let mut others = window.whole || counters.servers.len() != before;
        for id in &window.gone {
            others |= counters.servers.remove(id).is_some();
        }
        if others {
            self.loads = None;
        }
        if let Rows::These(ids) = rows
            && counters.servers.len() > ids.len()
        {
            let seen: BTreeSet<_> = ids.iter().collect();
            counters.servers.retain(|id, _| seen.contains(id));
            self.loads = None;
            others = true;
        }
        self.counted += u64::from(others);
        self.totals = window.totals.or(self.totals);
        self.services.extend(window.services);
        self.samples += 1;
        self.draw_on(window.at);
    }

    /// All numbers are as they were; whether a sparkline looks different nevertheless.
    pub(crate) fn still(&mut self, at: Mono) -> bool {
        if let Some(counters) = &mut self.counters {
            counters.at = at;
        }
        self.draw_on(at)
    }

    /// Adds the sums of now to the sparklines; whether one looks different.
    fn draw_on(&mut self, at: Mono) -> bool {
        let Some(all) = self.totals else { return false };
        let second = at.0 / 1_000_000;
        let history = &mut self.history;
        let mut moved = false;
        if history.sampled_s.is_none_or(|last| last < second) {
            history.sampled_s = Some(second);
            moved |= remember(&mut history.per_s, all.connections_per_s);
            moved |= remember(&mut history.active, all.active);
            moved |= remember(&mut history.bytes_in, all.bytes_in_per_s);
            moved |= remember(&mut history.bytes_out, all.bytes_out_per_s);
        }
        if history
            .services_s
            .is_none_or(|last| last + SERVICE_STEP <= second)
        {
            history.services_s = Some(second);
            // Looking for what is gone takes longer than all the rest.
            if self.services.len() != self.state.services.len() {
                let state = &self.state;
                self.services.retain(|key, _| state.services.contains_key(key));
            }
            if history.services.len() != self.services.len() {
                let services = &self.services;
                history.services.retain(|key, _| services.contains_key(key));
            }
            let few = self.services.len() <= CARRIED_MAX;
            if !few || history.carried.len() != self.services.len() {
                let services = &self.services;
                history.carried.retain(|key, _| few && services.contains_key(key));
            }
            for (key, sum) in &self.services {
                let samples = history.services.entry(key.clone()).or_default();
                moved |= remember(samples, sum.connections_per_s);
                if few {
                    let [active, bytes_in, bytes_out] = history.carried.entry(key.clone()).or_default();
                    moved |= remember(active, sum.active);
                    moved |= remember(bytes_in, sum.bytes_in_per_s);
                    moved |= remember(bytes_out, sum.bytes_out_per_s);
                }
            }
        }
        moved
    }

    /// A restarted agent counts from zero: nothing sampled before means anything.
    pub(crate) fn forget_samples(&mut self) {
        self.counters = None;
        self.loads = None;
        self.counted += 1;
        self.totals = None;
        self.services = BTreeMap::new();
        self.history = History::default();
    }

    /// Reads what [`Data::loads`] gives, if it was not read on the way.
    pub(crate) fn weigh(&mut self) {
        if self.loads.is_none() {
            let counted = self.counters.as_ref().map(|it| it.servers.values());
            self.loads = Some(counted.into_iter().flatten().map(Load::from).collect());
        }
    }

    /// What each counted server carries, in the order of the counters.
    pub(crate) fn loads(&self) -> &[Load] {
        self.loads.as_deref().unwrap_or_default()
    }

    /// Another number for every state there was.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Another number whenever there are other services or servers, or with another name or place.
    pub(crate) fn roster(&self) -> u64 {
        self.roster
    }

    /// Another number whenever the numbers are those of other servers.
    pub(crate) fn counted(&self) -> u64 {
        self.counted
    }

    /// Another number for all numbers there were.
    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// Computes what is derived from the state, if the state changed since.
    pub(crate) fn derive(&mut self) {
        if self.derived {
            return;
        }
        self.derived = true;
        let view = View::new(&self.state, self.mono, self.wall_ms).with_sums(self.early.as_deref());
        let problems = self.survey.problems(&view);
        let services = view.service_tally();
        let servers = match self.early {
            Some(_) => view.server_tally(),
            None => self.survey.tally(),
        };
        self.problems = problems;
        self.service_tally = services;
        self.server_tally = servers;
    }

    /// The agent's clocks at a moment of ours: time since it started, and Unix time in milliseconds.
    pub(crate) fn clock(&self, at: Duration) -> (Mono, u64) {
        let passed = at.saturating_sub(self.at);
        let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        (self.mono + passed, self.wall_ms.saturating_add(ms))
    }

    /// The state as seen at a moment of ours.
    pub(crate) fn view(&self, at: Duration) -> View<'_> {
        let (now, wall_ms) = self.clock(at);
        let view = View::new(&self.state, now, wall_ms)
            .with_counters(self.counters.as_ref())
            .with_sums(self.early.as_deref());
        match &self.totals {
            Some(all) => view.with_totals(all, &self.services),
            None => view,
        }
    }

    /// The event of that number.
    pub(crate) fn find(&self, seq: u64) -> Option<&Numbered> {
        let at = self.events.binary_search_by_key(&seq, |event| event.seq).ok()?;
        self.events.get(at).map(|event| &**event)
    }

    fn trim(&mut self) {
        let over = self.events.len().saturating_sub(EVENTS_MAX);
        self.events.drain(..over);
    }

    fn set_clock(&mut self, at: Duration, mono: Mono, wall_ms: u64) {
        self.at = at;
        self.mono = mono;
        self.wall_ms = wall_ms;
    }
}

/// Takes what changed. Where that is much, one walk over both is quicker than to look for each; then an extract of all
/// values comes back, read while they are at hand.
fn take<K: Ord, V, E>(
    into: &mut BTreeMap<K, V>,
    changed: Vec<(K, V)>,
    extract: impl Fn(&V) -> E,
) -> Option<Vec<E>> {
    const FEW: usize = 8;
    if changed.len() < into.len() / FEW {
        into.extend(changed);
        return None;
    }
    let mut changed = changed.into_iter().peekable();
    let mut new = Vec::new();
    let mut extracts = Vec::with_capacity(into.len());
    for (key, value) in into.iter_mut() {
        // Most often it is this one: to see that takes less than to see which of two is first.
        if let Some((_, now)) = changed.next_if(|it| it.0 == *key) {
            extracts.push(extract(&now));
            *value = now;
            continue;
        }
        while let Some(it) = changed.next_if(|it| it.0 < *key) {
            new.push(it);
        }
        if let Some((_, now)) = changed.next_if(|it| it.0 == *key) {
            *value = now;
        }
        extracts.push(extract(value));
    }
    let whole = new.is_empty() && changed.peek().is_none();
    into.extend(new.into_iter().chain(changed));
    whole.then_some(extracts)
}

/// Whether with this change there are other services or servers, or with another name or place.
fn changes_roster(state: &State, change: &Change) -> bool {
    match change {
        Change::Put(Object::Server(view)) => !state.servers.contains_key(&view.id),
        Change::Put(Object::Service(view)) => state
            .services
            .get(&view.key)
            .is_none_or(|known| known.order != view.order || known.name != view.name),
        Change::Remove(ObjectId::Server(_) | ObjectId::Service(_)) => true,
        Change::Put(_) | Change::Remove(_) => false,
    }
}

/// The mark of an event in lists.
pub(crate) fn event_mark(event: &Numbered) -> char {
    match event.event.what {
        What::BecameMaster | What::BecameBackup | What::BecameFault | What::BecameInit => '#',
        What::QuorumLost => '*',
        What::ServerUp | What::QuorumGained | What::TrackerOk | What::LinkUp | What::KernelRecovered => '+',
        what => match what.level() {
            lb_shared::event::Level::Error | lb_shared::event::Level::Warning => '!',
            _ if what.topic() == "action" => '~',
            _ => '.',
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lb_shared::fixture;
    use proptest::prelude::*;
    use std::sync::Arc;

    pub(crate) fn data() -> (Data, Duration) {
        let demo = fixture::demo();
        let mut data = Data::default();
        let at = Duration::from_secs(5);
        data.snapshot(at, demo.snapshot);
        data.backlog(demo.events);
        data.sample(demo.counters);
        data.derive();
        (data, at)
    }

    #[test]
    fn sums_are_those_of_the_state() {
        let (data, at) = data();
        assert_eq!(data.view(at).totals(), data.totals);
        let key = "203.0.113.10:443/tcp".parse().unwrap();
        assert_eq!(
            data.view(at).service_totals(&key).as_ref(),
            data.services.get(&key)
        );
    }

    #[test]
    fn an_event_a_snapshot_contains_is_not_folded_again() {
        let (mut data, at) = data();
        let mut event = (*data.events[0]).clone();
        event.event.changes = vec![Change::Remove(ObjectId::Instance("VI_int".into()))];
        data.event(at, event.clone());
        assert!(data.state.instances.contains_key(&"VI_int".into()));
        event.seq = 2_000;
        data.event(at, event);
        assert!(!data.state.instances.contains_key(&"VI_int".into()));
        assert_eq!(data.events.back().map(|event| event.seq), Some(2_000));
    }

    proptest! {
        #[test]
        fn what_changed_is_taken_in_whatever_order_it_comes(
            mut held in prop::collection::btree_map(0u8..40, 0u32..9, 0..40),
            changed in prop::collection::vec((0u8..40, 10u32..19), 0..40),
        ) {
            let mut want = held.clone();
            want.extend(changed.iter().copied());
            if let Some(extracts) = take(&mut held, changed, |value| *value) {
                prop_assert_eq!(extracts, held.values().copied().collect::<Vec<_>>());
            }
            prop_assert_eq!(held, want);
        }
    }

    #[test]
    fn another_server_is_another_roster_and_another_state_of_one_is_not() {
        let (mut data, at) = data();
        let view = Arc::clone(data.state.servers.values().next().unwrap());
        let mut new = (*view).clone();
        new.id.server.port += 1;
        let id = ObjectId::Server(new.id.clone());
        let mut roster = data.roster();
        for (change, differs) in [
            (Change::Put(Object::Server(view)), false),
            (Change::Put(Object::Server(Arc::new(new))), true),
            (Change::Remove(id), true),
            (Change::Remove(ObjectId::Instance("VI_int".into())), false),
        ] {
            let mut event = (**data.events.back().unwrap()).clone();
            event.seq += 1_000;
            event.event.changes = vec![change];
            data.event(at, event.clone());
            assert_eq!(data.roster() != roster, differs, "{:?}", event.event.changes);
            roster = data.roster();
        }
    }
}
