//! What of a configuration counts here, to be shown: without comments, with definitions put in, without secrets.

use super::findings::{Cx, MASK, looks_secret};
use super::source::{self, Files};
use super::tree::{self, Braces};
use super::{Facts, expand};
use lb_shared::shown::{Shown, Statement};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Reads a configuration as for [`super::load`] and tells its statements.
pub fn show(files: &dyn Files, path: &str, facts: &Facts<'_>) -> Shown {
    let read = source::read(files, path);
    let expanded = expand::expand(&read.sources, facts);
    let mut shown = Shown {
        files: read.sources.files.iter().map(|it| it.name.clone()).collect(),
        ..Shown::default()
    };
    let mut cx = Cx::new(&read.sources, &expanded.lines, files, facts, Vec::new());
    let index: BTreeMap<&str, u32> = (0..)
        .zip(&shown.files)
        .map(|(at, name)| (name.as_str(), at))
        .collect();
    let mut told = |recover| {
        let mut found = Vec::new();
        let braces = tree::read(&expanded.lines, recover, &mut cx, |statement, cx| {
            add(&[statement], (0, ""), cx, &index, &mut found);
            ControlFlow::Continue(())
        });
        braces.map(|braces| (found, braces))
    };
    let read = match told(false) {
        Ok((_, Braces::Missing)) => told(true),
        read => read,
    };
    if let Ok((found, _)) = read {
        shown.statements = found;
    }
    shown
}

fn add(
    statements: &[tree::Statement<'_>],
    (depth, block): (u8, &str),
    cx: &Cx<'_>,
    files: &BTreeMap<&str, u32>,
    out: &mut Vec<Statement>,
) {
    for it in statements {
        let place = cx.place(it.keyword().span);
        let mut words: Vec<String> = it.words.iter().map(|word| word.text.to_owned()).collect();
        let open = open_words(block, &words);
        if words.len() > open {
            words.truncate(open);
            words.push(MASK.to_owned());
        }
        out.push(Statement {
            depth,
            words,
            block: it.block.is_some(),
            file: files.get(place.file.as_str()).copied().unwrap_or_default(),
            line: place.line,
        });
        if let Some(block) = &it.block {
            let depth = depth.saturating_add(1);
            add(&block.statements, (depth, it.words[0].text), cx, files, out);
        }
    }
}

/// How many words of a line may be shown.
fn open_words(block: &str, words: &[String]) -> usize {
    match (block, words[0].as_str(), words.get(1), words.get(2)) {
        ("auth_hmac", "active_key" | "time_window" | "anti_replay" | "mode", ..) => words.len(),
        // The name of a file with a key is no secret, and neither is the id.
        ("auth_hmac", "key", Some(_), Some(value)) if value.starts_with("file:") => 3,
        ("auth_hmac", "key", Some(id), Some(_)) if id.parse::<u8>().is_ok() => 2,
        ("auth_hmac", ..) => 1,
        (_, keyword, ..) if is_secret(keyword) => 1,
        _ => words.len(),
    }
}

/// Whatever authenticates, but for the word that says how, and what merely looks like it.
fn is_secret(keyword: &str) -> bool {
    looks_secret(keyword) || keyword.starts_with("auth_") && keyword != "auth_type"
}

#[cfg(test)]
mod tests {
    use super::super::Alone;
    use super::*;

    #[test]
    fn what_counts_here_is_shown_and_no_secret_in_any_spelling() {
        let text = "$P=150\n$SECRET=hunter2\n@lb2 router_id two\nglobal_defs { ! here\n router_id one\n}\n\
                    vrrp_instance a {\n priority $P\n authentication {\n  auth_type PASS\n  auth_pass hunter2\n  \
                    auth_pas hunter2 x\n  auth_pass $SECRET\n  auth_hmac 1 hunter2\n }\n}\n\
                    SSL { password hunter2 }\n";
        let facts = Facts {
            config_id: "lb1".into(),
            ..Facts::default()
        };
        let shown = show(&Alone(text), "k.conf", &facts);
        let told = shown.lines().join("\n");
        assert!(
            !told.contains("hunter2") && !shown.json().to_string().contains("hunter2"),
            "{told}"
        );
        assert!(!told.contains("two") && told.contains("router_id one"), "{told}");
        let priority = shown
            .statements
            .iter()
            .find(|it| it.words[0] == "priority")
            .unwrap();
        assert_eq!(
            (priority.words[1].as_str(), priority.line, priority.depth),
            ("150", 8, 1)
        );
        assert_eq!(told.matches(MASK).count(), 5, "{told}");
    }
}
