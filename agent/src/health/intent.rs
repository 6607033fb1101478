//! What operators want of a server, and how far a drain has come.

use lb_shared::state::{Admin, DrainThen, DrainView};
use lb_shared::units::{Mono, Weight};
use std::time::Duration;

/// How long a draining server must have been without connections to count as drained.
const QUIET: Duration = Duration::from_secs(5);

/// The override in force for one server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Intent {
    #[default]
    None,
    Drain(Drain),
    Disable {
        until: Option<Mono>,
    },
    Weight {
        weight: Weight,
        until: Option<Mono>,
    },
}

/// A drain under way or done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Drain {
    pub(super) then: DrainThen,
    pub(super) since: Mono,
    pub(super) deadline: Option<Mono>,
    pub(super) deadline_passed: bool,
    /// `None` before the first sample.
    pub(super) active_at_start: Option<u64>,
    pub(super) quiet_since: Option<Mono>,
    /// It was in the table when the drain began and stays there, whatever its checks say: leaving would cut the very
    /// connections that are being waited for.
    pub(super) held: bool,
    pub(super) drained: bool,
}

impl Drain {
    pub(super) fn new(now: Mono, then: DrainThen, deadline: Option<Mono>, held: bool) -> Self {
        Self {
            then,
            since: now,
            deadline,
            deadline_passed: false,
            active_at_start: None,
            quiet_since: None,
            held,
            drained: false,
        }
    }

    /// Takes a sample; true when this one makes it drained.
    pub(super) fn on_sample(&mut self, now: Mono, quiet: bool) -> bool {
        if !quiet {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        let done = !self.drained && now.since(since) >= QUIET;
        self.drained |= done;
        done
    }
}

impl Intent {
    /// When it ends by itself.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::None => None,
            Self::Drain(drain) => drain.deadline.filter(|_| !drain.deadline_passed),
            Self::Disable { until } | Self::Weight { until, .. } => *until,
        }
    }

    pub(super) fn admin(&self) -> Admin {
        match self {
            Self::None | Self::Weight { .. } => Admin::Enabled,
            Self::Drain(drain) if drain.drained => Admin::Drained,
            Self::Drain(_) => Admin::Draining,
            Self::Disable { .. } => Admin::Disabled,
        }
    }

    pub(super) fn drain_view(&self) -> Option<DrainView> {
        match self {
            Self::Drain(drain) => Some(DrainView {
                since: drain.since,
                deadline: drain.deadline,
                active_at_start: drain.active_at_start.unwrap_or(0),
            }),
            Self::None | Self::Disable { .. } | Self::Weight { .. } => None,
        }
    }
}
