//! Effects of the machines become actions and events; views of what changed become part of the state.

use super::Engine;
use super::action::Action;
use super::jobs::Purpose;
use crate::health;
use crate::model::{CheckKind, Job};
use crate::track;
use crate::vrrp;
use lb_shared::event::{Actor, Change, Event, What};
use lb_shared::names::{InstanceName, ServiceKey, TrackerName};
use lb_shared::state::{Object, ObjectId, Programmed, ServiceView};
use std::sync::Arc;

impl Engine {
    pub(super) fn on_router_effects(&mut self, effects: Vec<vrrp::Effect>) {
        for effect in effects {
            match effect {
                vrrp::Effect::Send { instance, advert } => {
                    self.queue.push_back(Action::Send(instance, advert))
                }
                vrrp::Effect::Changed {
                    instance,
                    what,
                    text,
                    why,
                } => {
                    if matches!(
                        what,
                        What::BecameMaster | What::BecameBackup | What::BecameFault | What::BecameInit
                    ) {
                        self.hold_addresses(&instance, 0);
                        self.ledger_due = true;
                    }
                    self.emit(what, ObjectId::Instance(instance), text, why, None);
                }
                vrrp::Effect::GroupChanged { group, text } => {
                    self.emit(What::GroupChanged, ObjectId::Group(group), text, None, None);
                }
                vrrp::Effect::Removed { instance } => {
                    self.hold_addresses(&instance, 0);
                    self.ledger_due = true;
                    self.emit(
                        What::InstanceRemoved,
                        ObjectId::Instance(instance),
                        "removed".into(),
                        None,
                        None,
                    );
                }
                vrrp::Effect::Announce { instance, rounds } => self.hold_addresses(&instance, rounds),
                vrrp::Effect::AnnounceElsewhere { instance, all } => self.announce_elsewhere(&instance, all),
                vrrp::Effect::AnnounceSource { instance } => self.announce_source(&instance),
                vrrp::Effect::Notify { who, state, priority } => self.tell_state(&who, state, priority),
                vrrp::Effect::PriorityNotify {
                    instance,
                    state,
                    priority,
                } => self.tell_priority(&instance, state, priority),
                vrrp::Effect::MasterRxLowerPriority { instance, priority } => {
                    self.tell_lower_priority(&instance, priority);
                }
            }
        }
    }

    pub(super) fn on_tracker_effects(&mut self, effects: Vec<track::Effect>) {
        for effect in effects {
            match effect {
                track::Effect::Seen(tracker) => {
                    self.refresh_terms(&tracker);
                    self.touch(ObjectId::Tracker(tracker));
                }
                track::Effect::Run { script, job } => self.run(Purpose::Track(script), job),
                track::Effect::Changed {
                    tracker,
                    what,
                    text,
                    why,
                } => {
                    self.refresh_terms(&tracker);
                    self.emit(what, ObjectId::Tracker(tracker), text, why, None);
                }
            }
        }
    }

    pub(super) fn on_health_effects(&mut self, effects: Vec<health::Effect>) {
        for effect in effects {
            match effect {
                health::Effect::Check { id, job } => match job.kind {
                    CheckKind::Misc(check) => {
                        let job = Job {
                            script: check.script.clone(),
                            arguments: Vec::new(),
                            timeout: Some(check.timeout),
                            report: true,
                            lane: None,
                        };
                        let began = self.now;
                        self.run(
                            Purpose::Misc {
                                check: Box::new(check),
                                id,
                                began,
                            },
                            job,
                        );
                    }
                    _ => self.queue.push_back(Action::Check(id, job)),
                },
                health::Effect::Cancel(id) => {
                    self.jobs.forget_check(id);
                    self.queue.push_back(Action::CancelCheck(id));
                }
                health::Effect::Replan(service) => {
                    self.touch(ObjectId::Service(service.clone()));
                    self.replan(&service);
                }
                health::Effect::Changed {
                    server,
                    what,
                    text,
                    why,
                } => {
                    self.tell_server(&server, what, why.as_deref());
                    self.emit(what, ObjectId::Server(server), text, why, None);
                }
                health::Effect::ServiceChanged {
                    service,
                    what,
                    text,
                    why,
                } => {
                    self.tell_quorum(&service, what, &text);
                    self.emit(what, ObjectId::Service(service), text, why, None);
                }
                health::Effect::Begins(server) => self.tell_first(&server),
                health::Effect::Removed(server) => {
                    self.emit(
                        What::ServerRemoved,
                        ObjectId::Server(server),
                        "removed".into(),
                        None,
                        None,
                    );
                }
                health::Effect::ServiceRemoved(service) => {
                    self.emit(
                        What::ServiceRemoved,
                        ObjectId::Service(service),
                        "removed".into(),
                        None,
                        None,
                    );
                }
                health::Effect::Run { script, args, lane } => {
                    let job = Job {
                        script,
                        arguments: args,
                        timeout: None,
                        report: false,
                        lane: Some(lane),
                    };
                    self.run(Purpose::Notify, job);
                }
            }
        }
    }

