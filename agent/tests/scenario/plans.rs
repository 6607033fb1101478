//! A plan names every kind of object that a file can have: what comes, what goes, and each setting that changes.

use crate::node::{Node, Start, model, service};
use lbagent::config::{Content, Facts, FileError, Files, ScriptFact, Users, load};
use lbagent::model::Model;
use std::time::Duration;

const FULL: &str = "\
global_defs {
    vrrp_garp_master_refresh 60
    vrrp_priority -5
    script_user root
}
track_group stands { group { VI_2 } }
static_ipaddress { 192.0.2.77/32 dev eth0 track_group stands }
static_routes { 198.51.100.0/24 via 192.0.2.1 dev eth0 no_track }
static_rules { from 192.0.2.0/24 table 100 priority 900 no_track }
vrrp_script chk {
    script /bin/true
    interval 2
}
vrrp_track_process web {
    process haproxy
    quorum 1
}
track_file load {
    file /run/load
    weight 2
}
bfd_instance near {
    neighbor_ip 192.0.2.2
    min_rx 100
}
vrrp_sync_group G {
    group { VI_1 VI_2 }
    notify_master /bin/true
}
vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress { 192.0.2.100/24 }
    virtual_routes { 203.0.113.0/24 via 192.0.2.1 }
    virtual_rules { from 192.0.2.100 table 100 priority 901 }
    track_bfd { near }
}
vrrp_instance VI_2 {
    interface eth0
    virtual_router_id 52
    priority 100
    virtual_ipaddress { 192.0.2.101/24 }
    track_script { chk }
    track_process { web }
    track_file { load }
}
virtual_server_group web { 192.0.2.100 80 }
virtual_server group web {
    protocol TCP
    lb_algo rr
    quorum 1
    sorry_server 192.0.2.50 80
    real_server 192.0.2.21 80 {
        weight 1
        TCP_CHECK { connect_timeout 3 }
    }
    real_server 192.0.2.22 80 {
        HTTP_GET {
            url {
                path /
                status_code 200
            }
        }
    }
}
virtual_server 192.0.2.101 53 {
    protocol UDP
    real_server 192.0.2.21 53 { MISC_CHECK { misc_path /bin/true } }
}
";

/// The objects of it, as a plan names them.
const OBJECTS: [&str; 16] = [
    "bfd:near",
    "file:load",
    "group:G",
    "process:web",
    "rs:",
    "script:chk",
    "static address 192.0.2.77/32",
    "static route 198.51.100.0/24",
    "static rule preference 900",
    "static track ",
    "vrrp:VI_1",
    "vrrp:VI_2",
    "vs:192.0.2.101:53/udp",
    "vs:group:web/tcp",
    "global_defs",
    "settings of process and host",
];

struct One<'a>(&'a str);

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        match path {
            "k.conf" => Ok(Content {
                bytes: self.0.as_bytes().to_vec(),
                ..Content::default()
            }),
            _ => Err(FileError("does not exist".to_owned())),
        }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn script(&self, _: &str, _: Option<(u32, u32)>) -> ScriptFact {
        ScriptFact::default()
    }
}

struct Root;

impl Users for Root {
    fn user(&self, name: &str) -> Option<(u32, u32)> {
        (name == "root").then_some((0, 0))
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }
}

fn of(text: &str) -> Model {
    let facts = Facts {
        users: &Root,
        ..Facts::default()
    };
    let loaded = load(&One(text), "k.conf", &facts);
    let findings: Vec<String> = loaded.findings.iter().map(|it| it.line()).collect();
    loaded.model.unwrap_or_else(|| panic!("{}", findings.join("\n")))
}

fn running(model: Model) -> Node {
    let mut node = Start::with(model).go();
    node.run_for(Duration::from_secs(5), &[]);
    node
}

#[test]
fn what_comes_and_what_goes_is_named() {
    let bare = || {
        let mut model = model(100, service("rr", 1));
        model.instances.clear();
        model.services.clear();
        model
    };
    for (sign, from, to) in [("+ ", bare(), of(FULL)), ("- ", of(FULL), bare())] {
        let changes = running(from).plan(to).changes;
        for object in OBJECTS {
            // These two are always there; of a service that comes or goes its servers are part.
            let sign = match object {
                "global_defs" | "settings of process and host" => "~ ",
                "rs:" => continue,
                _ => sign,
            };
            let named = changes
                .iter()
                .any(|line| line.starts_with(&format!("{sign}{object}")));
            assert!(named, "{sign}{object} is missing in\n{}", changes.join("\n"));
        }
    }
}

