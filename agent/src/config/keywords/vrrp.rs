//! Virtual routers, their groups, and the lines of addresses.

use super::address::{AddressLine, address_lines};
use super::garp::elsewhere;
use super::hmac::{self, RawHmac};
use super::own_link::{IpvlanWords, VmacWords, ipvlan_words, vmac_words};
use super::routing::{Placed, route_lines, rule_lines};
use super::track::{PROCESS, RawFile, RawProcess, RawScript, SCRIPT, TrackLine, track_lines};
use super::{Entry, Raw, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Idle, Old, Set};
use crate::config::keyword::Live::{InPlace, Restart};
use crate::config::keyword::Takes::{
    self, Flag, Int, Ip, List, Name, Nothing, OneOf, OptInt, OptName, OptScript, OptWords, Script, Seconds,
    Secret, WholeSeconds, Words,
};
use crate::config::keyword::{
    Keyword, Table, first_counts, no_block, read_block, row, shown, told_by_setter,
};
use crate::config::lexer::Span;
use crate::config::tree::{self, Statement};
use crate::config::value::{self, ScriptWords};
use crate::model::{Elsewhere, OldChecksum, Route, Rule, VrrpVersion};
use std::net::IpAddr;
use std::time::Duration;

/// The notify words of an instance or a group.
#[derive(Debug, Default)]
pub(crate) struct RawNotify {
    pub master: Option<(ScriptWords, Span)>,
    pub backup: Option<(ScriptWords, Span)>,
    pub fault: Option<(ScriptWords, Span)>,
    pub stop: Option<(ScriptWords, Span)>,
    pub master_rx_lower_pri: Option<(ScriptWords, Span)>,
    pub any: Option<(ScriptWords, Span)>,
    /// The word is there, perhaps with a script.
    pub deleted: Option<(Option<ScriptWords>, Span)>,
    pub priority_changes: Option<bool>,
    pub mail: Option<bool>,
}

/// A peer as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerLine {
    pub address: IpAddr,
    pub min_ttl: Option<u8>,
    pub max_ttl: Option<u8>,
    pub at: Span,
}

