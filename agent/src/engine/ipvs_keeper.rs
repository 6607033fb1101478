//! Keeps the kernel's IPVS table as it should be.
//!
//! `have` is what the kernel holds as far as we know: the last dump, plus every operation sent since, as if it had
//! worked. What did not work comes back and makes us look again.

use super::action::{Action, BatchId};
use super::input::OpError;
use crate::ipvs::{IpvsOp, plan_service};

use crate::ipvs::table::{IpvsService, IpvsTable, SyncDaemon, SyncRole};
use lb_shared::names::VirtualKey;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Between two looks at the whole table: IPVS tells nobody about changes.
const AUDIT_INTERVAL: Duration = Duration::from_secs(10);
/// While something is being drained.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// A dump that did not come within this time is asked for again.
const DUMP_TIMEOUT: Duration = Duration::from_secs(5);
/// Corrections of one service within [`FIGHT_WINDOW`] after which somebody is fighting us.
const FIGHT_COUNT: usize = 3;
const FIGHT_WINDOW: Duration = Duration::from_secs(300);
/// How often a fought-over service is still put right.
const FIGHT_PAUSE: Duration = Duration::from_secs(60);

/// How many services of a table that was read are compared in one go: with many thousand of them there is time for
/// everything else in between.
const AUDIT_SLICE: usize = 100;
/// The next slice comes after whatever is due by then.
const AUDIT_PAUSE: Duration = Duration::from_micros(1);

/// Before a sync daemon that was refused is tried again.
const SYNC_PAUSE: Duration = Duration::from_secs(5);

/// Whether there is an IPVS to talk to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Status {
    /// Nothing heard yet.
    Unknown,
    Available,
    Missing(String),
}

/// What the engine should say about the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Note {
    Available,
    Missing(String),
    Healed {
        key: VirtualKey,
        text: String,
        fight: bool,
    },
    Refused {
        key: Option<VirtualKey>,
        text: String,
    },
    Recovered(VirtualKey),
    /// The kernel's view of this service is now what we want.
    Settled(VirtualKey),
}

#[derive(Clone, Debug)]
struct Failure {
    text: String,
    tries: u32,
    retry_at: Mono,
    /// Its pause is over: the next plan tries again.
    due: bool,
}

#[derive(Clone, Debug)]
struct Batch {
    id: BatchId,
    ops: Vec<IpvsOp>,
    /// The services they are about.
    keys: BTreeSet<VirtualKey>,
    /// Sent after the dump that is under way was asked for, so the dump will not show it.
    after_dump: bool,
}

#[derive(Clone, Debug)]
pub(super) struct IpvsKeeper {
    status: Status,
    have: IpvsTable,
    in_flight: VecDeque<Batch>,
    dump_asked_at: Option<Mono>,
    dumped_at: Option<Mono>,
    audit_at: Mono,
    /// When to look next while something is being drained.
    watch_at: Mono,
    dirty: BTreeSet<VirtualKey>,
    audit: Audit,
    /// Services that are ours to remove.
    owned: BTreeSet<VirtualKey>,
    failed: BTreeMap<VirtualKey, Failure>,
    corrections: BTreeMap<VirtualKey, VecDeque<Mono>>,
    sysctls: BTreeMap<&'static str, String>,
    sync: Sync,
    next_batch: u64,
}

/// What is left to be compared of the last table.
#[derive(Clone, Debug, Default)]
struct Audit {
    keys: BTreeSet<VirtualKey>,
    go_on_at: Mono,
    /// The table before it; to forget so much takes its time, too.
    before: IpvsTable,
}

/// The daemons that copy connections.
#[derive(Clone, Debug, Default)]
struct Sync {
    /// As they were last wanted; empty: those there are belong to somebody else.
    wanted: BTreeMap<SyncRole, SyncDaemon>,
    /// What the kernel refused, and when it is tried again.
    refused: Option<(String, Mono)>,
}

