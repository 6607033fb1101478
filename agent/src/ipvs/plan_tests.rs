use super::*;
use crate::ipvs::table::{Destination, DestinationCounters, Method};
use lb_shared::names::ServerKey;
use proptest::collection::{btree_map, btree_set};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

fn virtual_key(number: u8) -> VirtualKey {
    format!("192.0.2.{number}:80/tcp").parse().unwrap()
}

fn server_key(number: u16) -> ServerKey {
    ServerKey {
        address: Ipv4Addr::from(0x0a00_0000 + u32::from(number) + 1).into(),
        port: 80,
    }
}

fn destination(weight: u32) -> Destination {
    Destination {
        settings: DestinationSettings {
            method: Method::Direct,
            weight,
            upper_threshold: 0,
            lower_threshold: 0,
        },
        counters: DestinationCounters::default(),
    }
}

fn service(scheduler: &str, weights: impl IntoIterator<Item = (u16, u32)>) -> IpvsService {
    IpvsService {
        settings: ServiceSettings {
            scheduler: scheduler.to_owned(),
            flags: 0,
            timeout_s: 0,
            prefix_len: 32,
            engine: None,
        },
        destinations: weights
            .into_iter()
            .map(|(number, weight)| (server_key(number), destination(weight)))
            .collect(),
    }
}

fn any_destination() -> impl Strategy<Value = Destination> {
    let method = prop_oneof![
        Just(Method::Masquerade),
        Just(Method::Direct),
        Just(Method::Tunnel {
            kind: 0,
            port: 0,
            flags: 0
        }),
        Just(Method::Tunnel {
            kind: 1,
            port: 6080,
            flags: 1
        }),
    ];
    (method, 0u32..3, 0u32..2).prop_map(|(method, weight, threshold)| Destination {
        settings: DestinationSettings {
            method,
            weight,
            upper_threshold: threshold * 10,
            lower_threshold: threshold * 5,
        },
        counters: DestinationCounters::default(),
    })
}

fn any_service() -> impl Strategy<Value = IpvsService> {
    let scheduler = prop_oneof![Just("rr"), Just("wrr"), Just("mh"), Just("sh"), Just("wlc")];
    let servers = btree_map((0u16..24).prop_map(server_key), any_destination(), 0..24);
    (scheduler, servers, any::<bool>(), any::<bool>()).prop_map(
        |(scheduler, destinations, sticky, fallback)| IpvsService {
            settings: ServiceSettings {
                scheduler: scheduler.to_owned(),
                flags: u32::from(sticky) * flags::PERSISTENT + u32::from(fallback) * flags::SCHED_1,
                timeout_s: u32::from(sticky) * 300,
                prefix_len: 32,
                engine: None,
            },
            destinations,
        },
    )
}

fn any_table() -> impl Strategy<Value = IpvsTable> {
    btree_map((1u8..6).prop_map(virtual_key), any_service(), 0..5).prop_map(|services| IpvsTable {
        services,
        ..IpvsTable::default()
    })
}

fn any_owned() -> impl Strategy<Value = BTreeSet<VirtualKey>> {
    btree_set((1u8..6).prop_map(virtual_key), 0..5)
}

/// Whether a client would be served.
fn serves(service: &IpvsService) -> bool {
    service.settings.scheduler != NO_SCHEDULER
        && service
            .destinations
            .values()
            .any(|destination| destination.settings.weight > 0)
}

