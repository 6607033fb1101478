//! The question before a change, with its effect as the agent computed it.

use super::Scene;
use super::paint::{Area, Paint, Row, row};
use crate::dialog::{Dialog, Field, Focus, Kind, Verdict};
use crate::theme::Role;
use lb_shared::request::{Acted, Outcome, Reloaded};
use lb_shared::state::Target;
use lb_shared::text::{count, escape, thousands};
use lb_shared::why::wrap;

/// What a promoted instance advertises.
const PROMOTED: u8 = 254;

/// Width of a dialog with its border, and of what is inside.
const WIDTH: u16 = 72;
const INSIDE: usize = 68;
/// The most lines of the agent's answer that are shown.
const LINES_MAX: usize = 12;

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, dialog: &Dialog) {
    let (title, lines) = content(scene, dialog);
    let room = usize::from(area.height).saturating_sub(4);
    let lines: Vec<Row> = fit(lines, room);
    paint.boxed(area, WIDTH, &title, &lines);
}

/// Keeps the end, where the question is, when there are too many lines.
fn fit(mut lines: Vec<Row>, room: usize) -> Vec<Row> {
    while lines.len() > room && lines.len() > 1 {
        lines.remove(lines.len() / 2);
    }
    lines
}

fn content(scene: &Scene<'_>, dialog: &Dialog) -> (String, Vec<Row>) {
    let mut lines = targets(scene, dialog);
    let name = title(scene, dialog);
    match &dialog.verdict {
        Verdict::Refused(refusal) => {
            lines.push(Row::default());
            say(&mut lines, &escape(&refusal.message), Role::Bad);
            for part in refusal.hint.lines() {
                say(&mut lines, &escape(part), Role::Plain);
            }
            lines.push(Row::default());
            say(&mut lines, &so_far(dialog), Role::Plain);
            if let Some(way) = way_round(scene, dialog, refusal.code) {
                say(
                    &mut lines,
                    &format!("To do it anyway type   {way}"),
                    Role::Override,
                );
            }
            lines.push(Row::default());
            lines.push(row("          [ Close ]", Role::Cursor));
            return (format!("Refused: {name}"), lines);
        }
        Verdict::Failed { message, hint } => {
            lines.push(Row::default());
            say(&mut lines, &escape(message), Role::Bad);
            say(&mut lines, &escape(hint), Role::Plain);
            if dialog.all {
                say(&mut lines, &so_far(dialog), Role::Plain);
            }
            lines.push(Row::default());
            lines.push(row("          [ Close ]", Role::Cursor));
            return (format!("Failed: {name}"), lines);
        }
        Verdict::Unasked(wrong) => {
            lines.push(Row::default());
            say(&mut lines, wrong, Role::Warn);
        }
        Verdict::Asking => {
            lines.push(Row::default());
            say(&mut lines, "asking the agent what this would do", Role::Plain);
        }
        Verdict::Doing => {
            lines.push(Row::default());
            say(&mut lines, "the agent is at it; Esc stops waiting", Role::Plain);
        }
        Verdict::Effect(acted) => {
            effect(scene, &mut lines, acted);
            handover(scene, &mut lines, dialog);
            others(scene, &mut lines, dialog);
        }
        Verdict::Plan(plan) => changes(&mut lines, plan),
    }
    if dialog.idle() {
        lines.push(Row::default());
        say(&mut lines, "There is nothing to do.", Role::Plain);
        lines.push(Row::default());
        lines.push(row("          [ Close ]", Role::Cursor));
        return (name, lines);
    }
    lines.push(Row::default());
    for (nth, field) in dialog.fields.iter().enumerate() {
        lines.push(field_row(dialog, nth, field));
    }
    lines.push(Row::default());
    if dialog.proof.is_some() {
        let verb = dialog.kind.word();
        say(
            &mut lines,
            &format!("Enter does the {verb} when the name matches.  Esc cancels."),
            Role::Plain,
        );
    } else {
        lines.push(buttons(dialog));
    }
    (name, lines)
}

/// What was done before something went wrong.
fn so_far(dialog: &Dialog) -> String {
    match dialog.done.as_slice() {
        [] if dialog.all => "Nothing was changed on any host.".into(),
        [] => "Nothing was changed.".into(),
        done => format!(
            "Done on {}. Nothing was changed on the hosts after it.",
            done.join(", ")
        ),
    }
}

