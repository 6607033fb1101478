//! What the dashboard is told, and what it asks to be done outside.

use crate::tape::Play;
use crossterm::event::{KeyEvent, MouseEvent};
use lb_shared::counters::Counters;
use lb_shared::event::Numbered;
use lb_shared::excerpt::Excerpt;
use lb_shared::request::{Hello, Reply, Request};
use lb_shared::units::Mono;
use lb_shared::window::{Rows, Window, WindowAsk};
use std::time::Duration;

/// News from outside.
#[derive(Debug)]
pub(crate) enum Msg {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    Resize(u16, u16),
    /// Whether the terminal is the one that is typed into; not every terminal tells.
    Focus(bool),
    /// Time passed.
    Tick,
    /// What came of something that was done outside, in words.
    Told(String),
    Link(News),
    /// The answer to [`Cmd::Ask`].
    Answer(u64, Result<Box<Reply>, Failure>),
    /// The process was told to give the terminal back for a while.
    Suspend,
    /// The process was told to end.
    Terminate,
}

/// News from the agent.
#[derive(Debug)]
pub(crate) enum News {
    /// Connected: who answers, and past events, oldest first.
    Connected(Hello, Vec<Numbered>),
    Update(lb_shared::client::Update),
    /// What the first screen shows, before everything is there.
    Early(Box<Excerpt>),
    /// All numbers, from an agent that does not know windows.
    Counters(Box<Counters>),
    /// What changed of the numbers of these rows.
    Window(Rows, Box<Window>),
    /// No number changed up to then.
    Still(Mono),
    /// How it was some time before: for a recording.
    Was(Box<lb_shared::history::Past>),
    /// How long a question took to be answered, on the way there and back.
    Trip(Duration),
    /// It lives, and had nothing to tell.
    Alive,
    /// Not connected; the next attempt is that far away.
    Down {
        failure: Failure,
        attempt: u32,
        retry_in: Duration,
    },
}

/// Why there is no answer, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cmd {
    /// Ask the agent; the answer comes with the same number.
    Ask(u64, Request),
    /// Ask the agent of the host at that place.
    AskOf(usize, u64, Request),
    /// The question that was opened is for all hosts: find out what each has to do with it, and ask them.
    Gather,
    /// Which numbers are wanted: those that something on the screen shows.
    Sample(Option<WindowAsk>),
    /// Whether somebody looks: numbers are wanted less often while nobody does.
    Hurry(bool),
    /// Try to connect now.
    Reconnect,
    /// Put a text into the terminal's clipboard.
    Copy(String),
    /// Write a text into a new file; [`Msg::Told`] says what came of it.
    Write(String, String),
    /// Whether the terminal is to report the mouse instead of selecting text with it.
    Mouse(bool),
    /// Move in the recording that is played.
    Play(Play),
    /// Look at another host, by its place.
    Host(usize),
    Redraw,
    Suspend,
    Quit,
}

/// The connection.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// Not tried yet.
    #[default]
    Starting,
    Up,
    Down {
        failure: Failure,
        attempt: u32,
        retry_at: Duration,
    },
}
