//! What the dashboard knows and how it changes: one value, one function.
//!
//! No clock and no input or output in here: the time comes with every message, and what is to be done outside goes
//! out as a [`Cmd`]. The same messages give the same pictures.

use crate::act;
use crate::columns::Columns;
use crate::command::Verb;
use crate::compare::Compare;
use crate::data::Data;
use crate::dialog::Dialog;
use crate::fleet::Fleet;
use crate::input;
use crate::keys::{Keymap, Screen};
use crate::list::List;
use crate::log::Log;
use crate::mouse::{self, Mouse};
pub(crate) use crate::msg::{Cmd, Failure, Link, Msg, News};
use crate::order::{self, Order};
use crate::past::{Past, Travel};
use crate::prompt::{Narrowed, Prompt};
use crate::ranking::Ranking;
use crate::runs::Runs;
use crate::story::{Elsewhere, Key};
use crate::tape::Playing;
use crate::theme::Theme;
use crate::trial::{self, Trial};
use crate::window;
use crate::{news, past, runs, view};
use crossterm::event::KeyEventKind;
use lb_shared::event::Numbered;
use lb_shared::names::{InstanceName, ServerId, ServiceKey};
use lb_shared::request::Hello;
use lb_shared::state::{ObjectId, Target};
use lb_shared::window::WindowAsk;
use lb_shared::zone::Zone;
use ratatui::style::Color;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Without news for this long, what is shown is old.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(5);
/// How long the last line shows what came of an action.
const NOTE_FOR: Duration = Duration::from_secs(5);
/// Ages are shown in seconds; where none is, the clock may wait.
const AGES: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_secs(10);
/// The smallest terminal in which changes can be made.
pub(crate) const SIZE_MIN: (u16, u16) = (80, 24);
/// A wide terminal has second columns.
pub(crate) const WIDE: u16 = 120;

/// Which bits of a ticket name the host whose dashboard asked.
const SEAT_SHIFT: u32 = 32;

/// The place of the dashboard that asked.
pub(crate) fn asker(ticket: u64) -> usize {
    usize::try_from(ticket >> SEAT_SHIFT).unwrap_or(usize::MAX)
}

/// What is looked at closely.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Detail {
    pub(crate) object: ObjectId,
    pub(crate) scroll: usize,
}

/// A page of help.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Page {
    #[default]
    Keys,
    Command(&'static Verb),
    Log,
}

