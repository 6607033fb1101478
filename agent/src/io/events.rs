//! The last events on disk, so that a restart does not forget what led to it.
//!
//! The file is one of [`super::store`]'s: JSON with a version and a checksum, replaced whole, the generation before it
//! kept. Of an event it has everything but the forms of the objects it changed: those are of use to whoever watched.

use super::store::{beside, decode, encode, read_bounded, replace, set_aside};
use lb_shared::event::Numbered;
use lb_shared::units::Mono;
use std::io;
use std::path::Path;

/// Where they are kept, inside the state folder.
const EVENTS: &str = "events.json";

/// Writes the events down. A failure is told once per attempt and nothing waits for it.
pub fn save(state_dir: &Path, events: &[Numbered]) {
    let path = state_dir.join(EVENTS);
    let mut events = events;
    let written = loop {
        match encode(&events) {
            Ok(bytes) => break replace(&path, &bytes),
            // Too much for one file: the newer half is worth more.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge && events.len() > 1 => {
                events = &events[events.len() / 2..];
            }
            Err(error) => break Err(error),
        }
    };
    if let Err(error) = written {
        tracing::warn!(
            "{}: {error}: the events are kept in memory only; see that the folder can be written to",
            path.display()
        );
    }
}

/// The events of earlier runs, oldest first; none when no generation can be read, which the log says.
pub fn load(state_dir: &Path) -> Vec<Numbered> {
    let path = state_dir.join(EVENTS);
    for path in [path.clone(), beside(&path, ".old")] {
        let events = match read_bounded(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => Err(error.to_string()),
            Ok(bytes) => decode::<Vec<Numbered>>(&bytes).and_then(|events| {
                let in_order = events.windows(2).all(|two| two[0].seq < two[1].seq);
                in_order
                    .then_some(events)
                    .ok_or_else(|| "its events are not in order".into())
            }),
        };
        match events {
            Ok(mut events) => {
                // Their clock was another run's.
                events.iter_mut().for_each(|it| it.event.at = Mono::ZERO);
                return events;
            }
            Err(why) => {
                set_aside(&path);
                tracing::warn!(
                    "{}: {why}: events of earlier runs are missing; all else is as it should be",
                    path.display()
                );
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::{Event, What};
    use lb_shared::state::ObjectId;
    use std::fs;
    use std::path::PathBuf;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lbagent-events-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn event(seq: u64, text: &str) -> Numbered {
        Numbered {
            seq,
            wall_ms: 1_000 * seq,
            event: Event {
                what: What::BecameMaster,
                object: ObjectId::Instance("VI_1".into()),
                text: text.into(),
                why: Some("heard nothing".into()),
                actor: None,
                at: Mono(77),
                changes: Vec::new(),
            },
        }
    }

    #[test]
    fn events_outlast_the_run_and_their_clock_does_not() {
        let folder = Folder::new("roundtrip");
        assert!(load(&folder.0).is_empty());
        save(&folder.0, &[event(1, "a"), event(5, "b")]);
        let mut want = [event(1, "a"), event(5, "b")];
        want.iter_mut().for_each(|it| it.event.at = Mono::ZERO);
        assert_eq!(load(&folder.0), want);
    }

    #[test]
    fn a_damaged_file_gives_way_to_the_one_before_it() {
        let folder = Folder::new("damaged");
        save(&folder.0, &[event(1, "a")]);
        save(&folder.0, &[event(1, "a"), event(2, "b")]);
        let path = folder.0.join(EVENTS);
        let whole = fs::read(&path).unwrap();
        for damage in [&whole[..whole.len() / 2], b"", b"{}", b"\xff\xff"] {
            fs::write(&path, damage).unwrap();
            assert_eq!(load(&folder.0).len(), 1, "{} bytes", damage.len());
        }
        assert!(folder.0.join("events.json.bad1").exists());
        // Numbers that go backwards are no past of ours.
        save(&folder.0, &[event(2, "b"), event(1, "a")]);
        fs::remove_file(beside(&path, ".old")).unwrap();
        assert!(load(&folder.0).is_empty());
    }

    #[test]
    fn the_file_is_bounded() {
        let folder = Folder::new("bounded");
        let long = "x".repeat(3_000);
        let events: Vec<Numbered> = (1..=3_000).map(|seq| event(seq, &long)).collect();
        save(&folder.0, &events);
        assert!(fs::metadata(folder.0.join(EVENTS)).unwrap().len() <= 4 << 20);
        let kept = load(&folder.0);
        assert_eq!(kept.last().map(|it| it.seq), Some(3_000));
        assert!(kept.len() >= 600);
    }
}
