//! What keys do: which requests they lead to, and when they lead to none.

use super::Bench;
use crate::app::{Cmd, Failure, Msg, News};
use crate::keys::{KEYS, Screen};
use crate::prompt::Prompt;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::fixture;
use std::time::Duration;

#[test]
fn the_log_has_what_was_told_and_how_the_connection_went() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("1 d");
    bench.at += Duration::from_secs(90);
    bench.send(Msg::Link(News::Down {
        failure: Failure {
            message: "the agent closed the connection\u{1b}".into(),
            hint: String::new(),
        },
        attempt: 1,
        retry_in: Duration::from_secs(1),
    }));
    bench.keys(": log Enter");
    let picture = bench.picture();
    let place = |part: &str| picture.find(part).unwrap_or_else(|| panic!("{part}: {picture}"));
    assert!(place("not connected: the agent closed") < place("takes a server"));
    assert!(place("takes a server") < place("connected to agent 0.4.1 on lb1"));
    assert!(!picture.contains('\u{1b}'));
}

#[test]
fn a_very_wide_terminal_has_the_columns_that_go_first() {
    let mut bench = Bench::demo(180, 40);
    let picture = bench.keys("2").picture();
    assert!(picture.contains(" VRRP      PERSIST  FOR "), "{picture}");
    assert!(
        picture
            .lines()
            .any(|line| line.contains("mail") && line.contains(" 21m58s")),
        "{picture}"
    );
    let bench = &mut Bench::demo(140, 40);
    assert!(!bench.keys("2").picture().contains("PERSIST"));
}

#[test]
fn a_note_goes_by_itself() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("1 d");
    assert!(bench.app.note.is_some());
    bench.pass(Duration::from_secs(5));
    assert!(bench.app.note.is_none());
}

#[test]
fn a_filter_narrows_while_it_is_typed_and_escape_clears_it() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 / svc:dns");
    assert_eq!(bench.app.servers.rows.len(), 3);
    bench.keys("Enter");
    assert_eq!(bench.app.prompt, Prompt::None);
    assert_eq!(bench.app.servers.rows.len(), 3);
    bench.keys("Esc");
    assert_eq!(bench.app.servers.rows.len(), 37);
    // The last good filter holds while the text is none.
    bench.keys("/ nokey:x");
    assert!(bench.picture().contains("unknown key"));
}

#[test]
fn events_are_narrowed_by_kind_and_words() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("4 / kind:check Enter");
    let seqs = |bench: &Bench| -> Vec<u64> { bench.app.events.rows.iter().map(|key| key.seq).collect() };
    assert_eq!(seqs(&bench), [1_186]);
    bench.keys("Esc 5 j j e");
    assert_eq!(bench.app.screen, Screen::Events);
    assert_eq!(seqs(&bench), [1_185, 1_184]);
}

#[test]
fn counters_are_asked_for_only_while_they_are_shown() {
    let mut bench = Bench::demo(80, 24);
    bench.cmds.clear();
    bench.keys("4");
    assert_eq!(bench.cmds, [Cmd::Sample(None)]);
    bench.cmds.clear();
    bench.keys("3");
    assert!(
        matches!(bench.cmds[..], [Cmd::Sample(Some(_))]),
        "{:?}",
        bench.cmds
    );
}

#[test]
fn an_agent_that_was_restarted_is_told_of() {
    let mut bench = Bench::demo(80, 24);
    let mut snapshot = fixture::demo().snapshot;
    snapshot.state.agent.pid = 4_711;
    bench.send(Msg::Link(News::Update(Update::Snapshot(Box::new(snapshot)))));
    let note = bench.app.note.clone().unwrap().0;
    assert_eq!(note, "the agent was restarted; 1 override still in force");
    assert!(bench.app.data.as_ref().unwrap().counters.is_none());
}

#[test]
fn programs_keys_become_commands() {
    for (code, want) in [
        (KeyCode::Char('q'), Cmd::Quit),
        (KeyCode::Char('r'), Cmd::Reconnect),
        (KeyCode::F(5), Cmd::Redraw),
    ] {
        let mut bench = Bench::demo(80, 24);
        bench.cmds.clear();
        bench.code(code);
        assert_eq!(bench.cmds, [want]);
    }
    let mut bench = Bench::demo(80, 24);
    bench.keys("3 G");
    bench.cmds.clear();
    bench.keys("y");
    let selector = "[2001:db8:10::443]:443/tcp/[2001:db8:20::4]:443".to_owned();
    assert_eq!(bench.cmds, [Cmd::Copy(selector)]);
}

#[test]
fn every_key_does_something_defined_everywhere() {
    for screen in ["1", "2", "3", "4", "5", "3 Enter", "5 Enter", "?"] {
        for binding in KEYS {
            for (code, modifiers) in binding.keys {
                let mut bench = Bench::demo(80, 24);
                bench.keys(screen);
                bench.send(Msg::Key(KeyEvent::new(*code, *modifiers)));
                let picture = bench.picture();
                assert_eq!(picture.lines().count(), 24, "{screen} {}", binding.label);
            }
        }
    }
}

