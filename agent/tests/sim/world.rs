//! The world: virtual time, the queue of what happens, and one step of one agent.

use crate::cluster::Edits;
use crate::faults::{Fault, Forgery, Kind, Plan};
use crate::lan::Lan;
use crate::node::{Node, SOCKET_MAX};
use crate::oracles::{Audit, Oracle};
use crate::planted::Planted;
use crate::random::{Random, mix};
use crate::sometimes::{Hit, Sometimes};
use crate::trace::Trace;
use lb_shared::state::VrrpState;
use lbagent::engine::{Action, Input};
use lbagent::vrrp::{Datagram, Ear, Endpoint};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;

/// How late a running agent does what is due, at most.
pub(crate) const LATENESS_US: u64 = 200;

/// What a packet claims, as its sender meant it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) vr: usize,
    /// `None`: forged.
    pub(crate) from: Option<usize>,
    pub(crate) priority: u8,
    pub(crate) interval_us: u64,
    pub(crate) source: IpAddr,
}

/// What is known about a packet's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Truth {
    /// As it was sent, and right.
    Whole(Heard),
    /// Not acceptable to anybody.
    Junk,
    /// Nobody can say without decoding it.
    Unknown,
}

/// A packet on a segment.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) segment: usize,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) truth: Truth,
}

/// Why an agent makes a step.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    Tick,
    /// `None`: the receiver has no right to refuse it, nor a duty to take it.
    Packet(Truth),
    Reload {
        edits: Edits,
    },
    Stop {
        hand_over: bool,
    },
    Inconclusive,
    Command,
    Other,
}

/// What waits for a process that does not run.
#[derive(Clone, Debug)]
pub(crate) enum Deferred {
    Feed(Box<(Cause, Input)>),
    Happen(Event),
}

/// Something that happens at a moment.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Wake {
        node: usize,
        epoch: u32,
    },
    Packet {
        node: usize,
        packet: Box<Packet>,
    },
    Feed {
        node: usize,
        epoch: u32,
        news: Box<(Cause, Input)>,
    },
    NetLane {
        node: usize,
        epoch: u32,
    },
    IpvsLane {
        node: usize,
        epoch: u32,
    },
    Disk {
        node: usize,
        epoch: u32,
    },
    /// The whole table of links and addresses is read.
    Snapshot {
        node: usize,
        epoch: u32,
    },
    Start {
        node: usize,
    },
    Resume {
        node: usize,
        epoch: u32,
    },
    Forge {
        fault: usize,
        nth: u64,
    },
    Begin(usize),
    End(usize),
    Audit(Audit),
}

#[derive(Debug)]
struct Entry {
    at: u64,
    seq: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    /// The invariant: `S1`, `L2`, …
    pub(crate) id: &'static str,
    pub(crate) at: u64,
    pub(crate) text: String,
}

/// Everything there is.
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) plan: Plan,
    pub(crate) nodes: Vec<Node>,
    pub(crate) lan: Lan,
    pub(crate) random: Random,
    /// Faults in force, by their place in the plan.
    pub(crate) active: Vec<(usize, Fault)>,
    /// When something last changed that decides elections.
    pub(crate) disturbed_at: u64,
    pub(crate) oracle: Oracle,
    pub(crate) planted: Option<Planted>,
    pub(crate) sometimes: Sometimes,
    /// What texts stand for, by their fingerprints.
    pub(crate) known: BTreeMap<u64, Edits>,
    /// Adverts that were sent, for replays.
    pub(crate) sent: VecDeque<Packet>,
    pub(crate) replays: bool,
    /// Inputs handled by engines.
    pub(crate) steps: u64,
    pub(crate) hash: u64,
    pub(crate) violation: Option<Violation>,
    pub(crate) trace: Option<Trace>,
    heap: BinaryHeap<Reverse<Entry>>,
    seq: u64,
    actions: Vec<Action>,
}

