//! Adverts and netlink answers: no byte from the wire may panic, and a rejected advert changes nothing that is seen.
#![no_main]

use lb_shared::names::Family;
use lb_shared::units::Mono;
use lbagent::bfd::{self, Heard, Sessions};
use lbagent::model::{Authentication, BfdPath, BfdSession, Instance, Signing, SigningKey, SigningMode};
use lbagent::vrrp::{Datagram, Effect, Ground, Routers, Terms};
use lbagent::wire::LinkIndex;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

#[path = "../../agent/tests/support/instance.rs"]
mod instance;

static ROUTERS: LazyLock<Routers> = LazyLock::new(|| {
    let mut instances = BTreeMap::new();
    let signed = |it| Instance { authentication: Authentication::Signed(signing()), ..it };
    for it in [
        instance::v2("A", 51, 100),
        instance::v3("B", 52, 100),
        instance::v3_inet6("C", 53, 100),
        signed(instance::v2("D", 54, 100)),
        signed(instance::v3_inet6("E", 55, 100)),
    ] {
        instances.insert(it.name.clone(), Arc::new(it));
    }
    let mut routers = Routers::new(1);
    let mut effects = Vec::new();
    routers.apply(Mono::ZERO, &instances, &BTreeMap::new(), Duration::ZERO, &mut effects);
    for it in instances.values() {
        let source = if it.family == Family::Inet6 { "fe80::1" } else { "192.0.2.1" };
        let ground = Ground {
            link: Some(LinkIndex(2)),
            source: source.parse().ok(),
            own_addresses: source.parse().into_iter().collect(),
            ..Ground::default()
        };
        routers.on_ground(Mono::ZERO, &it.name, ground, &mut effects);
        routers.on_terms(Mono::ZERO, &it.name, Terms::default(), &mut effects);
    }
    routers
});

/// Permissive: adverts with and without a trailer get past it. Nobody guesses the key.
fn signing() -> Signing {
    Signing {
        keys: BTreeMap::from([(1, SigningKey(vec![7; 32]))]),
        active: 1,
        mode: SigningMode::Permissive,
        window: None,
    }
}

static SESSIONS: LazyLock<Sessions> = LazyLock::new(|| {
    let session = BfdSession {
        name: "peer".into(),
        path: BfdPath { neighbor: "192.0.2.2".parse().expect("an address"), source: None, ttl: 255, multihop: false },
        min_rx: Duration::from_millis(50),
        min_tx: Duration::from_millis(50),
        idle_tx: Duration::from_secs(1),
        multiplier: 3,
        passive: false,
        ttl_min: 255,
    };
    let mut sessions = Sessions::new(1);
    let mut effects = Vec::new();
    sessions.apply(Mono::ZERO, &BTreeMap::from([("peer".into(), Arc::new(session))]), &mut effects);
    sessions
});

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, rest)) = bytes.split_first() else { return };
    match kind {
        0..=179 => advert(kind, rest),
        180..=199 => bfd(kind, rest),
        200..=219 => drop(lbagent::wire::ip::split(rest)),
        220..=239 => {
            for message in lbagent::wire::netlink::messages(rest) {
                let _ = message;
            }
            for kind in 16..=24 {
                let _ = lbagent::net::rtnl::decode(kind, rest);
            }
        }
        240..=255 => {
            let _ = lbagent::ipvs::genl::decode_service(rest);
            let _ = lbagent::ipvs::genl::decode_server(rest, lb_shared::names::Family::Inet);
            let _ = lbagent::ipvs::genl::decode_resolve(rest);
        }
    }
});

/// One control packet against a session that is up: it may cost one answer and one word of news, no more.
fn bfd(kind: u8, payload: &[u8]) {
    let mut sessions = SESSIONS.clone();
    let mut effects = Vec::new();
    let heard = Heard {
        source: "192.0.2.2".parse().expect("an address"),
        destination: "192.0.2.1".parse().expect("an address"),
        ttl: Some(if kind % 2 == 1 { 255 } else { 254 }),
        multihop: false,
        payload: payload.to_vec(),
    };
    sessions.on_heard(Mono(2_000_000), &heard, &mut effects);
    let sent = effects.iter().filter(|it| matches!(it, bfd::Effect::Send { .. })).count();
    assert!(sent <= 2, "a packet made a session talk");
    for _ in 0..100 {
        let Some(deadline) = sessions.deadline() else { break };
        sessions.on_tick(deadline.max(Mono(2_000_000)), &mut effects);
    }
}

fn advert(kind: u8, payload: &[u8]) {
    let mut routers = ROUTERS.clone();
    let inet6 = kind % 2 == 1;
    let (source, destination) = if inet6 { ("fe80::2", "ff02::12") } else { ("192.0.2.2", "224.0.0.18") };
    let mut effects = Vec::new();
    let datagram = Datagram {
        link: LinkIndex(2),
        source: source.parse().expect("an address"),
        destination: destination.parse().expect("an address"),
        ttl: Some(255),
        envelope: Default::default(),
        payload: payload.to_vec(),
    };
    routers.on_datagram(Mono(1_000_000), &datagram, &mut effects);
    for effect in &effects {
        assert!(!matches!(effect, Effect::Announce { .. }), "a packet made a backup announce");
    }
    if let Some(deadline) = routers.deadline() {
        routers.on_tick(deadline.max(Mono(1_000_000)), &mut effects);
    }
}
