//! Where an agent is: a socket on this machine, or another host that `ssh` reaches.
//!
//! Over ssh the far `lbctl proxy` joins our pipe to the agent's socket there. The user's ssh configuration, keys, jump
//! hosts and shared connections apply, and no port has to be opened.

use crate::client::{Client, ClientError};
use crate::request::{Refusal, RefusalCode};
use crate::{paths, text};
use std::fmt;
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Another ssh program, or options for it, separated by blanks: `ssh -F /etc/lbctl/ssh_config`.
pub const SSH_ENV: &str = "LBCTL_SSH";
/// How much of what ssh complains about is kept.
const COMPLAINTS_MAX: usize = 20;
/// How long an ssh that has let go of the connection may take to say why.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// One agent's address: `unix:PATH` or `ssh://[user@]host[:port]`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Host {
    Unix(PathBuf),
    Ssh {
        user: Option<String>,
        host: String,
        port: Option<u16>,
    },
}

impl Default for Host {
    /// The agent of this machine.
    fn default() -> Self {
        Self::Unix(PathBuf::from(paths::RUN_DIR).join(paths::SOCKET))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", text::escape(&path.to_string_lossy())),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]")?;
                } else {
                    f.write_str(host)?;
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

impl Host {
    /// Reads an address; each part is checked, since it becomes an argument of ssh.
    pub fn parse(url: &str) -> Result<Self, Refusal> {
        let bad = || {
            Refusal::new(
                RefusalCode::BadRequest,
                format!("'{}' is no host", text::escape(url)),
                "hosts are ssh://[user@]host[:port] or unix:PATH",
            )
        };
        if let Some(path) = url.strip_prefix("unix:") {
            return match path {
                "" => Err(bad()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let rest = url.strip_prefix("ssh://").ok_or_else(bad)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
                match rest {
                    "" => (host, None),
                    rest => (host, Some(rest.strip_prefix(':').ok_or_else(bad)?)),
                }
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port @ 1..)) => Some(port),
            Some(Ok(0) | Err(_)) => return Err(bad()),
        };
        let clean = |word: &str| {
            !word.is_empty()
                && !word.starts_with('-')
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.:%+".contains(c))
        };
        if !clean(host) || !user.as_deref().is_none_or(clean) {
            return Err(bad());
        }
        Ok(Self::Ssh {
            user,
            host: host.to_owned(),
            port,
        })
    }

    /// What it is called in tables before its agent has told its own name.
    pub fn label(&self) -> String {
        match self {
            Self::Unix(_) if *self == Self::default() => "local".into(),
            Self::Unix(path) => text::escape(&path.to_string_lossy()),
            Self::Ssh { host, .. } => host.clone(),
        }
    }

    /// How it is reached: `unix` or `ssh`.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::Ssh { .. } => "ssh",
        }
    }

    /// A greeted connection to its agent.
    pub fn connect(&self, timeout: Duration) -> Result<Client, ClientError> {
        match self {
            Self::Unix(path) => Client::connect_within(path, timeout),
            Self::Ssh { .. } => {
                let Pipe { stream, mut ssh } = self.pipe(timeout)?;
                match Client::over(stream, timeout) {
                    Ok(client) => Ok(client.held_by(ssh)),
                    Err(error) => Err(match ssh.as_mut().and_then(|ssh| ssh.complaint(&error)) {
                        Some(why) => ClientError::Ssh(why),
                        None => error,
                    }),
                }
            }
        }
    }

    /// A connection to its agent without any greeting.
    pub fn pipe(&self, timeout: Duration) -> Result<Pipe, ClientError> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                        ClientError::NotRunning(path.clone())
                    }
                    ErrorKind::PermissionDenied => ClientError::Denied(path.clone()),
                    _ => ClientError::Io(error),
                })?;
                Ok(Pipe { stream, ssh: None })
            }
            Self::Ssh { user, host, port } => {
                let (ours, theirs) = UnixStream::pair().map_err(ClientError::Io)?;
                let child = ssh_command(user.as_deref(), host, *port, timeout)
                    .stdin(OwnedFd::from(theirs.try_clone().map_err(ClientError::Io)?))
                    .stdout(OwnedFd::from(theirs))
                    .stderr(Stdio::piped())
                    // Ctrl-C is for us: a wait says that it detaches before the connection goes.
                    .process_group(0)
                    .spawn()
                    .map_err(|error| ClientError::Ssh(format!("ssh: cannot be started: {error}")))?;
                Ok(Pipe {
                    stream: ours,
                    ssh: Some(Ssh::new(child)),
                })
            }
        }
    }
}

