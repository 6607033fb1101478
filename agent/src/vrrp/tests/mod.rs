//! Routers wired together in memory, in virtual time.

mod adverts;
mod cluster;
mod groups;
#[path = "../../../tests/support/instance.rs"]
mod instance;
mod late;
mod pins;
mod reload;
mod room;
mod seal;
mod sign;
mod storm;
mod timers;
mod transitions;

use super::*;
use crate::model::{Authentication, Instance, NotifyState, NotifyWho, SyncGroup, Tracking, VrrpVersion};
use crate::wire::LinkIndex;
use lb_shared::event::What;
use lb_shared::names::{Family, GroupName, InstanceName, TrackerName};
use lb_shared::state::{GroupView, InstanceView, Term, VrrpState};
use lb_shared::units::{Mono, Priority};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) const MS: u64 = 1_000;
pub(super) const S: u64 = 1_000_000;
pub(super) const LINK: LinkIndex = LinkIndex(2);

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `vi(51, 100)`: version 2, one second, multicast on eth0, one address.
pub(super) fn vi(vrid: u8, priority: u8) -> Instance {
    with_address(
        ip(&format!("10.5.1.{vrid}")),
        instance::v2(&format!("VI_{vrid}"), vrid, priority),
    )
}

/// The same in version 3 over IPv6.
pub(super) fn vi6(vrid: u8, priority: u8) -> Instance {
    with_address(
        ip(&format!("fe80::5:{vrid:x}")),
        instance::v3_inet6(&format!("VI_{vrid}"), vrid, priority),
    )
}

fn with_address(address: IpAddr, cfg: Instance) -> Instance {
    Instance {
        initial_master: false,
        addresses: vec![instance::address(address)],
        ..cfg
    }
}

pub(super) fn ground(source: &str) -> Ground {
    Ground {
        link: Some(LINK),
        sends_by: None,
        vrf: None,
        mtu: None,
        source: Some(ip(source)),
        own_addresses: vec![ip(source)],
        faults: BTreeSet::new(),
    }
}

pub(super) fn down(source: &str) -> Ground {
    Ground {
        faults: BTreeSet::from(["interface eth0 is down".to_owned()]),
        ..ground(source)
    }
}

pub(super) fn group(name: &str, members: &[&str]) -> SyncGroup {
    SyncGroup {
        name: name.into(),
        members: members.iter().map(|name| (*name).into()).collect(),
        tracking: Tracking::default(),
        tracking_weight: false,
        notify: Default::default(),
    }
}

pub(super) fn term(name: &str, delta: i32) -> Term {
    Term {
        rise: 0,
        fall: 0,
        tracker: TrackerName::Script(name.into()),
        delta,
        weight: delta,
        ok: Some(delta >= 0),
        since: Mono::ZERO,
        detail: "exit 1".into(),
    }
}

pub(super) fn terms(deltas: &[i32]) -> Terms {
    Terms {
        terms: deltas
            .iter()
            .enumerate()
            .map(|(at, delta)| term(&format!("chk_{at}"), *delta))
            .collect(),
        waiting: false,
        faults: Vec::new(),
    }
}

/// One node: its routers, its address, and all that came out of them.
pub(super) struct Node {
    pub(super) routers: Routers,
    pub(super) source: String,
    pub(super) instances: BTreeMap<InstanceName, Arc<Instance>>,
    pub(super) groups: BTreeMap<GroupName, Arc<SyncGroup>>,
    pub(super) log: Vec<(Mono, Effect)>,
}

impl Node {
    /// A node that has begun: every instance stands on solid ground and tracks nothing.
    pub(super) fn start(source: &str, instances: &[Instance], groups: &[SyncGroup]) -> Self {
        let mut node = Self::cold(source, instances, groups);
        node.apply(Mono::ZERO, Duration::ZERO);
        for name in node.names() {
            let ground = ground(source);
            node.with(Mono::ZERO, |routers, now, out| {
                routers.on_ground(now, &name, ground, out)
            });
        }
        node
    }

    pub(super) fn cold(source: &str, instances: &[Instance], groups: &[SyncGroup]) -> Self {
        let mut node = Self {
            routers: Routers::new(1),
            source: source.to_owned(),
            instances: BTreeMap::new(),
            groups: BTreeMap::new(),
            log: Vec::new(),
        };
        node.configure(instances, groups);
        node
    }

    pub(super) fn configure(&mut self, instances: &[Instance], groups: &[SyncGroup]) {
        self.instances = instances
            .iter()
            .map(|cfg| (cfg.name.clone(), Arc::new(cfg.clone())))
            .collect();
        self.groups = groups
            .iter()
            .map(|cfg| (cfg.name.clone(), Arc::new(cfg.clone())))
            .collect();
    }

    pub(super) fn apply(&mut self, now: Mono, delay: Duration) -> Vec<Effect> {
        let (instances, groups) = (self.instances.clone(), self.groups.clone());
        self.with(now, |routers, now, out| {
            routers.apply(now, &instances, &groups, delay, out)
        })
    }

