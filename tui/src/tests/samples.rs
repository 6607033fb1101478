//! What the other golden files leave out: many servers, every dialog, plain ASCII, and the looks of themes.

use super::Bench;
use super::golden::{SIZES, picture};
use crate::app::Msg;
use crate::theme::{Role, Theme};
use crate::view;
use lb_shared::fixture;
use lb_shared::request::{Acted, Outcome, Reply, Request, TargetReport};
use lb_shared::state::{Override, OverrideKind, Pin, Target};

/// The agent would do what was asked.
fn agree(bench: &mut Bench, change: &str, effect: &str) {
    let Some((ticket, Request::Act(act) | Request::ActIf(act, _))) = bench.asked().pop() else {
        panic!("nothing was asked")
    };
    let report = |target| TargetReport {
        target,
        outcome: Outcome::Done,
        change: change.to_owned(),
        active: None,
    };
    let acted = Acted {
        dry_run: true,
        op: 7,
        targets: act.targets.into_iter().map(report).collect(),
        effects: vec![effect.to_owned()],
        warnings: Vec::new(),
    };
    bench.send(Msg::Answer(ticket, Ok(Box::new(Reply::Acted(acted)))));
}

#[test]
fn many_servers_are_as_drawn() {
    for (width, height) in SIZES {
        let mut bench = Bench::of(fixture::big(), width, height);
        bench.keys("3 / st:down Enter j Space j Space");
        picture("servers-big", (width, height), bench.picture());
    }
}

#[test]
fn every_question_is_as_drawn() {
    for (name, keys, change, effect) in [
        (
            "undrain",
            "2 j Tab j j j u",
            "weight 0 -> 100",
            "web: 5 of 6 servers in rotation, weight 500",
        ),
        (
            "weight",
            "2 j Tab w 40",
            "weight 100 -> 40",
            "web: weight 340, quorum 200: ok",
        ),
        (
            "disable",
            "2 j Tab j j j j x",
            "out of IPVS",
            "web: 3 of 6 servers in rotation",
        ),
        (
            "demote",
            "D",
            "MASTER -> BACKUP",
            "moves 203.0.113.10/24 dev eth0 to the peer",
        ),
        (
            "release",
            "j j R",
            "promote ends",
            "VI_int follows its priority again",
        ),
        (
            "undo",
            ": undo Enter",
            "drain of web/198.51.100.24:443 ends",
            "web: 5 of 6 servers in rotation",
        ),
    ] {
        let mut demo = fixture::demo();
        if name == "release" {
            let target = Target::Instance("VI_int".into());
            let made = demo.snapshot.state.overrides.values().next().unwrap().clone();
            let change = Override {
                target: target.clone(),
                kind: OverrideKind::Pin(Pin::Promoted),
                until: None,
                until_wall_ms: None,
                ..made
            };
            demo.snapshot.state.overrides.insert(target, change);
        }
        for (width, height) in SIZES {
            let mut bench = Bench::of(demo.clone(), width, height);
            bench.keys(keys);
            agree(&mut bench, change, effect);
            picture(name, (width, height), bench.picture());
        }
    }
}

#[test]
fn every_screen_can_be_drawn_in_ascii() {
    for (name, keys) in [
        ("overview-ascii", "j j"),
        ("servers-ascii", "3"),
        ("events-ascii", "4 j"),
        ("server-ascii", "3 j j j Enter"),
        ("help-ascii", "?"),
        ("drain-ascii", "2 j Tab j j d"),
    ] {
        for (width, height) in SIZES {
            let mut bench = Bench::demo(width, height);
            bench.app.ascii = true;
            bench.keys(keys);
            if name == "drain-ascii" {
                agree(&mut bench, "weight 100 -> 0", "web: 3 of 6 servers in rotation");
            }
            let drawn = bench.picture();
            assert!(drawn.is_ascii(), "{name}: {drawn}");
            picture(name, (width, height), drawn);
        }
    }
    let mut bench = Bench::demo(140, 40);
    bench.app.ascii = true;
    bench.keys("2 j");
    picture("services-ascii", (140, 40), bench.picture());
}

/// A letter for each cell's look: `.` plain, or the role's; the first role that looks so stands for all that do.
fn looks(bench: &Bench) -> String {
    const LETTERS: [(char, Role); 8] = [
        ('m', Role::Master),
        ('w', Role::Warn),
        ('b', Role::Bad),
        ('a', Role::Alarm),
        ('v', Role::Override),
        ('t', Role::Title),
        ('s', Role::Stale),
        ('c', Role::Cursor),
    ];
    let buffer = view::buffer(&bench.app);
    let plain = bench.app.theme.style(Role::Plain);
    let look = |style: ratatui::style::Style| {
        (
            style.fg.unwrap_or_default(),
            style.bg.unwrap_or_default(),
            style.add_modifier,
        )
    };
    let mut text = String::new();
    for line in buffer.content.chunks(usize::from(buffer.area.width)) {
        for cell in line {
            let seen = (cell.fg, cell.bg, cell.modifier);
            let known = LETTERS
                .iter()
                .find(|(_, role)| look(bench.app.theme.style(*role)) == seen);
            text.push(match known {
                _ if seen == look(plain) => '.',
                Some((letter, _)) => *letter,
                // The cursor's row keeps the colours of its words.
                None => 'C',
            });
        }
        text.push('\n');
    }
    text
}

#[test]
fn what_is_emphasised_is_as_drawn_with_colours_and_without() {
    for (theme, name) in [(Theme::Terminal, "terminal"), (Theme::Mono, "mono")] {
        for (screen, keys) in [
            ("overview", "j j"),
            ("services", "2 j"),
            ("servers", "3 j Space"),
            ("promote", "j j P"),
        ] {
            let mut bench = Bench::demo(80, 24);
            bench.app.theme = theme;
            bench.keys(keys);
            picture(&format!("looks-{screen}-{name}"), (80, 24), looks(&bench));
        }
    }
}
