//! Announcements at the pace that was asked for (`vrrp_garp_interval`, `vrrp_gna_interval`, `garp_group`): what may not go
//! yet waits its turn, and goes only if its address is still held.
//!
//! As keepalived: one that waits already is not doubled, so that of several rounds the first is complete before anything
//! is said again; an interface of an instance's own keeps the pace of the one below.

use super::Engine;
use crate::model::{Garp, Instance};
use crate::net::{Link, NetOp, announce};
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Those that share a pace: a `garp_group` by its number, or an interface; and whether it is IPv6.
type Lane = (Result<usize, String>, bool);

#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    lanes: BTreeMap<Lane, Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    gap: Duration,
    /// When the next one may go.
    free_at: Mono,
    frames: VecDeque<NetOp>,
}

impl Pace {
    /// Takes a frame, and gives it back if it may go now.
    fn admit(&mut self, now: Mono, lane: Lane, gap: Duration, frame: NetOp) -> Option<NetOp> {
        let lane = self.lanes.entry(lane).or_insert_with(|| Waiting {
            gap,
            free_at: now,
            frames: VecDeque::new(),
        });
        lane.gap = gap;
        if lane.frames.is_empty() && lane.free_at <= now {
            lane.free_at = now + gap;
            return Some(frame);
        }
        if !lane.frames.contains(&frame) {
            lane.frames.push_back(frame);
        }
        None
    }

    /// The next of each lane whose time has come; what is not `wanted` any more is left out.
    fn take_due(&mut self, now: Mono, wanted: impl Fn(&NetOp) -> bool) -> Vec<NetOp> {
        let mut due = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.free_at <= now) {
            while let Some(frame) = lane.frames.pop_front() {
                if wanted(&frame) {
                    lane.free_at = now + lane.gap;
                    due.push(frame);
                    break;
                }
            }
        }
        self.lanes
            .retain(|_, lane| !lane.frames.is_empty() || lane.free_at > now);
        due
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let waiting = self.lanes.values().filter(|lane| !lane.frames.is_empty());
        waiting.map(|lane| lane.free_at).min()
    }
}

impl Engine {
    /// Those of an instance's announcements that may go now; the others go later.
    pub(super) fn paced(&mut self, garp: Garp, frames: Vec<NetOp>) -> Vec<NetOp> {
        let groups = &self.model.host.garp_groups;
        if groups.is_empty() && garp.arp_gap.is_zero() && garp.na_gap.is_zero() {
            return frames;
        }
        let mut now = Vec::new();
        for frame in frames {
            match self.lane_of(&frame, garp) {
                Some((lane, gap)) => now.extend(self.pace.admit(self.now, lane, gap, frame)),
                None => now.push(frame),
            }
        }
        now
    }

    /// The lane of an announcement; `None` if nothing bounds its pace.
    fn lane_of(&self, frame: &NetOp, garp: Garp) -> Option<(Lane, Duration)> {
        let NetOp::Announce { link, about, .. } = frame else {
            return None;
        };
        let v6 = about.is_ipv6();
        let links = &self.net.have().links;
        let link = links.get(link)?;
        let below = link.over().and_then(|it| links.get(&it)).unwrap_or(link);
        let groups = self.model.host.garp_groups.iter().enumerate();
        let group = groups
            .clone()
            .find(|(_, group)| group.interfaces.contains(&below.name));
        let (lane, gap) = match group {
            Some((number, group)) => (Ok(number), if v6 { group.na_gap } else { group.arp_gap }),
            None => (
                Err(below.name.clone()),
                if v6 { garp.na_gap } else { garp.arp_gap },
            ),
        };
        (!gap.is_zero()).then_some(((lane, v6), gap))
    }

    pub(super) fn announcements_on_tick(&mut self) {
        let (net, stopping) = (&self.net, self.stopping.is_some());
        let due = self
            .pace
            .take_due(self.now, |frame| !stopping && net.is_announced(frame));
        self.net.send(due, &mut self.queue);
    }

    /// One address on each interface that carries some of an instance, apart from the one it speaks by.
    pub(super) fn announce_elsewhere(&mut self, name: &InstanceName, all: bool) {
        let Some(instance) = self.model.instances.get(name).cloned() else {
            return;
        };
        let mut told = BTreeSet::new();
        let mut frames = Vec::new();
        for address in super::ground::addresses(&instance) {
            let device = address.device.as_str();
            if !is_elsewhere(&instance, device, all) || !told.insert(device) {
                continue;
            }
            let link: Option<&Link> = self.net.have().link(device);
            frames.extend(link.and_then(|link| announce(link, address.address)));
        }
        frames.retain(|frame| self.net.is_announced(frame));
        let frames = self.paced(instance.garp, frames);
        self.net.send(frames, &mut self.queue);
    }

    /// Where the adverts of an instance come from, on the link they leave by.
    pub(super) fn announce_source(&mut self, name: &InstanceName) {
        let Some(instance) = self.model.instances.get(name) else {
            return;
        };
        let have = self.net.have();
        let device = instance.sending_link().or(instance.interface.as_deref());
        let source = super::ground::source(instance, have, &self.index.virtual_addresses);
        if let (Some(link), Some(source)) = (device.and_then(|it| have.link(it)), source) {
            let frame = announce(link, source);
            self.net.send(frame.into_iter().collect(), &mut self.queue);
        }
    }
}

/// Whether an interface is one of those of `garp_extra_if`.
fn is_elsewhere(instance: &Instance, device: &str, all: bool) -> bool {
    let home = instance.own_link().or(instance.interface.as_deref());
    let own = instance.address_vmacs.iter().any(|it| it.name == device);
    home != Some(device) && (all || own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LinkIndex;
    use std::net::IpAddr;

    fn frame(last: u8) -> NetOp {
        NetOp::Announce {
            link: LinkIndex(2),
            about: IpAddr::from([192, 0, 2, last]),
            frame: vec![last],
        }
    }

    #[test]
    fn frames_keep_their_distance_and_one_that_waits_is_not_doubled() {
        let mut pace = Pace::default();
        let lane = || (Err("eth0".to_owned()), false);
        let gap = Duration::from_millis(100);
        let at = |ms| Mono::ZERO + Duration::from_millis(ms);
        let mut admit = |last| pace.admit(at(0), lane(), gap, frame(last));
        assert_eq!(admit(1), Some(frame(1)));
        for last in [2, 3, 1, 2, 3, 1] {
            assert_eq!(admit(last), None);
        }
        assert_eq!(pace.deadline(), Some(at(100)));
        assert_eq!(pace.take_due(at(50), |_| true), []);
        assert_eq!(pace.take_due(at(100), |_| true), [frame(2)]);
        assert_eq!(
            pace.take_due(at(200), |it| *it != frame(3)),
            [frame(1)],
            "3 is held no more"
        );
        assert_eq!(pace.deadline(), None);
        assert_eq!(pace.admit(at(250), lane(), gap, frame(4)), None, "not before 300");
        assert_eq!(pace.take_due(at(300), |_| true), [frame(4)]);
        assert_eq!(pace.take_due(at(400), |_| true), []);
        assert!(pace.lanes.is_empty(), "nothing is kept of what is over");
    }
}
