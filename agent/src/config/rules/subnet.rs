//! Virtual addresses outside of every subnet of their interface: right to write, and often a slip of the pen.

use crate::config::Subnets;
use crate::config::findings::Cx;
use crate::config::keywords::{Raw, RawInstance};
use crate::config::lexer::Span;
use crate::model::{Instance, Model, VirtualAddress};
use lb_shared::names::{Family, InstanceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The first of an interface's virtual addresses that lies outside, where it stands, and how many do.
struct Outside<'m> {
    first: &'m VirtualAddress,
    at: Span,
    count: usize,
}

pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    if !cx.facts.advise {
        return;
    }
    let lists = (model.instances.values()).flat_map(|it| [&it.addresses, &it.excluded_addresses]);
    let held: BTreeSet<IpAddr> = lists.flatten().map(|it| it.address).collect();
    let mut seen = BTreeSet::new();
    for it in raw.instances.iter().filter(|it| seen.insert(it.name.as_str())) {
        if let Some(instance) = model.instances.get(&InstanceName::from(it.name.as_str())) {
            cx.object = format!("vrrp:{}", it.name);
            live(it, instance, &held, cx);
            source(it, instance, cx);
        }
    }
    cx.object.clear();
}

/// The addresses of an instance that `is_outside` says so of, by the interface they are reached through.
fn outside<'m>(
    it: &RawInstance,
    instance: &'m Instance,
    is_outside: impl Fn(&str, &VirtualAddress) -> bool,
) -> BTreeMap<&'m str, Outside<'m>> {
    let mut found: BTreeMap<&str, Outside<'_>> = BTreeMap::new();
    for address in instance.addresses.iter().chain(&instance.excluded_addresses) {
        let link = link(instance, address);
        if !is_outside(link, address) {
            continue;
        }
        let mut lines = it.addresses.iter().chain(&it.excluded);
        let at = lines
            .find(|line| line.address == address.address)
            .map_or(it.at, |line| line.at);
        let outside = Outside {
            first: address,
            at,
            count: 0,
        };
        found.entry(link).or_insert(outside).count += 1;
    }
    found
}

/// An interface of the instance's own is on the link of the one below it.
fn link<'m>(instance: &'m Instance, address: &'m VirtualAddress) -> &'m str {
    match (&instance.vmac, &instance.interface) {
        (Some(vmac), Some(base)) if vmac.name == address.device => base,
        _ => &address.device,
    }
}

/// Against the addresses that this host has now.
fn live(it: &RawInstance, instance: &Instance, held: &BTreeSet<IpAddr>, cx: &mut Cx<'_>) {
    let Some(subnets) = &cx.facts.subnets else { return };
    let found = outside(it, instance, |link, address| {
        let mut own = own(subnets, link, address.address, held).peekable();
        own.peek().is_some() && !own.any(|(own, length)| same_network(own, address.address, length))
    });
    for (link, it) in found {
        let list: Vec<String> = own(subnets, link, it.first.address, held)
            .map(|(address, length)| format!("{address}/{length}"))
            .collect();
        let text = format!(
            "{}{} in no subnet of {link}, which has {}",
            it.first.address,
            and_others(it.count),
            list.join(", ")
        );
        let notes: &[&str] = &[
            "hosts of the link reach it only if a router sends it here; keepalived does not look",
            "is the address or the interface misspelt? If it is routed here, or the file is for another host, all is well",
        ];
        cx.hint("H-19", it.at, text, notes);
    }
}

/// What an interface has of an address's family and is no virtual address.
fn own(
    subnets: &Subnets,
    link: &str,
    address: IpAddr,
    held: &BTreeSet<IpAddr>,
) -> impl Iterator<Item = (IpAddr, u8)> {
    let all = subnets.get(link).into_iter().flatten().copied();
    all.filter(move |(own, _)| {
        own.is_ipv4() == address.is_ipv4() && is_local(*own) == is_local(address) && !held.contains(own)
    })
}

/// Every link has these, and they say nothing of its subnets.
fn is_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Against the address that adverts are sent from, as far as the file tells of it.
fn source(it: &RawInstance, instance: &Instance, cx: &mut Cx<'_>) {
    let (Some((source, _)), Some(interface)) = (it.source, &instance.interface) else {
        return;
    };
    let judged = (cx.facts.subnets.as_ref()).is_some_and(|subnets| subnets.contains_key(interface));
    if judged || Family::of(source) != instance.family {
        return;
    }
    let found = outside(it, instance, |link, address| {
        let whole = if address.address.is_ipv4() { 32 } else { 128 };
        link == interface
            && address.prefix_len < whole
            && Family::of(address.address) == instance.family
            && is_local(address.address) == is_local(source)
            && !same_network(source, address.address, address.prefix_len)
    });
    for it in found.into_values() {
        let text = format!(
            "{}/{}{} not in the subnet of the source {source}",
            it.first.address,
            it.first.prefix_len,
            and_others(it.count)
        );
        let notes: &[&str] = &[
            "hosts of the link reach it only if they have that subnet, too; keepalived does not look",
            "is one of the two misspelt? If the link carries both subnets, all is well",
        ];
        cx.hint("V-89", it.at, text, notes);
    }
}

/// The beginning of a predicate about one thing and those that are like it.
fn and_others(count: usize) -> String {
    match count {
        0 | 1 => " is".to_owned(),
        2 => " and another one are".to_owned(),
        more => format!(" and {} others are", more - 1),
    }
}

fn same_network(a: IpAddr, b: IpAddr, length: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let kept = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            u32::from(a) & kept == u32::from(b) & kept
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let kept = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            u128::from(a) & kept == u128::from(b) & kept
        }
        _ => false,
    }
}
