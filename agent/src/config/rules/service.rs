//! Virtual servers with their servers and checks, every default taken from above.

use super::follow::Followed;
use super::{advise, check, script};
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{At, GroupEntry, RawServer, RawServerGroup, RawService};
use crate::model::{
    Forwarding, Model, Persistence, QuorumScripts, Scheduler, Server, ServerScripts, Service, SorryServer,
};
use lb_shared::names::{Family, Protocol, ServerKey, ServiceKey, VirtualKey};
use lb_shared::units::Weight;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Persistence that a service for all ports gets by itself: without it the ports of one client would scatter.
const ALL_PORTS_PERSISTENCE_S: u32 = 360;

/// What was written of a service goes as soon as it is made: there may be very many.
pub(super) fn objects(
    services: Vec<RawService>,
    server_groups: &[RawServerGroup],
    followed: &Followed<'_>,
    model: &mut Model,
    cx: &mut Cx<'_>,
) {
    let mut groups: BTreeMap<&str, &RawServerGroup> = BTreeMap::new();
    for group in server_groups {
        if groups.insert(&group.name, group).is_some() {
            cx.object = format!("group:{}", group.name);
            let text = format!("virtual_server_group '{}' is defined twice", group.name);
            cx.error("S-11", group.at, text, &["the last one counts"]);
        }
    }
    let mut taken: BTreeMap<VirtualKey, ServiceKey> = BTreeMap::new();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for it in services {
        if let At::Group(name) = &it.what {
            used.insert(name.clone());
        }
        let Some(key) = key(&it, &groups, cx) else {
            continue;
        };
        cx.object = format!("vs:{key}");
        if model.services.contains_key(&key) {
            let text = format!("the service {key} is defined twice");
            cx.error("S-11", it.at, text, &["the first one counts"]);
            continue;
        }
        let Some((entries, family)) = entries(&it, &key, &groups, cx) else {
            continue;
        };
        if let Some((entry, other)) = entries.iter().find_map(|entry| Some((entry, taken.get(entry)?))) {
            let text = format!("{entry} is already balanced by the service {other}");
            cx.error("S-11", it.at, text, &["this service is left out"]);
            continue;
        }
        if let Some(service) = service(&it, key.clone(), entries, family, followed, cx) {
            advise::service(&it, &service, cx);
            taken.extend(service.entries.iter().map(|entry| (*entry, key.clone())));
            let place = u32::try_from(model.services.len()).unwrap_or(u32::MAX);
            model.layout.services.insert(key.clone(), place);
            model.services.insert(key, Arc::new(service));
        }
    }
    for group in server_groups.iter().filter(|group| !used.contains(&group.name)) {
        cx.object = format!("group:{}", group.name);
        let text = format!("no virtual_server uses the group '{}'", group.name);
        cx.warn("S-12", group.at, text, &["it has no effect"]);
    }
    cx.object.clear();
}

/// The service's name.
fn key(it: &RawService, groups: &BTreeMap<&str, &RawServerGroup>, cx: &mut Cx<'_>) -> Option<ServiceKey> {
    match &it.what {
        At::Address(address, port) => {
            let (address, port, protocol) = (*address, *port, protocol(it, cx));
            Some(ServiceKey::Single(VirtualKey::Address {
                address,
                port,
                protocol,
            }))
        }
        At::Fwmark(mark) => {
            if let Some((_, at)) = it.protocol {
                let notes: &[&str] = &["the line is ignored, as in keepalived"];
                cx.warn("S-18", at, "a mark says nothing about a protocol", notes);
            }
            let first = it.servers.first().filter(|_| !tunnels(it));
            let family = it.family.or(first.map(|server| Family::of(server.address)));
            let (mark, family) = (*mark, family.unwrap_or(Family::Inet));
            Some(ServiceKey::Single(VirtualKey::Fwmark { mark, family }))
        }
        At::Group(name) => {
            let Some(group) = groups.get(name.as_str()) else {
                let near = cx.nearest(name, groups.keys().copied());
                let advice = near.map_or_else(
                    || format!("define it with 'virtual_server_group {} {{ … }}'", shown(name)),
                    |near| format!("did you mean '{near}'?"),
                );
                let text = format!("there is no virtual_server_group '{}'", shown(name));
                cx.error("S-12", it.at, text, &[&advice, "the service is left out"]);
                return None;
            };
            let only_marks = group
                .lines
                .iter()
                .all(|line| matches!(line, GroupEntry::Fwmark(..)));
            let protocol = match (only_marks, &it.protocol) {
                (true, None) => Protocol::Tcp,
                _ => protocol(it, cx),
            };
            Some(ServiceKey::Group {
                group: name.clone(),
                protocol,
            })
        }
    }
}

