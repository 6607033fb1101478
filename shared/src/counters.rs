//! Numbers that are sampled on request, not announced.

use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::units::Mono;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A sample of every counter, taken at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub at: Mono,
    pub instances: BTreeMap<InstanceName, InstanceCounters>,
    pub servers: BTreeMap<ServerId, ServerCounters>,
    /// One for each service and kind of check it uses.
    pub checks: Vec<CheckCounters>,
    /// How long the most overdue check should have been over; zero while none is.
    pub check_lag_us: u64,
}

/// What an instance sent, heard and refused since it was created.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct InstanceCounters {
    pub adverts_sent: u64,
    pub adverts_received: u64,
    pub became_master: u64,
    pub released_master: u64,
    pub priority_zero_sent: u64,
    pub priority_zero_received: u64,
    /// By the reason's name, such as `ttl` or `checksum`.
    pub rejected: BTreeMap<String, u64>,
    /// The last accepted advert of another master.
    pub heard_at: Option<Mono>,
    /// The last advert sent.
    pub sent_at: Option<Mono>,
}

impl InstanceCounters {
    /// What was counted after `then`. A counter that is below what it was began again: all of it is new.
    pub fn since(mut self, then: &Self) -> Self {
        for (name, count) in &mut self.rejected {
            *count = after(*count, then.rejected.get(name).copied().unwrap_or(0));
        }
        for (now, then) in [
            (&mut self.adverts_sent, then.adverts_sent),
            (&mut self.adverts_received, then.adverts_received),
            (&mut self.became_master, then.became_master),
            (&mut self.released_master, then.released_master),
            (&mut self.priority_zero_sent, then.priority_zero_sent),
            (&mut self.priority_zero_received, then.priority_zero_received),
        ] {
            *now = after(*now, then);
        }
        self
    }
}

fn after(now: u64, then: u64) -> u64 {
    now.checked_sub(then).unwrap_or(now)
}

/// What the kernel counts for a server, and what its checks measured.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Connections in state ESTABLISHED.
    pub active: u64,
    /// All others, TIME_WAIT and UDP among them.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    pub connections: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Per second, a moving average of the kernel's two-second samples.
    pub connections_per_s: u64,
    pub bytes_in_per_s: u64,
    pub bytes_out_per_s: u64,
    /// The last finished check.
    pub checked_at: Option<Mono>,
    /// How long it took, in microseconds.
    pub check_us: Option<u64>,
    /// While it drains: seconds until its last connection should be gone; `None` when nobody can tell.
    pub drain_eta_s: Option<u64>,
}

impl ServerCounters {
    /// What was counted after `then`; connections and rates are those of now.
    pub fn since(mut self, then: &Self) -> Self {
        for (now, then) in [
            (&mut self.connections, then.connections),
            (&mut self.packets_in, then.packets_in),
            (&mut self.packets_out, then.packets_out),
            (&mut self.bytes_in, then.bytes_in),
            (&mut self.bytes_out, then.bytes_out),
        ] {
            *now = after(*now, then);
        }
        self
    }

    /// Adds another entry of the same server: a group's server is counted over all its entries.
    pub fn add(&mut self, other: &Self) {
        self.active += other.active;
        self.inactive += other.inactive;
        self.persistent += other.persistent;
        self.connections += other.connections;
        self.packets_in += other.packets_in;
        self.packets_out += other.packets_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.connections_per_s += other.connections_per_s;
        self.bytes_in_per_s += other.bytes_in_per_s;
        self.bytes_out_per_s += other.bytes_out_per_s;
    }
}

/// Upper edges of [`CheckTally::spans`], in microseconds; one more span stands for all that took longer.
pub const CHECK_SPANS_US: [u64; 11] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000, 5_000_000,
];

/// How the checks of one kind of one service ended since it was created.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CheckCounters {
    pub service: ServiceKey,
    /// The keyword: `TCP_CHECK`, `HTTP_GET`, …
    pub kind: String,
    pub ended: CheckTally,
}

/// Ends of checks, counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct CheckTally {
    pub passed: u64,
    pub failed: u64,
    /// They could not be carried out for a reason on this host.
    pub inconclusive: u64,
    /// How many of those that passed or failed took up to each of [`CHECK_SPANS_US`], and longer. Not cumulative.
    pub spans: [u64; CHECK_SPANS_US.len() + 1],
    /// What they took together, in microseconds.
    pub took_us: u64,
}

impl CheckTally {
    /// Counts one that passed or failed.
    pub fn add(&mut self, passed: bool, took: Duration) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_us = self.took_us.saturating_add(took);
        self.spans[CHECK_SPANS_US.partition_point(|edge| *edge < took)] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_since_is_the_difference_or_all_after_a_new_start() {
        let counted = |sent, ttl| InstanceCounters {
            adverts_sent: sent,
            rejected: BTreeMap::from([("ttl".to_owned(), ttl)]),
            ..InstanceCounters::default()
        };
        assert_eq!(counted(17, 3).since(&counted(10, 1)), counted(7, 2));
        assert_eq!(counted(5, 0).since(&counted(10, 1)), counted(5, 0));
        let server = |connections, active| ServerCounters {
            connections,
            active,
            ..ServerCounters::default()
        };
        assert_eq!(server(17, 4).since(&server(10, 9)), server(7, 4));
    }

    #[test]
    fn a_check_counts_in_the_first_span_it_fits_into() {
        for (took_us, want) in [(0, 0), (500, 0), (501, 1), (5_000_000, 10), (5_000_001, 11)] {
            let mut tally = CheckTally::default();
            tally.add(true, Duration::from_micros(took_us));
            assert_eq!(
                tally.spans.iter().position(|count| *count == 1),
                Some(want),
                "{took_us}"
            );
            assert_eq!((tally.passed, tally.failed, tally.took_us), (1, 0, took_us));
        }
    }
}
