//! The log: to the console, a file or syslog, never waiting for any of them.

use lb_shared::loglevel::LogLevel;
use lb_shared::paths;
use nix::sys::stat::fstat;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, ParseError};
use tracing_subscriber::fmt::MakeWriter;

/// The target of lines that are written since their object has a level of its own.
pub(super) const CHOSEN: &str = "chosen";
/// Bytes of lines that may wait for a slow sink; lines beyond are dropped and counted.
const WAITING_BYTES: usize = 2 << 20;
/// Room that is kept for lines between two storms of them.
const KEPT_BYTES: usize = 16 << 10;
/// Syslog's number of the facility `daemon`.
const FACILITY_DAEMON: u8 = 3;
/// And of `local0`.
const FACILITY_LOCAL0: u8 = 16;

/// Where the log goes.
#[derive(Clone, Debug)]
pub enum Target {
    Console,
    /// The console, if that is systemd's journal: it stamps lines itself and takes their level from a number.
    Journal,
    File(PathBuf),
    /// Through /dev/log; the facility local0–local7, or daemon.
    Syslog(Option<u8>),
}

impl Target {
    /// The console, or the journal where systemd put it in its place (`$JOURNAL_STREAM`).
    pub fn console() -> Self {
        let stream = std::env::var("JOURNAL_STREAM").ok();
        let here = fstat(io::stderr())
            .ok()
            .map(|it| format!("{}:{}", it.st_dev, it.st_ino));
        if stream.is_some() && stream == here {
            Self::Journal
        } else {
            Self::Console
        }
    }
}

/// Starts the log. `detail` shows debugging texts of ours too.
pub fn start(target: Target, detail: bool) -> io::Result<()> {
    let queue = Arc::new(Queue::default());
    let mut sink = Sink::open(&target)?;
    let waiting = Arc::clone(&queue);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        let mut lines = Lines::default();
        loop {
            waiting.take(&mut lines);
            if sink.takes_many() {
                sink.write(&lines.bytes);
            } else {
                lines.each().for_each(|line| sink.write(line));
            }
            if lines.lost > 0 {
                let text = format!(
                    "{} lines of the log were lost: the sink is too slow\n",
                    lines.lost
                );
                sink.write(text.as_bytes());
            }
        }
    })?;
    let default = if detail { "debug" } else { "info" };
    let filter = EnvFilter::try_from_env("LBAGENT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let begun_with = filter.to_string();
    let filter = filter.add_directive(chosen().map_err(io::Error::other)?);
    let plain = matches!(target, Target::Syslog(_) | Target::Journal);
    let builder = tracing_subscriber::fmt()
        .with_target(false)
        .with_ansi(false)
        .with_writer(Writer(queue));
    let (set, reload): (_, Reload) = if plain {
        let builder = builder.without_time().with_level(true);
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let set = tracing::subscriber::set_global_default(builder.finish());
        (set, Box::new(move |filter| handle.reload(filter)))
    } else {
        let builder = builder.with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let set = tracing::subscriber::set_global_default(builder.finish());
        (set, Box::new(move |filter| handle.reload(filter)))
    };
    set.map_err(io::Error::other)?;
    // Set once, as the subscriber is: a second start has failed above.
    let _ = DIAL.set(Dial { begun_with, reload });
    Ok(())
}

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>;

/// The way to change what is logged.
struct Dial {
    begun_with: String,
    reload: Reload,
}

static DIAL: OnceLock<Dial> = OnceLock::new();

/// What was chosen for its object passes whatever the level of others.
fn chosen() -> Result<Directive, String> {
    format!("{CHOSEN}=trace")
        .parse()
        .map_err(|error: ParseError| error.to_string())
}

/// The level, or the filter, that the log was started with.
pub fn level() -> String {
    DIAL.get()
        .map_or_else(String::new, |dial| dial.begun_with.clone())
}

/// Logs at this level from now on; `None`: as at the start.
pub fn set_level(level: Option<LogLevel>) -> Result<(), String> {
    let dial = DIAL.get().ok_or("the log was not started")?;
    let words = level.map_or(dial.begun_with.as_str(), LogLevel::word);
    let filter = EnvFilter::try_new(words).map_err(|error| error.to_string())?;
    let filter = filter.add_directive(chosen()?);
    (dial.reload)(filter).map_err(|error| error.to_string())
}

