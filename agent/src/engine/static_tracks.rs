//! Static addresses, routes and rules that instances stand on: `track_group`.
//!
//! As in keepalived their interface is tracked. As its manual says, and its code does not, one that was there, went and
//! cannot be put back is a fault, too. One that the kernel never took is none: the file would never have run.

use super::Engine;
use crate::model::{Route, StaticLine, StaticTrack};
use crate::net::Routing;
use lb_shared::names::InstanceName;
use std::collections::{BTreeMap, BTreeSet};

/// What became of the lines that are followed.
#[derive(Clone, Debug, Default)]
pub(super) struct StaticTracks {
    /// Those the kernel took at least once.
    had: BTreeSet<StaticLine>,
    /// Of those, the ones it refuses now: its words.
    lost: BTreeMap<StaticLine, String>,
}

impl StaticTracks {
    /// The kernel took or refused one. True when that is news.
    fn on_answer(&mut self, line: &StaticLine, refusal: Option<String>) -> bool {
        match refusal {
            None => {
                self.had.insert(line.clone());
                self.lost.remove(line).is_some()
            }
            Some(_) if !self.had.contains(line) => false,
            Some(text) => self.lost.insert(line.clone(), text).is_none(),
        }
    }

    fn keep(&mut self, tracks: &[StaticTrack]) {
        let still: BTreeSet<&StaticLine> = tracks.iter().map(|it| &it.line).collect();
        self.had.retain(|line| still.contains(line));
        self.lost.retain(|line, _| still.contains(line));
    }
}

/// Whether this is the route of a line; in a VRF the table is that of the moment.
fn is_route(line: &Route, it: &Route) -> bool {
    line == it
        || line.vrf.is_some()
            && *line
                == Route {
                    table: line.table,
                    ..it.clone()
                }
}

impl Engine {
    /// A model came into force.
    pub(super) fn apply_static_tracks(&mut self) {
        self.static_tracks.keep(&self.model.static_tracks);
    }

    /// What of the file's own lines keeps an instance from being MASTER.
    pub(super) fn static_faults(&self, name: &InstanceName) -> BTreeSet<String> {
        let mut faults = BTreeSet::new();
        let of_it = |it: &&StaticTrack| it.members.contains(name);
        for track in self.model.static_tracks.iter().filter(of_it) {
            let StaticTrack {
                line,
                interface,
                group,
                ..
            } = track;
            let link = self.net.have().link(interface);
            let trouble = match (link, self.static_tracks.lost.get(line)) {
                (None, _) => format!("interface {interface} does not exist"),
                (Some(link), _) if !self.debounce.counts_as(interface, link.running) => {
                    format!("interface {interface} is down")
                }
                (Some(_), Some(text)) => format!("it is gone, and the kernel does not take it again: {text}"),
                (Some(_), None) => continue,
            };
            faults.insert(format!("{line} of track group {group}: {trouble}"));
        }
        faults
    }

    /// The kernel answered whether it takes a route or a rule of the file itself.
    pub(super) fn on_static_routing_answer(&mut self, it: &Routing, refusal: Option<String>) {
        let meant = |track: &&StaticTrack| match (&track.line, it) {
            (StaticLine::Route(line), Routing::Route(it, _)) => is_route(line, it),
            (StaticLine::Rule(line), Routing::Rule(it)) => **line == *it,
            (StaticLine::Address { .. } | StaticLine::Route(_) | StaticLine::Rule(_), _) => false,
        };
        let Some(track) = self.model.static_tracks.iter().find(meant).cloned() else {
            return;
        };
        if self.static_tracks.on_answer(&track.line, refusal) {
            self.refresh_members(&track);
        }
    }

    /// The kernel answered something about addresses.
    pub(super) fn on_static_address_answers(&mut self) {
        let mut news = Vec::new();
        for track in &self.model.static_tracks {
            let StaticLine::Address { address, prefix_len } = track.line else {
                continue;
            };
            let Some(link) = self.net.have().link(&track.interface) else {
                continue;
            };
            let key = crate::net::AddressKey {
                link: link.index,
                address,
                prefix_len,
            };
            let refusal = self.net.refusal(&key).map(str::to_owned);
            let known = refusal.is_some() || self.net.is_settled(&key);
            if known && self.static_tracks.on_answer(&track.line, refusal) {
                news.push(track.clone());
            }
        }
        for track in news {
            self.refresh_members(&track);
        }
    }

    fn refresh_members(&mut self, track: &StaticTrack) {
        for name in &track.members {
            self.give_ground(name);
        }
        self.listen();
    }
}
