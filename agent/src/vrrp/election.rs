//! The arithmetic of an election: how long to wait, and who wins.

use crate::model::VrrpVersion;
use std::net::IpAddr;
use std::time::Duration;

/// How much longer than three silent intervals a backup waits, so that the best one moves first.
///
/// A fraction of a second in version 2 (RFC 3768 §6.1), of the master's interval in version 3 (RFC 9568 §6.1).
pub(crate) fn skew(version: VrrpVersion, priority: u8, master_interval: Duration) -> Duration {
    let unit = match version {
        VrrpVersion::V2 => Duration::from_secs(1),
        VrrpVersion::V3 => master_interval,
    };
    unit * (256 - u32::from(priority)) / 256
}

/// How long a backup waits in silence before it takes over: `adverts` intervals of the master, and the skew.
///
/// `adverts` is 3 in the RFCs (Active_Down_Interval) and `down_timer_adverts` in keepalived.
pub(crate) fn down_interval(
    version: VrrpVersion,
    priority: u8,
    master_interval: Duration,
    adverts: u8,
) -> Duration {
    master_interval * u32::from(adverts) + skew(version, priority, master_interval)
}

/// Whether a master that hears `theirs` from another master has to give way.
///
/// Equal priorities are settled by the higher source address (RFC 9568 §6.4.3), compared as numbers; without it two
/// masters would answer each other for ever.
pub(crate) fn must_yield(ours: (u8, IpAddr), theirs: (u8, IpAddr)) -> bool {
    theirs > ours
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_higher_priority_waits_less() {
        let cases = [
            (1, 3_996_093),
            (100, 3_609_375),
            (150, 3_414_062),
            (254, 3_007_812),
            (255, 3_003_906),
        ];
        for (priority, want) in cases {
            for version in [VrrpVersion::V2, VrrpVersion::V3] {
                let wait = down_interval(version, priority, SECOND, 3);
                assert_eq!(wait.as_micros(), want, "priority {priority} {version:?}");
            }
        }
    }

    #[test]
    fn the_skew_follows_the_interval_in_version_3_only() {
        let cases = [
            (VrrpVersion::V2, 10_000, 609_375, 30_609_375),
            (VrrpVersion::V3, 10_000, 6_093_750, 36_093_750),
            (VrrpVersion::V3, 500, 304_687, 1_804_687),
            (VrrpVersion::V3, 10, 6_093, 36_093),
            (VrrpVersion::V3, 40_950, 24_953_906, 147_803_906),
        ];
        for (version, interval_ms, want_skew, want_down) in cases {
            let interval = Duration::from_millis(interval_ms);
            assert_eq!(
                skew(version, 100, interval).as_micros(),
                want_skew,
                "{version:?} {interval_ms}"
            );
            assert_eq!(
                down_interval(version, 100, interval, 3).as_micros(),
                want_down,
                "{version:?} {interval_ms}"
            );
        }
    }

    #[test]
    fn the_skew_is_never_rounded_to_nothing() {
        let least = skew(VrrpVersion::V3, 255, Duration::from_millis(10));
        assert_eq!(least.as_nanos(), 39_062);
    }

    #[test]
    fn down_timer_adverts_counts_intervals() {
        for (adverts, want) in [(1, 1_609_375), (3, 3_609_375), (100, 100_609_375)] {
            let wait = down_interval(VrrpVersion::V2, 100, SECOND, adverts);
            assert_eq!(wait.as_micros(), want, "{adverts} adverts");
        }
    }

    #[test]
    fn f025_equal_priorities_are_settled_by_the_address_as_an_unsigned_number() {
        let cases = [
            ("127.255.255.255", "128.0.0.0", true),
            ("128.0.0.0", "127.255.255.255", false),
            ("10.0.0.9", "10.0.0.10", true),
            ("10.0.0.1", "10.0.0.1", false),
            ("fe80::7fff", "fe80::8000", true),
            ("fe80::ffff:ffff", "fe80::1:0:0", true),
            ("fe80::2", "fe80::1", false),
        ];
        for (ours, theirs, want) in cases {
            let (ours, theirs) = (ours.parse().unwrap(), theirs.parse().unwrap());
            assert_eq!(
                must_yield((100, ours), (100, theirs)),
                want,
                "{ours} hears {theirs}"
            );
            assert!(must_yield((100, theirs), (101, ours)));
            assert!(!must_yield((101, ours), (100, theirs)));
        }
    }
}
