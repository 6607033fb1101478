//! The way to the engine: acts, reloads and counters, and nothing else.

use super::history::{self, Samples};
use super::hub::Hub;
use super::limits;
use lb_shared::counters::{Counters, ServerCounters};
use lb_shared::drain;
use lb_shared::event::Actor;
use lb_shared::expect::Expected;
use lb_shared::history::ServerRuns;
use lb_shared::names::ServerId;
use lb_shared::request::{Act, Refusal, RefusalCode, Reply, Role};
use lb_shared::state::Admin;
use lb_shared::trial::TestAsk;
use lb_shared::units::Mono;
use lb_shared::whatif::WhatIf;
use lb_shared::window::CounterSums;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, oneshot};

/// What only the engine can answer. A dropped `reply` counts as no answer.
#[derive(Debug)]
pub enum Ask {
    Act {
        actor: Actor,
        /// What the connection may do: an undo must be allowed what it does.
        role: Role,
        act: Act,
        /// What was seen of its targets: it is done only if that still holds.
        expect: Vec<Expected>,
        reply: oneshot::Sender<Reply>,
    },
    Reload {
        actor: Actor,
        dry_run: bool,
        force: bool,
        /// It is taken back after so long unless it is confirmed.
        confirm: Option<Duration>,
        reply: oneshot::Sender<Reply>,
    },
    /// The configuration that waits to be confirmed stays.
    Confirm {
        actor: Actor,
        reply: oneshot::Sender<Reply>,
    },
    /// The configuration in force is to be shown.
    Config {
        /// Every setting, not what the files say.
        settings: bool,
        reply: oneshot::Sender<Reply>,
    },
    /// All counters but those of servers, once the kernel's are read.
    Counters { reply: oneshot::Sender<Reply> },
    /// The counters of the servers that follow this one, a slice of them; an empty one is the end.
    ServerCounters {
        after: Option<ServerId>,
        reply: oneshot::Sender<Vec<(ServerId, ServerCounters)>>,
    },
    /// How the last checks of these servers ended.
    Runs {
        servers: Vec<ServerId>,
        reply: oneshot::Sender<Vec<ServerRuns>>,
    },
    /// Checks are to be run once.
    Test {
        asked: TestAsk,
        reply: oneshot::Sender<Reply>,
    },
    Foresee {
        asked: WhatIf,
        reply: oneshot::Sender<Reply>,
    },
}

/// Hands an [`Ask`] to the core thread; must not wait. `false` says that it is gone.
#[derive(Clone)]
pub struct ToEngine(Arc<dyn Fn(Ask) -> bool + Send + Sync>);

impl ToEngine {
    /// Wraps the way to the core, such as the sending end of its queue.
    pub fn new(send: impl Fn(Ask) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }
}

impl fmt::Debug for ToEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToEngine")
    }
}

/// [`ToEngine`] with what is remembered between questions.
#[derive(Debug)]
pub(super) struct Engine {
    to: ToEngine,
    hub: Arc<Hub>,
    counters: Mutex<Sampled>,
    /// The last counters, to be had while new ones are read.
    known: std::sync::Mutex<Option<Known>>,
    /// Sums over counters that somebody looked at.
    added: std::sync::Mutex<Option<(Weak<Counters>, Arc<CounterSums>)>>,
}

#[derive(Clone, Debug)]
struct Known {
    counters: Arc<Counters>,
    at: Instant,
    /// How long reading them took.
    took: Duration,
}

#[derive(Debug, Default)]
struct Sampled {
    at: Option<Instant>,
    counters: Arc<Counters>,
    /// Active connections of draining servers over the last minute.
    drains: BTreeMap<ServerId, VecDeque<(Mono, u64)>>,
}

impl Engine {
    pub(super) fn new(to: ToEngine, hub: Arc<Hub>) -> Self {
        Self {
            to,
            hub,
            counters: Mutex::default(),
            known: std::sync::Mutex::default(),
            added: std::sync::Mutex::default(),
        }
    }

    /// Carries an act to the engine, which also knows the keys it has answered already.
    pub(super) async fn act(&self, actor: Actor, role: Role, act: Act, expect: Vec<Expected>) -> Reply {
        self.ask(|reply| Ask::Act {
            actor,
            role,
            act,
            expect,
            reply,
        })
        .await
    }

