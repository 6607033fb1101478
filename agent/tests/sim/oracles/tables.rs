//! What is asked of the kernel: addresses and IPVS.

use crate::world::World;
use lb_shared::event::What;
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::state::VrrpState;
use lb_shared::units::Mono;
use lbagent::engine::Action;
use lbagent::ipvs::IpvsOp;
use lbagent::net::NetOp;
use std::collections::BTreeSet;

impl World {
    /// S4 for addresses, announcements, routes and rules.
    pub(super) fn judge_net(&mut self, node: usize, now: Mono, ops: &[NetOp], actions: &[Action]) {
        for op in ops {
            let vr = match op {
                NetOp::AddAddress { key, .. } => self.vr_of_address(key.address),
                NetOp::Announce { about, .. } => self.vr_of_address(*about),
                NetOp::AddRouting(it) => self.plan.cluster.routers.iter().position(|vr| vr.owns(it)),
                NetOp::RemoveAddress { .. }
                | NetOp::RemoveRouting(_)
                | NetOp::AddLink(_)
                | NetOp::QuietLink { .. }
                | NetOp::RaiseLink { .. }
                | NetOp::RemoveLink { .. }
                | NetOp::Firewall(_)
                | NetOp::Sysctl { .. } => continue,
            };
            let Some(vr) = vr else {
                continue;
            };
            let after = self.role(node, vr);
            if after != VrrpState::Master && !self.became(vr, What::BecameMaster, actions) {
                self.fail("S4", format!("n{node} is {after:?} and wants to {op}"));
            }
            if let NetOp::AddAddress { key, .. } = op {
                let device = self.plan.cluster.routers[vr].device();
                let links = &self.nodes[node].kernel.net.links;
                // It may be gone, and the news of that on their way.
                if let Some(link) = links.get(&key.link).filter(|it| it.name != device) {
                    let text = format!("n{node} wants to {op}, {}, and not on {device}", link.name);
                    self.fail("S4", text);
                }
            }
            if matches!(op, NetOp::Announce { .. }) {
                self.oracle.tracks[node][vr].announced_at = Some(now);
            }
        }
    }

    /// S14 and S21.
    pub(super) fn judge_ipvs(&mut self, node: usize, ops: &[IpvsOp]) {
        let it = &self.nodes[node];
        let mut broken = None;
        let mut removed = BTreeSet::new();
        for op in ops {
            match op {
                IpvsOp::AddServer(key, server, settings) | IpvsOp::EditServer(key, server, settings) => {
                    let id = ServerId {
                        service: ServiceKey::Single(*key),
                        server: *server,
                    };
                    if settings.weight > 0 && it.promises.drained.contains(&id) {
                        broken = Some(("S14", format!("n{node}: {op}, which was drained")));
                    }
                    if removed.contains(&(*key, *server)) {
                        broken = Some((
                            "S21",
                            format!("n{node} removes {server} of {key} and adds it again"),
                        ));
                    }
                }
                IpvsOp::RemoveServer(key, server) => {
                    removed.insert((*key, *server));
                }
                IpvsOp::RemoveService(key) if !it.stopping => {
                    broken = Some(("S21", format!("n{node} removes {key}, which is configured")));
                }
                IpvsOp::Flush => broken = Some(("S21", format!("n{node} flushes the table"))),
                IpvsOp::RemoveService(_)
                | IpvsOp::AddService(..)
                | IpvsOp::EditService(..)
                | IpvsOp::StartSync(..)
                | IpvsOp::StopSync(_)
                | IpvsOp::Timeouts(_)
                | IpvsOp::Sysctl { .. } => {}
            }
        }
        if let Some((id, text)) = broken {
            self.fail(id, text);
        }
    }
}
