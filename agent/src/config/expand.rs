//! Lines of files into logical lines: comments, `@id` conditions, continuation and `$` definitions.

use super::Facts;
use super::define::{Definitions, Run, Trouble, definition};
use super::findings::limit_reached;
use super::source::{LINE_MAX, Line, Sources, before_comment, unindented};
use lb_shared::diagnostic::{Diagnostic, Place, Severity};

/// A line as the reader of words sees it.
#[derive(Debug)]
pub(crate) struct Logical<'s> {
    text: Text<'s>,
    /// Index of the line it came from.
    pub line: u32,
}

/// Nearly all are as written, and there are as many as the file has lines.
#[derive(Debug)]
enum Text<'s> {
    /// A part of the line itself, from its first byte on.
    Written(&'s str),
    Joined(Box<Joined>),
}

/// A text, and where its pieces came from.
#[derive(Debug)]
struct Joined {
    text: String,
    map: Vec<Piece>,
}

impl Logical<'_> {
    pub(crate) fn text(&self) -> &str {
        match &self.text {
            Text::Written(text) => text,
            Text::Joined(joined) => &joined.text,
        }
    }
}

/// A stretch of a logical line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Piece {
    /// First byte in the logical line.
    pub at: u32,
    /// Index of the line it came from.
    pub line: u32,
    /// First byte there, and how many; what was written there may be longer or shorter than what it became.
    pub from: u32,
    pub length: u32,
    /// Byte for byte as written.
    pub verbatim: bool,
}

/// The logical lines, what was found, and whether a limit was passed.
pub(crate) struct Expanded<'s> {
    pub lines: Vec<Logical<'s>>,
    pub findings: Vec<Diagnostic>,
    pub fatal: bool,
}

/// Turns the lines that were read into those that count here.
pub(crate) fn expand<'s>(sources: &'s Sources, facts: &Facts<'_>) -> Expanded<'s> {
    let lines = Vec::with_capacity(sources.lines.len());
    let out = Expanded {
        lines,
        findings: Vec::new(),
        fatal: false,
    };
    let definitions = Definitions::new(facts.environment, facts.seed);
    let mut expander = Expander {
        sources,
        id: &facts.config_id,
        definitions,
        out,
    };
    let mut next = 0;
    while next < sources.lines.len() && !expander.out.fatal {
        next = expander.line(next);
    }
    expander.out
}

struct Expander<'s, 'f> {
    sources: &'s Sources,
    id: &'f str,
    definitions: Definitions<'f>,
    out: Expanded<'s>,
}

impl<'s> Expander<'s, '_> {
    /// Reads the logical line that begins at `index`; gives the index after it.
    fn line(&mut self, index: usize) -> usize {
        let line = self.sources.lines[index];
        let whole = self.sources.text(line);
        let first = unindented(whole);
        if is_plain(whole) && !first.starts_with(RANDOM_SEED) {
            if !first.is_empty() {
                self.out.lines.push(Logical {
                    text: Text::Written(whole),
                    line: narrow(index),
                });
            }
            return index + 1;
        }
        let mut text = before_comment(whole);
        if let Some((counts, rest)) = condition(text, self.id) {
            if !counts {
                return after_continuation(self.sources, index);
            }
            text = rest;
        }
        let words = unindented(text);
        if words.is_empty() {
            return index + 1;
        }
        if let Some((name, value)) = definition(text) {
            return self.define(name, &text[value..], index);
        }
        // Definitions are expanded before keywords are read, so this one is looked for in the text.
        if let Some(seed) = words
            .strip_prefix(RANDOM_SEED)
            .and_then(|seed| seed.trim().parse().ok())
        {
            self.definitions.seed(seed);
        }
        let offset = narrow(text.as_ptr() as usize - whole.as_ptr() as usize);
        let special = memchr::memchr3(b'\\', b'$', b'~', text.as_bytes()).is_some();
        if !special && offset == 0 {
            self.out.lines.push(Logical {
                text: Text::Written(text),
                line: narrow(index),
            });
            return index + 1;
        }
        let mut joined = String::with_capacity(text.len());
        let mut map = Vec::new();
        let after = join(self.sources, index, text, offset, &mut joined, &mut map);
        if joined.len() > LINE_MAX {
            self.stop("bytes in one line", LINE_MAX, index);
        } else if joined.contains('$') || joined.contains("~SEQ") || joined.contains("~LST") {
            self.substitute(index, &joined, &map);
        } else {
            self.joined(index, joined, map);
        }
        after
    }

    /// Takes down `$NAME=VALUE`, its further lines kept apart.
    fn define(&mut self, name: &str, value: &str, index: usize) -> usize {
        let mut lines = Vec::new();
        let mut index = index;
        let mut text = value;
        loop {
            let body = text.trim_end();
            let continues = body.ends_with('\\') && index + 1 < self.sources.lines.len();
            let body = if continues {
                body.trim_end_matches('\\')
            } else {
                body
            };
            lines.push(body.trim().to_owned());
            index += 1;
            if !continues {
                break;
            }
            text = before_comment(self.sources.text(self.sources.lines[index]));
        }
        if lines.len() > 1 && lines[0].is_empty() {
            lines.remove(0);
        }
        if let Err(trouble) = self.definitions.define(name, lines) {
            self.trouble(trouble, index - 1);
        }
        index
    }

    fn substitute(&mut self, index: usize, joined: &str, map: &[Piece]) {
        self.definitions
            .enter(self.sources.folder(self.sources.lines[index].file));
        let mut line = Vec::with_capacity(map.len());
        for (at, piece) in map.iter().enumerate() {
            let end = map.get(at + 1).map_or(joined.len(), |next| next.at as usize);
            line.push(Run {
                text: joined[piece.at as usize..end].to_owned(),
                from: *piece,
            });
        }
        match self.definitions.expand(line, LINE_MAX) {
            Ok(lines) => {
                for line in lines {
                    self.push(index, &line);
                }
            }
            Err(trouble) => self.trouble(trouble, index),
        }
    }

    fn push(&mut self, index: usize, line: &[Run]) {
        let mut text = String::new();
        let mut map = Vec::with_capacity(line.len());
        for run in line {
            map.push(Piece {
                at: narrow(text.len()),
                ..run.from
            });
            text.push_str(&run.text);
        }
        if !text.trim().is_empty() {
            self.joined(index, text, map);
        }
    }

    fn joined(&mut self, index: usize, text: String, map: Vec<Piece>) {
        self.out.lines.push(Logical {
            text: Text::Joined(Box::new(Joined { text, map })),
            line: narrow(index),
        });
    }

    fn trouble(&mut self, trouble: Trouble, index: usize) {
        let (code, message, note) = match trouble {
            Trouble::Limit(what, limit) => return self.stop(what, limit, index),
            Trouble::Recursion(name) => (
                "L-26",
                format!("${name} is defined by itself"),
                "the line is left out; give the definition a value",
            ),
            Trouble::Malformed(why) => ("L-27", why, "the line is left out"),
        };
        let place = self.sources.whole(self.sources.lines[index]);
        self.out.findings.push(
            Diagnostic::new(Severity::Error, code, message)
                .note(note)
                .at(place),
        );
    }

    fn stop(&mut self, what: &str, limit: usize, index: usize) {
        let line = self.sources.lines[index];
        let place = Place {
            excerpt: String::new(),
            width: 1,
            ..self.sources.whole(line)
        };
        self.out.findings.push(limit_reached(what, limit, Some(place)));
        self.out.fatal = true;
    }
}

