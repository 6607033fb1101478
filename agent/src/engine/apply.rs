//! A model comes into force: every machine takes its part of it, and only what differs is touched.

use super::input::NewModel;
use super::rails::Rail;
use super::want::destination_key;
use super::{Engine, Index, plan};
use crate::model::{Instance, Model, NotifyScripts, NotifyWho};
use lb_shared::diagnostic::{Diagnostic, Severity};
use lb_shared::event::What;
use lb_shared::names::{InstanceName, ServerId, TrackerName, VirtualKey};
use lb_shared::request::{Refusal, RefusalCode, Reloaded, Reply};
use lb_shared::state::{ConfigView, ObjectId, OverrideKind, Pin, Target};
use lb_shared::text::count;
use lb_shared::units::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Engine {
    pub(super) fn on_model(&mut self, mut new: NewModel) {
        new.model.keep_services_of(&self.model.services);
        let changes = plan::changes(&self.model, &new.model);
        // Nobody reads a plan that nobody asked for.
        let moves = match &new.asked {
            Some(_) => self.moves(&new.model, &new.numbers),
            None => Vec::new(),
        };
        let cut = self.cut(&new.model);
        let asked = new.asked.clone();
        if let (Some(boot), None, None) = (&mut self.boot, &asked, &self.stopping) {
            // A signal in the first moments: start with what the file says now.
            boot.model = new;
            return;
        }
        if self.boot.is_some() || self.stopping.is_some() {
            let refusal = Refusal::new(
                RefusalCode::Busy,
                "the agent is starting or stopping",
                "try again in a moment",
            );
            return self.answer(asked.map(|(ticket, _)| ticket), Reply::Refused(refusal));
        }
        if let (Some(name), Some((ticket, _))) = (self.master_lost_by(&new.model), &asked) {
            let message =
                format!("{name} is MASTER on this node and is not in the new file: its addresses would go");
            let hint = "to do it anyway: add --force";
            if let Err(refusal) = Rail::MasterGone.refuse(new.force, message, hint) {
                return self.answer(Some(*ticket), Reply::Refused(refusal));
            }
        }
        let waiting = self.started.as_ref().and_then(|it| it.waiting(&new.model));
        new.findings.extend(waiting);
        let mut reloaded = Reloaded {
            dry_run: new.dry_run,
            revision: self.agent.config.revision + 1,
            changes,
            findings: new.findings.clone(),
            moves,
            confirm_within_ms: None,
            cut,
        };
        if new.dry_run {
            return self.answer(asked.map(|(ticket, _)| ticket), Reply::Reloaded(reloaded));
        }
        if let Some(why) = self.reload_waits(&new) {
            return self.refuse_reload(asked.map(|(ticket, _)| ticket), why);
        }
        if let Some(span) = new.confirm {
            return self.try_model(new, reloaded, span);
        }
        self.forget_former();
        self.put_in_force(new, false);
        reloaded.revision = self.agent.config.revision;
        self.answer(asked.map(|(ticket, _)| ticket), Reply::Reloaded(reloaded));
    }

    /// A reload that came from here is refused for all to see, if nobody waits for an answer.
    fn refuse_reload(&mut self, ticket: Option<super::Ticket>, refusal: Refusal) {
        if ticket.is_none() {
            let text = format!("{}; {}", refusal.message, refusal.hint);
            self.agent.config.refused = vec![text.clone()];
            self.say(What::ReloadRefused, "reload refused, nothing changed", Some(text));
        }
        self.answer(ticket, Reply::Refused(refusal));
    }

    fn master_lost_by(&self, new: &Model) -> Option<InstanceName> {
        let lost = |name: &&InstanceName| !new.instances.contains_key(*name) && self.routers.is_master(name);
        self.model.instances.keys().find(lost).cloned()
    }

    /// A model comes into force in a copy that only looks ahead.
    pub(super) fn take(&mut self, now: Mono, new: NewModel) {
        self.now = now;
        self.put_in_force(new, false);
        self.settle();
    }

    /// The machines take a new model. `crashed`: servers are as the kernel has them until their checks speak.
    pub(super) fn put_in_force(&mut self, new: NewModel, crashed: bool) {
        let now = self.now;
        let NewModel {
            model,
            file,
            findings,
            numbers,
            since_boot,
            asked,
            wall_ms,
            texts,
            dry_run: _,
            force: _,
            confirm: _,
        } = new;
        let first = self.agent.config.revision == 0;
        if first {
            self.started = Some(super::Started::with(&model));
        }
        let before = std::mem::replace(&mut self.model, model);
        self.leaving = leaving(&before, &self.model);
        self.index = Index::of(&self.model);
        self.touch_changed_services(&before);
        self.config_view(&file, &findings);
        self.confirm.in_force(texts);
        let scripts = self.model.global.scripts;
        if first || before.global.scripts != scripts {
            self.queue.push_back(super::Action::ScriptRules(scripts));
        }
        self.open_fifos(&before.global.fifos);

        self.debounce.set(self.model.host.interface_delays.clone());
        let mut effects = Vec::new();
        self.trackers.apply(now, &self.model.scripts, &mut effects);
        self.trackers
            .apply_processes(now, &self.model.processes, &mut effects);
        if before.processes != self.model.processes {
            let processes = self.model.processes.iter();
            let wanted = processes.map(|(name, it)| (name.clone(), it.matching.clone()));
            self.queue.push_back(super::Action::Processes(wanted.collect()));
        }
        self.trackers
            .apply_files(now, &self.model.files, &numbers, &mut effects);
        if before.files != self.model.files {
            let files = self.model.files.iter();
            let wanted = files.map(|(name, it)| (name.clone(), it.file.clone()));
            self.queue.push_back(super::Action::Numbers(wanted.collect()));
        }
        self.on_tracker_effects(effects);
        self.apply_sessions(&before);
        self.refresh_interfaces();

        self.apply_firewall();
        self.raise_vmacs();
        let startup_delay = if first {
            let after_boot = self.model.host.delay_after_boot.saturating_sub(since_boot);
            Duration::from_micros(self.model.global.vrrp_startup_delay_us).max(after_boot)
        } else {
            Duration::ZERO
        };
        let mut effects = Vec::new();
        self.routers.apply(
            now,
            &self.model.instances,
            &self.model.groups,
            startup_delay,
            &mut effects,
        );
        self.on_router_effects(effects);
        self.leaving.clear();
        self.apply_static_tracks();
        self.refresh_grounds(None);
        for name in self.model.instances.keys().cloned().collect::<Vec<_>>() {
            self.give_terms(&name);
            self.give_pin(&name);
        }
        self.hold_changed(&before);
        self.hold_static_addresses();
        self.apply_routing();
        self.drop_vmacs();
        self.drop_idle_firewall();

        let numbers = self
            .trackers
            .numbers()
            .map(|(name, number)| (name.clone(), number));
        let others = self.health.know_numbers(numbers.collect());
        self.apply_health(crashed && first);
        if !first {
            let mut effects = Vec::new();
            for (name, number) in others {
                self.health.on_number(now, &name, number, &mut effects);
            }
            self.on_health_effects(effects);
        }
        self.net.mark_moved();
        self.suspend_checks();
        self.rebind_overrides(wall_ms);
        self.want_sysctls();
        self.timeouts_and_flush(first, crashed, before.global.lvs_timeouts);
        if !first {
            self.repeat_states();
        }
        self.all_touched = true;
        self.ledger_due = true;
        let actor = asked.map(|(_, actor)| actor);
        let text = format!("revision {} from {file}", self.agent.config.revision);
        self.emit(What::Applied, ObjectId::Agent, text, None, actor);
        for finding in findings.iter().filter(|it| it.severity >= Severity::Warning) {
            self.say(What::Finding, finding.line(), None);
        }
    }

    fn apply_health(&mut self, adopt: bool) {
        let mut effects = Vec::new();
        if adopt {
            let (model, have, intent) = (&self.model, self.ipvs.have(), &self.intent);
            // Whether the kernel lets a server serve; `None` when it does not have it. A service the kernel does not
            // know says nothing about its servers.
            let seen = |id: &ServerId| {
                let service = model.services.get(&id.service)?;
                let server = service.servers.get(&id.server)?;
                let known: Vec<_> = service
                    .entries
                    .iter()
                    .filter_map(|entry| Some((entry, have.services.get(entry)?)))
                    .collect();
                if known.is_empty() {
                    return Some(true);
                }
                let meant = server.weight.get() == 0 || intent.get(&Target::Server(id.clone())).is_some();
                let found = known.iter().find_map(|(entry, it)| {
                    it.destinations
                        .get(&destination_key(entry, id.server, server.forwarding))
                })?;
                Some(found.settings.weight > 0 || meant)
            };
            self.health
                .apply(self.now, &self.model.services, Some(&seen), &mut effects);
        } else {
            self.health
                .apply(self.now, &self.model.services, None, &mut effects);
        }
        self.on_health_effects(effects);
    }

    fn timeouts_and_flush(&mut self, first: bool, crashed: bool, before: [u32; 3]) {
        let mut ops = Vec::new();
        // What carries the connections of an earlier run is compared, not emptied.
        if first && !crashed && self.model.global.lvs_flush {
            ops.push(crate::ipvs::IpvsOp::Flush);
        }
        let timeouts = self.model.global.lvs_timeouts;
        if timeouts != [0; 3] && (first || timeouts != before) {
            ops.push(crate::ipvs::IpvsOp::Timeouts(timeouts));
        }
        self.ipvs.send(ops, &mut self.queue);
    }

    /// Addresses that came or went with the file, of instances that are MASTER and stay so.
    fn hold_changed(&mut self, before: &Model) {
        let changed: Vec<Arc<Instance>> = self
            .model
            .instances
            .values()
            .filter(|it| self.routers.is_master(&it.name) && before.instances.get(&it.name) != Some(*it))
            .cloned()
            .collect();
        for instance in changed {
            let want = self.held_by(&instance);
            let held = self.net.held(&Some(instance.name.clone()));
            let news = want.keys().any(|key| held.binary_search(key).is_err());
            self.hold_addresses(&instance.name, if news { instance.garp.repeat } else { 0 });
        }
    }

    fn config_view(&mut self, file: &str, findings: &[Diagnostic]) {
        if let Some(name) = &self.model.global.router_id {
            self.agent.host.clone_from(name);
        }
        self.agent.config = ConfigView {
            file: file.to_owned(),
            revision: self.agent.config.revision + 1,
            loaded_at: self.now,
            warnings: findings
                .iter()
                .filter(|it| it.severity >= Severity::Warning)
                .count() as u32,
            refused: Vec::new(),
            unconfirmed: self.confirm.view(),
            restored: self.confirm.restored(),
        };
    }

    /// A file was not taken; what is in force stays in force.
    pub(super) fn on_file_refused(&mut self, findings: &[Diagnostic], what_follows: &str) {
        let errors: Vec<&Diagnostic> = findings
            .iter()
            .filter(|it| it.severity == Severity::Error)
            .collect();
        self.agent.config.refused = errors.iter().map(|it| it.line()).collect();
        let text = format!("{what_follows}: {}", count(errors.len(), "error"));
        let why = errors.first().map(|it| it.line());
        self.say(What::ReloadRefused, text, why);
    }

    /// The terms an instance's trackers contribute, its own and its group's.
    pub(super) fn give_terms(&mut self, name: &InstanceName) {
        let Some(instance) = self.model.instances.get(name) else {
            return;
        };
        let group = self
            .model
            .groups
            .values()
            .find(|group| group.members.contains(name));
        let mut tracking = vec![&instance.tracking];
        tracking.extend(group.map(|group| &group.tracking));
        let weights = group.is_none_or(|group| group.tracking_weight);
        let sum = self.trackers.terms(&tracking, weights);
        let terms = crate::vrrp::Terms {
            terms: sum.terms,
            waiting: sum.waiting,
            faults: sum.faults,
        };
        let mut effects = Vec::new();
        self.routers.on_terms(self.now, name, terms, &mut effects);
        self.on_router_effects(effects);
        self.touch(ObjectId::Instance(name.clone()));
    }

    pub(super) fn give_pin(&mut self, name: &InstanceName) {
        // Its group is pinned as one, though it may have come together after the command.
        let group = self
            .model
            .groups
            .values()
            .find(|group| group.members.contains(name));
        let members = group.map_or(std::slice::from_ref(name), |group| &group.members[..]);
        let pins: Vec<Pin> = members
            .iter()
            .filter_map(
                |member| match self.intent.get(&Target::Instance(member.clone()))?.kind {
                    OverrideKind::Pin(pin) => Some(pin),
                    OverrideKind::Drain { .. }
                    | OverrideKind::Disable
                    | OverrideKind::Weight(_)
                    | OverrideKind::Ramp { .. } => None,
                },
            )
            .collect();
        let pin = [Pin::DemotedHard, Pin::Demoted, Pin::Promoted]
            .into_iter()
            .find(|pin| pins.contains(pin));
        let mut effects = Vec::new();
        self.routers.on_pin(self.now, name, pin, &mut effects);
        self.on_router_effects(effects);
    }

    /// Overrides find their targets again; those without one sleep.
    fn rebind_overrides(&mut self, wall_ms: u64) {
        let now = (self.now, wall_ms);
        let mut news = false;
        for it in self.intent.to_store() {
            let there = self.target_exists(&it.target);
            news |= self.intent.set_present(&it.target, there, now);
            if let (true, Target::Server(id)) = (there, &it.target) {
                self.give_override(id);
            }
            self.touch(ObjectId::Override(it.target));
        }
        if news {
            // It is forgotten by what the disk says, too.
            self.store_intent();
        }
    }

    pub(super) fn give_override(&mut self, id: &ServerId) {
        let it = self.intent.get(&Target::Server(id.clone()));
        let (kind, until) = (it.map(|it| it.kind), it.and_then(|it| it.until));
        let mut effects = Vec::new();
        self.health.on_override(self.now, id, kind, until, &mut effects);
        self.on_health_effects(effects);
    }

    pub(super) fn target_exists(&self, target: &Target) -> bool {
        match target {
            Target::Instance(name) => self.model.instances.contains_key(name),
            Target::Server(id) => self
                .model
                .services
                .get(&id.service)
                .is_some_and(|it| it.servers.contains_key(&id.server)),
        }
    }

    /// What IPVS holds for services that came, went or changed is looked at again, and so are their servers.
    fn touch_changed_services(&mut self, before: &Model) {
        let gone = before.services_not_in(&self.model);
        let news = self.model.services_not_in(before);
        for service in gone.iter().chain(&news) {
            for entry in &service.entries {
                self.ipvs.touch(*entry);
            }
        }
        let servers = news.iter().flat_map(|service| {
            service.servers.keys().map(|server| ServerId {
                service: service.key.clone(),
                server: *server,
            })
        });
        self.touched.extend(servers.map(ObjectId::Server));
    }

    /// Every object there is or was, but for the servers.
    pub(super) fn touch_all(&mut self) {
        let objects = (self.model.instances.keys().cloned().map(ObjectId::Instance))
            .chain(self.model.groups.keys().cloned().map(ObjectId::Group))
            .chain(self.state.groups.keys().cloned().map(ObjectId::Group))
            .chain(self.index.by_tracker.keys().cloned().map(ObjectId::Tracker))
            .chain(self.state.trackers.keys().cloned().map(ObjectId::Tracker))
            .chain(self.model.services.keys().cloned().map(ObjectId::Service));
        self.touched.extend(objects);
    }

    pub(super) fn answer(&mut self, ticket: Option<super::Ticket>, reply: Reply) {
        if let Some(ticket) = ticket {
            self.answers.push_back((ticket, reply));
        }
    }
}

