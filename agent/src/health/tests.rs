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

mod numbers;

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
    Some(OverrideKind::Drain { then })
}

#[test]
fn without_alpha_servers_serve_at_once_and_quorum_up_runs() {
    let bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    assert_eq!(bench.weight(1), Some(5));
    assert_eq!(bench.verdict(1), Verdict::Init);
    assert_eq!(bench.word(), ServiceState::Init);
    assert_eq!(bench.scripts(), ["quorum_up"]);
}

#[test]
fn with_alpha_a_server_waits_for_its_check_and_the_sorry_server_answers() {
    let mut wanted = service(vec![server(
        1,
        5,
        vec![Check {
            alpha: true,
            ..check(tcp(1))
        }],
    )]);
    wanted.sorry = Some(SorryServer {
        key: key(9),
        forwarding: Forwarding::Nat,
        inhibit: false,
    });
    let mut bench = Bench::new(wanted);
    assert_eq!((bench.weight(1), bench.weight(9)), (None, Some(1)));
    assert!(bench.scripts().is_empty());
    assert_eq!(bench.run(pass()), Duration::from_secs(1));
    assert_eq!((bench.weight(1), bench.weight(9)), (Some(5), None));
    assert_eq!(bench.scripts(), ["up", "quorum_up"]);
    assert_eq!(bench.word(), ServiceState::Up);
}

#[test]
fn the_first_failure_counts_and_later_ones_only_after_the_retries() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.run(fail());
    assert_eq!(bench.verdict(1), Verdict::Down);
    assert_eq!(bench.weight(1), None);
    assert_eq!(bench.scripts(), ["down", "quorum_down"]);
    assert_eq!(bench.run(pass()), Duration::from_secs(10));
    assert_eq!(bench.verdict(1), Verdict::Up);

    assert_eq!(bench.run(fail()), Duration::from_secs(10));
    assert_eq!(bench.run(fail()), Duration::from_secs(3));
    assert_eq!(bench.verdict(1), Verdict::Up);
    assert_eq!(bench.run(fail()), Duration::from_secs(3));
    assert_eq!(bench.verdict(1), Verdict::Down);
    assert_eq!(bench.whats(), [What::ServerDown, What::QuorumLost]);
}

#[test]
fn a_success_between_failures_starts_the_retries_anew() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.run(pass());
    for outcome in [fail(), fail(), pass(), fail(), fail(), pass()] {
        bench.run(outcome);
        assert_eq!(bench.verdict(1), Verdict::Up);
    }
}

#[test]
fn a_server_is_up_only_while_all_its_checks_are() {
    let checks = vec![check(tcp(1)), check(misc())];
    let mut bench = Bench::new(service(vec![server(1, 5, checks)]));
    bench.run(fail());
    bench.run(pass());
    assert_eq!(bench.verdict(1), Verdict::Down);
    assert_eq!(bench.weight(1), None);
}

#[test]
fn what_says_nothing_about_the_server_changes_no_verdict_and_is_told_once_a_minute() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.run(pass());
    let mut told = 0;
    let start = bench.now;
    while bench.now.since(start) < 3 * MINUTE {
        bench.run(local());
        assert_eq!(bench.weight(1), Some(5));
        told += bench
            .whats()
            .iter()
            .filter(|w| **w == What::CheckInconclusive)
            .count();
    }
    assert!((2..=4).contains(&told), "told {told} times");
    // Retries were not used up meanwhile.
    bench.run(fail());
    assert_eq!(bench.verdict(1), Verdict::Up);
}

#[test]
fn what_is_shown_of_a_check_follows_what_is_known() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    let shown = |bench: &Bench| {
        let view = bench.health.server_view(&id(1)).expect("the server");
        (view.checks[0].ok, view.checks[0].detail.clone(), view.reason)
    };
    let text = |ok, detail: &str, reason: &str| (ok, detail.to_owned(), reason.to_owned());
    assert_eq!(shown(&bench), text(None, "", ""));
    let trouble = "no result: too many open files";
    for (outcome, want) in [
        (local(), text(None, trouble, "")),
        (pass(), text(Some(true), "ok", "")),
        (local(), text(Some(true), trouble, "")),
        (fail(), text(Some(true), trouble, "")),
        (pass(), text(Some(true), "ok", "")),
        (fail(), text(Some(true), "ok", "")),
        (fail(), text(Some(true), "ok", "")),
        (
            fail(),
            text(Some(false), "connection refused", "connection refused"),
        ),
    ] {
        let before = shown(&bench);
        bench.run(outcome.clone());
        assert_eq!(shown(&bench), want, "{outcome:?}");
        let told = bench
            .news
            .iter()
            .any(|effect| matches!(effect, Effect::Changed { .. }));
        assert_eq!(told, before != want, "{outcome:?}: what changed is announced");
    }
}

