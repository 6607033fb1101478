//! Health: which servers of which services may take traffic, and with what weight.
//!
//! Knows schedules, retries, verdicts and quorum. Does not know sockets (a check arrives here as its outcome) nor
//! IPVS (the engine reads our verdicts).

mod job;

pub use job::{CheckId, CheckJob, CheckOutcome};
