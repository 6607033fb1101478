//! A disk and a host made of maps, and a model as short text.

use lb_shared::diagnostic::Severity;
use lb_shared::shown::Shown;
use lbagent::config::{
    Content, Facts, FileError, Files, KeyFile, Loaded, Rights, ScriptFact, ScriptState, Users, load, show,
};
use lbagent::model::{
    AddressExtras, Check, CheckKind, Instance, Model, Script, Service, Tracking, VirtualAddress,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The name of the file most tests load.
pub(crate) const FILE: &str = "keepalived.conf";

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) scripts: BTreeMap<String, ScriptFact>,
    /// Of files that others may do something with.
    pub(crate) rights: BTreeMap<String, Rights>,
    /// Files that are there and cannot be read: why.
    pub(crate) unreadable: BTreeMap<String, String>,
}

impl Disk {
    pub(crate) fn with(mut self, name: &str, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(name.to_owned(), text.into());
        self
    }

    pub(crate) fn missing(mut self, program: &str, near: Option<&str>) -> Self {
        let state = ScriptState::Missing {
            near: near.map(str::to_owned),
        };
        self.scripts.insert(
            program.to_owned(),
            ScriptFact {
                state,
                ..ScriptFact::default()
            },
        );
        self
    }

    pub(crate) fn unfit(mut self, program: &str, state: ScriptState) -> Self {
        let fact = ScriptFact {
            state,
            ..ScriptFact::default()
        };
        self.scripts.insert(program.to_owned(), fact);
        self
    }

    pub(crate) fn script(mut self, program: &str, text: &str) -> Self {
        let fact = ScriptFact {
            text: Some(text.to_owned()),
            ..ScriptFact::default()
        };
        self.scripts.insert(program.to_owned(), fact);
        self
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        let position = self.files.keys().position(|name| name == path);
        match (self.files.get(path), position) {
            (Some(bytes), Some(position)) => Ok(Content {
                bytes: bytes.clone(),
                id: (1, position as u64),
                rights: self.rights.get(path).cloned().unwrap_or_default(),
            }),
            _ => Err(FileError(
                (self.unreadable.get(path)).map_or_else(|| "does not exist".to_owned(), Clone::clone),
            )),
        }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let matches = |name: &&String| match pattern.split_once('*') {
            Some((head, tail)) => name.starts_with(head) && name.ends_with(tail),
            None => name.as_str() == pattern,
        };
        let all = self.files.keys().chain(self.unreadable.keys());
        all.filter(matches).cloned().collect()
    }

    fn key(&self, path: &str) -> Result<KeyFile, FileError> {
        Ok(KeyFile {
            bytes: self.read(path)?.bytes,
            loose: path
                .contains("loose")
                .then(|| "can be read by everybody".to_owned()),
        })
    }

    fn script(&self, program: &str, _: Option<(u32, u32)>) -> ScriptFact {
        self.scripts.get(program).cloned().unwrap_or_default()
    }
}

pub(crate) struct Accounts;

impl Users for Accounts {
    fn user(&self, name: &str) -> Option<(u32, u32)> {
        [
            ("root", (0, 0)),
            ("nobody", (65_534, 65_534)),
            ("checks", (900, 901)),
        ]
        .into_iter()
        .find_map(|(known, ids)| (known == name).then_some(ids))
    }

    fn group(&self, name: &str) -> Option<u32> {
        [("root", 0), ("checks", 901)]
            .into_iter()
            .find_map(|(known, id)| (known == name).then_some(id))
    }
}

/// A host with eth0 and eth1.
pub(crate) fn facts() -> Facts<'static> {
    Facts {
        config_id: "lb1".to_owned(),
        hostname: "lb1.example.org".to_owned(),
        interfaces: Some(BTreeSet::from([
            "lo".to_owned(),
            "eth0".to_owned(),
            "eth1".to_owned(),
        ])),
        addresses: Some(
            ["127.0.0.1", "192.0.2.11", "fe80::1"]
                .map(|text| text.parse::<IpAddr>().expect("an address"))
                .into(),
        ),
        users: &Accounts,
        seed: 1,
        environment: &|name| (name == "SITE").then(|| "north".to_owned()),
        ..Facts::default()
    }
}

pub(crate) fn load_text(text: &str) -> Loaded {
    load(&Disk::default().with(FILE, text), FILE, &facts())
}

/// The statements of what stands on a disk.
pub(crate) fn show_disk(disk: &Disk) -> Shown {
    show(disk, FILE, &facts())
}

/// The model of a text that is free of errors.
pub(crate) fn model_of(text: &str) -> Model {
    let loaded = load_text(text);
    let errors: Vec<String> = loaded
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.drawn())
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    loaded.model.expect("a model")
}

/// The findings, one a line with their notes.
pub(crate) fn findings(loaded: &Loaded) -> String {
    let lines: Vec<String> = loaded.findings.iter().map(|finding| finding.line()).collect();
    lines.join("\n")
}

