//! Counters for who asks: the kernel's, ours, and how old they may be.

use super::Engine;
use super::action::Ticket;
use super::want::destination_key;
use crate::ipvs::table::IpvsService;
use crate::model::{Forwarding, Service};
use lb_shared::counters::{Counters, ServerCounters};
use lb_shared::history::ServerRuns;
use lb_shared::names::{ServerId, ServerKey, VirtualKey};
use lb_shared::request::Reply;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

/// Counters younger than this are given out again.
const SAMPLE_LIFE: Duration = Duration::from_millis(500);
/// How many servers are told of at once: about a millisecond of work.
const SERVERS_AT_ONCE: usize = 500;

impl Engine {
    /// What the kernel counted for a server at the last look, over all entries of its service.
    pub(super) fn server_counters(&self, id: &ServerId) -> ServerCounters {
        let service = self.model.services.get(&id.service);
        let server = service.and_then(|service| Some((service, service.servers.get(&id.server)?)));
        server.map_or_else(ServerCounters::default, |(service, server)| {
            sum(&self.in_kernel(service), id.server, server.forwarding)
        })
    }

    /// A service's entries, as the kernel had them at the last look.
    pub(super) fn in_kernel<'a>(&'a self, service: &'a Service) -> Vec<(&'a VirtualKey, &'a IpvsService)> {
        let have = &self.ipvs.have().services;
        let entries = service.entries.iter();
        entries
            .filter_map(|entry| Some((entry, have.get(entry)?)))
            .collect()
    }

    /// The last runs of these servers' checks; servers that are not there are left out.
    pub fn check_runs(&self, servers: &[ServerId]) -> Vec<ServerRuns> {
        servers.iter().filter_map(|id| self.health.runs(id)).collect()
    }

    pub(super) fn on_sample(&mut self, ticket: Ticket) {
        let fresh = self
            .ipvs
            .dumped_at()
            .is_some_and(|at| self.now.since(at) < SAMPLE_LIFE);
        self.commands.samples.push(ticket);
        if fresh || self.ipvs_missing().is_some() || self.boot.is_some() {
            self.answer_samples();
        } else {
            self.ipvs.ask(self.now, &mut self.queue);
        }
    }

    pub(super) fn answer_samples(&mut self) {
        if self.commands.samples.is_empty() {
            return;
        }
        let counters = self.counters();
        let mut tickets = std::mem::take(&mut self.commands.samples);
        let last = tickets.pop();
        for ticket in tickets {
            self.answer(Some(ticket), Reply::Counters(Box::new(counters.clone())));
        }
        self.answer(last, Reply::Counters(Box::new(counters)));
    }

    /// All but those of servers, which [`Engine::counters_of_servers`] gives slice by slice.
    fn counters(&self) -> Counters {
        let instances = self
            .model
            .instances
            .keys()
            .filter_map(|name| Some((name.clone(), self.routers.counters(name)?)))
            .collect();
        Counters {
            at: self.now,
            instances,
            servers: BTreeMap::new(),
            checks: self.health.check_counters(),
            check_lag_us: u64::try_from(self.health.check_lag(self.now).as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// The counters of the first [`SERVERS_AT_ONCE`] servers after one, in their order; the end when there are fewer.
    ///
    /// Many thousand at once would hold up the next advert.
    pub fn counters_of_servers(&self, after: Option<&ServerId>) -> Vec<(ServerId, ServerCounters)> {
        let first = after.map_or(Bound::Unbounded, |id| Bound::Included(&id.service));
        let services = self.model.services.range((first, Bound::Unbounded));
        let mut slice = Vec::new();
        for (key, service) in services {
            let first = match after.filter(|id| id.service == *key) {
                Some(id) => Bound::Excluded(&id.server),
                None => Bound::Unbounded,
            };
            let (entries, last_check) = (self.in_kernel(service), self.health.last_checks(key));
            for (server, it) in service.servers.range((first, Bound::Unbounded)) {
                if slice.len() == SERVERS_AT_ONCE {
                    return slice;
                }
                let id = ServerId {
                    service: key.clone(),
                    server: *server,
                };
                let mut counters = sum(&entries, *server, it.forwarding);
                if let Some((at, took)) = last_check(server) {
                    counters.checked_at = Some(at);
                    counters.check_us = u64::try_from(took.as_micros()).ok();
                }
                slice.push((id, counters));
            }
        }
        slice
    }
}

/// What the kernel counts for a server, over the entries of its service.
fn sum(entries: &[(&VirtualKey, &IpvsService)], server: ServerKey, forwarding: Forwarding) -> ServerCounters {
    let mut sum = ServerCounters::default();
    for (entry, service) in entries {
        let key = destination_key(entry, server, forwarding);
        let Some(it) = service.destinations.get(&key).map(|it| &it.counters) else {
            continue;
        };
        sum.add(&ServerCounters {
            active: it.active.into(),
            inactive: it.inactive.into(),
            persistent: it.persistent.into(),
            connections: it.connections,
            packets_in: it.packets_in,
            packets_out: it.packets_out,
            bytes_in: it.bytes_in,
            bytes_out: it.bytes_out,
            connections_per_s: it.connections_per_s,
            bytes_in_per_s: it.bytes_in_per_s,
            bytes_out_per_s: it.bytes_out_per_s,
            checked_at: None,
            check_us: None,
            drain_eta_s: None,
        });
    }
    sum
}
