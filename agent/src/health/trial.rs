//! Checks run once at an operator's word: what they find changes no verdict, no retry and no schedule.

use super::Health;
use super::job::{CheckId, CheckJob, CheckOutcome};
use super::probe::Probe;
use super::view;
use crate::model::CheckKind;
use lb_shared::names::ServerId;
use lb_shared::trial::{TestEnd, TestedCheck};

/// A check to be reported, and the run it needs for that.
pub(crate) type Trial = (TestedCheck, Option<(CheckId, Box<CheckJob>)>);

impl Health {
    /// All checks of a server as runs of their own. Their outcomes are for whoever asked: [`Health::on_checked`] does not
    /// know them.
    pub(crate) fn trials(&mut self, id: &ServerId) -> Option<Vec<Trial>> {
        let server = self.servers.get(&self.number(id)?)?;
        let planned: Vec<_> = server.probes.iter().flat_map(plan).collect();
        let mut trials = Vec::new();
        for (report, job) in planned {
            let run = job.map(|job| {
                let id = CheckId(self.next_number);
                self.next_number += 1;
                (id, Box::new(job))
            });
            trials.push((report, run));
        }
        Some(trials)
    }
}

/// What a check would be run as: one with several URLs asks for each of them.
fn plan(probe: &Probe) -> Vec<(TestedCheck, Option<CheckJob>)> {
    let kind = &probe.check.kind;
    let report = |target: String, end, detail: &str| TestedCheck {
        kind: kind.keyword().to_owned(),
        target,
        end,
        took_us: None,
        detail: detail.to_owned(),
        weight: None,
    };
    let run = |target: String, url| {
        let kind = kind.clone();
        (
            report(target, TestEnd::WouldRun, ""),
            Some(CheckJob { kind, url }),
        )
    };
    match kind {
        CheckKind::Http(http) if http.urls.len() > 1 => {
            let urls = http.urls.iter().enumerate();
            urls.map(|(url, it)| run(format!("{} {}", http.connect.to, it.path), url))
                .collect()
        }
        CheckKind::Misc(misc) if let Some(why) = &misc.broken => {
            vec![(report(view::target(kind), TestEnd::Inconclusive, why), None)]
        }
        _ if probe.is_run() => vec![run(view::target(kind), 0)],
        _ => {
            let detail = match probe.ok {
                None => "has not spoken yet",
                Some(true) => "is good",
                Some(false) => &probe.detail,
            };
            vec![(report(view::target(kind), TestEnd::NotRun, detail), None)]
        }
    }
}

/// Writes down how a run ended.
pub fn ended(report: &mut TestedCheck, outcome: &CheckOutcome) {
    report.took_us = outcome
        .took()
        .map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    (report.end, report.detail, report.weight) = match outcome {
        CheckOutcome::Pass { weight, .. } => (TestEnd::Passed, String::new(), *weight),
        CheckOutcome::Fail { why, .. } => (TestEnd::Failed, why.clone(), None),
        CheckOutcome::Inconclusive { why } => (TestEnd::Inconclusive, why.clone(), None),
    };
}
