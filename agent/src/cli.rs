//! Arguments: keepalived's flags with keepalived's meaning, then ours.

use clap::{Args, Parser, Subcommand, ValueEnum};
use lb_shared::paths;
use lb_shared::request::MetricsServers;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// A load balancer agent: VRRP failover, health checks and IPVS, from an existing keepalived.conf.
///
/// keepalived's flags work as they do there, so that a service file keeps working. Look at a running agent with
/// lbctl, change it live with lbctl drain, weight, promote and demote.
#[derive(Debug, Parser)]
#[command(name = "lbagent", version, disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove addresses and interfaces an agent left behind, if they are stale; IPVS is left alone.
    ///
    /// Meant for ExecStopPost=: when the last advert is younger than two intervals nothing is touched, since the
    /// restarted agent will adopt what is there. Static addresses and interfaces of use_vmac and use_ipvlan stay, too, when
    /// $SERVICE_RESULT says that the agent is started again.
    Cleanup,
    /// End a running keepalived so that the agent, started next, goes on in its place
    ///
    /// Its processes are killed; addresses and IPVS stay as they are, so that no
    /// connection ends. The agent must be started within one advert interval, or
    /// the other node takes over:
    ///
    ///   lbagent take-over --dry-run
    ///   lbagent take-over && systemctl start lbagent
    ///
    /// Nothing is touched unless the agent can run the configuration.
    #[command(verbatim_doc_comment)]
    TakeOver {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Judge a configuration without touching anything.
    #[command(hide = true)]
    CheckConfig {
        file: Option<PathBuf>,
        /// The other node's file
        #[arg(long)]
        peer: Option<PathBuf>,
        /// Warnings count as errors
        #[arg(long)]
        strict: bool,
        #[arg(short, long, default_value = "table")]
        output: String,
    },
    /// Look for what on this host defeats the configuration, or the work of a real server.
    #[command(hide = true)]
    Doctor {
        file: Option<PathBuf>,
        /// Judge this host as a real server of this address
        #[arg(long)]
        real_server: Option<IpAddr>,
        /// Warnings count as errors
        #[arg(long)]
        strict: bool,
        #[arg(short, long, default_value = "table")]
        output: String,
    },
    /// Print the manual page lbagent(8).
    #[command(hide = true)]
    Man,
    /// Print the reference of the configuration language.
    #[command(hide = true)]
    Reference {
        #[arg(default_value = "configuration")]
        page: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Configuration file [default: /etc/lbagent/lbagent.conf, else /etc/keepalived/keepalived.conf]
    #[arg(short = 'f', long = "use-file", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Stay in the foreground
    #[arg(short = 'n', long = "dont-fork")]
    pub(crate) foreground: bool,
    /// Log to the console instead of syslog
    #[arg(short = 'l', long = "log-console")]
    pub(crate) log_console: bool,
    /// Log in detail
    #[arg(short = 'D', long = "log-detail")]
    pub(crate) log_detail: bool,
    /// Check the configuration and end: 0 fine, 4 cannot run, 5 errors it can run with, 6 script security
    #[arg(short = 't', long = "config-test", value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(crate) config_test: Option<String>,
    /// Run the VRRP part only
    #[arg(short = 'P', long = "vrrp")]
    pub(crate) vrrp_only: bool,
    /// Run the checks and IPVS only
    #[arg(short = 'C', long = "check")]
    pub(crate) checks_only: bool,
    /// Leave the virtual addresses at the end
    #[arg(short = 'V', long = "dont-release-vrrp")]
    pub(crate) keep_addresses: bool,
    /// Leave IPVS at the end
    #[arg(short = 'I', long = "dont-release-ipvs")]
    pub(crate) keep_ipvs: bool,
    /// Id for @ID lines [default: host name up to the first dot]
    #[arg(short = 'i', long = "config-id", value_name = "ID")]
    pub(crate) config_id: Option<String>,
    /// File that gets the agent's pid
    #[arg(short = 'p', long = "pid", value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Network namespace to run in, whatever net_namespace says
    #[arg(short = 's', long = "namespace", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Log to this file
    #[arg(short = 'g', long = "log-file", value_name = "FILE", num_args = 0..=1)]
    pub(crate) log_file: Option<PathBuf>,
    /// Do not log to syslog
    #[arg(short = 'G', long = "no-syslog")]
    pub(crate) no_syslog: bool,
    /// Syslog facility local0 to local7 instead of daemon
    #[arg(short = 'S', long = "log-facility", value_name = "0-7", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub(crate) log_facility: Option<u8>,
    /// Print versions and end
    #[arg(short = 'v', long = "version", action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,

    /// Print the number of a signal and end: RELOAD, STOP, DATA, STATS, STATS_CLEAR or JSON
    #[arg(long = "signum", value_name = "WORD")]
    pub(crate) signum: Option<String>,

    /// Folder of the socket and the lock
    #[arg(long, value_name = "DIR", default_value = paths::RUN_DIR)]
    pub(crate) run_dir: PathBuf,
    /// Folder of the operators' overrides
    #[arg(long, value_name = "DIR", default_value = paths::STATE_DIR)]
    pub(crate) state_dir: PathBuf,
    /// Control socket [default: agent.sock in the run folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Answer GET /metrics on this port, on a loopback address only
    #[arg(long, value_name = "127.0.0.1:PORT", value_parser = loopback)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Servers with metrics of their own: full, unhealthy or none [default: full below 5,000 servers, else unhealthy]
    #[arg(long, value_name = "WHICH", value_parser = MetricsServers::parse)]
    pub(crate) metrics_servers: Option<MetricsServers>,
    /// Metrics also under the names of this exporter
    #[arg(long, value_name = "NAMES")]
    pub(crate) metrics_compat: Option<MetricsCompat>,
    /// Start although a keepalived runs in this network namespace
    #[arg(long)]
    pub(crate) beside_keepalived: bool,

    #[command(flatten)]
    pub(crate) ignored: Ignored,
}

/// Whose names the metrics carry beside our own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum MetricsCompat {
    /// mehdy/keepalived-exporter
    Keepalived,
}