/// The codes of the findings, in order.
pub(crate) fn codes(loaded: &Loaded) -> Vec<&str> {
    loaded
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn script(script: &Script) -> String {
    let user = script
        .user
        .map_or(String::new(), |(user, group)| format!(" as {user}:{group}"));
    format!("{:?}{user}", script.argv)
}

fn address(address: &VirtualAddress) -> String {
    let mut text = format!(
        "{}/{} dev {}",
        address.address, address.prefix_len, address.device
    );
    if let Some(label) = &address.label {
        let _ = write!(text, " label {label}");
    }
    if address.scope != 0 {
        let _ = write!(text, " scope {}", address.scope);
    }
    if let Some(broadcast) = address.broadcast {
        let _ = write!(text, " brd {broadcast}");
    }
    if address.extras != AddressExtras::default() {
        let _ = write!(text, " {:?}", address.extras);
    }
    if !address.track {
        text.push_str(" no_track");
    }
    text
}

fn tracking(tracking: &Tracking, out: &mut String) {
    for track in &tracking.interfaces {
        let _ = writeln!(
            out,
            "  track interface {} weight {}{}",
            track.interface,
            track.weight,
            if track.reverse { " reverse" } else { "" }
        );
    }
    for track in &tracking.scripts {
        let _ = writeln!(
            out,
            "  track script {} weight {}{}",
            track.script,
            track.weight,
            if track.reverse { " reverse" } else { "" }
        );
    }
}

fn instance(it: &Instance, out: &mut String) {
    let _ = writeln!(
        out,
        "instance {} {:?} {:?} vrid {} on {} priority {}{} every {:?} down after {}",
        it.name,
        it.family,
        it.version,
        it.vrid,
        it.interface.as_deref().unwrap_or("-"),
        it.priority,
        if it.initial_master { " first MASTER" } else { "" },
        it.advert_interval,
        it.down_timer_adverts,
    );
    if let Some(vmac) = &it.vmac {
        let _ = writeln!(out, "  {vmac:?}");
    }
    if let Some(vrf) = &it.vrf {
        let _ = writeln!(out, "  vrf {vrf}");
    }
    if let Some(ipvlan) = &it.ipvlan {
        let _ = writeln!(out, "  {ipvlan:?}");
    }
    if let Some(elsewhere) = &it.elsewhere {
        let _ = writeln!(out, "  {elsewhere:?}");
    }
    for link in &it.address_vmacs {
        let _ = writeln!(out, "  {} on {}: {}", link.name, link.parent, link.kind);
    }
    let flags = [
        ("nopreempt", !it.preempt),
        ("check_unicast_source", it.check_unicast_source),
        ("fault_without_peer", it.fault_without_peer),
        ("ignore_own_interface", it.ignore_own_interface),
        ("promote_secondaries", it.promote_secondaries),
        ("not accepting", !it.accept),
        ("strict", it.strict),
        ("lower_priority_no_advert", it.lower_priority_no_advert),
        ("higher_priority_send_advert", it.higher_priority_send_advert),
        ("skip_check_adv_addr", it.skip_check_adv_addr),
        (
            "checksum_without_pseudo_header",
            it.checksum_without_pseudo_header,
        ),
        ("owner_ignore_adverts", it.owner_ignore_adverts),
        ("notify_priority_changes", it.notify_priority_changes),
    ];
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        let _ = writeln!(out, "  {name}");
    }
    if !it.preempt_delay.is_zero() {
        let _ = writeln!(out, "  preempt_delay {:?}", it.preempt_delay);
    }
    let _ = writeln!(out, "  authentication {:?}", it.authentication);
    let source = it.source.map_or("-".to_owned(), |source| source.to_string());
    let _ = writeln!(out, "  from {source} to {}", it.multicast_group);
    if it.old_unicast_checksum != Default::default() {
        let _ = writeln!(out, "  old_unicast_checksum {:?}", it.old_unicast_checksum);
    }
    if let Some(priority) = it.late_backup {
        let _ = writeln!(out, "  timer_expired_backup {priority}");
    }
    if it.unicast_ttl != 255 {
        let _ = writeln!(out, "  unicast_ttl {}", it.unicast_ttl);
    }
    for peer in &it.unicast_peers {
        let _ = writeln!(
            out,
            "  peer {} ttl {:?}-{:?}",
            peer.address, peer.min_ttl, peer.max_ttl
        );
    }
    for line in &it.addresses {
        let _ = writeln!(out, "  address {}", address(line));
    }
    for line in &it.excluded_addresses {
        let _ = writeln!(out, "  excluded {}", address(line));
    }
    for route in &it.routes {
        let _ = writeln!(out, "  {route:?}");
    }
    for rule in &it.rules {
        let _ = writeln!(out, "  {rule:?}");
    }
    let _ = writeln!(out, "  {:?}", it.garp);
    tracking(&it.tracking, out);
    notify(&it.notify, out);
}

