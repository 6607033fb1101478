//! Everything that is measured, in the text form Prometheus reads.
//!
//! A page is a pure function of what the hub has seen, the last counters and what this room counted itself. States are
//! sets of series with 0 or 1, times are seconds since 1970, and counters only grow while the agent lives.

mod agent;
mod balance;
mod compat;
mod page;
mod tally;
mod vrrp;

pub(super) use tally::Tally;

use lb_shared::request::{MetricsAsk, MetricsServers};
use lb_shared::view::View;
use page::Page;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// From so many servers on, only those get series that are not as they should be.
const SERVERS_IN_FULL: usize = 5_000;

/// What is measured, and where it can be read beside the socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsSetup {
    /// A port that answers `GET /metrics`, on a loopback address.
    pub port: Option<SocketAddr>,
    /// Which servers get series; `None` decides by their number.
    pub servers: Option<MetricsServers>,
    /// Also under the names of keepalived's exporters.
    pub compat: bool,
}

/// What this room counted of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Served {
    /// By op and how it ended: `ok` or the code of the refusal.
    pub(super) requests: BTreeMap<(&'static str, &'static str), u64>,
    pub(super) clients: usize,
}

/// The page.
pub(super) fn page(
    view: &View<'_>,
    tally: &Tally,
    served: &Served,
    setup: MetricsSetup,
    asked: MetricsAsk,
) -> String {
    let servers = asked
        .servers
        .or(setup.servers)
        .unwrap_or(if view.state.servers.len() < SERVERS_IN_FULL {
            MetricsServers::Full
        } else {
            MetricsServers::Unhealthy
        });
    let mut page = Page::default();
    agent::add(&mut page, view, tally, served);
    vrrp::add(&mut page, view, tally);
    balance::add(&mut page, view, servers);
    if asked.compat.unwrap_or(setup.compat) {
        compat::add(&mut page, view);
    }
    page.finish()
}

#[cfg(test)]
mod tests;
