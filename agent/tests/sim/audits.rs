//! What must hold after a while: the bounds of S2, S3, S9 and L1 to L5, and how things stand at the end.

use crate::cluster::Vr;
use crate::faults::Kind;
use crate::lan::DELAY_US;
use crate::oracles::{ADVERTS, skew_us};
use crate::sometimes::Hit;
use crate::world::{Event, LATENESS_US, World};
use lb_shared::names::{ServerKey, ServiceKey, VirtualKey};
use lb_shared::state::{Health, Pin, Programmed, ServiceState, ServiceView, VrrpState};
use lbagent::ipvs::IpvsOp;
use lbagent::net::{AddressKey, NetOp};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

const SECOND: u64 = 1_000_000;
/// Between two looks at everything.
const SWEEP_US: u64 = 500_000;
/// From a decision to its effect, when the kernel is willing.
const KERNEL_US: u64 = 100_000;
/// How long after trouble with the kernel an agent may still be putting things right.
const NET_GRACE_US: u64 = 5 * SECOND;
const IPVS_GRACE_US: u64 = 25 * SECOND;
/// The longest a master that could not send stays away.
const MUTE_US: u64 = 16 * SECOND;
/// The largest relative error of a clock.
const RATE_PERMILLE: u64 = 100;

/// Something to be looked at later.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Audit {
    Sweep,
    /// S2.
    Pair {
        place: usize,
        since: u64,
    },
    /// S9.
    Entered {
        node: usize,
        vr: usize,
        at: u64,
    },
    /// L3.
    Farewell {
        vr: usize,
        left: usize,
        at: u64,
    },
    /// The faults are over: when must there be one master?
    Quiet,
    /// L1.
    OneMaster,
}

/// Longer by what the worst clock adds.
fn stretched(span: u64) -> u64 {
    span + span * RATE_PERMILLE / 1000
}

impl World {
    pub(crate) fn begin_audits(&mut self) {
        self.push(SWEEP_US, Event::Audit(Audit::Sweep));
        let quiet_at = self.plan.quiet_at;
        self.push(quiet_at + 1, Event::Audit(Audit::Quiet));
    }

    pub(crate) fn audit(&mut self, audit: Audit) {
        match audit {
            Audit::Sweep => {
                for node in 0..self.nodes.len() {
                    self.audit_addresses(node);
                    self.audit_sorry(node);
                    self.audit_trial(node);
                }
                self.refresh_pairs();
                self.after(SWEEP_US, Event::Audit(Audit::Sweep));
            }
            Audit::Pair { place, since } => self.audit_pair(place, since),
            Audit::Entered { node, vr, at } => self.audit_announced(node, vr, at),
            Audit::Farewell { vr, left, at } => self.audit_farewell(vr, left, at),
            Audit::Quiet => self.audit_quiet(),
            Audit::OneMaster => self.audit_one_master(),
        }
    }

    /// Roles have changed in a step.
    pub(crate) fn on_roles(&mut self, node: usize, before: &[VrrpState]) {
        for (vr, old) in before.iter().enumerate() {
            let new = self.role(node, vr);
            if *old == new {
                continue;
            }
            let at = self.now;
            let track = &mut self.oracle.tracks[node][vr];
            track.turned_at = at;
            if *old == VrrpState::Master {
                track.left_at = at;
            }
            if new == VrrpState::Master {
                track.announced.clear();
                let gate_at = self.nodes[node].started_at + 3 * SECOND;
                self.push(
                    (at + KERNEL_US).max(gate_at),
                    Event::Audit(Audit::Entered { node, vr, at }),
                );
                if self.nodes[node].overrun {
                    self.hit(Hit::OverrunDuringTakeOver);
                }
            }
            let stays = self.oracle.settled_at.is_none_or(|settled| at < settled);
            if !stays {
                self.fail(
                    "L1",
                    format!("n{node} turns from {old:?} to {new:?} for VI {vr} with no fault left"),
                );
            }
        }
        self.refresh_pairs();
    }

    // ---- S2: of two masters that hear each other one leaves.

