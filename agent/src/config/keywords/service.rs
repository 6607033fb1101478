//! Virtual servers, their groups and their real servers.

use super::check::{self, CheckWords, RawCheck};
use super::{Entry, Inert, Raw, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Idle, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{
    self, Endpoint, Flag, Int, Name, Nothing, OneOf, OptInt, OptWords, Script, Seconds, Words,
};
use crate::config::keyword::{Args, Keyword, Table, no_block, read_block, row, shown};
use crate::config::lexer::{Span, Word};
use crate::config::mistakes;
use crate::config::tree::Statement;
use crate::config::value::{self, ScriptWords};
use crate::model::{Forwarding, TunnelType};
use lb_shared::names::{Family, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a `virtual_server` stands for, before its protocol is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum At {
    Address(IpAddr, u16),
    Fwmark(u32),
    Group(String),
}

/// A `virtual_server` as written.
#[derive(Debug)]
pub(crate) struct RawService {
    pub what: At,
    pub at: Span,
    pub family: Option<Family>,
    pub words: CheckWords,
    pub scheduler: Option<(&'static str, Span)>,
    pub flags: [bool; 3],
    pub forwarding: Option<(Forwarding, Span)>,
    pub protocol: Option<(Protocol, Span)>,
    pub persistence: Option<u32>,
    pub granularity: Option<(u8, Family, Span)>,
    pub engine: Option<String>,
    pub ops: Option<Span>,
    pub omega: bool,
    pub quorum: Option<(u64, Span)>,
    pub hysteresis: Option<(u64, Span)>,
    pub quorum_up: Option<(ScriptWords, Span)>,
    pub quorum_down: Option<(ScriptWords, Span)>,
    pub mail: Option<bool>,
    pub weight: Option<u32>,
    pub inhibit_on_failure: bool,
    pub ha_suspend: bool,
    pub sorry: Option<(IpAddr, Option<u16>, Span)>,
    pub sorry_inhibit: bool,
    pub sorry_forwarding: Option<Forwarding>,
    pub snmp_name: Option<String>,
    pub servers: Vec<RawServer>,
}

/// A `real_server` as written.
#[derive(Debug)]
pub(crate) struct RawServer {
    pub address: IpAddr,
    pub port: Option<u16>,
    pub at: Span,
    pub words: CheckWords,
    pub weight: Option<u32>,
    pub forwarding: Option<Forwarding>,
    pub upper_threshold: u32,
    pub lower_threshold: u32,
    pub inhibit_on_failure: Option<bool>,
    /// In boxes, since few of many servers have one.
    pub notify_up: Option<Box<(ScriptWords, Span)>>,
    pub notify_down: Option<Box<(ScriptWords, Span)>>,
    pub mail: Option<bool>,
    pub checks: Vec<RawCheck>,
}

/// One address or mark of a `virtual_server_group`; a range stands for several.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GroupEntry {
    Address(IpAddr, u16),
    Fwmark(u32, Family),
}

/// A `virtual_server_group` as written.
#[derive(Debug)]
pub(crate) struct RawServerGroup {
    pub name: String,
    pub at: Span,
    pub lines: Vec<GroupEntry>,
}

/// Addresses one line of a group may stand for.
const RANGE_MAX: usize = 65_536;
/// Addresses all groups together may stand for.
const ADDRESSES_MAX: usize = 200_000;

/// The kernel's schedulers.
pub(crate) const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos",
];

pub(crate) const SERVICE: Table<RawService> = Table {
    block: "virtual_server",
    parts: &[SERVICE_ROWS],
};
pub(crate) const SERVER: Table<RawServer> = Table {
    block: "virtual_server/real_server",
    parts: &[SERVER_ROWS],
};

const METHOD: &str = "NAT|DR|TUN [type ipip|gue port N|gre] [nocsum|csum|remcsum]";
const ANY_SECONDS: Takes = Seconds(0, 4_294_967_295_000_000);

#[rustfmt::skip]
const SERVICE_ROWS: &[Keyword<RawService>] = &[
    row("ip_family", OneOf(&["inet", "inet6"]), "that of the address", InPlace, "Family of a mark or a group.",
        Set(|it, a, _| it.family = Some(if a.text() == "inet6" { Family::Inet6 } else { Family::Inet }))),
    row("delay_loop", Seconds(1, 4_294_967_295_000_000), "60", InPlace, "Time between two checks of a server.",
        Set(|it, a, _| it.words.delay_loop = Some(a.span_of_time()))),
    row("lb_algo", OneOf(SCHEDULERS), "wlc", InPlace, "How connections are spread.", Set(scheduler)),
    row("lvs_sched", OneOf(SCHEDULERS), "wlc", InPlace, "The same as lb_algo.", Set(scheduler)),
    row("lb_kind", Words(METHOD), "NAT", InPlace, "How packets get to the servers.",
        Set(|it, a, cx| it.forwarding = method(a, cx).map(|method| (method, a.span())))),
    row("lvs_method", Words(METHOD), "NAT", InPlace, "The same as lb_kind.",
        Set(|it, a, cx| it.forwarding = method(a, cx).map(|method| (method, a.span())))),
    row("protocol", Words("TCP|UDP|SCTP"), "UDP", InPlace, "What is balanced.", Set(protocol)),
    row("persistence_timeout", OptInt(0, 2_678_400), "off (360 when written without a number)", InPlace, "How many \
        seconds a client stays on its server.", Set(persistence_timeout)),
    row("persistence_granularity", Name("NETMASK|LENGTH"), "each client", InPlace, "Clients that count as one.",
        Set(granularity)),
    row("persistence_engine", OneOf(&["sip"]), "none", InPlace, "What a client is recognised by: sip, the call id.",
        Set(|it, a, _| it.engine = Some(a.text().to_owned()))),
    row("ops", Nothing, "off", InPlace, "Every packet is scheduled on its own; UDP only.",
        Set(|it, a, _| it.ops = Some(a.keyword.span))),
    row("hashed", Nothing, "", InPlace, "Old flag.", Idle("it does nothing in keepalived either")),
    row("flag-1", Nothing, "off", InPlace, "First flag of the scheduler.", Set(|it, _, _| it.flags[0] = true)),
    row("flag-2", Nothing, "off", InPlace, "Second flag of the scheduler.", Set(|it, _, _| it.flags[1] = true)),
    row("flag-3", Nothing, "off", InPlace, "Third flag of the scheduler.", Set(|it, _, _| it.flags[2] = true)),
    row("sh-port", Nothing, "off", InPlace, "sh: the port takes part in the hash.", Set(named_flag)),
    row("sh-fallback", Nothing, "off", InPlace, "sh: clients of an unusable server move.", Set(named_flag)),
    row("mh-port", Nothing, "off", InPlace, "mh: the port takes part in the hash.", Set(named_flag)),
    row("mh-fallback", Nothing, "off", InPlace, "mh: clients of an unusable server move.", Set(named_flag)),
    row("alpha", Nothing, "off", InPlace, "Servers are down until their checks pass.",
        Set(|it, _, _| it.words.alpha = Some(true))),
    row("omega", Nothing, "off", InPlace, "Runs notify_down and quorum_down at the end.",
        Set(|it, _, _| it.omega = true)),
    row("quorum", Int(1, 4_294_967_295), "1", InPlace, "Sum of weights needed for the service to be up.",
        Set(|it, a, _| it.quorum = Some((a.small(), a.span())))),
    row("hysteresis", Int(0, 4_294_967_295), "0", InPlace, "Margin around the quorum; less than it.",
        Set(|it, a, _| it.hysteresis = Some((a.small(), a.span())))),
    row("quorum_up", Script, "none", InPlace, "Run when the quorum is gained.",
        Set(|it, a, _| it.quorum_up = Some((a.script(), a.span())))),
    row("quorum_down", Script, "none", InPlace, "Run when the quorum is lost.",
        Set(|it, a, _| it.quorum_down = Some((a.script(), a.span())))),
    row("weight", Int(1, 2_147_483_647), "1", InPlace, "Weight of servers that have none of their own.",
        Set(|it, a, _| it.weight = Some(a.small()))),
    row("inhibit_on_failure", Nothing, "off", InPlace, "Default of inhibit_on_failure of the servers.",
        Set(|it, _, _| it.inhibit_on_failure = true)),
    row("ha_suspend", Nothing, "off", InPlace, "No checks while no address of the service is on this host.",
        Set(|it, _, _| it.ha_suspend = true)),
    row("virtualhost", Name("NAME"), "none", InPlace, "Host that HTTP checks ask for.",
        Set(|it, a, _| it.words.virtualhost = Some(a.text().to_owned()))),
    row("sorry_server", Endpoint, "none", InPlace, "Server used while the quorum is lost. It is not checked.",
        Set(|it, a, _| {
            let (address, port) = a.endpoint();
            it.sorry = Some((address, port, a.span()));
        })),
    row("sorry_server_inhibit", Nothing, "off", InPlace, "The sorry server stays in the table with weight 0 while it is \
        not needed.", Set(|it, _, _| it.sorry_inhibit = true)),
    row("sorry_server_lvs_method", Words(METHOD), "lb_kind", InPlace, "How packets get to the sorry server.",
        Set(|it, a, cx| it.sorry_forwarding = method(a, cx))),
    row("retry", Int(1, 4_294_967_295), "1 (MISC_CHECK 0)", InPlace, "Default of retry of the checks.",
        Set(|it, a, _| it.words.retry = Some(a.small()))),
    row("delay_before_retry", ANY_SECONDS, "1 (HTTP_GET, SSL_GET 3)", InPlace, "Default of delay_before_retry.",
        Set(|it, a, _| it.words.delay_before_retry = Some(a.span_of_time()))),
    row("warmup", ANY_SECONDS, "delay_loop", InPlace, "Default of warmup of the checks.",
        Set(|it, a, _| it.words.warmup = Some(a.span_of_time()))),
    row("connect_timeout", Seconds(1, 4_294_000_000), "5", InPlace, "Default of connect_timeout of the checks.",
        Set(|it, a, _| it.words.connect_timeout = Some(a.span_of_time()))),
    row("smtp_alert", Flag, "the global one", InPlace, "Mail on a change of quorum.",
        Set(|it, a, _| it.mail = Some(a.flag()))),
    row("snmp_name", Name("TEXT"), "none", InPlace, "A name for the service in status and events.",
        Set(|it, a, _| it.snmp_name = Some(a.text().to_owned()))),
    row("real_server", Takes::Block("ADDRESS [PORT]"), "", InPlace, "One server.", Block(server)),
];

#[rustfmt::skip]
const SERVER_ROWS: &[Keyword<RawServer>] = &[
    row("weight", Int(0, 2_147_483_647), "1, or that of the virtual_server", InPlace, "Its share; 0: no new \
        connections.", Set(|it, a, _| it.weight = Some(a.small()))),
    row("lvs_method", Words(METHOD), "that of the virtual_server", InPlace, "How packets get to it.",
        Set(|it, a, cx| it.forwarding = method(a, cx))),
    row("uthreshold", Int(0, 4_294_967_295), "0", InPlace, "Connections above which it gets no new ones; 0: no limit.",
        Set(|it, a, _| it.upper_threshold = a.small())),
    row("lthreshold", Int(0, 4_294_967_295), "0", InPlace, "Connections below which it gets new ones again.",
        Set(|it, a, _| it.lower_threshold = a.small())),
    row("inhibit_on_failure", Flag, "that of the virtual_server", InPlace, "When it fails its weight becomes 0; it stays \
        in the table.", Set(|it, a, _| it.inhibit_on_failure = Some(a.flag()))),
    row("notify_up", Script, "none", InPlace, "Run when it comes up.",
        Set(|it, a, _| it.notify_up = Some(Box::new((a.script(), a.span()))))),
    row("notify_down", Script, "none", InPlace, "Run when it goes down.",
        Set(|it, a, _| it.notify_down = Some(Box::new((a.script(), a.span()))))),
    row("alpha", Flag, "that of the virtual_server", InPlace, "Down until its checks pass.",
        Set(|it, a, _| it.words.alpha = Some(a.flag()))),
    row("retry", Int(1, 4_294_967_295), "that of the virtual_server", InPlace, "Default of retry of its checks.",
        Set(|it, a, _| it.words.retry = Some(a.small()))),
    row("delay_before_retry", ANY_SECONDS, "that of the virtual_server", InPlace, "Default of delay_before_retry.",
        Set(|it, a, _| it.words.delay_before_retry = Some(a.span_of_time()))),
    row("warmup", ANY_SECONDS, "that of the virtual_server", InPlace, "Default of warmup of its checks.",
        Set(|it, a, _| it.words.warmup = Some(a.span_of_time()))),
    row("connect_timeout", Seconds(1, 4_294_000_000), "that of the virtual_server", InPlace, "Default of \
        connect_timeout.", Set(|it, a, _| it.words.connect_timeout = Some(a.span_of_time()))),
    row("delay_loop", Seconds(1, 4_294_967_295_000_000), "that of the virtual_server", InPlace, "Time between two \
        checks.", Set(|it, a, _| it.words.delay_loop = Some(a.span_of_time()))),
    row("smtp_alert", Flag, "on", InPlace, "Mail on a change of its state.",
        Set(|it, a, _| it.mail = Some(a.flag()))),
    row("virtualhost", Name("NAME"), "that of the virtual_server", InPlace, "Host that HTTP checks ask for.",
        Set(|it, a, _| it.words.virtualhost = Some(a.text().to_owned()))),
    row("snmp_name", Name("TEXT"), "none", InPlace, "Its name in SNMP.", Idle("there is no SNMP")),
    row("TCP_CHECK", Takes::Block(""), "", InPlace, "Connects.", Block(|it, st, cx| check::tcp(&mut it.checks, st, cx))),
    row("HTTP_GET", Takes::Block(""), "", InPlace, "Asks for pages over HTTP.",
        Block(|it, st, cx| check::http(&mut it.checks, st, cx))),
    row("SSL_GET", Takes::Block(""), "", InPlace, "Asks for pages over HTTPS; certificates are not verified.",
        Block(|it, st, cx| check::ssl(&mut it.checks, st, cx))),
    row("SMTP_CHECK", Takes::Block(""), "", InPlace, "Greets a mail server.",
        Block(|it, st, cx| check::smtp(&mut it.checks, st, cx))),
    row("DNS_CHECK", Takes::Block(""), "", InPlace, "Asks a name server.",
        Block(|it, st, cx| check::dns(&mut it.checks, st, cx))),
    row("MISC_CHECK", Takes::Block(""), "", InPlace, "Runs a program.",
        Block(|it, st, cx| check::misc(&mut it.checks, st, cx))),
    row("UDP_CHECK", Takes::Block(""), "", InPlace, "Sends a datagram.",
        Block(|it, st, cx| check::udp(&mut it.checks, st, cx))),
    row("PING_CHECK", Takes::Block(""), "", InPlace, "Sends an ICMP echo.",
        Block(|it, st, cx| check::ping(&mut it.checks, st, cx))),
    row("FILE_CHECK", Takes::Block(""), "", InPlace, "Weight and state from a track_file.",
        Block(|it, st, cx| check::file(&mut it.checks, st, cx))),
    row("BFD_CHECK", Takes::Block(""), "", InPlace, "The server is down while a BFD session is.",
        Block(|it, st, cx| check::bfd(&mut it.checks, st, cx))),
];

#[rustfmt::skip]
pub(crate) const SERVER_GROUP: Table<Inert> = Table { block: "virtual_server_group", parts: &[&[
    row("<IP PORT>", OptWords("ADDRESS [PORT]"), "", InPlace, "An address.", Set(|_, _, _| {})),
    row("<RANGE>", OptWords("FIRST-LAST [PORT]"), "", InPlace, "A run of addresses, both ends included: \
        192.0.2.3-10, 2001:db8::2-9 (hexadecimal), or two whole addresses.", Set(|_, _, _| {})),
    row("<CIDR>", OptWords("ADDRESS/LENGTH [PORT]"), "", InPlace, "All addresses of a prefix.", Set(|_, _, _| {})),
    row("fwmark", OptWords("N [inet|inet6]"), "", InPlace, "A firewall mark.", Set(|_, _, _| {})),
]] };

fn scheduler(it: &mut RawService, a: &Args<'_, '_>, _: &mut Cx<'_>) {
    let name = SCHEDULERS
        .iter()
        .find(|name| **name == a.text())
        .copied()
        .unwrap_or("wlc");
    it.scheduler = Some((name, a.span()));
}

fn named_flag(it: &mut RawService, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let (wanted, flag) = a.keyword.text.split_once('-').unwrap_or(("", ""));
    match it.scheduler {
        Some((name, _)) if name == wanted => it.flags[usize::from(flag == "port")] = true,
        _ => {
            let text = format!("'{}' needs 'lb_algo {wanted}' above it", a.keyword.text);
            cx.error(
                "S-13",
                a.keyword.span,
                text,
                &["the flag is ignored, as keepalived does"],
            );
        }
    }
}

fn protocol(it: &mut RawService, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let word = a.words[0];
    let info = SERVICE_ROWS
        .iter()
        .find(|row| row.info.name == "protocol")
        .map(|row| row.info);
    if let Some(info) = info
        && mistakes::value("virtual_server", &info, word, cx)
    {
        return;
    }
    let protocol = match word.text.trim_end_matches(';').to_ascii_lowercase().as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => {
            let text = format!("protocol '{}' is not known", shown(word.text));
            cx.error(
                "L-06",
                word.span,
                text,
                &["write TCP, UDP or SCTP", "keepalived ignores the line"],
            );
            return;
        }
    };
    it.protocol = Some((protocol, a.span()));
}

