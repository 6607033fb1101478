//! The engine: puts the machines together and decides everything.
//!
//! A plain value: no sockets, no clock, no files, no async. Inputs go in one at a time, actions are drained to the
//! end before the next. Knows every other room; no room but the shell knows it.
//!
//! Read `input.rs` and `action.rs` first. Each input is handled by one function of the file it belongs to; what the
//! machines answer (their `Effect`s) becomes actions and events in `report.rs`.

mod action;
mod adopt;
mod apply;
mod boot;
mod commands;
mod confirm;
mod counters;
mod debounce;
mod dump;
mod firewall;
mod foresee;
mod ground;
mod guards;
mod input;
mod intent;
mod ipvs_keeper;
mod ipvs_news;
mod jobs;
mod net_keeper;
mod net_news;
mod next_start;
mod pace;
mod plan;
mod put_back;
mod rails;
mod report;
mod routing;
mod routing_keeper;
mod sessions;
mod static_addresses;
mod static_tracks;
mod steps;
mod stop;
mod tell;
mod trial;
mod undo;
mod vmac_settings;
mod vmacs;
mod want;

pub use action::{Action, BatchId, Ledger, LedgerMaster, PersistId, Ticket};
pub use boot::{Boot, Previous, StoredIntent};
pub use confirm::{Former, FormerNote};
pub use foresee::foresee;
pub use input::{Command, DumpAsk, Input, IpvsNews, NetNews, NewModel, OpError, StopMode};
pub use next_start::Started;
pub use plan::settings;
pub use rails::{Override as RailOverride, Rail};

use crate::bfd::Sessions;
use crate::health::Health;
use crate::model::{Model, NotifyScripts, NotifyWho, Service};
use crate::net::AddressKey;
use crate::track::Trackers;
use crate::vrrp::{Ear, Routers};
use lb_shared::counters::InstanceCounters;
use lb_shared::event::{Event, What};
use lb_shared::names::{InstanceName, ServiceKey, TrackerName, VirtualKey};
use lb_shared::request::Reply;
use lb_shared::state::{AgentView, ObjectId, State};
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// Places for actions and events that stay allocated.
const QUEUE_KEPT: usize = 256;

/// Everything the agent knows and decides. A copy of it can be asked what would happen: see `foresee`.
#[derive(Clone)]
pub struct Engine {
    now: Mono,
    boot: Option<Boot>,
    model: Model,
    /// Where things are in the model: derived from it when it changes.
    index: Index,
    routers: Routers,
    trackers: Trackers,
    debounce: debounce::Debounce,
    sessions: Sessions,
    health: Health,
    net: net_keeper::NetKeeper,
    pace: pace::Pace,
    vmacs: vmacs::Vmacs,
    /// Static addresses that somebody removed.
    put_back: put_back::PutBack<AddressKey>,
    static_tracks: static_tracks::StaticTracks,
    routing: routing_keeper::RoutingKeeper,
    firewall: firewall::FirewallKeeper,
    /// The kernel tells of routes and rules.
    watches_routing: bool,
    ipvs: ipvs_keeper::IpvsKeeper,
    intent: intent::Intent,
    commands: commands::Commands,
    confirm: confirm::Confirm,
    /// `None` before the first model is in force.
    started: Option<Started>,
    jobs: jobs::Jobs,
    trials: trial::Trials,
    agent: AgentView,
    /// What the emitted events add up to.
    state: State,
    touched: BTreeSet<ObjectId>,
    /// Every view may have changed: what that means is found out once everything is done.
    all_touched: bool,
    stopping: Option<stop::Stopping>,
    /// Instances whose mastership was taken over from an earlier run.
    adopted: BTreeSet<InstanceName>,
    /// While a model comes into force: the scripts of those it no longer has.
    leaving: Vec<(NotifyWho, NotifyScripts)>,
    listening: BTreeSet<Ear>,
    /// What a drain changes and gives back; empty while there is no IPVS.
    original_sysctls: BTreeMap<&'static str, String>,
    /// IPVS has been brought up to the model once (or is missing): addresses may appear.
    gate_open: bool,
    gate_opens_at: Option<Mono>,
    ledger: Ledger,
    ledger_due: bool,
    /// What was counted when the statistics were last cleared by a signal; clients go on with the whole.
    cleared: BTreeMap<InstanceName, InstanceCounters>,
    /// To be done, in order.
    queue: VecDeque<Action>,
    /// To be told once all that is done.
    events: VecDeque<Event>,
    /// Given last, so that whoever looks after an answer sees what it is about.
    answers: VecDeque<(Ticket, Reply)>,
}