#[test]
fn a_drain_that_begins_while_the_sorry_server_answers_brings_nobody_back() {
    let mut wanted = service(vec![server(1, 5, vec![]), server(2, 5, vec![check(tcp(2))])]);
    wanted.quorum = 10;
    wanted.sorry = Some(SorryServer {
        key: key(9),
        forwarding: Forwarding::Nat,
        inhibit: false,
    });
    let mut bench = Bench::new(wanted);
    bench.run(fail());
    assert_eq!((bench.weight(1), bench.weight(9)), (None, Some(1)));
    bench.set(1, drain(DrainThen::Keep), None);
    assert_eq!(bench.weight(1), None);
}

#[test]
fn a_failed_url_is_seen_good_and_then_all_urls_before_the_server_is_up() {
    for (fast, want_s) in [(false, [10, 10, 10]), (true, [10, 0, 0])] {
        let mut bench = Bench::new(service(vec![server(1, 5, vec![check(http(1, 2, fast))])]));
        bench.run(pass());
        bench.run(fail());
        assert_eq!(bench.verdict(1), Verdict::Down);
        let waits: Vec<u64> = (0..3)
            .map(|run| {
                assert_eq!(bench.verdict(1), Verdict::Down, "before run {run}");
                bench.run(pass()).as_secs()
            })
            .collect();
        assert_eq!(waits, want_s, "fast recovery: {fast}");
        assert_eq!(bench.verdict(1), Verdict::Up);
    }
}

#[test]
fn urls_are_asked_in_order_one_per_delay_loop() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(http(1, 3, false))])]));
    let urls: Vec<usize> = (0..5)
        .map(|_| {
            bench.tick();
            let url = bench.waiting[0].1;
            bench.answer(pass());
            url
        })
        .collect();
    assert_eq!(urls, [0, 1, 2, 0, 1]);
}

#[test]
fn a_server_without_checks_is_always_up() {
    let bench = Bench::new(service(vec![server(1, 5, vec![])]));
    assert_eq!(bench.verdict(1), Verdict::None);
    assert_eq!(bench.weight(1), Some(5));
    assert_eq!(bench.health.deadline(), None);
}

#[test]
fn inhibit_on_failure_keeps_the_server_with_weight_zero() {
    let mut one = server(1, 5, vec![check(tcp(1))]);
    one.inhibit_on_failure = true;
    let mut bench = Bench::new(service(vec![one]));
    bench.run(fail());
    assert_eq!(bench.weight(1), Some(0));
    let view = bench.health.server_view(&id(1)).expect("the server");
    assert_eq!(view.source, WeightSource::Inhibit);
    assert!(
        bench
            .health
            .standing(&service_key())
            .expect("the service")
            .any_draining_or_zero
    );
}

#[test]
fn a_new_service_comes_with_its_servers_and_a_later_server_by_itself() {
    let told = |bench: &Bench| -> Vec<String> {
        let text = |effect: &Effect| match effect {
            Effect::Changed { text, .. } | Effect::ServiceChanged { text, .. } => Some(text.clone()),
            _ => None,
        };
        bench.news.iter().filter_map(text).collect()
    };
    let bare = |n| server(n, 1, Vec::new());
    let mut bench = Bench::new(service(vec![bare(1), bare(2)]));
    assert_eq!(told(&bench), ["added with 2 servers", "Gained quorum 1+0=1 <= 2"]);
    bench.apply(service(vec![bare(1), bare(2), bare(3)]));
    assert_eq!(told(&bench), ["changed", "added", "live weight 2 -> 3"]);
}

#[test]
fn quorum_is_gained_and_lost_at_its_thresholds() {
    // Quorum 5, hysteresis 2: gained at 7, lost below 3 and at 0.
    let cases: &[(&[u32], &[bool])] = &[
        (
            &[6, 7, 5, 3, 2, 6, 7],
            &[false, true, true, true, false, false, true],
        ),
        (&[7, 0, 7], &[true, false, true]),
    ];
    for (weights, want) in cases {
        let mut wanted = service(vec![server(1, 1, vec![])]);
        (wanted.quorum, wanted.hysteresis) = (5, 2);
        let mut bench = Bench::new(wanted);
        for (weight, up) in weights.iter().zip(*want) {
            let was_up = bench
                .health
                .standing(&service_key())
                .expect("the service")
                .quorum_up;
            bench.set(
                1,
                Some(OverrideKind::Weight(Weight::new(*weight).expect("a weight"))),
                None,
            );
            let standing = bench.health.standing(&service_key()).expect("the service");
            assert_eq!(standing.quorum_up, *up, "weight {weight} of {weights:?}");
            let scripts: &[&str] = match (was_up, *up) {
                (false, true) => &["quorum_up"],
                (true, false) => &["quorum_down"],
                _ => &[],
            };
            assert_eq!(bench.scripts(), scripts, "weight {weight} of {weights:?}");
        }
    }
}

