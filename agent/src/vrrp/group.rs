//! Moves that concern a whole sync group. An instance without a group is a group of one.

use super::effect::Effect;
use super::role::{Exit, Role, Standing};
use super::router::Router;
use super::routers::Routers;
use crate::model::{NotifyState, NotifyWho};
use lb_shared::names::{GroupName, InstanceName};
use lb_shared::state::{MasterView, Pin, VrrpState};
use lb_shared::units::Mono;
use std::time::Duration;

/// A sync group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: GroupName,
    /// Places of its members, in the order of the configuration.
    pub(crate) members: Vec<usize>,
    /// Their names, in the same order.
    pub(crate) names: Vec<InstanceName>,
    pub(crate) state: VrrpState,
    pub(crate) since: Mono,
    /// What scripts and readers of the FIFO were last told.
    pub(crate) told: Option<NotifyState>,
}

impl Routers {
    /// The members of its group; itself if it has none.
    pub(crate) fn team(&self, slot: usize) -> Vec<usize> {
        match self.slots[slot].as_ref().and_then(|router| router.group.as_ref()) {
            Some((group, _)) => self.groups[*group].members.clone(),
            None => vec![slot],
        }
    }

    /// Brings a group to where its members' standing puts it: FAULT if one has a fault, waiting while one waits,
    /// else in the election.
    pub(crate) fn settle(&mut self, now: Mono, slot: usize, out: &mut Vec<Effect>) {
        let team = self.team(slot);
        let faulty = team
            .iter()
            .copied()
            .find(|member| self.router(*member).standing(now) == Standing::Fault);
        match faulty {
            Some(faulty) => self.settle_fault(now, &team, faulty, out),
            None if self.may_resume(now, &team) => {
                for member in &team {
                    let router = self.router(*member);
                    if !router.is_master() {
                        let why = "goes on where the process before it ended".to_owned();
                        router.enter_master(now, why, true, out);
                    }
                }
            }
            None => self.settle_ready(now, &team, out),
        }
        self.sum_up(now, slot, out);
        self.finish(slot);
    }

    fn settle_fault(&mut self, now: Mono, team: &[usize], faulty: usize, out: &mut Vec<Effect>) {
        let culprit = format!("{} of its sync group is in FAULT", self.router(faulty).name());
        for member in team {
            let router = self.router(*member);
            let mate = (router.standing(now) != Standing::Fault).then(|| culprit.clone());
            router.enter_fault(now, mate, out);
        }
    }

    fn may_resume(&mut self, now: Mono, team: &[usize]) -> bool {
        let mut any = false;
        for member in team {
            let router = self.router(*member);
            let demoted = matches!(router.pin, Some(Pin::Demoted | Pin::DemotedHard));
            let young = router.role.resume_until().is_some_and(|until| now < until);
            if !router.is_master() && (demoted || !young || router.ground.is_none()) {
                return false;
            }
            any |= !router.is_master();
        }
        any
    }

    fn settle_ready(&mut self, now: Mono, team: &[usize], out: &mut Vec<Effect>) {
        let running = |router: &Router| matches!(router.role, Role::Backup(_) | Role::Master(_));
        let some_run = team.iter().any(|member| running(self.router(*member)));
        let some_wait = team.iter().any(|member| {
            let router = self.router(*member);
            !running(router) && router.standing(now) == Standing::Waiting
        });
        let owner_from_start =
            |router: &Router| matches!(router.role, Role::Init(_)) && router.owns_at_once();
        if !some_wait && team.iter().all(|member| owner_from_start(self.router(*member))) {
            // RFC 9568 §6.4.1; nobody is told of a BACKUP that never was.
            for member in team {
                let why = "it owns the addresses (priority 255)".to_owned();
                self.router(*member).enter_master(now, why, false, out);
            }
            return;
        }
        let mut fresh = Vec::new();
        for member in team {
            let router = self.router(*member);
            if running(router) {
                continue;
            }
            // A group waits for its slowest member, unless it is under way and the member joined it just now.
            let waits = router.standing(now) == Standing::Waiting || (some_wait && !some_run);
            match (&router.role, waits) {
                (Role::Fault, true) => router.enter_init(now, "waiting for first results", out),
                (_, true) => {}
                (role, false) => {
                    let why = if *role == Role::Fault {
                        "the fault is gone"
                    } else {
                        "started"
                    };
                    let healed = *role == Role::Fault;
                    router.enter_backup(now, why.to_owned(), Exit::Quiet, None, out);
                    if healed && !router.cfg.unicast_peers.is_empty() {
                        // Its peers ask for no group: switches and they learn where it is.
                        let instance = router.name().clone();
                        out.push(Effect::AnnounceSource { instance });
                    }
                    fresh.push(*member);
                }
            }
        }
        if team.iter().any(|member| self.router(*member).is_master()) {
            for member in fresh {
                self.router(member)
                    .enter_master(now, "its sync group is MASTER".to_owned(), false, out);
            }
            return;
        }
        for member in fresh {
            let router = self.router(member);
            if router.takes_at_once() && !router.is_master() {
                let why = if router.pin == Some(Pin::Promoted) {
                    "promoted by an operator"
                } else {
                    "it owns the addresses (priority 255)"
                };
                self.take_over(now, member, why, out);
            }
        }
    }

