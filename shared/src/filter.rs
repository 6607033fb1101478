//! Narrowing a list: `st:down,drain svc:web* !198.51.100.7 act:>10k for:>5m`.
//!
//! A space means *and*, a comma *or*, `!` *not*. A bare word is part of a name or an address. After a comma the key of
//! the alternative before it goes on: `st:down,drain` is `st:down,st:drain`.

use crate::counters::ServerCounters;
use crate::duration;
use crate::event::Event;
use crate::glob::Glob;
use crate::names::{ServiceKey, VirtualKey};
use crate::problems;
use crate::request::{Refusal, RefusalCode};
use crate::state::{InstanceView, ObjectId, ServerView, ServiceView, Target};
use crate::text::escape;
use crate::units::Mono;
use crate::view::View;
use std::time::Duration;

/// A compiled filter. The empty one lets everything pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    all: Vec<Vec<Condition>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    not: bool,
    test: Test,
}

impl Condition {
    fn drifts(&self) -> bool {
        matches!(
            self.test,
            Test::Number(Key::Active | Key::PerSecond, ..) | Test::Age(..)
        )
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Bare(String),
    Text(Key, Glob),
    Number(Key, Compare, f64),
    Age(Compare, Duration),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Key {
    State,
    Service,
    Server,
    Vip,
    Instance,
    Weight,
    Active,
    PerSecond,
    Check,
    Why,
    Override,
    For,
}

const KEYS: [(&str, Key); 12] = [
    ("st", Key::State),
    ("svc", Key::Service),
    ("rs", Key::Server),
    ("vip", Key::Vip),
    ("vrrp", Key::Instance),
    ("w", Key::Weight),
    ("act", Key::Active),
    ("cps", Key::PerSecond),
    ("chk", Key::Check),
    ("why", Key::Why),
    ("ov", Key::Override),
    ("for", Key::For),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compare {
    Equal,
    Above,
    Below,
}

impl Compare {
    fn holds<T: PartialOrd>(self, value: T, limit: T) -> bool {
        match self {
            Self::Equal => value == limit,
            Self::Above => value > limit,
            Self::Below => value < limit,
        }
    }
}

/// What a filter asks of a server's counters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    pub active: u64,
    pub connections_per_s: u64,
}

impl From<&ServerCounters> for Load {
    fn from(counters: &ServerCounters) -> Self {
        Self {
            active: counters.active,
            connections_per_s: counters.connections_per_s,
        }
    }
}

/// One row of a list.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    Instance(&'a InstanceView),
    Service(&'a ServiceView),
    Server(&'a ServerView),
    /// By what it tells: its object's names, the state it led to, its words.
    Event(&'a Event),
}

impl Filter {
    /// Reads a filter.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let all = text
            .split_whitespace()
            .map(alternatives)
            .collect::<Result<_, _>>()?;
        Ok(Self { all })
    }

    /// Whether a row passes.
    pub fn passes(&self, view: &View<'_>, item: Item<'_>) -> bool {
        self.all.iter().all(|any| {
            any.iter()
                .any(|condition| holds(&condition.test, view, item) != condition.not)
        })
    }

    /// Whether a server passes whose counters are at hand.
    pub fn passes_server(&self, view: &View<'_>, server: &ServerView, load: Option<Load>) -> bool {
        let holds = |test: &Test| match (test, load) {
            (Test::Number(Key::Active, compare, limit), Some(it)) => compare.holds(it.active as f64, *limit),
            (Test::Number(Key::PerSecond, compare, limit), Some(it)) => {
                compare.holds(it.connections_per_s as f64, *limit)
            }
            (Test::Number(Key::Active | Key::PerSecond, ..), None) => false,
            (test, _) => holds(test, view, Item::Server(server)),
        };
        self.all.iter().all(|any| {
            any.iter()
                .any(|condition| holds(&condition.test) != condition.not)
        })
    }

    /// Whether what passes may change while the state does not: with counters, or with time.
    pub fn drifts(&self) -> bool {
        self.all.iter().flatten().any(Condition::drifts)
    }

    /// Whether what passes is chosen by counters.
    pub fn counts(&self) -> bool {
        let mut conditions = self.all.iter().flatten();
        conditions.any(|it| matches!(it.test, Test::Number(Key::Active | Key::PerSecond, ..)))
    }

    /// Whether what passes may change with time alone.
    pub fn ages(&self) -> bool {
        let mut conditions = self.all.iter().flatten();
        conditions.any(|it| matches!(it.test, Test::Age(..)))
    }

    /// Two filters that let pass together what this one does: one by the state alone, and the one that [drifts].
    ///
    /// [drifts]: Self::drifts
    pub fn parts(&self) -> (Self, Self) {
        let (drifting, steady) = self
            .all
            .iter()
            .cloned()
            .partition(|any: &Vec<Condition>| any.iter().any(Condition::drifts));
        (Self { all: steady }, Self { all: drifting })
    }

    /// Whether everything passes.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

fn alternatives(word: &str) -> Result<Vec<Condition>, Refusal> {
    let mut key = None;
    let mut not = false;
    word.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (own_not, part) = match part.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, part),
            };
            let named = part
                .split_once(':')
                .filter(|(name, _)| name.chars().all(|c| c.is_ascii_alphabetic()) && !name.is_empty());
            let value = match named {
                Some((name, value)) => {
                    key = Some(key_of(name)?);
                    not = own_not;
                    value
                }
                None => part,
            };
            Ok(Condition {
                not: own_not || (named.is_none() && key.is_some() && not),
                test: test(key, value)?,
            })
        })
        .collect()
}

