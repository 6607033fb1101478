//! Numbers that know their range.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU8;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment: microseconds since the agent started, on the monotonic clock.
///
/// Arithmetic saturates: a deadline can lie "for ever" ahead, never wrap into the past.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Mono(pub u64);

impl Mono {
    /// The moment the agent started.
    pub const ZERO: Self = Self(0);

    /// How long after `earlier` this moment is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Mono {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

/// A priority an instance may be given: 1 to 255.
///
/// 255 says "I own the addresses". Zero exists only on the wire, where it says "I am leaving"
/// (RFC 9568 §6.1), so it is not a `Priority`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// The address owner's priority.
    pub const OWNER: Self = Self(NonZeroU8::MAX);
    /// The highest priority of a router that does not own the addresses.
    pub const HIGHEST: Self = Self::clamped(254);
    /// The lowest priority there is.
    pub const LOWEST: Self = Self(NonZeroU8::MIN);

    /// `None` for zero.
    pub fn new(value: u8) -> Option<Self> {
        NonZeroU8::new(value).map(Self)
    }

    /// The nearest priority in 1–254: what trackers can make of a router that does not own the addresses
    /// (as keepalived).
    pub const fn clamped(value: i64) -> Self {
        let near = if value < 1 {
            1
        } else if value > 254 {
            254
        } else {
            value as u8
        };
        match NonZeroU8::new(near) {
            Some(priority) => Self(priority),
            None => Self(NonZeroU8::MIN),
        }
    }

    /// The number on the wire.
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// Whether this is the address owner's 255.
    pub fn is_owner(self) -> bool {
        self == Self::OWNER
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A virtual router identifier: 1 to 255 (RFC 9568 §5.2.3).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for zero.
    pub fn new(value: u8) -> Option<Self> {
        NonZeroU8::new(value).map(Self)
    }

    /// The number on the wire.
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An IPVS weight: 0 to 2 147 483 647. The kernel reads the field as a signed number and refuses more.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Weight(u32);

impl Weight {
    /// No new connections.
    pub const ZERO: Self = Self(0);
    /// The largest weight the kernel takes.
    pub const MAX: Self = Self(i32::MAX as u32);

    /// `None` above [`Weight::MAX`].
    pub fn new(value: u32) -> Option<Self> {
        (value <= Self::MAX.0).then_some(Self(value))
    }

    /// The nearest weight in range: what a sum of contributions becomes.
    pub fn clamped(value: i64) -> Self {
        Self(u32::try_from(value.clamp(0, i64::from(Self::MAX.0))).unwrap_or(Self::MAX.0))
    }

    /// The number the kernel gets.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_never_wraps() {
        assert_eq!(Mono(5) - Duration::from_secs(1), Mono::ZERO);
        assert_eq!(Mono(u64::MAX) + Duration::from_secs(1), Mono(u64::MAX));
        assert_eq!(Mono(1).since(Mono(2)), Duration::ZERO);
    }

    #[test]
    fn a_tracked_priority_stays_between_1_and_254() {
        for (sum, want) in [
            (-300, 1),
            (0, 1),
            (1, 1),
            (130, 130),
            (254, 254),
            (255, 254),
            (900, 254),
        ] {
            assert_eq!(Priority::clamped(sum).get(), want, "sum {sum}");
        }
    }

    #[test]
    fn a_weight_above_the_kernels_limit_is_refused_or_clamped() {
        assert_eq!(Weight::new(1 << 31), None);
        assert_eq!(Weight::clamped(1 << 40), Weight::MAX);
        assert_eq!(Weight::clamped(-7), Weight::ZERO);
    }
}