fn notify(it: &lbagent::model::NotifyScripts, out: &mut String) {
    for (name, notify) in [
        ("master", &it.master),
        ("backup", &it.backup),
        ("fault", &it.fault),
        ("stop", &it.stop),
        ("master_rx_lower_pri", &it.master_rx_lower_priority),
        ("any", &it.any),
    ] {
        if let Some(notify) = notify {
            let _ = writeln!(out, "  notify {name} {}", script(notify));
        }
    }
}

fn check(it: &Check, out: &mut String) {
    let what = match &it.kind {
        CheckKind::Misc(misc) => format!(
            "{} timeout {:?}{}{}",
            script(&misc.script),
            misc.timeout,
            if misc.dynamic { " dynamic" } else { "" },
            misc.broken
                .as_ref()
                .map_or(String::new(), |why| format!(" broken: {why}")),
        ),
        other => format!("{other:?}"),
    };
    let _ = writeln!(
        out,
        "    {} every {:?} retry {} after {:?} warmup {:?}{}: {what}",
        it.kind.keyword(),
        it.delay_loop,
        it.retry,
        it.delay_before_retry,
        it.warmup,
        if it.alpha { " alpha" } else { "" },
    );
}

fn service(it: &Service, out: &mut String) {
    let flags = [it.scheduler.flag_1, it.scheduler.flag_2, it.scheduler.flag_3];
    let _ = writeln!(
        out,
        "service {} {:?} {}{} {:?} quorum {} hysteresis {}",
        it.key,
        it.family,
        it.scheduler.name,
        if flags == [false; 3] {
            String::new()
        } else {
            format!(" {flags:?}")
        },
        it.forwarding,
        it.quorum,
        it.hysteresis,
    );
    let entries: Vec<String> = it.entries.iter().map(ToString::to_string).collect();
    let _ = writeln!(out, "  entries {}", entries.join(" "));
    if let Some(persistence) = &it.persistence {
        let _ = writeln!(out, "  {persistence:?}");
    }
    for (name, on) in [
        ("ops", it.one_packet),
        ("omega", it.omega),
        ("ha_suspend", it.ha_suspend),
    ] {
        if on {
            let _ = writeln!(out, "  {name}");
        }
    }
    if let Some(sorry) = &it.sorry {
        let _ = writeln!(
            out,
            "  sorry {} {:?}{}",
            sorry.key,
            sorry.forwarding,
            if sorry.inhibit { " inhibit" } else { "" }
        );
    }
    for (name, quorum) in [("up", &it.quorum_scripts.up), ("down", &it.quorum_scripts.down)] {
        if let Some(quorum) = quorum {
            let _ = writeln!(out, "  quorum {name} {}", script(quorum));
        }
    }
    for server in it.servers.values() {
        let _ = writeln!(
            out,
            "  server {} {:?} weight {}{}{}",
            server.key,
            server.forwarding,
            server.weight,
            if server.inhibit_on_failure { " inhibit" } else { "" },
            match (server.lower_threshold, server.upper_threshold) {
                (0, 0) => String::new(),
                (low, high) => format!(" thresholds {low} {high}"),
            },
        );
        for (name, notify) in [("up", &server.scripts.up), ("down", &server.scripts.down)] {
            if let Some(notify) = notify {
                let _ = writeln!(out, "    notify {name} {}", script(notify));
            }
        }
        for one in &server.checks {
            check(one, out);
        }
    }
}

/// The model as text that a reviewer can compare with the file.
pub(crate) fn dump(model: &Model) -> String {
    let mut out = format!("{:?}\n", model.global);
    for it in &model.static_addresses {
        let _ = writeln!(out, "static {}", address(it));
    }
    for it in &model.host.garp_groups {
        let _ = writeln!(out, "{it:?}");
    }
    for route in &model.static_routes {
        let _ = writeln!(out, "{route:?}");
    }
    for rule in &model.static_rules {
        let _ = writeln!(out, "{rule:?}");
    }
    for it in &model.static_tracks {
        let members: Vec<&str> = it.members.iter().map(|it| it.0.as_str()).collect();
        let _ = writeln!(
            out,
            "{} on {} puts into FAULT by {}: {}",
            it.line,
            it.interface,
            it.group,
            members.join(" ")
        );
    }
    for it in model.scripts.values() {
        let _ = writeln!(
            out,
            "script {} {} every {:?} timeout {:?} rise {} fall {}{}{}",
            it.name,
            script(&it.script),
            it.interval,
            it.timeout,
            it.rise,
            it.fall,
            if it.init_fail { " init_fail" } else { "" },
            it.broken
                .as_ref()
                .map_or(String::new(), |why| format!(" broken: {why}")),
        );
    }
    for it in model.instances.values() {
        instance(it, &mut out);
    }
    for it in model.groups.values() {
        let members: Vec<&str> = it.members.iter().map(|name| name.0.as_str()).collect();
        let _ = writeln!(
            out,
            "group {} of {}{}",
            it.name,
            members.join(" "),
            if it.tracking_weight { " weights" } else { "" }
        );
        tracking(&it.tracking, &mut out);
        notify(&it.notify, &mut out);
    }
    for it in model.services.values() {
        service(it, &mut out);
    }
    out
}
