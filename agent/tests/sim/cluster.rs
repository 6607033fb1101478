//! The cluster a seed stands for: nodes, virtual routers, services, and the models made of them.

use crate::instance;
use crate::random::Random;
use lb_shared::names::{Family, GroupName, InstanceName, Protocol, ServerKey, ServiceKey, VirtualKey};
use lb_shared::units::{Priority, Weight};
use lbagent::model::{
    Authentication, Check, CheckKind, Forwarding, Garp, Global, Instance, InterfaceTrack, Leg, Model,
    NotifyScripts, Persistence, QuorumScripts, Route, Rule, RuleAction, Scheduler, Script, ScriptTrack,
    Server, ServerScripts, Service, SorryServer, SyncGroup, TcpCheck, Tracking, UnicastPeer, VirtualAddress,
    Vmac, VrrpScript, VrrpVersion,
};
use lbagent::net::Routing;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// The one script that is tracked.
pub(crate) const SCRIPT: &str = "chk";
/// The interfaces of a node, by segment.
pub(crate) const DEVICES: [&str; 2] = ["eth0", "eth1"];
/// The sync group, where there is one.
pub(crate) const GROUP: &str = "G";

/// What one seed simulates, faults aside.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The last byte of each node's addresses.
    pub(crate) hosts: Vec<u8>,
    pub(crate) routers: Vec<Vr>,
    /// All virtual routers move together.
    pub(crate) grouped: bool,
    pub(crate) services: Vec<Vs>,
    pub(crate) startup_delay_ms: u64,
    /// Scripts and interfaces are tracked, with these weights; 0 means FAULT.
    pub(crate) script_weight: Option<i32>,
    pub(crate) interface_weight: Option<i32>,
    /// Each node's clock runs this much too fast, in millionths.
    pub(crate) clock_ppm: Vec<i64>,
}

/// A virtual router as every node has it.
#[derive(Clone, Debug)]
pub(crate) struct Vr {
    pub(crate) name: InstanceName,
    pub(crate) version: VrrpVersion,
    pub(crate) family: Family,
    pub(crate) unicast: bool,
    /// 0 or 1: the LAN it speaks on.
    pub(crate) segment: usize,
    pub(crate) vrid: u8,
    /// By node.
    pub(crate) priorities: Vec<u8>,
    /// By node, in microseconds: equal unless version 3 is to show that it copes.
    pub(crate) intervals_us: Vec<u64>,
    pub(crate) preempt: bool,
    pub(crate) preempt_delay_us: u64,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) password: Option<[u8; 8]>,
    pub(crate) garp: Garp,
    /// It has an interface of its own, with its MAC.
    pub(crate) vmac: bool,
}

impl Vr {
    /// The interface that carries its addresses.
    pub(crate) fn device(&self) -> String {
        match self.vmac {
            true => format!("vrrp{}{:?}.{}", self.segment, self.version, self.vrid),
            false => DEVICES[self.segment].to_owned(),
        }
    }

    fn own_link(&self) -> Option<Vmac> {
        let kind = if self.family == Family::Inet { 1 } else { 2 };
        self.vmac.then(|| Vmac {
            name: self.device(),
            mac: [0, 0, 0x5e, 0, kind, self.vrid],
            sends_on_base: self.unicast,
        })
    }

    /// Its route: there while it is MASTER.
    pub(crate) fn route(&self) -> Route {
        let segment = u8::try_from(self.segment).unwrap_or(0);
        let destination = match self.family {
            Family::Inet => (IpAddr::from([172, 16 + segment, self.vrid, 0]), 24),
            Family::Inet6 => {
                let words = [
                    0x2001,
                    0xdb8,
                    99,
                    u16::from(segment),
                    u16::from(self.vrid),
                    0,
                    0,
                    0,
                ];
                (IpAddr::from(words), 80)
            }
        };
        Route {
            table: 100,
            metric: Some(1),
            legs: vec![Leg {
                device: Some(DEVICES[self.segment].to_owned()),
                ..Leg::default()
            }],
            ..Route::to(destination)
        }
    }

