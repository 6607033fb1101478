use super::*;
use crate::model::AddressExtras;
use crate::wire::netlink::{Body, messages};
use proptest::prelude::*;

fn message(op: &NetOp) -> (u16, u16, Vec<u8>) {
    let mut bytes = Vec::new();
    assert!(encode_op(&mut bytes, 7, true, op));
    let message = messages(&bytes).next().unwrap().unwrap();
    match message.body {
        Body::Data { kind, payload } => (kind, message.flags, payload.to_vec()),
        other => panic!("{other:?}"),
    }
}

fn key(address: &str, prefix_len: u8) -> AddressKey {
    AddressKey {
        link: LinkIndex(3),
        address: address.parse().unwrap(),
        prefix_len,
    }
}

fn attribute_kinds(payload: &[u8]) -> Vec<u16> {
    attributes(&payload[ADDRESS_HEADER..])
        .map(|it| it.unwrap().kind)
        .collect()
}

#[test]
fn an_ipv4_address_reads_back_as_it_was_written() {
    let key = key("10.5.0.100", 24);
    let address = Address {
        label: Some("eth0:vip".to_owned()),
        scope: 253,
        broadcast: Some([10, 5, 0, 255].into()),
        ours: true,
        usable: true,
        extras: AddressExtras {
            peer: Some([10, 6, 0, 1].into()),
            noprefixroute: true,
            autojoin: true,
            preferred_s: Some(0),
            ..AddressExtras::default()
        },
    };
    let (kind, flags, payload) = message(&NetOp::AddAddress {
        key,
        address: address.clone(),
    });
    assert_eq!((kind, flags), (RTM_NEWADDR, 0x605));
    assert_eq!(decode(kind, &payload), Ok(Some(Notice::Address(key, address))));
}

#[test]
fn an_ipv6_virtual_address_skips_detection_and_is_no_source_of_own_connections() {
    let add = |dad, preferred_s| {
        let address = Address {
            extras: AddressExtras {
                dad,
                preferred_s,
                ..AddressExtras::default()
            },
            ..Address::default()
        };
        let op = NetOp::AddAddress {
            key: key("2001:db8::100", 128),
            address,
        };
        let (.., payload) = message(&op);
        let life = attributes(&payload[ADDRESS_HEADER..])
            .map(Result::unwrap)
            .find(|it| it.kind == 6)
            .map(|it| it.value[..8].to_vec());
        (payload[2], attribute_kinds(&payload).contains(&IFA_FLAGS), life)
    };
    assert_eq!(
        add(false, Some(0)),
        (2, true, Some(vec![0, 0, 0, 0, 255, 255, 255, 255]))
    );
    assert_eq!(add(true, None), (0, false, None));
}

#[test]
fn a_removal_names_address_and_length_only() {
    let op = NetOp::RemoveAddress {
        key: key("10.5.0.100", 32),
        peer: None,
    };
    let (kind, flags, payload) = message(&op);
    assert_eq!((kind, flags), (RTM_DELADDR, 5));
    assert_eq!(&payload[..8], [AF_INET, 32, 0, 0, 3, 0, 0, 0]);
    assert_eq!(attribute_kinds(&payload), [IFA_LOCAL, IFA_ADDRESS]);
}

fn link_payload(family: u8, flags: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut builder = Builder::new(&mut bytes, RTM_NEWLINK, 0, 0);
    builder.raw(&[family, 0, 1, 0, 3, 0, 0, 0]);
    builder.raw(&flags.to_ne_bytes());
    builder.raw(&[0; 4]);
    builder.text(IFLA_IFNAME, "eth0");
    builder.attribute(IFLA_MTU, &1500u32.to_ne_bytes());
    builder.attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
    // Something a later kernel might nest there.
    builder.attribute(26, &[1, 2, 3]);
    builder.finish();
    bytes[16..].to_vec()
}

