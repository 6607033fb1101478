//! Every `unsafe` of the agent, each with the reason it is sound and why no safe call would do.
#![allow(unsafe_code)]

use crate::wire::LinkIndex;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

/// Sends an Ethernet frame as it is out of a link, on an `AF_PACKET` socket of type `SOCK_RAW`.
///
/// `nix` and `socket2` can hold an `AF_PACKET` address but not make one.
pub fn send_frame(socket: &impl AsFd, link: LinkIndex, frame: &[u8]) -> io::Result<()> {
    let index = i32::try_from(link.0).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
    to.sll_family = libc::AF_PACKET.cast_unsigned() as libc::c_ushort;
    to.sll_ifindex = index;
    // The EtherType as it stands in the frame, in network order: packet sniffers and the driver see it.
    if let Some(&[high, low]) = frame.get(12..14) {
        to.sll_protocol = u16::from_ne_bytes([high, low]);
    }
    let length = size_of_val(&to) as libc::socklen_t;
    // SAFETY: the frame and the address outlive the call and are given with their own lengths; the kernel only
    // reads them; the descriptor is open as long as `socket` is borrowed.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_NOSIGNAL,
            (&raw const to).cast(),
            length,
        )
    };
    match usize::try_from(sent) {
        Ok(count) if count == frame.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
