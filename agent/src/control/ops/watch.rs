//! The stream of events.

use super::super::hub::Subscription;
use super::super::limits;
use super::super::lines::line;
use super::super::outbox::Outbox;
use super::super::session::{Session, WatchPlace};
use super::Call;
use lb_shared::event::{Numbered, What};
use lb_shared::json;
use lb_shared::request::{Refusal, RefusalCode};
use lb_shared::select;
use lb_shared::state::{ObjectId, State};
use lb_shared::view::{View, rfc3339};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{interval, sleep};

/// The topics there are.
const TOPICS: [&str; 11] = [
    "vrrp", "track", "check", "service", "action", "config", "ipvs", "link", "agent", "lost", "state",
];

/// A stream that was asked for.
#[derive(Debug)]
pub(in super::super) struct Watch {
    id: Option<Value>,
    topics: Vec<String>,
    objects: Option<BTreeSet<ObjectId>>,
    heartbeat: Option<Duration>,
    fifo: bool,
    window: Option<Window>,
    session: Session,
    subscription: Subscription,
    from: u64,
    _place: WatchPlace,
}

/// The objects whose counters are wanted, and how often.
#[derive(Debug)]
struct Window {
    objects: BTreeSet<ObjectId>,
    every: Duration,
}

/// The most objects of a window: more would be what `stats` with `rows` is for.
const WINDOW_MAX: usize = 1_000;
const SAMPLES_APART: Duration = Duration::from_secs(5);

impl Window {
    fn open(session: &Session, call: &Call) -> Result<Option<Self>, Refusal> {
        let (targets, every) = (call.texts("window")?, call.span("every")?);
        let bad = |message: &str| Refusal::new(RefusalCode::BadRequest, message, "see docs/socket.md");
        if targets.is_empty() {
            return match every {
                None => Ok(None),
                Some(_) => Err(bad("\"every\" goes with \"window\"")),
            };
        }
        let every = every.unwrap_or(SAMPLES_APART);
        if every < Duration::from_secs(1) {
            return Err(bad("\"every\" is at least 1s"));
        }
        let seen = session.doors.hub.seen();
        let view = View::new(&seen.state, seen.now, seen.wall_ms);
        let mut objects: BTreeSet<ObjectId> = select::objects(&view, &targets)?.into_iter().collect();
        add_servers(&seen.state, &mut objects);
        if objects.len() > WINDOW_MAX {
            return Err(bad(&format!(
                "\"window\" selects {} objects; at most {WINDOW_MAX}",
                objects.len()
            )));
        }
        Ok(Some(Self { objects, every }))
    }
}

/// Whether an event belongs to one of the topics. No topics stand for all that have something to tell.
pub(super) fn wanted(topics: &[String], what: What) -> bool {
    topics.is_empty() && what != What::Present || topics.iter().any(|topic| topic == what.topic())
}

impl Watch {
    /// Checks what was asked for and begins to listen.
    pub(in super::super) fn open(session: &Session, call: &Call, own: usize) -> Result<Self, Refusal> {
        let bad = |message: String| Refusal::new(RefusalCode::BadRequest, message, "see docs/socket.md");
        let topics = call.texts("topics")?;
        if let Some(unknown) = topics.iter().find(|topic| !TOPICS.contains(&topic.as_str())) {
            return Err(bad(format!(
                "there is no topic '{}'; topics are {}",
                lb_shared::text::escape(unknown),
                TOPICS.join(" ")
            )));
        }
        let fifo = match call.text("format")? {
            None | Some("json") => false,
            Some("fifo") => true,
            Some(_) => return Err(bad("\"format\" is json or fifo".into())),
        };
        // Without "from", or with "now", only what comes.
        let after = match call.number("from") {
            Ok(from) => from,
            Err(_) => match call.text("from")? {
                Some("now") => None,
                Some(text) => Some(first_since(session, text)?),
                None => {
                    return Err(bad(
                        "\"from\" is \"now\", a time, or the number of an event".into()
                    ));
                }
            },
        };
        let window = Window::open(session, call)?;
        if fifo && window.is_some() {
            return Err(bad("there are no counters among keepalived's lines".into()));
        }
        let heartbeat = call.span("heartbeat")?;
        if heartbeat.is_some_and(|every| every < Duration::from_secs(1)) {
            return Err(bad("\"heartbeat\" is at least 1s".into()));
        }
        let place = session.doors.open_watch(own)?;
        let subscription = session
            .doors
            .hub
            .subscribe(after.map(|from| from.saturating_sub(1)));
        let targets = call.texts("targets")?;
        let objects = if targets.is_empty() {
            None
        } else {
            let seen = &subscription.seen;
            let view = View::new(&seen.state, seen.now, seen.wall_ms);
            let mut objects: BTreeSet<ObjectId> = select::objects(&view, &targets)?.into_iter().collect();
            add_servers(&seen.state, &mut objects);
            Some(objects)
        };
        let from = after.unwrap_or(subscription.seen.seq);
        // The state itself is of no more use; holding it would make the hub copy it.
        let mut subscription = subscription;
        subscription.seen.state = Arc::default();
        Ok(Self {
            id: call.id.clone(),
            topics,
            objects,
            heartbeat,
            fifo,
            window,
            session: session.clone(),
            from,
            subscription,
            _place: place,
        })
    }