    /// A member's time has come: the group takes over if every other member is ready too.
    pub(crate) fn take_over(&mut self, now: Mono, slot: usize, why: &str, out: &mut Vec<Effect>) {
        if let Role::Backup(backup) = &mut self.router(slot).role {
            backup.ready = true;
        }
        let team = self.team(slot);
        let ready = team.iter().all(|member| match &self.router(*member).role {
            Role::Backup(backup) => backup.ready,
            Role::Master(_) => true,
            Role::Init(_) | Role::Fault => false,
        });
        if !ready {
            return;
        }
        self.router(slot).enter_master(now, why.to_owned(), false, out);
        for member in team {
            let router = self.router(member);
            if !router.is_master() {
                router.enter_master(now, "its sync group takes over".to_owned(), false, out);
            }
        }
        self.sum_up(now, slot, out);
    }

    /// A member heard a better master: the group gives way.
    pub(crate) fn yield_to(
        &mut self,
        now: Mono,
        slot: usize,
        heard: (MasterView, Duration),
        why: String,
        out: &mut Vec<Effect>,
    ) {
        let name = self.router(slot).name().clone();
        self.router(slot)
            .enter_backup(now, why, Exit::Quiet, Some(heard), out);
        for member in self.team(slot) {
            let router = self.router(member);
            if router.is_master() {
                let why = format!("{name} of its sync group gave way");
                router.enter_backup(now, why, Exit::Quiet, None, out);
            }
        }
        self.sum_up(now, slot, out);
    }

    /// The group gives up by its own choice.
    pub(crate) fn leave_together(
        &mut self,
        now: Mono,
        slot: usize,
        why: &str,
        exit: Exit,
        out: &mut Vec<Effect>,
    ) {
        for member in self.team(slot) {
            let router = self.router(member);
            if router.is_master() {
                router.enter_backup(now, why.to_owned(), exit, None, out);
            }
        }
    }

    /// A lower master of one member may have been one of all of them.
    pub(crate) fn announce_mates(&mut self, now: Mono, slot: usize, out: &mut Vec<Effect>) {
        for member in self.team(slot) {
            if member != slot {
                self.router(member).announce_again(now, out);
            }
        }
    }

    /// Tells what became of the group of a router, after its members were told.
    pub(crate) fn sum_up(&mut self, now: Mono, slot: usize, out: &mut Vec<Effect>) {
        if let Some((group, _)) = self.router(slot).group {
            self.sum_up_group(now, group, out);
        }
    }

    pub(crate) fn sum_up_group(&mut self, now: Mono, at: usize, out: &mut Vec<Effect>) {
        let mut states = Vec::new();
        for member in self.groups[at].members.clone() {
            states.push(self.router(member).state());
        }
        let group = &mut self.groups[at];
        // While members differ (one waits for its first results) the group is the least of them.
        let order = [VrrpState::Fault, VrrpState::Init, VrrpState::Backup];
        let state = order
            .into_iter()
            .find(|state| states.contains(state))
            .unwrap_or(VrrpState::Master);
        if state == group.state {
            return;
        }
        let text = format!("{} -> {}", group.state.word(), state.word());
        group.state = state;
        group.since = now;
        out.push(Effect::GroupChanged {
            group: group.name.clone(),
            text,
        });
        let told = match state {
            VrrpState::Master => NotifyState::Master,
            VrrpState::Backup => NotifyState::Backup,
            VrrpState::Fault => NotifyState::Fault,
            VrrpState::Init => return,
        };
        // A member that came new made it wait for a moment: that is no news.
        if group.told.replace(told) == Some(told) {
            return;
        }
        out.push(Effect::Notify {
            who: NotifyWho::Group(group.name.clone()),
            state: told,
            priority: 0,
        });
    }
}
