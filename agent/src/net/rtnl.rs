//! The bytes of rtnetlink: address operations out, links and addresses in.
//!
//! What goes out is built with `netlink-packet-route`. What comes in is read attribute by attribute: a link carries
//! dozens of nested ones that we do not need, and a whole message must not fail because a newer kernel changed one.

use super::{Address, AddressKey, Link, NetOp, NetTable, NewLink, RoutingGone, routing};
use crate::model::{IpvlanMode, OwnKind};
use crate::wire::LinkIndex;
use crate::wire::netlink::flags::{ACK, CREATE, DUMP, EXCL};
use crate::wire::netlink::{Attribute, Builder, Malformed, attributes};
use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanFlags,
    IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use std::net::IpAddr;

/// The notification groups that tell of links and addresses.
pub const GROUPS: [u32; 3] = [GROUP_LINK, GROUP_IPV4_IFADDR, GROUP_IPV6_IFADDR];

const GROUP_LINK: u32 = 1;
const GROUP_IPV4_IFADDR: u32 = 5;
const GROUP_IPV6_IFADDR: u32 = 9;

/// The protocol by which addresses put up by VRRP are known: keepalived's number, for both.
pub const PROTOCOL_VRRP: u8 = 18;

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;

/// What a message of the kernel says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    Link(Link),
    LinkGone(LinkIndex),
    Address(AddressKey, Address),
    AddressGone(AddressKey),
    RoutingGone(RoutingGone),
}

impl NetTable {
    /// Takes in what the kernel said.
    pub fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Link(link) => {
                self.links.insert(link.index, link);
            }
            Notice::LinkGone(index) => {
                self.links.remove(&index);
                self.addresses.retain(|key, _| key.link != index);
            }
            Notice::Address(key, address) => {
                self.addresses.insert(key, address);
            }
            Notice::AddressGone(key) => {
                self.addresses.remove(&key);
            }
            // Whoever reads everything sends all of them again.
            Notice::RoutingGone(_) => {}
        }
    }
}

/// Appends an operation; `ack`: the kernel answers even when it succeeds. False: it is not one for netlink.
pub fn encode_op(out: &mut Vec<u8>, seq: u32, ack: bool, op: &NetOp) -> bool {
    let flags = if ack { ACK } else { 0 };
    match op {
        NetOp::AddAddress { key, address: it } => {
            emit(
                out,
                RTM_NEWADDR,
                CREATE | EXCL | flags,
                seq,
                &add_message(key, it),
            );
        }
        NetOp::RemoveAddress { key, peer } => {
            emit(out, RTM_DELADDR, flags, seq, &address_message(key, *peer));
        }
        NetOp::AddRouting(it) => routing::encode(out, seq, ack, true, it),
        NetOp::RemoveRouting(it) => routing::encode(out, seq, ack, false, it),
        NetOp::AddLink(new) => emit(out, RTM_NEWLINK, CREATE | EXCL | flags, seq, &link_message(new)),
        NetOp::QuietLink { name } => emit(out, RTM_NEWLINK, flags, seq, &quiet_message(name)),
        NetOp::RaiseLink { name } => emit(out, RTM_NEWLINK, flags, seq, &raise_message(name)),
        NetOp::RemoveLink { link } => {
            let mut message = LinkMessage::default();
            message.header.index = link.0;
            emit(out, RTM_DELLINK, flags, seq, &message);
        }
        NetOp::Announce { .. } | NetOp::Firewall(_) | NetOp::Sysctl { .. } => return false,
    }
    true
}

fn emit(out: &mut Vec<u8>, kind: u16, flags: u16, seq: u32, message: &impl Emitable) {
    let mut builder = Builder::new(out, kind, flags, seq);
    builder.emit(message);
    builder.finish();
}

