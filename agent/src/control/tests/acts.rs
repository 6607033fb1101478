//! Commands: what of them reaches the engine, with whose name, and what does not.

use super::*;

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
fn drains_under_way_are_listed_as_operations() {
    let room = Room::new();
    let reply = &room.shell("{\"op\":\"ops\"}")[0];
    assert_eq!(reply["data"].as_array().unwrap().len(), 1);
    assert_eq!(reply["data"][0]["object"], "web/198.51.100.24:443");
    assert_eq!(reply["data"][0]["active_at_start"], 4_655);
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
fn a_message_with_control_characters_is_refused_before_the_engine() {
    let room = Room::new();
    let act = Act {
        message: "oops\u{1b}[2J".into(),
        ..drain(SERVER)
    };
    assert!(matches!(room.client().act(act), Err(ClientError::Refused(_))));
    assert_eq!(room.acts.lock().unwrap().len(), 0);
}
