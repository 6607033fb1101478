//! Lines of files into logical lines: comments, `@id` conditions, continuation and `$` definitions.

use super::Facts;
use super::findings::limit_reached;
use super::source::{Line, Sources, before_comment};
use lb_shared::diagnostic::{Diagnostic, Place};
use std::borrow::Cow;

/// A line as the reader of words sees it.
#[derive(Debug)]
pub(crate) struct Logical<'s> {
    pub text: Cow<'s, str>,
    /// Index of the line it came from.
    pub line: u32,
    /// Where the pieces of `text` came from; `None` when it is a part of the line itself.
    pub map: Option<Box<[Piece]>>,
}

/// A stretch of a logical line.
#[derive(Clone, Copy, Debug)]
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
    let mut out = Expanded {
        lines: Vec::with_capacity(sources.lines.len()),
        findings: Vec::new(),
        fatal: false,
    };
    let mut next = 0;
    while next < sources.lines.len() && !out.fatal {
        next = one(sources, facts, next, &mut out);
    }
    out
}

/// Reads the logical line that begins at `index`; gives the index after it.
fn one<'s>(sources: &'s Sources, facts: &Facts<'_>, index: usize, out: &mut Expanded<'s>) -> usize {
    let line = sources.lines[index];
    let whole = sources.text(line);
    let mut text = before_comment(whole);
    if let Some((counts, rest)) = condition(text, &facts.config_id) {
        if !counts {
            return after_continuation(sources, index);
        }
        text = rest;
    }
    let number = |at: usize| u32::try_from(at).expect("a line is shorter than LINE_MAX");
    let this = u32::try_from(index).expect("fewer lines than bytes");
    if text.trim().is_empty() {
        return index + 1;
    }
    let offset = number(text.as_ptr() as usize - whole.as_ptr() as usize);
    let plain = !text.contains('\\');
    if plain && offset == 0 {
        out.lines.push(Logical {
            text: Cow::Borrowed(text),
            line: this,
            map: None,
        });
        return index + 1;
    }
    let mut joined = String::with_capacity(text.len());
    let mut map = Vec::new();
    let after = join(sources, index, text, offset, &mut joined, &mut map);
    if joined.len() > super::source::LINE_MAX {
        let place = Place {
            excerpt: String::new(),
            width: 1,
            ..sources.whole(line)
        };
        out.findings.push(limit_reached(
            "bytes in one line",
            super::source::LINE_MAX,
            Some(place),
        ));
        out.fatal = true;
    }
    out.lines.push(Logical {
        text: Cow::Owned(joined),
        line: this,
        map: Some(map.into()),
    });
    after
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
        if !continues || joined.len() > super::source::LINE_MAX {
            return index;
        }
        joined.push(' ');
        text = before_comment(sources.text(sources.lines[index]));
        offset = 0;
    }
}

fn verbatim(joined: &mut String, map: &mut Vec<Piece>, text: &str, index: usize, offset: u32, from: usize) {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
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
    let rest = text.trim_start().strip_prefix('@')?;
    let end = rest.find([' ', '\t']).unwrap_or(rest.len());
    let (wanted, rest) = rest.split_at(end);
    Some(match wanted.strip_prefix('^') {
        Some(other) => (other != id, rest),
        None => (wanted == id, rest),
    })
}

/// The place of a piece of a logical line, in the file as the operator sees it.
pub(crate) fn place(sources: &Sources, logical: &Logical<'_>, start: u32, end: u32) -> Place {
    let (index, from, length) = match &logical.map {
        None => (logical.line, start, end.saturating_sub(start)),
        Some(map) => {
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
    let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place {
        file: sources.files[line.file as usize].name.clone(),
        line: line.number,
        column: narrow(head.chars().count() + 1),
        width: narrow(meant.chars().count().max(1)),
        excerpt: text.to_owned(),
    }
}
