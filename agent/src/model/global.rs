//! Settings for the whole agent.

use super::job::ScriptRules;
use super::notify::{Fifo, FifoKind, MailRoute};
use lb_shared::names::InstanceName;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is written to a file on a signal.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DumpKind {
    /// SIGUSR1.
    Data,
    /// With it: virtual servers, their servers and checks.
    Services,
    /// SIGUSR2, SIGRTMAX-1.
    Stats,
    /// SIGRTMIN+2.
    Json,
}

/// `global_defs`, as far as it is not a default already folded into other objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Global {
    /// `router_id`; `None`: the host's name.
    pub router_id: Option<String>,
    /// `lvs_flush`: empty the IPVS table at start.
    pub lvs_flush: bool,
    /// `lvs_flush_on_stop`: empty it at the end, foreign services included.
    pub lvs_flush_on_stop: bool,
    pub scripts: ScriptRules,
    /// `disable_local_igmp`: no IGMP reports for link-local groups, from the whole host.
    pub disable_local_igmp: bool,
    /// `vrrp_startup_delay`, in microseconds.
    pub vrrp_startup_delay_us: u64,
    /// `lvs_timeouts tcp/tcpfin/udp` in seconds; 0 leaves the kernel's.
    pub lvs_timeouts: [u32; 3],
    /// `lvs_sync_daemon`.
    pub sync_daemon: Option<SyncSettings>,
    /// `None`: no mail is sent.
    pub mail: Option<MailRoute>,
    pub fifos: BTreeMap<FifoKind, Fifo>,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_states_on_reload: bool,
    /// `state_dump_file` and its companions; missing: keepalived's names in /tmp. One that ends in `/` is a folder.
    pub dump_files: BTreeMap<DumpKind, String>,
    /// `json_version`.
    pub json_version: u8,
    pub firewall: Firewall,
}

/// `nftables` and its companions: the tables that `no_accept` and `use_vmac` need.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Firewall {
    pub table: String,
    /// Of its chains.
    pub priority: i32,
    pub counters: bool,
}

impl Default for Firewall {
    fn default() -> Self {
        Self {
            table: "keepalived".to_owned(),
            priority: -1,
            counters: false,
        }
    }
}

/// How connections are copied to the other director.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SyncSettings {
    pub interface: String,
    /// Sends while this instance is MASTER and takes while it is not; `None`: both at all times.
    pub instance: Option<InstanceName>,
    pub id: u8,
    /// 0 and `None` leave a value to the kernel.
    pub maxlen: u16,
    pub port: u16,
    pub ttl: u8,
    pub group: Option<IpAddr>,
}
