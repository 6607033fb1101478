//! Whether what is tracked can move the addresses at all: the arithmetic of priorities.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{Raw, RawGroup, RawInstance, TrackLine};
use crate::config::lexer::Span;
use crate::model::{Instance, Model, Multiplier, Tracking};
use lb_shared::names::InstanceName;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The lowest product of a file's number and its weight that is no fault.
const PRODUCT_MIN: i32 = -253;

/// A tracker that changes the priority.
struct Weighted<'a> {
    /// Such as `script`.
    kind: &'static str,
    name: &'a str,
    /// Such as `fails`.
    turns_bad: Cow<'static, str>,
    /// What it adds to the priority while it is good.
    gain: i32,
    /// What turning bad takes from the priority.
    loss: i32,
    by: By,
    at: Option<Span>,
}

/// How a tracker changes the priority.
#[derive(Clone, Copy)]
enum By {
    /// By its weight.
    Weight(i32),
    /// By a number times this.
    Number(i32),
}

impl Weighted<'_> {
    /// Such as `script 'chk'`.
    fn what(&self) -> String {
        format!("{} '{}'", self.kind, shown(self.name))
    }

    fn is_file(&self) -> bool {
        matches!(self.by, By::Number(_))
    }
}

/// What a reader was told already.
#[derive(Default)]
struct Told {
    /// Priorities with everything good and with everything bad.
    falls: BTreeSet<(i32, i32)>,
    /// Files, by name, factor and the priority they change.
    files: BTreeSet<(String, i32, i32)>,
}

/// Instances whose trackers move nothing, or nothing for sure.
pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    let mut told = Told::default();
    let mut seen = BTreeSet::new();
    for it in raw.instances.iter().filter(|it| seen.insert(it.name.as_str())) {
        let name = InstanceName::from(it.name.as_str());
        let Some(instance) = model.instances.get(&name) else {
            continue;
        };
        let group = model.groups.values().find(|group| group.members.contains(&name));
        let raw_group = group.and_then(|group| raw.groups.iter().find(|it| it.name == group.name.0));
        let lines = lines(it, raw_group);
        let place = |kind: &str, name: &str| {
            let mut all = lines.iter().filter(|(of, _)| *of == kind).flat_map(|(_, it)| *it);
            all.find(|line| line.name == name).map(|line| line.at)
        };
        cx.object = format!("vrrp:{name}");
        let mut trackers = all_weighted(instance, model);
        for tracker in &mut trackers {
            tracker.at = place(tracker.kind, tracker.name);
        }
        for tracking in [Some(&instance.tracking), group.map(|it| &it.tracking)] {
            let files = tracking.map_or(&[][..], |it| &it.files);
            for file in files {
                let at = place("file", &file.file).unwrap_or(it.at);
                faulty_at_first(&file.file, file.multiplier, model, at, cx);
            }
        }
        let Some(first) = trackers.first().filter(|_| !instance.priority.is_owner()) else {
            continue;
        };
        let at = first.at.unwrap_or(it.at);
        let peer = cx.facts.peer;
        let other = peer.and_then(|peer| Some((counterpart(instance, peer)?, peer)));
        match other {
            Some(peer) => against(instance, peer, &trackers, at, cx),
            None => alone(it, instance, &trackers, at, &mut told, cx),
        }
    }
    cx.object.clear();
}

/// What an instance and its group follow, by kind.
fn lines<'a>(it: &'a RawInstance, group: Option<&'a RawGroup>) -> Vec<(&'static str, &'a [TrackLine])> {
    let mut lines: Vec<(&'static str, &[TrackLine])> = vec![
        ("script", &it.track_script),
        ("interface", &it.track_interface),
        ("process", &it.track_process),
        ("BFD session", &it.track_bfd),
        ("file", &it.track_file),
    ];
    if let Some(group) = group {
        lines.extend([
            ("script", group.track_script.as_slice()),
            ("interface", &group.track_interface),
            ("process", &group.track_process),
            ("BFD session", &group.track_bfd),
            ("file", &group.track_file),
        ]);
    }
    lines
}

/// A number of which is known that it is written first, and that it is a fault.
fn faulty_at_first(name: &str, by: Multiplier, model: &Model, at: Span, cx: &mut Cx<'_>) {
    let Some(init) = model.files.get(name).and_then(|it| it.file.init) else {
        return;
    };
    if by.priority(init.value).is_none() {
        let text = format!(
            "with its first number, {}, file '{}' puts the instance into FAULT",
            init.value,
            shown(name)
        );
        let notes: &[&str] = &[
            "it stays there until somebody writes another number, as in keepalived",
            "write another number behind init_file, or another weight",
        ];
        cx.warn("V-88", at, text, notes);
    }
}

/// The same virtual router in the other node's file.
pub(super) fn counterpart<'m>(instance: &Instance, peer: &'m Model) -> Option<&'m Instance> {
    let mut all = peer.instances.values();
    all.find(|it| it.vrid == instance.vrid && it.family == instance.family)
        .map(AsRef::as_ref)
}

