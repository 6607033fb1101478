//! A connection that speaks JSON lines: one request per line, answered in order; streams run beside them.

use super::limits::{self, Budget};
use super::ops::{self, Call};
use super::outbox::{Gone, Outbox};
use super::session::Session;
use lb_shared::frame::REQUEST_MAX;
use lb_shared::json;
use lb_shared::request::{Refusal, RefusalCode, Role};
use lb_shared::text::harmless;
use serde_json::{Map, Value};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Serves a connection whose first byte has been read already.
pub(super) async fn serve(session: Session, stream: UnixStream, first: u8, refusal: Option<Refusal>) {
    let (reader, writer) = stream.into_split();
    let (lines, writing) = Outbox::open(writer, limits::WRITE_STALL);
    let reader = BufReader::new(io::Cursor::new([first]).chain(reader));
    let talking = talk(session, reader, lines, refusal);
    tokio::pin!(writing);
    // The writer ends first only when the client is gone; nothing is worth doing then.
    tokio::select! {
        () = talking => writing.await,
        () = &mut writing => {}
    }
}

async fn talk(
    mut session: Session,
    mut reader: impl AsyncBufRead + Unpin,
    lines: Outbox,
    refusal: Option<Refusal>,
) {
    let open = Arc::new(AtomicUsize::new(0));
    if let Some(refusal) = refusal {
        let _ = lines.send(refusal_line(None, &refusal)).await;
        return;
    }
    let mut budget = Budget::new(limits::REQUEST_BURST, limits::REQUESTS_PER_S, Instant::now());
    let mut streams = JoinSet::new();
    loop {
        let line = match read_line(&mut reader).await {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(ReadError::Refused(refusal)) => {
                let _ = lines.send(refusal_line(None, &refusal)).await;
                break;
            }
            Err(ReadError::Gone) => return,
        };
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        tokio::time::sleep(budget.take(Instant::now())).await;
        let sent = match Call::parse(&line) {
            Err((id, refusal)) => lines.send(refusal_line(id.as_ref(), &refusal)).await,
            Ok(call) if call.op == "role" => {
                let answer = lower(&mut session, &call);
                session
                    .doors
                    .count("role", answer.as_ref().err().map(|it| it.code));
                send(&lines, &call, answer).await
            }
            Ok(call) if call.op == "watch" => {
                match ops::watch::Watch::open(&session, &call, open.load(Ordering::Relaxed)) {
                    Ok(stream) => {
                        session.doors.count("watch", None);
                        let lines = lines.clone();
                        let open = Arc::clone(&open);
                        open.fetch_add(1, Ordering::Relaxed);
                        streams.spawn(async move {
                            stream.run(&lines).await;
                            open.fetch_sub(1, Ordering::Relaxed);
                        });
                        Ok(())
                    }
                    Err(refusal) => {
                        session.doors.count("watch", Some(refusal.code));
                        lines.send(refusal_line(call.id.as_ref(), &refusal)).await
                    }
                }
            }
            Ok(call) if call.rows && ops::rows::is_list(&call.op) => {
                let (refused, sent) = match ops::rows::Rows::open(&session, &call).await {
                    Ok(rows) => (None, rows.run(&lines, &call).await),
                    Err(refusal) => (
                        Some(refusal.code),
                        lines.send(refusal_line(call.id.as_ref(), &refusal)).await,
                    ),
                };
                session.doors.count(ops::name(&call.op), refused);
                sent
            }
            Ok(call) => {
                let answer = ops::answer(&session, &call).await;
                let refused = answer.as_ref().err().map(|it| it.code);
                session.doors.count(ops::name(&call.op), refused);
                send(&lines, &call, answer).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // No more requests; what is under way is finished.
    while streams.join_next().await.is_some() {}
}

/// `{"op":"role","role":"viewer"}` lowers this connection's role, or tells it; it never raises it.
fn lower(session: &mut Session, call: &Call) -> Result<Value, Refusal> {
    let wanted = match call.text("role")? {
        None => session.role,
        Some("viewer") => Role::Viewer,
        Some("operator") => Role::Operator,
        Some("admin") => Role::Admin,
        Some(other) => {
            return Err(Refusal::new(
                RefusalCode::BadRequest,
                format!("there is no role '{}'", lb_shared::text::escape(other)),
                "roles are viewer, operator and admin",
            ));
        }
    };
    if wanted > session.role {
        return Err(Refusal::new(
            RefusalCode::Forbidden,
            format!("this connection is {} and stays so", session.role.word()),
            "a role can only be lowered",
        ));
    }
    session.role = wanted;
    Ok(serde_json::json!({"role": wanted}))
}

async fn send(lines: &Outbox, call: &Call, answer: Result<Value, Refusal>) -> Result<(), Gone> {
    match answer {
        Err(refusal) => lines.send(refusal_line(call.id.as_ref(), &refusal)).await,
        Ok(Value::Array(rows)) if call.rows => send_rows(lines, call, rows).await,
        Ok(data) => {
            let mut fields = vec![("ok", true.into()), ("data", data)];
            if !call.ignored().is_empty() {
                fields.push(("ignored", call.ignored().into()));
            }
            lines.send(line(call.id.as_ref(), fields)).await
        }
    }
}

async fn send_rows(lines: &Outbox, call: &Call, rows: Vec<Value>) -> Result<(), Gone> {
    let id = call.id.as_ref();
    let count = rows.len();
    lines
        .send(line(id, vec![("ok", true.into()), ("rows", true.into())]))
        .await?;
    for row in rows {
        lines.send(line(id, vec![("row", row)])).await?;
    }
    lines
        .send(line(id, vec![("end", true.into()), ("rows", count.into())]))
        .await
}

/// One line: the version, the request's id and these fields.
pub(super) fn line(id: Option<&Value>, fields: Vec<(&str, Value)>) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("v".into(), json::VERSION.into());
    if let Some(id) = id {
        object.insert("id".into(), id.clone());
    }
    object.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let mut bytes = harmless(&Value::Object(object).to_string())
        .into_owned()
        .into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The line that says no.
pub(super) fn refusal_line(id: Option<&Value>, refusal: &Refusal) -> Vec<u8> {
    line(id, vec![("ok", false.into()), ("error", json::refusal(refusal))])
}

enum ReadError {
    Refused(Refusal),
    Gone,
}

/// The next line without its end; `None` at the end of input. A last line without a line feed counts.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Vec<u8>>, ReadError> {
    let gone = |_: io::Error| ReadError::Gone;
    // Waiting for a request may take for ever; one that has begun must come to its end.
    if reader.fill_buf().await.map_err(gone)?.is_empty() {
        return Ok(None);
    }
    let mut line = Vec::new();
    let mut limited = (&mut *reader).take(REQUEST_MAX as u64 + 1);
    match timeout(limits::PARTIAL, limited.read_until(b'\n', &mut line)).await {
        Ok(read) => read.map_err(gone)?,
        Err(_) => {
            return Err(ReadError::Refused(Refusal::new(
                RefusalCode::BadRequest,
                "a line was begun and not ended within 5 s",
                "end every request with a line feed",
            )));
        }
    };
    if line.len() > REQUEST_MAX {
        return Err(ReadError::Refused(Refusal::new(
            RefusalCode::BadRequest,
            format!("a line is longer than {REQUEST_MAX} bytes"),
            "split the request",
        )));
    }
    Ok(Some(line))
}
