//! The turn of the dashboard on a terminal: messages in, pictures and commands out.

use crate::app::{Cmd, Msg, News};
use crate::board::{self, Board};
use crate::log::LogFile;
use crate::tape::{Player, Recorder};
use crate::{link, term, view};
use anyhow::{Context as _, Result};
use crossterm::event::Event;
use std::io::Write as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// A message, and the place of the host it is from; `None`: from the terminal.
pub(crate) type Letter = (Option<usize>, Msg);

/// Pictures are at least this far apart.
const FRAME: Duration = Duration::from_millis(33);

/// Writes a file that was not there before; what came of it, in words.
fn write_new(path: &str, text: &str) -> String {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = lb_shared::text::escape(path);
    match written {
        Ok(()) => format!("{shown} is written"),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            format!("{shown} is there already and was left as it is: name another file")
        }
        Err(error) => format!("{shown} could not be written: {error}"),
    }
}

pub(crate) fn read_keys(out: &Sender<Letter>) {
    loop {
        let msg = match crossterm::event::read() {
            Ok(Event::Key(key)) => Msg::Key(key),
            Ok(Event::Paste(text)) => Msg::Paste(text),
            Ok(Event::Resize(width, height)) => Msg::Resize(width, height),
            Ok(Event::FocusGained) => Msg::Focus(true),
            Ok(Event::FocusLost) => Msg::Focus(false),
            Ok(Event::Mouse(event)) => Msg::Mouse(event),
            // The terminal is gone.
            Err(_) => Msg::Terminate,
        };
        let last = matches!(msg, Msg::Terminate);
        if out.send((None, msg)).is_err() || last {
            return;
        }
    }
}

/// Takes messages and draws, until the end.
pub(crate) fn serve(
    board: &mut Board,
    screen: &mut term::Screen,
    messages: &Receiver<Letter>,
    links: &[link::Link],
    (recorder, log): (&mut Option<Recorder>, &mut Option<LogFile>),
    first: Msg,
) -> Result<()> {
    let began = Instant::now();
    let mut drawn: Option<Instant> = None;
    // What the last picture looked like, and whether it goes on looking so.
    let (mut look, mut quiet, mut known) = (0, false, false);
    let mut msg = (None, first);
    loop {
        let woken = Instant::now();
        let tick = matches!(msg, (None, Msg::Tick));
        let mut next = Some(msg);
        // All that waits is taken before one picture is drawn.
        while let Some((from, msg)) = next {
            if let (Some(seat), Msg::Link(news)) = (from, &msg) {
                record(board, recorder, began.elapsed(), seat, news);
            }
            let cmds = board::update(board, began.elapsed(), from, msg);
            if !carry_out(board, screen, links, began.elapsed(), cmds)? {
                return Ok(());
            }
            // A flood of messages may delay a picture, not keep it away.
            if woken.elapsed() > 3 * FRAME {
                break;
            }
            // The first picture with something in it waits for nothing.
            let due = match drawn.filter(|_| known || board.front().data.is_none()) {
                Some(drawn) if board.dirty() => FRAME.saturating_sub(drawn.elapsed()),
                Some(_) | None => Duration::ZERO,
            };
            next = if due.is_zero() {
                messages.try_recv().ok()
            } else {
                messages.recv_timeout(due).ok()
            };
        }
        if tick || board.dirty() {
            let same = tick && !board.dirty();
            let cmds = board::settle(board);
            carry_out(board, screen, links, began.elapsed(), cmds)?;
            let app = board.front();
            known = app.data.is_some();
            let picture = screen
                .draw(|frame| view::draw(app, frame))
                .context("the terminal cannot be drawn on")?;
            let seen = view::look(picture.buffer);
            quiet = same && seen == look;
            look = seen;
            drawn = Some(Instant::now());
            keep_log(board, log, began.elapsed());
        }
        let at = drawn.map_or(Duration::ZERO, |drawn| drawn.duration_since(began));
        let wait = board.front().wake_at(at, quiet).saturating_sub(began.elapsed());
        msg = match messages.recv_timeout(wait) {
            Ok(msg) => msg,
            Err(RecvTimeoutError::Timeout) => (None, Msg::Tick),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}

/// Adds to the log file; one that cannot be written ends, and that is said.
fn keep_log(board: &mut Board, log: &mut Option<LogFile>, at: Duration) {
    let Some(to) = log else { return };
    let seats = board.seats().iter();
    if let Err(error) = to.take(seats.map(|seat| (seat.name(), &seat.log))) {
        *log = None;
        let told = format!("the log file ended: {error}");
        drop(board::update(board, at, None, Msg::Told(told)));
    }
}

/// Adds to the recording; one that cannot go on ends, and that is said.
fn record(board: &mut Board, recorder: &mut Option<Recorder>, at: Duration, seat: usize, news: &News) {
    let Some(to) = recorder else { return };
    if let Err(error) = to.take(at, seat, news) {
        *recorder = None;
        let told = format!("the recording ended, what is in it can be played: {error}");
        drop(board::update(board, at, None, Msg::Told(told)));
    }
}

/// Plays a recording until it is quit.
pub(crate) fn play(
    board: &mut Board,
    player: &mut Player,
    screen: &mut term::Screen,
    messages: &Receiver<Letter>,
    first: Msg,
) -> Result<()> {
    const STEP: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(3_600);
    let mut cmds = board::update(board, player.at, None, first);
    player.begin(board);
    let mut before = Instant::now();
    loop {
        for (_, cmd) in &cmds {
            if let Cmd::Play(play) = cmd {
                player.key(board, *play);
            }
        }
        if !carry_out(board, screen, &[], player.at, cmds)? {
            return Ok(());
        }
        // There is no agent to ask for numbers.
        drop(board::settle(board));
        let app = board.front();
        screen
            .draw(|frame| view::draw(app, frame))
            .context("the terminal cannot be drawn on")?;
        let got = messages.recv_timeout(if player.playing { STEP } else { LONG });
        player.pass(board, before.elapsed());
        before = Instant::now();
        cmds = match got {
            Ok((from, msg)) => board::update(board, player.at, from, msg),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}

/// Does what a message led to outside; `false` at the end.
fn carry_out(
    board: &mut Board,
    screen: &mut term::Screen,
    links: &[link::Link],
    at: Duration,
    cmds: Vec<(usize, Cmd)>,
) -> Result<bool> {
    for (seat, cmd) in cmds {
        // In a recording there is no way to the agents.
        let link = links.get(seat);
        match cmd {
            Cmd::Ask(ticket, request) => {
                if let Some(link) = link {
                    link.ask(ticket, request);
                }
            }
            Cmd::Sample(wanted) => {
                if let Some(link) = link {
                    link.sample(wanted);
                }
            }
            Cmd::Hurry(wanted) => {
                if let Some(link) = link {
                    link.hurry(wanted);
                }
            }
            Cmd::Reconnect => {
                if let Some(link) = link {
                    link.reconnect();
                }
            }
            Cmd::Copy(text) => term::copy(&text),
            Cmd::Mouse(wanted) => term::mouse(wanted)?,
            Cmd::Write(path, text) => {
                let told = write_new(&path, &text);
                drop(board::update(board, at, None, Msg::Told(told)));
            }
            // The board or the player has seen to them.
            Cmd::Host(_) | Cmd::AskOf(..) | Cmd::Gather | Cmd::Play(_) => {}
            Cmd::Redraw => term::clear(screen)?,
            Cmd::Suspend => {
                term::suspend()?;
                term::clear(screen)?;
            }
            Cmd::Quit => return Ok(false),
        }
    }
    Ok(true)
}
