//! The configuration to go back to, on disk while another one waits to be confirmed, and until the file is loaded again.
//!
//! One of [`super::store`]'s files: JSON with a version and a checksum, replaced whole. It holds the text of the
//! configuration's files, passwords included; like all of the state folder only root can read it.

use super::store::{beside, decode, encode_within, read_within, replace, set_aside};
use crate::config::Texts;
use crate::engine::{Former, FormerNote};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Where it is kept, inside the state folder.
const FORMER: &str = "former.json";
/// All files of a configuration, each character written with a few more at worst.
const SIZE_MAX: u64 = 512 << 20;

#[derive(Serialize)]
struct Outgoing<'a> {
    file: &'a str,
    note: &'a FormerNote,
    texts: &'a Texts,
}

/// What was kept by an earlier run.
#[derive(Deserialize)]
pub struct Kept {
    pub file: String,
    pub note: FormerNote,
    pub texts: Texts,
}

/// Writes it down, or removes it; both are durable when this returns.
pub(super) fn save(state_dir: &Path, former: Option<&Former>) -> Result<(), String> {
    let path = state_dir.join(FORMER);
    let result = match former {
        Some(it) => {
            let (file, note, texts) = (it.file.as_str(), &it.note, &*it.texts);
            encode_within(&Outgoing { file, note, texts }, SIZE_MAX).and_then(|bytes| replace(&path, &bytes))
        }
        None => remove(&path)
            .and_then(|()| remove(&beside(&path, ".old")))
            .and_then(|()| File::open(state_dir)?.sync_all()),
    };
    result.map_err(|e| format!("{}: {e}", path.display()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What an earlier run kept, or what to tell of a file that cannot be read: it is set aside.
pub fn load(state_dir: &Path) -> Result<Option<Kept>, String> {
    let path = state_dir.join(FORMER);
    let read = match read_within(&path, SIZE_MAX) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => Err(e.to_string()),
        Ok(bytes) => decode(&bytes).map(Some),
    };
    read.map_err(|why| {
        set_aside(&path);
        format!(
            "{}: {why}: the configuration before an unconfirmed one is lost; the file is used as it is",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Content, Facts, FileError, Files, ScriptFact};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    struct Two;

    impl Files for Two {
        fn read(&self, path: &str) -> Result<Content, FileError> {
            let text = match path {
                "/c/k.conf" => "include d/*.conf\nglobal_defs {\n router_id one\n}\n",
                "/c/d/a.conf" => "! nothing\n",
                other => return Err(FileError(other.to_owned())),
            };
            Ok(Content {
                bytes: text.into(),
                id: (1, path.len() as u64),
                ..Content::default()
            })
        }

        fn glob(&self, pattern: &str) -> Vec<String> {
            BTreeMap::from([("/c/d/*.conf", vec!["/c/d/a.conf".to_owned()])])
                .remove(pattern)
                .unwrap_or_default()
        }

        fn script(&self, _: &str, _: Option<(u32, u32)>) -> ScriptFact {
            ScriptFact::default()
        }
    }

    #[test]
    fn what_was_kept_is_read_as_it_was_and_gone_when_forgotten() {
        let folder = std::env::temp_dir().join(format!("lbagent-former-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let loaded = crate::config::load(&Two, "/c/k.conf", &Facts::default());
        let former = Former {
            file: "/c/k.conf".into(),
            texts: Arc::new(Texts::of(loaded.sources)),
            note: FormerNote {
                at_wall_ms: 1,
                until_wall_ms: 60_001,
                actor: Default::default(),
                tried: 7,
                restored: false,
            },
        };
        save(&folder, Some(&former)).unwrap();
        let kept = load(&folder).unwrap().unwrap();
        assert_eq!((kept.note, &kept.texts), (former.note, &*former.texts));
        let disk = super::super::files::DiskFiles;
        let texts = &kept.texts;
        let again = crate::config::load(
            &crate::config::Kept { texts, disk: &disk },
            &kept.file,
            &Facts::default(),
        );
        assert_eq!((again.model, again.findings), (loaded.model, loaded.findings));
        assert_eq!(again.sources.files.len(), 2);
        save(&folder, None).unwrap();
        assert!(load(&folder).unwrap().is_none());
        fs::write(folder.join(FORMER), "{}").unwrap();
        assert!(load(&folder).is_err(), "a damaged file is not nothing");
        fs::remove_dir_all(&folder).unwrap();
    }
}
