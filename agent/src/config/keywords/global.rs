//! `global_defs`, and the words that stand at the top of a file.

use super::address::{AddressLine, address_lines};
use super::bfd::RawBfd;
use super::check::{self, SslWords};
use super::garp::{RawGarpGroup, elsewhere};
use super::routing::{Placed, route_lines, rule_lines};
use super::service::{RawServerGroup, RawService};
use super::static_net::{self, RawTrackGroup};
use super::track::{self, RawFile, RawProcess, RawScript};
use super::vrrp::{RawGroup, RawInstance};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Idle, Old, Refused, Set};
use crate::config::keyword::Live::{InPlace, NextStart, Restart};
use crate::config::keyword::Takes::{
    self, Flag, Int, Ip, List, Name, Nothing, OneOf, OptName, OptWords, Script, Seconds, WholeSeconds, Words,
};
use crate::config::keyword::{Args, Keyword, Table, first_counts, no_block, read_block, row, shown};
use crate::config::lexer::Span;
use crate::config::source::IncludeCheck;
use crate::config::tree::Statement;
use crate::config::value::{self, ScriptWords};
use crate::model::{DumpKind, Elsewhere, Firewall, Route, Rule, ScriptRules, VrrpVersion};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Everything that stands at the top of a file, as written.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    pub instances: Vec<RawInstance>,
    pub groups: Vec<RawGroup>,
    pub scripts: Vec<RawScript>,
    pub server_groups: Vec<RawServerGroup>,
    pub services: Vec<RawService>,
    pub processes: Vec<RawProcess>,
    pub sessions: Vec<RawBfd>,
    pub files: Vec<RawFile>,
    pub track_groups: Vec<RawTrackGroup>,
    pub addresses: Vec<AddressLine>,
    pub routes: Vec<Placed<Route>>,
    pub policy_rules: Vec<Placed<Rule>>,
    pub ssl: SslWords,
    pub net_namespace: Option<(String, Span)>,
    /// `interface_up_down_delays`: down and up.
    pub interface_delays: Vec<(String, Duration, Duration, Span)>,
    pub garp_groups: Vec<RawGarpGroup>,
}

/// `global_defs` as written.
#[derive(Debug, Default)]
pub(crate) struct GlobalDefs {
    pub router_id: Option<String>,
    pub lvs_flush: bool,
    pub lvs_flush_on_stop: bool,
    pub lvs_timeouts: [u32; 3],
    pub sync_daemon: Option<SyncWords>,
    pub scripts: ScriptRules,
    pub script_user: Option<(Option<String>, Option<String>, Span)>,
    pub startup_delay: Option<Duration>,
    pub version: Option<VrrpVersion>,
    pub mcast_group4: Option<IpAddr>,
    pub mcast_group6: Option<IpAddr>,
    pub garp_master_delay: Option<Duration>,
    pub garp_master_repeat: Option<u32>,
    pub garp_master_refresh: Option<Duration>,
    pub garp_master_refresh_repeat: Option<u32>,
    pub garp_lower_prio_delay: Option<Duration>,
    pub garp_lower_prio_repeat: Option<u32>,
    pub elsewhere: Option<Elsewhere>,
    pub garp_interval: Option<Duration>,
    pub gna_interval: Option<Duration>,
    pub min_garp: bool,
    pub down_timer_adverts: Option<u8>,
    pub lower_prio_no_advert: Option<bool>,
    pub higher_prio_send_advert: Option<bool>,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub strict: bool,
    pub owner_ignore_adverts: Option<bool>,
    pub v3_checksum_as_v2: bool,
    pub dynamic_interfaces: bool,
    pub default_interface: Option<String>,
    pub vmac_prefix: Option<String>,
    pub vmac_addr_prefix: Option<String>,
    pub notify_priority_changes: bool,
    pub rs_init_notifies: bool,
    pub checker_log_all_failures: bool,
    pub random_seed: Option<u64>,
    pub mail: MailWords,
    /// `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`.
    pub fifos: [FifoWords; 3],
    pub fifo_states_on_reload: bool,
    pub dump_files: BTreeMap<DumpKind, String>,
    pub json_version: u8,
    pub firewall: Firewall,
    pub iptables: Option<Span>,
    pub disable_local_igmp: bool,
    pub iproute_etc: Option<String>,
    pub iproute_usr: Option<String>,
    pub host: super::process::HostWords,
}

/// `lvs_sync_daemon` as written.
#[derive(Debug, Default)]
pub(crate) struct SyncWords {
    pub interface: String,
    pub instance: Option<(String, Span)>,
    pub id: Option<u8>,
    pub maxlen: u16,
    pub port: u16,
    pub ttl: u8,
    pub group: Option<IpAddr>,
}

/// Everything about mail, as written.
#[derive(Debug, Default)]
pub(crate) struct MailWords {
    pub to: Vec<String>,
    pub from: Option<String>,
    /// Server and port, and where they stand.
    pub server: Option<(String, u16, Span)>,
    pub helo: Option<String>,
    pub timeout: Option<Duration>,
    pub alert: Option<bool>,
    pub alert_vrrp: Option<bool>,
    pub alert_checker: Option<bool>,
    pub no_faults: bool,
}

