//! Many seeds, one seed, and the fewest faults that still break a promise.

use crate::faults::Plan;
use crate::planted::Planted;
use crate::sometimes::Sometimes;
use crate::world::{Violation, World};
use nix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tries of a shrink; the answer need not be the smallest.
const SHRINK_TRIES: usize = 400;
/// One seed in so many is run twice (S26).
const TWICE_EVERY: u64 = 100;

/// What one run came to.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) hash: u64,
    pub(crate) steps: u64,
    pub(crate) sometimes: Sometimes,
    pub(crate) trace: Vec<String>,
}

/// How much to explore.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Stop after so long.
    pub(crate) seconds: Option<u64>,
    pub(crate) threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            first: 1,
            count: 1,
            seconds: None,
            threads: 1,
        }
    }
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) simulated_s: f64,
    /// By the time of the processor, not of the wall.
    pub(crate) steps_per_s: f64,
    pub(crate) sometimes: Sometimes,
    pub(crate) failure: Option<String>,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

pub(crate) fn run_seed(seed: u64, planted: Option<Planted>) -> Outcome {
    run_plan(&Plan::new(seed), planted, false)
}

/// One run. A panic of an engine is a broken promise too (S30).
pub(crate) fn run_plan(plan: &Plan, planted: Option<Planted>, trace: bool) -> Outcome {
    let mut world = World::new(plan.clone(), planted, trace);
    quiet_panics();
    PANIC.with_borrow_mut(|text| *text = Some(String::new()));
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let panicked = PANIC.with_borrow_mut(Option::take).unwrap_or_default();
    if result.is_err() {
        world.fail("S30", panicked);
    }
    Outcome {
        violation: world.violation,
        hash: world.hash,
        steps: world.steps,
        sometimes: world.sometimes,
        trace: world.trace.unwrap_or_default().lines(),
    }
}

/// Panics inside a run are caught and reported by their seed; all others are shown as ever.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let caught = PANIC.with_borrow_mut(|text| match text {
                Some(text) => {
                    *text = info.to_string();
                    true
                }
                None => false,
            });
            if !caught {
                usual(info);
            }
        }));
    });
}

/// Leaves out faults, and shortens them, as long as the same promise is broken.
pub(crate) fn shrink(plan: Plan, planted: Option<Planted>, id: &str) -> Plan {
    let mut best = plan;
    let mut tries = 0;
    let mut fails = |plan: &Plan| {
        tries += 1;
        tries <= SHRINK_TRIES
            && run_plan(plan, planted, false)
                .violation
                .is_some_and(|it| it.id == id)
    };
    let mut size = best.faults.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.faults.len() {
            let mut smaller = best.clone();
            let end = (at + size).min(smaller.faults.len());
            smaller.faults.drain(at..end);
            if fails(&smaller) {
                best = smaller;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    for at in 0..best.faults.len() {
        for _ in 0..8 {
            let mut shorter = best.clone();
            shorter.faults[at].span /= 2;
            if shorter.faults[at].span < 1000 || best.faults[at].kind.is_momentary() || !fails(&shorter) {
                break;
            }
            best = shorter;
        }
    }
    best
}

/// What is to be known about a failing seed; `None` if it does not fail.
pub(crate) fn report(seed: u64, planted: Option<Planted>) -> Option<String> {
    let plan = Plan::new(seed);
    let violation = run_plan(&plan, planted, false).violation?;
    let small = shrink(plan, planted, violation.id);
    let outcome = run_plan(&small, planted, true);
    let last = outcome.violation.unwrap_or(violation);
    let mut text = format!("seed {seed} breaks {}: {}\n\n", last.id, last.text);
    let cluster = &small.cluster;
    text += &format!(
        "cluster of {} nodes, hosts {:?}",
        cluster.hosts.len(),
        cluster.hosts
    );
    text += &format!(
        ", group {}, clocks {:?} ppm\n",
        cluster.grouped, cluster.clock_ppm
    );
    text += &format!(
        "script {:?}, interface {:?}\n",
        cluster.script_weight, cluster.interface_weight
    );
    for router in &cluster.routers {
        text += &format!("  {router:?}\n");
    }
    for service in &cluster.services {
        text += &format!("  {service:?}\n");
    }
    text += &format!("faults ({} left):\n", small.faults.len());
    for fault in &small.faults {
        text += &format!(
            "  {:>10} us for {:>9} us: {:?}\n",
            fault.at, fault.span, fault.kind
        );
    }
    text += "the last events:\n";
    for line in &outcome.trace {
        text += &format!("  {line}\n");
    }
    text += &format!("replay it with: scripts/sim --replay {seed}\n");
    Some(text)
}

/// Runs seeds until one fails, the count is reached or the time is over.
pub(crate) fn explore(settings: &Settings) -> Found {
    let next = AtomicU64::new(settings.first);
    let end = settings.first.saturating_add(settings.count);
    let stop = AtomicBool::new(false);
    let until = settings
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let work = || {
        let mut found = Found::default();
        let began = processor_s();
        while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            let plan = Plan::new(seed);
            let outcome = run_plan(&plan, None, false);
            found.seeds += 1;
            found.steps += outcome.steps;
            #[expect(clippy::cast_precision_loss, reason = "hours for people")]
            let simulated_s = plan.end_at as f64 / 1e6;
            found.simulated_s += simulated_s;
            found.sometimes.add(&outcome.sometimes);
            let differs = seed.is_multiple_of(TWICE_EVERY) && run_seed(seed, None).hash != outcome.hash;
            if differs {
                found.failure = Some(format!("seed {seed} breaks S26: two runs differ"));
            }
            if outcome.violation.is_some() {
                found.failure = report(seed, None);
            }
            if found.failure.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let steps = found.steps as f64;
        found.steps_per_s = steps / (processor_s() - began).max(1e-9);
        found
    };
    let all: Vec<Found> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..settings.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("workers catch their panics"))
            .collect()
    });
    let mut sum = Found::default();
    #[expect(clippy::cast_precision_loss, reason = "a handful of threads")]
    let share = 1.0 / all.len() as f64;
    for found in all {
        sum.seeds += found.seeds;
        sum.steps += found.steps;
        sum.simulated_s += found.simulated_s;
        sum.steps_per_s += found.steps_per_s * share;
        sum.sometimes.add(&found.sometimes);
        sum.failure = sum.failure.or(found.failure);
    }
    sum
}

/// Processor time this thread has used, in seconds.
fn processor_s() -> f64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .map_or(0.0, |used| used.as_secs_f64())
}
