//! What must hold for services after every step: S13 a reload touches only what it changed, S18 quorum, S19 the sorry
//! server, S20 the numbers that follow from others.

use crate::cluster::Edits;
use crate::world::{Cause, World};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, ServiceKey};
use lb_shared::state::{Admin, Health, ObjectId, OverrideKind, ServerView, ServiceState, Target};
use lbagent::engine::Action;
use lbagent::ipvs::IpvsOp;
use lbagent::net::NetOp;

const SECOND: u64 = 1_000_000;
/// From a loss of quorum to the sorry server in the table.
const SORRY_US: u64 = 200_000;

/// One service on one node, as an observer sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quorum {
    /// `None` before the first look.
    up: Option<bool>,
    /// What was last told of it.
    told: Option<bool>,
    turned_at: u64,
}

impl World {
    /// S18 and S20. A step that takes a whole model, a table or a command may move several servers, one after another.
    pub(crate) fn judge_services(&mut self, node: usize, cause: &Cause, actions: &[Action]) {
        if self.plan.cluster.services.is_empty() || !self.nodes[node].begun {
            return;
        }
        let told = |action: &Action| matches!(action, Action::Emit(_));
        if !actions.iter().any(told) {
            return;
        }
        let several = matches!(cause, Cause::Reload { .. });
        for place in 0..self.plan.cluster.services.len() {
            let key = ServiceKey::Single(self.plan.cluster.services[place].key);
            let Some(view) = self.nodes[node].view.services.get(&key) else {
                continue;
            };
            let Some(live) = self.live_weight(node, &key) else {
                // Before a first result a server is what the run before left, or what `alpha` says.
                self.oracle.quorums[node][place].up = None;
                continue;
            };
            if view.live_weight != live {
                let text = format!(
                    "n{node}: {key} counts a live weight of {}, its servers make {live}",
                    view.live_weight
                );
                return self.fail("S20", text);
            }
            let flips: Vec<bool> = actions
                .iter()
                .filter_map(|action| flip_of(action, &key))
                .collect();
            self.judge_quorum(node, place, live, &flips, several);
        }
    }

    /// What the servers that are up weigh, from their own views; `None` while one has no result yet.
    fn live_weight(&self, node: usize, key: &ServiceKey) -> Option<u64> {
        let state = &self.nodes[node].view;
        let weight = |server: &ServerView| match state.overrides.get(&Target::Server(server.id.clone())) {
            Some(it) => match it.kind {
                OverrideKind::Weight(weight) => weight.get(),
                OverrideKind::Drain { .. } | OverrideKind::Disable => 0,
                OverrideKind::Pin(_) => server.configured.get(),
                OverrideKind::Ramp { .. } => server.effective.map_or(0, lb_shared::units::Weight::get),
            },
            None => server.configured.get(),
        };
        let unknown = |server: &ServerView| server.health == Health::Init;
        if state.servers_of(key).any(unknown) {
            return None;
        }
        let counts = |server: &&ServerView| server.health != Health::Down && server.admin == Admin::Enabled;
        let weights = state.servers_of(key).filter(counts).map(weight);
        Some(weights.map(u64::from).sum())
    }

    fn judge_quorum(&mut self, node: usize, place: usize, live: u64, flips: &[bool], several: bool) {
        let service = &self.plan.cluster.services[place];
        let key = ServiceKey::Single(service.key);
        let Some(view) = self.nodes[node].view.services.get(&key) else {
            return;
        };
        let (quorum, hysteresis) = (view.quorum, view.hysteresis);
        let has_sorry = view.sorry.is_some();
        let state = view.state;
        let now = self.now;
        let track = &mut self.oracle.quorums[node][place];
        let repeated = flips
            .iter()
            .try_fold(track.told, |told, flip| {
                (told != Some(*flip)).then_some(Some(*flip))
            })
            .is_none();
        track.told = flips.last().copied().or(track.told);
        let is = state == ServiceState::Up;
        let want = match track.up {
            Some(true) => live > 0 && live >= quorum.saturating_sub(hysteresis),
            Some(false) => live >= quorum + hysteresis,
            None => is,
        };
        if track.up != Some(is) {
            track.up = Some(is);
            track.turned_at = now;
        }
        if repeated {
            self.fail(
                "S18",
                format!("n{node}: {key} tells {flips:?} of its quorum again"),
            );
        } else if is != want && !several {
            let text = format!(
                "n{node}: {key} is {state:?} with a live weight of {live}, quorum {quorum}, hysteresis {hysteresis}"
            );
            self.fail("S18", text);
        } else if state == ServiceState::Sorry && !has_sorry {
            self.fail(
                "S18",
                format!("n{node}: {key} has no sorry server that could answer"),
            );
        }
    }

