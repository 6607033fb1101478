//! The other side of a promote: the agent that has to give the addresses up.
//!
//! A promoted instance advertises 254 at once, and its present master yields when it hears that. Where that agent can
//! be asked too, it is seen to have yielded; where it should be there and is not, it may not hear either.

use super::Answer;
use crate::args::{Global, Handover};
use crate::connect;
use crate::detach::{self, Detach};
use crate::trouble::Trouble;
use lb_shared::differences::same;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::host::Host;
use lb_shared::names::InstanceName;
use lb_shared::request::{Refusal, RefusalCode, Snapshot};
use lb_shared::site::Site;
use lb_shared::state::{InstanceView, Pin, Target, VrrpState};
use lb_shared::text::{count, escape, thousands};
use lb_shared::view::View;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More connections than this are not cut without being asked twice.
const CONNECTIONS_MAX: u64 = 1_000;

/// Who is to yield what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handing {
    pub(crate) from: Vec<Yielding>,
    /// For the dry run.
    pub(crate) effects: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Yielding {
    host: Host,
    name: String,
    /// What the instance is called there.
    instance: InstanceName,
}

/// Looks at the cluster's other hosts, and refuses where two masters would be possible.
pub(crate) fn find(
    site: &Site,
    global: &Global,
    ours: &Snapshot,
    targets: &[Target],
    how: Handover,
    force: bool,
) -> Result<Handing, Trouble> {
    if how == Handover::Never {
        return Ok(Handing::default());
    }
    let others = glance(&site.others, global);
    judge(&others, ours, targets, how, force).map_err(Trouble::from)
}

/// The host of the cluster that can take over all targets, as far as its agent says.
pub(crate) fn successor(site: &Site, global: &Global, ours: &Snapshot, targets: &[Target]) -> Option<String> {
    let others = glance(&site.others, global);
    let can = |seen: &Excerpt| {
        targets.iter().all(|target| {
            let Target::Instance(name) = target else {
                return false;
            };
            let own = ours.state.instances.get(name);
            let theirs = own.and_then(|own| same(own, &seen.snapshot.state));
            theirs.is_some_and(|it| {
                matches!(it.state, VrrpState::Backup | VrrpState::Master)
                    && !matches!(it.pin, Some(Pin::Demoted | Pin::DemotedHard))
            })
        })
    };
    others
        .into_iter()
        .find(|other| other.got.as_ref().is_ok_and(can))
        .map(|other| other.name)
}

/// Instances and sums of each.
fn glance(hosts: &[Host], global: &Global) -> Vec<Answer<Excerpt>> {
    super::each(hosts, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        Ok(client.excerpt(&ExcerptAsk::all(Scope::Status))?)
    })
}

fn judge(
    others: &[Answer<Excerpt>],
    ours: &Snapshot,
    targets: &[Target],
    how: Handover,
    force: bool,
) -> Result<Handing, Refusal> {
    let mut handing = Handing::default();
    let silent: Vec<&str> = others
        .iter()
        .filter(|other| other.got.is_err())
        .map(|other| other.name.as_str())
        .collect();
    for target in targets {
        let Target::Instance(name) = target else { continue };
        let Some(instance) = ours.state.instances.get(name) else {
            continue;
        };
        if instance.state == VrrpState::Master {
            continue;
        }
        let holder = others.iter().find_map(|other| {
            let seen = other.got.as_ref().ok()?;
            let theirs = same(instance, &seen.snapshot.state).filter(|it| it.state == VrrpState::Master)?;
            Some((other, seen, theirs))
        });
        let name = escape(&name.0);
        if let Some((other, seen, theirs)) = holder {
            handing.effects.push(format!(
                "How: hand-over: {}'s agent is connected and is seen to yield {name}",
                other.name
            ));
            handing.effects.push(carried(&other.name, seen, ours, force)?);
            handing.from.push(Yielding {
                host: other.host.clone(),
                name: other.name.clone(),
                instance: theirs.name.clone(),
            });
            continue;
        }
        if how == Handover::Require {
            return Err(Refusal::new(
                RefusalCode::SplitBrain,
                format!("no agent of the cluster says that it holds {name}"),
                match silent.as_slice() {
                    [] => "--handover auto takes it all the same".to_owned(),
                    silent => format!(
                        "not reached: {}; --handover auto takes it all the same",
                        silent.join(", ")
                    ),
                },
            ));
        }
        if let (Some(master), false, false) = (&instance.master, silent.is_empty(), force) {
            return Err(Refusal::new(
                RefusalCode::SplitBrain,
                format!(
                    "{} is heard as master of {name}, and {} cannot be reached: it may not yield",
                    master.address,
                    silent.join(", ")
                ),
                "lbctl hosts tells why it cannot be reached\nto do it anyway, with two masters possible: add --force",
            ));
        }
    }
    Ok(handing)
}

