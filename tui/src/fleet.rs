//! All hosts that are looked at, side by side: how each is, who is master of what, and what they do not agree on.

use crate::app::{App, Link};
use crate::succession::{self, Next};
use crate::view::took as took_text;
use lb_shared::differences::{self, Difference, Router, Seen};
use lb_shared::names::{InstanceName, ServerKey};
use lb_shared::problems;
use lb_shared::request::Role;
use lb_shared::state::{InstanceView, VrrpState};
use lb_shared::text::{escape, span};
use lb_shared::units::Mono;
use lb_shared::view::{Peers, Totals, View};
use std::collections::BTreeMap;
use std::time::Duration;

/// A wrong number of masters is an alarm once it lasts: the agents' news of one change do not arrive together.
const SETTLED: Duration = Duration::from_secs(2);
/// Clocks may differ by this much.
const SKEW_MAX_MS: u64 = 1_000;

/// What is derived from all hosts together. Empty while there is only one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) cluster: Option<String>,
    pub(crate) hosts: Vec<HostRow>,
    pub(crate) routers: Vec<RouterRow>,
    pub(crate) differences: Vec<Difference>,
    /// Who would take over what.
    pub(crate) next: Vec<Next>,
    /// How the servers of one service are on each host.
    pub(crate) health: Health,
    /// Routers with more or less than one master, and since when.
    wrong: Vec<(String, Duration)>,
    /// The hosts by the addresses they advertise from.
    pub(crate) peers: Peers,
}

/// One host.
#[derive(Clone, Debug)]
pub(crate) struct HostRow {
    pub(crate) name: String,
    pub(crate) standing: Standing,
    /// Why it does not answer, and when it is tried again.
    pub(crate) trouble: Option<String>,
    pub(crate) role: Option<Role>,
    pub(crate) way: Way,
    /// What its agent told last; `None` before it told anything.
    pub(crate) known: Option<Known>,
}

/// The servers of one service, a cell for each host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) service: String,
    pub(crate) rows: Vec<HealthRow>,
}

/// One server: the worst mark of all hosts, its address, and its mark and state on each of them.
#[derive(Clone, Debug)]
pub(crate) struct HealthRow {
    pub(crate) mark: char,
    pub(crate) server: String,
    pub(crate) cells: Vec<(char, String)>,
}

/// The connection to a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// How it is reached.
    pub(crate) path: String,
    /// Up, and since when; `None` before the first try ended.
    pub(crate) up: Option<(bool, Duration)>,
    pub(crate) reconnects: u32,
    pub(crate) last_failure: Option<String>,
    /// How long a question is on its way; `local` where it does not leave this machine.
    pub(crate) trip: Option<String>,
}

/// How a host answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Standing {
    Live,
    /// It has answered, and not for so long.
    Stale(Duration),
    /// It has not answered yet.
    Unreachable,
}

/// What an agent told.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) version: String,
    pub(crate) up: Duration,
    pub(crate) revision: u64,
    pub(crate) master_of: Vec<String>,
    pub(crate) services: String,
    pub(crate) servers: String,
    pub(crate) totals: Option<Totals>,
    pub(crate) problems: usize,
}

/// One virtual router on all hosts.
#[derive(Clone, Debug)]
pub(crate) struct RouterRow {
    pub(crate) name: String,
    pub(crate) vrid: String,
    pub(crate) interface: String,
    /// One host answers as its master.
    pub(crate) mark: char,
    /// `MASTER 150`, by host; `-` where it is not configured.
    pub(crate) cells: Vec<Cell>,
    /// What it is called on each host.
    pub(crate) names: Vec<Option<InstanceName>>,
    pub(crate) addresses: usize,
    /// On the hosts that answer.
    pub(crate) masters: usize,
    /// Who sends its connections to whom: `lb1 -> lb2`, or `off`.
    pub(crate) sync: String,
}

/// One virtual router on one host.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) mark: char,
    pub(crate) text: String,
    /// How long it has been so, where that is known.
    pub(crate) age: Option<String>,
}

