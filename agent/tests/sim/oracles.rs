//! What must hold after every step of every agent.
//!
//! The letters are those of the invariants: S1 yield, S2 two masters end, S3 no address without mastership, S4 nothing
//! from FAULT, S5 owners, S6 priorities, S7 groups, S8 timers, S9 announcements, S10 bad input is inert, S11 nobody is
//! displaced early, S12 identical reloads are silent, S14 drains hold, S15 acknowledged is durable, S21 edits in place,
//! S22 no hole, S23 verdicts, S28 one answer, S31 events add up; S32 is in `trials.rs`. `audits.rs` has what must hold after
//! a while.

mod adverts;
mod roles;
mod tables;

use crate::cluster::Cluster;
use crate::services::Quorum;
use crate::sometimes::Hit;
use crate::world::{Cause, Truth, World};
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lb_shared::request::{Outcome, RefusalCode, Reply};
use lb_shared::state::{InstanceView, ObjectId, OverrideKind, Pin, Target, VrrpState};
use lb_shared::units::Mono;
use lbagent::engine::{Action, Ticket};
use lbagent::model::VrrpVersion;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(crate) use crate::audits::Audit;

/// Adverts missed before a backup takes over.
pub(crate) const ADVERTS: u64 = 3;
/// Steps between two comparisons of the folded events with the engine's own state.
const FOLD_EVERY: u64 = 256;
const SECOND: u64 = 1_000_000;

/// What the oracles remember.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    /// By node, then virtual router.
    pub(crate) tracks: Vec<Vec<Track>>,
    /// Since when a better and a worse master hear each other: by virtual router, better, worse.
    pub(crate) pairs: Vec<Option<u64>>,
    /// Adverts of a step that the kernel did not take.
    pub(crate) failed_sends: Vec<(usize, InstanceName)>,
    /// When the last answer of each lane arrives: by node, then net and IPVS.
    pub(crate) answered_at: Vec<[u64; 2]>,
    /// The longest interval anybody claimed, by virtual router.
    pub(crate) longest_us: Vec<u64>,
    /// By node, then service.
    pub(crate) quorums: Vec<Vec<Quorum>>,
    /// From then on nobody has a reason to change its role.
    pub(crate) settled_at: Option<u64>,
}

/// One virtual router on one node, as an observer sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    pub(crate) turned_at: u64,
    pub(crate) left_at: u64,
    /// The mastership of an earlier run was taken over.
    pub(crate) adopted: bool,
    /// Addresses announced since the last entry.
    pub(crate) announced: BTreeSet<IpAddr>,
    announced_at: Option<Mono>,
    silence: Silence,
}

/// A backup's silence, on its own clock.
#[derive(Clone, Debug, Default)]
struct Silence {
    /// False while something unclear may have broken it.
    known: bool,
    /// False while something unclear may have begun a delay of preemption.
    clear: bool,
    since: Mono,
    leaving: bool,
    interval_us: u64,
    preempt_at: Option<Mono>,
}

impl Silence {
    fn muddle(&mut self) {
        self.known = false;
        self.clear = false;
    }
}

impl Oracle {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let (nodes, routers) = (cluster.hosts.len(), cluster.routers.len());
        Self {
            tracks: vec![vec![Track::default(); routers]; nodes],
            pairs: vec![None; nodes * nodes * routers],
            failed_sends: Vec::new(),
            answered_at: vec![[0; 2]; nodes],
            longest_us: vec![0; routers],
            quorums: vec![vec![Quorum::default(); cluster.services.len()]; nodes],
            settled_at: None,
        }
    }

    pub(crate) fn on_start(&mut self, node: usize) {
        self.tracks[node].fill(Track::default());
        self.answered_at[node] = [0; 2];
        self.quorums[node].fill(Quorum::default());
    }
}

/// How much longer than the missed adverts a backup waits.
pub(crate) fn skew_us(version: VrrpVersion, priority: u8, interval_us: u64) -> u64 {
    let unit = if version == VrrpVersion::V2 {
        SECOND
    } else {
        interval_us
    };
    unit * (256 - u64::from(priority)) / 256
}

impl World {
    pub(crate) fn view(&self, node: usize, vr: usize) -> Option<&InstanceView> {
        self.nodes[node]
            .view
            .instances
            .get(&self.plan.cluster.routers[vr].name)
            .map(|view| &**view)
    }

    pub(crate) fn vr_of(&self, name: &InstanceName) -> Option<usize> {
        self.plan.cluster.routers.iter().position(|vr| vr.name == *name)
    }

