//! A state as somebody looks at it: with its counters, the time, and the names objects are shown by.

use crate::counters::{InstanceCounters, ServerCounters};
use crate::excerpt::{Excerpt, Sums};
use crate::names::{InstanceName, ServerId, ServiceKey};
use crate::problems::{self, Tally};
use crate::request::Snapshot;
use crate::state::{ObjectId, Override, ServerView, ServiceState, ServiceView, State, Target};
use crate::text;
use crate::units::Mono;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

/// Names of other directors by the addresses they advertise from, as far as a client knows them.
pub type Peers = BTreeMap<IpAddr, String>;

/// A state with what it takes to show it.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub state: &'a State,
    pub counters: Option<&'a crate::counters::Counters>,
    pub now: Mono,
    /// Unix time in milliseconds at `now`.
    pub wall_ms: u64,
    peers: Option<&'a Peers>,
    /// Of what is not in the state, when that is an excerpt.
    sums: Option<&'a Sums>,
    /// What was added up already.
    added: Option<(&'a Totals, &'a BTreeMap<ServiceKey, Totals>)>,
    /// Names that several services have. Looked for when the first name is asked for: with many services that takes its
    /// time.
    twice: OnceLock<BTreeSet<String>>,
}

/// Sums over the servers of a service, or over all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub active: u64,
    pub inactive: u64,
    pub connections: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub connections_per_s: u64,
    pub bytes_in_per_s: u64,
    pub bytes_out_per_s: u64,
}

impl Totals {
    /// Adds other sums. They come from other programs: the largest there is, is the most there can be.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.active, other.active),
            (&mut self.inactive, other.inactive),
            (&mut self.connections, other.connections),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.connections_per_s, other.connections_per_s),
            (&mut self.bytes_in_per_s, other.bytes_in_per_s),
            (&mut self.bytes_out_per_s, other.bytes_out_per_s),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// Adds what one server carries.
    pub fn add(&mut self, server: &ServerCounters) {
        self.join(&Self {
            active: server.active,
            inactive: server.inactive,
            connections: server.connections,
            bytes_in: server.bytes_in,
            bytes_out: server.bytes_out,
            connections_per_s: server.connections_per_s,
            bytes_in_per_s: server.bytes_in_per_s,
            bytes_out_per_s: server.bytes_out_per_s,
        });
    }
}

impl<'a> View<'a> {
    /// A state at a moment.
    pub fn new(state: &'a State, now: Mono, wall_ms: u64) -> Self {
        Self {
            state,
            counters: None,
            now,
            wall_ms,
            peers: None,
            sums: None,
            added: None,
            twice: OnceLock::new(),
        }
    }

