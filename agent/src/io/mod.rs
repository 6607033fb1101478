//! The shell: carries out what the engine wants and tells it what happened. Decides nothing.

pub mod cleanup;
pub mod clock;
pub mod core;
pub mod dial;
pub mod fifo;
pub mod files;
pub mod ipvs_socket;
pub mod lane;
pub mod loader;
pub mod lock;
pub mod log;
pub mod mail;
pub mod modules;
pub mod netlink;
pub mod packet_socket;
mod ping;
pub mod rtnl_socket;
pub mod runner;
mod runner_process;
mod runner_wire;
mod script_check;
pub mod service_manager;
pub mod store;
pub mod sys;
pub mod sysctl;
mod tls;
pub mod vrrp;
