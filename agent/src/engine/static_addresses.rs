//! Addresses of `static_ipaddress`: there whatever the instances do, put back when somebody removes them.

use super::Engine;
use super::net_keeper::Held;
use crate::model::VirtualAddress;
use crate::net::AddressKey;
use lb_shared::event::What;
use lb_shared::state::ObjectId;

impl Engine {
    /// Sets those that should be there and are not.
    pub(super) fn hold_static_addresses(&mut self) {
        if self.boot.is_some() || self.stopping.is_some() {
            return;
        }
        let want = self.placed_addresses(self.model.static_addresses.iter());
        let held = self.net.held(&None);
        if want.is_empty() && held.is_none() {
            return;
        }
        for key in held.into_iter().flat_map(Held::keys) {
            if !want.contains_key(key) {
                self.put_back.forget(key);
            }
        }
        self.net.set_held(&None, want, Vec::new(), &mut self.queue);
        self.ledger_due = true;
        self.touch(ObjectId::Agent);
    }

    /// A link came, or is up again: IPv6 addresses went with it.
    pub(super) fn static_addresses_on_interface(&mut self, name: &str) {
        if self.model.static_addresses.iter().any(|it| it.device == name) {
            self.hold_static_addresses();
        }
    }

    /// Somebody removed one.
    pub(super) fn on_static_address_lost(&mut self, key: AddressKey) {
        let device = self
            .net
            .have()
            .links
            .get(&key.link)
            .map(|link| link.name.as_str());
        let meant = |it: &&VirtualAddress| {
            (it.address, it.prefix_len) == (key.address, key.prefix_len) && Some(it.device.as_str()) == device
        };
        let tracked = self
            .model
            .static_addresses
            .iter()
            .find(meant)
            .is_some_and(|it| it.track);
        if !tracked || self.stopping.is_some() {
            return;
        }
        if self.put_back.on_lost(self.now, &key) {
            self.put_static_back(&key);
        }
    }

    pub(super) fn static_addresses_on_tick(&mut self) {
        for key in self.put_back.take_due(self.now) {
            self.put_static_back(&key);
        }
    }

    fn put_static_back(&mut self, key: &AddressKey) {
        if self.net.have().addresses.contains_key(key) {
            return;
        }
        let text = format!("{} is put back", self.place(key));
        self.say(What::DriftHealed, text, Some("somebody removed it".into()));
        self.hold_static_addresses();
    }

    /// For the ledger: those that are ours to remove.
    pub(super) fn static_addresses_held(&self) -> Vec<(String, std::net::IpAddr, u8)> {
        let held = self.net.held(&None).into_iter().flat_map(Held::keys);
        held.filter(|key| self.net.is_owned(key))
            .filter_map(|key| {
                let link = self.net.have().links.get(&key.link)?;
                Some((link.name.clone(), key.address, key.prefix_len))
            })
            .collect()
    }
}
