//! What is known of a script before it runs: where it is, who may run it, who could change it.

use super::files::open;
use super::ownership::changeable;
use super::patterns::entries;
use crate::config::{ScriptFact, ScriptState};
use nix::unistd::{Gid, Uid};
use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a script that are read to see what it does.
const SCRIPT_TEXT_MAX: u64 = 64 << 10;

/// What the configuration is told of a program that `user` (uid and gid; `None`: ours) is to run.
pub(super) fn fact(program: &str, user: Option<(u32, u32)>) -> ScriptFact {
    let Some(path) = resolve(program) else {
        return ScriptFact {
            path: None,
            state: ScriptState::Missing { near: near(program) },
            text: None,
        };
    };
    let state = state(&path, user);
    let text = text(&path);
    ScriptFact {
        path: path.to_str().map(str::to_owned),
        state,
        text,
    }
}

/// The file a program's name stands for: itself, or the first of its name in PATH.
fn resolve(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        let path = PathBuf::from(program);
        return path.is_file().then_some(path);
    }
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    path.split(':')
        .filter(|folder| folder.starts_with('/'))
        .map(|folder| Path::new(folder).join(program))
        .find(|path| {
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        })
}

/// A file in the same folder whose name differs in its capitals or one letter only.
fn near(program: &str) -> Option<String> {
    let path = Path::new(program);
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    if !program.contains('/') {
        return None;
    }
    let alike = |other: &String| {
        let (a, b) = (name.to_lowercase(), other.to_lowercase());
        let differing = a.chars().zip(b.chars()).filter(|(a, b)| a != b).count();
        a == b || (a.chars().count() == b.chars().count() && differing == 1)
    };
    let other = entries(folder).into_iter().find(alike)?;
    folder.join(other).to_str().map(str::to_owned)
}

/// Whether a program may be run by its user, and whether others could change it.
fn state(path: &Path, user: Option<(u32, u32)>) -> ScriptState {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return ScriptState::NotExecutable(error.to_string()),
    };
    if let Some(why) = not_executable(&metadata, user) {
        return ScriptState::NotExecutable(why);
    }
    // What really runs is the file behind the links; every folder of both paths can put another in its place.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match changeable(&real).or_else(|| changeable(path)) {
        Some(why) => ScriptState::Unsafe(why),
        None => ScriptState::Fine,
    }
}

fn not_executable(metadata: &Metadata, user: Option<(u32, u32)>) -> Option<String> {
    let (uid, gid) = user.unwrap_or((Uid::effective().as_raw(), Gid::effective().as_raw()));
    let mode = metadata.mode();
    let allowed = match uid {
        0 => mode & 0o111 != 0,
        _ if uid == metadata.uid() => mode & 0o100 != 0,
        _ if gid == metadata.gid() => mode & 0o010 != 0,
        _ => mode & 0o001 != 0,
    };
    (!allowed).then(|| format!("user {uid} has no right to execute it (mode {:o})", mode & 0o7777))
}

/// The beginning of a script; `None` for a binary.
fn text(path: &Path) -> Option<String> {
    let file = open(path.to_str()?).ok()?;
    let mut bytes = Vec::new();
    file.take(SCRIPT_TEXT_MAX).read_to_end(&mut bytes).ok()?;
    bytes
        .starts_with(b"#!")
        .then(|| String::from_utf8_lossy(&bytes).into_owned())
}
