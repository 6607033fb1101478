//! Files beside what is said about them and the model they make.
//!
//! `UPDATE_GOLDEN=1` writes the expectations anew; read the difference like code.

use crate::support::{Disk, FILE, dump, facts, load_text};
use lbagent::config::{Facts, ScriptState, load};
use lbagent::model::Model;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn judged(text: &str, peer: Option<&Model>) -> String {
    let disk = Disk::default()
        .with(FILE, text)
        .with(
            "conf.d/10-a.conf",
            "vrrp_instance included {\n interface eth0\n virtual_router_id 9\n advert_int x\n}\n",
        )
        .with("keys/51", "hex:hunter2\n".replace("hunter2", &"2f".repeat(32)))
        .with("keys/loose", "hunter2hunter2hunter2hunter2hunter2\n")
        .missing("/etc/keepalived/ck_HA.sh", Some("/etc/keepalived/ck_hA.sh"))
        .unfit(
            "/opt/plain.sh",
            ScriptState::NotExecutable("user 0 has no right to execute it (mode 644)".to_owned()),
        )
        .unfit(
            "/opt/open.sh",
            ScriptState::Unsafe("everybody may write to /opt".to_owned()),
        )
        .script(
            "/usr/local/sbin/check_interface.sh",
            "#!/bin/sh\nping -c 1 192.168.1.1 || systemctl stop keepalived\nsleep 5\n",
        );
    let facts = Facts {
        advise: true,
        peer,
        ..facts()
    };
    let loaded = load(&disk, FILE, &facts);
    let mut out = String::new();
    for finding in &loaded.findings {
        out.push_str(&finding.drawn());
        out.push_str("\n\n");
    }
    out.push_str(if loaded.is_refused() {
        "reload: refused\n\n"
    } else {
        "reload: accepted\n\n"
    });
    out.push_str(&loaded.model.as_ref().map_or("no model\n".to_owned(), dump));
    out
}

#[test]
fn every_file_is_judged_and_understood_as_written_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/golden");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    let mut differing = Vec::new();
    for path in names {
        // The other node's file, if the case has one.
        let peer = fs::read_to_string(path.with_extension("peer")).ok();
        let peer = peer.map(|text| load_text(&text).model.unwrap());
        let got = judged(&fs::read_to_string(&path).unwrap(), peer.as_ref());
        let expected = path.with_extension("out");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &got).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != got {
            differing.push(format!("{}:\n{got}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn no_secret_is_in_any_expectation() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/golden");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "out") {
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                !text.contains("hunter2") && !text.contains("mypassword"),
                "{}",
                path.display()
            );
        }
    }
}

/// Codes that no expectation has, and who else tries them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("H-07", "rights of files: files.rs"),
    ("H-08", "rights of files: files.rs"),
    ("H-09", "a file that changes while it is read: files.rs"),
    ("L-18", "bytes that are no text: hostile.rs"),
    ("L-19", "bytes that are no text: hostile.rs"),
    ("L-21", "a file that is not there: hostile.rs"),
    ("L-24", "limits: hostile.rs"),
];

/// The codes of findings in a source file, without those of its tests.
fn codes(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a folder") {
            codes(&entry.expect("an entry").path(), found);
        }
        return;
    }
    let text = fs::read_to_string(path).expect("a text");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |word: &&str| {
        let bytes = word.as_bytes();
        bytes.len() == 4
            && b"ELVSH".contains(&bytes[0])
            && bytes[1] == b'-'
            && bytes[2..].iter().all(u8::is_ascii_digit)
    };
    found.extend(code.split('"').filter(is_code).map(str::to_owned));
}

#[test]
fn every_finding_of_the_language_is_in_an_expectation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    codes(&root.join("src/config"), &mut all);
    let mut said = String::new();
    for entry in fs::read_dir(root.join("tests/config/golden")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "out") {
            said += &fs::read_to_string(path).unwrap();
        }
    }
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|(code, _)| (*code).to_owned()).collect();
    let missing: BTreeSet<String> = all
        .into_iter()
        .filter(|code| !said.contains(code.as_str()))
        .collect();
    let new: Vec<_> = missing.difference(&elsewhere).collect();
    assert!(new.is_empty(), "in no expectation: {new:?}");
    assert!(
        all_listed_are_missing(&elsewhere, &said),
        "in an expectation by now: take it out of the list"
    );
}

fn all_listed_are_missing(listed: &BTreeSet<String>, said: &str) -> bool {
    listed.iter().all(|code| !said.contains(code.as_str()))
}
