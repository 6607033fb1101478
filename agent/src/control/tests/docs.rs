//! The examples of docs/socket.md, played: what is asked there is asked here, and what comes back has the form shown.

use super::schema::strict;
use super::*;
use serde_json::Value;
use std::sync::Arc;

/// An example: the request, if the block before has one, and the lines that are shown.
struct Example {
    line: usize,
    request: Option<Value>,
    shown: Vec<Value>,
}

/// The JSON object in a line of shell, in quotes, or on a line of its own.
fn request_in(line: &str) -> Option<Value> {
    let from = line.find("{\"")?;
    let to = line.rfind('}')?;
    let value: Value = serde_json::from_str(&line[from..=to]).ok()?;
    value.get("op").is_some().then_some(value)
}

fn examples(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut request = None;
    let mut block: Option<(&str, Vec<&str>)> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(kind)) => block = Some((kind, Vec::new())),
            (None, None) if line.starts_with("    {") => request = request_in(line),
            // A heading ends what an example can refer to.
            (None, None) if line.starts_with('#') => request = None,
            (None, None) => {}
            (Some((_, lines)), None) => lines.push(line),
            (Some((kind, lines)), Some(_)) => {
                match *kind {
                    "sh" => request = lines.iter().find_map(|line| request_in(line)),
                    "json" => examples.push(Example {
                        line: number,
                        request: request.take(),
                        shown: lines
                            .iter()
                            .map(|line| serde_json::from_str(line).unwrap())
                            .collect(),
                    }),
                    _ => {}
                }
                block = None;
            }
        }
    }
    examples
}

/// Every request of the page, wherever it stands.
fn requests(page: &str) -> Vec<(usize, Value)> {
    page.lines()
        .enumerate()
        .filter_map(|(number, line)| Some((number + 1, request_in(line)?)))
        .collect()
}

/// The names of fields and the kinds of values; what is null or empty in one of them may be anything in the other.
fn same_form(shown: &Value, real: &Value, place: &str) -> Result<(), String> {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            let names = |it: &serde_json::Map<String, Value>| it.keys().cloned().collect::<Vec<_>>();
            if place.ends_with(".details") || place.ends_with(".rejected") {
                return Ok(());
            }
            if names(shown) != names(real) {
                return Err(format!(
                    "{place}: {:?} is shown, {:?} comes",
                    names(shown),
                    names(real)
                ));
            }
            let mut fields = shown.iter();
            fields.try_for_each(|(name, value)| same_form(value, &real[name], &format!("{place}.{name}")))
        }
        (Value::Array(shown), Value::Array(real)) => match (shown.first(), real.first()) {
            (Some(shown), Some(real)) => same_form(shown, real, &format!("{place}[0]")),
            _ => Ok(()),
        },
        (Value::Null, _) | (_, Value::Null) => Ok(()),
        _ if std::mem::discriminant(shown) == std::mem::discriminant(real) => Ok(()),
        _ => Err(format!("{place}: {shown} is shown, {real} comes")),
    }
}

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/socket.md")).unwrap()
}

/// Asks, and reads as many lines as are shown. What follows a stream's first line is made to happen.
fn play(room: &Room, request: &Value, lines: usize) -> Vec<Value> {
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    writeln!(stream, "{request}").unwrap();
    if request["format"] == "fifo" {
        // It has no head of its own; the next answer shows that it was not refused.
        writeln!(stream, "{{\"op\":\"ping\"}}").unwrap();
    }
    let mut reader = BufReader::new(stream).lines();
    let mut real: Vec<Value> = Vec::new();
    while real.len() < lines {
        let line = reader.next().unwrap().unwrap();
        real.push(serde_json::from_str(&line).unwrap());
        if request["op"] == "watch" && real.len() == 1 {
            let state = fixture::demo().snapshot.state;
            let object = Object::Instance(Arc::clone(&state.instances[&"VI_int".into()]));
            room.handle.as_ref().unwrap().emit(Event {
                what: What::BecameBackup,
                object: object.id(),
                text: "MASTER -> BACKUP".into(),
                why: Some("heard 198.51.100.3 prio 140, ours 130".into()),
                actor: None,
                at: lb_shared::units::Mono::ZERO,
                changes: vec![Change::Put(object)],
            });
        }
    }
    real
}

#[test]
fn every_example_of_the_page_is_answered_in_the_form_it_shows() {
    let page = page();
    let document = lb_shared::schema::document();
    let lines = [
        "reply",
        "rows-begin",
        "rows-row",
        "rows-end",
        "stream-begin",
        "stream-event",
        "stream-beat",
        "stream-lost",
        "stream-sample",
        "stream-end",
    ];
    let mut played = 0;
    for example in examples(&page) {
        let Example { line, request, shown } = example;
        let Some(request) = request else {
            // Lines without a question: each is at least one of those there are.
            for value in &shown {
                let fits = lines
                    .iter()
                    .any(|name| strict(&document, &document["$defs"][*name], value, name).is_ok());
                assert!(fits, "line {line}: {value} is no line of the protocol");
            }
            continue;
        };
        played += 1;
        let room = Room::new();
        for (shown, real) in shown.iter().zip(play(&room, &request, shown.len())) {
            // What the made-up core cannot know is only held to the schema.
            if request["op"] == "history" {
                let data = &document["$defs"]["data-history"];
                strict(&document, data, &shown["data"], "history").unwrap();
                continue;
            }
            same_form(shown, &real, "").unwrap_or_else(|error| panic!("line {line}: {error}"));
        }
    }
    assert!(played >= 7, "{played} examples were played");
}

#[test]
fn every_request_on_the_page_is_understood() {
    let all = requests(&page());
    assert!(all.len() >= 10, "{} requests", all.len());
    for (line, request) in all {
        // What one of them changes is not there for the next.
        let reply = &play(&Room::new(), &request, 1)[0];
        if request["op"] == "promote" {
            // The made-up core refuses each.
            assert_eq!(reply["error"]["code"], "refused-fault", "line {line}: {reply}");
            continue;
        }
        assert_eq!(reply["ok"], true, "line {line}: {request}: {reply}");
        assert_eq!(reply["ignored"], Value::Null, "line {line}: {request}");
    }
}

#[test]
fn every_op_has_an_example_that_is_played() {
    let all = requests(&page());
    for (op, _) in lb_shared::schema::ops() {
        assert!(
            all.iter().any(|(_, request)| request["op"] == op.as_str()),
            "{op} has no example"
        );
    }
}

#[test]
fn every_op_and_every_argument_of_the_schema_is_on_the_page() {
    let page = page();
    let document = lb_shared::schema::document();
    for (op, _) in lb_shared::schema::ops() {
        let words = |word: &str| page.contains(&format!("`{word}`"));
        assert!(words(&op), "the op {op}");
        let properties = document["$defs"][format!("request-{op}")]["properties"]
            .as_object()
            .unwrap();
        for name in properties.keys().filter(|name| !name.ends_with("_s")) {
            assert!(words(name), "the argument {name} of {op}");
        }
    }
}
