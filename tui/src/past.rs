//! A picture of another moment than now: held still, or of the last quarter of an hour, while the agent is followed behind
//! it.

use crate::app::{App, Cmd, Failure};
use crate::data::Data;
use crate::keys::{Action, Screen};
use lb_shared::history::{KEPT_MS, Past as Was};
use lb_shared::request::{Reply, Request};
use lb_shared::state::{ObjectId, State};
use lb_shared::text::escape;
use std::time::Duration;

const MINUTE_MS: u64 = 60_000;
/// The oldest moment must still be known when the question arrives.
const MARGIN_MS: u64 = 2_000;

/// What goes on while something older is shown.
#[derive(Debug)]
pub(crate) struct Past {
    /// The agent as it is.
    pub(crate) live: Data,
    /// The moment that is shown, on our own clock.
    pub(crate) at: Duration,
    /// News that came since.
    pub(crate) waiting: usize,
    /// The agent was asked how it was then, in Unix time in milliseconds; `None`: the picture was held still.
    pub(crate) then_ms: Option<u64>,
}

/// A moment that was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Travel {
    ticket: u64,
    to_ms: u64,
}

/// Freezes the picture, or goes on with what came in the meantime.
pub(crate) fn toggle(app: &mut App) {
    if app.past.is_some() {
        return to_live(app);
    }
    // What was told before is not about this picture.
    app.note = None;
    let at = app.shown_at();
    app.past = app.data.clone().map(|live| Past {
        live,
        at,
        waiting: 0,
        then_ms: None,
    });
    app.stir = true;
}

/// Whether an object of the past is otherwise now, or is no more; `false` when now is what is shown.
pub(crate) fn differs(app: &App, object: &ObjectId) -> bool {
    let past = app.past.as_ref().filter(|past| past.then_ms.is_some());
    let (Some(past), Some(shown)) = (past, &app.data) else {
        return false;
    };
    let (then, now) = (&shown.state, &past.live.state);
    match object {
        ObjectId::Instance(name) => {
            let seen = |state: &State| {
                let it = state.instances.get(name)?;
                Some((it.state, it.effective_priority))
            };
            seen(then) != seen(now)
        }
        ObjectId::Service(key) => {
            let seen = |state: &State| {
                let it = state.services.get(key)?;
                Some((it.state, it.live_weight))
            };
            seen(then) != seen(now)
        }
        ObjectId::Server(id) => {
            let seen = |state: &State| {
                let it = state.servers.get(id)?;
                Some((it.word(), it.effective))
            };
            seen(then) != seen(now)
        }
        ObjectId::Agent | ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => false,
    }
}

/// Back to how things are now.
pub(crate) fn to_live(app: &mut App) {
    app.travel = None;
    match app.past.take() {
        Some(past) => {
            app.data = Some(past.live);
            app.tell("live again");
        }
        None => app.tell("this is now"),
    }
    app.stir = true;
}

/// Takes a key that moves in time.
pub(crate) fn on_action(app: &mut App, action: Action) -> Vec<Cmd> {
    let Some((shown, now)) = clocks(app) else {
        return Vec::new();
    };
    let Some(live) = app.live() else {
        return Vec::new();
    };
    let to = match action {
        Action::EventBefore => live
            .events
            .iter()
            .rev()
            .map(|it| it.wall_ms)
            .find(|at| *at < shown),
        Action::EventAfter => live
            .events
            .iter()
            .map(|it| it.wall_ms)
            .find(|at| *at > shown)
            .or(Some(now)),
        Action::MinuteBefore => Some(shown.saturating_sub(MINUTE_MS)),
        Action::MinuteAfter => Some(shown.saturating_add(MINUTE_MS)),
        Action::Travel => match selected(app) {
            Some(at) => Some(at),
            None => {
                app.prompt = crate::prompt::Prompt::Command {
                    text: "at ".into(),
                    error: String::new(),
                };
                return Vec::new();
            }
        },
        _ => None,
    };
    match to {
        Some(to) => go(app, to),
        None => {
            app.tell("there is no earlier event");
            Vec::new()
        }
    }
}

/// When the event under the cursor was.
pub(crate) fn selected(app: &App) -> Option<u64> {
    let key = *app.events.current().filter(|_| app.screen == Screen::Events)?;
    Some(app.event_ms(key, app.event(key)?))
}

