//! Several hosts: their pictures, going from one to another, and what is true of all together.

use super::golden::{SIZES, picture};
use crate::app::{App, Cmd, Failure, Msg, News};
use crate::board::{self, Board};
use crate::keys::Screen;
use crate::theme::Theme;
use crate::view;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::fixture::{self, Demo};
use lb_shared::request::{Hello, Role};
use lb_shared::state::{ObjectId, VrrpState};
use std::time::Duration;

/// A dashboard of several hosts with messages of its own time.
struct Hosts {
    board: Board,
    at: Duration,
    cmds: Vec<(usize, Cmd)>,
    silent: Vec<usize>,
}

impl Hosts {
    /// lb1, lb2 and lb3; the last one does not answer.
    fn of(lb1: Demo, lb2: Demo, size: (u16, u16)) -> Self {
        let seats = ["lb1", "lb2", "lb3"].map(|name| {
            let mut app = App::new(Theme::Terminal, false, false, format!("ssh://{name}"), size);
            app.label = name.into();
            app
        });
        let mut hosts = Self {
            board: Board::new(seats.into(), Some("edge".into())),
            at: Duration::ZERO,
            cmds: Vec::new(),
            silent: vec![2],
        };
        hosts.connect(0, "lb1", lb1);
        hosts.connect(1, "lb2", lb2);
        hosts.send(
            Some(2),
            Msg::Link(News::Down {
                failure: Failure {
                    message: "ssh: connection timed out".into(),
                    hint: String::new(),
                },
                attempt: 4,
                retry_in: Duration::from_secs(6),
            }),
        );
        hosts
    }

    fn pair(size: (u16, u16)) -> Self {
        Self::of(fixture::demo(), fixture::lb2(), size)
    }

    fn connect(&mut self, seat: usize, host: &str, demo: Demo) {
        let hello = Hello {
            agent: "0.4.1".into(),
            host: host.into(),
            role: Role::Admin,
        };
        self.send(Some(seat), Msg::Link(News::Connected(hello, demo.events)));
        let snapshot = Box::new(demo.snapshot);
        self.send(Some(seat), Msg::Link(News::Update(Update::Snapshot(snapshot))));
        self.send(Some(seat), Msg::Link(News::Counters(Box::new(demo.counters))));
    }

    fn send(&mut self, seat: Option<usize>, msg: Msg) {
        self.cmds
            .extend(board::update(&mut self.board, self.at, seat, msg));
        board::settle(&mut self.board);
    }

    /// Lets time pass; all hosts are alive but those that are silent.
    fn pass(&mut self, span: Duration) {
        self.at += span;
        for seat in 0..3 {
            if !self.silent.contains(&seat) {
                self.send(Some(seat), Msg::Link(News::Alive));
            }
        }
        self.send(None, Msg::Tick);
    }

