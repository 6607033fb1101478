//! BFD sessions, and the instances and groups that follow them.

use crate::config::findings::{Cx, SessionFact};
use crate::config::keyword::shown;
use crate::config::keywords::{Raw, RawBfd, RawCheck, TrackLine};
use crate::config::lexer::Span;
use crate::model::{BfdPath, BfdSession, BfdTrack, Model};
use lb_shared::names::{GroupName, InstanceName};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The longest name keepalived takes.
const NAME_MAX: usize = 31;

pub(super) fn objects(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
    let mut known: BTreeMap<&str, &RawBfd> = BTreeMap::new();
    let mut paths: BTreeMap<(IpAddr, Option<IpAddr>, bool), &str> = BTreeMap::new();
    for it in &raw.sessions {
        cx.object = format!("bfd {}", it.name);
        if known.contains_key(it.name.as_str()) {
            let text = format!("bfd_instance '{}' is defined twice", it.name);
            cx.error("V-03", it.at, text, &["the first one counts"]);
            continue;
        }
        let Some(session) = session(it, cx) else { continue };
        let path = (session.path.neighbor, session.path.source, session.path.multihop);
        if let Some(other) = paths.insert(path, &it.name) {
            let text = format!("'{other}' is already a session with {}", path.0);
            let notes: &[&str] = &[
                "it is left out: packets of the two could not be told apart",
                "follow one session in all places, or give each its own source_ip",
            ];
            cx.error("V-32", it.at, text, notes);
            continue;
        }
        known.insert(&it.name, it);
        let may_follow = SessionFact {
            at: it.at,
            for_checks: it.for_checks || !it.for_vrrp,
        };
        cx.sessions.insert(it.name.clone(), may_follow);
        model.sessions.insert(it.name.clone(), Arc::new(session));
    }
    for it in &raw.instances {
        cx.object = format!("vrrp:{}", it.name);
        follow_instance(&it.name, &it.track_bfd, &known, model, cx);
    }
    for it in &raw.groups {
        cx.object = format!("group:{}", it.name);
        follow_group(&it.name, &it.track_bfd, &known, model, cx);
    }
    cx.object.clear();
}

fn session(it: &RawBfd, cx: &mut Cx<'_>) -> Option<BfdSession> {
    let Some(neighbor) = it.neighbor else {
        let text = format!("bfd_instance '{}' has no neighbor_ip", it.name);
        let notes: &[&str] = &["it is left out, as in keepalived", "write 'neighbor_ip ADDRESS'"];
        cx.error("V-30", it.at, text, notes);
        return None;
    };
    if it.name.len() > NAME_MAX {
        let text = format!("the name is longer than {NAME_MAX} characters");
        cx.warn(
            "V-30",
            it.at,
            text,
            &["it acts; keepalived leaves the session out"],
        );
    }
    let source = match it.source {
        Some((source, at)) if source.is_ipv4() != neighbor.is_ipv4() => {
            let text = format!("source_ip {source} is of another family than the neighbor");
            cx.error("V-30", at, text, &["the session is left out, as in keepalived"]);
            return None;
        }
        other => other.map(|(source, _)| source),
    };
    if let IpAddr::V6(v6) = neighbor
        && v6.is_unicast_link_local()
    {
        let text = format!("{neighbor} is a link-local address, and no interface can be named");
        cx.error(
            "V-30",
            it.at,
            text,
            &[
                "the session is left out",
                "write a global or unique local address",
            ],
        );
        return None;
    }
    for (word, interval) in [
        ("min_rx", it.min_rx),
        ("min_tx", it.min_tx),
        ("idle_tx", it.idle_tx),
    ] {
        if interval.is_some_and(|interval| interval > Duration::from_secs(10)) {
            let text = format!("{word} is longer than 10 s");
            cx.warn(
                "V-31",
                it.at,
                text,
                &["a failure is noticed very late", "it is written in milliseconds"],
            );
        }
    }
    if it.multiplier.is_some_and(|multiplier| multiplier > 10) {
        let notes: &[&str] = &["a failure is noticed late", "3 to 5 is usual"];
        cx.warn("V-31", it.at, "multiplier is greater than 10", notes);
    }
    let ttl = it.ttl.unwrap_or(if neighbor.is_ipv4() { 255 } else { 64 });
    let ttl_min = match it.max_hops {
        Some(-1) => 0,
        hops => u8::try_from(i64::from(ttl) - hops.unwrap_or(0)).unwrap_or(0),
    };
    if ttl_min < 255 && !it.multihop && neighbor.is_ipv6() && it.ttl.is_none() {
        cx.hint(
            "V-31",
            it.at,
            "packets are sent with hop limit 64, as keepalived does by default",
            &[
                "other BFD speakers want 255 (RFC 5881), and 64 does not prove that a packet came from this link",
                "write 'hoplimit 255' on both sides",
            ],
        );
    }
    Some(BfdSession {
        name: it.name.clone(),
        path: BfdPath {
            neighbor,
            source,
            ttl,
            multihop: it.multihop,
        },
        min_rx: it.min_rx.unwrap_or(Duration::from_millis(10)),
        min_tx: it.min_tx.unwrap_or(Duration::from_millis(10)),
        idle_tx: it.idle_tx.unwrap_or(Duration::from_secs(1)),
        multiplier: it.multiplier.unwrap_or(5),
        passive: it.passive,
        ttl_min,
    })
}

