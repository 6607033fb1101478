//! A made-up director with some of everything, for the tests of the agent and the clients. Feature `fixture`.
//!
//! It is 2026-11-20 09:20:00 UTC on `lb1`, one of a pair. `VI_edge` and `VI_edge6` are MASTER, `VI_int` lost to `lb2`
//! since its script fails, `VI_mgmt` is in FAULT. Seven services with 37 servers; one server drains, four are down.

use crate::counters::{Counters, InstanceCounters, ServerCounters};
use crate::event::{Actor, Event, Numbered, What};
use crate::names::{Family, GroupName, InstanceName, ServerId, ServerKey, ServiceKey, TrackerName};
use crate::request::{Role, Snapshot};
use crate::state::{
    Admin, AgentView, CheckView, ConfigView, DrainThen, DrainView, GroupView, Health, InstanceView,
    MasterView, ObjectId, Override, OverrideKind, Programmed, ServerView, ServiceState, ServiceView, State,
    Target, Term, TrackerView, VrrpState, WeightSource,
};
use crate::units::{Mono, Weight};
use crate::view::Peers;
use std::sync::Arc;
use std::time::Duration;

/// Unix time in milliseconds of the fixture's now.
pub const NOW_MS: u64 = 1_795_166_400_000;
/// The agent has run for 6 days, 2 hours and 10 minutes.
pub const NOW: Mono = Mono(526_200_000_000);

/// A whole fixture.
#[derive(Clone, Debug)]
pub struct Demo {
    pub snapshot: Snapshot,
    pub counters: Counters,
    /// The other director, as a client that reaches both knows it.
    pub peers: Peers,
    pub events: Vec<Numbered>,
}

/// `demo-1`.
pub fn demo() -> Demo {
    let mut state = State {
        agent: AgentView {
            version: "0.4.1".into(),
            host: "lb1".into(),
            pid: 812,
            config: ConfigView {
                file: "/etc/keepalived/keepalived.conf".into(),
                revision: 17,
                loaded_at: ago(4 * 3_600),
                warnings: 0,
                refused: Vec::new(),
                unconfirmed: None,
                restored: None,
            },
            ipvs_missing: None,
            kernel_trouble: Vec::new(),
            stopping: false,
            sync: None,
        },
        ..State::default()
    };
    let mut counters = Counters {
        at: NOW,
        ..Counters::default()
    };
    routers(&mut state, &mut counters);
    services(&mut state, &mut counters);
    drain(&mut state);
    Demo {
        snapshot: Snapshot {
            seq: 1_187,
            now: NOW,
            wall_ms: NOW_MS,
            role: Some(Role::Admin),
            state,
        },
        counters,
        peers: [("198.51.100.3", "lb2"), ("203.0.113.3", "lb2")]
            .map(|(address, name)| (address.parse().expect("a literal"), name.to_owned()))
            .into(),
        events: events(),
    }
}

fn ago(seconds: u64) -> Mono {
    NOW - Duration::from_secs(seconds)
}

/// Seconds before now of a time of this day.
fn at(h: u64, m: u64, s: u64) -> Mono {
    ago(9 * 3_600 + 20 * 60 - (h * 3_600 + m * 60 + s))
}

fn term(tracker: TrackerName, weight: i32, ok: bool, since: Mono, detail: &str) -> Term {
    let counted = matches!(tracker, TrackerName::Script(_));
    Term {
        delta: if ok { 0 } else { weight },
        weight,
        rise: if counted { 2 } else { 0 },
        fall: if counted { 3 } else { 0 },
        tracker,
        ok: Some(ok),
        since,
        detail: detail.into(),
    }
}

