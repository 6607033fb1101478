//! A configuration comes into force: which routers stay, which change, which go and come.

use super::effect::Effect;
use super::group::Group;
use super::role::{Exit, Role};
use super::router::Router;
use super::routers::Routers;
use crate::model::{Instance, Ipvlan, NotifyState, SyncGroup, Vmac, VrrpVersion};
use lb_shared::event::What;
use lb_shared::names::{Family, GroupName, InstanceName};
use lb_shared::state::VrrpState;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What makes a router the same router after a reload, whatever its name (as keepalived).
///
/// The version is part of it: routers of two versions do not hear each other.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Identity {
    vrid: u8,
    family: Family,
    version: VrrpVersion,
    interface: Option<String>,
    vrf: Option<String>,
    vmac: Option<Vmac>,
    ipvlan: Option<Ipvlan>,
    /// The source of a unicast router, the group of the others.
    place: (bool, Option<IpAddr>),
}

impl Identity {
    fn of(cfg: &Instance) -> Self {
        let unicast = !cfg.unicast_peers.is_empty();
        Self {
            vrid: cfg.vrid.get(),
            family: cfg.family,
            version: cfg.version,
            interface: cfg.interface.clone(),
            vrf: cfg.vrf.clone(),
            vmac: cfg.vmac.clone(),
            ipvlan: cfg.ipvlan.clone(),
            place: (
                unicast,
                if unicast {
                    cfg.source
                } else {
                    Some(cfg.multicast_group)
                },
            ),
        }
    }
}

/// Whether a reload keeps the state of one in the other.
pub fn is_same_router(before: &Instance, after: &Instance) -> bool {
    Identity::of(before) == Identity::of(after)
}

impl Routers {
    /// Puts a configuration in force, at start and at a reload. What did not change is not touched.
    ///
    /// `startup_delay` counts at the first call only.
    pub fn apply(
        &mut self,
        now: Mono,
        instances: &BTreeMap<InstanceName, Arc<Instance>>,
        groups: &BTreeMap<GroupName, Arc<SyncGroup>>,
        startup_delay: Duration,
        out: &mut Vec<Effect>,
    ) {
        if self.stopped {
            return;
        }
        let delayed = !self.started && !startup_delay.is_zero();
        let start_at = if delayed { now + startup_delay } else { Mono::ZERO };
        self.started = true;

        let mut left: BTreeMap<Identity, usize> = BTreeMap::new();
        for (slot, router) in self.slots.iter().enumerate() {
            if let Some(router) = router {
                left.insert(Identity::of(&router.cfg), slot);
            }
        }
        let matched: Vec<_> = instances
            .values()
            .map(|cfg| (cfg, left.remove(&Identity::of(cfg))))
            .collect();
        for slot in left.into_values() {
            self.remove(now, slot, out);
        }
        let tracked_by_group: BTreeSet<&InstanceName> = groups
            .values()
            .filter(|group| !group.tracking.is_empty())
            .flat_map(|group| &group.members)
            .collect();
        // At the start all of them come at once.
        let more = instances.len().saturating_sub(self.slots.len());
        self.slots.reserve_exact(more);
        let mut names = BTreeMap::new();
        let mut renamed = Vec::new();
        let mut added = Vec::new();
        let mut touched = BTreeSet::new();
        for (cfg, slot) in matched {
            let slot = match slot {
                Some(slot) => {
                    let router = self.router(slot);
                    if !Arc::ptr_eq(&router.cfg, cfg) && router.cfg != *cfg {
                        renamed.extend((router.cfg.name != cfg.name).then(|| router.cfg.name.clone()));
                        router.reconfigure(now, cfg.clone(), out);
                        touched.insert(slot);
                    }
                    slot
                }
                None => {
                    let mut router = self.make(now, cfg.clone(), start_at);
                    // Nothing is known of its trackers before the first `on_terms`.
                    router.terms.waiting = !cfg.tracking.is_empty() || tracked_by_group.contains(&cfg.name);
                    let slot = self.place(router);
                    added.push(slot);
                    touched.insert(slot);
                    slot
                }
            };
            names.insert(cfg.name.clone(), slot);
        }
        self.names = names;
        for name in renamed {
            if !self.names.contains_key(&name) {
                out.push(Effect::Removed { instance: name });
            }
        }
        touched.extend(self.regroup(now, groups, &added, out));
        for slot in added {
            self.router(slot)
                .changed(What::InstanceChanged, "added".to_owned(), None, out);
        }
        for slot in touched {
            self.settle(now, slot, out);
        }
    }

    fn place(&mut self, router: Router) -> usize {
        match self.slots.iter().position(Option::is_none) {
            Some(slot) => {
                self.slots[slot] = Some(router);
                slot
            }
            None => {
                self.slots.push(Some(router));
                self.slots.len() - 1
            }
        }
    }

    fn remove(&mut self, now: Mono, slot: usize, out: &mut Vec<Effect>) {
        self.unschedule(slot);
        self.unindex(slot);
        let router = self.router(slot);
        router.leave(now, true, out);
        router.notify(NotifyState::Deleted, out);
        out.push(Effect::Removed {
            instance: router.name().clone(),
        });
        self.slots[slot] = None;
    }

