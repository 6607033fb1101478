//! Events as the lines keepalived writes to its notify FIFO, for scripts that read those.

use crate::model::{NotifyState, NotifyWho};
use crate::notify::fifo;
use lb_shared::event::{Change, Event, What};
use lb_shared::state::{Health, Object, ServiceState, VrrpState};

/// The lines of an event; none for what keepalived does not write.
pub(super) fn lines(it: &Event) -> Vec<String> {
    it.changes
        .iter()
        .filter_map(|change| match change {
            Change::Put(object) if object.id() == it.object => line(it.what, object),
            Change::Put(_) | Change::Remove(_) => None,
        })
        .collect()
}

fn line(what: What, object: &Object) -> Option<String> {
    match (object, what) {
        (Object::Instance(it), What::BecameBackup | What::BecameMaster | What::BecameFault) => {
            let who = NotifyWho::Instance(it.name.clone());
            Some(fifo::state(&who, state(it.state)?, it.effective_priority))
        }
        (Object::Instance(it), What::PriorityChanged) => {
            Some(fifo::priority(&it.name, state(it.state)?, it.effective_priority))
        }
        (Object::Group(it), What::GroupChanged) => Some(fifo::state(
            &NotifyWho::Group(it.name.clone()),
            state(it.state)?,
            0,
        )),
        (Object::Service(it), What::QuorumGained | What::QuorumLost) => {
            Some(fifo::service(&it.key, it.state == ServiceState::Up))
        }
        (Object::Server(it), What::ServerUp | What::ServerDown) => {
            Some(fifo::server(&it.id, it.health != Health::Down))
        }
        _ => None,
    }
}

fn state(state: VrrpState) -> Option<NotifyState> {
    match state {
        VrrpState::Master => Some(NotifyState::Master),
        VrrpState::Backup => Some(NotifyState::Backup),
        VrrpState::Fault => Some(NotifyState::Fault),
        VrrpState::Init => None,
    }
}
