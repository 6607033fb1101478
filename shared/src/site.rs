//! Which agents a client is to talk to: from its flags, the environment and the configuration file.

use crate::config::{Cluster, Config, Confirm};
use crate::host::Host;
use crate::request::{Refusal, RefusalCode};
use std::path::Path;

/// The hosts a command line names.
#[derive(Debug, Default)]
pub struct Site {
    /// In the order they were named in; never empty.
    pub hosts: Vec<Host>,
    /// The cluster they belong to.
    pub cluster: Option<String>,
    /// The cluster's other hosts: not asked, but they count.
    pub others: Vec<Host>,
    pub confirm: Confirm,
    config: Config,
}

impl Site {
    /// `named` hosts, or all of a cluster; both together choose from the cluster. Without either it is the agent of this
    /// machine, or the default cluster on a machine without one. An empty name of a cluster stands for the default one.
    pub fn choose(
        named: Vec<Host>,
        cluster: Option<&str>,
        socket: Option<&Path>,
        config: Config,
    ) -> Result<Self, Refusal> {
        let local = || socket.map_or_else(Host::default, |path| Host::Unix(path.to_path_buf()));
        let here = || matches!(local(), Host::Unix(path) if path.exists());
        let cluster = match cluster {
            Some(name) => Some(name),
            None if named.is_empty() && socket.is_none() && !here() => config.default_cluster.as_deref(),
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
                return Err(bad(
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
    pub fn may_act(&self) -> Result<(), Refusal> {
        if let Some(doubt) = self.config.doubt() {
            return Err(Refusal::new(
                RefusalCode::ReadOnly,
                format!("{}: it may say that this host is read-only", doubt.message),
                format!("{}; nothing was changed", doubt.hint),
            ));
        }
        match self.hosts.iter().find(|host| self.config.read_only(host)) {
            None => Ok(()),
            Some(host) => Err(Refusal::new(
                RefusalCode::ReadOnly,
                format!("{host} is read-only for this program"),
                "read_only = true stands in the configuration file of lbctl; nothing was changed",
            )),
        }
    }

    /// Whether a host may only be looked at.
    pub fn read_only(&self, host: &Host) -> bool {
        self.config.read_only(host)
    }

    /// The colour of a host's title in the dashboard.
    pub fn accent(&self, host: &Host) -> Option<&str> {
        self.config.accent(host)
    }

    /// The one host of a verb that takes no more.
    pub fn only(&self, verb: &str) -> Result<&Host, Refusal> {
        match self.hosts.as_slice() {
            [host] => Ok(host),
            hosts => {
                let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                Err(bad(
                    format!("{verb} takes exactly one host, these are {}", names.len()),
                    format!("choose one with --host: {}", names.join(" ")),
                ))
            }
        }
    }
}

impl Cluster {
    fn named_or_all(&self, named: &[Host], host: &Host) -> bool {
        named.is_empty() || named.contains(host)
    }
}

/// The hosts these addresses name, each once.
pub fn hosts(urls: &[String]) -> Result<Vec<Host>, Refusal> {
    let mut hosts: Vec<Host> = Vec::new();
    for url in urls.iter().filter(|url| !url.is_empty()) {
        let host = Host::parse(url)?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

fn bad(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::BadRequest, message, hint)
}
