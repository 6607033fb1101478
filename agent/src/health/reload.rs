//! A new configuration: what is the same stays untouched, what is known keeps what is known about it.

use super::effect::Effect;
use super::probe::{FIRST_CHECK_DELAY, Phase, Probe};
use super::server::ServerState;
use super::service::ServiceState;
use super::settle::{Note, Notes};
use super::{Due, Health};
use crate::model::{Server, Service};
use lb_shared::event::What;
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an earlier run left in the kernel for a server: `Some(true)` with a weight above zero, `Some(false)` with
/// weight zero, `None` nothing.
type Adopted<'a> = Option<&'a dyn Fn(&ServerId) -> Option<bool>>;

impl Health {
    /// Puts a configuration in force, at start and at a reload.
    ///
    /// Servers are matched by key and keep the verdicts of checks that are the same; a check that only has another
    /// schedule keeps its verdict too. New servers count as up at once unless `alpha` holds them back (as keepalived).
    ///
    /// `adopted`, at the start after a crash: servers found in the kernel count as up until their checks speak (with
    /// weight zero and `inhibit_on_failure`: as down); absent ones stay away until their first success.
    pub fn apply(
        &mut self,
        now: Mono,
        services: &BTreeMap<ServiceKey, Arc<Service>>,
        adopted: Adopted<'_>,
        out: &mut Vec<Effect>,
    ) {
        let gone: Vec<ServiceKey> = self
            .services
            .keys()
            .filter(|key| !services.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            self.remove_service(&key, out);
        }
        for (key, config) in services {
            match self.services.get(key) {
                Some(state) if Arc::ptr_eq(&state.config, config) || state.config == *config => {}
                Some(_) => self.change_service(now, config, false, adopted, out),
                None => {
                    self.services
                        .insert(key.clone(), ServiceState::new(now, Arc::clone(config)));
                    self.change_service(now, config, true, adopted, out);
                }
            }
        }
    }

    fn remove_service(&mut self, key: &ServiceKey, out: &mut Vec<Effect>) {
        let Some(state) = self.services.remove(key) else {
            return;
        };
        if state.config.omega {
            state.farewell(&self.servers, out);
        }
        for number in state.servers.values() {
            self.remove_server(*number, out);
        }
        out.push(Effect::Replan(key.clone()));
        out.push(Effect::ServiceRemoved(key.clone()));
    }

    fn remove_server(&mut self, number: u64, out: &mut Vec<Effect>) {
        self.rest(number, out);
        let Some(server) = self.servers.remove(&number) else {
            return;
        };
        if let Some(at) = server.intent.deadline() {
            self.agenda.remove(&(at, Due::Intent(number)));
        }
        self.draining.remove(&server.id);
        out.push(Effect::Removed(server.id));
    }

    fn change_service(
        &mut self,
        now: Mono,
        config: &Arc<Service>,
        is_new: bool,
        adopted: Adopted<'_>,
        out: &mut Vec<Effect>,
    ) {
        let key = &config.key;
        let Some(state) = self.services.get_mut(key) else {
            return;
        };
        let old = std::mem::replace(&mut state.config, Arc::clone(config));
        let suspended = state.suspended;
        let known = state.servers.clone();
        state
            .servers
            .retain(|server, _| config.servers.contains_key(server));
        for (server, &number) in &known {
            if config.servers.contains_key(server) {
                continue;
            }
            if let Some(gone) = self.servers.get(&number)
                && old.omega
                && gone.up
            {
                gone.notify(false, out);
            }
            self.remove_server(number, out);
        }
        let mut notes = Notes::new();
        for (server, server_config) in &config.servers {
            match known.get(server) {
                Some(&number) => {
                    if let Some(note) = self.change_server(now, number, server_config, suspended, out) {
                        notes.insert(number, note);
                    }
                }
                None => {
                    let id = ServerId {
                        service: key.clone(),
                        server: *server,
                    };
                    let number = self.add_server(now, id, server_config, suspended, adopted, out);
                    if !is_new {
                        notes.insert(number, (What::ServerChanged, "added".to_owned(), None));
                    }
                }
            }
        }
        let text = match (is_new, config.servers.len()) {
            (false, _) => "changed".to_owned(),
            (true, 1) => "added with 1 server".to_owned(),
            (true, count) => format!("added with {count} servers"),
        };
        out.push(Effect::ServiceChanged {
            service: key.clone(),
            what: What::ServiceChanged,
            text,
            why: None,
        });
        if is_new {
            self.settle_new(now, key, out);
        } else {
            self.settle_afresh(now, key, notes, out);
        }
    }

