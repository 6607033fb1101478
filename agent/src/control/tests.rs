use super::*;
use lb_shared::client::{Client, ClientError, Update};
use lb_shared::counters::Counters;
use lb_shared::event::{Change, What};
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

mod docs;
mod roles;
mod same;
mod schema;
mod slow;

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
            socket: path.clone(),
            read_only: Some(folder.join("agent-ro.sock")),
            epoch: Instant::now(),
            peer_groups: |_| Ok(Vec::new()),
            give_memory_back: || {},
            metrics: Default::default(),
            keeper: None,
            log: log_setup(),
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
        Ask::Config { reply } => drop(reply.send(Reply::Config(Default::default()))),
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
        },
        targets: vec![Target::Server(name.parse().unwrap())],
        dry_run: false,
        force: false,
        message: "kernel update".into(),
        key: Some("deploy-42".into()),
    }
}

const SERVER: &str = "203.0.113.10:443/tcp/198.51.100.21:443";

#[test]
fn both_dialects_read_the_same_state() {
    let room = Room::new();
    let snapshot = room.client().snapshot().unwrap();
    assert_eq!(snapshot.state, fixture::demo().snapshot.state);
    assert_eq!(snapshot.role, Some(Role::Admin));
    let replies = room.shell("{\"id\":1,\"op\":\"status\"}\n{\"id\":\"b\",\"op\":\"vrrp\"}\n");
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0]["id"], 1);
    assert_eq!(replies[0]["data"]["agent"]["host"], snapshot.state.agent.host);
    assert_eq!(replies[0]["data"]["problems"][1]["object"], "mail");
    assert_eq!(replies[0]["data"]["traffic"]["active"], 27_058);
    assert_eq!(replies[1]["id"], "b");
    assert_eq!(replies[1]["data"].as_array().unwrap().len(), 4);
}

#[test]
fn a_watcher_folds_events_to_the_hubs_state() {
    let room = Room::new();
    let mut watch = room.client().watch().unwrap();
    let Some(Update::Snapshot(snapshot)) = watch.next_within(Duration::from_secs(10)).unwrap() else {
        panic!("a watch begins with a snapshot");
    };
    let mut state = snapshot.state;
    room.client().act(drain(SERVER)).unwrap();
    let Some(Update::Event(event)) = watch.next_within(Duration::from_secs(10)).unwrap() else {
        panic!("then comes the event");
    };
    assert_eq!(event.seq, snapshot.seq + 1);
    state.apply(&event.event);
    assert_eq!(state, room.client().snapshot().unwrap().state);
    assert_eq!(state.servers[&SERVER.parse().unwrap()].admin, Admin::Drained);
}

#[test]
fn an_act_reaches_the_engine_with_who_asked() {
    let room = Room::new();
    room.client().act(drain(SERVER)).unwrap();
    let acts = room.acts.lock().unwrap();
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0].0.uid, nix::unistd::geteuid().as_raw());
    assert_eq!(acts[0].0.pid, std::process::id());
    assert_eq!(acts[0].1, drain(SERVER));
}

#[test]
fn a_refusal_of_the_engine_reaches_both_dialects() {
    let room = Room::new();
    let act = Act {
        verb: Verb::Promote { for_ms: None },
        targets: vec![Target::Instance("VI_mgmt".into())],
        key: None,
        ..drain(SERVER)
    };
    match room.client().act(act) {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::Fault),
        other => panic!("{other:?}"),
    }
    let reply = &room.shell("{\"op\":\"promote\",\"targets\":[\"VI_mgmt\"]}")[0];
    assert_eq!(
        (reply["ok"].clone(), reply["error"]["code"].clone()),
        (false.into(), "refused-fault".into())
    );
    assert_eq!(reply["error"]["exit"], 4);
}

