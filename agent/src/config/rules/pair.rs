//! Two nodes of one virtual router: what in their files has to agree. Only where the other node's file was given.

use super::hmac;
use super::weigh::counterpart;
use crate::config::findings::Cx;
use crate::config::keywords::{Raw, RawInstance};
use crate::model::{Authentication, Instance, Model, SigningMode, VrrpVersion};
use lb_shared::names::InstanceName;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) fn objects(raw: &Raw, model: &Model, cx: &mut Cx<'_>) {
    let Some(peer) = cx.facts.peer else { return };
    let mut seen = BTreeSet::new();
    for it in raw.instances.iter().filter(|it| seen.insert(it.name.as_str())) {
        let Some(instance) = model.instances.get(&InstanceName::from(it.name.as_str())) else {
            continue;
        };
        cx.object = format!("vrrp:{}", it.name);
        let at = it.vrid.map_or(it.at, |(_, at)| at);
        match counterpart(instance, peer) {
            Some(other) => differences(it, instance, other, cx),
            None => cx.warn(
                "V-35",
                at,
                format!("the peer has no virtual router {}", instance.vrid),
                &[
                    "nobody takes over the addresses of this one",
                    "virtual_router_id has to be the same on both nodes",
                ],
            ),
        }
    }
    cx.object.clear();
}

fn differences(it: &RawInstance, own: &Instance, other: &Instance, cx: &mut Cx<'_>) {
    deaf(it, own, other, cx);
    let at = it.priority.map_or(it.at, |(_, at)| at);
    if own.priority == other.priority {
        cx.warn(
            "V-37",
            at,
            format!("the peer has the same priority, {}", own.priority),
            &[
                "the node with the higher address becomes MASTER, as in keepalived",
                "give the node that is meant to be MASTER the higher priority",
            ],
        );
    }
    let addresses = |instance: &Instance| -> BTreeSet<IpAddr> {
        let lists = [&instance.addresses, &instance.excluded_addresses];
        lists.into_iter().flatten().map(|it| it.address).collect()
    };
    let (ours, theirs) = (addresses(own), addresses(other));
    if ours != theirs {
        let named = |from: &BTreeSet<IpAddr>, to: &BTreeSet<IpAddr>| -> Vec<String> {
            from.difference(to).map(ToString::to_string).collect()
        };
        let mut parts = Vec::new();
        for (whose, missing) in [("here", named(&ours, &theirs)), ("there", named(&theirs, &ours))] {
            if !missing.is_empty() {
                parts.push(format!("only {whose}: {}", missing.join(", ")));
            }
        }
        let at = it.addresses.first().map_or(it.at, |line| line.at);
        cx.warn(
            "V-38",
            at,
            format!("the peer holds other addresses ({})", parts.join("; ")),
            &[
                "after a failover these are missing; keepalived before 2.4 also drops adverts with other addresses, \
                 and both nodes become MASTER",
                "list the same addresses on both nodes",
            ],
        );
    }
}

/// What keeps one node from believing the other: both become MASTER.
fn deaf(it: &RawInstance, own: &Instance, other: &Instance, cx: &mut Cx<'_>) {
    let version = |version| match version {
        VrrpVersion::V2 => "2",
        VrrpVersion::V3 => "3",
    };
    let mut say = |at, what: String| {
        let notes: &[&str] = &[
            "neither node takes the other's adverts, as in keepalived: both become MASTER",
            "write the same on both nodes",
        ];
        cx.error("V-36", at, what, notes);
    };
    if own.version != other.version {
        let (ours, theirs) = (version(own.version), version(other.version));
        say(
            it.at,
            format!("VRRP version {ours} here, version {theirs} on the peer"),
        );
        return;
    }
    let at = it.auth_type.map_or(it.at, |(_, at)| at);
    match (&own.authentication, &other.authentication) {
        (Authentication::Signed(ours), Authentication::Signed(theirs)) => {
            if let Some(text) = hmac::apart(ours, theirs) {
                say(it.auth_hmac.as_ref().map_or(at, |raw| raw.at), text);
            }
        }
        (Authentication::Signed(one), _) | (_, Authentication::Signed(one)) => {
            let ours = matches!(own.authentication, Authentication::Signed(_));
            if one.mode != SigningMode::ReceiveOnly {
                let (here, there) = if ours {
                    ("auth_hmac", "none")
                } else {
                    ("no auth_hmac", "one")
                };
                say(
                    it.auth_hmac.as_ref().map_or(at, |raw| raw.at),
                    format!(
                        "{here} here, {there} on the peer: whoever knows no signature refuses a signed advert"
                    ),
                );
            }
        }
        (Authentication::Pass(ours), Authentication::Pass(theirs)) if ours != theirs => {
            let at = it.auth_pass.as_ref().map_or(at, |(_, at)| *at);
            say(at, "the peer has another auth_pass".to_owned());
        }
        (Authentication::Pass(_), Authentication::None) => {
            say(
                at,
                "auth_type PASS here, no authentication on the peer".to_owned(),
            );
        }
        (Authentication::None, Authentication::Pass(_)) => {
            say(
                at,
                "no authentication here, auth_type PASS on the peer".to_owned(),
            );
        }
        _ => {}
    }
    if own.version == VrrpVersion::V2 && own.advert_interval != other.advert_interval {
        let text = format!(
            "advert_int is {} s here and {} s on the peer",
            own.advert_interval.as_secs_f64(),
            other.advert_interval.as_secs_f64()
        );
        say(it.advert_int.map_or(it.at, |(_, at)| at), text);
    }
    match (own.unicast_peers.is_empty(), other.unicast_peers.is_empty()) {
        (false, true) => say(it.peers[0].at, "unicast here, multicast on the peer".to_owned()),
        (true, false) => say(it.at, "multicast here, unicast on the peer".to_owned()),
        (true, true) if own.multicast_group != other.multicast_group => {
            let text = format!(
                "multicast group {} here, {} on the peer",
                own.multicast_group, other.multicast_group
            );
            say(it.at, text);
        }
        _ => {}
    }
}
