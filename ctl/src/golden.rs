//! What the verbs print of the fixture, byte for byte. A change here is read in review like code.

use crate::look::Look;
use crate::verbs::{act, event, list, progress, status};
use lb_shared::excerpt::{ExcerptAsk, Reading, Scope};
use lb_shared::fixture::{self, Demo};
use lb_shared::request::{Acted, Outcome, TargetReport, Verb};
use lb_shared::state::{DrainThen, ObjectId, Target};
use lb_shared::text::width;
use lb_shared::view::View;
use lb_shared::why;
use lb_shared::zone::Zone;
use std::sync::Arc;
use std::time::Duration;

mod nasty;
mod pages;
mod samples;

fn look(width: Option<usize>, wide: bool) -> Look {
    Look {
        width,
        colour: false,
        wide,
        exact: false,
        headers: true,
        zone: Zone::utc(),
    }
}

fn view(demo: &Demo) -> View<'_> {
    View::of(&demo.snapshot)
        .with_counters(Some(&demo.counters))
        .with_peers(&demo.peers)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Compares with a golden file and shows both sides whole.
fn same(got: &str, want: &str) {
    assert!(got == want, "got:\n{got}\nwant:\n{want}");
}

#[test]
fn lists_on_a_terminal() {
    let demo = fixture::demo();
    let view = view(&demo);
    let narrow = look(Some(80), false);
    let wide = look(Some(140), true);
    same(
        &list::text::vrrp(&view, &narrow),
        include_str!("../golden/vrrp.txt"),
    );
    same(
        &list::text::vrrp(&view, &wide),
        include_str!("../golden/vrrp-wide.txt"),
    );
    same(
        &list::text::services(&view, &narrow),
        include_str!("../golden/services.txt"),
    );
    same(
        &list::text::services(&view, &wide),
        include_str!("../golden/services-wide.txt"),
    );
    same(
        &list::text::servers(&view, &narrow, &["web".into()]),
        include_str!("../golden/servers-web.txt"),
    );
}

#[test]
fn lists_in_a_pipe_have_plain_numbers_and_all_their_columns() {
    let demo = fixture::demo();
    let view = view(&demo);
    let pipe = look(None, false);
    let terminal = include_str!("../golden/services.txt");
    let plain = list::text::services(&view, &pipe);
    assert!(plain.contains("  18204  412\n"), "{plain}");
    // Read as words, the two forms differ in the separators only.
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .map(|word| word.replace(',', ""))
            .collect()
    };
    assert_eq!(words(&plain), words(terminal));
    let wide = list::text::vrrp(&view, &look(None, true));
    same(&wide, include_str!("../golden/vrrp-wide.txt"));
}

#[test]
fn no_line_is_longer_than_its_terminal() {
    let demo = fixture::demo();
    let view = view(&demo);
    for columns in [40, 60, 80, 100, 140] {
        for wide in [false, true] {
            let look = look(Some(columns), wide);
            let all = [
                list::text::vrrp(&view, &look),
                list::text::services(&view, &look),
                list::text::servers(&view, &look, &["*".into(), "fwmark:8".into()]),
                joined(&status::lines(&view, None, &look, status::Part::default())[4..]),
                joined(&event::lines(&view, &demo.events, &look)),
            ];
            for line in all.iter().flat_map(|text| text.lines()) {
                assert!(width(line) <= columns, "{columns} columns, wide {wide}: {line}");
            }
        }
    }
}

#[test]
fn a_status_tells_problems_and_overrides_first() {
    let demo = fixture::demo();
    let role = demo.snapshot.role;
    let all = status::Part::default();
    let lines = status::lines(&view(&demo), role, &look(Some(80), false), all);
    same(&joined(&lines), include_str!("../golden/status.txt"));
    let head = status::Part { short: true, ..all };
    let short = status::lines(&view(&demo), role, &look(None, false), head);
    assert_eq!(short, lines[..4]);
}

#[test]
fn a_status_of_some_objects_leaves_the_others_out() {
    let demo = fixture::demo();
    let of = |target: &str| {
        let ask = ExcerptAsk {
            targets: vec![target.to_owned()],
            ..ExcerptAsk::all(Scope::Status)
        };
        let excerpt = Reading::new(&view(&demo), &ask).unwrap().next(&view(&demo), 1);
        let some = status::Part {
            short: false,
            some: true,
        };
        let lines = status::lines(&View::excerpt(&excerpt), None, &look(Some(80), false), some);
        joined(&lines[1..])
    };
    same(
        &of("web"),
        "SERVICE  1 UP                SERVER  4 UP, 1 DRAIN, 1 DOWN
TRAFFIC  18,204 active, 412 conn/s, 6.1 MB/s in, 48.2 MB/s out

1 PROBLEM
! DOWN   web/198.51.100.25:443  4m12s  SSL_GET /healthz: status 503

1 OVERRIDE
~ drain  web/198.51.100.24:443  2m48s  37 left, ETA 2m40s (ops: kernel update)
",
    );
    let of_script = "VRRP     1 BACKUP

1 PROBLEM
~ BACKUP  VI_int  12m31s  priority 130/150: script chk_db -20
";
    same(&of("VI_int"), of_script);
    same(&of("script:chk_db"), of_script);
    same(&of("group:VG_edge"), "VRRP     2 MASTER\n");
}

