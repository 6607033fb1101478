//! What the trackers, read as a new model reads them, make of its instances.

use super::super::Engine;
use crate::model::{Instance, Model, Tracking};
use crate::track::{Sum, Trackers};
use crate::vrrp::is_same_router;
use lb_shared::names::InstanceName;
use std::collections::BTreeMap;

/// The trackers of a new model in the states of today. One that has no result yet adds nothing and faults nobody.
pub(super) struct Standing<'a> {
    engine: &'a Engine,
    new: &'a Model,
    trackers: Trackers,
}

impl Engine {
    /// Whether the new model could change where an instance stands.
    pub(super) fn stands_otherwise(&self, new: &Model) -> bool {
        let old = &self.model;
        old.instances != new.instances
            || old.groups != new.groups
            || old.scripts != new.scripts
            || old.processes != new.processes
            || old.files != new.files
            || old.sessions != new.sessions
    }
}

impl<'a> Standing<'a> {
    /// `numbers`: what stands in the files that are tracked.
    pub(super) fn of(engine: &'a Engine, new: &'a Model, numbers: &BTreeMap<String, i32>) -> Self {
        let mut trackers = engine.trackers.clone();
        // A copy: what would follow from it is not done.
        let mut effects = Vec::new();
        let now = engine.now;
        trackers.apply(now, &new.scripts, &mut effects);
        trackers.apply_processes(now, &new.processes, &mut effects);
        trackers.apply_files(now, &new.files, numbers, &mut effects);
        if engine.net.known() {
            let lists = (new.instances.values().map(|it| &it.tracking))
                .chain(new.groups.values().map(|it| &it.tracking));
            for track in lists.flat_map(|it| &it.interfaces) {
                let name = &track.interface;
                let link = engine.net.have().link(name);
                let up = link.map(|link| engine.debounce.counts_as(name, link.running));
                trackers.on_interface(now, name, up, &mut effects);
            }
        }
        Self {
            engine,
            new,
            trackers,
        }
    }

    /// Its priority, with its trackers and its pin. `before`: its name today.
    pub(super) fn priority(&self, before: &InstanceName, after: &Instance) -> Option<u8> {
        let terms = self.sum(after).terms;
        self.engine.routers.priority_with(before, after.priority, &terms)
    }

    /// What would put it into FAULT: its own faults, or those of a member of its group.
    pub(super) fn faults(&self, after: &Instance) -> Vec<String> {
        let own = self.own_faults(after);
        if !own.is_empty() {
            return own;
        }
        let group = (self.new.groups.values()).find(|group| group.members.contains(&after.name));
        let members = group.map_or(&[][..], |group| &group.members[..]);
        let mates = (members.iter().filter(|name| **name != after.name))
            .filter_map(|name| self.new.instances.get(name));
        let faults = mates.flat_map(|mate| {
            let faults = self.own_faults(mate).into_iter();
            faults.map(|fault| format!("{} of its group: {fault}", mate.name))
        });
        faults.collect()
    }

    fn own_faults(&self, after: &Instance) -> Vec<String> {
        let terms = self.sum(after).faults;
        let before = (self.engine.model.instances.values()).find(|it| is_same_router(it, after));
        let known = before.and_then(|it| self.engine.routers.faults_with(&it.name, &terms));
        known.unwrap_or(terms)
    }

    fn sum(&self, after: &Instance) -> Sum {
        let group = (self.new.groups.values()).find(|group| group.members.contains(&after.name));
        let mut tracking: Vec<&Tracking> = vec![&after.tracking];
        tracking.extend(group.map(|group| &group.tracking));
        let weights = group.is_none_or(|group| group.tracking_weight);
        self.trackers.terms(&tracking, weights)
    }
}
