//! The tree, read by the tables: `global_defs` first, since it holds defaults for all the rest.

use super::findings::Cx;
use super::keyword::{lookup, read_block, read_statement};
use super::keywords::{GLOBAL, GlobalDefs, ROOT, Raw};
use super::tree::Statement;

/// Everything the statements say. Each goes as soon as it is read: the tree of a large file is larger than what is made
/// of it.
pub(crate) fn read(statements: Vec<Statement<'_>>, cx: &mut Cx<'_>) -> Raw {
    let mut global = GlobalDefs::default();
    for statement in statements
        .iter()
        .filter(|statement| statement.keyword().text == "global_defs")
    {
        read_block(&GLOBAL, &mut global, statement, cx);
    }
    cx.global = global;
    let mut raw = Raw::default();
    for statement in statements {
        if let Some((_, row)) = lookup(&ROOT, &statement, 0, cx) {
            read_statement(ROOT.block, row, &mut raw, &statement, 0, cx);
        }
    }
    raw
}
