//! What the kernel does with an operation: as a pure function for plans and simulations, and what its refusals mean.

use super::{FirewallChange, Link, NetOp, NetTable, NewLink, Routing};
use crate::model::OwnKind;
use crate::wire::LinkIndex;

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const ENXIO: i32 = 6;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const EROFS: i32 = 30;
const EADDRINUSE: i32 = 98;
const EADDRNOTAVAIL: i32 = 99;
const EOPNOTSUPP: i32 = 95;
const EPROTONOSUPPORT: i32 = 93;
const EAFNOSUPPORT: i32 = 97;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;
const EHOSTUNREACH: i32 = 113;

/// Whether what an operation should bring about is so, by the errno it was answered with (0: carried out).
///
/// An address that exists is added, one that is missing is removed.
pub fn is_settled(op: &NetOp, errno: i32) -> bool {
    match op {
        _ if errno == 0 => true,
        NetOp::AddAddress { .. } | NetOp::AddRouting(_) => errno == EEXIST,
        // A link that is down took its routes with it.
        NetOp::RemoveRouting(_) => matches!(errno, ESRCH | ENOENT | ENODEV),
        // A link that is gone took its addresses with it.
        NetOp::RemoveAddress { .. } => matches!(errno, EADDRNOTAVAIL | ENODEV),
        NetOp::Announce { .. } | NetOp::RaiseLink { .. } => false,
        // The link below is gone, and whoever wants this one will hear of it.
        NetOp::AddLink(_) => errno == ENODEV,
        // A kernel without IPv6 makes none.
        NetOp::QuietLink { .. } => matches!(errno, EAFNOSUPPORT | EOPNOTSUPP),
        NetOp::RemoveLink { .. } => errno == ENODEV,
        // What it should not hold it does not hold.
        NetOp::Firewall(it) => match it.change {
            FirewallChange::Build(_) | FirewallChange::Guard(_) | FirewallChange::Relay(_) => false,
            FirewallChange::Unguard(_) | FirewallChange::Unrelay(_) => errno == ENOENT,
            FirewallChange::Drop => matches!(errno, EOPNOTSUPP | EPROTONOSUPPORT),
        },
        // A kernel without this switch has nothing to switch.
        NetOp::Sysctl { .. } => errno == ENOENT,
    }
}

/// What an errno most likely means for an operation, and what to do about it; `None`: the errno says it all.
pub fn explain(op: &NetOp, errno: i32) -> Option<&'static str> {
    match (op, errno) {
        (_, EPERM) => Some("the agent lacks CAP_NET_ADMIN or CAP_NET_RAW"),
        (NetOp::AddAddress { key, .. }, EACCES) if key.address.is_ipv6() => {
            Some("IPv6 is off on this interface: set net.ipv6.conf.INTERFACE.disable_ipv6 to 0")
        }
        (NetOp::AddAddress { .. } | NetOp::Announce { .. }, ENODEV | ENXIO) => Some("the interface is gone"),
        (NetOp::AddLink(NewLink { kind, .. }), EEXIST) => Some(match kind {
            OwnKind::Macvlan(_) => {
                "an interface of this name is there already: remove it, or write another name behind use_vmac"
            }
            OwnKind::Ipvlan(_) => {
                "an interface of this name is there already: remove it, or write another name behind use_ipvlan"
            }
        }),
        (NetOp::AddLink(NewLink { kind, .. }), EOPNOTSUPP) => Some(match kind {
            OwnKind::Macvlan(_) => "this kernel has no macvlan: load the module macvlan",
            OwnKind::Ipvlan(_) => "this kernel has no ipvlan: load the module ipvlan, or write use_vmac",
        }),
        (NetOp::AddLink(NewLink { kind, .. }), EINVAL | EBUSY) => Some(match kind {
            OwnKind::Macvlan(_) => {
                "no macvlan can be on that interface: it is not Ethernet, or is part of a macvlan or has ipvlans itself"
            }
            OwnKind::Ipvlan(_) => {
                "no ipvlan can be on that interface: it is not Ethernet, is an ipvlan itself, or has macvlans: use_vmac \
                 and use_ipvlan cannot share one"
            }
        }),
        (NetOp::AddLink(_), EADDRINUSE) => Some("another interface there has this MAC: remove it"),
        (NetOp::AddRouting(_), ENETUNREACH | EHOSTUNREACH) => {
            Some("no interface reaches the gateway: name its interface with dev, or write onlink")
        }
        (NetOp::AddRouting(_), EINVAL) => {
            Some("the kernel does not take this combination; try the same words with ip route or ip rule")
        }
        (NetOp::AddRouting(_), ENETDOWN) => Some("the interface is down"),
        (NetOp::Announce { .. }, ENETDOWN) => Some("the interface is down"),
        (NetOp::Firewall(it), ENOENT | EOPNOTSUPP) if it.relays() => Some(
            "this kernel lacks nf_tables or its part for copies: load the modules nf_tables, nft_dup_ipv4 and nft_dup_ipv6",
        ),
        (NetOp::Firewall(_), EOPNOTSUPP | EPROTONOSUPPORT | EAFNOSUPPORT) => {
            Some("this kernel has no nf_tables for this family: load the module nf_tables")
        }
        (NetOp::Firewall(_), ENOENT) => Some("somebody removed it, or this kernel lacks a part of nf_tables"),
        (NetOp::Sysctl { .. }, EACCES | EROFS) => {
            Some("/proc/sys cannot be written here; set it from outside")
        }
        _ => None,
    }
}

