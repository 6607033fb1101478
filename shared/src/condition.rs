//! Questions about the state with a yes or no: `master VI_int`, `drained web/198.51.100.24`, `ready`.

use crate::excerpt::{ExcerptAsk, Scope};
use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::problems;
use crate::request::{Act, Refusal, RefusalCode, Verb};
use crate::select;
use crate::state::{Admin, Health, ServiceState, Target, VrrpState};
use crate::view::View;

/// Every condition there is.
pub const WORDS: [&str; 9] = [
    "up", "ready", "master", "backup", "released", "drained", "enabled", "disabled", "healthy",
];

/// A question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The agent answers.
    Up,
    /// Its configuration is loaded, no instance is starting and every check has a result.
    Ready,
    Master(Vec<InstanceName>),
    Backup(Vec<InstanceName>),
    /// No pin is left.
    Released(Vec<InstanceName>),
    Drained(Vec<ServerId>),
    /// In rotation, or kept out by nothing but its checks.
    Enabled(Vec<ServerId>),
    Disabled(Vec<ServerId>),
    Healthy(Vec<ServiceKey>),
}

/// The answer, and what it rests on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    pub holds: bool,
    pub reason: String,
}

impl Condition {
    /// Reads a condition and finds its targets.
    pub fn parse(word: &str, targets: &[String], view: &View<'_>) -> Result<Self, Refusal> {
        let condition = match word {
            "up" => Self::Up,
            "ready" => Self::Ready,
            "master" => Self::Master(select::instances(view, targets)?),
            "backup" => Self::Backup(select::instances(view, targets)?),
            "released" => Self::Released(select::instances(view, targets)?),
            "drained" => Self::Drained(select::servers(view, targets, true)?),
            "enabled" => Self::Enabled(select::servers(view, targets, true)?),
            "disabled" => Self::Disabled(select::servers(view, targets, true)?),
            "healthy" => Self::Healthy(select::services(view, targets)?),
            other => {
                return Err(Refusal::new(
                    RefusalCode::BadRequest,
                    format!("there is no condition '{}'", crate::text::escape(other)),
                    format!("conditions are {}", WORDS.join(", ")),
                ));
            }
        };
        if condition.is_about_nothing() {
            return Err(if targets.is_empty() {
                Refusal::new(
                    RefusalCode::BadRequest,
                    format!("{word} needs a target"),
                    format!("such as {word} NAME"),
                )
            } else {
                Refusal::new(RefusalCode::NotFound, "nothing matches these targets", "")
            });
        }
        Ok(condition)
    }

    /// What it takes to read a condition of these words.
    pub fn words(word: &str, targets: &[String]) -> ExcerptAsk {
        let scope = match word {
            "master" | "backup" | "released" => Scope::Instances,
            "drained" | "enabled" | "disabled" => Scope::Servers,
            "healthy" => Scope::Services,
            "ready" => return ExcerptAsk::all(Scope::Status),
            _ => return ExcerptAsk::agent(),
        };
        ExcerptAsk::of(scope, targets)
    }

    /// What it takes to judge it. Of an object that is gone by then, the question is refused.
    pub fn ask(&self) -> ExcerptAsk {
        match self {
            Self::Up => ExcerptAsk::agent(),
            Self::Ready => ExcerptAsk::all(Scope::Status),
            Self::Master(_) | Self::Backup(_) | Self::Released(_) => ExcerptAsk::all(Scope::Instances),
            Self::Drained(ids) | Self::Enabled(ids) | Self::Disabled(ids) => ExcerptAsk::servers(ids),
            Self::Healthy(keys) => {
                let targets: Vec<String> = keys.iter().map(|key| format!("vs:{key}")).collect();
                ExcerptAsk::of(Scope::Services, &targets)
            }
        }
    }

    fn is_about_nothing(&self) -> bool {
        match self {
            Self::Up | Self::Ready => false,
            Self::Master(names) | Self::Backup(names) | Self::Released(names) => names.is_empty(),
            Self::Drained(ids) | Self::Enabled(ids) | Self::Disabled(ids) => ids.is_empty(),
            Self::Healthy(keys) => keys.is_empty(),
        }
    }

