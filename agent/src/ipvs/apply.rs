//! What the kernel does with an operation: as a pure function for plans and simulations, and what its refusals mean.

use super::IpvsOp;
use super::plan::NO_SCHEDULER;
use super::table::{
    Destination, DestinationCounters, DestinationSettings, IpvsService, IpvsTable, Method, ServiceSettings,
};
use lb_shared::names::{Family, VirtualKey};
use std::net::IpAddr;

/// Why the kernel refuses an operation, as far as IPVS itself decides.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
pub enum Refusal {
    #[error("no such service")]
    NoService,
    #[error("no such server, or no such scheduler or persistence engine in this kernel")]
    NoEntry,
    #[error("it exists")]
    Exists,
    #[error("invalid argument")]
    Invalid,
    #[error("out of range")]
    Range,
}

impl Refusal {
    /// The errno the kernel answers with.
    pub fn errno(self) -> i32 {
        match self {
            Self::NoService => ESRCH,
            Self::NoEntry => ENOENT,
            Self::Exists => EEXIST,
            Self::Invalid => EINVAL,
            Self::Range => ERANGE,
        }
    }
}

// The same on every architecture we run on; this room has no libc.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ERANGE: i32 = 34;

/// What an answer of the kernel means for an operation that should bring about a state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settled {
    /// The state is there.
    Done,
    /// The table was not what we thought; this operation brings the state about.
    Instead(IpvsOp),
    /// Refused.
    Failed,
}

/// Reads an errno (0: carried out) as an answer to "let it be so".
///
/// To add what exists is to edit it; to edit what is missing is to add it; to remove what is missing is done.
pub fn settle(op: &IpvsOp, errno: i32) -> Settled {
    use IpvsOp as Op;
    match (op, errno) {
        (_, 0) => Settled::Done,
        (Op::AddService(key, settings), EEXIST) => Settled::Instead(Op::EditService(*key, settings.clone())),
        (Op::EditService(key, settings), ESRCH) => Settled::Instead(Op::AddService(*key, settings.clone())),
        (Op::AddServer(key, server, settings), EEXIST) => {
            Settled::Instead(Op::EditServer(*key, *server, *settings))
        }
        (Op::EditServer(key, server, settings), ENOENT) => {
            Settled::Instead(Op::AddServer(*key, *server, *settings))
        }
        (Op::RemoveService(_) | Op::RemoveServer(..), ESRCH | ENOENT) => Settled::Done,
        // Another one runs, or none: the next look at the table tells which.
        (Op::StartSync(..), EEXIST) | (Op::StopSync(_), ESRCH) => Settled::Done,
        // A kernel without this switch has nothing to switch.
        (Op::Sysctl { .. }, ENOENT) => Settled::Done,
        _ => Settled::Failed,
    }
}

/// What an errno most likely means for an operation, and what to do about it; `None`: the errno says it all.
pub fn explain(op: &IpvsOp, errno: i32) -> Option<String> {
    use IpvsOp as Op;
    match (op, errno) {
        (_, EPERM) => Some(
            "IPVS needs CAP_NET_ADMIN in the host's own user namespace; an unprivileged container cannot have it"
                .to_owned(),
        ),
        (Op::AddService(_, settings) | Op::EditService(_, settings), ENOENT) => Some(match &settings.engine {
            None => format!(
                "this kernel has no scheduler '{0}' (modprobe ip_vs_{0})",
                settings.scheduler
            ),
            Some(engine) => format!(
                "this kernel lacks scheduler '{0}' or persistence engine '{engine}' (modprobe ip_vs_{0} ip_vs_pe_{engine})",
                settings.scheduler
            ),
        }),
        (Op::EditService(_, settings), EINVAL) if settings.scheduler == "mh" => {
            Some(format!("mh takes at most {MH_SERVER_COUNT_MAX} servers"))
        }
        (Op::StartSync(_, it), ENODEV) => Some(format!("there is no interface {}", it.interface)),
        (Op::StartSync(..), EINVAL) => Some(
            "servers of another family than their service (tunnels) and the sync daemon exclude each other"
                .to_owned(),
        ),
        (Op::AddServer(..) | Op::EditServer(..) | Op::RemoveServer(..), ESRCH) => {
            Some("the service is not there".to_owned())
        }
        (Op::AddServer(key, server, settings), EINVAL) => Some(
            match check_server(key, server.address, settings) {
                Err(Refusal::Invalid) => "not a usable server address, or of another family without a tunnel",
                _ => "the address is not unicast here, or no interface, not even lo, was ever up",
            }
            .to_owned(),
        ),
        _ => None,
    }
}

