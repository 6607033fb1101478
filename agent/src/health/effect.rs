//! What leaves the room: things to do, news, and what the kernel should have.

use super::job::{CheckId, CheckJob};
use crate::model::{Forwarding, Script};
use lb_shared::event::What;
use lb_shared::names::{ServerId, ServerKey, ServiceKey};
use lb_shared::units::Weight;
use std::collections::BTreeMap;

/// Something the engine is to do or to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run a check and come back with its outcome.
    Check { id: CheckId, job: Box<CheckJob> },
    /// Nobody waits for this outcome any more.
    Cancel(CheckId),
    /// The service's standing may have changed.
    Replan(ServiceKey),
    /// A server's view changed.
    Changed {
        server: ServerId,
        what: What,
        text: String,
        why: Option<String>,
    },
    /// A service's view changed; a new one comes with its servers.
    ServiceChanged {
        service: ServiceKey,
        what: What,
        text: String,
        why: Option<String>,
    },
    /// A server that is told from the start begins as up.
    Begins(ServerId),
    /// A server left the configuration.
    Removed(ServerId),
    /// A service left the configuration, after its servers.
    ServiceRemoved(ServiceKey),
    /// Run a notify script. Scripts of one lane run in order.
    Run {
        script: Script,
        args: Vec<String>,
        lane: String,
    },
}

/// What the kernel should have for one service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// Servers in the table: forwarding, weight, upper and lower connection threshold.
    pub servers: BTreeMap<ServerKey, (Forwarding, Weight, u32, u32)>,
    pub quorum_up: bool,
    /// Sum of the weights of the servers that are up.
    pub live_weight: u64,
    /// Whether a server of weight 0 is in the table: `sh` and `mh` then need their fallback flag.
    pub any_draining_or_zero: bool,
}
