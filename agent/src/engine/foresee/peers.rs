//! The other routers: the masters that are heard, and those who are named in the question.

use super::World;
use crate::engine::input::Input;
use crate::model::{Instance, NotifyScripts, Tracking, UnicastPeer};
use crate::vrrp::{self, Advert, Datagram, Ground, Routers};
use crate::wire::LinkIndex;
use lb_shared::names::InstanceName;
use lb_shared::units::Priority;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A router of somebody else, in the elections of one instance.
pub(super) struct Peer {
    pub(super) instance: InstanceName,
    pub(super) address: IpAddr,
    link: Option<LinkIndex>,
    pub(super) routers: Routers,
}

impl World {
    /// The masters that are heard go on.
    pub(super) fn heard_masters(&mut self) {
        let heard: Vec<_> = self
            .engine
            .state
            .instances
            .values()
            .filter_map(|it| Some((it.name.clone(), it.master.clone()?)))
            .collect();
        for (name, master) in heard {
            self.add_peer(&name, master.address, master.priority, true);
        }
    }

    /// A peer with our own settings but for priority and source.
    pub(super) fn add_peer(&mut self, name: &InstanceName, address: IpAddr, priority: u8, master: bool) {
        let (Some(cfg), Some(view)) = (
            self.engine.model.instances.get(name),
            self.engine.routers.view(name),
        ) else {
            return;
        };
        let Some(priority) = Priority::new(priority) else {
            return;
        };
        let own_link = cfg
            .interface
            .as_ref()
            .and_then(|it| self.engine.net.have().link(it));
        let (link, mtu) = (own_link.map(|it| it.index), own_link.map(|it| it.mtu));
        let ours =
            crate::engine::ground::source(cfg, self.engine.net.have(), &self.engine.index.virtual_addresses);
        let unicast_peers = match ours {
            Some(address) if !cfg.unicast_peers.is_empty() => vec![UnicastPeer {
                address,
                min_ttl: None,
                max_ttl: None,
            }],
            Some(_) | None => Vec::new(),
        };
        let theirs = Instance {
            priority,
            initial_master: priority.is_owner(),
            source: Some(address),
            track_source: false,
            unicast_peers,
            tracking: Tracking::default(),
            notify: NotifyScripts::default(),
            advert_interval: Duration::from_micros(view.advert_interval_us),
            ..(**cfg).clone()
        };
        let mut routers = Routers::new(1);
        // Above whatever the real one has sent.
        routers.number_from(u32::MAX / 2);
        routers.on_wall(self.now, self.engine.routers.unix_us(self.now));
        routers.sign_after(self.engine.routers.last_number());
        let mut effects = Vec::new();
        let instances = BTreeMap::from([(name.clone(), Arc::new(theirs))]);
        routers.apply(
            self.now,
            &instances,
            &BTreeMap::new(),
            Duration::ZERO,
            &mut effects,
        );
        let ground = Ground {
            link,
            sends_by: None,
            vrf: None,
            mtu,
            source: Some(address),
            own_addresses: vec![address],
            faults: Default::default(),
        };
        routers.on_ground(self.now, name, ground, &mut effects);
        if master {
            routers.resume(self.now, name, Duration::ZERO, &mut effects);
        }
        self.peers
            .retain(|it| !(it.instance == *name && it.address == address));
        self.peers.push(Peer {
            instance: name.clone(),
            address,
            link,
            routers,
        });
        self.carry(self.peers.len() - 1, effects);
    }

    /// An interface that is down carries nothing.
    fn carries(&self, link: Option<LinkIndex>) -> bool {
        link.is_none_or(|index| {
            self.engine
                .net
                .have()
                .links
                .get(&index)
                .is_some_and(|it| it.running)
        })
    }

    pub(super) fn deliver(&mut self, name: &InstanceName, advert: &Advert) {
        for nth in 0..self.peers.len() {
            let peer = &mut self.peers[nth];
            if peer.instance != *name {
                continue;
            }
            let link = peer.link;
            if !self.carries(link) {
                continue;
            }
            let mut effects = Vec::new();
            let heard = heard(advert, link);
            self.peers[nth]
                .routers
                .on_datagram(self.now, &heard, &mut effects);
            self.carry(nth, effects);
        }
    }

    /// What a peer does: its adverts reach us.
    pub(super) fn carry(&mut self, nth: usize, effects: Vec<vrrp::Effect>) {
        let link = self.peers[nth].link;
        if !self.carries(link) {
            return;
        }
        for effect in effects {
            if let vrrp::Effect::Send { advert, .. } = effect {
                self.inbox.push_back(Input::Datagram(heard(&advert, link)));
            }
        }
    }
}

/// An advert as it arrives.
fn heard(advert: &Advert, link: Option<LinkIndex>) -> Datagram {
    Datagram {
        link: advert.link.or(link).unwrap_or(LinkIndex(0)),
        source: advert.source,
        destination: advert.destination,
        ttl: Some(advert.ttl),
        envelope: advert.envelope,
        payload: advert.payload.clone(),
    }
}
