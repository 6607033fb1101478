//! The last events of a run, for whoever has to understand it.

use std::collections::VecDeque;

/// Events of note that are kept.
const NOTABLE: usize = 38;
/// Events that happen all the time: adverts that change nothing, checks that pass.
const ROUTINE: usize = 12;

/// The last events of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    seq: u64,
    notable: VecDeque<(u64, String)>,
    routine: VecDeque<(u64, String)>,
}

impl Trace {
    pub(crate) fn add(&mut self, notable: bool, text: String) {
        self.seq += 1;
        let (ring, most) = if notable {
            (&mut self.notable, NOTABLE)
        } else {
            (&mut self.routine, ROUTINE)
        };
        if ring.len() == most {
            ring.pop_front();
        }
        ring.push_back((self.seq, text));
    }

    /// In the order in which they happened.
    pub(crate) fn lines(self) -> Vec<String> {
        let mut all: Vec<(u64, String)> = self.notable.into_iter().chain(self.routine).collect();
        all.sort();
        all.into_iter().map(|(_, text)| text).collect()
    }
}
