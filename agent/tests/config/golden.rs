//! Files beside what is said about them and the model they make.
//!
//! `UPDATE_GOLDEN=1` writes the expectations anew; read the difference like code.

use crate::support::{Disk, FILE, dump, facts, load_text};
use lbagent::config::{Facts, INCLUDE_DEPTH_MAX, Rights, ScriptState, Subnets, load};
use lbagent::model::Model;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Files that many golden files include, and programs they name.
fn disk() -> Disk {
    let mut disk = Disk::default()
        .with(
            "conf.d/10-a.conf",
            "vrrp_instance included {\n interface eth0\n virtual_router_id 9\n advert_int x\n}\n",
        )
        .with("keys/51", "hex:hunter2\n".replace("hunter2", &"2f".repeat(32)))
        .with("keys/loose", "hunter2hunter2hunter2hunter2hunter2\n")
        .with(
            "open.conf",
            "vrrp_instance open {\n interface eth0\n virtual_router_id 8\n virtual_ipaddress { 192.0.2.8/24 }\n \
             authentication { auth_type PASS\n auth_pass hunter2 }\n}\n",
        )
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
    let rights = Rights {
        changeable: Some("everybody may write to it".to_owned()),
        readable_by_all: true,
    };
    disk.rights.insert("open.conf".to_owned(), rights);
    let why = "cannot be read: permission denied";
    disk.unreadable.insert("closed.conf".to_owned(), why.to_owned());
    for depth in 0..=INCLUDE_DEPTH_MAX {
        let (name, next) = (format!("deep/{depth}.conf"), depth + 1);
        disk = disk.with(&name, format!("include {next}.conf\n"));
    }
    disk
}

/// The other node's file, and this host's networks (`eth0 192.0.2.11/24`), if the case has them.
#[derive(Default)]
struct Beside {
    peer: Option<Model>,
    subnets: Option<Subnets>,
}

impl Beside {
    fn of(path: &Path) -> Self {
        let read = |extension| fs::read_to_string(path.with_extension(extension)).ok();
        let peer = read("peer").map(|text| load_text(&text).model.expect("a model"));
        let subnets = read("host").map(|text| {
            let mut subnets = Subnets::new();
            for line in text.lines() {
                let (name, network) = line.split_once(' ').expect("NAME ADDRESS/LENGTH");
                let (address, length) = network.split_once('/').expect("ADDRESS/LENGTH");
                let own = (
                    address.parse().expect("an address"),
                    length.parse().expect("a length"),
                );
                subnets.entry(name.to_owned()).or_default().push(own);
            }
            subnets
        });
        Self { peer, subnets }
    }
}

fn judged(text: Vec<u8>, beside: Beside) -> String {
    let disk = disk().with(FILE, text);
    let facts = Facts {
        advise: true,
        subnets: beside.subnets,
        peer: beside.peer.as_ref(),
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
        let got = judged(fs::read(&path).unwrap(), Beside::of(&path));
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

/// Codes that no expectation has, for they take a host to look at, and whose tests raise them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("H-09", "src/io/files.rs"),
    ("H-10", "src/io/doctor.rs"),
    ("H-11", "src/io/doctor.rs"),
    ("H-12", "src/io/doctor.rs"),
    ("H-13", "src/io/doctor.rs"),
    ("H-14", "src/io/doctor.rs"),
    ("H-15", "src/io/doctor.rs"),
    ("H-16", "src/io/doctor.rs"),
    ("H-17", "src/io/doctor.rs"),
    ("H-18", "src/io/doctor.rs"),
    ("H-20", "src/io/doctor.rs"),
    ("H-21", "src/io/doctor.rs"),
    ("H-22", "src/io/doctor.rs"),
    ("H-23", "src/io/doctor.rs"),
    ("H-24", "src/io/doctor.rs"),
    ("H-25", "src/io/doctor.rs"),
    ("H-67", "src/engine/next_start.rs"),
    ("V-90", "src/io/loader.rs"),
    ("E-30", "src/io/doctor.rs"),
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
fn every_finding_is_in_an_expectation_or_takes_a_host_and_is_raised_by_the_test_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = BTreeSet::new();
    codes(&root.join("src"), &mut all);
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
    for (code, file) in ELSEWHERE {
        assert!(
            !said.contains(code),
            "{code} is in an expectation by now: take it out of the list"
        );
        let text = fs::read_to_string(root.join(file)).expect("a text");
        let tests = text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests);
        assert!(
            tests.contains(&format!("\"{code}\"")),
            "no test of {file} raises {code}"
        );
    }
}
