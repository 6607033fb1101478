//! The files keepalived writes on a signal: data, statistics and JSON, with its names and forms, since programs read
//! them.

mod services;

use crate::model::routing_words;
use crate::model::{
    Authentication, DumpKind, Instance, Model, NotifyScripts, Script, VirtualAddress, VrrpVersion,
};
use lb_shared::counters::InstanceCounters;
use lb_shared::state::{InstanceView, State, VrrpState};
use lb_shared::units::Mono;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Its name in the folder for temporary files.
pub fn file_name(kind: DumpKind) -> &'static str {
    match kind {
        DumpKind::Data => "keepalived.data",
        DumpKind::Services => "keepalived_check.data",
        DumpKind::Stats => "keepalived.stats",
        DumpKind::Json => "keepalived.json",
    }
}

/// What a dump is made of.
pub struct Source<'a> {
    pub model: &'a Model,
    pub state: &'a State,
    /// Of an instance, since the start or since they were cleared.
    pub counters: &'a dyn Fn(&Instance) -> InstanceCounters,
    pub now: Mono,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
}

impl Source<'_> {
    fn routers(&self) -> impl Iterator<Item = (&Instance, &InstanceView)> {
        let views = &self.state.instances;
        (self.model.instances.values()).filter_map(|it| Some((&**it, &**views.get(&it.name)?)))
    }

    /// When an instance came into its state, in seconds of Unix time.
    fn since(&self, view: &InstanceView) -> f64 {
        self.wall_ms as f64 / 1e3 - self.now.since(view.since).as_secs_f64()
    }

    /// The text of a file.
    pub fn text(&self, kind: DumpKind) -> String {
        match kind {
            DumpKind::Data => self.data(),
            DumpKind::Services => self.services(),
            DumpKind::Stats => self.stats(),
            DumpKind::Json => self.json(),
        }
    }

    fn data(&self) -> String {
        let mut out = String::from("------< VRRP Topology >------\n");
        for (cfg, view) in self.routers() {
            // Writing to a string cannot fail.
            let _ = self.instance(&mut out, cfg, view);
        }
        if !self.model.groups.is_empty() {
            out.push_str("------< VRRP Sync groups >------\n");
        }
        for group in self.state.groups.values() {
            let _ = writeln!(out, " VRRP Sync Group = {}, {}", group.name, group.state.word());
            for member in &group.members {
                let _ = writeln!(out, "     monitor = {member}");
            }
        }
        out
    }

    fn instance(&self, out: &mut String, cfg: &Instance, view: &InstanceView) -> std::fmt::Result {
        writeln!(out, " VRRP Instance = {}", cfg.name)?;
        writeln!(out, "   VRRP Version = {}", view.version)?;
        writeln!(out, "   State = {}", view.state.word())?;
        writeln!(out, "   Wantstate = {}", want(cfg).word())?;
        let since = self.since(view);
        writeln!(out, "   Last transition = {since:.6}")?;
        if let Some(interface) = &cfg.interface {
            writeln!(out, "   Interface = {interface}")?;
        }
        if let Some(source) = cfg.source {
            writeln!(out, "   Using src_ip = {source}")?;
        }
        writeln!(out, "   Gratuitous ARP delay = {}", cfg.garp.delay.as_secs())?;
        writeln!(out, "   Gratuitous ARP repeat = {}", cfg.garp.repeat)?;
        writeln!(out, "   Gratuitous ARP refresh = {}", cfg.garp.refresh.as_secs())?;
        writeln!(
            out,
            "   Gratuitous ARP refresh repeat = {}",
            cfg.garp.refresh_repeat
        )?;
        writeln!(out, "   Virtual Router ID = {}", cfg.vrid)?;
        writeln!(out, "   Priority = {}", cfg.priority.get())?;
        writeln!(out, "   Effective priority = {}", view.effective_priority)?;
        let unit = if cfg.version == VrrpVersion::V2 {
            "sec"
        } else {
            "milli-sec"
        };
        let interval = match cfg.version {
            VrrpVersion::V2 => u128::from(cfg.advert_interval.as_secs()),
            VrrpVersion::V3 => cfg.advert_interval.as_millis(),
        };
        writeln!(out, "   Advert interval = {interval} {unit}")?;
        writeln!(out, "   Accept = {}", enabled(cfg.accept))?;
        writeln!(out, "   Preempt = {}", enabled(cfg.preempt))?;
        if !cfg.preempt_delay.is_zero() {
            writeln!(out, "   Preempt delay = {} secs", cfg.preempt_delay.as_secs())?;
        }
        match cfg.authentication {
            Authentication::None => {}
            _ => writeln!(out, "   Authentication type = {}", auth_word(cfg))?,
        }
        let master = view.state == VrrpState::Master;
        for (title, list) in [
            ("Virtual IP", &cfg.addresses),
            ("Virtual IP Excluded", &cfg.excluded_addresses),
        ] {
            if list.is_empty() {
                continue;
            }
            writeln!(out, "   {title} ({}):", list.len())?;
            for it in list {
                let set = if master { " set" } else { "" };
                writeln!(out, "     {}{set}", address(it))?;
            }
        }
        Ok(())
    }

    fn stats(&self) -> String {
        let mut out = String::new();
        for (cfg, _) in self.routers() {
            let it = (self.counters)(cfg);
            let _ = write!(
                out,
                "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  \
                 Released master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    \
                 Advertisement Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
                 Type Mismatch: {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
                cfg.name,
                it.adverts_received,
                it.adverts_sent,
                it.became_master,
                it.released_master,
                refused(&it, &["truncated", "length", "address_count"]),
                refused(&it, &["ttl", "peer_ttl"]),
                refused(&it, &["type"]),
                refused(&it, &["interval", "interval_zero"]),
                refused(&it, &["address_list"]),
                0,
                refused(&it, &["auth_type", "unsealed"]),
                refused(&it, &["password", "seal", "replay"]),
                it.priority_zero_received,
                it.priority_zero_sent,
            );
        }
        out
    }

    fn json(&self) -> String {
        let list: Vec<Value> = (self.routers())
            .map(|(cfg, view)| json!({"data": self.json_data(cfg, view), "stats": json_stats(&(self.counters)(cfg))}))
            .collect();
        let document = match self.model.global.json_version {
            2 => json!({ "vrrp": list }),
            _ => Value::Array(list),
        };
        format!("{document}\n")
    }

    fn json_data(&self, cfg: &Instance, view: &InstanceView) -> Value {
        let flag = u8::from;
        let lines = |list: &[VirtualAddress]| list.iter().map(address).collect::<Vec<_>>();
        let interval = |micros: u64| micros as f64 / 1e6;
        let mut data = json!({
            "iname": cfg.name.0,
            "dont_track_primary": flag(cfg.ignore_own_interface),
            "skip_check_adv_addr": flag(cfg.skip_check_adv_addr),
            "strict_mode": flag(cfg.strict),
            "vmac_ifname": cfg.own_link().unwrap_or_default(),
            "ifp_ifname": cfg.interface.clone().unwrap_or_default(),
            "master_priority": view.master.as_ref().map_or(0, |it| it.priority),
            "last_transition": self.since(view),
            "garp_delay": cfg.garp.delay.as_secs(),
            "garp_refresh": cfg.garp.refresh.as_secs(),
            "garp_rep": cfg.garp.repeat,
            "garp_refresh_rep": cfg.garp.refresh_repeat,
            "garp_lower_prio_delay": cfg.garp.lower_delay.as_secs(),
            "garp_lower_prio_rep": cfg.garp.lower_repeat,
            "lower_prio_no_advert": flag(cfg.lower_priority_no_advert),
            "higher_prio_send_advert": flag(cfg.higher_priority_send_advert),
            "vrid": cfg.vrid.get(),
            "base_priority": cfg.priority.get(),
            "effective_priority": view.effective_priority,
            "vipset": view.state == VrrpState::Master,
            "promote_secondaries": cfg.promote_secondaries,
            "adver_int": interval(view.advert_interval_us),
            "master_adver_int": interval(view.advert_interval_us),
            "accept": flag(cfg.accept),
            "nopreempt": !cfg.preempt,
            "preempt_delay": cfg.preempt_delay.as_secs(),
            "state": number(view.state),
            "wantstate": number(want(cfg)),
            "version": view.version,
            "smtp_alert": cfg.notify.mail,
            "notify_deleted": cfg.notify.tell_deleted,
        });
        let Some(members) = data.as_object_mut() else {
            return data;
        };
        members.insert("vips".into(), json!(lines(&cfg.addresses)));
        members.insert("evips".into(), json!(lines(&cfg.excluded_addresses)));
        for (key, lines) in [
            (
                "vroutes",
                cfg.routes.iter().map(routing_words::route).collect::<Vec<_>>(),
            ),
            ("vrules", cfg.rules.iter().map(routing_words::rule).collect()),
        ] {
            if !lines.is_empty() {
                members.insert(key.into(), json!(lines));
            }
        }
        scripts(members, &cfg.notify);
        let interfaces: Vec<_> = (cfg.tracking.interfaces.iter()).map(|it| &it.interface).collect();
        if !interfaces.is_empty() {
            members.insert("track_ifp".into(), json!(interfaces));
        }
        let tracked: Vec<_> = (cfg.tracking.scripts.iter()).map(|it| &it.script).collect();
        if !tracked.is_empty() {
            members.insert("track_script".into(), json!(tracked));
        }
        if cfg.authentication != Authentication::None {
            // What it is known by in adverts of version 2. The secret, `auth_data`, is not given away.
            members.insert("auth_type".into(), json!(auth_number(cfg)));
        }
        data
    }
}

