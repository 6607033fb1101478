//! The log: to the console, a file or syslog, never waiting for any of them.

use lb_shared::paths;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait for a slow sink; more are dropped and counted.
const QUEUE: usize = 10_000;
/// Lines are gathered up to this size before they are written.
const WRITE_BYTES: usize = 16 << 10;
/// Syslog's number of the facility `daemon`.
const FACILITY_DAEMON: u8 = 3;
/// And of `local0`.
const FACILITY_LOCAL0: u8 = 16;

/// Where the log goes.
#[derive(Clone, Debug)]
pub enum Target {
    Console,
    File(PathBuf),
    /// Through /dev/log; the facility local0–local7, or daemon.
    Syslog(Option<u8>),
}

/// Starts the log. `detail` shows debugging texts of ours too.
pub fn start(target: Target, detail: bool) -> io::Result<()> {
    let (lines, inbox) = sync_channel::<Vec<u8>>(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let mut sink = Sink::open(&target)?;
    let lost = Arc::clone(&dropped);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        while let Ok(mut lines) = inbox.recv() {
            // What gathered meanwhile is written at once, as far as the sink takes several lines.
            while sink.takes_many()
                && lines.len() < WRITE_BYTES
                && let Ok(line) = inbox.try_recv()
            {
                lines.extend(line);
            }
            sink.write(&lines);
            let lost = lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                sink.write(format!("{lost} lines of the log were lost: the sink is too slow\n").as_bytes());
            }
        }
    })?;
    let default = if detail { "debug" } else { "info" };
    let filter = EnvFilter::try_from_env("LBAGENT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let plain = matches!(target, Target::Syslog(_));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(false)
        .with_writer(Writer { lines, dropped });
    let set = if plain {
        tracing::subscriber::set_global_default(builder.without_time().with_level(true).finish())
    } else {
        tracing::subscriber::set_global_default(builder.finish())
    };
    set.map_err(io::Error::other)
}

enum Sink {
    Console,
    File(std::fs::File),
    Syslog {
        socket: Option<UnixDatagram>,
        facility: u8,
    },
}

impl Sink {
    fn open(target: &Target) -> io::Result<Self> {
        Ok(match target {
            Target::Console => Self::Console,
            Target::File(path) => Self::File(OpenOptions::new().append(true).create(true).open(path)?),
            Target::Syslog(local) => Self::Syslog {
                socket: UnixDatagram::unbound().ok(),
                facility: local.map_or(FACILITY_DAEMON, |local| FACILITY_LOCAL0 + local),
            },
        })
    }

    /// Whether several lines may be written as one; syslog takes a message each.
    fn takes_many(&self) -> bool {
        match self {
            Self::Console | Self::File(_) => true,
            Self::Syslog { .. } => false,
        }
    }

    fn write(&mut self, line: &[u8]) {
        // A log that cannot be written has nobody to tell.
        let _ = match self {
            Self::Console => io::stderr().write_all(line),
            Self::File(file) => file.write_all(line),
            Self::Syslog {
                socket: Some(socket),
                facility,
            } => {
                let text = String::from_utf8_lossy(line);
                let text = text.trim();
                let (severity, text) = [
                    ("ERROR ", 3),
                    ("WARN ", 4),
                    ("INFO ", 6),
                    ("DEBUG ", 7),
                    ("TRACE ", 7),
                ]
                .into_iter()
                .find_map(|(word, severity)| Some((severity, text.strip_prefix(word)?)))
                .unwrap_or((6, text));
                let priority = u32::from(*facility) * 8 + severity;
                let message = format!("<{priority}>{}[{}]: {text}", paths::AGENT, std::process::id());
                socket.send_to(message.as_bytes(), "/dev/log").map(|_| ())
            }
            Self::Syslog { socket: None, .. } => Ok(()),
        };
    }
}

#[derive(Clone)]
struct Writer {
    lines: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(bytes.to_vec()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
