//! One node around the production engine: a kernel that does what it is told, a disk, and a clock that is turned by
//! hand.

mod others;
mod setup;

pub(crate) use others::{NEIGHBOR, advert_of};
pub(crate) use setup::{
    VIP, by_script, entry, host, instance, instance_of, ip, model, new_model, script_chk, server_key,
    service, service_key, settings,
};

use lb_shared::diagnostic::Diagnostic;
use lb_shared::event::{Actor, Event, What};
use lb_shared::expect::Expected;
use lb_shared::names::ServerKey;
use lb_shared::request::{Act, Reloaded, Reply, Role, Verb};
use lb_shared::state::{InstanceView, Override, Target, VrrpState};
use lb_shared::units::Mono;
use lbagent::config::Texts;
use lbagent::engine::{
    Action, Boot, Command, Engine, Former, FormerNote, Input, IpvsNews, Ledger, NetNews, NewModel, OpError,
    Previous, StoredIntent, Ticket,
};
use lbagent::health::{CheckId, CheckJob, CheckOutcome};
use lbagent::ipvs::IpvsOp;
use lbagent::ipvs::table::IpvsTable;
use lbagent::model::{CheckKind, JobEnd, JobOutcome, Model};
use lbagent::net::{NetOp, NetTable, NewLink};
use lbagent::vrrp::{Advert, Datagram, Ear};
use lbagent::wire::LinkIndex;
use others::answer;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a node did, in order.
#[derive(Clone, Debug)]
pub(crate) enum Did {
    Sent(Advert),
    Net(NetOp),
    Ipvs(IpvsOp),
    Said(Event),
    Persisted,
    Looked,
    Checked,
    Ran(String),
    /// A line for a FIFO, or the subject and text of a mail.
    Told(String),
    Finished,
}

pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) now: Mono,
    pub(crate) net: NetTable,
    pub(crate) ipvs: Option<IpvsTable>,
    pub(crate) did: Vec<Did>,
    /// Where it hears adverts.
    pub(crate) ears: BTreeSet<Ear>,
    pub(crate) replies: BTreeMap<Ticket, Reply>,
    pub(crate) checks: BTreeMap<CheckId, CheckJob>,
    pub(crate) disk: Vec<Override>,
    /// The configuration to go back to, as the disk has it.
    pub(crate) former: Option<Former>,
    pub(crate) disk_works: bool,
    pub(crate) ledger: Ledger,
    /// Operations the kernel refuses.
    pub(crate) refuses_net: fn(&NetOp) -> bool,
    pub(crate) refuses_ipvs: fn(&IpvsOp) -> bool,
    /// The kernel takes its time: its answers gather in `late`.
    pub(crate) slow: bool,
    pub(crate) late: VecDeque<Input>,
    /// The disk takes its time: its answers gather in `late`.
    pub(crate) slow_disk: bool,
    /// What stands at the other end of BFD sessions answers.
    pub(crate) neighbor: bool,
    pub(crate) next_ticket: u64,
    pub(crate) link_news: VecDeque<Input>,
    /// Values under /proc/sys.
    pub(crate) sysctls: BTreeMap<String, String>,
    /// Ticks since time last moved.
    pub(crate) ticks_without_time: u32,
}

fn refusal() -> OpError {
    OpError {
        errno: 12,
        text: "Cannot allocate memory".into(),
    }
}

/// What a node finds at its start.
pub(crate) struct Start {
    pub(crate) model: Model,
    /// What the model was made from.
    pub(crate) texts: Arc<Texts>,
    pub(crate) net: NetTable,
    pub(crate) ipvs: Option<IpvsTable>,
    pub(crate) disk: Vec<Override>,
    pub(crate) intent_lost: bool,
    pub(crate) previous: Option<Previous>,
    /// The configuration to go back to.
    pub(crate) former: Option<(NewModel, FormerNote)>,
    /// Why the file on disk was not taken.
    pub(crate) refused: Vec<Diagnostic>,
    /// `expire_nodest_conn` and `expire_quiescent_template`; `None` without IPVS.
    pub(crate) settings: Option<&'static str>,
    /// Unix time in milliseconds.
    pub(crate) wall_ms: u64,
    /// How long the host is up.
    pub(crate) since_boot: Duration,
}

impl Start {
    pub(crate) fn with(model: Model) -> Self {
        Self {
            model,
            texts: Arc::default(),
            net: host(),
            ipvs: Some(IpvsTable::default()),
            disk: Vec::new(),
            intent_lost: false,
            previous: None,
            former: None,
            refused: Vec::new(),
            settings: Some("0"),
            wall_ms: 1_000_000,
            since_boot: Duration::ZERO,
        }
    }