    /// Its rule, which no two share.
    pub(crate) fn rule(&self) -> Rule {
        let preference = 1_000 + 300 * u32::try_from(self.segment).unwrap_or(0) + u32::from(self.vrid);
        Rule::new(self.family, preference, RuleAction::Lookup(100))
    }

    /// Whether a route or a rule is this one's.
    pub(crate) fn owns(&self, it: &Routing) -> bool {
        match it {
            Routing::Route(it, _) => *it == self.route(),
            Routing::Rule(it) => *it == self.rule(),
        }
    }
}

/// A virtual server as every node has it.
#[derive(Clone, Debug)]
pub(crate) struct Vs {
    pub(crate) key: VirtualKey,
    pub(crate) scheduler: &'static str,
    pub(crate) persistent: bool,
    pub(crate) quorum: u64,
    pub(crate) hysteresis: u64,
    pub(crate) sorry: Option<(ServerKey, bool)>,
    pub(crate) servers: Vec<Rs>,
    pub(crate) alpha: bool,
    pub(crate) inhibit: bool,
    pub(crate) retry: u32,
    pub(crate) delay_us: u64,
}

/// A real server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rs {
    pub(crate) key: ServerKey,
    pub(crate) weight: u32,
}

/// What reloads changed in a node's file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Edits {
    /// Added to the priority of every instance.
    pub(crate) priority: i32,
    pub(crate) interval_percent: Option<u64>,
    pub(crate) preempt: Option<bool>,
    /// One address less on every instance that has two.
    pub(crate) fewer_addresses: bool,
    pub(crate) server_weight: BTreeMap<usize, u32>,
    /// Servers left out, by their place over all services.
    pub(crate) without: BTreeMap<usize, bool>,
    /// The last instance is left out.
    pub(crate) fewer_instances: bool,
}

const INTERVALS_V3_MS: [u64; 6] = [20, 50, 100, 200, 1000, 1000];

