//! The verbs. Each asks the agent, turns the answer into text with a pure function, and prints it.

pub(crate) mod act;
pub(crate) mod event;
pub(crate) mod list;
mod local;
pub(crate) mod progress;
mod raw;
mod reload;
mod single;
mod stats;
pub(crate) mod status;
mod truth;
mod whatif;

use crate::args::{Cli, Verb};
use crate::look::{Look, Out};
use crate::trouble::Trouble;

/// Carries out the command line.
pub(crate) fn run(cli: &Cli, look: &Look, out: &mut Out) -> Result<(), Trouble> {
    let global = &cli.global;
    let verb = cli.verb.clone().unwrap_or(Verb::Status { short: false });
    match verb {
        Verb::Status { short } => status::run(global, look, out, short),
        Verb::Vrrp { targets } => list::vrrp(global, look, out, &targets),
        Verb::Services { targets } => list::services(global, look, out, &targets),
        Verb::Servers { targets } => list::servers(global, look, out, &targets),
        Verb::Show { targets } => single::show(global, look, out, &targets),
        Verb::Why { targets } => single::why(global, look, out, &targets),
        Verb::WhatIf { events, span } => whatif::run(global, look, out, &events, &span),
        Verb::Events(events) => event::run(global, look, out, &events),
        Verb::Watch { targets } => event::watch(global, look, out, &targets),
        Verb::Stats { targets } => stats::run(global, look, out, &targets),
        Verb::Drain(drain) => act::drain(global, look, out, &drain),
        Verb::Undrain { targets, acting } => act::undrain(global, look, out, &targets, &acting),
        Verb::Disable { targets, cut, acting } => act::disable(global, look, out, &targets, cut, &acting),
        Verb::Weight { targets, acting } => act::weight(global, look, out, &targets, &acting),
        Verb::Promote {
            targets,
            lasting,
            waiting,
            acting,
        } => act::promote(global, look, out, &targets, lasting.as_deref(), &waiting, &acting),
        Verb::Demote {
            targets,
            hard,
            waiting,
            acting,
        } => act::demote(global, look, out, &targets, hard, &waiting, &acting),
        Verb::Release { targets, acting } => act::release(global, look, out, &targets, &acting),
        Verb::Reload { dry_run, force } => reload::run(global, out, dry_run, force),
        Verb::Is { cond, targets } => truth::is(global, out, &cond, &targets),
        Verb::Wait {
            cond,
            targets,
            timeout,
        } => truth::wait(global, out, &cond, &targets, &timeout),
        Verb::Raw { requests } => raw::run(global, out, &requests),
        Verb::CheckConfig { file } => local::check_config(global, out, file.as_deref()),
        Verb::Top { arguments } => local::top(global, &arguments),
        Verb::Completion { shell } => local::completion(shell, out),
        Verb::Version => local::version(global, out),
    }
}
