//! What would happen if: events that are supposed, and what the agent's engine makes of them.
//!
//! ```text
//! event = "interface" NAME ( "up" | "down" )
//!       | "script" NAME ( "ok" | "fail" )
//!       | "bfd" NAME ( "up" | "down" )
//!       | "server" SERVER ( "up" | "down" )
//!       | "peer" ADDRESS ( "silent" | "priority" N )
//!       | ( "drain" | "undrain" | "disable" ) SERVER [ "--force" ]
//!       | "weight" SERVER W
//!       | ( "promote" | "demote" | "release" ) INSTANCE [ "--force" ] [ "--hard" ]
//! ```

use crate::excerpt::{ExcerptAsk, Scope};
use crate::names::{InstanceName, ServerId};
use crate::request::{Act, Refusal, RefusalCode, Verb, WeightChange};
use crate::select;
use crate::state::{DrainThen, Object, ObjectId, ServiceState, Target, VrrpState};
use crate::text::escape;
use crate::units::Weight;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The longest span that is looked into, in milliseconds.
pub const SPAN_MAX_MS: u64 = 3_600_000;
/// The span when nothing is said.
pub const SPAN_MS: u64 = 30_000;
/// The most events in one question.
pub const EVENTS_MAX: usize = 64;

/// A question.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WhatIf {
    /// They happen at once, in this order.
    pub events: Vec<Suppose>,
    /// How far to look, in milliseconds.
    pub for_ms: u64,
}

/// Something that might happen.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Suppose {
    Interface {
        name: String,
        up: bool,
    },
    /// From now on it succeeds or fails whenever it is run.
    Script {
        name: String,
        ok: bool,
    },
    /// From now on its checks pass or fail.
    Server {
        server: ServerId,
        up: bool,
    },
    /// Nothing is heard of it any more.
    PeerSilent {
        address: IpAddr,
    },
    /// It takes part in the elections with this priority.
    PeerPriority {
        address: IpAddr,
        priority: u8,
    },
    /// An operator's change.
    Act(Act),
    /// The session is up or down from now on.
    Bfd {
        name: String,
        up: bool,
    },
}

/// An answer.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Foreseen {
    pub for_ms: u64,
    /// In the order of time.
    pub changes: Vec<Foretold>,
    pub moves: Vec<Move>,
    /// Commands of scripts that would be started, in order.
    pub scripts: Vec<String>,
    /// Instances and services that stay as they are.
    pub unchanged: Vec<ObjectId>,
    /// What was taken for granted, and commands that would be refused.
    pub notes: Vec<String>,
}

/// A change that would come.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Foretold {
    pub object: ObjectId,
    /// After the events, in milliseconds.
    pub at_ms: u64,
    pub from: Facts,
    pub to: Facts,
    pub why: String,
}

/// What of an object matters here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Facts {
    Instance {
        state: VrrpState,
        priority: u8,
    },
    Group {
        state: VrrpState,
    },
    Tracker {
        ok: Option<bool>,
    },
    Service {
        state: ServiceState,
        live_weight: u64,
    },
    /// `UP`, `DRAIN`, …; `weight: None` when it is not in IPVS.
    Server {
        word: String,
        weight: Option<Weight>,
    },
    /// It is not there.
    Absent,
}

impl Facts {
    /// Of an object; `None` for those that are only about the agent.
    pub fn of(object: &Object) -> Option<Self> {
        Some(match object {
            Object::Instance(it) => Self::Instance {
                state: it.state,
                priority: it.effective_priority,
            },
            Object::Group(it) => Self::Group { state: it.state },
            Object::Tracker(it) => Self::Tracker { ok: it.ok },
            Object::Service(it) => Self::Service {
                state: it.state,
                live_weight: it.live_weight,
            },
            Object::Server(it) => Self::Server {
                word: it.word().to_owned(),
                weight: it.effective,
            },
            Object::Agent(_) | Object::Override(_) => return None,
        })
    }

    /// In a few words: `MASTER 150`, `UP weight 100`.
    pub fn words(&self) -> String {
        match self {
            Self::Instance { state, priority } => format!("{} {priority}", state.word()),
            Self::Group { state } => state.word().to_owned(),
            Self::Tracker { ok } => match ok {
                Some(true) => "ok",
                Some(false) => "failing",
                None => "no result yet",
            }
            .to_owned(),
            Self::Service { state, live_weight } => format!("{} weight {live_weight}", state.word()),
            Self::Server { word, weight } => match weight {
                Some(weight) => format!("{word} weight {weight}"),
                None => format!("{word} not in IPVS"),
            },
            Self::Absent => "not there".to_owned(),
        }
    }
}

