//! The agent's side of the script runner.
//!
//! Scripts are not started by the agent but by a small process of its own, so that fork and setuid stay away from the
//! real-time threads. When that process dies, the scripts it ran count as not run, and it is started again.

use super::runner_wire::{EndedMessage, MESSAGE_MAX, RunMessage};
use crate::model::{Job, JobEnd, JobId, JobOutcome, ScriptRules};
use anyhow::Context;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use super::runner_process::runner_main;

/// The hidden argument that makes the program a script runner; the number of its socket follows.
pub const RUNNER_ARGUMENT: &str = "--runner-fd";
/// The runner gets its socket as standard input.
const RUNNER_FD: &str = "0";

/// Between the death of a runner and the next attempt to start one.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// How long a stop waits for jobs to leave.
const FLUSH: Duration = Duration::from_secs(1);

/// The descriptor this process was told to be a runner on, if it was. To be asked before anything else in `main`.
pub fn runner_fd_argument(mut arguments: impl Iterator<Item = OsString>) -> Option<RawFd> {
    let first = arguments.nth(1)?;
    if first != RUNNER_ARGUMENT {
        return None;
    }
    arguments.next()?.to_str()?.parse().ok()
}

/// Runs scripts. Dropping it lets go of the runner: checks are killed, notify scripts may finish.
pub struct Runner {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: EventFd,
}

#[derive(Default)]
struct Inbox {
    jobs: VecDeque<(JobId, Job)>,
    rules: ScriptRules,
    stop: bool,
}

impl Runner {
    /// Starts the thread that talks to the runner and, if scripts are `expected`, the runner's process from this
    /// program, to be done before other threads exist. Without, it is started with the first job.
    ///
    /// `results` gets the outcome of every job that is to be reported.
    pub fn start(
        expected: bool,
        results: impl Fn(JobId, JobOutcome) + Send + 'static,
    ) -> anyhow::Result<Self> {
        Self::start_program(PathBuf::from("/proc/self/exe"), expected, results)
    }

    /// As [`Runner::start`], from another program that calls [`runner_main`].
    pub fn start_program(
        program: PathBuf,
        expected: bool,
        results: impl Fn(JobId, JobOutcome) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
                .context("no eventfd for the script runner")?,
        });
        let link = expected
            .then(|| Link::open(&program).context("cannot start the script runner"))
            .transpose()?;
        let client = Client {
            shared: Arc::clone(&shared),
            program,
            link,
            needed: expected,
            retry_at: Instant::now(),
            outbox: VecDeque::new(),
            reported: BTreeMap::new(),
            results: Box::new(results),
        };
        let thread = std::thread::Builder::new()
            .name("scripts".to_owned())
            .spawn(move || client.run())
            .context("no thread for the script runner")?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What holds from now on. Whether others than root could change a script is looked at again right before each start.
    pub fn set_rules(&self, rules: ScriptRules) {
        self.shared.lock().rules = rules;
    }

    /// Runs a script. Never waits.
    pub fn run(&self, id: JobId, job: Job) {
        self.shared.lock().jobs.push_back((id, job));
        self.shared.wake();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Full means that it is awake already.
        let _ = self.wake.write(1);
    }
}

/// A running runner.
struct Link {
    socket: OwnedFd,
    child: Child,
}

impl Link {
    fn open(program: &PathBuf) -> anyhow::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        )?;
        let child = Command::new(program)
            .arg0("lbagent-scripts")
            .args([RUNNER_ARGUMENT, RUNNER_FD])
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { socket: ours, child })
    }
}

struct Client {
    shared: Arc<Shared>,
    program: PathBuf,
    link: Option<Link>,
    /// False before the first job, if none was expected.
    needed: bool,
    retry_at: Instant,
    outbox: VecDeque<(JobId, Vec<u8>)>,
    /// Jobs under way, whether somebody wants to hear of each, and what it is.
    reported: BTreeMap<JobId, (bool, String)>,
    results: Box<dyn Fn(JobId, JobOutcome) + Send>,
}

impl Client {
    fn run(mut self) {
        loop {
            self.wait();
            let stop = self.take_jobs();
            self.send();
            self.receive();
            self.revive();
            if stop {
                self.flush();
                return;
            }
        }
    }

