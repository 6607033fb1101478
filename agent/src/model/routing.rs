//! Lines of `virtual_routes`, `static_routes`, `virtual_rules` and `static_rules`.

use lb_shared::names::Family;
use std::collections::BTreeMap;
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
    pub kind: RouteKind,
    pub table: u32,
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
            kind: RouteKind::Unicast,
            table: TABLE_MAIN,
            scope: None,
            metric: None,
            tos: 0,
            protocol: PROTOCOL_OURS,
            source: None,
            metrics: BTreeMap::new(),
            locked: 0,
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
    /// First and last user.
    pub users: Option<(u32, u32)>,
    pub ip_protocol: Option<u8>,
    /// First and last port.
    pub source_ports: Option<(u16, u16)>,
    pub destination_ports: Option<(u16, u16)>,
    pub action: RuleAction,
    pub suppress_prefix_len: Option<u32>,
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
            users: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            action,
            suppress_prefix_len: None,
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
}
