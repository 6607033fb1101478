//! Local time of day, from the system's time zone files (RFC 8536).

use std::fs;
use std::path::{Path, PathBuf};

/// A time zone: how far local clocks are ahead of UTC, at any time.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// Unix times from which an offset in seconds holds, in order.
    changes: Vec<(i64, i32)>,
    /// The offset before the first change.
    first: i32,
    /// The rule after the last change.
    rule: Option<Rule>,
}

/// A rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Rule {
    standard: i32,
    /// Summer time: its offset, its first and last day.
    summer: Option<(i32, Day, Day)>,
}

/// A day of the year and the local time of the change, in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Day {
    month: i64,
    /// 1 to 5, where 5 is the last.
    week: i64,
    /// 0 is Sunday.
    weekday: i64,
    time: i64,
}

impl Zone {
    /// No zone: clocks show UTC.
    pub fn utc() -> Self {
        Self::default()
    }

    /// The zone of a POSIX rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn of(text: &str) -> Option<Self> {
        let rule = Some(rule(text)?);
        Some(Self {
            rule,
            ..Self::default()
        })
    }

    /// The zone of `TZ`, else of the machine; UTC when neither can be read.
    pub fn local() -> Self {
        let file = match std::env::var("TZ") {
            Ok(name) if !name.is_empty() => {
                let name = name.strip_prefix(':').unwrap_or(&name).to_owned();
                let path = if name.starts_with('/') {
                    PathBuf::from(&name)
                } else {
                    Path::new("/usr/share/zoneinfo").join(&name)
                };
                if !path.is_file() {
                    let rule = rule(&name);
                    return Self {
                        rule,
                        ..Self::default()
                    };
                }
                path
            }
            Ok(_) => return Self::utc(),
            Err(_) => PathBuf::from("/etc/localtime"),
        };
        fs::read(file)
            .ok()
            .and_then(|bytes| parse(&bytes))
            .unwrap_or_default()
    }

    /// Seconds local clocks are ahead of UTC at a Unix time.
    pub fn offset(&self, at: i64) -> i32 {
        let after = self.changes.partition_point(|(from, _)| *from <= at);
        if after == self.changes.len()
            && let Some(rule) = self.rule
        {
            return rule.offset(at);
        }
        match after.checked_sub(1) {
            Some(last) => self.changes[last].1,
            None => self.first,
        }
    }

    /// `09:20:00` of a Unix time in milliseconds.
    pub fn clock(&self, wall_ms: u64) -> String {
        let at = i64::try_from(wall_ms / 1_000).unwrap_or(0);
        let local = (at + i64::from(self.offset(at))).rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", local / 3_600, local / 60 % 60, local % 60)
    }

    /// The last time before `now_ms` at which clocks showed `09:07:27` or `09:07`; both in Unix time in milliseconds.
    pub fn last(&self, text: &str, now_ms: u64) -> Option<u64> {
        let parts: Vec<i64> = text
            .split(':')
            .map(|part| part.parse().ok().filter(|_| part.len() == 2))
            .collect::<Option<_>>()?;
        let (hour, minute, second) = match parts.as_slice() {
            [hour, minute] => (*hour, *minute, 0),
            [hour, minute, second] => (*hour, *minute, *second),
            _ => return None,
        };
        if !((0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second)) {
            return None;
        }
        let now = i64::try_from(now_ms / 1_000).ok()?;
        let local = now + i64::from(self.offset(now));
        let since = (local - hour * 3_600 - minute * 60 - second).rem_euclid(86_400);
        u64::try_from(now - since).ok().map(|at| at * 1_000)
    }

    /// `2026-11-20` of a Unix time in milliseconds.
    pub fn date(&self, wall_ms: u64) -> String {
        let at = i64::try_from(wall_ms / 1_000).unwrap_or(0);
        let (year, month, day) = civil((at + i64::from(self.offset(at))).div_euclid(86_400));
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// Reads the 64-bit part of a zone file and its closing rule.
fn parse(bytes: &[u8]) -> Option<Zone> {
    let counts = |at: usize| -> Option<[usize; 6]> {
        if bytes.get(at..at + 4)? != b"TZif" {
            return None;
        }
        let mut counts = [0; 6];
        for (i, count) in counts.iter_mut().enumerate() {
            let from = at + 20 + 4 * i;
            *count = u32::from_be_bytes(bytes.get(from..from + 4)?.try_into().ok()?) as usize;
        }
        Some(counts)
    };
    // The first part has 32-bit times and is there for old readers.
    let [isut, isstd, leap, times, types, chars] = counts(0)?;
    let second = 44 + times * 5 + types * 6 + chars + leap * 8 + isstd + isut;
    let [isut, isstd, leap, times, types, chars] = counts(second)?;
    let at_times = second + 44;
    let at_indices = at_times + times.checked_mul(8)?;
    let at_types = at_indices + times;
    let end = at_types + types.checked_mul(6)? + chars + leap.checked_mul(12)? + isstd + isut;
    let offset = |index: usize| -> Option<i32> {
        let from = at_types + index * 6;
        Some(i32::from_be_bytes(bytes.get(from..from + 4)?.try_into().ok()?))
    };
    let changes = (0..times)
        .map(|i| {
            let from = at_times + 8 * i;
            let at = i64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?);
            let index = usize::from(*bytes.get(at_indices + i)?);
            Some((at, offset(index)?))
        })
        .collect::<Option<Vec<_>>>()?;
    let footer = bytes.get(end..).and_then(|rest| std::str::from_utf8(rest).ok());
    Some(Zone {
        changes,
        first: offset(0)?,
        rule: footer.and_then(|text| rule(text.trim())),
    })
}

