//! One `vrrp_script`: when it runs, and what its results add up to.

use super::Effect;
use crate::model::{Job, JobEnd, JobOutcome, VrrpScript};
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::TrackerView;
use lb_shared::units::Mono;
use std::sync::Arc;
use std::time::Duration;

/// Runs in a row that could not begin before an operator hears of it.
const TROUBLE_AFTER: u32 = 3;

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) cfg: Arc<VrrpScript>,
    phase: Phase,
    /// `None` before its first result.
    pub(super) ok: Option<bool>,
    pub(super) since: Mono,
    pub(super) detail: String,
    /// Results in a row that speak against the verdict.
    against: u32,
    /// The next result decides alone.
    first: bool,
    /// Runs in a row that did not begin.
    not_started: u32,
    /// Where the agenda has it.
    pub(super) scheduled: Option<Mono>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// It can never be run.
    Broken,
    Waiting {
        run_at: Mono,
    },
    /// `stale`: the command was changed meanwhile, the outcome says nothing.
    Running {
        started_at: Mono,
        stale: bool,
    },
}

impl Script {
    pub(super) fn new(now: Mono, cfg: Arc<VrrpScript>, out: &mut Vec<Effect>) -> Self {
        let mut script = Self {
            phase: Phase::Waiting { run_at: now },
            ok: cfg.init_fail.then_some(false),
            since: now,
            detail: if cfg.init_fail { "init_fail" } else { "" }.to_owned(),
            against: 0,
            first: !cfg.init_fail,
            not_started: 0,
            scheduled: None,
            cfg,
        };
        match script.cfg.broken.clone() {
            Some(why) => script.break_down(now, why, out),
            None => script.changed(What::TrackerChanged, "added".to_owned(), None, out),
        }
        script
    }

    /// `rise` and `fall`.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.cfg.rise, self.cfg.fall)
    }

    pub(super) fn reconfigure(&mut self, now: Mono, cfg: &Arc<VrrpScript>, out: &mut Vec<Effect>) {
        if Arc::ptr_eq(&self.cfg, cfg) || self.cfg == *cfg {
            return;
        }
        let old = std::mem::replace(&mut self.cfg, cfg.clone());
        if let Some(why) = cfg.broken.clone() {
            self.break_down(now, why, out);
            return;
        }
        let other_command = old.script != cfg.script || old.broken.is_some();
        if other_command {
            self.first = true;
            self.against = 0;
            self.phase = match self.phase {
                Phase::Running { started_at, .. } => Phase::Running {
                    started_at,
                    stale: true,
                },
                Phase::Broken | Phase::Waiting { .. } => Phase::Waiting { run_at: now },
            };
        } else if let Phase::Waiting { run_at } = &mut self.phase {
            // A shorter interval counts at once.
            *run_at = (*run_at).min(now + cfg.interval);
        }
        self.changed(What::TrackerChanged, "settings changed".to_owned(), None, out);
    }

    /// keepalived drops such a script silently, and the instance with it looks healthier than it is.
    fn break_down(&mut self, now: Mono, why: String, out: &mut Vec<Effect>) {
        self.phase = Phase::Broken;
        if self.ok != Some(false) {
            self.since = now;
        }
        self.ok = Some(false);
        self.detail = format!("cannot be run: {why}");
        self.changed(
            What::ScriptTrouble,
            "cannot be run and counts as failed".to_owned(),
            Some(why),
            out,
        );
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        match self.phase {
            Phase::Waiting { run_at } => Some(run_at),
            Phase::Broken | Phase::Running { .. } => None,
        }
    }

    pub(super) fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        self.phase = Phase::Running {
            started_at: now,
            stale: false,
        };
        out.push(Effect::Run {
            script: self.cfg.name.clone(),
            job: Job {
                script: self.cfg.script.clone(),
                arguments: Vec::new(),
                timeout: (!self.cfg.timeout.is_zero()).then_some(self.cfg.timeout),
                report: true,
                lane: None,
            },
        });
    }

    pub(super) fn on_ran(&mut self, now: Mono, outcome: &JobOutcome, out: &mut Vec<Effect>) {
        let Phase::Running { started_at, stale } = self.phase else {
            return;
        };
        if stale {
            self.phase = Phase::Waiting { run_at: now };
            return;
        }
        self.phase = Phase::Waiting {
            run_at: next_run(started_at, self.cfg.interval, now),
        };
        let (good, detail) = match &outcome.end {
            JobEnd::Exited(code) => (*code == 0, format!("exit {code}")),
            JobEnd::Signalled(signal) => (false, format!("killed by signal {signal}")),
            JobEnd::TimedOut => (
                false,
                format!("timed out after {}s", self.cfg.timeout.as_secs_f64()),
            ),
            JobEnd::NotStarted(why) => {
                self.on_not_started(why, out);
                return;
            }
        };
        self.not_started = 0;
        self.judge(now, good, detail, out);
    }

    /// A reason on this host says nothing about what the script would have found: the verdict stays.
    fn on_not_started(&mut self, why: &str, out: &mut Vec<Effect>) {
        self.not_started += 1;
        if self.not_started == TROUBLE_AFTER {
            let text = format!("could not be started {TROUBLE_AFTER} times in a row; its last verdict stays");
            self.changed(What::ScriptTrouble, text, Some(why.to_owned()), out);
        }
    }

    fn judge(&mut self, now: Mono, good: bool, detail: String, out: &mut Vec<Effect>) {
        let old = std::mem::replace(&mut self.detail, detail);
        if self.ok == Some(good) {
            self.against = 0;
        } else {
            self.against += 1;
        }
        let needed = if good { self.cfg.rise } else { self.cfg.fall };
        let turns = self.ok != Some(good) && (self.first || self.against >= needed);
        self.first = false;
        if turns {
            self.against = 0;
            self.ok = Some(good);
            self.since = now;
            let (what, text) = if good {
                (What::TrackerOk, "succeeded")
            } else {
                (What::TrackerFailed, "failed")
            };
            self.changed(what, text.to_owned(), Some(self.detail.clone()), out);
        } else if old != self.detail {
            let text = format!("now: {}", self.detail);
            self.changed(What::TrackerChanged, text, None, out);
        }
    }

    pub(super) fn name(&self) -> TrackerName {
        TrackerName::Script(self.cfg.name.clone())
    }

    pub(super) fn view(&self) -> TrackerView {
        TrackerView {
            name: self.name(),
            ok: self.ok,
            since: self.since,
            detail: self.detail.clone(),
        }
    }

    fn changed(&self, what: What, text: String, why: Option<String>, out: &mut Vec<Effect>) {
        out.push(Effect::Changed {
            tracker: self.name(),
            what,
            text,
            why,
        });
    }
}

/// The first moment after `now` on the grid that began at `started_at`: runs that would overlap are left out.
fn next_run(started_at: Mono, interval: Duration, now: Mono) -> Mono {
    let step = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX).max(1_000);
    let passed = now.0.saturating_sub(started_at.0);
    Mono(
        started_at
            .0
            .saturating_add((passed / step + 1).saturating_mul(step)),
    )
}
