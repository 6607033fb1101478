//! The bytes of the generic netlink family `IPVS`: operations and questions out, services and servers in.
//!
//! Every message is a netlink header, four bytes (command, version, two zeros) and attributes. Numbers are in the
//! host's order, except addresses, ports and the IPv4 netmask. The kernel's answers are read by attribute type, never
//! by place, with or without the padding that some architectures put before 64-bit values.

use super::IpvsOp;
use super::apply::family;
use super::table::{
    Destination, DestinationCounters, DestinationSettings, IpvsService, IpvsTable, Method, ServiceSettings,
    SyncDaemon, SyncRole, flags,
};
use crate::wire::netlink::flags::{ACK, DUMP};
use crate::wire::netlink::{Attribute, Builder, Malformed, attributes};
use lb_shared::names::{Family, Protocol, ServerKey, VirtualKey};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The name by which the kernel knows the family; its number changes whenever the module is loaded.
pub const FAMILY_NAME: &str = "IPVS";

/// The number of the family at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FamilyId(pub u16);

/// The generic netlink controller: its family number, its command "get family", the name and number attributes.
const CONTROLLER: u16 = 16;
const CONTROLLER_GET: [u8; 4] = [3, 2, 0, 0];
const CONTROLLER_ID: u16 = 1;
const CONTROLLER_NAME: u16 = 2;

/// The commands of the family.
mod command {
    pub(super) const NEW_SERVICE: u8 = 1;
    pub(super) const SET_SERVICE: u8 = 2;
    pub(super) const DEL_SERVICE: u8 = 3;
    pub(super) const GET_SERVICE: u8 = 4;
    pub(super) const NEW_DEST: u8 = 5;
    pub(super) const SET_DEST: u8 = 6;
    pub(super) const DEL_DEST: u8 = 7;
    pub(super) const GET_DEST: u8 = 8;
    pub(super) const NEW_DAEMON: u8 = 9;
    pub(super) const DEL_DAEMON: u8 = 10;
    pub(super) const GET_DAEMON: u8 = 11;
    pub(super) const SET_CONFIG: u8 = 12;
    pub(super) const GET_INFO: u8 = 15;
    pub(super) const FLUSH: u8 = 17;
}

/// Attributes of a command.
mod top {
    pub(super) const SERVICE: u16 = 1;
    pub(super) const DEST: u16 = 2;
    pub(super) const DAEMON: u16 = 3;
    /// TCP, TCP-FIN and UDP follow each other.
    pub(super) const TIMEOUT_TCP: u16 = 4;
}

/// Attributes of a service.
mod svc {
    pub(super) const AF: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const ADDR: u16 = 3;
    pub(super) const PORT: u16 = 4;
    pub(super) const FWMARK: u16 = 5;
    pub(super) const SCHED_NAME: u16 = 6;
    pub(super) const FLAGS: u16 = 7;
    pub(super) const TIMEOUT: u16 = 8;
    pub(super) const NETMASK: u16 = 9;
    pub(super) const PE_NAME: u16 = 11;
}

/// Attributes of a destination.
mod dest {
    pub(super) const ADDR: u16 = 1;
    pub(super) const PORT: u16 = 2;
    pub(super) const FWD_METHOD: u16 = 3;
    pub(super) const WEIGHT: u16 = 4;
    pub(super) const U_THRESH: u16 = 5;
    pub(super) const L_THRESH: u16 = 6;
    pub(super) const ACTIVE_CONNS: u16 = 7;
    pub(super) const INACT_CONNS: u16 = 8;
    pub(super) const PERSIST_CONNS: u16 = 9;
    pub(super) const STATS: u16 = 10;
    pub(super) const ADDR_FAMILY: u16 = 11;
    pub(super) const STATS64: u16 = 12;
    pub(super) const TUN_TYPE: u16 = 13;
    pub(super) const TUN_PORT: u16 = 14;
    pub(super) const TUN_FLAGS: u16 = 15;
}

