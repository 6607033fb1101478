//! One BFD session, as those see it who follow it.

use super::Effect;
use lb_shared::event::What;
use lb_shared::names::TrackerName;
use lb_shared::state::TrackerView;
use lb_shared::units::Mono;

#[derive(Clone, Debug)]
pub(super) struct Session {
    up: Option<bool>,
    since: Mono,
    detail: String,
}

impl Session {
    pub(super) fn new(now: Mono, name: &str, up: Option<bool>, detail: &str, out: &mut Vec<Effect>) -> Self {
        out.push(changed(name, What::TrackerChanged, "added".to_owned(), None));
        Self {
            up,
            since: now,
            detail: detail.to_owned(),
        }
    }

    pub(super) fn on_shows(
        &mut self,
        now: Mono,
        name: &str,
        up: Option<bool>,
        detail: &str,
        why: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let turned = self.up != up;
        if !turned && self.detail == detail {
            return;
        }
        detail.clone_into(&mut self.detail);
        if !turned {
            out.push(Effect::Seen(TrackerName::Bfd(name.to_owned())));
            return;
        }
        self.up = up;
        self.since = now;
        let (what, text) = match up {
            Some(true) => (What::TrackerOk, "up"),
            Some(false) => (What::TrackerFailed, "down"),
            None => (What::TrackerChanged, "begins anew"),
        };
        out.push(changed(name, what, text.to_owned(), why));
    }

    pub(super) fn view(&self, name: &str) -> TrackerView {
        TrackerView {
            name: TrackerName::Bfd(name.to_owned()),
            ok: self.up,
            since: self.since,
            detail: self.detail.clone(),
        }
    }
}

fn changed(name: &str, what: What, text: String, why: Option<String>) -> Effect {
    Effect::Changed {
        tracker: TrackerName::Bfd(name.to_owned()),
        what,
        text,
        why,
    }
}
