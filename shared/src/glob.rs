//! Patterns with `*`, `?` and `[12]`, as in a shell but without prefix matching.

/// A compiled pattern. `*` and `?` do not match `/`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Exact(char),
    One,
    Any,
    Class(Vec<(char, char)>, bool),
}

impl Glob {
    /// Compiles a pattern. `[…]` with a colon inside is an IPv6 address and stands for itself, as does a `[` that is
    /// never closed.
    pub fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            match chars[at] {
                '*' => {
                    if parts.last() != Some(&Part::Any) {
                        parts.push(Part::Any);
                    }
                }
                '?' => parts.push(Part::One),
                '[' => match class(&chars[at..]) {
                    Some((part, length)) => {
                        parts.push(part);
                        at += length - 1;
                    }
                    None => parts.push(Part::Exact('[')),
                },
                c => parts.push(Part::Exact(c)),
            }
            at += 1;
        }
        Self { parts }
    }

    /// Whether it stands for one text only.
    pub fn is_exact(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Exact(_)))
    }

    /// Whether the whole text matches. Takes at most length × pattern steps.
    pub fn matches(&self, text: &str) -> bool {
        let (mut at, mut retry) = (0, None);
        let mut rest = text.chars();
        loop {
            let before = rest.clone();
            let Some(c) = rest.next() else {
                return self.parts[at..].iter().all(|part| *part == Part::Any);
            };
            match self.parts.get(at) {
                Some(Part::Any) => {
                    at += 1;
                    retry = Some((at, before.clone()));
                    rest = before;
                }
                Some(part) if part.takes(c) => at += 1,
                _ => {
                    // The last `*` takes one character more.
                    let Some((after, mut from)) = retry else {
                        return false;
                    };
                    match from.next() {
                        Some('/') | None => return false,
                        Some(_) => {}
                    }
                    at = after;
                    rest = from.clone();
                    retry = Some((after, from));
                }
            }
        }
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Exact(wanted) => *wanted == c,
            Self::One => c != '/',
            Self::Any => false,
            Self::Class(ranges, not) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *not && c != '/'
            }
        }
    }
}

/// The class at the start of `chars`, and how many characters it takes.
fn class(chars: &[char]) -> Option<(Part, usize)> {
    let end = chars.iter().position(|c| *c == ']')?;
    let (mut inside, mut not) = (&chars[1..end], false);
    if inside.is_empty() || inside.contains(&':') {
        return None;
    }
    if inside.len() > 1 && matches!(inside[0], '!' | '^') {
        (inside, not) = (&inside[1..], true);
    }
    let mut ranges = Vec::new();
    while let Some((&low, rest)) = inside.split_first() {
        match rest {
            ['-', high, rest @ ..] => {
                ranges.push((low, *high));
                inside = rest;
            }
            rest => {
                ranges.push((low, low));
                inside = rest;
            }
        }
    }
    Some((Part::Class(ranges, not), end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, want) in [
            ("web", "web", true),
            ("we", "web", false),
            ("web*", "web-plain", true),
            ("*", "", true),
            ("*", "a/b", false),
            ("*/b", "a/b", true),
            ("w?b", "web", true),
            ("198.51.100.2[34]:443", "198.51.100.24:443", true),
            ("198.51.100.2[34]:443", "198.51.100.25:443", false),
            ("2[1-3]", "22", true),
            ("2[!1-3]", "22", false),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", true),
            ("[2001:db8::*]:80", "[2001:db8::1]:80", true),
            ("[", "[", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), want, "{pattern} on {text}");
        }
        assert!(Glob::new("[2001:db8::1]:80").is_exact());
        assert!(!Glob::new("2[34]").is_exact());
    }

    #[test]
    fn a_pattern_of_stars_does_not_explode() {
        let pattern = Glob::new(&"*a".repeat(50));
        assert!(!pattern.matches(&"a".repeat(49)));
        assert!(pattern.matches(&"a".repeat(5_000)));
    }
}