impl Cluster {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "cluster");
        let count = random.pick(&[2, 2, 2, 3, 3, 4, 5]);
        let mut hosts: Vec<u8> = (0..count).map(|node| 11 + node * 7).collect();
        random.shuffle(&mut hosts);
        let nodes = hosts.len();
        let router_count = random.pick(&[1, 1, 2, 2, 3]);
        let grouped = router_count > 1 && random.chance(400);
        let common = Election::draw(&mut random, nodes);
        let mut routers = Vec::new();
        for place in 0..router_count {
            let election = if grouped {
                common.clone()
            } else {
                Election::draw(&mut random, nodes)
            };
            routers.push(Vr::draw(&mut random, place, election));
        }
        // From a stream of its own, so that seeds of before mean what they meant.
        let mut own_links = Random::new(seed, "own links");
        if own_links.chance(250) {
            for router in &mut routers {
                router.vmac = own_links.chance(700);
            }
        }
        let services = (0..random.pick(&[0u8, 1, 1, 2]))
            .filter_map(|place| {
                let holder = routers.get(usize::from(place) % routers.len())?;
                let address = holder.addresses.iter().find(|address| address.is_ipv4())?;
                Some(Vs::draw(&mut random, place, *address))
            })
            .collect();
        let skewed = random.chance(300);
        Self {
            routers,
            grouped,
            services,
            startup_delay_ms: random.pick(&[0, 0, 0, 0, 500]),
            script_weight: random.chance(300).then(|| random.pick(&[0, -30, 20])),
            interface_weight: random.chance(300).then(|| random.pick(&[0, -25])),
            clock_ppm: (0..nodes)
                .map(|_| {
                    if skewed {
                        random.pick(&[-10_000, -3_000, 0, 50, 10_000])
                    } else {
                        0
                    }
                })
                .collect(),
            hosts,
        }
    }

    /// The address a node sends an instance's adverts from.
    pub(crate) fn source(&self, node: usize, vr: &Vr) -> IpAddr {
        self.primary(node, vr.segment, vr.family)
    }

    /// A node's own address on a segment.
    pub(crate) fn primary(&self, node: usize, segment: usize, family: Family) -> IpAddr {
        host_address(segment, family, self.hosts[node])
    }

    /// All servers, in the order of their services.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (&Vs, &Rs)> {
        self.services
            .iter()
            .flat_map(|service| service.servers.iter().map(move |server| (service, server)))
    }

    /// The configuration of a node.
    pub(crate) fn model(&self, node: usize, edits: &Edits) -> Model {
        let count = self.routers.len() - usize::from(edits.fewer_instances && self.routers.len() > 1);
        let instances: BTreeMap<InstanceName, Arc<Instance>> = self.routers[..count]
            .iter()
            .map(|vr| (vr.name.clone(), Arc::new(self.instance(node, vr, edits))))
            .collect();
        let mut groups = BTreeMap::new();
        if self.grouped {
            let name = GroupName::from(GROUP);
            let group = SyncGroup {
                name: name.clone(),
                members: instances.keys().cloned().collect(),
                tracking: Tracking::default(),
                tracking_weight: true,
                notify: NotifyScripts::default(),
            };
            groups.insert(name, Arc::new(group));
        }
        let mut scripts = BTreeMap::new();
        if self.script_weight.is_some() {
            let script = VrrpScript {
                name: SCRIPT.to_owned(),
                script: Script {
                    argv: vec!["/usr/bin/check".to_owned()],
                    user: None,
                },
                interval: Duration::from_millis(500),
                timeout: Duration::from_secs(1),
                rise: 2,
                fall: 2,
                init_fail: false,
                broken: None,
            };
            scripts.insert(SCRIPT.to_owned(), Arc::new(script));
        }
        let mut place = 0;
        let mut services = BTreeMap::new();
        for service in &self.services {
            let built = service.build(place, edits);
            place += service.servers.len();
            services.insert(built.key.clone(), Arc::new(built));
        }
        Model {
            global: Global {
                vrrp_startup_delay_us: self.startup_delay_ms * 1000,
                ..Global::default()
            },
            instances,
            groups,
            scripts,
            services,
            ..Model::default()
        }
    }

    fn instance(&self, node: usize, vr: &Vr, edits: &Edits) -> Instance {
        let base = vr.priorities[node];
        let priority = if base == 255 {
            Priority::OWNER
        } else {
            Priority::clamped(i64::from(base) + i64::from(edits.priority))
        };
        let percent = if vr.version == VrrpVersion::V3 {
            edits.interval_percent.unwrap_or(100)
        } else {
            100
        };
        let addresses = vr.addresses.len() - usize::from(edits.fewer_addresses && vr.addresses.len() > 1);
        let source = self.source(node, vr);
        Instance {
            family: vr.family,
            version: vr.version,
            vmac: vr.own_link(),
            interface: Some(DEVICES[vr.segment].to_owned()),
            initial_master: base == 255,
            priority,
            advert_interval: Duration::from_micros(vr.intervals_us[node] * percent / 100),
            authentication: vr.password.map_or(Authentication::None, Authentication::Pass),
            preempt: edits.preempt.unwrap_or(vr.preempt),
            preempt_delay: Duration::from_micros(vr.preempt_delay_us),
            source: vr.unicast.then_some(source),
            unicast_peers: (0..self.hosts.len())
                .filter(|peer| vr.unicast && *peer != node)
                .map(|peer| UnicastPeer {
                    address: self.source(peer, vr),
                    min_ttl: None,
                    max_ttl: None,
                })
                .collect(),
            multicast_group: multicast_group(vr.family),
            check_unicast_source: true,
            addresses: vr.addresses[..addresses]
                .iter()
                .map(|address| VirtualAddress {
                    device: vr.device(),
                    ..instance::address(*address)
                })
                .collect(),
            routes: vec![vr.route()],
            rules: vec![vr.rule()],
            garp: vr.garp,
            tracking: Tracking {
                interfaces: self
                    .interface_weight
                    .iter()
                    .map(|weight| InterfaceTrack {
                        interface: DEVICES[1 - vr.segment].to_owned(),
                        weight: *weight,
                        reverse: false,
                    })
                    .collect(),
                scripts: self
                    .script_weight
                    .iter()
                    .map(|weight| ScriptTrack {
                        script: SCRIPT.to_owned(),
                        weight: *weight,
                        reverse: false,
                    })
                    .collect(),
                processes: Vec::new(),
                sessions: Vec::new(),
                files: Vec::new(),
            },
            ..instance::v2(&vr.name.0, vr.vrid, base)
        }
    }
}

