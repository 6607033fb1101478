//! `lbagent cleanup`: after an exit that was no goodbye, what the agent put on interfaces must not stay for ever.
//!
//! Runs after every exit and must not wait. It shares nothing with what can have caused a crash: no configuration, no
//! engine. Virtual addresses go unless their last advert is younger than two intervals: those are for the restarted agent
//! to adopt. Static addresses, interfaces of the instances' own, routes, rules and tables of nf_tables endanger nobody:
//! they stay for it, too, if somebody starts it again, and go otherwise, with the settings that were changed for them as
//! they were.

use super::lane::NetLane;
use super::loader::tell;
use super::lock;
use super::nft_socket::OwnPort;
use super::rtnl_socket::Monitor;
use super::store;
use crate::engine::{BatchId, NetNews, Previous};
use crate::net::{AddressKey, FirewallChange, FirewallOp, NetOp, NetTable, Routing};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Removes what is stale, and says what it did.
pub fn run(run_dir: &Path) -> anyhow::Result<()> {
    // A living agent looks after its addresses itself.
    let _lock = match lock::take(run_dir) {
        Ok(lock) => lock,
        Err(why) => {
            tell(&format!("nothing to clean up: {why}"));
            return Ok(());
        }
    };
    let table = read_table()?;
    let result = std::env::var("SERVICE_RESULT").ok();
    let returns = starts_again(result.as_deref(), store::handed_over(run_dir));
    let ops = match store::load_ledger(run_dir).0 {
        Some(previous) => leftovers(&previous, &table, returns),
        // A damaged ledger: go by the kernel's own mark.
        None if run_dir.join("ledger.json").exists() => table
            .addresses
            .iter()
            .filter(|(_, it)| it.ours)
            .map(|(key, _)| removal(key, &table))
            .collect(),
        None => Vec::new(),
    };
    if ops.is_empty() {
        tell("nothing to clean up");
        return Ok(());
    }
    let (done, wait) = mpsc::channel();
    let lane = NetLane::start(OwnPort::default(), move |news| {
        if let NetNews::Done(_, failures) = news {
            let _ = done.send(failures);
        }
    });
    lane.submit(BatchId(1), ops.clone());
    let failures = wait.recv_timeout(PATIENCE).context("the kernel did not answer")?;
    for (place, op) in ops.iter().enumerate() {
        if failures.iter().all(|(failed, _)| *failed != place) {
            tell(&format!(
                "{}: left by an agent that is gone",
                done_text(op, &table)
            ));
        }
    }
    match failures.first() {
        None => Ok(()),
        Some((_, error)) => anyhow::bail!("{} could not be undone: {}", failures.len(), error.text),
    }
}

/// The links and addresses of this host.
pub(super) fn read_table() -> anyhow::Result<NetTable> {
    let (news, wait) = mpsc::channel();
    let _monitor = Monitor::start(move |it| {
        let _ = news.send(it);
    })?;
    match wait.recv_timeout(PATIENCE).context("cannot read the addresses")? {
        NetNews::Table(table) => Ok(table),
        other => anyhow::bail!("the kernel began with {other:?}"),
    }
}

/// Whether systemd starts the agent again after an exit with this `$SERVICE_RESULT`, as the unit says it. One that leaves
/// in order leaves nothing; one that hands over leaves all of it to the one that follows.
fn starts_again(result: Option<&str>, handed_over: bool) -> bool {
    match result {
        None | Some("start-limit-hit") => false,
        Some("success") => handed_over,
        Some(_) => true,
    }
}

/// What is to be undone. `returns`: an agent comes that takes over what endangers nobody.
fn leftovers(previous: &Previous, table: &NetTable, returns: bool) -> Vec<NetOp> {
    let ledger = &previous.ledger;
    let mut keys = BTreeSet::new();
    let mut adoptable = false;
    for (name, master) in &ledger.masters {
        let limit = 2 * Duration::from_micros(master.advert_interval_us);
        if previous.sent_ago.get(name).is_some_and(|ago| *ago < limit) {
            adoptable = true;
        } else {
            keys.extend(there(&master.addresses, table));
        }
    }
    let all = !adoptable && !returns;
    if all {
        keys.extend(there(&ledger.static_addresses, table));
    }
    let mut ops = Vec::new();
    if all {
        // Rules before the routes they lead to.
        let routing = Routing::placed(table, |_| true, &ledger.routes, &ledger.rules);
        let routing = routing.into_iter().rev();
        ops.extend(routing.map(|it| NetOp::RemoveRouting(Box::new(it))));
    }
    ops.extend(keys.iter().map(|key| removal(key, table)));
    if all {
        let tables = ledger.firewall.iter().cloned();
        ops.extend(tables.map(|table| {
            let change = FirewallChange::Drop;
            NetOp::Firewall(Box::new(FirewallOp { table, change }))
        }));
        let links = ledger.links.iter().filter_map(|name| table.link(name));
        // A name may be somebody else's by now.
        let ours = links.filter(|link| link.over().is_some());
        ops.extend(ours.map(|link| NetOp::RemoveLink { link: link.index }));
        let settings = ledger.link_sysctls.iter();
        ops.extend(settings.map(|(path, value)| NetOp::Sysctl {
            path: path.clone(),
            value: value.clone(),
        }));
    }
    ops
}

