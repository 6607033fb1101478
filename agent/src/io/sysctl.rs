//! Switches of the kernel under /proc/sys, of the network namespace we are in.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// What a drain changes under /proc/sys/net/ipv4/vs for its time.
const OF_DRAINS: [&str; 2] = ["expire_nodest_conn", "expire_quiescent_template"];

/// The values of what a drain changes; empty while there is no IPVS.
pub fn of_drains() -> BTreeMap<&'static str, String> {
    OF_DRAINS
        .into_iter()
        .filter_map(|name| Some((name, read(&format!("net/ipv4/vs/{name}")).ok()?)))
        .collect()
}

/// Reads a value, such as of `net/ipv4/ip_forward`, without its line end.
pub fn read(name: &str) -> io::Result<String> {
    fs::read_to_string(path(name)?).map(|text| text.trim_end().to_owned())
}

/// Writes a value, unless it is there already: /proc/sys can be read-only, and then what is right is no failure.
pub fn write(name: &str, value: &str) -> io::Result<()> {
    let path = path(name)?;
    if fs::read_to_string(&path)?
        .split_whitespace()
        .eq(value.split_whitespace())
    {
        return Ok(());
    }
    OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(value.as_bytes())
}

/// Where a switch is; refuses names that would lead elsewhere.
fn path(name: &str) -> io::Result<PathBuf> {
    // An interface's name is part of some; the kernel allows anything in it but slashes and spaces.
    let safe = |part: &str| {
        let odd = |c: char| c.is_whitespace() || c.is_control();
        !part.is_empty() && part != "." && part != ".." && !part.contains(odd)
    };
    if name.split('/').all(safe) {
        Ok(PathBuf::from("/proc/sys").join(name))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not a kernel setting"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "",
            "/etc/passwd",
            "../etc/passwd",
            "net/../../etc",
            "net//x",
            "net/ipv4/x y",
            "net/.",
        ] {
            assert_eq!(
                path(name).unwrap_err().kind(),
                io::ErrorKind::InvalidInput,
                "{name}"
            );
        }
        assert_eq!(
            path("net/ipv4/conf/eth0.10/forwarding").unwrap(),
            PathBuf::from("/proc/sys/net/ipv4/conf/eth0.10/forwarding")
        );
    }
}
