//! Several agents at once: by their sockets, and through a program that stands in for ssh.
#![allow(clippy::unwrap_used, reason = "what a test is made of may fail it")]

mod agent;

use agent::Agent;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

/// Two agents, a host that cannot be reached, and a configuration that names them.
struct Edge {
    one: Agent,
    two: Agent,
}

impl Edge {
    fn new() -> Self {
        let (one, two) = (Agent::new(), Agent::new());
        let ssh = one.folder.join("ssh");
        let script = format!(
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\ncase $2 in\nlb1) s={}/agent.sock;;\nlb2) \
             s={}/agent.sock;;\n*) echo \"ssh: connect to host $2 port 22: Connection timed out\" >&2; exit \
             255;;\nesac\nexec {} --socket $s proxy\n",
            one.folder.display(),
            two.folder.display(),
            env!("CARGO_BIN_EXE_lbctl")
        );
        fs::write(&ssh, script).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(one.folder.join("lbctl")).unwrap();
        let edge = Self { one, two };
        edge.configure("");
        edge
    }

    fn configure(&self, more: &str) {
        let config = format!(
            "default_cluster = \"edge\"\n[cluster.edge]\nhosts = [\"ssh://lb1\", \"ssh://lb2\"]\n[cluster.three]\nhosts \
             = [\"ssh://lb1\", \"ssh://lb2\", \"ssh://lb3\"]\n{more}"
        );
        fs::write(self.one.folder.join("lbctl/config.toml"), config).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lbctl"))
            .arg("--utc")
            .args(arguments)
            .env("XDG_CONFIG_HOME", &self.one.folder)
            .env("LBCTL_SSH", self.one.folder.join("ssh"))
            .env_remove("LBCTL_HOST")
            .env_remove("LBCTL_CLUSTER")
            .env_remove("LBCTL_SOCKET")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn sockets(&self) -> [String; 2] {
        [&self.one, &self.two].map(|agent| format!("unix:{}/agent.sock", agent.folder.display()))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn notes(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn lists_have_a_row_for_each_object_of_each_host_and_for_a_host_that_is_missing() {
    let edge = Edge::new();
    let output = edge.run(&["vrrp", "--cluster", "three"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let table = text(&output);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("S  HOST  STATE        INSTANCE"), "{table}");
    assert_eq!(lines.len(), 1 + 4 + 4 + 1, "{table}");
    assert!(lines[1].starts_with("#  lb1   MASTER       VI_edge"), "{table}");
    assert!(lines[5].starts_with("#  lb2   MASTER       VI_edge"), "{table}");
    assert!(lines[9].starts_with("!  lb3   UNREACHABLE  -"), "{table}");
    assert!(lines[9].ends_with("ssh: connection timed out"), "{table}");
    assert!(
        notes(&output).starts_with("lbctl: lb3: ssh: connection timed out\n"),
        "{}",
        notes(&output)
    );
}

#[test]
fn every_form_of_the_output_names_the_host() {
    let edge = Edge::new();
    let output = edge.run(&["servers", "mail", "-C", "three", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(document["hosts"][1]["host"], "lb2");
    assert_eq!(document["hosts"][1]["data"][0]["state"], "down");
    assert_eq!(document["hosts"][2]["state"], "unreachable");
    assert_eq!(document["hosts"][2]["error"]["exit"], 5);
    let output = edge.run(&["servers", "mail", "-C", "edge", "-o", "jsonl"]);
    let hosts: Vec<String> = text(&output)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["host"].to_string())
        .collect();
    assert_eq!(hosts, ["\"lb1\"", "\"lb1\"", "\"lb2\"", "\"lb2\""]);
    // A name is the same everywhere: once is enough for xargs.
    let output = edge.run(&["servers", "mail", "-C", "edge", "-o", "name"]);
    assert_eq!(text(&output).lines().count(), 2);
}

#[test]
fn hosts_by_socket_and_by_ssh_are_the_same_to_every_reading_verb() {
    let edge = Edge::new();
    let [one, two] = edge.sockets();
    let output = edge.run(&["--host", &one, "--host", &two, "is", "master", "VI_edge"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output).lines().count(), 2);
    let output = edge.run(&["-C", "edge", "is", "master", "VI_int"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).starts_with("lb1  no: "), "{output:?}");
    for verb in [
        &["why", "VI_int"][..],
        &["show", "web"],
        &["stats"],
        &["version"],
        &["hosts"],
        &["status"],
    ] {
        let mut arguments = vec!["-C", "edge"];
        arguments.extend(verb);
        let output = edge.run(&arguments);
        assert_eq!(output.status.code(), Some(0), "{verb:?} {output:?}");
        assert!(text(&output).contains("lb2"), "{verb:?} {output:?}");
    }
}

#[test]
fn an_act_on_several_hosts_is_tried_on_all_before_the_first_changes() {
    let edge = Edge::new();
    let server = "web/198.51.100.21";
    // One host is missing: nothing happens anywhere.
    let output = edge.run(&["drain", server, "-C", "three", "--yes"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(
        notes(&output).contains("nothing was changed on any host"),
        "{output:?}"
    );
    assert_eq!(edge.one.code(&["is", "drained", server]), 1);
    // Two targets of one name are two: they need a yes.
    let output = edge.run(&["drain", server, "-C", "edge"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let output = edge.run(&["drain", server, "-C", "edge", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output).contains("== lb1\ndry run: nothing is changed\n"),
        "{output:?}"
    );
    assert!(text(&output).contains("== lb2\n"), "{output:?}");
    assert_eq!(edge.one.code(&["is", "drained", server]), 1);
    let output = edge.run(&["drain", server, "-C", "edge", "--yes", "--wait"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text(&output).starts_with("lb1: web/198.51.100.21:443: draining"),
        "{output:?}"
    );
    let events = edge.run(&["events", "-C", "edge", "--kind", "action"]);
    assert_eq!(text(&events).lines().count(), 2, "{events:?}");
    for agent in [&edge.one, &edge.two] {
        assert_eq!(agent.code(&["is", "drained", server]), 0);
    }
}

#[test]
fn a_promote_takes_one_host_and_a_read_only_one_refuses_before_it_is_connected() {
    let edge = Edge::new();
    let output = edge.run(&["promote", "VI_int", "-C", "edge", "--yes"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        notes(&output).contains("promote takes exactly one host"),
        "{output:?}"
    );
    edge.configure("[host.\"ssh://lb3\"]\nread_only = true\n");
    let output = edge.run(&["drain", "web/198.51.100.21", "-C", "three", "--yes"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(notes(&output).contains("ssh://lb3 is read-only"), "{output:?}");
    assert!(!notes(&output).contains("timed out"), "{output:?}");
    // Looking is allowed.
    let output = edge.run(&["drain", "web/198.51.100.21", "-C", "edge", "--dry-run"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_promote_is_refused_where_the_present_master_may_not_yield() {
    let edge = Edge::new();
    // VI_int is BACKUP on both fixtures and hears 198.51.100.3; lb3, which may be it, cannot be reached.
    let promote = [
        "promote",
        "VI_int",
        "--host",
        "ssh://lb1",
        "-C",
        "three",
        "--dry-run",
    ];
    let output = edge.run(&promote);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(
        notes(&output).contains("198.51.100.3 is heard as master of VI_int, and lb3 cannot be reached"),
        "{output:?}"
    );
    assert!(notes(&output).contains("add --force"), "{output:?}");
    let mut required = promote.to_vec();
    required.extend(["--handover", "require"]);
    assert_eq!(edge.run(&required).status.code(), Some(4));
    // Without the question the fixture's own answer comes through: it refuses every promote as a fault.
    let mut never = promote.to_vec();
    never.extend(["--handover", "never"]);
    assert!(notes(&edge.run(&never)).contains("VI_mgmt is in FAULT"));
}

#[test]
fn an_unknown_key_is_a_warning_and_an_unknown_cluster_names_the_known_ones() {
    let edge = Edge::new();
    edge.configure("[host.\"ssh://lb1\"]\ncolour = \"red\"\n");
    let output = edge.run(&["vrrp", "-C", "edge"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        notes(&output).contains("unknown key host.\"ssh://lb1\".colour, ignored"),
        "{output:?}"
    );
    let output = edge.run(&["vrrp", "-C", "core"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(notes(&output).contains("clusters are edge three"), "{output:?}");
}

#[test]
fn a_drain_on_one_host_tells_who_else_would_use_the_server() {
    let edge = Edge::new();
    let drain = ["drain", "web/198.51.100.21", "--host", "ssh://lb1", "--yes"];
    let output = edge.run(&drain);
    assert_eq!(output.status.code(), Some(0), "{}", notes(&output));
    let want = "warning: only on lb1; lb2 would use it after a failover (--cluster does it everywhere)";
    assert!(notes(&output).contains(want), "{}", notes(&output));
    let dry = edge.run(&[&drain[..], &["--dry-run"]].concat());
    let said = text(&dry) + &notes(&dry);
    assert!(said.contains("lb2 would use it after a failover"), "{said}");
    let everywhere = edge.run(&["drain", "web/198.51.100.21", "--cluster", "edge", "--yes"]);
    assert!(
        !notes(&everywhere).contains("after a failover"),
        "{}",
        notes(&everywhere)
    );
}

#[test]
fn the_settings_of_two_hosts_are_compared() {
    let edge = Edge::new();
    let diff = ["config", "diff", "--host", "ssh://lb1", "--host", "ssh://lb2"];
    let output = edge.run(&diff);
    assert_eq!(
        text(&output),
        "lb1 and lb2 have the same settings (secrets are not compared)\n",
        "{output:?}"
    );
    let output = edge.run(&["config", "diff", "--host", "ssh://lb1", "--host", "ssh://lb3"]);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert_eq!(text(&output), "");
    // Each with its own file.
    let output = edge.run(&["config", "diff", "--cluster", "edge"]);
    assert!(text(&output).contains("== lb2"), "{output:?}");
}

#[test]
fn a_configuration_that_cannot_be_understood_stops_only_what_needs_it() {
    let edge = Edge::new();
    fs::write(edge.one.folder.join("lbctl/config.toml"), "[cluster.edge\n").unwrap();
    let [one, _] = edge.sockets();
    let looked = edge.run(&["--host", &one, "vrrp"]);
    assert_eq!(looked.status.code(), Some(0), "{}", notes(&looked));
    assert!(
        notes(&looked).contains("; going on without it"),
        "{}",
        notes(&looked)
    );
    let named = edge.run(&["vrrp", "--cluster", "edge"]);
    assert_eq!(named.status.code(), Some(2), "{}", notes(&named));
    let acted = edge.run(&["--host", &one, "drain", "web/198.51.100.21", "--yes"]);
    assert_eq!(acted.status.code(), Some(4), "{}", notes(&acted));
    assert!(
        notes(&acted).contains("it may say that this host is read-only"),
        "{}",
        notes(&acted)
    );
}
