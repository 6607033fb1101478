//! An agent's real control room with a made-up core behind it, and the program beside it.
#![allow(dead_code, reason = "each test program uses its part")]

use lb_shared::counters::Counters;
use lb_shared::event::{Change, Event, What};
use lb_shared::fixture;
use lb_shared::history::{CheckEnd, CheckRun, ServerRuns};
use lb_shared::names::ServerId;
use lb_shared::request::{Acted, Outcome, Refusal, RefusalCode, Reloaded, Reply, TargetReport, Verb};
use lb_shared::state::{Admin, Object, ObjectId, Target};
use lb_shared::trial::{TestAsk, TestEnd, Tested, TestedCheck, TestedServer};
use lb_shared::units::Weight;
use lbagent::control::{Ask, ControlHandle, Setup, ToEngine, start};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use tokio::runtime::Runtime;

pub(crate) struct Agent {
    handle: Option<Arc<ControlHandle>>,
    pub(crate) folder: PathBuf,
    /// What was asked of the core to change something, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Agent {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lbctl-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let runtime = Runtime::new().unwrap();
        let (asks, questions) = mpsc::channel();
        let setup = Setup::at(folder.join("agent.sock"));
        let to = ToEngine::new(move |ask| asks.send(ask).is_ok());
        let handle = Arc::new(start(&setup, to, runtime.handle()).unwrap());
        for event in fixture::demo().snapshot.state.as_events() {
            handle.emit(event);
        }
        let core = Arc::downgrade(&handle);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            while let Ok(ask) = questions.recv() {
                if let Some(handle) = core.upgrade() {
                    note(&ask, &noted);
                    answer(ask, &handle);
                }
            }
        });
        let agent = Self {
            handle: Some(handle),
            folder,
            asked,
            _runtime: runtime,
        };
        let ready = agent.run(&["wait", "healthy", "web6", "--timeout", "20s"]);
        assert_eq!(ready.status.code(), Some(0), "{ready:?}");
        agent
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lbctl"));
        command
            .arg("--socket")
            .arg(self.folder.join("agent.sock"))
            .arg("--utc")
            .args(arguments)
            .env_remove("LBCTL_HOST")
            .env_remove("LBCTL_CLUSTER")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        // The fixture's services come one event at a time: the first question may be too early.
        for _ in 0..100 {
            let output = self.command(arguments).output().unwrap();
            let early = arguments.first() == Some(&"wait") && output.status.code() == Some(3);
            if !early {
                return output;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    pub(crate) fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.handle = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The server that a reload takes away.
pub(crate) const GOING: &str = "203.0.113.10:443/tcp/198.51.100.22:443";

fn note(ask: &Ask, asked: &Mutex<Vec<String>>) {
    let (word, dry_run) = match ask {
        Ask::Reload { dry_run, .. } => ("reload".to_owned(), *dry_run),
        Ask::Act { act, .. } => {
            let targets: Vec<String> = act.targets.iter().map(ToString::to_string).collect();
            (format!("{} {}", act.verb.word(), targets.join(" ")), act.dry_run)
        }
        _ => return,
    };
    let word = if dry_run { format!("{word}, dry run") } else { word };
    asked.lock().unwrap().push(word);
}

/// Drains are over at once, promotes are refused, everything else is done and changes nothing.
fn answer(ask: Ask, handle: &ControlHandle) {
    match ask {
        Ask::Runs { servers, reply } => drop(reply.send(runs(servers))),
        Ask::Test { asked, reply } => drop(reply.send(Reply::Tested(tested(asked)))),
        Ask::Foresee { reply, .. } => drop(reply.send(Reply::Foreseen(Default::default()))),
        Ask::Counters { reply } => drop(reply.send(Reply::Counters(Box::new(Counters {
            servers: Default::default(),
            ..fixture::demo().counters
        })))),
        Ask::ServerCounters { after, reply } => drop(reply.send(match after {
            None => fixture::demo().counters.servers.into_iter().collect(),
            Some(_) => Vec::new(),
        })),
        Ask::Reload { dry_run, reply, .. } => drop(reply.send(Reply::Reloaded(Reloaded {
            dry_run,
            revision: 18,
            changes: vec![
                "~ vs:203.0.113.10:443/tcp quorum 200 -> 300".into(),
                format!("- rs:{GOING}"),
            ],
            findings: Vec::new(),
            moves: Vec::new(),
            confirm_within_ms: None,
            cut: [(format!("rs:{GOING}"), 3)].into(),
        }))),
        Ask::Config { settings, reply } => drop(reply.send(if settings {
            Reply::Settings(Default::default())
        } else {
            Reply::Config(Default::default())
        })),
        Ask::Confirm { reply, .. } => drop(reply.send(Reply::Reloaded(Reloaded {
            revision: 18,
            ..Reloaded::default()
        }))),
        Ask::Act {
            act, actor, reply, ..
        } => {
            if let Verb::Promote { .. } = act.verb {
                let mut refusal = Refusal::new(
                    RefusalCode::Fault,
                    "VI_mgmt is in FAULT on lb1: interface eth2 is down",
                    "promote cannot lift a fault; fix eth2 or use another node",
                );
                refusal.details = vec![("instance".into(), "VI_mgmt".into())];
                drop(reply.send(Reply::Refused(refusal)));
                return;
            }
            let targets = act.targets.iter().map(|target| TargetReport {
                target: target.clone(),
                outcome: Outcome::Done,
                change: "weight 100 -> 0".into(),
                active: Some(4_812),
            });
            let _ = reply.send(Reply::Acted(Acted {
                dry_run: act.dry_run,
                op: 1_042,
                targets: targets.collect(),
                effects: Vec::new(),
                warnings: vec!["the configuration differs from lb2".into()],
            }));
            if act.dry_run || !matches!(act.verb, Verb::Drain { .. }) {
                return;
            }
            for target in act.targets {
                let Target::Server(id) = target else { continue };
                let mut view = fixture::demo().snapshot.state.servers[&id].as_ref().clone();
                view.admin = Admin::Drained;
                view.effective = Some(Weight::ZERO);
                handle.emit(Event {
                    what: What::DrainFinished,
                    object: ObjectId::Server(id),
                    text: "drained".into(),
                    why: None,
                    actor: Some(actor.clone()),
                    at: view.since,
                    changes: vec![Change::Put(Object::Server(Arc::new(view)))],
                });
            }
        }
    }
}

/// One failed check for each.
fn runs(servers: Vec<ServerId>) -> Vec<ServerRuns> {
    servers
        .into_iter()
        .map(|server| ServerRuns {
            server,
            runs: vec![CheckRun {
                at: lb_shared::units::Mono::ZERO,
                check: 0,
                ended: CheckEnd::Failed,
                took_us: 2_100,
                why: "status 503".into(),
            }],
        })
        .collect()
}

/// The server that is down in the fixture fails here too.
fn tested(asked: TestAsk) -> Tested {
    let end = |server: &ServerId| match server.to_string().contains("198.51.100.25") {
        true => (TestEnd::Failed, "status 503, want 200-299"),
        false => (TestEnd::Passed, ""),
    };
    let servers = asked.servers.into_iter().map(|server| {
        let (end, detail) = end(&server);
        let check = TestedCheck {
            kind: "SSL_GET".into(),
            target: format!("{} /healthz", server.server),
            end: if asked.dry_run { TestEnd::WouldRun } else { end },
            took_us: (!asked.dry_run).then_some(2_100),
            detail: if asked.dry_run { "" } else { detail }.into(),
            weight: None,
        };
        TestedServer {
            server,
            checks: vec![check],
        }
    });
    Tested {
        dry_run: asked.dry_run,
        servers: servers.collect(),
    }
}