fn instance(name: &str, interface: &str, vrid: u8, base: u8, addresses: &[&str]) -> InstanceView {
    let addresses = addresses
        .iter()
        .map(|address| format!("{address} dev {interface}"))
        .collect();
    InstanceView {
        name: name.into(),
        group: None,
        interface: Some(interface.into()),
        vmac: None,
        vrid,
        family: Family::Inet,
        version: 2,
        unicast: false,
        state: VrrpState::Master,
        since: ago(526_000),
        why: "it has the highest priority".into(),
        second_master: false,
        base_priority: base,
        place: String::new(),
        effective_priority: base,
        terms: vec![term(
            TrackerName::Interface(interface.into()),
            0,
            true,
            ago(526_000),
            "up",
        )],
        pin: None,
        master: None,
        advert_interval_us: 1_000_000,
        master_down_us: 3_000_000 + 1_000_000 * (256 - u64::from(base)) / 256,
        preempt: true,
        preempt_delay_us: 0,
        addresses,
        faults: Vec::new(),
        refused: None,
    }
}

fn routers(state: &mut State, counters: &mut Counters) {
    let group: GroupName = "VG_edge".into();
    let edge = InstanceView {
        group: Some(group.clone()),
        place: "keepalived.conf:12".into(),
        ..instance(
            "VI_edge",
            "eth0",
            51,
            150,
            &[
                "203.0.113.10/24",
                "203.0.113.11/24",
                "203.0.113.25/24",
                "203.0.113.53/24",
            ],
        )
    };
    let edge6 = InstanceView {
        group: Some(group.clone()),
        family: Family::Inet6,
        version: 3,
        place: "keepalived.conf:27".into(),
        ..instance("VI_edge6", "eth0", 51, 150, &["2001:db8:10::443/64"])
    };
    let failed = at(9, 7, 26);
    let chk_db = TrackerName::Script("chk_db".into());
    let chk_disk = TrackerName::Script("chk_disk".into());
    let int = InstanceView {
        state: VrrpState::Backup,
        since: at(9, 7, 29),
        why: "198.51.100.3 advertises priority 140, ours is 130".into(),
        place: "keepalived.conf:41".into(),
        effective_priority: 130,
        master_down_us: 3_492_187,
        terms: vec![
            term(chk_db.clone(), -20, false, failed, "exit 1"),
            term(chk_disk.clone(), -10, true, ago(526_000), "exit 0"),
            term(TrackerName::Interface("eth1".into()), 0, true, ago(526_000), "up"),
        ],
        master: Some(MasterView {
            address: "198.51.100.3".parse().expect("a literal"),
            priority: 140,
        }),
        ..instance("VI_int", "eth1", 60, 150, &["198.51.100.1/24"])
    };
    let broken = at(7, 6, 0);
    let mgmt = InstanceView {
        state: VrrpState::Fault,
        since: broken,
        why: "interface eth2 is down".into(),
        place: "keepalived.conf:56".into(),
        effective_priority: 0,
        terms: vec![term(
            TrackerName::Interface("eth2".into()),
            0,
            false,
            broken,
            "down",
        )],
        faults: vec!["interface eth2 is down".into()],
        ..instance("VI_mgmt", "eth2", 70, 100, &["192.0.2.1/24"])
    };
    for view in [edge, edge6, int, mgmt] {
        let master = view.state == VrrpState::Master;
        let heard = view.master.is_some();
        counters.instances.insert(
            view.name.clone(),
            InstanceCounters {
                adverts_sent: if master { 526_000 } else { 0 },
                adverts_received: if heard { 751 } else { 2 },
                became_master: u64::from(master || heard),
                released_master: u64::from(heard),
                heard_at: heard.then(|| NOW - Duration::from_millis(400)),
                sent_at: master.then(|| NOW - Duration::from_millis(700)),
                ..InstanceCounters::default()
            },
        );
        state.instances.insert(view.name.clone(), Arc::new(view));
    }
    state.groups.insert(
        group.clone(),
        GroupView {
            name: group,
            members: vec!["VI_edge".into(), "VI_edge6".into()],
            state: VrrpState::Master,
            since: ago(526_000),
        },
    );
    for (name, ok, since, detail) in [
        (chk_db, false, failed, "exit 1"),
        (chk_disk, true, ago(526_000), "exit 0"),
        (TrackerName::Interface("eth0".into()), true, ago(526_000), "up"),
        (TrackerName::Interface("eth1".into()), true, ago(526_000), "up"),
        (TrackerName::Interface("eth2".into()), false, broken, "down"),
    ] {
        let detail = detail.into();
        let ok = Some(ok);
        state.trackers.insert(
            name.clone(),
            TrackerView {
                name,
                ok,
                since,
                detail,
            },
        );
    }
}

