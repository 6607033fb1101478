//! Links and addresses of the kernel: carrying out operations, and watching.

use super::netlink::{BATCH_COUNT_MAX, Connection, Refused, malformed, wait};
use crate::engine::NetNews;
use crate::net::routing;
use crate::net::rtnl::{self, Notice};
use crate::net::{NetOp, NetTable};
use crate::wire::netlink::{Body, messages};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Room for refusals of a whole batch several times over.
const COMMAND_BUFFER_BYTES: usize = 1 << 20;

/// Room for the notifications of a few thousand addresses that move at once.
const NEWS_BUFFER_BYTES: usize = 8 << 20;

/// How often an interrupted dump is begun anew before its thread rests.
const DUMP_COUNT_MAX: u32 = 5;

/// Carries out address operations.
#[derive(Default)]
pub struct RouteSocket {
    connection: Option<Connection>,
}

impl RouteSocket {
    /// Does operations that are all for rtnetlink, in order, and gives those that were refused.
    ///
    /// An error means that the outcome of all from there on is unknown.
    pub fn execute(&mut self, ops: &[&NetOp]) -> io::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        for (number, chunk) in ops.chunks(BATCH_COUNT_MAX).enumerate() {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                none => none.insert(Connection::open(NETLINK_ROUTE, COMMAND_BUFFER_BYTES)?),
            };
            let answer = connection.batch(chunk.len(), |out, index, seq, ack| {
                let sent = rtnl::encode_op(out, seq, ack, chunk[index]);
                debug_assert!(sent, "not for rtnetlink: {}", chunk[index]);
            });
            match answer {
                Ok(some) => refused.extend(some.into_iter().map(|it| Refused {
                    index: it.index + number * BATCH_COUNT_MAX,
                    ..it
                })),
                Err(error) => {
                    // Late answers must not be taken for those of later requests.
                    self.connection = None;
                    return Err(error);
                }
            }
        }
        Ok(refused)
    }
}

/// Watches links and addresses on a thread of its own, until dropped.
pub struct Monitor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    wake: EventFd,
    stop: AtomicBool,
    /// Routes and rules are watched, too.
    routing: AtomicBool,
}

impl Monitor {
    /// Tells of everything there is ([`NetNews::Table`]), then of each change; of everything again whenever
    /// notifications were lost.
    pub fn start(news: impl Fn(NetNews) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            stop: AtomicBool::new(false),
            routing: AtomicBool::new(false),
        });
        let mut watch = Watch {
            connection: connect(false)?,
            hears_routing: false,
            shared: Arc::clone(&shared),
            pending: VecDeque::new(),
        };
        let thread = thread::Builder::new()
            .name("net-watch".to_owned())
            .spawn(move || watch.run(&news))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Whether to tell of routes and rules of ours that somebody removes. Not without need: a router with a full table
    /// has a flood of them.
    pub fn watch_routing(&self, on: bool) {
        self.shared.routing.store(on, Ordering::Release);
        self.refresh();
    }

    /// Asks for everything once more.
    pub fn refresh(&self) {
        // It can only fail when the counter is full, and then the thread is woken anyway.
        let _ = self.shared.wake.write(1);
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.refresh();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(routing: bool) -> io::Result<Connection> {
    let mut connection = Connection::open(NETLINK_ROUTE, NEWS_BUFFER_BYTES)?;
    // Before the first dump: what changes while it runs is then heard, too.
    for group in rtnl::GROUPS {
        connection.join(group)?;
    }
    for group in routing::GROUPS.into_iter().filter(|_| routing) {
        connection.join(group)?;
    }
    Ok(connection)
}

struct Watch {
    connection: Connection,
    hears_routing: bool,
    shared: Arc<Shared>,
    /// Heard during a dump.
    pending: VecDeque<Notice>,
}

impl Watch {
    fn run(&mut self, news: &impl Fn(NetNews)) {
        let mut complete = false;
        while !self.shared.stop.load(Ordering::Acquire) {
            if !complete {
                match self.table() {
                    Ok(table) => news(NetNews::Table(table)),
                    Err(error) => {
                        tracing::warn!(%error, "cannot read links and addresses; trying again");
                        self.rest();
                        continue;
                    }
                }
            }
            complete = match self.listen(news) {
                Ok(complete) => complete,
                Err(error) => {
                    tracing::debug!(%error, "notifications of links and addresses were lost");
                    // What still waits on the old socket ends where the loss began: it must not be taken for
                    // newer than what is read now.
                    self.connect_anew();
                    false
                }
            };
        }
    }

    fn connect_anew(&mut self) {
        let routing = self.shared.routing.load(Ordering::Acquire);
        match connect(routing) {
            Ok(connection) => (self.connection, self.hears_routing) = (connection, routing),
            Err(error) => tracing::warn!(%error, "cannot open another netlink socket"),
        }
    }

    /// Passes on notifications until everything is to be read again.
    fn listen(&mut self, news: &impl Fn(NetNews)) -> io::Result<bool> {
        wait(&[self.connection.as_fd(), self.shared.wake.as_fd()], None)?;
        if self.shared.wake.read().is_ok() {
            if self.shared.routing.load(Ordering::Acquire) != self.hears_routing {
                self.connect_anew();
            }
            return Ok(false);
        }
        for message in messages(self.connection.receive(Instant::now())?) {
            if let Body::Data { kind, payload } = message.map_err(malformed)?.body
                && let Some(notice) = rtnl::decode(kind, payload).map_err(malformed)?
            {
                news(match notice {
                    Notice::Link(link) => NetNews::Link(link),
                    Notice::LinkGone(index) => NetNews::LinkGone(index),
                    Notice::Address(key, address) => NetNews::Address(key, address),
                    Notice::AddressGone(key) => NetNews::AddressGone(key),
                    Notice::RoutingGone(gone) => NetNews::RoutingGone(gone),
                });
            }
        }
        Ok(true)
    }

    /// Everything there is, with what changed while it was read.
    fn table(&mut self) -> io::Result<NetTable> {
        let mut pause = Duration::from_millis(2);
        for _ in 0..DUMP_COUNT_MAX {
            match self.try_table() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    thread::sleep(pause);
                    pause *= 2;
                }
                Err(error) => {
                    // The rest of a dump that was left half-way belongs to nobody.
                    self.connect_anew();
                    return Err(error);
                }
                done => return done,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn try_table(&mut self) -> io::Result<NetTable> {
        self.pending.clear();
        let mut table = NetTable::default();
        self.dump(&mut table, rtnl::encode_dump_links)?;
        self.dump(&mut table, rtnl::encode_dump_addresses)?;
        // In the kernel's order and without a gap, or `receive` had failed: so the last word about each object is the
        // newest one, dumped or told.
        for notice in self.pending.drain(..) {
            table.take(notice);
        }
        Ok(table)
    }

    fn dump(&mut self, table: &mut NetTable, encode: impl FnOnce(&mut Vec<u8>, u32)) -> io::Result<()> {
        let pending = &mut self.pending;
        self.connection.dump_beside_news(
            encode,
            |kind, payload| {
                if let Some(notice) = rtnl::decode(kind, payload).map_err(malformed)? {
                    table.take(notice);
                }
                Ok(())
            },
            |kind, payload| {
                pending.extend(rtnl::decode(kind, payload).map_err(malformed)?);
                Ok(())
            },
        )
    }

    /// A second, or less when somebody wakes us.
    fn rest(&self) {
        let second = Instant::now() + Duration::from_secs(1);
        let _ = wait(&[self.shared.wake.as_fd()], Some(second));
        let _ = self.shared.wake.read();
    }
}
