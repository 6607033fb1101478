//! News of interfaces and addresses: what changed without us, and what became of what we asked for.

use super::Engine;
use super::input::NetNews;
use crate::net::{AddressKey, Link, NetOp, announce};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, TrackerName};
use lb_shared::state::ObjectId;
use std::collections::BTreeSet;

impl Engine {
    pub(super) fn on_net(&mut self, news: NetNews) {
        match news {
            NetNews::Table(table) => self.on_net_table(table),
            NetNews::Link(link) => self.on_link(link),
            NetNews::LinkGone(index) => {
                if let Some(link) = self.net.on_link_gone(index) {
                    self.debounce.forget(&link.name);
                    self.on_interface_news(&link.name, What::LinkGone, "gone");
                }
            }
            NetNews::Address(key, address) => {
                let ours = address.ours;
                let new = self.net.on_address(self.now, key, address);
                self.on_address_there(key, new, ours);
            }
            NetNews::AddressGone(key) => {
                let stolen = self.net.on_address_gone(self.now, &key);
                self.on_address_gone(key, stolen);
            }
            NetNews::Done(id, failures) => {
                let outcome = self.net.on_done(self.now, id, failures);
                for (op, error) in outcome.refused {
                    if self.on_vmac_refused(&op, &error.text) {
                        continue;
                    }
                    self.say(What::KernelRefused, op.to_string(), Some(error.text));
                }
                for key in outcome.recovered {
                    self.announce_again(&key);
                    let text = format!("{}: the kernel took it", self.place(&key));
                    self.say(What::KernelRecovered, text, None);
                }
                for (op, refusal) in outcome.answers {
                    match &op {
                        NetOp::Firewall(it) => self.on_firewall_answer(it, refusal),
                        _ => self.on_routing_answer(&op, refusal),
                    }
                }
                self.on_static_address_answers();
                self.touch(ObjectId::Agent);
            }
            NetNews::RoutingGone(gone) => self.on_routing_gone(&gone),
            NetNews::FirewallLost(table) => self.on_firewall_lost(&table),
            NetNews::FirewallUnknown => self.firewall_again(),
        }
    }

    /// Takes up what was doubted, and tries again what was refused.
    pub(super) fn net_on_tick(&mut self) {
        for (key, news) in self.net.take_doubts(self.now) {
            self.on_net(match news {
                Some(address) => NetNews::Address(key, address),
                None => NetNews::AddressGone(key),
            });
        }
        for key in self.net.take_retries(self.now) {
            let holder = self.net.holders(&key).next().cloned();
            if let Some(None) = holder {
                self.hold_static_addresses();
            } else if let Some(Some(name)) = holder {
                // Announced when the kernel has taken it.
                self.hold_addresses(&name, 0);
            } else if self.net.have().addresses.contains_key(&key) {
                self.net.clean(&BTreeSet::from([key]), &mut self.queue);
            } else {
                self.net.forgive(&key);
                self.touch(ObjectId::Agent);
            }
        }
    }

    /// An address that was refused is there at last: whoever holds it tells the network.
    fn announce_again(&mut self, key: &AddressKey) {
        let names: Vec<InstanceName> = self.net.holders(key).flatten().cloned().collect();
        let garps = names.iter().filter_map(|name| self.model.instances.get(name));
        let Some(garp) = garps.map(|it| it.garp).max_by_key(|it| it.repeat) else {
            return;
        };
        let link = self.net.have().links.get(&key.link);
        let Some(frame) = link.and_then(|link| announce(link, key.address)) else {
            return;
        };
        let frames = self.paced(garp, vec![frame; garp.repeat as usize]);
        self.net.send(frames, &mut self.queue);
    }

    fn on_net_table(&mut self, table: crate::net::NetTable) {
        let lost = self.net.on_table(self.now, table);
        self.debounce.forget_all();
        self.refresh_interfaces();
        self.refresh_grounds(None);
        for key in lost {
            self.on_address_gone(key, true);
        }
        self.hold_static_addresses();
        let ops = self.routing.all_again();
        self.net.send(ops, &mut self.queue);
        self.begin();
    }

    fn on_link(&mut self, link: Link) {
        let name = link.name.clone();
        let (running, mtu) = (link.running, link.mtu);
        let before = self.net.on_link(link);
        let resized = before.as_ref().is_some_and(|before| before.mtu != mtu);
        match before {
            Some(before) if before.name != name => {
                self.debounce.forget(&before.name);
                self.debounce.forget(&name);
                self.on_interface_news(&before.name, What::LinkGone, "renamed");
                self.on_interface_news(
                    &name,
                    if running { What::LinkUp } else { What::LinkDown },
                    "appeared",
                );
            }
            Some(before) if before.running == running => {}
            Some(_) => {
                if self.debounce.on_change(self.now, &name, running) {
                    self.on_running(&name, running);
                }
            }
            None => self.on_interface_news(
                &name,
                if running { What::LinkUp } else { What::LinkDown },
                "appeared",
            ),
        }
        if resized {
            // Its adverts may have room for more addresses, or fewer.
            self.refresh_grounds(Some(&name));
        }
    }

    fn on_running(&mut self, name: &str, running: bool) {
        let (what, word) = if running {
            (What::LinkUp, "up")
        } else {
            (What::LinkDown, "down")
        };
        self.on_interface_news(name, what, word);
    }

    /// Changes of interfaces that have lasted long enough.
    pub(super) fn interfaces_on_tick(&mut self) {
        for name in self.debounce.take_due(self.now) {
            if let Some(running) = self.net.have().link(&name).map(|link| link.running) {
                self.on_running(&name, running);
            }
        }
    }

