//! The program itself, against the agent's real control room with a made-up core behind it.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::{Agent, GOING};
use std::process::Stdio;

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
        (&["--host", "ssh://-lb2", "status"], 2),
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
        "dry run: nothing is changed (r17 -> r18)\n  services   +0  ~1  -0\n  servers    +0  ~0  -1\n  \
         vrrp       +0  ~0  -0\n  overrides  1 kept (drain web/198.51.100.24:443)\n  \
         ~ vs:203.0.113.10:443/tcp quorum 200 -> 300\n  \
         - rs:203.0.113.10:443/tcp/198.51.100.22:443 (3 connections)\n\
         connections of what goes are cut at once; --drain-removed 10m lets them end first\n\
         moves a virtual address: no\nresult: would be accepted\n"
    );
}

#[test]
fn servers_that_a_reload_takes_away_drain_before_it() {
    let agent = Agent::new();
    let plan = agent.text(&["reload", "--dry-run", "--drain-removed", "10m"]);
    assert!(
        plan.ends_with("drains first, for up to 10m00s: web/198.51.100.22:443, 4,812 active\n"),
        "{plan}"
    );
    let done = agent.run(&["reload", "--drain-removed", "never"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let text = String::from_utf8(done.stdout).unwrap();
    let (drained, reloaded) = (text.find("drained in"), text.find("reloaded (r17 -> r18)"));
    assert!(drained.is_some() && drained < reloaded, "{text}");
    let drain = format!("drain {GOING}");
    assert_eq!(
        *agent.asked.lock().unwrap(),
        [
            "reload, dry run",
            &format!("{drain}, dry run"),
            "reload, dry run",
            &drain,
            "reload",
            &format!("un{drain}"),
        ]
    );
    assert_eq!(agent.code(&["reload", "--drain-removed", "10"]), 2);
}

#[test]
fn completions_and_versions_are_there() {
    let agent = Agent::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            agent.text(&["completion", shell]).contains("__complete"),
            "{shell}"
        );
    }
    assert!(agent.text(&["completion", "elvish"]).contains("undrain"));
    assert!(agent.text(&["man", "drain"]).contains(".TH lbctl-drain 1"));
    assert_eq!(agent.code(&["man", "fly"]), 2);
    let version = agent.text(&["version"]);
    assert!(
        version.contains("lbagent  0.4.1, protocol 1.1, on lb1"),
        "{version}"
    );
}

