//! One service: quorum, hysteresis, sorry server.

use super::effect::{Effect, Standing};
use super::server::{ServerState, run};
use crate::model::Service;
use lb_shared::counters::CheckTally;
use lb_shared::event::What;
use lb_shared::names::{Protocol, ServerKey, ServiceKey, VirtualKey};
use lb_shared::state::{Health, ServiceState as Word};
use lb_shared::units::{Mono, Weight};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A sorry server's weight (as in keepalived).
const SORRY_WEIGHT: i64 = 1;

/// A service and the numbers of its servers.
#[derive(Clone, Debug)]
pub(super) struct ServiceState {
    pub(super) config: Arc<Service>,
    pub(super) servers: BTreeMap<ServerKey, u64>,
    /// At first down, so that the first servers gain it and `quorum_up` runs (as keepalived).
    pub(super) quorum_up: bool,
    pub(super) live_weight: u64,
    pub(super) word: Word,
    pub(super) since: Mono,
    pub(super) suspended: bool,
    /// How its checks ended, by keyword.
    pub(super) checks: BTreeMap<&'static str, CheckTally>,
}

/// What a new live weight changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Weighed {
    pub(super) live_before: u64,
    pub(super) flip: Option<Flip>,
}

/// A change of quorum, with the words of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flip {
    pub(super) up: bool,
    pub(super) text: String,
}

impl ServiceState {
    pub(super) fn new(now: Mono, config: Arc<Service>) -> Self {
        Self {
            config,
            servers: BTreeMap::new(),
            quorum_up: false,
            live_weight: 0,
            word: Word::Init,
            since: now,
            suspended: false,
            checks: BTreeMap::new(),
        }
    }

    /// Whether the sorry server answers in place of the others.
    pub(super) fn sorry_serves(&self) -> bool {
        !self.quorum_up && self.config.sorry.is_some()
    }

    /// Takes the live weight as it is now.
    pub(super) fn weigh(&mut self, live: u64) -> Weighed {
        let live_before = std::mem::replace(&mut self.live_weight, live);
        Weighed {
            live_before,
            flip: self.flip(live),
        }
    }

    /// A change of quorum, if this live weight makes one.
    fn flip(&mut self, live: u64) -> Option<Flip> {
        let (quorum, hysteresis) = (self.config.quorum, self.config.hysteresis);
        let gain_at = quorum.saturating_add(hysteresis);
        let lose_below = quorum.saturating_sub(hysteresis);
        let up = if self.quorum_up {
            live > 0 && live >= lose_below
        } else {
            live >= gain_at
        };
        if up == self.quorum_up {
            return None;
        }
        self.quorum_up = up;
        let text = if up {
            format!("Gained quorum {quorum}+{hysteresis}={gain_at} <= {live}")
        } else {
            format!("Lost quorum {quorum}-{hysteresis}={lose_below} > {live}")
        };
        Some(Flip { up, text })
    }

    /// Its one word for tables.
    pub(super) fn word(&self, servers: &BTreeMap<u64, Box<ServerState>>) -> Word {
        let unknown = !self.servers.is_empty()
            && self
                .servers
                .values()
                .filter_map(|number| servers.get(number))
                .all(|server| server.health() == Health::Init);
        match (unknown, self.quorum_up, self.config.sorry.is_some()) {
            (true, ..) => Word::Init,
            (false, true, _) => Word::Up,
            (false, false, true) => Word::Sorry,
            (false, false, false) => Word::Down,
        }
    }

    pub(super) fn standing(&self, servers: &BTreeMap<u64, Box<ServerState>>) -> Standing {
        let sorry_serves = self.sorry_serves();
        let mut table = BTreeMap::new();
        if let Some(sorry) = self.config.sorry.as_ref().filter(|sorry| sorry.inhibit) {
            table.insert(sorry.key, (sorry.forwarding, Weight::ZERO, 0, 0));
        }
        for (key, number) in &self.servers {
            if let Some(server) = servers.get(number)
                && let Some((weight, _)) = server.placed(sorry_serves)
            {
                let config = &server.config;
                table.insert(
                    *key,
                    (
                        config.forwarding,
                        weight,
                        config.upper_threshold,
                        config.lower_threshold,
                    ),
                );
            }
        }
        if let Some(sorry) = self.config.sorry.as_ref().filter(|_| sorry_serves) {
            // It may be one of the servers as well.
            table.insert(sorry.key, (sorry.forwarding, Weight::clamped(SORRY_WEIGHT), 0, 0));
        }
        Standing {
            any_draining_or_zero: table.values().any(|(_, weight, ..)| *weight == Weight::ZERO),
            servers: table,
            quorum_up: self.quorum_up,
            live_weight: self.live_weight,
        }
    }

    /// Runs `quorum_up` or `quorum_down`.
    pub(super) fn notify(&self, up: bool, out: &mut Vec<Effect>) {
        let scripts = &self.config.quorum_scripts;
        let script = if up { &scripts.up } else { &scripts.down };
        if let Some(script) = script {
            out.push(run(script, self.config.key.to_string()));
        }
    }

    /// The scripts of `omega`: each server that is up goes down, and with them the quorum.
    pub(super) fn farewell(&self, servers: &BTreeMap<u64, Box<ServerState>>, out: &mut Vec<Effect>) {
        let servers = self.servers.values().filter_map(|number| servers.get(number));
        for server in servers.filter(|server| server.up) {
            server.notify(false, out);
        }
        if self.quorum_up {
            self.notify(false, out);
        }
    }
}

/// Whether the kernel counts all connections as inactive.
pub(super) fn only_inactive(key: &ServiceKey) -> bool {
    match key {
        ServiceKey::Group { protocol, .. } | ServiceKey::Single(VirtualKey::Address { protocol, .. }) => {
            *protocol == Protocol::Udp
        }
        ServiceKey::Single(VirtualKey::Fwmark { .. }) => true,
    }
}

impl Flip {
    pub(super) fn what(&self) -> What {
        if self.up {
            What::QuorumGained
        } else {
            What::QuorumLost
        }
    }
}
