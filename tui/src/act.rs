//! Changes: from a key or a command to the question, the agent's answer and the deed.

use crate::app::{App, Cmd, Failure, Prompt};
use crate::dialog::{Dialog, Kind, Options, Step, Verdict};
use crate::keys::{Action, Screen};
use lb_shared::problems;
use lb_shared::request::{Outcome, Refusal, Reply};
use lb_shared::state::{ObjectId, State, Target};
use lb_shared::text::{count, escape};

/// Opens the question an acting key asks.
pub(crate) fn begin(app: &mut App, action: Action) -> Vec<Cmd> {
    let kind = match action {
        Action::Drain => Kind::Drain,
        Action::Undrain => Kind::Undrain,
        Action::Weight => Kind::Weight,
        Action::Disable => Kind::Disable,
        Action::Promote => Kind::Promote,
        Action::Demote => Kind::Demote,
        Action::Release => Kind::Release,
        Action::Reload => return ask(app, Kind::Reload, Vec::new(), Options::default()),
        _ => return Vec::new(),
    };
    let marked = app.marked();
    if !kind.takes_instances() && app.detail.is_empty() && !marked.is_empty() {
        return ask(app, kind, marked, Options::default());
    }
    match (app.subject(), kind.takes_instances()) {
        (Some(ObjectId::Server(id)), false) => ask(app, kind, vec![Target::Server(id)], Options::default()),
        (Some(ObjectId::Instance(name)), true) => {
            ask(app, kind, vec![Target::Instance(name)], Options::default())
        }
        (Some(ObjectId::Service(_)), false) if app.screen == Screen::Services => {
            app.tell(format!("{} takes a server: Tab goes to them", kind.word()));
            Vec::new()
        }
        (_, false) => {
            app.tell(format!("{} takes a server: 3 shows them", kind.word()));
            Vec::new()
        }
        (_, true) => {
            app.tell(format!("{} takes an instance: 5 shows them", kind.word()));
            Vec::new()
        }
    }
}

/// Opens the question, and has the agent try it.
pub(crate) fn ask(app: &mut App, kind: Kind, targets: Vec<Target>, options: Options) -> Vec<Cmd> {
    if let Some(reason) = app.hands_off() {
        app.tell(format!("read only: {reason}"));
        return Vec::new();
    }
    let Some(data) = &app.data else {
        return Vec::new();
    };
    let view = data.view(app.shown_at());
    let grave = options.force || options.cut || matches!(kind, Kind::Promote | Kind::Demote);
    let proof = grave.then(|| match targets.as_slice() {
        [] => data.state.agent.host.clone(),
        [Target::Instance(name)] => name.0.clone(),
        [Target::Server(id)] => view.service_name(&id.service),
        several => several.len().to_string(),
    });
    let seen = targets
        .iter()
        .map(|target| (target.clone(), word(&data.state, target)))
        .collect();
    let mut dialog = Dialog::new(kind, targets, proof, options, app.now);
    dialog.seen = seen;
    app.dialog = Some(dialog);
    try_it(app)
}

fn word(state: &State, target: &Target) -> &'static str {
    match target {
        Target::Server(id) => state.servers.get(id).map_or("gone", |server| server.word()),
        Target::Instance(name) => state.instances.get(name).map_or("gone", problems::instance_word),
    }
}

/// Asks the agent what the change would do.
fn try_it(app: &mut App) -> Vec<Cmd> {
    let ticket = app.ticket();
    let Some(dialog) = &mut app.dialog else {
        return Vec::new();
    };
    // Answers to earlier questions are no longer wanted.
    dialog.ticket = ticket;
    match dialog.request(true) {
        Ok(request) => {
            dialog.verdict = Verdict::Asking;
            vec![Cmd::Ask(ticket, request)]
        }
        Err(wrong) => {
            dialog.verdict = Verdict::Unasked(wrong);
            Vec::new()
        }
    }
}

