//! UDP sockets for BFD: one to hear on for each family and port, one to send with for each session.
//!
//! A session's source port is one of 49152 to 65535 and stays the same while the session lasts (RFC 5881 §4).

use crate::bfd::Heard;
use crate::model::BfdPath;
use nix::cmsg_space;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Control packets over one hop (RFC 5881) and over several (RFC 5883).
const PORT: u16 = 3_784;
const PORT_MULTIHOP: u16 = 4_784;
/// The first source port that may be used.
const SOURCE_PORT_MIN: u16 = 49_152;
/// Longer than any control packet that is taken, so that a longer one is seen to be.
const PACKET_BYTES: usize = 256;
/// Internetwork control, as RFC 791 calls it.
const TRAFFIC_CLASS: u32 = 0xc0;

/// One to hear on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Port {
    inet6: bool,
    multihop: bool,
}

impl Port {
    fn of(path: &BfdPath) -> Self {
        Self {
            inet6: path.neighbor.is_ipv6(),
            multihop: path.multihop,
        }
    }

    fn number(self) -> u16 {
        if self.multihop { PORT_MULTIHOP } else { PORT }
    }
}

struct Sender {
    path: BfdPath,
    /// Opened with the first packet: its source address may come later than it.
    socket: Option<Socket>,
}

/// The sockets of the core thread.
pub struct BfdSockets {
    epoll: Epoll,
    receivers: BTreeMap<Port, Socket>,
    senders: BTreeMap<String, Sender>,
    next_source_port: u16,
}

impl BfdSockets {
    /// No socket yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            receivers: BTreeMap::new(),
            senders: BTreeMap::new(),
            next_source_port: SOURCE_PORT_MIN,
        })
    }

    /// Has sockets for these sessions and no others. What cannot be opened says so when something is sent.
    pub fn set(&mut self, paths: BTreeMap<String, BfdPath>) {
        // Closing a socket takes it out of the epoll set.
        self.receivers
            .retain(|port, _| paths.values().any(|path| Port::of(path) == *port));
        self.senders
            .retain(|name, sender| paths.get(name).is_some_and(|path| *path == sender.path));
        for (name, path) in paths {
            self.senders.entry(name).or_insert(Sender { path, socket: None });
        }
        // A passive session sends nothing before it hears.
        for port in self
            .senders
            .values()
            .map(|it| Port::of(&it.path))
            .collect::<Vec<_>>()
        {
            if let Err(error) = self.listen(port) {
                tracing::warn!("BFD: {error}");
            }
        }
    }

    /// Sends a session's packet.
    pub fn send(&mut self, session: &str, packet: &[u8]) -> io::Result<()> {
        let Some(path) = self.senders.get(session).map(|it| it.path) else {
            return Ok(());
        };
        self.listen(Port::of(&path))?;
        if self.senders.get(session).is_some_and(|it| it.socket.is_none()) {
            let socket = self.open_sender(&path)?;
            if let Some(sender) = self.senders.get_mut(session) {
                sender.socket = Some(socket);
            }
        }
        let Some(socket) = self.senders.get(session).and_then(|it| it.socket.as_ref()) else {
            return Ok(());
        };
        let to = SocketAddr::new(path.neighbor, Port::of(&path).number());
        socket.send_to(packet, &SockAddr::from(to)).map(drop)
    }

    /// The next datagram; `None` when there is none. Never blocks.
    pub fn receive(&mut self) -> io::Result<Option<Heard>> {
        let mut events = [EpollEvent::empty(); 4];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
        for event in &events[..count] {
            let found = self
                .receivers
                .iter()
                .find(|(port, _)| token(**port) == event.data());
            let Some((port, socket)) = found else { continue };
            match receive_on(*port, socket) {
                Ok(Some(heard)) => return Ok(Some(heard)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => tracing::debug!(%error, ?port, "receiving BFD packets"),
            }
        }
        Ok(None)
    }

    fn listen(&mut self, port: Port) -> io::Result<()> {
        if self.receivers.contains_key(&port) {
            return Ok(());
        }
        let socket = open_receiver(port).map_err(|error| {
            let text = format!("cannot hear on UDP port {}: {error}", port.number());
            io::Error::new(error.kind(), text)
        })?;
        self.epoll
            .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token(port)))?;
        self.receivers.insert(port, socket);
        Ok(())
    }

    fn open_sender(&mut self, path: &BfdPath) -> io::Result<Socket> {
        let domain = if path.neighbor.is_ipv4() {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
        if path.neighbor.is_ipv4() {
            socket.set_ttl_v4(u32::from(path.ttl))?;
            socket.set_tos_v4(TRAFFIC_CLASS)?;
        } else {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(u32::from(path.ttl))?;
            socket.set_tclass_v6(TRAFFIC_CLASS)?;
        }
        // Nothing is read from it, so nothing is to be kept for it.
        socket.set_recv_buffer_size(0)?;
        let any = match path.neighbor {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        };
        let source = path.source.unwrap_or(any);
        for _ in SOURCE_PORT_MIN..=u16::MAX {
            let port = self.next_source_port;
            self.next_source_port = port.checked_add(1).unwrap_or(SOURCE_PORT_MIN);
            match socket.bind(&SockAddr::from(SocketAddr::new(source, port))) {
                Ok(()) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    let text = format!("cannot send from {source}: {error}");
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every source port from 49152 on is in use",
        ))
    }
}

/// Readable whenever [`BfdSockets::receive`] has something.
impl AsFd for BfdSockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn token(port: Port) -> u64 {
    u64::from(port.inet6) << 1 | u64::from(port.multihop)
}

fn open_receiver(port: Port) -> io::Result<Socket> {
    let domain = if port.inet6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    let any = if port.inet6 {
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        socket.set_only_v6(true)?;
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    } else {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        IpAddr::from(Ipv4Addr::UNSPECIFIED)
    };
    socket.bind(&SockAddr::from(SocketAddr::new(any, port.number())))?;
    Ok(socket)
}

fn receive_on(port: Port, socket: &Socket) -> io::Result<Option<Heard>> {
    if port.inet6 {
        receive_message::<SockaddrIn6>(port, socket, |it| it.ip().into())
    } else {
        receive_message::<SockaddrIn>(port, socket, |it| it.ip().into())
    }
}

/// `None` for one that is cut short or lacks its addresses.
fn receive_message<A: SockaddrLike + Copy>(
    port: Port,
    socket: &Socket,
    ip: fn(&A) -> IpAddr,
) -> io::Result<Option<Heard>> {
    let mut control = cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo, libc::c_int);
    let mut buffer = [0; PACKET_BYTES];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<A>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
    let (count, source) = (message.bytes, message.address);
    let (mut destination, mut ttl) = (None, None);
    if message.flags.intersects(cut) {
        return Ok(None);
    }
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                destination = Some(IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv4Ttl(it) | ControlMessageOwned::Ipv6HopLimit(it) => {
                ttl = u8::try_from(it).ok();
            }
            _ => {}
        }
    }
    let (Some(source), Some(destination)) = (source, destination) else {
        return Ok(None);
    };
    Ok(Some(Heard {
        source: ip(&source),
        destination,
        ttl,
        multihop: port.multihop,
        payload: buffer[..count].to_vec(),
    }))
}
