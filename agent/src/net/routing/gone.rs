//! What the kernel tells of routes and rules of ours that somebody removed.

use super::RoutingGone;
use crate::model::PROTOCOL_OURS;
use crate::wire::netlink::{Malformed, attributes};
use lb_shared::names::Family;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RTM_DELROUTE: u16 = 25;
const RTM_DELRULE: u16 = 33;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// rtmsg and fib_rule_hdr have this length, with family, length of the destination, and the table at one place.
const HEADER: usize = 12;
const RTA_DST: u16 = 1;
const RTA_TABLE: u16 = 15;
const FRA_PRIORITY: u16 = 6;
const FRA_PROTOCOL: u16 = 21;

/// What of ours a message says is gone.
pub(in crate::net) fn decode(kind: u16, payload: &[u8]) -> Result<Option<RoutingGone>, Malformed> {
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