/// Attributes of a sync daemon.
mod daemon {
    /// 1: master, 2: backup.
    pub(super) const STATE: u16 = 1;
    pub(super) const INTERFACE: u16 = 2;
    pub(super) const ID: u16 = 3;
    pub(super) const MAXLEN: u16 = 4;
    pub(super) const GROUP: u16 = 5;
    pub(super) const GROUP6: u16 = 6;
    /// In the host's order, unlike every other port of this family.
    pub(super) const PORT: u16 = 7;
    pub(super) const TTL: u16 = 8;
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Appends the question for the family's number.
pub fn encode_resolve(out: &mut Vec<u8>, seq: u32) {
    let mut message = Builder::new(out, CONTROLLER, 0, seq);
    message.raw(&CONTROLLER_GET);
    message.text(CONTROLLER_NAME, FAMILY_NAME);
    message.finish();
}

/// The family's number in the controller's answer.
pub fn decode_resolve(payload: &[u8]) -> Result<FamilyId, Malformed> {
    for attribute in body(payload)? {
        let attribute = attribute?;
        if attribute.kind == CONTROLLER_ID {
            return attribute.u16().map(FamilyId);
        }
    }
    Err(Malformed("answer: no family number"))
}

/// Appends an operation; `ack`: the kernel answers even when it succeeds. False: it is not one for netlink.
pub fn encode_op(out: &mut Vec<u8>, id: FamilyId, seq: u32, ack: bool, op: &IpvsOp) -> bool {
    let number = match op {
        IpvsOp::AddService(..) => command::NEW_SERVICE,
        IpvsOp::EditService(..) => command::SET_SERVICE,
        IpvsOp::RemoveService(_) => command::DEL_SERVICE,
        IpvsOp::AddServer(..) => command::NEW_DEST,
        IpvsOp::EditServer(..) => command::SET_DEST,
        IpvsOp::RemoveServer(..) => command::DEL_DEST,
        IpvsOp::Timeouts(_) => command::SET_CONFIG,
        IpvsOp::StartSync(..) => command::NEW_DAEMON,
        IpvsOp::StopSync(_) => command::DEL_DAEMON,
        IpvsOp::Flush => command::FLUSH,
        IpvsOp::Sysctl { .. } => return false,
    };
    let mut message = Builder::new(out, id.0, if ack { ACK } else { 0 }, seq);
    message.raw(&[number, 1, 0, 0]);
    match op {
        IpvsOp::AddService(key, settings) | IpvsOp::EditService(key, settings) => {
            message.nest(top::SERVICE, |service| {
                put_service_key(service, key);
                put_service(service, key, settings);
            });
        }
        IpvsOp::RemoveService(key) => message.nest(top::SERVICE, |service| put_service_key(service, key)),
        IpvsOp::AddServer(key, server, settings) | IpvsOp::EditServer(key, server, settings) => {
            message.nest(top::SERVICE, |service| put_service_key(service, key));
            message.nest(top::DEST, |destination| {
                put_server_key(destination, server);
                put_server(destination, settings);
            });
        }
        IpvsOp::RemoveServer(key, server) => {
            message.nest(top::SERVICE, |service| put_service_key(service, key));
            message.nest(top::DEST, |destination| put_server_key(destination, server));
        }
        IpvsOp::Timeouts(seconds) => {
            for (kind, seconds) in (top::TIMEOUT_TCP..).zip(seconds) {
                if *seconds > 0 {
                    message.attribute(kind, &seconds.to_ne_bytes());
                }
            }
        }
        IpvsOp::StartSync(role, settings) => {
            message.nest(top::DAEMON, |it| put_daemon(it, *role, Some(settings)));
        }
        IpvsOp::StopSync(role) => message.nest(top::DAEMON, |it| put_daemon(it, *role, None)),
        IpvsOp::Flush | IpvsOp::Sysctl { .. } => {}
    }
    message.finish();
    true
}

fn put_daemon(message: &mut Builder<'_>, role: SyncRole, settings: Option<&SyncDaemon>) {
    let state: u32 = match role {
        SyncRole::Master => 1,
        SyncRole::Backup => 2,
    };
    message.attribute(daemon::STATE, &state.to_ne_bytes());
    let Some(it) = settings else { return };
    message.text(daemon::INTERFACE, &it.interface);
    message.attribute(daemon::ID, &u32::from(it.id).to_ne_bytes());
    if it.maxlen > 0 {
        message.attribute(daemon::MAXLEN, &it.maxlen.to_ne_bytes());
    }
    if it.port > 0 {
        message.attribute(daemon::PORT, &it.port.to_ne_bytes());
    }
    if it.ttl > 0 {
        message.attribute(daemon::TTL, &[it.ttl]);
    }
    match it.group {
        Some(IpAddr::V4(group)) => message.attribute(daemon::GROUP, &group.octets()),
        Some(IpAddr::V6(group)) => message.attribute(daemon::GROUP6, &group.octets()),
        None => {}
    }
}

/// The sync daemon in an answer.
pub fn decode_daemon(payload: &[u8]) -> Result<(SyncRole, SyncDaemon), Malformed> {
    let Some(found) = find(payload, top::DAEMON)? else {
        return Err(Malformed("answer: no daemon"));
    };
    let mut role = None;
    let mut it = SyncDaemon {
        interface: String::new(),
        id: 0,
        maxlen: 0,
        port: 0,
        ttl: 0,
        group: None,
    };
    for attribute in found.nested() {
        let attribute = attribute?;
        match attribute.kind {
            daemon::STATE => {
                role = match attribute.u32()? {
                    1 => Some(SyncRole::Master),
                    2 => Some(SyncRole::Backup),
                    _ => None,
                }
            }
            daemon::INTERFACE => it.interface = attribute.text()?.to_owned(),
            daemon::ID => it.id = u8::try_from(attribute.u32()?).map_err(|_| Malformed("sync id"))?,
            daemon::MAXLEN => it.maxlen = attribute.u16()?,
            daemon::GROUP => it.group = Some(address(Family::Inet, attribute.value)?),
            daemon::GROUP6 => it.group = Some(address(Family::Inet6, attribute.value)?),
            daemon::PORT => it.port = attribute.u16()?,
            daemon::TTL => it.ttl = attribute.u8()?,
            _ => {}
        }
    }
    Ok((role.ok_or(Malformed("sync daemon's state"))?, it))
}

/// Appends the question for the sync daemons.
pub fn encode_dump_daemons(out: &mut Vec<u8>, id: FamilyId, seq: u32) {
    let mut message = Builder::new(out, id.0, DUMP, seq);
    message.raw(&[command::GET_DAEMON, 1, 0, 0]);
    message.finish();
}

/// Appends the question for all services.
pub fn encode_dump_services(out: &mut Vec<u8>, id: FamilyId, seq: u32) {
    let mut message = Builder::new(out, id.0, DUMP, seq);
    message.raw(&[command::GET_SERVICE, 1, 0, 0]);
    message.finish();
}

/// Appends the question for the servers of a service. A service that is gone has none: that is no error.
pub fn encode_dump_servers(out: &mut Vec<u8>, id: FamilyId, seq: u32, key: &VirtualKey) {
    let mut message = Builder::new(out, id.0, DUMP, seq);
    message.raw(&[command::GET_DEST, 1, 0, 0]);
    message.nest(top::SERVICE, |service| put_service_key(service, key));
    message.finish();
}

/// Appends a question that costs next to nothing: whether the family is there and we may use it.
pub fn encode_info(out: &mut Vec<u8>, id: FamilyId, seq: u32) {
    let mut message = Builder::new(out, id.0, 0, seq);
    message.raw(&[command::GET_INFO, 1, 0, 0]);
    message.finish();
}

fn put_service_key(message: &mut Builder<'_>, key: &VirtualKey) {
    message.attribute(svc::AF, &af(family(key)).to_ne_bytes());
    match key {
        VirtualKey::Address {
            address,
            port,
            protocol,
        } => {
            message.attribute(svc::PROTOCOL, &u16::from(protocol.number()).to_ne_bytes());
            message.attribute(svc::ADDR, &address_bytes(*address));
            message.attribute(svc::PORT, &port.to_be_bytes());
        }
        VirtualKey::Fwmark { mark, .. } => message.attribute(svc::FWMARK, &mark.to_ne_bytes()),
    }
}

fn put_service(message: &mut Builder<'_>, key: &VirtualKey, settings: &ServiceSettings) {
    message.text(svc::SCHED_NAME, &settings.scheduler);
    if let Some(engine) = &settings.engine {
        message.text(svc::PE_NAME, engine);
    }
    let mut bits = [0xff; 8];
    bits[..4].copy_from_slice(&(settings.flags & flags::SETTABLE).to_ne_bytes());
    message.attribute(svc::FLAGS, &bits);
    message.attribute(svc::TIMEOUT, &settings.timeout_s.to_ne_bytes());
    let netmask = match family(key) {
        Family::Inet => ipv4_mask(settings.prefix_len).to_be_bytes(),
        Family::Inet6 => u32::from(settings.prefix_len).to_ne_bytes(),
    };
    message.attribute(svc::NETMASK, &netmask);
}

fn ipv4_mask(prefix_len: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_len.min(32)))
        .unwrap_or(0)
}

