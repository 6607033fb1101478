//! Two objects side by side.

use super::Bench;
use super::golden::{SIZES, picture};
use crate::compare::lines;
use crate::keys::Screen;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lb_shared::state::ObjectId;

fn compare(name: &str, keys: &str) {
    for (width, height) in SIZES {
        let mut bench = Bench::demo(width, height);
        bench.keys(keys);
        picture(name, (width, height), bench.picture());
    }
}

#[test]
fn two_marked_servers_are_shown_side_by_side() {
    compare("compare-servers", "2 j Tab j j Space j Space =");
}

#[test]
fn two_instances_are_shown_side_by_side() {
    compare("compare-instances", "j = j =");
}

#[test]
fn services_are_compared_by_their_names() {
    let mut bench = Bench::demo(80, 24);
    bench.keys(": compare Space web Space api Enter");
    let compared = bench.app.compared().unwrap().clone();
    let (left, right, lines) = lines(&bench.app, &compared).unwrap();
    assert_eq!((left.as_str(), right.as_str()), ("web", "api"));
    let scheduler = lines.iter().find(|line| line.label == "scheduler").unwrap();
    assert!(scheduler.differs(), "{scheduler:?}");
    assert!(!lines.iter().find(|line| line.label == "for").unwrap().differs());
    bench.keys("j j k Esc");
    assert!(bench.app.compared().is_none());
    bench.keys(": compare Space web Space VI_int Enter");
    assert!(bench.app.note.as_ref().unwrap().0.contains("two instances"));
    bench.keys(": compare Space web Enter");
    assert!(
        bench.picture().contains("compare takes two names"),
        "{}",
        bench.picture()
    );
}

#[test]
fn what_cannot_be_compared_is_said_and_acting_keys_do_nothing_meanwhile() {
    let mut bench = Bench::demo(80, 24);
    bench.keys("=");
    assert!(bench.app.note.as_ref().unwrap().0.starts_with("VI_edge: now ="));
    // A server is no partner of an instance: it is the first of its own kind.
    bench.keys("3 j =");
    assert!(bench.app.compared().is_none());
    bench.keys("j =");
    assert!(bench.app.compared().is_some());
    bench.asked();
    bench.keys("d P");
    assert!(bench.app.dialog.is_none());
    assert_eq!(bench.asked(), []);
    bench.send(crate::app::Msg::Key(KeyEvent::new(
        KeyCode::Char('='),
        KeyModifiers::NONE,
    )));
    assert!(bench.app.compared().is_none());
    assert_eq!(bench.app.screen, Screen::Servers);
    assert!(matches!(bench.app.subject(), Some(ObjectId::Server(_))));
}

#[test]
fn every_command_has_a_page_and_an_example_that_can_be_typed() {
    let demo = lb_shared::fixture::demo();
    let view = lb_shared::view::View::of(&demo.snapshot);
    for verb in &crate::command::VERBS {
        let parsed = crate::command::parse(verb.example, &view, &[]);
        assert!(parsed.is_ok(), "{}: {parsed:?}", verb.example);
        let mut bench = Bench::demo(80, 24);
        bench.keys(&format!(": help Space {} Enter", verb.name));
        let picture = bench.picture();
        assert!(picture.contains(&format!(" :{}", verb.example)), "{picture}");
        bench.keys("Esc ?");
        assert!(bench.picture().contains("── Move"), "{}", bench.picture());
    }
    picture("help-drain", (80, 24), {
        let mut bench = Bench::demo(80, 24);
        bench.keys(": help Space drain Enter");
        bench.picture()
    });
}

#[test]
fn times_of_day_are_shown_as_this_machine_has_them_when_that_is_wanted() {
    let mut bench = Bench::demo(80, 24);
    bench.app.zone = std::rc::Rc::new(lb_shared::zone::Zone::of("<+0545>-5:45").unwrap());
    assert!(bench.picture().contains("LIVE 09:20:0"), "{}", bench.picture());
    bench.keys(": set Space local Enter");
    let picture = bench.picture();
    assert!(picture.contains("LIVE 15:05:0"), "{picture}");
    bench.keys("4");
    assert!(bench.picture().contains("14:52:29"), "{}", bench.picture());
    bench.keys(": set Space utc Enter");
    assert!(bench.picture().contains("09:07:29"), "{}", bench.picture());
}
