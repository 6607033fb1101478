//! Operators' commands: checked whole, made durable, then made true, then answered.

use super::Engine;
use super::action::{Action, PersistId, Ticket};
use super::input::Command;
use super::intent::{self, Expired, OVERRIDES_MAX};
use super::want::destination_key;
use lb_shared::counters::{Counters, ServerCounters};
use lb_shared::event::{Actor, What};
use lb_shared::names::{InstanceName, ServerId, VirtualKey};
use lb_shared::request::{
    Act, Acted, Outcome, Refusal, RefusalCode, Reply, TargetReport, Verb, WeightChange,
};
use lb_shared::state::{Health, ObjectId, Override, OverrideKind, Target};
use lb_shared::units::{Mono, Weight};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The same key within this time is the same command.
const KEY_LIFE: Duration = Duration::from_secs(600);
/// The most keys that are remembered.
const KEYS_MAX: usize = 10_000;
/// The most commands that wait for the one before them.
const WAITING_MAX: usize = 1_000;
/// Reason texts are cut to this many bytes.
const MESSAGE_MAX: usize = 256;
/// How long the answer to a change waits for the kernel.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);
/// Counters younger than this are given out again.
const SAMPLE_LIFE: Duration = Duration::from_millis(500);

/// What is to happen to one target: a new override, or the end of one.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) target: Target,
    pub(super) set: Option<Override>,
    pub(super) change: String,
}

/// A checked command on its way.
#[derive(Clone, Debug)]
struct Pending {
    ticket: Ticket,
    command: Command,
    steps: Vec<Step>,
    reply: Acted,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Disk(PersistId),
    Kernel { until: Mono },
}

/// A key belongs to whoever uses it.
type Key = (u32, String);

#[derive(Clone, Debug)]
struct Answered {
    at: Mono,
    act: Act,
    reply: Reply,
}

impl Command {
    fn key(&self) -> Option<Key> {
        Some((self.actor.uid, self.act.key.clone()?))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Commands {
    next_persist: u64,
    next_op: u64,
    pending: VecDeque<Pending>,
    /// Each command is judged by what the one before it made true, so it waits until that is on disk.
    waiting: VecDeque<(Ticket, Command)>,
    /// What was done, by who asked and their key. Refusals are not kept: nothing was done, and the next try is judged
    /// by what is true then.
    answered: BTreeMap<Key, Answered>,
    samples: Vec<Ticket>,
}

impl Commands {
    /// Whether a command has to wait for another one.
    fn blocks(&self, command: &Command) -> bool {
        let key = command.key();
        self.pending.iter().any(|it| {
            !command.act.dry_run && matches!(it.stage, Stage::Disk(_))
                || key.is_some() && it.command.key() == key
        })
    }

    /// Writes that the disk has not answered yet.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = PersistId> {
        self.pending.iter().filter_map(|it| match it.stage {
            Stage::Disk(id) => Some(id),
            Stage::Kernel { .. } => None,
        })
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.pending
            .iter()
            .filter_map(|it| match it.stage {
                Stage::Disk(_) => None,
                Stage::Kernel { until } => Some(until),
            })
            .min()
    }
}

impl Engine {
    pub(super) fn on_command(&mut self, ticket: Ticket, command: Command) {
        if self.commands.waiting.is_empty() && !self.commands.blocks(&command) {
            return self.begin_command(ticket, command);
        }
        if self.commands.waiting.len() >= WAITING_MAX {
            let refusal = Refusal::new(
                RefusalCode::Busy,
                format!("{WAITING_MAX} commands wait already"),
                "try again in a moment",
            );
            return self.answer(Some(ticket), Reply::Refused(refusal));
        }
        self.commands.waiting.push_back((ticket, command));
    }

    /// Begins the commands that waited for one that is over.
    pub(super) fn begin_waiting(&mut self) {
        while let Some((ticket, command)) = self.commands.waiting.pop_front() {
            if self.commands.blocks(&command) {
                return self.commands.waiting.push_front((ticket, command));
            }
            self.begin_command(ticket, command);
        }
    }

