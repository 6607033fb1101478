//! The metrics port: HTTP, as little of it as a scraper needs, and only on a loopback address.
//!
//! One request a connection, `GET /metrics`; a few connections at a time, each for a few seconds. Whatever else comes is
//! answered with a line that says what there is.

use super::limits;
use super::session::Doors;
use lb_shared::request::MetricsAsk;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Serves the port for ever. A port that cannot be had is no reason not to balance: it is told once and tried again.
pub(super) async fn serve(doors: Arc<Doors>, address: SocketAddr) {
    run(doors, listen(address).await, address).await;
}

/// Answers who connects.
async fn run(doors: Arc<Doors>, listener: TcpListener, address: SocketAddr) {
    let places = Arc::new(Semaphore::new(limits::PORT_CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    continue;
                };
                let doors = Arc::clone(&doors);
                tokio::spawn(async move {
                    answer(&doors, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(
                    "cannot take a connection to the metrics port {address}: {error}; trying again"
                );
                sleep(limits::PORT_TIME).await;
            }
        }
    }
}

async fn listen(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("metrics on http://{address}/metrics");
                return listener;
            }
            Err(error) if !told => {
                told = true;
                tracing::error!(
                    "cannot listen on the metrics port {address}: {error}; all else runs, it is tried again every \
                     {} s; choose another with --metrics",
                    limits::PORT_RETRY.as_secs()
                );
            }
            Err(_) => {}
        }
        sleep(limits::PORT_RETRY).await;
    }
}

async fn answer(doors: &Doors, mut stream: TcpStream) {
    let Ok(Some(head)) = timeout(limits::PORT_TIME, read_head(&mut stream)).await else {
        return;
    };
    let reply = match target(&head) {
        Ok(()) => match doors.metrics(MetricsAsk::default()).await {
            Ok(page) => {
                doors.count("metrics", None);
                reply("200 OK", "text/plain; version=0.0.4; charset=utf-8", &page)
            }
            Err(refusal) => {
                doors.count("metrics", Some(refusal.code));
                plain("500 Internal Server Error", &refusal.message)
            }
        },
        Err(Wrong::Request) => plain("400 Bad Request", "this is no HTTP request; ask GET /metrics"),
        Err(Wrong::Method) => plain(
            "405 Method Not Allowed\r\nAllow: GET",
            "only GET /metrics is answered",
        ),
        Err(Wrong::Path) => plain("404 Not Found", "metrics are at /metrics; there is nothing else"),
    };
    let _ = timeout(limits::PORT_TIME, async {
        stream.write_all(&reply).await?;
        stream.shutdown().await
    })
    .await;
}

/// The head of the request, as far as its empty line; `None` when it ends or grows too long before that.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(512);
    let mut limited = stream.take(limits::PORT_HEAD as u64);
    while limited.read_buf(&mut head).await.ok()? > 0 {
        if head.windows(4).any(|four| four == b"\r\n\r\n") || head.windows(2).any(|two| two == b"\n\n") {
            return Some(head);
        }
    }
    None
}

#[derive(Debug, Eq, PartialEq)]
enum Wrong {
    Request,
    Method,
    Path,
}

/// Whether the head asks for the page.
fn target(head: &[u8]) -> Result<(), Wrong> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Wrong::Request)?;
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Wrong::Request);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Wrong::Request);
    }
    if method != "GET" {
        return Err(Wrong::Method);
    }
    match target.split('?').next() {
        Some("/metrics") => Ok(()),
        Some(_) | None => Err(Wrong::Path),
    }
}

fn plain(status: &str, sentence: &str) -> Vec<u8> {
    reply(status, "text/plain; charset=utf-8", &format!("{sentence}\n"))
}

fn reply(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::super::tests::doors;
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;

    /// The port, served by a room whose engine does not answer.
    async fn served() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(run(doors(), listener, address));
        address
    }

    async fn ask(address: SocketAddr, request: &'static [u8]) -> String {
        let asked = move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            // Whoever sends too much is cut off, perhaps before the end is sent: what came before counts.
            let _ = stream.write_all(request);
            let _ = stream.shutdown(Shutdown::Write);
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            text
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_page_is_there_while_the_engine_is_not() {
        let address = served().await;
        let reply = ask(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        assert!(body.contains("\nlbagent_ipvs_available 1\n"), "{body}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_request_for_the_page_is_told_or_cut_off() {
        let address = served().await;
        for (request, want) in [
            (b"GET / HTTP/1.1\r\n\r\n".as_slice(), "HTTP/1.1 404 "),
            (b"PUT /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
            (b"hello\n\n", "HTTP/1.1 400 "),
            (b"GET /metrics HTTP/1.1\r\n", ""),
            (&[b'x'; 20_000], ""),
        ] {
            let reply = ask(address, request).await;
            assert!(
                reply.starts_with(want) && reply.is_empty() == want.is_empty(),
                "{want}: {reply}"
            );
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn silent_connections_take_no_more_than_their_places() {
        let address = served().await;
        let open = move || -> Vec<_> {
            let connect = |_| std::net::TcpStream::connect(address).unwrap();
            (0..limits::PORT_CONNECTIONS + 1).map(connect).collect()
        };
        let mut silent = tokio::task::spawn_blocking(open).await.unwrap();
        let mut last = silent.pop().unwrap();
        let read = move || last.read(&mut [0]).unwrap();
        assert_eq!(
            tokio::task::spawn_blocking(read).await.unwrap(),
            0,
            "closed at once"
        );
        drop(silent);
    }

    #[test]
    fn only_get_of_the_page_is_answered() {
        for (line, want) in [
            ("GET /metrics HTTP/1.1", Ok(())),
            ("GET /metrics?name[]=x HTTP/1.0", Ok(())),
            ("POST /metrics HTTP/1.1", Err(Wrong::Method)),
            ("GET / HTTP/1.1", Err(Wrong::Path)),
            ("GET /metrics/../x HTTP/1.1", Err(Wrong::Path)),
            ("GET /metrics", Err(Wrong::Request)),
            ("GET /metrics HTTP/2", Err(Wrong::Request)),
            ("{\"op\":\"status\"}", Err(Wrong::Request)),
            ("\u{7f} \u{1} \u{2}", Err(Wrong::Request)),
        ] {
            assert_eq!(target(format!("{line}\r\n\r\n").as_bytes()), want, "{line}");
        }
        assert_eq!(target(b"\xff\xfe \xff \xff\r\n"), Err(Wrong::Request));
    }
}
