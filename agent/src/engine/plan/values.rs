//! The settings of objects under the names of their keywords, with values in words: from what to what one changes.
//!
//! Every field is named here: one that is added to the model does not compile until it is told, too.

use crate::model::Script;
use std::fmt::{Debug, Display};
use std::time::Duration;

/// A value as it is told.
#[derive(Debug, PartialEq)]
pub(in crate::engine) enum Told {
    One(String),
    /// Of a list what comes and goes is told.
    Many(Vec<String>),
    /// A secret: only that it changes.
    Hidden(String),
}

pub(in crate::engine) type Facts = Vec<(String, Told)>;

/// What can be told setting by setting.
pub(in crate::engine) trait Settings {
    fn facts(&self) -> Facts;
}

/// `weight 1 -> 3, inhibit_on_failure no -> yes`; empty if no setting here differs.
pub(in crate::engine) fn differences(old: &Facts, new: &Facts) -> String {
    let mut parts = Vec::new();
    for (name, after) in new {
        let before = old.iter().find(|(it, _)| it == name).map(|(_, it)| it);
        match (before, after) {
            (Some(before), after) if before == after => {}
            (Some(Told::Many(before)), Told::Many(after)) => parts.push(list(name, before, after)),
            (_, Told::Hidden(_)) => parts.push(format!("{name} changes (not shown)")),
            (before, after) => parts.push(format!("{name} {} -> {}", text(before), text(Some(after)))),
        }
    }
    let gone = old
        .iter()
        .filter(|(name, _)| !new.iter().any(|(it, _)| it == name));
    parts.extend(gone.map(|(name, it)| format!("{name} {} -> none", text(Some(it)))));
    parts.join(", ")
}

fn text(told: Option<&Told>) -> String {
    match told {
        None => "none".to_owned(),
        Some(Told::One(text)) => text.clone(),
        Some(Told::Many(list)) => list.join(" + "),
        Some(Told::Hidden(_)) => "(not shown)".to_owned(),
    }
}

fn list(name: &str, before: &[String], after: &[String]) -> String {
    let come = after
        .iter()
        .filter(|it| !before.contains(it))
        .map(|it| format!("+ {it}"));
    let go = before
        .iter()
        .filter(|it| !after.contains(it))
        .map(|it| format!("- {it}"));
    let changes: Vec<String> = come.chain(go).collect();
    if changes.is_empty() {
        return format!("{name} in another order");
    }
    format!("{name} {}", changes.join(" "))
}

/// Facts in the order they are said.
#[derive(Default)]
pub(super) struct Sayer(pub(super) Facts);

impl Sayer {
    pub(super) fn one(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.0.push((name.to_owned(), Told::One(value.to_string())));
        self
    }

    pub(super) fn flag(&mut self, name: &str, on: bool) -> &mut Self {
        self.one(name, if on { "yes" } else { "no" })
    }

    pub(super) fn span(&mut self, name: &str, span: Duration) -> &mut Self {
        self.one(name, seconds(span))
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.one(name, value),
            None => self.one(name, "none"),
        }
    }

    pub(super) fn script(&mut self, name: &str, script: Option<&Script>) -> &mut Self {
        self.maybe(name, script.map(command))
    }

    pub(super) fn many(&mut self, name: &str, list: impl IntoIterator<Item = String>) -> &mut Self {
        self.0
            .push((name.to_owned(), Told::Many(list.into_iter().collect())));
        self
    }
}

pub(super) fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs_f64())
}

pub(super) fn command(script: &Script) -> String {
    let user = script.user.map(|(user, group)| format!(" as {user}:{group}"));
    format!("\"{}\"{}", script.argv.join(" "), user.unwrap_or_default())
}

/// A name of the model's own in small letters.
pub(super) fn word(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}
