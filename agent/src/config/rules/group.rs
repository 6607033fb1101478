//! What is tracked, by instances and by the sync groups that keep them in step.

use super::follow::Followed;
use super::{address, script};
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{RawGroup, RawInstance, RawNotify, RawScript, TrackLine};
use crate::config::lexer::Span;
use crate::model::{InterfaceTrack, Model, NotifyScripts, ScriptTrack, SyncGroup, Tracking};
use lb_shared::names::{GroupName, InstanceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn tracking(
    interfaces: &[TrackLine],
    tracked: &[TrackLine],
    own: Option<&str>,
    scripts: &BTreeMap<&str, &RawScript>,
    used: &mut BTreeSet<String>,
    cx: &mut Cx<'_>,
) -> Tracking {
    let mut tracking = Tracking::default();
    let mut seen = BTreeSet::new();
    for line in interfaces {
        let (weight, reverse) = line.weight.unwrap_or((0, false));
        if !seen.insert(("interface", line.name.as_str())) {
            cx.warn(
                "V-26",
                line.at,
                format!("interface '{}' is tracked twice", line.name),
                &["the first line counts"],
            );
            continue;
        }
        address::present(
            &line.name,
            line.at,
            "it counts as down until it appears; keepalived ends here",
            cx,
        );
        // The own interface is always followed; naming it adds nothing unless a weight is given.
        if own != Some(line.name.as_str()) || weight != 0 {
            tracking.interfaces.push(InterfaceTrack {
                interface: line.name.clone(),
                weight,
                reverse,
            });
        }
    }
    for line in tracked {
        let Some(script) = scripts.get(line.name.as_str()) else {
            let near = cx.nearest(&line.name, scripts.keys().copied());
            let advice = near.map_or_else(
                || format!("define it above with 'vrrp_script {} {{ … }}'", shown(&line.name)),
                |near| format!("did you mean '{near}'?"),
            );
            let text = format!("there is no vrrp_script '{}'", shown(&line.name));
            cx.error(
                "V-09",
                line.at,
                text,
                &[&advice, "nothing is tracked by this line, as in keepalived"],
            );
            continue;
        };
        if script.at.line > line.at.line {
            let text = format!("vrrp_script '{}' stands below its use", line.name);
            cx.error(
                "V-09",
                line.at,
                text,
                &[
                    "nothing is tracked by this line, as in keepalived",
                    "move the definition above the instance",
                ],
            );
            continue;
        }
        if !seen.insert(("script", line.name.as_str())) {
            cx.warn(
                "V-26",
                line.at,
                format!("script '{}' is tracked twice", line.name),
                &["the first line counts"],
            );
            continue;
        }
        let (weight, reverse) = line.weight.unwrap_or((script.weight, script.reverse));
        if weight == 0 && script.fall.unwrap_or(1) == 1 {
            let text = format!(
                "one failed run of '{}' puts the instance into FAULT at once",
                line.name
            );
            cx.hint(
                "E-11",
                line.at,
                text,
                &["weight 0 means FAULT; consider 'fall 2' or a negative weight"],
            );
        }
        used.insert(line.name.clone());
        tracking.scripts.push(ScriptTrack {
            script: line.name.clone(),
            weight,
            reverse,
        });
    }
    tracking
}

/// An address owner's priority never changes: trackers with weights mean nothing to it.
pub(super) fn without_weights(tracking: Tracking, it: &RawInstance, cx: &mut Cx<'_>) -> Tracking {
    let weighted = tracking.scripts.iter().any(|track| track.weight != 0)
        || tracking.interfaces.iter().any(|track| track.weight != 0)
        || tracking.processes.iter().any(|track| track.weight != 0)
        || tracking.files.iter().any(|track| track.multiplier.weight != 0);
    if weighted {
        let at = it.priority.map_or(it.at, |(_, at)| at);
        cx.warn(
            "V-13",
            at,
            "priority 255 never changes: trackers with a weight are dropped",
            &[
                "keepalived does the same",
                "write a priority below 255, or trackers without weight",
            ],
        );
    }
    Tracking {
        interfaces: tracking
            .interfaces
            .into_iter()
            .filter(|track| track.weight == 0)
            .collect(),
        scripts: tracking
            .scripts
            .into_iter()
            .filter(|track| track.weight == 0)
            .collect(),
        processes: tracking
            .processes
            .into_iter()
            .filter(|track| track.weight == 0)
            .collect(),
        sessions: tracking.sessions,
        files: tracking
            .files
            .into_iter()
            .filter(|track| track.multiplier.weight == 0)
            .collect(),
    }
}

pub(super) fn notify(it: &RawNotify, cx: &mut Cx<'_>) -> NotifyScripts {
    NotifyScripts {
        master: script::notify(it.master.as_ref(), cx),
        backup: script::notify(it.backup.as_ref(), cx),
        fault: script::notify(it.fault.as_ref(), cx),
        stop: script::notify(it.stop.as_ref(), cx),
        master_rx_lower_priority: script::notify(it.master_rx_lower_pri.as_ref(), cx),
        any: script::notify(it.any.as_ref(), cx),
        tell_deleted: it.deleted.is_some(),
        deleted: it.deleted.as_ref().and_then(|(words, at)| {
            let words = words.clone()?;
            script::notify(Some(&(words, *at)), cx)
        }),
        mail: {
            let words = &cx.global.mail;
            it.mail.or(words.alert_vrrp).or(words.alert).unwrap_or(false)
        },
    }
}

pub(super) fn groups(
    raw: &[RawGroup],
    scripts: &BTreeMap<&str, &RawScript>,
    followed: &Followed<'_>,
    used: &mut BTreeSet<String>,
    model: &mut Model,
    cx: &mut Cx<'_>,
) {
    let mut member_of: BTreeMap<InstanceName, String> = BTreeMap::new();
    for it in raw {
        cx.object = format!("group:{}", it.name);
        let name = GroupName::from(it.name.as_str());
        if model.groups.contains_key(&name) {
            let text = format!("vrrp_sync_group '{}' is defined twice", it.name);
            cx.error("V-03", it.at, text, &["the first one counts"]);
            continue;
        }
        let mut members: Vec<InstanceName> = Vec::new();
        for (member, at) in &it.members {
            let instance = InstanceName::from(member.as_str());
            if !model.instances.contains_key(&instance) {
                let near = cx.nearest(member, model.instances.keys().map(|name| name.0.as_str()));
                let advice = near.map_or("define it with vrrp_instance".to_owned(), |near| {
                    format!("did you mean '{near}'?")
                });
                let text = format!("there is no vrrp_instance '{}'", shown(member));
                cx.error(
                    "V-10",
                    *at,
                    text,
                    &[&advice, "this member is left out, as in keepalived"],
                );
            } else if let Some(other) = member_of.get(&instance) {
                let text = format!("'{member}' is already a member of '{other}'");
                cx.error(
                    "V-23",
                    *at,
                    text,
                    &["an instance has one group; this member is left out"],
                );
            } else {
                member_of.insert(instance.clone(), it.name.clone());
                members.push(instance);
            }
        }
        match members.len() {
            0 => {
                let text = format!("vrrp_sync_group '{}' has no members", it.name);
                cx.error(
                    "V-11",
                    it.at,
                    text,
                    &["it is left out, as in keepalived", "list them in 'group { … }'"],
                );
                continue;
            }
            1 => cx.warn(
                "V-11",
                it.at,
                format!("vrrp_sync_group '{}' has one member", it.name),
                &["there is nothing to keep in step"],
            ),
            _ => {}
        }
        let mut tracking = tracking(&it.track_interface, &it.track_script, None, scripts, used, cx);
        followed.track(&it.track_process, &it.track_file, &mut tracking, cx);
        let group_scripts: BTreeSet<&String> = tracking.scripts.iter().map(|track| &track.script).collect();
        let group_interfaces: BTreeSet<&String> =
            tracking.interfaces.iter().map(|track| &track.interface).collect();
        for member in &members {
            if let Some(instance) = model.instances.get_mut(member) {
                let instance = Arc::make_mut(instance);
                if !it.tracking_weight {
                    unweighted(&mut instance.tracking, it.at, member, cx);
                }
                // A tracker of both counts once, as the group's.
                let own = &mut instance.tracking;
                own.scripts.retain(|own| !group_scripts.contains(&own.script));
                own.processes
                    .retain(|own| !tracking.processes.iter().any(|it| it.process == own.process));
                own.files
                    .retain(|own| !tracking.files.iter().any(|it| it.file == own.file));
                own.interfaces
                    .retain(|own| !group_interfaces.contains(&own.interface));
            }
        }
        let group = SyncGroup {
            name: name.clone(),
            members,
            tracking,
            tracking_weight: it.tracking_weight,
            notify: notify(&it.notify, cx),
        };
        model.groups.insert(name, Arc::new(group));
    }
}

/// Without `sync_group_tracking_weight` a member has no weights of its own: its priority would leave the others'. Those of
/// the group's own lines are for all of them.
fn unweighted(tracking: &mut Tracking, at: Span, member: &InstanceName, cx: &mut Cx<'_>) {
    let count = |tracking: &Tracking| tracking.scripts.len() + tracking.processes.len();
    let before = count(tracking);
    tracking.scripts.retain(|track| track.weight == 0);
    tracking.processes.retain(|track| track.weight == 0);
    if count(tracking) < before {
        cx.warn(
            "V-12",
            at,
            format!("trackers with a weight of '{member}' are dropped: it is in a sync group"),
            &[
                "keepalived does the same",
                "let the group track them, or write 'sync_group_tracking_weight' into it",
            ],
        );
    }
    let mut changed = false;
    let interfaces = tracking.interfaces.iter_mut().map(|track| &mut track.weight);
    let files = tracking
        .files
        .iter_mut()
        .map(|track| &mut track.multiplier.weight);
    for weight in interfaces.chain(files) {
        changed |= *weight != 0;
        *weight = 0;
    }
    if changed {
        cx.warn(
            "V-12",
            at,
            format!("interfaces and files tracked by '{member}' lose their weight: it is in a sync group"),
            &[
                "an interface means FAULT while down, a file while its number is not 0, as in keepalived",
                "let the group track them, or write 'sync_group_tracking_weight' into it",
            ],
        );
    }
}
