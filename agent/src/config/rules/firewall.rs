//! Addresses whose MASTER takes no packets for them: `no_accept` and strict mode.

use crate::config::findings::Cx;
use crate::config::keywords::Raw;
use crate::model::Model;
use lb_shared::names::{InstanceName, VirtualKey};
use std::net::IpAddr;

/// What the words for iptables come to.
pub(super) fn words(cx: &mut Cx<'_>) {
    if let Some(at) = cx.global.iptables {
        let text = "nftables does what vrrp_iptables asks for: the chains of iptables are not touched";
        let notes: &[&str] = &[
            "keepalived does the same where iptables is made of nftables; the effect is the same",
            "write 'nftables' instead",
        ];
        cx.hint("V-97", at, text, notes);
    }
}

/// Such addresses cannot be balanced, and do not answer a ping.
pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    for it in &raw.instances {
        let name = InstanceName::from(it.name.as_str());
        let Some(instance) = model.instances.get(&name).filter(|it| !it.accept) else {
            continue;
        };
        let word = match it.no_accept {
            Some(_) => "no_accept",
            None => "strict mode",
        };
        let at = it.no_accept.unwrap_or(it.at);
        cx.object = format!("vrrp:{name}");
        let held: Vec<IpAddr> = (instance.addresses.iter().chain(&instance.excluded_addresses))
            .map(|it| it.address)
            .collect();
        let served = |entry: &VirtualKey| match entry {
            VirtualKey::Address { address, .. } => held.contains(address),
            VirtualKey::Fwmark { .. } => false,
        };
        let service = (model.services.values()).find(|it| it.entries.iter().any(served));
        if let Some(service) = service.filter(|_| cx.advises(at, "V-98")) {
            let text = format!("{word} keeps packets from the virtual server {}", service.key);
            let notes: &[&str] = &[
                "packets to the address are dropped before IPVS sees them, on keepalived as well",
                "write 'accept' in place of no_accept, or leave strict mode off",
            ];
            cx.warn("V-98", at, text, notes);
        } else if service.is_none() && cx.advises(at, "V-99") {
            let text = format!("with {word} the addresses answer no ping and take no connection");
            let notes: &[&str] = &[
                "packets to them and from them are dropped by nftables while this node is MASTER, as RFC 9568 wants it",
                "keepalived does the same",
            ];
            cx.hint("V-99", at, text, notes);
        }
    }
    cx.object.clear();
}
