//! Tells systemd how we are (`sd_notify`), when it asked to be told.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Sends one message such as `READY=1`; nothing happens where nobody listens. Never waits: a service manager that does
/// not read must not keep an advert.
pub fn notify(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let bytes = path.as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) else {
        return;
    };
    let _ = socket
        .set_nonblocking(true)
        .and_then(|()| socket.send_to_addr(message.as_bytes(), &address));
}

/// A clock that says when the service manager wants to hear that we live (`WatchdogSec=`), if it does.
pub fn watchdog() -> Option<TimerFd> {
    let word = |name| std::env::var(name).ok();
    let every = interval(word("WATCHDOG_USEC"), word("WATCHDOG_PID"), std::process::id())?;
    let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
    let expiration = Expiration::Interval(TimeSpec::from(every));
    timer.set(expiration, TimerSetTimeFlags::empty()).ok()?;
    Some(timer)
}

/// A third of the time after which it takes us for dead: one message may be late.
fn interval(limit_us: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let limit_us: u64 = limit_us?.parse().ok().filter(|it| *it > 0)?;
    Some(Duration::from_micros((limit_us / 3).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_say_that_we_live_three_times_as_often_as_we_must_and_only_for_ourselves() {
        let of = |limit: &str, pid: Option<&str>| interval(Some(limit.into()), pid.map(Into::into), 7);
        assert_eq!(of("6000000", Some("7")), Some(Duration::from_secs(2)));
        assert_eq!(of("6000000", None), Some(Duration::from_secs(2)));
        assert_eq!(of("6000000", Some("8")), None);
        assert_eq!(of("0", Some("7")), None);
        assert_eq!(of("soon", None), None);
        assert_eq!(interval(None, None, 7), None);
    }
}
