//! The script runner's own process: starts scripts, keeps their time, collects what is left of them.
//!
//! One thread, one loop. It never waits for a script or for the agent. It ends when the agent's end of the socket is
//! closed: checks are killed with it, notify scripts may finish.

use super::ownership::only_root_can_change;
use super::runner_wire::{EndedMessage, MESSAGE_MAX, RunMessage};
use super::sys::{JobSetup, set_up_job, take_descriptor};
use crate::model::{JobEnd, JobId, JobOutcome};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Gid, Pid, Uid, User, getegid, geteuid, getgrouplist, setsid};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Scripts that run at the same time.
const RUNNING_MAX: usize = 64;
/// Of these, scripts without a time limit: a hanging notify script must not stop the checks.
const UNLIMITED_MAX: usize = 32;
/// Checks that wait for a place; more are told that they cannot run.
const WAITING_MAX: usize = 4096;
/// Jobs that wait in one lane.
const LANE_MAX: usize = 256;
/// What is kept of a script's output.
const OUTPUT_KEPT: usize = 4096;
/// Between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long processes that left their script's session are looked for, after its end or the last one found.
const HUNT: Duration = Duration::from_millis(100);
const HUNT_STEP: Duration = Duration::from_millis(50);
/// How long notify scripts may go on after the agent's end.
const LAST_WORDS: Duration = Duration::from_secs(60);
/// Processor time of a check.
const CPU_LIMIT_S: u64 = 60;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Tells whose child a stray process is.
const MARK: &str = "LBAGENT_JOB";

/// The whole life of the runner's process. `fd`: the socket it was started with.
pub fn runner_main(fd: RawFd) -> ! {
    let code = match Runner::new(fd) {
        Ok(mut runner) => {
            runner.run();
            0
        }
        Err(error) => {
            eprintln!("lbagent: the script runner cannot start: {error}");
            1
        }
    };
    std::process::exit(code)
}

struct Runner {
    socket: OwnedFd,
    children: SignalFd,
    running: BTreeMap<JobId, Running>,
    /// Checks that wait for a place, and scripts without a time limit that do.
    limited: VecDeque<RunMessage>,
    unlimited: VecDeque<RunMessage>,
    /// Lanes in which a job runs or waits for a place, with those behind it.
    lanes: BTreeMap<String, VecDeque<RunMessage>>,
    outbox: VecDeque<EndedMessage>,
    /// Pipes that outlived their notify script.
    strays: Vec<PipeReader>,
    /// Ended or killed checks whose stray processes are looked for.
    hunted: BTreeMap<JobId, Instant>,
    /// Set when the agent is gone.
    leave_by: Option<Instant>,
}

struct Running {
    pid: Pid,
    pipe: Option<PipeReader>,
    output: Vec<u8>,
    limit: Limit,
    lane: Option<String>,
}

/// How a script's time runs out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Limit {
    None,
    Term(Instant),
    Kill(Instant),
    Killed,
}

impl Running {
    fn is_check(&self) -> bool {
        self.limit != Limit::None
    }
}

impl Runner {
    fn new(fd: RawFd) -> io::Result<Self> {
        // Ctrl-C on the agent's terminal is the agent's business.
        let _ = setsid();
        let given = take_descriptor(fd)?;
        let socket = own_socket(given)?;
        // Ignored signals would be inherited by scripts; blocked ones are unblocked for them.
        SigSet::all().thread_block()?;
        let mut wanted = SigSet::empty();
        wanted.add(Signal::SIGCHLD);
        let children = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let _ = nix::sys::prctl::set_name(c"lbagent-scripts");
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(Self {
            socket,
            children,
            running: BTreeMap::new(),
            limited: VecDeque::new(),
            unlimited: VecDeque::new(),
            lanes: BTreeMap::new(),
            outbox: VecDeque::new(),
            strays: Vec::new(),
            hunted: BTreeMap::new(),
            leave_by: None,
        })
    }

    fn run(&mut self) {
        loop {
            self.wait();
            self.hear();
            self.read_outputs();
            self.reap();
            self.keep_time();
            self.start_waiting();
            self.hunt();
            self.tell();
            if let Some(at) = self.leave_by {
                let idle = self.running.is_empty() && self.unlimited.is_empty() && self.hunted.is_empty();
                if idle || Instant::now() >= at {
                    return;
                }
            }
        }
    }

