//! Settings of a virtual router: what each is when nothing, or something that does not fit, was written.

use super::address;
use crate::config::findings::Cx;
use crate::config::keywords::RawInstance;
use crate::model::{Authentication, Garp, UnicastPeer, VrrpVersion};
use lb_shared::names::Family;
use lb_shared::units::{Priority, Vrid};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The longest interval version 3 can say: 12 bits of centiseconds.
const V3_INTERVAL_MAX: Duration = Duration::from_millis(40_950);

pub(super) fn family(it: &RawInstance) -> Family {
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

pub(super) fn vrid(it: &RawInstance, cx: &mut Cx<'_>) -> Option<Vrid> {
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
pub(super) fn interface(it: &RawInstance, cx: &mut Cx<'_>) -> Option<Option<String>> {
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
pub(super) fn vrf(it: &RawInstance, interface: Option<&str>, cx: &mut Cx<'_>) -> Option<String> {
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

pub(super) fn version(it: &RawInstance, family: Family, strict: bool, cx: &mut Cx<'_>) -> VrrpVersion {
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

pub(super) fn initial_master(
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

pub(super) fn preemption(
    it: &RawInstance,
    initial_master: bool,
    strict: bool,
    cx: &mut Cx<'_>,
) -> (bool, Duration) {
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
pub(super) fn late_backup(it: &RawInstance, preempt: bool, cx: &mut Cx<'_>) -> Option<u8> {
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

pub(super) fn peers(it: &RawInstance, family: Family, cx: &mut Cx<'_>) -> Vec<UnicastPeer> {
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

pub(super) fn advert_interval(it: &RawInstance, version: VrrpVersion, cx: &mut Cx<'_>) -> Duration {
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

/// Where adverts go to that are not for peers.
pub(super) fn multicast_group(it: &RawInstance, family: Family, cx: &mut Cx<'_>) -> IpAddr {
    if let Some((address, at)) = it.mcast_dst {
        if Family::of(address) == family {
            return address;
        }
        let text = format!("{address} is of another family than the addresses");
        let notes: &[&str] = &["it is ignored, as in keepalived: the group of all instances is used"];
        cx.error("V-20", at, text, notes);
    }
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

pub(super) fn garp(it: &RawInstance, strict: bool, cx: &Cx<'_>) -> Garp {
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