    /// Finds the pairs of masters that there are now.
    pub(crate) fn refresh_pairs(&mut self) {
        let count = self.nodes.len();
        for vr in 0..self.plan.cluster.routers.len() {
            let masters: Vec<usize> = (0..count)
                .filter(|node| self.nodes[*node].takes_part() && self.role(*node, vr) == VrrpState::Master)
                .collect();
            if masters.len() > 1 {
                self.hit(Hit::TwoMasters);
            }
            for better in 0..count {
                for worse in 0..count {
                    let place = (vr * count + better) * count + worse;
                    let there = masters.len() > 1
                        && better != worse
                        && masters.contains(&better)
                        && masters.contains(&worse)
                        && self.rank(better, vr) > self.rank(worse, vr)
                        && self.hears_well(better, worse, vr);
                    let was = self.oracle.pairs[place].is_some();
                    if there && !was {
                        let since = self.now;
                        self.oracle.pairs[place] = Some(since);
                        let bound =
                            stretched(self.own_interval_us(better, vr)) + 2 * LATENESS_US + DELAY_US + 50;
                        self.after(bound, Event::Audit(Audit::Pair { place, since }));
                    } else if !there && was {
                        self.oracle.pairs[place] = None;
                        if masters.len() == 1 && masters[0] == better {
                            self.hit(Hit::SplitHealed);
                        }
                    }
                }
            }
        }
    }

    /// What an election compares.
    fn rank(&self, node: usize, vr: usize) -> (u8, IpAddr) {
        let router = &self.plan.cluster.routers[vr];
        let priority = self.view(node, vr).map_or(0, |view| view.effective_priority);
        (priority, self.plan.cluster.source(node, router))
    }

    fn hears_well(&self, from: usize, to: usize, vr: usize) -> bool {
        let segment = self.plan.cluster.routers[vr].segment;
        let steady = |node: usize| {
            self.slowness(node).is_none()
                && !self.nodes[node].overrun
                && !self.ground_moves(node)
                && self.now >= self.nodes[node].ground_moved_at + SECOND
                && self.nodes[node].kernel.is_running(segment)
        };
        self.lan.link(from, to).is_clean() && steady(from) && steady(to)
    }

    fn audit_pair(&mut self, place: usize, since: u64) {
        self.refresh_pairs();
        if self.oracle.pairs[place] != Some(since) {
            return;
        }
        let count = self.nodes.len();
        let (vr, better, worse) = (place / count / count, place / count % count, place % count);
        let text = format!(
            "n{worse} has been MASTER of VI {vr} beside the better n{better} for {} us although it hears it",
            self.now - since
        );
        self.fail("S2", text);
    }

    // ---- S3 and S9: addresses and announcements.

    fn net_faults(&self, node: usize) -> bool {
        self.active.iter().any(|(_, it)| match it.kind {
            Kind::NetRefused { node: at, .. }
            | Kind::AddressPlanted { node: at, .. }
            | Kind::LaneSlow { node: at, .. }
            | Kind::Overrun { node: at }
            | Kind::Slow { node: at, .. }
            | Kind::Pause { node: at } => at == node,
            _ => self.ground_fault(node, &it.kind),
        })
    }

    fn ground_fault(&self, node: usize, kind: &Kind) -> bool {
        match *kind {
            Kind::LinkDown { node: at, .. }
            | Kind::LinkAnew { node: at, .. }
            | Kind::OwnAddressGone { node: at, .. }
            | Kind::SendRefused { node: at } => at == node,
            _ => false,
        }
    }

    pub(crate) fn ground_moves(&self, node: usize) -> bool {
        !self.active.is_empty()
            && self
                .active
                .iter()
                .any(|(_, it)| self.ground_fault(node, &it.kind))
    }

    pub(crate) fn net_is_fine(&self, node: usize) -> bool {
        let it = &self.nodes[node];
        let past = |at: u64, grace: u64| at == 0 || self.now > at + grace;
        past(it.net_trouble_at, NET_GRACE_US) && past(it.woke_at, SECOND) && !self.net_faults(node)
    }

