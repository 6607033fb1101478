//! One virtual router: its role, its timers, and what it puts on the wire.
//!
//! It never changes its role by itself: [`Router::on_advert`] and [`Router::on_tick`] return a [`Step`], and whoever
//! holds the routers takes it, for the whole sync group if there is one.

use super::accept::Seconds;
use super::datagram::Advert;
use super::effect::{Effect, Ground, Terms};
use super::election::{down_interval, skew};
use super::limit::Limiter;
use super::packet::{ChecksumForm, address_bytes};
use super::role::{Init, Role, Standing, Step, Tally};
use super::seal::Seal;
use super::sign::Signer;
use crate::model::{Instance, NotifyState, NotifyWho, room};
use lb_shared::event::What;
use lb_shared::names::{GroupName, InstanceName};
use lb_shared::state::{MasterView, Pin, RefusedView, VrrpState};
use lb_shared::units::{Mono, Priority};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One virtual router.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    pub(crate) cfg: Arc<Instance>,
    /// Its sync group: place and name.
    pub(crate) group: Option<(usize, GroupName)>,
    pub(crate) role: Role,
    pub(crate) since: Mono,
    pub(crate) why: String,
    pub(crate) ground: Option<Ground>,
    pub(crate) terms: Terms,
    pub(crate) pin: Option<Pin>,
    /// The end of the start-up delay.
    pub(crate) start_at: Mono,
    /// What is, or would be, advertised.
    pub(crate) effective: u8,
    /// The interval of the master; our own while nobody was heard.
    pub(crate) master_interval: Duration,
    /// The same, as clients know it.
    pub(crate) shown_interval: Duration,
    /// The master as clients know it.
    pub(crate) master: Option<MasterView>,
    /// Somebody whose adverts do not count, as clients know it.
    pub(crate) refused: Option<RefusedView>,
    /// A member of the group that is in FAULT and takes this one along.
    pub(crate) mate_fault: Option<String>,
    /// Why it is in FAULT, as clients know it.
    pub(crate) shown_faults: Vec<String>,
    /// Adverts did not get out for so long that the addresses were given up, until then.
    pub(crate) mute_until: Option<Mono>,
    pub(crate) tally: Tally,
    pub(crate) limiter: Limiter,
    /// The addresses as they stand in a message: those there is room for.
    pub(crate) address_bytes: Vec<u8>,
    /// Addresses there is no room for.
    pub(crate) left_out: usize,
    /// Of its link, or the last one it had.
    pub(crate) mtu: u32,
    /// The adverts of the present configuration, priority and ground: one per destination.
    pub(crate) wire: Vec<Advert>,
    /// Numbers of sealed adverts.
    pub(crate) seal: Seal,
    /// Numbers of signed adverts.
    pub(crate) signer: Signer,
    /// The checksum form of senders that do not use the default one.
    pub(crate) forms: BTreeMap<IpAddr, ChecksumForm>,
    /// Where the agenda has it.
    pub(crate) scheduled: Option<Mono>,
}

impl Router {
    pub(crate) fn new(cfg: Arc<Instance>, start_at: Mono, now: Mono) -> Self {
        let mut router = Self {
            group: None,
            role: Role::Init(Init::default()),
            since: now,
            why: "starting".to_owned(),
            ground: None,
            terms: Terms::default(),
            pin: None,
            start_at,
            effective: cfg.priority.get(),
            master_interval: cfg.advert_interval,
            shown_interval: cfg.advert_interval,
            master: None,
            refused: None,
            mate_fault: None,
            shown_faults: Vec::new(),
            mute_until: None,
            tally: Tally::default(),
            limiter: Limiter::default(),
            address_bytes: address_bytes(cfg.addresses.iter().map(|virt| virt.address)),
            left_out: 0,
            mtu: room::MTU,
            wire: Vec::new(),
            seal: Seal::default(),
            signer: Signer::default(),
            forms: BTreeMap::new(),
            scheduled: None,
            cfg,
        };
        router.rewire();
        router
    }

    pub(crate) fn name(&self) -> &InstanceName {
        &self.cfg.name
    }

    pub(crate) fn state(&self) -> VrrpState {
        match self.role {
            Role::Init(_) => VrrpState::Init,
            Role::Backup(_) => VrrpState::Backup,
            Role::Master(_) => VrrpState::Master,
            Role::Fault => VrrpState::Fault,
        }
    }

    pub(crate) fn is_master(&self) -> bool {
        matches!(self.role, Role::Master(_))
    }

