//! Scripts to run when something happens.

use lb_shared::names::{GroupName, InstanceName};

/// A program to run: absolute path, arguments, and whom it runs as.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Script {
    /// The program first. Never empty, never given to a shell.
    pub argv: Vec<String>,
    /// User and group by number; `None`: the agent's own.
    pub user: Option<(u32, u32)>,
}

/// `notify_master`, `notify_backup`, `notify_fault`, `notify_stop` and `notify` of an instance or a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NotifyScripts {
    pub master: Option<Script>,
    pub backup: Option<Script>,
    pub fault: Option<Script>,
    pub stop: Option<Script>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_priority: Option<Script>,
    /// `notify`: gets kind, name, state and priority as further arguments.
    pub any: Option<Script>,
}

/// Whose state changed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum NotifyWho {
    Instance(InstanceName),
    Group(GroupName),
}

/// The states scripts and FIFOs know.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum NotifyState {
    Master,
    Backup,
    Fault,
    /// The agent stops.
    Stop,
    /// A reload removed it.
    Deleted,
}

/// `quorum_up` and `quorum_down` of a service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct QuorumScripts {
    pub up: Option<Script>,
    pub down: Option<Script>,
}

/// `notify_up` and `notify_down` of a server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerScripts {
    pub up: Option<Script>,
    pub down: Option<Script>,
}
