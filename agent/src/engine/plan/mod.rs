//! What a new model would change, told before it comes into force.

mod all;
mod checks;
mod host;
mod instances;
mod moves;
mod services;
mod signing;
mod trackers;
pub(super) mod values;

use super::Engine;
use super::want::destination_key;
use crate::model::routing_words;
use crate::model::{Model, Server, Service};
pub use all::settings;
use lb_shared::names::{ServerId, VirtualKey};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use values::{Settings, differences};

/// One line an object: `+` comes, `-` goes, `~` changes, with each setting from what to what.
pub(super) fn changes(old: &Model, new: &Model) -> Vec<String> {
    let mut lines = Vec::new();
    if old.global != new.global {
        lines.push(changed("global_defs", &old.global, &new.global));
    }
    if old.host != new.host {
        lines.push(changed("settings of process and host", &old.host, &new.host));
    }
    compare(&mut lines, "vrrp:", &old.instances, &new.instances, changed);
    compare(&mut lines, "group:", &old.groups, &new.groups, changed);
    compare(&mut lines, "script:", &old.scripts, &new.scripts, changed);
    compare(&mut lines, "process:", &old.processes, &new.processes, changed);
    compare(&mut lines, "bfd:", &old.sessions, &new.sessions, changed);
    compare(&mut lines, "file:", &old.files, &new.files, changed);
    routing(
        &mut lines,
        "static address",
        &old.static_addresses,
        &new.static_addresses,
        instances::address,
    );
    routing(
        &mut lines,
        "static route",
        &old.static_routes,
        &new.static_routes,
        routing_words::route,
    );
    routing(
        &mut lines,
        "static rule",
        &old.static_rules,
        &new.static_rules,
        routing_words::rule,
    );
    routing(
        &mut lines,
        "static track",
        &old.static_tracks,
        &new.static_tracks,
        routing_words::track,
    );
    for (key, service) in &new.services {
        match old.services.get(key) {
            None => {
                let count = service.servers.len();
                let plural = if count == 1 { "" } else { "s" };
                lines.push(format!("+ vs:{key} with {count} server{plural}"));
            }
            Some(before) if before == service => {}
            Some(before) => {
                let bare = |service: &Service| Service {
                    servers: BTreeMap::new(),
                    ..service.clone()
                };
                if bare(before) != bare(service) {
                    lines.push(changed(&format!("vs:{key}"), &**before, &**service));
                }
                compare(
                    &mut lines,
                    &format!("rs:{key}/"),
                    &before.servers,
                    &service.servers,
                    changed_server,
                );
            }
        }
    }
    lines.extend(
        old.services
            .keys()
            .filter(|key| !new.services.contains_key(key))
            .map(|key| format!("- vs:{key}")),
    );
    lines
}

fn compare<K: Ord + Display, V: PartialEq>(
    lines: &mut Vec<String>,
    prefix: &str,
    old: &BTreeMap<K, Arc<V>>,
    new: &BTreeMap<K, Arc<V>>,
    changed: impl Fn(&str, &V, &V) -> String,
) {
    for (key, value) in new {
        match old.get(key) {
            None => lines.push(format!("+ {prefix}{key}")),
            Some(before) if before == value => {}
            Some(before) => lines.push(changed(&format!("{prefix}{key}"), before, value)),
        }
    }
    lines.extend(
        old.keys()
            .filter(|key| !new.contains_key(key))
            .map(|key| format!("- {prefix}{key}")),
    );
}

/// `~ vrrp:VI_1 priority 100 -> 150`.
fn changed<T: Settings>(name: &str, old: &T, new: &T) -> String {
    line(name, &differences(&old.facts(), &new.facts()))
}

fn changed_server(name: &str, old: &Server, new: &Server) -> String {
    let (mut before, mut after) = (old.facts(), new.facts());
    checks::common(&old.checks, &new.checks, &mut before);
    checks::common(&old.checks, &new.checks, &mut after);
    line(name, &differences(&before, &after))
}

fn line(name: &str, differences: &str) -> String {
    match differences {
        // A difference without words.
        "" => format!("~ {name} other details"),
        differences => format!("~ {name} {differences}"),
    }
}

fn routing<T: PartialEq>(lines: &mut Vec<String>, name: &str, old: &[T], new: &[T], words: fn(&T) -> String) {
    let come = new.iter().filter(|it| !old.contains(it));
    lines.extend(come.map(|it| format!("+ {name} {}", words(it))));
    let go = old.iter().filter(|it| !new.contains(it));
    lines.extend(go.map(|it| format!("- {name} {}", words(it))));
}

impl Engine {
    /// Established connections through what the new model no longer has: services, their servers, and addresses of theirs.
    pub(super) fn cut(&self, new: &Model) -> BTreeMap<String, u64> {
        let mut cut = BTreeMap::new();
        let changed = self.model.services_not_in(new);
        if changed.is_empty() {
            return cut;
        }
        // Another service may have taken the place of one, as the kernel sees it.
        let entries = (new.services.values()).flat_map(|it| it.entries.iter().map(move |entry| (entry, it)));
        let after: BTreeMap<&VirtualKey, &Arc<Service>> = entries.collect();
        for service in changed {
            let key = &service.key;
            for (entry, in_kernel) in self.in_kernel(&service) {
                for (server, it) in &service.servers {
                    let destination = destination_key(entry, *server, it.forwarding);
                    let goes_on = (after.get(entry).and_then(|it| it.servers.get(server)))
                        .is_some_and(|it| destination_key(entry, *server, it.forwarding) == destination);
                    let active =
                        (in_kernel.destinations.get(&destination)).map_or(0, |it| it.counters.active);
                    if goes_on || active == 0 {
                        continue;
                    }
                    let server_goes =
                        (new.services.get(key)).is_some_and(|it| !it.servers.contains_key(server));
                    let name = if server_goes {
                        let (service, server) = (key.clone(), *server);
                        format!("rs:{}", ServerId { service, server })
                    } else {
                        format!("vs:{key}")
                    };
                    *cut.entry(name).or_default() += u64::from(active);
                }
            }
        }
        cut
    }
}
