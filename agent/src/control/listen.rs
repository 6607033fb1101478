//! The socket's file: put where nothing else is harmed, and put back when somebody deletes it.

use nix::sys::stat::{Mode, umask};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as Probe;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Why the socket cannot be opened; in sentences, since the agent ends with it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("the socket's folder {}: {error}", path.display())]
    Folder { path: PathBuf, error: io::Error },
    #[error("the socket's folder {} is a symbolic link or no folder; give its real place", .0.display())]
    NotAFolder(PathBuf),
    #[error("the socket's folder {} may be written by others (mode {mode:o}); use chmod go-w", path.display())]
    FolderOpen { path: PathBuf, mode: u32 },
    #[error("the socket's folder {} belongs to uid {uid}, not to root or the agent", path.display())]
    FolderOwner { path: PathBuf, uid: u32 },
    #[error("{} is in the way: it is no socket; move it or choose another --socket", .0.display())]
    NotASocket(PathBuf),
    #[error("{} is in the way: it is a socket of uid {uid}, not of root or the agent", path.display())]
    SocketOwner { path: PathBuf, uid: u32 },
    #[error("another program listens on {}: is an agent running already?", .0.display())]
    Listening(PathBuf),
    #[error("cannot open the socket {}: {error}", path.display())]
    Open { path: PathBuf, error: io::Error },
}

/// A listening socket and its file.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) listener: UnixListener,
    path: PathBuf,
    gid: Option<u32>,
    /// Device and inode of our file, to know it again.
    file: (u64, u64),
}

impl Door {
    /// Listens at `path`, mode 0660, with the group `gid` where there is one.
    pub(super) fn open(path: &Path, gid: Option<u32>) -> Result<Self, BindError> {
        check_folder(path)?;
        check_path(path)?;
        let open = |error| BindError::Open {
            path: path.to_owned(),
            error,
        };
        let (listener, file) = bind(path, gid).map_err(open)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            gid,
            file,
        })
    }

    /// Listens anew if the file is gone or no longer ours; established connections are not touched.
    pub(super) fn restore(&mut self) -> Result<bool, BindError> {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            return Ok(false);
        }
        let fresh = Self::open(&self.path, self.gid)?;
        // The old door's file is not ours any more and must stay.
        let old = std::mem::replace(self, fresh);
        drop(old);
        Ok(true)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

fn trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

fn check_folder(path: &Path) -> Result<(), BindError> {
    let folder = folder_of(path);
    let meta = fs::symlink_metadata(folder).map_err(|error| BindError::Folder {
        path: folder.to_owned(),
        error,
    })?;
    if !meta.is_dir() {
        return Err(BindError::NotAFolder(folder.to_owned()));
    }
    if !trusted(meta.uid()) {
        return Err(BindError::FolderOwner {
            path: folder.to_owned(),
            uid: meta.uid(),
        });
    }
    if meta.mode() & 0o022 != 0 {
        return Err(BindError::FolderOpen {
            path: folder.to_owned(),
            mode: meta.mode() & 0o7777,
        });
    }
    Ok(())
}

fn check_path(path: &Path) -> Result<(), BindError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(BindError::Open {
                path: path.to_owned(),
                error,
            });
        }
    };
    if !meta.file_type().is_socket() {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    if !trusted(meta.uid()) {
        return Err(BindError::SocketOwner {
            path: path.to_owned(),
            uid: meta.uid(),
        });
    }
    // Nobody listens on what a dead agent left behind.
    match Probe::connect(path) {
        Ok(_) => Err(BindError::Listening(path.to_owned())),
        Err(_) => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Replaces a stale file. The socket is born with no rights for others and gets its group before it gets its mode, so
/// at no moment can anybody connect who may not later.
fn bind(path: &Path, gid: Option<u32>) -> io::Result<(UnixListener, (u64, u64))> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // For the whole process, but only tighter and only for this moment.
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound?;
    if let Some(gid) = gid {
        std::os::unix::fs::chown(path, None, Some(gid))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok((listener, identity(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lb-door-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("agent.sock")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn the_socket_is_0660_and_goes_with_its_door() {
        let folder = Folder::new("mode");
        let door = Door::open(&folder.socket(), None).unwrap();
        assert_eq!(fs::metadata(folder.socket()).unwrap().mode() & 0o7777, 0o660);
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
        assert!(matches!(
            Door::open(&folder.socket(), None),
            Err(BindError::Listening(_))
        ));
        drop(door);
        assert!(!folder.socket().exists());
    }

    /// F111.
    #[tokio::test]
    async fn a_dead_agents_socket_is_replaced() {
        let folder = Folder::new("stale");
        drop(std::os::unix::net::UnixListener::bind(folder.socket()).unwrap());
        assert!(folder.socket().exists());
        Door::open(&folder.socket(), None).unwrap();
    }

    /// F111.
    #[tokio::test]
    async fn whatever_else_is_in_the_way_is_refused_and_left_alone() {
        let folder = Folder::new("other");
        fs::write(folder.socket(), "precious").unwrap();
        assert!(matches!(
            Door::open(&folder.socket(), None),
            Err(BindError::NotASocket(_))
        ));
        assert_eq!(fs::read_to_string(folder.socket()).unwrap(), "precious");
        fs::remove_file(folder.socket()).unwrap();
        symlink("/dev/null", folder.socket()).unwrap();
        assert!(matches!(
            Door::open(&folder.socket(), None),
            Err(BindError::NotASocket(_))
        ));
        fs::remove_file(folder.socket()).unwrap();
        fs::create_dir(folder.socket()).unwrap();
        assert!(matches!(
            Door::open(&folder.socket(), None),
            Err(BindError::NotASocket(_))
        ));
    }

    /// F111.
    #[tokio::test]
    async fn a_folder_others_can_write_or_a_link_to_one_is_refused() {
        let folder = Folder::new("folder");
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            Door::open(&folder.socket(), None),
            Err(BindError::FolderOpen { mode: 0o777, .. })
        ));
        let link = folder.0.join("link");
        symlink("/var", &link).unwrap();
        assert!(matches!(
            Door::open(&link.join("s"), None),
            Err(BindError::NotAFolder(_))
        ));
    }

    #[tokio::test]
    async fn a_deleted_socket_comes_back() {
        let folder = Folder::new("deleted");
        let mut door = Door::open(&folder.socket(), None).unwrap();
        assert!(!door.restore().unwrap());
        fs::remove_file(folder.socket()).unwrap();
        assert!(door.restore().unwrap());
        Probe::connect(folder.socket()).unwrap();
    }
}