    /// S19: the sorry server takes connections exactly while the quorum is lost.
    pub(crate) fn audit_sorry(&mut self, node: usize) {
        let it = &self.nodes[node];
        if !it.takes_part() || !self.ipvs_is_fine(node) || self.now < it.started_at + 3 * SECOND {
            return;
        }
        for place in 0..self.plan.cluster.services.len() {
            let service = &self.plan.cluster.services[place];
            let Some((sorry, _)) = service.sorry else { continue };
            if service.servers.iter().any(|server| server.key == sorry) {
                continue;
            }
            let turned_at = self.oracle.quorums[node][place].turned_at;
            let settled_at = turned_at
                .max(self.nodes[node].reloaded_at)
                .max(self.nodes[node].woke_at);
            if self.now < settled_at + SORRY_US {
                continue;
            }
            let key = ServiceKey::Single(service.key);
            let Some(view) = self.nodes[node].view.services.get(&key) else {
                continue;
            };
            let wanted = view.state == ServiceState::Sorry;
            let state = view.state;
            let table = &self.nodes[node].kernel.ipvs;
            let serves = table
                .services
                .get(&service.key)
                .and_then(|it| it.destinations.get(&sorry))
                .is_some_and(|it| it.settings.weight > 0);
            if serves != wanted && state != ServiceState::Init {
                let word = if serves { "takes" } else { "does not take" };
                let text = format!("n{node}: {key} is {state:?} and its sorry server {word} connections");
                return self.fail("S19", text);
            }
        }
    }

    /// S13: what is the same in both files is left alone.
    pub(crate) fn judge_locality(&mut self, node: usize, old: &Edits, new: &Edits, actions: &[Action]) {
        if !self.ipvs_is_fine(node) || !self.net_is_fine(node) {
            return;
        }
        let cluster = &self.plan.cluster;
        let (old, new) = (cluster.model(node, old), cluster.model(node, new));
        let same_service = |key: &ServiceKey| old.services.get(key) == new.services.get(key);
        // Members of a group move together, and what one may do changes what all do.
        let same_instance = |name: &InstanceName| {
            !cluster.grouped
                && old.instances.contains_key(name)
                && old.instances.get(name) == new.instances.get(name)
        };
        let mut touched = None;
        for action in actions {
            match action {
                Action::Ipvs(_, ops) => {
                    let op = ops
                        .iter()
                        .find(|op| key_of(op).is_some_and(|key| same_service(&key)));
                    touched = touched.or(op.map(ToString::to_string));
                }
                Action::Net(_, ops) => {
                    let op = ops.iter().find(|op| {
                        let holder = cluster
                            .routers
                            .iter()
                            .find(|vr| address_of(op).is_some_and(|it| vr.addresses.contains(&it)));
                        holder.is_some_and(|vr| same_instance(&vr.name))
                    });
                    touched = touched.or(op.map(ToString::to_string));
                }
                Action::Send(name, _) if same_instance(name) => {
                    touched = touched.or_else(|| Some(format!("send for {name}")));
                }
                _ => {}
            }
        }
        if let Some(what) = touched {
            self.fail(
                "S13",
                format!("n{node}: a reload that did not change it led to: {what}"),
            );
        }
    }
}

fn flip_of(action: &Action, key: &ServiceKey) -> Option<bool> {
    let Action::Emit(event) = action else { return None };
    let about = matches!(&event.object, ObjectId::Service(it) if it == key);
    match event.what {
        What::QuorumGained if about => Some(true),
        What::QuorumLost if about => Some(false),
        _ => None,
    }
}

fn key_of(op: &IpvsOp) -> Option<ServiceKey> {
    match op {
        IpvsOp::AddService(key, ..)
        | IpvsOp::EditService(key, ..)
        | IpvsOp::RemoveService(key)
        | IpvsOp::AddServer(key, ..)
        | IpvsOp::EditServer(key, ..)
        | IpvsOp::RemoveServer(key, ..) => Some(ServiceKey::Single(*key)),
        IpvsOp::StartSync(..)
        | IpvsOp::StopSync(_)
        | IpvsOp::Flush
        | IpvsOp::Timeouts(_)
        | IpvsOp::Sysctl { .. } => None,
    }
}

fn address_of(op: &NetOp) -> Option<std::net::IpAddr> {
    match op {
        NetOp::AddAddress { key, .. } | NetOp::RemoveAddress { key, .. } => Some(key.address),
        NetOp::Announce { about, .. } => Some(*about),
        NetOp::AddRouting(_)
        | NetOp::RemoveRouting(_)
        | NetOp::AddLink(_)
        | NetOp::QuietLink { .. }
        | NetOp::RaiseLink { .. }
        | NetOp::RemoveLink { .. }
        | NetOp::Firewall(_)
        | NetOp::Sysctl { .. } => None,
    }
}