/// A FIFO as written.
#[derive(Debug, Default)]
pub(crate) struct FifoWords {
    /// The path where a script has its command, and whom it is made for.
    pub path: Option<(ScriptWords, Span)>,
    pub script: Option<(ScriptWords, Span)>,
}

pub(crate) const ROOT: Table<Raw> = Table {
    block: "",
    parts: &[ROOT_ROWS],
};
pub(crate) const GLOBAL: Table<GlobalDefs> = Table {
    block: "global_defs",
    parts: &[GLOBAL_ROWS, super::process::ROWS],
};

const NO_LINKBEAT: &str = "the kernel reports link changes; polling is not needed";

#[rustfmt::skip]
const ROOT_ROWS: &[Keyword<Raw>] = &[
    row("global_defs", Takes::Block(""), "", InPlace, "Settings for the whole agent, and defaults for all objects.",
        // Read before everything else: see `bind`.
        Block(|_, _, _| {})),
    row("linkbeat_use_polling", Nothing, "off", NextStart, "Asks each interface for its link state.",
        Idle(NO_LINKBEAT)),
    row("net_namespace", Name("NAME"), "none", NextStart, "Network namespace of the whole agent, as ip-netns(8) names it. \
        Two agents need two --run-dir.", Set(|it, a, _| it.net_namespace = Some((a.text().to_owned(), a.span())))),
    row("net_namespace_ipvs", OptName("NAME"), "net_namespace", NextStart, "Network namespace of IPVS.",
        Refused("IPVS is programmed where the agent runs; run a second agent with net_namespace, or leave it out")),
    row("namespace_with_ipsets", Nothing, "off", NextStart, "Allows ipsets in a namespace on old kernels.",
        Idle("no ipsets are used")),
    row("use_pid_dir", Nothing, "off", NextStart, "Puts pid files into a folder of their own.",
        Idle("the run folder is chosen by --run-dir")),
    row("instance", Name("NAME"), "none", NextStart, "Name of this agent among several on one host.",
        Refused("agents are told apart by --run-dir, which holds socket, lock and ledger; give each its own")),
    row("child_wait_time", Name("SECONDS"), "5", NextStart, "How long a stop may take.",
        Idle("there is one process; nothing has to be waited for")),
    row("track_group", Takes::Block("NAME"), "", InPlace, "Names instances that stand on static addresses, routes and \
        rules. It must stand above its use.", Block(static_net::track_group)),
    row("static_ipaddress", List("ADDRESS-LINE"), "", InPlace, "Addresses set at start and removed at stop.",
        Block(|it, st, cx| address_lines(&mut it.addresses, st, cx))),
    row("static_routes", List("ROUTE-LINE"), "", InPlace, "Routes set at start and removed at stop.",
        Block(|it, st, cx| route_lines(&mut it.routes, st, cx))),
    row("static_rules", List("RULE-LINE"), "", InPlace, "Policy rules set at start and removed at stop.",
        Block(|it, st, cx| rule_lines(&mut it.policy_rules, st, cx))),
    row("garp_group", Takes::Block(""), "", InPlace, "Interfaces that share a pace for announcements.",
        Block(super::garp::group)),
    row("linkbeat_interfaces", List("IFNAME [MII|ETHTOOL|IOCTL]"), "", NextStart, "Interfaces asked for their link \
        state.", Idle(NO_LINKBEAT)),
    row("interface_up_down_delays", List("IFNAME DOWN-DELAY [UP-DELAY]"), "0", InPlace, "How long a change of an \
        interface must last before it counts, up to 255 s. Without UP-DELAY it is up at once. Both are kept \
        shorter than the others wait for a master.", Block(super::process::interface_delays)),
    row("vrrp_script", Takes::Block("NAME"), "", InPlace, "A script that is run periodically for track_script. It \
        must stand above its use.", Block(super::vrrp::script)),
    row("vrrp_track_process", Takes::Block("NAME"), "", InPlace, "Counts processes for track_process. It must stand \
        above its use.", Block(super::vrrp::process)),
    row("track_file", Takes::Block("NAME"), "", InPlace, "Watches the number in a file, for track_file of \
        instances and groups and for FILE_CHECK. It must stand above its use.",
        Block(|it, st, cx| super::vrrp::file(&track::FILE, it, st, cx))),
    row("vrrp_track_file", Takes::Block("NAME"), "", InPlace, "Old name of track_file.",
        Block(|it, st, cx| super::vrrp::file(&track::OLD_FILE, it, st, cx))),
    row("vrrp_sync_group", Takes::Block("NAME"), "", InPlace, "Instances that change state together.",
        Block(super::vrrp::group)),
    row("vrrp_instance", Takes::Block("NAME"), "", InPlace, "One virtual router.", Block(super::vrrp::instance)),
    row("bfd_instance", Takes::Block("NAME"), "", InPlace, "A BFD session (RFC 5880) with a neighbour. It must stand above its use.",
        Block(super::bfd::session)),
    row("virtual_server_group", Takes::Block("NAME"), "", InPlace, "A named list of addresses that share one \
        virtual_server.", Block(super::service::server_group)),
    row("virtual_server", Takes::Block("ADDRESS [PORT] | fwmark N | group NAME"), "", InPlace, "One IPVS service.",
        Block(super::service::service)),
    row("SSL", Takes::Block(""), "", InPlace, "The certificate that SSL_GET shows to a server that asks for one.",
        Block(|it, st, cx| read_block(&check::SSL, &mut it.ssl, st, cx))),
];

