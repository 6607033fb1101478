//! Settings of the agent as a whole, and of its process and host.

use super::values::{Facts, Sayer, Settings, command, seconds, word};
use crate::model::{Global, Host, Once, Scheduling};
use std::time::Duration;

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