/// Slots of the `mh` scheduler: with more servers than that it cannot be set.
const MH_SERVER_COUNT_MAX: usize = 4093;

/// The schedulers of Linux 6.1, and `none`.
const SCHEDULERS: [&str; 15] = [
    NO_SCHEDULER,
    "rr",
    "wrr",
    "lc",
    "wlc",
    "lblc",
    "lblcr",
    "dh",
    "sh",
    "sed",
    "nq",
    "fo",
    "ovf",
    "mh",
    "twos",
];

impl IpvsTable {
    /// Does to this table what the kernel would do, or refuses as it would.
    pub fn apply(&mut self, op: &IpvsOp) -> Result<(), Refusal> {
        match op {
            IpvsOp::AddService(key, settings) => {
                check_service(key, settings)?;
                if self.services.contains_key(key) {
                    return Err(Refusal::Exists);
                }
                let service = IpvsService {
                    settings: settings.clone(),
                    destinations: Default::default(),
                };
                self.services.insert(*key, service);
            }
            IpvsOp::EditService(key, settings) => {
                check_service(key, settings)?;
                let service = self.service(key)?;
                if settings.scheduler == "mh" && service.destinations.len() > MH_SERVER_COUNT_MAX {
                    return Err(Refusal::Invalid);
                }
                service.settings = settings.clone();
            }
            IpvsOp::RemoveService(key) => {
                self.services.remove(key).ok_or(Refusal::NoService)?;
            }
            IpvsOp::AddServer(key, server, settings) => {
                let service = self.service(key)?;
                check_server(key, server.address, settings)?;
                if service.destinations.contains_key(server) {
                    return Err(Refusal::Exists);
                }
                let destination = Destination {
                    settings: *settings,
                    counters: DestinationCounters::default(),
                };
                service.destinations.insert(*server, destination);
            }
            IpvsOp::EditServer(key, server, settings) => {
                let service = self.service(key)?;
                check_server(key, server.address, settings)?;
                let destination = service.destinations.get_mut(server).ok_or(Refusal::NoEntry)?;
                destination.settings = *settings;
            }
            IpvsOp::RemoveServer(key, server) => {
                let service = self.service(key)?;
                service.destinations.remove(server).ok_or(Refusal::NoEntry)?;
            }
            IpvsOp::StartSync(role, daemon) => {
                if self.daemons.contains_key(role) {
                    return Err(Refusal::Exists);
                }
                self.daemons.insert(*role, daemon.clone());
            }
            IpvsOp::StopSync(role) => {
                self.daemons.remove(role).ok_or(Refusal::NoService)?;
            }
            IpvsOp::Flush => self.services.clear(),
            IpvsOp::Timeouts(_) | IpvsOp::Sysctl { .. } => {}
        }
        Ok(())
    }

    fn service(&mut self, key: &VirtualKey) -> Result<&mut IpvsService, Refusal> {
        self.services.get_mut(key).ok_or(Refusal::NoService)
    }
}

/// The family of the packets a service takes.
pub fn family(key: &VirtualKey) -> Family {
    match key {
        VirtualKey::Address { address, .. } => Family::of(*address),
        VirtualKey::Fwmark { family, .. } => *family,
    }
}

