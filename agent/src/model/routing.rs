//! Lines of `virtual_routes`, `static_routes`, `virtual_rules` and `static_rules`.

use lb_shared::names::Family;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// The table that is meant where a line names none.
pub const TABLE_MAIN: u32 = 254;
/// By this protocol our routes and rules are known: keepalived's number.
pub const PROTOCOL_OURS: u8 = 18;

/// A route.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Route {
    pub family: Family,
    pub destination: (IpAddr, u8),
    /// Sources it is for (IPv6).
    #[serde(default)]
    pub from: Option<(IpAddr, u8)>,
    pub kind: RouteKind,
    pub table: u32,
    /// The interface of a VRF, whose table takes the place of `table`.
    #[serde(default)]
    pub vrf: Option<String>,
    /// The kernel's number; `None`: what fits the legs, as iproute2 chooses it.
    pub scope: Option<u8>,
    /// Smaller is preferred; `None`: the kernel's default.
    pub metric: Option<u32>,
    pub tos: u8,
    pub protocol: u8,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// By the kernel's number (RTAX_…) of each.
    pub metrics: BTreeMap<u16, u32>,
    /// Metrics that path discovery must not change: bits by the same numbers.
    pub locked: u32,
    /// Congestion control, whose lock has a bit in `locked` as well.
    #[serde(default)]
    pub congestion: Option<String>,
    #[serde(default)]
    pub realms: Option<Realms>,
    /// In seconds (IPv6).
    #[serde(default)]
    pub expires: Option<u32>,
    /// Of a router among others (IPv6): the kernel's number.
    #[serde(default)]
    pub preference: Option<u8>,
    /// Whether a packet's TTL goes into its MPLS label.
    #[serde(default)]
    pub ttl_propagate: Option<bool>,
    #[serde(default)]
    pub place: Place,
    /// One for a plain route, several for a multipath one, none for one that drops.
    pub legs: Vec<Leg>,
    /// Its interfaces are tracked, and it is put back when somebody removes it.
    pub track: bool,
}

/// Where a route leads.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Leg {
    pub device: Option<String>,
    pub via: Option<IpAddr>,
    /// 1–256.
    pub weight: u16,
    pub onlink: bool,
    /// Of one leg among several; a plain route has them of its own.
    #[serde(default)]
    pub realms: Option<Realms>,
    #[serde(default)]
    pub encap: Option<Encap>,
}

/// Where a new route goes among those of the same destination, metric and type of service.
#[derive(
    Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize,
)]
pub enum Place {
    #[default]
    First,
    /// `append`.
    Last,
    /// `add`: nowhere when there is one.
    Alone,
}

/// What packets are counted and classified by: where from, where to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Realms {
    pub from: u16,
    pub to: u16,
}

impl fmt::Display for Realms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            0 => write!(f, "{}", self.to),
            from => write!(f, "{from}/{}", self.to),
        }
    }
}

/// What packets are wrapped in.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum Encap {
    Ip(Tunnel),
    Ip6(Tunnel),
    /// Labels of 20 bits, the outermost first.
    Mpls(Vec<u32>),
    /// The locator that takes the place of the upper half of the address.
    Ila([u16; 4]),
}

/// The outer header of a packet in IP.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Tunnel {
    pub id: Option<u64>,
    pub source: Option<IpAddr>,
    pub destination: Option<IpAddr>,
    /// TOS or traffic class.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// As the kernel has them in memory.
    pub flags: Option<u16>,
}

impl fmt::Display for Encap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (it, name, tos, ttl) = match self {
            Self::Ip(it) => (it, "ip", "tos", "ttl"),
            Self::Ip6(it) => (it, "ip6", "tc", "hoplimit"),
            Self::Mpls(labels) => {
                let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
                return write!(f, "mpls {}", labels.join("/"));
            }
            Self::Ila([a, b, c, d]) => return write!(f, "ila {a:x}:{b:x}:{c:x}:{d:x}"),
        };
        write!(f, "{name}")?;
        it.id.map_or(Ok(()), |it| write!(f, " id {it}"))?;
        it.destination.map_or(Ok(()), |it| write!(f, " dst {it}"))?;
        it.source.map_or(Ok(()), |it| write!(f, " src {it}"))?;
        it.tos.map_or(Ok(()), |it| write!(f, " {tos} {it}"))?;
        it.ttl.map_or(Ok(()), |it| write!(f, " {ttl} {it}"))?;
        it.flags.map_or(Ok(()), |it| write!(f, " flags {it}"))
    }
}

/// The kernel's `RTN_…`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum RouteKind {
    Unicast = 1,
    Local = 2,
    Broadcast = 3,
    Anycast = 4,
    Multicast = 5,
    Blackhole = 6,
    Unreachable = 7,
    Prohibit = 8,
    Throw = 9,
}

impl Route {
    /// A unicast one of the main table, without a way yet: ours, and put back when somebody removes it.
    pub fn to(destination: (IpAddr, u8)) -> Self {
        Self {
            family: Family::of(destination.0),
            destination,
            from: None,
            kind: RouteKind::Unicast,
            table: TABLE_MAIN,
            vrf: None,
            scope: None,
            metric: None,
            tos: 0,
            protocol: PROTOCOL_OURS,
            source: None,
            metrics: BTreeMap::new(),
            locked: 0,
            congestion: None,
            realms: None,
            expires: None,
            preference: None,
            ttl_propagate: None,
            place: Place::First,
            legs: Vec::new(),
            track: true,
        }
    }
}

impl RouteKind {
    /// Whether it leads somewhere.
    pub fn has_legs(self) -> bool {
        match self {
            Self::Unicast | Self::Local | Self::Broadcast | Self::Anycast | Self::Multicast => true,
            Self::Blackhole | Self::Unreachable | Self::Prohibit | Self::Throw => false,
        }
    }
}

/// A policy rule.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Rule {
    pub family: Family,
    pub preference: u32,
    /// Matches what the rest does not.
    pub invert: bool,
    pub from: Option<(IpAddr, u8)>,
    pub to: Option<(IpAddr, u8)>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    pub tos: u8,
    /// Value and mask.
    pub fwmark: Option<(u32, u32)>,
    #[serde(default)]
    pub realms: Option<Realms>,
    #[serde(default)]
    pub tunnel: Option<u64>,
    /// First and last user.
    pub users: Option<(u32, u32)>,
    pub ip_protocol: Option<u8>,
    /// First and last port.
    pub source_ports: Option<(u16, u16)>,
    pub destination_ports: Option<(u16, u16)>,
    pub action: RuleAction,
    pub suppress_prefix_len: Option<u32>,
    /// A group of interfaces.
    #[serde(default)]
    pub suppress_group: Option<u32>,
    pub protocol: u8,
    /// It is put back when somebody removes it.
    pub track: bool,
}

impl Rule {
    /// One that matches everything of a family: ours, and put back when somebody removes it.
    pub fn new(family: Family, preference: u32, action: RuleAction) -> Self {
        Self {
            family,
            preference,
            invert: false,
            from: None,
            to: None,
            iif: None,
            oif: None,
            tos: 0,
            fwmark: None,
            realms: None,
            tunnel: None,
            users: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            action,
            suppress_prefix_len: None,
            suppress_group: None,
            protocol: PROTOCOL_OURS,
            track: true,
        }
    }
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum RuleAction {
    Lookup(u32),
    /// Go on at this preference.
    Goto(u32),
    Nop,
    Blackhole,
    Unreachable,
    Prohibit,
    /// The table of the L3 master device (VRF) a packet came in by or goes out by.
    L3Master,
}
