//! Words of address, route and rule lines, and of blocks that do not act.

use super::{Entry, Inert, Raw, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Idle, Old, Refused, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{List, Name, Nothing, OptWords};
use crate::config::keyword::{Keyword, Table, no_block, read_block, row};
use crate::config::lexer::Span;
use crate::config::tree::Statement;

#[rustfmt::skip]
pub(crate) const TRACK_GROUP: Table<RawTrackGroup> = Table { block: "track_group", parts: &[&[
    row("group", List("INSTANCE"), "required", InPlace, "Members of the group. The first list counts.", Block(members)),
]] };

/// A `track_group` as written.
#[derive(Debug)]
pub(crate) struct RawTrackGroup {
    pub name: String,
    pub at: Span,
    pub members: Vec<(String, Span)>,
}

pub(super) fn track_group(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = super::vrrp::name(statement, cx) else {
        return;
    };
    let mut it = RawTrackGroup {
        name,
        at: statement.span(),
        members: Vec::new(),
    };
    read_block(&TRACK_GROUP, &mut it, statement, cx);
    raw.track_groups.push(it);
}

fn members(it: &mut RawTrackGroup, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    if !it.members.is_empty() {
        let notes = ["the first one counts, as in keepalived"];
        return cx.error("L-11", statement.span(), "a second list of members", &notes);
    }
    it.members = super::vrrp::names(block);
}

const ADDRESS: &str = "(address line)";
const ROUTE: &str = "(route line)";
const RULE: &str = "(rule line)";

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
    row("track_group", Name("NAME"), "none", InPlace, "Of a static address: whose instances are in FAULT while its \
        interface is down, and when it was removed and cannot be put back.", Set(|_, _, _| {})),
    row("use_vmac", Nothing, "off", InPlace, "Puts a virtual address on an interface with the virtual MAC, as \
        use_vmac_addr does with all.", Set(|_, _, _| {})),
]] };

/// A word of route or rule lines, which `routing` reads.
const fn acts(name: &'static str, form: &'static str, doc: &'static str) -> Keyword<Inert> {
    row(name, OptWords(form), "", InPlace, doc, Set(|_, _, _| {}))
}

