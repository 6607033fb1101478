//! Which of the keywords people use stand in a configuration that is run on keepalived and on the agent by one script.

use crate::support::{Disk, FILE, show_disk};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The keywords of everyday configurations, by block, in the order of the manual.
const EVERYDAY: &str = include_str!("everyday.txt");

/// Those that no such configuration has: block, keyword, and why.
const NOT_COMPARED: &[(&str, &str, &str)] = &[
    (
        "global_defs",
        "vrrp_iptables",
        "nftables does its work here, and what it holds is compared in a case of its own",
    ),
    (
        "(language)",
        "includer",
        "keepalived 2.2.7, which they are compared with, does not know it",
    ),
];

/// Whether a line has something.
type Has = fn(&str) -> bool;

/// What is no keyword of a block, and how a line that has it is known.
const LANGUAGE: &[(&str, Has)] = &[
    ("!", |line| line.contains("! ")),
    ("#", |line| line.contains("# ")),
    ("{", |line| line.ends_with('{')),
    ("}", |line| line == "}"),
    ("\"\"", |line| line.matches('"').count() == 2),
    ("\\ (end of line)", |line| line.ends_with('\\')),
    ("include", |line| line.starts_with("include ")),
    ("includer", |line| line.starts_with("includer ")),
    ("@ID", |line| line.starts_with('@') && !line.starts_with("@^")),
    ("@^ID", |line| line.starts_with("@^")),
    ("$NAME=", |line| line.starts_with('$') && line.contains('=')),
    ("$NAME", |line| {
        line.split(' ').skip(1).any(|word| word.starts_with('$'))
    }),
    ("${NAME}", |line| line.contains("${")),
    ("BOOL", |line| {
        ["on", "off", "yes", "no", "true", "false"]
            .iter()
            .any(|it| line.ends_with(&format!(" {it}")))
    }),
    ("TIMER", |line| {
        line.starts_with("advert_int ") && line.contains('.')
    }),
];

fn everyday() -> BTreeSet<(String, String)> {
    let mut block = "";
    let mut found = BTreeSet::new();
    for line in EVERYDAY.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => block = name,
            None => drop(found.insert((block.to_owned(), line.to_owned()))),
        }
    }
    found
}

/// The configurations that both daemons run: files of one, and files with several.
fn configurations() -> Vec<String> {
    let system = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system");
    let mut texts = Vec::new();
    for folder in ["parity", "words"] {
        for entry in fs::read_dir(system.join(folder)).expect("a folder") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("a text");
            let sections = text.split("\n=== ").flat_map(|it| it.split("\n--- then"));
            texts.extend(sections.flat_map(|it| it.split("\n+++ ")).map(str::to_owned));
        }
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/many-words/director.conf");
    texts.push(fs::read_to_string(example).expect("a text"));
    // The line after a mark is its title.
    let titled = |text: &str| text.starts_with("=== ") || !text.starts_with(['#', '!']);
    for text in &mut texts {
        if titled(text) {
            *text = text
                .split_once('\n')
                .map_or_else(String::new, |(_, rest)| rest.to_owned());
        }
    }
    texts
}

/// The name of a block inside another, as in the manual.
fn inside(outer: &str, word: &str) -> String {
    match (outer, word) {
        (_, "virtual_ipaddress" | "virtual_ipaddress_excluded" | "static_ipaddress") => {
            "(address line)".into()
        }
        (_, "virtual_routes" | "static_routes") => "(route line)".into(),
        (_, "virtual_rules" | "static_rules") => "(rule line)".into(),
        ("(root)", word) => word.into(),
        (outer, word) => format!("{outer}/{word}"),
    }
}

fn compared() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for text in configurations() {
        for (name, has) in LANGUAGE {
            if text.lines().any(|line| has(line.trim())) {
                found.insert(("(language)".to_owned(), (*name).to_owned()));
            }
        }
        let shown = show_disk(&Disk::default().with(FILE, text));
        let mut blocks = vec!["(root)".to_owned()];
        for it in &shown.statements {
            blocks.truncate(usize::from(it.depth) + 1);
            let block = blocks.last().expect("the root stays").clone();
            if block.starts_with('(') && block != "(root)" {
                let first = if block == "(address line)" {
                    "<ADDRESS>"
                } else {
                    "<PREFIX>"
                };
                found.insert((block.clone(), first.to_owned()));
                found.extend(it.words.iter().map(|word| (block.clone(), word.clone())));
            } else if block == "virtual_server_group" && it.words[0] != "fwmark" {
                let kind = if it.words[0].contains('-') {
                    "<RANGE>"
                } else {
                    "<IP PORT>"
                };
                found.insert((block.clone(), kind.to_owned()));
            }
            found.insert((block.clone(), it.words[0].clone()));
            if it.block {
                blocks.push(inside(&block, &it.words[0]));
            }
        }
    }
    found
}

#[test]
fn every_keyword_people_use_is_compared_with_keepalived_or_says_why_not() {
    let compared = compared();
    let missing: BTreeSet<_> = everyday().difference(&compared).cloned().collect();
    let listed: BTreeSet<_> = NOT_COMPARED
        .iter()
        .map(|(block, word, _)| ((*block).to_owned(), (*word).to_owned()))
        .collect();
    let new: Vec<_> = missing.difference(&listed).collect();
    assert!(
        new.is_empty(),
        "in no configuration of parity/ and words/: {new:#?}"
    );
    let done: Vec<_> = listed.difference(&missing).collect();
    assert!(
        done.is_empty(),
        "compared by now, take them out of the list: {done:#?}"
    );
}

/// The names in the list `DIFFERS` of a module of system tests.
fn differing(module: &str) -> BTreeSet<String> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/cases");
    let text = fs::read_to_string(cases.join(format!("{module}.py"))).expect("a text");
    let (_, list) = text.split_once("\nDIFFERS = {\n").expect("the list");
    let (list, _) = list.split_once("\n}\n").expect("its end");
    let names = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\":"));
    names.map(|(name, _)| format!("{module}: {name}")).collect()
}

#[test]
fn the_page_of_differences_lists_those_that_the_tests_hold_and_no_others() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    let page = fs::read_to_string(page).expect("a page");
    let listed: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("words: ") || name.starts_with("checkers: "))
        .collect();
    let held: BTreeSet<String> = ["words", "checkers"].into_iter().flat_map(differing).collect();
    assert!(held.len() > 1, "{held:?}");
    assert_eq!(
        listed, held,
        "docs/differences.md beside the lists DIFFERS of the system tests"
    );
}
