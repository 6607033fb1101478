//! One dashboard for each host, one of them in front, and what is true of all together.

use crate::app::{self, App, Cmd, Msg};
use crate::compare::{self, Compare, Right, Side};
use crate::fleet::Fleet;
use crate::keys::Screen;
use crate::{act, scope, story};
use lb_shared::state::{ObjectId, Target};
use std::rc::Rc;
use std::time::Duration;

/// What hosts differ in is looked for this often: it takes all servers of all hosts.
const COMPARE_EVERY: Duration = Duration::from_secs(1);

/// Everything there is to see.
#[derive(Debug)]
pub(crate) struct Board {
    /// One for each host; never empty.
    seats: Vec<App>,
    at: usize,
    now: Duration,
    /// The next picture may look different.
    dirty: bool,
    compared_at: Option<Duration>,
}

impl Board {
    /// For these hosts, of a cluster if they are one. The first host is in front.
    pub(crate) fn new(mut seats: Vec<App>, cluster: Option<String>) -> Self {
        let fleet = Rc::new(Fleet::named(cluster));
        for (nth, seat) in seats.iter_mut().enumerate() {
            seat.seat = nth;
            seat.fleet = Rc::clone(&fleet);
            seat.watched = nth == 0;
        }
        Self {
            seats,
            at: 0,
            now: Duration::ZERO,
            dirty: true,
            compared_at: None,
        }
    }

    /// The dashboard in front.
    pub(crate) fn front(&self) -> &App {
        &self.seats[self.at]
    }

    pub(crate) fn front_mut(&mut self) -> &mut App {
        &mut self.seats[self.at]
    }

    /// Knows nothing of any agent any more, and begins again.
    pub(crate) fn forget(&mut self) {
        self.now = Duration::ZERO;
        self.compared_at = None;
        self.each(App::forget);
    }

    /// Does something to the dashboard of each host.
    pub(crate) fn each(&mut self, change: impl Fn(&mut App)) {
        self.dirty = true;
        self.seats.iter_mut().for_each(change);
    }

    /// Whether something was told or typed since the last picture.
    pub(crate) fn dirty(&self) -> bool {
        self.dirty
    }

    pub(crate) fn seats(&self) -> &[App] {
        &self.seats
    }

    /// Brings another host to the front, with the screen, the filters and the order of this one.
    fn turn(&mut self, to: usize) {
        if to == self.at || to >= self.seats.len() {
            return;
        }
        let old = self.front();
        let screen = old.screen;
        let filters = old.filters.clone();
        let (order, follow) = (old.order, old.follow);
        let columns = old.columns.clone();
        let mouse_on = old.mouse.on;
        let detail = old.detail.clone();
        let all_hosts = old.all_hosts;
        let (sums, lines) = (old.sums, old.lines.clone());
        let local = old.local;
        self.at = to;
        let new = self.front_mut();
        (new.screen, new.filters, new.order, new.follow) = (screen, filters, order, follow);
        new.columns = columns;
        new.mouse.on = mouse_on;
        new.all_hosts = all_hosts;
        (new.sums, new.lines, new.local) = (sums, lines, local);
        new.second_pane = false;
        // The same object on both hosts stays in view.
        let known = |object: &ObjectId| {
            new.data
                .as_ref()
                .is_some_and(|data| data.state.object(object).is_some())
        };
        new.detail = detail.into_iter().filter(|it| known(&it.object)).collect();
        new.stir = true;
        new.hosts.go(to);
    }
}

/// Takes one message, of a host or of the terminal; what is left to do outside comes back with the host it is for.
pub(crate) fn update(board: &mut Board, at: Duration, host: Option<usize>, msg: Msg) -> Vec<(usize, Cmd)> {
    board.now = board.now.max(at);
    if let Msg::Resize(width, height) = msg {
        for seat in &mut board.seats {
            seat.size = (width, height);
        }
    }
    let to = match &msg {
        // Whoever asked gets the answer, also another host's.
        Msg::Answer(ticket, _) => app::asker(*ticket),
        _ => host.unwrap_or(board.at),
    };
    let to = to.min(board.seats.len() - 1);
    // Any sign of a host may be the one that ends an alarm, or begins one.
    let news = matches!(msg, Msg::Link(_));
    if news && board.seats.iter().map(servers).sum::<usize>() <= FEW {
        board.compared_at = None;
    }
    let mut cmds = Vec::new();
    for cmd in app::update(&mut board.seats[to], board.now, msg) {
        match cmd {
            Cmd::Host(place) => {
                let from_list = board.front().screen == Screen::Hosts;
                board.turn(place);
                if from_list {
                    board.front_mut().screen = Screen::Overview;
                }
            }
            Cmd::Reconnect | Cmd::Hurry(_) => {
                cmds.extend((0..board.seats.len()).map(|seat| (seat, cmd.clone())));
            }
            Cmd::AskOf(seat, ticket, request) => cmds.push((seat, Cmd::Ask(ticket, request))),
            Cmd::Gather => cmds.extend(gather(board, to)),
            cmd => cmds.push((to, cmd)),
        }
    }
    let all = board.front().screen == Screen::Hosts;
    let compared = match board.front().compared().map(|it| &it.right) {
        Some(Right::Host(other, _)) => Some(*other),
        Some(Right::Open | Right::Object(_)) | None => None,
    };
    for (nth, seat) in board.seats.iter_mut().enumerate() {
        seat.now = board.now;
        seat.watched = all || nth == board.at || Some(nth) == compared;
        board.dirty |= std::mem::take(&mut seat.dirty);
    }
    cmds
}

