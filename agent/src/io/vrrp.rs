//! Raw sockets for VRRP: one to hear on for each endpoint, two to send with.
//!
//! All is said by interface number, never by name: a socket for multicast is bound to the group's address and is a
//! member on its link only, so it hears nothing else. Own adverts are not looped back.

use crate::vrrp::{Advert, Datagram, Ear, Endpoint, Envelope};
use crate::wire::{LinkIndex, ah, ip};
use nix::cmsg_space;
use nix::net::if_::if_indextoname;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockFilter, Socket, Type};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The IP protocol number of VRRP.
const VRRP: u8 = 112;
/// Longer than the longest advert (255 IPv6 addresses) with its IP header.
const PACKET_BYTES: usize = 8192;
/// Bursts of many instances while the core thread is busy.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;
/// Internetwork control, as RFC 791 calls it.
const TRAFFIC_CLASS: u32 = 0xc0;
const PRIORITY: u32 = 6;
/// Turns of one call of [`Sockets::receive`] that may bring nothing.
const PASSED_OVER_COUNT_MAX: u32 = 256;

/// The sockets of the core thread.
pub struct Sockets {
    epoll: Epoll,
    receivers: BTreeMap<Ear, Socket>,
    /// Receivers by the number under which `epoll` knows them.
    numbers: BTreeMap<u64, Ear>,
    next_number: u64,
    /// Endpoints to look at before asking `epoll` again, in turn, so that a flood on one does not silence the others.
    ready: VecDeque<u64>,
    senders: Senders,
    buffer: Box<[u8; PACKET_BYTES]>,
}

impl Sockets {
    /// No socket yet; needs CAP_NET_RAW once there is something to hear or send.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            receivers: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_number: 0,
            ready: VecDeque::new(),
            senders: Senders::default(),
            buffer: Box::new([0; PACKET_BYTES]),
        })
    }

    /// Hears with these and no others; gives those that cannot hear.
    ///
    /// What failed is tried again at the next call with the same ears.
    pub fn set(&mut self, ears: &BTreeSet<Ear>) -> Vec<(Endpoint, io::Error)> {
        // Closing a socket takes it out of the epoll set.
        self.receivers.retain(|ear, _| ears.contains(ear));
        self.numbers.retain(|_, ear| ears.contains(ear));
        let mut failed = Vec::new();
        for ear in ears {
            if !self.receivers.contains_key(ear)
                && let Err(error) = self.open(*ear)
            {
                failed.push((ear.endpoint, error));
            }
        }
        failed
    }

    fn open(&mut self, ear: Ear) -> io::Result<()> {
        let socket = open_receiver(ear)?;
        let number = self.next_number;
        self.epoll
            .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
        self.next_number += 1;
        self.numbers.insert(number, ear);
        self.receivers.insert(ear, socket);
        Ok(())
    }

    /// The next datagram that waits on any of the sockets; `None` when there is none. Never blocks.
    ///
    /// After many that were not for us in a row it says `None` as well, and the descriptor stays readable.
    pub fn receive(&mut self) -> io::Result<Option<Datagram>> {
        for _ in 0..PASSED_OVER_COUNT_MAX {
            let Some(number) = self.ready.pop_front() else {
                let mut events = [EpollEvent::empty(); 32];
                let count = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
                if count == 0 {
                    return Ok(None);
                }
                self.ready.extend(events[..count].iter().map(EpollEvent::data));
                continue;
            };
            let ear = self.numbers.get(&number);
            let socket = ear.and_then(|ear| Some((ear.endpoint, self.receivers.get(ear)?)));
            let Some((endpoint, socket)) = socket else {
                continue;
            };
            match receive_on(endpoint, socket, &mut self.buffer[..]) {
                Ok(datagram) => {
                    self.ready.push_back(number);
                    if datagram.is_some() {
                        return Ok(datagram);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An interface that went down says so once; the link's own news tell the rest.
                Err(error) => tracing::debug!(%error, ?endpoint, "receiving adverts"),
            }
        }
        Ok(None)
    }

    /// Sends an advert.
    pub fn send(&mut self, advert: &Advert) -> io::Result<()> {
        self.senders.send(advert)
    }
}

/// Readable whenever [`Sockets::receive`] has something.
impl AsFd for Sockets {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

fn open_receiver(ear: Ear) -> io::Result<Socket> {
    let endpoint = ear.endpoint;
    let address = match endpoint {
        Endpoint::Multicast { group, .. } => group,
        Endpoint::Unicast { local } => local,
    };
    let domain = if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = raw(domain, if ear.sealed { ah::PROTOCOL } else { VRRP })?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
    }
    if let Some(vrf) = ear.vrf {
        let name = if_indextoname(vrf.0)?;
        socket.bind_device(Some(name.to_bytes()))?;
    }
    match address {
        IpAddr::V4(v4) => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            if let Endpoint::Multicast { link, .. } = endpoint {
                socket.set_multicast_all_v4(false)?;
                socket.join_multicast_v4_n(&v4, &InterfaceIndexOrAddress::Index(link.0))?;
            } else {
                // The address may not be here yet.
                socket.set_freebind_v4(true)?;
            }
            socket.bind(&SockAddr::from(SocketAddrV4::new(v4, 0)))?;
        }
        IpAddr::V6(v6) => {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            match endpoint {
                Endpoint::Multicast { link, .. } => {
                    // Kernels before 4.20 lack the switch; the binding keeps other groups away there.
                    let _ = socket.set_multicast_all_v6(false);
                    socket.join_multicast_v6(&v6, link.0)?;
                    socket.bind(&SockAddr::from(SocketAddrV6::new(v6, 0, 0, link.0)))?;
                }
                // Without its link a link-local address cannot be bound; what is for others is told apart below.
                Endpoint::Unicast { .. } if v6.is_unicast_link_local() => {}
                Endpoint::Unicast { .. } => {
                    socket.set_freebind_v6(true)?;
                    socket.bind(&SockAddr::from(SocketAddrV6::new(v6, 0, 0, 0)))?;
                }
            }
        }
    }
    Ok(socket)
}

