//! The program itself, against the agent's real control room with a made-up core behind it.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

use lb_shared::event::{Change, Event, What};
use lb_shared::fixture;
use lb_shared::request::{Acted, Outcome, Refusal, RefusalCode, Reloaded, Reply, TargetReport, Verb};
use lb_shared::state::{Admin, Object, ObjectId, Target};
use lb_shared::units::Weight;
use lbagent::control::{Ask, ControlHandle, Setup, ToEngine, start};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;
use tokio::runtime::Runtime;

struct Agent {
    handle: Option<Arc<ControlHandle>>,
    folder: PathBuf,
    _runtime: Runtime,
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Agent {
    fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("lbctl-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let runtime = Runtime::new().unwrap();
        let (asks, questions) = mpsc::channel();
        let setup = Setup {
            socket: folder.join("agent.sock"),
            read_only: None,
            epoch: Instant::now(),
            peer_groups: |_| Ok(Vec::new()),
        };
        let to = ToEngine::new(move |ask| asks.send(ask).is_ok());
        let handle = Arc::new(start(&setup, to, runtime.handle()).unwrap());
        for event in fixture::demo().snapshot.state.as_events() {
            handle.emit(event);
        }
        let core = Arc::downgrade(&handle);
        std::thread::spawn(move || {
            while let Ok(ask) = questions.recv() {
                if let Some(handle) = core.upgrade() {
                    answer(ask, &handle);
                }
            }
        });
        let agent = Self {
            handle: Some(handle),
            folder,
            _runtime: runtime,
        };
        let ready = agent.run(&["wait", "healthy", "web6", "--timeout", "20s"]);
        assert_eq!(ready.status.code(), Some(0), "{ready:?}");
        agent
    }

    fn command(&self, arguments: &[&str]) -> Command {
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

    fn run(&self, arguments: &[&str]) -> Output {
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

    fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    fn code(&self, arguments: &[&str]) -> i32 {
        self.run(arguments).status.code().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.handle = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Drains are over at once, promotes are refused, everything else is done and changes nothing.
fn answer(ask: Ask, handle: &ControlHandle) {
    match ask {
        Ask::Foresee { reply, .. } => drop(reply.send(Reply::Foreseen(Default::default()))),
        Ask::Counters { reply } => drop(reply.send(Reply::Counters(Box::new(fixture::demo().counters)))),
        Ask::Reload { dry_run, reply, .. } => drop(reply.send(Reply::Reloaded(Reloaded {
            dry_run,
            revision: 18,
            changes: vec!["~ vs:203.0.113.10:443/tcp quorum 200 -> 300".into()],
            findings: Vec::new(),
        }))),
        Ask::Act { act, actor, reply } => {
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
                let mut view = fixture::demo().snapshot.state.servers[&id].clone();
                view.admin = Admin::Drained;
                view.effective = Some(Weight::ZERO);
                handle.emit(Event {
                    what: What::DrainFinished,
                    object: ObjectId::Server(id),
                    text: "drained".into(),
                    why: None,
                    actor: Some(actor.clone()),
                    at: view.since,
                    changes: vec![Change::Put(Object::Server(Box::new(view)))],
                });
            }
        }
    }
}

#[test]
fn lists_print_rows_json_and_names() {
    let agent = Agent::new();
    let table = agent.text(&["services"]);
    assert!(table.starts_with("S  STATE  SERVICE"), "{table}");
    assert_eq!(table.lines().count(), 8);
    let document: serde_json::Value =
        serde_json::from_str(&agent.text(&["servers", "mail", "-o", "json"])).unwrap();
    assert_eq!(
        (document["v"].clone(), document["host"].clone()),
        (1.into(), "lb1".into())
    );
    assert_eq!(document["data"][0]["state"], "down");
    let lines = agent.text(&["servers", "--filter", "st:down", "-o", "jsonl"]);
    assert!(
        lines
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
    assert_eq!(lines.lines().count(), 4);
    assert_eq!(
        agent.text(&["servers", "web/198.51.100.24", "-o", "name"]),
        "203.0.113.10:443/tcp/198.51.100.24:443\n"
    );
    let columns = agent.text(&[
        "services",
        "--columns",
        "service,quorum",
        "--sort",
        "-active",
        "--no-headers",
    ]);
    assert_eq!(columns.lines().next(), Some("web        400/200"));
}

#[test]
fn the_socket_and_lbctl_give_the_same_json() {
    let agent = Agent::new();
    let own: serde_json::Value = serde_json::from_str(&agent.text(&["vrrp", "-o", "json"])).unwrap();
    let raw: serde_json::Value = serde_json::from_str(&agent.text(&["raw", "{\"op\":\"vrrp\"}"])).unwrap();
    let without_times = |value: &serde_json::Value| -> Vec<(String, String)> {
        let instances = value["data"].as_array().unwrap();
        instances
            .iter()
            .map(|it| (it["name"].to_string(), it["priority"].to_string()))
            .collect()
    };
    assert_eq!(without_times(&own), without_times(&raw));
    assert_eq!(without_times(&own).len(), 4);
}

#[test]
fn exit_codes_tell_no_from_not_reached() {
    let agent = Agent::new();
    for (arguments, want) in [
        (&["is", "master", "VI_edge"][..], 0),
        (&["is", "master", "VI_int"], 1),
        (&["is", "healthy", "mail"], 1),
        (&["is", "perfect"], 2),
        (&["servers", "--sort", "beauty"], 2),
        (&["drain", "web/198.51.100.21", "--timeout", "300"], 2),
        (&["drain", "web"], 2),
        (&["fly"], 2),
        (&["why", "nobody"], 3),
        (&["drain", "web/192.0.2.*"], 3),
        (&["servers", "web/192.0.2.*"], 0),
        (&["promote", "VI_int"], 4),
        (&["promote", "VI_mgmt", "--yes"], 4),
        (&["drain", "web/198.51.100.2[12]"], 4),
        (&["drain", "web/198.51.100.2[12]", "--dry-run"], 0),
        (&["wait", "master", "VI_int", "--timeout", "50ms"], 6),
        (&["--host", "unix:/nonexistent/s", "status"], 5),
        (&["--host", "ssh://lb2", "status"], 2),
        (&["raw", "{\"op\":\"fly\"}"], 5),
        (
            &[
                "raw",
                "{\"op\":\"ping\"}",
                "{\"op\":\"show\",\"targets\":[\"x\"]}",
            ],
            3,
        ),
    ] {
        assert_eq!(agent.code(arguments), want, "{arguments:?}");
    }
}

#[test]
fn a_refusal_is_explained_on_stderr_and_in_json() {
    let agent = Agent::new();
    let output = agent.run(&["promote", "VI_mgmt", "--yes", "-o", "json"]);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "lbctl: refused: VI_mgmt is in FAULT on lb1: interface eth2 is down\n  promote cannot lift a fault; fix \
         eth2 or use another node\n"
    );
    let error: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(error["error"]["code"], "refused-fault");
    assert_eq!(error["error"]["details"]["instance"], "VI_mgmt");
}

#[test]
fn a_drain_that_is_waited_for_ends_with_its_result() {
    let agent = Agent::new();
    let output = agent.run(&["drain", "web/198.51.100.21", "--wait", "-m", "kernel update"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some("web/198.51.100.21:443: draining, weight 100 -> 0, 4,812 active")
    );
    let last = lines.next().unwrap();
    assert!(last.starts_with("web/198.51.100.21:443: drained in "), "{last}");
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(
        notes.contains("warning: the configuration differs from lb2"),
        "{notes}"
    );
    assert_eq!(agent.code(&["is", "drained", "web/198.51.100.21"]), 0);
    let events = agent.text(&["events", "--kind", "action"]);
    assert!(
        events.contains("action   web/198.51.100.21:443  drained"),
        "{events}"
    );
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let agent = Agent::new();
    let mut child = agent
        .command(&["servers", "-o", "jsonl"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn colour_needs_a_terminal_or_an_order() {
    let agent = Agent::new();
    assert!(!agent.text(&["vrrp"]).contains('\u{1b}'));
    assert!(
        agent
            .text(&["vrrp", "--color", "always"])
            .contains("\u{1b}[1;31m")
    );
    let forced = agent
        .command(&["vrrp"])
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(forced.stdout.contains(&0x1b));
}

#[test]
fn a_reload_tells_what_changes() {
    let agent = Agent::new();
    assert_eq!(
        agent.text(&["reload", "--dry-run"]),
        "dry run: nothing is changed (r17 -> r18)\n  ~ vs:203.0.113.10:443/tcp quorum 200 -> 300\nresult: would be \
         accepted\n"
    );
}

#[test]
fn completions_and_versions_are_there() {
    let agent = Agent::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(agent.text(&["completion", shell]).contains("undrain"), "{shell}");
    }
    let version = agent.text(&["version"]);
    assert!(
        version.contains("lbagent  0.4.1, protocol 1.0, on lb1"),
        "{version}"
    );
}
