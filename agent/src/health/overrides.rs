//! Operators' overrides in force: how they begin, how far a drain is, and how they end.

use super::intent::Intent;
use super::settle::{Note, Notes};
use super::{Due, Effect, Health};
use lb_shared::event::What;
use lb_shared::names::ServerId;
use lb_shared::state::{DrainThen, OverrideKind};
use lb_shared::units::Mono;
use std::time::Duration;

impl Health {
    /// An operator's override of a server; `None` ends it. Kept for a server that is not configured (yet).
    ///
    /// The deadline of a drain does what the drain's `then` says, once, with [`What::DrainDeadline`]; that of a
    /// weight or of `disable` ends it. The same override again changes nothing but the deadline.
    pub fn on_override(
        &mut self,
        now: Mono,
        server: &ServerId,
        kind: Option<OverrideKind>,
        deadline: Option<Mono>,
        out: &mut Vec<Effect>,
    ) {
        let kind = kind.filter(|kind| !matches!(kind, OverrideKind::Pin(_)));
        match kind {
            Some(kind) => self.overrides.insert(server.clone(), (kind, deadline)),
            None => self.overrides.remove(server),
        };
        let Some(number) = self.number(server) else {
            return;
        };
        let note = self.impose(now, number);
        if let Some(note) = note {
            self.settle(now, &server.service, Notes::from([(number, note)]), out);
        }
    }

    /// Connection counts of a draining server: decides when it is drained.
    ///
    /// Drained means: no active connection, for 5 s. For UDP, whose connections are all "inactive", and for firewall
    /// marks there must be no inactive one either, nor where somebody asked for that. Persistence templates count unless the kernel expires those of
    /// servers with weight 0.
    #[expect(
        clippy::too_many_arguments,
        reason = "plain numbers, as the kernel gives them"
    )]
    pub fn on_connections(
        &mut self,
        now: Mono,
        server: &ServerId,
        active: u64,
        inactive: u64,
        persistent: u64,
        templates_expire: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(&number) = self.draining.get(server) else {
            return;
        };
        let (Some(state), Some(service)) =
            (self.servers.get_mut(&number), self.services.get(&server.service))
        else {
            return;
        };
        let Intent::Drain(drain) = &mut state.intent else {
            return;
        };
        let templates_hold = service.config.persistence.is_some() && persistent > 0 && !templates_expire;
        let quiet = active == 0 && !templates_hold && (inactive == 0 || !drain.inactive);
        let began = drain.active_at_start.is_none();
        let left = if drain.inactive {
            active.saturating_add(inactive)
        } else {
            active
        };
        drain.active_at_start.get_or_insert(left);
        let note = if drain.on_sample(now, quiet) {
            let took = humantime(now.since(drain.since));
            self.draining.remove(server);
            (
                What::DrainFinished,
                "DRAIN -> DRAINED".to_owned(),
                Some(format!("no connections left, after {took}")),
            )
        } else if began {
            (What::ServerChanged, format!("draining, {active} active"), None)
        } else {
            return;
        };
        self.settle(now, &server.service, Notes::from([(number, note)]), out);
    }

    /// Makes a server's intent what its override says; the event to announce if that changed anything.
    pub(super) fn impose(&mut self, now: Mono, number: u64) -> Option<Note> {
        let server = self.servers.get_mut(&number)?;
        let wanted = self.overrides.get(&server.id).copied();
        if let Some(at) = server.intent.deadline() {
            self.agenda.remove(&(at, Due::Intent(number)));
        }
        let note = server.on_override(now, wanted);
        if let Some(at) = server.intent.deadline() {
            self.agenda.insert((at, Due::Intent(number)));
        }
        match &server.intent {
            Intent::Drain(drain) if !drain.drained => {
                self.draining.insert(server.id.clone(), number);
            }
            Intent::Drain(_)
            | Intent::None
            | Intent::Disable { .. }
            | Intent::Weight { .. }
            | Intent::Ramp(_) => {
                self.draining.remove(&server.id);
            }
        }
        note
    }

    /// The deadline of an override has come.
    pub(super) fn end_intent(&mut self, now: Mono, number: u64, out: &mut Vec<Effect>) {
        let Some(server) = self.servers.get_mut(&number) else {
            return;
        };
        let id = server.id.clone();
        let (what, text, why) = match &mut server.intent {
            Intent::None => return,
            Intent::Drain(drain) => {
                drain.deadline_passed = true;
                let left = if drain.drained {
                    "drained"
                } else {
                    "connections are left"
                };
                match drain.then {
                    DrainThen::Keep if drain.drained => return,
                    DrainThen::Keep => (What::DrainDeadline, "weight stays 0", left),
                    DrainThen::Undrain => {
                        self.overrides.remove(&id);
                        (What::DrainDeadline, "back into rotation", left)
                    }
                    DrainThen::Disable => {
                        self.overrides.insert(id.clone(), (OverrideKind::Disable, None));
                        (
                            What::DrainDeadline,
                            "disabled: remaining connections are cut",
                            left,
                        )
                    }
                }
            }
            Intent::Ramp(ramp) if !ramp.is_over(now) => {
                *ramp = ramp.at(now);
                let (weight, _) = server.weight();
                if let Some(at) = server.intent.deadline() {
                    self.agenda.insert((at, Due::Intent(number)));
                }
                let note = (What::WeightChanged, format!("weight raised to {weight}"), None);
                return self.settle(now, &id.service, Notes::from([(number, note)]), out);
            }
            Intent::Ramp(_) => {
                self.overrides.remove(&id);
                (What::WeightChanged, "the whole weight", "its ramp is over")
            }
            Intent::Disable { .. } | Intent::Weight { .. } => {
                self.overrides.remove(&id);
                (
                    What::ServerChanged,
                    "the operator's change ended",
                    "its time is over",
                )
            }
        };
        let keep = matches!(&server.intent, Intent::Drain(drain) if drain.then == DrainThen::Keep);
        if !keep {
            self.impose(now, number);
        }
        let note = (what, text.to_owned(), Some(why.to_owned()));
        self.settle(now, &id.service, Notes::from([(number, note)]), out);
    }
}

/// `5m 26s`, without fractions of a second.
fn humantime(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