impl World {
    pub(crate) fn new(plan: Plan, planted: Option<Planted>, trace: bool) -> Self {
        let cluster = &plan.cluster;
        let nodes: Vec<Node> = (0..cluster.hosts.len())
            .map(|node| Node::new(cluster, node))
            .collect();
        let mut world = Self {
            now: 0,
            lan: Lan::new(nodes.len()),
            random: Random::new(plan.seed, "world"),
            active: Vec::new(),
            disturbed_at: 0,
            oracle: Oracle::new(cluster),
            planted,
            sometimes: Sometimes::default(),
            known: BTreeMap::new(),
            sent: VecDeque::new(),
            replays: plan.faults.iter().any(|it| {
                matches!(
                    it.kind,
                    Kind::Forge {
                        shape: Forgery::Replay,
                        ..
                    }
                )
            }),
            steps: 0,
            hash: plan.seed,
            violation: None,
            trace: trace.then(Trace::default),
            heap: BinaryHeap::new(),
            seq: 0,
            actions: Vec::new(),
            nodes,
            plan,
        };
        for node in 0..world.nodes.len() {
            let at = world.random.below(1000);
            world.push(at, Event::Start { node });
        }
        for (place, fault) in world.plan.faults.clone().iter().enumerate() {
            world.push(fault.at, Event::Begin(place));
        }
        world.begin_audits();
        world
    }

    pub(crate) fn push(&mut self, at: u64, event: Event) {
        self.seq += 1;
        self.heap.push(Reverse(Entry {
            at: at.max(self.now),
            seq: self.seq,
            event,
        }));
    }

    pub(crate) fn after(&mut self, span: u64, event: Event) {
        self.push(self.now.saturating_add(span), event);
    }

    /// Lets everything happen until the end or the first broken promise.
    pub(crate) fn run(&mut self) {
        while let Some(Reverse(entry)) = self.heap.pop() {
            if entry.at > self.plan.end_at || self.violation.is_some() {
                break;
            }
            self.now = entry.at;
            self.happen(entry.event);
        }
        if self.violation.is_none() {
            self.now = self.plan.end_at;
            self.audit_end();
        }
    }

    pub(crate) fn fail(&mut self, id: &'static str, text: String) {
        if self.violation.is_none() {
            self.note(|| format!("*** {id}: {text}"));
            self.violation = Some(Violation {
                id,
                at: self.now,
                text,
            });
        }
    }

