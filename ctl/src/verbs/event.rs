//! `events` and `watch`: what happened and what happens.

use crate::args::{Events, Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::client::Update;
use lb_shared::duration;
use lb_shared::event::{Numbered, What};
use lb_shared::json;
use lb_shared::select;
use lb_shared::state::{ObjectId, State};
use lb_shared::text::{cut, escape, width};
use lb_shared::units::Mono;
use lb_shared::view::View;
use lb_shared::why::wrap;
use std::collections::BTreeSet;

/// The kinds there are.
const KINDS: [&str; 10] = [
    "vrrp", "track", "check", "service", "action", "config", "ipvs", "link", "agent", "lost",
];

pub(crate) fn watch(global: &Global, look: &Look, out: &mut Out, targets: &[String]) -> Result<(), Trouble> {
    let events = Events {
        targets: targets.to_vec(),
        since: None,
        kind: Vec::new(),
        follow: true,
        limit: 0,
    };
    run(global, look, out, &events)
}

pub(crate) fn run(global: &Global, look: &Look, out: &mut Out, events: &Events) -> Result<(), Trouble> {
    if let Some(unknown) = events.kind.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(usage(
            format!("there is no kind of event called {}", escape(unknown)),
            format!("kinds are {}", KINDS.join(" ")),
        ));
    }
    let since = events.since.as_deref().map(duration::parse).transpose()?;
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
    let objects = if events.targets.is_empty() {
        None
    } else {
        Some(with_servers(view.state, select::objects(&view, &events.targets)?))
    };
    let wanted = |event: &Numbered| {
        event.event.what != What::Present
            && (events.kind.is_empty() || events.kind.iter().any(|kind| kind == event.event.what.topic()))
            && objects
                .as_ref()
                .is_none_or(|objects| objects.contains(&event.event.object))
    };
    if events.limit > 0 {
        let oldest = since.map_or(0, |since| {
            snapshot
                .wall_ms
                .saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        });
        let mut past: Vec<Numbered> = client
            .events(None, 10_000)?
            .into_iter()
            .filter(|event| event.wall_ms >= oldest && (!events.follow || event.seq <= snapshot.seq))
            .filter(|event| wanted(event))
            .collect();
        let skip = past.len().saturating_sub(events.limit as usize);
        past.drain(..skip);
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
                if wanted(&event) {
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
