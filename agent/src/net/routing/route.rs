//! The bytes of a route.

use super::{family_of, short_table};
use crate::model::{Leg, Route, RouteKind};
use crate::wire::LinkIndex;
use lb_shared::names::Family;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteVia,
};
use std::net::IpAddr;

pub(super) fn message(it: &Route, links: &[Option<LinkIndex>]) -> RouteMessage {
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
            let hop = |(number, leg): (usize, &Leg)| {
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
