//! Bytes, with no idea of our domain.

pub mod ah;
pub mod bfd;
pub mod checksum;
pub mod dialog;
pub mod ip;
pub mod netlink;
pub mod same;
pub mod smtp;
pub mod trailer;

/// The kernel's number of an interface. It changes when an interface is made anew under its old name.
#[derive(
    Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize,
)]
pub struct LinkIndex(pub u32);
