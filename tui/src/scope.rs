//! One change on several hosts: a part for each of them, and one question for all.

use crate::app::App;
use crate::dialog::{Dialog, Kind, Verdict};
use lb_shared::differences::Router;
use lb_shared::expect::{Expected, Facts};
use lb_shared::request::{Acted, Outcome, Refusal, Reloaded};
use lb_shared::state::{OverrideKind, State, Target, WeightSource};

/// What one host has to do with a change.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) seat: usize,
    pub(crate) host: String,
    pub(crate) targets: Vec<Target>,
    /// What the operator saw of the targets when the question was opened.
    pub(crate) seen: Vec<Expected>,
    /// Why this host cannot be asked.
    pub(crate) barred: Option<String>,
    /// The request whose answer is awaited.
    pub(crate) ticket: u64,
    /// What its agent said to the dry run; `None` until it did.
    pub(crate) answer: Option<Verdict>,
}

impl Part {
    pub(crate) fn of(seat: usize, host: String, state: &State, targets: Vec<Target>) -> Self {
        Self {
            seat,
            host,
            seen: targets
                .iter()
                .filter_map(|target| {
                    let facts = facts(state, target)?;
                    let target = target.clone();
                    Some(Expected { target, facts })
                })
                .collect(),
            targets,
            barred: None,
            ticket: 0,
            answer: None,
        }
    }

    fn barred(seat: usize, host: String, why: String) -> Self {
        Self {
            barred: Some(why),
            ..Self::of(seat, host, &State::default(), Vec::new())
        }
    }

    /// A target that is no longer what the operator saw, and what about it, after its name: `weight is 50 by now, not 100`.
    pub(crate) fn changed(&self, state: &State) -> Option<(&Target, String)> {
        self.seen.iter().find_map(|it| {
            let Some(now) = facts(state, &it.target) else {
                return Some((&it.target, "it is gone".into()));
            };
            let refusal = it.facts.hold("", &now).err()?;
            let text = refusal.message.trim_start_matches([':', ' ']).to_owned();
            Some((&it.target, text))
        })
    }

    /// Whether its agent would change something.
    pub(crate) fn has_work(&self) -> bool {
        match &self.answer {
            Some(Verdict::Effect(acted)) => acted
                .targets
                .iter()
                .any(|report| !matches!(report.outcome, Outcome::Skipped(_))),
            Some(Verdict::Plan(plan)) => !plan.changes.is_empty(),
            _ => false,
        }
    }
}

/// What there is to see of a target. A weight that moves by itself is not expected to stand still.
fn facts(state: &State, target: &Target) -> Option<Facts> {
    let change = state.overrides.get(target);
    match target {
        Target::Server(id) => {
            let it = state.servers.get(id)?;
            let mut facts = Facts::of_server(it, change);
            let rises = change.is_some_and(|it| matches!(it.kind, OverrideKind::Ramp { .. }));
            if rises || it.source == WeightSource::Dynamic {
                facts.weight = None;
            }
            Some(facts)
        }
        Target::Instance(name) => Some(Facts::of_instance(state.instances.get(name)?, change)),
    }
}

/// The parts of a change that is to be made on all hosts, as asked on the one at `at`. A host without the targets has
/// no part; one that cannot be asked has one that says so, and then nothing is done anywhere.
pub(crate) fn gather(seats: &[App], at: usize, dialog: &Dialog) -> Vec<Part> {
    let Some(front) = seats.get(at).and_then(App::live) else {
        return Vec::new();
    };
    seats
        .iter()
        .enumerate()
        .filter_map(|(nth, seat)| {
            let host = seat.name();
            if let Some(why) = seat.barred() {
                return Some(Part::barred(nth, host, why));
            }
            let state = &seat.live()?.state;
            let targets: Vec<Target> = dialog
                .targets
                .iter()
                .filter_map(|target| same(target, &front.state, state))
                .collect();
            (dialog.kind == Kind::Reload || !targets.is_empty()).then(|| Part::of(nth, host, state, targets))
        })
        .collect()
}

/// What is called `target` on one host, on another one: servers by their addresses, instances by their virtual router.
pub(crate) fn same(target: &Target, here: &State, there: &State) -> Option<Target> {
    match target {
        Target::Server(id) => there.servers.contains_key(id).then(|| Target::Server(id.clone())),
        Target::Instance(name) => {
            let router = Router::of(here.instances.get(name)?);
            let found = there.instances.values().find(|it| Router::of(it) == router)?;
            Some(Target::Instance(found.name.clone()))
        }
    }
}

/// What all hosts together said: the first that refuses speaks for all, since then nothing is done anywhere.
pub(crate) fn merge(parts: &[Part]) -> Verdict {
    if let [one] = parts
        && one.barred.is_none()
    {
        return one.answer.clone().unwrap_or(Verdict::Asking);
    }
    for part in parts {
        let host = &part.host;
        match (&part.barred, &part.answer) {
            (Some(why), _) => {
                return Verdict::Failed {
                    message: format!("{host}: {why}"),
                    hint: "a goes back to changing one host".into(),
                };
            }
            (None, Some(Verdict::Refused(refusal))) => {
                return Verdict::Refused(Refusal {
                    message: format!("{host}: {}", refusal.message),
                    ..refusal.clone()
                });
            }
            (None, Some(Verdict::Failed { message, hint })) => {
                return Verdict::Failed {
                    message: format!("{host}: {message}"),
                    hint: hint.clone(),
                };
            }
            (None, _) => {}
        }
    }
    let mut effect: Option<Acted> = None;
    let mut plan: Option<Reloaded> = None;
    for part in parts {
        match &part.answer {
            Some(Verdict::Effect(acted)) => add_effect(&mut effect, &part.host, acted),
            Some(Verdict::Plan(reloaded)) => add_plan(&mut plan, &part.host, reloaded),
            _ => return Verdict::Asking,
        }
    }
    match (effect, plan) {
        (Some(acted), _) => Verdict::Effect(acted),
        (None, Some(plan)) => Verdict::Plan(Box::new(plan)),
        (None, None) => Verdict::Failed {
            message: "no host has it".into(),
            hint: String::new(),
        },
    }
}

fn add_effect(all: &mut Option<Acted>, host: &str, acted: &Acted) {
    let all = all.get_or_insert_with(|| Acted {
        targets: Vec::new(),
        effects: Vec::new(),
        warnings: Vec::new(),
        ..acted.clone()
    });
    for report in &acted.targets {
        let mut report = report.clone();
        match &mut report.outcome {
            Outcome::Done => report.change = format!("{} on {host}", report.change),
            Outcome::Skipped(reason) | Outcome::Failed(reason) => *reason = format!("{reason} on {host}"),
        }
        all.targets.push(report);
    }
    let told = |text: &String| format!("{host}: {text}");
    all.effects.extend(acted.effects.iter().map(told));
    all.warnings.extend(acted.warnings.iter().map(told));
}

fn add_plan(all: &mut Option<Reloaded>, host: &str, plan: &Reloaded) {
    let all = all.get_or_insert_with(|| Reloaded {
        dry_run: plan.dry_run,
        revision: plan.revision,
        ..Reloaded::default()
    });
    let told = |text: &String| format!("{host}  {text}");
    all.changes.extend(plan.changes.iter().map(told));
    all.findings.extend(plan.findings.iter().cloned());
    all.moves.extend(plan.moves.iter().map(told));
}
