//! Words of address, route and rule lines, and of blocks that do not act.

use super::{Entry, Inert, add};
use crate::config::keyword::Does::{Known, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{List, Name, Nothing, OptWords};
use crate::config::keyword::{Keyword, Table, row};

pub(super) const NO_GROUP: &str = "static addresses, routes and rules stay whatever instances do";

#[rustfmt::skip]
pub(crate) const TRACK_GROUP: Table<Inert> = Table { block: "track_group", parts: &[&[
    row("group", List("INSTANCE"), "", InPlace, "Members of the group.", Known(NO_GROUP)),
]] };

const ADDRESS: &str = "(address line)";
const ROUTE: &str = "(route line)";
const RULE: &str = "(rule line)";

const NO_ROUTES: &str = "the route is set without it";
const NO_RULES: &str = "the rule is set without it";

/// Words of `virtual_ipaddress` lines. The line itself is read by `address`, which takes the words that act.
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
    row("peer", Name("ADDRESS[/LENGTH]"), "none", InPlace, "The other end of a point-to-point link.", Set(|_, _, _| {})),
    row("home", Nothing, "off", InPlace, "Mobile IPv6 home address.", Set(|_, _, _| {})),
    row("-nodad", Nothing, "off", InPlace, "Duplicate address detection after all.", Set(|_, _, _| {})),
    row("mngtmpaddr", Nothing, "off", InPlace, "Template for temporary addresses.", Set(|_, _, _| {})),
    row("noprefixroute", Nothing, "off", InPlace, "No route for the prefix.", Set(|_, _, _| {})),
    row("autojoin", Nothing, "off", InPlace, "Joins multicast groups on the address.", Set(|_, _, _| {})),
    row("preferred_lft", Name("SECONDS|forever"), "forever; 0 for IPv6 /128", InPlace, "Preferred lifetime.",
        Set(|_, _, _| {})),
    row("track_group", Name("NAME"), "none", InPlace, "Instances that fall with a static address.", Known(NO_GROUP)),
    row("use_vmac", Nothing, "off", InPlace, "Puts a virtual address on an interface with the virtual MAC, as \
        use_vmac_addr does with all.", Set(|_, _, _| {})),
]] };

/// A word of route or rule lines, which `routing` reads.
const fn acts(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Set(|_, _, _| {}))
}

const fn no_route(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Known(NO_ROUTES))
}

const fn no_rule(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Known(NO_RULES))
}

