//! Health: which servers of which services may take traffic, and with what weight.
//!
//! Knows schedules, retries, verdicts, operators' overrides and quorum. Does not know sockets (a check arrives here as
//! its outcome) nor IPVS (the engine reads our [`Standing`]s).

pub mod checks;
mod effect;
mod intent;
mod job;
mod probe;
mod random;
mod reload;
mod runs;
mod server;
mod service;
mod settle;
#[cfg(test)]
mod tests;
mod trial;
mod view;

pub use checks::misc_outcome;
pub use effect::{Effect, Standing};
pub use job::{CheckId, CheckJob, CheckOutcome};
pub use trial::ended;

use crate::model::CheckKind;
use intent::Intent;
use lb_shared::counters::CheckCounters;
use lb_shared::event::What;
use lb_shared::history::ServerRuns;
use lb_shared::names::{ServerId, ServerKey, ServiceKey};
use lb_shared::state::{DrainThen, OverrideKind};
use lb_shared::units::Mono;
use probe::{Judged, Phase};
use random::Random;
use server::ServerState;
use service::ServiceState;
use settle::Notes;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All services and their servers.
///
/// A check that was asked for with [`Effect::Check`] must be answered with [`Health::on_checked`], unless it was
/// cancelled. Every change of what [`Health::server_view`] or [`Health::service_view`] give is announced by an effect.
#[derive(Clone, Debug)]
pub struct Health {
    services: BTreeMap<ServiceKey, ServiceState>,
    /// By a number of our own: a name with a group in it is dear to copy.
    /// In boxes: the nodes of the map are half empty, and there may be many thousands.
    servers: BTreeMap<u64, Box<ServerState>>,
    /// What operators want, also of servers that are not configured now.
    overrides: BTreeMap<ServerId, (OverrideKind, Option<Mono>)>,
    draining: BTreeMap<ServerId, u64>,
    agenda: BTreeSet<(Mono, Due)>,
    running: BTreeMap<CheckId, (u64, u64)>,
    /// BFD sessions that are known to be up or down: which, and why.
    sessions: BTreeMap<String, (bool, String)>,
    next_number: u64,
    /// What stands in files that a `FILE_CHECK` may follow.
    numbers: BTreeMap<String, i32>,
    random: Random,
    stopped: bool,
}

/// What can be due.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    /// A check, by the numbers of server and probe.
    Probe(u64, u64),
    /// The end of an operator's override.
    Intent(u64),
}

impl Health {
    /// No services yet. The seed decides the random part of the first checks' times.
    pub fn new(seed: u64) -> Self {
        Self {
            services: BTreeMap::new(),
            servers: BTreeMap::new(),
            overrides: BTreeMap::new(),
            draining: BTreeMap::new(),
            agenda: BTreeSet::new(),
            running: BTreeMap::new(),
            sessions: BTreeMap::new(),
            next_number: 1,
            numbers: BTreeMap::new(),
            random: Random::new(seed),
            stopped: false,
        }
    }

    /// A check ended. An outcome nobody waits for is ignored.
    pub fn on_checked(&mut self, now: Mono, id: CheckId, outcome: &CheckOutcome, out: &mut Vec<Effect>) {
        let Some((server_number, probe_number)) = self.running.remove(&id) else {
            return;
        };
        let kept = runs::kept(self.servers.len());
        let Some(server) = self.servers.get_mut(&server_number) else {
            return;
        };
        let before = server.health();
        let Some((place, probe)) = server
            .probes
            .iter_mut()
            .enumerate()
            .find(|(_, probe)| probe.number == probe_number)
        else {
            return;
        };
        let weight_before = probe.weight;
        let judged = probe.on_outcome(now, outcome);
        if let Phase::Waiting { at } = probe.phase {
            self.agenda.insert((at, Due::Probe(server_number, probe_number)));
        }
        let weight_changed = probe.weight != weight_before;
        let keyword = probe.check.kind.keyword();
        server.runs.add(now, place, outcome, kept);
        server.last_check = Some((now, outcome.took().unwrap_or_default()));
        if let Some(service) = self.services.get_mut(&server.id.service) {
            let tally = service.checks.entry(keyword).or_default();
            match outcome {
                CheckOutcome::Pass { took, .. } => tally.add(true, *took),
                CheckOutcome::Fail { took, .. } => tally.add(false, *took),
                CheckOutcome::Inconclusive { .. } => tally.inconclusive += 1,
            }
        }
        let note = match judged {
            Judged::Same if !weight_changed => return,
            Judged::Same => (What::WeightChanged, "weight given by its check".to_owned(), None),
            Judged::Resumed => (
                What::ServerChanged,
                format!("{keyword} can be carried out again"),
                None,
            ),
            Judged::Noted(why) => (What::ServerChanged, format!("{keyword} failed"), Some(why)),
            Judged::Alarm(why) => (
                What::CheckInconclusive,
                format!("{keyword} could not be carried out; the last verdict stays"),
                Some(why),
            ),
            Judged::Good | Judged::Bad(_) => server.on_verdict(now, keyword, before, &judged, out),
        };
        let service = server.id.service.clone();
        self.settle(now, &service, Notes::from([(server_number, note)]), out);
    }

