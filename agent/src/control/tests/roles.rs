//! What each role may do, asked over the wire in both dialects.

use super::*;
use serde_json::{Value, json};

/// The scripts' acting ops, each as a request that would otherwise be carried out, and the role it needs.
fn ops() -> Vec<(Value, Role)> {
    let server = "web/198.51.100.21";
    vec![
        (json!({"op": "drain", "targets": [server]}), Role::Operator),
        (json!({"op": "undrain", "targets": [server]}), Role::Operator),
        (json!({"op": "disable", "targets": [server]}), Role::Operator),
        (
            json!({"op": "weight", "targets": [server], "weight": "50"}),
            Role::Operator,
        ),
        (json!({"op": "promote", "targets": ["VI_int"]}), Role::Admin),
        (json!({"op": "demote", "targets": ["VI_int"]}), Role::Admin),
        (json!({"op": "release", "targets": ["VI_int"]}), Role::Admin),
        (json!({"op": "test", "targets": [server]}), Role::Operator),
        (json!({"op": "log", "level": "debug"}), Role::Admin),
        (json!({"op": "log"}), Role::Admin),
        (json!({"op": "reload"}), Role::Admin),
        (json!({"op": "reload", "dry_run": true}), Role::Viewer),
        (json!({"op": "reload", "confirm": "60s"}), Role::Admin),
        (json!({"op": "reload", "confirmed": true}), Role::Admin),
        (json!({"op": "config-show"}), Role::Viewer),
    ]
}

#[test]
fn a_script_acts_only_with_the_role_its_op_needs() {
    let room = Room::new();
    for (request, needed) in ops() {
        for role in [Role::Viewer, Role::Operator, Role::Admin] {
            room.acts.lock().unwrap().clear();
            let lower = json!({"op": "role", "role": role.word()});
            let replies = room.shell(&format!("{lower}\n{request}\n"));
            assert_eq!(replies[0]["data"]["role"], role.word());
            let error = &replies[1]["error"];
            assert_eq!(
                error["code"] == "forbidden",
                role < needed,
                "{request} as {role:?}: {error}"
            );
            if role < needed {
                assert_eq!(error["exit"], 4, "{request} as {role:?}");
                assert_eq!(error["details"]["role"], role.word());
                assert_eq!(error["details"]["needed"], needed.word());
                assert_eq!(room.acts.lock().unwrap().len(), 0, "{request} as {role:?}");
            }
        }
    }
}

#[test]
fn a_viewer_acts_in_neither_dialect() {
    let room = Room::new();
    let path = room.path.with_file_name("agent-ro.sock");
    let verbs = [
        Verb::Drain {
            timeout_ms: None,
            then: DrainThen::Keep,
            inactive: false,
        },
        Verb::Undrain,
        Verb::Disable { cut: false },
        Verb::Promote { for_ms: None },
        Verb::Demote { hard: true },
        Verb::Release,
    ];
    for verb in verbs {
        let act = Act {
            verb,
            ..drain(SERVER)
        };
        match Client::connect(&path).unwrap().act(act) {
            Err(ClientError::Refused(refusal)) => {
                assert_eq!(refusal.code, RefusalCode::Forbidden, "{verb:?}")
            }
            other => panic!("{verb:?}: {other:?}"),
        }
    }
    assert_eq!(room.acts.lock().unwrap().len(), 0);
}

#[test]
fn a_script_that_acts_is_known_by_uid_and_pid() {
    let room = Room::new();
    let replies = room.shell("{\"op\":\"drain\",\"targets\":[\"web/198.51.100.21\"]}\n");
    assert_eq!(replies[0]["ok"], true, "{}", replies[0]);
    let acts = room.acts.lock().unwrap();
    assert_eq!(acts[0].0.uid, nix::unistd::geteuid().as_raw());
    assert_eq!(acts[0].0.pid, std::process::id());
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

/// F104.
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
        (Request::Settings, Role::Viewer),
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
