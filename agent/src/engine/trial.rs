//! `test`: the checks of some servers once, for whoever asked, beside the ones that decide.

use super::Engine;
use super::action::Ticket;
use crate::health::{self, CheckId, CheckOutcome};
use lb_shared::request::{Refusal, RefusalCode, Reply};
use lb_shared::trial::{SERVERS_MAX, TestAsk, TestEnd, Tested, TestedServer};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most runs under way for tests: every one is a connection or a process.
const RUNS_MAX: usize = 200;
/// How long a test may take; what has not ended by then is told as such. Clients wait a little longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tests under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Trials {
    next: u64,
    open: BTreeMap<u64, Open>,
    /// Which test a run belongs to, and which of its servers and checks it is.
    runs: BTreeMap<CheckId, (u64, usize, usize)>,
}

#[derive(Clone, Debug)]
struct Open {
    ticket: Ticket,
    until: Mono,
    left: usize,
    tested: Tested,
}

impl Trials {
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.open.values().map(|it| it.until).min()
    }
}

impl Engine {
    pub(super) fn on_test(&mut self, ticket: Ticket, asked: &TestAsk) {
        if let Err(refusal) = self.begin_test(ticket, asked) {
            self.answer(Some(ticket), Reply::Refused(refusal));
        }
    }

    fn begin_test(&mut self, ticket: Ticket, asked: &TestAsk) -> Result<(), Refusal> {
        let busy = |message: String, hint: &str| Refusal::new(RefusalCode::Busy, message, hint);
        if self.boot.is_some() || self.stopping.is_some() {
            return Err(busy(
                "the agent is starting or stopping".to_owned(),
                "try again in a moment",
            ));
        }
        if asked.servers.is_empty() || asked.servers.len() > SERVERS_MAX {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                format!(
                    "a test is of 1 to {SERVERS_MAX} servers, not {}",
                    asked.servers.len()
                ),
                "name fewer of them",
            ));
        }
        let mut servers = Vec::new();
        let mut runs = Vec::new();
        for id in &asked.servers {
            let trials = self.health.trials(id).ok_or_else(|| {
                Refusal::new(
                    RefusalCode::NotFound,
                    format!("{id} is not in the configuration"),
                    "lbctl servers lists what there is",
                )
            })?;
            let mut checks = Vec::new();
            for (report, run) in trials {
                runs.extend(run.map(|run| (run, servers.len(), checks.len())));
                checks.push(report);
            }
            let server = id.clone();
            servers.push(TestedServer { server, checks });
        }
        if self.trials.runs.len() + runs.len() > RUNS_MAX {
            return Err(busy(
                format!("{} checks run for tests already", self.trials.runs.len()),
                "try again when they have ended, or name fewer servers",
            ));
        }
        let tested = Tested {
            dry_run: asked.dry_run,
            servers,
        };
        if asked.dry_run || runs.is_empty() {
            self.answer(Some(ticket), Reply::Tested(tested));
            return Ok(());
        }
        self.trials.next += 1;
        let number = self.trials.next;
        self.trials.open.insert(
            number,
            Open {
                ticket,
                until: self.now + PATIENCE,
                left: runs.len(),
                tested,
            },
        );
        let mut effects = Vec::new();
        for ((id, job), server, check) in runs {
            self.trials.runs.insert(id, (number, server, check));
            effects.push(health::Effect::Check { id, job });
        }
        self.on_health_effects(effects);
        Ok(())
    }

    /// A run has ended: one of a test, or one that decides.
    pub(super) fn on_checked(&mut self, id: CheckId, outcome: &CheckOutcome) {
        if let Some((number, server, check)) = self.trials.runs.remove(&id) {
            return self.on_tested(number, (server, check), outcome);
        }
        let mut effects = Vec::new();
        self.health.on_checked(self.now, id, outcome, &mut effects);
        self.on_health_effects(effects);
    }

    fn on_tested(&mut self, number: u64, (server, check): (usize, usize), outcome: &CheckOutcome) {
        let Some(open) = self.trials.open.get_mut(&number) else {
            return;
        };
        let report = open.tested.servers.get_mut(server);
        if let Some(report) = report.and_then(|it| it.checks.get_mut(check)) {
            health::ended(report, outcome);
        }
        open.left = open.left.saturating_sub(1);
        if open.left == 0 {
            self.end_test(number);
        }
    }

    /// Answers tests that take too long with what they found so far.
    pub(super) fn expire_tests(&mut self) {
        let now = self.now;
        let over = self.trials.open.iter().filter(|(_, it)| it.until <= now);
        for number in over.map(|(number, _)| *number).collect::<Vec<_>>() {
            let runs = self.trials.runs.iter().filter(|(_, run)| run.0 == number);
            let runs: Vec<CheckId> = runs.map(|(id, _)| *id).collect();
            for id in runs {
                self.trials.runs.remove(&id);
                self.on_health_effects(vec![health::Effect::Cancel(id)]);
            }
            self.end_test(number);
        }
    }

    fn end_test(&mut self, number: u64) {
        let Some(mut open) = self.trials.open.remove(&number) else {
            return;
        };
        for check in open.tested.servers.iter_mut().flat_map(|it| &mut it.checks) {
            if check.end == TestEnd::WouldRun {
                check.end = TestEnd::Inconclusive;
                check.detail = format!("has not ended within {}s", PATIENCE.as_secs());
            }
        }
        self.answer(Some(open.ticket), Reply::Tested(open.tested));
    }
}
