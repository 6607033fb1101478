//! Adverts as they arrive and leave, and where they are heard.

use crate::wire::LinkIndex;
use std::net::IpAddr;

/// A VRRP packet as it arrived: the IP payload, and what the IP header said.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Datagram {
    pub link: LinkIndex,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit; `None` when the kernel did not say.
    pub ttl: Option<u8>,
    pub payload: Vec<u8>,
}

/// A place adverts are heard on. IPv4 and IPv6 by the family of `group` or `local`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    Multicast {
        link: LinkIndex,
        group: IpAddr,
    },
    /// Packets to one of our addresses, on whatever interface.
    Unicast {
        local: IpAddr,
    },
}

/// One advert to send: the IP payload and how to send it. TTL is always 255.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advert {
    /// `None`: by route (unicast without interface).
    pub link: Option<LinkIndex>,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub payload: Vec<u8>,
}
