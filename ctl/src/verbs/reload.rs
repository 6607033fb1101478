//! `reload`: the file again, all of it or nothing.

use super::Call;
use super::outgoing::{self, Outgoing};
use crate::args::{Global, Output};
use crate::connect;
use crate::fleet;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::client::Client;
use lb_shared::duration;
use lb_shared::excerpt::{ExcerptAsk, Scope};
use lb_shared::json;
use lb_shared::request::Reloaded;
use lb_shared::state::{Override, Target};
use lb_shared::text::{escape, span, thousands};
use lb_shared::view::View;
use std::time::Duration;

/// How many overrides are named in a plan.
const OVERRIDES_NAMED: usize = 3;

/// How a reload is asked for.
#[derive(Clone, Debug)]
pub(crate) struct How {
    dry_run: bool,
    force: bool,
    /// Servers that go drain first: for so long at most, if there is a limit.
    drain_removed: Option<Option<Duration>>,
    /// The one in force now comes back after so long, unless the new one is confirmed.
    confirm: Option<Duration>,
}

impl How {
    pub(crate) fn new(
        dry_run: bool,
        force: bool,
        drain_removed: Option<&str>,
        confirm: Option<&str>,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            confirm: confirm.map(duration::parse).transpose()?,
            dry_run,
            force,
            drain_removed: drain_removed.map(duration::parse_or_never).transpose()?,
        })
    }
}

impl How {
    fn load(&self, client: &mut Client) -> Result<Reloaded, Trouble> {
        Ok(match self.confirm {
            Some(within) if !self.dry_run => client.reload_for(self.force, within)?,
            Some(_) | None => client.reload(self.dry_run, self.force)?,
        })
    }
}

/// `reload --confirmed`.
pub(crate) fn confirm(call: &Call<'_>, out: &mut Out) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    site.may_act()?;
    fleet::sections(site, global, look, out, |global, _, out| {
        let mut client = connect::client(global)?;
        let host = client.excerpt(&ExcerptAsk::agent())?.snapshot.state.agent.host;
        let kept = client.confirm()?;
        match global.output {
            Output::Json | Output::Jsonl => {
                out.line(&json::document(&host, json::reloaded(&kept)).to_string())?;
            }
            Output::Table | Output::Wide | Output::Name => {
                out.line(&format!("confirmed: r{} stays", kept.revision))?;
            }
        }
        Ok(())
    })
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
    let for_eyes = matches!(global.output, Output::Table | Output::Wide | Output::Name);
    // A plan for eyes says what of the operators' changes stays.
    let scope = if how.dry_run && for_eyes {
        ExcerptAsk::all(Scope::Status)
    } else {
        ExcerptAsk::agent()
    };
    let seen = client.excerpt(&scope)?;
    let agent = &seen.snapshot.state.agent;
    let mut sums = Vec::new();
    let mut drains: Vec<String> = Vec::new();
    let reloaded = if how.dry_run || how.drain_removed.is_some() {
        let plan = client.reload(true, how.force)?;
        let before = outgoing::before(&mut client, &plan)?;
        if how.dry_run {
            sums = summary(&plan, &View::excerpt(&before), &View::excerpt(&seen));
        }
        let state = &before.snapshot.state;
        match how.drain_removed {
            None => plan,
            Some(limit) if how.dry_run => {
                let outgoing = Outgoing::of(state, &plan, limit, how.force);
                drains = outgoing.plan(&mut client, &View::excerpt(&before))?;
                plan
            }
            Some(limit) => {
                let outgoing = Outgoing::of(state, &plan, limit, how.force);
                outgoing.drain_then(global, look, out, &mut client, |client| how.load(client))?
            }
        }
    } else {
        how.load(&mut client)?
    };
    match global.output {
        Output::Json | Output::Jsonl => {
            let mut data = json::reloaded(&reloaded);
            if how.drain_removed.is_some() && how.dry_run {
                data["drains"] = drains.into();
            }
            out.line(&json::document(&agent.host, data).to_string())?;
        }
        Output::Table | Output::Wide | Output::Name => {
            let cuts = how.drain_removed.is_none();
            let lines = lines(agent.config.revision, &reloaded, cuts);
            let (first, rest) = lines.split_at(1);
            for line in first.iter().chain(&sums).chain(rest) {
                out.line(line)?;
            }
            for line in drains {
                out.line(&line)?;
            }
        }
    }
    Ok(())
}

