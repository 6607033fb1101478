//! What the engine is told once, at its start.

use super::action::Ledger;
use super::confirm::FormerNote;
use super::input::NewModel;
use lb_shared::diagnostic::Diagnostic;
use lb_shared::state::Override;
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything from before the first input.
#[derive(Clone, Debug)]
pub struct Boot {
    pub model: NewModel,
    /// What is wrong with the file on disk, when `model` is what an earlier run had in force instead.
    pub refused: Vec<Diagnostic>,
    pub intent: StoredIntent,
    /// The configuration to go back to, and what an earlier run noted about it.
    pub former: Option<(NewModel, FormerNote)>,
    /// What an earlier run since the last reboot left; `None` on a clean start.
    pub previous: Option<Previous>,
    /// The highest number that a run since the last reboot signed an advert with.
    pub signed: Option<u64>,
    /// Unix time in milliseconds at the start.
    pub wall_ms: u64,
    pub host: String,
    pub pid: u32,
    /// Values under /proc/sys/net/ipv4/vs that a drain changes and gives back.
    pub ipvs_sysctls: BTreeMap<&'static str, String>,
}

/// The overrides as they were read from disk.
#[derive(Clone, Debug, Default)]
pub struct StoredIntent {
    pub overrides: Vec<Override>,
    /// What the operators must know about how they were read; empty when all is well.
    pub trouble: Option<String>,
    /// Neither generation was readable: a server the kernel holds at weight 0 counts as drained until somebody says
    /// otherwise.
    pub lost: bool,
}

/// An earlier run that did not say goodbye.
#[derive(Clone, Debug, Default)]
pub struct Previous {
    pub ledger: Ledger,
    /// How long ago each instance sent its last advert.
    pub sent_ago: BTreeMap<String, Duration>,
}
