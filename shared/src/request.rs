//! What clients may ask, what they get, and the role each request needs.

use crate::counters::Counters;
use crate::diagnostic::Diagnostic;
use crate::event::Numbered;
use crate::excerpt::{Excerpt, ExcerptAsk};
use crate::expect::Expected;
use crate::history::{History, HistoryAsk, Past};
use crate::loglevel::{LogAsk, LogView};
use crate::settings::Settings;
use crate::shown::Shown;
use crate::state::{DrainThen, Pin, State, Target};
use crate::trial::{TestAsk, Tested};
use crate::units::{Mono, Weight};
use crate::whatif::{Foreseen, WhatIf};
use crate::window::{Window, WindowAsk};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a connection may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

impl Role {
    /// `viewer`, `operator` or `admin`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// One question or command.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Versions, host and role: [`Reply::Hello`].
    Hello { client: String },
    /// The whole state: [`Reply::Snapshot`].
    Snapshot,
    /// All counters, at most a second old: [`Reply::Counters`].
    Counters,
    /// Past events: [`Reply::Events`].
    Events { after: Option<u64>, limit: u32 },
    /// A snapshot, then numbered events for ever: [`Reply::Snapshot`], then [`Reply::Event`]s.
    Watch,
    /// An operator's change: [`Reply::Acted`] or [`Reply::Refused`].
    Act(Act),
    /// Load the configuration file again: [`Reply::Reloaded`] or [`Reply::Refused`].
    Reload { dry_run: bool, force: bool },
    /// What would happen: [`Reply::Foreseen`] or [`Reply::Refused`].
    WhatIf(WhatIf),
    /// Everything that is measured, as Prometheus reads it: [`Reply::Metrics`].
    Metrics(MetricsAsk),
    /// Samples of the last quarter of an hour, and how checks ended: [`Reply::History`].
    History(HistoryAsk),
    /// Everything as it was then, in Unix time in milliseconds: [`Reply::Past`].
    Past { wall_ms: u64 },
    /// Run checks once, now: [`Reply::Tested`] or [`Reply::Refused`].
    Test(TestAsk),
    /// How much is logged: [`Reply::Log`].
    Log(LogAsk),
    /// As [`Request::Reload`], and what was in force before comes back after so long unless [`Request::Confirmed`]
    /// comes in time.
    ReloadFor { force: bool, for_ms: u64 },
    /// The configuration that waits to be confirmed stays: [`Reply::Reloaded`] or [`Reply::Refused`].
    Confirmed,
    /// The configuration in force: [`Reply::Config`].
    Config,
    /// A part of the state: [`Reply::Excerpt`]s, the last of which says so, or [`Reply::Refused`].
    Excerpt(ExcerptAsk),
    /// As [`Request::Act`], if what was seen of its targets still holds; else [`Reply::Refused`].
    ActIf(Act, Vec<Expected>),
    /// Numbered events for ever, without the state: [`Reply::Listening`], then [`Reply::Event`]s.
    Listen,
    /// What changed of the numbers that are looked at: [`Reply::Window`].
    Window(WindowAsk),
    /// Every setting in force, also those that no file names: [`Reply::Settings`].
    Settings,
}

/// What of the metrics is wanted; what is not said is as the agent was started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct MetricsAsk {
    pub servers: Option<MetricsServers>,
    /// Also under the names of keepalived's exporters.
    pub compat: Option<bool>,
}

/// Which servers have metrics of their own. Sums over services are always there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsServers {
    Full,
    /// Those that are not in rotation, or that an operator changed.
    Unhealthy,
    None,
}

impl MetricsServers {
    pub const ALL: [Self; 3] = [Self::Full, Self::Unhealthy, Self::None];

    /// `full`, `unhealthy` or `none`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unhealthy => "unhealthy",
            Self::None => "none",
        }
    }

    /// The one of that word.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|it| it.word() == word)
            .ok_or_else(|| format!("'{}' is not full, unhealthy or none", crate::text::escape(word)))
    }
}

