//! Which agents a command is for, and finding them.

use crate::args::Global;
use crate::config::{Config, Confirm};
use crate::trouble::{Trouble, usage};
use lb_shared::client::{Client, ClientError};
use lb_shared::counters::Counters;
use lb_shared::duration;
use lb_shared::host::Host;
use lb_shared::request::{Refusal, RefusalCode, Snapshot};
use std::time::Duration;

/// The hosts a command line names.
#[derive(Debug, Default)]
pub(crate) struct Site {
    /// In the order they were named in; never empty.
    pub(crate) hosts: Vec<Host>,
    /// The cluster they belong to.
    pub(crate) cluster: Option<String>,
    /// The cluster's other hosts: not asked, but they count.
    pub(crate) others: Vec<Host>,
    pub(crate) confirm: Confirm,
    config: Config,
}

impl Site {
    /// From the flags, the environment and the configuration file.
    ///
    /// `--host` names hosts, `--cluster` all of a cluster; both together choose from a cluster. Without either it is
    /// the agent of this machine, or the default cluster on a machine without one.
    pub(crate) fn of(global: &Global) -> Result<Self, Trouble> {
        Self::choose(global, Config::load()?)
    }

    /// The same without a word about mistakes in the file.
    pub(crate) fn of_quietly(global: &Global) -> Result<Self, Trouble> {
        Self::choose(global, Config::load_quietly())
    }

    fn choose(global: &Global, config: Config) -> Result<Self, Trouble> {
        let named = named(global)?;
        let local = || match &global.socket {
            Some(path) => Host::Unix(path.clone()),
            None => Host::default(),
        };
        let here = || matches!(local(), Host::Unix(path) if path.exists());
        let cluster = match &global.cluster {
            Some(name) => Some(name.as_str()),
            None if named.is_empty() && global.socket.is_none() && !here() => {
                config.default_cluster.as_deref()
            }
            None => None,
        };
        let found = match cluster {
            Some(name) => Some(config.cluster(name)?),
            None => config.cluster_of(&named),
        };
        let mut site = Self::default();
        if let Some((name, cluster)) = found {
            site.cluster = Some(name.to_owned());
            site.confirm = cluster.confirm;
            if let Some(stranger) = named.iter().find(|host| !cluster.hosts.contains(host)) {
                return Err(usage(
                    format!("{stranger} is not in cluster {name}"),
                    "--host with --cluster chooses among the cluster's hosts",
                ));
            }
            let chosen = |host: &&Host| cluster.named_or_all(&named, host);
            site.hosts = cluster.hosts.iter().filter(chosen).cloned().collect();
            site.others = cluster
                .hosts
                .iter()
                .filter(|host| !chosen(host))
                .cloned()
                .collect();
        } else {
            site.hosts = if named.is_empty() { vec![local()] } else { named };
        }
        site.config = config;
        Ok(site)
    }

    /// Refuses before anything is connected when a host may only be looked at.
    pub(crate) fn may_act(&self) -> Result<(), Trouble> {
        match self.hosts.iter().find(|host| self.config.read_only(host)) {
            None => Ok(()),
            Some(host) => Err(Refusal::new(
                RefusalCode::ReadOnly,
                format!("{host} is read-only for this program"),
                "read_only = true stands in the configuration file of lbctl; nothing was changed",
            )
            .into()),
        }
    }

    /// The colour of a host's title in the dashboard.
    pub(crate) fn accent(&self, host: &Host) -> Option<&str> {
        self.config.accent(host)
    }

    /// The one host of a verb that takes no more.
    pub(crate) fn only(&self, verb: &str) -> Result<&Host, Trouble> {
        match self.hosts.as_slice() {
            [host] => Ok(host),
            hosts => {
                let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                Err(usage(
                    format!("{verb} takes exactly one host, these are {}", names.len()),
                    format!("choose one with --host: {}", names.join(" ")),
                ))
            }
        }
    }
}

impl crate::config::Cluster {
    fn named_or_all(&self, named: &[Host], host: &Host) -> bool {
        named.is_empty() || named.contains(host)
    }
}

fn named(global: &Global) -> Result<Vec<Host>, Trouble> {
    let mut hosts: Vec<Host> = Vec::new();
    for url in global.host.iter().filter(|url| !url.is_empty()) {
        let host = Host::parse(url)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
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
    Ok(match named(global)?.into_iter().next() {
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
