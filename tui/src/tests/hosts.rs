//! Several hosts: their pictures, going from one to another, and what is true of all together.

use super::golden::{SIZES, picture};
use crate::app::{App, Cmd, Failure, Msg, News};
use crate::board::{self, Board};
use crate::keys::Screen;
use crate::theme::Theme;
use crate::view;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::client::Update;
use lb_shared::event::What;
use lb_shared::fixture::{self, Demo};
use lb_shared::names::ServerId;
use lb_shared::request::{
    Act, Acted, Hello, Outcome, Refusal, RefusalCode, Reply, Request, Role, TargetReport,
};
use lb_shared::state::{Admin, ObjectId, SyncView, VrrpState};
use std::sync::Arc;
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
            if name == "lb1" {
                app.socket = "/run/lbagent/agent.sock".into();
            }
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
        for ms in [40, 2, 7] {
            hosts.send(Some(1), Msg::Link(News::Trip(Duration::from_millis(ms))));
        }
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
        self.cmds.extend(board::settle(&mut self.board));
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
fn it_is_told_whose_connections_go_to_whom() {
    let sync = |sends, takes| {
        Some(SyncView {
            interface: "eth9".into(),
            id: 1,
            instance: None,
            sends,
            takes,
        })
    };
    for (lb1, lb2, edge, int) in [
        (None, None, "off", "off"),
        (sync(true, true), sync(true, true), "lb1 -> lb2", "lb2 -> lb1"),
        (sync(true, false), sync(false, true), "lb1 -> lb2", "off"),
        (sync(true, false), None, "lb1 -> nobody", "off"),
    ] {
        let (mut one, mut two) = (fixture::demo(), fixture::lb2());
        one.snapshot.state.agent.sync = lb1;
        two.snapshot.state.agent.sync = lb2;
        let mut hosts = Hosts::of(one, two, (140, 40));
        let picture = hosts.keys("6").picture();
        let of = |name: &str| {
            picture
                .lines()
                .find(|line| line.starts_with(&format!(" # {name} ")))
                .unwrap()
        };
        assert!(of("VI_edge").ends_with(&format!("1  {edge}")), "{picture}");
        assert!(of("VI_int").ends_with(&format!("1  {int}")), "{picture}");
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
    let edge = Arc::make_mut(lb2.snapshot.state.instances.get_mut(&"VI_edge".into()).unwrap());
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
    let mut wanted = [true, false, false];
    let mut sampled = |keys: &str| {
        hosts.keys(keys);
        for (seat, cmd) in hosts.cmds.drain(..) {
            if let Cmd::Sample(ask) = cmd {
                wanted[seat] = ask.is_some();
            }
        }
        wanted
    };
    assert_eq!(sampled("1"), [true, false, false]);
    assert_eq!(sampled(">"), [false, true, false]);
    // The third has never answered: nothing is known of what it has.
    assert_eq!(sampled("6"), [true, true, false]);
    assert_eq!(sampled("4"), [false, false, false]);
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

/// The requests that went out since the last look, and to which host.
fn asked(hosts: &mut Hosts) -> Vec<(usize, u64, Act)> {
    hosts
        .cmds
        .drain(..)
        .filter_map(|(seat, cmd)| match cmd {
            Cmd::Ask(ticket, Request::Act(act) | Request::ActIf(act, _)) => Some((seat, ticket, act)),
            _ => None,
        })
        .collect()
}

fn agree(hosts: &mut Hosts, (seat, ticket, act): (usize, u64, Act), outcome: &Outcome) {
    let report = |target| TargetReport {
        target,
        outcome: outcome.clone(),
        change: "weight 100 -> 0".into(),
        active: None,
    };
    let reply = Reply::Acted(Acted {
        dry_run: act.dry_run,
        op: 1,
        targets: act.targets.into_iter().map(report).collect(),
        effects: vec!["web: 3 of 6 servers in rotation, weight 300, quorum 200: ok".into()],
        warnings: Vec::new(),
    });
    hosts.send(Some(seat), Msg::Answer(ticket, Ok(Box::new(reply))));
}

/// lb1 and lb2, both of which answer.
fn two(size: (u16, u16)) -> Hosts {
    let mut hosts = Hosts::pair(size);
    hosts.connect(2, "lb3", fixture::lb2());
    hosts.silent.clear();
    hosts
}

#[test]
fn a_change_on_all_hosts_is_tried_on_each_asked_once_and_done_one_after_the_other() {
    for size in SIZES {
        let mut hosts = two(size);
        hosts.keys("a 2 j Tab j j d");
        let tried = asked(&mut hosts);
        assert_eq!(
            tried.iter().map(|(seat, ..)| *seat).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert!(tried.iter().all(|(_, _, act)| act.dry_run));
        for ask in tried {
            agree(&mut hosts, ask, &Outcome::Done);
        }
        picture("drain-all", size, hosts.picture());
        // No name, no drain.
        hosts.keys("Enter");
        assert_eq!(asked(&mut hosts), []);
        hosts.keys("w e b Enter");
        for seat in 0..3 {
            let mut doing = asked(&mut hosts);
            assert_eq!(doing.len(), 1, "the next host waits for the one before");
            let ask = doing.remove(0);
            assert_eq!((ask.0, ask.2.dry_run), (seat, false));
            agree(&mut hosts, ask, &Outcome::Done);
        }
        assert!(hosts.board.front().dialog.is_none());
        let note = hosts.board.front().note.clone().unwrap().0;
        assert_eq!(note, "drain 1 server: done on lb1, lb2, lb3");
    }
}

#[test]
fn one_host_that_refuses_or_is_silent_keeps_all_from_changing() {
    let mut hosts = two((80, 24));
    hosts.keys("a 2 j Tab j j d");
    let mut tried = asked(&mut hosts);
    let (seat, ticket, _) = tried.pop().unwrap();
    for ask in tried {
        agree(&mut hosts, ask, &Outcome::Done);
    }
    let refusal = Refusal::new(RefusalCode::Quorum, "web would fall below its quorum", "");
    hosts.send(
        Some(seat),
        Msg::Answer(ticket, Ok(Box::new(Reply::Refused(refusal)))),
    );
    let shown = hosts.picture();
    assert!(shown.contains("lb3: web would fall below its quorum"), "{shown}");
    assert!(shown.contains("Nothing was changed on any host."), "{shown}");
    // lb3 does not answer at all.
    let mut hosts = Hosts::pair((80, 24));
    hosts.keys("a 2 j Tab j j d");
    let shown = hosts.picture();
    assert!(shown.contains("lb3: not connected"), "{shown}");
    hosts.keys("w e b Enter");
    assert!(asked(&mut hosts).iter().all(|(_, _, act)| act.dry_run));
}

#[test]
fn a_host_that_fails_in_the_middle_stops_the_rest_and_what_was_done_is_told() {
    let mut hosts = two((80, 24));
    hosts.keys("a 2 j Tab j j d");
    for ask in asked(&mut hosts) {
        agree(&mut hosts, ask, &Outcome::Done);
    }
    hosts.keys("w e b Enter");
    let first = asked(&mut hosts).remove(0);
    agree(&mut hosts, first, &Outcome::Done);
    let (seat, ticket, _) = asked(&mut hosts).remove(0);
    let gone = Failure {
        message: "the agent closed the connection".into(),
        hint: String::new(),
    };
    hosts.send(Some(seat), Msg::Answer(ticket, Err(gone)));
    assert_eq!(asked(&mut hosts), []);
    let shown = hosts.picture();
    assert!(shown.contains("Done on lb1."), "{shown}");
    assert!(shown.contains("may have been done nevertheless"), "{shown}");
}

#[test]
fn a_question_for_all_hosts_closes_when_the_target_changes_on_another_one() {
    let mut hosts = two((80, 24));
    hosts.keys("a 2 j Tab j j d");
    for ask in asked(&mut hosts) {
        agree(&mut hosts, ask, &Outcome::Done);
    }
    let id: ServerId = "203.0.113.10:443/tcp/198.51.100.23:443".parse().unwrap();
    let mut snapshot = fixture::lb2().snapshot;
    Arc::make_mut(snapshot.state.servers.get_mut(&id).unwrap()).admin = Admin::Disabled;
    hosts.send(
        Some(1),
        Msg::Link(News::Update(Update::Snapshot(Box::new(snapshot)))),
    );
    assert!(hosts.board.front().dialog.is_none());
    let note = hosts.board.front().note.clone().unwrap().0;
    assert_eq!(
        note,
        "nothing was done: web/198.51.100.23:443: state is off by now, not up on lb2"
    );
}

#[test]
fn a_promote_is_of_the_host_in_front_whatever_the_scope() {
    let mut hosts = two((80, 24));
    hosts.keys("a 5 j j P");
    let tried = asked(&mut hosts);
    assert_eq!(tried.iter().map(|(seat, ..)| *seat).collect::<Vec<_>>(), [0]);
}

/// lb2 becomes master of VI_int a moment before lb1 has noticed, by clocks of which lb2's is ahead.
fn failover(ahead_ms: i64) -> Demo {
    let mut lb2 = fixture::lb2();
    lb2.snapshot.wall_ms = lb2.snapshot.wall_ms.strict_add_signed(ahead_ms);
    let mut event = lb2.events.iter().find(|it| it.seq == 1_185).unwrap().clone();
    event.seq = 77;
    event.wall_ms = event.wall_ms.strict_add_signed(ahead_ms - 14);
    event.event.what = What::BecameMaster;
    event.event.text = "BACKUP -> MASTER".into();
    event.event.why = Some("heard a priority below ours".into());
    lb2.events = vec![event];
    lb2
}

#[test]
fn the_events_of_all_hosts_are_one_story() {
    for size in SIZES {
        let mut hosts = Hosts::of(fixture::demo(), failover(0), size);
        hosts.keys("4 j j");
        picture("events-hosts", size, hosts.picture());
    }
    // The cursor is on the MASTER that became BACKUP; the row below it is lb2's.
    let mut hosts = Hosts::of(fixture::demo(), failover(0), (140, 40));
    hosts.keys("4 / h o s t : l b 2 Enter");
    let app = hosts.board.front();
    let rows: Vec<(usize, u64)> = app.events.rows.iter().map(|key| (key.seat, key.seq)).collect();
    assert_eq!(rows, [(1, 77)]);
    // It is opened where it happened.
    hosts.keys("Enter");
    let app = hosts.board.front();
    assert_eq!(app.label, "lb2");
    assert_eq!(
        app.detail.last().unwrap().object,
        ObjectId::Instance("VI_int".into())
    );
}

#[test]
fn a_clock_that_is_off_is_told_and_taken_into_account() {
    for ahead_ms in [0, 90_000, -90_000] {
        let mut hosts = Hosts::of(fixture::demo(), failover(ahead_ms), (140, 40));
        hosts.keys("4");
        let app = hosts.board.front();
        let order: Vec<(usize, u64)> = app.events.rows.iter().map(|key| (key.seat, key.seq)).collect();
        let at = |key| order.iter().position(|it| *it == key).unwrap();
        assert_eq!(at((1, 77)), at((0, 1_185)) + 1, "{ahead_ms}: {order:?}");
        let told = hosts.picture().contains("(clock ");
        assert_eq!(told, ahead_ms != 0, "{}", hosts.picture());
    }
}
