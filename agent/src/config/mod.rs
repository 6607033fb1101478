//! keepalived.conf → [`Model`] and findings.
//!
//! Knows the language: words, blocks, keywords with their ranges and defaults, and the rules between them. Never
//! panics, never stops at the first mistake. Does not know the disk or the host: [`Files`] and [`Facts`] bring them.
//!
//! text → [`source`] → [`expand`] → [`lexer`], [`tree`] → [`bind`] by the tables in [`mod@keywords`] → [`rules`] → model.

mod alone;
mod bind;
mod define;
mod expand;
mod explain;
mod findings;
mod keyword;
mod keywords;
mod lexer;
mod mistakes;
mod rules;
mod show;
mod similar;
mod source;
mod texts;
mod tree;
mod value;

pub use alone::Alone;
pub use explain::{compatibility_page, configuration_page, explain, unknown};
pub use keyword::{Info, Live, Standing, Takes};
pub use keywords::{Entry, all as keywords};
pub use show::show;
pub use source::{
    Content, FILE_MAX, FILES_MAX, FileError, Files, INCLUDE_DEPTH_MAX, KeyFile, LINE_MAX, LINES_MAX,
    MATCHES_MAX, Rights, ScriptFact, ScriptState, SourceFile, Sources, TOTAL_MAX,
};
pub use texts::{Kept, Texts};
pub use tree::{BLOCKS_MAX, NESTING_MAX, STATEMENTS_MAX, TOKENS_MAX};

use crate::model::Model;
use findings::Cx;
use lb_shared::diagnostic::{Diagnostic, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tree::Braces;

/// What the host contributes to the meaning of a file.
pub struct Facts<'a> {
    /// The id that `@id` lines are compared with: `-i`, or the host name up to its first dot.
    pub config_id: String,
    pub hostname: String,
    /// Names of the interfaces; `None` when judging a file for another host.
    pub interfaces: Option<BTreeSet<String>>,
    /// Addresses of this host; `None` when judging a file for another host.
    pub addresses: Option<BTreeSet<IpAddr>>,
    /// What the interfaces of this host are in; `None` when nobody asks whether addresses fit.
    pub subnets: Option<Subnets>,
    /// Somebody asks for a judgement: say also what is right and worth knowing, such as times that follow.
    pub advise: bool,
    /// The other node's configuration, to compare with; `None`: not given.
    pub peer: Option<&'a Model>,
    pub users: &'a dyn Users,
    /// Seed of `${_RANDOM}` unless the file sets one.
    pub seed: u64,
    /// For `${_ENV NAME}`.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

/// By interface: its addresses with the lengths of their networks.
pub type Subnets = BTreeMap<String, Vec<(IpAddr, u8)>>;

/// User and group names of the host.
pub trait Users {
    /// A user's number and the number of its first group.
    fn user(&self, name: &str) -> Option<(u32, u32)>;
    /// A group's number.
    fn group(&self, name: &str) -> Option<u32>;
}

/// What became of a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// What the agent would run at start. `None` only if the file cannot be read or breaks a limit.
    pub model: Option<Model>,
    /// In the order of the file.
    pub findings: Vec<Diagnostic>,
    pub sources: Sources,
}

impl Loaded {
    /// Whether a reload with this configuration is refused.
    pub fn is_refused(&self) -> bool {
        self.model.is_none()
            || self
                .findings
                .iter()
                .any(|finding| finding.severity == Severity::Error)
    }
}

/// Reads a configuration: a file's name, or a pattern for several.
pub fn load(files: &dyn Files, path: &str, facts: &Facts<'_>) -> Loaded {
    let read = source::read(files, path);
    let (model, findings) = understand(&read, files, facts);
    Loaded {
        model,
        findings,
        sources: read.sources,
    }
}

fn understand(read: &source::Read, files: &dyn Files, facts: &Facts<'_>) -> (Option<Model>, Vec<Diagnostic>) {
    let expanded = expand::expand(&read.sources, facts);
    let mut findings = read.findings.clone();
    findings.extend(expanded.findings);
    let cx = || Cx::new(&read.sources, &expanded.lines, files, facts, findings.clone());
    if read.fatal || expanded.fatal {
        return (None, cx().finish());
    }
    let mut recover = false;
    loop {
        let mut cx = cx();
        match bind::read(&expanded.lines, recover, &mut cx) {
            // Known only at the end of all that it makes mean something else.
            Ok((_, Braces::Missing)) if !recover => recover = true,
            Ok((raw, _)) => {
                let model = rules::model(raw, &mut cx);
                return (Some(model), cx.finish());
            }
            Err(limit) => {
                let mut findings = cx.finish();
                findings.push(*limit);
                return (None, findings);
            }
        }
    }
}
