//! Broken files: a reload with one is refused, and what is said names the line and the remedy.
//!
//! The first lines of each file say what is expected:
//! `#! CODE LINE` and, for words that the finding must hold, `#? words`.

use crate::support::{Disk, FILE, facts, findings};
use lb_shared::diagnostic::Severity;
use lbagent::config::load;
use std::fs;
use std::path::Path;

/// F126: what is judged here is refused whole by a running agent in the system test `broken`.
#[test]
fn each_broken_file_is_refused_with_its_line_and_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/broken");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{}", names.len());
    for path in names {
        let text = fs::read_to_string(&path).unwrap();
        let loaded = load(&Disk::default().with(FILE, text.clone()), FILE, &facts());
        let said = findings(&loaded);
        assert!(loaded.is_refused(), "{}: accepted\n{said}", path.display());
        let expectation = text.lines().find_map(|line| line.strip_prefix("#! ")).unwrap();
        let (code, line) = expectation.split_once(' ').unwrap();
        let found = loaded.findings.iter().find(|finding| {
            finding.code == code
                && finding.severity == Severity::Error
                && finding
                    .place
                    .as_ref()
                    .is_some_and(|place| place.line.to_string() == line && place.file == FILE)
        });
        let found = found.unwrap_or_else(|| panic!("{}: no {code} in line {line}\n{said}", path.display()));
        for words in text.lines().filter_map(|line| line.strip_prefix("#? ")) {
            assert!(
                found.line().contains(words),
                "{}: '{words}' is not in\n{}",
                path.display(),
                found.line()
            );
        }
        assert!(!found.notes.is_empty(), "{}: no remedy", path.display());
        assert!(
            !found.place.as_ref().unwrap().excerpt.is_empty(),
            "{}",
            path.display()
        );
    }
}
