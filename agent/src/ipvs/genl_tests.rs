use super::decode::prefix_len;
use super::*;
use crate::ipvs::IpvsOp;
use crate::ipvs::table::{
    Destination, DestinationCounters, DestinationSettings, Method, ServiceSettings, SyncDaemon, SyncRole,
    flags,
};
use crate::wire::netlink::{Body, messages};
use lb_shared::names::{Family, Protocol, ServerKey, VirtualKey};
use proptest::prelude::*;
use std::net::IpAddr;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key(text: &str) -> VirtualKey {
    text.parse().unwrap()
}

fn persistent() -> ServiceSettings {
    ServiceSettings {
        scheduler: "wlc".to_owned(),
        flags: flags::PERSISTENT,
        timeout_s: 300,
        prefix_len: 32,
        engine: None,
    }
}

fn masquerade(weight: u32) -> DestinationSettings {
    DestinationSettings {
        method: Method::Masquerade,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn encoded(seq: u32, op: &IpvsOp) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(encode_op(&mut bytes, FamilyId(0x1c), seq, true, op));
    bytes
}

fn payload(bytes: &[u8]) -> Vec<u8> {
    match messages(bytes).next().unwrap().unwrap().body {
        Body::Data { payload, .. } => payload.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sync_daemon_is_read_as_it_was_written() {
    let full = SyncDaemon {
        interface: "eth1".into(),
        id: 51,
        maxlen: 1400,
        port: 8848,
        ttl: 3,
        group: Some("224.0.0.81".parse().unwrap()),
    };
    let bare = SyncDaemon {
        interface: "bond0.100".into(),
        id: 0,
        maxlen: 0,
        port: 0,
        ttl: 0,
        group: None,
    };
    let six = SyncDaemon {
        group: Some("ff02::81".parse().unwrap()),
        ..full.clone()
    };
    for (role, it) in [
        (SyncRole::Master, full),
        (SyncRole::Backup, bare),
        (SyncRole::Backup, six),
    ] {
        let bytes = encoded(1, &IpvsOp::StartSync(role, it.clone()));
        assert_eq!(decode_daemon(&payload(&bytes)), Ok((role, it)));
    }
}

// The bytes below were accepted by a real kernel (little-endian).
#[cfg(target_endian = "little")]
mod golden {
    use super::*;

    #[test]
    fn a_persistent_service_is_the_bytes_a_kernel_took() {
        let op = IpvsOp::AddService(key("192.0.2.10:443/tcp"), persistent());
        let wanted = hex("68000000 1c00 0500 01000000 00000000 01 01 0000 5400 0100
             0600 0100 0200 0000 0600 0200 0600 0000
             1400 0300 c000020a 00000000 00000000 00000000 0600 0400 01bb 0000
             0800 0600 776c6300 0c00 0700 01000000 ffffffff
             0800 0800 2c010000 0800 0900 ffffffff");
        assert_eq!(encoded(1, &op), wanted);
    }

    #[test]
    fn a_masqueraded_server_is_the_bytes_a_kernel_took() {
        let server = "192.0.2.21:8443".parse().unwrap();
        let op = IpvsOp::AddServer(key("192.0.2.10:443/tcp"), server, masquerade(5));
        let wanted = hex("8c000000 1c00 0500 02000000 00000000 05 01 0000 3000 0100
             0600 0100 0200 0000 0600 0200 0600 0000
             1400 0300 c000020a 000000000000000000000000 0600 0400 01bb 0000
             4800 0200 1400 0100 c0000215 000000000000000000000000
             0600 0200 20fb 0000 0600 0b00 0200 0000 0800 0300 00000000
             0800 0400 05000000 0800 0500 00000000 0800 0600 00000000");
        assert_eq!(encoded(2, &op), wanted);
    }

    #[test]
    fn an_ipv6_netmask_is_a_number_and_an_ipv4_one_is_bytes() {
        let one_packet = ServiceSettings {
            scheduler: "rr".to_owned(),
            flags: flags::ONE_PACKET,
            timeout_s: 0,
            prefix_len: 128,
            engine: None,
        };
        let bytes = encoded(1, &IpvsOp::AddService(key("[2001:db8::10]:53/udp"), one_packet));
        assert!(bytes.ends_with(&hex("0800 0900 80000000")), "{bytes:x?}");
        let bits = hex("0c00 0700 04000000 ffffffff");
        assert!(bytes.windows(bits.len()).any(|window| window == bits));
        let by_subnet = ServiceSettings {
            prefix_len: 24,
            ..persistent()
        };
        let bytes = encoded(1, &IpvsOp::AddService(key("192.0.2.10:443/tcp"), by_subnet));
        assert!(bytes.ends_with(&hex("0800 0900 ffffff00")), "{bytes:x?}");
    }

    #[test]
    fn the_family_is_asked_for_by_name_and_read_as_a_number() {
        let mut bytes = Vec::new();
        encode_resolve(&mut bytes, 3);
        let wanted = hex("20000000 1000 0100 03000000 00000000 03 02 0000 0900 0200 4950565300 000000");
        assert_eq!(bytes, wanted);
        let answer = hex("01 02 0000 0900 0200 4950565300 000000 0600 0100 1c00 0000");
        assert_eq!(decode_resolve(&answer), Ok(FamilyId(0x1c)));
    }

    #[test]
    fn statistics_are_read_with_and_without_padding_and_the_wider_ones_count() {
        let narrow = "4000 0a00 0800 0100 07000000 0800 0200 01000000 0800 0300 01000000
                      0c00 0400 0100000000000000 0c00 0500 0100000000000000 0800 0600 01000000 0400 0b00";
        let values = |pad: &str| {
            (1u16..=10)
                .map(|kind| format!("{pad} 0c00 {kind:02x}00 {kind:02x}000000 01000000"))
                .collect::<String>()
        };
        for (pad, length) in [("", 124), ("0400 0b00", 164)] {
            let wide = format!("{length:02x}00 0c00 {}", values(pad));
            for parts in [[narrow, &wide], [&wide, narrow]] {
                let attributes = hex(&format!(
                    "0800 0100 0a000001 0600 0200 0050 0000 0800 0300 03000000 0800 0700 05000000 {} {}",
                    parts[0], parts[1]
                ));
                let mut payload = hex("05 01 0000");
                payload.extend(u16::try_from(attributes.len() + 4).unwrap().to_ne_bytes());
                payload.extend([2, 0]);
                payload.extend(attributes);
                let (server, destination) = decode_server(&payload, Family::Inet).unwrap();
                assert_eq!(server.to_string(), "10.0.0.1:80");
                let counters = destination.counters;
                assert_eq!(counters.active, 5);
                assert_eq!(counters.connections, (1 << 32) + 1, "pad '{pad}'");
                assert_eq!(counters.bytes_out_per_s, (1 << 32) + 10, "pad '{pad}'");
            }
        }
    }
}

fn any_key() -> impl Strategy<Value = VirtualKey> {
    let family = prop_oneof![Just(Family::Inet), Just(Family::Inet6)];
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp), Just(Protocol::Sctp)];
    prop_oneof![
        (any::<IpAddr>(), any::<u16>(), protocol).prop_map(|(address, port, protocol)| {
            VirtualKey::Address {
                address,
                port,
                protocol,
            }
        }),
        (1u32.., family).prop_map(|(mark, family)| VirtualKey::Fwmark { mark, family }),
    ]
}

proptest! {
    #[test]
    fn a_service_reads_back_as_it_was_written(
        key in any_key(), bits in 0u32..0x40, timeout_s in 1u32..100_000, length in 1u8..=128, sip in any::<bool>(),
    ) {
        let sticky = bits & flags::PERSISTENT != 0;
        let bits_of_family = family(&key).bits();
        let settings = ServiceSettings {
            scheduler: "mh".to_owned(),
            flags: bits & flags::SETTABLE,
            timeout_s: if sticky { timeout_s } else { 0 },
            prefix_len: if sticky { length.min(bits_of_family) } else { bits_of_family },
            engine: sip.then(|| "sip".to_owned()),
        };
        let bytes = encoded(9, &IpvsOp::AddService(key, settings.clone()));
        prop_assert_eq!(decode_service(&payload(&bytes)), Ok(Some((key, settings))));
    }

    #[test]
    fn a_server_reads_back_as_it_was_written(
        key in any_key(), address in any::<IpAddr>(), port in any::<u16>(), weight in any::<u32>(),
        upper_threshold in any::<u32>(), lower_threshold in any::<u32>(), tunnel in any::<(u16, u16)>(), which in 0u8..5,
    ) {
        let settings = DestinationSettings {
            method: match which {
                0 => Method::Masquerade,
                1 => Method::Direct,
                2 => Method::Tunnel { kind: 0, port: 0, flags: 0 },
                kind => Method::Tunnel { kind: kind - 2, port: tunnel.0, flags: tunnel.1 },
            },
            weight,
            upper_threshold,
            lower_threshold,
        };
        let server = ServerKey { address, port };
        let bytes = encoded(9, &IpvsOp::AddServer(key, server, settings));
        let counters = DestinationCounters::default();
        let wanted = Destination { settings, counters };
        prop_assert_eq!(decode_server(&payload(&bytes), family(&key)), Ok((server, wanted)));
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
        let _ = decode_service(&bytes);
        let _ = decode_server(&bytes, Family::Inet6);
        let _ = decode_resolve(&bytes);
    }

    #[test]
    fn any_damaged_answer_is_decoded_without_panic(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
        let server = "[2001:db8::2]:80".parse().unwrap();
        let bytes = encoded(1, &IpvsOp::AddServer(key("[2001:db8::1]:80/tcp"), server, masquerade(1)));
        let mut bytes = payload(&bytes);
        let length = bytes.len();
        bytes[at % length] = byte;
        let bytes = &bytes[..length - cut % length];
        let _ = decode_service(bytes);
        let _ = decode_server(bytes, Family::Inet);
    }
}

#[test]
fn an_entry_listed_twice_is_read_once() {
    let web = key("192.0.2.10:443/tcp");
    let server = "192.0.2.21:80".parse().unwrap();
    let mut reader = TableReader::default();
    for timeout_s in [300, 600] {
        let settings = ServiceSettings {
            timeout_s,
            ..persistent()
        };
        let bytes = encoded(1, &IpvsOp::AddService(web, settings));
        reader.service(&payload(&bytes)).unwrap();
    }
    for weight in [5, 6] {
        let bytes = encoded(1, &IpvsOp::AddServer(web, server, masquerade(weight)));
        reader.server(&web, &payload(&bytes)).unwrap();
    }
    let table = reader.finish();
    assert_eq!(table.services[&web].settings.timeout_s, 300);
    assert_eq!(table.services[&web].destinations[&server].settings.weight, 5);
}

#[test]
fn a_service_of_an_unknown_protocol_is_passed_over() {
    let op = IpvsOp::AddService(key("192.0.2.10:443/tcp"), persistent());
    let mut bytes = payload(&encoded(1, &op));
    let gre = 47u16.to_ne_bytes();
    let tcp = 6u16.to_ne_bytes();
    let at = bytes
        .windows(4)
        .position(|it| it == [2, 0, tcp[0], tcp[1]])
        .unwrap();
    bytes[at + 2..at + 4].copy_from_slice(&gre);
    assert_eq!(decode_service(&bytes), Ok(None));
}

#[test]
fn timeout_and_netmask_say_nothing_of_a_service_that_is_not_persistent() {
    let key = key("192.0.2.1:80/tcp");
    for (flags, want) in [(flags::PERSISTENT, (300, 24)), (0, (0, 32))] {
        let settings = ServiceSettings {
            flags,
            prefix_len: 24,
            ..persistent()
        };
        let bytes = payload(&encoded(1, &IpvsOp::AddService(key, settings)));
        let (_, read) = decode_service(&bytes).unwrap().unwrap();
        assert_eq!((read.timeout_s, read.prefix_len), want);
    }
}

#[test]
fn a_netmask_with_holes_is_no_prefix() {
    assert_eq!(prefix_len(Family::Inet, [255, 255, 255, 0]), 24);
    assert_eq!(prefix_len(Family::Inet, [0, 0, 0, 0]), 0);
    assert_eq!(prefix_len(Family::Inet, [0, 255, 0, 255]), 255);
    assert_eq!(prefix_len(Family::Inet, [255, 0, 0, 1]), 255);
}
