//! News of IPVS: what the table holds, what became of what was sent, and the gate at the start.

use super::Engine;
use super::input::IpvsNews;
use super::ipvs_keeper::{Note, Status};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, VirtualKey};
use lb_shared::state::{ObjectId, OverrideKind, Target};
use std::time::Duration;

/// How long addresses wait for IPVS at the start before they appear without it.
const GATE_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn on_ipvs(&mut self, news: IpvsNews) {
        let now = self.now;
        let notes = match news {
            IpvsNews::Missing(why) => {
                let notes = self.ipvs.on_missing(now, why);
                self.begin();
                // There is nothing to count, and nobody must wait for it.
                self.answer_samples();
                notes
            }
            IpvsNews::Done(id, failures) => self.ipvs.on_done(now, id, failures, &mut self.queue),
            IpvsNews::Table(table) => {
                let first = *self.ipvs.status() != Status::Available;
                let audit = !first && self.boot.is_none() && self.stopping.is_none();
                let wanted = self.index.by_entry.keys().copied();
                let notes = self.ipvs.on_table(now, table, audit, wanted);
                self.begin();
                self.plan_ipvs();
                self.count_connections();
                self.answer_samples();
                notes
            }
        };
        self.on_ipvs_notes(notes);
    }

    pub(super) fn plan_ipvs(&mut self) {
        if self.boot.is_some() || self.stopping.is_some() {
            self.ipvs.skip_audit();
        }
        if self.boot.is_some()
            || self
                .stopping
                .as_ref()
                .is_some_and(|stopping| !stopping.may_touch_ipvs())
        {
            return;
        }
        let empty = self.stopping.is_some();
        let mut ipvs = std::mem::replace(&mut self.ipvs, super::ipvs_keeper::IpvsKeeper::idle());
        let mut queue = std::mem::take(&mut self.queue);
        let want = |key: &VirtualKey| if empty { None } else { self.want_ipvs(key) };
        let notes = ipvs.plan(self.now, want, &mut queue);
        if ipvs.plan_sync(self.now, &self.want_sync(), &mut queue) {
            self.touch(ObjectId::Agent);
        }
        self.ipvs = ipvs;
        self.queue = queue;
        self.on_ipvs_notes(notes);
    }

    fn on_ipvs_notes(&mut self, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Available => self.say(
                    What::IpvsAvailable,
                    "IPVS is there: services are being programmed",
                    None,
                ),
                Note::Missing(why) => {
                    self.touch_services();
                    let text = "services are not available; VRRP and checks go on";
                    self.say(What::IpvsMissing, text, Some(why));
                }
                Note::Healed { key, text, fight } => {
                    let why = if fight {
                        "somebody keeps changing it: look for another program that sets it".to_owned()
                    } else {
                        "somebody else had changed it".to_owned()
                    };
                    let object = self.object_of(&key);
                    self.emit(
                        What::DriftHealed,
                        object,
                        format!("put right: {text}"),
                        Some(why),
                        None,
                    );
                }
                Note::Refused { key, text } => {
                    let object = key.map_or(ObjectId::Agent, |key| self.object_of(&key));
                    self.emit(
                        What::KernelRefused,
                        object,
                        text,
                        Some("retried with growing pauses".into()),
                        None,
                    );
                    self.touch(ObjectId::Agent);
                }
                Note::Recovered(key) => {
                    let object = self.object_of(&key);
                    self.emit(
                        What::KernelRecovered,
                        object,
                        "the kernel took it".into(),
                        None,
                        None,
                    );
                    self.touch(ObjectId::Agent);
                }
                Note::Settled(key) => {
                    // One that is gone for good is no longer ours after a crash either.
                    self.ledger_due |= !self.index.by_entry.contains_key(&key);
                    let object = self.object_of(&key);
                    self.touch(object);
                }
            }
        }
    }

    fn object_of(&self, key: &VirtualKey) -> ObjectId {
        self.index
            .by_entry
            .get(key)
            .cloned()
            .map_or(ObjectId::Agent, ObjectId::Service)
    }

    fn touch_services(&mut self) {
        for key in self.model.services.keys().cloned().collect::<Vec<_>>() {
            self.touch(ObjectId::Service(key));
        }
    }

    pub(super) fn ipvs_missing(&self) -> Option<String> {
        match self.ipvs.status() {
            Status::Missing(why) => Some(why.clone()),
            Status::Unknown | Status::Available => None,
        }
    }

    /// Addresses may appear once IPVS can serve them, so that no packet meets a hole.
    pub(super) fn try_open_gate(&mut self) {
        if self.gate_open || self.boot.is_some() {
            return;
        }
        if self.ipvs.at_rest() {
            self.open_gate();
        } else if self.gate_opens_at.is_none() {
            self.gate_opens_at = Some(self.now + GATE_PATIENCE);
        }
    }

    pub(super) fn open_gate(&mut self) {
        self.gate_open = true;
        self.gate_opens_at = None;
        let masters: Vec<(InstanceName, u32)> = self
            .model
            .instances
            .values()
            .filter(|it| self.routers.is_master(&it.name))
            .map(|it| (it.name.clone(), it.garp.repeat))
            .collect();
        for (name, rounds) in masters {
            let rounds = if self.adopted.contains(&name) { 0 } else { rounds };
            self.hold_addresses(&name, rounds);
        }
    }

    /// How many connections the servers being drained still have.
    fn count_connections(&mut self) {
        let draining: Vec<_> = self.health.draining().cloned().collect();
        for id in draining {
            let Some(service) = self.model.services.get(&id.service) else {
                continue;
            };
            let expire = service.persistence.is_some();
            let counters = self.server_counters(&id);
            let mut effects = Vec::new();
            self.health.on_connections(
                self.now,
                &id,
                counters.active,
                counters.inactive,
                counters.persistent,
                expire,
                &mut effects,
            );
            self.on_health_effects(effects);
        }
    }

    /// Sysctls a drain needs: connections of a drained server's closed entries move on, and so do persistent clients.
    pub(super) fn want_sysctls(&mut self) {
        let mut want = self.original_sysctls.clone();
        for it in self.intent.iter() {
            let Target::Server(id) = &it.target else { continue };
            let takes_away = matches!(it.kind, OverrideKind::Drain { .. } | OverrideKind::Disable);
            let Some(service) = self.model.services.get(&id.service).filter(|_| takes_away) else {
                continue;
            };
            want.insert("expire_nodest_conn", "1".into());
            if service.persistence.is_some() {
                want.insert("expire_quiescent_template", "1".into());
            }
        }
        self.ipvs.set_sysctls(&want, &mut self.queue);
    }
}