impl Fleet {
    /// Before anything is known.
    pub(crate) fn named(cluster: Option<String>) -> Self {
        Self {
            cluster,
            ..Self::default()
        }
    }

    /// Looks at all hosts. `before` is what was seen last.
    pub(crate) fn of(seats: &[App], at: usize, now: Duration, before: &Self) -> Self {
        let names = names(seats);
        let mut fleet = Self {
            cluster: before.cluster.clone(),
            hosts: seats
                .iter()
                .zip(&names)
                .map(|(seat, name)| host(seat, name))
                .collect(),
            routers: routers(seats, &names),
            ..Self::default()
        };
        let live: Vec<Seen<'_>> = seats
            .iter()
            .zip(&names)
            .filter(|(seat, _)| !seat.stale())
            .filter_map(|(seat, name)| {
                Some(Seen {
                    name,
                    view: view(seat)?,
                    // The clock of this machine is not read in here; the hosts' are compared with each other.
                    skew_ms: 0,
                })
            })
            .collect();
        let missing: Vec<&str> = fleet
            .hosts
            .iter()
            .filter(|host| host.standing != Standing::Live)
            .map(|host| host.name.as_str())
            .collect();
        fleet.differences = differences::differences(&live, &missing, fleet.cluster.as_deref());
        fleet.differences.extend(clocks(&live));
        fleet.wrong = differences::masters(&live)
            .into_iter()
            .map(|it| {
                let text = format!("{}: {}", it.name, it.text);
                let known = before.wrong.iter().find(|(known, _)| *known == text);
                let since = known.map_or(now, |(_, since)| *since);
                (text, since)
            })
            .collect();
        fleet.peers = peers(&live);
        fleet.next = succession::next_masters(&live);
        fleet.health = seats
            .get(at)
            .map(|front| health(seats, front))
            .unwrap_or_default();
        fleet
    }

    /// What nobody may miss.
    pub(crate) fn alarm(&self, now: Duration) -> Option<&str> {
        self.wrong
            .iter()
            .find(|(_, since)| now.saturating_sub(*since) >= SETTLED)
            .map(|(text, _)| text.as_str())
    }

    pub(crate) fn several(&self) -> bool {
        self.hosts.len() > 1
    }
}

/// The state a seat shows, live or last known.
fn view(seat: &App) -> Option<View<'_>> {
    let at = if seat.stale() { seat.heard } else { seat.now };
    Some(seat.live()?.view(at))
}

/// What the hosts call themselves; where two have the same name, how they are reached.
fn names(seats: &[App]) -> Vec<String> {
    let own = |seat: &App| match seat.live() {
        Some(data) if !data.state.agent.host.is_empty() => escape(&data.state.agent.host),
        _ => seat.label.clone(),
    };
    let names: Vec<String> = seats.iter().map(own).collect();
    names
        .iter()
        .zip(seats)
        .map(
            |(name, seat)| match names.iter().filter(|other| *other == name).count() {
                1 => name.clone(),
                _ => seat.label.clone(),
            },
        )
        .collect()
}

fn host(seat: &App, name: &str) -> HostRow {
    let silent = seat.now.saturating_sub(seat.heard);
    let trouble = match &seat.link {
        Link::Down {
            failure,
            attempt,
            retry_at,
        } => Some(format!(
            "{}; retry {attempt} in {} (r: now)",
            escape(&failure.message),
            span(retry_at.saturating_sub(seat.now) + Duration::from_millis(999))
        )),
        Link::Starting | Link::Up => None,
    };
    let known = view(seat).map(|view| {
        let state = view.state;
        Known {
            version: escape(&state.agent.version),
            up: view.age(Mono::ZERO),
            revision: state.agent.config.revision,
            master_of: differences::master_of(state)
                .into_iter()
                .map(|name| escape(&name.0))
                .collect(),
            services: problems::marks(&problems::services(state), " "),
            servers: problems::marks(&problems::servers(state), " "),
            totals: seat.live().and_then(|data| data.totals),
            problems: problems::problems(&view).len(),
        }
    });
    HostRow {
        name: name.to_owned(),
        standing: match (&known, seat.stale()) {
            (None, _) => Standing::Unreachable,
            (Some(_), true) => Standing::Stale(silent),
            (Some(_), false) => Standing::Live,
        },
        trouble,
        way: way(seat),
        role: seat.hello.as_ref().map(|hello| hello.role),
        known,
    }
}

