//! What the agent and its clients agree on: names, units, state, events, requests.
//!
//! Everything a client can show is a [`state::State`]; everything that happens is an [`event::Event`], and folding
//! the events with [`state::State::apply`] gives the state again. Nothing in here reads a clock, a file or a socket,
//! except [`client`], [`host`] and [`config`] (feature `client`), with which clients find an agent.

#[cfg(feature = "client")]
pub mod client;
pub mod condition;
#[cfg(feature = "client")]
pub mod config;
pub mod counters;
pub mod diagnostic;
pub mod differences;
pub mod drain;
pub mod duration;
pub mod event;
pub mod excerpt;
pub mod expect;
pub mod filter;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod frame;
pub mod glob;
pub mod history;
#[cfg(feature = "client")]
pub mod host;
pub mod json;
pub mod loglevel;
pub mod names;
pub mod paths;
pub mod problems;
pub mod reel;
pub mod request;
pub mod schema;
pub mod select;
pub mod settings;
pub mod shown;
#[cfg(feature = "client")]
pub mod site;
pub mod state;
pub mod text;
pub mod trial;
pub mod units;
pub mod view;
pub mod whatif;
pub mod why;
pub mod window;
#[cfg(feature = "client")]
pub mod zone;
