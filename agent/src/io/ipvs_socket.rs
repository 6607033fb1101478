//! IPVS of the kernel: finding it, carrying out operations, reading the table.

use super::netlink::{BATCH_COUNT_MAX, Connection, Refused, malformed};
use super::{modules, sysctl};
use crate::engine::OpError;
use crate::ipvs::genl::{self, FamilyId, TableReader};
use crate::ipvs::table::IpvsTable;
use crate::ipvs::{IpvsOp, Settled, explain, settle};
use netlink_sys::protocols::NETLINK_GENERIC;
use nix::errno::Errno;
use std::io;

const BUFFER_BYTES: usize = 1 << 20;

/// The words operators see when there is no IPVS here.
const NO_IPVS: &str = "no ip_vs in this kernel (modprobe ip_vs)";

/// Sockets to IPVS: one for operations, one for dumps, opened when first used.
#[derive(Default)]
pub struct IpvsSocket {
    commands: Slot,
    dumps: Slot,
    /// Changes when the module is loaded anew.
    family: Option<FamilyId>,
    /// Whether loading the module ourselves was tried; the kernel tries by itself at every question.
    modprobe_was_tried: bool,
}

/// A socket, if it is open.
#[derive(Default)]
struct Slot(Option<Connection>);

impl Slot {
    fn open(&mut self) -> io::Result<&mut Connection> {
        match &mut self.0 {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::open(NETLINK_GENERIC, BUFFER_BYTES)?)),
        }
    }
}

/// Why a table or a batch could not be had at all.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No IPVS, or not for us: in words for operators.
    #[error("{0}")]
    Missing(String),
    /// Something was lost, or came too late: the outcome is unknown.
    #[error("{0}")]
    Unknown(#[from] io::Error),
}

impl IpvsSocket {
    /// Carries out operations in order and gives those that failed.
    ///
    /// What is so already is no failure. `Unknown` means that the table is to be read before anything else.
    pub fn execute(&mut self, ops: &[IpvsOp]) -> Result<Vec<(usize, OpError)>, Trouble> {
        let mut failed = Vec::new();
        let mut at = 0;
        while at < ops.len() {
            if let IpvsOp::Sysctl { name, value } = &ops[at] {
                let outcome = sysctl::write(&format!("net/ipv4/vs/{name}"), value);
                let errno = outcome
                    .err()
                    .map_or(0, |error| error.raw_os_error().unwrap_or(libc::EINVAL));
                if settle(&ops[at], errno) != Settled::Done {
                    failed.push((at, op_error(&ops[at], errno, None)));
                }
                at += 1;
                continue;
            }
            let chunk = ops[at..].iter().take(BATCH_COUNT_MAX);
            let count = chunk
                .take_while(|op| !matches!(op, IpvsOp::Sysctl { .. }))
                .count();
            for refused in self.settle_chunk(&ops[at..at + count])? {
                let op = &ops[at + refused.index];
                failed.push((at + refused.index, op_error(op, refused.errno, refused.text)));
            }
            at += count;
        }
        Ok(failed)
    }

