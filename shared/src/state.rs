//! Everything a client can show, and the one way it changes.
//!
//! A [`State`] is a set of objects. Every [`Event`] carries the new form of the objects it changed, so that folding
//! is putting and removing and nothing else: `apply` of all [`State::as_events`] on an empty state gives the state.
//! Numbers that move all the time (connections, adverts, latencies) are not here but in [`crate::counters`].

use crate::counters::ServerCounters;
use crate::event::{Actor, Change, Event, What};
use crate::history::ServerWord;
use crate::names::{
    Family, GroupName, InstanceName, ServerId, ServerKey, ServiceKey, TrackerName, VirtualKey,
};
use crate::units::{Mono, Weight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a client can show about an agent.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub agent: AgentView,
    pub instances: BTreeMap<InstanceName, Arc<InstanceView>>,
    pub groups: BTreeMap<GroupName, GroupView>,
    pub trackers: BTreeMap<TrackerName, TrackerView>,
    pub services: BTreeMap<ServiceKey, Arc<ServiceView>>,
    pub servers: BTreeMap<ServerId, Arc<ServerView>>,
    pub overrides: BTreeMap<Target, Override>,
}

/// One object of a [`State`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// It and overrides are large and rare: in a box they do not make every change as large.
    Agent(Box<AgentView>),
    Instance(Arc<InstanceView>),
    Group(GroupView),
    Tracker(TrackerView),
    Service(Arc<ServiceView>),
    Server(Arc<ServerView>),
    Override(Box<Override>),
}

/// How one object of a [`State`] is addressed.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum ObjectId {
    Agent,
    Instance(InstanceName),
    Group(GroupName),
    Tracker(TrackerName),
    Service(ServiceKey),
    Server(ServerId),
    Override(Target),
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Instance(name) => write!(f, "vrrp:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Tracker(name) => write!(f, "{}:{}", name.kind(), name.name()),
            Self::Service(key) => write!(f, "vs:{key}"),
            Self::Server(id) => write!(f, "rs:{id}"),
            Self::Override(target) => write!(f, "override:{target}"),
        }
    }
}

/// The agent itself, its configuration and what the kernel lets it do.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    pub version: String,
    /// Host name, or `router_id` when the configuration gives one.
    pub host: String,
    pub pid: u32,
    pub config: ConfigView,
    /// `None` while IPVS works; else why it does not and what to do.
    pub ipvs_missing: Option<String>,
    /// Operations the kernel refused and that are being retried, worst first.
    pub kernel_trouble: Vec<String>,
    /// True once SIGTERM or an upgrade has begun.
    pub stopping: bool,
    /// `lvs_sync_daemon`; `None` where connections are not copied to another director.
    pub sync: Option<SyncView>,
}

/// How connections are copied between directors.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SyncView {
    pub interface: String,
    pub id: u8,
    /// Whose role it follows; `None`: it sends and takes at all times.
    pub instance: Option<InstanceName>,
    /// The kernel sends connections.
    pub sends: bool,
    /// The kernel takes connections.
    pub takes: bool,
}

impl SyncView {
    /// What it does at the moment, in a word.
    pub fn word(&self) -> &'static str {
        match (self.sends, self.takes) {
            (true, true) => "sends and takes",
            (true, false) => "sends",
            (false, true) => "takes",
            (false, false) => "off",
        }
    }
}

/// The configuration in force.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfigView {
    pub file: String,
    /// Counts from 1; each applied reload adds one.
    pub revision: u64,
    pub loaded_at: Mono,
    /// Findings of the file in force.
    pub warnings: u32,
    /// Why the last reload was refused, while the file has not been loaded since; first line of each finding.
    pub refused: Vec<String>,
    /// It is taken back at a moment, unless somebody confirms it.
    pub unconfirmed: Option<Box<Unconfirmed>>,
    /// Why it is not what the file says: nobody confirmed that.
    pub restored: Option<String>,
}

