//! The answer: what differs at the end, and what happened on the way.

use super::World;
use lb_shared::event::{Change, Event};
use lb_shared::names::InstanceName;
use lb_shared::state::{ObjectId, VrrpState};
use lb_shared::units::Mono;
use lb_shared::whatif::{Facts, Foreseen, Foretold, Move, SPAN_MAX_MS, WhatIf};
use std::collections::{BTreeMap, BTreeSet};

impl World {
    pub(super) fn facts(&self) -> BTreeMap<ObjectId, Facts> {
        let objects = self.engine.state.objects();
        objects
            .filter_map(|object| Some((object.id(), Facts::of(&object)?)))
            .collect()
    }

    /// Who is master of each instance, in words.
    pub(super) fn masters(&self) -> BTreeMap<InstanceName, String> {
        let state = &self.engine.state;
        let holder = |name: &InstanceName, own: VrrpState| {
            if own == VrrpState::Master {
                return state.agent.host.clone();
            }
            let peer = self
                .peers
                .iter()
                .find(|it| it.instance == *name && it.routers.is_master(name));
            peer.map_or_else(|| "nobody".to_owned(), |it| it.address.to_string())
        };
        let instances = state.instances.values();
        instances
            .map(|it| (it.name.clone(), holder(&it.name, it.state)))
            .collect()
    }

    pub(super) fn report(
        mut self,
        asked: &WhatIf,
        known: &mut BTreeMap<ObjectId, Facts>,
        before: &BTreeMap<InstanceName, String>,
    ) -> Foreseen {
        for (at, event) in std::mem::take(&mut self.events) {
            if at >= self.began {
                self.note_changes(at, &event, known);
            }
        }
        let after = self.masters();
        let mut moves = Vec::new();
        for (name, to) in &after {
            let from = before.get(name).cloned().unwrap_or_else(|| "nobody".to_owned());
            let addresses = self
                .engine
                .state
                .instances
                .get(name)
                .map(|it| it.addresses.clone());
            if from != *to {
                moves.extend(addresses.unwrap_or_default().into_iter().map(|address| Move {
                    address,
                    instance: name.clone(),
                    from: from.clone(),
                    to: to.clone(),
                }));
            }
        }
        let lonely = self.engine.state.instances.values().filter(|it| {
            before.get(&it.name) == Some(&self.engine.state.agent.host)
                && !self.peers.iter().any(|peer| peer.instance == it.name)
        });
        let lonely: Vec<&str> = lonely.map(|it| it.name.0.as_ref()).collect();
        if !lonely.is_empty() {
            let names = lonely.join(", ");
            self.notes.push(format!(
                "nothing is known of backups for {names}: they are silent; name one with 'peer ADDRESS priority N'"
            ));
        }
        let changed: BTreeSet<&ObjectId> = self.changes.iter().map(|it| &it.object).collect();
        let unchanged = known
            .keys()
            .filter(|id| matches!(id, ObjectId::Instance(_) | ObjectId::Service(_)))
            .filter(|id| !changed.contains(id))
            .cloned()
            .collect();
        Foreseen {
            for_ms: asked.for_ms.min(SPAN_MAX_MS),
            unchanged,
            changes: self.changes,
            moves,
            scripts: self.scripts,
            notes: self.notes,
        }
    }

    fn note_changes(&mut self, at: Mono, event: &Event, known: &mut BTreeMap<ObjectId, Facts>) {
        for change in &event.changes {
            let (id, to) = match change {
                Change::Put(object) => match Facts::of(object) {
                    Some(facts) => (object.id(), facts),
                    None => continue,
                },
                Change::Remove(ObjectId::Override(_) | ObjectId::Agent) => continue,
                Change::Remove(id) => (id.clone(), Facts::Absent),
            };
            let from = known.insert(id.clone(), to.clone()).unwrap_or(Facts::Absent);
            if from == to {
                continue;
            }
            let about = event.object == id;
            let why = match (&event.why, about) {
                (Some(why), true) => why.clone(),
                (None, true) => event.text.clone(),
                (_, false) => String::new(),
            };
            self.changes.push(Foretold {
                object: id,
                at_ms: u64::try_from(at.since(self.began).as_millis()).unwrap_or(u64::MAX),
                from,
                to,
                why,
            });
        }
    }
}
