use super::*;
use crate::model::{self, InterfaceTrack, JobEnd, ScriptTrack, Tracking};
use std::time::Duration;

const S: u64 = 1_000_000;

fn script(name: &str) -> VrrpScript {
    VrrpScript {
        name: name.into(),
        script: model::Script {
            argv: vec![format!("/usr/bin/{name}")],
            user: None,
        },
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 1,
        fall: 1,
        init_fail: false,
        broken: None,
    }
}

struct Bench {
    trackers: Trackers,
    now: Mono,
}

impl Bench {
    fn new(scripts: &[VrrpScript]) -> (Self, Vec<String>) {
        let mut bench = Self {
            trackers: Trackers::new(),
            now: Mono::ZERO,
        };
        let got = bench.apply(scripts);
        (bench, got)
    }

    fn apply(&mut self, scripts: &[VrrpScript]) -> Vec<String> {
        let scripts = scripts
            .iter()
            .map(|cfg| (cfg.name.clone(), Arc::new(cfg.clone())))
            .collect();
        self.with(|trackers, now, out| trackers.apply(now, &scripts, out))
    }

    fn with(&mut self, input: impl FnOnce(&mut Trackers, Mono, &mut Vec<Effect>)) -> Vec<String> {
        let mut out = Vec::new();
        input(&mut self.trackers, self.now, &mut out);
        assert!(self.trackers.deadline().is_none_or(|at| at > self.now));
        out.iter()
            .map(|effect| match effect {
                Effect::Run { script, .. } => format!("run {script}"),
                Effect::Seen(tracker) => format!("{} seen", tracker.name()),
                Effect::Changed { tracker, what, .. } => format!("{} {}", tracker.name(), what.name()),
            })
            .collect()
    }

    /// One whole run: from its start to this outcome, a tenth of a second later.
    fn run(&mut self, name: &str, end: JobEnd) -> Vec<String> {
        self.now = self.trackers.deadline().unwrap_or(self.now).max(self.now);
        let mut got = self.with(|trackers, now, out| trackers.on_tick(now, out));
        self.now = self.now + Duration::from_millis(100);
        let outcome = JobOutcome {
            end,
            output: Vec::new(),
        };
        got.extend(self.with(|trackers, now, out| trackers.on_ran(now, name, &outcome, out)));
        got.retain(|effect| !effect.starts_with("run "));
        got
    }

    fn ok(&self, name: &str) -> Option<bool> {
        self.trackers
            .view(&TrackerName::Script(name.into()))
            .and_then(|view| view.ok)
    }
}

#[test]
fn a_script_runs_at_start_and_then_every_interval() {
    let (mut bench, got) = Bench::new(&[script("chk")]);
    assert_eq!(got, ["chk track.changed", "run chk"]);
    for round in 0..5u64 {
        bench.run("chk", JobEnd::Exited(0));
        assert_eq!(bench.trackers.deadline(), Some(Mono((round + 1) * 2 * S)));
    }
}

#[test]
fn runs_never_overlap_and_a_long_one_costs_the_runs_it_covers() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.now = Mono(5 * S);
    assert_eq!(bench.trackers.deadline(), None, "while it runs nothing is due");
    let outcome = JobOutcome {
        end: JobEnd::TimedOut,
        output: Vec::new(),
    };
    bench.with(|trackers, now, out| trackers.on_ran(now, "chk", &outcome, out));
    assert_eq!(bench.trackers.deadline(), Some(Mono(6 * S)));
}

#[test]
fn the_first_result_decides_alone_whatever_rise_and_fall_say() {
    for (end, want) in [(JobEnd::Exited(0), true), (JobEnd::Exited(1), false)] {
        let mut cfg = script("chk");
        (cfg.rise, cfg.fall) = (5, 5);
        let (mut bench, _) = Bench::new(&[cfg]);
        bench.run("chk", end);
        assert_eq!(bench.ok("chk"), Some(want));
    }
}

