//! Checks and scripts against real sockets and processes: loopback only, ephemeral ports, everything bounded.

#![allow(clippy::unwrap_used)]

mod bench;
mod connections;
mod dialogs;
mod scripts;
mod tls;
