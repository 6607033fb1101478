//! The bytes of nf_tables (linux/netfilter/nf_tables.h) that [`FirewallOp`]s need, and what its notifications say.
//!
//! Names of sets and chains are keepalived's, so that what people look at with `nft list` is where they know it.

use super::firewall::{FirewallChange, FirewallOp, Guard, Ruleset, TableName};
use crate::wire::netlink::{Builder, Malformed, attributes, flags};
use lb_shared::names::Family;
use std::net::IpAddr;

/// Where the kernel tells of changes.
pub const GROUP: u32 = 7;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const DELETE_SET: u16 = 11;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;

const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;
/// In a list, each part is one of these.
const PART: u16 = 1;
/// The name of the table is the first attribute of every message.
const TABLE: u16 = 1;

/// Elements in one message, whose lengths have 16 bits.
const ELEMENT_COUNT_MAX: usize = 1000;

const VIPS: &str = "vips";
const VIPS_LINK_LOCAL: &str = "vips_link_local";

/// How `nft` shows the keys of a set.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_INTERFACE: u32 = 20;

const VERDICT_DROP: u32 = 0;
const VERDICT_ACCEPT: u32 = 1;

/// Appends an operation as one transaction. Returns the number of its last request, the one that is acknowledged;
/// the first has the number `first` and answers for the whole.
pub fn encode(out: &mut Vec<u8>, first: u32, op: &FirewallOp) -> u32 {
    let mut transaction = Transaction {
        out,
        seq: first,
        table: &op.table,
        last_at: 0,
    };
    transaction.frame(BATCH_BEGIN);
    match &op.change {
        FirewallChange::Build(ruleset) => transaction.build(ruleset),
        FirewallChange::Guard(guards) => transaction.elements(NEW_ELEMENTS, flags::CREATE, guards),
        FirewallChange::Unguard(guards) => transaction.elements(DELETE_ELEMENTS, 0, guards),
        FirewallChange::Drop => transaction.clear(),
    }
    let last = transaction.seq.wrapping_sub(1);
    transaction.acknowledge();
    transaction.frame(BATCH_END);
    last
}

/// The table that a notification takes something away from.
pub fn decode_loss(kind: u16, payload: &[u8]) -> Result<Option<TableName>, Malformed> {
    let losses = [
        DELETE_TABLE,
        DELETE_CHAIN,
        DELETE_RULE,
        DELETE_SET,
        DELETE_ELEMENTS,
    ];
    if kind >> 8 != SUBSYSTEM || !losses.contains(&(kind & 0xff)) {
        return Ok(None);
    }
    let (header, rest) = payload
        .split_first_chunk::<4>()
        .ok_or(Malformed("nf_tables header"))?;
    let family = match header[0] {
        NFPROTO_IPV4 => Family::Inet,
        NFPROTO_IPV6 => Family::Inet6,
        _ => return Ok(None),
    };
    for attribute in attributes(rest) {
        let attribute = attribute?;
        if attribute.kind == TABLE {
            let name = attribute.text()?.to_owned();
            return Ok(Some(TableName { family, name }));
        }
    }
    Ok(None)
}

const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

struct Transaction<'a> {
    out: &'a mut Vec<u8>,
    seq: u32,
    table: &'a TableName,
    /// Where the last request begins.
    last_at: usize,
}

