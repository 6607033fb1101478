//! Adverts that arrive and adverts that leave: S1, S4, S8, S9 to S11.

use super::SECOND;
use super::roles::preempts;
use crate::cluster::Vr;
use crate::sometimes::Hit;
use crate::world::{Cause, Heard, Truth, World};
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lb_shared::state::{Pin, VrrpState};
use lb_shared::units::Mono;
use lbagent::engine::Action;
use lbagent::model::VrrpVersion;
use std::net::IpAddr;
use std::time::Duration;

impl World {
    /// A planted bug kept an advert from the engine: what it should have done is judged all the same.
    pub(crate) fn judge_swallowed(&mut self, node: usize, heard: &Heard) {
        let now = self.nodes[node].clock.local(self.now);
        let roles = self.nodes[node].roles.clone();
        self.judge(
            node,
            now,
            &Cause::Packet(Truth::Whole(*heard)),
            &roles,
            (None, None),
            &[],
        );
    }

    /// Whether the receiver has no right to refuse this advert.
    pub(super) fn counts(&self, node: usize, heard: &Heard) -> bool {
        let it = &self.nodes[node];
        let router = &self.plan.cluster.routers[heard.vr];
        let steady = self.now >= it.ground_moved_at + SECOND / 5 && !self.ground_moves(node);
        let same_interval =
            router.version == VrrpVersion::V3 || heard.interval_us == self.own_interval_us(node, heard.vr);
        let known = heard.from.is_some() || !router.unicast || self.is_peer(node, router, heard.source);
        it.begun
            && !it.stopping
            && steady
            && same_interval
            && heard.interval_us > 0
            && known
            && heard.source != self.plan.cluster.source(node, router)
    }

    fn is_peer(&self, node: usize, router: &Vr, source: IpAddr) -> bool {
        (0..self.nodes.len()).any(|peer| peer != node && self.plan.cluster.source(peer, router) == source)
    }

    /// S1, S10, S9 and the observer's picture of a backup's silence.
    pub(super) fn judge_packet(
        &mut self,
        node: usize,
        now: Mono,
        truth: &Truth,
        before: &[VrrpState],
        (old, new): (Option<Mono>, Option<Mono>),
        actions: &[Action],
    ) {
        match truth {
            Truth::Unknown => {
                for track in &mut self.oracle.tracks[node] {
                    track.silence.muddle();
                }
            }
            Truth::Junk => {
                self.hit(Hit::JunkHeard);
                let acts = actions.iter().find(|action| !matches!(action, Action::Emit(_)));
                if let Some(action) = acts {
                    self.fail("S10", format!("n{node}: a bad advert led to {action:?}"));
                } else if self.nodes[node].roles != before {
                    self.fail("S10", format!("n{node}: a bad advert changed a role"));
                } else if old != new && old.is_some_and(|old| old > now) {
                    let text =
                        format!("n{node}: a bad advert moved the next deadline from {old:?} to {new:?}");
                    self.fail("S10", text);
                }
            }
            Truth::Whole(heard) => {
                let heard = *heard;
                if !self.counts(node, &heard) {
                    self.oracle.tracks[node][heard.vr].silence.muddle();
                    return;
                }
                match before[heard.vr] {
                    VrrpState::Backup => self.observe_backup(node, now, &heard),
                    VrrpState::Master => self.judge_yield(node, &heard),
                    VrrpState::Init | VrrpState::Fault => {}
                }
            }
        }
    }

    fn judge_yield(&mut self, node: usize, heard: &Heard) {
        let router = &self.plan.cluster.routers[heard.vr];
        let own = self.plan.cluster.source(node, router);
        let Some(view) = self.view(node, heard.vr) else {
            return;
        };
        let (state, priority) = (view.state, view.effective_priority);
        if heard.priority == 255 && priority == 255 {
            self.hit(Hit::OwnerConflict);
        }
        if heard.priority > 0 && state == VrrpState::Master && beats(heard, priority, own) {
            let Heard {
                priority: theirs,
                source,
                ..
            } = heard;
            let text = format!("n{node} stays MASTER with {priority} after {source} with {theirs}");
            self.fail("S1", text);
        }
    }

