//! Virtual servers with their servers and checks, every default taken from above.

use super::script;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{
    At, CheckWords, Checker, GroupEntry, Raw, RawCheck, RawServer, RawServerGroup, RawService,
};
use crate::config::similar;
use crate::model::{
    Check, CheckKind, Forwarding, HttpGet, MiscCheck, Model, Persistence, PingCheck, QuorumScripts,
    Scheduler, Server, ServerScripts, Service, SorryServer, StatusRange, TcpCheck, Url,
};
use lb_shared::names::{Family, Protocol, ServerKey, ServiceKey, VirtualKey, with_port};
use lb_shared::units::Weight;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const DELAY_LOOP: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Persistence that a service for all ports gets by itself: without it the ports of one client would scatter.
const ALL_PORTS_PERSISTENCE_S: u32 = 360;

pub(super) fn objects(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
    let mut groups: BTreeMap<&str, &RawServerGroup> = BTreeMap::new();
    for group in &raw.server_groups {
        if groups.insert(&group.name, group).is_some() {
            cx.object = format!("group:{}", group.name);
            let text = format!("virtual_server_group '{}' is defined twice", group.name);
            cx.error("S-11", group.at, text, &["the last one counts"]);
        }
    }
    let mut taken: BTreeMap<VirtualKey, ServiceKey> = BTreeMap::new();
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for it in &raw.services {
        if let At::Group(name) = &it.what {
            used.insert(name);
        }
        let Some((key, entries, family)) = identity(it, &groups, cx) else {
            continue;
        };
        cx.object = format!("vs:{key}");
        if model.services.contains_key(&key) {
            cx.error(
                "S-11",
                it.at,
                format!("the service {key} is defined twice"),
                &["the first one counts"],
            );
            continue;
        }
        if let Some((entry, other)) = entries.iter().find_map(|entry| Some((entry, taken.get(entry)?))) {
            let text = format!("{entry} is already balanced by the service {other}");
            cx.error("S-11", it.at, text, &["this service is left out"]);
            continue;
        }
        if let Some(service) = service(it, key.clone(), entries, family, cx) {
            taken.extend(service.entries.iter().map(|entry| (*entry, key.clone())));
            model.services.insert(key, Arc::new(service));
        }
    }
    for group in raw
        .server_groups
        .iter()
        .filter(|group| !used.contains(group.name.as_str()))
    {
        cx.object = format!("group:{}", group.name);
        let text = format!("no virtual_server uses the group '{}'", group.name);
        cx.warn("S-12", group.at, text, &["it has no effect"]);
    }
    cx.object.clear();
}

/// The service's name, what stands for it in the kernel, and its family.
fn identity(
    it: &RawService,
    groups: &BTreeMap<&str, &RawServerGroup>,
    cx: &mut Cx<'_>,
) -> Option<(ServiceKey, Vec<VirtualKey>, Family)> {
    match &it.what {
        At::Address(address, port) => {
            let protocol = protocol(it, cx);
            let key = VirtualKey::Address {
                address: *address,
                port: *port,
                protocol,
            };
            Some((ServiceKey::Single(key), vec![key], Family::of(*address)))
        }
        At::Fwmark(mark) => {
            if let Some((_, at)) = it.protocol {
                cx.warn(
                    "S-18",
                    at,
                    "a mark says nothing about a protocol",
                    &["the line is ignored, as in keepalived"],
                );
            }
            let tunnels = matches!(it.forwarding, Some((Forwarding::Tunnel(_), _)));
            let first = it
                .servers
                .first()
                .filter(|_| !tunnels)
                .map(|server| Family::of(server.address));
            let family = it.family.or(first).unwrap_or(Family::Inet);
            let key = VirtualKey::Fwmark { mark: *mark, family };
            Some((ServiceKey::Single(key), vec![key], family))
        }
        At::Group(name) => {
            let Some(group) = groups.get(name.as_str()) else {
                let near = similar::nearest(name, groups.keys().copied());
                let advice = near.map_or_else(
                    || format!("define it with 'virtual_server_group {} {{ … }}'", shown(name)),
                    |near| format!("did you mean '{near}'?"),
                );
                let text = format!("there is no virtual_server_group '{}'", shown(name));
                cx.error("S-12", it.at, text, &[&advice, "the service is left out"]);
                return None;
            };
            group_identity(it, group, cx)
        }
    }
}

