//! What follows from a change: live weight, quorum, who is in the table, and the news of it.

use super::Health;
use super::effect::Effect;
use super::server::ServerState;
use super::service::{ServiceState, Weighed};
use lb_shared::event::What;
use lb_shared::names::ServiceKey;
use lb_shared::units::{Mono, Weight};
use std::collections::BTreeMap;

/// An event about a server: what, text, why.
pub(super) type Note = (What, String, Option<String>);

/// The events that are to be told, by the servers' numbers.
pub(super) type Notes = BTreeMap<u64, Note>;

impl Health {
    /// Brings a service's derived numbers up to date after the servers in `notes` changed, and tells.
    ///
    /// Each counts with what it is now in place of what it counted as before, so that a service of many servers costs
    /// no more than the one that changed. The others are looked at only when the sorry server comes or goes.
    pub(super) fn settle(&mut self, now: Mono, key: &ServiceKey, notes: Notes, out: &mut Vec<Effect>) {
        let Some(service) = self.services.get_mut(key) else {
            return;
        };
        let sorry_served = service.sorry_serves();
        let mut live = service.live_weight;
        for number in notes.keys() {
            if let Some(server) = self.servers.get_mut(number) {
                let weight = server.live_weight();
                live = live - std::mem::replace(&mut server.counted, weight) + weight;
            }
        }
        let weighed = service.weigh(live);
        let affected: Vec<u64> = if service.sorry_serves() == sorry_served {
            notes.keys().copied().collect()
        } else {
            service.servers.values().copied().collect()
        };
        if self.tell(now, key, &affected, notes, weighed, out) {
            out.push(Effect::Replan(key.clone()));
        }
    }

    /// The same for a service that has just come. Its servers come with it: the service's own line counts them, and
    /// thousands of lines at a start would only hide what else is said.
    pub(super) fn settle_new(&mut self, now: Mono, key: &ServiceKey, out: &mut Vec<Effect>) {
        let weighed = self.count_afresh(key);
        let Some((service, weighed)) = self.services.get_mut(key).zip(weighed) else {
            return;
        };
        let sorry_serves = service.sorry_serves();
        for number in service.servers.values() {
            if let Some(server) = self.servers.get_mut(number) {
                server.effective = server.placed(sorry_serves).map(|(weight, _)| weight);
            }
        }
        tell_service(now, service, &self.servers, weighed, out);
        out.push(Effect::Replan(key.clone()));
    }

    /// The same when the service itself changed: everything is counted afresh.
    pub(super) fn settle_afresh(&mut self, now: Mono, key: &ServiceKey, notes: Notes, out: &mut Vec<Effect>) {
        let Some(weighed) = self.count_afresh(key) else {
            return;
        };
        let affected: Vec<u64> = self
            .services
            .get(key)
            .map(|service| service.servers.values().copied().collect())
            .unwrap_or_default();
        self.tell(now, key, &affected, notes, weighed, out);
        out.push(Effect::Replan(key.clone()));
    }

    /// Counts every server of a service.
    fn count_afresh(&mut self, key: &ServiceKey) -> Option<Weighed> {
        let service = self.services.get_mut(key)?;
        let mut live = 0;
        for number in service.servers.values() {
            if let Some(server) = self.servers.get_mut(number) {
                server.counted = server.live_weight();
                live += server.counted;
            }
        }
        Some(service.weigh(live))
    }

    /// Gives the affected servers their place and announces what changed; whether the table did.
    fn tell(
        &mut self,
        now: Mono,
        key: &ServiceKey,
        affected: &[u64],
        mut notes: Notes,
        weighed: Weighed,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(service) = self.services.get_mut(key) else {
            return false;
        };
        let sorry_serves = service.sorry_serves();
        let mut replan = weighed.flip.is_some();
        for number in affected {
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
                // It was kept in the table while it was down.
                Some((What::ServerUp, text, why)) if before.is_some() && placed != before => Some((
                    What::ServerUp,
                    format!("{text}, {}", weight_text(before, placed)),
                    why,
                )),
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
        tell_service(now, service, &self.servers, weighed, out);
        replan
    }
}

/// Announces what changed about the service itself.
fn tell_service(
    now: Mono,
    service: &mut ServiceState,
    servers: &BTreeMap<u64, Box<ServerState>>,
    weighed: Weighed,
    out: &mut Vec<Effect>,
) {
    let Weighed { live_before, flip } = weighed;
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
