//! `lbagent cleanup`: after an exit that was no goodbye, the addresses must not stay for ever.
//!
//! Runs after every exit and must not wait. It shares nothing with what can have caused a crash: no configuration, no
//! engine. What is younger than two intervals is left for the restarted agent to adopt.

use super::lane::NetLane;
use super::lock;
use super::nft_socket::OwnPort;
use super::rtnl_socket::Monitor;
use super::store;
use crate::engine::{BatchId, NetNews, Previous};
use crate::net::{AddressKey, NetOp, NetTable};
use anyhow::Context as _;
use std::collections::BTreeSet;
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
            println!("nothing to clean up: {why}");
            return Ok(());
        }
    };
    let table = read_table()?;
    let stale = match store::load_ledger(run_dir).0 {
        Some(previous) => stale(&previous, &table),
        // A damaged ledger: go by the kernel's own mark.
        None if run_dir.join("ledger.json").exists() => table
            .addresses
            .iter()
            .filter(|(_, it)| it.ours)
            .map(|(key, _)| *key)
            .collect(),
        None => BTreeSet::new(),
    };
    if stale.is_empty() {
        println!("nothing to clean up");
        return Ok(());
    }
    let (done, wait) = mpsc::channel();
    let lane = NetLane::start(OwnPort::default(), move |news| {
        if let NetNews::Done(_, failures) = news {
            let _ = done.send(failures);
        }
    });
    let ops: Vec<NetOp> = stale
        .iter()
        .map(|key| NetOp::RemoveAddress {
            key: *key,
            peer: table.addresses.get(key).and_then(|it| it.extras.peer),
        })
        .collect();
    lane.submit(BatchId(1), ops);
    let failures = wait.recv_timeout(PATIENCE).context("the kernel did not answer")?;
    for key in &stale {
        println!("removed {key}, left by an agent that is gone");
    }
    match failures.first() {
        None => Ok(()),
        Some((_, error)) => anyhow::bail!("{} could not be removed: {}", failures.len(), error.text),
    }
}

/// The links and addresses of this host.
fn read_table() -> anyhow::Result<NetTable> {
    let (news, wait) = mpsc::channel();
    let _monitor = Monitor::start(move |it| {
        let _ = news.send(it);
    })?;
    match wait.recv_timeout(PATIENCE).context("cannot read the addresses")? {
        NetNews::Table(table) => Ok(table),
        other => anyhow::bail!("the kernel began with {other:?}"),
    }
}

/// Addresses of instances whose last advert is older than two intervals.
fn stale(previous: &Previous, table: &NetTable) -> BTreeSet<AddressKey> {
    let mut keys = BTreeSet::new();
    for (name, master) in &previous.ledger.masters {
        let limit = 2 * Duration::from_micros(master.advert_interval_us);
        if previous.sent_ago.get(name).is_some_and(|ago| *ago < limit) {
            continue;
        }
        for (device, address, prefix_len) in &master.addresses {
            if let Some(link) = table.link(device) {
                let key = AddressKey {
                    link: link.index,
                    address: *address,
                    prefix_len: *prefix_len,
                };
                keys.extend(table.addresses.contains_key(&key).then_some(key));
            }
        }
    }
    keys
}
