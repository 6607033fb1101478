//! io

pub mod files;
