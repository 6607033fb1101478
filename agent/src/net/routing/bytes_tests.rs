//! The options of routes and rules as iproute2 6.1 puts them, byte by byte, but for the bit that says "nested", which the
//! kernel does not look at here. MPLS and ILA are as the kernel's headers have them: few kernels take them.

use super::{Routing, encode};
use crate::model::{Encap, Leg, Place, Realms, Route, Rule, RuleAction, Tunnel};
use crate::wire::LinkIndex;
use lb_shared::names::Family;
use std::fmt::Write;
use std::net::IpAddr;

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn bytes(it: &Routing) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, 7, false, true, it);
    bytes
}

fn prefix(text: &str) -> (IpAddr, u8) {
    let (address, length) = text.split_once('/').unwrap();
    (address.parse().unwrap(), length.parse().unwrap())
}

fn leg() -> Leg {
    Leg {
        device: Some("eth0".to_owned()),
        weight: 1,
        ..Leg::default()
    }
}

fn to(text: &str) -> Route {
    Route {
        legs: vec![leg()],
        ..Route::to(prefix(text))
    }
}

fn wrapped(text: &str, encap: Encap) -> Route {
    let legs = vec![Leg {
        encap: Some(encap),
        ..leg()
    }];
    Route { legs, ..to(text) }
}

const REALMS: Option<Realms> = Some(Realms { from: 3, to: 4 });

fn rule(action: RuleAction) -> Rule {
    Rule {
        from: Some(prefix("10.0.0.0/8")),
        ..Rule::new(Family::Inet, 7, action)
    }
}

#[test]
fn options_of_routes_are_put_as_iproute2_puts_them() {
    let address = |text: &str| Some(text.parse().unwrap());
    let ip = Encap::Ip(Tunnel {
        id: Some(7),
        source: address("10.20.0.2"),
        destination: address("10.20.0.7"),
        tos: Some(4),
        ttl: Some(5),
        flags: Some(0x400),
    });
    let ip6 = Encap::Ip6(Tunnel {
        id: Some(7),
        destination: address("2001:db8:20::7"),
        tos: Some(8),
        ttl: Some(4),
        ..Tunnel::default()
    });
    let mut timed = to("10.4.0.0/16");
    timed.metrics = [(4, 2_400), (5, 800), (12, 1), (13, 200)].into();
    timed.locked = 1 << 5 | 1 << 13 | 1 << 16;
    timed.congestion = Some("reno".to_owned());
    let mut sources = to("2001:db8:4::/48");
    (sources.from, sources.expires) = (Some(prefix("2001:db8:5::/48")), Some(100));
    let mut realms = to("10.1.0.0/16");
    realms.realms = REALMS;
    let mut preferred = to("2001:db8:6::/48");
    preferred.preference = Some(1);
    let mut ttl = to("10.5.0.0/16");
    ttl.ttl_propagate = Some(true);
    let mut many = to("10.7.0.0/16");
    many.legs = vec![
        Leg {
            realms: REALMS,
            ..leg()
        },
        leg(),
    ];
    let cases: [(Route, &[&str]); 10] = [
        (realms, &["08000b0004000300"]),
        (
            wrapped("10.2.0.0/16", ip),
            &[
                "38001600",
                "0c0001000000000000000007",
                "080002000a140007",
                "080003000a140002",
                "0500040005000000",
                "0500050004000000",
                "0600060000040000",
                "0600150002000000",
            ],
        ),
        (
            wrapped("2001:db8:2::/48", ip6),
            &[
                "34001600",
                "0c0001000000000000000007",
                "1400020020010db8002000000000000000000007",
                "0500040004000000",
                "0500050008000000",
                "0600150004000000",
            ],
        ),
        (
            wrapped("10.3.0.0/16", Encap::Mpls(vec![100, 200])),
            &["10001600", "0c00010000064000000c8100", "0600150001000000"],
        ),
        (
            wrapped("2001:db8:3::/67", Encap::Ila([1, 2, 3, 4])),
            &["10001600", "0c0001000001000200030004", "0600150003000000"],
        ),
        (
            sources,
            &["1400020020010db8000500000000000000000000", "0800170064000000"],
        ),
        (preferred, &["0500140001000000"]),
        (
            timed,
            &[
                "34000800",
                "0800010020200100",
                "0800040060090000",
                "0800050020030000",
                "08000c0001000000",
                "08000d00c8000000",
                "0800100072656e6f",
            ],
        ),
        (ttl, &["05001a0001000000"]),
        (many, &["1c000900", "1000000003000000", "08000b0004000300"]),
    ];
    for (route, parts) in cases {
        let links = route.legs.iter().map(|_| Some(LinkIndex(3))).collect();
        let got = hex(&bytes(&Routing::Route(route.clone(), links)));
        for part in parts {
            assert!(got.contains(part), "no {part} in {got} of {route:?}");
        }
    }
}

#[test]
fn options_of_rules_are_put_as_iproute2_puts_them() {
    let looks = || rule(RuleAction::Lookup(100));
    let cases = [
        (
            Rule {
                realms: REALMS,
                ..looks()
            },
            "08000b0004000300",
        ),
        (
            Rule {
                tunnel: Some(9),
                ..looks()
            },
            "0c000c000000000000000009",
        ),
        (
            Rule {
                suppress_group: Some(5),
                ..looks()
            },
            "08000d0005000000",
        ),
        (rule(RuleAction::L3Master), "0500130001000000"),
    ];
    for (rule, part) in cases {
        let got = hex(&bytes(&Routing::Rule(rule.clone())));
        assert!(got.contains(part), "no {part} in {got} of {rule:?}");
    }
    let bytes = bytes(&Routing::Rule(rule(RuleAction::L3Master)));
    assert_eq!(
        hex(&bytes[16..28]),
        "020008000000000100000000",
        "no table: the device says which"
    );
}

#[test]
fn a_new_route_goes_where_the_line_wants_it() {
    for (place, flags) in [(Place::First, 0x401), (Place::Last, 0xc01), (Place::Alone, 0x601)] {
        let route = Route {
            place,
            ..to("10.1.0.0/16")
        };
        let got = bytes(&Routing::Route(route, vec![Some(LinkIndex(3))]));
        assert_eq!(u16::from_ne_bytes([got[6], got[7]]), flags, "{place:?}");
    }
}