/// Everything the dashboard knows.
#[derive(Debug, Default)]
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) ascii: bool,
    pub(crate) read_only: bool,
    /// The colour of line 1, so that one host looks different from another.
    pub(crate) accent: Option<Color>,
    /// For messages about the connection.
    pub(crate) socket: String,
    /// What the host is called before its agent has told its name.
    pub(crate) label: String,
    pub(crate) size: (u16, u16),
    /// Time since the program started.
    pub(crate) now: Duration,
    pub(crate) link: Link,
    /// Since when it is up or down, how often it came up, and why it was last lost.
    pub(crate) link_since: Duration,
    pub(crate) connects: u32,
    pub(crate) last_failure: Option<String>,
    /// How long the last questions were on their way, where that is another machine.
    pub(crate) trips: VecDeque<Duration>,
    /// When the agent was last heard of.
    pub(crate) heard: Duration,
    pub(crate) hello: Option<Hello>,
    /// What is shown: the agent as it is, or as it was while [`App::past`] is something.
    pub(crate) data: Option<Data>,
    /// The picture stands still; what goes on behind it.
    pub(crate) past: Option<Past>,
    /// This is a recording, and how it is played.
    pub(crate) playing: Option<Playing>,
    /// A moment of the past that was asked for.
    pub(crate) travel: Option<Travel>,
    /// The past of the server that is looked at closely.
    pub(crate) runs: Option<Runs>,
    /// All hosts that are looked at, and the place of this one among them.
    pub(crate) fleet: Rc<Fleet>,
    pub(crate) seat: usize,
    /// Changes are made on all hosts, not only on this one.
    pub(crate) all_hosts: bool,
    pub(crate) screen: Screen,
    /// The pane with the cursor, on screens with two.
    pub(crate) second_pane: bool,
    pub(crate) detail: Vec<Detail>,
    /// `Some` while help is open: how far it is scrolled.
    pub(crate) help: Option<usize>,
    /// What help shows.
    pub(crate) page: Page,
    /// Words that help is narrowed to.
    pub(crate) sought: String,
    pub(crate) log: Log,
    pub(crate) dialog: Option<Dialog>,
    /// What is compared, or was chosen to be.
    pub(crate) compare: Option<Compare>,
    /// A test of servers, while it runs and its end is shown.
    pub(crate) trial: Option<Trial>,
    /// The screen before this one, and what was open there.
    pub(crate) before: (Screen, Vec<Detail>),
    /// The pane with the cursor has the screen to itself.
    pub(crate) zoom: bool,
    /// Sums since the beginning in place of rates.
    pub(crate) sums: bool,
    /// Command lines that were run, oldest first; and the one that is shown again, counted from the end.
    pub(crate) lines: Vec<String>,
    pub(crate) recalled: usize,
    pub(crate) prompt: Prompt,
    pub(crate) note: Option<(String, Duration)>,
    pub(crate) instances: List<InstanceName>,
    /// Objects with what is wrong with them: one object may have several problems.
    pub(crate) problems: List<(ObjectId, String)>,
    pub(crate) services: List<ServiceKey>,
    /// The servers of the service under the cursor.
    pub(crate) members: List<ServerId>,
    pub(crate) servers: List<ServerId>,
    pub(crate) events: List<Key>,
    /// What the other hosts told; looked after while the list of events is shown.
    pub(crate) elsewhere: Vec<Elsewhere>,
    /// Places of hosts.
    pub(crate) hosts: List<usize>,
    pub(crate) filters: [Narrowed; 6],
    pub(crate) order: Order,
    /// Columns that were put away, and the list of all of them while it is open.
    pub(crate) columns: Columns,
    pub(crate) mouse: Mouse,
    pub(crate) keymap: Rc<Keymap>,
    /// Whether times of day are those of this machine, and what those are.
    pub(crate) local: bool,
    pub(crate) zone: Rc<Zone>,
    pub(crate) follow: bool,
    pub(crate) tickets: u64,
    /// When the cursor last moved: rows keep still for a moment.
    pub(crate) moved_at: Duration,
    /// Which numbers were asked for last, and how often all of them were forgotten.
    sampling: Option<WindowAsk>,
    pub(crate) round: u64,
    /// The numbers of all servers are wanted, wherever the cursor is.
    pub(crate) all_rows: bool,
    /// The service whose servers the hosts are compared by.
    pub(crate) beside: Option<ServiceKey>,
    /// Past events, until the state they led to is here.
    pub(crate) backlog: Vec<Numbered>,
    /// Something was told or typed that may look different.
    pub(crate) dirty: bool,
    /// Something of it is on the screen.
    pub(crate) watched: bool,
    /// The rows have to be looked for at once.
    pub(crate) stir: bool,
    pub(crate) ordered_at: Duration,
    /// The state and the numbers the lists were made from.
    pub(crate) ordered: Option<(u64, u64)>,
    /// What the list of servers is made of.
    pub(crate) ranking: Ranking,
}

impl App {
    pub(crate) fn new(theme: Theme, ascii: bool, read_only: bool, socket: String, size: (u16, u16)) -> Self {
        Self {
            theme,
            ascii,
            read_only,
            socket,
            size,
            follow: true,
            stir: true,
            watched: true,
            ..Self::default()
        }
    }

    /// Whether what is shown may no longer be true.
    pub(crate) fn stale(&self) -> bool {
        !matches!(self.link, Link::Up) || self.now.saturating_sub(self.heard) >= STALE_AFTER
    }

    /// The moment the shown state belongs to: ages stop growing when nobody confirms them, and in the past.
    pub(crate) fn shown_at(&self) -> Duration {
        match &self.past {
            Some(past) => past.at,
            None if self.stale() => self.heard,
            None => self.now,
        }
    }

    /// What the agent says now, whatever is shown.
    pub(crate) fn live(&self) -> Option<&Data> {
        match &self.past {
            Some(past) => Some(&past.live),
            None => self.data.as_ref(),
        }
    }