    fn begin_command(&mut self, ticket: Ticket, command: Command) {
        let known = command.key().and_then(|key| self.commands.answered.get(&key));
        let known = known.filter(|it| self.now.since(it.at) < KEY_LIFE);
        if let Some(known) = known {
            let reply = if known.act == command.act {
                known.reply.clone()
            } else {
                Reply::Refused(Refusal::new(
                    RefusalCode::Conflict,
                    "this key was used for another command",
                    "a new command needs a new key",
                ))
            };
            return self.answer(Some(ticket), reply);
        }
        match self.check(&command) {
            Err(refusal) => self.answer(Some(ticket), Reply::Refused(refusal)),
            Ok((_, reply)) if command.act.dry_run => self.answer(Some(ticket), Reply::Acted(reply)),
            Ok((steps, reply)) => self.store_steps(ticket, command, steps, reply),
        }
    }

    /// What a command would do, or why it may not.
    fn check(&self, command: &Command) -> Result<(Vec<Step>, Acted), Refusal> {
        if self.boot.is_some() || self.stopping.is_some() {
            return Err(Refusal::new(
                RefusalCode::Busy,
                "the agent is starting or stopping",
                "try again in a moment",
            ));
        }
        let act = &command.act;
        let mut effects = Vec::new();
        let targets = self.whole_groups(act, &mut effects);
        let mut steps = Vec::new();
        let mut reports = Vec::new();
        for target in targets {
            if !self.target_exists(&target) && self.intent.get(&target).is_none() {
                return Err(Refusal::new(
                    RefusalCode::NotFound,
                    format!("{target} is not in the configuration"),
                    "lbctl servers and lbctl vrrp list what there is",
                ));
            }
            let report = match self.step(&target, command)? {
                Ok(step) => {
                    let change = step.change.clone();
                    steps.push(step);
                    self.report(target, Outcome::Done, change)
                }
                Err(skipped) => self.report(target, Outcome::Skipped(skipped), String::new()),
            };
            reports.push(report);
        }
        let is_new = |step: &&Step| step.set.is_some() && self.intent.get(&step.target).is_none();
        if self.intent.len() + steps.iter().filter(is_new).count() > OVERRIDES_MAX {
            return Err(Refusal::new(
                RefusalCode::Busy,
                format!("there are {OVERRIDES_MAX} overrides already"),
                "undrain or release some first",
            ));
        }
        let mut warnings = Vec::new();
        self.guard(act, &steps, &mut effects, &mut warnings)?;
        Ok((
            steps,
            Acted {
                dry_run: act.dry_run,
                op: self.commands.next_op + 1,
                targets: reports,
                effects,
                warnings,
            },
        ))
    }

