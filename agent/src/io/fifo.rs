//! The FIFOs of `notify_fifo` and its companions: made, written without ever waiting, removed at the end.

use crate::model::{Fifo, FifoKind};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

/// The open FIFOs.
#[derive(Debug, Default)]
pub struct Fifos {
    open: BTreeMap<FifoKind, Open>,
}

#[derive(Debug)]
struct Open {
    fifo: Fifo,
    file: File,
    /// We made it, so we take it away.
    made: bool,
    /// Lines that nobody had room for since the last one that went through.
    lost: u64,
}

impl Fifos {
    /// Opens what is new and closes what is not in `wanted`; what could not be opened comes back with the reason.
    pub fn set(&mut self, wanted: &BTreeMap<FifoKind, Fifo>) -> Vec<String> {
        self.open.retain(|kind, it| {
            let stays = wanted.get(kind) == Some(&it.fifo);
            if !stays {
                it.remove();
            }
            stays
        });
        let mut troubles = Vec::new();
        for (kind, fifo) in wanted {
            if self.open.contains_key(kind) {
                continue;
            }
            match Open::new(fifo) {
                Ok(open) => drop(self.open.insert(*kind, open)),
                Err(error) => troubles.push(format!("the FIFO {} is not written: {error}", fifo.path)),
            }
        }
        troubles
    }

    /// Writes a line, or drops it when the reader is too far behind: the first one dropped is told.
    pub fn write(&mut self, kind: FifoKind, line: &str) -> Option<String> {
        let it = self.open.get_mut(&kind)?;
        // Lines are shorter than PIPE_BUF: they go whole or not at all.
        match it.file.write_all(line.as_bytes()) {
            Ok(()) => {
                it.lost = 0;
                None
            }
            Err(error) => {
                it.lost += 1;
                (it.lost == 1).then(|| match error.kind() {
                    ErrorKind::WouldBlock => {
                        format!("nobody reads the FIFO {}: lines are lost", it.fifo.path)
                    }
                    _ => format!("the FIFO {} cannot be written: {error}", it.fifo.path),
                })
            }
        }
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        self.open.values().for_each(Open::remove);
    }
}

impl Open {
    fn new(fifo: &Fifo) -> io::Result<Self> {
        let path = Path::new(&fifo.path);
        let made = match fs::symlink_metadata(path) {
            Ok(meta) if meta.file_type().is_fifo() => false,
            Ok(_) => {
                return Err(io::Error::other(
                    "something else is there; remove it or name another path",
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mode = nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR;
                nix::unistd::mkfifo(path, mode)?;
                true
            }
            Err(error) => return Err(error),
        };
        // Open for reading as well, so that it neither waits for a reader nor ends with one.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path)?;
        if !file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::other("it was replaced while it was opened"));
        }
        if made && let Some((uid, gid)) = fifo.owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        Ok(Self {
            fifo: fifo.clone(),
            file,
            made,
            lost: 0,
        })
    }

    fn remove(&self) {
        if self.made {
            // Somebody may have been faster.
            let _ = fs::remove_file(&self.fifo.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    fn wanted(path: &Path) -> BTreeMap<FifoKind, Fifo> {
        let fifo = Fifo {
            path: path.display().to_string(),
            owner: None,
            script: None,
        };
        BTreeMap::from([(FifoKind::All, fifo)])
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("fifo-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn f135_it_is_made_for_its_owner_alone_read_by_others_and_taken_away() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder("life");
        let path = folder.join("events");
        let mut fifos = Fifos::default();
        assert_eq!(fifos.set(&wanted(&path)), Vec::<String>::new());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut reader = File::open(&path).unwrap();
        assert_eq!(fifos.write(FifoKind::All, "GROUP \"G1\" MASTER 0\n"), None);
        assert_eq!(fifos.write(FifoKind::Lvs, "not for this one\n"), None);
        let mut heard = [0; 64];
        let count = reader.read(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"GROUP \"G1\" MASTER 0\n");
        fifos.set(&BTreeMap::new());
        assert!(!path.exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn f135_without_a_reader_lines_are_dropped_and_that_is_told_once() {
        let folder = folder("full");
        let mut fifos = Fifos::default();
        fifos.set(&wanted(&folder.join("events")));
        let line = "x".repeat(4_000) + "\n";
        let told: Vec<String> = (0..40)
            .filter_map(|_| fifos.write(FifoKind::All, &line))
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("nobody reads"), "{told:?}");
        drop(fifos);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn f135_a_file_or_a_link_in_its_place_is_left_alone() {
        let folder = folder("else");
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "mine").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link] {
            let mut fifos = Fifos::default();
            let troubles = fifos.set(&wanted(path));
            assert!(troubles[0].contains("something else is there"), "{troubles:?}");
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        fs::remove_dir_all(folder).unwrap();
    }
}
