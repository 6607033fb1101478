//! Every guard rail over both dialects of the socket, with the production engine behind it: it refuses, in these words;
//! `dry_run` has the same verdict; nothing was changed; and what overrides it is what it says.

#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

use crate::node::{Did, Node, Start, model, new_model, server_key, service};
use crate::operators::{server, vi_1};
use lb_shared::client::{Client, ClientError};
use lb_shared::request::{Act, Refusal, Reply, Request, Role, Verb};
use lb_shared::state::{DrainThen, Target};
use lbagent::control::{Ask, ControlHandle, Setup, ToEngine, start};
use lbagent::engine::{NewModel, Rail, RailOverride};
use lbagent::model::Model;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::Runtime;

const DRAIN: Verb = Verb::Drain {
    timeout_ms: None,
    then: DrainThen::Keep,
    inactive: false,
};
const PROMOTE: Verb = Verb::Promote { for_ms: None };

/// What is asked.
#[derive(Clone, Debug)]
enum Asked {
    Act(Verb, Vec<Target>),
    /// A file without instances is loaded.
    Reload,
}

struct Row {
    node: Node,
    asked: Asked,
    /// The message, then the hint.
    words: [&'static str; 2],
}

/// One for each, or this does not compile.
fn row(rail: Rail) -> Row {
    let quorum = "quorum 1, weight after the drain 0: the service would go DOWN\n\
                  to see the effect: add --dry-run      to do it anyway: add --force";
    let (node, asked, words) = match rail {
        Rail::Connections => (
            busy(7),
            Asked::Act(Verb::Disable { cut: false }, vec![server(1)]),
            [
                "192.0.2.100:80/tcp/198.51.100.1:80 has 7 active connections",
                "drain it first, or cut them: add --cut",
            ],
        ),
        Rail::LastServer => (
            servers(2, 1),
            Asked::Act(DRAIN, vec![server(1), server(2)]),
            [
                "web would keep 0 of 2 servers in rotation (2 in rotation now)",
                quorum,
            ],
        ),
        Rail::Quorum => (
            servers(3, 3),
            Asked::Act(DRAIN, vec![server(1)]),
            [
                "web would fall below its quorum",
                "quorum 3, weight after the drain 2: the service would go DOWN\n\
                 to see the effect: add --dry-run      to do it anyway: add --force",
            ],
        ),
        Rail::Stale => {
            let mut node = servers(3, 1);
            // The checks begin and none comes back: three intervals of 3 s, and a little.
            node.stand_still(Duration::from_secs(10));
            (
                node,
                Asked::Act(DRAIN, vec![server(1)]),
                [
                    "web would keep 2 of 3 servers, and 2 of them 3 intervals without a check: nobody knows that they \
                     work",
                    "quorum 1, weight after the drain 2\n\
                     to see the effect: add --dry-run      to do it anyway: add --force",
                ],
            )
        }
        Rail::Fault => {
            let mut start = Start::with(model(100, service("rr", 2)));
            start.net.links.values_mut().for_each(|link| link.running = false);
            let mut node = start.go();
            node.run_for(Duration::from_secs(5), &[]);
            (
                node,
                Asked::Act(PROMOTE, vec![vi_1()]),
                [
                    "VI_1 is in FAULT: interface eth0 is down",
                    "promote cannot lift a fault; mend it or use another node",
                ],
            )
        }
        Rail::Owner => (
            beside(&[255]),
            Asked::Act(PROMOTE, vec![vi_1()]),
            [
                "192.0.2.2 owns the addresses of VI_1 (priority 255) and would not yield",
                "demote it there, or stop its agent",
            ],
        ),
        Rail::PromotedElsewhere => (
            beside(&[254]),
            Asked::Act(PROMOTE, vec![vi_1()]),
            [
                "192.0.2.2 advertises 254 for VI_1, as a promoted node does: the higher address of the two would win",
                "release it there first, or: add --force",
            ],
        ),
        Rail::TwoMasters => (
            beside(&[50; 5]),
            Asked::Act(PROMOTE, vec![vi_1()]),
            [
                "VI_1 has two masters: this node is one of them already",
                "find out why they do not hear each other, or: add --force",
            ],
        ),
        Rail::NoSuccessor => (
            servers(2, 1),
            Asked::Act(Verb::Demote { hard: true }, vec![vi_1()]),
            [
                "no other node was heard as master of VI_1 in the last 24 hours: if there is none, its addresses would \
                 go unserved",
                "without --hard this node takes them back if nobody else does; or name the cluster, so that the other \
                 agent can be seen (--cluster); to do it anyway: add --force",
            ],
        ),
        Rail::Uncopied => (
            promoted_and_busy(),
            Asked::Act(Verb::Release, vec![vi_1()]),
            [
                "VI_1 carries 1,007 connections that are copied nowhere: a router with a higher priority would take the \
                 addresses and reset them",
                "with lvs_sync_daemon on both they would go on\n\
                 to see the effect: add --dry-run      to do it anyway: add --force",
            ],
        ),
        Rail::MasterGone => (
            servers(2, 1),
            Asked::Reload,
            [
                "VI_1 is MASTER on this node and is not in the new file: its addresses would go",
                "to do it anyway: add --force",
            ],
        ),
    };
    Row { node, asked, words }
}

fn servers(count: u8, quorum: u64) -> Node {
    let mut service = service("rr", count);
    service.quorum = quorum;
    let mut node = Start::with(model(100, service)).go();
    node.run_for(Duration::from_secs(10), &[]);
    node
}

/// A node that hears another one, with these priorities, second by second.
fn beside(priorities: &[u8]) -> Node {
    let mut node = servers(2, 1);
    for priority in priorities {
        node.hear(*priority);
        node.run_for(Duration::from_secs(1), &[]);
    }
    node
}

/// Its first server has connections.
fn busy(active: u32) -> Node {
    let mut node = Start::with(model(100, service("rr", 3))).go();
    let table = node.ipvs.as_mut().unwrap();
    let service = table.services.values_mut().next().unwrap();
    let destination = service.destinations.get_mut(&server_key(1)).unwrap();
    destination.counters.active = active;
    node.run_for(Duration::from_secs(11), &[]);
    node
}

fn promoted_and_busy() -> Node {
    let mut node = busy(1_007);
    let promote = Act {
        verb: PROMOTE,
        targets: vec![vi_1()],
        dry_run: false,
        force: false,
        message: String::new(),
        key: None,
    };
    node.act_as(0, Role::Admin, promote);
    node.run_for(Duration::from_secs(1), &[]);
    node
}

/// How a question is put.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    dry_run: bool,
    force: bool,
    cut: bool,
}

