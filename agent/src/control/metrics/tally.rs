//! What only a count of the events tells.

use lb_shared::event::{Event, What};
use lb_shared::names::InstanceName;
use lb_shared::state::{ObjectId, VrrpState};
use std::collections::BTreeMap;

/// Counts folded from the events.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Tally {
    /// How often each instance came into each state.
    pub(super) transitions: BTreeMap<InstanceName, BTreeMap<VrrpState, u64>>,
    /// Reloads that changed nothing, since the file has errors.
    pub(super) refused: u64,
}

impl Tally {
    pub(in super::super) fn fold(&mut self, event: &Event) {
        let state = match event.what {
            What::BecameInit => VrrpState::Init,
            What::BecameBackup => VrrpState::Backup,
            What::BecameMaster => VrrpState::Master,
            What::BecameFault => VrrpState::Fault,
            What::ReloadRefused => {
                self.refused += 1;
                return;
            }
            What::InstanceRemoved => {
                if let ObjectId::Instance(name) = &event.object {
                    self.transitions.remove(name);
                }
                return;
            }
            _ => return,
        };
        if let ObjectId::Instance(name) = &event.object {
            let states = self.transitions.entry(name.clone()).or_default();
            *states.entry(state).or_default() += 1;
        }
    }
}
