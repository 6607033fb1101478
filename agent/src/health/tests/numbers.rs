//! Files: what their numbers make of servers.

use super::*;
use crate::model::{FileCheck, Multiplier};

fn file(weight: i32, reverse: bool) -> Check {
    check(CheckKind::File(FileCheck {
        file: "load".to_owned(),
        multiplier: Multiplier { weight, reverse },
    }))
}

impl Bench {
    fn with_number(number: i32, service: Service) -> Self {
        let mut bench = Self::empty();
        bench
            .health
            .know_numbers(BTreeMap::from([("load".to_owned(), number)]));
        bench.apply(service);
        bench
    }

    fn number(&mut self, number: i32) {
        let mut out = Vec::new();
        self.health.on_number(self.now, "load", number, &mut out);
        self.take(out);
    }

    fn placed(&self, n: u8) -> Option<(u32, WeightSource)> {
        let view = self.health.server_view(&id(n)).expect("the server is there");
        view.effective.map(|weight| (weight.get(), view.source))
    }
}

#[test]
fn a_number_adds_to_the_weight_and_takes_the_server_away_only_below_everything() {
    let mut bench = Bench::with_number(0, service(vec![server(1, 10, vec![file(2, false)])]));
    assert_eq!(bench.health.deadline(), None, "nothing is run for it");
    assert_eq!(bench.placed(1), Some((10, WeightSource::Config)));
    let story = [
        (5, Some(20)),
        (-5, Some(0)),
        (-50, Some(0)),
        (1_073_741_823, Some(i32::MAX.unsigned_abs())),
        (-1_073_741_824, None),
        (-1_073_741_823, Some(0)),
        (1, Some(12)),
    ];
    for (number, want) in story {
        bench.number(number);
        assert_eq!(bench.placed(1).map(|(weight, _)| weight), want, "{number}");
    }
    bench.number(1);
    assert!(bench.news.is_empty(), "the same number again: {:?}", bench.news);
}

#[test]
fn weight_0_means_down_and_tells_and_runs_what_any_check_would() {
    let mut bench = Bench::with_number(0, service(vec![server(1, 10, vec![file(0, false)])]));
    assert_eq!(bench.health.server_view(&id(1)).unwrap().health, Verdict::Up);
    bench.number(1);
    let down = bench.news.iter().any(|it| {
        matches!(it, Effect::Changed { what: What::ServerDown, why: Some(why), .. } if why == "FILE_CHECK: number 1")
    });
    let ran = |bench: &Bench, name: &str| {
        let ran = |it: &Effect| matches!(it, Effect::Run { script, .. } if script.argv[0] == name);
        bench.news.iter().any(ran)
    };
    assert!(
        down && ran(&bench, "down") && ran(&bench, "quorum_down"),
        "{:?}",
        bench.news
    );
    assert_eq!(bench.placed(1), None);
    // Another bad number is worth no word beyond what is shown.
    bench.number(2);
    assert!(!ran(&bench, "down"));
    bench.number(0);
    assert!(ran(&bench, "up") && ran(&bench, "quorum_up"), "{:?}", bench.news);
    assert_eq!(bench.placed(1), Some((10, WeightSource::Config)));
}

#[test]
fn a_server_whose_file_says_no_from_the_start_was_never_there() {
    for (number, reverse, there) in [
        (1, false, false),
        (0, false, true),
        (0, true, false),
        (7, true, true),
    ] {
        let bench = Bench::with_number(number, service(vec![server(1, 10, vec![file(0, reverse)])]));
        assert_eq!(bench.placed(1).is_some(), there, "{number} {reverse}");
    }
}

#[test]
fn a_file_and_a_script_both_have_their_say() {
    let checks = vec![file(1, false), check(misc())];
    let mut bench = Bench::with_number(3, service(vec![server(1, 10, checks)]));
    assert_eq!(bench.placed(1), Some((13, WeightSource::Dynamic)));
    bench.run(CheckOutcome::Pass {
        weight: Some(4),
        took: Duration::ZERO,
    });
    assert_eq!(bench.placed(1), Some((7, WeightSource::Dynamic)));
    bench.number(-3);
    assert_eq!(bench.placed(1), Some((1, WeightSource::Dynamic)));
}

#[test]
fn a_reload_asks_the_number_that_is_known() {
    let mut bench = Bench::with_number(0, service(vec![server(1, 10, vec![])]));
    bench.number(5);
    bench.apply(service(vec![server(1, 10, vec![file(3, false)])]));
    assert_eq!(bench.placed(1), Some((25, WeightSource::Dynamic)));
    bench.apply(service(vec![server(1, 10, vec![file(0, false)])]));
    assert_eq!(bench.placed(1), None);
    bench.apply(service(vec![server(1, 10, vec![])]));
    assert_eq!(bench.placed(1), Some((10, WeightSource::Config)));
    // With a file of another path the number is another one at once.
    let changed = bench
        .health
        .know_numbers(BTreeMap::from([("load".to_owned(), 9)]));
    assert_eq!(changed, [("load".to_owned(), 9)]);
}
