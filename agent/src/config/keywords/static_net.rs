//! Words of address, route and rule lines, and of blocks that do not act.

use super::{Entry, Inert, add};
use crate::config::keyword::Does::{Known, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{List, Name, Nothing, OptWords, Seconds};
use crate::config::keyword::{Keyword, Table, row};

const NO_GROUP: &str = "static addresses are not set";
const NO_PACE: &str = "announcements are paced per interface by vrrp_garp_interval alone";

#[rustfmt::skip]
pub(crate) const TRACK_GROUP: Table<Inert> = Table { block: "track_group", parts: &[&[
    row("group", List("INSTANCE"), "", InPlace, "Members of the group.", Known(NO_GROUP)),
]] };

#[rustfmt::skip]
pub(crate) const GARP_GROUP: Table<Inert> = Table { block: "garp_group", parts: &[&[
    row("garp_interval", Seconds(0, 4_294_000_000), "0", InPlace, "Time between two gratuitous ARPs of the group.",
        Known(NO_PACE)),
    row("gna_interval", Seconds(0, 4_294_000_000), "0", InPlace, "Time between two neighbour adverts of the group.",
        Known(NO_PACE)),
    row("interface", Name("IFNAME"), "", InPlace, "A member.", Known(NO_PACE)),
    row("interfaces", List("IFNAME"), "", InPlace, "Members.", Known(NO_PACE)),
]] };

const ADDRESS: &str = "(address line)";
const ROUTE: &str = "(route line)";
const RULE: &str = "(rule line)";

const PLAIN: &str = "the address is put on the interface without it";
const NO_ROUTES: &str = "virtual_routes and static_routes do not act yet";
const NO_RULES: &str = "virtual_rules and static_rules do not act yet";

/// Words of `virtual_ipaddress` lines. The line itself is read by `address::read`, which takes the words that act.
#[rustfmt::skip]
pub(crate) const ADDRESS_LINE: Table<Inert> = Table { block: ADDRESS, parts: &[&[
    row("<ADDRESS>", Name("ADDRESS[/LENGTH]"), "/32 or /128", InPlace, "The address.", Set(|_, _, _| {})),
    row("dev", Name("IFNAME"), "interface of the instance", InPlace, "Interface that carries it.", Set(|_, _, _| {})),
    row("scope", Name("NAME|N"), "global", InPlace, "Scope: global, site, link, host, nowhere or a number.",
        Set(|_, _, _| {})),
    row("brd", Name("ADDRESS|+|-"), "none", InPlace, "Broadcast address of an IPv4 address; + all ones, - all zeros.",
        Set(|_, _, _| {})),
    row("broadcast", Name("ADDRESS|+|-"), "none", InPlace, "The same as brd.", Set(|_, _, _| {})),
    row("label", Name("TEXT"), "none", InPlace, "Label of an IPv4 address, such as eth0:1; at most 15 characters.",
        Set(|_, _, _| {})),
    row("no_track", Nothing, "off", InPlace, "Losing the address or its interface does not matter to the instance.",
        Set(|_, _, _| {})),
    row("peer", Name("ADDRESS[/LENGTH]"), "none", InPlace, "The other end of a point-to-point link.", Known(PLAIN)),
    row("home", Nothing, "off", InPlace, "Mobile IPv6 home address.", Known(PLAIN)),
    row("-nodad", Nothing, "off", InPlace, "Duplicate address detection after all.", Known(PLAIN)),
    row("mngtmpaddr", Nothing, "off", InPlace, "Template for temporary addresses.", Known(PLAIN)),
    row("noprefixroute", Nothing, "off", InPlace, "No route for the prefix.", Known(PLAIN)),
    row("autojoin", Nothing, "off", InPlace, "Joins multicast groups on the address.", Known(PLAIN)),
    row("preferred_lft", Name("SECONDS|forever"), "forever; 0 for IPv6 /128", InPlace, "Preferred lifetime.",
        Known(PLAIN)),
    row("track_group", Name("NAME"), "none", InPlace, "Track group that follows a static address.", Known(NO_GROUP)),
    row("use_vmac", Nothing, "off", InPlace, "Puts the address on a VMAC.", Known(super::vrrp::NO_VMAC)),
]] };

const fn route(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Known(NO_ROUTES))
}

const fn rule(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Known(NO_RULES))
}

