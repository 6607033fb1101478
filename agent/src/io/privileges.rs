//! What the agent may: asked before anything begins, so that a right that is missing is named and not found out later.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;

/// Rights without which there is no agent: their bit, their name, and what they are for.
const NEEDED: [(u32, &str, &str); 2] = [
    (12, "CAP_NET_ADMIN", "addresses and IPVS"),
    (13, "CAP_NET_RAW", "adverts and announcements"),
];

/// Says which rights are missing, what for, and how they are given.
pub fn missing() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    without(effective(&status)?)
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn without(effective: u64) -> Option<String> {
    let lacks = |(bit, ..): &&(u32, &str, &str)| effective >> bit & 1 == 0;
    let missing: Vec<_> = NEEDED.iter().filter(lacks).collect();
    let names: Vec<_> = missing.iter().map(|(_, name, _)| *name).collect();
    let each: Vec<_> = missing
        .iter()
        .map(|(_, name, what)| format!("{name} ({what})"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "may not do its work, although it runs as root: {} is missing; nothing was touched\n  \
             under systemd add it to CapabilityBoundingSet: systemctl edit lbagent; \
             in a container: --cap-add={}",
            each.join(" and "),
            names.join(" --cap-add=").replace("CAP_", "")
        )
    })
}

/// As many descriptors as the host allows: a login shell begins with 1024, which a few hundred checks use up.
pub fn take_all_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Where that is refused, checks wait for a place.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F165.
    #[test]
    fn each_right_that_is_missing_is_named_with_what_it_is_for_and_how_to_give_it() {
        let status = |set: u64| format!("Name:\tlbagent\nCapInh:\t0\nCapEff:\t{set:016x}\nCapBnd:\t0\n");
        let all = 0x1ff_ffff_ffff_u64;
        assert_eq!(without(effective(&status(all)).unwrap()), None);
        for (bit, name, what) in NEEDED {
            let told = without(effective(&status(all & !(1 << bit))).unwrap()).unwrap();
            assert!(told.contains(&format!("{name} ({what}) is missing")), "{told}");
            assert_eq!(told.matches("CAP_").count(), 1, "{told}");
        }
        let told = without(effective(&status(0)).unwrap()).unwrap();
        assert!(told.contains("--cap-add=NET_ADMIN --cap-add=NET_RAW"), "{told}");
        assert_eq!(effective("Name:\tx\n"), None);
    }
}
