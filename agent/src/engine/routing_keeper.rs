//! Keeps routes and rules where they should be.
//!
//! Nothing is believed of the kernel here. Setting what is there already and removing what is gone are no errors, so
//! whatever is wanted is sent when it becomes wanted, and again whenever it may have been lost: somebody removed it, its
//! interface was down, notifications were missed.

use crate::net::{NetOp, Routing, RoutingGone};
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two attempts to put one back that somebody else keeps removing.
const PUT_BACK_PAUSE: Duration = Duration::from_secs(1);

/// Who wants them: an instance; `None`: the file itself (`static_routes`, `static_rules`).
pub(super) type Owner = Option<InstanceName>;

#[derive(Clone, Debug, Default)]
pub(super) struct RoutingKeeper {
    held: BTreeMap<Owner, BTreeSet<Routing>>,
    /// Refused by the kernel: its words.
    failed: BTreeMap<Routing, String>,
    /// To be sent again, then.
    again: BTreeMap<Routing, Mono>,
    /// When it was last put back.
    put_back: BTreeMap<Routing, Mono>,
}

impl RoutingKeeper {
    /// Makes `owner` want exactly these. Returns what to do: away with what nobody wants, the last first; then what is
    /// new, or all with `anew`.
    pub(super) fn set(&mut self, owner: &Owner, want: BTreeSet<Routing>, anew: bool) -> Vec<NetOp> {
        let before = self.held.remove(owner).unwrap_or_default();
        let gone: Vec<Routing> = before
            .iter()
            .rev()
            .filter(|it| !want.contains(it) && !self.is_wanted(it))
            .cloned()
            .collect();
        for it in &gone {
            self.forget(it);
        }
        let new = want.iter().filter(|it| anew || !before.contains(it));
        let ops = gone.iter().map(remove).chain(new.map(add)).collect();
        if !want.is_empty() {
            self.held.insert(owner.clone(), want);
        }
        ops
    }

    /// Everything wanted.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Routing> {
        self.held.values().flatten()
    }

    pub(super) fn is_wanted(&self, it: &Routing) -> bool {
        self.held.values().any(|held| held.contains(it))
    }

    /// Who wants any.
    pub(super) fn owners(&self) -> Vec<Owner> {
        self.held.keys().cloned().collect()
    }

    /// Everything is sent again: notifications were lost.
    pub(super) fn all_again(&self) -> Vec<NetOp> {
        let all: BTreeSet<&Routing> = self.wanted().collect();
        all.into_iter().map(add).collect()
    }

    /// Somebody removed one; returns what is to be put back, and when it is not the time yet, remembers it.
    pub(super) fn on_gone(&mut self, now: Mono, gone: &RoutingGone) -> Vec<Routing> {
        let missing: BTreeSet<Routing> = self
            .wanted()
            .filter(|it| it.is(gone) && it.is_tracked())
            .cloned()
            .collect();
        let mut at_once = Vec::new();
        for it in missing {
            let last = self.put_back.get(&it).map(|at| *at + PUT_BACK_PAUSE);
            match last.filter(|at| *at > now) {
                Some(at) => drop(self.again.insert(it, at)),
                None => {
                    self.put_back.insert(it.clone(), now);
                    at_once.push(it);
                }
            }
        }
        at_once
    }

    /// The kernel refused to set one. True when that is news.
    pub(super) fn on_refused(&mut self, now: Mono, it: &Routing, text: String) -> bool {
        if !self.is_wanted(it) {
            return false;
        }
        let news = self.failed.insert(it.clone(), text).is_none();
        self.again.insert(it.clone(), now + PUT_BACK_PAUSE);
        news
    }

    /// The kernel has it. True when it was refused before.
    pub(super) fn on_taken(&mut self, it: &Routing) -> bool {
        self.failed.remove(it).is_some()
    }

    /// What is to be tried again now.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<NetOp> {
        let due: Vec<Routing> = self
            .again
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(it, _)| it.clone())
            .collect();
        for it in &due {
            self.again.remove(it);
            self.put_back.insert(it.clone(), now);
        }
        due.iter().map(add).collect()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.again.values().min().copied()
    }

    /// What has been refused, for people.
    pub(super) fn trouble(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(it, text)| format!("{it}: {text}"))
    }

    fn forget(&mut self, it: &Routing) {
        self.failed.remove(it);
        self.again.remove(it);
        self.put_back.remove(it);
    }
}

fn add(it: &Routing) -> NetOp {
    NetOp::AddRouting(Box::new(it.clone()))
}

fn remove(it: &Routing) -> NetOp {
    NetOp::RemoveRouting(Box::new(it.clone()))
}
