//! The tables as text: the reference page, the list of what acts, and the answer to `config explain`.

use super::keyword::Standing;
use super::keywords::{Entry, all};
use super::similar;
use std::fmt::Write as _;

/// The blocks a keyword belongs to.
pub(crate) fn blocks_of(word: &str) -> Vec<&'static str> {
    let mut blocks: Vec<&str> = Vec::new();
    for entry in all()
        .iter()
        .filter(|entry| entry.info.name == word && !entry.block.starts_with('('))
    {
        let block = if entry.block.is_empty() {
            "the top of the file"
        } else {
            entry.block
        };
        if !blocks.contains(&block) {
            blocks.push(block);
        }
    }
    // A word of all checks says enough by its first few blocks.
    blocks.truncate(3);
    blocks
}

/// The keyword of any block that is nearest to a word.
pub(crate) fn nearest_anywhere(word: &str) -> Option<(&'static str, &'static str)> {
    // A word of a few letters is near to something by chance.
    if word.chars().count() < 5 {
        return None;
    }
    let entries = all();
    let names = || entries.iter().filter(|entry| !entry.block.starts_with('('));
    let near = similar::nearest(word, names().map(|entry| entry.info.name))?;
    let entry = names().find(|entry| entry.info.name == near)?;
    Some((
        entry.info.name,
        if entry.block.is_empty() {
            "the top of the file"
        } else {
            entry.block
        },
    ))
}

/// What to say of a word that is no keyword.
pub fn unknown(word: &str) -> String {
    let near = nearest_anywhere(word).map_or_else(String::new, |(near, block)| {
        format!("; did you mean '{near}' ({})?", block_title(block))
    });
    format!("there is no keyword '{}'{near}", super::keyword::shown(word))
}

/// What is known about a keyword, one paragraph for each block that has it; `None` if none has.
pub fn explain(word: &str) -> Option<String> {
    let mut text = String::new();
    for entry in all().iter().filter(|entry| entry.info.name == word) {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{} {}", entry.info.name, entry.info.takes.form());
        let _ = writeln!(text, "  in       {}", block_title(entry.block));
        let _ = writeln!(text, "  {}", entry.info.doc);
        if !entry.info.takes.range().is_empty() {
            let _ = writeln!(text, "  range    {}", entry.info.takes.range());
        }
        if !entry.info.default.is_empty() {
            let _ = writeln!(text, "  default  {}", entry.info.default);
        }
        let _ = writeln!(text, "  change   {}", entry.info.live.words());
        let _ = writeln!(text, "  here     {}", standing(entry.standing));
    }
    (!text.is_empty()).then_some(text)
}

fn standing(standing: Standing) -> String {
    match standing {
        Standing::Acts => "acts".to_owned(),
        Standing::Old(instead) => format!("acts; write {instead}"),
        Standing::Idle(why) => format!("no effect: {why}"),
        Standing::Refused(why) => format!("refused: {why}"),
    }
}

fn block_title(block: &str) -> &str {
    match block {
        "" => "top of the file",
        "(address line)" => "lines of virtual_ipaddress",
        "(route line)" => "lines of virtual_routes",
        "(rule line)" => "lines of virtual_rules",
        other => other,
    }
}

const GENERATED: &str = "<!-- Made from the keyword tables in agent/src/config/keywords; do not edit.\n\
     To make it again: UPDATE_DOCS=1 cargo nextest run -p lbagent --test config docs -->\n";

