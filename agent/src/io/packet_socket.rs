//! Whole Ethernet frames out of a link: announcements of addresses.

use super::sys;
use crate::wire::LinkIndex;
use socket2::{Domain, Socket, Type};
use std::io;

/// A socket for frames that never hears any.
pub struct PacketSocket {
    socket: Socket,
}

impl PacketSocket {
    /// Opens it; needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        // Protocol 0 receives nothing.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        Ok(Self { socket })
    }

    /// Sends a frame as it is.
    pub fn send(&self, link: LinkIndex, frame: &[u8]) -> io::Result<()> {
        sys::send_frame(&self.socket, link, frame)
    }
}