    /// Where news goes.
    pub(crate) fn live_mut(&mut self) -> &mut Data {
        match &mut self.past {
            Some(past) => &mut past.live,
            None => self.data.get_or_insert_default(),
        }
    }

    /// What the host is called.
    pub(crate) fn name(&self) -> String {
        match self.fleet.hosts.get(self.seat) {
            Some(host) => host.name.clone(),
            None => self.label.clone(),
        }
    }

    /// Why the agent takes no changes from here; `None` when it does.
    pub(crate) fn barred(&self) -> Option<String> {
        let role = self.hello.as_ref().map(|hello| hello.role);
        if self.live().is_none() {
            Some("not connected".into())
        } else if self.live().is_some_and(Data::is_early) {
            Some("not everything is here yet".into())
        } else if self.stale() {
            Some("the agent does not answer".into())
        } else if self.playing.is_some() {
            Some("this is a recording".into())
        } else if self.read_only {
            Some("started with --read-only".into())
        } else if role == Some(lb_shared::request::Role::Viewer) {
            Some("your role is viewer".into())
        } else {
            None
        }
    }

    /// Why changes are off; `None` when they are not.
    pub(crate) fn hands_off(&self) -> Option<String> {
        match &self.past {
            Some(past) if !self.stale() => Some(match past.then_ms {
                Some(_) => "this is the past; 0 goes back to now".into(),
                None => "the picture is frozen; p goes on".into(),
            }),
            _ => self.barred().or_else(|| {
                (self.size.0 < SIZE_MIN.0 || self.size.1 < SIZE_MIN.1)
                    .then(|| "the terminal is too small".into())
            }),
        }
    }

    /// Knows nothing of the agent any more; what is looked at, and how, stays.
    pub(crate) fn forget(&mut self) {
        (self.data, self.past, self.hello, self.note) = (None, None, None, None);
        (self.link, self.last_failure, self.connects) = (Link::Starting, None, 0);
        self.trips.clear();
        (self.now, self.heard, self.link_since) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        (self.moved_at, self.ordered_at) = (Duration::ZERO, Duration::ZERO);
        (self.ordered, self.runs) = (None, None);
        self.ranking = Ranking::default();
        self.backlog = Vec::new();
        self.stir = true;
    }

    pub(crate) fn narrowed(&self) -> &Narrowed {
        &self.filters[self.screen as usize]
    }

    /// When a picture of that moment will be out of date although nothing happens. On a `quiet` one a second made no
    /// difference but for the clock: no age is shown in seconds.
    pub(crate) fn wake_at(&self, drawn: Duration, quiet: bool) -> Duration {
        // How far back the past is stands in the first line.
        let quiet = quiet && !self.fleet.several() && self.past.is_none();
        let ages = Some(drawn + if quiet { QUIET } else { AGES });
        let note = self.note.as_ref().map(|(_, until)| *until);
        let stale = (!self.stale()).then(|| self.heard + STALE_AFTER);
        ages.into_iter().chain(note).chain(stale).min().unwrap_or(drawn)
    }

    /// How far the times of day that are shown are ahead of UTC, in milliseconds, at a moment.
    pub(crate) fn ahead_ms(&self, wall_ms: u64) -> i64 {
        if !self.local {
            return 0;
        }
        let at = i64::try_from(wall_ms / 1_000).unwrap_or(0);
        i64::from(self.zone.offset(at)) * 1_000
    }

    /// Whether the screen shows numbers that are sampled.
    pub(crate) fn shows_counters(&self) -> bool {
        self.watched && self.help.is_none() && (self.screen != Screen::Events || !self.detail.is_empty())
    }

    pub(crate) fn shows_sparklines(&self) -> bool {
        match self.screen {
            Screen::Overview => self.size.0 >= WIDE,
            Screen::Services => true,
            Screen::Servers | Screen::Events | Screen::Vrrp | Screen::Hosts => false,
        }
    }

    #[cfg(test)]
    pub(crate) fn sampling_rows(&self) -> Option<&lb_shared::window::Rows> {
        self.sampling.as_ref().map(|ask| &ask.rows)
    }

