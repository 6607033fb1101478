//! IPVS: what the kernel's table should be, and how to get there.
//!
//! Knows the shape of the table, how to plan from one to the other without touching what need not be touched, and the
//! bytes of the generic netlink family. Does not know health or operators (the engine asks) nor sockets.

pub mod apply;
pub mod genl;
pub mod plan;
pub mod table;

pub use apply::{Refusal, Settled, explain, settle};
pub use plan::{plan, plan_service};

use lb_shared::names::{ServerKey, VirtualKey};
use std::fmt;
use table::{DestinationSettings, ServiceSettings, SyncDaemon, SyncRole};

/// One change of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IpvsOp {
    AddService(VirtualKey, ServiceSettings),
    EditService(VirtualKey, ServiceSettings),
    RemoveService(VirtualKey),
    AddServer(VirtualKey, ServerKey, DestinationSettings),
    EditServer(VirtualKey, ServerKey, DestinationSettings),
    RemoveServer(VirtualKey, ServerKey),
    /// `lvs_timeouts`: TCP, TCP-FIN, UDP in seconds; 0 leaves the kernel's.
    Timeouts([u32; 3]),
    StartSync(SyncRole, SyncDaemon),
    StopSync(SyncRole),
    /// Everything, foreign services included: only for `lvs_flush`.
    Flush,
    /// A value under /proc/sys/net/ipv4/vs.
    Sysctl {
        name: &'static str,
        value: String,
    },
}

impl IpvsOp {
    /// The service it is about.
    pub fn service(&self) -> Option<&VirtualKey> {
        match self {
            Self::AddService(key, _)
            | Self::EditService(key, _)
            | Self::RemoveService(key)
            | Self::AddServer(key, ..)
            | Self::EditServer(key, ..)
            | Self::RemoveServer(key, _) => Some(key),
            Self::Timeouts(_)
            | Self::StartSync(..)
            | Self::StopSync(_)
            | Self::Flush
            | Self::Sysctl { .. } => None,
        }
    }
}

impl fmt::Display for IpvsOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService(key, settings) => write!(f, "add service {key} {}", settings.scheduler),
            Self::EditService(key, settings) => write!(f, "edit service {key} {}", settings.scheduler),
            Self::RemoveService(key) => write!(f, "remove service {key}"),
            Self::AddServer(key, server, it) => {
                write!(f, "add server {server} to {key}, weight {}", it.weight)
            }
            Self::EditServer(key, server, it) => {
                write!(f, "edit server {server} of {key}, weight {}", it.weight)
            }
            Self::RemoveServer(key, server) => write!(f, "remove server {server} from {key}"),
            Self::Timeouts([tcp, fin, udp]) => write!(f, "set timeouts {tcp} {fin} {udp}"),
            Self::StartSync(role, it) => {
                write!(
                    f,
                    "start the {} sync daemon on {}, id {}",
                    role.word(),
                    it.interface,
                    it.id
                )
            }
            Self::StopSync(role) => write!(f, "stop the {} sync daemon", role.word()),
            Self::Flush => f.write_str("flush the whole table"),
            Self::Sysctl { name, value } => write!(f, "set net.ipv4.vs.{name} to {value}"),
        }
    }
}
