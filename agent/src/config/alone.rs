//! A text that is read by itself: no disk around it, and a host of which nothing is known.

use super::{Content, Facts, FileError, Files, ScriptFact, Users};

/// A configuration of one text. Whatever file is asked for, this is what stands in it; patterns match none.
pub struct Alone<'t>(pub &'t str);

impl Files for Alone<'_> {
    fn read(&self, _: &str) -> Result<Content, FileError> {
        Ok(Content {
            bytes: self.0.as_bytes().to_vec(),
            id: (1, 1),
            ..Content::default()
        })
    }

    fn glob(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn script(&self, _: &str, _: Option<(u32, u32)>) -> ScriptFact {
        ScriptFact::default()
    }
}

impl Default for Facts<'_> {
    /// Nothing: no names, no interfaces, no users, an empty environment.
    fn default() -> Self {
        Self {
            config_id: String::new(),
            hostname: String::new(),
            interfaces: None,
            addresses: None,
            subnets: None,
            advise: false,
            peer: None,
            users: &Nobody,
            seed: 0,
            environment: &|_| None,
        }
    }
}

struct Nobody;

impl Users for Nobody {
    fn user(&self, _: &str) -> Option<(u32, u32)> {
        None
    }

    fn group(&self, _: &str) -> Option<u32> {
        None
    }
}
