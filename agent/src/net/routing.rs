//! Routes and policy rules: the bytes of rtnetlink, and what the kernel tells of ours.
//!
//! Ours are known by their protocol. What others set is neither read nor touched: a router with a full table has
//! hundreds of thousands of routes.

use crate::model::{PROTOCOL_OURS, Route, RouteKind, Rule, RuleAction};
use crate::wire::LinkIndex;
use crate::wire::netlink::flags::{ACK, CREATE, EXCL};
use crate::wire::netlink::{Builder, Malformed, attributes};
use lb_shared::names::Family;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::IpProtocol;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteVia,
};
use netlink_packet_route::rule::{self, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The notification groups that tell of routes and rules.
pub const GROUPS: [u32; 4] = [7, 8, 11, 19];

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;

/// A route or a rule as the kernel is told it. In this order they are set: a rule may lead to a table whose routes come
/// before it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum Routing {
    /// A route with the links of its legs.
    Route(Route, Vec<Option<LinkIndex>>),
    Rule(Rule),
}

/// A route or a rule of ours that somebody removed: as much of it as tells which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RoutingGone {
    Route { table: u32, destination: (IpAddr, u8) },
    Rule { family: Family, preference: u32 },
}

impl Routing {
    /// Whether this is, or may be, what is gone.
    pub fn is(&self, gone: &RoutingGone) -> bool {
        match (self, gone) {
            (Self::Route(it, _), RoutingGone::Route { table, destination }) => {
                it.table == *table && it.destination == *destination
            }
            (Self::Rule(it), RoutingGone::Rule { family, preference }) => {
                it.family == *family && it.preference == *preference
            }
            (Self::Route(..), RoutingGone::Rule { .. }) | (Self::Rule(_), RoutingGone::Route { .. }) => false,
        }
    }

    /// Whether it is put back when somebody removes it.
    pub fn is_tracked(&self) -> bool {
        match self {
            Self::Route(it, _) => it.track,
            Self::Rule(it) => it.track,
        }
    }
}

impl fmt::Display for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(it, _) => {
                write!(f, "route {}/{}", it.destination.0, it.destination.1)?;
                for leg in &it.legs {
                    leg.via.map_or(Ok(()), |via| write!(f, " via {via}"))?;
                    leg.device
                        .as_ref()
                        .map_or(Ok(()), |dev| write!(f, " dev {dev}"))?;
                }
                write!(f, " table {}", it.table)
            }
            Self::Rule(it) => {
                let family = if it.family == Family::Inet { "IPv4" } else { "IPv6" };
                write!(f, "{family} rule {}", it.preference)
            }
        }
    }
}

/// Appends the message that sets or removes it; `ack`: the kernel answers even when it succeeds.
pub(super) fn encode(out: &mut Vec<u8>, seq: u32, ack: bool, add: bool, it: &Routing) {
    let ack = if ack { ACK } else { 0 };
    // A route goes before others of the same destination and metric, as keepalived's do; one that is there already is
    // refused as such. A rule would be there twice without EXCL.
    match it {
        Routing::Route(route, links) => {
            let (kind, flags) = if add {
                (RTM_NEWROUTE, CREATE)
            } else {
                (RTM_DELROUTE, 0)
            };
            let mut builder = Builder::new(out, kind, flags | ack, seq);
            builder.emit(&route_message(route, links));
            builder.finish();
        }
        Routing::Rule(rule) => {
            let (kind, flags) = if add {
                (RTM_NEWRULE, CREATE | EXCL)
            } else {
                (RTM_DELRULE, 0)
            };
            let mut builder = Builder::new(out, kind, flags | ack, seq);
            builder.emit(&rule_message(rule));
            builder.finish();
        }
    }
}

fn family_of(family: Family) -> AddressFamily {
    match family {
        Family::Inet => AddressFamily::Inet,
        Family::Inet6 => AddressFamily::Inet6,
    }
}

/// What fits in the header's byte; a bigger number stands in an attribute.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

