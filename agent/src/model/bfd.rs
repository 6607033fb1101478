//! Sessions that watch a path to a neighbour.

use std::net::IpAddr;
use std::time::Duration;

/// One `bfd_instance`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdSession {
    pub name: String,
    pub path: BfdPath,
    /// `min_rx`: the shortest interval at which we can take packets.
    pub min_rx: Duration,
    /// `min_tx`: the interval at which we should like to send while it is up.
    pub min_tx: Duration,
    /// `idle_tx`: the same while it is not up; at least a second (RFC 5880 §6.8.3).
    pub idle_tx: Duration,
    /// Packets missed before it is down; at least 1.
    pub multiplier: u8,
    /// Waits for the neighbour to speak first.
    pub passive: bool,
    /// The least TTL or hop limit a packet may have when it arrives; zero: any.
    pub ttl_min: u8,
}

/// From where to where packets go, and how far. What tells sessions apart.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BfdPath {
    pub neighbor: IpAddr,
    /// `None`: the kernel chooses.
    pub source: Option<IpAddr>,
    /// TTL or hop limit of what we send.
    pub ttl: u8,
    /// Port 4784 (RFC 5883) instead of 3784 (RFC 5881).
    pub multihop: bool,
}

/// A line of `track_bfd`, with the weight in force. Weight 0: FAULT while it is not up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdTrack {
    pub session: String,
    pub weight: i32,
    pub reverse: bool,
}
