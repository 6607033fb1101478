//! The operations of the JSON dialect: arguments in, data out. The same requests as the binary dialect's underneath.

mod act;
mod fifo;
mod past;
mod read;
pub(super) mod rows;
pub(super) mod watch;

use super::session::Session;
use lb_shared::duration;
use lb_shared::expect::Facts;
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::text::escape;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A request of one line.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) op: String,
    pub(super) id: Option<Value>,
    pub(super) rows: bool,
    arguments: Map<String, Value>,
    /// Arguments somebody looked at; the rest is told back as ignored.
    used: Mutex<BTreeSet<String>>,
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(
        RefusalCode::BadRequest,
        message,
        "see the protocol in docs/socket.md",
    )
}

impl Call {
    /// Reads a line. The id is given back with the refusal where it can be read.
    pub(super) fn parse(line: &[u8]) -> Result<Self, (Option<Value>, Refusal)> {
        let value: Value = serde_json::from_slice(line).map_err(|error| {
            (
                None,
                Refusal::new(
                    RefusalCode::BadJson,
                    format!("this is no JSON: {error}"),
                    "send one JSON object per line, such as {\"op\":\"status\"}",
                ),
            )
        })?;
        let Value::Object(mut arguments) = value else {
            return Err((
                None,
                Refusal::new(
                    RefusalCode::BadJson,
                    "a request is a JSON object",
                    "such as {\"op\":\"status\"}",
                ),
            ));
        };
        let id = match arguments.remove("id") {
            None | Some(Value::Null) => None,
            Some(id @ (Value::String(_) | Value::Number(_))) => Some(id),
            Some(_) => return Err((None, bad("\"id\" is a string or a number"))),
        };
        match arguments.remove("v") {
            None => {}
            Some(version) if version == lb_shared::json::VERSION => {}
            Some(version) => {
                let mut refusal = Refusal::new(
                    RefusalCode::BadVersion,
                    format!("version {version} is not spoken here"),
                    "this agent speaks version 1",
                );
                refusal.details = vec![("supported".into(), "1".into())];
                return Err((id, refusal));
            }
        }
        let op = match arguments.remove("op") {
            Some(Value::String(op)) => op,
            Some(_) | None => return Err((id, bad("\"op\" is missing or no string"))),
        };
        let call = Self {
            op,
            id: id.clone(),
            rows: false,
            arguments,
            used: Mutex::default(),
        };
        match call.flag("rows") {
            Ok(rows) => Ok(Self { rows, ..call }),
            Err(refusal) => Err((id, refusal)),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(name.to_owned());
        drop(used);
        self.arguments.get(name).filter(|value| !value.is_null())
    }

    /// A yes or no; no when it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.choice(name)?.unwrap_or(false))
    }

    /// A yes or no, where its absence is neither.
    pub(super) fn choice(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(bad(format!("\"{name}\" is true or false"))),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(bad(format!("\"{name}\" is a string"))),
        }
    }

    /// What somebody saw: `{"state":"up","weight":100}`; none of it when it is absent.
    pub(super) fn facts(&self, name: &str) -> Result<Option<Facts>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let fields = value
            .as_object()
            .ok_or_else(|| bad(format!("\"{name}\" is an object")))?;
        let mut facts = Facts::default();
        for (fact, value) in fields {
            match value {
                Value::String(text) => facts.put(fact, text)?,
                Value::Number(number) => facts.put(fact, &number.to_string())?,
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(bad(format!("\"{name}\" has texts and numbers")));
                }
            }
        }
        Ok(Some(facts))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .map(Some)
                .ok_or_else(|| bad(format!("\"{name}\" is a whole number"))),
        }
    }

    /// A list of strings; one string counts as a list of one.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let wrong = || bad(format!("\"{name}\" is a list of strings"));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(list)) => list
                .iter()
                .map(|value| value.as_str().map(ToOwned::to_owned).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    /// A span: `NAME` as text such as `"10m"`, or `NAME_s` as a number of seconds.
    pub(super) fn span(&self, name: &str) -> Result<Option<Duration>, Refusal> {
        if let Some(seconds) = self.get(&format!("{name}_s")) {
            return seconds
                .as_f64()
                .filter(|seconds| (0.0..=1e9).contains(seconds))
                .map(|seconds| Some(Duration::from_secs_f64(seconds)))
                .ok_or_else(|| bad(format!("\"{name}_s\" is a number of seconds")));
        }
        self.text(name)?
            .map(|text| {
                duration::parse(text)
                    .map_err(|error| Refusal::new(RefusalCode::BadDuration, error.to_string(), ""))
            })
            .transpose()
    }

    /// Names of arguments nobody looked at.
    pub(super) fn ignored(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        self.arguments
            .keys()
            .filter(|name| !used.contains(*name))
            .map(|name| escape(name))
            .collect()
    }
}

/// Who answers an op.
#[derive(Clone, Copy)]
pub(super) enum By {
    Ping,
    Schema,
    Read,
    WhatIf,
    Metrics,
    History,
    Test,
    Log,
    Shown,
    Truth,
    Act,
    /// The session itself, before it comes here.
    Session,
}

/// Every op.
pub(super) const OPS: [(&str, By); 34] = [
    ("hello", By::Read),
    ("ping", By::Ping),
    ("schema", By::Schema),
    ("role", By::Session),
    ("status", By::Read),
    ("vrrp", By::Read),
    ("services", By::Read),
    ("servers", By::Read),
    ("show", By::Read),
    ("why", By::Read),
    ("stats", By::Read),
    ("config", By::Read),
    ("config-show", By::Shown),
    ("events", By::Read),
    ("ops", By::Read),
    ("op", By::Read),
    ("hosts", By::Read),
    ("watch", By::Session),
    ("what-if", By::WhatIf),
    ("metrics", By::Metrics),
    ("history", By::History),
    ("test", By::Test),
    ("log", By::Log),
    ("is", By::Truth),
    ("wait", By::Truth),
    ("drain", By::Act),
    ("undrain", By::Act),
    ("disable", By::Act),
    ("weight", By::Act),
    ("promote", By::Act),
    ("demote", By::Act),
    ("release", By::Act),
    ("undo", By::Act),
    ("reload", By::Act),
];

/// The op's name in the table, for counting; `unknown` for all that are not in it.
pub(super) fn name(op: &str) -> &'static str {
    OPS.iter()
        .find(|(name, _)| *name == op)
        .map_or("unknown", |(name, _)| name)
}

/// Carries one request out.
pub(super) async fn answer(session: &Session, call: &Call) -> Result<Value, Refusal> {
    let by = OPS.iter().find(|(name, _)| *name == call.op).map(|(_, by)| *by);
    match by {
        Some(By::Ping) => Ok(serde_json::json!("pong")),
        Some(By::Schema) => Ok(lb_shared::schema::document()),
        Some(By::Read) => read::answer(session, call).await,
        Some(By::WhatIf) => read::what_if(session, call).await,
        Some(By::Metrics) => read::metrics(session, call).await,
        Some(By::History) => past::history(session, call).await,
        Some(By::Test) => act::test(session, call).await,
        Some(By::Shown) => read::config_show(session, call).await,
        Some(By::Log) => act::log(session, call).await,
        Some(By::Truth) => super::wait::answer(session, call).await,
        Some(By::Act) => act::answer(session, call).await,
        Some(By::Session) | None => {
            let names: Vec<&str> = OPS.iter().map(|(name, _)| *name).collect();
            Err(Refusal::new(
                RefusalCode::UnknownOp,
                format!("there is no op '{}'", escape(&call.op)),
                format!("ops are {}", names.join(" ")),
            ))
        }
    }
}
