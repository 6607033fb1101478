//! What the configuration says about the process and the host it runs on, rather than about an object.

use super::notify::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Host {
    /// `net_namespace`, as ip-netns(8) names it.
    pub net_namespace: Option<String>,
    /// `startup_script`.
    pub startup: Option<Once>,
    /// `shutdown_script`.
    pub shutdown: Option<Once>,
    /// `vrrp_delay_after_boot`.
    pub delay_after_boot: Duration,
    /// `interface_up_down_delays`, by the interfaces' names.
    pub interface_delays: BTreeMap<String, InterfaceDelays>,
    /// `garp_group`; an interface is in one of them at most.
    pub garp_groups: Vec<GarpGroup>,
    /// Of the threads that speak VRRP and set addresses.
    pub vrrp: Scheduling,
    /// Of those that check servers and program IPVS.
    pub checker: Scheduling,
    /// The agent is locked in memory.
    pub no_swap: bool,
}

/// A script that is waited for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Once {
    pub script: Script,
    pub timeout: Duration,
}

/// How long a change of an interface must last before it counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InterfaceDelays {
    pub down: Duration,
    pub up: Duration,
}

/// Interfaces that share a pace for announcements: the least time between two of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GarpGroup {
    pub interfaces: BTreeSet<String>,
    /// Zero: none.
    pub arp_gap: Duration,
    pub na_gap: Duration,
}

/// How threads get to run; what is not given stays as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Scheduling {
    pub nice: Option<i8>,
    /// `SCHED_RR` with this priority.
    pub real_time: Option<u8>,
    /// Empty: all.
    pub cpus: BTreeSet<u16>,
}
