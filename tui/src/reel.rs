//! Recordings of `lbctl record`: JSON lines that hold the protocol's form too.

use crate::tape::{Entry, GZIP, Taped};
use lb_shared::counters::Counters;
use lb_shared::event::Numbered;
use lb_shared::frame::VERSION;
use lb_shared::reel;
use lb_shared::request::{Hello, Role, Snapshot};
use lb_shared::text::escape;
use lb_shared::units::Mono;
use serde_json::Value;
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How such a file begins.
const LINES: &[u8] = b"{\"";

/// The host of such a recording and what it tells; `None` for a file that is no such recording.
pub(crate) fn read(mut file: File) -> Result<Option<(String, Vec<Entry>)>, String> {
    let mut head = [0; 2];
    let is = |known: &[u8], head: [u8; 2]| head == known;
    let known = file.read_exact(&mut head).is_ok() && (is(LINES, head) || is(GZIP, head));
    file.rewind().map_err(|error| error.to_string())?;
    if !known {
        return Ok(None);
    }
    if is(LINES, head) {
        return lines(file).map(Some);
    }
    let unzip = Command::new("gzip")
        .arg("-dc")
        .stdin(file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut unzip = unzip.map_err(|error| format!("cannot run gzip: {error}"))?;
    let told = match unzip.stdout.take() {
        Some(stdout) => lines(stdout),
        None => Err("gzip gives no output".to_owned()),
    };
    // What was read before the end of a file that was cut off can be played.
    let _ = unzip.wait();
    told.map(Some)
}

fn lines(from: impl Read) -> Result<(String, Vec<Entry>), String> {
    let mut lines = BufReader::new(from).lines();
    let mut next = || lines.next().and_then(Result::ok);
    let head: Value = next()
        .and_then(|line| serde_json::from_str(&line).ok())
        .filter(|head: &Value| head["rec"].is_u64())
        .ok_or("this is no recording of lbctl or lbtui")?;
    if let Err(version) = reel::check(&head) {
        return Err(match version {
            Some(version) => format!(
                "it was recorded with protocol {}, this program speaks {VERSION}: play it with the lbtui of then, or lbctl replay prints it",
                escape(&version)
            ),
            None => "it is a recording of an older lbctl, which kept too little for the dashboard: lbctl replay prints it".to_owned(),
        });
    }
    let word = |key: &str| head[key].as_str().unwrap_or_default().to_owned();
    let hello = Hello {
        agent: word("agent"),
        host: word("host"),
        role: Role::Viewer,
    };
    let mut told = Told::default();
    while let Some(line) = next() {
        // The last line of a recording that was cut off may be half.
        if let Ok(line) = serde_json::from_str::<Value>(&line) {
            told.take(&line);
        }
    }
    if told.entries.is_empty() {
        return Err("it is empty".into());
    }
    let connected = Taped::Connected(Cow::Owned(hello), Cow::Owned(Vec::new()));
    let mut entries = vec![(0, connected)];
    let begins_ms = told
        .entries
        .iter()
        .map(|(wall_ms, _)| *wall_ms)
        .min()
        .unwrap_or(0);
    entries.extend(
        told.entries
            .into_iter()
            .map(|(wall_ms, taped)| (wall_ms - begins_ms, taped)),
    );
    Ok((word("host"), timed(entries)))
}

/// The entries at their moments, with signs of life between those that are far apart: the agent was listened to.
fn timed(told: Vec<(u64, Taped<'static>)>) -> Vec<Entry> {
    const ALIVE_MS: u64 = 2_000;
    // Beyond a day it is a clock that was set.
    const LONG_MS: u64 = 86_400_000;
    let mut entries: Vec<Entry> = Vec::new();
    let mut at_ms = 0;
    let mut put = |ms: u64, taped| {
        let at = Duration::from_millis(ms);
        entries.push(Entry { at, seat: 0, taped });
    };
    for (ms, taped) in told {
        // A clock that was set back does not turn the story round.
        let gap = ms.saturating_sub(at_ms).min(LONG_MS);
        (1..gap.div_ceil(ALIVE_MS)).for_each(|nth| put(at_ms + nth * ALIVE_MS, Taped::Alive));
        at_ms += gap;
        put(at_ms, taped);
    }
    entries
}

/// What the lines tell, each with its moment in Unix time in milliseconds.
#[derive(Default)]
struct Told {
    entries: Vec<(u64, Taped<'static>)>,
    /// The agent's clock and the wall's at the last state.
    clock: (Mono, u64),
}

impl Told {
    fn take(&mut self, line: &Value) {
        if line.get("snapshot").is_some() {
            let Some(it) = reel::take::<Snapshot>(line) else {
                return;
            };
            self.clock = (it.now, it.wall_ms);
            self.entries.push((it.wall_ms, Taped::Snapshot(Cow::Owned(it))));
        } else if line.get("event").is_some() {
            let Some(it) = reel::take::<Numbered>(line) else {
                return;
            };
            self.entries.push((it.wall_ms, Taped::Event(Cow::Owned(it))));
        } else if line.get("sample").is_some() {
            let Some(it) = reel::take::<Counters>(line) else {
                return;
            };
            let (now, wall_ms) = self.clock;
            let passed = u64::try_from(it.at.since(now).as_millis()).unwrap_or(0);
            self.entries
                .push((wall_ms.saturating_add(passed), Taped::Counters(Cow::Owned(it))));
        } else if let Some(lost) = line.get("lost") {
            let number = |key: &str| lost[key].as_u64().unwrap_or(0);
            let wall_ms = self.entries.last().map_or(self.clock.1, |(wall_ms, _)| *wall_ms);
            let (from, to) = (number("from"), number("to"));
            self.entries.push((wall_ms, Taped::Lost { from, to }));
        }
    }
}
