//! BFD sessions: what they send goes out, what is seen of them reaches those who follow them.

use super::Engine;
use super::action::Action;
use crate::bfd::{Effect, Heard};
use crate::model::Model;

impl Engine {
    pub(super) fn on_bfd(&mut self, heard: &Heard) {
        let mut effects = Vec::new();
        self.sessions.on_heard(self.now, heard, &mut effects);
        self.on_session_effects(effects);
    }

    pub(super) fn on_bfd_send_failed(&mut self, name: &str, why: &str) {
        let mut effects = Vec::new();
        self.sessions.on_send_failed(name, why, &mut effects);
        self.on_session_effects(effects);
    }

    pub(super) fn sessions_on_tick(&mut self) {
        let mut effects = Vec::new();
        self.sessions.on_tick(self.now, &mut effects);
        self.on_session_effects(effects);
    }

    /// The sessions of a new model come into force.
    pub(super) fn apply_sessions(&mut self, before: &Model) {
        if before.sessions == self.model.sessions {
            return;
        }
        let mut effects = Vec::new();
        self.sessions.leave(&self.model.sessions, &mut effects);
        self.on_session_effects(effects);
        let paths = self
            .model
            .sessions
            .iter()
            .map(|(name, it)| (name.clone(), it.path));
        self.queue.push_back(Action::BfdPaths(paths.collect()));
        let mut effects = Vec::new();
        self.sessions.apply(self.now, &self.model.sessions, &mut effects);
        self.on_session_effects(effects);
    }

    /// A session is up, down or (`None`) neither yet, in words, and what it turned by.
    pub(super) fn session_shows(&mut self, name: &str, up: Option<bool>, detail: &str, why: Option<String>) {
        let mut effects = Vec::new();
        let reason = why.clone().unwrap_or_else(|| detail.to_owned());
        self.trackers
            .on_session(self.now, name, up, detail, why, &mut effects);
        self.on_tracker_effects(effects);
        if let Some(up) = up {
            let mut effects = Vec::new();
            self.health.on_session(self.now, name, up, &reason, &mut effects);
            self.on_health_effects(effects);
        }
    }

    fn on_session_effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { session, packet } => self.queue.push_back(Action::BfdSend(session, packet)),
                Effect::Shows {
                    session,
                    up,
                    detail,
                    why,
                } => self.session_shows(&session, up, &detail, why),
                Effect::Removed { session } => {
                    let mut effects = Vec::new();
                    self.trackers.on_session_gone(&session, &mut effects);
                    self.on_tracker_effects(effects);
                    self.health.on_session_gone(&session);
                }
            }
        }
    }
}
