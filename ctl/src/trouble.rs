//! What goes wrong, how it is told, and the exit code it gives.

use crate::args::{Global, Output};
use crate::look::{Out, is_closed_pipe};
use lb_shared::client::ClientError;
use lb_shared::duration::BadDuration;
use lb_shared::json;
use lb_shared::request::{Refusal, RefusalCode};
use std::io;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No answer from the agent, or its no.
    Agent(ClientError),
    /// Our own no.
    Refused(Refusal),
    /// The answer was printed and this is the exit code.
    Exit(u8),
    /// Standard output is gone.
    Output(io::Error),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Self::Refused(refusal),
            error => Self::Agent(error),
        }
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BadDuration> for Trouble {
    fn from(error: BadDuration) -> Self {
        Self::Refused(Refusal::new(RefusalCode::BadDuration, error.to_string(), ""))
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A mistake in how the command was typed.
pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Trouble {
    Trouble::Refused(Refusal::new(RefusalCode::BadRequest, message, hint))
}

impl Trouble {
    /// As an answer, for programs and for tables; `None` when everything was said already.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Agent(error) => Some(Refusal::new(
                RefusalCode::Internal,
                error.to_string(),
                error.hint(),
            )),
            Self::Refused(refusal) => Some(refusal.clone()),
            Self::Exit(_) | Self::Output(_) => None,
        }
    }

    /// The exit code it gives.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Agent(error) => error.exit(),
            Self::Refused(refusal) => refusal.code.exit(),
            Self::Exit(code) => *code,
            Self::Output(error) if is_closed_pipe(error) => 0,
            Self::Output(_) => 1,
        }
    }

    /// Whether there was no answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Agent(_))
    }
}

/// The exit code that tells most: not reached, timed out, refused, not found, failed; then mistakes in the question.
pub(crate) fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const ORDER: [u8; 7] = [5, 6, 4, 3, 1, 2, 0];
    let place = |code: u8| ORDER.iter().position(|known| *known == code).unwrap_or(0);
    codes.into_iter().min_by_key(|code| place(*code)).unwrap_or(0)
}

/// Tells what went wrong and gives the exit code.
pub(crate) fn report(ended: Result<(), Trouble>, global: &Global, out: &mut Out) -> u8 {
    let ended = ended.and_then(|()| out.flush().map_err(Trouble::Output));
    match ended {
        Ok(()) => 0,
        Err(Trouble::Exit(code)) => {
            let _ = out.flush();
            code
        }
        Err(Trouble::Output(error)) if is_closed_pipe(&error) => 0,
        Err(Trouble::Output(error)) => {
            eprintln!("lbctl: cannot write the output: {error}");
            1
        }
        Err(Trouble::Refused(refusal)) => {
            let _ = out.flush();
            eprint!("{}", told(&refusal));
            document(&refusal, global, out);
            refusal.code.exit()
        }
        Err(Trouble::Agent(error)) => {
            let _ = out.flush();
            let refusal = Refusal::new(RefusalCode::Internal, error.to_string(), error.hint());
            eprint!("{}", told(&refusal));
            document(&refusal, global, out);
            error.exit()
        }
    }
}

/// The lines for stderr: what, then hints indented.
pub(crate) fn told(refusal: &Refusal) -> String {
    let word = if is_guard(refusal.code) { "refused: " } else { "" };
    let mut text = format!("lbctl: {word}{}\n", lb_shared::text::escape(&refusal.message));
    for line in refusal.hint.lines() {
        text.push_str(&format!("  {}\n", lb_shared::text::escape(line)));
    }
    text
}

/// The same about one of several hosts: `lbctl: lb2: …`.
pub(crate) fn told_of(name: &str, refusal: &Refusal) -> String {
    told(refusal).replacen("lbctl: ", &format!("lbctl: {name}: "), 1)
}

/// Whether the agent could have done it and chose not to.
fn is_guard(code: RefusalCode) -> bool {
    code.word().starts_with("refused-")
}

fn document(refusal: &Refusal, global: &Global, out: &mut Out) {
    if matches!(global.output, Output::Json | Output::Jsonl) {
        let error = serde_json::json!({"v": json::VERSION, "ok": false, "error": json::refusal(refusal)});
        // If that cannot be written either, stderr has said it.
        let _ = out.line(&error.to_string());
        let _ = out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guard_says_that_it_refused_and_how_to_go_on() {
        let refusal = Refusal::new(
            RefusalCode::Quorum,
            "web would keep 0 of 6 servers in rotation (4 in rotation now)",
            "quorum 200, weight after the drain 0: web would go DOWN\nto see the effect: add --dry-run      to do it \
             anyway: add --force",
        );
        assert_eq!(
            told(&refusal),
            "lbctl: refused: web would keep 0 of 6 servers in rotation (4 in rotation now)\n\
             \x20 quorum 200, weight after the drain 0: web would go DOWN\n\
             \x20 to see the effect: add --dry-run      to do it anyway: add --force\n"
        );
        let refusal = Refusal::new(
            RefusalCode::Fault,
            "VI_mgmt is in FAULT on lb1: interface eth2 is down",
            "promote cannot lift a fault; fix eth2 or use another node",
        );
        assert_eq!(
            told(&refusal),
            "lbctl: refused: VI_mgmt is in FAULT on lb1: interface eth2 is down\n\
             \x20 promote cannot lift a fault; fix eth2 or use another node\n"
        );
    }
}
