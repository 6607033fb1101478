//! Routes and rules in the words of their lines, so that two of them can be told apart.

use super::{Leg, Place, Route, Rule, RuleAction, StaticTrack};
use std::fmt::Display;
use std::net::IpAddr;

/// A route as `ip route` would be told of it; what is as usual is left out.
pub fn route(it: &Route) -> String {
    let Route {
        family: _,
        destination: (to, length),
        from,
        kind,
        table,
        vrf,
        scope,
        metric,
        tos,
        protocol,
        source,
        metrics,
        locked,
        congestion,
        realms,
        expires,
        preference,
        ttl_propagate,
        place,
        legs,
        track,
    } = it;
    let kind = if *kind == super::RouteKind::Unicast {
        String::new()
    } else {
        format!("{} ", format!("{kind:?}").to_lowercase())
    };
    let legs: String = legs.iter().map(|it| leg(it, legs.len() > 1)).collect();
    let mut line = format!("{kind}{to}/{length}{legs}");
    line.push_str(&match vrf {
        Some(vrf) => format!(" vrf {vrf}"),
        None => format!(" table {table}"),
    });
    let lock = |number: u16| if locked & (1 << number) == 0 { "" } else { "lock " };
    for part in [
        net("from", *from),
        word("scope", *scope),
        word("metric", *metric),
        word("tos", Some(*tos).filter(|it| *it != 0)),
        word(
            "protocol",
            Some(*protocol).filter(|it| *it != super::PROTOCOL_OURS),
        ),
        word("src", *source),
        word("realms", *realms),
        word("expires", *expires),
        word("pref", preference.map(told_preference)),
        word(
            "ttl-propagate",
            ttl_propagate.map(|it| if it { "enabled" } else { "disabled" }),
        ),
    ] {
        line.push_str(&part);
    }
    for (number, value) in metrics {
        line.push_str(&format!(" {} {}{value}", metric_name(*number), lock(*number)));
    }
    let congestion = congestion.as_ref();
    line.push_str(&word(
        "congctl",
        congestion.map(|it| format!("{}{it}", lock(CONGESTION))),
    ));
    line.push_str(match place {
        Place::First => "",
        Place::Last => " append",
        Place::Alone => " add",
    });
    line.push_str(if *track { "" } else { " no_track" });
    line
}

fn leg(it: &Leg, many: bool) -> String {
    let Leg {
        device,
        via,
        weight,
        onlink,
        realms,
        encap,
    } = it;
    [
        if many { " nexthop" } else { "" }.to_owned(),
        word("via", *via),
        word("dev", device.as_ref()),
        word("weight", Some(*weight).filter(|it| *it > 1)),
        if *onlink { " onlink" } else { "" }.to_owned(),
        word("realms", *realms),
        word("encap", encap.as_ref()),
    ]
    .concat()
}

const CONGESTION: u16 = 16;

/// The word of a metric, by the kernel's number.
fn metric_name(number: u16) -> &'static str {
    match number {
        2 => "mtu",
        3 => "window",
        4 => "rtt",
        5 => "rttvar",
        6 => "ssthresh",
        7 => "cwnd",
        8 => "advmss",
        9 => "reordering",
        10 => "hoplimit",
        11 => "initcwnd",
        12 => "features",
        13 => "rto_min",
        14 => "initrwnd",
        15 => "quickack",
        17 => "fastopen_no_cookie",
        _ => "metric",
    }
}

fn told_preference(number: u8) -> String {
    match number {
        3 => "low".to_owned(),
        0 => "medium".to_owned(),
        1 => "high".to_owned(),
        other => other.to_string(),
    }
}

