//! Mail and FIFOs of `global_defs`.

use super::script;
use crate::config::findings::Cx;
use crate::model::{Fifo, FifoKind, MailRoute};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where mail goes; `None` where no mail is sent: server and recipients belong together.
pub(super) fn mail(cx: &mut Cx<'_>) -> Option<MailRoute> {
    let words = std::mem::take(&mut cx.global.mail);
    let route = match (&words.server, words.to.is_empty()) {
        (Some((server, port, _)), false) => {
            let host = || cx.facts.hostname.clone();
            Some(MailRoute {
                server: server.clone(),
                port: *port,
                from: words
                    .from
                    .clone()
                    .unwrap_or_else(|| format!("keepalived@{}", host())),
                to: words.to.clone(),
                helo: words.helo.clone().unwrap_or_else(host),
                timeout: words.timeout.unwrap_or(Duration::from_secs(30)),
                no_faults: words.no_faults,
            })
        }
        (Some((_, _, at)), true) => {
            cx.warn(
                "L-28",
                *at,
                "smtp_server without notification_email: nobody gets mail",
                &[
                    "no mail is sent, as with keepalived",
                    "add notification_email { … }",
                ],
            );
            None
        }
        (None, _) => None,
    };
    cx.global.mail = words;
    route
}

/// The FIFOs that can be written.
pub(super) fn fifos(cx: &mut Cx<'_>) -> BTreeMap<FifoKind, Fifo> {
    let words = std::mem::take(&mut cx.global.fifos);
    let mut paths = BTreeSet::new();
    let mut fifos = BTreeMap::new();
    for (kind, it) in [FifoKind::All, FifoKind::Vrrp, FifoKind::Lvs]
        .into_iter()
        .zip(&words)
    {
        let Some((path, at)) = &it.path else {
            if let Some((_, at)) = &it.script {
                cx.warn(
                    "L-29",
                    *at,
                    "a program to read a FIFO, but no FIFO",
                    &["it is not started", "name the FIFO as well"],
                );
            }
            continue;
        };
        let name = path.argv.first().cloned().unwrap_or_default();
        if !name.starts_with('/') || !paths.insert(name.clone()) {
            let why = if name.starts_with('/') {
                format!("two FIFOs have the path {name}")
            } else {
                format!("the path of a FIFO begins with '/', '{name}' does not")
            };
            cx.error("L-29", *at, why, &["this FIFO is not written"]);
            continue;
        }
        let names = (path.user.clone(), path.group.clone());
        let owner = match script::identity(&names, cx) {
            Ok(owner) => owner,
            Err(why) => {
                cx.error("H-06", *at, why, &["this FIFO is not written"]);
                continue;
            }
        };
        let script = script::notify(it.script.as_ref(), cx);
        fifos.insert(
            kind,
            Fifo {
                path: name,
                owner,
                script,
            },
        );
    }
    fifos
}
