//! IPVS: what the kernel's table should be, and how to get there.
//!
//! Knows the shape of the table, how to plan from one to the other without touching what need not be touched, and the
//! bytes of the generic netlink family. Does not know health or operators (the engine asks) nor sockets.

pub mod table;

use lb_shared::names::{ServerKey, VirtualKey};
use table::{DestinationSettings, ServiceSettings};

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
    /// Everything, foreign services included: only for `lvs_flush`.
    Flush,
    /// A value under /proc/sys/net/ipv4/vs.
    Sysctl {
        name: &'static str,
        value: String,
    },
}