    /// When it next has to act; `None` while it only waits for news.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let at = match &self.role {
            Role::Init(_) => (self.start_at > Mono::ZERO && self.ground.is_some()).then_some(self.start_at),
            Role::Backup(backup) => Some(backup.down_at),
            Role::Master(master) => [
                Some(master.advert_at),
                master.block.map(|(at, _)| at),
                master.refresh_at,
                master.elsewhere_at,
                master.rival.as_ref().map(|rival| rival.gone_at),
            ]
            .into_iter()
            .flatten()
            .min(),
            Role::Fault => self.mute_until,
        };
        at.filter(|at| *at != NEVER)
    }

    pub(crate) fn standing(&self, now: Mono) -> Standing {
        if !self.faults().is_empty() {
            return Standing::Fault;
        }
        if self.ground.is_none() || self.terms.waiting || now < self.start_at {
            return Standing::Waiting;
        }
        Standing::Ready
    }

    /// Why it cannot take part, apart from its group.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(ground) = &self.ground {
            faults.extend(ground.faults.iter().cloned());
            if faults.is_empty() {
                match &self.cfg.interface {
                    Some(interface) if ground.link.is_none() => {
                        faults.push(format!("interface {interface} does not exist"));
                    }
                    Some(_) | None if ground.source.is_none() => {
                        faults.push("no source address for adverts".to_owned());
                    }
                    Some(_) | None => {}
                }
            }
        }
        faults.extend(self.terms.faults.iter().cloned());
        if self.mute_until.is_some() {
            faults.push("adverts cannot be sent".to_owned());
        }
        faults
    }

    /// Whether it takes its addresses the moment it can: an owner that is configured as one.
    pub(crate) fn takes_at_once(&self) -> bool {
        self.owns_at_once() || self.pin == Some(Pin::Promoted)
    }

    /// The owner of the addresses waits for nobody.
    pub(crate) fn owns_at_once(&self) -> bool {
        self.effective == Priority::OWNER.get() && self.cfg.initial_master
    }

    /// Whether lower masters are displaced. An owner and a promoted router always do (RFC 9568 §6.1).
    pub(crate) fn preempts(&self) -> bool {
        self.cfg.preempt || self.effective == Priority::OWNER.get() || self.pin == Some(Pin::Promoted)
    }

    fn computed_priority(&self) -> u8 {
        let base = self.cfg.priority;
        match self.pin {
            Some(Pin::Demoted | Pin::DemotedHard) => Priority::LOWEST.get(),
            Some(Pin::Promoted) if !base.is_owner() => Priority::HIGHEST.get(),
            Some(Pin::Promoted) | None if base.is_owner() => base.get(),
            Some(Pin::Promoted) | None => {
                let sum: i64 = self.terms.terms.iter().map(|term| i64::from(term.delta)).sum();
                Priority::clamped(i64::from(base.get()) + sum).get()
            }
        }
    }

    /// Takes over what configuration, trackers and operator say the priority is. True if it changed.
    pub(crate) fn reprioritise(&mut self, why: Option<String>, out: &mut Vec<Effect>) -> bool {
        let (old, new) = (self.effective, self.computed_priority());
        if old == new {
            return false;
        }
        self.effective = new;
        self.rewire();
        self.rearm();
        let state = match self.role {
            Role::Init(_) | Role::Fault => return true,
            Role::Backup(_) => NotifyState::Backup,
            Role::Master(_) => NotifyState::Master,
        };
        self.changed(
            What::PriorityChanged,
            format!("effective priority {old} -> {new}"),
            why,
            out,
        );
        if self.cfg.notify_priority_changes {
            out.push(Effect::PriorityNotify {
                instance: self.name().clone(),
                state,
                priority: new,
            });
        }
        true
    }

    /// How long this router waits in silence.
    pub(crate) fn down_interval(&self) -> Duration {
        down_interval(
            self.cfg.version,
            self.effective,
            self.master_interval,
            self.cfg.down_timer_adverts,
        )
    }

    /// Computes the end of the silence anew, from where it began.
    pub(crate) fn rearm(&mut self) {
        let wait = self.down_interval();
        let short = skew(self.cfg.version, self.effective, self.master_interval);
        let never = self.pin == Some(Pin::DemotedHard);
        if let Role::Backup(backup) = &mut self.role {
            backup.down_at = match (never, backup.leaving) {
                (true, _) => NEVER,
                (false, true) => backup.silent_since + short,
                (false, false) => backup.silent_since + wait,
            };
        }
    }

    /// Does what is due. Each thing happens once, however late it is.
    pub(crate) fn on_tick(&mut self, now: Mono, out: &mut Vec<Effect>) -> Step {
        let down = self.down_interval();
        match &mut self.role {
            Role::Init(_) => {
                if now < self.start_at {
                    return Step::Stay;
                }
                self.start_at = Mono::ZERO;
                Step::Settle
            }
            Role::Backup(backup) if now < backup.down_at => Step::Stay,
            Role::Backup(backup) => {
                let silence = now.since(backup.silent_since);
                let why = if backup.leaving {
                    "the master left".to_owned()
                } else if self.takes_at_once() {
                    "it owns the addresses".to_owned()
                } else {
                    match &self.master {
                        Some(master) if master.priority < self.effective && self.preempts() => format!(
                            "{} advertises the lower priority {}",
                            master.address, master.priority
                        ),
                        Some(_) | None => format!("no advert heard for {}", Seconds(silence)),
                    }
                };
                if let Role::Backup(backup) = &mut self.role {
                    // In case the group is not ready; its last member takes everybody along.
                    backup.ready = true;
                    backup.leaving = false;
                    backup.silent_since = now;
                    backup.down_at = now + down;
                }
                Step::TakeOver { why }
            }
            Role::Master(_) => self.on_master_tick(now, out),
            Role::Fault => {
                if self.mute_until.is_none_or(|until| now < until) {
                    return Step::Stay;
                }
                self.mute_until = None;
                Step::Settle
            }
        }
    }

    /// Why it is no longer the master although nobody said so: `timer_expired_backup`. One that preempts would only come
    /// back, and hears of the other soon enough.
    fn too_late(&self, now: Mono) -> Option<String> {
        let priority = self.cfg.late_backup.filter(|_| !self.preempts())?;
        let cfg = &self.cfg;
        let patience = down_interval(cfg.version, priority, self.own_interval(), cfg.down_timer_adverts);
        let silence = now.since(self.tally.sent_at?);
        (silence >= patience).then(|| {
            format!(
                "its last advert was {} ago: a node of priority {priority} has taken over (timer_expired_backup)",
                Seconds(silence)
            )
        })
    }

    fn on_master_tick(&mut self, now: Mono, out: &mut Vec<Effect>) -> Step {
        let interval = self.own_interval();
        if let Some(why) = self.too_late(now) {
            return Step::Resign { why };
        }
        let garp = self.cfg.garp;
        let Role::Master(master) = &mut self.role else {
            return Step::Stay;
        };
        let advert = now >= master.advert_at;
        let mut rounds = 0;
        if let Some((_, block)) = master.block.filter(|(at, _)| now >= *at) {
            master.block = None;
            rounds = block;
        }
        if master.refresh_at.is_some_and(|at| now >= at) {
            master.refresh_at = Some(now + garp.refresh);
            rounds = rounds.max(garp.refresh_repeat);
        }
        let elsewhere = self.cfg.elsewhere;
        let elsewhere = elsewhere.filter(|_| master.elsewhere_at.is_some_and(|at| now >= at));
        if let Some(it) = elsewhere {
            master.elsewhere_at = Some(now + it.every);
        }
        let gone = match &master.rival {
            Some(rival) if now >= rival.gone_at => master.rival.take().filter(|rival| rival.flagged),
            Some(_) | None => None,
        };
        if advert {
            // From the plan, not from now, so that lateness does not add up; unless a whole one was missed.
            let next = master.advert_at + interval;
            master.advert_at = if next > now { next } else { now + interval };
            self.send(now, out);
        }
        self.announce(rounds, out);
        // What was announced just now need not be again.
        if let Some(it) = elsewhere.filter(|_| rounds == 0) {
            out.push(Effect::AnnounceElsewhere {
                instance: self.name().clone(),
                all: it.all,
            });
        }
        if let Some(rival) = gone {
            self.master = None;
            let text = format!("{} is no longer heard as a second master", rival.master.address);
            self.changed(What::SecondMasterGone, text, None, out);
        }
        Step::Stay
    }

    pub(crate) fn changed(&self, what: What, text: String, why: Option<String>, out: &mut Vec<Effect>) {
        out.push(Effect::Changed {
            instance: self.name().clone(),
            what,
            text,
            why,
        });
    }

    pub(crate) fn notify(&self, state: NotifyState, out: &mut Vec<Effect>) {
        out.push(Effect::Notify {
            who: NotifyWho::Instance(self.name().clone()),
            state,
            priority: self.effective,
        });
    }
}

/// Later than any moment that comes.
pub(crate) const NEVER: Mono = Mono(u64::MAX);
