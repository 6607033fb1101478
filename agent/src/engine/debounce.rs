//! `interface_up_down_delays`: a change of an interface counts once it has lasted.

use crate::model::InterfaceDelays;
use lb_shared::units::Mono;
use std::collections::BTreeMap;

/// Which changes of interfaces do not count yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Debounce {
    delays: BTreeMap<String, InterfaceDelays>,
    held: BTreeMap<String, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    /// What it was before.
    shown: bool,
    /// The change counts then.
    until: Mono,
}

impl Debounce {
    pub(super) fn set(&mut self, delays: BTreeMap<String, InterfaceDelays>) {
        self.delays = delays;
    }

    /// An interface runs now, or does not any more: whether that counts at once.
    pub(super) fn on_change(&mut self, now: Mono, name: &str, running: bool) -> bool {
        if self.held.remove(name).is_some() {
            // It is again what it was all the time for everybody else.
            return false;
        }
        let delays = self.delays.get(name).copied().unwrap_or_default();
        let delay = if running { delays.up } else { delays.down };
        if delay.is_zero() {
            return true;
        }
        let held = Held {
            shown: !running,
            until: now + delay,
        };
        self.held.insert(name.to_owned(), held);
        false
    }

    /// It is another interface now, or none: nothing is held.
    pub(super) fn forget(&mut self, name: &str) {
        self.held.remove(name);
    }

    pub(super) fn forget_all(&mut self) {
        self.held.clear();
    }

    /// Whether it counts as running.
    pub(super) fn counts_as(&self, name: &str, running: bool) -> bool {
        self.held.get(name).map_or(running, |held| held.shown)
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.held.values().map(|held| held.until).min()
    }

    /// The interfaces whose change has lasted.
    pub(super) fn take_due(&mut self, now: Mono) -> Vec<String> {
        let due = self.held.iter().filter(|(_, held)| held.until <= now);
        let due: Vec<String> = due.map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.held.remove(name);
        }
        due
    }
}
