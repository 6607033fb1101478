//! What stands around an engine: sends, lanes, disk, checks, scripts — as the agent's shell does it.

use crate::cluster::TCP_TIMEOUT_US;
use crate::faults::{DiskLoss, Kind};
use crate::node::{Asked, Clock, Disk, Job, Write};
use crate::random::Random;
use crate::sometimes::Hit;
use crate::world::{Cause, Event, Heard, Packet, Truth, World};
use lb_shared::event::{Actor, Change};
use lb_shared::names::InstanceName;
use lb_shared::state::{Object, OverrideKind, Target, VrrpState};
use lb_shared::units::Mono;
use lbagent::engine::{Action, Boot, Engine, Input, IpvsNews, NetNews, Previous, StoredIntent, Ticket};
use lbagent::health::{CheckId, CheckJob, CheckOutcome};
use lbagent::model::{CheckKind, Job as ScriptJob, JobEnd, JobId, JobOutcome};
use lbagent::vrrp::Advert;
use std::collections::BTreeMap;
use std::time::Duration;

/// Errnos the kernel answers with when it is not willing.
const UNWILLING: [i32; 3] = [12, 16, 1];
const NOT_SUPPORTED: i32 = 95;

impl World {
    /// An agent starts on a node, with what an earlier one left.
    pub(crate) fn start(&mut self, node: usize) {
        if self.nodes[node].engine.is_some() {
            return;
        }
        let now = self.now;
        let seed = self.random.next();
        let it = &mut self.nodes[node];
        it.lose_agent();
        it.started_at = now;
        it.sent_before = it.disk.sent_at.clone();
        it.ground_moved_at = now;
        self.disturbed_at = now;
        let it = &mut self.nodes[node];
        it.clock = Clock::new(now, it.clock.ppm());
        let previous = it.disk.ledger.clone().map(|ledger| {
            let sent = it.disk.sent_at.iter();
            let sent_ago = sent
                .map(|(name, at)| (name.clone(), Duration::from_micros(now - at)))
                .collect();
            Previous { ledger, sent_ago }
        });
        let file = it.file.clone();
        let former = it.former(now);
        let former = former.map(|(edits, note)| (self.new_model(node, &edits), note));
        let mut model = self.new_model(node, &file);
        model.force = false;
        self.known.insert(model.texts.fingerprint(), file);
        let it = &mut self.nodes[node];
        let boot = Boot {
            model,
            former,
            refused: Vec::new(),
            intent: it.disk.read_intent(),
            previous,
            signed: None,
            wall_ms: wall_ms(now),
            host: format!("n{node}"),
            pid: it.epoch,
            ipvs_sysctls: BTreeMap::from([
                ("expire_nodest_conn", "0".to_owned()),
                ("expire_quiescent_template", "0".to_owned()),
            ]),
        };
        if boot.intent.lost {
            self.sometimes.hit(Hit::BothGenerationsBad);
        } else if boot.intent.trouble.is_some() {
            self.sometimes.hit(Hit::PreviousGeneration);
        }
        let mut engine = Engine::new(boot, seed, Mono::ZERO);
        let mut actions = Vec::new();
        while let Some(action) = engine.poll_action() {
            actions.push(action);
        }
        let it = &mut self.nodes[node];
        it.edits = it.trials.expected().clone();
        it.in_force = engine.in_force().2;
        it.deadline = engine.next_deadline();
        it.engine = Some(engine);
        self.note(|| format!("n{node} starts"));
        self.fold(node, &actions);
        self.oracle.on_start(node);
        for action in actions {
            self.perform(node, action);
        }
        let epoch = self.nodes[node].epoch;
        let wait = self.random.between(500, 5_000);
        self.after(wait, Event::Snapshot { node, epoch });
        self.arm(node);
    }

    /// Keeps the picture that the events add up to.
    pub(crate) fn fold(&mut self, node: usize, actions: &[Action]) {
        let it = &mut self.nodes[node];
        for action in actions {
            let Action::Emit(event) = action else { continue };
            it.view.apply(event);
            it.begun |= event.what == lb_shared::event::What::Started;
            for change in &event.changes {
                let (name, state) = match change {
                    Change::Put(Object::Instance(view)) => (&view.name, view.state),
                    Change::Remove(lb_shared::state::ObjectId::Instance(name)) => (name, VrrpState::Init),
                    Change::Put(_) | Change::Remove(_) => continue,
                };
                if let Some(vr) = self.plan.cluster.routers.iter().position(|vr| vr.name == *name) {
                    it.roles[vr] = state;
                }
            }
        }
    }

