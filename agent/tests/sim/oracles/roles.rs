//! Roles of virtual routers: who may take one, when, and with whom.

use super::{ADVERTS, Silence, skew_us};
use crate::sometimes::Hit;
use crate::world::{Cause, Truth, World};
use lb_shared::event::What;
use lb_shared::state::{InstanceView, ObjectId, Pin, VrrpState};
use lb_shared::units::Mono;
use lbagent::engine::Action;
use lbagent::model::VrrpVersion;

impl World {
    pub(super) fn became(&self, vr: usize, what: What, actions: &[Action]) -> bool {
        let name = &self.plan.cluster.routers[vr].name;
        actions.iter().any(|action| {
            matches!(action, Action::Emit(event)
                if event.what == what && matches!(&event.object, ObjectId::Instance(it) if it == name))
        })
    }

    /// S3: nobody goes on where a run ended that the others may have missed.
    pub(super) fn judge_adoption(&mut self, node: usize, vr: usize) {
        let it = &self.nodes[node];
        let name = &self.plan.cluster.routers[vr].name;
        let Some(sent_at) = it.sent_before.get(&name.0) else {
            return self.fail("S3", format!("n{node} goes on with VI {vr}, which it never held"));
        };
        let interval = it
            .disk
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.masters.get(&name.0));
        let window = 2 * interval
            .map_or(0, |it| it.advert_interval_us)
            .max(self.own_interval_us(node, vr));
        let ago = it.started_at.saturating_sub(*sent_at);
        if ago > window {
            let text = format!("n{node} goes on with VI {vr} after {ago} us without an advert, not {window}");
            self.fail("S3", text);
        }
    }

    /// S5, S7, S11: what roles a step led to.
    pub(super) fn judge_roles(
        &mut self,
        node: usize,
        now: Mono,
        cause: &Cause,
        before: &[VrrpState],
        actions: &[Action],
    ) {
        if !self.nodes[node].begun {
            return;
        }
        self.judge_group(node);
        for (vr, before) in before.iter().copied().enumerate() {
            let after = self.role(node, vr);
            let re_entered = self.became(vr, What::BecameBackup, actions);
            if after == VrrpState::Backup && (before != VrrpState::Backup || re_entered) {
                self.observe_entry(node, now, vr, cause, actions);
                self.judge_owner(node, vr, before);
            }
            if after == VrrpState::Master && before != VrrpState::Master {
                if before == VrrpState::Backup && !re_entered {
                    self.judge_take_over(node, now, vr);
                } else if before != VrrpState::Backup {
                    self.judge_leap(node, vr, actions);
                }
            }
        }
    }

    fn observe_entry(&mut self, node: usize, now: Mono, vr: usize, cause: &Cause, actions: &[Action]) {
        let v3 = self.plan.cluster.routers[vr].version == VrrpVersion::V3;
        let own = self.own_interval_us(node, vr);
        let interval_us = match cause {
            Cause::Packet(Truth::Whole(heard)) if heard.vr == vr && v3 => heard.interval_us,
            _ => own,
        };
        let brief = actions
            .iter()
            .any(|action| matches!(action, Action::Emit(event) if event.what == What::AddressLost));
        // An interval that came with doubtful bytes is not known.
        let known = match cause {
            Cause::Packet(Truth::Whole(heard)) => self.counts(node, heard),
            Cause::Packet(_) => false,
            _ => true,
        };
        self.oracle.tracks[node][vr].silence = Silence {
            known,
            clear: true,
            since: now,
            leaving: brief,
            interval_us,
            preempt_at: None,
        };
    }

    fn judge_owner(&mut self, node: usize, vr: usize, before: VrrpState) {
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let pinned = self.view(node, vr).is_some_and(|view| view.pin.is_some());
        let starts = matches!(before, VrrpState::Init | VrrpState::Fault);
        if owner && starts && !pinned && !self.plan.cluster.grouped {
            self.fail(
                "S5",
                format!("n{node} owns VI {vr}, can take part, and becomes BACKUP"),
            );
        }
    }

    /// S11 and S8: no backup moves before its silence is over, on its own clock.
    fn judge_take_over(&mut self, node: usize, now: Mono, vr: usize) {
        let Some(view) = self.view(node, vr) else { return };
        if view.pin == Some(Pin::Promoted) {
            return;
        }
        let grouped = self.plan.cluster.grouped;
        let version = self.plan.cluster.routers[vr].version;
        let silence = &self.oracle.tracks[node][vr].silence;
        if !silence.known {
            return;
        }
        // The members of a group wait for each other: each has been silent for its own time at some moment.
        let skew = if grouped {
            0
        } else {
            skew_us(version, view.effective_priority, silence.interval_us)
        };
        let wait = match (silence.leaving, grouped) {
            (true, _) => skew,
            (false, _) => ADVERTS * silence.interval_us + skew,
        };
        let silent = u64::try_from(now.since(silence.since).as_micros()).unwrap_or(u64::MAX);
        let leaving = silence.leaving;
        // Both divide, and need not round alike.
        if silent + 2 < wait {
            let text = format!("n{node} takes over VI {vr} after {silent} us of silence, not {wait}");
            self.fail("S11", text);
        } else if !leaving {
            self.hit(Hit::LateSuccessor);
        }
    }

    /// Nobody comes from nowhere: a mastership without an election needs a reason.
    fn judge_leap(&mut self, node: usize, vr: usize, actions: &[Action]) {
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let promoted = self
            .view(node, vr)
            .is_some_and(|view| view.pin == Some(Pin::Promoted));
        let adopted = actions
            .iter()
            .any(|action| matches!(action, Action::Emit(event) if event.what == What::Adopted));
        if !owner && !promoted && !adopted && !self.plan.cluster.grouped {
            self.fail(
                "S11",
                format!("n{node} is MASTER of VI {vr} at once, and owns nothing"),
            );
        }
    }

    /// S7.
    fn judge_group(&mut self, node: usize) {
        if !self.plan.cluster.grouped || self.nodes[node].stopping {
            return;
        }
        let here = |vr: &usize| self.view(node, *vr).is_some();
        let roles: Vec<VrrpState> = (0..self.plan.cluster.routers.len())
            .filter(here)
            .map(|vr| self.role(node, vr))
            .collect();
        let some = |state| roles.contains(&state);
        let mixed = (some(VrrpState::Master) && (some(VrrpState::Backup) || some(VrrpState::Fault)))
            || (some(VrrpState::Fault) && some(VrrpState::Backup));
        if some(VrrpState::Fault) {
            self.hit(Hit::GroupFault);
        }
        if mixed {
            self.fail(
                "S7",
                format!("n{node}: the members of the sync group are {roles:?}"),
            );
        }
    }
}

pub(super) fn preempts(view: &InstanceView) -> bool {
    view.preempt || view.effective_priority == 255 || view.pin == Some(Pin::Promoted)
}
