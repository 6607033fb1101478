//! The agent itself: its start, its configuration, its clients.

use super::page::{Labels, Page, bit, timestamp};
use super::{Served, Tally};
use lb_shared::units::Mono;
use lb_shared::view::View;

pub(super) fn add(page: &mut Page, view: &View<'_>, tally: &Tally, served: &Served) {
    let agent = &view.state.agent;
    let none = Labels::default();
    page.gauge("lbagent_build_info", "The agent's version, always 1.")
        .add(&Labels::of(&[("version", &agent.version)]), 1);
    page.gauge("lbagent_start_time_seconds", "When the agent started.")
        .add(&none, timestamp(view.wall(Mono::ZERO)));
    page.gauge(
        "lbagent_config_reload_timestamp_seconds",
        "When the configuration in force was loaded.",
    )
    .add(&none, timestamp(view.wall(agent.config.loaded_at)));
    let mut reloads = page.counter("lbagent_config_reloads_total", "Reloads, by what came of them.");
    // The first revision is the start, not a reload.
    let applied = agent.config.revision.saturating_sub(1);
    reloads.add(&Labels::of(&[("result", "applied")]), applied);
    reloads.add(&Labels::of(&[("result", "refused")]), tally.refused);
    page.gauge(
        "lbagent_config_refused",
        "1 while the last reload was refused and the file has not been loaded since.",
    )
    .add(&none, bit(!agent.config.refused.is_empty()));
    page.gauge("lbagent_config_warnings", "Findings of the file in force.")
        .add(&none, agent.config.warnings);
    page.gauge("lbagent_ipvs_available", "Whether the kernel can balance.")
        .add(&none, bit(agent.ipvs_missing.is_none()));
    page.gauge(
        "lbagent_kernel_refused_operations",
        "Operations the kernel refused and that are being retried.",
    )
    .add(&none, agent.kernel_trouble.len());
    if let Some(sync) = &agent.sync {
        let mut family = page.gauge(
            "lbagent_ipvs_sync_active",
            "Whether the kernel sends or takes connections (lvs_sync_daemon).",
        );
        family.add(&Labels::of(&[("role", "master")]), bit(sync.sends));
        family.add(&Labels::of(&[("role", "backup")]), bit(sync.takes));
    }
    let mut requests = page.counter(
        "lbagent_api_requests_total",
        "Requests over the socket, by op and how they ended.",
    );
    for ((op, result), count) in &served.requests {
        requests.add(&Labels::of(&[("op", op), ("result", result)]), count);
    }
    page.gauge("lbagent_api_clients", "Connections to the socket.")
        .add(&none, served.clients);
}