fn route_message(it: &Route, links: &[Option<LinkIndex>]) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = family_of(it.family);
    header.destination_prefix_length = it.destination.1;
    header.tos = it.tos;
    header.table = short_table(it.table);
    header.protocol = it.protocol.into();
    header.kind = (it.kind as u8).into();
    header.scope = it.scope.unwrap_or_else(|| usual_scope(it)).into();
    let mut attributes = Vec::new();
    if it.destination.1 > 0 {
        attributes.push(RouteAttribute::Destination(it.destination.0.into()));
    }
    attributes.push(RouteAttribute::Table(it.table));
    attributes.extend(it.metric.map(RouteAttribute::Priority));
    attributes.extend(it.source.map(|source| RouteAttribute::PrefSource(source.into())));
    if !it.metrics.is_empty() {
        let mut metrics = Vec::new();
        if it.locked != 0 {
            metrics.push(RouteMetric::Lock(it.locked));
        }
        let value = |(kind, value): (&u16, &u32)| {
            RouteMetric::Other(DefaultNla::new(*kind, value.to_ne_bytes().to_vec()))
        };
        metrics.extend(it.metrics.iter().map(value));
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    match (&it.legs[..], links) {
        ([], _) => {}
        ([leg], links) => {
            if leg.onlink {
                header.flags |= RouteFlags::Onlink;
            }
            attributes.extend(leg.via.map(|via| gateway(it.family, via)));
            let link = links.first().copied().flatten();
            attributes.extend(link.map(|link| RouteAttribute::Oif(link.0)));
        }
        (legs, links) => {
            let hop = |(number, leg): (usize, &crate::model::Leg)| {
                let mut hop = RouteNextHop::default();
                hop.hops = u8::try_from(leg.weight.saturating_sub(1)).unwrap_or(u8::MAX);
                if leg.onlink {
                    hop.flags = RouteNextHopFlags::Onlink;
                }
                hop.interface_index = links.get(number).copied().flatten().map_or(0, |link| link.0);
                hop.attributes.extend(leg.via.map(|via| gateway(it.family, via)));
                hop
            };
            attributes.push(RouteAttribute::MultiPath(
                legs.iter().enumerate().map(hop).collect(),
            ));
        }
    }
    message.attributes = attributes;
    message
}

/// An IPv4 route may go by an IPv6 gateway.
fn gateway(family: Family, via: IpAddr) -> RouteAttribute {
    match via {
        IpAddr::V6(via) if family == Family::Inet => RouteAttribute::Via(RouteVia::Inet6(via)),
        via => RouteAttribute::Gateway(via.into()),
    }
}

/// As iproute2 chooses it.
fn usual_scope(it: &Route) -> u8 {
    const HOST: u8 = 254;
    const LINK: u8 = 253;
    if it.family == Family::Inet6 {
        return 0;
    }
    match it.kind {
        RouteKind::Local => HOST,
        RouteKind::Broadcast | RouteKind::Multicast | RouteKind::Anycast => LINK,
        RouteKind::Unicast if it.legs.iter().all(|leg| leg.via.is_none()) => LINK,
        RouteKind::Unicast
        | RouteKind::Blackhole
        | RouteKind::Unreachable
        | RouteKind::Prohibit
        | RouteKind::Throw => 0,
    }
}

fn rule_message(it: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let header = &mut message.header;
    header.family = family_of(it.family);
    header.tos = it.tos;
    header.src_len = it.from.map_or(0, |(_, length)| length);
    header.dst_len = it.to.map_or(0, |(_, length)| length);
    if it.invert {
        header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(it.preference));
    attributes.push(RuleAttribute::Protocol(it.protocol.into()));
    header.action = match it.action {
        RuleAction::Lookup(table) => {
            header.table = short_table(table);
            attributes.push(RuleAttribute::Table(table));
            rule::RuleAction::ToTable
        }
        RuleAction::Goto(preference) => {
            attributes.push(RuleAttribute::Goto(preference));
            rule::RuleAction::Goto
        }
        RuleAction::Nop => rule::RuleAction::Nop,
        RuleAction::Blackhole => rule::RuleAction::Blackhole,
        RuleAction::Unreachable => rule::RuleAction::Unreachable,
        RuleAction::Prohibit => rule::RuleAction::Prohibit,
    };
    attributes.extend(it.from.map(|(address, _)| RuleAttribute::Source(address)));
    attributes.extend(it.to.map(|(address, _)| RuleAttribute::Destination(address)));
    attributes.extend(it.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(it.oif.clone().map(RuleAttribute::Oifname));
    if let Some((mark, mask)) = it.fwmark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    attributes.extend(it.suppress_prefix_len.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(
        it.users
            .map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })),
    );
    attributes.extend(
        it.ip_protocol
            .map(|number| RuleAttribute::IpProtocol(IpProtocol::from(i32::from(number)))),
    );
    let ports = |(start, end)| RulePortRange { start, end };
    attributes.extend(
        it.source_ports
            .map(|it| RuleAttribute::SourcePortRange(ports(it))),
    );
    attributes.extend(
        it.destination_ports
            .map(|it| RuleAttribute::DestinationPortRange(ports(it))),
    );
    message
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// rtmsg and fib_rule_hdr have this length, with family, length of the destination, and the table at one place.
const HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
const FRA_PRIORITY: u16 = 6;
const FRA_PROTOCOL: u16 = 21;

/// What of ours a message says is gone.
pub(super) fn decode(kind: u16, payload: &[u8]) -> Result<Option<RoutingGone>, Malformed> {
    match kind {
        RTM_DELROUTE => route_gone(payload),
        RTM_DELRULE => rule_gone(payload),
        _ => Ok(None),
    }
}