/// A node behind the production control room.
struct Served {
    node: Arc<Mutex<Node>>,
    handle: Arc<ControlHandle>,
    folder: PathBuf,
    _runtime: Runtime,
}

impl Served {
    fn new(node: Node, name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("rails-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let runtime = Runtime::new().unwrap();
        let setup = Setup::at(folder.join("agent.sock"));
        let present = node.engine.state().as_events();
        let node = Arc::new(Mutex::new(node));
        let events: Arc<OnceLock<Arc<ControlHandle>>> = Arc::default();
        let (core, heard) = (Arc::clone(&node), Arc::clone(&events));
        let to = ToEngine::new(move |ask| {
            let mut node = core.lock().unwrap();
            let told = node.did.len();
            answer(&mut node, ask);
            for did in &node.did[told..] {
                if let (Did::Said(event), Some(handle)) = (did, heard.get()) {
                    handle.emit(event.clone());
                }
            }
            true
        });
        let handle = Arc::new(start(&setup, to, runtime.handle()).unwrap());
        present.into_iter().for_each(|event| handle.emit(event));
        events.set(Arc::clone(&handle)).unwrap();
        Self {
            node,
            handle,
            folder,
            _runtime: runtime,
        }
    }

    fn frames(&self, asked: &Asked, flags: Flags) -> Result<(), Refusal> {
        let mut client = Client::connect(&self.folder.join("agent.sock")).unwrap();
        let request = match asked {
            Asked::Reload => Request::Reload {
                dry_run: flags.dry_run,
                force: flags.force,
            },
            Asked::Act(verb, targets) => Request::Act(Act {
                verb: match verb {
                    Verb::Disable { .. } => Verb::Disable { cut: flags.cut },
                    verb => *verb,
                },
                targets: targets.clone(),
                dry_run: flags.dry_run,
                force: flags.force,
                message: String::new(),
                key: None,
            }),
        };
        match client.ask(&request) {
            Ok(Reply::Acted(_) | Reply::Reloaded(_)) => Ok(()),
            Err(ClientError::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn lines(&self, asked: &Asked, flags: Flags) -> Result<(), Value> {
        let mut line = match asked {
            Asked::Reload => json!({"op": "reload"}),
            Asked::Act(verb, targets) => {
                let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
                let hard = matches!(verb, Verb::Demote { hard: true });
                json!({"op": verb.word(), "targets": targets, "hard": hard, "cut": flags.cut, "yes": true})
            }
        };
        line["dry_run"] = flags.dry_run.into();
        line["force"] = flags.force.into();
        let mut stream = UnixStream::connect(self.folder.join("agent.sock")).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply).unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        match reply["ok"].as_bool() {
            Some(true) => Ok(()),
            _ => Err(reply["error"].clone()),
        }
    }

    /// What a change would leave a trace in.
    fn standing(&self) -> String {
        let node = self.node.lock().unwrap();
        let changed = |did: &&Did| matches!(did, Did::Persisted | Did::Ipvs(_) | Did::Net(_) | Did::Said(_));
        let did: Vec<&Did> = node.did.iter().filter(changed).collect();
        format!("{did:?} {:?} {:?}", node.engine.state(), node.ipvs)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
        // What is emitted to has to be gone before the runtime is.
        let _ = &self.handle;
    }
}

fn answer(node: &mut Node, ask: Ask) {
    match ask {
        Ask::Act {
            actor,
            role,
            act,
            reply,
            ..
        } => drop(reply.send(node.act_as(actor.uid, role, act))),
        Ask::Reload {
            dry_run,
            force,
            reply,
            ..
        } => {
            let ticket = node.reload(NewModel {
                dry_run,
                force,
                ..new_model(Model::default())
            });
            drop(reply.send(node.replies.remove(&ticket).unwrap()));
        }
        // Nobody asks for more here.
        _ => {}
    }
}

/// Asks in one dialect: the code and the words of a refusal.
type Ways = fn(&Served, &Asked, Flags) -> Result<(), [String; 3]>;

const DIALECTS: [(&str, Ways); 2] = [
    ("frames", |served, asked, flags| {
        served
            .frames(asked, flags)
            .map_err(|it| [it.code.word().to_owned(), it.message, it.hint])
    }),
    ("lines", |served, asked, flags| {
        served.lines(asked, flags).map_err(|error| {
            assert_eq!(error["exit"], 4, "{error}");
            ["code", "message", "hint"].map(|field| error[field].as_str().unwrap().to_owned())
        })
    }),
];

#[test]
fn every_guard_rail_holds_over_both_dialects_with_the_engine_behind_it() {
    for rail in Rail::ALL {
        for (dialect, ask) in DIALECTS {
            let Row { node, asked, words } = row(rail);
            let want = [rail.code().word(), words[0], words[1]].map(ToOwned::to_owned);
            let served = Served::new(node, &format!("{rail:?}-{dialect}"));
            let before = served.standing();
            let tried = |flags: Flags| ask(&served, &asked, flags);
            let dry = Flags {
                dry_run: true,
                ..Flags::default()
            };
            assert_eq!(tried(dry), Err(want.clone()), "{rail:?}, {dialect}, dry run");
            assert_eq!(tried(Flags::default()), Err(want.clone()), "{rail:?}, {dialect}");
            let (force, cut) = match rail.overridden_by() {
                RailOverride::Force => (true, false),
                RailOverride::Cut => (false, true),
                RailOverride::Nothing => (true, true),
            };
            assert_eq!(
                words[1].contains("--force"),
                force && !cut,
                "{rail:?}: the hint says so"
            );
            assert_eq!(
                words[1].contains("--cut"),
                cut && !force,
                "{rail:?}: the hint says so"
            );
            let past = Flags {
                dry_run: false,
                force,
                cut,
            };
            let past_dry = Flags {
                dry_run: true,
                ..past
            };
            let verdict = match rail.overridden_by() {
                RailOverride::Nothing => Err(want.clone()),
                RailOverride::Force | RailOverride::Cut => Ok(()),
            };
            assert_eq!(
                tried(past_dry),
                verdict,
                "{rail:?}, {dialect}, overridden, dry run"
            );
            if rail.overridden_by() == RailOverride::Cut {
                let forced = Flags {
                    force: true,
                    ..Flags::default()
                };
                assert_eq!(tried(forced), Err(want.clone()), "{rail:?}: --force is not --cut");
            }
            assert_eq!(
                served.standing(),
                before,
                "{rail:?}, {dialect}: nothing was changed"
            );
            assert_eq!(tried(past), verdict, "{rail:?}, {dialect}, overridden");
            let changes = verdict.is_ok();
            assert_eq!(served.standing() != before, changes, "{rail:?}, {dialect}");
        }
    }
}
