//! One datagram and its answer, for `DNS_CHECK` and `UDP_CHECK`.

use super::dial::{Trouble, any_address, judge, prepare, timed_out, words};
use crate::health::checks::dns::Question;
use crate::health::checks::udp::{reply_room, reply_trouble};
use crate::model::{DnsCheck, TcpCheck, UdpCheck};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// The longest answer over UDP without extensions (RFC 1035 §4.2.1), and some room for servers that send more.
const DNS_ANSWER_MAX: usize = 4_096;

/// Asks a name server. `cookie`: makes the question's number one that nobody can guess.
pub(super) async fn dns(check: &DnsCheck, cookie: u64) -> Result<(), Trouble> {
    // Any part of it will do.
    let id = u16::try_from(cookie & 0xffff).unwrap_or(0);
    let question = Question::new(check, id).map_err(Trouble::Local)?;
    let bytes = question.encode().map_err(Trouble::Local)?;
    let limit = check.connect.timeout;
    let exchange = async {
        let socket = connected(&check.connect).await?;
        send(&socket, &bytes).await?;
        let mut buffer = vec![0; DNS_ANSWER_MAX];
        loop {
            let count = receive(&socket, &mut buffer).await?;
            if let Some(verdict) = question.judge(&buffer[..count]) {
                return verdict.map_err(Trouble::Remote);
            }
        }
    };
    timeout(limit, exchange)
        .await
        .unwrap_or_else(|_| Err(timed_out("waiting for the answer", limit)))
}

/// Sends a datagram. Where no reply is required, hearing nothing bad in time is enough (as keepalived).
pub(super) async fn udp(check: &UdpCheck) -> Result<(), Trouble> {
    let limit = check.connect.timeout;
    let exchange = async {
        let socket = connected(&check.connect).await?;
        send(&socket, &check.payload).await?;
        let mut buffer = vec![0; reply_room(check)];
        let count = receive(&socket, &mut buffer).await?;
        match &check.reply {
            None => Ok(()),
            Some(wanted) => match reply_trouble(wanted, &buffer[..count]) {
                None => Ok(()),
                Some(why) => Err(Trouble::Remote(why)),
            },
        }
    };
    match timeout(limit, exchange).await {
        Ok(outcome) => outcome,
        Err(_) if check.reply.is_none() => Ok(()),
        Err(_) => Err(timed_out("waiting for the reply", limit)),
    }
}

async fn connected(check: &TcpCheck) -> Result<UdpSocket, Trouble> {
    let local = |what: &str, error: &std::io::Error| {
        Trouble::Local(format!(
            "cannot {what} for a check of {}: {}",
            check.to,
            words(error)
        ))
    };
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(check.to), kind, Some(Protocol::UDP))
        .map_err(|error| local("open a socket", &error))?;
    prepare(&socket, check.device.as_deref(), check.mark)?;
    let from = check.from.unwrap_or_else(|| any_address(check.to.ip()));
    socket
        .bind(&SockAddr::from(from))
        .map_err(|error| local(&format!("use the source {from}"), &error))?;
    let socket = UdpSocket::from_std(socket.into()).map_err(|error| local("watch a socket", &error))?;
    socket
        .connect(check.to)
        .await
        .map_err(|error| judge("reach the server", &error))?;
    Ok(socket)
}

async fn send(socket: &UdpSocket, bytes: &[u8]) -> Result<(), Trouble> {
    socket
        .send(bytes)
        .await
        .map(drop)
        .map_err(|error| judge("send", &error))
}

async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Result<usize, Trouble> {
    socket
        .recv(buffer)
        .await
        .map_err(|error| judge("receive the answer", &error))
}
