//! What would happen: a copy of the engine lives on in a small world of its own.
//!
//! The answer is the engine's, not a second opinion. The world is as obliging as it can be: the kernel and the disk do
//! what they are asked, checks and scripts end as they ended last unless something else is supposed, and the masters
//! that are heard now take part in the elections as the routers they are. Backups are silent, so nobody knows of them;
//! whoever asks may name one.

use super::Engine;
use super::action::{Action, Ticket};
use super::input::{Command, Input, IpvsNews, NetNews};
use super::ipvs_keeper::Status;
use super::jobs::Purpose;
use crate::health::{CheckId, CheckOutcome};
use crate::ipvs::table::IpvsTable;
use crate::model::{CheckKind, Instance, JobEnd, JobId, JobOutcome, NotifyScripts, Tracking, UnicastPeer};
use crate::vrrp::{self, Advert, Datagram, Ground, Routers};
use crate::wire::LinkIndex;
use lb_shared::event::{Actor, Change, Event};
use lb_shared::names::{Family, InstanceName, ServerId, TrackerName};
use lb_shared::request::{Refusal, RefusalCode, Reply, Role};
use lb_shared::state::{ObjectId, VrrpState};
use lb_shared::units::{Mono, Priority};
use lb_shared::whatif::{Facts, Foreseen, Foretold, Move, SPAN_MAX_MS, Suppose, WhatIf};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Inputs after which an answer is given even if the span is not over: the question was too large.
const INPUTS_MAX: usize = 3_000_000;
/// Scripts that are listed.
const SCRIPTS_MAX: usize = 200;
/// The tickets of supposed commands; no real one is that high.
const TICKETS_FROM: u64 = 1 << 62;

/// Asks a copy of the engine what would follow from some events.
///
/// `now`: the moment of the copy. A refusal says that the question makes no sense here, such as an interface that is
/// not there.
pub fn foresee(engine: Engine, now: Mono, wall_ms: u64, asked: &WhatIf) -> Result<Foreseen, Refusal> {
    let mut world = World::around(engine, now, wall_ms);
    world.answer_what_waits();
    let began = world.facts();
    let masters = world.masters();
    let mut recorded = began.clone();
    world.changes.clear();
    world.scripts.clear();
    for event in &asked.events {
        world.suppose(event)?;
    }
    let span = Duration::from_millis(asked.for_ms.min(SPAN_MAX_MS));
    world.live(now + span);
    Ok(world.report(asked, &mut recorded, &masters))
}

/// A router of somebody else, in the elections of one instance.
struct Peer {
    instance: InstanceName,
    address: IpAddr,
    link: Option<LinkIndex>,
    routers: Routers,
}

struct World {
    engine: Engine,
    began: Mono,
    now: Mono,
    wall_ms: u64,
    ipvs: IpvsTable,
    /// Peers as routers of their own.
    peers: Vec<Peer>,
    /// Scripts and servers that are supposed to be good or bad.
    scripts_are: BTreeMap<String, bool>,
    servers_are: BTreeMap<ServerId, bool>,
    inbox: VecDeque<Input>,
    /// Adverts of ours on their way to the peers.
    outbox: VecDeque<(InstanceName, Advert)>,
    events: Vec<(Mono, Event)>,
    changes: Vec<Foretold>,
    scripts: Vec<String>,
    notes: Vec<String>,
    tickets: u64,
    inputs: usize,
}

impl World {
    fn around(engine: Engine, now: Mono, wall_ms: u64) -> Self {
        let ipvs = engine.ipvs.have().clone();
        let now = now.max(engine.now);
        let mut world = Self {
            engine,
            began: now,
            now,
            wall_ms,
            ipvs,
            peers: Vec::new(),
            scripts_are: BTreeMap::new(),
            servers_are: BTreeMap::new(),
            inbox: VecDeque::new(),
            outbox: VecDeque::new(),
            events: Vec::new(),
            changes: Vec::new(),
            scripts: Vec::new(),
            notes: Vec::new(),
            tickets: TICKETS_FROM,
            inputs: 0,
        };
        world.heard_masters();
        // Nobody answers their packets here: they stay as they are.
        world.engine.sessions.rest();
        world
    }

    /// The masters that are heard go on.
    fn heard_masters(&mut self) {
        let heard: Vec<_> = self
            .engine
            .state
            .instances
            .values()
            .filter_map(|it| Some((it.name.clone(), it.master.clone()?)))
            .collect();
        for (name, master) in heard {
            self.add_peer(&name, master.address, master.priority, true);
        }
    }

