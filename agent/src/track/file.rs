//! One `track_file`: the number that stands in it.

use super::Effect;
use crate::model::TrackFile;
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::TrackerView;
use lb_shared::units::Mono;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) cfg: Arc<TrackFile>,
    /// `None` before anybody has read it.
    pub(super) number: Option<i32>,
    since: Mono,
}

impl File {
    /// `number`: what stood in it when the configuration was read.
    pub(super) fn new(now: Mono, cfg: Arc<TrackFile>, number: Option<i32>, out: &mut Vec<Effect>) -> Self {
        let file = Self {
            cfg,
            number,
            since: now,
        };
        let text = match number {
            Some(number) => format!("added, number {number}"),
            None => "added".to_owned(),
        };
        file.changed(What::TrackerChanged, text, out);
        file
    }

    pub(super) fn reconfigure(
        &mut self,
        now: Mono,
        cfg: &Arc<TrackFile>,
        number: Option<i32>,
        out: &mut Vec<Effect>,
    ) {
        if self.cfg == *cfg {
            return;
        }
        if self.cfg.file.path != cfg.file.path {
            self.number = number;
            self.since = now;
        }
        self.cfg = cfg.clone();
        self.changed(What::TrackerChanged, "settings changed".to_owned(), out);
    }

    /// This stands in it now.
    pub(super) fn on_number(&mut self, now: Mono, number: i32, out: &mut Vec<Effect>) {
        let Some(before) = self.number.replace(number) else {
            self.since = now;
            return self.changed(What::TrackerChanged, format!("number {number}"), out);
        };
        if before == number {
            return;
        }
        self.since = now;
        let good = |number| self.cfg.multiplier.priority(number).is_some();
        let what = match (good(before), good(number)) {
            (false, true) => What::TrackerOk,
            (true, false) => What::TrackerFailed,
            (true, true) | (false, false) => What::TrackerChanged,
        };
        self.changed(what, format!("number {before} -> {number}"), out);
    }

    fn name(&self) -> TrackerName {
        TrackerName::File(self.cfg.name.clone())
    }

    fn changed(&self, what: What, text: String, out: &mut Vec<Effect>) {
        out.push(Effect::Changed {
            tracker: self.name(),
            what,
            text,
            why: None,
        });
    }

    /// Good or not as its own weight has it; those who follow it with another one may see that otherwise.
    pub(super) fn view(&self) -> TrackerView {
        TrackerView {
            name: self.name(),
            ok: self
                .number
                .map(|number| self.cfg.multiplier.priority(number).is_some()),
            since: self.since,
            detail: self
                .number
                .map_or_else(String::new, |number| format!("number {number}")),
        }
    }
}
