//! BFD: whether a path to a neighbour carries packets, found out in fractions of a second (RFC 5880, 5881, 5883).
//!
//! Knows sessions, their handshake and their timers; asynchronous mode without echo and authentication, as keepalived.
//! Does not know sockets (packets come and go as bytes) nor who follows a session: each change is an [`Effect`].

mod session;
#[cfg(test)]
mod tests;

use crate::model::BfdSession;
use crate::wire::bfd::{LENGTH, Packet};
use lb_shared::units::Mono;
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A datagram that came to one of BFD's ports.
#[derive(Clone, Debug)]
pub struct Heard {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit; `None` when the kernel did not tell.
    pub ttl: Option<u8>,
    /// Which port: that for several hops.
    pub multihop: bool,
    pub payload: Vec<u8>,
}

/// One thing that follows from an input.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Send this to the session's neighbour.
    Send { session: String, packet: [u8; LENGTH] },
    /// What is to be seen of it.
    Shows {
        session: String,
        /// `None` while it is too early to say.
        up: Option<bool>,
        detail: String,
        /// What it turned by.
        why: Option<String>,
    },
    /// It is configured no more.
    Removed { session: String },
}

/// All sessions.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// By the number we gave it: what the neighbour has to say back.
    sessions: BTreeMap<u32, Session>,
    agenda: BTreeSet<(Mono, u32)>,
    random: Random,
    /// Nothing is sent or timed any more.
    resting: bool,
}

impl Sessions {
    /// None yet. The seed decides numbers and jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            sessions: BTreeMap::new(),
            agenda: BTreeSet::new(),
            random: Random(seed ^ 0x6266_6400),
            resting: false,
        }
    }

    /// Ends the sessions that a new configuration does not have, or has on another path. Comes before
    /// [`Sessions::apply`].
    pub fn leave(&mut self, wanted: &BTreeMap<String, Arc<BfdSession>>, out: &mut Vec<Effect>) {
        let stays = |it: &Session| {
            wanted
                .get(&it.cfg.name)
                .is_some_and(|new| new.path == it.cfg.path)
        };
        let leaving = self.sessions.values().filter(|it| !stays(it));
        for number in leaving.map(|it| it.number).collect::<Vec<_>>() {
            let Some(session) = self.sessions.remove(&number) else {
                continue;
            };
            if let Some(at) = session.scheduled {
                self.agenda.remove(&(at, number));
            }
            if !wanted.contains_key(&session.cfg.name) {
                out.push(Effect::Removed {
                    session: session.cfg.name.clone(),
                });
            }
        }
    }

    /// Puts sessions in force, at start and at a reload. One on the same path stays up; other timers are agreed upon
    /// with the neighbour (RFC 5880 §6.8.3).
    pub fn apply(&mut self, now: Mono, wanted: &BTreeMap<String, Arc<BfdSession>>, out: &mut Vec<Effect>) {
        let mut numbers: BTreeMap<String, u32> = (self.sessions.iter())
            .map(|(number, it)| (it.cfg.name.clone(), *number))
            .collect();
        for (name, cfg) in wanted {
            let number = match numbers.remove(name) {
                Some(number) => number,
                None => {
                    let number = self.number();
                    let session = Session::new(now, number, cfg.clone(), out);
                    self.sessions.insert(number, session);
                    number
                }
            };
            if let Some(session) = self.sessions.get_mut(&number) {
                session.reconfigure(now, cfg, &mut self.random, out);
            }
            self.schedule(number);
        }
        self.on_tick(now, out);
    }

    /// A datagram came. What belongs to no session is ignored.
    pub fn on_heard(&mut self, now: Mono, heard: &Heard, out: &mut Vec<Effect>) {
        if self.resting {
            return;
        }
        let packet = Packet::decode(&heard.payload);
        let asked = packet
            .as_ref()
            .ok()
            .map(|it| it.yours)
            .filter(|yours| *yours != 0);
        let fits = |session: &Session| {
            let path = &session.cfg.path;
            path.neighbor == heard.source
                && path.multihop == heard.multihop
                && path.source.is_none_or(|source| source == heard.destination)
        };
        let number = match asked {
            Some(yours) if self.sessions.get(&yours).is_some_and(fits) => Some(yours),
            // It still speaks to an earlier run of ours: what is wrong with that is said at the right session.
            _ => self.sessions.values().find(|it| fits(it)).map(|it| it.number),
        };
        let Some(session) = number.and_then(|number| self.sessions.get_mut(&number)) else {
            return;
        };
        let judged = packet.map_err(|e| e.to_string()).and_then(|packet| {
            let least = session.cfg.ttl_min;
            match heard.ttl {
                Some(ttl) if ttl >= least => {}
                Some(ttl) => return Err(format!("its TTL is {ttl}, must be at least {least}")),
                None if least == 0 => {}
                None => return Err("its TTL is not known".to_owned()),
            }
            if asked.is_some_and(|yours| yours != session.number) {
                return Err("it is for an earlier session".to_owned());
            }
            Ok(packet)
        });
        let number = session.number;
        match judged {
            Ok(packet) => session.on_packet(now, &packet, &mut self.random, out),
            Err(why) => session.on_refused(why, out),
        }
        self.schedule(number);
    }

    /// The kernel did not take a packet of a session: why.
    pub fn on_send_failed(&mut self, name: &str, why: &str, out: &mut Vec<Effect>) {
        if let Some(session) = self.sessions.values_mut().find(|it| it.cfg.name == name) {
            session.on_send_failed(why, out);
        }
    }

    /// Sends what is due and ends what was silent for too long.
    pub fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) {
        while let Some(&(at, number)) = self.agenda.first()
            && at <= now
        {
            if let Some(session) = self.sessions.get_mut(&number) {
                session.on_tick(now, &mut self.random, out);
            }
            self.schedule(number);
        }
    }

    /// When something is due next.
    pub fn deadline(&self) -> Option<Mono> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Everything stays as it is, for a copy that nobody answers; and the end, as keepalived ends: neighbours hear nothing
    /// more, so that those who follow the session there act. On `AdminDown` they would not.
    pub fn rest(&mut self) {
        self.resting = true;
        self.agenda.clear();
    }

    fn schedule(&mut self, number: u32) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let deadline = if self.resting { None } else { session.deadline() };
        if session.scheduled == deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut session.scheduled, deadline) {
            self.agenda.remove(&(old, number));
        }
        if let Some(new) = deadline {
            self.agenda.insert((new, number));
        }
    }

    /// A number that no session has. Hard to guess, as far as the seed is.
    fn number(&mut self) -> u32 {
        loop {
            let number = (self.random.next() >> 32) as u32;
            if number != 0 && !self.sessions.contains_key(&number) {
                return number;
            }
        }
    }
}

/// A SplitMix64 sequence: reproducible from its seed.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    /// What RFC 5880 §6.8.7 makes of an interval: a quarter less at most, and never all of it where one lost packet
    /// decides.
    fn jittered(&mut self, interval: Duration, multiplier: u8) -> Duration {
        let least = interval * 3 / 4;
        let most = if multiplier == 1 {
            interval * 9 / 10
        } else {
            interval
        };
        let room = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
        let part = (u128::from(self.next()) * u128::from(room)) >> 64;
        least + Duration::from_micros(u64::try_from(part).unwrap_or(0))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
