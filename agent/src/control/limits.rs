//! What one client may take from the others. Sizes of requests and answers are in `lb_shared::frame`.

use std::time::Duration;

/// Connections in all.
pub(super) const CONNECTIONS: usize = 64;
/// Of these, kept free for uid 0.
pub(super) const CONNECTIONS_FOR_ROOT: usize = 4;
/// Connections of one uid other than 0.
pub(super) const CONNECTIONS_PER_UID: usize = 8;
/// Streams of events in all.
pub(super) const WATCHES: usize = 16;
/// Streams of events on one connection.
pub(super) const WATCHES_PER_CONNECTION: usize = 2;
/// From connecting to the end of the greeting; also how long the first byte may take.
pub(super) const PREFACE: Duration = Duration::from_secs(2);
/// A request that has begun must be whole by then.
pub(super) const PARTIAL: Duration = Duration::from_secs(5);
/// A client that does not read its answer is let go.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(10);
/// Between two tries when there is no descriptor left for a connection, how long the spare one may take, and between two
/// words about it.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
pub(super) const SPARE_TAKES: Duration = Duration::from_millis(10);
pub(super) const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Requests a connection may have saved up, and how many it earns per second.
pub(super) const REQUEST_BURST: u32 = 100;
pub(super) const REQUESTS_PER_S: u32 = 50;
/// Acts of one uid, likewise.
pub(super) const ACT_BURST: u32 = 20;
pub(super) const ACTS_PER_S: u32 = 10;
/// Events kept for those who ask for the past.
pub(super) const EVENTS_KEPT: usize = 10_000;
/// After so many events, as a start or a reload brings them, freed memory is given back in the next quiet moment.
pub(super) const MANY_EVENTS: u32 = 500;
/// Longer than it takes until the last of these events are written too (`KEEP_SOON` and `KEEP_PAUSE`, and again).
pub(super) const QUIET: Duration = Duration::from_secs(8);
/// Of these, kept over the agent's end.
pub(super) const EVENTS_ON_DISK: usize = 2_000;
/// How soon after an event they are written, how long after that not again, and how long the end may take.
pub(super) const KEEP_SOON: Duration = Duration::from_secs(1);
pub(super) const KEEP_PAUSE: Duration = Duration::from_secs(4);
pub(super) const KEEP_END: Duration = Duration::from_millis(500);
/// Events a watcher may lag behind before it loses some: about 4 MiB of them, shared by all watchers.
pub(super) const EVENTS_BEHIND: usize = 4_096;
/// Answers that wait for a slow reader of JSON lines.
pub(super) const LINES_QUEUED: usize = 32;
/// And their bytes; one that is longer waits alone.
pub(super) const LINES_WAITING: usize = 1 << 20;
/// How long the engine may take for an act: disk and kernel are part of it.
pub(super) const ENGINE: Duration = Duration::from_secs(30);
/// The same for counters, which lists can do without.
pub(super) const COUNTERS: Duration = Duration::from_secs(2);
/// Counters younger than this are given again.
pub(super) const COUNTERS_FRESH: Duration = Duration::from_millis(900);
/// Where reading them takes longer than this, whoever only looks gets the last ones, if they are not older than that.
pub(super) const COUNTERS_QUICK: Duration = Duration::from_millis(20);
pub(super) const COUNTERS_STALE: Duration = Duration::from_secs(20);
/// Then they are not read more often than this, in which the kernel reckons its rates anew,
pub(super) const COUNTERS_SLOW: Duration = Duration::from_secs(2);
/// and between two reads there are so many times what one takes.
pub(super) const COUNTERS_SHARE: u32 = 5;
/// How often the connections of draining servers are looked at, for the estimate.
pub(super) const DRAIN_SAMPLE: Duration = Duration::from_secs(5);
/// How often it is checked that the socket's file is still ours.
pub(super) const SOCKET_CHECK: Duration = Duration::from_secs(15);

/// Samples in one answer about the past.
pub(super) const HISTORY_SAMPLES: usize = 200_000;
/// Servers whose checks' ends are told in one answer.
pub(super) const HISTORY_CHECKS: usize = 64;
/// Events that can be taken back to see the past; older ones than a quarter of an hour are not.
pub(super) const UNDO_KEPT: usize = 10_000;
/// Connections to the metrics port at a time; more are closed at once.
pub(super) const PORT_CONNECTIONS: usize = 4;
/// The longest head of a request to that port, in bytes.
pub(super) const PORT_HEAD: usize = 8 << 10;
/// From connecting to the end of its request; as long again for taking the answer.
pub(super) const PORT_TIME: Duration = Duration::from_secs(5);
/// A port that is taken by somebody else is tried again this often.
pub(super) const PORT_RETRY: Duration = Duration::from_secs(30);

/// A budget that refills with time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: f64,
    burst: u32,
    per_s: u32,
    at: std::time::Instant,
}

impl Budget {
    pub(super) fn new(burst: u32, per_s: u32, now: std::time::Instant) -> Self {
        Self {
            left: f64::from(burst),
            burst,
            per_s,
            at: now,
        }
    }

    /// Takes one; how long to wait before using it.
    pub(super) fn take(&mut self, now: std::time::Instant) -> Duration {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * f64::from(self.per_s);
        self.left = (self.left + earned).min(f64::from(self.burst)) - 1.0;
        self.at = now;
        if self.left >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.left / f64::from(self.per_s))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_budget_lets_a_burst_through_and_then_slows_down() {
        let start = Instant::now();
        let mut budget = Budget::new(3, 10, start);
        for _ in 0..3 {
            assert_eq!(budget.take(start), Duration::ZERO);
        }
        assert_eq!(budget.take(start), Duration::from_millis(100));
        assert_eq!(budget.take(start), Duration::from_millis(200));
        let later = start + Duration::from_secs(60);
        for _ in 0..3 {
            assert_eq!(budget.take(later), Duration::ZERO);
        }
        assert!(budget.take(later) > Duration::ZERO);
    }
}
