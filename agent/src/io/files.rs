//! The disk, as the configuration sees it.
//!
//! Opens without waiting and looks at what was really opened: a FIFO or a device named in a configuration must not
//! stop the agent, nor a file without end fill its memory.

use super::{ownership, patterns, programs};
use crate::config::{
    Content, FILE_MAX, Facts, FileError, Files, KeyFile, Loaded, Rights, ScriptFact, Users, load,
};
use lb_shared::diagnostic::{Diagnostic, Severity};
use nix::unistd::{Group, Uid, User};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// How often a configuration that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

/// The real disk, remembering what was read, to tell whether it is still the same.
#[derive(Debug, Default)]
struct Remembering {
    seen: RefCell<BTreeMap<String, Stamp>>,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Reads a configuration from the disk, all of it as of one moment.
///
/// If a file is written while others are being read, everything is read again; if that goes on, the result is
/// refused rather than half old and half new. Files that others could change, and passwords that others could read,
/// are told of.
pub fn load_from_disk(path: &str, facts: &Facts<'_>) -> Loaded {
    for _ in 1..ATTEMPTS {
        let files = Remembering::default();
        let loaded = load(&files, path, facts);
        if files.is_unchanged() {
            return loaded;
        }
    }
    let files = Remembering::default();
    let mut loaded = load(&files, path, facts);
    if !files.is_unchanged() {
        let text = format!("{path} or a file it includes changes while it is read");
        let finding = Diagnostic::new(Severity::Error, "H-09", text).note("nothing of it is used; try again");
        loaded.findings.push(finding);
        loaded.model = None;
    }
    loaded
}

/// What others may do with a configuration file.
fn rights(path: &str) -> Rights {
    let path = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    // Who runs the agent may of course write its files, which matters when it is tried without root.
    let root = Uid::effective().is_root();
    Rights {
        changeable: root.then(|| ownership::changeable(&path)).flatten(),
        readable_by_all: fs::metadata(&path).is_ok_and(|it| it.mode() & 0o004 != 0),
    }
}

impl Remembering {
    /// Whether every file that was read is still as it was read.
    fn is_unchanged(&self) -> bool {
        let same = |path: &str, stamp: Stamp| fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == stamp);
        self.seen.borrow().iter().all(|(path, stamp)| same(path, *stamp))
    }
}

impl Files for Remembering {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        let (mut content, stamp) = read(path)?;
        content.rights = rights(path);
        self.seen.borrow_mut().insert(path.to_owned(), stamp);
        Ok(content)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        DiskFiles.glob(pattern)
    }

    fn script(&self, program: &str, user: Option<(u32, u32)>) -> ScriptFact {
        DiskFiles.script(program, user)
    }

    fn key(&self, path: &str) -> Result<KeyFile, FileError> {
        DiskFiles.key(path)
    }
}

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        read(path).map(|(content, _)| content)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        patterns::files(pattern)
    }

    fn key(&self, path: &str) -> Result<KeyFile, FileError> {
        super::key_file::read(open(path)?)
    }

    fn script(&self, program: &str, user: Option<(u32, u32)>) -> ScriptFact {
        programs::fact(program, user)
    }
}

/// The accounts of this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostUsers;

impl Users for HostUsers {
    fn user(&self, name: &str) -> Option<(u32, u32)> {
        let user = User::from_name(name).ok().flatten()?;
        Some((user.uid.as_raw(), user.gid.as_raw()))
    }

    fn group(&self, name: &str) -> Option<u32> {
        Some(Group::from_name(name).ok().flatten()?.gid.as_raw())
    }
}

/// A whole file, and how to tell whether it is still the same later.
fn read(path: &str) -> Result<(Content, Stamp), FileError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(|error| words(&error))?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(FILE_MAX));
    // One byte more than the limit, so that the reader can tell and name the limit.
    file.take(FILE_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| words(&error))?;
    let id = (metadata.dev(), metadata.ino());
    let rights = Rights::default();
    Ok((Content { bytes, id, rights }, Stamp::of(&metadata)))
}

fn words(error: &io::Error) -> FileError {
    FileError(match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "cannot be read: permission denied".to_owned(),
        _ => format!("cannot be read: {error}"),
    })
}

