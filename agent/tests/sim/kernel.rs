//! A node's kernel: links, addresses and the IPVS table, changed by the agent's operations and by other hands.

use crate::cluster::{Cluster, DEVICES, Vr};
use lb_shared::names::Family;
use lbagent::engine::{NetNews, OpError};
use lbagent::ipvs::table::IpvsTable;
use lbagent::ipvs::{IpvsOp, Settled, settle};
use lbagent::net::apply::is_settled;
use lbagent::net::{Address, AddressKey, Link, NetOp, NetTable, NewLink, Routing, RoutingGone};
use lbagent::wire::LinkIndex;
use std::net::IpAddr;

const LOOPBACK: LinkIndex = LinkIndex(1);

/// A node's kernel.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) net: NetTable,
    pub(crate) ipvs: IpvsTable,
    pub(crate) has_ipvs: bool,
    next_index: u32,
    node: usize,
}

impl Kernel {
    /// As after booting: links and own addresses, nothing else.
    pub(crate) fn new(cluster: &Cluster, node: usize) -> Self {
        let mut kernel = Self {
            net: NetTable::default(),
            ipvs: IpvsTable::default(),
            has_ipvs: true,
            next_index: 2,
            node,
        };
        let loopback = Link {
            loopback: true,
            arp: false,
            ..kernel.link(LOOPBACK, "lo")
        };
        kernel.net.links.insert(LOOPBACK, loopback);
        for segment in 0..DEVICES.len() {
            kernel.make_link(cluster, segment);
        }
        kernel
    }

