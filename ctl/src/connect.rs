//! Which agents a command is for, and finding them.

use crate::args::Global;
use crate::trouble::Trouble;
use lb_shared::client::{Client, ClientError};
use lb_shared::config::Config;
use lb_shared::counters::Counters;
use lb_shared::duration;
use lb_shared::host::Host;
use lb_shared::request::Snapshot;
use lb_shared::site::{self, Site};
use std::time::Duration;

/// The hosts of a command line. What in the configuration file is not known is told on stderr.
pub(crate) fn site(global: &Global) -> Result<Site, Trouble> {
    let (config, warnings) = Config::find()?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    choose(global, config)
}

/// The same without a word about mistakes in the file.
pub(crate) fn site_quietly(global: &Global) -> Result<Site, Trouble> {
    choose(global, Config::load_quietly())
}

fn choose(global: &Global, config: Config) -> Result<Site, Trouble> {
    let named = site::hosts(&global.host)?;
    let chosen = Site::choose(named, global.cluster.as_deref(), global.socket.as_deref(), config);
    Ok(chosen?)
}

/// The flags of a command for one host of several.
pub(crate) fn for_host(global: &Global, host: &Host) -> Global {
    Global {
        host: vec![host.to_string()],
        cluster: None,
        socket: None,
        ..global.clone()
    }
}

/// The host of flags that name no more than one.
pub(crate) fn host(global: &Global) -> Result<Host, Trouble> {
    Ok(match site::hosts(&global.host)?.into_iter().next() {
        Some(host) => host,
        None => match &global.socket {
            Some(path) => Host::Unix(path.clone()),
            None => Host::default(),
        },
    })
}

/// How long a connection may take.
pub(crate) fn timeout(global: &Global) -> Result<Duration, Trouble> {
    Ok(duration::parse(&global.connect_timeout)?)
}

/// A greeted connection.
pub(crate) fn client(global: &Global) -> Result<Client, Trouble> {
    Ok(host(global)?.connect(timeout(global)?)?)
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
