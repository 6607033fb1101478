//! What must hold after every step of every agent.
//!
//! The letters are those of the invariants: S1 yield, S2 two masters end, S3 no address without mastership, S4 nothing
//! from FAULT, S5 owners, S6 priorities, S7 groups, S8 timers, S9 announcements, S10 bad input is inert, S11 nobody is
//! displaced early, S12 identical reloads are silent, S14 drains hold, S15 acknowledged is durable, S21 edits in place,
//! S22 no hole, S23 verdicts, S28 one answer, S31 events add up; S32 is in `trials.rs`. `audits.rs` has what must hold after a while.

use crate::cluster::{Cluster, Vr};
use crate::services::Quorum;
use crate::sometimes::Hit;
use crate::world::{Cause, Heard, Truth, World};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, ServerId, ServiceKey};
use lb_shared::request::{Outcome, RefusalCode, Reply};
use lb_shared::state::{InstanceView, ObjectId, OverrideKind, Pin, Target, VrrpState};
use lb_shared::units::Mono;
use lbagent::engine::{Action, Ticket};
use lbagent::ipvs::IpvsOp;
use lbagent::model::VrrpVersion;
use lbagent::net::NetOp;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

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

/// Whether an advert beats a master.
fn beats(heard: &Heard, priority: u8, own: IpAddr) -> bool {
    (heard.priority, heard.source) > (priority, own)
}

