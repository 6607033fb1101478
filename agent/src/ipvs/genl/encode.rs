//! Operations and questions, as the kernel takes them.

use super::{AF_INET, AF_INET6, FamilyId, command, daemon, dest, ipv4_mask, svc, top};
use crate::ipvs::IpvsOp;
use crate::ipvs::apply::family;
use crate::ipvs::table::{DestinationSettings, Method, ServiceSettings, SyncDaemon, SyncRole, flags};
use crate::wire::netlink::Builder;
use crate::wire::netlink::flags::{ACK, DUMP};
use lb_shared::names::{Family, ServerKey, VirtualKey};
use std::net::IpAddr;

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