/// Until when a configuration can be confirmed, and what comes back if it is not.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Unconfirmed {
    pub until: Mono,
    /// Who put it in force.
    pub actor: Actor,
}

/// The states of a virtual router (RFC 9568 §6.4, with keepalived's FAULT).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VrrpState {
    #[default]
    Init,
    Backup,
    Master,
    Fault,
}

impl VrrpState {
    /// As in tables, logs and scripts: `INIT`, `BACKUP`, `MASTER`, `FAULT`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
        }
    }
}

/// What an operator pinned an instance to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pin {
    /// Advertises 254; trackers with a weight are ignored, faults are not.
    Promoted,
    /// Effective priority 1; becomes MASTER only when nobody else is.
    Demoted,
    /// Never becomes MASTER.
    DemotedHard,
}

/// One summand of an effective priority.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Term {
    pub tracker: TrackerName,
    /// What it adds now.
    pub delta: i32,
    /// What a change of its verdict would do: the weight in force; 0 means FAULT when it fails.
    pub weight: i32,
    /// How many successes it takes to be ok again, and failures to fail; 0 where that is not counted.
    pub rise: u32,
    pub fall: u32,
    /// `None` before its first result.
    pub ok: Option<bool>,
    pub since: Mono,
    /// Its last result in words: `exit 1`, `up`, `down`, `timed out after 2s`.
    pub detail: String,
}

/// Another router heard as master.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MasterView {
    pub address: IpAddr,
    pub priority: u8,
}

/// Somebody whose adverts do not count.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefusedView {
    pub source: IpAddr,
    /// In words, without a full stop: `wrong password`.
    pub why: String,
    /// When it was said; the next ones of the kind are only counted for a while.
    pub at: Mono,
}

/// A `vrrp_instance`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    pub name: InstanceName,
    pub group: Option<GroupName>,
    pub interface: Option<String>,
    pub vrid: u8,
    pub family: Family,
    /// 2 or 3.
    pub version: u8,
    pub unicast: bool,
    pub state: VrrpState,
    pub since: Mono,
    /// Why it is in this state, in one sentence without a full stop.
    pub why: String,
    /// Another master is heard while this node is MASTER.
    pub second_master: bool,
    pub base_priority: u8,
    /// Where the file sets it, `keepalived.conf:41`; empty when it does not.
    pub place: String,
    /// What is (or would be) advertised; 0 in FAULT.
    pub effective_priority: u8,
    pub terms: Vec<Term>,
    pub pin: Option<Pin>,
    /// The other master; `None` while this node is master or nobody is heard.
    pub master: Option<MasterView>,
    pub advert_interval_us: u64,
    /// Silence after which this node takes over, from the interval in force and the effective priority.
    pub master_down_us: u64,
    pub preempt: bool,
    pub preempt_delay_us: u64,
    /// Virtual addresses with their length and interface: `192.0.2.10/24 dev eth0`.
    pub addresses: Vec<String>,
    /// Why it is in FAULT; empty otherwise.
    pub faults: Vec<String>,
    /// The interface of its own with the virtual MAC, if it has one: `vrrp.51 00:00:5e:00:01:33`.
    pub vmac: Option<String>,
    /// An advert that did not count, until one of its sender counts.
    pub refused: Option<RefusedView>,
}

/// A `vrrp_sync_group`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    pub name: GroupName,
    pub members: Vec<InstanceName>,
    pub state: VrrpState,
    pub since: Mono,
}

/// Something that is watched on behalf of instances.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TrackerView {
    pub name: TrackerName,
    /// `None` before its first result.
    pub ok: Option<bool>,
    pub since: Mono,
    pub detail: String,
}

/// A service's standing, most telling first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// No server has a check result yet.
    Init,
    /// Quorum met.
    Up,
    /// Quorum lost, the sorry server answers.
    Sorry,
    /// Quorum lost, nobody answers.
    Down,
}

