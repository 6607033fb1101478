//! `record` and `replay`: a session as JSON lines, to look at later or elsewhere.
//!
//! The first line says what it is: `{"rec":1,"host":…,"agent":…,"t":…}`. Then come a whole `snapshot` every minute, each
//! `event`, and a `sample` of the counters every few seconds, in the forms of the socket, each with its `t` and `host`; beside them what lbtui needs to play it.

use crate::args::{Global, Output, Record};
use crate::connect;
use crate::detach::Detach;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::client::{ClientError, Update};
use lb_shared::duration;
use lb_shared::event::{Numbered, What};
use lb_shared::json;
use lb_shared::reel;
use lb_shared::request::Snapshot;
use lb_shared::text::{count, escape};
use lb_shared::view::{View, rfc3339};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The form of the file.
const VERSION: u64 = 1;
/// What a recording of lbtui begins with.
const DASHBOARDS: &[u8] = b"LBTUI\n";
const SNAPSHOT_EVERY: Duration = Duration::from_secs(60);
/// How long nothing may be heard before the time is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Writes a session until its time is over or Ctrl-C ends it.
pub(crate) fn record(global: &Global, record: &Record) -> Result<(), Trouble> {
    let lasting = record.lasting.as_deref().map(duration::parse).transpose()?;
    let before = duration::parse(&record.before)?;
    let every = duration::parse(&record.sample)?.max(Duration::from_secs(1));
    let mut client = connect::client(global)?;
    let mut watch = connect::client(global)?.watch()?;
    let Some(Update::Snapshot(first)) = watch.next().transpose()? else {
        return Err(ClientError::Closed.into());
    };
    let mut tape = Tape::create(&record.write, &first)?;
    let oldest = first
        .wall_ms
        .saturating_sub(u64::try_from(before.as_millis()).unwrap_or(u64::MAX));
    // How it was then, as far back as the agent knows; what is older is told by its events alone.
    match client.past(oldest.max(1)) {
        Ok(past) => tape.whole(&past.snapshot)?,
        Err(ClientError::Refused(_)) => {}
        Err(error) => return Err(error.into()),
    }
    for event in client.events(None, 10_000)? {
        if event.wall_ms >= oldest && event.seq <= first.seq {
            tape.event(&View::of(&first), &event)?;
        }
    }
    tape.whole(&first)?;
    let mut now = *first;
    let began = Instant::now();
    let (mut snapshot_at, mut sample_at) = (began + SNAPSHOT_EVERY, began);
    let detach = Detach::armed();
    while lasting.is_none_or(|lasting| began.elapsed() < lasting) && !detach.heard() {
        match watch.next_within(TICK)? {
            None => {}
            Some(Update::Snapshot(whole)) => {
                now = *whole;
                tape.whole(&now)?;
            }
            Some(Update::Event(event)) => {
                tape.event(&View::new(&now.state, event.event.at, event.wall_ms), &event)?;
                now.state.apply(&event.event);
                (now.seq, now.now, now.wall_ms) = (event.seq, event.event.at, event.wall_ms);
            }
            Some(Update::Lost { from, to }) => {
                tape.line(json!({"lost": {"from": from, "to": to}}), now.wall_ms)?
            }
        }
        if Instant::now() >= sample_at {
            sample_at = Instant::now() + every;
            // A sample that does not come is a gap, and the next one may.
            if let Ok(counters) = client.counters() {
                let view = View::new(&now.state, counters.at, now.wall_ms).with_counters(Some(&counters));
                let sample = json::list(view.servers(), |it| json::server_stats(&view, it));
                let ahead = counters.at.since(now.now);
                let wall_ms = now.wall_ms + u64::try_from(ahead.as_millis()).unwrap_or(0);
                let mut line = json!({"sample": sample});
                reel::put(&mut line, &counters);
                tape.line(line, wall_ms)?;
            }
        }
        if Instant::now() >= snapshot_at {
            snapshot_at = Instant::now() + SNAPSHOT_EVERY;
            now = client.snapshot()?;
            tape.snapshot(&now)?;
        }
    }
    let lines = tape.end()?;
    if !global.quiet {
        eprintln!("{} in {}", count(lines, "line"), record.write.display());
    }
    Ok(())
}

/// The file that is written.
struct Tape {
    to: Box<dyn Write>,
    gzip: Option<Child>,
    host: String,
    lines: usize,
}

impl Tape {
    /// A new file; one that is there is left alone. `.gz` goes through gzip.
    fn create(path: &Path, first: &Snapshot) -> Result<Self, Trouble> {
        let cannot = |error: io::Error| {
            usage(
                format!("cannot write {}: {error}", path.display()),
                "name another file",
            )
        };
        let file = File::create_new(path).map_err(cannot)?;
        let (to, gzip): (Box<dyn Write>, _) = if is_gz(path) {
            let mut gzip = Command::new("gzip")
                .arg("-c")
                .stdin(Stdio::piped())
                .stdout(file)
                .spawn()
                .map_err(|error| usage(format!("cannot run gzip: {error}"), "name a file without .gz"))?;
            match gzip.stdin.take() {
                Some(stdin) => (Box::new(BufWriter::new(stdin)), Some(gzip)),
                None => return Err(usage("gzip takes no input", "name a file without .gz")),
            }
        } else {
            (Box::new(BufWriter::new(file)), None)
        };
        let agent = &first.state.agent;
        let mut tape = Self {
            to,
            gzip,
            host: agent.host.clone(),
            lines: 0,
        };
        let mut head = json!({"rec": VERSION, "agent": agent.version});
        reel::begin(&mut head);
        tape.line(head, first.wall_ms)?;
        Ok(tape)
    }

