//! The roles of a router, and what it may want of those who hold it.

use lb_shared::state::MasterView;
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a router is, with what is true only while it is that.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Role {
    Init(Init),
    Backup(Backup),
    Master(Master),
    Fault,
}

/// Waits for its link, its trackers' first results, or the end of the start-up delay.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Init {
    /// Until when the mastership of an earlier run may go on.
    pub(crate) resume_until: Option<Mono>,
}

/// A backup listens and counts the silence.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Backup {
    /// When the silence began.
    pub(crate) silent_since: Mono,
    /// The master said farewell (or we did): only the skew is waited for.
    pub(crate) leaving: bool,
    pub(crate) down_at: Mono,
    /// Its time has come, but its sync group is not ready.
    pub(crate) ready: bool,
    /// `preempt_delay`: until then lower adverts are respected. `None`: no lower one was heard yet.
    pub(crate) preempt_at: Option<Mono>,
    /// Until when the mastership of an earlier run may go on: its group is not complete yet.
    pub(crate) resume_until: Option<Mono>,
}

/// A master speaks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Master {
    pub(crate) advert_at: Mono,
    /// A further block of announcements: when, and how many rounds.
    pub(crate) block: Option<(Mono, u32)>,
    pub(crate) refresh_at: Option<Mono>,
    /// When an address on each interface elsewhere is next announced.
    pub(crate) elsewhere_at: Option<Mono>,
    pub(crate) rival: Option<Rival>,
    /// When a lower master was last put in its place.
    pub(crate) answered_at: Option<Mono>,
    /// When a farewell was last answered: others' farewells must not use up the answers to a lower master.
    pub(crate) farewell_answered_at: Option<Mono>,
    pub(crate) unsent: Unsent,
}

/// Another master that is heard but does not beat us.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rival {
    pub(crate) since: Mono,
    /// When it counts as gone unless it is heard again.
    pub(crate) gone_at: Mono,
    pub(crate) master: MasterView,
    /// It did not give way in time: two masters.
    pub(crate) flagged: bool,
}

/// Adverts that did not get out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unsent {
    /// The first of the failed rounds in a row.
    pub(crate) since: Option<Mono>,
    pub(crate) rounds: u32,
    /// Failed sends of the round under way.
    pub(crate) failed: usize,
}

impl Role {
    /// Until when the mastership of an earlier run may go on. Only those have it that wait and were nothing else
    /// since: a fault or a master that is heard makes it an election like any other.
    pub(crate) fn resume_until(&self) -> Option<Mono> {
        match self {
            Role::Init(init) => init.resume_until,
            Role::Backup(backup) => backup.resume_until,
            Role::Master(_) | Role::Fault => None,
        }
    }

    /// Lets it go on until then; false if its role does not allow it.
    pub(crate) fn let_resume(&mut self, until: Mono) -> bool {
        match self {
            Role::Init(init) => init.resume_until = Some(until),
            Role::Backup(backup) => backup.resume_until = Some(until),
            Role::Master(_) | Role::Fault => return false,
        }
        true
    }
}

/// What a router wants to happen to itself and its group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Stay,
    TakeOver {
        why: String,
    },
    /// A better master was heard.
    Yield {
        master: MasterView,
        interval: Duration,
        why: String,
    },
    /// A master that was silent for too long stands back.
    Resign {
        why: String,
    },
    /// A master that stays heard a lower one: its group announces too.
    Answered,
    /// What it stands on is another thing now.
    Settle,
}

/// How a mastership ends, if there is one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Without a word: a better master speaks already.
    Quiet,
    /// Priority 0, so that a successor hurries; we wait as long as any backup.
    Farewell,
    /// Priority 0, and back after the skew if nobody wants it (as keepalived after an address was lost).
    Brief,
}

/// Whether a router can take part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Fault,
    Waiting,
    Ready,
}

/// Counters, in a form that costs nothing to count in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) became_master: u64,
    pub(crate) released_master: u64,
    pub(crate) zero_sent: u64,
    pub(crate) zero_received: u64,
    /// By the reason's name; what never happened takes no room.
    pub(crate) rejected: BTreeMap<&'static str, u64>,
    pub(crate) address_list: u64,
    pub(crate) heard_at: Option<Mono>,
    pub(crate) sent_at: Option<Mono>,
}