impl ServiceState {
    /// As in tables: `INIT`, `UP`, `SORRY`, `DOWN`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Init => "INIT",
            Self::Up => "UP",
            Self::Sorry => "SORRY",
            Self::Down => "DOWN",
        }
    }
}

/// How far the kernel has what a service needs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Programmed {
    /// The kernel has it.
    Yes,
    /// On its way.
    Pending,
    /// No `ip_vs` in this kernel.
    Unavailable,
    /// Refused; being retried.
    Failed(String),
}

/// A `virtual_server`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    pub key: ServiceKey,
    /// Its place among the services of the file, counted from 0: the order of lists.
    pub order: u32,
    /// `snmp_name`, or the group's name.
    pub name: Option<String>,
    /// The IPVS services behind it: one, or as many as its group has entries.
    pub entries: Vec<VirtualKey>,
    pub scheduler: String,
    /// `NAT`, `DR` or `TUN`.
    pub method: String,
    /// Seconds; `None` without persistence.
    pub persistence_s: Option<u32>,
    pub state: ServiceState,
    pub since: Mono,
    pub quorum: u64,
    pub hysteresis: u64,
    /// Sum of the weights of servers that are up.
    pub live_weight: u64,
    pub sorry: Option<ServerKey>,
    pub programmed: Programmed,
    /// The instance that holds its address, if one does.
    pub instance: Option<InstanceName>,
}

/// What the checks say about a server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No result yet.
    Init,
    Up,
    Down,
    /// No checker configured.
    None,
}

/// What operators did to a server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admin {
    Enabled,
    Draining,
    Drained,
    Disabled,
}

/// Where a server's effective weight comes from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightSource {
    Config,
    Operator,
    /// A check that gives a weight (`misc_dynamic`).
    Dynamic,
    /// 0 because a check failed and `inhibit_on_failure` is set.
    Inhibit,
}

/// One check of a server and its last verdict.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CheckView {
    /// The keyword: `TCP_CHECK`, `HTTP_GET`, …
    pub kind: String,
    /// What it talks to: `198.51.100.24:443 /healthz`.
    pub target: String,
    /// `None` before its first result.
    pub ok: Option<bool>,
    pub detail: String,
}

/// A drain under way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DrainView {
    pub since: Mono,
    /// `None`: never.
    pub deadline: Option<Mono>,
    /// Connections that counted when it began.
    pub active_at_start: u64,
    /// Inactive connections are waited for, too: because somebody wanted it, or because there are no others.
    pub inactive: bool,
}

impl DrainView {
    /// How many connections are still waited for.
    pub fn left(&self, counters: &ServerCounters) -> u64 {
        let inactive = if self.inactive { counters.inactive } else { 0 };
        counters.active.saturating_add(inactive)
    }
}

/// A `real_server` of a service.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServerView {
    pub id: ServerId,
    pub health: Health,
    pub admin: Admin,
    pub configured: Weight,
    /// The weight in IPVS; `None` while it is not in the table.
    pub effective: Option<Weight>,
    pub source: WeightSource,
    pub since: Mono,
    /// What decided its health, in words: `status 503`, `connection refused`; empty when up.
    pub reason: String,
    pub checks: Vec<CheckView>,
    pub drain: Option<DrainView>,
}

impl ServerView {
    /// The one word for tables.
    pub fn word(&self) -> &'static str {
        ServerWord::of(self).word()
    }

    /// Whether the kernel sends new connections to it, also before its first check has ended: it is not drained or
    /// disabled, and has a weight there.
    pub fn is_served(&self) -> bool {
        self.admin == Admin::Enabled && self.effective.is_some_and(|weight| weight > Weight::ZERO)
    }

    /// Whether new connections may reach it: up, not drained or disabled, weight above zero.
    pub fn in_rotation(&self) -> bool {
        self.is_served() && matches!(self.health, Health::Up | Health::None)
    }
}

/// What an override is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Target {
    Server(ServerId),
    Instance(InstanceName),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(id) => id.fmt(f),
            Self::Instance(name) => write!(f, "vrrp:{name}"),
        }
    }
}

