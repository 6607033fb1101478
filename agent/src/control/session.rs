//! Connections: who is let in, how many, and in which dialect they are served.

use super::engine::Engine;
use super::history::Samples;
use super::hub::{Hub, Seen};
use super::limits::{self, Budget};
use super::listen::Door;
use super::loglevel::{LogDial, LogSetup};
use super::metrics::{self, MetricsSetup, Served};
use super::peer::{self, Peer, PeerGroups, Roles};
use super::spare::Spare;
use super::{excerpts, frames, lines};
use lb_shared::counters::Counters;
use lb_shared::event::Actor;
use lb_shared::expect::Expected;
use lb_shared::frame::FIRST_BYTE;
use lb_shared::history::{History, HistoryAsk, Past};
use lb_shared::loglevel::LogOf;
use lb_shared::request::{Act, MetricsAsk, Refusal, RefusalCode, Reply, Request, Role};
use lb_shared::state::ObjectId;
use lb_shared::view::View;
use lb_shared::window::{Told, Window, WindowAsk};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) hub: Arc<Hub>,
    pub(super) engine: Arc<Engine>,
    roles: Roles,
    groups: PeerGroups,
    stopped: watch::Receiver<bool>,
    inside: Mutex<BTreeMap<u32, usize>>,
    acts: Mutex<BTreeMap<u32, Budget>>,
    names: Mutex<BTreeMap<u32, String>>,
    watches: AtomicUsize,
    pub(super) samples: Arc<Samples>,
    metrics: MetricsSetup,
    log: Arc<LogDial>,
    requests: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

