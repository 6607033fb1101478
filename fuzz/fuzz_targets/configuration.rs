//! Configuration text, alone and with an include of itself.
#![no_main]

use lbagent::config::{self, Content, Facts, FileError, Files, ScriptFact, Users};
use libfuzzer_sys::fuzz_target;

struct One<'a>(&'a [u8]);

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Content, FileError> {
        match path {
            "/etc/keepalived.conf" => Ok(Content { bytes: self.0.to_vec(), id: (1, 1), ..Content::default() }),
            "/etc/part.conf" => Ok(Content { bytes: self.0.iter().rev().copied().collect(), id: (1, 2), ..Content::default() }),
            _ => Err(FileError("does not exist".into())),
        }
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn script(&self, program: &str, _user: Option<(u32, u32)>) -> ScriptFact {
        ScriptFact { path: Some(program.to_owned()), ..ScriptFact::default() }
    }
}

struct Nobody;

impl Users for Nobody {
    fn user(&self, name: &str) -> Option<(u32, u32)> {
        (name == "root").then_some((0, 0))
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let environment = |_: &str| None;
    let own = ([192, 0, 2, 11].into(), 24);
    let facts = Facts {
        config_id: "lb1".into(),
        hostname: "lb1".into(),
        interfaces: None,
        addresses: None,
        subnets: Some([("eth0".into(), vec![own])].into()),
        users: &Nobody,
        seed: 1,
        environment: &environment,
        advise: true,
        peer: None,
    };
    let path = "/etc/keepalived.conf";
    let loaded = config::load(&One(bytes), path, &facts);
    // Once more, as its own peer.
    let facts = Facts {
        peer: loaded.model.as_ref(),
        ..facts
    };
    let beside = config::load(&One(bytes), path, &facts);
    for finding in loaded.findings.iter().chain(&beside.findings) {
        let _ = finding.drawn();
    }
});
