//! One server's standing from its several checks, its configured weight and what operators want.

use super::effect::Effect;
use super::intent::{Drain, Intent, Ramp};
use super::probe::{Judged, Probe};
use super::runs::Runs;
use super::service::only_inactive;
use super::settle::Note;
use crate::model::{Script, Server};
use lb_shared::event::What;
use lb_shared::names::ServerId;
use lb_shared::state::{Health, OverrideKind, WeightSource};
use lb_shared::units::{Mono, Weight};
use std::sync::Arc;
use std::time::Duration;

/// A server of a service.
#[derive(Clone, Debug)]
pub(super) struct ServerState {
    pub(super) id: ServerId,
    pub(super) config: Arc<Server>,
    pub(super) probes: Vec<Probe>,
    /// Every check counts as good.
    pub(super) up: bool,
    pub(super) since: Mono,
    pub(super) intent: Intent,
    /// What was last announced as its weight in the table.
    pub(super) effective: Option<Weight>,
    /// What its service counts it as.
    pub(super) counted: u64,
    pub(super) last_check: Option<(Mono, Duration)>,
    pub(super) runs: Runs,
}

impl ServerState {
    /// What its checks say. Without a result yet, a server that is not held back by `alpha` is `Init` and counts as up.
    pub(super) fn health(&self) -> Health {
        if self.probes.is_empty() {
            Health::None
        } else if self.probes.iter().any(|probe| probe.ok == Some(false)) {
            Health::Down
        } else if self.up && self.probes.iter().any(|probe| probe.ok == Some(true)) {
            Health::Up
        } else {
            Health::Init
        }
    }

    /// What decided that it is down; empty otherwise.
    pub(super) fn reason(&self) -> &str {
        self.probes
            .iter()
            .find(|probe| probe.ok == Some(false))
            .map_or("", |probe| &probe.detail)
    }

    pub(super) fn all_good(&self) -> bool {
        self.probes.iter().all(|probe| probe.up)
    }

    /// The weight while it is up and nothing holds it back: always computed from the inputs as they are now.
    ///
    /// Checks that give a weight count as differences from the configured one, so that several add up.
    pub(super) fn weight(&self) -> (Weight, WeightSource) {
        match &self.intent {
            Intent::Drain(_) | Intent::Disable { .. } => (Weight::ZERO, WeightSource::Operator),
            Intent::Weight { weight, .. } => (*weight, WeightSource::Operator),
            Intent::Ramp(ramp) => (ramp.of(self.whole_weight().0), WeightSource::Operator),
            Intent::None => self.whole_weight(),
        }
    }

    /// The weight when no operator holds it.
    fn whole_weight(&self) -> (Weight, WeightSource) {
        let configured = i64::from(self.config.weight.get());
        let given = || self.probes.iter().filter_map(|probe| probe.weight);
        if given().next().is_none() {
            return (self.config.weight, WeightSource::Config);
        }
        let sum: i64 = given().map(|given| given.difference(configured)).sum();
        (Weight::clamped(configured + sum), WeightSource::Dynamic)
    }

    /// What it adds to its service's live weight.
    pub(super) fn live_weight(&self) -> u64 {
        if self.up {
            u64::from(self.weight().0.get())
        } else {
            0
        }
    }

    /// Its weight in the table and where that comes from; `None` while it is not there.
    ///
    /// `served_by_sorry`: the sorry server answers, so that the others leave.
    pub(super) fn placed(&self, served_by_sorry: bool) -> Option<(Weight, WeightSource)> {
        let inhibit = self
            .config
            .inhibit_on_failure
            .then_some((Weight::ZERO, WeightSource::Inhibit));
        match &self.intent {
            Intent::Disable { .. } => None,
            Intent::Drain(drain) => {
                (drain.held || self.up && !served_by_sorry || inhibit.is_some()).then_some(self.weight())
            }
            Intent::None | Intent::Weight { .. } | Intent::Ramp(_) if self.up && !served_by_sorry => {
                Some(self.weight())
            }
            Intent::None | Intent::Weight { .. } | Intent::Ramp(_) => inhibit,
        }
    }

