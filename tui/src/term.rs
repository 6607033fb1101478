//! The terminal: taken over at the start, given back however the program ends.

use anyhow::{Context as _, Result, bail};
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Stdout, Write as _, stderr, stdout};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the terminal is ours at the moment: giving it back twice would disturb what runs in it next.
static TAKEN: AtomicBool = AtomicBool::new(false);

pub(crate) type Screen = Terminal<CrosstermBackend<Stdout>>;

/// Signals that end the program or suspend it.
pub(crate) fn handled() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGTSTP] {
        set.add(signal);
    }
    set
}

/// Takes the terminal over.
pub(crate) fn take() -> Result<Screen> {
    if !stdout().is_terminal() {
        bail!("standard output is no terminal; lbctl status and lbctl watch write plain text");
    }
    enter().context("the terminal cannot be taken over")?;
    Terminal::new(CrosstermBackend::new(stdout())).context("the terminal cannot be drawn on")
}

fn enter() -> std::io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    enable_raw_mode()?;
    execute!(
        stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange
    )
}

/// Gives the terminal back as it was. Does nothing when it is not ours.
pub(crate) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // The other steps are worth trying when one fails.
    let _ = execute!(
        stdout(),
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

/// Has a panic give the terminal back before it is told of, since a message on the alternate screen is lost, and leave a
/// report in a file.
pub(crate) fn restore_on_panic() {
    std::panic::set_hook(Box::new(move |info| {
        restore();
        let report = format!(
            "lbtui {}\nthread {}: {info}\n\n{}",
            env!("CARGO_PKG_VERSION"),
            std::thread::current().name().unwrap_or("without a name"),
            std::backtrace::Backtrace::force_capture()
        );
        // The terminal may be gone as well: then nobody reads it.
        let _ = match keep(&report) {
            Ok(path) => writeln!(
                stderr(),
                "lbtui failed, this is a bug; the agent goes on. What happened is in {}",
                path.display()
            ),
            Err(error) => writeln!(
                stderr(),
                "lbtui failed, this is a bug; the agent goes on. No report could be kept: {error}\n{report}"
            ),
        };
        // Threads of a broken program would go on drawing.
        std::process::exit(101);
    }));
}

/// Writes a report into the user's state directory.
fn keep(report: &str) -> std::io::Result<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|it| !it.is_empty())
            .map(PathBuf::from)
    };
    let home = var("XDG_STATE_HOME").or_else(|| Some(var("HOME")?.join(".local/state")));
    let folder = home
        .ok_or_else(|| std::io::Error::other("HOME is not set"))?
        .join("lbctl");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("lbtui-failed-{}.txt", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(report.as_bytes())?;
    Ok(path)
}

/// Stops until the shell continues us, with the terminal given back in between.
pub(crate) fn suspend() -> Result<()> {
    restore();
    raise(Signal::SIGSTOP).context("the program cannot be suspended")?;
    enter().context("the terminal cannot be taken over again")
}

/// Has everything drawn again.
///
/// `Terminal::clear` would ask the terminal where its cursor is, and wait for the answer behind the thread that reads
/// the keys; a resize to the same size clears without asking.
pub(crate) fn clear(screen: &mut Screen) -> Result<()> {
    let size = screen.size().context("the terminal has no size")?;
    screen
        .resize(Rect::from((Position::ORIGIN, size)))
        .context("the terminal cannot be cleared")
}

/// Has the terminal report the mouse to us, or select text with it as usual.
pub(crate) fn mouse(wanted: bool) -> Result<()> {
    let done = if wanted {
        execute!(stdout(), EnableMouseCapture)
    } else {
        execute!(stdout(), DisableMouseCapture)
    };
    done.context("the terminal's mouse cannot be switched")
}

/// Puts a text into the clipboard of the terminal (OSC 52); works over ssh, and not in every terminal.
pub(crate) fn copy(text: &str) {
    let mut out = stdout();
    // A terminal that takes no clipboard ignores it: there is nothing to report.
    let _ = write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()));
    let _ = out.flush();
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for nth in 0..4 {
            if nth > chunk.len() {
                text.push('=');
            } else {
                let digit = (word >> (18 - 6 * nth)) & 63;
                text.push(char::from(DIGITS[digit as usize]));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a test by itself: the process that the next one starts.
    #[test]
    fn fails_when_told_to() {
        if std::env::var_os("LBTUI_FAILS").is_some() {
            TAKEN.store(true, Ordering::SeqCst);
            restore_on_panic();
            panic!("as planned");
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_leaves_a_report() {
        let folder = std::env::temp_dir().join(format!("lbtui-panic-{}", std::process::id()));
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "term::tests::fails_when_told_to", "--nocapture"])
            .env("LBTUI_FAILS", "1")
            .env("XDG_STATE_HOME", &folder)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(101));
        let (screen, told) = (
            String::from_utf8(out.stdout).unwrap(),
            String::from_utf8(out.stderr).unwrap(),
        );
        for given_back in [
            "\x1b[?1049l",
            "\x1b[?2004l",
            "\x1b[?1004l",
            "\x1b[?1000l",
            "\x1b[?25h",
        ] {
            assert!(screen.contains(given_back), "{given_back:?}: {screen:?}");
        }
        assert_eq!(told.lines().count(), 1, "{told}");
        let path = told.trim_end().rsplit(' ').next().unwrap();
        let report = std::fs::read_to_string(path).unwrap();
        assert!(
            report.contains("as planned") && report.contains("term.rs"),
            "{report}"
        );
        assert!(report.contains("fails_when_told_to"), "no backtrace: {report}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (plain, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), want);
        }
    }
}
