//! A netlink socket: requests in batches, dumps, notifications. Blocking, with a deadline on everything.

use crate::wire::netlink::{Body, flags, messages};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long the kernel may take to answer before the outcome counts as unknown.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests in one batch. Each refusal takes 768 bytes of receive buffer, and 277 fit the default one.
pub const BATCH_COUNT_MAX: usize = 256;

/// More than the largest datagram of a dump (32 KiB); a dump loses what does not fit.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// A socket connected to the kernel.
pub struct Connection {
    socket: Socket,
    port: u32,
    seq: u32,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// A request of a batch that the kernel refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    pub errno: i32,
    /// The kernel's own words, if it had any.
    pub text: Option<String>,
}

impl Connection {
    /// Opens a socket for a protocol, such as `NETLINK_ROUTE`.
    pub fn open(protocol: isize, receive_buffer_bytes: usize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // Refusals do not repeat the request, and carry words where the kernel has some.
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        // Without CAP_NET_ADMIN as much as the limit allows.
        if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &receive_buffer_bytes)?;
        }
        Ok(Self {
            socket,
            port,
            seq: 0,
            buffer: Vec::with_capacity(DATAGRAM_BYTES),
            out: Vec::new(),
        })
    }

    /// The number the kernel knows this socket by.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Room for datagrams of this size, as far as the limit allows.
    pub fn allow_sending(&self, bytes: usize) {
        if setsockopt(&self.socket, sockopt::SndBufForce, &bytes).is_err() {
            let _ = setsockopt(&self.socket, sockopt::SndBuf, &bytes);
        }
    }

    /// Hears the notifications of a group.
    pub fn join(&mut self, group: u32) -> io::Result<()> {
        self.socket.add_membership(group)
    }

    /// The number of the next request.
    pub fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1);
        self.seq
    }

    /// Sends requests.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.socket.send(bytes, libc::MSG_NOSIGNAL)?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// The next datagram from the kernel.
    ///
    /// `TimedOut` at the deadline; `ENOBUFS` and `InvalidData` when something was lost.
    pub fn receive(&mut self, deadline: Instant) -> io::Result<&[u8]> {
        loop {
            self.buffer.clear();
            let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
            match self.socket.recv_from(&mut self.buffer, flags) {
                Ok((_, from)) if from.port_number() != 0 => {
                    tracing::debug!(
                        port = from.port_number(),
                        "netlink message not from the kernel dropped"
                    );
                }
                Ok((length, _)) if length > self.buffer.len() => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "netlink message cut short",
                    ));
                }
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&[self.socket.as_fd()], Some(deadline))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer)
    }

    /// Sends `count` requests at once and gives those that were refused.
    ///
    /// `encode` appends the request of an index, with the sequence number and whether it is to be acknowledged: only
    /// the last one is, every refusal comes before that. An error means that the outcome is unknown.
    pub fn batch(
        &mut self,
        count: usize,
        mut encode: impl FnMut(&mut Vec<u8>, usize, u32, bool),
    ) -> io::Result<Vec<Refused>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let first = self.next_seq();
        for index in 0..count {
            let seq = if index == 0 { first } else { self.next_seq() };
            encode(&mut out, index, seq, index + 1 == count);
        }
        let last = self.seq;
        let sent = self.send(&out);
        self.out = out;
        sent?;

        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut refused = Vec::new();
        loop {
            for message in messages(self.receive(deadline)?) {
                let message = message.map_err(malformed)?;
                let Body::Answer { errno, text } = message.body else {
                    continue;
                };
                let index = message.seq.wrapping_sub(first) as usize;
                if index < count && errno != 0 {
                    refused.push(Refused {
                        index,
                        errno,
                        text: text.map(str::to_owned),
                    });
                }
                if message.seq == last {
                    return Ok(refused);
                }
            }
        }
    }

    /// Sends requests that are carried out together or not at all. `encode` appends them with numbers from the given one
    /// on, and returns that of the one to be acknowledged, the last that can be refused.
    ///
    /// Gives the errno of the first refusal. An error means that the outcome is unknown.
    pub fn transaction(&mut self, encode: impl FnOnce(&mut Vec<u8>, u32) -> u32) -> io::Result<Option<i32>> {
        let first = self.next_seq();
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let last = encode(&mut out, first);
        // The end of a transaction has a number, too.
        self.seq = last.wrapping_add(1);
        let sent = self.send(&out);
        self.out = out;
        sent?;

        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut refusal = None;
        loop {
            for message in messages(self.receive(deadline)?) {
                let message = message.map_err(malformed)?;
                let Body::Answer { errno, .. } = message.body else {
                    continue;
                };
                if message.seq.wrapping_sub(first) > last.wrapping_sub(first) {
                    continue;
                }
                if errno != 0 {
                    refusal = refusal.or(Some(errno));
                }
                // Refused as a whole, it is answered at its beginning.
                if message.seq == last || message.seq == first && errno != 0 {
                    return Ok(refusal);
                }
            }
        }
    }

    /// Asks for a dump and hands each message of it to `take`.
    ///
    /// `Interrupted`: what was dumped changed meanwhile, and all that was taken is to be forgotten. An errno: the
    /// kernel refused.
    pub fn dump(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>, u32),
        take: impl FnMut(u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.dump_beside_news(encode, take, |_, _| Ok(()))
    }

    /// A dump on a socket that also hears notifications: those go to `news`.
    pub fn dump_beside_news(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>, u32),
        mut take: impl FnMut(u16, &[u8]) -> io::Result<()>,
        mut news: impl FnMut(u16, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let seq = self.next_seq();
        let port = self.port;
        let mut out = Vec::new();
        encode(&mut out, seq);
        self.send(&out)?;
        let mut interrupted = false;
        loop {
            let deadline = Instant::now() + ANSWER_TIMEOUT;
            for message in messages(self.receive(deadline)?) {
                let message = message.map_err(malformed)?;
                if message.port != port || message.seq != seq {
                    // Notifications carry the port and number of whoever caused them.
                    if let Body::Data { kind, payload } = message.body {
                        news(kind, payload)?;
                    }
                    continue;
                }
                interrupted |= message.flags & flags::DUMP_INTR != 0;
                match message.body {
                    Body::Data { kind, payload } => take(kind, payload)?,
                    Body::Done { errno: 0 } if interrupted => {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    Body::Done { errno: 0 } | Body::Answer { errno: 0, .. } => return Ok(()),
                    Body::Done { errno } | Body::Answer { errno, .. } => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Body::Overrun => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                }
            }
        }
    }

    /// Asks one question and gives the payload of the answer.
    pub fn ask(&mut self, encode: impl FnOnce(&mut Vec<u8>, u32)) -> io::Result<Vec<u8>> {
        let seq = self.next_seq();
        let mut out = Vec::new();
        encode(&mut out, seq);
        self.send(&out)?;
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        loop {
            for message in messages(self.receive(deadline)?) {
                let message = message.map_err(malformed)?;
                if message.seq != seq {
                    continue;
                }
                match message.body {
                    Body::Data { payload, .. } => return Ok(payload.to_vec()),
                    Body::Answer { errno, .. } | Body::Done { errno } => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Body::Overrun => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                }
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Bytes from the kernel that make no sense.
pub fn malformed(why: crate::wire::netlink::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Waits until one of the descriptors can be read; `TimedOut` at the deadline.
pub fn wait(descriptors: &[BorrowedFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // Rounded up, so that the last fraction of a millisecond is slept and not spun away.
                let millis = left.as_micros().div_ceil(1000);
                PollTimeout::try_from(u32::try_from(millis).unwrap_or(u32::MAX)).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut list: Vec<_> = descriptors
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        match poll(&mut list, timeout) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink::Builder;

    /// A protocol that processes may use among themselves.
    const USERSOCK: isize = 2;

    /// F068.
    #[test]
    fn what_another_process_sends_is_not_heard() {
        let mut ours = Connection::open(USERSOCK, 1 << 16).unwrap();
        let mut other = Socket::new(USERSOCK).unwrap();
        other.bind_auto().unwrap();
        let mut forged = Vec::new();
        Builder::new(&mut forged, 16, 0, 1).raw(&[0; 4]);
        let reached = other.send_to(&forged, &SocketAddr::new(ours.port(), 0), 0);
        let heard = ours.receive(Instant::now() + Duration::from_millis(20));
        assert_eq!(
            heard.map(<[u8]>::to_vec).unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        // The kernel lets nobody else send to a socket that is connected to it.
        assert_eq!(reached.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
