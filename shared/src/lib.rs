//! What the agent and its clients agree on: names, units, state, events, requests.
//!
//! Everything a client can show is a [`state::State`]; everything that happens is an [`event::Event`], and folding
//! the events with [`state::State::apply`] gives the state again. Nothing in here reads a clock, a file or a socket,
//! except [`client`] (feature `client`), which connects to an agent.

pub mod counters;
pub mod diagnostic;
pub mod event;
pub mod names;
pub mod paths;
pub mod request;
pub mod state;
pub mod units;
