//! `is` and `wait`: yes or no, for probes and scripts.

use crate::args::{Global, Output};
use crate::connect;
use crate::detach::{self, Detach};
use crate::look::Out;
use crate::trouble::Trouble;
use lb_shared::client::ClientError;
use lb_shared::condition::{Condition, Verdict};
use lb_shared::duration;
use lb_shared::excerpt::Excerpt;
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::view::View;
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) fn is(global: &Global, out: &mut Out, cond: &str, targets: &[String]) -> Result<(), Trouble> {
    let seen = connect::client(global)?.excerpt(&Condition::words(cond, targets))?;
    let view = View::excerpt(&seen);
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
        let seen = connect::client(global)?.excerpt(&Condition::words(cond, targets))?;
        Condition::parse(cond, targets, &View::excerpt(&seen))?
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

/// However much happens, it is not looked more often than this.
const LOOKS_APART: Duration = Duration::from_millis(50);
const GOES_ON: &str = "what was begun goes on (lbctl status)";

/// Looks, whenever something happened, until the condition holds. `changed` hears every new reason. Connects again when the agent restarts.
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
    // It hears before it looks: nothing falls between the two.
    let mut news = connect::client(global)?.listen()?;
    let mut client = connect::client(global)?;
    loop {
        let looked = Instant::now();
        let seen = match client.excerpt(&condition.ask()) {
            Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => Excerpt::default(),
            seen => seen?,
        };
        let verdict = condition.verdict(&View::excerpt(&seen));
        if verdict != *last {
            changed(&verdict);
            *last = verdict;
        }
        if last.holds {
            return Ok(true);
        }
        let mut heard = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            detach.check(GOES_ON)?;
            let rest = LOOKS_APART.saturating_sub(looked.elapsed());
            if heard && rest.is_zero() {
                break;
            }
            let patience = if heard { rest } else { detach::EVERY };
            heard |= news.next_within(left.min(patience))?.is_some();
        }
    }
}
