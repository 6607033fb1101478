//! What a list of `track_*` lines adds up to.

use super::Trackers;
use crate::model::Tracking;
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
    /// Adds up the lines of an instance and of its group. Where two name the same tracker, the later list counts (as
    /// keepalived lets the group's count).
    ///
    /// `weights`: whether weights count at all. In a sync group without `sync_group_tracking_weight` they do not, as in
    /// keepalived: scripts with a weight are left out, interfaces with one put the instance into FAULT instead.
    pub fn terms(&self, tracking: &[&Tracking], weights: bool) -> Sum {
        let mut lines: BTreeMap<TrackerName, Line> = BTreeMap::new();
        for tracking in tracking {
            for track in &tracking.scripts {
                if weights || track.weight == 0 {
                    let line = Line {
                        weight: track.weight,
                        reverse: track.reverse,
                    };
                    lines.insert(TrackerName::Script(track.script.clone()), line);
                }
            }
            for track in &tracking.processes {
                if weights || track.weight == 0 {
                    let line = Line {
                        weight: track.weight,
                        reverse: track.reverse,
                    };
                    lines.insert(TrackerName::Process(track.process.clone()), line);
                }
            }
            for track in &tracking.sessions {
                if weights || track.weight == 0 {
                    let line = Line {
                        weight: track.weight,
                        reverse: track.reverse,
                    };
                    lines.insert(TrackerName::Bfd(track.session.clone()), line);
                }
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
