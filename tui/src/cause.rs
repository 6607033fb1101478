//! What most likely caused an event, and what it led to.

use crate::data::Data;
use lb_shared::event::{Numbered, What};
use lb_shared::names::{InstanceName, TrackerName};
use lb_shared::state::ObjectId;

/// How long before an event its cause may lie.
const CAUSE_WITHIN_MS: u64 = 10_000;

impl Data {
    /// The event that most likely caused another: the nearest before it that its object depends on.
    pub(crate) fn cause(&self, of: &Numbered) -> Option<&Numbered> {
        let at = self.events.partition_point(|event| event.seq < of.seq);
        self.events
            .iter()
            .take(at)
            .rev()
            .take_while(|event| event.wall_ms.saturating_add(CAUSE_WITHIN_MS) >= of.wall_ms)
            .find(|event| self.leads_to(event, of))
            .map(|event| &**event)
    }

    /// The events that name this one as their cause.
    pub(crate) fn effects(&self, of: &Numbered) -> Vec<&Numbered> {
        let at = self.events.partition_point(|event| event.seq <= of.seq);
        self.events
            .iter()
            .skip(at)
            .take_while(|event| of.wall_ms.saturating_add(CAUSE_WITHIN_MS) >= event.wall_ms)
            .filter(|event| self.cause(event).is_some_and(|cause| cause.seq == of.seq))
            .map(|event| &**event)
            .collect()
    }

    fn leads_to(&self, from: &Numbered, to: &Numbered) -> bool {
        let (from, to) = (&from.event, &to.event);
        match (&from.object, &to.object) {
            (ObjectId::Tracker(tracker), ObjectId::Instance(name)) => {
                let moved = matches!(from.what, What::TrackerFailed | What::TrackerOk | What::LinkDown)
                    || from.what.topic() == "link";
                moved && about_standing(to.what) && self.depends(name, tracker)
            }
            (ObjectId::Instance(a), ObjectId::Instance(b)) => {
                a == b && from.what == What::PriorityChanged && about_role(to.what)
            }
            (ObjectId::Instance(name), ObjectId::Group(group)) => {
                about_role(from.what)
                    && self
                        .state
                        .groups
                        .get(group)
                        .is_some_and(|it| it.members.contains(name))
            }
            (ObjectId::Server(id), ObjectId::Service(key)) => {
                matches!(
                    (from.what, to.what),
                    (
                        What::ServerDown | What::WeightChanged | What::DrainStarted,
                        What::QuorumLost
                    ) | (What::ServerUp | What::WeightChanged, What::QuorumGained)
                ) && id.service == *key
            }
            (ObjectId::Server(a), ObjectId::Server(b)) => {
                a == b && from.what.topic() == "action" && to.what == What::WeightChanged
            }
            (ObjectId::Override(target), object) => {
                let same = match target {
                    lb_shared::state::Target::Server(id) => *object == ObjectId::Server(id.clone()),
                    lb_shared::state::Target::Instance(name) => *object == ObjectId::Instance(name.clone()),
                };
                same && to.what != What::ServerDown && to.what != What::ServerUp
            }
            _ => false,
        }
    }

    fn depends(&self, name: &InstanceName, tracker: &TrackerName) -> bool {
        self.state.instances.get(name).is_some_and(|it| {
            let named = it.terms.iter().any(|term| term.tracker == *tracker);
            let own = match tracker {
                TrackerName::Interface(interface) => it.interface.as_ref() == Some(interface),
                _ => false,
            };
            named || own
        })
    }
}

fn about_role(what: What) -> bool {
    matches!(
        what,
        What::BecameInit | What::BecameBackup | What::BecameMaster | What::BecameFault
    )
}

fn about_standing(what: What) -> bool {
    about_role(what) || what == What::PriorityChanged
}

#[cfg(test)]
mod tests {
    use crate::data::tests::data;

    #[test]
    fn an_event_is_traced_to_what_its_object_depends_on() {
        let (data, _) = data();
        let fell = data.find(1_185).unwrap();
        assert_eq!(data.cause(fell).map(|cause| cause.seq), Some(1_184));
        let failed = data.find(1_184).unwrap();
        let effects: Vec<u64> = data.effects(failed).iter().map(|event| event.seq).collect();
        assert_eq!(effects, [1_185]);
        assert_eq!(data.cause(data.find(1_186).unwrap()), None);
    }
}