    pub(crate) fn go(self) -> Node {
        self.go_with(|_| {})
    }

    /// As [`Start::go`], on a host that is made ready first.
    pub(crate) fn go_with(self, prepare: impl FnOnce(&mut Node)) -> Node {
        let boot = Boot {
            model: NewModel {
                since_boot: self.since_boot,
                texts: self.texts,
                ..new_model(self.model)
            },
            intent: StoredIntent {
                overrides: self.disk.clone(),
                trouble: self.intent_lost.then(|| "unreadable".to_owned()),
                lost: self.intent_lost,
            },
            former: self.former,
            refused: self.refused,
            previous: self.previous,
            signed: None,
            wall_ms: self.wall_ms,
            host: "lb1".into(),
            pid: 1,
            ipvs_sysctls: self.settings.map(settings).unwrap_or_default(),
        };
        let mut node = Node {
            engine: Engine::new(boot, 7, Mono::ZERO),
            now: Mono::ZERO,
            net: self.net.clone(),
            ipvs: self.ipvs,
            did: Vec::new(),
            ears: BTreeSet::new(),
            replies: BTreeMap::new(),
            checks: BTreeMap::new(),
            disk: self.disk,
            former: None,
            disk_works: true,
            ledger: Ledger::default(),
            refuses_net: |_| false,
            refuses_ipvs: |_| false,
            slow: false,
            late: VecDeque::new(),
            slow_disk: false,
            neighbor: false,
            next_ticket: 0,
            link_news: VecDeque::new(),
            sysctls: BTreeMap::new(),
            ticks_without_time: 0,
        };
        prepare(&mut node);
        node.drain();
        node.feed(Input::Net(NetNews::Table(self.net)));
        node
    }
}

impl Node {
    /// Feeds an input and everything that follows from it at once.
    pub(crate) fn feed(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        self.drain();
    }

    /// What the kernel tells of a link when an operation made or changed it.
    fn tell_of_link(&mut self, op: &NetOp) {
        let news = match op {
            NetOp::AddLink(NewLink { name, .. }) | NetOp::RaiseLink { name } => {
                self.net.link(name).cloned().map(NetNews::Link)
            }
            NetOp::RemoveLink { link } => Some(NetNews::LinkGone(*link)),
            _ => None,
        };
        self.link_news.extend(news.map(Input::Net));
    }

