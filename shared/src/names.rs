//! How things are addressed: instances, services, servers, trackers.
//!
//! Every name has a canonical form (`Display`) that reads back (`FromStr`) as the same name:
//! `vrrp:VI_int`, `203.0.113.10:443/tcp`, `fwmark:8`, `203.0.113.10:443/tcp/198.51.100.24:443`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The name of a `vrrp_instance`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct InstanceName(pub String);

/// The name of a `vrrp_sync_group`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct GroupName(pub String);

macro_rules! plain_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}
plain_name!(InstanceName);
plain_name!(GroupName);

/// What a tracker watches, as its kind and its name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum TrackerName {
    /// A `vrrp_script`, by its name.
    Script(String),
    /// An interface, by its name.
    Interface(String),
    /// A `track_file`, by its name.
    File(String),
    /// A `vrrp_track_process`, by its name.
    Process(String),
    /// A `bfd_instance`, by its name.
    Bfd(String),
}

impl TrackerName {
    /// `script`, `interface`, `file`, `process` or `bfd`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::Interface(_) => "interface",
            Self::File(_) => "file",
            Self::Process(_) => "process",
            Self::Bfd(_) => "bfd",
        }
    }

    /// The name without its kind.
    pub fn name(&self) -> &str {
        match self {
            Self::Script(name)
            | Self::Interface(name)
            | Self::File(name)
            | Self::Process(name)
            | Self::Bfd(name) => name,
        }
    }
}

impl fmt::Display for TrackerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// The transport protocols IPVS balances.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// The number in the IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// `None` for a protocol IPVS does not balance.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }

    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    Inet,
    Inet6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::Inet
        } else {
            Self::Inet6
        }
    }

    /// Length of an address in bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Inet => 32,
            Self::Inet6 => 128,
        }
    }
}

/// Which packets a virtual server takes: how the kernel tells IPVS services apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum VirtualKey {
    /// Packets to an address and port; port 0 stands for all ports.
    Address {
        address: IpAddr,
        port: u16,
        protocol: Protocol,
    },
    /// Packets with a firewall mark, of one family.
    Fwmark { mark: u32, family: Family },
}

/// One `virtual_server` block. A group stands for as many [`VirtualKey`]s as it has entries.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum ServiceKey {
    /// `virtual_server IP PORT` or `virtual_server fwmark N`.
    Single(VirtualKey),
    /// `virtual_server group NAME`, with its protocol since TCP and UDP may share a group.
    Group { group: String, protocol: Protocol },
}

/// One `real_server` of a service. Port 0 keeps the port of the packet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ServerKey {
    pub address: IpAddr,
    pub port: u16,
}

/// A real server in its service: the same machine in two services is two of these.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ServerId {
    pub service: ServiceKey,
    pub server: ServerKey,
}

impl ServerId {
    /// What stands before every server of a service, in order.
    pub fn first_of(service: &ServiceKey) -> Self {
        Self {
            service: service.clone(),
            server: ServerKey {
                address: IpAddr::from([0, 0, 0, 0]),
                port: 0,
            },
        }
    }
}

/// A name did not read as what it should name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("'{text}' is not {wanted}")]
pub struct BadName {
    pub text: String,
    pub wanted: &'static str,
}

fn bad(text: &str, wanted: &'static str) -> BadName {
    BadName {
        text: text.to_owned(),
        wanted,
    }
}

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
pub fn with_port(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(v4) => format!("{v4}:{port}"),
        IpAddr::V6(v6) => format!("[{v6}]:{port}"),
    }
}

fn parse_with_port(text: &str) -> Option<(IpAddr, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once("]:")?;
        return Some((IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port.parse().ok()?));
    }
    let (address, port) = text.rsplit_once(':')?;
    let address: IpAddr = address.parse().ok()?;
    address.is_ipv4().then_some((address, port.parse().ok()?))
}

impl fmt::Display for VirtualKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address {
                address,
                port,
                protocol,
            } => {
                write!(f, "{}/{protocol}", with_port(address, port))
            }
            Self::Fwmark {
                mark,
                family: Family::Inet,
            } => write!(f, "fwmark:{mark}"),
            Self::Fwmark {
                mark,
                family: Family::Inet6,
            } => write!(f, "fwmark:{mark}/inet6"),
        }
    }
}

impl FromStr for VirtualKey {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        const WANTED: &str = "a service such as 203.0.113.10:443/tcp or fwmark:8";
        if let Some(mark) = text.strip_prefix("fwmark:") {
            let (mark, family) = match mark.strip_suffix("/inet6") {
                Some(mark) => (mark, Family::Inet6),
                None => (mark, Family::Inet),
            };
            let mark = mark.parse().map_err(|_| bad(text, WANTED))?;
            return Ok(Self::Fwmark { mark, family });
        }
        let (place, protocol) = text.rsplit_once('/').ok_or_else(|| bad(text, WANTED))?;
        let (address, port) = parse_with_port(place).ok_or_else(|| bad(text, WANTED))?;
        let protocol = parse_protocol(protocol).ok_or_else(|| bad(text, WANTED))?;
        Ok(Self::Address {
            address,
            port,
            protocol,
        })
    }
}

fn parse_protocol(text: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|protocol| protocol.as_str() == text)
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(key) => key.fmt(f),
            Self::Group { group, protocol } => write!(f, "group:{group}/{protocol}"),
        }
    }
}

impl FromStr for ServiceKey {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        const WANTED: &str = "a service such as 203.0.113.10:443/tcp, fwmark:8 or group:NAME/tcp";
        match text.strip_prefix("group:") {
            None => text.parse().map(Self::Single),
            Some(rest) => {
                let (group, protocol) = rest.rsplit_once('/').ok_or_else(|| bad(text, WANTED))?;
                let protocol = parse_protocol(protocol).ok_or_else(|| bad(text, WANTED))?;
                Ok(Self::Group {
                    group: group.to_owned(),
                    protocol,
                })
            }
        }
    }
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_port(self.address, self.port))
    }
}

impl FromStr for ServerKey {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (address, port) =
            parse_with_port(text).ok_or_else(|| bad(text, "a server such as 198.51.100.24:443"))?;
        Ok(Self { address, port })
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.server)
    }
}

impl FromStr for ServerId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (service, server) = text
            .rsplit_once('/')
            .ok_or_else(|| bad(text, "a server such as 203.0.113.10:443/tcp/198.51.100.24:443"))?;
        Ok(Self {
            service: service.parse()?,
            server: server.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_names_read_back_as_themselves() {
        for text in [
            "203.0.113.10:443/tcp/198.51.100.24:443",
            "[2001:db8:10::443]:443/tcp/[2001:db8::1]:0",
            "fwmark:8/198.51.100.7:0",
            "fwmark:8/inet6/[2001:db8::1]:80",
            "group:web/udp/198.51.100.7:53",
        ] {
            let id: ServerId = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn an_ipv6_address_without_brackets_is_no_server() {
        assert!("2001:db8::1:80".parse::<ServerKey>().is_err());
        assert!("1.2.3.4:99999".parse::<ServerKey>().is_err());
        assert!("1.2.3.4:80/icmp".parse::<ServiceKey>().is_err());
    }
}