fn scripts(members: &mut Map<String, Value>, notify: &NotifyScripts) {
    let line = |it: &Script| it.argv.join(" ");
    for (key, script) in [
        ("script_master", &notify.master),
        ("script_backup", &notify.backup),
        ("script_fault", &notify.fault),
        ("script_stop", &notify.stop),
        ("script", &notify.any),
        ("script_master_rx_lower_pri", &notify.master_rx_lower_priority),
    ] {
        if let Some(script) = script {
            members.insert(key.into(), json!(line(script)));
        }
    }
}

fn json_stats(it: &InstanceCounters) -> Value {
    json!({
        "advert_rcvd": it.adverts_received,
        "advert_sent": it.adverts_sent,
        "become_master": it.became_master,
        "release_master": it.released_master,
        "packet_len_err": refused(it, &["truncated", "length", "address_count"]),
        "advert_interval_err": refused(it, &["interval", "interval_zero"]),
        "ip_ttl_err": refused(it, &["ttl", "peer_ttl"]),
        "invalid_type_rcvd": refused(it, &["type"]),
        "addr_list_err": refused(it, &["address_list"]),
        "invalid_authtype": 0,
        "authtype_mismatch": refused(it, &["auth_type"]),
        "auth_failure": refused(it, &["password"]),
        "pri_zero_rcvd": it.priority_zero_received,
        "pri_zero_sent": it.priority_zero_sent,
    })
}