fn put_server_key(message: &mut Builder<'_>, server: &ServerKey) {
    message.attribute(dest::ADDR, &address_bytes(server.address));
    message.attribute(dest::PORT, &server.port.to_be_bytes());
    message.attribute(dest::ADDR_FAMILY, &af(Family::of(server.address)).to_ne_bytes());
}

fn put_server(message: &mut Builder<'_>, settings: &DestinationSettings) {
    let method: u32 = match settings.method {
        Method::Masquerade => 0,
        Method::Local => 1,
        Method::Tunnel { .. } => 2,
        Method::Direct => 3,
        Method::Bypass => 4,
    };
    for (kind, value) in [
        (dest::FWD_METHOD, method),
        (dest::WEIGHT, settings.weight),
        (dest::U_THRESH, settings.upper_threshold),
        (dest::L_THRESH, settings.lower_threshold),
    ] {
        message.attribute(kind, &value.to_ne_bytes());
    }
    match settings.method {
        // Plain IPIP is what kernels that know no tunnel types do anyway.
        Method::Tunnel { kind, port, flags } if kind != 0 => {
            message.attribute(dest::TUN_TYPE, &[kind]);
            message.attribute(dest::TUN_PORT, &port.to_be_bytes());
            message.attribute(dest::TUN_FLAGS, &flags.to_ne_bytes());
        }
        Method::Tunnel { .. } | Method::Masquerade | Method::Local | Method::Direct | Method::Bypass => {}
    }
}

