//! Who besides root could change a file: by what it is, or by any folder on the way to it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Looks at the file and every directory on the way to it, as written and as resolved; otherwise what is wrong.
///
/// Each must be root's and writable by nobody else. The group root may write, and a directory may be open to all if it
/// is sticky (as in keepalived). Since only root can change anything on such a way, nothing can change between this
/// look and the start of the script.
pub(super) fn only_root_can_change(script: &Path) -> Result<(), String> {
    if !script.is_absolute() {
        return Err(format!("'{}' is not an absolute path", script.display()));
    }
    look_along(script)?;
    let resolved = script
        .canonicalize()
        .map_err(|error| format!("cannot resolve '{}': {error}", script.display()))?;
    look_along(&resolved)?;
    let target = resolved
        .metadata()
        .map_err(|error| format!("cannot look at '{}': {error}", resolved.display()))?;
    if !target.is_file() {
        return Err(format!("'{}' is not a file", resolved.display()));
    }
    Ok(())
}

fn look_along(path: &Path) -> Result<(), String> {
    let mut place = PathBuf::new();
    for component in path.components() {
        if component == Component::ParentDir {
            return Err(format!("'{}' has '..' in it", path.display()));
        }
        place.push(component);
        let found = place
            .symlink_metadata()
            .map_err(|error| format!("cannot look at '{}': {error}", place.display()))?;
        if let Some(why) = complaint(&found) {
            return Err(format!("unsafe permissions: '{}' {why}", place.display()));
        }
    }
    Ok(())
}

/// Who besides root can change a file or one of the folders that lead to it, as far as these can be seen.
///
/// For what is told about a configuration; what is about to run has to pass [`only_root_can_change`].
pub(super) fn changeable(path: &Path) -> Option<String> {
    let mut walked = PathBuf::new();
    for part in path.components() {
        walked.push(part);
        if matches!(part, Component::CurDir | Component::ParentDir) {
            continue;
        }
        if let Some(why) = walked.metadata().ok().as_ref().and_then(complaint) {
            return Some(format!("{} {why}", walked.display()));
        }
    }
    None
}

/// What is wrong with one file or folder.
fn complaint(found: &Metadata) -> Option<String> {
    let mode = found.mode();
    if found.uid() != 0 {
        return Some(format!("belongs to user {}", found.uid()));
    }
    // A link's own mode says nothing; who owns it and who can write its directory does.
    if found.file_type().is_symlink() || found.is_dir() && mode & STICKY != 0 {
        return None;
    }
    if mode & OTHERS_WRITE != 0 {
        return Some("is writable by everybody".to_owned());
    }
    if mode & GROUP_WRITES != 0 && found.gid() != 0 {
        return Some(format!("is writable by group {}", found.gid()));
    }
    None
}
