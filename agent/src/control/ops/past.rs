//! Looking back: `history`, and the moment that `at` names in the ops that read.

use super::super::hub::Seen;
use super::super::session::Session;
use super::Call;
use lb_shared::counters::Counters;
use lb_shared::duration;
use lb_shared::history::{HistoryAsk, SERIES};
use lb_shared::request::{Refusal, RefusalCode, Reply, Request};
use lb_shared::select;
use lb_shared::state::ObjectId;
use lb_shared::text::escape;
use lb_shared::view::{View, parse_rfc3339};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// `{"op":"history","targets":["web"],"series":["active"],"since":"5m","step":"10s"}`.
pub(super) async fn history(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let series = call.texts("series")?;
    if let Some(unknown) = series.iter().find(|name| !SERIES.contains(&name.as_str())) {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            format!("there is no series '{}'", escape(unknown)),
            format!("series are {}", SERIES.join(" ")),
        ));
    }
    let targets = call.texts("targets")?;
    let seen = session.doors.hub.seen();
    let view = View::new(&seen.state, seen.now, seen.wall_ms);
    let objects = if targets.is_empty() {
        Vec::new()
    } else {
        select::objects(&view, &targets)?
    };
    // The ends of checks are there for servers that were named; of all of them they would be too much.
    let asked = HistoryAsk {
        checks: objects.iter().any(|id| matches!(id, ObjectId::Server(_))),
        objects,
        since_ms: call.span("since")?.map(ms),
        step_ms: call.span("step")?.map(ms),
    };
    match session.answer(Request::History(asked)).await {
        Reply::History(history) => Ok(history.json(&view, &series)),
        Reply::Refused(refusal) => Err(refusal),
        _ => Err(Refusal::new(
            RefusalCode::Internal,
            "the agent answered something else",
            "",
        )),
    }
}

/// The moment that `at` names, in Unix time in milliseconds; `None`: now.
pub(super) fn at(session: &Session, call: &Call) -> Result<Option<u64>, Refusal> {
    call.text("at")?
        .map(|text| moment(text, session.doors.hub.seen().wall_ms))
        .transpose()
}

/// What the ops that read look at: the present, or the moment `at` names.
pub(super) async fn look(session: &Session, call: &Call) -> Result<(Seen, Option<Arc<Counters>>), Refusal> {
    match at(session, call)? {
        None => {
            // Lists are worth having without numbers, as while the engine is busy.
            let counters = session.doors.engine.counters_soon().await.ok();
            Ok((session.doors.hub.seen(), counters))
        }
        Some(wall_ms) => {
            let (seen, counters) = session.doors.past(wall_ms)?;
            Ok((seen, counters.map(Arc::new)))
        }
    }
}

/// A span before now such as `5m`, or a moment as RFC 3339.
pub(super) fn moment(text: &str, now_ms: u64) -> Result<u64, Refusal> {
    if let Ok(span) = duration::parse(text) {
        return Ok(now_ms.saturating_sub(ms(span)));
    }
    parse_rfc3339(text).ok_or_else(|| {
        Refusal::new(
            RefusalCode::BadDuration,
            format!("'{}' is neither a span nor a moment", escape(text)),
            "write how long ago, such as \"5m\", or a time such as \"2026-11-20T09:07:29Z\"",
        )
    })
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_or_a_time() {
        let now = 1_795_855_049_949;
        assert_eq!(moment("5m", now), Ok(now - 300_000));
        assert_eq!(
            moment("2026-11-28T09:17:29.949Z", now).map(|at| at / 1_000),
            Ok(1_795_857_449)
        );
        for text in ["", "yesterday", "5", "2026-11-28"] {
            assert_eq!(
                moment(text, now).unwrap_err().code,
                RefusalCode::BadDuration,
                "{text}"
            );
        }
    }
}
