//! One `vrrp_track_process`: how many there are, and whether that is enough for long enough.

use super::Effect;
use crate::model::VrrpProcess;
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::TrackerView;
use lb_shared::units::Mono;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) cfg: Arc<VrrpProcess>,
    /// `None` before anybody has counted.
    count: Option<u32>,
    ok: Option<bool>,
    since: Mono,
    /// The verdict turns then, unless the count turns back before.
    turns_at: Option<Mono>,
}

impl Process {
    pub(super) fn new(now: Mono, cfg: Arc<VrrpProcess>, out: &mut Vec<Effect>) -> Self {
        let process = Self {
            cfg,
            count: None,
            ok: None,
            since: now,
            turns_at: None,
        };
        process.changed(What::TrackerChanged, "added".to_owned(), out);
        process
    }

    pub(super) fn reconfigure(&mut self, now: Mono, cfg: &Arc<VrrpProcess>, out: &mut Vec<Effect>) {
        if self.cfg == *cfg {
            return;
        }
        if self.cfg.matching != cfg.matching {
            // Others are counted now; the verdict stays until that has happened.
            self.count = None;
        }
        self.cfg = cfg.clone();
        self.changed(What::TrackerChanged, "settings changed".to_owned(), out);
        self.judge(now, out);
    }

    /// So many run now.
    pub(super) fn on_count(&mut self, now: Mono, count: u32, out: &mut Vec<Effect>) {
        if self.count == Some(count) {
            return;
        }
        self.count = Some(count);
        self.judge(now, out);
        out.push(Effect::Seen(self.name()));
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.turns_at
    }

    pub(super) fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if self.turns_at.is_some_and(|at| at <= now) {
            self.turns_at = None;
            let good = self.is_enough();
            self.turn(now, good, out);
        }
    }

    fn is_enough(&self) -> bool {
        let count = self.count.unwrap_or(0);
        count >= self.cfg.quorum && self.cfg.quorum_max.is_none_or(|most| count <= most)
    }

    fn judge(&mut self, now: Mono, out: &mut Vec<Effect>) {
        if self.count.is_none() {
            return;
        }
        let good = self.is_enough();
        if self.ok == Some(good) {
            self.turns_at = None;
            return;
        }
        let delay = if good {
            self.cfg.fork_delay
        } else {
            self.cfg.terminate_delay
        };
        // What is found first counts at once: there is nothing to ride over.
        if delay.is_zero() || self.ok.is_none() {
            self.turns_at = None;
            self.turn(now, good, out);
        } else {
            self.turns_at.get_or_insert(now + delay);
        }
    }

    fn turn(&mut self, now: Mono, good: bool, out: &mut Vec<Effect>) {
        self.ok = Some(good);
        self.since = now;
        let what = if good {
            What::TrackerOk
        } else {
            What::TrackerFailed
        };
        self.changed(what, self.detail(), out);
    }

    fn detail(&self) -> String {
        let Some(count) = self.count else {
            return String::new();
        };
        let wanted = match self.cfg.quorum_max {
            Some(most) => format!("{} to {most}", self.cfg.quorum),
            None => format!("at least {}", self.cfg.quorum),
        };
        format!("{count} running, want {wanted}")
    }

    fn name(&self) -> TrackerName {
        TrackerName::Process(self.cfg.name.clone())
    }

    fn changed(&self, what: What, text: String, out: &mut Vec<Effect>) {
        out.push(Effect::Changed {
            tracker: self.name(),
            what,
            text,
            why: None,
        });
    }

    pub(super) fn view(&self) -> TrackerView {
        TrackerView {
            name: self.name(),
            ok: self.ok,
            since: self.since,
            detail: self.detail(),
        }
    }
}
