//! Files, includes and positions: the configuration as one list of lines, each knowing where it stands.

use super::findings::limit_reached;
use lb_shared::diagnostic::{Diagnostic, Place, Severity};
use std::collections::BTreeMap;

/// The seam to the disk: a map in tests, the real thing in the shell.
pub trait Files {
    /// The whole file. Only regular files, never waiting, never more than [`FILE_MAX`] bytes.
    fn read(&self, path: &str) -> Result<Content, FileError>;
    /// The regular files that match a shell pattern, sorted. Empty when there are none.
    fn glob(&self, pattern: &str) -> Vec<String>;
    /// What is known about a program that is to be run by `user`.
    fn script(&self, program: &str, user: Option<(u32, u32)>) -> ScriptFact;
    /// A file with a key in it: one of the host's, never one of the configuration. Where there is no host there is none.
    fn key(&self, _path: &str) -> Result<KeyFile, FileError> {
        Err(FileError("cannot be read here".to_owned()))
    }
}

/// A file with a key.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct KeyFile {
    pub bytes: Vec<u8>,
    /// Who else can get at it, in words that follow its name: `can be read by its group`.
    pub loose: Option<String>,
}

/// A file as read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Content {
    pub bytes: Vec<u8>,
    /// Device and inode, or anything else that is the same for two names of one file.
    pub id: (u64, u64),
    pub rights: Rights,
}

/// What others than root may do with a file, as far as somebody looked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rights {
    /// How they could change it.
    pub changeable: Option<String>,
    pub readable_by_all: bool,
}

/// Why a file could not be read, in words that follow its name: `does not exist`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct FileError(pub String);

/// What is known about a program.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScriptFact {
    /// Its absolute path, found in PATH for a bare name.
    pub path: Option<String>,
    pub state: ScriptState,
    /// The first bytes of its text, if it is a script.
    pub text: Option<String>,
}

/// Whether a program can be run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ScriptState {
    #[default]
    Fine,
    /// There is no such file; perhaps one whose name differs by little.
    Missing { near: Option<String> },
    /// It is there, but its user may not run it: why.
    NotExecutable(String),
    /// Somebody other than root could change it: how.
    Unsafe(String),
}

/// Bytes of one file.
pub const FILE_MAX: usize = 16 << 20;
/// Bytes of all files together.
pub const TOTAL_MAX: usize = 64 << 20;
/// Files read.
pub const FILES_MAX: usize = 10_000;
/// Includes inside includes.
pub const INCLUDE_DEPTH_MAX: usize = 32;
/// Files one pattern may match.
pub const MATCHES_MAX: usize = 10_000;
/// Lines of all files together.
pub const LINES_MAX: usize = 1_000_000;
/// Bytes of one line.
pub const LINE_MAX: usize = 64 << 10;
/// Characters after which keepalived ignores a line.
const KEEPALIVED_LINE_MAX: usize = 1023;

/// One file that was read, or one reading of it if it was included twice.
#[derive(Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    /// The line that included it: index of a file, number of the line.
    pub included_from: Option<(u32, u32)>,
}

/// A line of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub file: u32,
    /// From 1.
    pub number: u32,
    pub start: u32,
    pub end: u32,
}

/// Everything that was read, in the order in which it counts.
#[derive(Debug, Default)]
pub struct Sources {
    pub files: Vec<SourceFile>,
    /// The names each pattern matched.
    pub globs: BTreeMap<String, Vec<String>>,
    pub(crate) lines: Vec<Line>,
}

impl Sources {
    pub(crate) fn text(&self, line: Line) -> &str {
        &self.files[line.file as usize].text[line.start as usize..line.end as usize]
    }

    /// The folder of a file, as written: empty for the working folder.
    pub(crate) fn folder(&self, file: u32) -> &str {
        self.files[file as usize]
            .name
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
    }