    /// A BFD session is up or down. Until it is known to be either, `alpha` says what its servers count as.
    pub fn on_session(&mut self, now: Mono, name: &str, up: bool, why: &str, out: &mut Vec<Effect>) {
        if self.sessions.get(name).is_some_and(|(known, _)| *known == up) {
            return;
        }
        self.sessions.insert(name.to_owned(), (up, why.to_owned()));
        let follows = |server: &ServerState| server.probes.iter().any(|probe| probe.follows() == Some(name));
        let followers = self.servers.iter().filter(|(_, server)| follows(server));
        for number in followers.map(|(number, _)| *number).collect::<Vec<_>>() {
            let Some(server) = self.servers.get_mut(&number) else {
                continue;
            };
            let before = server.health();
            let probes = server.probes.iter_mut();
            let judged = probes
                .filter(|probe| probe.follows() == Some(name))
                .map(|probe| probe.on_session(up, why))
                .fold(
                    Judged::Same,
                    |so_far, judged| if judged == Judged::Same { so_far } else { judged },
                );
            if judged == Judged::Same {
                continue;
            }
            let note = server.on_verdict(now, "BFD_CHECK", before, &judged, out);
            let service = server.id.service.clone();
            self.settle(now, &service, Notes::from([(number, note)]), out);
        }
    }

    /// A BFD session is configured no more.
    pub fn on_session_gone(&mut self, name: &str) {
        self.sessions.remove(name);
    }

    /// This number stands in a `track_file` now: what that makes of the servers with a `FILE_CHECK` of it.
    pub fn on_number(&mut self, now: Mono, file: &str, number: i32, out: &mut Vec<Effect>) {
        self.numbers.insert(file.to_owned(), number);
        let mut changed: BTreeMap<ServiceKey, Notes> = BTreeMap::new();
        for (id, server) in &mut self.servers {
            let before = server.health();
            for at in 0..server.probes.len() {
                let probe = &mut server.probes[at];
                let was = (probe.weight, probe.ok);
                let judged = probe.on_number(file, number);
                let note = match judged {
                    Judged::Good | Judged::Bad(_) => {
                        server.on_verdict(now, "FILE_CHECK", before, &judged, out)
                    }
                    _ if was != (probe.weight, probe.ok) => {
                        let text = format!("number {number} in the file {file}");
                        (What::WeightChanged, text, None)
                    }
                    _ => continue,
                };
                changed
                    .entry(server.id.service.clone())
                    .or_default()
                    .insert(*id, note);
            }
        }
        for (service, notes) in changed {
            self.settle(now, &service, notes, out);
        }
    }

    /// The numbers in the files of a configuration that is about to be applied: its new servers begin with them. Gives
    /// those that are others than before, to be told with [`Health::on_number`] once it is.
    pub fn know_numbers(&mut self, numbers: BTreeMap<String, i32>) -> Vec<(String, i32)> {
        let before = std::mem::replace(&mut self.numbers, numbers);
        let others = self
            .numbers
            .iter()
            .filter(|(name, number)| before.get(*name) != Some(*number));
        others.map(|(name, number)| (name.clone(), *number)).collect()
    }