#[test]
fn a_lowered_role_may_not_act_and_is_not_raised_again() {
    let room = Room::new();
    let replies = room.shell(concat!(
        "{\"op\":\"role\",\"role\":\"viewer\"}\n",
        "{\"op\":\"drain\",\"targets\":[\"web/198.51.100.21\"]}\n",
        "{\"op\":\"role\",\"role\":\"admin\"}\n",
        "{\"op\":\"servers\",\"targets\":[\"mail\"]}\n",
    ));
    assert_eq!(replies[0]["data"]["role"], "viewer");
    assert_eq!(replies[1]["error"]["code"], "forbidden");
    assert_eq!(replies[1]["error"]["details"]["needed"], "operator");
    assert_eq!(replies[2]["error"]["code"], "forbidden");
    assert_eq!(replies[3]["data"].as_array().unwrap().len(), 2);
    assert_eq!(room.acts.lock().unwrap().len(), 0);
}

#[test]
fn the_read_only_socket_makes_everybody_a_viewer() {
    let room = Room::new();
    let path = room.path.with_file_name("agent-ro.sock");
    let mut client = Client::connect(&path).unwrap();
    assert_eq!(client.hello("test").unwrap().role, Role::Viewer);
    match client.act(drain(SERVER)) {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::Forbidden),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_past_is_told_in_samples_and_at_a_moment() {
    let room = Room::new();
    let replies = room.shell(concat!(
        "{\"op\":\"history\",\"targets\":[\"web/198.51.100.25\"],\"series\":[\"state\",\"active\"],\"since\":\"5m\"}\n",
        "{\"op\":\"history\",\"series\":[\"colour\"]}\n",
        "{\"op\":\"vrrp\",\"at\":\"1h\"}\n",
        "{\"op\":\"vrrp\",\"at\":\"0s\"}\n",
    ));
    let row = &replies[0]["data"]["rows"][0];
    assert_eq!(row["object"], "web/198.51.100.25:443", "{}", replies[0]);
    assert_eq!(row["checks"][0]["result"], "failed");
    assert_eq!(row["checks"][0]["why"], "status 503");
    assert!(row.get("state").is_some() && row.get("weight").is_none());
    assert_eq!(replies[1]["error"]["code"], "bad-request");
    assert_eq!(replies[2]["error"]["code"], "not-found");
    assert_eq!(replies[3]["data"].as_array().unwrap().len(), 4);
    let now = room.client().snapshot().unwrap();
    let past = room.client().past(now.wall_ms).unwrap();
    assert_eq!(past.snapshot.state, now.state);
}

#[test]
fn bad_lines_are_told_and_the_next_is_served() {
    let room = Room::new();
    let replies = room.shell(concat!(
        "{\"op\":\n",
        "[1]\n",
        "{\"id\":3,\"op\":\"fly\"}\n",
        "{\"id\":4,\"v\":9,\"op\":\"ping\"}\n",
        "{\"id\":5,\"op\":\"is\",\"cond\":\"master\",\"targets\":[\"VI_edge\"],\"colour\":\"red\"}\n",
        "{\"id\":6,\"op\":\"drain\",\"targets\":[\"web\"]}\n",
        "{\"id\":7,\"op\":\"drain\",\"targets\":[\"web/198.51.100.2[12]\"]}\n",
        "{\"id\":8,\"op\":\"drain\",\"targets\":[\"web/198.51.100.21\"],\"timeout\":\"300\"}\n",
        "{\"id\":9,\"op\":\"show\",\"targets\":[\"nobody\"]}\n",
        "{\"id\":10,\"op\":\"ping\"}",
    ));
    let codes: Vec<_> = replies
        .iter()
        .map(|reply| reply["error"]["code"].as_str().unwrap_or("ok"))
        .collect();
    assert_eq!(
        codes,
        [
            "bad-json",
            "bad-json",
            "unknown-op",
            "bad-version",
            "ok",
            "bad-selector",
            "confirm",
            "bad-duration",
            "not-found",
            "ok"
        ]
    );
    assert_eq!(replies[4]["data"]["holds"], true);
    assert_eq!(replies[4]["ignored"], serde_json::json!(["colour"]));
    assert_eq!(replies[9]["data"], "pong");
}

#[test]
fn drains_under_way_are_listed_as_operations() {
    let room = Room::new();
    let reply = &room.shell("{\"op\":\"ops\"}")[0];
    assert_eq!(reply["data"].as_array().unwrap().len(), 1);
    assert_eq!(reply["data"][0]["object"], "web/198.51.100.24:443");
    assert_eq!(reply["data"][0]["active_at_start"], 4_655);
}

#[test]
fn rows_come_one_by_one_with_an_end() {
    let room = Room::new();
    let replies = room.shell("{\"id\":1,\"op\":\"servers\",\"filter\":\"st:down\",\"rows\":true}");
    assert_eq!(replies.first().unwrap()["rows"], true);
    assert_eq!(replies.len(), 6);
    assert!(replies[1..5].iter().all(|reply| reply["row"]["state"] == "down"));
    assert_eq!(
        *replies.last().unwrap(),
        serde_json::json!({"v":1,"id":1,"end":true,"rows":4})
    );
}

#[test]
fn a_drain_with_wait_is_answered_when_it_is_drained() {
    let room = Room::new();
    let reply = &room
        .shell("{\"op\":\"drain\",\"targets\":[\"web/198.51.100.21\"],\"timeout\":\"10m\",\"wait\":true}")[0];
    assert_eq!(reply["data"]["waited"]["holds"], true, "{reply}");
    assert_eq!(reply["data"]["targets"][0]["object"], "web/198.51.100.21:443");
}

#[test]
fn a_wait_that_runs_out_says_what_is_missing() {
    let room = Room::new();
    let reply =
        &room.shell("{\"op\":\"wait\",\"cond\":\"master\",\"targets\":[\"VI_int\"],\"timeout\":\"10ms\"}")[0];
    assert_eq!(reply["error"]["code"], "timeout");
    assert_eq!(reply["error"]["message"], "not yet: VI_int is BACKUP");
}

#[test]
fn a_stream_brings_numbered_events_of_its_topics() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(stream, "{{\"id\":2,\"op\":\"watch\",\"topics\":[\"action\"]}}").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let head = next();
    assert_eq!(
        (head["stream"].clone(), head["id"].clone()),
        (true.into(), 2.into())
    );
    room.client().act(drain(SERVER)).unwrap();
    let event = next();
    assert_eq!(event["seq"], head["from"].as_u64().unwrap() + 1);
    assert_eq!(event["event"]["kind"], "action");
    assert_eq!(event["event"]["what"], "drain.finished");
    assert_eq!(event["event"]["object"], "web/198.51.100.21:443");
    // The same connection still answers requests.
    writeln!(stream, "{{\"id\":3,\"op\":\"ping\"}}").unwrap();
    assert_eq!(next()["id"], 3);
}