/// `docs/configuration.md`: every keyword with its arguments, range, default and meaning.
pub fn configuration_page() -> String {
    let mut page = format!(
        "# Configuration\n\n{GENERATED}\n\
         The language is that of keepalived 2.4: an existing `keepalived.conf` is read as it is. The file is never \
         written to.\n\n\
         * `#` and `!` begin a comment, except inside double quotes.\n\
         * A block is opened by `{{` and closed by `}}`, on lines of their own or not.\n\
         * `include FILE` reads other files; the name may be a pattern, and is relative to the including file.\n\
         * `@id` at the beginning of a line: it counts only where the configuration id (`-i`, else the host name up \
         to its first dot) is `id`; `@^id`: only where it is another.\n\
         * `$NAME=VALUE` defines a text; `$NAME` and `${{NAME}}` stand for it. `~SEQ` and `~LST` repeat a line.\n\
         * A command with arguments stands in quotes; what follows is the user and group it runs as.\n\n\
         **change** says what happens when a setting is changed and the file is reloaded. An entry without effect is \
         listed with the reason in [compatibility.md](compatibility.md).\n"
    );
    for (block, entries) in by_block(&all()) {
        let _ = write!(page, "\n## {}\n\n", block_title(block));
        let _ = writeln!(page, "| keyword | takes | range | default | change | meaning |");
        let _ = writeln!(page, "|---|---|---|---|---|---|");
        for entry in entries {
            let info = &entry.info;
            let mark = match entry.standing {
                Standing::Acts | Standing::Old(_) => "",
                Standing::Idle(_) | Standing::Refused(_) => " *(no effect)*",
            };
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} | {} | {}{mark} |",
                info.name,
                code(&info.takes.form()),
                cell(&info.takes.range()),
                cell(info.default),
                info.live.words(),
                cell(info.doc),
            );
        }
    }
    page
}

/// `docs/compatibility.md`: what acts, what does not, and why.
pub fn compatibility_page() -> String {
    let entries = all();
    let count =
        |wanted: fn(&Standing) -> bool| entries.iter().filter(|entry| wanted(&entry.standing)).count();
    let acts = count(|standing| matches!(standing, Standing::Acts | Standing::Old(_)));
    let idle = count(|standing| matches!(standing, Standing::Idle(_)));
    let refused = count(|standing| matches!(standing, Standing::Refused(_)));
    let mut page = format!(
        "# Compatibility with keepalived\n\n{GENERATED}\n\
         Of {} keywords, {acts} act, {idle} are accepted because nothing is missed without them, and \
         {refused} are refused because something else does their work here. What does not act is reported once per \
         file when it is met.\n",
        entries.len()
    );
    for (block, entries) in by_block(&entries) {
        let _ = write!(page, "\n## {}\n\n", block_title(block));
        let names = |wanted: fn(&Standing) -> bool| -> Vec<String> {
            entries
                .iter()
                .filter(|entry| wanted(&entry.standing))
                .map(|entry| format!("`{}`", entry.info.name))
                .collect()
        };
        let acting = names(|standing| matches!(standing, Standing::Acts | Standing::Old(_)));
        if !acting.is_empty() {
            let _ = write!(page, "Act: {}\n\n", acting.join(", "));
        }
        if acting.len() < entries.len() {
            let _ = writeln!(page, "| keyword | | what that means |\n|---|---|---|");
        }
        for entry in &entries {
            match entry.standing {
                Standing::Acts => {}
                Standing::Old(instead) => {
                    let _ = writeln!(page, "| `{}` | old | acts; write `{instead}` |", entry.info.name);
                }
                Standing::Idle(why) => {
                    let _ = writeln!(page, "| `{}` | no effect | {} |", entry.info.name, cell(why));
                }
                Standing::Refused(why) => {
                    let _ = writeln!(page, "| `{}` | refused | {} |", entry.info.name, cell(why));
                }
            }
        }
    }
    page
}

fn by_block(entries: &[Entry]) -> Vec<(&'static str, Vec<Entry>)> {
    let mut blocks: Vec<(&str, Vec<Entry>)> = Vec::new();
    for entry in entries {
        match blocks.iter_mut().find(|(block, _)| *block == entry.block) {
            Some((_, list)) => list.push(*entry),
            None => blocks.push((entry.block, vec![*entry])),
        }
    }
    blocks
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", cell(text))
    }
}