#[test]
fn f045_rise_and_fall_count_results_in_a_row() {
    let mut cfg = script("chk");
    (cfg.rise, cfg.fall) = (2, 3);
    let (mut bench, _) = Bench::new(&[cfg]);
    let (good, bad) = (JobEnd::Exited(0), JobEnd::Exited(1));
    let runs = [
        (&good, true),
        (&bad, true),
        (&bad, true),
        (&good, true),
        (&bad, true),
        (&bad, true),
        (&bad, false),
        (&good, false),
        (&bad, false),
        (&good, false),
        (&good, true),
    ];
    for (at, (end, want)) in runs.into_iter().enumerate() {
        bench.run("chk", end.clone());
        assert_eq!(bench.ok("chk"), Some(want), "run {at}");
    }
}

#[test]
fn f130_only_exit_0_is_good() {
    let cases = [
        (JobEnd::Exited(0), true, "exit 0"),
        (JobEnd::Exited(1), false, "exit 1"),
        (JobEnd::Exited(255), false, "exit 255"),
        (JobEnd::Signalled(9), false, "killed by signal 9"),
        (JobEnd::TimedOut, false, "timed out after 1s"),
    ];
    for (end, want, detail) in cases {
        let (mut bench, _) = Bench::new(&[script("chk")]);
        bench.run("chk", end);
        let view = bench.trackers.view(&TrackerName::Script("chk".into())).unwrap();
        assert_eq!((view.ok, view.detail.as_str()), (Some(want), detail));
    }
}

#[test]
fn an_event_comes_when_the_verdict_turns_or_the_result_is_another_one() {
    let mut cfg = script("chk");
    cfg.fall = 2;
    let (mut bench, _) = Bench::new(&[cfg]);
    assert_eq!(bench.run("chk", JobEnd::Exited(0)), ["chk track.ok"]);
    assert!(bench.run("chk", JobEnd::Exited(0)).is_empty());
    assert_eq!(bench.run("chk", JobEnd::Exited(1)), ["chk track.changed"]);
    assert_eq!(bench.run("chk", JobEnd::Exited(1)), ["chk track.failed"]);
    assert!(bench.run("chk", JobEnd::Exited(1)).is_empty());
    assert_eq!(bench.run("chk", JobEnd::Exited(2)), ["chk track.changed"]);
}

#[test]
fn f132_a_run_that_did_not_begin_keeps_the_verdict_and_the_third_is_reported() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(0));
    let not_started = || JobEnd::NotStarted("no memory".into());
    let got: Vec<_> = (0..5).map(|_| bench.run("chk", not_started())).collect();
    assert_eq!(
        got,
        [
            vec![],
            vec![],
            vec!["chk track.script_trouble".to_owned()],
            vec![],
            vec![]
        ]
    );
    assert_eq!(bench.ok("chk"), Some(true));
    bench.run("chk", JobEnd::Exited(0));
    bench.run("chk", not_started());
    bench.run("chk", not_started());
    assert_eq!(
        bench.run("chk", not_started()),
        ["chk track.script_trouble"],
        "counted anew"
    );
}

#[test]
fn init_fail_is_bad_from_the_start_and_needs_rise_successes() {
    let mut cfg = script("chk");
    (cfg.init_fail, cfg.rise) = (true, 2);
    let (mut bench, _) = Bench::new(&[cfg]);
    assert_eq!(bench.ok("chk"), Some(false));
    bench.run("chk", JobEnd::Exited(0));
    assert_eq!(bench.ok("chk"), Some(false));
    bench.run("chk", JobEnd::Exited(0));
    assert_eq!(bench.ok("chk"), Some(true));
}

#[test]
fn a_script_that_cannot_be_run_counts_as_failed_and_everybody_sees_it() {
    let mut cfg = script("chk");
    cfg.broken = Some("/usr/bin/chk does not exist".into());
    let (bench, got) = Bench::new(&[cfg]);
    assert_eq!(got, ["chk track.script_trouble"]);
    assert_eq!(bench.ok("chk"), Some(false));
    assert_eq!(bench.trackers.deadline(), None);
}

#[test]
fn a_reload_of_the_same_definitions_does_nothing() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(0));
    let deadline = bench.trackers.deadline();
    assert!(bench.apply(&[script("chk")]).is_empty());
    assert_eq!(bench.trackers.deadline(), deadline);
}

