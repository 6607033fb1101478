//! How a new model would move virtual addresses: two copies of the engine look ahead, one with it and one without.

use super::super::Engine;
use crate::model::{Instance, Model};
use crate::vrrp::is_same_router;
use lb_shared::names::InstanceName;
use lb_shared::state::{InstanceView, VrrpState};
use std::collections::{BTreeMap, BTreeSet};

type Views = BTreeMap<InstanceName, InstanceView>;

impl Engine {
    /// How the new model would move virtual addresses, one line an instance; empty: none moves. `numbers`: what stands in
    /// the files that it tracks.
    pub(in crate::engine) fn moves(&self, new: &Model, numbers: &BTreeMap<String, i32>) -> Vec<String> {
        if !self.stands_otherwise(new) {
            return Vec::new();
        }
        let numbers_now = self.trackers.numbers();
        let numbers_now = numbers_now.map(|(name, it)| (name.clone(), it)).collect();
        let without = self.stand_after(&self.model, &numbers_now);
        let with = self.stand_after(new, numbers);
        let mut lines = Vec::new();
        for (name, before) in &self.model.instances {
            let Some(stays) = without.get(name) else {
                continue;
            };
            let was_master = stays.state == VrrpState::Master;
            let after = new.instances.values().find(|it| is_same_router(before, it));
            let line = match after.and_then(|after| Some((after, with.get(&after.name)?))) {
                Some((after, then)) => match (was_master, then.state == VrrpState::Master) {
                    (true, true) => no_longer_held(before, after)
                        .or_else(|| endangered(new, &without, &with, stays, then)),
                    (true, false) => Some(lost(new, &without, &with, then)),
                    (false, true) => Some(gained(stays, then)),
                    (false, false) => None,
                },
                None if !was_master => None,
                None if new.instances.contains_key(name) => Some(
                    "it becomes another virtual router: its addresses go, and come back if it wins the election"
                        .to_owned(),
                ),
                None => Some("it is not in the file: its addresses go to the peer".to_owned()),
            };
            lines.extend(line.map(|line| format!("{name}: {line}")));
        }
        lines
    }

    /// Whether the new model could change where an instance stands.
    fn stands_otherwise(&self, new: &Model) -> bool {
        let old = &self.model;
        old.instances != new.instances
            || old.groups != new.groups
            || old.scripts != new.scripts
            || old.processes != new.processes
            || old.files != new.files
            || old.sessions != new.sessions
            || old.static_tracks != new.static_tracks
    }
}

/// The other members of its group.
fn mates<'a>(new: &'a Model, name: &'a InstanceName) -> impl Iterator<Item = &'a InstanceName> {
    let group = new.groups.values().find(|it| it.members.contains(name));
    let members = group.into_iter().flat_map(|it| &it.members);
    members.filter(move |it| *it != name)
}

/// Addresses that a MASTER no longer has.
fn no_longer_held(before: &Instance, after: &Instance) -> Option<String> {
    let held = |it: &Instance| -> BTreeSet<_> {
        let lists = [&it.addresses, &it.excluded_addresses];
        let lines = lists.into_iter().flatten();
        lines.map(|it| (it.address, it.device.clone())).collect()
    };
    let (old, new) = (held(before), held(after));
    let gone: Vec<String> = (old.difference(&new))
        .map(|(address, _)| address.to_string())
        .collect();
    (!gone.is_empty()).then(|| format!("{} no longer held", gone.join(", ")))
}

/// Whether a MASTER that stays one may lose to a peer, of which nothing is known while it is BACKUP.
fn endangered(
    new: &Model,
    without: &Views,
    with: &Views,
    stays: &InstanceView,
    then: &InstanceView,
) -> Option<String> {
    let (from, to) = (stays.effective_priority, then.effective_priority);
    if to < from {
        return Some(format!(
            "its priority falls from {from} to {to}: a peer above {to} takes over"
        ));
    }
    mates(new, &then.name).find_map(|mate| {
        let from = without.get(mate)?.effective_priority;
        let to = with.get(mate)?.effective_priority;
        (to < from).then(|| {
            format!(
                "it goes with {mate} of its group, whose priority falls from {from} to {to}: a peer above {to} takes over"
            )
        })
    })
}

/// Why a MASTER is none afterwards.
fn lost(new: &Model, without: &Views, with: &Views, then: &InstanceView) -> String {
    let mates: Vec<&InstanceName> = mates(new, &then.name).collect();
    if then.state == VrrpState::Fault {
        let of_mates = mates.iter().filter_map(|mate| with.get(*mate));
        let of_mates = of_mates
            .filter(|it| it.state == VrrpState::Fault && !it.faults.is_empty())
            .map(|it| format!(" ({}: {})", it.name, it.faults.join(", ")));
        let of_mates: String = of_mates.collect();
        return format!("it goes to FAULT: {}{of_mates}", then.faults.join(", "));
    }
    if let Some(master) = &then.master {
        return format!(
            "{} takes over: its priority is {}",
            master.address, master.priority
        );
    }
    let no_masters = mates
        .iter()
        .filter(|mate| without.get(**mate).is_none_or(|it| it.state != VrrpState::Master));
    let no_masters: Vec<&str> = no_masters.map(|it| it.0.as_ref()).collect();
    match no_masters.is_empty() {
        true => format!("it becomes BACKUP: {}", then.why),
        false => format!(
            "it becomes BACKUP with its group: {} is not MASTER",
            no_masters.join(", ")
        ),
    }
}

/// Why one that is no MASTER becomes one.
fn gained(stays: &InstanceView, then: &InstanceView) -> String {
    let ours = then.effective_priority;
    match &stays.master {
        _ if stays.state == VrrpState::Fault => {
            format!("it leaves FAULT, and takes over unless it then hears a priority of {ours} or more")
        }
        Some(master) if ours > master.priority => format!(
            "it takes over from {}: its priority {ours} is above {}",
            master.address, master.priority
        ),
        Some(master) if then.group.is_some() => {
            format!("it takes over from {} with its group", master.address)
        }
        Some(master) => format!(
            "it becomes MASTER beside {}, whose adverts are then refused",
            master.address
        ),
        None if then.group.is_some() => "it takes over with its group".to_owned(),
        None => "it takes over".to_owned(),
    }
}
