//! `lbctl doctor`: what of this host defeats a configuration, or the work of a real server.
//!
//! The judgement knows the host by [`Host`] alone, so that tests can make one.

use super::loader::{self, Verdict};
use super::lock;
use crate::model::{Forwarding, Model, Service};
use lb_shared::diagnostic::{Diagnostic, Severity};
use lb_shared::names::Family;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;

/// What is asked of the host.
struct Host<'a> {
    /// The text of a small file, such as `/proc/sys/net/ipv4/ip_forward`, without its line end.
    read: &'a dyn Fn(&str) -> Option<String>,
    /// Interface, address and prefix length.
    addresses: Vec<(String, IpAddr, u8)>,
    /// A keepalived of this network namespace.
    keepalived: Option<u32>,
}

impl Host<'_> {
    fn number(&self, path: &str) -> Option<i64> {
        (self.read)(path)?.parse().ok()
    }

    /// A setting of an interface: the greater of its own and that of all counts.
    fn greater(&self, interface: &str, name: &str) -> Option<i64> {
        let of = |which: &str| self.number(&format!("/proc/sys/net/ipv4/conf/{which}/{name}"));
        of(interface).max(of("all"))
    }
}

/// How `lbctl doctor` is asked.
#[derive(Default)]
pub struct Asked {
    pub config_id: Option<String>,
    /// Judge this host as a real server of this virtual address.
    pub real_server: Option<IpAddr>,
    /// Warnings count as errors.
    pub strict: bool,
    pub json: bool,
}

/// Looks and tells; 0: nothing in the way, 1: errors.
pub fn run(file: &Path, asked: Asked) -> ExitCode {
    let read = |path: &str| Some(fs::read_to_string(path).ok()?.trim_end().to_owned());
    let host = Host {
        read: &read,
        addresses: addresses(),
        keepalived: lock::running_keepalived().map(|it| it.pid),
    };
    let (findings, what) = match asked.real_server {
        Some(address) => (real_server(address, &host), format!("a real server of {address}")),
        None => (
            of_file(file, asked.config_id.as_deref(), &host),
            file.display().to_string(),
        ),
    };
    let verdict = Verdict {
        good: "nothing on this host is in its way",
        bad: "this host is in its way",
        strict: asked.strict,
        json: asked.json,
    };
    verdict.tell(&findings, &what, false)
}

/// What this host has to do with a file. The file's own mistakes are for check-config to tell.
fn of_file(file: &Path, config_id: Option<&str>, host: &Host<'_>) -> Vec<Diagnostic> {
    let loaded = loader::load(file, config_id.map(str::to_owned), None, None);
    let held = loaded.model.as_ref().map(held).unwrap_or_default();
    // All advice, for that of the host is among it.
    let here = loader::load(file, config_id.map(str::to_owned), Some(&held), Some(None));
    let of_host = |it: &Diagnostic| it.code.starts_with('H') || it.code == "E-19" || it.code == "E-25";
    let mut findings: Vec<Diagnostic> = here.findings.into_iter().filter(of_host).collect();
    match &here.model {
        Some(model) => findings.extend(director(model, host)),
        None => findings.push(finding(
            Severity::Error,
            "H-25",
            format!("{} cannot be read as a configuration", file.display()),
            &[
                &format!("see 'lbctl check-config {}'", file.display()),
                "nothing was looked at on its behalf",
            ],
        )),
    }
    findings
}

fn addresses() -> Vec<(String, IpAddr, u8)> {
    let of = |(name, all): (String, Vec<(IpAddr, u8)>)| {
        let each = all.into_iter();
        each.map(move |(address, length)| (name.clone(), address, length))
    };
    loader::subnets().into_iter().flat_map(of).collect()
}

fn held(model: &Model) -> BTreeSet<IpAddr> {
    let lists = (model.instances.values()).flat_map(|it| [&it.addresses, &it.excluded_addresses]);
    lists.flatten().map(|it| it.address).collect()
}

fn finding(severity: Severity, code: &str, message: String, notes: &[&str]) -> Diagnostic {
    let mut finding = Diagnostic::new(severity, code, message);
    finding.notes = notes.iter().map(|&note| note.to_owned()).collect();
    finding
}