    /// A peer with our own settings but for priority and source.
    fn add_peer(&mut self, name: &InstanceName, address: IpAddr, priority: u8, master: bool) {
        let (Some(cfg), Some(view)) = (
            self.engine.model.instances.get(name),
            self.engine.routers.view(name),
        ) else {
            return;
        };
        let Some(priority) = Priority::new(priority) else {
            return;
        };
        let link = cfg
            .interface
            .as_ref()
            .and_then(|it| self.engine.net.have().link(it))
            .map(|it| it.index);
        let ours = super::ground::source(cfg, self.engine.net.have(), &self.engine.index.virtual_addresses);
        let unicast_peers = match ours {
            Some(address) if !cfg.unicast_peers.is_empty() => vec![UnicastPeer {
                address,
                min_ttl: None,
                max_ttl: None,
            }],
            Some(_) | None => Vec::new(),
        };
        let theirs = Instance {
            priority,
            initial_master: priority.is_owner(),
            source: Some(address),
            track_source: false,
            unicast_peers,
            tracking: Tracking::default(),
            notify: NotifyScripts::default(),
            advert_interval: Duration::from_micros(view.advert_interval_us),
            ..(**cfg).clone()
        };
        let mut routers = Routers::new(1);
        // Above whatever the real one has sent.
        routers.number_from(u32::MAX / 2);
        routers.on_wall(self.now, self.engine.routers.unix_us(self.now));
        routers.sign_after(self.engine.routers.last_number());
        let mut effects = Vec::new();
        let instances = BTreeMap::from([(name.clone(), Arc::new(theirs))]);
        routers.apply(
            self.now,
            &instances,
            &BTreeMap::new(),
            Duration::ZERO,
            &mut effects,
        );
        let ground = Ground {
            link,
            sends_by: None,
            vrf: None,
            source: Some(address),
            own_addresses: vec![address],
            faults: Default::default(),
        };
        routers.on_ground(self.now, name, ground, &mut effects);
        if master {
            routers.resume(self.now, name, Duration::ZERO, &mut effects);
        }
        self.peers
            .retain(|it| !(it.instance == *name && it.address == address));
        self.peers.push(Peer {
            instance: name.clone(),
            address,
            link,
            routers,
        });
        self.carry(self.peers.len() - 1, effects);
    }

    /// What was asked for before the copy was made is answered first.
    fn answer_what_waits(&mut self) {
        let jobs: Vec<(JobId, Purpose)> = self
            .engine
            .jobs
            .running()
            .map(|(id, purpose)| (id, purpose.clone()))
            .collect();
        for (id, purpose) in jobs {
            let outcome = self.outcome_of(&purpose);
            self.inbox.push_back(Input::Ran(id, outcome));
        }
        for id in self.engine.health.running().collect::<Vec<_>>() {
            self.answer_check(id);
        }
        for id in self.engine.net.unanswered() {
            self.inbox.push_back(Input::Net(NetNews::Done(id, Vec::new())));
        }
        let (batches, asked) = self.engine.ipvs.unanswered();
        for id in batches {
            self.inbox.push_back(Input::Ipvs(IpvsNews::Done(id, Vec::new())));
        }
        if asked {
            self.dump();
        }
        for id in self.engine.commands.unwritten() {
            self.inbox.push_back(Input::Persisted(id, Ok(())));
        }
        self.drain();
        self.settle();
    }

