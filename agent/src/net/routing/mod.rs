//! Routes and policy rules: the bytes of rtnetlink, and what the kernel tells of ours.
//!
//! Ours are known by their protocol. What others set is neither read nor touched: a router with a full table has
//! hundreds of thousands of routes.

#[cfg(test)]
mod bytes_tests;
mod gone;
mod route;
mod rule;

use super::{Link, NetTable};
use crate::model::{Place, Realms, Route, Rule};
use crate::wire::LinkIndex;
use crate::wire::netlink::Builder;
use crate::wire::netlink::flags::{ACK, APPEND, CREATE, EXCL};
pub(super) use gone::decode;
use lb_shared::names::Family;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::RouteRealm;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

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
    /// As the kernel is told them: those whose interfaces are there and `fits`, in the table of their VRF.
    pub fn placed(
        have: &NetTable,
        fits: fn(&Link) -> bool,
        routes: &[Route],
        rules: &[Rule],
    ) -> BTreeSet<Self> {
        let place = |route: &Route| {
            let links = route.legs.iter().map(|leg| match &leg.device {
                None => Some(None),
                Some(name) => Some(Some(have.link(name).filter(|link| fits(link))?.index)),
            });
            let links = links.collect::<Option<Vec<_>>>()?;
            let mut route = route.clone();
            if let Some(vrf) = &route.vrf {
                route.table = have.link(vrf)?.vrf_table?;
            }
            Some(Self::Route(route, links))
        };
        let rules = rules.iter().cloned().map(Self::Rule);
        routes.iter().filter_map(place).chain(rules).collect()
    }

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

    /// Whether the kernel itself takes it away after a while.
    pub fn expires(&self) -> bool {
        match self {
            Self::Route(it, _) => it.expires.is_some(),
            Self::Rule(_) => false,
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
    // A route that is there already is refused as such, wherever it goes. A rule would be there twice without EXCL.
    match it {
        Routing::Route(route, links) => {
            let (kind, flags) = if add {
                let place = match route.place {
                    Place::First => 0,
                    Place::Last => APPEND,
                    Place::Alone => EXCL,
                };
                (RTM_NEWROUTE, CREATE | place)
            } else {
                (RTM_DELROUTE, 0)
            };
            let mut builder = Builder::new(out, kind, flags | ack, seq);
            builder.emit(&route::message(route, links));
            builder.finish();
        }
        Routing::Rule(rule) => {
            let (kind, flags) = if add {
                (RTM_NEWRULE, CREATE | EXCL)
            } else {
                (RTM_DELRULE, 0)
            };
            let mut builder = Builder::new(out, kind, flags | ack, seq);
            builder.emit(&rule::message(rule));
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

fn realm(it: Realms) -> RouteRealm {
    RouteRealm {
        source: it.from,
        destination: it.to,
    }
}

/// What fits in the header's byte; a bigger number stands in an attribute.
fn short_table(table: u32) -> u8 {
    u8::try_from(table).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Leg, RuleAction, TABLE_MAIN};
    use crate::wire::netlink::{Body, messages};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::Ipv6Addr;

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
            ..Leg::default()
        };
        let it = Route {
            table,
            metric: Some(50),
            metrics: BTreeMap::from([(2, 1400)]),
            locked: 1 << 2,
            legs: vec![leg; legs],
            ..Route::to((destination, length))
        };
        Routing::Route(it, vec![Some(LinkIndex(3)); legs])
    }

    fn rule(preference: u32) -> Routing {
        Routing::Rule(Rule {
            invert: true,
            from: Some(([10, 0, 0, 0].into(), 8)),
            iif: Some("eth0".to_owned()),
            fwmark: Some((7, 0xff)),
            ip_protocol: Some(6),
            destination_ports: Some((80, 443)),
            ..Rule::new(Family::Inet, preference, RuleAction::Lookup(1_000))
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