/// What stands in the way of a director.
fn director(model: &Model, host: &Host<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if let Some(pid) = host.keepalived {
        found.push(finding(
            Severity::Error,
            "H-10",
            format!("a keepalived (pid {pid}) runs in this network namespace"),
            &[
                "two daemons would fight over the addresses; the agent does not start beside it",
                "systemctl disable --now keepalived",
            ],
        ));
    }
    interfaces(model, host, &mut found);
    if !model.instances.is_empty() {
        firewall(model, host, &mut found);
    }
    if !model.services.is_empty() {
        forwarding(model, host, &mut found);
        table(model, host, &mut found);
        modules(model, host, &mut found);
    }
    found
}

fn interfaces(model: &Model, host: &Host<'_>, found: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for it in model.instances.values() {
        let object = format!("vrrp:{}", it.name);
        if let Some(name) = it
            .interface
            .as_deref()
            .filter(|name| seen.insert((*name).to_owned()))
        {
            let state = (host.read)(&format!("/sys/class/net/{name}/operstate"));
            if state.as_deref() == Some("down") || state.as_deref() == Some("lowerlayerdown") {
                let notes: &[&str] = &[
                    "the instance is in FAULT until it is up",
                    "ip link set dev NAME up",
                ];
                let text = format!("interface {name} is down");
                found.push(finding(Severity::Error, "H-11", text, notes).about(object.as_str()));
            }
        }
    }
}

/// The one rule a firewall needs, instead of none at all.
fn firewall(model: &Model, host: &Host<'_>, found: &mut Vec<Diagnostic>) {
    let tables = (host.read)("/proc/net/ip_tables_names").is_some_and(|text| !text.is_empty());
    let nft = (host.read)("/sys/module/nf_tables/refcnt").is_some_and(|count| count != "0");
    if !tables && !nft {
        return;
    }
    let from = model.instances.values().find_map(|it| it.unicast_peers.first());
    let rule = match from {
        Some(peer) => format!(
            "nft insert rule inet filter input ip saddr {} ip protocol vrrp accept",
            peer.address
        ),
        None => "nft insert rule inet filter input ip daddr 224.0.0.18 ip protocol vrrp accept".to_owned(),
    };
    found.push(finding(
        Severity::Hint,
        "E-30",
        "this host can filter packets: VRRP is protocol 112, in and out".to_owned(),
        &[
            "without it both nodes become MASTER; nothing else has to be switched off, neither firewall nor SELinux",
            &format!("the one rule, if the table is called so: {rule}"),
        ],
    ));
}

fn forwarding(model: &Model, host: &Host<'_>, found: &mut Vec<Diagnostic>) {
    let nat = |family| {
        let mut services = model.services.values();
        services.any(|it| {
            let mut servers = it.servers.values();
            it.family == family && servers.any(|server| server.forwarding == Forwarding::Nat)
        })
    };
    for (family, path) in [
        (Family::Inet, "net/ipv4/ip_forward"),
        (Family::Inet6, "net/ipv6/conf/all/forwarding"),
    ] {
        if nat(family) && host.number(&format!("/proc/sys/{path}")) == Some(0) {
            let name = path.replace('/', ".");
            found.push(finding(
                Severity::Error,
                "H-12",
                format!("{name} is 0, and there are servers behind NAT"),
                &[
                    "answers of the servers are not passed on to the clients",
                    &format!("sysctl -w {name}=1, and write it into /etc/sysctl.d/"),
                ],
            ));
        }
    }
    let devices: BTreeSet<&str> = (model.instances.values())
        .flat_map(|it| &it.addresses)
        .filter(|it| it.address.is_ipv4())
        .map(|it| it.device.as_str())
        .collect();
    for device in devices {
        if host.greater(device, "rp_filter") == Some(1) {
            found.push(finding(
                Severity::Hint,
                "H-13",
                format!("rp_filter is strict on {device}"),
                &[
                    "packets of clients whose way back leads through another interface are dropped without a word",
                    &format!("if there are such clients: sysctl -w net.ipv4.conf.{device}.rp_filter=2"),
                ],
            ));
        }
    }
}