    /// A batch, and whatever it takes to make so what the table was not ready for.
    fn settle_chunk(&mut self, ops: &[IpvsOp]) -> Result<Vec<Refused>, Trouble> {
        let mut refused = self.batch(ops)?;
        // The family's number was that of a module which is gone: nothing of the batch was done.
        if refused.iter().any(|it| it.errno == libc::ENOENT) && self.family_changed()? {
            refused = self.batch(ops)?;
        }
        let (mut failed, mut instead, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for it in refused {
            match settle(&ops[it.index], it.errno) {
                Settled::Done => {}
                Settled::Instead(op) => {
                    instead.push(op);
                    places.push(it.index);
                }
                Settled::Failed => failed.push(it),
            }
        }
        for it in self.batch(&instead)? {
            if settle(&instead[it.index], it.errno) != Settled::Done {
                failed.push(Refused {
                    index: places[it.index],
                    ..it
                });
            }
        }
        failed.sort_by_key(|it| it.index);
        Ok(failed)
    }

    fn batch(&mut self, ops: &[IpvsOp]) -> Result<Vec<Refused>, Trouble> {
        let family = self.family()?;
        // The kernel may stop a sync daemon without a word (EINTR): something that changes nothing answers instead.
        let silent = matches!(ops.last(), Some(IpvsOp::StopSync(_)));
        let last = IpvsOp::Timeouts([0; 3]);
        let count = ops.len() + usize::from(silent);
        let answer = self.commands.open()?.batch(count, |out, index, seq, ack| {
            let op = ops.get(index).unwrap_or(&last);
            let sent = genl::encode_op(out, family, seq, ack, op);
            debug_assert!(sent, "not for netlink: {op}");
        });
        if answer.is_err() {
            // Late answers must not be taken for those of later requests.
            self.commands = Slot::default();
        }
        let mut refused = answer?;
        refused.retain(|it| it.index < ops.len());
        Ok(refused)
    }

    /// Reads the whole table.
    pub fn table(&mut self) -> Result<IpvsTable, Trouble> {
        match self.try_table() {
            Err(Trouble::Unknown(error)) if error.raw_os_error() == Some(libc::ENOENT) => {
                // The module was loaded anew, or is gone.
                self.family_changed()?;
                self.try_table()
            }
            Err(Trouble::Unknown(error)) if error.raw_os_error() == Some(libc::EPERM) => {
                Err(Trouble::Missing(
                    "IPVS needs CAP_NET_ADMIN in the host's own user namespace, which this agent does not have"
                        .to_owned(),
                ))
            }
            answer => answer,
        }
    }

    fn try_table(&mut self) -> Result<IpvsTable, Trouble> {
        let family = self.family()?;
        let answer = self
            .dumps
            .open()
            .and_then(|connection| read_table(connection, family));
        if answer.is_err() {
            self.dumps = Slot::default();
        }
        Ok(answer?)
    }

    /// The family's number, found once.
    fn family(&mut self) -> Result<FamilyId, Trouble> {
        if let Some(family) = self.family {
            return Ok(family);
        }
        let mut found = self.resolve();
        if is_missing(&found) && !self.modprobe_was_tried {
            self.modprobe_was_tried = true;
            match modules::load("ip_vs") {
                Ok(()) => found = self.resolve(),
                Err(error) => tracing::debug!(%error, "ip_vs could not be loaded"),
            }
        }
        if is_missing(&found) {
            return Err(Trouble::Missing(NO_IPVS.to_owned()));
        }
        self.family = Some(found?);
        Ok(self.family.expect("just found"))
    }

    /// Looks the family up again: whether its number is another one.
    fn family_changed(&mut self) -> Result<bool, Trouble> {
        let before = self.family.take();
        Ok(Some(self.family()?) != before)
    }

    /// Asking for the family makes the kernel load the module.
    fn resolve(&mut self) -> io::Result<FamilyId> {
        let answer = self.dumps.open()?.ask(genl::encode_resolve);
        if answer.is_err() {
            self.dumps = Slot::default();
        }
        genl::decode_resolve(&answer?).map_err(malformed)
    }
}

fn is_missing(found: &io::Result<FamilyId>) -> bool {
    matches!(found, Err(error) if error.raw_os_error() == Some(libc::ENOENT))
}

fn read_table(connection: &mut Connection, family: FamilyId) -> io::Result<IpvsTable> {
    let mut reader = TableReader::default();
    connection.dump(
        |out, seq| genl::encode_dump_services(out, family, seq),
        |_, payload| reader.service(payload).map_err(malformed),
    )?;
    for key in reader.keys() {
        connection.dump(
            |out, seq| genl::encode_dump_servers(out, family, seq, &key),
            |_, payload| reader.server(&key, payload).map_err(malformed),
        )?;
    }
    connection.dump(
        |out, seq| genl::encode_dump_daemons(out, family, seq),
        |_, payload| reader.daemon(payload).map_err(malformed),
    )?;
    Ok(reader.finish())
}

/// What the kernel said, its own words first, then what it probably means.
fn op_error(op: &IpvsOp, errno: i32, text: Option<String>) -> OpError {
    let mut words = text.unwrap_or_else(|| Errno::from_raw(errno).desc().to_owned());
    if let Some(meaning) = explain(op, errno) {
        words = format!("{words}: {meaning}");
    }
    OpError { errno, text: words }
}