/// An operator's change of one or more targets; checked whole before the first is touched.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Act {
    pub verb: Verb,
    /// Exact targets: selectors are resolved before they get here.
    pub targets: Vec<Target>,
    pub dry_run: bool,
    pub force: bool,
    /// At most 256 bytes of printable text.
    pub message: String,
    /// Chosen by the client: the same key within ten minutes answers as the first time and acts once.
    pub key: Option<String>,
}

/// What to do with the targets.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    /// `timeout_ms: None` means never.
    Drain {
        timeout_ms: Option<u64>,
        then: DrainThen,
        /// Inactive connections are waited for, too.
        inactive: bool,
    },
    Undrain,
    /// `cut`: also with active connections.
    Disable {
        cut: bool,
    },
    Weight(WeightChange),
    Promote {
        for_ms: Option<u64>,
    },
    Demote {
        hard: bool,
    },
    Release,
    /// Takes back the last change of the same user; no targets.
    Undo,
    /// As `Undrain`, with a weight that rises in steps for so long.
    Ramp {
        over_ms: u64,
    },
}

impl Verb {
    /// `drain`, `undrain`, …
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain { .. } => "drain",
            Self::Undrain | Self::Ramp { .. } => "undrain",
            Self::Disable { .. } => "disable",
            Self::Weight(_) => "weight",
            Self::Promote { .. } => "promote",
            Self::Demote { .. } => "demote",
            Self::Release => "release",
            Self::Undo => "undo",
        }
    }

    /// The role it needs.
    pub fn role(self) -> Role {
        match self {
            // What an undo does is judged again by the engine, which knows what that is.
            Self::Drain { .. }
            | Self::Undrain
            | Self::Ramp { .. }
            | Self::Disable { .. }
            | Self::Weight(_)
            | Self::Undo => Role::Operator,
            Self::Promote { .. } | Self::Demote { .. } | Self::Release => Role::Admin,
        }
    }

    /// The pin this verb puts on an instance.
    pub fn pin(self) -> Option<Pin> {
        match self {
            Self::Promote { .. } => Some(Pin::Promoted),
            Self::Demote { hard: false } => Some(Pin::Demoted),
            Self::Demote { hard: true } => Some(Pin::DemotedHard),
            Self::Drain { .. }
            | Self::Undrain
            | Self::Ramp { .. }
            | Self::Disable { .. }
            | Self::Weight(_)
            | Self::Release
            | Self::Undo => None,
        }
    }
}

/// How a weight is to change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum WeightChange {
    /// To this number.
    To(Weight),
    /// By this much from what it is now.
    By(i64),
    /// To this share of the configured weight, in percent.
    Percent(u32),
    /// Back to the configured weight.
    Config,
}

impl WeightChange {
    /// Reads `50`, `+10`, `-10`, `50%` or `config`.
    ///
    /// A plain 0 is refused: it would look like a drain without being one.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bad = || {
            Refusal::new(
                RefusalCode::BadRequest,
                format!("'{}' is no weight", crate::text::escape(text)),
                "write 50, +10, -10, 50% or config",
            )
        };
        if text == "config" {
            return Ok(Self::Config);
        }
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.parse() {
                Ok(0) => Err(zero()),
                Ok(percent @ 1..=10_000) => Ok(Self::Percent(percent)),
                Ok(_) | Err(_) => Err(bad()),
            };
        }
        if text.starts_with(['+', '-']) {
            let by: i32 = text.parse().map_err(|_| bad())?;
            return Ok(Self::By(by.into()));
        }
        match text.parse().ok().and_then(Weight::new) {
            Some(Weight::ZERO) => Err(zero()),
            Some(weight) => Ok(Self::To(weight)),
            None => Err(bad()),
        }
    }
}

fn zero() -> Refusal {
    Refusal::new(
        RefusalCode::BadRequest,
        "a weight of 0 is a drain without an end",
        "use drain, which lets connections finish and can be undone by undrain",
    )
}