/// A `vrrp_instance` as written.
#[derive(Debug, Default)]
pub(crate) struct RawInstance {
    pub name: String,
    pub at: Span,
    pub state_master: Option<(bool, Span)>,
    pub interface: Option<(String, Span)>,
    pub vrf: Option<(String, Span)>,
    pub vmac: Option<VmacWords>,
    pub vmac_xmit_base: Option<Span>,
    pub vmac_addr: Option<Span>,
    pub ipvlan: Option<IpvlanWords>,
    pub vrid: Option<(u8, Span)>,
    /// The VRID line is there but says nothing usable.
    pub vrid_told: bool,
    pub priority: Option<(u8, Span)>,
    pub advert_int: Option<(Duration, Span)>,
    pub version: Option<VrrpVersion>,
    pub addresses: Vec<AddressLine>,
    pub excluded: Vec<AddressLine>,
    pub routes: Vec<Placed<Route>>,
    pub policy_rules: Vec<Placed<Rule>>,
    pub no_addresses: bool,
    pub auth_type: Option<(&'static str, Span)>,
    pub auth_pass: Option<(String, Span)>,
    pub auth_hmac: Option<RawHmac>,
    pub unicast_ttl: Option<u8>,
    pub old_checksum: OldChecksum,
    pub late_backup: Option<(u8, Span)>,
    pub nopreempt: Option<Span>,
    pub preempt_delay: Option<(Duration, Span)>,
    pub track_interface: Vec<TrackLine>,
    pub track_script: Vec<TrackLine>,
    pub track_process: Vec<TrackLine>,
    pub track_bfd: Vec<TrackLine>,
    pub track_file: Vec<TrackLine>,
    pub dont_track_primary: bool,
    pub unicast: bool,
    pub peers: Vec<PeerLine>,
    pub source: Option<(IpAddr, Span)>,
    pub track_source: bool,
    pub mcast_dst: Option<(IpAddr, Span)>,
    pub unicast_fault_no_peer: bool,
    pub check_unicast_src: bool,
    pub v3_checksum_as_v2: Option<bool>,
    pub native_ipv6: bool,
    pub no_accept: Option<Span>,
    pub promote_secondaries: bool,
    pub skip_check_adv_addr: Option<bool>,
    pub strict: Option<bool>,
    pub lower_prio_no_advert: Option<bool>,
    pub higher_prio_send_advert: Option<bool>,
    pub owner_ignore_adverts: Option<bool>,
    pub garp_master_delay: Option<Duration>,
    pub garp_master_repeat: Option<u32>,
    pub garp_master_refresh: Option<Duration>,
    pub garp_master_refresh_repeat: Option<u32>,
    pub garp_lower_prio_delay: Option<Duration>,
    pub garp_lower_prio_repeat: Option<u32>,
    pub elsewhere: Option<Elsewhere>,
    pub down_timer_adverts: Option<u8>,
    pub notify: RawNotify,
    pub debug: u8,
    pub sync_interface: Option<String>,
}

/// A `vrrp_sync_group` as written.
#[derive(Debug, Default)]
pub(crate) struct RawGroup {
    pub name: String,
    pub at: Span,
    pub members: Vec<(String, Span)>,
    pub tracking_weight: bool,
    pub track_interface: Vec<TrackLine>,
    pub track_script: Vec<TrackLine>,
    pub track_process: Vec<TrackLine>,
    pub track_bfd: Vec<TrackLine>,
    pub track_file: Vec<TrackLine>,
    pub notify: RawNotify,
}

pub(crate) const INSTANCE: Table<RawInstance> = Table {
    block: "vrrp_instance",
    parts: &[INSTANCE_ROWS],
};
pub(crate) const GROUP: Table<RawGroup> = Table {
    block: "vrrp_sync_group",
    parts: &[GROUP_ROWS],
};

#[rustfmt::skip]
const INSTANCE_ROWS: &[Keyword<RawInstance>] = &[
    told_by_setter(row("state", OneOf(&["MASTER", "BACKUP"]), "BACKUP", Restart, "Wished first state. It matters only \
        with priority 255; below that an instance begins as BACKUP and waits. MASTER cancels nopreempt and preempt_delay.",
        Set(|it, a, cx| {
            if it.state_master.is_some() {
                let text = "'state' is given twice in this block";
                cx.warn("L-16", a.keyword.span, text, &["MASTER counts if one of them says so, as in keepalived"]);
            }
            if !matches!(it.state_master, Some((true, _))) {
                it.state_master = Some((a.text() == "MASTER", a.span()));
            }
        }))),
    row("interface", Name("IFNAME"), "required", Restart, "Interface of adverts and, unless they say otherwise, of \
        addresses. A unicast instance needs none.", Set(|it, a, _| it.interface = Some((a.text().to_owned(), a.span())))),
    row("virtual_router_id", Int(1, 255), "required", Restart, "Number of the virtual router: equal on all its nodes, \
        unique on the link for each family.", Set(|it, a, _| it.vrid = Some((a.small(), a.span())))),
    row("priority", Int(1, 255), "100 (255 with state MASTER)", InPlace, "Election priority. The highest wins; 255 owns \
        the addresses.", Set(|it, a, _| it.priority = Some((a.small(), a.span())))),
    row("advert_int", Seconds(10_000, 255_000_000), "1", InPlace, "Time between adverts. Version 2: whole seconds. \
        Version 3: steps of 0.01 s up to 40.95.", Set(|it, a, _| it.advert_int = Some((a.span_of_time(), a.span())))),
    first_counts(row("version", OneOf(&["2", "3"]), "vrrp_version", Restart, "Protocol version.",
        Set(|it, a, _| it.version = Some(if a.text() == "3" { VrrpVersion::V3 } else { VrrpVersion::V2 })))),
    row("virtual_ipaddress", List("ADDRESS-LINE"), "", InPlace, "Addresses advertised and held while MASTER; at most \
        255, and no more than the interface's MTU has room for. The first one decides the family.", Block(|it, st, cx| address_lines(&mut it.addresses, st, cx))),
    row("virtual_ipaddress_excluded", List("ADDRESS-LINE"), "", InPlace, "Addresses held while MASTER but not \
        advertised; of either family.", Block(|it, st, cx| address_lines(&mut it.excluded, st, cx))),
    row("no_virtual_ipaddress", Nothing, "off", InPlace, "Having no address is meant.",
        Set(|it, _, _| it.no_addresses = true)),
    row("virtual_routes", List("ROUTE-LINE"), "", InPlace, "Routes present while MASTER.",
        Block(|it, st, cx| route_lines(&mut it.routes, st, cx))),
    row("virtual_rules", List("RULE-LINE"), "", InPlace, "Policy rules present while MASTER.",
        Block(|it, st, cx| rule_lines(&mut it.policy_rules, st, cx))),
    row("authentication", Takes::Block(""), "none", InPlace, "Password of version 2.",
        Block(|it, st, cx| read_block(&AUTHENTICATION, it, st, cx))),
    row("auth_hmac", Takes::Block(""), "none", InPlace, "Signed adverts (HMAC-SHA256), in the form of keepalived 2.4.2 \
        and later; both versions, both families. Instead of authentication.",
        Block(|it, st, cx| it.auth_hmac = Some(hmac::block(st, cx)))),
    row("nopreempt", Nothing, "off", InPlace, "A BACKUP of higher priority leaves the MASTER alone.",
        Set(|it, a, _| it.nopreempt = Some(a.keyword.span))),
    row("preempt", Nothing, "on", InPlace, "A BACKUP of higher priority takes over.",
        Set(|it, _, _| it.nopreempt = None)),
    row("preempt_delay", Seconds(0, 1_000_000_000), "0", InPlace, "How long a node of higher priority puts up with a \
        lower master after first hearing it.",
        Set(|it, a, _| it.preempt_delay = Some((a.span_of_time(), a.span())))),
    row("track_interface", List("IFNAME [weight N [reverse]]"), "", InPlace, "Interfaces to follow. Weight 0: FAULT while \
        one is down. The own interface is always followed.",
        Block(|it, st, cx| it.track_interface.extend(track_lines(st, cx)))),
    row("track_script", List("NAME [weight N [reverse]]"), "", InPlace, "Scripts to follow, with the weight of the \
        vrrp_script unless one is given here.", Block(|it, st, cx| it.track_script.extend(track_lines(st, cx)))),
    row("track_process", List("NAME [weight N [reverse]]"), "", InPlace, "Processes to follow, with the weight of the \
        definition unless one is given.", Block(|it, st, cx| it.track_process.extend(track_lines(st, cx)))),
    row("track_file", List("NAME [weight N [reverse]]"), "", InPlace, "Files to follow, with the weight of the \
        definition unless one is given.", Block(|it, st, cx| it.track_file.extend(track_lines(st, cx)))),
    row("track_bfd", List("NAME [weight N [reverse]]"), "", InPlace, "BFD sessions to follow, with the weight of the \
        bfd_instance unless one is given.", Block(|it, st, cx| it.track_bfd.extend(track_lines(st, cx)))),
    row("dont_track_primary", Nothing, "off", InPlace, "The state of the own interface does not matter.",
        Set(|it, _, _| it.dont_track_primary = true)),
    row("track_src_ip", Nothing, "off", InPlace, "FAULT while the source address that is given is \
        not on the interface. Without it the address may be on any of the host's.",
        Set(|it, _, _| it.track_source = true)),
    row("unicast_peer", List("ADDRESS [min_ttl N] [max_ttl N]"), "multicast", Restart, "Adverts go to these peers. \
        Adverts whose TTL is outside the bounds are dropped.", Block(peers)),
    row("unicast_src_ip", Ip, "first address of the interface", Restart, "Source of adverts to peers.",
        Set(|it, a, _| it.source = Some((a.ip(), a.span())))),
    row("mcast_src_ip", Ip, "first address of the interface", Restart, "Source of multicast adverts.",
        Set(|it, a, _| it.source = Some((a.ip(), a.span())))),
    row("mcast_dst_ip", Ip, "vrrp_mcast_group4 or 6", Restart, "Destination of multicast adverts.",
        Set(|it, a, cx| {
            if a.ip().is_multicast() {
                it.mcast_dst = Some((a.ip(), a.span()));
            } else {
                let text = format!("{} is not a multicast address", a.ip());
                cx.error("L-07", a.span(), text, &["using the default"]);
            }
        })),
    row("unicast_ttl", Int(0, 255), "255", InPlace, "TTL or hop limit of adverts to peers; 0 is 255.",
        Set(|it, a, _| it.unicast_ttl = Some(a.small()))),
    row("unicast_fault_no_peer", Nothing, "off", InPlace, "FAULT when unicast is wanted and no peer is listed.",
        Set(|it, _, _| it.unicast_fault_no_peer = true)),
    row("check_unicast_src", Nothing, "vrrp_check_unicast_src", InPlace, "Adverts from others than the listed peers are \
        ignored.", Set(|it, _, _| it.check_unicast_src = true)),
    row("old_unicast_checksum", OptName("never"), "detected", InPlace, "Version 3 to IPv4 peers with the \
        checksum of keepalived 1.3.6 and before; who sends it is answered with it without this. never: it is wrong.",
        Set(|it, a, _| it.old_checksum = match a.words.is_empty() {
            true => OldChecksum::Always,
            false => OldChecksum::Never,
        })),
    row("v3_checksum_as_v2", Flag, "the global one", InPlace, "Version 3 over IPv4 without pseudo-header in the checksum \
        (RFC 9568).", Set(|it, a, _| it.v3_checksum_as_v2 = Some(a.flag()))),
    row("native_ipv6", Nothing, "off", Restart, "IPv6 even if no address says so.",
        Set(|it, _, _| it.native_ipv6 = true)),
    first_counts(row("use_vmac", OptWords("[name] IFNAME MAC …"), "off", Restart, "Adverts and addresses on an interface \
        with the virtual MAC 00:00:5e:00:01:VRID (IPv6: 02). The name is vrrp.VRID unless one is given. Without it \
        neighbours have to learn the new master's own MAC.", Set(|it, a, cx| it.vmac = Some(vmac_words(a, cx))))),
    row("use_vmac_addr", Nothing, "off", Restart, "The same for addresses on other interfaces, and for those of the other \
        family: each gets an interface with the virtual MAC, called as those of use_vmac.",
        Set(|it, a, _| it.vmac_addr = Some(a.keyword.span))),
    row("vmac_xmit_base", Nothing, "off", Restart, "With use_vmac: adverts leave by the real \
        interface.", Set(|it, a, _| it.vmac_xmit_base = Some(a.keyword.span))),
    first_counts(row("use_ipvlan", OptWords("[name] IFNAME ADDRESS bridge|private|vepa …"), "off", Restart, "Adverts come \
        from an ipvlan with this address (IPv4: required) and leave by it. Virtual addresses stay on the interface.",
        Set(|it, a, cx| it.ipvlan = Some(ipvlan_words(a, cx))))),
    row("vmac_garp_intvl", Words("[all] SECONDS"), "", InPlace, "Old name of garp_extra_if.",
        Old("garp_extra_if", |it, a, cx| {
            it.elsewhere = elsewhere(a, 0, cx).or(it.elsewhere);
        })),
    row("garp_extra_if", Words("[all] SECONDS"), "the global one", InPlace, "While MASTER, announces one address every so \
        often on each interface that use_vmac_addr or use_vmac of an address makes; with all, on every interface but \
        that of the adverts. 0: never.",
        Set(|it, a, cx| it.elsewhere = elsewhere(a, 0, cx).or(it.elsewhere))),
    row("vrf", Name("NAME"), "none", Restart, "Of a unicast instance without interface: the VRF that adverts come and go \
        by. An interface is in its VRF already, and so are those of use_vmac and use_ipvlan on it.",
        Set(|it, a, _| it.vrf = Some((a.text().to_owned(), a.span())))),
    row("accept", Nothing, "on", InPlace, "Packets to the addresses are accepted.",
        Set(|it, _, _| it.no_accept = None)),
    row("no_accept", Nothing, "off", InPlace, "Packets to the addresses are dropped by nftables unless this node owns \
        them (priority 255).", Set(|it, a, _| it.no_accept = Some(a.keyword.span))),
    row("promote_secondaries", Nothing, "off", InPlace, "Secondary addresses survive the removal of the first.",
        Set(|it, _, _| it.promote_secondaries = true)),
    row("skip_check_adv_addr", Flag, "vrrp_skip_check_adv_addr", InPlace, "The list of addresses is not checked in \
        adverts of the same master as before.", Set(|it, a, _| it.skip_check_adv_addr = Some(a.flag()))),
    row("strict_mode", Flag, "vrrp_strict", InPlace, "Keeps to the letter of the RFC.",
        Set(|it, a, _| it.strict = Some(a.flag()))),
    row("lower_prio_no_advert", Flag, "the global one", InPlace, "A MASTER does not answer adverts of lower priority.",
        Set(|it, a, _| it.lower_prio_no_advert = Some(a.flag()))),
    row("higher_prio_send_advert", Flag, "the global one", InPlace, "A MASTER that yields sends one more advert.",
        Set(|it, a, _| it.higher_prio_send_advert = Some(a.flag()))),
    row("owner_ignore_adverts", Flag, "the global one", InPlace, "With priority 255 all adverts are ignored.",
        Set(|it, a, _| it.owner_ignore_adverts = Some(a.flag()))),
    row("garp_master_delay", WholeSeconds(0, 4_294_967), "the global one", InPlace, "See vrrp_garp_master_delay.",
        Set(|it, a, _| it.garp_master_delay = Some(a.span_of_time()))),
    row("garp_master_repeat", Int(0, 4_294_967_295), "the global one", InPlace, "See vrrp_garp_master_repeat.",
        Set(|it, a, _| it.garp_master_repeat = Some(a.small::<u32>().max(1)))),
    row("garp_master_refresh", WholeSeconds(0, 4_294_967), "the global one", InPlace, "See vrrp_garp_master_refresh.",
        Set(|it, a, _| it.garp_master_refresh = Some(a.span_of_time()))),
    row("garp_master_refresh_repeat", Int(0, 4_294_967_295), "the global one", InPlace,
        "See vrrp_garp_master_refresh_repeat.",
        Set(|it, a, _| it.garp_master_refresh_repeat = Some(a.small::<u32>().max(1)))),
    row("garp_lower_prio_delay", WholeSeconds(0, 4_294_967), "the global one", InPlace,
        "See vrrp_garp_lower_prio_delay.", Set(|it, a, _| it.garp_lower_prio_delay = Some(a.span_of_time()))),
    row("garp_lower_prio_repeat", Int(0, 4_294_967_295), "the global one", InPlace, "See vrrp_garp_lower_prio_repeat.",
        Set(|it, a, _| it.garp_lower_prio_repeat = Some(a.small()))),
    row("down_timer_adverts", Int(1, 100), "the global one", InPlace, "See vrrp_down_timer_adverts.",
        Set(|it, a, _| it.down_timer_adverts = Some(a.small()))),
    row("timer_expired_backup", OptInt(1, 254), "off", InPlace, "With nopreempt: to BACKUP after a \
        pause so long that a node of this priority has taken over; 254 without a value.",
        Set(|it, a, _| it.late_backup = Some((a.opt_int().and_then(|it| u8::try_from(it).ok()).unwrap_or(254), a.span())))),
    row("thread_timer_expired", OptInt(1, 254), "off", InPlace, "Other name of timer_expired_backup.",
        Old("timer_expired_backup", |it, a, _| {
            it.late_backup = Some((a.opt_int().and_then(|it| u8::try_from(it).ok()).unwrap_or(254), a.span()));
        })),
    row("kernel_rx_buf_size", Int(0, 4_294_967_295), "the system's", InPlace, "Receive buffer.",
        Idle("the agent sizes its own buffers")),
    row("debug", Int(0, 4), "0", InPlace, "Level of detail of this instance's debug lines.",
        Set(|it, a, _| it.debug = a.small())),
    row("linkbeat_use_polling", Nothing, "off", InPlace, "Asks the interface for its link state.",
        Idle("the kernel reports link changes; polling is not needed")),
    first_counts(row("lvs_sync_daemon_interface", Name("IFNAME"), "none", InPlace, "Old form of lvs_sync_daemon.",
        Old("lvs_sync_daemon", |it, a, _| it.sync_interface = Some(a.text().to_owned())))),
    row("notify_master", Script, "none", InPlace, "Run on entering MASTER.",
        Set(|it, a, _| it.notify.master = Some((a.script(), a.span())))),
    row("notify_backup", Script, "none", InPlace, "Run on entering BACKUP.",
        Set(|it, a, _| it.notify.backup = Some((a.script(), a.span())))),
    row("notify_fault", Script, "none", InPlace, "Run on entering FAULT.",
        Set(|it, a, _| it.notify.fault = Some((a.script(), a.span())))),
    row("notify_stop", Script, "none", InPlace, "Run at the end.",
        Set(|it, a, _| it.notify.stop = Some((a.script(), a.span())))),
    row("notify", Script, "none", InPlace, "Run on every change, with four further arguments: INSTANCE, name, state, \
        priority.", Set(|it, a, _| it.notify.any = Some((a.script(), a.span())))),
    row("notify_deleted", OptScript, "FAULT is notified", InPlace, "Run when a reload removes the instance; FIFO and \
        notify say DELETED then.", Set(|it, a, _| it.notify.deleted = Some((a.opt_script(), a.span())))),
    row("notify_master_rx_lower_pri", Script, "none", InPlace, "Run when a MASTER hears a lower one.",
        Set(|it, a, _| it.notify.master_rx_lower_pri = Some((a.script(), a.span())))),
    row("notify_priority_changes", Flag, "the global one", InPlace, "Changes of priority are events of their own.",
        Set(|it, a, _| it.notify.priority_changes = Some(a.flag()))),
    row("smtp_alert", Flag, "the global one", InPlace, "Mail on a change of state.",
        Set(|it, a, _| it.notify.mail = Some(a.flag()))),
];

#[rustfmt::skip]
pub(crate) const AUTHENTICATION: Table<RawInstance> = Table { block: "vrrp_instance/authentication", parts: &[&[
    row("auth_type", OneOf(&["PASS", "AH"]), "none", InPlace, "PASS: a password in plain text. AH: a \
        keyed checksum (IPsec, HMAC-MD5) and growing numbers; IPv4 only.",
        Set(|it, a, _| it.auth_type = Some((if a.text() == "AH" { "AH" } else { "PASS" }, a.span())))),
    row("auth_pass", Secret, "required", InPlace, "The password, or the key of AH; its first 8 bytes count.",
        Set(|it, a, _| it.auth_pass = Some((a.text().to_owned(), a.span())))),
]] };

#[rustfmt::skip]
const GROUP_ROWS: &[Keyword<RawGroup>] = &[
    row("group", List("INSTANCE"), "required", Restart, "Members.", Block(members)),
    row("notify_master", Script, "none", InPlace, "Run when the group becomes MASTER.",
        Set(|it, a, _| it.notify.master = Some((a.script(), a.span())))),
    row("notify_backup", Script, "none", InPlace, "Run when the group becomes BACKUP.",
        Set(|it, a, _| it.notify.backup = Some((a.script(), a.span())))),
    row("notify_fault", Script, "none", InPlace, "Run when the group enters FAULT.",
        Set(|it, a, _| it.notify.fault = Some((a.script(), a.span())))),
    row("notify_stop", Script, "none", InPlace, "Run at the end.",
        Set(|it, a, _| it.notify.stop = Some((a.script(), a.span())))),
    row("notify", Script, "none", InPlace, "Run on every change, with four further arguments: GROUP, name, state, 0.",
        Set(|it, a, _| it.notify.any = Some((a.script(), a.span())))),
    row("notify_priority_changes", Flag, "the global one", InPlace, "Changes of priority of members are events of their \
        own.", Set(|it, a, _| it.notify.priority_changes = Some(a.flag()))),
    row("smtp_alert", Flag, "the global one", InPlace, "Mail on a change of state.",
        Set(|it, a, _| it.notify.mail = Some(a.flag()))),
    row("global_tracking", Nothing, "off", InPlace, "Old word.", Idle("groups always track for all their members")),
    row("sync_group_tracking_weight", Nothing, "off", InPlace, "Members keep weights of their own trackers. \
        Without it only those of the group's count.", Set(|it, _, _| it.tracking_weight = true)),
    row("track_interface", List("IFNAME [weight N [reverse]]"), "", InPlace, "Interfaces followed for every member.",
        Block(|it, st, cx| it.track_interface.extend(track_lines(st, cx)))),
    row("track_script", List("NAME [weight N [reverse]]"), "", InPlace, "Scripts followed for every member.",
        Block(|it, st, cx| it.track_script.extend(track_lines(st, cx)))),
    row("track_file", List("NAME [weight N [reverse]]"), "", InPlace, "Files followed for every member.",
        Block(|it, st, cx| it.track_file.extend(track_lines(st, cx)))),
    row("track_process", List("NAME [weight N [reverse]]"), "", InPlace, "Processes followed for every member.",
        Block(|it, st, cx| it.track_process.extend(track_lines(st, cx)))),
    row("track_bfd", List("NAME [weight N [reverse]]"), "", InPlace, "BFD sessions followed for every member.",
        Block(|it, st, cx| it.track_bfd.extend(track_lines(st, cx)))),
];

/// The name behind a root keyword; tells when it is missing.
pub(super) fn name(statement: &Statement<'_>, cx: &mut Cx<'_>) -> Option<String> {
    match statement.arguments() {
        [] => {
            let text = format!("'{}' needs a name", statement.keyword().text);
            cx.error("L-03", statement.keyword().span, text, &["the block is skipped"]);
            None
        }
        [name, rest @ ..] => {
            if let Some(extra) = rest.first() {
                let text = format!(
                    "'{}' does not take '{}'",
                    statement.keyword().text,
                    shown(extra.text)
                );
                cx.warn("L-08", extra.span, text, &["it is ignored, as keepalived does"]);
            }
            Some(name.text.to_owned())
        }
    }
}

pub(super) fn script(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = name(statement, cx) else { return };
    let mut it = RawScript {
        name,
        at: statement.span(),
        ..RawScript::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("script {}", it.name));
    read_block(&SCRIPT, &mut it, statement, cx);
    cx.object = object;
    raw.scripts.push(it);
}

pub(super) fn process(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = name(statement, cx) else { return };
    let mut it = RawProcess {
        name,
        at: statement.span(),
        ..RawProcess::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("process {}", it.name));
    read_block(&PROCESS, &mut it, statement, cx);
    cx.object = object;
    raw.processes.push(it);
}

pub(super) fn file(
    table: &'static Table<RawFile>,
    raw: &mut Raw,
    statement: &Statement<'_>,
    cx: &mut Cx<'_>,
) {
    let Some(name) = name(statement, cx) else { return };
    let mut it = RawFile {
        name,
        at: statement.span(),
        ..RawFile::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("file {}", it.name));
    read_block(table, &mut it, statement, cx);
    cx.object = object;
    raw.files.push(it);
}

pub(super) fn instance(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = name(statement, cx) else { return };
    let mut it = RawInstance {
        name,
        at: statement.span(),
        ..RawInstance::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("vrrp:{}", it.name));
    read_block(&INSTANCE, &mut it, statement, cx);
    let lines = statement
        .block
        .as_ref()
        .map_or(&[][..], |block| &block.statements);
    it.vrid_told = lines
        .iter()
        .any(|line| line.keyword().text == "virtual_router_id");
    cx.object = object;
    raw.instances.push(it);
}

pub(super) fn group(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = name(statement, cx) else { return };
    let mut it = RawGroup {
        name,
        at: statement.span(),
        ..RawGroup::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("group:{}", it.name));
    read_block(&GROUP, &mut it, statement, cx);
    cx.object = object;
    raw.groups.push(it);
}

fn members(it: &mut RawGroup, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    it.members.extend(names(block));
}

/// The words of a block, however they are spread over its lines.
pub(super) fn names(block: &tree::Block<'_>) -> Vec<(String, Span)> {
    let words = block.statements.iter().flat_map(|line| &line.words);
    let names = words.map(|word| (word.text.trim_end_matches(';').to_owned(), word.span));
    names.filter(|(name, _)| !name.is_empty()).collect()
}

fn peers(it: &mut RawInstance, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    it.unicast = true;
    for line in &block.statements {
        let word = line.keyword();
        let Some(address) = value::single_address(word.text.trim_end_matches(';'), word, cx) else {
            let text = format!("'{}' is not an IP address", shown(word.text));
            cx.error("L-07", word.span, text, &["this peer is left out"]);
            continue;
        };
        let mut peer = PeerLine {
            address,
            min_ttl: None,
            max_ttl: None,
            at: word.span,
        };
        for pair in line.arguments().chunks(2) {
            let slot = match pair[0].text {
                "min_ttl" => &mut peer.min_ttl,
                "max_ttl" => &mut peer.max_ttl,
                other => {
                    let text = format!("'{}' has no meaning behind a peer", shown(other));
                    cx.error(
                        "L-08",
                        pair[0].span,
                        text,
                        &["one peer a line: ADDRESS [min_ttl N] [max_ttl N]"],
                    );
                    break;
                }
            };
            match pair
                .get(1)
                .and_then(|word| value::number(word.text))
                .and_then(|number| u8::try_from(number).ok())
            {
                Some(ttl) => *slot = Some(ttl),
                None => {
                    let text = format!("'{}' needs a number in 0–255", pair[0].text);
                    cx.error("L-05", pair[0].span, text, &["the bound is left out"]);
                }
            }
        }
        it.peers.push(peer);
    }
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &INSTANCE);
    add(entries, &AUTHENTICATION);
    hmac::add_all(entries);
    add(entries, &GROUP);
}
