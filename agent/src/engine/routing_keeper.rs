//! Keeps routes and rules where they should be.
//!
//! Nothing is believed of the kernel here. Setting what is there already and removing what is gone are no errors, so
//! whatever is wanted is sent when it becomes wanted, and again whenever it may have been lost: somebody removed it, its
//! interface was down, notifications were missed.

use super::net_keeper::Owner;
use super::put_back::PutBack;
use crate::net::{NetOp, Routing, RoutingGone};
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub(super) struct RoutingKeeper {
    held: BTreeMap<Owner, BTreeSet<Routing>>,
    /// Refused by the kernel: its words.
    failed: BTreeMap<Routing, String>,
    /// Also of those that are to go and that the kernel did not let go.
    put_back: PutBack<Routing>,
    leaving: BTreeSet<Routing>,
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
        for it in &want {
            if self.leaving.remove(it) {
                self.forget(it);
            }
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
        missing
            .into_iter()
            .filter(|it| self.put_back.on_lost(now, it))
            .collect()
    }

    /// The kernel refused to set one. True when that is news.
    pub(super) fn on_refused(&mut self, now: Mono, it: &Routing, text: String) -> bool {
        if !self.is_wanted(it) {
            return false;
        }
        let news = self.failed.insert(it.clone(), text).is_none();
        self.put_back.on_refused(now, it);
        news
    }

    /// The kernel refused to remove one. True when that is news.
    pub(super) fn on_kept(&mut self, now: Mono, it: &Routing, text: String) -> bool {
        if self.is_wanted(it) {
            return false;
        }
        self.leaving.insert(it.clone());
        self.put_back.on_refused(now, it);
        self.failed.insert(it.clone(), text).is_none()
    }

    /// One that should have been removed is still there.
    pub(super) fn removal_waits(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// The kernel did as it was told. True when it was refused before.
    pub(super) fn on_done(&mut self, it: &Routing) -> bool {
        self.leaving.remove(it);
        self.failed.remove(it).is_some()
    }

    /// What is to be tried again now.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<NetOp> {
        let due = self.put_back.take_due(now);
        let again = |it: &Routing| {
            if self.leaving.contains(it) {
                remove(it)
            } else {
                add(it)
            }
        };
        due.iter().map(again).collect()
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.put_back.deadline()
    }

    /// What has been refused, for people.
    pub(super) fn trouble(&self) -> impl Iterator<Item = String> {
        self.failed.iter().map(|(it, text)| format!("{it}: {text}"))
    }

    fn forget(&mut self, it: &Routing) {
        self.failed.remove(it);
        self.put_back.forget(it);
    }
}

fn add(it: &Routing) -> NetOp {
    NetOp::AddRouting(Box::new(it.clone()))
}

fn remove(it: &Routing) -> NetOp {
    NetOp::RemoveRouting(Box::new(it.clone()))
}
