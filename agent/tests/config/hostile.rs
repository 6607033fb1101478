//! No text panics, hangs or takes more than its share; every limit is named.

use crate::support::{Disk, FILE, codes, facts, findings, load_text};
use crate::thin::ORDINARY;
use lb_shared::diagnostic::Severity;
use lbagent::config::{
    BLOCKS_MAX, FILE_MAX, INCLUDE_DEPTH_MAX, LINE_MAX, Loaded, NESTING_MAX, TOKENS_MAX, keywords, load,
};
use proptest::prelude::*;

/// What holds for every load: findings point into a file, and only unreadable files make no model.
fn is_sound(loaded: &Loaded) {
    for finding in &loaded.findings {
        assert!(!finding.code.is_empty() && !finding.message.is_empty());
        if let Some(place) = &finding.place {
            assert!(
                place.line > 0 && place.column > 0 && place.width > 0,
                "{}",
                finding.line()
            );
            assert!(
                loaded.sources.files.iter().any(|file| file.name == place.file),
                "{}",
                finding.line()
            );
        }
        assert!(!finding.drawn().is_empty());
    }
    if loaded.model.is_none() {
        assert!(
            loaded
                .findings
                .iter()
                .any(|finding| finding.severity == Severity::Error)
        );
    }
}

fn loads(text: impl Into<Vec<u8>>) -> Loaded {
    let loaded = load(&Disk::default().with(FILE, text), FILE, &facts());
    is_sound(&loaded);
    loaded
}

/// Lines made of the language's own words, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words: Vec<String> = keywords()
        .iter()
        .map(|entry| entry.info.name.to_owned())
        .chain(
            [
                "{",
                "}",
                "\"",
                "'",
                "\\",
                "$A",
                "${A}",
                "$A=1",
                "$A=$A",
                "~SEQ(I,3)",
                "~LST(I,a,b)",
                "@lb1",
                "@^lb1",
                "!",
                "#",
                ";",
                "0",
                "-1",
                "255",
                "1e9",
                "192.0.2.1",
                "192.0.2.1/24",
                "2001:db8::/32",
                "192.0.2.1-9",
                "fwmark",
                "group",
                "VI_1",
                "weight",
                "reverse",
                "include",
                "*.conf",
                "ä",
                "\u{feff}",
                "\0",
                "\r",
            ]
            .map(str::to_owned),
        )
        .collect();
    prop::collection::vec(
        prop_oneof![4 => prop::sample::select(words), 1 => Just("\n".to_owned())].prop_map(|word| word + " "),
        0..120,
    )
    .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// F115.
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        loads(bytes);
    }

    #[test]
    fn any_order_of_the_languages_words_is_read_without_panic(text in soup()) {
        loads(text);
    }

    /// F115.
    #[test]
    fn a_damaged_file_is_read_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_usize), 1..12)
    ) {
        let mut bytes = ORDINARY.as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                _ => { let tail = bytes.split_off(at); bytes.extend(tail.iter().rev().take(40)); bytes.extend(tail); }
            }
        }
        loads(bytes);
    }

    /// The same text gives the same model and findings.
    #[test]
    fn reading_twice_gives_the_same(text in soup()) {
        let (one, two) = (loads(text.clone()), loads(text));
        prop_assert_eq!(one.model, two.model);
        prop_assert_eq!(one.findings, two.findings);
    }
}

