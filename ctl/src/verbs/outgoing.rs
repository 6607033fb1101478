//! `reload --drain-removed`: the servers that a new file no longer has serve their connections to the end before it comes
//! into force.

use super::progress;
use crate::args::Global;
use crate::look::{Look, Out};
use crate::trouble::Trouble;
use lb_shared::client::{Client, ClientError};
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::names::ServerId;
use lb_shared::request::{Act, Outcome, RefusalCode, Reloaded, Verb};
use lb_shared::state::{Admin, DrainThen, State, Target};
use lb_shared::text::{escape, span, thousands};
use lb_shared::view::View;
use std::time::Duration;

/// What the overrides say about who set them.
const MESSAGE: &str = "reload --drain-removed";
/// How often their connections are told where nothing is redrawn.
const EVERY: Duration = Duration::from_secs(5);

/// Servers that go with a reload, and how long they may take.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    ids: Vec<ServerId>,
    /// Those that a run before this one left draining.
    left: Vec<Target>,
    limit: Option<Duration>,
    force: bool,
}

/// The servers that a plan takes away, alone or with their service, as they are before it.
pub(crate) fn before(client: &mut Client, plan: &Reloaded) -> Result<Excerpt, Trouble> {
    let gone = |prefix: &str| -> Vec<String> {
        let names = plan.changes.iter().filter_map(|line| line.strip_prefix(prefix));
        names.map(ToOwned::to_owned).collect()
    };
    let mut targets: Vec<String> = gone("- rs:").iter().map(|it| format!("rs:{it}")).collect();
    targets.extend(gone("- vs:").iter().map(|it| format!("vs:{it}")));
    match client.excerpt(&ExcerptAsk::of(Scope::Servers, &targets)) {
        // A service may go that has no server, and a server may be the sorry server of one.
        Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {}
        seen => return Ok(seen?),
    }
    let mut seen = client.excerpt(&ExcerptAsk::agent())?;
    for target in targets {
        match client.excerpt(&ExcerptAsk::of(Scope::Servers, &[target])) {
            Err(ClientError::Refused(refusal)) if refusal.code == RefusalCode::NotFound => {}
            one => seen.join(one?),
        }
    }
    Ok(seen)
}

impl Outgoing {
    /// The servers that a plan takes away, alone or with their service, and that may have connections: a disabled one
    /// is out of IPVS already.
    pub(crate) fn of(state: &State, plan: &Reloaded, limit: Option<Duration>, force: bool) -> Self {
        let gone = |id: &ServerId| {
            let (server, service) = (format!("- rs:{id}"), format!("- vs:{}", id.service));
            plan.changes
                .iter()
                .any(|line| *line == server || *line == service)
        };
        let going = state.servers.values();
        let going = going.filter(|it| it.admin != Admin::Disabled && gone(&it.id));
        let ids: Vec<ServerId> = going.map(|it| it.id.clone()).collect();
        let targets = ids.iter().cloned().map(Target::Server);
        let ours = |target: &Target| (state.overrides.get(target)).is_some_and(|it| it.message == MESSAGE);
        Self {
            left: targets.filter(ours).collect(),
            ids,
            limit,
            force,
        }
    }

    fn request(&self, verb: Verb, targets: Vec<Target>, dry_run: bool) -> Act {
        Act {
            verb,
            targets,
            dry_run,
            force: self.force,
            message: MESSAGE.to_owned(),
            key: None,
        }
    }

    fn drain(&self, dry_run: bool) -> Act {
        let ms = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let verb = Verb::Drain {
            timeout_ms: self.limit.map(ms),
            then: DrainThen::Keep,
            inactive: false,
        };
        self.request(
            verb,
            self.ids.iter().cloned().map(Target::Server).collect(),
            dry_run,
        )
    }

