//! One run of one check, as it leaves the room and comes back.

use crate::model::CheckKind;
use std::time::Duration;

/// A run of a check that was started.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CheckId(pub u64);

/// What to run. `MISC_CHECK` goes to the script runner, everything else to the dialler.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckJob {
    pub kind: CheckKind,
    /// For `HTTP_GET` and `SSL_GET`: which url of the list.
    pub url: usize,
}

/// How a run ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckOutcome {
    Pass {
        took: Duration,
        /// A weight the check gives the server (`misc_dynamic`).
        weight: Option<u32>,
    },
    /// The server's fault: `connection refused`, `status 503, want 200-299`, `timed out after 3s`.
    Fail { took: Duration, why: String },
    /// This host's fault (no descriptors, no memory, no script): says nothing about the server.
    Inconclusive { why: String },
}

impl CheckOutcome {
    /// How long the run took, if it says anything about the server.
    pub fn took(&self) -> Option<Duration> {
        match self {
            Self::Pass { took, .. } | Self::Fail { took, .. } => Some(*took),
            Self::Inconclusive { .. } => None,
        }
    }
}
