//! Drawing: a picture is a function of the [`App`] and the size, nothing else.

mod columns;
mod compare;
mod confirm;
mod detail;
mod events;
mod frame;
mod help;
mod hosts;
mod overview;
mod paint;
mod record;
mod runs;
mod servers;
mod services;
mod small;
mod table;
mod trial;
mod vrrp;
mod words;

use crate::app::{App, Link, SIZE_MIN, WIDE};
use crate::data::Data;
use crate::keys::Screen;
use crate::mouse::Spot;
use crate::theme::{self, Role};
use lb_shared::text::{count, escape, span};
use lb_shared::view::View;
use paint::{Area, Paint, Row, row};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
pub(crate) use words::took;
use words::{clock, moment};

/// What the drawing of a screen looks at.
pub(crate) struct Scene<'a> {
    pub(crate) app: &'a App,
    pub(crate) data: &'a Data,
    pub(crate) view: View<'a>,
    pub(crate) wide: bool,
}

impl<'a> Scene<'a> {
    fn of(app: &'a App, data: &'a Data, columns: u16) -> Self {
        Self {
            app,
            data,
            view: data.view(app.shown_at()).with_peers(&app.fleet.peers),
            wide: columns >= WIDE,
        }
    }

    /// The time of day: `09:20:00`.
    pub(crate) fn clock(&self, wall_ms: u64) -> String {
        clock(self.ahead(wall_ms))
    }

    /// The time of day, or the day when that is another one than of `now_ms`.
    pub(crate) fn moment(&self, wall_ms: u64, now_ms: u64) -> String {
        moment(self.ahead(wall_ms), self.ahead(now_ms))
    }

    fn ahead(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_add_signed(self.app.ahead_ms(wall_ms))
    }

    /// How long something has been so; with a `?` when nobody confirms it any more.
    pub(crate) fn age(&self, since: lb_shared::units::Mono) -> String {
        let unsure = if self.app.stale() { "?" } else { "" };
        format!("{}{unsure}", span(self.view.age(since)))
    }
}

/// Draws everything.
pub(crate) fn draw(app: &App, frame: &mut Frame<'_>) {
    paint(app, frame.buffer_mut());
    if app.ascii {
        theme::to_ascii(frame.buffer_mut());
    }
}

/// The picture, cell by cell.
pub(crate) fn buffer(app: &App) -> Buffer {
    let (width, height) = app.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    drop(paint(app, &mut buffer));
    if app.ascii {
        theme::to_ascii(&mut buffer);
    }
    buffer
}

/// The picture as text, without colours and without blanks at the ends of lines.
pub(crate) fn text(app: &App) -> String {
    let (width, height) = app.size;
    let buffer = buffer(app);
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // The cells behind a wide character are its own.
            x = x.saturating_add(u16::try_from(lb_shared::text::width(symbol)).unwrap_or(1).max(1));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number for what is seen below the first line, whose clock goes on in any case.
pub(crate) fn look(picture: &Buffer) -> u64 {
    let mut hasher = DefaultHasher::new();
    let first = usize::from(picture.area.width);
    for cell in picture.content.iter().skip(first) {
        cell.hash(&mut hasher);
    }
    hasher.finish()
}

/// Keeps what scrolls within its ends: otherwise it would have to be scrolled back over what is not there.
pub(crate) fn hold(app: &mut App) {
    let scrolled = match (app.help, app.compared(), app.detail.last()) {
        (Some(scroll), ..) => scroll,
        (None, Some(compare), _) => compare.scroll,
        (None, None, Some(detail)) => detail.scroll,
        (None, None, None) => return,
    };
    let Some(data) = app.data.as_ref().filter(|_| scrolled > 0) else {
        return;
    };
    let scene = Scene::of(app, data, app.size.0);
    let body = usize::from(app.size.1).saturating_sub(3);
    let (lines, room) = match (app.help, app.compared(), app.detail.last()) {
        (Some(_), ..) => (
            help::lines(&scene).len(),
            usize::from(app.size.1).saturating_sub(2),
        ),
        (None, Some(compare), _) => (compare::rows(&scene, compare), body.saturating_sub(2)),
        (None, None, Some(detail)) => (detail::lines(&scene, app.size.0, detail).len(), body),
        (None, None, None) => (0, 0),
    };
    let end = lines.saturating_sub(room);
    let compares = app.compared().is_some();
    if let Some(scroll) = &mut app.help {
        *scroll = end.min(*scroll);
    } else if let Some(compare) = app.compare.as_mut().filter(|_| compares) {
        compare.scroll = end.min(compare.scroll);
    } else if let Some(detail) = app.detail.last_mut() {
        detail.scroll = end.min(detail.scroll);
    }
}

/// What stays on the terminal after the end: the problems, so that nobody leaves without having seen them.
pub(crate) fn farewell(app: &App) -> String {
    const LINES: usize = 5;
    let Some(data) = app.live() else {
        return String::new();
    };
    let problems = &data.problems;
    let mut text = format!(
        "{}: {}, {}\n",
        escape(&data.state.agent.host),
        count(problems.len(), "problem"),
        count(data.state.overrides.len(), "override")
    );
    for problem in problems.iter().take(LINES) {
        text.push_str(&format!(
            "{} {:<7} {}  {}\n",
            problem.mark, problem.state, problem.name, problem.text
        ));
    }
    if problems.len() > LINES {
        text.push_str(&format!("  and {} more: lbctl status\n", problems.len() - LINES));
    }
    text
}

/// What a click at a place of the picture means: it is drawn again, and looked at.
pub(crate) fn spot(app: &App, x: u16, y: u16) -> Option<Spot> {
    let (width, height) = app.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    paint(app, &mut buffer).spot(x, y)
}

fn paint<'a>(app: &App, buffer: &'a mut Buffer) -> Paint<'a> {
    let size = buffer.area;
    let mut paint = Paint::new(buffer, app.theme);
    let area = Area {
        x: 0,
        y: 0,
        width: size.width,
        height: size.height,
    };
    match &app.data {
        None => connecting(app, &mut paint, area),
        // Lists with most of their rows missing would be wrong ones.
        Some(data) if data.is_early() && app.screen != Screen::Overview => connecting(app, &mut paint, area),
        Some(data) => {
            let scene = Scene::of(app, data, area.width);
            if area.width < SIZE_MIN.0 || area.height < SIZE_MIN.1 {
                small::draw(&scene, &mut paint, area);
            } else {
                full(&scene, &mut paint, area);
            }
        }
    }
    paint
}

