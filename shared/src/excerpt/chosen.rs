//! What a status of some targets is about.

use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::request::Refusal;
use crate::select;
use crate::state::{ObjectId, State, Target};
use crate::view::{Totals, View};
use std::collections::BTreeSet;

/// The objects that targets stand for: a group for its members, a tracker for the instances that follow it, a service
/// for its servers, a server also for its service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chosen {
    instances: BTreeSet<InstanceName>,
    /// With all their servers.
    whole: BTreeSet<ServiceKey>,
    /// Of other services.
    servers: BTreeSet<ServerId>,
    /// Those of `servers`.
    parts: BTreeSet<ServiceKey>,
}

impl Chosen {
    /// What the targets stand for; `None`, without any: everything.
    pub fn new(view: &View<'_>, targets: &[String]) -> Result<Option<Self>, Refusal> {
        if targets.is_empty() {
            return Ok(None);
        }
        let mut chosen = Self::default();
        for object in select::objects(view, targets)? {
            chosen.add(view.state, object);
        }
        let whole = &chosen.whole;
        chosen.servers.retain(|id| !whole.contains(&id.service));
        chosen.parts = chosen.servers.iter().map(|id| id.service.clone()).collect();
        Ok(Some(chosen))
    }

    fn add(&mut self, state: &State, object: ObjectId) {
        match object {
            ObjectId::Instance(name) | ObjectId::Override(Target::Instance(name)) => {
                self.instances.insert(name);
            }
            ObjectId::Group(name) => {
                let group = state.groups.get(&name);
                self.instances
                    .extend(group.into_iter().flat_map(|it| it.members.iter().cloned()));
            }
            ObjectId::Tracker(name) => {
                let follow = state.instances.values();
                let follow = follow.filter(|it| it.terms.iter().any(|term| term.tracker == name));
                self.instances.extend(follow.map(|it| it.name.clone()));
            }
            ObjectId::Service(key) => {
                self.whole.insert(key);
            }
            ObjectId::Server(id) | ObjectId::Override(Target::Server(id)) => {
                self.servers.insert(id);
            }
            ObjectId::Agent => {}
        }
    }

    pub(super) fn has_instance(&self, name: &InstanceName) -> bool {
        self.instances.contains(name)
    }

    pub(super) fn has_service(&self, key: &ServiceKey) -> bool {
        self.whole.contains(key) || self.parts.contains(key)
    }

    pub(super) fn has_server(&self, id: &ServerId) -> bool {
        self.whole.contains(&id.service) || self.servers.contains(id)
    }

    pub(super) fn has_change(&self, target: &Target) -> bool {
        match target {
            Target::Server(id) => self.has_server(id),
            Target::Instance(name) => self.has_instance(name),
        }
    }

    /// What its servers carry; `None` without counters.
    pub(super) fn totals(&self, view: &View<'_>) -> Option<Totals> {
        view.counters?;
        let mut totals = Totals::default();
        for key in &self.whole {
            if let Some(of_service) = view.service_totals(key) {
                totals.join(&of_service);
            }
        }
        for counters in self.servers.iter().filter_map(|id| view.server_counters(id)) {
            totals.add(counters);
        }
        Some(totals)
    }

    /// Leaves nothing else in a state.
    pub fn keep(&self, state: &mut State) {
        state.instances.retain(|name, _| self.has_instance(name));
        state.services.retain(|key, _| self.has_service(key));
        state.servers.retain(|id, _| self.has_server(id));
        state.overrides.retain(|target, _| self.has_change(target));
    }
}
