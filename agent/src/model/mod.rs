//! The configuration as plain, valid data.
//!
//! No spans, no text that still needs parsing, no optional where a default is known. A `Model` can be built in a test
//! without any text. Objects sit behind `Arc`, so that two models share what did not change.

mod bfd;
mod check;
mod file;
mod global;
mod host;
mod job;
mod notify;
mod own_link;
pub mod room;
mod routing;
pub mod routing_words;
mod service;
mod signing;
mod static_track;
mod vrrp;

pub use bfd::{BfdPath, BfdSession, BfdTrack};
pub use check::{
    Check, CheckKind, ClientCertificate, DnsCheck, FileCheck, HttpGet, HttpVersion, MiscCheck, PingCheck,
    SmtpCheck, StatusRange, TcpCheck, UdpCheck, UdpReply, Url, Within,
};
pub use file::{InitFile, Multiplier, NumberFile, TrackFile};
pub use global::{DumpKind, Firewall, Global, SyncSettings};
pub use host::{GarpGroup, Host, InterfaceDelays, Once, Scheduling};
pub use job::{Job, JobEnd, JobId, JobOutcome, ScriptRules};
pub use notify::{
    Fifo, FifoKind, MailRoute, NotifyScripts, NotifyState, NotifyWho, QuorumScripts, Script, ServerScripts,
};
pub use own_link::{Ipvlan, IpvlanMode, OwnKind, OwnLink, Vmac};
pub use routing::{
    Encap, Leg, PROTOCOL_OURS, Place, Realms, Route, RouteKind, Rule, RuleAction, TABLE_MAIN, Tunnel,
};
pub use service::{Forwarding, Persistence, Scheduler, Server, Service, SorryServer, TunnelType};
pub use signing::{Signing, SigningKey, SigningMode};
pub use static_track::{StaticLine, StaticTrack};
pub use vrrp::{
    AddressExtras, Authentication, Elsewhere, FileTrack, Garp, Instance, InterfaceTrack, OldChecksum,
    ParamMatch, ProcessMatch, ProcessTrack, ScriptTrack, SyncGroup, Tracking, UnicastPeer, VirtualAddress,
    VrrpProcess, VrrpScript, VrrpVersion,
};

use lb_shared::names::{GroupName, InstanceName, ServiceKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub global: Global,
    pub host: Host,
    pub instances: BTreeMap<InstanceName, Arc<Instance>>,
    pub groups: BTreeMap<GroupName, Arc<SyncGroup>>,
    pub scripts: BTreeMap<String, Arc<VrrpScript>>,
    pub processes: BTreeMap<String, Arc<VrrpProcess>>,
    pub sessions: BTreeMap<String, Arc<BfdSession>>,
    pub files: BTreeMap<String, Arc<TrackFile>>,
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
    /// `static_ipaddress`, `static_routes` and `static_rules`: there whatever the instances do.
    pub static_addresses: Vec<VirtualAddress>,
    pub static_routes: Vec<Route>,
    pub static_rules: Vec<Rule>,
    /// Which of them instances stand on.
    pub static_tracks: Vec<StaticTrack>,
    pub layout: Layout,
}

/// Where things stand in the file. Apart from the objects: one that moved is still the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// `keepalived.conf:12`.
    pub instances: BTreeMap<InstanceName, String>,
    /// Counted from 0.
    pub services: BTreeMap<ServiceKey, u32>,
}

impl Model {
    /// Takes over, from the model before, every service that is the same: two that are one are compared at once, which
    /// the standard library does for what is `Eq`.
    pub fn keep_services_of(&mut self, before: &BTreeMap<ServiceKey, Arc<Service>>) {
        for (key, service) in &mut self.services {
            if let Some(known) = before.get(key)
                && !Arc::ptr_eq(known, service)
                && known == service
            {
                *service = Arc::clone(known);
            }
        }
    }

    /// The services that `before` did not have like this.
    pub fn services_not_in(&self, before: &Self) -> Vec<Arc<Service>> {
        let same = |it: &&Arc<Service>| {
            before
                .services
                .get(&it.key)
                .is_some_and(|known| Arc::ptr_eq(known, it))
        };
        self.services.values().filter(|it| !same(it)).cloned().collect()
    }

    /// Whether anything in it may start a script.
    pub fn runs_scripts(&self) -> bool {
        let in_server = |server: &Server| {
            server.scripts.up.is_some()
                || server.scripts.down.is_some()
                || server
                    .checks
                    .iter()
                    .any(|check| matches!(check.kind, CheckKind::Misc(_)))
        };
        !self.scripts.is_empty()
            || self.host.startup.is_some()
            || self.host.shutdown.is_some()
            || self.global.fifos.values().any(|it| it.script.is_some())
            || self.instances.values().any(|it| it.notify.run_anything())
            || self.groups.values().any(|it| it.notify.run_anything())
            || self.services.values().any(|it| {
                it.quorum_scripts.up.is_some()
                    || it.quorum_scripts.down.is_some()
                    || it.servers.values().any(|server| in_server(server))
            })
    }
}
