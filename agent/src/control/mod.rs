//! Control: the room where clients are heard.
//!
//! Promises: whoever connects is known by the kernel's word only and gets one role for the life of the connection; no
//! client can delay the engine or another client; everything a client may read is answered from the [`hub`], which
//! folds the engine's events as every watching client does. Only acts, reloads and counters go to the engine, through
//! [`ToEngine`]; what they do is decided there.

mod engine;
mod excerpts;
mod frames;
mod history;
mod hub;
mod kept;
mod limits;
mod lines;
mod listen;
mod loglevel;
mod metrics;
mod ops;
mod outbox;
mod peer;
mod port;
mod session;
mod spare;
mod wait;

pub use engine::{Ask, ToEngine};
pub use kept::{Keeper, LastEvents};
pub use listen::BindError;
pub use loglevel::LogSetup;
pub use metrics::MetricsSetup;
pub use peer::PeerGroups;

use engine::Engine;
use hub::Hub;
use lb_shared::event::Event;
use peer::Roles;
use session::Doors;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// What the room needs to know to open.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The socket on which the peer decides the role.
    pub socket: PathBuf,
    /// A socket on which everybody is a viewer, if one is wanted.
    pub read_only: Option<PathBuf>,
    /// The moment [`lb_shared::units::Mono::ZERO`] stands for.
    pub epoch: Instant,
    /// `SO_PEERGROUPS`: an option only unsafe code can read, so it comes from outside.
    pub peer_groups: PeerGroups,
    /// Called in a quiet moment after many events; from outside for the same reason.
    pub give_memory_back: fn(),
    pub metrics: MetricsSetup,
    /// Keeps events over the end of the agent, if they are to be kept.
    pub keeper: Option<Keeper>,
    pub log: LogSetup,
}

impl Setup {
    /// A room with this socket and nothing else: no groups of peers are known, nothing is measured or kept, and the log
    /// takes every level.
    pub fn at(socket: PathBuf) -> Self {
        Self {
            socket,
            read_only: None,
            epoch: Instant::now(),
            peer_groups: |_| Ok(Vec::new()),
            give_memory_back: || {},
            metrics: MetricsSetup::default(),
            keeper: None,
            log: LogSetup {
                current: || "info".to_owned(),
                set: |_| Ok(()),
                choose: |_| {},
            },
        }
    }
}

/// Opens the sockets and serves them on `runtime` until the handle is gone.
///
/// Takes over a socket that a dead agent left; refuses whatever else is in the way. Call it with the instance lock
/// held.
pub fn start(setup: &Setup, engine: ToEngine, runtime: &Handle) -> Result<ControlHandle, BindError> {
    let _entered = runtime.enter();
    let roles = Roles::resolve();
    let door = listen::Door::open(&setup.socket, roles.admin_gid)?;
    let read_only = match &setup.read_only {
        Some(path) => Some(listen::Door::open(path, roles.viewer_gid)?),
        None => None,
    };
    let hub = Arc::new(Hub::new(setup.epoch));
    if let Some(keeper) = &setup.keeper {
        hub.recall(keeper.past());
    }
    let (events, incoming) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let engine = Arc::new(Engine::new(engine, Arc::clone(&hub)));
    let doors = Doors::new(
        Arc::clone(&hub),
        Arc::clone(&engine),
        roles,
        setup.peer_groups,
        stopped.clone(),
        setup.metrics,
        setup.log,
    );
    let samples = Arc::clone(&doors.samples);
    runtime.spawn(until(
        stopped.clone(),
        engine::sample_history(Arc::clone(&engine), Arc::clone(&hub), samples),
    ));
    if let Some(keeper) = &setup.keeper {
        let keep = kept::keep(
            Arc::clone(&hub),
            keeper.clone(),
            limits::KEEP_SOON,
            limits::KEEP_PAUSE,
        );
        runtime.spawn(until(stopped.clone(), keep));
    }
    let (last, folded) = LastEvents::of(&hub);
    let pump = pump(Arc::clone(&hub), incoming, setup.give_memory_back);
    runtime.spawn(async move {
        pump.await;
        // Nobody may want to know.
        let _ = folded.send(());
    });
    if let Some(address) = setup.metrics.port {
        runtime.spawn(until(stopped.clone(), port::serve(Arc::clone(&doors), address)));
    }
    runtime.spawn(until(stopped, engine::sample_drains(engine, hub)));
    runtime.spawn(session::accept(Arc::clone(&doors), door, None));
    if let Some(door) = read_only {
        runtime.spawn(session::accept(
            doors,
            door,
            Some(lb_shared::request::Role::Viewer),
        ));
    }
    Ok(ControlHandle {
        events,
        stop,
        last: Some(last),
    })
}

/// Folds the engine's events. The engine only queues them: copying a big state may take longer than it can wait.
async fn pump(hub: Arc<Hub>, mut incoming: mpsc::UnboundedReceiver<Event>, give_memory_back: fn()) {
    let mut told = 0_u32;
    loop {
        let event = if told < limits::MANY_EVENTS {
            incoming.recv().await
        } else {
            match tokio::time::timeout(limits::QUIET, incoming.recv()).await {
                Ok(event) => event,
                Err(_) => {
                    // What it took to read a file and to tell of every object in it is free by now.
                    told = 0;
                    give_memory_back();
                    continue;
                }
            }
        };
        let Some(event) = event else { return };
        hub.publish(event);
        told += 1;
    }
}

/// Runs `task` until the handle is dropped.
async fn until(mut stopped: watch::Receiver<bool>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = task => {}
        _ = stopped.changed() => {}
    }
}

/// The engine's end of the room. Sockets close and their files go when it is dropped.
#[derive(Debug)]
pub struct ControlHandle {
    events: mpsc::UnboundedSender<Event>,
    stop: watch::Sender<bool>,
    last: Option<LastEvents>,
}

impl ControlHandle {
    /// What gives the last events when the engine has ended; once.
    pub fn last_events(&mut self) -> Option<LastEvents> {
        self.last.take()
    }

    /// Tells everybody what happened; never waits.
    pub fn emit(&self, event: Event) {
        // The receiver lives as long as the runtime; without one there is nobody left to tell.
        let _ = self.events.send(event);
    }
}

impl Drop for ControlHandle {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

#[cfg(test)]
mod tests;
