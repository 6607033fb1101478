//! The settings of objects under the names of their keywords, with values in words: from what to what one changes.
//!
//! Every field is named here: one that is added to the model does not compile until it is told, too.

use crate::model::routing_words::{route, rule};
use crate::model::{
    AddressExtras, Authentication, BfdPath, BfdSession, Forwarding, Garp, Global, Host, Instance,
    NotifyScripts, NumberFile, Once, Persistence, ProcessMatch, QuorumScripts, Scheduler, Scheduling, Script,
    Server, ServerScripts, Service, SorryServer, SyncGroup, TrackFile, Tracking, TunnelType, VirtualAddress,
    VrrpProcess, VrrpScript,
};
use std::fmt::{Debug, Display};
use std::time::Duration;

/// A value as it is told.
#[derive(Debug, PartialEq)]
pub(in crate::engine) enum Told {
    One(String),
    /// Of a list what comes and goes is told.
    Many(Vec<String>),
    /// A secret: only that it changes.
    Hidden(String),
}

pub(in crate::engine) type Facts = Vec<(String, Told)>;

/// What can be told setting by setting.
pub(in crate::engine) trait Settings {
    fn facts(&self) -> Facts;
}

/// `weight 1 -> 3, inhibit_on_failure no -> yes`; empty if no setting here differs.
pub(in crate::engine) fn differences(old: &Facts, new: &Facts) -> String {
    let mut parts = Vec::new();
    for (name, after) in new {
        let before = old.iter().find(|(it, _)| it == name).map(|(_, it)| it);
        match (before, after) {
            (Some(before), after) if before == after => {}
            (Some(Told::Many(before)), Told::Many(after)) => parts.push(list(name, before, after)),
            (_, Told::Hidden(_)) => parts.push(format!("{name} changes (not shown)")),
            (before, after) => parts.push(format!("{name} {} -> {}", text(before), text(Some(after)))),
        }
    }
    let gone = old
        .iter()
        .filter(|(name, _)| !new.iter().any(|(it, _)| it == name));
    parts.extend(gone.map(|(name, it)| format!("{name} {} -> none", text(Some(it)))));
    parts.join(", ")
}

fn text(told: Option<&Told>) -> String {
    match told {
        None => "none".to_owned(),
        Some(Told::One(text)) => text.clone(),
        Some(Told::Many(list)) => list.join(" + "),
        Some(Told::Hidden(_)) => "(not shown)".to_owned(),
    }
}

fn list(name: &str, before: &[String], after: &[String]) -> String {
    let come = after
        .iter()
        .filter(|it| !before.contains(it))
        .map(|it| format!("+ {it}"));
    let go = before
        .iter()
        .filter(|it| !after.contains(it))
        .map(|it| format!("- {it}"));
    let changes: Vec<String> = come.chain(go).collect();
    if changes.is_empty() {
        return format!("{name} in another order");
    }
    format!("{name} {}", changes.join(" "))
}

/// Facts in the order they are said.
#[derive(Default)]
struct Sayer(Facts);

impl Sayer {
    fn one(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.0.push((name.to_owned(), Told::One(value.to_string())));
        self
    }

    fn flag(&mut self, name: &str, on: bool) -> &mut Self {
        self.one(name, if on { "yes" } else { "no" })
    }

    fn span(&mut self, name: &str, span: Duration) -> &mut Self {
        self.one(name, seconds(span))
    }

    fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.one(name, value),
            None => self.one(name, "none"),
        }
    }

    fn script(&mut self, name: &str, script: Option<&Script>) -> &mut Self {
        self.maybe(name, script.map(command))
    }

    fn many(&mut self, name: &str, list: impl IntoIterator<Item = String>) -> &mut Self {
        self.0
            .push((name.to_owned(), Told::Many(list.into_iter().collect())));
        self
    }
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs_f64())
}

fn command(script: &Script) -> String {
    let user = script.user.map(|(user, group)| format!(" as {user}:{group}"));
    format!("\"{}\"{}", script.argv.join(" "), user.unwrap_or_default())
}

