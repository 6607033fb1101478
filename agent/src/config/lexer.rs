//! Lines into words: the plain reader for most keywords, the quoted one for scripts and patterns.

/// A piece of text in a logical line: index of the line, first byte, byte after the last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Span {
    pub line: u32,
    pub start: u32,
    pub end: u32,
}

/// A word, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'t> {
    pub text: &'t str,
    /// With its quotes.
    pub span: Span,
}

/// A word or a brace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'t> {
    Word(Word<'t>),
    Open(Span),
    Close(Span),
}

/// What is odd about a line: where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Odd {
    /// A quote without its partner.
    pub open_quote: Option<Span>,
    /// `{{ … }}` or `{% … %}`, which a template was to fill: the word it is in.
    pub placeholder: Option<Span>,
}

/// Words and braces of one line, its comment already gone.
///
/// A brace inside a word belongs to it if its partner does too (`a{2}`); otherwise it stands for itself, as in
/// `VI_1{` and `10.0.0.1}`. In single quotes a brace is only a character, since scripts may hold any. What a template was
/// to fill is a part of its word, white space and all.
pub(crate) fn tokens<'t>(text: &'t str, line: u32, out: &mut Vec<Token<'t>>) -> Odd {
    let bytes = text.as_bytes();
    let span = |start: usize, end: usize| Span {
        line,
        start: narrow(start),
        end: narrow(end),
    };
    let mut at = 0;
    let mut odd = Odd::default();
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            byte if byte.is_ascii_whitespace() => at += 1,
            b'{' if placeholder_end(text, at).is_none() => {
                out.push(Token::Open(span(at, at + 1)));
                at += 1;
            }
            b'"' => {
                let (end, after, next) = match text[at + 1..].find('"') {
                    Some(length) => (at + 1 + length, at + 2 + length, at + 2 + length),
                    None => {
                        odd.open_quote = Some(span(at, at + 1));
                        let end = text.trim_end().len();
                        (end, end, bytes.len())
                    }
                };
                at = next;
                let inside = &text[start + 1..end.max(start + 1)];
                out.push(Token::Word(Word {
                    text: inside,
                    span: span(start, after),
                }));
            }
            _ => {
                let body = match bytes[at] {
                    b'\'' => text[at + 1..].find('\'').map_or(at, |length| at + 2 + length),
                    _ => at,
                };
                at = chunk(text, start, body, &span, out, &mut odd);
            }
        }
    }
    odd
}

/// Where what a template was to fill ends, if the brace at `at` begins it.
fn placeholder_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let end = match rest.as_bytes() {
        [b'{', b'{', ..] => "}}",
        [b'{', b'%', ..] => "%}",
        _ => return None,
    };
    rest.find(end).map(|length| at + length + end.len())
}

/// Whether a template was to fill a part of the word.
pub(crate) fn is_placeholder(word: Word<'_>) -> bool {
    let text = word.text;
    let opens = text.find("{{").or_else(|| text.find("{%"));
    opens.is_some_and(|at| placeholder_end(text, at).is_some())
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The words and lone braces from `start` to the next white space or double quote, braces counting from `body`.
fn chunk<'t>(
    text: &'t str,
    start: usize,
    body: usize,
    span: &dyn Fn(usize, usize) -> Span,
    out: &mut Vec<Token<'t>>,
    odd: &mut Odd,
) -> usize {
    let bytes = text.as_bytes();
    let mut open_at = Vec::new();
    let mut lone = Vec::new();
    let mut end = body;
    while end < bytes.len() && !bytes[end].is_ascii_whitespace() && bytes[end] != b'"' {
        match bytes[end] {
            b'{' if let Some(after) = placeholder_end(text, end) => {
                odd.placeholder.get_or_insert(span(start, after));
                end = after;
                continue;
            }
            b'{' => open_at.push(end),
            b'}' if open_at.pop().is_none() => lone.push(end),
            _ => {}
        }
        end += 1;
    }
    lone.extend(open_at);
    lone.sort_unstable();
    let mut from = start;
    for at in lone.into_iter().chain([end]) {
        if at > from {
            out.push(Token::Word(Word {
                text: &text[from..at],
                span: span(from, at),
            }));
        }
        match bytes.get(at) {
            Some(b'{') if at < end => out.push(Token::Open(span(at, at + 1))),
            Some(b'}') if at < end => out.push(Token::Close(span(at, at + 1))),
            _ => {}
        }
        from = at + 1;
    }
    end
}

