//! Lines of routes and rules: every word either acts, is told of, or makes the line an error. A route that is only half
//! as it was meant may lead traffic astray, so a line with an error is left out whole.

mod route;
mod rule;

use super::{Inert, static_net};
use crate::config::findings::Cx;
use crate::config::keyword::{Standing, Table, no_block, shown};
use crate::config::lexer::{Span, Word};
use crate::config::similar;
use crate::config::tree::Statement;
use crate::config::value;
use crate::model::{PROTOCOL_OURS, Route, Rule, TABLE_MAIN};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where iproute2 keeps the names of tables.
const TABLE_NAMES: &str = "/etc/iproute2/rt_tables";

/// Something read from a line, and where it stands.
pub(crate) type Placed<T> = (T, Span);

pub(crate) fn route_lines(list: &mut Vec<Placed<Route>>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    lines(list, statement, &static_net::ROUTE_LINE, cx, route::read);
}

pub(crate) fn rule_lines(list: &mut Vec<Placed<Rule>>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    lines(list, statement, &static_net::RULE_LINE, cx, rule::read);
}

fn lines<T>(
    list: &mut Vec<Placed<T>>,
    statement: &Statement<'_>,
    table: &'static Table<Inert>,
    cx: &mut Cx<'_>,
    read: fn(&mut Line<'_, '_, '_>) -> Result<T, Wrong>,
) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    for line in &block.statements {
        let mut words = Line {
            words: &line.words,
            at: 0,
            table,
            cx,
        };
        match read(&mut words) {
            Ok(it) => list.push((it, line.keyword().span)),
            Err(Wrong {
                code,
                at,
                what,
                advice,
            }) => {
                let advice: Vec<&str> = advice
                    .iter()
                    .map(String::as_str)
                    .chain(["the line is left out"])
                    .collect();
                cx.error(code, at.unwrap_or_else(|| line.keyword().span), what, &advice);
            }
        }
    }
}

/// Why a line cannot be used.
struct Wrong {
    code: &'static str,
    at: Option<Span>,
    what: String,
    advice: Vec<String>,
}

fn wrong(code: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Wrong {
    Wrong {
        code,
        at: None,
        what: what.into(),
        advice: vec![advice.into()],
    }
}

/// The words of a line, taken one after the other.
struct Line<'w, 't, 'c> {
    words: &'w [Word<'t>],
    at: usize,
    table: &'static Table<Inert>,
    cx: &'w mut Cx<'c>,
}

impl<'t> Line<'_, 't, '_> {
    fn take(&mut self) -> Option<Word<'t>> {
        let word = self.words.get(self.at).copied();
        self.at += 1;
        word
    }

    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).map(|word| word.text)
    }

    /// The next word if it is this one.
    fn takes(&mut self, text: &str) -> bool {
        let is = self.peek() == Some(text);
        self.at += usize::from(is);
        is
    }

    /// The word behind `name`.
    fn after(&mut self, name: Word<'_>) -> Result<Word<'t>, Wrong> {
        self.take().ok_or_else(|| Wrong {
            at: Some(name.span),
            ..wrong(
                "L-03",
                format!("'{}' needs a word behind it", name.text),
                "write it on the same line",
            )
        })
    }

    fn number<T: TryFrom<i128>>(&mut self, name: Word<'_>, most: u64) -> Result<T, Wrong> {
        let word = self.after(name)?;
        number_in(word, 0, most)
    }

    fn name(&mut self, name: Word<'_>) -> Result<String, Wrong> {
        Ok(self.after(name)?.text.to_owned())
    }

    fn address(&mut self, name: Word<'_>) -> Result<IpAddr, Wrong> {
        let _ = self.takes("inet") || self.takes("inet6");
        let word = self.after(name)?;
        word.text.parse().map_err(|_| not_an_address(word))
    }

    /// A number, or a name that iproute2 knows.
    fn table(&mut self, name: Word<'_>) -> Result<u32, Wrong> {
        let word = self.after(name)?;
        match word.text {
            "main" => return Ok(TABLE_MAIN),
            "default" => return Ok(253),
            "local" => return Ok(255),
            _ => {}
        }
        if let Some(number) = value::number(word.text) {
            return u32::try_from(number).map_err(|_| not_in(word, 0, u64::from(u32::MAX)));
        }
        let names = self.cx.files.read(TABLE_NAMES).unwrap_or_default();
        let names = String::from_utf8_lossy(&names.bytes).into_owned();
        named(&names, word.text).ok_or_else(|| Wrong {
            at: Some(word.span),
            ..wrong(
                "L-06",
                format!("there is no routing table '{}'", shown(word.text)),
                format!("write its number, or name it in {TABLE_NAMES}"),
            )
        })
    }

    /// A word that has a row but does not act: told once a file. False when there is no such row.
    fn tell_known(&mut self, word: Word<'_>) -> bool {
        let Some(row) = self.table.rows().find(|row| row.info.name == word.text) else {
            return false;
        };
        if matches!(row.standing(), Standing::Known(_))
            && self.cx.first_in_file(word.span, self.table.block, row.info.name)
        {
            let what = format!("'{}' is known but does not act yet", word.text);
            self.cx
                .warn("L-13", word.span, what, &["the line counts without it"]);
        }
        true
    }

    fn unknown(&self, word: Word<'_>, what: &str) -> Wrong {
        let names = self.table.rows().map(|row| row.info.name);
        let advice = similar::nearest(word.text, names).map_or_else(
            || "one of them a line".to_owned(),
            |near| format!("did you mean '{near}'?"),
        );
        Wrong {
            at: Some(word.span),
            ..wrong(
                "L-08",
                format!("'{}' has no meaning in {what}", shown(word.text)),
                advice,
            )
        }
    }
}

