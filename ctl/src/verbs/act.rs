//! Verbs that change something: select, ask, act, tell, and wait if that is wanted.

use super::Call;
use super::list::document;
use super::progress;
use crate::args::{Acting, Drain, Global, Handover, Output, Promote, Then, Waiting};
use crate::confirm;
use crate::connect;
use crate::fleet;
use crate::fleet::handover::{self, Handing};
use crate::look::{Look, Out};
use crate::table::{Column, Grid};
use crate::trouble::{self, Trouble, usage};
use lb_shared::client::Client;
use lb_shared::condition::Condition;
use lb_shared::duration;
use lb_shared::excerpt::{Excerpt, ExcerptAsk, Scope};
use lb_shared::expect::{Expected, Facts};
use lb_shared::json;
use lb_shared::names::ServerId;
use lb_shared::request::{Act, Acted, Outcome, Refusal, RefusalCode, TargetReport, Verb, WeightChange};
use lb_shared::site::Site;
use lb_shared::state::{Admin, DrainThen, Target};
use lb_shared::text::{escape, thousands, width};
use lb_shared::view::View;
use std::time::Duration;

pub(crate) fn drain(call: &Call<'_>, out: &mut Out, drain: &Drain) -> Result<(), Trouble> {
    let Call { site, global, look } = *call;
    let timeout = duration::parse_or_never(&drain.timeout)?;
    let every = duration::parse(&drain.progress)?;
    if drain.follow {
        site.only("drain --follow")?;
        return follow(global, look, out, drain, every);
    }
    let verb = Verb::Drain {
        timeout_ms: timeout.map(ms),
        then: match drain.then {
            Then::Keep => DrainThen::Keep,
            Then::Undrain => DrainThen::Undrain,
            Then::Disable => DrainThen::Disable,
        },
        inactive: drain.inactive,
    };
    let all = act(call, out, verb, &drain.targets, &drain.acting)?;
    if drain.wait && !drain.acting.dry_run {
        out.flush()?;
        for done in &all.done {
            let ids = servers_of(&done.act.targets);
            done.say_host(site, global);
            progress::drain(&done.global, look, out, &ids, every)?;
        }
    }
    all.end()
}

/// Attaches to drains that are under way.
fn follow(
    global: &Global,
    look: &Look,
    out: &mut Out,
    drain: &Drain,
    every: Duration,
) -> Result<(), Trouble> {
    // Whoever names none follows all that drain, and each of those is an operator's change.
    let ask = match drain.targets.as_slice() {
        [] => ExcerptAsk {
            filter: "ov:drain".into(),
            ..ExcerptAsk::all(Scope::Servers)
        },
        targets => ExcerptAsk::of(Scope::Servers, targets),
    };
    let found = connect::client(global)?.excerpt(&ask)?.snapshot.state.servers;
    let ids: Vec<ServerId> = found
        .values()
        .filter(|it| !drain.targets.is_empty() || it.admin == Admin::Draining)
        .map(|it| it.id.clone())
        .collect();
    if ids.is_empty() {
        return Err(Refusal::new(
            RefusalCode::NotFound,
            "no server is draining",
            "lbctl drain SERVER starts a drain",
        )
        .into());
    }
    progress::drain(global, look, out, &ids, every)
}

pub(crate) fn undrain(
    call: &Call<'_>,
    out: &mut Out,
    targets: &[String],
    ramp: Option<&str>,
    acting: &Acting,
) -> Result<(), Trouble> {
    let verb = match ramp.map(duration::parse).transpose()? {
        Some(over) => Verb::Ramp { over_ms: ms(over) },
        None => Verb::Undrain,
    };
    act(call, out, verb, targets, acting)?.end()
}

pub(crate) fn disable(
    call: &Call<'_>,
    out: &mut Out,
    targets: &[String],
    cut: bool,
    acting: &Acting,
) -> Result<(), Trouble> {
    act(call, out, Verb::Disable { cut }, targets, acting)?.end()
}

pub(crate) fn weight(
    call: &Call<'_>,
    out: &mut Out,
    targets: &[String],
    acting: &Acting,
) -> Result<(), Trouble> {
    let Some((weight, targets)) = targets.split_last() else {
        return Err(usage("weight needs a server and a weight", ""));
    };
    if targets.is_empty() && !acting.all {
        return Err(usage(
            format!(
                "weight needs a server and, last, a weight; '{}' is one word",
                escape(weight)
            ),
            "such as: lbctl weight web/198.51.100.24 50",
        ));
    }
    let verb = Verb::Weight(WeightChange::parse(weight)?);
    act(call, out, verb, targets, acting)?.end()
}

