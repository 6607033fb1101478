//! The bytes of a route.

use super::{family_of, realm, short_table};
use crate::model::{Encap, Leg, Route, RouteKind, Tunnel};
use crate::wire::LinkIndex;
use lb_shared::names::Family;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteLwEnCapType, RouteLwTunnelEncap, RouteMessage, RouteMetric,
    RouteNextHop, RouteNextHopFlags, RouteVia,
};
use std::net::IpAddr;

const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_CC_ALGO: u16 = 16;

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
    if let Some((from, length)) = it.from {
        header.source_prefix_length = length;
        attributes.push(RouteAttribute::Source(from.into()));
    }
    attributes.push(RouteAttribute::Table(it.table));
    attributes.extend(it.metric.map(RouteAttribute::Priority));
    attributes.extend(it.source.map(|source| RouteAttribute::PrefSource(source.into())));
    attributes.extend(it.realms.map(realm).map(RouteAttribute::Realm));
    attributes.extend(it.expires.map(RouteAttribute::Expires));
    attributes.extend(it.preference.map(|it| RouteAttribute::Preference(it.into())));
    let ttl = |on| RouteAttribute::Other(DefaultNla::new(RTA_TTL_PROPAGATE, vec![u8::from(on)]));
    attributes.extend(it.ttl_propagate.map(ttl));
    if !it.metrics.is_empty() || it.congestion.is_some() {
        let mut metrics = Vec::new();
        if it.locked != 0 {
            metrics.push(RouteMetric::Lock(it.locked));
        }
        let value = |(kind, value): (&u16, &u32)| {
            RouteMetric::Other(DefaultNla::new(*kind, value.to_ne_bytes().to_vec()))
        };
        metrics.extend(it.metrics.iter().map(value));
        let name =
            |name: &String| RouteMetric::Other(DefaultNla::new(RTAX_CC_ALGO, name.clone().into_bytes()));
        metrics.extend(it.congestion.as_ref().map(name));
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
            attributes.extend(leg.encap.iter().flat_map(encap));
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
                hop.attributes
                    .extend(leg.realms.map(realm).map(RouteAttribute::Realm));
                hop.attributes.extend(leg.encap.iter().flat_map(encap));
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

/// What packets are wrapped in, and how that is to be read.
fn encap(it: &Encap) -> [RouteAttribute; 2] {
    const MPLS_IPTUNNEL_DST: u16 = 1;
    const ILA_ATTR_LOCATOR: u16 = 1;
    let (kind, words) = match it {
        Encap::Ip(it) => (RouteLwEnCapType::Ip, tunnel(it)),
        Encap::Ip6(it) => (RouteLwEnCapType::Ip6, tunnel(it)),
        Encap::Mpls(labels) => {
            let last = labels.len().saturating_sub(1);
            let entry = |(place, label): (usize, &u32)| {
                let bottom = u32::from(place == last) << 8;
                ((label << 12) | bottom).to_be_bytes()
            };
            let stack = labels.iter().enumerate().flat_map(entry).collect();
            (RouteLwEnCapType::Mpls, vec![(MPLS_IPTUNNEL_DST, stack)])
        }
        Encap::Ila(locator) => {
            let locator = locator.iter().flat_map(|it| it.to_be_bytes()).collect();
            (RouteLwEnCapType::Ila, vec![(ILA_ATTR_LOCATOR, locator)])
        }
    };
    let words = words.into_iter();
    let words = words.map(|(kind, value)| RouteLwTunnelEncap::Other(DefaultNla::new(kind, value)));
    [
        RouteAttribute::Encap(words.collect()),
        RouteAttribute::EncapType(kind),
    ]
}

/// The attributes of both families have the same numbers.
fn tunnel(it: &Tunnel) -> Vec<(u16, Vec<u8>)> {
    const LWTUNNEL_IP_ID: u16 = 1;
    const LWTUNNEL_IP_DST: u16 = 2;
    const LWTUNNEL_IP_SRC: u16 = 3;
    const LWTUNNEL_IP_TTL: u16 = 4;
    const LWTUNNEL_IP_TOS: u16 = 5;
    const LWTUNNEL_IP_FLAGS: u16 = 6;
    let bytes = |it: IpAddr| match it {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    };
    let words = [
        (LWTUNNEL_IP_ID, it.id.map(|it| it.to_be_bytes().to_vec())),
        (LWTUNNEL_IP_DST, it.destination.map(bytes)),
        (LWTUNNEL_IP_SRC, it.source.map(bytes)),
        (LWTUNNEL_IP_TOS, it.tos.map(|it| vec![it])),
        (LWTUNNEL_IP_TTL, it.ttl.map(|it| vec![it])),
        (LWTUNNEL_IP_FLAGS, it.flags.map(|it| it.to_ne_bytes().to_vec())),
    ];
    let given = words.into_iter();
    given.filter_map(|(kind, value)| Some((kind, value?))).collect()
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
