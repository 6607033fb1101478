//! What the agent really answers, read by the schema it publishes.

use super::*;
use lb_shared::schema;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whether a value is what a schema says. Strict: a field that the schema does not know is an error, though the schema
/// itself would let it pass.
pub(super) fn strict(document: &Value, shape: &Value, value: &Value, place: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{place}: {value} is not {what}"));
    if *shape == json!(true) {
        return Ok(());
    }
    if let Some(name) = shape["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return strict(document, &document["$defs"][name], value, place);
    }
    if let Some(shapes) = shape["anyOf"].as_array() {
        let errors: Vec<String> = shapes
            .iter()
            .filter_map(|shape| strict(document, shape, value, place).err())
            .collect();
        return if errors.len() < shapes.len() {
            Ok(())
        } else {
            Err(errors.join("; or "))
        };
    }
    if let Some(word) = shape.get("const") {
        return if word == value {
            Ok(())
        } else {
            wrong(&word.to_string())
        };
    }
    if let Some(words) = shape["enum"].as_array() {
        return if words.contains(value) {
            Ok(())
        } else {
            wrong(&shape["enum"].to_string())
        };
    }
    match (shape["type"].as_str().unwrap(), value) {
        ("null", Value::Null) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => Ok(()),
        ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => Ok(()),
        ("string", Value::String(text)) => {
            if shape["format"] == "date-time" && humantime::parse_rfc3339(text).is_err() {
                return wrong("a moment");
            }
            Ok(())
        }
        ("array", Value::Array(items)) => items
            .iter()
            .enumerate()
            .try_for_each(|(nth, item)| strict(document, &shape["items"], item, &format!("{place}[{nth}]"))),
        ("object", Value::Object(fields)) => {
            for name in shape["required"].as_array().into_iter().flatten() {
                if !fields.contains_key(name.as_str().unwrap()) {
                    return Err(format!("{place}: {name} is missing"));
                }
            }
            fields.iter().try_for_each(|(name, value)| {
                let place = format!("{place}.{name}");
                match (shape["properties"].get(name), shape.get("additionalProperties")) {
                    (Some(shape), _) | (None, Some(shape)) => strict(document, shape, value, &place),
                    (None, None) => Err(format!("{place} is not in the schema")),
                }
            })
        }
        (kind, _) => wrong(kind),
    }
}

/// One request of every op with every argument it may have.
fn requests() -> Vec<Value> {
    let (web, server, mail) = ("web", "web/198.51.100.24", "mail");
    let acting = |op: &str, targets: &str, more: Value| {
        let mut request = json!({"op": op, "targets": [targets], "filter": "", "all": false, "force": false, "message": "m",
            "key": null, "yes": true, "dry_run": true, "wait": true, "wait_timeout": "1s"});
        let fields = more.as_object().unwrap().clone();
        request.as_object_mut().unwrap().extend(fields);
        request
    };
    vec![
        json!({"op": "hello", "client": "test"}),
        json!({"op": "ping"}),
        json!({"op": "role", "role": "admin"}),
        json!({"op": "status"}),
        json!({"op": "status", "targets": ["web", "VI_int"]}),
        json!({"op": "status", "at": "0s"}),
        json!({"op": "vrrp", "targets": "VI_*", "filter": "st:fault", "at": "0s"}),
        json!({"op": "vrrp"}),
        json!({"op": "services", "targets": [web, mail], "filter": ""}),
        json!({"op": "services", "at": "0s"}),
        json!({"op": "servers", "targets": [], "filter": "st:down"}),
        json!({"op": "servers", "at": "0s"}),
        json!({"op": "show", "at": "0s", "targets": ["VI_int", "group:VG_edge", "script:chk_db", "interface:eth1", web, server]}),
        json!({"op": "why", "at": "0s", "targets": ["VI_int"]}),
        json!({"op": "why", "targets": [web, mail, server, "VI_mgmt"]}),
        json!({"op": "stats", "targets": [web, "VI_int"], "at": "0s"}),
        json!({"op": "stats"}),
        json!({"op": "config"}),
        json!({"op": "events", "after": 0, "since": "1h", "kinds": ["check"], "limit": 10}),
        json!({"op": "events"}),
        json!({"op": "history", "targets": [server], "series": ["state"], "since": "1m", "step": "5s"}),
        json!({"op": "history"}),
        json!({"op": "ops", "at": "0s"}),
        json!({"op": "ops"}),
        json!({"op": "op", "targets": [server], "at": "0s"}),
        json!({"op": "hosts", "at": "0s"}),
        json!({"op": "metrics", "servers": "none", "compat": true}),
        json!({"op": "schema"}),
        json!({"op": "watch", "topics": ["check"], "targets": [web], "from": "now", "heartbeat": "1s", "format": "json",
            "window": ["VI_int"], "every": "1s"}),
        json!({"op": "what-if", "events": ["interface eth1 down"], "for": "30s"}),
        json!({"op": "is", "cond": "master", "targets": ["VI_edge"]}),
        json!({"op": "wait", "cond": "master", "targets": ["VI_edge"], "timeout_s": 1}),
        acting(
            "drain",
            server,
            json!({"timeout": "1m", "then": "keep", "inactive": true}),
        ),
        acting("undrain", server, json!({})),
        acting("disable", server, json!({"cut": true})),
        acting("weight", server, json!({"weight": 50})),
        acting("promote", "VI_int", json!({"for": "1m"})),
        acting("demote", "VI_int", json!({"hard": true})),
        acting("undrain", "web/198.51.100.21", json!({"ramp": "60s"})),
        acting("release", "VI_int", json!({})),
        json!({"op": "undo", "dry_run": true, "force": false, "message": "", "key": null, "wait": true, "wait_timeout": "1s"}),
        json!({"op": "reload", "dry_run": true, "force": false}),
        json!({"op": "reload", "confirm": "60s"}),
        json!({"op": "reload", "confirmed": true}),
        json!({"op": "config-show"}),
        json!({"op": "config-show", "defaults": true}),
        json!({"op": "test", "targets": ["web/198.51.100.21"], "dry_run": false}),
        json!({"op": "log", "level": "debug", "for": "10m", "dry_run": true}),
        json!({"op": "log", "level": "error", "of": "web", "for": "1m"}),
        json!({"op": "log"}),
    ]
}

