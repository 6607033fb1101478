//! The engine: puts the machines together and decides everything.
//!
//! A plain value: no sockets, no clock, no files, no async. Inputs go in one at a time, actions are drained to the
//! end before the next. Knows every other room; no room but the shell knows it.

mod action;
mod input;

pub use action::{Action, BatchId, Ledger, LedgerMaster, PersistId, Ticket};
pub use input::{Command, Input, IpvsNews, NetNews, NewModel, OpError, StopMode};
