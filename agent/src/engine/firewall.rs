//! The tables of nf_tables. Guards keep packets away from the addresses of a MASTER that does not accept them (`no_accept`,
//! strict mode). Relays keep the MACs of `use_vmac` out of reports of multicast groups. They are in tables of their own,
//! for a kernel may be able to do the one and not the other.
//!
//! What a table holds is never read. It is made anew, whole and in one step, when the first element comes, after a
//! refusal, and when somebody else took something out of it; in between single elements come and go. So what an earlier
//! run or another program left in a table of this name makes no difference.

use super::action::Action;
use super::net_keeper::Held;
use super::put_back::PutBack;
use super::{Engine, Ledger};
use crate::model::{Firewall, Instance, OwnKind};
use crate::net::{Content, FirewallChange, FirewallOp, Guard, NetOp, Relays, Ruleset, TableName};
use lb_shared::event::What;
use lb_shared::names::{Family, InstanceName};
use lb_shared::state::ObjectId;
use lb_shared::units::Mono;
use std::collections::{BTreeMap, BTreeSet};

const FAMILIES: [Family; 2] = [Family::Inet, Family::Inet6];

/// One of the tables.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Table {
    Guards(Family),
    Relays(Family),
}

impl Table {
    const ALL: [Self; 4] = [
        Self::Guards(Family::Inet),
        Self::Guards(Family::Inet6),
        Self::Relays(Family::Inet),
        Self::Relays(Family::Inet6),
    ];
}

#[derive(Clone, Debug, Default)]
pub(super) struct FirewallKeeper {
    settings: Firewall,
    held: BTreeMap<InstanceName, BTreeSet<Guard>>,
    /// How many instances want a guard: two may share an address.
    wanted: BTreeMap<Guard, u32>,
    relays: BTreeMap<Family, Relays>,
    /// Tables that are there by our doing.
    made: BTreeSet<TableName>,
    /// Left by an earlier run.
    left: BTreeSet<TableName>,
    /// Tables that are not as they should be: why, in the kernel's words.
    failed: BTreeMap<Table, String>,
    put_back: PutBack<Table>,
    /// Instances of which it was said that packets reach their addresses.
    open: BTreeSet<InstanceName>,
    /// It was said that relays are missing.
    relays_missed: bool,
    /// All of it goes, at once and last.
    leaving: bool,
    /// What the model may need.
    guards_used: bool,
    relays_used: bool,
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

    /// The addresses go without a word each; [`Self::drop`] follows.
    pub(super) fn leave(&mut self) {
        self.leaving = true;
    }

    fn name(&self, table: Table) -> TableName {
        let own = &self.settings.table;
        match table {
            Table::Guards(family) => TableName {
                family,
                name: own.clone(),
            },
            Table::Relays(family) => TableName {
                family,
                name: format!("{own}_vmac"),
            },
        }
    }

    /// Which of those that are there by our doing has this name.
    fn made_by_name(&self, name: &TableName) -> Option<Table> {
        let made = self.made.contains(name);
        Table::ALL.into_iter().find(|it| made && self.name(*it) == *name)
    }

    fn content(&self, table: Table) -> Content {
        match table {
            Table::Guards(family) => Content::Guards(self.guards(family)),
            Table::Relays(family) => Content::Relays(self.relays.get(&family).cloned().unwrap_or_default()),
        }
    }

    fn is_empty(&self, table: Table) -> bool {
        match table {
            Table::Guards(family) => self.guards(family).is_empty(),
            Table::Relays(family) => self.relays.get(&family).is_none_or(Relays::is_empty),
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
            let table = Table::Guards(family);
            if self.stands(table) {
                if !new.is_empty() {
                    before.push(op(self.name(table), FirewallChange::Guard(new)));
                }
                if !gone.is_empty() {
                    after.push(op(self.name(table), FirewallChange::Unguard(gone)));
                }
            } else if !new.is_empty() {
                before.push(self.build(table));
            } else if !gone.is_empty() && self.is_empty(table) {
                self.forget(table);
            }
        }
        (before, after)
    }