/// What is alike for all servers of a service.
struct Plan {
    name: &'static str,
    key: &'static str,
    scheduler: &'static str,
    method: &'static str,
    persistence_s: Option<u32>,
    quorum: u64,
    weight: u32,
    check: &'static str,
    path: &'static str,
    instance: Option<&'static str>,
    /// Active, inactive, per second, bytes in and out: sums over the service.
    sums: [u64; 5],
}

const PLANS: [Plan; 7] = [
    Plan {
        name: "web",
        key: "203.0.113.10:443/tcp",
        scheduler: "wrr",
        method: "NAT",
        persistence_s: None,
        quorum: 200,
        weight: 100,
        check: "SSL_GET",
        path: " /healthz",
        instance: Some("VI_edge"),
        sums: [18_204, 6_911, 412, 6_100_000, 48_200_000],
    },
    Plan {
        name: "web-plain",
        key: "203.0.113.10:80/tcp",
        scheduler: "wrr",
        method: "NAT",
        persistence_s: None,
        quorum: 200,
        weight: 100,
        check: "HTTP_GET",
        path: " /healthz",
        instance: Some("VI_edge"),
        sums: [312, 1_977, 61, 40_000, 310_000],
    },
    Plan {
        name: "api",
        key: "203.0.113.11:8443/tcp",
        scheduler: "lc",
        method: "DR",
        persistence_s: None,
        quorum: 200,
        weight: 100,
        check: "TCP_CHECK",
        path: "",
        instance: Some("VI_edge"),
        sums: [2_041, 388, 96, 1_200_000, 0],
    },
    Plan {
        name: "mail",
        key: "203.0.113.25:25/tcp",
        scheduler: "wlc",
        method: "NAT",
        persistence_s: None,
        quorum: 1,
        weight: 1,
        check: "SMTP_CHECK",
        path: "",
        instance: Some("VI_edge"),
        sums: [4, 0, 3, 9_000, 4_000],
    },
    Plan {
        name: "dns",
        key: "203.0.113.53:53/udp",
        scheduler: "sh",
        method: "DR",
        persistence_s: None,
        quorum: 1,
        weight: 1,
        check: "DNS_CHECK",
        path: "",
        instance: Some("VI_edge"),
        sums: [0, 1_204, 880, 71_000, 0],
    },
    Plan {
        name: "video",
        key: "fwmark:8",
        scheduler: "sh",
        method: "TUN",
        persistence_s: Some(300),
        quorum: 6,
        weight: 1,
        check: "PING_CHECK",
        path: "",
        instance: None,
        sums: [5_120, 940, 24, 2_200_000, 0],
    },
    Plan {
        name: "web6",
        key: "[2001:db8:10::443]:443/tcp",
        scheduler: "wrr",
        method: "NAT",
        persistence_s: None,
        quorum: 200,
        weight: 100,
        check: "SSL_GET",
        path: " /healthz",
        instance: Some("VI_edge6"),
        sums: [1_377, 512, 37, 420_000, 3_900_000],
    },
];

fn addresses(name: &str) -> Vec<String> {
    let range = |from: u32, count: u32, port: u16| {
        (from..from + count).map(move |n| format!("198.51.100.{n}:{port}"))
    };
    match name {
        "web" => range(21, 6, 443).collect(),
        "web-plain" => range(21, 6, 80).collect(),
        "api" => range(31, 4, 8443).collect(),
        "mail" => range(61, 2, 25).collect(),
        "dns" => range(41, 3, 53).collect(),
        "video" => range(71, 12, 0).collect(),
        _ => (1..=4).map(|n| format!("[2001:db8:20::{n}]:443")).collect(),
    }
}