fn link_message(new: &NewLink) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(new.name.clone()),
        LinkAttribute::Link(new.over.0),
    ];
    let vrf = new.vrf.map(|it| LinkAttribute::Controller(it.0));
    message.attributes.extend(vrf);
    let (kind, data) = match new.kind {
        OwnKind::Macvlan(mac) => {
            message.attributes.push(LinkAttribute::Address(mac.to_vec()));
            let mode = InfoMacVlan::Mode(MacVlanMode::Private);
            (InfoKind::MacVlan, InfoData::MacVlan(vec![mode]))
        }
        OwnKind::Ipvlan(mode) => {
            let flags = match mode {
                IpvlanMode::Bridge => IpVlanFlags::empty(),
                IpvlanMode::Private => IpVlanFlags::Private,
                IpvlanMode::Vepa => IpVlanFlags::Vepa,
            };
            let words = vec![InfoIpVlan::Mode(IpVlanMode::L2), InfoIpVlan::Flags(flags)];
            (InfoKind::IpVlan, InfoData::IpVlan(words))
        }
    };
    let info = vec![LinkInfo::Kind(kind), LinkInfo::Data(data)];
    message.attributes.push(LinkAttribute::LinkInfo(info));
    message
}

/// Not part of the creation: the kernel does not take it there.
fn quiet_message(name: &str) -> LinkMessage {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])]),
    ];
    message
}

fn raise_message(name: &str) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
    message
}

fn address_message(key: &AddressKey, peer: Option<IpAddr>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match key.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.prefix_len = key.prefix_len;
    message.header.index = key.link.0;
    message.attributes.push(AddressAttribute::Local(key.address));
    let other_end = peer.unwrap_or(key.address);
    message.attributes.push(AddressAttribute::Address(other_end));
    message
}

fn add_message(key: &AddressKey, address: &Address) -> AddressMessage {
    let extras = &address.extras;
    let mut message = address_message(key, extras.peer);
    let attributes = &mut message.attributes;
    attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL_VRRP)));
    match key.address {
        IpAddr::V4(_) => {
            message.header.scope = address.scope.into();
            if let Some(label) = &address.label {
                attributes.push(AddressAttribute::Label(label.clone()));
            }
            if let Some(IpAddr::V4(broadcast)) = address.broadcast {
                attributes.push(AddressAttribute::Broadcast(broadcast));
            }
        }
        IpAddr::V6(_) => {}
    }
    let mut flags = AddressFlags::empty();
    // Duplicate detection would keep a virtual address unusable for a second or two after every take-over.
    for (set, flag) in [
        (key.address.is_ipv6() && !extras.dad, IFA_F_NODAD),
        (extras.home, IFA_F_HOMEADDRESS),
        (extras.temporary, IFA_F_MANAGETEMPADDR),
        (extras.noprefixroute, IFA_F_NOPREFIXROUTE),
        (extras.autojoin, IFA_F_MCAUTOJOIN),
    ] {
        flags.set(AddressFlags::from_bits_retain(flag), set);
    }
    if !flags.is_empty() {
        // The old field has room for eight of them.
        message.header.flags = AddressHeaderFlags::from_bits_retain((flags.bits() & 0xff) as u8);
        attributes.push(AddressAttribute::Flags(flags));
    }
    if let Some(preferred_s) = extras.preferred_s {
        let mut life = CacheInfo::default();
        (life.ifa_preferred, life.ifa_valid) = (preferred_s, u32::MAX);
        attributes.push(AddressAttribute::CacheInfo(life));
    }
    message
}

/// Appends the question for all links.
pub fn encode_dump_links(out: &mut Vec<u8>, seq: u32) {
    let mut builder = Builder::new(out, RTM_GETLINK, DUMP, seq);
    builder.emit(&LinkMessage::default());
    builder.finish();
}

/// Appends the question for all addresses of both families.
pub fn encode_dump_addresses(out: &mut Vec<u8>, seq: u32) {
    let mut builder = Builder::new(out, RTM_GETADDR, DUMP, seq);
    builder.emit(&AddressMessage::default());
    builder.finish();
}

/// What a message says; `None` when it is not about a link or an address of ours.
pub fn decode(kind: u16, payload: &[u8]) -> Result<Option<Notice>, Malformed> {
    match kind {
        RTM_NEWLINK | RTM_DELLINK => decode_link(kind, payload),
        RTM_NEWADDR | RTM_DELADDR => decode_address(kind, payload),
        _ => Ok(routing::decode(kind, payload)?.map(Notice::RoutingGone)),
    }
}

// ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, change u32.
const LINK_HEADER: usize = 16;
const ARPHRD_ETHER: u16 = 1;
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_MULTICAST: u32 = 0x1000;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;

fn decode_link(kind: u16, payload: &[u8]) -> Result<Option<Notice>, Malformed> {
    let header: &[u8; LINK_HEADER] = payload.first_chunk().ok_or(Malformed("link header"))?;
    let [family, _, t0, t1, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
    // Bridges tell of their ports in the same group, and of a port that only left the bridge as of a deleted link.
    if family != 0 {
        return Ok(None);
    }
    let index = LinkIndex(u32::from_ne_bytes([i0, i1, i2, i3]));
    if kind == RTM_DELLINK {
        return Ok(Some(Notice::LinkGone(index)));
    }
    let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
    let ethernet = u16::from_ne_bytes([t0, t1]) == ARPHRD_ETHER;
    let mut link = Link {
        index,
        running: flags & IFF_UP != 0 && flags & IFF_RUNNING != 0,
        arp: flags & IFF_NOARP == 0,
        multicast: flags & IFF_MULTICAST != 0,
        loopback: flags & IFF_LOOPBACK != 0,
        ..Link::default()
    };
    let (mut below, mut above, mut child) = (None, None, Child::Other);
    let mut slave = "";
    for attribute in attributes(&payload[LINK_HEADER..]) {
        let attribute = attribute?;
        match attribute.kind {
            IFLA_IFNAME => link.name = attribute.text()?.to_owned(),
            IFLA_MTU => link.mtu = attribute.u32()?,
            IFLA_LINK => below = Some(LinkIndex(attribute.u32()?)),
            // Then the number of the link below is that of another namespace.
            IFLA_LINK_NETNSID => below = None,
            IFLA_MASTER => above = Some(LinkIndex(attribute.u32()?)),
            IFLA_LINKINFO => {
                (child, slave) = kinds(attribute.value)?;
                link.vrf_table = vrf_table(attribute.value)?;
            }
            IFLA_ADDRESS if ethernet && attribute.value.len() == 6 => link.mac = attribute.value.to_vec(),
            _ => {}
        }
    }
    if link.name.is_empty() {
        // Notifications about wireless and the like carry no name and say nothing we keep.
        return Ok(None);
    }
    link.vrf = above.filter(|_| slave == "vrf");
    match child {
        Child::PrivateMacvlan => link.private_over = below,
        Child::IpvlanL2 => link.ipvlan_over = below,
        Child::Other => {}
    }
    Ok(Some(Notice::Link(link)))
}

const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;

fn vrf_table(info: &[u8]) -> Result<Option<u32>, Malformed> {
    const IFLA_VRF_TABLE: u16 = 1;
    let (mut vrf, mut table) = (false, None);
    for part in attributes(info) {
        let part = part?;
        match part.kind {
            IFLA_INFO_KIND => vrf = part.text()? == "vrf",
            IFLA_INFO_DATA if vrf => {
                for word in attributes(part.value) {
                    let word = word?;
                    if word.kind == IFLA_VRF_TABLE {
                        table = Some(word.u32()?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(table)
}

/// The kinds of links on links that instances have made for them.
#[derive(Clone, Copy)]
enum Child {
    PrivateMacvlan,
    IpvlanL2,
    Other,
}

/// What a link is on the one below, and what it is to the one it belongs to, in the kernel's word.
fn kinds(info: &[u8]) -> Result<(Child, &str), Malformed> {
    const IFLA_INFO_SLAVE_KIND: u16 = 4;
    // Of both kinds.
    const MODE: u16 = 1;
    const MACVLAN_PRIVATE: u32 = 1;
    const IPVLAN_L2: [u8; 2] = [0, 0];
    let (mut kind, mut slave, mut child) = ("", "", Child::Other);
    for part in attributes(info) {
        let part = part?;
        match part.kind {
            IFLA_INFO_KIND => kind = part.text()?,
            IFLA_INFO_SLAVE_KIND => slave = part.text()?,
            // What others put there is laid out otherwise: the kind comes first.
            IFLA_INFO_DATA if matches!(kind, "macvlan" | "ipvlan") => {
                for word in attributes(part.value) {
                    let word = word?;
                    match kind {
                        "macvlan" if word.kind == MODE && word.u32()? == MACVLAN_PRIVATE => {
                            child = Child::PrivateMacvlan;
                        }
                        "ipvlan" if word.kind == MODE && word.value == IPVLAN_L2 => child = Child::IpvlanL2,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok((child, slave))
}

// ifaddrmsg: family u8, prefixlen u8, flags u8, scope u8, index u32.
const ADDRESS_HEADER: usize = 8;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_OPTIMISTIC: u32 = 0x04;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_HOMEADDRESS: u32 = 0x10;
const IFA_F_DEPRECATED: u32 = 0x20;
const IFA_F_TENTATIVE: u32 = 0x40;
const IFA_F_MANAGETEMPADDR: u32 = 0x100;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;
const IFA_F_MCAUTOJOIN: u32 = 0x400;

fn decode_address(kind: u16, payload: &[u8]) -> Result<Option<Notice>, Malformed> {
    let header: &[u8; ADDRESS_HEADER] = payload.first_chunk().ok_or(Malformed("address header"))?;
    let [family, prefix_len, flags, scope, i0, i1, i2, i3] = *header;
    if family != AF_INET && family != AF_INET6 {
        return Ok(None);
    }
    let mut flags = u32::from(flags);
    let (mut local, mut peer) = (None, None);
    let mut address = Address {
        scope,
        ..Address::default()
    };
    for attribute in attributes(&payload[ADDRESS_HEADER..]) {
        let attribute = attribute?;
        match attribute.kind {
            IFA_LOCAL => local = Some(ip(family, &attribute)?),
            IFA_ADDRESS => peer = Some(ip(family, &attribute)?),
            IFA_LABEL => address.label = Some(attribute.text()?.to_owned()),
            IFA_BROADCAST => address.broadcast = Some(ip(family, &attribute)?),
            IFA_CACHEINFO => {
                let preferred_s = attribute
                    .array::<16>()?
                    .first_chunk()
                    .copied()
                    .map(u32::from_ne_bytes);
                address.extras.preferred_s = preferred_s.filter(|left| *left != u32::MAX);
            }
            IFA_FLAGS => flags = attribute.u32()?,
            IFA_PROTO => address.ours = attribute.u8()? == PROTOCOL_VRRP,
            _ => {}
        }
    }
    // On a point-to-point link `IFA_ADDRESS` is the other end.
    let key = AddressKey {
        link: LinkIndex(u32::from_ne_bytes([i0, i1, i2, i3])),
        address: local.or(peer).ok_or(Malformed("address: none in it"))?,
        prefix_len,
    };
    address.extras.peer = peer.filter(|peer| *peer != key.address);
    let extras = &mut address.extras;
    if flags & IFA_F_DEPRECATED != 0 {
        extras.preferred_s = Some(0);
    }
    extras.home = flags & IFA_F_HOMEADDRESS != 0;
    extras.temporary = flags & IFA_F_MANAGETEMPADDR != 0;
    extras.noprefixroute = flags & IFA_F_NOPREFIXROUTE != 0;
    extras.autojoin = flags & IFA_F_MCAUTOJOIN != 0;
    let tentative = flags & IFA_F_TENTATIVE != 0 && flags & IFA_F_OPTIMISTIC == 0;
    address.usable = !tentative && flags & IFA_F_DADFAILED == 0;
    Ok(Some(if kind == RTM_NEWADDR {
        Notice::Address(key, address)
    } else {
        Notice::AddressGone(key)
    }))
}

fn ip(family: u8, attribute: &Attribute<'_>) -> Result<IpAddr, Malformed> {
    if family == AF_INET {
        attribute.array::<4>().map(IpAddr::from)
    } else {
        attribute.array::<16>().map(IpAddr::from)
    }
}

#[cfg(test)]
#[path = "rtnl_tests.rs"]
mod tests;
