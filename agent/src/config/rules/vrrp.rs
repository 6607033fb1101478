//! Virtual routers: each on its own, and no two of one number on one link.

use super::follow::Followed;
use super::{address, advise, group, hmac, own_link, watch};
use crate::config::findings::Cx;
use crate::config::keywords::{Raw, RawInstance, RawScript};
use crate::config::lexer::Span;
use crate::model::{Authentication, Garp, Instance, Model, UnicastPeer, VrrpVersion};
use lb_shared::names::{Family, InstanceName};
use lb_shared::units::{Priority, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The longest interval version 3 can say: 12 bits of centiseconds.
const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

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
    for (name, script) in scripts {
        cx.object = format!("script {name}");
        if used.contains(name) {
            if let Some(script) = watch::vrrp_script(script, cx) {
                model.scripts.insert(name.to_owned(), Arc::new(script));
            }
        } else {
            let text = format!("no instance tracks the script '{name}'");
            cx.warn(
                "V-16",
                script.at,
                text,
                &["it is not run", "name it in track_script of an instance"],
            );
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
    let family = family(it);
    let name = InstanceName::from(it.name.as_str());
    let vrid = vrid(it, cx)?;
    let interface = interface(it, cx)?;
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
    let version = version(it, family, strict, cx);
    let priority = match (it.priority, it.state_master) {
        (Some((priority, _)), _) => Priority::new(priority).unwrap_or(Priority::clamped(100)),
        (None, Some((true, _))) => Priority::OWNER,
        (None, _) => Priority::clamped(100),
    };
    let interval = advert_interval(it, version, cx);
    let authentication = authentication(it, family, version, interval, strict, cx)?;
    let initial_master = initial_master(it, priority, strict, &authentication, cx);
    let (preempt, preempt_delay) = preemption(it, initial_master, strict, cx);
    let peers = peers(it, family, cx);
    routers.enter(it, vrid, family, interface.as_ref(), cx)?;
    let vrf = vrf(it, interface.as_deref(), cx);
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
    let group_default = multicast_default(family, cx);
    let bounded = peers
        .iter()
        .any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
    Some(Instance {
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
        multicast_group: it
            .mcast_dst
            .filter(|address| Family::of(*address) == family)
            .unwrap_or(group_default),
        check_unicast_source: it.check_unicast_src || cx.global.check_unicast_src || bounded,
        fault_without_peer: it.unicast_fault_no_peer && it.unicast && peers.is_empty(),
        unicast_ttl: it.unicast_ttl.filter(|ttl| *ttl > 0).unwrap_or(255),
        unicast_peers: peers,
        addresses,
        excluded_addresses: excluded,
        routes: super::routing::routes(&it.routes, cx),
        rules: super::routing::rules(&it.policy_rules, cx),
        garp: garp(it, strict, cx),
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
        late_backup: late_backup(it, preempt, cx),
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
    })
}

fn family(it: &RawInstance) -> Family {
    let first = it.addresses.first().map(|line| line.address);
    let other = it
        .peers
        .first()
        .map(|peer| peer.address)
        .or(it.source.map(|(address, _)| address));
    match (first, it.native_ipv6, other) {
        (Some(address), _, _) => Family::of(address),
        (None, true, _) => Family::Inet6,
        (None, false, Some(address)) => Family::of(address),
        (None, false, None) => Family::Inet,
    }
}

fn vrid(it: &RawInstance, cx: &mut Cx<'_>) -> Option<Vrid> {
    let vrid = it.vrid.and_then(|(vrid, _)| Vrid::new(vrid));
    if vrid.is_none() && !it.vrid_told {
        cx.error(
            "V-01",
            it.at,
            format!("vrrp_instance '{}' has no virtual_router_id", it.name),
            &[
                "the instance is left out; keepalived ends here",
                "write 'virtual_router_id N' with the N of its peers",
            ],
        );
    }
    vrid
}

/// `Some(None)`: it needs none.
fn interface(it: &RawInstance, cx: &mut Cx<'_>) -> Option<Option<String>> {
    match &it.interface {
        Some((name, at)) => {
            address::present(
                name,
                *at,
                "the instance stays in FAULT until it appears; keepalived ends here",
                cx,
            );
            Some(Some(name.clone()))
        }
        None if !it.peers.is_empty() => Some(None),
        None => {
            cx.error(
                "V-18",
                it.at,
                format!("vrrp_instance '{}' has no interface", it.name),
                &[
                    "the instance is left out; keepalived ends here",
                    "write 'interface NAME', or list its peers in unicast_peer",
                ],
            );
            None
        }
    }
}

/// An interface is in its VRF already; `vrf` is for where there is none.
fn vrf(it: &RawInstance, interface: Option<&str>, cx: &mut Cx<'_>) -> Option<String> {
    let (name, at) = it.vrf.as_ref()?;
    if interface.is_some() {
        let text = "vrf is for unicast instances without interface";
        let notes: &[&str] = &[
            "it is ignored, as in keepalived: what the instance does on its interface is in the VRF of that",
            "remove it, or put the interface there: ip link set IFNAME master NAME",
        ];
        cx.warn("V-74", *at, text, notes);
        return None;
    }
    let what = "the instance stays in FAULT until it appears; keepalived ends here";
    address::present(name, *at, what, cx);
    Some(name.clone())
}

fn version(it: &RawInstance, family: Family, strict: bool, cx: &mut Cx<'_>) -> VrrpVersion {
    let version = match (it.version, family) {
        (Some(version), _) => version,
        (None, Family::Inet6) => VrrpVersion::V3,
        (None, Family::Inet) => cx.global.version.unwrap_or(VrrpVersion::V2),
    };
    if strict && version == VrrpVersion::V2 && family == Family::Inet6 {
        cx.error(
            "V-08",
            it.at,
            "strict mode knows no version 2 over IPv6",
            &["version 3 is used"],
        );
        return VrrpVersion::V3;
    }
    version
}

fn initial_master(
    it: &RawInstance,
    priority: Priority,
    strict: bool,
    authentication: &Authentication,
    cx: &mut Cx<'_>,
) -> bool {
    let owner = priority.is_owner();
    // It has to hear first which number the last master used: nobody would take a lower one.
    if matches!(authentication, Authentication::Header(_)) {
        if let Some((true, at)) = it.state_master.filter(|_| owner) {
            let notes: &[&str] = &["it begins as BACKUP, as with keepalived", "write 'state BACKUP'"];
            cx.warn(
                "V-14",
                at,
                "with auth_type AH an instance does not begin as MASTER",
                notes,
            );
        }
        return false;
    }
    match it.state_master {
        Some((master, at)) if strict && master != owner => {
            cx.warn(
                "V-08",
                at,
                "in strict mode the first state is MASTER if and only if the priority is 255",
                &[if owner {
                    "it begins as MASTER"
                } else {
                    "it begins as BACKUP"
                }],
            );
            owner
        }
        Some((master, _)) => master,
        None => owner,
    }
}

/// `None` when the instance would be a second master because its peers will not hear it.
fn authentication(
    it: &RawInstance,
    family: Family,
    version: VrrpVersion,
    interval: Duration,
    strict: bool,
    cx: &mut Cx<'_>,
) -> Option<Authentication> {
    if let Some(raw) = &it.auth_hmac {
        return hmac::signing(it, raw, interval, strict, cx).map(Authentication::Signed);
    }
    let Some((kind, at)) = it.auth_type else {
        return Some(Authentication::None);
    };
    if strict || version == VrrpVersion::V3 {
        let why = if strict { "strict mode" } else { "VRRP version 3" };
        cx.warn(
            "V-14",
            at,
            format!("{why} has no authentication"),
            &[
                "adverts are sent without, as keepalived does",
                "remove the authentication block",
            ],
        );
        return Some(Authentication::None);
    }
    let header = kind == "AH";
    if header && family == Family::Inet6 {
        cx.error(
            "V-24",
            at,
            "auth_type AH is for IPv4",
            &[
                "the instance is left out: without it, it would become a second master beside its peers",
                "remove the authentication block on all nodes",
            ],
        );
        return None;
    }
    let Some((password, at)) = &it.auth_pass else {
        cx.error(
            "V-19",
            at,
            format!("auth_type {kind} without auth_pass"),
            &["adverts are sent without authentication"],
        );
        return Some(Authentication::None);
    };
    let mut bytes = [0; 8];
    for (byte, given) in bytes.iter_mut().zip(password.bytes()) {
        *byte = given;
    }
    if password.len() > 8 {
        cx.warn(
            "E-08",
            *at,
            "only the first 8 bytes of the password are used",
            &[
                if header {
                    "keepalived does the same"
                } else {
                    "it is sent in clear text: anybody on the link can read it"
                },
                "write at most 8 characters",
            ],
        );
    } else if cx.advises(*at, "E-24") {
        cx.hint(
            "E-24",
            *at,
            "auth_pass is no encryption: anybody on the link can read it",
            &[
                "it keeps nodes apart that were misconfigured, nobody else; keepalived sends it in clear text too",
                "to keep strangers out let a firewall admit protocol 112 from the other nodes only",
            ],
        );
    }
    Some(if header {
        Authentication::Header(bytes)
    } else {
        Authentication::Pass(bytes)
    })
}

fn preemption(it: &RawInstance, initial_master: bool, strict: bool, cx: &mut Cx<'_>) -> (bool, Duration) {
    let asked_master = it.state_master.is_some_and(|(master, _)| master) && initial_master;
    let mut preempt = it.nopreempt.is_none();
    let mut delay = it.preempt_delay.map_or(Duration::ZERO, |(delay, _)| delay);
    if let (true, Some(at)) = (asked_master, it.nopreempt) {
        cx.warn(
            "V-07",
            at,
            "nopreempt has no effect together with state MASTER",
            &[
                "the instance preempts, as in keepalived",
                "write 'state BACKUP' on all nodes that use nopreempt",
            ],
        );
        preempt = true;
    }
    if let Some((_, at)) = it.preempt_delay.filter(|(delay, _)| !delay.is_zero()) {
        if asked_master {
            cx.warn(
                "V-07",
                at,
                "preempt_delay has no effect together with state MASTER",
                &["there is no delay, as in keepalived", "write 'state BACKUP'"],
            );
            delay = Duration::ZERO;
        } else if strict {
            cx.warn(
                "V-08",
                at,
                "strict mode has no preempt_delay",
                &["there is no delay, as in keepalived"],
            );
            delay = Duration::ZERO;
        } else if !preempt {
            cx.warn(
                "V-07",
                at,
                "preempt_delay has no effect together with nopreempt",
                &["there is no preemption"],
            );
        }
    }
    (preempt, delay)
}

/// `timer_expired_backup` means something only where the old master would not come back by itself.
fn late_backup(it: &RawInstance, preempt: bool, cx: &mut Cx<'_>) -> Option<u8> {
    let (priority, at) = it.late_backup?;
    if preempt {
        let notes: &[&str] = &[
            "it is left out, as in keepalived",
            "write 'nopreempt', or remove it",
        ];
        cx.warn(
            "V-33",
            at,
            "timer_expired_backup is for instances with nopreempt",
            notes,
        );
        return None;
    }
    Some(priority)
}

fn peers(it: &RawInstance, family: Family, cx: &mut Cx<'_>) -> Vec<UnicastPeer> {
    let mut peers: Vec<UnicastPeer> = Vec::with_capacity(it.peers.len());
    let mut seen = BTreeSet::new();
    for line in &it.peers {
        if Family::of(line.address) != family {
            let text = format!("peer {} is of another family than the addresses", line.address);
            cx.error(
                "V-20",
                line.at,
                text,
                &["this peer is left out, as in keepalived"],
            );
        } else if !seen.insert(line.address) {
            cx.warn(
                "V-20",
                line.at,
                format!("peer {} is listed twice", line.address),
                &["the first line counts"],
            );
        } else {
            if line.min_ttl.zip(line.max_ttl).is_some_and(|(min, max)| min > max) {
                let notes: &[&str] = &["every advert of this peer would be dropped"];
                cx.error("V-20", line.at, "min_ttl is above max_ttl", notes);
            }
            peers.push(UnicastPeer {
                address: line.address,
                min_ttl: line.min_ttl,
                max_ttl: line.max_ttl,
            });
        }
    }
    peers
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

fn advert_interval(it: &RawInstance, version: VrrpVersion, cx: &mut Cx<'_>) -> Duration {
    let Some((given, at)) = it.advert_int else {
        return Duration::from_secs(1);
    };
    let (step, most) = match version {
        VrrpVersion::V2 => (Duration::from_secs(1), Duration::from_secs(255)),
        VrrpVersion::V3 => (Duration::from_millis(10), V3_INTERVAL_MAX),
    };
    let steps = (given + step / 2).as_micros() / step.as_micros();
    let rounded = (step * u32::try_from(steps).unwrap_or(u32::MAX)).clamp(step, most);
    if rounded != given {
        let (text, advice) = match version {
            VrrpVersion::V2 => (
                "version 2 knows whole seconds only",
                "write 'version 3' for shorter intervals",
            ),
            VrrpVersion::V3 => (
                "version 3 knows steps of 0.01 s up to 40.95 s",
                "write such a value",
            ),
        };
        let used = format!("{} s is used", rounded.as_secs_f64());
        cx.warn("V-15", at, text, &[&used, advice]);
    }
    rounded
}

fn multicast_default(family: Family, cx: &Cx<'_>) -> IpAddr {
    match family {
        Family::Inet => cx
            .global
            .mcast_group4
            .unwrap_or(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18))),
        Family::Inet6 => cx
            .global
            .mcast_group6
            .unwrap_or(IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12))),
    }
}

