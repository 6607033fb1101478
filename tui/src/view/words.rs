//! Numbers, times and bars as the screens write them.

use lb_shared::event::Numbered;
use lb_shared::problems;
use lb_shared::state::{Admin, Health, ServerView};
use lb_shared::text::{escape, span};
use lb_shared::view::{View, rfc3339};
use std::collections::VecDeque;
use std::time::Duration;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The time of day in UTC: `09:20:00`.
pub(crate) fn clock(wall_ms: u64) -> String {
    rfc3339(wall_ms).get(11..19).unwrap_or_default().to_owned()
}

/// The time of day, or the day when that is another one: `09:17:12`, `Nov 14`.
pub(crate) fn moment(wall_ms: u64, now_ms: u64) -> String {
    let (then, now) = (rfc3339(wall_ms), rfc3339(now_ms));
    if then.get(..10) == now.get(..10) {
        return clock(wall_ms);
    }
    let month = then.get(5..7).and_then(|month| month.parse::<usize>().ok());
    let month = month.and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    format!(
        "{} {}",
        month.copied().unwrap_or("?"),
        then.get(8..10).unwrap_or_default()
    )
}

/// Three digits of a number: `871`, `1.51k`, `27.1k`, `310k`, `10.0M`.
pub(crate) fn short(number: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    if number < 1_000 {
        return number.to_string();
    }
    for (unit, size) in UNITS {
        // Rounded in the last digit shown; what rounds up to four digits takes the next form.
        let scaled = |factor: u128| (u128::from(number) * factor + u128::from(size) / 2) / u128::from(size);
        let (hundredths, tenths, whole) = (scaled(100), scaled(10), scaled(1));
        if hundredths < 1_000 {
            return format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100);
        }
        if tenths < 1_000 {
            return format!("{}.{}{unit}", tenths / 10, tenths % 10);
        }
        if whole < 1_000 || unit == "T" {
            return format!("{whole}{unit}");
        }
    }
    String::new()
}

/// The newest samples as bars, newest right, scaled to their own largest; blanks where there are none yet.
pub(crate) fn spark(samples: &VecDeque<u64>, columns: usize) -> String {
    let from = samples.len().saturating_sub(columns);
    let largest = samples.iter().skip(from).copied().max().unwrap_or(0);
    let bars = samples.iter().skip(from).map(|sample| match largest {
        0 => BARS[0],
        largest => {
            let at = u128::from(*sample) * 7 / u128::from(largest);
            BARS[usize::try_from(at).unwrap_or(0).min(7)]
        }
    });
    let blanks = " ".repeat(columns.saturating_sub(samples.len()));
    blanks.chars().chain(bars).collect()
}

/// How much of a drain is done: `[#####.]`.
pub(crate) fn bar(start: u64, left: u64, columns: usize) -> String {
    let gone = start.saturating_sub(left);
    let full = match start {
        0 => columns,
        start => usize::try_from(u128::from(gone) * columns as u128 / u128::from(start)).unwrap_or(columns),
    };
    format!("[{}{}]", "#".repeat(full), ".".repeat(columns - full))
}

/// How a server's checks are, in few words; for one that drains, how far that is.
pub(crate) fn check(view: &View<'_>, server: &ServerView, bar_columns: usize) -> String {
    let counters = view.server_counters(&server.id);
    match (server.admin, server.health) {
        (Admin::Disabled, _) => "disabled by an operator".into(),
        (Admin::Drained, _) => "no connections left".into(),
        (_, Health::Down) => problems::server_reason(server),
        (Admin::Draining, _) => {
            let eta = counters
                .and_then(|counters| counters.drain_eta_s)
                .map_or("ETA ?".to_owned(), |s| {
                    format!("ETA {}", span(Duration::from_secs(s)))
                });
            match (&server.drain, counters) {
                (Some(drain), Some(counters)) => format!(
                    "{eta} {}",
                    bar(drain.active_at_start, drain.left(counters), bar_columns)
                ),
                _ => eta,
            }
        }
        (Admin::Enabled, Health::Init) => "no result yet".into(),
        (Admin::Enabled, Health::None) => "no check".into(),
        (Admin::Enabled, Health::Up) => match counters.and_then(|counters| counters.check_us) {
            Some(us) => format!("ok {}", took(us)),
            None => "ok".into(),
        },
    }
}

/// `0.4ms`, `2ms`, `3.0s`.
pub(crate) fn took(us: u64) -> String {
    match us {
        0..1_000 => format!("0.{}ms", us / 100),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        _ => format!("{}.{}s", us / 1_000_000, us / 100_000 % 10),
    }
}

/// What happened and why, in one line.
pub(crate) fn what(event: &Numbered) -> String {
    let mut text = escape(&event.event.text);
    if let Some(why) = &event.event.why {
        let joint = if event.event.actor.is_some() { ": " } else { "  " };
        text.push_str(joint);
        text.push_str(&escape(why));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough() {
        for (number, want) in [
            (871, "871"),
            (1_513, "1.51k"),
            (27_058, "27.1k"),
            (310_000, "310k"),
            (999_999, "1.00M"),
            (10_040_000, "10.0M"),
            (52_414_000, "52.4M"),
        ] {
            assert_eq!(short(number), want);
        }
        assert!(short(u64::MAX).ends_with('T'));
    }

    #[test]
    fn a_bar_is_full_only_when_all_are_gone() {
        assert_eq!(bar(4_655, 37, 6), "[#####.]");
        assert_eq!(bar(4_655, 0, 6), "[######]");
        assert_eq!(bar(0, 0, 3), "[###]");
        assert_eq!(bar(10, 20, 3), "[...]");
    }

    #[test]
    fn bars_are_scaled_to_the_largest_sample_that_is_seen() {
        assert_eq!(spark(&[1, 2, 4].into(), 4), " ▂▄█");
        assert_eq!(spark(&[900, 0, 0].into(), 2), "▁▁");
        assert_eq!(spark(&VecDeque::new(), 2), "  ");
    }

    #[test]
    fn another_day_is_named() {
        let now = 1_795_166_400_000;
        assert_eq!(moment(now, now), "09:20:00");
        assert_eq!(moment(now - 6 * 86_400_000, now), "Nov 14");
    }
}
