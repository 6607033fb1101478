//! What operators want of a server, and how far a drain has come.

use lb_shared::state::{Admin, DrainThen, DrainView};
use lb_shared::units::{Mono, Weight};
use std::time::Duration;

/// How long a draining server must have been without connections to count as drained.
const QUIET: Duration = Duration::from_secs(5);

/// In how many steps a weight rises.
const RAMP_STEPS: u32 = 10;

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
    Ramp(Ramp),
}

/// A weight on its way up: a tenth at once, and a tenth more each ninth of the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ramp {
    over: Duration,
    until: Mono,
    /// 1 to 10.
    step: u32,
    next_at: Mono,
}

impl Ramp {
    /// Where it is at this moment. It may have begun before this process did.
    pub(super) fn new(now: Mono, over: Duration, until: Mono) -> Self {
        let left = until.since(now);
        let ninth = over / (RAMP_STEPS - 1);
        let gone = over.saturating_sub(left).as_micros();
        let step = (1..RAMP_STEPS)
            .rev()
            .find(|step| (ninth * (step - 1)).as_micros() <= gone)
            .unwrap_or(1);
        let step = if left.is_zero() { RAMP_STEPS } else { step };
        let next_at = now + left.saturating_sub(ninth * (RAMP_STEPS - 1).saturating_sub(step));
        Self {
            over,
            until,
            step,
            next_at: next_at.min(until).max(now),
        }
    }

    /// The same at a later moment.
    pub(super) fn at(self, now: Mono) -> Self {
        Self::new(now, self.over, self.until)
    }

    pub(super) fn is_over(self, now: Mono) -> bool {
        self.until <= now
    }

    /// What it makes of the whole weight: never 0, unless that is.
    pub(super) fn of(self, whole: Weight) -> Weight {
        let part = (u64::from(whole.get()) * u64::from(self.step)).div_ceil(u64::from(RAMP_STEPS));
        Weight::clamped(i64::try_from(part).unwrap_or(i64::MAX))
    }
}

/// A drain under way or done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Drain {
    pub(super) then: DrainThen,
    /// Inactive connections are waited for, too.
    pub(super) inactive: bool,
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
    pub(super) fn new(
        now: Mono,
        (then, inactive): (DrainThen, bool),
        deadline: Option<Mono>,
        held: bool,
    ) -> Self {
        Self {
            then,
            inactive,
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
    /// When it ends by itself, or changes.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self {
            Self::None => None,
            Self::Drain(drain) => drain.deadline.filter(|_| !drain.deadline_passed),
            Self::Disable { until } | Self::Weight { until, .. } => *until,
            Self::Ramp(ramp) => Some(ramp.next_at),
        }
    }

    pub(super) fn admin(&self) -> Admin {
        match self {
            Self::None | Self::Weight { .. } | Self::Ramp(_) => Admin::Enabled,
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
                inactive: drain.inactive,
            }),
            Self::None | Self::Disable { .. } | Self::Weight { .. } | Self::Ramp(_) => None,
        }
    }
}
