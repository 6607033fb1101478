//! An address that two have: instances, or an instance and the host itself.

use crate::config::findings::Cx;
use crate::config::keywords::Raw;
use crate::model::{Model, VirtualAddress};
use lb_shared::names::InstanceName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    let place = |it: &VirtualAddress| (it.address, it.device.clone());
    let fixed: BTreeSet<(IpAddr, String)> = model.static_addresses.iter().map(place).collect();
    let mut owners: BTreeMap<(IpAddr, String), &str> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for it in raw.instances.iter().filter(|it| seen.insert(it.name.as_str())) {
        let Some(instance) = model.instances.get(&InstanceName::from(it.name.as_str())) else {
            continue;
        };
        cx.object = format!("vrrp:{}", it.name);
        for address in instance.addresses.iter().chain(&instance.excluded_addresses) {
            let mut lines = it.addresses.iter().chain(&it.excluded);
            let at = lines
                .find(|line| line.address == address.address)
                .map_or(it.at, |line| line.at);
            let (ip, device) = (address.address, &address.device);
            if fixed.contains(&place(address)) {
                let text = format!("{ip} is in static_ipaddress of {device}, too");
                let notes: &[&str] = &[
                    "the address is then on every node at once; keepalived does not look",
                    "leave it to the instance alone",
                ];
                cx.warn("V-91", at, text, notes);
            }
            match owners.get(&place(address)) {
                None => drop(owners.insert(place(address), &it.name)),
                Some(other) => {
                    let text = format!("{ip} on {device} is an address of '{other}', too");
                    let notes: &[&str] = &[
                        "each elects a MASTER of its own: two nodes may hold it at once; keepalived does not look",
                        "list it in one of the two",
                    ];
                    cx.warn("V-91", at, text, notes);
                }
            }
        }
    }
    cx.object.clear();
}