    pub(crate) fn ipvs_is_fine(&self, node: usize) -> bool {
        let it = &self.nodes[node];
        // Who slept cannot have looked.
        let trouble_at = it
            .ipvs_trouble_at
            .max(if it.ipvs_trouble_at > 0 { it.woke_at } else { 0 });
        let quiet = trouble_at == 0 || self.now > trouble_at + IPVS_GRACE_US;
        let faulty = self.active.iter().any(|(_, fault)| match fault.kind {
            Kind::IpvsRefused { node: at, .. }
            | Kind::IpvsGone { node: at }
            | Kind::LaneSlow { node: at, .. } => at == node,
            _ => false,
        });
        quiet && !faulty && it.kernel.has_ipvs
    }

    fn audit_addresses(&mut self, node: usize) {
        let it = &self.nodes[node];
        if !it.takes_part() || !self.net_is_fine(node) || self.now < it.started_at + 3 * SECOND {
            return;
        }
        for vr in 0..self.plan.cluster.routers.len() {
            let track = &self.oracle.tracks[node][vr];
            if self.now < track.turned_at.max(self.nodes[node].reloaded_at) + KERNEL_US {
                continue;
            }
            let master = self.role(node, vr) == VrrpState::Master;
            let router = &self.plan.cluster.routers[vr];
            let wanted = router.addresses.len()
                - usize::from(self.nodes[node].edits.fewer_addresses && router.addresses.len() > 1);
            for (nth, address) in router.addresses.iter().enumerate() {
                let found = self.nodes[node].kernel.find(*address);
                let wrong = match (master && nth < wanted, found) {
                    (true, None) => Some("is missing"),
                    (false, Some((_, it))) if it.ours => Some("is still there"),
                    (true, Some((key, it))) if it.ours && !self.is_on(node, &key, router) => {
                        Some("is on another interface")
                    }
                    (true, Some(_)) | (false, _) => None,
                };
                if let Some(wrong) = wrong {
                    let role = self.role(node, vr);
                    return self.fail(
                        "S3",
                        format!("n{node} is {role:?} for VI {vr} and {address} {wrong}"),
                    );
                }
            }
            let configured = self.view(node, vr).is_some();
            let base = self.nodes[node].kernel.index(router.segment).is_some();
            let link = self.nodes[node].kernel.net.link(&router.device()).is_some();
            if router.vmac && base && link != configured {
                let text =
                    format!("n{node}: VI {vr} is configured: {configured}, its interface is there: {link}");
                return self.fail("S3", text);
            }
            let there = self.nodes[node].kernel.routing_of(router);
            if there != (master, master) {
                let role = self.role(node, vr);
                return self.fail(
                    "S3",
                    format!("n{node} is {role:?} for VI {vr}; its route and rule are there: {there:?}"),
                );
            }
        }
    }

    fn is_on(&self, node: usize, key: &AddressKey, router: &Vr) -> bool {
        let link = self.nodes[node].kernel.net.links.get(&key.link);
        link.is_some_and(|it| it.name == router.device())
    }

    /// An agent that left in order leaves no interface behind.
    pub(crate) fn audit_links_left(&mut self, node: usize) {
        let it = &self.nodes[node];
        let left = it.kernel.net.links.values().find(|it| it.over().is_some());
        if let Some(link) = left.filter(|_| self.net_is_fine(node)) {
            let text = format!("n{node} has ended and {} is still there", link.name);
            self.fail("S3", text);
        }
    }

    fn audit_announced(&mut self, node: usize, vr: usize, at: u64) {
        let it = &self.nodes[node];
        let track = &self.oracle.tracks[node][vr];
        let same = it.takes_part() && self.role(node, vr) == VrrpState::Master && track.turned_at == at;
        let disturbed = it.net_trouble_at.max(it.woke_at) >= at || self.net_faults(node);
        if !same || track.adopted || disturbed {
            return;
        }
        let address = self.plan.cluster.routers[vr].addresses[0];
        if !track.announced.contains(&address) {
            self.fail(
                "S9",
                format!("n{node} became MASTER of VI {vr} and did not announce {address}"),
            );
        }
    }

