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
#[path = "nft_tests.rs"]
mod tests;