/// What the present masters carry of the demoted instances that a release may bring back here, one sentence each;
/// refused where that would be reset.
pub(crate) fn returning(
    site: &Site,
    global: &Global,
    ours: &Snapshot,
    targets: &[Target],
    force: bool,
) -> Result<Vec<String>, Trouble> {
    let demoted: Vec<_> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Instance(name) => ours.state.instances.get(name),
            Target::Server(_) => None,
        })
        .filter(|it| matches!(it.pin, Some(Pin::Demoted | Pin::DemotedHard)) && it.preempt)
        .collect();
    if demoted.is_empty() {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    for other in glance(&site.others, global) {
        // Who is not reached is not asked: a release takes nothing by force.
        let Ok(seen) = &other.got else { continue };
        let holds = |own: &&&Arc<InstanceView>| {
            let theirs = same(own, &seen.snapshot.state);
            theirs
                .is_some_and(|it| it.state == VrrpState::Master && it.effective_priority < own.base_priority)
        };
        if demoted.iter().any(|own| holds(&own)) {
            told.push(carried(&other.name, seen, ours, force)?);
        }
    }
    Ok(told)
}

/// What the holder carries, in a sentence; refused where it is much and nobody copies it.
fn carried(name: &str, seen: &Excerpt, ours: &Snapshot, force: bool) -> Result<String, Refusal> {
    let active = View::excerpt(seen).totals().map_or(0, |totals| totals.active);
    // The holder sends what it carries, and here it is taken.
    let copied = seen.snapshot.state.agent.sync.as_ref().is_some_and(|it| it.sends)
        && ours.state.agent.sync.as_ref().is_some_and(|it| it.takes);
    if active > CONNECTIONS_MAX && !copied && !force {
        return Err(Refusal::new(
            RefusalCode::Sync,
            format!(
                "{name} carries {} connections that are not copied to here",
                thousands(active)
            ),
            "they are reset by the move; with lvs_sync_daemon on both they would go on\nto see the effect: \
             add --dry-run      to do it anyway: add --force",
        ));
    }
    let connections = usize::try_from(active).unwrap_or(usize::MAX);
    Ok(format!(
        "Connections: {} on {name}{}",
        count(connections, "active connection"),
        if copied { ", copied to here" } else { "" }
    ))
}

impl Yielding {
    /// Waits until the other side is not MASTER any more.
    pub(crate) fn wait(&self, global: &Global, timeout: Duration) -> Result<(), Trouble> {
        let deadline = Instant::now() + timeout;
        let detach = Detach::armed();
        let there = connect::for_host(global, &self.host);
        let mut news = connect::client(&there)?.listen()?;
        let mut client = connect::client(&there)?;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::new(
                    RefusalCode::TimedOut,
                    format!(
                        "two masters: {} has not yielded {}",
                        self.name,
                        escape(&self.instance.0)
                    ),
                    "it does not hear this node's adverts: look at lbctl why there and here, or lbctl release here",
                )
                .into());
            }
            detach.check("the promote stands (lbctl release ends it)")?;
            let seen = client.excerpt(&ExcerptAsk::all(Scope::Instances))?;
            let own = seen.snapshot.state.instances.get(&self.instance);
            let there = own.map(|it| it.state);
            if there != Some(VrrpState::Master) {
                if !global.quiet {
                    let word = there.map_or("gone", VrrpState::word);
                    eprintln!("{} is {word} on {}", escape(&self.instance.0), self.name);
                }
                return Ok(());
            }
            news.next_within(left.min(detach::EVERY))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use lb_shared::state::SyncView;
    use std::sync::Arc;

    fn sync(sends: bool) -> Option<SyncView> {
        Some(SyncView {
            interface: "eth1".into(),
            id: 1,
            instance: None,
            sends,
            takes: !sends,
        })
    }

    #[test]
    fn many_connections_are_moved_only_when_they_are_copied_or_by_force() {
        let target = [Target::Instance("VI_edge".into())];
        let judged = |there: Option<SyncView>, here: Option<SyncView>, force| {
            let fixture::Demo {
                snapshot, counters, ..
            } = fixture::demo();
            let mut ours = snapshot.clone();
            ours.state.agent.sync = here;
            let edge = ours.state.instances.get_mut(&"VI_edge".into()).unwrap();
            Arc::make_mut(edge).state = VrrpState::Backup;
            let mut holder = Excerpt {
                snapshot,
                counters: Some(counters),
                ..Excerpt::default()
            };
            holder.snapshot.state.agent.sync = there;
            let holder = Answer {
                host: Host::parse("ssh://lb2").unwrap(),
                name: "lb2".into(),
                got: Ok(holder),
            };
            judge(&[holder], &ours, &target, Handover::Auto, force)
        };
        for (there, here) in [(None, None), (sync(true), None), (sync(false), sync(true))] {
            let refusal = judged(there.clone(), here.clone(), false).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Sync, "{there:?} {here:?}");
        }
        let forced = judged(None, None, true).unwrap();
        assert!(forced.effects[1].ends_with(" on lb2"), "{:?}", forced.effects);
        let copied = judged(sync(true), sync(false), false).unwrap();
        assert!(
            copied.effects[1].ends_with(" on lb2, copied to here"),
            "{:?}",
            copied.effects
        );
        assert_eq!(copied.from.len(), 1);
    }
}
