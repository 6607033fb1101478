//! One agent per network namespace, and none beside a running keepalived.

use super::store::netns;
use anyhow::{Context as _, bail};
use lb_shared::paths;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Held for life. Closed on exec, so that a script left behind cannot hold it.
pub struct Lock {
    files: Vec<Flock<File>>,
}

impl Lock {
    /// Writes this process's number into the files: a fork keeps the lock and has another.
    pub fn sign(&mut self) {
        for file in &mut self.files {
            // For people only; the lock itself does not depend on it.
            let _ = file.set_len(0).and_then(|()| file.rewind());
            let _ = writeln!(file, "{}", std::process::id());
        }
    }
}

/// Takes the locks, or says who holds them.
pub fn take(run_dir: &Path) -> anyhow::Result<Lock> {
    let mut files = vec![take_one(&run_dir.join("agent.lock"))?];
    // The run folder may differ between two agents of one host; the interfaces and the IPVS table would not.
    let shared = PathBuf::from(paths::RUN_DIR);
    if fs::create_dir_all(&shared).is_ok() {
        files.push(take_one(&shared.join(format!("netns-{}.lock", netns())))?);
    }
    let mut lock = Lock { files };
    lock.sign();
    Ok(lock)
}

fn take_one(path: &Path) -> anyhow::Result<Flock<File>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let _ = file.rewind();
            let _ = (&mut file).take(32).read_to_string(&mut pid);
            bail!(
                "another {} (pid {}) runs here; nothing was touched\n  \
                 stop it first: systemctl stop lbagent, or kill {}",
                paths::AGENT,
                pid.trim(),
                pid.trim()
            )
        }
        Err((_, e)) => Err(e).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// A keepalived that runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keepalived {
    pub pid: u32,
    /// It is in this network namespace; false if that is not for us to know (it takes `CAP_SYS_PTRACE` to look at a
    /// process that may more than we).
    pub surely_here: bool,
}

/// A keepalived in this network namespace, or in one that we may not know.
pub fn running_keepalived() -> Option<Keepalived> {
    processes_of_keepalived().into_iter().next()
}

/// All its processes, as [`running_keepalived`] finds one.
pub(super) fn processes_of_keepalived() -> Vec<Keepalived> {
    let own = netns();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        if comm.trim() != "keepalived" {
            return None;
        }
        let surely_here = match fs::metadata(entry.path().join("ns/net")) {
            Ok(it) if it.ino() == own => true,
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => false,
            Ok(_) | Err(_) => return None,
        };
        Some(Keepalived { pid, surely_here })
    });
    found.collect()
}