/// Splits as a script keyword does: `"…"` and `'…'`, adjacent parts join, backslash escapes.
///
/// Returns the words and whether a quote was left open.
pub(crate) fn quoted_words(text: &str) -> (Vec<String>, bool) {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote: Option<u8> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        match (byte, quote) {
            (b'\\', _) if at < bytes.len() => {
                let (value, used) = escape(&bytes[at..]);
                word.get_or_insert_default().push(value);
                at += used;
            }
            (_, Some(open)) if byte == open => quote = None,
            (b'"' | b'\'', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (_, None) if byte.is_ascii_whitespace() => {
                if let Some(done) = word.take() {
                    words.push(String::from_utf8_lossy(&done).into_owned());
                }
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    if let Some(done) = word {
        words.push(String::from_utf8_lossy(&done).into_owned());
    }
    (words, quote.is_some())
}

/// The byte an escape stands for, and how many bytes after the backslash it took.
fn escape(rest: &[u8]) -> (u8, usize) {
    let digits = |from: usize, radix: u32, most: usize| {
        let length = rest[from..]
            .iter()
            .take(most)
            .take_while(|byte| char::from(**byte).is_digit(radix))
            .count();
        let value = rest[from..from + length].iter().fold(0, |sum: u32, byte| {
            sum * radix + char::from(*byte).to_digit(radix).unwrap_or(0)
        });
        (u8::try_from(value & 0xff).unwrap_or(0), length)
    };
    match rest[0] {
        b'a' => (7, 1),
        b'b' => (8, 1),
        b'E' => (27, 1),
        b'f' => (12, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (11, 1),
        b'x' => match digits(1, 16, 2) {
            (_, 0) => (b'x', 1),
            (value, length) => (value, length + 1),
        },
        b'c' if rest.len() > 1 => (rest[1] & 0x1f, 2),
        b'0'..=b'7' => digits(0, 8, 3),
        other => (other, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let _ = tokens(text, 0, &mut out);
        out.iter()
            .map(|token| match token {
                Token::Word(word) => word.text.to_owned(),
                Token::Open(_) => "{".to_owned(),
                Token::Close(_) => "}".to_owned(),
            })
            .collect()
    }

    #[test]
    fn braces_split_from_words_unless_both_are_inside() {
        for (text, want) in [
            ("vrrp_instance VI_1{", vec!["vrrp_instance", "VI_1", "{"]),
            ("a {10.0.0.1/32} b", vec!["a", "{", "10.0.0.1/32", "}", "b"]),
            ("regex a{2}b", vec!["regex", "a{2}b"]),
            ("script \"x {y}\"", vec!["script", "x {y}"]),
            ("script '{'", vec!["script", "'{'"]),
            ("}}", vec!["}", "}"]),
            ("don't do", vec!["don't", "do"]),
            ("a\"b c\"d", vec!["a", "b c", "d"]),
            ("x VI_{{ id }}_a {", vec!["x", "VI_{{ id }}_a", "{"]),
            ("{% if a %}", vec!["{% if a %}"]),
            ("a {{ b", vec!["a", "{", "{", "b"]),
        ] {
            assert_eq!(shape(text), want, "{text}");
        }
    }

    #[test]
    fn an_open_quote_is_told_and_the_rest_is_one_word() {
        let mut out = Vec::new();
        let trouble = tokens("script \"/bin/x y", 3, &mut out);
        assert_eq!(trouble.open_quote.unwrap().start, 7);
        assert_eq!(out.len(), 2);
        assert!(tokens("script \"", 3, &mut out).open_quote.is_some());
        // White space of more than one byte at the end.
        for text in ["\"x\u{85}", "\"\u{2003}", "\" \u{3000}\u{85}"] {
            assert!(tokens(text, 3, &mut out).open_quote.is_some(), "{text:?}");
        }
    }

    #[test]
    fn script_words_join_quotes_and_read_escapes() {
        for (text, want) in [
            (r#""/bin/x a b" root"#, vec!["/bin/x a b", "root"]),
            (r#"'/bin/x' "y"z"#, vec!["/bin/x", "yz"]),
            (r"a\ b \x41\102\t", vec!["a b", "AB\t"]),
            ("", vec![]),
            ("''", vec![""]),
        ] {
            assert_eq!(quoted_words(text).0, want, "{text}");
        }
        assert!(quoted_words("'open").1);
    }
}
