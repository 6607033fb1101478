//! Regular expressions that cannot be made to run for ever.

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
        match &self.0 {
            Engine::Linear(regex) => regex.is_match(bytes),
            Engine::Backtracking(regex) => regex.is_match(&String::from_utf8_lossy(bytes)).unwrap_or(false),
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