    /// Something worth telling whoever reads the trace.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        self.record(true, text);
    }

    fn record(&mut self, notable: bool, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
            let seconds = self.now as f64 / 1e6;
            trace.add(notable, format!("{seconds:>12.6} {}", text()));
        }
    }

    fn is_current(&self, node: usize, epoch: u32) -> bool {
        self.nodes[node].epoch == epoch && self.nodes[node].engine.is_some()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Wake { node, epoch } => {
                if !self.is_current(node, epoch) || self.nodes[node].paused {
                    return;
                }
                if self.nodes[node].wake.is_some_and(|(at, _)| at == self.now) {
                    self.nodes[node].wake = None;
                    if self.hiccups(node) {
                        return;
                    }
                    self.tick(node);
                }
            }
            Event::Packet { node, packet } => {
                let it = &mut self.nodes[node];
                if it.engine.is_none() || it.finished {
                    return;
                }
                if it.paused {
                    if it.socket.len() < SOCKET_MAX {
                        it.socket.push_back(*packet);
                    }
                    return;
                }
                if self.hiccups(node) {
                    self.nodes[node].socket.push_back(*packet);
                } else {
                    self.hear(node, &packet);
                }
            }
            Event::Feed { node, epoch, news } => {
                if !self.is_current(node, epoch) {
                    return;
                }
                if self.nodes[node].paused || self.hiccups(node) {
                    self.nodes[node].deferred.push(Deferred::Feed(news));
                } else {
                    let (cause, input) = *news;
                    self.feed(node, cause, input);
                }
            }
            Event::NetLane { node, epoch }
            | Event::IpvsLane { node, epoch }
            | Event::Disk { node, epoch } => {
                if !self.is_current(node, epoch) {
                    return;
                }
                // The other threads of a stopped process stand still too.
                if self.nodes[node].paused && !self.nodes[node].hiccup {
                    self.nodes[node].deferred.push(Deferred::Happen(event));
                    return;
                }
                match event {
                    Event::NetLane { .. } => self.run_net_lane(node),
                    Event::IpvsLane { .. } => self.run_ipvs_lane(node),
                    _ => self.run_disk(node),
                }
            }
            Event::Snapshot { node, epoch } => {
                if self.is_current(node, epoch) {
                    self.snapshot(node);
                }
            }
            Event::Start { node } => self.start(node),
            Event::Resume { node, epoch } => {
                if self.is_current(node, epoch) && self.nodes[node].hiccup {
                    self.nodes[node].hiccup = false;
                    self.resume(node);
                }
            }
            Event::Forge { fault, nth } => self.forge(fault, nth),
            Event::Begin(fault) => self.begin(fault),
            Event::End(fault) => self.end(fault),
            Event::Audit(audit) => self.audit(audit),
        }
    }

    /// A slow node stops now and then for a moment. True if it just did.
    fn hiccups(&mut self, node: usize) -> bool {
        let Some(most) = self.slowness(node) else {
            return false;
        };
        if !self.random.chance(250) {
            return false;
        }
        let it = &mut self.nodes[node];
        it.paused = true;
        it.hiccup = true;
        let epoch = it.epoch;
        let span = self.random.below(most);
        self.after(span, Event::Resume { node, epoch });
        true
    }

    /// The process runs again: packets that waited come first, then the rest, then what is due.
    pub(crate) fn resume(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        it.paused = false;
        it.woke_at = self.now;
        self.note(|| format!("n{node} runs again"));
        let packets = std::mem::take(&mut self.nodes[node].socket);
        for packet in &packets {
            self.hear(node, packet);
        }
        for deferred in std::mem::take(&mut self.nodes[node].deferred) {
            match deferred {
                Deferred::Feed(news) => {
                    let (cause, input) = *news;
                    self.feed(node, cause, input);
                }
                Deferred::Happen(event) => self.happen(event),
            }
        }
        self.tick(node);
        self.refresh_pairs();
    }

    fn tick(&mut self, node: usize) {
        let it = &self.nodes[node];
        if it.deadline.is_some_and(|due| due <= it.clock.local(self.now)) {
            self.feed(node, Cause::Tick, Input::Tick);
        } else {
            self.arm(node);
        }
    }

    /// A packet comes out of the node's socket, if it has one for it.
    fn hear(&mut self, node: usize, packet: &Packet) {
        let it = &self.nodes[node];
        let Some(link) = it
            .kernel
            .index(packet.segment)
            .filter(|_| it.kernel.is_running(packet.segment))
        else {
            return;
        };
        let place = if packet.destination.is_multicast() {
            Endpoint::Multicast {
                link,
                group: packet.destination,
            }
        } else {
            if it.kernel.find(packet.destination).is_none() {
                return;
            }
            Endpoint::Unicast {
                local: packet.destination,
            }
        };
        if !it.listening.contains(&Ear::from(place)) {
            return;
        }
        let mut datagram = Datagram {
            link,
            source: packet.source,
            destination: packet.destination,
            ttl: Some(packet.ttl),
            envelope: Default::default(),
            payload: packet.payload.clone(),
        };
        if let (Some(planted), Truth::Whole(heard)) = (self.planted, packet.truth)
            && !planted.twist_datagram(self, node, &heard, &mut datagram)
        {
            self.judge_swallowed(node, &heard);
            return;
        }
        self.feed(node, Cause::Packet(packet.truth), Input::Datagram(datagram));
    }

    /// One step of one agent: the input, what it does about it, and whether that was right.
    pub(crate) fn feed(&mut self, node: usize, cause: Cause, input: Input) {
        if self.nodes[node].finished {
            return;
        }
        let words = self.trace.is_some().then(|| describe_input(&input));
        let it = &mut self.nodes[node];
        let Some(engine) = &mut it.engine else { return };
        let now = it.clock.local(self.now);
        if let Cause::Stop { hand_over } = cause {
            it.handing_over |= hand_over && !it.stopping;
            it.stopping = true;
        }
        let deadline_before = it.deadline;
        engine.handle(now, input);
        let mut actions = std::mem::take(&mut self.actions);
        while let Some(action) = engine.poll_action() {
            actions.push(action);
        }
        let deadline = engine.next_deadline();
        it.deadline = deadline;
        it.steps += 1;
        self.steps += 1;
        if let Some(words) = words {
            self.record_step(node, &words, &actions);
        }
        let cause = self.cause_of_change(node, cause);
        self.carry_out(node, now, &cause, (deadline_before, deadline), &mut actions);
        if matches!(cause, Cause::Reload { .. }) {
            self.judge_in_force(node);
        }
        actions.clear();
        self.actions = actions;
        self.arm(node);
        self.feed_failures(node);
    }

    fn record_step(&mut self, node: usize, input: &str, actions: &[Action]) {
        let routine = |action: &Action| match action {
            Action::Send(_, advert) => advert.payload[2] > 0,
            Action::Check(..) | Action::DumpIpvs | Action::Run(..) => true,
            _ => false,
        };
        let notable = !actions.iter().all(routine);
        self.record(notable, || format!("n{node} <- {input}"));
        for action in actions {
            self.record(notable, || format!("n{node}    -> {}", describe_action(action)));
        }
    }

    fn carry_out(
        &mut self,
        node: usize,
        now: lb_shared::units::Mono,
        cause: &Cause,
        deadlines: (Option<lb_shared::units::Mono>, Option<lb_shared::units::Mono>),
        actions: &mut Vec<Action>,
    ) {
        if let Some(planted) = self.planted {
            planted.twist_actions(self, node, cause, actions);
        }
        let before = self.nodes[node].roles.clone();
        self.fold(node, actions);
        self.hash = mix(self.hash ^ self.now ^ (node as u64) << 56 ^ (actions.len() as u64) << 40);
        self.judge(node, now, cause, &before, deadlines, actions);
        if before != self.nodes[node].roles {
            self.on_roles(node, &before);
        }
        for action in actions.drain(..) {
            self.perform(node, action);
        }
    }

    /// Sets the node's timer to its agent's next deadline.
    pub(crate) fn arm(&mut self, node: usize) {
        let it = &self.nodes[node];
        let Some(deadline) = it.deadline.filter(|_| it.engine.is_some() && !it.finished) else {
            return;
        };
        if it.wake.is_some_and(|(_, for_deadline)| for_deadline == deadline) {
            return;
        }
        let due = it.clock.world(deadline).max(self.now);
        if due > self.plan.end_at {
            self.nodes[node].wake = None;
            return;
        }
        let epoch = it.epoch;
        let at = due + self.random.below(LATENESS_US);
        self.nodes[node].wake = Some((at, deadline));
        self.push(at, Event::Wake { node, epoch });
    }

    /// Whether nothing that decides elections has gone wrong for so long.
    pub(crate) fn calm_for(&self, span: u64) -> bool {
        self.now >= self.disturbed_at.saturating_add(span)
            && !self
                .active
                .iter()
                .any(|(_, fault)| fault.kind.disturbs_election())
    }

    pub(crate) fn hit(&mut self, hit: Hit) {
        self.sometimes.hit(hit);
    }

    pub(crate) fn role(&self, node: usize, vr: usize) -> VrrpState {
        self.nodes[node].roles[vr]
    }
}

