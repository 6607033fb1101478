//! Takes parts of a state, with what they are shown with.

use super::{AllSums, Chosen, ServiceSum, Sums};
use crate::counters::Counters;
use crate::history::ServerWord;
use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::state::{Health, ObjectId, ServiceState, State, Target};
use crate::view::View;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// A state that is being put together from parts of another.
pub(super) struct Part<'a> {
    view: &'a View<'a>,
    pub(super) taken: State,
    pub(super) counters: Counters,
    pub(super) sums: Sums,
}

impl<'a> Part<'a> {
    pub(super) fn new(view: &'a View<'a>) -> Self {
        Self {
            view,
            taken: State::default(),
            counters: Counters::default(),
            sums: Sums::default(),
        }
    }

    pub(super) fn instance(&mut self, name: &InstanceName) {
        let state = self.view.state;
        let Some(it) = state.instances.get(name) else {
            return;
        };
        self.taken.instances.insert(name.clone(), it.clone());
        if let Some(group) = it.group.as_ref().and_then(|name| state.groups.get(name)) {
            self.taken.groups.insert(group.name.clone(), group.clone());
        }
        if let Some(counters) = self.view.instance_counters(name) {
            self.counters.instances.insert(name.clone(), counters.clone());
        }
        self.change(Target::Instance(name.clone()));
    }

    pub(super) fn service(&mut self, key: &ServiceKey) {
        let Some(it) = self.view.state.services.get(key) else {
            return;
        };
        self.taken.services.insert(key.clone(), it.clone());
        let (up, all) = self.view.up_of(key);
        let sum = ServiceSum {
            up: up as u64,
            all: all as u64,
            totals: self.view.service_totals(key),
        };
        self.sums.of_services.insert(key.clone(), sum);
    }

    /// A server, and the service it is shown with.
    pub(super) fn server(&mut self, id: &ServerId) {
        let state = self.view.state;
        let Some(it) = state.servers.get(id) else {
            return;
        };
        self.taken.servers.insert(id.clone(), it.clone());
        if !self.taken.services.contains_key(&id.service) {
            self.service(&id.service);
        }
        if let Some(counters) = self.view.server_counters(id) {
            self.counters.servers.insert(id.clone(), counters.clone());
        }
        self.change(Target::Server(id.clone()));
    }

    /// So many servers of these services after the last one, which becomes the last of them. Whether more follow.
    pub(super) fn servers_after(
        &mut self,
        services: &mut VecDeque<ServiceKey>,
        last: &mut Option<ServerId>,
        mut count: usize,
    ) -> bool {
        let all = &self.view.state.servers;
        while let Some(key) = services.front() {
            let from = match last.take() {
                Some(last) => Bound::Excluded(last),
                None => Bound::Included(ServerId::first_of(key)),
            };
            let of_service = all.range((from, Bound::Unbounded));
            let of_service = of_service.take_while(|(id, _)| id.service == *key);
            for (id, _) in of_service {
                if count == 0 {
                    return true;
                }
                count -= 1;
                self.server(id);
                *last = Some(id.clone());
            }
            services.pop_front();
            *last = None;
        }
        false
    }

    fn change(&mut self, target: Target) {
        if let Some(change) = self.view.state.overrides.get(&target) {
            self.taken.overrides.insert(target, change.clone());
        }
    }

    /// An object with those it depends on.
    pub(super) fn object(&mut self, id: &ObjectId) {
        let state = self.view.state;
        // Instances and trackers are few, and each may depend on any other.
        self.vrrp();
        let service = match id {
            ObjectId::Service(key) => key,
            ObjectId::Server(id) => &id.service,
            ObjectId::Override(Target::Server(id)) => &id.service,
            ObjectId::Override(Target::Instance(_))
            | ObjectId::Agent
            | ObjectId::Instance(_)
            | ObjectId::Group(_)
            | ObjectId::Tracker(_) => return,
        };
        self.service(service);
        for server in state.servers_of(service) {
            self.server(&server.id);
        }
    }

    fn vrrp(&mut self) {
        let state = self.view.state;
        if self.taken.instances.len() == state.instances.len() {
            return;
        }
        for name in state.instances.keys() {
            self.instance(name);
        }
        self.taken.groups = state.groups.clone();
        self.taken.trackers = state.trackers.clone();
    }

    /// What is wrong, overrides and totals, of these objects or of all.
    pub(super) fn status(&mut self, of: Option<&Chosen>) {
        let view = self.view;
        let state = view.state;
        match of {
            None => self.vrrp(),
            Some(of) => {
                let names = state.instances.keys();
                names
                    .filter(|name| of.has_instance(name))
                    .for_each(|name| self.instance(name));
            }
        }
        let mut services = BTreeMap::new();
        for it in state.services.values() {
            if of.is_some_and(|of| !of.has_service(&it.key)) {
                continue;
            }
            *services.entry(it.state).or_insert(0) += 1;
            match it.state {
                ServiceState::Down | ServiceState::Sorry => self.service(&it.key),
                ServiceState::Up | ServiceState::Init => {}
            }
        }
        let mut servers = [0; ServerWord::ALL.len()];
        let mut told_of_init = false;
        for (id, it) in &state.servers {
            if of.is_some_and(|of| !of.has_server(id)) {
                continue;
            }
            let word = ServerWord::of(it);
            servers[word as usize] += 1;
            // One without a result is enough to say that not all have one.
            let waits = it.health == Health::Init && !std::mem::replace(&mut told_of_init, true);
            if word == ServerWord::Down || waits {
                self.server(id);
            }
        }
        for (target, change) in &state.overrides {
            if of.is_some_and(|of| !of.has_change(target)) {
                continue;
            }
            if let Target::Server(id) = target {
                self.server(id);
            }
            self.taken.overrides.insert(target.clone(), change.clone());
        }
        self.sums.all = Some(AllSums {
            services: services.into_iter().collect(),
            servers: ServerWord::ALL.into_iter().zip(servers).collect(),
            totals: match of {
                None => view.totals(),
                Some(of) => of.totals(view),
            },
        });
    }
}