impl Transaction<'_> {
    /// Begin and end.
    fn frame(&mut self, kind: u16) {
        let mut message = Builder::new(self.out, kind, 0, self.seq);
        let [high, low] = SUBSYSTEM.to_be_bytes();
        message.raw(&[0, 0, high, low]);
        message.finish();
        self.seq = self.seq.wrapping_add(1);
    }

    /// A request about the table.
    fn request(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Builder<'_>)) {
        self.last_at = self.out.len();
        let family = match self.table.family {
            Family::Inet => NFPROTO_IPV4,
            Family::Inet6 => NFPROTO_IPV6,
        };
        let mut message = Builder::new(self.out, SUBSYSTEM << 8 | kind, flags, self.seq);
        message.raw(&[family, 0, 0, 0]);
        message.text(TABLE, &self.table.name);
        fill(&mut message);
        message.finish();
        self.seq = self.seq.wrapping_add(1);
    }

    /// The last request is answered even if all is well.
    fn acknowledge(&mut self) {
        const FLAGS_AT: usize = 6;
        let at = self.last_at + FLAGS_AT;
        let now = u16::from_ne_bytes([self.out[at], self.out[at + 1]]);
        self.out[at..at + 2].copy_from_slice(&(now | flags::ACK).to_ne_bytes());
    }

    /// Away with the table, if there is one: what is deleted must be there, and adding it is no error if it is.
    fn clear(&mut self) {
        self.request(NEW_TABLE, flags::CREATE, |_| {});
        self.request(DELETE_TABLE, 0, |_| {});
    }

    fn build(&mut self, ruleset: &Ruleset) {
        self.clear();
        self.request(NEW_TABLE, flags::CREATE, |_| {});
        match self.table.family {
            Family::Inet => self.set(VIPS, 1, TYPE_IPV4, 4),
            Family::Inet6 => {
                self.set(VIPS, 1, TYPE_IPV6, 16);
                self.set(VIPS_LINK_LOCAL, 2, TYPE_IPV6 << 6 | TYPE_INTERFACE, 20);
            }
        }
        self.elements(NEW_ELEMENTS, flags::CREATE, &ruleset.guards);
        for side in [Side::In, Side::Out] {
            self.chain(side, ruleset.priority);
            if self.table.family == Family::Inet6 {
                // Others must still find the address, and we them (RFC 9568 §6.4.3: never dropped).
                self.rule(side, ruleset.counters, VERDICT_ACCEPT, neighbor_discovery);
                let local = |list: &mut Builder<'_>| {
                    address(list, side, Family::Inet6);
                    meta(list, side.interface(), REGISTER_2);
                    lookup(list, VIPS_LINK_LOCAL);
                };
                self.rule(side, ruleset.counters, VERDICT_DROP, local);
            }
            let family = self.table.family;
            let all = |list: &mut Builder<'_>| {
                address(list, side, family);
                lookup(list, VIPS);
            };
            self.rule(side, ruleset.counters, VERDICT_DROP, all);
        }
    }

    fn set(&mut self, name: &str, number: u32, kind: u32, key_bytes: u32) {
        self.request(NEW_SET, flags::CREATE, |it| {
            it.text(2, name);
            it.attribute(4, &kind.to_be_bytes());
            it.attribute(5, &key_bytes.to_be_bytes());
            it.attribute(10, &number.to_be_bytes());
        });
    }

    fn chain(&mut self, side: Side, priority: i32) {
        self.request(NEW_CHAIN, flags::CREATE, |it| {
            it.text(3, side.chain());
            it.nest(4 | NESTED, |hook| {
                hook.attribute(1, &side.hook().to_be_bytes());
                hook.attribute(2, &priority.to_be_bytes());
            });
            it.attribute(5, &VERDICT_ACCEPT.to_be_bytes());
            it.text(7, "filter");
        });
    }

    fn rule(&mut self, side: Side, counts: bool, verdict: u32, matches: impl FnOnce(&mut Builder<'_>)) {
        self.request(NEW_RULE, flags::CREATE | APPEND, |it| {
            it.text(2, side.chain());
            it.nest(4 | NESTED, |list| {
                matches(list);
                if counts {
                    expression(list, "counter", |_| {});
                }
                expression(list, "immediate", |it| {
                    it.attribute(1, &REGISTER_VERDICT.to_be_bytes());
                    it.nest(2 | NESTED, |data| {
                        data.nest(2 | NESTED, |it| it.attribute(1, &verdict.to_be_bytes()));
                    });
                });
            });
        });
    }

    fn elements<'g>(&mut self, kind: u16, flags: u16, guards: impl IntoIterator<Item = &'g Guard>) {
        let (local, all): (Vec<&Guard>, Vec<&Guard>) = guards.into_iter().partition(|it| it.link.is_some());
        for (set, guards) in [(VIPS, all), (VIPS_LINK_LOCAL, local)] {
            for some in guards.chunks(ELEMENT_COUNT_MAX) {
                self.request(kind, flags, |it| {
                    it.text(2, set);
                    it.nest(3 | NESTED, |list| {
                        for guard in some {
                            list.nest(PART | NESTED, |it| {
                                it.nest(1 | NESTED, |key| key.attribute(1, &element(guard)));
                            });
                        }
                    });
                });
            }
        }
    }
}