/// Carries on after a key in a dialog.
pub(crate) fn on_step(app: &mut App, step: Step) -> Vec<Cmd> {
    match step {
        Step::Stay => Vec::new(),
        Step::Ask => try_it(app),
        Step::Close => {
            if app
                .dialog
                .take()
                .is_some_and(|dialog| dialog.verdict == Verdict::Doing)
            {
                app.tell("not waiting any longer; the agent carries on");
            }
            Vec::new()
        }
        Step::Command => {
            app.dialog = None;
            app.prompt = Prompt::Command {
                text: String::new(),
                error: String::new(),
            };
            Vec::new()
        }
        Step::Act => do_it(app),
    }
}

fn do_it(app: &mut App) -> Vec<Cmd> {
    if let Some(reason) = app.hands_off() {
        app.dialog = None;
        app.tell(format!("nothing was done: {reason}"));
        return Vec::new();
    }
    let ticket = app.ticket();
    let now = app.now;
    let wall_ms = app.data.as_ref().map_or(0, |data| data.clock(now).1);
    let Some(dialog) = &mut app.dialog else {
        return Vec::new();
    };
    dialog.key = format!("lbtui-{wall_ms}-{ticket}");
    match dialog.request(false) {
        Ok(request) => {
            dialog.ticket = ticket;
            dialog.verdict = Verdict::Doing;
            vec![Cmd::Ask(ticket, request)]
        }
        Err(wrong) => {
            dialog.verdict = Verdict::Unasked(wrong);
            Vec::new()
        }
    }
}

/// Takes the agent's answer to a dry run or a deed.
pub(crate) fn on_answer(app: &mut App, ticket: u64, answer: Result<Box<Reply>, Failure>) {
    let Some(dialog) = app.dialog.as_mut().filter(|dialog| dialog.ticket == ticket) else {
        return;
    };
    let doing = dialog.verdict == Verdict::Doing;
    let kind = dialog.kind;
    match answer {
        Err(failure) => {
            let message = if doing {
                format!("{}; it may have been done nevertheless", failure.message)
            } else {
                failure.message
            };
            dialog.verdict = Verdict::Failed {
                message,
                hint: failure.hint,
            };
        }
        Ok(reply) => match (*reply, doing) {
            (Reply::Acted(acted), true) => {
                let failed = acted.targets.iter().find_map(|report| match &report.outcome {
                    Outcome::Failed(reason) => Some(reason.clone()),
                    Outcome::Done | Outcome::Skipped(_) => None,
                });
                let done = acted
                    .targets
                    .iter()
                    .filter(|report| report.outcome == Outcome::Done)
                    .count();
                match failed {
                    Some(reason) => {
                        let message = format!("the kernel refused: {}", escape(&reason));
                        let hint = "the wish is stored and tried again; the overview lists it";
                        let code = lb_shared::request::RefusalCode::Ipvs;
                        dialog.verdict = Verdict::Refused(Refusal::new(code, message, hint));
                    }
                    None => {
                        app.dialog = None;
                        app.members.marks.clear();
                        app.servers.marks.clear();
                        let what = if kind.takes_instances() {
                            "instance"
                        } else {
                            "server"
                        };
                        app.tell(format!("{} {}: done", kind.word(), count(done, what)));
                    }
                }
            }
            (Reply::Reloaded(reloaded), true) => {
                app.dialog = None;
                app.tell(format!(
                    "reloaded: revision {}, {}",
                    reloaded.revision,
                    count(reloaded.changes.len(), "change")
                ));
            }
            (reply, _) => dialog.answer(reply),
        },
    }
}

/// Closes the question when its target is no longer what the operator saw.
pub(crate) fn watch_targets(app: &mut App) {
    let (Some(dialog), Some(data)) = (&app.dialog, &app.data) else {
        return;
    };
    if dialog.verdict == Verdict::Doing || dialog.over() {
        return;
    }
    let changed = dialog
        .seen
        .iter()
        .find(|(target, seen)| word(&data.state, target) != *seen);
    let stale = app.stale();
    let text = match changed {
        _ if stale => "nothing was done: the agent does not answer".to_owned(),
        Some((target, _)) => format!(
            "nothing was done: {} is now {}",
            data.view(app.shown_at()).target_name(target),
            word(&data.state, target)
        ),
        None => return,
    };
    app.dialog = None;
    app.tell(text);
}
