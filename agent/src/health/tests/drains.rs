//! Overrides of operators: drains, how they end, and what stays in the table meanwhile.

use super::*;

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

/// F102.
#[test]
fn a_drain_may_wait_for_inactive_connections_too() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![])]));
    let kind = OverrideKind::Drain {
        then: DrainThen::Keep,
        inactive: true,
    };
    bench.set(1, Some(kind), None);
    for _ in 0..3 {
        bench.sample(1, 4, (0, 9, 0), false);
    }
    assert_eq!(bench.admin(1), Admin::Draining);
    let view = bench.health.server_view(&id(1)).expect("the server");
    assert_eq!(
        view.drain.map(|drain| (drain.active_at_start, drain.inactive)),
        Some((9, true))
    );
    for _ in 0..3 {
        bench.sample(1, 4, (0, 0, 0), false);
    }
    assert_eq!(bench.admin(1), Admin::Drained);
}

#[test]
fn inactive_connections_and_templates_hold_up_a_drain_where_they_carry_traffic() {
    // Protocol, persistence, sample, whether templates expire, whether it is quiet.
    let cases = [
        ("192.0.2.1:80/tcp", false, (0, 3, 2), false, true),
        ("192.0.2.1:80/udp", false, (0, 3, 0), false, false),
        ("192.0.2.1:80/udp", false, (0, 0, 0), false, true),
        ("192.0.2.1:80/sctp", false, (0, 3, 0), false, true),
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
