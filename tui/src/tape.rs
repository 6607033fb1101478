//! Recordings: what the agents told while somebody watched, and a player that tells it again at any moment and speed.
//!
//! ```text
//! file     "LBTUI\n" | preface of the protocol, whose version the records are of
//! record   since the start u64 ms | host u16 | length u32 | body        all numbers big-endian
//! ```
//!
//! A file that ends in the middle of a record, as after a crash, ends with the record before it.

use crate::app::{App, Failure, Msg, News};
use crate::board::{self, Board};
use crate::reel;
use lb_shared::client::Update;
use lb_shared::counters::Counters;
use lb_shared::event::Numbered;
use lb_shared::frame::{self, PREFACE_LEN, VERSION, Version};
use lb_shared::history::Past;
use lb_shared::request::{Hello, Snapshot};
use lb_shared::text::escape;
use lb_shared::units::Mono;
use lb_shared::window::{Rows, Window};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

const MAGIC: &[u8; 6] = b"LBTUI\n";
/// How a file made by gzip begins: so `lbctl record` makes them on request.
pub(crate) const GZIP: &[u8] = &[0x1f, 0x8b];
const MINUTE: Duration = Duration::from_secs(60);
/// Half and double speed, so often: a quarter to 64.
const SPEEDS: std::ops::RangeInclusive<i32> = -2..=6;

