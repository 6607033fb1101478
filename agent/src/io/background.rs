//! Going to the background: the process that was started waits until the one that stays has started, or says why not.
//!
//! Whoever calls `lbagent` without `--dont-fork` (an init script, a person) reads its exit code: it must not be a
//! success while the agent behind it fails.

use super::sys;
use lb_shared::paths;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, pipe2, setsid};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The most of an error that is passed on.
const TEXT_MAX: u64 = 64 << 10;

/// The way back to the process that waits; leads nowhere if none does.
#[derive(Clone, Debug, Default)]
pub struct Herald {
    pipe: Rc<RefCell<Option<File>>>,
}

impl Herald {
    fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Rc::new(RefCell::new(Some(File::from(pipe)))),
        }
    }

    /// The agent has started.
    pub fn started(&self) {
        self.tell(0, "");
    }

    /// It ends before it has started. False if nobody waits any more: then it is for the log.
    pub fn failed(&self, code: u8, text: &str) -> bool {
        self.tell(code, text)
    }

    fn tell(&self, code: u8, text: &str) -> bool {
        let Some(mut pipe) = self.pipe.take() else {
            return false;
        };
        let mut bytes = vec![code];
        bytes.extend_from_slice(text.as_bytes());
        pipe.write_all(&bytes).is_ok()
    }
}

/// Forks, and returns in the process that stays only: it leads a session of its own, in `/`, with nothing behind its
/// standard streams. The other one ends with what the first is told by way of the [`Herald`].
///
/// To be called before the first thread: a fork takes only the calling one along.
pub fn detach() -> io::Result<Herald> {
    let (back, way) = pipe2(OFlag::O_CLOEXEC)?;
    if let Some(child) = sys::fork()? {
        drop(way);
        let (code, text) = match await_news(back)? {
            (Some(code), text) => (code, text),
            (None, _) => (1, format!("it ended before it had started ({})", ending(child))),
        };
        if code != 0 {
            eprintln!("{}: {text}", paths::AGENT);
        }
        // Nothing is dropped here: the locks are those of the process that stays.
        std::process::exit(code.into());
    }
    drop(back);
    setsid()?;
    std::env::set_current_dir("/")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(Herald::new(way))
}

/// What the other process says: a code and a text; no code if it ended without a word.
fn await_news(back: OwnedFd) -> io::Result<(Option<u8>, String)> {
    let mut back = File::from(back);
    let mut code = [0];
    if back.read(&mut code)? == 0 {
        return Ok((None, String::new()));
    }
    let mut text = Vec::new();
    if code[0] != 0 {
        back.take(TEXT_MAX).read_to_end(&mut text)?;
    }
    Ok((Some(code[0]), String::from_utf8_lossy(&text).into_owned()))
}

fn ending(child: Pid) -> String {
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => format!("exit code {code}"),
        Ok(WaitStatus::Signaled(_, signal, _)) => signal.to_string(),
        Ok(_) | Err(_) => "nobody knows how".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (OwnedFd, Herald) {
        let (back, way) = pipe2(OFlag::O_CLOEXEC).unwrap();
        (back, Herald::new(way))
    }

    #[test]
    fn the_process_that_waits_learns_of_a_start_an_error_and_an_end_without_a_word() {
        let (back, herald) = pair();
        herald.started();
        assert!(!herald.failed(1, "too late for who waited"));
        assert_eq!(await_news(back).unwrap(), (Some(0), String::new()));

        let (back, herald) = pair();
        assert!(herald.failed(2, "no such file"));
        assert_eq!(await_news(back).unwrap(), (Some(2), "no such file".to_owned()));

        let (back, herald) = pair();
        drop(herald);
        assert_eq!(await_news(back).unwrap().0, None);
    }

    #[test]
    fn in_the_foreground_nobody_waits() {
        assert!(!Herald::default().failed(1, "for the log"));
    }
}
