//! What keepalived writes to files on a signal.

use super::Engine;
use super::action::Action;
use super::input::DumpAsk;
use crate::model::DumpKind;
use crate::notify::dump::{self, Source};
use lb_shared::counters::InstanceCounters;

/// Where dumps go when the file does not say.
const FOLDER: &str = "/tmp/";

impl Engine {
    pub(super) fn on_dump(&mut self, ask: DumpAsk) {
        // What emitted events add up to lags behind nothing here: every input is drained before the next.
        let cleared = &self.cleared;
        let counters = |it: &crate::model::Instance| {
            let now = self.routers.counters(&it.name).unwrap_or_default();
            match cleared.get(&it.name) {
                Some(then) => since(now, then),
                None => now,
            }
        };
        let source = Source {
            model: &self.model,
            state: &self.state,
            counters: &counters,
            now: self.now,
            wall_ms: ask.wall_ms,
        };
        let text = source.text(ask.kind);
        let path = self.dump_path(ask.kind);
        if ask.clear {
            self.cleared = (self.model.instances.keys())
                .filter_map(|name| Some((name.clone(), self.routers.counters(name)?)))
                .collect();
        }
        self.queue.push_back(Action::Dump(path, text));
    }

    fn dump_path(&self, kind: DumpKind) -> String {
        let folder = |folder: &str| format!("{folder}{}", dump::file_name(kind));
        match self.model.global.dump_files.get(&kind) {
            Some(path) if path.ends_with('/') => folder(path),
            Some(path) => path.clone(),
            None => folder(FOLDER),
        }
    }
}

/// What was counted since.
fn since(now: InstanceCounters, then: &InstanceCounters) -> InstanceCounters {
    let rejected = (now.rejected.iter())
        .map(|(name, count)| {
            let before = then.rejected.get(name).copied().unwrap_or(0);
            (name.clone(), count.saturating_sub(before))
        })
        .collect();
    InstanceCounters {
        adverts_sent: now.adverts_sent.saturating_sub(then.adverts_sent),
        adverts_received: now.adverts_received.saturating_sub(then.adverts_received),
        became_master: now.became_master.saturating_sub(then.became_master),
        released_master: now.released_master.saturating_sub(then.released_master),
        priority_zero_sent: now.priority_zero_sent.saturating_sub(then.priority_zero_sent),
        priority_zero_received: now
            .priority_zero_received
            .saturating_sub(then.priority_zero_received),
        rejected,
        ..now
    }
}