fn check_service(key: &VirtualKey, settings: &ServiceSettings) -> Result<(), Refusal> {
    if settings.scheduler.len() > 15 {
        return Err(Refusal::Invalid);
    }
    if !SCHEDULERS.contains(&settings.scheduler.as_str()) {
        return Err(Refusal::NoEntry);
    }
    if settings.engine.as_deref().is_some_and(|engine| engine != "sip") {
        return Err(Refusal::NoEntry);
    }
    if family(key) == Family::Inet6 && !(1..=128).contains(&settings.prefix_len) {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

fn check_server(key: &VirtualKey, address: IpAddr, settings: &DestinationSettings) -> Result<(), Refusal> {
    if i32::try_from(settings.weight).is_err() || settings.lower_threshold > settings.upper_threshold {
        return Err(Refusal::Range);
    }
    let unfit = match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    };
    let mixed = Family::of(address) != family(key);
    let tunnel = match settings.method {
        Method::Tunnel { kind, port, .. } => {
            if kind == GUE && port == 0 {
                return Err(Refusal::Invalid);
            }
            true
        }
        Method::Masquerade | Method::Local | Method::Direct | Method::Bypass => false,
    };
    if unfit || (mixed && !tunnel) {
        return Err(Refusal::Invalid);
    }
    Ok(())
}

/// `IP_VS_CONN_F_TUNNEL_TYPE_GUE`.
const GUE: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> VirtualKey {
        text.parse().unwrap()
    }

    fn service(scheduler: &str) -> ServiceSettings {
        ServiceSettings {
            scheduler: scheduler.to_owned(),
            flags: 0,
            timeout_s: 0,
            prefix_len: 32,
            engine: None,
        }
    }

    fn server(method: Method) -> DestinationSettings {
        DestinationSettings {
            method,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
        }
    }

    #[test]
    fn a_missing_service_and_a_missing_server_are_told_apart() {
        let (web, one) = (key("192.0.2.1:80/tcp"), "10.0.0.1:80".parse().unwrap());
        let mut table = IpvsTable::default();
        let it = server(Method::Direct);
        for op in [
            IpvsOp::EditService(web, service("rr")),
            IpvsOp::RemoveService(web),
            IpvsOp::AddServer(web, one, it),
            IpvsOp::EditServer(web, one, it),
            IpvsOp::RemoveServer(web, one),
        ] {
            assert_eq!(table.apply(&op), Err(Refusal::NoService), "{op}");
        }
        table.apply(&IpvsOp::AddService(web, service("rr"))).unwrap();
        assert_eq!(
            table.apply(&IpvsOp::AddService(web, service("rr"))),
            Err(Refusal::Exists)
        );
        for op in [IpvsOp::EditServer(web, one, it), IpvsOp::RemoveServer(web, one)] {
            assert_eq!(table.apply(&op), Err(Refusal::NoEntry), "{op}");
        }
    }

    #[test]
    fn what_the_kernel_checks_is_checked() {
        let web = key("192.0.2.1:80/tcp");
        let mut table = IpvsTable::default();
        assert_eq!(
            table.apply(&IpvsOp::AddService(web, service("nosuch"))),
            Err(Refusal::NoEntry)
        );
        assert_eq!(
            table.apply(&IpvsOp::AddService(web, service("sixteen_letters_"))),
            Err(Refusal::Invalid)
        );
        table.apply(&IpvsOp::AddService(web, service("wlc"))).unwrap();
        let heavy = DestinationSettings {
            weight: 1 << 31,
            ..server(Method::Direct)
        };
        let crossed = DestinationSettings {
            lower_threshold: 5,
            upper_threshold: 4,
            ..server(Method::Direct)
        };
        let tunnel = |kind| Method::Tunnel {
            kind,
            port: 0,
            flags: 0,
        };
        let cases = [
            ("10.0.0.1:80", server(Method::Masquerade), Ok(())),
            ("10.0.0.2:80", heavy, Err(Refusal::Range)),
            ("10.0.0.2:80", crossed, Err(Refusal::Range)),
            ("10.0.0.2:80", server(tunnel(GUE)), Err(Refusal::Invalid)),
            ("224.0.0.1:80", server(Method::Direct), Err(Refusal::Invalid)),
            ("[2001:db8::1]:80", server(Method::Direct), Err(Refusal::Invalid)),
            ("[2001:db8::1]:80", server(tunnel(0)), Ok(())),
        ];
        for (address, settings, wanted) in cases {
            let op = IpvsOp::AddServer(web, address.parse().unwrap(), settings);
            assert_eq!(table.apply(&op), wanted, "{op}");
        }
    }

    #[test]
    fn an_operation_against_a_changed_table_is_settled() {
        let (web, one) = (key("192.0.2.1:80/tcp"), "10.0.0.1:80".parse().unwrap());
        let it = server(Method::Direct);
        let cases = [
            (IpvsOp::RemoveService(web), ESRCH, Settled::Done),
            (IpvsOp::RemoveServer(web, one), ENOENT, Settled::Done),
            (IpvsOp::RemoveServer(web, one), ESRCH, Settled::Done),
            (IpvsOp::RemoveServer(web, one), EINVAL, Settled::Failed),
            (
                IpvsOp::AddServer(web, one, it),
                EEXIST,
                Settled::Instead(IpvsOp::EditServer(web, one, it)),
            ),
            (
                IpvsOp::EditServer(web, one, it),
                ENOENT,
                Settled::Instead(IpvsOp::AddServer(web, one, it)),
            ),
            (IpvsOp::EditServer(web, one, it), ESRCH, Settled::Failed),
            // A scheduler that is not there, not a service that is not there.
            (IpvsOp::EditService(web, service("twos")), ENOENT, Settled::Failed),
            (IpvsOp::AddServer(web, one, it), 0, Settled::Done),
        ];
        for (op, errno, wanted) in cases {
            assert_eq!(settle(&op, errno), wanted, "{op}: {errno}");
        }
    }
}