#[test]
fn a_lost_quorum_puts_the_sorry_server_in_the_place_of_all_others() {
    let mut two = server(2, 1, vec![check(tcp(2))]);
    two.inhibit_on_failure = true;
    let three = server(3, 1, vec![]);
    let mut wanted = service(vec![server(1, 4, vec![check(tcp(1))]), two, three]);
    wanted.quorum = 4;
    wanted.sorry = Some(SorryServer {
        key: key(9),
        forwarding: Forwarding::Direct,
        inhibit: true,
    });
    let mut bench = Bench::new(wanted);
    assert_eq!(bench.weight(9), Some(0), "inhibited while it is not needed");
    bench.run(fail());
    let seen = [1, 2, 3, 9].map(|n| bench.weight(n));
    assert_eq!(seen, [None, Some(0), None, Some(1)]);
    assert_eq!(bench.word(), ServiceState::Sorry);
    // Everybody whose view changed was announced.
    for n in [1, 3] {
        assert!(
            bench
                .news
                .iter()
                .any(|e| matches!(e, Effect::Changed { server, .. } if *server == id(n)))
        );
    }
}

#[test]
fn a_weight_given_by_a_check_depends_on_its_last_result_only() {
    let mut bench = Bench::new(service(vec![server(1, 10, vec![check(misc())])]));
    for (outcome, want) in [
        (gives(30), 30),
        (gives(0), 0),
        (gives(4), 4),
        (fail(), 4),
        (gives(7), 7),
        (pass(), 10),
    ] {
        bench.run(outcome.clone());
        assert_eq!(bench.weight(1), Some(want), "{outcome:?}");
    }
    // Two such checks: their differences from the configured weight add up.
    let mut other = check(misc());
    other.retry = 0;
    let mut bench = Bench::new(service(vec![server(1, 10, vec![check(misc()), other])]));
    bench.run(gives(12));
    bench.run(gives(7));
    assert_eq!(bench.weight(1), Some(9));
}

#[test]
fn a_draining_server_stays_in_the_table_even_when_its_check_fails() {
    let mut bench = Bench::new(service(vec![
        server(1, 5, vec![check(tcp(1))]),
        server(2, 5, vec![]),
    ]));
    bench.run(pass());
    bench.set(1, drain(DrainThen::Keep), None);
    assert_eq!(bench.weight(1), Some(0));
    assert_eq!(bench.whats()[0], What::DrainStarted);
    for _ in 0..3 {
        bench.run(fail());
    }
    assert_eq!(bench.verdict(1), Verdict::Down);
    assert_eq!(bench.weight(1), Some(0));
    bench.set(1, None, None);
    assert_eq!(bench.weight(1), None);
}

#[test]
fn a_drain_ends_after_five_seconds_without_connections() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![])]));
    bench.set(1, drain(DrainThen::Keep), None);
    bench.sample(1, 1, (4, 9, 0), false);
    bench.sample(1, 1, (0, 9, 0), false);
    bench.sample(1, 4, (1, 9, 0), false);
    bench.sample(1, 1, (0, 9, 0), false);
    bench.sample(1, 4, (0, 9, 0), false);
    assert_eq!(bench.admin(1), Admin::Draining);
    bench.sample(1, 1, (0, 9, 0), false);
    assert_eq!(bench.admin(1), Admin::Drained);
    assert_eq!(bench.whats(), [What::DrainFinished]);
    assert_eq!(bench.health.draining().count(), 0);
    let drain = bench
        .health
        .server_view(&id(1))
        .and_then(|view| view.drain)
        .expect("a drain");
    assert_eq!(drain.active_at_start, 4);
    // A later success of nothing undoes it: only a command does.
    assert_eq!(bench.weight(1), Some(0));
}