    /// What an act leads to; `None` for what is done once it is answered.
    pub fn after(act: &Act) -> Option<Self> {
        let servers = || {
            let ids = act.targets.iter().filter_map(|target| match target {
                Target::Server(id) => Some(id.clone()),
                Target::Instance(_) => None,
            });
            ids.collect()
        };
        let instances = || {
            let names = act.targets.iter().filter_map(|target| match target {
                Target::Instance(name) => Some(name.clone()),
                Target::Server(_) => None,
            });
            names.collect()
        };
        match act.verb {
            Verb::Drain { .. } => Some(Self::Drained(servers())),
            Verb::Undrain | Verb::Ramp { .. } => Some(Self::Enabled(servers())),
            Verb::Disable { .. } => Some(Self::Disabled(servers())),
            Verb::Weight(_) | Verb::Undo => None,
            Verb::Promote { .. } => Some(Self::Master(instances())),
            Verb::Demote { .. } => Some(Self::Backup(instances())),
            Verb::Release => Some(Self::Released(instances())),
        }
    }

    /// Whether it holds; the reason names the first object that decides.
    pub fn verdict(&self, view: &View<'_>) -> Verdict {
        match self {
            Self::Up => yes("the agent answers".into()),
            Self::Ready => ready(view),
            Self::Master(names) => instances(view, names, "master", |state| state == VrrpState::Master),
            Self::Backup(names) => instances(view, names, "backup", |state| {
                matches!(state, VrrpState::Backup | VrrpState::Fault)
            }),
            Self::Released(names) => every(names, "released", |name| {
                let pin = view.state.instances.get(name)?.pin;
                Some((
                    pin.is_none(),
                    format!("{name} is {}", if pin.is_none() { "free" } else { "pinned" }),
                ))
            }),
            Self::Drained(ids) => servers(view, ids, "drained", |admin| admin == Admin::Drained),
            Self::Enabled(ids) => servers(view, ids, "enabled", |admin| admin == Admin::Enabled),
            Self::Disabled(ids) => servers(view, ids, "disabled", |admin| admin == Admin::Disabled),
            Self::Healthy(keys) => every(keys, "healthy", |key| {
                let service = view.state.services.get(key)?;
                let (up, all) = view.up_of(key);
                Some((
                    service.state == ServiceState::Up,
                    format!(
                        "{} is {}, {up} of {all} servers up",
                        view.service_name(key),
                        service.state.word()
                    ),
                ))
            }),
        }
    }
}

fn yes(reason: String) -> Verdict {
    Verdict { holds: true, reason }
}

fn no(reason: String) -> Verdict {
    Verdict { holds: false, reason }
}

fn ready(view: &View<'_>) -> Verdict {
    let state = view.state;
    if state.agent.config.revision == 0 {
        return no("no configuration is loaded".into());
    }
    if state.agent.stopping {
        return no("the agent is stopping".into());
    }
    if let Some(it) = state.instances.values().find(|it| it.state == VrrpState::Init) {
        return no(format!("{} is INIT", it.name));
    }
    if let Some(it) = state.servers.values().find(|it| it.health == Health::Init) {
        return no(format!("{} has no check result yet", view.server_name(&it.id)));
    }
    yes(format!(
        "configuration r{} is in force",
        state.agent.config.revision
    ))
}

/// All of them, the first that does not giving the reason.
fn every<T>(items: &[T], word: &str, look: impl Fn(&T) -> Option<(bool, String)>) -> Verdict {
    let mut last = String::new();
    for item in items {
        match look(item) {
            None => return no("it is not in the configuration any more".into()),
            Some((false, reason)) => return no(reason),
            Some((true, reason)) => last = reason,
        }
    }
    yes(if items.len() > 1 {
        format!("all {} are {word}", items.len())
    } else {
        last
    })
}

fn instances(
    view: &View<'_>,
    names: &[InstanceName],
    word: &str,
    good: impl Fn(VrrpState) -> bool,
) -> Verdict {
    every(names, word, |name| {
        let it = view.state.instances.get(name)?;
        Some((
            good(it.state),
            format!("{name} is {}", problems::instance_word(it)),
        ))
    })
}

fn servers(view: &View<'_>, ids: &[ServerId], word: &str, good: impl Fn(Admin) -> bool) -> Verdict {
    every(ids, word, |id| {
        let it = view.state.servers.get(id)?;
        Some((
            good(it.admin),
            format!("{} is {}", view.server_name(id), it.word()),
        ))
    })
}
