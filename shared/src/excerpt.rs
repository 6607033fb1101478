//! A part of the state: as much as it takes to show one thing, so that a question about one server among many thousand
//! costs what that server costs.
//!
//! An [`Excerpt`] is shown by the same functions as the whole: what they would add up over objects that are left out
//! comes along as [`Sums`]. A long list comes in several excerpts, so that neither side ever holds all of it.

mod chosen;
mod part;

use crate::counters::Counters;
use crate::filter::{Filter, Item};
use crate::history::ServerWord;
use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::problems;
use crate::request::{Refusal, Snapshot};
use crate::select;
use crate::state::{ObjectId, ServerView, ServiceState, State};
use crate::view::{Totals, View};
pub use chosen::Chosen;
use part::Part;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many objects of a list travel together.
pub const OBJECTS_AT_ONCE: usize = 1_000;
/// How many do at first, for an eye that waits.
pub const OBJECTS_AT_FIRST: usize = 200;
/// How many services a first screen has room for.
const SERVICES_ON_SCREEN: usize = 40;

/// What is to be shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Scope {
    /// What is wrong, overrides, totals; of all, or of what the targets stand for.
    Status,
    Instances,
    Services,
    Servers,
    /// Everything about the targets and about what they depend on.
    Objects,
    /// The servers somebody wants to change: a service's name alone means none of them.
    Meant,
    /// What a dashboard shows first: as [`Scope::Status`], and the first services; no targets.
    Screen,
}

/// A question for a part of the state.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ExcerptAsk {
    pub scope: Scope,
    /// As people type them; none stand for all of a list.
    pub targets: Vec<String>,
    pub filter: String,
    /// As it was then, in Unix time in milliseconds; `None`: now.
    pub at_wall_ms: Option<u64>,
}

impl ExcerptAsk {
    /// All there is of a scope, as it is now.
    pub fn all(scope: Scope) -> Self {
        Self {
            scope,
            targets: Vec::new(),
            filter: String::new(),
            at_wall_ms: None,
        }
    }

    /// Whether nothing but the agent itself is told: what needs no counters, of which there may be very many.
    pub fn is_of_agent_alone(&self) -> bool {
        self.scope == Scope::Objects && self.targets.is_empty()
    }

    /// What these words select, as it is now. No words select nothing, and tell of the agent alone.
    pub fn of(scope: Scope, targets: &[String]) -> Self {
        Self {
            targets: targets.to_vec(),
            ..Self::all(if targets.is_empty() { Scope::Objects } else { scope })
        }
    }

    /// The agent without its objects.
    pub fn agent() -> Self {
        Self::all(Scope::Objects)
    }

    /// These servers, whatever services they belong to.
    pub fn servers<'a>(ids: impl IntoIterator<Item = &'a ServerId>) -> Self {
        let targets: Vec<String> = ids.into_iter().map(|id| format!("rs:{id}")).collect();
        Self::of(Scope::Meant, &targets)
    }
}

/// A part of the state at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Excerpt {
    /// Its state holds only what belongs to the question.
    pub snapshot: Snapshot,
    /// Of the objects in it; `None` while the agent has none.
    pub counters: Option<Counters>,
    pub sums: Sums,
    /// Further excerpts of the same answer follow.
    pub more: bool,
}

impl Excerpt {
    /// Takes in the next piece of the same answer. What both have is as that one tells it.
    pub fn join(&mut self, next: Self) {
        let Self {
            snapshot,
            counters,
            sums,
            more,
        } = next;
        let state = snapshot.state;
        let own = &mut self.snapshot.state;
        own.agent = state.agent;
        own.instances.extend(state.instances);
        own.groups.extend(state.groups);
        own.trackers.extend(state.trackers);
        own.services.extend(state.services);
        own.servers.extend(state.servers);
        own.overrides.extend(state.overrides);
        self.snapshot.seq = snapshot.seq;
        self.snapshot.now = snapshot.now;
        self.snapshot.wall_ms = snapshot.wall_ms;
        match (&mut self.counters, counters) {
            (Some(own), Some(next)) => {
                own.instances.extend(next.instances);
                own.servers.extend(next.servers);
                own.checks.extend(next.checks);
            }
            (own @ None, next) => *own = next,
            (Some(_), None) => {}
        }
        self.sums.of_services.extend(sums.of_services);
        self.sums.shared_names.extend(sums.shared_names);
        self.more = more;
    }
}

