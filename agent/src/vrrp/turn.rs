//! Changes of role: how each begins, what it says, and how a mastership ends.

use super::datagram::Advert;
use super::effect::Effect;
use super::role::{Backup, Exit, Init, Master, Role, Unsent};
use super::router::{NEVER, Router};
use crate::model::{NotifyState, VrrpVersion};
use lb_shared::event::What;
use lb_shared::state::{MasterView, VrrpState};
use lb_shared::units::Mono;
use std::time::Duration;

impl Router {
    pub(crate) fn enter_init(&mut self, now: Mono, why: &str, out: &mut Vec<Effect>) {
        self.leave(now, false, out);
        self.turn(
            now,
            Role::Init(Init::default()),
            why.to_owned(),
            What::BecameInit,
            out,
        );
    }

    /// A backup from now on. `heard`: the master and its interval, if one was heard.
    pub(crate) fn enter_backup(
        &mut self,
        now: Mono,
        why: String,
        exit: Exit,
        heard: Option<(MasterView, Duration)>,
        out: &mut Vec<Effect>,
    ) {
        self.leave(now, exit != Exit::Quiet, out);
        let (master, interval) = heard.unzip();
        self.master = master;
        self.master_interval = match self.cfg.version {
            VrrpVersion::V2 => self.own_interval(),
            VrrpVersion::V3 => interval.unwrap_or(self.own_interval()),
        };
        let role = Role::Backup(Backup {
            silent_since: now,
            leaving: exit == Exit::Brief,
            down_at: NEVER,
            ready: false,
            preempt_at: None,
            resume_until: None,
        });
        let from = std::mem::replace(&mut self.role, role);
        self.rearm();
        self.told(now, &from, why, What::BecameBackup, out);
        self.notify(NotifyState::Backup, out);
    }

    /// A master from now on: the advert first, then the addresses (the engine sees to it), then the announcements.
    /// `resumed`: it was master all along, only this process is new.
    pub(crate) fn enter_master(&mut self, now: Mono, why: String, resumed: bool, out: &mut Vec<Effect>) {
        let garp = self.cfg.garp;
        let later = |span: Duration| (!span.is_zero()).then(|| now + span);
        self.master_interval = self.own_interval();
        self.master = None;
        let role = Role::Master(Master {
            advert_at: now + self.own_interval(),
            block: later(garp.delay)
                .filter(|_| !resumed && garp.repeat > 0)
                .map(|at| (at, garp.repeat)),
            refresh_at: later(garp.refresh),
            elsewhere_at: self.cfg.elsewhere.map(|it| now + it.every),
            rival: None,
            answered_at: None,
            farewell_answered_at: None,
            unsent: Unsent::default(),
        });
        let from = std::mem::replace(&mut self.role, role);
        self.tally.became_master += 1;
        self.send(now, out);
        self.told(now, &from, why, What::BecameMaster, out);
        if !resumed {
            self.announce(garp.repeat, out);
        }
        self.notify(NotifyState::Master, out);
    }

    /// In FAULT from now on, or still, with other reasons.
    pub(crate) fn enter_fault(&mut self, now: Mono, mate: Option<String>, out: &mut Vec<Effect>) {
        let mut faults = self.faults();
        faults.extend(mate.clone());
        if self.role == Role::Fault && self.shown_faults == faults {
            return;
        }
        let why = faults.join(", ");
        self.mate_fault = mate;
        self.shown_faults = faults;
        if self.role == Role::Fault {
            self.why.clone_from(&why);
            self.changed(What::InstanceChanged, "still in FAULT".to_owned(), Some(why), out);
            return;
        }
        self.leave(now, true, out);
        self.master = None;
        self.turn(now, Role::Fault, why, What::BecameFault, out);
        self.notify(NotifyState::Fault, out);
    }

    /// The agent ends; the farewell has been said.
    pub(crate) fn enter_stopped(&mut self, now: Mono, out: &mut Vec<Effect>) {
        self.master = None;
        self.turn(
            now,
            Role::Init(Init::default()),
            "the agent stops".to_owned(),
            What::BecameInit,
            out,
        );
    }

    fn turn(&mut self, now: Mono, role: Role, why: String, what: What, out: &mut Vec<Effect>) {
        let from = std::mem::replace(&mut self.role, role);
        self.told(now, &from, why, what, out);
    }

    fn told(&mut self, now: Mono, from: &Role, why: String, what: What, out: &mut Vec<Effect>) {
        let from = match from {
            Role::Init(_) => VrrpState::Init,
            Role::Backup(_) => VrrpState::Backup,
            Role::Master(_) => VrrpState::Master,
            Role::Fault => VrrpState::Fault,
        };
        self.since = now;
        self.shown_interval = self.master_interval;
        self.why.clone_from(&why);
        let text = format!("{} -> {}", from.word(), self.state().word());
        self.changed(what, text, Some(why), out);
    }

    /// The end of a mastership, with a farewell if the successor is to hurry.
    pub(crate) fn leave(&mut self, now: Mono, farewell: bool, out: &mut Vec<Effect>) {
        if !self.is_master() {
            return;
        }
        self.tally.released_master += 1;
        let link_there =
            self.cfg.interface.is_none() || self.ground.as_ref().is_some_and(|ground| ground.link.is_some());
        if farewell && link_there {
            self.tally.zero_sent += 1;
            self.tally.sent_at = Some(now);
            let farewells = self.wire.iter().map(|advert| Advert {
                payload: self.message(0, advert.source, advert.destination),
                ..*advert
            });
            self.put_on_wire(now, farewells.collect(), out);
        }
    }
}