#[test]
fn a_shorter_interval_counts_at_once_and_a_longer_one_from_the_next_run_on() {
    let every = |seconds| VrrpScript {
        interval: Duration::from_secs(seconds),
        ..script("chk")
    };
    let (mut bench, _) = Bench::new(&[every(60)]);
    bench.run("chk", JobEnd::Exited(0));
    assert_eq!(bench.trackers.deadline(), Some(Mono(60 * S)));
    let soon = bench.now + Duration::from_secs(2);
    for seconds in [2, 60] {
        bench.apply(&[every(seconds)]);
        assert_eq!(bench.trackers.deadline(), Some(soon), "every {seconds} s");
    }
}

#[test]
fn a_script_that_can_no_longer_be_run_failed_at_that_moment_whatever_the_reason_is_later() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(0));
    let at = Mono(10 * S);
    for (now, why) in [(at, "it does not exist"), (Mono(20 * S), "anybody may write it")] {
        bench.now = now;
        let broken = Some(why.to_owned());
        bench.apply(&[VrrpScript {
            broken,
            ..script("chk")
        }]);
        let view = bench.trackers.view(&TrackerName::Script("chk".into())).unwrap();
        assert_eq!((view.ok, view.since), (Some(false), at));
        assert_eq!(view.detail, format!("cannot be run: {why}"));
    }
}

#[test]
fn another_command_keeps_the_verdict_until_its_first_result() {
    let mut other = script("chk");
    other.script.argv = vec!["/usr/bin/other".into()];
    (other.rise, other.fall) = (5, 5);
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(0));
    assert_eq!(
        bench.apply(std::slice::from_ref(&other)),
        ["chk track.changed", "run chk"]
    );
    assert_eq!(bench.ok("chk"), Some(true));
    assert_eq!(bench.run("chk", JobEnd::Exited(1)), ["chk track.failed"]);

    // Changed in the middle of a run: what the old command found is not the new one's result.
    let (mut bench, _) = Bench::new(&[script("chk")]);
    assert_eq!(bench.apply(&[other]), ["chk track.changed"]);
    let outcome = JobOutcome {
        end: JobEnd::Exited(1),
        output: Vec::new(),
    };
    let got = bench.with(|trackers, now, out| trackers.on_ran(now, "chk", &outcome, out));
    assert_eq!(got, ["run chk"]);
    assert_eq!(bench.ok("chk"), None);
}

#[test]
fn a_removed_script_is_gone_and_its_late_outcome_is_ignored() {
    let (mut bench, _) = Bench::new(&[script("a"), script("b")]);
    assert_eq!(bench.apply(&[script("b")]), ["a track.removed"]);
    let outcome = JobOutcome {
        end: JobEnd::Exited(1),
        output: Vec::new(),
    };
    assert!(
        bench
            .with(|trackers, now, out| trackers.on_ran(now, "a", &outcome, out))
            .is_empty()
    );
    assert_eq!(bench.trackers.views().len(), 1);
}

fn by_script(script: &str, weight: i32, reverse: bool) -> Tracking {
    Tracking {
        scripts: vec![ScriptTrack {
            script: script.into(),
            weight,
            reverse,
        }],
        ..Tracking::default()
    }
}

fn by_interface(interface: &str, weight: i32, reverse: bool) -> Tracking {
    Tracking {
        interfaces: vec![InterfaceTrack {
            interface: interface.into(),
            weight,
            reverse,
        }],
        ..Tracking::default()
    }
}

#[test]
fn a_weight_adds_when_good_or_takes_when_bad_and_weight_0_is_a_fault() {
    // weight, reverse, up: delta, faults
    let cases = [
        (0, false, true, 0, 0),
        (0, false, false, 0, 1),
        (0, true, true, 0, 1),
        (0, true, false, 0, 0),
        (20, false, true, 20, 0),
        (20, false, false, 0, 0),
        (20, true, true, 0, 0),
        (20, true, false, 20, 0),
        (-20, false, true, 0, 0),
        (-20, false, false, -20, 0),
        (-20, true, true, -20, 0),
        (-20, true, false, 0, 0),
    ];
    for (weight, reverse, up, delta, faults) in cases {
        let mut trackers = Trackers::new();
        trackers.on_interface(Mono::ZERO, "eth1", Some(up), &mut Vec::new());
        let sum = trackers.terms(&[&by_interface("eth1", weight, reverse)], true);
        let got = (sum.terms[0].delta, sum.faults.len(), sum.waiting);
        assert_eq!(
            got,
            (delta, faults, false),
            "weight {weight} reverse {reverse} up {up}"
        );
    }
}