    /// A sync group moves as one: its other members are targets too.
    fn whole_groups(&self, act: &Act, effects: &mut Vec<String>) -> Vec<Target> {
        let mut targets = Vec::new();
        for target in &act.targets {
            let group = match target {
                Target::Server(_) => None,
                Target::Instance(name) => self
                    .model
                    .groups
                    .values()
                    .find(|group| group.members.contains(name)),
            };
            match group {
                None => targets.push(target.clone()),
                Some(group) => {
                    targets.extend(group.members.iter().cloned().map(Target::Instance));
                    if group.members.len() > 1 {
                        let members = group
                            .members
                            .iter()
                            .map(ToString::to_string)
                            .collect::<Vec<_>>()
                            .join(", ");
                        effects.push(format!("sync group {} moves as one: {members}", group.name));
                    }
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        effects.dedup();
        targets
    }

    /// The step for one target; `Ok(Err(words))` when there is nothing to do.
    fn step(&self, target: &Target, command: &Command) -> Result<Result<Step, String>, Refusal> {
        let now = self.intent.get(target);
        let wrong = |wanted: &str| {
            let message = format!("{} takes {wanted}, {target} is none", command.act.verb.word());
            Refusal::new(RefusalCode::BadRequest, message, "")
        };
        let weight = |id: &ServerId| self.server_weights(id);
        Ok(match (command.act.verb, target) {
            (Verb::Drain { timeout_ms, then }, Target::Server(id)) => match now.map(|it| it.kind) {
                Some(OverrideKind::Drain { .. }) => Err("already draining".to_owned()),
                Some(OverrideKind::Disable) => Err("already disabled".to_owned()),
                Some(OverrideKind::Weight(_) | OverrideKind::Pin(_)) | None => {
                    let (_, effective) = weight(id);
                    let change = format!("weight {} -> 0", word(effective));
                    Ok(self.set(target, OverrideKind::Drain { then }, timeout_ms, command, change))
                }
            },
            (Verb::Undrain, Target::Server(id)) => match now.map(|it| it.kind) {
                Some(OverrideKind::Drain { .. } | OverrideKind::Disable) => {
                    let (configured, effective) = weight(id);
                    let up = self.is_up(id);
                    let change = if up {
                        format!("weight {} -> {configured}", word(effective))
                    } else {
                        "stays out until its check passes".to_owned()
                    };
                    Ok(Step {
                        target: target.clone(),
                        set: None,
                        change,
                    })
                }
                Some(OverrideKind::Weight(_) | OverrideKind::Pin(_)) | None => Err("not drained".to_owned()),
            },
            (Verb::Disable { .. }, Target::Server(id)) => match now.map(|it| it.kind) {
                Some(OverrideKind::Disable) => Err("already disabled".to_owned()),
                _ => {
                    let change = format!("weight {} -> out of IPVS", word(weight(id).1));
                    Ok(self.set(target, OverrideKind::Disable, None, command, change))
                }
            },
            (Verb::Weight(change), Target::Server(id)) => self.weight_step(target, id, change, command)?,
            (verb @ (Verb::Promote { .. } | Verb::Demote { .. }), Target::Instance(name)) => {
                let Some(pin) = verb.pin() else {
                    return Err(wrong("instances"));
                };
                let for_ms = if let Verb::Promote { for_ms } = verb {
                    for_ms
                } else {
                    None
                };
                match now.map(|it| it.kind) {
                    Some(OverrideKind::Pin(held)) if held == pin && for_ms.is_none() => {
                        Err(format!("already {}d", verb.word()))
                    }
                    _ => Ok(self.set(
                        target,
                        OverrideKind::Pin(pin),
                        for_ms,
                        command,
                        self.pin_change(name, pin),
                    )),
                }
            }
            (Verb::Release, Target::Instance(_)) => match now {
                Some(it) => {
                    let change = format!("{} ended", it.kind.word());
                    Ok(Step {
                        target: target.clone(),
                        set: None,
                        change,
                    })
                }
                None => Err("neither promoted nor demoted".to_owned()),
            },
            (
                Verb::Drain { .. } | Verb::Undrain | Verb::Disable { .. } | Verb::Weight(_),
                Target::Instance(_),
            ) => {
                return Err(wrong("servers"));
            }
            (Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release, Target::Server(_)) => {
                return Err(wrong("instances"));
            }
        })
    }

    fn weight_step(
        &self,
        target: &Target,
        id: &ServerId,
        change: WeightChange,
        command: &Command,
    ) -> Result<Result<Step, String>, Refusal> {
        let (configured, effective) = self.server_weights(id);
        let overridden = self.intent.get(target).map(|it| it.kind);
        if matches!(
            overridden,
            Some(OverrideKind::Drain { .. } | OverrideKind::Disable)
        ) {
            return Err(Refusal::new(
                RefusalCode::Conflict,
                format!("{target} is drained or disabled"),
                "undrain it first, then set its weight",
            ));
        }
        let from = match overridden {
            Some(OverrideKind::Weight(weight)) => weight,
            _ => configured,
        };
        let to = match change {
            WeightChange::Config => {
                return Ok(match overridden {
                    None => Err("has its configured weight".to_owned()),
                    Some(_) => {
                        let change = format!("weight {} -> {configured}", word(effective));
                        Ok(Step {
                            target: target.clone(),
                            set: None,
                            change,
                        })
                    }
                });
            }
            WeightChange::To(weight) => weight,
            WeightChange::By(by) => Weight::clamped(i64::from(from.get()).saturating_add(by)),
            WeightChange::Percent(percent) => {
                Weight::clamped(i64::from(configured.get()).saturating_mul(i64::from(percent)) / 100)
            }
        };
        if to == Weight::ZERO {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                format!("a weight of 0 for {target} would be a drain without a name"),
                "use drain, which also watches the connections end",
            ));
        }
        if overridden == Some(OverrideKind::Weight(to)) {
            return Ok(Err(format!("weight is {to} already")));
        }
        let text = format!("weight {} -> {to}", word(effective));
        Ok(Ok(self.set(
            target,
            OverrideKind::Weight(to),
            None,
            command,
            text,
        )))
    }

    fn set(
        &self,
        target: &Target,
        kind: OverrideKind,
        for_ms: Option<u64>,
        command: &Command,
        change: String,
    ) -> Step {
        let message: String = command
            .act
            .message
            .chars()
            .filter(|c| !c.is_control())
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= MESSAGE_MAX).then_some(c)
            })
            .collect();
        let span = for_ms.map(Duration::from_millis);
        let who = (&command.actor, message.as_str());
        let set = intent::make(target.clone(), kind, span, who, (self.now, command.wall_ms));
        Step {
            target: target.clone(),
            set: Some(set),
            change,
        }
    }

    fn report(&self, target: Target, outcome: Outcome, change: String) -> TargetReport {
        let active = match &target {
            Target::Server(id) => Some(self.server_counters(id).active),
            Target::Instance(_) => None,
        };
        TargetReport {
            target,
            outcome,
            change,
            active,
        }
    }

    fn store_steps(&mut self, ticket: Ticket, command: Command, steps: Vec<Step>, mut reply: Acted) {
        self.commands.next_op += 1;
        reply.op = self.commands.next_op;
        if steps.is_empty() {
            return self.finish_command(ticket, command, reply);
        }
        // Durable first: an override that was acknowledged survives any crash. What is in force does not change
        // before the disk has it.
        let mut next = self.intent.clone();
        apply_steps(&mut next, &steps);
        let id = self.next_persist();
        self.queue.push_back(Action::Persist(id, next.to_store()));
        self.commands.pending.push_back(Pending {
            ticket,
            command,
            steps,
            reply,
            stage: Stage::Disk(id),
        });
    }

    pub(super) fn next_persist(&mut self) -> PersistId {
        self.commands.next_persist += 1;
        PersistId(self.commands.next_persist)
    }

    pub(super) fn on_persisted(&mut self, id: PersistId, result: Result<(), String>) {
        let Some(place) = self
            .commands
            .pending
            .iter()
            .position(|it| it.stage == Stage::Disk(id))
        else {
            if let Err(why) = result {
                self.say(
                    What::IntentTrouble,
                    "the overrides could not be written",
                    Some(why),
                );
            }
            return;
        };
        match result {
            Err(why) => {
                let Some(pending) = self.commands.pending.remove(place) else {
                    return;
                };
                self.say(
                    What::IntentTrouble,
                    "a change was refused: it could not be made durable",
                    Some(why.clone()),
                );
                let refusal = Refusal::new(
                    RefusalCode::Disk,
                    format!("nothing was changed: the state folder could not be written: {why}"),
                    "free space or mend the disk, then try again",
                );
                self.answer(Some(pending.ticket), Reply::Refused(refusal));
                // The write may have come further than it says: what was refused must not be found later.
                let id = self.next_persist();
                self.queue.push_back(Action::Persist(id, self.intent.to_store()));
            }
            Ok(()) => {
                let pending = &mut self.commands.pending[place];
                pending.stage = Stage::Kernel {
                    until: self.now + KERNEL_PATIENCE,
                };
                let steps = pending.steps.clone();
                let (actor, verb) = (pending.command.actor.clone(), pending.command.act.verb);
                apply_steps(&mut self.intent, &steps);
                for step in steps {
                    // A reload may have taken the target away meanwhile.
                    let there = self.target_exists(&step.target);
                    self.intent.set_dormant(&step.target, !there);
                    self.make_true(step, &actor, verb);
                }
                self.want_sysctls();
            }
        }
    }

    /// An override that is on disk takes effect.
    fn make_true(&mut self, step: Step, actor: &Actor, verb: Verb) {
        let object = ObjectId::Override(step.target.clone());
        match &step.target {
            Target::Server(id) => {
                self.give_override(id);
                self.touch(ObjectId::Server(id.clone()));
            }
            Target::Instance(name) => {
                self.give_pin(name);
                self.touch(ObjectId::Instance(name.clone()));
            }
        }
        let what = if step.set.is_some() {
            What::OverrideSet
        } else {
            What::OverrideCleared
        };
        let why = step
            .set
            .map(|it| it.message)
            .filter(|message| !message.is_empty());
        self.emit(
            what,
            object,
            format!("{}: {}", verb.word(), step.change),
            why,
            Some(actor.clone()),
        );
    }

    /// Answers the changes the kernel now agrees with, or has refused.
    pub(super) fn answer_settled(&mut self) {
        let mut place = 0;
        while let Some(pending) = self.commands.pending.get(place) {
            let Stage::Kernel { until } = pending.stage else {
                place += 1;
                continue;
            };
            let standing = self.kernel_standing(&pending.steps);
            if standing.is_none() && until > self.now {
                place += 1;
                continue;
            }
            let Some(mut pending) = self.commands.pending.remove(place) else {
                return;
            };
            match standing {
                Some(Ok(())) => {}
                Some(Err(why)) => fail(&mut pending.reply, &why),
                None => fail(&mut pending.reply, "the kernel has not answered yet"),
            }
            self.finish_command(pending.ticket, pending.command, pending.reply);
        }
    }

    /// `None`: not yet; else whether the kernel took it.
    fn kernel_standing(&self, steps: &[Step]) -> Option<Result<(), String>> {
        if self.ipvs_missing().is_some() {
            return Some(Ok(()));
        }
        for step in steps {
            let Target::Server(id) = &step.target else {
                continue;
            };
            for entry in self.entries(id) {
                match self.ipvs.settled(&entry) {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(why) => return Some(Err(why.to_owned())),
                }
            }
        }
        Some(Ok(()))
    }

    fn finish_command(&mut self, ticket: Ticket, command: Command, reply: Acted) {
        let reply = Reply::Acted(reply);
        if let Some(key) = command.key() {
            let now = self.now;
            let answered = &mut self.commands.answered;
            if answered.len() >= KEYS_MAX {
                answered.retain(|_, it| now.since(it.at) < KEY_LIFE);
            }
            if answered.len() >= KEYS_MAX {
                let oldest = answered.iter().min_by_key(|(_, it)| it.at);
                let oldest = oldest.map(|(key, _)| key.clone());
                oldest.map(|key| answered.remove(&key));
            }
            let (at, act) = (now, command.act);
            let reply = reply.clone();
            answered.insert(key, Answered { at, act, reply });
        }
        self.answer(Some(ticket), reply);
    }

    /// Ends overrides whose time is up.
    pub(super) fn expire_overrides(&mut self) {
        let expired = self.intent.expire(self.now);
        if expired.is_empty() {
            return;
        }
        for it in expired {
            let (target, ended) = match it {
                Expired::Ended(it) => (it.target.clone(), Some(it)),
                // The server itself has told of its deadline.
                Expired::Kept(target) | Expired::Disabled(target) => (target, None),
            };
            match &target {
                Target::Server(id) => self.give_override(id),
                Target::Instance(name) => self.give_pin(name),
            }
            match ended {
                Some(it) => {
                    let text = format!("{} ended by its time", it.kind.word());
                    self.emit(
                        What::OverrideExpired,
                        ObjectId::Override(target),
                        text,
                        None,
                        None,
                    );
                }
                None => self.touch(ObjectId::Override(target)),
            }
        }
        self.want_sysctls();
        // A change on its way to the disk must not be overwritten: it may be acknowledged in between.
        let mut next = self.intent.clone();
        for waiting in self
            .commands
            .pending
            .iter()
            .filter(|it| matches!(it.stage, Stage::Disk(_)))
        {
            apply_steps(&mut next, &waiting.steps);
        }
        let id = self.next_persist();
        self.queue.push_back(Action::Persist(id, next.to_store()));
    }

    /// Whether its checks let a server take traffic.
    pub(super) fn is_up(&self, id: &ServerId) -> bool {
        self.health
            .server_view(id)
            .is_some_and(|view| matches!(view.health, Health::Up | Health::None))
    }

    /// The configured weight, and the one in IPVS.
    pub(super) fn server_weights(&self, id: &ServerId) -> (Weight, Option<Weight>) {
        self.health
            .server_view(id)
            .map_or((Weight::ZERO, None), |view| (view.configured, view.effective))
    }

    fn pin_change(&self, name: &InstanceName, pin: lb_shared::state::Pin) -> String {
        use lb_shared::state::Pin;
        let priority = self.routers.view(name).map_or(0, |view| view.effective_priority);
        let state = self.routers.view(name).map_or("INIT", |view| view.state.word());
        match pin {
            Pin::Promoted => format!("{state} -> MASTER, priority {priority} -> 254 until released"),
            Pin::Demoted => format!("{state} -> BACKUP, priority {priority} -> 1 until released"),
            Pin::DemotedHard => format!("{state} -> BACKUP, never MASTER until released"),
        }
    }

    fn entries(&self, id: &ServerId) -> Vec<VirtualKey> {
        self.model
            .services
            .get(&id.service)
            .map_or_else(Vec::new, |service| service.entries.clone())
    }

    /// What the kernel counted for a server at the last look, over all entries of its service.
    pub(super) fn server_counters(&self, id: &ServerId) -> ServerCounters {
        let mut sum = ServerCounters::default();
        let Some(service) = self.model.services.get(&id.service) else {
            return sum;
        };
        let Some(server) = service.servers.get(&id.server) else {
            return sum;
        };
        for entry in &service.entries {
            let key = destination_key(entry, id.server, server.forwarding);
            let Some(it) = self
                .ipvs
                .have()
                .services
                .get(entry)
                .and_then(|it| it.destinations.get(&key))
            else {
                continue;
            };
            let it = &it.counters;
            sum.add(&ServerCounters {
                active: it.active.into(),
                inactive: it.inactive.into(),
                persistent: it.persistent.into(),
                connections: it.connections,
                packets_in: it.packets_in,
                packets_out: it.packets_out,
                bytes_in: it.bytes_in,
                bytes_out: it.bytes_out,
                connections_per_s: it.connections_per_s,
                bytes_in_per_s: it.bytes_in_per_s,
                bytes_out_per_s: it.bytes_out_per_s,
                checked_at: None,
                check_us: None,
                drain_eta_s: None,
            });
        }
        sum
    }

    pub(super) fn on_sample(&mut self, ticket: Ticket) {
        let fresh = self
            .ipvs
            .dumped_at()
            .is_some_and(|at| self.now.since(at) < SAMPLE_LIFE);
        self.commands.samples.push(ticket);
        if fresh || self.ipvs_missing().is_some() || self.boot.is_some() {
            self.answer_samples();
        } else {
            self.ipvs.ask(self.now, &mut self.queue);
        }
    }

    pub(super) fn answer_samples(&mut self) {
        if self.commands.samples.is_empty() {
            return;
        }
        let counters = self.counters();
        for ticket in std::mem::take(&mut self.commands.samples) {
            self.answer(Some(ticket), Reply::Counters(Box::new(counters.clone())));
        }
    }

    fn counters(&self) -> Counters {
        let instances = self
            .model
            .instances
            .keys()
            .filter_map(|name| Some((name.clone(), self.routers.counters(name)?)))
            .collect();
        let mut servers = BTreeMap::new();
        for service in self.model.services.values() {
            for server in service.servers.keys() {
                let id = ServerId {
                    service: service.key.clone(),
                    server: *server,
                };
                let mut counters = self.server_counters(&id);
                if let Some((at, took)) = self.health.last_check(&id) {
                    counters.checked_at = Some(at);
                    counters.check_us = u64::try_from(took.as_micros()).ok();
                }
                servers.insert(id, counters);
            }
        }
        Counters {
            at: self.now,
            instances,
            servers,
        }
    }
}

fn apply_steps(intent: &mut intent::Intent, steps: &[Step]) {
    for step in steps {
        match &step.set {
            Some(it) => intent.put(it.clone()),
            None => drop(intent.remove(&step.target)),
        }
    }
}

fn fail(reply: &mut Acted, why: &str) {
    for report in &mut reply.targets {
        if report.outcome == Outcome::Done {
            report.outcome = Outcome::Failed(format!("the change is stored and will be made, but: {why}"));
        }
    }
}

fn word(weight: Option<Weight>) -> String {
    weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string())
}