impl Request {
    /// The least role that may ask this. The only table of rights.
    pub fn role(&self) -> Role {
        match self {
            Self::Hello { .. }
            | Self::Snapshot
            | Self::Counters
            | Self::Events { .. }
            | Self::Watch
            | Self::Listen
            | Self::WhatIf(_)
            | Self::Metrics(_)
            | Self::History(_)
            | Self::Past { .. }
            | Self::Config
            | Self::Excerpt(_)
            | Self::Window(_)
            | Self::Settings
            | Self::Reload { dry_run: true, .. } => Role::Viewer,
            Self::Act(act) | Self::ActIf(act, _) => act.verb.role(),
            Self::Test(_) => Role::Operator,
            Self::Reload { .. } | Self::ReloadFor { .. } | Self::Confirmed | Self::Log(_) => Role::Admin,
        }
    }

    /// What it is counted as: the name of the op of JSON lines where there is one.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Snapshot => "snapshot",
            Self::Counters => "counters",
            Self::Events { .. } => "events",
            Self::Watch => "watch",
            Self::Listen => "listen",
            Self::WhatIf(_) => "what-if",
            Self::Act(act) | Self::ActIf(act, _) => act.verb.word(),
            Self::Reload { .. } | Self::ReloadFor { .. } | Self::Confirmed => "reload",
            Self::Metrics(_) => "metrics",
            Self::History(_) => "history",
            Self::Past { .. } => "past",
            Self::Test(_) => "test",
            Self::Log(_) => "log",
            Self::Config | Self::Settings => "config-show",
            Self::Excerpt(_) => "excerpt",
            Self::Window(_) => "window",
        }
    }
}

/// The answer to one request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Hello(Hello),
    Snapshot(Box<Snapshot>),
    Counters(Box<Counters>),
    Events(Vec<Numbered>),
    /// One event of a watch.
    Event(Box<Numbered>),
    /// Events were left out since the reader was too slow; after [`Request::Watch`] a snapshot follows.
    Lost {
        from: u64,
        to: u64,
    },
    Acted(Acted),
    Reloaded(Reloaded),
    Foreseen(Box<Foreseen>),
    Refused(Refusal),
    /// The text Prometheus reads.
    Metrics(String),
    History(Box<History>),
    Past(Box<Past>),
    Tested(Tested),
    Log(LogView),
    Config(Box<Shown>),
    Excerpt(Box<Excerpt>),
    /// Events with a number above this one follow.
    Listening {
        seq: u64,
    },
    Window(Box<Window>),
    Settings(Box<Settings>),
}

/// Who answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub agent: String,
    pub host: String,
    pub role: Role,
}

/// The state at one moment, with what is needed to turn [`Mono`] into wall time.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of the last event folded into it.
    pub seq: u64,
    pub now: Mono,
    /// Unix time in milliseconds at `now`.
    pub wall_ms: u64,
    /// The role of whoever asked.
    pub role: Option<Role>,
    pub state: State,
}

/// What an [`Act`] did, or would do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Acted {
    pub dry_run: bool,
    /// Number of the operation, shown as `op-1042`.
    pub op: u64,
    pub targets: Vec<TargetReport>,
    /// What it leads to, one sentence each.
    pub effects: Vec<String>,
    pub warnings: Vec<String>,
}

/// One target of an [`Act`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    pub target: Target,
    pub outcome: Outcome,
    /// What changed, `weight 100 -> 0` or `BACKUP -> MASTER`.
    pub change: String,
    /// Active connections when it was done, where that is known.
    pub active: Option<u64>,
}

/// How an act ended for one target.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    Done,
    /// Nothing to do: `already draining`.
    Skipped(String),
    /// The intent is stored, the kernel refused: what is now true.
    Failed(String),
}

