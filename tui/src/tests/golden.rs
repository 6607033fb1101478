//! Every screen and dialog of the fixture, line by line. `UPDATE_GOLDEN=1` writes the files anew; read the difference.

use super::Bench;
use crate::app::{Failure, Msg, News};
use lb_shared::fixture;
use lb_shared::request::{Acted, Outcome, Refusal, RefusalCode, Reloaded, Reply, TargetReport};
use lb_shared::state::{MasterView, Target};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(super) const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

fn compare(name: &str, bench: &Bench) {
    picture(name, bench.app.size, bench.picture());
}

/// Compares a picture with its file.
pub(super) fn picture(name: &str, (width, height): (u16, u16), got: String) {
    let file = format!("{name}-{width}x{height}.txt");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(&file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &got).unwrap();
        return;
    }
    let want = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(got == want, "{file} differs; it is now\n{got}");
}

fn at_both_sizes(name: &str, keys: &str) {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        compare(name, bench.keys(keys));
    }
}

#[test]
fn the_overview_is_as_drawn() {
    at_both_sizes("overview", "j j");
}

#[test]
fn the_overview_explains_the_problem_under_the_cursor() {
    at_both_sizes("overview-problems", "Tab j");
}

#[test]
fn the_services_are_as_drawn() {
    at_both_sizes("services", "2 j");
}

#[test]
fn the_servers_are_as_drawn() {
    at_both_sizes("servers", "3 / st:down,drain Enter j Space Space");
}

#[test]
fn the_events_are_as_drawn() {
    at_both_sizes("events", "4 j j");
}

#[test]
fn the_instances_are_as_drawn() {
    at_both_sizes("vrrp", "5 j j");
}

#[test]
fn details_are_as_drawn() {
    at_both_sizes("server", "3 j j j Enter");
    at_both_sizes("instance", "5 j j Enter");
}

#[test]
fn help_is_as_drawn() {
    at_both_sizes("help", "?");
}

fn answer(bench: &mut Bench, reply: Reply) {
    let (ticket, _) = bench.asked().pop().unwrap();
    bench.send(Msg::Answer(ticket, Ok(Box::new(reply))));
}

fn drained(bench: &Bench) -> Reply {
    Reply::Acted(Acted {
        dry_run: true,
        op: 7,
        targets: bench
            .app
            .dialog
            .iter()
            .flat_map(|dialog| dialog.targets.clone())
            .map(|target| TargetReport {
                target,
                outcome: Outcome::Done,
                change: "weight 100 -> 0".into(),
                active: None,
            })
            .collect(),
        effects: vec!["web: 3 of 6 servers in rotation, weight 300, quorum 200: ok".into()],
        warnings: Vec::new(),
    })
}

#[test]
fn the_question_before_a_drain_is_as_drawn() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys("2 j Tab j j d");
        let reply = drained(&bench);
        answer(&mut bench, reply);
        compare("drain", &bench);
    }
}

#[test]
fn the_question_before_a_promote_is_as_drawn() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys("j j P");
        answer(
            &mut bench,
            Reply::Acted(Acted {
                dry_run: true,
                op: 8,
                targets: vec![TargetReport {
                    target: Target::Instance("VI_int".into()),
                    outcome: Outcome::Done,
                    change: "BACKUP -> MASTER".into(),
                    active: None,
                }],
                effects: vec!["moves 198.51.100.1/24 dev eth1".into()],
                warnings: vec!["script chk_db is failing (exit 1); promote ignores it".into()],
            }),
        );
        bench.keys("VI_i");
        compare("promote", &bench);
    }
}

#[test]
fn a_refusal_says_why_and_how_to_do_it_anyway() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys("2 j Tab j j d");
        let refusal = Refusal::new(
            RefusalCode::Quorum,
            "web would fall below its quorum",
            "quorum 200, weight after the drain 100: the service would go DOWN",
        );
        answer(&mut bench, Reply::Refused(refusal));
        compare("refused", &bench);
    }
}

