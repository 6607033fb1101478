//! The files of a configuration as they were read, to be read again as they were, whatever stands on the disk by then.

use super::source::{Content, FileError, Files, KeyFile, ScriptFact, Sources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every file that was read, and what each pattern matched.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Texts {
    files: BTreeMap<String, String>,
    globs: BTreeMap<String, Vec<String>>,
}

impl Texts {
    /// What became of the disk's content when it was read.
    pub fn of(sources: Sources) -> Self {
        let files = sources.files.into_iter().map(|it| (it.name, it.text));
        Self {
            files: files.collect(),
            globs: sources.globs,
        }
    }

    /// The same for the same files, across runs; others have the same only by chance.
    pub fn fingerprint(&self) -> u64 {
        let mut sum = crc32fast::Hasher::new();
        let mut length = 0_usize;
        for (name, text) in &self.files {
            sum.update(name.as_bytes());
            sum.update(&[0]);
            sum.update(text.as_bytes());
            length += text.len() + 1;
        }
        u64::from(sum.finalize()) << 32 | (length as u64 & 0xffff_ffff)
    }
}

/// [`Texts`] in the place of the disk; programs are looked at where they are.
pub struct Kept<'a> {
    pub texts: &'a Texts,
    pub disk: &'a dyn Files,
}

impl Files for Kept<'_> {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        let position = self.texts.files.keys().position(|name| name == path);
        match (position, self.texts.files.get(path)) {
            (Some(position), Some(text)) => Ok(Content {
                bytes: text.clone().into_bytes(),
                id: (0, position as u64),
                ..Content::default()
            }),
            _ => Err(FileError("was not read then".to_owned())),
        }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        self.texts.globs.get(pattern).cloned().unwrap_or_default()
    }

    fn key(&self, path: &str) -> Result<KeyFile, FileError> {
        self.disk.key(path)
    }

    fn script(&self, program: &str, user: Option<(u32, u32)>) -> ScriptFact {
        self.disk.script(program, user)
    }
}