#[test]
fn without_a_result_everybody_waits() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    let tracking = by_script("chk", -20, false);
    let sum = bench.trackers.terms(&[&tracking], true);
    assert_eq!((sum.waiting, sum.terms[0].delta), (true, 0));
    bench.run("chk", JobEnd::Exited(1));
    let sum = bench.trackers.terms(&[&tracking], true);
    assert_eq!((sum.waiting, sum.terms[0].delta), (false, -20));
    assert_eq!(sum.terms[0].detail, "exit 1");
}

#[test]
fn in_a_group_without_tracking_weight_a_members_scripts_with_a_weight_drop_out_and_interfaces_become_faults()
{
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(1));
    bench
        .trackers
        .on_interface(Mono::ZERO, "eth1", Some(false), &mut Vec::new());
    let (by_script, by_interface) = (by_script("chk", -20, false), by_interface("eth1", -20, false));
    let own = Tracking {
        interfaces: by_interface.interfaces.clone(),
        ..by_script.clone()
    };
    let sum = bench.trackers.terms(&[&own], false);
    assert_eq!(sum.terms.len(), 1);
    assert_eq!(sum.terms[0].delta, 0);
    assert_eq!(sum.faults, ["tracked interface eth1 is down"]);
    // The group's own lines keep their weights.
    let sum = bench.trackers.terms(&[&Tracking::default(), &own], false);
    assert_eq!(
        sum.terms.iter().map(|it| it.delta).collect::<Vec<_>>(),
        [-20, -20]
    );
    assert_eq!(sum.faults, [""; 0]);
}

#[test]
fn a_tracker_of_both_group_and_member_counts_once_as_the_group_says() {
    let (mut bench, _) = Bench::new(&[script("chk")]);
    bench.run("chk", JobEnd::Exited(1));
    let (member, group) = (by_script("chk", -20, false), by_script("chk", -50, false));
    let sum = bench.trackers.terms(&[&member, &group], true);
    assert_eq!(sum.terms.iter().map(|term| term.delta).collect::<Vec<_>>(), [-50]);
}

#[test]
fn an_interface_is_told_once_per_change_and_forgotten_on_request() {
    let mut trackers = Trackers::new();
    let mut told = Vec::new();
    for up in [Some(true), Some(true), Some(false), None, None] {
        let mut out = Vec::new();
        trackers.on_interface(Mono::ZERO, "eth1", up, &mut out);
        told.push(out.len());
    }
    assert_eq!(told, [1, 0, 1, 1, 0]);
    assert!(trackers.views().is_empty());
}