    fn suppose(&mut self, event: &Suppose) -> Result<(), Refusal> {
        let missing = |what: String| {
            Err(Refusal::new(
                RefusalCode::NotFound,
                what,
                "lbctl show lists what there is",
            ))
        };
        match event {
            Suppose::Interface { name, up } => {
                let Some(link) = self.engine.net.have().link(name).cloned() else {
                    return missing(format!("there is no interface '{name}'"));
                };
                let link = crate::net::Link { running: *up, ..link };
                self.inbox.push_back(Input::Net(NetNews::Link(link)));
            }
            Suppose::Script { name, ok } => {
                if !self.engine.model.scripts.contains_key(name) {
                    return missing(format!("there is no vrrp_script '{name}'"));
                }
                self.scripts_are.insert(name.clone(), *ok);
            }
            Suppose::Server { server, up } => {
                let known = self.engine.model.services.get(&server.service);
                match known.and_then(|it| it.servers.get(&server.server)) {
                    None => return missing(format!("there is no server {server}")),
                    Some(it) if it.checks.is_empty() => {
                        self.notes
                            .push(format!("{server} has no check: nothing would notice"));
                    }
                    Some(it) if it.checks.iter().all(|it| matches!(it.kind, CheckKind::Bfd(_))) => {
                        self.notes.push(format!(
                            "{server} follows BFD sessions only: ask with 'bfd NAME down'"
                        ));
                    }
                    Some(_) => {}
                }
                self.servers_are.insert(server.clone(), *up);
            }
            Suppose::PeerSilent { address } => {
                let before = self.peers.len();
                self.peers.retain(|it| it.address != *address);
                if self.peers.len() == before {
                    return missing(format!("no master is heard from {address}"));
                }
            }
            Suppose::PeerPriority { address, priority } => {
                let names = self.instances_with(*address);
                if names.is_empty() {
                    return missing(format!("{address} is on the network of no instance"));
                }
                for name in names {
                    let was_master = self.peers.iter().any(|it| {
                        it.instance == name && it.address == *address && it.routers.is_master(&name)
                    });
                    self.add_peer(&name, *address, *priority, was_master);
                }
            }
            Suppose::Bfd { name, up } => {
                if !self.engine.model.sessions.contains_key(name) {
                    return missing(format!("there is no bfd_instance '{name}'"));
                }
                let word = if *up { "up" } else { "down" };
                let detail = format!("supposed to be {word}");
                self.engine.session_shows(name, Some(*up), &detail, None);
                self.inbox.push_back(Input::Tick);
            }
            Suppose::Act(act) => {
                self.tickets += 1;
                let command = Command {
                    actor: Actor::default(),
                    wall_ms: self.wall_ms,
                    role: Role::Admin,
                    act: act.clone(),
                    expect: Vec::new(),
                };
                self.inbox
                    .push_back(Input::Command(Ticket(self.tickets), command));
            }
        }
        self.settle();
        Ok(())
    }

    /// Instances a router at this address would take part in: on its network, or that name it.
    fn instances_with(&self, address: IpAddr) -> Vec<InstanceName> {
        let have = self.engine.net.have();
        let on_link = |interface: &str| {
            have.link(interface).is_some_and(|link| {
                have.addresses
                    .keys()
                    .any(|key| key.link == link.index && same_network(key.address, address, key.prefix_len))
            })
        };
        let instances = self.engine.model.instances.values();
        instances
            .filter(|it| it.family == Family::of(address))
            .filter(|it| {
                it.unicast_peers.iter().any(|peer| peer.address == address)
                    || it.interface.as_deref().is_some_and(on_link)
            })
            .map(|it| it.name.clone())
            .collect()
    }

    /// Lets time pass.
    fn live(&mut self, until: Mono) {
        self.settle();
        loop {
            let peers = self.peers.iter().filter_map(|it| it.routers.deadline());
            let next = peers.chain(self.engine.next_deadline()).min();
            let Some(at) = next.filter(|at| *at <= until) else {
                break;
            };
            if self.inputs > INPUTS_MAX {
                let seconds = self.now.since(self.began).as_secs();
                self.notes.push(format!(
                    "looked only {seconds} s ahead: there is too much going on"
                ));
                break;
            }
            self.now = self.now.max(at);
            if self.engine.next_deadline().is_some_and(|at| at <= self.now) {
                self.feed(Input::Tick);
            }
            for nth in 0..self.peers.len() {
                let mut effects = Vec::new();
                self.peers[nth].routers.on_tick(self.now, &mut effects);
                self.carry(nth, effects);
            }
            self.settle();
        }
    }

    /// Answers and adverts, until nobody has anything left to say at this moment.
    fn settle(&mut self) {
        loop {
            if let Some(input) = self.inbox.pop_front() {
                self.feed(input);
            } else if let Some((name, advert)) = self.outbox.pop_front() {
                self.deliver(&name, &advert);
            } else {
                return;
            }
        }
    }