/// What decides an election, by node.
#[derive(Clone)]
struct Election {
    priorities: Vec<u8>,
    preempt: bool,
    preempt_delay: bool,
}

impl Election {
    fn draw(random: &mut Random, nodes: usize) -> Self {
        let mut priorities: Vec<u8> = match random.below(10) {
            0 | 1 => vec![100; nodes],
            2 => (0..nodes).map(|_| random.pick(&[1, 254])).collect(),
            3 => (0..nodes).map(|_| random.pick(&[100, 101])).collect(),
            _ => (0..nodes)
                .map(|node| u8::try_from(200 - node * 37).expect("at most five nodes"))
                .collect(),
        };
        let owner = random.chance(80);
        if owner {
            priorities[0] = 255;
        }
        if owner && random.chance(150) {
            priorities[1] = 255;
        }
        random.shuffle(&mut priorities);
        Self {
            priorities,
            preempt: random.chance(750),
            preempt_delay: random.chance(200),
        }
    }
}

impl Vr {
    fn draw(random: &mut Random, place: u8, election: Election) -> Self {
        let nodes = election.priorities.len();
        let family = if random.chance(200) {
            Family::Inet6
        } else {
            Family::Inet
        };
        let version = if family == Family::Inet && random.chance(350) {
            VrrpVersion::V2
        } else {
            VrrpVersion::V3
        };
        let interval_us = match version {
            VrrpVersion::V2 => random.pick(&[1, 1, 2]) * 1_000_000,
            VrrpVersion::V3 => random.pick(&INTERVALS_V3_MS) * 1000,
        };
        let uneven = version == VrrpVersion::V3 && random.chance(250);
        let intervals_us = (0..nodes)
            .map(|_| {
                if uneven {
                    interval_us * random.pick(&[1, 2, 3])
                } else {
                    interval_us
                }
            })
            .collect();
        let vrid = place + 1;
        let more = random.pick(&[0, 0, 1]);
        let addresses: Vec<IpAddr> = (0..=more)
            .map(|nth| match (family, nth) {
                (Family::Inet, _) => IpAddr::V4(Ipv4Addr::new(10, 0, 9, vrid * 10 + nth)),
                (Family::Inet6, 0) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, u16::from(vrid))),
                (Family::Inet6, _) => {
                    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 9, u16::from(vrid)))
                }
            })
            .collect();
        Self {
            name: InstanceName(format!("VI_{vrid}")),
            version,
            family,
            unicast: random.chance(250),
            segment: random.index(2),
            vrid,
            priorities: election.priorities,
            intervals_us,
            preempt: election.preempt,
            preempt_delay_us: if election.preempt_delay {
                random.pick(&[500_000, 3_000_000])
            } else {
                0
            },
            addresses,
            password: (version == VrrpVersion::V2 && random.chance(300)).then_some(*b"secret\0\0"),
            garp: Garp {
                repeat: random.pick(&[1, 2, 5]),
                delay: Duration::from_millis(random.pick(&[0, 300, 5000])),
                refresh: Duration::from_secs(random.pick(&[0, 0, 10])),
                lower_delay: Duration::from_millis(random.pick(&[0, 500, 5000])),
                ..Garp::default()
            },
            vmac: false,
        }
    }
}

