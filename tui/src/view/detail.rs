//! One object, closely: what it is, why it is so, what would change that, and what happened to it.

use super::Scene;
use super::events;
use super::overview;
use super::paint::{Area, Paint, Pane, Row, row};
use super::record;
use super::runs;
use super::vrrp;
use super::words::{bar, check, took, what};
use crate::app::Detail;
use crate::order::state_word;
use crate::theme::{Role, of_mark};
use lb_shared::names::{InstanceName, ServerId, ServiceKey};
use lb_shared::problems;
use lb_shared::state::{ObjectId, Target, WeightSource};
use lb_shared::text::{escape, interval, short_span, span, thousands};

/// The second line: the object and its state.
pub(crate) fn title(scene: &Scene<'_>) -> Row {
    let Some(detail) = scene.app.detail.last() else {
        return Row::default();
    };
    let mut line = row(format!(" {}", events::name(scene, &detail.object)), Role::Master);
    if let Some((mark, word)) = state_word(&scene.view, &detail.object) {
        line.push(format!("   {mark} {word}"), of_mark(mark));
    }
    line
}

pub(crate) fn draw(scene: &Scene<'_>, paint: &mut Paint<'_>, area: Area, detail: &Detail) {
    let lines = lines(scene, area.width, detail);
    let height = usize::from(area.height);
    let top = detail.scroll.min(lines.len().saturating_sub(height));
    for (nth, line) in lines.iter().skip(top).take(height).enumerate() {
        let y = area.y + u16::try_from(nth).unwrap_or(u16::MAX);
        match line {
            Line::Rule(title, note) => paint.rule(area.x, y, area.width, title, note),
            Line::Row(line) => paint.row(area.x, y, area.width, line),
        }
    }
}

/// All of it, whatever there is room for.
pub(crate) fn lines(scene: &Scene<'_>, columns: u16, detail: &Detail) -> Vec<Line> {
    let mut panes = Vec::new();
    match &detail.object {
        ObjectId::Instance(name) => panes.extend(instance(scene, name)),
        ObjectId::Service(key) => panes.extend(service(scene, key)),
        ObjectId::Server(id) => {
            panes.extend(server(scene, id));
            panes.extend(runs::panes(scene, id, columns));
        }
        ObjectId::Agent => panes.push(agent(scene)),
        ObjectId::Group(_) | ObjectId::Tracker(_) | ObjectId::Override(_) => {}
    }
    if detail.object != ObjectId::Agent {
        let mut why = vrrp::why_pane(scene, &detail.object, columns, true);
        why.rows.push(Row::default());
        panes.insert(1.min(panes.len()), why);
    }
    panes.push(history(scene, &detail.object));
    // Panes run together into one list that scrolls as a whole.
    let mut lines: Vec<Line> = Vec::new();
    for pane in panes {
        lines.push(Line::Rule(pane.title, pane.note));
        lines.extend(pane.rows.into_iter().map(Line::Row));
    }
    lines
}

pub(crate) enum Line {
    Rule(String, String),
    Row(Row),
}

fn fact(label: &str, text: impl std::fmt::Display) -> Row {
    row(format!(" {label:<12} {text}"), Role::Plain)
}

