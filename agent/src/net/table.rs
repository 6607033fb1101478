//! Links and addresses: one type for what is wanted and for what the kernel has.

use super::{Routing, Ruleset, TableName};
use crate::model::AddressExtras;
use crate::wire::LinkIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An interface.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Link {
    pub index: LinkIndex,
    pub name: String,
    /// IFF_UP and IFF_RUNNING: it can carry packets.
    pub running: bool,
    /// IFF_NOARP is not set.
    pub arp: bool,
    pub multicast: bool,
    pub loopback: bool,
    pub mtu: u32,
    /// Six bytes on Ethernet; empty where there is no such thing.
    pub mac: Vec<u8>,
    /// The link below, where this one is a macvlan in private mode.
    #[serde(default)]
    pub private_over: Option<LinkIndex>,
    /// The table of a VRF.
    #[serde(default)]
    pub vrf_table: Option<u32>,
    /// The link below, where this one is an ipvlan of layer 2.
    #[serde(default)]
    pub ipvlan_over: Option<LinkIndex>,
    /// The VRF it belongs to.
    #[serde(default)]
    pub vrf: Option<LinkIndex>,
}

impl Link {
    /// The link below, where this one is of a kind that instances have made for them.
    pub fn over(&self) -> Option<LinkIndex> {
        self.private_over.or(self.ipvlan_over)
    }
}

/// What tells two addresses of one host apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct AddressKey {
    pub link: LinkIndex,
    pub address: IpAddr,
    pub prefix_len: u8,
}

/// The rest of an address.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Address {
    /// IPv4 only.
    pub label: Option<String>,
    /// 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    pub broadcast: Option<IpAddr>,
    /// IFA_PROTO 18: an agent or keepalived put it there. False on kernels before 5.18.
    pub ours: bool,
    pub extras: AddressExtras,
    /// Tentative or failed duplicate address detection (IPv6): not usable as a source.
    pub usable: bool,
}

/// The links and addresses of a host.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NetTable {
    pub links: BTreeMap<LinkIndex, Link>,
    pub addresses: BTreeMap<AddressKey, Address>,
    /// Routes and rules of ours. They are not read from the kernel: here is what was sent.
    #[serde(default)]
    pub routing: BTreeSet<Routing>,
    /// Tables of nf_tables, as they were sent.
    #[serde(default)]
    pub firewall: BTreeMap<TableName, Ruleset>,
}

impl NetTable {
    /// The link of a name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// The first usable address of a family on a link: any for IPv4, link-local for IPv6. Addresses in `except`
    /// (virtual ones, which may leave at any time) do not count.
    pub fn primary(&self, link: LinkIndex, v4: bool, except: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        self.on_link(link)
            .filter(|(key, address)| {
                address.usable && key.address.is_ipv4() == v4 && !except.contains(&key.address)
            })
            .map(|(key, _)| key.address)
            .find(|address| match address {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => v6.is_unicast_link_local(),
            })
    }

    /// The addresses of one link.
    pub fn on_link(&self, link: LinkIndex) -> impl Iterator<Item = (&AddressKey, &Address)> {
        let first = AddressKey {
            link,
            address: IpAddr::from([0, 0, 0, 0]),
            prefix_len: 0,
        };
        self.addresses
            .range(first..)
            .take_while(move |(key, _)| key.link == link)
    }
}
