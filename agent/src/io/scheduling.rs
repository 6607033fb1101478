//! How the agent's threads get to run, and where: `vrrp_priority`, `checker_rt_priority` and their companions.
//!
//! keepalived has a process each for VRRP and for checks. Here they are threads, told apart by their names.

use super::sys;
use crate::model::{Host, Scheduling};
use nix::sched::{CloneFlags, CpuSet, sched_setaffinity, setns};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::Path;

/// Threads that check servers and program IPVS.
const CHECKERS: [&str; 2] = ["worker", "ipvs"];
/// Those that speak VRRP and set addresses, beside the main one.
const SPEAKERS: [&str; 2] = ["net", "net-watch"];

/// Gives the threads there are what the configuration says. Gives what the host did not allow, in words.
pub fn apply(host: &Host) -> Vec<String> {
    let mut troubles = Vec::new();
    if host.no_swap
        && let Err(e) = lock_memory()
    {
        troubles.push(format!(
            "the agent is not locked in memory: {e}; it needs CAP_IPC_LOCK or LimitMEMLOCK=infinity"
        ));
    }
    let main = Pid::this();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        let Some(id) = task.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let name = name.trim_end();
        let wanted = if Pid::from_raw(id) == main || SPEAKERS.contains(&name) {
            &host.vrrp
        } else if CHECKERS.contains(&name) {
            &host.checker
        } else {
            continue;
        };
        for (what, e) in give(Pid::from_raw(id), wanted) {
            troubles.push(format!("{what} of the thread {name} stays as it is: {e}"));
        }
    }
    troubles
}

fn give(thread: Pid, wanted: &Scheduling) -> Vec<(&'static str, io::Error)> {
    let mut troubles = Vec::new();
    if let Some(nice) = wanted.nice
        && let Err(e) = sys::set_nice(thread, nice)
    {
        troubles.push(("the nice value", e));
    }
    if !wanted.cpus.is_empty() {
        let mut set = CpuSet::new();
        let all = wanted.cpus.iter().try_for_each(|cpu| set.set(usize::from(*cpu)));
        if let Err(e) = all.and_then(|()| sched_setaffinity(thread, &set)) {
            troubles.push(("the set of CPUs", e.into()));
        }
    }
    if let Some(priority) = wanted.real_time
        && let Err(e) = sys::set_real_time(thread, priority)
    {
        troubles.push(("the real-time priority", e));
    }
    troubles
}

/// Now and from now on, but only what is touched: stacks and heaps reserve more than they use.
fn lock_memory() -> io::Result<()> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    Ok(mlockall(
        MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault,
    )?)
}

/// Moves this thread, and those it will start, into a network namespace. To be done before there are others.
pub fn enter_namespace(name: &str) -> io::Result<()> {
    let file = fs::File::open(Path::new("/run/netns").join(name))?;
    Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gets_the_nice_value_and_the_cpus_that_are_wanted_and_no_other_does() {
        let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cpu = (0..CpuSet::count())
            .find(|cpu| allowed.is_set(*cpu).unwrap())
            .unwrap();
        let wanted = Scheduling {
            nice: Some(5),
            real_time: None,
            cpus: [u16::try_from(cpu).unwrap()].into(),
        };
        let of = || {
            let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
            let rest = stat.rsplit_once(')').unwrap().1;
            let nice = rest.split_whitespace().nth(16).unwrap().to_owned();
            let set = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
            let count = (0..CpuSet::count())
                .filter(|cpu| set.is_set(*cpu).unwrap())
                .count();
            (nice, count)
        };
        let before = of();
        let there = std::thread::spawn(move || {
            assert!(give(nix::unistd::gettid(), &wanted).is_empty());
            of()
        });
        assert_eq!(there.join().unwrap(), ("5".to_owned(), 1));
        assert_eq!(of(), before);
    }

    #[test]
    fn what_the_host_has_not_is_told() {
        let wanted = Scheduling {
            cpus: [1023].into(),
            ..Scheduling::default()
        };
        let troubles = give(nix::unistd::gettid(), &wanted);
        assert!(matches!(&troubles[..], [("the set of CPUs", _)]), "{troubles:?}");
        assert!(enter_namespace("no-such-namespace").is_err());
    }
}