fn group_identity(
    it: &RawService,
    group: &RawServerGroup,
    cx: &mut Cx<'_>,
) -> Option<(ServiceKey, Vec<VirtualKey>, Family)> {
    let only_marks = group
        .lines
        .iter()
        .all(|line| matches!(line, GroupEntry::Fwmark(..)));
    let protocol = match (only_marks, &it.protocol) {
        (true, None) => Protocol::Tcp,
        _ => protocol(it, cx),
    };
    let mut entries = Vec::with_capacity(group.lines.len());
    for line in &group.lines {
        let entry = match *line {
            GroupEntry::Address(address, port) => VirtualKey::Address {
                address,
                port,
                protocol,
            },
            GroupEntry::Fwmark(mark, family) => VirtualKey::Fwmark { mark, family },
        };
        entries.push(entry);
    }
    let before = entries.len();
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(*entry));
    if entries.len() < before {
        let text = format!("the group '{}' lists an address twice", group.name);
        cx.warn("S-11", group.at, text, &["once is enough"]);
    }
    let Some(family) = entries.first().map(entry_family) else {
        let text = format!("the group '{}' has no addresses", group.name);
        cx.error("S-12", group.at, text, &["the service is left out"]);
        return None;
    };
    let tunnels = matches!(it.forwarding, Some((Forwarding::Tunnel(_), _)));
    if !tunnels && entries.iter().any(|entry| entry_family(entry) != family) {
        let text = format!("the group '{}' has entries of both families", group.name);
        cx.error(
            "S-07",
            group.at,
            text,
            &[
                "that needs lb_kind TUN",
                "entries of the second family are left out",
            ],
        );
        entries.retain(|entry| entry_family(entry) == family);
    }
    Some((
        ServiceKey::Group {
            group: group.name.clone(),
            protocol,
        },
        entries,
        family,
    ))
}

fn entry_family(entry: &VirtualKey) -> Family {
    match entry {
        VirtualKey::Address { address, .. } => Family::of(*address),
        VirtualKey::Fwmark { family, .. } => *family,
    }
}

fn protocol(it: &RawService, cx: &mut Cx<'_>) -> Protocol {
    it.protocol.map_or_else(
        || {
            cx.warn(
                "S-02",
                it.at,
                "no protocol: UDP is balanced",
                &[
                    "keepalived does the same",
                    "write 'protocol TCP' if that is meant",
                ],
            );
            Protocol::Udp
        },
        |(protocol, _)| protocol,
    )
}

fn service(
    it: &RawService,
    key: ServiceKey,
    entries: Vec<VirtualKey>,
    family: Family,
    cx: &mut Cx<'_>,
) -> Option<Service> {
    if it.servers.is_empty() {
        cx.error(
            "S-01",
            it.at,
            format!("the service {key} has no real servers"),
            &[
                "it is left out, as in keepalived",
                "if servers are written below: is a '}' too early or a word misspelt above them?",
            ],
        );
        return None;
    }
    let forwarding = it.forwarding.map_or_else(
        || {
            cx.warn(
                "S-03",
                it.at,
                "no lb_kind: NAT is used",
                &["keepalived does the same", "write 'lb_kind NAT'"],
            );
            Forwarding::Nat
        },
        |(forwarding, _)| forwarding,
    );
    let mut servers: BTreeMap<ServerKey, Arc<Server>> = BTreeMap::new();
    for raw in &it.servers {
        if let Some(server) = server(raw, it, family, forwarding, cx) {
            let key = server.key;
            if servers.contains_key(&key) {
                cx.error(
                    "S-06",
                    raw.at,
                    format!("the server {key} is listed twice"),
                    &["the first one counts, as in keepalived"],
                );
            } else {
                servers.insert(key, Arc::new(server));
            }
        }
    }
    if servers.is_empty() {
        cx.error(
            "S-01",
            it.at,
            format!("none of the servers of {key} can be used"),
            &["the service is left out"],
        );
        return None;
    }
    let (quorum, hysteresis) = quorum(it, &servers, cx);
    let (name, scheduler) = (it.scheduler.map_or("wlc", |(name, _)| name), it.flags);
    Some(Service {
        name: it.snmp_name.clone().or_else(|| match &key {
            ServiceKey::Group { group, .. } => Some(group.clone()),
            ServiceKey::Single(_) => None,
        }),
        scheduler: Scheduler {
            name: name.to_owned(),
            flag_1: scheduler[0],
            flag_2: scheduler[1],
            flag_3: scheduler[2],
        },
        persistence: persistence(it, &entries, family, cx),
        one_packet: one_packet(it, &key, cx),
        key,
        entries,
        family,
        forwarding,
        quorum,
        hysteresis,
        omega: it.omega,
        quorum_scripts: QuorumScripts {
            up: script::notify(it.quorum_up.as_ref(), cx),
            down: script::notify(it.quorum_down.as_ref(), cx),
        },
        sorry: sorry(it, family, forwarding, &servers, cx),
        ha_suspend: it.ha_suspend,
        servers,
    })
}

