//! Services, servers and sync daemons, as the kernel tells them.

use super::{AF_INET, AF_INET6, body, daemon, dest, ipv4_mask, svc, top};
use crate::ipvs::table::{
    Destination, DestinationCounters, DestinationSettings, Method, ServiceSettings, SyncDaemon, SyncRole,
    flags,
};
use crate::wire::netlink::{Attribute, Malformed};
use lb_shared::names::{Family, Protocol, ServerKey, VirtualKey};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
pub(super) fn prefix_len(family: Family, netmask: [u8; 4]) -> u8 {
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

fn find(payload: &[u8], kind: u16) -> Result<Option<Attribute<'_>>, Malformed> {
    for attribute in body(payload)? {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(Some(attribute));
        }
    }
    Ok(None)
}
