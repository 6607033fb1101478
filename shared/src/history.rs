//! The past of the last quarter of an hour: samples of what moves, and how checks ended.

use crate::counters::Counters;
use crate::event::{Change, Event, What};
use crate::names::ServerId;
use crate::request::Snapshot;
use crate::state::{Admin, Health, Object, ObjectId, ServerView, ServiceState, State, VrrpState};
use crate::units::Mono;
use crate::view::{View, rfc3339};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How far back the agent remembers, in milliseconds.
pub const KEPT_MS: u64 = 15 * 60 * 1_000;

/// What of the past is wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct HistoryAsk {
    /// Instances, services and servers; none stand for all.
    pub objects: Vec<ObjectId>,
    /// Only the last so much; `None`: all that is kept.
    pub since_ms: Option<u64>,
    /// At most one sample in so much; `None`: every one.
    pub step_ms: Option<u64>,
    /// With the last ends of checks of servers.
    pub checks: bool,
}

/// Samples of some objects, all taken at the same moments.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// How often the agent takes a sample at present.
    pub step_ms: u64,
    pub now: Mono,
    /// Unix time in milliseconds at `now`.
    pub wall_ms: u64,
    /// When the samples were taken, oldest first.
    pub at: Vec<Mono>,
    pub rows: Vec<HistoryRow>,
}

/// The past of one object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    pub object: ObjectId,
    /// One for each moment of [`History::at`]; `None` where the object was not there.
    pub samples: Vec<Option<Sample>>,
    /// For a server, if asked for: how its checks ended, oldest first.
    pub checks: Vec<CheckRun>,
}

/// An object at one moment. Numbers above 2,000 are rounded to three digits and more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub state: SampleState,
    /// An instance's effective priority, a service's live weight, a server's weight in IPVS.
    pub weight: u64,
    pub active: u64,
    pub inactive: u64,
    pub connections_per_s: u64,
    pub bytes_in_per_s: u64,
    pub bytes_out_per_s: u64,
    /// How long the last check of a server took, in microseconds; `None` for others and without one.
    pub check_us: Option<u64>,
}

/// The state of an object at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum SampleState {
    Instance(VrrpState),
    Service(ServiceState),
    Server(ServerWord),
}

impl SampleState {
    /// As in tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Instance(state) => state.word(),
            Self::Service(state) => state.word(),
            Self::Server(word) => word.word(),
        }
    }
}

/// The one word for a server, as [`ServerView::word`] gives it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ServerWord {
    Up,
    Down,
    Init,
    Drain,
    Drained,
    Off,
}

impl ServerWord {
    pub const ALL: [Self; 6] = [
        Self::Up,
        Self::Down,
        Self::Init,
        Self::Drain,
        Self::Drained,
        Self::Off,
    ];

    /// The first that applies of OFF, DRAINED, DOWN, DRAIN, INIT, UP.
    pub fn of(server: &ServerView) -> Self {
        match (server.admin, server.health) {
            (Admin::Disabled, _) => Self::Off,
            (Admin::Drained, _) => Self::Drained,
            (_, Health::Down) => Self::Down,
            (Admin::Draining, _) => Self::Drain,
            (_, Health::Init) => Self::Init,
            (Admin::Enabled, Health::Up | Health::None) => Self::Up,
        }
    }

    /// In capitals, as tables show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::Init => "INIT",
            Self::Drain => "DRAIN",
            Self::Drained => "DRAINED",
            Self::Off => "OFF",
        }
    }
}

/// How one run of a check ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CheckRun {
    pub at: Mono,
    /// Which of the server's checks, by its place in [`ServerView::checks`].
    pub check: u32,
    pub ended: CheckEnd,
    pub took_us: u64,
    /// Why it failed, as far as that is remembered; empty otherwise.
    pub why: String,
}

/// How a run of a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckEnd {
    Passed,
    Failed,
    /// For a reason on this host: it says nothing about the server.
    Inconclusive,
}