fn preempts(view: &InstanceView) -> bool {
    view.preempt || view.effective_priority == 255 || view.pin == Some(Pin::Promoted)
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

    /// A planted bug kept an advert from the engine: what it should have done is judged all the same.
    pub(crate) fn judge_swallowed(&mut self, node: usize, heard: &Heard) {
        let now = self.nodes[node].clock.local(self.now);
        let roles = self.nodes[node].roles.clone();
        self.judge(
            node,
            now,
            &Cause::Packet(Truth::Whole(*heard)),
            &roles,
            (None, None),
            &[],
        );
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

    /// Whether the receiver has no right to refuse this advert.
    fn counts(&self, node: usize, heard: &Heard) -> bool {
        let it = &self.nodes[node];
        let router = &self.plan.cluster.routers[heard.vr];
        let steady = self.now >= it.ground_moved_at + SECOND / 5 && !self.ground_moves(node);
        let same_interval =
            router.version == VrrpVersion::V3 || heard.interval_us == self.own_interval_us(node, heard.vr);
        let known = heard.from.is_some() || !router.unicast || self.is_peer(node, router, heard.source);
        it.begun
            && !it.stopping
            && steady
            && same_interval
            && heard.interval_us > 0
            && known
            && heard.source != self.plan.cluster.source(node, router)
    }

    fn is_peer(&self, node: usize, router: &Vr, source: IpAddr) -> bool {
        (0..self.nodes.len()).any(|peer| peer != node && self.plan.cluster.source(peer, router) == source)
    }

    /// S1, S10, S9 and the observer's picture of a backup's silence.
    fn judge_packet(
        &mut self,
        node: usize,
        now: Mono,
        truth: &Truth,
        before: &[VrrpState],
        (old, new): (Option<Mono>, Option<Mono>),
        actions: &[Action],
    ) {
        match truth {
            Truth::Unknown => {
                for track in &mut self.oracle.tracks[node] {
                    track.silence.muddle();
                }
            }
            Truth::Junk => {
                self.hit(Hit::JunkHeard);
                let acts = actions.iter().find(|action| !matches!(action, Action::Emit(_)));
                if let Some(action) = acts {
                    self.fail("S10", format!("n{node}: a bad advert led to {action:?}"));
                } else if self.nodes[node].roles != before {
                    self.fail("S10", format!("n{node}: a bad advert changed a role"));
                } else if old != new && old.is_some_and(|old| old > now) {
                    let text =
                        format!("n{node}: a bad advert moved the next deadline from {old:?} to {new:?}");
                    self.fail("S10", text);
                }
            }
            Truth::Whole(heard) => {
                let heard = *heard;
                if !self.counts(node, &heard) {
                    self.oracle.tracks[node][heard.vr].silence.muddle();
                    return;
                }
                match before[heard.vr] {
                    VrrpState::Backup => self.observe_backup(node, now, &heard),
                    VrrpState::Master => self.judge_yield(node, &heard),
                    VrrpState::Init | VrrpState::Fault => {}
                }
            }
        }
    }

    fn judge_yield(&mut self, node: usize, heard: &Heard) {
        let router = &self.plan.cluster.routers[heard.vr];
        let own = self.plan.cluster.source(node, router);
        let Some(view) = self.view(node, heard.vr) else {
            return;
        };
        let (state, priority) = (view.state, view.effective_priority);
        if heard.priority == 255 && priority == 255 {
            self.hit(Hit::OwnerConflict);
        }
        if heard.priority > 0 && state == VrrpState::Master && beats(heard, priority, own) {
            let Heard {
                priority: theirs,
                source,
                ..
            } = heard;
            let text = format!("n{node} stays MASTER with {priority} after {source} with {theirs}");
            self.fail("S1", text);
        }
    }

    fn observe_backup(&mut self, node: usize, now: Mono, heard: &Heard) {
        let Some(view) = self.view(node, heard.vr) else {
            return;
        };
        let hurried = view.effective_priority == 255 || view.pin == Some(Pin::Promoted);
        let respected = heard.priority >= view.effective_priority || !preempts(view);
        let delay = Duration::from_micros(view.preempt_delay_us);
        let silence = &mut self.oracle.tracks[node][heard.vr].silence;
        if heard.priority == 0 {
            if !silence.leaving {
                silence.leaving = true;
                silence.since = now;
            }
            return;
        }
        let mut waits = respected;
        if respected {
            silence.preempt_at = None;
        } else if !delay.is_zero() && !hurried {
            match silence.preempt_at {
                Some(at) => waits = now < at,
                None => {
                    silence.preempt_at = Some(now + delay);
                    waits = true;
                    self.sometimes.hit(Hit::PreemptDelayed);
                }
            }
        }
        if waits {
            let v3 = self.plan.cluster.routers[heard.vr].version == VrrpVersion::V3;
            let own = self.own_interval_us(node, heard.vr);
            let silence = &mut self.oracle.tracks[node][heard.vr].silence;
            silence.clear |= respected;
            silence.known = silence.clear;
            silence.since = now;
            silence.leaving = false;
            silence.interval_us = if v3 { heard.interval_us } else { own };
        }
    }

    /// S9: whoever stays MASTER after another one was heard tells the hosts again.
    fn judge_second_announcement(&mut self, node: usize, now: Mono, heard: &Heard, before: &[VrrpState]) {
        let stays = before[heard.vr] == VrrpState::Master && self.role(node, heard.vr) == VrrpState::Master;
        let lower = heard.priority > 0;
        let gate = self.now < self.nodes[node].started_at + 3 * SECOND;
        if !stays || !lower || gate || !self.counts(node, heard) || !self.net_is_fine(node) {
            return;
        }
        let pause = Duration::from_micros(self.own_interval_us(node, heard.vr) / 2);
        let told = self.oracle.tracks[node][heard.vr].announced_at;
        if told.is_none_or(|at| now.since(at) > pause) {
            let text = format!(
                "n{node} heard {} with {} and stays MASTER, and does not announce",
                heard.source, heard.priority
            );
            self.fail("S9", text);
        }
    }

    fn became(&self, vr: usize, what: What, actions: &[Action]) -> bool {
        let name = &self.plan.cluster.routers[vr].name;
        actions.iter().any(|action| {
            matches!(action, Action::Emit(event)
                if event.what == what && matches!(&event.object, ObjectId::Instance(it) if it == name))
        })
    }

    /// S4, S5, S6, and the beginning of L3.
    fn judge_send(
        &mut self,
        node: usize,
        name: &InstanceName,
        advert: &lbagent::vrrp::Advert,
        cause: &Cause,
        before: &[VrrpState],
        actions: &[Action],
    ) {
        let Some(vr) = self.vr_of(name) else { return };
        let priority = advert.payload[2];
        let after = self.role(node, vr);
        let passing = self.became(vr, What::BecameMaster, actions);
        if self.nodes[node].handing_over {
            self.fail("S4", format!("n{node} hands over and still sends for {name}"));
        } else if priority > 0
            && after != VrrpState::Master
            && !passing
            && !(before[vr] == VrrpState::Master && farewell_follows(name, advert, actions))
        {
            self.fail(
                "S4",
                format!("n{node} is {after:?} for {name} and sends priority {priority}"),
            );
        } else if priority == 0 && before[vr] != VrrpState::Master && !passing {
            self.fail(
                "S4",
                format!("n{node} was {:?} for {name} and says farewell", before[vr]),
            );
        }
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let demoted = matches!(
            self.view(node, vr).and_then(|view| view.pin),
            Some(Pin::Demoted | Pin::DemotedHard)
        );
        if priority == 255 && !owner {
            self.fail("S5", format!("n{node} advertises 255 for {name} and is no owner"));
        } else if priority > 0 && priority < 255 && owner && !demoted {
            self.fail("S5", format!("n{node} owns {name} and advertises {priority}"));
        }
        if priority == 0 && matches!(cause, Cause::Stop { .. }) {
            self.watch_farewell(node, vr);
        }
    }

    /// S4 for addresses, announcements, routes and rules.
    fn judge_net(&mut self, node: usize, now: Mono, ops: &[NetOp], actions: &[Action]) {
        for op in ops {
            let vr = match op {
                NetOp::AddAddress { key, .. } => self.vr_of_address(key.address),
                NetOp::Announce { about, .. } => self.vr_of_address(*about),
                NetOp::AddRouting(it) => self.plan.cluster.routers.iter().position(|vr| vr.owns(it)),
                NetOp::RemoveAddress { .. }
                | NetOp::RemoveRouting(_)
                | NetOp::AddLink(_)
                | NetOp::QuietLink { .. }
                | NetOp::RaiseLink { .. }
                | NetOp::RemoveLink { .. }
                | NetOp::Firewall(_)
                | NetOp::Sysctl { .. } => continue,
            };
            let Some(vr) = vr else {
                continue;
            };
            let after = self.role(node, vr);
            if after != VrrpState::Master && !self.became(vr, What::BecameMaster, actions) {
                self.fail("S4", format!("n{node} is {after:?} and wants to {op}"));
            }
            if let NetOp::AddAddress { key, .. } = op {
                let device = self.plan.cluster.routers[vr].device();
                let links = &self.nodes[node].kernel.net.links;
                // It may be gone, and the news of that on their way.
                if let Some(link) = links.get(&key.link).filter(|it| it.name != device) {
                    let text = format!("n{node} wants to {op}, {}, and not on {device}", link.name);
                    self.fail("S4", text);
                }
            }
            if matches!(op, NetOp::Announce { .. }) {
                self.oracle.tracks[node][vr].announced_at = Some(now);
            }
        }
    }

    /// S14 and S21.
    fn judge_ipvs(&mut self, node: usize, ops: &[IpvsOp]) {
        let it = &self.nodes[node];
        let mut broken = None;
        let mut removed = BTreeSet::new();
        for op in ops {
            match op {
                IpvsOp::AddServer(key, server, settings) | IpvsOp::EditServer(key, server, settings) => {
                    let id = ServerId {
                        service: ServiceKey::Single(*key),
                        server: *server,
                    };
                    if settings.weight > 0 && it.promises.drained.contains(&id) {
                        broken = Some(("S14", format!("n{node}: {op}, which was drained")));
                    }
                    if removed.contains(&(*key, *server)) {
                        broken = Some((
                            "S21",
                            format!("n{node} removes {server} of {key} and adds it again"),
                        ));
                    }
                }
                IpvsOp::RemoveServer(key, server) => {
                    removed.insert((*key, *server));
                }
                IpvsOp::RemoveService(key) if !it.stopping => {
                    broken = Some(("S21", format!("n{node} removes {key}, which is configured")));
                }
                IpvsOp::Flush => broken = Some(("S21", format!("n{node} flushes the table"))),
                IpvsOp::RemoveService(_)
                | IpvsOp::AddService(..)
                | IpvsOp::EditService(..)
                | IpvsOp::StartSync(..)
                | IpvsOp::StopSync(_)
                | IpvsOp::Timeouts(_)
                | IpvsOp::Sysctl { .. } => {}
            }
        }
        if let Some((id, text)) = broken {
            self.fail(id, text);
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

    /// S3: nobody goes on where a run ended that the others may have missed.
    fn judge_adoption(&mut self, node: usize, vr: usize) {
        let it = &self.nodes[node];
        let name = &self.plan.cluster.routers[vr].name;
        let Some(sent_at) = it.sent_before.get(&name.0) else {
            return self.fail("S3", format!("n{node} goes on with VI {vr}, which it never held"));
        };
        let interval = it
            .disk
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.masters.get(&name.0));
        let window = 2 * interval
            .map_or(0, |it| it.advert_interval_us)
            .max(self.own_interval_us(node, vr));
        let ago = it.started_at.saturating_sub(*sent_at);
        if ago > window {
            let text = format!("n{node} goes on with VI {vr} after {ago} us without an advert, not {window}");
            self.fail("S3", text);
        }
    }

    /// S5, S7, S11: what roles a step led to.
    fn judge_roles(
        &mut self,
        node: usize,
        now: Mono,
        cause: &Cause,
        before: &[VrrpState],
        actions: &[Action],
    ) {
        if !self.nodes[node].begun {
            return;
        }
        self.judge_group(node);
        for (vr, before) in before.iter().copied().enumerate() {
            let after = self.role(node, vr);
            let re_entered = self.became(vr, What::BecameBackup, actions);
            if after == VrrpState::Backup && (before != VrrpState::Backup || re_entered) {
                self.observe_entry(node, now, vr, cause, actions);
                self.judge_owner(node, vr, before);
            }
            if after == VrrpState::Master && before != VrrpState::Master {
                if before == VrrpState::Backup && !re_entered {
                    self.judge_take_over(node, now, vr);
                } else if before != VrrpState::Backup {
                    self.judge_leap(node, vr, actions);
                }
            }
        }
    }

    fn observe_entry(&mut self, node: usize, now: Mono, vr: usize, cause: &Cause, actions: &[Action]) {
        let v3 = self.plan.cluster.routers[vr].version == VrrpVersion::V3;
        let own = self.own_interval_us(node, vr);
        let interval_us = match cause {
            Cause::Packet(Truth::Whole(heard)) if heard.vr == vr && v3 => heard.interval_us,
            _ => own,
        };
        let brief = actions
            .iter()
            .any(|action| matches!(action, Action::Emit(event) if event.what == What::AddressLost));
        // An interval that came with doubtful bytes is not known.
        let known = match cause {
            Cause::Packet(Truth::Whole(heard)) => self.counts(node, heard),
            Cause::Packet(_) => false,
            _ => true,
        };
        self.oracle.tracks[node][vr].silence = Silence {
            known,
            clear: true,
            since: now,
            leaving: brief,
            interval_us,
            preempt_at: None,
        };
    }

    fn judge_owner(&mut self, node: usize, vr: usize, before: VrrpState) {
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let pinned = self.view(node, vr).is_some_and(|view| view.pin.is_some());
        let starts = matches!(before, VrrpState::Init | VrrpState::Fault);
        if owner && starts && !pinned && !self.plan.cluster.grouped {
            self.fail(
                "S5",
                format!("n{node} owns VI {vr}, can take part, and becomes BACKUP"),
            );
        }
    }

    /// S11 and S8: no backup moves before its silence is over, on its own clock.
    fn judge_take_over(&mut self, node: usize, now: Mono, vr: usize) {
        let Some(view) = self.view(node, vr) else { return };
        if view.pin == Some(Pin::Promoted) {
            return;
        }
        let grouped = self.plan.cluster.grouped;
        let version = self.plan.cluster.routers[vr].version;
        let silence = &self.oracle.tracks[node][vr].silence;
        if !silence.known {
            return;
        }
        // The members of a group wait for each other: each has been silent for its own time at some moment.
        let skew = if grouped {
            0
        } else {
            skew_us(version, view.effective_priority, silence.interval_us)
        };
        let wait = match (silence.leaving, grouped) {
            (true, _) => skew,
            (false, _) => ADVERTS * silence.interval_us + skew,
        };
        let silent = u64::try_from(now.since(silence.since).as_micros()).unwrap_or(u64::MAX);
        let leaving = silence.leaving;
        // Both divide, and need not round alike.
        if silent + 2 < wait {
            let text = format!("n{node} takes over VI {vr} after {silent} us of silence, not {wait}");
            self.fail("S11", text);
        } else if !leaving {
            self.hit(Hit::LateSuccessor);
        }
    }

    /// Nobody comes from nowhere: a mastership without an election needs a reason.
    fn judge_leap(&mut self, node: usize, vr: usize, actions: &[Action]) {
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let promoted = self
            .view(node, vr)
            .is_some_and(|view| view.pin == Some(Pin::Promoted));
        let adopted = actions
            .iter()
            .any(|action| matches!(action, Action::Emit(event) if event.what == What::Adopted));
        if !owner && !promoted && !adopted && !self.plan.cluster.grouped {
            self.fail(
                "S11",
                format!("n{node} is MASTER of VI {vr} at once, and owns nothing"),
            );
        }
    }

    /// S7.
    fn judge_group(&mut self, node: usize) {
        if !self.plan.cluster.grouped || self.nodes[node].stopping {
            return;
        }
        let here = |vr: &usize| self.view(node, *vr).is_some();
        let roles: Vec<VrrpState> = (0..self.plan.cluster.routers.len())
            .filter(here)
            .map(|vr| self.role(node, vr))
            .collect();
        let some = |state| roles.contains(&state);
        let mixed = (some(VrrpState::Master) && (some(VrrpState::Backup) || some(VrrpState::Fault)))
            || (some(VrrpState::Fault) && some(VrrpState::Backup));
        if some(VrrpState::Fault) {
            self.hit(Hit::GroupFault);
        }
        if mixed {
            self.fail(
                "S7",
                format!("n{node}: the members of the sync group are {roles:?}"),
            );
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

/// Whether a master that sends this advert takes its leave in the same step, behind it.
fn farewell_follows(name: &InstanceName, advert: &lbagent::vrrp::Advert, actions: &[Action]) -> bool {
    actions
        .iter()
        .skip_while(|action| !matches!(action, Action::Send(_, it) if std::ptr::eq(it, advert)))
        .any(|action| matches!(action, Action::Send(who, it) if who == name && it.payload[2] == 0))
}