    pub(super) fn names(&self) -> Vec<InstanceName> {
        self.instances.keys().cloned().collect()
    }

    /// Gives an input and checks what must hold after every input.
    pub(super) fn with(
        &mut self,
        now: Mono,
        input: impl FnOnce(&mut Routers, Mono, &mut Vec<Effect>),
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let (views, groups) = self.views();
        input(&mut self.routers, now, &mut out);
        self.check();
        self.check_told(&views, &groups, &out);
        self.log.extend(out.iter().map(|effect| (now, effect.clone())));
        out
    }

    fn views(
        &self,
    ) -> (
        BTreeMap<InstanceName, InstanceView>,
        BTreeMap<GroupName, GroupView>,
    ) {
        let instances = self.routers.names.keys();
        let groups = self.routers.groups.iter().map(|group| &group.name);
        (
            instances
                .map(|name| (name.clone(), self.routers.view(name).unwrap()))
                .collect(),
            groups
                .map(|name| (name.clone(), self.routers.group_view(name).unwrap()))
                .collect(),
        )
    }

    /// Whoever folds the events has the views: no view changes without being told.
    fn check_told(
        &self,
        views: &BTreeMap<InstanceName, InstanceView>,
        groups: &BTreeMap<GroupName, GroupView>,
        out: &[Effect],
    ) {
        let (views_now, groups_now) = self.views();
        for name in views.keys().chain(views_now.keys()) {
            let told = out.iter().any(|effect| match effect {
                Effect::Changed { instance, .. } | Effect::Removed { instance } => instance == name,
                _ => false,
            });
            let (before, after) = (views.get(name), views_now.get(name));
            assert!(told || before == after, "untold:\n{before:?}\n{after:?}");
        }
        for name in groups.keys().chain(groups_now.keys()) {
            let told = out
                .iter()
                .any(|effect| matches!(effect, Effect::GroupChanged { group, .. } if group == name));
            assert!(told || groups.get(name) == groups_now.get(name), "{name} untold");
        }
    }

    fn check(&self) {
        for group in &self.routers.groups {
            let states: BTreeSet<_> = group
                .members
                .iter()
                .map(|slot| self.routers.slots[*slot].as_ref().unwrap().state())
                .collect();
            assert!(
                states.len() < 2 || states.contains(&VrrpState::Init),
                "{states:?}"
            );
        }
        for router in self.routers.slots.iter().flatten() {
            assert!(self.routers.stopped || router.deadline() == router.scheduled);
            let running = matches!(router.state(), VrrpState::Backup | VrrpState::Master);
            let kept_down = router.pin == Some(lb_shared::state::Pin::DemotedHard);
            assert!(!running || kept_down || self.routers.stopped || router.deadline().is_some());
        }
    }

    pub(super) fn tick(&mut self, now: Mono) -> Vec<Effect> {
        let out = self.with(now, |routers, now, out| routers.on_tick(now, out));
        assert!(
            self.routers.deadline().is_none_or(|at| at > now),
            "nothing stays due"
        );
        out
    }

    /// Runs alone until a moment.
    pub(super) fn run(&mut self, until: Mono) -> Vec<Effect> {
        let mut all = Vec::new();
        while let Some(at) = self.routers.deadline().filter(|at| *at <= until) {
            all.extend(self.tick(at));
        }
        all
    }

    pub(super) fn state(&self, name: &str) -> VrrpState {
        self.view(name).state
    }

    pub(super) fn view(&self, name: &str) -> InstanceView {
        self.routers.view(&name.into()).unwrap()
    }

    pub(super) fn hear(&mut self, now: Mono, advert: &Advert) -> Vec<Effect> {
        let datagram = datagram(advert);
        self.with(now, |routers, now, out| routers.on_datagram(now, &datagram, out))
    }

    /// The moments at which a state was entered.
    pub(super) fn entered(&self, what: What) -> Vec<Mono> {
        self.log
            .iter()
            .filter(|(_, effect)| matches!(effect, Effect::Changed { what: got, .. } if *got == what))
            .map(|(at, _)| *at)
            .collect()
    }
}

pub(super) fn datagram(advert: &Advert) -> Datagram {
    Datagram {
        link: advert.link.unwrap_or(LINK),
        source: advert.source,
        destination: advert.destination,
        ttl: Some(advert.ttl),
        envelope: advert.envelope,
        payload: advert.payload.clone(),
    }
}

/// The advert a router with this configuration would send.
pub(super) fn advert(cfg: &Instance, source: &str, priority: u8) -> Advert {
    let mut router = router::Router::new(Arc::new(cfg.clone()), Mono::ZERO, Mono::ZERO);
    router.ground = Some(ground(source));
    router.effective = priority;
    router.rewire();
    router.wire[0].clone()
}

pub(super) fn sends(effects: &[Effect]) -> Vec<&Advert> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { advert, .. } => Some(advert),
            _ => None,
        })
        .collect()
}

