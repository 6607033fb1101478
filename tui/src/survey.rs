//! What follows from the states of all servers, kept up with each change: to look at all of them takes milliseconds.

use lb_shared::event::Change;
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::problems::{self, Problem, Tally};
use lb_shared::state::{Object, ObjectId, ServerView, State, Target};
use lb_shared::view::View;
use std::collections::{BTreeMap, BTreeSet};

/// More objects than this are looked at as all.
const MANY: usize = 4_096;

/// How many servers are in each state, and which are DOWN.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Survey {
    words: BTreeMap<&'static str, u64>,
    down: BTreeSet<ServerId>,
}

impl Survey {
    pub(crate) fn of(state: &State) -> Self {
        let mut survey = Self::default();
        state.servers.values().for_each(|view| survey.add(view));
        survey
    }

    /// Takes a change that the state is about to take.
    pub(crate) fn take(&mut self, state: &State, change: &Change) {
        match change {
            Change::Put(Object::Server(view)) => {
                self.drop(state, &view.id);
                self.add(view);
            }
            Change::Remove(ObjectId::Server(id)) => self.drop(state, id),
            Change::Put(_) | Change::Remove(_) => {}
        }
    }

    fn add(&mut self, view: &ServerView) {
        *self.words.entry(view.word()).or_default() += 1;
        if view.word() == "DOWN" {
            self.down.insert(view.id.clone());
        }
    }

    fn drop(&mut self, state: &State, id: &ServerId) {
        let Some(view) = state.servers.get(id) else { return };
        if let Some(count) = self.words.get_mut(view.word()) {
            *count = count.saturating_sub(1);
        }
        self.down.remove(id);
    }

    pub(crate) fn tally(&self) -> Tally {
        problems::server_tally(self.words.iter().map(|(word, count)| (*word, *count)))
    }

    /// Everything that is wrong, worst first.
    pub(crate) fn problems(&self, view: &View<'_>) -> Vec<Problem> {
        let state = view.state;
        let place = |id: &ServerId| state.services.get(&id.service).map(|service| service.order);
        let mut down: Vec<(u32, &ServerView)> = self
            .down
            .iter()
            .filter_map(|id| Some((place(id)?, &**state.servers.get(id)?)))
            .collect();
        down.sort_by_key(|(order, _)| *order);
        problems::problems_with(view, down.into_iter().map(|(_, server)| server))
    }
}

/// Which rows of the list of servers may be other ones than when they were last looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Touched {
    pub(crate) all: bool,
    pub(crate) servers: BTreeSet<ServerId>,
    /// All servers of these.
    pub(crate) services: BTreeSet<ServiceKey>,
}

impl Touched {
    pub(crate) fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    pub(crate) fn take(&mut self, change: &Change) {
        if self.all {
            return;
        }
        match change {
            Change::Put(Object::Server(view)) => drop(self.servers.insert(view.id.clone())),
            Change::Put(Object::Service(view)) => drop(self.services.insert(view.key.clone())),
            Change::Put(Object::Override(it)) => self.target(&it.target),
            Change::Remove(ObjectId::Override(target)) => self.target(target),
            // Whoever removes a server or a service has another roster.
            Change::Put(_) | Change::Remove(_) => {}
        }
        if self.servers.len() + self.services.len() > MANY {
            *self = Self::all();
        }
    }

    fn target(&mut self, target: &Target) {
        if let Target::Server(id) = target {
            self.servers.insert(id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use lb_shared::state::{Admin, Health};
    use proptest::prelude::*;
    use std::sync::Arc;

    proptest! {
        #[test]
        fn what_was_kept_up_is_what_is_counted_anew(
            changes in prop::collection::vec((0usize..64, 0u8..4, any::<bool>()), 0..40),
        ) {
            let mut state = fixture::demo().snapshot.state;
            let servers: Vec<Arc<ServerView>> = state.servers.values().cloned().collect();
            let mut survey = Survey::of(&state);
            for (nth, to, remove) in changes {
                let mut view = Arc::clone(&servers[nth % servers.len()]);
                let change = if remove {
                    Change::Remove(ObjectId::Server(view.id.clone()))
                } else {
                    let new = Arc::make_mut(&mut view);
                    new.health = [Health::Up, Health::Down, Health::Init, Health::None][usize::from(to)];
                    new.admin = Admin::Enabled;
                    Change::Put(Object::Server(view))
                };
                survey.take(&state, &change);
                state.apply_change(&change);
            }
            let view = View::new(&state, fixture::NOW, fixture::NOW_MS);
            prop_assert_eq!(survey.tally(), view.server_tally());
            prop_assert_eq!(survey.problems(&view), problems::problems(&view));
        }
    }
}
