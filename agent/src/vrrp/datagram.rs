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
    pub envelope: Envelope,
    pub payload: Vec<u8>,
}

/// What the payload of an IP packet begins with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Envelope {
    /// The message itself: protocol 112.
    #[default]
    Open,
    /// An authentication header: protocol 51. It covers the identification of the IP header.
    Sealed { identification: u16 },
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

/// Where a socket is needed. Sealed adverts have another protocol number, and so another socket.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ear {
    pub endpoint: Endpoint,
    pub sealed: bool,
    /// For unicast: only what comes by this VRF.
    pub vrf: Option<LinkIndex>,
}

impl From<Endpoint> for Ear {
    /// For open adverts.
    fn from(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            sealed: false,
            vrf: None,
        }
    }
}

/// One advert to send: the IP payload and how to send it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advert {
    /// `None`: by route (unicast without interface).
    pub link: Option<LinkIndex>,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    pub envelope: Envelope,
    /// Of its trailer, if it is signed: no later run may send it again.
    pub number: Option<u64>,
    pub payload: Vec<u8>,
}