    fn line(&mut self, mut value: Value, wall_ms: u64) -> Result<(), Trouble> {
        value["t"] = rfc3339(wall_ms).into();
        value["host"] = self.host.clone().into();
        writeln!(self.to, "{value}")?;
        self.lines += 1;
        Ok(())
    }

    fn event(&mut self, view: &View<'_>, event: &Numbered) -> Result<(), Trouble> {
        if event.event.what == What::Present {
            return Ok(());
        }
        let mut line = json::event(view, event);
        reel::put(&mut line, event);
        self.line(line, event.wall_ms)?;
        // What was heard is on its way to the disk, however this ends.
        self.to.flush()?;
        Ok(())
    }

    /// A state that nothing before it leads to: the dashboard begins there.
    fn whole(&mut self, whole: &Snapshot) -> Result<(), Trouble> {
        let mut line = json!({"seq": whole.seq, "snapshot": json::state(&View::of(whole))});
        reel::put(&mut line, whole);
        self.line(line, whole.wall_ms)
    }

    fn snapshot(&mut self, whole: &Snapshot) -> Result<(), Trouble> {
        let line = json!({"seq": whole.seq, "snapshot": json::state(&View::of(whole))});
        self.line(line, whole.wall_ms)
    }

    fn end(mut self) -> Result<usize, Trouble> {
        self.to.flush()?;
        drop(self.to);
        if let Some(mut gzip) = self.gzip
            && !gzip.wait()?.success()
        {
            return Err(usage("gzip could not write the file", "is the disk full?"));
        }
        Ok(self.lines)
    }
}

fn is_gz(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "gz")
}

/// Prints a session: its events for eyes, or all its lines for programs.
pub(crate) fn replay(global: &Global, look: &Look, out: &mut Out, path: &Path) -> Result<(), Trouble> {
    let cannot = |error: io::Error| usage(format!("cannot read {}: {error}", path.display()), "");
    let file = File::open(path).map_err(cannot)?;
    let mut gzip = None;
    let from: Box<dyn Read> = if is_gz(path) {
        let child = Command::new("gzip")
            .arg("-dc")
            .stdin(file)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| usage(format!("cannot run gzip: {error}"), ""))?;
        let stdout = child.stdout.take();
        gzip = Some(child);
        match stdout {
            Some(stdout) => Box::new(stdout),
            None => return Err(usage("gzip gives no output", "")),
        }
    } else {
        Box::new(file)
    };
    let mut from = BufReader::new(from);
    if from.fill_buf().map_err(cannot)?.starts_with(DASHBOARDS) {
        drop(from);
        return super::local::play(path);
    }
    let mut head = false;
    for (nth, line) in from.lines().enumerate() {
        let line = line.map_err(cannot)?;
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            // The last line of a recording that was cut off may be half.
            eprintln!("warning: {}:{}: no JSON, left out", path.display(), nth + 1);
            continue;
        };
        if !head {
            if value["rec"].as_u64() != Some(VERSION) {
                return Err(usage(
                    format!("{} is no recording of version {VERSION}", path.display()),
                    "lbctl record -w FILE makes one",
                ));
            }
            head = true;
        }
        match global.output {
            Output::Json | Output::Jsonl => {
                // What lbtui plays is for nobody else.
                let mut value = value;
                if let Some(fields) = value.as_object_mut() {
                    fields.remove(reel::KEY);
                }
                out.line(&value.to_string())?;
            }
            Output::Table | Output::Wide | Output::Name => {
                if let Some(text) = told(&value, look) {
                    out.line(&text)?;
                }
            }
        }
    }
    if let Some(mut gzip) = gzip {
        let _ = gzip.wait();
    }
    Ok(())
}

/// A line of the recording for eyes; samples are for programs.
fn told(value: &Value, look: &Look) -> Option<String> {
    let word = |value: &Value| escape(value.as_str().unwrap_or_default());
    let time = word(&value["t"]);
    let text = if let Some(agent) = value["rec"].as_u64().map(|_| word(&value["agent"])) {
        format!("recording of {}, agent {agent}", word(&value["host"]))
    } else if let Some(event) = value.get("event") {
        let why = match &event["why"] {
            Value::String(why) => format!(": {}", escape(why)),
            _ => String::new(),
        };
        format!(
            "{:<7}  {:<21}  {}{why}",
            word(&event["kind"]),
            word(&event["object"]),
            word(&event["text"])
        )
    } else if let Some(lost) = value.get("lost") {
        format!("events {} to {} were lost", lost["from"], lost["to"])
    } else {
        return None;
    };
    let line = format!("{time}  {text}");
    Some(
        look.width
            .map_or(line.clone(), |columns| lb_shared::text::cut(&line, columns)),
    )
}
