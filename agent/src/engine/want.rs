//! What the machines need of the kernel.

use super::Engine;
use super::net_keeper::Held;
use super::vmac_settings::is_macvlan_v6;
use crate::health::Standing;
use crate::ipvs::table::{
    Destination, DestinationCounters, DestinationSettings, IpvsService, Method, ServiceSettings, SyncDaemon,
    SyncRole, flags,
};
use crate::model::{self, Forwarding, TunnelType};
use crate::net::{Address, AddressKey, NetOp, announce};
use lb_shared::names::{InstanceName, ServerKey, ServiceKey, VirtualKey};
use lb_shared::state::SyncView;
use std::collections::{BTreeMap, BTreeSet};

impl Engine {
    /// The daemons that should copy connections: those that send on the MASTER, those that take elsewhere.
    pub(super) fn want_sync(&self) -> BTreeMap<SyncRole, SyncDaemon> {
        let Some(it) = self
            .model
            .global
            .sync_daemon
            .as_ref()
            .filter(|_| self.stopping.is_none())
        else {
            return BTreeMap::new();
        };
        let daemon = SyncDaemon {
            interface: it.interface.clone(),
            id: it.id,
            maxlen: it.maxlen,
            port: it.port,
            ttl: it.ttl,
            group: it.group,
        };
        let roles = match &it.instance {
            None => vec![SyncRole::Master, SyncRole::Backup],
            Some(name) if self.routers.is_master(name) => vec![SyncRole::Master],
            Some(_) => vec![SyncRole::Backup],
        };
        roles.into_iter().map(|role| (role, daemon.clone())).collect()
    }

    pub(super) fn sync_view(&self) -> Option<SyncView> {
        let it = self.model.global.sync_daemon.as_ref()?;
        Some(SyncView {
            interface: it.interface.clone(),
            id: it.id,
            instance: it.instance.clone(),
            sends: self.ipvs.runs_sync(SyncRole::Master),
            takes: self.ipvs.runs_sync(SyncRole::Backup),
        })
    }

    /// What IPVS should hold for an entry; `None` when no service of ours is behind it.
    pub(super) fn want_ipvs(&self, entry: &VirtualKey) -> Option<IpvsService> {
        let key = self.index.by_entry.get(entry)?;
        let service = self.model.services.get(key)?;
        let standing = self.health.standing(key)?;
        Some(wanted_service(entry, service, &standing))
    }

    /// Marks everything behind a service for planning.
    pub(super) fn replan(&mut self, key: &ServiceKey) {
        if let Some(service) = self.model.services.get(key) {
            for entry in service.entries.clone() {
                self.ipvs.touch(entry);
            }
        }
    }

    /// Puts an instance's addresses on or takes them off, then announces them `rounds` times.
    pub(super) fn hold_addresses(&mut self, name: &InstanceName, rounds: u32) {
        // An adopted address is there already, and must leave when its instance does.
        let may = self.gate_open || self.adopted.contains(name);
        let master = may && self.routers.is_master(name);
        let instance = if master {
            self.model.instances.get(name).cloned()
        } else {
            None
        };
        if !master {
            // Last come, first gone.
            self.hold_routing(name, false);
        }
        let (want, announcements, guards) = match &instance {
            Some(instance) => {
                let want = self.held_by(instance);
                let announcements = self.announcements(instance, &want, rounds);
                let announcements = self.paced(instance.garp, announcements);
                let guards = self.guards_of(instance, &want);
                (want, announcements, guards)
            }
            None if self.keeps_addresses() => return,
            None => (Held::new(), Vec::new(), BTreeSet::new()),
        };
        if rounds > 0 || !master {
            // Not with every reload.
            if let Some(instance) = self.model.instances.get(name).cloned() {
                self.vmac_routes(&instance, master);
            }
        }
        let unguard = self.guard_addresses(name, guards);
        self.net
            .set_held(&Some(name.clone()), want, announcements, &mut self.queue);
        self.send_firewall(unguard);
        if master {
            self.hold_routing(name, false);
        }
    }

    pub(super) fn held_by(&self, instance: &model::Instance) -> Held {
        let mut held = self.placed_addresses(super::ground::addresses(instance));
        held.extend(self.link_locals_of(instance));
        held
    }

    /// Interfaces with a MAC of their own have the link-local address that adverts come from, or else that of the
    /// interface below, as keepalived does it; while the instance is MASTER, since the neighbours' switches see the
    /// group that goes with it.
    fn link_locals_of(&self, instance: &model::Instance) -> Vec<(AddressKey, Address)> {
        let have = self.net.have();
        let known = &self.index.virtual_addresses;
        let place = |link: model::OwnLink| {
            let own = instance.vmac.as_ref().is_some_and(|it| it.name == link.name);
            let address = match own {
                true => super::ground::source(instance, have, known)?,
                false => have.primary(have.link(&link.parent)?.index, false, known)?,
            };
            let key = AddressKey {
                link: have.link(&link.name)?.index,
                address,
                prefix_len: 64,
            };
            let extras = model::AddressExtras {
                preferred_s: Some(0),
                ..model::AddressExtras::default()
            };
            let value = Address {
                extras,
                ours: true,
                usable: true,
                ..Address::default()
            };
            Some((key, value))
        };
        let links = instance.own_links().filter(is_macvlan_v6);
        links.filter_map(place).collect()
    }

