//! A dialler to try, and servers of every manner for it.

use lbagent::health::{CheckId, CheckJob, CheckOutcome};
use lbagent::io::dial::Dialler;
use lbagent::model::{CheckKind, HttpGet, HttpVersion, StatusRange, TcpCheck, Url, Within};
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far above what anything here takes: only a hang gets there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// For what is to run out.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
/// Never runs out.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// A dialler, and what it says.
pub(crate) struct Bench {
    pub(crate) dialler: Dialler,
    outcomes: Receiver<(CheckId, CheckOutcome)>,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    pub(crate) fn new(places: usize) -> Self {
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

    pub(crate) fn outcome(&self) -> (CheckId, CheckOutcome) {
        self.outcomes.recv_timeout(PATIENCE).expect("an outcome")
    }
}

/// One check on a dialler of its own.
pub(crate) fn check(kind: CheckKind) -> CheckOutcome {
    let bench = Bench::new(4);
    bench.dialler.begin(CheckId(1), CheckJob { kind, url: 0 });
    bench.outcome().1
}

pub(crate) fn tcp(to: SocketAddr, timeout: Duration) -> TcpCheck {
    TcpCheck {
        to,
        from: None,
        device: None,
        mark: 0,
        timeout,
    }
}

pub(crate) fn url() -> Url {
    Url {
        path: "/up".to_owned(),
        host: "example.org".to_owned(),
        status: vec![StatusRange { low: 200, high: 299 }],
        digest: None,
        regex: None,
        regex_within: Within::default(),
    }
}

pub(crate) fn http(to: SocketAddr, timeout: Duration, url: Url) -> HttpGet {
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
pub(crate) fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
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
pub(crate) fn request(stream: &mut impl Read) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

pub(crate) fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

pub(crate) fn why(outcome: &CheckOutcome) -> &str {
    match outcome {
        CheckOutcome::Pass { .. } => "pass",
        CheckOutcome::Fail { why, .. } | CheckOutcome::Inconclusive { why } => why,
    }
}
