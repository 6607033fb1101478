//! The bytes of nf_tables (linux/netfilter/nf_tables.h) that [`FirewallOp`]s need, and what its notifications say.
//!
//! Names of sets and chains are keepalived's, so that what people look at with `nft list` is where they know it.

use super::firewall::{Content, FirewallChange, FirewallOp, Guard, Relays, Ruleset, TableName};
use crate::wire::LinkIndex;
use crate::wire::netlink::{Builder, Malformed, attributes, flags};
use lb_shared::names::Family;
use std::collections::BTreeSet;
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
const VMAC_MAP: &str = "vmac_map";
const VMAC_SET: &str = "vmac_set";

/// How `nft` shows the keys of a set.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_INTERFACE: u32 = 20;
const TYPE_INTERFACE_NAME: u32 = 41;
const INTERFACE_NAME_BYTES: usize = 16;
/// That keys, and then values, are in this host's order of bytes: nothing to the kernel, but `nft` shows them by it.
const AS_THIS_HOST: [u8; 12] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d, 1, 4, a, b, c, d]
};

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
        FirewallChange::Guard(guards) => transaction.guards(NEW_ELEMENTS, flags::CREATE, guards),
        FirewallChange::Unguard(guards) => transaction.guards(DELETE_ELEMENTS, 0, guards),
        FirewallChange::Relay(relays) => transaction.relays(NEW_ELEMENTS, flags::CREATE, relays),
        FirewallChange::Unrelay(relays) => transaction.relays(DELETE_ELEMENTS, 0, relays),
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
        match &ruleset.content {
            Content::Guards(guards) => self.build_guards(ruleset, guards),
            Content::Relays(relays) => self.build_relays(ruleset, relays),
        }
    }

    fn build_guards(&mut self, ruleset: &Ruleset, guards: &BTreeSet<Guard>) {
        match self.table.family {
            Family::Inet => self.set(VIPS, 1, TYPE_IPV4, 4),
            Family::Inet6 => {
                self.set(VIPS, 1, TYPE_IPV6, 16);
                self.set(VIPS_LINK_LOCAL, 2, TYPE_IPV6 << 6 | TYPE_INTERFACE, 20);
            }
        }
        self.guards(NEW_ELEMENTS, flags::CREATE, guards);
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

    /// Reports are sent again by the interface below, and not by the one they are about. Nor may that one ask for
    /// routers: their answers are for the interface below.
    fn build_relays(&mut self, ruleset: &Ruleset, relays: &Relays) {
        const IGMP: u8 = 2;
        const MLD_REPORT: u8 = 143;
        const ROUTER_SOLICITATION: u8 = 133;
        let family = self.table.family;
        self.map_of_interfaces();
        if family == Family::Inet6 {
            self.set(VMAC_SET, 2, TYPE_INTERFACE_NAME, INTERFACE_NAME_BYTES as u32);
        }
        self.relays(NEW_ELEMENTS, flags::CREATE, relays);
        self.chain(Side::Out, ruleset.priority);
        let report = |list: &mut Builder<'_>| {
            match family {
                Family::Inet => protocol(list, IGMP),
                Family::Inet6 => icmpv6(list, &[(EQUAL, MLD_REPORT)]),
            }
            address(list, Side::In, family);
            meta(list, OUT_INTERFACE_NAME, REGISTER_2);
            map(list, VMAC_MAP, REGISTER_2);
            duplicate(list, REGISTER_1, REGISTER_2);
        };
        self.rule(Side::Out, ruleset.counters, VERDICT_DROP, report);
        if family == Family::Inet6 {
            let solicitation = |list: &mut Builder<'_>| {
                icmpv6(list, &[(EQUAL, ROUTER_SOLICITATION)]);
                meta(list, OUT_INTERFACE_NAME, REGISTER_1);
                lookup(list, VMAC_SET);
            };
            self.rule(Side::Out, ruleset.counters, VERDICT_DROP, solicitation);
        }
    }

    /// From the name of an interface to the number of the one below.
    fn map_of_interfaces(&mut self) {
        const IS_MAP: u32 = 8;
        self.request(NEW_SET, flags::CREATE, |it| {
            it.text(2, VMAC_MAP);
            it.attribute(3, &IS_MAP.to_be_bytes());
            it.attribute(4, &TYPE_INTERFACE_NAME.to_be_bytes());
            it.attribute(5, &(INTERFACE_NAME_BYTES as u32).to_be_bytes());
            it.attribute(6, &TYPE_INTERFACE.to_be_bytes());
            it.attribute(7, &4u32.to_be_bytes());
            it.attribute(10, &1u32.to_be_bytes());
            it.attribute(13, &AS_THIS_HOST);
        });
    }

    fn set(&mut self, name: &str, number: u32, kind: u32, key_bytes: u32) {
        self.request(NEW_SET, flags::CREATE, |it| {
            it.text(2, name);
            it.attribute(4, &kind.to_be_bytes());
            it.attribute(5, &key_bytes.to_be_bytes());
            it.attribute(10, &number.to_be_bytes());
            if kind == TYPE_INTERFACE_NAME {
                it.attribute(13, &AS_THIS_HOST[..6]);
            }
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

    fn guards<'g>(&mut self, kind: u16, flags: u16, guards: impl IntoIterator<Item = &'g Guard>) {
        let (local, all): (Vec<&Guard>, Vec<&Guard>) = guards.into_iter().partition(|it| it.link.is_some());
        for (set, guards) in [(VIPS, all), (VIPS_LINK_LOCAL, local)] {
            self.elements(kind, flags, set, guards.into_iter().map(|it| (key_of(it), None)));
        }
    }

    fn relays(&mut self, kind: u16, flags: u16, relays: &Relays) {
        let sets = match self.table.family {
            Family::Inet => &[VMAC_MAP][..],
            Family::Inet6 => &[VMAC_MAP, VMAC_SET][..],
        };
        for set in sets {
            let element = |(name, below): (&String, &LinkIndex)| {
                let mut key = name.clone().into_bytes();
                key.resize(INTERFACE_NAME_BYTES, 0);
                (key, (*set == VMAC_MAP).then(|| below.0.to_ne_bytes()))
            };
            self.elements(kind, flags, set, relays.iter().map(element));
        }
    }

    /// Elements of a set, or of a map with their values.
    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        set: &str,
        elements: impl Iterator<Item = (Vec<u8>, Option<[u8; 4]>)>,
    ) {
        let elements: Vec<_> = elements.collect();
        for some in elements.chunks(ELEMENT_COUNT_MAX) {
            self.request(kind, flags, |it| {
                it.text(2, set);
                it.nest(3 | NESTED, |list| {
                    for (key, value) in some {
                        list.nest(PART | NESTED, |it| {
                            it.nest(1 | NESTED, |it| it.attribute(1, key));
                            if let Some(value) = value {
                                it.nest(2 | NESTED, |it| it.attribute(1, value));
                            }
                        });
                    }
                });
            });
        }
    }
}