    fn link(&self, index: LinkIndex, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1500,
            mac: vec![
                2,
                0,
                0,
                0,
                u8::try_from(self.node).unwrap_or(0),
                index.0.to_le_bytes()[0],
            ],
            ..Link::default()
        }
    }

    /// The number of a segment's interface.
    pub(crate) fn index(&self, segment: usize) -> Option<LinkIndex> {
        self.net.link(DEVICES[segment]).map(|link| link.index)
    }

    /// The segment of an interface.
    pub(crate) fn segment(&self, index: LinkIndex) -> Option<usize> {
        let link = self.net.links.get(&index)?;
        let link = link.over().and_then(|it| self.net.links.get(&it)).unwrap_or(link);
        DEVICES.iter().position(|name| *name == link.name)
    }

    pub(crate) fn is_running(&self, segment: usize) -> bool {
        self.net.link(DEVICES[segment]).is_some_and(|link| link.running)
    }

    /// Creates a segment's interface with its own addresses; the news of it.
    pub(crate) fn make_link(&mut self, cluster: &Cluster, segment: usize) -> Vec<NetNews> {
        let index = LinkIndex(self.next_index);
        self.next_index += 1;
        let link = self.link(index, DEVICES[segment]);
        self.net.links.insert(index, link.clone());
        let mut news = vec![NetNews::Link(link)];
        news.extend(self.add_own(cluster, segment));
        news
    }

    pub(crate) fn add_own(&mut self, cluster: &Cluster, segment: usize) -> Vec<NetNews> {
        let Some(link) = self.index(segment) else {
            return Vec::new();
        };
        [(Family::Inet, 24), (Family::Inet6, 64)]
            .into_iter()
            .map(|(family, prefix_len)| {
                let address = cluster.primary(self.node, segment, family);
                let key = AddressKey {
                    link,
                    address,
                    prefix_len,
                };
                let value = Address {
                    usable: true,
                    ..Address::default()
                };
                self.net.addresses.insert(key, value.clone());
                NetNews::Address(key, value)
            })
            .collect()
    }

    pub(crate) fn remove_own(&mut self, cluster: &Cluster, segment: usize) -> Vec<NetNews> {
        let Some(link) = self.index(segment) else {
            return Vec::new();
        };
        [(Family::Inet, 24), (Family::Inet6, 64)]
            .into_iter()
            .filter_map(|(family, prefix_len)| {
                let address = cluster.primary(self.node, segment, family);
                let key = AddressKey {
                    link,
                    address,
                    prefix_len,
                };
                self.net.addresses.remove(&key).map(|_| NetNews::AddressGone(key))
            })
            .collect()
    }

    pub(crate) fn remove_link(&mut self, segment: usize) -> Vec<NetNews> {
        let Some(index) = self.index(segment) else {
            return Vec::new();
        };
        // Those on it go first.
        let mut news = Vec::new();
        for index in self.children(index).into_iter().chain([index]) {
            let gone: Vec<AddressKey> = self.net.on_link(index).map(|(key, _)| *key).collect();
            for key in &gone {
                self.net.addresses.remove(key);
            }
            self.net.links.remove(&index);
            self.drop_routes(index);
            news.extend(gone.into_iter().map(NetNews::AddressGone));
            news.push(NetNews::LinkGone(index));
        }
        news
    }

    pub(crate) fn set_running(&mut self, segment: usize, running: bool) -> Vec<NetNews> {
        let Some(index) = self.index(segment) else {
            return Vec::new();
        };
        let mut news = Vec::new();
        // Those on it follow.
        for index in [index].into_iter().chain(self.children(index)) {
            let Some(link) = self.net.links.get_mut(&index).filter(|it| it.running != running) else {
                continue;
            };
            link.running = running;
            news.push(NetNews::Link(link.clone()));
            if !running {
                self.drop_routes(index);
            }
        }
        news
    }

    fn children(&self, index: LinkIndex) -> Vec<LinkIndex> {
        let links = self.net.links.values();
        links
            .filter(|it| it.over() == Some(index))
            .map(|it| it.index)
            .collect()
    }

    /// Without a word, as the kernel does with those of a link that goes.
    fn drop_routes(&mut self, link: LinkIndex) {
        let through = |it: &Routing| matches!(it, Routing::Route(_, links) if links.contains(&Some(link)));
        self.net.routing.retain(|it| !through(it));
    }

    /// Somebody removes a virtual router's route; what the kernel tells of it.
    pub(crate) fn steal_route(&mut self, vr: &Vr) -> Option<NetNews> {
        let route = |it: &&Routing| matches!(it, Routing::Route(..)) && vr.owns(it);
        let it = self.net.routing.iter().find(route)?.clone();
        self.net.routing.remove(&it);
        Some(NetNews::RoutingGone(gone(&it)))
    }

    /// Whether a virtual router's route is there, and its rule.
    pub(crate) fn routing_of(&self, vr: &Vr) -> (bool, bool) {
        let mut there = (false, false);
        for it in self.net.routing.iter().filter(|it| vr.owns(it)) {
            match it {
                Routing::Route(..) => there.0 = true,
                Routing::Rule(_) => there.1 = true,
            }
        }
        there
    }

    /// Where an address is, with who put it there.
    pub(crate) fn find(&self, address: IpAddr) -> Option<(AddressKey, &Address)> {
        self.net
            .addresses
            .iter()
            .find(|(key, _)| key.address == address)
            .map(|(key, it)| (*key, it))
    }

    /// Carries out one operation as the lane does; what the kernel tells everybody about it.
    pub(crate) fn execute_net(
        &mut self,
        op: &NetOp,
        refusal: Option<i32>,
    ) -> (Option<NetNews>, Result<(), OpError>) {
        let result = match refusal {
            Some(errno) => Err(errno),
            None => self.net.apply(op),
        };
        match (result, op) {
            (Err(errno), _) if is_settled(op, errno) => (None, Ok(())),
            (Err(errno), _) => (None, Err(error(errno))),
            (Ok(()), NetOp::AddAddress { key, .. }) => {
                let news = self
                    .net
                    .addresses
                    .get(key)
                    .map(|it| NetNews::Address(*key, it.clone()));
                (news, Ok(()))
            }
            (Ok(()), NetOp::RemoveAddress { key, .. }) => (Some(NetNews::AddressGone(*key)), Ok(())),
            (Ok(()), NetOp::RemoveRouting(it)) => (Some(NetNews::RoutingGone(gone(it))), Ok(())),
            (Ok(()), NetOp::AddLink(NewLink { name, .. })) => {
                // The kernel gives no number twice.
                let made = self.net.link(name).map(|it| it.index);
                let link = made.and_then(|it| self.net.links.remove(&it)).map(|it| {
                    let index = LinkIndex(self.next_index);
                    self.next_index += 1;
                    Link { index, ..it }
                });
                self.net.links.extend(link.clone().map(|it| (it.index, it)));
                (link.map(NetNews::Link), Ok(()))
            }
            (Ok(()), NetOp::RaiseLink { name }) => {
                let link = self.net.link(name).cloned();
                (link.map(NetNews::Link), Ok(()))
            }
            (Ok(()), NetOp::RemoveLink { link }) => (Some(NetNews::LinkGone(*link)), Ok(())),
            (
                Ok(()),
                NetOp::AddRouting(_)
                | NetOp::QuietLink { .. }
                | NetOp::Announce { .. }
                | NetOp::Firewall(_)
                | NetOp::Sysctl { .. },
            ) => (None, Ok(())),
        }
    }

    /// Carries out one operation as the lane does: an answer that says the table was another one is settled.
    pub(crate) fn execute_ipvs(&mut self, op: &IpvsOp, refusal: Option<i32>) -> Result<(), OpError> {
        if let Some(errno) = refusal {
            return Err(error(errno));
        }
        let mut op = op.clone();
        // Twice: what stands in its place may meet the same surprise, and no more.
        for _ in 0..2 {
            let errno = self
                .ipvs
                .apply(&op)
                .map_or_else(|refusal| refusal.errno(), |()| 0);
            match settle(&op, errno) {
                Settled::Done => return Ok(()),
                Settled::Instead(other) => op = other,
                Settled::Failed => return Err(error(errno)),
            }
        }
        Err(error(22))
    }
}

fn error(errno: i32) -> OpError {
    OpError {
        errno,
        text: format!("errno {errno}"),
    }
}

/// What the kernel tells when one is removed.
fn gone(it: &Routing) -> RoutingGone {
    match it {
        Routing::Route(it, _) => RoutingGone::Route {
            table: it.table,
            destination: it.destination,
        },
        Routing::Rule(it) => RoutingGone::Rule {
            family: it.family,
            preference: it.preference,
        },
    }
}