    /// A snapshot as it came from an agent.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self::new(&snapshot.state, snapshot.now, snapshot.wall_ms)
    }

    /// A part of a state, with its counters and the sums over what is left out.
    pub fn excerpt(excerpt: &'a Excerpt) -> Self {
        Self::of(&excerpt.snapshot)
            .with_counters(excerpt.counters.as_ref())
            .with_sums(Some(&excerpt.sums))
    }

    /// The name of a service, if it is enough to single it out.
    fn own_name(&self, key: &ServiceKey) -> Option<&'a str> {
        let name = self.state.services.get(key)?.name.as_deref()?;
        let shared = self.sums.is_some_and(|sums| sums.shared_names.contains(name));
        let twice = || self.twice.get_or_init(|| names_had_twice(self.state));
        (plain(name) && !shared && !twice().contains(name)).then_some(name)
    }

    /// Names in `part` that do not single a service out, since one of this view has the same.
    pub(crate) fn shared_names(&self, part: &State) -> BTreeSet<String> {
        part.services
            .values()
            .filter(|it| it.name.is_some() && self.own_name(&it.key).is_none())
            .filter_map(|it| it.name.clone())
            .collect()
    }

    /// The same with counters.
    pub fn with_counters(mut self, counters: Option<&'a crate::counters::Counters>) -> Self {
        self.counters = counters;
        self
    }

    /// The same with sums over the counters, of which it need not have all then.
    pub fn with_totals(mut self, all: &'a Totals, services: &'a BTreeMap<ServiceKey, Totals>) -> Self {
        self.added = Some((all, services));
        self
    }

    /// The same, as a part of a state: with the sums over what is left out.
    pub fn with_sums(mut self, sums: Option<&'a Sums>) -> Self {
        self.sums = sums;
        self
    }

    /// The same with the names of other directors.
    pub fn with_peers(mut self, peers: &'a Peers) -> Self {
        self.peers = Some(peers);
        self
    }

    /// How long ago `since` was.
    pub fn age(&self, since: Mono) -> Duration {
        self.now.since(since)
    }

    /// Unix time in milliseconds of a moment.
    pub fn wall(&self, at: Mono) -> u64 {
        if at > self.now {
            self.wall_ms + ms(at.since(self.now))
        } else {
            self.wall_ms.saturating_sub(ms(self.now.since(at)))
        }
    }

    /// The name a service is shown by and may be selected by: its own if no other has it, else its key.
    pub fn service_name(&self, key: &ServiceKey) -> String {
        match self.own_name(key) {
            Some(name) => name.to_owned(),
            None => key.to_string(),
        }
    }

    /// `web/198.51.100.24:443`.
    pub fn server_name(&self, id: &ServerId) -> String {
        match self.own_name(&id.service) {
            Some(name) => format!("{name}/{}", id.server),
            None => id.to_string(),
        }
    }

    /// The name a target is shown by.
    pub fn target_name(&self, target: &Target) -> String {
        match target {
            Target::Server(id) => self.server_name(id),
            Target::Instance(name) => text::escape(&name.0),
        }
    }

    /// The name an object is shown by.
    pub fn object_name(&self, id: &ObjectId) -> String {
        match id {
            ObjectId::Agent => "agent".into(),
            ObjectId::Instance(name) => text::escape(&name.0),
            ObjectId::Group(name) => text::escape(&name.0),
            ObjectId::Tracker(name) => text::escape(name.name()),
            ObjectId::Service(key) => self.service_name(key),
            ObjectId::Server(id) => self.server_name(id),
            ObjectId::Override(target) => self.target_name(target),
        }
    }

    /// Another director's name, if it is known.
    pub fn peer(&self, address: IpAddr) -> Option<&'a str> {
        self.peers?.get(&address).map(String::as_str)
    }

    /// `198.51.100.3 (lb2)`, or the address alone.
    pub fn peer_text(&self, address: IpAddr) -> String {
        match self.peer(address) {
            Some(name) => format!("{address} ({name})"),
            None => address.to_string(),
        }
    }

    /// The services: those not up first, then as in the file.
    pub fn services(&self) -> Vec<&'a ServiceView> {
        let mut services: Vec<_> = self.state.services.values().map(|it| &**it).collect();
        services.sort_by_key(|view| (rank(view.state), view.order));
        services
    }

    /// All servers, by service as in the file.
    pub fn servers(&self) -> impl Iterator<Item = &'a ServerView> + use<'a> {
        let mut services: Vec<_> = self.state.services.values().map(|it| &**it).collect();
        services.sort_by_key(|view| view.order);
        let state = self.state;
        services.into_iter().flat_map(|view| state.servers_of(&view.key))
    }

    /// How many servers of a service are UP, and how many there are.
    pub fn up_of(&self, key: &ServiceKey) -> (usize, usize) {
        if let Some(sum) = self.sums.and_then(|sums| sums.of_services.get(key)) {
            return (sum.up as usize, sum.all as usize);
        }
        self.state.servers_of(key).fold((0, 0), |(up, all), server| {
            (up + usize::from(server.word() == "UP"), all + 1)
        })
    }

    /// Services by state.
    pub fn service_tally(&self) -> Tally {
        match self.sums.and_then(|sums| sums.all.as_ref()) {
            Some(all) => all.service_tally(),
            None => problems::services(self.state),
        }
    }

    /// Servers by word.
    pub fn server_tally(&self) -> Tally {
        match self.sums.and_then(|sums| sums.all.as_ref()) {
            Some(all) => all.server_tally(),
            None => problems::servers(self.state),
        }
    }

    /// What was counted for a server.
    pub fn server_counters(&self, id: &ServerId) -> Option<&'a ServerCounters> {
        self.counters?.servers.get(id)
    }

    /// What was counted for an instance.
    pub fn instance_counters(&self, name: &InstanceName) -> Option<&'a InstanceCounters> {
        self.counters?.instances.get(name)
    }

    /// Sums over a service; `None` without counters.
    pub fn service_totals(&self, key: &ServiceKey) -> Option<Totals> {
        if let Some(sum) = self.sums.and_then(|sums| sums.of_services.get(key)) {
            return sum.totals;
        }
        if let Some((_, services)) = self.added {
            return services.get(key).copied();
        }
        let counters = self.counters?;
        let mut totals = Totals::default();
        // Of all that was counted, since a sorry server is no server of the state.
        counters
            .servers
            .range(ServerId::first_of(key)..)
            .take_while(|(id, _)| id.service == *key)
            .for_each(|(_, server)| totals.add(server));
        Some(totals)
    }

    /// Sums over everything; `None` without counters.
    pub fn totals(&self) -> Option<Totals> {
        if let Some(all) = self.sums.and_then(|sums| sums.all.as_ref()) {
            return all.totals;
        }
        if let Some((all, _)) = self.added {
            return Some(*all);
        }
        let mut totals = Totals::default();
        self.counters?
            .servers
            .values()
            .for_each(|server| totals.add(server));
        Some(totals)
    }

    /// An operator's change of a server.
    pub fn server_override(&self, id: &ServerId) -> Option<&'a Override> {
        self.state.overrides.get(&Target::Server(id.clone()))
    }

    /// An operator's change of an instance.
    pub fn instance_override(&self, name: &InstanceName) -> Option<&'a Override> {
        self.state.overrides.get(&Target::Instance(name.clone()))
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn rank(state: ServiceState) -> u8 {
    match state {
        ServiceState::Down => 0,
        ServiceState::Sorry => 1,
        ServiceState::Init => 2,
        ServiceState::Up => 3,
    }
}

fn names_had_twice(state: &State) -> BTreeSet<String> {
    let mut names: Vec<&str> = state
        .services
        .values()
        .filter_map(|it| it.name.as_deref())
        .collect();
    names.sort_unstable();
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
    twice.map(|pair| pair[0].to_owned()).collect()
}

/// Whether a service's name can be typed as a selector: nothing the grammar needs for itself, nothing invisible.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && text::escape(name) == name
        && !name.contains([' ', '/', ':', ',', '*', '?', '[', ']', '!'])
}

/// Unix time as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(wall_ms: u64) -> String {
    // The year 9999 is the last that humantime writes.
    const LAST_MS: u64 = 253_402_300_799_999;
    let at = std::time::UNIX_EPOCH + Duration::from_millis(wall_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(at).to_string()
}

/// The moment that RFC 3339 text names, in Unix time in milliseconds.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(text).ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(ms(since))
}
