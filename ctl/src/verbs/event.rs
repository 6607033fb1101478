//! `events` and `watch`: what happened and what happens.

use crate::args::{Events, Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::client::{Client, Update};
use lb_shared::duration;
use lb_shared::event::{Numbered, What};
use lb_shared::json;
use lb_shared::request::Snapshot;
use lb_shared::select;
use lb_shared::state::{ObjectId, State};
use lb_shared::text::{cut, escape, width};
use lb_shared::units::Mono;
use lb_shared::view::View;
use lb_shared::why::wrap;
use std::collections::BTreeSet;
use std::time::Duration;

/// The past of one host, read for a table of several.
pub(crate) struct Past {
    pub(crate) snapshot: Snapshot,
    pub(crate) events: Vec<Numbered>,
}

/// Reads what is asked for of the past.
pub(crate) fn past(global: &Global, events: &Events) -> Result<Past, Trouble> {
    let asked = Asked::of(events)?;
    let mut client = connect::client(global)?;
    let snapshot = client.snapshot()?;
    let objects = asked.objects(&View::of(&snapshot))?;
    let events = asked.past(&mut client, &snapshot, objects.as_ref())?;
    Ok(Past { snapshot, events })
}

/// What is asked for, checked.
struct Asked<'a> {
    events: &'a Events,
    since: Option<Duration>,
    until: Option<Duration>,
}

impl<'a> Asked<'a> {
    fn of(events: &'a Events) -> Result<Self, Trouble> {
        if let Some(unknown) = events.kind.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(usage(
                format!("there is no kind of event called {}", escape(unknown)),
                format!("kinds are {}", KINDS.join(" ")),
            ));
        }
        let ago = |text: &Option<String>| text.as_deref().map(duration::parse).transpose();
        Ok(Self {
            since: ago(&events.since)?,
            until: ago(&events.until)?,
            events,
        })
    }

    fn objects(&self, view: &View<'_>) -> Result<Option<BTreeSet<ObjectId>>, Trouble> {
        if self.events.targets.is_empty() {
            return Ok(None);
        }
        let found = select::objects(view, &self.events.targets)?;
        Ok(Some(with_servers(view.state, found)))
    }

    fn wants(&self, event: &Numbered, objects: Option<&BTreeSet<ObjectId>>) -> bool {
        let kinds = &self.events.kind;
        event.event.what != What::Present
            && (kinds.is_empty() || kinds.iter().any(|kind| kind == event.event.what.topic()))
            && objects.is_none_or(|objects| objects.contains(&event.event.object))
    }

    fn past(
        &self,
        client: &mut Client,
        snapshot: &Snapshot,
        objects: Option<&BTreeSet<ObjectId>>,
    ) -> Result<Vec<Numbered>, Trouble> {
        let wall = |ago: Duration| {
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            snapshot.wall_ms.saturating_sub(ago)
        };
        let oldest = self.since.map_or(0, wall);
        let newest = self.until.map_or(u64::MAX, wall);
        let mut past: Vec<Numbered> = client
            .events(None, 10_000)?
            .into_iter()
            .filter(|event| (oldest..=newest).contains(&event.wall_ms))
            .filter(|event| !self.events.follow || event.seq <= snapshot.seq)
            .filter(|event| self.wants(event, objects))
            .collect();
        let skip = past.len().saturating_sub(self.events.limit as usize);
        past.drain(..skip);
        Ok(past)
    }
}

/// The kinds there are.
const KINDS: [&str; 10] = [
    "vrrp", "track", "check", "service", "action", "config", "ipvs", "link", "agent", "lost",
];

pub(crate) fn watch(global: &Global, look: &Look, out: &mut Out, targets: &[String]) -> Result<(), Trouble> {
    run(global, look, out, &all_of(targets))
}

/// Everything from now on about these.
pub(crate) fn all_of(targets: &[String]) -> Events {
    Events {
        targets: targets.to_vec(),
        since: None,
        until: None,
        kind: Vec::new(),
        follow: true,
        limit: 0,
    }
}

