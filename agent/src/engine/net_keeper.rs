//! Keeps the virtual addresses where they should be.
//!
//! `have` is what the host's interfaces hold: the first table, kept current by notifications, and by our own
//! operations as soon as they are sent. Addresses come and go per instance.
//!
//! Notifications come on another way than the answers to our operations, so that one may tell of a state that we have
//! already left. What speaks against an operation of ours is therefore kept as a doubt until [`SETTLE`] after the
//! kernel answered; the last word then counts.

use super::action::{Action, BatchId};
use super::input::OpError;
use crate::net::{Address, AddressKey, Link, NetOp, NetTable, plan};
use crate::wire::LinkIndex;
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long after the kernel's answer notifications from before it may still arrive.
const SETTLE: Duration = Duration::from_secs(1);

/// Who wants an address, a route or a rule: an instance; `None`: the file itself (`static_ipaddress` and the like).
pub(super) type Owner = Option<InstanceName>;

/// The addresses an owner should have on the interfaces.
pub(super) type Held = BTreeMap<AddressKey, Address>;

/// An operation on an address that the kernel refused.
#[derive(Clone, Debug)]
struct Failure {
    text: String,
    tries: u32,
    retry_at: Mono,
}

/// What became of a batch, for people.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Refused, and not told before.
    pub(super) refused: Vec<(NetOp, OpError)>,
    /// Refused before, taken now.
    pub(super) recovered: Vec<AddressKey>,
    /// Operations on routes, rules and firewall tables, each with the kernel's words if it was refused.
    pub(super) answers: Vec<(NetOp, Option<String>)>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct NetKeeper {
    have: NetTable,
    known: bool,
    /// What each owner should have now, sorted. Thousands of instances hold one or two addresses each.
    held: BTreeMap<Owner, Box<[AddressKey]>>,
    /// How many owners want an address: two may share one.
    wanted: BTreeMap<AddressKey, u32>,
    /// Addresses that are ours to remove.
    owned: BTreeSet<AddressKey>,
    in_flight: BTreeMap<BatchId, Vec<NetOp>>,
    failed: BTreeMap<AddressKey, Failure>,
    /// Refused when their removal was on its way already: if that is refused too, they are not there all the same.
    never_came: BTreeSet<AddressKey>,
    /// When the kernel last answered an operation of ours, for as long as that matters.
    answered: BTreeMap<AddressKey, Mono>,
    /// The last notification that speaks against an operation of ours; `None`: gone.
    doubts: BTreeMap<AddressKey, Option<Address>>,
    /// An address came or went since somebody asked.
    moved: bool,
    next_batch: u64,
}

impl NetKeeper {
    /// The first table has come.
    pub(super) fn known(&self) -> bool {
        self.known
    }

    pub(super) fn have(&self) -> &NetTable {
        &self.have
    }

    pub(super) fn at_rest(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Batches the kernel has not answered yet.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = BatchId> {
        self.in_flight.keys().copied()
    }

    /// Whether an address is one of ours, wanted or still to be removed.
    pub(super) fn is_ours(&self, key: &AddressKey) -> bool {
        self.owned.contains(key) || self.wanted.contains_key(key)
    }

    /// Whether an announcement is of an address that should be there, on a link that is.
    pub(super) fn is_announced(&self, frame: &NetOp) -> bool {
        let NetOp::Announce { link, about, .. } = frame else {
            return false;
        };
        let first = AddressKey {
            link: *link,
            address: *about,
            prefix_len: 0,
        };
        let wanted = self.wanted.range(first..).next();
        self.have.links.contains_key(link)
            && wanted.is_some_and(|(key, _)| (key.link, key.address) == (*link, *about))
    }

    /// Whether it is ours to remove.
    pub(super) fn is_owned(&self, key: &AddressKey) -> bool {
        self.owned.contains(key)
    }

    /// What an owner should have now, sorted.
    pub(super) fn held(&self, owner: &Owner) -> &[AddressKey] {
        self.held.get(owner).map_or(&[], |held| held)
    }

    /// Who should have this address.
    pub(super) fn holders<'a>(&'a self, key: &'a AddressKey) -> impl Iterator<Item = &'a Owner> + 'a {
        self.held
            .iter()
            .filter(move |(_, held)| held.binary_search(key).is_ok())
            .map(|(name, _)| name)
    }

    /// Why the kernel does not take an address.
    pub(super) fn refusal(&self, key: &AddressKey) -> Option<&str> {
        self.failed.get(key).map(|failure| failure.text.as_str())
    }

