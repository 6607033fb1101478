//! What is said over a connection: HTTP, DNS, UDP and SMTP.

use crate::bench::{LONG, PATIENCE, SHORT, check, http, request, reset, server, tcp, url, why};
use lbagent::health::CheckOutcome;
use lbagent::model::{CheckKind, DnsCheck, SmtpCheck, UdpCheck, UdpReply, Url};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// F138, F143, F144: drips, redirects, resets.
#[test]
fn http_servers_of_all_manners_get_the_verdict_they_deserve() {
    type Serve = fn(TcpStream);
    let cases: &[(&str, Serve, &str)] = &[
        (
            "good",
            |mut s| {
                assert!(request(&mut s).starts_with("GET /up HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\n"));
                s.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
            },
            "pass",
        ),
        (
            "keeps the connection open after a complete answer",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                    .unwrap();
                let _ = s.read(&mut [0]);
            },
            "pass",
        ),
        (
            "busy",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap();
            },
            "status 503, want 200-299",
        ),
        (
            "sends elsewhere",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 301 Gone\r\nLocation: http://127.0.0.1:1/\r\n\r\n")
                    .unwrap();
            },
            "status 301, want 200-299",
        ),
        ("resets at once", reset, "connection reset by peer"),
        (
            "resets after the request",
            |mut s| {
                request(&mut s);
                reset(s);
            },
            "connection reset by peer",
        ),
        (
            "closes without a word",
            |mut s| {
                request(&mut s);
            },
            "no answer: connection closed",
        ),
        (
            "speaks something else",
            |mut s| {
                request(&mut s);
                s.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
            },
            "not HTTP: 220 mail.example.org ESMTP\\r",
        ),
        (
            "drips",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 200 OK\r\nX: ").unwrap();
                while s.write_all(b"y").is_ok() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            },
            "timed out after 2s waiting for the answer",
        ),
        (
            "never stops sending headers",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
                while s.write_all(b"X: y\r\n").is_ok() {}
            },
            "answer too large: headers over 64 KiB",
        ),
        (
            "never stops sending",
            |mut s| {
                request(&mut s);
                s.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                while s.write_all(&[b'z'; 65536]).is_ok() {}
            },
            "answer too large: more than 16 MiB",
        ),
        (
            "says nothing",
            |mut s| {
                request(&mut s);
                let _ = s.read(&mut [0]);
            },
            "timed out after 2s waiting for the answer",
        ),
    ];
    for (name, serve, want) in cases {
        let to = server(*serve);
        let outcome = check(CheckKind::Http(http(to, Duration::from_secs(2), url())));
        assert_eq!(why(&outcome), *want, "a server that {name}");
        assert!(
            !matches!(outcome, CheckOutcome::Inconclusive { .. }),
            "a server that {name}"
        );
    }
}

#[test]
fn a_pattern_that_is_none_is_our_fault() {
    let to = server(drop);
    let broken = Url {
        regex: Some(("a(b".to_owned(), true)),
        ..url()
    };
    let outcome = check(CheckKind::Http(http(to, LONG, broken)));
    assert!(
        matches!(outcome, CheckOutcome::Inconclusive { .. }),
        "{outcome:?}"
    );
}

/// A UDP server that answers its first datagram.
fn datagram_server(answer: impl FnOnce(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        if let Ok((count, from)) = socket.recv_from(&mut buffer)
            && let Some(bytes) = answer(&buffer[..count])
        {
            let _ = socket.send_to(&bytes, from);
        }
        // The port stays taken until the check has judged.
        std::thread::sleep(PATIENCE.min(Duration::from_secs(2)));
    });
    address
}

fn dns(to: SocketAddr, timeout: Duration) -> CheckKind {
    CheckKind::Dns(DnsCheck {
        connect: tcp(to, timeout),
        kind: "A".into(),
        name: "example.org".into(),
    })
}

#[test]
fn a_name_server_passes_when_it_answers_without_an_error() {
    let answering = |rcode: u8| {
        move |question: &[u8]| {
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            answer[3] = rcode;
            Some(answer)
        }
    };
    let outcome = check(dns(datagram_server(answering(0)), LONG));
    assert!(matches!(outcome, CheckOutcome::Pass { .. }), "{}", why(&outcome));
    let outcome = check(dns(datagram_server(answering(5)), LONG));
    assert!(
        matches!(&outcome, CheckOutcome::Fail { why, .. } if why.contains("answered with")),
        "{}",
        why(&outcome)
    );
    // An answer to another question is not waited for longer than the limit.
    let outcome = check(dns(datagram_server(|_| Some(vec![0; 12])), SHORT));
    assert!(
        matches!(&outcome, CheckOutcome::Fail { why, .. } if why.contains("timed out")),
        "{}",
        why(&outcome)
    );
}

fn udp(to: SocketAddr, reply: Option<UdpReply>, timeout: Duration) -> CheckKind {
    CheckKind::Udp(UdpCheck {
        connect: tcp(to, timeout),
        payload: vec![1, 2],
        reply,
    })
}

#[test]
fn silence_is_good_for_udp_unless_a_reply_is_required_and_a_closed_port_never_is() {
    let silent = || datagram_server(|_| None);
    let wanted = || {
        Some(UdpReply {
            pattern: vec![(2, 0xff)],
            length_min: 0,
            length_max: 255,
        })
    };
    let outcome = check(udp(silent(), None, SHORT));
    assert!(matches!(outcome, CheckOutcome::Pass { .. }), "{}", why(&outcome));
    let outcome = check(udp(silent(), wanted(), SHORT));
    assert!(matches!(outcome, CheckOutcome::Fail { .. }), "{}", why(&outcome));
    let turned = |sent: &[u8]| Some(sent.iter().rev().copied().collect());
    let outcome = check(udp(datagram_server(turned), wanted(), LONG));
    assert!(matches!(outcome, CheckOutcome::Pass { .. }), "{}", why(&outcome));
    let closed = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let outcome = check(udp(closed, None, LONG));
    assert_eq!(why(&outcome), "connection refused");
}

#[test]
fn a_mail_server_is_greeted_and_left_in_order() {
    let polite = |greeting: &'static str| {
        server(move |stream| {
            let mut out = stream.try_clone().unwrap();
            let mut lines = std::io::BufReader::new(stream);
            out.write_all(greeting.as_bytes()).unwrap();
            let mut line = String::new();
            while std::io::BufRead::read_line(&mut lines, &mut line).unwrap_or(0) > 0 {
                let answer = if line == "QUIT\r\n" {
                    "221 bye\r\n"
                } else {
                    "250 ok\r\n"
                };
                line.clear();
                if out.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    let smtp = |to| {
        CheckKind::Smtp(SmtpCheck {
            connect: tcp(to, LONG),
            helo: "lb1".into(),
        })
    };
    let outcome = check(smtp(polite("220-mail\r\n220 ready\r\n")));
    assert!(matches!(outcome, CheckOutcome::Pass { .. }), "{}", why(&outcome));
    let outcome = check(smtp(polite("421 go away\r\n")));
    assert_eq!(why(&outcome), "answered connecting with '421 go away', want 220");
}
