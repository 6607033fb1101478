//! Virtual routers, their groups and what is tracked for them.

use super::bfd::BfdTrack;
use super::file::Multiplier;
use super::notify::{NotifyScripts, Script};
use super::own_link::{Ipvlan, OwnLink, Vmac};
use super::routing::{Route, Rule};
use super::signing::Signing;
use lb_shared::names::{Family, GroupName, InstanceName};
use lb_shared::units::{Priority, Vrid};
use std::net::IpAddr;
use std::time::Duration;

/// The version spoken on the wire.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum VrrpVersion {
    /// RFC 3768: whole seconds, optional plain-text password.
    V2,
    /// RFC 5798 and 9568: centiseconds, both families.
    V3,
}

impl VrrpVersion {
    /// As it stands on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// How adverts show who sent them. Anybody on the link can read a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Authentication {
    None,
    /// `auth_type PASS`: eight bytes, padded with zeros.
    Pass([u8; 8]),
    /// `auth_type AH`: each advert carries a keyed checksum and a growing number. The key is padded with zeros.
    Header([u8; 8]),
    /// `auth_hmac`: each advert ends in a keyed checksum and a growing number. Both versions, both families.
    Signed(Signing),
}

/// One `vrrp_instance`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    pub name: InstanceName,
    pub family: Family,
    pub version: VrrpVersion,
    pub vrid: Vrid,
    /// `None` only for a unicast instance without `interface`.
    pub interface: Option<String>,
    /// Of a unicast instance without `interface`: the VRF its adverts come and go by.
    pub vrf: Option<String>,
    /// `use_vmac`: adverts and addresses are on an interface of its own.
    pub vmac: Option<Vmac>,
    /// `use_ipvlan`; never together with `vmac`.
    pub ipvlan: Option<Ipvlan>,
    /// `use_vmac_addr` and `use_vmac` of an address: the interfaces of addresses that are not on `vmac`.
    pub address_vmacs: Vec<OwnLink>,
    /// `state MASTER`: matters only together with priority 255 (as keepalived).
    pub initial_master: bool,
    pub priority: Priority,
    pub advert_interval: Duration,
    /// `down_timer_adverts`: adverts missed before a backup takes over; 3.
    pub down_timer_adverts: u8,
    pub authentication: Authentication,
    pub preempt: bool,
    pub preempt_delay: Duration,
    /// Source of adverts: `mcast_src_ip` or `unicast_src_ip`; `None`: the interface's first address.
    pub source: Option<IpAddr>,
    /// `track_src_ip`: the source that is given has to be on the interface.
    pub track_source: bool,
    /// Empty: multicast.
    pub unicast_peers: Vec<UnicastPeer>,
    /// `unicast_ttl`: of adverts to peers.
    pub unicast_ttl: u8,
    /// `vrrp_mcast_group4/6` or the instance's own; the RFC's group by default.
    pub multicast_group: IpAddr,
    pub check_unicast_source: bool,
    /// `unicast_fault_no_peer`.
    pub fault_without_peer: bool,
    /// Advertised and held.
    pub addresses: Vec<VirtualAddress>,
    /// Held, not advertised: `virtual_ipaddress_excluded` and what did not fit.
    pub excluded_addresses: Vec<VirtualAddress>,
    /// `virtual_routes` and `virtual_rules`: there while it is MASTER.
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub garp: Garp,
    /// `garp_extra_if`, where there is something to announce elsewhere.
    pub elsewhere: Option<Elsewhere>,
    pub tracking: Tracking,
    /// Do not fault when the own interface goes down: `dont_track_primary`.
    pub ignore_own_interface: bool,
    /// The interface keeps its other addresses when the first of a subnet goes.
    pub promote_secondaries: bool,
    /// `no_accept` or strict: packets to the addresses are not for this host unless it owns them.
    pub accept: bool,
    pub strict: bool,
    pub lower_priority_no_advert: bool,
    pub higher_priority_send_advert: bool,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `v3_checksum_as_v2`: send version 3 over IPv4 without pseudo-header (RFC 9568 §5.2.8).
    pub checksum_without_pseudo_header: bool,
    /// `old_unicast_checksum`.
    pub old_unicast_checksum: OldChecksum,
    /// `timer_expired_backup`: with `nopreempt`, no longer master once it has been silent for so long that a node of
    /// this priority would have taken over.
    pub late_backup: Option<u8>,
    pub owner_ignore_adverts: bool,
    pub notify: NotifyScripts,
    /// `notify_priority_changes`.
    pub notify_priority_changes: bool,
    pub debug: u8,
}

