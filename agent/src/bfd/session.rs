//! One session: its handshake and its timers (RFC 5880 §6.8).

use super::{Effect, Random};
use crate::model::BfdSession;
use crate::wire::bfd::{Diagnostic, Packet, State};
use lb_shared::units::Mono;
use std::sync::Arc;
use std::time::Duration;

/// While a session is not up, nobody sends faster than this (RFC 5880 §6.8.3).
const SLOW: Duration = Duration::from_secs(1);
/// Idle intervals before a session that has not come up yet counts as down: a handshake takes two.
const PATIENCE: u32 = 3;

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) cfg: Arc<BfdSession>,
    /// Our discriminator.
    pub(super) number: u32,
    /// The deadline under which it stands in the agenda.
    pub(super) scheduled: Option<Mono>,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// `None` while it is too early to call it down.
    verdict: Option<bool>,
    /// Then it is no longer too early.
    judged_at: Option<Mono>,
    /// The next periodic packet; `None` while there is to be none.
    send_at: Option<Mono>,
    /// When nothing will have been heard for the detection time.
    silent_at: Option<Mono>,
    /// A poll is under way: the neighbour has not yet confirmed our intervals.
    polling: bool,
    /// Intervals in force until it has: a longer one to send at, a shorter one to hear at.
    held_tx: Option<Duration>,
    held_rx: Option<Duration>,
    /// Why the last packet of the neighbour was not taken.
    refused: Option<String>,
    /// Why our last packet did not leave.
    unsent: Option<String>,
}

/// What the neighbour said last.
#[derive(Clone, Copy, Debug)]
struct Remote {
    /// Zero while it is not known.
    number: u32,
    state: State,
    demand: bool,
    multiplier: u8,
    desired_min_tx: Duration,
    required_min_rx: Duration,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            number: 0,
            state: State::Down,
            demand: false,
            multiplier: 0,
            desired_min_tx: Duration::ZERO,
            // RFC 5880 §6.8.1 begins with a microsecond: anything will do.
            required_min_rx: Duration::from_micros(1),
        }
    }
}

impl Session {
    pub(super) fn new(now: Mono, number: u32, cfg: Arc<BfdSession>, out: &mut Vec<Effect>) -> Self {
        let session = Self {
            number,
            scheduled: None,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::default(),
            verdict: None,
            judged_at: Some(now + cfg.idle_tx.max(SLOW) * PATIENCE),
            send_at: (!cfg.passive).then_some(now),
            silent_at: None,
            polling: false,
            held_tx: None,
            held_rx: None,
            refused: None,
            unsent: None,
            cfg,
        };
        session.show(None, out);
        session
    }

    /// Other timers on the same path.
    pub(super) fn reconfigure(
        &mut self,
        now: Mono,
        cfg: &Arc<BfdSession>,
        random: &mut Random,
        out: &mut Vec<Effect>,
    ) {
        if self.cfg == *cfg {
            return;
        }
        let (tx, rx) = (self.desired_tx(), self.cfg.min_rx);
        self.cfg = cfg.clone();
        if self.desired_tx() != tx || cfg.min_rx != rx {
            self.polling = true;
            // RFC 5880 §6.8.3: not slower, and not less patient, before the neighbour knows.
            if self.state == State::Up {
                self.held_tx = (self.desired_tx() > tx).then_some(self.held_tx.unwrap_or(tx));
                self.held_rx = (cfg.min_rx < rx).then_some(self.held_rx.unwrap_or(rx));
            }
        }
        self.send_sooner(now, random);
        self.show(None, out);
    }