/// Asks how everything was at a moment; the present when that has not come yet.
pub(crate) fn go(app: &mut App, to_ms: u64) -> Vec<Cmd> {
    let Some((_, now)) = clocks(app) else {
        return Vec::new();
    };
    if app.stale() {
        app.tell("the agent does not answer, and it knows the past");
        return Vec::new();
    }
    if to_ms >= now {
        to_live(app);
        return Vec::new();
    }
    let oldest = now.saturating_sub(KEPT_MS - MARGIN_MS);
    if to_ms < oldest {
        app.tell("the agent remembers 15 minutes; this is the oldest it has");
    }
    let to_ms = to_ms.max(oldest);
    let ticket = app.ticket();
    app.travel = Some(Travel { ticket, to_ms });
    // An event's time is cut to milliseconds: only the next one surely comes after it.
    vec![Cmd::Ask(
        ticket,
        Request::Past {
            wall_ms: to_ms.saturating_add(1),
        },
    )]
}

/// Unix time in milliseconds of what is shown, and of now.
pub(crate) fn clocks(app: &App) -> Option<(u64, u64)> {
    let then_ms = app.past.as_ref().and_then(|past| past.then_ms);
    let shown = then_ms.or_else(|| Some(app.data.as_ref()?.clock(app.shown_at()).1))?;
    let now = app.live()?.clock(app.now).1;
    Some((shown, now))
}

/// Takes the agent's answer; says whether it was one to a journey.
pub(crate) fn on_answer(app: &mut App, ticket: u64, answer: &Result<Box<Reply>, Failure>) -> bool {
    let Some(travel) = app.travel.filter(|travel| travel.ticket == ticket) else {
        return false;
    };
    app.travel = None;
    match answer.as_deref() {
        Ok(Reply::Past(was)) => show(app, was, travel.to_ms),
        Ok(Reply::Refused(refusal)) => app.tell(escape(&refusal.message)),
        Ok(_) => app.tell("the agent answered something else"),
        Err(failure) => app.tell(escape(&failure.message)),
    }
    true
}

fn show(app: &mut App, was: &Was, to_ms: u64) {
    let (live, waiting) = match app.past.take() {
        Some(past) => (past.live, past.waiting),
        None => match app.data.take() {
            Some(live) => (live, 0),
            None => return,
        },
    };
    app.data = Some(live.at(app.now, was, to_ms));
    app.past = Some(Past {
        live,
        at: app.now,
        waiting,
        then_ms: Some(to_ms),
    });
    app.dialog = None;
    app.stir = true;
}

/// The moment a text names: that of an event (`seq 1187`), or as [`moment`] says.
pub(crate) fn named(app: &App, text: &str, now_ms: u64) -> Result<u64, String> {
    let Some(seq) = text.trim().strip_prefix("seq ") else {
        return moment(text, now_ms, app.ahead_ms(now_ms));
    };
    let event = seq.trim().parse().ok().and_then(|seq| app.live()?.find(seq));
    event
        .map(|event| event.wall_ms)
        .ok_or_else(|| format!("there is no event {} here", escape(seq.trim())))
}

/// The moment a text names: `5m` or `-5m` ago, or a time of the day such as `09:07:29`.
fn moment(text: &str, now_ms: u64, ahead_ms: i64) -> Result<u64, String> {
    const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
    let text = text.trim().trim_start_matches('-');
    if text.contains(':') {
        let mut parts = text.split(':').map(|part| part.parse::<u64>().ok());
        let (hours, minutes) = (parts.next().flatten(), parts.next().flatten());
        let seconds = parts.next().unwrap_or(Some(0));
        let (Some(h @ 0..24), Some(m @ 0..60), Some(s @ 0..60), None) =
            (hours, minutes, seconds, parts.next())
        else {
            return Err("times are written 09:07:29, as the screen shows them".into());
        };
        let shown = now_ms.saturating_add_signed(ahead_ms);
        let today = (shown - shown % DAY_MS).saturating_add(((h * 60 + m) * 60 + s) * 1_000);
        // Shortly after midnight, ten to twelve was yesterday.
        let last = if today > shown {
            today.saturating_sub(DAY_MS)
        } else {
            today
        };
        return Ok(last.saturating_add_signed(-ahead_ms));
    }
    match lb_shared::duration::parse(text) {
        Ok(span) => Ok(now_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_so_long_ago_or_a_time_of_this_day_or_the_last() {
        let now = 1_795_166_400_000; // 09:20:00
        for (text, want) in [
            ("5m", now - 300_000),
            ("-90s", now - 90_000),
            ("09:19", now - 60_000),
            ("09:07:29", now - 751_000),
            ("23:59:59", now - (9 * 3_600 + 20 * 60 + 1) * 1_000),
        ] {
            assert_eq!(moment(text, now, 0), Ok(want), "{text}");
        }
        // Where clocks show 10:20:00 by then.
        assert_eq!(moment("10:19", now, 3_600_000), Ok(now - 60_000));
        for text in ["", "5", "25:00", "09:61", "1:2:3:4", "x:y"] {
            assert!(moment(text, now, 0).is_err(), "{text}");
        }
    }
}
