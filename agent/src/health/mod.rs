//! Health: which servers of which services may take traffic, and with what weight.
//!
//! Knows schedules, retries, verdicts, operators' overrides and quorum. Does not know sockets (a check arrives here as
//! its outcome) nor IPVS (the engine reads our [`Standing`]s).

pub mod checks;
mod effect;
mod intent;
mod job;
mod overrides;
mod probe;
mod random;
mod reload;
mod runs;
mod server;
mod service;
mod settle;
#[cfg(test)]
mod tests;
mod told;
mod trial;
mod view;

pub use checks::misc_outcome;
pub use effect::{Effect, Standing};
pub use job::{CheckId, CheckJob, CheckOutcome};
pub use trial::ended;

use crate::model::CheckKind;
use lb_shared::counters::CheckCounters;
use lb_shared::event::What;
use lb_shared::history::ServerRuns;
use lb_shared::names::{ServerId, ServerKey, ServiceKey};
use lb_shared::state::OverrideKind;
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
    pub fn stop(&mut self, out: &mut Vec<Effect>) {
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
}