impl IpvsKeeper {
    /// `owned`: services of an earlier run.
    pub(super) fn new(
        now: Mono,
        owned: BTreeSet<VirtualKey>,
        sysctls: BTreeMap<&'static str, String>,
    ) -> Self {
        Self {
            status: Status::Unknown,
            have: IpvsTable::default(),
            in_flight: VecDeque::new(),
            dump_asked_at: None,
            dumped_at: None,
            audit_at: now,
            watch_at: now,
            dirty: BTreeSet::new(),
            audit: Audit::default(),
            owned,
            failed: BTreeMap::new(),
            corrections: BTreeMap::new(),
            sysctls,
            sync: Sync::default(),
            next_batch: 0,
        }
    }

    /// A keeper that stands in while the real one is being asked.
    pub(super) fn idle() -> Self {
        Self::new(Mono::ZERO, BTreeSet::new(), BTreeMap::new())
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    pub(super) fn have(&self) -> &IpvsTable {
        &self.have
    }

    /// Batches the kernel has not answered yet, and whether a table was asked for.
    pub(super) fn unanswered(&self) -> (Vec<BatchId>, bool) {
        let batches = self.in_flight.iter().map(|batch| batch.id).collect();
        (batches, self.dump_asked_at.is_some())
    }

    pub(super) fn dumped_at(&self) -> Option<Mono> {
        self.dumped_at
    }

    pub(super) fn owned(&self) -> &BTreeSet<VirtualKey> {
        &self.owned
    }

    /// Nothing is on its way and nothing waits to be sent, refused services aside.
    pub(super) fn at_rest(&self) -> bool {
        match self.status {
            Status::Unknown => false,
            Status::Missing(_) => true,
            Status::Available => {
                self.in_flight.is_empty() && self.dirty.iter().all(|key| self.failed.contains_key(key))
            }
        }
    }

    /// Whether the kernel holds what this service needs, or why not.
    pub(super) fn settled(&self, key: &VirtualKey) -> Result<bool, &str> {
        if let Some(failure) = self.failed.get(key) {
            return Err(&failure.text);
        }
        Ok(self.status == Status::Available && !self.is_flying(key) && !self.dirty.contains(key))
    }

    fn is_flying(&self, key: &VirtualKey) -> bool {
        self.in_flight.iter().any(|batch| batch.keys.contains(key))
    }

    /// This service may need other entries than it has.
    pub(super) fn touch(&mut self, key: VirtualKey) {
        self.dirty.insert(key);
    }

    /// What has been refused, for people.
    pub(super) fn trouble(&self) -> Vec<String> {
        let services = self.failed.iter();
        services
            .map(|(key, failure)| format!("{key}: {}", failure.text))
            .chain(self.sync.refused.iter().map(|(text, _)| text.clone()))
            .collect()
    }

    /// When the table is to be read, or should have been.
    fn look_at(&self, watching: bool) -> Mono {
        match self.dump_asked_at {
            Some(asked_at) => asked_at + DUMP_TIMEOUT,
            // Where there is no IPVS there are no connections to count.
            None if watching && self.status == Status::Available => self.audit_at.min(self.watch_at),
            None => self.audit_at,
        }
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self, watching: bool) -> Mono {
        let go_on = (!self.audit.keys.is_empty()).then_some(self.audit.go_on_at);
        self.failed
            .values()
            .map(|failure| failure.retry_at)
            .chain(go_on)
            .fold(self.look_at(watching), Mono::min)
    }

    /// Nobody compares any more what the last table had.
    pub(super) fn skip_audit(&mut self) {
        self.audit.keys.clear();
    }

    /// Looks again when it is time to, and retries what was refused.
    pub(super) fn on_tick(&mut self, now: Mono, watching: bool, out: &mut VecDeque<Action>) {
        for (key, failure) in &mut self.failed {
            if failure.retry_at <= now {
                self.dirty.insert(*key);
                // Due once. The kernel's answer sets the next time; should none come, this one stands.
                failure.due = true;
                failure.retry_at = now + pause(failure.tries);
            }
        }
        match self.dump_asked_at {
            Some(asked_at) if asked_at + DUMP_TIMEOUT <= now => {
                // The one under way may still come: what was sent after it was asked for stays marked.
                self.dump_asked_at = Some(now);
                self.audit_at = now + AUDIT_INTERVAL;
                out.push_back(Action::DumpIpvs);
            }
            Some(_) => {}
            None if self.look_at(watching) <= now => self.ask(now, out),
            None => {}
        }
    }

    /// Asks for the whole table, unless it is already on its way.
    pub(super) fn ask(&mut self, now: Mono, out: &mut VecDeque<Action>) {
        if self.dump_asked_at.is_none() {
            self.dump_asked_at = Some(now);
            self.audit_at = now + AUDIT_INTERVAL;
            self.watch_at = now + WATCH_INTERVAL;
            self.in_flight
                .iter_mut()
                .for_each(|batch| batch.after_dump = false);
            out.push_back(Action::DumpIpvs);
        }
    }

    /// The kernel has no IPVS.
    pub(super) fn on_missing(&mut self, now: Mono, why: String) -> Vec<Note> {
        self.dump_asked_at = None;
        self.audit_at = now + AUDIT_INTERVAL;
        self.in_flight.clear();
        self.failed.clear();
        self.skip_audit();
        self.have = IpvsTable::default();
        let status = Status::Missing(why.clone());
        let news = self.status != status;
        self.status = status;
        if news {
            vec![Note::Missing(why)]
        } else {
            Vec::new()
        }
    }

    /// The whole table has been read. Everything we know about is compared with it: at once, or, when it is only to be
    /// seen whether all is as it was (`audit`), slice by slice.
    pub(super) fn on_table(
        &mut self,
        now: Mono,
        table: IpvsTable,
        audit: bool,
        wanted: impl Iterator<Item = VirtualKey>,
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        self.dump_asked_at = None;
        self.dumped_at = Some(now);
        self.audit.before = std::mem::replace(&mut self.have, table);
        for batch in self.in_flight.iter().filter(|batch| batch.after_dump) {
            for op in &batch.ops {
                // A refusal here will be reported by the kernel in its own time.
                let _ = self.have.apply(op);
            }
        }
        if self.status != Status::Available {
            if matches!(self.status, Status::Missing(_)) {
                notes.push(Note::Available);
            }
            self.status = Status::Available;
        }
        let known = wanted.chain(self.owned.iter().copied());
        if audit {
            self.audit.keys = known.collect();
            self.audit.go_on_at = now + AUDIT_PAUSE;
        } else {
            self.audit.keys.clear();
            self.dirty.extend(known);
        }
        notes
    }

    /// Sends what is missing for everything touched, and compares a slice of the last table. `want` says what a service
    /// should be.
    pub(super) fn plan(
        &mut self,
        now: Mono,
        want: impl Fn(&VirtualKey) -> Option<IpvsService>,
        out: &mut VecDeque<Action>,
    ) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.status != Status::Available {
            return notes;
        }
        let mut ops = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            ops.extend(self.plan_one(now, key, false, &want, &mut notes));
        }
        for _ in 0..AUDIT_SLICE {
            self.audit.before.services.pop_first();
            let Some(key) = self.audit.keys.pop_first() else {
                continue;
            };
            // What was touched is compared already: a difference is somebody else's doing.
            ops.extend(self.plan_one(now, key, true, &want, &mut notes));
        }
        if self.audit.keys.is_empty() {
            self.audit.before = IpvsTable::default();
        }
        self.audit.go_on_at = now + AUDIT_PAUSE;
        self.send(ops, out);
        notes
    }

    /// What one service lacks.
    fn plan_one(
        &mut self,
        now: Mono,
        key: VirtualKey,
        audit: bool,
        want: impl Fn(&VirtualKey) -> Option<IpvsService>,
        notes: &mut Vec<Note>,
    ) -> Vec<IpvsOp> {
        if self.failed.get(&key).is_some_and(|failure| !failure.due) {
            self.dirty.insert(key);
            return Vec::new();
        }
        let wanted = want(&key);
        let have = self.have.services.get(&key);
        if wanted.is_none() && !self.owned.contains(&key) {
            self.failed.remove(&key);
            return Vec::new();
        }
        let planned = plan_service(key, wanted.as_ref(), have);
        if planned.is_empty() && self.is_flying(&key) {
            // As we believe, but the kernel has not said so yet; its answer brings the key back here.
            return Vec::new();
        }
        let news = if wanted.is_some() {
            self.owned.insert(key)
        } else {
            planned.is_empty() && self.owned.remove(&key)
        };
        if planned.is_empty() {
            let recovered = self.failed.remove(&key).is_some();
            if recovered {
                notes.push(Note::Recovered(key));
            }
            // An audit that finds what is known is no news.
            if !audit || news || recovered {
                notes.push(Note::Settled(key));
            }
            return planned;
        }
        if audit && !self.failed.contains_key(&key) {
            let Some(fight) = self.correct(now, key) else {
                return Vec::new();
            };
            let text = planned.iter().map(ToString::to_string);
            let text = text.collect::<Vec<_>>().join(", ");
            notes.push(Note::Healed { key, text, fight });
        }
        planned
    }

    /// Starts and stops the daemons that copy connections; whether anything is another way than before.
    pub(super) fn plan_sync(
        &mut self,
        now: Mono,
        want: &BTreeMap<SyncRole, SyncDaemon>,
        out: &mut VecDeque<Action>,
    ) -> bool {
        let flies = |batch: &Batch| {
            (batch.ops.iter()).any(|op| matches!(op, IpvsOp::StartSync(..) | IpvsOp::StopSync(_)))
        };
        if self.status != Status::Available || self.in_flight.iter().any(flies) {
            return false;
        }
        let changed = self.sync.wanted != *want;
        if want.is_empty() && !changed {
            return false;
        }
        if !changed && self.sync.refused.as_ref().is_some_and(|(_, until)| *until > now) {
            return false;
        }
        let before = std::mem::replace(&mut self.sync.wanted, want.clone());
        let is_met = |role: &SyncRole, have: &SyncDaemon| {
            // A length has no trace in the kernel that could be compared: it is new where it was changed.
            let same_length = |want: &SyncDaemon| before.get(role).is_none_or(|it| it.maxlen == want.maxlen);
            (want.get(role)).is_some_and(|want| want.is_met_by(have) && same_length(want))
        };
        let wrong = (self.have.daemons.iter()).filter(|(role, have)| !is_met(role, have));
        let mut ops: Vec<IpvsOp> = wrong.map(|(role, _)| IpvsOp::StopSync(*role)).collect();
        let missing = (want.iter())
            .filter(|(role, _)| !(self.have.daemons.get(role)).is_some_and(|have| is_met(role, have)));
        ops.extend(missing.map(|(role, it)| IpvsOp::StartSync(*role, it.clone())));
        if ops.is_empty() {
            return self.sync.refused.take().is_some();
        }
        self.send(ops, out);
        true
    }

    /// The daemons that copy connections, as the kernel has them.
    pub(super) fn runs_sync(&self, role: SyncRole) -> bool {
        self.have.daemons.contains_key(&role)
    }

    /// Whether a difference found by an audit is put right now, and whether that smells of a fight.
    fn correct(&mut self, now: Mono, key: VirtualKey) -> Option<bool> {
        let seen = self.corrections.entry(key).or_default();
        seen.retain(|at| now.since(*at) < FIGHT_WINDOW);
        if seen.len() > FIGHT_COUNT && seen.back().is_some_and(|at| now.since(*at) < FIGHT_PAUSE) {
            return None;
        }
        seen.push_back(now);
        Some(seen.len() > FIGHT_COUNT)
    }

    /// Sends operations as they are.
    pub(super) fn send(&mut self, ops: Vec<IpvsOp>, out: &mut VecDeque<Action>) {
        if ops.is_empty() {
            return;
        }
        for op in &ops {
            let _ = self.have.apply(op);
        }
        self.next_batch += 1;
        let id = BatchId(self.next_batch);
        out.push_back(Action::Ipvs(id, ops.clone()));
        self.in_flight.push_back(Batch {
            id,
            keys: ops.iter().filter_map(IpvsOp::service).copied().collect(),
            ops,
            after_dump: self.dump_asked_at.is_some(),
        });
    }

    /// What a setting is in the kernel.
    pub(super) fn know_sysctl(&mut self, name: &'static str, value: String) {
        self.sysctls.insert(name, value);
    }

    /// Puts sysctls to these values and everything else in our care back to what it was at the start.
    pub(super) fn set_sysctls(&mut self, want: &BTreeMap<&'static str, String>, out: &mut VecDeque<Action>) {
        let ops: Vec<IpvsOp> = want
            .iter()
            .filter(|(name, value)| self.sysctls.get(*name).is_some_and(|have| have != *value))
            .map(|(name, value)| IpvsOp::Sysctl {
                name,
                value: value.clone(),
            })
            .collect();
        for op in &ops {
            if let IpvsOp::Sysctl { name, value } = op {
                self.sysctls.insert(name, value.clone());
            }
        }
        self.send(ops, out);
    }

    /// A batch is over.
    pub(super) fn on_done(
        &mut self,
        now: Mono,
        id: BatchId,
        failures: Vec<(usize, OpError)>,
        out: &mut VecDeque<Action>,
    ) -> Vec<Note> {
        let Some(place) = self.in_flight.iter().position(|batch| batch.id == id) else {
            return Vec::new();
        };
        let Some(batch) = self.in_flight.remove(place) else {
            return Vec::new();
        };
        let mut notes = Vec::new();
        let refused: BTreeSet<VirtualKey> = failures
            .iter()
            .filter_map(|(place, _)| batch.ops.get(*place)?.service().copied())
            .collect();
        // Compared once more: the same key may have been touched meanwhile.
        self.dirty.extend(batch.keys.difference(&refused));
        let mut blamed = BTreeSet::new();
        for (place, error) in &failures {
            let Some(op) = batch.ops.get(*place) else { continue };
            let text = format!("{op}: {}", error.text);
            let Some(key) = op.service().copied() else {
                if matches!(op, IpvsOp::StartSync(..) | IpvsOp::StopSync(_)) {
                    let told = self
                        .sync
                        .refused
                        .as_ref()
                        .is_some_and(|(before, _)| *before == text);
                    self.sync.refused = Some((text.clone(), now + SYNC_PAUSE));
                    if told {
                        continue;
                    }
                }
                notes.push(Note::Refused { key: None, text });
                continue;
            };
            if !blamed.insert(key) {
                // The first refusal is the cause; the others follow from it.
                continue;
            }
            let tries = self.failed.get(&key).map_or(0, |failure| failure.tries);
            if tries == 0 {
                notes.push(Note::Refused {
                    key: Some(key),
                    text: text.clone(),
                });
            }
            self.failed.insert(
                key,
                Failure {
                    text,
                    tries: tries + 1,
                    retry_at: now + pause(tries),
                    due: false,
                },
            );
            self.dirty.insert(key);
        }
        if !failures.is_empty() {
            // What we believe about the table is no longer what it is.
            self.ask(now, out);
        }
        notes
    }
}

/// How long a refused service waits after so many tries: what the kernel lacked may be there soon.
fn pause(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(4))
}
