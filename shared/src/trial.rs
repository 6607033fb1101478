//! Running a server's checks once, at an operator's word: what is asked, and how they ended.

use crate::names::ServerId;
use crate::view::View;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most servers of one test.
pub const SERVERS_MAX: usize = 20;

/// Run the checks of these servers now. Their verdicts, retries and schedules stay as they are.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct TestAsk {
    pub servers: Vec<ServerId>,
    /// Only say what would be run.
    pub dry_run: bool,
}

/// How the checks ended, or which would be run.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    pub dry_run: bool,
    pub servers: Vec<TestedServer>,
}

/// One server with all its checks, in the order of the file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TestedServer {
    pub server: ServerId,
    pub checks: Vec<TestedCheck>,
}

/// One check; a check of several URLs is several of these.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TestedCheck {
    /// `HTTP_GET`, `TCP_CHECK`, …
    pub kind: String,
    /// What it talks to.
    pub target: String,
    pub end: TestEnd,
    pub took_us: Option<u64>,
    /// Why it did not pass; for one that is not run, what it last said. May be empty.
    pub detail: String,
    /// A weight the check gives the server.
    pub weight: Option<u32>,
}

/// How one check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestEnd {
    Passed,
    Failed,
    /// For a reason on this host: it says nothing about the server.
    Inconclusive,
    /// It would be run.
    WouldRun,
    /// It speaks by itself and is never run: a file, a BFD session.
    NotRun,
}

impl TestEnd {
    /// `passed`, `failed`, …
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::WouldRun => "would-run",
            Self::NotRun => "not-run",
        }
    }
}

impl Tested {
    /// As JSON.
    pub fn json(&self, view: &View<'_>) -> Value {
        let check = |it: &TestedCheck| {
            json!({
                "kind": it.kind,
                "target": it.target,
                "end": it.end.word(),
                "took_us": it.took_us,
                "detail": it.detail,
                "weight": it.weight,
            })
        };
        let server = |it: &TestedServer| {
            json!({
                "server": it.server.to_string(),
                "name": view.server_name(&it.server),
                "checks": it.checks.iter().map(check).collect::<Value>(),
            })
        };
        json!({
            "dry_run": self.dry_run,
            "passed": !self.is_bad(),
            "servers": self.servers.iter().map(server).collect::<Value>(),
        })
    }

    /// Whether a check failed, or could not be carried out.
    pub fn is_bad(&self) -> bool {
        let bad = |check: &TestedCheck| matches!(check.end, TestEnd::Failed | TestEnd::Inconclusive);
        self.servers.iter().any(|it| it.checks.iter().any(bad))
    }
}