fn services(state: &mut State, counters: &mut Counters) {
    for (order, plan) in PLANS.iter().enumerate() {
        let key: ServiceKey = plan.key.parse().expect("a literal");
        let mut live = 0;
        let all = addresses(plan.name);
        for (nth, text) in all.iter().enumerate() {
            let id = ServerId {
                service: key.clone(),
                server: text.parse().expect("written by us"),
            };
            let view = server(plan, id.clone());
            if view.health == Health::Up && view.admin == Admin::Enabled {
                live += u64::from(plan.weight);
            }
            counters
                .servers
                .insert(id.clone(), server_counters(plan, nth, all.len() as u64, &view));
            state.servers.insert(id, Arc::new(view));
        }
        let mail = plan.name == "mail";
        let sorry: Option<ServerKey> = mail.then(|| "198.51.100.69:25".parse().expect("a literal"));
        if let Some(sorry) = sorry {
            let id = ServerId {
                service: key.clone(),
                server: sorry,
            };
            let [
                active,
                inactive,
                connections_per_s,
                bytes_in_per_s,
                bytes_out_per_s,
            ] = plan.sums;
            counters.servers.insert(
                id,
                ServerCounters {
                    active,
                    inactive,
                    connections_per_s,
                    bytes_in_per_s,
                    bytes_out_per_s,
                    ..ServerCounters::default()
                },
            );
        }
        state.services.insert(
            key.clone(),
            Arc::new(ServiceView {
                entries: match &key {
                    ServiceKey::Single(entry) => vec![*entry],
                    ServiceKey::Group { .. } => Vec::new(),
                },
                key,
                order: u32::try_from(order).unwrap_or(u32::MAX),
                name: Some(plan.name.into()),
                scheduler: plan.scheduler.into(),
                method: plan.method.into(),
                persistence_s: plan.persistence_s,
                state: if mail {
                    ServiceState::Sorry
                } else {
                    ServiceState::Up
                },
                since: if mail { at(8, 58, 2) } else { ago(526_000) },
                quorum: plan.quorum,
                hysteresis: 0,
                live_weight: live,
                sorry,
                programmed: Programmed::Yes,
                instance: plan.instance.map(InstanceName::from),
            }),
        );
    }
}

fn server(plan: &Plan, id: ServerId) -> ServerView {
    let text = id.server.address.to_string();
    let weight = Weight::clamped(plan.weight.into());
    let down = plan.name == "mail" || text == "198.51.100.25" && plan.name.starts_with("web");
    let reason = match (down, plan.name) {
        (false, _) => "",
        (true, "mail") => "connection refused",
        (true, _) => "status 503",
    };
    ServerView {
        health: if down { Health::Down } else { Health::Up },
        admin: Admin::Enabled,
        configured: weight,
        effective: (!down).then_some(weight),
        source: WeightSource::Config,
        since: match (plan.name, text.as_str(), down) {
            ("mail", ..) => at(8, 58, 2),
            (_, _, true) => at(9, 15, 48),
            ("web", "198.51.100.26", _) => ago(41 * 60 + 7),
            ("web", ..) => ago(3 * 86_400 + 4 * 3_600 + 120),
            _ => ago(526_000),
        },
        reason: reason.into(),
        checks: vec![CheckView {
            kind: plan.check.into(),
            target: format!("{}{}", id.server, plan.path),
            ok: Some(!down),
            detail: reason.into(),
        }],
        drain: None,
        id,
    }
}

