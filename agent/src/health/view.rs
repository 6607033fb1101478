//! What clients are shown.

use super::Health;
use super::server::ServerState;
use crate::model::{CheckKind, HttpGet};
use lb_shared::names::{ServerId, ServiceKey};
use lb_shared::state::{CheckView, Programmed, ServerView, ServiceView};

impl Health {
    /// A service as it stands. Whether the kernel has it, and which instance holds its address, the engine fills in.
    pub fn service_view(&self, key: &ServiceKey) -> Option<ServiceView> {
        let state = self.services.get(key)?;
        let config = &state.config;
        Some(ServiceView {
            // The engine knows the order of the file.
            order: 0,
            key: config.key.clone(),
            name: config.name.clone(),
            entries: config.entries.clone(),
            scheduler: config.scheduler.name.clone(),
            method: config.forwarding.word().to_owned(),
            persistence_s: config.persistence.as_ref().map(|p| p.timeout_s),
            state: state.word,
            since: state.since,
            quorum: config.quorum,
            hysteresis: config.hysteresis,
            live_weight: state.live_weight,
            sorry: config.sorry.as_ref().map(|sorry| sorry.key),
            programmed: Programmed::Pending,
            instance: None,
        })
    }

    /// A server as it stands.
    pub fn server_view(&self, id: &ServerId) -> Option<ServerView> {
        let service = self.services.get(&id.service)?;
        let server = self.servers.get(service.servers.get(&id.server)?)?;
        let placed = server.placed(service.sorry_serves());
        Some(ServerView {
            id: id.clone(),
            health: server.health(),
            admin: server.intent.admin(),
            configured: server.config.weight,
            effective: placed.map(|(weight, _)| weight),
            source: placed.map_or_else(|| server.weight().1, |(_, source)| source),
            since: server.since,
            reason: server.reason().to_owned(),
            checks: check_views(server),
            drain: server.intent.drain_view(),
        })
    }
}

fn check_views(server: &ServerState) -> Vec<CheckView> {
    server
        .probes
        .iter()
        .map(|probe| CheckView {
            kind: probe.check.kind.keyword().to_owned(),
            target: target(&probe.check.kind),
            ok: probe.ok,
            detail: probe.detail.clone(),
        })
        .collect()
}

/// What a check talks to: `198.51.100.24:443 /healthz`.
pub(super) fn target(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Tcp(tcp) => tcp.to.to_string(),
        CheckKind::Http(HttpGet { connect, urls, .. }) => match urls.as_slice() {
            [] => connect.to.to_string(),
            [url] => format!("{} {}", connect.to, url.path),
            [url, more @ ..] => format!("{} {} and {} more", connect.to, url.path, more.len()),
        },
        CheckKind::Misc(misc) => misc.script.argv.join(" "),
        CheckKind::Ping(ping) => ping.to.to_string(),
        CheckKind::Smtp(smtp) => smtp.connect.to.to_string(),
        CheckKind::Dns(dns) => format!("{} {} {}", dns.connect.to, dns.kind, dns.name),
        CheckKind::Udp(udp) => udp.connect.to.to_string(),
        CheckKind::Bfd(session) => format!("bfd:{session}"),
        CheckKind::File(check) => check.file.clone(),
    }
}