#[test]
fn inactive_connections_and_templates_hold_up_a_drain_where_they_carry_traffic() {
    // Protocol, persistence, sample, whether templates expire, whether it is quiet.
    let cases = [
        ("192.0.2.1:80/tcp", false, (0, 3, 2), false, true),
        ("192.0.2.1:80/udp", false, (0, 3, 0), false, false),
        ("192.0.2.1:80/udp", false, (0, 0, 0), false, true),
        ("fwmark:8", false, (0, 3, 0), false, false),
        ("192.0.2.1:80/tcp", true, (0, 0, 2), false, false),
        ("192.0.2.1:80/tcp", true, (0, 0, 2), true, true),
        ("192.0.2.1:80/tcp", true, (0, 0, 0), false, true),
    ];
    for (text, persistent, (active, inactive, templates), expire, want) in cases {
        let entry: VirtualKey = text.parse().expect("a service");
        let mut wanted = service(vec![server(1, 5, vec![])]);
        wanted.key = ServiceKey::Single(entry);
        wanted.persistence = persistent.then_some(Persistence {
            timeout_s: 300,
            prefix_len: 32,
            engine: None,
        });
        let server = ServerId {
            service: wanted.key.clone(),
            server: key(1),
        };
        let mut bench = Bench::new(wanted);
        let mut out = Vec::new();
        bench
            .health
            .on_override(Mono(1), &server, drain(DrainThen::Keep), None, &mut out);
        for second in [1, 10] {
            let now = Mono::ZERO + Duration::from_secs(second);
            bench
                .health
                .on_connections(now, &server, active, inactive, templates, expire, &mut out);
        }
        let admin = bench.health.server_view(&server).expect("the server").admin;
        assert_eq!(
            admin == Admin::Drained,
            want,
            "{text} {persistent} {inactive} {templates} {expire}"
        );
    }
}

#[test]
fn the_deadline_of_a_drain_does_what_it_was_told_to() {
    let cases = [
        (DrainThen::Keep, Some(0), Admin::Draining),
        (DrainThen::Undrain, Some(5), Admin::Enabled),
        (DrainThen::Disable, None, Admin::Disabled),
    ];
    for (then, weight, admin) in cases {
        let mut bench = Bench::new(service(vec![server(1, 5, vec![])]));
        bench.set(1, drain(then), Some(bench.now + MINUTE));
        assert_eq!(bench.tick(), MINUTE);
        assert!(bench.whats().contains(&What::DrainDeadline), "{then:?}");
        assert_eq!(bench.weight(1), weight, "{then:?}");
        assert_eq!(bench.admin(1), admin, "{then:?}");
        assert_eq!(bench.health.deadline(), None, "{then:?}");
    }
}

#[test]
fn an_undrained_server_gets_the_newest_configured_weight() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![])]));
    bench.set(1, drain(DrainThen::Keep), None);
    bench.apply(service(vec![server(1, 8, vec![])]));
    assert_eq!(bench.weight(1), Some(0));
    bench.set(1, None, None);
    assert_eq!(bench.weight(1), Some(8));
}

#[test]
fn an_override_waits_for_a_server_that_is_not_configured() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![])]));
    bench.set(2, Some(OverrideKind::Disable), None);
    bench.apply(service(vec![server(1, 5, vec![]), server(2, 5, vec![])]));
    assert_eq!((bench.weight(1), bench.weight(2)), (Some(5), None));
    assert_eq!(
        bench
            .health
            .standing(&service_key())
            .expect("the service")
            .live_weight,
        5
    );
}

#[test]
fn a_draining_server_stays_while_the_sorry_server_answers() {
    let mut wanted = service(vec![server(1, 5, vec![])]);
    wanted.sorry = Some(SorryServer {
        key: key(9),
        forwarding: Forwarding::Nat,
        inhibit: false,
    });
    let mut bench = Bench::new(wanted);
    bench.set(1, drain(DrainThen::Keep), None);
    assert_eq!((bench.weight(1), bench.weight(9)), (Some(0), Some(1)));
}

#[test]
fn the_same_configuration_again_changes_nothing() {
    let wanted = || service(vec![server(1, 5, vec![check(tcp(1))])]);
    let mut bench = Bench::new(wanted());
    let before = bench.health.deadline();
    bench.now = Mono(500_000);
    bench.apply(wanted());
    assert!(bench.news.is_empty(), "{:?}", bench.news);
    assert_eq!(bench.health.deadline(), before);
}

