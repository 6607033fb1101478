//! Changes: from a key or a command to the question, the agent's answer and the deed.

use crate::app::{App, Cmd, Failure};
use crate::dialog::{Dialog, Kind, Options, Step, Verdict};
use crate::keys::{Action, Screen};
use crate::prompt::Prompt;
use crate::scope::{self, Part};
use crate::trial;
use lb_shared::request::{Outcome, Refusal, Reply, Request};
use lb_shared::state::{ObjectId, Target};
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
        Action::Test => return trial::begin(app),
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
    // A promote is of one host, and so is the demote that makes way for it.
    let all = app.all_hosts && !matches!(kind, Kind::Promote | Kind::Demote | Kind::Undo);
    let grave = all || options.force || options.cut || matches!(kind, Kind::Promote | Kind::Demote);
    let proof = grave.then(|| match targets.as_slice() {
        [] if all => app.fleet.cluster.clone().unwrap_or_else(|| "all".into()),
        [] => data.state.agent.host.clone(),
        [Target::Instance(name)] => name.0.clone(),
        [Target::Server(id)] => view.service_name(&id.service),
        several => several.len().to_string(),
    });
    let own = Part::of(app.seat, app.name(), &data.state, targets.clone());
    let mut dialog = Dialog::new(kind, targets, proof, options, app.now);
    dialog.all = all;
    if !all {
        dialog.parts = vec![own];
    }
    app.dialog = Some(dialog);
    if all {
        return vec![Cmd::Gather];
    }
    try_it(app)
}

/// Asks each agent what the change would do.
pub(crate) fn try_it(app: &mut App) -> Vec<Cmd> {
    let Some(mut dialog) = app.dialog.take() else {
        return Vec::new();
    };
    let mut cmds = Vec::new();
    let mut wrong = None;
    let mut parts = std::mem::take(&mut dialog.parts);
    for part in &mut parts {
        let request = dialog.request(true, part);
        // Answers to earlier questions are no longer wanted.
        part.ticket = app.ticket();
        part.answer = None;
        match request {
            Ok(_) if part.barred.is_some() => {}
            Ok(request) => cmds.push(to(app.seat, part, request)),
            Err(it) => wrong = Some(it),
        }
    }
    dialog.parts = parts;
    dialog.verdict = match wrong {
        Some(wrong) => Verdict::Unasked(wrong),
        None => scope::merge(&dialog.parts),
    };
    app.dialog = Some(dialog);
    cmds
}

fn to(own: usize, part: &Part, request: Request) -> Cmd {
    if part.seat == own {
        Cmd::Ask(part.ticket, request)
    } else {
        Cmd::AskOf(part.seat, part.ticket, request)
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
    let now = app.now;
    let wall_ms = app.data.as_ref().map_or(0, |data| data.clock(now).1);
    let key = format!("lbtui-{wall_ms}-{}", app.ticket());
    if let Some(dialog) = &mut app.dialog {
        dialog.key = key;
        dialog.verdict = Verdict::Doing;
    }
    next_host(app)
}

/// Has the next host do it that has something to do; after the last one it is done.
fn next_host(app: &mut App) -> Vec<Cmd> {
    let ticket = app.ticket();
    let own = app.seat;
    let Some(dialog) = &mut app.dialog else {
        return Vec::new();
    };
    let next = dialog.parts.iter().position(Part::has_work);
    let Some(nth) = next else {
        finish(app);
        return Vec::new();
    };
    match dialog.request(false, &dialog.parts[nth]) {
        Ok(request) => {
            let part = &mut dialog.parts[nth];
            part.ticket = ticket;
            vec![to(own, part, request)]
        }
        Err(wrong) => {
            dialog.verdict = Verdict::Unasked(wrong);
            Vec::new()
        }
    }
}

fn finish(app: &mut App) {
    let Some(dialog) = app.dialog.take() else { return };
    app.members.marks.clear();
    app.servers.marks.clear();
    if let Some(told) = dialog.told {
        app.tell(match dialog.all {
            true => format!("{told} on {}", dialog.done.join(", ")),
            false => told,
        });
    }
}

/// Takes an agent's answer to a dry run or a deed.
pub(crate) fn on_answer(app: &mut App, ticket: u64, answer: Result<Box<Reply>, Failure>) -> Vec<Cmd> {
    let Some(dialog) = app.dialog.as_mut() else {
        return Vec::new();
    };
    let Some(nth) = dialog.parts.iter().position(|part| part.ticket == ticket) else {
        return Vec::new();
    };
    let doing = dialog.verdict == Verdict::Doing;
    let said = match answer {
        Ok(reply) if doing => done(dialog.kind, *reply),
        Ok(reply) => Err(Verdict::of(*reply)),
        Err(failure) => {
            let message = if doing {
                format!("{}; it may have been done nevertheless", failure.message)
            } else {
                failure.message
            };
            Err(Verdict::Failed {
                message,
                hint: failure.hint,
            })
        }
    };
    let part = &mut dialog.parts[nth];
    match said {
        Ok(told) => {
            part.answer = None;
            dialog.done.push(part.host.clone());
            dialog.told = Some(told);
            return next_host(app);
        }
        // The hosts after it are left alone.
        Err(verdict) if doing => {
            part.answer = Some(verdict);
            dialog.verdict = scope::merge(std::slice::from_ref(part));
        }
        Err(verdict) => {
            part.answer = Some(verdict);
            dialog.verdict = scope::merge(&dialog.parts);
        }
    }
    Vec::new()
}

/// What was done, in words; or what came in its place.
fn done(kind: Kind, reply: Reply) -> Result<String, Verdict> {
    match reply {
        Reply::Acted(acted) => {
            let failed = acted.targets.iter().find_map(|report| match &report.outcome {
                Outcome::Failed(reason) => Some(reason),
                Outcome::Done | Outcome::Skipped(_) => None,
            });
            if let Some(reason) = failed {
                let message = format!("the kernel refused: {}", escape(reason));
                let hint = "the wish is stored and tried again; the overview lists it";
                let code = lb_shared::request::RefusalCode::Ipvs;
                return Err(Verdict::Refused(Refusal::new(code, message, hint)));
            }
            let done = acted
                .targets
                .iter()
                .filter(|report| report.outcome == Outcome::Done)
                .count();
            let what = if kind.takes_instances() {
                "instance"
            } else {
                "server"
            };
            Ok(format!("{} {}: done", kind.word(), count(done, what)))
        }
        Reply::Reloaded(reloaded) => Ok(format!(
            "reloaded: revision {}, {}",
            reloaded.revision,
            count(reloaded.changes.len(), "change")
        )),
        reply => Err(Verdict::of(reply)),
    }
}

/// Closes the question when its target is no longer what the operator saw.
pub(crate) fn watch_targets(app: &mut App) {
    let (Some(dialog), Some(data)) = (&app.dialog, &app.data) else {
        return;
    };
    let own = dialog.parts.iter().find(|part| part.seat == app.seat);
    let changed = own.and_then(|part| part.changed(&data.state));
    let text = match changed {
        _ if app.stale() => "nothing was done: the agent does not answer".to_owned(),
        Some((target, now)) => format!(
            "nothing was done: {}: {now}",
            data.view(app.shown_at()).target_name(target),
        ),
        None => return,
    };
    close(app, text);
}

/// Closes an open question, unless it is being done or only to be read.
pub(crate) fn close(app: &mut App, text: String) {
    let open = |dialog: &Dialog| dialog.verdict != Verdict::Doing && !dialog.over();
    if app.dialog.as_ref().is_some_and(open) {
        app.dialog = None;
        app.tell(text);
    }
}
