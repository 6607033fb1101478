//! Why an instance is MASTER, BACKUP or in FAULT.

use super::{Row, Why, by_whom, sentence};
use crate::names::{InstanceName, TrackerName};
use crate::problems;
use crate::state::{InstanceView, ObjectId, Pin, Term, VrrpState};
use crate::text::{escape, short_span, span};
use crate::view::View;
use std::time::Duration;

pub(super) fn instance(view: &View<'_>, name: &InstanceName) -> Option<Why> {
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
        sentence: format!("{head} {}{}", instance_sentence(view, it), refused(view, it)),
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

/// Whose adverts do not count, for that may be why there are two masters.
fn refused(view: &View<'_>, it: &InstanceView) -> String {
    it.refused.as_ref().map_or_else(String::new, |it| {
        format!(
            " Adverts of {} do not count ({} ago): {}.",
            view.peer_text(it.source),
            span(view.age(it.at)),
            sentence(&it.why)
        )
    })
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
            (None, Some(Pin::Demoted)) => format!(
                "An operator demoted it. No master is heard: it takes over all the same after {} of silence.",
                short_span(Duration::from_micros(it.master_down_us))
            ),
            (None, _) => format!(
                "No master is heard: it takes over after {} of silence.",
                short_span(Duration::from_micros(it.master_down_us))
            ),
        },
    }
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
