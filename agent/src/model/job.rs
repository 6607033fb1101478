//! A run of a script, as asked for and as it ended.

use super::notify::Script;
use std::time::Duration;

/// A script to run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Job {
    pub script: Script,
    /// Further arguments after the script's own.
    pub arguments: Vec<String>,
    /// `None`: for ever (notify scripts).
    pub timeout: Option<Duration>,
    /// Whether anybody wants to hear how it ended.
    pub report: bool,
    /// Jobs of one lane run one after the other, in order; `None`: at once.
    pub lane: Option<String>,
}

/// A script that was started.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct JobId(pub u64);

/// How a script ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobOutcome {
    pub end: JobEnd,
    /// The first kilobytes of what it printed, not escaped.
    pub output: Vec<u8>,
}

/// The ways a script can end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobEnd {
    Exited(i32),
    Signalled(i32),
    TimedOut,
    /// It never ran: a reason on this host, which says nothing about what it would have found.
    NotStarted(String),
}

/// What holds for all scripts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ScriptRules {
    /// `enable_script_security`: those that others could change are not run as root.
    pub secure: bool,
    /// `set_supplementary_groups`: they get all groups of their user.
    pub all_groups: bool,
}
