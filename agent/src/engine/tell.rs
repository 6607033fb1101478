//! Who is told of a change besides the clients: scripts, FIFOs, and people by mail. In keepalived's order.

use super::Engine;
use super::action::Action;
use super::jobs::Purpose;
use crate::model::{Fifo, FifoKind, Job, NotifyState, NotifyWho};
use crate::notify::mail::Mail;
use crate::notify::{self, fifo, mail};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, ServerId, ServiceKey};
use lb_shared::state::VrrpState;
use std::collections::BTreeMap;

impl Engine {
    /// An instance or a group entered a state.
    pub(super) fn tell_state(&mut self, who: &NotifyWho, state: NotifyState, priority: u8) {
        let scripts = match who {
            NotifyWho::Instance(name) => self.model.instances.get(name).map(|it| it.notify.clone()),
            NotifyWho::Group(name) => self.model.groups.get(name).map(|it| it.notify.clone()),
        };
        let leaving = self.leaving.iter().find(|(left, _)| left == who);
        let scripts = scripts.or_else(|| leaving.map(|(_, scripts)| scripts.clone()));
        let tell_deleted = scripts.as_ref().is_some_and(|it| it.tell_deleted);
        // Few scripts know that state, so without `notify_deleted` a removed instance is one in FAULT (as keepalived).
        let told = match state {
            NotifyState::Deleted if !tell_deleted => NotifyState::Fault,
            _ => state,
        };
        self.write(FifoKind::Vrrp, &fifo::state(who, told, priority));
        let Some(scripts) = scripts else { return };
        for job in notify::jobs_for_state(&scripts, who, told, priority) {
            self.run(Purpose::Notify, job);
        }
        let quiet = match state {
            NotifyState::Master | NotifyState::Backup => false,
            NotifyState::Fault => self.model.global.mail.as_ref().is_some_and(|it| it.no_faults),
            NotifyState::Stop | NotifyState::Deleted => true,
        };
        if scripts.mail && !quiet {
            let why = match who {
                NotifyWho::Instance(name) => self.routers.view(name).map(|it| it.why),
                NotifyWho::Group(_) => None,
            };
            let why = why.unwrap_or_else(|| "its members moved together".to_owned());
            let mail = mail::about_state(self.node(), who, state, &why);
            self.post(mail);
        }
    }

    /// An effective priority changed, and that is to be told.
    pub(super) fn tell_priority(&mut self, instance: &InstanceName, state: NotifyState, priority: u8) {
        self.write(FifoKind::Vrrp, &fifo::priority(instance, state, priority));
    }

    /// A master heard a lower one.
    pub(super) fn tell_lower_priority(&mut self, instance: &InstanceName, priority: u8) {
        self.write(FifoKind::Vrrp, &fifo::lower_priority(instance, priority));
        if let Some(it) = self.model.instances.get(instance) {
            let jobs = notify::jobs_for_lower_priority(&it.notify);
            jobs.into_iter().for_each(|job| self.run(Purpose::Notify, job));
        }
    }

    /// A server came up or went down; its scripts are the health room's.
    pub(super) fn tell_server(&mut self, id: &ServerId, what: What, why: Option<&str>) {
        let up = match what {
            What::ServerUp => true,
            What::ServerDown => false,
            _ => return,
        };
        self.write(FifoKind::Lvs, &fifo::server(id, up));
        let service = self.model.services.get(&id.service);
        let server = service.and_then(|it| it.servers.get(&id.server));
        if server.is_some_and(|it| it.scripts.mail) {
            let mail = mail::about_server(self.node(), id, up, why.unwrap_or("its checks say so"));
            self.post(mail);
        }
    }

    /// A server begins as up, and `rs_init_notifies` wants that told.
    pub(super) fn tell_first(&mut self, id: &ServerId) {
        self.write(FifoKind::Lvs, &fifo::server(id, true));
    }

    /// A service gained or lost its quorum; its scripts are the health room's.
    pub(super) fn tell_quorum(&mut self, key: &ServiceKey, what: What, text: &str) {
        let up = match what {
            What::QuorumGained => true,
            What::QuorumLost => false,
            _ => return,
        };
        self.write(FifoKind::Lvs, &fifo::service(key, up));
        let service = self.model.services.get(key);
        if service.is_some_and(|it| it.quorum_scripts.mail) {
            let mail = mail::about_service(self.node(), key, up, text);
            self.post(mail);
        }
    }

    /// Takes up the FIFOs of a new model, and starts what reads those that are new.
    pub(super) fn open_fifos(&mut self, before: &BTreeMap<FifoKind, Fifo>) {
        let now = self.model.global.fifos.clone();
        if now == *before {
            return;
        }
        self.queue.push_back(Action::Fifos(now.clone()));
        for (kind, it) in now {
            let Some(script) = it.script.clone().filter(|_| before.get(&kind) != Some(&it)) else {
                continue;
            };
            let job = Job {
                script,
                arguments: vec![it.path],
                timeout: None,
                report: false,
                lane: None,
            };
            self.run(Purpose::Notify, job);
        }
    }

    /// All states once more, for readers that start anew at a reload: `fifo_write_vrrp_states_on_reload`.
    pub(super) fn repeat_states(&mut self) {
        if !self.model.global.fifo_states_on_reload {
            return;
        }
        let told = |state| match state {
            VrrpState::Master => Some(NotifyState::Master),
            VrrpState::Backup => Some(NotifyState::Backup),
            VrrpState::Fault => Some(NotifyState::Fault),
            VrrpState::Init => None,
        };
        let groups: Vec<_> = self.model.groups.keys().cloned().collect();
        let instances: Vec<_> = self.model.instances.keys().cloned().collect();
        for name in instances {
            if let Some(view) = self.routers.view(&name)
                && let Some(state) = told(view.state)
            {
                let line = fifo::state(&NotifyWho::Instance(name), state, view.effective_priority);
                self.write(FifoKind::Vrrp, &line);
            }
        }
        for name in groups {
            if let Some(state) = self.routers.group_view(&name).and_then(|view| told(view.state)) {
                self.write(FifoKind::Vrrp, &fifo::state(&NotifyWho::Group(name), state, 0));
            }
        }
    }

    fn write(&mut self, kind: FifoKind, line: &str) {
        for kind in [FifoKind::All, kind] {
            if self.model.global.fifos.contains_key(&kind) {
                self.queue.push_back(Action::Fifo(kind, line.to_owned()));
            }
        }
    }

    fn post(&mut self, mail: Mail) {
        if let Some(route) = &self.model.global.mail {
            self.queue.push_back(Action::Mail(Box::new(route.clone()), mail));
        }
    }

    /// How this node calls itself in mails.
    fn node(&self) -> &str {
        &self.agent.host
    }
}
