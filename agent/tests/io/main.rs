//! Checks and scripts against real sockets and processes: loopback only, ephemeral ports, everything bounded.
#![allow(clippy::unwrap_used)]

use lbagent::health::{CheckId, CheckJob, CheckOutcome};
use lbagent::io::dial::Dialler;
use lbagent::io::runner::Runner;
use lbagent::model::{
    CheckKind, ClientCertificate, DnsCheck, HttpGet, HttpVersion, Job, JobEnd, JobId, JobOutcome, PingCheck,
    Script, ScriptRules, SmtpCheck, StatusRange, TcpCheck, UdpCheck, UdpReply, Url, Within,
};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Far above what anything here takes: only a hang gets there.
const PATIENCE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(20);

struct Bench {
    dialler: Dialler,
    outcomes: Receiver<(CheckId, CheckOutcome)>,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(places: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, outcomes) = channel();
        let dialler = Dialler::with_places(runtime.handle().clone(), places, move |id, outcome| {
            let _ = sender.send((id, outcome));
        });
        Self {
            dialler,
            outcomes,
            _runtime: runtime,
        }
    }

    fn outcome(&self) -> (CheckId, CheckOutcome) {
        self.outcomes.recv_timeout(PATIENCE).expect("an outcome")
    }
}

/// One check on a dialler of its own.
fn check(kind: CheckKind) -> CheckOutcome {
    let bench = Bench::new(4);
    bench.dialler.begin(CheckId(1), CheckJob { kind, url: 0 });
    bench.outcome().1
}

fn tcp(to: SocketAddr, timeout: Duration) -> TcpCheck {
    TcpCheck {
        to,
        from: None,
        device: None,
        mark: 0,
        timeout,
    }
}

fn url() -> Url {
    Url {
        path: "/up".to_owned(),
        host: "example.org".to_owned(),
        status: vec![StatusRange { low: 200, high: 299 }],
        digest: None,
        regex: None,
        regex_within: Within::default(),
    }
}

fn http(to: SocketAddr, timeout: Duration, url: Url) -> HttpGet {
    HttpGet {
        connect: tcp(to, timeout),
        tls: false,
        client: None,
        sni: None,
        version: HttpVersion::V1_0,
        urls: vec![url],
        fast_recovery: false,
    }
}

/// A server that treats its first connection with `serve`, on a thread of its own.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            serve(stream);
        }
    });
    address
}

/// Reads a request to its empty line.
fn request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

fn why(outcome: &CheckOutcome) -> &str {
    match outcome {
        CheckOutcome::Pass { .. } => "pass",
        CheckOutcome::Fail { why, .. } | CheckOutcome::Inconclusive { why } => why,
    }
}

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

/// A TLS server with a certificate it signed itself; it sends the name it was asked for back.
fn tls_server(max: &'static rustls::SupportedProtocolVersion) -> SocketAddr {
    let signed = rcgen::generate_simple_self_signed(vec!["wrong.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.key_pair.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[max])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key.into())
            .unwrap();
    server(move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        request(&mut tls);
        let name = tls.conn.server_name().unwrap_or("none").to_owned();
        // And then the end, without a close_notify.
        tls.write_all(format!("HTTP/1.1 200 OK\r\n\r\nname={name}").as_bytes())
            .unwrap();
    })
}

#[test]
fn tls_takes_any_certificate_and_sends_a_name_only_when_told() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (sni, want) in [
            (None, "name=none"),
            (Some("www.example.org"), "name=www.example.org"),
        ] {
            let url = Url {
                regex: Some((format!("^{want}$"), true)),
                ..url()
            };
            let outcome = check(CheckKind::Http(HttpGet {
                tls: true,
                sni: sni.map(str::to_owned),
                ..http(tls_server(version), LONG, url)
            }));
            assert_eq!(why(&outcome), "pass", "{version:?} {sni:?}");
        }
    }
}

