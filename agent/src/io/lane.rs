//! Ordered executors of kernel operations: a thread each, so that no advert waits on the kernel's locks.

use super::ipvs_socket::{IpvsSocket, Trouble};
use super::nft_socket::{NftSocket, OwnPort};
use super::packet_socket::PacketSocket;
use super::rtnl_socket::RouteSocket;
use super::sysctl;
use crate::engine::{BatchId, IpvsNews, NetNews, OpError};
use crate::ipvs::IpvsOp;
use crate::net::NetOp;
use crate::net::announce::by_router;
use crate::net::apply::{explain, is_settled};
use crate::wire::LinkIndex;
use nix::errno::Errno;
use nix::net::if_::if_indextoname;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

/// A thread that takes orders until its handle is dropped; what was ordered before is still done.
struct Worker<T> {
    orders: Option<Sender<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Worker<T> {
    fn start(name: &str, mut work: impl FnMut(Vec<T>) + Send + 'static) -> Self {
        let (orders, inbox) = mpsc::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while let Ok(first) = inbox.recv() {
                    // What gathered meanwhile is seen together.
                    work(std::iter::once(first).chain(inbox.try_iter()).collect());
                }
            })
            .expect("a thread at start");
        Self {
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    fn order(&self, order: T) {
        let orders = self.orders.as_ref().expect("open until dropped");
        orders
            .send(order)
            .expect("the thread lives as long as its handle");
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Carries out changes of links, addresses and firewall tables, and announcements, in order.
pub struct NetLane(Worker<(BatchId, Vec<NetOp>)>);

impl NetLane {
    /// Starts the lane; each batch ends with [`NetNews::Done`]. `nft_port` learns by which port it changes nf_tables.
    pub fn start(nft_port: OwnPort, results: impl Fn(NetNews) + Send + 'static) -> Self {
        let mut net = Net {
            nft: NftSocket::new(nft_port),
            ..Net::default()
        };
        Self(Worker::start(
            "net",
            move |batches: Vec<(BatchId, Vec<NetOp>)>| {
                for (id, ops) in batches {
                    results(NetNews::Done(id, net.execute(&ops)));
                }
            },
        ))
    }

    /// Queues a batch.
    pub fn submit(&self, id: BatchId, ops: Vec<NetOp>) {
        self.0.order((id, ops));
    }
}

#[derive(Default)]
struct Net {
    route: RouteSocket,
    packet: Option<PacketSocket>,
    nft: NftSocket,
    /// Links that were looked at in this batch: whether they forward IPv6.
    forwards: BTreeMap<LinkIndex, bool>,
}

impl Net {
    fn execute(&mut self, ops: &[NetOp]) -> Vec<(usize, OpError)> {
        self.forwards.clear();
        let mut failed = Vec::new();
        let mut at = 0;
        while at < ops.len() {
            let run = ops[at..]
                .iter()
                .take_while(|op| is_for_route(op))
                .collect::<Vec<_>>();
            if run.is_empty() {
                if let Err(error) = self.other(&ops[at]) {
                    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
                    if !is_settled(&ops[at], errno) {
                        failed.push((at, op_error(&ops[at], errno, Some(error.to_string()))));
                    }
                }
                at += 1;
                continue;
            }
            match self.route.execute(&run) {
                Ok(refused) => {
                    for it in refused {
                        let place = at + it.index;
                        if !is_settled(&ops[place], it.errno) {
                            failed.push((place, op_error(&ops[place], it.errno, it.text)));
                        }
                    }
                }
                // Nobody knows what was done; notifications will tell.
                Err(error) => {
                    let errno = lost(&error);
                    let words = error.to_string();
                    let ops = (at..at + run.len())
                        .map(|place| (place, op_error(&ops[place], errno, Some(words.clone()))));
                    failed.extend(ops);
                }
            }
            at += run.len();
        }
        failed
    }

    /// A look each time: the kernel's word counts at the moment of the announcement.
    fn forwards(&mut self, link: LinkIndex) -> bool {
        *self.forwards.entry(link).or_insert_with(|| {
            let name = if_indextoname(link.0).ok();
            let name = name.as_ref().and_then(|it| it.to_str().ok());
            let value = name.and_then(|it| sysctl::read(&format!("net/ipv6/conf/{it}/forwarding")).ok());
            value.is_some_and(|it| it != "0")
        })
    }

    /// What is not for rtnetlink.
    fn other(&mut self, op: &NetOp) -> io::Result<()> {
        match op {
            NetOp::Announce { link, about, frame } => {
                let by_router = if about.is_ipv6() && self.forwards(*link) {
                    by_router(*about, frame)
                } else {
                    None
                };
                let packet = match &mut self.packet {
                    Some(packet) => packet,
                    none => none.insert(PacketSocket::open()?),
                };
                packet.send(*link, by_router.as_deref().unwrap_or(frame))
            }
            NetOp::Firewall(op) => self.nft.execute(op),
            NetOp::Sysctl { path, value } => sysctl::write(path, value),
            NetOp::AddAddress { .. }
            | NetOp::RemoveAddress { .. }
            | NetOp::AddRouting(_)
            | NetOp::RemoveRouting(_)
            | NetOp::AddLink(_)
            | NetOp::QuietLink { .. }
            | NetOp::RaiseLink { .. }
            | NetOp::RemoveLink { .. } => Ok(()),
        }
    }
}

fn is_for_route(op: &NetOp) -> bool {
    match op {
        NetOp::AddAddress { .. }
        | NetOp::RemoveAddress { .. }
        | NetOp::AddRouting(_)
        | NetOp::RemoveRouting(_)
        | NetOp::AddLink(_)
        | NetOp::QuietLink { .. }
        | NetOp::RaiseLink { .. }
        | NetOp::RemoveLink { .. } => true,
        NetOp::Announce { .. } | NetOp::Firewall(_) | NetOp::Sysctl { .. } => false,
    }
}

/// The errno that stands for an answer that never came or could not be read.
fn lost(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::ETIMEDOUT)
}

fn op_error(op: &NetOp, errno: i32, text: Option<String>) -> OpError {
    let mut words = text.unwrap_or_else(|| Errno::from_raw(errno).desc().to_owned());
    if let Some(meaning) = explain(op, errno) {
        words = format!("{words}: {meaning}");
    }
    OpError { errno, text: words }
}

/// Carries out changes of IPVS in order, and reads its table.
pub struct IpvsLane(Worker<IpvsOrder>);

enum IpvsOrder {
    Batch(BatchId, Vec<IpvsOp>),
    Dump,
}

impl IpvsLane {
    /// Starts the lane; each batch ends with [`IpvsNews::Done`], each dump gives a table or says why there is none.
    pub fn start(results: impl Fn(IpvsNews) + Send + 'static) -> Self {
        let mut socket = IpvsSocket::default();
        Self(Worker::start("ipvs", move |orders: Vec<IpvsOrder>| {
            let mut orders = orders.into_iter().peekable();
            while let Some(order) = orders.next() {
                match order {
                    IpvsOrder::Batch(id, ops) => batch(&mut socket, id, &ops, &results),
                    // Several questions in a row get one answer.
                    IpvsOrder::Dump if matches!(orders.peek(), Some(IpvsOrder::Dump)) => {}
                    IpvsOrder::Dump => dump(&mut socket, &results),
                }
            }
        }))
    }

    /// Queues a batch.
    pub fn submit(&self, id: BatchId, ops: Vec<IpvsOp>) {
        self.0.order(IpvsOrder::Batch(id, ops));
    }

    /// Asks for the table, after what is queued. Where there was no IPVS it is looked for again.
    pub fn dump(&self) {
        self.0.order(IpvsOrder::Dump);
    }
}

fn batch(socket: &mut IpvsSocket, id: BatchId, ops: &[IpvsOp], results: &impl Fn(IpvsNews)) {
    let all = |errno, text: String| {
        let error = OpError { errno, text };
        (0..ops.len()).map(|place| (place, error.clone())).collect()
    };
    match socket.execute(ops) {
        Ok(failed) => results(IpvsNews::Done(id, failed)),
        Err(Trouble::Missing(why)) => {
            results(IpvsNews::Missing(why.clone()));
            results(IpvsNews::Done(id, all(libc::EOPNOTSUPP, why)));
        }
        // Some of it may be done: what the table is now decides what is left.
        Err(Trouble::Unknown(error)) => {
            let text = format!("no answer from the kernel ({error}); reading the table back");
            results(IpvsNews::Done(id, all(lost(&error), text)));
            dump(socket, results);
        }
    }
}

fn dump(socket: &mut IpvsSocket, results: &impl Fn(IpvsNews)) {
    // Once more on new sockets, should the first answer be lost.
    let answer = match socket.table() {
        Err(Trouble::Unknown(error)) => {
            tracing::debug!(%error, "the IPVS table could not be read; trying again");
            socket.table()
        }
        answer => answer,
    };
    results(match answer {
        Ok(table) => IpvsNews::Table(table),
        Err(Trouble::Missing(why)) => IpvsNews::Missing(why),
        Err(Trouble::Unknown(error)) => IpvsNews::Missing(format!("the IPVS table cannot be read: {error}")),
    });
}