    /// The object the cursor is on.
    pub(crate) fn subject(&self) -> Option<ObjectId> {
        if let Some(detail) = self.detail.last() {
            return Some(detail.object.clone());
        }
        match (self.screen, self.second_pane) {
            (Screen::Overview, true) => self.problems.current().map(|(object, _)| object.clone()),
            (Screen::Overview, false) | (Screen::Vrrp, _) => {
                self.instances.current().cloned().map(ObjectId::Instance)
            }
            (Screen::Services, true) => self.members.current().cloned().map(ObjectId::Server),
            (Screen::Services, false) => self.services.current().cloned().map(ObjectId::Service),
            (Screen::Servers, _) => self.servers.current().cloned().map(ObjectId::Server),
            (Screen::Hosts, _) => None,
            (Screen::Events, _) => {
                let key = self.events.current()?;
                Some(self.event(*key)?.event.object.clone())
            }
        }
    }

    /// The marked servers of the list with the cursor.
    pub(crate) fn marked(&self) -> Vec<Target> {
        let list = match self.screen {
            Screen::Servers => &self.servers,
            Screen::Services => &self.members,
            Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => return Vec::new(),
        };
        list.marks.iter().cloned().map(Target::Server).collect()
    }

    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.log.add(self.now, text.clone());
        self.note = Some((text, self.now + NOTE_FOR));
    }

    pub(crate) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        // An answer finds its way back by it, whichever host it is from.
        (self.seat as u64) << SEAT_SHIFT | self.tickets
    }
}

/// Takes one message; what is left to do outside comes back.
pub(crate) fn update(app: &mut App, at: Duration, msg: Msg) -> Vec<Cmd> {
    app.now = app.now.max(at);
    // Signs of life change nothing on the screen, unless they were missed.
    let idle = match &msg {
        Msg::Link(News::Alive | News::Still(_) | News::Was(_) | News::Trip(_)) => !app.stale(),
        // Whether time made a difference shows in the picture that is drawn for it.
        Msg::Focus(_) | Msg::Tick => true,
        _ => false,
    };
    app.dirty |= !idle;
    if app.note.as_ref().is_some_and(|(_, until)| *until <= app.now) {
        app.note = None;
    }
    let mut cmds = match msg {
        Msg::Key(event) if event.kind == KeyEventKind::Release => Vec::new(),
        Msg::Key(event) => {
            // Keys typed faster than pictures are drawn find the rows of the screen that was just opened.
            if app.stir {
                order::arrange(app);
            }
            input::on_key(app, &event)
        }
        Msg::Mouse(event) => mouse::on_mouse(app, event),
        Msg::Paste(text) => input::on_paste(app, &text),
        Msg::Resize(width, height) => {
            app.size = (width, height);
            Vec::new()
        }
        Msg::Focus(focused) => vec![Cmd::Hurry(focused)],
        Msg::Tick => Vec::new(),
        Msg::Told(text) => {
            app.tell(text);
            Vec::new()
        }
        Msg::Link(news) => {
            news::on_news(app, news);
            Vec::new()
        }
        Msg::Answer(ticket, answer) => {
            let taken = past::on_answer(app, ticket, &answer)
                || runs::on_answer(app, ticket, &answer)
                || trial::on_answer(app, ticket, &answer);
            if !taken {
                act::on_answer(app, ticket, answer)
            } else {
                Vec::new()
            }
        }
        Msg::Suspend => vec![Cmd::Suspend],
        Msg::Terminate => vec![Cmd::Quit],
    };
    cmds.extend(runs::ask(app));
    cmds
}

/// Asks for other numbers, or for none, when what is shown needs others.
pub(crate) fn sampling(app: &mut App) -> Option<Cmd> {
    let wanted = window::ask(app);
    if wanted == app.sampling {
        return None;
    }
    app.sampling = wanted.clone();
    Some(Cmd::Sample(wanted))
}

/// Brings what is derived up to date; before each picture.
pub(crate) fn settle(app: &mut App) {
    if let Some(data) = &mut app.data {
        data.derive();
    }
    act::watch_targets(app);
    order::arrange(app);
    view::hold(app);
}
