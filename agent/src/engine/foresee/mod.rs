//! What would happen: a copy of the engine lives on in a small world of its own.
//!
//! The answer is the engine's, not a second opinion. The world is as obliging as it can be: the kernel and the disk do
//! what they are asked, checks and scripts end as they ended last unless something else is supposed, and the masters
//! that are heard now take part in the elections as the routers they are. Backups are silent, so nobody knows of them;
//! whoever asks may name one.

mod peers;
mod reload;
mod report;
mod suppose;

use super::Engine;
use super::action::Action;
use super::input::{Input, IpvsNews, NetNews};
use super::ipvs_keeper::Status;
use super::jobs::Purpose;
use crate::health::{CheckId, CheckOutcome};
use crate::ipvs::table::IpvsTable;
use crate::model::{JobEnd, JobId, JobOutcome};
use crate::net::NetTable;
use crate::vrrp::Advert;
use lb_shared::event::Event;
use lb_shared::names::{InstanceName, ServerId, TrackerName};
use lb_shared::request::{Refusal, Reply};
use lb_shared::units::Mono;
use lb_shared::whatif::{Foreseen, Foretold, SPAN_MAX_MS, WhatIf};
use peers::Peer;
use std::collections::{BTreeMap, VecDeque};
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

struct World {
    engine: Engine,
    began: Mono,
    now: Mono,
    wall_ms: u64,
    ipvs: IpvsTable,
    /// For the links in it, which come and go.
    links: NetTable,
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
    inputs_max: usize,
}

impl World {
    fn around(engine: Engine, now: Mono, wall_ms: u64) -> Self {
        let ipvs = engine.ipvs.have().clone();
        let links = NetTable {
            links: engine.net.have().links.clone(),
            ..NetTable::default()
        };
        let now = now.max(engine.now);
        let mut world = Self {
            engine,
            began: now,
            now,
            wall_ms,
            ipvs,
            links,
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
            inputs_max: INPUTS_MAX,
        };
        world.heard_masters();
        // Nobody answers their packets here: they stay as they are.
        world.engine.sessions.rest();
        world
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

    /// Lets time pass.
    fn live(&mut self, until: Mono) {
        self.settle();
        loop {
            let peers = self.peers.iter().filter_map(|it| it.routers.deadline());
            let next = peers.chain(self.engine.next_deadline()).min();
            let Some(at) = next.filter(|at| *at <= until) else {
                break;
            };
            if self.inputs > self.inputs_max {
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
            Action::Net(id, ops) => {
                self.links_follow(&ops);
                self.inbox.push_back(Input::Net(NetNews::Done(id, Vec::new())));
            }
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
}