/// A name of the model's own in small letters.
fn word(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

impl Settings for Instance {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            family,
            version,
            vrid,
            interface,
            vrf,
            vmac,
            ipvlan,
            address_vmacs,
            initial_master,
            priority,
            advert_interval,
            down_timer_adverts,
            authentication,
            preempt,
            preempt_delay,
            source,
            track_source,
            unicast_peers,
            unicast_ttl,
            multicast_group,
            check_unicast_source,
            fault_without_peer,
            addresses,
            excluded_addresses,
            routes,
            rules,
            garp,
            elsewhere,
            tracking,
            ignore_own_interface,
            promote_secondaries,
            accept,
            strict,
            lower_priority_no_advert,
            higher_priority_send_advert,
            skip_check_adv_addr,
            checksum_without_pseudo_header,
            old_unicast_checksum,
            late_backup,
            owner_ignore_adverts,
            notify,
            notify_priority_changes,
            debug,
        } = self;
        let mut say = Sayer::default();
        say.one("state", if *initial_master { "MASTER" } else { "BACKUP" })
            .one("virtual_router_id", vrid.get())
            .maybe("interface", interface.as_ref())
            .maybe("vrf", vrf.as_ref())
            .maybe("use_vmac", vmac.as_ref())
            .maybe("use_ipvlan", ipvlan.as_ref())
            .many(
                "use_vmac of addresses",
                address_vmacs
                    .iter()
                    .map(|it| format!("{} on {}", it.name, it.parent)),
            )
            .flag("vmac_xmit_base", vmac.as_ref().is_some_and(|it| it.sends_on_base))
            .one("priority", priority.get())
            .span("advert_int", *advert_interval)
            .one("version", word(version))
            .one("native_ipv6", word(family))
            .one("down_timer_adverts", down_timer_adverts);
        let (kind, secret) = match authentication {
            Authentication::None | Authentication::Signed(_) => ("none", None),
            Authentication::Pass(secret) => ("PASS", Some(secret)),
            Authentication::Header(secret) => ("AH", Some(secret)),
        };
        say.0.extend(super::signing::facts(authentication));
        say.one("auth_type", kind);
        if let Some(secret) = secret {
            say.0
                .push(("auth_pass".to_owned(), Told::Hidden(format!("{secret:?}"))));
        }
        say.flag("nopreempt", !preempt)
            .span("preempt_delay", *preempt_delay)
            .maybe("source of adverts", *source)
            .flag("track_src_ip", *track_source)
            .many(
                "unicast_peer",
                unicast_peers.iter().map(|it| {
                    let limit = |name: &str, ttl: Option<u8>| {
                        ttl.map(|ttl| format!(" {name} {ttl}")).unwrap_or_default()
                    };
                    format!(
                        "{}{}{}",
                        it.address,
                        limit("min_ttl", it.min_ttl),
                        limit("max_ttl", it.max_ttl)
                    )
                }),
            )
            .one("unicast_ttl", unicast_ttl)
            .one("vrrp_mcast_group", multicast_group)
            .flag("check_unicast_src", *check_unicast_source)
            .flag("unicast_fault_no_peer", *fault_without_peer)
            .many("virtual_ipaddress", addresses.iter().map(address))
            .many(
                "virtual_ipaddress_excluded",
                excluded_addresses.iter().map(address),
            )
            .many("virtual_routes", routes.iter().map(route))
            .many("virtual_rules", rules.iter().map(rule))
            .flag("dont_track_primary", *ignore_own_interface)
            .flag("promote_secondaries", *promote_secondaries)
            .flag("no_accept", !accept)
            .flag("strict_mode", *strict)
            .flag("lower_prio_no_advert", *lower_priority_no_advert)
            .flag("higher_prio_send_advert", *higher_priority_send_advert)
            .flag("skip_check_adv_addr", *skip_check_adv_addr)
            .flag("v3_checksum_as_v2", *checksum_without_pseudo_header)
            .one("old_unicast_checksum", word(old_unicast_checksum))
            .maybe("timer_expired_backup", *late_backup)
            .flag("owner_ignore_adverts", *owner_ignore_adverts)
            .flag("notify_priority_changes", *notify_priority_changes)
            .one("debug", debug);
        say.0.extend(garp.facts());
        say.maybe(
            "garp_extra_if",
            elsewhere.map(|it| format!("{}{}", if it.all { "all " } else { "" }, seconds(it.every))),
        );
        say.0.extend(tracking.facts());
        say.0.extend(notify.facts());
        say.0
    }
}

impl Settings for Garp {
    fn facts(&self) -> Facts {
        let Self {
            repeat,
            delay,
            refresh,
            refresh_repeat,
            lower_repeat,
            lower_delay,
            arp_gap,
            na_gap,
        } = self;
        let mut say = Sayer::default();
        say.one("garp_master_repeat", repeat)
            .span("garp_master_delay", *delay)
            .span("garp_master_refresh", *refresh)
            .one("garp_master_refresh_repeat", refresh_repeat)
            .one("garp_lower_prio_repeat", lower_repeat)
            .span("garp_lower_prio_delay", *lower_delay)
            .span("garp_interval", *arp_gap)
            .span("gna_interval", *na_gap);
        say.0
    }
}

