//! What a list of `track_*` lines adds up to.

use super::Trackers;
use crate::model::{Multiplier, Tracking};
use lb_shared::names::TrackerName;
use lb_shared::state::Term;
use lb_shared::units::Mono;
use std::collections::BTreeMap;

/// What trackers make of an instance.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// One for each tracker, weight 0 included.
    pub terms: Vec<Term>,
    /// One has no result yet.
    pub waiting: bool,
    /// Failed ones of weight 0, in words.
    pub faults: Vec<String>,
}

#[derive(Clone, Copy)]
struct Line {
    weight: i32,
    reverse: bool,
}

impl Trackers {
    /// Adds up the lines of an instance, and then of its group. Where two name the same tracker, the group's counts (as in
    /// keepalived).
    ///
    /// `own_weights`: whether weights of its own lines count. In a sync group without `sync_group_tracking_weight` they do
    /// not, as in keepalived: scripts and processes with a weight are left out, interfaces and files with one lose it: they
    /// put the instance into FAULT instead. Those of the group's lines always count: they are the same for all members.
    pub fn terms(&self, tracking: &[&Tracking], own_weights: bool) -> Sum {
        let mut lines: BTreeMap<TrackerName, Line> = BTreeMap::new();
        for (nth, tracking) in tracking.iter().enumerate() {
            let weights = own_weights || nth > 0;
            let scripts = tracking.scripts.iter();
            let scripts = scripts.map(|it| (TrackerName::Script(it.script.clone()), it.weight, it.reverse));
            let processes = tracking.processes.iter();
            let processes =
                processes.map(|it| (TrackerName::Process(it.process.clone()), it.weight, it.reverse));
            let sessions = tracking.sessions.iter();
            let sessions = sessions.map(|it| (TrackerName::Bfd(it.session.clone()), it.weight, it.reverse));
            let all = scripts.chain(processes).chain(sessions);
            for (name, weight, reverse) in all.filter(|(_, weight, _)| weights || *weight == 0) {
                lines.insert(name, Line { weight, reverse });
            }
            for track in &tracking.files {
                let line = Line {
                    weight: if weights { track.multiplier.weight } else { 0 },
                    reverse: track.multiplier.reverse,
                };
                lines.insert(TrackerName::File(track.file.clone()), line);
            }
            for track in &tracking.interfaces {
                let line = Line {
                    weight: if weights { track.weight } else { 0 },
                    reverse: track.reverse,
                };
                lines.insert(TrackerName::Interface(track.interface.clone()), line);
            }
        }
        let mut sum = Sum::default();
        for (tracker, line) in lines {
            self.add(tracker, line, &mut sum);
        }
        sum
    }

    fn add(&self, tracker: TrackerName, line: Line, sum: &mut Sum) {
        if let TrackerName::File(name) = &tracker {
            let term = self.file_term(name, line);
            sum.waiting |= term.ok.is_none();
            if term.ok == Some(false) {
                sum.faults
                    .push(format!("{tracker}: {}", file_fault(line, &term.detail)));
            }
            sum.terms.push(term);
            return;
        }
        let view = self.view(&tracker);
        let (ok, since, detail) = match view {
            Some(view) => (view.ok, view.since, view.detail),
            None => (None, Mono::ZERO, String::new()),
        };
        let good = ok.map(|ok| ok != line.reverse);
        sum.waiting |= good.is_none();
        if line.weight == 0 && good == Some(false) {
            sum.faults.push(fault(&tracker, line.reverse, &detail));
        }
        let (rise, fall) = match &tracker {
            TrackerName::Script(name) => self.counts(name),
            TrackerName::Interface(_)
            | TrackerName::File(_)
            | TrackerName::Process(_)
            | TrackerName::Bfd(_) => (0, 0),
        };
        sum.terms.push(Term {
            rise,
            fall,
            delta: match good {
                Some(true) => line.weight.max(0),
                Some(false) => line.weight.min(0),
                None => 0,
            },
            tracker,
            weight: line.weight,
            ok,
            since,
            detail,
        });
    }

    /// A file counts by its number, and is bad only where the number puts the instance into FAULT.
    fn file_term(&self, name: &str, line: Line) -> Term {
        let tracker = TrackerName::File(name.to_owned());
        let view = self.view(&tracker);
        let number = self.files.get(name).and_then(|file| file.number);
        let multiplier = Multiplier {
            weight: line.weight,
            reverse: line.reverse,
        };
        let adds = number.map(|number| multiplier.priority(number));
        Term {
            rise: 0,
            fall: 0,
            delta: adds.flatten().unwrap_or(0),
            weight: line.weight,
            ok: adds.map(|adds| adds.is_some()),
            since: view.as_ref().map_or(Mono::ZERO, |view| view.since),
            detail: view.map_or_else(String::new, |view| view.detail),
            tracker,
        }
    }
}

fn file_fault(line: Line, detail: &str) -> String {
    match (line.weight, line.reverse) {
        (0, false) => format!("{detail}, want 0"),
        (0, true) => format!("{detail}, want any but 0"),
        (weight, false) => format!("{detail} times weight {weight} is -254 or less"),
        (weight, true) => format!("{detail} times weight {weight}, in reverse, is -254 or less"),
    }
}

fn fault(tracker: &TrackerName, reverse: bool, detail: &str) -> String {
    match (tracker, reverse) {
        (TrackerName::Interface(name), _) => format!("tracked interface {name} is {detail}"),
        (TrackerName::Process(name), false) => format!("process {name}: {detail}"),
        (TrackerName::Bfd(name), false) => format!("BFD session {name} is down: {detail}"),
        (_, false) => format!("{tracker} failed ({detail})"),
        (_, true) => format!("{tracker} succeeded, and is tracked in reverse"),
    }
}