#[rustfmt::skip]
pub(crate) const ROUTE_LINE: Table<Inert> = Table { block: ROUTE, parts: &[&[
    acts("<PREFIX>", "PREFIX|default|default6|any|all", "Destination."),
    acts("to", "PREFIX", "Destination, spelled out."),
    acts("inet", "", "IPv4."),
    acts("inet6", "", "IPv6."),
    acts("via", "[inet|inet6] ADDRESS", "Gateway."),
    acts("gw", "ADDRESS", "Old spelling of via."),
    row("or", OptWords("ADDRESS"), "", InPlace, "Old spelling of a second gateway.",
        Old("nexthop via ADDRESS nexthop via ADDRESS", |_, _, _| {})),
    acts("src", "ADDRESS", "Preferred source."),
    acts("from", "PREFIX", "Sources the route is for (IPv6)."),
    row("as", OptWords("to PREFIX"), "", InPlace, "New destination.",
        Idle("it is of routes between MPLS labels, which have no place here; keepalived ignores it, too")),
    acts("dev", "IFNAME", "Interface."),
    acts("oif", "IFNAME", "The same as dev."),
    acts("table", "NAME|N", "Routing table."),
    acts("scope", "NAME|N", "Scope."),
    acts("metric", "N", "Metric."),
    acts("priority", "N", "The same as metric."),
    acts("preference", "N", "The same as metric."),
    acts("protocol", "NAME|N", "Who made the route; with no_track only, as it is tracked by its protocol."),
    acts("tos", "NAME|N", "Type of service."),
    acts("dsfield", "NAME|N", "The same as tos."),
    acts("onlink", "", "The gateway is reachable although no route says so."),
    acts("mtu", "[lock] N", "Path MTU."),
    acts("hoplimit", "N", "Hop limit."),
    acts("advmss", "[lock] N", "Segment size told to peers."),
    acts("rtt", "[lock] TIME", "First round-trip time: 300ms, 1.5s, or a bare number of 1/8 ms; at least 200ms."),
    acts("rttvar", "[lock] TIME", "Its variance; a bare number is of 1/4 ms; at least 200ms."),
    acts("reordering", "N", "Reordering."),
    acts("window", "N", "Largest window."),
    acts("cwnd", "[lock] N", "Congestion window clamp."),
    acts("ssthresh", "[lock] N", "Slow-start threshold."),
    acts("realms", "[FROM/]TO", "Realms (IPv4), by which packets are counted and classified."),
    acts("rto_min", "[lock] TIME", "Shortest retransmission time-out, at least 200ms; the kernel looks at it with lock only."),
    acts("initcwnd", "N", "First congestion window."),
    acts("initrwnd", "N", "First receive window."),
    acts("quickack", "0|1", "Quick acknowledgements."),
    acts("expires", "N", "Lifetime in seconds (IPv6)."),
    acts("features", "ecn", "Features."),
    acts("congctl", "[lock] NAME", "Congestion control."),
    acts("pref", "low|medium|high|N", "Router preference (IPv6)."),
    acts("ttl-propagate", "enabled|disabled", "Whether the TTL goes into the MPLS label; the kernel ignores it of IP routes."),
    acts("fastopen_no_cookie", "0|1", "TCP fast open without cookie."),
    acts("encap", "ip|ip6|mpls|ila …", "What packets are wrapped in: ip or ip6 with id, dst, src, tos/tc, ttl/hoplimit, flags; mpls LABEL/…; ila LOCATOR."),
    acts("nexthop", "via ADDRESS dev IFNAME weight N …", "One leg of a multipath route."),
    acts("add", "", "Not set where there is a route of this destination, tos and metric; whose it is, is not told."),
    acts("append", "", "Put behind routes that are there."),
    acts("prepend", "", "Put before routes that are there."),
    acts("vrf", "NAME", "Table of a VRF; the route waits until there is one."),
    acts("unicast", "", "Type of the route."),
    acts("local", "", "Type of the route."),
    acts("broadcast", "", "Type of the route."),
    acts("anycast", "", "Type of the route."),
    acts("multicast", "", "Type of the route."),
    acts("throw", "", "Type of the route."),
    acts("unreachable", "", "Type of the route."),
    acts("prohibit", "", "Type of the route."),
    acts("blackhole", "", "Type of the route."),
    row("nat", OptWords(""), "", InPlace, "Type of the route.", Refused("the kernel has had no NAT in its routes since \
        Linux 2.6.9, and the line is left out; translate addresses with nftables")),
    acts("no_track", "", "Losing it does not matter."),
    acts("track_group", "NAME", "Of a static route with dev: whose instances are in FAULT while dev is down, and when it \
        was removed and cannot be put back."),
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
    acts("realms", "[FROM/]TO", "Realms."),
    acts("suppress_prefixlength", "N", "Ignores results with shorter prefixes."),
    acts("sup_pl", "N", "The same as suppress_prefixlength."),
    acts("suppress_ifgroup", "NAME|N", "Ignores results through an interface group."),
    acts("sup_group", "NAME|N", "The same as suppress_ifgroup."),
    acts("tunnel-id", "N", "Tunnel id."),
    acts("uidrange", "A-B", "Users."),
    acts("l3mdev", "", "Table of the L3 master device."),
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
    acts("track_group", "NAME", "Of a static rule with iif: whose instances are in FAULT while iif is down, and when it \
        was removed and cannot be put back."),
]] };

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &TRACK_GROUP);
    for table in [&ADDRESS_LINE, &ROUTE_LINE, &RULE_LINE] {
        add(entries, table);
    }
}
