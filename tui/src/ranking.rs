//! The list of all servers, whatever narrows it and puts it into order: made once, mended by what changed.
//!
//! Every server has a place, as in the file; a number, by which it is put into order; and whether it passes the filter,
//! told apart into what the state decides and what counters and time decide. News touch few of them, counters all, but
//! those stand in the order of their ids, so that nobody has to be looked up.

use crate::data::Data;
use crate::order::By;
use crate::survey::Touched;
use lb_shared::counters::ServerCounters;
use lb_shared::filter::{Filter, Load};
use lb_shared::names::ServerId;
use lb_shared::state::ServerView;
use lb_shared::view::View;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// So many bits of a rank are a server's place; as many servers have one. The other 40 bits hold milliseconds of 34 years.
const PLACE_BITS: u32 = 24;
const PLACES: u32 = 1 << PLACE_BITS;
/// The place of what is counted and not listed.
const NOWHERE: u32 = u32::MAX;

/// The servers and their order.
#[derive(Debug, Default)]
pub(crate) struct Ranking {
    /// What it was made of: which servers there are, the filter, the column.
    roster: Option<u64>,
    filter: Filter,
    by: By,
    /// The filter's parts: by the state alone, and by counters and time.
    steady: Filter,
    drifting: Filter,
    /// As in the file, and how they are.
    keys: Rc<[ServerId]>,
    views: Vec<Arc<ServerView>>,
    /// Places among the keys in the order of their ids: so counters stand.
    by_id: Vec<u32>,
    /// For each that is counted, in the order of the counters: its place among the keys. And the counters it is true of.
    counted: Vec<u32>,
    uncounted: Vec<u32>,
    counted_of: Option<u64>,
    /// One for each key: the largest is listed first; and whether it passes each part of the filter.
    numbers: Vec<u64>,
    stays: Vec<bool>,
    passes: Vec<bool>,
    /// Places among the keys: the largest number first, equal ones as in the file.
    order: Vec<u32>,
}

impl Ranking {
    pub(crate) fn keys(&self) -> &Rc<[ServerId]> {
        &self.keys
    }

    /// The places of the servers that pass, in order. `touched` are those that changed since the last time.
    pub(crate) fn rows(
        &mut self,
        data: &Data,
        view: &View<'_>,
        filter: &Filter,
        by: By,
        touched: Touched,
    ) -> Vec<u32> {
        let anew = self.roster != Some(data.roster());
        if anew {
            self.roster = Some(data.roster());
            self.list(view);
        }
        let narrowed = anew || self.filter != *filter;
        if narrowed {
            self.filter = filter.clone();
            (self.steady, self.drifting) = filter.parts();
            // What is not counted passes, or does not, before the counters are looked at.
            self.counted_of = None;
        }
        let sorted = anew || self.by != by;
        if sorted {
            self.by = by;
            self.counted_of = None;
        }
        let mut moved = Vec::new();
        if narrowed || sorted || touched.all {
            self.look_again(view, sorted);
        } else {
            self.touch(data, view, touched, &mut moved);
        }
        self.count(data, view, &mut moved);
        self.mend(moved);
        let shown = |place: &u32| self.stays[*place as usize] && self.passes[*place as usize];
        self.order.iter().copied().filter(shown).collect()
    }

    /// Takes all servers. Those of a service stand together, in the order of their ids.
    fn list(&mut self, view: &View<'_>) {
        let state = view.state;
        let known = |it: &ServerView| state.servers.get(&it.id).cloned();
        self.views = view.servers().filter_map(known).take(PLACES as usize).collect();
        self.keys = self.views.iter().map(|it| it.id.clone()).collect();
        let places: Vec<u32> = (0..).take(self.keys.len()).collect();
        let keys = &self.keys;
        let mut runs: Vec<&[u32]> = places
            .chunk_by(|a, b| keys[*a as usize].service == keys[*b as usize].service)
            .collect();
        runs.sort_by_key(|run| &keys[run[0] as usize].service);
        self.by_id = runs.concat();
    }

    /// Looks at all servers; with another column also for their order.
    fn look_again(&mut self, view: &View<'_>, sorted: bool) {
        let state = view.state;
        // Most often both are the same servers in the same order.
        for (place, now) in self.by_id.iter().zip(state.servers.values()) {
            let it = &mut self.views[*place as usize];
            if it.id == now.id {
                it.clone_from(now);
            } else if let Some(now) = state.servers.get(&it.id) {
                it.clone_from(now);
            }
        }
        let steady = &self.steady;
        let stays = self
            .views
            .iter()
            .map(|it| steady.is_empty() || steady.passes_server(view, it, None));
        self.stays = stays.collect();
        self.passes = vec![true; self.keys.len()];
        self.counted_of = None;
        let numbers = match self.by {
            By::Name => by_name(view, &self.keys),
            // Told by the counters.
            By::Active | By::PerSecond if !sorted => return,
            _ => self.views.iter().map(|it| number(self.by, it)).collect(),
        };
        self.numbers = numbers;
        self.sort();
    }