fn full(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area) {
    let app = scene.app;
    if let Some(scroll) = app.help {
        return help::draw(scene, paint, area, scroll);
    }
    frame::head(scene, paint, area);
    if let Some(accent) = app.accent {
        paint.tint(Area { height: 1, ..area }, accent);
    }
    frame::second_line(scene, paint, area);
    let body = Area {
        y: 2,
        height: area.height - 3,
        ..area
    };
    // What the others say is not old.
    paint.faded = app.stale() && app.screen != Screen::Hosts;
    if let Some(compare) = app.compared() {
        compare::draw(scene, paint, body, compare);
        paint.faded = false;
        return frame::foot(scene, paint, area);
    }
    match (app.detail.last(), app.screen) {
        (Some(detail), _) => detail::draw(scene, paint, body, detail),
        (None, Screen::Overview) => overview::draw(scene, paint, body),
        (None, Screen::Vrrp) => vrrp::draw(scene, paint, body),
        (None, Screen::Services) => services::draw(scene, paint, body),
        (None, Screen::Servers) => servers::draw(scene, paint, body),
        (None, Screen::Events) => events::draw(scene, paint, body),
        (None, Screen::Hosts) => hosts::draw(scene, paint, body),
    }
    paint.faded = false;
    frame::foot(scene, paint, area);
    if let Some(at) = app.columns.open {
        columns::draw(scene, paint, area, at);
    }
    if let Some(trial) = &app.trial {
        trial::draw(scene, paint, area, trial);
    }
    if let Some(dialog) = &app.dialog {
        confirm::draw(scene, paint, area, dialog);
    }
}

/// Before the first answer.
fn connecting(app: &App, paint: &mut Paint<'_>, area: Area) {
    let mut lines = vec![row(" lbtui", Role::Master), Row::default()];
    match &app.link {
        Link::Starting | Link::Up => {
            lines.push(row(
                format!(" connecting to {}", escape(&app.socket)),
                Role::Plain,
            ));
        }
        Link::Down {
            failure,
            attempt,
            retry_at,
        } => {
            lines.push(row(format!(" {}", escape(&failure.message)), Role::Bad));
            if !failure.hint.is_empty() {
                lines.push(row(format!(" {}", escape(&failure.hint)), Role::Plain));
            }
            lines.push(Row::default());
            let left = span(retry_at.saturating_sub(app.now) + Duration::from_millis(999));
            lines.push(row(
                format!(" attempt {attempt} failed; the next one in {left}   r now   q quit"),
                Role::Plain,
            ));
        }
    }
    for (nth, line) in lines.iter().enumerate() {
        let y = u16::try_from(nth).unwrap_or(u16::MAX);
        if y < area.height {
            paint.row(area.x, y, area.width, line);
        }
    }
}
