//! Operators' overrides: kept, made durable before they count, ended by their time.

use lb_shared::event::Actor;
use lb_shared::state::{Dormant, DrainThen, Override, OverrideKind, Pin, Target};
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
    /// Its target did not come back.
    Forgotten(Override),
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
                it.dormant = it.dormant.map(|dormant| {
                    let slept = wall_ms.saturating_sub(dormant.since_wall_ms);
                    let left = Dormant::PATIENCE.saturating_sub(Duration::from_millis(slept));
                    Dormant {
                        until: now + left,
                        ..dormant
                    }
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

    /// Its target is there, or it is not (from `now` on, unless it was missing before). True if that is news.
    pub(super) fn set_present(&mut self, target: &Target, there: bool, (now, wall_ms): (Mono, u64)) -> bool {
        match self.map.get_mut(target) {
            Some(it) if it.dormant.is_some() == there => {
                it.dormant = (!there).then(|| Dormant {
                    since_wall_ms: wall_ms,
                    until: now + Dormant::PATIENCE,
                });
                true
            }
            Some(_) | None => false,
        }
    }

    /// What is written to disk.
    pub(super) fn to_store(&self) -> Vec<Override> {
        self.map.values().cloned().collect()
    }

    /// The next moment at which an override ends.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.map.values().filter_map(ends_at).min()
    }

    /// Ends what is due.
    pub(super) fn expire(&mut self, now: Mono) -> Vec<Expired> {
        let due: Vec<Target> = self
            .map
            .iter()
            .filter(|(_, it)| ends_at(it).is_some_and(|at| at <= now))
            .map(|(target, _)| target.clone())
            .collect();
        due.into_iter()
            .filter_map(|target| self.end(now, target))
            .collect()
    }

    fn end(&mut self, now: Mono, target: Target) -> Option<Expired> {
        let it = self.map.get_mut(&target)?;
        if it.dormant.is_some_and(|dormant| dormant.until <= now) {
            return self.map.remove(&target).map(Expired::Forgotten);
        }
        match it.kind {
            OverrideKind::Drain {
                then: DrainThen::Keep,
                ..
            } => {
                it.until = None;
                it.until_wall_ms = None;
                Some(Expired::Kept(target))
            }
            OverrideKind::Drain {
                then: DrainThen::Disable,
                ..
            } => {
                it.kind = OverrideKind::Disable;
                it.until = None;
                it.until_wall_ms = None;
                Some(Expired::Disabled(target))
            }
            OverrideKind::Drain {
                then: DrainThen::Undrain,
                ..
            }
            | OverrideKind::Disable
            | OverrideKind::Weight(_)
            | OverrideKind::Ramp { .. }
            | OverrideKind::Pin(_) => self.map.remove(&target).map(Expired::Ended),
        }
    }
}

/// When something happens to an override by itself.
fn ends_at(it: &Override) -> Option<Mono> {
    let forgotten = it.dormant.map(|dormant| dormant.until);
    it.until.into_iter().chain(forgotten).min()
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
        dormant: None,
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
            OverrideKind::Drain {
                then,
                inactive: false,
            },
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

    #[test]
    fn f085_a_drain_waits_thirty_days_for_its_server_over_restarts() {
        let day_ms = 24 * 3600 * 1000_u64;
        let mut intent = Intent::default();
        let it = Override {
            until: None,
            until_wall_ms: None,
            ..drain(DrainThen::Keep, 0)
        };
        let target = it.target.clone();
        intent.put(it);
        assert!(!intent.set_present(&target, true, (Mono::ZERO, 0)));
        assert!(intent.set_present(&target, false, (Mono::ZERO, 0)));
        assert!(
            !intent.set_present(&target, false, (Mono(9_000_000), 9_000)),
            "the time began anew"
        );
        // Twenty days later another process reads it.
        let twenty = Intent::restore(&intent.to_store(), Mono(7), 20 * day_ms);
        assert_eq!(twenty.deadline(), Some(Mono(7) + Duration::from_hours(10 * 24)));
        let mut late = Intent::restore(&intent.to_store(), Mono(7), 31 * day_ms);
        assert!(matches!(late.expire(Mono(7))[..], [Expired::Forgotten(_)]));
        assert_eq!(late.len(), 0);
        let mut back = twenty;
        assert!(back.set_present(&target, true, (Mono(8), 20 * day_ms)));
        assert_eq!(back.deadline(), None, "it is there: drained without an end");
    }

    #[test]
    fn f095_overrides_stored_before_they_could_be_forgotten_are_read() {
        let mut stored = serde_json::to_value(drain(DrainThen::Keep, 10)).unwrap();
        let fields = stored.as_object_mut().unwrap();
        fields.remove("sleeps");
        fields.insert("dormant".into(), true.into());
        let read: Override = serde_json::from_value(stored).unwrap();
        assert_eq!(read.dormant, None);
    }
}
