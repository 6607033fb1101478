use super::*;
use lb_shared::client::{Client, ClientError, Update};
use lb_shared::counters::Counters;
use lb_shared::event::{Change, What};
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::expect::Expected;
use lb_shared::fixture;
use lb_shared::frame;
use lb_shared::history::{CheckEnd, CheckRun, ServerRuns};
use lb_shared::names::ServerId;
use lb_shared::request::{
    Act, Acted, Outcome, Refusal, RefusalCode, Reloaded, Reply, Request, Role, TargetReport, Verb,
};
use lb_shared::state::{Admin, DrainThen, Object, ObjectId, Target};
use lb_shared::trial::{TestAsk, TestEnd, Tested, TestedCheck, TestedServer};
use lb_shared::whatif::Foreseen;
use lb_shared::window::{CounterSums, Rows, WindowAsk};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;

mod acts;
mod connections;
mod docs;
mod reads;
mod roles;
mod same;
mod schema;
mod slow;
mod streams;

/// Who asked for what, and what they had seen.
type Noted = (lb_shared::event::Actor, Act, Vec<Expected>);

/// The room with a core that answers from the fixture: drains are done at once, promotes refused.
struct Room {
    handle: Option<Arc<ControlHandle>>,
    path: PathBuf,
    acts: Arc<Mutex<Vec<Noted>>>,
    _runtime: Runtime,
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Room {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!(
            "lb-control-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.join("agent.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let acts = Arc::new(Mutex::new(Vec::new()));
        let (asks, questions) = std::sync::mpsc::channel();
        let setup = Setup {
            read_only: Some(folder.join("agent-ro.sock")),
            ..Setup::at(path.clone())
        };
        let engine = ToEngine::new(move |ask| asks.send(ask).is_ok());
        let handle = Arc::new(start(&setup, engine, runtime.handle()).unwrap());
        for event in fixture::demo().snapshot.state.as_events() {
            handle.emit(event);
        }
        let core = Arc::downgrade(&handle);
        let log = Arc::clone(&acts);
        std::thread::spawn(move || {
            while let Ok(ask) = questions.recv() {
                answer(ask, &log, || core.upgrade());
            }
        });
        let room = Self {
            handle: Some(handle),
            path,
            acts,
            _runtime: runtime,
        };
        // Events go through a queue: the room is furnished when the last of them is folded.
        let want = fixture::demo().snapshot.state;
        let mut watch = room.client().watch().unwrap();
        let mut state = lb_shared::state::State::default();
        while state != want {
            match watch.next_within(Duration::from_secs(10)).unwrap().unwrap() {
                Update::Snapshot(snapshot) => state = snapshot.state,
                Update::Event(event) => state.apply(&event.event),
                Update::Lost { .. } => unreachable!("the fixture is small"),
            }
        }
        room
    }

    fn client(&self) -> Client {
        Client::connect(&self.path).unwrap()
    }

    /// Sends lines, ends the input, and reads all answers.
    fn shell(&self, lines: &str) -> Vec<serde_json::Value> {
        let mut stream = UnixStream::connect(&self.path).unwrap();
        stream.write_all(lines.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.handle = None;
        let _ = fs::remove_dir_all(self.path.parent().unwrap());
    }
}

fn answer(ask: Ask, log: &Mutex<Vec<Noted>>, handle: impl Fn() -> Option<Arc<ControlHandle>>) {
    match ask {
        Ask::Config { settings, reply } => drop(reply.send(if settings {
            Reply::Settings(Default::default())
        } else {
            Reply::Config(Default::default())
        })),
        Ask::Confirm { reply, .. } => drop(reply.send(Reply::Reloaded(Reloaded {
            revision: 18,
            ..Reloaded::default()
        }))),
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
            ..Reloaded::default()
        }))),
        Ask::Runs { servers, reply } => drop(reply.send(runs(servers))),
        Ask::Test { asked, reply } => drop(reply.send(Reply::Tested(tested(asked)))),
        Ask::Foresee { asked, reply } => drop(reply.send(Reply::Foreseen(Box::new(Foreseen {
            for_ms: asked.for_ms,
            notes: vec![format!("{} supposed", asked.events.len())],
            ..Foreseen::default()
        })))),
        Ask::Act {
            actor,
            act,
            expect,
            reply,
            ..
        } => {
            log.lock().unwrap().push((actor.clone(), act.clone(), expect));
            let wanted = act.message.strip_prefix("refuse ");
            let code = RefusalCode::ALL.iter().find(|code| Some(code.word()) == wanted);
            if let Some(code) = code {
                let mut refusal = Refusal::new(*code, format!("refused: {code:?}"), "add --force");
                refusal.details = vec![("service".into(), "web".into())];
                drop(reply.send(Reply::Refused(refusal)));
                return;
            }
            if matches!(act.verb, Verb::Promote { .. }) {
                let refusal = Refusal::new(RefusalCode::Fault, "VI_mgmt is in FAULT", "fix eth2");
                drop(reply.send(Reply::Refused(refusal)));
                return;
            }
            let _ = reply.send(Reply::Acted(Acted {
                dry_run: act.dry_run,
                op: 7,
                targets: act
                    .targets
                    .iter()
                    .map(|target| TargetReport {
                        target: target.clone(),
                        outcome: Outcome::Done,
                        change: "weight 100 -> 0".into(),
                        active: Some(3),
                    })
                    .collect(),
                effects: Vec::new(),
                warnings: Vec::new(),
            }));
            let Some(handle) = handle() else { return };
            for target in act.targets {
                if let Target::Server(id) = target
                    && let Some(view) = fixture::demo().snapshot.state.servers.get(&id)
                {
                    let mut view = view.clone();
                    Arc::make_mut(&mut view).admin = Admin::Drained;
                    handle.emit(Event {
                        what: What::DrainFinished,
                        object: ObjectId::Server(id),
                        text: "drained".into(),
                        why: None,
                        actor: Some(actor.clone()),
                        at: view.since,
                        changes: vec![Change::Put(Object::Server(view))],
                    });
                }
            }
        }
    }
}

fn drain(name: &str) -> Act {
    Act {
        verb: Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        targets: vec![Target::Server(name.parse().unwrap())],
        dry_run: false,
        force: false,
        message: "kernel update".into(),
        key: Some("deploy-42".into()),
    }
}

const SERVER: &str = "203.0.113.10:443/tcp/198.51.100.21:443";

/// The room's doors with nobody behind them.
pub(super) fn doors() -> Arc<Doors> {
    let hub = Arc::new(Hub::new(Instant::now()));
    let engine = Arc::new(Engine::new(ToEngine::new(|_| false), Arc::clone(&hub)));
    let (_, stopped) = watch::channel(false);
    Doors::new(
        hub,
        engine,
        Roles::default(),
        |_| Ok(Vec::new()),
        stopped,
        MetricsSetup::default(),
        Setup::at(PathBuf::new()).log,
    )
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

fn tested(asked: TestAsk) -> Tested {
    let server = |server| TestedServer {
        server,
        checks: vec![TestedCheck {
            kind: "SSL_GET".into(),
            target: "198.51.100.21:443 /healthz".into(),
            end: TestEnd::Passed,
            took_us: Some(2_104),
            detail: String::new(),
            weight: None,
        }],
    };
    Tested {
        dry_run: asked.dry_run,
        servers: asked.servers.into_iter().map(server).collect(),
    }
}
