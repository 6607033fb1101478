//! The past of one server that is looked at closely: how its checks ended, and what it carried.

use crate::app::{App, Cmd, Failure};
use lb_shared::history::{History, HistoryAsk};
use lb_shared::names::ServerId;
use lb_shared::request::{Reply, Request};
use lb_shared::state::ObjectId;
use std::time::Duration;

/// It is asked for again so often.
const EVERY: Duration = Duration::from_secs(5);
/// Between two samples.
const STEP_MS: u64 = 10_000;

/// What was asked for, and what came last.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) server: ServerId,
    ticket: u64,
    asked_at: Duration,
    pub(crate) history: Option<History>,
}

/// Asks when a server was opened, and again from time to time.
pub(crate) fn ask(app: &mut App) -> Option<Cmd> {
    let Some(ObjectId::Server(id)) = app.detail.last().map(|detail| &detail.object) else {
        app.runs = None;
        return None;
    };
    if app.stale() || app.past.is_some() || !app.watched {
        return None;
    }
    let known = app.runs.as_ref().filter(|runs| runs.server == *id);
    if known.is_some_and(|runs| app.now.saturating_sub(runs.asked_at) < EVERY) {
        return None;
    }
    let history = known.and_then(|runs| runs.history.clone());
    let server = id.clone();
    let ticket = app.ticket();
    app.runs = Some(Runs {
        server: server.clone(),
        ticket,
        asked_at: app.now,
        history,
    });
    let asked = HistoryAsk {
        objects: vec![ObjectId::Server(server)],
        since_ms: None,
        step_ms: Some(STEP_MS),
        checks: true,
    };
    Some(Cmd::Ask(ticket, Request::History(asked)))
}

/// Takes the agent's answer; says whether it was one to this.
pub(crate) fn on_answer(app: &mut App, ticket: u64, answer: &Result<Box<Reply>, Failure>) -> bool {
    let Some(runs) = app.runs.as_mut().filter(|runs| runs.ticket == ticket) else {
        return false;
    };
    // Without an answer what is known stays; the connection itself tells of its trouble.
    if let Ok(Reply::History(history)) = answer.as_deref() {
        runs.history = Some((**history).clone());
    }
    true
}