const NO_SNMP: &str =
    "SNMP is not spoken; read the same from 'lbctl status -o json', or have --metrics scraped";
const NO_DBUS: &str = "D-Bus is not spoken; the control socket answers and tells of changes: 'lbctl watch'";
const NO_MARKS: &str = "each address of a group is a service of its own in IPVS, which balances the same; for one service of \
    many addresses mark their packets with nftables and write 'virtual_server fwmark N'";
const BUFFERS: &str = "the agent sizes its own buffers and reads everything again when one overflows";

#[rustfmt::skip]
const GLOBAL_ROWS: &[Keyword<GlobalDefs>] = &[
    row("tmp_config_directory", Name("FOLDER"), "memory", NextStart, "Where a copy of the configuration is kept.",
        Idle("no copy is kept")),
    row("config_save_dir", Name("FOLDER"), "off", NextStart, "Saves the configuration at each reload, for debugging.",
        Idle("'lbctl config' shows what is in force")),
    row("use_symlink_paths", Flag, "off", InPlace, "Keeps symbolic links in script paths.",
        Idle("scripts are run by the path that is written")),
    row("set_supplementary_groups", Flag, "off", InPlace, "Gives scripts the further groups of their user.",
        Set(|it, a, _| it.scripts.all_groups = a.flag())),
    row("router_id", Name("TEXT"), "the host's name", InPlace, "Name of this node in status and events.",
        Set(|it, a, _| it.router_id = Some(a.text().to_owned()))),
    row("notification_email", List("ADDRESS"), "none", InPlace, "Who gets mail.", Block(recipients)),
    row("notification_email_from", Name("ADDRESS"), "keepalived@host", InPlace, "Sender of mail.",
        Set(|it, a, _| it.mail.from = Some(a.text().to_owned()))),
    row("smtp_server", Words("ADDRESS|NAME [PORT]"), "none", InPlace, "Mail server; port 25 unless one is given. \
        Without it and notification_email no mail is sent.", Set(mail_server)),
    row("smtp_helo_name", Name("NAME"), "the host's name", InPlace, "Name told to the mail server.",
        Set(|it, a, _| it.mail.helo = Some(a.text().to_owned()))),
    row("smtp_connect_timeout", WholeSeconds(0, 4_294_967), "30", InPlace, "Time to connect to the mail server; 0 \
        becomes 1.", Set(|it, a, _| it.mail.timeout = Some(a.span_of_time().max(Duration::from_secs(1))))),
    row("smtp_alert", Flag, "off", InPlace, "Default of every smtp_alert.",
        Set(|it, a, _| it.mail.alert = Some(a.flag()))),
    row("smtp_alert_vrrp", Flag, "off", InPlace, "Default of smtp_alert of instances and groups.",
        Set(|it, a, _| it.mail.alert_vrrp = Some(a.flag()))),
    row("smtp_alert_checker", Flag, "off", InPlace, "Default of smtp_alert of services; servers have it on.",
        Set(|it, a, _| it.mail.alert_checker = Some(a.flag()))),
    row("checker_log_all_failures", Flag, "off", InPlace, "Default of log_all_failures.",
        Set(|it, a, _| it.checker_log_all_failures = a.flag())),
    row("dynamic_interfaces", OptName("allow_if_changes"), "off", InPlace, "Interfaces may be missing at start. The \
        agent waits for missing ones in any case; with this word it does not complain.",
        Set(|it, _, _| it.dynamic_interfaces = true)),
    row("no_email_faults", Nothing, "off", InPlace, "No mail on entering FAULT.",
        Set(|it, _, _| it.mail.no_faults = true)),
    row("default_interface", Name("IFNAME"), "eth0", InPlace, "Interface of static addresses that name none.",
        Set(|it, a, _| it.default_interface = Some(a.text().to_owned()))),
    row("disable_local_igmp", Nothing, "off", InPlace, "Turns off IGMP reports for link-local groups, for the whole \
        host, until the agent stops.", Set(|it, _, _| it.disable_local_igmp = true)),
    row("v3_checksum_as_v2", Flag, "off", InPlace, "Default of v3_checksum_as_v2 of instances.",
        Set(|it, a, _| it.v3_checksum_as_v2 = a.flag())),
    row("lvs_timeouts", Words("[tcp N] [tcpfin N] [udp N]"), "the kernel's", InPlace, "IPVS connection time-outs in \
        seconds, 0 to 2678400; 0 leaves one as it is.", Set(lvs_timeouts)),
    row("lvs_flush", Nothing, "off", NextStart, "Empties the whole IPVS table at start, services of others included.",
        Set(|it, _, _| it.lvs_flush = true)),
    row("lvs_flush_on_stop", OptName("VS"), "off", InPlace, "Empties the whole IPVS table at the end. With VS: only \
        our own services, which is done in any case.", Set(flush_on_stop)),
    row("lvs_flush_onstop", OptName("VS"), "off", InPlace, "Old spelling of lvs_flush_on_stop.",
        Old("lvs_flush_on_stop", flush_on_stop)),
    first_counts(row("lvs_sync_daemon", Words("IFNAME [[inst] INSTANCE] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]"),
        "none", InPlace, "Copies connections to the other director, so that a failover does not end them. id: the         instance's VRID or 0; port 8848; group 224.0.0.81. Sends while the instance is MASTER, else takes; without         one, both.", Set(sync_daemon))),
    row("vrrp_mcast_group4", Ip, "224.0.0.18", InPlace, "Where IPv4 adverts are sent.",
        Set(|it, a, cx| multicast(&mut it.mcast_group4, a, true, cx))),
    row("vrrp_mcast_group6", Ip, "ff02::12", InPlace, "Where IPv6 adverts are sent.",
        Set(|it, a, cx| multicast(&mut it.mcast_group6, a, false, cx))),
    row("vrrp_garp_master_delay", WholeSeconds(0, 4_294_967), "5", InPlace, "From MASTER to the second block of \
        announcements; 0: no second block.", Set(|it, a, _| it.garp_master_delay = Some(a.span_of_time()))),
    row("vrrp_garp_master_repeat", Int(0, 4_294_967_295), "5", InPlace, "Announcements of each address in a block; 0 \
        becomes 1.", Set(|it, a, _| it.garp_master_repeat = Some(a.small::<u32>().max(1)))),
    row("vrrp_garp_master_refresh", WholeSeconds(0, 4_294_967), "0", InPlace, "Period of further announcements while \
        MASTER; 0: none.", Set(|it, a, _| it.garp_master_refresh = Some(a.span_of_time()))),
    row("vrrp_garp_master_refresh_repeat", Int(0, 4_294_967_295), "1", InPlace, "Announcements of each address at each \
        of those; 0 becomes 1.", Set(|it, a, _| it.garp_master_refresh_repeat = Some(a.small::<u32>().max(1)))),
    row("vrrp_garp_lower_prio_delay", WholeSeconds(0, 4_294_967), "vrrp_garp_master_delay", InPlace, "Delay of the \
        second block after a lower master was heard.",
        Set(|it, a, _| it.garp_lower_prio_delay = Some(a.span_of_time()))),
    row("vrrp_garp_lower_prio_repeat", Int(0, 4_294_967_295), "vrrp_garp_master_repeat", InPlace, "Announcements of \
        each address after a lower master was heard.", Set(|it, a, _| it.garp_lower_prio_repeat = Some(a.small()))),
    row("vrrp_down_timer_adverts", Int(1, 100), "3", InPlace, "Adverts missed before a backup takes over.",
        Set(|it, a, _| it.down_timer_adverts = Some(a.small()))),
    // 0 stands in many copied files: keepalived reports it and uses 0, which is what is meant.
    row("vrrp_garp_interval", Seconds(0, 4_294_967_295_000), "0", InPlace, "Time between two gratuitous ARPs on an \
        interface.", Set(|it, a, _| it.garp_interval = Some(a.span_of_time()))),
    row("vrrp_gna_interval", Seconds(0, 4_294_967_295_000), "0", InPlace, "Time between two neighbour adverts on an \
        interface.", Set(|it, a, _| it.gna_interval = Some(a.span_of_time()))),
    row("vrrp_min_garp", Flag, "off", InPlace, "One announcement and no second block, where nothing else is set.",
        Set(|it, a, _| it.min_garp = a.flag())),
    row("vrrp_garp_extra_if", Words("[all] SECONDS"), "off", InPlace, "Default of garp_extra_if.",
        Set(|it, a, cx| it.elsewhere = elsewhere(a, 1, cx).or(it.elsewhere))),
    row("vrrp_vmac_garp_intvl", Words("[all] SECONDS"), "off", InPlace, "Old name of vrrp_garp_extra_if.",
        Old("vrrp_garp_extra_if", |it, a, cx| {
            it.elsewhere = elsewhere(a, 1, cx).or(it.elsewhere);
        })),
    row("vrrp_lower_prio_no_advert", Flag, "off", InPlace, "Default of lower_prio_no_advert.",
        Set(|it, a, _| it.lower_prio_no_advert = Some(a.flag()))),
    row("vrrp_higher_prio_send_advert", Flag, "off", InPlace, "Default of higher_prio_send_advert.",
        Set(|it, a, _| it.higher_prio_send_advert = Some(a.flag()))),
    row("vrrp_version", OneOf(&["2", "3"]), "2 (IPv6: 3)", InPlace, "Protocol version of instances.",
        Set(|it, a, _| it.version = Some(if a.text() == "3" { VrrpVersion::V3 } else { VrrpVersion::V2 }))),
    row("vrrp_iptables", OptWords("IN-CHAIN [OUT-CHAIN]"), "INPUT OUTPUT", InPlace, "Firewall rules for no_accept; \
        made with nftables.",
        Set(|it, a, _| it.iptables = Some(a.keyword.span))),
    row("vrrp_ipsets", OptWords("NAME"), "keepalived", InPlace, "Names of ipsets.",
        Idle("addresses are in sets of nftables; ipsets are not needed")),
    first_counts(row("nftables", OptName("TABLE"), "keepalived", InPlace, "Name of the nftables tables for no_accept and \
        strict mode: 'ip TABLE' and 'ip6 TABLE' are the agent's own, and so are 'ip TABLE_vmac' and 'ip6 TABLE_vmac' for \
        use_vmac.",
        Set(|it, a, _| it.firewall.table = a.words.first().map_or("keepalived", |word| word.text).to_owned()))),
    row("nftables_priority", Int(-2_147_483_648, 2_147_483_647), "-1", InPlace, "Priority of their chains.",
        Set(|it, a, _| it.firewall.priority = a.small())),
    row("nftables_ifindex", Nothing, "on", InPlace, "Sets are keyed by interface index.",
        Idle("those of link-local addresses always are; interfaces of use_vmac go by their names")),
    row("nftables_counters", Nothing, "off", InPlace, "Counters in the rules.",
        Set(|it, _, _| it.firewall.counters = true)),
    row("nftables_ipvs", OptName("TABLE"), "keepalived_ipvs", InPlace, "One marked service for each server group.",
        Refused(NO_MARKS)),
    row("nftables_ipvs_priority", Int(-2_147_483_648, 2_147_483_647), "-1", InPlace, "Priority of those chains.",
        Refused(NO_MARKS)),
    row("nftables_ipvs_start_fwmark", Int(1, 4_294_967_295), "1000", InPlace, "First mark used.", Refused(NO_MARKS)),
    row("vrrp_check_unicast_src", Nothing, "off", InPlace, "Adverts from others than the listed peers are ignored.",
        Set(|it, _, _| it.check_unicast_src = true)),
    row("vrrp_skip_check_adv_addr", Flag, "off", InPlace, "Default of skip_check_adv_addr.",
        Set(|it, a, _| it.skip_check_adv_addr = a.flag())),
    row("vrrp_strict", Flag, "off", InPlace, "Default of strict_mode.", Set(|it, a, _| it.strict = a.flag())),
    first_counts(row("notify_fifo", Words("PATH [USER [GROUP]]"), "none", InPlace, "FIFO that gets a line for every change.",
        Set(|it, a, _| fifo(&mut it.fifos[0], a)))),
    row("notify_fifo_script", Script, "none", InPlace, "Program started to read it; the path is a further argument.",
        Set(|it, a, _| it.fifos[0].script = Some((a.script(), a.span())))),
    first_counts(row("vrrp_notify_fifo", Words("PATH [USER [GROUP]]"), "none", InPlace, "FIFO that gets the changes of instances \
        and groups.", Set(|it, a, _| fifo(&mut it.fifos[1], a)))),
    row("vrrp_notify_fifo_script", Script, "none", InPlace, "Program started to read it.",
        Set(|it, a, _| it.fifos[1].script = Some((a.script(), a.span())))),
    first_counts(row("lvs_notify_fifo", Words("PATH [USER [GROUP]]"), "none", InPlace, "FIFO that gets the changes of services and \
        servers.", Set(|it, a, _| fifo(&mut it.fifos[2], a)))),
    row("lvs_notify_fifo_script", Script, "none", InPlace, "Program started to read it.",
        Set(|it, a, _| it.fifos[2].script = Some((a.script(), a.span())))),
    row("vrrp_notify_priority_changes", Flag, "off", InPlace, "Default of notify_priority_changes.",
        Set(|it, a, _| it.notify_priority_changes = a.flag())),
    row("fifo_write_vrrp_states_on_reload", Nothing, "off", InPlace, "Writes all states again after a reload.",
        Set(|it, _, _| it.fifo_states_on_reload = true)),
    row("snmp_socket", Name("ADDRESS"), "unix:/var/agentx/master", NextStart, "SNMP agent to join.", Refused(NO_SNMP)),
    row("enable_traps", Nothing, "off", NextStart, "SNMP traps.", Refused(NO_SNMP)),
    row("enable_snmp_vrrp", Nothing, "off", NextStart, "VRRP over SNMP.", Refused(NO_SNMP)),
    row("enable_snmp_keepalived", Nothing, "off", NextStart, "Old name of enable_snmp_vrrp.", Refused(NO_SNMP)),
    row("enable_snmp_checker", Nothing, "off", NextStart, "Services over SNMP.", Refused(NO_SNMP)),
    row("enable_snmp_rfc", Nothing, "off", NextStart, "Both standard MIBs.", Refused(NO_SNMP)),
    row("enable_snmp_rfcv2", Nothing, "off", NextStart, "The MIB of RFC 2787.", Refused(NO_SNMP)),
    row("enable_snmp_rfcv3", Nothing, "off", NextStart, "The MIB of RFC 6527.", Refused(NO_SNMP)),
    row("snmp_vs_stats_update_interval", Seconds(1_000, 30_000_000), "5", NextStart, "Age of service counters.",
        Refused(NO_SNMP)),
    row("snmp_rs_stats_update_interval", Seconds(1_000, 30_000_000), "as for services", NextStart, "Age of server \
        counters.", Refused(NO_SNMP)),
    row("enable_dbus", Nothing, "off", NextStart, "Starts the D-Bus service.", Refused(NO_DBUS)),
    row("dbus_service_name", Name("NAME"), "org.keepalived.Vrrp1", NextStart, "Its name.", Refused(NO_DBUS)),
    row("dbus_no_interface_name", Name("NAME"), "none", NextStart, "Path of instances without interface.",
        Refused(NO_DBUS)),
    row("script_user", Words("USER [GROUP]"), "keepalived_script if it exists, else the agent's", InPlace, "Whom \
        scripts run as unless they say otherwise.", Set(|it, a, _| {
            let word = |at: usize| {
                a.words.get(at).map(|word: &crate::config::lexer::Word<'_>| word.text.trim_end_matches(':').to_owned())
            };
            let group = word(1).filter(|group| !group.is_empty()).or_else(|| word(2));
            it.script_user = Some((word(0), group, a.span()));
        })),
    row("enable_script_security", Nothing, "off", InPlace, "Scripts that somebody other than root could change are not \
        run as root.", Set(|it, _, _| it.scripts.secure = true)),
    row("vrrp_netlink_cmd_rcv_bufs", Int(0, 4_294_967_295), "the system's", NextStart, "A buffer size.",
        Idle(BUFFERS)),
    row("vrrp_netlink_cmd_rcv_bufs_force", Flag, "off", NextStart, "A buffer size beyond the system's limit.",
        Idle(BUFFERS)),
    row("vrrp_netlink_monitor_rcv_bufs", Int(0, 4_294_967_295), "the system's", NextStart, "A buffer size.",
        Idle(BUFFERS)),
    row("vrrp_netlink_monitor_rcv_bufs_force", Flag, "off", NextStart, "A buffer size beyond the system's limit.",
        Idle(BUFFERS)),
    row("lvs_netlink_cmd_rcv_bufs", Int(0, 4_294_967_295), "the system's", NextStart, "A buffer size.",
        Idle(BUFFERS)),
    row("lvs_netlink_cmd_rcv_bufs_force", Flag, "off", NextStart, "A buffer size beyond the system's limit.",
        Idle(BUFFERS)),
    row("lvs_netlink_monitor_rcv_bufs", Int(0, 4_294_967_295), "the system's", NextStart, "A buffer size.",
        Idle(BUFFERS)),
    row("lvs_netlink_monitor_rcv_bufs_force", Flag, "off", NextStart, "A buffer size beyond the system's limit.",
        Idle(BUFFERS)),
    row("process_monitor_rcv_bufs", Int(0, 4_294_967_295), "the system's", NextStart, "A buffer size.",
        Idle(BUFFERS)),
    row("process_monitor_rcv_bufs_force", Flag, "off", NextStart, "A buffer size beyond the system's limit.",
        Idle(BUFFERS)),
    row("rs_init_notifies", Flag, "off", InPlace, "Runs notify_up, and writes to the FIFO, also for a server that \
        begins as up.", Set(|it, a, _| it.rs_init_notifies = a.flag())),
    row("no_checker_emails", Flag, "off", InPlace, "Mail only when a server changes.",
        Idle("there is never a mail for a single check of several")),
    row("vrrp_rx_bufs_policy", Name("MTU|ADVERT|BYTES"), "the system's", NextStart, "How receive buffers are sized.",
        Idle(BUFFERS)),
    row("vrrp_rx_bufs_multiplier", Int(1, 4_294_967_295), "3", NextStart, "Multiplier for that.", Idle(BUFFERS)),
    row("vrrp_startup_delay", Seconds(1_000, 4_294_967_295_000), "0", NextStart, "Instances begin that long after \
        start.", Set(|it, a, _| it.startup_delay = Some(a.span_of_time()))),
    row("vrrp_delay_after_boot", Seconds(1_000, 4_294_967_295_000), "0", NextStart, "Instances begin that long after \
        boot, or after vrrp_startup_delay if that is later.", Set(|it, a, _| it.host.delay_after_boot = a.span_of_time())),
    row("log_unknown_vrids", Nothing, "off", InPlace, "Logs adverts of virtual routers that are not configured.",
        Idle("they are always counted; 'lbctl vrrp' shows them")),
    row("vrrp_owner_ignore_adverts", Flag, "off", InPlace, "Default of owner_ignore_adverts.",
        Set(|it, a, _| it.owner_ignore_adverts = Some(a.flag()))),
    first_counts(row("vmac_prefix", Name("TEXT"), "vrrp", Restart, "Beginning of the names of VMACs.",
        Set(|it, a, _| it.vmac_prefix = Some(a.text().to_owned())))),
    first_counts(row("vmac_addr_prefix", Name("TEXT"), "vmac_prefix", Restart, "The same for those of single addresses.",
        Set(|it, a, _| it.vmac_addr_prefix = Some(a.text().to_owned())))),
    row("umask", Name("MASK"), "0177", NextStart, "Mode mask of files that are made.",
        Idle("the agent's files have fixed modes")),
    row("random_seed", Int(0, 4_294_967_295), "the time", InPlace, "Seed of ${_RANDOM}.",
        Set(|it, a, _| it.random_seed = u64::try_from(a.int()).ok())),
    row("reload_check_config", OptName("LOG-FILE"), "off", InPlace, "Checks a file before a reload.",
        Idle("a reload is always checked first, and refused whole if anything is wrong")),
    row("reload_time_file", Name("PATH"), "none", InPlace, "Reloads at the time written in a file.",
        Refused("a systemd timer with 'lbctl reload' does it, and its log says how it went")),
    row("reload_repeat", Nothing, "off", InPlace, "Keeps that file.", Refused("a systemd timer with 'lbctl reload' does it, and its log says how it went")),
    row("reload_file", OptName("PATH"), "none", InPlace, "A file that exists while the configuration is read.",
        Refused("no such file is made; 'lbctl reload' answers when it is over, and how")),
    row("include_check", OptWords("read|match|wildcard_match|brace_match"), "none", InPlace, "What counts as an error in \
        plain include lines below; all of it without a word, with + or - more or less of it.",
        // Acts on the lines below while these are read: see `source`.
        Set(|_, a, cx| include_check(a, cx))),
    row("data_use_instance", Flag, "off", InPlace, "Names in the names of dump files.",
        Idle("there is one name for each file; set it with state_dump_file and its companions")),
    row("state_dump_file", Name("PATH"), "/tmp/keepalived.data", InPlace, "Where SIGUSR1 writes instances and groups, \
        and beside it services and checks (NAME_check); one that ends in '/' is a folder.",
        Set(|it, a, _| drop(it.dump_files.insert(DumpKind::Data, a.text().to_owned())))),
    row("stats_dump_file", Name("PATH"), "/tmp/keepalived.stats", InPlace, "Where SIGUSR2 writes counters of \
        instances, and SIGRTMAX-1, after which they count anew.",
        Set(|it, a, _| drop(it.dump_files.insert(DumpKind::Stats, a.text().to_owned())))),
    row("json_dump_file", Name("PATH"), "/tmp/keepalived.json", InPlace, "Where SIGRTMIN+2 writes instances and their \
        counters as JSON.", Set(|it, a, _| drop(it.dump_files.insert(DumpKind::Json, a.text().to_owned())))),
    row("json_version", OneOf(&["1", "2"]), "1", InPlace, "Layout of that: 1 a list, 2 an object with the \
        list 'vrrp'.", Set(|it, a, _| it.json_version = if a.text() == "2" { 2 } else { 1 })),
    row("iproute_usr_dir", Name("PATH"), "/usr/share/iproute2 or /usr/lib/iproute2", InPlace, "Where the names of tables, \
        realms and the like are that iproute2 came with.",
        Set(|it, a, _| it.iproute_usr = Some(a.text().to_owned()))),
    row("iproute_etc_dir", Name("PATH"), "/etc/iproute2", InPlace, "Where this host's names are. They go first.",
        Set(|it, a, _| it.iproute_etc = Some(a.text().to_owned()))),
];

fn fifo(it: &mut FifoWords, a: &Args<'_, '_>) {
    let word = |at: usize| a.words.get(at).map(|word| word.text.to_owned());
    let words = ScriptWords {
        argv: word(0).into_iter().collect(),
        user: word(1),
        group: word(2),
    };
    it.path = Some((words, a.span()));
}

fn include_check(a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    for word in a.words {
        if IncludeCheck::default().read_word(word.text).is_none() {
            let text = format!(
                "include_check knows read, match, wildcard_match and brace_match, not '{}'",
                shown(word.text)
            );
            cx.error("L-06", word.span, text, &["it is left out"]);
        }
    }
}

fn recipients(it: &mut GlobalDefs, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    // One a line: quotes keep a display name together with its address.
    let lines = block.statements.iter();
    it.mail.to.extend(lines.map(|line| {
        let words: Vec<&str> = line.words.iter().map(|word| word.text).collect();
        words.join(" ")
    }));
}

fn mail_server(it: &mut GlobalDefs, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let port = match a.words.get(1) {
        None => 25,
        Some(word) => match word.text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                let text = format!("'{}' is no port", shown(word.text));
                return cx.error(
                    "L-28",
                    word.span,
                    text,
                    &["the mail server is ignored", "write 1 to 65535"],
                );
            }
        },
    };
    it.mail.server = Some((a.words[0].text.to_owned(), port, a.span()));
}

