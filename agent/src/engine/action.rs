//! What the engine wants done. The shell carries it out and decides nothing.

use super::confirm::Former;
use crate::health::{CheckId, CheckJob};
use crate::ipvs::IpvsOp;
use crate::model::{
    BfdPath, Fifo, FifoKind, Instance, Job, JobId, MailRoute, NumberFile, ProcessMatch, Route, Rule,
    ScriptRules,
};
use crate::net::{NetOp, TableName};
use crate::notify::mail::Mail;
use crate::vrrp::{Advert, Ear};
use crate::wire::bfd;
use lb_shared::event::Event;
use lb_shared::names::{Family, InstanceName};
use lb_shared::request::Reply;
use lb_shared::state::Override;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// A VRRP advert of an instance.
    Send(InstanceName, Advert),
    /// The sockets to hear adverts on, all of them; what is not in here is closed.
    Listen(BTreeSet<Ear>),
    /// Changes of links and addresses, in order.
    Net(BatchId, Vec<NetOp>),
    /// Changes of IPVS, in order.
    Ipvs(BatchId, Vec<IpvsOp>),
    /// Read the whole IPVS table and tell.
    DumpIpvs,
    /// Begin a check.
    Check(CheckId, Box<CheckJob>),
    /// Give up a check: its outcome is no longer wanted.
    CancelCheck(CheckId),
    /// Run a script.
    Run(JobId, Job),
    /// The processes to count, all of them, by the names of their trackers.
    Processes(BTreeMap<String, ProcessMatch>),
    /// The paths of the BFD sessions, all of them, by name; sockets of what is not in here are closed.
    BfdPaths(BTreeMap<String, BfdPath>),
    /// Whether to tell when routes or rules of ours are removed.
    WatchRouting(bool),
    /// Whether to tell when somebody takes something out of a table of nf_tables.
    WatchFirewall(bool),
    /// Read these values under /proc/sys and tell.
    ReadSysctls(Vec<String>),
    /// A packet of a BFD session.
    BfdSend(String, [u8; bfd::LENGTH]),
    /// The files whose numbers to watch, all of them, by the names of their trackers.
    Numbers(BTreeMap<String, NumberFile>),
    /// The FIFOs to write, all of them; what is not in here is closed.
    Fifos(BTreeMap<FifoKind, Fifo>),
    /// A line for a FIFO.
    Fifo(FifoKind, String),
    /// A mail to send.
    Mail(Box<MailRoute>, Mail),
    /// A file to write: path and text.
    Dump(String, String),
    /// Something happened.
    Emit(Event),
    /// The answer to a command.
    Answer(Ticket, Reply),
    /// Make these overrides durable and tell.
    Persist(PersistId, Vec<Override>),
    /// Make the configuration to go back to durable, or forget it, and tell.
    KeepFormer(PersistId, Option<Box<Former>>),
    /// What holds for all scripts from now on.
    ScriptRules(ScriptRules),
    /// Write down what we own, for the next start: see [`Ledger`].
    Ledger(Ledger),
    /// Everything is put down: the process may end.
    Finished,
}

/// Ties a batch of kernel operations to its result.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BatchId(pub u64);

/// Ties a command to its answer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// Ties a write of the overrides, or of a former configuration, to its result.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PersistId(pub u64);

/// What the next start must know about this run to adopt it (kept in the run folder, gone after a reboot).
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ledger {
    /// Masters by instance: the interval in microseconds, its addresses as put on the interface.
    pub masters: BTreeMap<String, LedgerMaster>,
    /// The IPVS services we keep, in canonical form.
    pub services: BTreeSet<String>,
    /// What the settings that a drain changes were before the first of our runs changed them.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Routes and rules that are there by our doing.
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Static addresses that are there by our doing: interface, address, length.
    #[serde(default)]
    pub static_addresses: Vec<(String, IpAddr, u8)>,
    /// Interfaces we made, and values under /proc/sys as they were before we changed them for these.
    #[serde(default)]
    pub links: BTreeSet<String>,
    #[serde(default)]
    pub link_sysctls: BTreeMap<String, String>,
    /// Tables of nf_tables that are there by our doing.
    #[serde(default)]
    pub firewall: Vec<TableName>,
}

/// One instance in the [`Ledger`]. When it last sent is written beside it by the shell, at each advert.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LedgerMaster {
    pub vrid: u8,
    pub inet6: bool,
    pub interface: Option<String>,
    pub advert_interval_us: u64,
    /// Interface, address, length.
    pub addresses: Vec<(String, IpAddr, u8)>,
}

impl LedgerMaster {
    /// What is to be known of an instance that is MASTER.
    pub fn of(instance: &Instance) -> Self {
        let addresses = super::ground::addresses(instance)
            .map(|address| (address.device.clone(), address.address, address.prefix_len))
            .collect();
        Self {
            vrid: instance.vrid.get(),
            inet6: instance.family == Family::Inet6,
            interface: instance.interface.clone(),
            advert_interval_us: u64::try_from(instance.advert_interval.as_micros()).unwrap_or(u64::MAX),
            addresses,
        }
    }
}
