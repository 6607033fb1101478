//! The agent, room by room, in the order in which they may know each other (see ARCHITECTURE.md).
//!
//! A room imports only from rooms above it in this list; rooms of one row never import each other.

// Row 1: data and bytes.
pub mod model;
pub mod wire;

// Row 2: siblings that meet in the engine.
pub mod bfd;
pub mod config;
pub mod health;
pub mod ipvs;
pub mod net;
pub mod notify;
pub mod track;
pub mod vrrp;

// Row 3: everything is decided here.
pub mod engine;

// Row 4: the only rooms with tokio, files, sockets and clocks.
pub mod control;
pub mod io;

// The tests inside have their instances from `tests/support`, where the crate has this name.
#[cfg(test)]
extern crate self as lbagent;
