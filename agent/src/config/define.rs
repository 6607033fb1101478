//! `$NAME`, `${NAME}`, `~SEQ` and `~LST`: lines that stand for other text.
//!
//! Everything is bounded: definitions that name each other, and repetitions inside repetitions, can otherwise grow
//! without end from a few bytes.

use super::expand::Piece;
use super::source::unindented;
use std::collections::{BTreeMap, BTreeSet};

/// Names defined in one configuration.
pub(crate) const DEFINITIONS_MAX: usize = 10_000;
/// Definitions inside definitions.
pub(crate) const DEPTH_MAX: usize = 32;
/// Substitutions, repeated lines and words they bring.
pub(crate) const EXPANDED_MAX: usize = 1_000_000;

/// A stretch of text and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub text: String,
    pub from: Piece,
}

/// Why a line could not be expanded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// A definition needs itself, or the nesting is too deep.
    Recursion(String),
    /// A bound was passed: what, how much.
    Limit(&'static str, usize),
    /// A `~SEQ` or `~LST` that cannot be read: why.
    Malformed(String),
}

/// What names stand for at the moment.
pub(crate) struct Definitions<'f> {
    values: BTreeMap<String, Vec<String>>,
    environment: &'f dyn Fn(&str) -> Option<String>,
    folder: String,
    random: u64,
    spent: usize,
}