#[test]
fn each_setting_that_changes_is_told_from_what_to_what() {
    let mut node = running(of(FULL));
    for (from, to, told) in [
        (
            "vrrp_garp_master_refresh 60",
            "vrrp_garp_master_refresh 61",
            "~ vrrp:VI_1 garp_master_refresh 60s -> 61s",
        ),
        (
            "vrrp_priority -5",
            "vrrp_priority -6",
            "~ settings of process and host vrrp_priority -5 -> -6",
        ),
        (
            "    vrrp_priority",
            "    router_id other\n    vrrp_priority",
            "~ global_defs router_id ",
        ),
        (
            "192.0.2.77/32",
            "192.0.2.78/32",
            "+ static address 192.0.2.78/32 dev eth0",
        ),
        (
            "192.0.2.77/32",
            "192.0.2.78/32",
            "- static address 192.0.2.77/32 dev eth0",
        ),
        (
            "198.51.100.0/24",
            "198.51.101.0/24",
            "+ static route 198.51.101.0/24",
        ),
        (
            "table 100 priority 900",
            "table 101 priority 900",
            "+ static rule preference 900 from 192.0.2.0/24 table 101",
        ),
        (" track_group stands }", " }", "- static track "),
        ("interval 2", "interval 3", "~ script:chk interval 2s -> 3s"),
        ("quorum 1\n}", "quorum 2\n}", "~ process:web quorum 1 -> 2"),
        ("weight 2\n}", "weight 3\n}", "~ file:load weight 2 -> 3"),
        ("min_rx 100", "min_rx 200", "~ bfd:near min_rx 0.1s -> 0.2s"),
        (
            "notify_master /bin/true",
            "notify_master /bin/false",
            "~ group:G notify_master \"/bin/true\"",
        ),
        ("group { VI_1 VI_2 }", "group { VI_2 VI_1 }", "~ group:G "),
        ("priority 100", "priority 101", "~ vrrp:VI_1 priority 100 -> 101"),
        (
            "203.0.113.0/24 via",
            "203.0.114.0/24 via",
            "~ vrrp:VI_1 virtual_routes + 203.0.114.0/24",
        ),
        (
            "priority 901",
            "priority 902",
            "~ vrrp:VI_1 virtual_rules + preference 902 from 192.0.2.100",
        ),
        (
            "track_bfd { near }",
            "track_bfd { near weight 5 }",
            "~ vrrp:VI_1 track_bfd",
        ),
        (
            "{ 192.0.2.100 80 }",
            "{ 192.0.2.100 81 }",
            "~ vs:group:web/tcp virtual_server_group + 192.0.2.100:81/tcp",
        ),
        (
            "lb_algo rr",
            "lb_algo wlc",
            "~ vs:group:web/tcp lb_algo rr -> wlc",
        ),
        (
            "192.0.2.50 80",
            "192.0.2.51 80",
            "~ vs:group:web/tcp sorry_server 192.0.2.50:80",
        ),
        (
            "real_server 192.0.2.22",
            "real_server 192.0.2.23",
            "+ rs:group:web/tcp/192.0.2.23:80",
        ),
        (
            "real_server 192.0.2.22",
            "real_server 192.0.2.23",
            "- rs:group:web/tcp/192.0.2.22:80",
        ),
        (
            "weight 1",
            "weight 2",
            "~ rs:group:web/tcp/192.0.2.21:80 weight 1 -> 2",
        ),
        (
            "connect_timeout 3",
            "connect_timeout 4",
            "~ rs:group:web/tcp/192.0.2.21:80 TCP_CHECK connect_timeout 3s -> 4s",
        ),
        (
            "status_code 200",
            "status_code 204",
            "~ rs:group:web/tcp/192.0.2.22:80 HTTP_GET url",
        ),
        (
            "misc_path /bin/true",
            "misc_path /bin/false",
            "~ rs:192.0.2.101:53/udp/192.0.2.21:53 MISC_CHECK misc_path",
        ),
    ] {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL, "{from}");
        let changes = node.plan(of(&text)).changes;
        let found = changes.iter().any(|line| line.starts_with(told));
        assert!(found, "{from} to {to}:\n{}", changes.join("\n"));
        let others: Vec<&String> = changes.iter().filter(|it| it.contains("other details")).collect();
        assert!(others.is_empty(), "{from}: {others:?}");
    }
}
