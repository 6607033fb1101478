//! The checkers, one file each. Those that talk over a connection are [`crate::wire::dialog::Dialog`]s.

pub mod dns;
mod http;
mod misc;
mod pattern;
pub mod ping;
mod smtp;
mod tcp;
pub mod udp;

pub use http::HttpDialog;
pub use misc::misc_outcome;
pub use pattern::Pattern;
pub use smtp::SmtpDialog;
pub use tcp::TcpDialog;
