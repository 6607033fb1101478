//! The dialler: carries out checks that talk over the network.
//!
//! It only moves bytes between a socket and a [`Dialog`] and keeps the time; what an answer means is the dialog's
//! business, what a failure means the health room's. At most so many sockets are open at once: a check that has to
//! wait is late, not failed, because its time begins when it gets its place.

use super::tls::Hello;
use super::{datagram, ping, tls};
use crate::health::checks::{HttpDialog, Pattern, SmtpDialog, TcpDialog};
use crate::health::{CheckId, CheckJob, CheckOutcome};
use crate::model::{CheckKind, HttpGet, TcpCheck};
use crate::wire::dialog::{Dialog, Step};
use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// Descriptors left to the rest of the agent.
const DESCRIPTORS_RESERVED: u64 = 512;
/// No more sockets than this, however many descriptors there are.
const SOCKETS_MAX: u64 = 8192;

/// No more compiled patterns than this are kept.
const PATTERNS_MAX: usize = 1024;

/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;

/// Carries out checks. Dropping it gives up those under way.
pub struct Dialler {
    handle: Handle,
    shared: Arc<Shared>,
}

struct Shared {
    results: Box<dyn Fn(CheckId, CheckOutcome) + Send + Sync>,
    running: Mutex<BTreeMap<CheckId, AbortHandle>>,
    places: Semaphore,
    patterns: Mutex<BTreeMap<String, Pattern>>,
    /// Where the cookies of echoes come from: nobody outside can guess the next.
    cookies: RandomState,
}

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server's doing.
    Remote(String),
    /// This host's doing: says nothing about the server.
    Local(String),
}

impl Dialler {
    /// `results` gets one outcome for each check that is not cancelled, on a thread of the runtime.
    pub fn start(handle: Handle, results: impl Fn(CheckId, CheckOutcome) + Send + Sync + 'static) -> Self {
        Self::with_places(handle, socket_limit(), results)
    }

