//! How much the agent writes into its log, and changing that while it runs.

use crate::event::{Event, Level, What};
use crate::request::Refusal;
use crate::select;
use crate::state::{ObjectId, Target};
use crate::text::escape;
use crate::view::View;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// A change of the level ends by itself after this long, when nothing else is asked for.
pub const LASTS: Duration = Duration::from_mins(30);

/// From little to much; each level includes those before it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What is asked of the log.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum LogChange {
    /// Nothing: only say what it is.
    Show,
    /// This level, for so many milliseconds.
    To { level: LogLevel, for_ms: u64 },
    /// As the agent was started.
    Default,
    /// This level for the events of one object or topic, for so many milliseconds; `None`: as all others again.
    One {
        name: String,
        level: Option<LogLevel>,
        for_ms: u64,
    },
}

impl LogChange {
    /// Reads a level or `default`, or `NAME=` one of those; without a word it is a question.
    pub fn parse(word: Option<&str>, lasts: Option<Duration>) -> Result<Self, String> {
        let Some(word) = word else {
            return Ok(Self::Show);
        };
        if let Some((name, word)) = word.rsplit_once('=') {
            return Self::of_one(name, Some(word), lasts);
        }
        if word == "default" {
            return Ok(Self::Default);
        }
        let lasts = lasts.unwrap_or(LASTS);
        let level = LogLevel::ALL.into_iter().find(|it| it.word() == word);
        match level {
            Some(_) if lasts.is_zero() => Err("a level lasts longer than no time".to_owned()),
            Some(level) => Ok(Self::To {
                level,
                for_ms: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX),
            }),
            None => Err(format!(
                "'{}' is no level: error, warn, info, debug, trace or default",
                escape(word)
            )),
        }
    }
}

impl LogChange {
    /// The same for the events of one object or topic.
    pub fn of_one(name: &str, word: Option<&str>, lasts: Option<Duration>) -> Result<Self, String> {
        let name = name.to_owned();
        if name.is_empty() {
            return Err("the level of nothing: write NAME=LEVEL".to_owned());
        }
        match Self::parse(word.filter(|word| !word.contains('=')), lasts)? {
            Self::To { level, for_ms } => Ok(Self::One {
                name,
                level: Some(level),
                for_ms,
            }),
            Self::Default => Ok(Self::One {
                name,
                level: None,
                for_ms: 0,
            }),
            Self::Show | Self::One { .. } => Err(format!("{} needs a level", escape(&name))),
        }
    }
}

/// Whose events have a level of their own.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogOf {
    /// All of a topic: `vrrp`, `track`, `check`, `service`, `action`, …
    Topic(&'static str),
    /// A service stands for its servers, too, as far as they have none of their own.
    Object(ObjectId),
}

impl LogOf {
    /// What a name means: a topic, else the objects it selects.
    pub fn resolve(view: &View<'_>, name: &str) -> Result<Vec<Self>, Refusal> {
        let topic = What::ALL
            .iter()
            .map(|what| what.topic())
            .find(|topic| *topic == name);
        if let Some(topic) = topic {
            return Ok(vec![Self::Topic(topic)]);
        }
        let objects = select::objects(view, &[name.to_owned()])?;
        Ok(objects.into_iter().map(Self::Object).collect())
    }

    /// How closely an event is meant; `None`: not at all.
    fn fits(&self, event: &Event) -> Option<u8> {
        let object = match &event.object {
            ObjectId::Override(Target::Server(id)) => &ObjectId::Server(id.clone()),
            ObjectId::Override(Target::Instance(name)) => &ObjectId::Instance(name.clone()),
            object => object,
        };
        match (self, object) {
            (Self::Topic(topic), _) => (event.what.topic() == *topic).then_some(0),
            (Self::Object(own), object) if own == object => Some(2),
            (Self::Object(ObjectId::Service(key)), ObjectId::Server(id)) => (id.service == *key).then_some(1),
            (Self::Object(_), _) => None,
        }
    }
}

