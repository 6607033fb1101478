//! What is said about a configuration, where, and with its secrets masked.

use super::expand::{self, Logical};
use super::lexer::Span;
use super::source::{Files, ScriptFact, Sources};
use super::{Facts, keywords, similar};
use crate::model::ClientCertificate;
use lb_shared::diagnostic::{Diagnostic, Place, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Findings after which the rest is only counted.
const FINDINGS_MAX: usize = 1_000;

/// What the readers of blocks share: the text, the host's facts, the global settings, and the findings so far.
pub(crate) struct Cx<'t> {
    pub sources: &'t Sources,
    pub lines: &'t [Logical<'t>],
    pub files: &'t dyn Files,
    pub facts: &'t Facts<'t>,
    /// `global_defs`, read before everything else.
    pub global: keywords::GlobalDefs,
    /// The object being read, in canonical form.
    pub object: String,
    /// In a block that does not act: its words are checked, but not reported one by one.
    pub quiet: bool,
    /// Whether patterns met so far can be used.
    pub patterns: BTreeMap<String, bool>,
    /// `SSL`: what checks show to servers.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// The BFD sessions there are.
    pub sessions: BTreeMap<String, SessionFact>,
    /// Addresses that ranges stand for, so far.
    pub addresses: usize,
    /// Rules that say no preference, so far: of IPv4, of IPv6.
    pub rules_without_preference: [u32; 2],
    scripts: BTreeMap<(String, Option<(u32, u32)>), ScriptFact>,
    findings: Vec<Diagnostic>,
    more: usize,
    /// Said once per file: file, block, keyword.
    once: BTreeSet<(u32, &'static str, &'static str)>,
    /// Said once per block: line on which it opens, code.
    once_per_block: BTreeSet<(u32, &'static str)>,
    secrets: Secrets,
}

/// Where secrets begin: by file and line, the column of the first secret character.
pub(crate) type Secrets = BTreeMap<(u32, u32), u32>;

/// What a check has to know of a BFD session.
pub(crate) struct SessionFact {
    pub at: Span,
    /// Not for instances alone.
    pub for_checks: bool,
}

impl<'t> Cx<'t> {
    pub(crate) fn new(
        sources: &'t Sources,
        lines: &'t [Logical<'t>],
        files: &'t dyn Files,
        facts: &'t Facts<'t>,
        findings: Vec<Diagnostic>,
    ) -> Self {
        Self {
            sources,
            lines,
            files,
            facts,
            global: keywords::GlobalDefs::default(),
            object: String::new(),
            quiet: false,
            patterns: BTreeMap::new(),
            client_certificate: None,
            sessions: BTreeMap::new(),
            addresses: 0,
            rules_without_preference: [0; 2],
            scripts: BTreeMap::new(),
            findings,
            more: 0,
            once: BTreeSet::new(),
            once_per_block: BTreeSet::new(),
            secrets: Secrets::new(),
        }
    }

    /// Where `span` stands in the operator's file.
    pub(crate) fn place(&self, span: Span) -> Place {
        expand::place(
            self.sources,
            &self.lines[span.line as usize],
            span.start,
            span.end,
        )
    }

    /// Adds a finding at `span`; the notes say what follows and what to write.
    pub(crate) fn say(
        &mut self,
        severity: Severity,
        code: &str,
        span: Span,
        message: impl Into<String>,
        notes: &[&str],
    ) {
        if self.findings.len() >= FINDINGS_MAX {
            self.more += 1;
            return;
        }
        let mut finding = Diagnostic::new(severity, code, message).at(self.place(span));
        finding.notes = notes.iter().map(|&note| note.to_owned()).collect();
        finding.object.clone_from(&self.object);
        self.findings.push(finding);
    }

    /// "Did you mean", unless nobody would read it any more.
    pub(crate) fn nearest<'c>(&self, word: &str, choices: impl Iterator<Item = &'c str>) -> Option<&'c str> {
        if self.is_full() {
            None
        } else {
            similar::nearest(word, choices)
        }
    }

    /// What is known about a program; asked of the disk once.
    pub(crate) fn script(&mut self, program: &str, user: Option<(u32, u32)>) -> ScriptFact {
        let files = self.files;
        self.scripts
            .entry((program.to_owned(), user))
            .or_insert_with(|| files.script(program, user))
            .clone()
    }

    /// So much was found that more is only counted: advice need not be worked out.
    pub(crate) fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX
    }

    pub(crate) fn error(&mut self, code: &str, span: Span, message: impl Into<String>, notes: &[&str]) {
        self.say(Severity::Error, code, span, message, notes);
    }

    pub(crate) fn warn(&mut self, code: &str, span: Span, message: impl Into<String>, notes: &[&str]) {
        self.say(Severity::Warning, code, span, message, notes);
    }

    pub(crate) fn hint(&mut self, code: &str, span: Span, message: impl Into<String>, notes: &[&str]) {
        self.say(Severity::Hint, code, span, message, notes);
    }

    /// Whether this is the first time in the file of `span` that the keyword is met.
    pub(crate) fn first_in_file(&mut self, span: Span, block: &'static str, name: &'static str) -> bool {
        self.once.insert((self.file_line(span).0, block, name))
    }

    /// Whether advice of this code is wanted, and was not given in the file of `span` before.
    pub(crate) fn advises(&mut self, span: Span, code: &'static str) -> bool {
        self.facts.advise && self.first_in_file(span, "", code)
    }

    /// Whether this is the first time since the block opened at `line` that the code is used.
    pub(crate) fn first_in_block(&mut self, line: u32, code: &'static str) -> bool {
        self.once_per_block.insert((line, code))
    }

    /// From `span` to the end of its line nothing may be shown.
    pub(crate) fn keep_secret(&mut self, span: Span) {
        let column = self.place(span).column;
        let first = self.secrets.entry(self.file_line(span)).or_insert(column);
        *first = column.min(*first);
    }

    fn file_line(&self, span: Span) -> (u32, u32) {
        let line = self.sources.lines[self.lines[span.line as usize].line as usize];
        (line.file, line.number)
    }

    /// All findings, by place, their secrets masked.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut findings = self.findings;
        let named: BTreeMap<(&str, u32), u32> = self
            .secrets
            .iter()
            .map(|(&(file, line), &column)| ((self.sources.files[file as usize].name.as_str(), line), column))
            .collect();
        for place in findings.iter_mut().filter_map(|finding| finding.place.as_mut()) {
            let known = named.get(&(place.file.as_str(), place.line)).copied();
            mask(place, known);
        }
        let order: BTreeMap<&str, usize> = self
            .sources
            .files
            .iter()
            .enumerate()
            .rev()
            .map(|(at, file)| (file.name.as_str(), at))
            .collect();
        findings.sort_by_key(|finding| {
            finding
                .place
                .as_ref()
                .map(|place| (order.get(place.file.as_str()).copied(), place.line, place.column))
        });
        // A line that repeats itself says the same thing every time.
        findings.dedup();
        if self.more > 0 {
            let text = format!("{} further findings are not shown", self.more);
            findings.push(Diagnostic::new(Severity::Error, "L-24", text));
        }
        findings
    }
}

