//! The tree, read by the tables: `global_defs` first, since it holds defaults for all the rest.

use super::expand::Logical;
use super::findings::Cx;
use super::keyword::{lookup, read_block, read_statement};
use super::keywords::{GLOBAL, GlobalDefs, ROOT, Raw};
use super::tree::{self, Braces};
use lb_shared::diagnostic::Diagnostic;
use std::ops::ControlFlow;

/// Everything the lines say; each block goes as soon as it is read. `recover`, `Err`: as [`tree::read`].
pub(crate) fn read(
    lines: &[Logical<'_>],
    recover: bool,
    cx: &mut Cx<'_>,
) -> Result<(Raw, Braces), Box<Diagnostic>> {
    global_defs(lines, recover, cx)?;
    let mut raw = Raw::default();
    let braces = tree::read(lines, recover, cx, |statement, cx| {
        if let Some((_, row)) = lookup(&ROOT, &statement, 0, cx) {
            read_statement(ROOT.block, row, &mut raw, &statement, 0, cx);
        }
        cx.object.clear();
        ControlFlow::Continue(())
    })?;
    Ok((raw, braces))
}

/// Reads no further than the last line with the word. What is wrong with the braces is told when all is read.
fn global_defs(lines: &[Logical<'_>], recover: bool, cx: &mut Cx<'_>) -> Result<(), Box<Diagnostic>> {
    let word = memchr::memmem::Finder::new("global_defs");
    let named = |line: &Logical<'_>| word.find(line.text().as_bytes()).is_some();
    let Some(last) = lines.iter().rposition(named) else {
        return Ok(());
    };
    let mut global = GlobalDefs::default();
    let mut unsaid = Cx::new(cx.sources, cx.lines, cx.files, cx.facts, Vec::new());
    tree::read(lines, recover, &mut unsaid, |statement, _| {
        let keyword = statement.keyword();
        if keyword.text == "global_defs" {
            read_block(&GLOBAL, &mut global, &statement, cx);
        }
        if keyword.span.line as usize >= last {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    cx.global = global;
    Ok(())
}