    /// An address is there, and no operation of ours on it is under way.
    pub(super) fn is_settled(&self, key: &AddressKey) -> bool {
        self.have.addresses.contains_key(key) && !self.is_flying(key)
    }

    /// What has been refused, for people.
    pub(super) fn trouble(&self) -> impl Iterator<Item = String> {
        self.failed.values().map(|failure| failure.text.clone())
    }

    /// An address that should have been removed is still there.
    pub(super) fn removal_waits(&self) -> bool {
        self.failed
            .keys()
            .any(|key| self.have.addresses.contains_key(key))
    }

    /// Everything, read at some moment of the near past. Returns the wanted addresses that are not there.
    pub(super) fn on_table(&mut self, now: Mono, table: NetTable) -> Vec<AddressKey> {
        self.moved = true;
        let before = std::mem::replace(&mut self.have, table);
        let first = !std::mem::replace(&mut self.known, true);
        let young: BTreeSet<AddressKey> = (self.answered.keys().copied())
            .chain(self.in_flight.values().flatten().filter_map(address_of))
            .filter(|key| self.is_young(now, key) && self.have.links.contains_key(&key.link))
            .collect();
        for key in young {
            let (ours, theirs) = (before.addresses.get(&key), self.have.addresses.get(&key).cloned());
            if ours.is_some() != theirs.is_some() {
                self.doubts.insert(key, theirs);
                match ours {
                    Some(address) => self.have.addresses.insert(key, address.clone()),
                    None => self.have.addresses.remove(&key),
                };
            }
        }
        let now_there = &self.have.addresses;
        self.owned.retain(|key| now_there.contains_key(key));
        let missing = |key: &&AddressKey| !first && !now_there.contains_key(key);
        let refused = |key: &&AddressKey| !self.failed.contains_key(key);
        self.wanted
            .keys()
            .filter(missing)
            .filter(refused)
            .copied()
            .collect()
    }

    /// Returns the link as it was before.
    pub(super) fn on_link(&mut self, link: Link) -> Option<Link> {
        self.have.links.insert(link.index, link)
    }

    /// The interface is gone, and with it all it held.
    pub(super) fn on_link_gone(&mut self, index: LinkIndex) -> Option<Link> {
        self.moved = true;
        self.have.addresses.retain(|key, _| key.link != index);
        self.owned.retain(|key| key.link != index);
        self.failed.retain(|key, _| key.link != index);
        self.answered.retain(|key, _| key.link != index);
        self.doubts.retain(|key, _| key.link != index);
        self.have.links.remove(&index)
    }

    /// True when it was not there before.
    pub(super) fn on_address(&mut self, now: Mono, key: AddressKey, address: Address) -> bool {
        if !self.have.addresses.contains_key(&key) && self.is_young(now, &key) {
            self.doubts.insert(key, Some(address));
            return false;
        }
        self.moved = true;
        self.doubts.remove(&key);
        self.have.addresses.insert(key, address).is_none()
    }

    /// True when somebody else took away an address that should be there.
    pub(super) fn on_address_gone(&mut self, now: Mono, key: &AddressKey) -> bool {
        if self.have.addresses.contains_key(key) && self.is_young(now, key) {
            self.doubts.insert(*key, None);
            return false;
        }
        self.moved = true;
        self.doubts.remove(key);
        self.owned.remove(key);
        self.have.addresses.remove(key).is_some() && self.wanted.contains_key(key)
    }

    /// An operation of ours on it is under way or was until just now.
    fn is_young(&self, now: Mono, key: &AddressKey) -> bool {
        self.is_flying(key) || self.answered.get(key).is_some_and(|at| now < *at + SETTLE)
    }

    fn is_flying(&self, key: &AddressKey) -> bool {
        self.in_flight
            .values()
            .flatten()
            .any(|op| address_of(op) == Some(*key))
    }

    /// Notifications that were doubted and stand: to be taken as if they came now.
    pub(super) fn take_doubts(&mut self, now: Mono) -> Vec<(AddressKey, Option<Address>)> {
        let settled: Vec<AddressKey> = self
            .doubts
            .keys()
            .filter(|key| !self.is_young(now, key))
            .copied()
            .collect();
        self.answered.retain(|_, at| now < *at + SETTLE);
        settled
            .into_iter()
            .filter_map(|key| Some((key, self.doubts.remove(&key)?)))
            .collect()
    }

