//! The last events, kept over the end of the agent: handed out to be written now and then, and once more at the end.

use super::hub::Hub;
use super::limits;
use lb_shared::event::Numbered;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The events of earlier runs, and where those of this one go; the taker must not wait.
#[derive(Clone)]
pub struct Keeper {
    past: Arc<Mutex<Vec<Numbered>>>,
    save: Arc<dyn Fn(Vec<Numbered>) + Send + Sync>,
}

impl Keeper {
    /// `past` is oldest first; this run's numbers go on after it.
    pub fn new(past: Vec<Numbered>, save: impl Fn(Vec<Numbered>) + Send + Sync + 'static) -> Self {
        Self {
            past: Arc::new(Mutex::new(past)),
            save: Arc::new(save),
        }
    }

    /// The past, which only the hub holds from then on.
    pub(super) fn past(&self) -> Vec<Numbered> {
        std::mem::take(&mut *self.past.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keeper")
    }
}

/// Hands the last events out soon after something happened, and then not again for a while.
pub(super) async fn keep(hub: Arc<Hub>, keeper: Keeper, soon: Duration, pause: Duration) {
    loop {
        hub.something_to_keep().await;
        tokio::time::sleep(soon).await;
        (keeper.save)(last(&hub));
        tokio::time::sleep(pause).await;
    }
}

/// The last events as the hub keeps them.
fn last(hub: &Hub) -> Vec<Numbered> {
    let kept = hub.events(None, limits::EVENTS_ON_DISK);
    kept.iter().map(|event| (**event).clone()).collect()
}

/// What is asked for once more when the engine has ended.
#[derive(Debug)]
pub struct LastEvents {
    hub: Arc<Hub>,
    /// In a lock only so that the handle may be shared.
    folded: Mutex<Receiver<()>>,
}

impl LastEvents {
    /// For the hub's end, and what it tells when all events are folded.
    pub(super) fn of(hub: &Arc<Hub>) -> (Self, Sender<()>) {
        let (tell, folded) = channel();
        let hub = Arc::clone(hub);
        let folded = Mutex::new(folded);
        (Self { hub, folded }, tell)
    }

    /// The last events, those of the engine's end among them. Call it once the handle is dropped.
    pub fn take(self) -> Vec<Numbered> {
        // Without an answer in time, what is folded by then has to do.
        let folded = self.folded.into_inner().unwrap_or_else(PoisonError::into_inner);
        let _ = folded.recv_timeout(limits::KEEP_END);
        last(&self.hub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::{Event, What};
    use lb_shared::state::{Object, ObjectId};
    use lb_shared::units::Mono;
    use std::time::Instant;

    fn event(what: What) -> Event {
        Event {
            what,
            object: ObjectId::Agent,
            text: "text".into(),
            why: None,
            actor: None,
            at: Mono(5),
            changes: vec![lb_shared::event::Change::Put(Object::Agent(Box::default()))],
        }
    }

    #[test]
    fn numbers_go_on_after_those_of_earlier_runs() {
        let first = Hub::new(Instant::now());
        first.publish(event(What::Started));
        first.publish(event(What::Present));
        first.publish(event(What::Stopping));
        let kept = last(&first);
        assert_eq!(kept.iter().map(|it| it.seq).collect::<Vec<_>>(), [1, 3]);
        assert!(kept.iter().all(|it| it.event.changes.is_empty()));
        let second = Hub::new(Instant::now());
        second.recall(kept);
        second.publish(event(What::Started));
        let seqs: Vec<u64> = second.events(None, 10).iter().map(|it| it.seq).collect();
        assert_eq!(seqs, [1, 3, 4]);
        assert_eq!(second.events(Some(2), 10).len(), 2);
    }

    #[tokio::test]
    async fn a_storm_of_events_is_handed_out_once_and_what_came_meanwhile_later() {
        let hub = Arc::new(Hub::new(Instant::now()));
        let (save, saved) = channel();
        let save = move |events: Vec<Numbered>| save.send(events.len()).unwrap();
        let span = Duration::from_millis(1);
        tokio::spawn(keep(Arc::clone(&hub), Keeper::new(Vec::new(), save), span, span));
        // Without a pause in between the task cannot run: one storm.
        for _ in 0..limits::EVENTS_ON_DISK + 1_000 {
            hub.publish(event(What::WeightChanged));
        }
        let next = async || loop {
            match saved.try_recv() {
                Ok(count) => return count,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(next().await, limits::EVENTS_ON_DISK);
        hub.publish(event(What::WeightChanged));
        assert_eq!(next().await, limits::EVENTS_ON_DISK);
        tokio::time::sleep(span * 10).await;
        assert!(saved.try_recv().is_err(), "nothing happened, nothing is written");
    }
}
