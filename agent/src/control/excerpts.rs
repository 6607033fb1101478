//! Parts of the state, piece by piece: what was found is remembered by name, and each piece tells how it is by then.

use super::engine::Engine;
use super::hub::{Hub, Seen};
use super::session::Session;
use lb_shared::counters::Counters;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Reading};
use lb_shared::request::{Refusal, Role};
use lb_shared::view::View;
use std::sync::Arc;

/// The pieces of one answer.
#[derive(Debug)]
pub(super) struct Excerpts {
    reading: Reading,
    role: Role,
    source: Source,
}

/// One piece, and what is left to be told.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) excerpt: Excerpt,
    pub(super) left: Option<Excerpts>,
}

/// What the pieces are taken from.
#[derive(Debug)]
enum Source {
    /// What is there when a piece is taken. To hold on to one state would make the hub copy it at the next event.
    Now {
        hub: Arc<Hub>,
        /// `None`: no counters are told, so none are read.
        engine: Option<Arc<Engine>>,
    },
    Then(Seen, Option<Arc<Counters>>),
}

impl Source {
    /// The present counters are those of before the answer began, or newer: no piece waits for the kernel.
    async fn look(&self) -> (Seen, Option<Arc<Counters>>) {
        match self {
            Self::Now { hub, engine: None } => (hub.seen(), None),
            Self::Now {
                hub,
                engine: Some(engine),
            } => (hub.seen(), engine.counters_soon().await.ok()),
            Self::Then(seen, counters) => (seen.clone(), counters.clone()),
        }
    }
}

impl Excerpts {
    /// Finds what is asked for, and gives the first piece.
    pub(super) async fn open(session: &Session, ask: ExcerptAsk) -> Result<Piece, Refusal> {
        let doors = &session.doors;
        let source = match ask.at_wall_ms {
            None => Source::Now {
                hub: Arc::clone(&doors.hub),
                engine: (!ask.is_of_agent_alone()).then(|| Arc::clone(&doors.engine)),
            },
            Some(at) => {
                let (seen, counters) = doors.past(at)?;
                Source::Then(seen, counters.map(Arc::new))
            }
        };
        let role = session.role;
        let (seen, counters) = source.look().await;
        // Looking for one among many thousand takes its time; the workers have checks to run.
        blocking(move || {
            let view = View::new(&seen.state, seen.now, seen.wall_ms).with_counters(counters.as_deref());
            let reading = Reading::new(&view, &ask)?;
            let excerpts = Self {
                reading,
                role,
                source,
            };
            Ok(excerpts.piece(&view, seen.seq))
        })
        .await
    }

    /// The next piece; the last says so, and nothing is left after it.
    pub(super) async fn next(self) -> Piece {
        let (seen, counters) = self.source.look().await;
        blocking(move || {
            let view = View::new(&seen.state, seen.now, seen.wall_ms).with_counters(counters.as_deref());
            self.piece(&view, seen.seq)
        })
        .await
    }

    fn piece(mut self, view: &View<'_>, seq: u64) -> Piece {
        let mut excerpt = self.reading.next(view, seq);
        excerpt.snapshot.role = Some(self.role);
        let left = excerpt.more.then_some(self);
        Piece { excerpt, left }
    }
}

/// Runs beside the workers.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It ends only by a panic, which goes on here.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