fn persistence_timeout(it: &mut RawService, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    match a.opt_int() {
        None => it.persistence = Some(360),
        Some(0) => cx.warn(
            "L-05",
            a.span(),
            "persistence_timeout 0 is outside 1–2678400",
            &[
                "the service is not persistent, as in keepalived",
                "leave the line out",
            ],
        ),
        Some(seconds) => it.persistence = u32::try_from(seconds).ok(),
    }
}

fn granularity(it: &mut RawService, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    if let Ok(mask) = a.text().parse::<Ipv4Addr>() {
        let bits = mask.to_bits();
        let length = bits.count_ones();
        if bits.leading_ones() == length && length > 0 {
            it.granularity = Some((u8::try_from(length).unwrap_or(32), Family::Inet, a.span()));
        } else {
            let text = format!("netmask {mask} has holes");
            cx.error(
                "S-23",
                a.span(),
                text,
                &[
                    "each client counts for itself",
                    "write a mask such as 255.255.255.0",
                ],
            );
        }
        return;
    }
    match value::number(a.text()) {
        Some(length @ 1..=128) => {
            it.granularity = Some((u8::try_from(length).unwrap_or(128), Family::Inet6, a.span()));
        }
        _ => {
            let text = format!(
                "'{}' is neither an IPv4 netmask nor a prefix length",
                shown(a.text())
            );
            cx.error("L-06", a.span(), text, &["each client counts for itself"]);
        }
    }
}

