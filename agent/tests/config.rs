//! The configuration language: files in, findings and models out.

#[path = "config/support.rs"]
mod support;
#[path = "config/thin.rs"]
mod thin;
