//! The end: farewell, addresses away, then IPVS, so that no packet meets a hole. And what is written down meanwhile.

use super::Engine;
use super::action::{Action, LedgerMaster};
use super::input::StopMode;
use super::net_keeper::Held;
use crate::ipvs::IpvsOp;
use lb_shared::event::What;
use lb_shared::names::InstanceName;
use lb_shared::units::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest an orderly stop takes before it is cut short.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A stop under way.
#[derive(Clone, Debug)]
pub(super) struct Stopping {
    mode: StopMode,
    stage: StopStage,
    until: Mono,
    /// Not everything was put down: the next start, or the clean-up, has to know.
    cut_short: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StopStage {
    /// The addresses are being removed.
    Addresses,
    /// The IPVS table is being emptied of what is ours.
    Ipvs,
    Finished,
}

impl Stopping {
    pub(super) fn deadline(&self) -> Mono {
        if self.stage == StopStage::Finished {
            Mono(u64::MAX)
        } else {
            self.until
        }
    }

    pub(super) fn may_touch_ipvs(&self) -> bool {
        self.stage == StopStage::Ipvs && !self.mode.keep_ipvs && !self.mode.hand_over
    }
}

impl Engine {
    pub(super) fn on_stop(&mut self, mode: StopMode) {
        if let Some(stopping) = &mut self.stopping {
            // Asked twice: hurry, but in the same order.
            stopping.until = stopping.until.min(self.now + Duration::from_secs(1));
            return;
        }
        let until = self.now + STOP_PATIENCE;
        self.stopping = Some(Stopping {
            mode,
            stage: StopStage::Addresses,
            until,
            cut_short: false,
        });
        let why = mode
            .hand_over
            .then(|| "for a restart: addresses and services stay".to_owned());
        self.say(What::Stopping, "goodbye", why);
        if self.boot.is_some() {
            // Nothing was begun, and what an earlier run left stays for the clean-up.
            return self.finish_early();
        }
        if !self.keeps_addresses() {
            self.firewall.leave();
        }
        let mut effects = Vec::new();
        self.routers.stop(self.now, !mode.hand_over, &mut effects);
        self.on_router_effects(effects);
        self.sessions.rest();
        if !self.keeps_addresses() {
            self.drop_routing();
            for name in self.model.instances.keys().cloned().collect::<Vec<_>>() {
                self.net
                    .set_held(&Some(name), Held::new(), Vec::new(), &mut self.queue);
            }
            self.net.set_held(&None, Held::new(), Vec::new(), &mut self.queue);
            self.drop_all_vmacs();
            self.drop_firewall();
        }
        if !mode.hand_over {
            let mut effects = Vec::new();
            self.health.stop(&mut effects);
            self.on_health_effects(effects);
        }
    }

    /// Whether a stop took everything down, so that the next start has nothing to adopt.
    pub fn left_in_order(&self) -> bool {
        self.stopping
            .as_ref()
            .is_some_and(|it| !it.mode.hand_over && !it.cut_short)
    }

    /// A stop that leaves the addresses where they are.
    pub(super) fn keeps_addresses(&self) -> bool {
        self.stopping
            .as_ref()
            .is_some_and(|it| it.mode.keep_addresses || it.mode.hand_over)
    }

    pub(super) fn stop_on_tick(&mut self) {
        let now = self.now;
        if let Some(stopping) = &self.stopping
            && stopping.stage != StopStage::Finished
            && stopping.until <= now
        {
            self.finish_early();
        }
    }

    fn finish_early(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.stage = StopStage::Finished;
            stopping.cut_short = true;
            self.queue.push_back(Action::Finished);
        }
    }

    /// The next stage once the one before is done.
    pub(super) fn stop_advance(&mut self) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if stopping.stage == StopStage::Addresses
            && self.net.at_rest()
            && !self.net.removal_waits()
            && !self.routing.removal_waits()
        {
            stopping.stage = StopStage::Ipvs;
            if stopping.may_touch_ipvs() {
                if self.model.global.lvs_flush_on_stop {
                    self.ipvs.send(vec![IpvsOp::Flush], &mut self.queue);
                }
                let back = self.original_sysctls.clone();
                self.ipvs.set_sysctls(&back, &mut self.queue);
                for entry in self.ipvs.owned().clone() {
                    self.ipvs.touch(entry);
                }
                self.plan_ipvs();
            }
        }
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        if stopping.stage == StopStage::Ipvs && (self.ipvs.at_rest() || !stopping.may_touch_ipvs()) {
            stopping.stage = StopStage::Finished;
            self.queue.push_back(Action::Finished);
        }
    }

    /// Writes down what we own when that changed.
    pub(super) fn write_ledger(&mut self) {
        if !self.ledger_due || self.boot.is_some() {
            return;
        }
        self.ledger_due = false;
        let masters: BTreeMap<String, LedgerMaster> = self
            .model
            .instances
            .values()
            .filter(|it| self.is_ours_to_adopt(&it.name))
            .map(|it| (it.name.0.clone(), LedgerMaster::of(it)))
            .collect();
        // Also what has left the file and is not yet gone from the kernel.
        let services = (self.index.by_entry.keys().chain(self.ipvs.owned()))
            .map(ToString::to_string)
            .collect();
        let sysctls = (self.original_sysctls.iter())
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let (routes, rules) = self.routing_held();
        let (links, link_sysctls) = self.vmacs.for_ledger();
        let ledger = super::Ledger {
            masters,
            services,
            sysctls,
            routes,
            rules,
            static_addresses: self.static_addresses_held(),
            links,
            link_sysctls,
            firewall: self.firewall.for_ledger().into_iter().collect(),
        };
        if ledger != self.ledger {
            self.ledger = ledger.clone();
            self.queue.push_back(Action::Ledger(ledger));
        }
    }

    /// Mastership the next start may take over: a stop with farewell ended it.
    fn is_ours_to_adopt(&self, name: &InstanceName) -> bool {
        match &self.stopping {
            None => self.routers.is_master(name),
            Some(stopping) => stopping.mode.hand_over && self.ledger.masters.contains_key(&name.0),
        }
    }
}
