//! Names of files by patterns, as a shell finds them.

use crate::config::MATCHES_MAX;
use std::fs;
use std::path::Path;

/// Entries of a folder looked through for names that match or are alike.
const ENTRIES_MAX: usize = 10_000;

/// The regular files that a pattern matches, in the order of their names; with `{a,b}`, those of either.
pub(super) fn files(pattern: &str) -> Vec<String> {
    let mut found: Vec<String> = alternatives(pattern)
        .iter()
        .flat_map(|one| matches(one))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The patterns a pattern with `{a,b}` stands for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let group = pattern.find('{').and_then(|from| {
            let length = pattern[from..].find('}')?;
            Some((from, from + length))
        });
        match group {
            Some((from, to)) if done.len() + open.len() < MATCHES_MAX => {
                let (head, tail) = (&pattern[..from], &pattern[to + 1..]);
                open.extend(
                    pattern[from + 1..to]
                        .split(',')
                        .map(|part| format!("{head}{part}{tail}")),
                );
            }
            _ => done.push(pattern),
        }
    }
    done
}

/// The regular files a pattern without braces matches, unsorted.
fn matches(pattern: &str) -> Vec<String> {
    let mut found = vec![if pattern.starts_with('/') {
        "/".to_owned()
    } else {
        String::new()
    }];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for folder in &found {
            if part.contains(['*', '?', '[']) {
                let shown = if folder.is_empty() { "." } else { folder };
                next.extend(
                    entries(Path::new(shown))
                        .into_iter()
                        .filter(|name| (part.starts_with('.') || !name.starts_with('.')) && fits(part, name))
                        .map(|name| below(folder, &name)),
                );
            } else {
                next.push(below(folder, part));
            }
            if next.len() > MATCHES_MAX {
                break;
            }
        }
        found = next;
    }
    // A name without wildcards that is no regular file stays in: reading it says what it is instead.
    let literal = !pattern.contains(['*', '?', '[']);
    found.retain(|path| match fs::metadata(path) {
        Ok(metadata) => literal || metadata.is_file(),
        Err(_) => false,
    });
    found
}

fn below(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        "/" => format!("/{name}"),
        folder => format!("{folder}/{name}"),
    }
}

pub(super) fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .take(ENTRIES_MAX)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Whether a name fits a shell pattern of one path component: `*`, `?`, `[abc]`, `[!a-z]`.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go back to: behind the last star, and one character further in the name.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(used) = one(&pattern[p..], name[n]) {
            p += used;
            n += 1;
        } else if let Some((behind, from)) = star {
            (p, n) = (behind, from + 1);
            star = Some((behind, from + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern one character uses; `None` if it does not fit.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let end = pattern.iter().skip(2).position(|c| *c == ']').map(|at| at + 2)?;
            let inverted = matches!(pattern[1], '!' | '^');
            let set = &pattern[if inverted { 2 } else { 1 }..end];
            let range = set.windows(3).any(|w| w[1] == '-' && w[0] <= c && c <= w[2]);
            ((range || set.contains(&c)) != inverted).then_some(end + 1)
        }
        plain => (*plain == c).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf~", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("*a*b*c", "xxaybzc", true),
            ("*a*b*c", "xxaybz", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, name), want, "{pattern} {name}");
        }
        assert_eq!(alternatives("/e/{a,b}.conf").len(), 2);
    }
}
