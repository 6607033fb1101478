//! Routes and rules against rtnetlink.

use super::lab::{Netns, expect, wanted};
use super::net::Host;
use lb_shared::names::Family;
use lbagent::engine::NetNews;
use lbagent::model::{Encap, Leg, Place, Realms, Route, RouteKind, Rule, RuleAction, TABLE_MAIN, Tunnel};
use lbagent::net::{NetOp, Routing, RoutingGone};
use lbagent::wire::LinkIndex;
use std::net::IpAddr;

fn prefix(text: &str) -> (IpAddr, u8) {
    let (address, length) = text.split_once('/').unwrap();
    (address.parse().unwrap(), length.parse().unwrap())
}

fn route(to: &str) -> Route {
    Route {
        legs: vec![leg(None)],
        ..Route::to(prefix(to))
    }
}

fn leg(via: Option<&str>) -> Leg {
    Leg {
        device: Some("eth0".to_owned()),
        via: via.map(|it| it.parse().unwrap()),
        weight: 1,
        ..Leg::default()
    }
}

fn dropping(to: &str, kind: RouteKind) -> Route {
    Route {
        kind,
        legs: Vec::new(),
        ..route(to)
    }
}

/// Of every kind the configuration can ask for.
fn everything(link: u32) -> Vec<Routing> {
    let routes = [
        Route {
            source: Some("10.91.0.1".parse().unwrap()),
            // MTU, advertised segment size and hop limit; the first is locked.
            metrics: [(2, 1_400), (8, 1_360), (10, 9)].into(),
            locked: 1 << 2,
            legs: vec![leg(Some("10.91.0.2"))],
            ..route("10.92.0.0/16")
        },
        Route {
            table: 300,
            metric: Some(7),
            scope: Some(253),
            ..route("10.93.0.0/16")
        },
        Route {
            tos: 0x10,
            protocol: 4,
            table: 100,
            legs: vec![Leg {
                onlink: true,
                ..leg(Some("192.0.2.9"))
            }],
            ..route("10.94.0.0/16")
        },
        Route {
            table: 101,
            legs: vec![
                Leg {
                    weight: 3,
                    ..leg(Some("10.91.0.2"))
                },
                leg(Some("10.91.0.3")),
            ],
            ..route("0.0.0.0/0")
        },
        dropping("10.96.0.0/16", RouteKind::Blackhole),
        dropping("10.97.0.0/16", RouteKind::Unreachable),
        dropping("10.98.0.0/16", RouteKind::Prohibit),
        dropping("10.99.0.0/16", RouteKind::Throw),
        Route {
            metric: Some(1_024),
            metrics: [(2, 1_400)].into(),
            legs: vec![leg(Some("fe80::91:2"))],
            ..route("2001:db8:92::/48")
        },
        Route {
            table: 102,
            metric: Some(5),
            ..route("2001:db8:93::/48")
        },
        Route {
            realms: Some(Realms { from: 3, to: 4 }),
            congestion: Some("reno".to_owned()),
            locked: 1 << 16,
            ..route("10.100.0.0/16")
        },
        Route {
            place: Place::Alone,
            legs: vec![Leg {
                encap: Some(Encap::Ip(Tunnel {
                    id: Some(7),
                    destination: Some("10.91.0.7".parse().unwrap()),
                    ..Tunnel::default()
                })),
                ..leg(Some("10.91.0.2"))
            }],
            ..route("10.101.0.0/16")
        },
        Route {
            place: Place::Last,
            ..route("10.102.0.0/16")
        },
        Route {
            from: Some(prefix("2001:db8:95::/48")),
            preference: Some(1),
            metric: Some(5),
            ..route("2001:db8:94::/48")
        },
    ];
    let rules = [
        Rule {
            from: Some(prefix("10.91.0.0/24")),
            fwmark: Some((0x10, 0xff)),
            ..Rule::new(Family::Inet, 1_000, RuleAction::Lookup(100))
        },
        Rule {
            to: Some(prefix("10.92.0.0/16")),
            iif: Some("eth0".to_owned()),
            invert: true,
            ..Rule::new(Family::Inet, 1_001, RuleAction::Lookup(101))
        },
        Rule {
            to: Some(prefix("10.99.9.0/24")),
            ..Rule::new(Family::Inet, 1_002, RuleAction::Prohibit)
        },
        Rule {
            from: Some(prefix("2001:db8:91::/64")),
            ..Rule::new(Family::Inet6, 1_003, RuleAction::Lookup(102))
        },
        Rule {
            realms: Some(Realms { from: 3, to: 4 }),
            tunnel: Some(9),
            suppress_group: Some(5),
            ..Rule::new(Family::Inet, 1_004, RuleAction::Lookup(100))
        },
        Rule::new(Family::Inet, 1_005, RuleAction::L3Master),
    ];
    let place = |it: Route| {
        let links = it.legs.iter().map(|_| Some(LinkIndex(link))).collect();
        Routing::Route(it, links)
    };
    routes
        .into_iter()
        .map(place)
        .chain(rules.map(Routing::Rule))
        .collect()
}

