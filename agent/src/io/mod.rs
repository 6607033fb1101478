//! Where things are done: sockets, files, clocks, processes. Decides nothing.

pub mod dial;
