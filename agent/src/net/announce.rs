//! Frames that tell the neighbours where an address is now: gratuitous ARP and unsolicited neighbour adverts.

use super::{Link, NetOp};
use crate::wire::checksum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The announcement of an address on a link; `None` where there is nobody to tell (no ARP, no Ethernet).
pub fn announce(link: &Link, address: IpAddr) -> Option<NetOp> {
    let mac: [u8; 6] = link.mac.as_slice().try_into().ok()?;
    if !link.arp || link.loopback {
        return None;
    }
    Some(NetOp::Announce {
        link: link.index,
        about: address,
        frame: match address {
            IpAddr::V4(v4) => gratuitous_arp(mac, v4),
            IpAddr::V6(v6) => unsolicited_na(mac, v6, false),
        },
    })
}

/// The same announcement by a host that forwards: it has to say so, else hosts take it off their list of default routers
/// (RFC 4861 §7.2.5). `None`: it says no such thing, being of IPv4.
pub fn by_router(about: IpAddr, frame: &[u8]) -> Option<Vec<u8>> {
    let IpAddr::V6(about) = about else { return None };
    let mac: [u8; 6] = frame.get(6..12)?.try_into().ok()?;
    Some(unsolicited_na(mac, about, true))
}

/// A gratuitous ARP request as keepalived sends it: sender and target are the address, the target hardware address
/// is the broadcast address.
///
/// ```text
/// ff:ff:ff:ff:ff:ff  mac  0806 | 0001 0800 06 04 0001 | mac  address | ff:ff:ff:ff:ff:ff  address
/// ```
pub fn gratuitous_arp(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    const BROADCAST: [u8; 6] = [0xff; 6];
    const ARP: [u8; 2] = [0x08, 0x06];
    // Ethernet, IPv4, their address lengths, request.
    const REQUEST: [u8; 8] = [0, 1, 0x08, 0, 6, 4, 0, 1];
    [
        &BROADCAST[..],
        &mac,
        &ARP,
        &REQUEST,
        &mac,
        &address.octets(),
        &BROADCAST,
        &address.octets(),
    ]
    .concat()
}

/// An unsolicited neighbour advert to all nodes, with the override flag (RFC 4861 §7.2.6).
pub fn unsolicited_na(mac: [u8; 6], address: Ipv6Addr, router: bool) -> Vec<u8> {
    const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    const IPV6: [u8; 2] = [0x86, 0xdd];
    const ICMPV6: u8 = 58;
    const HOP_LIMIT: u8 = 255;
    const NEIGHBOUR_ADVERT: u8 = 136;
    const ROUTER: u8 = 0x80;
    const OVERRIDE: u8 = 0x20;
    // Target link-layer address, one unit of eight bytes.
    const TARGET_OPTION: [u8; 2] = [2, 1];

    let flags = if router { ROUTER | OVERRIDE } else { OVERRIDE };
    let mut message = [
        &[NEIGHBOUR_ADVERT, 0, 0, 0, flags, 0, 0, 0][..],
        &address.octets(),
        &TARGET_OPTION,
        &mac,
    ]
    .concat();
    let length = u16::try_from(message.len()).expect("32 bytes").to_be_bytes();
    let sum = checksum::pseudo_header(address.into(), ALL_NODES.into(), ICMPV6, message.len());
    let checksum = sum.bytes(&message).checksum();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    [
        &ALL_NODES_MAC[..],
        &mac,
        &IPV6,
        &[0x60, 0, 0, 0],
        &length,
        &[ICMPV6, HOP_LIMIT],
        &address.octets(),
        &ALL_NODES.octets(),
        &message,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LinkIndex;

    const MAC: [u8; 6] = [0x22, 0xdb, 0xf7, 0x59, 0xf6, 0x7c];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn link() -> Link {
        Link {
            index: LinkIndex(3),
            name: "eth0".to_owned(),
            running: true,
            arp: true,
            multicast: true,
            mtu: 1500,
            mac: MAC.to_vec(),
            ..Link::default()
        }
    }

    #[test]
    fn gratuitous_arp_is_as_keepalived_sends_it() {
        assert_eq!(
            hex(&gratuitous_arp(MAC, Ipv4Addr::new(10, 5, 0, 100))),
            "ffffffffffff22dbf759f67c08060001080006040001\
             22dbf759f67c0a050064ffffffffffff0a050064"
        );
    }

    #[test]
    fn the_neighbour_advert_is_as_keepalived_sends_it() {
        let frame = unsolicited_na(MAC, "fe80::5:100".parse().unwrap(), false);
        let (head, message) = frame.split_at(54);
        assert_eq!(
            hex(head),
            "33330000000122dbf759f67c86dd\
             60000000002"
                .to_owned()
                + "03aff\
             fe800000000000000000000000050100ff020000000000000000000000000001"
        );
        assert_eq!(
            hex(message),
            "880046e220000000fe800000000000000000000000050100020122dbf759f67c"
        );
    }

    #[test]
    fn a_router_says_so_and_the_checksum_follows() {
        let frame = unsolicited_na(MAC, "fe80::5:100".parse().unwrap(), true);
        assert_eq!(hex(&frame[54..62]), "8800c6e1a0000000");
        let about = "fe80::5:100".parse().unwrap();
        let sent = unsolicited_na(MAC, about, false);
        assert_eq!(
            by_router(about.into(), &sent),
            Some(frame),
            "what was sent without it"
        );
        assert_eq!(
            by_router("10.5.0.100".parse().unwrap(), &sent),
            None,
            "ARP has no word for it"
        );
    }

    #[test]
    fn nothing_is_announced_where_nobody_listens() {
        let vip = "10.5.0.100".parse().unwrap();
        assert!(announce(&link(), vip).is_some());
        let silent = [
            Link { arp: false, ..link() },
            Link {
                loopback: true,
                ..link()
            },
            Link {
                mac: Vec::new(),
                ..link()
            },
        ];
        for link in silent {
            assert_eq!(announce(&link, vip), None, "{link:?}");
        }
    }
}