    fn wait(&self) {
        let mut watched = vec![PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN)];
        let timeout = match &self.link {
            Some(link) => {
                let mut events = PollFlags::POLLIN;
                events.set(PollFlags::POLLOUT, !self.outbox.is_empty());
                watched.push(PollFd::new(link.socket.as_fd(), events));
                PollTimeout::NONE
            }
            None if !self.needed => PollTimeout::NONE,
            None => {
                let left = self.retry_at.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        let _ = poll(&mut watched, timeout);
        let _ = self.shared.wake.read();
    }

    /// Takes over what was asked for; whether it is time to stop.
    fn take_jobs(&mut self) -> bool {
        let (jobs, rules, stop) = {
            let mut inbox = self.shared.lock();
            (std::mem::take(&mut inbox.jobs), inbox.rules, inbox.stop)
        };
        if !jobs.is_empty() && !self.needed {
            self.needed = true;
            self.revive();
        }
        for (id, job) in jobs {
            let name = job.script.argv.first().cloned().unwrap_or_default();
            self.reported.insert(id, (job.report, name));
            let message = RunMessage::new(id, job, rules).encode();
            if self.link.is_none() {
                self.not_started(id, "the script runner is being started again");
            } else if message.len() > MESSAGE_MAX {
                self.not_started(id, "its arguments are too long");
            } else {
                self.outbox.push_back((id, message));
            }
        }
        stop
    }

    fn send(&mut self) {
        while let (Some(link), Some((_, message))) = (&self.link, self.outbox.front()) {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(link.socket.as_raw_fd(), message, flags) {
                Ok(_) => {
                    self.outbox.pop_front();
                }
                Err(Errno::EAGAIN | Errno::ENOBUFS) => return,
                Err(Errno::EINTR) => {}
                Err(_) => self.on_death(),
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = vec![0; MESSAGE_MAX];
        while let Some(link) = &self.link {
            match recv(link.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.on_death(),
                Ok(count) => {
                    if let Some(ended) = EndedMessage::decode(&buffer[..count]) {
                        self.on_ended(ended);
                    }
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => self.on_death(),
            }
        }
    }

    fn on_ended(&mut self, ended: EndedMessage) {
        let EndedMessage { id, outcome } = ended;
        let Some((report, name)) = self.reported.remove(&id) else {
            return;
        };
        if let JobEnd::NotStarted(why) = &outcome.end {
            tracing::debug!(script = name, why, "script not started");
        }
        if report {
            (self.results)(id, outcome);
        }
    }

    fn not_started(&mut self, id: JobId, why: &str) {
        let end = JobEnd::NotStarted(why.to_owned());
        let outcome = JobOutcome {
            end,
            output: Vec::new(),
        };
        self.on_ended(EndedMessage { id, outcome });
    }

    /// The runner is gone: nothing is known about what it ran.
    fn on_death(&mut self) {
        let Some(mut link) = self.link.take() else {
            return;
        };
        let _ = link.child.kill();
        let status = link.child.wait();
        tracing::debug!(?status, "the script runner died");
        self.outbox.clear();
        let lost: Vec<JobId> = self.reported.keys().copied().collect();
        for id in lost {
            self.not_started(id, "the script runner died");
        }
        self.retry_at = Instant::now() + RESTART_DELAY;
    }

    fn revive(&mut self) {
        if self.needed && self.link.is_none() && Instant::now() >= self.retry_at {
            match Link::open(&self.program) {
                Ok(link) => self.link = Some(link),
                Err(error) => {
                    tracing::debug!(%error, "the script runner does not start");
                    self.retry_at = Instant::now() + RESTART_DELAY;
                }
            }
        }
    }

    /// Hands over what is left before the end: `notify_stop` is the last thing asked for.
    fn flush(&mut self) {
        let until = Instant::now() + FLUSH;
        while let Some(link) = &self.link
            && !self.outbox.is_empty()
            && Instant::now() < until
        {
            let mut watched = [PollFd::new(link.socket.as_fd(), PollFlags::POLLOUT)];
            let _ = poll(&mut watched, PollTimeout::from(100u8));
            self.send();
        }
    }
}