fn way(seat: &App) -> Way {
    Way {
        path: seat.socket.clone(),
        up: match seat.link {
            Link::Starting => None,
            Link::Up => Some((true, seat.now.saturating_sub(seat.link_since))),
            Link::Down { .. } => Some((false, seat.now.saturating_sub(seat.link_since))),
        },
        reconnects: seat.connects.saturating_sub(1),
        last_failure: seat.last_failure.as_deref().map(escape),
        trip: match seat.trips.iter().min() {
            _ if !seat.socket.starts_with("ssh://") => Some("local".into()),
            Some(shortest) if !seat.stale() => {
                Some(took_text(u64::try_from(shortest.as_micros()).unwrap_or(u64::MAX)))
            }
            Some(_) | None => None,
        },
    }
}

/// How the servers of the service that is looked at on the host in front are on each host.
fn health(seats: &[App], front: &App) -> Health {
    let Some(key) = front.services.current() else {
        return Health::default();
    };
    let service = match front.live() {
        Some(data) => data.view(front.now).service_name(key),
        None => key.to_string(),
    };
    let mut rows: BTreeMap<&ServerKey, Vec<Option<(char, String)>>> = BTreeMap::new();
    for (nth, seat) in seats.iter().enumerate() {
        let Some(view) = view(seat) else { continue };
        let unsure = if seat.stale() { "?" } else { "" };
        for it in view.state.servers_of(key) {
            let counters = view.server_counters(&it.id);
            let took = counters.and_then(|counters| counters.check_us);
            let text = match (it.word(), took) {
                ("DOWN", _) => format!("DOWN{unsure} {}", problems::server_reason(it)),
                (word, Some(us)) => format!("{word}{unsure} {}", took_text(us)),
                (word, None) => format!("{word}{unsure}"),
            };
            let row = rows
                .entry(&it.id.server)
                .or_insert_with(|| vec![None; seats.len()]);
            row[nth] = Some((problems::server_mark(it), escape(&text)));
        }
    }
    let rows = rows
        .into_iter()
        .map(|(server, cells)| {
            // The worst of all hosts, in the order in which marks are grave.
            let rank = |mark: char| "+=-?~*!".find(mark).unwrap_or(0);
            let mark = cells
                .iter()
                .flatten()
                .map(|(mark, _)| *mark)
                .max_by_key(|mark| rank(*mark));
            let cells = cells
                .into_iter()
                .map(|cell| cell.unwrap_or((' ', "-".into())))
                .collect();
            HealthRow {
                mark: mark.unwrap_or(' '),
                server: server.to_string(),
                cells,
            }
        })
        .collect();
    Health { service, rows }
}

