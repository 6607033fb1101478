//! The checkers, one file each. Those that talk over a connection are [`crate::wire::dialog::Dialog`]s.

mod http;
mod misc;
mod pattern;
pub mod ping;
mod tcp;

pub use http::HttpDialog;
pub use misc::misc_outcome;
pub use pattern::Pattern;
pub use tcp::TcpDialog;