/// What becomes of the checksum that keepalived up to 1.3.6 computes for version 3 to IPv4 peers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OldChecksum {
    /// Whoever sends it is answered with it.
    #[default]
    Detected,
    /// All peers are sent it.
    Always,
    /// It is wrong.
    Never,
}

/// A peer of a unicast instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnicastPeer {
    pub address: IpAddr,
    pub min_ttl: Option<u8>,
    pub max_ttl: Option<u8>,
}

/// One line of `virtual_ipaddress`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct VirtualAddress {
    pub address: IpAddr,
    pub prefix_len: u8,
    /// Where it is put. For a unicast instance without interface it must be given.
    pub device: String,
    pub label: Option<String>,
    /// The kernel's number: 0 global, 200 site, 253 link, 254 host.
    pub scope: u8,
    pub broadcast: Option<IpAddr>,
    /// `no_track`: losing it does not cost mastership, its interface is not tracked.
    pub track: bool,
    pub extras: AddressExtras,
}

/// What else the kernel is told of an address.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub struct AddressExtras {
    /// The other end of a point-to-point link; the prefix length is then that of the other end.
    pub peer: Option<IpAddr>,
    /// `home` (IPv6): of mobile IPv6.
    pub home: bool,
    /// `-nodad` (IPv6): duplicates are looked for before it is used.
    pub dad: bool,
    /// `mngtmpaddr` (IPv6): temporary addresses are made after it.
    pub temporary: bool,
    pub noprefixroute: bool,
    /// `autojoin`: the groups of a multicast address are joined.
    pub autojoin: bool,
    /// In seconds; zero: not chosen as the source of this host's own connections. `None`: for ever.
    pub preferred_s: Option<u32>,
}

impl AddressExtras {
    /// Whether an address that has `have` is as these want it. How long it is preferred runs down by itself, and
    /// whether duplicates were looked for is past.
    pub fn are_met_by(&self, have: &Self) -> bool {
        let told = |it: &Self| Self {
            dad: false,
            preferred_s: None,
            ..it.clone()
        };
        let preferred = match self.preferred_s {
            None => have.preferred_s != Some(0),
            Some(0) => have.preferred_s == Some(0),
            Some(_) => true,
        };
        preferred && told(self) == told(have)
    }
}

/// Gratuitous ARP and unsolicited neighbour adverts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Garp {
    /// `garp_master_repeat`: rounds at once on becoming MASTER; 5.
    pub repeat: u32,
    /// `garp_master_delay`: before the second block; 5 s, zero means none.
    pub delay: Duration,
    /// `garp_master_refresh`: between later rounds; zero means none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`; 1.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_repeat`: rounds after a lower master was heard.
    pub lower_repeat: u32,
    /// `garp_lower_prio_delay`.
    pub lower_delay: Duration,
    /// `vrrp_garp_interval`: between two messages on one interface.
    pub arp_gap: Duration,
    /// `vrrp_gna_interval`.
    pub na_gap: Duration,
}

/// Announcements between the others, for switches that would forget where a MAC is: of one address on each interface
/// other than the one adverts leave by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Elsewhere {
    pub every: Duration,
    /// On every such interface; otherwise on those of the instance's own only.
    pub all: bool,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_repeat: 5,
            lower_delay: Duration::from_secs(5),
            arp_gap: Duration::ZERO,
            na_gap: Duration::ZERO,
        }
    }
}

/// What an instance or a group tracks besides its own interface.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tracking {
    pub interfaces: Vec<InterfaceTrack>,
    pub scripts: Vec<ScriptTrack>,
    pub processes: Vec<ProcessTrack>,
    pub sessions: Vec<BfdTrack>,
    pub files: Vec<FileTrack>,
}

impl Tracking {
    /// Nothing is tracked.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty()
            && self.scripts.is_empty()
            && self.processes.is_empty()
            && self.files.is_empty()
            && self.sessions.is_empty()
    }
}

/// A line of `track_interface`. Weight 0: FAULT while it is down.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceTrack {
    pub interface: String,
    pub weight: i32,
    pub reverse: bool,
}

/// A line of `track_script`, with the weight in force. Weight 0: FAULT while it fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptTrack {
    pub script: String,
    pub weight: i32,
    pub reverse: bool,
}

/// A line of `track_process`, with the weight in force. Weight 0: FAULT while too few or too many run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessTrack {
    pub process: String,
    pub weight: i32,
    pub reverse: bool,
}

/// A line of `track_file`, with the weight in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileTrack {
    pub file: String,
    pub multiplier: Multiplier,
}