fn routers(seats: &[App], hosts: &[String]) -> Vec<RouterRow> {
    let mut rows: BTreeMap<Router, Vec<Option<Place<'_>>>> = BTreeMap::new();
    for (nth, seat) in seats.iter().enumerate() {
        let Some(view) = view(seat) else { continue };
        for it in view.state.instances.values() {
            let row = rows
                .entry(Router::of(it))
                .or_insert_with(|| vec![None; seats.len()]);
            row[nth] = Some(Place {
                it,
                stale: seat.stale(),
                age: view.age(it.since),
                sends: view.state.agent.sync.as_ref().is_some_and(|sync| sync.sends),
                takes: view.state.agent.sync.as_ref().is_some_and(|sync| sync.takes),
            });
        }
    }
    let mut rows: Vec<RouterRow> = rows.values().filter_map(|row| router(row, hosts)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

/// An instance on one host.
#[derive(Clone, Copy)]
struct Place<'a> {
    it: &'a InstanceView,
    stale: bool,
    age: Duration,
    /// Its kernel sends connections, or takes them.
    sends: bool,
    takes: bool,
}

/// Whether the connections of a router's master go to the others, who would take it over.
fn sync(row: &[Option<Place<'_>>], hosts: &[String]) -> String {
    let places = || {
        row.iter()
            .zip(hosts)
            .filter_map(|(place, host)| Some((place.as_ref()?, host)))
    };
    let live = || places().filter(|(place, _)| !place.stale);
    let Some((master, from)) = live().find(|(place, _)| place.it.state == VrrpState::Master) else {
        return "-".into();
    };
    if !master.sends {
        return "off".into();
    }
    let to: Vec<&str> = live()
        .filter(|(place, host)| *host != from && place.takes)
        .map(|(_, host)| host.as_str())
        .collect();
    match to.is_empty() {
        true => format!("{from} -> nobody"),
        false => format!("{from} -> {}", to.join(" ")),
    }
}

fn router(row: &[Option<Place<'_>>], hosts: &[String]) -> Option<RouterRow> {
    let first = row.iter().flatten().next()?.it;
    let masters = row
        .iter()
        .flatten()
        .filter(|place| !place.stale && place.it.state == VrrpState::Master)
        .count();
    let cells = row
        .iter()
        .map(|cell| match cell {
            None => Cell {
                mark: ' ',
                text: "-".into(),
                age: None,
            },
            Some(Place { it, stale, age, .. }) => {
                let unsure = if *stale { "?" } else { "" };
                let text = format!(
                    "{}{unsure} {}{unsure}",
                    problems::instance_word(it),
                    problems::priority(it)
                );
                Cell {
                    mark: problems::instance_mark(it),
                    text,
                    age: (!stale).then(|| span(*age)),
                }
            }
        })
        .collect();
    Some(RouterRow {
        name: escape(&first.name.0),
        vrid: match first.family {
            lb_shared::names::Family::Inet => first.vrid.to_string(),
            lb_shared::names::Family::Inet6 => format!("{}/6", first.vrid),
        },
        interface: first.interface.as_deref().map_or("-".into(), escape),
        mark: if masters == 1 { '#' } else { '!' },
        cells,
        names: row
            .iter()
            .map(|place| place.map(|place| place.it.name.clone()))
            .collect(),
        addresses: first.addresses.len(),
        masters,
        sync: sync(row, hosts),
    })
}

/// Whoever a host hears as the master of a router is the host that says it is that.
fn peers(live: &[Seen<'_>]) -> Peers {
    let mut masters: BTreeMap<Router, Vec<&str>> = BTreeMap::new();
    for host in live {
        for it in host.view.state.instances.values() {
            if it.state == VrrpState::Master {
                masters.entry(Router::of(it)).or_default().push(host.name);
            }
        }
    }
    let mut peers = Peers::new();
    for host in live {
        for it in host.view.state.instances.values() {
            if let (Some(heard), Some([master])) =
                (&it.master, masters.get(&Router::of(it)).map(Vec::as_slice))
                && *master != host.name
            {
                peers.insert(heard.address, (*master).to_owned());
            }
        }
    }
    peers
}

/// Hosts whose clocks are too far from the first one's.
fn clocks(live: &[Seen<'_>]) -> Vec<Difference> {
    let Some(first) = live.first() else {
        return Vec::new();
    };
    live.iter()
        .filter_map(|host| {
            let off = host.view.wall_ms.abs_diff(first.view.wall_ms);
            let word = if host.view.wall_ms > first.view.wall_ms {
                "ahead of"
            } else {
                "behind"
            };
            (off > SKEW_MAX_MS).then(|| Difference {
                mark: '~',
                kind: "clock",
                name: host.name.to_owned(),
                text: format!(
                    "{} {word} {}: times in its events are off by that",
                    span(Duration::from_millis(off)),
                    first.name
                ),
            })
        })
        .collect()
}
