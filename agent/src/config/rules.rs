//! Rules across objects: what was written becomes a model in which every name means something.

mod address;
mod advise;
mod authentication;
mod bfd;
mod check;
mod clash;
mod firewall;
mod follow;
mod group;
mod hmac;
mod host;
mod instance;
mod notify;
mod own_link;
mod pair;
mod routing;
mod script;
mod service;
mod static_track;
mod subnet;
mod sync;
mod vrrp;
mod watch;
mod weigh;

pub(super) use check::inherit;

use super::findings::Cx;
use super::keywords::Raw;
use crate::model::{Global, Model};

/// Makes the model. Objects that cannot be run are left out, each with a finding.
pub(crate) fn model(mut raw: Raw, cx: &mut Cx<'_>) -> Model {
    let services = std::mem::take(&mut raw.services);
    script::identity_of_all(cx);
    let mut model = Model {
        global: global(cx),
        ..Model::default()
    };
    let followed = follow::Followed::of(&raw, cx);
    vrrp::objects(&raw, &followed, &mut model, cx);
    bfd::objects(&raw, &mut model, cx);
    model.global.sync_daemon = sync::daemon(&raw, &model, cx);
    "static addresses".clone_into(&mut cx.object);
    model.static_addresses.extend(address::fixed(&raw, cx));
    "static routes".clone_into(&mut cx.object);
    model.static_routes = routing::static_routes(&raw.routes, cx);
    model.static_rules = routing::static_rules(&raw.policy_rules, cx);
    "track groups".clone_into(&mut cx.object);
    model.static_tracks = static_track::tracks(&raw, &model, cx);
    cx.client_certificate = check::client_certificate(&raw, cx);
    service::objects(services, &raw.server_groups, &followed, &mut model, cx);
    model.host = host::host(&raw, &model, cx);
    follow::objects(&raw, &mut model, cx);
    weigh::objects(&raw, &model, cx);
    firewall::words(cx);
    firewall::objects(&raw, &model, cx);
    pair::objects(&raw, &model, cx);
    clash::objects(&raw, &model, cx);
    subnet::objects(&raw, &model, cx);
    script::security(&raw, cx);
    model
}

fn global(cx: &mut Cx<'_>) -> Global {
    let micros = cx
        .global
        .startup_delay
        .map_or(0, |delay| u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    Global {
        router_id: cx.global.router_id.clone(),
        lvs_flush: cx.global.lvs_flush,
        lvs_flush_on_stop: cx.global.lvs_flush_on_stop,
        scripts: cx.global.scripts,
        disable_local_igmp: cx.global.disable_local_igmp,
        vrrp_startup_delay_us: micros,
        lvs_timeouts: cx.global.lvs_timeouts,
        sync_daemon: None,
        mail: notify::mail(cx),
        fifos: notify::fifos(cx),
        fifo_states_on_reload: cx.global.fifo_states_on_reload,
        dump_files: cx.global.dump_files.clone(),
        json_version: cx.global.json_version.max(1),
        firewall: cx.global.firewall.clone(),
    }
}
