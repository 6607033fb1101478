//! Files beside what is said about them and the model they make.
//!
//! `UPDATE_GOLDEN=1` writes the expectations anew; read the difference like code.

use crate::support::{Disk, FILE, dump, facts, load_text};
use lbagent::config::{Facts, load};
use lbagent::model::Model;
use std::fs;
use std::path::Path;

fn judged(text: &str, peer: Option<&Model>) -> String {
    let disk = Disk::default()
        .with(FILE, text)
        .with(
            "conf.d/10-a.conf",
            "vrrp_instance included {\n interface eth0\n virtual_router_id 9\n advert_int x\n}\n",
        )
        .missing("/etc/keepalived/ck_HA.sh", Some("/etc/keepalived/ck_hA.sh"))
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
