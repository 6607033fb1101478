//! Settings of virtual routers and of what they hold.

use super::values::{Facts, Sayer, Settings, Told, seconds, word};
use crate::model::routing_words::{route, rule};
use crate::model::{
    AddressExtras, Authentication, Garp, Instance, NotifyScripts, SyncGroup, Tracking, VirtualAddress,
};

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
