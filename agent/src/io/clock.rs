//! The one place that reads a clock.

use lb_shared::units::Mono;
use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The agent's clock: microseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The moment [`Mono::ZERO`] stands for.
    pub fn epoch(&self) -> Instant {
        self.start
    }

    /// Now, on the monotonic clock.
    pub fn now(&self) -> Mono {
        Mono::ZERO + self.start.elapsed()
    }

    /// How long until `at`; zero when it has come.
    pub fn until(&self, at: Mono) -> Duration {
        at.since(self.now())
    }
}

/// Unix time in milliseconds; zero before 1970.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Unix time in microseconds; zero before 1970.
pub fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds since the machine booted, time asleep included: comparable between runs of the agent.
pub fn boot_us() -> u64 {
    match clock_gettime(ClockId::CLOCK_BOOTTIME) {
        Ok(time) => u64::try_from(Duration::from(time).as_micros()).unwrap_or(u64::MAX),
        Err(_) => 0,
    }
}
