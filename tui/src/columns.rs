//! Which columns a list shows: the ones put away, and the list to choose them from.

use crate::app::App;
use crate::keys::Screen;
use crossterm::event::{KeyCode, KeyEvent};
use std::collections::BTreeSet;

/// Columns of services that can be put away, by their titles.
const SERVICES: &[&str] = &[
    "ADDRESS", "SCHED", "FWD", "UP/ALL", "QUORUM", "ACTIVE", "INACT", "CPS", "IN", "OUT", "VRRP", "PERSIST",
    "FOR", "TREND",
];
/// Columns of servers that can be put away.
const SERVERS: &[&str] = &[
    "WEIGHT", "ACTIVE", "INACT", "CPS", "IN", "OUT", "CHECK", "LAST", "FOR",
];

/// The choice, and where the cursor is while it is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    /// Titles that are not shown, by screen.
    hidden: BTreeSet<(Screen, &'static str)>,
    /// Row of the cursor while the list is open.
    pub(crate) open: Option<usize>,
}

impl Columns {
    /// Shows only these of the columns that can be put away.
    pub(crate) fn only(&mut self, screen: Screen, titles: &[String]) -> Result<(), String> {
        let all = of(screen);
        if all.is_empty() {
            return Err("columns are those of services or of servers".into());
        }
        if let Some(unknown) = titles.iter().find(|title| !all.contains(&title.as_str())) {
            return Err(format!(
                "there is no column {unknown}; columns are {}",
                all.join(" ")
            ));
        }
        for title in all {
            if titles.iter().any(|wanted| wanted == title) {
                self.hidden.remove(&(screen, *title));
            } else {
                self.hidden.insert((screen, *title));
            }
        }
        Ok(())
    }

    /// Whether a column of a screen is to be seen.
    pub(crate) fn shows(&self, screen: Screen, title: &'static str) -> bool {
        !self.hidden.contains(&(screen, title))
    }

    /// Everything that can be chosen on a screen: title, and whether it is shown.
    pub(crate) fn choices(&self, screen: Screen) -> Vec<(&'static str, bool)> {
        of(screen)
            .iter()
            .map(|title| (*title, self.shows(screen, title)))
            .collect()
    }
}

fn of(screen: Screen) -> &'static [&'static str] {
    match screen {
        Screen::Services => SERVICES,
        Screen::Servers => SERVERS,
        Screen::Overview | Screen::Events | Screen::Vrrp | Screen::Hosts => &[],
    }
}

/// Opens the list for the screen that is shown.
pub(crate) fn open(app: &mut App) {
    if of(app.screen).is_empty() || !app.detail.is_empty() {
        return app.tell("columns are chosen on the screens 2 and 3");
    }
    app.columns.open = Some(0);
}

/// A key while the list is open.
pub(crate) fn on_key(app: &mut App, event: &KeyEvent) {
    let titles = of(app.screen);
    let columns = &mut app.columns;
    let Some(at) = &mut columns.open else { return };
    match event.code {
        KeyCode::Down | KeyCode::Char('j') => *at = (*at + 1).min(titles.len().saturating_sub(1)),
        KeyCode::Up | KeyCode::Char('k') => *at = at.saturating_sub(1),
        KeyCode::Char(' ') => {
            if let Some(title) = titles.get(*at) {
                let key = (app.screen, *title);
                if !columns.hidden.remove(&key) {
                    columns.hidden.insert(key);
                }
            }
        }
        KeyCode::Char('a') => columns.hidden.retain(|(screen, _)| *screen != app.screen),
        KeyCode::Enter | KeyCode::Esc | KeyCode::Char('c' | 'q') => columns.open = None,
        _ => {}
    }
}
