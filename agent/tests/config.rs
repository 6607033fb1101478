//! The configuration language: files in, findings and models out.

#[path = "config/broken.rs"]
mod broken;
#[path = "config/compared.rs"]
mod compared;
#[path = "config/golden.rs"]
mod golden;
#[path = "config/hostile.rs"]
mod hostile;
#[path = "config/names.rs"]
mod names;
#[path = "config/settings.rs"]
mod settings;
#[path = "config/support.rs"]
mod support;
#[path = "config/tables.rs"]
mod tables;
#[path = "config/thin.rs"]
mod thin;