#[test]
fn a_reload_keeps_what_unchanged_checks_found_out() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.run(fail());
    let planned = bench.health.deadline();
    bench.apply(service(vec![
        server(1, 7, vec![check(tcp(1))]),
        server(2, 1, vec![]),
    ]));
    assert_eq!(bench.verdict(1), Verdict::Down);
    assert_eq!(bench.health.deadline(), planned);
    // Another schedule keeps the verdict too; another question does not, but a server that was down stays down.
    let mut slower = check(tcp(1));
    slower.delay_loop = MINUTE;
    bench.apply(service(vec![server(1, 7, vec![slower])]));
    assert_eq!(bench.verdict(1), Verdict::Down);
    bench.apply(service(vec![server(1, 7, vec![check(tcp(2))])]));
    assert_eq!(bench.verdict(1), Verdict::Init);
    assert_eq!(bench.weight(1), None);
    bench.run(pass());
    assert_eq!(bench.weight(1), Some(7));
}

#[test]
fn what_left_the_configuration_is_cancelled_and_announced() {
    let mut wanted = service(vec![server(1, 5, vec![check(tcp(1))])]);
    wanted.omega = true;
    let mut bench = Bench::new(wanted);
    bench.tick();
    let check = bench.waiting[0].0;
    let mut out = Vec::new();
    bench.health.apply(bench.now, &BTreeMap::new(), None, &mut out);
    bench.take(out);
    assert_eq!(bench.scripts(), ["down", "quorum_down"]);
    for want in [
        Effect::Cancel(check),
        Effect::Removed(id(1)),
        Effect::Replan(service_key()),
        Effect::ServiceRemoved(service_key()),
    ] {
        assert!(bench.news.contains(&want), "{want:?}");
    }
    assert_eq!(bench.health.deadline(), None);
    let mut out = Vec::new();
    bench.health.on_checked(bench.now, check, &fail(), &mut out);
    assert!(out.is_empty(), "an outcome nobody waits for");
}

#[test]
fn after_a_crash_servers_are_what_the_kernel_says_until_their_checks_speak() {
    let mut bench = Bench::empty();
    let mut inhibited = server(3, 5, vec![check(tcp(3))]);
    inhibited.inhibit_on_failure = true;
    let alpha = Check {
        alpha: true,
        ..check(tcp(4))
    };
    let servers = vec![
        server(1, 5, vec![check(tcp(1))]),
        server(2, 5, vec![check(tcp(2))]),
        inhibited,
        server(4, 5, vec![alpha]),
    ];
    bench.adopt(service(servers), &|id| {
        [(key(1), true), (key(3), false), (key(4), true)]
            .iter()
            .find(|(key, _)| *key == id.server)
            .map(|(_, loaded)| *loaded)
    });
    assert_eq!(
        [1, 2, 3, 4].map(|n| bench.weight(n)),
        [Some(5), None, Some(0), Some(5)]
    );
    while bench.verdict(2) == Verdict::Init {
        bench.run(pass());
    }
    assert_eq!(bench.weight(2), Some(5));
}

#[test]
fn a_suspended_service_is_not_checked_and_keeps_its_servers() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.tick();
    let mut out = Vec::new();
    bench.health.on_suspend(bench.now, &service_key(), true, &mut out);
    bench.take(out);
    assert!(bench.waiting.is_empty(), "the check under way is cancelled");
    assert_eq!(bench.health.deadline(), None);
    assert_eq!(bench.weight(1), Some(5));
    let mut out = Vec::new();
    bench
        .health
        .on_suspend(bench.now, &service_key(), false, &mut out);
    bench.take(out);
    assert!(bench.health.deadline().is_some());
}

#[test]
fn omega_says_goodbye_for_every_server_that_is_up() {
    for omega in [true, false] {
        let mut wanted = service(vec![server(1, 5, vec![]), server(2, 5, vec![check(tcp(2))])]);
        wanted.omega = omega;
        let mut bench = Bench::new(wanted);
        bench.run(fail());
        let mut out = Vec::new();
        bench.health.stop(bench.now, &mut out);
        bench.take(out);
        let want: &[&str] = if omega { &["down", "quorum_down"] } else { &[] };
        assert_eq!(bench.scripts(), want);
        assert_eq!(bench.health.deadline(), None);
    }
}

#[test]
fn first_checks_are_spread_over_the_warm_up() {
    let servers = (1..=100)
        .map(|n| {
            server(
                n,
                1,
                vec![Check {
                    warmup: MINUTE,
                    ..check(tcp(n))
                }],
            )
        })
        .collect();
    let mut bench = Bench::new(service(servers));
    let mut first_half = 0;
    for _ in 0..100 {
        bench.tick();
        assert!(bench.now >= Mono(1_000_000) && bench.now < Mono(61_000_000));
        first_half += u32::from(bench.now < Mono(31_000_000));
    }
    assert!(
        (30..=70).contains(&first_half),
        "{first_half} of 100 in the first half"
    );
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