    /// What would drain, one line a server. Refused as the drain itself would be.
    pub(crate) fn plan(&self, client: &mut Client, view: &View<'_>) -> Result<Vec<String>, Trouble> {
        if self.ids.is_empty() {
            return Ok(Vec::new());
        }
        let would = client.act(self.drain(true))?;
        let limit = self.limit.map_or_else(
            || "without a limit".to_owned(),
            |it| format!("for up to {}", span(it)),
        );
        let lines = would.targets.iter().map(|it| {
            let name = view.target_name(&it.target);
            match &it.outcome {
                Outcome::Done => {
                    let active = thousands(it.active.unwrap_or_default());
                    format!("drains first, {limit}: {name}, {active} active")
                }
                Outcome::Skipped(why) | Outcome::Failed(why) => {
                    format!("waited for: {name}, {}", escape(why))
                }
            }
        });
        Ok(lines.collect())
    }

    /// Drains them, waits for their end or their time, and then does `reload`. The drains end with it, whatever came of
    /// it: a server that stays serves again, and one that comes back some day is not found drained.
    pub(crate) fn drain_then<T>(
        &self,
        global: &Global,
        look: &Look,
        out: &mut Out,
        client: &mut Client,
        reload: impl FnOnce(&mut Client) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if self.ids.is_empty() {
            return reload(client);
        }
        let acted = client.act(self.drain(false))?;
        for warning in &acted.warnings {
            eprintln!("warning: {}", escape(warning));
        }
        out.flush()?;
        match progress::drain(global, look, out, &self.ids, EVERY) {
            Err(Trouble::Refused(late)) if late.code == RefusalCode::TimedOut => {
                eprintln!("warning: {}; the reload cuts them", escape(&late.message));
            }
            // The drains are under way: the same command waits for them again.
            ended => ended?,
        }
        let reloaded = reload(client);
        let ours = acted.targets.into_iter();
        let ours = ours.filter(|it| !matches!(it.outcome, Outcome::Skipped(_)));
        let ours = ours.map(|it| it.target).chain(self.left.iter().cloned());
        let ended = self.undrain(client, ours.collect());
        let reloaded = reloaded?;
        ended?;
        Ok(reloaded)
    }

    /// Those that an operator drained before us stay as they are.
    fn undrain(&self, client: &mut Client, targets: Vec<Target>) -> Result<(), Trouble> {
        if !targets.is_empty() {
            client.act(self.request(Verb::Undrain, targets, false))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::fixture;
    use std::sync::Arc;

    fn going(state: &State, changes: &[String]) -> Vec<String> {
        let plan = Reloaded {
            changes: changes.to_vec(),
            ..Reloaded::default()
        };
        let outgoing = Outgoing::of(state, &plan, None, false);
        outgoing.ids.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn servers_go_alone_or_with_their_service_and_others_do_not() {
        let state = fixture::demo().snapshot.state;
        let id = &state.servers.values().next().unwrap().id;
        assert_eq!(going(&state, &[format!("- rs:{id}")]), [id.to_string()]);
        let stays = [format!("~ rs:{id}"), format!("~ vs:{}", id.service)];
        assert!(going(&state, &stays).is_empty());
        let whole = going(&state, &[format!("- vs:{}", id.service)]);
        let there = state.servers.keys().filter(|it| it.service == id.service);
        assert_eq!(whole, there.map(ToString::to_string).collect::<Vec<_>>());
        assert!(whole.len() > 1);
    }

    #[test]
    fn a_disabled_server_has_nothing_to_drain() {
        let mut state = fixture::demo().snapshot.state;
        let server = state.servers.values_mut().next().unwrap();
        Arc::make_mut(server).admin = Admin::Disabled;
        let gone = [format!("- rs:{}", server.id)];
        assert!(going(&state, &gone).is_empty());
    }

    #[test]
    fn what_an_interrupted_run_left_draining_is_known_by_its_message() {
        let mut state = fixture::demo().snapshot.state;
        let drained = state
            .overrides
            .values_mut()
            .find(|it| matches!(it.target, Target::Server(_)))
            .unwrap();
        let target = drained.target.clone();
        let Target::Server(id) = &target else {
            unreachable!("a server's override was looked for")
        };
        let plan = Reloaded {
            changes: vec![format!("- rs:{id}")],
            ..Reloaded::default()
        };
        assert!(
            Outgoing::of(&state, &plan, None, false).left.is_empty(),
            "an operator's own drain stays"
        );
        state.overrides.get_mut(&target).unwrap().message = MESSAGE.to_owned();
        assert_eq!(Outgoing::of(&state, &plan, None, false).left, [target]);
    }
}