    /// A valid packet of the neighbour (RFC 5880 §6.8.6).
    pub(super) fn on_packet(
        &mut self,
        now: Mono,
        packet: &Packet,
        random: &mut Random,
        out: &mut Vec<Effect>,
    ) {
        let before = (self.state, self.detail());
        self.remote = Remote {
            number: packet.mine,
            state: packet.state,
            demand: packet.demand,
            multiplier: packet.multiplier,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
        };
        self.refused = None;
        self.unsent = None;
        if packet.fin && self.polling {
            self.polling = false;
            self.held_tx = None;
            self.held_rx = None;
        }
        let mut why = None;
        match (self.state, packet.state) {
            // The path may well be good: whoever follows the session keeps the last verdict, as RFC 5882 §3.2 wants it
            // and keepalived does it.
            (State::Init | State::Up, State::AdminDown) => {
                let verdict = self.verdict;
                self.go_down(Diagnostic::NEIGHBOR_DOWN);
                self.verdict = verdict;
            }
            (State::Up, State::Down) => {
                why = Some("the neighbor says it is down");
                self.go_down(Diagnostic::NEIGHBOR_DOWN);
            }
            (State::Down, State::Down) => self.state = State::Init,
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => self.come_up(),
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up)
            | (State::AdminDown, _) => {}
        }
        self.silent_at = Some(now + self.detection_time());
        if packet.poll {
            out.push(self.packet(true));
        }
        if self.state != before.0 {
            // The neighbour hears of it now, not at the next turn.
            self.send(now, random, out);
        } else {
            self.send_sooner(now, random);
        }
        if self.state != before.0 || self.detail() != before.1 {
            self.show(why, out);
        }
    }

    /// A packet that says it is the neighbour's was not taken.
    pub(super) fn on_refused(&mut self, why: String, out: &mut Vec<Effect>) {
        // While it is up, others may well knock; what they say is of no interest.
        if self.state != State::Up && self.refused.as_ref() != Some(&why) {
            self.refused = Some(why);
            self.show(None, out);
        }
    }

    pub(super) fn on_send_failed(&mut self, why: &str, out: &mut Vec<Effect>) {
        if self.unsent.as_deref() != Some(why) {
            self.unsent = Some(why.to_owned());
            self.show(None, out);
        }
    }

    pub(super) fn on_tick(&mut self, now: Mono, random: &mut Random, out: &mut Vec<Effect>) {
        if self.silent_at.is_some_and(|at| at <= now) {
            let silence = self.detection_time();
            let was = self.state;
            self.silent_at = None;
            self.remote = Remote::default();
            if was == State::AdminDown || was == State::Down {
                self.show(None, out);
            } else {
                self.go_down(Diagnostic::TIME_EXPIRED);
                self.send(now, random, out);
                self.show(
                    Some(&format!("nothing heard for {} ms", silence.as_millis())),
                    out,
                );
            }
        }
        if self.judged_at.is_some_and(|at| at <= now) {
            self.judged_at = None;
            if self.verdict.is_none() {
                self.verdict = Some(false);
                self.show(Some("it has not come up"), out);
            }
        }
        if self.send_at.is_some_and(|at| at <= now) {
            self.send(now, random, out);
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        let due = [self.send_at, self.silent_at, self.judged_at];
        due.into_iter().flatten().min()
    }

    fn come_up(&mut self) {
        self.state = State::Up;
        self.diagnostic = Diagnostic::NONE;
        self.verdict = Some(true);
        self.judged_at = None;
        // The interval to send at is another one now (RFC 5880 §6.8.3).
        self.polling = true;
    }

    fn go_down(&mut self, diagnostic: Diagnostic) {
        self.state = State::Down;
        self.diagnostic = diagnostic;
        self.polling = false;
        self.held_tx = None;
        self.held_rx = None;
        if self.verdict == Some(true) {
            self.verdict = Some(false);
        }
    }

    /// The interval we should like to send at, as told to the neighbour.
    fn desired_tx(&self) -> Duration {
        match self.state {
            State::Up => self.cfg.min_tx,
            State::AdminDown | State::Down | State::Init => self.cfg.idle_tx.max(SLOW),
        }
    }

    /// The interval we send at: no faster than the neighbour can take.
    fn interval(&self) -> Duration {
        self.held_tx
            .unwrap_or_else(|| self.desired_tx())
            .max(self.remote.required_min_rx)
    }

    /// How long the neighbour may be silent (RFC 5880 §6.8.4).
    fn detection_time(&self) -> Duration {
        let rx = self.held_rx.unwrap_or(self.cfg.min_rx);
        rx.max(self.remote.desired_min_tx) * u32::from(self.remote.multiplier)
    }

    /// Whether packets are sent without being asked for (RFC 5880 §6.8.7).
    fn speaks(&self) -> bool {
        let both_up = self.state == State::Up && self.remote.state == State::Up;
        let waits_to_be_spoken_to = self.cfg.passive && self.remote.number == 0;
        let asked_to_be_quiet =
            self.remote.required_min_rx.is_zero() || self.remote.demand && both_up && !self.polling;
        !waits_to_be_spoken_to && !asked_to_be_quiet
    }

    fn send(&mut self, now: Mono, random: &mut Random, out: &mut Vec<Effect>) {
        self.send_at = None;
        if self.speaks() {
            out.push(self.packet(false));
            self.send_at = Some(now + random.jittered(self.interval(), self.cfg.multiplier));
        }
    }

    /// What was heard may have shortened the interval, or ended a silence.
    fn send_sooner(&mut self, now: Mono, random: &mut Random) {
        if !self.speaks() {
            self.send_at = None;
            return;
        }
        let interval = self.interval();
        if self.send_at.is_none_or(|at| at > now + interval) {
            self.send_at = Some(now + random.jittered(interval, self.cfg.multiplier));
        }
    }

    /// `fin`: the answer to a poll, which is not a poll itself.
    fn packet(&self, fin: bool) -> Effect {
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.polling && !fin,
            fin,
            demand: false,
            multiplier: self.cfg.multiplier,
            mine: self.number,
            yours: self.remote.number,
            desired_min_tx: self.desired_tx(),
            required_min_rx: self.cfg.min_rx,
        };
        Effect::Send {
            session: self.cfg.name.clone(),
            packet: packet.encode(),
        }
    }

    fn show(&self, why: Option<&str>, out: &mut Vec<Effect>) {
        out.push(Effect::Shows {
            session: self.cfg.name.clone(),
            up: self.verdict,
            detail: self.detail(),
            why: why.map(ToOwned::to_owned),
        });
    }

    /// Its state and what keeps it there.
    fn detail(&self) -> String {
        let neighbor = self.cfg.path.neighbor;
        let mut text = match self.state {
            State::Up => format!(
                "up with {neighbor}, silent for {} ms is down",
                self.detection_time().as_millis()
            ),
            State::Init => format!("{neighbor} is heard, it does not hear this node yet"),
            State::Down | State::AdminDown if self.verdict == Some(true) => {
                format!("{neighbor} was taken down by its operator: the path is not watched")
            }
            State::Down | State::AdminDown if self.remote.number != 0 => {
                format!("{neighbor} is {}", self.remote.state)
            }
            State::Down | State::AdminDown => format!("nothing heard from {neighbor}"),
        };
        if let Some(refused) = &self.refused {
            text = format!("a packet of {neighbor} is not taken: {refused}");
        }
        if let Some(unsent) = &self.unsent {
            text = format!("{text}; nothing can be sent: {unsent}");
        }
        text
    }
}
