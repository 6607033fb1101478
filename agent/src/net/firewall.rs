//! The tables of nf_tables that keep packets away from virtual addresses their MASTER does not accept packets for.
//!
//! nf_tables carries out a transaction whole or not at all. So a table is made anew, in one go, whenever it is not known
//! to be there as it should be; while it is, single addresses come and go.

use crate::wire::LinkIndex;
use lb_shared::names::Family;
use std::collections::BTreeSet;
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

/// What a table holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ruleset {
    /// Of its chains, among others at the same hook.
    pub priority: i32,
    /// Its rules count what they drop.
    pub counters: bool,
    pub guards: BTreeSet<Guard>,
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
    /// There is none.
    Drop,
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
                write!(f, "make nftables table {table} for {}", addresses(&it.guards))
            }
            FirewallChange::Guard(it) => write!(f, "add {} to nftables table {table}", addresses(it)),
            FirewallChange::Unguard(it) => write!(f, "remove {} from nftables table {table}", addresses(it)),
            FirewallChange::Drop => write!(f, "remove nftables table {table}"),
        }
    }
}

/// Not a line of thousands.
fn addresses(guards: &BTreeSet<Guard>) -> String {
    let shown: Vec<String> = guards.iter().take(4).map(|it| it.address.to_string()).collect();
    match guards.len().saturating_sub(shown.len()) {
        0 if shown.is_empty() => "no address".to_owned(),
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl super::NetTable {
    /// Does what the kernel would do.
    pub(super) fn apply_firewall(&mut self, op: &FirewallOp) -> Result<(), i32> {
        const ENOENT: i32 = 2;
        match &op.change {
            FirewallChange::Build(ruleset) => {
                self.firewall.insert(op.table.clone(), ruleset.clone());
            }
            FirewallChange::Guard(new) => {
                let there = self.firewall.get_mut(&op.table).ok_or(ENOENT)?;
                there.guards.extend(new);
            }
            FirewallChange::Unguard(gone) => {
                let there = self.firewall.get_mut(&op.table).ok_or(ENOENT)?;
                if !gone.is_subset(&there.guards) {
                    return Err(ENOENT);
                }
                there.guards.retain(|it| !gone.contains(it));
            }
            FirewallChange::Drop => drop(self.firewall.remove(&op.table)),
        }
        Ok(())
    }
}