fn link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn garp(it: &RawInstance, strict: bool, cx: &Cx<'_>) -> Garp {
    let global = &cx.global;
    let built_in = Garp::default();
    let (repeat, delay) = match global.min_garp {
        true => (1, Duration::ZERO),
        false => (built_in.repeat, built_in.delay),
    };
    let repeat = it
        .garp_master_repeat
        .or(global.garp_master_repeat)
        .unwrap_or(repeat);
    let delay = it.garp_master_delay.or(global.garp_master_delay).unwrap_or(delay);
    let lower_repeat = it
        .garp_lower_prio_repeat
        .or(global.garp_lower_prio_repeat)
        .unwrap_or(repeat);
    Garp {
        repeat,
        delay,
        refresh: it
            .garp_master_refresh
            .or(global.garp_master_refresh)
            .unwrap_or(built_in.refresh),
        refresh_repeat: it
            .garp_master_refresh_repeat
            .or(global.garp_master_refresh_repeat)
            .unwrap_or(built_in.refresh_repeat),
        lower_repeat: if strict { 0 } else { lower_repeat },
        lower_delay: it
            .garp_lower_prio_delay
            .or(global.garp_lower_prio_delay)
            .unwrap_or(delay),
        arp_gap: global.garp_interval.unwrap_or(Duration::ZERO),
        na_gap: global.gna_interval.unwrap_or(Duration::ZERO),
    }
}