    /// Streams until the agent stops or the client is gone.
    pub(in super::super) async fn run(mut self, lines: &Outbox) {
        let head = vec![
            ("ok", true.into()),
            ("stream", true.into()),
            ("from", self.from.into()),
        ];
        if !self.fifo && lines.tell(line(self.id.as_ref(), head)).await.is_err() {
            return;
        }
        let mut last = self.subscription.seen.seq;
        for event in std::mem::take(&mut self.subscription.past) {
            if !self.tell(lines, &event).await {
                return;
            }
        }
        let mut samples = self.window.as_ref().map(|window| interval(window.every));
        loop {
            let heartbeat = self.heartbeat;
            let quiet = async {
                match heartbeat {
                    Some(every) => sleep(every).await,
                    None => pending().await,
                }
            };
            let due = async {
                match &mut samples {
                    Some(samples) => {
                        samples.tick().await;
                    }
                    None => pending().await,
                }
            };
            let news = tokio::select! {
                biased;
                news = self.subscription.news.recv() => news,
                () = due => {
                    if !self.sample(lines).await {
                        return;
                    }
                    continue;
                }
                () = quiet => {
                    let now = rfc3339(super::super::hub::wall_ms());
                    let beat = line(self.id.as_ref(), vec![("hb", now.into())]);
                    if lines.tell(beat).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            let going_on = match news {
                Ok(event) => {
                    last = event.seq;
                    self.tell(lines, &event).await
                }
                Err(RecvError::Lagged(missed)) => {
                    let lost = json!({"from": last + 1, "to": last + missed});
                    last += missed;
                    let lost = line(self.id.as_ref(), vec![("lost", lost)]);
                    lines.tell(lost).await.is_ok()
                }
                Err(RecvError::Closed) => {
                    let end = vec![("end", true.into()), ("reason", "shutdown".into())];
                    let _ = lines.tell(line(self.id.as_ref(), end)).await;
                    false
                }
            };
            if !going_on {
                return;
            }
        }
    }

    /// Sends the counters of the window; false when nobody listens any more.
    async fn sample(&self, lines: &Outbox) -> bool {
        let Some(window) = &self.window else {
            return true;
        };
        // While the engine is busy there is none.
        let Ok(counters) = self.session.doors.engine.counters_soon().await else {
            return true;
        };
        let bytes = {
            let seen = self.session.doors.hub.seen();
            let view = View::new(&seen.state, seen.now, seen.wall_ms).with_counters(Some(&counters));
            let sample = super::read::stats_of(&view, Some(&window.objects));
            let now = rfc3339(seen.wall_ms);
            line(self.id.as_ref(), vec![("sample", sample), ("t", now.into())])
        };
        lines.tell(bytes).await.is_ok()
    }

    /// Sends an event if it is wanted; false when nobody listens any more.
    async fn tell(&self, lines: &Outbox, event: &Numbered) -> bool {
        if !wanted(&self.topics, event.event.what)
            || self
                .objects
                .as_ref()
                .is_some_and(|objects| !objects.contains(&event.event.object))
        {
            return true;
        }
        if self.fifo {
            for text in super::fifo::lines(&event.event) {
                if lines.tell(text.into_bytes()).await.is_err() {
                    return false;
                }
            }
            return true;
        }
        let bytes = {
            // Names as they are now: the object may have been renamed or be gone.
            let seen = self.session.doors.hub.seen();
            let view = View::new(&seen.state, seen.now, seen.wall_ms);
            match json::event(&view, event) {
                Value::Object(fields) => {
                    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.clone()));
                    line(self.id.as_ref(), fields.collect())
                }
                _ => Vec::new(),
            }
        };
        lines.tell(bytes).await.is_ok()
    }
}

/// The first event of a time, or the one that comes next.
fn first_since(session: &Session, text: &str) -> Result<u64, Refusal> {
    let seen = session.doors.hub.seen();
    let moment = super::past::moment(text, seen.wall_ms)?;
    let kept = session.doors.hub.events(None, limits::EVENTS_KEPT);
    let first = kept.iter().find(|event| event.wall_ms >= moment);
    Ok(first.map_or(seen.seq + 1, |event| event.seq))
}

/// Watching a service is watching its servers, too.
fn add_servers(state: &State, objects: &mut BTreeSet<ObjectId>) {
    let servers: Vec<ObjectId> = state
        .servers
        .keys()
        .filter(|id| objects.contains(&ObjectId::Service(id.service.clone())))
        .map(|id| ObjectId::Server(id.clone()))
        .collect();
    objects.extend(servers);
}
