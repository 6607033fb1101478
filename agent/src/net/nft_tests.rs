use super::*;
use crate::wire::LinkIndex;
use crate::wire::netlink::{Body, messages};
use proptest::prelude::*;

fn op(family: Family, change: FirewallChange) -> FirewallOp {
    let name = "keepalived".to_owned();
    FirewallOp {
        table: TableName { family, name },
        change,
    }
}

fn guard(address: &str) -> Guard {
    Guard::new(address.parse().unwrap(), LinkIndex(3))
}

/// Kind, number, flags and payload of a request.
type Request = (u16, u32, u16, Vec<u8>);

fn requests(op: &FirewallOp) -> (u32, Vec<Request>) {
    let mut bytes = Vec::new();
    let last = encode(&mut bytes, 7, op);
    let all = messages(&bytes).map(Result::unwrap).map(|it| match it.body {
        Body::Data { kind, payload } => (kind, it.seq, it.flags, payload.to_vec()),
        other => panic!("{other:?}"),
    });
    (last, all.collect())
}

#[test]
fn an_address_is_added_as_the_kernel_reads_it() {
    let mut bytes = Vec::new();
    let last = encode(
        &mut bytes,
        7,
        &op(Family::Inet, FirewallChange::Guard([guard("10.7.0.100")].into())),
    );
    assert_eq!(last, 8);
    #[rustfmt::skip]
    let want: &[u8] = &[
        // Begin, for nf_tables.
        20, 0, 0, 0, 16, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 10,
        // NEWSETELEM, to be created and acknowledged; family ip.
        68, 0, 0, 0, 12, 10, 5, 4, 8, 0, 0, 0, 0, 0, 0, 0,
        2, 0, 0, 0,
        15, 0, 1, 0, b'k', b'e', b'e', b'p', b'a', b'l', b'i', b'v', b'e', b'd', 0, 0,
        9, 0, 2, 0, b'v', b'i', b'p', b's', 0, 0, 0, 0,
        // The list, one part of it, its key, the value.
        20, 0, 3, 0x80, 16, 0, 1, 0x80, 12, 0, 1, 0x80, 8, 0, 1, 0, 10, 7, 0, 100,
        // End.
        20, 0, 0, 0, 17, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 10,
    ];
    assert_eq!(bytes, want);
}

#[test]
fn a_link_local_address_is_one_with_its_link() {
    let guards = [guard("fe80::1"), guard("2001:db8::1")].into();
    let (_, requests) = requests(&op(Family::Inet6, FirewallChange::Unguard(guards)));
    let found: Vec<_> = requests[1..3]
        .iter()
        .map(|(kind, .., payload)| {
            let set = attributes(&payload[4..]).nth(1).unwrap().unwrap();
            let list = attributes(&payload[4..]).nth(2).unwrap().unwrap();
            let key = list
                .nested()
                .next()
                .unwrap()
                .unwrap()
                .nested()
                .next()
                .unwrap()
                .unwrap();
            let value = key.nested().next().unwrap().unwrap().value.to_vec();
            (kind & 0xff, set.text().unwrap().to_owned(), value)
        })
        .collect();
    let bytes = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let mut local = bytes("fe80::1");
    local.extend(3u32.to_ne_bytes());
    assert_eq!(
        found,
        [
            (DELETE_ELEMENTS, VIPS.to_owned(), bytes("2001:db8::1")),
            (DELETE_ELEMENTS, VIPS_LINK_LOCAL.to_owned(), local)
        ]
    );
}

