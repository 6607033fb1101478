//! `MISC_CHECK`: what a script's end says about the server.

use crate::health::CheckOutcome;
use crate::model::{JobEnd, JobOutcome, MiscCheck};
use std::time::Duration;

/// How much of a script's output is told.
const OUTPUT_SHOWN: usize = 120;

/// A script's end as a check's outcome.
///
/// 0 is good. With `misc_dynamic` 2–255 are good as well and give the weight code − 2. Everything else, a time-out and
/// a signal included, is a failure (as keepalived); only a script that never ran says nothing.
pub fn misc_outcome(check: &MiscCheck, outcome: &JobOutcome, took: Duration) -> CheckOutcome {
    let fail = |why: String| CheckOutcome::Fail {
        took,
        why: match first_line(&outcome.output) {
            Some(line) => format!("{why}: {line}"),
            None => why,
        },
    };
    match &outcome.end {
        JobEnd::Exited(0) => CheckOutcome::Pass { took, weight: None },
        JobEnd::Exited(code @ 2..=255) if check.dynamic => CheckOutcome::Pass {
            took,
            weight: u32::try_from(code - 2).ok(),
        },
        JobEnd::Exited(code) => fail(format!("exited with status {code}")),
        JobEnd::Signalled(signal) => fail(format!("killed by signal {signal}")),
        JobEnd::TimedOut => fail(format!("timed out after {:?}", check.timeout)),
        JobEnd::NotStarted(why) => CheckOutcome::Inconclusive { why: why.clone() },
    }
}

/// The first line a script printed, without anything a terminal would obey.
fn first_line(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(
        line.chars()
            .take(OUTPUT_SHOWN)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Script;

    fn outcome(dynamic: bool, end: JobEnd) -> CheckOutcome {
        let check = MiscCheck {
            script: Script {
                argv: vec!["/bin/check".to_owned()],
                user: None,
            },
            timeout: Duration::from_secs(3),
            dynamic,
            broken: None,
        };
        let outcome = JobOutcome {
            end,
            output: b"\n\x1b[31mno route\n".to_vec(),
        };
        misc_outcome(&check, &outcome, Duration::ZERO)
    }

    #[test]
    fn every_exit_status_means_what_keepalived_makes_of_it() {
        for code in 0..=255 {
            let plain = matches!(outcome(false, JobEnd::Exited(code)), CheckOutcome::Pass { .. });
            assert_eq!(plain, code == 0, "status {code}");
            let weight = match outcome(true, JobEnd::Exited(code)) {
                CheckOutcome::Pass { weight, .. } => Some(weight),
                CheckOutcome::Fail { .. } | CheckOutcome::Inconclusive { .. } => None,
            };
            let want = match code {
                0 => Some(None),
                1 => None,
                n => Some(Some(n as u32 - 2)),
            };
            assert_eq!(weight, want, "status {code} with misc_dynamic");
        }
    }

    #[test]
    fn a_script_that_never_ran_says_nothing_about_the_server() {
        let got = outcome(false, JobEnd::NotStarted("no such file".to_owned()));
        assert!(matches!(got, CheckOutcome::Inconclusive { .. }));
    }

    #[test]
    fn what_a_script_printed_is_told_without_control_characters() {
        let CheckOutcome::Fail { why, .. } = outcome(false, JobEnd::Signalled(9)) else {
            panic!("a signal is a failure")
        };
        assert_eq!(why, "killed by signal 9: \u{fffd}[31mno route");
    }
}
