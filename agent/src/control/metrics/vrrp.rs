//! Instances and what they track.

use super::Tally;
use super::page::{Labels, Page, bit, timestamp};
use lb_shared::names::Family;
use lb_shared::state::{InstanceView, OverrideKind, Pin, Target, VrrpState};
use lb_shared::view::View;

const STATES: [VrrpState; 4] = [
    VrrpState::Init,
    VrrpState::Backup,
    VrrpState::Master,
    VrrpState::Fault,
];

/// The label that names an instance. Not `instance`, which Prometheus gives the host it reads from.
const NAME: &str = "vrrp_instance";

pub(super) fn add(page: &mut Page, view: &View<'_>, tally: &Tally) {
    let instances: Vec<(Labels, &InstanceView)> = view
        .state
        .instances
        .values()
        .map(|it| (Labels::of(&[(NAME, &it.name.0)]), &**it))
        .collect();

    let mut family = page.gauge("lbagent_vrrp_state", "1 for the state an instance is in, else 0.");
    for (labels, it) in &instances {
        let labels = labels
            .with("interface", it.interface.as_deref().unwrap_or_default())
            .with("vrid", &it.vrid.to_string())
            .with("family", family_word(it.family));
        for state in STATES {
            family.add(&labels.with("state", &word(state)), bit(it.state == state));
        }
    }
    let mut family = page.gauge(
        "lbagent_vrrp_priority",
        "Priority: of the file (base), as advertised (effective), and the one an operator pinned (override).",
    );
    for (labels, it) in &instances {
        family.add(&labels.with("kind", "base"), it.base_priority);
        family.add(&labels.with("kind", "effective"), it.effective_priority);
        match it.pin {
            Some(Pin::Promoted) => family.add(&labels.with("kind", "override"), 254),
            Some(Pin::Demoted | Pin::DemotedHard) => family.add(&labels.with("kind", "override"), 1),
            None => {}
        }
    }
    let mut family = page.gauge(
        "lbagent_vrrp_priority_delta",
        "What a tracker adds to the priority now.",
    );
    for (labels, it) in &instances {
        for term in &it.terms {
            let labels = labels
                .with("type", term.tracker.kind())
                .with("tracker", term.tracker.name());
            family.add(&labels, term.delta);
        }
    }
    let mut family = page.gauge(
        "lbagent_vrrp_second_master",
        "1 while a MASTER hears another master.",
    );
    for (labels, it) in &instances {
        family.add(labels, bit(it.second_master));
    }
    let mut family = page.counter(
        "lbagent_vrrp_transitions_total",
        "How often an instance came into a state.",
    );
    for (labels, it) in &instances {
        for state in STATES {
            let count = tally.transitions.get(&it.name).and_then(|all| all.get(&state));
            family.add(&labels.with("to", &word(state)), count.copied().unwrap_or(0));
        }
    }
    let mut family = page.gauge(
        "lbagent_vrrp_state_since_timestamp_seconds",
        "When an instance came into its state.",
    );
    for (labels, it) in &instances {
        family.add(labels, timestamp(view.wall(it.since)));
    }
    adverts(page, view, &instances);
    trackers(page, view);
    overrides(page, view);
}

fn adverts(page: &mut Page, view: &View<'_>, instances: &[(Labels, &InstanceView)]) {
    let counted = || {
        instances
            .iter()
            .filter_map(|(labels, it)| Some((labels, view.instance_counters(&it.name)?)))
    };
    let mut family = page.counter(
        "lbagent_vrrp_adverts_total",
        "Adverts sent, and accepted from others.",
    );
    for (labels, it) in counted() {
        family.add(&labels.with("direction", "sent"), it.adverts_sent);
        family.add(&labels.with("direction", "received"), it.adverts_received);
    }
    let mut family = page.counter(
        "lbagent_vrrp_adverts_rejected_total",
        "Adverts that were not accepted, by reason.",
    );
    for (labels, it) in counted() {
        for (reason, count) in &it.rejected {
            family.add(&labels.with("reason", reason), count);
        }
    }
    let mut family = page.gauge(
        "lbagent_vrrp_last_advert_received_timestamp_seconds",
        "When the last advert of another master was accepted.",
    );
    for (labels, it) in counted() {
        if let Some(at) = it.heard_at {
            family.add(labels, timestamp(view.wall(at)));
        }
    }
}

fn trackers(page: &mut Page, view: &View<'_>) {
    let mut family = page.gauge(
        "lbagent_tracker_ok",
        "Whether what is tracked is as it should be.",
    );
    for it in view.state.trackers.values() {
        if let Some(ok) = it.ok {
            let labels = Labels::of(&[("type", it.name.kind()), ("name", it.name.name())]);
            family.add(&labels, bit(ok));
        }
    }
}

fn overrides(page: &mut Page, view: &View<'_>) {
    let mut family = page.gauge(
        "lbagent_override_set_timestamp_seconds",
        "When an operator made a change that is still in force.",
    );
    for it in view.state.overrides.values() {
        let labels = Labels::of(&[
            ("object", &view.target_name(&it.target)),
            ("kind", it.kind.word()),
        ]);
        family.add(&labels, timestamp(it.at_wall_ms));
    }
    let mut family = page.gauge(
        "lbagent_vrrp_override",
        "1 for an instance an operator promoted or demoted.",
    );
    for it in view.state.overrides.values() {
        if let (Target::Instance(name), OverrideKind::Pin(_)) = (&it.target, it.kind) {
            family.add(&Labels::of(&[(NAME, &name.0), ("kind", it.kind.word())]), 1);
        }
    }
}

fn word(state: VrrpState) -> String {
    state.word().to_lowercase()
}

fn family_word(family: Family) -> &'static str {
    match family {
        Family::Inet => "inet",
        Family::Inet6 => "inet6",
    }
}
