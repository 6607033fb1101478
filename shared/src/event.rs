//! Everything that happens, each with its dotted name.
//!
//! Log lines, the clients' stream and the dashboard's history are all readings of this one list.

use crate::state::{Object, ObjectId};
use crate::units::Mono;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who asked for something over the socket.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Actor {
    pub uid: u32,
    /// For the audit only: a pid is never a reason to allow anything.
    pub pid: u32,
    /// The user's name, or the number as text.
    pub user: String,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uid {}, pid {})", self.user, self.uid, self.pid)
    }
}

/// A change of one object of the [`crate::state::State`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Change {
    Put(Object),
    Remove(ObjectId),
}

/// Something that happened, with the objects it changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub what: What,
    /// What it is mainly about.
    pub object: ObjectId,
    /// What happened, in words, without the object's name: `MASTER -> BACKUP`.
    pub text: String,
    /// Why, in words.
    pub why: Option<String>,
    /// The operator who caused it.
    pub actor: Option<Actor>,
    pub at: Mono,
    /// New forms of the objects that changed, itself included.
    pub changes: Vec<Change>,
}

/// An event with the number and wall time the hub gave it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Numbered {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
    pub event: Event,
}

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $level:ident;)*) => {
        /// What happened. Names are stable: scripts and alerts match on them.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        pub enum What { $($(#[$doc])* $variant,)* }

        impl What {
            /// Every event there is, in the order of this list.
            pub const ALL: &[What] = &[$(What::$variant,)*];

            /// The dotted name, such as `vrrp.master`.
            pub fn name(self) -> &'static str {
                match self { $(What::$variant => $name,)* }
            }

            /// How loud it is.
            pub fn level(self) -> Level {
                match self { $(What::$variant => Level::$level,)* }
            }
        }
    };
}

events! {
    /// An object as it is when somebody begins to watch.
    Present = "state.present", Debug;

    /// The agent has its configuration and runs.
    Started = "agent.started", Notice;
    /// The agent says goodbye.
    Stopping = "agent.stopping", Notice;
    /// A mail was not taken, or a FIFO cannot be written.
    NotTold = "agent.not_told", Warning;
    /// A reader was too slow and events were left out.
    Lost = "agent.lost", Warning;

    /// A configuration is in force.
    Applied = "config.applied", Notice;
    /// A reload was refused; nothing changed.
    ReloadRefused = "config.refused", Error;
    /// A finding of the file in force.
    Finding = "config.finding", Warning;
    /// A configuration is in force until a moment, unless it is confirmed.
    Unconfirmed = "config.unconfirmed", Warning;
    /// It was confirmed and stays.
    Confirmed = "config.confirmed", Notice;
    /// It was not, and the one before it is in force again.
    Restored = "config.restored", Error;

    /// An instance was added, removed or has other settings.
    InstanceChanged = "vrrp.changed", Info;
    InstanceRemoved = "vrrp.removed", Info;
    BecameInit = "vrrp.init", Info;
    BecameBackup = "vrrp.backup", Notice;
    BecameMaster = "vrrp.master", Notice;
    BecameFault = "vrrp.fault", Error;
    /// The effective priority changed.
    PriorityChanged = "vrrp.priority", Notice;
    /// A backup hears another master than before.
    MasterHeard = "vrrp.master_heard", Info;
    /// Two masters are heard, or no longer are.
    SecondMaster = "vrrp.second_master", Error;
    SecondMasterGone = "vrrp.second_master_gone", Notice;
    /// Adverts are being refused; the first of a kind, then once a minute with a count.
    AdvertRejected = "vrrp.advert_rejected", Warning;
    /// An address of ours vanished or turned up without us.
    AddressLost = "vrrp.address_lost", Warning;
    AddressFound = "vrrp.address_found", Warning;
    GroupChanged = "vrrp.group", Notice;
    GroupRemoved = "vrrp.group_removed", Info;

    TrackerOk = "track.ok", Notice;
    TrackerFailed = "track.failed", Warning;
    TrackerChanged = "track.changed", Info;
    TrackerRemoved = "track.removed", Info;
    /// A script could not be run at all.
    ScriptTrouble = "track.script_trouble", Error;

    /// A service was added or has other settings.
    ServiceChanged = "service.changed", Info;
    ServiceRemoved = "service.removed", Info;
    QuorumGained = "service.quorum_gained", Notice;
    QuorumLost = "service.quorum_lost", Error;

    ServerChanged = "server.changed", Info;
    ServerRemoved = "server.removed", Info;
    ServerUp = "server.up", Notice;
    ServerDown = "server.down", Warning;
    WeightChanged = "server.weight", Notice;
    /// A check could not be carried out for a reason on this host.
    CheckInconclusive = "server.check_inconclusive", Warning;

    DrainStarted = "drain.started", Notice;
    DrainFinished = "drain.finished", Notice;
    DrainDeadline = "drain.deadline", Warning;
    /// An operator's change was made.
    OverrideSet = "override.set", Notice;
    /// An operator's change ended by command.
    OverrideCleared = "override.cleared", Notice;
    /// An operator's change ended by its time.
    OverrideExpired = "override.expired", Notice;
    /// Something about the stored overrides an operator must know.
    IntentTrouble = "override.trouble", Error;

    /// The kernel can or cannot balance.
    IpvsAvailable = "kernel.ipvs_available", Notice;
    IpvsMissing = "kernel.ipvs_missing", Error;
    /// Something else changed what is ours; it was put right.
    DriftHealed = "kernel.drift_healed", Warning;
    /// The kernel refused an operation; it is retried.
    KernelRefused = "kernel.refused", Error;
    KernelRecovered = "kernel.recovered", Notice;
    /// Addresses or services of an earlier run were found and kept.
    Adopted = "kernel.adopted", Notice;
    /// Leftovers of an earlier run were removed.
    Cleaned = "kernel.cleaned", Notice;

    LinkUp = "link.up", Notice;
    LinkDown = "link.down", Warning;
    LinkGone = "link.gone", Warning;

    /// The clock of another node is so far from ours that its signed adverts will soon be refused.
    ClocksApart = "vrrp.clocks_apart", Warning;
}

impl What {
    /// The part before the dot.
    pub fn kind(self) -> &'static str {
        self.name().split('.').next().unwrap_or_default()
    }

    /// The word under which clients choose: `vrrp`, `track`, `check`, `service`, `action`, `config`, `ipvs`, `link`,
    /// `agent`, `lost`, or `state` for changes nothing is told about.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            _ => match self.kind() {
                "server" => "check",
                "drain" | "override" => "action",
                "kernel" => "ipvs",
                kind => kind,
            },
        }
    }

    /// The event of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|what| what.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_event_has_a_dotted_name_of_its_own() {
        let names: BTreeSet<_> = What::ALL.iter().map(|what| what.name()).collect();
        assert_eq!(names.len(), What::ALL.len());
        for what in What::ALL {
            assert!(what.name().split('.').count() == 2, "{}", what.name());
            assert_eq!(What::from_name(what.name()), Some(*what));
        }
    }
}
