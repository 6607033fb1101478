//! A connection that speaks frames: request, reply, request, reply; or a watch until it ends.

use super::excerpts::Excerpts;
use super::limits::{self, Budget};
use super::session::Session;
use lb_shared::excerpt::ExcerptAsk;
use lb_shared::frame::{self, FIRST_BYTE, FrameError, HEAD_LEN, Kind, PREFACE_LEN, VERSION, Version};
use lb_shared::request::{Refusal, RefusalCode, Reply, Request};
use lb_shared::window::Told;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

/// Serves a connection whose first byte has been read already.
pub(super) async fn serve(session: Session, mut stream: UnixStream, refusal: Option<Refusal>) {
    // However it ends, the peer is gone or was told; there is nobody to report to.
    let _ = talk(&session, &mut stream, refusal).await;
}

async fn talk(session: &Session, stream: &mut UnixStream, refusal: Option<Refusal>) -> io::Result<()> {
    let mut preface = [0; PREFACE_LEN];
    preface[0] = FIRST_BYTE;
    timeout(limits::PREFACE, stream.read_exact(&mut preface[1..])).await??;
    let Ok(theirs) = Version::from_preface(&preface) else {
        return Ok(());
    };
    send_bytes(stream, &VERSION.preface()).await?;
    if theirs != VERSION {
        // Our preface is the answer: the client says which side is older.
        return Ok(());
    }
    if let Some(refusal) = refusal {
        return send(stream, &Reply::Refused(refusal)).await;
    }
    let mut told = Told::default();
    let mut budget = Budget::new(limits::REQUEST_BURST, limits::REQUESTS_PER_S, Instant::now());
    loop {
        let request = match read_request(stream).await? {
            Read::Request(request) => request,
            Read::Bad(error) => {
                send(stream, &bad(&error)).await?;
                continue;
            }
            Read::Fatal(error) => return send(stream, &bad(&error)).await,
            Read::End => return Ok(()),
        };
        tokio::time::sleep(budget.take(Instant::now())).await;
        let word = request.word();
        if matches!(request, Request::Watch | Request::Listen) {
            session.doors.count(word, None);
            let with_state = matches!(request, Request::Watch);
            return watch(session, stream, with_state).await;
        }
        if let Request::Excerpt(ask) = request {
            let refused = excerpts(session, stream, ask).await?;
            session.doors.count(word, refused);
            continue;
        }
        let reply = match request {
            Request::Window(ask) => match session.window(ask, std::mem::take(&mut told)).await {
                Ok((window, now)) => {
                    told = now;
                    Reply::Window(Box::new(window))
                }
                Err(refusal) => Reply::Refused(refusal),
            },
            request => session.answer(request).await,
        };
        session.doors.count(
            word,
            match &reply {
                Reply::Refused(refusal) => Some(refusal.code),
                _ => None,
            },
        );
        send(stream, &reply).await?;
    }
}

enum Read {
    Request(Request),
    /// This message is bad, the next may be good.
    Bad(FrameError),
    /// Where the next message begins is unknown.
    Fatal(FrameError),
    End,
}

async fn read_request(stream: &mut UnixStream) -> io::Result<Read> {
    let mut head = [0; HEAD_LEN];
    if stream.read(&mut head[..1]).await? == 0 {
        return Ok(Read::End);
    }
    let whole = async {
        stream.read_exact(&mut head[1..]).await?;
        let length = match frame::head(head) {
            Ok((Kind::Request, length)) => length,
            Ok((Kind::Part | Kind::Reply, _)) => return Ok(Read::Fatal(FrameError::Kind(head[4]))),
            Err(error) => return Ok(Read::Fatal(error)),
        };
        // Grows with what really arrives, not with what was claimed.
        let mut body = Vec::new();
        (&mut *stream).take(length as u64).read_to_end(&mut body).await?;
        if body.len() < length {
            return Ok(Read::End);
        }
        Ok(match frame::decode_request(&body) {
            Ok(request) => Read::Request(request),
            Err(error) => Read::Bad(error),
        })
    };
    timeout(limits::PARTIAL, whole).await?
}

fn bad(error: &FrameError) -> Reply {
    Reply::Refused(Refusal::new(
        RefusalCode::BadRequest,
        error.to_string(),
        "use clients of the agent's version",
    ))
}

/// The state if it is wanted, then every event; after a gap the same again. The peer's next byte or its going ends it.
async fn watch(session: &Session, stream: &mut UnixStream, with_state: bool) -> io::Result<()> {
    let _place = match session.doors.open_watch(0) {
        Ok(place) => place,
        Err(refusal) => return send(stream, &Reply::Refused(refusal)).await,
    };
    let (mut reader, mut writer) = stream.split();
    let mut byte = [0];
    tokio::select! {
        _ = reader.read(&mut byte) => Ok(()),
        ended = follow(session, &mut writer, with_state) => ended,
    }
}

async fn follow(
    session: &Session,
    writer: &mut tokio::net::unix::WriteHalf<'_>,
    with_state: bool,
) -> io::Result<()> {
    loop {
        let mut subscription = session.doors.hub.subscribe(None);
        let mut last = subscription.seen.seq;
        let begin = if with_state {
            Reply::Snapshot(Box::new(subscription.seen.snapshot(session.role)))
        } else {
            Reply::Listening { seq: last }
        };
        drop(subscription.seen);
        let bytes = frame::encode_reply(&begin).map_err(io::Error::other)?;
        // The state is large with many servers: it is an answer, and who does not take it is let go.
        drop(begin);
        send_bytes(writer, &bytes).await?;
        drop(bytes);
        loop {
            match subscription.news.recv().await {
                Ok(event) => {
                    last = event.seq;
                    write(writer, &Reply::Event(Box::new(Arc::unwrap_or_clone(event)))).await?;
                }
                Err(RecvError::Lagged(missed)) => {
                    let lost = Reply::Lost {
                        from: last + 1,
                        to: last + missed,
                    };
                    write(writer, &lost).await?;
                    break;
                }
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// A part of the state, in as many answers as it takes. Between them nothing of the state is held for a slow reader.
async fn excerpts(
    session: &Session,
    stream: &mut UnixStream,
    ask: ExcerptAsk,
) -> io::Result<Option<RefusalCode>> {
    let mut piece = match Excerpts::open(session, ask).await {
        Ok(piece) => piece,
        Err(refusal) => {
            let code = refusal.code;
            send(stream, &Reply::Refused(refusal)).await?;
            return Ok(Some(code));
        }
    };
    loop {
        send(stream, &Reply::Excerpt(Box::new(piece.excerpt))).await?;
        match piece.left {
            Some(left) => piece = left.next().await,
            None => return Ok(None),
        }
    }
}

/// Writes without a time limit: a watcher that does not read holds one message here and nothing else.
async fn write(writer: &mut tokio::net::unix::WriteHalf<'_>, reply: &Reply) -> io::Result<()> {
    let bytes = frame::encode_reply(reply).map_err(io::Error::other)?;
    writer.write_all(&bytes).await
}

async fn send(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let bytes = frame::encode_reply(reply)
        .or_else(|error| frame::encode_reply(&bad(&error)))
        .map_err(io::Error::other)?;
    send_bytes(stream, &bytes).await
}

/// Fails when nothing is taken for a while; who reads slowly may.
async fn send_bytes(writer: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match timeout(limits::WRITE_STALL, writer.write(bytes)).await?? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}