    /// Makes a family's relays exactly these.
    fn relay(&mut self, family: Family, relays: Relays) -> Vec<NetOp> {
        if self.leaving {
            return Vec::new();
        }
        let before = self.relays.insert(family, relays.clone()).unwrap_or_default();
        let without = |all: &Relays, others: &Relays| -> Relays {
            let rest = all
                .iter()
                .filter(|(name, below)| others.get(*name) != Some(*below));
            rest.map(|(name, below)| (name.clone(), *below)).collect()
        };
        let (new, gone) = (without(&relays, &before), without(&before, &relays));
        if new.is_empty() && gone.is_empty() {
            return Vec::new();
        }
        let table = Table::Relays(family);
        if relays.is_empty() {
            self.forget(table);
            let name = self.name(table);
            let made = self.made.remove(&name);
            return made.then(|| op(name, FirewallChange::Drop)).into_iter().collect();
        }
        if !self.stands(table) {
            return vec![self.build(table)];
        }
        let mut ops = Vec::new();
        if !gone.is_empty() {
            ops.push(op(self.name(table), FirewallChange::Unrelay(gone)));
        }
        if !new.is_empty() {
            ops.push(op(self.name(table), FirewallChange::Relay(new)));
        }
        ops
    }

    /// Whether a table is as it should be, as far as is known.
    fn stands(&self, table: Table) -> bool {
        self.made.contains(&self.name(table)) && !self.failed.contains_key(&table)
    }

    /// Nobody needs a table.
    fn forget(&mut self, table: Table) {
        self.failed.remove(&table);
        self.put_back.forget(&table);
    }

    fn build(&mut self, table: Table) -> NetOp {
        let name = self.name(table);
        self.left.remove(&name);
        self.made.insert(name.clone());
        let ruleset = Ruleset {
            priority: self.settings.priority,
            counters: self.settings.counters,
            content: self.content(table),
        };
        op(name, FirewallChange::Build(ruleset))
    }

    /// Other settings: tables in force are made anew by them, the rest goes.
    fn apply(&mut self, settings: &Firewall) -> Vec<NetOp> {
        if self.settings == *settings {
            return Vec::new();
        }
        self.settings = settings.clone();
        let before = std::mem::take(&mut self.made);
        let mut ops = Vec::new();
        for table in Table::ALL {
            if !self.is_empty(table) {
                ops.push(self.build(table));
            }
        }
        let gone = before.into_iter().filter(|it| !self.made.contains(it));
        ops.extend(gone.map(|table| op(table, FirewallChange::Drop)));
        ops
    }

    fn drop(&mut self, tables: &[Table]) -> Vec<NetOp> {
        let mut ops = Vec::new();
        for table in tables {
            self.forget(*table);
            let name = self.name(*table);
            if self.made.remove(&name) {
                ops.push(op(name, FirewallChange::Drop));
            }
        }
        ops
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
        due.into_iter().map(|table| self.build(table)).collect()
    }

    /// Somebody took something out of a table. What is to be done about it now.
    fn on_lost(&mut self, now: Mono, name: &TableName) -> Option<NetOp> {
        let table = self.made_by_name(name).filter(|_| !self.leaving)?;
        if self.is_empty(table) {
            // Nothing is missed; the next element makes it anew.
            self.made.remove(name);
            return None;
        }
        let at_once = self.put_back.on_lost(now, &table);
        at_once.then(|| self.build(table))
    }

    /// The kernel refused a change.
    fn on_refused(&mut self, now: Mono, op: &FirewallOp, why: &str) {
        if let Some(table) = self.made_by_name(&op.table) {
            self.put_back.on_refused(now, &table);
            self.failed.insert(table, format!("{op}: {why}"));
        }
    }

