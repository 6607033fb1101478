//! Names and places that depend on what the product is called. Change them here only.

/// The agent's program name, also the syslog ident.
pub const AGENT: &str = "lbagent";
/// Configuration read when no `-f` is given and the file exists.
pub const CONFIG: &str = "/etc/lbagent/lbagent.conf";
/// Configuration read when [`CONFIG`] does not exist: the file keepalived reads.
pub const CONFIG_KEEPALIVED: &str = "/etc/keepalived/keepalived.conf";
/// Folder of the socket, the lock and the ledger of owned addresses; gone after a reboot.
pub const RUN_DIR: &str = "/run/lbagent";
/// Folder of the operators' overrides; survives reboots.
pub const STATE_DIR: &str = "/var/lib/lbagent";
/// The control socket inside the run folder.
pub const SOCKET: &str = "agent.sock";
/// The optional socket on which every peer is a viewer.
pub const SOCKET_READ_ONLY: &str = "agent-ro.sock";
/// Members are admins.
pub const GROUP_ADMIN: &str = "lbadmin";
/// Members are operators.
pub const GROUP_OPERATOR: &str = "lboper";
/// Prefix of every metric.
pub const METRICS_PREFIX: &str = "lbagent_";