    fn vr_of_address(&self, address: IpAddr) -> Option<usize> {
        self.plan
            .cluster
            .routers
            .iter()
            .position(|vr| vr.addresses.contains(&address))
    }

    /// The interval a node's own file gives.
    pub(crate) fn own_interval_us(&self, node: usize, vr: usize) -> u64 {
        let router = &self.plan.cluster.routers[vr];
        let percent = match router.version {
            VrrpVersion::V2 => 100,
            VrrpVersion::V3 => self.nodes[node].edits.interval_percent.unwrap_or(100),
        };
        router.intervals_us[node] * percent / 100
    }

    /// Everything about one step. `before` are the roles before it.
    pub(crate) fn judge(
        &mut self,
        node: usize,
        now: Mono,
        cause: &Cause,
        before: &[VrrpState],
        deadlines: (Option<Mono>, Option<Mono>),
        actions: &[Action],
    ) {
        self.judge_reload(node, now, cause, before, deadlines, actions);
        if let Cause::Packet(truth) = cause {
            self.judge_packet(node, now, truth, before, deadlines, actions);
        }
        if !actions.is_empty() {
            for action in actions {
                match action {
                    Action::Send(name, advert) => self.judge_send(node, name, advert, cause, before, actions),
                    Action::Net(_, ops) => self.judge_net(node, now, ops, actions),
                    Action::Ipvs(_, ops) => self.judge_ipvs(node, ops),
                    Action::Emit(event) => self.judge_event(node, event, cause),
                    _ => {}
                }
            }
        }
        if let Cause::Packet(Truth::Whole(heard)) = cause {
            self.judge_second_announcement(node, now, heard, before);
        }
        if before != self.nodes[node].roles.as_slice() || !actions.is_empty() {
            self.judge_roles(node, now, cause, before, actions);
        }
        self.judge_services(node, cause, actions);
        self.judge_deadline(node, now, cause, deadlines.1);
        if self.nodes[node].steps.is_multiple_of(FOLD_EVERY) {
            self.judge_fold(node);
        }
    }

    /// S31.
    pub(crate) fn judge_fold(&mut self, node: usize) {
        let it = &self.nodes[node];
        if it
            .engine
            .as_ref()
            .is_some_and(|engine| *engine.state() != it.view)
        {
            self.fail(
                "S31",
                format!("n{node}: the events do not add up to the engine's state"),
            );
        }
    }

    /// S12, and what a reload makes of the observer's picture.
    fn judge_reload(
        &mut self,
        node: usize,
        now: Mono,
        cause: &Cause,
        before: &[VrrpState],
        (old, new): (Option<Mono>, Option<Mono>),
        actions: &[Action],
    ) {
        let Cause::Reload { edits } = cause else { return };
        let refused = actions
            .iter()
            .any(|action| matches!(action, Action::Answer(_, Reply::Refused(_))));
        if refused || !self.nodes[node].begun || self.nodes[node].stopping {
            return;
        }
        let same = *edits == self.nodes[node].edits;
        let earlier = std::mem::replace(&mut self.nodes[node].edits, edits.clone());
        self.nodes[node].reloaded_at = self.now;
        // What was due anyway may be done now.
        let overdue = old.is_some_and(|old| old <= now);
        let elects = (0..before.len()).any(|vr| !self.is_master_anywhere(vr));
        if elects {
            self.hit(Hit::ReloadDuringElection);
        }
        if !same {
            for track in &mut self.oracle.tracks[node] {
                track.silence.muddle();
            }
            if !overdue {
                self.judge_locality(node, &earlier, edits, actions);
            }
            return;
        }
        self.hit(Hit::IdenticalReload);
        if overdue || !self.ipvs_is_fine(node) || !self.net_is_fine(node) {
            return;
        }
        let loud = actions.iter().find(|action| {
            matches!(
                action,
                Action::Send(..)
                    | Action::Net(..)
                    | Action::Ipvs(..)
                    | Action::Check(..)
                    | Action::CancelCheck(_)
                    | Action::Run(..)
                    | Action::Listen(_)
                    | Action::WatchRouting(_)
                    | Action::WatchFirewall(_)
            )
        });
        if let Some(action) = loud {
            self.fail("S12", format!("n{node}: an identical reload led to {action:?}"));
        } else if self.nodes[node].roles != before {
            self.fail("S12", format!("n{node}: an identical reload changed roles"));
        } else if old != new {
            self.fail(
                "S12",
                format!("n{node}: an identical reload moved the next deadline from {old:?} to {new:?}"),
            );
        }
    }

