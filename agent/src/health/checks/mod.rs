//! The checkers, one file each. Those that talk over a connection are [`crate::wire::dialog::Dialog`]s.

mod misc;
mod tcp;

pub use misc::misc_outcome;
pub use tcp::TcpDialog;
