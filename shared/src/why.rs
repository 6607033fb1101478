//! Why an object is in the state it is in, and what would change that: one explanation for every client.

use crate::names::{GroupName, InstanceName, ServerId, ServiceKey, TrackerName};
use crate::problems;
use crate::state::{
    Admin, Health, InstanceView, ObjectId, Override, OverrideKind, Pin, ServerView, ServiceState,
    ServiceView, Term, VrrpState, WeightSource,
};
use crate::text::{self, escape, short_span, span};
use crate::units::Mono;
use crate::view::View;
use std::time::Duration;

/// An explanation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Why {
    pub object: ObjectId,
    /// The name for eyes.
    pub name: String,
    /// As in tables.
    pub state: &'static str,
    pub since: Option<Mono>,
    /// The reason in sentences.
    pub sentence: String,
    /// What it adds up from.
    pub terms: Vec<Row>,
    /// What stands in the way of the better state, in few words each.
    pub blockers: Vec<String>,
    /// Heading of `returns`: `It becomes MASTER again`.
    pub heading: String,
    /// What would change the state: a label such as `by hand`, and what to do or wait for.
    pub returns: Vec<(String, String)>,
}

/// One summand or fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// `base`, `script`, `interface`, `override`, `check`, `server`, …
    pub kind: &'static str,
    pub name: String,
    /// What stands before the number.
    pub label: String,
    /// `-20`, `150`, `-`.
    pub value: String,
    pub delta: Option<i64>,
    pub ok: Option<bool>,
    pub since: Option<Mono>,
    pub text: String,
}

impl Row {
    fn new(
        kind: &'static str,
        label: impl Into<String>,
        value: impl ToString,
        text: impl Into<String>,
    ) -> Self {
        let label = label.into();
        Self {
            kind,
            name: label.clone(),
            label,
            value: value.to_string(),
            delta: None,
            ok: None,
            since: None,
            text: text.into(),
        }
    }
}

impl Why {
    /// The explanation in lines of at most `columns`, where words allow.
    pub fn lines(&self, columns: usize) -> Vec<String> {
        let mut lines = wrap(&self.sentence, columns);
        if !self.terms.is_empty() {
            lines.push(String::new());
            let label = self.terms.iter().map(|row| text::width(&row.label) + 1).max();
            let label = label.unwrap_or(0).max(16);
            for row in &self.terms {
                let pad = " ".repeat(label - text::width(&row.label));
                let line = format!("  {}{pad}{:>6}   {}", row.label, row.value, row.text);
                lines.push(line.trim_end().to_owned());
            }
        }
        if !self.returns.is_empty() {
            lines.push(String::new());
            lines.push(self.heading.clone());
            let label = self.returns.iter().map(|(label, _)| text::width(label)).max();
            let label = label.unwrap_or(0);
            for (name, what) in &self.returns {
                let pad = " ".repeat(label - text::width(name));
                lines.push(format!("  {name}{pad}  {what}"));
            }
        }
        lines
    }
}