    pub(crate) fn perform(&mut self, node: usize, action: Action) {
        match action {
            Action::Send(name, advert) => self.send(node, name, &advert),
            Action::Listen(endpoints) => self.nodes[node].listening = endpoints,
            Action::WatchRouting(_) | Action::WatchFirewall(_) | Action::ReadSysctls(_) => {}
            Action::Net(id, ops) => {
                self.nodes[node].net_lane.jobs.push_back(Job::Net(id, ops));
                self.kick_net_lane(node);
            }
            Action::Ipvs(id, ops) => {
                self.nodes[node].ipvs_lane.jobs.push_back(Job::Ipvs(id, ops));
                self.kick_ipvs_lane(node);
            }
            Action::DumpIpvs => {
                self.nodes[node].ipvs_lane.jobs.push_back(Job::Dump);
                self.kick_ipvs_lane(node);
            }
            Action::Check(id, job) => self.check(node, id, &job),
            Action::CancelCheck(_) => {}
            Action::Run(id, job) => self.run_script(node, id, &job),
            Action::Emit(_)
            | Action::Dump(..)
            | Action::Fifos(_)
            | Action::Fifo(..)
            | Action::Mail(..)
            | Action::Processes(_)
            | Action::BfdPaths(_)
            | Action::BfdSend(..)
            | Action::Numbers(_)
            | Action::ScriptRules(_) => {}
            Action::KeepFormer(id, former) => {
                let kept = self.kept(former.as_deref()).map(Box::new);
                self.nodes[node].disk.writes.push_back(Write::Former(id, kept));
                self.kick_disk(node);
            }
            Action::Answer(ticket, reply) => self.on_answer(node, ticket, &reply),
            Action::Persist(id, overrides) => {
                self.nodes[node]
                    .disk
                    .writes
                    .push_back(Write::Intent(id, overrides));
                self.kick_disk(node);
            }
            Action::Ledger(ledger) => {
                self.nodes[node].disk.writes.push_back(Write::Ledger(ledger));
                self.kick_disk(node);
            }
            Action::Finished => self.finish(node),
        }
    }

    fn finish(&mut self, node: usize) {
        self.note(|| format!("n{node} ends"));
        let in_order = self.nodes[node]
            .engine
            .as_ref()
            .is_some_and(Engine::left_in_order);
        let it = &mut self.nodes[node];
        it.finished = true;
        // The store writes what it was given before the process ends.
        while let Some(write) = it.disk.writes.pop_front() {
            it.disk.put(write);
        }
        if in_order {
            it.disk.ledger = None;
            self.audit_links_left(node);
        }
        self.refresh_pairs();
    }

    // ---- Adverts.

    fn send(&mut self, node: usize, name: InstanceName, advert: &Advert) {
        let Some(vr) = self.plan.cluster.routers.iter().position(|vr| vr.name == name) else {
            return;
        };
        let segment = advert.link.and_then(|link| self.nodes[node].kernel.segment(link));
        let refused = self
            .active
            .iter()
            .any(|(_, it)| it.kind == Kind::SendRefused { node });
        let Some(segment) =
            segment.filter(|segment| self.nodes[node].kernel.is_running(*segment) && !refused)
        else {
            self.oracle.failed_sends.push((node, name));
            return;
        };
        self.nodes[node].disk.sent_at.insert(name.0, self.now);
        let heard = Heard {
            vr,
            from: Some(node),
            priority: advert.payload[2],
            interval_us: interval_us(&advert.payload),
            source: advert.source,
        };
        let packet = Packet {
            segment,
            source: advert.source,
            destination: advert.destination,
            ttl: 255,
            payload: advert.payload.clone(),
            truth: Truth::Whole(heard),
        };
        self.oracle.longest_us[vr] = self.oracle.longest_us[vr].max(heard.interval_us);
        if self.replays {
            if self.sent.len() == 16 {
                self.sent.pop_front();
            }
            self.sent.push_back(packet.clone());
        }
        self.transmit(node, &packet);
    }

    /// Adverts that did not get out, after everything else of a step.
    pub(crate) fn feed_failures(&mut self, node: usize) {
        let mut failed = Vec::new();
        self.oracle.failed_sends.retain(|(at, name)| {
            if *at == node {
                failed.push(name.clone());
            }
            *at != node
        });
        for name in failed {
            self.feed(node, Cause::Other, Input::SendFailed(name));
        }
    }

