//! Reloads that wait to be confirmed.
//!
//! S32: what is in force is what was last confirmed, or else something that is tried and goes back in its time, also over
//! crashes in between; what was acknowledged is on disk.

use crate::acts::Reload;
use crate::cluster::Edits;
use crate::faults::{DiskLoss, Edit, Fault, Kind};
use crate::node::Node;
use crate::random::Random;
use crate::shell::{actor, wall_ms};
use crate::sometimes::Hit;
use crate::world::{Cause, World};
use lb_shared::request::Reloaded;
use lbagent::config::{SourceFile, Sources, Texts};
use lbagent::engine::{Former, FormerNote, Input, NewModel, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const SECOND: u64 = 1_000_000;
/// The name of the file on every node.
pub(crate) const FILE: &str = "/etc/lbagent.conf";

/// A reload that somebody asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// For good.
    Keep(Edits),
    /// For so many microseconds.
    Try(Edits, u64),
    /// What is tried is to stay.
    Confirm,
}

/// What an operator may count on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trials {
    /// What was last in force for good.
    pub(crate) settled: Edits,
    pub(crate) trial: Option<Trial>,
}

impl Trials {
    /// What comes into force at a start.
    pub(crate) fn expected(&self) -> &Edits {
        self.trial.as_ref().map_or(&self.settled, |it| &it.tried)
    }
}

/// Something that is in force for a while.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    tried: Edits,
    /// It may not go before and has to be gone after (world time).
    from: u64,
    by: u64,
}

impl Trial {
    /// Clocks run wrong by a tenth at most.
    fn new(tried: Edits, now: u64, left: u64) -> Self {
        Self {
            tried,
            from: now + left * 88 / 100,
            by: now + left * 112 / 100 + SECOND / 5,
        }
    }
}

/// What the disk has of `reload --confirm`.
#[derive(Clone, Debug)]
pub(crate) struct KeptFormer {
    pub(crate) edits: Edits,
    pub(crate) note: FormerNote,
}

/// What a file says with these edits; edits and texts stand for one another.
pub(crate) fn texts(edits: &Edits) -> Arc<Texts> {
    let mut sources = Sources::default();
    sources.files.push(SourceFile {
        name: FILE.to_owned(),
        text: format!("{edits:?}"),
        included_from: None,
    });
    Arc::new(Texts::of(sources))
}

/// Trials of a plan: reloads, now and then their confirmation, a crash or a full disk in between. All is over before
/// the quiet.
pub(crate) fn draw(random: &mut Random, nodes: usize, quiet_at: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !random.chance(200) {
        return faults;
    }
    for _ in 0..random.between(1, 3) {
        let node = random.index(nodes);
        let within_us = random.pick(&[1, 2, 3]) * SECOND;
        let at = random.between(SECOND / 2, quiet_at - 2 * within_us - 2 * SECOND);
        let edit = random.pick(&[
            Edit::Priority(-50),
            Edit::Priority(20),
            Edit::Preempt(false),
            Edit::FewerAddresses(true),
            Edit::FewerInstances(true),
            Edit::None,
        ]);
        let mut add = |at, span, kind| faults.push(Fault { at, span, kind });
        add(
            at,
            0,
            Kind::Try {
                node,
                edit,
                within_us,
            },
        );
        if random.chance(400) {
            let late = random.below(within_us * 5 / 4);
            add(at + late, 0, Kind::Confirmed { node });
        }
        if random.chance(400) {
            // Between two writes, or while it is tried.
            let late = random.pick(&[15_000, within_us]);
            let kind = Kind::Crash {
                node,
                disk: DiskLoss::Nothing,
                reboot: random.chance(200),
            };
            let late = random.below(late);
            add(at + late, random.below(2 * SECOND), kind);
        }
        if random.chance(150) {
            let early = random.below(SECOND / 4);
            add(at.saturating_sub(early), SECOND, Kind::DiskFull { node });
        }
    }
    faults
}

impl Node {
    /// What an earlier run kept to go back to, and the picture of it that its operators have.
    pub(crate) fn former(&mut self, now: u64) -> Option<(Edits, FormerNote)> {
        let file = self.file.clone();
        let trials = &mut self.trials;
        let kept = self.disk.former.clone();
        match &kept {
            None => {
                *trials = Trials {
                    settled: file,
                    trial: None,
                }
            }
            Some(it) if it.note.restored => {
                let changed = it.note.tried != texts(&file).fingerprint();
                let settled = if changed { file } else { it.edits.clone() };
                *trials = Trials { settled, trial: None };
            }
            Some(it) => {
                let left = it.note.until_wall_ms.saturating_sub(wall_ms(now)) * 1000;
                *trials = Trials {
                    settled: it.edits.clone(),
                    trial: (left > 0).then(|| Trial::new(file, now, left)),
                };
            }
        }
        kept.map(|it| (it.edits, it.note))
    }
}

impl World {
    /// A configuration as the loader hands it over.
    pub(crate) fn new_model(&self, node: usize, edits: &Edits) -> NewModel {
        NewModel {
            model: self.plan.cluster.model(node, edits),
            file: FILE.to_owned(),
            findings: Vec::new(),
            numbers: BTreeMap::new(),
            since_boot: Duration::ZERO,
            asked: None,
            dry_run: false,
            force: true,
            wall_ms: wall_ms(self.now),
            texts: texts(edits),
            confirm: None,
        }
    }