/// What is recorded.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Taped<'a> {
    /// The first record: the hosts by their names, and the cluster they are.
    Began {
        hosts: Vec<String>,
        cluster: Option<String>,
    },
    Connected(Cow<'a, Hello>, Cow<'a, [Numbered]>),
    Snapshot(Cow<'a, Snapshot>),
    Event(Cow<'a, Numbered>),
    Lost {
        from: u64,
        to: u64,
    },
    Counters(Cow<'a, Counters>),
    Window(Cow<'a, Rows>, Cow<'a, Window>),
    Alive,
    Still(Mono),
    Down {
        message: Cow<'a, str>,
        hint: Cow<'a, str>,
        attempt: u32,
        retry_ms: u64,
    },
    /// How it was before the recording began.
    Was(Cow<'a, Past>),
}

impl<'a> Taped<'a> {
    /// `None` for what need not be kept: the first part of a state, which follows whole, and how long the way was.
    fn of(news: &'a News) -> Option<Self> {
        Some(match news {
            News::Connected(hello, events) => Self::Connected(Cow::Borrowed(hello), Cow::Borrowed(events)),
            News::Update(Update::Snapshot(it)) => Self::Snapshot(Cow::Borrowed(it)),
            News::Update(Update::Event(it)) => Self::Event(Cow::Borrowed(it)),
            News::Update(Update::Lost { from, to }) => Self::Lost { from: *from, to: *to },
            News::Early(_) | News::Trip(_) => return None,
            News::Counters(it) => Self::Counters(Cow::Borrowed(it)),
            News::Window(rows, window) => Self::Window(Cow::Borrowed(rows), Cow::Borrowed(window)),
            News::Alive => Self::Alive,
            News::Still(at) => Self::Still(*at),
            News::Down {
                failure,
                attempt,
                retry_in,
            } => Self::Down {
                message: Cow::Borrowed(&failure.message),
                hint: Cow::Borrowed(&failure.hint),
                attempt: *attempt,
                retry_ms: ms(*retry_in),
            },
            News::Was(past) => Self::Was(Cow::Borrowed(past)),
        })
    }

    /// What the dashboard is told again.
    fn news(&self) -> Vec<News> {
        vec![match self.clone() {
            Self::Began { .. } => return Vec::new(),
            Self::Connected(hello, events) => News::Connected(hello.into_owned(), events.into_owned()),
            Self::Snapshot(it) => News::Update(Update::Snapshot(Box::new(it.into_owned()))),
            Self::Event(it) => News::Update(Update::Event(Box::new(it.into_owned()))),
            Self::Lost { from, to } => News::Update(Update::Lost { from, to }),
            Self::Counters(it) => News::Counters(Box::new(it.into_owned())),
            Self::Window(rows, window) => News::Window(rows.into_owned(), Box::new(window.into_owned())),
            Self::Alive => News::Alive,
            Self::Still(at) => News::Still(at),
            Self::Down {
                message,
                hint,
                attempt,
                retry_ms,
            } => News::Down {
                failure: Failure {
                    message: message.into_owned(),
                    hint: hint.into_owned(),
                },
                attempt,
                retry_in: Duration::from_millis(retry_ms),
            },
            Self::Was(past) => {
                let past = past.into_owned();
                let mut told = vec![News::Update(Update::Snapshot(Box::new(past.snapshot)))];
                told.extend(past.counters.map(|it| News::Counters(Box::new(it))));
                return told;
            }
        }]
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The file that is written.
#[derive(Debug)]
pub(crate) struct Recorder {
    to: BufWriter<File>,
    flushed: Duration,
}

impl Recorder {
    /// A new file, for the user alone; one that is there is left as it is.
    pub(crate) fn create(path: &Path, hosts: Vec<String>, cluster: Option<String>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut it = Self {
            to: BufWriter::new(file),
            flushed: Duration::ZERO,
        };
        it.to.write_all(MAGIC)?;
        it.to.write_all(&VERSION.preface())?;
        it.put(Duration::ZERO, 0, &Taped::Began { hosts, cluster })?;
        it.to.flush()?;
        Ok(it)
    }

    /// Adds what a host told.
    pub(crate) fn take(&mut self, at: Duration, seat: usize, news: &News) -> io::Result<()> {
        if let Some(taped) = Taped::of(news) {
            self.put(at, seat, &taped)?;
        }
        // What is lost in a crash is a second.
        if at.saturating_sub(self.flushed) >= Duration::from_secs(1) {
            self.flushed = at;
            self.to.flush()?;
        }
        Ok(())
    }

    fn put(&mut self, at: Duration, seat: usize, taped: &Taped<'_>) -> io::Result<()> {
        let body = frame::encode_record(taped).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.to.write_all(&ms(at).to_be_bytes())?;
        self.to
            .write_all(&u16::try_from(seat).unwrap_or(u16::MAX).to_be_bytes())?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&body)
    }

    /// Writes what is left.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What a host told at a moment of the recording.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Duration,
    pub(crate) seat: usize,
    pub(crate) taped: Taped<'static>,
}

/// A recording that is played.
#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) hosts: Vec<String>,
    pub(crate) cluster: Option<String>,
    entries: Vec<Entry>,
    /// What was told up to now, and the moment that is shown.
    told: usize,
    pub(crate) at: Duration,
    end: Duration,
    pub(crate) playing: bool,
    speed: i32,
}

/// What a key does to a recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Play {
    Toggle,
    Faster,
    Slower,
    EventBefore,
    EventAfter,
    MinuteBefore,
    MinuteAfter,
    /// A moment in Unix time in milliseconds.
    To(u64),
    End,
}

/// What is to be seen of the player.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Playing {
    pub(crate) playing: bool,
    /// `1x`, `1/4x`, `64x`.
    pub(crate) speed: String,
    /// How far it is, and how long all of it takes.
    pub(crate) at: Duration,
    pub(crate) end: Duration,
}

impl Player {
    /// Reads a file to its end.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let wrong = |why: &str| format!("{}: {why}", escape(&path.display().to_string()));
        let open = || File::open(path).map_err(|error| wrong(&error.to_string()));
        match reel::read(open()?).map_err(|why| wrong(&why))? {
            Some((host, entries)) => Ok(Self::of(entries, vec![host], None)),
            None => Self::read(BufReader::new(open()?)).map_err(|why| wrong(&why)),
        }
    }

    fn read(mut from: impl Read) -> Result<Self, String> {
        let none = || "this is no recording of lbtui".to_owned();
        let mut magic = [0; MAGIC.len()];
        let mut preface = [0; PREFACE_LEN];
        from.read_exact(&mut magic).map_err(|_| none())?;
        from.read_exact(&mut preface).map_err(|_| none())?;
        let version = Version::from_preface(&preface)
            .ok()
            .filter(|_| magic == *MAGIC)
            .ok_or_else(none)?;
        if version != VERSION {
            return Err(format!(
                "it was recorded with protocol {version}, this program speaks {VERSION}: play it with the lbtui it was recorded with"
            ));
        }
        let mut entries = Vec::new();
        while let Some(entry) = next(&mut from)? {
            entries.push(entry);
        }
        let Some(Entry {
            taped: Taped::Began { hosts, cluster },
            ..
        }) = entries.first()
        else {
            return Err("it is empty".into());
        };
        let (hosts, cluster) = (hosts.clone(), cluster.clone());
        if hosts.is_empty() || entries.iter().any(|it| it.seat >= hosts.len()) {
            return Err("it names hosts that are not in it".into());
        }
        Ok(Self::of(in_order(entries, hosts.len()), hosts, cluster))
    }

    fn of(entries: Vec<Entry>, hosts: Vec<String>, cluster: Option<String>) -> Self {
        let end = entries.last().map_or(Duration::ZERO, |last| last.at);
        Self {
            hosts,
            cluster,
            entries,
            told: 0,
            at: Duration::ZERO,
            end,
            playing: true,
            speed: 0,
        }
    }

    /// Shows the first moment.
    pub(crate) fn begin(&mut self, board: &mut Board) {
        self.go(board, Duration::ZERO);
        self.tell(board);
    }

    /// Lets real time pass.
    pub(crate) fn pass(&mut self, board: &mut Board, span: Duration) {
        if !self.playing {
            return;
        }
        let span = match self.speed {
            0.. => span * (1 << self.speed),
            _ => span / (1 << -self.speed),
        };
        self.go(board, self.at.saturating_add(span));
        self.playing = self.at < self.end;
        self.tell(board);
    }

    /// Does what a key says.
    pub(crate) fn key(&mut self, board: &mut Board, play: Play) {
        let event = |it: &&Entry| matches!(it.taped, Taped::Event(_));
        let at = self.at;
        match play {
            Play::Toggle => self.playing = !self.playing && self.at < self.end,
            Play::Faster => self.speed = (self.speed + 1).min(*SPEEDS.end()),
            Play::Slower => self.speed = (self.speed - 1).max(*SPEEDS.start()),
            Play::EventBefore => {
                let before = self.entries.iter().filter(event).rev().find(|it| it.at < at);
                let to = before.map_or(Duration::ZERO, |it| it.at);
                self.go(board, to);
            }
            Play::EventAfter => {
                let after = self.entries.iter().filter(event).find(|it| it.at > at);
                let to = after.map_or(self.end, |it| it.at);
                self.go(board, to);
            }
            Play::MinuteBefore => self.go(board, at.saturating_sub(MINUTE)),
            Play::MinuteAfter => self.go(board, at.saturating_add(MINUTE)),
            Play::To(wall_ms) => {
                let now = board.front().data.as_ref().map(|data| data.clock(at).1);
                if let Some(now) = now {
                    let span = Duration::from_millis(now.abs_diff(wall_ms));
                    let to = if wall_ms < now {
                        at.saturating_sub(span)
                    } else {
                        at.saturating_add(span)
                    };
                    self.go(board, to);
                }
            }
            Play::End => self.go(board, self.end),
        }
        self.tell(board);
    }

    /// Shows a moment: what was told up to then is told again, from the beginning when it lies behind.
    fn go(&mut self, board: &mut Board, to: Duration) {
        let to = to.min(self.end);
        if to < self.at {
            board.forget();
            self.told = 0;
        }
        while let Some(entry) = self.entries.get(self.told).filter(|it| it.at <= to) {
            for news in entry.taped.news() {
                drop(board::update(board, entry.at, Some(entry.seat), Msg::Link(news)));
            }
            self.told += 1;
        }
        self.at = to;
        drop(board::update(board, to, None, Msg::Tick));
    }

    fn tell(&self, board: &mut Board) {
        let playing = Playing {
            playing: self.playing,
            speed: match self.speed {
                0.. => format!("{}x", 1 << self.speed),
                _ => format!("1/{}x", 1 << -self.speed),
            },
            at: self.at,
            end: self.end,
        };
        board.each(|seat: &mut App| seat.playing = Some(playing.clone()));
    }
}