/// Reads a POSIX rule. Forms other than `M` days are not found in today's files and give none.
fn rule(text: &str) -> Option<Rule> {
    let (names, days) = match text.split_once(',') {
        Some((names, days)) => (names, Some(days)),
        None => (text, None),
    };
    let rest = skip_name(names)?;
    let (standard, rest) = hours(rest)?;
    let standard = -i32::try_from(standard).ok()?;
    let Some(days) = days else {
        return rest.is_empty().then_some(Rule {
            standard,
            summer: None,
        });
    };
    let rest = skip_name(rest)?;
    let ahead = match hours(rest) {
        Some((west, "")) => -i32::try_from(west).ok()?,
        Some(_) => return None,
        None => standard + 3_600,
    };
    let (begin, end) = days.split_once(',')?;
    Some(Rule {
        standard,
        summer: Some((ahead, day(begin)?, day(end)?)),
    })
}

fn skip_name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return quoted.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (rest.len() < text.len()).then_some(rest)
}

/// `[+-]h[:mm[:ss]]` in seconds, and what follows.
fn hours(text: &str) -> Option<(i64, &str)> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let length = rest
        .find(|c: char| !c.is_ascii_digit() && c != ':')
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(length);
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in number.split(':') {
        seconds += part.parse::<i64>().ok().filter(|part| *part <= 167)? * unit;
        unit /= 60;
    }
    Some((sign * seconds, rest))
}

fn day(text: &str) -> Option<Day> {
    let (date, time) = match text.split_once('/') {
        Some((date, time)) => (date, hours(time)?.0),
        None => (text, 2 * 3_600),
    };
    let mut parts = date
        .strip_prefix('M')?
        .split('.')
        .map(|part| part.parse::<i64>().ok());
    Some(Day {
        month: parts.next()?.filter(|month| (1..=12).contains(month))?,
        week: parts.next()?.filter(|week| (1..=5).contains(week))?,
        weekday: parts.next()?.filter(|weekday| (0..=6).contains(weekday))?,
        time,
    })
}

impl Rule {
    fn offset(self, at: i64) -> i32 {
        let Some((ahead, begin, end)) = self.summer else {
            return self.standard;
        };
        let (year, ..) = civil((at + i64::from(self.standard)).div_euclid(86_400));
        // Each change is told in the local time before it.
        let begin = begin.seconds(year) - i64::from(self.standard);
        let end = end.seconds(year) - i64::from(ahead);
        let summer = if begin < end {
            (begin..end).contains(&at)
        } else {
            !(end..begin).contains(&at)
        };
        if summer { ahead } else { self.standard }
    }
}

impl Day {
    /// Local seconds since 1970 in a year.
    fn seconds(self, year: i64) -> i64 {
        let first = days(year, self.month, 1);
        let weekday = (first + 4).rem_euclid(7);
        let mut day = first + (self.weekday - weekday).rem_euclid(7) + 7 * (self.week - 1);
        let next = if self.month == 12 {
            days(year + 1, 1, 1)
        } else {
            days(year, self.month + 1, 1)
        };
        while day >= next {
            day -= 7;
        }
        day * 86_400 + self.time
    }
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970; the reverse of [`days`].
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (month, day) = ((month + 2) % 12 + 1, of_year - (153 * month + 2) / 5 + 1);
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Zone {
        Zone::of(text).unwrap()
    }

    #[test]
    fn rules_give_the_offset_in_summer_and_winter() {
        let berlin = zone("CET-1CEST,M3.5.0,M10.5.0/3");
        let cases = [
            (1_795_166_400_000, "10:20:00"),
            // One second before and at the change of 2026-03-29 and 2026-10-25.
            (1_774_745_999_000, "01:59:59"),
            (1_774_746_000_000, "03:00:00"),
            (1_792_889_999_000, "02:59:59"),
            (1_792_890_000_000, "02:00:00"),
        ];
        for (ms, want) in cases {
            assert_eq!(berlin.clock(ms), want, "{ms}");
        }
        assert_eq!(
            zone("EST5EDT,M3.2.0,M11.1.0").clock(1_795_166_400_000),
            "04:20:00"
        );
        assert_eq!(
            zone("AEST-10AEDT,M10.1.0,M4.1.0/3").clock(1_795_166_400_000),
            "20:20:00"
        );
        assert_eq!(zone("<+0545>-5:45").clock(1_795_166_400_000), "15:05:00");
        assert_eq!(zone("<+0545>-5:45").date(1_795_166_400_000), "2026-11-20");
    }

    #[test]
    fn dates_go_there_and_back() {
        for day in (-800_000..800_000).step_by(997) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(20_777), (2026, 11, 20));
    }

    #[test]
    fn a_broken_file_is_no_zone() {
        assert!(parse(b"").is_none());
        assert!(parse(b"TZif2").is_none());
        let mut huge = vec![0; 200];
        huge[..4].copy_from_slice(b"TZif");
        huge[20..44].fill(0xff);
        assert!(parse(&huge).is_none());
        assert_eq!(Zone::utc().clock(1_795_166_400_000), "09:20:00");
    }
}