/// Reads `NAT|DR|TUN [options]`.
fn method(a: &Args<'_, '_>, cx: &mut Cx<'_>) -> Option<Forwarding> {
    let word = a.words[0];
    match word.text.trim_end_matches(';') {
        plain @ ("NAT" | "DR") => {
            if let Some(rest) = a.words.get(1) {
                left_over(plain, *rest, cx);
            }
            Some(if plain == "NAT" {
                Forwarding::Nat
            } else {
                Forwarding::Direct
            })
        }
        "TUN" => Some(Forwarding::Tunnel(tunnel(word, &a.words[1..], cx))),
        other => {
            let upper = other.to_ascii_uppercase();
            let advice = match upper.as_str() {
                "NAT" | "DR" | "TUN" => format!("write {upper}"),
                "ROUTE" | "DIRECT" | "GATE" => "write DR".to_owned(),
                "MASQ" => "write NAT".to_owned(),
                _ => "write NAT, DR or TUN".to_owned(),
            };
            let text = format!("forwarding method '{}' is not known", shown(other));
            cx.error("L-06", word.span, text, &[&advice, "keepalived ignores the line"]);
            None
        }
    }
}

/// A word behind a method that takes none.
fn left_over(method: &str, word: Word<'_>, cx: &mut Cx<'_>) {
    if word.text.starts_with("//") {
        return mistakes::slashes(word, cx);
    }
    let text = format!("'{method}' does not take '{}'", shown(word.text));
    cx.warn("L-08", word.span, text, &["it is ignored, as keepalived does"]);
}

