//! Readers that do not read: what they cost, and what they are told.

use super::*;
use serde_json::Value;

fn event(agent: &lb_shared::state::AgentView, text: &str) -> Event {
    Event {
        what: What::Applied,
        object: ObjectId::Agent,
        text: text.to_owned(),
        why: None,
        actor: None,
        at: lb_shared::units::Mono::ZERO,
        changes: vec![Change::Put(Object::Agent(Box::new(agent.clone())))],
    }
}

/// Emits so many events and waits until all are folded.
fn flood(room: &Room, count: u32) -> u64 {
    let handle = Arc::clone(room.handle.as_ref().unwrap());
    let before = room.client().snapshot().unwrap().seq;
    let mut agent = fixture::demo().snapshot.state.agent;
    for round in 1..=count {
        agent.pid = round;
        handle.emit(event(&agent, &"x".repeat(100)));
    }
    let last = before + u64::from(count);
    while room.client().snapshot().unwrap().seq < last {
        std::thread::sleep(Duration::from_millis(5));
    }
    last
}

#[test]
fn a_script_that_does_not_read_its_stream_is_told_what_it_missed() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    writeln!(stream, "{{\"id\":1,\"op\":\"watch\"}}").unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let mut seq = next()["from"].as_u64().unwrap();
    let last = flood(&room, 40_000);
    let mut lost = 0;
    while seq < last {
        let line = next();
        if let Some(gap) = line.get("lost") {
            assert_eq!(gap["from"], seq + 1, "{line}");
            seq = gap["to"].as_u64().unwrap();
            lost += 1;
            assert_eq!(line["id"], 1);
        } else {
            assert_eq!(line["seq"], seq + 1, "nothing is missing without a word");
            seq += 1;
        }
    }
    assert!(lost > 0);
    // From there on it can be asked again, as far as the past is kept.
    writeln!(
        stream,
        "{{\"id\":2,\"op\":\"events\",\"after\":{},\"limit\":3}}",
        last - 3
    )
    .unwrap();
    assert_eq!(next()["data"][0]["seq"], last - 2);
}

/// All watchers share one ring; each holds besides only what the socket and its queue take.
#[test]
fn what_waits_for_slow_readers_is_below_4_mib_for_all_of_them() {
    let agent = fixture::demo().snapshot.state.agent;
    let one = event(&agent, "MASTER -> BACKUP");
    let words = serde_json::to_vec(&lb_shared::event::Numbered {
        seq: 1,
        wall_ms: 1,
        event: one,
    })
    .unwrap()
    .len();
    assert!(words * limits::EVENTS_BEHIND <= 4 << 20, "{words} bytes an event");
}

#[test]
fn a_reader_that_stops_keeps_nobody_waiting() {
    let room = Room::new();
    let mut stuck: Vec<UnixStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = UnixStream::connect(&room.path).unwrap();
        // Asks for far more than the socket holds, and reads nothing.
        for _ in 0..200 {
            let _ = stream.write_all(b"{\"op\":\"servers\"}\n{\"op\":\"schema\"}\n");
        }
        stuck.push(stream);
    }
    let began = Instant::now();
    for _ in 0..10 {
        room.client().hello("test").unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_watcher_that_did_not_read_is_told_what_it_missed_and_starts_afresh() {
    let room = Room::new();
    let mut watch = room.client().watch().unwrap();
    let handle = Arc::clone(room.handle.as_ref().unwrap());
    let before = room.client().snapshot().unwrap().seq;
    let count = 40_000;
    let mut agent = fixture::demo().snapshot.state.agent;
    for round in 1..=count {
        agent.pid = round;
        handle.emit(Event {
            what: What::Applied,
            object: ObjectId::Agent,
            text: "x".repeat(100),
            why: None,
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(Object::Agent(Box::new(agent.clone())))],
        });
    }
    while room.client().snapshot().unwrap().seq < before + u64::from(count) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut state = lb_shared::state::State::default();
    let mut lost = 0;
    let mut last = 0;
    while last < before + u64::from(count) {
        match watch.next_within(Duration::from_secs(20)).unwrap().unwrap() {
            Update::Snapshot(snapshot) => {
                last = snapshot.seq;
                state = snapshot.state;
            }
            Update::Event(event) => {
                assert_eq!(event.seq, last + 1, "events have no gap but a told one");
                last = event.seq;
                state.apply(&event.event);
            }
            Update::Lost { from, to } => {
                assert_eq!(from, last + 1);
                lost += to + 1 - from;
            }
        }
    }
    assert!(lost > 0);
    assert_eq!(state.agent.pid, count);
}
