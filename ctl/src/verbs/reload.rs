//! `reload`: the file again, all of it or nothing.

use super::Call;
use super::outgoing::Outgoing;
use crate::args::{Global, Output};
use crate::connect;
use crate::fleet;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::duration;
use lb_shared::json;
use lb_shared::request::Reloaded;
use lb_shared::text::escape;
use std::time::Duration;

/// How a reload is asked for.
#[derive(Clone, Debug)]
pub(crate) struct How {
    dry_run: bool,
    force: bool,
    /// Servers that go drain first: for so long at most, if there is a limit.
    drain_removed: Option<Option<Duration>>,
}

impl How {
    pub(crate) fn new(dry_run: bool, force: bool, drain_removed: Option<&str>) -> Result<Self, Trouble> {
        Ok(Self {
            dry_run,
            force,
            drain_removed: drain_removed.map(duration::parse_or_never).transpose()?,
        })
    }
}

pub(crate) fn run(call: &Call<'_>, out: &mut Out, how: &How) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    if !how.dry_run {
        site.may_act()?;
    }
    if let [_] = site.hosts.as_slice() {
        return one(global, look, out, how);
    }
    // All are tried before the first one changes.
    let trial = How {
        dry_run: true,
        ..how.clone()
    };
    fleet::sections(site, global, look, out, |global, look, out| {
        one(global, look, out, &trial)
    })?;
    if how.dry_run {
        return Ok(());
    }
    for host in &site.hosts {
        out.line(&format!("== {}", host.label()))?;
        one(&connect::for_host(global, host), look, out, how)?;
    }
    Ok(())
}

fn one(global: &Global, look: &Look, out: &mut Out, how: &How) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let before = client.snapshot()?;
    let mut drains: Vec<String> = Vec::new();
    let reloaded = match how.drain_removed {
        None => client.reload(how.dry_run, how.force)?,
        Some(limit) => {
            let plan = client.reload(true, how.force)?;
            let outgoing = Outgoing::of(&before.state, &plan, limit, how.force);
            if how.dry_run {
                drains = outgoing.plan(&mut client, &before)?;
                plan
            } else {
                outgoing.drain_then(global, look, out, &mut client, |client| {
                    Ok(client.reload(false, how.force)?)
                })?
            }
        }
    };
    match global.output {
        Output::Json | Output::Jsonl => {
            let mut data = json::reloaded(&reloaded);
            if how.drain_removed.is_some() && how.dry_run {
                data["drains"] = drains.into();
            }
            out.line(&json::document(&before.state.agent.host, data).to_string())?;
        }
        Output::Table | Output::Wide | Output::Name => {
            for line in lines(before.state.agent.config.revision, &reloaded) {
                out.line(&line)?;
            }
            for line in drains {
                out.line(&line)?;
            }
        }
    }
    Ok(())
}

/// What changed, or would.
pub(crate) fn lines(before: u64, it: &Reloaded) -> Vec<String> {
    let revisions = format!("r{before} -> r{}", it.revision);
    let mut lines = vec![if it.dry_run {
        format!("dry run: nothing is changed ({revisions})")
    } else {
        format!("reloaded ({revisions})")
    }];
    if it.changes.is_empty() {
        lines.push("  no differences".into());
    }
    lines.extend(it.changes.iter().map(|change| format!("  {}", escape(change))));
    for finding in &it.findings {
        lines.extend(finding.line().lines().map(escape));
    }
    if it.dry_run {
        lines.push("result: would be accepted".into());
    }
    lines
}
