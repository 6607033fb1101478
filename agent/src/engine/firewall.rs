//! Keeps packets away from the addresses of a MASTER that does not accept them (`no_accept`, strict mode).
//!
//! What a table holds is never read. It is made anew, whole and in one step, when the first address comes, after a
//! refusal, and when somebody else took something out of it; in between single addresses come and go. So what an earlier
//! run or another program left in a table of this name makes no difference.

use super::action::Action;
use super::net_keeper::Held;
use super::put_back::PutBack;
use super::{Engine, Ledger};
use crate::model::{Firewall, Instance};
use crate::net::{FirewallChange, FirewallOp, Guard, NetOp, Ruleset, TableName};
use lb_shared::event::What;
use lb_shared::names::{Family, InstanceName};
use lb_shared::state::ObjectId;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};

const FAMILIES: [Family; 2] = [Family::Inet, Family::Inet6];

#[derive(Clone, Debug, Default)]
pub(super) struct FirewallKeeper {
    settings: Firewall,
    held: BTreeMap<InstanceName, BTreeSet<Guard>>,
    /// How many instances want a guard: two may share an address.
    wanted: BTreeMap<Guard, u32>,
    /// Tables that are there by our doing.
    made: BTreeSet<TableName>,
    /// Left by an earlier run.
    left: BTreeSet<TableName>,
    /// Tables that are not as they should be: why, in the kernel's words.
    failed: BTreeMap<Family, String>,
    put_back: PutBack<Family>,
    /// Instances of which it was said that packets reach their addresses.
    open: BTreeSet<InstanceName>,
    /// All of it goes, at once and last.
    leaving: bool,
    watches: bool,
}