fn tunnels(it: &RawService) -> bool {
    matches!(it.forwarding, Some((Forwarding::Tunnel(_), _)))
}

/// What stands for a service in the kernel, and its family.
fn entries(
    it: &RawService,
    key: &ServiceKey,
    groups: &BTreeMap<&str, &RawServerGroup>,
    cx: &mut Cx<'_>,
) -> Option<(Vec<VirtualKey>, Family)> {
    let (name, protocol) = match key {
        ServiceKey::Single(key) => return Some((vec![*key], entry_family(key))),
        ServiceKey::Group { group, protocol } => (group, *protocol),
    };
    let group = groups.get(name.as_str())?;
    let mut seen = BTreeSet::new();
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
        if seen.insert(entry) {
            entries.push(entry);
        }
    }
    if entries.len() < group.lines.len() {
        let text = format!("the group '{name}' lists an address twice");
        cx.warn("S-11", group.at, text, &["once is enough"]);
    }
    let Some(family) = entries.first().map(entry_family) else {
        let text = format!("the group '{name}' has no addresses");
        cx.error("S-12", group.at, text, &["the service is left out"]);
        return None;
    };
    if !tunnels(it) && entries.iter().any(|entry| entry_family(entry) != family) {
        let text = format!("the group '{name}' has entries of both families");
        let notes: &[&str] = &[
            "that needs lb_kind TUN",
            "entries of the second family are left out",
        ];
        cx.error("S-07", group.at, text, notes);
        entries.retain(|entry| entry_family(entry) == family);
    }
    Some((entries, family))
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
    followed: &Followed<'_>,
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
        if let Some(server) = server(raw, it, family, forwarding, followed, cx) {
            match servers.entry(server.key) {
                Entry::Vacant(place) => {
                    place.insert(Arc::new(server));
                }
                Entry::Occupied(first) => {
                    let text = format!("the server {} is listed twice", first.key());
                    cx.error("S-06", raw.at, text, &["the first one counts, as in keepalived"]);
                }
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
            mail: it.mail.or(mail_default(cx)).unwrap_or(false),
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
    followed: &Followed<'_>,
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
    let words = check::inherit(&raw.words, &it.words);
    // Room for these and no more: it is kept for each of many servers.
    let mut checks = Vec::with_capacity(raw.checks.len());
    checks.extend(
        raw.checks
            .iter()
            .filter_map(|check| check::check(check, key, &words, followed, cx)),
    );
    Some(Server {
        key,
        forwarding,
        weight,
        upper_threshold: raw.upper_threshold,
        lower_threshold,
        inhibit_on_failure: raw.inhibit_on_failure.unwrap_or(it.inhibit_on_failure),
        checks,
        scripts: ServerScripts {
            first: cx.global.rs_init_notifies,
            up: script::notify(raw.notify_up.as_deref(), cx),
            down: script::notify(raw.notify_down.as_deref(), cx),
            mail: raw.mail.or(mail_default(cx)).unwrap_or(true),
        },
    })
}

/// What `global_defs` say about mail of services and servers, if anything.
fn mail_default(cx: &Cx<'_>) -> Option<bool> {
    cx.global.mail.alert_checker.or(cx.global.mail.alert)
}
