//! Operators' overrides: kept, made durable before they count, ended by their time.

use lb_shared::event::Actor;
use lb_shared::state::{DrainThen, Override, OverrideKind, Pin, Target};
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most overrides that are kept.
pub(super) const OVERRIDES_MAX: usize = 100_000;

/// The overrides in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Intent {
    map: BTreeMap<Target, Override>,
}

/// What became of an override whose time was up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Expired {
    /// It is gone.
    Ended(Override),
    /// A drain whose deadline passed goes on as it is.
    Kept(Target),
    /// A drained server is now disabled.
    Disabled(Target),
}

impl Intent {
    /// What an earlier run stored. A promotion ends with the agent: a node that restarts must not take addresses
    /// because of an old command. Clocks may have been stepped meanwhile, so an end is never nearer than the wall
    /// clock says and never further than it was when it was set.
    pub(super) fn restore(stored: &[Override], now: Mono, wall_ms: u64) -> Self {
        let map = stored
            .iter()
            .filter(|it| it.kind != OverrideKind::Pin(Pin::Promoted))
            .map(|it| {
                let mut it = it.clone();
                it.until = it.until_wall_ms.map(|until| {
                    let left = until
                        .saturating_sub(wall_ms)
                        .min(until.saturating_sub(it.at_wall_ms));
                    now + Duration::from_millis(left)
                });
                (it.target.clone(), it)
            })
            .collect();
        Self { map }
    }

    pub(super) fn get(&self, target: &Target) -> Option<&Override> {
        self.map.get(target)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Override> {
        self.map.values()
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn put(&mut self, it: Override) {
        self.map.insert(it.target.clone(), it);
    }

    pub(super) fn remove(&mut self, target: &Target) -> Option<Override> {
        self.map.remove(target)
    }

    pub(super) fn set_dormant(&mut self, target: &Target, dormant: bool) {
        if let Some(it) = self.map.get_mut(target) {
            it.dormant = dormant;
        }
    }

    /// What is written to disk.
    pub(super) fn to_store(&self) -> Vec<Override> {
        self.map.values().cloned().collect()
    }

    /// The next moment at which an override ends.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.map.values().filter_map(|it| it.until).min()
    }

    /// Ends what is due.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Expired> {
        let due: Vec<Target> = self
            .map
            .iter()
            .filter(|(_, it)| it.until.is_some_and(|until| until <= now))
            .map(|(target, _)| target.clone())
            .collect();
        due.into_iter().filter_map(|target| self.end(target)).collect()
    }

    fn end(&mut self, target: Target) -> Option<Expired> {
        let it = self.map.get_mut(&target)?;
        match it.kind {
            OverrideKind::Drain {
                then: DrainThen::Keep,
            } => {
                it.until = None;
                it.until_wall_ms = None;
                Some(Expired::Kept(target))
            }
            OverrideKind::Drain {
                then: DrainThen::Disable,
            } => {
                it.kind = OverrideKind::Disable;
                it.until = None;
                it.until_wall_ms = None;
                Some(Expired::Disabled(target))
            }
            OverrideKind::Drain {
                then: DrainThen::Undrain,
            }
            | OverrideKind::Disable
            | OverrideKind::Weight(_)
            | OverrideKind::Pin(_) => self.map.remove(&target).map(Expired::Ended),
        }
    }
}

/// An override for a target, ending after `span` if one is given.
pub(super) fn make(
    target: Target,
    kind: OverrideKind,
    span: Option<Duration>,
    (actor, message): (&Actor, &str),
    (now, wall_ms): (Mono, u64),
) -> Override {
    let span_ms = span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    Override {
        target,
        kind,
        actor: actor.clone(),
        at_wall_ms: wall_ms,
        until_wall_ms: span_ms.map(|ms| wall_ms.saturating_add(ms)),
        until: span.map(|span| now + span),
        message: message.to_owned(),
        dormant: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Target {
        Target::Server(text.parse().unwrap())
    }

    fn drain(then: DrainThen, span_s: u64) -> Override {
        make(
            server("192.0.2.1:80/tcp/198.51.100.1:80"),
            OverrideKind::Drain { then },
            Some(Duration::from_secs(span_s)),
            (&Actor::default(), ""),
            (Mono::ZERO, 1_000_000),
        )
    }

    #[test]
    fn a_drain_at_its_deadline_does_what_was_asked() {
        for (then, left) in [
            (DrainThen::Keep, 1),
            (DrainThen::Disable, 1),
            (DrainThen::Undrain, 0),
        ] {
            let mut intent = Intent::default();
            intent.put(drain(then, 10));
            assert!(intent.expire(Mono(9_999_999)).is_empty(), "{then:?} ended early");
            assert_eq!(intent.expire(Mono(10_000_000)).len(), 1, "{then:?}");
            assert_eq!(intent.len(), left, "{then:?}");
            assert_eq!(intent.deadline(), None, "{then:?} would end twice");
        }
    }

    #[test]
    fn f100_a_stepped_clock_never_shortens_a_drain_below_what_the_wall_says() {
        let stored = [drain(DrainThen::Undrain, 600)];
        for (wall_ms, left_s) in [(1_000_000, 600), (1_300_000, 300), (400_000, 600), (9_000_000, 0)] {
            let intent = Intent::restore(&stored, Mono(5), wall_ms);
            assert_eq!(
                intent.deadline(),
                Some(Mono(5) + Duration::from_secs(left_s)),
                "wall {wall_ms}"
            );
        }
    }

    #[test]
    fn a_promotion_ends_with_the_agent_and_a_demotion_does_not() {
        let pin = |name: &str, pin| {
            make(
                Target::Instance(name.into()),
                OverrideKind::Pin(pin),
                None,
                (&Actor::default(), ""),
                (Mono::ZERO, 0),
            )
        };
        let stored = [
            pin("A", Pin::Promoted),
            pin("B", Pin::Demoted),
            pin("C", Pin::DemotedHard),
        ];
        assert_eq!(Intent::restore(&stored, Mono::ZERO, 0).len(), 2);
    }
}