fn instance(scene: &Scene<'_>, name: &InstanceName) -> Vec<Pane> {
    let Some(it) = scene.view.state.instances.get(name) else {
        return Vec::new();
    };
    let mut rows = vec![
        fact(
            "router",
            format!(
                "VRID {}, VRRP version {}, {}, on {}",
                it.vrid,
                it.version,
                if it.unicast { "unicast" } else { "multicast" },
                it.interface.as_deref().map_or("-".into(), escape)
            ) + &it
                .vmac
                .as_deref()
                .map_or(String::new(), |it| format!(" by {}", escape(it))),
        ),
        fact(
            "priority",
            format!("{} (effective/configured)", problems::priority(it)),
        ),
        fact(
            "adverts",
            format!(
                "every {}; takes over after {} of silence; {}",
                interval(it.advert_interval_us),
                short_span(std::time::Duration::from_micros(it.master_down_us)),
                if it.preempt { "preempts" } else { "nopreempt" }
            ),
        ),
    ];
    if let Some(group) = &it.group {
        rows.push(fact("sync group", escape(&group.0)));
    }
    for address in &it.addresses {
        rows.push(fact("address", escape(address)));
    }
    if let Some(counters) = scene.view.instance_counters(name) {
        rows.push(fact(
            "counted",
            format!(
                "{} adverts sent, {} received; MASTER {} times, released {} times",
                thousands(counters.adverts_sent),
                thousands(counters.adverts_received),
                thousands(counters.became_master),
                thousands(counters.released_master)
            ),
        ));
        for (reason, count) in counters.rejected.iter().filter(|(_, count)| **count > 0) {
            rows.push(fact(
                "rejected",
                format!("{} ({})", thousands(*count), escape(reason)),
            ));
        }
    }
    rows.extend(override_fact(scene, &Target::Instance(name.clone())));
    rows.push(Row::default());
    vec![Pane::new("Instance", scene.age(it.since), rows)]
}

fn override_fact(scene: &Scene<'_>, target: &Target) -> Vec<Row> {
    match scene.view.state.overrides.get(target) {
        Some(change) => vec![fact(
            "override",
            format!("{} {}", change.kind.word(), overview::by(scene, change)),
        )],
        None => Vec::new(),
    }
}

fn service(scene: &Scene<'_>, key: &ServiceKey) -> Vec<Pane> {
    let Some(it) = scene.view.state.services.get(key) else {
        return Vec::new();
    };
    let (up, all) = scene.view.up_of(key);
    let rows = vec![
        fact("address", escape(&key.to_string())),
        fact(
            "balancing",
            format!("{} {}", escape(&it.scheduler), escape(&it.method)),
        ),
        fact("servers", format!("{up} of {all} up")),
        fact(
            "quorum",
            format!(
                "{} of weight {} (hysteresis {})",
                it.quorum, it.live_weight, it.hysteresis
            ),
        ),
        Row::default(),
    ];
    vec![Pane::new("Service", scene.age(it.since), rows)]
}

fn server(scene: &Scene<'_>, id: &ServerId) -> Vec<Pane> {
    let view = &scene.view;
    let Some(it) = view.state.servers.get(id) else {
        return Vec::new();
    };
    let source = match it.source {
        WeightSource::Config => "",
        WeightSource::Operator => ", set by an operator",
        WeightSource::Dynamic => ", given by a check",
        WeightSource::Inhibit => ", 0 because a check fails (inhibit_on_failure)",
    };
    let mut rows = vec![
        fact("service", escape(&view.service_name(&id.service))),
        fact("selector", escape(&id.to_string())),
        fact("weight", format!("{}{source}", problems::weight(it))),
        fact(
            "in IPVS",
            if it.effective.is_some() {
                "yes"
            } else {
                "no: removed from the table"
            },
        ),
    ];
    if let Some(counters) = view.server_counters(id) {
        rows.push(fact(
            "connections",
            format!(
                "active {}, inactive {}, persistent {}, {} per second",
                thousands(counters.active),
                thousands(counters.inactive),
                thousands(counters.persistent),
                thousands(counters.connections_per_s)
            ),
        ));
        if let Some(drain) = &it.drain {
            let eta = counters
                .drain_eta_s
                .map_or("?".to_owned(), |s| span(std::time::Duration::from_secs(s)));
            let deadline = drain
                .deadline
                .map_or("none".to_owned(), |at| span(at.since(view.now)));
            rows.push(fact(
                "drain",
                format!(
                    "{} {} of {} left   ETA {eta}   deadline {deadline}",
                    bar(drain.active_at_start, drain.left(counters), 20),
                    thousands(drain.left(counters)),
                    thousands(drain.active_at_start)
                ),
            ));
        }
    }
    rows.extend(override_fact(scene, &Target::Server(id.clone())));
    rows.push(Row::default());
    let mut checks: Vec<Row> = Vec::new();
    for it in &it.checks {
        let (mark, word) = match it.ok {
            Some(true) => ('+', "ok"),
            Some(false) => ('!', "failed"),
            None => ('?', "no result yet"),
        };
        let mut line = row(format!(" {mark} "), of_mark(mark));
        line.push(
            format!(
                "{} {}   {word}   {}",
                escape(&it.kind),
                escape(&it.target),
                escape(&it.detail)
            ),
            Role::Plain,
        );
        checks.push(line);
    }
    let last = view.server_counters(id).and_then(|counters| {
        let at = counters.checked_at?;
        let took = counters
            .check_us
            .map_or(String::new(), |us| format!(", took {}", took(us)));
        Some(format!("last one {} ago{took}", short_span(view.age(at))))
    });
    let mut last = format!("   {}", last.unwrap_or_else(|| check(view, it, 6)));
    if let Some(next) = record::next_check(scene, it) {
        last.push_str(&format!("; {next}"));
    }
    checks.push(row(last, Role::Plain));
    let record = record::line(scene, it).map(|(span, text)| row(format!("   {span}: {text}"), Role::Plain));
    checks.extend(record);
    checks.push(Row::default());
    vec![
        Pane::new("Server", scene.age(it.since), rows),
        Pane::new("Checks", it.checks.len().to_string(), checks),
    ]
}