    /// Has the configuration loaded.
    pub(super) async fn reload(
        &self,
        actor: Actor,
        dry_run: bool,
        force: bool,
        confirm: Option<Duration>,
    ) -> Reply {
        self.ask(|reply| Ask::Reload {
            actor,
            dry_run,
            force,
            confirm,
            reply,
        })
        .await
    }

    /// The configuration that waits to be confirmed stays.
    pub(super) async fn confirm(&self, actor: Actor) -> Reply {
        self.ask(|reply| Ask::Confirm { actor, reply }).await
    }

    /// The configuration in force.
    pub(super) async fn config(&self, settings: bool) -> Reply {
        self.ask(|reply| Ask::Config { settings, reply }).await
    }

    /// What would happen; answered by a copy of the engine.
    pub(super) async fn foresee(&self, asked: WhatIf) -> Reply {
        self.ask(|reply| Ask::Foresee { asked, reply }).await
    }

    /// Has checks run once.
    pub(super) async fn test(&self, asked: TestAsk) -> Reply {
        self.ask(|reply| Ask::Test { asked, reply }).await
    }

    /// How the last checks of these servers ended; nothing when the engine does not answer in time.
    pub(super) async fn runs(&self, servers: Vec<ServerId>) -> Vec<ServerRuns> {
        let (reply, answer) = oneshot::channel();
        if servers.is_empty() || !(self.to.0)(Ask::Runs { servers, reply }) {
            return Vec::new();
        }
        match tokio::time::timeout(limits::COUNTERS, answer).await {
            Ok(Ok(runs)) => runs,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    /// All counters, at most a second old; whoever asks meanwhile shares the answer.
    pub(super) async fn counters(self: &Arc<Self>) -> Result<Arc<Counters>, Refusal> {
        let engine = Arc::clone(self);
        // Goes on when nobody waits any more: what it brings is good for the next who asks.
        let reading = tokio::spawn(async move { engine.read_counters().await });
        match tokio::time::timeout(limits::COUNTERS, reading).await {
            Ok(Ok(counters)) => counters,
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(slow(limits::COUNTERS)),
        }
    }

    async fn read_counters(&self) -> Result<Arc<Counters>, Refusal> {
        let mut sampled = self.counters.lock().await;
        if let Some(fresh) = sampled.fresh() {
            return Ok(fresh);
        }
        let began = Instant::now();
        let read = self.sample().await?;
        let counters = sampled.remember(&self.hub, read);
        let known = Known {
            counters: Arc::clone(&counters),
            at: Instant::now(),
            took: began.elapsed(),
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(counters)
    }

    /// The counters without a wait that people notice: where reading them takes long, those read last are given and new
    /// ones read behind the answer. They say themselves of which moment they are.
    pub(super) async fn counters_soon(self: &Arc<Self>) -> Result<Arc<Counters>, Refusal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known)
                if known.took > limits::COUNTERS_QUICK && known.at.elapsed() < limits::COUNTERS_STALE =>
            {
                // Reading is not to take more than a share of the time, however often somebody looks.
                let fresh = limits::COUNTERS_SLOW.max(known.took * limits::COUNTERS_SHARE);
                if known.at.elapsed() >= fresh {
                    let engine = Arc::clone(self);
                    tokio::spawn(async move { engine.counters().await });
                }
                Ok(known.counters)
            }
            Some(_) | None => self.counters().await,
        }
    }

    /// Sums over counters; added up once for all who look at the same.
    pub(super) async fn sums(&self, counters: &Arc<Counters>) -> Arc<CounterSums> {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((of, sums)) = added
            && of.upgrade().is_some_and(|of| Arc::ptr_eq(&of, counters))
        {
            return sums;
        }
        let of = Arc::clone(counters);
        let sums = Arc::new(super::excerpts::blocking(move || CounterSums::of(&of)).await);
        let added = (Arc::downgrade(counters), Arc::clone(&sums));
        *self.added.lock().unwrap_or_else(PoisonError::into_inner) = Some(added);
        sums
    }

