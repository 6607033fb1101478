//! Lines of routes and rules: every word either acts, is told of, or makes the line an error. A route that is only half
//! as it was meant may lead traffic astray, so a line with an error is left out whole.

use super::{Inert, static_net};
use crate::config::findings::Cx;
use crate::config::keyword::{Standing, Table, no_block, shown};
use crate::config::lexer::{Span, Word};
use crate::config::similar;
use crate::config::tree::Statement;
use crate::config::value;
use crate::model::{Leg, PROTOCOL_OURS, Route, RouteKind, Rule, RuleAction, TABLE_MAIN};
use lb_shared::names::Family;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where iproute2 keeps the names of tables.
const TABLE_NAMES: &str = "/etc/iproute2/rt_tables";
/// Rules without a preference get one below this, counted downwards, as in keepalived.
const PREFERENCE_BASE: u32 = 16_384;

/// Something read from a line, and where it stands.
pub(crate) type Placed<T> = (T, Span);

pub(crate) fn route_lines(list: &mut Vec<Placed<Route>>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    lines(list, statement, &static_net::ROUTE_LINE, cx, route);
}

pub(crate) fn rule_lines(list: &mut Vec<Placed<Rule>>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    lines(list, statement, &static_net::RULE_LINE, cx, rule);
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

fn everything(family: Family) -> (IpAddr, u8) {
    match family {
        Family::Inet => (Ipv4Addr::UNSPECIFIED.into(), 0),
        Family::Inet6 => (Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

/// Scope names as iproute2 has them.
fn scope(word: Word<'_>) -> Result<u8, Wrong> {
    Ok(match word.text {
        "global" | "universe" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        _ => return number_in(word, 0, 255),
    })
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

fn kind(text: &str) -> Option<RouteKind> {
    Some(match text {
        "unicast" => RouteKind::Unicast,
        "local" => RouteKind::Local,
        "broadcast" => RouteKind::Broadcast,
        "anycast" => RouteKind::Anycast,
        "multicast" => RouteKind::Multicast,
        "blackhole" => RouteKind::Blackhole,
        "unreachable" => RouteKind::Unreachable,
        "prohibit" => RouteKind::Prohibit,
        "throw" => RouteKind::Throw,
        _ => return None,
    })
}

/// The kernel's number of a metric that is a plain number.
fn metric(text: &str) -> Option<u16> {
    Some(match text {
        "mtu" => 2,
        "window" => 3,
        "ssthresh" => 6,
        "cwnd" => 7,
        "advmss" => 8,
        "reordering" => 9,
        "hoplimit" => 10,
        "initcwnd" => 11,
        "initrwnd" => 14,
        "quickack" => 15,
        "fastopen_no_cookie" => 17,
        _ => return None,
    })
}

fn route(line: &mut Line<'_, '_, '_>) -> Result<Route, Wrong> {
    let mut destination = None;
    let (mut default, mut family) = (false, None);
    let mut it = Route {
        family: Family::Inet,
        destination: everything(Family::Inet),
        kind: RouteKind::Unicast,
        table: TABLE_MAIN,
        scope: None,
        metric: None,
        tos: 0,
        protocol: PROTOCOL_OURS,
        source: None,
        metrics: BTreeMap::new(),
        locked: 0,
        legs: Vec::new(),
        track: true,
    };
    let mut leg = Leg {
        weight: 1,
        ..Leg::default()
    };
    while let Some(word) = line.take() {
        match word.text {
            "inet" => family = Some(Family::Inet),
            "inet6" => family = Some(Family::Inet6),
            "default" | "any" | "all" if destination.is_none() => default = true,
            "default6" => (default, family) = (true, Some(Family::Inet6)),
            "to" => {
                let next = line.after(word)?;
                match next.text {
                    "default" | "any" | "all" => default = true,
                    _ => destination = Some(prefix(next)?),
                }
            }
            "via" | "gw" => leg.via = Some(line.address(word)?),
            "dev" | "oif" => leg.device = Some(line.name(word)?),
            "onlink" => leg.onlink = true,
            "src" => it.source = Some(line.address(word)?),
            "table" => it.table = line.table(word)?,
            "scope" => it.scope = Some(scope(line.after(word)?)?),
            "metric" | "priority" | "preference" => it.metric = Some(line.number(word, u64::from(u32::MAX))?),
            "protocol" => it.protocol = protocol(line.after(word)?)?,
            "tos" | "dsfield" => it.tos = line.number(word, 255)?,
            "no_track" => it.track = false,
            "nexthop" => {
                it.legs = legs(word, line)?;
                break;
            }
            // New routes go before those that are there: that is the order of ours as well.
            "prepend" => {}
            // They stand alone, or without a number behind them.
            "add" | "append" => drop(line.tell_known(word)),
            "encap" => {
                line.tell_known(word);
                break;
            }
            text => {
                if let Some(kind) = kind(text) {
                    it.kind = kind;
                } else if let Some(number) = metric(text) {
                    if line.takes("lock") {
                        it.locked |= 1 << number;
                    }
                    let value = line.number(word, u64::from(u32::MAX))?;
                    it.metrics.insert(number, value);
                } else if line.tell_known(word) {
                    let _ = line.takes("lock") || line.takes("to");
                    line.take();
                } else if destination.is_none() && !default {
                    destination = Some(prefix(word)?);
                } else {
                    return Err(line.unknown(word, "a route"));
                }
            }
        }
    }
    settle(&mut it, destination, default, family, leg)?;
    Ok(it)
}

/// Brings what was read to one route, or says what is missing.
fn settle(
    it: &mut Route,
    destination: Option<(IpAddr, u8)>,
    default: bool,
    family: Option<Family>,
    leg: Leg,
) -> Result<(), Wrong> {
    let gateways = || it.legs.iter().chain([&leg]).filter_map(|leg| leg.via);
    it.family = match (destination, family) {
        (Some((address, _)), _) => Family::of(address),
        (None, Some(family)) => family,
        (None, None) => gateways().next().or(it.source).map_or(Family::Inet, Family::of),
    };
    it.destination = match destination {
        Some(destination) => destination,
        None if default => everything(it.family),
        None => {
            return Err(wrong(
                "V-44",
                "the route has no destination",
                "write PREFIX, default or default6",
            ));
        }
    };
    let mixed = gateways().any(|via| it.family == Family::Inet6 && Family::of(via) == Family::Inet);
    if mixed || it.source.is_some_and(|source| Family::of(source) != it.family) {
        return Err(wrong(
            "V-44",
            "the addresses of the route are of two families",
            "an IPv6 route takes IPv6 addresses only; an IPv4 one may go via an IPv6 gateway",
        ));
    }
    let plain = leg.via.is_some() || leg.device.is_some();
    match (it.kind.has_legs(), plain, it.legs.is_empty()) {
        (true, true, true) => it.legs.push(leg),
        (true, false, false) | (false, false, true) => {}
        (true, false, true) => {
            return Err(wrong(
                "V-44",
                "the route leads nowhere",
                "write 'via ADDRESS' or 'dev NAME'",
            ));
        }
        (true, true, false) => {
            return Err(wrong(
                "V-44",
                "the route has both a gateway and nexthops",
                "write each way as 'nexthop via ADDRESS dev NAME'",
            ));
        }
        (false, ..) => {
            return Err(wrong(
                "V-44",
                "a route that drops packets has no gateway",
                "leave out via, dev and nexthop",
            ));
        }
    }
    Ok(())
}

/// Everything behind the first `nexthop`.
fn legs(first: Word<'_>, line: &mut Line<'_, '_, '_>) -> Result<Vec<Leg>, Wrong> {
    let fresh = || Leg {
        weight: 1,
        ..Leg::default()
    };
    let mut legs = vec![fresh()];
    while let Some(word) = line.take() {
        let leg = legs.last_mut().expect("it begins with one");
        match word.text {
            "nexthop" => legs.push(fresh()),
            "via" => leg.via = Some(line.address(word)?),
            "dev" => leg.device = Some(line.name(word)?),
            "weight" => leg.weight = number_in(line.after(word)?, 1, 256)?,
            "onlink" => leg.onlink = true,
            "encap" | "realms" => {
                line.tell_known(word);
                line.take();
            }
            _ => return Err(line.unknown(word, "a nexthop")),
        }
    }
    if legs.iter().any(|leg| leg.via.is_none() && leg.device.is_none()) {
        return Err(Wrong {
            at: Some(first.span),
            ..wrong(
                "V-44",
                "a nexthop leads nowhere",
                "write 'nexthop via ADDRESS dev NAME'",
            )
        });
    }
    Ok(legs)
}

fn rule(line: &mut Line<'_, '_, '_>) -> Result<Rule, Wrong> {
    let (mut family, mut preference, mut action) = (None, None, None);
    let mut it = Rule {
        family: Family::Inet,
        preference: 0,
        invert: false,
        from: None,
        to: None,
        iif: None,
        oif: None,
        tos: 0,
        fwmark: None,
        users: None,
        ip_protocol: None,
        source_ports: None,
        destination_ports: None,
        action: RuleAction::Lookup(TABLE_MAIN),
        suppress_prefix_len: None,
        protocol: PROTOCOL_OURS,
        track: true,
    };
    while let Some(word) = line.take() {
        match word.text {
            "inet" => family = Some(Family::Inet),
            "inet6" => family = Some(Family::Inet6),
            "not" => it.invert = true,
            "from" | "to" => {
                let next = line.after(word)?;
                let selector = match next.text {
                    "all" | "any" | "default" => None,
                    _ => Some(prefix(next)?).filter(|(_, length)| *length > 0),
                };
                *(if word.text == "from" {
                    &mut it.from
                } else {
                    &mut it.to
                }) = selector;
            }
            "table" | "lookup" => action = Some(RuleAction::Lookup(line.table(word)?)),
            "goto" => action = Some(RuleAction::Goto(line.number(word, u64::from(u32::MAX))?)),
            "nop" => action = Some(RuleAction::Nop),
            "blackhole" => action = Some(RuleAction::Blackhole),
            "unreachable" => action = Some(RuleAction::Unreachable),
            "prohibit" => action = Some(RuleAction::Prohibit),
            "type"
                if line.peek().is_some_and(|next| {
                    ["unicast", "blackhole", "unreachable", "prohibit"].contains(&next)
                }) =>
            {
                // The next word says it for itself.
                line.takes("unicast");
            }
            "preference" | "priority" | "order" => preference = Some(line.number(word, u64::from(u32::MAX))?),
            "iif" | "dev" => it.iif = Some(line.name(word)?),
            "oif" => it.oif = Some(line.name(word)?),
            "tos" | "dsfield" => it.tos = line.number(word, 255)?,
            "fwmark" => {
                let next = line.after(word)?;
                let (value, mask) = next
                    .text
                    .split_once('/')
                    .map_or((next.text, None), |(value, mask)| (value, Some(mask)));
                let mask = mask.map_or(Some(u32::MAX), mark);
                it.fwmark = Some(
                    mark(value)
                        .zip(mask)
                        .ok_or_else(|| not_in(next, 0, u64::from(u32::MAX)))?,
                );
            }
            "suppress_prefixlength" | "sup_pl" => {
                it.suppress_prefix_len = Some(line.number(word, u64::from(u32::MAX >> 1))?);
            }
            "uidrange" => it.users = Some(range(line.after(word)?, u64::from(u32::MAX) - 1)?),
            "ipproto" => {
                let next = line.after(word)?;
                it.ip_protocol = Some(match next.text {
                    "icmp" => 1,
                    "tcp" => 6,
                    "udp" => 17,
                    "ipv6-icmp" | "icmpv6" => 58,
                    "sctp" => 132,
                    _ => number_in(next, 1, 255)?,
                });
            }
            "sport" => it.source_ports = Some(range(line.after(word)?, 65_535)?),
            "dport" => it.destination_ports = Some(range(line.after(word)?, 65_535)?),
            "protocol" => it.protocol = protocol(line.after(word)?)?,
            "no_track" => it.track = false,
            "l3mdev" => drop(line.tell_known(word)),
            _ if line.tell_known(word) => drop(line.take()),
            _ => return Err(line.unknown(word, "a rule")),
        }
    }
    let mut families = (it.from.iter().chain(&it.to)).map(|(address, _)| Family::of(*address));
    it.family = family.or_else(|| families.next()).unwrap_or(Family::Inet);
    if (it.from.iter().chain(&it.to)).any(|(address, _)| Family::of(*address) != it.family) {
        return Err(wrong(
            "V-45",
            "the addresses of the rule are of two families",
            "write two rules",
        ));
    }
    it.action = match (action, it.suppress_prefix_len) {
        (Some(action), _) => action,
        (None, Some(_)) => RuleAction::Lookup(TABLE_MAIN),
        (None, None) => return Err(wrong("V-45", "the rule does nothing", "write 'table NAME'")),
    };
    it.preference = match preference {
        Some(preference) => preference,
        None => {
            let last = line.cx.last_preference.unwrap_or(PREFERENCE_BASE);
            let (given, span) = (last.saturating_sub(1), line.words[0].span);
            line.cx.last_preference = Some(given);
            let advice = format!(
                "it gets {given}, as in keepalived; write 'preference N': the order of rules matters"
            );
            line.cx
                .warn("V-46", span, "the rule has no preference", &[&advice]);
            given
        }
    };
    Ok(it)
}

/// A mark, which people write in either base.
fn mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `A` or `A-B`.
fn range<T: TryFrom<i128> + PartialOrd + Copy>(word: Word<'_>, most: u64) -> Result<(T, T), Wrong> {
    let (first, last) = word.text.split_once('-').unwrap_or((word.text, word.text));
    let part = |text| Word {
        text,
        span: word.span,
    };
    let (first, last): (T, T) = (number_in(part(first), 0, most)?, number_in(part(last), 0, most)?);
    if first > last {
        return Err(not_in(word, 0, most));
    }
    Ok((first, last))
}