    /// Refused operations that are to be tried again.
    pub(super) fn take_retries(&mut self, now: Mono) -> Vec<AddressKey> {
        let mut due = Vec::new();
        for (key, failure) in &mut self.failed {
            if failure.retry_at <= now {
                // The kernel's answer sets the next time; should none come, this one stands.
                failure.retry_at = now + pause(failure.tries);
                due.push(*key);
            }
        }
        due
    }

    /// The refusal has become pointless.
    pub(super) fn forgive(&mut self, key: &AddressKey) {
        self.failed.remove(key);
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let doubts = self.doubts.keys().filter(|key| !self.is_flying(key));
        let settled = doubts.map(|key| self.answered.get(key).map_or(Mono::ZERO, |at| *at + SETTLE));
        let retries = self.failed.values().map(|failure| failure.retry_at);
        settled.chain(retries).min()
    }

    /// Whether an address came or went since the last call.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// As if one had.
    pub(super) fn mark_moved(&mut self) {
        self.moved = true;
    }

    /// These addresses of an earlier run are ours.
    pub(super) fn adopt(&mut self, keys: impl IntoIterator<Item = AddressKey>) {
        self.owned.extend(keys);
    }

    /// Makes an owner hold exactly `want`, then sends `frames` on the same lane, so that an address is announced
    /// once it exists.
    pub(super) fn set_held(
        &mut self,
        owner: &Owner,
        want: Held,
        announcements: Vec<NetOp>,
        out: &mut VecDeque<Action>,
    ) {
        let before = self.held.remove(owner).unwrap_or_default();
        for key in want.keys() {
            *self.wanted.entry(*key).or_default() += 1;
        }
        for key in &before {
            if let Some(count) = self.wanted.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(key);
                }
            }
        }
        let removable: BTreeSet<AddressKey> = before
            .iter()
            .filter(|key| self.owned.contains(key) && !self.wanted.contains_key(key))
            .copied()
            .collect();
        let mut ops = plan(&want, &self.have, &removable);
        // A virtual address leaves with its mastership, whoever put it there. A static one that was there without us may
        // be the host's own: it stays.
        let foreign = |key: &AddressKey| {
            let there = self.have.addresses.get(key);
            owner.is_none() && there.is_some_and(|it| !it.ours)
        };
        let ours = want.keys().filter(|key| !foreign(key)).copied();
        self.owned.extend(ours.collect::<Vec<_>>());
        if !want.is_empty() {
            self.held.insert(owner.clone(), want.into_keys().collect());
        }
        ops.extend(announcements);
        self.send(ops, out);
    }

    /// Removes addresses nobody wants.
    pub(super) fn clean(&mut self, keys: &BTreeSet<AddressKey>, out: &mut VecDeque<Action>) {
        let removable = keys
            .iter()
            .filter(|key| !self.wanted.contains_key(key))
            .copied()
            .collect();
        let ops = plan(&Held::new(), &self.have, &removable);
        self.send(ops, out);
    }

    /// Sends operations as they are.
    pub(super) fn send(&mut self, ops: Vec<NetOp>, out: &mut VecDeque<Action>) {
        if ops.is_empty() {
            return;
        }
        for op in &ops {
            match op {
                // The kernel numbers it, and tells of it and of its state.
                NetOp::AddLink(_) | NetOp::RaiseLink { .. } => {}
                NetOp::RemoveLink { link } => drop(self.on_link_gone(*link)),
                // A refusal here will be reported by the kernel in its own time.
                _ => drop(self.have.apply(op)),
            }
            if let Some(key) = address_of(op) {
                // Whatever was heard of it was heard of the time before.
                self.doubts.remove(&key);
            }
            if let NetOp::RemoveAddress { key, .. } = op {
                self.owned.remove(key);
            }
        }
        self.moved = true;
        self.next_batch += 1;
        let id = BatchId(self.next_batch);
        out.push_back(Action::Net(id, ops.clone()));
        self.in_flight.insert(id, ops);
    }

    /// A batch is over.
    pub(super) fn on_done(&mut self, now: Mono, id: BatchId, failures: Vec<(usize, OpError)>) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(ops) = self.in_flight.remove(&id) else {
            return outcome;
        };
        let keys: BTreeSet<AddressKey> = ops.iter().filter_map(address_of).collect();
        self.answered.extend(keys.iter().map(|key| (*key, now)));
        self.moved = true;
        let mut refused = BTreeSet::new();
        let mut words: BTreeMap<usize, String> = failures
            .iter()
            .map(|(place, error)| (*place, error.text.clone()))
            .collect();
        let of_others = ops.iter().enumerate().filter(|(_, op)| has_keeper(op));
        outcome.answers = of_others
            .map(|(place, op)| (op.clone(), words.remove(&place)))
            .collect();
        for (place, error) in failures {
            let Some(op) = ops.get(place).filter(|op| !has_keeper(op)) else {
                continue;
            };
            let Some(key) = address_of(op) else {
                outcome.refused.push((op.clone(), error));
                continue;
            };
            // A link that is gone took its addresses along.
            if !self.have.links.contains_key(&key.link) {
                continue;
            }
            let removal = matches!(op, NetOp::RemoveAddress { .. });
            // A later operation has its own answer.
            if self.is_flying(&key) {
                if !removal {
                    self.never_came.insert(key);
                }
                continue;
            }
            if removal && self.never_came.contains(&key) {
                continue;
            }
            if removal {
                let (ours, usable) = (true, true);
                let there = || Address {
                    ours,
                    usable,
                    ..Address::default()
                };
                self.have.addresses.entry(key).or_insert_with(there);
                self.owned.insert(key);
            } else {
                self.have.addresses.remove(&key);
                self.owned.remove(&key);
            }
            refused.insert(key);
            let tries = self.failed.get(&key).map_or(0, |failure| failure.tries);
            let failure = Failure {
                text: format!("{op}: {}", error.text),
                tries: tries + 1,
                retry_at: now + pause(tries),
            };
            self.failed.insert(key, failure);
            if tries == 0 {
                outcome.refused.push((op.clone(), error));
            }
        }
        for key in &keys {
            if !self.is_flying(key) {
                self.never_came.remove(key);
            }
        }
        let taken = keys.into_iter().filter(|key| !refused.contains(key));
        outcome.recovered = taken.filter(|key| self.failed.remove(key).is_some()).collect();
        outcome
    }
}

