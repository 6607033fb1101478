//! Where the instances would stand a while after a reload: the same world, and another model in force.

use super::World;
use crate::engine::input::{Input, NetNews, NewModel};
use crate::engine::{Engine, Index, ipvs_keeper};
use crate::health::Health;
use crate::model::{Instance, Model};
use crate::net::NetOp;
use lb_shared::names::InstanceName;
use lb_shared::state::{InstanceView, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Inputs after which it is taken as it is by then: whoever asks for the plan waits, and so does everything else.
const INPUTS_MAX: usize = 30_000;
/// How far ahead at most.
const SPAN_MAX: Duration = Duration::from_secs(120);

impl Engine {
    /// Every instance of a model, long enough after it came into force for the elections to be over. A delay of
    /// preemption is left out: whether is asked, not when.
    pub(in crate::engine) fn stand_after(
        &self,
        model: &Model,
        numbers: &BTreeMap<String, i32>,
    ) -> BTreeMap<InstanceName, InstanceView> {
        let at_once = |it: &Arc<Instance>| match it.preempt_delay.is_zero() {
            true => Arc::clone(it),
            false => Arc::new(Instance {
                preempt_delay: Duration::ZERO,
                ..(**it).clone()
            }),
        };
        let instances = model.instances.iter();
        let model = Model {
            instances: instances.map(|(name, it)| (name.clone(), at_once(it))).collect(),
            ..without_services(model)
        };
        let mut world = World::around(self.elections(), self.now, 0);
        world.answer_what_waits();
        world.put_in_force(model, numbers.clone());
        let slowest = world.views().map(|it| it.master_down_us).max().unwrap_or(0);
        let span = Duration::from_micros(slowest) * 2 + Duration::from_millis(500);
        world.inputs_max = INPUTS_MAX;
        world.live(world.now + span.min(SPAN_MAX));
        world.views().map(|it| (it.name.clone(), it)).collect()
    }

    /// A copy that has no services: there may be very many, and no election depends on them.
    fn elections(&self) -> Self {
        Self {
            now: self.now,
            boot: None,
            model: without_services(&self.model),
            index: Index {
                by_interface: self.index.by_interface.clone(),
                by_tracker: self.index.by_tracker.clone(),
                by_entry: BTreeMap::new(),
                virtual_addresses: self.index.virtual_addresses.clone(),
                suspendable: Vec::new(),
            },
            routers: self.routers.clone(),
            trackers: self.trackers.clone(),
            debounce: self.debounce.clone(),
            sessions: self.sessions.clone(),
            health: Health::new(0),
            net: self.net.clone(),
            pace: self.pace.clone(),
            vmacs: self.vmacs.clone(),
            put_back: self.put_back.clone(),
            static_tracks: self.static_tracks.clone(),
            routing: self.routing.clone(),
            firewall: self.firewall.clone(),
            watches_routing: self.watches_routing,
            ipvs: ipvs_keeper::IpvsKeeper::new(self.now, Default::default(), Default::default()),
            intent: self.intent.clone(),
            commands: self.commands.clone(),
            confirm: Default::default(),
            started: self.started.clone(),
            jobs: self.jobs.clone(),
            trials: Default::default(),
            agent: self.agent.clone(),
            state: State {
                instances: self.state.instances.clone(),
                ..State::default()
            },
            touched: Default::default(),
            all_touched: false,
            stopping: None,
            adopted: Default::default(),
            leaving: Vec::new(),
            listening: self.listening.clone(),
            original_sysctls: Default::default(),
            gate_open: self.gate_open,
            gate_opens_at: self.gate_opens_at,
            ledger: self.ledger.clone(),
            ledger_due: false,
            cleared: Default::default(),
            queue: Default::default(),
            events: Default::default(),
            answers: Default::default(),
        }
    }
}

fn without_services(model: &Model) -> Model {
    Model {
        services: BTreeMap::new(),
        ..model.clone()
    }
}

impl World {
    fn views(&self) -> impl Iterator<Item = InstanceView> + '_ {
        let names = self.engine.model.instances.keys();
        names.filter_map(|name| self.engine.routers.view(name))
    }

    fn put_in_force(&mut self, model: Model, numbers: BTreeMap<String, i32>) {
        let new = NewModel {
            model,
            file: String::new(),
            findings: Vec::new(),
            numbers,
            since_boot: Duration::ZERO,
            asked: None,
            dry_run: false,
            force: true,
            wall_ms: self.wall_ms,
            texts: Arc::default(),
            confirm: None,
        };
        self.engine.take(self.now, new);
        self.drain();
        self.settle();
    }

    /// What the kernel tells of links that are made and removed.
    pub(super) fn links_follow(&mut self, ops: &[NetOp]) {
        for op in ops {
            let before = match op {
                NetOp::RemoveLink { link } => Some(*link),
                NetOp::AddLink(_) | NetOp::RaiseLink { .. } => None,
                _ => continue,
            };
            if self.links.apply(op).is_err() {
                continue;
            }
            let news = match (op, before) {
                (_, Some(link)) => Some(NetNews::LinkGone(link)),
                (NetOp::RaiseLink { name }, None) => self.links.link(name).cloned().map(NetNews::Link),
                (NetOp::AddLink(new), None) => self.links.link(&new.name).cloned().map(NetNews::Link),
                _ => None,
            };
            self.inbox.extend(news.map(Input::Net));
        }
    }
}
