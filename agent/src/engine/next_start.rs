//! Settings that count at the start alone: a reload that changes one says so, and goes on saying so.

use super::plan::values::{Facts, Settings as _, differences};
use crate::model::{Global, Host, Model};
use lb_shared::diagnostic::{Diagnostic, Severity};

/// Of `global_defs`; of the settings of process and host it is all but [`AT_ONCE`].
const OF_GLOBAL: [&str; 2] = ["lvs_flush", "vrrp_startup_delay"];
const AT_ONCE: [&str; 1] = ["interface_up_down_delays"];

/// What an agent was started with, as far as it cannot be changed later.
#[derive(Clone, Debug)]
pub struct Started {
    global: Global,
    host: Host,
}

impl Started {
    /// The settings of the first model of a run.
    pub fn with(model: &Model) -> Self {
        Self {
            global: model.global.clone(),
            host: model.host.clone(),
        }
    }

    /// What of another model waits for the next start; `None`: nothing does.
    pub fn waiting(&self, new: &Model) -> Option<Diagnostic> {
        if self.global == new.global && self.host == new.host {
            return None;
        }
        let (old, new) = (facts(&self.global, &self.host), facts(&new.global, &new.host));
        let what = differences(&old, &new);
        (!what.is_empty()).then(|| {
            let text = format!("these settings count at the next start only: {what}");
            Diagnostic::new(Severity::Warning, "H-67", text)
                .note("the agent goes on with what it was started with")
                .note("restart it when it suits: systemctl restart lbagent")
        })
    }
}

fn facts(global: &Global, host: &Host) -> Facts {
    let of_global = (global.facts().into_iter()).filter(|(name, _)| OF_GLOBAL.contains(&name.as_str()));
    let of_host = (host.facts().into_iter()).filter(|(name, _)| !AT_ONCE.contains(&name.as_str()));
    of_global.chain(of_host).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InterfaceDelays;
    use std::time::Duration;

    #[test]
    fn only_what_differs_from_the_start_waits() {
        let mut model = Model::default();
        let started = Started::with(&model);
        assert_eq!(started.waiting(&model), None);
        // These act at once.
        model.global.lvs_flush_on_stop = true;
        let delays = InterfaceDelays {
            down: Duration::from_secs(1),
            up: Duration::ZERO,
        };
        model.host.interface_delays.insert("eth0".into(), delays);
        assert_eq!(started.waiting(&model), None);
        model.host.vrrp.real_time = Some(50);
        model.global.lvs_flush = true;
        let told = started.waiting(&model).expect("two settings wait");
        assert_eq!(told.code, "H-67");
        assert!(told.message.contains("lvs_flush no -> yes"), "{}", told.message);
        assert!(
            told.message.contains("vrrp_rt_priority none -> 50"),
            "{}",
            told.message
        );
    }
}