pub(crate) fn run(global: &Global, look: &Look, out: &mut Out, events: &Events) -> Result<(), Trouble> {
    let asked = Asked::of(events)?;
    let mut client = connect::client(global)?;
    // The watch begins before the past is read: nothing falls between the two.
    let mut stream = if events.follow {
        Some(connect::client(global)?.watch()?)
    } else {
        None
    };
    let snapshot = match stream.as_mut().map(|stream| stream.next()) {
        None => client.snapshot()?,
        Some(Some(Ok(Update::Snapshot(snapshot)))) => *snapshot,
        Some(Some(Err(error))) => return Err(error.into()),
        Some(Some(Ok(_)) | None) => return Err(lb_shared::client::ClientError::Closed.into()),
    };
    let view = View::of(&snapshot);
    let objects = asked.objects(&view)?;
    if events.limit > 0 {
        let past = asked.past(&mut client, &snapshot, objects.as_ref())?;
        print(global, look, out, &view, &past)?;
    }
    let Some(stream) = stream else {
        return Ok(());
    };
    out.flush()?;
    let mut state: State = snapshot.state.clone();
    for update in stream {
        match update? {
            Update::Snapshot(snapshot) => state = snapshot.state,
            Update::Event(event) => {
                // Named as it was called before it was removed.
                let before = View::new(&state, event.event.at, event.wall_ms);
                if asked.wants(&event, objects.as_ref()) {
                    print(global, look, out, &before, std::slice::from_ref(&*event))?;
                    out.flush()?;
                }
                state.apply(&event.event);
            }
            Update::Lost { from, to } => {
                eprintln!("lbctl: events {from} to {to} were lost: this reader is too slow")
            }
        }
    }
    Err(lb_shared::client::ClientError::Closed.into())
}

fn with_servers(state: &State, found: Vec<ObjectId>) -> BTreeSet<ObjectId> {
    let mut objects: BTreeSet<ObjectId> = found.into_iter().collect();
    let servers: Vec<ObjectId> = state
        .servers
        .keys()
        .filter(|id| objects.contains(&ObjectId::Service(id.service.clone())))
        .map(|id| ObjectId::Server(id.clone()))
        .collect();
    objects.extend(servers);
    objects
}

fn print(
    global: &Global,
    look: &Look,
    out: &mut Out,
    view: &View<'_>,
    events: &[Numbered],
) -> Result<(), Trouble> {
    match global.output {
        Output::Table | Output::Wide => {
            for line in lines(view, events, look) {
                out.line(&line)?;
            }
        }
        Output::Json => {
            let data = json::list(events, |event| json::event(view, event));
            super::list::document(out, look, &json::document(&view.state.agent.host, data))?;
        }
        Output::Jsonl => {
            for event in events {
                out.line(&json::event(view, event).to_string())?;
            }
        }
        Output::Name => {
            for event in events {
                out.line(&event.event.object.to_string())?;
            }
        }
    }
    Ok(())
}

/// One line per event; on a terminal the words wrap below themselves.
pub(crate) fn lines(view: &View<'_>, events: &[Numbered], look: &Look) -> Vec<String> {
    const OBJECT: usize = 21;
    let names: Vec<String> = events
        .iter()
        .map(|event| view.object_name(&event.event.object))
        .collect();
    let object = names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or(0)
        .max(OBJECT);
    // As wide as its words; what comes one by one cannot know which.
    let kind = match events {
        [_] => 7,
        events => events
            .iter()
            .map(|event| event.event.what.topic().len())
            .max()
            .unwrap_or(0),
    };
    let now = if view.now == Mono::ZERO { 0 } else { view.wall_ms };
    let today = look.zone.date(now);
    let dated = events.iter().any(|event| look.zone.date(event.wall_ms) != today) && now > 0;
    let mut lines = Vec::new();
    for (event, name) in events.iter().zip(names) {
        let mut words = escape(&event.event.text);
        if let Some(why) = event.event.why.as_deref().filter(|why| !why.is_empty()) {
            words = format!("{words}: {}", escape(why));
        }
        let date = if dated {
            format!("{} ", look.zone.date(event.wall_ms))
        } else {
            String::new()
        };
        let head = format!(
            "{date}{}  {:<kind$}  {name}{}  ",
            look.zone.clock(event.wall_ms),
            event.event.what.topic(),
            " ".repeat(object - width(&name)),
        );
        let indent = width(&head);
        match look.width {
            None => lines.push(format!("{head}{words}").trim_end().to_owned()),
            Some(columns) if columns >= indent + 20 => {
                let mut wrapped = wrap(&words, columns - indent).into_iter();
                lines.push(format!("{head}{}", wrapped.next().unwrap_or_default()));
                lines.extend(wrapped.map(|line| format!("{}{line}", " ".repeat(indent))));
            }
            // No room beside the name: the words go below it.
            Some(columns) => {
                lines.push(cut(head.trim_end(), columns));
                let room = columns.saturating_sub(2).max(1);
                lines.extend(
                    wrap(&words, room)
                        .iter()
                        .map(|line| cut(&format!("  {line}"), columns)),
                );
            }
        }
    }
    lines
}
