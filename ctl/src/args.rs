//! The command line, as clap reads it and as `--help` and the completions show it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Shows and steers a load-balancer agent.
///
/// Alone it is `lbctl status`. Exit codes: 0 done, 1 failed or no, 2 usage, 3 not found, 4 refused, 5 unreachable,
/// 6 timed out.
#[derive(Debug, Parser)]
#[command(
    name = "lbctl",
    version,
    disable_help_subcommand = false,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// Flags every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of all verbs")]
pub(crate) struct Global {
    #[arg(
        help = "An agent: ssh://[user@]host[:port] or unix:PATH; may be repeated",
        short = 'H',
        long,
        value_name = "URL",
        env = "LBCTL_HOST",
        value_delimiter = ',',
        global = true
    )]
    pub(crate) host: Vec<String>,
    /// All hosts of a cluster of the configuration file; without a name those of its default_cluster
    #[arg(
        short = 'C',
        long,
        value_name = "NAME",
        env = "LBCTL_CLUSTER",
        num_args = 0..=1,
        default_missing_value = "",
        global = true
    )]
    pub(crate) cluster: Option<String>,
    /// Path of the agent's socket
    #[arg(short, long, value_name = "PATH", env = "LBCTL_SOCKET", global = true)]
    pub(crate) socket: Option<PathBuf>,
    /// Form of the output
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FMT",
        default_value = "table",
        global = true
    )]
    pub(crate) output: Output,
    /// Only these columns of a list, in this order
    #[arg(long, value_delimiter = ',', value_name = "A,B", global = true)]
    pub(crate) columns: Vec<String>,
    /// Sort a list by a column; -COLUMN for descending
    #[arg(long, value_name = "[-]COLUMN", allow_hyphen_values = true, global = true)]
    pub(crate) sort: Option<String>,
    /// Narrow a list or selection: 'st:down svc:web* for:>5m'
    #[arg(long, value_name = "EXPR", global = true)]
    pub(crate) filter: Option<String>,
    /// No column headers
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Full numbers instead of 6.1M
    #[arg(long, global = true)]
    pub(crate) exact: bool,
    /// Times of day in UTC
    #[arg(long, global = true)]
    pub(crate) utc: bool,
    /// Lists: again and again
    #[arg(
        long,
        value_name = "EVERY",
        num_args = 0..=1,
        default_missing_value = "2s",
        require_equals = true,
        global = true
    )]
    pub(crate) watch: Option<String>,
    /// Verbs that read: as it was within the last 15 minutes; -5m, 09:07:27 or 2026-11-20T09:07:27Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, global = true)]
    pub(crate) at: Option<String>,
    /// How long a connection may take, each
    #[arg(long, value_name = "DUR", default_value = "5s", global = true)]
    pub(crate) connect_timeout: String,
    /// When to colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN", global = true)]
    pub(crate) color: When,
    /// Only errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More detail on stderr
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// For eyes
    Table,
    /// More columns
    Wide,
    /// One document
    Json,
    /// One object per line
    Jsonl,
    /// One canonical selector per line
    Name,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// Flags of verbs that change something.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Acting {
    /// Say what would happen, change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Answer yes to questions
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Override a guard that refused
    #[arg(long)]
    pub(crate) force: bool,
    /// Why; kept with the change and shown in every status
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub(crate) message: String,
    /// Every object of the verb's kind
    #[arg(long)]
    pub(crate) all: bool,
    /// Several hosts: go on with the next one after a failure
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// The same key within ten minutes acts once
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Only if it is still so: state=up,weight=100,priority=150,override=none, or some of them
    #[arg(long, value_name = "FACTS")]
    pub(crate) expect: Option<String>,
    /// Effects this program knows of and the agent does not.
    #[arg(skip)]
    pub(crate) effects: Vec<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Verb {
    /// Problems, overrides, totals
    #[command(visible_alias = "st")]
    Status {
        /// Only of these: instances, groups, trackers (who follows them), services, servers
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// The head only
        #[arg(long)]
        short: bool,
    },
    /// VRRP instances
    Vrrp {
        /// Instances: names, 'patterns', group:NAME for the members of a sync group
        #[arg(value_name = "INSTANCE")]
        targets: Vec<String>,
    },
    /// Virtual servers
    #[command(visible_aliases = ["svc", "vs"])]
    Services {
        /// Services: names, VIP:PORT[/PROTO], fwmark:N, 'patterns'
        #[arg(value_name = "SERVICE")]
        targets: Vec<String>,
    },
    /// Real servers
    #[command(visible_alias = "rs")]
    Servers {
        /// Servers: SERVICE/ADDRESS, with :PORT where two differ in it, ADDRESS for it in every service, SERVICE for all of it, 'patterns'
        #[arg(value_name = "SERVER")]
        targets: Vec<String>,
    },
    /// Everything about one object
    Show {
        /// Instances, services, servers, trackers; vrrp:, vs:, rs: or script: before a name that is used twice
        #[arg(value_name = "TARGET", required = true)]
        targets: Vec<String>,
    },
    /// Why an object is in the state it is in, and what would change that
    Why {
        /// Instances, services, servers, trackers; vrrp:, vs:, rs: or script: before a name that is used twice
        #[arg(value_name = "TARGET", required = true)]
        targets: Vec<String>,
    },
    /// What would happen: the agent's engine looks ahead, nothing is changed
    ///
    /// Events: interface NAME up|down, script NAME ok|fail, server SERVER up|down, peer ADDRESS silent, peer ADDRESS
    /// priority N, or a change: drain, undrain, disable SERVER, weight SERVER W, promote, demote, release INSTANCE.
    /// Several events are put into quotes: lbctl what-if 'interface eth1 down' 'peer 192.0.2.3 silent'
    WhatIf {
        /// What happens, in this order
        #[arg(value_name = "EVENT", required = true, allow_hyphen_values = true)]
        events: Vec<String>,
        /// How far to look; put it before the events
        #[arg(long = "for", value_name = "DUR", default_value = "30s")]
        span: String,
    },
    /// What happened
    Events(Events),
    /// What happens to these targets
    Watch {
        /// Only of these: instances, services, servers, trackers; vrrp:, vs:, rs: or script: before a name that is used twice
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Counters and refused adverts
    Stats {
        /// Only of these: instances, services, servers; vrrp:, vs: or rs: before a name that is used twice
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// What was counted since you last asked so; the agent's own counters are never set back
        #[arg(long, conflicts_with = "at")]
        since_last: bool,
        /// Only what is counted per second
        #[arg(long, conflicts_with_all = ["total", "errors"])]
        rate: bool,
        /// Only what was counted in all
        #[arg(long, conflicts_with = "errors")]
        total: bool,
        /// Only the adverts that were refused, with the reasons
        #[arg(long)]
        errors: bool,
    },
    /// Weight 0, and let connections end
    Drain(Drain),
    /// Back to the configured weight; also ends a disable
    #[command(visible_alias = "enable")]
    Undrain {
        /// Servers: SERVICE/ADDRESS, with :PORT where two differ in it, ADDRESS for it in every service, 'patterns' such as 'web/*'
        #[arg(value_name = "SERVER")]
        targets: Vec<String>,
        /// Raise the weight in ten steps, the first at once, the full weight after this long
        #[arg(long, value_name = "DUR")]
        ramp: Option<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Out of IPVS now
    Disable {
        /// Servers: SERVICE/ADDRESS, with :PORT where two differ in it, ADDRESS for it in every service, 'patterns' such as 'web/*'
        #[arg(value_name = "SERVER")]
        targets: Vec<String>,
        /// Even if that cuts active connections
        #[arg(long)]
        cut: bool,
        #[command(flatten)]
        acting: Acting,
    },
    /// A weight until `config` is asked for: 50, +10, -10, 50%, config
    Weight {
        /// Servers, and last the weight
        #[arg(
            value_name = "SERVER... WEIGHT",
            required = true,
            allow_negative_numbers = true
        )]
        targets: Vec<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Run the checks once, now, and show how each ends; changes nothing
    Test {
        /// Servers: SERVICE/ADDRESS, with :PORT where two differ in it, ADDRESS for it in every service, 'patterns' such as 'web/*'
        #[arg(value_name = "SERVER")]
        targets: Vec<String>,
        /// Only say which checks would be run
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Make this node MASTER
    Promote(Promote),
    /// Give the addresses up and stay BACKUP
    Demote {
        /// Instances: names, 'patterns', group:NAME for the members of a sync group
        #[arg(value_name = "INSTANCE")]
        targets: Vec<String>,
        /// Stay BACKUP even when nobody else is MASTER
        #[arg(long)]
        hard: bool,
        #[command(flatten)]
        waiting: Waiting,
        #[command(flatten)]
        acting: Acting,
    },
    /// End a promote or demote
    Release {
        /// Instances: names, 'patterns', group:NAME for the members of a sync group
        #[arg(value_name = "INSTANCE")]
        targets: Vec<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Take back your last change, within ten minutes and while it still stands
    Undo {
        #[command(flatten)]
        acting: Acting,
    },
    /// Load the configuration file again
    Reload {
        /// Say what would change, change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Even if a MASTER instance disappears, or a drain leaves nobody to serve
        #[arg(long)]
        force: bool,
        /// For so long, unless 'reload --confirmed' comes in time; else what is in force now comes back
        #[arg(long, value_name = "DUR", conflicts_with = "confirmed")]
        confirm: Option<String>,
        /// The configuration that waits to be confirmed stays; nothing is loaded
        #[arg(long, conflicts_with_all = ["dry_run", "force", "drain_removed"])]
        confirmed: bool,
        /// Servers that are not in the new file drain first, for at most this long (or never: without a limit)
        #[arg(long, value_name = "DUR")]
        drain_removed: Option<String>,
    },
    /// How much the agent logs, of everything or of one object; with a level, for a while
    Log {
        /// error, warn, info, debug, trace, or default for what the agent was started with; with NAME= before it only for
        /// the events of an instance, a service, a server, a tracker, or of a kind: vrrp, track, check, service, action, ...
        #[arg(value_name = "[NAME=]LEVEL")]
        level: Vec<String>,
        /// It goes back by itself after this long; 30m when not said
        #[arg(long = "for", value_name = "DUR")]
        lasting: Option<String>,
        /// Say what would change, change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// A question with yes or no as exit status: is it up, is this instance master, is this server drained
    Is {
        /// up, ready, master, backup, released, drained, enabled, disabled or healthy
        #[arg(value_name = "QUESTION")]
        cond: String,
        /// Of whom: instances (master, backup, released), servers (drained, enabled, disabled), services (healthy)
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
    },
    /// Wait until the answer of `is` is yes
    Wait {
        /// The question of `is` that is to become true
        #[arg(value_name = "CONDITION")]
        cond: String,
        /// Of whom: instances (master, backup, released), servers (drained, enabled, disabled), services (healthy)
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        /// Give up after this long
        #[arg(long, value_name = "DUR", default_value = "1m")]
        timeout: String,
    },
    /// The last 15 minutes: samples of objects, and how the checks of servers ended
    History(HistoryArgs),
    /// Everything that is measured, in the text form Prometheus reads
    Metrics(Metrics),
    /// JSON lines to and from the socket
    Raw {
        /// Requests; standard input without any
        #[arg(value_name = "JSON")]
        requests: Vec<String>,
        /// Print the JSON Schema of every request, answer and event; asks no agent
        #[arg(long, conflicts_with = "requests")]
        schema: bool,
    },
    /// Write a session to a file: the past, then what happens, until Ctrl-C
    Record(Record),
    /// Print a recorded session: its events, or with -o jsonl all of it; one of lbtui's is played in the dashboard
    Replay {
        /// A file that `lbctl record` or `lbtui --record` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// What somebody who helps needs to see, in one archive; nothing is sent anywhere
    Bundle {
        /// The archive to write
        #[arg(short, long, value_name = "FILE.tar.gz")]
        write: PathBuf,
        /// Put other addresses in the place of public ones, each the same everywhere
        #[arg(long)]
        redact: bool,
    },
    /// Hosts of the cluster: reachability, versions, roles, clocks
    Hosts,
    /// Standard input and output joined to the agent's socket: what ssh runs on another host
    Proxy,
    /// Check a configuration file; needs no agent
    CheckConfig {
        /// The file; without it the one the agent would load
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// The other node's file: whether the two agree, and whether a failed check moves the addresses to it
        #[arg(long, value_name = "FILE")]
        peer: Option<PathBuf>,
        /// Exit 1 for warnings too
        #[arg(long)]
        strict: bool,
    },
    /// What on this host defeats the configuration: kernel settings, modules, interfaces; needs no agent
    Doctor {
        /// The configuration file; without it the one the agent would load
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Judge this host as a real server of this virtual address (DR or TUN)
        #[arg(long, value_name = "VIP")]
        real_server: Option<std::net::IpAddr>,
        /// Exit 1 for warnings too
        #[arg(long)]
        strict: bool,
    },
    /// The configuration language and what is in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// The dashboard
    #[command(visible_alias = "tui")]
    Top {
        /// Passed on to lbtui
        #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Completions for a shell
    Completion {
        /// The shell that reads what is printed
        shell: clap_complete::Shell,
    },
    /// The manual page of a verb, of all, or of the `socket`
    Man {
        /// The verb, or `socket`; without it the page of lbctl itself
        #[arg(value_name = "VERB")]
        verb: Option<String>,
        /// Write all pages into this folder
        #[arg(long, value_name = "DIR", conflicts_with = "verb")]
        to: Option<PathBuf>,
    },
    /// What could come next on a command line; for the shells' completions
    #[command(name = "__complete", hide = true)]
    Complete {
        #[arg(last = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Versions of this program and the agent
    Version,
}

/// What `config` can be asked.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// A keyword: where it stands, what it takes, its range and default; needs no agent
    Explain {
        /// The keyword, as it stands in the file
        #[arg(value_name = "KEYWORD")]
        keyword: String,
    },
    /// What is in force: includes read, definitions put in, secrets hidden, each line with its file and number
    Show {
        /// Every setting of every object instead, also those that no line says
        #[arg(long)]
        defaults: bool,
    },
    /// What the file on disk would change of what is in force, from what to what; changes nothing
    ///
    /// With two hosts (--host A --host B): what is in force on A against what is in force on B, first what can cause two
    /// masters.
    Diff,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Promote {
    /// Instances: names, 'patterns', group:NAME for the members of a sync group
    #[arg(value_name = "INSTANCE")]
    pub(crate) targets: Vec<String>,
    /// End it by itself after this long
    #[arg(long = "for", value_name = "DUR")]
    pub(crate) lasting: Option<String>,
    /// Whether the agent of the present master, in the same cluster, has to be seen to yield
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub(crate) handover: Handover,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Instances, services, servers; vrrp:, vs: or rs: before a name that is used twice
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,
    /// Not older than this
    #[arg(long, value_name = "DUR")]
    pub(crate) since: Option<String>,
    /// At most one sample in this long
    #[arg(long, value_name = "DUR")]
    pub(crate) step: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Metrics {
    /// Servers with series of their own: full, unhealthy or none; else as the agent was started
    #[arg(long, value_name = "WHICH")]
    pub(crate) servers: Option<String>,
    /// Also under the names of keepalived's exporter
    #[arg(long)]
    pub(crate) compat: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Record {
    /// The file to write; with .gz at the end it is compressed
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: PathBuf,
    /// End by itself after this long
    #[arg(long = "for", value_name = "DUR")]
    pub(crate) lasting: Option<String>,
    /// Begin with the events of this long
    #[arg(long, value_name = "DUR", default_value = "15m")]
    pub(crate) before: String,
    /// How often the counters are written
    #[arg(long, value_name = "EVERY", default_value = "5s")]
    pub(crate) sample: String,
}

/// What the other side of a promote is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Handover {
    /// Where its agent can be reached; refused where it should and cannot
    Auto,
    /// Only where its agent can be reached
    Require,
    /// Not at all
    Never,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Events {
    /// Only of these: instances, services, servers, trackers; vrrp:, vs:, rs: or script: before a name that is used twice
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// Not older than this
    #[arg(long, value_name = "DUR")]
    pub(crate) since: Option<String>,
    /// Not younger than this
    #[arg(long, value_name = "DUR")]
    pub(crate) until: Option<String>,
    /// Only these kinds: vrrp,track,check,service,action,config,ipvs,link,agent,lost
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    /// Go on with what happens
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// The newest so many
    #[arg(long, default_value_t = 200)]
    pub(crate) limit: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Drain {
    /// Servers: SERVICE/ADDRESS, with :PORT where two differ in it, ADDRESS for it in every service, 'patterns' such as 'web/*'
    #[arg(value_name = "SERVER")]
    pub(crate) targets: Vec<String>,
    /// When the drain ends at the latest; or `never`
    #[arg(long, value_name = "DUR", default_value = "10m")]
    pub(crate) timeout: String,
    /// What happens then
    #[arg(long, value_enum, default_value = "keep")]
    pub(crate) then: Then,
    /// Wait for inactive connections too (closing, UDP): drained means that there are none of any kind
    #[arg(long)]
    pub(crate) inactive: bool,
    /// Follow it to its end
    #[arg(long)]
    pub(crate) wait: bool,
    /// Follow a drain that is under way; starts none
    #[arg(long)]
    pub(crate) follow: bool,
    /// How often progress is printed without a terminal
    #[arg(long, value_name = "EVERY", default_value = "30s")]
    pub(crate) progress: String,
    #[command(flatten)]
    pub(crate) acting: Acting,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Then {
    /// The weight stays 0
    Keep,
    /// Back into rotation
    Undrain,
    /// Out of IPVS; what is left is cut
    Disable,
}

/// How long to wait for the new state.
#[derive(Clone, Debug, Args)]
pub(crate) struct Waiting {
    /// Wait for the new state (the default)
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Return at once
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DUR", default_value = "10s")]
    pub(crate) timeout: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_weight_step_is_no_flag() {
        let cli = Cli::try_parse_from(["lbctl", "weight", "web/198.51.100.24", "-10"]).unwrap();
        match cli.verb {
            Some(Verb::Weight { targets, .. }) => assert_eq!(targets, ["web/198.51.100.24", "-10"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_may_follow_a_weight() {
        for words in [["web/a", "50", "--dry-run"], ["web/a", "-10", "--dry-run"]] {
            let cli = Cli::try_parse_from(["lbctl", "weight"].into_iter().chain(words)).unwrap();
            match cli.verb {
                Some(Verb::Weight { targets, .. }) => assert_eq!(targets, words[..2]),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn watch_takes_its_interval_only_with_an_equals_sign() {
        let cli = Cli::try_parse_from(["lbctl", "servers", "--watch", "web"]).unwrap();
        assert_eq!(cli.global.watch.as_deref(), Some("2s"));
        assert!(matches!(cli.verb, Some(Verb::Servers { targets }) if targets == ["web"]));
    }
}