pub(crate) fn promote(call: &Call<'_>, out: &mut Out, promote: &Promote) -> Result<(), Trouble> {
    let Call { site, global, .. } = *call;
    site.only("promote")?;
    let verb = Verb::Promote {
        for_ms: promote
            .lasting
            .as_deref()
            .map(duration::parse)
            .transpose()?
            .map(ms),
    };
    let timeout = duration::parse(&promote.waiting.timeout)?;
    let mut acting = promote.acting.clone();
    if !acting.dry_run {
        site.may_act()?;
    }
    let mut handing = Handing::default();
    if promote.handover == Handover::Require || !site.others.is_empty() {
        let mut client = connect::client(global)?;
        let (found, targets) = find(&mut client, verb, &promote.targets, global, &acting)?;
        let (how, force) = (promote.handover, acting.force);
        handing = handover::find(site, global, &found.snapshot, &targets, how, force)?;
        acting.effects.clone_from(&handing.effects);
    }
    let (targets, waiting) = (&promote.targets, &promote.waiting);
    act_and_wait(call, out, verb, targets, waiting, &acting)?;
    if !acting.dry_run && !waiting.no_wait {
        for yielding in &handing.from {
            yielding.wait(global, timeout)?;
        }
    }
    Ok(())
}

pub(crate) fn demote(
    call: &Call<'_>,
    out: &mut Out,
    targets: &[String],
    hard: bool,
    waiting: &Waiting,
    acting: &Acting,
) -> Result<(), Trouble> {
    let Call { site, global, .. } = *call;
    let verb = Verb::Demote { hard };
    let mut acting = acting.clone();
    // An agent cannot see a silent backup: whoever reaches both can.
    if !acting.force && site.hosts.len() == 1 && !site.others.is_empty() {
        let mut client = connect::client(global)?;
        let (found, named) = find(&mut client, verb, targets, global, &acting)?;
        if let Some(name) = handover::successor(site, global, &found.snapshot, &named) {
            acting.force = hard;
            acting
                .effects
                .push(format!("Next: {name}'s agent is connected and can take over"));
        }
    }
    act_and_wait(call, out, verb, targets, waiting, &acting)
}

pub(crate) fn release(
    call: &Call<'_>,
    out: &mut Out,
    targets: &[String],
    acting: &Acting,
) -> Result<(), Trouble> {
    let Call { site, global, .. } = *call;
    let mut acting = acting.clone();
    // What the present master carries only its own agent knows.
    if site.hosts.len() == 1 && !site.others.is_empty() {
        let mut client = connect::client(global)?;
        let (found, named) = find(&mut client, Verb::Release, targets, global, &acting)?;
        let returning = handover::returning(site, global, &found.snapshot, &named, acting.force)?;
        acting.effects.extend(returning);
    }
    act(call, out, Verb::Release, targets, &acting)?.end()
}

/// Takes back what this user did last.
pub(crate) fn undo(call: &Call<'_>, out: &mut Out, acting: &Acting) -> Result<(), Trouble> {
    act(call, out, Verb::Undo, &[], acting)?.end()
}

