//! When a drain should be over, from how its connections became fewer.

use crate::units::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// How far back the estimate looks.
pub const WINDOW: Duration = Duration::from_secs(60);
/// No estimate from less than this.
const SETTLE: Duration = Duration::from_secs(15);
/// No estimate while fewer than 1 % leave in ten seconds.
const SLOWEST_PER_S: f64 = 0.001;

/// Adds a sample and forgets what is older than the window.
pub fn remember(samples: &mut VecDeque<(Mono, u64)>, now: Mono, active: u64) {
    samples.push_back((now, active));
    // The first sample before the window is kept: it is the window's left edge.
    while samples.get(1).is_some_and(|(at, _)| now.since(*at) >= WINDOW) {
        samples.pop_front();
    }
}

/// Time until half a connection is left, by an exponential through the samples (time, active connections); `None`
/// while that says nothing.
pub fn eta(samples: &[(Mono, u64)]) -> Option<Duration> {
    let &(_, left) = samples.last()?;
    if left == 0 {
        return Some(Duration::ZERO);
    }
    let share = decay(samples)?;
    Some(Duration::from_secs_f64((left as f64 / 0.5).ln() / share))
}

/// Connections that end per second now, by the same exponential.
pub fn rate(samples: &[(Mono, u64)]) -> Option<f64> {
    let &(_, left) = samples.last()?;
    decay(samples).map(|share| left as f64 * share)
}

/// The share of connections that ends per second; `None` while it is too early to tell or hardly any do.
fn decay(samples: &[(Mono, u64)]) -> Option<f64> {
    let (&(first, _), &(last, _)) = (samples.first()?, samples.last()?);
    if last.since(first) < SETTLE {
        return None;
    }
    slope(samples)
        .map(|slope| -slope)
        .filter(|share| *share >= SLOWEST_PER_S)
}

/// Least squares of ln(active) over seconds.
fn slope(samples: &[(Mono, u64)]) -> Option<f64> {
    let origin = samples.first()?.0;
    let points = samples
        .iter()
        .map(|(at, active)| (at.since(origin).as_secs_f64(), (*active as f64).max(0.5).ln()));
    let count = samples.len() as f64;
    let (x, y, xx, xy) = points.fold((0.0, 0.0, 0.0, 0.0), |(x, y, xx, xy), (t, l)| {
        (x + t, y + l, xx + t * t, xy + t * l)
    });
    let spread = count * xx - x * x;
    (spread > 0.0).then(|| (count * xy - x * y) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64, active: u64) -> (Mono, u64) {
        (Mono(s * 1_000_000), active)
    }

    #[test]
    fn the_estimate_follows_an_exponential() {
        let eta = eta(&[at(120, 134), at(168, 37)]).unwrap();
        assert_eq!(eta.as_secs(), 160);
    }

    #[test]
    fn there_is_no_estimate_too_early_or_while_nobody_leaves() {
        assert_eq!(eta(&[at(0, 100), at(14, 50)]), None);
        assert_eq!(eta(&[at(0, 100), at(30, 100)]), None);
        assert_eq!(eta(&[at(0, 100), at(30, 120)]), None);
        assert_eq!(eta(&[]), None);
        assert_eq!(eta(&[at(0, 9), at(1, 0)]), Some(Duration::ZERO));
    }

    #[test]
    fn samples_reach_back_one_window() {
        let mut samples = VecDeque::new();
        for s in 0..200 {
            remember(&mut samples, Mono(s * 1_000_000), 200 - s);
        }
        assert_eq!(samples.front(), Some(&at(139, 61)));
        assert!(rate(&[at(0, 4_655), at(30, 1_310)]).is_some_and(|rate| (55.0..56.0).contains(&rate)));
    }
}
