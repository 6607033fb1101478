//! How much the agent writes into its log, and changing that while it runs.

use crate::text::escape;
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
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum LogChange {
    /// Nothing: only say what it is.
    Show,
    /// This level, for so many milliseconds.
    To { level: LogLevel, for_ms: u64 },
    /// As the agent was started.
    Default,
}

impl LogChange {
    /// Reads a level or `default`; without a word it is a question.
    pub fn parse(word: Option<&str>, lasts: Option<Duration>) -> Result<Self, String> {
        let Some(word) = word else {
            return Ok(Self::Show);
        };
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

/// The request: a change, or what it would do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
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
}

impl LogView {
    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "dry_run": self.dry_run,
            "level": self.level,
            "default": self.default,
            "left_s": self.left_ms.map(|ms| ms.div_ceil(1_000)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
