//! The clients' configuration file: clusters, and what is special about a host.

use crate::host::Host;
use crate::request::{Refusal, RefusalCode};
use crate::text::escape;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where it is looked for after the user's own.
const SYSTEM: &str = "/etc/lbctl/config.toml";

/// What the file says.
#[derive(Debug, Default)]
pub struct Config {
    pub default_cluster: Option<String>,
    pub clusters: BTreeMap<String, Cluster>,
    hosts: BTreeMap<Host, HostRules>,
    /// Why nothing is known of what the file says.
    doubt: Option<Refusal>,
}

/// Hosts that stand in for each other.
#[derive(Debug)]
pub struct Cluster {
    pub hosts: Vec<Host>,
    pub confirm: Confirm,
}

/// How much an acting verb has to be confirmed beyond its own rules.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Confirm {
    /// By the verb's own rules.
    #[default]
    None,
    /// Always by a yes.
    Ask,
    /// Always by typing the cluster's name.
    Type,
}

#[derive(Clone, Debug, Default)]
struct HostRules {
    read_only: bool,
    accent: Option<String>,
}

/// The file as it is written. What is left over is reported.
#[derive(Deserialize)]
struct Written {
    default_cluster: Option<String>,
    #[serde(default)]
    cluster: BTreeMap<String, WrittenCluster>,
    #[serde(default)]
    host: BTreeMap<String, WrittenHost>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct WrittenCluster {
    hosts: Vec<String>,
    #[serde(default)]
    confirm: Confirm,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
struct WrittenHost {
    #[serde(default)]
    read_only: bool,
    accent: Option<String>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

impl Config {
    /// The user's file, else the system's, else nothing; with warnings.
    ///
    /// A file that is there and cannot be used is a warning, too: what only looks at the agent of this machine needs
    /// none of it. What does is refused with the reason.
    pub fn find() -> (Self, Vec<String>) {
        for path in places() {
            match std::fs::read_to_string(&path) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Self::unusable(&format!("cannot read {}: {error}", path.display())),
                Ok(text) => return Self::from_file(&path, &text),
            }
        }
        (Self::default(), Vec::new())
    }

    fn from_file(path: &Path, text: &str) -> (Self, Vec<String>) {
        match Self::read(text) {
            Err(why) => Self::unusable(&format!("{}: {why}", path.display())),
            Ok((config, warnings)) => {
                let warnings = warnings
                    .into_iter()
                    .map(|warning| escape(&format!("{}: {warning}", path.display())));
                (config, warnings.collect())
            }
        }
    }

    fn unusable(why: &str) -> (Self, Vec<String>) {
        let doubt = bad(
            escape(why),
            "mend the file or take it away: it says which hosts make a cluster and which may only be looked at",
        );
        let warning = format!("{}; going on without it", doubt.message);
        let config = Self {
            doubt: Some(doubt),
            ..Self::default()
        };
        (config, vec![warning])
    }

    /// From the text of a file, with what in it is not known.
    fn read(text: &str) -> Result<(Self, Vec<String>), String> {
        let written: Written =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let mut warnings = Vec::new();
        let mut unknown = |place: &str, rest: BTreeMap<String, toml::Value>| {
            warnings.extend(
                rest.into_keys()
                    .map(|key| format!("unknown key {place}{key}, ignored")),
            );
        };
        let host =
            |url: &str| Host::parse(url).map_err(|refusal| format!("{}: {}", refusal.message, refusal.hint));
        unknown("", written.rest);
        let mut config = Self::default();
        for (name, cluster) in written.cluster {
            unknown(&format!("cluster.{name}."), cluster.rest);
            let mut hosts: Vec<Host> = Vec::new();
            for url in &cluster.hosts {
                let host = host(url)?;
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            if hosts.is_empty() {
                return Err(format!("cluster {name} has no hosts"));
            }
            let confirm = cluster.confirm;
            config.clusters.insert(name, Cluster { hosts, confirm });
        }
        for (url, rules) in written.host {
            unknown(&format!("host.\"{url}\"."), rules.rest);
            let rule = HostRules {
                read_only: rules.read_only,
                accent: rules.accent,
            };
            config.hosts.insert(host(&url)?, rule);
        }
        if let Some(name) = written.default_cluster {
            if !config.clusters.contains_key(&name) {
                return Err(format!(
                    "default_cluster = \"{name}\", but there is no [cluster.{name}]"
                ));
            }
            config.default_cluster = Some(name);
        }
        Ok((config, warnings))
    }

    /// The cluster called so, or the default one for an empty name.
    pub fn cluster<'a>(&'a self, name: &'a str) -> Result<(&'a str, &'a Cluster), Refusal> {
        if let Some(doubt) = &self.doubt {
            return Err(doubt.clone());
        }
        let name = match (name, &self.default_cluster) {
            ("", Some(name)) => name,
            ("", None) => {
                return Err(bad(
                    "--cluster without a name needs default_cluster in the configuration file",
                    places_text(),
                ));
            }
            (name, _) => name,
        };
        match self.clusters.get(name) {
            Some(cluster) => Ok((name, cluster)),
            None if self.clusters.is_empty() => Err(bad(
                format!(
                    "there is no cluster {}: no configuration file names any",
                    escape(name)
                ),
                places_text(),
            )),
            None => Err(bad(
                format!("there is no cluster {}", escape(name)),
                format!(
                    "clusters are {}",
                    self.clusters.keys().cloned().collect::<Vec<_>>().join(" ")
                ),
            )),
        }
    }

    /// The one cluster that has all these hosts; of several the default one.
    pub fn cluster_of(&self, hosts: &[Host]) -> Option<(&str, &Cluster)> {
        let has = |cluster: &Cluster| hosts.iter().all(|host| cluster.hosts.contains(host));
        let mut with = self
            .clusters
            .iter()
            .filter(|(_, cluster)| !hosts.is_empty() && has(cluster));
        let found = match (with.next(), with.next()) {
            (one, None) => one,
            (Some(_), Some(_)) => {
                let name = self.default_cluster.as_ref()?;
                self.clusters
                    .get_key_value(name)
                    .filter(|(_, cluster)| has(cluster))
            }
            (None, Some(_)) => None,
        };
        found.map(|(name, cluster)| (name.as_str(), cluster))
    }

    /// Why it is not known which hosts may only be looked at.
    pub fn doubt(&self) -> Option<&Refusal> {
        self.doubt.as_ref()
    }

    /// Whether acting verbs may not touch this host.
    pub fn read_only(&self, host: &Host) -> bool {
        self.doubt.is_some() || self.hosts.get(host).is_some_and(|rules| rules.read_only)
    }

    /// The colour of its title in the dashboard.
    pub fn accent(&self, host: &Host) -> Option<&str> {
        self.hosts.get(host)?.accent.as_deref()
    }
}

fn bad(message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::BadRequest, message, hint)
}

fn places() -> Vec<PathBuf> {
    let own = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))
        .map(|folder| folder.join("lbctl/config.toml"));
    own.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

