//! Streams: what those who watch are sent.

use super::*;

#[test]
fn a_watcher_folds_events_to_the_hubs_state() {
    let room = Room::new();
    let mut watch = room.client().watch().unwrap();
    let Some(Update::Snapshot(snapshot)) = watch.next_within(Duration::from_secs(10)).unwrap() else {
        panic!("a watch begins with a snapshot");
    };
    let mut state = snapshot.state;
    room.client().act(drain(SERVER)).unwrap();
    let Some(Update::Event(event)) = watch.next_within(Duration::from_secs(10)).unwrap() else {
        panic!("then comes the event");
    };
    assert_eq!(event.seq, snapshot.seq + 1);
    state.apply(&event.event);
    assert_eq!(state, room.client().snapshot().unwrap().state);
    assert_eq!(state.servers[&SERVER.parse().unwrap()].admin, Admin::Drained);
}

#[test]
fn a_stream_brings_numbered_events_of_its_topics() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(stream, "{{\"id\":2,\"op\":\"watch\",\"topics\":[\"action\"]}}").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let head = next();
    assert_eq!(
        (head["stream"].clone(), head["id"].clone()),
        (true.into(), 2.into())
    );
    room.client().act(drain(SERVER)).unwrap();
    let event = next();
    assert_eq!(event["seq"], head["from"].as_u64().unwrap() + 1);
    assert_eq!(event["event"]["kind"], "action");
    assert_eq!(event["event"]["what"], "drain.finished");
    assert_eq!(event["event"]["object"], "web/198.51.100.21:443");
    // The same connection still answers requests.
    writeln!(stream, "{{\"id\":3,\"op\":\"ping\"}}").unwrap();
    assert_eq!(next()["id"], 3);
}

#[test]
fn a_third_stream_on_a_connection_is_refused() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    for id in 1..=3 {
        writeln!(stream, "{{\"id\":{id},\"op\":\"watch\"}}").unwrap();
    }
    let lines: Vec<serde_json::Value> = BufReader::new(stream)
        .lines()
        .take(3)
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect();
    let refused: Vec<_> = lines.iter().filter(|line| line["ok"] == false).collect();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0]["id"].clone(), refused[0]["error"]["code"].clone()),
        (3.into(), "busy".into())
    );
}

#[test]
fn fifo_lines_are_those_of_keepalived() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(
        stream,
        "{{\"op\":\"watch\",\"format\":\"fifo\"}}\n{{\"op\":\"ping\"}}"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(
        lines.next().unwrap().unwrap().contains("pong"),
        "the stream is open"
    );
    let state = fixture::demo().snapshot.state;
    let service = "203.0.113.25:25/tcp".parse().unwrap();
    let server = "203.0.113.10:443/tcp/198.51.100.25:443".parse().unwrap();
    for (what, object) in [
        (
            What::BecameBackup,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        // It has other settings: that is no change of state.
        (
            What::InstanceChanged,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        (
            What::PriorityChanged,
            Object::Instance(Arc::clone(&state.instances[&"VI_int".into()])),
        ),
        (
            What::GroupChanged,
            Object::Group(state.groups[&"VG_edge".into()].clone()),
        ),
        (
            What::ServerDown,
            Object::Server(Arc::clone(&state.servers[&server])),
        ),
        (
            What::QuorumLost,
            Object::Service(Arc::clone(&state.services[&service])),
        ),
    ] {
        room.handle.as_ref().unwrap().emit(Event {
            what,
            object: object.id(),
            text: String::new(),
            why: None,
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(object)],
        });
    }
    let got: Vec<String> = lines.take(5).map(Result::unwrap).collect();
    assert_eq!(
        got,
        [
            "INSTANCE \"VI_int\" BACKUP 130",
            "INSTANCE \"VI_int\" BACKUP_PRIORITY 130",
            "GROUP \"VG_edge\" MASTER 0",
            "RS [198.51.100.25]:tcp:443 [203.0.113.10]:tcp:443 DOWN",
            "VS [203.0.113.25]:tcp:25 DOWN",
        ]
    );
}

#[test]
fn a_stream_may_begin_at_a_time() {
    let room = Room::new();
    let handle = room.handle.as_ref().unwrap();
    let agent = fixture::demo().snapshot.state.agent;
    let before = room.client().snapshot().unwrap().seq;
    for _ in 0..2 {
        handle.emit(Event {
            what: What::Applied,
            object: ObjectId::Agent,
            text: "applied".into(),
            why: None,
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(Object::Agent(Box::new(agent.clone())))],
        });
    }
    while room.client().snapshot().unwrap().seq < before + 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let begun = |from: &str| {
        let mut stream = UnixStream::connect(&room.path).unwrap();
        writeln!(stream, "{{\"op\":\"watch\",\"from\":\"{from}\"}}").unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut next =
            || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
        let head = next();
        let past = head["from"].as_u64().is_some_and(|from| from <= before + 2);
        (head, past.then(|| next()["seq"].clone()))
    };
    // What the room was furnished with has no words of its own and is not kept.
    assert_eq!(begun("15m").1, Some((before + 1).into()));
    assert_eq!(begun("2001-01-01T00:00:00Z").1, Some((before + 1).into()));
    assert_eq!(begun("2101-01-01T00:00:00Z").0["from"], before + 3);
    assert_eq!(begun("yesterday").0["error"]["code"], "bad-duration");
}