fn ssh_command(user: Option<&str>, host: &str, port: Option<u16>, timeout: Duration) -> Command {
    let chosen = std::env::var(SSH_ENV).unwrap_or_default();
    let mut words = chosen.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("ssh"));
    command.args(words);
    command.args(["-T", "-o", "BatchMode=yes"]);
    command.args([
        "-o".to_owned(),
        format!("ConnectTimeout={}", timeout.as_secs().max(1)),
    ]);
    if let Some(port) = port {
        command.args(["-p".to_owned(), port.to_string()]);
    }
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    command.args(["--", host, "lbctl", "proxy"]);
    command
}

/// A connection before its greeting.
#[derive(Debug)]
pub struct Pipe {
    pub stream: UnixStream,
    /// Kept as long as the stream.
    pub ssh: Option<Ssh>,
}

/// The ssh process a connection goes through. It ends with it.
#[derive(Debug)]
pub struct Ssh {
    child: Child,
    complaints: Receiver<String>,
}

impl Ssh {
    fn new(mut child: Child) -> Self {
        let (to, complaints) = channel();
        if let Some(stderr) = child.stderr.take() {
            // Read all the time: an ssh that cannot write would stop.
            std::thread::spawn(move || {
                let lines = BufReader::new(stderr).split(b'\n').map_while(io::Result::ok);
                for (nth, line) in lines.enumerate() {
                    if nth < COMPLAINTS_MAX {
                        let _ = to.send(String::from_utf8_lossy(&line).into_owned());
                    }
                }
            });
        }
        Self { child, complaints }
    }

    /// Why the connection failed, in words, as far as ssh or the far `lbctl` said.
    pub fn complaint(&mut self, error: &ClientError) -> Option<String> {
        if matches!(error, ClientError::Silent(_)) && matches!(self.child.try_wait(), Ok(None)) {
            return Some("ssh: connection timed out".into());
        }
        if !matches!(
            error,
            ClientError::Closed | ClientError::Io(_) | ClientError::Silent(_)
        ) {
            return None;
        }
        let until = Instant::now() + LAST_WORDS;
        let mut lines = Vec::new();
        while let Ok(line) = self
            .complaints
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            lines.push(line);
        }
        let status = self.child.try_wait().ok().flatten();
        Some(reason(&lines, status))
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // It may be gone already; either way it is waited for, so that none is left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of what ssh and the far side said: the far `lbctl`'s own error, or ssh's last words.
fn reason(lines: &[String], status: Option<ExitStatus>) -> String {
    if status.and_then(|status| status.code()) == Some(127) {
        return "ssh: there is no lbctl on that host (it must be in the path of that user)".into();
    }
    if let Some(far) = lines.iter().find_map(|line| line.strip_prefix("lbctl: ")) {
        return text::escape(far);
    }
    let Some(last) = lines
        .iter()
        .rev()
        .map(|line| line.trim())
        .find(|line| !line.is_empty())
    else {
        return "ssh: the connection ended before the agent answered".into();
    };
    // `ssh: connect to host lb3 port 22: Connection timed out`: host and port are known.
    let last = match last.strip_prefix("ssh: connect to host ") {
        Some(rest) => rest.rsplit_once(": ").map_or(rest, |(_, why)| why),
        None => last.strip_prefix("ssh: ").unwrap_or(last),
    };
    let mut letters = last.chars();
    let first = letters.next().map(|c| c.to_ascii_lowercase());
    let lower: String = first.into_iter().chain(letters).collect();
    format!("ssh: {}", text::escape(lower.trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        for url in [
            "ssh://lb1",
            "ssh://ops@lb1:2222",
            "ssh://[2001:db8::1]:22",
            "unix:/run/lbagent/agent.sock",
        ] {
            assert_eq!(Host::parse(url).unwrap().to_string(), url);
        }
        assert_eq!(Host::parse("ssh://ops@lb1/").unwrap().label(), "lb1");
    }

    #[test]
    fn nothing_that_ssh_could_take_for_an_option_or_a_command_passes() {
        for url in [
            "lb1",
            "http://lb1",
            "unix:",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-l@lb1",
            "ssh://lb1:0",
            "ssh://lb1:70000",
            "ssh://lb1;reboot",
            "ssh://lb 1",
            "ssh://@lb1",
            "ssh://[::1",
            "ssh://[::1]22",
        ] {
            assert!(Host::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_reason_is_one_line_for_a_table() {
        let said = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            reason(&lines, None)
        };
        assert_eq!(
            said(&["ssh: connect to host lb3 port 22: Connection timed out"]),
            "ssh: connection timed out"
        );
        assert_eq!(
            said(&[
                "Warning: Permanently added 'lb3' to the list of known hosts.",
                "ops@lb3: Permission denied (publickey)."
            ]),
            "ssh: ops@lb3: Permission denied (publickey)"
        );
        assert_eq!(
            said(&[
                "lbctl: no agent is running: nothing listens on /run/lbagent/agent.sock",
                "  start it"
            ]),
            "no agent is running: nothing listens on /run/lbagent/agent.sock"
        );
        assert_eq!(said(&[]), "ssh: the connection ended before the agent answered");
    }
}