fn tunnel(method: Word<'_>, words: &[Word<'_>], cx: &mut Cx<'_>) -> TunnelType {
    let mut kind = "ipip";
    let mut port = None;
    let mut checksum = 0;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.text {
            "type" => match words.next().map(|word| (word.text, word.span)) {
                Some(("ipip", _)) => kind = "ipip",
                Some(("gue", _)) => kind = "gue",
                Some(("gre", _)) => kind = "gre",
                other => {
                    let span = other.map_or(word.span, |(_, span)| span);
                    cx.error(
                        "L-06",
                        span,
                        "the tunnel type is ipip, gue or gre",
                        &["ipip is used"],
                    );
                }
            },
            "port" => {
                port = words
                    .next()
                    .and_then(|word| value::number(word.text))
                    .and_then(|port| u16::try_from(port).ok());
                if port.is_none() {
                    cx.error(
                        "L-05",
                        word.span,
                        "'port' needs a number in 1–65535",
                        &["ipip is used"],
                    );
                }
            }
            "nocsum" => checksum = 0,
            "csum" => checksum = 1,
            "remcsum" => checksum = 2,
            other if other.starts_with("//") => {
                mistakes::slashes(*word, cx);
                break;
            }
            other => {
                let text = format!("'{}' is not a word for a tunnel", shown(other));
                cx.error("L-08", word.span, text, &["it is ignored"]);
            }
        }
    }
    match (kind, port) {
        ("gue", Some(port)) => TunnelType::Gue { port, checksum },
        ("gue", None) => {
            cx.error(
                "L-03",
                method.span,
                "a gue tunnel needs 'port N'",
                &["ipip is used"],
            );
            TunnelType::Ipip
        }
        ("gre", _) => TunnelType::Gre { checksum },
        _ => TunnelType::Ipip,
    }
}

