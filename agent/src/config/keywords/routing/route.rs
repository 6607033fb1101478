//! A line of `virtual_routes` or `static_routes`.

use super::{Line, Wrong, number_in, prefix, protocol, wrong};
use crate::config::lexer::Word;
use crate::model::{Leg, Route, RouteKind};
use lb_shared::names::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

pub(super) fn read(line: &mut Line<'_, '_, '_>) -> Result<Route, Wrong> {
    let mut destination = None;
    let (mut default, mut family) = (false, None);
    let mut it = Route::to(everything(Family::Inet));
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
