//! Words into values: numbers with their range, times, addresses, scripts.

use super::findings::Cx;
use super::keyword::{Info, Takes, shown};
use super::lexer::{self, Word};
use super::mistakes;
use super::similar;
use super::tree::Statement;
use std::net::IpAddr;
use std::time::Duration;

/// An argument list as its row reads it.
#[derive(Clone, Debug)]
pub(crate) enum Value<'t> {
    Nothing,
    Flag(bool),
    Int(i64),
    OptInt(Option<i64>),
    Time(Duration),
    Text(&'t str),
    Quoted(String),
    Ip(IpAddr),
    Endpoint(IpAddr, Option<u16>),
    Script(ScriptWords),
    Weight(i32, bool),
}

/// A script as written: the command split into arguments, user and group as names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ScriptWords {
    pub argv: Vec<String>,
    pub user: Option<String>,
    pub group: Option<String>,
}

/// Reads the arguments of a statement as its row says; `None` after telling what is wrong.
pub(crate) fn read<'t>(
    block: &'static str,
    info: &Info,
    statement: &Statement<'t>,
    block_line: u32,
    cx: &mut Cx<'_>,
) -> Option<Value<'t>> {
    let mut reader = Reader {
        block,
        info,
        block_line,
        keyword: statement.keyword(),
        cx,
    };
    reader.read(statement.arguments())
}

struct Reader<'a, 'c, 't> {
    block: &'static str,
    info: &'a Info,
    block_line: u32,
    keyword: Word<'t>,
    cx: &'a mut Cx<'c>,
}