impl Doors {
    pub(super) fn new(
        hub: Arc<Hub>,
        engine: Arc<Engine>,
        roles: Roles,
        groups: PeerGroups,
        stopped: watch::Receiver<bool>,
        metrics: MetricsSetup,
        log: LogSetup,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub,
            engine,
            roles,
            groups,
            stopped,
            inside: Mutex::default(),
            acts: Mutex::default(),
            names: Mutex::default(),
            watches: AtomicUsize::new(0),
            samples: Arc::default(),
            metrics,
            log: LogDial::new(log),
            requests: Mutex::default(),
        })
    }

    /// Counts a request by how it ended.
    pub(super) fn count(&self, op: &'static str, refused: Option<RefusalCode>) {
        let result = refused.map_or("ok", RefusalCode::word);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((op, result)).or_default() += 1;
    }

    /// Everything that is measured. Without the counters, as while the engine is busy, the rest is worth having.
    pub(super) async fn metrics(&self, asked: MetricsAsk) -> Result<String, Refusal> {
        let counters = self.engine.counters().await.ok();
        let seen = self.hub.seen();
        let tally = self.hub.tally();
        let setup = self.metrics;
        let served = Served {
            requests: self
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            clients: self
                .inside
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .values()
                .sum(),
        };
        // A page of many thousand servers takes its time; the workers have checks to run.
        let page = tokio::task::spawn_blocking(move || {
            let view = View::new(&seen.state, seen.now, seen.wall_ms).with_counters(counters.as_deref());
            metrics::page(&view, &tally, &served, setup, asked)
        });
        page.await.map_err(|error| {
            Refusal::new(
                RefusalCode::Internal,
                format!("the metrics could not be written: {error}"),
                "look at the agent's log",
            )
        })
    }

    /// A place inside for one of this uid's connections.
    fn admit(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = inside.values().sum();
        let own = inside.get(&uid).copied().unwrap_or(0);
        let room = if uid == 0 {
            all < limits::CONNECTIONS
        } else {
            all < limits::CONNECTIONS - limits::CONNECTIONS_FOR_ROOT && own < limits::CONNECTIONS_PER_UID
        };
        room.then(|| {
            *inside.entry(uid).or_default() += 1;
            Place {
                doors: Arc::clone(self),
                uid,
            }
        })
    }

    /// A stream of events for a connection that has `own` already.
    pub(super) fn open_watch(self: &Arc<Self>, own: usize) -> Result<WatchPlace, Refusal> {
        let refusal = |what: &str| {
            Refusal::new(
                RefusalCode::Busy,
                format!("{what} follows as many event streams as it may"),
                "end one first",
            )
        };
        if own >= limits::WATCHES_PER_CONNECTION {
            return Err(refusal("this connection"));
        }
        let taken = self
            .watches
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < limits::WATCHES).then_some(open + 1)
            });
        match taken {
            Ok(_) => Ok(WatchPlace {
                doors: Arc::clone(self),
            }),
            Err(_) => Err(refusal("the agent")),
        }
    }

    /// Samples of the past, with the ends of checks of the servers that were named.
    pub(super) async fn history(&self, asked: HistoryAsk) -> Result<History, Refusal> {
        let mut servers = Vec::new();
        if asked.checks {
            for object in &asked.objects {
                if let ObjectId::Server(id) = object {
                    servers.push(id.clone());
                }
            }
            servers.truncate(limits::HISTORY_CHECKS);
        }
        let seen = self.hub.seen();
        let mut history = self.samples.history(&asked, seen.now, seen.wall_ms)?;
        for runs in self.engine.runs(servers).await {
            let object = ObjectId::Server(runs.server);
            if let Some(row) = history.rows.iter_mut().find(|row| row.object == object) {
                row.checks = runs.runs;
            }
        }
        Ok(history)
    }

    /// Everything as it was at a moment.
    pub(super) fn past(&self, wall_ms: u64) -> Result<(Seen, Option<Counters>), Refusal> {
        let seen = self.hub.seen_at(wall_ms)?;
        let counters = self.samples.counters_at(seen.now);
        Ok((seen, counters))
    }

    /// How long an act of this uid has to wait.
    fn act_delay(&self, uid: u32) -> Duration {
        let now = Instant::now();
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.entry(uid)
            .or_insert_with(|| Budget::new(limits::ACT_BURST, limits::ACTS_PER_S, now))
            .take(now)
    }

    /// Who acts. The name is looked up once per uid, off the event loop, and does without when that takes too long.
    async fn actor(&self, peer: &Peer) -> Actor {
        let known = {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&peer.uid).cloned()
        };
        let uid = peer.uid;
        let user = match known {
            Some(user) => user,
            None => {
                let lookup = tokio::task::spawn_blocking(move || peer::user_name(uid));
                match timeout(Duration::from_secs(1), lookup).await {
                    Ok(Ok(user)) => {
                        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
                        names.insert(uid, user.clone());
                        user
                    }
                    Ok(Err(_)) | Err(_) => uid.to_string(),
                }
            }
        };
        Actor {
            uid,
            pid: peer.pid,
            user,
        }
    }
}

/// One connection's share of the limits; given back when dropped.
#[derive(Debug)]
struct Place {
    doors: Arc<Doors>,
    uid: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.doors.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.uid);
            }
        }
    }
}

/// One event stream's share of the limits.
#[derive(Debug)]
pub(super) struct WatchPlace {
    doors: Arc<Doors>,
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        self.doors.watches.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Takes connections until the agent stops.
pub(super) async fn accept(doors: Arc<Doors>, mut door: Door, at_most: Option<Role>) {
    let mut stopped = doors.stopped.clone();
    let mut check = tokio::time::interval(limits::SOCKET_CHECK);
    let mut spare = Spare::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = check.tick() => match door.restore() {
                Ok(false) => {}
                Ok(true) => tracing::warn!("the control socket was deleted; it is back"),
                Err(error) => tracing::error!("the control socket is gone and cannot be put back: {error}"),
            },
            taken = door.listener.accept() => match taken {
                Ok((stream, _)) => {
                    tokio::spawn(admit(Arc::clone(&doors), stream, at_most));
                }
                // That passes, and spinning would not help it.
                Err(error) => spare.hang_up(&door.listener, &error).await,
            },
        }
    }
}