    /// Has the kernel read, then takes the servers slice by slice: between two slices the core does its work.
    async fn sample(&self) -> Result<Counters, Refusal> {
        let mut counters = match self.ask(|reply| Ask::Counters { reply }).await {
            Reply::Counters(counters) => *counters,
            Reply::Refused(refusal) => return Err(refusal),
            other => {
                return Err(Refusal::new(
                    RefusalCode::Internal,
                    format!(
                        "the engine answered counters with {:?}",
                        std::mem::discriminant(&other)
                    ),
                    "",
                ));
            }
        };
        let mut servers: Vec<(ServerId, ServerCounters)> = Vec::new();
        loop {
            let after = servers.last().map(|(id, _)| id.clone());
            let (reply, answer) = oneshot::channel();
            if !(self.to.0)(Ask::ServerCounters { after, reply }) {
                return Err(stopping());
            }
            let slice = answer.await.map_err(|_| stopping())?;
            if slice.is_empty() {
                // They are in order: as a whole they are a map sooner than one by one.
                counters.servers = servers.into_iter().collect();
                return Ok(counters);
            }
            servers.extend(slice);
        }
    }

    async fn ask(&self, ask: impl FnOnce(oneshot::Sender<Reply>) -> Ask) -> Reply {
        self.ask_within(limits::ENGINE, ask).await
    }

    async fn ask_within(&self, limit: Duration, ask: impl FnOnce(oneshot::Sender<Reply>) -> Ask) -> Reply {
        let (reply, answer) = oneshot::channel();
        let gone = || Reply::Refused(stopping());
        if !(self.to.0)(ask(reply)) {
            return gone();
        }
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => gone(),
            Err(_) => Reply::Refused(slow(limit)),
        }
    }
}

fn stopping() -> Refusal {
    Refusal::new(
        RefusalCode::Internal,
        "the agent is stopping",
        "ask again when it runs",
    )
}

fn slow(limit: Duration) -> Refusal {
    Refusal::new(
        RefusalCode::Busy,
        format!("the engine did not answer within {} s", limit.as_secs()),
        "look at lbctl status and events before you repeat it: it may still be done",
    )
}

impl Sampled {
    fn fresh(&self) -> Option<Arc<Counters>> {
        let fresh = self.at.is_some_and(|at| at.elapsed() < limits::COUNTERS_FRESH);
        fresh.then(|| Arc::clone(&self.counters))
    }

    fn remember(&mut self, hub: &Hub, mut counters: Counters) -> Arc<Counters> {
        let seen = hub.seen();
        let draining = |id: &ServerId| {
            let view = seen.state.servers.get(id)?;
            view.drain.as_ref().filter(|_| view.admin == Admin::Draining)
        };
        self.drains.retain(|id, _| draining(id).is_some());
        for (id, server) in &mut counters.servers {
            if let Some(drain) = draining(id) {
                let samples = self.drains.entry(id.clone()).or_default();
                drain::remember(samples, seen.now, drain.left(server));
                server.drain_eta_s = drain::eta(samples.make_contiguous()).map(|eta| eta.as_secs());
            }
        }
        self.at = Some(Instant::now());
        self.counters = Arc::new(counters);
        Arc::clone(&self.counters)
    }
}

/// Looks at the counters now and then while something drains, so that the estimate has a history.
pub(super) async fn sample_drains(engine: Arc<Engine>, hub: Arc<Hub>) {
    let mut tick = tokio::time::interval(limits::DRAIN_SAMPLE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let draining = hub
            .seen()
            .state
            .servers
            .values()
            .any(|view| view.admin == Admin::Draining);
        if draining {
            // Without an answer there is no estimate; the next round tries again.
            let _ = engine.counters().await;
        }
    }
}

/// Samples everything now and then, for those who look back.
pub(super) async fn sample_history(engine: Arc<Engine>, hub: Arc<Hub>, samples: Arc<Samples>) {
    loop {
        let step = history::step(hub.seen().state.servers.len());
        tokio::time::sleep(step).await;
        // While the engine is busy there is no sample; the next round tries again.
        if let Ok(counters) = engine.counters().await {
            let (hub, samples) = (Arc::clone(&hub), Arc::clone(&samples));
            // Many servers take their time; the workers have checks to run.
            let taken = tokio::task::spawn_blocking(move || {
                let seen = hub.seen();
                samples.take(&seen.state, &counters, seen.now);
            });
            let _ = taken.await;
        }
    }
}