fn family_in(header: &[u8; HEADER]) -> Option<Family> {
    match header[0] {
        AF_INET => Some(Family::Inet),
        AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

fn route_gone(payload: &[u8]) -> Result<Option<RoutingGone>, Malformed> {
    let header: &[u8; HEADER] = payload.first_chunk().ok_or(Malformed("route header"))?;
    let [_, length, _, _, table, protocol, ..] = *header;
    let Some(family) = family_in(header).filter(|_| protocol == PROTOCOL_OURS) else {
        return Ok(None);
    };
    let mut table = u32::from(table);
    let mut destination: IpAddr = match family {
        Family::Inet => Ipv4Addr::UNSPECIFIED.into(),
        Family::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    for attribute in attributes(&payload[HEADER..]) {
        let attribute = attribute?;
        match (attribute.kind, family) {
            (RTA_TABLE, _) => table = attribute.u32()?,
            (RTA_DST, Family::Inet) => destination = attribute.array::<4>()?.into(),
            (RTA_DST, Family::Inet6) => destination = attribute.array::<16>()?.into(),
            _ => {}
        }
    }
    Ok(Some(RoutingGone::Route {
        table,
        destination: (destination, length),
    }))
}

fn rule_gone(payload: &[u8]) -> Result<Option<RoutingGone>, Malformed> {
    let header: &[u8; HEADER] = payload.first_chunk().ok_or(Malformed("rule header"))?;
    let Some(family) = family_in(header) else {
        return Ok(None);
    };
    let (mut preference, mut ours) = (0, false);
    for attribute in attributes(&payload[HEADER..]) {
        let attribute = attribute?;
        match attribute.kind {
            FRA_PRIORITY => preference = attribute.u32()?,
            FRA_PROTOCOL => ours = attribute.u8()? == PROTOCOL_OURS,
            _ => {}
        }
    }
    Ok(ours.then_some(RoutingGone::Rule { family, preference }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Leg, TABLE_MAIN};
    use crate::wire::netlink::{Body, messages};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn route(destination: &str, length: u8, table: u32, legs: usize) -> Routing {
        let destination: IpAddr = destination.parse().unwrap();
        let via: IpAddr = if destination.is_ipv4() {
            [10, 0, 0, 9].into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        };
        let leg = Leg {
            device: Some("eth0".to_owned()),
            via: Some(via),
            weight: 256,
            onlink: true,
        };
        let it = Route {
            family: Family::of(destination),
            destination: (destination, length),
            kind: RouteKind::Unicast,
            table,
            scope: None,
            metric: Some(50),
            tos: 0,
            protocol: PROTOCOL_OURS,
            source: None,
            metrics: BTreeMap::from([(2, 1400)]),
            locked: 1 << 2,
            legs: vec![leg; legs],
            track: true,
        };
        Routing::Route(it, vec![Some(LinkIndex(3)); legs])
    }

    fn rule(preference: u32) -> Routing {
        Routing::Rule(Rule {
            family: Family::Inet,
            preference,
            invert: true,
            from: Some(([10, 0, 0, 0].into(), 8)),
            to: None,
            iif: Some("eth0".to_owned()),
            oif: None,
            tos: 0,
            fwmark: Some((7, 0xff)),
            users: None,
            ip_protocol: Some(6),
            source_ports: None,
            destination_ports: Some((80, 443)),
            action: RuleAction::Lookup(1_000),
            suppress_prefix_len: None,
            protocol: PROTOCOL_OURS,
            track: true,
        })
    }

    fn encoded(add: bool, it: &Routing) -> (u16, Vec<u8>) {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, true, add, it);
        let message = messages(&bytes).next().unwrap().unwrap();
        match message.body {
            Body::Data { kind, payload } => (kind, payload.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_told_of_a_removal_is_what_was_removed() {
        for it in [
            route("10.50.0.0", 16, TABLE_MAIN, 1),
            route("10.50.0.0", 16, 1_000, 2),
            route("0.0.0.0", 0, TABLE_MAIN, 1),
            route("2001:db8::", 32, TABLE_MAIN, 1),
            rule(1_000),
            rule(0),
        ] {
            let (kind, payload) = encoded(false, &it);
            let gone = decode(kind, &payload).unwrap().unwrap();
            assert!(it.is(&gone), "{it}: {gone:?}");
            assert!(!route("10.51.0.0", 16, TABLE_MAIN, 1).is(&gone), "{it}");
            assert!(!rule(1_001).is(&gone), "{it}");
            let (kind, payload) = encoded(true, &it);
            assert_eq!(decode(kind, &payload), Ok(None), "one that is added is not gone");
        }
    }

    #[test]
    fn what_others_remove_of_theirs_is_not_ours() {
        let mut theirs = route("10.50.0.0", 16, TABLE_MAIN, 1);
        if let Routing::Route(it, _) = &mut theirs {
            it.protocol = 4;
        }
        let (kind, payload) = encoded(false, &theirs);
        assert_eq!(decode(kind, &payload), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_panic(
            kind in 24u16..36, bytes in proptest::collection::vec(any::<u8>(), 0..120),
        ) {
            let _ = decode(kind, &bytes);
        }
    }
}
