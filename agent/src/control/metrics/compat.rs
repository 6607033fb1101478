//! The names of keepalived's exporter (mehdy/keepalived-exporter), for dashboards that exist already.
//!
//! Not given: `keepalived_vrrp_excluded_state` (excluded addresses stand under `keepalived_vrrp_state` with the others),
//! `keepalived_gratuitous_arp_delay_total` (a setting) and `keepalived_script_state` (whether the script runs at the
//! very moment).

use super::page::{Labels, Page, bit};
use lb_shared::counters::InstanceCounters;
use lb_shared::names::TrackerName;
use lb_shared::state::{InstanceView, VrrpState};
use lb_shared::view::View;

type Count = fn(&InstanceCounters) -> u64;

/// What keepalived counts, and which of our counts it is.
const COUNTS: &[(&str, &str, Count)] = &[
    (
        "keepalived_advertisements_received_total",
        "Adverts received.",
        |it| it.adverts_received,
    ),
    ("keepalived_advertisements_sent_total", "Adverts sent.", |it| {
        it.adverts_sent
    }),
    (
        "keepalived_become_master_total",
        "Times it became MASTER.",
        |it| it.became_master,
    ),
    (
        "keepalived_release_master_total",
        "Times it stopped being MASTER.",
        |it| it.released_master,
    ),
    (
        "keepalived_packet_length_errors_total",
        "Adverts of a wrong length.",
        |it| rejected(it, &["truncated", "length"]),
    ),
    (
        "keepalived_advertisements_interval_errors_total",
        "Adverts with another interval.",
        |it| rejected(it, &["interval", "interval_zero"]),
    ),
    (
        "keepalived_ip_ttl_errors_total",
        "Adverts with a wrong TTL.",
        |it| rejected(it, &["ttl", "peer_ttl"]),
    ),
    (
        "keepalived_invalid_type_received_total",
        "Adverts of a wrong type.",
        |it| rejected(it, &["type"]),
    ),
    (
        "keepalived_address_list_errors_total",
        "Adverts with other addresses.",
        |it| rejected(it, &["address_list", "address_count"]),
    ),
    (
        "keepalived_authentication_invalid_total",
        "Adverts with an authentication that does not exist.",
        // A kind that does not exist is one that is not ours: it is among the mismatches.
        |_| 0,
    ),
    (
        "keepalived_authentication_mismatch_total",
        "Adverts with another kind of authentication.",
        |it| rejected(it, &["auth_type"]),
    ),
    (
        "keepalived_authentication_failure_total",
        "Adverts with a wrong password.",
        |it| rejected(it, &["password"]),
    ),
    (
        "keepalived_priority_zero_received_total",
        "Adverts of priority 0 received.",
        |it| it.priority_zero_received,
    ),
    (
        "keepalived_priority_zero_sent_total",
        "Adverts of priority 0 sent.",
        |it| it.priority_zero_sent,
    ),
];

fn rejected(it: &InstanceCounters, reasons: &[&str]) -> u64 {
    reasons.iter().filter_map(|reason| it.rejected.get(*reason)).sum()
}

pub(super) fn add(page: &mut Page, view: &View<'_>) {
    page.gauge("keepalived_up", "Whether VRRP runs, always 1.")
        .add(&Labels::default(), 1);
    let instances: Vec<(Labels, &InstanceView)> = view
        .state
        .instances
        .values()
        .map(|it| {
            let labels = Labels::of(&[
                ("iname", &it.name.0),
                ("intf", it.interface.as_deref().unwrap_or_default()),
                ("vrid", &it.vrid.to_string()),
            ]);
            (labels, &**it)
        })
        .collect();
    let mut family = page.gauge(
        "keepalived_vrrp_state",
        "0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT; one series for each address.",
    );
    for (labels, it) in &instances {
        let number = match it.state {
            VrrpState::Init => 0,
            VrrpState::Backup => 1,
            VrrpState::Master => 2,
            VrrpState::Fault => 3,
        };
        for address in &it.addresses {
            let address = address.split([' ', '/']).next().unwrap_or_default();
            family.add(&labels.with("ip_address", address), number);
        }
    }
    for (name, help, count) in COUNTS {
        let mut family = page.counter(name, help);
        for (labels, it) in &instances {
            if let Some(counters) = view.instance_counters(&it.name) {
                family.add(labels, count(counters));
            }
        }
    }
    let mut family = page.gauge("keepalived_script_status", "1 while a script succeeds, else 0.");
    for it in view.state.trackers.values() {
        if let (TrackerName::Script(name), Some(ok)) = (&it.name, it.ok) {
            family.add(&Labels::of(&[("name", name)]), bit(ok));
        }
    }
}
