//! Which routes and rules should be there, and what becomes of them.

use super::net_keeper::Owner;
use super::{Action, Engine, Ledger};
use crate::model::{Route, Rule};
use crate::net::{Link, NetOp, Routing, RoutingGone};
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lb_shared::state::ObjectId;
use std::collections::BTreeSet;

impl Engine {
    /// Sets or removes an instance's routes and rules. `anew`: also those that should be there already.
    pub(super) fn hold_routing(&mut self, name: &InstanceName, anew: bool) {
        let may = self.gate_open || self.adopted.contains(name);
        let instance = self.model.instances.get(name);
        let want = match instance.filter(|_| may && self.routers.is_master(name)) {
            Some(instance) => self.placed(&instance.routes, &instance.rules),
            None if self.keeps_addresses() => return,
            None => BTreeSet::new(),
        };
        self.set_routing(&Some(name.clone()), want, anew);
    }

    /// Sets those of the file itself.
    pub(super) fn hold_static_routing(&mut self, anew: bool) {
        let want = self.placed(&self.model.static_routes, &self.model.static_rules);
        self.set_routing(&None, want, anew);
    }

    fn set_routing(&mut self, owner: &Owner, want: BTreeSet<Routing>, anew: bool) {
        let ops = self.routing.set(owner, want, anew);
        if !ops.is_empty() {
            self.ledger_due = true;
            self.net.send(ops, &mut self.queue);
        }
    }

    /// A stop takes all of them down.
    pub(super) fn drop_routing(&mut self) {
        for owner in self.routing.owners().into_iter().rev() {
            self.set_routing(&owner, BTreeSet::new(), false);
        }
    }

    /// As the kernel is told them to set: those whose interfaces are there and up, in the table of their VRF.
    fn placed(&self, routes: &[Route], rules: &[Rule]) -> BTreeSet<Routing> {
        self.placed_on(|link| link.running, routes, rules)
    }

    fn placed_on(&self, fits: fn(&Link) -> bool, routes: &[Route], rules: &[Rule]) -> BTreeSet<Routing> {
        Routing::placed(self.net.have(), fits, routes, rules)
    }

    /// An interface came, went, or changed between up and down. The kernel drops the routes of one that goes down.
    pub(super) fn routing_on_interface(&mut self, name: &str) {
        if self.boot.is_some() || self.stopping.is_some() {
            return;
        }
        let through = |routes: &[Route]| {
            let mut legs = routes.iter().flat_map(|route| &route.legs);
            let mut vrfs = routes.iter().filter_map(|route| route.vrf.as_deref());
            vrfs.any(|vrf| vrf == name)
                || legs.any(|leg| leg.device.is_none() || leg.device.as_deref() == Some(name))
        };
        let concerned: Vec<InstanceName> = (self.model.instances.values())
            .filter(|it| self.routers.is_master(&it.name) && through(&it.routes))
            .map(|it| it.name.clone())
            .collect();
        for name in concerned {
            self.hold_routing(&name, true);
        }
        if through(&self.model.static_routes) {
            self.hold_static_routing(true);
        }
    }

    pub(super) fn on_routing_gone(&mut self, gone: &RoutingGone) {
        for it in self.routing.on_gone(self.now, gone) {
            let why = if it.expires() {
                "its time was up, or somebody removed it"
            } else {
                "somebody removed it"
            };
            self.say(What::DriftHealed, format!("{it} is put back"), Some(why.into()));
            self.net
                .send(vec![NetOp::AddRouting(Box::new(it))], &mut self.queue);
        }
    }

    /// The kernel answered an operation on a route or a rule.
    pub(super) fn on_routing_answer(&mut self, op: &NetOp, refusal: Option<String>) {
        let (it, sets) = match op {
            NetOp::AddRouting(it) => (it, true),
            NetOp::RemoveRouting(it) => (it, false),
            _ => return,
        };
        if sets && self.routing.is_wanted(it) {
            self.on_static_routing_answer(it, refusal.clone());
        }
        match refusal {
            Some(text) => {
                let news = match sets {
                    true => self.routing.on_refused(self.now, it, text.clone()),
                    false => self.routing.on_kept(self.now, it, text.clone()),
                };
                if news {
                    self.say(What::KernelRefused, op.to_string(), Some(text));
                }
            }
            // One that is wanted again meanwhile has an answer of its own to come.
            None if sets == self.routing.is_wanted(it) && self.routing.on_done(it) => {
                let did = if sets { "took" } else { "removed" };
                self.say(What::KernelRecovered, format!("{it}: the kernel {did} it"), None);
            }
            None => {}
        }
        self.touch(ObjectId::Agent);
    }

    pub(super) fn routing_on_tick(&mut self) {
        let ops = self.routing.take_due(self.now);
        self.net.send(ops, &mut self.queue);
    }

    /// A model came into force: the watch is set, what the file itself wants is set, masters get what changed.
    pub(super) fn apply_routing(&mut self) {
        let wants = |it: &crate::model::Instance| !it.routes.is_empty() || !it.rules.is_empty();
        let watch = !self.model.static_routes.is_empty()
            || !self.model.static_rules.is_empty()
            || self.model.instances.values().any(|it| wants(it));
        if watch != self.watches_routing {
            self.watches_routing = watch;
            self.queue.push_back(Action::WatchRouting(watch));
        }
        self.hold_static_routing(false);
        for owner in self.routing.owners().into_iter().flatten() {
            self.hold_routing(&owner, false);
        }
    }

    /// Takes away what an earlier run left and nobody wants now: what it wrote down, and what it may have been taking
    /// away when it ended.
    pub(super) fn clean_routing(&mut self, earlier: &Ledger) {
        let instances = self.model.instances.values();
        let lists = instances.map(|it| (&it.routes, &it.rules));
        // An interface without a carrier keeps its routes.
        let left: BTreeSet<Routing> = lists
            .chain([(&earlier.routes, &earlier.rules)])
            .flat_map(|(routes, rules)| self.placed_on(|_| true, routes, rules))
            .collect();
        let left: Vec<Routing> = left
            .into_iter()
            .rev()
            .filter(|it| !self.routing.is_wanted(it))
            .collect();
        let ops = left
            .into_iter()
            .map(|it| NetOp::RemoveRouting(Box::new(it)))
            .collect();
        self.net.send(ops, &mut self.queue);
    }

    /// For the ledger.
    pub(super) fn routing_held(&self) -> (Vec<Route>, Vec<Rule>) {
        let (mut routes, mut rules) = (BTreeSet::new(), BTreeSet::new());
        for it in self.routing.wanted() {
            match it {
                Routing::Route(it, _) => drop(routes.insert(it.clone())),
                Routing::Rule(it) => drop(rules.insert(it.clone())),
            }
        }
        (routes.into_iter().collect(), rules.into_iter().collect())
    }
}