#[test]
fn a_link_runs_when_it_is_up_and_has_a_carrier() {
    for (flags, running) in [
        (0, false),
        (IFF_UP, false),
        (IFF_RUNNING, false),
        (IFF_UP | IFF_RUNNING, true),
    ] {
        match decode(RTM_NEWLINK, &link_payload(0, flags)) {
            Ok(Some(Notice::Link(link))) => {
                assert_eq!(link.running, running, "flags {flags:#x}");
                assert_eq!((link.name.as_str(), link.mtu, link.mac.len()), ("eth0", 1500, 6));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_port_that_leaves_a_bridge_is_not_a_link_that_is_gone() {
    const AF_BRIDGE: u8 = 7;
    assert_eq!(decode(RTM_DELLINK, &link_payload(AF_BRIDGE, 0)), Ok(None));
    assert_eq!(
        decode(RTM_DELLINK, &link_payload(0, 0)),
        Ok(Some(Notice::LinkGone(LinkIndex(3))))
    );
}

#[test]
fn a_tentative_address_is_not_usable() {
    let cases = [
        (0u32, true),
        (0x40, false),
        (0x44, true),
        (0x08, false),
        (0x80, true),
    ];
    for (flags, usable) in cases {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, RTM_NEWADDR, 0, 0);
        builder.raw(&[AF_INET6, 64, 0, 0, 3, 0, 0, 0]);
        builder.attribute(IFA_ADDRESS, &[0x20; 16]);
        builder.attribute(IFA_FLAGS, &flags.to_ne_bytes());
        builder.finish();
        match decode(RTM_NEWADDR, &bytes[16..]) {
            Ok(Some(Notice::Address(_, address))) => assert_eq!(address.usable, usable, "{flags:#x}"),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_without_panic(
        kind in 14u16..24, bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        let _ = decode(kind, &bytes);
    }

    #[test]
    fn any_damaged_message_is_decoded_without_panic(at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
        let mut bytes = link_payload(0, 0x43);
        let length = bytes.len();
        bytes[at % length] = byte;
        let bytes = &bytes[..length - cut % length];
        let _ = decode(RTM_NEWLINK, bytes);
        let _ = decode(RTM_NEWADDR, bytes);
    }
}

#[test]
fn a_new_link_reads_back_as_what_it_is() {
    let link = |kind| {
        let new = NewLink {
            name: "vrrp.51".to_owned(),
            over: LinkIndex(3),
            kind,
            vrf: Some(LinkIndex(9)),
        };
        let (kind, flags, payload) = message(&NetOp::AddLink(new));
        assert_eq!((kind, flags), (RTM_NEWLINK, 0x605));
        let above = attributes(&payload[LINK_HEADER..])
            .map(Result::unwrap)
            .find(|it| it.kind == IFLA_MASTER);
        assert_eq!(above.unwrap().u32(), Ok(9));
        match decode(kind, &payload) {
            Ok(Some(Notice::Link(link))) => link,
            other => panic!("{other:?}"),
        }
    };
    let macvlan = link(OwnKind::Macvlan([0, 0, 0x5e, 0, 1, 51]));
    assert_eq!(
        (macvlan.private_over, macvlan.ipvlan_over),
        (Some(LinkIndex(3)), None)
    );
    let ipvlan = link(OwnKind::Ipvlan(IpvlanMode::Private));
    assert_eq!(
        (ipvlan.private_over, ipvlan.ipvlan_over),
        (None, Some(LinkIndex(3)))
    );
}

#[test]
fn a_link_below_in_another_namespace_is_none_of_ours() {
    let new = NewLink {
        name: "vrrp.51".to_owned(),
        over: LinkIndex(3),
        kind: OwnKind::Macvlan([0, 0, 0x5e, 0, 1, 51]),
        vrf: None,
    };
    let (kind, _, mut payload) = message(&NetOp::AddLink(new));
    let header = [8u16.to_ne_bytes(), IFLA_LINK_NETNSID.to_ne_bytes()].concat();
    payload.extend([header, vec![0; 4]].concat());
    match decode(kind, &payload) {
        Ok(Some(Notice::Link(link))) => assert_eq!(link.over(), None),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_ipvlan_is_asked_for_as_the_kernel_reads_it() {
    for (mode, flags) in [
        (IpvlanMode::Bridge, 0),
        (IpvlanMode::Private, 1),
        (IpvlanMode::Vepa, 2),
    ] {
        let new = NewLink {
            name: "i".to_owned(),
            over: LinkIndex(3),
            kind: OwnKind::Ipvlan(mode),
            vrf: None,
        };
        let (.., payload) = message(&NetOp::AddLink(new));
        let info = attributes(&payload[LINK_HEADER..])
            .map(Result::unwrap)
            .find(|it| it.kind == IFLA_LINKINFO);
        // The kind, then mode 0 (l2) and the flags, two bytes each.
        let mut want = vec![11, 0, 1, 0];
        want.extend(b"ipvlan\0\0");
        want.extend([20, 0, 2, 0, 6, 0, 1, 0, 0, 0, 0, 0, 6, 0, 2, 0, flags, 0, 0, 0]);
        assert_eq!(info.unwrap().value, want, "{mode:?}");
    }
}

#[test]
fn a_link_tells_which_vrf_it_belongs_to_but_not_which_bridge() {
    for (word, vrf) in [("vrf", Some(LinkIndex(9))), ("bridge", None)] {
        let mut bytes = Vec::new();
        let mut builder = Builder::new(&mut bytes, RTM_NEWLINK, 0, 0);
        builder.raw(&[0, 0, 1, 0, 3, 0, 0, 0]);
        builder.raw(&[0; 8]);
        builder.text(IFLA_IFNAME, "eth0");
        builder.attribute(IFLA_MASTER, &9u32.to_ne_bytes());
        let word = [word.as_bytes(), &[0]].concat();
        let length = u16::try_from(word.len() + 4).unwrap();
        let slave = [&length.to_ne_bytes()[..], &4u16.to_ne_bytes(), &word].concat();
        builder.attribute(IFLA_LINKINFO, &slave);
        builder.finish();
        match decode(RTM_NEWLINK, &bytes[16..]) {
            Ok(Some(Notice::Link(link))) => assert_eq!(link.vrf, vrf),
            other => panic!("{other:?}"),
        }
    }
}