/// The key of an element: the address, and the number of the interface as the kernel has it in a packet's register.
fn element(guard: &Guard) -> Vec<u8> {
    let mut key = match guard.address {
        IpAddr::V4(it) => it.octets().to_vec(),
        IpAddr::V6(it) => it.octets().to_vec(),
    };
    key.extend(guard.link.iter().flat_map(|link| link.0.to_ne_bytes()));
    key
}

/// Packets to this host, or from it.
#[derive(Clone, Copy)]
enum Side {
    In,
    Out,
}

impl Side {
    fn chain(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// NF_INET_LOCAL_IN or NF_INET_LOCAL_OUT.
    fn hook(self) -> u32 {
        match self {
            Self::In => 1,
            Self::Out => 3,
        }
    }

    /// NFT_META_IIF or NFT_META_OIF.
    fn interface(self) -> u32 {
        match self {
            Self::In => 4,
            Self::Out => 5,
        }
    }
}

const REGISTER_VERDICT: u32 = 0;
const REGISTER_1: u32 = 1;
/// Follows the 16 bytes of the first.
const REGISTER_2: u32 = 2;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;

fn expression(list: &mut Builder<'_>, name: &str, fill: impl FnOnce(&mut Builder<'_>)) {
    list.nest(PART | NESTED, |it| {
        it.text(1, name);
        it.nest(2 | NESTED, fill);
    });
}

fn payload(list: &mut Builder<'_>, base: u32, offset: u32, bytes: u32) {
    expression(list, "payload", |it| {
        it.attribute(1, &REGISTER_1.to_be_bytes());
        it.attribute(2, &base.to_be_bytes());
        it.attribute(3, &offset.to_be_bytes());
        it.attribute(4, &bytes.to_be_bytes());
    });
}

fn meta(list: &mut Builder<'_>, key: u32, register: u32) {
    expression(list, "meta", |it| {
        it.attribute(1, &register.to_be_bytes());
        it.attribute(2, &key.to_be_bytes());
    });
}

fn compare(list: &mut Builder<'_>, how: u32, with: u8) {
    expression(list, "cmp", |it| {
        it.attribute(1, &REGISTER_1.to_be_bytes());
        it.attribute(2, &how.to_be_bytes());
        it.nest(3 | NESTED, |data| data.attribute(1, &[with]));
    });
}

fn lookup(list: &mut Builder<'_>, set: &str) {
    expression(list, "lookup", |it| {
        it.text(1, set);
        it.attribute(2, &REGISTER_1.to_be_bytes());
    });
}

/// Whom a packet that comes is for, or whom one that goes is from.
fn address(list: &mut Builder<'_>, side: Side, family: Family) {
    let (offset, bytes) = match (family, side) {
        (Family::Inet, Side::In) => (16, 4),
        (Family::Inet, Side::Out) => (12, 4),
        (Family::Inet6, Side::In) => (24, 16),
        (Family::Inet6, Side::Out) => (8, 16),
    };
    payload(list, NETWORK_HEADER, offset, bytes);
}

/// Neighbour solicitations and adverts, 135 and 136 of ICMPv6.
fn neighbor_discovery(list: &mut Builder<'_>) {
    const PROTOCOL_OF_PACKET: u32 = 16;
    const EQUAL: u32 = 0;
    const AT_MOST: u32 = 3;
    const AT_LEAST: u32 = 5;
    const ICMPV6: u8 = 58;
    meta(list, PROTOCOL_OF_PACKET, REGISTER_1);
    compare(list, EQUAL, ICMPV6);
    payload(list, TRANSPORT_HEADER, 0, 1);
    compare(list, AT_LEAST, 135);
    compare(list, AT_MOST, 136);
}

#[cfg(test)]
mod tests {
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
            guards: [guard("10.7.0.100")].into(),
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
}
