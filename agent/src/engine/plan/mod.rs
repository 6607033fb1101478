//! What a new model would change, told before it comes into force.

mod all;
mod checks;
mod host;
mod instances;
mod services;
mod signing;
mod standing;
mod trackers;
pub(super) mod values;

use super::Engine;
use crate::model::routing_words;
use crate::model::{Instance, Model, Server, Service};
use crate::vrrp::is_same_router;
pub use all::settings;
use lb_shared::names::ServerId;
use standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
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
            None => lines.push(format!("+ vs:{key} with {} servers", service.servers.len())),
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
    /// How the new model would move virtual addresses, one line an instance; empty: none moves.
    pub(super) fn moves(&self, new: &Model, numbers: &BTreeMap<String, i32>) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.stands_otherwise(new) {
            return lines;
        }
        let standing = Standing::of(self, new, numbers);
        for (name, before) in &self.model.instances {
            let after = (new.instances.values()).find(|it| is_same_router(before, it));
            let line = match after {
                Some(after) if self.routers.is_master(name) => self.kept(&standing, before, after),
                Some(after) => self.gained(&standing, before, after),
                None if !self.routers.is_master(name) => None,
                None if new.instances.contains_key(name) => Some(
                    "it becomes another virtual router: its addresses go, and come back if it wins the election"
                        .to_owned(),
                ),
                None => Some("it is not in the file: its addresses go to the peer".to_owned()),
            };
            lines.extend(line.map(|line| format!("{name}: {line}")));
        }
        lines
    }

    /// Established connections through the services and servers that the new model does not have.
    pub(super) fn cut(&self, new: &Model) -> BTreeMap<String, u64> {
        let mut cut = BTreeMap::new();
        for (key, service) in &self.model.services {
            let after = new.services.get(key);
            if after.is_some_and(|after| Arc::ptr_eq(after, service)) {
                continue;
            }
            for server in service.servers.keys() {
                let id = ServerId {
                    service: key.clone(),
                    server: *server,
                };
                let name = match after {
                    None => format!("vs:{key}"),
                    Some(after) if !after.servers.contains_key(server) => format!("rs:{id}"),
                    Some(_) => continue,
                };
                match self.server_counters(&id).active {
                    0 => {}
                    active => *cut.entry(name).or_default() += active,
                }
            }
        }
        cut
    }

    /// What a MASTER would hold no longer.
    fn kept(&self, standing: &Standing, before: &Instance, after: &Instance) -> Option<String> {
        let held = |it: &Instance| -> BTreeSet<_> {
            let lists = [&it.addresses, &it.excluded_addresses];
            let lines = lists.into_iter().flatten();
            lines.map(|it| (it.address, it.device.clone())).collect()
        };
        let (old, new) = (held(before), held(after));
        let gone: Vec<String> = (old.difference(&new))
            .map(|(address, _)| address.to_string())
            .collect();
        if !gone.is_empty() {
            return Some(format!("{} no longer held", gone.join(", ")));
        }
        let faults = standing.faults(after);
        if !faults.is_empty() {
            return Some(format!("it goes to FAULT: {}", faults.join(", ")));
        }
        let advertised = self.routers.view(&before.name)?.effective_priority;
        let left = standing.priority(&before.name, after)?;
        (left < advertised).then(|| {
            format!("its priority falls from {advertised} to {left}: a peer above {left} takes over")
        })
    }

    /// What a BACKUP would take.
    fn gained(&self, standing: &Standing, before: &Instance, after: &Instance) -> Option<String> {
        let view = self.routers.view(&before.name)?;
        let master = view.master?;
        if !standing.faults(after).is_empty() {
            return None;
        }
        let ours = standing.priority(&before.name, after)?;
        let had = before.preempt && view.effective_priority > master.priority;
        (after.preempt && ours > master.priority && !had).then(|| {
            format!(
                "it takes over from {}: its priority {ours} is above {}",
                master.address, master.priority
            )
        })
    }
}