    /// As the kernel is told them, where their interfaces are there.
    pub(super) fn placed_addresses<'a>(
        &self,
        addresses: impl Iterator<Item = &'a model::VirtualAddress>,
    ) -> Held {
        addresses
            .filter_map(|address| {
                let link = self.net.have().link(&address.device)?;
                Some((
                    AddressKey {
                        link: link.index,
                        address: address.address,
                        prefix_len: address.prefix_len,
                    },
                    Address {
                        label: address.label.clone(),
                        scope: address.scope,
                        broadcast: address.broadcast,
                        extras: address.extras.clone(),
                        ours: true,
                        usable: true,
                    },
                ))
            })
            .collect()
    }

    fn announcements(&self, instance: &model::Instance, held: &Held, rounds: u32) -> Vec<NetOp> {
        let mut round = Vec::new();
        // The order of the file, as adverts have it.
        for address in super::ground::addresses(instance) {
            let found = held
                .keys()
                .filter(|key| key.address == address.address)
                .find_map(|key| self.net.have().links.get(&key.link));
            round.extend(found.and_then(|link| announce(link, address.address)));
        }
        (0..rounds).flat_map(|_| round.clone()).collect()
    }
}

fn wanted_service(entry: &VirtualKey, service: &model::Service, standing: &Standing) -> IpvsService {
    let mut bits = 0;
    let scheduler = &service.scheduler;
    // A server of weight 0 black-holes its share of the clients of sh and mh, unless they may move.
    let fallback = scheduler.flag_1 || (scheduler.hashes_clients() && standing.any_draining_or_zero);
    for (set, bit) in [
        (service.persistence.is_some(), flags::PERSISTENT),
        (service.one_packet, flags::ONE_PACKET),
        (fallback, flags::SCHED_1),
        (scheduler.flag_2, flags::SCHED_2),
        (scheduler.flag_3, flags::SCHED_3),
    ] {
        if set {
            bits |= bit;
        }
    }
    let bits_of_family = service.family.bits();
    IpvsService {
        settings: ServiceSettings {
            scheduler: scheduler.name.clone(),
            flags: bits,
            timeout_s: service.persistence.as_ref().map_or(0, |it| it.timeout_s),
            prefix_len: service
                .persistence
                .as_ref()
                .map_or(bits_of_family, |it| it.prefix_len),
            engine: service.persistence.as_ref().and_then(|it| it.engine.clone()),
        },
        destinations: standing
            .servers
            .iter()
            .map(|(key, &(forwarding, weight, upper_threshold, lower_threshold))| {
                let method = method(forwarding);
                let settings = DestinationSettings {
                    method,
                    weight: weight.get(),
                    upper_threshold,
                    lower_threshold,
                };
                (
                    destination_key(entry, *key, forwarding),
                    Destination {
                        settings,
                        counters: DestinationCounters::default(),
                    },
                )
            })
            .collect(),
    }
}

/// Where a server stands in an entry's list. Only NAT can change the port of a packet; the others deliver to the port
/// the packet was sent to, which a mark does not tell (as keepalived 2.2 and 2.4).
pub(super) fn destination_key(entry: &VirtualKey, server: ServerKey, forwarding: Forwarding) -> ServerKey {
    match (forwarding, entry) {
        (Forwarding::Nat, _) => server,
        (Forwarding::Direct | Forwarding::Tunnel(_), VirtualKey::Address { port, .. }) => ServerKey {
            port: *port,
            ..server
        },
        (Forwarding::Direct | Forwarding::Tunnel(_), VirtualKey::Fwmark { .. }) => {
            ServerKey { port: 0, ..server }
        }
    }
}

fn method(forwarding: Forwarding) -> Method {
    match forwarding {
        Forwarding::Nat => Method::Masquerade,
        Forwarding::Direct => Method::Direct,
        Forwarding::Tunnel(TunnelType::Ipip) => Method::Tunnel {
            kind: 0,
            port: 0,
            flags: 0,
        },
        Forwarding::Tunnel(TunnelType::Gue { port, checksum }) => Method::Tunnel {
            kind: 1,
            port,
            flags: checksum,
        },
        Forwarding::Tunnel(TunnelType::Gre { checksum }) => Method::Tunnel {
            kind: 2,
            port: 0,
            flags: checksum,
        },
    }
}
