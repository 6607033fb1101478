//! Every `unsafe` of the agent, each with the reason it is sound and why no safe call would do.
#![allow(unsafe_code)]

use crate::wire::LinkIndex;
use nix::sys::signal::SigSet;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Sends an Ethernet frame as it is out of a link, on an `AF_PACKET` socket of type `SOCK_RAW`.
///
/// `nix` and `socket2` can hold an `AF_PACKET` address but not make one.
pub fn send_frame(socket: &impl AsFd, link: LinkIndex, frame: &[u8]) -> io::Result<()> {
    let index = i32::try_from(link.0).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
    to.sll_family = libc::AF_PACKET.cast_unsigned() as libc::c_ushort;
    to.sll_ifindex = index;
    // The EtherType as it stands in the frame, in network order: packet sniffers and the driver see it.
    if let Some(&[high, low]) = frame.get(12..14) {
        to.sll_protocol = u16::from_ne_bytes([high, low]);
    }
    let length = size_of_val(&to) as libc::socklen_t;
    // SAFETY: the frame and the address outlive the call and are given with their own lengths; the kernel only
    // reads them; the descriptor is open as long as `socket` is borrowed.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_NOSIGNAL,
            (&raw const to).cast(),
            length,
        )
    };
    match usize::try_from(sent) {
        Ok(count) if count == frame.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// The supplementary groups of a connected socket's peer (`SO_PEERGROUPS`).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut length = libc::socklen_t::try_from(size_of_val(groups.as_slice())).unwrap_or(0);
        // SAFETY: the kernel writes at most `length` bytes, which is the size of the buffer, and says how many it
        // wrote or needs. No safe wrapper knows this option.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut length,
            )
        };
        let count = length as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // 65,536 is the kernel's own limit (NGROUPS_MAX).
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() || count > 65_536 {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// A second process like this one: its number in the first, `None` in the second.
pub(super) fn fork() -> io::Result<Option<nix::unistd::Pid>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "{threads} threads run, and only one would come along"
        )));
    }
    // SAFETY: this is the only thread (just counted; nobody else could start one), so the second process has no lock
    // or memory that a missing thread was about to release or change. The standard library cannot fork.
    let result = unsafe { nix::unistd::fork() };
    Ok(match result? {
        nix::unistd::ForkResult::Parent { child } => Some(child),
        nix::unistd::ForkResult::Child => None,
    })
}

// Signals.

/// keepalived's signal for JSON.
pub fn signal_json() -> i32 {
    libc::SIGRTMIN() + 2
}

/// keepalived's signal for statistics that then begin anew.
pub fn signal_stats_clear() -> i32 {
    libc::SIGRTMAX() - 1
}

