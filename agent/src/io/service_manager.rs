//! Tells systemd how we are (`sd_notify`), when it asked to be told.

use std::os::unix::net::UnixDatagram;

/// Sends one message such as `READY=1`; nothing happens where nobody listens.
pub fn notify(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    let bytes = path.as_encoded_bytes();
    let _ = if let Some(name) = bytes.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        std::os::unix::net::SocketAddr::from_abstract_name(name)
            .and_then(|address| socket.send_to_addr(message.as_bytes(), &address))
    } else {
        socket.send_to(message.as_bytes(), &path)
    };
}
