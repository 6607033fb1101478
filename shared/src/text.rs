//! How bytes from outside, spans and numbers are written for eyes: the same in every client.

use std::borrow::Cow;
use std::time::Duration;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The longest a text from outside is shown, in bytes.
pub const FIELD_MAX: usize = 512;

/// Text that roff, the language of manual pages, takes as it is.
pub fn roff(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if text.starts_with('.') {
        format!("\\&{text}")
    } else {
        text
    }
}

/// Makes text from outside harmless on a terminal and in a log line.
///
/// Control characters, line breaks, invisible and direction-changing characters become `\u{…}` (the usual ones `\n`,
/// `\t`, `\r`, `\e`); what is longer than [`FIELD_MAX`] is cut and ends in `~`. Text without any of these is unchanged.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len().min(FIELD_MAX + 1));
    for c in text.chars() {
        let before = safe.len();
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            '\u{1b}' => safe.push_str("\\e"),
            c if hidden(c) => safe.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => safe.push(c),
        }
        if safe.len() > FIELD_MAX {
            safe.truncate(before);
            safe.push('~');
            break;
        }
    }
    safe
}

/// Controls, line separators, characters without width or ink, spaces that look like another one, direction marks and
/// overrides, variation selectors (whose effect on the width no two terminals agree on), tags.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
            | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// JSON that a terminal can be shown: what [`escape`] would write differently stands there as `\u` and four digits, which
/// means the same to whoever reads it. Such characters are only ever inside of strings.
pub fn harmless(json: &str) -> Cow<'_, str> {
    if !json.contains(hidden_in_json) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hidden_in_json(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Line feeds between the lines of an indented document are its own.
fn hidden_in_json(c: char) -> bool {
    c != '\n' && hidden(c)
}

/// Columns the text takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of the text in at most `columns`, its last character `~` when something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        short.push(c);
    }
    if columns > 0 {
        short.push('~');
    }
    short
}

/// A text in two pieces around `~`, so that its end stays: for addresses with a port.
pub fn cut_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns || columns < 3 {
        return cut(text, columns);
    }
    let tail = (columns - 1).div_ceil(2);
    let head = cut(text, columns - tail);
    let mut room = tail;
    let fits = |c: &char| {
        room = match room.checked_sub(c.width().unwrap_or(0)) {
            Some(left) => left,
            None => return false,
        };
        true
    };
    let end: Vec<char> = text.chars().rev().take_while(fits).collect();
    let end: String = end.into_iter().rev().collect();
    format!("{head}{end}")
}

/// A span with at most two units: `42s`, `4m12s`, `2h14m`, `6d2h`.
pub fn span(span: Duration) -> String {
    let s = span.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d{}h", s / 86_400, s / 3_600 % 24),
    }
}

/// A span of seconds with a tenth where that matters: `0.4s`, `3.5s`, `42s`, `4m12s`.
pub fn short_span(short: Duration) -> String {
    let ms = short.as_millis();
    if ms >= 9_950 {
        return span(Duration::from_millis(u64::try_from(ms + 500).unwrap_or(u64::MAX)));
    }
    let tenths = (ms + 50) / 100;
    format!("{}.{}s", tenths / 10, tenths % 10)
}

/// An interval as it is configured: `1s`, `0.1s`, `0.25s`.
pub fn interval(us: u64) -> String {
    let (s, rest) = (us / 1_000_000, us % 1_000_000);
    if rest == 0 {
        return format!("{s}s");
    }
    let fraction = format!("{rest:06}");
    format!("{s}.{}s", fraction.trim_end_matches('0'))
}

/// `27058` as `27,058`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate as `ipvsadm` shortens it, with 1 k = 1000: `871`, `40k`, `6.1M`, `1.2G`.
pub fn si(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..999_500 => format!("{}k", (number + 500) / 1_000),
        999_500..999_950_000 => tenths(number, 1_000_000, "M"),
        999_950_000..999_950_000_000 => tenths(number, 1_000_000_000, "G"),
        _ => tenths(number, 1_000_000_000_000, "T"),
    }
}

fn tenths(number: u64, unit: u64, sign: &str) -> String {
    let tenths = (u128::from(number) * 10 + u128::from(unit) / 2) / u128::from(unit);
    format!("{}.{}{sign}", tenths / 10, tenths % 10)
}