/// `$NAME=VALUE`: the name and where the value begins.
pub(crate) fn definition(text: &str) -> Option<(&str, usize)> {
    let trimmed = unindented(text);
    let indent = text.len() - trimmed.len();
    let rest = trimmed.strip_prefix('$')?;
    let length = rest.bytes().take_while(|byte| is_name(*byte)).count();
    (length > 0 && rest[length..].starts_with('=')).then(|| (&rest[..length], indent + 1 + length + 1))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What a `$` stands before.
enum Use<'t> {
    Name(&'t str),
    /// `${_RANDOM 1 6}`: a word of its own, with arguments.
    Call(&'t str, &'t str),
}

/// The use at the beginning of `text`, a `$`, and its length.
fn use_at(text: &str) -> Option<(Use<'_>, usize)> {
    if let Some(rest) = text.strip_prefix("${") {
        let end = rest.find('}')?;
        let inside = &rest[..end];
        let (name, arguments) = inside.split_once(' ').unwrap_or((inside, ""));
        if name.is_empty() || !name.bytes().all(is_name) {
            return None;
        }
        let what = if name.starts_with('_') {
            Use::Call(name, arguments)
        } else {
            Use::Name(name)
        };
        return Some((what, end + 3));
    }
    let rest = &text[1..];
    let length = rest.bytes().take_while(|byte| is_name(*byte)).count();
    (length > 0 && ends_name(&rest[length..])).then(|| (Use::Name(&rest[..length]), length + 1))
}

/// Whether a name without braces ends before `after`: before anything else it stays as it is written, as in keepalived.
fn ends_name(after: &str) -> bool {
    let follows = after.chars().next();
    follows.is_none_or(|c| c.is_whitespace() || matches!(c, ',' | ')'))
}

impl<'f> Definitions<'f> {
    pub(crate) fn new(environment: &'f dyn Fn(&str) -> Option<String>, seed: u64) -> Self {
        Self {
            values: BTreeMap::new(),
            environment,
            folder: String::new(),
            random: seed | 1,
            spent: 0,
        }
    }

    pub(crate) fn define(&mut self, name: &str, lines: Vec<String>) -> Result<(), Trouble> {
        self.values.insert(name.to_owned(), lines);
        if self.values.len() > DEFINITIONS_MAX {
            return Err(Trouble::Limit("definitions", DEFINITIONS_MAX));
        }
        Ok(())
    }

    /// The folder of the file being read, for `${_PWD}`.
    pub(crate) fn enter(&mut self, folder: &str) {
        if self.folder != folder {
            folder.clone_into(&mut self.folder);
        }
    }

    pub(crate) fn seed(&mut self, seed: u64) {
        self.random = seed | 1;
    }

    /// The lines that `line` stands for, in order.
    pub(crate) fn expand(&mut self, line: Vec<Run>, longest: usize) -> Result<Vec<Vec<Run>>, Trouble> {
        let own = repetition_names(&text_of(&line));
        let mut open = vec![self.substitute(line, &own, longest)?];
        let mut done = Vec::new();
        while let Some(lines) = open.pop() {
            if let Some(repeated) = self.repeat(&lines, longest)? {
                open.extend(repeated.into_iter().rev());
                continue;
            }
            let mut lines = lines.into_iter();
            done.extend(lines.next());
            // The further lines of a definition: each may repeat itself.
            open.extend(lines.rev().map(|line| vec![line]));
        }
        Ok(done)
    }

    fn spend(&mut self, how_much: usize) -> Result<(), Trouble> {
        self.spent += how_much;
        if self.spent > EXPANDED_MAX {
            Err(Trouble::Limit("words from definitions", EXPANDED_MAX))
        } else {
            Ok(())
        }
    }

    /// Replaces the names that are defined; a value of several lines at the end of the line adds lines.
    fn substitute(
        &mut self,
        line: Vec<Run>,
        own: &BTreeSet<String>,
        longest: usize,
    ) -> Result<Vec<Vec<Run>>, Trouble> {
        let mut out = Output {
            lines: vec![Vec::new()],
            length: 0,
            longest,
        };
        let count = line.len();
        for (index, run) in line.into_iter().enumerate() {
            self.run(&run, index + 1 == count, own, 0, &mut out)?;
        }
        Ok(out.lines)
    }

    fn run(
        &mut self,
        run: &Run,
        last: bool,
        own: &BTreeSet<String>,
        depth: usize,
        out: &mut Output,
    ) -> Result<(), Trouble> {
        let text = run.text.as_str();
        let mut from = 0;
        let mut search = 0;
        while let Some(at) = text[search..].find('$').map(|at| search + at) {
            let Some((what, length)) = use_at(&text[at..]) else {
                search = at + 1;
                continue;
            };
            let value = match what {
                Use::Name(name) if own.contains(name) => None,
                Use::Name(name) => self.values.get(name).cloned().map(|lines| (name, lines)),
                Use::Call(name, arguments) => self.call(name, arguments).map(|text| (name, vec![text])),
            };
            search = at + length;
            let Some((name, lines)) = value else { continue };
            let ends = last && text[at + length..].trim().is_empty();
            if lines.len() > 1 && !ends {
                continue;
            }
            self.spend(1)?;
            if depth >= DEPTH_MAX {
                return Err(Trouble::Recursion(name.to_owned()));
            }
            out.push(run.part(from, at))?;
            let place = run.place(at, length);
            for (index, value) in lines.iter().enumerate() {
                if index > 0 {
                    self.spend(1)?;
                    out.new_line();
                }
                let inner = Run {
                    text: value.clone(),
                    from: Piece {
                        verbatim: false,
                        ..place
                    },
                };
                self.run(&inner, ends, own, depth + 1, out)?;
            }
            from = at + length;
        }
        out.push(run.part(from, text.len()))
    }

    fn call(&mut self, name: &str, arguments: &str) -> Option<String> {
        match name {
            "_PWD" => Some(self.folder.clone()),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            "_INSTANCE" => Some(String::new()),
            "_ENV" => Some((self.environment)(arguments.trim()).unwrap_or_default()),
            "_RANDOM" => {
                let mut bounds = arguments.split_whitespace().map(|word| word.parse::<u32>().ok());
                let low = bounds.next().flatten().unwrap_or(0);
                let high = bounds.next().flatten().unwrap_or(32_767).max(low);
                // xorshift64: any spread will do, and the same seed gives the same file.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let span = u64::from(high - low) + 1;
                Some((u64::from(low) + self.random % span).to_string())
            }
            _ => None,
        }
    }

    /// What the repetition at the beginning stands for: all of `lines` once for each of its values; `None` if there is
    /// none. There are several lines where the first one ends with a definition of several.
    fn repeat(&mut self, lines: &[Vec<Run>], longest: usize) -> Result<Option<Vec<Vec<Vec<Run>>>>, Trouble> {
        let Some(first) = lines.first() else {
            return Ok(None);
        };
        let whole = text_of(first);
        let Some(found) = repetition(&whole)? else {
            return Ok(None);
        };
        if found.rows.len() > EXPANDED_MAX {
            return Err(Trouble::Limit("repetitions", EXPANDED_MAX));
        }
        let (head, tail) = (&whole[..found.at], whole[found.end..].trim_start());
        let patterns: Vec<(String, Piece)> = std::iter::once((format!("{head}{tail}"), first))
            .chain(lines[1..].iter().map(|line| (text_of(line), line)))
            .map(|(text, line)| (text, place_of(line, found.at)))
            .collect();
        let mut all = Vec::with_capacity(found.rows.len());
        for row in &found.rows {
            let mut lines = Vec::with_capacity(patterns.len());
            for (pattern, place) in &patterns {
                let mut text = pattern.clone();
                for (name, value) in found.names.iter().zip(row) {
                    text = replace(&text, name, value);
                }
                if text.len() > longest {
                    return Err(Trouble::Limit("bytes in one line", longest));
                }
                self.spend(1 + text.len() / 8)?;
                let from = Piece {
                    verbatim: false,
                    ..*place
                };
                lines.push(vec![Run { text, from }]);
            }
            all.push(lines);
        }
        Ok(Some(all))
    }
}

fn text_of(line: &[Run]) -> String {
    line.iter().map(|run| run.text.as_str()).collect()
}

/// The place a byte of a line came from.
fn place_of(line: &[Run], at: usize) -> Piece {
    let mut before = 0;
    for run in line {
        if at < before + run.text.len() {
            return run.place(at - before, run.text.len() - (at - before));
        }
        before += run.text.len();
    }
    line.last().map_or(Piece::default(), |run| run.from)
}

impl Run {
    /// A part of the text, with its place.
    fn part(&self, from: usize, to: usize) -> Run {
        Run {
            text: self.text[from..to].to_owned(),
            from: self.place(from, to - from),
        }
    }

    fn place(&self, from: usize, length: usize) -> Piece {
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match self.from.verbatim {
            true => Piece {
                from: self.from.from + narrow(from),
                length: narrow(length),
                ..self.from
            },
            false => self.from,
        }
    }
}

/// Lines being put together.
struct Output {
    lines: Vec<Vec<Run>>,
    length: usize,
    longest: usize,
}

impl Output {
    fn push(&mut self, run: Run) -> Result<(), Trouble> {
        self.length += run.text.len();
        if self.length > self.longest {
            return Err(Trouble::Limit("bytes in one line", self.longest));
        }
        if !run.text.is_empty()
            && let Some(line) = self.lines.last_mut()
        {
            line.push(run);
        }
        Ok(())
    }

    fn new_line(&mut self) {
        self.lines.push(Vec::new());
        self.length = 0;
    }
}

/// A `~SEQ(…)` or `~LST(…)`: where it stands, its names, and their values for each line.
struct Repetition {
    at: usize,
    end: usize,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The repetition that `text` begins with: where it begins, the word, and where its arguments do. Anywhere else in a line
/// the words mean nothing, as in keepalived.
fn head(text: &str) -> Option<(usize, &'static str, usize)> {
    let at = text.len() - text.trim_start().len();
    ["~SEQx", "~SEQ", "~LST"].into_iter().find_map(|word| {
        let after = text[at..].strip_prefix(word)?;
        let inside = after.trim_start().strip_prefix('(')?;
        Some((at, word, text.len() - inside.len()))
    })
}

/// Names that repetitions on a line give values to: they are not definitions, even of the same name.
fn repetition_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = text;
    while let Some((_, _, inside)) = head(rest) {
        rest = &rest[inside..];
        let end = rest.find(')').unwrap_or(rest.len());
        let first = match rest.strip_prefix('{').and_then(|inside| inside.split('}').next()) {
            Some(tuple) => tuple,
            None => rest[..end].split(',').next().unwrap_or(""),
        };
        names.extend(first.split(',').map(|name| name.trim().to_owned()));
        rest = rest.get(end + 1..).unwrap_or("");
    }
    names
}

fn repetition(text: &str) -> Result<Option<Repetition>, Trouble> {
    let Some((at, word, begin)) = head(text) else {
        return Ok(None);
    };
    let inside = &text[begin..];
    let malformed = |why: &str| Trouble::Malformed(format!("{word}(…): {why}"));
    let length = inside.find(')').ok_or_else(|| malformed("the ')' is missing"))?;
    let end = begin + length + 1;
    let parts = arguments(&inside[..length]);
    let (first, rest) = parts.split_first().ok_or_else(|| malformed("it is empty"))?;
    let names = tuple(first);
    if names
        .iter()
        .any(|name| name.is_empty() || !name.bytes().all(is_name))
        || rest.is_empty()
    {
        return Err(malformed("it needs a name and values"));
    }
    let rows = if word == "~LST" {
        let rows: Vec<Vec<String>> = rest.iter().map(|part| tuple(part)).collect();
        if rows.iter().any(|row| row.len() != names.len()) {
            return Err(malformed("each entry needs as many values as there are names"));
        }
        rows
    } else {
        sequence(rest, word == "~SEQx").map_err(|why| match why {
            Trouble::Malformed(why) => malformed(&why),
            limit => limit,
        })?
    };
    Ok(Some(Repetition { at, end, names, rows }))
}

fn sequence(rest: &[String], hexadecimal: bool) -> Result<Vec<Vec<String>>, Trouble> {
    let numbers: Option<Vec<i64>> = rest
        .iter()
        .map(|text| {
            i64::from_str_radix(
                text.trim_start_matches("0x"),
                if text.starts_with("0x") { 16 } else { 10 },
            )
            .ok()
        })
        .collect();
    let numbers = numbers.ok_or_else(|| Trouble::Malformed("its bounds are whole numbers".to_owned()))?;
    let (start, step, end) = match numbers.as_slice() {
        [end] => (if *end < 0 { -1 } else { 1 }, None, *end),
        [start, end] => (*start, None, *end),
        [start, step, end] => (*start, Some(*step), *end),
        _ => return Err(Trouble::Malformed("it has too many bounds".to_owned())),
    };
    let step = step.unwrap_or(if start <= end { 1 } else { -1 });
    if step == 0 || (end > start) != (step > 0) && end != start {
        return Err(Trouble::Malformed("its step never reaches the end".to_owned()));
    }
    let count = (i128::from(end) - i128::from(start)) / i128::from(step);
    if count >= EXPANDED_MAX as i128 {
        return Err(Trouble::Limit("repetitions", EXPANDED_MAX));
    }
    let values = (0..=count).map(|index| i128::from(start) + index * i128::from(step));
    Ok(values
        .map(|value| {
            vec![if hexadecimal {
                format!("{value:x}")
            } else {
                value.to_string()
            }]
        })
        .collect())
}

/// Splits at commas outside braces.
fn arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// `{a,b}` or a single word.
fn tuple(text: &str) -> Vec<String> {
    match text.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')) {
        Some(inside) => inside.split(',').map(|part| part.trim().to_owned()).collect(),
        None => vec![text.to_owned()],
    }
}

