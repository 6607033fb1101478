//! Links, addresses, routes, rules, firewall tables and announcements: what should be on this host's interfaces, and how to get there.
//!
//! Knows the shape of the tables, how to plan from one to the other, and the bytes of rtnetlink, nf_tables, ARP
//! and neighbour discovery. Does not know who wants an address (the engine asks the machines) nor sockets.

pub mod announce;
pub mod apply;
mod firewall;
pub mod nft;
pub mod plan;
pub mod routing;
pub mod rtnl;
mod table;

pub use announce::announce;
pub use firewall::{Content, FirewallChange, FirewallOp, Guard, Relays, Ruleset, TableName};
pub use plan::plan;
pub use routing::{Routing, RoutingGone};
pub use table::{Address, AddressKey, Link, NetTable};

use crate::model::OwnKind;
use crate::wire::LinkIndex;
use std::fmt;
use std::net::IpAddr;

/// One change of this host's interfaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetOp {
    AddAddress {
        key: AddressKey,
        address: Address,
    },
    RemoveAddress {
        key: AddressKey,
        /// The other end, if there is one.
        peer: Option<IpAddr>,
    },
    AddRouting(Box<Routing>),
    RemoveRouting(Box<Routing>),
    /// A new macvlan or ipvlan, down.
    AddLink(NewLink),
    /// It is to have no IPv6 address of its own making.
    QuietLink {
        name: String,
    },
    RaiseLink {
        name: String,
    },
    RemoveLink {
        link: LinkIndex,
    },
    /// A frame to send: gratuitous ARP or an unsolicited neighbour advert, which says also whether this host forwards by
    /// then.
    Announce {
        link: LinkIndex,
        about: IpAddr,
        frame: Vec<u8>,
    },
    Firewall(Box<FirewallOp>),
    /// A value under /proc/sys, such as `net/ipv4/conf/eth0/promote_secondaries`.
    Sysctl {
        path: String,
        value: String,
    },
}

/// What a new link is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewLink {
    pub name: String,
    /// The link below.
    pub over: LinkIndex,
    pub kind: OwnKind,
    /// The VRF to belong to: that of the link below.
    pub vrf: Option<LinkIndex>,
}

impl fmt::Display for NetOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddAddress { key, .. } => write!(f, "add address {key}"),
            Self::RemoveAddress { key, .. } => write!(f, "remove address {key}"),
            Self::AddRouting(it) => write!(f, "add {it}"),
            Self::RemoveRouting(it) => write!(f, "remove {it}"),
            Self::AddLink(it) => write!(f, "add interface {} on link {}", it.name, it.over.0),
            Self::QuietLink { name } => write!(f, "keep interface {name} from making addresses"),
            Self::RaiseLink { name } => write!(f, "set interface {name} up"),
            Self::RemoveLink { link } => write!(f, "remove link {}", link.0),
            Self::Announce { link, about, .. } => write!(f, "announce {about} on link {}", link.0),
            Self::Firewall(it) => it.fmt(f),
            Self::Sysctl { path, value } => write!(f, "set {path} to {value}"),
        }
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on link {}", self.address, self.prefix_len, self.link.0)
    }
}
