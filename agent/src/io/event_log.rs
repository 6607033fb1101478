//! What events say in the log, and of which objects more or less than of others.

use super::log;
use crate::notify::loglines;
use lb_shared::event::{Event, Level, What};
use lb_shared::loglevel::{self, LogLevel, LogOf};
use std::sync::{PoisonError, RwLock};

/// Whose events have a level of their own.
static CHOSEN: RwLock<Vec<(LogOf, LogLevel)>> = RwLock::new(Vec::new());

/// Sets them, instead of those before.
pub fn choose(rules: Vec<(LogOf, LogLevel)>) {
    *CHOSEN.write().unwrap_or_else(PoisonError::into_inner) = rules;
}

/// Whether an event is logged, where its object has a level of its own.
fn wanted(event: &Event) -> Option<bool> {
    // Held by others only while they put a list in its place.
    let rules = CHOSEN.read().unwrap_or_else(PoisonError::into_inner);
    loglevel::wanted(&rules, event)
}

/// One line, or keepalived's own line where scripts know it by heart; none for views that changed without a word.
pub(super) fn log(event: &Event) {
    if event.what == What::Present {
        return;
    }
    let lines = loglines::lines(event);
    let text = if lines.is_empty() {
        let why = event
            .why
            .as_ref()
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        let actor = event
            .actor
            .as_ref()
            .map(|actor| format!(" by {actor}"))
            .unwrap_or_default();
        vec![format!(
            "{} {}: {}{why}{actor}",
            event.what.name(),
            event.object,
            event.text
        )]
    } else {
        lines
    };
    let own = wanted(event);
    if own != Some(false) {
        for text in loglines::details(event) {
            tracing::debug!("{}", lb_shared::text::escape(&text));
        }
    }
    for text in text.iter().map(|text| lb_shared::text::escape(text)) {
        match (own, event.what.level()) {
            (Some(false), _) => {}
            (None, Level::Debug) => tracing::debug!("{text}"),
            (None, Level::Info | Level::Notice) => tracing::info!("{text}"),
            (None, Level::Warning) => tracing::warn!("{text}"),
            (None, Level::Error) => tracing::error!("{text}"),
            (Some(true), Level::Debug) => tracing::debug!(target: log::CHOSEN, "{text}"),
            (Some(true), Level::Info | Level::Notice) => tracing::info!(target: log::CHOSEN, "{text}"),
            (Some(true), Level::Warning) => tracing::warn!(target: log::CHOSEN, "{text}"),
            (Some(true), Level::Error) => tracing::error!(target: log::CHOSEN, "{text}"),
        }
    }
}