proptest! {
    #[test]
    fn applying_a_plan_gives_what_is_wanted_and_leaves_the_rest(
        want in any_table(), have in any_table(), owned in any_owned(),
    ) {
        let mut table = have.clone();
        for op in plan(&want, &have, &owned) {
            prop_assert_eq!(table.apply(&op), Ok(()), "{}", op);
        }
        let foreign = have.services.iter()
            .filter(|(key, _)| !owned.contains(key) && !want.services.contains_key(key));
        let mut expected: BTreeMap<_, _> = want.services.clone();
        expected.extend(foreign.map(|(key, service)| (*key, service.clone())));
        prop_assert_eq!(&table.services, &expected);
        prop_assert_eq!(plan(&want, &table, &owned), []);
    }

    #[test]
    fn a_plan_never_removes_what_is_wanted_nor_touches_what_is_the_same(
        want in any_table(), have in any_table(), owned in any_owned(),
    ) {
        for op in plan(&want, &have, &owned) {
            match &op {
                IpvsOp::RemoveServer(key, server) =>
                    prop_assert!(!want.services[key].destinations.contains_key(server), "{}", op),
                IpvsOp::RemoveService(key) => prop_assert!(!want.services.contains_key(key), "{}", op),
                IpvsOp::EditServer(key, server, settings) =>
                    prop_assert_ne!(&have.services[key].destinations[server].settings, settings),
                _ => {}
            }
        }
    }

    #[test]
    fn a_service_that_serves_before_and_after_serves_at_every_moment(
        want in any_table(), have in any_table(), owned in any_owned(),
    ) {
        let mut table = have.clone();
        for op in plan(&want, &have, &owned) {
            table.apply(&op).unwrap();
            for (key, service) in &want.services {
                let before = have.services.get(key).is_some_and(serves);
                if before && serves(service) {
                    prop_assert!(serves(&table.services[key]), "not after {}", op);
                }
            }
        }
    }
}

#[test]
fn a_weight_is_edited_in_place() {
    let ops = plan_service(
        virtual_key(1),
        Some(&service("wrr", [(1, 5), (2, 1)])),
        Some(&service("wrr", [(1, 1), (2, 1)])),
    );
    assert_eq!(
        ops,
        [IpvsOp::EditServer(
            virtual_key(1),
            server_key(1),
            destination(5).settings
        )]
    );
}

#[test]
fn a_large_new_service_gets_its_scheduler_when_it_is_full() {
    let key = virtual_key(1);
    for (scheduler, count, fills_first) in [
        ("mh", 2, true),
        ("mh", 1, false),
        ("wrr", 16, true),
        ("wrr", 15, false),
        ("rr", 1000, false),
    ] {
        let want = service(scheduler, (0..count).map(|number| (number, 1)));
        let bare = IpvsService {
            destinations: BTreeMap::new(),
            ..service("rr", [])
        };
        for have in [None, Some(&bare)] {
            let ops = plan_service(key, Some(&want), have);
            let first = match &ops[0] {
                IpvsOp::AddService(_, settings) | IpvsOp::EditService(_, settings) => {
                    settings.scheduler.as_str()
                }
                IpvsOp::AddServer(..) => "untouched",
                other => panic!("{other}"),
            };
            let last = matches!(ops.last(), Some(IpvsOp::EditService(_, s)) if s.scheduler == scheduler);
            assert_eq!(first == NO_SCHEDULER, fills_first, "{scheduler} {count} {have:?}");
            assert!(last || !fills_first, "{scheduler} {count}");
        }
    }
}

#[test]
fn a_live_service_never_loses_its_scheduler_while_it_grows() {
    let ops = plan_service(
        virtual_key(1),
        Some(&service("mh", (0..100).map(|number| (number, 1)))),
        Some(&service("mh", [(200, 1)])),
    );
    assert!(
        !ops.iter().any(|op| matches!(op, IpvsOp::EditService(..))),
        "{ops:?}"
    );
}

#[test]
fn mh_is_set_once_its_servers_fit() {
    let key = virtual_key(1);
    let have = service("rr", (0..5000).map(|number| (number, 1)));
    let want = service("mh", (0..4000).map(|number| (number, 1)));
    let mut table = IpvsTable {
        daemons: BTreeMap::new(),
        services: [(key, have.clone())].into(),
    };
    for op in plan_service(key, Some(&want), Some(&have)) {
        assert_eq!(table.apply(&op), Ok(()), "{op}");
    }
    assert_eq!(table.services[&key], want);
}

#[test]
fn counters_and_bits_of_the_kernels_own_make_no_difference() {
    let want = service("rr", [(1, 1)]);
    let mut have = want.clone();
    for destination in have.destinations.values_mut() {
        destination.counters.connections = 7;
    }
    have.settings.flags = 0x02 | 0x8000_0000;
    assert_eq!(plan_service(virtual_key(1), Some(&want), Some(&have)), []);
}
