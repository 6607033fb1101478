//! Words into blocks. Never stops: a missing or extra brace is told, and the rest is read as it was meant.

use super::expand::Logical;
use super::findings::{Cx, limit_reached};
use super::lexer::{self, Span, Token, Word};
use super::mistakes;
use lb_shared::diagnostic::Diagnostic;
use smallvec::SmallVec;
use std::ops::ControlFlow;

/// A keyword with its arguments and, if it has one, its block.
#[derive(Debug)]
pub(crate) struct Statement<'t> {
    /// At least one.
    pub words: Words<'t>,
    pub block: Option<Block<'t>>,
}

/// Most lines have two.
pub(crate) type Words<'t> = SmallVec<[Word<'t>; 2]>;

/// What stands between two braces.
#[derive(Debug)]
pub(crate) struct Block<'t> {
    pub open: Span,
    pub statements: Vec<Statement<'t>>,
}

impl<'t> Statement<'t> {
    pub(crate) fn keyword(&self) -> Word<'t> {
        self.words[0]
    }

    /// The words after the keyword.
    pub(crate) fn arguments(&self) -> &[Word<'t>] {
        &self.words[1..]
    }

    /// Its brace, or all of it.
    fn opens(&self) -> Span {
        self.block.as_ref().map_or(self.span(), |block| block.open)
    }

    /// From the first to the last word, as far as they stand on one line.
    pub(crate) fn span(&self) -> Span {
        let first = self.words[0].span;
        let last = self.words[self.words.len() - 1].span;
        if last.line == first.line {
            Span {
                end: last.end,
                ..first
            }
        } else {
            first
        }
    }
}

/// Blocks inside each other.
pub const NESTING_MAX: usize = 64;
/// Blocks in all.
pub const BLOCKS_MAX: usize = 200_000;
/// Keywords with their arguments, in all.
pub const STATEMENTS_MAX: usize = 500_000;
/// Words and braces on one line.
pub const TOKENS_MAX: usize = 4_096;

/// Words that open a block at the top and are nothing anywhere else: met inside a block, they show that a `}` is
/// missing above them.
const TOP_ONLY: &[&str] = &[
    "global_defs",
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "vrrp_track_process",
    "virtual_server",
    "virtual_server_group",
    "static_ipaddress",
    "static_routes",
    "static_rules",
    "bfd_instance",
];

/// How the blocks of a configuration end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Braces {
    Match,
    /// A `}` is missing somewhere.
    Missing,
}

/// Gives the statements at the top to `take`, each as soon as it is whole: of a large file there is never more than one
/// block at a time. `take` may end it. `Err`: a limit was passed.
///
/// `recover`: a word of [`TOP_ONLY`] ends all blocks. Only where [`Braces::Missing`] does such a word inside a block tell
/// where: in a file whose braces match, it merely stands in the wrong place. Hence such a file is read twice.
pub(crate) fn read<'t>(
    lines: &'t [Logical<'t>],
    recover: bool,
    cx: &mut Cx<'_>,
    mut take: impl FnMut(Statement<'t>, &mut Cx<'_>) -> ControlFlow<()>,
) -> Result<Braces, Box<Diagnostic>> {
    let mut builder = Builder {
        recover,
        ..Builder::default()
    };
    let mut tokens = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let index = u32::try_from(index).expect("fewer lines than bytes");
        let start = Span {
            line: index,
            start: 0,
            end: 1,
        };
        tokens.clear();
        let odd = lexer::tokens(line.text(), index, &mut tokens);
        if let Some(quote) = odd.open_quote {
            let notes: &[&str] = &["the rest of the line is read as one word"];
            cx.error("L-17", quote, "the quote is never closed", notes);
        }
        if let Some(span) = odd.placeholder {
            mistakes::placeholder(span, line.text(), cx);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(passed("words on one line", TOKENS_MAX, start, cx));
        }
        builder.line(&tokens, cx)?;
        if builder.statements > STATEMENTS_MAX {
            return Err(passed("statements", STATEMENTS_MAX, start, cx));
        }
        if builder.give(&mut take, cx).is_break() {
            return Ok(Braces::Match);
        }
    }
    let braces = builder.close_all(cx);
    let _ = builder
        .top
        .into_iter()
        .try_for_each(|statement| take(statement, cx));
    Ok(braces)
}

fn passed(what: &str, limit: usize, span: Span, cx: &Cx<'_>) -> Box<Diagnostic> {
    Box::new(limit_reached(what, limit, Some(cx.place(span))))
}

enum Level<'t> {
    /// A statement whose block is being read.
    Block(Statement<'t>),
    /// A brace that belongs to nothing: what it holds counts for the block around it.
    Nothing,
}

#[derive(Default)]
struct Builder<'t> {
    /// What stands at the top and was not given yet.
    top: Vec<Statement<'t>>,
    open: Vec<Level<'t>>,
    blocks: usize,
    statements: usize,
    recover: bool,
}