fn flush_on_stop(it: &mut GlobalDefs, a: &Args<'_, '_>, _: &mut Cx<'_>) {
    it.lvs_flush_on_stop = a.text() != "VS";
}

fn lvs_timeouts(it: &mut GlobalDefs, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    for pair in a.words.chunks(2) {
        let slot = match pair[0].text {
            "tcp" => 0,
            "tcpfin" => 1,
            "udp" => 2,
            other => {
                let text = format!("lvs_timeouts knows tcp, tcpfin and udp, not '{other}'");
                cx.error(
                    "L-06",
                    pair[0].span,
                    text,
                    &["write 'lvs_timeouts tcp N tcpfin N udp N'"],
                );
                continue;
            }
        };
        match pair.get(1).map(|word| (word, value::number(word.text))) {
            Some((_, Some(number))) if (0..=2_678_400).contains(&number) => {
                it.lvs_timeouts[slot] = u32::try_from(number).unwrap_or(0);
            }
            Some((word, _)) => {
                let text = format!(
                    "lvs_timeouts {} '{}' is not a number in 0–2678400",
                    pair[0].text, word.text
                );
                cx.error("L-05", word.span, text, &["this time-out stays as it is"]);
            }
            None => cx.error(
                "L-03",
                pair[0].span,
                "a number of seconds is missing",
                &["it stays as it is"],
            ),
        }
    }
}