impl Index {
    fn of(model: &Model) -> Self {
        let mut index = Self::default();
        for instance in model.instances.values() {
            for name in super::ground::interfaces(instance) {
                index
                    .by_interface
                    .entry(name.to_owned())
                    .or_default()
                    .insert(instance.name.clone());
            }
            for track in model
                .static_tracks
                .iter()
                .filter(|it| it.members.contains(&instance.name))
            {
                let followers = index.by_interface.entry(track.interface.clone()).or_default();
                followers.insert(instance.name.clone());
            }
            let group = model
                .groups
                .values()
                .find(|group| group.members.contains(&instance.name));
            let tracking = std::iter::once(&instance.tracking).chain(group.map(|group| &group.tracking));
            for tracking in tracking {
                let interfaces = tracking
                    .interfaces
                    .iter()
                    .map(|it| TrackerName::Interface(it.interface.clone()));
                let scripts = tracking
                    .scripts
                    .iter()
                    .map(|it| TrackerName::Script(it.script.clone()));
                let processes = tracking
                    .processes
                    .iter()
                    .map(|it| TrackerName::Process(it.process.clone()));
                let sessions = tracking
                    .sessions
                    .iter()
                    .map(|it| TrackerName::Bfd(it.session.clone()));
                let files = tracking.files.iter().map(|it| TrackerName::File(it.file.clone()));
                let others = processes.chain(files).chain(sessions);
                for tracker in interfaces.chain(scripts).chain(others) {
                    index
                        .by_tracker
                        .entry(tracker)
                        .or_default()
                        .insert(instance.name.clone());
                }
            }
            let addresses = super::ground::addresses(instance).map(|it| it.address);
            index.virtual_addresses.extend(addresses);
        }
        for service in model.services.values() {
            let addresses: BTreeSet<_> = (service.entries.iter())
                .filter_map(|entry| match entry {
                    VirtualKey::Address { address, .. } => Some(*address),
                    VirtualKey::Fwmark { .. } => None,
                })
                .collect();
            if service.ha_suspend && !addresses.is_empty() {
                index.suspendable.push((service.key.clone(), addresses));
            }
            for entry in &service.entries {
                index.by_entry.insert(*entry, service.key.clone());
            }
        }
        index
    }
}

/// The scripts of instances and groups that the new model no longer has: they are told once more.
fn leaving(old: &Model, new: &Model) -> Vec<(NotifyWho, NotifyScripts)> {
    let instances = (old.instances.iter())
        .filter(|(name, _)| !new.instances.contains_key(*name))
        .map(|(name, it)| (NotifyWho::Instance(name.clone()), it.notify.clone()));
    let groups = (old.groups.iter())
        .filter(|(name, _)| !new.groups.contains_key(*name))
        .map(|(name, it)| (NotifyWho::Group(name.clone()), it.notify.clone()));
    instances.chain(groups).collect()
}
