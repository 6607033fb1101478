//! The files keepalived writes on a signal.

use crate::node::{Did, Node, Start, model, service};
use lbagent::engine::{DumpAsk, Input};
use lbagent::model::{DumpKind, Model};
use std::time::Duration;

/// What a signal makes of a node: path and text.
fn written(node: &mut Node, kind: DumpKind, clear: bool) -> (String, String) {
    files(node, kind, clear).swap_remove(0)
}

/// All files that a signal makes.
fn files(node: &mut Node, kind: DumpKind, clear: bool) -> Vec<(String, String)> {
    node.did.clear();
    node.feed(Input::Dump(DumpAsk {
        kind,
        clear,
        wall_ms: 1_000_000_000,
    }));
    let told = node.did.iter().filter_map(|it| match it {
        Did::Told(text) => text.split_once(": "),
        _ => None,
    });
    told.map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect()
}

fn master(change: impl FnOnce(&mut Model)) -> Node {
    let mut model = model(150, service("rr", 1));
    change(&mut model);
    Start::with(model).go().mastered()
}

#[test]
fn data_has_the_lines_that_exporters_look_for() {
    let mut node = master(|_| {});
    let (path, text) = written(&mut node, DumpKind::Data, false);
    assert_eq!(path, "/tmp/keepalived.data");
    for line in [
        " VRRP Instance = VI_1",
        "   State = MASTER",
        "   Interface = eth0",
        "   Virtual Router ID = 51",
        "   Priority = 150",
        "   Effective priority = 150",
        "   Virtual IP (1):",
        "     192.0.2.100 dev eth0 scope global set",
    ] {
        assert!(text.lines().any(|it| it == line), "no '{line}' in\n{text}");
    }
}

#[test]
fn services_stand_beside_the_data() {
    for (named, path) in [
        (None, "/tmp/keepalived_check.data"),
        (Some("/run/there/"), "/run/there/keepalived_check.data"),
        (Some("/run/lb.txt"), "/run/lb_check.txt"),
        (Some("/run/a.b/lb"), "/run/a.b/lb_check"),
    ] {
        let mut node = master(|model| {
            let named = named.map(|it| (DumpKind::Data, it.to_owned()));
            model.global.dump_files.extend(named);
        });
        let files = files(&mut node, DumpKind::Data, false);
        assert_eq!(files.len(), 2);
        assert_eq!(files[1].0, path);
        let text = &files[1].1;
        for line in [
            "------< LVS Topology >------",
            " ------< Virtual server >------",
            "   lvs_sched = rr",
        ] {
            assert!(text.lines().any(|it| it == line), "no '{line}' in\n{text}");
        }
    }
}

#[test]
fn statistics_count_anew_after_they_were_cleared_and_clients_see_the_whole() {
    let sent = |text: &str| -> u64 {
        let line = text.lines().find_map(|it| it.trim().strip_prefix("Sent: "));
        line.expect("a line 'Sent'").parse().expect("a number")
    };
    let mut node = master(|_| {});
    let before = sent(&written(&mut node, DumpKind::Stats, true).1);
    assert!(before >= 5, "{before} adverts");
    let (_, text) = written(&mut node, DumpKind::Stats, false);
    assert_eq!(sent(&text), 0);
    node.run_for(Duration::from_secs(3), &[]);
    let (_, text) = written(&mut node, DumpKind::Stats, false);
    assert!((2..=4).contains(&sent(&text)), "{text}");
}

#[test]
fn json_has_keepalived_s_keys_in_both_layouts() {
    for version in [1, 2] {
        let mut node = master(|model| {
            model.global.json_version = version;
            model
                .global
                .dump_files
                .insert(DumpKind::Json, "/run/there/".into());
        });
        let (path, text) = written(&mut node, DumpKind::Json, false);
        assert_eq!(path, "/run/there/keepalived.json");
        let whole: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let list = if version == 2 { &whole["vrrp"] } else { &whole };
        let it = &list[0];
        assert_eq!(it["data"]["iname"], "VI_1");
        assert_eq!(it["data"]["state"], 2);
        assert_eq!(it["data"]["vipset"], true);
        assert_eq!(it["data"]["notify_deleted"], false);
        assert_eq!(it["data"]["vips"][0], "192.0.2.100 dev eth0 scope global");
        assert!(it["stats"]["advert_sent"].as_u64() >= Some(5), "{it}");
        assert_eq!(it["stats"]["become_master"], 1);
    }
}