    /// An operation on addresses was carried out.
    pub(crate) fn on_net_effect(&mut self, node: usize, op: &NetOp) {
        let it = &self.nodes[node];
        match op {
            NetOp::Announce { about, .. } => {
                if it.kernel.find(*about).is_none() && self.net_is_fine(node) {
                    return self.fail("S9", format!("n{node} announces {about}, which is not there"));
                }
                if let Some(vr) = self
                    .plan
                    .cluster
                    .routers
                    .iter()
                    .position(|vr| vr.addresses.contains(about))
                {
                    self.oracle.tracks[node][vr].announced.insert(*about);
                }
            }
            NetOp::AddAddress { key, .. } => {
                let gate = self.now < it.started_at + 3 * SECOND;
                let hole = self
                    .services_at(key.address)
                    .any(|key| !it.kernel.ipvs.services.contains_key(&key));
                // The gate opens after two seconds whatever IPVS does.
                let late = gate && self.now > it.started_at + 2 * SECOND;
                if hole && !late && self.ipvs_is_fine(node) {
                    self.fail(
                        "S22",
                        format!("n{node} puts up {} before its services", key.address),
                    );
                }
            }
            NetOp::RemoveAddress { .. }
            | NetOp::AddRouting(_)
            | NetOp::RemoveRouting(_)
            | NetOp::AddLink(_)
            | NetOp::QuietLink { .. }
            | NetOp::RaiseLink { .. }
            | NetOp::RemoveLink { .. }
            | NetOp::Firewall(_)
            | NetOp::Sysctl { .. } => {}
        }
    }