/// Those of a list that the kernel has.
pub(super) fn there(list: &[(String, IpAddr, u8)], table: &NetTable) -> Vec<AddressKey> {
    let key = |(device, address, prefix_len): &(String, IpAddr, u8)| {
        let key = AddressKey {
            link: table.link(device)?.index,
            address: *address,
            prefix_len: *prefix_len,
        };
        table.addresses.contains_key(&key).then_some(key)
    };
    list.iter().filter_map(key).collect()
}

fn removal(key: &AddressKey, table: &NetTable) -> NetOp {
    NetOp::RemoveAddress {
        key: *key,
        peer: table.addresses.get(key).and_then(|it| it.extras.peer),
    }
}

fn done_text(op: &NetOp, table: &NetTable) -> String {
    match op {
        NetOp::RemoveAddress { key, .. } => format!("removed {key}"),
        NetOp::RemoveLink { link } => {
            let name = table.links.get(link).map_or("?", |it| it.name.as_str());
            format!("removed interface {name}")
        }
        NetOp::RemoveRouting(it) => format!("removed {it}"),
        NetOp::Firewall(it) => format!("removed table {} of nftables", it.table),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Ledger, LedgerMaster};
    use crate::model::{Leg, Route, Rule, RuleAction};
    use crate::net::{Address, Link, TableName};
    use crate::wire::LinkIndex;
    use lb_shared::names::Family;

    const VIP: &str = "192.0.2.100";
    const FIXED: &str = "192.0.2.200";

    fn link(index: u32, name: &str, over: Option<u32>) -> Link {
        Link {
            index: LinkIndex(index),
            name: name.to_owned(),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1500,
            mac: vec![2, 0, 0, 0, 0, 1],
            private_over: over.map(LinkIndex),
            ..Link::default()
        }
    }

    fn route(device: &str, destination: &str) -> Route {
        let leg = Leg {
            device: Some(device.to_owned()),
            ..Leg::default()
        };
        Route {
            legs: vec![leg],
            ..Route::to((destination.parse().unwrap(), 24))
        }
    }

    /// A master with its address on an interface of its own, a static address, a setting that was changed, a rule and
    /// a route (another went with its interface), and a table of nf_tables.
    fn left(sent_ago_ms: u64) -> (Previous, NetTable) {
        let mut table = NetTable::default();
        for it in [link(2, "eth0", None), link(7, "vrrp.51", Some(2))] {
            table.links.insert(it.index, it);
        }
        for (link, text) in [(7, VIP), (2, FIXED)] {
            let key = AddressKey {
                link: LinkIndex(link),
                address: text.parse().unwrap(),
                prefix_len: 24,
            };
            table.addresses.insert(key, Address::default());
        }
        let at = |device: &str, text: &str| vec![(device.to_owned(), text.parse().unwrap(), 24)];
        let master = LedgerMaster {
            advert_interval_us: 1_000_000,
            addresses: at("vrrp.51", VIP),
            ..LedgerMaster::default()
        };
        let ledger = Ledger {
            masters: [("VI_1".to_owned(), master)].into(),
            static_addresses: at("eth0", FIXED),
            links: ["vrrp.51".to_owned(), "gone.52".to_owned(), "eth0".to_owned()].into(),
            routes: vec![route("eth0", "198.51.100.0"), route("gone.52", "203.0.113.0")],
            rules: vec![Rule::new(Family::Inet, 1000, RuleAction::Lookup(100))],
            firewall: vec![TableName {
                family: Family::Inet,
                name: "lb".to_owned(),
            }],
            link_sysctls: [("net/ipv4/conf/eth0/arp_ignore".to_owned(), "0".to_owned())].into(),
            ..Ledger::default()
        };
        let sent_ago = [("VI_1".to_owned(), Duration::from_millis(sent_ago_ms))].into();
        (Previous { ledger, sent_ago }, table)
    }

    fn undone(sent_ago_ms: u64, returns: bool) -> Vec<String> {
        let (previous, table) = left(sent_ago_ms);
        let ops = leftovers(&previous, &table, returns);
        ops.iter().map(|op| done_text(op, &table)).collect()
    }

    #[test]
    fn what_nobody_comes_back_for_is_undone() {
        let all = [
            "removed IPv4 rule 1000",
            "removed route 198.51.100.0/24 dev eth0 table 254",
            "removed 192.0.2.200/24 on link 2",
            "removed 192.0.2.100/24 on link 7",
            "removed table ip lb of nftables",
            "removed interface vrrp.51",
            "set net/ipv4/conf/eth0/arp_ignore to 0",
        ];
        assert_eq!(undone(2_500, false), all);
    }

    #[test]
    fn a_mastership_that_can_go_on_keeps_all_it_stands_on() {
        assert_eq!(undone(1_500, false), [""; 0]);
    }

    #[test]
    fn an_agent_that_is_started_again_finds_all_but_addresses_that_others_have_by_now() {
        assert_eq!(undone(2_500, true), ["removed 192.0.2.100/24 on link 7"]);
        for (result, handed_over, again) in [
            (Some("success"), false, false),
            (Some("success"), true, true),
            (Some("start-limit-hit"), true, false),
            (Some("signal"), false, true),
            (Some("exit-code"), false, true),
            (Some("watchdog"), false, true),
            // Somebody calls for it by hand.
            (None, true, false),
        ] {
            assert_eq!(
                starts_again(result, handed_over),
                again,
                "{result:?} {handed_over}"
            );
        }
    }
}