impl Vs {
    fn draw(random: &mut Random, place: u8, address: IpAddr) -> Self {
        let count = random.between(2, 4);
        // A server that is not behind NAT stands at the port of its service.
        let port = 80 + u16::from(place);
        let servers = (1..=count)
            .map(|nth| Rs {
                key: ServerKey {
                    address: IpAddr::V4(Ipv4Addr::new(
                        10,
                        1,
                        place,
                        u8::try_from(nth).expect("at most four"),
                    )),
                    port,
                },
                weight: random.pick(&[1, 1, 10]),
            })
            .collect();
        let sorry = ServerKey {
            address: IpAddr::V4(Ipv4Addr::new(10, 1, place, 99)),
            port,
        };
        Self {
            key: VirtualKey::Address {
                address,
                port,
                protocol: Protocol::Tcp,
            },
            scheduler: random.pick(&["rr", "wrr", "wlc", "sh", "mh"]),
            persistent: random.chance(250),
            quorum: random.pick(&[1, 1, 2]),
            hysteresis: random.pick(&[0, 0, 1]),
            sorry: random.chance(400).then(|| (sorry, random.chance(300))),
            servers,
            alpha: random.chance(300),
            inhibit: random.chance(300),
            retry: random.pick(&[0, 1, 3]),
            delay_us: random.pick(&[500_000, 1_000_000, 3_000_000]),
        }
    }

    fn build(&self, first_place: usize, edits: &Edits) -> Service {
        let servers: BTreeMap<ServerKey, Arc<Server>> = self
            .servers
            .iter()
            .enumerate()
            .filter(|(nth, _)| !edits.without.get(&(first_place + nth)).copied().unwrap_or(false))
            .map(|(nth, server)| {
                let weight = edits
                    .server_weight
                    .get(&(first_place + nth))
                    .copied()
                    .unwrap_or(server.weight);
                (server.key, Arc::new(self.server(server, weight)))
            })
            .collect();
        let reach: u64 = servers
            .values()
            .map(|server| u64::from(server.weight.get()))
            .sum();
        Service {
            key: ServiceKey::Single(self.key),
            name: None,
            entries: vec![self.key],
            family: Family::Inet,
            scheduler: Scheduler {
                name: self.scheduler.to_owned(),
                flag_1: false,
                flag_2: false,
                flag_3: false,
            },
            forwarding: Forwarding::Direct,
            persistence: self.persistent.then_some(Persistence {
                timeout_s: 300,
                prefix_len: 32,
                engine: None,
            }),
            one_packet: false,
            quorum: self.quorum.clamp(1, reach.max(1)),
            hysteresis: self.hysteresis.min(self.quorum.saturating_sub(1)),
            omega: false,
            quorum_scripts: QuorumScripts::default(),
            sorry: self.sorry.map(|(key, inhibit)| SorryServer {
                key,
                forwarding: Forwarding::Direct,
                inhibit,
            }),
            ha_suspend: false,
            servers,
        }
    }

    fn server(&self, server: &Rs, weight: u32) -> Server {
        let to = (server.key.address, server.key.port).into();
        Server {
            key: server.key,
            forwarding: Forwarding::Direct,
            weight: Weight::clamped(i64::from(weight)),
            upper_threshold: 0,
            lower_threshold: 0,
            inhibit_on_failure: self.inhibit,
            checks: vec![Check {
                kind: CheckKind::Tcp(TcpCheck {
                    to,
                    from: None,
                    device: None,
                    mark: 0,
                    timeout: Duration::from_micros(TCP_TIMEOUT_US),
                }),
                delay_loop: Duration::from_micros(self.delay_us),
                retry: self.retry,
                delay_before_retry: Duration::from_micros(self.delay_us),
                warmup: Duration::from_micros(self.delay_us),
                alpha: self.alpha,
                log_all_failures: false,
            }],
            scripts: ServerScripts::default(),
        }
    }
}

/// How long a check waits for a server that does not answer.
pub(crate) const TCP_TIMEOUT_US: u64 = 500_000;

/// A host's address on a segment; link-local in IPv6, as VRRP needs it.
pub(crate) fn host_address(segment: usize, family: Family, host: u8) -> IpAddr {
    let segment = u8::try_from(segment).expect("two segments");
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::new(10, 0, segment, host)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::new(
            0xfe80,
            0,
            0,
            0,
            0,
            0,
            u16::from(segment) + 1,
            u16::from(host),
        )),
    }
}

/// Where the adverts of a family go.
pub(crate) fn multicast_group(family: Family) -> IpAddr {
    match family {
        Family::Inet => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
        Family::Inet6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 18)),
    }
}
