//! What is done when there is no descriptor left to take a connection with.

use super::limits;
use std::fs::File;
use std::io;
use std::time::Instant;
use tokio::net::UnixListener;
use tokio::time::timeout;

/// One descriptor, kept for the time when there is no other: whoever connects then is let go instead of left waiting.
pub(super) struct Spare {
    descriptor: Option<File>,
    told: Option<Instant>,
}

impl Spare {
    pub(super) fn new() -> Self {
        Self {
            descriptor: File::open("/dev/null").ok(),
            told: None,
        }
    }

    /// A connection could not be taken.
    pub(super) async fn hang_up(&mut self, listener: &UnixListener, error: &io::Error) {
        if self.told.is_none_or(|at| at.elapsed() >= limits::TELL_AGAIN) {
            self.told = Some(Instant::now());
            tracing::error!(
                "cannot take connections: {error}; those that come are closed\n  \
                 raise LimitNOFILE, or find out who opens so many: ls -l /proc/{}/fd",
                std::process::id()
            );
        }
        if self.descriptor.take().is_some() {
            // What waits there is taken at once; the limit is for one that has gone meanwhile.
            let _ = timeout(limits::SPARE_TAKES, listener.accept()).await;
        }
        // At once, or somebody else takes it.
        self.descriptor = File::open("/dev/null").ok();
        tokio::time::sleep(limits::ACCEPT_PAUSE).await;
    }
}
