//! What of a running room outlives a new configuration, a crash, and a backup that does not check.

use super::*;

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
