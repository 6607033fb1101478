//! The room as the engine sees it: checks and overrides in, standings and news out.

use super::{CheckId, CheckOutcome, Effect, Health};
use crate::model::{
    Check, CheckKind, Forwarding, HttpGet, HttpVersion, MiscCheck, Persistence, QuorumScripts, Scheduler,
    Script, Server, ServerScripts, Service, SorryServer, StatusRange, TcpCheck, Url, Within,
};
use lb_shared::event::What;
use lb_shared::names::{Family, ServerId, ServerKey, ServiceKey, VirtualKey};
use lb_shared::state::{Admin, DrainThen, Health as Verdict, OverrideKind, ServiceState, WeightSource};
use lb_shared::units::{Mono, Weight};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod drains;
mod numbers;
mod quorum;
mod reload;
mod verdicts;

const MINUTE: Duration = Duration::from_secs(60);

fn key(n: u8) -> ServerKey {
    format!("198.51.100.{n}:80").parse().expect("a server")
}

fn service_key() -> ServiceKey {
    "192.0.2.1:80/tcp".parse().expect("a service")
}

fn id(n: u8) -> ServerId {
    ServerId {
        service: service_key(),
        server: key(n),
    }
}

fn script(name: &str) -> Script {
    Script {
        argv: vec![name.to_owned()],
        user: None,
    }
}

fn check(kind: CheckKind) -> Check {
    Check {
        kind,
        delay_loop: Duration::from_secs(10),
        retry: 2,
        delay_before_retry: Duration::from_secs(3),
        warmup: Duration::ZERO,
        alpha: false,
        log_all_failures: false,
    }
}

fn tcp(n: u8) -> CheckKind {
    CheckKind::Tcp(TcpCheck {
        to: format!("198.51.100.{n}:80").parse().expect("an address"),
        from: None,
        device: None,
        mark: 0,
        timeout: Duration::from_secs(5),
    })
}

fn http(n: u8, urls: usize, fast_recovery: bool) -> CheckKind {
    let CheckKind::Tcp(connect) = tcp(n) else {
        unreachable!()
    };
    CheckKind::Http(HttpGet {
        connect,
        tls: false,
        client: None,
        sni: None,
        version: HttpVersion::V1_0,
        urls: (0..urls)
            .map(|n| Url {
                path: format!("/{n}"),
                host: "example.org".to_owned(),
                status: vec![StatusRange { low: 200, high: 299 }],
                digest: None,
                regex: None,
                regex_within: Within::default(),
            })
            .collect(),
        fast_recovery,
    })
}

fn misc() -> CheckKind {
    CheckKind::Misc(MiscCheck {
        script: script("/bin/check"),
        timeout: Duration::from_secs(5),
        dynamic: true,
        broken: None,
    })
}

fn server(n: u8, weight: u32, checks: Vec<Check>) -> Server {
    Server {
        key: key(n),
        forwarding: Forwarding::Nat,
        weight: Weight::new(weight).expect("a weight"),
        upper_threshold: 0,
        lower_threshold: 0,
        inhibit_on_failure: false,
        checks,
        scripts: ServerScripts {
            first: false,
            up: Some(script("up")),
            down: Some(script("down")),
            mail: false,
        },
    }
}

fn service(servers: Vec<Server>) -> Service {
    let ServiceKey::Single(entry) = service_key() else {
        unreachable!()
    };
    Service {
        key: service_key(),
        name: None,
        entries: vec![entry],
        family: Family::Inet,
        scheduler: Scheduler {
            name: "rr".to_owned(),
            flag_1: false,
            flag_2: false,
            flag_3: false,
        },
        forwarding: Forwarding::Nat,
        persistence: None,
        one_packet: false,
        quorum: 1,
        hysteresis: 0,
        omega: false,
        quorum_scripts: QuorumScripts {
            up: Some(script("quorum_up")),
            down: Some(script("quorum_down")),
            mail: false,
        },
        sorry: None,
        ha_suspend: false,
        servers: servers.into_iter().map(|s| (s.key, Arc::new(s))).collect(),
    }
}

/// The room with a clock, and with a list of the checks it waits for.
struct Bench {
    health: Health,
    now: Mono,
    waiting: Vec<(CheckId, usize)>,
    news: Vec<Effect>,
}