/// From whom a promote takes, how long nobody has the addresses, and what becomes of connections.
fn handover(scene: &Scene<'_>, lines: &mut Vec<Row>, dialog: &Dialog) {
    let (Kind::Promote, [Target::Instance(name)]) = (dialog.kind, dialog.targets.as_slice()) else {
        return;
    };
    let state = scene.view.state;
    let master = state.instances.get(name).and_then(|it| it.master.as_ref());
    // An owner of the addresses does not yield.
    let Some(master) = master.filter(|master| master.priority < PROMOTED) else {
        return;
    };
    let peer = scene.view.peer_text(master.address);
    let gap = format!(
        "gap: none; the addresses are taken at once, and {peer} (priority {}) yields when it hears {PROMOTED}",
        master.priority
    );
    say(lines, &gap, Role::Plain);
    let taken = state.agent.sync.as_ref().is_some_and(|sync| sync.takes);
    if taken {
        say(
            lines,
            "connections: synchronised to this node, they go on",
            Role::Plain,
        );
    } else if !state.services.is_empty() {
        say(
            lines,
            "! connections: not synchronised to this node, open ones may end",
            Role::Warn,
        );
    }
}

/// Other hosts that have the same servers and are not told.
fn others(scene: &Scene<'_>, lines: &mut Vec<Row>, dialog: &Dialog) {
    let fleet = &scene.app.fleet;
    if dialog.all || dialog.kind.takes_instances() || !fleet.several() {
        return;
    }
    let here = scene.app.name();
    let names: Vec<&str> = fleet
        .hosts
        .iter()
        .map(|host| host.name.as_str())
        .filter(|name| *name != here)
        .collect();
    let text = format!(
        "Only on {here}; {} would go on as before. Esc, then a: changes on all hosts.",
        names.join(", ")
    );
    say(lines, &text, Role::Plain);
}

fn title(scene: &Scene<'_>, dialog: &Dialog) -> String {
    let verb = dialog.kind.title();
    let force = match (dialog.force, dialog.cut) {
        (true, _) => " --force",
        (false, true) => " --cut",
        (false, false) => "",
    };
    let host = match dialog.all {
        true => {
            let hosts: Vec<&str> = dialog.parts.iter().map(|part| part.host.as_str()).collect();
            format!("all hosts ({})", hosts.join(", "))
        }
        false => escape(&scene.data.state.agent.host),
    };
    match (dialog.kind, dialog.targets.as_slice()) {
        (Kind::Undo, _) => format!("Undo your last change on {host}"),
        (Kind::Reload, _) => format!("Reload the configuration of {host}{force}"),
        (_, [Target::Instance(name)]) => format!("{verb} {} on {host}{force}", escape(&name.0)),
        (kind, several) if kind.takes_instances() => {
            format!("{verb} {} on {host}{force}", count(several.len(), "instance"))
        }
        (_, several) => {
            let on = if dialog.all {
                format!(" on {host}")
            } else {
                String::new()
            };
            format!("{verb} {}{on}{force}", count(several.len(), "server"))
        }
    }
}

fn targets(scene: &Scene<'_>, dialog: &Dialog) -> Vec<Row> {
    let mut rows: Vec<Row> = dialog
        .targets
        .iter()
        .take(3)
        .map(|target| {
            let mut text = escape(&scene.view.target_name(target));
            if let (Kind::Weight, Target::Server(id)) = (dialog.kind, target)
                && let Some(server) = scene.view.state.servers.get(id)
            {
                text.push_str(&format!("     weight {}", lb_shared::problems::weight(server)));
            }
            if let Target::Server(id) = target
                && let Some(counters) = scene.view.server_counters(id)
            {
                text.push_str(&format!(
                    "     {} active   {} conns/s",
                    thousands(counters.active),
                    thousands(counters.connections_per_s)
                ));
            }
            row(text, Role::Master)
        })
        .collect();
    if dialog.targets.len() > 3 {
        rows.push(row(
            format!("and {} more", thousands(dialog.targets.len() as u64 - 3)),
            Role::Plain,
        ));
    }
    rows
}

fn say(lines: &mut Vec<Row>, text: &str, role: Role) {
    lines.extend(wrap(text, INSIDE).into_iter().map(|line| row(line, role)));
}