impl<'t> Reader<'_, '_, 't> {
    fn read(&mut self, words: &[Word<'t>]) -> Option<Value<'t>> {
        let (value, used) = match self.info.takes {
            Takes::Nothing => (Value::Nothing, 0),
            Takes::Flag => match words.first() {
                None => (Value::Flag(true), 0),
                Some(word) => (Value::Flag(self.flag(word)?), 1),
            },
            Takes::Int(low, high) => {
                let word = self.first(words)?;
                (Value::Int(self.int(word, low, high)?), 1)
            }
            Takes::OptInt(low, high) => match words.first() {
                None => (Value::OptInt(None), 0),
                Some(word) => (Value::OptInt(Some(self.int(*word, low, high)?)), 1),
            },
            Takes::Seconds(low, high) => {
                let word = self.first(words)?;
                (Value::Time(self.time(word, low, high)?), 1)
            }
            Takes::WholeSeconds(low, high) => {
                let (low, high) = (i64::try_from(low).ok()?, i64::try_from(high).ok()?);
                let word = self.first(words)?;
                let seconds = self.int(word, low, high)?;
                (Value::Time(Duration::from_secs(u64::try_from(seconds).ok()?)), 1)
            }
            Takes::OneOf(choices) => {
                let word = self.first(words)?;
                (Value::Text(self.one_of(word, choices)?), 1)
            }
            Takes::Name(_) => {
                let word = self.first(words)?;
                (Value::Text(self.bare(word)), 1)
            }
            Takes::OptName(_) => match words.first() {
                None => (Value::Text(""), 0),
                Some(word) => (Value::Text(self.bare(*word)), 1),
            },
            Takes::Words(_) => {
                self.first(words)?;
                (Value::Nothing, words.len())
            }
            Takes::OptWords(_) => (Value::Nothing, words.len()),
            Takes::Ip => {
                let word = self.first(words)?;
                (Value::Ip(self.ip(word)?), 1)
            }
            Takes::Endpoint => {
                let word = self.first(words)?;
                let address = self.ip(word)?;
                let port = match words.get(1) {
                    Some(word) => Some(u16::try_from(self.int(*word, 0, 65_535)?).ok()?),
                    None => None,
                };
                (Value::Endpoint(address, port), 2)
            }
            Takes::Script => (Value::Script(self.script(words, true)?), words.len()),
            Takes::OptScript if words.is_empty() => (Value::Nothing, 0),
            Takes::OptScript => (Value::Script(self.script(words, true)?), words.len()),
            Takes::Command => (Value::Script(self.script(words, false)?), words.len()),
            Takes::Quoted(_) => {
                self.first(words)?;
                let (mut parts, _) = lexer::quoted_words(self.raw(words));
                (
                    Value::Quoted(if parts.is_empty() {
                        String::new()
                    } else {
                        parts.swap_remove(0)
                    }),
                    words.len(),
                )
            }
            Takes::Weight(low, high) => {
                let word = self.first(words)?;
                let weight = self.int(word, low, high)?;
                let reverse = match words.get(1) {
                    None => false,
                    Some(word) if word.text == "reverse" => true,
                    Some(word) if word.text == "noreverse" => false,
                    Some(word) => {
                        self.bad("L-06", *word, "is not 'reverse'", "it is ignored");
                        false
                    }
                };
                (Value::Weight(i32::try_from(weight).ok()?, reverse), 2)
            }
            Takes::Secret => {
                let word = self.first(words)?;
                (Value::Text(word.text), words.len())
            }
            Takes::Block(_) | Takes::List(_) => (Value::Nothing, words.len()),
        };
        if let Some(word) = words.get(used)
            && !self.cx.quiet
        {
            if word.text.starts_with("//") {
                mistakes::slashes(*word, self.cx);
                return Some(value);
            }
            let text = format!("'{}' does not take '{}'", self.info.name, shown(word.text));
            self.cx
                .warn("L-08", word.span, text, &["it is ignored, as keepalived does"]);
        }
        Some(value)
    }

    fn first(&mut self, words: &[Word<'t>]) -> Option<Word<'t>> {
        if words.is_empty() {
            let text = format!("'{}' needs {}", self.info.name, self.info.takes.form());
            self.cx.error(
                "L-03",
                self.keyword.span,
                text,
                &[&self.instead(), "keepalived ends with code 2 at such a line"],
            );
        }
        words.first().copied()
    }

    /// What holds when the setting is not understood.
    fn instead(&self) -> String {
        match self.info.default {
            "required" if self.info.name == "virtual_router_id" => {
                "the instance is left out; keepalived ends here".to_owned()
            }
            "" | "none" | "required" => "the line is ignored".to_owned(),
            default => format!("using the default, {default}"),
        }
    }

    fn bad(&mut self, code: &str, word: Word<'_>, what: &str, note: &str) {
        let text = format!("{} '{}' {what}", self.info.name, shown(word.text));
        self.cx.error(code, word.span, text, &[note]);
    }

    /// A word without the semicolon that other languages end a line with.
    fn bare(&mut self, word: Word<'t>) -> &'t str {
        match word.text.strip_suffix(';') {
            Some(bare) if !bare.is_empty() => {
                mistakes::semicolon(word, self.block_line, self.cx);
                bare
            }
            _ => word.text,
        }
    }

    fn flag(&mut self, word: &Word<'t>) -> Option<bool> {
        match self.bare(*word) {
            "on" | "true" | "yes" => Some(true),
            "off" | "false" | "no" => Some(false),
            other => {
                let lower = other.to_ascii_lowercase();
                let advice = match lower.as_str() {
                    "on" | "true" | "yes" | "off" | "false" | "no" => format!("write '{lower}'"),
                    _ => "write 'on' or 'off'".to_owned(),
                };
                self.bad("L-06", *word, "is neither on nor off", &advice);
                None
            }
        }
    }

    fn int(&mut self, word: Word<'t>, low: i64, high: i64) -> Option<i64> {
        if mistakes::value(self.block, self.info, word, self.cx) {
            return None;
        }
        let text = self.bare(word);
        match number(text) {
            Some(number) if number >= i128::from(low) && number <= i128::from(high) => {
                i64::try_from(number).ok()
            }
            Some(_) => {
                let range = Takes::Int(low, high).range();
                self.out_of_range(word, &range);
                None
            }
            None => {
                let instead = self.instead();
                self.bad("L-04", word, "is not a whole number", &instead);
                None
            }
        }
    }

    fn out_of_range(&mut self, word: Word<'_>, range: &str) {
        let what = format!("is outside {range}");
        let text = format!("{} {} {what}", self.info.name, shown(word.text));
        let instead = self.instead();
        self.cx.error(
            "L-05",
            word.span,
            text,
            &[&instead, "keepalived does the same at start and at reload"],
        );
    }

    fn time(&mut self, word: Word<'t>, low: u64, high: u64) -> Option<Duration> {
        if mistakes::value(self.block, self.info, word, self.cx) {
            return None;
        }
        let text = self.bare(word);
        match micros(text) {
            Some(time) if time >= u128::from(low) && time <= u128::from(high) => {
                Some(Duration::from_micros(u64::try_from(time).ok()?))
            }
            Some(_) => {
                self.out_of_range(word, &Takes::Seconds(low, high).range());
                None
            }
            None => {
                let instead = self.instead();
                self.bad("L-04", word, "is not a number of seconds", &instead);
                None
            }
        }
    }

    fn one_of(&mut self, word: Word<'t>, choices: &'static [&'static str]) -> Option<&'static str> {
        if mistakes::value(self.block, self.info, word, self.cx) {
            return None;
        }
        let text = self.bare(word);
        if let Some(choice) = choices.iter().find(|choice| **choice == text) {
            return Some(choice);
        }
        let advice = match similar::nearest(text, choices.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("write one of: {}", choices.join(", ")),
        };
        let instead = self.instead();
        let said = format!("{} '{}' is not known", self.info.name, shown(word.text));
        self.cx.error("L-06", word.span, said, &[&advice, &instead]);
        None
    }

    fn ip(&mut self, word: Word<'t>) -> Option<IpAddr> {
        let text = self.bare(word);
        let address = single_address(text, word, self.cx);
        if address.is_none() {
            let note = "host names are not looked up; the line is ignored";
            self.bad("L-07", word, "is not an IP address", note);
        }
        address
    }

    /// The text of the arguments as it stands in the line, quotes and all.
    fn raw(&self, words: &[Word<'t>]) -> &str {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return "";
        };
        let line = self.cx.lines[first.span.line as usize].text();
        line.get(first.span.start as usize..last.span.end as usize)
            .unwrap_or("")
    }

    fn script(&mut self, words: &[Word<'t>], identity: bool) -> Option<ScriptWords> {
        let first = self.first(words)?;
        let (parts, open) = lexer::quoted_words(self.raw(words));
        if open && first.text.starts_with('\'') {
            self.cx.error(
                "L-17",
                first.span,
                "the quote is never closed",
                &["the rest of the line is in it"],
            );
        }
        let mut parts = parts.into_iter();
        let command = parts.next().unwrap_or_default();
        let (argv, _) = lexer::quoted_words(&command);
        if argv.is_empty() {
            self.bad(
                "L-03",
                first,
                "is empty",
                "there is nothing to run; the line is ignored",
            );
            return None;
        }
        let (user, group) = (parts.next(), parts.next());
        if identity {
            let looks = |word: &Option<String>| {
                word.as_deref()
                    .is_some_and(|word| word.contains(['/', '.', '-', '=']))
            };
            if looks(&user) && self.cx.facts.users.user(user.as_deref().unwrap_or("")).is_none() {
                let text = "the second word after a script is the user it runs as, not an argument";
                self.cx.error(
                    "L-08",
                    first.span,
                    text,
                    &["put the command and its arguments in quotes: \"/path/script argument\""],
                );
            }
            return Some(ScriptWords { argv, user, group });
        }
        if user.is_some() && !self.cx.quiet {
            let text = format!("'{}' takes one word; what follows it is ignored", self.info.name);
            self.cx.warn(
                "L-08",
                first.span,
                text,
                &["put the command and its arguments in quotes: \"/path/script argument\""],
            );
        }
        Some(ScriptWords {
            argv,
            user: None,
            group: None,
        })
    }
}

/// One address. What follows it in its word, a length or the end of a range, does not count, as in keepalived.
pub(crate) fn single_address(text: &str, word: Word<'_>, cx: &mut Cx<'_>) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (bare, rest) = text.split_at(text.find(['/', '-'])?);
    let address: IpAddr = bare.parse().ok()?;
    if !cx.quiet {
        let text = format!("'{}' has no meaning behind a single address", shown(rest));
        let advice = format!("write '{address}'");
        cx.warn(
            "L-08",
            word.span,
            text,
            &["it is ignored, as keepalived does", &advice],
        );
    }
    Some(address)
}

/// A decimal whole number, in a type no text of a sane length can overflow.
pub(crate) fn number(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value = digits.bytes().fold(0_i128, |value, digit| {
        value.saturating_mul(10).saturating_add((digit - b'0').into())
    });
    Some(if text.starts_with('-') { -value } else { value })
}

/// Seconds with decimals as microseconds, rounded; `None` for anything else.
pub(crate) fn micros(text: &str) -> Option<u128> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() && part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = if whole.is_empty() {
        0
    } else {
        u128::try_from(number(whole)?).ok()?
    };
    let six: String = part.chars().chain("000000".chars()).take(6).collect();
    let round = u128::from(part.as_bytes().get(6).is_some_and(|digit| *digit >= b'5'));
    Some(
        whole
            .saturating_mul(1_000_000)
            .saturating_add(six.parse::<u128>().ok()? + round),
    )
}

/// Microseconds as seconds, without zeros that say nothing.
pub(crate) fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_never_wrap() {
        for (text, want) in [
            ("0", Some(0)),
            ("-20", Some(-20)),
            ("+7", Some(7)),
            ("007", Some(7)),
            ("18446744073709551616", Some(18_446_744_073_709_551_616)),
            ("", None),
            ("-", None),
            ("1x", None),
            ("0x10", None),
            ("1.5", None),
        ] {
            assert_eq!(number(text), want, "{text}");
        }
        assert_eq!(number(&"9".repeat(500)), Some(i128::MAX));
    }

    #[test]
    fn seconds_are_read_to_the_microsecond() {
        for (text, want) in [
            ("1", Some(1_000_000)),
            ("0.01", Some(10_000)),
            (".5", Some(500_000)),
            ("2.", Some(2_000_000)),
            ("0.0000015", Some(2)),
            ("-1", None),
            (".", None),
            ("1s", None),
        ] {
            assert_eq!(micros(text), want, "{text}");
        }
        assert_eq!(seconds(40_950_000), "40.95");
        assert_eq!(seconds(3_000_000), "3");
    }
}
