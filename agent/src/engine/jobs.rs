//! Scripts under way, and whom their end concerns.

use super::Engine;
use super::action::Action;
use crate::health::{self, CheckId};
use crate::model::{Job, JobId, JobOutcome, MiscCheck};
use lb_shared::units::Mono;
use std::collections::BTreeMap;

/// Why a script runs.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// A `vrrp_script`, by its name.
    Track(String),
    /// A `MISC_CHECK`.
    Misc {
        check: Box<MiscCheck>,
        id: CheckId,
        began: Mono,
    },
    /// Nobody waits for it.
    Notify,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    next: u64,
    running: BTreeMap<JobId, Purpose>,
}

impl Jobs {
    /// A check that is no longer wanted.
    pub(super) fn forget_check(&mut self, check: CheckId) {
        self.running
            .retain(|_, purpose| !matches!(purpose, Purpose::Misc { id, .. } if *id == check));
    }
}

impl Jobs {
    /// Scripts whose end somebody waits for, and why they run.
    pub(super) fn running(&self) -> impl Iterator<Item = (JobId, &Purpose)> {
        self.running.iter().map(|(id, purpose)| (*id, purpose))
    }
}

impl Engine {
    pub(super) fn run(&mut self, purpose: Purpose, job: Job) {
        self.jobs.next += 1;
        let id = JobId(self.jobs.next);
        if job.report {
            self.jobs.running.insert(id, purpose);
        }
        self.queue.push_back(Action::Run(id, job));
    }

    pub(super) fn on_ran(&mut self, id: JobId, outcome: &JobOutcome) {
        match self.jobs.running.remove(&id) {
            Some(Purpose::Track(script)) => {
                let mut effects = Vec::new();
                self.trackers.on_ran(self.now, &script, outcome, &mut effects);
                self.on_tracker_effects(effects);
            }
            Some(Purpose::Misc { check, id, began }) => {
                let outcome = health::misc_outcome(&check, outcome, self.now.since(began));
                self.on_checked(id, &outcome);
            }
            Some(Purpose::Notify) | None => {}
        }
    }
}