/// Breaks a paragraph at spaces.
pub fn wrap(paragraph: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in paragraph.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if line.is_empty() {
            line.push_str(word);
        } else if text::width(line) + 1 + text::width(word) <= columns {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// Explains an object; `None` when there is no such object.
pub fn why(view: &View<'_>, object: &ObjectId) -> Option<Why> {
    match object {
        ObjectId::Agent => None,
        ObjectId::Instance(name) => instance(view, name),
        ObjectId::Group(name) => group(view, name),
        ObjectId::Tracker(name) => tracker(view, name),
        ObjectId::Service(key) => service(view, key),
        ObjectId::Server(id) => server(view, id),
        ObjectId::Override(target) => match target {
            crate::state::Target::Server(id) => server(view, id),
            crate::state::Target::Instance(name) => instance(view, name),
        },
    }
}

/// `by ops 2m48s ago: kernel update`.
fn by_whom(view: &View<'_>, change: &Override) -> String {
    let ago = span(Duration::from_millis(
        view.wall_ms.saturating_sub(change.at_wall_ms),
    ));
    let mut words = format!("by {} {ago} ago", escape(&change.actor.user));
    if let Some(until) = change.until_wall_ms {
        let left = span(Duration::from_millis(until.saturating_sub(view.wall_ms)));
        words.push_str(&format!(", {left} left"));
    }
    if !change.message.is_empty() {
        words.push_str(&format!(": {}", escape(&change.message)));
    }
    words
}

fn instance(view: &View<'_>, name: &InstanceName) -> Option<Why> {
    let it = view.state.instances.get(name)?;
    let shown = escape(&name.0);
    let head = format!(
        "{shown} is {} ({}).",
        problems::instance_word(it),
        span(view.age(it.since))
    );
    let mut why = Why {
        object: ObjectId::Instance(name.clone()),
        name: shown.clone(),
        state: problems::instance_word(it),
        since: Some(it.since),
        sentence: format!("{head} {}", instance_sentence(view, it)),
        terms: instance_terms(view, it),
        blockers: Vec::new(),
        heading: String::new(),
        returns: Vec::new(),
    };
    match it.state {
        VrrpState::Master => {
            why.heading = "It stops being MASTER".into();
            why.returns = leaves(view, it);
        }
        VrrpState::Backup | VrrpState::Init => {
            why.heading = "It becomes MASTER again".into();
            why.blockers = backup_blockers(view, it);
            why.returns = returns(view, it);
        }
        VrrpState::Fault => {
            why.heading = "It leaves FAULT".into();
            why.blockers = it.faults.iter().map(|fault| escape(fault)).collect();
            why.returns = vec![(
                "by itself".into(),
                if it.faults.len() > 1 {
                    "when all of these are over".into()
                } else {
                    "when this is over".into()
                },
            )];
        }
    }
    Some(why)
}

fn instance_sentence(view: &View<'_>, it: &InstanceView) -> String {
    let own = it.effective_priority;
    match it.state {
        VrrpState::Init => format!("It is starting: {}.", sentence(&it.why)),
        VrrpState::Fault if it.faults.is_empty() => format!("Reason: {}.", sentence(&it.why)),
        VrrpState::Fault => {
            let faults: Vec<String> = it.faults.iter().map(|fault| escape(fault)).collect();
            format!("It cannot take part because {}.", faults.join(", and "))
        }
        VrrpState::Master if it.second_master => {
            "Another master is heard on the same network: both claim the addresses. One of the two does not hear the \
             other's adverts, or is told to ignore them."
                .into()
        }
        VrrpState::Master => match it.why.as_str() {
            "" => format!("No other router advertises more than its priority {own}."),
            reason => format!("Reason: {}.", sentence(reason)),
        },
        VrrpState::Backup => match (&it.master, it.pin) {
            (_, Some(Pin::DemotedHard)) => {
                "It is not MASTER because an operator demoted it for good: it stays BACKUP even when nobody else is \
                 MASTER."
                    .into()
            }
            (Some(master), pin) => {
                let peer = view.peer_text(master.address);
                let demoted = match pin {
                    Some(Pin::Demoted) => " (an operator demoted it)",
                    Some(Pin::Promoted) => " (an operator promoted it)",
                    Some(Pin::DemotedHard) | None => "",
                };
                let but = if own > master.priority && !it.preempt {
                    "; nopreempt keeps it from taking over"
                } else if own > master.priority && it.preempt_delay_us > 0 {
                    "; it waits out its preempt delay"
                } else {
                    ""
                };
                format!(
                    "It is not MASTER because {peer} advertises priority {} and this node advertises {own}{demoted}{but}.",
                    master.priority
                )
            }
            (None, _) => format!(
                "No master is heard: it takes over after {} of silence.",
                short_span(Duration::from_micros(it.master_down_us))
            ),
        },
    }
}

/// A reason from the agent as part of a sentence.
fn sentence(reason: &str) -> String {
    escape(reason.trim_end_matches('.'))
}

fn instance_terms(view: &View<'_>, it: &InstanceView) -> Vec<Row> {
    let mut rows = vec![Row::new(
        "base",
        "base priority",
        it.base_priority,
        escape(&it.place),
    )];
    for term in &it.terms {
        let label = escape(&term.tracker.to_string());
        let mut row = Row::new(
            term.tracker.kind(),
            label,
            format!("{:+}", term.delta),
            term_text(view, term),
        );
        row.name = escape(term.tracker.name());
        row.delta = Some(term.delta.into());
        row.ok = term.ok;
        row.since = Some(term.since);
        rows.push(row);
    }
    let change = view.instance_override(&it.name);
    let (value, what) = match it.pin {
        None => ("-", "none".to_owned()),
        Some(Pin::Promoted) => ("254", "promoted".into()),
        Some(Pin::Demoted) => ("1", "demoted".into()),
        Some(Pin::DemotedHard) => ("1", "demoted for good".into()),
    };
    let what = match change {
        Some(change) => format!("{what} {}", by_whom(view, change)),
        None => what,
    };
    rows.push(Row::new("override", "override", value, what));
    let effective = match it.state {
        VrrpState::Fault => "-".to_owned(),
        VrrpState::Init | VrrpState::Backup | VrrpState::Master => it.effective_priority.to_string(),
    };
    rows.push(Row::new("effective", "effective", effective, ""));
    rows
}

fn term_text(view: &View<'_>, term: &Term) -> String {
    let detail = escape(&term.detail);
    match term.ok {
        None => "no result yet".into(),
        Some(true) => match term.tracker {
            TrackerName::Interface(_) => "up".into(),
            TrackerName::Script(_) | TrackerName::File(_) | TrackerName::Process(_) | TrackerName::Bfd(_) => {
                "ok".into()
            }
        },
        Some(false) => {
            let mut words = format!("failing {}", span(view.age(term.since)));
            if !detail.is_empty() {
                words.push_str(&format!(", {detail}"));
            }
            let effect = match term.weight {
                0 => "weight 0: FAULT".to_owned(),
                weight => format!("weight {weight}"),
            };
            let counted = if term.rise > 0 && term.fall > 0 {
                format!(", fall {}, rise {}", term.fall, term.rise)
            } else {
                String::new()
            };
            format!("{words} ({effect}{counted})")
        }
    }
}

fn backup_blockers(view: &View<'_>, it: &InstanceView) -> Vec<String> {
    let mut blockers = Vec::new();
    match it.pin {
        Some(Pin::Demoted | Pin::DemotedHard) => blockers.push("demoted by an operator".to_owned()),
        Some(Pin::Promoted) | None => {}
    }
    if let Some(master) = &it.master {
        blockers.push(format!(
            "{} advertises priority {}",
            view.peer_text(master.address),
            master.priority
        ));
        if it.effective_priority > master.priority && !it.preempt {
            blockers.push("nopreempt".into());
        }
    }
    blockers.extend(
        it.terms
            .iter()
            .filter(|term| term.ok == Some(false))
            .map(|term| format!("{} fails", escape(&term.tracker.to_string()))),
    );
    blockers
}

fn returns(view: &View<'_>, it: &InstanceView) -> Vec<(String, String)> {
    let name = escape(&it.name.0);
    let mut ways = Vec::new();
    match it.pin {
        Some(Pin::Demoted | Pin::DemotedHard) => {
            ways.push(("by hand".to_owned(), format!("lbctl release {name}")));
        }
        Some(Pin::Promoted) => {}
        None => {
            if let Some(when) = by_itself(it) {
                ways.push(("by itself".to_owned(), when));
            }
            ways.push(("by hand".to_owned(), format!("lbctl promote {name}")));
        }
    }
    if let Some(master) = &it.master
        && it.pin != Some(Pin::DemotedHard)
    {
        let peer = view
            .peer(master.address)
            .map_or_else(|| master.address.to_string(), str::to_owned);
        let silence = short_span(Duration::from_micros(it.master_down_us));
        ways.push((
            format!("if {peer} dies"),
            format!("{silence} after its last advert"),
        ));
    }
    ways
}

/// What has to recover for the priority to win: one tracker if one is enough, else all that fail.
fn by_itself(it: &InstanceView) -> Option<String> {
    let master = it.master.as_ref()?;
    if !it.preempt {
        return None;
    }
    let failing: Vec<&Term> = it
        .terms
        .iter()
        .filter(|term| term.ok == Some(false) && term.weight != 0)
        .collect();
    let gain = |term: &Term| i64::from(term.weight.unsigned_abs());
    let own = i64::from(it.effective_priority);
    let wins = |gain: i64| (own + gain).min(254) > i64::from(master.priority);
    let one: Vec<&Term> = failing
        .iter()
        .copied()
        .filter(|term| wins(gain(term)))
        .take(1)
        .collect();
    let needed = if one.is_empty() { failing } else { one };
    let sum: i64 = needed.iter().map(|term| gain(term)).sum();
    if needed.is_empty() || !wins(sum) {
        return None;
    }
    let conditions: Vec<String> = needed
        .iter()
        .map(|term| {
            let name = escape(term.tracker.name());
            match term.rise {
                0 => format!("{name} is ok"),
                1 => format!("{name} passes"),
                rise => format!("{name} passes {rise} times"),
            }
        })
        .collect();
    Some(format!(
        "when {}: {} > {} and preempt is on",
        conditions.join(" and "),
        (own + sum).min(254),
        master.priority
    ))
}

fn leaves(view: &View<'_>, it: &InstanceView) -> Vec<(String, String)> {
    let name = escape(&it.name.0);
    let mut ways: Vec<(String, String)> = it
        .terms
        .iter()
        .filter(|term| term.ok != Some(false) && it.pin.is_none())
        .map(|term| {
            let label = format!("if {} fails", escape(&term.tracker.to_string()));
            let then = match term.weight {
                0 => "FAULT: it gives the addresses up".to_owned(),
                weight => {
                    let low = (i64::from(it.effective_priority) - i64::from(weight.unsigned_abs())).max(1);
                    format!("priority {low}: a router that advertises more takes over")
                }
            };
            (label, then)
        })
        .collect();
    ways.push((
        "by hand".into(),
        match view.instance_override(&it.name) {
            Some(_) => format!("lbctl release {name}"),
            None => format!("lbctl demote {name}"),
        },
    ));
    ways
}

fn group(view: &View<'_>, name: &GroupName) -> Option<Why> {
    let it = view.state.groups.get(name)?;
    let members: Vec<&InstanceView> = it
        .members
        .iter()
        .filter_map(|member| view.state.instances.get(member))
        .collect();
    let worst = members.iter().find(|member| member.state != VrrpState::Master);
    let reason = match worst {
        None => "All of its members are MASTER; one that fails takes all along.".to_owned(),
        Some(member) => format!(
            "Its members move together, and {} is {}.",
            escape(&member.name.0),
            problems::instance_word(member)
        ),
    };
    let shown = escape(&name.0);
    Some(Why {
        object: ObjectId::Group(name.clone()),
        sentence: format!(
            "{shown} is {} ({}). {reason}",
            it.state.word(),
            span(view.age(it.since))
        ),
        name: shown,
        state: it.state.word(),
        since: Some(it.since),
        terms: members
            .iter()
            .map(|member| {
                let mut row = Row::new(
                    "instance",
                    escape(&member.name.0),
                    problems::priority(member),
                    format!(
                        "{}, {}",
                        problems::instance_word(member),
                        span(view.age(member.since))
                    ),
                );
                row.since = Some(member.since);
                row
            })
            .collect(),
        blockers: Vec::new(),
        heading: String::new(),
        returns: Vec::new(),
    })
}

fn tracker(view: &View<'_>, name: &TrackerName) -> Option<Why> {
    let it = view.state.trackers.get(name)?;
    let (state, verb) = match it.ok {
        None => ("INIT", "has no result yet"),
        Some(true) => ("OK", "is ok"),
        Some(false) => ("FAILED", "is failing"),
    };
    let detail = match escape(&it.detail) {
        detail if detail.is_empty() => String::new(),
        detail => format!(" Last result: {detail}."),
    };
    let users = view.state.instances.values().filter_map(|instance| {
        let term = instance.terms.iter().find(|term| term.tracker == *name)?;
        let effect = match term.weight {
            0 => "FAULT when it fails".to_owned(),
            weight => format!("weight {weight}"),
        };
        let mut row = Row::new(
            "instance",
            escape(&instance.name.0),
            format!("{:+}", term.delta),
            effect,
        );
        row.delta = Some(term.delta.into());
        Some(row)
    });
    Some(Why {
        object: ObjectId::Tracker(name.clone()),
        name: escape(name.name()),
        state,
        since: Some(it.since),
        sentence: format!(
            "{} {verb} ({}).{detail}",
            escape(&name.to_string()),
            span(view.age(it.since))
        ),
        terms: users.collect(),
        blockers: Vec::new(),
        heading: String::new(),
        returns: Vec::new(),
    })
}

fn service(view: &View<'_>, key: &ServiceKey) -> Option<Why> {
    let it = view.state.services.get(key)?;
    let name = view.service_name(key);
    let (up, all) = view.up_of(key);
    let quorum = format!("weight {} of the quorum {}", it.live_weight, it.quorum);
    let reason = match it.state {
        ServiceState::Init => "No server has a check result yet.".to_owned(),
        ServiceState::Up => format!("{up} of {all} servers are up, with {quorum}."),
        ServiceState::Sorry => format!(
            "{up} of {all} servers are up, with {quorum}; the sorry server {} answers.",
            it.sorry.map_or_else(|| "-".to_owned(), |sorry| sorry.to_string())
        ),
        ServiceState::Down => {
            format!("{up} of {all} servers are up, with {quorum}, and there is no sorry server.")
        }
    };
    Some(Why {
        object: ObjectId::Service(key.clone()),
        sentence: format!(
            "{name} is {} ({}). {reason}",
            it.state.word(),
            span(view.age(it.since))
        ),
        state: it.state.word(),
        since: Some(it.since),
        terms: service_terms(view, it),
        blockers: service_blockers(view, it),
        heading: if it.state == ServiceState::Up {
            String::new()
        } else {
            "It is UP again".into()
        },
        returns: if it.state == ServiceState::Up {
            Vec::new()
        } else {
            let needed = it.quorum.saturating_add(it.hysteresis);
            vec![(
                "by itself".into(),
                format!("when servers of weight {needed} or more are up"),
            )]
        },
        name,
    })
}

fn service_terms(view: &View<'_>, it: &ServiceView) -> Vec<Row> {
    let mut rows: Vec<Row> = view
        .state
        .servers_of(&it.key)
        .map(|server| {
            let counts = server.in_rotation();
            let mut words = format!("{}, {}", server.word(), span(view.age(server.since)));
            let reason = problems::server_reason(server);
            if !reason.is_empty() {
                words.push_str(&format!(", {reason}"));
            }
            if !counts {
                words.push_str(" (not counted)");
            }
            let mut row = Row::new(
                "server",
                server.id.server.to_string(),
                problems::weight(server),
                words,
            );
            row.delta = Some(server.effective.map_or(0, |weight| weight.get().into()));
            row.ok = Some(counts);
            row.since = Some(server.since);
            row
        })
        .collect();
    rows.push(Row::new("sum", "live weight", it.live_weight, ""));
    let hysteresis = match it.hysteresis {
        0 => String::new(),
        hysteresis => format!("hysteresis {hysteresis}"),
    };
    rows.push(Row::new("quorum", "quorum", it.quorum, hysteresis));
    rows
}

fn service_blockers(view: &View<'_>, it: &ServiceView) -> Vec<String> {
    let mut blockers = Vec::new();
    match &it.programmed {
        crate::state::Programmed::Yes => {}
        crate::state::Programmed::Pending => blockers.push("not in the kernel yet".into()),
        crate::state::Programmed::Unavailable => {
            blockers.push("not available: no ip_vs in this kernel (modprobe ip_vs)".into());
        }
        crate::state::Programmed::Failed(error) => {
            blockers.push(format!("the kernel refused it: {}", escape(error)))
        }
    }
    if it.state != ServiceState::Up {
        blockers.extend(
            view.state
                .servers_of(&it.key)
                .filter(|server| !server.in_rotation())
                .map(|server| format!("{} is {}", server.id.server, server.word())),
        );
    }
    blockers
}

fn server(view: &View<'_>, id: &ServerId) -> Option<Why> {
    let it = view.state.servers.get(id)?;
    let name = view.server_name(id);
    let reason = server_sentence(view, it);
    Some(Why {
        object: ObjectId::Server(id.clone()),
        sentence: format!("{name} is {} ({}). {reason}", it.word(), span(view.age(it.since))),
        state: it.word(),
        since: Some(it.since),
        terms: server_terms(view, it),
        blockers: server_blockers(it),
        heading: if it.in_rotation() {
            "It leaves rotation".into()
        } else {
            "It is in rotation again".into()
        },
        returns: server_returns(it, &name),
        name,
    })
}

fn server_sentence(view: &View<'_>, it: &ServerView) -> String {
    let change = view
        .server_override(&it.id)
        .map_or_else(String::new, |change| format!(" {}", by_whom(view, change)));
    match (it.admin, it.health) {
        (Admin::Disabled, _) => format!("It is disabled{change}."),
        (Admin::Drained, _) => format!("It is drained: no connection is left. Drained{change}."),
        (Admin::Draining, _) => {
            let left = view.server_counters(&it.id).map_or_else(String::new, |counters| {
                format!("; {} connections are left", text::thousands(counters.active))
            });
            format!("It is draining{change}{left}.")
        }
        (Admin::Enabled, Health::Down) => {
            format!("It failed its check: {}.", sentence(&problems::server_reason(it)))
        }
        (Admin::Enabled, Health::Init) => "It has no check result yet.".into(),
        (Admin::Enabled, Health::None) => "No checker is configured: it counts as up.".into(),
        (Admin::Enabled, Health::Up) if it.in_rotation() => {
            "Its checks pass and it takes new connections.".into()
        }
        (Admin::Enabled, Health::Up) => {
            "Its checks pass, but its weight of 0 keeps new connections away.".into()
        }
    }
}

fn server_terms(view: &View<'_>, it: &ServerView) -> Vec<Row> {
    let mut rows = vec![Row::new("configured", "configured", it.configured, "weight")];
    for check in &it.checks {
        let verdict = match check.ok {
            None => "no result yet".to_owned(),
            Some(true) => "ok".into(),
            Some(false) => escape(&check.detail),
        };
        let mut row = Row::new(
            "check",
            escape(&check.kind),
            "",
            format!("{verdict} ({})", escape(&check.target)),
        );
        row.ok = check.ok;
        rows.push(row);
    }
    let change = view.server_override(&it.id);
    rows.push(Row::new(
        "override",
        "override",
        match change.map(|change| change.kind) {
            Some(OverrideKind::Weight(weight)) => weight.to_string(),
            Some(OverrideKind::Drain { .. }) => "0".into(),
            Some(OverrideKind::Disable | OverrideKind::Pin(_)) | None => "-".into(),
        },
        match change {
            Some(change) => format!("{} {}", change.kind.word(), by_whom(view, change)),
            None => "none".into(),
        },
    ));
    let source = match it.source {
        WeightSource::Config => "as configured",
        WeightSource::Operator => "set by an operator",
        WeightSource::Dynamic => "set by a check",
        WeightSource::Inhibit => "0 because its check failed (inhibit_on_failure)",
    };
    let (value, source) = match it.effective {
        Some(weight) => (weight.to_string(), source),
        None => ("-".to_owned(), "not in IPVS"),
    };
    rows.push(Row::new("effective", "effective", value, source));
    rows
}

fn server_blockers(it: &ServerView) -> Vec<String> {
    let mut blockers = Vec::new();
    match it.admin {
        Admin::Enabled => {}
        Admin::Draining => blockers.push("draining".to_owned()),
        Admin::Drained => blockers.push("drained".into()),
        Admin::Disabled => blockers.push("disabled".into()),
    }
    if it.health == Health::Down {
        blockers.push(problems::server_reason(it));
    }
    blockers
}

fn server_returns(it: &ServerView, name: &str) -> Vec<(String, String)> {
    let mut ways = Vec::new();
    if it.in_rotation() {
        ways.push(("by hand".to_owned(), format!("lbctl drain {name}")));
        return ways;
    }
    if it.health == Health::Down {
        let when = match it.admin {
            Admin::Enabled => "when its checks pass",
            Admin::Draining | Admin::Drained | Admin::Disabled => "not before its checks pass",
        };
        ways.push(("by itself".into(), when.into()));
    }
    if it.admin != Admin::Enabled {
        ways.push(("by hand".into(), format!("lbctl undrain {name}")));
    } else if it.source == WeightSource::Operator {
        ways.push(("by hand".into(), format!("lbctl weight {name} config")));
    }
    ways
}
