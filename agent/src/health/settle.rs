//! What follows from a change: live weight, quorum, who is in the table, and the news of it.

use super::Health;
use super::effect::Effect;
use super::server::ServerState;
use super::service::ServiceState;
use lb_shared::event::What;
use lb_shared::names::ServiceKey;
use lb_shared::units::{Mono, Weight};
use std::collections::BTreeMap;

/// An event about a server: what, text, why.
pub(super) type Note = (What, String, Option<String>);

/// The events that are to be told, by the servers' numbers.
pub(super) type Notes = BTreeMap<u64, Note>;

impl Health {
    /// Brings a service's derived numbers up to date after its servers changed, and tells.
    ///
    /// Everything is computed afresh from the servers; nothing is added or taken away step by step.
    pub(super) fn settle(&mut self, now: Mono, key: &ServiceKey, notes: Notes, out: &mut Vec<Effect>) {
        if self.settle_quietly(now, key, notes, out) {
            out.push(Effect::Replan(key.clone()));
        }
    }

    /// The same without [`Effect::Replan`]: whether it is needed.
    pub(super) fn settle_quietly(
        &mut self,
        now: Mono,
        key: &ServiceKey,
        mut notes: Notes,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(service) = self.services.get_mut(key) else {
            return false;
        };
        let live_before = service.live_weight;
        let live = service
            .servers
            .values()
            .filter_map(|number| self.servers.get(number))
            .map(ServerState::live_weight)
            .sum();
        let flip = service.weigh(live);
        let sorry_serves = service.sorry_serves();
        let mut replan = flip.is_some();
        for number in service.servers.values() {
            let Some(server) = self.servers.get_mut(number) else {
                continue;
            };
            let placed = server.placed(sorry_serves).map(|(weight, _)| weight);
            let before = std::mem::replace(&mut server.effective, placed);
            replan |= placed != before;
            let note = match notes.remove(number) {
                Some((What::WeightChanged, text, None)) if placed != before => {
                    Some((What::WeightChanged, weight_text(before, placed), Some(text)))
                }
                Some(note) => Some(note),
                None if placed != before => Some(follow_up(before, placed, sorry_serves)),
                None => None,
            };
            if let Some((what, text, why)) = note {
                out.push(Effect::Changed {
                    server: server.id.clone(),
                    what,
                    text,
                    why,
                });
            }
        }
        tell(now, service, &self.servers, live_before, flip, out);
        replan
    }
}

/// Announces what changed about the service itself.
fn tell(
    now: Mono,
    service: &mut ServiceState,
    servers: &BTreeMap<u64, ServerState>,
    live_before: u64,
    flip: Option<super::service::Flip>,
    out: &mut Vec<Effect>,
) {
    let word = service.word(servers);
    let word_before = std::mem::replace(&mut service.word, word);
    if word != word_before {
        service.since = now;
    }
    let live = service.live_weight;
    let news = match &flip {
        Some(flip) => Some((flip.what(), flip.text.clone())),
        None if word != word_before => Some((
            What::ServiceChanged,
            format!("{} -> {}", word_before.word(), word.word()),
        )),
        None if live != live_before => Some((
            What::ServiceChanged,
            format!("live weight {live_before} -> {live}"),
        )),
        None => None,
    };
    if let Some((what, text)) = news {
        out.push(Effect::ServiceChanged {
            service: service.config.key.clone(),
            what,
            text,
            why: None,
        });
    }
    if let Some(flip) = flip {
        service.notify(flip.up, out);
    }
}

/// The event for a server that only follows its service.
fn follow_up(before: Option<Weight>, placed: Option<Weight>, sorry_serves: bool) -> Note {
    let why = if sorry_serves {
        "the sorry server answers"
    } else {
        "quorum regained"
    };
    (
        What::ServerChanged,
        weight_text(before, placed),
        Some(why.to_owned()),
    )
}

fn weight_text(before: Option<Weight>, after: Option<Weight>) -> String {
    let word = |weight: Option<Weight>| weight.map_or_else(|| "none".to_owned(), |w| w.to_string());
    format!("weight {} -> {}", word(before), word(after))
}