pub(super) fn service(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(what) = service_key(statement, cx) else {
        return;
    };
    let mut it = RawService {
        what,
        at: statement.span(),
        family: None,
        words: CheckWords::default(),
        scheduler: None,
        flags: [false; 3],
        forwarding: None,
        protocol: None,
        persistence: None,
        granularity: None,
        engine: None,
        ops: None,
        omega: false,
        quorum: None,
        hysteresis: None,
        quorum_up: None,
        quorum_down: None,
        mail: None,
        weight: None,
        inhibit_on_failure: false,
        ha_suspend: false,
        sorry: None,
        sorry_inhibit: false,
        sorry_forwarding: None,
        snmp_name: None,
        servers: Vec::new(),
    };
    let words: Vec<&str> = statement.arguments().iter().map(|word| word.text).collect();
    let object = std::mem::replace(&mut cx.object, format!("vs:{}", words.join(" ")));
    read_block(&SERVICE, &mut it, statement, cx);
    it.servers.shrink_to_fit();
    cx.object = object;
    raw.services.push(it);
}

fn service_key(statement: &Statement<'_>, cx: &mut Cx<'_>) -> Option<At> {
    let words = statement.arguments();
    let Some(first) = words.first() else {
        cx.error(
            "L-03",
            statement.keyword().span,
            "'virtual_server' needs ADDRESS [PORT], fwmark N or group NAME",
            &["the block is skipped"],
        );
        return None;
    };
    let second = words.get(1);
    match (first.text, second) {
        ("fwmark", Some(mark)) => match value::number(mark.text) {
            Some(number) if (1..=i128::from(u32::MAX)).contains(&number) => {
                u32::try_from(number).ok().map(At::Fwmark)
            }
            _ => {
                let text = format!("fwmark '{}' is not a number in 1–4294967295", shown(mark.text));
                cx.error("L-05", mark.span, text, &["the block is skipped"]);
                None
            }
        },
        ("group", Some(name)) => Some(At::Group(name.text.to_owned())),
        ("fwmark" | "group", None) => {
            let text = format!("'virtual_server {}' needs a word behind it", first.text);
            cx.error("L-03", first.span, text, &["the block is skipped"]);
            None
        }
        _ => endpoint(words, cx).map(|(address, port)| At::Address(address, port.unwrap_or(0))),
    }
}