#[test]
fn a_second_agent_does_not_take_a_living_ones_socket() {
    let room = Room::new();
    let setup = Setup {
        socket: room.path.clone(),
        read_only: None,
        epoch: Instant::now(),
        peer_groups: |_| Ok(Vec::new()),
        give_memory_back: || {},
        metrics: Default::default(),
        keeper: None,
        log: log_setup(),
    };
    let runtime = Runtime::new().unwrap();
    let second = start(&setup, ToEngine::new(|_| false), runtime.handle());
    assert!(matches!(second, Err(BindError::Listening(_))));
    room.client().snapshot().unwrap();
}

#[test]
fn another_version_gets_our_preface_and_nothing_else() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    let other = frame::Version { major: 9, minor: 0 };
    stream.write_all(&other.preface()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, frame::VERSION.preface());
}

#[test]
fn a_frame_over_the_limit_is_refused_and_the_connection_closed() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(&frame::VERSION.preface()).unwrap();
    stream.write_all(&[0xff, 0xff, 0xff, 0xff, 1]).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut assembler = frame::Assembler::default();
    assembler.feed(&bytes[frame::PREFACE_LEN..]);
    match assembler.next_reply().unwrap() {
        Some(Reply::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::BadRequest),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_message_in_a_good_frame_costs_one_answer_only() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(&frame::VERSION.preface()).unwrap();
    stream.write_all(&[0, 0, 0, 2, 1, 99, 99]).unwrap();
    stream
        .write_all(&frame::encode_request(&Request::Counters).unwrap())
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut assembler = frame::Assembler::default();
    assembler.feed(&bytes[frame::PREFACE_LEN..]);
    assert!(matches!(assembler.next_reply().unwrap(), Some(Reply::Refused(_))));
    assert!(matches!(
        assembler.next_reply().unwrap(),
        Some(Reply::Counters(_))
    ));
}