    fn services_at(&self, wanted: IpAddr) -> impl Iterator<Item = VirtualKey> + '_ {
        self.plan
            .cluster
            .services
            .iter()
            .map(|service| service.key)
            .filter(move |key| matches!(key, VirtualKey::Address { address, .. } if *address == wanted))
    }

    /// An operation on the IPVS table was carried out.
    pub(crate) fn on_ipvs_effect(&mut self, node: usize, op: &IpvsOp) {
        if let IpvsOp::RemoveService(VirtualKey::Address { address, .. }) = op {
            let held = self.nodes[node]
                .kernel
                .find(*address)
                .is_some_and(|(_, it)| it.ours);
            if held && self.net_is_fine(node) {
                self.fail(
                    "S22",
                    format!("n{node} removes a service while {address} is still there"),
                );
            }
        }
    }

    // ---- L3: a farewell is followed at once.

    pub(crate) fn watch_farewell(&mut self, node: usize, vr: usize) {
        let slowest = self.oracle.longest_us[vr];
        if !self.calm_for(2 * SECOND + 5 * slowest) {
            return;
        }
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let steady = others.clone().all(|other| {
            let it = &self.nodes[other];
            it.takes_part()
                && self.role(other, vr) == VrrpState::Backup
                && self.now > it.started_at + 3 * SECOND
                && self.now > it.woke_at + SECOND
        });
        if !steady {
            return;
        }
        let Some(skew) = self.best_wait(vr, Some(node), |_| 0) else {
            return;
        };
        self.hit(Hit::Farewell);
        let at = self.now;
        let bound = stretched(skew) + DELAY_US + 2 * LATENESS_US + 50;
        self.after(bound, Event::Audit(Audit::Farewell { vr, left: node, at }));
    }

    /// How long the best node waits, at most: the skew, and `more` of the interval.
    fn best_wait(&self, vr: usize, except: Option<usize>, more: impl Fn(u64) -> u64) -> Option<u64> {
        let grouped = self.plan.cluster.grouped;
        let members: Vec<usize> = if grouped {
            (0..self.plan.cluster.routers.len()).collect()
        } else {
            vec![vr]
        };
        let mut longest = None;
        for member in members {
            let best = (0..self.nodes.len())
                .filter(|node| Some(*node) != except && self.is_eligible(*node, member))
                .max_by_key(|node| self.rank(*node, member));
            let Some(best) = best else { continue };
            let interval = (0..self.nodes.len())
                .map(|node| self.own_interval_us(node, member))
                .chain([self.oracle.longest_us[member]])
                .max()
                .unwrap_or(SECOND);
            let version = self.plan.cluster.routers[member].version;
            let wait = skew_us(version, self.rank(best, member).0, interval) + more(interval);
            longest = longest.max(Some(wait));
        }
        longest
    }

    fn is_eligible(&self, node: usize, vr: usize) -> bool {
        self.nodes[node].takes_part()
            && matches!(self.role(node, vr), VrrpState::Backup | VrrpState::Master)
            && self
                .view(node, vr)
                .is_some_and(|view| view.pin != Some(Pin::DemotedHard))
    }

    fn audit_farewell(&mut self, vr: usize, left: usize, at: u64) {
        let disturbed = self.disturbed_at >= at
            || self.active.iter().any(|(_, it)| it.kind.disturbs_election())
            || (0..self.nodes.len()).any(|node| node != left && !self.nodes[node].takes_part());
        if disturbed {
            return;
        }
        let successor =
            (0..self.nodes.len()).any(|node| node != left && self.role(node, vr) == VrrpState::Master);
        if !successor {
            let late = self.now - at;
            self.fail(
                "L3",
                format!("n{left} said farewell for VI {vr} and {late} us later nobody is MASTER"),
            );
        }
    }

    // ---- L1: one master, and the best one.

    fn audit_quiet(&mut self) {
        let plan = &self.plan;
        let mut settle = SECOND / 10 + plan.cluster.startup_delay_ms * 1000;
        for fault in &plan.faults {
            let late = match fault.kind {
                Kind::SendRefused { .. } | Kind::LinkDown { .. } | Kind::LinkAnew { .. } => MUTE_US,
                // What is on its way still arrives.
                Kind::Delay { most_us, .. } => most_us + SECOND / 10,
                Kind::LaneSlow { .. } | Kind::Slow { .. } => 3 * SECOND,
                _ => 0,
            };
            settle = settle.max(late);
        }
        if plan.cluster.script_weight.is_some() {
            settle += 4 * SECOND;
        }
        let wait = (0..plan.cluster.routers.len())
            .filter_map(|vr| {
                let delay = stretched(plan.cluster.routers[vr].preempt_delay_us);
                // A lower advert starts the delay, the last of it the silence.
                let intervals = if delay > 0 { ADVERTS + 1 } else { ADVERTS };
                self.best_wait(vr, None, |interval| intervals * interval)
                    .map(|wait| stretched(wait) + delay)
            })
            .max()
            .unwrap_or(0);
        let restarts = plan
            .faults
            .iter()
            .any(|it| matches!(it.kind, Kind::Crash { .. } | Kind::Stop { .. }));
        // Who was away at the last moment could not be counted: any priority may be the best.
        let unknown = if restarts || settle > SECOND {
            self.worst_skew()
        } else {
            0
        };
        let due = self.now + settle + wait + unknown + DELAY_US + 2 * LATENESS_US + 50;
        self.push(due, Event::Audit(Audit::OneMaster));
    }

    fn worst_skew(&self) -> u64 {
        (0..self.plan.cluster.routers.len())
            .map(|vr| {
                let interval = (0..self.nodes.len())
                    .map(|node| self.own_interval_us(node, vr))
                    .chain([self.oracle.longest_us[vr]])
                    .max()
                    .unwrap_or(SECOND);
                stretched(ADVERTS * interval + interval.max(SECOND))
            })
            .max()
            .unwrap_or(0)
    }

    fn groups_differ(&self) -> bool {
        let first = self.nodes[0].edits.fewer_instances;
        self.plan.cluster.grouped && self.nodes.iter().any(|node| node.edits.fewer_instances != first)
    }

    fn audit_one_master(&mut self) {
        for vr in 0..self.plan.cluster.routers.len() {
            let eligible: Vec<usize> = (0..self.nodes.len())
                .filter(|node| self.is_eligible(*node, vr))
                .collect();
            let masters: Vec<usize> = eligible
                .iter()
                .copied()
                .filter(|node| self.role(*node, vr) == VrrpState::Master)
                .collect();
            if eligible.is_empty() {
                continue;
            }
            if self.groups_differ() {
                // Nodes that do not agree on what moves together may wait for each other for ever.
                continue;
            }
            let &[master] = masters.as_slice() else {
                let text = format!("VI {vr} has the masters {masters:?} of {eligible:?} when one is due");
                return self.fail("L1", text);
            };
            let priority = self.rank(master, vr).0;
            let better = eligible.iter().find(|node| {
                let preempts = self.view(**node, vr).is_some_and(|view| {
                    view.preempt || view.effective_priority == 255 || view.pin == Some(Pin::Promoted)
                });
                self.rank(**node, vr).0 > priority && preempts
            });
            // In a group the members' priorities may differ, and the least willing one decides.
            if let (Some(better), false) = (better, self.plan.cluster.grouped) {
                let text =
                    format!("n{master} is MASTER of VI {vr} with {priority}, the better n{better} is not");
                return self.fail("L1", text);
            }
        }
        if !self.groups_differ() {
            self.hit(Hit::Converged);
            self.oracle.settled_at = Some(self.now);
        }
    }

    // ---- How things stand at the end.

    pub(crate) fn audit_end(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.nodes[node].takes_part() {
                let it = &self.nodes[node];
                let text = format!(
                    "n{node} does not run at the end: agent {}, begun {}, stopping {}",
                    it.engine.is_some(),
                    it.begun,
                    it.stopping
                );
                self.fail("L6", text);
                return;
            }
            self.judge_fold(node);
            self.audit_addresses(node);
            self.audit_faults(node);
            self.audit_answers(node);
            self.audit_services(node);
        }
    }

    /// L8.
    fn audit_faults(&mut self, node: usize) {
        for vr in 0..self.plan.cluster.routers.len() {
            let Some(view) = self.view(node, vr) else { continue };
            if matches!(view.state, VrrpState::Fault | VrrpState::Init) {
                let text = format!(
                    "n{node} is still {:?} for VI {vr}: {}",
                    view.state,
                    view.faults.join(", ")
                );
                return self.fail("L8", text);
            }
        }
    }

    /// S28.
    fn audit_answers(&mut self, node: usize) {
        let late = self.nodes[node]
            .tickets
            .values()
            .filter(|it| self.now > it.at + 10 * SECOND)
            .count();
        if late > 0 {
            self.fail("S28", format!("n{node} never answered {late} questions"));
        }
    }

    /// L4 and L5: the table is what the views say, and the views are what the servers do.
    fn audit_services(&mut self, node: usize) {
        let views: Vec<Arc<ServiceView>> = self.nodes[node].view.services.values().cloned().collect();
        for view in &views {
            let ServiceKey::Single(key) = view.key else {
                continue;
            };
            if view.programmed != Programmed::Yes {
                return self.fail(
                    "L4",
                    format!("n{node}: {key} is not programmed: {:?}", view.programmed),
                );
            }
            let mut wanted: BTreeMap<ServerKey, u32> = BTreeMap::new();
            let mut down = None;
            for server in self.nodes[node].view.servers_of(&view.key) {
                if server.health != Health::Up {
                    down = Some(format!(
                        "n{node}: {} answers and is {:?}",
                        server.id, server.health
                    ));
                }
                if let Some(weight) = server.effective {
                    wanted.insert(server.id.server, weight.get());
                }
            }
            if let Some(text) = down {
                return self.fail("L5", text);
            }
            if let Some(sorry) = view.sorry {
                let inhibit = self
                    .plan
                    .cluster
                    .services
                    .iter()
                    .any(|it| it.key == key && it.sorry.is_some_and(|it| it.1));
                if view.state == ServiceState::Sorry {
                    wanted.insert(sorry, 1);
                } else if inhibit {
                    wanted.insert(sorry, 0);
                }
            }
            let have: Option<BTreeMap<ServerKey, u32>> =
                self.nodes[node].kernel.ipvs.services.get(&key).map(|it| {
                    it.destinations
                        .iter()
                        .map(|(server, it)| (*server, it.settings.weight))
                        .collect()
                });
            if have.as_ref() != Some(&wanted) {
                return self.fail(
                    "L4",
                    format!("n{node}: {key} should have {wanted:?} and has {have:?}"),
                );
            }
        }
        let drained: Vec<_> = self.nodes[node].promises.drained.iter().cloned().collect();
        for id in drained {
            let ServiceKey::Single(key) = &id.service else {
                continue;
            };
            let table = &self.nodes[node].kernel.ipvs;
            let held = table
                .services
                .get(key)
                .and_then(|it| it.destinations.get(&id.server));
            if held.is_some_and(|it| it.settings.weight > 0) {
                return self.fail("S14", format!("n{node}: {id} was drained and takes connections"));
            }
        }
    }
}
