//! The shell: carries out what the engine wants and tells it what happened. Decides nothing.

pub mod dial;
pub mod ipvs_socket;
pub mod lane;
pub mod modules;
pub mod netlink;
pub mod packet_socket;
pub mod rtnl_socket;
pub mod sys;
pub mod sysctl;
pub mod vrrp;