impl Bench {
    fn new(service: Service) -> Self {
        let mut bench = Self::empty();
        bench.apply(service);
        bench
    }

    fn empty() -> Self {
        Self {
            health: Health::new(7),
            now: Mono::ZERO,
            waiting: Vec::new(),
            news: Vec::new(),
        }
    }

    fn take(&mut self, out: Vec<Effect>) {
        for effect in &out {
            match effect {
                Effect::Check { id, job } => self.waiting.push((*id, job.url)),
                Effect::Cancel(id) => self.waiting.retain(|(waiting, _)| waiting != id),
                _ => {}
            }
        }
        self.news = out;
    }

    fn apply(&mut self, service: Service) {
        let services = BTreeMap::from([(service.key.clone(), Arc::new(service))]);
        let mut out = Vec::new();
        self.health.apply(self.now, &services, None, &mut out);
        self.take(out);
    }

    fn adopt(&mut self, service: Service, found: &dyn Fn(&ServerId) -> Option<bool>) {
        let services = BTreeMap::from([(service.key.clone(), Arc::new(service))]);
        let mut out = Vec::new();
        self.health.apply(self.now, &services, Some(found), &mut out);
        self.take(out);
    }

    /// Goes to the next deadline; how long that took.
    fn tick(&mut self) -> Duration {
        let at = self.health.deadline().expect("something is planned");
        let took = at.since(self.now);
        self.now = at;
        let mut out = Vec::new();
        self.health.on_tick(at, &mut out);
        self.take(out);
        took
    }

    /// Answers the one check that is waited for.
    fn answer(&mut self, outcome: CheckOutcome) {
        let (check, _) = self.waiting.remove(0);
        let mut out = Vec::new();
        self.health.on_checked(self.now, check, &outcome, &mut out);
        self.take(out);
    }

    /// Goes to the next check and answers it; how long that took.
    fn run(&mut self, outcome: CheckOutcome) -> Duration {
        let mut took = Duration::ZERO;
        let mut news = Vec::new();
        while self.waiting.is_empty() {
            took += self.tick();
            news.append(&mut self.news);
        }
        self.answer(outcome);
        news.append(&mut self.news);
        self.news = news;
        took
    }

    fn set(&mut self, n: u8, kind: Option<OverrideKind>, deadline: Option<Mono>) {
        let mut out = Vec::new();
        self.health
            .on_override(self.now, &id(n), kind, deadline, &mut out);
        self.take(out);
    }

    fn sample(&mut self, n: u8, after_s: u64, counts: (u64, u64, u64), expire: bool) {
        self.now = self.now + Duration::from_secs(after_s);
        let mut out = Vec::new();
        let (active, inactive, persistent) = counts;
        self.health
            .on_connections(self.now, &id(n), active, inactive, persistent, expire, &mut out);
        self.take(out);
    }

    fn weight(&self, n: u8) -> Option<u32> {
        let standing = self.health.standing(&service_key()).expect("the service");
        standing.servers.get(&key(n)).map(|(_, weight, ..)| weight.get())
    }

    fn verdict(&self, n: u8) -> Verdict {
        self.health.server_view(&id(n)).expect("the server").health
    }

    fn admin(&self, n: u8) -> Admin {
        self.health.server_view(&id(n)).expect("the server").admin
    }

    fn word(&self) -> ServiceState {
        self.health
            .service_view(&service_key())
            .expect("the service")
            .state
    }

    fn scripts(&self) -> Vec<&str> {
        self.news
            .iter()
            .filter_map(|effect| match effect {
                Effect::Run { script, .. } => Some(script.argv[0].as_str()),
                _ => None,
            })
            .collect()
    }

    fn whats(&self) -> Vec<What> {
        self.news
            .iter()
            .filter_map(|effect| match effect {
                Effect::Changed { what, .. } | Effect::ServiceChanged { what, .. } => Some(*what),
                _ => None,
            })
            .collect()
    }
}

fn pass() -> CheckOutcome {
    CheckOutcome::Pass {
        took: Duration::from_millis(2),
        weight: None,
    }
}

fn gives(weight: u32) -> CheckOutcome {
    CheckOutcome::Pass {
        took: Duration::from_millis(2),
        weight: Some(weight),
    }
}

