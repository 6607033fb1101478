//! `is` and `wait`: yes or no, for probes and scripts.

use crate::args::{Global, Output};
use crate::connect;
use crate::detach::{self, Detach};
use crate::look::Out;
use crate::trouble::Trouble;
use lb_shared::client::{ClientError, Update};
use lb_shared::condition::{Condition, Verdict};
use lb_shared::duration;
use lb_shared::request::{Refusal, RefusalCode, Snapshot};
use lb_shared::state::State;
use lb_shared::units::Mono;
use lb_shared::view::View;
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) fn is(global: &Global, out: &mut Out, cond: &str, targets: &[String]) -> Result<(), Trouble> {
    let snapshot = connect::client(global)?.snapshot()?;
    let view = View::of(&snapshot);
    let verdict = Condition::parse(cond, targets, &view)?.verdict(&view);
    if matches!(global.output, Output::Json | Output::Jsonl) {
        out.line(&json!({"v": 1, "holds": verdict.holds, "reason": verdict.reason}).to_string())?;
    } else if !global.quiet {
        let word = if verdict.holds { "yes" } else { "no" };
        out.line(&format!("{word}: {}", lb_shared::text::escape(&verdict.reason)))?;
    }
    if verdict.holds {
        Ok(())
    } else {
        Err(Trouble::Exit(1))
    }
}

pub(crate) fn wait(
    global: &Global,
    out: &mut Out,
    cond: &str,
    targets: &[String],
    timeout: &str,
) -> Result<(), Trouble> {
    let timeout = duration::parse(timeout)?;
    let condition = {
        let snapshot = connect::client(global)?.snapshot()?;
        Condition::parse(cond, targets, &View::of(&snapshot))?
    };
    let mut last = String::new();
    until(global, &condition, timeout, |verdict| {
        last.clone_from(&verdict.reason)
    })?;
    if !global.quiet {
        out.line(&format!("yes: {}", lb_shared::text::escape(&last)))?;
    }
    Ok(())
}

const GOES_ON: &str = "what was begun goes on (lbctl status)";

/// Watches until the condition holds. `changed` hears every new reason. Connects again when the agent restarts.
pub(crate) fn until(
    global: &Global,
    condition: &Condition,
    timeout: Duration,
    mut changed: impl FnMut(&Verdict),
) -> Result<(), Trouble> {
    let deadline = Instant::now() + timeout;
    let mut last = Verdict {
        holds: false,
        reason: "nothing was heard yet".into(),
    };
    let mut noted = false;
    let detach = Detach::armed();
    loop {
        detach.check(GOES_ON)?;
        match follow(global, condition, deadline, &detach, &mut last, &mut changed) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                return Err(Refusal::new(
                    RefusalCode::TimedOut,
                    format!("not yet: {}", last.reason),
                    "what was begun goes on; look with lbctl status",
                )
                .into());
            }
            Err(Trouble::Agent(ClientError::Closed | ClientError::NotRunning(_) | ClientError::Ssh(_)))
                if Instant::now() < deadline =>
            {
                if !noted {
                    eprintln!("lbctl: the connection broke; trying again until the time is over");
                    noted = true;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(trouble) => return Err(trouble),
        }
    }
}

fn follow(
    global: &Global,
    condition: &Condition,
    deadline: Instant,
    detach: &Detach,
    last: &mut Verdict,
    changed: &mut impl FnMut(&Verdict),
) -> Result<bool, Trouble> {
    let mut watch = connect::client(global)?.watch()?;
    let mut state = State::default();
    let mut now = Mono::ZERO;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        detach.check(GOES_ON)?;
        match watch.next_within(left.min(detach::EVERY))? {
            None => continue,
            Some(Update::Snapshot(snapshot)) => {
                let Snapshot {
                    state: whole,
                    now: at,
                    ..
                } = *snapshot;
                (state, now) = (whole, at);
            }
            Some(Update::Event(event)) => state.apply(&event.event),
            Some(Update::Lost { .. }) => continue,
        }
        let verdict = condition.verdict(&View::new(&state, now, 0));
        if verdict != *last {
            changed(&verdict);
            *last = verdict;
        }
        if last.holds {
            return Ok(true);
        }
    }
}
