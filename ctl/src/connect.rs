//! Finding the agent.

use crate::args::Global;
use crate::trouble::{Trouble, usage};
use lb_shared::client::{Client, ClientError};
use lb_shared::counters::Counters;
use lb_shared::duration;
use lb_shared::paths;
use lb_shared::request::Snapshot;
use std::path::PathBuf;

/// The agent's socket, from the flags and the environment.
pub(crate) fn socket(global: &Global) -> Result<PathBuf, Trouble> {
    if global.cluster.is_some() {
        return Err(usage(
            "--cluster is not supported yet",
            "name the agent on this host with --socket PATH, or leave it to the default",
        ));
    }
    match global.host.as_slice() {
        [] => {}
        [one] => {
            return match one.strip_prefix("unix:") {
                Some(path) if !path.is_empty() => Ok(path.into()),
                Some(_) | None => Err(usage(
                    format!("--host {} is not supported yet", lb_shared::text::escape(one)),
                    "hosts are unix:PATH; for another host run lbctl there over ssh",
                )),
            };
        }
        _ => {
            return Err(usage(
                "several hosts are not supported yet",
                "ask one after the other",
            ));
        }
    }
    Ok(match &global.socket {
        Some(path) => path.clone(),
        None => PathBuf::from(paths::RUN_DIR).join(paths::SOCKET),
    })
}

/// A greeted connection.
pub(crate) fn client(global: &Global) -> Result<Client, Trouble> {
    let timeout = duration::parse(&global.connect_timeout)?;
    Ok(Client::connect_within(&socket(global)?, timeout)?)
}

/// The state, and the counters if the agent can give them in time.
pub(crate) fn look(client: &mut Client) -> Result<(Snapshot, Option<Counters>), Trouble> {
    let counters = match client.counters() {
        Ok(counters) => Some(counters),
        // Lists are worth having without numbers.
        Err(ClientError::Refused(refusal)) => {
            eprintln!(
                "lbctl: no counters: {}",
                lb_shared::text::escape(&refusal.message)
            );
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok((client.snapshot()?, counters))
}