#[test]
fn neither_dialect_gets_one_line_and_a_close() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    // The rest of what was sent is not read, which the kernel tells the client as a reset after the answer.
    let _ = stream.read_to_string(&mut text);
    assert!(text.contains("bad-json"), "{text}");
}

#[test]
fn a_message_with_control_characters_is_refused_before_the_engine() {
    let room = Room::new();
    let act = Act {
        message: "oops\u{1b}[2J".into(),
        ..drain(SERVER)
    };
    assert!(matches!(room.client().act(act), Err(ClientError::Refused(_))));
    assert_eq!(room.acts.lock().unwrap().len(), 0);
}

#[test]
fn the_socket_is_gone_with_its_handle() {
    let mut room = Room::new();
    room.handle = None;
    // Weak references of the fake core are upgraded only while it answers.
    let gone = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !room.path.exists()
    });
    assert!(gone);
}

#[test]
fn connections_over_the_limit_are_told_so_and_places_come_back() {
    let room = Room::new();
    // Root has all places, anybody else a share.
    let limit = if nix::unistd::geteuid().is_root() {
        limits::CONNECTIONS
    } else {
        limits::CONNECTIONS_PER_UID
    };
    let ask = |stream: &mut UnixStream| -> serde_json::Value {
        stream.write_all(b"{\"op\":\"ping\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let connect = || UnixStream::connect(&room.path).unwrap();
    let mut inside = Vec::new();
    // The furnishing's watch may still be on its way out.
    while inside.len() < limit {
        let mut stream = connect();
        if ask(&mut stream)["data"] == "pong" {
            inside.push(stream);
        }
    }
    assert_eq!(ask(&mut connect())["error"]["code"], "busy");
    inside.pop();
    let again = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        ask(&mut connect())["data"] == "pong"
    });
    assert!(again);
}

#[test]
fn a_third_stream_on_a_connection_is_refused() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    for id in 1..=3 {
        writeln!(stream, "{{\"id\":{id},\"op\":\"watch\"}}").unwrap();
    }
    let lines: Vec<serde_json::Value> = BufReader::new(stream)
        .lines()
        .take(3)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let refused: Vec<_> = lines.iter().filter(|line| line["ok"] == false).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0]["id"].clone(), refused[0]["error"]["code"].clone()),
        (3.into(), "busy".into())
    );
}

#[test]
fn fifo_lines_are_those_of_keepalived() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(
        stream,
        "{{\"op\":\"watch\",\"format\":\"fifo\"}}\n{{\"op\":\"ping\"}}"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(
        lines.next().unwrap().unwrap().contains("pong"),
        "the stream is open"
    );
    let state = fixture::demo().snapshot.state;
    let service = "203.0.113.25:25/tcp".parse().unwrap();
    let server = "203.0.113.10:443/tcp/198.51.100.25:443".parse().unwrap();
    for (what, object) in [
        (
            What::BecameBackup,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        // It has other settings: that is no change of state.
        (
            What::InstanceChanged,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        (
            What::PriorityChanged,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        (
            What::GroupChanged,
            Object::Group(state.groups[&"VG_edge".into()].clone()),
        ),
        (
            What::ServerDown,
            Object::Server(Arc::clone(&state.servers[&server])),
        ),
        (
            What::QuorumLost,
            Object::Service(Arc::clone(&state.services[&service])),
        ),
    ] {
        room.handle.as_ref().unwrap().emit(Event {
            what,
            object: object.id(),
            text: String::new(),
            why: None,
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(object)],
        });
    }
    let got: Vec<String> = lines.take(5).map(Result::unwrap).collect();
    assert_eq!(
        got,
        [
            "INSTANCE \"VI_int\" BACKUP 130",
            "INSTANCE \"VI_int\" BACKUP_PRIORITY 130",
            "GROUP \"VG_edge\" MASTER 0",
            "RS [198.51.100.25]:tcp:443 [203.0.113.10]:tcp:443 DOWN",
            "VS [203.0.113.25]:tcp:25 DOWN",
        ]
    );
}

#[test]
fn every_request_needs_exactly_its_role() {
    let act = |verb| {
        Request::Act(Act {
            verb,
            ..drain(SERVER)
        })
    };
    let change = lb_shared::request::WeightChange::Config;
    let table = [
        (Request::Snapshot, Role::Viewer),
        (Request::Counters, Role::Viewer),
        (Request::Watch, Role::Viewer),
        (Request::Listen, Role::Viewer),
        (act(Verb::Undrain), Role::Operator),
        (act(Verb::Disable { cut: false }), Role::Operator),
        (act(Verb::Weight(change)), Role::Operator),
        (act(Verb::Promote { for_ms: None }), Role::Admin),
        (act(Verb::Demote { hard: false }), Role::Admin),
        (act(Verb::Release), Role::Admin),
        (
            Request::Reload {
                dry_run: true,
                force: false,
            },
            Role::Viewer,
        ),
        (
            Request::Reload {
                dry_run: false,
                force: false,
            },
            Role::Admin,
        ),
        (
            Request::ReloadFor {
                force: false,
                for_ms: 60_000,
            },
            Role::Admin,
        ),
        (Request::Confirmed, Role::Admin),
        (Request::Config, Role::Viewer),
    ];
    let doors = doors();
    for (request, needed) in table {
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            let session = session::Session {
                role,
                peer: peer::Peer {
                    uid: 1,
                    gid: 1,
                    pid: 1,
                    groups: Vec::new(),
                },
                doors: Arc::clone(&doors),
            };
            assert_eq!(
                session.allow(&request).is_ok(),
                role >= needed,
                "{request:?} as {role:?}"
            );
        }
    }
}

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
        log_setup(),
    )
}

