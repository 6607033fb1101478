//! Numbers that are sampled on request, not announced.

use crate::names::{InstanceName, ServerId};
use crate::units::Mono;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sample of every counter, taken at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub at: Mono,
    pub instances: BTreeMap<InstanceName, InstanceCounters>,
    pub servers: BTreeMap<ServerId, ServerCounters>,
}

/// What an instance sent, heard and refused since it was created.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct InstanceCounters {
    pub adverts_sent: u64,
    pub adverts_received: u64,
    pub became_master: u64,
    pub released_master: u64,
    pub priority_zero_sent: u64,
    pub priority_zero_received: u64,
    /// By the reason's name, such as `ttl` or `checksum`.
    pub rejected: BTreeMap<String, u64>,
    /// The last accepted advert of another master.
    pub heard_at: Option<Mono>,
    /// The last advert sent.
    pub sent_at: Option<Mono>,
}

/// What the kernel counts for a server, and what its checks measured.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Connections in state ESTABLISHED.
    pub active: u64,
    /// All others, TIME_WAIT and UDP among them.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Per second, a moving average of the kernel's two-second samples.
    pub connections_per_s: u64,
    pub bytes_in_per_s: u64,
    pub bytes_out_per_s: u64,
    /// The last finished check.
    pub checked_at: Option<Mono>,
    /// How long it took, in microseconds.
    pub check_us: Option<u64>,
    /// While it drains: seconds until its last connection should be gone; `None` when nobody can tell.
    pub drain_eta_s: Option<u64>,
}

impl ServerCounters {
    /// Adds another entry of the same server: a group's server is counted over all its entries.
    pub fn add(&mut self, other: &Self) {
        self.active += other.active;
        self.inactive += other.inactive;
        self.persistent += other.persistent;
        self.connections += other.connections;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.connections_per_s += other.connections_per_s;
        self.bytes_in_per_s += other.bytes_in_per_s;
        self.bytes_out_per_s += other.bytes_out_per_s;
    }
}