/// What happens to a drained server at its deadline.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainThen {
    /// Weight stays 0, connections may go on.
    #[default]
    Keep,
    /// Back into rotation.
    Undrain,
    /// Out of IPVS; remaining connections are cut.
    Disable,
}

/// What an operator wants of a target, whatever the file says.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverrideKind {
    Drain {
        then: DrainThen,
        /// Inactive connections are waited for, too.
        #[serde(default)]
        inactive: bool,
    },
    Disable,
    Weight(Weight),
    Pin(Pin),
    /// Back from a drain or disable, with a weight that rises in steps for so long, up to its end.
    Ramp {
        over_ms: u64,
    },
}

impl OverrideKind {
    /// `drain`, `disable`, `weight`, `promote`, `demote`, `ramp`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Drain { .. } => "drain",
            Self::Disable => "disable",
            Self::Weight(_) => "weight",
            Self::Pin(Pin::Promoted) => "promote",
            Self::Pin(Pin::Demoted | Pin::DemotedHard) => "demote",
            Self::Ramp { .. } => "ramp",
        }
    }
}

/// A change an operator made live, beside the file: who, when, why, until when.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Override {
    pub target: Target,
    pub kind: OverrideKind,
    pub actor: Actor,
    /// Unix time in milliseconds.
    pub at_wall_ms: u64,
    /// Unix time in milliseconds at which it ends (for a drain: its deadline); `None`: by command only.
    pub until_wall_ms: Option<u64>,
    /// The same end on the agent's clock.
    pub until: Option<Mono>,
    pub message: String,
    /// Its target is not in the configuration; it waits in case the target comes back.
    #[serde(default, rename = "sleeps")]
    pub dormant: Option<Dormant>,
}

/// How long an override has waited for its target.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Dormant {
    /// Unix time in milliseconds.
    pub since_wall_ms: u64,
    /// When it is forgotten, on the agent's clock.
    pub until: Mono,
}

impl Dormant {
    /// After so long a name in the configuration may mean another machine.
    pub const PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);
}

impl State {
    /// Puts the objects an event changed into place.
    pub fn apply(&mut self, event: &Event) {
        event.changes.iter().for_each(|change| self.apply_change(change));
    }

    /// Folds one change.
    pub fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Put(object) => self.put(object.clone()),
            Change::Remove(id) => self.remove(id),
        }
    }

    /// Events whose folding gives this state.
    pub fn as_events(&self) -> Vec<Event> {
        self.objects()
            .map(|object| Event {
                what: What::Present,
                object: object.id(),
                text: String::new(),
                why: None,
                actor: None,
                at: Mono::ZERO,
                changes: vec![Change::Put(object)],
            })
            .collect()
    }

    /// Every object, in a fixed order.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        std::iter::once(Object::Agent(Box::new(self.agent.clone())))
            .chain(
                self.instances
                    .values()
                    .map(|view| Object::Instance(Arc::clone(view))),
            )
            .chain(self.groups.values().map(|view| Object::Group(view.clone())))
            .chain(self.trackers.values().map(|view| Object::Tracker(view.clone())))
            .chain(
                self.services
                    .values()
                    .map(|view| Object::Service(Arc::clone(view))),
            )
            .chain(self.servers.values().map(|view| Object::Server(Arc::clone(view))))
            .chain(
                self.overrides
                    .values()
                    .map(|view| Object::Override(Box::new(view.clone()))),
            )
    }

    /// The servers of a service, in the order of their addresses.
    pub fn servers_of<'a>(&'a self, service: &'a ServiceKey) -> impl Iterator<Item = &'a ServerView> + 'a {
        self.servers
            .range(ServerId::first_of(service)..)
            .take_while(move |(id, _)| id.service == *service)
            .map(|(_, view)| &**view)
    }

    fn put(&mut self, object: Object) {
        match object {
            Object::Agent(view) => self.agent = *view,
            Object::Instance(view) => drop(self.instances.insert(view.name.clone(), view)),
            Object::Group(view) => drop(self.groups.insert(view.name.clone(), view)),
            Object::Tracker(view) => drop(self.trackers.insert(view.name.clone(), view)),
            Object::Service(view) => drop(self.services.insert(view.key.clone(), view)),
            Object::Server(view) => drop(self.servers.insert(view.id.clone(), view)),
            Object::Override(view) => drop(self.overrides.insert(view.target.clone(), *view)),
        }
    }

    fn remove(&mut self, id: &ObjectId) {
        match id {
            ObjectId::Agent => self.agent = AgentView::default(),
            ObjectId::Instance(name) => drop(self.instances.remove(name)),
            ObjectId::Group(name) => drop(self.groups.remove(name)),
            ObjectId::Tracker(name) => drop(self.trackers.remove(name)),
            ObjectId::Service(key) => drop(self.services.remove(key)),
            ObjectId::Server(id) => drop(self.servers.remove(id)),
            ObjectId::Override(target) => drop(self.overrides.remove(target)),
        }
    }
}