    /// Puts a packet on its segment.
    pub(crate) fn transmit(&mut self, from: usize, packet: &Packet) {
        for to in 0..self.nodes.len() {
            if to == from || !self.nodes[to].kernel.is_running(packet.segment) {
                continue;
            }
            if !packet.destination.is_multicast() && self.nodes[to].kernel.find(packet.destination).is_none()
            {
                continue;
            }
            for delay in self.lan.carry(from, to, &mut self.random).into_iter().flatten() {
                let mut copy = packet.clone();
                if self.lan.corrupt(from, to, &mut copy.payload, &mut self.random) {
                    copy.truth = crate::advert::judge(&copy);
                }
                self.after(
                    delay,
                    Event::Packet {
                        node: to,
                        packet: Box::new(copy),
                    },
                );
            }
        }
    }

    // ---- Lanes.

    fn lane_delay(&mut self, node: usize) -> u64 {
        let slow = self.active.iter().find_map(|(_, it)| match it.kind {
            Kind::LaneSlow { node: slow, most_us } if slow == node => Some(most_us),
            _ => None,
        });
        50 + self.random.below(slow.unwrap_or(2_000))
    }

    fn kick_net_lane(&mut self, node: usize) {
        let lane = &mut self.nodes[node].net_lane;
        if lane.busy || lane.jobs.is_empty() {
            return;
        }
        lane.busy = true;
        let (epoch, delay) = (self.nodes[node].epoch, self.lane_delay(node));
        self.after(delay, Event::NetLane { node, epoch });
    }

    fn kick_ipvs_lane(&mut self, node: usize) {
        let lane = &mut self.nodes[node].ipvs_lane;
        if lane.busy || lane.jobs.is_empty() {
            return;
        }
        lane.busy = true;
        let (epoch, delay) = (self.nodes[node].epoch, self.lane_delay(node));
        self.after(delay, Event::IpvsLane { node, epoch });
    }

    fn refusal(&mut self, node: usize, net: bool) -> Option<i32> {
        let permille = self.active.iter().find_map(|(_, it)| match it.kind {
            Kind::NetRefused { node: at, permille } if net && at == node => Some(permille),
            Kind::IpvsRefused { node: at, permille } if !net && at == node => Some(permille),
            _ => None,
        })?;
        let refused = self.random.chance(permille);
        refused.then(|| self.random.pick(&UNWILLING))
    }

    pub(crate) fn run_net_lane(&mut self, node: usize) {
        self.nodes[node].net_lane.busy = false;
        let Some(Job::Net(id, ops)) = self.nodes[node].net_lane.jobs.pop_front() else {
            return;
        };
        let mut failures = Vec::new();
        for (place, op) in ops.iter().enumerate() {
            let refusal = self.refusal(node, true);
            let (news, result) = self.nodes[node].kernel.execute_net(op, refusal);
            match result {
                Ok(()) => self.on_net_effect(node, op),
                Err(error) => {
                    self.nodes[node].net_trouble_at = self.now;
                    failures.push((place, error));
                }
            }
            self.tell(node, news);
        }
        self.answer_lane(node, Input::Net(NetNews::Done(id, failures)));
        self.kick_net_lane(node);
    }

    pub(crate) fn run_ipvs_lane(&mut self, node: usize) {
        self.nodes[node].ipvs_lane.busy = false;
        let Some(job) = self.nodes[node].ipvs_lane.jobs.pop_front() else {
            return;
        };
        let has_ipvs = self.nodes[node].kernel.has_ipvs;
        let missing = || Input::Ipvs(IpvsNews::Missing("no ip_vs in this kernel".to_owned()));
        match job {
            Job::Dump if has_ipvs => {
                let table = self.nodes[node].kernel.ipvs.clone();
                self.answer_lane(node, Input::Ipvs(IpvsNews::Table(table)));
            }
            Job::Dump => self.answer_lane(node, missing()),
            Job::Ipvs(id, ops) => {
                let mut failures = Vec::new();
                if !has_ipvs {
                    self.answer_lane(node, missing());
                }
                for (place, op) in ops.iter().enumerate() {
                    let refusal = if has_ipvs {
                        self.refusal(node, false)
                    } else {
                        Some(NOT_SUPPORTED)
                    };
                    match self.nodes[node].kernel.execute_ipvs(op, refusal) {
                        Ok(()) => self.on_ipvs_effect(node, op),
                        Err(error) => {
                            self.nodes[node].ipvs_trouble_at = self.now;
                            failures.push((place, error));
                        }
                    }
                }
                self.answer_lane(node, Input::Ipvs(IpvsNews::Done(id, failures)));
            }
            Job::Net(..) => {}
        }
        self.kick_ipvs_lane(node);
    }

