//! The IPVS table: one type for what is wanted and for what the kernel has.

use lb_shared::names::{ServerKey, VirtualKey};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Services by key, each with its destinations.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IpvsTable {
    pub services: BTreeMap<VirtualKey, IpvsService>,
    /// The daemons that copy connections between directors.
    #[serde(default)]
    pub daemons: BTreeMap<SyncRole, SyncDaemon>,
}

/// Which of the kernel's two daemons: each network namespace has at most one of each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum SyncRole {
    /// Sends the connections.
    Master,
    /// Takes them.
    Backup,
}

impl SyncRole {
    /// As `lvs_sync_daemon` and `ipvsadm --start-daemon` have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Backup => "backup",
        }
    }
}

/// How a daemon that copies connections is set. 0 and `None` leave a value to the kernel.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SyncDaemon {
    pub interface: String,
    /// Daemons of one id belong together.
    pub id: u8,
    /// Bytes of a message; the kernel brings it into its own bounds.
    pub maxlen: u16,
    pub port: u16,
    pub ttl: u8,
    pub group: Option<IpAddr>,
}

impl SyncDaemon {
    /// Whether a daemon of the kernel is what is wanted, as far as the kernel shows it as it was set.
    pub fn is_met_by(&self, have: &Self) -> bool {
        self.interface == have.interface
            && self.id == have.id
            && (self.port == 0 || self.port == have.port)
            && (self.ttl == 0 || self.ttl == have.ttl)
            && (self.group.is_none() || self.group == have.group)
    }
}

/// A service of the kernel.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct IpvsService {
    pub settings: ServiceSettings,
    pub destinations: BTreeMap<ServerKey, Destination>,
}

/// What `SET_SERVICE` can change.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ServiceSettings {
    pub scheduler: String,
    /// Only the bits of [`flags`]; unknown ones and "hashed" are masked out when read.
    pub flags: u32,
    /// Seconds; 0 without persistence.
    pub timeout_s: u32,
    /// Prefix length of the persistence netmask, 32 or 128 when it does not matter.
    pub prefix_len: u8,
    /// The persistence engine.
    pub engine: Option<String>,
}

/// Service flags of the kernel (`IP_VS_SVC_F_*` of linux/ip_vs.h).
pub mod flags {
    /// Connections of one client go to one server for a while.
    pub const PERSISTENT: u32 = 0x01;
    /// Each packet of UDP is scheduled by itself.
    pub const ONE_PACKET: u32 = 0x04;
    /// Fallback of `sh` and `mh`.
    pub const SCHED_1: u32 = 0x08;
    /// Port of `sh` and `mh`.
    pub const SCHED_2: u32 = 0x10;
    /// No scheduler gives it a meaning yet.
    pub const SCHED_3: u32 = 0x20;
    /// The bits that can be set from outside.
    pub const SETTABLE: u32 = PERSISTENT | ONE_PACKET | SCHED_1 | SCHED_2 | SCHED_3;
}

/// A destination of the kernel.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Destination {
    pub settings: DestinationSettings,
    /// Zero in a wanted table.
    pub counters: DestinationCounters,
}

/// What `SET_DEST` can change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DestinationSettings {
    pub method: Method,
    pub weight: u32,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
}

/// The forwarding method in the kernel's terms.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum Method {
    Masquerade,
    /// Somebody else's doing: the kernel sees by itself that an address is its own, and lists the method as set.
    Local,
    Tunnel {
        kind: u8,
        port: u16,
        flags: u16,
    },
    Direct,
    Bypass,
}

/// What the kernel counts for a destination.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DestinationCounters {
    pub active: u32,
    pub inactive: u32,
    pub persistent: u32,
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connections_per_s: u64,
    pub packets_in_per_s: u64,
    pub packets_out_per_s: u64,
    pub bytes_in_per_s: u64,
    pub bytes_out_per_s: u64,
}