fn address_of(op: &NetOp) -> Option<AddressKey> {
    match op {
        NetOp::AddAddress { key, .. } | NetOp::RemoveAddress { key, .. } => Some(*key),
        NetOp::AddRouting(_)
        | NetOp::RemoveRouting(_)
        | NetOp::AddLink(_)
        | NetOp::QuietLink { .. }
        | NetOp::RaiseLink { .. }
        | NetOp::RemoveLink { .. }
        | NetOp::Announce { .. }
        | NetOp::Firewall(_)
        | NetOp::Sysctl { .. } => None,
    }
}

/// Somebody else keeps what it is about.
fn has_keeper(op: &NetOp) -> bool {
    matches!(
        op,
        NetOp::AddRouting(_) | NetOp::RemoveRouting(_) | NetOp::Firewall(_)
    )
}

/// How long a refused operation waits after so many tries: never long, since an address that its master lacks is an
/// outage.
fn pause(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_whose_coming_and_going_were_both_refused_is_not_there() {
        let mut keeper = NetKeeper::default();
        let link = Link {
            index: LinkIndex(3),
            name: "eth0".into(),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1_500,
            mac: vec![2, 0, 0, 0, 0, 1],
            ..Link::default()
        };
        let mut table = NetTable::default();
        table.links.insert(link.index, link);
        keeper.on_table(Mono::ZERO, table);
        let key = AddressKey {
            link: LinkIndex(3),
            address: [10, 0, 9, 10].into(),
            prefix_len: 32,
        };
        let name = Some(InstanceName::from("VI_1"));
        let held = Held::from([(key, Address::default())]);
        let mut out = VecDeque::new();
        keeper.set_held(&name, held.clone(), Vec::new(), &mut out);
        keeper.set_held(&name, Held::new(), Vec::new(), &mut out);
        for batch in [1, 2] {
            let busy = OpError {
                errno: 16,
                text: "busy".into(),
            };
            keeper.on_done(Mono::ZERO, BatchId(batch), vec![(0, busy)]);
        }
        assert!(!keeper.have().addresses.contains_key(&key));
        assert!(keeper.failed.is_empty(), "there is nothing left to remove");
        // So the next mastership puts it up.
        out.clear();
        keeper.set_held(&name, held, Vec::new(), &mut out);
        assert!(matches!(&out[0], Action::Net(_, ops) if matches!(ops[..], [NetOp::AddAddress { .. }])));
    }
}
