//! Kernel modules, where the kernel does not load them by itself.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a module may take to load.
const LIMIT: Duration = Duration::from_secs(10);

/// Loads a module with the program the kernel itself would use.
pub fn load(name: &str) -> io::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is not a module"),
        ));
    }
    let configured = fs::read_to_string("/proc/sys/kernel/modprobe").unwrap_or_default();
    let program = match configured.trim() {
        "" => "/sbin/modprobe",
        path => path,
    };
    let mut child = Command::new(program)
        .args(["-q", "--", name])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let limit = Instant::now() + LIMIT;
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(format!("{program} {name}: {status}"))),
            None if Instant::now() >= limit => {
                child.kill()?;
                child.wait()?;
                return Err(io::ErrorKind::TimedOut.into());
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}