/// An address that would move.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// As held: `192.0.2.10/24 dev eth0`.
    pub address: String,
    pub instance: InstanceName,
    /// The host, a peer's address, or `nobody`.
    pub from: String,
    pub to: String,
}

/// Reads events, each of several words.
pub fn parse(events: &[String], view: &View<'_>) -> Result<Vec<Suppose>, Refusal> {
    if events.is_empty() {
        return Err(usage("no event is given"));
    }
    if events.len() > EVENTS_MAX {
        return Err(usage(&format!("more than {EVENTS_MAX} events")));
    }
    events.iter().map(|event| one(event, view)).collect()
}

/// Words of a command line as events: one event may stand without quotes.
pub fn group(words: &[String]) -> Vec<String> {
    match words {
        [only] => vec![only.clone()],
        [first, ..] if first.contains(' ') => words.to_vec(),
        words => vec![words.join(" ")],
    }
}

/// What of the state it takes to read events: the servers they name, and the instances.
pub fn asks(events: &[String]) -> Vec<ExcerptAsk> {
    let mut servers = Vec::new();
    let mut instances = false;
    for event in events {
        match event.split_whitespace().collect::<Vec<_>>()[..] {
            ["promote" | "demote" | "release", ..] => instances = true,
            ["server" | "drain" | "undrain" | "disable" | "weight", target, ..] => {
                servers.push(target.to_owned());
            }
            // No object is looked up for these.
            _ => {}
        }
    }
    let mut asks = vec![ExcerptAsk::of(Scope::Meant, &servers)];
    if instances {
        asks.push(ExcerptAsk::all(Scope::Instances));
    }
    asks
}

/// The services whose names it takes to tell an answer.
pub fn named(foreseen: &Foreseen) -> ExcerptAsk {
    let services = foreseen.changes.iter().filter_map(|it| match &it.object {
        ObjectId::Service(key) => Some(key),
        ObjectId::Server(id) => Some(&id.service),
        ObjectId::Agent
        | ObjectId::Instance(_)
        | ObjectId::Group(_)
        | ObjectId::Tracker(_)
        | ObjectId::Override(_) => None,
    });
    let services: BTreeSet<String> = services.map(|key| format!("vs:{key}")).collect();
    ExcerptAsk::of(Scope::Services, &services.into_iter().collect::<Vec<_>>())
}

fn usage(what: &str) -> Refusal {
    Refusal::new(
        RefusalCode::BadRequest,
        what,
        "such as 'interface eth1 down', 'script chk fail', 'bfd peer down', 'server web/192.0.2.1 down', 'peer 192.0.2.3 silent', \
         'peer 192.0.2.3 priority 120', or 'drain web/192.0.2.1'",
    )
}

fn one(event: &str, view: &View<'_>) -> Result<Suppose, Refusal> {
    let words: Vec<&str> = event.split_whitespace().collect();
    let bad = || usage(&format!("'{}' is no event", escape(event)));
    match words[..] {
        ["interface", name, word @ ("up" | "down")] => Ok(Suppose::Interface {
            name: name.to_owned(),
            up: word == "up",
        }),
        ["script", name, word @ ("ok" | "fail")] => Ok(Suppose::Script {
            name: name.to_owned(),
            ok: word == "ok",
        }),
        ["bfd", name, word @ ("up" | "down")] => Ok(Suppose::Bfd {
            name: name.to_owned(),
            up: word == "up",
        }),
        ["server", target, word @ ("up" | "down")] => Ok(Suppose::Server {
            server: server(target, view)?,
            up: word == "up",
        }),
        ["peer", address, "silent"] => Ok(Suppose::PeerSilent {
            address: address.parse().map_err(|_| bad())?,
        }),
        ["peer", address, "priority", priority] => match priority.parse() {
            Ok(priority @ 1..=255) => Ok(Suppose::PeerPriority {
                address: address.parse().map_err(|_| bad())?,
                priority,
            }),
            Ok(_) | Err(_) => Err(usage(&format!("'{}' is no priority: 1 to 255", escape(priority)))),
        },
        [verb, target, ref rest @ ..] => act(verb, target, rest, view)?.map(Suppose::Act).ok_or_else(bad),
        _ => Err(bad()),
    }
}