    fn feed(&mut self, input: Input) {
        self.inputs += 1;
        self.engine.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send(name, advert) => self.outbox.push_back((name, advert)),
            Action::Net(id, _) => self.inbox.push_back(Input::Net(NetNews::Done(id, Vec::new()))),
            Action::Ipvs(id, ops) => {
                for op in &ops {
                    // What cannot be applied is what a kernel would have refused; the next table shows it.
                    let _ = self.ipvs.apply(op);
                }
                self.inbox.push_back(Input::Ipvs(IpvsNews::Done(id, Vec::new())));
            }
            Action::DumpIpvs => self.dump(),
            Action::Check(id, _) => self.answer_check(id),
            Action::Run(id, job) => {
                let purpose = self.engine.jobs.running().find(|(it, _)| *it == id);
                match purpose.map(|(_, purpose)| purpose.clone()) {
                    Some(purpose) => {
                        let outcome = self.outcome_of(&purpose);
                        self.inbox.push_back(Input::Ran(id, outcome));
                    }
                    None if self.scripts.len() < SCRIPTS_MAX => {
                        let words = job.script.argv.iter().chain(&job.arguments);
                        self.scripts.push(words.cloned().collect::<Vec<_>>().join(" "));
                    }
                    None => {}
                }
            }
            Action::Emit(event) => self.events.push((self.now, event)),
            Action::Answer(ticket, Reply::Refused(refusal)) if ticket.0 > TICKETS_FROM => {
                self.notes.push(format!("refused: {}", refusal.message));
            }
            Action::Persist(id, _) => self.inbox.push_back(Input::Persisted(id, Ok(()))),
            Action::KeepFormer(id, _) => self.inbox.push_back(Input::FormerKept(id, Ok(()))),
            Action::Answer(..)
            | Action::ScriptRules(_)
            | Action::Dump(..)
            | Action::Listen(_)
            | Action::WatchRouting(_)
            | Action::WatchFirewall(_)
            | Action::ReadSysctls(_)
            | Action::CancelCheck(_)
            | Action::Fifos(_)
            | Action::Processes(_)
            | Action::BfdPaths(_)
            | Action::BfdSend(..)
            | Action::Numbers(_)
            | Action::Fifo(..)
            | Action::Mail(..)
            | Action::Ledger(_)
            | Action::Finished => {}
        }
    }

    fn dump(&mut self) {
        let news = match self.engine.ipvs.status() {
            Status::Missing(why) => IpvsNews::Missing(why.clone()),
            _ => IpvsNews::Table(self.ipvs.clone()),
        };
        self.inbox.push_back(Input::Ipvs(news));
    }

    fn answer_check(&mut self, id: CheckId) {
        let Some((server, good)) = self.engine.health.under_check(id) else {
            return;
        };
        let good = self.servers_are.get(server).copied().unwrap_or(good);
        let took = Duration::from_millis(1);
        let outcome = if good {
            CheckOutcome::Pass { took, weight: None }
        } else {
            CheckOutcome::Fail {
                took,
                why: "supposed to fail".to_owned(),
            }
        };
        self.inbox.push_back(Input::Checked(id, outcome));
    }

    /// How a script ends: as supposed, else as it ended last.
    fn outcome_of(&self, purpose: &Purpose) -> JobOutcome {
        let good = match purpose {
            Purpose::Track(name) => self.scripts_are.get(name).copied().unwrap_or_else(|| {
                let view = self.engine.trackers.view(&TrackerName::Script(name.clone()));
                view.and_then(|it| it.ok).unwrap_or(true)
            }),
            Purpose::Misc { id, .. } => match self.engine.health.under_check(*id) {
                Some((server, good)) => self.servers_are.get(server).copied().unwrap_or(good),
                None => true,
            },
            Purpose::Notify => true,
        };
        JobOutcome {
            end: JobEnd::Exited(i32::from(!good)),
            output: Vec::new(),
        }
    }

    /// An interface that is down carries nothing.
    fn carries(&self, link: Option<LinkIndex>) -> bool {
        link.is_none_or(|index| {
            self.engine
                .net
                .have()
                .links
                .get(&index)
                .is_some_and(|it| it.running)
        })
    }

    fn deliver(&mut self, name: &InstanceName, advert: &Advert) {
        for nth in 0..self.peers.len() {
            let peer = &mut self.peers[nth];
            if peer.instance != *name {
                continue;
            }
            let link = peer.link;
            if !self.carries(link) {
                continue;
            }
            let mut effects = Vec::new();
            let heard = heard(advert, link);
            self.peers[nth]
                .routers
                .on_datagram(self.now, &heard, &mut effects);
            self.carry(nth, effects);
        }
    }

    /// What a peer does: its adverts reach us.
    fn carry(&mut self, nth: usize, effects: Vec<vrrp::Effect>) {
        let link = self.peers[nth].link;
        if !self.carries(link) {
            return;
        }
        for effect in effects {
            if let vrrp::Effect::Send { advert, .. } = effect {
                self.inbox.push_back(Input::Datagram(heard(&advert, link)));
            }
        }
    }

    fn facts(&self) -> BTreeMap<ObjectId, Facts> {
        let objects = self.engine.state.objects();
        objects
            .filter_map(|object| Some((object.id(), Facts::of(&object)?)))
            .collect()
    }

    /// Who is master of each instance, in words.
    fn masters(&self) -> BTreeMap<InstanceName, String> {
        let state = &self.engine.state;
        let holder = |name: &InstanceName, own: VrrpState| {
            if own == VrrpState::Master {
                return state.agent.host.clone();
            }
            let peer = self
                .peers
                .iter()
                .find(|it| it.instance == *name && it.routers.is_master(name));
            peer.map_or_else(|| "nobody".to_owned(), |it| it.address.to_string())
        };
        let instances = state.instances.values();
        instances
            .map(|it| (it.name.clone(), holder(&it.name, it.state)))
            .collect()
    }

    fn report(
        mut self,
        asked: &WhatIf,
        known: &mut BTreeMap<ObjectId, Facts>,
        before: &BTreeMap<InstanceName, String>,
    ) -> Foreseen {
        for (at, event) in std::mem::take(&mut self.events) {
            if at >= self.began {
                self.note_changes(at, &event, known);
            }
        }
        let after = self.masters();
        let mut moves = Vec::new();
        for (name, to) in &after {
            let from = before.get(name).cloned().unwrap_or_else(|| "nobody".to_owned());
            let addresses = self
                .engine
                .state
                .instances
                .get(name)
                .map(|it| it.addresses.clone());
            if from != *to {
                moves.extend(addresses.unwrap_or_default().into_iter().map(|address| Move {
                    address,
                    instance: name.clone(),
                    from: from.clone(),
                    to: to.clone(),
                }));
            }
        }
        let lonely = self.engine.state.instances.values().filter(|it| {
            before.get(&it.name) == Some(&self.engine.state.agent.host)
                && !self.peers.iter().any(|peer| peer.instance == it.name)
        });
        let lonely: Vec<&str> = lonely.map(|it| it.name.0.as_ref()).collect();
        if !lonely.is_empty() {
            let names = lonely.join(", ");
            self.notes.push(format!(
                "nothing is known of backups for {names}: they are silent; name one with 'peer ADDRESS priority N'"
            ));
        }
        let changed: std::collections::BTreeSet<&ObjectId> =
            self.changes.iter().map(|it| &it.object).collect();
        let unchanged = known
            .keys()
            .filter(|id| matches!(id, ObjectId::Instance(_) | ObjectId::Service(_)))
            .filter(|id| !changed.contains(id))
            .cloned()
            .collect();
        Foreseen {
            for_ms: asked.for_ms.min(SPAN_MAX_MS),
            unchanged,
            changes: self.changes,
            moves,
            scripts: self.scripts,
            notes: self.notes,
        }
    }

    fn note_changes(&mut self, at: Mono, event: &Event, known: &mut BTreeMap<ObjectId, Facts>) {
        for change in &event.changes {
            let (id, to) = match change {
                Change::Put(object) => match Facts::of(object) {
                    Some(facts) => (object.id(), facts),
                    None => continue,
                },
                Change::Remove(ObjectId::Override(_) | ObjectId::Agent) => continue,
                Change::Remove(id) => (id.clone(), Facts::Absent),
            };
            let from = known.insert(id.clone(), to.clone()).unwrap_or(Facts::Absent);
            if from == to {
                continue;
            }
            let about = event.object == id;
            let why = match (&event.why, about) {
                (Some(why), true) => why.clone(),
                (None, true) => event.text.clone(),
                (_, false) => String::new(),
            };
            self.changes.push(Foretold {
                object: id,
                at_ms: u64::try_from(at.since(self.began).as_millis()).unwrap_or(u64::MAX),
                from,
                to,
                why,
            });
        }
    }
}

/// An advert as it arrives.
fn heard(advert: &Advert, link: Option<LinkIndex>) -> Datagram {
    Datagram {
        link: advert.link.or(link).unwrap_or(LinkIndex(0)),
        source: advert.source,
        destination: advert.destination,
        ttl: Some(advert.ttl),
        envelope: advert.envelope,
        payload: advert.payload.clone(),
    }
}

fn same_network(a: IpAddr, b: IpAddr, prefix_len: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(it) => (u128::from(u32::from(it)) << 96, 32),
        IpAddr::V6(it) => (u128::from(it), 128),
    };
    let ((a, a_bits), (b, b_bits)) = (bits(a), bits(b));
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix_len)).unwrap_or(0);
    a_bits == b_bits && prefix_len > 0 && u32::from(prefix_len) < a_bits && a & mask == b & mask
}