/// Fills in what each host has to do with the question that was opened, and asks them.
fn gather(board: &mut Board, at: usize) -> Vec<(usize, Cmd)> {
    let Some(dialog) = &board.seats[at].dialog else {
        return Vec::new();
    };
    let parts = scope::gather(&board.seats, at, dialog);
    if let Some(dialog) = &mut board.seats[at].dialog {
        dialog.parts = parts;
    }
    act::try_it(&mut board.seats[at])
        .into_iter()
        .map(|cmd| match cmd {
            Cmd::AskOf(seat, ticket, request) => (seat, Cmd::Ask(ticket, request)),
            cmd => (at, cmd),
        })
        .collect()
}

/// Closes a question about several hosts when one of them changed or fell silent.
fn watch_others(board: &mut Board) {
    let Some(dialog) = board.front().dialog.as_ref().filter(|dialog| dialog.all) else {
        return;
    };
    let trouble = dialog
        .parts
        .iter()
        .filter(|part| part.barred.is_none())
        .find_map(|part| {
            let seat = board.seats.get(part.seat)?;
            if seat.stale() {
                return Some(format!("nothing was done: {} does not answer", part.host));
            }
            let data = seat.live()?;
            let (target, now) = part.changed(&data.state)?;
            let name = data.view(seat.now).target_name(target);
            Some(format!("nothing was done: {name}: {now} on {}", part.host))
        });
    if let Some(text) = trouble {
        act::close(board.front_mut(), text);
    }
}

/// Looks up what another host knows of the object that is compared.
fn look_there(board: &mut Board) {
    let Some(Compare {
        left,
        right: Right::Host(other, _),
        ..
    }) = board.front().compared()
    else {
        return;
    };
    let (other, left) = (*other, left.clone());
    let Some(seat) = board.seats.get(other) else {
        return;
    };
    let at = if seat.stale() { seat.heard } else { seat.now };
    let there = match seat.live() {
        Some(data) => {
            let target = match &left {
                ObjectId::Instance(name) => Some(Target::Instance(name.clone())),
                ObjectId::Server(id) => Some(Target::Server(id.clone())),
                _ => None,
            };
            let here = board.front().live().map(|data| &data.state);
            let same = target
                .zip(here)
                .and_then(|(target, here)| scope::same(&target, here, &data.state));
            let object = match same {
                Some(Target::Instance(name)) => ObjectId::Instance(name),
                Some(Target::Server(_)) | None => left,
            };
            compare::side(data, at, &object, &seat.name())
        }
        None => Side {
            name: format!("{} does not answer", seat.name()),
            facts: Vec::new(),
        },
    };
    if let Some(Compare {
        right: Right::Host(_, side),
        ..
    }) = &mut board.front_mut().compare
    {
        *side = there;
    }
}

/// So many servers are compared whenever something is told.
const FEW: usize = 2_000;

fn servers(seat: &App) -> usize {
    seat.live().map_or(0, |data| data.state.servers.len())
}

/// Brings what is derived up to date, before each picture; which numbers the hosts are to be asked for from then on.
pub(crate) fn settle(board: &mut Board) -> Vec<(usize, Cmd)> {
    board.dirty = false;
    if board.seats.len() > 1 {
        let due = board
            .compared_at
            .is_none_or(|last| board.now.saturating_sub(last) >= COMPARE_EVERY);
        if due {
            board.compared_at = Some(board.now);
            let fleet = Rc::new(Fleet::of(&board.seats, board.at, board.now, &board.front().fleet));
            for seat in &mut board.seats {
                seat.fleet = Rc::clone(&fleet);
            }
        }
    }
    watch_others(board);
    let past = &board.front().past;
    // A picture that is held still stays as it is.
    let still = past.as_ref().is_some_and(|past| past.then_ms.is_none());
    if board.seats.len() > 1 && board.front().screen == Screen::Events && !still {
        let before = std::mem::take(&mut board.front_mut().elsewhere);
        board.front_mut().elsewhere = story::gather(&board.seats, board.at, before);
    }
    look_there(board);
    app::settle(board.front_mut());
    let front = board.front();
    let beside = match front.compared() {
        Some(Compare {
            left: ObjectId::Server(id),
            ..
        }) => Some(id.service.clone()),
        Some(_) => None,
        None if front.screen == Screen::Hosts => front.services.current().cloned(),
        None => None,
    };
    let mut cmds = Vec::new();
    for (nth, seat) in board.seats.iter_mut().enumerate() {
        seat.beside.clone_from(&beside);
        cmds.extend(app::sampling(seat).map(|cmd| (nth, cmd)));
    }
    cmds
}
