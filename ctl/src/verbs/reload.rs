//! `reload`: the file again, all of it or nothing.

use super::Call;
use crate::args::{Global, Output};
use crate::connect;
use crate::fleet;
use crate::look::Out;
use crate::trouble::Trouble;
use lb_shared::json;
use lb_shared::request::Reloaded;
use lb_shared::text::escape;

pub(crate) fn run(call: &Call<'_>, out: &mut Out, dry_run: bool, force: bool) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    if !dry_run {
        site.may_act()?;
    }
    if let [_] = site.hosts.as_slice() {
        return one(global, out, dry_run, force);
    }
    // All are tried before the first one changes.
    fleet::sections(site, global, look, out, |global, _, out| {
        one(global, out, true, force)
    })?;
    if dry_run {
        return Ok(());
    }
    for host in &site.hosts {
        out.line(&format!("== {}", host.label()))?;
        one(&connect::for_host(global, host), out, false, force)?;
    }
    Ok(())
}

fn one(global: &Global, out: &mut Out, dry_run: bool, force: bool) -> Result<(), Trouble> {
    let mut client = connect::client(global)?;
    let before = client.snapshot()?;
    let reloaded = client.reload(dry_run, force)?;
    match global.output {
        Output::Json | Output::Jsonl => {
            let document = json::document(&before.state.agent.host, json::reloaded(&reloaded));
            out.line(&document.to_string())?;
        }
        Output::Table | Output::Wide | Output::Name => {
            for line in lines(before.state.agent.config.revision, &reloaded) {
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