fn refused(it: &InstanceCounters, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| it.rejected.get(*name)).sum()
}

/// The state `state` asks for.
fn want(cfg: &Instance) -> VrrpState {
    if cfg.initial_master {
        VrrpState::Master
    } else {
        VrrpState::Backup
    }
}

/// keepalived's numbers.
fn number(state: VrrpState) -> u8 {
    match state {
        VrrpState::Init => 0,
        VrrpState::Backup => 1,
        VrrpState::Master => 2,
        VrrpState::Fault => 3,
    }
}

fn auth_word(cfg: &Instance) -> &'static str {
    match cfg.authentication {
        Authentication::None => "NONE",
        Authentication::Pass(_) => "SIMPLE_PASSWORD",
        Authentication::Header(_) => "IPSEC_AH",
        Authentication::Signed(_) => "HMAC_SHA256",
    }
}

fn auth_number(cfg: &Instance) -> u8 {
    match cfg.authentication {
        Authentication::None => 0,
        Authentication::Pass(_) => 1,
        Authentication::Header(_) => 2,
        Authentication::Signed(_) => 3,
    }
}

/// A command with each word in quotes, as keepalived shows it; whose rights it has is left out.
fn script_line(it: &Script) -> String {
    let words: Vec<_> = it.argv.iter().map(|word| format!("'{word}'")).collect();
    words.join(" ")
}

fn enabled(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

fn address(it: &VirtualAddress) -> String {
    let scope = match it.scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        other => other.to_string(),
    };
    let label = it
        .label
        .as_ref()
        .map_or_else(String::new, |label| format!(" label {label}"));
    // As keepalived: the length of a host's address is left out.
    let whole = if it.address.is_ipv6() { 128 } else { 32 };
    let length = if it.prefix_len == whole {
        String::new()
    } else {
        format!("/{}", it.prefix_len)
    };
    format!("{}{length} dev {} scope {scope}{label}", it.address, it.device)
}