impl Settings for Tracking {
    fn facts(&self) -> Facts {
        let Self {
            interfaces,
            scripts,
            processes,
            sessions,
            files,
        } = self;
        let weighed = |name: &str, weight: i32, reverse: bool| {
            format!("{name} weight {weight}{}", if reverse { " reverse" } else { "" })
        };
        let mut say = Sayer::default();
        say.many(
            "track_interface",
            interfaces
                .iter()
                .map(|it| weighed(&it.interface, it.weight, it.reverse)),
        )
        .many(
            "track_script",
            scripts
                .iter()
                .map(|it| weighed(&it.script, it.weight, it.reverse)),
        )
        .many(
            "track_process",
            processes
                .iter()
                .map(|it| weighed(&it.process, it.weight, it.reverse)),
        )
        .many(
            "track_bfd",
            sessions
                .iter()
                .map(|it| weighed(&it.session, it.weight, it.reverse)),
        )
        .many(
            "track_file",
            files
                .iter()
                .map(|it| weighed(&it.file, it.multiplier.weight, it.multiplier.reverse)),
        );
        say.0
    }
}

impl Settings for NotifyScripts {
    fn facts(&self) -> Facts {
        let Self {
            master,
            backup,
            fault,
            stop,
            tell_deleted,
            deleted,
            master_rx_lower_priority,
            any,
            mail,
        } = self;
        let mut say = Sayer::default();
        say.script("notify_master", master.as_ref())
            .script("notify_backup", backup.as_ref())
            .script("notify_fault", fault.as_ref())
            .script("notify_stop", stop.as_ref())
            .flag("told of DELETED", *tell_deleted)
            .script("notify_deleted", deleted.as_ref())
            .script("notify_master_rx_lower_pri", master_rx_lower_priority.as_ref())
            .script("notify", any.as_ref())
            .flag("smtp_alert", *mail);
        say.0
    }
}

impl Settings for SyncGroup {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            members,
            tracking,
            tracking_weight,
            notify,
        } = self;
        let mut say = Sayer::default();
        say.many("group", members.iter().map(ToString::to_string))
            .flag("sync_group_tracking_weight", *tracking_weight);
        say.0.extend(tracking.facts());
        say.0.extend(notify.facts());
        say.0
    }
}

impl Settings for VrrpScript {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            script,
            interval,
            timeout,
            rise,
            fall,
            init_fail,
            broken,
        } = self;
        let mut say = Sayer::default();
        say.script("script", Some(script))
            .span("interval", *interval)
            .span("timeout", *timeout)
            .one("rise", rise)
            .one("fall", fall)
            .flag("init_fail", *init_fail)
            .maybe("cannot be run", broken.as_ref());
        say.0
    }
}

impl Settings for VrrpProcess {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            matching,
            quorum,
            quorum_max,
            fork_delay,
            terminate_delay,
        } = self;
        let ProcessMatch {
            command,
            parameters,
            compare,
            full_command,
        } = matching;
        let mut say = Sayer::default();
        say.one("process", command)
            .maybe("parameters", parameters.as_ref().map(|it| it.join(" ")))
            .one("param_match", word(compare))
            .flag("full_command", *full_command)
            .one("quorum", quorum)
            .maybe("quorum_max", *quorum_max)
            .span("fork_delay", *fork_delay)
            .span("terminate_delay", *terminate_delay);
        say.0
    }
}

impl Settings for BfdSession {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            path,
            min_rx,
            min_tx,
            idle_tx,
            multiplier,
            passive,
            ttl_min,
        } = self;
        let BfdPath {
            neighbor,
            source,
            ttl,
            multihop,
        } = path;
        let mut say = Sayer::default();
        say.one("neighbor_ip", neighbor)
            .maybe("source_ip", *source)
            .one("ttl", ttl)
            .flag("multihop", *multihop)
            .span("min_rx", *min_rx)
            .span("min_tx", *min_tx)
            .span("idle_tx", *idle_tx)
            .one("multiplier", multiplier)
            .flag("passive", *passive)
            .one("least ttl", ttl_min);
        say.0
    }
}

impl Settings for TrackFile {
    fn facts(&self) -> Facts {
        let Self {
            name: _,
            file: NumberFile { path, init },
            multiplier,
        } = self;
        let mut say = Sayer::default();
        say.one("file", path.display())
            .one("weight", multiplier.weight)
            .flag("reverse", multiplier.reverse)
            .maybe(
                "init_file",
                init.map(|it| format!("{}{}", it.value, if it.overwrite { " overwrite" } else { "" })),
            );
        say.0
    }
}

