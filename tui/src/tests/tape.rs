//! Recordings: what is played is what was seen, at any moment, and nothing can be changed in it.

use super::Bench;
use crate::app::{Cmd, Failure, Msg, News};
use crate::board::{self, Board};
use crate::tape::{Play, Player, Recorder};
use crate::view;
use lb_shared::client::Update;
use lb_shared::event::{Change, Event, Numbered, What};
use lb_shared::fixture;
use lb_shared::history::Past;
use lb_shared::reel;
use lb_shared::request::{Hello, Role};
use lb_shared::state::{Object, ObjectId, VrrpState};
use lb_shared::units::Mono;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("lbtui-{}-{name}.rec", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn board() -> Board {
    Board::new(vec![Bench::empty(140, 40).app], None)
}

/// A session of some seconds: a state, a change, a silence.
fn session() -> Vec<(u64, News)> {
    let demo = fixture::demo();
    let hello = Hello {
        agent: "0.4.1".into(),
        host: "lb1".into(),
        role: Role::Admin,
    };
    let mut instance = demo.snapshot.state.instances[&"VI_int".into()].clone();
    Arc::make_mut(&mut instance).state = VrrpState::Master;
    let event = Numbered {
        seq: 1_200,
        wall_ms: fixture::NOW_MS + 3_000,
        event: Event {
            what: What::BecameMaster,
            object: ObjectId::Instance("VI_int".into()),
            text: "BACKUP -> MASTER".into(),
            why: None,
            actor: None,
            at: fixture::NOW + Duration::from_secs(3),
            changes: vec![Change::Put(Object::Instance(instance))],
        },
    };
    let mut counters = demo.counters.clone();
    counters.at = counters.at + Duration::from_secs(2);
    counters.servers.values_mut().for_each(|it| it.active += 1);
    vec![
        (10, News::Connected(hello, demo.events)),
        (20, News::Update(Update::Snapshot(Box::new(demo.snapshot)))),
        (40, News::Counters(Box::new(demo.counters))),
        (1_000, News::Still(fixture::NOW + Duration::from_secs(1))),
        (2_000, News::Counters(Box::new(counters))),
        (3_000, News::Update(Update::Event(Box::new(event)))),
        (5_000, News::Alive),
        (
            6_000,
            News::Down {
                failure: Failure {
                    message: "the agent closed the connection".into(),
                    hint: String::new(),
                },
                attempt: 1,
                retry_in: Duration::from_millis(500),
            },
        ),
    ]
}

#[test]
fn what_is_played_is_what_was_seen() {
    let path = path("same");
    let mut recorder = Recorder::create(&path, vec!["lb1".into()], None).unwrap();
    assert!(
        Recorder::create(&path, vec!["lb1".into()], None).is_err(),
        "a file that is there is left alone"
    );
    let mut live = board();
    let mut seen = Vec::new();
    for (ms, news) in session() {
        let at = Duration::from_millis(ms);
        recorder.take(at, 0, &news).unwrap();
        drop(board::update(&mut live, at, Some(0), Msg::Link(news)));
        drop(board::update(&mut live, at, None, Msg::Tick));
        drop(board::settle(&mut live));
        seen.push((at, view::text(live.front())));
    }
    recorder.end().unwrap();
    let mut player = Player::load(&path).unwrap();
    let mut played = board();
    player.begin(&mut played);
    // Where line 1 says that it is played, and the last one by which keys, they are not the same.
    let body = |picture: &str| {
        picture
            .lines()
            .skip(1)
            .take(38)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let steps = seen.windows(2).map(|pair| pair[1].0 - pair[0].0);
    player.pass(&mut played, seen[0].0);
    let mut pictures = vec![view::text(played.front())];
    for step in steps {
        player.pass(&mut played, step);
        drop(board::settle(&mut played));
        pictures.push(view::text(played.front()));
    }
    for ((at, live), played) in seen.iter().zip(&pictures) {
        assert_eq!(body(live), body(played), "{at:?}");
    }
    assert!(!player.playing, "at its end it stands");
    // Back to before the change, and on again.
    player.key(&mut played, Play::EventBefore);
    player.key(&mut played, Play::EventBefore);
    drop(board::settle(&mut played));
    assert_eq!(player.at, Duration::ZERO);
    player.key(&mut played, Play::EventAfter);
    drop(board::settle(&mut played));
    assert_eq!(player.at, Duration::from_secs(3));
    assert_eq!(body(&view::text(played.front())), body(&seen[5].1));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn keys_of_time_move_in_it_and_nothing_else_acts() {
    let path = path("keys");
    let mut recorder = Recorder::create(&path, vec!["lb1".into()], None).unwrap();
    for (ms, news) in session() {
        recorder.take(Duration::from_millis(ms), 0, &news).unwrap();
    }
    recorder.end().unwrap();
    let mut player = Player::load(&path).unwrap();
    let mut board = board();
    player.begin(&mut board);
    player.pass(&mut board, Duration::from_secs(1));
    let press = |board: &mut Board, at: Duration, c: char| -> Vec<Cmd> {
        use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
        let key = KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let cmds = board::update(board, at, None, Msg::Key(key));
        drop(board::settle(board));
        cmds.into_iter().map(|(_, cmd)| cmd).collect()
    };
    for (c, play) in [
        ('p', Play::Toggle),
        ('+', Play::Faster),
        ('-', Play::Slower),
        ('[', Play::EventBefore),
        (']', Play::EventAfter),
        ('{', Play::MinuteBefore),
        ('}', Play::MinuteAfter),
        ('0', Play::End),
    ] {
        assert_eq!(press(&mut board, player.at, c), [Cmd::Play(play)], "{c}");
    }
    for c in ['P', 'D', '3', 'd', 'x', 'w', 'u', 't'] {
        assert_eq!(press(&mut board, player.at, c), [], "{c}");
    }
    let note = board.front().note.clone().unwrap().0;
    assert!(note.contains("this is a recording"), "{note}");
    for _ in 0..9 {
        player.key(&mut board, Play::Faster);
    }
    assert!(
        view::text(board.front()).contains("PLAY 64x"),
        "{}",
        view::text(board.front())
    );
    player.key(&mut board, Play::Toggle);
    player.pass(&mut board, Duration::from_secs(100));
    assert_eq!(player.at, Duration::from_secs(1), "it stands still");
    player.key(&mut board, Play::To(fixture::NOW_MS + 3_100));
    assert!((3_000..3_200).contains(&player.at.as_millis()), "{:?}", player.at);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_recording_begins_with_what_was_before_it() {
    let path = path("before");
    let demo = fixture::demo();
    let mut was = demo.snapshot.clone();
    was.wall_ms -= 14 * 60_000;
    was.now = Mono(was.now.0 - 14 * 60_000_000);
    was.seq = 1_183;
    let instance = Arc::make_mut(was.state.instances.get_mut(&"VI_int".into()).unwrap());
    instance.state = VrrpState::Master;
    let mut recorder = Recorder::create(&path, vec!["lb1".into()], None).unwrap();
    for (ms, news) in session() {
        recorder.take(Duration::from_millis(ms), 0, &news).unwrap();
        if ms == 1_000 {
            let past = News::Was(Box::new(Past {
                snapshot: was.clone(),
                counters: None,
            }));
            recorder.take(Duration::from_millis(ms), 0, &past).unwrap();
        }
    }
    recorder.end().unwrap();
    let mut player = Player::load(&path).unwrap();
    let mut board = board();
    player.begin(&mut board);
    drop(board::settle(&mut board));
    let state = |board: &Board| board.front().data.as_ref().unwrap().state.instances[&"VI_int".into()].state;
    assert_eq!(state(&board), VrrpState::Master);
    let listed = |board: &Board| board.front().data.as_ref().unwrap().events.len();
    let at_first = listed(&board);
    player.key(&mut board, Play::EventAfter);
    assert!(
        listed(&board) > at_first,
        "events of that time come in their time"
    );
    player.key(&mut board, Play::To(fixture::NOW_MS + 1_000));
    assert_eq!(state(&board), VrrpState::Backup);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_that_is_none_is_refused_and_a_cut_one_played_as_far_as_it_goes() {
    let path = path("cut");
    let mut recorder = Recorder::create(&path, vec!["lb1".into()], None).unwrap();
    for (ms, news) in session() {
        recorder.take(Duration::from_millis(ms), 0, &news).unwrap();
    }
    recorder.end().unwrap();
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 5, 10, 22, 30] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Player::load(&path).unwrap_err();
        assert!(
            error.contains("no recording") || error.contains("empty"),
            "{length}: {error}"
        );
    }
    for (others, why) in [
        (&b"{\"agent\":\"0.4.1\",\"rec\":1}\n"[..], "lbctl replay"),
        (b"{\"protocol\":\"0.1\",\"rec\":1}\n", "with protocol 0.1"),
        (b"{\"agent\":\"0.4.1\"}\n", "no recording"),
        (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "no recording"),
    ] {
        std::fs::write(&path, others).unwrap();
        let error = Player::load(&path).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    for part in 1..20 {
        std::fs::write(&path, &whole[..whole.len() * part / 20]).unwrap();
        if let Ok(mut player) = Player::load(&path) {
            let mut board = board();
            player.begin(&mut board);
            player.key(&mut board, Play::End);
        }
    }
    let mut newer = whole.clone();
    newer[6 + 5] = 99;
    std::fs::write(&path, &newer).unwrap();
    assert!(Player::load(&path).unwrap_err().contains("play it with"));
    for at in (30..whole.len()).step_by(whole.len() / 200 + 1) {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        std::fs::write(&path, &broken).unwrap();
        if let Ok(mut player) = Player::load(&path) {
            let mut board = board();
            player.begin(&mut board);
            player.key(&mut board, Play::End);
        }
    }
    std::fs::remove_file(path).unwrap();
}

/// The lines `lbctl record` would write of the session.
fn lines_of_lbctl() -> String {
    let told = |news: &News| {
        let mut line = serde_json::Value::Null;
        match news {
            News::Update(Update::Snapshot(it)) => {
                line = serde_json::json!({"snapshot": {}});
                reel::put(&mut line, it);
            }
            News::Update(Update::Event(it)) => {
                line = serde_json::json!({"event": {}});
                reel::put(&mut line, it);
            }
            News::Counters(it) => {
                line = serde_json::json!({"sample": []});
                reel::put(&mut line, it);
            }
            _ => {}
        }
        line
    };
    let mut head = serde_json::json!({"rec": 1, "host": "lb1", "agent": "0.4.1"});
    reel::begin(&mut head);
    let lines = session().iter().map(|(_, news)| told(news)).collect::<Vec<_>>();
    let lines = lines.iter().filter(|line| !line.is_null());
    // A line without the protocol's form, as each minute has one, and one that was cut off.
    let rest = ["{\"snapshot\":{}}".to_owned(), "{\"event\":{\"te".to_owned()];
    let all = std::iter::once(head.to_string())
        .chain(lines.map(ToString::to_string))
        .chain(rest);
    all.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_recording_of_lbctl_is_played_like_ones_own() {
    let path = path("lbctl");
    std::fs::write(&path, lines_of_lbctl()).unwrap();
    let zipped = path.with_extension("gz");
    let zip = std::process::Command::new("gzip")
        .args(["-c", &path.display().to_string()])
        .output()
        .unwrap();
    std::fs::write(&zipped, zip.stdout).unwrap();
    for file in [&path, &zipped] {
        let mut player = Player::load(file).unwrap();
        assert_eq!(player.hosts, ["lb1"]);
        let mut board = board();
        player.begin(&mut board);
        drop(board::settle(&mut board));
        let first = view::text(board.front());
        assert!(first.contains("- BACKUP  VI_int"), "{first}");
        player.key(&mut board, Play::End);
        drop(board::settle(&mut board));
        let last = view::text(board.front());
        assert!(last.contains("# MASTER  VI_int"), "{last}");
        // Between what is told it was listened to: nothing is old.
        assert!(last.contains("27.1k") && !last.contains("STALE"), "{last}");
        player.key(&mut board, Play::EventBefore);
        drop(board::settle(&mut board));
        assert!(
            view::text(board.front()).contains("PLAY 1x 09:20:00"),
            "{}",
            view::text(board.front())
        );
        let _ = std::fs::remove_file(file);
    }
}
