//! `proxy`: our standard streams and an agent's socket, joined. It is what ssh runs on another host.

use crate::args::Global;
use crate::connect;
use crate::trouble::Trouble;
use lb_shared::client::ClientError;
use lb_shared::host::Pipe;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;

/// Copies both ways until the agent closes, or nobody reads what it says.
pub(crate) fn run(global: &Global) -> Result<(), Trouble> {
    let Pipe {
        mut stream,
        ssh: _ssh,
    } = connect::host(global)?.pipe(connect::timeout(global)?)?;
    let mut writer = stream
        .try_clone()
        .map_err(|error| Trouble::Agent(ClientError::Io(error)))?;
    std::thread::spawn(move || {
        // The end of the input, or an agent that does not want it: either way no more is sent.
        let _ = io::copy(&mut io::stdin().lock(), &mut writer);
        let _ = writer.shutdown(Shutdown::Write);
    });
    let mut stdout = io::stdout().lock();
    let mut buffer = [0; 64 << 10];
    loop {
        let size = match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::Agent(ClientError::Io(error))),
        };
        stdout.write_all(&buffer[..size])?;
        stdout.flush()?;
    }
}
