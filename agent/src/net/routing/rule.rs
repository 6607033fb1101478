//! The bytes of a rule.

use super::{family_of, realm, short_table};
use crate::model::{Rule, RuleAction};
use netlink_packet_core::DefaultNla;
use netlink_packet_route::IpProtocol;
use netlink_packet_route::rule::{self, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange};

const FRA_TUN_ID: u16 = 12;

pub(super) fn message(it: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let header = &mut message.header;
    header.family = family_of(it.family);
    header.tos = it.tos;
    header.src_len = it.from.map_or(0, |(_, length)| length);
    header.dst_len = it.to.map_or(0, |(_, length)| length);
    if it.invert {
        header.flags |= RuleFlags::Invert;
    }
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(it.preference));
    attributes.push(RuleAttribute::Protocol(it.protocol.into()));
    header.action = match it.action {
        RuleAction::Lookup(table) => {
            header.table = short_table(table);
            attributes.push(RuleAttribute::Table(table));
            rule::RuleAction::ToTable
        }
        RuleAction::Goto(preference) => {
            attributes.push(RuleAttribute::Goto(preference));
            rule::RuleAction::Goto
        }
        RuleAction::L3Master => {
            attributes.push(RuleAttribute::L3MDev(true));
            rule::RuleAction::ToTable
        }
        RuleAction::Nop => rule::RuleAction::Nop,
        RuleAction::Blackhole => rule::RuleAction::Blackhole,
        RuleAction::Unreachable => rule::RuleAction::Unreachable,
        RuleAction::Prohibit => rule::RuleAction::Prohibit,
    };
    attributes.extend(it.from.map(|(address, _)| RuleAttribute::Source(address)));
    attributes.extend(it.to.map(|(address, _)| RuleAttribute::Destination(address)));
    attributes.extend(it.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(it.oif.clone().map(RuleAttribute::Oifname));
    if let Some((mark, mask)) = it.fwmark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    attributes.extend(it.realms.map(realm).map(RuleAttribute::Realm));
    let tunnel = |id: u64| RuleAttribute::Other(DefaultNla::new(FRA_TUN_ID, id.to_be_bytes().to_vec()));
    attributes.extend(it.tunnel.map(tunnel));
    attributes.extend(it.suppress_group.map(RuleAttribute::SuppressIfGroup));
    attributes.extend(it.suppress_prefix_len.map(RuleAttribute::SuppressPrefixLen));
    attributes.extend(
        it.users
            .map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })),
    );
    attributes.extend(
        it.ip_protocol
            .map(|number| RuleAttribute::IpProtocol(IpProtocol::from(i32::from(number)))),
    );
    let ports = |(start, end)| RulePortRange { start, end };
    attributes.extend(
        it.source_ports
            .map(|it| RuleAttribute::SourcePortRange(ports(it))),
    );
    attributes.extend(
        it.destination_ports
            .map(|it| RuleAttribute::DestinationPortRange(ports(it))),
    );
    message
}
