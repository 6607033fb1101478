//! Keeps the virtual addresses where they should be.
//!
//! `have` is what the host's interfaces hold: the first table, kept current by notifications, and by our own
//! operations as soon as they are sent. Addresses come and go per instance.

use super::action::{Action, BatchId};
use super::input::OpError;
use crate::net::{Address, AddressKey, Link, NetOp, NetTable, plan};
use crate::wire::LinkIndex;
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Between a refusal and the next try.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The addresses an instance should have on the interfaces.
pub(super) type Held = BTreeMap<AddressKey, Address>;

#[derive(Debug, Default)]
pub(super) struct NetKeeper {
    have: NetTable,
    known: bool,
    held: BTreeMap<InstanceName, Held>,
    /// How many instances want an address: two may share one.
    wanted: BTreeMap<AddressKey, u32>,
    /// Addresses that are ours to remove.
    owned: BTreeSet<AddressKey>,
    in_flight: BTreeMap<BatchId, Vec<NetOp>>,
    next_batch: u64,
    /// Refused operations, and when they are tried again.
    refused: Vec<NetOp>,
    retry_at: Option<Mono>,
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

    /// Whether an address is one of ours, wanted or still to be removed.
    pub(super) fn is_ours(&self, key: &AddressKey) -> bool {
        self.owned.contains(key) || self.wanted.contains_key(key)
    }

    /// What an instance should have now.
    pub(super) fn held(&self, name: &InstanceName) -> Option<&Held> {
        self.held.get(name)
    }

    /// Instances that should have this address.
    pub(super) fn holders<'a>(&'a self, key: &'a AddressKey) -> impl Iterator<Item = &'a InstanceName> + 'a {
        self.held
            .iter()
            .filter(move |(_, held)| held.contains_key(key))
            .map(|(name, _)| name)
    }

    pub(super) fn on_table(&mut self, table: NetTable) {
        self.have = table;
        self.known = true;
        let now_there = &self.have.addresses;
        self.owned.retain(|key| now_there.contains_key(key));
    }

    /// Returns the link as it was before.
    pub(super) fn on_link(&mut self, link: Link) -> Option<Link> {
        self.have.links.insert(link.index, link)
    }

    /// The interface is gone, and with it all it held.
    pub(super) fn on_link_gone(&mut self, index: LinkIndex) -> Option<Link> {
        self.have.addresses.retain(|key, _| key.link != index);
        self.owned.retain(|key| key.link != index);
        self.have.links.remove(&index)
    }

    /// True when it was not there before.
    pub(super) fn on_address(&mut self, key: AddressKey, address: Address) -> bool {
        self.have.addresses.insert(key, address).is_none()
    }

    /// True when somebody else took away an address that should be there.
    pub(super) fn on_address_gone(&mut self, key: &AddressKey) -> bool {
        let removing = self
            .in_flight
            .values()
            .flatten()
            .any(|op| matches!(op, NetOp::RemoveAddress { key: going } if going == key));
        if removing {
            return false;
        }
        self.owned.remove(key);
        self.have.addresses.remove(key).is_some() && self.wanted.contains_key(key)
    }

    /// These addresses of an earlier run are ours.
    pub(super) fn adopt(&mut self, keys: impl IntoIterator<Item = AddressKey>) {
        self.owned.extend(keys);
    }

    /// Makes an instance hold exactly `want`, then sends `frames` on the same lane, so that an address is announced
    /// once it exists.
    pub(super) fn set_held(
        &mut self,
        name: &InstanceName,
        want: Held,
        announcements: Vec<NetOp>,
        out: &mut VecDeque<Action>,
    ) {
        let before = self.held.remove(name).unwrap_or_default();
        for key in want.keys() {
            *self.wanted.entry(*key).or_default() += 1;
        }
        for key in before.keys() {
            if let Some(count) = self.wanted.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(key);
                }
            }
        }
        let removable: BTreeSet<AddressKey> = before
            .keys()
            .filter(|key| self.owned.contains(key) && !self.wanted.contains_key(key))
            .copied()
            .collect();
        let mut ops = plan(&want, &self.have, &removable);
        self.owned.extend(want.keys().copied());
        if !want.is_empty() {
            self.held.insert(name.clone(), want);
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
            // A refusal here will be reported by the kernel in its own time.
            let _ = self.have.apply(op);
            if let NetOp::RemoveAddress { key } = op {
                self.owned.remove(key);
            }
        }
        self.next_batch += 1;
        let id = BatchId(self.next_batch);
        out.push_back(Action::Net(id, ops.clone()));
        self.in_flight.insert(id, ops);
    }

    /// When refused operations are tried again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.retry_at
    }

    /// Removes once more what could not be removed, and gives the instances whose addresses have to be put on again.
    pub(super) fn on_tick(&mut self, now: Mono, out: &mut VecDeque<Action>) -> BTreeSet<InstanceName> {
        let mut names = BTreeSet::new();
        if self.retry_at.is_none_or(|at| now < at) {
            return names;
        }
        self.retry_at = None;
        let mut ops = Vec::new();
        for op in std::mem::take(&mut self.refused) {
            match op {
                NetOp::AddAddress { key, .. } => names.extend(self.holders(&key).cloned()),
                NetOp::RemoveAddress { key } if !self.wanted.contains_key(&key) => ops.push(op),
                NetOp::RemoveAddress { .. } | NetOp::Announce { .. } | NetOp::Sysctl { .. } => {}
            }
        }
        self.send(ops, out);
        names
    }

    /// A batch is over: what failed, with the operation.
    pub(super) fn on_done(
        &mut self,
        now: Mono,
        id: BatchId,
        failures: Vec<(usize, OpError)>,
    ) -> Vec<(NetOp, OpError)> {
        let Some(ops) = self.in_flight.remove(&id) else {
            return Vec::new();
        };
        let failed: Vec<(NetOp, OpError)> = failures
            .into_iter()
            .filter_map(|(place, error)| Some((ops.get(place)?.clone(), error)))
            .collect();
        if !failed.is_empty() {
            self.refused.extend(failed.iter().map(|(op, _)| op.clone()));
            self.retry_at.get_or_insert(now + RETRY_PAUSE);
        }
        for (op, _) in &failed {
            if let NetOp::AddAddress { key, .. } = op {
                self.have.addresses.remove(key);
            }
        }
        failed
    }
}
