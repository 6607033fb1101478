//! nf_tables of the kernel: carrying out operations, and watching for others who take something away.

use super::netlink::{Connection, malformed, wait};
use crate::engine::NetNews;
use crate::net::{FirewallOp, nft};
use crate::wire::netlink::{Body, messages};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

const BUFFER_BYTES: usize = 1 << 20;

/// The port of our own socket: what it caused is no news. 0: there is none yet.
pub type OwnPort = Arc<AtomicU32>;

/// Carries out operations.
#[derive(Default)]
pub struct NftSocket {
    connection: Option<Connection>,
    port: OwnPort,
}

impl NftSocket {
    /// Opens nothing yet: that comes with the first operation. `port` learns which changes are our own.
    pub fn new(port: OwnPort) -> Self {
        Self {
            connection: None,
            port,
        }
    }

    /// Does all of an operation or, with an error, nothing. `TimedOut`: nobody knows.
    pub fn execute(&mut self, op: &FirewallOp) -> io::Result<()> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let connection = none.insert(Connection::open(NETLINK_NETFILTER, BUFFER_BYTES)?);
                // Many addresses are one message each, and all of them one datagram.
                connection.allow_sending(BUFFER_BYTES);
                self.port.store(connection.port(), Ordering::Release);
                connection
            }
        };
        let answer = connection.transaction(|out, first| nft::encode(out, first, op));
        match answer {
            Ok(None) => Ok(()),
            Ok(Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Err(error) => {
                self.connection = None;
                Err(error)
            }
        }
    }
}

/// Watches on a thread of its own while it is wanted.
pub struct NftWatch {
    port: OwnPort,
    news: Arc<dyn Fn(NetNews) + Send + Sync>,
    running: Option<(Arc<EventFd>, JoinHandle<()>)>,
}

impl NftWatch {
    /// `news` is called from another thread with what somebody else did.
    pub fn new(port: OwnPort, news: impl Fn(NetNews) + Send + Sync + 'static) -> Self {
        Self {
            port,
            news: Arc::new(news),
            running: None,
        }
    }

    /// Begins or ends to tell of what others take away.
    pub fn set(&mut self, on: bool) {
        if on == self.running.is_some() {
            return;
        }
        self.end();
        if on {
            match self.begin() {
                Ok(running) => self.running = Some(running),
                Err(error) => tracing::warn!(
                    "cannot watch nftables ({error}): what others remove from its table is not put back"
                ),
            }
        }
    }

    fn begin(&self) -> io::Result<(Arc<EventFd>, JoinHandle<()>)> {
        let stop = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?);
        let mut connection = connect()?;
        let (own, news, ends) = (Arc::clone(&self.port), Arc::clone(&self.news), Arc::clone(&stop));
        let thread = thread::Builder::new()
            .name("nft-watch".to_owned())
            .spawn(move || {
                while wait(&[connection.as_fd(), ends.as_fd()], None).is_ok() && ends.read().is_err() {
                    if let Err(error) = listen(&mut connection, &own, &*news) {
                        tracing::debug!(%error, "notifications of nftables were lost");
                        match connect() {
                            Ok(anew) => connection = anew,
                            Err(error) => return tracing::warn!("cannot watch nftables any more: {error}"),
                        }
                        news(NetNews::FirewallUnknown);
                    }
                }
            })?;
        Ok((stop, thread))
    }

    fn end(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.write(1);
            let _ = thread.join();
        }
    }
}

impl Drop for NftWatch {
    fn drop(&mut self) {
        self.end();
    }
}

fn connect() -> io::Result<Connection> {
    let mut connection = Connection::open(NETLINK_NETFILTER, BUFFER_BYTES)?;
    connection.join(nft::GROUP)?;
    Ok(connection)
}

/// Passes on what one datagram says, each table once.
fn listen(connection: &mut Connection, own: &AtomicU32, news: &dyn Fn(NetNews)) -> io::Result<()> {
    let mut last = None;
    for message in messages(connection.receive(Instant::now())?) {
        let message = message.map_err(malformed)?;
        let Body::Data { kind, payload } = message.body else {
            continue;
        };
        if message.port == own.load(Ordering::Acquire) {
            continue;
        }
        let lost = nft::decode_loss(kind, payload).map_err(malformed)?;
        if let Some(table) = lost
            && last.as_ref() != Some(&table)
        {
            last = Some(table.clone());
            news(NetNews::FirewallLost(table));
        }
    }
    Ok(())
}
