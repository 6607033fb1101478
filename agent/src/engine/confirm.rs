//! `reload --confirm`: a configuration that is taken back unless somebody confirms it in time.
//!
//! The one to go back to is on disk before the new one is in force, with the moment by the wall clock, so that neither a
//! crash nor a restart makes an unconfirmed configuration stay. Once it is back, the note about it stays until another
//! reload: a restart must not read the file that nobody confirmed.

use super::Engine;
use super::action::{Action, PersistId, Ticket};
use super::boot::Boot;
use super::input::NewModel;
use crate::config::Texts;
use crate::model::Model;
use lb_shared::event::{Actor, What};
use lb_shared::request::{Refusal, RefusalCode, Reloaded, Reply};
use lb_shared::state::{ObjectId, Unconfirmed};
use lb_shared::text::span;
use lb_shared::units::Mono;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// How long a configuration may wait to be confirmed.
const WITHIN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// A configuration to go back to, as it is kept on disk.
#[derive(Clone, Debug)]
pub struct Former {
    /// The name of its first file.
    pub file: String,
    pub texts: Arc<Texts>,
    pub note: FormerNote,
}

/// What the next start must know about it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FormerNote {
    /// Unix time in milliseconds: when the other one was put in force, and when this one comes back.
    pub at_wall_ms: u64,
    pub until_wall_ms: u64,
    /// Who asked.
    pub actor: Actor,
    /// The fingerprint of the files that wait to be confirmed.
    pub tried: u64,
    /// Nobody did: this one is in force again.
    pub restored: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Confirm {
    /// What the model in force was made from.
    texts: Arc<Texts>,
    stage: Stage,
    /// Why the one in force is not what the file says.
    restored: Option<String>,
}

/// Where a configuration stands.
#[derive(Clone, Debug, Default)]
enum Stage {
    /// It is in force for good.
    #[default]
    Settled,
    /// Another one comes into force once the disk has the one to go back to.
    Keeping(PersistId, Box<Trying>),
    /// It is in force until a moment.
    Waiting(Box<Waiting>),
    /// Somebody has confirmed it, and the disk has yet to forget the other one.
    Forgetting(PersistId, Box<Waiting>, Ticket, Actor),
}

#[derive(Clone, Debug)]
struct Trying {
    new: NewModel,
    reloaded: Reloaded,
    next: Waiting,
    /// What waited before, if it did.
    last: Option<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    former: NewModel,
    /// The number the former one had, in this run.
    revision: Option<u64>,
    until: Mono,
    note: FormerNote,
}

impl FormerNote {
    /// How long there was to confirm.
    fn within(&self) -> Duration {
        Duration::from_millis(self.until_wall_ms.saturating_sub(self.at_wall_ms))
    }
}

impl Waiting {
    fn on_disk(&self) -> Option<Box<Former>> {
        Some(Box::new(Former {
            file: self.former.file.clone(),
            texts: Arc::clone(&self.former.texts),
            note: self.note.clone(),
        }))
    }
}

impl Confirm {
    /// When the former configuration comes back.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match &self.stage {
            Stage::Waiting(it) => Some(it.until),
            Stage::Settled | Stage::Keeping(..) | Stage::Forgetting(..) => None,
        }
    }

    /// A model made from these is in force.
    pub(super) fn in_force(&mut self, texts: Arc<Texts>) {
        self.texts = texts;
    }

    /// What clients see.
    pub(super) fn view(&self) -> Option<Box<Unconfirmed>> {
        let (Stage::Waiting(it) | Stage::Forgetting(_, it, ..)) = &self.stage else {
            return None;
        };
        Some(Box::new(Unconfirmed {
            until: it.until,
            actor: it.note.actor.clone(),
        }))
    }

    pub(super) fn restored(&self) -> Option<String> {
        self.restored.clone()
    }
}