/// The address, and the number of the interface as the kernel has it in a packet's register.
fn key_of(guard: &Guard) -> Vec<u8> {
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

/// NFT_META_OIFNAME.
const OUT_INTERFACE_NAME: u32 = 7;

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

/// What a map has for a register's value takes its place.
fn map(list: &mut Builder<'_>, set: &str, register: u32) {
    expression(list, "lookup", |it| {
        it.text(1, set);
        it.attribute(2, &register.to_be_bytes());
        it.attribute(3, &register.to_be_bytes());
    });
}

/// Sends a copy to an address by an interface.
fn duplicate(list: &mut Builder<'_>, address: u32, interface: u32) {
    expression(list, "dup", |it| {
        it.attribute(1, &address.to_be_bytes());
        it.attribute(2, &interface.to_be_bytes());
    });
}

/// Whom a packet is for ([`Side::In`]), or whom it is from.
fn address(list: &mut Builder<'_>, side: Side, family: Family) {
    let (offset, bytes) = match (family, side) {
        (Family::Inet, Side::In) => (16, 4),
        (Family::Inet, Side::Out) => (12, 4),
        (Family::Inet6, Side::In) => (24, 16),
        (Family::Inet6, Side::Out) => (8, 16),
    };
    payload(list, NETWORK_HEADER, offset, bytes);
}

/// How a byte is compared.
const EQUAL: u32 = 0;
const AT_MOST: u32 = 3;
const AT_LEAST: u32 = 5;

/// Neighbour solicitations and adverts.
fn neighbor_discovery(list: &mut Builder<'_>) {
    icmpv6(list, &[(AT_LEAST, 135), (AT_MOST, 136)]);
}

/// ICMPv6, of types that compare so.
fn icmpv6(list: &mut Builder<'_>, types: &[(u32, u8)]) {
    const PROTOCOL_OF_PACKET: u32 = 16;
    const ICMPV6: u8 = 58;
    meta(list, PROTOCOL_OF_PACKET, REGISTER_1);
    compare(list, EQUAL, ICMPV6);
    payload(list, TRANSPORT_HEADER, 0, 1);
    for (how, with) in types {
        compare(list, *how, *with);
    }
}

/// Of IPv4.
fn protocol(list: &mut Builder<'_>, number: u8) {
    payload(list, NETWORK_HEADER, 9, 1);
    compare(list, EQUAL, number);
}

#[cfg(test)]
#[path = "nft_tests.rs"]
mod tests;
