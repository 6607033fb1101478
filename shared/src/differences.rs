//! What hosts that stand in for each other do not agree on.

use crate::names::{Family, InstanceName, ServerId, ServiceKey};
use crate::state::{Admin, Health, InstanceView, OverrideKind, State, Target, VrrpState};
use crate::text::{count, escape, span};
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Clocks may differ by this much.
const SKEW_MAX: Duration = Duration::from_secs(1);
/// The most names of one kind that are listed.
const LISTED: usize = 5;

/// One host as it is seen.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    pub name: &'a str,
    pub view: View<'a>,
    /// How far its clock is ahead of ours, in milliseconds.
    pub skew_ms: i64,
}

/// One thing the hosts differ in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    pub mark: char,
    /// `masters`, `drain`, `health`, `config`, `version`, `clock`, `host`.
    pub kind: &'static str,
    pub name: String,
    pub text: String,
}

/// What makes instances of two hosts the same virtual router: names may differ, these may not.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Router {
    vrid: u8,
    inet6: bool,
    /// The network of its first address: a VRID counts on one link only.
    network: Option<(IpAddr, u8)>,
}

impl Router {
    /// The one that this instance takes part in.
    pub fn of(instance: &InstanceView) -> Self {
        let first = instance.addresses.iter().find_map(|text| network(text));
        Self {
            vrid: instance.vrid,
            inet6: instance.family == Family::Inet6,
            network: first,
        }
    }
}

/// The network of `192.0.2.10/24 dev eth0`.
fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_whitespace().next()?.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    Some(match address {
        IpAddr::V4(it) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            (IpAddr::V4((it.to_bits() & mask).into()), length)
        }
        IpAddr::V6(it) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            (IpAddr::V6((it.to_bits() & mask).into()), length)
        }
    })
}

