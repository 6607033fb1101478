//! Services, servers and their checks.

use super::page::{Kind, Labels, Page, bit, seconds, timestamp};
use lb_shared::counters::{CHECK_SPANS_US, ServerCounters};
use lb_shared::names::{Family, ServerId, ServiceKey, VirtualKey};
use lb_shared::request::MetricsServers;
use lb_shared::state::{Admin, ServerView, ServiceState, ServiceView, Target};
use lb_shared::view::View;
use std::collections::BTreeMap;

/// The words of servers, as in lists.
const WORDS: [&str; 6] = ["UP", "DOWN", "INIT", "DRAIN", "DRAINED", "OFF"];

pub(super) fn add(page: &mut Page, view: &View<'_>, servers: MetricsServers) {
    let named: Vec<(Labels, &ServiceView)> = view
        .services()
        .into_iter()
        .map(|it| (Labels::of(&[("service", &view.service_name(&it.key))]), it))
        .collect();
    services(page, view, &named);
    let chosen: Vec<Counted<'_>> = view
        .servers()
        .filter(|it| match servers {
            MetricsServers::Full => true,
            MetricsServers::Unhealthy => !it.in_rotation() || view.server_override(&it.id).is_some(),
            MetricsServers::None => false,
        })
        .map(|it| Counted {
            labels: server_labels(view, &it.id),
            view: it,
            counters: view.server_counters(&it.id),
        })
        .collect();
    self::servers(page, view, &chosen);
    drains(page, view);
    checks(page, view);
}

/// A server with its labels made once.
struct Counted<'a> {
    labels: Labels,
    view: &'a ServerView,
    counters: Option<&'a ServerCounters>,
}

fn services(page: &mut Page, view: &View<'_>, named: &[(Labels, &ServiceView)]) {
    let mut family = page.gauge("lbagent_service_up", "Whether a service has its quorum.");
    for (labels, it) in named {
        family.add(&placed(labels, &it.key), bit(it.state == ServiceState::Up));
    }
    let mut family = page.gauge("lbagent_service_sorry", "Whether the sorry server answers.");
    for (labels, it) in named {
        family.add(&placed(labels, &it.key), bit(it.state == ServiceState::Sorry));
    }
    let mut family = page.gauge("lbagent_service_quorum", "Live weight a service needs.");
    for (labels, it) in named {
        family.add(labels, it.quorum);
    }
    let mut family = page.gauge(
        "lbagent_service_live_weight",
        "Sum of the weights of servers that are up.",
    );
    for (labels, it) in named {
        family.add(labels, it.live_weight);
    }
    let mut family = page.gauge("lbagent_service_servers", "Servers of a service, by state.");
    for (labels, it) in named {
        let mut counts: BTreeMap<&str, usize> = WORDS.iter().map(|word| (*word, 0)).collect();
        for server in view.state.servers_of(&it.key) {
            *counts.entry(server.word()).or_default() += 1;
        }
        for (word, count) in counts {
            family.add(&labels.with("state", &word.to_lowercase()), count);
        }
    }
    let mut family = page.gauge(
        "lbagent_service_connections",
        "Connections of all servers of a service.",
    );
    for (labels, it) in named {
        if let Some(totals) = view.service_totals(&it.key) {
            family.add(&labels.with("state", "active"), totals.active);
            family.add(&labels.with("state", "inactive"), totals.inactive);
        }
    }
}

fn servers(page: &mut Page, view: &View<'_>, chosen: &[Counted<'_>]) {
    let mut family = page.gauge(
        "lbagent_server_up",
        "Whether a server is up, and neither drained nor disabled.",
    );
    for it in chosen {
        family.add(&it.labels, bit(it.view.word() == "UP"));
    }
    let mut family = page.gauge(
        "lbagent_server_weight",
        "Weight of the file (configured) and in IPVS (effective).",
    );
    for it in chosen {
        family.add(&it.labels.with("kind", "configured"), it.view.configured.get());
        if let Some(weight) = it.view.effective {
            family.add(&it.labels.with("kind", "effective"), weight.get());
        }
    }
    let mut family = page.gauge("lbagent_server_connections", "Connections of a server.");
    for it in chosen {
        if let Some(counters) = it.counters {
            family.add(&it.labels.with("state", "active"), counters.active);
            family.add(&it.labels.with("state", "inactive"), counters.inactive);
            family.add(&it.labels.with("state", "persistent"), counters.persistent);
        }
    }
    type Count = fn(&ServerCounters) -> u64;
    let counters: [(&'static str, &'static str, Count); 5] = [
        (
            "lbagent_server_connections_total",
            "Connections given to a server.",
            |it| it.connections,
        ),
        (
            "lbagent_server_incoming_bytes_total",
            "Bytes of clients to a server.",
            |it| it.bytes_in,
        ),
        (
            "lbagent_server_outgoing_bytes_total",
            "Bytes of a server to clients, where they come through this host.",
            |it| it.bytes_out,
        ),
        (
            "lbagent_server_incoming_packets_total",
            "Packets of clients to a server.",
            |it| it.packets_in,
        ),
        (
            "lbagent_server_outgoing_packets_total",
            "Packets of a server to clients, where they come through this host.",
            |it| it.packets_out,
        ),
    ];
    for (name, help, count) in counters {
        let mut family = page.counter(name, help);
        for it in chosen {
            if let Some(counters) = it.counters {
                family.add(&it.labels, count(counters));
            }
        }
    }
    let mut family = page.gauge(
        "lbagent_server_override",
        "1 for a server an operator drained, disabled or weighed.",
    );
    for it in view.state.overrides.values() {
        if let Target::Server(id) = &it.target {
            family.add(&server_labels(view, id).with("kind", it.kind.word()), 1);
        }
    }
}