/// Settings of IPVS itself.
fn table(model: &Model, host: &Host<'_>, found: &mut Vec<Diagnostic>) {
    let value = |name: &str| host.number(&format!("/proc/sys/net/ipv4/vs/{name}"));
    let mut say = |code: &str, name: &str, is: i64, want: i64, what: &str, more: &str| {
        found.push(finding(
            Severity::Warning,
            code,
            format!("net.ipv4.vs.{name} is {is}: {what}"),
            &[
                more,
                &format!("sysctl -w net.ipv4.vs.{name}={want}, and write it into /etc/sysctl.d/"),
            ],
        ));
    };
    let removes = |it: &Service| it.servers.values().any(|server| !server.inhibit_on_failure);
    if value("expire_nodest_conn") == Some(0) && model.services.values().any(|it| removes(it)) {
        let what = "connections to a server that was taken out hang until they time out";
        say(
            "H-14",
            "expire_nodest_conn",
            0,
            1,
            what,
            "with 1 the client's next packet ends them",
        );
    }
    if value("expire_quiescent_template") == Some(0)
        && model.services.values().any(|it| it.persistence.is_some())
    {
        let what = "persistent clients keep returning to a server of weight 0";
        let more = "a server with inhibit_on_failure keeps its clients while it is down; 'lbctl drain' sets 1 for its time";
        say("H-15", "expire_quiescent_template", 0, 1, what, more);
    }
    if value("conn_reuse_mode") == Some(0) {
        let what = "a client that uses a port again is sent to its former server, even one of weight 0";
        let more = "a drain takes no end while busy clients reuse their ports";
        say("H-16", "conn_reuse_mode", 0, 1, what, more);
    }
}

fn modules(model: &Model, host: &Host<'_>, found: &mut Vec<Diagnostic>) {
    let release = (host.read)("/proc/sys/kernel/osrelease").unwrap_or_default();
    let folder = format!("/lib/modules/{release}");
    let lists = ["modules.dep", "modules.builtin"].map(|name| (host.read)(&format!("{folder}/{name}")));
    let known = lists.iter().any(Option::is_some);
    let there = |name: &str| {
        let file = format!("/{name}.ko");
        (host.read)(&format!("/sys/module/{name}/initstate")).is_some()
            || lists.iter().flatten().any(|text| text.contains(&file))
    };
    if host.number("/proc/sys/net/ipv4/vs/conntrack").is_none() && !(known && there("ip_vs")) {
        found.push(finding(
            Severity::Error,
            "H-17",
            "this kernel has no IPVS: neither is it loaded nor is there a module ip_vs".to_owned(),
            &[
                "virtual servers cannot be set up; VRRP works without it",
                "install the modules of the kernel that runs (often linux-modules-extra), or load ip_vs outside the container",
            ],
        ));
        return;
    }
    let wanted: BTreeSet<&str> = (model.services.values())
        .map(|it| it.scheduler.name.as_str())
        .collect();
    for name in wanted {
        if known && !there(&format!("ip_vs_{name}")) {
            found.push(finding(
                Severity::Warning,
                "H-18",
                format!("there is no module ip_vs_{name} for this kernel"),
                &[
                    "services with this scheduler may be refused by the kernel",
                    "install the modules of the kernel that runs, or choose another lb_algo",
                ],
            ));
        }
    }
}