#[test]
fn every_op_is_in_the_schema_with_its_role() {
    let here: Vec<&str> = ops::OPS.iter().map(|(name, _)| *name).collect();
    let mut there: Vec<String> = schema::ops().into_iter().map(|(name, _)| name).collect();
    let mut sorted = here.clone();
    sorted.sort_unstable();
    there.sort_unstable();
    assert_eq!(sorted, there);
    // The ops that act are those that are not for viewers; which role each needs is tried over the wire elsewhere.
    for (name, role) in schema::ops() {
        let acting = requests()
            .iter()
            .any(|it| it["op"] == name && it.get("dry_run").is_some());
        assert_eq!(acting, role != "viewer", "{name} needs {role}");
    }
}

#[test]
fn every_answer_is_what_the_schema_says() {
    let room = Room::new();
    let document = schema::document();
    let defs = &document["$defs"];
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for request in requests() {
        let op = request["op"].as_str().unwrap();
        *seen.entry(op.to_owned()).or_default() += 1;
        let given: serde_json::Map<String, Value> = request
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        strict(
            &document,
            &defs[format!("request-{op}")],
            &Value::Object(given),
            op,
        )
        .unwrap();
        if op == "watch" {
            // A stream has its own lines, seen below.
            continue;
        }
        let reply = &room.shell(&format!("{request}\n"))[0];
        strict(&document, &defs["reply"], reply, op).unwrap();
        assert_eq!(
            reply["ignored"],
            Value::Null,
            "{op} looks at every argument of the schema"
        );
        if reply["ok"] == true {
            strict(&document, &defs[format!("data-{op}")], &reply["data"], op).unwrap();
        } else {
            // The made-up core refuses to promote.
            assert_eq!(op, "promote", "{reply}");
            strict(&document, &defs["error"], &reply["error"], op).unwrap();
        }
    }
    for (name, _) in schema::ops() {
        assert!(seen.contains_key(&name), "no request of {name} was tried");
    }
}

#[test]
fn every_line_of_rows_and_streams_is_what_the_schema_says() {
    let room = Room::new();
    let document = schema::document();
    let check = |name: &str, line: &Value| strict(&document, &document["$defs"][name], line, name).unwrap();
    let rows = room.shell("{\"id\":1,\"op\":\"servers\",\"targets\":[\"mail\"],\"rows\":true}\n");
    check("rows-begin", &rows[0]);
    check("rows-row", &rows[1]);
    strict(&document, &document["$defs"]["server"], &rows[1]["row"], "row").unwrap();
    check("rows-end", rows.last().unwrap());
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(stream, "{{\"id\":\"s\",\"op\":\"watch\",\"heartbeat\":\"1s\"}}").unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    check("stream-begin", &next());
    room.client().act(drain(SERVER)).unwrap();
    check("stream-event", &next());
    check("stream-beat", &next());
}

#[test]
fn a_window_samples_what_it_names_and_no_more() {
    let room = Room::new();
    let document = schema::document();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    writeln!(
        stream,
        "{{\"op\":\"watch\",\"window\":[\"mail\",\"VI_int\"],\"every\":\"1s\"}}"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["stream"], true);
    for _ in 0..2 {
        let line = next();
        strict(&document, &document["$defs"]["stream-sample"], &line, "sample").unwrap();
        let names = |list: &str| -> Vec<String> {
            let list = line["sample"][list].as_array().unwrap();
            list.iter()
                .map(|it| it["name"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(names("vrrp"), ["VI_int"]);
        let servers = names("servers");
        assert!(
            servers.len() == 2 && servers.iter().all(|it| it.starts_with("mail/")),
            "{servers:?}"
        );
    }
    for (more, want) in [
        ("\"window\":[\"nobody\"]", "not-found"),
        ("\"window\":[\"web\"],\"every\":\"1ms\"", "bad-request"),
        ("\"every\":\"5s\"", "bad-request"),
        ("\"window\":[\"web\"],\"format\":\"fifo\"", "bad-request"),
    ] {
        let reply = &room.shell(&format!("{{\"op\":\"watch\",{more}}}\n"))[0];
        assert_eq!(reply["error"]["code"], want, "{more}: {reply}");
    }
}

#[test]
fn the_strict_reading_sees_what_is_wrong() {
    let document = json!({"$defs": {"a": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}});
    let shape = json!({"$ref": "#/$defs/a"});
    for (value, want) in [
        (json!({"x": 1}), ""),
        (json!({"x": 1.5}), "a.x: 1.5 is not integer"),
        (json!({}), "a: \"x\" is missing"),
        (json!({"x": 1, "y": 2}), "a.y is not in the schema"),
        (json!([]), "a: [] is not object"),
    ] {
        let found = strict(&document, &shape, &value, "a").err().unwrap_or_default();
        assert_eq!(found, want);
    }
}
