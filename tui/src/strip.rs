//! An instance's states minute by minute.

use crate::data::Data;
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lb_shared::state::{ObjectId, VrrpState};
use std::time::Duration;

impl Data {
    /// An instance's states over the minutes before `wall_ms`, oldest first; the worst within a minute wins.
    pub(crate) fn strip(&self, name: &InstanceName, wall_ms: u64, minutes: usize) -> String {
        const MINUTE: u64 = 60_000;
        let Some(view) = self.state.instances.get(name) else {
            return ".".repeat(minutes);
        };
        let changes = self.changes(name);
        let known_from = self.events.front().map_or(u64::MAX, |event| event.wall_ms);
        let since_ms = wall_ms.saturating_sub(millis(self.clock(Duration::ZERO).0.since(view.since)));
        (0..minutes)
            .map(|nth| {
                let to = wall_ms.saturating_sub(MINUTE * (minutes - 1 - nth) as u64);
                let from = to.saturating_sub(MINUTE);
                let mut worst = None;
                if to > since_ms {
                    worst = Some(view.state);
                }
                for (i, (at, before, after)) in changes.iter().enumerate() {
                    let previous = i.checked_sub(1).map_or(known_from, |i| changes[i].0);
                    let next = changes.get(i + 1).map_or(u64::MAX, |next| next.0);
                    if *at > from && previous < to {
                        worst = worse(worst, *before);
                    }
                    if *at < to && next > from {
                        worst = worse(worst, Some(*after));
                    }
                }
                worst.map_or('.', mark)
            })
            .collect()
    }

    /// Changes of state: when, from what (as far as it is told), to what.
    fn changes(&self, name: &InstanceName) -> Vec<(u64, Option<VrrpState>, VrrpState)> {
        self.events
            .iter()
            .filter(|event| matches!(&event.event.object, ObjectId::Instance(own) if own == name))
            .filter_map(|event| {
                let after = match event.event.what {
                    What::BecameInit => VrrpState::Init,
                    What::BecameBackup => VrrpState::Backup,
                    What::BecameMaster => VrrpState::Master,
                    What::BecameFault => VrrpState::Fault,
                    _ => return None,
                };
                let word = event.event.text.split(' ').next().unwrap_or_default();
                let before = [
                    VrrpState::Init,
                    VrrpState::Backup,
                    VrrpState::Master,
                    VrrpState::Fault,
                ]
                .into_iter()
                .find(|state| state.word() == word);
                Some((event.wall_ms, before, after))
            })
            .collect()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn worse(a: Option<VrrpState>, b: Option<VrrpState>) -> Option<VrrpState> {
    let rank = |state: VrrpState| match state {
        VrrpState::Master => 1,
        VrrpState::Backup => 2,
        VrrpState::Init => 3,
        VrrpState::Fault => 4,
    };
    match (a, b) {
        (Some(a), Some(b)) => Some(if rank(b) > rank(a) { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn mark(state: VrrpState) -> char {
    match state {
        VrrpState::Master => '#',
        VrrpState::Backup => '-',
        VrrpState::Init => '?',
        VrrpState::Fault => '!',
    }
}

#[cfg(test)]
mod tests {
    use crate::data::tests::data;

    #[test]
    fn a_strip_shows_the_worst_of_each_minute_and_dots_for_what_is_not_known() {
        let (data, at) = data();
        let (_, wall_ms) = data.clock(at);
        let strip = data.strip(&"VI_int".into(), wall_ms, 60);
        // The log begins at 09:07:26, three seconds before the fall.
        assert_eq!(strip, format!("{}{}", ".".repeat(47), "-".repeat(13)));
        assert_eq!(data.strip(&"VI_mgmt".into(), wall_ms, 5), "!!!!!");
        assert_eq!(data.strip(&"nobody".into(), wall_ms, 3), "...");
    }
}
