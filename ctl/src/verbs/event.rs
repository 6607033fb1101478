//! `events` and `watch`: what happened and what happens.

use crate::args::{Events, Global, Output};
use crate::connect;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::client::{Client, Heard, Listener};
use lb_shared::duration;
use lb_shared::event::{Change, Numbered, What};
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::filter::{Filter, Item};
use lb_shared::json;
use lb_shared::select;
use lb_shared::state::{Object, ObjectId, Target};
use lb_shared::text::{cut, escape, width};
use lb_shared::units::Mono;
use lb_shared::view::View;
use lb_shared::why::wrap;
use std::collections::BTreeSet;
use std::time::Duration;

/// The past of one host, read for a table of several.
pub(crate) struct Past {
    /// What the events are named with.
    pub(crate) around: Excerpt,
    pub(crate) events: Vec<Numbered>,
}

/// Reads what is asked for of the past.
pub(crate) fn past(global: &Global, events: &Events) -> Result<Past, Trouble> {
    let asked = Asked::of(global, events)?;
    let mut client = connect::client(global)?;
    let objects = asked.objects(&mut client)?;
    let around = around(&mut client)?;
    let events = asked.past(&mut client, &around, objects.as_ref())?;
    Ok(Past { around, events })
}

/// The services, whose names are those of their servers. Of the servers themselves nothing is needed.
fn around(client: &mut Client) -> Result<Excerpt, Trouble> {
    Ok(client.excerpt(&ExcerptAsk::all(Scope::Services))?)
}

/// What is asked for, checked.
struct Asked<'a> {
    events: &'a Events,
    filter: Filter,
    since: Option<Duration>,
    until: Option<Duration>,
}

impl<'a> Asked<'a> {
    fn of(global: &Global, events: &'a Events) -> Result<Self, Trouble> {
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
            filter: Filter::parse(global.filter.as_deref().unwrap_or_default())?,
            events,
        })
    }

    /// The targets; a service stands for its servers, too.
    fn objects(&self, client: &mut Client) -> Result<Option<BTreeSet<ObjectId>>, Trouble> {
        let targets = &self.events.targets;
        if targets.is_empty() {
            return Ok(None);
        }
        let excerpt = client.excerpt(&ExcerptAsk::of(Scope::Objects, targets))?;
        let found = select::objects(&View::excerpt(&excerpt), targets)?;
        Ok(Some(found.into_iter().collect()))
    }

    fn wants(&self, view: &View<'_>, event: &Numbered, objects: Option<&BTreeSet<ObjectId>>) -> bool {
        let kinds = &self.events.kind;
        event.event.what != What::Present
            && (kinds.is_empty() || kinds.iter().any(|kind| kind == event.event.what.topic()))
            && objects.is_none_or(|objects| is_about(&event.event.object, objects))
            && self.filter.passes(view, Item::Event(&event.event))
    }

    fn past(
        &self,
        client: &mut Client,
        around: &Excerpt,
        objects: Option<&BTreeSet<ObjectId>>,
    ) -> Result<Vec<Numbered>, Trouble> {
        let view = View::excerpt(around);
        let wall = |ago: Duration| {
            let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
            around.snapshot.wall_ms.saturating_sub(ago)
        };
        let oldest = self.since.map_or(0, wall);
        let newest = self.until.map_or(u64::MAX, wall);
        let mut past: Vec<Numbered> = client
            .events(None, 10_000)?
            .into_iter()
            .filter(|event| (oldest..=newest).contains(&event.wall_ms))
            .filter(|event| !self.events.follow || event.seq <= around.snapshot.seq)
            .filter(|event| self.wants(&view, event, objects))
            .collect();
        let skip = past.len().saturating_sub(self.events.limit as usize);
        past.drain(..skip);
        Ok(past)
    }
}

/// Whether an object is one of these, or a server or override of one.
fn is_about(object: &ObjectId, objects: &BTreeSet<ObjectId>) -> bool {
    objects.contains(object)
        || match object {
            ObjectId::Server(id) => objects.contains(&ObjectId::Service(id.service.clone())),
            ObjectId::Override(Target::Server(id)) => is_about(&ObjectId::Server(id.clone()), objects),
            ObjectId::Override(Target::Instance(name)) => objects.contains(&ObjectId::Instance(name.clone())),
            ObjectId::Agent
            | ObjectId::Instance(_)
            | ObjectId::Group(_)
            | ObjectId::Tracker(_)
            | ObjectId::Service(_) => false,
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
    let asked = Asked::of(global, events)?;
    let mut client = connect::client(global)?;
    let objects = asked.objects(&mut client)?;
    // The stream begins before the past is read: nothing falls between the two.
    let stream = match events.follow {
        true => Some(connect::client(global)?.listen()?),
        false => None,
    };
    let around = around(&mut client)?;
    if events.limit > 0 {
        let past = asked.past(&mut client, &around, objects.as_ref())?;
        print(global, look, out, &View::excerpt(&around), &past)?;
    }
    match stream {
        None => Ok(()),
        Some(stream) => {
            out.flush()?;
            let mut following = Following {
                asked: &asked,
                objects,
                last: around.snapshot.seq,
                around,
            };
            following.run(global, look, out, client, stream)
        }
    }
}

/// What comes, named as things are called by then.
struct Following<'a> {
    asked: &'a Asked<'a>,
    objects: Option<BTreeSet<ObjectId>>,
    around: Excerpt,
    /// The last event that was heard.
    last: u64,
}

impl Following<'_> {
    fn run(
        &mut self,
        global: &Global,
        look: &Look,
        out: &mut Out,
        mut client: Client,
        mut stream: Listener,
    ) -> Result<(), Trouble> {
        loop {
            let event = match stream.next_within(Duration::from_secs(3600))? {
                None => continue,
                Some(Heard::Event(event)) => event,
                Some(Heard::Gap) => {
                    // Services may have come and gone.
                    self.around = around(&mut client)?;
                    continue;
                }
            };
            if event.seq <= self.last {
                continue;
            }
            if event.seq > self.last + 1 {
                eprintln!(
                    "lbctl: events {} to {} were lost: this reader is too slow",
                    self.last + 1,
                    event.seq - 1
                );
            }
            self.last = event.seq;
            // Named as it was called before it was removed.
            let sums = Some(&self.around.sums);
            let before =
                View::new(&self.around.snapshot.state, event.event.at, event.wall_ms).with_sums(sums);
            if self.asked.wants(&before, &event, self.objects.as_ref()) {
                print(global, look, out, &before, std::slice::from_ref(&*event))?;
                out.flush()?;
            }
            self.take(&event);
        }
    }

    /// Keeps the services as they are by now; of servers nothing is kept.
    fn take(&mut self, event: &Numbered) {
        for change in &event.event.changes {
            match change {
                Change::Put(Object::Service(_)) | Change::Remove(ObjectId::Service(_)) => {}
                Change::Put(_) | Change::Remove(_) => continue,
            }
            self.around.snapshot.state.apply_change(change);
        }
    }
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