fn own_port(it: &RawService) -> Option<u16> {
    match it.what {
        At::Address(_, port) => Some(port),
        At::Fwmark(_) | At::Group(_) => None,
    }
}

fn one_packet(it: &RawService, key: &ServiceKey, cx: &mut Cx<'_>) -> bool {
    let Some(at) = it.ops else { return false };
    let udp = match key {
        ServiceKey::Single(VirtualKey::Address { protocol, .. }) | ServiceKey::Group { protocol, .. } => {
            *protocol == Protocol::Udp
        }
        ServiceKey::Single(VirtualKey::Fwmark { .. }) => true,
    };
    if !udp {
        cx.error(
            "S-10",
            at,
            "ops is for UDP only",
            &["it is left out, as in keepalived"],
        );
    }
    udp
}

fn persistence(
    it: &RawService,
    entries: &[VirtualKey],
    family: Family,
    cx: &mut Cx<'_>,
) -> Option<Persistence> {
    let all_ports = entries
        .iter()
        .any(|entry| matches!(entry, VirtualKey::Address { port: 0, .. }));
    let timeout_s = match it.persistence {
        Some(timeout_s) => timeout_s,
        None if all_ports => {
            cx.hint(
                "S-09",
                it.at,
                "a service for all ports is persistent for 360 s",
                &["keepalived does the same; write persistence_timeout for another time"],
            );
            ALL_PORTS_PERSISTENCE_S
        }
        None => {
            if let Some((_, _, at)) = it.granularity {
                cx.warn(
                    "S-23",
                    at,
                    "persistence_granularity without persistence_timeout",
                    &["it has no effect"],
                );
            }
            return None;
        }
    };
    let prefix_len = match it.granularity {
        Some((length, of, _)) if of == family => length,
        Some((_, _, at)) => {
            cx.error(
                "S-23",
                at,
                "persistence_granularity is of the other family",
                &["each client counts for itself"],
            );
            family.bits()
        }
        None => family.bits(),
    };
    Some(Persistence {
        timeout_s,
        prefix_len,
        engine: it.engine.clone(),
    })
}

fn quorum(it: &RawService, servers: &BTreeMap<ServerKey, Arc<Server>>, cx: &mut Cx<'_>) -> (u64, u64) {
    let sum: u64 = servers
        .values()
        .map(|server| u64::from(server.weight.get()))
        .sum();
    let (mut quorum, at) = it.quorum.unwrap_or((1, it.at));
    if quorum > sum.max(1) {
        let text = format!("quorum {quorum} is above the sum of the weights, {sum}");
        cx.warn(
            "S-04",
            at,
            text,
            &[&format!("{} is used, as in keepalived", sum.max(1))],
        );
        quorum = sum.max(1);
    }
    let (mut hysteresis, at) = it.hysteresis.unwrap_or((0, it.at));
    if hysteresis >= quorum && hysteresis > 0 {
        let text = format!("hysteresis {hysteresis} is not below the quorum, {quorum}");
        cx.warn(
            "S-05",
            at,
            text,
            &[&format!("{} is used, as in keepalived", quorum - 1)],
        );
        hysteresis = quorum - 1;
    }
    (quorum, hysteresis)
}

fn sorry(
    it: &RawService,
    family: Family,
    forwarding: Forwarding,
    servers: &BTreeMap<ServerKey, Arc<Server>>,
    cx: &mut Cx<'_>,
) -> Option<SorryServer> {
    let (address, port, at) = it.sorry?;
    let forwarding = it.sorry_forwarding.unwrap_or(forwarding);
    if Family::of(address) != family && !matches!(forwarding, Forwarding::Tunnel(_)) {
        let text = format!("sorry_server {address} is of another family than the service");
        cx.error(
            "S-07",
            at,
            text,
            &["that needs lb_kind TUN", "there is no sorry server"],
        );
        return None;
    }
    let key = ServerKey {
        address,
        port: port.or(own_port(it)).unwrap_or(0),
    };
    if servers.contains_key(&key) {
        cx.warn(
            "S-25",
            at,
            format!("the sorry server {key} is also a real server"),
            &["it gets traffic even when its checks have failed"],
        );
    }
    Some(SorryServer {
        key,
        forwarding,
        inhibit: it.sorry_inhibit,
    })
}