/// A file as `openssl` would write it.
fn pem(kind: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text: Vec<String> = der
        .chunks(3)
        .map(|chunk| {
            let bytes = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
            (0..4)
                .map(|at| if at <= chunk.len() { digit(at) } else { '=' })
                .collect()
        })
        .collect();
    let lines: Vec<String> = text.chunks(16).map(<[String]>::concat).collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_and_a_missing_one_is_no_verdict() {
    let folder = std::env::temp_dir().join(format!("lbagent-{}-certificate", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["lb1.example".to_owned()]).unwrap();
    let client = ClientCertificate {
        chain: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server_that_asks = || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let own = rcgen::generate_simple_self_signed(vec!["any.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.key_pair.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        server(move |mut stream| {
            let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            request(&mut tls);
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        })
    };
    let outcome = |client: Option<ClientCertificate>| {
        check(CheckKind::Http(HttpGet {
            tls: true,
            client: client.map(Arc::new),
            ..http(server_that_asks(), LONG, url())
        }))
    };
    let missing = outcome(Some(client.clone()));
    assert!(
        matches!(&missing, CheckOutcome::Inconclusive { why } if why.contains("cert.pem")),
        "{missing:?}"
    );
    std::fs::write(&client.chain, pem("CERTIFICATE", signed.cert.der())).unwrap();
    std::fs::write(&client.key, pem("PRIVATE KEY", &signed.key_pair.serialize_der())).unwrap();
    let shown = outcome(Some(client.clone()));
    assert!(matches!(shown, CheckOutcome::Pass { .. }), "{shown:?}");
    let none = outcome(None);
    assert!(matches!(none, CheckOutcome::Fail { .. }), "{none:?}");
    // A key that does not fit the certificate: it was read again, and is told.
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&client.key, pem("PRIVATE KEY", &other.serialize_der()) + "\n").unwrap();
    let wrong = outcome(Some(client));
    assert!(
        matches!(&wrong, CheckOutcome::Inconclusive { why } if why.contains("key.pem")),
        "{wrong:?}"
    );
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn what_is_not_tls_fails_within_the_time() {
    type Serve = fn(TcpStream);
    let cases: &[(Serve, &str)] = &[
        (
            |mut s| {
                let _ = s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                let _ = s.read(&mut [0; 4096]);
            },
            "not TLS",
        ),
        (
            |mut s| {
                // handshake_failure
                let _ = s.read(&mut [0; 4096]);
                let _ = s.write_all(&[21, 3, 3, 0, 2, 2, 40]);
                let _ = s.read(&mut [0; 4096]);
            },
            "TLS alert HandshakeFailure",
        ),
        (
            |mut s| {
                let _ = s.read(&mut [0; 4096]);
            },
            "connection closed during the TLS handshake",
        ),
        (
            |mut s| while s.read(&mut [0; 4096]).unwrap_or(0) > 0 {},
            "timed out after 2s waiting for the answer",
        ),
    ];
    for (serve, want) in cases {
        let outcome = check(CheckKind::Http(HttpGet {
            tls: true,
            ..http(server(*serve), Duration::from_secs(2), url())
        }));
        assert_eq!(why(&outcome), *want);
        assert!(matches!(outcome, CheckOutcome::Fail { .. }), "{want}");
    }
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

// ---- scripts -----------------------------------------------------------------------------------------------------

struct Scripts {
    runner: Option<Runner>,
    ended: Receiver<(JobId, JobOutcome)>,
    folder: PathBuf,
}

impl Scripts {
    fn new(name: &str) -> Self {
        Self::with_runner(name, true)
    }

    fn with_runner(name: &str, expected: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("lbagent-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (sender, ended) = channel();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lbagent"));
        let runner = Runner::start_program(program, expected, move |id, outcome| {
            let _ = sender.send((id, outcome));
        })
        .unwrap();
        Self {
            runner: Some(runner),
            ended,
            folder,
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn begin(&self, id: u64, argv: &[&str], timeout: Option<Duration>, lane: Option<&str>) {
        let job = Job {
            script: Script {
                argv: argv.iter().map(|&word| word.to_owned()).collect(),
                user: None,
            },
            arguments: Vec::new(),
            timeout,
            report: true,
            lane: lane.map(str::to_owned),
        };
        self.runner.as_ref().unwrap().run(JobId(id), job);
    }

    fn end(&self) -> (u64, JobOutcome) {
        let (id, outcome) = self.ended.recv_timeout(PATIENCE).expect("an end");
        (id.0, outcome)
    }

    fn sh(&self, text: &str, timeout: Duration) -> JobOutcome {
        self.begin(1, &["/bin/sh", "-c", text], Some(timeout), None);
        self.end().1
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        self.runner.take();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_script_ends_as_it_ends() {
    let scripts = Scripts::new("ends");
    for (text, want) in [
        ("exit 0", JobEnd::Exited(0)),
        ("exit 7", JobEnd::Exited(7)),
        ("exit 255", JobEnd::Exited(255)),
        ("kill -9 $$", JobEnd::Signalled(9)),
        ("kill -15 $$", JobEnd::Signalled(15)),
    ] {
        assert_eq!(scripts.sh(text, LONG).end, want, "{text}");
    }
    let outcome = scripts.sh("echo one; echo two >&2", LONG);
    assert_eq!(outcome.output, b"one\ntwo\n");
}

#[test]
fn a_runner_that_nobody_expected_comes_with_the_first_script() {
    let scripts = Scripts::with_runner("unexpected", false);
    assert_eq!(scripts.sh("exit 7", LONG).end, JobEnd::Exited(7));
}

#[test]
fn a_script_finds_what_is_promised_and_nothing_else() {
    let scripts = Scripts::new("environment");
    let text = "cd -P . && pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; echo; umask; ulimit -c; ulimit -n
        echo $(cd /proc/$$/fd && echo *); cat /proc/$$/status | grep -E '^(SigBlk|SigIgn)' | tr -s '\\t' ' '
        read x </dev/stdin && echo input; cut -d' ' -f5,6 /proc/$$/stat | tr ' ' '\\n' | sort -u | wc -l";
    let outcome = scripts.sh(text, LONG);
    let text = String::from_utf8(outcome.output).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "/");
    let names: Vec<&str> = lines[1]
        .split(' ')
        .filter(|n| !["PWD", "OLDPWD", "SHLVL", "_"].contains(n))
        .collect();
    assert_eq!(names, ["LANG", "LBAGENT_JOB", "PATH"]);
    assert_eq!(lines[2], "0022");
    assert_eq!(lines[3], "0");
    assert_eq!(lines[4], "1024");
    let descriptors: Vec<&str> = lines[5]
        .split(' ')
        .filter(|fd| fd.parse::<u32>().is_ok_and(|fd| fd <= 2))
        .collect();
    assert_eq!(descriptors, ["0", "1", "2"]);
    // A shell may open one for itself; ours would show as a socket, a pipe or an event.
    assert!(lines[5].split(' ').count() <= 4, "{}", lines[5]);
    assert_eq!(lines[6], "SigBlk: 0000000000000000");
    // The two signals above 31 are the C library's own and not for us to set.
    let ignored = u64::from_str_radix(lines[7].trim_start_matches("SigIgn: "), 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0);
    assert_eq!(lines[8], "1", "session and process group are its own");
}

#[test]
fn a_script_that_hangs_is_ended_with_all_its_children() {
    let scripts = Scripts::new("hangs");
    let pids = scripts.folder.join("pids");
    let pids = pids.to_str().unwrap();
    // Ignores TERM, has a child, and a child that left its session.
    let text = format!(
        "trap '' TERM; sleep 1000 & echo $! >> {pids}; setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & \
         while [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.05; done; echo $$ >> {pids}; \
         while true; do sleep 1000; done"
    );
    let outcome = scripts.sh(&text, Duration::from_millis(1500));
    assert_eq!(outcome.end, JobEnd::TimedOut);
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 3);
    wait_for("all are gone", || !pids.lines().any(alive));
    // A stopped one is ended as well.
    assert_eq!(scripts.sh("kill -STOP $$", SHORT).end, JobEnd::TimedOut);
}

#[test]
fn of_endless_output_the_beginning_is_kept() {
    let scripts = Scripts::new("output");
    let outcome = scripts.sh("head -c 50000000 /dev/zero | tr '\\0' x", LONG);
    assert_eq!(outcome.end, JobEnd::Exited(0));
    assert_eq!(outcome.output, vec![b'x'; 4096]);
}

#[test]
fn a_script_that_cannot_start_did_not_fail() {
    let scripts = Scripts::new("start");
    let folder = scripts.folder.to_str().unwrap().to_owned();
    for path in ["/nosuchdirectory/script", &folder] {
        scripts.begin(1, &[path], Some(LONG), None);
        let (_, outcome) = scripts.end();
        assert!(
            matches!(&outcome.end, JobEnd::NotStarted(why) if why.contains(path)),
            "{outcome:?}"
        );
    }
    let long = "x".repeat(200_000);
    scripts.begin(2, &["/bin/true", &long], Some(LONG), None);
    assert!(matches!(scripts.end().1.end, JobEnd::NotStarted(_)));
}

#[test]
fn no_shell_looks_at_arguments_and_a_script_without_interpreter_line_still_runs() {
    let scripts = Scripts::new("arguments");
    let path = scripts.write("plain", "printf '<%s>' \"$@\"\n");
    scripts.begin(1, &[&path, "a b", "$(id)", ";", ""], Some(LONG), None);
    assert_eq!(scripts.end().1.output, b"<a b><$(id)><;><>");
}

#[test]
fn a_redirection_in_place_of_a_program_goes_through_the_shell() {
    let scripts = Scripts::new("redirection");
    for (argv, want) in [("</dev/null", 0), ("</nosuchfile", 1)] {
        scripts.begin(1, &[argv], Some(LONG), None);
        let end = scripts.end().1.end;
        assert_eq!(matches!(end, JobEnd::Exited(0)), want == 0, "{argv}: {end:?}");
    }
    if Path::new("/bin/bash").exists() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        scripts.begin(1, &[&format!("</dev/tcp/127.0.0.1/{port}")], Some(LONG), None);
        assert_eq!(scripts.end().1.end, JobEnd::Exited(0));
    }
}

#[test]
fn jobs_of_one_lane_run_in_order_and_others_do_not_wait_for_them() {
    let scripts = Scripts::new("lanes");
    let gate = scripts.folder.join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
    scripts.begin(1, &["/bin/sh", "-c", &wait], None, Some("VI_1"));
    for id in 2..=20 {
        scripts.begin(id, &["/bin/true"], None, Some("VI_1"));
    }
    scripts.begin(100, &["/bin/true"], None, Some("VI_2"));
    assert_eq!(scripts.end().0, 100);
    std::fs::write(gate, "").unwrap();
    let order: Vec<u64> = (1..=20).map(|_| scripts.end().0).collect();
    assert_eq!(order, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_lane_that_overflows_still_delivers_its_newest() {
    let scripts = Scripts::new("overflow");
    let gate = scripts.folder.join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
    scripts.begin(1, &["/bin/sh", "-c", &wait], None, Some("VI_1"));
    for id in 2..=300 {
        scripts.begin(id, &["/bin/true"], None, Some("VI_1"));
    }
    let dropped: Vec<u64> = (0..43)
        .map(|_| scripts.end())
        .map(|(id, outcome)| {
            assert!(matches!(outcome.end, JobEnd::NotStarted(_)));
            id
        })
        .collect();
    assert!(!dropped.contains(&300) && !dropped.contains(&2));
    std::fs::write(gate, "").unwrap();
    let ran: Vec<u64> = (0..257).map(|_| scripts.end().0).collect();
    assert_eq!(ran.last(), Some(&300));
    assert!(ran.is_sorted());
}

#[test]
fn no_more_than_64_scripts_run_at_once() {
    let scripts = Scripts::new("many");
    let folder = scripts.folder.display().to_string();
    let text = format!("touch {folder}/run.$$; ls {folder} | grep -c run; sleep 0.3; rm {folder}/run.$$");
    for id in 0..150 {
        scripts.begin(id, &["/bin/sh", "-c", &text], Some(LONG), None);
    }
    let most = (0..150)
        .map(|_| {
            let outcome = scripts.end().1;
            assert_eq!(outcome.end, JobEnd::Exited(0), "{outcome:?}");
            String::from_utf8(outcome.output)
                .unwrap()
                .trim()
                .parse::<u32>()
                .unwrap()
        })
        .max();
    assert!(most <= Some(64), "{most:?}");
}

#[test]
fn when_the_agent_goes_checks_are_killed_and_notify_scripts_finish() {
    let mut scripts = Scripts::new("farewell");
    let folder = scripts.folder.display().to_string();
    let check = format!("echo $$ > {folder}/check; sleep 1000");
    let notify = format!(
        "echo $$ > {folder}/notify; while [ ! -e {folder}/gate ]; do sleep 0.02; done; echo > {folder}/done"
    );
    scripts.begin(1, &["/bin/sh", "-c", &check], Some(LONG), None);
    scripts.begin(2, &["/bin/sh", "-c", &notify], None, Some("VI_1"));
    // The last word before the end waits behind the first in its lane.
    let last = format!("echo > {folder}/last");
    scripts.begin(3, &["/bin/sh", "-c", &last], None, Some("VI_1"));
    let pid = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
    wait_for("both run", || {
        pid("check").ends_with('\n') && pid("notify").ends_with('\n')
    });
    scripts.runner.take();
    wait_for("the check is killed", || !alive(&pid("check")));
    assert!(alive(&pid("notify")));
    std::fs::write(format!("{folder}/gate"), "").unwrap();
    wait_for("notify scripts finish", || {
        Path::new(&format!("{folder}/last")).exists()
    });
    assert!(Path::new(&format!("{folder}/done")).exists());
}

#[test]
fn after_the_death_of_the_runner_jobs_are_answered_and_a_new_one_starts() {
    let scripts = Scripts::new("death");
    // A script that kills its parent.
    scripts.begin(
        1,
        &["/bin/sh", "-c", "kill -9 $PPID; kill -STOP $$"],
        Some(LONG),
        None,
    );
    assert!(matches!(scripts.end().1.end, JobEnd::NotStarted(_)));
    let until = Instant::now() + PATIENCE;
    loop {
        scripts.begin(2, &["/bin/true"], Some(LONG), None);
        match scripts.end().1.end {
            JobEnd::Exited(0) => break,
            JobEnd::NotStarted(_) => assert!(Instant::now() < until),
            end => panic!("{end:?}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_others_could_change_is_not_run_as_root_when_security_is_asked_for() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scripts = Scripts::new("security");
    let good = scripts.write("good", "#!/bin/sh\n");
    let open = scripts.write("open", "#!/bin/sh\n");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o757)).unwrap();
    let foreign = scripts.write("foreign", "#!/bin/sh\n");
    chown(&foreign, Some(12345), None).unwrap();
    let link = scripts.folder.join("link");
    symlink(&foreign, &link).unwrap();
    let folder = scripts.folder.join("folder");
    std::fs::create_dir(&folder).unwrap();
    let inside = scripts.write("folder/inside", "#!/bin/sh\n");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let link = link.to_str().unwrap();
    let cases = [
        (good.as_str(), true),
        (&open, false),
        (&foreign, false),
        (link, false),
        (&inside, false),
    ];
    for enforce in [false, true] {
        let rules = ScriptRules {
            secure: enforce,
            ..ScriptRules::default()
        };
        scripts.runner.as_ref().unwrap().set_rules(rules);
        for (path, safe) in cases {
            scripts.begin(1, &[path], Some(LONG), None);
            let end = scripts.end().1.end;
            assert_eq!(end == JobEnd::Exited(0), safe || !enforce, "{path}: {end:?}");
        }
    }
}

#[test]
fn a_script_becomes_the_user_it_was_told_with_no_other_groups() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scripts = Scripts::new("user");
    let job = Job {
        script: Script {
            argv: ["/bin/sh", "-c", "id -u; id -g; id -G"]
                .map(str::to_owned)
                .to_vec(),
            user: Some((12345, 12346)),
        },
        arguments: Vec::new(),
        timeout: Some(LONG),
        report: true,
        lane: None,
    };
    let runner = scripts.runner.as_ref().unwrap();
    runner.run(JobId(1), job.clone());
    let said = || String::from_utf8(scripts.end().1.output).unwrap();
    assert_eq!(said(), "12345\n12346\n12346\n");
    // A user without an entry has no further groups.
    runner.set_rules(ScriptRules {
        all_groups: true,
        ..ScriptRules::default()
    });
    runner.run(JobId(1), job);
    assert_eq!(said(), "12345\n12346\n12346\n");
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