#[test]
fn what_a_new_hand_gets_wrong_is_answered_in_its_own_words() {
    let agent = Agent::new();
    let output = agent.run(&["weight", "web/198.51.100.24"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("a server and, last, a weight; 'web/198.51.100.24' is one word"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2));
    // The agent closes on what is no JSON: its answer is what counts, not the closing.
    let output = agent.run(&["raw", "nonsense"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    // What one host says can be read again as a configuration.
    assert!(!agent.text(&["config", "show"]).contains("=="));
    // The verb's own options stand before those of all verbs.
    let help = agent.text(&["drain", "--help"]);
    let place = |word: &str| help.find(word).unwrap_or_else(|| panic!("{word}: {help}"));
    let all = place("Options of all verbs:");
    assert!(
        place("--inactive") < all && place("-n, --dry-run") < all && all < place("-C, --cluster"),
        "{help}"
    );
}

/// The values offered for the last word. A busy machine may be slower than the limit allows, and gets nothing then.
fn offered(agent: &Agent, words: &[&str]) -> Vec<String> {
    let mut arguments = vec!["__complete", "--"];
    arguments.extend(words);
    let text = (0..50)
        .map(|_| agent.text(&arguments))
        .find(|text| !text.is_empty())
        .unwrap_or_default();
    text.lines()
        .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn live_names_are_offered_where_they_fit() {
    let agent = Agent::new();
    assert_eq!(offered(&agent, &["und"]), ["undrain", "undo"]);
    // Services first; servers after the slash, and only those the verb can do something with.
    assert_eq!(offered(&agent, &["drain", "we"]), ["web/", "web-plain/", "web6/"]);
    let servers = offered(&agent, &["drain", "web/"]);
    assert_eq!(servers.len(), 5, "{servers:?}");
    assert!(
        !servers.contains(&"web/198.51.100.24:443".to_owned()),
        "{servers:?}"
    );
    assert_eq!(offered(&agent, &["undrain", "web/"]), ["web/198.51.100.24:443"]);
    assert_eq!(offered(&agent, &["promote", "VI_e"]), ["VI_edge", "VI_edge6"]);
    assert_eq!(offered(&agent, &["why", "VI_i"]), ["VI_int"]);
    assert_eq!(offered(&agent, &["is", "ma"]), ["master"]);
    assert_eq!(offered(&agent, &["is", "healthy", "ma"]), ["mail"]);
    assert_eq!(offered(&agent, &["drain", "--then", "un"]), ["undrain"]);
    assert!(offered(&agent, &["drain", "--dry"]).contains(&"--dry-run".to_owned()));
    // No agent, no names, no complaint.
    let output = agent.run(&["__complete", "--", "--socket", "/nonexistent", "drain", ""]);
    assert_eq!(
        (output.status.code(), output.stdout.len(), output.stderr.len()),
        (Some(0), 0, 0)
    );
}

#[test]
fn bash_takes_what_is_offered_behind_the_colon() {
    let agent = Agent::new();
    let stub = agent.folder.join("lbctl.bash");
    std::fs::write(&stub, agent.text(&["completion", "bash"])).unwrap();
    let lbctl = env!("CARGO_BIN_EXE_lbctl");
    let script = format!(
        "source {}; COMP_LINE='{lbctl} undrain web/198.51.100.24:4'; COMP_POINT=${{#COMP_LINE}}; _lbctl; printf '%s\\n' \
         \"${{COMPREPLY[@]}}\"; COMP_LINE='{lbctl} drain ma'; COMP_POINT=${{#COMP_LINE}}; _lbctl; printf '%s\\n' \
         \"${{COMPREPLY[@]}}\"",
        stub.display()
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &script])
        .env("LBCTL_SOCKET", agent.folder.join("agent.sock"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "443\nmail/\n",
        "{output:?}"
    );
}

#[test]
fn a_session_is_recorded_and_read_again() {
    let agent = Agent::new();
    assert_eq!(agent.code(&["drain", "web/198.51.100.21"]), 0);
    for name in ["session.jsonl", "session.jsonl.gz"] {
        let file = agent.folder.join(name).display().to_string();
        let output = agent.run(&["record", "-w", &file, "--for", "1200ms"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let lines = agent.text(&["replay", &file, "-o", "jsonl"]);
        let values: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(values[0]["rec"], 1);
        assert!(
            values
                .iter()
                .all(|value| value["host"] == "lb1" && value["t"].is_string())
        );
        let has = |key: &str| values.iter().filter(|value| value.get(key).is_some()).count();
        assert_eq!((has("snapshot"), has("sample")), (1, 1), "{lines}");
        // What only lbtui takes is in the file and not printed.
        assert_eq!((has("wire"), has("protocol")), (0, 1), "{lines}");
        // The past comes before the present.
        let drained = values
            .iter()
            .position(|value| value["event"]["text"] == "drained")
            .unwrap();
        let whole = values
            .iter()
            .position(|value| value.get("snapshot").is_some())
            .unwrap();
        assert!(drained < whole, "{lines}");
        assert!(
            agent
                .text(&["replay", &file])
                .contains("web/198.51.100.21:443  drained")
        );
        // What is there is left alone.
        assert_eq!(agent.code(&["record", "-w", &file, "--for", "1s"]), 2);
    }
    let other = agent.folder.join("other");
    std::fs::write(&other, "{}\n").unwrap();
    assert_eq!(agent.code(&["replay", &other.display().to_string()]), 2);
}

#[test]
fn a_bundle_holds_what_it_lists() {
    let agent = Agent::new();
    let file = agent.folder.join("lb1.tar.gz").display().to_string();
    let output = agent.run(&["bundle", "-w", &file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let listed = String::from_utf8(output.stdout).unwrap();
    let tar = std::process::Command::new("tar")
        .args(["-tzf", &file])
        .output()
        .unwrap();
    let held = String::from_utf8(tar.stdout).unwrap();
    for line in listed.lines() {
        let name = line.split("  ").next().unwrap();
        assert!(
            held.contains(&format!("lbagent-bundle/{name}\n")),
            "{name} in {held}"
        );
    }
    for name in [
        "status.txt",
        "why.txt",
        "events.txt",
        "servers.json",
        "config.txt",
        "host/addresses.txt",
    ] {
        assert!(listed.contains(name), "{name} in {listed}");
    }
    assert_eq!(agent.code(&["bundle", "-w", &file]), 2);
}

#[test]
fn test_shows_how_each_check_ends() {
    let agent = Agent::new();
    let output = agent.run(&["test", "web/198.51.100.2[45]"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "S  SERVER                 CHECK    RESULT   TOOK  TARGET\n\
         +  web/198.51.100.24:443  SSL_GET  PASSED  2.1ms  198.51.100.24:443 /healthz\n\
         !  web/198.51.100.25:443  SSL_GET  FAILED  2.1ms  198.51.100.25:443 /healthz: status 503, want 200-299\n"
    );
    let text = agent.text(&["test", "web/198.51.100.25", "--dry-run"]);
    assert!(text.contains("WOULD-RUN"), "{text}");
    assert_eq!(agent.code(&["test", "web/198.51.100.25", "--dry-run"]), 0);
    let value: serde_json::Value =
        serde_json::from_str(&agent.text(&["test", "web/198.51.100.25", "-o", "json"])).unwrap();
    assert_eq!(value["data"]["servers"][0]["checks"][0]["end"], "failed");
    assert_eq!(value["data"]["passed"], false);
    assert_eq!(agent.code(&["test"]), 2);
    assert_eq!(agent.code(&["test", "web/192.0.2.99"]), 3);
}

#[test]
fn a_log_level_is_set_for_a_while() {
    let agent = Agent::new();
    assert_eq!(agent.text(&["log"]), "level info\n");
    let tried = agent.text(&["log", "debug", "--for", "10m", "--dry-run"]);
    assert_eq!(
        tried,
        "dry run: nothing is changed\nlevel debug, back to info in 10m00s\n"
    );
    assert_eq!(agent.text(&["log"]), "level info\n");
    assert_eq!(
        agent.text(&["log", "debug"]),
        "level debug, back to info in 30m00s\n"
    );
    assert!(agent.text(&["log"]).starts_with("level debug, back to info in "));
    assert_eq!(agent.text(&["log", "default"]), "level info\n");
    // A short change ends by itself, and an older one does not end a newer.
    assert_eq!(agent.code(&["log", "trace", "--for", "300ms"]), 0);
    assert_eq!(agent.code(&["log", "warn", "--for", "1h"]), 0);
    let ended = agent.run(&["raw", "{\"op\":\"log\",\"level\":\"error\",\"for\":\"1ms\"}"]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let mut text = String::new();
    for _ in 0..100 {
        text = agent.text(&["log"]);
        if text == "level info\n" {
            break;
        }
    }
    assert_eq!(text, "level info\n");
    assert_eq!(agent.code(&["log", "web=error", "--for", "1h"]), 0);
    let of_one = agent.text(&["log", "level", "check=warn"]);
    let want = "level of check warn, back to that of others in 30m00s\nlevel of web error, back to that of others in 1h00m";
    assert!(of_one.contains(want), "{of_one}");
    assert_eq!(agent.code(&["log", "nobody=warn"]), 3);
    assert_eq!(agent.code(&["log", "web=default"]), 0);
    assert_eq!(agent.code(&["log", "web=default"]), 3);
    assert_eq!(agent.code(&["log", "one", "two", "three"]), 2);
    assert_eq!(agent.code(&["log", "loud"]), 2);
    assert_eq!(agent.code(&["log", "--for", "1m"]), 2);
}