/// Bytes per second in a sentence: `52.4 MB/s`, `310 kB/s`, `12 B/s`.
pub fn bytes_per_s(number: u64) -> String {
    let short = si(number);
    match short.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => format!("{} {unit}B/s", &short[..at]),
        _ => format!("{short} B/s"),
    }
}

/// `1 server`, `3 servers`.
pub fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", thousands(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outside_text_cannot_move_the_cursor_or_turn_the_line() {
        for (text, want) in [
            ("status 503", "status 503"),
            ("naïve – 漢字", "naïve – 漢字"),
            ("a\u{1b}[2Jb", "a\\e[2Jb"),
            ("two\nlines\r\t", "two\\nlines\\r\\t"),
            ("\u{202e}txt", "\\u{202e}txt"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{200b}b\u{feff}", "a\\u{200b}b\\u{feff}"),
            ("a\u{a0}b\u{3000}c", "a\\u{a0}b\\u{3000}c"),
            ("\u{2764}\u{fe0f}", "\u{2764}\\u{fe0f}"),
            ("\u{3164}", "\\u{3164}"),
            ("\u{5e9}\u{5dc}\u{5d5}\u{5dd}", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
        ] {
            assert_eq!(escape(text), want);
        }
        let long = escape(&"x".repeat(70_000));
        assert_eq!((long.len(), long.ends_with('~')), (FIELD_MAX + 1, true));
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (s, want) in [
            (0, "0s"),
            (42, "42s"),
            (252, "4m12s"),
            (600, "10m00s"),
            (2_467, "41m07s"),
            (8_040, "2h14m"),
            (14_400, "4h00m"),
            (525_600, "6d2h"),
        ] {
            assert_eq!(span(Duration::from_secs(s)), want);
        }
        for (ms, want) in [
            (0, "0.0s"),
            (400, "0.4s"),
            (3_492, "3.5s"),
            (9_950, "10s"),
            (61_000, "1m01s"),
        ] {
            assert_eq!(short_span(Duration::from_millis(ms)), want);
        }
        for (us, want) in [
            (1_000_000, "1s"),
            (100_000, "0.1s"),
            (10_000, "0.01s"),
            (2_500_000, "2.5s"),
        ] {
            assert_eq!(interval(us), want);
        }
    }

    #[test]
    fn numbers_read_as_in_ipvsadm() {
        for (number, want) in [
            (871, "871"),
            (9_100, "9k"),
            (310_000, "310k"),
            (999_499, "999k"),
            (999_500, "1.0M"),
            (6_100_000, "6.1M"),
            (48_200_000, "48.2M"),
            (1_250_000_000, "1.3G"),
            (u64::MAX, "18446744.1T"),
        ] {
            assert_eq!(si(number), want);
        }
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(27_058), "27,058");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(bytes_per_s(52_414_000), "52.4 MB/s");
        assert_eq!(bytes_per_s(12), "12 B/s");
    }

    #[test]
    fn cutting_keeps_to_the_columns() {
        assert_eq!(cut("abcdef", 4), "abc~");
        assert_eq!(cut("漢字漢字", 5), "漢字~");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut_middle("[2001:db8:10::443]:443", 12), "[2001~3]:443");
        assert_eq!(cut_middle("漢字漢字/198.51.100.7:80", 12), "漢字~0.7:80");
    }

    #[test]
    fn json_on_a_terminal_is_the_same_json_and_does_nothing() {
        let nasty = "a\u{202e}b\u{9b}31m\u{7f}\u{e0041}\u{200b}漢";
        let text = format!("{:#}", serde_json::json!({ nasty: [nasty] }));
        let safe = harmless(&text);
        assert!(!safe.chars().any(hidden_in_json), "{safe}");
        let (was, is): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(&text).unwrap(),
            serde_json::from_str(&safe).unwrap(),
        );
        assert_eq!(was, is);
    }

    proptest! {
        #[test]
        fn escaping_leaves_nothing_hidden(text in "\\PC*|.*") {
            let safe = escape(&text);
            prop_assert!(!safe.chars().any(hidden));
            prop_assert!(safe.len() <= FIELD_MAX + 1);
        }

        #[test]
        fn a_cut_text_fits(text in ".*", columns in 0usize..40) {
            prop_assert!(width(&cut(&escape(&text), columns)) <= columns);
            prop_assert!(width(&cut_middle(&escape(&text), columns)) <= columns);
        }
    }
}