fn effect(scene: &Scene<'_>, lines: &mut Vec<Row>, acted: &Acted) {
    let mut told = Vec::new();
    for report in acted.targets.iter().take(4) {
        let name = escape(&scene.view.target_name(&report.target));
        let what = match &report.outcome {
            Outcome::Done => escape(&report.change),
            Outcome::Skipped(reason) | Outcome::Failed(reason) => escape(reason),
        };
        say(&mut told, &format!("{name}: {what}"), Role::Plain);
    }
    if acted.targets.len() > 4 {
        say(
            &mut told,
            &format!("and {} more", acted.targets.len() - 4),
            Role::Plain,
        );
    }
    for text in &acted.effects {
        say(&mut told, &escape(text), Role::Plain);
    }
    for text in &acted.warnings {
        say(&mut told, &format!("! {}", escape(text)), Role::Warn);
    }
    lines.push(Row::default());
    lines.extend(told.into_iter().take(LINES_MAX));
}

fn changes(lines: &mut Vec<Row>, plan: &Reloaded) {
    lines.push(Row::default());
    for change in plan.changes.iter().take(LINES_MAX - 4) {
        lines.push(row(escape(change), Role::Plain));
    }
    if plan.changes.len() > LINES_MAX - 4 {
        lines.push(row(
            format!("and {} more", plan.changes.len() - (LINES_MAX - 4)),
            Role::Plain,
        ));
    }
    for line in plan.moves.iter().take(LINES_MAX - 4) {
        say(lines, &format!("! {}", escape(line)), Role::Warn);
    }
    if !plan.findings.is_empty() {
        say(
            lines,
            &format!(
                "! {}; lbctl check-config shows them",
                count(plan.findings.len(), "finding")
            ),
            Role::Warn,
        );
    }
}

/// The command that overrides a refusal, where there is one.
fn way_round(scene: &Scene<'_>, dialog: &Dialog, code: lb_shared::request::RefusalCode) -> Option<String> {
    use lb_shared::request::RefusalCode;
    let flag = match code {
        RefusalCode::Connections => "--cut",
        RefusalCode::LastServer
        | RefusalCode::Quorum
        | RefusalCode::SplitBrain
        | RefusalCode::NoSuccessor
        | RefusalCode::Sync
        | RefusalCode::Config => "--force",
        _ => return None,
    };
    let target = match dialog.targets.as_slice() {
        [] => String::new(),
        [one] => format!(" {}", scene.view.target_name(one)),
        _ => " --marked".into(),
    };
    let weight = dialog
        .fields
        .iter()
        .find(|field| field.name == crate::dialog::Name::Weight)
        .map_or(String::new(), |field| format!(" {}", field.text));
    Some(format!(":{}{target}{weight} {flag}", dialog.kind.word()))
}

fn field_row(dialog: &Dialog, nth: usize, field: &Field) -> Row {
    let focused = dialog.focus == Focus::Field(nth);
    let role = if focused { Role::Cursor } else { Role::Plain };
    let label = match (&dialog.proof, field.name) {
        (Some(name), crate::dialog::Name::Proof) => {
            format!("Type {} to {}:  ", escape(name), dialog.kind.word())
        }
        _ => format!("{:<10}", field.name.label()),
    };
    let mut line = row(label, Role::Plain);
    match field.name.sides() {
        Some([left, right]) => {
            let (a, b) = if field.text.is_empty() {
                ("o", " ")
            } else {
                (" ", "o")
            };
            line.push(format!("({a}) {left}  ({b}) {right}"), role);
        }
        None => {
            let room = match field.name {
                crate::dialog::Name::Proof => INSIDE.saturating_sub(line.width() + 4).min(40),
                _ => 40,
            };
            let text = escape(&field.text);
            // The end is where one types.
            let from = text.chars().count().saturating_sub(room - 1);
            let shown: String = text.chars().skip(from).collect();
            let pen = if focused { "_" } else { " " };
            let blanks = " ".repeat(
                room.saturating_sub(lb_shared::text::width(&shown) + 1)
                    .min(if field.name.hint().is_empty() { room } else { 9 }),
            );
            line.push(format!("[{shown}{pen}{blanks}]"), role);
            line.push(format!("  {}", field.name.hint()), Role::Rule);
        }
    }
    line
}

fn buttons(dialog: &Dialog) -> Row {
    let look = |focus: Focus| {
        if dialog.focus == focus {
            Role::Cursor
        } else {
            Role::Plain
        }
    };
    // Without colours and reverse the brackets still tell where Enter goes.
    let mark = |focus: Focus| if dialog.focus == focus { '>' } else { ' ' };
    let mut line = row(format!("         {}", mark(Focus::Act)), Role::Plain);
    line.push(format!("[ {} ]", dialog.kind.title()), look(Focus::Act));
    line.push(format!("  {}", mark(Focus::Cancel)), Role::Plain);
    line.push("[ Cancel ]", look(Focus::Cancel));
    line
}