#[rustfmt::skip]
pub(crate) const ROUTE_LINE: Table<Inert> = Table { block: ROUTE, parts: &[&[
    route("<PREFIX>", "PREFIX|default|default6|any|all", "Destination."),
    route("to", "PREFIX", "Destination, spelled out."),
    route("inet", "", "IPv4."),
    route("inet6", "", "IPv6."),
    route("via", "[inet|inet6] ADDRESS", "Gateway."),
    route("gw", "ADDRESS", "Old spelling of via."),
    route("or", "ADDRESS", "Old spelling of a second gateway."),
    route("src", "ADDRESS", "Preferred source."),
    route("from", "PREFIX", "Sources the route is for (IPv6)."),
    route("as", "to PREFIX", "New destination."),
    route("dev", "IFNAME", "Interface."),
    route("oif", "IFNAME", "The same as dev."),
    route("table", "NAME|N", "Routing table."),
    route("scope", "NAME|N", "Scope."),
    route("metric", "N", "Metric."),
    route("priority", "N", "The same as metric."),
    route("preference", "N", "The same as metric."),
    route("protocol", "NAME|N", "Who made the route."),
    route("tos", "N", "Type of service."),
    route("dsfield", "N", "The same as tos."),
    route("onlink", "", "The gateway is reachable although no route says so."),
    route("mtu", "[lock] N", "Path MTU."),
    route("hoplimit", "N", "Hop limit."),
    route("advmss", "[lock] N", "Segment size told to peers."),
    route("rtt", "[lock] N", "First round-trip time."),
    route("rttvar", "N", "Its variance."),
    route("reordering", "N", "Reordering."),
    route("window", "N", "Largest window."),
    route("cwnd", "[lock] N", "Congestion window clamp."),
    route("ssthresh", "[lock] N", "Slow-start threshold."),
    route("realms", "[FROM/]TO", "Realms."),
    route("rto_min", "N", "Shortest retransmission time-out."),
    route("initcwnd", "N", "First congestion window."),
    route("initrwnd", "N", "First receive window."),
    route("quickack", "0|1", "Quick acknowledgements."),
    route("expires", "N", "Lifetime in seconds (IPv6)."),
    route("features", "ecn", "Features."),
    route("congctl", "[lock] NAME", "Congestion control."),
    route("pref", "low|medium|high", "Router preference (IPv6)."),
    route("ttl-propagate", "enabled|disabled", "MPLS TTL."),
    route("fastopen_no_cookie", "0|1", "TCP fast open without cookie."),
    route("encap", "ip|ip6|mpls|ila …", "Tunnel wrapping."),
    route("nexthop", "via ADDRESS dev IFNAME weight N …", "One leg of a multipath route."),
    route("add", "", "Fails when the route is there."),
    route("append", "", "Put behind routes that are there."),
    route("prepend", "", "Put before routes that are there."),
    route("vrf", "NAME", "Table of a VRF."),
    route("unicast", "", "Type of the route."),
    route("local", "", "Type of the route."),
    route("broadcast", "", "Type of the route."),
    route("anycast", "", "Type of the route."),
    route("multicast", "", "Type of the route."),
    route("throw", "", "Type of the route."),
    route("unreachable", "", "Type of the route."),
    route("prohibit", "", "Type of the route."),
    route("blackhole", "", "Type of the route."),
    route("nat", "", "Type of the route."),
    route("no_track", "", "Losing it does not matter."),
    route("track_group", "NAME", "Track group that follows it."),
]] };

#[rustfmt::skip]
pub(crate) const RULE_LINE: Table<Inert> = Table { block: RULE, parts: &[&[
    rule("from", "PREFIX|all", "Sources."),
    rule("to", "PREFIX|all", "Destinations."),
    rule("table", "NAME|N", "Table to look in."),
    rule("lookup", "NAME|N", "The same as table."),
    rule("preference", "N", "Order of the rule."),
    rule("priority", "N", "The same as preference."),
    rule("order", "N", "The same as preference."),
    rule("inet", "", "IPv4."),
    rule("inet6", "", "IPv6."),
    rule("not", "", "Inverts the selector."),
    rule("iif", "IFNAME", "Interface packets come in by."),
    rule("dev", "IFNAME", "The same as iif."),
    rule("oif", "IFNAME", "Interface packets go out by."),
    rule("tos", "N", "Type of service."),
    rule("dsfield", "N", "The same as tos."),
    rule("fwmark", "N[/MASK]", "Mark."),
    rule("realms", "[FROM/]TO", "Realms."),
    rule("suppress_prefixlength", "N", "Ignores results with shorter prefixes."),
    rule("sup_pl", "N", "The same as suppress_prefixlength."),
    rule("suppress_ifgroup", "NAME|N", "Ignores results through an interface group."),
    rule("sup_group", "NAME|N", "The same as suppress_ifgroup."),
    rule("tunnel-id", "N", "Tunnel id."),
    rule("uidrange", "A-B", "Users."),
    rule("l3mdev", "", "Table of the L3 master device."),
    rule("protocol", "N", "Who made the rule."),
    rule("ipproto", "NAME|N", "IP protocol."),
    rule("sport", "A[-B]", "Source ports."),
    rule("dport", "A[-B]", "Destination ports."),
    rule("goto", "N", "Goes to a preference."),
    rule("nop", "", "Does nothing."),
    rule("blackhole", "", "Drops."),
    rule("prohibit", "", "Refuses."),
    rule("unreachable", "", "Answers unreachable."),
    rule("type", "NAME", "Type of the rule."),
    rule("no_track", "", "Losing it does not matter."),
    rule("track_group", "NAME", "Track group that follows it."),
]] };

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    for table in [&TRACK_GROUP, &GARP_GROUP, &ADDRESS_LINE, &ROUTE_LINE, &RULE_LINE] {
        add(entries, table);
    }
}
