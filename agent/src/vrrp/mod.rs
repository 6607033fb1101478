//! Virtual routers: who is master, what is advertised, which instances move together.
//!
//! Knows the protocol (RFC 9568, RFC 3768, keepalived's additions), its packets and its timers. Does not know what makes
//! a tracker good or bad (the engine passes terms on), how an address gets onto an interface, nor sockets.

mod accept;
mod datagram;
mod effect;
mod election;
mod group;
mod hear;
mod limit;
mod packet;
mod reload;
mod role;
mod router;
mod routers;
mod seal;
mod send;
mod sign;
mod turn;
mod view;

pub use datagram::{Advert, Datagram, Ear, Endpoint, Envelope};
pub use effect::{Effect, Ground, Terms};
pub use reload::is_same_router;
pub use routers::Routers;

#[cfg(test)]
mod tests;