impl<'t> Builder<'t> {
    /// Gives away what is whole; the brace of the last one may stand on the next line.
    fn give(
        &mut self,
        take: &mut impl FnMut(Statement<'t>, &mut Cx<'_>) -> ControlFlow<()>,
        cx: &mut Cx<'_>,
    ) -> ControlFlow<()> {
        let whole = match self.top.last() {
            Some(last) if last.block.is_none() => self.top.len() - 1,
            Some(_) | None => self.top.len(),
        };
        self.top
            .drain(..whole)
            .try_for_each(|statement| take(statement, cx))
    }

    /// The end of the file ends all blocks.
    fn close_all(&mut self, cx: &mut Cx<'_>) -> Braces {
        let mut braces = Braces::Match;
        while let Some(level) = self.open.pop() {
            if let Level::Block(statement) = level {
                let keyword = statement.keyword().text;
                let text = format!("the block of '{keyword}' is never closed: a '}}' is missing");
                let notes: &[&str] = &["everything below is read as a part of it"];
                cx.error("L-09", statement.opens(), text, notes);
                self.current().push(statement);
                braces = Braces::Missing;
            }
        }
        braces
    }

    /// The list that statements go to at the moment.
    fn current(&mut self) -> &mut Vec<Statement<'t>> {
        for level in self.open.iter_mut().rev() {
            if let Level::Block(statement) = level {
                return &mut statement.block.as_mut().expect("it is open").statements;
            }
        }
        &mut self.top
    }

    fn line(&mut self, tokens: &[Token<'t>], cx: &mut Cx<'_>) -> Result<(), Box<Diagnostic>> {
        let mut words = Words::new();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                Token::Word(word) => words.push(*word),
                Token::Open(span) => {
                    if words.first().is_some_and(|word| TOP_ONLY.contains(&word.text)) {
                        self.close_forgotten(words[0], cx);
                    }
                    self.open(std::mem::take(&mut words), *span, cx)?;
                }
                Token::Close(span) => {
                    self.end(&mut words);
                    self.close(*span, cx);
                }
            }
            // `vrrp_instance NAME` with its brace on the next line.
            if at + 1 == tokens.len()
                && words.len() == tokens.len()
                && words.first().is_some_and(|word| TOP_ONLY.contains(&word.text))
            {
                self.close_forgotten(words[0], cx);
            }
        }
        self.end(&mut words);
        Ok(())
    }

    fn end(&mut self, words: &mut Words<'t>) {
        if !words.is_empty() {
            let words = std::mem::take(words);
            self.statements += 1;
            self.current().push(Statement { words, block: None });
        }
    }

    fn open(&mut self, words: Words<'t>, span: Span, cx: &mut Cx<'_>) -> Result<(), Box<Diagnostic>> {
        self.blocks += 1;
        if self.open.len() >= NESTING_MAX {
            return Err(passed("blocks inside each other", NESTING_MAX, span, cx));
        }
        if self.blocks > BLOCKS_MAX {
            return Err(passed("blocks", BLOCKS_MAX, span, cx));
        }
        let block = Some(Block {
            open: span,
            statements: Vec::new(),
        });
        let statement = if words.is_empty() {
            // The brace stands on the line after its keyword.
            let list = self.current();
            match list.last() {
                Some(last) if last.block.is_none() => list.pop(),
                _ => None,
            }
        } else {
            Some(Statement { words, block: None })
        };
        match statement {
            Some(statement) => self.open.push(Level::Block(Statement { block, ..statement })),
            None => {
                let notes: &[&str] = &["what it holds is read as a part of the block around it"];
                cx.error("L-11", span, "a '{' without a keyword before it", notes);
                self.open.push(Level::Nothing);
            }
        }
        Ok(())
    }

    fn close(&mut self, span: Span, cx: &mut Cx<'_>) {
        match self.open.pop() {
            Some(Level::Block(statement)) => self.current().push(statement),
            Some(Level::Nothing) => {}
            None => {
                let notes: &[&str] = &["it is ignored, as keepalived does"];
                cx.error("L-10", span, "a '}' too many", notes);
            }
        }
    }

    /// A word that only stands at the top was met inside a block: closes all blocks, as their author meant.
    fn close_forgotten(&mut self, word: Word<'t>, cx: &mut Cx<'_>) {
        if !self.recover {
            return;
        }
        while let Some(level) = self.open.pop() {
            if let Level::Block(statement) = level {
                let line = cx.place(word.span).line;
                let keyword = statement.keyword().text;
                let text = format!(
                    "the block of '{keyword}' is not closed before '{}' in line {line}",
                    word.text
                );
                let notes: &[&str] = &[
                    "keepalived would lose what follows; here the block is taken to end there",
                    "add the missing '}'",
                ];
                cx.error("L-09", statement.opens(), text, notes);
                self.current().push(statement);
            }
        }
    }
}