fn raw(domain: Domain, protocol: u8) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The next datagram of a socket; `None` for one that is cut short, malformed or not for this endpoint.
fn receive_on(endpoint: Endpoint, socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let datagram = match endpoint {
        Endpoint::Multicast {
            group: IpAddr::V4(_), ..
        }
        | Endpoint::Unicast { local: IpAddr::V4(_) } => receive_v4(socket, buffer)?,
        Endpoint::Multicast {
            group: IpAddr::V6(_), ..
        }
        | Endpoint::Unicast { local: IpAddr::V6(_) } => receive_v6(socket, buffer)?,
    };
    Ok(datagram.filter(|datagram| match endpoint {
        Endpoint::Multicast { link, group } => datagram.link == link && datagram.destination == group,
        Endpoint::Unicast { local } => datagram.destination == local,
    }))
}

/// The kernel gives the whole packet.
fn receive_v4(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let Some(received) = receive_message::<SockaddrIn>(socket, buffer)? else {
        return Ok(None);
    };
    let Some(link) = received.link else {
        return Ok(None);
    };
    let Ok(packet) = ip::split(&buffer[..received.length]) else {
        return Ok(None);
    };
    let envelope = match packet.protocol {
        // A seal over options would cover what is not told here: nobody sends such adverts.
        ah::PROTOCOL if packet.has_options => return Ok(None),
        ah::PROTOCOL => Envelope::Sealed {
            identification: packet.identification,
        },
        _ => Envelope::Open,
    };
    Ok(Some(Datagram {
        link,
        source: packet.source.into(),
        destination: packet.destination.into(),
        ttl: Some(packet.ttl),
        envelope,
        payload: packet.payload.to_vec(),
    }))
}

/// The kernel keeps the IPv6 header to itself and tells what was in it.
fn receive_v6(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let Some(received) = receive_message::<SockaddrIn6>(socket, buffer)? else {
        return Ok(None);
    };
    let (Some(link), Some(source), Some(destination)) =
        (received.link, received.source, received.destination)
    else {
        return Ok(None);
    };
    Ok(Some(Datagram {
        link,
        source: source.ip().into(),
        destination: destination.into(),
        ttl: received.hop_limit,
        envelope: Envelope::Open,
        payload: buffer[..received.length].to_vec(),
    }))
}

struct Received<A> {
    length: usize,
    source: Option<A>,
    link: Option<LinkIndex>,
    destination: Option<Ipv6Addr>,
    hop_limit: Option<u8>,
}

