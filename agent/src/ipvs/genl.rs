//! The bytes of the generic netlink family `IPVS` (linux/ip_vs.h): operations and questions out, services and servers in.
//!
//! Every message is a netlink header, four bytes (command, version, two zeros) and attributes. Numbers are in the
//! host's order, except addresses, ports and the IPv4 netmask. The kernel's answers are read by attribute type, never
//! by place, with or without the padding that some architectures put before 64-bit values.

mod decode;
mod encode;

pub use decode::{decode_daemon, decode_server, decode_service};
pub use encode::{encode_dump_daemons, encode_dump_servers, encode_dump_services, encode_info, encode_op};

use super::apply::family;
use super::table::{IpvsService, IpvsTable};
use crate::wire::netlink::{Attribute, Builder, Malformed, attributes};
use lb_shared::names::VirtualKey;
use std::collections::BTreeMap;

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

fn ipv4_mask(prefix_len: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_len.min(32)))
        .unwrap_or(0)
}

/// The attributes behind the four bytes of the generic header.
fn body(payload: &[u8]) -> Result<impl Iterator<Item = Result<Attribute<'_>, Malformed>>, Malformed> {
    payload
        .get(4..)
        .map(attributes)
        .ok_or(Malformed("generic header"))
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