enum Sink {
    Console,
    Journal,
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
            Target::Journal => Self::Journal,
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
            Self::Journal | Self::Syslog { .. } => false,
        }
    }

    fn write(&mut self, line: &[u8]) {
        // A log that cannot be written has nobody to tell.
        let _ = match self {
            Self::Console => io::stderr().write_all(line),
            Self::Journal => {
                let text = String::from_utf8_lossy(line);
                let (severity, text) = severity_of(&text);
                io::stderr().write_all(format!("<{severity}>{text}\n").as_bytes())
            }
            Self::File(file) => file.write_all(line),
            Self::Syslog {
                socket: Some(socket),
                facility,
            } => {
                let text = String::from_utf8_lossy(line);
                let (severity, text) = severity_of(&text);
                let priority = u32::from(*facility) * 8 + severity;
                let message = format!("<{priority}>{}[{}]: {text}", paths::AGENT, std::process::id());
                socket.send_to(message.as_bytes(), "/dev/log").map(|_| ())
            }
            Self::Syslog { socket: None, .. } => Ok(()),
        };
    }
}

/// Syslog's number for the level that a line begins with, and the rest of the line.
fn severity_of(line: &str) -> (u32, &str) {
    let text = line.trim();
    let levels = [
        ("ERROR ", 3),
        ("WARN ", 4),
        ("INFO ", 6),
        ("DEBUG ", 7),
        ("TRACE ", 7),
    ];
    levels
        .into_iter()
        .find_map(|(word, severity)| Some((severity, text.strip_prefix(word)?)))
        .unwrap_or((6, text))
}

/// Lines on their way to the sink.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
    /// How many found no room.
    lost: u64,
}

impl Lines {
    fn push(&mut self, line: &[u8]) {
        if self.bytes.len() + line.len() > WAITING_BYTES {
            self.lost += 1;
            return;
        }
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.lost == 0
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(from, to)| &self.bytes[from..*to])
    }

    /// Ready for the next ones; a storm's room is given back.
    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.ends.clear();
        self.ends.shrink_to(KEPT_BYTES / 64);
        self.lost = 0;
    }
}

/// Between those who have something to say and the thread that writes it. Nobody waits for the sink here.
#[derive(Default)]
struct Queue {
    lines: Mutex<Lines>,
    news: Condvar,
}

impl Queue {
    fn push(&self, line: &[u8]) {
        let mut lines = self.lock();
        let sleeps = lines.is_empty();
        lines.push(line);
        drop(lines);
        if sleeps {
            self.news.notify_one();
        }
    }

    /// Waits for lines and takes all there are, in exchange for the emptied `written`.
    fn take(&self, written: &mut Lines) {
        written.clear();
        let mut lines = self.lock();
        while lines.is_empty() {
            lines = self.news.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut *lines, written);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Writer(Arc<Queue>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_in_order_and_each_for_itself() {
        let queue = Queue::default();
        queue.push(b"one\n");
        queue.push(b"two\nand its second row\n");
        let mut taken = Lines::default();
        queue.take(&mut taken);
        let lines: Vec<&[u8]> = taken.each().collect();
        assert_eq!(lines, [&b"one\n"[..], b"two\nand its second row\n"]);
        queue.push(b"three\n");
        queue.take(&mut taken);
        assert_eq!(taken.bytes, b"three\n");
    }

    #[test]
    fn a_line_is_as_grave_as_the_level_it_begins_with() {
        assert_eq!(severity_of(" WARN bfd: gone\n"), (4, "bfd: gone"));
        assert_eq!(severity_of("ERROR no disk\n"), (3, "no disk"));
        assert_eq!(severity_of("12 lines were lost\n"), (6, "12 lines were lost"));
    }

    /// F157: whoever logs does not wait for the sink.
    #[test]
    fn what_a_slow_sink_leaves_is_bounded_and_the_rest_is_counted() {
        let queue = Queue::default();
        let line = [b'x'; 1 << 10];
        for _ in 0..(WAITING_BYTES >> 10) + 3 {
            queue.push(&line);
        }
        let mut taken = Lines::default();
        queue.take(&mut taken);
        assert_eq!(taken.bytes.len(), WAITING_BYTES);
        assert_eq!(taken.lost, 3);
        queue.push(b"again\n");
        queue.take(&mut taken);
        assert_eq!((taken.each().count(), taken.lost), (1, 0));
    }
}
