//! The terminal: taken over at the start, given back however the program ends.

use anyhow::{Context as _, Result, bail};
use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use std::io::{IsTerminal as _, Stdout, Write as _, stdout};
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
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
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
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}

/// Has a panic give the terminal back before it is reported: a message on the alternate screen is lost.
pub(crate) fn restore_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
        // Threads of a broken program would go on drawing.
        std::process::exit(101);
    }));
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