impl CheckEnd {
    /// `passed`, `failed`, `inconclusive`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The series of the JSON form.
pub const SERIES: [&str; 8] = [
    "state", "weight", "active", "inactive", "cps", "in", "out", "latency",
];

impl History {
    /// The JSON form with these series; none stand for all.
    pub fn json(&self, view: &View<'_>, series: &[String]) -> Value {
        let moment = |at: Mono| Value::from(rfc3339(View::new(view.state, self.now, self.wall_ms).wall(at)));
        let rows = self.rows.iter().map(|row| {
            let mut form = Map::new();
            form.insert("object".into(), view.object_name(&row.object).into());
            form.insert("id".into(), row.object.to_string().into());
            for name in SERIES {
                if series.is_empty() || series.iter().any(|it| it == name) {
                    let values = row.samples.iter();
                    let values = values.map(|it| it.as_ref().map_or(Value::Null, |it| it.value(name)));
                    form.insert(name.into(), values.collect());
                }
            }
            if !row.checks.is_empty() {
                let runs = row.checks.iter().map(|run| {
                    json!({
                        "t": moment(run.at),
                        "check": run.check,
                        "result": run.ended.word(),
                        "took_us": run.took_us,
                        "why": Some(&run.why).filter(|why| !why.is_empty()),
                    })
                });
                form.insert("checks".into(), runs.collect());
            }
            Value::from(form)
        });
        json!({
            "step_ms": self.step_ms,
            "t": self.at.iter().map(|at| moment(*at)).collect::<Value>(),
            "rows": rows.collect::<Value>(),
        })
    }
}

impl Sample {
    fn value(&self, series: &str) -> Value {
        match series {
            "state" => self.state.word().to_lowercase().into(),
            "weight" => self.weight.into(),
            "active" => self.active.into(),
            "inactive" => self.inactive.into(),
            "cps" => self.connections_per_s.into(),
            "in" => self.bytes_in_per_s.into(),
            "out" => self.bytes_out_per_s.into(),
            // In microseconds, as everywhere.
            _ => self.check_us.into(),
        }
    }
}

/// The last runs of one server's checks, oldest first.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServerRuns {
    pub server: ServerId,
    pub runs: Vec<CheckRun>,
}

/// Everything as it was at one moment of the past.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Its `now` and `wall_ms` are those of that moment, `seq` the last event before it.
    pub snapshot: Snapshot,
    /// What was sampled last before it. Only what a [`Sample`] has is in it.
    pub counters: Option<Counters>,
}

impl State {
    /// One object of the state.
    pub fn object(&self, id: &ObjectId) -> Option<Object> {
        match id {
            ObjectId::Agent => Some(Object::Agent(Box::new(self.agent.clone()))),
            ObjectId::Instance(name) => self
                .instances
                .get(name)
                .map(|it| Object::Instance(Arc::clone(it))),
            ObjectId::Group(name) => self.groups.get(name).cloned().map(Object::Group),
            ObjectId::Tracker(name) => self.trackers.get(name).cloned().map(Object::Tracker),
            ObjectId::Service(key) => self.services.get(key).map(|it| Object::Service(Arc::clone(it))),
            ObjectId::Server(id) => self.servers.get(id).map(|it| Object::Server(Arc::clone(it))),
            ObjectId::Override(target) => self
                .overrides
                .get(target)
                .map(|view| Object::Override(Box::new(view.clone()))),
        }
    }

    /// The changes that take an event back, once it is applied to this state.
    pub fn inverse(&self, event: &Event) -> Vec<Change> {
        event
            .changes
            .iter()
            .rev()
            .map(|change| {
                let id = match change {
                    Change::Put(object) => object.id(),
                    Change::Remove(id) => id.clone(),
                };
                self.object(&id).map_or(Change::Remove(id), Change::Put)
            })
            .collect()
    }

    /// Puts these objects into place, as events do.
    pub fn put_back(&mut self, changes: Vec<Change>) {
        self.apply(&Event {
            what: What::Present,
            object: ObjectId::Agent,
            text: String::new(),
            why: None,
            actor: None,
            at: Mono::ZERO,
            changes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn what_an_event_did_can_be_taken_back() {
        let state = fixture::demo().snapshot.state;
        let server = state.servers.values().next().unwrap().clone();
        let instance = state.instances.values().next().unwrap().clone();
        let mut changed = server.as_ref().clone();
        changed.reason = "status 503".into();
        let cases = [
            vec![Change::Put(Object::Server(Arc::new(changed)))],
            vec![Change::Remove(ObjectId::Server(server.id.clone()))],
            vec![
                Change::Remove(ObjectId::Instance(instance.name.clone())),
                Change::Remove(ObjectId::Service(server.id.service.clone())),
                Change::Remove(ObjectId::Agent),
            ],
        ];
        for changes in cases {
            let mut now = state.clone();
            let event = Event {
                what: What::ServerChanged,
                object: ObjectId::Agent,
                text: String::new(),
                why: None,
                actor: None,
                at: Mono::ZERO,
                changes,
            };
            let back = now.inverse(&event);
            now.apply(&event);
            assert_ne!(now, state);
            now.put_back(back);
            assert_eq!(now, state);
        }
    }

    #[test]
    fn every_server_has_a_word() {
        for server in fixture::demo().snapshot.state.servers.values() {
            assert_eq!(ServerWord::of(server).word(), server.word());
        }
    }
}