fn drains(page: &mut Page, view: &View<'_>) {
    let draining: Vec<&ServerView> = view
        .servers()
        .filter(|it| matches!(it.admin, Admin::Draining | Admin::Drained))
        .collect();
    let mut family = page.gauge(
        "lbagent_drain_remaining_connections",
        "Connections that a drain waits for.",
    );
    for it in &draining {
        if let (Some(drain), Some(counters)) = (&it.drain, view.server_counters(&it.id)) {
            family.add(&server_labels(view, &it.id), drain.left(counters));
        }
    }
    let mut family = page.gauge(
        "lbagent_drain_deadline_timestamp_seconds",
        "When a drain ends at the latest.",
    );
    for it in &draining {
        if let Some(deadline) = it.drain.as_ref().and_then(|drain| drain.deadline) {
            family.add(&server_labels(view, &it.id), timestamp(view.wall(deadline)));
        }
    }
}

fn checks(page: &mut Page, view: &View<'_>) {
    let Some(counters) = view.counters else { return };
    let named: Vec<_> = counters
        .checks
        .iter()
        .map(|it| {
            let service = view.service_name(&it.service);
            (
                Labels::of(&[("service", &service), ("type", &it.kind)]),
                &it.ended,
            )
        })
        .collect();
    let mut family = page.family(
        "lbagent_check_duration_seconds",
        Kind::Histogram,
        "How long checks took that passed or failed.",
    );
    for (labels, ended) in &named {
        let mut sum = 0;
        let edges = CHECK_SPANS_US
            .iter()
            .map(|edge| seconds(*edge).to_string())
            .chain(["+Inf".to_owned()]);
        for (edge, count) in edges.zip(ended.spans) {
            sum += count;
            family.add_as("_bucket", &labels.with("le", &edge), sum);
        }
        family.add_as("_sum", labels, seconds(ended.took_us));
        family.add_as("_count", labels, sum);
    }
    let mut family = page.counter("lbagent_check_results_total", "Checks that ended, by result.");
    for (labels, ended) in &named {
        family.add(&labels.with("result", "passed"), ended.passed);
        family.add(&labels.with("result", "failed"), ended.failed);
        family.add(&labels.with("result", "inconclusive"), ended.inconclusive);
    }
    page.gauge(
        "lbagent_check_lag_seconds",
        "How long the most overdue check should have been over.",
    )
    .add(&Labels::default(), seconds(counters.check_lag_us));
}

fn server_labels(view: &View<'_>, id: &ServerId) -> Labels {
    Labels::of(&[
        ("service", &view.service_name(&id.service)),
        ("server", &id.server.address.to_string()),
        ("port", &id.server.port.to_string()),
    ])
}

/// What tells the kernel's services apart, behind the name people gave them.
fn placed(labels: &Labels, key: &ServiceKey) -> Labels {
    let (vip, port, proto, fwmark) = match key {
        ServiceKey::Single(VirtualKey::Address {
            address,
            port,
            protocol,
        }) => (
            address.to_string(),
            port.to_string(),
            protocol.as_str(),
            String::new(),
        ),
        ServiceKey::Single(VirtualKey::Fwmark { mark, family }) => {
            let family = match family {
                Family::Inet => "inet",
                Family::Inet6 => "inet6",
            };
            (String::new(), String::new(), family, mark.to_string())
        }
        ServiceKey::Group { protocol, .. } => {
            (String::new(), String::new(), protocol.as_str(), String::new())
        }
    };
    labels
        .with("vip", &vip)
        .with("port", &port)
        .with("proto", proto)
        .with("fwmark", &fwmark)
}