/// A rule as `ip rule` would be told of it; what is as usual is left out.
pub fn rule(it: &Rule) -> String {
    let Rule {
        family,
        preference,
        invert,
        from,
        to,
        iif,
        oif,
        tos,
        fwmark,
        realms,
        tunnel,
        users,
        ip_protocol,
        source_ports,
        destination_ports,
        action,
        suppress_prefix_len,
        suppress_group,
        protocol,
        track,
    } = it;
    let family = match (family, from.or(*to)) {
        (lb_shared::names::Family::Inet6, None) => " inet6",
        _ => "",
    };
    let range = |(first, last): (u32, u32)| format!("{first}-{last}");
    let ports = |it: (u16, u16)| range((it.0.into(), it.1.into()));
    [
        format!(
            "preference {preference}{family}{}",
            if *invert { " not" } else { "" }
        ),
        net("from", *from),
        net("to", *to),
        word("iif", iif.as_ref()),
        word("oif", oif.as_ref()),
        word("tos", Some(*tos).filter(|it| *it != 0)),
        word(
            "fwmark",
            fwmark.map(|(mark, mask)| format!("{mark:#x}/{mask:#x}")),
        ),
        word("tunnel-id", *tunnel),
        word("uidrange", users.map(range)),
        word("ipproto", *ip_protocol),
        word("sport", source_ports.map(ports)),
        word("dport", destination_ports.map(ports)),
        match action {
            RuleAction::Lookup(table) => format!(" table {table}"),
            RuleAction::Goto(preference) => format!(" goto {preference}"),
            RuleAction::L3Master => " l3mdev".to_owned(),
            RuleAction::Nop | RuleAction::Blackhole | RuleAction::Unreachable | RuleAction::Prohibit => {
                format!(" {action:?}").to_lowercase()
            }
        },
        word("realms", *realms),
        word("suppress_prefixlength", *suppress_prefix_len),
        word("suppress_ifgroup", *suppress_group),
        word(
            "protocol",
            Some(*protocol).filter(|it| *it != super::PROTOCOL_OURS),
        ),
        if *track { "" } else { " no_track" }.to_owned(),
    ]
    .concat()
}

/// A static line that instances stand on.
pub fn track(it: &StaticTrack) -> String {
    let StaticTrack {
        line,
        interface,
        group,
        members,
    } = it;
    let members: Vec<&str> = members.iter().map(|it| it.0.as_str()).collect();
    format!(
        "{line} on {interface} track_group {group} of {}",
        members.join(", ")
    )
}

fn word(name: &str, value: Option<impl Display>) -> String {
    value.map(|it| format!(" {name} {it}")).unwrap_or_default()
}

fn net(name: &str, net: Option<(IpAddr, u8)>) -> String {
    word(name, net.map(|(to, length)| format!("{to}/{length}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Encap, PROTOCOL_OURS, Realms, TABLE_MAIN};

    #[test]
    fn a_route_and_a_rule_are_told_in_the_words_of_their_lines() {
        let mut it = Route::to(([10, 50, 0, 0].into(), 16));
        assert_eq!((it.table, it.protocol), (TABLE_MAIN, PROTOCOL_OURS));
        it.legs.push(Leg {
            device: Some("eth0".to_owned()),
            weight: 1,
            encap: Some(Encap::Mpls(vec![100, 200])),
            ..Leg::default()
        });
        assert_eq!(route(&it), "10.50.0.0/16 dev eth0 encap mpls 100/200 table 254");
        it.vrf = Some("blue".to_owned());
        it.metrics = [(2, 1_400), (12, 1)].into();
        it.locked = 1 << 2 | 1 << CONGESTION;
        it.congestion = Some("reno".to_owned());
        it.realms = Some(Realms { from: 3, to: 4 });
        it.place = Place::Alone;
        assert_eq!(
            route(&it),
            "10.50.0.0/16 dev eth0 encap mpls 100/200 vrf blue realms 3/4 mtu lock 1400 features 1 \
             congctl lock reno add"
        );
        let mut it = Rule::new(lb_shared::names::Family::Inet6, 7, RuleAction::L3Master);
        it.tunnel = Some(9);
        assert_eq!(rule(&it), "preference 7 inet6 tunnel-id 9 l3mdev");
    }
}