fn receive_message<A: SockaddrLike + Copy>(
    socket: &Socket,
    buffer: &mut [u8],
) -> io::Result<Option<Received<A>>> {
    let mut control = cmsg_space!(libc::in6_pktinfo, libc::c_int, libc::in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<A>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    if message
        .flags
        .intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC)
    {
        return Ok(None);
    }
    let mut received = Received {
        length: message.bytes,
        source: message.address,
        link: None,
        destination: None,
        hop_limit: None,
    };
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                received.link = u32::try_from(info.ipi_ifindex).ok().map(LinkIndex);
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                received.link = Some(LinkIndex(info.ipi6_ifindex));
                received.destination = Some(info.ipi6_addr.s6_addr.into());
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => received.hop_limit = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    Ok(Some(received))
}

/// A sending socket per family, for all links.
#[derive(Default)]
struct Senders {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl Senders {
    fn send(&mut self, advert: &Advert) -> io::Result<()> {
        match (advert.source, advert.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let socket = match &mut self.v4 {
                    Some(socket) => socket,
                    none => none.insert(open_sender_v4()?),
                };
                send_v4(socket, advert, source, destination)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let socket = match &mut self.v6 {
                    Some(socket) => socket,
                    none => none.insert(open_sender_v6()?),
                };
                send_v6(socket, advert, source, destination)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} cannot send to {}", advert.source, advert.destination),
            )),
        }
    }
}

/// We write the IP header; the kernel fills in the checksum, and the identification unless it is given. It hears nothing.
fn open_sender_v4() -> io::Result<Socket> {
    let socket = raw(Domain::IPV4, libc::IPPROTO_RAW as u8)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_priority(PRIORITY)?;
    Ok(socket)
}

fn send_v4(socket: &Socket, advert: &Advert, source: Ipv4Addr, destination: Ipv4Addr) -> io::Result<()> {
    let (protocol, identification) = match advert.envelope {
        Envelope::Open => (VRRP, 0),
        Envelope::Sealed { identification } => (ah::PROTOCOL, identification),
    };
    let length = advert.payload.len();
    let header = ip::header(source, destination, protocol, identification, advert.ttl, length)
        .ok_or(io::ErrorKind::InvalidInput)?;
    let info = libc::in_pktinfo {
        ipi_ifindex: link_number(advert.link)?,
        ipi_spec_dst: libc::in_addr { s_addr: 0 },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let by_link = [ControlMessage::Ipv4PacketInfo(&info)];
    let control = if advert.link.is_some() { &by_link[..] } else { &[] };
    let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
    let parts = [IoSlice::new(&header), IoSlice::new(&advert.payload)];
    send_whole(socket, &parts, control, &to)
}

fn open_sender_v6() -> io::Result<Socket> {
    let socket = raw(Domain::IPV6, VRRP)?;
    // Nothing is ever read from it, so nothing is to be queued: `return 0`.
    const RETURN: u16 = 0x06;
    socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
    socket.set_multicast_hops_v6(255)?;
    socket.set_unicast_hops_v6(255)?;
    socket.set_multicast_loop_v6(false)?;
    // The first advert by a virtual MAC's interface leaves before its address is there.
    socket.set_freebind_v6(true)?;
    socket.set_tclass_v6(TRAFFIC_CLASS)?;
    socket.set_priority(PRIORITY)?;
    Ok(socket)
}

fn send_v6(socket: &Socket, advert: &Advert, source: Ipv6Addr, destination: Ipv6Addr) -> io::Result<()> {
    let link = advert.link.map_or(0, |link| link.0);
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr {
            s6_addr: source.octets(),
        },
        ipi6_ifindex: link,
    };
    let hops = i32::from(advert.ttl);
    let control = [
        ControlMessage::Ipv6PacketInfo(&info),
        ControlMessage::Ipv6HopLimit(&hops),
    ];
    let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, link));
    send_whole(socket, &[IoSlice::new(&advert.payload)], &control, &to)
}

fn link_number(link: Option<LinkIndex>) -> io::Result<i32> {
    i32::try_from(link.map_or(0, |link| link.0)).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn send_whole<A: SockaddrLike>(
    socket: &Socket,
    parts: &[IoSlice<'_>],
    control: &[ControlMessage<'_>],
    to: &A,
) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let sent = sendmsg(socket.as_raw_fd(), parts, control, flags, Some(to))?;
    if sent == length {
        Ok(())
    } else {
        Err(io::ErrorKind::WriteZero.into())
    }
}