impl Engine {
    /// The configuration in force: its first file, its number and what it was made from.
    pub fn in_force(&self) -> (&str, u64, Arc<Texts>) {
        let config = &self.agent.config;
        (&config.file, config.revision, Arc::clone(&self.confirm.texts))
    }

    /// What it says.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Why a model may not come into force now: another one waits.
    pub(super) fn reload_waits(&self, new: &NewModel) -> Option<Refusal> {
        match &self.confirm.stage {
            Stage::Settled => None,
            Stage::Waiting(_) if new.confirm.is_some() => None,
            Stage::Waiting(it) => Some(Refusal::new(
                RefusalCode::Conflict,
                format!(
                    "configuration r{} waits to be confirmed, {} left",
                    self.agent.config.revision,
                    span(it.until.since(self.now))
                ),
                "lbctl reload --confirmed keeps it; --confirm DUR with this reload replaces it; or wait until it is taken back",
            )),
            Stage::Keeping(..) | Stage::Forgetting(..) => Some(Refusal::new(
                RefusalCode::Busy,
                "another reload is being written to disk",
                "try again in a moment",
            )),
        }
    }

    /// Puts a model in force for a while, once the one to go back to is on disk.
    pub(super) fn try_model(&mut self, new: NewModel, mut reloaded: Reloaded, within: Duration) {
        if !WITHIN.contains(&within) {
            let refusal = Refusal::new(
                RefusalCode::BadRequest,
                "a configuration waits to be confirmed from one second to one day",
                "such as --confirm 60s",
            );
            return self.answer(new.asked.map(|(ticket, _)| ticket), Reply::Refused(refusal));
        }
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        reloaded.confirm_within_ms = Some(within_ms);
        let last = match std::mem::take(&mut self.confirm.stage) {
            Stage::Waiting(it) => Some(*it),
            Stage::Settled | Stage::Keeping(..) | Stage::Forgetting(..) => None,
        };
        // Of several in a row none was confirmed: what comes back is the last one that was.
        let (former, revision) = match &last {
            Some(it) => (it.former.clone(), it.revision),
            None => (self.model_in_force(new.wall_ms), Some(self.agent.config.revision)),
        };
        let next = Waiting {
            former,
            revision,
            until: self.now + within,
            note: FormerNote {
                at_wall_ms: new.wall_ms,
                until_wall_ms: new.wall_ms.saturating_add(within_ms),
                actor: new
                    .asked
                    .as_ref()
                    .map(|(_, actor)| actor.clone())
                    .unwrap_or_default(),
                tried: new.texts.fingerprint(),
                restored: false,
            },
        };
        let id = self.keep_former(next.on_disk());
        let trying = Trying {
            new,
            reloaded,
            next,
            last,
        };
        self.confirm.stage = Stage::Keeping(id, Box::new(trying));
    }

    /// The model in force, to be put in force again.
    fn model_in_force(&self, wall_ms: u64) -> NewModel {
        let numbers = self.trackers.numbers();
        NewModel {
            model: self.model.clone(),
            file: self.agent.config.file.clone(),
            findings: Vec::new(),
            numbers: numbers.map(|(name, number)| (name.clone(), number)).collect(),
            since_boot: Duration::ZERO,
            asked: None,
            dry_run: false,
            force: true,
            wall_ms,
            texts: Arc::clone(&self.confirm.texts),
            confirm: None,
        }
    }

    fn keep_former(&mut self, former: Option<Box<Former>>) -> PersistId {
        let id = self.next_persist();
        self.queue.push_back(Action::KeepFormer(id, former));
        id
    }

    /// What was restored no longer counts: the file was loaded again.
    pub(super) fn forget_former(&mut self) {
        if self.confirm.restored.take().is_some() {
            self.keep_former(None);
        }
    }

