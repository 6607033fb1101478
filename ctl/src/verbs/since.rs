//! What `stats --since-last` saw the last time: a file of this user, since the agent keeps its counters for everybody.

use crate::trouble::{Trouble, usage};
use lb_shared::counters::{Counters, InstanceCounters, ServerCounters};
use lb_shared::names::{InstanceName, ServerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Debug, Deserialize, Serialize)]
struct Kept {
    v: u32,
    /// Unix time in milliseconds.
    wall_ms: u64,
    instances: Vec<(InstanceName, InstanceCounters)>,
    servers: Vec<(ServerId, ServerCounters)>,
}

/// What was counted since this user last asked this host, and when that was; all of it the first time.
pub(crate) fn last(host: &str, wall_ms: u64, mut now: Counters) -> Result<(Counters, Option<u64>), Trouble> {
    let path = path(host)?;
    let kept = read(&path);
    let next = Kept {
        v: VERSION,
        wall_ms,
        instances: now.instances.clone().into_iter().collect(),
        servers: now.servers.clone().into_iter().collect(),
    };
    write(&path, &next).map_err(|error| {
        usage(
            format!("cannot keep what was counted in {}: {error}", path.display()),
            "--since-last needs a folder of yours: set XDG_STATE_HOME, or leave the flag out",
        )
    })?;
    let Some(kept) = kept else {
        return Ok((now, None));
    };
    let instances: BTreeMap<_, _> = kept.instances.into_iter().collect();
    let servers: BTreeMap<_, _> = kept.servers.into_iter().collect();
    // What was not there then has all of its counts since.
    for (name, counters) in &mut now.instances {
        if let Some(then) = instances.get(name) {
            *counters = std::mem::take(counters).since(then);
        }
    }
    for (id, counters) in &mut now.servers {
        if let Some(then) = servers.get(id) {
            *counters = std::mem::take(counters).since(then);
        }
    }
    Ok((now, Some(kept.wall_ms)))
}

fn path(host: &str) -> Result<PathBuf, Trouble> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))
        .ok_or_else(|| {
            usage(
                "there is no place for what was counted",
                "--since-last keeps it in XDG_STATE_HOME or HOME: set one of them",
            )
        })?;
    // A host's name is text from elsewhere.
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    let name: String = host.chars().map(plain).take(100).collect();
    Ok(folder.join("lbctl").join(format!("stats-{name}.json")))
}

/// A file that cannot be read counts as none: what is printed then says so.
fn read(path: &Path) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (kept.v == VERSION).then_some(kept)
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Two at a time: the later one wins whole.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&beside, serde_json::to_vec(kept)?)?;
    fs::rename(&beside, path)
}