/// All that changes the priority of an instance: what it follows itself, and what its group does.
fn all_weighted<'a>(instance: &'a Instance, model: &'a Model) -> Vec<Weighted<'a>> {
    let group = model
        .groups
        .values()
        .find(|it| it.members.contains(&instance.name));
    let mut trackers = Vec::new();
    let lists = [Some(&instance.tracking), group.map(|it| &it.tracking)];
    for tracking in lists.into_iter().flatten() {
        weighted(tracking, model, &mut trackers);
    }
    trackers
}

fn weighted<'a>(tracking: &'a Tracking, model: &Model, into: &mut Vec<Weighted<'a>>) {
    let mut push = |kind, name: &'a str, weight: i32, turns_bad| {
        if weight != 0 {
            into.push(Weighted {
                kind,
                name,
                turns_bad: Cow::Borrowed(turns_bad),
                gain: weight.max(0),
                loss: weight.abs(),
                by: By::Weight(weight),
                at: None,
            });
        }
    };
    for it in &tracking.scripts {
        let turns_bad = if it.reverse { "succeeds" } else { "fails" };
        push("script", &it.script, it.weight, turns_bad);
    }
    for it in &tracking.interfaces {
        let turns_bad = if it.reverse { "comes up" } else { "goes down" };
        push("interface", &it.interface, it.weight, turns_bad);
    }
    for it in &tracking.processes {
        let turns_bad = if it.reverse { "runs" } else { "ends" };
        push("process", &it.process, it.weight, turns_bad);
    }
    for it in &tracking.sessions {
        let turns_bad = if it.reverse { "comes up" } else { "goes down" };
        push("BFD session", &it.session, it.weight, turns_bad);
    }
    let files = tracking.files.iter().filter(|it| it.multiplier.weight != 0);
    into.extend(files.map(|it| number(&it.file, it.multiplier, model)));
}

/// A file: good with the number it begins with, bad with the one that takes most and is no fault yet.
fn number<'a>(name: &'a str, by: Multiplier, model: &Model) -> Weighted<'a> {
    let factor = if by.reverse { -by.weight } else { by.weight };
    let first = model.files.get(name).and_then(|it| it.file.init);
    let gain = by.priority(first.map_or(0, |it| it.value)).unwrap_or(0);
    // Towards zero, for one further would be a fault.
    let worst = PRODUCT_MIN / factor;
    Weighted {
        kind: "file",
        name,
        turns_bad: Cow::Owned(format!("holds {worst}")),
        gain,
        loss: (gain - worst * factor).max(0),
        by: By::Number(factor),
        at: None,
    }
}

/// The number from which on a product is at most `product`, and in which direction.
fn number_for(product: i32, factor: i32) -> String {
    match factor > 0 {
        true => format!("{} or less", product.div_euclid(factor)),
        false => format!("{} or more", -product.div_euclid(-factor)),
    }
}

