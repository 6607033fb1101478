//! What a command would do, target by target, and why it may not.

use super::Engine;
use super::input::Command;
use super::intent::{self, OVERRIDES_MAX};
use lb_shared::expect::{Expected, Facts};
use lb_shared::names::{InstanceName, ServerId};
use lb_shared::request::{Act, Acted, Outcome, Refusal, RefusalCode, TargetReport, Verb, WeightChange};
use lb_shared::state::{Health, Override, OverrideKind, Target};
use lb_shared::text;
use lb_shared::units::Weight;
use std::time::Duration;

/// Reason texts are cut to this many bytes.
const MESSAGE_MAX: usize = 256;
/// How long a weight may rise, in milliseconds.
const RAMP_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// What is to happen to one target: a new override, or the end of one.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) target: Target,
    pub(super) set: Option<Override>,
    pub(super) change: String,
}

impl Engine {
    /// What a command would do, or why it may not.
    pub(super) fn check(&self, command: &Command) -> Result<(Vec<Step>, Acted), Refusal> {
        if self.boot.is_some() || self.stopping.is_some() {
            return Err(Refusal::new(
                RefusalCode::Busy,
                "the agent is starting or stopping",
                "try again in a moment",
            ));
        }
        if command.act.verb == Verb::Undo {
            return self.check_undo(command);
        }
        self.expect(&command.expect)?;
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

    /// Refuses when what somebody saw is no longer so.
    fn expect(&self, expected: &[Expected]) -> Result<(), Refusal> {
        for Expected { target, facts } in expected {
            let change = self.intent.get(target);
            let now = match target {
                Target::Server(id) => {
                    let view = self.health.server_view(id);
                    view.map(|view| Facts::of_server(&view, change))
                }
                Target::Instance(name) => {
                    let view = self.routers.view(name);
                    view.map(|view| Facts::of_instance(&view, change))
                }
            };
            facts.hold(&target.to_string(), &now.unwrap_or_default())?;
        }
        Ok(())
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
            (
                Verb::Drain {
                    timeout_ms,
                    then,
                    inactive,
                },
                Target::Server(id),
            ) => match now.map(|it| it.kind) {
                Some(OverrideKind::Drain { .. }) => Err("already draining".to_owned()),
                Some(OverrideKind::Disable) => Err("already disabled".to_owned()),
                Some(OverrideKind::Weight(_) | OverrideKind::Pin(_) | OverrideKind::Ramp { .. }) | None => {
                    let (_, effective) = weight(id);
                    let change = format!("weight {} -> 0", word(effective));
                    let kind = OverrideKind::Drain { then, inactive };
                    Ok(self.set(target, kind, timeout_ms, command, change))
                }
            },
            (Verb::Undrain, Target::Server(id)) => match now.map(|it| it.kind) {
                Some(OverrideKind::Drain { .. } | OverrideKind::Disable | OverrideKind::Ramp { .. }) => {
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
            (Verb::Ramp { over_ms }, Target::Server(id)) => self.ramp_step(target, id, over_ms, command)?,
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
            // It has no targets: see `check_undo`.
            (Verb::Undo, _) => Err("undo takes no target".to_owned()),
            (
                Verb::Drain { .. }
                | Verb::Undrain
                | Verb::Ramp { .. }
                | Verb::Disable { .. }
                | Verb::Weight(_),
                Target::Instance(_),
            ) => {
                return Err(wrong("servers"));
            }
            (Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release, Target::Server(_)) => {
                return Err(wrong("instances"));
            }
        })
    }

    fn ramp_step(
        &self,
        target: &Target,
        id: &ServerId,
        over_ms: u64,
        command: &Command,
    ) -> Result<Result<Step, String>, Refusal> {
        if !RAMP_MS.contains(&over_ms) {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                "a ramp takes from one second to one day",
                "such as --ramp 60s; without it the whole weight comes at once",
            ));
        }
        Ok(match self.intent.get(target).map(|it| it.kind) {
            Some(OverrideKind::Drain { .. } | OverrideKind::Disable) => {
                let (configured, effective) = self.server_weights(id);
                let over = text::span(Duration::from_millis(over_ms));
                let change = if self.is_up(id) {
                    format!("weight {} -> {configured} over {over}", word(effective))
                } else {
                    "stays out until its check passes".to_owned()
                };
                Ok(self.set(
                    target,
                    OverrideKind::Ramp { over_ms },
                    Some(over_ms),
                    command,
                    change,
                ))
            }
            Some(OverrideKind::Ramp { .. }) => Err("its weight rises already".to_owned()),
            Some(OverrideKind::Weight(_) | OverrideKind::Pin(_)) | None => Err("not drained".to_owned()),
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

    pub(super) fn report(&self, target: Target, outcome: Outcome, change: String) -> TargetReport {
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

    pub(super) fn pin_change(&self, name: &InstanceName, pin: lb_shared::state::Pin) -> String {
        use lb_shared::state::Pin;
        let priority = self.routers.view(name).map_or(0, |view| view.effective_priority);
        let state = self.routers.view(name).map_or("INIT", |view| view.state.word());
        match pin {
            Pin::Promoted => format!("{state} -> MASTER, priority {priority} -> 254 until released"),
            Pin::Demoted => format!("{state} -> BACKUP, priority {priority} -> 1 until released"),
            Pin::DemotedHard => format!("{state} -> BACKUP, never MASTER until released"),
        }
    }
}

pub(super) fn word(weight: Option<Weight>) -> String {
    weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string())
}