/// Look-ups derived from the model.
#[derive(Clone, Debug, Default)]
struct Index {
    /// Instances by the interfaces they stand on.
    by_interface: BTreeMap<String, BTreeSet<InstanceName>>,
    /// Instances by what they or their group track.
    by_tracker: BTreeMap<TrackerName, BTreeSet<InstanceName>>,
    /// The service behind each IPVS service.
    by_entry: BTreeMap<VirtualKey, ServiceKey>,
    /// Every virtual address of every instance.
    virtual_addresses: BTreeSet<IpAddr>,
    /// Services with `ha_suspend`, and the addresses they stand at.
    suspendable: Vec<(ServiceKey, BTreeSet<IpAddr>)>,
}

impl Engine {
    /// An engine that waits for the first [`NetNews::Table`] and the first news of IPVS before it does anything.
    /// `seed` drives the only randomness there is: when first checks run.
    pub fn new(boot: Boot, seed: u64, now: Mono) -> Self {
        let owned = boot
            .previous
            .iter()
            .flat_map(|it| &it.ledger.services)
            .filter_map(|key| key.parse().ok());
        let ipvs = ipvs_keeper::IpvsKeeper::new(now, owned.collect(), boot.ipvs_sysctls.clone());
        let intent = intent::Intent::restore(&boot.intent.overrides, now, boot.wall_ms);
        let mut engine = Self {
            now,
            model: Model::default(),
            index: Index::default(),
            routers: routers(&boot, seed, now),
            trackers: Trackers::new(),
            debounce: debounce::Debounce::default(),
            sessions: Sessions::new(seed),
            health: Health::new(seed),
            net: net_keeper::NetKeeper::default(),
            pace: pace::Pace::default(),
            vmacs: vmacs::Vmacs::default(),
            put_back: put_back::PutBack::default(),
            static_tracks: static_tracks::StaticTracks::default(),
            routing: routing_keeper::RoutingKeeper::default(),
            firewall: firewall::FirewallKeeper::default(),
            watches_routing: false,
            ipvs,
            intent,
            commands: commands::Commands::default(),
            confirm: confirm::Confirm::default(),
            started: None,
            jobs: jobs::Jobs::default(),
            trials: trial::Trials::default(),
            agent: AgentView::default(),
            state: State::default(),
            touched: BTreeSet::new(),
            all_touched: false,
            stopping: None,
            adopted: BTreeSet::new(),
            leaving: Vec::new(),
            listening: BTreeSet::new(),
            original_sysctls: BTreeMap::new(),
            gate_open: false,
            gate_opens_at: None,
            ledger: Ledger::default(),
            ledger_due: false,
            cleared: BTreeMap::new(),
            queue: VecDeque::new(),
            events: VecDeque::new(),
            answers: VecDeque::new(),
            boot: Some(boot),
        };
        engine.introduce();
        engine.ipvs.ask(now, &mut engine.queue);
        engine
    }

    /// One change of the world. Time must not run backwards, and the actions of the change before must have been
    /// drained.
    pub fn handle(&mut self, now: Mono, input: Input) {
        assert!(
            now >= self.now,
            "time ran backwards: {now:?} after {:?}",
            self.now
        );
        self.now = now;
        match input {
            Input::Tick => self.on_tick(),
            Input::Datagram(datagram) => {
                let mut effects = Vec::new();
                self.routers.on_datagram(now, &datagram, &mut effects);
                self.on_router_effects(effects);
            }
            Input::Net(news) => self.on_net(news),
            Input::Ipvs(news) => self.on_ipvs(news),
            Input::Sysctls(found) => self.on_sysctls(found),
            Input::IpvsSettings(found) => self.on_ipvs_settings(found),
            Input::Checked(id, outcome) => self.on_checked(id, &outcome),
            Input::Ran(id, outcome) => self.on_ran(id, &outcome),
            Input::Bfd(heard) => self.on_bfd(&heard),
            Input::BfdSendFailed(name, why) => self.on_bfd_send_failed(&name, &why),
            Input::Processes(name, count) => {
                let mut effects = Vec::new();
                self.trackers.on_processes(now, &name, count, &mut effects);
                self.on_tracker_effects(effects);
            }
            Input::Number(name, number) => {
                let mut effects = Vec::new();
                self.trackers.on_number(now, &name, number, &mut effects);
                if !effects.is_empty() {
                    self.on_tracker_effects(effects);
                    let mut effects = Vec::new();
                    self.health.on_number(now, &name, number, &mut effects);
                    self.on_health_effects(effects);
                }
            }
            Input::Model(new) => self.on_model(*new),
            Input::ReloadRefused(findings) => {
                self.on_file_refused(&findings, "reload refused, nothing changed")
            }
            Input::NotTold(why) => self.say(What::NotTold, why, None),
            Input::SendFailed(name) => {
                let mut effects = Vec::new();
                self.routers.on_send_failed(now, &name, &mut effects);
                self.on_router_effects(effects);
            }
            Input::Command(ticket, command) => self.on_command(ticket, command),
            Input::Test(ticket, asked) => self.on_test(ticket, &asked),
            Input::Sample(ticket) => self.on_sample(ticket),
            Input::Persisted(id, result) => self.on_persisted(id, result),
            Input::FormerKept(id, result) => self.on_former_kept(id, result),
            Input::Confirm(ticket, actor) => self.on_confirm(ticket, actor),
            Input::Dump(ask) => self.on_dump(ask),
            Input::WallClock(unix_us) => self.routers.on_wall(now, unix_us),
            Input::Stop(mode) => self.on_stop(mode),
        }
        self.settle();
    }