    /// Sleeps until something can be done.
    fn wait(&self) {
        let now = Instant::now();
        let limits = self.running.values().filter_map(|job| match job.limit {
            Limit::Term(at) | Limit::Kill(at) => Some(at),
            Limit::None | Limit::Killed => None,
        });
        let hunt = (!self.hunted.is_empty()).then(|| now + HUNT_STEP);
        let next = limits.chain(hunt).chain(self.leave_by).min();
        let timeout = next.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(now).as_millis() + 1;
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let mut watched = vec![PollFd::new(self.children.as_fd(), PollFlags::POLLIN)];
        if self.leave_by.is_none() {
            let mut events = PollFlags::POLLIN;
            events.set(PollFlags::POLLOUT, !self.outbox.is_empty());
            watched.push(PollFd::new(self.socket.as_fd(), events));
        }
        let pipes = self.running.values().filter_map(|job| job.pipe.as_ref());
        watched.extend(
            pipes
                .chain(&self.strays)
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)),
        );
        // Interrupted or not: everything is looked at without waiting.
        let _ = poll(&mut watched, timeout);
    }

    /// Takes what the agent wants.
    fn hear(&mut self) {
        let mut buffer = vec![0; MESSAGE_MAX];
        while self.leave_by.is_none() {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => self.on_agent_gone(),
                Ok(count) => {
                    if let Some(message) = RunMessage::decode(&buffer[..count]) {
                        self.accept(message);
                    }
                }
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => self.on_agent_gone(),
            }
        }
    }

    fn on_agent_gone(&mut self) {
        self.leave_by = Some(Instant::now() + LAST_WORDS);
        self.limited.clear();
        for lane in self.lanes.values_mut() {
            lane.retain(|message| message.timeout.is_none());
        }
        for job in self.running.values_mut().filter(|job| job.is_check()) {
            let _ = killpg(job.pid, Signal::SIGKILL);
            job.limit = Limit::Killed;
        }
    }

    fn accept(&mut self, message: RunMessage) {
        let Some(lane) = message.lane.clone() else {
            return self.enqueue(message);
        };
        let Some(waiting) = self.lanes.get_mut(&lane) else {
            self.lanes.insert(lane, VecDeque::new());
            return self.enqueue(message);
        };
        waiting.push_back(message);
        if waiting.len() > LANE_MAX
            && let Some(dropped) = waiting.remove(LANE_MAX / 2)
        {
            // The newest is what counts, the oldest begins the story.
            self.refuse(dropped.id, format!("{LANE_MAX} scripts are waiting before it"));
        }
    }

    fn enqueue(&mut self, message: RunMessage) {
        if message.timeout.is_none() {
            self.unlimited.push_back(message);
        } else if self.limited.len() < WAITING_MAX {
            self.limited.push_back(message);
        } else {
            self.refuse(
                message.id,
                format!("{RUNNING_MAX} scripts run and {WAITING_MAX} wait"),
            );
            self.next_in_lane(message.lane);
        }
    }

    fn start_waiting(&mut self) {
        while self.running.len() < RUNNING_MAX {
            let unlimited = self.running.values().filter(|job| !job.is_check()).count();
            let next = if unlimited < UNLIMITED_MAX {
                self.unlimited.pop_front().or_else(|| self.limited.pop_front())
            } else {
                self.limited.pop_front()
            };
            let Some(message) = next else {
                return;
            };
            match start(&message) {
                Ok(job) => {
                    self.running.insert(message.id, job);
                }
                Err(why) => {
                    self.refuse(message.id, why);
                    self.next_in_lane(message.lane);
                }
            }
        }
    }

    fn refuse(&mut self, id: JobId, why: String) {
        self.end(id, JobEnd::NotStarted(why), Vec::new());
    }

    fn end(&mut self, id: JobId, end: JobEnd, output: Vec<u8>) {
        let outcome = JobOutcome { end, output };
        self.outbox.push_back(EndedMessage { id, outcome });
    }

    fn next_in_lane(&mut self, lane: Option<String>) {
        let Some(lane) = lane else {
            return;
        };
        match self.lanes.get_mut(&lane).map(VecDeque::pop_front) {
            Some(Some(message)) => self.enqueue(message),
            Some(None) => {
                self.lanes.remove(&lane);
            }
            None => {}
        }
    }

    fn read_outputs(&mut self) {
        for job in self.running.values_mut() {
            if let Some(pipe) = &mut job.pipe
                && !drain(pipe, Some(&mut job.output))
            {
                job.pipe = None;
            }
        }
        self.strays.retain_mut(|pipe| drain(pipe, None));
    }

    /// Collects everything that ended: scripts, and what they left behind and is our child now.
    fn reap(&mut self) {
        while let Ok(Some(_)) = self.children.read_signal() {}
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(status) = waitid(Id::All, look) {
            let Some(pid) = status.pid() else {
                return;
            };
            let job = self
                .running
                .iter()
                .find(|(_, job)| job.pid == pid)
                .map(|(id, _)| *id);
            match job {
                Some(id) => self.on_ended(id, status),
                None => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
            }
        }
    }

    fn on_ended(&mut self, id: JobId, status: WaitStatus) {
        let Some(mut job) = self.running.remove(&id) else {
            return;
        };
        if job.is_check() {
            // As long as it is not collected, its group's number is nobody else's.
            let _ = killpg(job.pid, Signal::SIGKILL);
            self.hunted.insert(id, Instant::now() + HUNT);
        }
        let _ = waitpid(job.pid, Some(WaitPidFlag::WNOHANG));
        if let Some(mut pipe) = job.pipe.take()
            && drain(&mut pipe, Some(&mut job.output))
            && !job.is_check()
        {
            // A daemon started by a notify script may go on writing.
            self.strays.push(pipe);
            if self.strays.len() > RUNNING_MAX {
                self.strays.remove(0);
            }
        }
        let end = match (job.limit, status) {
            (Limit::Kill(_) | Limit::Killed, _) => JobEnd::TimedOut,
            (Limit::None | Limit::Term(_), WaitStatus::Exited(_, code)) => JobEnd::Exited(code),
            (Limit::None | Limit::Term(_), WaitStatus::Signaled(_, signal, _)) => {
                JobEnd::Signalled(signal as i32)
            }
            (Limit::None | Limit::Term(_), _) => JobEnd::Signalled(0),
        };
        self.end(id, end, job.output);
        self.next_in_lane(job.lane);
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        for job in self.running.values_mut() {
            match job.limit {
                Limit::Term(at) if at <= now => {
                    let _ = killpg(job.pid, Signal::SIGTERM);
                    // One that stopped itself would not hear it.
                    let _ = killpg(job.pid, Signal::SIGCONT);
                    job.limit = Limit::Kill(now + TERM_GRACE);
                }
                Limit::Kill(at) if at <= now => {
                    let _ = killpg(job.pid, Signal::SIGKILL);
                    job.limit = Limit::Killed;
                }
                Limit::None | Limit::Term(_) | Limit::Kill(_) | Limit::Killed => {}
            }
        }
    }

    /// Kills processes of ended checks that left their session. They are our children now, and carry their job's mark.
    fn hunt(&mut self) {
        if self.hunted.is_empty() {
            return;
        }
        let me = std::process::id();
        let list = std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).unwrap_or_default();
        for pid in list.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
            let pid = Pid::from_raw(pid);
            if self.running.values().any(|job| job.pid == pid) {
                continue;
            }
            if let Some(until) = mark_of(pid).and_then(|id| self.hunted.get_mut(&id)) {
                // Its own children become ours with its death, and are found next time.
                let _ = kill(pid, Signal::SIGKILL);
                *until = Instant::now() + HUNT;
            }
        }
        let now = Instant::now();
        self.hunted.retain(|_, until| *until > now);
    }

    fn tell(&mut self) {
        if self.leave_by.is_some() {
            self.outbox.clear();
        }
        while let Some(message) = self.outbox.front() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match send(self.socket.as_raw_fd(), &message.encode(), flags) {
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => {
                    self.outbox.pop_front();
                }
            }
        }
    }
}

