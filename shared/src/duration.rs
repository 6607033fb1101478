//! Spans of time as people type them.

use std::time::Duration;

/// The longest span that may be written without naming days.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// A text is not a span of time; says what to type instead.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadDuration {
    #[error("{0} has no unit; did you mean {0}s?")]
    NoUnit(String),
    #[error("{0} is {1} months; did you mean {1}m?")]
    Months(String, u64),
    #[error("{0} is longer than 31 days; write it in days, as {1}d")]
    TooLong(String, u64),
    #[error("'{0}' is not a span of time; write 90s, 5m or 1h30m")]
    Unknown(String),
}

/// Reads `90s`, `5m`, `1h30m`, `1.5h`, `40d`.
///
/// Refuses two things humantime would take or explain badly: a number without a unit, and months meant as minutes.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let text = text.trim();
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return Err(BadDuration::NoUnit(text.to_owned()));
    }
    let span =
        humantime::parse_duration(text).map_err(|_| BadDuration::Unknown(crate::text::escape(text)))?;
    if span <= LONGEST || in_days(text) {
        return Ok(span);
    }
    if let Some(months) = text.strip_suffix('M').and_then(|number| number.parse().ok()) {
        return Err(BadDuration::Months(text.to_owned(), months));
    }
    Err(BadDuration::TooLong(text.to_owned(), span.as_secs() / 86_400))
}

/// Whether every unit is days or smaller and days are named.
fn in_days(text: &str) -> bool {
    let mut units = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|unit| !unit.is_empty());
    let days = |unit: &str| matches!(unit, "d" | "day" | "days");
    units.clone().any(days)
        && units.all(|unit| {
            days(unit) || !matches!(unit.chars().next(), Some('y' | 'M' | 'w')) && !unit.starts_with("mon")
        })
}

/// Reads `timeout`-like words: a span, or `never` as `None`.
pub fn parse_or_never(text: &str) -> Result<Option<Duration>, BadDuration> {
    match text {
        "never" => Ok(None),
        text => parse(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_read() {
        for (text, s) in [
            ("90s", 90.0),
            ("5m", 300.0),
            ("1h30m", 5_400.0),
            ("1.5h", 5_400.0),
            ("250ms", 0.25),
            ("40d", 3_456_000.0),
            ("31d", 2_678_400.0),
        ] {
            assert_eq!(parse(text).map(|span| span.as_secs_f64()), Ok(s), "{text}");
        }
        assert_eq!(parse_or_never("never"), Ok(None));
    }

    #[test]
    fn the_traps_say_what_was_meant() {
        for (text, want) in [
            ("300", "300 has no unit; did you mean 300s?"),
            ("5M", "5M is 5 months; did you mean 5m?"),
            ("7w", "7w is longer than 31 days; write it in days, as 49d"),
            ("1y", "1y is longer than 31 days; write it in days, as 365d"),
            ("soon", "'soon' is not a span of time; write 90s, 5m or 1h30m"),
            ("", "'' is not a span of time; write 90s, 5m or 1h30m"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), want);
        }
    }
}