fn server(target: &str, view: &View<'_>) -> Result<ServerId, Refusal> {
    let found = select::servers(view, &[target.to_owned()], false)?;
    match &found[..] {
        [only] => Ok(only.clone()),
        _ => Err(usage(&format!(
            "'{}' is more than one server: name one",
            escape(target)
        ))),
    }
}

fn act(verb: &str, target: &str, rest: &[&str], view: &View<'_>) -> Result<Option<Act>, Refusal> {
    let mut rest = rest.to_vec();
    let mut flag = |name: &str| {
        let before = rest.len();
        rest.retain(|word| *word != name);
        rest.len() < before
    };
    let (force, hard) = (flag("--force"), flag("--hard"));
    let verb = match (verb, &rest[..]) {
        ("drain", []) => Verb::Drain {
            timeout_ms: Some(600_000),
            then: DrainThen::Keep,
            inactive: false,
        },
        ("undrain", []) => Verb::Undrain,
        ("disable", []) => Verb::Disable { cut: force },
        ("weight", [weight]) => Verb::Weight(WeightChange::parse(weight)?),
        ("promote", []) => Verb::Promote { for_ms: None },
        ("demote", []) => Verb::Demote { hard },
        ("release", []) => Verb::Release,
        _ => return Ok(None),
    };
    let typed = [target.to_owned()];
    let targets = match verb {
        Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release | Verb::Undo => {
            select::instances(view, &typed)?
                .into_iter()
                .map(Target::Instance)
                .collect()
        }
        Verb::Drain { .. } | Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_) => {
            select::servers(view, &typed, false)?
                .into_iter()
                .map(Target::Server)
                .collect()
        }
    };
    Ok(Some(Act {
        verb,
        targets,
        dry_run: false,
        force,
        message: String::new(),
        key: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn read(events: &[&str]) -> Result<Vec<Suppose>, Refusal> {
        let demo = fixture::demo();
        let view = View::of(&demo.snapshot);
        let events: Vec<String> = events.iter().map(|event| (*event).to_owned()).collect();
        parse(&group(&events), &view)
    }

    #[test]
    fn events_are_read_with_or_without_quotes() {
        let down = Suppose::Interface {
            name: "eth1".into(),
            up: false,
        };
        assert_eq!(read(&["interface", "eth1", "down"]), Ok(vec![down.clone()]));
        let bfd = Suppose::Bfd {
            name: "peer".into(),
            up: false,
        };
        assert_eq!(read(&["bfd", "peer", "down"]), Ok(vec![bfd]));
        let fail = Suppose::Script {
            name: "chk_db".into(),
            ok: false,
        };
        assert_eq!(
            read(&["interface eth1 down", "script chk_db fail"]),
            Ok(vec![down, fail])
        );
        assert_eq!(
            read(&["server web/198.51.100.24 down"]),
            Ok(vec![Suppose::Server {
                server: "203.0.113.10:443/tcp/198.51.100.24:443".parse().unwrap(),
                up: false,
            }])
        );
        assert_eq!(
            read(&["peer 198.51.100.3 priority 140"]),
            Ok(vec![Suppose::PeerPriority {
                address: "198.51.100.3".parse().unwrap(),
                priority: 140,
            }])
        );
        let asked = read(&["demote", "VI_edge", "--hard"]).unwrap();
        let [Suppose::Act(act)] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(act.verb, Verb::Demote { hard: true });
    }

    #[test]
    fn what_is_no_event_is_refused_with_examples_and_a_name_that_is_not_there_as_such() {
        for event in [
            "",
            "interface eth1",
            "interface eth1 sideways",
            "peer x silent",
            "peer 192.0.2.1 priority 0",
            "drain",
        ] {
            assert_eq!(
                read(&[event]).unwrap_err().code,
                RefusalCode::BadRequest,
                "{event}"
            );
        }
        assert_eq!(
            read(&["drain web/192.0.2.99"]).unwrap_err().code,
            RefusalCode::NotFound
        );
        assert_eq!(
            read(&["promote VI_none"]).unwrap_err().code,
            RefusalCode::NotFound
        );
    }
}
