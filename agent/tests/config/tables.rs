//! The tables hold every keyword, their rows agree with their setters, and the pages made from them are current.

use crate::support::load_text;
use lbagent::config::{
    Entry, Live, Standing, Takes, compatibility_page, configuration_page, explain, keywords, unknown,
};
use lbagent::engine::Started;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every pair of block and keyword that keepalived 2.4 knows.
const KEEPALIVED: &str = include_str!("keywords.txt");

fn root(block: &str) -> &str {
    if block.is_empty() { "(root)" } else { block }
}

#[test]
fn every_keyword_of_keepalived_has_one_row() {
    let mut wanted = BTreeSet::new();
    let mut block = "";
    for line in KEEPALIVED.lines() {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => block = name,
            None => assert!(wanted.insert((block, line)), "{block} {line} is listed twice"),
        }
    }
    let entries = keywords();
    let mut have = BTreeSet::new();
    for entry in &entries {
        let pair = (root(entry.block), entry.info.name);
        assert!(have.insert(pair), "{pair:?} has two rows");
    }
    let missing: Vec<_> = wanted.difference(&have).collect();
    let more: Vec<_> = have.difference(&wanted).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing {missing:?}, unknown to keepalived {more:?}"
    );
}

#[test]
fn every_row_says_what_it_is_and_why_it_does_not_act() {
    for entry in keywords() {
        let name = entry.info.name;
        assert!(entry.info.doc.ends_with(['.', ')']), "{name}: {}", entry.info.doc);
        if let Standing::Idle(why) | Standing::Refused(why) | Standing::Old(why) = entry.standing {
            assert!(!why.is_empty(), "{name}");
        }
    }
}

/// Arguments that a keyword takes.
fn sample(takes: Takes) -> String {
    match takes {
        Takes::Nothing | Takes::Block(_) | Takes::List(_) | Takes::OptWords(_) => String::new(),
        Takes::Flag => "on".to_owned(),
        Takes::Int(_, high) | Takes::OptInt(_, high) => high.to_string(),
        Takes::Weight(low, _) => format!("{low} reverse"),
        Takes::Seconds(_, high) => (high / 1_000_000).to_string(),
        Takes::WholeSeconds(low, _) => low.to_string(),
        Takes::OneOf(words) => words[0].to_owned(),
        Takes::Name(_) | Takes::OptName(_) | Takes::Words(_) | Takes::Secret => "word".to_owned(),
        Takes::Ip => "192.0.2.1".to_owned(),
        Takes::Endpoint => "192.0.2.1 80".to_owned(),
        Takes::Script | Takes::OptScript | Takes::Command | Takes::Quoted(_) => {
            "\"/bin/true 'a b'\"".to_owned()
        }
    }
}

/// The text of a file in which a keyword stands in its block.
fn in_its_block(entry: &Entry, line: &str) -> String {
    let mut text = line.to_owned();
    let mut path: Vec<&str> = entry.block.split('/').filter(|part| !part.is_empty()).collect();
    while let Some(block) = path.pop() {
        let name = match block {
            "virtual_server" => "192.0.2.1 80",
            "real_server" => "192.0.2.2 80",
            "global_defs" | "SSL" | "garp_group" => "",
            _ if path.is_empty() => "name",
            _ => "",
        };
        text = format!("{block} {name} {{\n{text}\n}}");
    }
    text
}

fn is_line(entry: &Entry) -> bool {
    entry.block.starts_with('(') || entry.info.name.starts_with('<') || entry.block == "virtual_server_group"
}

#[test]
fn every_row_reads_what_it_says_it_takes() {
    for entry in keywords().iter().filter(|entry| !is_line(entry)) {
        let block = if entry.info.takes.has_block() { " {\n}" } else { "" };
        let addressed = entry.block.is_empty() || entry.info.name == "real_server";
        let name = if entry.info.takes.has_block() && addressed {
            "192.0.2.1"
        } else {
            ""
        };
        let line = format!("{} {name} {}{block}", entry.info.name, sample(entry.info.takes));
        let loaded = load_text(&in_its_block(entry, &line));
        // Words are read by the keyword itself: any sample is as wrong as another.
        let free = matches!(entry.info.takes, Takes::Words(_));
        for finding in loaded.findings.iter().filter(|_| !free) {
            let wrong = ["L-01", "L-02", "L-03", "L-04", "L-05", "L-12"].contains(&finding.code.as_str());
            assert!(!wrong, "{}/{}: {}", entry.block, entry.info.name, finding.drawn());
        }
    }
}