fn af(family: Family) -> u16 {
    match family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    }
}

/// Sixteen bytes for either family, as the kernel answers.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The service in an answer; `None` for one that our names cannot express, such as of an unknown protocol.
pub fn decode_service(payload: &[u8]) -> Result<Option<(VirtualKey, ServiceSettings)>, Malformed> {
    let Some(service) = find(payload, top::SERVICE)? else {
        return Err(Malformed("answer: no service"));
    };
    let mut raw = RawService::default();
    for attribute in service.nested() {
        raw.take(&attribute?)?;
    }
    raw.finish()
}

/// A service as its attributes say it, before they are put together.
#[derive(Default)]
struct RawService<'a> {
    af: u16,
    protocol: u16,
    address: &'a [u8],
    port: u16,
    mark: Option<u32>,
    scheduler: String,
    flags: u32,
    timeout_s: u32,
    netmask: [u8; 4],
    engine: Option<String>,
}

impl<'a> RawService<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), Malformed> {
        match attribute.kind {
            svc::AF => self.af = attribute.u16()?,
            svc::PROTOCOL => self.protocol = attribute.u16()?,
            svc::ADDR => self.address = attribute.value,
            svc::PORT => self.port = attribute.u16_be()?,
            svc::FWMARK => self.mark = Some(attribute.u32()?),
            svc::SCHED_NAME => self.scheduler = attribute.text()?.to_owned(),
            svc::FLAGS => {
                let bits: [u8; 8] = attribute.array()?;
                self.flags = u32::from_ne_bytes([bits[0], bits[1], bits[2], bits[3]]);
            }
            svc::TIMEOUT => self.timeout_s = attribute.u32()?,
            svc::NETMASK => self.netmask = attribute.array()?,
            svc::PE_NAME => self.engine = Some(attribute.text()?.to_owned()),
            // Statistics of the service are the sums of its servers'; what newer kernels add we do not know.
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Option<(VirtualKey, ServiceSettings)>, Malformed> {
        let Some(family) = family_of(self.af) else {
            return Ok(None);
        };
        let key = match self.mark {
            Some(mark) => VirtualKey::Fwmark { mark, family },
            None => {
                let number = u8::try_from(self.protocol).ok();
                let Some(protocol) = number.and_then(Protocol::from_number) else {
                    return Ok(None);
                };
                VirtualKey::Address {
                    address: address(family, self.address)?,
                    port: self.port,
                    protocol,
                }
            }
        };
        let flags = self.flags & flags::SETTABLE;
        let sticky = flags & flags::PERSISTENT != 0;
        let settings = ServiceSettings {
            scheduler: self.scheduler,
            flags,
            // Without the flag neither timeout nor netmask has an effect.
            timeout_s: if sticky { self.timeout_s } else { 0 },
            prefix_len: if sticky {
                prefix_len(family, self.netmask)
            } else {
                family.bits()
            },
            engine: self.engine,
        };
        Ok(Some((key, settings)))
    }
}

