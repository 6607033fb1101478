//! The configuration in force, statement by statement, each with the place it came from; secrets stay with the agent.

use crate::text::escape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All statements in the order they count: includes read, definitions put in, what is for other hosts left out.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub revision: u64,
    /// The files that were read.
    pub files: Vec<String>,
    /// A block stands before what is in it.
    pub statements: Vec<Statement>,
}

/// A keyword with its arguments.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// How many blocks it stands in.
    pub depth: u8,
    /// The keyword first.
    pub words: Vec<String>,
    /// It opens a block.
    pub block: bool,
    /// Index of its file.
    pub file: u32,
    /// From 1.
    pub line: u32,
}

impl Shown {
    fn file(&self, it: &Statement) -> &str {
        self.files.get(it.file as usize).map_or("", String::as_str)
    }

    /// In keepalived's syntax, each line with its origin as a comment.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::with_capacity(self.statements.len() + 8);
        let mut open = 0;
        for it in &self.statements {
            close(&mut lines, &mut open, it.depth);
            let words: Vec<String> = it.words.iter().map(|word| quoted(word)).collect();
            let brace = if it.block { " {" } else { "" };
            let text = format!("{}{}{brace}", indent(it.depth), words.join(" "));
            let origin = format!("# {}:{}", escape(self.file(it)), it.line);
            lines.push(format!("{text:<56} {origin}"));
            if it.block {
                open = it.depth + 1;
            }
        }
        close(&mut lines, &mut open, 0);
        lines
    }

    /// Blocks inside each other: `{"words":["priority","150"],"file":"…","line":12,"block":null}`.
    pub fn json(&self) -> Value {
        let mut rest = self.statements.as_slice();
        json!({"revision": self.revision, "files": self.files, "statements": self.level(&mut rest, 0)})
    }

    fn level(&self, rest: &mut &[Statement], depth: u8) -> Vec<Value> {
        let mut found = Vec::new();
        while let Some((it, behind)) = rest.split_first().filter(|(it, _)| it.depth >= depth) {
            *rest = behind;
            let block = it.block.then(|| self.level(rest, it.depth + 1));
            found.push(json!({
                "words": it.words, "file": self.file(it), "line": it.line, "block": block,
            }));
        }
        found
    }
}

fn indent(depth: u8) -> String {
    " ".repeat(4 * usize::from(depth))
}

fn close(lines: &mut Vec<String>, open: &mut u8, depth: u8) {
    while *open > depth {
        *open -= 1;
        lines.push(format!("{}}}", indent(*open)));
    }
}

/// A word as it can be read again.
fn quoted(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '{' | '}' | '#' | '!');
    let word = escape(word);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("\"{word}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        let statement = |depth, words: &str, block, line| Statement {
            depth,
            words: words.split('|').map(ToOwned::to_owned).collect(),
            block,
            file: 0,
            line,
        };
        Shown {
            revision: 3,
            files: vec!["/k.conf".into()],
            statements: vec![
                statement(0, "vrrp_instance|VI_1", true, 1),
                statement(1, "track_script", true, 2),
                statement(2, "chk", false, 3),
                statement(1, "notify|/bin/x #1", false, 5),
                statement(0, "global_defs", true, 7),
            ],
        }
    }

    #[test]
    fn it_is_printed_as_it_can_be_read_again_with_where_it_came_from() {
        let text = shown().lines();
        let bare: Vec<&str> = text
            .iter()
            .map(|line| line.split(" # ").next().unwrap().trim_end())
            .collect();
        assert_eq!(
            text[0].trim_end(),
            format!("{:<56} # /k.conf:1", "vrrp_instance VI_1 {")
        );
        assert_eq!(
            bare,
            [
                "vrrp_instance VI_1 {",
                "    track_script {",
                "        chk",
                "    }",
                "    notify \"/bin/x #1\"",
                "}",
                "global_defs {",
                "}",
            ]
        );
    }

    #[test]
    fn programs_get_blocks_inside_each_other() {
        let json = shown().json();
        let statements = &json["statements"];
        assert_eq!(statements[0]["block"][0]["block"][0]["words"], json!(["chk"]));
        assert_eq!(statements[0]["block"][1]["line"], 5);
        assert_eq!(
            (&statements[1]["block"], &statements[0]["block"][1]["block"]),
            (&json!([]), &Value::Null)
        );
    }
}