    fn on_interface_news(&mut self, name: &str, what: What, word: &str) {
        let tracker = TrackerName::Interface(name.to_owned());
        if self.index.by_interface.contains_key(name) || self.index.by_tracker.contains_key(&tracker) {
            self.say(what, format!("interface {name} {word}"), None);
        }
        self.vmacs_on_link(name);
        self.refresh_interface(name);
        self.refresh_grounds(Some(name));
        self.static_addresses_on_interface(name);
        self.hold_on_own_link(name);
        self.routing_on_interface(name);
    }

    /// Tells the trackers about every interface there is or that is tracked.
    pub(super) fn refresh_interfaces(&mut self) {
        let tracked = self.index.by_tracker.keys().filter_map(|tracker| match tracker {
            TrackerName::Interface(name) => Some(name.clone()),
            _ => None,
        });
        for name in tracked.collect::<BTreeSet<_>>() {
            self.refresh_interface(&name);
        }
    }

    fn refresh_interface(&mut self, name: &str) {
        if !self.net.known() {
            return;
        }
        let link = self.net.have().link(name);
        let up = link.map(|link| self.debounce.counts_as(name, link.running));
        let mut effects = Vec::new();
        self.trackers.on_interface(self.now, name, up, &mut effects);
        self.on_tracker_effects(effects);
    }

    /// Gives instances the ground they stand on: all, or those on one interface.
    pub(super) fn refresh_grounds(&mut self, interface: Option<&str>) {
        if !self.net.known() {
            return;
        }
        let names: Vec<InstanceName> = match interface {
            None => self.model.instances.keys().cloned().collect(),
            Some(name) => self
                .index
                .by_interface
                .get(name)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        };
        for name in names {
            self.give_ground(&name);
        }
        self.listen();
    }

    pub(super) fn give_ground(&mut self, name: &InstanceName) {
        let Some(instance) = self.model.instances.get(name) else {
            return;
        };
        let mut ground = super::ground::ground(
            instance,
            self.net.have(),
            &self.debounce,
            &self.index.virtual_addresses,
            &self.vmacs,
        );
        ground.faults.extend(self.static_faults(name));
        let mut effects = Vec::new();
        self.routers.on_ground(self.now, name, ground, &mut effects);
        self.on_router_effects(effects);
        self.touch(ObjectId::Instance(name.clone()));
    }

    fn on_address_there(&mut self, key: AddressKey, new: bool, marked: bool) {
        if !self.index.virtual_addresses.contains(&key.address) {
            self.refresh_grounds_of(key);
            return;
        }
        if !new || self.net.is_ours(&key) || self.boot.is_some() {
            return;
        }
        let place = self.place(&key);
        if marked {
            self.say(
                What::AddressFound,
                format!("{place} was here without us; removing it"),
                None,
            );
            self.net.clean(&BTreeSet::from([key]), &mut self.queue);
        } else {
            self.say(
                What::AddressFound,
                format!("{place} was added by somebody else; left alone"),
                Some("this node is not MASTER for it: two hosts may answer for the address".into()),
            );
        }
    }

    fn on_address_gone(&mut self, key: AddressKey, stolen: bool) {
        if !self.index.virtual_addresses.contains(&key.address) {
            self.refresh_grounds_of(key);
        }
        if !stolen {
            return;
        }
        let holders: Vec<_> = self.net.holders(&key).cloned().collect();
        for owner in holders {
            let Some(name) = owner else {
                self.on_static_address_lost(key);
                continue;
            };
            let text = format!("{} was removed by somebody else", self.place(&key));
            self.emit(
                What::AddressLost,
                ObjectId::Instance(name.clone()),
                text,
                None,
                None,
            );
            let mut effects = Vec::new();
            self.routers
                .on_address_lost(self.now, &name, key.address, &mut effects);
            self.on_router_effects(effects);
        }
    }

    fn refresh_grounds_of(&mut self, key: AddressKey) {
        let name = self.net.have().links.get(&key.link).map(|link| link.name.clone());
        self.refresh_grounds(name.as_deref());
    }

    pub(super) fn place(&self, key: &AddressKey) -> String {
        let device = self
            .net
            .have()
            .links
            .get(&key.link)
            .map_or("?", |link| &link.name);
        format!("{}/{} dev {device}", key.address, key.prefix_len)
    }

    /// Hears adverts where instances need them.
    pub(super) fn listen(&mut self) {
        let ears = self.routers.ears();
        if ears != self.listening {
            self.listening.clone_from(&ears);
            self.queue.push_back(super::Action::Listen(ears));
        }
    }

    /// `ha_suspend`: checks rest while none of a service's addresses is on this host.
    pub(super) fn suspend_checks(&mut self) {
        if !self.net.take_moved() || self.boot.is_some() {
            return;
        }
        let mut effects = Vec::new();
        for (key, addresses) in &self.index.suspendable {
            let mut there = self.net.have().addresses.keys();
            let suspended = !there.any(|key| addresses.contains(&key.address));
            self.health.on_suspend(self.now, key, suspended, &mut effects);
        }
        self.on_health_effects(effects);
    }

    /// Takes away addresses an earlier run left on the interfaces.
    pub(super) fn remove_leftovers(&mut self, keys: &BTreeSet<AddressKey>) {
        let there: Vec<String> = keys
            .iter()
            .filter(|key| self.net.have().addresses.contains_key(key))
            .map(|key| self.place(key))
            .collect();
        if there.is_empty() {
            return;
        }
        self.net.adopt(keys.iter().copied());
        self.net.clean(keys, &mut self.queue);
        self.say(
            What::Cleaned,
            format!("removed {}", there.join(", ")),
            Some("left by an earlier run".into()),
        );
    }
}
