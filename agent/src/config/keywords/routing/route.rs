//! A line of `virtual_routes` or `static_routes`.

use super::{Line, Names, Wrong, encap, number_in, prefix, wrong};
use crate::config::keyword::shown;
use crate::config::lexer::{Span, Word};
use crate::config::value;
use crate::model::{Leg, Place, Route, RouteKind};
use lb_shared::names::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn everything(family: Family) -> (IpAddr, u8) {
    match family {
        Family::Inet => (Ipv4Addr::UNSPECIFIED.into(), 0),
        Family::Inet6 => (Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

const SCOPES: Names = Names {
    what: "scope",
    most: 255,
    usual: &[
        ("global", 0),
        ("universe", 0),
        ("site", 200),
        ("link", 253),
        ("host", 254),
        ("nowhere", 255),
    ],
    file: "rt_scopes",
};

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

/// A time as the kernel counts it: its number, and how many of it are a millisecond.
fn time(text: &str) -> Option<(u16, u32)> {
    Some(match text {
        "rtt" => (4, 8),
        "rttvar" => (5, 4),
        "rto_min" => (RTO_MIN, 1),
        _ => return None,
    })
}

const FEATURES: u16 = 12;
const RTO_MIN: u16 = 13;
const CONGESTION: u16 = 16;
const FEATURE_ECN: u32 = 1;

/// What a line said so far, beside the route itself.
#[derive(Default)]
struct Said {
    destination: Option<(IpAddr, u8)>,
    default: bool,
    family: Option<Family>,
    /// The family that a word asked for, and the word.
    asks: Option<(Family, &'static str, Span)>,
    protocol: Option<(u8, Span)>,
    /// `or`: the other gateways.
    others: Vec<IpAddr>,
    leg: Leg,
}

pub(super) fn read(line: &mut Line<'_, '_, '_>) -> Result<Route, Wrong> {
    let mut it = Route::to(everything(Family::Inet));
    let mut said = Said::default();
    said.leg.weight = 1;
    while let Some(word) = line.take() {
        let leg = &mut said.leg;
        match word.text {
            "inet" => said.family = Some(Family::Inet),
            "inet6" => said.family = Some(Family::Inet6),
            "default" | "any" | "all" if said.destination.is_none() => said.default = true,
            "default6" => (said.default, said.family) = (true, Some(Family::Inet6)),
            "to" => {
                let next = line.after(word)?;
                match next.text {
                    "default" | "any" | "all" => said.default = true,
                    _ => said.destination = Some(prefix(next)?),
                }
            }
            "via" | "gw" => leg.via = Some(line.address(word)?),
            "or" => {
                line.tell_old(word, "nexthop via ADDRESS nexthop via ADDRESS");
                said.others.push(line.address(word)?);
            }
            "dev" | "oif" => leg.device = Some(line.name(word)?),
            "onlink" => leg.onlink = true,
            "encap" => leg.encap = Some(encap::read(word, line)?),
            "src" => it.source = Some(line.address(word)?),
            "from" => {
                it.from = Some(prefix(line.after(word)?)?).filter(|(_, length)| *length > 0);
                said.asks = Some((Family::Inet6, "from", word.span));
            }
            "table" => (it.table, it.vrf) = (line.table(word)?, None),
            "vrf" => it.vrf = Some(line.name(word)?),
            "scope" => {
                let scope = line.after(word)?;
                it.scope = Some(line.named(scope, &SCOPES)?);
            }
            "metric" | "priority" | "preference" => it.metric = Some(line.number(word, u64::from(u32::MAX))?),
            "protocol" => said.protocol = Some(line.protocol(word)?),
            "tos" | "dsfield" => it.tos = line.type_of_service(word)?,
            "realms" => {
                it.realms = line.realms(word)?;
                said.asks = Some((Family::Inet, "realms", word.span));
            }
            "expires" => {
                it.expires = Some(line.number(word, u64::from(u32::MAX))?);
                said.asks = Some((Family::Inet6, "expires", word.span));
            }
            "pref" => {
                it.preference = Some(preference(line.after(word)?)?);
                said.asks = Some((Family::Inet6, "pref", word.span));
            }
            "ttl-propagate" => it.ttl_propagate = Some(enabled(line.after(word)?)?),
            "features" => features(line.after(word)?, &mut it, line),
            "congctl" => {
                if line.takes("lock") {
                    it.locked |= 1 << CONGESTION;
                }
                it.congestion = Some(congestion(line.after(word)?)?);
            }
            "no_track" => it.track = false,
            "track_group" => line.track_group(word)?,
            "nexthop" => {
                it.legs = legs(word, line)?;
                break;
            }
            "prepend" => it.place = Place::First,
            "append" => it.place = Place::Last,
            "add" => it.place = Place::Alone,
            "nat" => {
                return Err(Wrong {
                    at: Some(word.span),
                    ..wrong(
                        "V-119",
                        "the kernel has had no NAT in its routes since Linux 2.6.9",
                        "translate addresses with nftables",
                    )
                });
            }
            // Labels are swapped in the kernel's MPLS table, which is not that of IP.
            "as" => {
                line.tell_idle(word);
                let _ = line.takes("to");
                line.after(word)?;
            }
            text => {
                if let Some(kind) = kind(text) {
                    it.kind = kind;
                } else if let Some(number) = metric(text) {
                    let locked = line.takes("lock");
                    it.locked |= u32::from(locked) << number;
                    let value = line.number(word, u64::from(u32::MAX))?;
                    it.metrics.insert(number, value);
                } else if let Some((number, parts)) = time(text) {
                    let locked = line.takes("lock");
                    it.locked |= u32::from(locked) << number;
                    let value = span(word, line.after(word)?, parts, line)?;
                    it.metrics.insert(number, value);
                    if number == RTO_MIN && !locked {
                        let note = "write 'rto_min lock'; the kernel looks at it only then";
                        (line.cx).warn("V-120", word.span, "rto_min has no effect without lock", &[note]);
                    }
                } else if said.destination.is_none() && !said.default {
                    said.destination = Some(prefix(word)?);
                } else {
                    return Err(line.unknown(word, "a route"));
                }
            }
        }
    }
    it.protocol = line.settle_protocol(said.protocol, it.track);
    settle(&mut it, said)?;
    Ok(it)
}

/// Of a router among others, by the kernel's numbers.
fn preference(word: Word<'_>) -> Result<u8, Wrong> {
    Ok(match word.text {
        "low" => 3,
        "medium" => 0,
        "high" => 1,
        _ => return number_in(word, 0, 255),
    })
}

fn enabled(word: Word<'_>) -> Result<bool, Wrong> {
    match word.text {
        "enabled" => Ok(true),
        "disabled" => Ok(false),
        _ => Err(Wrong {
            at: Some(word.span),
            ..wrong(
                "L-06",
                format!("'{}' is neither enabled nor disabled", shown(word.text)),
                "write one of them",
            )
        }),
    }
}

fn features(word: Word<'_>, it: &mut Route, line: &mut Line<'_, '_, '_>) {
    if word.text == "ecn" {
        *it.metrics.entry(FEATURES).or_default() |= FEATURE_ECN;
    } else {
        let what = format!("'{}' is no feature of routes", shown(word.text));
        let notes = ["write ecn", "the route is set without it, as in keepalived"];
        line.cx.error("L-06", word.span, what, &notes);
    }
}

/// The kernel has room for 15 characters.
fn congestion(word: Word<'_>) -> Result<String, Wrong> {
    if word.text.len() > 15 {
        return Err(Wrong {
            at: Some(word.span),
            ..wrong(
                "L-06",
                format!("'{}' is no congestion control", shown(word.text)),
                "write one of those in /proc/sys/net/ipv4/tcp_available_congestion_control",
            )
        });
    }
    Ok(word.text.to_owned())
}

/// A time in parts of a millisecond: a bare number is one of parts already. keepalived takes none below 200 ms.
fn span(name: Word<'_>, word: Word<'_>, parts: u32, line: &mut Line<'_, '_, '_>) -> Result<u32, Wrong> {
    const LEAST_MS: u32 = 200;
    let unit = word.text.find(|it: char| it.is_ascii_alphabetic());
    let (digits, unit) = word.text.split_at(unit.unwrap_or(word.text.len()));
    let micros = value::micros(digits).filter(|_| !digits.starts_with('-'));
    let parts_of = |ms: u128| ms.checked_mul(u128::from(parts));
    let value = match unit.to_ascii_lowercase().as_str() {
        "" => value::number(digits).and_then(|it| u128::try_from(it).ok()),
        "s" | "sec" | "secs" => micros.and_then(|it| parts_of(it.div_ceil(1_000))),
        "ms" | "msec" | "msecs" => micros.and_then(|it| parts_of(it.div_ceil(1_000_000))),
        _ => None,
    };
    let value = value.and_then(|it| u32::try_from(it).ok()).ok_or_else(|| Wrong {
        at: Some(word.span),
        ..wrong(
            "L-05",
            format!("'{}' is no time", shown(word.text)),
            "write it as 300ms or 1.5s",
        )
    })?;
    if value < LEAST_MS * parts {
        let what = format!("{} {} is below 200 ms", name.text, shown(word.text));
        let notes = ["200ms is used, as in keepalived", "write 200ms or more"];
        line.cx.warn("V-121", word.span, what, &notes);
    }
    Ok(value.max(LEAST_MS * parts))
}

/// Brings what was read to one route, or says what is missing.
fn settle(it: &mut Route, said: Said) -> Result<(), Wrong> {
    let Said {
        destination,
        default,
        family,
        asks,
        protocol: _,
        others,
        leg,
    } = said;
    let gateways = || {
        let legs = it.legs.iter().chain([&leg]);
        legs.filter_map(|leg| leg.via).chain(others.iter().copied())
    };
    let asked = asks.map(|(family, ..)| family);
    it.family = match (destination, family.or(asked)) {
        (Some((address, _)), _) => Family::of(address),
        (None, Some(family)) => family,
        (None, None) => gateways().next().or(it.source).map_or(Family::Inet, Family::of),
    };
    if let Some((family, word, at)) = asks.filter(|(family, ..)| *family != it.family) {
        let whose = match family {
            Family::Inet => "IPv4",
            Family::Inet6 => "IPv6",
        };
        return Err(Wrong {
            at: Some(at),
            ..wrong(
                "V-44",
                format!("'{word}' is for routes of {whose}"),
                "leave it out, as it has no meaning here",
            )
        });
    }
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
    let from = it.from.map(|(from, _)| from);
    if mixed
        || it
            .source
            .iter()
            .chain(&from)
            .any(|source| Family::of(*source) != it.family)
    {
        return Err(wrong(
            "V-44",
            "the addresses of the route are of two families",
            "an IPv6 route takes IPv6 addresses only; an IPv4 one may go via an IPv6 gateway",
        ));
    }
    let plain = leg.via.is_some() || leg.device.is_some() || leg.encap.is_some() || !others.is_empty();
    match (it.kind.has_legs(), plain, it.legs.is_empty()) {
        (true, true, true) if others.is_empty() => it.legs.push(leg),
        (true, true, true) => {
            // Of several legs each has its realms.
            let realms = it.realms.take();
            let first = leg.via.into_iter().chain(others);
            let hop = |via| Leg {
                via: Some(via),
                realms,
                ..leg.clone()
            };
            it.legs = first.map(hop).collect();
        }
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
                "leave out via, dev, encap and nexthop",
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
            "encap" => leg.encap = Some(encap::read(word, line)?),
            "realms" => leg.realms = line.realms(word)?,
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
