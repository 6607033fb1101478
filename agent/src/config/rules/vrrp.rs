//! Instances, sync groups and vrrp_scripts.

use super::script::{self, Names};
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{AddressLine, Raw, RawGroup, RawInstance, RawNotify, RawScript, TrackLine};
use crate::config::lexer::Span;
use crate::config::similar;
use crate::model::{
    Authentication, Garp, Instance, InterfaceTrack, Model, NotifyScripts, ScriptTrack, SyncGroup, Tracking,
    UnicastPeer, VirtualAddress, VrrpScript, VrrpVersion,
};
use lb_shared::names::{Family, GroupName, InstanceName};
use lb_shared::units::{Priority, Vrid};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// Addresses an advert can carry: its count is one byte.
const ADVERTISED_MAX: usize = 255;
/// The longest interval version 3 can say: 12 bits of centiseconds.
const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

pub(super) fn objects(raw: &Raw, model: &mut Model, cx: &mut Cx<'_>) {
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
        if let Some(instance) = instance(it, &scripts, &mut used, &mut routers, cx) {
            model.instances.insert(instance.name.clone(), Arc::new(instance));
        }
    }
    groups(&raw.groups, &scripts, &mut used, model, cx);
    for (name, script) in scripts {
        cx.object = format!("script {name}");
        if used.contains(name) {
            if let Some(script) = vrrp_script(script, cx) {
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
    seen: BTreeMap<(u8, Family, Option<String>), Vec<(String, Span, Option<BTreeSet<IpAddr>>)>>,
}

fn instance(
    it: &RawInstance,
    scripts: &BTreeMap<&str, &RawScript>,
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
    let initial_master = initial_master(it, priority, strict, cx);
    let authentication = authentication(it, version, strict, cx)?;
    let (preempt, preempt_delay) = preemption(it, initial_master, strict, cx);
    let peers = peers(it, family, cx);
    routers.enter(it, vrid, family, interface.as_ref(), cx)?;
    let (addresses, excluded) = addresses(it, family, interface.as_deref(), cx);
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
    source(it, family, cx);
    let owner = priority.is_owner();
    let tracking = tracking(
        &it.track_interface,
        &it.track_script,
        interface.as_deref(),
        scripts,
        used,
        cx,
    );
    let tracking = if owner {
        without_weights(tracking, it, cx)
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
        initial_master,
        priority,
        advert_interval: advert_interval(it, version, cx),
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
        unicast_peers: peers,
        addresses,
        excluded_addresses: excluded,
        garp: garp(it, strict, cx),
        tracking,
        ignore_own_interface: it.dont_track_primary,
        accept: !strict || owner,
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
        owner_ignore_adverts: it
            .owner_ignore_adverts
            .or(cx.global.owner_ignore_adverts)
            .unwrap_or(strict),
        notify_priority_changes: it
            .notify
            .priority_changes
            .unwrap_or(cx.global.notify_priority_changes),
        notify: notify(&it.notify, cx),
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
            present(
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

/// Tells of an interface that this host does not have.
fn present(name: &str, at: Span, what: &str, cx: &mut Cx<'_>) {
    let Some(interfaces) = &cx.facts.interfaces else {
        return;
    };
    if interfaces.contains(name) || cx.global.dynamic_interfaces {
        return;
    }
    let near = similar::nearest(name, interfaces.iter().map(String::as_str));
    let advice = match near {
        Some(near) => format!("did you mean '{near}'?"),
        None => {
            let names: Vec<&str> = interfaces.iter().map(String::as_str).take(8).collect();
            format!("there are: {}", names.join(", "))
        }
    };
    let later = "write 'dynamic_interfaces' into global_defs if it comes later";
    cx.error(
        "H-01",
        at,
        format!("there is no interface '{}' on this host", shown(name)),
        &[&advice, what, later],
    );
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

fn initial_master(it: &RawInstance, priority: Priority, strict: bool, cx: &mut Cx<'_>) -> bool {
    let owner = priority.is_owner();
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
    version: VrrpVersion,
    strict: bool,
    cx: &mut Cx<'_>,
) -> Option<Authentication> {
    if let Some(at) = it.auth_hmac {
        cx.error(
            "V-24",
            at,
            "signed adverts (auth_hmac) are not spoken yet",
            &["the instance is left out: unsigned, it would become a second master beside its peers"],
        );
        return None;
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
    if kind == "AH" {
        cx.error(
            "V-24",
            at,
            "authentication headers (auth_type AH) are not spoken",
            &[
                "the instance is left out: without them it would become a second master beside its peers",
                "use 'auth_type PASS' on all nodes, or unicast_peer with a firewall",
            ],
        );
        return None;
    }
    let Some((password, at)) = &it.auth_pass else {
        cx.error(
            "V-19",
            at,
            "auth_type PASS without auth_pass",
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
                "it is sent in clear text: anybody on the link can read it",
                "write at most 8 characters",
            ],
        );
    }
    Some(Authentication::Pass(bytes))
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

fn peers(it: &RawInstance, family: Family, cx: &mut Cx<'_>) -> Vec<UnicastPeer> {
    let mut peers: Vec<UnicastPeer> = Vec::with_capacity(it.peers.len());
    for line in &it.peers {
        if Family::of(line.address) != family {
            let text = format!("peer {} is of another family than the addresses", line.address);
            cx.error(
                "V-20",
                line.at,
                text,
                &["this peer is left out, as in keepalived"],
            );
        } else if peers.iter().any(|peer| peer.address == line.address) {
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
        let peers: Option<BTreeSet<IpAddr>> =
            (!it.peers.is_empty()).then(|| it.peers.iter().map(|peer| peer.address).collect());
        let others = self
            .seen
            .entry((vrid.get(), family, interface.cloned()))
            .or_default();
        // Unicast instances may share a number as long as no advert could be for both.
        let clash = others.iter().find(|(_, _, theirs)| match (&peers, theirs) {
            (Some(ours), Some(theirs)) => !ours.is_disjoint(theirs),
            (None, None) => true,
            _ => false,
        });
        if let Some((name, at, _)) = clash {
            let line = cx.place(*at).line;
            let at = it.vrid.map_or(it.at, |(_, at)| at);
            let text = format!(
                "virtual_router_id {vrid} is already that of '{name}' (line {line}) on this interface"
            );
            cx.error(
                "V-02",
                at,
                text,
                &[
                    "the instance is left out; keepalived ends here",
                    "give each virtual router on a link its own number",
                ],
            );
            return None;
        }
        others.push((it.name.clone(), it.at, peers));
        Some(())
    }
}

fn addresses(
    it: &RawInstance,
    family: Family,
    interface: Option<&str>,
    cx: &mut Cx<'_>,
) -> (Vec<VirtualAddress>, Vec<VirtualAddress>) {
    let mut seen = BTreeSet::new();
    let mut advertised = Vec::with_capacity(it.addresses.len());
    let mut excluded = Vec::new();
    let mut told_length = false;
    for (line, own_list) in it
        .addresses
        .iter()
        .map(|line| (line, true))
        .chain(it.excluded.iter().map(|line| (line, false)))
    {
        if own_list && Family::of(line.address) != family {
            let text = format!("{} is of another family than the first address", line.address);
            cx.error(
                "V-05",
                line.at,
                text,
                &[
                    "it is left out, as in keepalived",
                    "move it to virtual_ipaddress_excluded or to an instance of its own",
                ],
            );
            continue;
        }
        let Some(address) = virtual_address(line, interface, &mut told_length, cx) else {
            continue;
        };
        if !seen.insert((address.address, address.device.clone())) {
            let text = format!("{} is listed twice", line.address);
            cx.warn(
                "V-06",
                line.at,
                text,
                &["the first line counts, as in keepalived"],
            );
            continue;
        }
        foreign(line, it, cx);
        match own_list && advertised.len() < ADVERTISED_MAX {
            true => advertised.push(address),
            false => excluded.push(address),
        }
    }
    if it.addresses.len() > ADVERTISED_MAX {
        cx.warn(
            "V-25",
            it.addresses[ADVERTISED_MAX].at,
            "an advert carries at most 255 addresses",
            &["this one and those below are held but not advertised, as in keepalived"],
        );
    }
    if it.addresses.is_empty() && !it.no_addresses {
        cx.warn(
            "V-04",
            it.at,
            format!("vrrp_instance '{}' has no virtual_ipaddress", it.name),
            &[
                "it takes part in elections and holds nothing",
                "write 'no_virtual_ipaddress' if that is meant",
            ],
        );
    }
    (advertised, excluded)
}

fn virtual_address(
    line: &AddressLine,
    interface: Option<&str>,
    told_length: &mut bool,
    cx: &mut Cx<'_>,
) -> Option<VirtualAddress> {
    let most = if line.address.is_ipv4() { 32 } else { 128 };
    if line.prefix_len.is_none() && !std::mem::replace(told_length, true) {
        cx.hint(
            "E-28",
            line.at,
            format!("no prefix length: /{most} is used"),
            &["write ADDRESS/LENGTH if the address shall bring its subnet's route along"],
        );
    }
    let device = match (&line.device, interface) {
        (Some((name, at)), _) => {
            present(
                name,
                *at,
                "the address is missing until it appears; keepalived ends here",
                cx,
            );
            name.clone()
        }
        (None, Some(interface)) => interface.to_owned(),
        (None, None) => {
            let text = format!("{} has no interface to be put on", line.address);
            cx.error(
                "V-17",
                line.at,
                text,
                &["it is left out", "write 'dev NAME' behind it"],
            );
            return None;
        }
    };
    if line.label.is_some() && !line.address.is_ipv4() {
        cx.warn(
            "V-21",
            line.at,
            "labels exist for IPv4 addresses only",
            &["the address gets none"],
        );
    }
    Some(VirtualAddress {
        address: line.address,
        prefix_len: line.prefix_len.unwrap_or(most),
        device,
        label: line.label.clone().filter(|_| line.address.is_ipv4()),
        scope: line.scope,
        broadcast: line.broadcast,
        track: line.track,
    })
}

/// Tells of a virtual address that is this host's own.
fn foreign(line: &AddressLine, it: &RawInstance, cx: &mut Cx<'_>) {
    let own = cx
        .facts
        .addresses
        .as_ref()
        .is_some_and(|addresses| addresses.contains(&line.address));
    if own && it.priority.is_some_and(|(priority, _)| priority < 255) {
        cx.warn(
            "E-25",
            line.at,
            format!("{} is this host's own address", line.address),
            &[
                "the rules for address owners apply (priority 255)",
                "this is probably a typing error",
            ],
        );
    }
}

fn source(it: &RawInstance, family: Family, cx: &mut Cx<'_>) {
    let Some((address, at)) = it.source else { return };
    if Family::of(address) != family {
        let text = format!("source {address} is of another family than the addresses");
        cx.error("V-20", at, text, &["the first address of the interface is used"]);
    } else if cx
        .facts
        .addresses
        .as_ref()
        .is_some_and(|addresses| !addresses.contains(&address))
    {
        cx.error(
            "E-19",
            at,
            format!("source {address} is not an address of this host"),
            &[
                "was the file copied from another node?",
                "the instance cannot send until the address is there",
            ],
        );
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

fn tracking(
    interfaces: &[TrackLine],
    tracked: &[TrackLine],
    own: Option<&str>,
    scripts: &BTreeMap<&str, &RawScript>,
    used: &mut BTreeSet<String>,
    cx: &mut Cx<'_>,
) -> Tracking {
    let mut tracking = Tracking::default();
    for line in interfaces {
        let (weight, reverse) = line.weight.unwrap_or((0, false));
        if tracking
            .interfaces
            .iter()
            .any(|track: &InterfaceTrack| track.interface == line.name)
        {
            cx.warn(
                "V-26",
                line.at,
                format!("interface '{}' is tracked twice", line.name),
                &["the first line counts"],
            );
            continue;
        }
        present(
            &line.name,
            line.at,
            "it counts as down until it appears; keepalived ends here",
            cx,
        );
        // The own interface is always followed; naming it adds nothing unless a weight is given.
        if own != Some(line.name.as_str()) || weight != 0 {
            tracking.interfaces.push(InterfaceTrack {
                interface: line.name.clone(),
                weight,
                reverse,
            });
        }
    }
    for line in tracked {
        let Some(script) = scripts.get(line.name.as_str()) else {
            let near = similar::nearest(&line.name, scripts.keys().copied());
            let advice = near.map_or_else(
                || format!("define it above with 'vrrp_script {} {{ … }}'", shown(&line.name)),
                |near| format!("did you mean '{near}'?"),
            );
            let text = format!("there is no vrrp_script '{}'", shown(&line.name));
            cx.error(
                "V-09",
                line.at,
                text,
                &[&advice, "nothing is tracked by this line, as in keepalived"],
            );
            continue;
        };
        if script.at.line > line.at.line {
            let text = format!("vrrp_script '{}' stands below its use", line.name);
            cx.error(
                "V-09",
                line.at,
                text,
                &[
                    "nothing is tracked by this line, as in keepalived",
                    "move the definition above the instance",
                ],
            );
            continue;
        }
        if tracking
            .scripts
            .iter()
            .any(|track: &ScriptTrack| track.script == line.name)
        {
            cx.warn(
                "V-26",
                line.at,
                format!("script '{}' is tracked twice", line.name),
                &["the first line counts"],
            );
            continue;
        }
        let (weight, reverse) = line.weight.unwrap_or((script.weight, script.reverse));
        if weight == 0 && script.fall.unwrap_or(1) == 1 {
            let text = format!(
                "one failed run of '{}' puts the instance into FAULT at once",
                line.name
            );
            cx.hint(
                "E-11",
                line.at,
                text,
                &["weight 0 means FAULT; consider 'fall 2' or a negative weight"],
            );
        }
        used.insert(line.name.clone());
        tracking.scripts.push(ScriptTrack {
            script: line.name.clone(),
            weight,
            reverse,
        });
    }
    tracking
}

/// An address owner's priority never changes: trackers with weights mean nothing to it.
fn without_weights(tracking: Tracking, it: &RawInstance, cx: &mut Cx<'_>) -> Tracking {
    let weighted = tracking.scripts.iter().any(|track| track.weight != 0)
        || tracking.interfaces.iter().any(|track| track.weight != 0);
    if weighted {
        let at = it.priority.map_or(it.at, |(_, at)| at);
        cx.warn(
            "V-13",
            at,
            "priority 255 never changes: trackers with a weight are dropped",
            &[
                "keepalived does the same",
                "write a priority below 255, or trackers without weight",
            ],
        );
    }
    Tracking {
        interfaces: tracking
            .interfaces
            .into_iter()
            .filter(|track| track.weight == 0)
            .collect(),
        scripts: tracking
            .scripts
            .into_iter()
            .filter(|track| track.weight == 0)
            .collect(),
    }
}

fn notify(it: &RawNotify, cx: &mut Cx<'_>) -> NotifyScripts {
    NotifyScripts {
        master: script::notify(it.master.as_ref(), cx),
        backup: script::notify(it.backup.as_ref(), cx),
        fault: script::notify(it.fault.as_ref(), cx),
        stop: script::notify(it.stop.as_ref(), cx),
        master_rx_lower_priority: script::notify(it.master_rx_lower_pri.as_ref(), cx),
        any: script::notify(it.any.as_ref(), cx),
    }
}

fn groups(
    raw: &[RawGroup],
    scripts: &BTreeMap<&str, &RawScript>,
    used: &mut BTreeSet<String>,
    model: &mut Model,
    cx: &mut Cx<'_>,
) {
    let mut member_of: BTreeMap<InstanceName, String> = BTreeMap::new();
    for it in raw {
        cx.object = format!("group:{}", it.name);
        let name = GroupName::from(it.name.as_str());
        if model.groups.contains_key(&name) {
            let text = format!("vrrp_sync_group '{}' is defined twice", it.name);
            cx.error("V-03", it.at, text, &["the first one counts"]);
            continue;
        }
        let mut members: Vec<InstanceName> = Vec::new();
        for (member, at) in &it.members {
            let instance = InstanceName::from(member.as_str());
            if !model.instances.contains_key(&instance) {
                let near = similar::nearest(member, model.instances.keys().map(|name| name.0.as_str()));
                let advice = near.map_or("define it with vrrp_instance".to_owned(), |near| {
                    format!("did you mean '{near}'?")
                });
                let text = format!("there is no vrrp_instance '{}'", shown(member));
                cx.error(
                    "V-10",
                    *at,
                    text,
                    &[&advice, "this member is left out, as in keepalived"],
                );
            } else if let Some(other) = member_of.get(&instance) {
                let text = format!("'{member}' is already a member of '{other}'");
                cx.error(
                    "V-23",
                    *at,
                    text,
                    &["an instance has one group; this member is left out"],
                );
            } else {
                member_of.insert(instance.clone(), it.name.clone());
                members.push(instance);
            }
        }
        match members.len() {
            0 => {
                let text = format!("vrrp_sync_group '{}' has no members", it.name);
                cx.error(
                    "V-11",
                    it.at,
                    text,
                    &["it is left out, as in keepalived", "list them in 'group { … }'"],
                );
                continue;
            }
            1 => cx.warn(
                "V-11",
                it.at,
                format!("vrrp_sync_group '{}' has one member", it.name),
                &["there is nothing to keep in step"],
            ),
            _ => {}
        }
        let mut tracking = tracking(&it.track_interface, &it.track_script, None, scripts, used, cx);
        if !it.tracking_weight {
            unweighted(&mut tracking, it.at, "the group", cx);
        }
        for member in &members {
            if let Some(instance) = model.instances.get_mut(member) {
                let instance = Arc::make_mut(instance);
                if !it.tracking_weight {
                    unweighted(&mut instance.tracking, it.at, &format!("'{member}'"), cx);
                }
                // A tracker of both counts once, as the group's.
                let own = &mut instance.tracking;
                own.scripts
                    .retain(|own| tracking.scripts.iter().all(|group| group.script != own.script));
                own.interfaces.retain(|own| {
                    tracking
                        .interfaces
                        .iter()
                        .all(|group| group.interface != own.interface)
                });
            }
        }
        let group = SyncGroup {
            name: name.clone(),
            members,
            tracking,
            tracking_weight: it.tracking_weight,
            notify: notify(&it.notify, cx),
        };
        model.groups.insert(name, Arc::new(group));
    }
}

/// Without `sync_group_tracking_weight` a group follows only what puts it into FAULT.
fn unweighted(tracking: &mut Tracking, at: Span, whose: &str, cx: &mut Cx<'_>) {
    let before = tracking.scripts.len();
    tracking.scripts.retain(|track| track.weight == 0);
    if tracking.scripts.len() < before {
        cx.warn(
            "V-12",
            at,
            format!("trackers with a weight of {whose} are dropped: it is in a sync group"),
            &[
                "keepalived does the same",
                "write 'sync_group_tracking_weight' into the group to keep them",
            ],
        );
    }
    let mut changed = false;
    for track in &mut tracking.interfaces {
        changed |= track.weight != 0;
        track.weight = 0;
    }
    if changed {
        cx.warn(
            "V-12",
            at,
            format!("interfaces tracked by {whose} lose their weight: it is in a sync group"),
            &[
                "they mean FAULT while down, as in keepalived",
                "write 'sync_group_tracking_weight' into the group to keep the weights",
            ],
        );
    }
}

fn vrrp_script(it: &RawScript, cx: &mut Cx<'_>) -> Option<VrrpScript> {
    let Some((words, at)) = &it.script else {
        cx.error(
            "V-27",
            it.at,
            format!("vrrp_script '{}' has no script", it.name),
            &[
                "it is left out, as in keepalived",
                "write 'script \"/path/command\"'",
            ],
        );
        return None;
    };
    let second = Duration::from_secs(1);
    let nonzero = |time: Duration| if time.is_zero() { second } else { time };
    let interval = nonzero(it.interval.unwrap_or(second));
    let timeout = it
        .timeout
        .filter(|timeout| !timeout.is_zero())
        .unwrap_or(interval);
    let names: Option<&Names> = it.user.as_ref();
    let resolved = script::resolve(words, names, *at, true, cx);
    habits(&words.argv, resolved.text.as_deref(), timeout, *at, cx);
    Some(VrrpScript {
        name: it.name.clone(),
        script: resolved.script,
        interval,
        timeout,
        rise: it.rise.unwrap_or(1),
        fall: it.fall.unwrap_or(1),
        init_fail: it.init_fail,
        broken: resolved.broken,
    })
}

/// Checks that look alive when what they check is not.
fn habits(argv: &[String], text: Option<&str>, timeout: Duration, at: Span, cx: &mut Cx<'_>) {
    let program = argv[0].rsplit('/').next().unwrap_or("");
    let signal_zero = argv.iter().any(|word| word == "-0");
    if matches!(program, "killall" | "pkill") && signal_zero || program == "pidof" || program == "pgrep" {
        let what = argv.last().map_or("the process", String::as_str);
        cx.warn(
            "E-14",
            at,
            format!("'{program}' sees a process, not whether it serves"),
            &[
                &format!(
                    "it succeeds for a '{}' that hangs or is about to stop",
                    shown(what)
                ),
                "let the script ask for an answer, for example: curl -fsS -m 1 http://127.0.0.1/health",
            ],
        );
    }
    let Some(text) = text else { return };
    let code = || text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let stops = |line: &str| {
        line.contains("keepalived")
            && line
                .split_whitespace()
                .any(|word| matches!(word, "stop" | "kill" | "killall" | "pkill"))
    };
    if code().any(stops) {
        cx.warn(
            "E-15",
            at,
            "the script stops keepalived",
            &[
                "it would not stop this agent, and no address would move",
                "let it end with a code other than 0 instead; the agent gives up the addresses",
            ],
        );
    }
    let sleeps: f64 = code()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("sleep ")?
                .split_whitespace()
                .next()?
                .parse::<f64>()
                .ok()
        })
        .sum();
    if sleeps > 0.0 && sleeps + 1.0 >= timeout.as_secs_f64() {
        let text = format!(
            "the script sleeps {sleeps} s and is ended after {} s",
            timeout.as_secs_f64()
        );
        cx.warn(
            "E-15",
            at,
            text,
            &["it may be ended half-way; write a longer 'timeout', or do not sleep in a check"],
        );
    }
}
