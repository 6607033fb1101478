//! Lines of routes and rules: every word either acts, is told of, or makes the line an error. A route that is only half
//! as it was meant may lead traffic astray, so a line with an error is left out whole.

mod encap;
mod route;
mod rule;

use super::{Inert, static_net};
use crate::config::findings::Cx;
use crate::config::keyword::{Does, Table, no_block, shown};
use crate::config::lexer::{Span, Word};
use crate::config::similar;
use crate::config::tree::Statement;
use crate::config::value;
use crate::model::{PROTOCOL_OURS, Realms, Route, Rule, TABLE_MAIN};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Numbers that have names: what they are, how far they go, the names everybody knows, and the file in which iproute2
/// keeps more.
struct Names {
    what: &'static str,
    most: u32,
    usual: &'static [(&'static str, u32)],
    file: &'static str,
}

const TABLES: Names = Names {
    what: "routing table",
    most: u32::MAX,
    usual: &[("main", TABLE_MAIN), ("default", 253), ("local", 255)],
    file: "rt_tables",
};
const REALMS: Names = Names {
    what: "realm",
    most: 65_535,
    usual: &[("cosmos", 0)],
    file: "rt_realms",
};
const GROUPS: Names = Names {
    what: "interface group",
    most: u32::MAX >> 1,
    usual: &[("default", 0)],
    file: "group",
};
const SERVICES: Names = Names {
    what: "type of service",
    most: 255,
    usual: &[("default", 0)],
    file: "rt_dsfield",
};
const PROTOCOLS: Names = Names {
    what: "routing protocol",
    most: 255,
    usual: &[
        ("redirect", 1),
        ("kernel", 2),
        ("boot", 3),
        ("static", 4),
        ("keepalived", PROTOCOL_OURS as u32),
    ],
    file: "rt_protos",
};

/// Something read from a line, where it stands, and the track group that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub it: T,
    pub at: Span,
    pub group: Option<(String, Span)>,
}

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
            group: None,
            cx,
        };
        match read(&mut words) {
            Ok(it) => list.push(Placed {
                it,
                at: line.keyword().span,
                group: words.group.take(),
            }),
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
    /// `track_group`, and where its name stands.
    group: Option<(String, Span)>,
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

    /// `track_group NAME`; of two the first counts, as in keepalived.
    fn track_group(&mut self, name: Word<'_>) -> Result<(), Wrong> {
        let word = self.after(name)?;
        self.group
            .get_or_insert_with(|| (word.text.to_owned(), word.span));
        Ok(())
    }

    fn address(&mut self, name: Word<'_>) -> Result<IpAddr, Wrong> {
        let _ = self.takes("inet") || self.takes("inet6");
        let word = self.after(name)?;
        word.text.parse().map_err(|_| not_an_address(word))
    }

    /// A number, or a name that iproute2 knows.
    fn named<T: TryFrom<u32>>(&mut self, word: Word<'_>, names: &Names) -> Result<T, Wrong> {
        let usual = names.usual.iter().find(|(name, _)| *name == word.text);
        let number = match usual {
            Some((_, number)) => *number,
            None if word.text.starts_with(|it: char| it.is_ascii_digit()) => {
                let number = c_number(word.text).filter(|it| *it <= names.most);
                number.ok_or_else(|| not_in(word, 0, names.most.into()))?
            }
            None => self.looked_up(word, names)?,
        };
        T::try_from(number).map_err(|_| not_in(word, 0, names.most.into()))
    }

    fn looked_up(&mut self, word: Word<'_>, names: &Names) -> Result<u32, Wrong> {
        number_of_name(names.file, word.text, self.cx).ok_or_else(|| {
            let folders = self.cx.global.iproute_folders();
            let first = folders.first().copied().unwrap_or_default();
            Wrong {
                at: Some(word.span),
                ..wrong(
                    "L-06",
                    format!("there is no {} '{}'", names.what, shown(word.text)),
                    format!("write its number, or name it in {first}/{}", names.file),
                )
            }
        })
    }

    fn table(&mut self, name: Word<'_>) -> Result<u32, Wrong> {
        let word = self.after(name)?;
        self.named(word, &TABLES)
    }

    /// `[FROM/]TO`; `None`: none.
    fn realms(&mut self, name: Word<'_>) -> Result<Option<Realms>, Wrong> {
        let word = self.after(name)?;
        let part = |text| Word {
            text,
            span: word.span,
        };
        let (from, to) = match word.text.split_once('/') {
            Some((from, to)) => (self.named(part(from), &REALMS)?, part(to)),
            None => (0, word),
        };
        let realms = Realms {
            from,
            to: self.named(to, &REALMS)?,
        };
        Ok(Some(realms).filter(|it| (it.from, it.to) != (0, 0)))
    }

    fn type_of_service(&mut self, name: Word<'_>) -> Result<u8, Wrong> {
        let word = self.after(name)?;
        self.named(word, &SERVICES)
    }

    /// What is tracked is known by our protocol.
    fn protocol(&mut self, name: Word<'_>) -> Result<(u8, Span), Wrong> {
        let word = self.after(name)?;
        Ok((self.named(word, &PROTOCOLS)?, word.span))
    }

    /// What is tracked is known by our protocol, whatever else was written.
    fn settle_protocol(&mut self, given: Option<(u8, Span)>, track: bool) -> u8 {
        match given {
            Some((protocol, at)) if track && protocol != PROTOCOL_OURS => {
                let what = format!("protocol {protocol} and tracking do not go together");
                let notes = [
                    "it gets protocol 18, by which it is known, as in keepalived",
                    "write no_track if the protocol matters",
                ];
                self.cx.warn("V-117", at, what, &notes);
                PROTOCOL_OURS
            }
            given => given.map_or(PROTOCOL_OURS, |(protocol, _)| protocol),
        }
    }

    /// A word that is read without effect: told once a file. False when there is no such row.
    fn tell_idle(&mut self, word: Word<'_>) -> bool {
        let Some(row) = self.table.rows().find(|row| row.info.name == word.text) else {
            return false;
        };
        if let Does::Idle(why) = row.does
            && self.cx.first_in_file(word.span, self.table.block, row.info.name)
        {
            let what = format!("'{}' is accepted without effect", word.text);
            self.cx.hint("L-15", word.span, what, &[why]);
        }
        true
    }

    /// An old word that acts: told once a file.
    fn tell_old(&mut self, word: Word<'_>, instead: &str) {
        let row = self.table.rows().find(|row| row.info.name == word.text);
        if row.is_some_and(|row| self.cx.first_in_file(word.span, self.table.block, row.info.name)) {
            let what = format!("'{}' is an old word", word.text);
            let note = format!("it acts; write '{instead}' instead");
            self.cx.warn("L-14", word.span, what, &[&note]);
        }
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

/// The number of a name, from the first of iproute2's files of this name that has it.
pub(super) fn number_of_name(file: &str, name: &str, cx: &Cx<'_>) -> Option<u32> {
    cx.global.iproute_folders().into_iter().find_map(|folder| {
        let path = format!("{folder}/{file}");
        let beside = cx.files.glob(&format!("{path}.d/*.conf"));
        [path].into_iter().chain(beside).find_map(|path| {
            let content = cx.files.read(&path).ok()?;
            numbered(&String::from_utf8_lossy(&content.bytes), name)
        })
    })
}

/// The number of a name in a file of iproute2.
fn numbered(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (number, found) = (words.next()?, words.next()?);
        (found == name).then(|| c_number(number)).flatten()
    })
}

/// A number as C reads it: `0x…` is of base 16, `0…` of base 8.
fn c_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
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
