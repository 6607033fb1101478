//! Writes what is asked for by a signal to files, on a thread of its own: a disk may take its time.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

/// Files that may wait to be written; more are left out.
const WAITING_MAX: usize = 4;

/// The thread that writes.
pub struct Dumps {
    waiting: SyncSender<(PathBuf, String)>,
}

impl Dumps {
    /// `trouble` hears, in words for operators, of what could not be written.
    pub fn start(trouble: impl Fn(String) + Send + 'static) -> Self {
        let (waiting, files) = sync_channel::<(PathBuf, String)>(WAITING_MAX);
        std::thread::spawn(move || {
            for (path, text) in files {
                if let Err(error) = write(&path, &text) {
                    trouble(format!("{} was not written: {error}", path.display()));
                }
            }
        });
        Self { waiting }
    }

    /// Never waits: a file too many is left out, since another of its kind is about to be written.
    pub fn write(&self, path: String, text: String) {
        let _ = self.waiting.try_send((path.into(), text));
    }
}

/// Beside the file first, then in its place: a reader sees the old one or the new one, and a link that somebody put
/// there is replaced and not followed.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let beside = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("dump-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let folder = folder("link");
        let (victim, path) = (folder.join("victim"), folder.join("keepalived.data"));
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let meta = fs::symlink_metadata(&path).unwrap();
        assert!(meta.is_file());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_in_its_place_stays_and_leaves_nothing_beside_it() {
        let folder = folder("place");
        let path = folder.join("keepalived.data");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, "new").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