fn describe_input(input: &Input) -> String {
    match input {
        Input::Datagram(datagram) => {
            let at = |place: usize| datagram.payload.get(place).copied().unwrap_or(0);
            format!(
                "advert from {} to {} vrid {} priority {} ({} bytes)",
                datagram.source,
                datagram.destination,
                at(1),
                at(2),
                datagram.payload.len()
            )
        }
        Input::Model(new) => format!("configuration with {} instances", new.model.instances.len()),
        Input::Net(lbagent::engine::NetNews::Table(_)) => "table of links and addresses".to_owned(),
        Input::Ipvs(lbagent::engine::IpvsNews::Table(table)) => {
            format!("IPVS table of {} services", table.services.len())
        }
        other => cut(format!("{other:?}")),
    }
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::Send(name, advert) => {
            let priority = advert.payload.get(2).copied().unwrap_or(0);
            format!("send {name} to {} priority {priority}", advert.destination)
        }
        Action::Emit(event) => {
            let why = event
                .why
                .as_ref()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default();
            format!("{} {}: {}{why}", event.what.name(), event.object, event.text)
        }
        Action::Net(id, ops) => {
            let words: Vec<String> = ops.iter().map(ToString::to_string).collect();
            cut(format!("net {}: {}", id.0, words.join(", ")))
        }
        Action::Ipvs(id, ops) => {
            let words: Vec<String> = ops.iter().map(ToString::to_string).collect();
            cut(format!("ipvs {}: {}", id.0, words.join(", ")))
        }
        Action::Check(id, _) => format!("check {}", id.0),
        other => cut(format!("{other:?}")),
    }
}

fn cut(text: String) -> String {
    let mut text = text;
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
        text.push('…');
    }
    text
}