    /// The next thing to do; drain to `None` before the next input.
    ///
    /// First what is to be done, then what happened, then views that changed without a word, then answers: neither
    /// kernel nor peers wait for thousands of views to be made.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.queue.pop_front() {
            return Some(action);
        }
        if let Some(event) = self.events.pop_front().or_else(|| self.next_view()) {
            return Some(Action::Emit(event));
        }
        // A start or a reload tells thousands of things at once; after that it is a few at a time.
        self.queue.shrink_to(QUEUE_KEPT);
        self.events.shrink_to(QUEUE_KEPT);
        let (ticket, reply) = self.answers.pop_front()?;
        Some(Action::Answer(ticket, reply))
    }

    /// When [`Input::Tick`] is due.
    pub fn next_deadline(&self) -> Option<Mono> {
        [
            self.routers.deadline(),
            self.trackers.deadline(),
            self.debounce.deadline(),
            self.sessions.deadline(),
            self.health.deadline(),
            self.net.deadline(),
            self.pace.deadline(),
            self.vmacs.deadline(),
            self.put_back.deadline(),
            self.routing.deadline(),
            self.firewall.deadline(),
            self.intent.deadline(),
            self.commands.deadline(),
            self.confirm.deadline(),
            self.trials.deadline(),
            self.gate_opens_at,
            self.stopping.as_ref().map(stop::Stopping::deadline),
            Some(self.ipvs.deadline(self.is_draining())),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The services in force.
    pub fn services(&self) -> &BTreeMap<ServiceKey, Arc<Service>> {
        &self.model.services
    }

    /// What the emitted events add up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The virtual addresses that may be on this host: those of the model in force, before it those of the one to begin
    /// with and of an earlier run.
    pub fn virtual_addresses(&self) -> BTreeSet<IpAddr> {
        let Some(boot) = &self.boot else {
            return self.index.virtual_addresses.clone();
        };
        let earlier = boot.previous.iter().flat_map(|it| it.ledger.masters.values());
        let earlier = earlier
            .flat_map(|it| &it.addresses)
            .map(|(_, address, _)| *address);
        let instances = boot.model.model.instances.values();
        let first = instances
            .flat_map(|it| ground::addresses(it))
            .map(|it| it.address);
        earlier.chain(first).collect()
    }

    fn on_tick(&mut self) {
        let now = self.now;
        if self.gate_opens_at.is_some_and(|at| at <= now) {
            self.open_gate();
        }
        let mut effects = Vec::new();
        self.routers.on_tick(now, &mut effects);
        self.on_router_effects(effects);
        self.sessions_on_tick();
        let mut effects = Vec::new();
        self.trackers.on_tick(now, &mut effects);
        self.on_tracker_effects(effects);
        let mut effects = Vec::new();
        self.health.on_tick(now, &mut effects);
        self.on_health_effects(effects);
        self.interfaces_on_tick();
        self.net_on_tick();
        self.announcements_on_tick();
        self.vmacs_on_tick();
        self.static_addresses_on_tick();
        self.routing_on_tick();
        self.firewall_on_tick();
        self.expire_overrides();
        self.restore_unconfirmed();
        self.expire_tests();
        let draining = self.is_draining();
        self.ipvs.on_tick(now, draining, &mut self.queue);
        self.stop_on_tick();
    }

    /// Brings everything that follows from the input up to date: kernel plans, answers, the ledger.
    fn settle(&mut self) {
        self.suspend_checks();
        self.plan_ipvs();
        self.try_open_gate();
        self.answer_settled();
        self.begin_waiting();
        self.stop_advance();
        self.write_ledger();
    }

    /// Connections are being counted down.
    fn is_draining(&self) -> bool {
        self.health.draining().next().is_some()
    }

    fn touch(&mut self, object: ObjectId) {
        self.touched.insert(object);
    }

    /// Something happened to the agent as a whole.
    fn say(&mut self, what: What, text: impl Into<String>, why: Option<String>) {
        self.emit(what, ObjectId::Agent, text.into(), why, None);
    }
}

/// No router yet, but what the clock says, and the last number that an earlier run signed an advert with.
fn routers(boot: &Boot, seed: u64, now: Mono) -> Routers {
    let mut routers = Routers::new(seed);
    routers.on_wall(now, boot.wall_ms.saturating_mul(1_000));
    routers.sign_after(boot.signed);
    routers
}
