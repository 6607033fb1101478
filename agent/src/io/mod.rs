//! Where things are done: sockets, files, clocks, processes. Decides nothing.

pub mod dial;
mod ping;
pub mod runner;
mod runner_process;
mod runner_wire;
mod script_check;
mod sys;
mod tls;