#[test]
fn why_adds_up_the_priority_and_says_what_would_change_it() {
    let demo = fixture::demo();
    let reason = why::why(&view(&demo), &ObjectId::Instance("VI_int".into())).unwrap();
    same(
        &joined(&reason.lines(80)),
        include_str!("../golden/why-instance.txt"),
    );
}

#[test]
fn everything_in_the_fixture_has_a_reason() {
    let demo = fixture::demo();
    let view = view(&demo);
    for object in demo.snapshot.state.objects() {
        let id = object.id();
        if id == ObjectId::Agent {
            continue;
        }
        let reason = why::why(&view, &id).unwrap_or_else(|| panic!("{id}"));
        assert!(
            reason.sentence.starts_with(&reason.name) || reason.sentence.contains(&reason.name),
            "{}",
            reason.sentence
        );
        assert!(!reason.sentence.contains(".."), "{}", reason.sentence);
    }
}

#[test]
fn events_wrap_below_themselves_on_a_terminal_only() {
    let demo = fixture::demo();
    let view = view(&demo);
    same(
        &joined(&event::lines(&view, &demo.events, &look(Some(80), false))),
        include_str!("../golden/events-80.txt"),
    );
    let pipe = event::lines(&view, &demo.events, &look(None, false));
    assert_eq!(pipe.len(), demo.events.len());
    assert_eq!(
        pipe[3],
        "09:17:12  action  web/198.51.100.24:443  drain by ops (uid 1001): kernel update"
    );
}

fn drain_verb() -> Verb {
    Verb::Drain {
        timeout_ms: Some(600_000),
        then: DrainThen::Keep,
        inactive: false,
    }
}

fn report(server: &str, outcome: Outcome, change: &str, active: u64) -> TargetReport {
    TargetReport {
        target: Target::Server(format!("203.0.113.10:443/tcp/{server}").parse().unwrap()),
        outcome,
        change: change.into(),
        active: Some(active),
    }
}

fn drain_plan() -> Acted {
    Acted {
        dry_run: true,
        op: 0,
        targets: vec![
            report("198.51.100.23:443", Outcome::Done, "weight 100 -> 0", 4_803),
            report(
                "198.51.100.24:443",
                Outcome::Skipped("already draining".into()),
                "weight 0",
                37,
            ),
        ],
        effects: vec![
            "web: 3 of 6 servers in rotation, weight 300, quorum 200: ok".into(),
            "load: 137 conn/s per server (+33 %), 198.51.100.26 gets most".into(),
            "persistence: off".into(),
            "time: about 5m (median of the last 5 drains of web)".into(),
        ],
        warnings: Vec::new(),
    }
}

#[test]
fn a_dry_run_of_a_drain_shows_the_plan_and_what_it_leads_to() {
    let demo = fixture::demo();
    let lines = act::dry_run(&view(&demo), drain_verb(), &drain_plan(), &look(Some(80), false));
    same(&joined(&lines), include_str!("../golden/drain-dry-run.txt"));
}

fn promote_plan() -> Acted {
    Acted {
        dry_run: true,
        op: 0,
        targets: vec![TargetReport {
            target: Target::Instance("VI_int".into()),
            outcome: Outcome::Done,
            change: "BACKUP -> MASTER on lb1, priority 130 -> 254 until released".into(),
            active: None,
        }],
        effects: vec![
            "Moves: 198.51.100.1/24 to eth1; 5 gratuitous ARP".into(),
            "Gap: up to 3.0s".into(),
            "Scripts: notify_master".into(),
        ],
        warnings: vec!["script chk_db is failing on lb1 (exit 1, 12m34s); promote ignores it".into()],
    }
}

#[test]
fn a_dry_run_of_a_promote_names_effects_and_warnings() {
    let demo = fixture::demo();
    let verb = Verb::Promote { for_ms: None };
    let lines = act::dry_run(&view(&demo), verb, &promote_plan(), &look(Some(80), false));
    same(&joined(&lines), include_str!("../golden/promote-dry-run.txt"));
}