    pub(super) fn on_former_kept(&mut self, id: PersistId, result: Result<(), String>) {
        match (std::mem::take(&mut self.confirm.stage), result) {
            (Stage::Keeping(wanted, trying), result) if wanted == id => self.on_kept(*trying, result),
            (Stage::Forgetting(wanted, it, ticket, actor), result) if wanted == id => {
                self.on_forgotten(it, ticket, actor, result);
            }
            (stage, Ok(())) => self.confirm.stage = stage,
            (stage, Err(why)) => {
                self.confirm.stage = stage;
                // What was written before is still there, and the time in it is over.
                let text = "the note about the former configuration could not be written: the next start may begin \
                            with that one, whatever the file says";
                self.say(What::NotTold, text, Some(why));
            }
        }
    }

    /// The disk has the former model: the new one comes into force.
    fn on_kept(&mut self, trying: Trying, result: Result<(), String>) {
        let Trying {
            mut new,
            mut reloaded,
            mut next,
            last,
        } = trying;
        let ticket = new.asked.as_ref().map(|(ticket, _)| *ticket);
        let refusal = match result {
            Ok(()) if self.stopping.is_none() => None,
            Ok(()) => Some(Refusal::new(
                RefusalCode::Busy,
                "the agent is stopping",
                "ask again when it runs",
            )),
            Err(why) => Some(Refusal::new(
                RefusalCode::Disk,
                format!("nothing was changed: the configuration to go back to could not be written: {why}"),
                "free space or mend the disk, then try again",
            )),
        };
        if let Some(refusal) = refusal {
            // The write may have come further than it says.
            self.keep_former(last.as_ref().and_then(Waiting::on_disk));
            self.confirm.stage = last.map_or(Stage::Settled, |it| Stage::Waiting(Box::new(it)));
            return self.answer(ticket, Reply::Refused(refusal));
        }
        let within = next.note.within();
        next.until = self.now + within;
        let actor = next.note.actor.clone();
        self.confirm.restored = None;
        self.confirm.stage = Stage::Waiting(Box::new(next));
        new.confirm = None;
        self.put_in_force(new, false);
        reloaded.revision = self.agent.config.revision;
        self.emit(
            What::Unconfirmed,
            ObjectId::Agent,
            format!(
                "revision {} is taken back in {} unless it is confirmed",
                self.agent.config.revision,
                span(within)
            ),
            None,
            Some(actor),
        );
        self.answer(ticket, Reply::Reloaded(reloaded));
    }

    pub(super) fn on_confirm(&mut self, ticket: Ticket, actor: Actor) {
        match std::mem::take(&mut self.confirm.stage) {
            Stage::Waiting(it) if self.stopping.is_none() => {
                let id = self.keep_former(None);
                self.confirm.stage = Stage::Forgetting(id, it, ticket, actor);
            }
            stage => {
                let nothing = matches!(stage, Stage::Settled);
                self.confirm.stage = stage;
                let refusal = if let (true, Some(text)) = (nothing, &self.confirm.restored) {
                    Refusal::new(
                        RefusalCode::Conflict,
                        format!("it is too late: {text}"),
                        "lbctl reload --confirm DUR tries it again",
                    )
                } else if nothing {
                    Refusal::new(
                        RefusalCode::Conflict,
                        format!(
                            "configuration r{} does not wait to be confirmed",
                            self.agent.config.revision
                        ),
                        "lbctl reload --confirm DUR loads one that does",
                    )
                } else {
                    Refusal::new(
                        RefusalCode::Busy,
                        "a reload is being written to disk, or the agent is stopping",
                        "look at lbctl status",
                    )
                };
                self.answer(Some(ticket), Reply::Refused(refusal));
            }
        }
    }