/// Opens a regular file, and nothing else, without waiting for anybody.
pub(super) fn open(path: &str) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| words(&error))?;
    let metadata = file.metadata().map_err(|error| words(&error))?;
    if metadata.is_file() {
        Ok(file)
    } else {
        Err(FileError(format!("is {}, not a file", kind(&metadata))))
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ScriptState;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("lbagent-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// F119.
    #[test]
    fn only_regular_files_are_read_and_a_fifo_does_not_stop_the_reader() {
        let folder = folder("kinds");
        let fifo = folder.join("fifo.conf");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        fs::write(folder.join("b.conf"), "router_id x").unwrap();
        fs::write(folder.join("a.conf"), "").unwrap();
        let said = |path: &Path| DiskFiles.read(path.to_str().unwrap()).unwrap_err().0;
        assert_eq!(said(&fifo), "is a FIFO, not a file");
        assert_eq!(said(&folder), "is a folder, not a file");
        assert_eq!(said(&folder.join("none")), "does not exist");
        assert_eq!(said(Path::new("/dev/null")), "is a device, not a file");
        let found = DiskFiles.glob(folder.join("*.conf").to_str().unwrap());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("a.conf"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_script_that_others_can_change_is_unsafe_and_one_in_other_letters_is_offered() {
        let folder = folder("scripts");
        let script = folder.join("ck_hA.sh");
        fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o777)).unwrap();
        let fact = DiskFiles.script(script.to_str().unwrap(), Some((65_534, 65_534)));
        assert!(matches!(fact.state, ScriptState::Unsafe(_)), "{:?}", fact.state);
        assert!(fact.text.unwrap().contains("exit 0"));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o600)).unwrap();
        let fact = DiskFiles.script(script.to_str().unwrap(), Some((65_534, 65_534)));
        assert!(
            matches!(fact.state, ScriptState::NotExecutable(_)),
            "{:?}",
            fact.state
        );
        let fact = DiskFiles.script(folder.join("ck_HA.sh").to_str().unwrap(), None);
        let ScriptState::Missing { near: Some(near) } = fact.state else {
            panic!("{:?}", fact.state)
        };
        assert!(near.ends_with("ck_hA.sh"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_changes_after_it_was_read_is_noticed() {
        let folder = folder("stamp");
        let path = folder.join("a.conf");
        fs::write(&path, "one").unwrap();
        let files = Remembering::default();
        files.read(path.to_str().unwrap()).unwrap();
        assert!(files.is_unchanged());
        fs::write(&path, "another").unwrap();
        assert!(!files.is_unchanged());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_configuration_is_read_from_the_disk_with_what_it_includes() {
        let folder = folder("load");
        fs::create_dir(folder.join("conf.d")).unwrap();
        fs::write(
            folder.join("main.conf"),
            "global_defs {\n router_id a\n}\ninclude conf.d/*.conf\n",
        )
        .unwrap();
        let instance = "vrrp_instance V {\n interface lo\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.1/32 }\n \
             authentication { auth_type PASS\n auth_pass x }\n}\n";
        fs::write(folder.join("conf.d/v.conf"), instance).unwrap();
        fs::set_permissions(folder.join("conf.d/v.conf"), fs::Permissions::from_mode(0o644)).unwrap();
        let facts = Facts {
            users: &HostUsers,
            ..Facts::default()
        };
        let loaded = load_from_disk(folder.join("main.conf").to_str().unwrap(), &facts);
        assert_eq!(loaded.model.unwrap().instances.len(), 1, "{:?}", loaded.findings);
        assert!(
            loaded.findings.iter().any(|finding| finding.code == "H-08"),
            "{:?}",
            loaded.findings
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    /// F121.
    #[test]
    fn a_configuration_that_changes_at_every_reading_is_refused_and_one_that_settles_is_not() {
        let folder = folder("changing");
        let path = folder.join("main.conf");
        let name = path.to_str().unwrap();
        let text = "global_defs {\n router_id ${_ENV X}\n}\n";
        let writes = std::cell::Cell::new(0);
        let load_while_written = |times: usize| {
            fs::write(&path, text).unwrap();
            writes.set(0);
            let environment = |_: &str| {
                if writes.get() < times {
                    writes.set(writes.get() + 1);
                    fs::write(&path, format!("{text}{}", "\n".repeat(writes.get()))).unwrap();
                }
                Some("x".to_owned())
            };
            let facts = Facts {
                users: &HostUsers,
                environment: &environment,
                ..Facts::default()
            };
            load_from_disk(name, &facts)
        };
        let told = |loaded: &Loaded| loaded.findings.iter().any(|it| it.code == "H-09");
        let settled = load_while_written(ATTEMPTS - 1);
        assert!(
            settled.model.is_some() && !told(&settled),
            "{:?}",
            settled.findings
        );
        let restless = load_while_written(ATTEMPTS);
        assert!(
            restless.model.is_none() && told(&restless),
            "{:?}",
            restless.findings
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