/// What keeps a host from being a real server of DR or TUN.
fn real_server(address: IpAddr, host: &Host<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let most = if address.is_ipv4() { 32 } else { 128 };
    let holders: Vec<_> = host
        .addresses
        .iter()
        .filter(|(_, own, _)| *own == address)
        .collect();
    if holders.is_empty() {
        found.push(finding(
            Severity::Error,
            "H-20",
            format!("{address} is not on this host"),
            &[
                "packets that the director sends here with DR or TUN are dropped (NAT does not need it)",
                &format!("ip address add {address}/{most} dev lo"),
            ],
        ));
    }
    for (interface, _, length) in &holders {
        if interface == "lo" && *length < most && address.is_ipv4() {
            found.push(finding(
                Severity::Error,
                "H-21",
                format!("{address}/{length} on lo makes the whole subnet local"),
                &[
                    "the other hosts of that subnet cannot be reached from here",
                    &format!(
                        "ip address del {address}/{length} dev lo; ip address add {address}/{most} dev lo"
                    ),
                ],
            ));
        }
        if interface.starts_with("tunl") && host.greater(interface, "rp_filter").is_some_and(|it| it != 0) {
            found.push(finding(
                Severity::Error,
                "H-24",
                format!("rp_filter is not 0 on {interface}"),
                &[
                    "packets out of the tunnel come from clients whose way back is another interface: they are dropped",
                    &format!("sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{interface}.rp_filter=0"),
                ],
            ));
        }
    }
    if address.is_ipv6() {
        return found;
    }
    let quiet = |name: &str| name == "lo" || name.starts_with("tunl") || name.starts_with("dummy");
    let links: BTreeSet<&str> = (host.addresses.iter())
        .map(|(name, ..)| name.as_str())
        .filter(|name| !quiet(name))
        .collect();
    for link in links {
        if host.greater(link, "arp_ignore") == Some(0) {
            found.push(finding(
                Severity::Error,
                "H-22",
                format!("arp_ignore lets {link} answer for {address}"),
                &[
                    "hosts of the link may learn this server as the virtual address and pass by the director",
                    "sysctl -w net.ipv4.conf.all.arp_ignore=1, and write it into /etc/sysctl.d/",
                ],
            ));
        }
        if host.greater(link, "arp_announce").is_some_and(|it| it != 2) {
            found.push(finding(
                Severity::Error,
                "H-23",
                format!("arp_announce lets {link} ask with {address} as its own"),
                &[
                    "each question it asks teaches others that the virtual address is here",
                    "sysctl -w net.ipv4.conf.all.arp_announce=2, and write it into /etc/sysctl.d/",
                ],
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Alone, Facts};
    use std::collections::BTreeMap;

    fn model(text: &str) -> Model {
        config::load(&Alone(text), "x", &Facts::default()).model.unwrap()
    }

    fn codes(found: &[Diagnostic]) -> Vec<&str> {
        found.iter().map(|it| it.code.as_str()).collect()
    }

    const DIRECTOR: &str = "vrrp_instance a {\n interface eth0\n virtual_router_id 9\n priority 100\n \
        virtual_ipaddress {\n  203.0.113.9/24\n }\n}\n\
        virtual_server 203.0.113.9 80 {\n lb_algo wrr\n lb_kind NAT\n protocol TCP\n persistence_timeout 60\n \
        real_server 192.0.2.1 80 {\n }\n}\n";

    fn settings(lines: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
        lines.iter().copied().collect()
    }

    #[test]
    fn a_director_is_told_what_defeats_its_mode() {
        let model = model(DIRECTOR);
        let bad = settings(&[
            ("/proc/sys/net/ipv4/ip_forward", "0"),
            ("/proc/sys/net/ipv4/conf/all/rp_filter", "1"),
            ("/proc/sys/net/ipv4/conf/eth0/rp_filter", "0"),
            ("/proc/sys/net/ipv4/vs/conntrack", "0"),
            ("/proc/sys/net/ipv4/vs/expire_nodest_conn", "0"),
            ("/proc/sys/net/ipv4/vs/expire_quiescent_template", "0"),
            ("/proc/sys/net/ipv4/vs/conn_reuse_mode", "0"),
            ("/proc/sys/kernel/osrelease", "6.1"),
            (
                "/lib/modules/6.1/modules.dep",
                "kernel/net/netfilter/ipvs/ip_vs_rr.ko:",
            ),
            ("/proc/net/ip_tables_names", "filter"),
            ("/sys/class/net/eth0/operstate", "down"),
        ]);
        let read = |path: &str| bad.get(path).map(|text| (*text).to_owned());
        let host = Host {
            read: &read,
            addresses: vec![("eth0".into(), IpAddr::from([192, 0, 2, 9]), 24)],
            keepalived: Some(7),
        };
        let found = director(&model, &host);
        assert_eq!(
            codes(&found),
            [
                "H-10", "H-11", "E-30", "H-12", "H-13", "H-14", "H-15", "H-16", "H-18"
            ]
        );
        for it in &found {
            assert_eq!(it.notes.len(), 2, "{}", it.drawn());
        }

        let good = settings(&[
            ("/proc/sys/net/ipv4/ip_forward", "1"),
            ("/proc/sys/net/ipv4/vs/conntrack", "0"),
            ("/proc/sys/net/ipv4/vs/expire_nodest_conn", "1"),
            ("/proc/sys/net/ipv4/vs/expire_quiescent_template", "1"),
            ("/proc/sys/net/ipv4/vs/conn_reuse_mode", "1"),
            ("/sys/class/net/eth0/operstate", "up"),
        ]);
        let read = |path: &str| good.get(path).map(|text| (*text).to_owned());
        let host = Host {
            read: &read,
            addresses: vec![("eth0".into(), IpAddr::from([203, 0, 113, 1]), 24)],
            keepalived: None,
        };
        assert_eq!(codes(&director(&model, &host)), Vec::<&str>::new());
        let read = |_: &str| None;
        let host = Host {
            read: &read,
            addresses: Vec::new(),
            keepalived: None,
        };
        assert_eq!(codes(&director(&model, &host)), ["H-17"]);
    }

    #[test]
    fn a_file_that_is_none_is_told_of_and_an_address_beside_the_subnets_of_this_host() {
        let read = |_: &str| None;
        let host = Host {
            read: &read,
            addresses: Vec::new(),
            keepalived: None,
        };
        let folder = std::env::temp_dir().join(format!("lbagent-doctor-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("keepalived.conf");
        assert_eq!(codes(&of_file(&file, None, &host)), ["H-25"]);
        let text = "vrrp_instance a {\n interface lo\n virtual_router_id 9\n advert_int x\n \
                    virtual_ipaddress {\n  192.0.2.9/24\n }\n}\n";
        fs::write(&file, text).unwrap();
        let mut found = of_file(&file, None, &host);
        found.retain(|it| it.code != "H-07");
        assert_eq!(codes(&found), ["H-19"], "{found:?}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_real_server_is_told_what_makes_it_answer_for_the_address_or_drop_it() {
        let address = IpAddr::from([203, 0, 113, 9]);
        let eth0 = ("eth0".to_owned(), IpAddr::from([192, 0, 2, 21]), 24);
        let with = |addresses: Vec<(String, IpAddr, u8)>, settings: BTreeMap<&str, &str>| {
            let read = |path: &str| settings.get(path).map(|text| (*text).to_owned());
            let host = Host {
                read: &read,
                addresses,
                keepalived: None,
            };
            let found = real_server(address, &host);
            found.iter().map(|it| it.code.clone()).collect::<Vec<_>>()
        };
        let untouched = settings(&[
            ("/proc/sys/net/ipv4/conf/all/arp_ignore", "0"),
            ("/proc/sys/net/ipv4/conf/eth0/arp_ignore", "0"),
            ("/proc/sys/net/ipv4/conf/all/arp_announce", "0"),
            ("/proc/sys/net/ipv4/conf/all/rp_filter", "1"),
        ]);
        assert_eq!(
            with(vec![eth0.clone()], untouched.clone()),
            ["H-20", "H-22", "H-23"]
        );
        let wide = vec![eth0.clone(), ("lo".into(), address, 24)];
        assert_eq!(with(wide, untouched.clone()), ["H-21", "H-22", "H-23"]);
        let quiet = settings(&[
            ("/proc/sys/net/ipv4/conf/all/arp_ignore", "1"),
            ("/proc/sys/net/ipv4/conf/eth0/arp_announce", "2"),
            ("/proc/sys/net/ipv4/conf/all/rp_filter", "1"),
        ]);
        let fit = vec![eth0.clone(), ("lo".into(), address, 32)];
        assert_eq!(with(fit, quiet.clone()), Vec::<String>::new());
        let tunnel = vec![eth0, ("tunl0".into(), address, 32)];
        assert_eq!(with(tunnel, quiet), ["H-24"]);
    }
}