fn sync_daemon(it: &mut GlobalDefs, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let Some((interface, mut rest)) = a.words.split_first() else {
        return cx.error(
            "L-03",
            a.span(),
            "lvs_sync_daemon needs an interface",
            &["connections are not copied to the other director"],
        );
    };
    let mut sync = SyncWords {
        interface: interface.text.to_owned(),
        ..SyncWords::default()
    };
    // The instance may stand behind the interface without its word.
    if let Some((word, further)) = rest.split_first()
        && !["inst", "id", "maxlen", "port", "ttl", "group"].contains(&word.text)
    {
        sync.instance = Some((word.text.to_owned(), word.span));
        rest = further;
        if let Some((word, further)) = rest.split_first()
            && let Some(id) = value::number(word.text).and_then(|id| u8::try_from(id).ok())
        {
            cx.warn(
                "L-14",
                word.span,
                "an id without its word",
                &[&format!("it acts; write 'id {id}' instead")],
            );
            sync.id = Some(id);
            rest = further;
        }
    }
    for pair in rest.chunks(2) {
        let Some(word) = pair.get(1) else {
            let text = format!("lvs_sync_daemon: '{}' needs a value", shown(pair[0].text));
            cx.error("L-03", pair[0].span, text, &["it is left out"]);
            continue;
        };
        let number = value::number(word.text);
        let within = |low: i128, high: i128| number.filter(|it| (low..=high).contains(it));
        let range = match pair[0].text {
            "inst" => {
                sync.instance = Some((word.text.to_owned(), word.span));
                continue;
            }
            "group" => match word.text.parse::<IpAddr>() {
                Ok(group) if group.is_multicast() => {
                    sync.group = Some(group);
                    continue;
                }
                _ => "a multicast address",
            },
            "id" => match within(0, 255).and_then(|it| u8::try_from(it).ok()) {
                Some(id) => {
                    sync.id = Some(id);
                    continue;
                }
                None => "a number in 0–255",
            },
            "ttl" => match within(1, 255).and_then(|it| u8::try_from(it).ok()) {
                Some(ttl) => {
                    sync.ttl = ttl;
                    continue;
                }
                None => "a number in 1–255",
            },
            "maxlen" => match within(1, 65_507).and_then(|it| u16::try_from(it).ok()) {
                Some(maxlen) => {
                    sync.maxlen = maxlen;
                    continue;
                }
                None => "a number in 1–65507",
            },
            "port" => match within(1, 65_535).and_then(|it| u16::try_from(it).ok()) {
                Some(port) => {
                    sync.port = port;
                    continue;
                }
                None => "a number in 1–65535",
            },
            other => {
                let text = format!(
                    "lvs_sync_daemon knows inst, id, maxlen, port, ttl and group, not '{}'",
                    shown(other)
                );
                cx.error("L-06", pair[0].span, text, &["it is left out"]);
                continue;
            }
        };
        let text = format!(
            "lvs_sync_daemon: {} '{}' is not {range}",
            pair[0].text,
            shown(word.text)
        );
        cx.error("L-05", word.span, text, &["the default is used"]);
    }
    it.sync_daemon = Some(sync);
}

fn multicast(slot: &mut Option<IpAddr>, a: &Args<'_, '_>, v4: bool, cx: &mut Cx<'_>) {
    let address = a.ip();
    if address.is_multicast() && address.is_ipv4() == v4 {
        *slot = Some(address);
    } else {
        let family = if v4 { "IPv4" } else { "IPv6" };
        cx.error(
            "L-07",
            a.span(),
            format!("{address} is not an {family} multicast address"),
            &["using the default"],
        );
    }
}

impl GlobalDefs {
    /// The folders in which iproute2 keeps names, those that go first before the others.
    pub(crate) fn iproute_folders(&self) -> Vec<&str> {
        let etc = self.iproute_etc.as_deref().unwrap_or("/etc/iproute2");
        match &self.iproute_usr {
            Some(usr) => vec![etc, usr],
            None => vec![etc, "/usr/share/iproute2", "/usr/lib/iproute2"],
        }
    }

    /// The words of `script_user`.
    pub(crate) fn script_words(&self) -> ScriptWords {
        let (user, group) = self
            .script_user
            .as_ref()
            .map_or((None, None), |(user, group, _)| (user.clone(), group.clone()));
        ScriptWords {
            argv: Vec::new(),
            user,
            group,
        }
    }
}
