//! The text of the configuration in force, in the run folder: a start that follows a crash, or a hand-over, goes on with it
//! when the file on disk has errors by then. A file that was edited badly and not yet reloaded must not act because the
//! agent was started again.
//!
//! One of [`super::store`]'s files: JSON with a version and a checksum, replaced whole. Only root can read it.

use super::store::{beside, decode, encode_within, read_within, replace};
use crate::config::Texts;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// Where it is kept, inside the run folder.
const IN_FORCE: &str = "in_force.json";
/// All files of a configuration, each character written with a few more at worst.
const SIZE_MAX: u64 = 512 << 20;

#[derive(Serialize)]
struct Outgoing<'a> {
    file: &'a str,
    texts: &'a Texts,
}

/// What an earlier run was told last.
#[derive(Deserialize)]
pub struct InForce {
    /// The name of its first file.
    pub file: String,
    pub texts: Texts,
}

pub(super) fn save(run_dir: &Path, file: &str, texts: &Texts) -> io::Result<()> {
    encode_within(&Outgoing { file, texts }, SIZE_MAX)
        .and_then(|bytes| replace(&run_dir.join(IN_FORCE), &bytes))
}

/// What an earlier run was told last; `None` also when it cannot be read: then the file on disk is all there is.
pub fn load(run_dir: &Path) -> Option<InForce> {
    let bytes = read_within(&run_dir.join(IN_FORCE), SIZE_MAX).ok()?;
    decode(&bytes).ok()
}

/// The run that it belongs to ended in order.
pub(super) fn forget(run_dir: &Path) {
    let path = run_dir.join(IN_FORCE);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_file(beside(&path, ".old"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Alone, Facts};

    #[test]
    fn what_was_in_force_is_read_as_it_was_until_it_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("lbagent-in-force-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(load(&folder).is_none());
        let texts =
            Texts::of(config::load(&Alone("global_defs {\n}\n"), "a.conf", &Facts::default()).sources);
        for _ in 0..2 {
            save(&folder, "a.conf", &texts).unwrap();
            let kept = load(&folder).expect("it was written");
            assert_eq!((kept.file.as_str(), &kept.texts), ("a.conf", &texts));
        }
        fs::write(folder.join(IN_FORCE), "{}").unwrap();
        assert!(load(&folder).is_none(), "a damaged one is none");
        save(&folder, "a.conf", &texts).unwrap();
        forget(&folder);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(&folder).unwrap();
    }
}