    fn drain(&mut self) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(action) = self.engine.poll_action() {
                let answer = self.carry_out(action);
                answers.append(&mut self.link_news);
                answers.extend(answer);
            }
            match answers.pop_front() {
                Some(input) => self.engine.handle(self.now, input),
                None => return,
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Send(_, advert) => self.did.push(Did::Sent(advert)),
            Action::Net(id, ops) => {
                let mut refused = Vec::new();
                for (place, op) in ops.into_iter().enumerate() {
                    if (self.refuses_net)(&op) {
                        refused.push((place, refusal()));
                    } else {
                        let _ = self.net.apply(&op);
                        self.tell_of_link(&op);
                        if let NetOp::Sysctl { path, value } = &op {
                            self.sysctls.insert(path.clone(), value.clone());
                        }
                    }
                    self.did.push(Did::Net(op));
                }
                return self.later(self.slow, Input::Net(NetNews::Done(id, refused)));
            }
            Action::Ipvs(id, ops) => {
                let mut refused = Vec::new();
                for (place, op) in ops.into_iter().enumerate() {
                    if (self.refuses_ipvs)(&op) {
                        refused.push((place, refusal()));
                    } else if let Some(ipvs) = &mut self.ipvs {
                        let _ = ipvs.apply(&op);
                    }
                    self.did.push(Did::Ipvs(op));
                }
                return self.later(self.slow, Input::Ipvs(IpvsNews::Done(id, refused)));
            }
            Action::DumpIpvs => {
                self.did.push(Did::Looked);
                let news = match &self.ipvs {
                    Some(table) => IpvsNews::Table(table.clone()),
                    None => IpvsNews::Missing("no ip_vs in this kernel (modprobe ip_vs)".into()),
                };
                return self.later(self.slow, Input::Ipvs(news));
            }
            Action::ReadSysctls(paths) => {
                let found = paths
                    .into_iter()
                    .filter_map(|it| Some((it.clone(), self.sysctls.get(&it)?.clone())));
                return Some(Input::Sysctls(found.collect()));
            }
            Action::Check(id, job) => {
                self.did.push(Did::Checked);
                self.checks.insert(id, *job);
            }
            Action::CancelCheck(id) => drop(self.checks.remove(&id)),
            Action::Emit(event) => self.did.push(Did::Said(event)),
            Action::Answer(ticket, reply) => drop(self.replies.insert(ticket, reply)),
            Action::Persist(id, overrides) => {
                self.did.push(Did::Persisted);
                let result = if self.disk_works {
                    self.disk = overrides;
                    Ok(())
                } else {
                    Err("disk full".to_owned())
                };
                return self.later(self.slow_disk, Input::Persisted(id, result));
            }
            Action::KeepFormer(id, former) => {
                let result = if self.disk_works {
                    self.former = former.map(|it| *it);
                    Ok(())
                } else {
                    Err("disk full".to_owned())
                };
                return self.later(self.slow_disk, Input::FormerKept(id, result));
            }
            Action::Ledger(ledger) => self.ledger = ledger,
            Action::Finished => self.did.push(Did::Finished),
            Action::Run(id, job) if job.report => {
                // Scripts somebody waits for succeed.
                let outcome = JobOutcome {
                    end: JobEnd::Exited(0),
                    output: Vec::new(),
                };
                return Some(Input::Ran(id, outcome));
            }
            Action::Run(_, job) => {
                let mut words = job.script.argv;
                words.extend(job.arguments);
                self.did.push(Did::Ran(words.join(" ")));
            }
            Action::Fifo(kind, line) => self.did.push(Did::Told(format!("{kind:?}: {line}"))),
            Action::Dump(path, text) => self.did.push(Did::Told(format!("{path}: {text}"))),
            Action::Mail(route, mail) => {
                let to = route.to.join(" ");
                self.did
                    .push(Did::Told(format!("{to}: {} {}", mail.subject, mail.body)));
            }
            Action::BfdSend(_, packet) => return self.neighbor.then(|| Input::Bfd(answer(&packet))),
            Action::Listen(ears) => self.ears = ears,
            Action::WatchRouting(_)
            | Action::WatchFirewall(_)
            | Action::Fifos(_)
            | Action::Processes(_)
            | Action::Numbers(_)
            | Action::BfdPaths(_)
            | Action::ScriptRules(_) => {}
        }
        None
    }

    fn later(&mut self, slow: bool, answer: Input) -> Option<Input> {
        if slow {
            self.late.push_back(answer);
            return None;
        }
        Some(answer)
    }

    /// What was slow answers, and is quick from now on.
    pub(crate) fn catch_up(&mut self) {
        (self.slow, self.slow_disk) = (false, false);
        while let Some(answer) = self.late.pop_front() {
            self.feed(answer);
        }
    }

    /// What the kernel was last told for a setting.
    pub(crate) fn setting(&self, wanted: &str) -> Option<&str> {
        self.did.iter().rev().find_map(|did| match did {
            Did::Ipvs(IpvsOp::Sysctl { name, value }) if *name == wanted => Some(value.as_str()),
            _ => None,
        })
    }

    /// How often the engine wants to be woken while nothing happens.
    pub(crate) fn wake_ups(&mut self, span: Duration) -> usize {
        let end = self.now + span;
        let mut count = 0;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.feed(Input::Tick);
            count += 1;
            assert!(count < 100_000, "it wakes up for ever at {:?}", self.now);
        }
        self.now = end;
        count
    }

    /// Lets time pass; checks pass unless `down` names their server.
    pub(crate) fn run_for(&mut self, span: Duration, down: &[ServerKey]) {
        let end = self.now + span;
        loop {
            for (id, job) in std::mem::take(&mut self.checks) {
                let CheckKind::Tcp(tcp) = &job.kind else { continue };
                let took = Duration::from_millis(1);
                let failed = down.iter().any(|key| key.address == tcp.to.ip());
                let outcome = if failed {
                    CheckOutcome::Fail {
                        took,
                        why: "connection refused".into(),
                    }
                } else {
                    CheckOutcome::Pass { took, weight: None }
                };
                self.feed(Input::Checked(id, outcome));
            }
            match self.engine.next_deadline() {
                Some(at) if at <= end => self.tick_at(at),
                _ => break,
            }
        }
        self.now = end;
    }

    /// Commands, and returns the answer.
    pub(crate) fn act(&mut self, verb: Verb, target: Target) -> Reply {
        self.act_with(Act {
            verb,
            targets: vec![target],
            dry_run: false,
            force: false,
            message: "kernel update".into(),
            key: None,
        })
    }

    pub(crate) fn act_with(&mut self, act: Act) -> Reply {
        self.act_of(1001, act)
    }

    /// As [`Self::run_for`], with checks that begin and do not come back.
    pub(crate) fn stand_still(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.engine.next_deadline().filter(|at| *at <= end) {
            self.tick_at(at);
        }
        self.now = end;
        self.feed(Input::Tick);
    }

    /// An engine that is never done with a moment would keep a test for ever.
    fn tick_at(&mut self, at: Mono) {
        let stands = at <= self.now;
        self.ticks_without_time = if stands { self.ticks_without_time + 1 } else { 0 };
        assert!(self.ticks_without_time < 1_000, "time stands still at {at:?}");
        self.now = self.now.max(at);
        self.feed(Input::Tick);
    }

    /// Commands as this user.
    pub(crate) fn act_of(&mut self, uid: u32, act: Act) -> Reply {
        let ticket = self.begin(uid, act);
        self.replies
            .remove(&ticket)
            .unwrap_or_else(|| panic!("no answer"))
    }

    /// What a model would change.
    pub(crate) fn plan(&mut self, model: Model) -> Reloaded {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let new = NewModel {
            asked: Some((ticket, Actor::default())),
            dry_run: true,
            ..new_model(model)
        };
        self.feed(Input::Model(Box::new(new)));
        match self.replies.remove(&ticket) {
            Some(Reply::Reloaded(plan)) => plan,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a reload; the answer comes when it comes.
    pub(crate) fn reload(&mut self, new: NewModel) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let asked = Some((ticket, Actor::default()));
        self.feed(Input::Model(Box::new(NewModel { asked, ..new })));
        ticket
    }

    /// Commands as a user with this role.
    pub(crate) fn act_as(&mut self, uid: u32, role: Role, act: Act) -> Reply {
        let ticket = self.begin_as(uid, role, act);
        self.replies
            .remove(&ticket)
            .unwrap_or_else(|| panic!("no answer"))
    }

    /// Commands as this user; the answer comes when it comes.
    pub(crate) fn begin(&mut self, uid: u32, act: Act) -> Ticket {
        self.begin_as(uid, Role::Admin, act)
    }

    /// As somebody who saw this of the targets.
    pub(crate) fn act_if(&mut self, act: Act, expect: Vec<Expected>) -> Reply {
        let ticket = self.begin_expecting(1001, Role::Admin, act, expect);
        self.replies.remove(&ticket).expect("it is answered at once")
    }

    fn begin_as(&mut self, uid: u32, role: Role, act: Act) -> Ticket {
        self.begin_expecting(uid, role, act, Vec::new())
    }

    fn begin_expecting(&mut self, uid: u32, role: Role, act: Act, expect: Vec<Expected>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        let actor = Actor {
            uid,
            pid: 42,
            user: "ops".into(),
        };
        self.feed(Input::Command(
            ticket,
            Command {
                actor,
                wall_ms: 1_000_000,
                role,
                act,
                expect,
            },
        ));
        ticket
    }

    pub(crate) fn said(&self, what: What) -> usize {
        self.did
            .iter()
            .filter(|did| matches!(did, Did::Said(event) if event.what == what))
            .count()
    }

    /// The weight the kernel has for a server; `None` when it is not in the table.
    pub(crate) fn weight(&self, last: u8) -> Option<u32> {
        let service = self.ipvs.as_ref()?.services.get(&entry())?;
        Some(service.destinations.get(&server_key(last))?.settings.weight)
    }

    /// VI_1 as clients see it.
    pub(crate) fn view(&self) -> InstanceView {
        (*self.engine.state().instances[&"VI_1".into()]).clone()
    }

    pub(crate) fn state(&self) -> VrrpState {
        self.view().state
    }

    /// The same after ten seconds in which nobody else was heard.
    pub(crate) fn mastered(mut self) -> Self {
        self.run_for(Duration::from_secs(10), &[]);
        assert_eq!((self.state(), self.has_vip()), (VrrpState::Master, true));
        self
    }

    pub(crate) fn has_vip(&self) -> bool {
        self.net.addresses.keys().any(|key| key.address == ip(VIP))
    }

    pub(crate) fn position(&self, wanted: impl Fn(&Did) -> bool) -> Option<usize> {
        self.did.iter().position(wanted)
    }

    /// Another router's advert of version 2 arrives.
    pub(crate) fn hear(&mut self, priority: u8) {
        let mut payload = vec![0x21, 51, priority, 1, 0, 1, 0, 0];
        payload.extend_from_slice(&[192, 0, 2, 100, 0, 0, 0, 0, 0, 0, 0, 0]);
        let sum = lbagent::wire::checksum::internet(&payload);
        payload[6..8].copy_from_slice(&sum.to_be_bytes());
        self.feed(Input::Datagram(Datagram {
            link: LinkIndex(2),
            source: ip("192.0.2.2"),
            destination: ip("224.0.0.18"),
            ttl: Some(255),
            envelope: Default::default(),
            payload,
        }));
    }
}