fn act_and_wait(
    call: &Call<'_>,
    out: &mut Out,
    verb: Verb,
    targets: &[String],
    waiting: &Waiting,
    acting: &Acting,
) -> Result<(), Trouble> {
    let Call { site, global, .. } = *call;
    let timeout = duration::parse(&waiting.timeout)?;
    let all = act(call, out, verb, targets, acting)?;
    if !waiting.no_wait && !acting.dry_run {
        out.flush()?;
        for done in &all.done {
            done.wait(site, global, timeout)?;
        }
    }
    all.end()
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// An act that was carried out on one host, with what it did.
pub(crate) struct Done {
    /// The flags for that host.
    pub(crate) global: Global,
    pub(crate) name: String,
    pub(crate) act: Act,
    pub(crate) acted: Acted,
}

impl Done {
    pub(crate) fn failed(&self) -> bool {
        let failed = |report: &TargetReport| matches!(report.outcome, Outcome::Failed(_));
        self.acted.targets.iter().any(failed)
    }

    /// Which of several hosts comes now.
    fn say_host(&self, site: &Site, global: &Global) {
        if site.hosts.len() > 1 && !global.quiet {
            eprintln!("{}:", self.name);
        }
    }

    fn wait(&self, site: &Site, global: &Global, timeout: Duration) -> Result<(), Trouble> {
        let Some(condition) = Condition::after(&self.act) else {
            return Ok(());
        };
        self.say_host(site, global);
        super::truth::until(&self.global, &condition, timeout, |verdict| {
            if !global.quiet {
                eprintln!("{}", verdict.reason);
            }
        })
    }
}

/// What was done on all hosts, and the exit code of what was not.
#[derive(Default)]
pub(crate) struct All {
    pub(crate) done: Vec<Done>,
    pub(crate) code: u8,
}

impl All {
    /// Failed targets give exit code 1.
    fn end(self) -> Result<(), Trouble> {
        let failed = u8::from(self.done.iter().any(Done::failed));
        match trouble::worst([self.code, failed]) {
            0 => Ok(()),
            code => Err(Trouble::Exit(code)),
        }
    }
}

fn act(
    call: &Call<'_>,
    out: &mut Out,
    verb: Verb,
    targets: &[String],
    acting: &Acting,
) -> Result<All, Trouble> {
    let Call { site, global, look } = *call;
    if !acting.dry_run {
        site.may_act()?;
    }
    if site.hosts.len() > 1 {
        return fleet::act::run(call, out, verb, targets, acting);
    }
    let mut client = connect::client(global)?;
    let (mut found, targets) = find(&mut client, verb, targets, global, acting)?;
    let act = request(verb, targets, acting);
    let mut meant = act.targets.clone();
    if verb == Verb::Undo {
        let tried = Act {
            dry_run: true,
            key: None,
            ..act.clone()
        };
        meant = client
            .act(tried)?
            .targets
            .into_iter()
            .map(|it| it.target)
            .collect();
        found = client.servers(&servers_of(&meant))?;
    }
    let view = View::excerpt(&found);
    let names: Vec<String> = meant.iter().map(|target| view.target_name(target)).collect();
    let asked = confirm::ask(verb, &names, acting, site)?;
    let mut acted = client.act_if(act.clone(), expected(&view, &act.targets, acting, asked)?)?;
    acted.effects.extend(acting.effects.iter().cloned());
    if matches!(verb, Verb::Drain { .. } | Verb::Disable { .. }) {
        let ids = servers_of(&act.targets);
        acted
            .warnings
            .extend(fleet::elsewhere::warning(site, global, &ids));
    }
    if global.verbose > 0 {
        eprintln!("operation op-{}", acted.op);
    }
    tell(global, look, out, &view, &act, &acted)?;
    let done = Done {
        global: global.clone(),
        name: String::new(),
        act,
        acted,
    };
    Ok(All {
        done: vec![done],
        code: 0,
    })
}

/// What has to be true still: what `--expect` says, and what was there before somebody thought about a question.
pub(crate) fn expected(
    view: &View<'_>,
    targets: &[Target],
    acting: &Acting,
    asked: bool,
) -> Result<Vec<Expected>, Trouble> {
    let said = acting.expect.as_deref().map(Facts::parse).transpose()?;
    let seen = |target: &Target| {
        let change = view.state.overrides.get(target);
        let facts = match target {
            Target::Server(id) => Facts::of_server(view.state.servers.get(id)?, change),
            Target::Instance(name) => Facts::of_instance(view.state.instances.get(name)?, change),
        };
        // Numbers move by themselves.
        Some(Facts {
            weight: None,
            priority: None,
            ..facts
        })
    };
    Ok(targets
        .iter()
        .filter_map(|target| {
            let facts = match (&said, asked) {
                (Some(said), _) => said.clone(),
                (None, true) => seen(target)?,
                (None, false) => return None,
            };
            Some(Expected {
                target: target.clone(),
                facts,
            })
        })
        .collect())
}

/// The request as the flags make it.
pub(crate) fn request(verb: Verb, targets: Vec<Target>, acting: &Acting) -> Act {
    Act {
        verb,
        targets,
        dry_run: acting.dry_run,
        force: acting.force,
        message: acting.message.clone(),
        key: acting.key.clone(),
    }
}

/// What the words on the command line select, with the objects as they are now.
pub(crate) fn find(
    client: &mut Client,
    verb: Verb,
    typed: &[String],
    global: &Global,
    acting: &Acting,
) -> Result<(Excerpt, Vec<Target>), Trouble> {
    let scope = match verb {
        // The agent knows what was done.
        Verb::Undo => return Ok((client.excerpt(&ExcerptAsk::agent())?, Vec::new())),
        Verb::Drain { .. } | Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_) => {
            Scope::Meant
        }
        Verb::Promote { .. } | Verb::Demote { .. } | Verb::Release => Scope::Instances,
    };
    if typed.is_empty() && !acting.all {
        return Err(usage(
            format!("{} needs a target", verb.word()),
            "name at least one, or say --all",
        ));
    }
    let found = client.excerpt(&ExcerptAsk {
        targets: if acting.all { Vec::new() } else { typed.to_vec() },
        filter: global.filter.clone().unwrap_or_default(),
        ..ExcerptAsk::all(scope)
    })?;
    let state = &found.snapshot.state;
    let targets: Vec<Target> = match scope {
        Scope::Instances => state.instances.keys().cloned().map(Target::Instance).collect(),
        _ => state.servers.keys().cloned().map(Target::Server).collect(),
    };
    if targets.is_empty() {
        return Err(Refusal::new(RefusalCode::NotFound, "nothing matches these targets", "").into());
    }
    Ok((found, targets))
}