pub(super) fn type_line(bench: &mut Bench, line: &str) {
    bench.keys(":");
    for c in line.chars() {
        bench.code(KeyCode::Char(c));
    }
    bench.keys("Enter");
}

#[test]
fn one_goes_back_to_the_screen_before_and_to_what_was_open_there() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("5 j Enter 3");
    let back = KeyEvent::new(KeyCode::Char('o'), KeyModifiers::CONTROL);
    bench.send(Msg::Key(back));
    assert_eq!(bench.app.screen, Screen::Vrrp);
    assert_eq!(bench.app.detail.len(), 1);
    bench.send(Msg::Key(back));
    assert_eq!((bench.app.screen, bench.app.detail.len()), (Screen::Servers, 0));
}

#[test]
fn a_pane_alone_shows_more_of_its_rows() {
    let mut bench = Bench::demo(80, 24);
    for (keys, more, gone) in [
        ("2", "web6", "2 servers, 0 up"),
        ("2 j Tab", "198.51.100.26:443", "203.0.113.53:53/udp"),
        ("4", "failed (exit 1)", "Event 1"),
        ("1 Tab", "VI_int", "State, last 60 min"),
    ] {
        bench.keys("Esc Esc Esc").keys(keys);
        assert!(bench.picture().contains(gone), "{keys}: {}", bench.picture());
        bench.keys("z");
        let picture = bench.picture();
        assert!(
            picture.contains(more) && !picture.contains(gone),
            "{keys}: {picture}"
        );
        // Esc ends it before anything else.
        bench.keys("Esc");
        assert!(bench.picture().contains(gone), "{keys}: {}", bench.picture());
    }
}

#[test]
fn rates_become_totals() {
    let mut demo = fixture::demo();
    for counters in demo.counters.servers.values_mut() {
        (counters.connections, counters.bytes_in) = (1_000_000, 5_000_000_000);
    }
    let mut bench = Bench::of(demo, 140, 40);
    bench.keys("2 #");
    let picture = bench.picture();
    assert!(
        picture.contains("CONNS") && !picture.contains(" CPS "),
        "{picture}"
    );
    // Six servers of a million each.
    assert!(
        picture.contains("6,000,000") && picture.contains("30.0G"),
        "{picture}"
    );
    bench.keys("#");
    assert!(bench.picture().contains(" CPS "));
}

#[test]
fn command_lines_are_remembered_and_completed() {
    let mut bench = Bench::demo(80, 24);
    type_line(&mut bench, "sort -active");
    type_line(&mut bench, "servers");
    assert_eq!(bench.app.screen, Screen::Servers);
    bench.keys(":").code(KeyCode::Up).code(KeyCode::Up);
    let text = |bench: &Bench| match &bench.app.prompt {
        Prompt::Command { text, .. } => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(&bench), "sort -active");
    bench.keys("Enter");
    assert_eq!(bench.app.order.servers, (crate::order::By::Active, true));
    bench.keys(":");
    for c in "dra".chars() {
        bench.code(KeyCode::Char(c));
    }
    bench.code(KeyCode::Tab);
    assert_eq!(text(&bench), "drain ");
    for c in "web/198.51.100.2".chars() {
        bench.code(KeyCode::Char(c));
    }
    bench.code(KeyCode::Tab);
    assert_eq!(text(&bench), "drain web/198.51.100.2", "it is one of several");
    bench.code(KeyCode::Char('1')).code(KeyCode::Tab);
    assert_eq!(text(&bench), "drain web/198.51.100.21:443");
    bench.code(KeyCode::Esc);
    type_line(&mut bench, "sort by");
    assert!(
        bench.picture().contains("sort takes one of state name"),
        "{}",
        bench.picture()
    );
}

#[test]
fn the_listed_events_and_the_picture_go_into_files() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("4 / kind:vrrp Enter");
    bench.cmds.clear();
    type_line(&mut bench, "export /tmp/events.jsonl");
    let [Cmd::Write(path, text)] = bench.cmds.as_slice() else {
        panic!("{:?}", bench.cmds);
    };
    assert_eq!(path, "/tmp/events.jsonl");
    assert_eq!(text.lines().count(), 1);
    assert!(text.starts_with('{') && text.contains("\"VI_int\""), "{text}");
    bench.cmds.clear();
    type_line(&mut bench, "w picture.txt");
    let [Cmd::Write(_, text)] = bench.cmds.as_slice() else {
        panic!("{:?}", bench.cmds);
    };
    assert!(text.contains("[4 Events]"), "{text}");
}

#[test]
fn keys_typed_faster_than_pictures_are_drawn_find_their_rows() {
    let mut bench = Bench::demo(80, 24);
    let mut cmds = Vec::new();
    for c in ['3', 'G', 'd'] {
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        cmds.extend(crate::app::update(&mut bench.app, bench.at, Msg::Key(key)));
    }
    assert!(cmds.iter().any(|cmd| matches!(cmd, Cmd::Ask(..))), "{cmds:?}");
    assert!(bench.app.dialog.is_some());
}