#[test]
fn a_table_is_made_anew_in_one_transaction_with_one_answer() {
    let ruleset = |counters| Ruleset {
        priority: -1,
        counters,
        content: Content::Guards([guard("10.7.0.100")].into()),
    };
    let of = |family, counters| requests(&op(family, FirewallChange::Build(ruleset(counters))));
    let (last, v4) = of(Family::Inet, false);
    let kinds: Vec<u16> = v4.iter().map(|it| it.0).collect();
    let named = [0, 2, 0, 9, 12, 3, 6, 3, 6].map(|kind| SUBSYSTEM << 8 | kind);
    assert_eq!(kinds, [&[BATCH_BEGIN], &named[..], &[BATCH_END]].concat());
    assert_eq!(
        v4.iter().map(|it| it.1).collect::<Vec<_>>(),
        (7..18).collect::<Vec<_>>()
    );
    let answered: Vec<u32> = (v4.iter().filter(|it| it.2 & flags::ACK != 0))
        .map(|it| it.1)
        .collect();
    assert_eq!(answered, [last]);
    let priority = (-1i32).to_be_bytes();
    assert!(v4[6].3.windows(4).any(|it| it == priority), "{:?}", v4[6]);
    let counts = |requests: &[Request]| {
        let counted = requests
            .iter()
            .filter(|it| it.3.windows(7).any(|it| it == b"counter"));
        counted.count()
    };
    assert_eq!((counts(&v4), counts(&of(Family::Inet, true).1)), (0, 2));
    // Neighbour discovery, link-local addresses, all others; both ways.
    let v6 = of(Family::Inet6, false).1;
    assert_eq!(v6.iter().filter(|it| it.0 & 0xff == NEW_RULE).count(), 6);
}

#[test]
fn reports_are_sent_by_the_interface_below_and_are_found_by_name() {
    let of = |family| {
        let relays = [
            ("vrrp.51".to_owned(), LinkIndex(3)),
            ("vm6".to_owned(), LinkIndex(4)),
        ];
        let ruleset = Ruleset {
            priority: -1,
            counters: false,
            content: Content::Relays(relays.into()),
        };
        requests(&op(family, FirewallChange::Build(ruleset))).1
    };
    let kinds = |all: &[Request]| -> Vec<u16> { all.iter().map(|it| it.0 & 0xff).collect() };
    let v4 = of(Family::Inet);
    assert_eq!(kinds(&v4), [16, 0, 2, 0, 9, 12, 3, 6, 17]);
    // The map, its elements, the chain; and a set of those that may not ask for routers, with its elements and rule.
    let v6 = of(Family::Inet6);
    assert_eq!(kinds(&v6), [16, 0, 2, 0, 9, 9, 12, 12, 3, 6, 6, 17]);
    let list = attributes(&v4[5].3[4..]).nth(2).unwrap().unwrap();
    let elements: Vec<Vec<Vec<u8>>> = list
        .nested()
        .map(|element| {
            let parts = element.unwrap().nested().map(Result::unwrap);
            parts
                .map(|part| part.nested().next().unwrap().unwrap().value.to_vec())
                .collect()
        })
        .collect();
    let element = |name: &[u8; 16], index: u32| vec![name.to_vec(), index.to_ne_bytes().to_vec()];
    assert_eq!(
        elements,
        [
            element(b"vm6\0\0\0\0\0\0\0\0\0\0\0\0\0", 4),
            element(b"vrrp.51\0\0\0\0\0\0\0\0\0", 3)
        ]
    );
    for (rule, expression) in [
        (&v4[7], &b"dup\0"[..]),
        (&v6[9], b"dup\0"),
        (&v6[10], VMAC_SET.as_bytes()),
    ] {
        assert!(
            rule.3.windows(expression.len()).any(|it| it == expression),
            "{rule:?}"
        );
    }
}

#[test]
fn many_addresses_are_several_messages_of_one_transaction() {
    let guards = (0..2_500u32).map(|it| Guard::new(IpAddr::from(it.to_be_bytes()), LinkIndex(1)));
    let (_, all) = requests(&op(Family::Inet, FirewallChange::Guard(guards.collect())));
    assert_eq!(all.len(), 5);
}

#[test]
fn a_loss_is_told_by_its_table() {
    for (kind, family, lost) in [
        (0x0a02, 2, Some("ip keepalived")),
        (0x0a08, 10, Some("ip6 keepalived")),
        (0x0a0e, 2, Some("ip keepalived")),
        (0x0a0c, 2, None),
        (0x0a02, 1, None),
        (0x0b02, 2, None),
    ] {
        let mut bytes = Vec::new();
        let mut message = Builder::new(&mut bytes, kind, 0, 0);
        message.raw(&[family, 0, 0, 1]);
        message.text(TABLE, "keepalived");
        message.finish();
        let found = decode_loss(kind, &bytes[16..]).unwrap();
        assert_eq!(found.map(|it| it.to_string()).as_deref(), lost, "{kind:#x}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        kind in 0x0a00u16..0x0a10, bytes in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let _ = decode_loss(kind, &bytes);
    }
}