/// How many come, change and go, and which overrides stay. `going` has the servers of services that go.
pub(crate) fn summary(it: &Reloaded, going: &View<'_>, now: &View<'_>) -> Vec<String> {
    let count = |sign: &str, kind: &str| {
        let start = format!("{sign} {kind}:");
        it.changes.iter().filter(|line| line.starts_with(&start)).count()
    };
    let coming = it.changes.iter().filter(|line| line.starts_with("+ vs:"));
    let coming: usize = coming
        .filter_map(|line| line.rsplit(' ').nth(1)?.parse::<usize>().ok())
        .sum();
    let services = |it: &str| format!("- vs:{it}");
    let with_service = going
        .servers()
        .filter(|server| it.changes.contains(&services(&server.id.service.to_string())))
        .count();
    let row = |name: &str, plus: usize, changed: usize, minus: usize| {
        format!("  {name:<9}  +{plus}  ~{changed}  -{minus}")
    };
    let mut lines = vec![
        row("services", count("+", "vs"), count("~", "vs"), count("-", "vs")),
        row(
            "servers",
            count("+", "rs") + coming,
            count("~", "rs"),
            count("-", "rs") + with_service,
        ),
        row("vrrp", count("+", "vrrp"), count("~", "vrrp"), count("-", "vrrp")),
    ];
    let gone = |target: &Target| match target {
        Target::Server(id) => going.state.servers.contains_key(id),
        Target::Instance(name) => it.changes.contains(&format!("- vrrp:{name}")),
    };
    let (asleep, kept): (Vec<_>, Vec<_>) = now.state.overrides.values().partition(|it| gone(&it.target));
    let named = |all: &[&Override]| {
        let named: Vec<String> = all
            .iter()
            .take(OVERRIDES_NAMED)
            .map(|it| format!("{} {}", it.kind.word(), now.target_name(&it.target)))
            .collect();
        let more = if all.len() > OVERRIDES_NAMED { ", ..." } else { "" };
        format!("{} ({}{more})", all.len(), named.join(", "))
    };
    if !kept.is_empty() {
        let kept = named(&kept).replacen(' ', " kept ", 1);
        lines.push(format!("  overrides  {kept}"));
    }
    if !asleep.is_empty() {
        let asleep = named(&asleep).replacen(' ', " without effect until their target is back ", 1);
        lines.push(format!("  overrides  {asleep}"));
    }
    lines
}

/// What changed, or would; `cuts`: without a drain before it.
pub(crate) fn lines(before: u64, it: &Reloaded, cuts: bool) -> Vec<String> {
    let revisions = format!("r{before} -> r{}", it.revision);
    let mut lines = vec![if it.dry_run {
        format!("dry run: nothing is changed ({revisions})")
    } else {
        format!("reloaded ({revisions})")
    }];
    if it.changes.is_empty() {
        lines.push("  no differences".into());
    }
    let mut cut = 0;
    for change in &it.changes {
        let active = affected(change, it);
        cut += active;
        lines.push(match active {
            0 => format!("  {}", escape(change)),
            1 => format!("  {} (1 connection)", escape(change)),
            active => format!("  {} ({} connections)", escape(change), thousands(active)),
        });
    }
    if cut > 0 && cuts && it.dry_run {
        lines
            .push("connections of what goes are cut at once; --drain-removed 10m lets them end first".into());
    }
    lines.push(format!(
        "moves a virtual address: {}",
        if it.moves.is_empty() { "no" } else { "yes" }
    ));
    lines.extend(it.moves.iter().map(|line| format!("  {}", escape(line))));
    for finding in &it.findings {
        lines.extend(finding.line().lines().map(escape));
    }
    if let Some(ms) = it.confirm_within_ms {
        let within = span(Duration::from_millis(ms));
        lines.push(format!(
            "r{before} comes back in {within}, unless you keep this one: lbctl reload --confirmed"
        ));
    }
    if it.dry_run {
        lines.push("result: would be accepted".into());
    }
    lines
}

/// Established connections through what a change takes away.
fn affected(change: &str, it: &Reloaded) -> u64 {
    let gone = change.strip_prefix("- ");
    gone.and_then(|name| it.cut.get(name)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_plan_says_what_goes_with_its_connections_and_whether_an_address_moves() {
        let mut plan = Reloaded {
            dry_run: true,
            revision: 18,
            changes: vec![
                "~ rs:203.0.113.9:80/tcp/192.0.2.1:80".into(),
                "- rs:203.0.113.9:80/tcp/192.0.2.2:80".into(),
                "- vs:203.0.113.9:80/tcp".into(),
            ],
            cut: BTreeMap::from([
                ("rs:203.0.113.9:80/tcp/192.0.2.2:80".into(), 1),
                ("vs:203.0.113.9:80/tcp".into(), 3_763),
            ]),
            ..Reloaded::default()
        };
        let told = lines(17, &plan, true);
        assert_eq!(
            told,
            [
                "dry run: nothing is changed (r17 -> r18)",
                "  ~ rs:203.0.113.9:80/tcp/192.0.2.1:80",
                "  - rs:203.0.113.9:80/tcp/192.0.2.2:80 (1 connection)",
                "  - vs:203.0.113.9:80/tcp (3,763 connections)",
                "connections of what goes are cut at once; --drain-removed 10m lets them end first",
                "moves a virtual address: no",
                "result: would be accepted",
            ]
        );
        plan.moves = vec!["VI_1: it is not in the file: its addresses go to the peer".into()];
        let told = lines(17, &plan, true).join("\n");
        assert!(
            told.contains("moves a virtual address: yes\n  VI_1: it is not"),
            "{told}"
        );
    }
}