impl FirewallKeeper {
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.put_back.deadline()
    }

    /// What has been refused, for people.
    pub(super) fn trouble(&self) -> impl Iterator<Item = String> {
        self.failed.values().cloned()
    }

    /// What the next start must know.
    pub(super) fn for_ledger(&self) -> BTreeSet<TableName> {
        self.made.union(&self.left).cloned().collect()
    }

    pub(super) fn take_over(&mut self, earlier: &Ledger) {
        self.left = earlier.firewall.iter().cloned().collect();
    }

    /// The addresses go without a word each; [`Self::drop_all`] follows.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    fn name(&self, family: Family) -> TableName {
        TableName {
            family,
            name: self.settings.table.clone(),
        }
    }

    fn guards(&self, family: Family) -> BTreeSet<Guard> {
        let guards = self.wanted.keys();
        guards.filter(|it| it.family() == family).copied().collect()
    }

    /// Makes an instance's guards exactly these. Returns what to do before its addresses change, and what after.
    fn set(&mut self, owner: &InstanceName, guards: BTreeSet<Guard>) -> (Vec<NetOp>, Vec<NetOp>) {
        let (mut new, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for guard in &guards {
            let count = self.wanted.entry(*guard).or_default();
            *count += 1;
            if *count == 1 {
                new.insert(*guard);
            }
        }
        for guard in self.held.remove(owner).unwrap_or_default() {
            if let Some(count) = self.wanted.get_mut(&guard) {
                *count -= 1;
                if *count == 0 {
                    self.wanted.remove(&guard);
                    gone.insert(guard);
                }
            }
        }
        if guards.is_empty() {
            self.open.remove(owner);
        } else {
            self.held.insert(owner.clone(), guards);
        }
        if self.leaving {
            return (Vec::new(), Vec::new());
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for family in FAMILIES {
            let of_family = |all: &BTreeSet<Guard>| -> BTreeSet<Guard> {
                all.iter().filter(|it| it.family() == family).copied().collect()
            };
            let (new, gone) = (of_family(&new), of_family(&gone));
            let table = self.name(family);
            if self.made.contains(&table) && !self.failed.contains_key(&family) {
                if !new.is_empty() {
                    before.push(op(table.clone(), FirewallChange::Guard(new)));
                }
                if !gone.is_empty() {
                    after.push(op(table, FirewallChange::Unguard(gone)));
                }
            } else if !new.is_empty() {
                before.push(self.build(family));
            } else if !gone.is_empty() && self.guards(family).is_empty() {
                self.failed.remove(&family);
                self.put_back.forget(&family);
            }
        }
        (before, after)
    }

    fn build(&mut self, family: Family) -> NetOp {
        let table = self.name(family);
        self.left.remove(&table);
        self.made.insert(table.clone());
        let ruleset = Ruleset {
            priority: self.settings.priority,
            counters: self.settings.counters,
            guards: self.guards(family),
        };
        op(table, FirewallChange::Build(ruleset))
    }

    /// Other settings: tables in force are made anew by them, the rest goes.
    fn apply(&mut self, settings: &Firewall) -> Vec<NetOp> {
        if self.settings == *settings {
            return Vec::new();
        }
        self.settings = settings.clone();
        let before = std::mem::take(&mut self.made);
        let mut ops = Vec::new();
        for family in FAMILIES {
            if !self.guards(family).is_empty() {
                ops.push(self.build(family));
            }
        }
        let gone = before.into_iter().filter(|it| !self.made.contains(it));
        ops.extend(gone.map(|table| op(table, FirewallChange::Drop)));
        ops
    }

    fn drop_all(&mut self) -> Vec<NetOp> {
        self.failed.clear();
        for family in FAMILIES {
            self.put_back.forget(&family);
        }
        let made = std::mem::take(&mut self.made);
        made.into_iter()
            .map(|table| op(table, FirewallChange::Drop))
            .collect()
    }

    fn drop_left(&mut self) -> Vec<NetOp> {
        let left = std::mem::take(&mut self.left);
        left.into_iter()
            .map(|table| op(table, FirewallChange::Drop))
            .collect()
    }

    /// Tables that wait for another attempt.
    fn take_due(&mut self, now: Mono) -> Vec<NetOp> {
        let due = self.put_back.take_due(now);
        due.into_iter().map(|family| self.build(family)).collect()
    }

    /// Somebody took something out of a table. What is to be done about it now.
    fn on_lost(&mut self, now: Mono, table: &TableName) -> Option<NetOp> {
        if self.leaving || !self.made.contains(table) {
            return None;
        }
        if self.guards(table.family).is_empty() {
            // Nothing is missed; the next address makes it anew.
            self.made.remove(table);
            return None;
        }
        let at_once = self.put_back.on_lost(now, &table.family);
        at_once.then(|| self.build(table.family))
    }

    /// The kernel refused a change.
    fn on_refused(&mut self, now: Mono, op: &FirewallOp, why: &str) {
        if !self.made.contains(&op.table) {
            return;
        }
        self.put_back.on_refused(now, &op.table.family);
        self.failed.insert(op.table.family, format!("{op}: {why}"));
    }

    /// A table is as it should be. True when it was not.
    fn on_built(&mut self, table: &TableName) -> bool {
        self.made.contains(table) && self.failed.remove(&table.family).is_some()
    }

    /// Instances that lack a guard, with the reason, of which nothing was said yet.
    fn newly_open(&mut self) -> Vec<(InstanceName, String)> {
        let mut open = Vec::new();
        for (name, guards) in &self.held {
            let why = guards.iter().find_map(|it| self.failed.get(&it.family()));
            if let Some(why) = why
                && !self.open.contains(name)
            {
                open.push((name.clone(), why.clone()));
            }
        }
        self.open.extend(open.iter().map(|(name, _)| name.clone()));
        open
    }
}

fn op(table: TableName, change: FirewallChange) -> NetOp {
    NetOp::Firewall(Box::new(FirewallOp { table, change }))
}

impl Engine {
    /// What keeps packets from an instance's addresses while it holds them.
    pub(super) fn guards_of(&self, instance: &Instance, held: &Held) -> BTreeSet<Guard> {
        if instance.accept {
            return BTreeSet::new();
        }
        // Not the address its adverts come from.
        let virtual_ones = held
            .keys()
            .filter(|key| self.index.virtual_addresses.contains(&key.address));
        virtual_ones
            .map(|key| Guard::new(key.address, key.link))
            .collect()
    }

    /// Before an instance's addresses change. What it returns is for afterwards.
    #[must_use]
    pub(super) fn guard_addresses(&mut self, name: &InstanceName, guards: BTreeSet<Guard>) -> Vec<NetOp> {
        let (before, after) = self.firewall.set(name, guards);
        self.send_firewall(before);
        self.tell_open();
        after
    }

    pub(super) fn send_firewall(&mut self, ops: Vec<NetOp>) {
        self.ledger_due |= !ops.is_empty();
        self.net.send(ops, &mut self.queue);
    }

    /// The settings of a new model, before its instances take it.
    pub(super) fn apply_firewall(&mut self) {
        let ops = self.firewall.apply(&self.model.global.firewall);
        self.send_firewall(ops);
        let watch = self.model.instances.values().any(|it| !it.accept);
        if watch != self.firewall.watches {
            self.firewall.watches = watch;
            self.queue.push_back(Action::WatchFirewall(watch));
        }
    }

    /// After they took it: a table that none of them can need goes.
    pub(super) fn drop_idle_firewall(&mut self) {
        if !self.firewall.watches {
            self.drop_firewall();
        }
    }

    pub(super) fn drop_firewall(&mut self) {
        let ops = self.firewall.drop_all();
        self.send_firewall(ops);
    }

    /// Away with what an earlier run left and this one did not make its own.
    pub(super) fn clean_firewall(&mut self) {
        let ops = self.firewall.drop_left();
        self.send_firewall(ops);
    }

    pub(super) fn firewall_on_tick(&mut self) {
        let ops = self.firewall.take_due(self.now);
        self.send_firewall(ops);
    }

    pub(super) fn on_firewall_lost(&mut self, table: &TableName) {
        if let Some(op) = self.firewall.on_lost(self.now, table) {
            self.say(
                What::DriftHealed,
                format!("nftables table {table} is put back"),
                Some("somebody removed it or something in it".into()),
            );
            self.send_firewall(vec![op]);
        }
    }

    /// Nobody knows what the tables hold: they are made anew.
    pub(super) fn firewall_again(&mut self) {
        let made: Vec<TableName> = self.firewall.made.iter().cloned().collect();
        let ops = made
            .iter()
            .filter_map(|table| self.firewall.on_lost(self.now, table))
            .collect();
        self.send_firewall(ops);
    }

    /// The kernel answered.
    pub(super) fn on_firewall_answer(&mut self, op: &FirewallOp, refusal: Option<String>) {
        match (refusal, &op.change) {
            (Some(why), FirewallChange::Drop) => {
                self.say(What::KernelRefused, op.to_string(), Some(why));
            }
            (Some(why), _) => {
                self.firewall.on_refused(self.now, op, &why);
                self.tell_open();
            }
            (None, FirewallChange::Build(_)) if self.firewall.on_built(&op.table) => {
                if self.firewall.failed.is_empty() {
                    for name in std::mem::take(&mut self.firewall.open) {
                        let text = "packets to its addresses are dropped now".to_owned();
                        self.emit(What::KernelRecovered, ObjectId::Instance(name), text, None, None);
                    }
                }
            }
            (None, _) => {}
        }
    }

    fn tell_open(&mut self) {
        for (name, why) in self.firewall.newly_open() {
            let text = "packets to its addresses are accepted, against no_accept or strict mode".to_owned();
            let why = format!("{why}; tried again every second");
            self.emit(
                What::KernelRefused,
                ObjectId::Instance(name),
                text,
                Some(why),
                None,
            );
            self.touch(ObjectId::Agent);
        }
    }
}