/// What an excerpt has to know of the objects that are not in it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Over the servers of services.
    pub of_services: BTreeMap<ServiceKey, ServiceSum>,
    /// Over everything; only for [`Scope::Status`].
    pub all: Option<AllSums>,
    /// Names in the excerpt that a service outside of it has too.
    pub shared_names: BTreeSet<String>,
    /// The whole list, of which this is a part, has servers of one service only.
    pub one_service: bool,
    /// Characters of the longest server's name in the whole list.
    pub longest: u32,
}

/// The servers of a service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServiceSum {
    pub up: u64,
    pub all: u64,
    /// `None` without counters.
    pub totals: Option<Totals>,
}

/// Everything there is.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct AllSums {
    pub services: Vec<(ServiceState, u64)>,
    pub servers: Vec<(ServerWord, u64)>,
    /// `None` without counters.
    pub totals: Option<Totals>,
}

/// An answer that is given in pieces: what was found at the beginning, of which each piece tells as it is by then.
#[derive(Clone, Debug)]
pub struct Reading {
    found: Found,
    told: usize,
    one_service: bool,
    longest: u32,
}

#[derive(Clone, Debug)]
enum Found {
    Status(Option<Chosen>),
    Screen,
    Instances(Vec<InstanceName>),
    Services(Vec<ServiceKey>),
    Servers(Vec<ServerId>),
    /// Every server there is, by service in the order of the list; after the last one told.
    AllServers {
        services: VecDeque<ServiceKey>,
        last: Option<ServerId>,
    },
    Objects(Vec<ObjectId>),
}

impl Reading {
    /// Finds what is asked for.
    pub fn new(view: &View<'_>, ask: &ExcerptAsk) -> Result<Self, Refusal> {
        let filter = Filter::parse(&ask.filter)?;
        let targets = &ask.targets;
        let all = targets.is_empty();
        let found = match ask.scope {
            Scope::Status => Found::Status(Chosen::new(view, targets)?),
            Scope::Screen => Found::Screen,
            Scope::Objects => Found::Objects(select::objects(view, targets)?),
            Scope::Instances => {
                let chosen: BTreeSet<_> = select::instances(view, targets)?.into_iter().collect();
                let rows = view.state.instances.values();
                let rows = rows.filter(|it| all || chosen.contains(&it.name));
                let rows = rows.filter(|it| filter.passes(view, Item::Instance(it)));
                Found::Instances(rows.map(|it| it.name.clone()).collect())
            }
            Scope::Services => {
                let chosen: BTreeSet<_> = select::services(view, targets)?.into_iter().collect();
                let rows = view.services().into_iter();
                let rows = rows.filter(|it| all || chosen.contains(&it.key));
                let rows = rows.filter(|it| filter.passes(view, Item::Service(it)));
                Found::Services(rows.map(|it| it.key.clone()).collect())
            }
            Scope::Servers | Scope::Meant => {
                // In the order of the list, without looking at all of them for a few, and without a second list of all.
                let state = view.state;
                let rows: Vec<&ServerView> = if all && ask.filter.is_empty() {
                    return Ok(Self::of_all_servers(view));
                } else if all {
                    view.servers().collect()
                } else {
                    let chosen = select::servers(view, targets, ask.scope == Scope::Servers)?;
                    let mut rows: Vec<_> = chosen.iter().filter_map(|id| state.servers.get(id)).collect();
                    rows.sort_by_key(|it| state.services.get(&it.id.service).map(|service| service.order));
                    rows.into_iter().map(|it| &**it).collect()
                };
                let rows = rows
                    .into_iter()
                    .filter(|it| filter.passes(view, Item::Server(it)));
                Found::Servers(rows.map(|it| it.id.clone()).collect())
            }
        };
        let (one_service, longest) = match &found {
            Found::Servers(ids) => (
                ids.windows(2).all(|pair| pair[0].service == pair[1].service),
                longest_name(view, ids),
            ),
            _ => (false, 0),
        };
        Ok(Self {
            found,
            told: 0,
            one_service,
            longest,
        })
    }

