//! What clients see of a router.

use super::election::down_interval;
use super::role::Role;
use super::router::Router;
use crate::model::VrrpVersion;
use lb_shared::counters::InstanceCounters;
use lb_shared::state::{InstanceView, VrrpState};
use std::time::Duration;

impl Router {
    pub(crate) fn view(&self) -> InstanceView {
        let cfg = &self.cfg;
        let state = self.state();
        InstanceView {
            name: cfg.name.clone(),
            place: String::new(),
            group: self.group.as_ref().map(|(_, name)| name.clone()),
            interface: cfg.interface.clone(),
            vmac: (cfg.vmac.as_ref().map(ToString::to_string))
                .or_else(|| cfg.ipvlan.as_ref().map(ToString::to_string)),
            vrid: cfg.vrid.get(),
            family: cfg.family,
            version: match cfg.version {
                VrrpVersion::V2 => 2,
                VrrpVersion::V3 => 3,
            },
            unicast: !cfg.unicast_peers.is_empty(),
            state,
            since: self.since,
            why: self.why.clone(),
            second_master: match &self.role {
                Role::Master(master) => master.rival.as_ref().is_some_and(|rival| rival.flagged),
                Role::Init(_) | Role::Backup(_) | Role::Fault => false,
            },
            base_priority: cfg.priority.get(),
            effective_priority: if state == VrrpState::Fault {
                0
            } else {
                self.effective
            },
            terms: self.terms.terms.clone(),
            pin: self.pin,
            master: self.master.clone(),
            advert_interval_us: micros(cfg.advert_interval),
            master_down_us: micros(down_interval(
                cfg.version,
                self.effective,
                self.shown_interval,
                cfg.down_timer_adverts,
            )),
            preempt: cfg.preempt,
            preempt_delay_us: micros(cfg.preempt_delay),
            addresses: cfg
                .addresses
                .iter()
                .chain(&cfg.excluded_addresses)
                .map(|virt| format!("{}/{} dev {}", virt.address, virt.prefix_len, virt.device))
                .collect(),
            refused: self.refused.clone(),
            faults: if state == VrrpState::Fault {
                self.shown_faults.clone()
            } else {
                Vec::new()
            },
        }
    }

    pub(crate) fn counters(&self) -> InstanceCounters {
        let tally = &self.tally;
        let mut counters = InstanceCounters {
            adverts_sent: tally.sent,
            adverts_received: tally.received,
            became_master: tally.became_master,
            released_master: tally.released_master,
            priority_zero_sent: tally.zero_sent,
            priority_zero_received: tally.zero_received,
            heard_at: tally.heard_at,
            sent_at: tally.sent_at,
            ..InstanceCounters::default()
        };
        for (name, count) in &tally.rejected {
            counters.rejected.insert((*name).to_owned(), *count);
        }
        if tally.address_list > 0 {
            // Counted among the rejections since people look there; the advert itself counts.
            counters
                .rejected
                .insert("address_list".to_owned(), tally.address_list);
        }
        counters
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
