//! Both dialects ask the engine for the same, and its refusals reach both unchanged.

use super::*;
use lb_shared::expect::{Expected, Facts};
use lb_shared::request::WeightChange;
use serde_json::{Value, json};

const SERVER: &str = "203.0.113.10:443/tcp/198.51.100.21:443";

/// Each acting op: as a line, and as a frame.
fn acts() -> Vec<(Value, Verb, Target)> {
    let server = || Target::Server(SERVER.parse().unwrap());
    let instance = || Target::Instance("VI_int".into());
    let drain = Verb::Drain {
        timeout_ms: Some(60_000),
        then: DrainThen::Disable,
        inactive: false,
    };
    let to = WeightChange::To(lb_shared::units::Weight::clamped(50));
    vec![
        (
            json!({"op": "drain", "targets": [SERVER], "timeout": "60s", "then": "disable"}),
            drain,
            server(),
        ),
        (
            json!({"op": "undrain", "targets": [SERVER]}),
            Verb::Undrain,
            server(),
        ),
        (
            json!({"op": "undrain", "targets": [SERVER], "ramp": "60s"}),
            Verb::Ramp { over_ms: 60_000 },
            server(),
        ),
        (
            json!({"op": "disable", "targets": [SERVER], "cut": true}),
            Verb::Disable { cut: true },
            server(),
        ),
        (
            json!({"op": "weight", "targets": [SERVER], "weight": 50}),
            Verb::Weight(to),
            server(),
        ),
        (
            json!({"op": "promote", "targets": ["VI_int"], "for": "5m"}),
            Verb::Promote {
                for_ms: Some(300_000),
            },
            instance(),
        ),
        (
            json!({"op": "demote", "targets": ["VI_int"], "hard": true}),
            Verb::Demote { hard: true },
            instance(),
        ),
        (
            json!({"op": "release", "targets": ["VI_int"]}),
            Verb::Release,
            instance(),
        ),
    ]
}

#[test]
fn both_dialects_ask_the_engine_for_the_same() {
    let room = Room::new();
    for (mut line, verb, target) in acts() {
        for (dry_run, force, expecting) in [
            (true, false, false),
            (true, true, false),
            (false, false, true),
            (false, true, false),
        ] {
            room.acts.lock().unwrap().clear();
            line["dry_run"] = dry_run.into();
            line["force"] = force.into();
            line["message"] = "kernel update".into();
            let facts = Facts {
                state: Some("up".into()),
                weight: Some(100),
                ..Facts::default()
            };
            let mut expect = Vec::new();
            if expecting {
                line["expect"] = json!({"state": "up", "weight": 100});
                expect.push(Expected {
                    target: target.clone(),
                    facts,
                });
            } else {
                line["expect"] = Value::Null;
            }
            room.shell(&format!("{line}\n"));
            let act = Act {
                verb,
                targets: vec![target.clone()],
                dry_run,
                force,
                message: "kernel update".into(),
                key: None,
            };
            let _ = room.client().act_if(act.clone(), expect.clone());
            let acts = room.acts.lock().unwrap();
            let [(by_line, of_line, seen_line), (by_frame, of_frame, seen_frame)] = acts.as_slice() else {
                panic!("{line}: {} acts", acts.len());
            };
            assert_eq!((of_line, seen_line), (&act, &expect), "{line}");
            assert_eq!((of_frame, seen_frame), (&act, &expect), "{line}");
            assert_eq!(by_line.uid, by_frame.uid, "{line}");
        }
    }
}

#[test]
fn every_refusal_reaches_both_dialects_with_its_code_exit_advice_and_details() {
    let room = Room::new();
    for code in RefusalCode::ALL {
        // The made-up core refuses what is to be refused with the code in the message.
        let act = Act {
            verb: Verb::Release,
            targets: vec![Target::Instance("VI_int".into())],
            message: format!("refuse {}", code.word()),
            ..drain(SERVER)
        };
        let refusal = match room.client().act(Act { key: None, ..act }) {
            Err(ClientError::Refused(refusal)) => refusal,
            other => panic!("{code:?}: {other:?}"),
        };
        let line =
            json!({"op": "release", "targets": ["VI_int"], "message": format!("refuse {}", code.word())});
        let reply = &room.shell(&format!("{line}\n"))[0];
        assert_eq!(reply["ok"], false, "{code:?}");
        assert_eq!(reply["error"]["code"], code.word());
        assert_eq!(reply["error"]["exit"], code.exit(), "{code:?}");
        assert_eq!(reply["error"]["message"], refusal.message, "{code:?}");
        assert_eq!(reply["error"]["hint"], refusal.hint, "{code:?}");
        assert_eq!(reply["error"]["details"]["service"], "web", "{code:?}");
        assert_eq!((refusal.code, refusal.details.len()), (*code, 1));
    }
}

#[test]
fn what_nobody_can_see_cannot_be_expected() {
    let room = Room::new();
    for expect in [
        json!({"mood": "good"}),
        json!({"weight": "many"}),
        json!("up"),
        json!({"state": ["up"]}),
    ] {
        let line = json!({"op": "drain", "targets": [SERVER], "expect": expect});
        let reply = &room.shell(&format!("{line}\n"))[0];
        assert_eq!(reply["error"]["code"], "bad-request", "{line}: {reply}");
    }
    assert!(room.acts.lock().unwrap().is_empty());
}
