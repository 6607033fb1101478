//! The mouse: a click moves the cursor or sorts, two open, the wheel moves. Nothing is ever changed by mouse alone.

use crate::app::{App, Cmd};
use crate::input;
use crate::keys::{self, Action, Screen};
use crate::order::By;
use crate::view;
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use std::time::Duration;

/// Two clicks on one place within this time are a double click.
const DOUBLE: Duration = Duration::from_millis(400);
/// Rows per step of the wheel.
const WHEEL: usize = 3;

/// Whether the mouse is ours, and the click before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mouse {
    pub(crate) on: bool,
    last: Option<(Spot, Duration)>,
}

/// Something on the screen that a click means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spot {
    /// A row of the list of this pane.
    Row(Pane, usize),
    /// A screen's name in the first line.
    Tab(Screen),
    /// A key in the last line.
    Key(Action),
    /// The head of a column.
    Sort(By),
}

/// The lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pane {
    Instances,
    Problems,
    Services,
    Members,
    Servers,
    Events,
    Hosts,
}

/// Takes an event of the mouse.
pub(crate) fn on_mouse(app: &mut App, event: MouseEvent) -> Vec<Cmd> {
    if app.dialog.is_some() || app.trial.is_some() || app.columns.open.is_some() {
        return Vec::new();
    }
    match event.kind {
        MouseEventKind::ScrollDown => wheel(app, Action::Down),
        MouseEventKind::ScrollUp => wheel(app, Action::Up),
        MouseEventKind::Down(MouseButton::Left) => return click(app, event.column, event.row),
        _ => {}
    }
    Vec::new()
}

fn wheel(app: &mut App, action: Action) {
    for _ in 0..WHEEL {
        match (&mut app.help, action) {
            (Some(scroll), action) => input::scrolled(scroll, action, app.size.1),
            (None, action) => input::travel(app, action),
        }
    }
}

fn click(app: &mut App, x: u16, y: u16) -> Vec<Cmd> {
    let Some(spot) = view::spot(app, x, y) else {
        app.mouse.last = None;
        return Vec::new();
    };
    let twice = app
        .mouse
        .last
        .is_some_and(|(last, at)| last == spot && app.now.saturating_sub(at) <= DOUBLE);
    app.mouse.last = Some((spot, app.now));
    app.stir = true;
    match spot {
        Spot::Tab(screen) => input::go(app, screen),
        // What changes something is pressed, never clicked.
        Spot::Key(action) if keys::acts(action) => app.tell("changes are made with keys"),
        Spot::Key(action) => return input::on_action(app, action),
        Spot::Sort(by) => app.order.choose(app.screen, by),
        Spot::Row(pane, row) => {
            choose(app, pane, row);
            if twice {
                app.mouse.last = None;
                return input::open(app);
            }
        }
    }
    Vec::new()
}

fn choose(app: &mut App, pane: Pane, row: usize) {
    app.moved_at = app.now;
    app.second_pane = matches!(pane, Pane::Problems | Pane::Members);
    match pane {
        Pane::Instances => app.instances.go(row),
        Pane::Problems => app.problems.go(row),
        Pane::Services => app.services.go(row),
        Pane::Members => app.members.go(row),
        Pane::Servers => app.servers.go(row),
        Pane::Events => {
            app.follow = row == 0;
            app.events.go(row);
        }
        Pane::Hosts => app.hosts.go(row),
    }
}
