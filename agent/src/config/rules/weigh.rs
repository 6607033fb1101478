//! Whether what is tracked can move the addresses at all: the arithmetic of priorities.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{Raw, RawInstance, TrackLine};
use crate::config::lexer::Span;
use crate::model::{Instance, Model, Tracking};
use lb_shared::names::InstanceName;
use std::collections::BTreeSet;

/// A tracker with a weight, and what it adds to the priority while it is good and while it is bad.
struct Weighted<'a> {
    /// Such as `script 'chk'`.
    what: String,
    turns_bad: &'static str,
    weight: i32,
    at: Option<Span>,
    name: &'a str,
}

impl Weighted<'_> {
    /// What turning bad takes from the priority.
    fn loss(&self) -> i32 {
        self.weight.abs()
    }
}

/// Instances whose trackers move nothing, or nothing for sure.
pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    let mut told = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for it in raw.instances.iter().filter(|it| seen.insert(it.name.as_str())) {
        let name = InstanceName::from(it.name.as_str());
        let Some(instance) = model.instances.get(&name) else {
            continue;
        };
        let group = model.groups.values().find(|group| group.members.contains(&name));
        let lists = [Some(&instance.tracking), group.map(|it| &it.tracking)];
        let raw_group = group.and_then(|group| raw.groups.iter().find(|it| it.name == group.name.0));
        let mut lines: Vec<&[TrackLine]> = vec![&it.track_script, &it.track_interface];
        lines.extend([it.track_process.as_slice(), &it.track_bfd]);
        if let Some(group) = raw_group {
            lines.extend([group.track_script.as_slice(), &group.track_interface]);
            lines.extend([group.track_process.as_slice(), &group.track_bfd]);
        }
        let place = |name: &str| {
            let mut all = lines.iter().copied().flatten();
            all.find(|line| line.name == name).map(|line| line.at)
        };
        let mut trackers: Vec<Weighted<'_>> = Vec::new();
        for tracking in lists.into_iter().flatten() {
            weighted(tracking, &mut trackers);
        }
        for tracker in &mut trackers {
            tracker.at = place(tracker.name);
        }
        // What a file's number adds has no bound worth reckoning with.
        let files = lists.into_iter().flatten().flat_map(|it| &it.files);
        let countable = files.into_iter().all(|it| it.multiplier.weight == 0);
        let Some(first) = trackers
            .first()
            .filter(|_| countable && !instance.priority.is_owner())
        else {
            continue;
        };
        cx.object = format!("vrrp:{name}");
        let at = first.at.unwrap_or(it.at);
        match cx.facts.peer.and_then(|peer| counterpart(instance, peer)) {
            Some(peer) => against(instance, peer, &trackers, at, cx),
            None => alone(it, instance, &trackers, at, &mut told, cx),
        }
    }
    cx.object.clear();
}

/// The same virtual router in the other node's file.
pub(super) fn counterpart<'m>(instance: &Instance, peer: &'m Model) -> Option<&'m Instance> {
    let mut all = peer.instances.values();
    all.find(|it| it.vrid == instance.vrid && it.family == instance.family)
        .map(AsRef::as_ref)
}

fn weighted<'a>(tracking: &'a Tracking, into: &mut Vec<Weighted<'a>>) {
    let mut push = |word: &str, name: &'a str, weight: i32, turns_bad| {
        if weight != 0 {
            into.push(Weighted {
                what: format!("{word} '{}'", shown(name)),
                turns_bad,
                weight,
                at: None,
                name,
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
}

/// The priority with all trackers good.
fn healthy(instance: &Instance, trackers: &[Weighted<'_>]) -> i32 {
    let gains: i32 = trackers.iter().map(|it| it.weight.max(0)).sum();
    i32::from(instance.priority.get()) + gains
}

/// The range of a priority that trackers change.
fn bounded(priority: i32) -> i32 {
    priority.clamp(1, 254)
}

/// What is highest in the other node's file: its priority with all its own trackers good.
fn peer_priority(peer: &Instance) -> i32 {
    let mut trackers = Vec::new();
    weighted(&peer.tracking, &mut trackers);
    match peer.priority.is_owner() {
        true => 255,
        false => bounded(healthy(peer, &trackers)),
    }
}

const PATIENT: &str = "a node with nopreempt does not take over from a master that still speaks, whatever its priority; \
                       keepalived does the same";

fn against(instance: &Instance, peer: &Instance, trackers: &[Weighted<'_>], at: Span, cx: &mut Cx<'_>) {
    let (full, other) = (healthy(instance, trackers), peer_priority(peer));
    // The node that is not meant to be MASTER has nothing to lose.
    if bounded(full) <= other {
        return;
    }
    if !peer.preempt {
        cx.warn(
            "V-33",
            at,
            format!("{} nothing: the peer has nopreempt", weights(trackers)),
            &[
                PATIENT,
                "leave the weight out (a failure then means FAULT), or take nopreempt out of the peer's file",
            ],
        );
        return;
    }
    let losses: i32 = trackers.iter().map(Weighted::loss).sum();
    let left = bounded(full - losses);
    let needed = bounded(full) - other + 1;
    if left >= other {
        let same = if left == other { "equal to" } else { "above" };
        let (who, bad, protects) = match trackers {
            [one] => (one.what.clone(), one.turns_bad, "this check protects"),
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
            [one] if one.weight < 0 => {
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
    let lone: Vec<&Weighted<'_>> = trackers
        .iter()
        .filter(|it| bounded(full - it.loss()) >= other)
        .collect();
    for it in lone {
        let text = format!(
            "if only {} {}, the priority is still {} and the peer's {other}: nothing moves",
            it.what,
            it.turns_bad,
            bounded(full - it.loss())
        );
        let advice = format!("for it to count alone its weight has to be -{needed} or less");
        let notes: &[&str] = &["it counts only together with the other trackers", &advice];
        cx.hint("V-34", it.at.unwrap_or(at), text, notes);
    }
}

/// The peer's file is not there: say what it has to hold.
fn alone(
    it: &RawInstance,
    instance: &Instance,
    trackers: &[Weighted<'_>],
    at: Span,
    told: &mut BTreeSet<(i32, i32)>,
    cx: &mut Cx<'_>,
) {
    if let (Some(at), false) = (it.nopreempt, instance.preempt) {
        cx.warn(
            "V-33",
            at,
            format!("with nopreempt on the peer too, {} nothing", weights(trackers)),
            &[
                PATIENT,
                "leave the weight out: a failure then means FAULT, and the peer takes over",
            ],
        );
        return;
    }
    let full = healthy(instance, trackers);
    let losses: i32 = trackers.iter().map(Weighted::loss).sum();
    let left = bounded(full - losses);
    let full = bounded(full);
    if full <= left || !cx.facts.advise || !told.insert((full, left)) {
        return;
    }
    let (who, bad) = match trackers {
        [one] => (one.what.clone(), one.turns_bad),
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
        [tracker] => format!("the weight of {} moves", tracker.what),
        _ => format!("the weights of {} trackers move", trackers.len()),
    }
}