    /// One of its checks changed its verdict: what that makes of the server, in words and scripts.
    pub(super) fn on_verdict(
        &mut self,
        now: Mono,
        keyword: &str,
        before: Health,
        judged: &Judged,
        out: &mut Vec<Effect>,
    ) -> Note {
        let was_up = self.up;
        self.up = self.all_good();
        let after = self.health();
        let why = match judged {
            Judged::Bad(why) | Judged::Noted(why) | Judged::Alarm(why) => format!("{keyword}: {why}"),
            Judged::Good | Judged::Same | Judged::Resumed => format!("{keyword} succeeded"),
        };
        let what = match (was_up, self.up) {
            (true, false) => What::ServerDown,
            (false, true) => What::ServerUp,
            (false, false) if after == Health::Down && before != Health::Down => What::ServerDown,
            // Nothing changes for traffic, but now we know.
            (true, true) | (false, false) => What::ServerChanged,
        };
        let text = if before == after {
            format!("{} still", word(after))
        } else {
            self.since = now;
            format!("{} -> {}", word(before), word(after))
        };
        if was_up != self.up {
            self.notify(self.up, out);
        }
        (what, text, Some(why))
    }

    /// Runs `notify_up` or `notify_down`.
    pub(super) fn notify(&self, up: bool, out: &mut Vec<Effect>) {
        let scripts = &self.config.scripts;
        let script = if up { &scripts.up } else { &scripts.down };
        if let Some(script) = script {
            out.push(run(script, self.id.to_string()));
        }
    }

    /// Makes the intent what the override says; the event to announce if that changed anything.
    pub(super) fn on_override(
        &mut self,
        now: Mono,
        wanted: Option<(OverrideKind, Option<Mono>)>,
    ) -> Option<Note> {
        let held = self.effective.is_some();
        let next = match (wanted, &self.intent) {
            (Some((OverrideKind::Drain { then, inactive }, deadline)), Intent::Drain(drain)) => {
                let renewed = deadline != drain.deadline;
                Intent::Drain(Drain {
                    then,
                    inactive: inactive || only_inactive(&self.id.service),
                    deadline,
                    deadline_passed: drain.deadline_passed && !renewed,
                    ..drain.clone()
                })
            }
            (Some((OverrideKind::Drain { then, inactive }, deadline)), _) => {
                let inactive = inactive || only_inactive(&self.id.service);
                Intent::Drain(Drain::new(now, (then, inactive), deadline, held))
            }
            (Some((OverrideKind::Disable, until)), _) => Intent::Disable { until },
            (Some((OverrideKind::Weight(weight), until)), _) => Intent::Weight { weight, until },
            (Some((OverrideKind::Ramp { over_ms }, Some(until))), _) => {
                Intent::Ramp(Ramp::new(now, Duration::from_millis(over_ms), until))
            }
            (Some((OverrideKind::Pin(_) | OverrideKind::Ramp { .. }, _)) | None, _) => Intent::None,
        };
        let old = std::mem::replace(&mut self.intent, next);
        if old == self.intent {
            return None;
        }
        Some(match (&self.intent, &old) {
            (Intent::Drain(_), Intent::Drain(_)) => {
                (What::ServerChanged, "drain has another end".to_owned(), None)
            }
            (Intent::Drain(_), _) => {
                let text = match self.effective {
                    Some(weight) => format!("draining, weight {weight} -> 0"),
                    None => "draining, was not in the table".to_owned(),
                };
                (What::DrainStarted, text, None)
            }
            (Intent::Disable { .. }, _) => (What::ServerChanged, "disabled".to_owned(), None),
            (Intent::Weight { weight, .. }, _) => (
                What::WeightChanged,
                format!("weight {weight} by an operator"),
                None,
            ),
            (Intent::None, Intent::Drain(_)) => (What::ServerChanged, "undrained".to_owned(), None),
            (Intent::None, Intent::Disable { .. }) => (What::ServerChanged, "enabled".to_owned(), None),
            (Intent::Ramp(_), _) => (
                What::ServerChanged,
                format!("back, weight {} of {}", self.weight().0, self.whole_weight().0),
                None,
            ),
            (Intent::None, Intent::Ramp(_)) => (What::WeightChanged, "the whole weight".to_owned(), None),
            (Intent::None, Intent::Weight { .. } | Intent::None) => (
                What::WeightChanged,
                "weight from the configuration again".to_owned(),
                None,
            ),
        })
    }
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Init => "INIT",
        Health::Up | Health::None => "UP",
        Health::Down => "DOWN",
    }
}

/// A notify script without further arguments, as keepalived runs those of servers and services.
pub(super) fn run(script: &Script, lane: String) -> Effect {
    Effect::Run {
        script: script.clone(),
        args: Vec::new(),
        lane,
    }
}
