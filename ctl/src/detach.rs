//! Ctrl-C while waiting: this program lets go, the agent goes on.

use crate::trouble::Trouble;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a wait may be deaf to signals.
pub(crate) const EVERY: Duration = Duration::from_millis(300);

/// Hears SIGINT and SIGTERM from when it is made.
#[derive(Debug)]
pub(crate) struct Detach {
    signals: [(i32, Arc<AtomicBool>); 2],
}

impl Detach {
    /// Begins to listen. A second signal ends the program at once.
    pub(crate) fn armed() -> Self {
        let listen = |signal: i32| {
            let heard = Arc::new(AtomicBool::new(false));
            // Without a handler the signal ends the program as ever: the agent goes on all the same.
            let _ =
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&heard));
            let _ = signal_hook::flag::register(signal, Arc::clone(&heard));
            (signal, heard)
        };
        Self {
            signals: [listen(SIGINT), listen(SIGTERM)],
        }
    }

    /// Whether somebody wants an end.
    pub(crate) fn heard(&self) -> bool {
        self.signals
            .iter()
            .any(|(_, heard)| heard.load(Ordering::Relaxed))
    }

    /// Ends the wait with 130 or 143 if a signal came, saying what goes on without us.
    pub(crate) fn check(&self, what_goes_on: &str) -> Result<(), Trouble> {
        for (signal, heard) in &self.signals {
            if heard.load(Ordering::Relaxed) {
                eprintln!("detached; {what_goes_on}");
                return Err(Trouble::Exit(u8::try_from(128 + signal).unwrap_or(130)));
            }
        }
        Ok(())
    }
}
