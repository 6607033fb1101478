//! Every setting of a model, for whoever wants to see it whole or beside another.

use super::instances;
use super::values::{Facts, Settings as _, Told};
use crate::model::{Model, routing_words};
use lb_shared::settings::{self, Settings};
use std::collections::BTreeMap;
use std::fmt::Display;

/// All of it. Many thousand servers take their time: not for a thread that has adverts to send.
pub fn settings(model: &Model, revision: u64) -> Settings {
    let mut all = Collector::default();
    all.add("global_defs", model.global.facts());
    all.add("settings of process and host", model.host.facts());
    all.group(
        "vrrp:",
        model.instances.iter().map(|(name, it)| (name, it.facts())),
    );
    all.group("group:", model.groups.iter().map(|(name, it)| (name, it.facts())));
    all.group(
        "script:",
        model.scripts.iter().map(|(name, it)| (name, it.facts())),
    );
    all.group(
        "process:",
        model.processes.iter().map(|(name, it)| (name, it.facts())),
    );
    all.group("bfd:", model.sessions.iter().map(|(name, it)| (name, it.facts())));
    all.group("file:", model.files.iter().map(|(name, it)| (name, it.facts())));
    all.list(
        "static addresses",
        model.static_addresses.iter().map(instances::address),
    );
    all.list(
        "static routes",
        model.static_routes.iter().map(routing_words::route),
    );
    all.list("static rules", model.static_rules.iter().map(routing_words::rule));
    all.list(
        "static tracks",
        model.static_tracks.iter().map(routing_words::track),
    );
    let mut services: Vec<_> = model.services.iter().collect();
    services.sort_by_key(|(key, _)| model.layout.services.get(key));
    for (key, service) in services {
        all.add(&format!("vs:{key}"), service.facts());
        let servers = service.servers.iter();
        all.group(
            &format!("rs:{key}/"),
            servers.map(|(server, it)| (server, it.facts())),
        );
    }
    let mut pairs: Vec<_> = all.numbers.into_iter().collect();
    pairs.sort_unstable_by_key(|(_, number)| *number);
    Settings {
        revision,
        objects: all.objects,
        pairs: pairs.into_iter().map(|(pair, _)| pair).collect(),
    }
}

#[derive(Default)]
struct Collector {
    objects: Vec<(String, Vec<u32>)>,
    numbers: BTreeMap<(String, settings::Told), u32>,
}

impl Collector {
    fn add(&mut self, name: &str, facts: Facts) {
        let told = |value| match value {
            Told::One(text) => settings::Told::One(text),
            Told::Many(list) => settings::Told::Many(list),
            Told::Hidden(_) => settings::Told::Hidden,
        };
        let mut numbers = Vec::with_capacity(facts.len());
        for (setting, value) in facts {
            let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
            numbers.push(*self.numbers.entry((setting, told(value))).or_insert(next));
        }
        self.objects.push((name.to_owned(), numbers));
    }

    fn group<N: Display>(&mut self, prefix: &str, facts: impl Iterator<Item = (N, Facts)>) {
        for (name, facts) in facts {
            self.add(&format!("{prefix}{name}"), facts);
        }
    }

    fn list(&mut self, name: &str, lines: impl Iterator<Item = String>) {
        let lines: Vec<String> = lines.collect();
        if !lines.is_empty() {
            self.add(name, vec![("lines".to_owned(), Told::Many(lines))]);
        }
    }
}