#[test]
fn a_drain_that_is_followed_tells_how_many_are_left_and_until_when() {
    let demo = fixture::demo();
    let id = "203.0.113.10:443/tcp/198.51.100.24:443".parse().unwrap();
    let acted = Acted {
        dry_run: false,
        op: 1,
        targets: vec![report(
            "198.51.100.24:443",
            Outcome::Done,
            "weight 100 -> 0",
            4_655,
        )],
        effects: Vec::new(),
        warnings: Vec::new(),
    };
    let mut lines = act::done_lines(&view(&demo), drain_verb(), &acted);
    let mut follow = progress::Follow::new(&demo.snapshot, vec![id]);
    let began = demo.snapshot.state.servers[&id_of()]
        .drain
        .as_ref()
        .unwrap()
        .since;
    let wall_ms = demo.snapshot.wall_ms - 168_000;
    for (s, active) in [(0, 4_655), (30, 1_310), (326, 0)] {
        let mut counters = demo.counters.clone();
        counters.servers.get_mut(&id_of()).unwrap().active = active;
        let now = began + Duration::from_secs(s);
        follow.sample(&counters, now);
        let view = View::new(&demo.snapshot.state, now, wall_ms + s * 1_000);
        lines.push(follow.line(&view, &look(None, false)));
    }
    same(&joined(&lines), include_str!("../golden/drain-wait.txt"));
}

fn id_of() -> lb_shared::names::ServerId {
    "203.0.113.10:443/tcp/198.51.100.24:443".parse().unwrap()
}

#[test]
fn on_a_terminal_a_drain_is_a_bar() {
    let demo = fixture::demo();
    let mut follow = progress::Follow::new(&demo.snapshot, vec![id_of()]);
    let now = demo.snapshot.now;
    for (ago, active) in [(48, 134), (0, 37)] {
        let mut counters = demo.counters.clone();
        counters.servers.get_mut(&id_of()).unwrap().active = active;
        follow.sample(&counters, now - Duration::from_secs(ago));
    }
    assert_eq!(
        follow.block(&view(&demo), 80),
        [
            "web/198.51.100.24:443  [######################################.]     37 left",
            "4,618 of 4,655 gone   1.0/s   ETA 2m40s   deadline 7m12s   Ctrl-C detaches",
        ]
    );
}

fn sums(demo: &Demo) -> lb_shared::excerpt::Sums {
    let mut reading = Reading::new(&view(demo), &ExcerptAsk::all(Scope::Status)).unwrap();
    reading.next(&view(demo), 1).sums
}

/// lb1 and lb2 as in the fixture; lb3 is not reached.
fn cluster(look: &Look) -> Vec<String> {
    use crate::fleet::{Answer, Seen, differences, status};
    use crate::trouble::Trouble;
    use lb_shared::client::ClientError;
    use lb_shared::host::Host;
    let answer = |name: &str, got: Result<Demo, Trouble>| Answer {
        host: Host::parse(&format!("ssh://{name}")).unwrap(),
        name: name.to_owned(),
        got: got.map(|demo| Seen {
            sums: sums(&demo),
            snapshot: demo.snapshot,
            skew_ms: 0,
        }),
    };
    let gone = Trouble::Agent(ClientError::Ssh("ssh: connection timed out".into()));
    let answers = [
        answer("lb1", Ok(fixture::demo())),
        answer("lb2", Ok(fixture::lb2())),
        answer("lb3", Err(gone)),
    ];
    let found = differences(&answers, Some("edge"));
    status::lines(&answers, &found, look)
}

#[test]
fn the_status_of_a_cluster_has_a_row_for_each_host_and_what_they_differ_in() {
    let lines = cluster(&look(Some(140), false));
    same(&joined(&lines), include_str!("../golden/status-cluster.txt"));
    let narrow = cluster(&look(Some(80), false));
    same(&joined(&narrow), include_str!("../golden/status-cluster-80.txt"));
}

#[test]
fn two_masters_a_clock_and_a_server_that_only_one_host_knows_are_differences() {
    use crate::fleet::{Answer, Seen, differences};
    use lb_shared::host::Host;
    let answer = |name: &str, demo: Demo, skew_ms| Answer {
        host: Host::parse(&format!("ssh://{name}")).unwrap(),
        name: name.to_owned(),
        got: Ok(Seen {
            snapshot: demo.snapshot,
            sums: Default::default(),
            skew_ms,
        }),
    };
    let mut other = fixture::lb2();
    let state = &mut other.snapshot.state;
    // Names may differ: the VRID, the family and the network make it the same one.
    let mut renamed = state.instances.remove(&"VI_edge".into()).unwrap();
    let view = Arc::make_mut(&mut renamed);
    view.name = "outside".into();
    view.state = lb_shared::state::VrrpState::Master;
    state.instances.insert(renamed.name.clone(), renamed);
    state.servers.remove(&id_of());
    state.agent.version = "0.4.0".into();
    let answers = [answer("lb1", fixture::demo(), 0), answer("lb2", other, -2_500)];
    let found = differences(&answers, None);
    let kinds: Vec<&str> = found.iter().map(|it| it.kind).collect();
    assert_eq!(kinds, ["masters", "config", "version", "clock"], "{found:#?}");
    assert!(
        found[0].text.starts_with("2 masters at once: lb1, lb2;"),
        "{found:#?}"
    );
    assert_eq!(found[1].name, id_of().to_string());
    assert!(
        found[3].text.starts_with("2s behind this machine's clock"),
        "{found:#?}"
    );
}