/// 255 for an IPv4 netmask with holes, which the kernel allows and we never set.
fn prefix_len(family: Family, netmask: [u8; 4]) -> u8 {
    match family {
        Family::Inet => {
            let mask = u32::from_be_bytes(netmask);
            let ones = mask.leading_ones();
            u8::try_from(ones)
                .ok()
                .filter(|ones| ipv4_mask(*ones) == mask)
                .unwrap_or(u8::MAX)
        }
        Family::Inet6 => u8::try_from(u32::from_ne_bytes(netmask)).unwrap_or(u8::MAX),
    }
}

/// The server in an answer about a service of a family.
pub fn decode_server(payload: &[u8], service: Family) -> Result<(ServerKey, Destination), Malformed> {
    let Some(destination) = find(payload, top::DEST)? else {
        return Err(Malformed("answer: no destination"));
    };
    let mut raw = RawServer::default();
    for attribute in destination.nested() {
        raw.take(&attribute?)?;
    }
    raw.finish(service)
}

/// A destination as its attributes say it, before they are put together.
#[derive(Default)]
struct RawServer<'a> {
    address: &'a [u8],
    af: u16,
    port: u16,
    method: u32,
    tunnel: (u8, u16, u16),
    weight: u32,
    upper: u32,
    lower: u32,
    counters: DestinationCounters,
    counters_are_64_bit: bool,
}

