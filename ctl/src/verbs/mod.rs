//! The verbs. Each asks the agent, turns the answer into text with a pure function, and prints it.

pub(crate) mod act;
mod bundle;
mod compare;
pub(crate) mod event;
pub(crate) mod history;
pub(crate) mod list;
mod local;
mod log;
mod metrics;
mod outgoing;
pub(crate) mod progress;
mod proxy;
mod raw;
mod record;
mod redact;
pub(crate) mod reload;
mod show;
mod since;
pub(crate) mod single;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod test;
mod truth;
pub(crate) mod whatif;

use crate::args::{Cli, ConfigVerb, Global, Verb};
use crate::complete;
use crate::connect;
use crate::fleet;
use crate::help;
use crate::look::{Look, Out};
use crate::trouble::{Trouble, usage};
use lb_shared::site::Site;
use list::Kind;
use reload::How;

/// What a verb that acts is called with.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) site: &'a Site,
    pub(crate) global: &'a Global,
    pub(crate) look: &'a Look,
}

/// Carries out the command line.
pub(crate) fn run(cli: &Cli, look: &Look, out: &mut Out) -> Result<(), Trouble> {
    let verb = cli.verb.clone().unwrap_or(Verb::Status {
        targets: Vec::new(),
        short: false,
    });
    // These ask no agent, or the one beside them.
    match &verb {
        Verb::CheckConfig { file, peer, strict } => {
            return local::check_config(&cli.global, out, file.as_deref(), peer.as_deref(), *strict);
        }
        Verb::Doctor {
            file,
            real_server,
            strict,
        } => return local::doctor(&cli.global, out, file.as_deref(), *real_server, *strict),
        Verb::Config(ConfigVerb::Explain { keyword }) => return local::explain(out, keyword),
        Verb::Completion { shell } => return local::completion(*shell, out),
        Verb::Raw { schema: true, .. } => return local::schema(look, out),
        Verb::Proxy => return proxy::run(&cli.global),
        Verb::Replay { file } => return record::replay(&cli.global, look, out, file),
        Verb::Man { verb, to } => return help::man(look, out, verb.as_deref(), to.as_deref()),
        Verb::Complete { words } => return complete::run(&cli.global, out, words),
        _ => {}
    }
    if cli.global.at.is_some() && !looks_back(&verb) {
        return Err(usage(
            "--at is for status, vrrp, services, servers, show, why and stats",
            "history and events --since tell of the past, too",
        ));
    }
    let site = connect::site(&cli.global)?;
    let one = match site.hosts.as_slice() {
        [host] => connect::for_host(&cli.global, host),
        _ => cli.global.clone(),
    };
    let call = Call {
        site: &site,
        global: &one,
        look,
    };
    match verb {
        Verb::Drain(drain) => act::drain(&call, out, &drain),
        Verb::Undrain {
            targets,
            ramp,
            acting,
        } => act::undrain(&call, out, &targets, ramp.as_deref(), &acting),
        Verb::Disable { targets, cut, acting } => act::disable(&call, out, &targets, cut, &acting),
        Verb::Weight { targets, acting } => act::weight(&call, out, &targets, &acting),
        Verb::Promote(promote) => act::promote(&call, out, &promote),
        Verb::Demote {
            targets,
            hard,
            waiting,
            acting,
        } => act::demote(&call, out, &targets, hard, &waiting, &acting),
        Verb::Release { targets, acting } => act::release(&call, out, &targets, &acting),
        Verb::Undo { acting } => act::undo(&call, out, &acting),
        Verb::Reload { confirmed: true, .. } => reload::confirm(&call, out),
        Verb::Reload {
            dry_run,
            force,
            drain_removed,
            confirm,
            confirmed: false,
        } => reload::run(
            &call,
            out,
            &How::new(dry_run, force, drain_removed.as_deref(), confirm.as_deref())?,
        ),
        Verb::Log {
            level,
            lasting,
            dry_run,
        } => log::run(&call, out, &level, lasting.as_deref(), dry_run),
        Verb::Config(ConfigVerb::Show { defaults }) => show::run(&call, out, defaults),
        Verb::Config(ConfigVerb::Diff) if cli.global.host.len() == 2 => compare::run(&call, out),
        Verb::Config(ConfigVerb::Diff | ConfigVerb::Explain { .. }) => {
            reload::run(&call, out, &How::new(true, true, None, None)?)
        }
        Verb::Hosts => fleet::hosts::run(&site, &one, look, out),
        Verb::Raw { requests, .. } => {
            site.only("raw")?;
            raw::run(&one, out, &requests)
        }
        Verb::Record(record) => {
            site.only("record")?;
            record::record(&one, &record)
        }
        Verb::Bundle { write, redact } => {
            site.only("bundle")?;
            bundle::run(&one, out, &write, redact)
        }
        Verb::Top { arguments } => local::top(&site, &arguments),
        reading if site.hosts.len() == 1 => read(reading, &one, look, out),
        reading => read_all(reading, &call, out),
    }
}