/// F118, F123.
#[test]
fn each_limit_is_named_and_leaves_no_model() {
    let deep = "a {\n".repeat(NESTING_MAX + 1);
    let wide = "x { }\n".repeat(BLOCKS_MAX + 1);
    let many = format!("track {}\n", "a ".repeat(TOKENS_MAX));
    let long = format!("router_id {}\n", "a".repeat(LINE_MAX));
    let continued = "a \\\n".repeat(LINE_MAX);
    let definitions: String = (0..10_001).map(|number| format!("$N{number}=1\n")).collect();
    let repeated = "~SEQ(A,1,1000) ~SEQ(B,1,1000) ~SEQ(C,1,9) x$A\n".to_owned();
    for (text, what) in [
        (deep, "blocks inside each other"),
        (wide, "blocks"),
        (many, "words on one line"),
        (long, "bytes in one line"),
        (continued, "bytes in one line"),
        (definitions, "definitions"),
        (repeated, "words from definitions"),
        ("a\n".repeat(600_000), "statements"),
        ("\n".repeat(1_000_001), "lines"),
        ("#".repeat(FILE_MAX + 1), "bytes in one file"),
    ] {
        let loaded = load_text(&text);
        let said = findings(&loaded);
        assert!(
            said.contains(what) && said.contains("more than"),
            "{what}: {}",
            &said[..said.len().min(500)]
        );
        assert!(loaded.model.is_none() && loaded.is_refused(), "{what}");
    }
}

/// F116.
#[test]
fn includes_are_bounded_in_depth() {
    let mut disk = Disk::default().with(FILE, "include 0.conf\n");
    for level in 0..INCLUDE_DEPTH_MAX {
        disk = disk.with(&format!("{level}.conf"), format!("include {}.conf\n", level + 1));
    }
    let loaded = load(&disk, FILE, &facts());
    assert!(
        findings(&loaded).contains("includes inside each other"),
        "{}",
        findings(&loaded)
    );
    assert!(loaded.model.is_none());
}

#[test]
fn a_file_that_is_not_there_is_no_configuration() {
    let loaded = load(&Disk::default(), FILE, &facts());
    assert_eq!(codes(&loaded), ["L-21"]);
    assert!(loaded.model.is_none());
}

#[test]
fn an_empty_file_is_a_configuration_of_nothing() {
    let loaded = load_text("");
    assert!(loaded.model.is_some_and(|model| model.instances.is_empty()) && loaded.findings.is_empty());
}

/// F118.
#[test]
fn bom_crlf_nul_and_other_encodings_are_told_apart() {
    let crlf = format!("\u{feff}{}", ORDINARY.replace('\n', "\r\n"));
    let loaded = load_text(&crlf);
    assert!(loaded.findings.is_empty() && loaded.model == load_text(ORDINARY).model);
    assert_eq!(codes(&loads(&b"router\0 x\n"[..])), ["L-18"]);
    assert_eq!(codes(&loads(&b"# caf\xe9\n"[..])), Vec::<&str>::new());
    assert_eq!(
        codes(&loads(&b"global_defs {\nrouter_id caf\xe9\n}\n"[..])),
        ["L-19"]
    );
}

#[test]
fn a_thousand_findings_are_shown_and_the_rest_is_counted() {
    let loaded = load_text(&"banana\n".repeat(5_000));
    assert_eq!(loaded.findings.len(), 1_001);
    assert!(findings(&loaded).contains("4000 further findings"));
}

/// Work, not time, is what grows: twice the text must not be four times the findings or the model.
#[test]
fn a_large_file_is_read_whole() {
    let mut text = String::new();
    for service in 0..2_000 {
        text.push_str(&format!(
            "virtual_server 10.{}.{}.1 80 {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n delay_loop 5\n",
            service / 250,
            service % 250
        ));
        for server in 0..16 {
            text.push_str(&format!(
                " real_server 192.0.2.{server} {service} {{\n  weight 1\n  TCP_CHECK {{ }}\n }}\n"
            ));
        }
        text.push_str("}\n");
    }
    let loaded = load_text(&text);
    let model = loaded.model.expect("a model");
    assert_eq!(
        model.services.len(),
        2_000,
        "{}",
        loaded.findings.first().map_or(String::new(), |f| f.drawn())
    );
    assert_eq!(
        model
            .services
            .values()
            .map(|service| service.servers.len())
            .sum::<usize>(),
        32_000
    );
}
