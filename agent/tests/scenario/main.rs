//! One behaviour each, from inputs to actions, as an operator would tell it.

mod bfd;
mod confirm;
mod crash;
mod dump;
mod firewall;
mod guards;
#[path = "../support/instance.rs"]
mod instance;
mod interfaces;
mod kernel;
mod moves;
mod node;
mod operators;
mod own_links;
mod plans;
mod rails;
mod ramp;
mod refusals;
mod relays;
mod reload;
mod room;
mod routing;
mod signed;
mod source;
mod static_addresses;
mod static_tracks;
mod sync;
mod telling;
mod trial;
mod vmac;
mod whatif;