async fn admit(doors: Arc<Doors>, stream: UnixStream, at_most: Option<Role>) {
    let mut stopped = doors.stopped.clone();
    let served = async {
        let peer = match peer::peer_of(&stream, doors.groups) {
            Ok(peer) => peer,
            Err(error) => {
                tracing::warn!("cannot tell who connected: {error}; connection closed");
                return;
            }
        };
        let (role, refusal) = match doors.roles.of(&peer) {
            Some(role) => (role, None),
            None => (
                Role::Viewer,
                Some(Refusal::new(
                    RefusalCode::Forbidden,
                    format!("uid {} has no role here", peer.uid),
                    format!(
                        "use an account that is in the group {}",
                        lb_shared::paths::GROUP_ADMIN
                    ),
                )),
            ),
        };
        let place = doors.admit(peer.uid);
        let refusal = refusal.or_else(|| {
            place.is_none().then(|| {
                Refusal::new(
                    RefusalCode::Busy,
                    "too many connections to the agent",
                    "close some and try again",
                )
            })
        });
        let session = Session {
            role: at_most.map_or(role, |most| role.min(most)),
            peer,
            doors: Arc::clone(&doors),
        };
        serve(session, stream, refusal).await;
    };
    tokio::select! {
        () = served => {}
        _ = stopped.changed() => {}
    }
}

/// One connection: who it is and what it may.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) role: Role,
    pub(super) peer: Peer,
    pub(super) doors: Arc<Doors>,
}

/// Tells the dialect by the first byte and serves it.
async fn serve(session: Session, mut stream: UnixStream, refusal: Option<Refusal>) {
    let mut first = [0];
    // The time limit holds for whoever is not really here; a shell user may think before typing.
    let read = if refusal.is_some() {
        timeout(limits::PREFACE, stream.read(&mut first)).await
    } else {
        Ok(stream.read(&mut first).await)
    };
    match read {
        Ok(Ok(1)) => {}
        Ok(Ok(_) | Err(_)) | Err(_) => return,
    }
    match first[0] {
        FIRST_BYTE => frames::serve(session, stream, refusal).await,
        b'{' | b' ' | b'\t' | b'\r' | b'\n' => lines::serve(session, stream, first[0], refusal).await,
        _ => {
            let refusal = Refusal::new(
                RefusalCode::BadJson,
                "this is neither JSON nor the binary protocol",
                "send one JSON object per line, such as {\"op\":\"status\"}",
            );
            let line = lines::refusal_line(None, &refusal);
            let _ = timeout(limits::WRITE_STALL, stream.write_all(&line)).await;
        }
    }
}

impl Session {
    /// Whether this connection may ask this.
    pub(super) fn allow(&self, request: &Request) -> Result<(), Refusal> {
        let needed = request.role();
        if self.role >= needed {
            return Ok(());
        }
        Err(Refusal::forbidden(needed, self.role))
    }

