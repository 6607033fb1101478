//! The socket, who gets a place at it, and what happens to bytes that are no request.

use super::*;

#[test]
fn bad_lines_are_told_and_the_next_is_served() {
    let room = Room::new();
    let replies = room.shell(concat!(
        "{\"op\":\n",
        "[1]\n",
        "{\"id\":3,\"op\":\"fly\"}\n",
        "{\"id\":4,\"v\":9,\"op\":\"ping\"}\n",
        "{\"id\":5,\"op\":\"is\",\"cond\":\"master\",\"targets\":[\"VI_edge\"],\"colour\":\"red\"}\n",
        "{\"id\":6,\"op\":\"drain\",\"targets\":[\"web\"]}\n",
        "{\"id\":7,\"op\":\"drain\",\"targets\":[\"web/198.51.100.2[12]\"]}\n",
        "{\"id\":8,\"op\":\"drain\",\"targets\":[\"web/198.51.100.21\"],\"timeout\":\"300\"}\n",
        "{\"id\":9,\"op\":\"show\",\"targets\":[\"nobody\"]}\n",
        "{\"id\":10,\"op\":\"ping\"}",
    ));
    let codes: Vec<_> = replies
        .iter()
        .map(|reply| reply["error"]["code"].as_str().unwrap_or("ok"))
        .collect();
    assert_eq!(
        codes,
        [
            "bad-json",
            "bad-json",
            "unknown-op",
            "bad-version",
            "ok",
            "bad-selector",
            "confirm",
            "bad-duration",
            "not-found",
            "ok"
        ]
    );
    assert_eq!(replies[4]["data"]["holds"], true);
    assert_eq!(replies[4]["ignored"], serde_json::json!(["colour"]));
    assert_eq!(replies[9]["data"], "pong");
}

#[test]
fn a_second_agent_does_not_take_a_living_ones_socket() {
    let room = Room::new();
    let setup = Setup::at(room.path.clone());
    let runtime = Runtime::new().unwrap();
    let second = start(&setup, ToEngine::new(|_| false), runtime.handle());
    assert!(matches!(second, Err(BindError::Listening(_))));
    room.client().snapshot().unwrap();
}

/// F110.
#[test]
fn another_version_gets_our_preface_and_nothing_else() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    let other = frame::Version { major: 9, minor: 0 };
    stream.write_all(&other.preface()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, frame::VERSION.preface());
}

/// F105.
#[test]
fn a_frame_over_the_limit_is_refused_and_the_connection_closed() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(&frame::VERSION.preface()).unwrap();
    stream.write_all(&[0xff, 0xff, 0xff, 0xff, 1]).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut assembler = frame::Assembler::default();
    assembler.feed(&bytes[frame::PREFACE_LEN..]);
    match assembler.next_reply().unwrap() {
        Some(Reply::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::BadRequest),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_message_in_a_good_frame_costs_one_answer_only() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(&frame::VERSION.preface()).unwrap();
    stream.write_all(&[0, 0, 0, 2, 1, 99, 99]).unwrap();
    stream
        .write_all(&frame::encode_request(&Request::Counters).unwrap())
        .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let mut assembler = frame::Assembler::default();
    assembler.feed(&bytes[frame::PREFACE_LEN..]);
    assert!(matches!(assembler.next_reply().unwrap(), Some(Reply::Refused(_))));
    assert!(matches!(
        assembler.next_reply().unwrap(),
        Some(Reply::Counters(_))
    ));
}

/// F112: a descriptor that a client sends along is closed, and its request answered.
#[test]
fn what_is_sent_along_with_a_request_is_not_kept() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::io::IoSlice;
    use std::os::fd::AsRawFd as _;
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let rights = [writer.as_raw_fd(); 64];
    let sent = sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(b"{\"op\":\"ping\"}\n")],
        &[ControlMessage::ScmRights(&rights)],
        MsgFlags::empty(),
        None,
    );
    assert_eq!(sent, Ok(14));
    drop(writer);
    let mut line = String::new();
    BufReader::new(&mut stream).read_line(&mut line).unwrap();
    assert!(line.contains("pong"), "{line}");
    // With the connection still open: the end of the pipe is nobody's any more.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn neither_dialect_gets_one_line_and_a_close() {
    let room = Room::new();
    let mut stream = UnixStream::connect(&room.path).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    // The rest of what was sent is not read, which the kernel tells the client as a reset after the answer.
    let _ = stream.read_to_string(&mut text);
    assert!(text.contains("bad-json"), "{text}");
}

#[test]
fn the_socket_is_gone_with_its_handle() {
    let mut room = Room::new();
    room.handle = None;
    // Weak references of the fake core are upgraded only while it answers.
    let gone = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        !room.path.exists()
    });
    assert!(gone);
}

/// F108.
#[test]
fn connections_over_the_limit_are_told_so_and_places_come_back() {
    let room = Room::new();
    // Root has all places, anybody else a share.
    let limit = if nix::unistd::geteuid().is_root() {
        limits::CONNECTIONS
    } else {
        limits::CONNECTIONS_PER_UID
    };
    let ask = |stream: &mut UnixStream| -> serde_json::Value {
        stream.write_all(b"{\"op\":\"ping\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let connect = || UnixStream::connect(&room.path).unwrap();
    let mut inside = Vec::new();
    // The furnishing's watch may still be on its way out.
    while inside.len() < limit {
        let mut stream = connect();
        if ask(&mut stream)["data"] == "pong" {
            inside.push(stream);
        }
    }
    assert_eq!(ask(&mut connect())["error"]["code"], "busy");
    inside.pop();
    let again = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        ask(&mut connect())["data"] == "pong"
    });
    assert!(again);
}