fn fail() -> CheckOutcome {
    CheckOutcome::Fail {
        took: Duration::from_millis(2),
        why: "connection refused".to_owned(),
    }
}

fn local() -> CheckOutcome {
    CheckOutcome::Inconclusive {
        why: "too many open files".to_owned(),
    }
}

fn drain(then: DrainThen) -> Option<OverrideKind> {
    Some(OverrideKind::Drain {
        then,
        inactive: false,
    })
}

fn any_step() -> impl Strategy<Value = u8> {
    0..10u8
}

proptest! {
    /// Whatever happens, in whatever order: every derived number is what the views add up to, quorum scripts
    /// alternate, and every change of the table was announced.
    #[test]
    fn derived_numbers_follow_from_what_is_shown(steps in prop::collection::vec((any_step(), 1..4u8), 1..120)) {
        let servers = || vec![
            server(1, 3, vec![check(tcp(1))]),
            server(2, 5, vec![Check { alpha: true, ..check(misc()) }]),
            Server { inhibit_on_failure: true, ..server(3, 2, vec![check(http(3, 2, true)), check(tcp(3))]) },
        ];
        let wanted = |quorum| {
            let mut wanted = service(servers());
            (wanted.quorum, wanted.hysteresis) = (quorum, 1);
            wanted.sorry = Some(SorryServer { key: key(9), forwarding: Forwarding::Nat, inhibit: false });
            wanted
        };
        let mut bench = Bench::empty();
        let mut quorum_up = false;
        let mut table = BTreeMap::new();
        let mut shown = BTreeMap::new();
        let mut service_shown = None;
        bench.apply(wanted(4));
        for (step, n) in std::iter::once((10, 1)).chain(steps) {
            match step {
                0 => { bench.run(pass()); }
                1 | 2 => { bench.run(fail()); }
                3 => { bench.run(gives(u32::from(n) * 7)); }
                4 => { bench.run(local()); }
                5 => { bench.set(n, drain(DrainThen::Undrain), Some(bench.now + MINUTE)); }
                6 => { bench.set(n, Some(OverrideKind::Weight(Weight::clamped(i64::from(n)))), None); }
                7 => { bench.set(n, None, None); }
                8 => { bench.apply(wanted(u64::from(n) + 2)); }
                9 => { bench.sample(n, 0, (u64::from(n) - 1, 0, 0), false); }
                _ => {}
            }
            for n in 1..=3 {
                let view = bench.health.server_view(&id(n)).expect("the server");
                let told = bench.news.iter().any(|e| matches!(e, Effect::Changed { server, .. } if *server == id(n)));
                let before = shown.insert(n, view.clone());
                prop_assert!(told || before.is_none() || before.as_ref() == Some(&view), "untold: {:?} to {:?}", before, view);
            }
            let view = bench.health.service_view(&service_key());
            let told = bench.news.iter().any(|e| matches!(e, Effect::ServiceChanged { .. }));
            prop_assert!(told || service_shown.is_none() || service_shown == view, "untold: {:?}", view);
            service_shown = view;
            let standing = bench.health.standing(&service_key()).expect("the service");
            let live: u64 = (1..=3)
                .filter_map(|n| bench.health.server_view(&id(n)))
                .filter(|view| standing.quorum_up && view.source != WeightSource::Inhibit)
                .filter_map(|view| view.effective)
                .map(|weight| u64::from(weight.get()))
                .sum();
            if standing.quorum_up {
                prop_assert_eq!(standing.live_weight, live);
                prop_assert!(live > 0);
            }
            prop_assert_eq!(standing.servers.contains_key(&key(9)), !standing.quorum_up);
            for script in bench.scripts() {
                if script.starts_with("quorum") {
                    prop_assert_eq!(script == "quorum_up", !quorum_up, "quorum scripts alternate");
                    quorum_up = !quorum_up;
                }
            }
            prop_assert_eq!(quorum_up, standing.quorum_up);
            if table != standing.servers && !table.is_empty() {
                prop_assert!(bench.news.contains(&Effect::Replan(service_key())));
            }
            table = standing.servers;
            prop_assert!(bench.health.deadline().is_none_or(|at| at >= bench.now) || !bench.waiting.is_empty());
            bench.news.clear();
        }
    }
}
