//! Virtual routers: each on its own, and no two of one number on one link.

use super::follow::Followed;
use super::{address, advise, authentication, group, instance, own_link, watch};
use crate::config::findings::Cx;
use crate::config::keywords::{Raw, RawInstance, RawScript};
use crate::config::lexer::Span;
use crate::model::{Instance, Model};
use lb_shared::names::{Family, InstanceName};
use lb_shared::units::{Priority, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

pub(super) fn objects(raw: &Raw, followed: &Followed<'_>, model: &mut Model, cx: &mut Cx<'_>) {
    let mut scripts: BTreeMap<&str, &RawScript> = BTreeMap::new();
    for script in &raw.scripts {
        if scripts.contains_key(script.name.as_str()) {
            let text = format!("vrrp_script '{}' is defined twice", script.name);
            cx.error("V-03", script.at, text, &["the first one counts"]);
        } else {
            scripts.insert(&script.name, script);
        }
    }
    let mut used = BTreeSet::new();
    let mut routers = Routers::default();
    for it in &raw.instances {
        cx.object = format!("vrrp:{}", it.name);
        if model
            .instances
            .contains_key(&InstanceName::from(it.name.as_str()))
        {
            let text = format!("vrrp_instance '{}' is defined twice", it.name);
            cx.error("V-03", it.at, text, &["the first one counts, as in keepalived"]);
            continue;
        }
        if let Some(instance) = instance(it, &scripts, followed, &mut used, &mut routers, cx) {
            advise::instance(it, &instance, cx);
            let place = cx.place(it.at);
            let place = format!("{}:{}", place.file, place.line);
            model.layout.instances.insert(instance.name.clone(), place);
            let own = instance.ipvlan.as_ref().and_then(own_link::address_of);
            model.static_addresses.extend(own);
            model.instances.insert(instance.name.clone(), Arc::new(instance));
        }
    }
    group::groups(&raw.groups, &scripts, followed, &mut used, model, cx);
    let of_instances = raw.instances.iter().flat_map(|it| &it.track_script);
    let of_groups = raw.groups.iter().flat_map(|it| &it.track_script);
    let named: BTreeSet<&str> = of_instances
        .chain(of_groups)
        .map(|line| line.name.as_str())
        .collect();
    for (name, script) in scripts {
        cx.object = format!("script {name}");
        if used.contains(name) {
            if let Some(script) = watch::vrrp_script(script, cx) {
                model.scripts.insert(name.to_owned(), Arc::new(script));
            }
        } else {
            // Where it is named, why nothing follows it was told.
            let notes: &[&str] = &["it is not run", "name it in track_script of an instance"];
            if !named.contains(name) {
                let text = format!("no instance tracks the script '{name}'");
                cx.warn("V-16", script.at, text, notes);
            }
        }
    }
    // A script without a command is no tracker.
    let known: BTreeSet<String> = model.scripts.keys().cloned().collect();
    for instance in model.instances.values_mut() {
        if instance
            .tracking
            .scripts
            .iter()
            .any(|track| !known.contains(&track.script))
        {
            Arc::make_mut(instance)
                .tracking
                .scripts
                .retain(|track| known.contains(&track.script));
        }
    }
    for group in model.groups.values_mut() {
        Arc::make_mut(group)
            .tracking
            .scripts
            .retain(|track| known.contains(&track.script));
    }
    cx.object.clear();
}

/// Virtual routers seen so far, to notice two of one number on one link.
#[derive(Default)]
struct Routers {
    seen: BTreeMap<Router, (String, Span)>,
    taken: own_link::Taken,
}

/// Number, family and interface; for a unicast instance also one of its peers.
type Router = (u8, Family, Option<String>, Option<IpAddr>);

fn instance(
    it: &RawInstance,
    scripts: &BTreeMap<&str, &RawScript>,
    followed: &Followed<'_>,
    used: &mut BTreeSet<String>,
    routers: &mut Routers,
    cx: &mut Cx<'_>,
) -> Option<Instance> {
    let family = instance::family(it);
    let name = InstanceName::from(it.name.as_str());
    let vrid = instance::vrid(it, cx)?;
    let interface = instance::interface(it, cx)?;
    let mut strict = it.strict.unwrap_or(cx.global.strict);
    if strict && !it.peers.is_empty() {
        cx.error(
            "V-08",
            it.peers[0].at,
            "strict mode does not allow unicast peers",
            &[
                "keepalived ends here; the instance runs without strict mode",
                "remove unicast_peer, or write 'strict_mode off'",
            ],
        );
        strict = false;
    }
    let version = instance::version(it, family, strict, cx);
    let priority = match (it.priority, it.state_master) {
        (Some((priority, _)), _) => Priority::new(priority).unwrap_or(Priority::clamped(100)),
        (None, Some((true, _))) => Priority::OWNER,
        (None, _) => Priority::clamped(100),
    };
    let interval = instance::advert_interval(it, version, cx);
    let authentication = authentication::of(it, family, version, interval, strict, cx)?;
    let initial_master = instance::initial_master(it, priority, strict, &authentication, cx);
    let (preempt, preempt_delay) = instance::preemption(it, initial_master, strict, cx);
    let peers = instance::peers(it, family, cx);
    routers.enter(it, vrid, family, interface.as_ref(), cx)?;
    let vrf = instance::vrf(it, interface.as_deref(), cx);
    let who = own_link::Who {
        raw: it,
        vrid,
        family,
        interface: interface.as_deref(),
    };
    let vmac = own_link::vmac(who, strict, &mut routers.taken, cx).ok()?;
    let ipvlan = own_link::ipvlan(who, &mut routers.taken, cx).ok()?;
    let mut homes = own_link::Homes {
        who,
        vmac: vmac.as_ref(),
        taken: &mut routers.taken,
        made: Vec::new(),
        left_out: false,
    };
    let (addresses, excluded) = address::addresses(it, family, &mut homes, cx);
    if homes.left_out {
        return None;
    }
    let address_vmacs = homes.made;
    let home = (vmac.as_ref().map(|it| it.name.as_str()))
        .or(ipvlan.as_ref().map(|it| it.name.as_str()))
        .or(interface.as_deref());
    let mut held = addresses.iter().chain(&excluded);
    let anywhere = held.any(|address| home != Some(address.device.as_str()));
    let elsewhere = (it.elsewhere.or(cx.global.elsewhere))
        .filter(|it| !it.every.is_zero() && (!address_vmacs.is_empty() || it.all && anywhere));
    if strict
        && family == Family::Inet6
        && addresses
            .first()
            .is_some_and(|address| !link_local(address.address))
    {
        cx.warn(
            "V-08",
            it.at,
            "strict mode wants a link-local address first in virtual_ipaddress",
            &["the instance runs with the addresses as they are"],
        );
    }
    address::source(it, family, cx);
    let owner = priority.is_owner();
    let mut tracking = group::tracking(
        &it.track_interface,
        &it.track_script,
        interface.as_deref(),
        scripts,
        used,
        cx,
    );
    followed.track(&it.track_process, &it.track_file, &mut tracking, cx);
    let tracking = if owner {
        group::without_weights(tracking, it, cx)
    } else {
        tracking
    };
    let multicast_group = instance::multicast_group(it, family, cx);
    let bounded = peers
        .iter()
        .any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
    let instance = Instance {
        name,
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
        advert_interval: interval,
        down_timer_adverts: match strict {
            true => 3,
            false => it
                .down_timer_adverts
                .or(cx.global.down_timer_adverts)
                .unwrap_or(3),
        },
        authentication,
        preempt,
        preempt_delay,
        track_source: it.track_source,
        source: it
            .source
            .map(|(address, _)| address)
            .filter(|address| Family::of(*address) == family),
        multicast_group,
        check_unicast_source: it.check_unicast_src || cx.global.check_unicast_src || bounded,
        fault_without_peer: it.unicast_fault_no_peer && it.unicast && peers.is_empty(),
        unicast_ttl: it.unicast_ttl.filter(|ttl| *ttl > 0).unwrap_or(255),
        unicast_peers: peers,
        addresses,
        excluded_addresses: excluded,
        routes: super::routing::routes(&it.routes, cx),
        rules: super::routing::rules(&it.policy_rules, cx),
        garp: instance::garp(it, strict, cx),
        elsewhere,
        tracking,
        ignore_own_interface: it.dont_track_primary,
        promote_secondaries: it.promote_secondaries,
        accept: owner || !strict && it.no_accept.is_none(),
        strict,
        lower_priority_no_advert: strict
            || it
                .lower_prio_no_advert
                .or(cx.global.lower_prio_no_advert)
                .unwrap_or(false),
        higher_priority_send_advert: !strict
            && it
                .higher_prio_send_advert
                .or(cx.global.higher_prio_send_advert)
                .unwrap_or(false),
        skip_check_adv_addr: it.skip_check_adv_addr.unwrap_or(cx.global.skip_check_adv_addr),
        checksum_without_pseudo_header: it.v3_checksum_as_v2.unwrap_or(cx.global.v3_checksum_as_v2),
        old_unicast_checksum: it.old_checksum,
        late_backup: instance::late_backup(it, preempt, cx),
        owner_ignore_adverts: it
            .owner_ignore_adverts
            .or(cx.global.owner_ignore_adverts)
            .unwrap_or(strict),
        notify_priority_changes: it
            .notify
            .priority_changes
            .unwrap_or(cx.global.notify_priority_changes),
        notify: group::notify(&it.notify, cx),
        debug: it.debug,
    };
    address::fit(it, &instance, cx);
    Some(instance)
}

impl Routers {
    /// Notices a second virtual router of the same number on the same link; `None` if it must be left out.
    fn enter(
        &mut self,
        it: &RawInstance,
        vrid: Vrid,
        family: Family,
        interface: Option<&String>,
        cx: &mut Cx<'_>,
    ) -> Option<()> {
        // Unicast instances may share a number as long as no advert could be for both.
        let peers: Vec<Option<IpAddr>> = match it.peers.as_slice() {
            [] => vec![None],
            peers => peers.iter().map(|peer| Some(peer.address)).collect(),
        };
        let router = |peer: &Option<IpAddr>| (vrid.get(), family, interface.cloned(), *peer);
        if let Some((name, at)) = peers.iter().find_map(|peer| self.seen.get(&router(peer))) {
            let line = cx.place(*at).line;
            let at = it.vrid.map_or(it.at, |(_, at)| at);
            let text = format!(
                "virtual_router_id {vrid} is already that of '{name}' (line {line}) on this interface"
            );
            let notes: &[&str] = &[
                "the instance is left out; keepalived ends here",
                "give each virtual router on a link its own number",
            ];
            cx.error("V-02", at, text, notes);
            return None;
        }
        self.seen
            .extend(peers.iter().map(|peer| (router(peer), (it.name.clone(), it.at))));
        Some(())
    }
}

fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