    /// New terms for every instance that depends on a tracker.
    pub(super) fn refresh_terms(&mut self, tracker: &TrackerName) {
        let names: Vec<InstanceName> = self
            .index
            .by_tracker
            .get(tracker)
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        for name in names {
            self.give_terms(&name);
        }
    }

    /// Says that something happened, with the object's new view.
    pub(super) fn emit(
        &mut self,
        what: What,
        object: ObjectId,
        text: String,
        why: Option<String>,
        actor: Option<Actor>,
    ) {
        let changes = self.change_of(&object).into_iter().collect();
        self.touched.remove(&object);
        let event = Event {
            what,
            object,
            text,
            why,
            actor,
            at: self.now,
            changes,
        };
        self.state.apply(&event);
        self.events.push_back(event);
    }

    /// The next view that changed without a word of its own.
    pub(super) fn next_view(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.all_touched) {
            self.touch_all();
        }
        while let Some(object) = self.touched.pop_first() {
            if let Some(change) = self.change_of(&object) {
                let event = Event {
                    what: What::Present,
                    object,
                    text: String::new(),
                    why: None,
                    actor: None,
                    at: self.now,
                    changes: vec![change],
                };
                self.state.apply(&event);
                return Some(event);
            }
        }
        None
    }

    /// How an object's view differs from what clients know; `None` when it does not.
    fn change_of(&self, id: &ObjectId) -> Option<Change> {
        let known = match id {
            ObjectId::Agent => true,
            ObjectId::Instance(name) => self.state.instances.contains_key(name),
            ObjectId::Group(name) => self.state.groups.contains_key(name),
            ObjectId::Tracker(name) => self.state.trackers.contains_key(name),
            ObjectId::Service(key) => self.state.services.contains_key(key),
            ObjectId::Server(id) => self.state.servers.contains_key(id),
            ObjectId::Override(target) => self.state.overrides.contains_key(target),
        };
        match self.view(id) {
            None => known.then(|| Change::Remove(id.clone())),
            Some(object) => (!self.shows(&object)).then_some(Change::Put(object)),
        }
    }

    fn shows(&self, object: &Object) -> bool {
        match object {
            Object::Agent(view) => self.state.agent == **view,
            Object::Instance(view) => self.state.instances.get(&view.name) == Some(view),
            Object::Group(view) => self.state.groups.get(&view.name) == Some(view),
            Object::Tracker(view) => self.state.trackers.get(&view.name) == Some(view),
            Object::Service(view) => self.state.services.get(&view.key) == Some(view),
            Object::Server(view) => self.state.servers.get(&view.id) == Some(view),
            Object::Override(view) => self.state.overrides.get(&view.target) == Some(&**view),
        }
    }

    fn view(&self, id: &ObjectId) -> Option<Object> {
        Some(match id {
            ObjectId::Agent => {
                let mut view = self.agent.clone();
                view.kernel_trouble = (self.net.trouble().chain(self.vmacs.trouble()))
                    .chain(self.routing.trouble())
                    .chain(self.firewall.trouble())
                    .chain(self.ipvs.trouble())
                    .collect();
                view.ipvs_missing = self.ipvs_missing();
                view.sync = self.sync_view();
                view.stopping = self.stopping.is_some();
                Object::Agent(Box::new(view))
            }
            ObjectId::Instance(name) => {
                let mut view = self.routers.view(name)?;
                let place = self.model.layout.instances.get(name);
                view.place = place.cloned().unwrap_or_default();
                Object::Instance(Arc::new(view))
            }
            ObjectId::Group(name) => Object::Group(self.routers.group_view(name)?),
            ObjectId::Tracker(name) => Object::Tracker(self.trackers.view(name)?),
            ObjectId::Service(key) => Object::Service(Arc::new(self.service_view(key)?)),
            ObjectId::Server(id) => Object::Server(Arc::new(self.health.server_view(id)?)),
            ObjectId::Override(target) => Object::Override(Box::new(self.intent.get(target)?.clone())),
        })
    }

    fn service_view(&self, key: &ServiceKey) -> Option<ServiceView> {
        let mut view = self.health.service_view(key)?;
        view.programmed = self.programmed(&view);
        view.order = self.model.layout.services.get(key).copied().unwrap_or(0);
        view.instance = view.entries.iter().find_map(|entry| match entry {
            lb_shared::names::VirtualKey::Address { address, .. } => self.holder_of(*address),
            lb_shared::names::VirtualKey::Fwmark { .. } => None,
        });
        Some(view)
    }

    fn programmed(&self, view: &ServiceView) -> Programmed {
        if self.ipvs_missing().is_some() {
            return Programmed::Unavailable;
        }
        let mut all = true;
        for entry in &view.entries {
            match self.ipvs.settled(entry) {
                Err(text) => return Programmed::Failed(text.to_owned()),
                Ok(settled) => all &= settled,
            }
        }
        if all { Programmed::Yes } else { Programmed::Pending }
    }

    fn holder_of(&self, address: std::net::IpAddr) -> Option<InstanceName> {
        if !self.index.virtual_addresses.contains(&address) {
            return None;
        }
        self.model
            .instances
            .values()
            .find(|it| super::ground::addresses(it).any(|virtual_address| virtual_address.address == address))
            .map(|it| it.name.clone())
    }
}