fn bad(message: String) -> Refusal {
    Refusal::new(
        RefusalCode::BadSelector,
        message,
        "keys are st svc rs vip vrrp w act cps chk why ov for; see lbctl help servers",
    )
}

fn key_of(name: &str) -> Result<Key, Refusal> {
    KEYS.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, key)| *key)
        .ok_or_else(|| bad(format!("filter: unknown key '{}:'", escape(name))))
}

fn test(key: Option<Key>, value: &str) -> Result<Test, Refusal> {
    let Some(key) = key else {
        return Ok(Test::Bare(value.to_lowercase()));
    };
    let (compare, rest) = match value.split_at_checked(1) {
        Some((">", rest)) => (Compare::Above, rest),
        Some(("<", rest)) => (Compare::Below, rest),
        _ => (Compare::Equal, value),
    };
    match key {
        Key::Weight | Key::Active | Key::PerSecond => number(rest)
            .map(|number| Test::Number(key, compare, number))
            .ok_or_else(|| bad(format!("filter: '{}' is no number", escape(rest)))),
        Key::For => match duration::parse(rest) {
            Ok(span) => Ok(Test::Age(compare, span)),
            Err(error) => Err(Refusal::new(
                RefusalCode::BadDuration,
                format!("filter: {error}"),
                "",
            )),
        },
        Key::State | Key::Check | Key::Override => Ok(Test::Text(key, Glob::new(&value.to_lowercase()))),
        Key::Service | Key::Server | Key::Vip | Key::Instance => Ok(Test::Text(key, Glob::new(value))),
        Key::Why => {
            // Reasons are matched with their slashes blank: a pattern would stop at them.
            let value = value.to_lowercase().replace("/", " ");
            Ok(Test::Text(key, Glob::new(&format!("*{value}*"))))
        }
    }
}

