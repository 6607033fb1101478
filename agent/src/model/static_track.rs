//! Lines of the file itself that instances stand on: `track_group` behind a static address, route or rule.

use super::routing::{Route, Rule};
use lb_shared::names::InstanceName;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// A line that is followed: its interface is tracked for the members, and a line that is lost for good puts them into
/// FAULT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaticTrack {
    pub line: StaticLine,
    /// Of the address; where the route leads; where the rule looks.
    pub interface: String,
    pub group: String,
    pub members: BTreeSet<InstanceName>,
}

/// Which one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StaticLine {
    Address { address: IpAddr, prefix_len: u8 },
    Route(Box<Route>),
    Rule(Box<Rule>),
}

impl fmt::Display for StaticLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, prefix_len } => write!(f, "static address {address}/{prefix_len}"),
            Self::Route(it) => write!(f, "static route {}/{}", it.destination.0, it.destination.1),
            Self::Rule(it) => write!(f, "static rule {}", it.preference),
        }
    }
}