/// Puts a value for `$NAME` and `${NAME}`.
fn replace(text: &str, name: &str, value: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let braced = rest
            .strip_prefix("${")
            .and_then(|inside| inside.strip_prefix(name))
            .and_then(|r| r.strip_prefix('}'));
        let plain = rest[1..].strip_prefix(name).filter(|after| ends_name(after));
        match braced.or(plain) {
            Some(after) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('$');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(definitions: &[(&str, &[&str])], line: &str) -> Result<Vec<String>, Trouble> {
        let environment = |name: &str| (name == "SITE").then(|| "north".to_owned());
        let mut all = Definitions::new(&environment, 7);
        all.enter("/etc/lb");
        for (name, lines) in definitions {
            all.define(name, lines.iter().map(|line| (*line).to_owned()).collect())?;
        }
        let run = Run {
            text: line.to_owned(),
            from: Piece::default(),
        };
        let lines = all.expand(vec![run], 10_000)?;
        Ok(lines
            .iter()
            .map(|line| line.iter().map(|run| run.text.as_str()).collect())
            .collect())
    }

    #[test]
    fn names_are_replaced_where_a_name_ends() {
        let known: &[(&str, &[&str])] = &[("A", &["1"]), ("B", &["${A}/24"]), ("M", &["x {", "y", "}"])];
        for (line, want) in [
            ("priority $A", vec!["priority 1"]),
            ("10.0.0.${A}0", vec!["10.0.0.10"]),
            ("$A.5 $A/24", vec!["$A.5 $A/24"]),
            ("$B,$A)", vec!["1/24,1)"]),
            ("$C stays", vec!["$C stays"]),
            ("block $M", vec!["block x {", "y", "}"]),
            ("$M not last", vec!["$M not last"]),
            ("${_PWD}/x ${_ENV SITE}${_HASH}", vec!["/etc/lb/x north#"]),
            ("cost 5$", vec!["cost 5$"]),
        ] {
            assert_eq!(expand(known, line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn repetitions_nest_with_the_leftmost_outermost() {
        for (line, want) in [
            ("~SEQ(I,3) 10.0.0.$I", vec!["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
            ("~SEQ(I,2,1) x$I", vec!["x2", "x1"]),
            ("~SEQ(I,0,5,10) $I", vec!["0", "5", "10"]),
            ("~SEQx(I,9,11) ::${I}", vec!["::9", "::a", "::b"]),
            ("~SEQ(I,-2) $I", vec!["-1", "-2"]),
            ("~SEQ (I, 1, 2)x$I", vec!["x1", "x2"]),
            (
                "~SEQ(A,1,2) ~SEQ(B,1,2) ${A}.$B",
                vec!["1.1", "1.2", "2.1", "2.2"],
            ),
            ("~LST(H,web,db) host $H", vec!["host web", "host db"]),
            ("~LST({A,B},{1,2},{3,4}) ${A}-$B", vec!["1-2", "3-4"]),
            // Before a dot or a stroke no name ends, and only a line's beginning repeats it.
            ("~SEQ(I,1,2) 10.$I.0.0/$I", vec!["10.$I.0.0/1", "10.$I.0.0/2"]),
            ("x~SEQ(I,1,2) $I", vec!["x~SEQ(I,1,2) $I"]),
        ] {
            assert_eq!(expand(&[], line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn a_repetition_repeats_all_lines_of_a_definition() {
        let known: &[(&str, &[&str])] = &[
            ("V", &["x $N {", "y${N}", "~SEQ(M,1,2) z$M", "}"]),
            ("W", &["x {", "~LST(M,a,b) $M", "}"]),
        ];
        for (line, want) in [
            (
                "~SEQ(N,1,2) $V",
                vec!["x 1 {", "y1", "z1", "z2", "}", "x 2 {", "y2", "z1", "z2", "}"],
            ),
            ("$W", vec!["x {", "a", "b", "}"]),
        ] {
            assert_eq!(expand(known, line).unwrap(), want, "{line}");
        }
    }

    #[test]
    fn what_would_grow_without_end_is_stopped() {
        let itself: &[(&str, &[&str])] = &[("A", &["$A"])];
        assert!(matches!(expand(itself, "$A"), Err(Trouble::Recursion(name)) if name == "A"));
        let lines: Vec<(String, String)> = (0..30)
            .map(|level| {
                (
                    format!("L{level}"),
                    format!("${{L{}}}${{L{}}}", level + 1, level + 1),
                )
            })
            .collect();
        let parts: Vec<[&str; 1]> = lines.iter().map(|(_, value)| [value.as_str()]).collect();
        let known: Vec<(&str, &[&str])> = lines
            .iter()
            .zip(&parts)
            .map(|((name, _), value)| (name.as_str(), &value[..]))
            .collect();
        let mut known = known;
        known.push(("L30", &[""]));
        assert!(matches!(expand(&known, "$L0"), Err(Trouble::Limit(..))));
        assert!(matches!(
            expand(&[], "~SEQ(I,1,100000000) $I"),
            Err(Trouble::Limit(..))
        ));
        assert!(matches!(
            expand(&[], "~SEQ(I,1,2000) ~SEQ(J,1,2000) x"),
            Err(Trouble::Limit(..))
        ));
    }

    #[test]
    fn a_repetition_that_cannot_be_read_says_why() {
        for line in [
            "~SEQ(I,1",
            "~SEQ()",
            "~SEQ(I,a)",
            "~SEQ(I,1,0,5)",
            "~SEQ(I,1,-1,5)",
            "~LST({A,B},{1})",
        ] {
            assert!(matches!(expand(&[], line), Err(Trouble::Malformed(_))), "{line}");
        }
    }
}
