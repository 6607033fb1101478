//! The last runs of a server's checks, for those who look.

use super::job::CheckOutcome;
use lb_shared::history::{CheckEnd, CheckRun};
use lb_shared::units::Mono;
use std::collections::VecDeque;

/// Runs remembered of all servers together; each has at least [`KEPT_MIN`] and at most [`KEPT_MAX`].
const KEPT_IN_ALL: usize = 800_000;
pub(super) const KEPT_MIN: usize = 16;
pub(super) const KEPT_MAX: usize = 300;
/// Failures of which the reason is remembered, too.
const REASONS: usize = 16;

/// How many runs each of so many servers may remember.
pub(super) fn kept(servers: usize) -> usize {
    (KEPT_IN_ALL / servers.max(1)).clamp(KEPT_MIN, KEPT_MAX)
}

/// Runs of one server's checks, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    runs: VecDeque<Run>,
    /// By when and of which check: two may end at the same moment.
    reasons: VecDeque<((Mono, u16), Box<str>)>,
}

/// Small, since there are many.
#[derive(Clone, Copy, Debug)]
struct Run {
    at: Mono,
    took_us: u32,
    check: u16,
    ended: CheckEnd,
}

/// What one run costs in memory.
#[cfg(test)]
pub(super) const RUN_BYTES: usize = size_of::<Run>();

impl Runs {
    /// Remembers a run; forgets the oldest beyond `kept`.
    pub(super) fn add(&mut self, at: Mono, check: usize, outcome: &CheckOutcome, kept: usize) {
        let (ended, why) = match outcome {
            CheckOutcome::Pass { .. } => (CheckEnd::Passed, None),
            CheckOutcome::Fail { why, .. } => (CheckEnd::Failed, Some(why)),
            CheckOutcome::Inconclusive { why } => (CheckEnd::Inconclusive, Some(why)),
        };
        while self.runs.len() >= kept {
            self.runs.pop_front();
        }
        let number = u16::try_from(check).unwrap_or(u16::MAX);
        let took = outcome.took().unwrap_or_default();
        self.runs.push_back(Run {
            at,
            took_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            check: number,
            ended,
        });
        if let Some(why) = why {
            if self.reasons.len() == REASONS {
                self.reasons.pop_front();
            }
            self.reasons.push_back(((at, number), why.as_str().into()));
        }
    }

    pub(super) fn list(&self) -> Vec<CheckRun> {
        self.runs
            .iter()
            .map(|run| CheckRun {
                at: run.at,
                check: run.check.into(),
                ended: run.ended,
                took_us: run.took_us.into(),
                why: match run.ended {
                    CheckEnd::Passed => String::new(),
                    CheckEnd::Failed | CheckEnd::Inconclusive => self
                        .reasons
                        .iter()
                        .find(|(of, _)| *of == (run.at, run.check))
                        .map_or_else(String::new, |(_, why)| why.to_string()),
                },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_last_runs_are_kept_with_the_reasons_of_the_last_failures() {
        let mut runs = Runs::default();
        let took = Duration::from_millis(2);
        for n in 0..40 {
            let outcome = if n % 2 == 0 {
                CheckOutcome::Pass { took, weight: None }
            } else {
                CheckOutcome::Fail {
                    took,
                    why: format!("status {n}"),
                }
            };
            runs.add(Mono(n), 0, &outcome, 36);
        }
        let list = runs.list();
        assert_eq!((list.len(), list[0].at, list[35].at), (36, Mono(4), Mono(39)));
        assert_eq!(list[35].why, "status 39");
        assert_eq!((list[34].ended, list[34].why.as_str()), (CheckEnd::Passed, ""));
        assert_eq!((list[1].ended, list[1].why.as_str()), (CheckEnd::Failed, ""));
        assert!(list.iter().all(|run| run.took_us == 2_000));
    }

    #[test]
    fn two_checks_that_fail_at_the_same_moment_have_their_own_reasons() {
        let mut runs = Runs::default();
        for check in 0..2 {
            let outcome = CheckOutcome::Fail {
                took: Duration::ZERO,
                why: format!("reason {check}"),
            };
            runs.add(Mono(7), check, &outcome, 36);
        }
        let reasons: Vec<String> = runs.list().into_iter().map(|run| run.why).collect();
        assert_eq!(reasons, ["reason 0", "reason 1"]);
    }

    #[test]
    fn many_servers_remember_less_each() {
        assert_eq!(
            [1, 2_000, 10_000, 50_000, 200_000].map(kept),
            [300, 300, 80, 16, 16]
        );
        assert!(RUN_BYTES * kept(50_000) * 50_000 <= 13 << 20);
    }
}
