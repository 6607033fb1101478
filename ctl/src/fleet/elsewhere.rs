//! What the cluster's other hosts would still do with a server that is taken out on one of them only.

use super::each;
use crate::args::Global;
use crate::connect;
use lb_shared::names::ServerId;
use lb_shared::site::Site;
use lb_shared::state::Admin;
use lb_shared::text::escape;

/// A warning where a failover would bring traffic back to one of these servers; hosts that do not answer say nothing.
pub(crate) fn warning(site: &Site, global: &Global, ids: &[ServerId]) -> Option<String> {
    let ([own], false) = (site.hosts.as_slice(), site.others.is_empty() || ids.is_empty()) else {
        return None;
    };
    let answers = each(&site.others, |host| {
        let mut client = connect::client(&connect::for_host(global, host))?;
        Ok(client.servers(ids)?.snapshot.state.servers)
    });
    let serving: Vec<String> = answers
        .iter()
        .filter(|answer| {
            let servers = answer.got.iter().flat_map(|servers| servers.values());
            let mut enabled = servers.filter(|it| it.admin == Admin::Enabled);
            enabled.next().is_some()
        })
        .map(|answer| escape(&answer.name))
        .collect();
    if serving.is_empty() {
        return None;
    }
    Some(format!(
        "only on {}; {} would use {} after a failover (--cluster does it everywhere)",
        escape(&own.label()),
        serving.join(" and "),
        if ids.len() == 1 { "it" } else { "them" }
    ))
}
