//! A picture that stands still, while what it shows goes on behind it.

use crate::app::App;
use crate::data::Data;
use std::time::Duration;

/// What goes on while something older is shown.
#[derive(Debug)]
pub(crate) struct Past {
    /// The agent as it is.
    pub(crate) live: Data,
    /// The moment that is shown, on our own clock.
    pub(crate) at: Duration,
    /// News that came since.
    pub(crate) waiting: usize,
}

/// Freezes the picture, or goes on with what came in the meantime.
pub(crate) fn toggle(app: &mut App) {
    match app.past.take() {
        Some(past) => {
            app.data = Some(past.live);
            app.tell("live again");
        }
        None => {
            let at = app.shown_at();
            app.past = app.data.clone().map(|live| Past { live, at, waiting: 0 });
        }
    }
    app.stir = true;
}
