//! What a command may not do without `--force`, and what it leads to.

use super::Engine;
use super::rails::Rail;
use super::steps::Step;
use crate::ipvs::table::SyncRole;
use lb_shared::names::{InstanceName, ServerId, ServerKey, ServiceKey};
use lb_shared::request::{Act, Refusal, Verb};
use lb_shared::state::{MasterView, OverrideKind, Pin, Target, VrrpState};
use lb_shared::text::thousands;
use lb_shared::units::Priority;
use std::collections::BTreeMap;

/// A check that is older than this many intervals does not vouch for its server.
const STALE_INTERVALS: u32 = 3;
/// More connections than this are not reset without being asked twice.
const UNCOPIED_MAX: u64 = 1_000;

impl Engine {
    /// Refuses what would do harm; else says what the steps lead to.
    pub(super) fn guard(
        &self,
        act: &Act,
        steps: &[Step],
        effects: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        match act.verb {
            Verb::Drain { .. }
            | Verb::Undrain
            | Verb::Ramp { .. }
            | Verb::Disable { .. }
            | Verb::Weight(_) => self.guard_servers(act, steps, effects, warnings),
            Verb::Promote { .. } => steps
                .iter()
                .filter_map(instance_of)
                .try_for_each(|name| self.guard_promote(act, name, effects, warnings)),
            Verb::Demote { hard } => steps
                .iter()
                .filter_map(instance_of)
                .try_for_each(|name| self.guard_demote(act, name, hard, effects)),
            Verb::Release => steps
                .iter()
                .filter_map(released)
                .try_for_each(|name| self.guard_release(act, name, effects)),
            // An undo is judged by what it does.
            Verb::Undo => Ok(()),
        }
    }

    fn guard_servers(
        &self,
        act: &Act,
        steps: &[Step],
        effects: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        if let Verb::Disable { cut: false } = act.verb {
            for id in steps.iter().filter_map(server_of) {
                let active = self.server_counters(id).active;
                if active > 0 {
                    let message = format!("{id} has {active} active connections");
                    Rail::Connections.refuse(act.force, message, "drain it first, or cut them: add --cut")?;
                }
            }
        }
        for (key, changes) in by_service(steps) {
            self.guard_service(act, key, &changes, effects)?;
            self.tell_of_kernel(act, key, &changes, effects, warnings);
        }
        Ok(())
    }

    /// A service must keep a server in rotation, and its quorum.
    fn guard_service(
        &self,
        act: &Act,
        key: &ServiceKey,
        changes: &BTreeMap<ServerKey, Option<OverrideKind>>,
        effects: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let Some(service) = self.model.services.get(key) else {
            return Ok(());
        };
        let (mut before, mut after, mut weight_after) = (0, 0, 0);
        let (mut known, mut weight_known) = (0, 0);
        for server in service.servers.keys() {
            let id = ServerId {
                service: key.clone(),
                server: *server,
            };
            let Some(view) = self.health.server_view(&id) else {
                continue;
            };
            // After a start the kernel serves what it served before, though no check has spoken yet.
            let now = view.is_served();
            let up = self.is_up(&id);
            let (stays, weight) = match changes.get(server) {
                None => (now, view.effective.map_or(0, |weight| u64::from(weight.get()))),
                Some(None) => (up, u64::from(view.configured.get())),
                Some(Some(OverrideKind::Weight(weight))) => (up, u64::from(weight.get())),
                Some(Some(OverrideKind::Ramp { .. })) => (up, u64::from(view.configured.get()).div_ceil(10)),
                Some(Some(OverrideKind::Drain { .. } | OverrideKind::Disable | OverrideKind::Pin(_))) => {
                    (false, 0)
                }
            };
            before += u32::from(now);
            after += u32::from(stays);
            weight_after += if stays { weight } else { 0 };
            if stays && !self.is_stale(&id) {
                known += 1;
                weight_known += weight;
            }
        }
        let name = self
            .health
            .service_view(key)
            .and_then(|view| view.name)
            .unwrap_or_else(|| key.to_string());
        let (all, quorum) = (service.servers.len(), service.quorum);
        let enough = weight_after >= quorum.saturating_sub(service.hysteresis).max(1);
        let takes_away = after < before || !enough;
        if takes_away && !matches!(act.verb, Verb::Undrain | Verb::Ramp { .. }) {
            let hint = format!(
                "quorum {quorum}, weight after the {} {weight_after}{}",
                act.verb.word(),
                if enough { "" } else { ": the service would go DOWN" }
            );
            let refuse = |rail: Rail, message: String| {
                let hint =
                    format!("{hint}\nto see the effect: add --dry-run      to do it anyway: add --force");
                rail.refuse(act.force, message, hint).map_err(|refusal| Refusal {
                    details: vec![
                        ("service".into(), name.clone()),
                        ("quorum".into(), quorum.to_string()),
                        ("weight_after".into(), weight_after.to_string()),
                    ],
                    ..refusal
                })
            };
            if after == 0 && before > 0 {
                let message =
                    format!("{name} would keep 0 of {all} servers in rotation ({before} in rotation now)");
                refuse(Rail::LastServer, message)?;
            }
            if !enough && before > 0 {
                refuse(Rail::Quorum, format!("{name} would fall below its quorum"))?;
            }
            let trusted = known > 0 && weight_known >= quorum.saturating_sub(service.hysteresis).max(1);
            if after > known && !trusted {
                let message = format!(
                    "{name} would keep {after} of {all} servers, and {} of them {STALE_INTERVALS} intervals without a \
                     check: nobody knows that they work",
                    after - known
                );
                refuse(Rail::Stale, message)?;
            }
        }
        let verdict = if enough { "ok" } else { "the quorum is lost" };
        effects.push(format!(
            "{name}: {after} of {all} servers in rotation, weight {weight_after}, quorum {quorum}: {verdict}"
        ));
        Ok(())
    }