fn server(
    raw: &RawServer,
    it: &RawService,
    family: Family,
    forwarding: Forwarding,
    cx: &mut Cx<'_>,
) -> Option<Server> {
    let forwarding = raw.forwarding.unwrap_or(forwarding);
    let tunnels = matches!(forwarding, Forwarding::Tunnel(_));
    if Family::of(raw.address) != family && !tunnels {
        let text = format!("server {} is of another family than the service", raw.address);
        cx.error(
            "S-07",
            raw.at,
            text,
            &["that needs lb_kind TUN", "the server is left out"],
        );
        return None;
    }
    let service_port = own_port(it);
    let mut port = raw.port.or(service_port).unwrap_or(0);
    if let Some(wanted) = service_port.filter(|wanted| *wanted != port && forwarding != Forwarding::Nat) {
        let text = format!(
            "with {} a server has the port of the service, {wanted}",
            forwarding.word()
        );
        cx.warn(
            "S-08",
            raw.at,
            text,
            &[
                &format!("{wanted} is used instead of {port}, as in keepalived"),
                "only NAT can change the port",
            ],
        );
        port = wanted;
    }
    let mut lower_threshold = raw.lower_threshold;
    if raw.upper_threshold > 0 && lower_threshold > raw.upper_threshold {
        cx.error(
            "S-24",
            raw.at,
            "lthreshold is above uthreshold",
            &["there is no lower threshold"],
        );
        lower_threshold = 0;
    }
    let key = ServerKey {
        address: raw.address,
        port,
    };
    let weight = Weight::new(raw.weight.or(it.weight).unwrap_or(1)).unwrap_or(Weight::MAX);
    let words = inherit(&raw.words, &it.words);
    let checks = raw
        .checks
        .iter()
        .filter_map(|check| self::check(check, key, &words, cx))
        .collect();
    Some(Server {
        key,
        forwarding,
        weight,
        upper_threshold: raw.upper_threshold,
        lower_threshold,
        inhibit_on_failure: raw.inhibit_on_failure.unwrap_or(it.inhibit_on_failure),
        checks,
        scripts: ServerScripts {
            up: script::notify(raw.notify_up.as_ref(), cx),
            down: script::notify(raw.notify_down.as_ref(), cx),
        },
    })
}

/// The settings of a block, those it lacks taken from the block around it.
fn inherit(inner: &CheckWords, outer: &CheckWords) -> CheckWords {
    CheckWords {
        delay_loop: inner.delay_loop.or(outer.delay_loop),
        retry: inner.retry.or(outer.retry),
        delay_before_retry: inner.delay_before_retry.or(outer.delay_before_retry),
        warmup: inner.warmup.or(outer.warmup),
        connect_timeout: inner.connect_timeout.or(outer.connect_timeout),
        alpha: inner.alpha.or(outer.alpha),
        virtualhost: inner.virtualhost.clone().or_else(|| outer.virtualhost.clone()),
    }
}

fn check(it: &RawCheck, server: ServerKey, server_words: &CheckWords, cx: &mut Cx<'_>) -> Option<Check> {
    let words = inherit(&it.words, server_words);
    let delay_loop = words.delay_loop.unwrap_or(DELAY_LOOP);
    let http = matches!(it.checker, Checker::Http | Checker::Ssl);
    let kind = match it.checker {
        Checker::Tcp => CheckKind::Tcp(connect(it, server, &words, cx)),
        Checker::Http | Checker::Ssl => CheckKind::Http(http_get(it, server, &words, cx)?),
        Checker::Misc => CheckKind::Misc(misc(it, delay_loop, cx)?),
        Checker::Ping => CheckKind::Ping(PingCheck {
            to: it.connect_ip.unwrap_or(server.address),
            from: it.bind_to.map(|(address, _)| address),
            device: it.bind_if.clone(),
            mark: it.mark,
            timeout: words.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        }),
    };
    Some(Check {
        kind,
        delay_loop,
        retry: words.retry.unwrap_or(u32::from(it.checker != Checker::Misc)),
        delay_before_retry: words
            .delay_before_retry
            .unwrap_or(Duration::from_secs(if http { 3 } else { 1 })),
        warmup: words.warmup.unwrap_or(delay_loop),
        alpha: words.alpha.unwrap_or(false),
        log_all_failures: it.log_all_failures.unwrap_or(cx.global.checker_log_all_failures),
    })
}