/// The session a `BFD_CHECK` follows.
pub(super) fn of_check(it: &RawCheck, cx: &mut Cx<'_>) -> Option<String> {
    let left_out = "the check is left out: the server counts as up";
    let Some((name, at)) = &it.session else {
        cx.error(
            "S-30",
            it.at,
            "BFD_CHECK without name",
            &[left_out, "write 'name NAME'"],
        );
        return None;
    };
    let (text, advice) = match cx.sessions.get(name) {
        Some(session) if session.at.line > at.line => (
            format!("bfd_instance '{}' stands below its use", shown(name)),
            "move the definition above the virtual_server".to_owned(),
        ),
        Some(session) if !session.for_checks => (
            format!("bfd_instance '{}' is for instances only", shown(name)),
            "write 'checker' into it as well".to_owned(),
        ),
        Some(_) => return Some(name.clone()),
        None => (
            format!("there is no bfd_instance '{}'", shown(name)),
            advice(name, cx.sessions.keys().map(String::as_str), cx),
        ),
    };
    cx.error("S-30", *at, text, &[&advice, left_out]);
    None
}

fn advice<'a>(name: &str, sessions: impl Iterator<Item = &'a str>, cx: &Cx<'_>) -> String {
    match cx.nearest(name, sessions) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("define it above with 'bfd_instance {} {{ … }}'", shown(name)),
    }
}

/// The lines of a `track_bfd`.
fn tracks(lines: &[TrackLine], known: &BTreeMap<&str, &RawBfd>, cx: &mut Cx<'_>) -> Vec<BfdTrack> {
    let mut tracks: Vec<BfdTrack> = Vec::new();
    for line in lines {
        let (text, advice) = match known.get(line.name.as_str()) {
            Some(it) if it.at.line > line.at.line => (
                format!("bfd_instance '{}' stands below its use", line.name),
                "move the definition above the instance".to_owned(),
            ),
            Some(it) if it.for_checks && !it.for_vrrp => (
                format!("bfd_instance '{}' is for checks only", line.name),
                "write 'vrrp' into it as well".to_owned(),
            ),
            Some(it) => {
                if tracks.iter().any(|track| track.session == line.name) {
                    let text = format!("BFD session '{}' is tracked twice", line.name);
                    cx.warn("V-26", line.at, text, &["the first line counts"]);
                    continue;
                }
                let (weight, reverse) = line.weight.unwrap_or((it.weight, it.reverse));
                tracks.push(BfdTrack {
                    session: line.name.clone(),
                    weight,
                    reverse,
                });
                continue;
            }
            None => (
                format!("there is no bfd_instance '{}'", shown(&line.name)),
                advice(&line.name, known.keys().copied(), cx),
            ),
        };
        let notes = [
            advice.as_str(),
            "nothing is tracked by this line, as in keepalived",
        ];
        cx.error("V-09", line.at, text, &notes);
    }
    tracks
}

fn follow_instance(
    name: &str,
    lines: &[TrackLine],
    known: &BTreeMap<&str, &RawBfd>,
    model: &mut Model,
    cx: &mut Cx<'_>,
) {
    let name = InstanceName::from(name);
    if lines.is_empty() || !model.instances.contains_key(&name) {
        return;
    }
    let tracks = tracks(lines, known, cx);
    let group = model.groups.values().find(|it| it.members.contains(&name));
    let weights = group.is_none_or(|it| it.tracking_weight);
    let Some(instance) = model.instances.get_mut(&name) else {
        return;
    };
    let owner = instance.priority.is_owner();
    Arc::make_mut(instance).tracking.sessions = weighted(tracks, lines[0].at, owner, weights, cx);
}

fn follow_group(
    name: &str,
    lines: &[TrackLine],
    known: &BTreeMap<&str, &RawBfd>,
    model: &mut Model,
    cx: &mut Cx<'_>,
) {
    let name = GroupName::from(name);
    let Some(group) = model.groups.get(&name) else {
        return;
    };
    if lines.is_empty() || !group.tracking.sessions.is_empty() {
        return;
    }
    let tracks = tracks(lines, known, cx);
    for member in group.members.clone() {
        if let Some(instance) = model.instances.get_mut(&member) {
            // A tracker of both counts once, as the group's.
            let is_groups = |own: &BfdTrack| tracks.iter().any(|it| it.session == own.session);
            Arc::make_mut(instance)
                .tracking
                .sessions
                .retain(|own| !is_groups(own));
        }
    }
    if let Some(group) = model.groups.get_mut(&name) {
        Arc::make_mut(group).tracking.sessions = tracks;
    }
}

/// Those that may have a weight where they stand.
fn weighted(
    mut tracks: Vec<BfdTrack>,
    at: Span,
    owner: bool,
    group_weights: bool,
    cx: &mut Cx<'_>,
) -> Vec<BfdTrack> {
    if tracks.iter().all(|it| it.weight == 0) || !owner && group_weights {
        return tracks;
    }
    tracks.retain(|it| it.weight == 0);
    let (code, text, remedy) = if owner {
        (
            "V-13",
            "priority 255 never changes: trackers with a weight are dropped",
            "write a priority below 255, or trackers without weight",
        )
    } else {
        (
            "V-12",
            "BFD sessions with a weight are dropped: this is in a sync group",
            "let the group track them, or write 'sync_group_tracking_weight' into it",
        )
    };
    cx.warn(code, at, text, &["keepalived does the same", remedy]);
    tracks
}
