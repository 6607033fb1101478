//! Keeps things that a packet can cause from filling the log.

use super::accept::Rejected;
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is said at most once in a while. Rejections come first, one place each.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topic {
    Rejected(usize),
    LowerHeard,
    OwnerHeard,
    MasterHeard,
    Interval,
    AddressList,
    ChecksumForm,
    SendFailed,
    PriorityZero,
    Unsigned,
    ClocksApart,
}

impl Topic {
    fn number(self) -> usize {
        let rest = match self {
            Self::Rejected(number) => return number,
            Self::LowerHeard => 0,
            Self::OwnerHeard => 1,
            Self::MasterHeard => 2,
            Self::Interval => 3,
            Self::AddressList => 4,
            Self::ChecksumForm => 5,
            Self::SendFailed => 6,
            Self::PriorityZero => 7,
            Self::Unsigned => 8,
            Self::ClocksApart => 9,
        };
        Rejected::NAMES.len() + rest
    }

    /// How long it stays quiet after having been said.
    fn pause(self) -> Duration {
        match self {
            // Part of what clients see: late by a second at most.
            Self::MasterHeard => Duration::from_secs(1),
            Self::Rejected(_)
            | Self::LowerHeard
            | Self::OwnerHeard
            | Self::Interval
            | Self::AddressList
            | Self::ChecksumForm
            | Self::SendFailed
            | Self::PriorityZero
            | Self::Unsigned
            | Self::ClocksApart => Duration::from_secs(60),
        }
    }
}

/// When each topic was last said, and how often it was swallowed since. Most instances never have anything to say: what
/// was never said takes no room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limiter(BTreeMap<usize, (Mono, u64)>);

impl Limiter {
    /// `Some(swallowed)` if it may be said now.
    pub(crate) fn allow(&mut self, topic: Topic, now: Mono) -> Option<u64> {
        match self.0.get_mut(&topic.number()) {
            Some((said_at, swallowed)) if now < *said_at + topic.pause() => {
                *swallowed += 1;
                None
            }
            Some(last) => {
                let (_, count) = std::mem::replace(last, (now, 0));
                Some(count)
            }
            None => {
                self.0.insert(topic.number(), (now, 0));
                Some(0)
            }
        }
    }
}

/// What to add to a message that stands for several.
pub(crate) fn swallowed(count: u64) -> Option<String> {
    (count > 0).then(|| format!("{count} more like it since the last report"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_then_one_a_minute_with_the_number_left_out() {
        let mut limiter = Limiter::default();
        let topic = Topic::Rejected(3);
        let said: Vec<_> = (0..125)
            .filter_map(|second| {
                limiter
                    .allow(topic, Mono(second * 1_000_000))
                    .map(|n| (second, n))
            })
            .collect();
        assert_eq!(said, [(0, 0), (60, 59), (120, 59)]);
        assert_eq!(
            limiter.allow(Topic::Rejected(4), Mono(0)),
            Some(0),
            "another topic"
        );
    }
}
