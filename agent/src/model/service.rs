//! Virtual servers and their real servers.

use super::check::Check;
use super::notify::{QuorumScripts, ServerScripts};
use lb_shared::names::{Family, ServerKey, ServiceKey, VirtualKey};
use lb_shared::units::Weight;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kernel's schedulers, with the two flags that some of them have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scheduler {
    /// As in `ipvsadm -s`: `rr`, `wrr`, …
    pub name: String,
    /// `sh-fallback`, `mh-fallback` (and `flag-1`): a client of an unusable server moves.
    pub flag_1: bool,
    /// `sh-port`, `mh-port` (and `flag-2`): the port takes part in the hash.
    pub flag_2: bool,
    /// `flag-3`.
    pub flag_3: bool,
}

impl Scheduler {
    /// Whether a server of weight 0 black-holes its share of clients unless the fallback flag is set.
    pub fn hashes_clients(&self) -> bool {
        matches!(self.name.as_str(), "sh" | "mh")
    }
}

/// How packets get to a server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Forwarding {
    /// `NAT`: addresses are rewritten both ways.
    Nat,
    /// `DR`: the frame is sent on, the server holds the virtual address.
    Direct,
    /// `TUN`: the packet is wrapped.
    Tunnel(TunnelType),
}

/// The wrapping of `TUN`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum TunnelType {
    #[default]
    Ipip,
    /// Checksum flag as in `IP_VS_TUNNEL_ENCAP_FLAG`: 0 none, 1 checksum, 2 remote checksum.
    Gue {
        port: u16,
        checksum: u16,
    },
    Gre {
        checksum: u16,
    },
}

impl Forwarding {
    /// `NAT`, `DR` or `TUN`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Nat => "NAT",
            Self::Direct => "DR",
            Self::Tunnel(_) => "TUN",
        }
    }
}

/// `persistence_timeout` and its companions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Persistence {
    pub timeout_s: u32,
    /// Prefix length within which clients count as one: 32 or 128 unless `persistence_granularity`.
    pub prefix_len: u8,
    /// `persistence_engine`: only `sip` exists.
    pub engine: Option<String>,
}

/// One `virtual_server`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    pub key: ServiceKey,
    /// `snmp_name`, or the group's name.
    pub name: Option<String>,
    /// What stands for it in IPVS; at least one.
    pub entries: Vec<VirtualKey>,
    pub family: Family,
    pub scheduler: Scheduler,
    /// For the servers that do not say otherwise.
    pub forwarding: Forwarding,
    pub persistence: Option<Persistence>,
    /// `ops`: one-packet scheduling.
    pub one_packet: bool,
    /// At least 1 and never above what the servers' weights can reach.
    pub quorum: u64,
    /// Below the quorum.
    pub hysteresis: u64,
    /// `omega`: run `notify_down` and `quorum_down` at the end.
    pub omega: bool,
    pub quorum_scripts: QuorumScripts,
    pub sorry: Option<SorryServer>,
    /// `ha_suspend`: no checks while the address is not on this host.
    pub ha_suspend: bool,
    pub servers: BTreeMap<ServerKey, Arc<Server>>,
}

/// `sorry_server`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SorryServer {
    pub key: ServerKey,
    pub forwarding: Forwarding,
    /// `sorry_server_inhibit`: stays in the table with weight 0 while it is not needed.
    pub inhibit: bool,
}

/// One `real_server`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    pub key: ServerKey,
    pub forwarding: Forwarding,
    pub weight: Weight,
    /// Connections above which it gets no new ones; 0: no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets new ones again; 0: three quarters of the upper one.
    pub lower_threshold: u32,
    /// Failed: weight 0 instead of removal.
    pub inhibit_on_failure: bool,
    pub checks: Vec<Check>,
    pub scripts: ServerScripts,
}