/// Seeds `${_RANDOM}`.
const RANDOM_SEED: &str = "random_seed";

/// Whether a line has none of the characters that mean something here, as nearly all.
fn is_plain(line: &str) -> bool {
    // Without an early end it is done for many bytes at once.
    let special = |byte| matches!(byte, b'!' | b'#' | b'\\' | b'$' | b'~' | b'@');
    !line.bytes().fold(false, |found, byte| found | special(byte))
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Appends `text` without escapes of comment characters, then the lines it continues on.
fn join(
    sources: &Sources,
    index: usize,
    text: &str,
    offset: u32,
    joined: &mut String,
    map: &mut Vec<Piece>,
) -> usize {
    let mut index = index;
    let mut text = text;
    let mut offset = offset;
    loop {
        let continues = text.trim_end().ends_with('\\') && index + 1 < sources.lines.len();
        let body = if continues {
            text.trim_end().trim_end_matches('\\')
        } else {
            text
        };
        let mut from = 0;
        for (at, mark) in body.match_indices('\\') {
            if at >= from && body[at + mark.len()..].starts_with(['!', '#']) {
                verbatim(joined, map, &body[from..at], index, offset, from);
                from = at + 1;
            }
        }
        verbatim(joined, map, &body[from..], index, offset, from);
        index += 1;
        if !continues || joined.len() > LINE_MAX {
            return index;
        }
        joined.push(' ');
        text = before_comment(sources.text(sources.lines[index]));
        offset = 0;
    }
}

fn verbatim(joined: &mut String, map: &mut Vec<Piece>, text: &str, index: usize, offset: u32, from: usize) {
    map.push(Piece {
        at: narrow(joined.len()),
        line: narrow(index),
        from: offset + narrow(from),
        length: narrow(text.len()),
        verbatim: true,
    });
    joined.push_str(text);
}

fn after_continuation(sources: &Sources, index: usize) -> usize {
    let mut index = index;
    while index < sources.lines.len()
        && before_comment(sources.text(sources.lines[index]))
            .trim_end()
            .ends_with('\\')
    {
        index += 1;
    }
    index + 1
}

/// Whether a line that begins with `@id` or `@^id` counts here, and what stands behind the condition.
fn condition<'l>(text: &'l str, id: &str) -> Option<(bool, &'l str)> {
    let rest = unindented(text).strip_prefix('@')?;
    let end = rest.find([' ', '\t']).unwrap_or(rest.len());
    let (wanted, rest) = rest.split_at(end);
    Some(match wanted.strip_prefix('^') {
        Some(other) => (other != id, rest),
        None => (wanted == id, rest),
    })
}

/// The place of a piece of a logical line, in the file as the operator sees it.
pub(crate) fn place(sources: &Sources, logical: &Logical<'_>, start: u32, end: u32) -> Place {
    let (index, from, length) = match &logical.text {
        Text::Written(_) => (logical.line, start, end.saturating_sub(start)),
        Text::Joined(joined) => {
            let map = &joined.map;
            let after = map.partition_point(|piece| piece.at <= start);
            let piece = map[after.saturating_sub(1)];
            match piece.verbatim {
                true => (
                    piece.line,
                    piece.from + (start - piece.at),
                    end.saturating_sub(start),
                ),
                false => (piece.line, piece.from, piece.length),
            }
        }
    };
    let line: Line = sources.lines[index as usize];
    let text = sources.text(line);
    let head = text.get(..from as usize).unwrap_or(text);
    let meant = text.get(from as usize..(from + length) as usize).unwrap_or("");
    Place {
        file: sources.files[line.file as usize].name.clone(),
        line: line.number,
        column: narrow(head.chars().count() + 1),
        width: narrow(meant.chars().count().max(1)),
        excerpt: if text.len() > EXCERPT_MAX {
            String::new()
        } else {
            text.to_owned()
        },
    }
}

/// Bytes of a line that is still shown with a finding.
const EXCERPT_MAX: usize = 500;
