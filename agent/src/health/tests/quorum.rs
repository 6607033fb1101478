//! Services: their quorum, their sorry server, and what runs when either changes.

use super::*;

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

/// F082.
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

/// F083.
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
fn omega_says_goodbye_for_every_server_that_is_up() {
    for omega in [true, false] {
        let mut wanted = service(vec![server(1, 5, vec![]), server(2, 5, vec![check(tcp(2))])]);
        wanted.omega = omega;
        let mut bench = Bench::new(wanted);
        bench.run(fail());
        let mut out = Vec::new();
        bench.health.stop(&mut out);
        bench.take(out);
        let want: &[&str] = if omega { &["down", "quorum_down"] } else { &[] };
        assert_eq!(bench.scripts(), want);
        assert_eq!(bench.health.deadline(), None);
    }
}
