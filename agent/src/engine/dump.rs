//! What keepalived writes to files on a signal.

use super::Engine;
use super::action::Action;
use super::input::DumpAsk;
use crate::model::DumpKind;
use crate::notify::dump::{self, Source};

/// Where dumps go when the file does not say.
const FOLDER: &str = "/tmp/";

impl Engine {
    pub(super) fn on_dump(&mut self, ask: DumpAsk) {
        // What emitted events add up to lags behind nothing here: every input is drained before the next.
        let cleared = &self.cleared;
        let counters = |it: &crate::model::Instance| {
            let now = self.routers.counters(&it.name).unwrap_or_default();
            match cleared.get(&it.name) {
                Some(then) => now.since(then),
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