/// Moves the socket out of the way of standard input, output and error.
fn own_socket(given: OwnedFd) -> io::Result<OwnedFd> {
    let number = fcntl(&given, FcntlArg::F_DUPFD_CLOEXEC(3))?;
    let socket = take_descriptor(number)?;
    if given.as_raw_fd() == 0 {
        // The lowest free number is taken, so that this becomes standard input again, for good.
        drop(given);
        std::mem::forget(std::fs::File::open("/dev/null")?);
    }
    Ok(socket)
}

/// Reads what there is, keeps the first part; false at the end.
fn drain(pipe: &mut PipeReader, mut kept: Option<&mut Vec<u8>>) -> bool {
    let mut buffer = [0; 16 * 1024];
    // Bounded, so that an endless writer cannot hold up the others.
    for _ in 0..16 {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => {
                if let Some(kept) = &mut kept {
                    let room = OUTPUT_KEPT - kept.len();
                    kept.extend(&buffer[..count.min(room)]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

/// Starts a script, or says why it cannot be.
fn start(message: &RunMessage) -> Result<Running, String> {
    let (program, arguments) = program_of(&message.argv)?;
    let me = (geteuid().as_raw(), getegid().as_raw());
    let user = message.user.filter(|user| *user != me);
    if message.rules.secure && user.unwrap_or(me).0 == 0 {
        only_root_can_change(Path::new(&program))?;
    }
    let (reader, writer) = io::pipe().map_err(|error| format!("no pipe: {error}"))?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|error| format!("no pipe: {error}"))?;
    let spawn = |program: &str, arguments: &[String]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C")
            .env(MARK, message.id.0.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer.try_clone()?);
        let is_check = message.timeout.is_some();
        let groups = user.map(|user| groups_of(user, message.rules.all_groups));
        let setup = JobSetup {
            user,
            groups: groups.unwrap_or_default(),
            death_signal: if is_check { libc::SIGKILL } else { libc::SIGTERM },
            cpu_limit_s: is_check.then_some(CPU_LIMIT_S),
        };
        set_up_job(&mut command, setup);
        command.spawn()
    };
    let child = match spawn(&program, &arguments) {
        // No interpreter line: a shell's script, as execvp(3) and keepalived have it.
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            let mut shell = vec![program.clone()];
            shell.extend(arguments);
            spawn("/bin/sh", &shell)
        }
        other => other,
    }
    .map_err(|error| format!("cannot run '{program}': {error}"))?;
    Ok(Running {
        pid: Pid::from_raw(child.id().cast_signed()),
        pipe: Some(reader),
        output: Vec::new(),
        limit: message
            .timeout
            .map_or(Limit::None, |timeout| Limit::Term(Instant::now() + timeout)),
        lane: message.lane.clone(),
    })
}

/// The groups of a script: the one it is given, or with `all` every one its user is in.
fn groups_of((uid, gid): (u32, u32), all: bool) -> Vec<u32> {
    let user = all.then(|| User::from_uid(Uid::from_raw(uid)).ok().flatten());
    let found = user.flatten().and_then(|user| {
        let name = CString::new(user.name).ok()?;
        getgrouplist(&name, Gid::from_raw(gid)).ok()
    });
    found.map_or_else(
        || vec![gid],
        |groups| groups.into_iter().map(Gid::as_raw).collect(),
    )
}

/// The program and its arguments. `</dev/tcp/ADDRESS/PORT` is no program but a redirection for a shell that knows such
/// files, as keepalived's users have it from its documentation.
fn program_of(argv: &[String]) -> Result<(String, Vec<String>), String> {
    let (first, rest) = argv.split_first().ok_or("no program is named")?;
    if !first.starts_with('<') {
        return Ok((first.clone(), rest.to_vec()));
    }
    let shell = ["/bin/bash", "/usr/bin/bash"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("/bin/sh");
    Ok((shell.to_owned(), vec!["-c".to_owned(), argv.join(" ")]))
}

/// Which job a process belongs to, as its environment says.
fn mark_of(pid: Pid) -> Option<JobId> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = [MARK.as_bytes(), b"="].concat();
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(prefix.as_slice()))?;
    std::str::from_utf8(value).ok()?.parse().ok().map(JobId)
}