/// Metrics name every server: they are for programs of this host, which pass them on as they see fit.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write an address and a port, such as 127.0.0.1:9650".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only a loopback address is allowed; let an agent on this host, or ssh, carry it further".into())
    }
}

/// keepalived's flags that have nothing to act on here: accepted, so that a service file keeps working.
#[derive(Debug, Args)]
pub(crate) struct Ignored {
    #[arg(short = 'R', long = "dont-respawn", hide = true)]
    dont_respawn: bool,
    #[arg(short = 'X', long = "release-vips", hide = true)]
    release_vips: bool,
    #[arg(short = 'B', long = "no_bfd", hide = true)]
    no_bfd: bool,
    #[arg(long = "all", hide = true)]
    all: bool,
    #[arg(short = 'd', long = "dump-conf", hide = true)]
    dump_conf: bool,
    #[arg(short = 'a', long = "address-monitoring", hide = true)]
    address_monitoring: bool,
    #[arg(short = 'x', long = "snmp", hide = true)]
    snmp: bool,
    #[arg(short = 'A', long = "snmp-agent-socket", hide = true)]
    snmp_socket: Option<String>,
    #[arg(short = 'm', long = "core-dump", hide = true)]
    core_dump: bool,
    #[arg(short = 'M', long = "core-dump-pattern", hide = true, num_args = 0..=1)]
    core_pattern: Option<String>,
    #[arg(short = 'e', long = "all-config", hide = true)]
    all_config: bool,
    #[arg(short = 'u', long = "umask", hide = true)]
    umask: Option<String>,
    #[arg(short = 'r', long = "vrrp_pid", hide = true)]
    vrrp_pid: Option<PathBuf>,
    #[arg(short = 'c', long = "checkers_pid", hide = true)]
    checkers_pid: Option<PathBuf>,
    #[arg(short = 'b', long = "bfd_pid", hide = true)]
    bfd_pid: Option<PathBuf>,
    #[arg(long = "ignore-sigint", hide = true)]
    ignore_sigint: bool,
}

impl Ignored {
    /// Flags given that change nothing here, for one line in the log.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        [
            (self.dont_respawn, "-R"),
            (self.release_vips, "-X"),
            (self.no_bfd, "-B"),
            (self.dump_conf, "-d"),
            (self.address_monitoring, "-a"),
            (
                self.snmp || self.snmp_socket.is_some(),
                "-x/-A (no SNMP agent; use the metrics)",
            ),
            (self.core_dump || self.core_pattern.is_some(), "-m/-M"),
            (self.all_config, "-e"),
            (self.umask.is_some(), "-u"),
            (
                self.vrrp_pid.is_some() || self.checkers_pid.is_some() || self.bfd_pid.is_some(),
                "-r/-c/-b",
            ),
            (self.ignore_sigint, "--ignore-sigint"),
        ]
        .into_iter()
        .filter_map(|(given, flag)| given.then_some(flag))
        .collect()
    }
}

impl Run {
    /// The configuration file in use.
    pub(crate) fn config(&self) -> PathBuf {
        match &self.file {
            Some(file) => file.clone(),
            None if Path::new(paths::CONFIG).exists() => PathBuf::from(paths::CONFIG),
            None => PathBuf::from(paths::CONFIG_KEEPALIVED),
        }
    }

    /// The control socket in use.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket
            .clone()
            .unwrap_or_else(|| self.run_dir.join(paths::SOCKET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keepalived_s_own_command_lines_are_understood() {
        for line in [
            "lbagent",
            "lbagent --dont-fork -D",
            "lbagent -n -l -D -f /etc/keepalived/keepalived.conf -p /run/a.pid -r /run/b.pid -c /run/c.pid",
            "lbagent -t",
            "lbagent --config-test=/tmp/out",
            "lbagent -D -S 3 -R -x",
            "lbagent -PVI",
            "lbagent -s blue",
            "lbagent --namespace=green -n",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }

    #[test]
    fn metrics_stay_on_this_host() {
        let port = |address: &str| Cli::try_parse_from(["lbagent", "--metrics", address]);
        assert!(port("127.0.0.1:9650").is_ok());
        assert!(port("[::1]:9650").is_ok());
        for address in [
            "0.0.0.0:9650",
            "[::]:9650",
            "192.0.2.1:9650",
            "9650",
            "localhost:9650",
        ] {
            assert!(port(address).is_err(), "{address}");
        }
    }

    #[test]
    fn the_table_of_arguments_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