/// The servers among targets.
pub(crate) fn servers_of(targets: &[Target]) -> Vec<ServerId> {
    let servers = targets.iter().filter_map(|target| match target {
        Target::Server(id) => Some(id.clone()),
        Target::Instance(_) => None,
    });
    servers.collect()
}

fn tell(
    global: &Global,
    look: &Look,
    out: &mut Out,
    view: &View<'_>,
    act: &Act,
    acted: &Acted,
) -> Result<(), Trouble> {
    match global.output {
        Output::Json => {
            let document_of = json::document(&view.state.agent.host, json::acted(view, acted));
            document(out, look, &document_of)?;
        }
        Output::Jsonl => out.line(&json::acted(view, acted).to_string())?,
        Output::Name => {
            for report in &acted.targets {
                out.line(&report.target.to_string())?;
            }
        }
        Output::Table | Output::Wide if acted.dry_run => {
            for line in dry_run(view, act.verb, acted, look) {
                out.line(&line)?;
            }
        }
        Output::Table | Output::Wide => {
            for line in done_lines(view, act.verb, acted) {
                out.line(&line)?;
            }
        }
    }
    if !acted.dry_run {
        for warning in &acted.warnings {
            eprintln!("warning: {}", escape(warning));
        }
    }
    Ok(())
}

/// `web/198.51.100.24:443: draining, weight 100 -> 0, 4,655 active`
pub(crate) fn done_lines(view: &View<'_>, verb: Verb, acted: &Acted) -> Vec<String> {
    let now = match verb {
        Verb::Drain { .. } => Some("draining"),
        Verb::Undrain | Verb::Ramp { .. } => Some("undrained"),
        Verb::Disable { .. } => Some("disabled"),
        Verb::Weight(_) => None,
        Verb::Promote { .. } => Some("promoted"),
        Verb::Demote { .. } => Some("demoted"),
        Verb::Release => Some("released"),
        Verb::Undo => Some("undone"),
    };
    acted
        .targets
        .iter()
        .map(|report| {
            let name = view.target_name(&report.target);
            match &report.outcome {
                Outcome::Done => {
                    let active = report
                        .active
                        .filter(|_| matches!(verb, Verb::Drain { .. } | Verb::Disable { .. }))
                        .map(|active| format!("{} active", thousands(active)));
                    let change = Some(escape(&report.change)).filter(|change| !change.is_empty());
                    let parts: Vec<String> = now
                        .map(Into::into)
                        .into_iter()
                        .chain(change)
                        .chain(active)
                        .collect();
                    format!("{name}: {}", parts.join(", "))
                }
                Outcome::Skipped(why) => format!("{name}: {}", escape(why)),
                Outcome::Failed(why) => format!("{name}: failed: {}", escape(why)),
            }
        })
        .collect()
}