fn places_text() -> String {
    let places: Vec<String> = places().iter().map(|path| path.display().to_string()).collect();
    format!("it is looked for at {}", places.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: &str = r#"
default_cluster = "edge"
[cluster.edge]
hosts   = ["ssh://lb1", "ssh://lb2", "ssh://lb1"]
confirm = "type"
[host."ssh://lb1"]
read_only = true
accent    = "magenta"
"#;

    #[test]
    fn clusters_and_rules_of_hosts_are_read() {
        let (config, warnings) = Config::read(EDGE).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let (name, edge) = config.cluster("").unwrap();
        assert_eq!((name, edge.hosts.len(), edge.confirm), ("edge", 2, Confirm::Type));
        assert!(config.read_only(&edge.hosts[0]) && !config.read_only(&edge.hosts[1]));
        assert_eq!(config.accent(&edge.hosts[0]), Some("magenta"));
        assert!(config.cluster("core").is_err());
    }

    #[test]
    fn unknown_keys_are_warnings_that_say_where() {
        let text = "colour = 1\n[cluster.edge]\nhosts = [\"ssh://lb1\"]\nfoo = 2\n[host.\"ssh://lb1\"]\nreadonly = true\n";
        let (config, warnings) = Config::read(text).unwrap();
        assert_eq!(
            warnings,
            [
                "unknown key colour, ignored",
                "unknown key cluster.edge.foo, ignored",
                "unknown key host.\"ssh://lb1\".readonly, ignored"
            ]
        );
        assert_eq!(config.clusters.len(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_warning_until_it_is_needed() {
        let (config, warnings) = Config::from_file(Path::new("/etc/lbctl/config.toml"), "[");
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("/etc/lbctl/config.toml: "),
            "{warnings:?}"
        );
        assert!(warnings[0].ends_with("; going on without it"), "{warnings:?}");
        let refusal = config.cluster("edge").unwrap_err();
        assert!(refusal.message.starts_with("/etc/lbctl/config.toml: "));
        // It may have said that nothing is to be changed.
        assert!(config.read_only(&Host::default()));
    }

    #[test]
    fn mistakes_are_errors() {
        for text in [
            "default_cluster = \"x\"",
            "[cluster.x]\nhosts = []",
            "[cluster.x]\nhosts = [\"lb1\"]",
            "[cluster.x]\nhosts = [\"ssh://lb1\"]\nconfirm = \"maybe\"",
            "[cluster.x]\nhosts = \"ssh://lb1\"",
            "[",
        ] {
            assert!(Config::read(text).is_err(), "{text}");
        }
    }
}
