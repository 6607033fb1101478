use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn ends(source: &str, destination: &str) -> Ends {
    Ends {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

struct Golden {
    name: &'static str,
    hex: &'static str,
    ends: (&'static str, &'static str),
    version: VrrpVersion,
    priority: u8,
    interval_ms: u64,
    password: Option<&'static [u8; 8]>,
    addresses: &'static [&'static str],
    checksum: ChecksumForm,
}

const GROUP4: (&str, &str) = ("10.5.0.1", "224.0.0.18");
const UNICAST4: (&str, &str) = ("10.5.0.1", "10.5.0.2");

/// Captured from keepalived 2.2.7.
const GOLDEN: &[Golden] = &[
    Golden {
        name: "v2",
        hex: "21336401000170610a0500640000000000000000",
        ends: GROUP4,
        version: VrrpVersion::V2,
        priority: 100,
        interval_ms: 1000,
        password: None,
        addresses: &["10.5.0.100"],
        checksum: ChecksumForm::MessageOnly,
    },
    Golden {
        name: "v2 farewell",
        hex: "213300010001d4610a0500640000000000000000",
        ends: GROUP4,
        version: VrrpVersion::V2,
        priority: 0,
        interval_ms: 1000,
        password: None,
        addresses: &["10.5.0.100"],
        checksum: ChecksumForm::MessageOnly,
    },
    Golden {
        name: "v2 password",
        hex: "213364020101f7770a0500640a0500657365637265743132",
        ends: GROUP4,
        version: VrrpVersion::V2,
        priority: 100,
        interval_ms: 1000,
        password: Some(b"secret12"),
        addresses: &["10.5.0.100", "10.5.0.101"],
        checksum: ChecksumForm::MessageOnly,
    },
    Golden {
        name: "v3",
        hex: "313364010032759b0a050064",
        ends: GROUP4,
        version: VrrpVersion::V3,
        priority: 100,
        interval_ms: 500,
        password: None,
        addresses: &["10.5.0.100"],
        checksum: ChecksumForm::PseudoHeader,
    },
    Golden {
        name: "v3 unicast",
        hex: "3133640100644b750a050064",
        ends: UNICAST4,
        version: VrrpVersion::V3,
        priority: 100,
        interval_ms: 1000,
        password: None,
        addresses: &["10.5.0.100"],
        checksum: ChecksumForm::PseudoHeader,
    },
    Golden {
        name: "v3 unicast of keepalived 1.3.6",
        hex: "31336401006475690a050064",
        ends: UNICAST4,
        version: VrrpVersion::V3,
        priority: 100,
        interval_ms: 1000,
        password: None,
        addresses: &["10.5.0.100"],
        checksum: ChecksumForm::OldUnicast,
    },
    Golden {
        name: "v3 IPv6",
        hex: "31336402006460fafe800000000000000000000000050100fd050000000000000000000000000100",
        ends: ("fe80::20db:f7ff:fe59:f67c", "ff02::12"),
        version: VrrpVersion::V3,
        priority: 100,
        interval_ms: 1000,
        password: None,
        addresses: &["fe80::5:100", "fd05::100"],
        checksum: ChecksumForm::PseudoHeader,
    },
];

impl Golden {
    fn ends(&self) -> Ends {
        ends(self.ends.0, self.ends.1)
    }

    fn address_bytes(&self) -> Vec<u8> {
        address_bytes(self.addresses.iter().map(|text| text.parse().unwrap()))
    }
}

#[test]
fn we_send_what_keepalived_sends_byte_for_byte() {
    for golden in GOLDEN {
        let authentication = golden
            .password
            .map_or(Authentication::None, |password| Authentication::Pass(*password));
        let contents = Contents {
            version: golden.version,
            vrid: 51,
            priority: golden.priority,
            interval: Duration::from_millis(golden.interval_ms),
            authentication: &authentication,
            addresses: &golden.address_bytes(),
            checksum: golden.checksum,
        };
        assert_eq!(
            encode(&contents, golden.ends()),
            hex(golden.hex),
            "{}",
            golden.name
        );
    }
}

#[test]
fn we_read_what_keepalived_sends() {
    for golden in GOLDEN {
        let bytes = hex(golden.hex);
        let packet = decode(&bytes, &[], golden.ends(), golden.version, false).unwrap();
        assert_eq!(packet.vrid, 51, "{}", golden.name);
        assert_eq!(packet.priority, golden.priority, "{}", golden.name);
        assert_eq!(
            packet.interval,
            Duration::from_millis(golden.interval_ms),
            "{}",
            golden.name
        );
        assert_eq!(packet.addresses, golden.address_bytes(), "{}", golden.name);
        assert_eq!(packet.checksum, golden.checksum, "{}", golden.name);
        let auth = matches!(golden.version, VrrpVersion::V2)
            .then(|| golden.password.map_or((0, [0; 8]), |password| (1, *password)));
        assert_eq!(packet.auth, auth, "{}", golden.name);
    }
}

#[test]
fn f010_a_version_3_checksum_without_pseudo_header_is_accepted_and_told_apart() {
    for (source, destination) in [GROUP4, UNICAST4] {
        let ends = ends(source, destination);
        for form in [ChecksumForm::PseudoHeader, ChecksumForm::MessageOnly] {
            let contents = Contents {
                version: VrrpVersion::V3,
                vrid: 51,
                priority: 100,
                interval: Duration::from_secs(1),
                authentication: &Authentication::None,
                addresses: &[10, 5, 0, 100],
                checksum: form,
            };
            let bytes = encode(&contents, ends);
            assert_eq!(
                decode(&bytes, &[], ends, VrrpVersion::V3, false)
                    .unwrap()
                    .checksum,
                form
            );
        }
    }
}

#[test]
fn f009_no_single_flipped_bit_gets_through() {
    for golden in GOLDEN {
        let bytes = hex(golden.hex);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let got = decode(&flipped, &[], golden.ends(), golden.version, false);
            assert!(got.is_err(), "{}, bit {bit}: {got:?}", golden.name);
        }
    }
}

