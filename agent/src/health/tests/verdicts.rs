//! What checks make of a server, and of its weight.

use super::*;

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

/// F147: the verdict is kept, and it is told.
#[test]
fn what_says_nothing_about_the_server_changes_no_verdict_and_is_told_once_a_minute() {
    let mut bench = Bench::new(service(vec![server(1, 5, vec![check(tcp(1))])]));
    bench.run(pass());
    let mut told = Vec::new();
    let mut want = Vec::new();
    let (start, mut runs) = (bench.now, 0);
    while bench.now.since(start) < 3 * MINUTE {
        bench.run(local());
        assert_eq!(bench.weight(1), Some(5));
        runs += 1;
        for effect in &bench.news {
            if let Effect::Changed {
                what: What::CheckInconclusive,
                why,
                ..
            } = effect
            {
                told.extend(why.clone());
                want.push(match want.is_empty() {
                    true => "too many open files".to_owned(),
                    false => format!("too many open files ({runs} times)"),
                });
                runs = 0;
            }
        }
    }
    assert!((2..=4).contains(&told.len()), "{told:?}");
    assert_eq!(told, want, "what was not told is counted");
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
