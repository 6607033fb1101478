//! Network namespaces for tests, and the commands run in them.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Whether tests that need a kernel are wanted; says so when they are not.
pub(crate) fn wanted(name: &str) -> bool {
    let wanted = std::env::var_os("LB_LAB").is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("{name}: skipped: needs root and a kernel (LB_LAB=1)");
    }
    wanted
}

/// A network namespace that is gone with the last reference to it.
pub(crate) struct Netns(File);

impl Netns {
    pub(crate) fn new() -> Self {
        let namespace = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("root");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let namespace = Self(namespace.join().unwrap());
        // Until some interface is up there is no local routing table.
        namespace.sh("ip link set lo up");
        namespace
    }

    /// Runs something, and all threads it starts, in the namespace.
    pub(crate) fn run<T: Send>(&self, it: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                it()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a shell command and gives its output; it must succeed.
    pub(crate) fn sh(&self, command: &str) -> String {
        self.run(|| {
            let output = Command::new("sh").args(["-c", command]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command}: {errors}");
            text
        })
    }

    /// Two namespaces with an Ethernet between them: `eth0` in each, up, with the addresses .1 and .2.
    pub(crate) fn pair() -> [Self; 2] {
        let pair = [Self::new(), Self::new()];
        let other = std::os::fd::AsRawFd::as_raw_fd(&pair[1].0);
        let path = format!("/proc/{}/fd/{other}", std::process::id());
        pair[0].sh("ip link add eth0 type veth peer name eth1");
        pair[0].sh(&format!("ip link set eth1 netns {path}"));
        pair[1].sh("ip link set eth1 name eth0");
        for (namespace, host) in pair.iter().zip(1..) {
            namespace.sh(&format!(
                "ip link set eth0 addrgenmode none;
                 ip addr add 10.91.0.{host}/24 dev eth0;
                 ip addr add fe80::91:{host}/64 dev eth0 nodad;
                 ip link set eth0 up"
            ));
        }
        for namespace in &pair {
            // The carrier comes a moment after the second end is up.
            namespace.sh("until ip link show eth0 | grep -q 'state UP'; do sleep 0.01; done");
        }
        pair
    }

    /// The number of an interface.
    pub(crate) fn index(&self, link: &str) -> u32 {
        let text = self.sh(&format!("ip -o link show {link}"));
        text.split(':').next().unwrap().parse().unwrap()
    }
}

/// Waits for the first piece of news that `pick` takes; all others are passed over.
pub(crate) fn expect<T, U>(news: &Receiver<T>, what: &str, mut pick: impl FnMut(T) -> Option<U>) -> U {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        match news.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(it) => {
                if let Some(found) = pick(it) {
                    return found;
                }
            }
            Err(RecvTimeoutError::Timeout) => panic!("never heard of {what}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the thread ended before {what}"),
        }
    }
}
