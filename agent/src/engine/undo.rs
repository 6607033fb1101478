//! `undo`: takes back what the same user did last, as long as it still stands.

use super::Engine;
use super::input::Command;
use super::steps::{Step, word};
use lb_shared::request::{Act, Acted, Outcome, Refusal, RefusalCode, Verb, WeightChange};
use lb_shared::state::{Override, OverrideKind, Pin, Target};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is older than this is not taken back.
const UNDO_LIFE: Duration = Duration::from_secs(600);

/// A user's last change: each target with its override before and after.
#[derive(Clone, Debug)]
pub(super) struct Done {
    at: Mono,
    word: &'static str,
    changes: Vec<(Target, Option<Override>, Option<Override>)>,
}

impl Engine {
    /// Remembers a change on its way into force. Undoing an undo does it again.
    pub(super) fn remember_for_undo(&mut self, uid: u32, verb: Verb, steps: &[Step]) {
        let now = self.now;
        self.commands.done.retain(|_, it| now.since(it.at) < UNDO_LIFE);
        let changes = steps
            .iter()
            .map(|step| {
                let before = self.intent.get(&step.target).cloned();
                (step.target.clone(), before, step.set.clone())
            })
            .collect();
        let done = Done {
            at: now,
            word: verb.word(),
            changes,
        };
        self.commands.done.insert(uid, done);
    }

    /// What an undo would do, or why it may not. The guards are those of what it does.
    pub(super) fn check_undo(&self, command: &Command) -> Result<(Vec<Step>, Acted), Refusal> {
        let done = self.commands.done.get(&command.actor.uid);
        let Some(done) = done.filter(|it| self.now.since(it.at) < UNDO_LIFE) else {
            return Err(Refusal::new(
                RefusalCode::NotFound,
                "there is nothing to undo",
                format!(
                    "only your own last change, and only for {} minutes; lbctl status lists the overrides",
                    UNDO_LIFE.as_secs() / 60
                ),
            ));
        };
        let mut steps = Vec::new();
        for (target, before, after) in &done.changes {
            if !is_same(self.intent.get(target), after.as_ref()) {
                return Err(Refusal::new(
                    RefusalCode::Conflict,
                    format!("{target} was changed again after your {}", done.word),
                    "look at lbctl events, and change it by its own verb",
                ));
            }
            let lasts = |it: &&Override| it.until.is_none_or(|until| until > self.now);
            let set = before.as_ref().filter(lasts).map(|it| Override {
                actor: command.actor.clone(),
                at_wall_ms: command.wall_ms,
                ..it.clone()
            });
            steps.push(Step {
                change: self.undo_change(target, set.as_ref(), after.as_ref()),
                target: target.clone(),
                set,
            });
        }
        let (mut effects, mut warnings) = (Vec::new(), Vec::new());
        for (verb, steps) in by_verb(&steps) {
            // Taking back is doing: who may no longer promote may not do it by undoing a release.
            if command.role < verb.role() {
                return Err(Refusal::forbidden(verb.role(), command.role));
            }
            let act = Act {
                verb,
                ..command.act.clone()
            };
            self.guard(&act, &steps, &mut effects, &mut warnings)?;
        }
        let targets = steps
            .iter()
            .map(|step| self.report(step.target.clone(), Outcome::Done, step.change.clone()))
            .collect();
        let reply = Acted {
            dry_run: command.act.dry_run,
            op: self.commands.next_op + 1,
            targets,
            effects,
            warnings,
        };
        Ok((steps, reply))
    }

    fn undo_change(&self, target: &Target, set: Option<&Override>, ended: Option<&Override>) -> String {
        match target {
            Target::Server(id) => {
                let (configured, effective) = self.server_weights(id);
                let from = word(effective);
                match set.map(|it| it.kind) {
                    None if self.is_up(id) => format!("weight {from} -> {configured}"),
                    None => "stays out until its check passes".to_owned(),
                    Some(OverrideKind::Ramp { .. }) => format!("weight {from} -> {configured} in steps"),
                    Some(OverrideKind::Weight(weight)) => format!("weight {from} -> {weight}"),
                    Some(OverrideKind::Disable) => format!("weight {from} -> out of IPVS"),
                    Some(OverrideKind::Drain { .. } | OverrideKind::Pin(_)) => format!("weight {from} -> 0"),
                }
            }
            Target::Instance(name) => match (set.map(|it| it.kind), ended) {
                (Some(OverrideKind::Pin(pin)), _) => self.pin_change(name, pin),
                (_, Some(ended)) => format!("{} ended", ended.kind.word()),
                (_, None) => "nothing".to_owned(),
            },
        }
    }
}

/// Whether it is the change that was made then: its end may have come since.
fn is_same(now: Option<&Override>, then: Option<&Override>) -> bool {
    match (now, then) {
        (None, None) => true,
        (Some(now), Some(then)) => {
            (now.kind, now.at_wall_ms, now.actor.uid) == (then.kind, then.at_wall_ms, then.actor.uid)
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The steps by the verb that would do the same.
fn by_verb(steps: &[Step]) -> Vec<(Verb, Vec<Step>)> {
    let mut groups: BTreeMap<&'static str, (Verb, Vec<Step>)> = BTreeMap::new();
    for step in steps {
        let verb = match (step.set.as_ref().map(|it| it.kind), &step.target) {
            (None, Target::Server(_)) => Verb::Undrain,
            (None, Target::Instance(_)) => Verb::Release,
            (Some(OverrideKind::Drain { then, inactive }), _) => Verb::Drain {
                timeout_ms: None,
                then,
                inactive,
            },
            (Some(OverrideKind::Disable), _) => Verb::Disable { cut: false },
            (Some(OverrideKind::Ramp { over_ms }), _) => Verb::Ramp { over_ms },
            (Some(OverrideKind::Weight(weight)), _) => Verb::Weight(WeightChange::To(weight)),
            (Some(OverrideKind::Pin(Pin::Promoted)), _) => Verb::Promote { for_ms: None },
            (Some(OverrideKind::Pin(pin)), _) => Verb::Demote {
                hard: pin == Pin::DemotedHard,
            },
        };
        let group = groups.entry(verb.word()).or_insert((verb, Vec::new()));
        group.1.push(step.clone());
    }
    groups.into_values().collect()
}