    /// The whole of a line as a place.
    pub(crate) fn whole(&self, line: Line) -> Place {
        let text = self.text(line);
        let indent = text.chars().take_while(|c| c.is_whitespace()).count();
        let width = text.trim().chars().count().max(1);
        Place {
            file: self.files[line.file as usize].name.clone(),
            line: line.number,
            column: u32::try_from(indent + 1).unwrap_or(1),
            width: u32::try_from(width).unwrap_or(1),
            excerpt: text.to_owned(),
        }
    }
}

/// The sources, what was found on the way, and whether anything at all can be made of them.
pub(crate) struct Read {
    pub sources: Sources,
    pub findings: Vec<Diagnostic>,
    /// The named file cannot be read, or a limit was passed: half a configuration is worse than none.
    pub fatal: bool,
}

/// Reads a file (or the files a pattern names) with all that it includes.
pub(crate) fn read(files: &dyn Files, path: &str) -> Read {
    let mut reader = Reader {
        files,
        sources: Sources::default(),
        findings: Vec::new(),
        fatal: false,
        total: 0,
        open: Vec::new(),
        check: IncludeCheck::default(),
    };
    let names = if is_pattern(path) {
        reader.glob(path)
    } else {
        vec![path.to_owned()]
    };
    if names.is_empty() {
        let text = format!("{path}: no file matches");
        reader
            .findings
            .push(Diagnostic::new(Severity::Error, "L-21", text));
        reader.fatal = true;
    }
    for name in names {
        match files.read(&name) {
            Ok(content) => reader.file(name, content, None),
            Err(why) => {
                let finding = Diagnostic::new(Severity::Error, "L-21", format!("{name} {why}"))
                    .note("keepalived ends here, although its -t says that all is well");
                reader.findings.push(finding);
                reader.fatal = true;
            }
        }
    }
    Read {
        sources: reader.sources,
        findings: reader.findings,
        fatal: reader.fatal,
    }
}

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// What a file holds somewhere.
#[derive(Clone, Copy)]
struct Odd {
    not_utf8: bool,
    nul: bool,
}

struct Reader<'f> {
    files: &'f dyn Files,
    sources: Sources,
    findings: Vec<Diagnostic>,
    fatal: bool,
    total: usize,
    /// Identities of the files being read, outermost first.
    open: Vec<(u64, u64)>,
    /// Of plain include lines from here on.
    check: IncludeCheck,
}