fn add(it: &Routing) -> NetOp {
    NetOp::AddRouting(Box::new(it.clone()))
}

fn remove(it: &Routing) -> NetOp {
    NetOp::RemoveRouting(Box::new(it.clone()))
}

#[test]
fn routes_and_rules_of_every_kind_come_once_and_go() {
    if !wanted("routes_and_rules_of_every_kind_come_once_and_go") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        let host = Host::start();
        let show = "ip route show table all proto 18; ip -6 route show table all proto 18; \
                    ip route show table 100; ip rule; ip -6 rule";
        let before = one.sh(show);
        let all = everything(link);
        let adds: Vec<NetOp> = all.iter().map(add).collect();
        assert_eq!(host.submit(1, adds.clone()), []);
        let shown = one.sh(show);
        for part in [
            "10.92.0.0/16 via 10.91.0.2 dev eth0",
            "src 10.91.0.1 mtu lock 1400 advmss 1360 hoplimit 9",
            "10.93.0.0/16 dev eth0 table 300 scope link metric 7",
            "10.94.0.0/16 tos lowdelay via 192.0.2.9 dev eth0",
            "nexthop via 10.91.0.2 dev eth0 weight 3",
            "blackhole 10.96.0.0/16",
            "unreachable 10.97.0.0/16",
            "prohibit 10.98.0.0/16",
            "throw 10.99.0.0/16",
            "2001:db8:92::/48 via fe80::91:2 dev eth0",
            "2001:db8:93::/48 dev eth0 table 102",
            "1000:\tfrom 10.91.0.0/24 fwmark 0x10/0xff lookup 100",
            "1001:\tnot from all to 10.92.0.0/16 iif eth0 lookup 101",
            "1002:\tfrom all to 10.99.9.0/24 prohibit",
            "1003:\tfrom 2001:db8:91::/64 lookup 102",
            "10.100.0.0/16 dev eth0 scope link realms 3/4 congctl lock reno",
            "10.101.0.0/16  encap ip id 7 src 0.0.0.0 dst 10.91.0.7 ttl 0 tos 0 via 10.91.0.2 dev eth0",
            "10.102.0.0/16 dev eth0",
            "2001:db8:94::/48 from 2001:db8:95::/48 dev eth0 metric 5 pref high",
            "1004:\tfrom all tun_id 9 lookup 100 suppress_ifgroup 5 realms 3/4",
            "1005:\tfrom all lookup [l3mdev-table]",
        ] {
            let squeezed = shown.replace("tos 0x10", "tos lowdelay");
            assert!(squeezed.contains(part), "no {part} in {squeezed}");
        }
        // Once more: no failure, and none is there twice.
        assert_eq!(host.submit(2, adds), []);
        assert_eq!(one.sh(show), shown);
        let removals: Vec<NetOp> = all.iter().rev().map(remove).collect();
        assert_eq!(host.submit(3, removals.clone()), []);
        assert_eq!(one.sh(show), before);
        assert_eq!(host.submit(4, removals), [], "what is gone already is no failure");
    });
}

#[test]
fn a_removal_by_somebody_else_is_told_of_ours_alone() {
    if !wanted("a_removal_by_somebody_else_is_told_of_ours_alone") {
        return;
    }
    let [one, _two] = Netns::pair();
    let link = one.index("eth0");
    one.run(|| {
        let host = Host::start();
        host.monitor.watch_routing(true);
        host.table();
        let ours = Routing::Route(route("10.92.0.0/16"), vec![Some(LinkIndex(link))]);
        let our_rule = Routing::Rule(Rule::new(Family::Inet, 1_000, RuleAction::Lookup(100)));
        assert_eq!(host.submit(1, vec![add(&ours), add(&our_rule)]), []);
        one.sh("ip route add 10.93.0.0/16 dev eth0; ip route del 10.93.0.0/16;
                ip route del 10.92.0.0/16; ip rule del pref 1000");
        let next = || {
            expect(&host.news, "a removal", |it| match it {
                NetNews::RoutingGone(gone) => Some(gone),
                _ => None,
            })
        };
        let gone = RoutingGone::Route {
            table: TABLE_MAIN,
            destination: prefix("10.92.0.0/16"),
        };
        assert_eq!(next(), gone);
        let gone = RoutingGone::Rule {
            family: Family::Inet,
            preference: 1_000,
        };
        assert_eq!(next(), gone);
    });
}