/// What would happen, in full.
pub(crate) fn dry_run(view: &View<'_>, verb: Verb, acted: &Acted, look: &Look) -> Vec<String> {
    let mut lines = vec!["dry run: nothing is changed".to_owned()];
    let servers = matches!(
        verb,
        Verb::Drain { .. } | Verb::Undrain | Verb::Ramp { .. } | Verb::Disable { .. } | Verb::Weight(_)
    );
    if servers {
        lines.extend(server_plan(view, verb, acted, look));
    } else {
        for report in &acted.targets {
            let name = view.target_name(&report.target);
            let change = match &report.outcome {
                Outcome::Done => escape(&report.change),
                Outcome::Skipped(why) | Outcome::Failed(why) => escape(why),
            };
            lines.push(format!("  {name}  {change}"));
        }
    }
    if !acted.effects.is_empty() {
        lines.push(String::new());
        if servers {
            lines.push("After it".into());
        }
        let indent = if servers { "  " } else { "" };
        lines.extend(
            effects(&acted.effects)
                .into_iter()
                .map(|line| format!("{indent}{line}")),
        );
    }
    if !acted.warnings.is_empty() {
        lines.push(String::new());
        lines.extend(
            acted
                .warnings
                .iter()
                .map(|text| format!("warning: {}", escape(text))),
        );
    }
    lines.push(if servers {
        "result: would be accepted".into()
    } else {
        "result: would be accepted with --yes (type the name on a terminal)".to_owned()
    });
    lines
}

struct Planned<'a> {
    report: &'a TargetReport,
    name: String,
    verb: Verb,
    per_s: Option<u64>,
    look: &'a Look,
}

fn server_plan(view: &View<'_>, verb: Verb, acted: &Acted, look: &Look) -> Vec<String> {
    let rows: Vec<(char, Planned<'_>)> = acted
        .targets
        .iter()
        .map(|report| {
            let counters = match &report.target {
                Target::Server(id) => view.server_counters(id),
                Target::Instance(_) => None,
            };
            let planned = Planned {
                report,
                name: view.target_name(&report.target),
                verb,
                per_s: counters.map(|counters| counters.connections_per_s),
                look,
            };
            (' ', planned)
        })
        .collect();
    let columns: Vec<Column<Planned<'_>>> = vec![
        Column::left("ACTION", 0, |row| match row.report.outcome {
            Outcome::Done => row.verb.word().into(),
            Outcome::Skipped(_) => "skip".into(),
            Outcome::Failed(_) => "fail".into(),
        }),
        Column::left("SERVER", 0, |row| row.name.clone()),
        Column::left("WEIGHT", 0, |row| {
            let change = escape(&row.report.change);
            change.strip_prefix("weight ").unwrap_or(&change).to_owned()
        }),
        Column::right("ACTIVE", 0, |row| {
            row.report
                .active
                .map_or("-".into(), |active| row.look.number(active))
        }),
        Column::right("CPS", 0, |row| {
            row.per_s.map_or("-".into(), |per_s| row.look.number(per_s))
        }),
        Column::left("", 0, |row| match &row.report.outcome {
            Outcome::Done => String::new(),
            Outcome::Skipped(why) | Outcome::Failed(why) => escape(why),
        }),
    ];
    let narrow = Look {
        width: look.width.map(|columns| columns.saturating_sub(2)),
        ..look.clone()
    };
    Grid::new(&columns, &rows)
        .lines(&narrow)
        .into_iter()
        .map(|line| format!("  {line}"))
        .collect()
}

/// Effects of the form `LABEL: words` with their labels aligned; others as they are.
fn effects(all: &[String]) -> Vec<String> {
    let split = |text: &str| -> Option<(String, String)> {
        let (label, words) = text.split_once(": ")?;
        (!label.contains(' ')).then(|| (label.to_owned(), words.to_owned()))
    };
    let escaped: Vec<String> = all.iter().map(|text| escape(text)).collect();
    let label = escaped
        .iter()
        .filter_map(|text| split(text))
        .map(|(label, _)| width(&label))
        .max()
        .unwrap_or(0);
    escaped
        .iter()
        .map(|text| match split(text) {
            Some((name, words)) => format!("{name}{}  {words}", " ".repeat(label - width(&name))),
            None => text.clone(),
        })
        .collect()
}