    /// A table is as it should be.
    fn on_built(&mut self, name: &TableName) {
        if let Some(table) = self.made_by_name(name) {
            self.failed.remove(&table);
        }
    }

    /// Instances all of whose guards are there, though it was said that some are not.
    fn closed_again(&mut self) -> BTreeSet<InstanceName> {
        let guards_fail = FAMILIES
            .iter()
            .any(|it| self.failed.contains_key(&Table::Guards(*it)));
        if guards_fail {
            return BTreeSet::new();
        }
        std::mem::take(&mut self.open)
    }

    /// Why relays are missing, if that has changed.
    fn relays_turned(&mut self) -> Option<Option<String>> {
        let why = FAMILIES
            .iter()
            .find_map(|it| self.failed.get(&Table::Relays(*it)));
        let turned = why.is_some() != self.relays_missed;
        self.relays_missed = why.is_some();
        turned.then(|| why.cloned())
    }

    /// Instances that lack a guard, with the reason, of which nothing was said yet.
    fn newly_open(&mut self) -> Vec<(InstanceName, String)> {
        let mut open = Vec::new();
        for (name, guards) in &self.held {
            let why = guards
                .iter()
                .find_map(|it| self.failed.get(&Table::Guards(it.family())));
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
        let keeper = &mut self.firewall;
        let watched = keeper.guards_used || keeper.relays_used;
        let mut instances = self.model.instances.values();
        keeper.guards_used = instances.any(|it| !it.accept);
        let mut links = self.model.instances.values().flat_map(|it| it.own_links());
        keeper.relays_used = links.any(|it| matches!(it.kind, OwnKind::Macvlan(_)));
        let watch = keeper.guards_used || keeper.relays_used;
        if watch != watched {
            self.queue.push_back(Action::WatchFirewall(watch));
        }
    }

    /// After they took it: guards that none of them can need go.
    pub(super) fn drop_idle_firewall(&mut self) {
        if !self.firewall.guards_used {
            let ops = self.firewall.drop(&FAMILIES.map(Table::Guards));
            self.send_firewall(ops);
        }
    }

    pub(super) fn drop_firewall(&mut self) {
        let ops = self.firewall.drop(&Table::ALL);
        self.send_firewall(ops);
    }

    /// Before links with MACs of their own are made, and after they are gone.
    pub(super) fn relay_reports(&mut self) {
        for family in FAMILIES {
            let mut relays = self.firewall.relays.get(&family).cloned().unwrap_or_default();
            relays.retain(|name, _| self.vmacs.owns(name));
            for link in self.vmacs.macvlans(family) {
                if let Some(below) = self.net.have().link(&link.parent) {
                    relays.insert(link.name.clone(), below.index);
                }
            }
            let ops = self.firewall.relay(family, relays);
            self.send_firewall(ops);
        }
        self.tell_missing_relays();
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
                self.tell_missing_relays();
            }
            (None, FirewallChange::Build(_)) => {
                self.firewall.on_built(&op.table);
                for name in self.firewall.closed_again() {
                    let text = "packets to its addresses are dropped now".to_owned();
                    self.emit(What::KernelRecovered, ObjectId::Instance(name), text, None, None);
                }
                self.tell_missing_relays();
            }
            (None, _) => {}
        }
    }

    fn tell_missing_relays(&mut self) {
        match self.firewall.relays_turned() {
            Some(Some(why)) => self.say(
                What::KernelRefused,
                "reports of multicast groups leave with the MACs of use_vmac",
                Some(format!(
                    "{why}; tried again every second. A switch may look for such a MAC here while this node is BACKUP, until \
                     the MASTER's next advert"
                )),
            ),
            Some(None) => self.say(
                What::KernelRecovered,
                "reports of multicast groups leave with the MACs of the interfaces below use_vmac",
                None,
            ),
            None => return,
        }
        self.touch(ObjectId::Agent);
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
