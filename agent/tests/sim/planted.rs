//! Bugs planted around an engine, to prove that the simulator would see them in it.
//!
//! They twist what goes in and what comes out; the engine itself is the one that ships. What cannot be expressed so
//! lies as a patch in `planted/`, which `scripts/sim --planted` applies to a copy of the source.

use crate::advert::seal;
use crate::world::{Cause, Heard, Truth, World};
use lb_shared::names::ServiceKey;
use lb_shared::state::{Pin, VrrpState};
use lbagent::engine::{Action, BatchId};
use lbagent::ipvs::IpvsOp;
use lbagent::ipvs::table::{DestinationSettings, Method};
use lbagent::model::VrrpVersion;
use lbagent::net::NetOp;
use lbagent::vrrp::Datagram;

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Planted {
    /// A master gives way to an equal priority from the lower address, not from the higher.
    YieldToLowerAddress,
    /// A master does not give way to an equal priority at all.
    NoYieldOnEqual,
    /// The silence of a backup goes on through an advert of equal priority.
    DeafToEqual,
    /// A backup that may preempt is held back by lower adverts.
    HeldBackByLower,
    /// Nobody listens to farewells.
    DeafToFarewell,
    /// A backup counts in its own interval, not in the master's.
    OwnInterval,
    /// A master that was not alone does not announce its addresses again.
    NoSecondAnnouncement,
    /// A reload undrains a drained server.
    DrainForgotten,
    /// A master in FAULT sends one more advert.
    OneMoreAdvert,
    /// Routes and rules stay when mastership goes.
    RoutesStay,
    /// A backup sets the route of its virtual router again.
    RouteOfBackup,
    /// The disk never gets what `reload --confirm` goes back to.
    FormerNotKept,
    /// Interfaces of the instances' own are left behind.
    LinksStay,
}

impl Planted {
    pub(crate) const ALL: &[Planted] = &[
        Planted::YieldToLowerAddress,
        Planted::NoYieldOnEqual,
        Planted::DeafToEqual,
        Planted::HeldBackByLower,
        Planted::DeafToFarewell,
        Planted::OwnInterval,
        Planted::NoSecondAnnouncement,
        Planted::DrainForgotten,
        Planted::OneMoreAdvert,
        Planted::RoutesStay,
        Planted::RouteOfBackup,
        Planted::FormerNotKept,
        Planted::LinksStay,
    ];

    /// Changes an advert on its way in; false if it never gets there.
    pub(crate) fn twist_datagram(
        self,
        world: &World,
        node: usize,
        heard: &Heard,
        datagram: &mut Datagram,
    ) -> bool {
        let vr = &world.plan.cluster.routers[heard.vr];
        let Some(view) = world.nodes[node].view.instances.get(&vr.name) else {
            return true;
        };
        let (state, ours) = (view.state, view.effective_priority);
        let own = world.plan.cluster.source(node, vr);
        let preempts = view.preempt || ours == 255 || view.pin == Some(Pin::Promoted);
        let equal = heard.priority == ours && heard.priority > 0;
        match self {
            Self::YieldToLowerAddress => {
                // What it would have to obey it does not get; what it should ignore comes from above.
                if state != VrrpState::Master || !equal {
                    return true;
                }
                if heard.source > own {
                    return false;
                }
                datagram.payload[2] = ours.saturating_add(1).min(254).max(ours);
                reseal(vr.version, datagram);
                true
            }
            Self::NoYieldOnEqual => !(state == VrrpState::Master && equal),
            Self::DeafToEqual => !(state == VrrpState::Backup && equal),
            Self::HeldBackByLower => {
                if state == VrrpState::Backup && preempts && heard.priority > 0 && heard.priority < ours {
                    datagram.payload[2] = ours;
                    reseal(vr.version, datagram);
                }
                true
            }
            Self::DeafToFarewell => heard.priority > 0,
            Self::OwnInterval => {
                if state == VrrpState::Backup && vr.version == VrrpVersion::V3 {
                    let centiseconds = u16::try_from(view.advert_interval_us / 10_000)
                        .unwrap_or(1)
                        .max(1);
                    datagram.payload[4..6].copy_from_slice(&centiseconds.to_be_bytes());
                    reseal(vr.version, datagram);
                }
                true
            }
            Self::NoSecondAnnouncement
            | Self::DrainForgotten
            | Self::OneMoreAdvert
            | Self::RoutesStay
            | Self::RouteOfBackup
            | Self::FormerNotKept
            | Self::LinksStay => true,
        }
    }

    /// Changes what a step leads to.
    pub(crate) fn twist_actions(self, world: &World, node: usize, cause: &Cause, actions: &mut Vec<Action>) {
        match self {
            Self::NoSecondAnnouncement if matches!(cause, Cause::Packet(Truth::Whole(_))) => {
                for action in actions {
                    if let Action::Net(_, ops) = action {
                        ops.retain(|op| !matches!(op, NetOp::Announce { .. }));
                    }
                }
            }
            Self::DrainForgotten if matches!(cause, Cause::Reload { .. }) => {
                for id in &world.nodes[node].promises.drained {
                    let ServiceKey::Single(key) = id.service else {
                        continue;
                    };
                    let settings = DestinationSettings {
                        method: Method::Direct,
                        weight: 1,
                        upper_threshold: 0,
                        lower_threshold: 0,
                    };
                    let op = IpvsOp::EditServer(key, id.server, settings);
                    actions.push(Action::Ipvs(BatchId(u64::MAX), vec![op]));
                }
            }
            Self::RoutesStay => {
                for action in actions {
                    if let Action::Net(_, ops) = action {
                        ops.retain(|op| !matches!(op, NetOp::RemoveRouting(_)));
                    }
                }
            }
            Self::LinksStay => {
                for action in actions {
                    if let Action::Net(_, ops) = action {
                        ops.retain(|op| !matches!(op, NetOp::RemoveLink { .. }));
                    }
                }
            }
            Self::RouteOfBackup => {
                let gone = actions.iter().find_map(|action| match action {
                    Action::Net(_, ops) => ops.iter().find_map(|op| match op {
                        NetOp::RemoveRouting(it) => Some(it.clone()),
                        _ => None,
                    }),
                    _ => None,
                });
                let again = gone.map(|it| vec![NetOp::AddRouting(it)]);
                actions.extend(again.map(|ops| Action::Net(BatchId(u64::MAX), ops)));
            }
            Self::FormerNotKept => {
                for action in actions {
                    if let Action::KeepFormer(_, former) = action {
                        *former = None;
                    }
                }
            }
            Self::OneMoreAdvert => {
                let last = actions
                    .iter()
                    .rposition(|action| matches!(action, Action::Send(_, advert) if advert.payload[2] == 0));
                if let Some(last) = last
                    && let Action::Send(name, advert) = actions[last].clone()
                {
                    let mut advert = advert;
                    advert.payload[2] = 100;
                    actions.push(Action::Send(name, advert));
                }
            }
            _ => {}
        }
    }
}

fn reseal(version: VrrpVersion, datagram: &mut Datagram) {
    let (source, destination) = (datagram.source, datagram.destination);
    seal(&mut datagram.payload, version, source, destination);
}
