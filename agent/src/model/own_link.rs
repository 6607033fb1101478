//! Interfaces of the instances' own: made before there is a master, removed after the last instance that uses them.

use super::Instance;
use lb_shared::names::Family;
use std::fmt;
use std::net::IpAddr;

/// An interface with the virtual router's MAC, on the instance's `interface`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Vmac {
    pub name: String,
    pub mac: [u8; 6],
    /// `vmac_xmit_base`: adverts leave by `interface` itself.
    pub sends_on_base: bool,
}

impl Vmac {
    /// `00:00:5e:00:01:33`.
    pub fn mac_text(mac: [u8; 6]) -> String {
        mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}

impl fmt::Display for Vmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, Self::mac_text(self.mac))
    }
}

/// `use_ipvlan`: an interface on the instance's `interface` with the same MAC and an address of its own, which adverts
/// come from. Virtual addresses stay on `interface` (as keepalived).
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ipvlan {
    pub name: String,
    pub mode: IpvlanMode,
    /// With its prefix length; `None`, for IPv6 only: the kernel makes a link-local one.
    pub address: Option<(IpAddr, u8)>,
}

impl fmt::Display for Ipvlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ipvlan", self.name)
    }
}

/// What an ipvlan does with packets for others on the same link. All on one link share it: the last one made decides.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum IpvlanMode {
    /// They reach each other.
    #[default]
    Bridge,
    /// They do not.
    Private,
    /// They do by way of the switch.
    Vepa,
}

/// An interface that somebody needs.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct OwnLink {
    pub name: String,
    /// The interface below.
    pub parent: String,
    /// Of what is on it.
    pub family: Family,
    pub kind: OwnKind,
}

/// What such an interface is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum OwnKind {
    /// A macvlan in private mode, with this MAC.
    Macvlan([u8; 6]),
    /// An ipvlan of layer 2.
    Ipvlan(IpvlanMode),
}

impl fmt::Display for OwnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Macvlan(mac) => write!(f, "macvlan in private mode with the MAC {}", Vmac::mac_text(*mac)),
            Self::Ipvlan(_) => f.write_str("ipvlan of mode l2"),
        }
    }
}

impl Instance {
    /// The interfaces it needs made, its own first.
    pub fn own_links(&self) -> impl Iterator<Item = OwnLink> + '_ {
        let of = |name: &str, kind| {
            Some(OwnLink {
                name: name.to_owned(),
                parent: self.interface.clone()?,
                family: self.family,
                kind,
            })
        };
        let vmac = self.vmac.as_ref();
        let vmac = vmac.and_then(|it| of(&it.name, OwnKind::Macvlan(it.mac)));
        let ipvlan = self.ipvlan.as_ref();
        let ipvlan = ipvlan.and_then(|it| of(&it.name, OwnKind::Ipvlan(it.mode)));
        vmac.into_iter()
            .chain(ipvlan)
            .chain(self.address_vmacs.iter().cloned())
    }

    /// The name of its own, apart from those of single addresses.
    pub fn own_link(&self) -> Option<&str> {
        let vmac = self.vmac.as_ref().map(|it| it.name.as_str());
        vmac.or(self.ipvlan.as_ref().map(|it| it.name.as_str()))
    }

    /// The one that adverts leave by, if it is not `interface`.
    pub fn sending_link(&self) -> Option<&str> {
        match (&self.vmac, &self.ipvlan) {
            (_, Some(ipvlan)) => Some(&ipvlan.name),
            (Some(vmac), None) => {
                Some(vmac.name.as_str()).filter(|_| !vmac.sends_on_base && self.unicast_peers.is_empty())
            }
            (None, None) => None,
        }
    }
}
