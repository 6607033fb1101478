//! Questions with a yes or no, and waiting for the yes.

use super::hub::Seen;
use super::ops::Call;
use super::session::Session;
use lb_shared::condition::{Condition, Verdict};
use lb_shared::request::{Act, Refusal, RefusalCode, Verb};
use lb_shared::view::View;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// How long `wait` waits when nothing is said, and a promote or demote with `"wait":true`.
const WAIT: Duration = Duration::from_secs(10);

/// `is` and `wait`.
pub(super) async fn answer(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let cond = call.text("cond")?.unwrap_or_default();
    let targets = call.texts("targets")?;
    let condition = {
        let seen = session.doors.hub.seen();
        Condition::parse(cond, &targets, &view(&seen))?
    };
    let verdict = if call.op == "is" {
        let seen = session.doors.hub.seen();
        condition.verdict(&view(&seen))
    } else {
        until(session, &condition, call.span("timeout")?.unwrap_or(WAIT)).await?
    };
    Ok(json!({"cond": cond, "holds": verdict.holds, "reason": verdict.reason}))
}

/// Waits for what an act leads to: drained, the role wanted, out of or back in rotation.
pub(super) async fn for_act(session: &Session, act: &Act, limit: Option<Duration>) -> Result<Value, Refusal> {
    let Some(condition) = Condition::after(act) else {
        return Ok(json!({"holds": true, "reason": ""}));
    };
    let limit = limit.unwrap_or(match act.verb {
        Verb::Drain { timeout_ms, .. } => {
            // A little longer than the drain itself: its deadline is an end, too.
            timeout_ms.map_or(Duration::MAX, |ms| {
                Duration::from_millis(ms) + Duration::from_secs(5)
            })
        }
        Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_) | Verb::Undo => WAIT,
        Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release => WAIT,
    });
    let verdict = until(session, &condition, limit).await?;
    Ok(json!({"holds": verdict.holds, "reason": verdict.reason}))
}

/// Looks again after every event until the condition holds.
async fn until(session: &Session, condition: &Condition, limit: Duration) -> Result<Verdict, Refusal> {
    let deadline = Instant::now().checked_add(limit);
    loop {
        let mut subscription = session.doors.hub.subscribe(None);
        let mut verdict = condition.verdict(&view(&subscription.seen));
        subscription.seen.state = std::sync::Arc::default();
        loop {
            if verdict.holds {
                return Ok(verdict);
            }
            let news = match deadline {
                None => subscription.news.recv().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, subscription.news.recv()).await {
                    Ok(news) => news,
                    Err(_) => {
                        return Err(Refusal::new(
                            RefusalCode::TimedOut,
                            format!("not yet: {}", verdict.reason),
                            "what was begun goes on; wait again or look at status",
                        ));
                    }
                },
            };
            match news {
                Ok(_) => {
                    let seen = session.doors.hub.seen();
                    verdict = condition.verdict(&view(&seen));
                }
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => {
                    return Err(Refusal::new(RefusalCode::Internal, "the agent is stopping", ""));
                }
            }
        }
    }
}

fn view(seen: &Seen) -> View<'_> {
    View::new(&seen.state, seen.now, seen.wall_ms)
}