impl Settings for Service {
    fn facts(&self) -> Facts {
        let Self {
            key: _,
            name,
            entries,
            family: _,
            scheduler,
            forwarding,
            persistence,
            one_packet,
            quorum,
            hysteresis,
            omega,
            quorum_scripts,
            sorry,
            ha_suspend,
            servers: _,
        } = self;
        let Scheduler {
            name: algorithm,
            flag_1,
            flag_2,
            flag_3,
        } = scheduler;
        let QuorumScripts { up, down, mail } = quorum_scripts;
        let mut say = Sayer::default();
        say.maybe("name", name.as_ref())
            .many("virtual_server_group", entries.iter().map(ToString::to_string))
            .one("lb_algo", algorithm)
            .flag("flag-1", *flag_1)
            .flag("flag-2", *flag_2)
            .flag("flag-3", *flag_3)
            .one("lb_kind", kind(*forwarding))
            .maybe(
                "persistence_timeout",
                persistence.as_ref().map(
                    |Persistence {
                         timeout_s,
                         prefix_len,
                         engine,
                     }| {
                        let engine = engine.as_ref().map(|it| format!(" by {it}")).unwrap_or_default();
                        format!("{timeout_s}s for each /{prefix_len}{engine}")
                    },
                ),
            )
            .flag("ops", *one_packet)
            .one("quorum", quorum)
            .one("hysteresis", hysteresis)
            .flag("omega", *omega)
            .script("quorum_up", up.as_ref())
            .script("quorum_down", down.as_ref())
            .flag("smtp_alert", *mail)
            .maybe(
                "sorry_server",
                sorry.as_ref().map(
                    |SorryServer {
                         key,
                         forwarding,
                         inhibit,
                     }| {
                        format!(
                            "{key} {}{}",
                            kind(*forwarding),
                            if *inhibit { " inhibit" } else { "" }
                        )
                    },
                ),
            )
            .flag("ha_suspend", *ha_suspend);
        say.0
    }
}

impl Settings for Server {
    fn facts(&self) -> Facts {
        let Self {
            key: _,
            forwarding,
            weight,
            upper_threshold,
            lower_threshold,
            inhibit_on_failure,
            checks,
            scripts:
                ServerScripts {
                    first,
                    up,
                    down,
                    mail,
                },
        } = self;
        let mut say = Sayer::default();
        say.one("weight", weight)
            .one("lb_kind", kind(*forwarding))
            .one("uthreshold", upper_threshold)
            .one("lthreshold", lower_threshold)
            .flag("inhibit_on_failure", *inhibit_on_failure)
            .flag("rs_init_notifies", *first)
            .script("notify_up", up.as_ref())
            .script("notify_down", down.as_ref())
            .flag("smtp_alert", *mail);
        say.0.extend(super::checks::facts(checks));
        say.0
    }
}

impl Settings for Global {
    fn facts(&self) -> Facts {
        let Self {
            router_id,
            lvs_flush,
            lvs_flush_on_stop,
            scripts,
            disable_local_igmp,
            vrrp_startup_delay_us,
            lvs_timeouts,
            sync_daemon,
            mail,
            fifos,
            fifo_states_on_reload,
            dump_files,
            json_version,
            firewall,
        } = self;
        let mut say = Sayer::default();
        say.maybe("router_id", router_id.as_ref())
            .flag("lvs_flush", *lvs_flush)
            .flag("lvs_flush_on_stop", *lvs_flush_on_stop)
            .flag("enable_script_security", scripts.secure)
            .flag("set_supplementary_groups", scripts.all_groups)
            .flag("disable_local_igmp", *disable_local_igmp)
            .span(
                "vrrp_startup_delay",
                Duration::from_micros(*vrrp_startup_delay_us),
            )
            .one("lvs_timeouts", lvs_timeouts.map(|it| it.to_string()).join(" "))
            .maybe(
                "lvs_sync_daemon",
                sync_daemon.as_ref().map(|it| {
                    let follows = it
                        .instance
                        .as_ref()
                        .map(|name| format!(" {name}"))
                        .unwrap_or_default();
                    let group = it.group.map(|it| format!(" group {it}")).unwrap_or_default();
                    format!(
                        "{}{follows} id {} maxlen {} port {} ttl {}{group}",
                        it.interface, it.id, it.maxlen, it.port, it.ttl
                    )
                }),
            )
            .maybe(
                "smtp_server",
                mail.as_ref().map(|it| {
                    let faults = if it.no_faults { " no_email_faults" } else { "" };
                    format!(
                        "{}:{} from {} to {} helo {} within {}{faults}",
                        it.server,
                        it.port,
                        it.from,
                        it.to.join(" "),
                        it.helo,
                        seconds(it.timeout)
                    )
                }),
            )
            .many(
                "notify_fifo",
                fifos.iter().map(|(kind, it)| {
                    let owner = it.owner.map(|(user, group)| format!(" for {user}:{group}"));
                    let script = it.script.as_ref().map(|it| format!(" read by {}", command(it)));
                    format!(
                        "{}: {}{}{}",
                        word(kind),
                        it.path,
                        owner.unwrap_or_default(),
                        script.unwrap_or_default()
                    )
                }),
            )
            .flag("fifo_write_vrrp_states_on_reload", *fifo_states_on_reload)
            .one("nftables", &firewall.table)
            .one("nftables_priority", firewall.priority)
            .flag("nftables_counters", firewall.counters)
            .many(
                "dump files",
                dump_files
                    .iter()
                    .map(|(kind, path)| format!("{}: {path}", word(kind))),
            )
            .one("json_version", json_version);
        say.0
    }
}