    fn is_master_anywhere(&self, vr: usize) -> bool {
        self.nodes
            .iter()
            .any(|node| node.engine.is_some() && node.roles[vr] == VrrpState::Master)
    }

    /// S8.
    fn judge_deadline(&mut self, node: usize, now: Mono, cause: &Cause, deadline: Option<Mono>) {
        let Some(deadline) = deadline else { return };
        if matches!(cause, Cause::Tick) && deadline <= now {
            let late = now.since(deadline);
            self.fail(
                "S8",
                format!("n{node}: after a tick a deadline is {late:?} in the past"),
            );
            return;
        }
        let it = &self.nodes[node];
        if it.stopping || !it.begun {
            return;
        }
        let ahead = u64::try_from(deadline.since(now).as_micros()).unwrap_or(u64::MAX);
        for vr in 0..self.plan.cluster.routers.len() {
            let own = self.own_interval_us(node, vr);
            let most = match self.role(node, vr) {
                VrrpState::Master => own,
                VrrpState::Backup => {
                    let Some(view) = self.view(node, vr) else { continue };
                    if view.pin == Some(Pin::DemotedHard) || !self.oracle.tracks[node][vr].silence.known {
                        continue;
                    }
                    let interval = self.oracle.longest_us[vr].max(own);
                    let version = self.plan.cluster.routers[vr].version;
                    ADVERTS * interval + skew_us(version, view.effective_priority, interval)
                }
                VrrpState::Init | VrrpState::Fault => continue,
            };
            if ahead > most {
                self.fail(
                    "S8",
                    format!("n{node}: the next deadline is {ahead} us ahead, of VI {vr} at most {most}"),
                );
            }
        }
    }

    /// S23, and situations worth counting.
    fn judge_event(&mut self, node: usize, event: &lb_shared::event::Event, cause: &Cause) {
        match event.what {
            What::ServerUp | What::ServerDown if matches!(cause, Cause::Inconclusive) => {
                let text = format!("n{node}: {} after an inconclusive check", event.what.name());
                self.fail("S23", text);
            }
            What::CheckInconclusive => self.hit(Hit::Inconclusive),
            What::DriftHealed => self.hit(Hit::DriftHealed),
            What::KernelRefused => self.hit(Hit::KernelRefused),
            What::Cleaned => self.hit(Hit::AdoptionRefused),
            What::QuorumLost => {
                let service = self.nodes[node].view.services.values();
                if service
                    .clone()
                    .any(|it| it.state == lb_shared::state::ServiceState::Sorry)
                {
                    self.hit(Hit::Sorry);
                }
                if !self.nodes[node].promises.drained.is_empty() {
                    self.hit(Hit::DrainDuringQuorumLoss);
                }
            }
            What::Adopted => {
                self.hit(Hit::AdoptionAccepted);
                if let ObjectId::Instance(name) = &event.object
                    && let Some(vr) = self.vr_of(name)
                {
                    self.oracle.tracks[node][vr].adopted = true;
                    self.judge_adoption(node, vr);
                }
            }
            _ => {}
        }
    }

    /// S15 and S28.
    pub(crate) fn on_answer(&mut self, node: usize, ticket: Ticket, reply: &Reply) {
        let Some(asked) = self.nodes[node].tickets.remove(&ticket) else {
            self.fail(
                "S28",
                format!("n{node} answers {} again, or nobody asked", ticket.0),
            );
            return;
        };
        match reply {
            Reply::Reloaded(reloaded) => {
                if let Some(wish) = asked.wish {
                    self.on_reloaded(node, wish, reloaded);
                }
            }
            Reply::Refused(refusal) => {
                if asked.is_act {
                    self.hit(Hit::CommandRefused);
                }
                if refusal.code == RefusalCode::Disk {
                    self.hit(Hit::DiskRefused);
                }
            }
            Reply::Acted(acted) => {
                for report in &acted.targets {
                    let Target::Server(id) = &report.target else {
                        continue;
                    };
                    if !asked.drains.contains(id) || matches!(report.outcome, Outcome::Skipped(_)) {
                        continue;
                    }
                    self.hit(Hit::DrainAcknowledged);
                    let it = &mut self.nodes[node];
                    it.promises.drained.insert(id.clone());
                    let drained = |kind| matches!(kind, OverrideKind::Drain { .. });
                    if !it.disk.holds(&report.target, drained) {
                        self.fail(
                            "S15",
                            format!("n{node} acknowledged a drain of {id} that is not on disk"),
                        );
                    }
                }
            }
            _ => {}
        }
    }
}
