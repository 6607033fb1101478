//! Counting processes for `vrrp_track_process`: a thread that looks through `/proc` every second, and sees at once when
//! a process it counted ends.
//!
//! The end is what a failover hangs on, and a pidfd tells it without delay. A start may be noticed a second late, or a
//! tenth of one where a process has just ended. The kernel's process connector would tell that at once too, at the price
//! of a message for every fork on the machine.

use super::sys;
use crate::model::ProcessMatch;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long until `/proc` is looked through again.
const AGAIN: Duration = Duration::from_secs(1);
/// The same for a while after an end: what is restarted shall be back before `terminate_delay` is over.
const AGAIN_SOON: Duration = Duration::from_millis(100);
const SOON_FOR: Duration = Duration::from_secs(2);
/// The most processes whose end is seen at once; that of others is noticed with the next look.
const WATCHED_MAX: usize = 256;

type Wanted = BTreeMap<String, ProcessMatch>;

/// Counts processes once there are some to count.
pub struct Processes {
    tell: Option<Box<dyn Fn(String, u32) + Send>>,
    shared: Arc<Shared>,
}

struct Shared {
    wanted: Mutex<Wanted>,
    changed: EventFd,
}

impl Processes {
    /// `tell` is called from another thread with every count that is another than the one before.
    pub fn new(tell: impl Fn(String, u32) + Send + 'static) -> io::Result<Self> {
        let changed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self {
            tell: Some(Box::new(tell)),
            shared: Arc::new(Shared {
                wanted: Mutex::default(),
                changed,
            }),
        })
    }

    /// Counts these from now on, each under its name, and no others.
    pub fn set(&mut self, wanted: Wanted) -> io::Result<()> {
        let any = !wanted.is_empty();
        *self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        self.shared.changed.write(1)?;
        if any && let Some(tell) = self.tell.take() {
            let shared = self.shared.clone();
            std::thread::Builder::new()
                .name("processes".into())
                .spawn(move || watch(&shared, &*tell))?;
        }
        Ok(())
    }
}

fn watch(shared: &Shared, tell: &dyn Fn(String, u32)) {
    let mut told = BTreeMap::<String, u32>::new();
    let mut known = Wanted::new();
    let mut watched = BTreeMap::<u32, OwnedFd>::new();
    let mut soon_until = None;
    loop {
        // Drained before it is looked at, so that no change is missed.
        let _ = shared.changed.read();
        let wanted = shared
            .wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        told.retain(|name, _| wanted.get(name).is_some_and(|it| known.get(name) == Some(it)));
        let mut counts: BTreeMap<&String, u32> = wanted.keys().map(|name| (name, 0)).collect();
        let mut seen = Vec::new();
        if !wanted.is_empty() {
            look(Path::new("/proc"), |pid, comm, words| {
                let fits = wanted.iter().filter(|(_, it)| it.fits(comm, words));
                for (name, _) in fits {
                    *counts.entry(name).or_default() += 1;
                    if seen.last() != Some(&pid) {
                        seen.push(pid);
                    }
                }
            });
        }
        for (name, count) in counts {
            if told.get(name) != Some(&count) {
                told.insert(name.clone(), count);
                tell(name.clone(), count);
            }
        }
        known = wanted;
        watched.retain(|pid, _| seen.contains(pid));
        for pid in seen {
            if watched.len() < WATCHED_MAX && !watched.contains_key(&pid) {
                // One that has ended meanwhile is missed at the next look; an old kernel has no pidfd at all.
                if let Ok(fd) = sys::open_pidfd(pid) {
                    watched.insert(pid, fd);
                }
            }
        }
        let timeout = if known.is_empty() {
            None
        } else if soon_until.is_some_and(|until| Instant::now() < until) {
            Some(AGAIN_SOON)
        } else {
            Some(AGAIN)
        };
        if wait(shared, &mut watched, timeout) {
            soon_until = Some(Instant::now() + SOON_FOR);
        }
    }
}

/// Waits for another wish, the end of a process, or the time for another look. True when a process has ended.
fn wait(shared: &Shared, watched: &mut BTreeMap<u32, OwnedFd>, timeout: Option<Duration>) -> bool {
    let mut fds = vec![PollFd::new(shared.changed.as_fd(), PollFlags::POLLIN)];
    let ends = watched
        .values()
        .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
    fds.extend(ends);
    let timeout = timeout.map_or(PollTimeout::NONE, |wait| {
        PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)
    });
    if poll(&mut fds, timeout).is_err() {
        // Interrupted, or out of memory: no reason to spin.
        std::thread::sleep(Duration::from_millis(10));
        return false;
    }
    let over: Vec<bool> = fds.iter().skip(1).map(|fd| fd.any() == Some(true)).collect();
    drop(fds);
    let mut over = over.into_iter();
    // A pidfd stays readable once its process has ended.
    let before = watched.len();
    watched.retain(|_, _| over.next() != Some(true));
    watched.len() < before
}

/// Calls `found` for every process that has not ended: its id, the kernel's short name of it and its command line.
fn look(proc: &Path, mut found: impl FnMut(u32, &str, &[String])) {
    let Ok(entries) = fs::read_dir(proc) else {
        return;
    };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let dir = entry.path();
        // What ends while it is looked at is not counted.
        let Ok(stat) = fs::read(dir.join("stat")) else {
            continue;
        };
        let stat = String::from_utf8_lossy(&stat);
        let Some((comm, state)) = name_and_state(&stat) else {
            continue;
        };
        if matches!(state, "Z" | "X") {
            continue;
        }
        // A thread of the kernel has none.
        let line = fs::read(dir.join("cmdline")).unwrap_or_default();
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        let words = words.split_last().map_or(&[][..], |(_, words)| words);
        found(pid, comm, words);
    }
}

/// Of the line in `/proc/<pid>/stat` (proc(5)): `pid (comm) state …`, where comm itself may hold anything.
fn name_and_state(stat: &str) -> Option<(&str, &str)> {
    let (_, rest) = stat.split_once('(')?;
    let (comm, rest) = rest.rsplit_once(')')?;
    Some((comm, rest.split_whitespace().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ParamMatch;
    use std::process::Command;
    use std::sync::mpsc;

    #[test]
    fn a_name_with_brackets_is_read_whole() {
        assert_eq!(name_and_state("7 (a) b (c)) S 1 2"), Some(("a) b (c)", "S")));
        assert_eq!(name_and_state("7 a S"), None);
    }

    #[test]
    fn the_start_and_the_end_of_a_process_are_told() {
        let (tell, told) = mpsc::channel();
        let mut processes = Processes::new(move |name, count| tell.send((name, count)).unwrap()).unwrap();
        // Nobody else sleeps exactly so long.
        let length = format!("3{}", std::process::id());
        let matching = ProcessMatch {
            command: "sleep".into(),
            parameters: Some(vec![length.clone()]),
            compare: ParamMatch::Exact,
            full_command: false,
        };
        processes.set([("it".to_owned(), matching)].into()).unwrap();
        let patience = Duration::from_secs(60);
        assert_eq!(told.recv_timeout(patience).unwrap(), ("it".to_owned(), 0));
        let mut child = Command::new("sleep").arg(&length).spawn().unwrap();
        assert_eq!(told.recv_timeout(patience).unwrap(), ("it".to_owned(), 1));
        child.kill().unwrap();
        // It is over although nobody has asked for its exit code yet.
        assert_eq!(told.recv_timeout(patience).unwrap(), ("it".to_owned(), 0));
        child.wait().unwrap();
    }
}
