//! Connections: who accepts, who refuses, who never answers, and how many there may be at once.

use crate::bench::{Bench, LONG, PATIENCE, SHORT, check, http, server, tcp, url, why};
use lbagent::health::{CheckId, CheckJob, CheckOutcome};
use lbagent::model::{CheckKind, PingCheck, TcpCheck};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::mpsc::channel;

#[test]
fn a_server_that_accepts_passes_and_one_that_does_not_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let outcome = check(CheckKind::Tcp(tcp(address, LONG)));
    assert!(
        matches!(outcome, CheckOutcome::Pass { weight: None, .. }),
        "{outcome:?}"
    );
    drop(listener);
    let outcome = check(CheckKind::Tcp(tcp(address, LONG)));
    assert!(
        matches!(&outcome, CheckOutcome::Fail { why, .. } if why == "connection refused"),
        "{outcome:?}"
    );
}

#[test]
fn a_server_that_never_answers_the_connection_times_out() {
    // A full backlog: further connection attempts are not answered.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener
        .bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        held.push(socket);
    }
    let outcome = check(CheckKind::Tcp(tcp(address, SHORT)));
    assert!(
        why(&outcome).starts_with("timed out after 400ms connecting"),
        "{outcome:?}"
    );
}

/// F147: no such address, no such interface.
#[test]
fn what_is_wrong_on_this_host_says_nothing_about_the_server() {
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let foreign = TcpCheck {
        from: Some("192.0.2.77:0".parse().unwrap()),
        ..tcp(to, LONG)
    };
    let missing = TcpCheck {
        device: Some("nosuchdevice0".to_owned()),
        ..tcp(to, LONG)
    };
    for (check_of, word) in [(foreign, "192.0.2.77"), (missing, "nosuchdevice0")] {
        let outcome = check(CheckKind::Tcp(check_of));
        assert!(
            matches!(&outcome, CheckOutcome::Inconclusive { why } if why.contains(word)),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_check_comes_from_the_address_it_was_told() {
    let (sender, receiver) = channel();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    std::thread::spawn(move || sender.send(listener.accept().unwrap().1));
    let from: IpAddr = "127.0.0.42".parse().unwrap();
    check(CheckKind::Tcp(TcpCheck {
        from: Some((from, 0).into()),
        ..tcp(to, LONG)
    }));
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().ip(), from);
}

#[test]
fn checks_that_wait_for_a_place_are_late_not_failed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let slow = server(|stream| {
        std::thread::sleep(3 * SHORT);
        drop(stream);
    });
    let bench = Bench::new(1);
    let begin = |id, kind| bench.dialler.begin(CheckId(id), CheckJob { kind, url: 0 });
    begin(1, CheckKind::Http(http(slow, 2 * SHORT, url())));
    for id in 2..20 {
        // Their own limit is shorter than what they wait.
        begin(id, CheckKind::Tcp(tcp(address, SHORT)));
    }
    for _ in 1..20 {
        let (id, outcome) = bench.outcome();
        assert_eq!(
            matches!(outcome, CheckOutcome::Pass { .. }),
            id != CheckId(1),
            "{id:?} {outcome:?}"
        );
    }
}

#[test]
fn a_cancelled_check_is_not_heard_of_again() {
    let silent = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.read(&mut [0; 1]);
    });
    let bench = Bench::new(1);
    bench.dialler.begin(
        CheckId(1),
        CheckJob {
            kind: CheckKind::Http(http(silent, LONG, url())),
            url: 0,
        },
    );
    bench.dialler.cancel(CheckId(1));
    // Its place is free for the next.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let kind = CheckKind::Tcp(tcp(listener.local_addr().unwrap(), LONG));
    bench.dialler.begin(CheckId(2), CheckJob { kind, url: 0 });
    assert_eq!(bench.outcome().0, CheckId(2));
}

#[test]
fn a_ping_is_answered_on_loopback() {
    for to in [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ] {
        if to.is_ipv6() && TcpListener::bind((to, 0)).is_err() {
            continue;
        }
        let outcome = check(CheckKind::Ping(PingCheck {
            to,
            from: None,
            device: None,
            mark: 0,
            timeout: LONG,
        }));
        // Where ICMP sockets are forbidden altogether, at least nobody is called down for it.
        assert!(!matches!(outcome, CheckOutcome::Fail { .. }), "{to}: {outcome:?}");
    }
}