#[test]
fn every_row_that_does_not_act_says_why_where_the_keyword_stands() {
    let mut tried = 0;
    let all = keywords();
    // Of a block that does not act, the words are not told one by one.
    let acting = |block: &str| {
        let (outer, name) = block.rsplit_once('/').unwrap_or(("", block));
        let row = all.iter().find(|it| it.block == outer && it.info.name == name);
        row.is_none_or(|it| it.standing == Standing::Acts)
    };
    for entry in all.iter().filter(|it| !is_line(it) && acting(it.block)) {
        let why = match entry.standing {
            Standing::Acts | Standing::Old(_) => continue,
            Standing::Idle(why) | Standing::Refused(why) => why,
        };
        let block = if entry.info.takes.has_block() { " {\n}" } else { "" };
        let line = format!("{} {}{block}", entry.info.name, sample(entry.info.takes));
        let loaded = load_text(&in_its_block(entry, &line));
        let told = loaded.findings.iter().any(|it| {
            let place = it.place.as_ref();
            let here = place.is_some_and(|place| place.excerpt.trim_start().starts_with(entry.info.name));
            here && it.notes.iter().any(|note| note == why)
        });
        assert!(
            told,
            "{}/{}: {:#?}",
            entry.block, entry.info.name, loaded.findings
        );
        tried += 1;
    }
    assert!(tried > 10, "only {tried}");
}

#[test]
fn a_reload_says_of_every_setting_that_it_counts_at_the_next_start_where_the_table_says_so() {
    let words = "startup_script \"/bin/true\"\nshutdown_script \"/bin/true\"";
    // Of two scripts the first counts, of other settings the last one.
    let load = |more: &str| {
        let text = match more.strip_prefix("(root)") {
            Some(line) => format!("{line}\nglobal_defs {{\n{words}\n}}"),
            None => format!("global_defs {{\n{more}\n{words}\n}}"),
        };
        load_text(&text).model.expect("a model")
    };
    let started = Started::with(&load(""));
    let mut tried = 0;
    for entry in keywords()
        .iter()
        .filter(|it| ["", "global_defs"].contains(&it.block) && it.standing == Standing::Acts)
    {
        let name = entry.info.name;
        let waits = entry.info.live == Live::NextStart;
        if entry.info.takes.has_block() || is_line(entry) {
            assert!(!waits, "{name}: a block counts at once");
            continue;
        }
        let root = if entry.block.is_empty() { "(root)" } else { "" };
        let sample = match name {
            "vrrp_cpu_affinity" | "checker_cpu_affinity" | "bfd_cpu_affinity" => "0 1".to_owned(),
            "startup_script" | "shutdown_script" => "\"/bin/false\"".to_owned(),
            _ => sample(entry.info.takes),
        };
        let told = started.waiting(&load(&format!("{root}{name} {sample}")));
        // Several words may stand for one setting.
        let setting = name
            .replace("checker_no_swap", "no_swap")
            .replace("bfd_no_swap", "no_swap");
        let setting = setting.trim_end_matches("_timeout");
        let named = told.as_ref().is_some_and(|it| it.message.contains(setting));
        assert_eq!(named, waits, "{name}: {told:?}");
        tried += usize::from(waits);
    }
    assert!(tried >= 12, "only {tried}");
}

#[test]
fn a_keyword_without_its_argument_is_an_error_everywhere_and_never_a_panic() {
    for entry in keywords().iter().filter(|entry| !is_line(entry)) {
        for words in [
            "",
            " ;",
            " x",
            " -",
            " 99999999999999999999999",
            " \"",
            " { }",
            " a b c d e { x y } z",
        ] {
            let loaded = load_text(&in_its_block(entry, &format!("{}{words}", entry.info.name)));
            assert!(loaded.model.is_some());
        }
    }
}

/// F124.
#[test]
fn a_number_beside_its_range_is_refused() {
    let mut tried = 0;
    for entry in keywords()
        .iter()
        .filter(|entry| entry.standing == Standing::Acts && !is_line(entry))
    {
        let beside = match entry.info.takes {
            Takes::Int(low, high) | Takes::OptInt(low, high) => [i128::from(low) - 1, i128::from(high) + 1],
            _ => continue,
        };
        for number in beside {
            let loaded = load_text(&in_its_block(entry, &format!("{} {number}", entry.info.name)));
            let told = loaded.findings.iter().any(|finding| {
                ["L-05", "E-07"].contains(&finding.code.as_str()) && finding.message.contains(entry.info.name)
            });
            assert!(
                told && loaded.is_refused(),
                "{}/{} {number}",
                entry.block,
                entry.info.name
            );
            tried += 1;
        }
    }
    assert!(tried > 60, "only {tried}");
}

#[test]
fn a_keyword_can_be_explained() {
    let text = explain("priority").unwrap();
    for part in ["vrrp_instance", "1–255", "255 owns the addresses"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(explain("use_vmac").unwrap().contains("virtual MAC"));
    assert_eq!(explain("banana"), None);
    assert_eq!(
        unknown("virtual_ruoter_id"),
        "there is no keyword 'virtual_ruoter_id'; did you mean 'virtual_router_id' (vrrp_instance)?"
    );
    assert_eq!(unknown("banana"), "there is no keyword 'banana'");
}

#[test]
fn docs_are_as_the_tables_say() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for (name, page) in [
        ("configuration.md", configuration_page()),
        ("compatibility.md", compatibility_page()),
    ] {
        let path = docs.join(name);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(&docs).unwrap();
            fs::write(&path, &page).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == page,
            "docs/{name} is out of date: run UPDATE_DOCS=1 cargo nextest run -p lbagent --test config docs"
        );
    }
}
