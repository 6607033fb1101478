//! One ICMP echo for `PING_CHECK`.

use super::dial::{Trouble, any_address, judge, prepare, timed_out, words};
use crate::health::checks::ping::Echo;
use crate::model::PingCheck;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Who may open datagram ICMP sockets; the one setting is for both families.
const PING_GROUP_RANGE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// Sends one echo and waits for its answer.
pub(super) async fn ping(check: &PingCheck, cookie: u64) -> Result<(), Trouble> {
    let (socket, raw) = open(check)?;
    let socket = UdpSocket::from_std(socket.into())
        .map_err(|error| Trouble::Local(format!("cannot watch an ICMP socket: {}", words(&error))))?;
    let echo = Echo { sequence: 1, cookie };
    let exchange = async {
        socket
            .connect(SocketAddr::new(check.to, 0))
            .await
            .map_err(|error| judge("reach the server", &error))?;
        socket
            .send(&echo.encode(check.to))
            .await
            .map_err(|error| judge("send an echo", &error))?;
        let mut buffer = [0; 1500];
        loop {
            let count = socket
                .recv(&mut buffer)
                .await
                .map_err(|error| judge("receive the answer", &error))?;
            if echo.is_answered_by(check.to, raw, &buffer[..count]) {
                return Ok(());
            }
        }
    };
    timeout(check.timeout, exchange)
        .await
        .unwrap_or_else(|_| Err(no_answer(check.timeout)))
}

fn no_answer(limit: Duration) -> Trouble {
    timed_out("waiting for the echo", limit)
}

/// A datagram ICMP socket, else a raw one, else a datagram one after the setting that forbids it was widened (as
/// keepalived does); and whether it is raw.
fn open(check: &PingCheck) -> Result<(Socket, bool), Trouble> {
    let domain = Domain::for_address(any_address(check.to));
    let protocol = if check.to.is_ipv4() {
        Protocol::ICMPV4
    } else {
        Protocol::ICMPV6
    };
    let new = |kind: Type| Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol));
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let (socket, raw) = match new(Type::DGRAM) {
        Ok(socket) => (socket, false),
        Err(error) if !refused(&error) => return Err(no_socket(&error)),
        Err(_) => match new(Type::RAW) {
            Ok(socket) => (socket, true),
            Err(error) if !refused(&error) => return Err(no_socket(&error)),
            Err(_) => {
                std::fs::write(PING_GROUP_RANGE, "0\t2147483647\n").map_err(|error| no_socket(&error))?;
                (new(Type::DGRAM).map_err(|error| no_socket(&error))?, false)
            }
        },
    };
    prepare(&socket, check.device.as_deref(), check.mark)?;
    if let Some(from) = check.from {
        socket
            .bind(&SockAddr::from(SocketAddr::new(from, 0)))
            .map_err(|error| Trouble::Local(format!("cannot use the source {from}: {}", words(&error))))?;
    }
    Ok((socket, raw))
}

fn no_socket(error: &io::Error) -> Trouble {
    Trouble::Local(format!(
        "cannot open an ICMP socket: {}; give the agent CAP_NET_RAW or widen {PING_GROUP_RANGE}",
        words(error)
    ))
}
