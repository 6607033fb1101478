//! Scripts: the runner's promises, with real processes.

use crate::bench::{LONG, PATIENCE, SHORT};
use lbagent::io::runner::Runner;
use lbagent::model::{Job, JobEnd, JobId, JobOutcome, Script, ScriptRules};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

struct Scripts {
    runner: Option<Runner>,
    ended: Receiver<(JobId, JobOutcome)>,
    folder: PathBuf,
}

impl Scripts {
    fn new(name: &str) -> Self {
        Self::with_runner(name, true)
    }

    fn with_runner(name: &str, expected: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("lbagent-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (sender, ended) = channel();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lbagent"));
        let runner = Runner::start_program(program, expected, move |id, outcome| {
            let _ = sender.send((id, outcome));
        })
        .unwrap();
        Self {
            runner: Some(runner),
            ended,
            folder,
        }
    }

    fn write(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn begin(&self, id: u64, argv: &[&str], timeout: Option<Duration>, lane: Option<&str>) {
        let job = Job {
            script: Script {
                argv: argv.iter().map(|&word| word.to_owned()).collect(),
                user: None,
            },
            arguments: Vec::new(),
            timeout,
            report: true,
            lane: lane.map(str::to_owned),
        };
        self.runner.as_ref().unwrap().run(JobId(id), job);
    }

    fn end(&self) -> (u64, JobOutcome) {
        let (id, outcome) = self.ended.recv_timeout(PATIENCE).expect("an end");
        (id.0, outcome)
    }

    fn sh(&self, text: &str, timeout: Duration) -> JobOutcome {
        self.begin(1, &["/bin/sh", "-c", text], Some(timeout), None);
        self.end().1
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        self.runner.take();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[test]
fn a_script_ends_as_it_ends() {
    let scripts = Scripts::new("ends");
    for (text, want) in [
        ("exit 0", JobEnd::Exited(0)),
        ("exit 7", JobEnd::Exited(7)),
        ("exit 255", JobEnd::Exited(255)),
        ("kill -9 $$", JobEnd::Signalled(9)),
        ("kill -15 $$", JobEnd::Signalled(15)),
    ] {
        assert_eq!(scripts.sh(text, LONG).end, want, "{text}");
    }
    let outcome = scripts.sh("echo one; echo two >&2", LONG);
    assert_eq!(outcome.output, b"one\ntwo\n");
}

#[test]
fn a_runner_that_nobody_expected_comes_with_the_first_script() {
    let scripts = Scripts::with_runner("unexpected", false);
    assert_eq!(scripts.sh("exit 7", LONG).end, JobEnd::Exited(7));
}

/// F133.
#[test]
fn a_script_finds_what_is_promised_and_nothing_else() {
    let scripts = Scripts::new("environment");
    let text = "cd -P . && pwd; env | cut -d= -f1 | sort | tr '\\n' ' '; echo; umask; ulimit -c; ulimit -n
        echo $(cd /proc/$$/fd && echo *); cat /proc/$$/status | grep -E '^(SigBlk|SigIgn)' | tr -s '\\t' ' '
        read x </dev/stdin && echo input; cut -d' ' -f5,6 /proc/$$/stat | tr ' ' '\\n' | sort -u | wc -l";
    let outcome = scripts.sh(text, LONG);
    let text = String::from_utf8(outcome.output).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(lines[0], "/");
    let names: Vec<&str> = lines[1]
        .split(' ')
        .filter(|n| !["PWD", "OLDPWD", "SHLVL", "_"].contains(n))
        .collect();
    assert_eq!(names, ["LANG", "LBAGENT_JOB", "PATH"]);
    assert_eq!(lines[2], "0022");
    assert_eq!(lines[3], "0");
    assert_eq!(lines[4], "1024");
    let descriptors: Vec<&str> = lines[5]
        .split(' ')
        .filter(|fd| fd.parse::<u32>().is_ok_and(|fd| fd <= 2))
        .collect();
    assert_eq!(descriptors, ["0", "1", "2"]);
    // A shell may open one for itself; ours would show as a socket, a pipe or an event.
    assert!(lines[5].split(' ').count() <= 4, "{}", lines[5]);
    assert_eq!(lines[6], "SigBlk: 0000000000000000");
    // The two signals above 31 are the C library's own and not for us to set.
    let ignored = u64::from_str_radix(lines[7].trim_start_matches("SigIgn: "), 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0);
    assert_eq!(lines[8], "1", "session and process group are its own");
}

/// F127, F128: it ignores TERM or has stopped itself; a child has left its session.
#[test]
fn a_script_that_hangs_is_ended_with_all_its_children() {
    let scripts = Scripts::new("hangs");
    let pids = scripts.folder.join("pids");
    let pids = pids.to_str().unwrap();
    // Ignores TERM, has a child, and a child that left its session.
    let text = format!(
        "trap '' TERM; sleep 1000 & echo $! >> {pids}; setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & \
         while [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.05; done; echo $$ >> {pids}; \
         while true; do sleep 1000; done"
    );
    let outcome = scripts.sh(&text, Duration::from_millis(1500));
    assert_eq!(outcome.end, JobEnd::TimedOut);
    let pids = std::fs::read_to_string(pids).unwrap();
    assert_eq!(pids.lines().count(), 3);
    wait_for("all are gone", || !pids.lines().any(alive));
    // A stopped one is ended as well.
    assert_eq!(scripts.sh("kill -STOP $$", SHORT).end, JobEnd::TimedOut);
}

/// F129.
#[test]
fn of_endless_output_the_beginning_is_kept() {
    let scripts = Scripts::new("output");
    let outcome = scripts.sh("head -c 50000000 /dev/zero | tr '\\0' x", LONG);
    assert_eq!(outcome.end, JobEnd::Exited(0));
    assert_eq!(outcome.output, vec![b'x'; 4096]);
}

#[test]
fn a_script_that_cannot_start_did_not_fail() {
    let scripts = Scripts::new("start");
    let folder = scripts.folder.to_str().unwrap().to_owned();
    for path in ["/nosuchdirectory/script", &folder] {
        scripts.begin(1, &[path], Some(LONG), None);
        let (_, outcome) = scripts.end();
        assert!(
            matches!(&outcome.end, JobEnd::NotStarted(why) if why.contains(path)),
            "{outcome:?}"
        );
    }
    let long = "x".repeat(200_000);
    scripts.begin(2, &["/bin/true", &long], Some(LONG), None);
    assert!(matches!(scripts.end().1.end, JobEnd::NotStarted(_)));
}

#[test]
fn no_shell_looks_at_arguments_and_a_script_without_interpreter_line_still_runs() {
    let scripts = Scripts::new("arguments");
    let path = scripts.write("plain", "printf '<%s>' \"$@\"\n");
    scripts.begin(1, &[&path, "a b", "$(id)", ";", ""], Some(LONG), None);
    assert_eq!(scripts.end().1.output, b"<a b><$(id)><;><>");
}

#[test]
fn a_redirection_in_place_of_a_program_goes_through_the_shell() {
    let scripts = Scripts::new("redirection");
    for (argv, want) in [("</dev/null", 0), ("</nosuchfile", 1)] {
        scripts.begin(1, &[argv], Some(LONG), None);
        let end = scripts.end().1.end;
        assert_eq!(matches!(end, JobEnd::Exited(0)), want == 0, "{argv}: {end:?}");
    }
    if Path::new("/bin/bash").exists() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        scripts.begin(1, &[&format!("</dev/tcp/127.0.0.1/{port}")], Some(LONG), None);
        assert_eq!(scripts.end().1.end, JobEnd::Exited(0));
    }
}

#[test]
fn jobs_of_one_lane_run_in_order_and_others_do_not_wait_for_them() {
    let scripts = Scripts::new("lanes");
    let gate = scripts.folder.join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
    scripts.begin(1, &["/bin/sh", "-c", &wait], None, Some("VI_1"));
    for id in 2..=20 {
        scripts.begin(id, &["/bin/true"], None, Some("VI_1"));
    }
    scripts.begin(100, &["/bin/true"], None, Some("VI_2"));
    assert_eq!(scripts.end().0, 100);
    std::fs::write(gate, "").unwrap();
    let order: Vec<u64> = (1..=20).map(|_| scripts.end().0).collect();
    assert_eq!(order, (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_lane_that_overflows_still_delivers_its_newest() {
    let scripts = Scripts::new("overflow");
    let gate = scripts.folder.join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", gate.display());
    scripts.begin(1, &["/bin/sh", "-c", &wait], None, Some("VI_1"));
    for id in 2..=300 {
        scripts.begin(id, &["/bin/true"], None, Some("VI_1"));
    }
    let dropped: Vec<u64> = (0..43)
        .map(|_| scripts.end())
        .map(|(id, outcome)| {
            assert!(matches!(outcome.end, JobEnd::NotStarted(_)));
            id
        })
        .collect();
    assert!(!dropped.contains(&300) && !dropped.contains(&2));
    std::fs::write(gate, "").unwrap();
    let ran: Vec<u64> = (0..257).map(|_| scripts.end().0).collect();
    assert_eq!(ran.last(), Some(&300));
    assert!(ran.is_sorted());
}

#[test]
fn no_more_than_64_scripts_run_at_once() {
    let scripts = Scripts::new("many");
    let folder = scripts.folder.display().to_string();
    let text = format!("touch {folder}/run.$$; ls {folder} | grep -c run; sleep 0.3; rm {folder}/run.$$");
    for id in 0..150 {
        scripts.begin(id, &["/bin/sh", "-c", &text], Some(LONG), None);
    }
    let most = (0..150)
        .map(|_| {
            let outcome = scripts.end().1;
            assert_eq!(outcome.end, JobEnd::Exited(0), "{outcome:?}");
            String::from_utf8(outcome.output)
                .unwrap()
                .trim()
                .parse::<u32>()
                .unwrap()
        })
        .max();
    assert!(most <= Some(64), "{most:?}");
}

#[test]
fn when_the_agent_goes_checks_are_killed_and_notify_scripts_finish() {
    let mut scripts = Scripts::new("farewell");
    let folder = scripts.folder.display().to_string();
    let check = format!("echo $$ > {folder}/check; sleep 1000");
    let notify = format!(
        "echo $$ > {folder}/notify; while [ ! -e {folder}/gate ]; do sleep 0.02; done; echo > {folder}/done"
    );
    scripts.begin(1, &["/bin/sh", "-c", &check], Some(LONG), None);
    scripts.begin(2, &["/bin/sh", "-c", &notify], None, Some("VI_1"));
    // The last word before the end waits behind the first in its lane.
    let last = format!("echo > {folder}/last");
    scripts.begin(3, &["/bin/sh", "-c", &last], None, Some("VI_1"));
    let pid = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
    wait_for("both run", || {
        pid("check").ends_with('\n') && pid("notify").ends_with('\n')
    });
    scripts.runner.take();
    wait_for("the check is killed", || !alive(&pid("check")));
    assert!(alive(&pid("notify")));
    std::fs::write(format!("{folder}/gate"), "").unwrap();
    wait_for("notify scripts finish", || {
        Path::new(&format!("{folder}/last")).exists()
    });
    assert!(Path::new(&format!("{folder}/done")).exists());
}

#[test]
fn after_the_death_of_the_runner_jobs_are_answered_and_a_new_one_starts() {
    let scripts = Scripts::new("death");
    // A script that kills its parent.
    scripts.begin(
        1,
        &["/bin/sh", "-c", "kill -9 $PPID; kill -STOP $$"],
        Some(LONG),
        None,
    );
    assert!(matches!(scripts.end().1.end, JobEnd::NotStarted(_)));
    let until = Instant::now() + PATIENCE;
    loop {
        scripts.begin(2, &["/bin/true"], Some(LONG), None);
        match scripts.end().1.end {
            JobEnd::Exited(0) => break,
            JobEnd::NotStarted(_) => assert!(Instant::now() < until),
            end => panic!("{end:?}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// F131: it is looked at before each run.
#[test]
fn what_others_could_change_is_not_run_as_root_when_security_is_asked_for() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scripts = Scripts::new("security");
    let good = scripts.write("good", "#!/bin/sh\n");
    let open = scripts.write("open", "#!/bin/sh\n");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o757)).unwrap();
    let foreign = scripts.write("foreign", "#!/bin/sh\n");
    chown(&foreign, Some(12345), None).unwrap();
    let link = scripts.folder.join("link");
    symlink(&foreign, &link).unwrap();
    let folder = scripts.folder.join("folder");
    std::fs::create_dir(&folder).unwrap();
    let inside = scripts.write("folder/inside", "#!/bin/sh\n");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let link = link.to_str().unwrap();
    let cases = [
        (good.as_str(), true),
        (&open, false),
        (&foreign, false),
        (link, false),
        (&inside, false),
    ];
    for enforce in [false, true] {
        let rules = ScriptRules {
            secure: enforce,
            ..ScriptRules::default()
        };
        scripts.runner.as_ref().unwrap().set_rules(rules);
        for (path, safe) in cases {
            scripts.begin(1, &[path], Some(LONG), None);
            let end = scripts.end().1.end;
            assert_eq!(end == JobEnd::Exited(0), safe || !enforce, "{path}: {end:?}");
        }
    }
    // One that has run may not any more once others can change it.
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o757)).unwrap();
    scripts.begin(1, &[&good], Some(LONG), None);
    let end = scripts.end().1.end;
    assert!(
        matches!(&end, JobEnd::NotStarted(why) if why.contains(&good)),
        "{end:?}"
    );
}

#[test]
fn a_script_becomes_the_user_it_was_told_with_no_other_groups() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scripts = Scripts::new("user");
    let job = Job {
        script: Script {
            argv: ["/bin/sh", "-c", "id -u; id -g; id -G"]
                .map(str::to_owned)
                .to_vec(),
            user: Some((12345, 12346)),
        },
        arguments: Vec::new(),
        timeout: Some(LONG),
        report: true,
        lane: None,
    };
    let runner = scripts.runner.as_ref().unwrap();
    runner.run(JobId(1), job.clone());
    let said = || String::from_utf8(scripts.end().1.output).unwrap();
    assert_eq!(said(), "12345\n12346\n12346\n");
    // A user without an entry has no further groups.
    runner.set_rules(ScriptRules {
        all_groups: true,
        ..ScriptRules::default()
    });
    runner.run(JobId(1), job);
    assert_eq!(said(), "12345\n12346\n12346\n");
}