fn connect(it: &RawCheck, server: ServerKey, words: &CheckWords, cx: &mut Cx<'_>) -> TcpCheck {
    let address = it.connect_ip.unwrap_or(server.address);
    let port = it.connect_port.unwrap_or(server.port);
    if port == 0 {
        cx.error(
            "S-22",
            it.at,
            "there is no port to check",
            &[
                "the check fails always: port 0 cannot be connected to",
                "write 'connect_port N' into the check",
            ],
        );
    }
    let from = match (it.bind_to, it.bind_port) {
        (Some((from, at)), port) => {
            if from.is_ipv4() == address.is_ipv4() {
                Some(SocketAddr::new(from, port.unwrap_or(0)))
            } else {
                cx.error(
                    "S-07",
                    at,
                    format!("bindto {from} is of another family than {address}"),
                    &["it is left out"],
                );
                None
            }
        }
        (None, Some(port)) => {
            let any = if address.is_ipv4() {
                IpAddr::from([0; 4])
            } else {
                IpAddr::from([0; 16])
            };
            Some(SocketAddr::new(any, port))
        }
        (None, None) => None,
    };
    TcpCheck {
        to: SocketAddr::new(address, port),
        from,
        device: it.bind_if.clone(),
        mark: it.mark,
        timeout: words.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
    }
}

fn http_get(it: &RawCheck, server: ServerKey, words: &CheckWords, cx: &mut Cx<'_>) -> Option<HttpGet> {
    let tls = it.checker == Checker::Ssl;
    let mut urls = Vec::with_capacity(it.urls.len());
    for raw in &it.urls {
        let Some(path) = raw.path.clone() else {
            cx.error(
                "S-14",
                raw.at,
                "a url without path",
                &["it is left out, as in keepalived", "write 'path /'"],
            );
            continue;
        };
        let host = raw.virtualhost.clone().or_else(|| words.virtualhost.clone());
        let any = StatusRange { low: 200, high: 299 };
        urls.push(Url {
            path,
            host: host.unwrap_or_else(|| with_port(server.address, server.port)),
            status: if raw.status.is_empty() {
                vec![any]
            } else {
                raw.status.clone()
            },
            digest: raw.digest,
            regex: raw.regex.as_ref().and_then(|(pattern, at)| {
                let pattern = match raw.regex_flags.as_str() {
                    "" => pattern.clone(),
                    flags => format!("(?{flags}){pattern}"),
                };
                compiles(&pattern, *at, cx).then_some((pattern, !raw.regex_no_match))
            }),
        });
    }
    if urls.is_empty() {
        cx.error(
            "S-14",
            it.at,
            "the check asks for nothing: it has no url",
            &[
                "the check is left out, as in keepalived: the server counts as up",
                "write 'url { path / }'",
            ],
        );
        return None;
    }
    let named = it
        .words
        .virtualhost
        .clone()
        .or_else(|| it.urls.iter().find_map(|url| url.virtualhost.clone()));
    let sni = if tls && it.enable_sni {
        it.sni_name.clone().or(named)
    } else {
        None
    };
    if tls && it.enable_sni && sni.is_none() {
        cx.warn(
            "S-26",
            it.at,
            "enable_sni without a name to send",
            &[
                "no name is sent, as in keepalived",
                "write 'virtualhost NAME' into the check, or 'sni_name NAME'",
            ],
        );
    }
    Some(HttpGet {
        connect: connect(it, server, words, cx),
        tls,
        sni,
        version: it.version,
        urls,
        fast_recovery: it.fast_recovery,
    })
}

/// Whether a pattern can be used: in linear time if possible, else with a limit on its steps.
fn compiles(pattern: &str, at: crate::config::lexer::Span, cx: &mut Cx<'_>) -> bool {
    if regex::Regex::new(pattern).is_ok() || fancy_regex::Regex::new(pattern).is_ok() {
        return true;
    }
    cx.error(
        "S-17",
        at,
        "the pattern is not a regular expression",
        &[
            "the body is not searched",
            "test it with: curl -s URL | grep -P 'PATTERN'",
        ],
    );
    false
}

fn misc(it: &RawCheck, delay_loop: Duration, cx: &mut Cx<'_>) -> Option<MiscCheck> {
    let Some((words, at)) = &it.misc_path else {
        cx.error(
            "S-15",
            it.at,
            "MISC_CHECK without misc_path",
            &[
                "the check is left out, as in keepalived: the server counts as up",
                "write 'misc_path \"/path/command\"'",
            ],
        );
        return None;
    };
    let resolved = script::resolve(words, it.user.as_ref(), *at, true, cx);
    Some(MiscCheck {
        script: resolved.script,
        timeout: it
            .misc_timeout
            .filter(|timeout| !timeout.is_zero())
            .unwrap_or(delay_loop),
        dynamic: it.misc_dynamic,
        broken: resolved.broken,
    })
}
