//! Servers in the order of a number that changes every second: put into order once, mended by what changed.

use lb_shared::counters::ServerCounters;
use lb_shared::names::ServerId;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the servers were chosen by: a number of the state they are from, and the filter.
pub(crate) type Chosen = (u64, String);

/// The place of what is counted and not listed.
const NOWHERE: u32 = u32::MAX;

/// The chosen servers and their order.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// `None`: they have to be chosen anew every time.
    chosen: Option<Chosen>,
    /// As in the file.
    keys: Rc<[ServerId]>,
    /// Places among the keys in the order of their ids: so counters stand.
    by_id: Vec<u32>,
    /// For each that is counted, in the order of the counters: its place among the keys. And the counters it is true of.
    counted: Vec<u32>,
    counted_of: Option<u64>,
    /// One for each key: higher by one than what was counted, 0 where nothing was.
    numbers: Vec<u32>,
    /// Places among the keys: the largest number first, equal ones as in the file.
    order: Vec<u32>,
}

impl Ranking {
    /// Has these servers, unless they were chosen by the same before. Those of a service stand together, in the order of
    /// their ids.
    pub(crate) fn choose(&mut self, chosen: Option<Chosen>, servers: impl FnOnce() -> Vec<ServerId>) {
        if chosen.is_some() && self.chosen == chosen {
            return;
        }
        self.chosen = chosen;
        self.keys = servers().into();
        self.counted_of = None;
        let places = (0..).take(self.keys.len());
        self.order = places.collect();
        self.numbers = vec![0; self.keys.len()];
        let keys = &self.keys;
        let mut runs: Vec<&[u32]> = self
            .order
            .chunk_by(|a, b| keys[*a as usize].service == keys[*b as usize].service)
            .collect();
        runs.sort_by_key(|run| &keys[run[0] as usize].service);
        self.by_id = runs.concat();
    }

    pub(crate) fn keys(&self) -> &Rc<[ServerId]> {
        &self.keys
    }

    /// Their order by a number of the counters, mended where it changed since the last time. `roster` is another number
    /// whenever other servers are counted.
    pub(crate) fn order(
        &mut self,
        counters: &BTreeMap<ServerId, ServerCounters>,
        roster: u64,
        of: impl Fn(&ServerCounters) -> u64,
    ) -> &[u32] {
        let mut moved = Vec::new();
        let mut put = |numbers: &mut [u32], place: u32, number: u32| {
            if let Some(known) = numbers.get_mut(place as usize)
                && *known != number
            {
                *known = number;
                moved.push(rank(number, place));
            }
        };
        if self.counted_of != Some(roster) {
            self.counted_of = Some(roster);
            for place in self.align(counters) {
                put(&mut self.numbers, place, 0);
            }
        }
        for (place, counters) in self.counted.iter().zip(counters.values()) {
            // Beyond four thousand million they are all the same.
            let number = u32::try_from(of(counters)).unwrap_or(u32::MAX);
            put(&mut self.numbers, *place, number.saturating_add(1));
        }
        if !moved.is_empty() {
            self.mend(moved);
        }
        &self.order
    }

    /// Finds the places of what is counted, by one walk over both; which are not counted comes back.
    fn align(&mut self, counters: &BTreeMap<ServerId, ServerCounters>) -> Vec<u32> {
        let mut places = self.by_id.iter().copied().peekable();
        let mut uncounted = Vec::new();
        let key = |place: &u32| &self.keys[*place as usize];
        let place_of = |id| {
            while let Some(before) = places.next_if(|place| key(place) < id) {
                uncounted.push(before);
            }
            places.next_if(|place| key(place) == id).unwrap_or(NOWHERE)
        };
        self.counted = counters.keys().map(place_of).collect();
        uncounted.extend(places);
        uncounted
    }

    /// Those that did not move are in order as they are; the others are put among them.
    fn mend(&mut self, mut moved: Vec<u64>) {
        let mut moves = vec![false; self.keys.len()];
        for rank in &moved {
            moves[place(*rank) as usize] = true;
        }
        moved.sort_unstable();
        let mut moved = moved.into_iter().peekable();
        let mut order = Vec::with_capacity(self.order.len());
        for place in self.order.drain(..).filter(|place| !moves[*place as usize]) {
            let own = rank(self.numbers[place as usize], place);
            while let Some(before) = moved.next_if(|it| *it < own) {
                order.push(self::place(before));
            }
            order.push(place);
        }
        order.extend(moved.map(place));
        self.order = order;
    }
}

/// What sorts by the number, the largest first, then by the place.
fn rank(number: u32, place: u32) -> u64 {
    u64::from(!number) << 32 | u64::from(place)
}

/// The place in a rank: its lower half.
fn place(rank: u64) -> u32 {
    (rank & u64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    fn id(service: u8, server: u8) -> ServerId {
        format!("10.0.0.{service}:80/tcp/10.1.0.{server}:80")
            .parse()
            .unwrap()
    }

    proptest! {
        #[test]
        fn a_mended_order_is_the_one_that_is_sorted_anew(
            rounds in prop::collection::vec(prop::collection::btree_map((0u8..6, 0u8..6), 0u64..4, 0..36), 1..6),
        ) {
            // The services of the file stand the other way round than their ids.
            let file = || (0..6).rev().flat_map(|service| (0..6).map(move |server| id(service, server))).collect::<Vec<_>>();
            let mut ranking = Ranking::default();
            for (nth, round) in rounds.into_iter().enumerate() {
                let counters: BTreeMap<ServerId, ServerCounters> = round
                    .into_iter()
                    .map(|((service, server), active)| (id(service, server), ServerCounters { active, ..ServerCounters::default() }))
                    .collect();
                ranking.choose(Some((1, String::new())), file);
                let order = ranking.order(&counters, nth as u64, |it| it.active).to_vec();
                let mended: Vec<&ServerId> = order.iter().map(|place| &ranking.keys()[*place as usize]).collect();
                let file = file();
                let mut sorted: Vec<&ServerId> = file.iter().collect();
                sorted.sort_by_key(|id| Reverse(counters.get(id).map(|it| it.active)));
                prop_assert_eq!(mended, sorted);
            }
        }
    }

    #[test]
    fn other_servers_are_chosen_when_what_chose_them_is_another() {
        let mut ranking = Ranking::default();
        let mut lists = 0;
        for (chosen, times) in [
            (Some(1), 1),
            (Some(1), 1),
            (Some(2), 2),
            (None, 3),
            (None, 4),
            (Some(2), 5),
        ] {
            ranking.choose(chosen.map(|version| (version, String::new())), || {
                lists += 1;
                vec![id(1, lists)]
            });
            assert_eq!(lists, times, "{chosen:?}");
            assert_eq!(*ranking.keys(), [id(1, times)].into(), "{chosen:?}");
            assert_eq!(ranking.order(&BTreeMap::new(), 1, |it| it.active), [0]);
        }
    }
}
