//! The tables of nf_tables: those that keep packets away from virtual addresses their MASTER does not accept packets
//! for, and those that keep the virtual MAC out of reports of multicast groups.
//!
//! nf_tables carries out a transaction whole or not at all. So a table is made anew, in one go, whenever it is not known
//! to be there as it should be; while it is, single addresses come and go.

use crate::wire::LinkIndex;
use lb_shared::names::Family;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// A table: each family has its own.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct TableName {
    pub family: Family,
    pub name: String,
}

/// An address that packets are kept from, both those to it and those in its name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct Guard {
    pub address: IpAddr,
    /// Where the address means this host on one link only (IPv6 link-local).
    pub link: Option<LinkIndex>,
}

impl Guard {
    /// `link`: where the address is held.
    pub fn new(address: IpAddr, link: LinkIndex) -> Self {
        let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        Self {
            address,
            link: local.then_some(link),
        }
    }

    /// Which of the two tables it belongs to.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

/// Interfaces with a virtual router's MAC, by name, and those below them. What the kernel reports of multicast groups on
/// one leaves by the interface below, with its MAC: else switches look for the virtual MAC at a node that is not MASTER.
/// By name, so that it holds before the interface is there.
pub type Relays = BTreeMap<String, LinkIndex>;

/// What a table is there for.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Content {
    Guards(BTreeSet<Guard>),
    Relays(Relays),
}

/// What a table holds.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ruleset {
    /// Of its chains, among others at the same hook.
    pub priority: i32,
    /// Its rules count what they drop.
    pub counters: bool,
    pub content: Content,
}

/// One change of one table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FirewallOp {
    pub table: TableName,
    pub change: FirewallChange,
}

/// What is done to a table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FirewallChange {
    /// The table is this and nothing else, whatever it was.
    Build(Ruleset),
    Guard(BTreeSet<Guard>),
    Unguard(BTreeSet<Guard>),
    Relay(Relays),
    Unrelay(Relays),
    /// There is none.
    Drop,
}

impl FirewallOp {
    /// Whether it makes a table of [`Content::Relays`].
    pub(super) fn relays(&self) -> bool {
        matches!(&self.change, FirewallChange::Build(it) if matches!(it.content, Content::Relays(_)))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            Family::Inet => "ip",
            Family::Inet6 => "ip6",
        };
        write!(f, "{family} {}", self.name)
    }
}

impl fmt::Display for FirewallOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.table;
        match &self.change {
            FirewallChange::Build(it) => {
                write!(f, "make nftables table {table} for {}", it.content)
            }
            FirewallChange::Guard(it) => write!(f, "add {} to nftables table {table}", addresses(it)),
            FirewallChange::Unguard(it) => write!(f, "remove {} from nftables table {table}", addresses(it)),
            FirewallChange::Relay(it) => write!(f, "add {} to nftables table {table}", interfaces(it)),
            FirewallChange::Unrelay(it) => write!(f, "remove {} from nftables table {table}", interfaces(it)),
            FirewallChange::Drop => write!(f, "remove nftables table {table}"),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::Guards(it) => addresses(it),
            Self::Relays(it) => interfaces(it),
        })
    }
}

fn addresses(guards: &BTreeSet<Guard>) -> String {
    some_of("address", guards.iter().map(|it| it.address))
}

fn interfaces(relays: &Relays) -> String {
    some_of("interface", relays.keys())
}

/// Not a line of thousands.
fn some_of(what: &str, all: impl ExactSizeIterator<Item = impl fmt::Display>) -> String {
    let count = all.len();
    let shown: Vec<String> = all.take(4).map(|it| it.to_string()).collect();
    match count - shown.len() {
        0 if shown.is_empty() => format!("no {what}"),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl super::NetTable {
    /// Does what the kernel would do.
    pub(super) fn apply_firewall(&mut self, op: &FirewallOp) -> Result<(), i32> {
        const ENOENT: i32 = 2;
        let there = self.firewall.get_mut(&op.table).map(|it| &mut it.content);
        match (&op.change, there) {
            (FirewallChange::Build(ruleset), _) => {
                self.firewall.insert(op.table.clone(), ruleset.clone());
            }
            (FirewallChange::Drop, _) => drop(self.firewall.remove(&op.table)),
            (FirewallChange::Guard(new), Some(Content::Guards(there))) => there.extend(new),
            (FirewallChange::Unguard(gone), Some(Content::Guards(there))) if gone.is_subset(there) => {
                there.retain(|it| !gone.contains(it));
            }
            (FirewallChange::Relay(new), Some(Content::Relays(there))) => {
                there.extend(new.iter().map(|(name, below)| (name.clone(), *below)));
            }
            (FirewallChange::Unrelay(gone), Some(Content::Relays(there)))
                if gone.keys().all(|name| there.contains_key(name)) =>
            {
                there.retain(|name, _| !gone.contains_key(name));
            }
            _ => return Err(ENOENT),
        }
        Ok(())
    }
}
