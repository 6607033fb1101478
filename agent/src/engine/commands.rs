//! Operators' commands: checked whole, made durable, then made true, then answered.

use super::Engine;
use super::action::{Action, PersistId, Ticket};
use super::input::Command;
use super::intent::{self, Expired};
use super::steps::Step;
use lb_shared::event::{Actor, What};
use lb_shared::names::{ServerId, VirtualKey};
use lb_shared::request::{Act, Acted, Outcome, Refusal, RefusalCode, Reply, Verb};
use lb_shared::state::{Dormant, ObjectId, Target};
use lb_shared::units::Mono;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The same key within this time is the same command.
const KEY_LIFE: Duration = Duration::from_secs(600);
/// The most keys that are remembered.
const KEYS_MAX: usize = 10_000;
/// The most commands that wait for the one before them.
const WAITING_MAX: usize = 1_000;
/// How long the answer to a change waits for the kernel.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);

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
    /// The last change of each user, for a while.
    pub(super) done: BTreeMap<u32, super::undo::Done>,
    next_persist: u64,
    pub(super) next_op: u64,
    pending: VecDeque<Pending>,
    /// Each command is judged by what the one before it made true, so it waits until that is on disk.
    waiting: VecDeque<(Ticket, Command)>,
    /// What was done, by who asked and their key. Refusals are not kept: nothing was done, and the next try is judged
    /// by what is true then.
    answered: BTreeMap<Key, Answered>,
    /// Who waits for counters.
    pub(super) samples: Vec<Ticket>,
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
                let Command {
                    actor, act, wall_ms, ..
                } = pending.command.clone();
                self.remember_for_undo(actor.uid, act.verb, &steps);
                apply_steps(&mut self.intent, &steps);
                for step in steps {
                    // A reload may have taken the target away meanwhile.
                    let there = self.target_exists(&step.target);
                    self.intent.set_present(&step.target, there, (self.now, wall_ms));
                    self.make_true(step, &actor, act.verb);
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
                Expired::Ended(it) => {
                    let text = format!("{} ended by its time", it.kind.word());
                    (it.target, Some(text))
                }
                Expired::Forgotten(it) => {
                    let days = Dormant::PATIENCE.as_secs() / 86_400;
                    let text = format!(
                        "{} forgotten: {} was not in the configuration for {days} days",
                        it.kind.word(),
                        it.target
                    );
                    (it.target, Some(text))
                }
                // The server itself has told of its deadline.
                Expired::Kept(target) | Expired::Disabled(target) => (target, None),
            };
            match &target {
                Target::Server(id) => self.give_override(id),
                Target::Instance(name) => self.give_pin(name),
            }
            match ended {
                Some(text) => {
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
        self.store_intent();
    }

    /// Writes down what is in force.
    pub(super) fn store_intent(&mut self) {
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

    fn entries(&self, id: &ServerId) -> Vec<VirtualKey> {
        self.model
            .services
            .get(&id.service)
            .map_or_else(Vec::new, |service| service.entries.clone())
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
