//! Checks of servers run once, at a key: nothing is changed, and how they ended is shown.

use crate::app::{App, Cmd, Failure};
use crossterm::event::{KeyCode, KeyEvent};
use lb_shared::names::ServerId;
use lb_shared::request::{Reply, Request};
use lb_shared::state::{ObjectId, Target};
use lb_shared::text::count;
use lb_shared::trial::{SERVERS_MAX, TestAsk, Tested};

/// A test that runs, or how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    ticket: u64,
    pub(crate) servers: usize,
    pub(crate) end: Option<Result<Tested, Failure>>,
    pub(crate) scroll: usize,
}

/// Tests the marked servers, or the one under the cursor.
pub(crate) fn begin(app: &mut App) -> Vec<Cmd> {
    if let Some(reason) = app.hands_off() {
        app.tell(format!("read only: {reason}"));
        return Vec::new();
    }
    let mut servers: Vec<ServerId> = app
        .marked()
        .into_iter()
        .filter_map(|target| match target {
            Target::Server(id) => Some(id),
            Target::Instance(_) => None,
        })
        .collect();
    if servers.is_empty() || !app.detail.is_empty() {
        servers = match app.subject() {
            Some(ObjectId::Server(id)) => vec![id],
            _ => {
                app.tell("a test takes a server: 3 shows them");
                return Vec::new();
            }
        };
    }
    if servers.len() > SERVERS_MAX {
        app.tell(format!("at most {SERVERS_MAX} servers are tested at once"));
        return Vec::new();
    }
    let ticket = app.ticket();
    app.trial = Some(Trial {
        ticket,
        servers: servers.len(),
        end: None,
        scroll: 0,
    });
    let dry_run = false;
    vec![Cmd::Ask(ticket, Request::Test(TestAsk { servers, dry_run }))]
}

/// Takes the agent's answer; says whether it was one to a test.
pub(crate) fn on_answer(app: &mut App, ticket: u64, answer: &Result<Box<Reply>, Failure>) -> bool {
    let Some(trial) = app.trial.as_mut().filter(|trial| trial.ticket == ticket) else {
        return false;
    };
    trial.end = Some(match answer.as_deref() {
        Ok(Reply::Tested(tested)) => Ok(tested.clone()),
        Ok(Reply::Refused(refusal)) => Err(Failure {
            message: refusal.message.clone(),
            hint: refusal.hint.clone(),
        }),
        Ok(_) => Err(Failure {
            message: "the agent answered something else than was asked".into(),
            hint: "use the lbtui installed with the agent".into(),
        }),
        Err(failure) => Err(failure.clone()),
    });
    true
}

/// A key while it is shown.
pub(crate) fn on_key(app: &mut App, event: &KeyEvent) -> Vec<Cmd> {
    let Some(trial) = &mut app.trial else {
        return Vec::new();
    };
    match event.code {
        KeyCode::Down | KeyCode::Char('j') => trial.scroll += 1,
        KeyCode::Up | KeyCode::Char('k') => trial.scroll = trial.scroll.saturating_sub(1),
        // Once more.
        KeyCode::Char('t') if trial.end.is_some() => return begin(app),
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | 'c') => app.trial = None,
        _ => {}
    }
    Vec::new()
}

/// `Test of 2 servers`.
pub(crate) fn title(trial: &Trial) -> String {
    format!("Test of {}", count(trial.servers, "server"))
}