fn number(text: &str) -> Option<f64> {
    let (digits, factor) = match text.char_indices().last()? {
        (at, 'k') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some(number * factor)
}

fn holds(test: &Test, view: &View<'_>, item: Item<'_>) -> bool {
    match test {
        Test::Bare(part) => names(view, item)
            .iter()
            .any(|name| name.to_lowercase().contains(part)),
        Test::Text(key, glob) => texts(*key, view, item).iter().any(|text| glob.matches(text)),
        Test::Number(key, compare, limit) => {
            value(*key, view, item).is_some_and(|value| compare.holds(value, *limit))
        }
        Test::Age(compare, limit) => compare.holds(view.age(since(item)), *limit),
    }
}

fn names(view: &View<'_>, item: Item<'_>) -> Vec<String> {
    match item {
        Item::Instance(it) => {
            let mut names = vec![it.name.0.clone()];
            names.extend(it.interface.clone());
            names.extend(it.group.as_ref().map(|group| group.0.clone()));
            names.extend(it.addresses.iter().cloned());
            names.extend(it.master.as_ref().map(|master| view.peer_text(master.address)));
            names
        }
        Item::Service(it) => vec![view.service_name(&it.key), it.key.to_string()],
        Item::Server(it) => vec![view.server_name(&it.id), it.id.to_string()],
        Item::Event(it) => vec![
            view.object_name(&it.object),
            it.object.to_string(),
            it.text.clone(),
        ],
    }
}

/// The object an event is about; an override stands for its target.
fn object_of(event: &Event) -> ObjectId {
    match &event.object {
        ObjectId::Override(Target::Server(id)) => ObjectId::Server(id.clone()),
        ObjectId::Override(Target::Instance(name)) => ObjectId::Instance(name.clone()),
        object => object.clone(),
    }
}

fn texts_of_event(key: Key, view: &View<'_>, it: &Event) -> Vec<String> {
    match (key, object_of(it)) {
        (Key::State, _) => {
            let to = it.text.split_once(" -> ").map_or("", |(_, to)| to);
            vec![to.split([':', ' ']).next().unwrap_or_default().to_lowercase()]
        }
        (Key::Why, _) => {
            let why = it.why.as_deref().unwrap_or_default();
            vec![format!("{} {why}", it.text).to_lowercase().replace('/', " ")]
        }
        (Key::Service, ObjectId::Service(key)) => service_names(view, &key),
        (Key::Service, ObjectId::Server(id)) => service_names(view, &id.service),
        (Key::Server, ObjectId::Server(id)) => vec![id.server.to_string(), id.server.address.to_string()],
        (Key::Vip, ObjectId::Service(key)) => vips(view, &key),
        (Key::Vip, ObjectId::Server(id)) => vips(view, &id.service),
        (Key::Instance, ObjectId::Instance(name)) => vec![name.0],
        (Key::Instance, ObjectId::Service(key)) => instance_of(view, &key),
        (Key::Instance, ObjectId::Server(id)) => instance_of(view, &id.service),
        _ => Vec::new(),
    }
}

fn texts(key: Key, view: &View<'_>, item: Item<'_>) -> Vec<String> {
    match (key, item) {
        (key, Item::Event(it)) => texts_of_event(key, view, it),
        (Key::State, Item::Instance(it)) => vec![problems::instance_word(it).to_lowercase()],
        (Key::State, Item::Service(it)) => vec![it.state.word().to_lowercase()],
        (Key::State, Item::Server(it)) => vec![it.word().to_lowercase()],
        (Key::Service, Item::Service(it)) => service_names(view, &it.key),
        (Key::Service, Item::Server(it)) => service_names(view, &it.id.service),
        (Key::Server, Item::Server(it)) => vec![it.id.server.to_string(), it.id.server.address.to_string()],
        (Key::Vip, Item::Service(it)) => vips(view, &it.key),
        (Key::Vip, Item::Server(it)) => vips(view, &it.id.service),
        (Key::Vip, Item::Instance(it)) => it
            .addresses
            .iter()
            .filter_map(|text| text.split(['/', ' ']).next())
            .map(ToOwned::to_owned)
            .collect(),
        (Key::Instance, Item::Instance(it)) => vec![it.name.0.clone()],
        (Key::Instance, Item::Service(it)) => instance_of(view, &it.key),
        (Key::Instance, Item::Server(it)) => instance_of(view, &it.id.service),
        (Key::Check, Item::Server(it)) => it
            .checks
            .iter()
            .flat_map(|check| {
                let kind = check.kind.to_lowercase();
                // `chk:http` finds HTTP_GET, `chk:tcp` TCP_CHECK.
                let short = kind.split('_').next().unwrap_or_default().to_owned();
                [kind, short]
            })
            .collect(),
        (Key::Why, Item::Server(it)) => vec![problems::server_reason(it).to_lowercase().replace('/', " ")],
        (Key::Why, Item::Instance(it)) => {
            vec![
                format!("{} {}", it.why, problems::instance_reason(it))
                    .to_lowercase()
                    .replace('/', " "),
            ]
        }
        (Key::Override, Item::Server(it)) => vec![word(view.server_override(&it.id))],
        (Key::Override, Item::Instance(it)) => vec![word(view.instance_override(&it.name))],
        _ => Vec::new(),
    }
}

fn word(change: Option<&crate::state::Override>) -> String {
    change.map_or("none", |change| change.kind.word()).to_owned()
}

fn service_names(view: &View<'_>, key: &ServiceKey) -> Vec<String> {
    vec![view.service_name(key), key.to_string()]
}

fn vips(view: &View<'_>, key: &ServiceKey) -> Vec<String> {
    let address = |key: &VirtualKey| match key {
        VirtualKey::Address { address, .. } => Some(address.to_string()),
        VirtualKey::Fwmark { .. } => None,
    };
    match (view.state.services.get(key), key) {
        (Some(service), _) if !service.entries.is_empty() => {
            service.entries.iter().filter_map(address).collect()
        }
        (_, ServiceKey::Single(key)) => address(key).into_iter().collect(),
        (_, ServiceKey::Group { .. }) => Vec::new(),
    }
}

fn instance_of(view: &View<'_>, key: &ServiceKey) -> Vec<String> {
    let service = view.state.services.get(key);
    service
        .and_then(|service| service.instance.as_ref())
        .map(|name| name.0.clone())
        .into_iter()
        .collect()
}

fn value(key: Key, view: &View<'_>, item: Item<'_>) -> Option<f64> {
    let number = match (key, item) {
        (Key::Weight, Item::Server(it)) => u64::from(it.effective?.get()),
        (Key::Weight, Item::Service(it)) => it.live_weight,
        (Key::Active, Item::Server(it)) => view.server_counters(&it.id)?.active,
        (Key::Active, Item::Service(it)) => view.service_totals(&it.key)?.active,
        (Key::PerSecond, Item::Server(it)) => view.server_counters(&it.id)?.connections_per_s,
        (Key::PerSecond, Item::Service(it)) => view.service_totals(&it.key)?.connections_per_s,
        _ => return None,
    };
    Some(number as f64)
}

fn since(item: Item<'_>) -> Mono {
    match item {
        Item::Instance(it) => it.since,
        Item::Service(it) => it.since,
        Item::Server(it) => it.since,
        Item::Event(it) => it.at,
    }
}

#[cfg(test)]
mod tests;