/// A bound of ours was passed: the rest is not read, and nothing is made of the whole.
pub(crate) fn limit_reached(what: &str, limit: usize, place: Option<Place>) -> Diagnostic {
    let mut finding = Diagnostic::new(Severity::Error, "L-24", format!("more than {limit} {what}"))
        .note("nothing of this configuration is used")
        .note("split or shorten it; the limit keeps a broken file from taking all memory");
    finding.place = place;
    finding
}

pub(crate) const MASK: &str = "********";

/// Hides what follows a secret keyword, whether the reader of blocks met it (`column`) or only the eye does.
fn mask(place: &mut Place, column: Option<u32>) {
    let from_words = secret_column(&place.excerpt);
    let Some(column) = column.into_iter().chain(from_words).min() else {
        return;
    };
    let shown: String = place
        .excerpt
        .chars()
        .take(column.saturating_sub(1) as usize)
        .collect();
    if place.excerpt.chars().count() < column as usize {
        return;
    }
    place.excerpt = format!("{shown}{MASK}");
    if place.column >= column {
        place.column = column;
        place.width = u32::try_from(MASK.len()).unwrap_or(1);
    } else {
        place.width = place.width.min(column - place.column + 8);
    }
}

/// The column behind a word that looks like one that is followed by a secret.
fn secret_column(excerpt: &str) -> Option<u32> {
    let mut column = 1;
    let mut secret = false;
    for part in excerpt.split_inclusive([' ', '\t', '{', '=']) {
        let word = part
            .trim_end_matches([' ', '\t', '{', '='])
            .trim_start_matches('$');
        if secret && !word.is_empty() {
            return u32::try_from(column).ok();
        }
        let definition = part.ends_with('=') && part.starts_with('$');
        secret = secret || definition || looks_secret(word);
        column += part.chars().count();
    }
    None
}

pub(crate) fn looks_secret(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word == "password" || (word.len() >= 6 && similar::distance(&word, "auth_pass", 2).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(excerpt: &str, column: u32) -> Place {
        let mut place = Place {
            column,
            width: 6,
            excerpt: excerpt.to_owned(),
            ..Place::default()
        };
        mask(&mut place, None);
        place
    }

    #[test]
    fn a_secret_is_never_in_an_excerpt() {
        for line in [
            "    auth_pass hunter2",
            "\tauth_pas hunter2 x",
            "authentication { auth_type PASS auth_pass hunter2 }",
            "$PASS=hunter2",
            "AUTH_PASS\thunter2",
            "auth_pass{hunter2",
        ] {
            let place = masked(line, 5);
            assert!(!place.excerpt.contains("hunter2"), "{}", place.excerpt);
            assert!(place.excerpt.ends_with(MASK), "{}", place.excerpt);
        }
        assert_eq!(masked("    priority 100", 5).excerpt, "    priority 100");
    }

    #[test]
    fn the_mark_under_a_secret_does_not_tell_its_length() {
        let place = masked("    auth_pass hunter2hunter2", 15);
        assert_eq!((place.column, place.width), (15, 8));
    }
}