#[rustfmt::skip]
pub(crate) const ROUTE_LINE: Table<Inert> = Table { block: ROUTE, parts: &[&[
    acts("<PREFIX>", "PREFIX|default|default6|any|all", "Destination."),
    acts("to", "PREFIX", "Destination, spelled out."),
    acts("inet", "", "IPv4."),
    acts("inet6", "", "IPv6."),
    acts("via", "[inet|inet6] ADDRESS", "Gateway."),
    acts("gw", "ADDRESS", "Old spelling of via."),
    no_route("or", "ADDRESS", "Old spelling of a second gateway."),
    acts("src", "ADDRESS", "Preferred source."),
    no_route("from", "PREFIX", "Sources the route is for (IPv6)."),
    no_route("as", "to PREFIX", "New destination."),
    acts("dev", "IFNAME", "Interface."),
    acts("oif", "IFNAME", "The same as dev."),
    acts("table", "NAME|N", "Routing table."),
    acts("scope", "NAME|N", "Scope."),
    acts("metric", "N", "Metric."),
    acts("priority", "N", "The same as metric."),
    acts("preference", "N", "The same as metric."),
    acts("protocol", "NAME|N", "Who made the route."),
    acts("tos", "N", "Type of service."),
    acts("dsfield", "N", "The same as tos."),
    acts("onlink", "", "The gateway is reachable although no route says so."),
    acts("mtu", "[lock] N", "Path MTU."),
    acts("hoplimit", "N", "Hop limit."),
    acts("advmss", "[lock] N", "Segment size told to peers."),
    no_route("rtt", "[lock] N", "First round-trip time."),
    no_route("rttvar", "N", "Its variance."),
    acts("reordering", "N", "Reordering."),
    acts("window", "N", "Largest window."),
    acts("cwnd", "[lock] N", "Congestion window clamp."),
    acts("ssthresh", "[lock] N", "Slow-start threshold."),
    no_route("realms", "[FROM/]TO", "Realms."),
    no_route("rto_min", "N", "Shortest retransmission time-out."),
    acts("initcwnd", "N", "First congestion window."),
    acts("initrwnd", "N", "First receive window."),
    acts("quickack", "0|1", "Quick acknowledgements."),
    no_route("expires", "N", "Lifetime in seconds (IPv6)."),
    no_route("features", "ecn", "Features."),
    no_route("congctl", "[lock] NAME", "Congestion control."),
    no_route("pref", "low|medium|high", "Router preference (IPv6)."),
    no_route("ttl-propagate", "enabled|disabled", "MPLS TTL."),
    acts("fastopen_no_cookie", "0|1", "TCP fast open without cookie."),
    no_route("encap", "ip|ip6|mpls|ila …", "Tunnel wrapping."),
    acts("nexthop", "via ADDRESS dev IFNAME weight N …", "One leg of a multipath route."),
    no_route("add", "", "Fails when the route is there."),
    no_route("append", "", "Put behind routes that are there."),
    acts("prepend", "", "Put before routes that are there."),
    no_route("vrf", "NAME", "Table of a VRF."),
    acts("unicast", "", "Type of the route."),
    acts("local", "", "Type of the route."),
    acts("broadcast", "", "Type of the route."),
    acts("anycast", "", "Type of the route."),
    acts("multicast", "", "Type of the route."),
    acts("throw", "", "Type of the route."),
    acts("unreachable", "", "Type of the route."),
    acts("prohibit", "", "Type of the route."),
    acts("blackhole", "", "Type of the route."),
    no_route("nat", "", "Type of the route."),
    acts("no_track", "", "Losing it does not matter."),
    no_route("track_group", "NAME", "Track group that follows it."),
]] };

#[rustfmt::skip]
pub(crate) const RULE_LINE: Table<Inert> = Table { block: RULE, parts: &[&[
    acts("from", "PREFIX|all", "Sources."),
    acts("to", "PREFIX|all", "Destinations."),
    acts("table", "NAME|N", "Table to look in."),
    acts("lookup", "NAME|N", "The same as table."),
    acts("preference", "N", "Order of the rule."),
    acts("priority", "N", "The same as preference."),
    acts("order", "N", "The same as preference."),
    acts("inet", "", "IPv4."),
    acts("inet6", "", "IPv6."),
    acts("not", "", "Inverts the selector."),
    acts("iif", "IFNAME", "Interface packets come in by."),
    acts("dev", "IFNAME", "The same as iif."),
    acts("oif", "IFNAME", "Interface packets go out by."),
    acts("tos", "N", "Type of service."),
    acts("dsfield", "N", "The same as tos."),
    acts("fwmark", "N[/MASK]", "Mark."),
    no_rule("realms", "[FROM/]TO", "Realms."),
    acts("suppress_prefixlength", "N", "Ignores results with shorter prefixes."),
    acts("sup_pl", "N", "The same as suppress_prefixlength."),
    no_rule("suppress_ifgroup", "NAME|N", "Ignores results through an interface group."),
    no_rule("sup_group", "NAME|N", "The same as suppress_ifgroup."),
    no_rule("tunnel-id", "N", "Tunnel id."),
    acts("uidrange", "A-B", "Users."),
    no_rule("l3mdev", "", "Table of the L3 master device."),
    acts("protocol", "N", "Who made the rule."),
    acts("ipproto", "NAME|N", "IP protocol."),
    acts("sport", "A[-B]", "Source ports."),
    acts("dport", "A[-B]", "Destination ports."),
    acts("goto", "N", "Goes to a preference."),
    acts("nop", "", "Does nothing."),
    acts("blackhole", "", "Drops."),
    acts("prohibit", "", "Refuses."),
    acts("unreachable", "", "Answers unreachable."),
    acts("type", "NAME", "Type of the rule."),
    acts("no_track", "", "Losing it does not matter."),
    no_rule("track_group", "NAME", "Track group that follows it."),
]] };

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    for table in [&TRACK_GROUP, &ADDRESS_LINE, &ROUTE_LINE, &RULE_LINE] {
        add(entries, table);
    }
}