    /// As [`Dialler::start`], with a limit of sockets that are open at the same time.
    pub fn with_places(
        handle: Handle,
        places: usize,
        results: impl Fn(CheckId, CheckOutcome) + Send + Sync + 'static,
    ) -> Self {
        Self {
            handle,
            shared: Arc::new(Shared {
                results: Box::new(results),
                running: Mutex::default(),
                places: Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)),
                patterns: Mutex::default(),
                cookies: RandomState::new(),
            }),
        }
    }

    /// Begins a check. Its outcome comes with the same id.
    pub fn begin(&self, id: CheckId, job: CheckJob) {
        let shared = Arc::clone(&self.shared);
        // The lock is held until the task is listed, so that it cannot end before.
        let mut running = self.shared.lock();
        let task = self.handle.spawn(async move {
            let Ok(_place) = shared.places.acquire().await else {
                return;
            };
            let started = Instant::now();
            let outcome = match shared.run(id, &job).await {
                Ok(()) => CheckOutcome::Pass {
                    took: started.elapsed(),
                    weight: None,
                },
                Err(Trouble::Remote(why)) => CheckOutcome::Fail {
                    took: started.elapsed(),
                    why,
                },
                Err(Trouble::Local(why)) => CheckOutcome::Inconclusive { why },
            };
            let wanted = shared.lock().remove(&id).is_some();
            if wanted {
                (shared.results)(id, outcome);
            }
        });
        running.insert(id, task.abort_handle());
    }

    /// Gives up a check; no outcome comes after this returns, unless it is already being delivered.
    pub fn cancel(&self, id: CheckId) {
        if let Some(task) = self.shared.lock().remove(&id) {
            task.abort();
        }
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        for task in std::mem::take(&mut *self.shared.lock()).into_values() {
            task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CheckId, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self, id: CheckId, job: &CheckJob) -> Result<(), Trouble> {
        match &job.kind {
            CheckKind::Tcp(tcp) => {
                let stream = connect(tcp).await?;
                talk(stream, &mut TcpDialog, Hello::default(), tcp.timeout).await
            }
            CheckKind::Http(http) => {
                let mut dialog = self.http_dialog(http, job.url)?;
                let stream = connect(&http.connect).await?;
                let hello = Hello {
                    sni: http.sni.as_deref(),
                    client: http.client.as_deref(),
                };
                talk(stream, &mut dialog, hello, http.connect.timeout).await
            }
            CheckKind::Smtp(check) => {
                let stream = connect(&check.connect).await?;
                let mut dialog = SmtpDialog::new(&check.helo);
                talk(stream, &mut dialog, Hello::default(), check.connect.timeout).await
            }
            CheckKind::Dns(check) => datagram::dns(check, self.cookies.hash_one(id.0)).await,
            CheckKind::Udp(check) => datagram::udp(check).await,
            CheckKind::Ping(check) => ping::ping(check, self.cookies.hash_one(id.0)).await,
            CheckKind::Bfd(_) => Err(Trouble::Local("a BFD session is followed, not asked".to_owned())),
            CheckKind::File(_) => Err(Trouble::Local("files are watched, not checked".to_owned())),
            CheckKind::Misc(_) => Err(Trouble::Local("scripts are run by the script runner".to_owned())),
        }
    }

    fn http_dialog(&self, http: &HttpGet, url: usize) -> Result<HttpDialog, Trouble> {
        let url = http
            .urls
            .get(url)
            .ok_or_else(|| Trouble::Local("this check has no such url".to_owned()))?;
        let pattern = match &url.regex {
            None => None,
            Some((text, _)) => Some(self.pattern(text)?),
        };
        Ok(HttpDialog::new(http, url, pattern))
    }

    /// A compiled pattern. They are kept: compiling takes longer than many a check.
    fn pattern(&self, text: &str) -> Result<Pattern, Trouble> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pattern) = patterns.get(text) {
            return Ok(pattern.clone());
        }
        let pattern = Pattern::new(text)
            .map_err(|why| Trouble::Local(format!("regex '{text}' cannot be used: {why}")))?;
        if patterns.len() >= PATTERNS_MAX {
            patterns.clear();
        }
        patterns.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }
}

fn socket_limit() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let places = soft.saturating_sub(DESCRIPTORS_RESERVED).max(soft / 2);
    usize::try_from(places.clamp(1, SOCKETS_MAX)).unwrap_or(1)
}

/// Connects within the check's timeout.
async fn connect(check: &TcpCheck) -> Result<TcpStream, Trouble> {
    let socket = open(check)?;
    let socket = TcpSocket::from_std_stream(socket.into());
    let stream = match timeout(check.timeout, socket.connect(check.to)).await {
        Err(_) => return Err(timed_out("connecting", check.timeout)),
        Ok(Err(error)) => return Err(judge("connect", &error)),
        Ok(Ok(stream)) => stream,
    };
    // On loopback a connection can meet itself when the ephemeral port is the one wanted.
    if matches!((stream.local_addr(), stream.peer_addr()), (Ok(a), Ok(b)) if a == b) {
        return Err(Trouble::Remote("connection refused".to_owned()));
    }
    Ok(stream)
}

fn open(check: &TcpCheck) -> Result<Socket, Trouble> {
    let local = |what: &str, error: io::Error| {
        Trouble::Local(format!(
            "cannot {what} for a check of {}: {}",
            check.to,
            words(&error)
        ))
    };
    let socket = Socket::new(
        Domain::for_address(check.to),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )
    .map_err(|error| local("open a socket", error))?;
    prepare(&socket, check.device.as_deref(), check.mark)?;
    if let Some(from) = check.from {
        if from.port() != 0 {
            socket
                .set_reuse_address(true)
                .map_err(|error| local("reuse the source port", error))?;
        }
        socket
            .bind(&SockAddr::from(from))
            .map_err(|error| local(&format!("use the source {from}"), error))?;
    }
    Ok(socket)
}

