//! How output looks here and now: terminal or pipe, its width, colour; and where it goes.

use crate::args::{Global, Output, When};
use lb_shared::text::harmless;
use lb_shared::zone::Zone;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};

/// What decides the form of text output.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// The width of the terminal; `None` into a pipe or file.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
    pub(crate) wide: bool,
    pub(crate) exact: bool,
    pub(crate) headers: bool,
    pub(crate) zone: Zone,
}

impl Look {
    /// From this process's streams and environment.
    pub(crate) fn of_process(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let width =
            terminal.then(|| crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns)));
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            width,
            colour: colour(
                global.color,
                terminal,
                set("TERM").as_deref() == Some("dumb"),
                set("NO_COLOR").is_some(),
                set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            ),
            wide: global.output == Output::Wide,
            exact: global.exact,
            headers: !global.no_headers,
            zone: if global.utc { Zone::utc() } else { Zone::local() },
        }
    }

    /// Whether somebody looks.
    pub(crate) fn terminal(&self) -> bool {
        self.width.is_some()
    }

    /// A number with separators on a terminal only: programs cut columns at spaces and add them up.
    pub(crate) fn number(&self, number: u64) -> String {
        if self.terminal() && !self.exact {
            lb_shared::text::thousands(number)
        } else {
            number.to_string()
        }
    }

    /// A rate: short unless exact numbers are wanted.
    pub(crate) fn rate(&self, number: u64) -> String {
        if self.exact {
            number.to_string()
        } else {
            lb_shared::text::si(number)
        }
    }

    /// A state word in its colour.
    pub(crate) fn paint(&self, mark: char, text: &str) -> String {
        match (self.colour, code(mark)) {
            (true, Some(code)) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            (true | false, _) => text.to_owned(),
        }
    }
}

/// Only what differs from healthy has a colour, and every colour has its mark.
fn code(mark: char) -> Option<&'static str> {
    match mark {
        '#' => Some("1"),
        '!' | '*' => Some("1;31"),
        '~' | '?' | '=' => Some("33"),
        _ => None,
    }
}

fn colour(when: When, terminal: bool, dumb: bool, no_color: bool, force: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => force || terminal && !dumb && !no_color,
    }
}

/// Where text goes.
pub(crate) enum Out {
    Stdout(io::BufWriter<io::Stdout>),
    /// The same for JSON, which a terminal may be shown whatever names are in it.
    Json(io::BufWriter<io::Stdout>),
    /// A page that is compared or counted before it is shown.
    Buffer(Vec<u8>),
    /// Straight to standard output, line by line, each with the host it comes from.
    Named(String),
}

impl Out {
    pub(crate) fn stdout(output: Output) -> Self {
        let to = io::BufWriter::with_capacity(64 << 10, io::stdout());
        match output {
            Output::Json | Output::Jsonl => Self::Json(to),
            Output::Table | Output::Wide | Output::Name => Self::Stdout(to),
        }
    }

    pub(crate) fn buffer() -> Self {
        Self::Buffer(Vec::new())
    }

    /// What a buffer holds.
    pub(crate) fn taken(self) -> String {
        match self {
            Self::Stdout(_) | Self::Json(_) | Self::Named(_) => String::new(),
            Self::Buffer(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Stdout(to) => to.write_all(text.as_bytes()),
            Self::Json(to) => to.write_all(harmless(text).as_bytes()),
            Self::Buffer(to) => to.write_all(text.as_bytes()),
            Self::Named(name) => {
                let mut stdout = io::stdout().lock();
                for line in text.lines() {
                    match serde_json::from_str::<serde_json::Value>(line) {
                        Ok(mut value) if value.is_object() => {
                            value["host"] = name.trim_end().into();
                            writeln!(stdout, "{}", harmless(&value.to_string()))?;
                        }
                        Ok(_) | Err(_) => writeln!(stdout, "{name}  {line}")?,
                    }
                }
                stdout.flush()
            }
        }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        if let Self::Named(_) = self {
            return self.text(&format!("{line}\n"));
        }
        self.text(line)?;
        self.text("\n")
    }

    /// Sees to it that what was written is seen.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(to) | Self::Json(to) => to.flush(),
            Self::Buffer(_) | Self::Named(_) => Ok(()),
        }
    }
}

/// A reader that has seen enough is no failure.
pub(crate) fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_and_the_flag_wins() {
        for (when, terminal, dumb, no_color, force, want) in [
            (When::Auto, true, false, false, false, true),
            (When::Auto, false, false, false, false, false),
            (When::Auto, true, true, false, false, false),
            (When::Auto, true, false, true, false, false),
            (When::Auto, false, false, true, true, true),
            (When::Always, false, true, true, false, true),
            (When::Never, true, false, false, true, false),
        ] {
            assert_eq!(
                colour(when, terminal, dumb, no_color, force),
                want,
                "{when:?} {terminal} {dumb} {no_color} {force}"
            );
        }
    }
}
