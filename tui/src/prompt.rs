//! Lines being typed: a filter, which narrows with every letter, and a command.

use crate::act;
use crate::app::{App, Cmd};
use crate::command::{self, Command};
use crate::input::{export, go, has_list};
use crate::keys::Screen;
use crate::tape::Play;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::filter::Filter;

/// A line being typed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Prompt {
    #[default]
    None,
    /// The filter of the screen, as it is typed; and what was before.
    Filter(String),
    Command {
        text: String,
        error: String,
    },
    /// What help is searched for, see [`App::sought`].
    Search,
}

/// A filter and its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrowed {
    pub(crate) text: String,
    pub(crate) filter: Filter,
    /// Why the text is no filter; the last good one holds.
    pub(crate) error: Option<String>,
}

impl Narrowed {
    /// Takes a text; the last good filter holds while it is none.
    pub(crate) fn set(&mut self, screen: Screen, text: &str) {
        self.text = text.to_owned();
        // Events are narrowed by words, not by the states of objects.
        let parsed = match screen {
            Screen::Events => Ok(Filter::default()),
            _ => Filter::parse(text),
        };
        match parsed {
            Ok(filter) => (self.filter, self.error) = (filter, None),
            Err(refusal) => self.error = Some(refusal.to_string()),
        }
    }
}

/// Takes a key for the line.
pub(crate) fn on_key(app: &mut App, event: &KeyEvent) -> Vec<Cmd> {
    let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
    let screen = app.screen;
    match (&mut app.prompt, event.code) {
        (_, KeyCode::Char('c')) if ctrl => app.prompt = Prompt::None,
        (Prompt::Filter(_), KeyCode::Esc) => {
            app.filters[screen as usize] = Narrowed::default();
            app.prompt = Prompt::None;
        }
        (Prompt::Filter(_), KeyCode::Enter) => app.prompt = Prompt::None,
        (Prompt::Filter(text), code) => {
            edit(text, code, ctrl);
            let text = text.clone();
            app.filters[screen as usize].set(screen, &text);
        }
        (Prompt::Search, KeyCode::Esc) => {
            app.sought.clear();
            app.prompt = Prompt::None;
        }
        (Prompt::Search, KeyCode::Enter) => app.prompt = Prompt::None,
        (Prompt::Search, code) => {
            edit(&mut app.sought, code, ctrl);
            app.help = app.help.map(|_| 0);
        }
        (Prompt::Command { .. }, KeyCode::Esc) => app.prompt = Prompt::None,
        (Prompt::Command { text, .. }, KeyCode::Enter) => {
            let line = text.clone();
            return run(app, &line);
        }
        (Prompt::Command { text, error }, KeyCode::Up | KeyCode::Down) => {
            let older = event.code == KeyCode::Up;
            let step = if older {
                app.recalled + 1
            } else {
                app.recalled.saturating_sub(1)
            };
            app.recalled = step.min(app.lines.len());
            let nth = app.lines.len().checked_sub(app.recalled);
            *text = nth
                .and_then(|nth| app.lines.get(nth))
                .cloned()
                .unwrap_or_default();
            error.clear();
        }
        (Prompt::Command { text, error }, KeyCode::Tab) => {
            if let Some(data) = &app.data {
                (*text, *error) = command::complete(text, &data.view(app.now));
            }
        }
        (Prompt::Command { text, error }, code) => {
            if text.is_empty() && code == KeyCode::Backspace {
                app.prompt = Prompt::None;
            } else {
                error.clear();
                edit(text, code, ctrl);
            }
        }
        (Prompt::None, _) => {}
    }
    Vec::new()
}

fn edit(text: &mut String, code: KeyCode, ctrl: bool) {
    const TEXT_MAX: usize = 512;
    match code {
        KeyCode::Char('u') if ctrl => text.clear(),
        KeyCode::Char('w') if ctrl => {
            let kept = text.trim_end().rfind(' ').map_or(0, |at| at + 1);
            text.truncate(kept);
        }
        KeyCode::Char(c) if !ctrl && !c.is_control() && text.len() < TEXT_MAX => text.push(c),
        KeyCode::Backspace => drop(text.pop()),
        _ => {}
    }
}

/// The most command lines that are remembered.
const LINES_MAX: usize = 100;

fn run(app: &mut App, line: &str) -> Vec<Cmd> {
    let Some(data) = &app.data else {
        app.prompt = Prompt::None;
        app.tell("not connected");
        return Vec::new();
    };
    let parsed = command::parse(line, &data.view(app.shown_at()), &app.marked());
    let command = match parsed {
        Ok(command) => command,
        Err(error) => {
            app.prompt = Prompt::Command {
                text: line.to_owned(),
                error,
            };
            return Vec::new();
        }
    };
    app.prompt = Prompt::None;
    app.lines.retain(|known| known != line);
    app.lines.push(line.to_owned());
    app.lines.drain(..app.lines.len().saturating_sub(LINES_MAX));
    // Nothing is asked, or moved, behind a page of help.
    app.help = None;
    match command {
        Command::Change {
            kind,
            targets,
            options,
        } => return act::ask(app, kind, targets, options),
        Command::Filter(text) if !has_list(app.screen) => {
            drop(text);
            app.tell("there is no list to filter here");
        }
        Command::Filter(text) => app.filters[app.screen as usize].set(app.screen, &text),
        Command::Go(screen) => go(app, screen),
        Command::Sort(by, reversed) => {
            if app.order.of(app.screen).is_none() {
                app.tell("the lists of the screens 2 and 3 can be sorted");
            }
            app.order.set(app.screen, by, reversed);
        }
        Command::Export(path) => return vec![Cmd::Write(path, export(app))],
        Command::Picture(path) => return vec![Cmd::Write(path, crate::view::text(app))],
        Command::At(text) => {
            let Some((_, now_ms)) = crate::past::clocks(app) else {
                return Vec::new();
            };
            match crate::past::named(app, &text, now_ms) {
                Ok(to_ms) if app.playing.is_some() => return vec![Cmd::Play(Play::To(to_ms))],
                Ok(to_ms) => return crate::past::go(app, to_ms),
                Err(error) => {
                    app.prompt = Prompt::Command {
                        text: line.to_owned(),
                        error,
                    };
                }
            }
        }
        Command::Live if app.playing.is_some() => return vec![Cmd::Play(Play::End)],
        Command::Live => crate::past::to_live(app),
        Command::Compare(left, right) => crate::compare::of(app, left, right),
        Command::Local(local) => app.local = local,
        Command::Help(page) => {
            app.help = Some(0);
            app.page = page;
            app.sought.clear();
        }
        Command::Quit => return vec![Cmd::Quit],
    }
    Vec::new()
}