impl Reader<'_> {
    /// The names a pattern matches.
    fn glob(&mut self, pattern: &str) -> Vec<String> {
        let names = self.files.glob(pattern);
        self.sources.globs.insert(pattern.to_owned(), names.clone());
        names
    }

    fn limit(&mut self, what: &str, limit: usize, place: Option<Place>) {
        self.findings.push(limit_reached(what, limit, place));
        self.fatal = true;
    }

    fn file(&mut self, name: String, content: Content, from: Option<Line>) {
        let place = from.map(|line| self.sources.whole(line));
        if self.sources.files.len() >= FILES_MAX {
            return self.limit("files", FILES_MAX, place);
        }
        self.total += content.bytes.len();
        if content.bytes.len() > FILE_MAX {
            return self.limit("bytes in one file", FILE_MAX, place);
        }
        if self.total > TOTAL_MAX {
            return self.limit("bytes in all files", TOTAL_MAX, place);
        }
        let rights = content.rights;
        let (text, valid) = match String::from_utf8(content.bytes) {
            Ok(text) => (text, true),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
        };
        let index = u32::try_from(self.sources.files.len()).expect("FILES_MAX fits");
        let spans = line_spans(&text);
        let odd = Odd {
            not_utf8: !valid,
            nul: text.contains('\0'),
        };
        self.rights(&name, &text, &rights);
        let included_from = from.map(|line| (line.file, line.number));
        self.sources.files.push(SourceFile {
            name,
            text,
            included_from,
        });
        self.open.push(content.id);
        for (position, (start, end)) in spans.into_iter().enumerate() {
            if self.fatal {
                break;
            }
            let number = u32::try_from(position + 1).expect("a file has fewer lines than bytes");
            self.line(
                Line {
                    file: index,
                    number,
                    start,
                    end,
                },
                odd,
            );
        }
        self.open.pop();
    }

    /// What the rights of a file allow that they should not; said once a file.
    fn rights(&mut self, name: &str, text: &str, rights: &Rights) {
        if self.sources.files.iter().any(|it| it.name == name) {
            return;
        }
        if let Some(why) = &rights.changeable {
            let text = format!("{name} could be changed by others: {why}");
            let note = "whoever can write it chooses the scripts that run as root; chown root and chmod go-w";
            let finding = Diagnostic::new(Severity::Warning, "H-07", text).note(note);
            self.findings.push(finding);
        }
        if rights.readable_by_all && holds_secret(text) {
            let text = format!("{name} holds a password and can be read by everybody");
            let finding = Diagnostic::new(Severity::Warning, "H-08", text);
            self.findings.push(finding.note(format!("run: chmod o-r {name}")));
        }
    }

    fn line(&mut self, line: Line, odd: Odd) {
        let text = self.sources.text(line);
        let (length, nul) = (text.len(), odd.nul && text.contains('\0'));
        let broken = odd.not_utf8 && before_comment(text).contains(char::REPLACEMENT_CHARACTER);
        let long = length > KEEPALIVED_LINE_MAX && text.chars().count() > KEEPALIVED_LINE_MAX;
        let include = include_of(text).map(|(word, pattern)| (word.to_owned(), pattern.to_owned()));
        if length > LINE_MAX {
            let place = Place {
                excerpt: String::new(),
                width: 1,
                ..self.sources.whole(line)
            };
            return self.limit("bytes in one line", LINE_MAX, Some(place));
        }
        if nul {
            self.say(
                line,
                "L-18",
                "a NUL byte; the line is ignored",
                "keepalived ignores the line as well",
            );
            return;
        }
        if broken {
            self.say(line, "L-19", "bytes that are not UTF-8", "save the file as UTF-8");
        }
        if long {
            let place = Place {
                excerpt: String::new(),
                width: 1,
                ..self.sources.whole(line)
            };
            let finding = Diagnostic::new(
                Severity::Warning,
                "L-20",
                "the line is longer than 1023 characters",
            )
            .note("keepalived ignores such a line; it is read here")
            .note("break the line with '\\' at its end");
            self.findings.push(finding.at(place));
        }
        if let Some(words) = include_check_of(self.sources.text(line)) {
            self.check = self.check.changed(words);
        }
        match include {
            Some((word, pattern)) => self.include(line, &word, &pattern),
            None if self.sources.lines.len() >= LINES_MAX => {
                let place = self.sources.whole(line);
                self.limit("lines", LINES_MAX, Some(place));
            }
            None => self.sources.lines.push(line),
        }
    }

    fn say(&mut self, line: Line, code: &str, text: &str, note: &str) {
        let finding = Diagnostic::new(Severity::Error, code, text).note(note);
        self.findings.push(finding.at(self.sources.whole(line)));
    }

    fn include(&mut self, line: Line, word: &str, pattern: &str) {
        let folder = self.sources.folder(line.file);
        let pattern = if pattern.starts_with('/') || folder.is_empty() {
            pattern.to_owned()
        } else {
            format!("{folder}/{pattern}")
        };
        if self.open.len() >= INCLUDE_DEPTH_MAX {
            let place = self.sources.whole(line);
            return self.limit("includes inside each other", INCLUDE_DEPTH_MAX, Some(place));
        }
        let names = self.glob(&pattern);
        if names.len() > MATCHES_MAX {
            let place = self.sources.whole(line);
            return self.limit("files of one include", MATCHES_MAX, Some(place));
        }
        if names.is_empty() {
            let check = match word {
                "include" => self.check,
                word => IncludeCheck::of(word),
            };
            let (severity, note) = match (is_pattern(&pattern), check) {
                (false, it) if it.name => (Severity::Error, ASKED),
                (true, it) if it.wildcard || it.brace && pattern.contains('{') => (Severity::Error, ASKED),
                (false, _) => (Severity::Warning, "it is left out, as in keepalived"),
                (true, _) => return,
            };
            let finding = Diagnostic::new(severity, "L-22", format!("{pattern}: no file matches"));
            self.findings
                .push(finding.note(note).at(self.sources.whole(line)));
        }
        for name in names {
            if self.fatal {
                return;
            }
            match self.files.read(&name) {
                Ok(content) if self.open.contains(&content.id) => {
                    let text = format!("{name} includes itself; it is not read again");
                    self.say(line, "L-23", &text, "remove one of the includes");
                }
                Ok(content) => self.file(name, content, Some(line)),
                Err(why) => {
                    let text = format!("{name} {why}");
                    self.say(line, "L-21", &text, "keepalived would go on without the file");
                }
            }
        }
    }
}