    /// The server a check under way is about, and whether that check was good the last time.
    pub fn under_check(&self, id: CheckId) -> Option<(&ServerId, bool)> {
        let (server, probe) = self.running.get(&id)?;
        let server = self.servers.get(server)?;
        let probe = server.probes.iter().find(|it| it.number == *probe)?;
        Some((&server.id, probe.up))
    }

    /// Checks whose outcome has not come yet.
    pub fn running(&self) -> impl Iterator<Item = CheckId> {
        self.running.keys().copied()
    }

    /// An operator's override of a server; `None` ends it. Kept for a server that is not configured (yet).
    ///
    /// The deadline of a drain does what the drain's `then` says, once, with [`What::DrainDeadline`]; that of a
    /// weight or of `disable` ends it. The same override again changes nothing but the deadline.
    pub fn on_override(
        &mut self,
        now: Mono,
        server: &ServerId,
        kind: Option<OverrideKind>,
        deadline: Option<Mono>,
        out: &mut Vec<Effect>,
    ) {
        let kind = kind.filter(|kind| !matches!(kind, OverrideKind::Pin(_)));
        match kind {
            Some(kind) => self.overrides.insert(server.clone(), (kind, deadline)),
            None => self.overrides.remove(server),
        };
        let Some(number) = self.number(server) else {
            return;
        };
        let note = self.impose(now, number);
        if let Some(note) = note {
            self.settle(now, &server.service, Notes::from([(number, note)]), out);
        }
    }