/// The priorities of the adverts among effects.
pub(super) fn priorities(effects: &[Effect]) -> Vec<u8> {
    sends(effects).iter().map(|advert| advert.payload[2]).collect()
}

/// Effects in short: `send 100`, `vrrp.master`, `announce 5`, `notify VI_51 MASTER 100`.
pub(super) fn brief(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Send { advert, .. } => format!("send {}", advert.payload[2]),
            Effect::Changed { what, .. } => what.name().to_owned(),
            Effect::GroupChanged { group, text } => format!("group {group} {text}"),
            Effect::Removed { instance } => format!("removed {instance}"),
            Effect::Announce { rounds, .. } => format!("announce {rounds}"),
            Effect::Notify { who, state, priority } => {
                let who = match who {
                    NotifyWho::Instance(name) => &name.0,
                    NotifyWho::Group(name) => &name.0,
                };
                format!("notify {who} {} {priority}", word(*state))
            }
            Effect::PriorityNotify { state, priority, .. } => format!("{}_PRIORITY {priority}", word(*state)),
            Effect::AnnounceElsewhere { .. } => "announce elsewhere".to_owned(),
            Effect::AnnounceSource { .. } => "announce source".to_owned(),
            Effect::MasterRxLowerPriority { priority, .. } => format!("rx lower {priority}"),
        })
        .collect()
}

fn word(state: NotifyState) -> &'static str {
    match state {
        NotifyState::Master => "MASTER",
        NotifyState::Backup => "BACKUP",
        NotifyState::Fault => "FAULT",
        NotifyState::Stop => "STOP",
        NotifyState::Deleted => "DELETED",
    }
}

/// Nodes on one segment; an advert takes `delay` to everybody else, except over cut directions.
pub(super) struct Lan {
    pub(super) nodes: Vec<Node>,
    pub(super) now: Mono,
    pub(super) delay: Duration,
    /// From, to.
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Nodes that do not run: paused or dead.
    pub(super) off: BTreeSet<usize>,
    on_the_way: BTreeMap<(Mono, u64), (usize, Datagram)>,
    count: u64,
    seen: Vec<usize>,
}

impl Lan {
    pub(super) fn new(nodes: Vec<Node>) -> Self {
        Self {
            seen: vec![0; nodes.len()],
            nodes,
            now: Mono::ZERO,
            delay: Duration::from_micros(200),
            cut: BTreeSet::new(),
            off: BTreeSet::new(),
            on_the_way: BTreeMap::new(),
            count: 0,
        }
    }

    /// Puts what nodes sent since the last look onto the wire.
    pub(super) fn collect(&mut self) {
        for from in 0..self.nodes.len() {
            let fresh = self.nodes[from].log[self.seen[from]..].to_vec();
            self.seen[from] = self.nodes[from].log.len();
            for (at, effect) in fresh {
                let Effect::Send { advert, .. } = effect else {
                    continue;
                };
                for to in 0..self.nodes.len() {
                    let meant =
                        advert.destination.is_multicast() || advert.destination == ip(&self.nodes[to].source);
                    if to != from && meant && !self.cut.contains(&(from, to)) {
                        self.count += 1;
                        self.on_the_way
                            .insert((at + self.delay, self.count), (to, datagram(&advert)));
                    }
                }
            }
        }
    }

    /// Runs until a moment. Packets for nodes that are off wait for them.
    pub(super) fn run(&mut self, until: Mono) {
        loop {
            self.collect();
            let packet = self
                .on_the_way
                .iter()
                .find(|(_, (to, _))| !self.off.contains(to))
                .map(|(key, _)| *key);
            let timer = (0..self.nodes.len())
                .filter(|node| !self.off.contains(node))
                .filter_map(|node| self.nodes[node].routers.deadline().map(|at| (at, node)))
                .min();
            // A packet that came while its node was off is read before any timer.
            let packet_first = match (packet, timer) {
                (Some((at, _)), Some((due, _))) => at <= due.max(self.now),
                (packet, _) => packet.is_some(),
            };
            if packet_first {
                let key = packet.unwrap();
                if key.0 > until {
                    break;
                }
                self.now = self.now.max(key.0);
                let (to, datagram) = self.on_the_way.remove(&key).unwrap();
                self.nodes[to].with(self.now, |routers, now, out| {
                    routers.on_datagram(now, &datagram, out);
                });
            } else {
                match timer.filter(|(at, _)| *at <= until) {
                    Some((at, node)) => {
                        self.now = self.now.max(at);
                        self.nodes[node].tick(self.now);
                    }
                    None => break,
                }
            }
        }
        self.now = self.now.max(until);
    }

    /// A dead node is off, and what was meant for it is lost.
    pub(super) fn kill(&mut self, node: usize) {
        self.off.insert(node);
    }

    pub(super) fn masters(&self, name: &str) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| !self.off.contains(node) && self.nodes[*node].routers.is_master(&name.into()))
            .collect()
    }
}