/// Why a missing file is an error.
const ASKED: &str = "the word, or include_check, asks for an error in this case";

/// Which includes that match no file are errors. A file that cannot be read always is one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct IncludeCheck {
    /// A name.
    name: bool,
    /// A pattern.
    wildcard: bool,
    /// A pattern with braces.
    brace: bool,
}

impl IncludeCheck {
    const ALL: Self = Self {
        name: true,
        wildcard: true,
        brace: true,
    };

    /// What one of the words that include asks for by itself.
    fn of(word: &str) -> Self {
        let (name, wildcard, brace) = match word {
            "includem" => (true, false, false),
            "includew" => (true, true, false),
            "includeb" => (true, false, true),
            "includea" => (true, true, true),
            _ => (false, false, false),
        };
        Self {
            name,
            wildcard,
            brace,
        }
    }

    /// After `include_check` with these words: all without any, else exactly the first one, unless it has a sign.
    fn changed(self, words: &str) -> Self {
        if words.is_empty() {
            return Self::ALL;
        }
        let mut it = self;
        for (at, word) in words.split_whitespace().enumerate() {
            if at == 0 && !word.starts_with(['+', '-']) {
                it = Self::default();
            }
            it = it.read_word(word).unwrap_or(it);
        }
        it
    }

    /// With one word more; `None`: it has no meaning.
    pub(crate) fn read_word(mut self, word: &str) -> Option<Self> {
        let (on, name) = match word.strip_prefix('-') {
            Some(name) => (false, name),
            None => (true, word.strip_prefix('+').unwrap_or(word)),
        };
        match name {
            // keepalived's manual has another word for it than its source.
            "read" | "readable" => {}
            "match" => self.name = on,
            "wildcard_match" => self.wildcard = on,
            "brace_match" => self.brace = on,
            _ => return None,
        }
        Some(self)
    }
}

/// What stands behind `include_check`.
fn include_check_of(line: &str) -> Option<&str> {
    let rest = unindented(line).strip_prefix("include_check")?;
    let words = before_comment(rest);
    (words.trim().is_empty() || words.starts_with([' ', '\t'])).then(|| words.trim())
}

/// Byte spans of the lines, without their ends, a byte-order mark and carriage returns.
fn line_spans(text: &str) -> Vec<(u32, u32)> {
    let mut spans = Vec::with_capacity(text.len() / 24);
    let mut start = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut ends = memchr::memchr_iter(b'\n', text.as_bytes());
    while start < text.len() {
        let end = ends.next().unwrap_or(text.len());
        let cut = if text[start..end].ends_with('\r') {
            end - 1
        } else {
            end
        };
        let narrow = |at: usize| u32::try_from(at).expect("FILE_MAX fits");
        spans.push((narrow(start), narrow(cut)));
        start = end + 1;
    }
    spans
}