/// A set of signals with two real-time ones added, which `nix` cannot name.
pub fn with_dump_signals(set: &SigSet) -> io::Result<SigSet> {
    let mut raw = *set.as_ref();
    for number in [signal_json(), signal_stats_clear()] {
        // SAFETY: the set is initialised and on this stack; the call only writes to it.
        if unsafe { libc::sigaddset(&raw mut raw, number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: every signal in it was added by sigaddset, so the kernel knows it. What `nix` asks for beyond that, names
    // for all of them, matters only to its iterator, which is not used.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(raw) })
}

// Threads.

/// Sets the nice value of one thread.
///
/// `nix` has no call for it. Linux takes a thread's number where POSIX says a process's.
pub(super) fn set_nice(thread: nix::unistd::Pid, nice: i8) -> io::Result<()> {
    let id =
        libc::id_t::try_from(thread.as_raw()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a plain system call on numbers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, id, libc::c_int::from(nice)) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives a thread `SCHED_RR` with this priority; what it starts does not inherit it.
///
/// `nix` has no call for it.
pub(super) fn set_real_time(thread: nix::unistd::Pid, priority: u8) -> io::Result<()> {
    // SAFETY: all bytes zero is a valid value of this plain C structure.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = libc::c_int::from(priority);
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel only reads the structure, which is initialised and on this stack.
    if unsafe { libc::sched_setscheduler(thread.as_raw(), policy, &raw const parameters) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

// The script runner.

/// What a script's process is given before it becomes the script.
#[derive(Clone, Debug)]
pub(super) struct JobSetup {
    /// User and group to become; `None` stays who we are.
    pub(super) user: Option<(u32, u32)>,
    /// All groups of that user's processes.
    pub(super) groups: Vec<u32>,
    /// What it gets when its parent dies.
    pub(super) death_signal: libc::c_int,
    /// Seconds of processor time; `None`: as much as it likes.
    pub(super) cpu_limit_s: Option<u64>,
}

/// Most descriptors a script may have open.
const JOB_DESCRIPTORS: u64 = 1024;

/// Lets a command start as a script's process: own session, no core, no descriptor above 2, default signals.
pub(super) fn set_up_job(command: &mut Command, setup: JobSetup) {
    // SAFETY: between fork and exec only async-signal-safe system calls are made, on values copied before; nothing
    // allocates or locks. Command has no safe way to set groups, limits and the death signal.
    unsafe {
        command.pre_exec(move || become_job(&setup));
    }
}

/// The order matters: groups before user, or the right to set them is gone; the death signal after the user, because
/// changing that clears it.
fn become_job(setup: &JobSetup) -> io::Result<()> {
    let check = |result: libc::c_int| {
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: plain system calls; the pointers are to live values on this stack.
    unsafe {
        check(libc::setsid())?;
        for signal in 1..libc::SIGRTMIN() {
            if signal != libc::SIGKILL && signal != libc::SIGSTOP {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let mut none: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut()))?;
        libc::umask(0o022);
        limit(libc::RLIMIT_CORE, 0)?;
        limit(libc::RLIMIT_NOFILE, JOB_DESCRIPTORS)?;
        if let Some(seconds) = setup.cpu_limit_s {
            limit(libc::RLIMIT_CPU, seconds)?;
        }
        // Marks instead of closing, because the pipe that reports a failed exec is among them. Older kernels lack the
        // flag; there every descriptor was opened close-on-exec anyway.
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        if let Some((uid, gid)) = setup.user {
            check(libc::setgroups(setup.groups.len(), setup.groups.as_ptr()))?;
            check(libc::setgid(gid))?;
            check(libc::setuid(uid))?;
        }
        check(libc::prctl(libc::PR_SET_PDEATHSIG, setup.death_signal, 0, 0, 0))
    }
}

/// Lowers a limit; one that is lower already stays.
///
/// # Safety
/// None beyond that of the calls; it is `unsafe` only because it runs between fork and exec.
unsafe fn limit(what: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    // SAFETY: the pointers are to a live value on this stack.
    unsafe {
        let mut now: libc::rlimit = mem::zeroed();
        if libc::getrlimit(what, &mut now) < 0 {
            return Err(io::Error::last_os_error());
        }
        now.rlim_cur = now.rlim_cur.min(value);
        now.rlim_max = now.rlim_max.min(value);
        if libc::setrlimit(what, &now) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes over a descriptor this process was started with. Must be called once for it, before anything else uses it.
pub(super) fn take_descriptor(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl only looks whether the number is open.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the caller promises that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor that becomes readable when a process ends (`pidfd_open(2)`, since Linux 5.3).
pub(super) fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the call takes two numbers and touches no memory. No wrapper in use here knows it.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).map_err(|_| io::Error::from(io::ErrorKind::Other))?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us, close-on-exec, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets all threads share two heaps of glibc instead of one for each. They hand their memory to each other all the time,
/// and most are asleep: more heaps would only keep more pages.
pub fn share_heaps() {
    // SAFETY: called before there is a second thread; sets a number inside the allocator and touches no memory of ours.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Gives the kernel what was freed: the reading of a configuration takes many times what is kept of it.
pub fn give_memory_back() {
    // SAFETY: takes the allocator's own locks and moves nothing that is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
