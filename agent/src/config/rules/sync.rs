//! The daemon that copies connections to the other director.

use crate::config::findings::Cx;
use crate::config::keywords::Raw;
use crate::model::{Model, SyncSettings};
use lb_shared::names::InstanceName;

/// `lvs_sync_daemon`, or what stands in an instance in its old form.
pub(super) fn daemon(raw: &Raw, model: &Model, cx: &mut Cx<'_>) -> Option<SyncSettings> {
    let Some(words) = cx.global.sync_daemon.take() else {
        let (instance, interface) = (raw.instances.iter())
            .find_map(|it| Some((InstanceName(it.name.clone()), it.sync_interface.clone()?)))?;
        let id = model.instances.get(&instance)?.vrid.get();
        return Some(SyncSettings {
            interface,
            instance: Some(instance),
            id,
            maxlen: 0,
            port: 0,
            ttl: 0,
            group: None,
        });
    };
    let mut vrid = 0;
    let mut instance = None;
    if let Some((name, at)) = &words.instance {
        let name = InstanceName(name.clone());
        let Some(it) = model.instances.get(&name) else {
            cx.error(
                "V-20",
                *at,
                format!("lvs_sync_daemon follows '{name}', which is not an instance of this file"),
                &["connections are not copied to the other director"],
            );
            return None;
        };
        vrid = it.vrid.get();
        instance = Some(name);
    }
    Some(SyncSettings {
        interface: words.interface,
        instance,
        id: words.id.unwrap_or(vrid),
        maxlen: words.maxlen,
        port: words.port,
        ttl: words.ttl,
        group: words.group,
    })
}
