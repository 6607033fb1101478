//! Regular expressions that cannot be made to run for ever.

use std::borrow::Cow;

/// A compiled `regex` of a url.
///
/// Linear time wherever possible. A pattern with look-around or back-references is matched with a step limit; when
/// an answer makes it run into the limit, that counts as no match.
#[derive(Clone, Debug)]
pub struct Pattern(Engine);

#[derive(Clone, Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Steps a back-tracking pattern may take on one piece of text.
const STEP_LIMIT: usize = 100_000;
/// Memory a compiled pattern may take.
const COMPILED_SIZE_MAX: usize = 4 << 20;

impl Pattern {
    /// Compiles a pattern; otherwise why it is none, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        // As in PCRE2 without its UTF option, text is bytes; a pattern that needs more fails to compile this way.
        let linear = regex::bytes::RegexBuilder::new(text)
            .size_limit(COMPILED_SIZE_MAX)
            .build();
        let Err(error) = linear else {
            return linear
                .map(|regex| Self(Engine::Linear(regex)))
                .map_err(|e| last_line(&e));
        };
        fancy_regex::RegexBuilder::new(text)
            .backtrack_limit(STEP_LIMIT)
            .delegate_size_limit(COMPILED_SIZE_MAX)
            .build()
            .map(|regex| Self(Engine::Backtracking(Box::new(regex))))
            .map_err(|_| last_line(&error))
    }

    /// Whether it matches somewhere in these bytes.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.matches_within(bytes, 0, None)
    }

    /// Whether a match begins at `from` or later, and not behind `to`. What stands before `from` can still be looked
    /// back at, and `^` means the beginning of the bytes (as in PCRE2).
    pub fn matches_within(&self, bytes: &[u8], from: usize, to: Option<usize>) -> bool {
        if from > bytes.len() {
            return false;
        }
        let in_time = |start: usize, to: Option<usize>| to.is_none_or(|to| start <= to);
        match &self.0 {
            Engine::Linear(regex) if to.is_none() => regex.is_match_at(bytes, from),
            Engine::Linear(regex) => regex
                .find_at(bytes, from)
                .is_some_and(|found| in_time(found.start(), to)),
            Engine::Backtracking(regex) => {
                // Places are counted in text, whose bytes may be more.
                let text = String::from_utf8_lossy(bytes);
                let at = |place: usize| match &text {
                    Cow::Borrowed(text) => (0..=place)
                        .rev()
                        .find(|at| text.is_char_boundary(*at))
                        .unwrap_or(0),
                    Cow::Owned(text) => {
                        let before = String::from_utf8_lossy(&bytes[..place.min(bytes.len())]);
                        let after = before.len().min(text.len());
                        (0..=after)
                            .rev()
                            .find(|at| text.is_char_boundary(*at))
                            .unwrap_or(0)
                    }
                };
                let found = regex.find_from_pos(&text, at(from));
                found.is_ok_and(|found| found.is_some_and(|found| in_time(found.start(), to.map(at))))
            }
        }
    }
}

fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_both_kinds_match() {
        let cases = [
            ("status.*ok", "the status is ok", true),
            ("(?i)OK$", "all is ok", true),
            ("^ok", "not ok", false),
            ("(?<!not )ok", "not ok", false),
            ("(?<!not )ok", "is ok", true),
            (r"(a+)b\1", "aabaa", true),
        ];
        for (pattern, text, want) in cases {
            let pattern = Pattern::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(pattern.matches(text.as_bytes()), want, "{pattern:?} on {text}");
        }
    }

    #[test]
    fn a_match_begins_between_the_two_places() {
        let text = "ab ab \u{fc} ab".as_bytes();
        // Pattern, from, to, whether it is found; "ab" stands at 0, 3 and 9.
        let cases = [
            ("ab", 0, None, true),
            ("ab", 10, None, false),
            ("ab", 9, Some(9), true),
            ("ab", 1, Some(2), false),
            ("ab", 1, Some(3), true),
            ("ab", 4, Some(8), false),
            ("ab", 99, None, false),
            ("^ab", 1, None, false),
            ("^ab", 0, Some(0), true),
            ("(?<= )ab", 3, Some(3), true),
            ("(?<= )ab", 4, Some(8), false),
            ("(?<= )ab", 4, Some(9), true),
            ("(?<= )ab", 4, Some(7), false),
        ];
        for (pattern, from, to, want) in cases {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(
                compiled.matches_within(text, from, to),
                want,
                "{pattern} {from} {to:?}"
            );
        }
        let broken = [b"\xff\xff ".to_vec(), b"ab".to_vec()].concat();
        let looks_back = Pattern::new("(?<= )ab").unwrap();
        assert!(looks_back.matches_within(&broken, 3, Some(3)));
        assert!(!looks_back.matches_within(&broken, 4, None));
    }

    /// F151.
    #[test]
    fn a_pattern_built_to_explode_gives_up() {
        let pattern = Pattern::new(r"^(?=(a+)+$)(a|aa)+\1$").expect("a pattern");
        assert!(!pattern.matches(&[b"a".repeat(40), b"!".to_vec()].concat()));
    }

    #[test]
    fn a_broken_pattern_says_why() {
        let why = Pattern::new("a(b").expect_err("it is broken");
        assert!(why.contains("unclosed group"), "{why}");
    }
}