    fn sort(&mut self) {
        let numbers = self.numbers.iter().zip(0..);
        let mut ranks: Vec<u64> = numbers.map(|(number, place)| rank(*number, place)).collect();
        ranks.sort_unstable();
        self.order = ranks.into_iter().map(place).collect();
    }

    /// Looks at those that changed.
    fn touch(&mut self, data: &Data, view: &View<'_>, touched: Touched, moved: &mut Vec<u64>) {
        let state = view.state;
        let of_services = touched
            .services
            .iter()
            .flat_map(|key| state.servers_of(key))
            .map(|it| &it.id);
        for id in touched.servers.iter().chain(of_services) {
            let keys = &self.keys;
            let found = self
                .by_id
                .binary_search_by_key(&id, |place| &keys[*place as usize]);
            let (Ok(found), Some(now)) = (found, state.servers.get(id)) else {
                continue;
            };
            let place = self.by_id[found];
            let nth = place as usize;
            self.views[nth] = Arc::clone(now);
            self.stays[nth] = self.steady.passes_server(view, now, None);
            let counted = data.counters.as_ref().and_then(|it| it.servers.get(id));
            let load = counted.map(Load::from);
            self.passes[nth] = self.drifting.passes_server(view, now, load);
            match self.by {
                By::Name | By::Active | By::PerSecond => {}
                By::State | By::Weight | By::Age => {
                    put(&mut self.numbers, place, number(self.by, now), moved);
                }
            }
        }
    }

    /// Takes the counters, as far as they decide.
    fn count(&mut self, data: &Data, view: &View<'_>, moved: &mut Vec<u64>) {
        let number = self.by.number();
        let narrows = !self.drifting.is_empty();
        if number.is_none() && !narrows {
            return;
        }
        let anew = self.counted_of != Some(data.counted());
        if anew {
            self.counted_of = Some(data.counted());
            let nobody = BTreeMap::new();
            self.align(data.counters.as_ref().map_or(&nobody, |it| &it.servers));
        }
        let (numbers, passes) = (&mut self.numbers, &mut self.passes);
        let mut see = |place: u32, load: Option<Load>| {
            let Some(it) = self.views.get(place as usize) else {
                return;
            };
            if let Some(number) = number {
                let number = load.map_or(0, |it| number(it).saturating_add(1));
                put(numbers, place, number, moved);
            }
            if narrows {
                passes[place as usize] = self.drifting.passes_server(view, it, load);
            }
        };
        // Who is not counted only grows older.
        if anew || self.drifting.ages() {
            self.uncounted.iter().for_each(|place| see(*place, None));
        }
        for (place, load) in self.counted.iter().zip(data.loads()) {
            see(*place, Some(*load));
        }
    }

    /// Finds the places of what is counted, by one walk over both; and of the rest.
    fn align(&mut self, counters: &BTreeMap<ServerId, ServerCounters>) {
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
        self.uncounted = uncounted;
    }