    /// `reload --confirm`.
    pub(crate) fn try_reload(&mut self, node: usize, edit: Edit, within_us: u64) {
        if let Some(Reload {
            file,
            ticket,
            mut new,
        }) = self.edit_file(node, edit)
        {
            new.confirm = Some(Duration::from_micros(within_us));
            self.wish(node, ticket, Wish::Try(file, within_us));
            self.feed_or_defer(node, Cause::Other, Input::Model(new));
        }
    }

    /// `reload --confirmed`.
    pub(crate) fn confirm(&mut self, node: usize) {
        if self.nodes[node].engine.is_none() {
            return;
        }
        let ticket = self.ticket(node, Vec::new(), false);
        self.wish(node, ticket, Wish::Confirm);
        self.feed_or_defer(node, Cause::Other, Input::Confirm(ticket, actor()));
    }

    pub(crate) fn wish(&mut self, node: usize, ticket: Ticket, wish: Wish) {
        if let Some(asked) = self.nodes[node].tickets.get_mut(&ticket) {
            asked.wish = Some(wish);
        }
    }

    /// The disk's copy of what is to come back.
    pub(crate) fn kept(&self, former: Option<&Former>) -> Option<KeptFormer> {
        let former = former?;
        let fingerprint = former.texts.fingerprint();
        let edits = self.known.get(&fingerprint).cloned().unwrap_or_default();
        Some(KeptFormer {
            edits,
            note: former.note.clone(),
        })
    }

    /// Something else has come into force in this step without a reload: what came back, or what is tried now.
    pub(crate) fn cause_of_change(&mut self, node: usize, cause: Cause) -> Cause {
        let it = &mut self.nodes[node];
        let Some(engine) = &it.engine else { return cause };
        let (_, _, texts) = engine.in_force();
        if Arc::ptr_eq(&texts, &it.in_force) {
            return cause;
        }
        it.in_force = Arc::clone(&texts);
        if matches!(cause, Cause::Reload { .. }) || !it.begun {
            return cause;
        }
        self.disturbed_at = self.now;
        let edits = self.known.get(&texts.fingerprint()).cloned().unwrap_or_default();
        Cause::Reload { edits }
    }

    /// A reload was taken.
    pub(crate) fn on_reloaded(&mut self, node: usize, wish: Wish, reloaded: &Reloaded) {
        let now = self.now;
        let disk = self.nodes[node].disk.former.clone();
        let trials = &mut self.nodes[node].trials;
        let broken = match wish {
            Wish::Keep(edits) => {
                let waited = trials.trial.is_some();
                trials.settled = edits;
                waited.then_some("took a reload while another one waited to be confirmed")
            }
            Wish::Try(tried, within_us) => {
                self.sometimes.hit(Hit::Tried);
                trials.trial = Some(Trial::new(tried, now, within_us));
                let safe = disk.is_some_and(|it| !it.note.restored && it.edits == trials.settled);
                let told = reloaded.confirm_within_ms == Some(within_us / 1000);
                (!safe || !told).then_some("tries something and the way back is not on disk")
            }
            Wish::Confirm => {
                self.sometimes.hit(Hit::Confirmed);
                if let Some(it) = trials.trial.take() {
                    trials.settled = it.tried;
                }
                disk.is_some()
                    .then_some("acknowledged a confirmation that the disk does not know of")
            }
        };
        if let Some(text) = broken {
            self.fail("S32", format!("n{node} {text}"));
        }
    }

    /// S32, whenever something else is in force.
    pub(crate) fn judge_in_force(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if it.engine.is_none() || it.finished || !it.begun {
            return;
        }
        // A reload before the beginning, or in a stop, is not judged itself.
        it.edits = self
            .known
            .get(&it.in_force.fingerprint())
            .cloned()
            .unwrap_or_default();
        let Trials { settled, trial } = &mut it.trials;
        let Some(tried) = trial else {
            if it.edits != *settled {
                let text = format!("n{node} has {:?} in force, {settled:?} was confirmed", it.edits);
                self.fail("S32", text);
            }
            return;
        };
        if it.edits == tried.tried || it.edits != *settled {
            return;
        }
        if self.now < tried.from {
            let early = tried.from - self.now;
            return self.fail(
                "S32",
                format!("n{node} takes back {early} us too early what is tried"),
            );
        }
        *trial = None;
        self.sometimes.hit(Hit::TakenBack);
    }

    /// S32, at any time.
    pub(crate) fn audit_trial(&mut self, node: usize) {
        self.judge_in_force(node);
        let it = &self.nodes[node];
        if !it.is_awake() || it.stopping || it.tickets.values().any(|asked| asked.wish.is_some()) {
            return;
        }
        let Some(trial) = &it.trials.trial else { return };
        let by = trial
            .by
            .max(it.woke_at + SECOND / 5)
            .max(it.started_at + SECOND / 5);
        if self.now <= by {
            return;
        }
        if trial.tried == it.trials.settled {
            // Nothing tells one from the other.
            self.nodes[node].trials.trial = None;
        } else {
            let late = self.now - trial.by;
            self.fail(
                "S32",
                format!("n{node} still has unconfirmed edits in force, {late} us after their time"),
            );
        }
    }
}
