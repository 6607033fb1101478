//! The first model: what an earlier run left is kept where it is still ours, and removed where it is stale.

use super::Engine;
use super::boot::Previous;
use super::ipvs_keeper::Status;
use super::want::destination_key;
use crate::model::{Instance, Model};
use crate::net::AddressKey;
use lb_shared::event::{Actor, What};
use lb_shared::names::{Family, InstanceName, ServerId};
use lb_shared::state::{AgentView, DrainThen, ObjectId, OverrideKind, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The number of the first sealed advert of a run: above any that an earlier one sent, as long as the clock is right.
///
/// Four a second since 2020; version 2 sends one.
fn first_number(wall_ms: u64) -> u32 {
    const YEAR_2020_MS: u64 = 1_577_836_800_000;
    u32::try_from(wall_ms.saturating_sub(YEAR_2020_MS) / 250).unwrap_or(u32::MAX / 2)
}

impl Engine {
    /// Says who we are before anything is known.
    pub(super) fn introduce(&mut self) {
        let Some(boot) = &self.boot else { return };
        let found = boot.ipvs_sysctls.clone();
        self.original_sysctls = found.into_iter().map(|it| self.original(it)).collect();
        let Some(boot) = &self.boot else { return };
        self.agent = AgentView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: boot.host.clone(),
            pid: boot.pid,
            ..AgentView::default()
        };
    }

    /// What a setting was before a run of ours changed it: one that was killed while it drained wrote that down.
    fn original(&self, (name, found): (&'static str, String)) -> (&'static str, String) {
        let boot = self.boot.as_ref();
        let ledger = boot.and_then(|it| it.previous.as_ref()).map(|it| &it.ledger);
        let kept = ledger.and_then(|it| it.sysctls.get(name)).cloned();
        (name, kept.unwrap_or(found))
    }

    /// The settings of an IPVS that was not there at the start.
    pub(super) fn on_ipvs_settings(&mut self, found: BTreeMap<&'static str, String>) {
        for it in found {
            if !self.original_sysctls.contains_key(it.0) {
                self.ipvs.know_sysctl(it.0, it.1.clone());
                let (name, value) = self.original(it);
                self.original_sysctls.insert(name, value);
                self.ledger_due = true;
            }
        }
        if self.boot.is_none() {
            self.want_sysctls();
        }
    }

    /// Puts the first model in force as soon as the interfaces and the IPVS table are known.
    pub(super) fn begin(&mut self) {
        if !self.net.known() || *self.ipvs.status() == Status::Unknown || self.stopping.is_some() {
            return;
        }
        let Some(mut boot) = self.boot.take() else { return };
        let first = self.first_model(&mut boot);
        if let Some(trouble) = &boot.intent.trouble {
            self.say(What::IntentTrouble, trouble.clone(), None);
        }
        self.routers.number_from(first_number(boot.wall_ms));
        let model = &first.model;
        let resumed = boot
            .previous
            .as_ref()
            .map_or_else(Vec::new, |it| self.resumable(model, it));
        self.adopted = resumed.iter().map(|(name, _)| name.clone()).collect();
        self.clean_up(model, boot.previous.as_ref());
        if boot.intent.lost {
            self.doubt_stays_drained(model, boot.wall_ms);
        }
        let crashed = boot.previous.is_some();
        let earlier = boot.previous.as_ref().map(|it| it.ledger.clone());
        let lost = boot.intent.lost;
        if let Some(earlier) = &earlier {
            self.vmacs.take_over(earlier);
            self.firewall.take_over(earlier);
        }
        self.put_in_force(first, crashed);
        self.tell_of_former();
        if !boot.refused.is_empty() {
            let follows = "the file is refused, what was in force before this start goes on";
            self.on_file_refused(&boot.refused, follows);
        }
        // What was concluded from the kernel must outlast the next crash, too.
        if lost && self.intent.len() > 0 {
            let id = self.next_persist();
            self.queue
                .push_back(super::Action::Persist(id, self.intent.to_store()));
        }
        for (name, ago) in &resumed {
            let mut effects = Vec::new();
            self.routers.resume(self.now, name, *ago, &mut effects);
            self.on_router_effects(effects);
        }
        for (name, ago) in resumed {
            if !self.routers.is_master(&name) {
                // A fault, a pin or its group keeps it from going on.
                self.adopted.remove(&name);
                let keys = self.model.instances.get(&name).map(|it| self.held_by(it));
                self.remove_leftovers(&keys.unwrap_or_default().into_keys().collect());
                continue;
            }
            let text = format!(
                "still MASTER: this node's last advert was {} ms ago",
                ago.as_millis()
            );
            self.emit(What::Adopted, ObjectId::Instance(name), text, None, None);
        }
        if let Some(earlier) = earlier {
            self.clean_routing(&earlier);
            self.clean_firewall();
        }
        self.say(
            What::Started,
            format!("version {}", env!("CARGO_PKG_VERSION")),
            None,
        );
    }

    /// Instances of the earlier run whose mastership nobody can have missed yet: the last advert is younger than two
    /// intervals and the addresses are still on the interface.
    fn resumable(&self, model: &Model, previous: &Previous) -> Vec<(InstanceName, Duration)> {
        let mut found = Vec::new();
        for (name, master) in &previous.ledger.masters {
            let name = InstanceName::from(name.as_str());
            let Some(instance) = model.instances.get(&name) else {
                continue;
            };
            let Some(ago) = previous.sent_ago.get(&name.0) else {
                continue;
            };
            let same = instance.vrid.get() == master.vrid
                && (instance.family == Family::Inet6) == master.inet6
                && instance.interface == master.interface;
            let fresh = *ago < 2 * Duration::from_micros(master.advert_interval_us);
            let there = self
                .held_by(instance)
                .keys()
                .all(|key| self.net.have().addresses.contains_key(key));
            if same && fresh && there {
                found.push((name, *ago));
            }
        }
        found
    }

    fn clean_up(&mut self, model: &Model, previous: Option<&Previous>) {
        let kept = |name: &InstanceName| self.adopted.contains(name);
        let keys_of = |instance: &Instance| self.held_by(instance).into_keys().collect::<Vec<_>>();
        let of_ledger = |list: &[(String, std::net::IpAddr, u8)]| -> Vec<AddressKey> {
            let place = |(device, address, prefix_len): &(String, _, _)| {
                Some(AddressKey {
                    link: self.net.have().link(device)?.index,
                    address: *address,
                    prefix_len: *prefix_len,
                })
            };
            list.iter().filter_map(place).collect()
        };
        let left_static = previous.map_or_else(Vec::new, |it| of_ledger(&it.ledger.static_addresses));
        let wanted_static = self.placed_addresses(model.static_addresses.iter());
        let (kept_static, left_static): (Vec<_>, Vec<_>) =
            (left_static.into_iter()).partition(|key| wanted_static.contains_key(key));
        let adopted: BTreeSet<AddressKey> = model
            .instances
            .values()
            .filter(|it| kept(&it.name))
            .flat_map(|it| keys_of(it))
            .chain(kept_static)
            .collect();
        let mut stale: BTreeSet<AddressKey> = model
            .instances
            .values()
            .filter(|it| !kept(&it.name))
            .flat_map(|it| keys_of(it))
            .collect();
        let earlier = previous.iter().flat_map(|it| it.ledger.masters.values());
        stale.extend(earlier.flat_map(|it| of_ledger(&it.addresses)));
        stale.extend(left_static);
        stale.retain(|key| !adopted.contains(key));
        self.net.adopt(adopted);
        self.remove_leftovers(&stale);
    }

    /// With the stored overrides unreadable, the kernel is the witness: a server it holds at weight 0 against the
    /// configuration was drained by somebody.
    fn doubt_stays_drained(&mut self, model: &Model, wall_ms: u64) {
        let mut doubtful = Vec::new();
        for service in model.services.values() {
            for entry in &service.entries {
                let Some(have) = self.ipvs.have().services.get(entry) else {
                    continue;
                };
                for (key, server) in &service.servers {
                    let zero = have
                        .destinations
                        .get(&destination_key(entry, *key, server.forwarding))
                        .is_some_and(|it| it.settings.weight == 0);
                    if zero && server.weight.get() > 0 {
                        doubtful.push(ServerId {
                            service: service.key.clone(),
                            server: *key,
                        });
                    }
                }
            }
        }
        for id in doubtful {
            let actor = Actor {
                user: "unknown operator".into(),
                ..Actor::default()
            };
            let message = "found at weight 0 while the stored overrides were unreadable";
            let kind = OverrideKind::Drain {
                then: DrainThen::Keep,
                inactive: false,
            };
            let target = Target::Server(id);
            self.intent.put(super::intent::make(
                target,
                kind,
                None,
                (&actor, message),
                (self.now, wall_ms),
            ));
        }
    }
}