    fn add_server(
        &mut self,
        now: Mono,
        id: ServerId,
        config: &Arc<Server>,
        suspended: bool,
        adopted: Adopted<'_>,
        out: &mut Vec<Effect>,
    ) -> u64 {
        let number = self.take_number();
        let found = adopted.map(|adopted| adopted(&id));
        let held_back = match found {
            None | Some(Some(true)) => false,
            Some(Some(false)) => config.inhibit_on_failure,
            Some(None) => true,
        };
        let known_up = found == Some(Some(true));
        let probes: Vec<Probe> = config
            .checks
            .iter()
            .map(|check| {
                let up = !held_back && (known_up || !check.alpha);
                Probe::new(self.take_number(), check.clone(), up).knowing(&self.numbers, &self.sessions)
            })
            .collect();
        let mut server = ServerState {
            id: id.clone(),
            config: Arc::clone(config),
            probes,
            up: false,
            since: now,
            intent: super::intent::Intent::None,
            effective: None,
            counted: 0,
            last_check: None,
            runs: Default::default(),
        };
        server.up = server.all_good();
        if server.up && found.is_none() && config.scripts.first {
            server.notify(true, out);
            out.push(Effect::Begins(id.clone()));
        }
        // A drain that begins now holds a server that is in the kernel's table, or would have been.
        server.effective = (server.up || found.flatten().is_some()).then_some(config.weight);
        if let Some(service) = self.services.get_mut(&id.service) {
            service.servers.insert(id.server, number);
        }
        self.servers.insert(number, Box::new(server));
        self.impose(now, number);
        if let Some(server) = self.servers.get_mut(&number) {
            server.effective = None;
        }
        if !suspended {
            self.schedule_first(now, number);
        }
        number
    }

    fn change_server(
        &mut self,
        now: Mono,
        number: u64,
        config: &Arc<Server>,
        suspended: bool,
        out: &mut Vec<Effect>,
    ) -> Option<Note> {
        let server = self.servers.get_mut(&number)?;
        if Arc::ptr_eq(&server.config, config) || server.config == *config {
            return None;
        }
        let checks_changed = server.config.checks != config.checks;
        server.config = Arc::clone(config);
        if checks_changed {
            self.change_checks(now, number, config, suspended, out);
        }
        Some((What::ServerChanged, "settings changed".to_owned(), None))
    }

    /// Matches the old probes to the new checks: first those that are entirely the same, then those that ask the same
    /// question on another schedule. What remains is new, and counts as its server did before.
    fn change_checks(
        &mut self,
        now: Mono,
        number: u64,
        config: &Arc<Server>,
        suspended: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        let was_up = server.up;
        let mut old = std::mem::take(&mut server.probes);
        let mut slots: Vec<Option<Probe>> = config
            .checks
            .iter()
            .map(|check| {
                let at = old.iter().position(|probe| probe.check == *check)?;
                Some(old.swap_remove(at))
            })
            .collect();
        for (slot, check) in slots.iter_mut().zip(&config.checks) {
            if slot.is_none()
                && let Some(at) = old.iter().position(|probe| probe.check.kind == check.kind)
            {
                let kept = old.swap_remove(at);
                if let Phase::Waiting { at } = kept.phase {
                    self.agenda.remove(&(at, Due::Probe(number, kept.number)));
                }
                let mut probe = Probe::new(kept.number, check.clone(), kept.up);
                probe.inherit(kept);
                if let Phase::Waiting { at } = probe.phase {
                    let at = at.min(now + check.delay_loop);
                    probe.phase = Phase::Waiting { at };
                    self.agenda.insert((at, Due::Probe(number, probe.number)));
                }
                *slot = Some(probe);
            }
        }
        let mut probes = Vec::with_capacity(slots.len());
        for (slot, check) in slots.into_iter().zip(&config.checks) {
            probes.push(match slot {
                Some(probe) => probe,
                None => Probe::new(self.take_number(), check.clone(), was_up)
                    .knowing(&self.numbers, &self.sessions),
            });
        }
        for probe in old {
            match probe.phase {
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
        if let Some(server) = self.servers.get_mut(&number) {
            server.probes = probes;
            server.up = server.all_good();
            if server.up != was_up {
                server.since = now;
                server.notify(server.up, out);
            }
        }
        if !suspended {
            self.schedule_first(now, number);
        }
    }

    /// Plans the first run of checks that have none planned.
    fn schedule_first(&mut self, now: Mono, number: u64) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        for probe in &mut server.probes {
            if matches!(probe.phase, Phase::Idle) && probe.is_run() {
                let at = now + FIRST_CHECK_DELAY + self.random.below(probe.check.warmup);
                probe.phase = Phase::Waiting { at };
                self.agenda.insert((at, Due::Probe(number, probe.number)));
            }
        }
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }
}