fn server_counters(plan: &Plan, nth: usize, count: u64, view: &ServerView) -> ServerCounters {
    let down = view.health == Health::Down;
    let base = ServerCounters {
        connections: 1_000_000,
        packets_in: 9_000_000,
        packets_out: 9_000_000,
        bytes_in: 4_000_000_000,
        bytes_out: 30_000_000_000,
        checked_at: Some(NOW - Duration::from_millis(1_300)),
        check_us: (!down).then_some(if nth == 2 { 3_100 } else { 2_200 }),
        ..ServerCounters::default()
    };
    if plan.name == "mail" {
        return base;
    }
    let shares: [u64; 5] = plan.sums.map(|sum| {
        let rest = if nth == 0 { sum % count } else { 0 };
        sum / count + rest
    });
    let [mut active, mut inactive, mut per_s, bytes_in, bytes_out] = shares;
    if plan.name == "web" {
        (active, inactive, per_s) = [
            (4_812, 1_702, 103),
            (4_790, 1_688, 102),
            (4_803, 1_731, 104),
            (37, 12, 0),
            (0, 0, 0),
            (3_762, 1_778, 103),
        ][nth];
    }
    ServerCounters {
        active,
        inactive,
        connections_per_s: per_s,
        bytes_in_per_s: bytes_in,
        bytes_out_per_s: bytes_out,
        drain_eta_s: (plan.name == "web" && nth == 3).then_some(160),
        ..base
    }
}

fn ops() -> Actor {
    Actor {
        uid: 1001,
        pid: 4711,
        user: "ops".into(),
    }
}

fn drain(state: &mut State) {
    let id: ServerId = "203.0.113.10:443/tcp/198.51.100.24:443"
        .parse()
        .expect("a literal");
    let began = at(9, 17, 12);
    if let Some(server) = state.servers.get_mut(&id).map(Arc::make_mut) {
        server.admin = Admin::Draining;
        server.effective = Some(Weight::ZERO);
        server.source = WeightSource::Operator;
        server.since = began;
        server.drain = Some(DrainView {
            since: began,
            deadline: Some(began + Duration::from_secs(600)),
            active_at_start: 4_655,
            inactive: false,
        });
        if let Some(service) = state.services.get_mut(&id.service).map(Arc::make_mut) {
            service.live_weight = 400;
        }
    }
    let target = Target::Server(id);
    state.overrides.insert(
        target.clone(),
        Override {
            target,
            kind: OverrideKind::Drain {
                then: DrainThen::Keep,
                inactive: false,
            },
            actor: ops(),
            at_wall_ms: NOW_MS - 168_000,
            until_wall_ms: Some(NOW_MS + 432_000),
            until: Some(NOW + Duration::from_secs(432)),
            message: "kernel update".into(),
            dormant: None,
        },
    );
}

fn events() -> Vec<Numbered> {
    let server = |text: &str| ObjectId::Server(text.parse().expect("a literal"));
    let list = [
        (
            1_184,
            at(9, 7, 26),
            What::TrackerFailed,
            ObjectId::Tracker(TrackerName::Script("chk_db".into())),
            "failed (exit 1)",
            Some("VI_int 150 -> 130"),
            None,
        ),
        (
            1_185,
            at(9, 7, 29),
            What::BecameBackup,
            ObjectId::Instance("VI_int".into()),
            "MASTER -> BACKUP",
            Some("heard 198.51.100.3 prio 140, ours 130"),
            None,
        ),
        (
            1_186,
            at(9, 15, 48),
            What::ServerDown,
            server("203.0.113.10:443/tcp/198.51.100.25:443"),
            "UP -> DOWN",
            Some("SSL_GET /healthz: status 503, want 200-299"),
            None,
        ),
        (
            1_187,
            at(9, 17, 12),
            What::DrainStarted,
            server("203.0.113.10:443/tcp/198.51.100.24:443"),
            "drain by ops (uid 1001)",
            Some("kernel update"),
            Some(ops()),
        ),
    ];
    list.map(|(seq, at, what, object, text, why, actor)| Numbered {
        seq,
        wall_ms: NOW_MS - u64::try_from(NOW.since(at).as_millis()).unwrap_or(0),
        event: Event {
            what,
            object,
            text: text.into(),
            why: why.map(Into::into),
            actor,
            at,
            changes: Vec::new(),
        },
    })
    .into()
}