/// The next record; `None` at the end, also when that lies within a record.
fn next(from: &mut impl Read) -> Result<Option<Entry>, String> {
    let mut head = [0; 14];
    let mut body = Vec::new();
    let ended = |error: &io::Error| error.kind() == ErrorKind::UnexpectedEof;
    match from.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) if ended(&error) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let (at, rest) = head.split_at(8);
    let (seat, length) = rest.split_at(2);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let length = number(length);
    // Grows with what is really there, not with what is claimed.
    let got = from
        .take(length)
        .read_to_end(&mut body)
        .map_err(|error| error.to_string())?;
    if (got as u64) < length {
        return Ok(None);
    }
    let taped = frame::decode_record(&body).map_err(|error| error.to_string())?;
    Ok(Some(Entry {
        // Far beyond any recording, and not so far that adding to it would fail.
        at: Duration::from_millis(number(at).min(u64::from(u32::MAX) * 1_000)),
        seat: usize::try_from(number(seat)).unwrap_or(usize::MAX),
        taped,
    }))
}

/// Puts what was before the recording ahead of it, and the events of that time to their moments.
fn in_order(entries: Vec<Entry>, hosts: usize) -> Vec<Entry> {
    // By host: a moment of the recording, and the wall clock then.
    let mut clocks = vec![None; hosts];
    for it in &entries {
        if let Taped::Snapshot(snapshot) = &it.taped {
            clocks[it.seat].get_or_insert((ms(it.at), snapshot.wall_ms));
        }
    }
    // How long before the start of the recording something was, in milliseconds; 0 for what came after it.
    let before = |seat: usize, wall_ms: u64| {
        let (at, wall) = clocks[seat].unwrap_or((0, wall_ms));
        (wall.saturating_sub(at)).saturating_sub(wall_ms)
    };
    let was = |it: &Entry| match &it.taped {
        Taped::Was(past) => Some(before(it.seat, past.snapshot.wall_ms)),
        _ => None,
    };
    let lead = entries.iter().filter_map(was).max().unwrap_or(0);
    let mut connected = vec![false; hosts];
    let mut ordered = Vec::new();
    for it in entries {
        let seat = it.seat;
        let earlier = |ms: u64| Duration::from_millis(lead.saturating_sub(ms));
        match it.taped {
            Taped::Was(ref past) => ordered.push(Entry {
                at: earlier(before(seat, past.snapshot.wall_ms)),
                ..it
            }),
            Taped::Connected(hello, events) if !connected[seat] && lead > 0 => {
                connected[seat] = true;
                let (old, recent): (Vec<_>, Vec<_>) = events
                    .into_owned()
                    .into_iter()
                    .partition(|event| before(seat, event.wall_ms) >= lead);
                ordered.push(Entry {
                    at: Duration::ZERO,
                    seat,
                    taped: Taped::Connected(hello, Cow::Owned(old)),
                });
                ordered.extend(recent.into_iter().map(|event| Entry {
                    at: earlier(before(seat, event.wall_ms)),
                    seat,
                    taped: Taped::Event(Cow::Owned(event)),
                }));
            }
            taped => ordered.push(Entry {
                at: it.at + Duration::from_millis(lead),
                seat,
                taped,
            }),
        }
    }
    // What is told at one moment stays in its order, but a connection comes before what it brings.
    ordered.sort_by_key(|it| (it.at, !matches!(it.taped, Taped::Connected(..))));
    ordered
}