    /// Whether the last check of a server is so long ago that it says nothing any more.
    fn is_stale(&self, id: &ServerId) -> bool {
        let service = self.model.services.get(&id.service);
        let Some(server) = service.and_then(|it| it.servers.get(&id.server)) else {
            return false;
        };
        let Some((at, _)) = self.health.last_checks(&id.service)(&id.server) else {
            return false;
        };
        // Without the address here there may be no checks, and nothing to be afraid of.
        let suspended = service.is_some_and(|it| it.ha_suspend);
        let interval = server
            .checks
            .iter()
            .map(|it| it.delay_loop.max(it.delay_before_retry))
            .max();
        !suspended && interval.is_some_and(|interval| self.now.since(at) > interval * STALE_INTERVALS)
    }

    /// What else is done so that the drain is one, and which traffic still reaches the server.
    fn tell_of_kernel(
        &self,
        act: &Act,
        key: &ServiceKey,
        changes: &BTreeMap<ServerKey, Option<OverrideKind>>,
        effects: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) {
        let Some(service) = self.model.services.get(key) else {
            return;
        };
        let drains = changes
            .values()
            .any(|it| matches!(it, Some(OverrideKind::Drain { .. })));
        if !drains || !matches!(act.verb, Verb::Drain { .. }) {
            return;
        }
        let scheduler = &service.scheduler;
        if scheduler.hashes_clients() && !scheduler.flag_1 {
            let name = &scheduler.name;
            effects.push(format!(
                "{name}-fallback is turned on while a server is drained, else {name} would refuse its clients"
            ));
        }
        if let Some(persistence) = &service.persistence {
            let templates: u64 = changes
                .keys()
                .map(|server| {
                    self.server_counters(&ServerId {
                        service: key.clone(),
                        server: *server,
                    })
                    .persistent
                })
                .sum();
            effects.push(format!(
                "persistence {}s, {templates} templates: known clients move at once (expire_quiescent_template is set to 1 for this host while the drain lasts)",
                persistence.timeout_s
            ));
        }
        if self.ipvs_missing().is_some() {
            warnings.push(
                "there is no IPVS in this kernel: the drain is stored and holds once there is".to_owned(),
            );
        }
    }

    fn guard_promote(
        &self,
        act: &Act,
        name: &InstanceName,
        effects: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let Some(view) = self.routers.view(name) else {
            return Ok(());
        };
        if view.state == VrrpState::Fault {
            let message = format!("{name} is in FAULT: {}", view.faults.join(", "));
            let hint = "promote cannot lift a fault; mend it or use another node";
            Rail::Fault.refuse(act.force, message, hint)?;
        }
        if let Some(master) = view.master.as_ref().filter(|master| master.priority == 255) {
            let message = format!(
                "{} owns the addresses of {name} (priority 255) and would not yield",
                master.address
            );
            Rail::Owner.refuse(act.force, message, "demote it there, or stop its agent")?;
        }
        let promoted = |master: &&MasterView| master.priority == Priority::HIGHEST.get();
        if let Some(master) = view.master.as_ref().filter(promoted) {
            let message = format!(
                "{} advertises 254 for {name}, as a promoted node does: the higher address of the two would win",
                master.address
            );
            let hint = "release it there first, or: add --force";
            Rail::PromotedElsewhere.refuse(act.force, message, hint)?;
        }
        if view.second_master {
            let message = format!("{name} has two masters: this node is one of them already");
            let hint = "find out why they do not hear each other, or: add --force";
            Rail::TwoMasters.refuse(act.force, message, hint)?;
        }
        for term in view.terms.iter().filter(|term| term.ok == Some(false)) {
            warnings.push(format!(
                "{} is failing ({}); promote ignores it",
                term.tracker, term.detail
            ));
        }
        effects.push(format!("moves {}", view.addresses.join(", ")));
        Ok(())
    }