impl Settings for Host {
    fn facts(&self) -> Facts {
        let Self {
            net_namespace,
            startup,
            shutdown,
            delay_after_boot,
            interface_delays,
            garp_groups,
            vrrp,
            checker,
            no_swap,
        } = self;
        let once = |it: &Once| format!("{} within {}", command(&it.script), seconds(it.timeout));
        let mut say = Sayer::default();
        say.maybe("net_namespace", net_namespace.as_ref())
            .maybe("startup_script", startup.as_ref().map(once))
            .maybe("shutdown_script", shutdown.as_ref().map(once))
            .span("vrrp_delay_after_boot", *delay_after_boot)
            .many(
                "interface_up_down_delays",
                interface_delays
                    .iter()
                    .map(|(name, it)| format!("{name} down {} up {}", seconds(it.down), seconds(it.up))),
            )
            .many(
                "garp_group",
                garp_groups.iter().map(|it| {
                    let names: Vec<&str> = it.interfaces.iter().map(String::as_str).collect();
                    let (arp, na) = (seconds(it.arp_gap), seconds(it.na_gap));
                    format!("{} garp_interval {arp} gna_interval {na}", names.join(" "))
                }),
            );
        for (name, it) in [("vrrp", vrrp), ("checker", checker)] {
            let Scheduling {
                nice,
                real_time,
                cpus,
            } = it;
            let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
            say.maybe(&format!("{name}_priority"), *nice)
                .maybe(&format!("{name}_rt_priority"), *real_time)
                .maybe(
                    &format!("{name}_cpu_affinity"),
                    (!cpus.is_empty()).then(|| cpus.join(" ")),
                );
        }
        say.flag("vrrp_no_swap", *no_swap);
        say.0
    }
}

pub(super) fn address(it: &VirtualAddress) -> String {
    let VirtualAddress {
        address,
        prefix_len,
        device,
        label,
        scope,
        broadcast,
        track,
        extras,
    } = it;
    let AddressExtras {
        peer,
        home,
        dad,
        temporary,
        noprefixroute,
        autojoin,
        preferred_s,
    } = extras;
    let mut more = peer.map(|it| format!(" peer {it}")).unwrap_or_default();
    for (word, on) in [
        (" home", home),
        (" -nodad", dad),
        (" mngtmpaddr", temporary),
        (" noprefixroute", noprefixroute),
        (" autojoin", autojoin),
    ] {
        more.push_str(if *on { word } else { "" });
    }
    more.push_str(
        &preferred_s
            .map(|it| format!(" preferred_lft {it}"))
            .unwrap_or_default(),
    );
    let label = label
        .as_ref()
        .map(|it| format!(" label {it}"))
        .unwrap_or_default();
    let broadcast = broadcast.map(|it| format!(" brd {it}")).unwrap_or_default();
    let scope = if *scope == 0 {
        String::new()
    } else {
        format!(" scope {scope}")
    };
    let track = if *track { "" } else { " no_track" };
    format!("{address}/{prefix_len} dev {device}{label}{broadcast}{scope}{more}{track}")
}

fn kind(forwarding: Forwarding) -> String {
    match forwarding {
        Forwarding::Nat | Forwarding::Direct => forwarding.word().to_owned(),
        Forwarding::Tunnel(TunnelType::Ipip) => "TUN".to_owned(),
        Forwarding::Tunnel(TunnelType::Gue { port, checksum }) => {
            format!("TUN gue port {port} checksum {checksum}")
        }
        Forwarding::Tunnel(TunnelType::Gre { checksum }) => format!("TUN gre checksum {checksum}"),
    }
}