#[test]
fn a_reload_shows_what_it_changes_first() {
    let mut bench = Bench::demo(80, 24);
    bench.keys(": reload Enter");
    answer(
        &mut bench,
        Reply::Reloaded(Reloaded {
            confirm_within_ms: None,
            cut: Default::default(),
            dry_run: true,
            revision: 18,
            changes: vec![
                "+ vs:203.0.113.12:443/tcp".into(),
                "~ vrrp:VI_int priority 150 -> 120".into(),
            ],
            findings: Vec::new(),
            moves: Vec::new(),
        }),
    );
    compare("reload", &bench);
}

#[test]
fn two_masters_are_an_alarm_with_places_to_look_at() {
    for (width, height) in SIZES {
        let mut demo = fixture::demo();
        let edge = Arc::make_mut(demo.snapshot.state.instances.get_mut(&"VI_edge".into()).unwrap());
        edge.second_master = true;
        edge.master = Some(MasterView {
            address: "203.0.113.3".parse().unwrap(),
            priority: 140,
        });
        compare("two-masters", &Bench::of(demo, width, height));
    }
}

fn gone() -> Msg {
    Msg::Link(News::Down {
        failure: Failure {
            message: "no agent is running: nothing listens on /run/lbagent/agent.sock".into(),
            hint: "start it (systemctl start lbagent), or name its socket with --socket".into(),
        },
        attempt: 3,
        retry_in: Duration::from_secs(4),
    })
}

#[test]
fn what_is_old_is_marked_and_stops_growing() {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys("j j");
        bench.at += Duration::from_secs(12);
        bench.send(gone());
        compare("stale", &bench);
    }
}

#[test]
fn without_an_agent_the_reason_and_the_remedy_are_shown() {
    let mut bench = Bench::empty(80, 24);
    compare("connecting", &bench);
    bench.send(gone());
    compare("no-agent", &bench);
}

#[test]
fn a_small_terminal_shows_what_is_wrong() {
    compare("small", &Bench::demo(60, 16));
}

#[test]
fn ascii_replaces_rules_and_bars_one_to_one() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("2 j");
    bench.app.ascii = true;
    assert!(bench.picture().is_ascii());
    compare("services-ascii", &bench);
}

/// What goes to a terminal when the same picture is drawn a number of times.
fn bytes(bench: &Bench, times: usize) -> String {
    // As the program does: the library would otherwise send colour changes of its own under NO_COLOR.
    crossterm::style::force_color_output(true);
    let (width, height) = bench.app.size;
    let viewport = ratatui::Viewport::Fixed(ratatui::layout::Rect::new(0, 0, width, height));
    let mut written = Vec::new();
    let backend = ratatui::backend::CrosstermBackend::new(&mut written);
    let options = ratatui::TerminalOptions { viewport };
    let mut terminal = ratatui::Terminal::with_options(backend, options).unwrap();
    for _ in 0..times {
        terminal
            .draw(|frame| crate::view::draw(&bench.app, frame))
            .unwrap();
    }
    drop(terminal);
    String::from_utf8(written).unwrap()
}

#[test]
fn without_colours_the_cursor_row_is_still_reversed_and_no_colour_is_sent() {
    let mut bench = Bench::demo(80, 24);
    bench.app.theme = crate::theme::Theme::Mono;
    let text = bytes(&bench, 1);
    assert!(text.contains("\u{1b}[7m"));
    // 30-37 and 90-97 are colours; 38 begins one of more than sixteen.
    for sequence in text.split('\u{1b}').filter_map(|part| part.split_once('m')) {
        let codes = sequence.0.trim_start_matches('[').split(';');
        for code in codes.filter_map(|code| code.parse::<u8>().ok()) {
            assert!(!matches!(code, 30..=38 | 40..=48 | 90..=107), "{code}");
        }
    }
    assert!(!text.contains("\u{1b}[;m"));
}

#[test]
fn a_picture_that_did_not_change_writes_no_text() {
    let bench = Bench::demo(140, 40);
    let again = bytes(&bench, 2).len() - bytes(&bench, 1).len();
    assert!(again < 64, "{again} bytes");
}