/// The priority with all trackers good.
fn healthy(instance: &Instance, trackers: &[Weighted<'_>]) -> i32 {
    let gains: i32 = trackers.iter().map(|it| it.gain).sum();
    i32::from(instance.priority.get()) + gains
}

/// The range of a priority that trackers change.
fn bounded(priority: i32) -> i32 {
    priority.clamp(1, 254)
}

/// What is highest in the other node's file: its priority with all its own trackers good.
fn peer_priority(peer: &Instance, model: &Model) -> i32 {
    match peer.priority.is_owner() {
        true => 255,
        false => bounded(healthy(peer, &all_weighted(peer, model))),
    }
}

const PATIENT: &str = "a node with nopreempt does not take over from a master that still speaks, whatever its priority; \
                       keepalived does the same";

fn against(
    instance: &Instance,
    (peer, peer_model): (&Instance, &Model),
    trackers: &[Weighted<'_>],
    at: Span,
    cx: &mut Cx<'_>,
) {
    let (full, other) = (healthy(instance, trackers), peer_priority(peer, peer_model));
    // The node that is not meant to be MASTER has nothing to lose.
    if bounded(full) <= other {
        return;
    }
    if !peer.preempt {
        let text = format!("{} nothing: the peer has nopreempt", weights(trackers));
        let advice = match trackers.iter().all(Weighted::is_file) {
            true => "only numbers that mean FAULT do; or take nopreempt out of the peer's file",
            false => {
                "leave the weight out (a failure then means FAULT), or take nopreempt out of the peer's file"
            }
        };
        return cx.warn("V-33", at, text, &[PATIENT, advice]);
    }
    let losses: i32 = trackers.iter().map(|it| it.loss).sum();
    let left = bounded(full - losses);
    let needed = bounded(full) - other + 1;
    // Numbers can always move them: by a fault, if by nothing else.
    if left >= other && !trackers.iter().any(Weighted::is_file) {
        let same = if left == other { "equal to" } else { "above" };
        let (who, bad, protects) = match trackers {
            [one] => (one.what(), one.turns_bad.as_ref(), "this check protects"),
            _ => (
                "everything that is tracked".to_owned(),
                "fails at once",
                "these checks protect",
            ),
        };
        let text = format!(
            "if {who} {bad}, the priority is still {left}, {same} the peer's {other}: {protects} nothing"
        );
        let advice = match trackers {
            [
                Weighted {
                    by: By::Weight(..=-1),
                    ..
                },
            ] => {
                format!("write a weight of -{needed} or less, or leave it out (a failure then means FAULT)")
            }
            _ => format!(
                "it takes {losses} from the priority and has to take {needed}; a tracker without weight means FAULT"
            ),
        };
        cx.warn(
            "E-09",
            at,
            text,
            &["the addresses stay on this node, as with keepalived", &advice],
        );
        return;
    }
    if !cx.facts.advise {
        return;
    }
    for it in trackers {
        if let By::Number(factor) = it.by {
            turning_point(it, factor, full, other, at, cx);
        } else if bounded(full - it.loss) >= other {
            let text = format!(
                "if only {} {}, the priority is still {} and the peer's {other}: nothing moves",
                it.what(),
                it.turns_bad,
                bounded(full - it.loss)
            );
            let advice = format!("for it to count alone its weight has to be -{needed} or less");
            let notes: &[&str] = &["it counts only together with the other trackers", &advice];
            cx.hint("V-34", it.at.unwrap_or(at), text, notes);
        }
    }
}

/// From which number in a file on the peer takes over.
fn turning_point(it: &Weighted<'_>, factor: i32, full: i32, other: i32, at: Span, cx: &mut Cx<'_>) {
    // The priority without this file, and what the file has to make of it.
    let rest = full - it.gain;
    let product = other - 1 - rest;
    let fault = number_for(PRODUCT_MIN - 1, factor);
    // No priority is below 1.
    let text = if product < PRODUCT_MIN || other == 1 {
        format!(
            "{} moves the addresses with a number of {fault}, which means FAULT",
            it.what()
        )
    } else {
        format!(
            "{} moves the addresses with a number of {}: the priority is then {} at most, the peer's {other}",
            it.what(),
            number_for(product, factor),
            bounded(rest + product.div_euclid(factor) * factor)
        )
    };
    let notes: &[&str] = &[
        &format!("{fault} means FAULT, whatever the peer"),
        "while all else is good; keepalived reckons the same",
    ];
    cx.hint("V-87", it.at.unwrap_or(at), text, notes);
}

/// The peer's file is not there: say what it has to hold.
fn alone(
    it: &RawInstance,
    instance: &Instance,
    trackers: &[Weighted<'_>],
    at: Span,
    told: &mut Told,
    cx: &mut Cx<'_>,
) {
    if let (Some(at), false) = (it.nopreempt, instance.preempt) {
        let text = format!("with nopreempt on the peer too, {} nothing", weights(trackers));
        let advice = match trackers.iter().all(Weighted::is_file) {
            true => "only numbers that mean FAULT do: the peer then takes over",
            false => "leave the weight out: a failure then means FAULT, and the peer takes over",
        };
        return cx.warn("V-33", at, text, &[PATIENT, advice]);
    }
    if !cx.facts.advise {
        return;
    }
    let full = healthy(instance, trackers);
    for it in trackers {
        if let By::Number(factor) = it.by
            && told.files.insert((it.name.to_owned(), factor, full))
        {
            let what = if factor > 0 { "adds" } else { "takes" };
            let (to, size) = (if factor > 0 { "to" } else { "from" }, factor.abs());
            let text = format!(
                "each 1 in {} {what} {size} {to} the priority, now {}",
                it.what(),
                bounded(full)
            );
            let fault = format!(
                "a number of {} means FAULT; keepalived reckons the same",
                number_for(PRODUCT_MIN - 1, factor)
            );
            let advice = "from which number on the addresses move, 'lbctl check-config --peer FILE' tells";
            cx.hint("V-87", it.at.unwrap_or(at), text, &[&fault, advice]);
        }
    }
    // Numbers can take all there is: what they do was said.
    if trackers.iter().any(Weighted::is_file) {
        return;
    }
    let losses: i32 = trackers.iter().map(|it| it.loss).sum();
    let left = bounded(full - losses);
    let full = bounded(full);
    if full <= left || !told.falls.insert((full, left)) {
        return;
    }
    let (who, bad) = match trackers {
        [one] => (one.what(), one.turns_bad.as_ref()),
        _ => ("everything that is tracked".to_owned(), "fails at once"),
    };
    let text = format!(
        "if {who} {bad}, the priority falls from {full} to {left}: only a peer above {left} takes over"
    );
    let advice = format!(
        "a peer of {left} or less leaves the addresses here; let 'lbctl check-config --peer FILE' compare"
    );
    cx.hint("E-10", at, text, &["keepalived does the same", &advice]);
}

/// The beginning of a sentence about what weights do.
fn weights(trackers: &[Weighted<'_>]) -> String {
    match trackers {
        [tracker] => format!("the weight of {} moves", tracker.what()),
        _ => format!("the weights of {} trackers move", trackers.len()),
    }
}