    /// A lane's answer travels to the core thread on its own.
    fn answer_lane(&mut self, node: usize, input: Input) {
        let epoch = self.nodes[node].epoch;
        let lane = usize::from(matches!(input, Input::Ipvs(_)));
        let at = (self.now + self.random.between(5, 300)).max(self.oracle.answered_at[node][lane]);
        self.oracle.answered_at[node][lane] = at;
        self.push(
            at,
            Event::Feed {
                node,
                epoch,
                news: Box::new((Cause::Other, input)),
            },
        );
    }

    /// The kernel tells everybody, in order; what an overrun swallowed is made up for by reading the whole table.
    pub(crate) fn tell(&mut self, node: usize, news: impl IntoIterator<Item = NetNews>) {
        for news in news {
            let late = self.random.between(5, 300);
            let now = self.now;
            let it = &mut self.nodes[node];
            if it.engine.is_none() || it.overrun {
                continue;
            }
            it.told_at = it.told_at.max(now + late);
            let (at, epoch) = (it.told_at, it.epoch);
            let input = Input::Net(news);
            self.push(
                at,
                Event::Feed {
                    node,
                    epoch,
                    news: Box::new((Cause::Other, input)),
                },
            );
        }
    }

    pub(crate) fn snapshot(&mut self, node: usize) {
        let table = self.nodes[node].kernel.net.clone();
        self.nodes[node].overrun = false;
        self.tell(node, [NetNews::Table(table)]);
    }

    // ---- Disk.

    fn kick_disk(&mut self, node: usize) {
        let disk = &mut self.nodes[node].disk;
        if disk.busy || disk.writes.is_empty() {
            return;
        }
        disk.busy = true;
        let epoch = self.nodes[node].epoch;
        let wait = self.random.between(100, 10_000);
        self.after(wait, Event::Disk { node, epoch });
    }

    pub(crate) fn run_disk(&mut self, node: usize) {
        self.nodes[node].disk.busy = false;
        let full = self
            .active
            .iter()
            .any(|(_, it)| it.kind == Kind::DiskFull { node });
        let Some(write) = self.nodes[node].disk.writes.pop_front() else {
            return;
        };
        let result = if full {
            Err("No space left on device".to_owned())
        } else {
            Ok(())
        };
        let input = match &write {
            Write::Intent(id, _) => Some(Input::Persisted(*id, result)),
            Write::Former(id, _) => Some(Input::FormerKept(*id, result)),
            Write::Ledger(_) => None,
        };
        if let Some(input) = input {
            let epoch = self.nodes[node].epoch;
            self.after(
                20,
                Event::Feed {
                    node,
                    epoch,
                    news: Box::new((Cause::Other, input)),
                },
            );
        }
        if !full {
            self.nodes[node].disk.put(write);
        }
        self.kick_disk(node);
    }

    // ---- Checks and scripts.

    fn check(&mut self, node: usize, id: CheckId, job: &CheckJob) {
        let CheckKind::Tcp(tcp) = &job.kind else { return };
        let server = self
            .plan
            .cluster
            .servers()
            .position(|(_, it)| it.key.address == tcp.to.ip());
        let inconclusive = self
            .active
            .iter()
            .any(|(_, it)| it.kind == Kind::Inconclusive { node });
        let state = server.and_then(|server| self.server_trouble(server));
        let quick = self.random.between(100, 2_000);
        let (wait, outcome, cause) = if inconclusive {
            let why = "no descriptors left".to_owned();
            (10, CheckOutcome::Inconclusive { why }, Cause::Inconclusive)
        } else {
            match state {
                None => {
                    let took = Duration::from_micros(quick);
                    (quick, CheckOutcome::Pass { took, weight: None }, Cause::Other)
                }
                Some(silent) => {
                    let wait = if silent { TCP_TIMEOUT_US } else { quick };
                    let took = Duration::from_micros(wait);
                    let why = if silent { "timed out" } else { "connection refused" };
                    (
                        wait,
                        CheckOutcome::Fail {
                            took,
                            why: why.to_owned(),
                        },
                        Cause::Other,
                    )
                }
            }
        };
        let epoch = self.nodes[node].epoch;
        let input = Input::Checked(id, outcome);
        self.after(
            wait,
            Event::Feed {
                node,
                epoch,
                news: Box::new((cause, input)),
            },
        );
    }