/// Ties a socket to an interface and marks its packets.
pub(super) fn prepare(socket: &Socket, device: Option<&str>, mark: u32) -> Result<(), Trouble> {
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes())).map_err(|error| {
            Trouble::Local(format!("cannot use the interface {device}: {}", words(&error)))
        })?;
    }
    if mark != 0 {
        socket
            .set_mark(mark)
            .map_err(|error| Trouble::Local(format!("cannot set fwmark {mark}: {}", words(&error))))?;
    }
    Ok(())
}

/// Drives a dialog over a connection to its end, within one time limit for all of it.
pub(super) async fn talk(
    mut stream: TcpStream,
    dialog: &mut (dyn Dialog + Send),
    hello: Hello<'_>,
    limit: Duration,
) -> Result<(), Trouble> {
    let conversation = async {
        match dialog.on_open() {
            Step::StartTls => {
                let peer = stream.peer_addr().map_err(|error| judge("shake hands", &error))?;
                let mut stream = tls::secure(stream, peer.ip(), hello).await?;
                let step = dialog.on_secure();
                converse(&mut stream, dialog, step).await
            }
            step @ (Step::Send(_) | Step::More | Step::Pass | Step::Fail(_)) => {
                converse(&mut stream, dialog, step).await
            }
        }
    };
    timeout(limit, conversation)
        .await
        .unwrap_or_else(|_| Err(timed_out("waiting for the answer", limit)))
}

async fn converse<S>(stream: &mut S, dialog: &mut (dyn Dialog + Send), mut step: Step) -> Result<(), Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    loop {
        match step {
            Step::Pass => return Ok(()),
            Step::Fail(why) => return Err(Trouble::Remote(why)),
            // No checker of ours changes to TLS in the middle of a conversation.
            Step::StartTls => return Err(Trouble::Local("TLS cannot begin here".to_owned())),
            Step::Send(bytes) => {
                let sent = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                sent.await.map_err(|error| judge("send", &error))?;
            }
            Step::More => {}
        }
        buffer.resize(READ_SIZE, 0);
        step = match stream.read(&mut buffer).await {
            // A TLS peer that closes without saying so is common; what it sent counts.
            Ok(0) => dialog.on_end(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => dialog.on_end(),
            Ok(count) => dialog.on_bytes(&buffer[..count]),
            // What came before a reset counts if it was complete (as in keepalived).
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => match dialog.on_end() {
                Step::Pass => Step::Pass,
                Step::Send(_) | Step::More | Step::StartTls | Step::Fail(_) => {
                    return Err(judge("receive", &error));
                }
            },
            Err(error) => return Err(tls::describe(&error)),
        };
    }
}

pub(super) fn timed_out(doing: &str, limit: Duration) -> Trouble {
    Trouble::Remote(format!("timed out after {limit:?} {doing}"))
}

/// Whose fault an error is.
///
/// Running out of something here, or a firewall or address of our own in the way, says nothing about the server.
pub(super) fn judge(doing: &str, error: &io::Error) -> Trouble {
    let local = error.raw_os_error().is_some_and(|errno| {
        matches!(
            errno,
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::EADDRNOTAVAIL
                | libc::EADDRINUSE
                | libc::EAGAIN
                | libc::EPERM
                | libc::EACCES
                | libc::ENODEV
        )
    });
    if local {
        Trouble::Local(format!("cannot {doing}: {}", words(error)))
    } else {
        Trouble::Remote(words(error))
    }
}

/// An error in the kernel's words, without Rust's number behind it.
pub(super) fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => nix::errno::Errno::from_raw(errno).desc().to_lowercase(),
        None => error.to_string(),
    }
}

/// The unspecified address of a family, any port.
pub(super) fn any_address(like: IpAddr) -> SocketAddr {
    match like {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}