    /// Connection counts of a draining server: decides when it is drained.
    ///
    /// Drained means: no active connection, for 5 s. For UDP, whose connections are all "inactive", and for firewall
    /// marks there must be no inactive one either. Persistence templates count unless the kernel expires those of
    /// servers with weight 0.
    #[expect(
        clippy::too_many_arguments,
        reason = "plain numbers, as the kernel gives them"
    )]
    pub fn on_connections(
        &mut self,
        now: Mono,
        server: &ServerId,
        active: u64,
        inactive: u64,
        persistent: u64,
        templates_expire: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(&number) = self.draining.get(server) else {
            return;
        };
        let (Some(state), Some(service)) =
            (self.servers.get_mut(&number), self.services.get(&server.service))
        else {
            return;
        };
        let Intent::Drain(drain) = &mut state.intent else {
            return;
        };
        let templates_hold = service.config.persistence.is_some() && persistent > 0 && !templates_expire;
        let quiet = active == 0 && !templates_hold && (inactive == 0 || service.is_tcp());
        let began = drain.active_at_start.is_none();
        drain.active_at_start.get_or_insert(active);
        let note = if drain.on_sample(now, quiet) {
            let took = humantime(now.since(drain.since));
            self.draining.remove(server);
            (
                What::DrainFinished,
                "DRAIN -> DRAINED".to_owned(),
                Some(format!("no connections left, after {took}")),
            )
        } else if began {
            (What::ServerChanged, format!("draining, {active} active"), None)
        } else {
            return;
        };
        self.settle(now, &server.service, Notes::from([(number, note)]), out);
    }

    /// `ha_suspend`: checks rest while the service's address is not on this host; servers stay as they are.
    pub fn on_suspend(&mut self, now: Mono, service: &ServiceKey, suspended: bool, out: &mut Vec<Effect>) {
        let Some(state) = self.services.get_mut(service) else {
            return;
        };
        if state.suspended == suspended {
            return;
        }
        state.suspended = suspended;
        let numbers: Vec<u64> = state.servers.values().copied().collect();
        for number in numbers {
            if suspended {
                self.rest(number, out);
            } else {
                self.wake(now, number);
            }
        }
        let text = if suspended {
            "checks suspended: its address is not on this host"
        } else {
            "checks resumed"
        };
        out.push(Effect::ServiceChanged {
            service: service.clone(),
            what: What::ServiceChanged,
            text: text.to_owned(),
            why: None,
        });
    }

    /// Starts the checks and ends the overrides whose time has come.
    pub fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        while let Some(&(at, due)) = self.agenda.first()
            && at <= now
        {
            self.agenda.pop_first();
            match due {
                Due::Probe(server, probe) => self.start_check(now, server, probe, out),
                Due::Intent(server) => self.end_intent(now, server, out),
            }
        }
    }

    /// When [`Health::on_tick`] has something to do next.
    pub fn deadline(&self) -> Option<Mono> {
        self.agenda.first().map(|&(at, _)| at)
    }

    /// What the kernel should have for a service.
    pub fn standing(&self, service: &ServiceKey) -> Option<Standing> {
        Some(self.services.get(service)?.standing(&self.servers))
    }

    /// Servers that are being drained and are not drained yet.
    pub fn draining(&self) -> impl Iterator<Item = &ServerId> {
        self.draining.keys()
    }

    /// When a check of a server of this service last ended, and how long it took.
    pub fn last_checks<'a>(
        &'a self,
        service: &ServiceKey,
    ) -> impl Fn(&ServerKey) -> Option<(Mono, Duration)> + use<'a> {
        let service = self.services.get(service);
        move |server| self.servers.get(service?.servers.get(server)?)?.last_check
    }

    /// The last runs of a server's checks, oldest first.
    pub fn runs(&self, server: &ServerId) -> Option<ServerRuns> {
        Some(ServerRuns {
            server: server.clone(),
            runs: self.servers.get(&self.number(server)?)?.runs.list(),
        })
    }

    /// How the checks of each service ended, by keyword.
    pub fn check_counters(&self) -> Vec<CheckCounters> {
        let of = |service: &ServiceState| -> Vec<CheckCounters> {
            let kinds = service.checks.iter();
            kinds
                .map(|(kind, ended)| CheckCounters {
                    service: service.config.key.clone(),
                    kind: (*kind).to_owned(),
                    ended: *ended,
                })
                .collect()
        };
        self.services.values().flat_map(of).collect()
    }

    /// How long the most overdue check should have been over: one that runs is overdue when its next would be due.
    pub fn check_lag(&self, now: Mono) -> Duration {
        let running = self.running.values().filter_map(|(server, probe)| {
            let server = self.servers.get(server)?;
            let probe = server.probes.iter().find(|it| it.number == *probe)?;
            match probe.phase {
                Phase::Running { started_at, .. } => Some(started_at + probe.check.delay_loop),
                Phase::Idle | Phase::Waiting { .. } => None,
            }
        });
        let due = running.chain(self.deadline()).min();
        due.map_or(Duration::ZERO, |due| now.since(due.min(now)))
    }

    /// The end: no more checks, and the scripts of services with `omega`.
    pub fn stop(&mut self, _now: Mono, out: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.agenda.clear();
        out.extend(std::mem::take(&mut self.running).into_keys().map(Effect::Cancel));
        for service in self.services.values() {
            if service.config.omega {
                service.farewell(&self.servers, out);
            }
        }
    }

    fn number(&self, id: &ServerId) -> Option<u64> {
        self.services.get(&id.service)?.servers.get(&id.server).copied()
    }

    fn start_check(&mut self, now: Mono, server: u64, probe: u64, out: &mut Vec<Effect>) {
        let Some(state) = self.servers.get_mut(&server) else {
            return;
        };
        let Some(probe_state) = state.probes.iter_mut().find(|p| p.number == probe) else {
            return;
        };
        let id = CheckId(self.next_number);
        self.next_number += 1;
        let broken = match &probe_state.check.kind {
            CheckKind::Misc(misc) => misc.broken.clone(),
            CheckKind::Tcp(_)
            | CheckKind::Http(_)
            | CheckKind::Ping(_)
            | CheckKind::Smtp(_)
            | CheckKind::Dns(_)
            | CheckKind::Udp(_)
            | CheckKind::Bfd(_)
            | CheckKind::File(_) => None,
        };
        probe_state.phase = Phase::Running { id, started_at: now };
        self.running.insert(id, (server, probe));
        match broken {
            // It is never started, but an operator keeps hearing of it.
            Some(why) => self.on_checked(now, id, &CheckOutcome::Inconclusive { why }, out),
            None => {
                let job = Box::new(CheckJob {
                    kind: probe_state.check.kind.clone(),
                    url: probe_state.url,
                });
                out.push(Effect::Check { id, job });
            }
        }
    }

    /// Takes a server's checks off the agenda and cancels those under way.
    fn rest(&mut self, number: u64, out: &mut Vec<Effect>) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        for probe in &mut server.probes {
            match std::mem::replace(&mut probe.phase, Phase::Idle) {
                Phase::Idle => {}
                Phase::Waiting { at } => {
                    self.agenda.remove(&(at, Due::Probe(number, probe.number)));
                }
                Phase::Running { id, .. } => {
                    self.running.remove(&id);
                    out.push(Effect::Cancel(id));
                }
            }
        }
    }

    /// Puts a server's resting checks on the agenda, spread over their `delay_loop`.
    fn wake(&mut self, now: Mono, number: u64) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        for probe in &mut server.probes {
            if matches!(probe.phase, Phase::Idle) && probe.is_run() {
                let span = probe.check.delay_loop.min(probe.check.warmup);
                let at = now + self.random.below(span);
                probe.phase = Phase::Waiting { at };
                self.agenda.insert((at, Due::Probe(number, probe.number)));
            }
        }
    }

    /// Makes a server's intent what its override says; the event to announce if that changed anything.
    fn impose(&mut self, now: Mono, number: u64) -> Option<settle::Note> {
        let server = self.servers.get_mut(&number)?;
        let wanted = self.overrides.get(&server.id).copied();
        if let Some(at) = server.intent.deadline() {
            self.agenda.remove(&(at, Due::Intent(number)));
        }
        let note = server.on_override(now, wanted);
        if let Some(at) = server.intent.deadline() {
            self.agenda.insert((at, Due::Intent(number)));
        }
        match &server.intent {
            Intent::Drain(drain) if !drain.drained => {
                self.draining.insert(server.id.clone(), number);
            }
            Intent::Drain(_)
            | Intent::None
            | Intent::Disable { .. }
            | Intent::Weight { .. }
            | Intent::Ramp(_) => {
                self.draining.remove(&server.id);
            }
        }
        note
    }

    /// The deadline of an override has come.
    fn end_intent(&mut self, now: Mono, number: u64, out: &mut Vec<Effect>) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        let id = server.id.clone();
        let (what, text, why) = match &mut server.intent {
            Intent::None => return,
            Intent::Drain(drain) => {
                drain.deadline_passed = true;
                let left = if drain.drained {
                    "drained"
                } else {
                    "connections are left"
                };
                match drain.then {
                    DrainThen::Keep if drain.drained => return,
                    DrainThen::Keep => (What::DrainDeadline, "weight stays 0", left),
                    DrainThen::Undrain => {
                        self.overrides.remove(&id);
                        (What::DrainDeadline, "back into rotation", left)
                    }
                    DrainThen::Disable => {
                        self.overrides.insert(id.clone(), (OverrideKind::Disable, None));
                        (
                            What::DrainDeadline,
                            "disabled: remaining connections are cut",
                            left,
                        )
                    }
                }
            }
            Intent::Ramp(ramp) if !ramp.is_over(now) => {
                *ramp = ramp.at(now);
                let (weight, _) = server.weight();
                if let Some(at) = server.intent.deadline() {
                    self.agenda.insert((at, Due::Intent(number)));
                }
                let note = (What::WeightChanged, format!("weight raised to {weight}"), None);
                return self.settle(now, &id.service, Notes::from([(number, note)]), out);
            }
            Intent::Ramp(_) => {
                self.overrides.remove(&id);
                (What::WeightChanged, "the whole weight", "its ramp is over")
            }
            Intent::Disable { .. } | Intent::Weight { .. } => {
                self.overrides.remove(&id);
                (
                    What::ServerChanged,
                    "the operator's change ended",
                    "its time is over",
                )
            }
        };
        let keep = matches!(&server.intent, Intent::Drain(drain) if drain.then == DrainThen::Keep);
        if !keep {
            self.impose(now, number);
        }
        let note = (what, text.to_owned(), Some(why.to_owned()));
        self.settle(now, &id.service, Notes::from([(number, note)]), out);
    }
}

/// `5m 26s`, without fractions of a second.
fn humantime(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