/// Whether an event is logged, where something says so of it: the closest counts, of two that are as close the louder.
/// `None`: as all others.
pub fn wanted(rules: &[(LogOf, LogLevel)], event: &Event) -> Option<bool> {
    let level = match event.what.level() {
        Level::Debug => LogLevel::Debug,
        Level::Info | Level::Notice => LogLevel::Info,
        Level::Warning => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let fitting = rules
        .iter()
        .filter_map(|(of, limit)| Some((of.fits(event)?, *limit)));
    fitting.max().map(|(_, limit)| level <= limit)
}

/// The request: a change, or what it would do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogAsk {
    pub change: LogChange,
    pub dry_run: bool,
}

/// The log as it is now, or would be.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogView {
    pub dry_run: bool,
    /// The level in force: a word, or the filter the agent was started with.
    pub level: String,
    /// What it goes back to.
    pub default: String,
    /// In so many milliseconds; `None` when it is the default already.
    pub left_ms: Option<u64>,
    /// Objects and topics with levels of their own.
    pub ones: Vec<LogOne>,
}

/// One of them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogOne {
    /// As somebody named it.
    pub name: String,
    pub level: LogLevel,
    pub left_ms: u64,
}

impl LogView {
    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "dry_run": self.dry_run,
            "level": self.level,
            "default": self.default,
            "left_s": self.left_ms.map(|ms| ms.div_ceil(1_000)),
            "ones": self.ones.iter().map(|it| json!({
                "name": it.name, "level": it.level.word(), "left_s": it.left_ms.div_ceil(1_000),
            })).collect::<Value>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn words_become_changes_that_end() {
        assert_eq!(LogChange::parse(None, None), Ok(LogChange::Show));
        assert_eq!(LogChange::parse(Some("default"), None), Ok(LogChange::Default));
        let level = LogLevel::Debug;
        let for_ms = 1_800_000;
        assert_eq!(
            LogChange::parse(Some("debug"), None),
            Ok(LogChange::To { level, for_ms })
        );
        for (word, lasts) in [("Debug", None), ("", None), ("info", Some(Duration::ZERO))] {
            assert!(LogChange::parse(Some(word), lasts).is_err(), "{word:?}");
        }
    }

    #[test]
    fn a_name_before_the_level_is_whom_it_is_for() {
        let one = |name: &str, level, for_ms| LogChange::One {
            name: name.into(),
            level,
            for_ms,
        };
        assert_eq!(
            LogChange::parse(Some("VI_int=debug"), Some(Duration::from_secs(2))),
            Ok(one("VI_int", Some(LogLevel::Debug), 2_000))
        );
        assert_eq!(
            LogChange::parse(Some("check=default"), None),
            Ok(one("check", None, 0))
        );
        for word in ["=debug", "VI_int=", "VI_int=loud", "="] {
            assert!(LogChange::parse(Some(word), None).is_err(), "{word}");
        }
    }

    #[test]
    fn the_closest_rule_decides() {
        let demo = fixture::demo();
        let view = View::of(&demo.snapshot);
        let mut rules = Vec::new();
        let event = |what, object: &str| Event {
            what,
            object: select::objects(&view, &[object.to_owned()]).unwrap().remove(0),
            text: String::new(),
            why: None,
            actor: None,
            at: view.now,
            changes: Vec::new(),
        };
        let down = event(What::ServerDown, "web/198.51.100.25");
        let changed = event(What::ServerChanged, "web/198.51.100.25");
        let other = event(What::ServerChanged, "api/*");
        assert_eq!(wanted(&rules, &changed), None);
        for (name, level, want) in [
            ("check", LogLevel::Error, [Some(false), Some(false), Some(false)]),
            ("web", LogLevel::Info, [Some(true), Some(true), Some(false)]),
            (
                "web/198.51.100.25",
                LogLevel::Warn,
                [Some(true), Some(false), Some(false)],
            ),
        ] {
            let found = LogOf::resolve(&view, name).unwrap();
            rules.extend(found.into_iter().map(|of| (of, level)));
            assert_eq!(
                [&down, &changed, &other].map(|it| wanted(&rules, it)),
                want,
                "{name}"
            );
        }
        let override_of = Event {
            object: ObjectId::Override(Target::Server(match &down.object {
                ObjectId::Server(id) => id.clone(),
                other => panic!("{other}"),
            })),
            ..event(What::DrainStarted, "web/198.51.100.25")
        };
        assert_eq!(
            wanted(&rules, &override_of),
            Some(false),
            "a notice is quieter than a warning"
        );
        assert!(LogOf::resolve(&view, "nobody").is_err());
    }
}