/// The number of a name in a file of iproute2.
fn named(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (number, found) = (words.next()?, words.next()?);
        (found == name)
            .then(|| value::number(number))
            .flatten()?
            .try_into()
            .ok()
    })
}

fn number_in<T: TryFrom<i128>>(word: Word<'_>, least: u64, most: u64) -> Result<T, Wrong> {
    value::number(word.text)
        .filter(|number| (i128::from(least)..=i128::from(most)).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| not_in(word, least, most))
}

fn not_in(word: Word<'_>, least: u64, most: u64) -> Wrong {
    Wrong {
        at: Some(word.span),
        ..wrong(
            "L-05",
            format!("'{}' is no number in {least}–{most}", shown(word.text)),
            "write a number",
        )
    }
}

fn not_an_address(word: Word<'_>) -> Wrong {
    Wrong {
        at: Some(word.span),
        ..wrong(
            "L-07",
            format!("'{}' is not an IP address", shown(word.text)),
            "write ADDRESS",
        )
    }
}

/// `ADDRESS[/LENGTH]`; the kernel takes no bits behind the length.
fn prefix(word: Word<'_>) -> Result<(IpAddr, u8), Wrong> {
    let (address, length) = word.text.split_once('/').unwrap_or((word.text, ""));
    let address: IpAddr = address.parse().map_err(|_| not_an_address(word))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        "" => most,
        length => value::number(length)
            .and_then(|length| u8::try_from(length).ok())
            .filter(|length| *length <= most)
            .ok_or_else(|| Wrong {
                at: Some(word.span),
                ..wrong(
                    "L-05",
                    format!("prefix length '{}' is not in 0–{most}", shown(length)),
                    "write ADDRESS/LENGTH",
                )
            })?,
    };
    let network = masked(address, length);
    if network != address {
        return Err(Wrong {
            at: Some(word.span),
            ..wrong(
                "V-44",
                format!(
                    "{} has bits behind its prefix length, which the kernel refuses",
                    word.text
                ),
                format!("write {network}/{length}"),
            )
        });
    }
    Ok((address, length))
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(it) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Ipv4Addr::from(u32::from(it) & mask).into()
        }
        IpAddr::V6(it) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Ipv6Addr::from(u128::from(it) & mask).into()
        }
    }
}

/// Protocol names as iproute2 has them.
fn protocol(word: Word<'_>) -> Result<u8, Wrong> {
    Ok(match word.text {
        "redirect" => 1,
        "kernel" => 2,
        "boot" => 3,
        "static" => 4,
        "keepalived" => PROTOCOL_OURS,
        _ => return number_in(word, 0, 255),
    })
}
