//! Links, addresses and announcements: what should be on this host's interfaces, and how to get there.
//!
//! Knows the shape of the tables, how to plan from one to the other, and the bytes of rtnetlink, ARP and neighbour
//! discovery. Does not know who wants an address (the engine asks the machines) nor sockets.

mod table;

pub use table::{Address, AddressKey, Link, NetTable};

use crate::wire::LinkIndex;
use std::net::IpAddr;

/// One change of this host's interfaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NetOp {
    AddAddress {
        key: AddressKey,
        address: Address,
        nodad: bool,
    },
    RemoveAddress {
        key: AddressKey,
    },
    /// A frame to send as it is: gratuitous ARP or an unsolicited neighbour advert.
    Announce {
        link: LinkIndex,
        about: IpAddr,
        frame: Vec<u8>,
    },
    /// A value under /proc/sys, such as `net/ipv4/conf/eth0/promote_secondaries`.
    Sysctl {
        path: String,
        value: String,
    },
}
