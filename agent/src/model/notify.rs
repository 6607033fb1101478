//! Who is told when something happens: scripts, FIFOs, and people by mail.

use lb_shared::names::{GroupName, InstanceName};
use std::time::Duration;

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
    /// `notify_deleted`: a removed instance is told as DELETED, not as FAULT.
    pub tell_deleted: bool,
    /// Its script.
    pub deleted: Option<Script>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_priority: Option<Script>,
    /// `notify`: gets kind, name, state and priority as further arguments.
    pub any: Option<Script>,
    /// `smtp_alert`, its own or the global one.
    pub mail: bool,
}

impl NotifyScripts {
    /// Whether any of it starts a script.
    pub fn run_anything(&self) -> bool {
        let silent = Self {
            mail: self.mail,
            tell_deleted: self.tell_deleted,
            ..Self::default()
        };
        *self != silent
    }
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
    /// `smtp_alert`.
    pub mail: bool,
}

/// `notify_up` and `notify_down` of a server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerScripts {
    /// `rs_init_notifies`: a server that begins as up is told, too.
    pub first: bool,
    pub up: Option<Script>,
    pub down: Option<Script>,
    /// `smtp_alert`.
    pub mail: bool,
}

/// Which of the three FIFOs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FifoKind {
    /// `notify_fifo`: gets everything.
    All,
    /// `vrrp_notify_fifo`.
    Vrrp,
    /// `lvs_notify_fifo`.
    Lvs,
}

/// A FIFO that gets a line for each change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fifo {
    pub path: String,
    /// Whom it is made for; `None`: the agent's own user.
    pub owner: Option<(u32, u32)>,
    /// The program that reads it, started once with the path as a further argument.
    pub script: Option<Script>,
}

/// Where mail goes: `smtp_server` and its companions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailRoute {
    /// An address, or a name that is looked up for each mail.
    pub server: String,
    pub port: u16,
    /// `notification_email_from`.
    pub from: String,
    /// `notification_email`: at least one.
    pub to: Vec<String>,
    /// `smtp_helo_name`.
    pub helo: String,
    /// `smtp_connect_timeout`: for the connection, and once more for the conversation.
    pub timeout: Duration,
    /// `no_email_faults`: none about entering FAULT.
    pub no_faults: bool,
}