/// A log that takes every level.
fn log_setup() -> LogSetup {
    LogSetup {
        current: || "info".to_owned(),
        set: |_| Ok(()),
    }
}

#[test]
fn a_watcher_that_did_not_read_is_told_what_it_missed_and_starts_afresh() {
    let room = Room::new();
    let mut watch = room.client().watch().unwrap();
    let handle = Arc::clone(room.handle.as_ref().unwrap());
    let before = room.client().snapshot().unwrap().seq;
    let count = 40_000;
    let mut agent = fixture::demo().snapshot.state.agent;
    for round in 1..=count {
        agent.pid = round;
        handle.emit(Event {
            what: What::Applied,
            object: ObjectId::Agent,
            text: "x".repeat(100),
            why: None,
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(Object::Agent(Box::new(agent.clone())))],
        });
    }
    while room.client().snapshot().unwrap().seq < before + u64::from(count) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut state = lb_shared::state::State::default();
    let mut lost = 0;
    let mut last = 0;
    while last < before + u64::from(count) {
        match watch.next_within(Duration::from_secs(20)).unwrap().unwrap() {
            Update::Snapshot(snapshot) => {
                last = snapshot.seq;
                state = snapshot.state;
            }
            Update::Event(event) => {
                assert_eq!(event.seq, last + 1, "events have no gap but a told one");
                last = event.seq;
                state.apply(&event.event);
            }
            Update::Lost { from, to } => {
                assert_eq!(from, last + 1);
                lost += to + 1 - from;
            }
        }
    }
    assert!(lost > 0);
    assert_eq!(state.agent.pid, count);
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

#[test]
fn a_connection_is_told_what_changed_of_the_numbers_it_looks_at() {
    let room = Room::new();
    let mut client = room.client();
    let counters = client.counters().unwrap();
    let ids: Vec<ServerId> = counters.servers.keys().take(2).cloned().collect();
    let ask = WindowAsk {
        rows: Rows::These(ids.clone()),
        round: 0,
    };
    let patience = Duration::from_secs(10);
    let first = client.window(ask.clone(), patience).unwrap();
    let told: Vec<&ServerId> = first.servers.iter().map(|(id, _)| id).collect();
    assert_eq!((first.whole, told), (true, ids.iter().collect()));
    assert_eq!(first.totals, Some(CounterSums::of(&counters).all));
    assert!(client.window(ask.clone(), patience).unwrap().is_still());
    // Another connection was told nothing yet, and another round begins anew.
    assert!(room.client().window(ask.clone(), patience).unwrap().whole);
    let anew = WindowAsk { round: 1, ..ask };
    assert!(client.window(anew, patience).unwrap().whole);
}