impl NetTable {
    /// Does to this table what the kernel would do, or gives the errno it would refuse with.
    ///
    /// Of IPv4 secondaries it behaves as with `promote_secondaries`.
    pub fn apply(&mut self, op: &NetOp) -> Result<(), i32> {
        match op {
            NetOp::AddAddress { key, address, .. } => {
                if !self.links.contains_key(&key.link) {
                    return Err(ENODEV);
                }
                if key.prefix_len > if key.address.is_ipv4() { 32 } else { 128 } {
                    return Err(EINVAL);
                }
                if self.addresses.keys().any(|other| collide(key, other)) {
                    return Err(EEXIST);
                }
                let mut address = address.clone();
                (address.ours, address.usable) = (true, true);
                self.addresses.insert(*key, address);
            }
            NetOp::RemoveAddress { key, .. } => {
                if !self.links.contains_key(&key.link) {
                    return Err(ENODEV);
                }
                self.addresses.remove(key).ok_or(EADDRNOTAVAIL)?;
            }
            NetOp::AddRouting(it) => {
                if let Routing::Route(_, links) = &**it {
                    for link in links.iter().flatten() {
                        let link = self.links.get(link).ok_or(ENODEV)?;
                        if !link.running {
                            return Err(ENETDOWN);
                        }
                    }
                }
                if !self.routing.insert((**it).clone()) {
                    return Err(EEXIST);
                }
            }
            NetOp::RemoveRouting(it) => {
                if !self.routing.remove(it) {
                    return Err(ESRCH);
                }
            }
            NetOp::AddLink(new) => {
                let below = self.links.get(&new.over).ok_or(ENODEV)?.clone();
                if self.link(&new.name).is_some() {
                    return Err(EEXIST);
                }
                let last = self.links.keys().next_back().map_or(0, |index| index.0);
                let mut link = Link {
                    index: LinkIndex(last + 1),
                    name: new.name.clone(),
                    running: false,
                    private_over: None,
                    ipvlan_over: None,
                    vrf: new.vrf,
                    ..below
                };
                match new.kind {
                    OwnKind::Macvlan(mac) => {
                        (link.mac, link.private_over) = (mac.to_vec(), Some(new.over));
                        let same = |it: &Link| it.private_over == Some(new.over) && it.mac == mac;
                        if self.links.values().any(same) {
                            return Err(EADDRINUSE);
                        }
                    }
                    OwnKind::Ipvlan(_) => link.ipvlan_over = Some(new.over),
                }
                self.links.insert(link.index, link);
            }
            NetOp::QuietLink { name } => drop(self.link(name).ok_or(ENODEV)?),
            NetOp::RaiseLink { name } => {
                let index = self.link(name).ok_or(ENODEV)?.index;
                let below = self.links[&index].over();
                let running = below.is_none_or(|it| self.links.get(&it).is_some_and(|it| it.running));
                if let Some(link) = self.links.get_mut(&index) {
                    link.running = running;
                }
            }
            NetOp::RemoveLink { link } => {
                self.links.remove(link).ok_or(ENODEV)?;
                self.addresses.retain(|key, _| key.link != *link);
            }
            NetOp::Announce { link, .. } => {
                self.links.get(link).ok_or(ENODEV)?;
            }
            NetOp::Firewall(it) => self.apply_firewall(it)?,
            NetOp::Sysctl { .. } => {}
        }
        Ok(())
    }
}

/// IPv4 holds an address once per prefix length, IPv6 once.
fn collide(a: &super::AddressKey, b: &super::AddressKey) -> bool {
    a.link == b.link && a.address == b.address && (a.address.is_ipv6() || a.prefix_len == b.prefix_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Address, AddressKey};
    use crate::wire::LinkIndex;

    #[test]
    fn an_answer_that_says_it_is_so_already_is_no_error() {
        let key = AddressKey {
            link: LinkIndex(1),
            address: [10, 0, 0, 1].into(),
            prefix_len: 32,
        };
        let add = NetOp::AddAddress {
            key,
            address: Address::default(),
        };
        let remove = NetOp::RemoveAddress { key, peer: None };
        let cases = [
            (&add, 0, true),
            (&add, EEXIST, true),
            (&add, ENODEV, false),
            (&add, EINVAL, false),
            (&remove, EADDRNOTAVAIL, true),
            (&remove, ENODEV, true),
            (&remove, EINVAL, false),
        ];
        for (op, errno, settled) in cases {
            assert_eq!(is_settled(op, errno), settled, "{op}: {errno}");
        }
    }
}
