//! How much is logged, changed while the agent runs. A change ends by itself: nobody finds a disk full of it later.

use lb_shared::event::Actor;
use lb_shared::loglevel::{LogAsk, LogChange, LogLevel, LogView};
use lb_shared::request::{Refusal, RefusalCode, Reply};
use lb_shared::text;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The log belongs to another room; these are its two handles.
#[derive(Clone, Copy, Debug)]
pub struct LogSetup {
    /// What it was started with.
    pub current: fn() -> String,
    /// Sets a level; `None` is what it was started with.
    pub set: fn(Option<LogLevel>) -> Result<(), String>,
}

/// The level, and when it goes back.
#[derive(Debug)]
pub(super) struct LogDial {
    setup: LogSetup,
    set: Mutex<Set>,
}

#[derive(Debug, Default)]
struct Set {
    /// The level, and until when.
    level: Option<(LogLevel, Instant)>,
    /// Counts changes, so that the end of an older one leaves a newer alone.
    turn: u64,
}

impl LogDial {
    pub(super) fn new(setup: LogSetup) -> Arc<Self> {
        Arc::new(Self {
            setup,
            set: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Set> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells or changes the level. Call it inside the runtime: it leaves a task behind that ends the change.
    pub(super) fn answer(self: &Arc<Self>, asked: LogAsk, actor: &Actor) -> Reply {
        match asked.change {
            LogChange::Show => {}
            LogChange::Default if asked.dry_run => return Reply::Log(self.view(true, None)),
            LogChange::To { level, for_ms } if asked.dry_run => {
                return Reply::Log(self.view(true, Some((level, Duration::from_millis(for_ms)))));
            }
            LogChange::Default => {
                let mut set = self.lock();
                if let Err(why) = (self.setup.set)(None) {
                    return refusal(&why);
                }
                set.turn += 1;
                set.level = None;
                drop(set);
                tracing::info!(
                    "log level as at the start again, by {} (uid {})",
                    actor.user,
                    actor.uid
                );
            }
            LogChange::To { level, for_ms } => {
                let lasts = Duration::from_millis(for_ms);
                let Some(until) = Instant::now().checked_add(lasts) else {
                    return refusal("it would last longer than time does");
                };
                let mut set = self.lock();
                if let Err(why) = (self.setup.set)(Some(level)) {
                    return refusal(&why);
                }
                set.turn += 1;
                set.level = Some((level, until));
                let turn = set.turn;
                drop(set);
                tracing::info!(
                    "log level {} for {}, by {} (uid {}, pid {})",
                    level.word(),
                    text::span(lasts),
                    actor.user,
                    actor.uid,
                    actor.pid
                );
                tokio::spawn(Arc::clone(self).end(turn, until));
            }
        }
        let left = self.lock().level;
        let left = left.map(|(level, until)| (level, until.saturating_duration_since(Instant::now())));
        Reply::Log(self.view(asked.dry_run, left))
    }

    async fn end(self: Arc<Self>, turn: u64, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
        let mut set = self.lock();
        if set.turn != turn {
            return;
        }
        set.level = None;
        match (self.setup.set)(None) {
            Ok(()) => tracing::info!("log level as at the start again: its time is over"),
            Err(why) => tracing::error!("the log level stays: {why}"),
        }
    }

    fn view(&self, dry_run: bool, level: Option<(LogLevel, Duration)>) -> LogView {
        let default = (self.setup.current)();
        LogView {
            dry_run,
            level: level.map_or_else(|| default.clone(), |(level, _)| level.word().to_owned()),
            default,
            left_ms: level.map(|(_, left)| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

fn refusal(why: &str) -> Reply {
    Reply::Refused(Refusal::new(
        RefusalCode::Internal,
        format!("the log level was not changed: {why}"),
        "",
    ))
}