impl Object {
    /// Its address in a [`State`].
    pub fn id(&self) -> ObjectId {
        match self {
            Self::Agent(_) => ObjectId::Agent,
            Self::Instance(view) => ObjectId::Instance(view.name.clone()),
            Self::Group(view) => ObjectId::Group(view.name.clone()),
            Self::Tracker(view) => ObjectId::Tracker(view.name.clone()),
            Self::Service(view) => ObjectId::Service(view.key.clone()),
            Self::Server(view) => ObjectId::Server(view.id.clone()),
            Self::Override(view) => ObjectId::Override(view.target.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(service: &str, server: &str) -> ServerView {
        ServerView {
            id: ServerId {
                service: service.parse().unwrap(),
                server: server.parse().unwrap(),
            },
            health: Health::Up,
            admin: Admin::Enabled,
            configured: Weight::clamped(1),
            effective: Some(Weight::clamped(1)),
            source: WeightSource::Config,
            since: Mono::ZERO,
            reason: String::new(),
            checks: Vec::new(),
            drain: None,
        }
    }

    #[test]
    fn folding_as_events_gives_the_state_again() {
        let mut state = State::default();
        state.agent.host = "lb1".into();
        for (service, address) in [
            ("192.0.2.1:80/tcp", "198.51.100.1:80"),
            ("fwmark:8", "[2001:db8::1]:80"),
        ] {
            state.put(Object::Server(Arc::new(server(service, address))));
        }
        let mut folded = State::default();
        state.as_events().iter().for_each(|event| folded.apply(event));
        assert_eq!(folded, state);
    }

    #[test]
    fn a_services_servers_are_its_own() {
        let mut state = State::default();
        for (service, address) in [
            ("192.0.2.1:80/tcp", "198.51.100.1:80"),
            ("192.0.2.1:80/tcp", "[2001:db8::1]:80"),
            ("192.0.2.1:81/tcp", "198.51.100.1:80"),
        ] {
            state.put(Object::Server(Arc::new(server(service, address))));
        }
        let key = "192.0.2.1:80/tcp".parse().unwrap();
        assert_eq!(state.servers_of(&key).count(), 2);
    }

    #[test]
    fn the_word_for_a_server_is_the_first_that_applies() {
        let cases = [
            (Admin::Disabled, Health::Down, "OFF"),
            (Admin::Drained, Health::Down, "DRAINED"),
            (Admin::Draining, Health::Down, "DOWN"),
            (Admin::Draining, Health::Up, "DRAIN"),
            (Admin::Enabled, Health::Init, "INIT"),
            (Admin::Enabled, Health::None, "UP"),
        ];
        for (admin, health, want) in cases {
            let view = ServerView {
                admin,
                health,
                ..server("fwmark:1", "198.51.100.1:80")
            };
            assert_eq!(view.word(), want, "{admin:?} {health:?}");
        }
    }
}