/// A `vrrp_track_process`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VrrpProcess {
    pub name: String,
    pub matching: ProcessMatch,
    /// Fewest processes that are good; at least 1.
    pub quorum: u32,
    pub quorum_max: Option<u32>,
    /// How long there must be enough before that counts.
    pub fork_delay: Duration,
    /// How long there must be too few before that counts.
    pub terminate_delay: Duration,
}

/// Which processes are counted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ProcessMatch {
    /// The command as written.
    pub command: String,
    /// Arguments to compare; `None`: any will do.
    pub parameters: Option<Vec<String>>,
    pub compare: ParamMatch,
    /// `full_command`: compare the command as it was started, not the kernel's short name of it.
    pub full_command: bool,
}

/// `param_match`.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum ParamMatch {
    /// The same arguments.
    #[default]
    Exact,
    /// These arguments first, more may follow.
    Partial,
    /// As `Partial`, and the last one may be longer than written.
    Initial,
}

/// The longest name the kernel keeps of a process, in bytes (`TASK_COMM_LEN` without its end).
const COMM_LEN: usize = 15;

impl ProcessMatch {
    /// Whether a process is meant, by the kernel's short name and the words of its command line.
    pub fn fits(&self, comm: &str, words: &[String]) -> bool {
        let named = if self.full_command {
            words.first().is_some_and(|word| *word == self.command)
        } else {
            let base = self.command.rsplit('/').next().unwrap_or_default();
            let end = base.char_indices().map(|(at, _)| at).chain([base.len()]);
            let cut = end.take_while(|at| *at <= COMM_LEN).last().unwrap_or(0);
            comm == &base[..cut]
        };
        let given = words.get(1..).unwrap_or_default();
        named
            && match (&self.parameters, self.compare) {
                (None, _) => true,
                (Some(wanted), ParamMatch::Exact) => given == &wanted[..],
                (Some(wanted), ParamMatch::Partial) => given.starts_with(wanted),
                (Some(wanted), ParamMatch::Initial) => match wanted.split_last() {
                    None => true,
                    Some((last, first)) => {
                        given.starts_with(first)
                            && given
                                .get(first.len())
                                .is_some_and(|word| word.starts_with(last.as_str()))
                    }
                },
            }
    }
}

/// A `vrrp_script`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VrrpScript {
    pub name: String,
    pub script: Script,
    pub interval: Duration,
    pub timeout: Duration,
    /// Successes in a row that make it good again; at least 1.
    pub rise: u32,
    /// Failures in a row that make it bad; at least 1.
    pub fall: u32,
    /// `init_fail`: bad until its first success, and instances start without waiting for it.
    pub init_fail: bool,
    /// It can never be run: why. It counts as failed, visibly.
    pub broken: Option<String>,
}

/// A `vrrp_sync_group`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SyncGroup {
    pub name: GroupName,
    /// At least one; every one exists in the model.
    pub members: Vec<InstanceName>,
    pub tracking: Tracking,
    /// `sync_group_tracking_weight`.
    pub tracking_weight: bool,
    pub notify: NotifyScripts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_by_its_name_and_by_as_much_of_its_arguments_as_is_asked_for() {
        let words = |text: &str| text.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
        let of = |command: &str, parameters: Option<&str>, compare| ProcessMatch {
            command: command.into(),
            parameters: parameters.map(|text| if text.is_empty() { Vec::new() } else { words(text) }),
            compare,
            full_command: false,
        };
        use ParamMatch::{Exact, Initial, Partial};
        let running = words("/usr/sbin/haproxy -f /etc/haproxy.cfg -W");
        for (wanted, fits) in [
            (of("haproxy", None, Exact), true),
            (of("/opt/haproxy", None, Exact), true),
            (of("hapro", None, Exact), false),
            (of("haproxy", Some("-f /etc/haproxy.cfg -W"), Exact), true),
            (of("haproxy", Some("-f"), Exact), false),
            (of("haproxy", Some(""), Exact), false),
            (of("haproxy", Some("-f"), Partial), true),
            (of("haproxy", Some("-f /etc/ha"), Partial), false),
            (of("haproxy", Some("-f /etc/ha"), Initial), true),
            (of("haproxy", Some("-g"), Initial), false),
        ] {
            assert_eq!(wanted.fits("haproxy", &running), fits, "{wanted:?}");
        }
        let long = of("a-very-long-program-name", None, Exact);
        assert!(long.fits("a-very-long-pro", &words("./a-very-long-program-name")));
        let full = ProcessMatch {
            full_command: true,
            ..of("/usr/sbin/haproxy", None, Exact)
        };
        assert!(full.fits("x", &running) && !full.fits("haproxy", &words("haproxy")));
    }
}
