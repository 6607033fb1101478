//! What is supposed: events of the question, as inputs of the copy.

use super::World;
use crate::engine::action::Ticket;
use crate::engine::input::{Command, Input, NetNews};
use crate::model::CheckKind;
use lb_shared::event::Actor;
use lb_shared::names::{Family, InstanceName};
use lb_shared::request::{Refusal, RefusalCode, Role};
use lb_shared::whatif::Suppose;
use std::net::IpAddr;

impl World {
    pub(super) fn suppose(&mut self, event: &Suppose) -> Result<(), Refusal> {
        let missing = |what: String| {
            Err(Refusal::new(
                RefusalCode::NotFound,
                what,
                "lbctl show lists what there is",
            ))
        };
        match event {
            Suppose::Interface { name, up } => {
                let Some(link) = self.engine.net.have().link(name).cloned() else {
                    return missing(format!("there is no interface '{name}'"));
                };
                let link = crate::net::Link { running: *up, ..link };
                self.inbox.push_back(Input::Net(NetNews::Link(link)));
            }
            Suppose::Script { name, ok } => {
                if !self.engine.model.scripts.contains_key(name) {
                    return missing(format!("there is no vrrp_script '{name}'"));
                }
                self.scripts_are.insert(name.clone(), *ok);
            }
            Suppose::Server { server, up } => {
                let known = self.engine.model.services.get(&server.service);
                match known.and_then(|it| it.servers.get(&server.server)) {
                    None => return missing(format!("there is no server {server}")),
                    Some(it) if it.checks.is_empty() => {
                        self.notes
                            .push(format!("{server} has no check: nothing would notice"));
                    }
                    Some(it) if it.checks.iter().all(|it| matches!(it.kind, CheckKind::Bfd(_))) => {
                        self.notes.push(format!(
                            "{server} follows BFD sessions only: ask with 'bfd NAME down'"
                        ));
                    }
                    Some(_) => {}
                }
                self.servers_are.insert(server.clone(), *up);
            }
            Suppose::PeerSilent { address } => {
                let before = self.peers.len();
                self.peers.retain(|it| it.address != *address);
                if self.peers.len() == before {
                    return missing(format!("no master is heard from {address}"));
                }
            }
            Suppose::PeerPriority { address, priority } => {
                let names = self.instances_with(*address);
                if names.is_empty() {
                    return missing(format!("{address} is on the network of no instance"));
                }
                for name in names {
                    let was_master = self.peers.iter().any(|it| {
                        it.instance == name && it.address == *address && it.routers.is_master(&name)
                    });
                    self.add_peer(&name, *address, *priority, was_master);
                }
            }
            Suppose::Bfd { name, up } => {
                if !self.engine.model.sessions.contains_key(name) {
                    return missing(format!("there is no bfd_instance '{name}'"));
                }
                let word = if *up { "up" } else { "down" };
                let detail = format!("supposed to be {word}");
                self.engine.session_shows(name, Some(*up), &detail, None);
                self.inbox.push_back(Input::Tick);
            }
            Suppose::Act(act) => {
                self.tickets += 1;
                let command = Command {
                    actor: Actor::default(),
                    wall_ms: self.wall_ms,
                    role: Role::Admin,
                    act: act.clone(),
                    expect: Vec::new(),
                };
                self.inbox
                    .push_back(Input::Command(Ticket(self.tickets), command));
            }
        }
        self.settle();
        Ok(())
    }

    /// Instances a router at this address would take part in: on its network, or that name it.
    fn instances_with(&self, address: IpAddr) -> Vec<InstanceName> {
        let have = self.engine.net.have();
        let on_link = |interface: &str| {
            have.link(interface).is_some_and(|link| {
                have.addresses
                    .keys()
                    .any(|key| key.link == link.index && same_network(key.address, address, key.prefix_len))
            })
        };
        let instances = self.engine.model.instances.values();
        instances
            .filter(|it| it.family == Family::of(address))
            .filter(|it| {
                it.unicast_peers.iter().any(|peer| peer.address == address)
                    || it.interface.as_deref().is_some_and(on_link)
            })
            .map(|it| it.name.clone())
            .collect()
    }
}

fn same_network(a: IpAddr, b: IpAddr, prefix_len: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(it) => (u128::from(u32::from(it)) << 96, 32),
        IpAddr::V6(it) => (u128::from(it), 128),
    };
    let ((a, a_bits), (b, b_bits)) = (bits(a), bits(b));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
    a_bits == b_bits && prefix_len > 0 && u32::from(prefix_len) < a_bits && a & mask == b & mask
}
