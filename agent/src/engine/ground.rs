//! What an instance stands on: its interface, its source address, and whether they carry it.

use super::debounce::Debounce;
use super::vmacs::{Standing, Vmacs};
use crate::model;
use crate::net::NetTable;
use crate::vrrp::Ground;
use lb_shared::names::Family;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Interfaces whose state matters to an instance: its own and those of its addresses.
pub(super) fn interfaces(instance: &model::Instance) -> BTreeSet<&str> {
    addresses(instance)
        .map(|address| address.device.as_str())
        .chain(tracked_by_routes(instance))
        .chain(instance.interface.as_deref())
        .chain(instance.own_link())
        .chain(instance.vrf.as_deref())
        .chain(
            instance
                .address_vmacs
                .iter()
                .flat_map(|it| [it.name.as_str(), it.parent.as_str()]),
        )
        .collect()
}

fn tracked_by_routes(instance: &model::Instance) -> impl Iterator<Item = &str> {
    let legs = instance
        .routes
        .iter()
        .filter(|it| it.track)
        .flat_map(|it| &it.legs);
    legs.filter_map(|leg| leg.device.as_deref())
}

/// Every address an instance holds while MASTER.
pub(super) fn addresses(instance: &model::Instance) -> impl Iterator<Item = &model::VirtualAddress> {
    instance.addresses.iter().chain(&instance.excluded_addresses)
}

/// The ground of an instance, given the host's interfaces. `virtual_addresses` of all instances never serve as a
/// source: they may leave at any time.
pub(super) fn ground(
    instance: &model::Instance,
    net: &NetTable,
    debounce: &Debounce,
    virtual_addresses: &BTreeSet<IpAddr>,
    vmacs: &Vmacs,
) -> Ground {
    let mut faults = BTreeSet::new();
    let tracks = |device: &str| addresses(instance).any(|address| address.device == device && address.track);
    let own = instance.interface.as_deref().map(|name| (name, net.link(name)));
    for name in interfaces(instance) {
        if instance.vrf.as_deref() == Some(name) {
            continue;
        }
        if instance.own_link() == Some(name) {
            faults.extend(vmac_fault(name, net, vmacs));
            continue;
        }
        if instance.address_vmacs.iter().any(|it| it.name == name) {
            faults.extend(vmac_fault(name, net, vmacs).filter(|_| tracks(name)));
            continue;
        }
        let is_own = instance.interface.as_deref() == Some(name);
        let tracked = if is_own {
            !instance.ignore_own_interface
        } else {
            let mut children = instance.address_vmacs.iter().filter(|it| it.parent == name);
            tracks(name)
                || children.any(|it| tracks(&it.name))
                || tracked_by_routes(instance).any(|device| device == name)
        };
        match net.link(name) {
            None => {
                faults.insert(format!("interface {name} does not exist"));
            }
            Some(link) if tracked && !debounce.counts_as(name, link.running) => {
                faults.insert(format!("interface {name} is down"));
            }
            Some(_) => {}
        }
    }
    let own_link = own.and_then(|(_, link)| link);
    let link = own_link.map(|link| link.index);
    if let Some(name) = instance.vrf.as_deref().filter(|name| net.link(name).is_none()) {
        faults.insert(format!("VRF {name} does not exist"));
    }
    let sends_by = instance.sending_link().or(instance.vrf.as_deref());
    let sends_by = sends_by.and_then(|name| net.link(name)).map(|link| link.index);
    let vrf = match own {
        None => sends_by,
        Some((_, link)) => link.and_then(|link| link.vrf),
    };
    let source = match &instance.ipvlan {
        Some(it) => ipvlan_source(instance, it, net, vmacs),
        None => source(instance, net, virtual_addresses),
    };
    if source.is_none() && faults.is_empty() {
        faults.insert(match (instance.source, &instance.interface) {
            (Some(address), Some(name)) if instance.track_source => {
                format!("source address {address} is not on {name}")
            }
            (Some(address), _) => format!("source address {address} is not on this host"),
            (None, Some(name)) => {
                let kind = if instance.family == Family::Inet {
                    "IPv4"
                } else {
                    "link-local IPv6"
                };
                let name = instance.ipvlan.as_ref().map_or(name, |it| &it.name);
                format!("interface {name} has no {kind} address to send from")
            }
            (None, None) => "neither interface nor unicast_src_ip is given".to_owned(),
        });
    }
    if instance.fault_without_peer && instance.unicast_peers.is_empty() {
        faults.insert("no unicast peer".to_owned());
    }
    let own_addresses = net
        .addresses
        .keys()
        .filter(|key| link.is_none_or(|link| key.link == link) || sends_by == Some(key.link))
        .map(|key| key.address)
        .filter(|address| Family::of(*address) == instance.family && !virtual_addresses.contains(address))
        .collect();
    Ground {
        link,
        sends_by,
        vrf,
        mtu: own_link.map(|link| link.mtu),
        source,
        own_addresses,
        faults,
    }
}

/// What is wrong with an interface of the instance's own. One whose parent is down or gone has nothing of its own to say.
fn vmac_fault(name: &str, net: &NetTable, vmacs: &Vmacs) -> Option<String> {
    match vmacs.standing(name)? {
        Standing::Coming => None,
        Standing::Wrong(why) => Some(format!("interface {name}: {why}")),
        Standing::Fine => match net.link(name) {
            None => Some(format!("interface {name} does not exist")),
            Some(link) => {
                let parent = link.over().and_then(|below| net.links.get(&below));
                let alone = !link.running && parent.is_none_or(|it| it.running);
                alone.then(|| format!("interface {name} is down"))
            }
        },
    }
}

/// An ipvlan's own address counts from the moment that the ipvlan is on its way: it comes with it.
fn ipvlan_source(
    instance: &model::Instance,
    ipvlan: &model::Ipvlan,
    net: &NetTable,
    vmacs: &Vmacs,
) -> Option<IpAddr> {
    let own = ipvlan.address.map(|(address, _)| address);
    match instance.source.or(own) {
        Some(address) if Some(address) == own => {
            let standing = vmacs.standing(&ipvlan.name)?;
            matches!(standing, Standing::Coming | Standing::Fine).then_some(address)
        }
        Some(address) => {
            let mut there = net.addresses.iter();
            there
                .any(|(key, it)| key.address == address && it.usable)
                .then_some(address)
        }
        None => {
            let link = net.link(&ipvlan.name)?.index;
            net.primary(link, instance.family == Family::Inet, &BTreeSet::new())
        }
    }
}

pub(super) fn source(
    instance: &model::Instance,
    net: &NetTable,
    virtual_addresses: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    match (instance.source, instance.interface.as_deref()) {
        (Some(address), name) => {
            let own = name.and_then(|name| net.link(name)).map(|link| link.index);
            let there = |link| !instance.track_source || own.is_none_or(|own| link == own);
            net.addresses
                .iter()
                .any(|(key, it)| key.address == address && it.usable && there(key.link))
                .then_some(address)
        }
        (None, Some(name)) => net.primary(
            net.link(name)?.index,
            instance.family == Family::Inet,
            virtual_addresses,
        ),
        (None, None) => None,
    }
}