/// Whether a password or the key of signed adverts stands in the text itself.
fn holds_secret(text: &str) -> bool {
    let key = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("key") && words.nth(1).is_some_and(|secret| !secret.starts_with("file:"))
    };
    text.contains("auth_pass") || (text.contains("auth_hmac") && text.lines().any(key))
}

/// The same as [`str::trim_start`], quicker for what lines begin with.
pub(crate) fn unindented(line: &str) -> &str {
    let indent = line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t'));
    line[indent.count()..].trim_start()
}

/// The part of a line before its comment: `!` or `#` outside double quotes, unless escaped.
pub(crate) fn before_comment(line: &str) -> &str {
    // Nearly all lines have none.
    if memchr::memchr2(b'!', b'#', line.as_bytes()).is_none() {
        return line;
    }
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b'!' | b'#' if !quoted && !escaped => return &line[..at],
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    line
}

/// The word and the pattern of an include line.
fn include_of(line: &str) -> Option<(&str, &str)> {
    const WORDS: &[&str] = &[
        "include", "includer", "includem", "includew", "includeb", "includea",
    ];
    let line = unindented(line);
    // Nearly all lines are none.
    if !line.starts_with(WORDS[0]) {
        return None;
    }
    let (word, rest) = line.split_once([' ', '\t'])?;
    let pattern = before_comment(rest).trim().trim_matches('"');
    (WORDS.contains(&word) && !pattern.is_empty()).then_some((word, pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_a_line_except_in_quotes_and_after_a_backslash() {
        for (line, want) in [
            ("priority 100 # main", "priority 100 "),
            ("! all of it", ""),
            (r#"script "/bin/x #1" ! y"#, r#"script "/bin/x #1" "#),
            (r"regex a\#b # c", r"regex a\#b "),
        ] {
            assert_eq!(before_comment(line), want, "{line}");
        }
    }

    #[test]
    fn passwords_and_keys_in_the_text_are_secrets_and_names_of_key_files_are_not() {
        for (text, secret) in [
            ("authentication {\n auth_type PASS\n auth_pass x\n}", true),
            ("auth_hmac {\n key 1 hex:00ff\n}", true),
            ("auth_hmac {\n key 1 file:/etc/lb.key\n}", false),
            ("SSL {\n key /etc/lb.pem\n}", false),
            ("router_id a", false),
        ] {
            assert_eq!(holds_secret(text), secret, "{text}");
        }
    }

    #[test]
    fn lines_know_bom_crlf_and_a_missing_last_newline() {
        let text = "\u{feff}a\r\n\nb";
        let lines: Vec<&str> = line_spans(text)
            .iter()
            .map(|&(start, end)| &text[start as usize..end as usize])
            .collect();
        assert_eq!(lines, ["a", "", "b"]);
    }

    #[test]
    fn only_the_include_words_include() {
        assert_eq!(
            include_of("  include conf.d/*.conf # all"),
            Some(("include", "conf.d/*.conf"))
        );
        assert_eq!(include_of("include_check"), None);
        assert_eq!(include_of("included x"), None);
        assert_eq!(include_of("include"), None);
    }

    #[test]
    fn include_check_is_all_or_exactly_its_word_and_signs_change_it() {
        let of = |name, wildcard, brace| IncludeCheck {
            name,
            wildcard,
            brace,
        };
        let none = IncludeCheck::default();
        for (line, want) in [
            ("include_check", of(true, true, true)),
            ("  include_check match # only names", of(true, false, false)),
            ("include_check +match +brace_match", of(true, false, true)),
            ("include_check read", none),
        ] {
            assert_eq!(none.changed(include_check_of(line).unwrap()), want, "{line}");
        }
        assert_eq!(
            IncludeCheck::ALL.changed("-wildcard_match"),
            of(true, false, true)
        );
        assert_eq!(include_check_of("include_checks"), None);
    }
}
