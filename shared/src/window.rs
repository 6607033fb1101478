//! Numbers for a screen: sums over everything, counters of what is looked at, and of both only what changed.
//!
//! A connection that asks again gets the difference to what it was told last. Both sides hold the same numbers then: the
//! agent those it told, the client those it got.

use crate::counters::{Counters, InstanceCounters, ServerCounters};
use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::units::Mono;
use crate::view::Totals;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which servers are looked at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Rows {
    All,
    These(Vec<ServerId>),
}

/// A question for numbers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WindowAsk {
    pub rows: Rows,
    /// With another number than before, everything is told again.
    pub round: u64,
}

/// What changed since the last answer on the same connection.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The moment the numbers are of.
    pub at: Mono,
    /// This is all there is: what was told before no longer counts.
    pub whole: bool,
    /// `None`: as before.
    pub totals: Option<Totals>,
    pub instances: Vec<(InstanceName, InstanceCounters)>,
    pub services: Vec<(ServiceKey, Totals)>,
    pub servers: Vec<(ServerId, ServerCounters)>,
    /// Servers that are looked at and no longer counted.
    pub gone: Vec<ServerId>,
}

impl Window {
    /// Whether all numbers are as they were.
    pub fn is_still(&self) -> bool {
        !self.whole
            && self.totals.is_none()
            && self.instances.is_empty()
            && self.services.is_empty()
            && self.servers.is_empty()
            && self.gone.is_empty()
    }
}

/// Counters added up.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CounterSums {
    pub all: Totals,
    pub services: BTreeMap<ServiceKey, Totals>,
}

impl CounterSums {
    /// Adds up all there are.
    pub fn of(counters: &Counters) -> Self {
        let mut sums = Self::default();
        // Servers of one service stand together.
        let mut servers = counters.servers.iter().peekable();
        while let Some((first, _)) = servers.peek() {
            let key = first.service.clone();
            let mut sum = Totals::default();
            while let Some((_, server)) = servers.next_if(|(id, _)| id.service == key) {
                sum.add(server);
            }
            sums.all.join(&sum);
            sums.services.insert(key, sum);
        }
        sums
    }
}

/// What a connection was told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    ask: Option<WindowAsk>,
    instances: BTreeMap<InstanceName, InstanceCounters>,
    sums: Arc<CounterSums>,
    servers: ToldServers,
}

#[derive(Clone, Debug)]
enum ToldServers {
    All(Arc<Counters>),
    These(BTreeMap<ServerId, ServerCounters>),
}

impl Default for ToldServers {
    fn default() -> Self {
        Self::These(BTreeMap::new())
    }
}

impl Told {
    /// What this question has to be told now; afterwards that is told.
    pub fn next(&mut self, ask: WindowAsk, counters: &Arc<Counters>, sums: &Arc<CounterSums>) -> Window {
        let whole = self.ask.as_ref().is_none_or(|last| last.round != ask.round);
        if whole {
            *self = Self::default();
        }
        let mut window = Window {
            at: counters.at,
            whole,
            totals: (whole || self.sums.all != sums.all).then_some(sums.all),
            ..Window::default()
        };
        changed(&self.instances, &counters.instances, &mut window.instances);
        if !Arc::ptr_eq(&self.sums, sums) {
            changed(&self.sums.services, &sums.services, &mut window.services);
        }
        let before = match &self.servers {
            ToldServers::All(told) => &told.servers,
            ToldServers::These(told) => told,
        };
        let servers = match &ask.rows {
            Rows::All => {
                let same = matches!(&self.servers, ToldServers::All(told) if Arc::ptr_eq(told, counters));
                if !same {
                    window.gone = changed(before, &counters.servers, &mut window.servers);
                }
                ToldServers::All(Arc::clone(counters))
            }
            Rows::These(ids) => {
                let mut seen = BTreeMap::new();
                for id in ids {
                    match (before.get(id), counters.servers.get(id)) {
                        (None, None) => {}
                        (Some(_), None) => window.gone.push(id.clone()),
                        (told, Some(now)) => {
                            if told != Some(now) {
                                window.servers.push((id.clone(), now.clone()));
                            }
                            seen.insert(id.clone(), now.clone());
                        }
                    }
                }
                ToldServers::These(seen)
            }
        };
        self.servers = servers;
        self.sums = Arc::clone(sums);
        if !window.instances.is_empty() {
            self.instances = counters.instances.clone();
        }
        self.ask = Some(ask);
        window
    }
}