    fn of_all_servers(view: &View<'_>) -> Self {
        let mut services: Vec<_> = view.state.services.values().collect();
        services.sort_by_key(|it| it.order);
        let mut kinds = view.state.servers.keys().map(|id| &id.service);
        let first = kinds.next();
        Self {
            told: 0,
            one_service: kinds.all(|it| Some(it) == first),
            longest: longest_name(view, view.state.servers.keys()),
            found: Found::AllServers {
                services: services.into_iter().map(|it| it.key.clone()).collect(),
                last: None,
            },
        }
    }

    /// How many objects the list has; `None` while they are not listed.
    fn len(&self) -> Option<usize> {
        Some(match &self.found {
            Found::Status(_) | Found::Screen => 0,
            Found::Instances(list) => list.len(),
            Found::Services(list) => list.len(),
            Found::Servers(list) => list.len(),
            Found::AllServers { .. } => return None,
            Found::Objects(list) => list.len(),
        })
    }

    /// The next piece, of what is in `view` by now. The last one says so; do not ask after it.
    pub fn next(&mut self, view: &View<'_>, seq: u64) -> Excerpt {
        let state = view.state;
        let mut part = Part::new(view);
        let from = self.told;
        let count = if from == 0 {
            OBJECTS_AT_FIRST
        } else {
            OBJECTS_AT_ONCE
        };
        let end = from.saturating_add(count);
        let len = self.len().unwrap_or(usize::MAX);
        let range = from..len.min(end);
        let mut more = range.end < len;
        match &mut self.found {
            Found::Status(of) => part.status(of.as_ref()),
            Found::Screen => {
                part.status(None);
                let first = view.services().into_iter().take(SERVICES_ON_SCREEN);
                first.for_each(|it| part.service(&it.key));
            }
            Found::Instances(list) => list[range.clone()].iter().for_each(|it| part.instance(it)),
            Found::Services(list) => list[range.clone()].iter().for_each(|it| part.service(it)),
            Found::Servers(list) => list[range.clone()].iter().for_each(|it| part.server(it)),
            Found::AllServers { services, last } => more = part.servers_after(services, last, count),
            Found::Objects(list) => {
                // What one depends on is needed beside it, so this is never divided.
                list.iter().for_each(|it| part.object(it));
                more = false;
            }
        }
        self.told = range.end;
        let Part {
            taken,
            counters,
            mut sums,
            ..
        } = part;
        sums.one_service = self.one_service;
        sums.longest = self.longest;
        sums.shared_names = view.shared_names(&taken);
        Excerpt {
            snapshot: Snapshot {
                seq,
                now: view.now,
                wall_ms: view.wall_ms,
                role: None,
                state: State {
                    agent: state.agent.clone(),
                    ..taken
                },
            },
            counters: view.counters.map(|all| Counters {
                at: all.at,
                check_lag_us: all.check_lag_us,
                ..counters
            }),
            sums,
            more,
        }
    }
}

/// Without one allocation for each of many thousand names.
fn longest_name<'a>(view: &View<'_>, ids: impl IntoIterator<Item = &'a ServerId>) -> u32 {
    let mut longest = 0;
    let mut service: Option<(&ServiceKey, usize)> = None;
    for id in ids {
        let width = match service {
            Some((key, width)) if *key == id.service => width,
            Some(_) | None => crate::text::width(&view.service_name(&id.service)),
        };
        service = Some((&id.service, width));
        longest = longest.max(width + 1 + address_width(id));
    }
    u32::try_from(longest).unwrap_or(u32::MAX)
}

/// The most that an address and a port can take.
fn address_width(id: &ServerId) -> usize {
    match id.server.address {
        std::net::IpAddr::V4(_) => "255.255.255.255:65535".len(),
        std::net::IpAddr::V6(_) => id.server.to_string().len(),
    }
}

/// The sums of [`AllSums`] by word, as [`problems`] tells them.
impl AllSums {
    pub(crate) fn service_tally(&self) -> problems::Tally {
        problems::tally_of(
            &problems::SERVICE_WORDS,
            self.services.iter().map(|(state, count)| (state.word(), *count)),
        )
    }

    pub(crate) fn server_tally(&self) -> problems::Tally {
        problems::tally_of(
            &problems::SERVER_WORDS,
            self.servers.iter().map(|(word, count)| (word.word(), *count)),
        )
    }
}

#[cfg(test)]
mod tests;
