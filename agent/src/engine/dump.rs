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
        let mut files = vec![(self.dump_path(ask.kind), source.text(ask.kind))];
        if ask.kind == DumpKind::Data {
            let kind = DumpKind::Services;
            files.push((self.dump_path(kind), source.text(kind)));
        }
        if ask.clear {
            self.cleared = (self.model.instances.keys())
                .filter_map(|name| Some((name.clone(), self.routers.counters(name)?)))
                .collect();
        }
        for (path, text) in files {
            self.queue.push_back(Action::Dump(path, text));
        }
    }

    fn dump_path(&self, kind: DumpKind) -> String {
        let folder = |folder: &str| format!("{folder}{}", dump::file_name(kind));
        // Services have no word of their own: their file stands beside the data.
        let word = if kind == DumpKind::Services {
            DumpKind::Data
        } else {
            kind
        };
        match self.model.global.dump_files.get(&word) {
            Some(path) if path.ends_with('/') => folder(path),
            Some(path) if kind == DumpKind::Services => of_services(path),
            Some(path) => path.clone(),
            None => folder(FOLDER),
        }
    }
}

/// The file beside that of the data: `/var/log/lb.data` becomes `/var/log/lb_check.data`.
fn of_services(path: &str) -> String {
    let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
    let end = path[name_at..].rfind('.').map_or(path.len(), |dot| name_at + dot);
    format!("{}_check{}", &path[..end], &path[end..])
}
