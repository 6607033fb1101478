//! What needs a real kernel: run as root with `LB_LAB=1`. Everything happens in network namespaces of its own.

#![allow(clippy::unwrap_used)]

#[path = "kernel/ipvs.rs"]
mod ipvs;
#[path = "kernel/lab.rs"]
mod lab;
#[path = "kernel/net.rs"]
mod net;
#[path = "kernel/routing.rs"]
mod routing;
#[path = "kernel/vrrp.rs"]
mod vrrp;