/// Reads `ADDRESS [PORT]` of a block's head.
fn endpoint(words: &[Word<'_>], cx: &mut Cx<'_>) -> Option<(IpAddr, Option<u16>)> {
    let first = words.first()?;
    let Some(address) = value::single_address(first.text, *first, cx) else {
        let note = match first.text.rsplit_once(':') {
            Some((address, port)) if address.parse::<Ipv4Addr>().is_ok() => {
                format!("write '{address} {port}'")
            }
            _ => "write ADDRESS PORT; host names are not looked up".to_owned(),
        };
        let text = format!("'{}' is not an IP address", shown(first.text));
        cx.error("L-07", first.span, text, &[&note, "the block is skipped"]);
        return None;
    };
    let port = match words.get(1).map(|word| (word, value::number(word.text))) {
        None => None,
        Some((_, Some(number))) if (0..=65_535).contains(&number) => u16::try_from(number).ok(),
        Some((word, _)) => {
            let text = format!("port '{}' is not a number in 0–65535", shown(word.text));
            cx.error("L-05", word.span, text, &["the block is skipped"]);
            return None;
        }
    };
    if let Some(extra) = words.get(2) {
        if extra.text.starts_with("//") {
            mistakes::slashes(*extra, cx);
            return Some((address, port));
        }
        let text = format!("'{}' has no meaning behind a port", shown(extra.text));
        cx.warn("L-08", extra.span, text, &["it is ignored, as keepalived does"]);
    }
    Some((address, port))
}

fn server(it: &mut RawService, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    if statement.arguments().is_empty() {
        let span = statement.keyword().span;
        return cx.error(
            "L-03",
            span,
            "'real_server' needs ADDRESS [PORT]",
            &["the block is skipped"],
        );
    }
    let Some((address, port)) = endpoint(statement.arguments(), cx) else {
        return;
    };
    let mut server = RawServer {
        address,
        port,
        at: statement.span(),
        words: CheckWords::default(),
        weight: None,
        forwarding: None,
        upper_threshold: 0,
        lower_threshold: 0,
        inhibit_on_failure: None,
        notify_up: None,
        notify_down: None,
        mail: None,
        checks: Vec::new(),
    };
    // A server needs no block: `real_server 192.0.2.1 80 { }` and without braces are the same.
    if statement.block.is_some() {
        read_block(&SERVER, &mut server, statement, cx);
    }
    it.servers.push(server);
}

pub(super) fn server_group(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = super::vrrp::name(statement, cx) else {
        return;
    };
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    let object = std::mem::replace(&mut cx.object, format!("group:{name}"));
    let mut lines = Vec::new();
    for line in &block.statements {
        group_line(line, &mut lines, cx);
    }
    cx.object = object;
    raw.server_groups.push(RawServerGroup {
        name,
        at: statement.span(),
        lines,
    });
}

fn group_line(line: &Statement<'_>, lines: &mut Vec<GroupEntry>, cx: &mut Cx<'_>) {
    let first = line.keyword();
    let at = line.span();
    let second = line.arguments().first();
    if first.text == "fwmark" {
        let mark = second
            .and_then(|word| value::number(word.text))
            .and_then(|mark| u32::try_from(mark).ok());
        let family = match line.arguments().get(1).map(|word| word.text) {
            Some("inet6") => Family::Inet6,
            _ => Family::Inet,
        };
        match mark {
            Some(mark) if mark > 0 => lines.push(GroupEntry::Fwmark(mark, family)),
            _ => cx.error(
                "L-05",
                at,
                "'fwmark' needs a number from 1",
                &["the line is ignored"],
            ),
        }
        return;
    }
    let port = match second.map(|word| (word, value::number(word.text))) {
        None => 0,
        Some((_, Some(number))) if (0..=65_535).contains(&number) => u16::try_from(number).unwrap_or(0),
        Some((word, _)) => {
            let text = format!("port '{}' is not a number in 0–65535", shown(word.text));
            return cx.error("L-05", word.span, text, &["the line is ignored"]);
        }
    };
    match range(first.text) {
        Ok(addresses) if cx.addresses + addresses.len() > ADDRESSES_MAX => {
            let text = format!("all groups together stand for more than {ADDRESSES_MAX} addresses");
            cx.error(
                "L-24",
                first.span,
                text,
                &["the line is ignored", "use a firewall mark for so many"],
            );
        }
        Ok(addresses) => {
            cx.addresses += addresses.len();
            lines.extend(
                addresses
                    .into_iter()
                    .map(|address| GroupEntry::Address(address, port)),
            );
        }
        Err(why) => {
            let text = format!("'{}' {why}", shown(first.text));
            cx.error(
                "L-07",
                first.span,
                text,
                &[
                    "write ADDRESS [PORT], a range, or fwmark N",
                    "the line is ignored",
                ],
            );
        }
    }
}

/// The addresses of `A.B.C.D`, `A.B.C.D-E`, `FIRST-LAST` or `ADDRESS/LENGTH`.
fn range(text: &str) -> Result<Vec<IpAddr>, String> {
    const WRONG: &str = "is not an IP address";
    let (first, last) = if let Some((first, length)) = text.split_once('/') {
        let first: IpAddr = first.parse().map_err(|_| WRONG.to_owned())?;
        let bits: u32 = if first.is_ipv4() { 32 } else { 128 };
        let length = value::number(length)
            .and_then(|length| u32::try_from(length).ok())
            .filter(|length| *length <= bits)
            .ok_or("has no valid prefix length")?;
        let host = u128::MAX.checked_shr(128 - (bits - length)).unwrap_or(0);
        let from = as_number(first);
        if from & host != 0 {
            return Err("has host bits that are not zero".to_owned());
        }
        (first, from | host)
    } else if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().map_err(|_| WRONG.to_owned())?;
        let from = as_number(first);
        let last = match (first, last.parse::<IpAddr>()) {
            (_, Ok(last)) if last.is_ipv4() == first.is_ipv4() => as_number(last),
            (IpAddr::V4(_), _) => {
                let octet = last
                    .parse::<u8>()
                    .map_err(|_| "has no valid end of the range".to_owned())?;
                (from & !0xff) | u128::from(octet)
            }
            (IpAddr::V6(_), _) => {
                let group =
                    u16::from_str_radix(last, 16).map_err(|_| "has no valid end of the range".to_owned())?;
                (from & !0xffff) | u128::from(group)
            }
        };
        (first, last)
    } else {
        return Ok(vec![text.parse().map_err(|_| WRONG.to_owned())?]);
    };
    let from = as_number(first);
    if last < from {
        return Err("ends before it begins".to_owned());
    }
    if last - from >= RANGE_MAX as u128 {
        return Err(format!("stands for more than {RANGE_MAX} addresses"));
    }
    Ok((from..=last)
        .map(|number| match first {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
        })
        .collect())
}

fn as_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &SERVER_GROUP);
    add(entries, &SERVICE);
    add(entries, &SERVER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends_and_are_bounded() {
        let texts =
            |text: &str| -> Vec<String> { range(text).unwrap().iter().map(ToString::to_string).collect() };
        assert_eq!(texts("192.0.2.3-5"), ["192.0.2.3", "192.0.2.4", "192.0.2.5"]);
        assert_eq!(texts("192.0.2.255-192.0.3.1").len(), 3);
        assert_eq!(
            texts("2001:db8::9-b"),
            ["2001:db8::9", "2001:db8::a", "2001:db8::b"]
        );
        assert_eq!(texts("192.0.2.4/30").len(), 4);
        for bad in [
            "192.0.2.5-3",
            "192.0.2.5/30",
            "10.0.0.0/8",
            "::/0",
            "x",
            "192.0.2.1-x",
            "1.2.3.4/33",
        ] {
            assert!(range(bad).is_err(), "{bad}");
        }
    }
}