/// The other director of `demo-1`: it holds what lb1 does not, and nobody changed anything there.
pub fn lb2() -> Demo {
    let mut demo = demo();
    let state = &mut demo.snapshot.state;
    state.agent.host = "lb2".into();
    for (name, instance) in &mut state.instances {
        let instance = Arc::make_mut(instance);
        let held = matches!(name.0.as_str(), "VI_int" | "VI_mgmt");
        instance.state = if held {
            VrrpState::Master
        } else {
            VrrpState::Backup
        };
        instance.base_priority = if name.0 == "VI_mgmt" { 90 } else { 140 };
        instance.effective_priority = instance.base_priority;
        instance.faults.clear();
        instance.terms.clear();
        instance.master = None;
    }
    state.overrides.clear();
    for server in state.servers.values_mut().map(Arc::make_mut) {
        if server.admin != Admin::Enabled {
            server.admin = Admin::Enabled;
            server.drain = None;
            server.effective = Some(server.configured);
        }
    }
    let mut active = Some((311, 9));
    for counters in demo.counters.servers.values_mut() {
        (counters.active, counters.connections_per_s) = active.take().unwrap_or_default();
    }
    demo
}

/// `big`: 410 services with 50,000 servers, 812 of them DOWN or draining.
pub fn big() -> Demo {
    let mut demo = demo();
    let template = demo.snapshot.state.servers.values().next().cloned();
    let (Some(template), Some(service)) = (template, demo.snapshot.state.services.values().next().cloned())
    else {
        return demo;
    };
    let sample = demo
        .counters
        .servers
        .get(&template.id)
        .cloned()
        .unwrap_or_default();
    let state = &mut demo.snapshot.state;
    state.services.clear();
    state.servers.clear();
    state.overrides.clear();
    demo.counters.servers.clear();
    for s in 0..410_u32 {
        let key: ServiceKey = format!("203.0.{}.{}:80/tcp", s / 250, s % 250 + 1)
            .parse()
            .expect("written by us");
        let count = if s < 390 { 122 } else { 121 };
        for n in 0..count {
            let nth = s * 122 + n;
            let id = ServerId {
                service: key.clone(),
                server: format!("198.18.{}.{}:80", n / 250 + s % 250, n % 250 + 1)
                    .parse()
                    .expect("written by us"),
            };
            let mut view = template.as_ref().clone();
            view.id = id.clone();
            if nth % 62 == 0 {
                view.health = Health::Down;
                view.effective = None;
                view.reason = "connection refused".into();
            }
            demo.counters.servers.insert(id.clone(), sample.clone());
            state.servers.insert(id, Arc::new(view));
        }
        state.services.insert(
            key.clone(),
            Arc::new(ServiceView {
                order: s,
                name: Some(format!("svc-{s:03}")),
                key,
                ..service.as_ref().clone()
            }),
        );
    }
    demo
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems;

    #[test]
    fn the_fixture_is_what_it_says() {
        let demo = demo();
        let state = &demo.snapshot.state;
        assert_eq!(state.servers.len(), 37);
        assert_eq!(
            problems::tally_text(&problems::servers(state)),
            "32 UP, 1 DRAIN, 4 DOWN"
        );
        let view = crate::view::View::of(&demo.snapshot).with_counters(Some(&demo.counters));
        let totals = view.totals().unwrap();
        assert_eq!((totals.active, totals.connections_per_s), (27_058, 1_513));
        assert_eq!(
            (totals.bytes_in_per_s, totals.bytes_out_per_s),
            (10_040_000, 52_414_000)
        );
    }

    #[test]
    fn the_big_one_is_big() {
        let demo = big();
        assert_eq!(demo.snapshot.state.services.len(), 410);
        assert_eq!(demo.snapshot.state.servers.len(), 50_000);
    }
}
