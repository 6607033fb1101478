//! `lbagent take-over`: ends a running keepalived in a way that the agent, started next, can go on in its place.
//!
//! keepalived is killed, not stopped: a stop would take the addresses and the services away, and all connections with
//! them. What it leaves is written down as an agent of ours would have left it after a crash; adopting that is the engine's
//! everyday work.

use super::cleanup::{read_table, there};
use super::clock;
use super::lock::{self, Keepalived};
use super::store;
use crate::engine::{Ledger, LedgerMaster};
use crate::model::{Instance, Model};
use crate::net::NetTable;
use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the kernel may take to end the processes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends keepalived and says what was done, and how long the agent may take to start.
///
/// # Errors
/// With every one of them keepalived runs on as before, unless the error says that it was killed.
pub fn run(run_dir: &Path, model: &Model, dry_run: bool) -> anyhow::Result<()> {
    let _lock = lock::take(run_dir)?;
    let processes = processes()?;
    let masters = masters(model, &read_table()?)?;
    for (name, master) in &masters {
        println!("{name}: MASTER, holds {}", listed(master));
    }
    let pids = (processes.iter().map(|it| it.pid.to_string()))
        .collect::<Vec<_>>()
        .join(", ");
    if dry_run {
        println!("would end keepalived (pid {pids}); nothing was touched");
        return Ok(());
    }
    end(run_dir, &processes, masters.clone())?;
    println!("keepalived (pid {pids}) is ended; addresses and IPVS are as it left them");
    match masters.values().map(|it| it.advert_interval_us).min() {
        Some(interval) => println!(
            "start the agent within {:?}, or the other node takes over: systemctl start lbagent",
            Duration::from_micros(interval)
        ),
        None => println!("this node is MASTER of nothing: start the agent at leisure"),
    }
    Ok(())
}

fn processes() -> anyhow::Result<Vec<Keepalived>> {
    let found = lock::processes_of_keepalived();
    if found.is_empty() {
        bail!("no keepalived runs here; nothing was touched\n  start the agent: systemctl start lbagent");
    }
    if let Some(other) = found.iter().find(|it| !it.surely_here) {
        bail!(
            "a keepalived (pid {}) may run in another network namespace; nothing was touched\n  \
             it takes CAP_SYS_PTRACE to know: run this outside the service's own limits",
            other.pid
        );
    }
    Ok(found)
}

/// The instances that are MASTER here, by what the interfaces hold.
fn masters(model: &Model, table: &NetTable) -> anyhow::Result<BTreeMap<String, LedgerMaster>> {
    let mut found = BTreeMap::new();
    for instance in model.instances.values() {
        let master = LedgerMaster::of(instance);
        let here = there(&master.addresses, table).len();
        if here == 0 {
            continue;
        }
        if let Some(why) = not_in_its_place(instance, here < master.addresses.len()) {
            bail!(
                "{} is MASTER and {why}; nothing was touched\n  let the other node take over first, in the \
                 ordinary way: systemctl stop keepalived",
                instance.name
            );
        }
        found.insert(instance.name.0.clone(), master);
    }
    Ok(found)
}

/// What keeps the agent from going on where keepalived was.
fn not_in_its_place(instance: &Instance, incomplete: bool) -> Option<&'static str> {
    if incomplete {
        Some("has some of its addresses only: the file is not the one that keepalived runs")
    } else if instance.own_links().next().is_some() {
        Some("uses an interface of keepalived's own (use_vmac, use_ipvlan)")
    } else if !instance.accept {
        Some("keeps packets away by rules of keepalived's own (no_accept, strict mode)")
    } else {
        None
    }
}

fn listed(master: &LedgerMaster) -> String {
    let each = master.addresses.iter();
    each.map(|(device, address, length)| format!("{address}/{length} on {device}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Freezes it, writes down what it leaves, and only then ends it. Its processes watch each other: one that sees another
/// end would clean up.
fn end(
    run_dir: &Path,
    processes: &[Keepalived],
    masters: BTreeMap<String, LedgerMaster>,
) -> anyhow::Result<()> {
    let tell = |signal| {
        for it in processes {
            // One that has ended meanwhile is no trouble.
            let _ = kill(Pid::from_raw(it.pid.cast_signed()), signal);
        }
    };
    tell(Signal::SIGSTOP);
    // The last advert went out at most one interval ago.
    let now = clock::boot_us();
    let sent = masters
        .iter()
        .map(|(name, it)| (name.clone(), now.saturating_sub(it.advert_interval_us)))
        .collect();
    let ledger = Ledger {
        masters,
        ..Ledger::default()
    };
    if let Err(error) = store::bequeath(run_dir, ledger, &sent) {
        store::clear_ledger(run_dir);
        tell(Signal::SIGCONT);
        return Err(error)
            .with_context(|| format!("cannot write to {}; keepalived runs on", run_dir.display()));
    }
    tell(Signal::SIGKILL);
    let deadline = Instant::now() + PATIENCE;
    while !lock::processes_of_keepalived().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    match lock::running_keepalived() {
        None => Ok(()),
        Some(it) => bail!(
            "keepalived (pid {}) was killed and is not gone yet; the agent cannot start beside it",
            it.pid
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Alone, Facts};
    use crate::net::{Address, AddressKey, Link};
    use crate::wire::LinkIndex;

    /// VI_1 holds two addresses when it is MASTER; `more` is written into it. The only interface has those that are there.
    fn seen(more: &str, there: &[&str]) -> Result<Vec<String>, String> {
        let text = format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority 100\n {more}\n \
             virtual_ipaddress {{\n 192.0.2.100/24\n 192.0.2.101/24\n }}\n}}\n"
        );
        let model = config::load(&Alone(&text), "a.conf", &Facts::default()).model;
        let mut table = NetTable::default();
        let name = if more == "use_vmac" { "vrrp.51" } else { "eth0" };
        let link = Link {
            index: LinkIndex(2),
            name: name.to_owned(),
            ..Link::default()
        };
        table.links.insert(link.index, link);
        for address in there {
            let key = AddressKey {
                link: LinkIndex(2),
                address: address.parse().unwrap(),
                prefix_len: 24,
            };
            table.addresses.insert(key, Address::default());
        }
        let found = masters(&model.expect("a good file"), &table).map_err(|e| e.to_string())?;
        Ok(found.into_keys().collect())
    }

    #[test]
    fn who_holds_all_its_addresses_is_master() {
        assert_eq!(
            seen("", &["192.0.2.100", "192.0.2.101"]),
            Ok(vec!["VI_1".to_owned()])
        );
        assert_eq!(seen("", &["192.0.2.7"]), Ok(Vec::new()));
    }

    #[test]
    fn keepalived_lives_on_where_the_agent_could_not_go_on_in_its_place() {
        let all = ["192.0.2.100", "192.0.2.101"];
        for (more, there, why) in [
            ("", &all[..1], "some of its addresses only"),
            ("use_vmac", &all[..], "interface of keepalived's own"),
            ("no_accept", &all[..], "rules of keepalived's own"),
        ] {
            let said = seen(more, there).expect_err(more);
            assert!(
                said.contains(why) && said.contains("systemctl stop keepalived"),
                "{said}"
            );
        }
        assert_eq!(
            seen("use_vmac", &[]),
            Ok(Vec::new()),
            "a backup has nothing to lose"
        );
    }
}