#[test]
fn f005_no_prefix_is_a_message() {
    for golden in GOLDEN {
        let bytes = hex(golden.hex);
        for length in 0..bytes.len() {
            let got = decode(&bytes[..length], &[], golden.ends(), golden.version, false);
            let want = if length < 8 {
                BadPacket::Truncated(length)
            } else {
                BadPacket::Length {
                    got: length,
                    want: bytes.len(),
                }
            };
            assert_eq!(got, Err(want), "{} cut to {length}", golden.name);
        }
    }
}

#[test]
fn f003_f004_another_version_or_type_is_refused_as_such() {
    for golden in GOLDEN {
        for first in 0..=255u8 {
            let mut bytes = hex(golden.hex);
            if first == bytes[0] {
                continue;
            }
            let want = if first >> 4 == bytes[0] >> 4 {
                BadPacket::Type(first & 15)
            } else {
                BadPacket::Version(first >> 4)
            };
            bytes[0] = first;
            assert_eq!(
                decode(&bytes, &[], golden.ends(), golden.version, false),
                Err(want)
            );
        }
    }
}

#[test]
fn f006_f007_a_count_that_does_not_match_is_refused() {
    for golden in GOLDEN {
        for count in 0..=255u8 {
            let mut bytes = hex(golden.hex);
            if count == bytes[3] {
                continue;
            }
            bytes[3] = count;
            match decode(&bytes, &[], golden.ends(), golden.version, false) {
                Err(BadPacket::NoAddresses) => assert_eq!(count, 0),
                // A smaller count leaves bytes that may be padding; then the checksum tells.
                Err(BadPacket::Length { .. } | BadPacket::Checksum(_)) => assert_ne!(count, 0),
                other => panic!("{}, count {count}: {other:?}", golden.name),
            }
        }
    }
}

#[test]
fn f008_a_short_frame_may_be_padded_and_a_long_one_may_not() {
    for golden in GOLDEN {
        let bytes = hex(golden.hex);
        for extra in 1..40 {
            let mut padded = bytes.clone();
            padded.resize(bytes.len() + extra, 0xee);
            let got = decode(&padded, &[], golden.ends(), golden.version, false);
            let short = !golden.ends().source.is_ipv6() && padded.len() <= 26;
            assert_eq!(got.is_ok(), short, "{} and {extra} bytes: {got:?}", golden.name);
        }
    }
}

#[test]
fn f011_reserved_bits_are_ignored() {
    let ends = ends(GROUP4.0, GROUP4.1);
    let mut bytes = hex(GOLDEN[3].hex);
    bytes[4] |= 0xf0;
    bytes[6..8].fill(0);
    let checksum = pseudo_header(ends.source, ends.destination, PROTOCOL, bytes.len())
        .bytes(&bytes)
        .checksum();
    bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    let packet = decode(&bytes, &[], ends, VrrpVersion::V3, false).unwrap();
    assert_eq!(packet.interval, Duration::from_millis(500));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
        v3 in any::<bool>(),
        inet6 in any::<bool>(),
        empty_ok in any::<bool>(),
    ) {
        let version = if v3 { VrrpVersion::V3 } else { VrrpVersion::V2 };
        let ends = if inet6 { ends("fe80::1", "ff02::12") } else { ends("10.5.0.1", "224.0.0.18") };
        let _ = decode(&bytes, &[], ends, version, empty_ok);
    }

    #[test]
    fn what_is_written_is_read_again(
        vrid in 1..=255u8,
        priority in any::<u8>(),
        centiseconds in 1..=4095u64,
        count in 1..=255usize,
        seed in any::<[u8; 4]>(),
        v3 in any::<bool>(),
        inet6 in any::<bool>(),
        password in proptest::option::of(any::<[u8; 8]>()),
    ) {
        let version = if v3 { VrrpVersion::V3 } else { VrrpVersion::V2 };
        let ends = if inet6 { ends("fe80::1", "ff02::12") } else { ends("10.5.0.1", "10.5.0.2") };
        let interval = if v3 {
            Duration::from_millis(10 * centiseconds)
        } else {
            Duration::from_secs(centiseconds % 255 + 1)
        };
        let size = if inet6 { 16 } else { 4 };
        let addresses: Vec<u8> = seed.iter().copied().cycle().take(count * size).collect();
        let authentication = password.map_or(Authentication::None, Authentication::Pass);
        let contents = Contents {
            version, vrid, priority, interval,
            authentication: &authentication,
            addresses: &addresses,
            checksum: ChecksumForm::PseudoHeader,
        };
        let bytes = encode(&contents, ends);
        let packet = decode(&bytes, &[], ends, version, false).unwrap();
        prop_assert_eq!((packet.vrid, packet.priority, packet.interval), (vrid, priority, interval));
        prop_assert_eq!(packet.addresses, &addresses[..]);
        if !v3 && !inet6 {
            let want = password.map_or((0, [0; 8]), |password| (1, password));
            prop_assert_eq!(packet.auth, Some(want));
        } else {
            prop_assert_eq!(packet.auth, None);
        }
    }
}