    fn guard_demote(
        &self,
        act: &Act,
        name: &InstanceName,
        hard: bool,
        effects: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let Some(view) = self.routers.view(name) else {
            return Ok(());
        };
        let heard = self.routers.counters(name).and_then(|it| it.heard_at);
        let recent = heard.is_some_and(|at| self.now.since(at).as_secs() < 24 * 3600);
        // A backup is silent: that none was heard as master does not say that there is none.
        let alone = view.state == VrrpState::Master && !recent;
        if alone && hard {
            let message = format!(
                "no other node was heard as master of {name} in the last 24 hours: if there is none, its addresses \
                 would go unserved"
            );
            let hint = "without --hard this node takes them back if nobody else does; or name the cluster, so that the \
                        other agent can be seen (--cluster); to do it anyway: add --force";
            Rail::NoSuccessor.refuse(act.force, message, hint)?;
        }
        if view.state == VrrpState::Master {
            effects.push(format!("gives up {}", view.addresses.join(", ")));
        }
        effects.push(match (hard, alone) {
            (true, _) => "stays BACKUP even if nobody else is master".to_owned(),
            (false, false) => "becomes MASTER again only if no other node is".to_owned(),
            (false, true) => {
                "becomes MASTER again only if no other node is; none was heard as master in the last 24 \
                              hours: if there is none, the addresses are away until then"
                    .to_owned()
            }
        });
        Ok(())
    }
}

impl Engine {
    /// Who gives the addresses back gives up what is established, unless it is copied.
    fn guard_release(
        &self,
        act: &Act,
        name: &InstanceName,
        effects: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let Some(view) = self.routers.view(name) else {
            return Ok(());
        };
        if view.pin != Some(Pin::Promoted) || view.state != VrrpState::Master {
            effects.push(match view.preempt {
                true => "takes part in the election again: becomes MASTER if its priority is the highest"
                    .to_owned(),
                false => {
                    "takes part in the election again, and becomes MASTER when nobody else is (nopreempt)"
                        .to_owned()
                }
            });
            return Ok(());
        }
        let active = self.active_connections();
        let copied = self.want_sync().contains_key(&SyncRole::Master);
        if active > UNCOPIED_MAX && !copied {
            let message = format!(
                "{name} carries {} connections that are copied nowhere: a router with a higher priority would take \
                 the addresses and reset them",
                thousands(active)
            );
            let hint = "with lvs_sync_daemon on both they would go on\n\
                        to see the effect: add --dry-run      to do it anyway: add --force";
            Rail::Uncopied.refuse(act.force, message, hint)?;
        }
        effects.push(format!(
            "its own priority counts again: a router with a higher one takes the addresses; {} active connections{}",
            thousands(active),
            if copied { ", copied to the others" } else { "" }
        ));
        Ok(())
    }

    /// Over everything in the kernel's table, at the last look.
    fn active_connections(&self) -> u64 {
        let services = self.ipvs.have().services.values();
        services
            .flat_map(|it| it.destinations.values())
            .map(|it| u64::from(it.counters.active))
            .sum()
    }
}

fn released(step: &Step) -> Option<&InstanceName> {
    match (&step.target, &step.set) {
        (Target::Instance(name), None) => Some(name),
        (Target::Instance(_) | Target::Server(_), _) => None,
    }
}

fn instance_of(step: &Step) -> Option<&InstanceName> {
    match (&step.target, step.set.as_ref().map(|it| it.kind)) {
        (
            Target::Instance(name),
            Some(OverrideKind::Pin(Pin::Promoted | Pin::Demoted | Pin::DemotedHard)),
        ) => Some(name),
        _ => None,
    }
}

fn server_of(step: &Step) -> Option<&ServerId> {
    match &step.target {
        Target::Server(id) => Some(id),
        Target::Instance(_) => None,
    }
}

fn by_service(steps: &[Step]) -> BTreeMap<&ServiceKey, BTreeMap<ServerKey, Option<OverrideKind>>> {
    let mut services: BTreeMap<&ServiceKey, BTreeMap<ServerKey, Option<OverrideKind>>> = BTreeMap::new();
    for step in steps {
        if let Some(id) = server_of(step) {
            services
                .entry(&id.service)
                .or_default()
                .insert(id.server, step.set.as_ref().map(|it| it.kind));
        }
    }
    services
}