    /// The one answer to a request that has one.
    pub(super) async fn answer(&self, request: Request) -> Reply {
        if let Err(refusal) = self.allow(&request) {
            return Reply::Refused(refusal);
        }
        match request {
            Request::Hello { .. } => {
                let seen = self.doors.hub.seen();
                Reply::Hello(lb_shared::request::Hello {
                    agent: seen.state.agent.version.clone(),
                    host: seen.state.agent.host.clone(),
                    role: self.role,
                })
            }
            Request::Snapshot => Reply::Snapshot(Box::new(self.doors.hub.seen().snapshot(self.role))),
            Request::Counters => match self.doors.engine.counters_soon().await {
                Ok(counters) => Reply::Counters(Box::new((*counters).clone())),
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Events { after, limit } => Reply::Events(
                self.doors
                    .hub
                    .events(after, limit as usize)
                    .iter()
                    .map(|event| (**event).clone())
                    .collect(),
            ),
            Request::Watch | Request::Listen | Request::Excerpt(_) | Request::Window(_) => {
                Reply::Refused(Refusal::new(
                    RefusalCode::BadRequest,
                    "this has an answer only on a connection of frames",
                    "",
                ))
            }
            Request::Metrics(asked) => match self.doors.metrics(asked).await {
                Ok(text) => Reply::Metrics(text),
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::History(asked) => match self.doors.history(asked).await {
                Ok(history) => Reply::History(Box::new(history)),
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Past { wall_ms } => match self.doors.past(wall_ms) {
                Ok((seen, counters)) => Reply::Past(Box::new(Past {
                    snapshot: seen.snapshot(self.role),
                    counters,
                })),
                Err(refusal) => Reply::Refused(refusal),
            },
            Request::Act(act) => self.act(act, Vec::new()).await,
            Request::ActIf(act, expect) => self.act(act, expect).await,
            Request::WhatIf(asked) => {
                tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
                self.doors.engine.foresee(asked).await
            }
            Request::Test(asked) => {
                tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
                self.doors.engine.test(asked).await
            }
            Request::Log(asked) => {
                tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
                let actor = self.doors.actor(&self.peer).await;
                self.doors.log.answer(asked, &actor, |name| {
                    let seen = self.doors.hub.seen();
                    LogOf::resolve(&View::new(&seen.state, seen.now, seen.wall_ms), name)
                })
            }
            Request::Reload { dry_run, force } => self.reload(dry_run, force, None).await,
            Request::ReloadFor { force, for_ms } => {
                let within = Duration::from_millis(for_ms);
                self.reload(false, force, Some(within)).await
            }
            asked @ (Request::Config | Request::Settings) => {
                let settings = asked == Request::Settings;
                tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
                self.doors.engine.config(settings).await
            }
            Request::Confirmed => {
                tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
                let actor = self.doors.actor(&self.peer).await;
                let engine = Arc::clone(&self.doors.engine);
                finish(tokio::spawn(async move { engine.confirm(actor).await })).await
            }
        }
    }

    /// What changed of the numbers since this connection was `told`.
    pub(super) async fn window(&self, ask: WindowAsk, mut told: Told) -> Result<(Window, Told), Refusal> {
        let engine = &self.doors.engine;
        let counters = engine.counters_soon().await?;
        let sums = engine.sums(&counters).await;
        // Many servers take their time; the workers have checks to run.
        Ok(excerpts::blocking(move || (told.next(ask, &counters, &sums), told)).await)
    }

    async fn reload(&self, dry_run: bool, force: bool, confirm: Option<Duration>) -> Reply {
        tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
        let actor = self.doors.actor(&self.peer).await;
        let engine = Arc::clone(&self.doors.engine);
        finish(tokio::spawn(async move {
            engine.reload(actor, dry_run, force, confirm).await
        }))
        .await
    }
}

/// Who acts is looked up, then the act is carried out to its end even if this connection breaks meanwhile.
impl Session {
    async fn act(&self, act: Act, expect: Vec<Expected>) -> Reply {
        if let Err(refusal) = check_message(&act.message) {
            return Reply::Refused(refusal);
        }
        tokio::time::sleep(self.doors.act_delay(self.peer.uid)).await;
        let role = self.role;
        let actor = self.doors.actor(&self.peer).await;
        let engine = Arc::clone(&self.doors.engine);
        finish(tokio::spawn(
            async move { engine.act(actor, role, act, expect).await },
        ))
        .await
    }
}

async fn finish(task: tokio::task::JoinHandle<Reply>) -> Reply {
    task.await.unwrap_or_else(|error| {
        Reply::Refused(Refusal::new(
            RefusalCode::Internal,
            format!("the agent failed to carry it out: {error}"),
            "look at its log",
        ))
    })
}

fn check_message(message: &str) -> Result<(), Refusal> {
    if message.len() > 256 || lb_shared::text::escape(message) != message {
        return Err(Refusal::new(
            RefusalCode::BadRequest,
            "the message is over 256 bytes or has characters that do not print",
            "shorten it to one line of plain text",
        ));
    }
    Ok(())
}
