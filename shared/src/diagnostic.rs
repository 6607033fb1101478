//! Findings about a configuration, and how one is printed.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Hint,
    /// The agent runs with it; somebody should look.
    Warning,
    /// A reload with it is refused. At start the agent does what keepalived would.
    Error,
}

impl Severity {
    /// `hint`, `warning` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place in a configuration file. Lines and columns count from 1; the column counts characters.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// How many characters are meant; at least 1.
    pub width: u32,
    /// The line's text, for the excerpt; empty when there is none to show. Secrets are already masked.
    pub excerpt: String,
}

/// One finding: what is wrong, where, and what to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Stable, such as `E-07` or `L-03`; scripts match on it.
    pub code: String,
    pub message: String,
    /// `None` for findings about a file or the host as a whole.
    pub place: Option<Place>,
    /// What to write instead, what keepalived would do, what we do. One sentence each.
    pub notes: Vec<String>,
    /// The canonical name of the object meant, such as `vrrp:VI_1`; empty when there is none.
    pub object: String,
}

impl Diagnostic {
    /// A finding without place and notes.
    pub fn new(severity: Severity, code: &str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code: code.to_owned(),
            message: message.into(),
            place: None,
            notes: Vec::new(),
            object: String::new(),
        }
    }

    /// The same finding at a place.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same finding with one more sentence.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same finding, about an object.
    pub fn about(mut self, object: impl Into<String>) -> Self {
        self.object = object.into();
        self
    }

    /// `file:line:column: severity[code]: message`, notes indented below.
    pub fn line(&self) -> String {
        let mut text = String::new();
        if let Some(place) = &self.place {
            let _ = write!(text, "{}:{}:{}: ", place.file, place.line, place.column);
        }
        let _ = write!(
            text,
            "{}[{}]: {}",
            self.severity.as_str(),
            self.code,
            self.message
        );
        for note in &self.notes {
            let _ = write!(text, "\n  {note}");
        }
        text
    }

    /// The long form, with the line drawn and the words underlined.
    pub fn drawn(&self) -> String {
        let mut text = format!("{}[{}]: {}", self.severity.as_str(), self.code, self.message);
        let mut gutter = 1;
        if let Some(place) = &self.place {
            gutter = place.line.to_string().len();
            let pad = " ".repeat(gutter);
            let _ = write!(text, "\n{pad}--> {}:{}:{}", place.file, place.line, place.column);
            if !place.excerpt.is_empty() {
                let before: String = place
                    .excerpt
                    .chars()
                    .take(place.column.saturating_sub(1) as usize)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let marks = "^".repeat(place.width.max(1) as usize);
                let _ = write!(
                    text,
                    "\n{pad} |\n{} | {}\n{pad} | {before}{marks}",
                    place.line, place.excerpt
                );
            }
        }
        let pad = " ".repeat(gutter);
        for note in &self.notes {
            let _ = write!(text, "\n{pad} = {note}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_form_underlines_the_words_meant() {
        let place = Place {
            file: "keepalived.conf".into(),
            line: 14,
            column: 14,
            width: 3,
            excerpt: "    priority 300".into(),
        };
        let finding = Diagnostic::new(Severity::Warning, "V-01", "priority 300 is outside 1-255")
            .at(place)
            .note("using the default, 100");
        assert_eq!(
            finding.drawn(),
            "warning[V-01]: priority 300 is outside 1-255\n  --> keepalived.conf:14:14\n   |\n14 |     priority 300\n   |              ^^^\n   = using the default, 100"
        );
        assert_eq!(
            finding.line(),
            "keepalived.conf:14:14: warning[V-01]: priority 300 is outside 1-255\n  using the default, 100"
        );
    }
}
