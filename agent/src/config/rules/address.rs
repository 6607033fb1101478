//! The addresses an instance holds, and the interfaces they need.

use super::own_link::Homes;
use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{AddressLine, Raw, RawInstance};
use crate::config::lexer::Span;
use crate::model::room::{self, COUNTED_MAX};
use crate::model::{AddressExtras, Instance, VirtualAddress};
use lb_shared::names::Family;
use std::collections::BTreeSet;

/// Tells of an interface that this host does not have.
pub(super) fn present(name: &str, at: Span, what: &str, cx: &mut Cx<'_>) {
    let Some(interfaces) = &cx.facts.interfaces else {
        return;
    };
    if interfaces.contains(name) || cx.global.dynamic_interfaces {
        return;
    }
    let near = cx.nearest(name, interfaces.iter().map(String::as_str));
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

pub(super) fn addresses(
    it: &RawInstance,
    family: Family,
    homes: &mut Homes<'_>,
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
        let Some(mut address) = virtual_address(line, homes.who.interface, &mut told_length, cx) else {
            continue;
        };
        address.device = homes.of(line, address.device, cx);
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
        if let Some((_, at)) = &line.group {
            let notes = [
                "it is ignored",
                "this instance tracks its own addresses: leave it out",
            ];
            cx.error("V-122", *at, "'track_group' is for static lines", &notes);
        }
        foreign(line, it, cx);
        match own_list && advertised.len() < COUNTED_MAX {
            true => advertised.push(address),
            false => excluded.push(address),
        }
    }
    if it.addresses.len() > COUNTED_MAX {
        cx.warn(
            "V-25",
            it.addresses[COUNTED_MAX].at,
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

/// Tells of addresses that an advert of ordinary size has no room for. How large they may really be is known at run time.
pub(super) fn fit(it: &RawInstance, instance: &Instance, cx: &mut Cx<'_>) {
    let room = instance.advert_room(room::MTU);
    let Some(first) = instance.addresses.get(room) else {
        return;
    };
    let line = it.addresses.iter().find(|line| line.address == first.address);
    cx.warn(
        "V-126",
        line.map_or(it.at, |line| line.at),
        format!(
            "an advert has room for {room} of the {} addresses at an MTU of {}",
            instance.addresses.len(),
            room::MTU
        ),
        &[
            "this one and those below are held but not advertised, as in keepalived",
            "the MTU of the instance's interface decides: it must be the same on both nodes",
        ],
    );
}

/// `static_ipaddress`.
pub(super) fn fixed(raw: &Raw, cx: &mut Cx<'_>) -> Vec<VirtualAddress> {
    let default = cx
        .global
        .default_interface
        .clone()
        .unwrap_or_else(|| "eth0".to_owned());
    let mut told_length = false;
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(raw.addresses.len());
    for line in &raw.addresses {
        if line.device.is_none() {
            let what = "the address is missing until it appears; keepalived ends here";
            present(&default, line.at, what, cx);
        }
        if let Some(at) = line.use_vmac {
            let text = "use_vmac is for addresses of instances: a static address has no virtual MAC";
            cx.warn("V-71", at, text, &["the address is put on its interface"]);
        }
        let Some(address) = virtual_address(line, Some(&default), &mut told_length, cx) else {
            continue;
        };
        if seen.insert((address.address, address.device.clone())) {
            kept.push(address);
        } else {
            let text = format!("{} is listed twice", line.address);
            cx.warn("V-06", line.at, text, &["the first line counts"]);
        }
    }
    kept
}

fn virtual_address(
    line: &AddressLine,
    interface: Option<&str>,
    told_length: &mut bool,
    cx: &mut Cx<'_>,
) -> Option<VirtualAddress> {
    let most = if line.address.is_ipv4() { 32 } else { 128 };
    let prefix_len = line.peer_len.or(line.prefix_len);
    if prefix_len.is_none() && !std::mem::replace(told_length, true) {
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
    let prefix_len = prefix_len.unwrap_or(most);
    // As keepalived: an IPv6 address of full length is not chosen as the source of this host's own connections, which
    // would break when the address moves.
    let preferred = line.preferred.or((prefix_len == 128).then_some(0));
    Some(VirtualAddress {
        address: line.address,
        prefix_len,
        device,
        label: line.label.clone().filter(|_| line.address.is_ipv4()),
        scope: line.scope,
        broadcast: line.broadcast,
        track: line.track,
        extras: AddressExtras {
            preferred_s: preferred.filter(|it| *it != u32::MAX),
            ..line.extras.clone()
        },
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

pub(super) fn source(it: &RawInstance, family: Family, cx: &mut Cx<'_>) {
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