/// Adds what is new or different; what is gone comes back. Both are in the same order.
fn changed<K: Clone + Ord, V: Clone + PartialEq>(
    before: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
    into: &mut Vec<(K, V)>,
) -> Vec<K> {
    let mut told = before.iter().peekable();
    let mut gone = Vec::new();
    for (key, value) in now {
        while let Some((lost, _)) = told.next_if(|(before, _)| *before < key) {
            gone.push(lost.clone());
        }
        let same = told
            .next_if(|(before, _)| *before == key)
            .is_some_and(|(_, before)| before == value);
        if !same {
            into.push((key.clone(), value.clone()));
        }
    }
    gone.extend(told.map(|(lost, _)| lost.clone()));
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::time::Duration;

    /// What a client holds: the same rules as any that takes windows.
    #[derive(Default)]
    struct Held {
        totals: Totals,
        services: BTreeMap<ServiceKey, Totals>,
        servers: BTreeMap<ServerId, ServerCounters>,
    }

    impl Held {
        fn take(&mut self, rows: &Rows, window: Window) {
            if window.whole {
                *self = Self::default();
            }
            self.totals = window.totals.unwrap_or(self.totals);
            self.services.extend(window.services);
            self.servers.extend(window.servers);
            self.servers.retain(|id, _| !window.gone.contains(id));
            if let Rows::These(ids) = rows {
                self.servers.retain(|id, _| ids.contains(id));
            }
        }
    }

    #[test]
    fn whoever_takes_the_differences_holds_what_there_is() {
        let first = fixture::demo().counters;
        let ids: Vec<ServerId> = first.servers.keys().cloned().collect();
        let mut second = first.clone();
        second.at = second.at + Duration::from_secs(1);
        second.servers.get_mut(&ids[1]).unwrap().active += 7;
        second.servers.remove(&ids[2]);
        let (few, all) = (Rows::These(ids[..3].to_vec()), Rows::All);
        let later = Rows::These(ids[2..6].to_vec());
        let mut told = Told::default();
        let mut held = Held::default();
        for (rows, counters, round, most) in [
            (&few, &first, 0, 3),
            // Only the one that changed, and the one that went.
            (&few, &second, 0, 1),
            (&later, &second, 0, 3),
            (&all, &second, 0, usize::MAX),
            (&few, &first, 0, 2),
            (&few, &first, 1, 3),
        ] {
            let ask = WindowAsk {
                rows: rows.clone(),
                round,
            };
            let sums = Arc::new(CounterSums::of(counters));
            let window = told.next(ask, &Arc::new(counters.clone()), &sums);
            assert!(window.servers.len() <= most, "{rows:?}: {}", window.servers.len());
            held.take(rows, window);
            assert_eq!(
                (held.totals, &held.services),
                (sums.all, &sums.services),
                "{rows:?}"
            );
            let want = counters.servers.iter().filter(|(id, _)| match rows {
                Rows::All => true,
                Rows::These(ids) => ids.contains(id),
            });
            assert!(held.servers.iter().eq(want), "{rows:?}");
        }
    }

    #[test]
    fn of_what_did_not_change_nothing_is_told() {
        let mut counters = fixture::demo().counters;
        let sums = CounterSums::of(&counters);
        let rows = Rows::These(counters.servers.keys().take(9).cloned().collect());
        let ask = WindowAsk { rows, round: 0 };
        let mut told = Told::default();
        let mut next = |counters: &Counters| {
            told.next(ask.clone(), &Arc::new(counters.clone()), &Arc::new(sums.clone()))
        };
        assert!(!next(&counters).is_still());
        counters.at = counters.at + Duration::from_secs(1);
        let window = next(&counters);
        assert!(window.is_still());
        assert_eq!(window.at, counters.at);
    }
}