#[test]
fn processes_count_after_their_delays_and_a_short_gap_is_ridden_over() {
    let cfg = VrrpProcess {
        name: "proxy".into(),
        matching: model::ProcessMatch {
            command: "haproxy".into(),
            parameters: None,
            compare: model::ParamMatch::Exact,
            full_command: false,
        },
        quorum: 2,
        quorum_max: Some(3),
        fork_delay: Duration::from_secs(1),
        terminate_delay: Duration::from_secs(3),
    };
    let (mut bench, _) = Bench::new(&[]);
    let processes = [("proxy".to_owned(), Arc::new(cfg))].into();
    let added = bench.with(|trackers, now, out| trackers.apply_processes(now, &processes, out));
    assert_eq!(added, ["proxy track.changed"]);
    let name = TrackerName::Process("proxy".into());
    // After so many seconds so many run: what is told.
    let story: [(u64, u32, &[&str]); 7] = [
        // What is found first counts at once.
        (0, 2, &["proxy track.ok", "proxy seen"]),
        (1, 1, &["proxy seen"]),
        (2, 2, &["proxy seen"]),
        (9, 1, &["proxy seen"]),
        (3, 1, &["proxy track.failed"]),
        (0, 4, &["proxy seen"]),
        (1, 3, &["proxy seen"]),
    ];
    for (wait, count, told) in story {
        bench.now = bench.now + Duration::from_secs(wait);
        let got = bench.with(|trackers, now, out| {
            trackers.on_tick(now, out);
            trackers.on_processes(now, "proxy", count, out);
        });
        assert_eq!(got, told, "{count} after {wait} s");
    }
    bench.now = bench.now + Duration::from_secs(1);
    let got = bench.with(|trackers, now, out| trackers.on_tick(now, out));
    assert_eq!(got, ["proxy track.ok"]);
    let view = bench.trackers.view(&name).unwrap();
    assert_eq!(
        (view.ok, view.detail.as_str()),
        (Some(true), "3 running, want 2 to 3")
    );
    let removed = bench.with(|trackers, now, out| trackers.apply_processes(now, &BTreeMap::new(), out));
    assert_eq!(removed, ["proxy track.removed"]);
}

#[test]
fn a_file_adds_its_number_times_the_weight_and_tells_when_it_turns() {
    let multiplier = |weight, reverse| model::Multiplier { weight, reverse };
    let cfg = TrackFile {
        name: "load".into(),
        file: model::NumberFile {
            path: "/run/load".into(),
            init: None,
        },
        multiplier: multiplier(1, false),
    };
    let (mut bench, _) = Bench::new(&[]);
    let files: BTreeMap<_, _> = [("load".to_owned(), Arc::new(cfg))].into();
    let nothing = BTreeMap::new();
    let added = bench.with(|trackers, now, out| trackers.apply_files(now, &files, &nothing, out));
    assert_eq!(added, ["load track.changed"]);
    let track = |weight, reverse| Tracking {
        files: vec![model::FileTrack {
            file: "load".into(),
            multiplier: multiplier(weight, reverse),
        }],
        ..Tracking::default()
    };
    assert!(
        bench.trackers.terms(&[&track(1, false)], true).waiting,
        "nobody has read it"
    );
    // A number, what is told, and what lines of weight 2, -1, 0 and 0 in reverse make of it.
    type Step = (i32, &'static [&'static str], [Option<i32>; 4]);
    let story: [Step; 6] = [
        (5, &["load track.changed"], [Some(10), Some(-5), None, Some(0)]),
        (5, &[], [Some(10), Some(-5), None, Some(0)]),
        (-127, &["load track.changed"], [None, Some(127), None, Some(0)]),
        (-254, &["load track.failed"], [None, Some(253), None, Some(0)]),
        (0, &["load track.ok"], [Some(0), Some(0), Some(0), None]),
        (300, &["load track.changed"], [Some(253), None, None, Some(0)]),
    ];
    for (number, told, want) in story {
        let got = bench.with(|trackers, now, out| trackers.on_number(now, "load", number, out));
        assert_eq!(got, told, "{number}");
        let lines = [track(2, false), track(1, true), track(0, false), track(0, true)];
        let got = lines.map(|line| {
            let sum = bench.trackers.terms(&[&line], true);
            let fault = !sum.faults.is_empty();
            assert_eq!(sum.terms[0].ok, Some(!fault));
            (!fault).then_some(sum.terms[0].delta)
        });
        assert_eq!(got, want, "{number}");
    }
    let sum = bench.trackers.terms(&[&track(0, false)], true);
    assert_eq!(sum.faults, ["file load: number 300, want 0"]);
    // In a group without sync_group_tracking_weight the weight goes, and any number is a fault.
    assert_eq!(bench.trackers.terms(&[&track(2, false)], false).faults.len(), 1);
    let same = bench.with(|trackers, now, out| trackers.apply_files(now, &files, &nothing, out));
    assert!(same.is_empty());
    let removed = bench.with(|trackers, now, out| trackers.apply_files(now, &BTreeMap::new(), &nothing, out));
    assert_eq!(removed, ["load track.removed"]);
}
