//! `track_group`: which instances stand on which static addresses, routes and rules.

use super::follow::Kind;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{Placed, Raw, RawTrackGroup};
use crate::config::lexer::Span;
use crate::model::{Model, StaticLine, StaticTrack};
use lb_shared::names::InstanceName;
use std::collections::{BTreeMap, BTreeSet};

/// The groups, each with the members that exist.
struct Groups<'a> {
    kind: Kind<'a>,
    members: BTreeMap<&'a str, BTreeSet<InstanceName>>,
}

/// What the model's static lines say of track groups.
pub(super) fn tracks(raw: &Raw, model: &Model, cx: &mut Cx<'_>) -> Vec<StaticTrack> {
    let groups = Groups::of(raw, model, cx);
    let mut tracks = Vec::new();
    let addresses = raw.addresses.iter().filter_map(|line| {
        let mut known = model.static_addresses.iter();
        let there = |device: &str| line.device.as_ref().is_none_or(|(name, _)| name == device);
        let it = known.find(|it| it.address == line.address && there(&it.device) && line.group.is_some())?;
        let what = StaticLine::Address {
            address: it.address,
            prefix_len: it.prefix_len,
        };
        Some((what, Some(it.device.clone()), it.track, &line.group))
    });
    let routes = raw.routes.iter().map(|Placed { it, group, .. }| {
        let mut devices = it.legs.iter().map(|leg| leg.device.clone());
        let device = devices.next().flatten().filter(|_| it.legs.len() == 1);
        (StaticLine::Route(Box::new(it.clone())), device, it.track, group)
    });
    let rules = raw.policy_rules.iter().map(|Placed { it, group, .. }| {
        (
            StaticLine::Rule(Box::new(it.clone())),
            it.iif.clone(),
            it.track,
            group,
        )
    });
    for (line, interface, track, group) in addresses.chain(routes).chain(rules) {
        let Some((group, at)) = group else { continue };
        let track = groups.track(line, interface, track, (group, *at), cx);
        tracks.extend(track.filter(|track| !tracks.contains(track)));
    }
    groups.unused(raw, cx);
    tracks
}

impl<'a> Groups<'a> {
    fn of(raw: &'a Raw, model: &Model, cx: &mut Cx<'_>) -> Self {
        let mut kind = Kind::new("track_group", "track group");
        let mut members = BTreeMap::new();
        for it in &raw.track_groups {
            kind.define(&it.name, it.at, (0, false), cx);
            members
                .entry(it.name.as_str())
                .or_insert_with(|| existing(it, model, cx));
        }
        Self { kind, members }
    }

    /// Whom a line puts into FAULT, if it can be followed.
    fn track(
        &self,
        line: StaticLine,
        interface: Option<String>,
        track: bool,
        (group, at): (&str, Span),
        cx: &mut Cx<'_>,
    ) -> Option<StaticTrack> {
        self.kind
            .find(group, at, "nothing follows the line, as in keepalived", cx)?;
        if !track {
            let notes = [
                "nothing follows it, as in keepalived",
                "leave out no_track or track_group",
            ];
            cx.warn(
                "V-123",
                at,
                format!("the {line} has both no_track and track_group"),
                &notes,
            );
            return None;
        }
        let Some(interface) = interface else {
            let word = match line {
                StaticLine::Rule(_) => "iif",
                StaticLine::Address { .. } | StaticLine::Route(_) => "dev",
            };
            let what = format!("the {line} names no interface with {word}, so nothing can follow it");
            let notes = [
                "track_group is ignored, as in keepalived",
                "write the interface, or leave track_group out",
            ];
            cx.warn("V-124", at, what, &notes);
            return None;
        };
        let members = self.members.get(group).filter(|it| !it.is_empty())?;
        Some(StaticTrack {
            line,
            interface,
            group: group.to_owned(),
            members: members.clone(),
        })
    }

    fn unused(&self, raw: &Raw, cx: &mut Cx<'_>) {
        let addresses = raw.addresses.iter().map(|it| &it.group);
        let routes = raw.routes.iter().map(|it| &it.group);
        let lines = addresses
            .chain(routes)
            .chain(raw.policy_rules.iter().map(|it| &it.group));
        let used: BTreeSet<&str> = lines.flatten().map(|(name, _)| name.as_str()).collect();
        for it in raw
            .track_groups
            .iter()
            .filter(|it| !used.contains(it.name.as_str()))
        {
            let text = format!("no static line names the track group '{}'", shown(&it.name));
            let notes = [
                "it does nothing",
                "write track_group behind a static address, route or rule",
            ];
            cx.warn("V-16", it.at, text, &notes);
        }
    }
}

fn existing(it: &RawTrackGroup, model: &Model, cx: &mut Cx<'_>) -> BTreeSet<InstanceName> {
    let mut members = BTreeSet::new();
    for (name, at) in &it.members {
        let known = InstanceName::from(name.as_str());
        if model.instances.contains_key(&known) {
            members.insert(known);
            continue;
        }
        let near = cx.nearest(name, model.instances.keys().map(|it| it.0.as_str()));
        let advice = near.map_or_else(
            || "define it, or take it out of the group".to_owned(),
            |near| format!("did you mean '{near}'?"),
        );
        let text = format!("there is no vrrp_instance '{}'", shown(name));
        cx.error(
            "V-09",
            *at,
            text,
            &[&advice, "it is left out of the group, as in keepalived"],
        );
    }
    if members.is_empty() {
        let text = format!("track group '{}' has no instance", shown(&it.name));
        let notes = [
            "nothing follows its lines, as in keepalived",
            "name instances in its block group",
        ];
        cx.error("V-125", it.at, text, &notes);
    }
    members
}
