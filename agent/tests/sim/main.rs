//! The simulator: several agents' engines, exactly as they ship, on a simulated LAN with simulated kernels, disks and
//! servers, in virtual time. A seed decides everything; what goes wrong is drawn from it.
//!
//! `scripts/sim` runs many seeds, replays one, and proves that planted bugs are found.

mod acts;
mod advert;
mod audits;
mod cluster;
mod explore;
mod faults;
#[path = "../support/instance.rs"]
#[expect(dead_code, reason = "families and versions are drawn here")]
mod instance;
mod kernel;
mod lan;
mod node;
mod oracles;
mod planted;
mod random;
mod services;
mod shell;
mod sometimes;
mod trace;
mod trials;
mod world;

use explore::{Settings, explore, run_plan, run_seed, shrink};
use faults::Plan;
use planted::Planted;
use sometimes::Sometimes;

/// Seeds of every push, besides those that once failed.
const SEEDS: u64 = 300;
/// A planted bug has to be found within so many seeds.
const SEEDS_FOR_A_BUG: u64 = 10_000;

/// Seeds that failed once; each line is a seed and what it showed.
const REGRESSIONS: &str = include_str!("regressions.txt");

fn regressions() -> impl Iterator<Item = u64> {
    REGRESSIONS
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|word| word.parse().ok())
}

#[test]
fn no_seed_breaks_a_promise() {
    let settings = Settings {
        first: 1,
        count: SEEDS,
        ..Settings::default()
    };
    let found = explore(&settings);
    assert!(found.failure.is_none(), "{}", found.failure.unwrap_or_default());
    let missing = found.sometimes.missing();
    assert!(
        missing.is_empty(),
        "the faults are too tame: never seen: {}",
        missing.join(", ")
    );
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for seed in regressions() {
        let outcome = run_seed(seed, None);
        assert!(
            outcome.violation.is_none(),
            "seed {seed}: {:?}",
            outcome.violation
        );
    }
}

#[test]
fn s26_the_same_seed_gives_the_same_trace() {
    for seed in 1..20 {
        let (one, other) = (run_seed(seed, None), run_seed(seed, None));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_eq!(one.steps, other.steps, "seed {seed}");
    }
}

#[test]
fn every_planted_bug_is_found_and_shrunk() {
    for planted in Planted::ALL {
        let found = (1..=SEEDS_FOR_A_BUG).find_map(|seed| {
            let outcome = run_seed(seed, Some(*planted));
            outcome.violation.map(|violation| (seed, violation))
        });
        let (seed, violation) = found.unwrap_or_else(|| panic!("{planted:?} was not found"));
        let small = shrink(Plan::new(seed), Some(*planted), violation.id);
        assert!(
            run_plan(&small, Some(*planted), false).violation.is_some(),
            "{planted:?}"
        );
        println!(
            "{planted:?}: {} at seed {seed}, {} faults left",
            violation.id,
            small.faults.len()
        );
    }
}

/// For `scripts/sim`: what to do comes from the environment.
#[test]
#[ignore = "run by scripts/sim"]
fn by_hand() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SIM_REPLAY") {
        let report = explore::report(seed, None);
        println!("{}", report.as_deref().unwrap_or("no promise is broken"));
        assert!(report.is_none(), "seed {seed} breaks a promise");
        return;
    }
    if let Some(count) = number("SIM_SURVEY") {
        let first = number("SIM_FIRST").unwrap_or(1);
        for seed in first..first.saturating_add(count) {
            if let Some(violation) = run_seed(seed, None).violation {
                println!("{seed} {} {}", violation.id, violation.text);
            }
        }
        return;
    }
    let settings = Settings {
        first: number("SIM_FIRST").unwrap_or(1),
        count: number("SIM_SEEDS").unwrap_or(u64::MAX),
        seconds: number("SIM_SECONDS"),
        threads: number("SIM_THREADS")
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(1),
    };
    let found = explore(&settings);
    print_summary(&found.sometimes);
    println!(
        "{} seeds, {:.0} simulated hours, {} steps of engines, {:.2} million steps a second and core",
        found.seeds,
        found.simulated_s / 3600.0,
        found.steps,
        found.steps_per_s / 1e6
    );
    assert!(found.failure.is_none(), "{}", found.failure.unwrap_or_default());
}

fn print_summary(sometimes: &Sometimes) {
    for hit in sometimes::Hit::ALL {
        println!("{:>12} {}", sometimes.count(*hit), hit.words());
    }
}
