//! How much is logged, changed while the agent runs. A change ends by itself: nobody finds a disk full of it later.

use lb_shared::event::Actor;
use lb_shared::loglevel::{LogAsk, LogChange, LogLevel, LogOf, LogOne, LogView};
use lb_shared::request::{Refusal, RefusalCode, Reply};
use lb_shared::text;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The log belongs to another room; these are its handles.
#[derive(Clone, Copy, Debug)]
pub struct LogSetup {
    /// What it was started with.
    pub current: fn() -> String,
    /// Sets a level; `None` is what it was started with.
    pub set: fn(Option<LogLevel>) -> Result<(), String>,
    /// Sets whose events have a level of their own, instead of those before.
    pub choose: fn(Vec<(LogOf, LogLevel)>),
}

/// The most names with levels of their own.
const ONES_MAX: usize = 64;

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
    /// By the name somebody gave.
    ones: BTreeMap<String, One>,
    /// Counts changes, so that the end of an older one leaves a newer alone.
    turn: u64,
}

/// A level of some objects or a topic.
#[derive(Debug)]
struct One {
    of: Vec<LogOf>,
    level: LogLevel,
    until: Instant,
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

    /// Tells or changes the level. `resolve` finds what a name means. Call it inside the runtime: it leaves a task behind
    /// that ends the change.
    pub(super) fn answer(
        self: &Arc<Self>,
        asked: LogAsk,
        actor: &Actor,
        resolve: impl FnOnce(&str) -> Result<Vec<LogOf>, Refusal>,
    ) -> Reply {
        match asked.change {
            LogChange::Show => {}
            LogChange::One { name, level, for_ms } => {
                let of = match level {
                    None => Vec::new(),
                    Some(_) => match resolve(&name) {
                        Ok(of) => of,
                        Err(refusal) => return Reply::Refused(refusal),
                    },
                };
                let one = level.map(|level| (of, level, Duration::from_millis(for_ms)));
                if let Err(refusal) = self.choose(&name, one, actor, asked.dry_run) {
                    return Reply::Refused(refusal);
                }
            }
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

    /// A name gets a level of its own, or loses it.
    fn choose(
        self: &Arc<Self>,
        name: &str,
        one: Option<(Vec<LogOf>, LogLevel, Duration)>,
        actor: &Actor,
        dry_run: bool,
    ) -> Result<(), Refusal> {
        let shown = text::escape(name);
        let mut set = self.lock();
        let Some((of, level, lasts)) = one else {
            if !set.ones.contains_key(name) {
                return Err(Refusal::new(
                    RefusalCode::NotFound,
                    format!("{shown} has no level of its own"),
                    "lbctl log lists those that have",
                ));
            }
            if !dry_run {
                set.ones.remove(name);
                (self.setup.choose)(set.rules());
                tracing::info!(
                    "log level of {shown} as that of others again, by {} (uid {})",
                    actor.user,
                    actor.uid
                );
            }
            return Ok(());
        };
        let until = Instant::now().checked_add(lasts);
        let Some(until) = until.filter(|_| set.ones.len() < ONES_MAX || set.ones.contains_key(name)) else {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                format!("{ONES_MAX} names have levels of their own, or the time is too long"),
                "end one with NAME=default",
            ));
        };
        if dry_run {
            return Ok(());
        }
        set.turn += 1;
        let turn = set.turn;
        let one = One {
            of,
            level,
            until,
            turn,
        };
        set.ones.insert(name.to_owned(), one);
        (self.setup.choose)(set.rules());
        drop(set);
        tracing::info!(
            "log level of {shown} {} for {}, by {} (uid {}, pid {})",
            level.word(),
            text::span(lasts),
            actor.user,
            actor.uid,
            actor.pid
        );
        tokio::spawn(Arc::clone(self).end_one(name.to_owned(), turn, until));
        Ok(())
    }

    async fn end_one(self: Arc<Self>, name: String, turn: u64, until: Instant) {
        tokio::time::sleep_until(until.into()).await;
        let mut set = self.lock();
        if set.ones.get(&name).is_some_and(|one| one.turn == turn) {
            set.ones.remove(&name);
            (self.setup.choose)(set.rules());
            tracing::info!(
                "log level of {} as that of others again: its time is over",
                text::escape(&name)
            );
        }
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
            left_ms: level.map(|(_, left)| ms(left)),
            ones: {
                let now = Instant::now();
                let set = self.lock();
                let ones = set.ones.iter().map(|(name, one)| LogOne {
                    name: name.clone(),
                    level: one.level,
                    left_ms: ms(one.until.saturating_duration_since(now)),
                });
                ones.collect()
            },
        }
    }
}

impl Set {
    fn rules(&self) -> Vec<(LogOf, LogLevel)> {
        let ones = self.ones.values();
        ones.flat_map(|one| one.of.iter().map(|of| (of.clone(), one.level)))
            .collect()
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn refusal(why: &str) -> Reply {
    Reply::Refused(Refusal::new(
        RefusalCode::Internal,
        format!("the log level was not changed: {why}"),
        "",
    ))
}
