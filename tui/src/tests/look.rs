//! Looking without changing: the mouse, columns, and a picture that stands still.

use super::Bench;
use crate::app::{Cmd, Msg, News};
use crate::keys::Screen;
use crate::order::By;
use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use lb_shared::client::Update;
use lb_shared::event::{Change, Event, Numbered, What};
use lb_shared::state::{Object, ObjectId, VrrpState};
use std::sync::Arc;
use std::time::Duration;

impl Bench {
    fn mouse(&mut self, kind: MouseEventKind, column: u16, row: u16) -> &mut Self {
        let modifiers = KeyModifiers::NONE;
        self.send(Msg::Mouse(MouseEvent {
            kind,
            column,
            row,
            modifiers,
        }))
    }

    /// Clicks where a text is drawn for the first time.
    fn click(&mut self, text: &str) -> &mut Self {
        let picture = self.picture();
        let (y, line) = picture
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(text))
            .unwrap_or_else(|| panic!("no {text:?} in\n{picture}"));
        let x = line[..line.find(text).unwrap()].chars().count();
        self.mouse(
            MouseEventKind::Down(MouseButton::Left),
            u16::try_from(x).unwrap(),
            u16::try_from(y).unwrap(),
        )
    }
}

#[test]
fn a_click_puts_the_cursor_and_two_open() {
    let mut bench = Bench::demo(140, 40);
    bench.click("3 Servers").click("198.51.100.23:443");
    assert_eq!(bench.app.screen, Screen::Servers);
    let on = bench.app.servers.current().unwrap().to_string();
    assert!(on.contains("198.51.100.23"), "{on}");
    bench.pass(Duration::from_secs(2)).click("198.51.100.23:443");
    assert!(bench.app.detail.is_empty(), "a slow second click is a first one");
    bench.click("198.51.100.23:443");
    assert!(matches!(&bench.app.detail[0].object, ObjectId::Server(id) if id.to_string() == on));
}

#[test]
fn a_click_chooses_the_pane_as_well() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("2 j").click("198.51.100.22:443");
    assert!(bench.app.second_pane);
    assert!(
        bench
            .app
            .members
            .current()
            .unwrap()
            .to_string()
            .ends_with("198.51.100.22:443")
    );
    bench.click("web-plain");
    assert!(!bench.app.second_pane);
    assert_eq!(
        bench.app.services.current().unwrap().to_string(),
        "203.0.113.10:80/tcp"
    );
}

#[test]
fn a_click_on_a_head_sorts_and_a_second_one_turns_it_round() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("3").click("ACTIVE");
    assert_eq!(bench.app.order.servers, (By::Active, false));
    bench.click("ACTIVE");
    assert_eq!(bench.app.order.servers, (By::Active, true));
}

#[test]
fn the_wheel_moves_and_no_click_changes_anything() {
    let mut bench = Bench::demo(140, 40);
    bench.keys("3").mouse(MouseEventKind::ScrollDown, 5, 5);
    assert_eq!(bench.app.servers.at(), 3);
    bench.mouse(MouseEventKind::ScrollUp, 5, 5);
    assert_eq!(bench.app.servers.at(), 0);
    bench.cmds.clear();
    bench.click("d drain");
    assert!(bench.app.dialog.is_none() && bench.asked().is_empty());
    bench.pass(Duration::from_secs(6)).click("? help");
    assert!(bench.app.help.is_some());
    bench.mouse(MouseEventKind::ScrollDown, 5, 5);
    assert_eq!(bench.app.help, Some(3));
}

#[test]
fn the_mouse_belongs_to_the_terminal_until_it_is_asked_for() {
    let mut bench = Bench::demo(80, 24);
    assert!(!bench.app.mouse.on);
    bench.cmds.clear();
    bench.keys("M M");
    assert_eq!(bench.cmds, [Cmd::Mouse(true), Cmd::Mouse(false)]);
}

#[test]
fn a_column_that_was_put_away_is_gone_and_comes_back() {
    let mut bench = Bench::demo(140, 40);
    bench.keys("3 c");
    assert!(bench.picture().contains("[x] WEIGHT"), "{}", bench.picture());
    bench.keys("Space Esc");
    assert!(!bench.picture().contains("WEIGHT"), "{}", bench.picture());
    // Keys mean what they always do once the list is closed.
    bench.keys("2");
    assert!(!bench.picture().contains("WEIGHT") && bench.picture().contains("SCHED"));
    bench.keys("3 c a Enter");
    assert!(bench.picture().contains("WEIGHT"));
    bench.keys("1 c");
    assert!(bench.app.columns.open.is_none());
}

fn falls(bench: &mut Bench) {
    let mut view = bench.app.live().unwrap().state.instances[&"VI_edge".into()].clone();
    Arc::make_mut(&mut view).state = VrrpState::Fault;
    let at = bench.app.live().unwrap().clock(bench.at).0;
    let event = Numbered {
        seq: 5_000,
        wall_ms: lb_shared::fixture::NOW_MS,
        event: Event {
            what: What::BecameFault,
            object: ObjectId::Instance(view.name.clone()),
            text: "MASTER -> FAULT".into(),
            why: Some("interface eth0 is down".into()),
            actor: None,
            at,
            changes: vec![Change::Put(Object::Instance(view))],
        },
    };
    bench.send(Msg::Link(News::Update(Update::Event(Box::new(event)))));
}

#[test]
fn a_frozen_picture_stays_changes_wait_and_actions_are_off() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("p");
    let frozen = bench.picture();
    assert!(frozen.contains("FROZEN +0 09:20:00"), "{frozen}");
    falls(&mut bench);
    bench.pass(Duration::from_secs(60));
    let later = bench.picture();
    assert_eq!(later, frozen.replace("FROZEN +0", "FROZEN +1"));
    bench.cmds.clear();
    bench.keys("P");
    assert!(bench.asked().is_empty() && bench.app.dialog.is_none());
    assert!(
        bench.picture().contains("frozen; p goes on"),
        "{}",
        bench.picture()
    );
    bench.keys("p");
    let live = bench.picture();
    assert!(live.contains("! FAULT   VI_edge "), "{live}");
    assert!(live.contains("LIVE"), "{live}");
}

#[test]
fn an_object_is_copied_as_the_socket_shows_it() {
    let mut bench = Bench::demo(80, 24);
    bench.cmds.clear();
    bench.keys("3 G Y 4 Y");
    let copied: Vec<&String> = bench
        .cmds
        .iter()
        .filter_map(|cmd| match cmd {
            Cmd::Copy(text) => Some(text),
            _ => None,
        })
        .collect();
    assert!(copied[0].contains("\"2001:db8:20::4\""), "{}", copied[0]);
    assert!(copied[1].contains("\"kind\":\"action\""), "{}", copied[1]);
}

#[test]
fn the_problems_stay_on_the_terminal_after_the_end() {
    let bench = Bench::demo(80, 24);
    assert_eq!(
        crate::view::farewell(&bench.app),
        "lb1: 4 problems, 1 override\n\
         ! FAULT   VI_mgmt  interface eth2 is down\n\
         ! SORRY   mail  0 of 2 servers up\n\
         ~ BACKUP  VI_int  priority 130/150: script chk_db -20\n\
         ! DOWN    web/198.51.100.25:443  SSL_GET /healthz: status 503\n"
    );
    assert_eq!(crate::view::farewell(&Bench::empty(80, 24).app), "");
}