/// Everything worth a line, the worst first. `missing` are hosts that are not seen, `cluster` is how the hosts can be
/// named together.
pub fn differences(seen: &[Seen<'_>], missing: &[&str], cluster: Option<&str>) -> Vec<Difference> {
    let mut found = masters(seen);
    found.extend(overrides(seen, cluster));
    found.extend(health(seen));
    found.extend(configuration(seen));
    found.extend(versions(seen));
    found.extend(clocks(seen));
    found.extend(missing.iter().map(|name| Difference {
        mark: '!',
        kind: "host",
        name: (*name).to_owned(),
        text: format!(
            "not reached: results above are for {} of {} hosts",
            seen.len(),
            seen.len() + missing.len()
        ),
    }));
    found
}

/// Virtual routers with more than one master, or none.
pub fn masters(seen: &[Seen<'_>]) -> Vec<Difference> {
    let mut routers: BTreeMap<Router, Vec<(&str, &InstanceView)>> = BTreeMap::new();
    for host in seen {
        for instance in host.view.state.instances.values() {
            routers
                .entry(Router::of(instance))
                .or_default()
                .push((host.name, instance));
        }
    }
    let hosts = |of: &[(&str, &InstanceView)]| join(of.iter().map(|(host, _)| *host));
    let mut found = Vec::new();
    for members in routers.values().filter(|members| members.len() > 1) {
        let (masters, others): (Vec<_>, Vec<_>) = members
            .iter()
            .copied()
            .partition(|(_, it)| it.state == VrrpState::Master);
        let name = escape(&members[0].1.name.0);
        if masters.len() > 1 {
            found.push(Difference {
                mark: '!',
                kind: "masters",
                name,
                text: format!(
                    "{} masters at once: {}; its addresses are on each of them (do they hear each other's adverts?)",
                    masters.len(),
                    hosts(&masters)
                ),
            });
        } else if masters.is_empty() && others.iter().all(|(_, it)| it.state != VrrpState::Init) {
            found.push(Difference {
                mark: '!',
                kind: "masters",
                name,
                text: format!(
                    "no master among {}: its addresses may be on no host",
                    hosts(&others)
                ),
            });
        }
    }
    found
}

/// Changes by hand to a server that other hosts serve too and were not told about.
fn overrides(seen: &[Seen<'_>], cluster: Option<&str>) -> Vec<Difference> {
    let mut by_target: BTreeMap<(&ServerId, &'static str), BTreeSet<&str>> = BTreeMap::new();
    for host in seen {
        for change in host.view.state.overrides.values() {
            if let Target::Server(id) = &change.target {
                by_target
                    .entry((id, change.kind.word()))
                    .or_default()
                    .insert(host.name);
            }
        }
    }
    let mut found = Vec::new();
    for ((id, word), on) in by_target {
        let without: Vec<&str> = seen
            .iter()
            .filter(|host| !on.contains(host.name) && host.view.state.servers.contains_key(id))
            .map(|host| host.name)
            .collect();
        let Some(first) = seen.iter().find(|host| on.contains(host.name)) else {
            continue;
        };
        if without.is_empty() {
            continue;
        }
        let change = &first.view.state.overrides[&Target::Server(id.clone())];
        let (done, follows, verb) = match change.kind {
            OverrideKind::Drain { .. } => ("drained", "would send it traffic after a failover", "drain ..."),
            OverrideKind::Disable => (
                "disabled",
                "would send it traffic after a failover",
                "disable ...",
            ),
            OverrideKind::Weight(_) | OverrideKind::Pin(_) | OverrideKind::Ramp { .. } => (
                "weighted by hand",
                "would give it another share after a failover",
                "weight ...",
            ),
        };
        let again = cluster.map_or_else(String::new, |name| format!(" (lbctl {verb} --cluster {name})"));
        found.push(Difference {
            mark: '~',
            kind: word,
            name: first.view.server_name(id),
            text: format!(
                "{done} on {} only; {} {follows}{again}",
                join(on.iter().copied()),
                join(without.iter().copied())
            ),
        });
    }
    found
}

fn health(seen: &[Seen<'_>]) -> Vec<Difference> {
    let mut ids: BTreeSet<&ServerId> = BTreeSet::new();
    for host in seen {
        ids.extend(host.view.state.servers.keys());
    }
    let mut found = Vec::new();
    let mut more = 0_usize;
    for id in ids {
        let with = |health: Health| -> Vec<&str> {
            seen.iter()
                .filter(|host| {
                    let server = host.view.state.servers.get(id);
                    server.is_some_and(|it| it.health == health && it.admin != Admin::Disabled)
                })
                .map(|host| host.name)
                .collect()
        };
        let (up, down) = (with(Health::Up), with(Health::Down));
        if up.is_empty() || down.is_empty() {
            continue;
        }
        if found.len() == LISTED {
            more += 1;
            continue;
        }
        let name = seen
            .first()
            .map_or_else(|| id.to_string(), |host| host.view.server_name(id));
        found.push(Difference {
            mark: '~',
            kind: "health",
            name,
            text: format!(
                "up on {}, down on {}",
                join(up.into_iter()),
                join(down.into_iter())
            ),
        });
    }
    if more > 0 {
        found.push(Difference {
            mark: '~',
            kind: "health",
            name: format!("and {more} more"),
            text: "lbctl servers --filter st:down".into(),
        });
    }
    found
}

/// Objects that are configured on some hosts only. Revisions count reloads and say nothing about equality.
fn configuration(seen: &[Seen<'_>]) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |noun: &str, sets: Vec<(&str, BTreeSet<String>)>| {
        let all: BTreeSet<&String> = sets.iter().flat_map(|(_, set)| set).collect();
        // By the hosts that have it, so that a hundred missing servers are one line.
        let mut by_hosts: BTreeMap<(Vec<&str>, Vec<&str>), Vec<&String>> = BTreeMap::new();
        for name in all {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for (host, set) in &sets {
                if set.contains(name) {
                    with.push(*host);
                } else {
                    without.push(*host);
                }
            }
            if !without.is_empty() {
                by_hosts.entry((with, without)).or_default().push(name);
            }
        }
        for ((with, without), names) in by_hosts {
            found.push(Difference {
                mark: '~',
                kind: "config",
                name: match names.as_slice() {
                    [one] => (*one).clone(),
                    names => count(names.len(), noun),
                },
                text: format!(
                    "configured on {}, not on {}{}",
                    join(with.into_iter()),
                    join(without.into_iter()),
                    match names.as_slice() {
                        [_] => String::new(),
                        [first, ..] => format!(": {first}, ..."),
                        [] => String::new(),
                    }
                ),
            });
        }
    };
    let sets = |of: &dyn Fn(&State) -> BTreeSet<String>| -> Vec<(&str, BTreeSet<String>)> {
        seen.iter().map(|host| (host.name, of(host.view.state))).collect()
    };
    compare(
        "service",
        sets(&|state| state.services.keys().map(ServiceKey::to_string).collect()),
    );
    let common: BTreeSet<&ServiceKey> = match seen {
        [] => BTreeSet::new(),
        [first, rest @ ..] => first
            .view
            .state
            .services
            .keys()
            .filter(|key| {
                rest.iter()
                    .all(|host| host.view.state.services.contains_key(*key))
            })
            .collect(),
    };
    compare(
        "server",
        sets(&|state| {
            let servers = state.servers.keys();
            servers
                .filter(|id| common.contains(&id.service))
                .map(ServerId::to_string)
                .collect()
        }),
    );
    found
}

fn versions(seen: &[Seen<'_>]) -> Option<Difference> {
    let version = |host: &Seen<'_>| escape(&host.view.state.agent.version);
    let all: BTreeSet<String> = seen.iter().map(version).collect();
    (all.len() > 1).then(|| Difference {
        mark: '~',
        kind: "version",
        name: "agent".into(),
        text: seen
            .iter()
            .map(|host| format!("{} {}", host.name, version(host)))
            .collect::<Vec<_>>()
            .join(", "),
    })
}

fn clocks(seen: &[Seen<'_>]) -> Vec<Difference> {
    seen.iter()
        .filter_map(|host| {
            let off = Duration::from_millis(host.skew_ms.unsigned_abs());
            (off > SKEW_MAX).then(|| Difference {
                mark: '~',
                kind: "clock",
                name: host.name.to_owned(),
                text: format!(
                    "{} {} this machine's clock: times in its events are off by that",
                    span(off),
                    if host.skew_ms > 0 { "ahead of" } else { "behind" }
                ),
            })
        })
        .collect()
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The instance of another host that is the same virtual router.
pub fn same<'a>(of: &InstanceView, on: &'a State) -> Option<&'a InstanceView> {
    let wanted = Router::of(of);
    on.instances
        .values()
        .map(|it| &**it)
        .find(|instance| Router::of(instance) == wanted)
}

/// The names of instances that are MASTER there.
pub fn master_of(on: &State) -> Vec<&InstanceName> {
    let instances = on.instances.values();
    instances
        .filter(|it| it.state == VrrpState::Master)
        .map(|it| &it.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_what_counts_of_an_address() {
        assert_eq!(network("192.0.2.10/24 dev eth0"), network("192.0.2.77/24"));
        assert_ne!(network("192.0.2.10/24"), network("192.0.3.10/24"));
        assert_eq!(network("2001:db8::1/64"), network("2001:db8::ffff:1/64 dev eth1"));
        assert_eq!(network("0.0.0.0/0"), Some(("0.0.0.0".parse().unwrap(), 0)));
        assert_eq!(network("x"), None);
    }
}
