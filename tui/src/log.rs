//! What the dashboard itself met with and told: shown by `:log`, written by `--log FILE`.

use lb_shared::text::escape;
use lb_shared::view::rfc3339;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most lines that are kept.
const LINES_MAX: usize = 500;

/// The last lines, and how many there ever were.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: VecDeque<(Duration, String)>,
    count: usize,
}

impl Log {
    /// Adds a line of a moment. The same twice in a row is one.
    pub(crate) fn add(&mut self, at: Duration, text: impl Into<String>) {
        let text = text.into();
        if self.lines.back().is_some_and(|(_, last)| *last == text) {
            return;
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back((at, text));
        self.count += 1;
    }

    /// How many lines there ever were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (Duration, &str)> {
        self.lines.iter().rev().map(|(at, text)| (*at, text.as_str()))
    }

    /// Those that came after so many, the oldest first, as far as they are kept.
    pub(crate) fn after(&self, count: usize) -> impl Iterator<Item = (Duration, &str)> {
        let new = self.count.saturating_sub(count).min(self.lines.len());
        let skipped = self.lines.len() - new;
        self.lines
            .iter()
            .skip(skipped)
            .map(|(at, text)| (*at, text.as_str()))
    }
}

/// A file to which the lines of each host's dashboard are written as they come.
#[derive(Debug)]
pub(crate) struct LogFile {
    to: File,
    /// When the program began, in Unix time.
    began: Duration,
    /// By the place of the host: how many lines were written.
    written: Vec<usize>,
}

impl LogFile {
    /// Writes at the end of a file, or makes it, for the user alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            to: OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(path)?,
            began: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            written: Vec::new(),
        })
    }

    /// Writes what is new.
    pub(crate) fn take<'a>(&mut self, logs: impl Iterator<Item = (String, &'a Log)>) -> io::Result<()> {
        for (seat, (host, log)) in logs.enumerate() {
            if self.written.len() == seat {
                self.written.push(0);
            }
            for (at, text) in log.after(self.written[seat]) {
                let wall_ms = u64::try_from((self.began + at).as_millis()).unwrap_or(u64::MAX);
                writeln!(
                    self.to,
                    "{} {}: {}",
                    rfc3339(wall_ms),
                    escape(&host),
                    escape(text)
                )?;
            }
            self.written[seat] = log.count();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_last_lines_and_tells_those_that_are_new() {
        let mut log = Log::default();
        for nth in 0..LINES_MAX + 3 {
            log.add(Duration::from_secs(1), format!("line {nth}"));
            log.add(Duration::from_secs(2), format!("line {nth}"));
        }
        assert_eq!(log.count(), LINES_MAX + 3);
        assert_eq!(log.newest().count(), LINES_MAX);
        assert_eq!(log.newest().next(), Some((Duration::from_secs(1), "line 502")));
        let new: Vec<&str> = log.after(LINES_MAX + 1).map(|(_, text)| text).collect();
        assert_eq!(new, ["line 501", "line 502"]);
        assert_eq!(log.after(0).count(), LINES_MAX);
    }

    #[test]
    fn a_file_gets_each_line_once() {
        let path = std::env::temp_dir().join(format!("lbtui-{}.log", std::process::id()));
        let mut file = LogFile::open(&path).unwrap();
        let (mut one, mut other) = (Log::default(), Log::default());
        for nth in 0..3 {
            one.add(Duration::from_secs(nth), format!("line {nth}"));
            other.add(Duration::ZERO, "a\nb");
            let logs = [("lb1".to_owned(), &one), ("lb2".to_owned(), &other)];
            file.take(logs.into_iter()).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let told: Vec<&str> = text
            .lines()
            .map(|line| &line[line.find(' ').unwrap() + 1..])
            .collect();
        assert_eq!(told, ["lb1: line 0", "lb2: a\\nb", "lb1: line 1", "lb1: line 2"]);
    }
}