impl<'a> RawServer<'a> {
    fn take(&mut self, attribute: &Attribute<'a>) -> Result<(), Malformed> {
        match attribute.kind {
            dest::ADDR => self.address = attribute.value,
            dest::PORT => self.port = attribute.u16_be()?,
            dest::FWD_METHOD => self.method = attribute.u32()? & 7,
            dest::WEIGHT => self.weight = attribute.u32()?,
            dest::U_THRESH => self.upper = attribute.u32()?,
            dest::L_THRESH => self.lower = attribute.u32()?,
            dest::ACTIVE_CONNS => self.counters.active = attribute.u32()?,
            dest::INACT_CONNS => self.counters.inactive = attribute.u32()?,
            dest::PERSIST_CONNS => self.counters.persistent = attribute.u32()?,
            dest::ADDR_FAMILY => self.af = attribute.u16()?,
            dest::TUN_TYPE => self.tunnel.0 = attribute.u8()?,
            dest::TUN_PORT => self.tunnel.1 = attribute.u16_be()?,
            dest::TUN_FLAGS => self.tunnel.2 = attribute.u16()?,
            // Kernels before 4.1 have only the 32-bit ones, later ones send both.
            dest::STATS if !self.counters_are_64_bit => take_statistics(attribute, &mut self.counters)?,
            dest::STATS64 => {
                take_statistics(attribute, &mut self.counters)?;
                self.counters_are_64_bit = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, service: Family) -> Result<(ServerKey, Destination), Malformed> {
        // Kernels before 3.18 do not say: then it is the service's family.
        let family = family_of(self.af).unwrap_or(service);
        let method = match self.method {
            0 => Method::Masquerade,
            1 => Method::Local,
            2 => Method::Tunnel {
                kind: self.tunnel.0,
                port: self.tunnel.1,
                flags: self.tunnel.2,
            },
            3 => Method::Direct,
            4 => Method::Bypass,
            _ => return Err(Malformed("forwarding method")),
        };
        let key = ServerKey {
            address: address(family, self.address)?,
            port: self.port,
        };
        let settings = DestinationSettings {
            method,
            weight: self.weight,
            upper_threshold: self.upper,
            lower_threshold: self.lower,
        };
        Ok((
            key,
            Destination {
                settings,
                counters: self.counters,
            },
        ))
    }
}

/// Both widths have the same numbers; each value says its own.
fn take_statistics(attribute: &Attribute<'_>, into: &mut DestinationCounters) -> Result<(), Malformed> {
    for value in attribute.nested() {
        let value = value?;
        let place = match value.kind {
            1 => &mut into.connections,
            2 => &mut into.packets_in,
            3 => &mut into.packets_out,
            4 => &mut into.bytes_in,
            5 => &mut into.bytes_out,
            6 => &mut into.connections_per_s,
            7 => &mut into.packets_in_per_s,
            8 => &mut into.packets_out_per_s,
            9 => &mut into.bytes_in_per_s,
            10 => &mut into.bytes_out_per_s,
            // Padding, and what we do not know.
            _ => continue,
        };
        *place = match value.value.len() {
            4 => u64::from(value.u32()?),
            _ => value.u64()?,
        };
    }
    Ok(())
}

fn family_of(af: u16) -> Option<Family> {
    match af {
        AF_INET => Some(Family::Inet),
        AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

fn address(family: Family, bytes: &[u8]) -> Result<IpAddr, Malformed> {
    let address = match family {
        Family::Inet => bytes
            .first_chunk::<4>()
            .map(|octets| Ipv4Addr::from(*octets).into()),
        Family::Inet6 => bytes
            .first_chunk::<16>()
            .map(|octets| Ipv6Addr::from(*octets).into()),
    };
    address.ok_or(Malformed("address"))
}

/// The attributes behind the four bytes of the generic header.
fn body(payload: &[u8]) -> Result<impl Iterator<Item = Result<Attribute<'_>, Malformed>>, Malformed> {
    payload
        .get(4..)
        .map(attributes)
        .ok_or(Malformed("generic header"))
}

fn find(payload: &[u8], kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    for attribute in body(payload)? {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}

/// A table as it is read: services first, then the servers of each.
///
/// A dump that runs while something changes may list an entry twice; the first, being newer, counts.
#[derive(Debug, Default)]
pub struct TableReader {
    table: IpvsTable,
}

impl TableReader {
    /// Takes one message of the dump of services.
    pub fn service(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        if let Some((key, settings)) = decode_service(payload)? {
            self.table.services.entry(key).or_insert(IpvsService {
                settings,
                destinations: BTreeMap::new(),
            });
        }
        Ok(())
    }

    /// Takes one message of the dump of sync daemons.
    pub fn daemon(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let (role, daemon) = decode_daemon(payload)?;
        self.table.daemons.insert(role, daemon);
        Ok(())
    }

    /// The services read so far: the servers of each are to be asked for.
    pub fn keys(&self) -> Vec<VirtualKey> {
        self.table.services.keys().copied().collect()
    }

    /// Takes one message of the dump of a service's servers.
    pub fn server(&mut self, key: &VirtualKey, payload: &[u8]) -> Result<(), Malformed> {
        let (server, destination) = decode_server(payload, family(key))?;
        if let Some(service) = self.table.services.get_mut(key) {
            service.destinations.entry(server).or_insert(destination);
        }
        Ok(())
    }

    /// What was read.
    pub fn finish(self) -> IpvsTable {
        self.table
    }
}

#[cfg(test)]
#[path = "genl_tests.rs"]
mod tests;
