//! What the agent told, taken into what is known.

use crate::app::{App, Link, News};
use crate::data::Data;
use lb_shared::client::Update;

/// How many of the last trips to a host are known: the shortest of them is the way, what is more was work.
const TRIPS: usize = 10;

/// Takes news of the agent.
pub(crate) fn on_news(app: &mut App, news: News) {
    match news {
        News::Connected(hello, events) => {
            app.log.add(
                app.now,
                format!("connected to agent {} on {}", hello.agent, hello.host),
            );
            app.link = Link::Up;
            app.link_since = app.now;
            app.connects += 1;
            app.heard = app.now;
            app.hello = Some(hello);
            match app.live().is_some() {
                true => app.live_mut().backlog(events),
                false => app.backlog = events,
            }
        }
        News::Update(update) => {
            app.heard = app.now;
            on_update(app, update);
        }
        News::Early(excerpt) => {
            app.heard = app.now;
            if app.live().is_none_or(Data::is_early) {
                let now = app.now;
                let events = std::mem::take(&mut app.backlog);
                let data = app.live_mut();
                data.backlog(events);
                data.excerpt(now, *excerpt);
                app.stir = true;
            }
        }
        News::Counters(counters) => {
            app.heard = app.now;
            if app.data.is_some() {
                app.live_mut().sample(*counters);
            }
        }
        News::Window(rows, window) => {
            app.heard = app.now;
            if app.data.is_some() {
                app.live_mut().window(&rows, *window);
            }
        }
        News::Still(at) => {
            app.heard = app.now;
            let moved = app.data.is_some() && app.live_mut().still(at);
            app.dirty |= moved && app.shows_sparklines();
        }
        News::Alive => app.heard = app.now,
        News::Was(_) => {}
        News::Trip(took) => {
            app.trips.push_back(took);
            let over = app.trips.len().saturating_sub(TRIPS);
            app.trips.drain(..over);
        }
        News::Down {
            failure,
            attempt,
            retry_in,
        } => {
            if !matches!(app.link, Link::Down { .. }) {
                app.link_since = app.now;
            }
            app.log
                .add(app.now, format!("not connected: {}", failure.message));
            app.last_failure = Some(failure.message.clone());
            app.link = Link::Down {
                failure,
                attempt,
                retry_at: app.now + retry_in,
            };
        }
    }
}

fn on_update(app: &mut App, update: Update) {
    let now = app.now;
    if let Some(past) = &mut app.past {
        past.waiting += 1;
    }
    let events = std::mem::take(&mut app.backlog);
    let data = app.live_mut();
    if !events.is_empty() {
        data.backlog(events);
    }
    match update {
        Update::Snapshot(snapshot) => {
            let before = data.state.agent.pid;
            let restarted = before != 0 && before != snapshot.state.agent.pid;
            if restarted {
                data.forget_samples();
            }
            let round = u64::from(restarted);
            data.snapshot(now, *snapshot);
            let overrides = data.state.overrides.len();
            app.round += round;
            if restarted {
                app.tell(format!(
                    "the agent was restarted; {} still in force",
                    lb_shared::text::count(overrides, "override")
                ));
            }
            app.stir = true;
        }
        Update::Event(event) => data.event(now, *event),
        // The snapshot that follows puts it right.
        Update::Lost { from, to } => app.log.add(app.now, format!("lost events {from} to {to}")),
    }
}
