//! Mail: one connection each, not tried again, never waited for.

use super::dial::{Trouble, judge, talk, timed_out};
use super::tls::Hello;
use crate::model::MailRoute;
use crate::notify::mail::{Mail, MailDialog};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Connections to mail servers at the same time.
const AT_ONCE: usize = 4;
/// Mails that wait for a connection; more are not sent, so that a dead mail server costs no memory.
const WAITING_MAX: usize = 256;

/// Sends mails. Dropping it leaves those under way to the runtime.
pub struct Mailer {
    handle: Handle,
    shared: Arc<Shared>,
}

struct Shared {
    failed: Box<dyn Fn(String) + Send + Sync>,
    places: Semaphore,
    waiting: AtomicUsize,
}

impl Mailer {
    /// `failed` is told of each mail that was not taken, on a thread of the runtime.
    pub fn start(handle: Handle, failed: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self {
            handle,
            shared: Arc::new(Shared {
                failed: Box::new(failed),
                places: Semaphore::new(AT_ONCE),
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// Sends a mail, or says why not.
    pub fn send(&self, route: MailRoute, mail: Mail) {
        let shared = Arc::clone(&self.shared);
        if shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            // One in a flood is enough to know.
            tracing::debug!("too many mails wait: '{}' is not sent", mail.subject);
            return;
        }
        self.handle.spawn(async move {
            if let Ok(_place) = shared.places.acquire().await
                && let Err(Trouble::Remote(why) | Trouble::Local(why)) = hand_over(&route, &mail).await
            {
                let server = format!("{} port {}", route.server, route.port);
                (shared.failed)(format!(
                    "mail '{}' was not taken by {server}: {why}",
                    mail.subject
                ));
            }
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn hand_over(route: &MailRoute, mail: &Mail) -> Result<(), Trouble> {
    let connection = async {
        let mut last = None;
        for address in lookup_host((route.server.as_str(), route.port)).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::other("its name has no address")))
    };
    let stream = match timeout(route.timeout, connection).await {
        Err(_) => return Err(timed_out("connecting", route.timeout)),
        Ok(Err(error)) => return Err(judge("connect", &error)),
        Ok(Ok(stream)) => stream,
    };
    let mut dialog = MailDialog::new(route, mail, &date(super::clock::wall_ms()));
    talk(stream, &mut dialog, Hello::default(), route.timeout).await
}

/// A moment as RFC 5322 §3.3 wants it, in UTC: `Fri, 20 Nov 2026 09:20:00 +0000`.
fn date(wall_ms: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = wall_ms / 1_000;
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    // `2026-11-20T09:20:00Z`
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse().unwrap_or(1usize).clamp(1, 12);
    // 1 January 1970 was a Thursday.
    let day = DAYS[usize::try_from(seconds / 86_400 % 7).unwrap_or(0)];
    format!(
        "{day}, {} {} {} {} +0000",
        part(8, 10),
        MONTHS[month - 1],
        part(0, 4),
        part(11, 19)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn dates_are_those_of_mail() {
        assert_eq!(date(1_795_166_400_000), "Fri, 20 Nov 2026 09:20:00 +0000");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
    }

    fn route(port: u16) -> MailRoute {
        MailRoute {
            server: "127.0.0.1".into(),
            port,
            from: "lb@example.org".into(),
            to: vec!["ops@example.org".into()],
            helo: "lb1".into(),
            timeout: Duration::from_secs(20),
            no_faults: false,
        }
    }

    fn mail() -> Mail {
        Mail {
            subject: "[lb1] test".into(),
            body: "=> why <=\n".into(),
        }
    }

    #[test]
    fn a_mail_reaches_a_server_and_a_failure_is_told() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (to, failures) = channel();
        let mailer = Mailer::start(runtime.handle().clone(), move |why| drop(to.send(why)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        mailer.send(route(port), mail());
        let (stream, _) = listener.accept().unwrap();
        let mut out = stream.try_clone().unwrap();
        out.write_all(b"220 ready\r\n").unwrap();
        let mut heard = Vec::new();
        let mut text = false;
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            let answer = match (line.as_str(), text) {
                ("DATA", _) => "354 go on\r\n",
                (".", true) => "250 taken\r\n",
                (_, true) => "",
                ("QUIT", _) => "221 bye\r\n",
                _ => "250 ok\r\n",
            };
            text = (text || line == "DATA") && line != ".";
            out.write_all(answer.as_bytes()).unwrap();
            let last = line == "QUIT";
            heard.push(line);
            if last {
                break;
            }
        }
        assert!(
            heard.contains(&"RCPT TO:<ops@example.org>".to_owned()),
            "{heard:?}"
        );
        assert!(heard.contains(&"Subject: [lb1] test".to_owned()), "{heard:?}");
        // Nobody listens there any more.
        drop(listener);
        mailer.send(route(port), mail());
        let why = failures.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(
            why.contains("'[lb1] test'") && why.contains("connection refused"),
            "{why}"
        );
    }
}
