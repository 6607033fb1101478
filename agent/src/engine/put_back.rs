//! Putting back what somebody else takes away, without a fight at full speed.

use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two attempts to put the same thing back.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct PutBack<K> {
    /// When it was last put back.
    last: BTreeMap<K, Mono>,
    /// To be put back, then.
    due: BTreeMap<K, Mono>,
}

impl<K> Default for PutBack<K> {
    fn default() -> Self {
        Self {
            last: BTreeMap::new(),
            due: BTreeMap::new(),
        }
    }
}

impl<K: Clone + Ord> PutBack<K> {
    /// It is gone. True: put it back now; else it is due later.
    pub(super) fn on_lost(&mut self, now: Mono, it: &K) -> bool {
        match self.last.get(it).map(|at| *at + PAUSE).filter(|at| *at > now) {
            Some(at) => {
                self.due.insert(it.clone(), at);
                false
            }
            None => {
                self.last.insert(it.clone(), now);
                true
            }
        }
    }

    /// The kernel refused it: once more after a pause.
    pub(super) fn on_refused(&mut self, now: Mono, it: &K) {
        self.due.insert(it.clone(), now + PAUSE);
    }

    /// What is to be put back now.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<K> {
        let due: Vec<K> = (self.due.iter().filter(|(_, at)| **at <= now))
            .map(|(it, _)| it.clone())
            .collect();
        for it in &due {
            self.due.remove(it);
            self.last.insert(it.clone(), now);
        }
        due
    }

    /// Nobody wants it any more.
    pub(super) fn forget(&mut self, it: &K) {
        self.last.remove(it);
        self.due.remove(it);
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_thing_is_put_back_once_a_second_until_it_is_forgotten() {
        let mut put_back = PutBack::default();
        let at = |ms| Mono::ZERO + Duration::from_millis(ms);
        assert!(put_back.on_lost(at(0), &'a'));
        assert!(!put_back.on_lost(at(400), &'a'), "too soon");
        assert!(put_back.on_lost(at(400), &'b'), "that is another thing");
        assert_eq!(put_back.deadline(), Some(at(1_000)));
        assert!(put_back.take_due(at(999)).is_empty());
        assert_eq!(put_back.take_due(at(1_000)), ['a']);
        assert!(!put_back.on_lost(at(1_900), &'a'), "it counts from the last time");
        put_back.on_refused(at(1_900), &'b');
        assert_eq!(put_back.deadline(), Some(at(2_000)));
        put_back.forget(&'a');
        assert_eq!(put_back.deadline(), Some(at(2_900)));
        assert!(put_back.on_lost(at(1_950), &'a'), "it is wanted anew");
        assert_eq!(put_back.take_due(at(2_900)), ['b']);
        assert_eq!(put_back.deadline(), None);
    }
}
