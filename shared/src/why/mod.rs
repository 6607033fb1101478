//! Why an object is in the state it is in, and what would change that: one explanation for every client.

mod balance;
mod instance;

use crate::names::{GroupName, TrackerName};
use crate::problems;
use crate::state::{InstanceView, ObjectId, Override, Target, VrrpState};
use crate::text::{self, escape, span};
use crate::units::Mono;
use crate::view::View;
use balance::{server, service};
use instance::instance;
use std::time::Duration;

/// An explanation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Why {
    pub object: ObjectId,
    /// The name for eyes.
    pub name: String,
    /// As in tables.
    pub state: &'static str,
    pub since: Option<Mono>,
    /// The reason in sentences.
    pub sentence: String,
    /// What it adds up from.
    pub terms: Vec<Row>,
    /// What stands in the way of the better state, in few words each.
    pub blockers: Vec<String>,
    /// Heading of `returns`: `It becomes MASTER again`.
    pub heading: String,
    /// What would change the state: a label such as `by hand`, and what to do or wait for.
    pub returns: Vec<(String, String)>,
}

/// One summand or fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// `base`, `script`, `interface`, `override`, `check`, `server`, …
    pub kind: &'static str,
    pub name: String,
    /// What stands before the number.
    pub label: String,
    /// `-20`, `150`, `-`.
    pub value: String,
    pub delta: Option<i64>,
    pub ok: Option<bool>,
    pub since: Option<Mono>,
    pub text: String,
}

impl Row {
    fn new(
        kind: &'static str,
        label: impl Into<String>,
        value: impl ToString,
        text: impl Into<String>,
    ) -> Self {
        let label = label.into();
        Self {
            kind,
            name: label.clone(),
            label,
            value: value.to_string(),
            delta: None,
            ok: None,
            since: None,
            text: text.into(),
        }
    }
}

impl Why {
    /// The explanation in lines of at most `columns`, where words allow.
    pub fn lines(&self, columns: usize) -> Vec<String> {
        let mut lines = wrap(&self.sentence, columns);
        if !self.terms.is_empty() {
            lines.push(String::new());
            let label = self.terms.iter().map(|row| text::width(&row.label) + 1).max();
            let label = label.unwrap_or(0).max(16);
            for row in &self.terms {
                let pad = " ".repeat(label - text::width(&row.label));
                let line = format!("  {}{pad}{:>6}   {}", row.label, row.value, row.text);
                lines.push(line.trim_end().to_owned());
            }
        }
        if !self.returns.is_empty() {
            lines.push(String::new());
            lines.push(self.heading.clone());
            let label = self.returns.iter().map(|(label, _)| text::width(label)).max();
            let label = label.unwrap_or(0);
            for (name, what) in &self.returns {
                let pad = " ".repeat(label - text::width(name));
                lines.push(format!("  {name}{pad}  {what}"));
            }
        }
        lines
    }
}

/// Breaks a paragraph at spaces.
pub fn wrap(paragraph: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            line.push_str(word);
        } else if text::width(line) + 1 + text::width(word) <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Explains an object; `None` when there is no such object.
pub fn why(view: &View<'_>, object: &ObjectId) -> Option<Why> {
    let mut why = explained(view, object)?;
    if let Some(text) = problems::unconfirmed(view) {
        why.sentence.push_str(&format!(" Configuration {text}."));
    }
    Some(why)
}

fn explained(view: &View<'_>, object: &ObjectId) -> Option<Why> {
    match object {
        ObjectId::Agent => None,
        ObjectId::Instance(name) => instance(view, name),
        ObjectId::Group(name) => group(view, name),
        ObjectId::Tracker(name) => tracker(view, name),
        ObjectId::Service(key) => service(view, key),
        ObjectId::Server(id) => server(view, id),
        ObjectId::Override(target) => match target {
            Target::Server(id) => server(view, id),
            Target::Instance(name) => instance(view, name),
        },
    }
}

/// `by ops 2m48s ago: kernel update`.
fn by_whom(view: &View<'_>, change: &Override) -> String {
    let ago = span(Duration::from_millis(
        view.wall_ms.saturating_sub(change.at_wall_ms),
    ));
    let mut words = format!("by {} {ago} ago", escape(&change.actor.user));
    if let Some(until) = change.until_wall_ms {
        let left = span(Duration::from_millis(until.saturating_sub(view.wall_ms)));
        words.push_str(&format!(", {left} left"));
    }
    if !change.message.is_empty() {
        words.push_str(&format!(": {}", escape(&change.message)));
    }
    words
}

/// A reason from the agent as part of a sentence.
fn sentence(reason: &str) -> String {
    escape(reason.trim_end_matches('.'))
}

fn group(view: &View<'_>, name: &GroupName) -> Option<Why> {
    let it = view.state.groups.get(name)?;
    let members: Vec<&InstanceView> = it
        .members
        .iter()
        .filter_map(|member| Some(&**view.state.instances.get(member)?))
        .collect();
    let worst = members.iter().find(|member| member.state != VrrpState::Master);
    let reason = match worst {
        None => "All of its members are MASTER; one that fails takes all along.".to_owned(),
        Some(member) => format!(
            "Its members move together, and {} is {}.",
            escape(&member.name.0),
            problems::instance_word(member)
        ),
    };
    let shown = escape(&name.0);
    Some(Why {
        object: ObjectId::Group(name.clone()),
        sentence: format!(
            "{shown} is {} ({}). {reason}",
            it.state.word(),
            span(view.age(it.since))
        ),
        name: shown,
        state: it.state.word(),
        since: Some(it.since),
        terms: members
            .iter()
            .map(|member| {
                let mut row = Row::new(
                    "instance",
                    escape(&member.name.0),
                    problems::priority(member),
                    format!(
                        "{}, {}",
                        problems::instance_word(member),
                        span(view.age(member.since))
                    ),
                );
                row.since = Some(member.since);
                row
            })
            .collect(),
        blockers: Vec::new(),
        heading: String::new(),
        returns: Vec::new(),
    })
}

fn tracker(view: &View<'_>, name: &TrackerName) -> Option<Why> {
    let it = view.state.trackers.get(name)?;
    let (state, verb) = match it.ok {
        None => ("INIT", "has no result yet"),
        Some(true) => ("OK", "is ok"),
        Some(false) => ("FAILED", "is failing"),
    };
    let detail = match escape(&it.detail) {
        detail if detail.is_empty() => String::new(),
        detail => format!(" Last result: {detail}."),
    };
    let users = view.state.instances.values().filter_map(|instance| {
        let term = instance.terms.iter().find(|term| term.tracker == *name)?;
        let effect = match term.weight {
            0 => "FAULT when it fails".to_owned(),
            weight => format!("weight {weight}"),
        };
        let mut row = Row::new(
            "instance",
            escape(&instance.name.0),
            format!("{:+}", term.delta),
            effect,
        );
        row.delta = Some(term.delta.into());
        Some(row)
    });
    Some(Why {
        object: ObjectId::Tracker(name.clone()),
        name: escape(name.name()),
        state,
        since: Some(it.since),
        sentence: format!(
            "{} {verb} ({}).{detail}",
            escape(&name.to_string()),
            span(view.age(it.since))
        ),
        terms: users.collect(),
        blockers: Vec::new(),
        heading: String::new(),
        returns: Vec::new(),
    })
}