    /// The disk no longer has the former model: the one in force stays.
    fn on_forgotten(&mut self, it: Box<Waiting>, ticket: Ticket, actor: Actor, result: Result<(), String>) {
        if let Err(why) = result {
            self.keep_former(it.on_disk());
            self.confirm.stage = Stage::Waiting(it);
            let refusal = Refusal::new(
                RefusalCode::Disk,
                format!("it is not confirmed: the state folder could not be written: {why}"),
                "free space or mend the disk, then confirm again",
            );
            return self.answer(Some(ticket), Reply::Refused(refusal));
        }
        self.agent.config.unconfirmed = None;
        let revision = self.agent.config.revision;
        self.emit(
            What::Confirmed,
            ObjectId::Agent,
            format!("revision {revision} stays"),
            None,
            Some(actor),
        );
        let reply = Reloaded {
            revision,
            ..Reloaded::default()
        };
        self.answer(Some(ticket), Reply::Reloaded(reply));
    }

    /// The time to confirm is up: back to the former model.
    pub(super) fn restore_unconfirmed(&mut self) {
        if self.confirm.deadline().is_none_or(|at| at > self.now) || self.stopping.is_some() {
            return;
        }
        let Stage::Waiting(it) = std::mem::take(&mut self.confirm.stage) else {
            return;
        };
        let Waiting {
            mut former,
            revision,
            mut note,
            ..
        } = *it;
        let tried = self.agent.config.revision;
        let former_name = revision.map_or_else(|| "the one before it".to_owned(), |it| format!("r{it}"));
        let text = format!(
            "r{tried} was not confirmed within {}: {former_name} is in force again, as r{}",
            span(note.within()),
            tried + 1
        );
        note.restored = true;
        former.wall_ms = note.until_wall_ms;
        let numbers = self.trackers.numbers();
        former
            .numbers
            .extend(numbers.map(|(name, number)| (name.clone(), number)));
        let kept = Former {
            file: former.file.clone(),
            texts: Arc::clone(&former.texts),
            note,
        };
        self.keep_former(Some(Box::new(kept)));
        self.confirm.restored = Some(text);
        self.put_in_force(former, false);
        self.tell_of_former();
    }

    /// The model to begin with: the file's, unless that was not confirmed in time.
    pub(super) fn first_model(&mut self, boot: &mut Boot) -> NewModel {
        let file = boot.model.clone();
        let Some((former, mut note)) = boot.former.take() else {
            return file;
        };
        let tried = file.texts.fingerprint();
        // As with overrides: a stepped clock never makes it longer than was asked for.
        let left_ms = note
            .until_wall_ms
            .saturating_sub(boot.wall_ms)
            .min(note.until_wall_ms.saturating_sub(note.at_wall_ms));
        if note.restored && tried != note.tried {
            // The file was changed since: it says what somebody wants now.
            self.keep_former(None);
            return file;
        }
        if note.restored || left_ms == 0 {
            let late =
                "the configuration in the file was not confirmed in time: the one before it is in force";
            self.confirm.restored = Some(late.to_owned());
            if !note.restored {
                (note.restored, note.tried) = (true, tried);
                let kept = Former {
                    file: former.file.clone(),
                    texts: Arc::clone(&former.texts),
                    note,
                };
                self.keep_former(Some(Box::new(kept)));
            }
            return former;
        }
        self.confirm.stage = Stage::Waiting(Box::new(Waiting {
            former,
            revision: None,
            until: self.now + Duration::from_millis(left_ms),
            note,
        }));
        file
    }

    /// Says what of the configuration in force is not as the file has it, or will not stay.
    pub(super) fn tell_of_former(&mut self) {
        if let Some(text) = self.confirm.restored.clone() {
            let advice = "the file still has what was not confirmed: mend it, then reload".to_owned();
            self.say(What::Restored, text, Some(advice));
        } else if let Some(it) = self.confirm.view() {
            let left = span(it.until.since(self.now));
            let text = format!(
                "revision {} is taken back in {left} unless it is confirmed",
                self.agent.config.revision
            );
            self.emit(What::Unconfirmed, ObjectId::Agent, text, None, Some(it.actor));
        }
    }
}