    fn keys(&mut self, names: &str) -> &mut Self {
        for name in names.split(' ').filter(|name| !name.is_empty()) {
            self.pass(Duration::from_millis(200));
            let code = match name {
                "Enter" => KeyCode::Enter,
                "Tab" => KeyCode::Tab,
                name => KeyCode::Char(name.chars().next().unwrap()),
            };
            self.send(None, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
        self
    }

    fn picture(&self) -> String {
        view::text(self.board.front())
    }

    fn host(&self) -> &str {
        &self.board.front().label
    }
}

#[test]
fn the_hosts_are_as_drawn() {
    for size in SIZES {
        let mut hosts = Hosts::pair(size);
        hosts.keys("6");
        picture("hosts", size, hosts.picture());
        // Longer than five seconds without a word from lb2.
        hosts.silent.push(1);
        hosts.pass(Duration::from_secs(4));
        hosts.pass(Duration::from_secs(4));
        picture("hosts-stale", size, hosts.picture());
    }
}

#[test]
fn the_first_line_names_the_hosts_and_a_master_by_its_host() {
    for size in SIZES {
        let mut hosts = Hosts::pair(size);
        hosts.keys("j j");
        picture("overview-hosts", size, hosts.picture());
    }
}

#[test]
fn one_goes_to_the_neighbours_round_and_round_and_takes_the_screen_along() {
    let mut hosts = Hosts::pair((140, 40));
    hosts.keys("3 >");
    assert_eq!(
        (hosts.host(), hosts.board.front().screen),
        ("lb2", Screen::Servers)
    );
    hosts.keys("> >");
    assert_eq!(hosts.host(), "lb1");
    hosts.keys("<");
    assert_eq!(hosts.host(), "lb3");
    assert!(
        hosts.picture().contains("ssh: connection timed out"),
        "{}",
        hosts.picture()
    );
}

#[test]
fn enter_on_a_host_opens_its_overview() {
    let mut hosts = Hosts::pair((80, 24));
    hosts.keys("6 j Enter");
    assert_eq!(
        (hosts.host(), hosts.board.front().screen),
        ("lb2", Screen::Overview)
    );
    assert!(
        hosts.picture().starts_with(" lb2  [1 Overview]"),
        "{}",
        hosts.picture()
    );
}

#[test]
fn the_same_object_stays_in_view_on_the_other_host() {
    let mut hosts = Hosts::pair((80, 24));
    hosts.keys("5 Enter >");
    let detail = hosts.board.front().detail.last().unwrap();
    assert_eq!(detail.object, ObjectId::Instance("VI_edge".into()));
    assert!(hosts.picture().contains("- BACKUP"), "{}", hosts.picture());
}

#[test]
fn a_change_goes_to_the_host_that_is_looked_at() {
    let mut hosts = Hosts::pair((80, 24));
    hosts.keys("> 3 d");
    let asked: Vec<usize> = hosts
        .cmds
        .iter()
        .filter(|(_, cmd)| matches!(cmd, Cmd::Ask(..)))
        .map(|(seat, _)| *seat)
        .collect();
    assert_eq!(asked, [1]);
}

fn both_master() -> Hosts {
    let mut lb2 = fixture::lb2();
    let edge = lb2.snapshot.state.instances.get_mut(&"VI_edge".into()).unwrap();
    edge.state = VrrpState::Master;
    Hosts::of(fixture::demo(), lb2, (80, 24))
}

#[test]
fn two_masters_that_do_not_hear_each_other_are_an_alarm_on_every_host() {
    let alarm = " !! VI_edge: 2 masters at once: lb1, lb2";
    let mut hosts = both_master();
    // One agent's news of a change come before the other's.
    assert!(!hosts.picture().contains(alarm), "{}", hosts.picture());
    hosts.pass(Duration::from_secs(1));
    hosts.pass(Duration::from_secs(1));
    assert!(hosts.picture().contains(alarm), "{}", hosts.picture());
    hosts.keys("> 4");
    assert!(hosts.picture().contains(alarm), "{}", hosts.picture());
    // A host that fell silent is no longer counted.
    hosts.silent.push(1);
    hosts.keys("<");
    for _ in 0..7 {
        hosts.pass(Duration::from_secs(1));
    }
    assert!(!hosts.picture().contains(alarm), "{}", hosts.picture());
}

#[test]
fn counters_are_asked_of_the_host_in_front_and_of_all_on_the_list_of_hosts() {
    let mut hosts = Hosts::pair((80, 24));
    hosts.cmds.clear();
    let mut sampled = |keys: &str| {
        hosts.keys(keys);
        let cmds = hosts.cmds.drain(..);
        let sampled = cmds.filter_map(|(seat, cmd)| match cmd {
            Cmd::Sample(wanted) => Some((seat, wanted)),
            _ => None,
        });
        let mut sampled: Vec<_> = sampled.collect();
        sampled.sort_unstable();
        sampled
    };
    assert_eq!(sampled("1"), []);
    assert_eq!(sampled(">"), [(0, false), (1, true)]);
    assert_eq!(sampled("6"), [(0, true), (2, true)]);
    assert_eq!(sampled("4"), [(0, false), (1, false), (2, false)]);
}

#[test]
fn hosts_that_call_themselves_the_same_are_told_apart() {
    let mut lb2 = fixture::lb2();
    lb2.snapshot.state.agent.host = "lb1".into();
    let mut hosts = Hosts::of(fixture::demo(), lb2, (140, 40));
    hosts.keys("6");
    let picture = hosts.picture();
    assert!(picture.contains("lb1* lb2 lb3!"), "{picture}");
}

#[test]
fn every_size_and_key_can_be_taken() {
    let mut hosts = Hosts::pair((80, 24));
    for keys in [
        "6", "j", "G", "Enter", ">", "<", "6", "d", "P", "/", "c", "s", "v", "y", "Y", "e", "p", "?",
    ] {
        hosts.keys(keys);
        for size in [(1, 1), (40, 10), (80, 24), (120, 30), (200, 60), (80, 24)] {
            hosts.send(None, Msg::Resize(size.0, size.1));
            assert_eq!(hosts.picture().lines().count(), usize::from(size.1));
        }
    }
}