    /// Whether a server does not answer, and if so whether silently.
    pub(crate) fn server_trouble(&self, server: usize) -> Option<bool> {
        self.active.iter().find_map(|(_, it)| match it.kind {
            Kind::ServerDown { server: down, silent } if down == server => Some(silent),
            Kind::AllServersDown => Some(false),
            _ => None,
        })
    }

    fn run_script(&mut self, node: usize, id: JobId, job: &ScriptJob) {
        if !job.report {
            return;
        }
        let fails = self
            .active
            .iter()
            .any(|(_, it)| it.kind == Kind::ScriptFails { node });
        let outcome = JobOutcome {
            end: JobEnd::Exited(i32::from(fails)),
            output: Vec::new(),
        };
        let epoch = self.nodes[node].epoch;
        let wait = self.random.between(1_000, 20_000);
        let input = Input::Ran(id, outcome);
        self.after(
            wait,
            Event::Feed {
                node,
                epoch,
                news: Box::new((Cause::Other, input)),
            },
        );
    }

    /// A question gets its number.
    pub(crate) fn ticket(
        &mut self,
        node: usize,
        drains: Vec<lb_shared::names::ServerId>,
        is_act: bool,
    ) -> Ticket {
        let at = self.now;
        let it = &mut self.nodes[node];
        it.next_ticket += 1;
        let ticket = Ticket(it.next_ticket);
        let asked = Asked {
            at,
            drains,
            is_act,
            wish: None,
        };
        it.tickets.insert(ticket, asked);
        ticket
    }
}

impl Disk {
    pub(crate) fn put(&mut self, write: Write) {
        match write {
            Write::Intent(_, overrides) => {
                let newest = self.intent[0].replace(overrides);
                if !self.newest_unreadable {
                    self.intent[1] = newest;
                }
                self.newest_unreadable = false;
                self.both_unreadable = false;
            }
            Write::Ledger(ledger) => self.ledger = Some(ledger),
            Write::Former(_, former) => self.former = former.map(|it| *it),
        }
    }

    /// The ladder: the newest generation, else the one before, else doubt.
    fn read_intent(&self) -> StoredIntent {
        if self.both_unreadable {
            let trouble = Some("neither generation can be read".to_owned());
            return StoredIntent {
                overrides: Vec::new(),
                trouble,
                lost: true,
            };
        }
        if self.newest_unreadable {
            let trouble = Some("using generation 1".to_owned());
            return match &self.intent[1] {
                Some(overrides) => StoredIntent {
                    overrides: overrides.clone(),
                    trouble,
                    lost: false,
                },
                None => StoredIntent {
                    overrides: Vec::new(),
                    trouble,
                    lost: true,
                },
            };
        }
        let overrides = self.intent[0].clone().unwrap_or_default();
        StoredIntent {
            overrides,
            trouble: None,
            lost: false,
        }
    }

    /// A crash: what was being written is there or not, and files may be damaged.
    pub(crate) fn crash(&mut self, loss: DiskLoss, random: &mut Random) -> bool {
        let pending = self.writes.front().cloned();
        let caught = pending.is_some();
        if let Some(write) = pending.filter(|_| random.chance(500)) {
            self.put(write);
        }
        if self.intent[0].is_some() {
            self.newest_unreadable |= loss != DiskLoss::Nothing;
            self.both_unreadable |= loss == DiskLoss::Both;
        }
        caught
    }

    /// Whether an override is where the next start finds it.
    pub(crate) fn holds(&self, target: &Target, wanted: impl Fn(OverrideKind) -> bool) -> bool {
        self.intent[0]
            .iter()
            .flatten()
            .any(|it| it.target == *target && wanted(it.kind))
    }
}

/// Unix time in milliseconds.
pub(crate) fn wall_ms(now: u64) -> u64 {
    1_800_000_000_000 + now / 1000
}

pub(crate) fn actor() -> Actor {
    Actor {
        uid: 1000,
        pid: 1,
        user: "op".to_owned(),
    }
}

/// The interval an advert claims.
pub(crate) fn interval_us(payload: &[u8]) -> u64 {
    match payload[0] >> 4 {
        2 => u64::from(payload[5]) * 1_000_000,
        _ => u64::from(u16::from_be_bytes([payload[4] & 0x0f, payload[5]])) * 10_000,
    }
}