/// Whether a verb can be asked of a moment in the past.
fn looks_back(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Status { .. }
            | Verb::Vrrp { .. }
            | Verb::Services { .. }
            | Verb::Servers { .. }
            | Verb::Show { .. }
            | Verb::Why { .. }
            | Verb::Stats { .. }
    )
}

/// A verb that only looks, at one host.
fn read(verb: Verb, global: &Global, look: &Look, out: &mut Out) -> Result<(), Trouble> {
    match verb {
        Verb::Status { targets, short } => status::run(global, look, out, &targets, short),
        Verb::Vrrp { targets } => list::run(global, look, out, Kind::Vrrp, &targets),
        Verb::Services { targets } => list::run(global, look, out, Kind::Services, &targets),
        Verb::Servers { targets } => list::run(global, look, out, Kind::Servers, &targets),
        Verb::Show { targets } => single::show(global, look, out, &targets),
        Verb::Why { targets } => single::why(global, look, out, &targets),
        Verb::WhatIf { events, span } => whatif::run(global, look, out, &events, &span),
        Verb::Events(events) => event::run(global, look, out, &events),
        Verb::Watch { targets } => event::watch(global, look, out, &targets),
        Verb::Stats {
            targets,
            since_last,
            rate,
            total,
            errors,
        } => {
            let shown = stats::Shown {
                since_last,
                rate,
                total,
                errors,
            };
            stats::run(global, look, out, &targets, shown)
        }
        Verb::Is { cond, targets } => truth::is(global, out, &cond, &targets),
        Verb::Wait {
            cond,
            targets,
            timeout,
        } => truth::wait(global, out, &cond, &targets, &timeout),
        Verb::Test { targets, dry_run } => test::run(global, look, out, &targets, dry_run),
        Verb::History(asked) => history::run(global, look, out, &asked),
        Verb::Metrics(metrics) => metrics::run(global, out, &metrics),
        Verb::Version => local::version(global, out),
        // Carried out before this is reached; named, so that a new verb cannot be forgotten.
        Verb::Drain(_)
        | Verb::Undrain { .. }
        | Verb::Disable { .. }
        | Verb::Weight { .. }
        | Verb::Promote(_)
        | Verb::Demote { .. }
        | Verb::Release { .. }
        | Verb::Undo { .. }
        | Verb::Reload { .. }
        | Verb::Log { .. }
        | Verb::Hosts
        | Verb::Record(_)
        | Verb::Replay { .. }
        | Verb::Bundle { .. }
        | Verb::Proxy
        | Verb::Raw { .. }
        | Verb::Top { .. }
        | Verb::Man { .. }
        | Verb::Complete { .. }
        | Verb::CheckConfig { .. }
        | Verb::Config(_)
        | Verb::Doctor { .. }
        | Verb::Completion { .. } => Ok(()),
    }
}

/// A verb that only looks, at several hosts.
fn read_all(verb: Verb, call: &Call<'_>, out: &mut Out) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    match verb {
        Verb::Status { targets, .. } => fleet::status::run(site, global, look, out, &targets),
        Verb::Vrrp { targets } => fleet::list::run(call, out, Kind::Vrrp, &targets),
        Verb::Services { targets } => fleet::list::run(call, out, Kind::Services, &targets),
        Verb::Servers { targets } => fleet::list::run(call, out, Kind::Servers, &targets),
        Verb::Events(events) => fleet::events::run(site, global, look, out, &events),
        Verb::Watch { targets } => fleet::events::run(site, global, look, out, &event::all_of(&targets)),
        other => fleet::sections(site, global, look, out, |global, look, out| {
            read(other.clone(), global, look, out)
        }),
    }
}