    /// Those that did not move are in order as they are; the others are put among them.
    fn mend(&mut self, mut moved: Vec<u64>) {
        if moved.is_empty() {
            return;
        }
        // Where most moved, it is quicker to sort than to put them among the others.
        if moved.len() > self.keys.len() / 2 {
            self.sort();
            return;
        }
        let mut moves = vec![false; self.keys.len()];
        for rank in &moved {
            moves[place(*rank) as usize] = true;
        }
        moved.sort_unstable();
        // One that moved twice is where it moved last.
        moved.retain(|it| *it == rank(self.numbers[place(*it) as usize], place(*it)));
        moved.dedup();
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

/// What puts a server into order; the counters tell it later where they do.
fn number(by: By, it: &ServerView) -> u64 {
    match by {
        By::State => worst_first(it),
        By::Weight => it.effective.map_or(0, |weight| u64::from(weight.get()) + 1),
        By::Age => it.since.0 / 1_000,
        By::Name | By::Active | By::PerSecond => 0,
    }
}

/// How early a server's word stands in a list by state.
fn worst_first(server: &ServerView) -> u64 {
    match server.word() {
        "DOWN" => 5,
        "DRAIN" => 4,
        "DRAINED" => 3,
        "OFF" => 2,
        "INIT" => 1,
        _ => 0,
    }
}

/// Numbers of servers that are listed by their names.
fn by_name(view: &View<'_>, keys: &[ServerId]) -> Vec<u64> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by_cached_key(|nth| (view.service_name(&keys[*nth].service), keys[*nth].server));
    let mut numbers = vec![0; keys.len()];
    for (nth, number) in order.into_iter().rev().zip(0..) {
        numbers[nth] = number;
    }
    numbers
}

/// Gives a place another number.
fn put(numbers: &mut [u64], place: u32, number: u64, moved: &mut Vec<u64>) {
    if let Some(known) = numbers.get_mut(place as usize)
        && *known != number
    {
        *known = number;
        moved.push(rank(number, place));
    }
}

/// What sorts by the number, the largest first, then by the place.
fn rank(number: u64, place: u32) -> u64 {
    const LARGEST: u64 = u64::MAX >> PLACE_BITS;
    (LARGEST - number.min(LARGEST)) << PLACE_BITS | u64::from(place)
}

/// The place in a rank: its lower half.
fn place(rank: u64) -> u32 {
    (rank & u64::from(PLACES - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use lb_shared::counters::Counters;
    use lb_shared::event::{Change, Event, Numbered, What};
    use lb_shared::filter::Item;
    use lb_shared::fixture;
    use lb_shared::state::{Health, Object, ObjectId};
    use proptest::prelude::*;
    use std::cmp::Reverse;

    const FILTERS: [&str; 8] = [
        "",
        "st:down",
        "act:>2",
        "!cps:>1",
        "st:down,act:>2 web",
        "for:>5m",
        "for:<5m act:<3",
        "ov:none w:>0 !act:1",
    ];

    /// What the list is, made anew from the beginning.
    fn anew(view: &View<'_>, filter: &Filter, by: By) -> Vec<ServerId> {
        let mut rows: Vec<&ServerView> = view
            .servers()
            .filter(|it| filter.passes(view, Item::Server(it)))
            .collect();
        let counters = |it: &ServerView| view.server_counters(&it.id);
        match by {
            By::State => rows.sort_by_key(|it| Reverse(worst_first(it))),
            By::Name => rows.sort_by_key(|it| (view.service_name(&it.id.service), it.id.server)),
            By::Weight => rows.sort_by_key(|it| Reverse(it.effective)),
            By::Age => rows.sort_by_key(|it| Reverse(it.since.0 / 1_000)),
            By::Active => rows.sort_by_key(|it| Reverse(counters(it).map(|it| it.active))),
            By::PerSecond => rows.sort_by_key(|it| Reverse(counters(it).map(|it| it.connections_per_s))),
        }
        rows.into_iter().map(|it| it.id.clone()).collect()
    }

    #[derive(Clone, Debug)]
    enum News {
        /// A server, its health, its age in minutes.
        Server(usize, bool, u64),
        Gone(usize),
        /// Active connections of the servers, from the first on; those after them are not counted.
        Numbers(Vec<u64>),
        Look(usize, usize),
    }

    fn news() -> impl Strategy<Value = News> {
        prop_oneof![
            4 => (0usize..99, any::<bool>(), 0u64..10).prop_map(|(nth, up, age)| News::Server(nth, up, age)),
            1 => (0usize..99).prop_map(News::Gone),
            3 => prop::collection::vec(0u64..5, 0..40).prop_map(News::Numbers),
            2 => (0..FILTERS.len(), 0..By::ALL.len()).prop_map(|(filter, by)| News::Look(filter, by)),
        ]
    }

    fn change(data: &mut Data, object: ObjectId, change: Change, seq: u64) {
        let event = Event {
            what: What::ServerDown,
            object,
            text: String::new(),
            why: None,
            actor: None,
            at: fixture::NOW,
            changes: vec![change],
        };
        let (seq, wall_ms) = (1_000_000 + seq, fixture::NOW_MS);
        data.event(Default::default(), Numbered { seq, wall_ms, event });
    }

    proptest! {
        #[test]
        fn a_mended_list_is_the_one_that_is_made_anew(told in prop::collection::vec(news(), 1..40)) {
            let (mut data, at) = data::tests::data();
            let all: Vec<Arc<ServerView>> = data.state.servers.values().cloned().collect();
            let mut ranking = Ranking::default();
            let (mut filter, mut by) = (Filter::default(), By::State);
            for (it, seq) in told.into_iter().zip(0..) {
                match it {
                    News::Server(nth, up, age) => {
                        let mut view = (*all[nth % all.len()]).clone();
                        view.health = if up { Health::Up } else { Health::Down };
                        view.since.0 = fixture::NOW.0 - age * 60_000_000;
                        view.effective = up.then_some(view.configured);
                        let object = ObjectId::Server(view.id.clone());
                        change(&mut data, object, Change::Put(Object::Server(Arc::new(view))), seq);
                    }
                    News::Gone(nth) => {
                        let object = ObjectId::Server(all[nth % all.len()].id.clone());
                        change(&mut data, object.clone(), Change::Remove(object), seq);
                    }
                    News::Numbers(numbers) => {
                        let counted = all.iter().zip(numbers).map(|(it, active)| {
                            let connections_per_s = active / 2;
                            let counters = ServerCounters { active, connections_per_s, ..Default::default() };
                            (it.id.clone(), counters)
                        });
                        let servers = counted.collect();
                        data.sample(Counters { servers, ..Counters::default() });
                    }
                    News::Look(text, column) => {
                        (filter, by) = (Filter::parse(FILTERS[text]).unwrap(), By::ALL[column]);
                    }
                }
                let touched = std::mem::take(&mut data.touched);
                data.weigh();
                let view = data.view(at);
                let rows = ranking.rows(&data, &view, &filter, by, touched);
                let rows: Vec<ServerId> = rows.iter().map(|it| ranking.keys()[*it as usize].clone()).collect();
                prop_assert_eq!(rows, anew(&view, &filter, by), "{:?} {:?}", filter, by);
            }
        }
    }
}