/// What a reload changed, or would change.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Reloaded {
    pub dry_run: bool,
    pub revision: u64,
    /// `+ vs:203.0.113.12:443/tcp`, `~ vrrp:VI_1 priority 100 -> 150`, `- rs:…`; empty when nothing changes.
    pub changes: Vec<String>,
    pub findings: Vec<Diagnostic>,
    /// `VI_1: its addresses go to the peer`; empty when no virtual address moves.
    pub moves: Vec<String>,
    /// After so long what was in force before comes back, unless it is confirmed.
    pub confirm_within_ms: Option<u64>,
    /// Established connections through what goes, by its name in `changes` (`vs:…`, `rs:…`), at the last look at the
    /// kernel; what has none is left out.
    pub cut: BTreeMap<String, u64>,
}

/// Why nothing was done.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// Names and values a program may want.
    pub details: Vec<(String, String)>,
}

impl Refusal {
    /// What it takes to ask this, and what whoever asked has.
    pub fn forbidden(needed: Role, role: Role) -> Self {
        let group = match needed {
            Role::Viewer | Role::Operator => crate::paths::GROUP_OPERATOR,
            Role::Admin => crate::paths::GROUP_ADMIN,
        };
        let mut refusal = Self::new(
            RefusalCode::Forbidden,
            format!("this needs the role {}, you are {}", needed.word(), role.word()),
            format!("run it as root or as a member of the group {group}"),
        );
        refusal.details = vec![
            ("role".into(), role.word().into()),
            ("needed".into(), needed.word().into()),
        ];
        refusal
    }

    /// A refusal without details.
    pub fn new(code: RefusalCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            details: Vec::new(),
        }
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $exit:literal;)*) => {
        /// The kind of a refusal: a stable word, and the exit code of `lbctl`.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        pub enum RefusalCode { $($(#[$doc])* $variant,)* }

        impl RefusalCode {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As in JSON: `refused-quorum`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The exit code of `lbctl`.
            pub fn exit(self) -> u8 {
                match self { $(Self::$variant => $exit,)* }
            }
        }
    };
}

refusals! {
    BadJson = "bad-json", 2;
    BadRequest = "bad-request", 2;
    BadSelector = "bad-selector", 2;
    BadDuration = "bad-duration", 2;
    Ambiguous = "ambiguous", 2;
    NotFound = "not-found", 3;
    UnknownOp = "unknown-op", 5;
    BadVersion = "bad-version", 5;
    Conflict = "conflict", 1;
    LastServer = "refused-last-server", 4;
    Quorum = "refused-quorum", 4;
    Connections = "refused-connections", 4;
    Fault = "refused-fault", 4;
    SplitBrain = "refused-split-brain", 4;
    NoSuccessor = "refused-no-successor", 4;
    Sync = "refused-sync", 4;
    /// The checks of those that would remain are too old to trust.
    Stale = "refused-stale", 4;
    /// The configuration has errors, or would take a MASTER away.
    Config = "refused-config", 4;
    Forbidden = "forbidden", 4;
    ReadOnly = "read-only", 4;
    Confirm = "confirm", 4;
    Busy = "busy", 1;
    TimedOut = "timeout", 6;
    Internal = "internal", 1;
    Ipvs = "ipvs", 1;
    Netlink = "netlink", 1;
    /// The change could not be made durable, so it was not made.
    Disk = "disk", 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_a_step_a_share_or_the_configured_one() {
        for (text, want) in [
            ("50", WeightChange::To(Weight::clamped(50))),
            ("+10", WeightChange::By(10)),
            ("-10", WeightChange::By(-10)),
            ("50%", WeightChange::Percent(50)),
            ("config", WeightChange::Config),
        ] {
            assert_eq!(WeightChange::parse(text), Ok(want));
        }
        for text in ["0", "0%", "", "x", "4294967296", "+99999999999"] {
            assert!(WeightChange::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_code_has_its_own_word() {
        let words: std::collections::BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), RefusalCode::ALL.len());
    }
}
