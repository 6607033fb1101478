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
    let state = fixture::demo().snapshot.state;
    let most = state.objects().map(|object| {
        let own = match &object {
            Object::Agent(_) => size_of::<lb_shared::state::AgentView>(),
            Object::Instance(_) => size_of::<lb_shared::state::InstanceView>(),
            Object::Service(_) => size_of::<lb_shared::state::ServiceView>(),
            Object::Server(_) => size_of::<lb_shared::state::ServerView>(),
            Object::Group(_) | Object::Tracker(_) | Object::Override(_) => 0,
        };
        let event = Event {
            what: What::Applied,
            object: object.id(),
            text: "MASTER -> BACKUP".to_owned(),
            why: Some("heard 198.51.100.3 prio 140, ours 130".to_owned()),
            actor: None,
            at: lb_shared::units::Mono::ZERO,
            changes: vec![Change::Put(object)],
        };
        let numbered = lb_shared::event::Numbered {
            seq: 1,
            wall_ms: 1,
            event,
        };
        // Its words, which are what the frame has, and the places they and its numbers are kept in.
        let words = frame::encode_reply(&Reply::Event(Box::new(numbered)))
            .unwrap()
            .len();
        words + own + size_of::<lb_shared::event::Numbered>() + size_of::<Change>()
    });
    let most = most.max().unwrap();
    assert!(most * limits::EVENTS_BEHIND <= 4 << 20, "{most} bytes an event");
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

/// As many readers as there may be, none of which reads, in both dialects: what happens is told to the others at once.
#[test]
fn subscribers_that_never_read_delay_nobody() {
    let room = Room::new();
    let mut stuck: Vec<UnixStream> = Vec::new();
    for nth in 0..limits::WATCHES - 1 {
        let mut stream = UnixStream::connect(&room.path).unwrap();
        if nth % 2 == 0 {
            writeln!(stream, "{{\"op\":\"watch\",\"topics\":[\"state\",\"config\"]}}").unwrap();
        } else {
            stream.write_all(&frame::VERSION.preface()).unwrap();
            let request = if nth % 4 == 1 {
                Request::Watch
            } else {
                Request::Listen
            };
            stream
                .write_all(&frame::encode_request(&request).unwrap())
                .unwrap();
        }
        stuck.push(stream);
    }
    let mut live = room.client().listen().unwrap();
    let handle = Arc::clone(room.handle.as_ref().unwrap());
    let agent = fixture::demo().snapshot.state.agent;
    let mut longest = Duration::ZERO;
    for _ in 0..2_000 {
        let began = Instant::now();
        handle.emit(event(&agent, &"x".repeat(400)));
        longest = longest.max(began.elapsed());
        let heard = live.next_within(Duration::from_secs(10)).unwrap();
        assert!(heard.is_some(), "the one that reads is kept waiting");
    }
    // To emit is to put into a queue: the core waits for no reader, and so no advert does.
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    drop(stuck);
}

/// A line that never ends, half a frame, half a greeting, bytes of no dialect: each has its end, and the others go on.
#[test]
fn garbage_and_halves_are_let_go_and_harm_nobody() {
    let room = Room::new();
    let send = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&room.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let preface = frame::VERSION.preface();
    let request = frame::encode_request(&Request::Snapshot).unwrap();
    let mut huge = request.clone();
    huge[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    let mut noise = request.clone();
    noise[5..].fill(0xff);
    let mut halves = vec![
        send(b"{\"op\":\"sta"),
        send(&preface[..7]),
        send(&[&preface[..], &request[..3]].concat()),
        send(&[&preface[..], &request[..request.len() - 1]].concat()),
        send(&[&preface[..], &huge[..]].concat()),
        send(b"GET / HTTP/1.1\r\n\r\n"),
        send(&[0xff; 64]),
    ];
    // What is understood as far as its length is answered with a no, and the connection goes on.
    let mut bad = send(&[&preface[..], &noise[..], &request[..]].concat());
    let mut first = [0; PREFACE + 5];
    bad.read_exact(&mut first).unwrap();
    assert_eq!(&first[..PREFACE], &preface);
    for _ in 0..10 {
        room.client().hello("test").unwrap();
    }
    // Nobody who is waited for stays longer than what has begun may take.
    for stream in &mut halves {
        let mut rest = Vec::new();
        // A close with bytes unread on the other side is a reset, and an end as well.
        let _ = stream.read_to_end(&mut rest);
    }
    room.client().hello("test").unwrap();
}

const PREFACE: usize = frame::PREFACE_LEN;

/// F107.
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