    fn observe_backup(&mut self, node: usize, now: Mono, heard: &Heard) {
        let Some(view) = self.view(node, heard.vr) else {
            return;
        };
        let hurried = view.effective_priority == 255 || view.pin == Some(Pin::Promoted);
        let respected = heard.priority >= view.effective_priority || !preempts(view);
        let delay = Duration::from_micros(view.preempt_delay_us);
        let silence = &mut self.oracle.tracks[node][heard.vr].silence;
        if heard.priority == 0 {
            if !silence.leaving {
                silence.leaving = true;
                silence.since = now;
            }
            return;
        }
        let mut waits = respected;
        if respected {
            silence.preempt_at = None;
        } else if !delay.is_zero() && !hurried {
            match silence.preempt_at {
                Some(at) => waits = now < at,
                None => {
                    silence.preempt_at = Some(now + delay);
                    waits = true;
                    self.sometimes.hit(Hit::PreemptDelayed);
                }
            }
        }
        if waits {
            let v3 = self.plan.cluster.routers[heard.vr].version == VrrpVersion::V3;
            let own = self.own_interval_us(node, heard.vr);
            let silence = &mut self.oracle.tracks[node][heard.vr].silence;
            silence.clear |= respected;
            silence.known = silence.clear;
            silence.since = now;
            silence.leaving = false;
            silence.interval_us = if v3 { heard.interval_us } else { own };
        }
    }

    /// S9: whoever stays MASTER after another one was heard tells the hosts again.
    pub(super) fn judge_second_announcement(
        &mut self,
        node: usize,
        now: Mono,
        heard: &Heard,
        before: &[VrrpState],
    ) {
        let stays = before[heard.vr] == VrrpState::Master && self.role(node, heard.vr) == VrrpState::Master;
        let lower = heard.priority > 0;
        let gate = self.now < self.nodes[node].started_at + 3 * SECOND;
        if !stays || !lower || gate || !self.counts(node, heard) || !self.net_is_fine(node) {
            return;
        }
        let pause = Duration::from_micros(self.own_interval_us(node, heard.vr) / 2);
        let told = self.oracle.tracks[node][heard.vr].announced_at;
        if told.is_none_or(|at| now.since(at) > pause) {
            let text = format!(
                "n{node} heard {} with {} and stays MASTER, and does not announce",
                heard.source, heard.priority
            );
            self.fail("S9", text);
        }
    }

    /// S4, S5, S6, and the beginning of L3.
    pub(super) fn judge_send(
        &mut self,
        node: usize,
        name: &InstanceName,
        advert: &lbagent::vrrp::Advert,
        cause: &Cause,
        before: &[VrrpState],
        actions: &[Action],
    ) {
        let Some(vr) = self.vr_of(name) else { return };
        let priority = advert.payload[2];
        let after = self.role(node, vr);
        let passing = self.became(vr, What::BecameMaster, actions);
        if self.nodes[node].handing_over {
            self.fail("S4", format!("n{node} hands over and still sends for {name}"));
        } else if priority > 0
            && after != VrrpState::Master
            && !passing
            && !(before[vr] == VrrpState::Master && farewell_follows(name, advert, actions))
        {
            self.fail(
                "S4",
                format!("n{node} is {after:?} for {name} and sends priority {priority}"),
            );
        } else if priority == 0 && before[vr] != VrrpState::Master && !passing {
            self.fail(
                "S4",
                format!("n{node} was {:?} for {name} and says farewell", before[vr]),
            );
        }
        let owner = self.plan.cluster.routers[vr].priorities[node] == 255;
        let demoted = matches!(
            self.view(node, vr).and_then(|view| view.pin),
            Some(Pin::Demoted | Pin::DemotedHard)
        );
        if priority == 255 && !owner {
            self.fail("S5", format!("n{node} advertises 255 for {name} and is no owner"));
        } else if priority > 0 && priority < 255 && owner && !demoted {
            self.fail("S5", format!("n{node} owns {name} and advertises {priority}"));
        }
        if priority == 0 && matches!(cause, Cause::Stop { .. }) {
            self.watch_farewell(node, vr);
        }
    }
}

/// Whether an advert beats a master.
fn beats(heard: &Heard, priority: u8, own: IpAddr) -> bool {
    (heard.priority, heard.source) > (priority, own)
}

/// Whether a master that sends this advert takes its leave in the same step, behind it.
fn farewell_follows(name: &InstanceName, advert: &lbagent::vrrp::Advert, actions: &[Action]) -> bool {
    actions
        .iter()
        .skip_while(|action| !matches!(action, Action::Send(_, it) if std::ptr::eq(it, advert)))
        .any(|action| matches!(action, Action::Send(who, it) if who == name && it.payload[2] == 0))
}
