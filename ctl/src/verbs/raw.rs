//! `raw`: JSON lines to and from the socket, without the traps of other tools.

use crate::args::Global;
use crate::connect;
use crate::look::Out;
use crate::trouble::{self, Trouble};
use lb_shared::client::ClientError;
use lb_shared::host::Pipe;
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// Sends the requests, prints every line that comes, and ends with the worst exit code in them.
pub(crate) fn run(global: &Global, out: &mut Out, requests: &[String]) -> Result<(), Trouble> {
    let Pipe { stream, ssh: _ssh } = connect::host(global)?.pipe(connect::timeout(global)?)?;
    let io_trouble = |error: io::Error| Trouble::Agent(ClientError::Io(error));
    let writer = stream.try_clone().map_err(io_trouble)?;
    let lines = requests.to_vec();
    // Answers are read while requests are written: neither side can fill up and stop the other.
    let sending = std::thread::spawn(move || send(writer, &lines));
    let mut worst = 0;
    for line in BufReader::new(stream).lines() {
        let line = match line {
            Ok(line) => line,
            // It closed on what it could not read, and has said so.
            Err(_) if worst > 0 => break,
            Err(error) => return Err(io_trouble(error)),
        };
        out.line(&line)?;
        out.flush()?;
        worst = trouble::worst([worst, exit_of(&line)]);
    }
    match sending.join() {
        Ok(Ok(())) => {}
        // The agent closed first; what it said before is what counts.
        Ok(Err(_)) | Err(_) if worst > 0 => {}
        Ok(Err(error)) => return Err(io_trouble(error)),
        Err(_) => return Err(Trouble::Exit(1)),
    }
    match worst {
        0 => Ok(()),
        code => Err(Trouble::Exit(code)),
    }
}

fn send(mut writer: UnixStream, requests: &[String]) -> io::Result<()> {
    if requests.is_empty() {
        io::copy(&mut io::stdin().lock(), &mut writer)?;
    }
    for request in requests {
        writer.write_all(request.as_bytes())?;
        writer.write_all(b"\n")?;
    }
    // Says that no more comes: the agent answers what it has and closes.
    writer.shutdown(Shutdown::Write)
}

fn exit_of(line: &str) -> u8 {
    serde_json::from_str::<Value>(line)
        .ok()
        .and_then(|value| value["error"]["exit"].as_u64())
        .and_then(|exit| u8::try_from(exit).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_answer_decides() {
        let lines = [
            "{\"ok\":true}",
            "{\"ok\":false,\"error\":{\"exit\":3}}",
            "{\"ok\":false,\"error\":{\"exit\":4}}",
            "{\"ok\":false,\"error\":{\"exit\":2}}",
            "garbage",
        ];
        assert_eq!(trouble::worst(lines.iter().map(|line| exit_of(line))), 4);
        assert_eq!(trouble::worst([exit_of("{\"ok\":true}")]), 0);
    }
}