fn agent(scene: &Scene<'_>) -> Pane {
    let it = &scene.view.state.agent;
    let mut rows = vec![
        fact("version", escape(&it.version)),
        fact("process", it.pid),
        fact("up", scene.age(lb_shared::units::Mono::ZERO)),
        fact("config", escape(&it.config.file)),
        fact(
            "revision",
            format!(
                "{}, loaded {} ago, {}",
                it.config.revision,
                scene.age(it.config.loaded_at),
                lb_shared::text::count(it.config.warnings as usize, "warning")
            ),
        ),
    ];
    for refused in &it.config.refused {
        rows.push(fact("refused", escape(refused)));
    }
    if let Some(missing) = &it.ipvs_missing {
        rows.push(fact("IPVS", escape(missing)));
    }
    for trouble in &it.kernel_trouble {
        rows.push(fact("kernel", escape(trouble)));
    }
    rows.push(Row::default());
    Pane::new("Agent", "Ctrl-r reloads its configuration", rows)
}

fn history(scene: &Scene<'_>, object: &ObjectId) -> Pane {
    let related = |other: &ObjectId| match (object, other) {
        (ObjectId::Service(key), ObjectId::Server(id)) => id.service == *key,
        (ObjectId::Instance(name), ObjectId::Tracker(tracker)) => scene
            .view
            .state
            .instances
            .get(name)
            .is_some_and(|it| it.terms.iter().any(|term| term.tracker == *tracker)),
        (ObjectId::Server(id), ObjectId::Override(Target::Server(other))) => id == other,
        (ObjectId::Instance(name), ObjectId::Override(Target::Instance(other))) => name == other,
        (one, other) => one == other,
    };
    let rows: Vec<Row> = scene
        .data
        .events
        .iter()
        .rev()
        .filter(|event| related(&event.event.object))
        .take(50)
        .map(|event| {
            row(
                format!(
                    "   {:<8}  {:<8} {:<22} {}",
                    scene.moment(event.wall_ms, scene.view.wall_ms),
                    event.event.what.topic(),
                    events::name(scene, &event.event.object),
                    what(event)
                ),
                Role::Plain,
            )
        })
        .collect();
    let rows = if rows.is_empty() {
        vec![row("   nothing is recorded", Role::Plain)]
    } else {
        rows
    };
    Pane::new("Events", "e: in the list of events", rows)
}
