//! What can happen to the engine. Read this first, then `action.rs`.

use super::action::{BatchId, PersistId, Ticket};
use crate::bfd::Heard;
use crate::config::Texts;
use crate::health::{CheckId, CheckOutcome};
use crate::ipvs::table::IpvsTable;
use crate::model::{DumpKind, JobId, JobOutcome, Model};
use crate::net::{Address, AddressKey, Link, NetTable, RoutingGone, TableName};
use crate::vrrp::Datagram;
use crate::wire::LinkIndex;
use lb_shared::diagnostic::Diagnostic;
use lb_shared::event::Actor;
use lb_shared::expect::Expected;
use lb_shared::names::InstanceName;
use lb_shared::request::{Act, Role};
use lb_shared::trial::TestAsk;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One change of the world.
#[derive(Clone, Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A packet of IP protocol 112.
    Datagram(Datagram),
    /// News about links and addresses.
    Net(NetNews),
    /// News about IPVS.
    Ipvs(IpvsNews),
    /// Values under /proc/sys/net/ipv4/vs that a drain changes, as they are; known only where there is IPVS.
    IpvsSettings(BTreeMap<&'static str, String>),
    /// Those of the values that were asked for that could be read.
    Sysctls(BTreeMap<String, String>),
    /// A check is over.
    Checked(CheckId, CheckOutcome),
    /// A script is over.
    Ran(JobId, JobOutcome),
    /// A datagram to a port of BFD.
    Bfd(Heard),
    /// The kernel did not take a packet of this BFD session: why.
    BfdSendFailed(String, String),
    /// So many processes run that fit the tracker of this name.
    Processes(String, u32),
    /// This number stands in the file of the tracker of this name.
    Number(String, i32),
    /// A new configuration, already free of errors.
    Model(Box<NewModel>),
    /// A reload was refused before it came here.
    ReloadRefused(Vec<Diagnostic>),
    /// Somebody could not be told of something: who, of what, and why.
    NotTold(String),
    /// The kernel did not take an advert.
    SendFailed(InstanceName),
    /// An operator's change.
    Command(Ticket, Command),
    /// Somebody wants checks run once.
    Test(Ticket, TestAsk),
    /// Somebody wants the counters of the instances.
    Sample(Ticket),
    /// The overrides are on disk, or why they are not.
    Persisted(PersistId, Result<(), String>),
    /// The former configuration is on disk, or no longer is, or why not.
    FormerKept(PersistId, Result<(), String>),
    /// Somebody confirms the configuration in force.
    Confirm(Ticket, Actor),
    /// A file as keepalived writes it is wanted.
    Dump(DumpAsk),
    /// The wall clock was set: Unix time in microseconds, now. Sent when it moved against the agent's own clock.
    WallClock(u64),
    /// Say goodbye.
    Stop(StopMode),
}

/// News about links and addresses.
#[derive(Clone, Debug)]
pub enum NetNews {
    /// Everything, at start and after notifications were lost.
    Table(NetTable),
    Link(Link),
    LinkGone(LinkIndex),
    Address(AddressKey, Address),
    AddressGone(AddressKey),
    /// Somebody removed a route or a rule that carries our protocol.
    RoutingGone(RoutingGone),
    /// Somebody else took something out of this table.
    FirewallLost(TableName),
    /// Such news were missed.
    FirewallUnknown,
    /// A batch of operations is over: the errno and words of each that failed, by its place in the batch.
    Done(BatchId, Vec<(usize, OpError)>),
}

/// News about IPVS.
#[derive(Clone, Debug)]
pub enum IpvsNews {
    /// The whole table, as asked for.
    Table(IpvsTable),
    /// No IPVS here: why.
    Missing(String),
    /// A batch of operations is over.
    Done(BatchId, Vec<(usize, OpError)>),
}

/// Why the kernel refused an operation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpError {
    pub errno: i32,
    /// `No such file or directory`, with the kernel's own text where it gave one.
    pub text: String,
}

/// A configuration to put in force.
#[derive(Clone, Debug)]
pub struct NewModel {
    pub model: Model,
    pub file: String,
    pub findings: Vec<Diagnostic>,
    /// What stood in the files of its `track_file`s when it was read, by their names.
    pub numbers: BTreeMap<String, i32>,
    /// How long the host is up.
    pub since_boot: Duration,
    /// Who asked for it over the socket; `None` at start and for SIGHUP.
    pub asked: Option<(Ticket, Actor)>,
    pub dry_run: bool,
    pub force: bool,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
    /// The files it was made from.
    pub texts: Arc<Texts>,
    /// It is taken back after so long, unless somebody confirms it.
    pub confirm: Option<Duration>,
}

/// A file that somebody asked for by a signal.
#[derive(Clone, Copy, Debug)]
pub struct DumpAsk {
    pub kind: DumpKind,
    /// Statistics count from here on.
    pub clear: bool,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
}

/// An operator's change, with who asked and the wall time.
#[derive(Clone, Debug)]
pub struct Command {
    pub actor: Actor,
    /// Unix time in milliseconds.
    pub wall_ms: u64,
    /// What they may do.
    pub role: Role,
    pub act: Act,
    /// What they saw of the targets.
    pub expect: Vec<Expected>,
}

/// What a stop leaves behind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StopMode {
    /// `-V`: addresses stay.
    pub keep_addresses: bool,
    /// `-I`: the IPVS table stays.
    pub keep_ipvs: bool,
    /// For a restart or an upgrade: no farewell, everything stays.
    pub hand_over: bool,
}