    /// Builds the groups anew. Returns members of those that changed.
    fn regroup(
        &mut self,
        now: Mono,
        groups: &BTreeMap<GroupName, Arc<SyncGroup>>,
        added: &[usize],
        out: &mut Vec<Effect>,
    ) -> Vec<usize> {
        let old = std::mem::take(&mut self.groups);
        let mut before: BTreeMap<usize, Option<GroupName>> = BTreeMap::new();
        for (slot, router) in self.slots.iter_mut().enumerate() {
            if let Some(router) = router {
                before.insert(slot, router.group.take().map(|(_, name)| name));
            }
        }
        let mut lists: Vec<(Vec<usize>, Vec<InstanceName>)> = Vec::new();
        for (at, cfg) in groups.values().enumerate() {
            let (members, names): (Vec<usize>, Vec<InstanceName>) = cfg
                .members
                .iter()
                .filter_map(|name| self.names.get(name).map(|slot| (*slot, name.clone())))
                .unzip();
            for member in &members {
                self.router(*member).group = Some((at, cfg.name.clone()));
            }
            lists.push((members, names));
        }
        for (slot, old) in before {
            let router = self.router(slot);
            let new = router.group.as_ref().map(|(_, name)| name);
            if new != old.as_ref() && !added.contains(&slot) {
                let text = match new {
                    Some(group) => format!("now in sync group {group}"),
                    None => "no longer in a sync group".to_owned(),
                };
                router.changed(What::InstanceChanged, text, None, out);
            }
        }
        let mut touched = Vec::new();
        for (cfg, (members, names)) in groups.values().zip(lists) {
            let before = old.iter().find(|group| group.name == cfg.name);
            let same = before.is_some_and(|group| group.members == members && group.names == names);
            self.groups.push(Group {
                name: cfg.name.clone(),
                members: members.clone(),
                names,
                state: before.map_or(VrrpState::Init, |group| group.state),
                since: before.map_or(now, |group| group.since),
                told: before.and_then(|group| group.told),
            });
            if !same {
                out.push(Effect::GroupChanged {
                    group: cfg.name.clone(),
                    text: if before.is_some() {
                        "members changed"
                    } else {
                        "added"
                    }
                    .to_owned(),
                });
                self.reunite(now, &members, out);
                touched.extend(members);
            }
        }
        for group in old {
            if !groups.contains_key(&group.name) {
                // Its members go their own ways from where they are.
                touched.extend(group.members.iter().filter(|slot| self.slots[**slot].is_some()));
                out.push(Effect::GroupChanged {
                    group: group.name,
                    text: "removed".to_owned(),
                });
            } else {
                let now_members = self.groups.iter().find(|new| new.name == group.name);
                let now_members = now_members.map(|new| new.members.clone()).unwrap_or_default();
                touched.extend(
                    group
                        .members
                        .into_iter()
                        .filter(|slot| !now_members.contains(slot) && self.slots[*slot].is_some()),
                );
            }
        }
        touched
    }

    /// Instances that were put together while one was MASTER and another BACKUP begin as BACKUP.
    fn reunite(&mut self, now: Mono, members: &[usize], out: &mut Vec<Effect>) {
        let mixed = members
            .iter()
            .any(|member| matches!(self.router(*member).role, Role::Backup(_)));
        for member in members {
            let router = self.router(*member);
            if mixed && router.is_master() {
                let why = "its new sync group is not MASTER".to_owned();
                router.enter_backup(now, why, Exit::Farewell, None, out);
            }
        }
    }
}

impl Router {
    /// Other settings, the same router: its state, timers and counters stay.
    fn reconfigure(&mut self, now: Mono, cfg: Arc<Instance>, out: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.cfg, cfg);
        self.fit(out);
        if self.cfg.version == VrrpVersion::V2 || self.master.is_none() || self.is_master() {
            self.master_interval = self.own_interval();
        }
        self.shown_interval = self.master_interval;
        let wire = std::mem::take(&mut self.wire);
        self.rewire();
        self.rearm();
        let text = if old.name == self.cfg.name {
            "settings changed".to_owned()
        } else {
            format!("renamed from {}, and its settings changed", old.name)
        };
        self.changed(What::InstanceChanged, text, None, out);
        self.reprioritise(Some("the configuration changed".to_owned()), out);
        let (wire_changed, interval) = (self.wire != wire, self.own_interval());
        let held = |cfg: &Instance| -> BTreeSet<_> {
            cfg.addresses
                .iter()
                .chain(&cfg.excluded_addresses)
                .cloned()
                .collect()
        };
        let gained = !held(&self.cfg).is_subset(&held(&old));
        let garp = self.cfg.garp;
        let Role::Master(master) = &mut self.role else {
            return;
        };
        if garp.refresh != old.garp.refresh {
            master.refresh_at = (!garp.refresh.is_zero()).then(|| now + garp.refresh);
        }
        if self.cfg.elsewhere != old.elsewhere {
            master.elsewhere_at = self.cfg.elsewhere.map(|it| now + it.every);
        }
        if wire_changed {
            // Backups learn the new priority and interval before they would miss an advert.
            master.advert_at = now + interval;
            self.send(now, out);
        }
        if gained {
            self.announce(garp.repeat, out);
        }
    }
}
