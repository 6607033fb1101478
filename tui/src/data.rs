//! What is known about the agent: its state, folded from its events, with what is derived from both.

use lb_shared::counters::Counters;
use lb_shared::event::{Numbered, What};
use lb_shared::excerpt::{Excerpt, Sums};
use lb_shared::names::{InstanceName, ServiceKey, TrackerName};
use lb_shared::problems::{self, Problem, Tally};
use lb_shared::request::{Role, Snapshot};
use lb_shared::state::{ObjectId, State, VrrpState};
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
/// Seconds between two samples of a service.
const SERVICE_STEP: u64 = 5;
/// How long before an event its cause may lie.
const CAUSE_WITHIN_MS: u64 = 10_000;

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
    /// What is known of the objects that are still to come, while only a first part of the state is here.
    early: Option<Box<Sums>>,
}

/// Past sums, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) per_s: VecDeque<u64>,
    pub(crate) active: VecDeque<u64>,
    pub(crate) bytes_in: VecDeque<u64>,
    pub(crate) bytes_out: VecDeque<u64>,
    pub(crate) services: BTreeMap<ServiceKey, VecDeque<u64>>,
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
        self.role = snapshot.role.or(self.role);
        self.seq = snapshot.seq;
        self.version += 1;
        self.set_clock(at, snapshot.now, snapshot.wall_ms);
        self.derived = false;
    }

    /// Takes the part of the state that the first screen shows.
    pub(crate) fn excerpt(&mut self, at: Duration, excerpt: Excerpt) {
        self.snapshot(at, excerpt.snapshot);
        self.counters = excerpt.counters;
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
            self.state.apply(&event.event);
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
        counters.at = window.at;
        counters.instances.extend(window.instances);
        counters.servers.extend(window.servers);
        for id in &window.gone {
            counters.servers.remove(id);
        }
        if let Rows::These(ids) = rows
            && counters.servers.len() > ids.len()
        {
            let seen: BTreeSet<_> = ids.iter().collect();
            counters.servers.retain(|id, _| seen.contains(id));
        }
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
            for (key, sum) in &self.services {
                let samples = history.services.entry(key.clone()).or_default();
                moved |= remember(samples, sum.connections_per_s);
            }
        }
        moved
    }

    /// A restarted agent counts from zero: nothing sampled before means anything.
    pub(crate) fn forget_samples(&mut self) {
        self.counters = None;
        self.totals = None;
        self.services = BTreeMap::new();
        self.history = History::default();
    }

    /// Another number for every state there was.
    pub(crate) fn version(&self) -> u64 {
        self.version
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
        let (problems, services, servers) = (
            problems::problems(&view),
            view.service_tally(),
            view.server_tally(),
        );
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

    /// The event that most likely caused another: the nearest before it that its object depends on.
    pub(crate) fn cause(&self, of: &Numbered) -> Option<&Numbered> {
        let at = self.events.partition_point(|event| event.seq < of.seq);
        self.events
            .iter()
            .take(at)
            .rev()
            .take_while(|event| event.wall_ms.saturating_add(CAUSE_WITHIN_MS) >= of.wall_ms)
            .find(|event| self.leads_to(event, of))
            .map(|event| &**event)
    }

    /// The events that name this one as their cause.
    pub(crate) fn effects(&self, of: &Numbered) -> Vec<&Numbered> {
        let at = self.events.partition_point(|event| event.seq <= of.seq);
        self.events
            .iter()
            .skip(at)
            .take_while(|event| of.wall_ms.saturating_add(CAUSE_WITHIN_MS) >= event.wall_ms)
            .filter(|event| self.cause(event).is_some_and(|cause| cause.seq == of.seq))
            .map(|event| &**event)
            .collect()
    }

    fn leads_to(&self, from: &Numbered, to: &Numbered) -> bool {
        let (from, to) = (&from.event, &to.event);
        match (&from.object, &to.object) {
            (ObjectId::Tracker(tracker), ObjectId::Instance(name)) => {
                let moved = matches!(from.what, What::TrackerFailed | What::TrackerOk | What::LinkDown)
                    || from.what.topic() == "link";
                moved && about_standing(to.what) && self.depends(name, tracker)
            }
            (ObjectId::Instance(a), ObjectId::Instance(b)) => {
                a == b && from.what == What::PriorityChanged && about_role(to.what)
            }
            (ObjectId::Instance(name), ObjectId::Group(group)) => {
                about_role(from.what)
                    && self
                        .state
                        .groups
                        .get(group)
                        .is_some_and(|it| it.members.contains(name))
            }
            (ObjectId::Server(id), ObjectId::Service(key)) => {
                matches!(
                    (from.what, to.what),
                    (
                        What::ServerDown | What::WeightChanged | What::DrainStarted,
                        What::QuorumLost
                    ) | (What::ServerUp | What::WeightChanged, What::QuorumGained)
                ) && id.service == *key
            }
            (ObjectId::Server(a), ObjectId::Server(b)) => {
                a == b && from.what.topic() == "action" && to.what == What::WeightChanged
            }
            (ObjectId::Override(target), object) => {
                let same = match target {
                    lb_shared::state::Target::Server(id) => *object == ObjectId::Server(id.clone()),
                    lb_shared::state::Target::Instance(name) => *object == ObjectId::Instance(name.clone()),
                };
                same && to.what != What::ServerDown && to.what != What::ServerUp
            }
            _ => false,
        }
    }

    fn depends(&self, name: &InstanceName, tracker: &TrackerName) -> bool {
        self.state.instances.get(name).is_some_and(|it| {
            let named = it.terms.iter().any(|term| term.tracker == *tracker);
            let own = match tracker {
                TrackerName::Interface(interface) => it.interface.as_ref() == Some(interface),
                _ => false,
            };
            named || own
        })
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

    /// An instance's states over the minutes before `wall_ms`, oldest first; the worst within a minute wins.
    pub(crate) fn strip(&self, name: &InstanceName, wall_ms: u64, minutes: usize) -> String {
        const MINUTE: u64 = 60_000;
        let Some(view) = self.state.instances.get(name) else {
            return ".".repeat(minutes);
        };
        let changes = self.changes(name);
        let known_from = self.events.front().map_or(u64::MAX, |event| event.wall_ms);
        let since_ms = wall_ms.saturating_sub(millis(self.clock(self.at).0.since(view.since)));
        (0..minutes)
            .map(|nth| {
                let to = wall_ms.saturating_sub(MINUTE * (minutes - 1 - nth) as u64);
                let from = to.saturating_sub(MINUTE);
                let mut worst = None;
                if to > since_ms {
                    worst = Some(view.state);
                }
                for (i, (at, before, after)) in changes.iter().enumerate() {
                    let previous = i.checked_sub(1).map_or(known_from, |i| changes[i].0);
                    let next = changes.get(i + 1).map_or(u64::MAX, |next| next.0);
                    if *at > from && previous < to {
                        worst = worse(worst, *before);
                    }
                    if *at < to && next > from {
                        worst = worse(worst, Some(*after));
                    }
                }
                worst.map_or('.', mark)
            })
            .collect()
    }

    /// Changes of state: when, from what (as far as it is told), to what.
    fn changes(&self, name: &InstanceName) -> Vec<(u64, Option<VrrpState>, VrrpState)> {
        self.events
            .iter()
            .filter(|event| matches!(&event.event.object, ObjectId::Instance(own) if own == name))
            .filter_map(|event| {
                let after = match event.event.what {
                    What::BecameInit => VrrpState::Init,
                    What::BecameBackup => VrrpState::Backup,
                    What::BecameMaster => VrrpState::Master,
                    What::BecameFault => VrrpState::Fault,
                    _ => return None,
                };
                let word = event.event.text.split(' ').next().unwrap_or_default();
                let before = [
                    VrrpState::Init,
                    VrrpState::Backup,
                    VrrpState::Master,
                    VrrpState::Fault,
                ]
                .into_iter()
                .find(|state| state.word() == word);
                Some((event.wall_ms, before, after))
            })
            .collect()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn worse(a: Option<VrrpState>, b: Option<VrrpState>) -> Option<VrrpState> {
    let rank = |state: VrrpState| match state {
        VrrpState::Master => 1,
        VrrpState::Backup => 2,
        VrrpState::Init => 3,
        VrrpState::Fault => 4,
    };
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(b) > rank(a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn mark(state: VrrpState) -> char {
    match state {
        VrrpState::Master => '#',
        VrrpState::Backup => '-',
        VrrpState::Init => '?',
        VrrpState::Fault => '!',
    }
}

fn about_role(what: What) -> bool {
    matches!(
        what,
        What::BecameInit | What::BecameBackup | What::BecameMaster | What::BecameFault
    )
}

fn about_standing(what: What) -> bool {
    about_role(what) || what == What::PriorityChanged
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
mod tests {
    use super::*;
    use lb_shared::fixture;

    fn data() -> (Data, Duration) {
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
    fn a_strip_shows_the_worst_of_each_minute_and_dots_for_what_is_not_known() {
        let (data, at) = data();
        let (_, wall_ms) = data.clock(at);
        let strip = data.strip(&"VI_int".into(), wall_ms, 60);
        // The log begins at 09:07:26, three seconds before the fall.
        assert_eq!(strip, format!("{}{}", ".".repeat(47), "-".repeat(13)));
        assert_eq!(data.strip(&"VI_mgmt".into(), wall_ms, 5), "!!!!!");
        assert_eq!(data.strip(&"nobody".into(), wall_ms, 3), "...");
    }

    #[test]
    fn an_event_is_traced_to_what_its_object_depends_on() {
        let (data, _) = data();
        let fell = data.find(1_185).unwrap();
        assert_eq!(data.cause(fell).map(|cause| cause.seq), Some(1_184));
        let failed = data.find(1_184).unwrap();
        let effects: Vec<u64> = data.effects(failed).iter().map(|event| event.seq).collect();
        assert_eq!(effects, [1_185]);
        assert_eq!(data.cause(data.find(1_186).unwrap()), None);
    }

    #[test]
    fn an_event_a_snapshot_contains_is_not_folded_again() {
        let (mut data, at) = data();
        let mut event = (*data.events[0]).clone();
        event.event.changes = vec![lb_shared::event::Change::Remove(ObjectId::Instance(
            "VI_int".into(),
        ))];
        data.event(at, event.clone());
        assert!(data.state.instances.contains_key(&"VI_int".into()));
        event.seq = 2_000;
        data.event(at, event);
        assert!(!data.state.instances.contains_key(&"VI_int".into()));
        assert_eq!(data.events.back().map(|event| event.seq), Some(2_000));
    }
}
