//! What others on the network send.

use super::{Node, instance, ip};
use lb_shared::names::InstanceName;
use lbagent::bfd::Heard;
use lbagent::model::Instance;
use lbagent::vrrp::{Datagram, Effect, Ground, Routers};
use lbagent::wire::LinkIndex;
use lbagent::wire::bfd::{Packet, State};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const NEIGHBOR: &str = "192.0.2.3";

/// What a master of VI_1 at `source` sends.
pub(crate) fn advert_of(node: &Node, priority: u8, source: &str) -> Datagram {
    let name = InstanceName::from("VI_1");
    let theirs = Instance {
        source: Some(ip(source)),
        ..instance(priority)
    };
    let mut routers = Routers::new(1);
    let mut effects = Vec::new();
    let instances = BTreeMap::from([(name.clone(), Arc::new(theirs))]);
    routers.apply(
        node.now,
        &instances,
        &BTreeMap::new(),
        Duration::ZERO,
        &mut effects,
    );
    let ground = Ground {
        link: Some(LinkIndex(2)),
        sends_by: None,
        vrf: None,
        mtu: None,
        source: Some(ip(source)),
        own_addresses: vec![ip(source)],
        faults: Default::default(),
    };
    routers.on_ground(node.now, &name, ground, &mut effects);
    routers.resume(node.now, &name, Duration::ZERO, &mut effects);
    let sent = effects.into_iter().find_map(|effect| match effect {
        Effect::Send { advert, .. } => Some(advert),
        _ => None,
    });
    let advert = sent.expect("a master sends at once");
    Datagram {
        link: LinkIndex(2),
        source: advert.source,
        destination: advert.destination,
        ttl: Some(255),
        envelope: Default::default(),
        payload: advert.payload,
    }
}

/// What a neighbour says that is one step ahead in the handshake.
pub(super) fn answer(packet: &[u8]) -> Heard {
    let heard = Packet::decode(packet).expect("what we send can be read");
    let said = Packet {
        state: match heard.state {
            State::Down | State::AdminDown => State::Init,
            State::Init | State::Up => State::Up,
        },
        poll: false,
        fin: heard.poll,
        mine: 77,
        yours: heard.mine,
        ..heard
    };
    Heard {
        source: ip(NEIGHBOR),
        destination: ip("192.0.2.1"),
        ttl: Some(255),
        multihop: false,
        payload: said.encode().to_vec(),
    }
}
