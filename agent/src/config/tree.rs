//! Words into blocks. Never stops: a missing or extra brace is told, and the rest is read as it was meant.

use super::expand::Logical;
use super::findings::{Cx, limit_reached};
use super::lexer::{self, Span, Token, Word};
use lb_shared::diagnostic::Diagnostic;

/// A keyword with its arguments and, if it has one, its block.
#[derive(Debug)]
pub(crate) struct Statement<'t> {
    /// At least one.
    pub words: Vec<Word<'t>>,
    pub block: Option<Block<'t>>,
}

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

/// The statements of the whole configuration; `Err` if a limit was passed.
pub(crate) fn build<'t>(
    lines: &'t [Logical<'t>],
    cx: &mut Cx<'_>,
) -> Result<Vec<Statement<'t>>, Box<Diagnostic>> {
    let mut built = Builder::read(lines, false, cx)?;
    if built.unclosed {
        // Some '}' is missing. Only then a word such as vrrp_instance inside a block tells where: in a file whose
        // braces match, it merely stands in the wrong place.
        built = Builder::read(lines, true, cx)?;
    }
    for (code, span, message, notes) in built.said {
        cx.error(code, span, message, notes);
    }
    Ok(built.top)
}

enum Level<'t> {
    /// A statement whose block is being read.
    Block(Statement<'t>),
    /// A brace that belongs to nothing: what it holds counts for the block around it.
    Nothing,
}

struct Builder<'t> {
    top: Vec<Statement<'t>>,
    open: Vec<Level<'t>>,
    blocks: usize,
    statements: usize,
    /// Whether a word of [`TOP_ONLY`] ends all blocks.
    recover: bool,
    unclosed: bool,
    said: Vec<(&'static str, Span, String, &'static [&'static str])>,
}

impl<'t> Builder<'t> {
    fn read(lines: &'t [Logical<'t>], recover: bool, cx: &Cx<'_>) -> Result<Self, Box<Diagnostic>> {
        let (top, open, said) = (Vec::new(), Vec::new(), Vec::new());
        let mut builder = Self {
            top,
            open,
            blocks: 0,
            statements: 0,
            recover,
            unclosed: false,
            said,
        };
        let mut tokens = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let index = u32::try_from(index).expect("fewer lines than bytes");
            tokens.clear();
            if let Err(quote) = lexer::tokens(&line.text, index, &mut tokens) {
                let notes: &[&str] = &["the rest of the line is read as one word"];
                builder
                    .said
                    .push(("L-17", quote.0, "the quote is never closed".to_owned(), notes));
            }
            if tokens.len() > TOKENS_MAX {
                let place = cx.place(Span {
                    line: index,
                    start: 0,
                    end: 1,
                });
                return Err(Box::new(limit_reached(
                    "words on one line",
                    TOKENS_MAX,
                    Some(place),
                )));
            }
            builder.line(&tokens, cx)?;
            if builder.statements > STATEMENTS_MAX {
                let place = cx.place(Span {
                    line: index,
                    start: 0,
                    end: 1,
                });
                return Err(Box::new(limit_reached("statements", STATEMENTS_MAX, Some(place))));
            }
        }
        while let Some(level) = builder.open.pop() {
            if let Level::Block(statement) = level {
                let open = statement
                    .block
                    .as_ref()
                    .map_or(statement.span(), |block| block.open);
                let text = format!(
                    "the block of '{}' is never closed: a '}}' is missing",
                    statement.keyword().text
                );
                builder
                    .said
                    .push(("L-09", open, text, &["everything below is read as a part of it"]));
                builder.current().push(statement);
                builder.unclosed = true;
            }
        }
        Ok(builder)
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

    fn line(&mut self, tokens: &[Token<'t>], cx: &Cx<'_>) -> Result<(), Box<Diagnostic>> {
        let mut words: Vec<Word<'t>> = Vec::new();
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
                    self.close(*span);
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

    fn end(&mut self, words: &mut Vec<Word<'t>>) {
        if !words.is_empty() {
            let mut words = std::mem::take(words);
            // There are as many as the file has lines: what they do not need is a third of it all.
            words.shrink_to_fit();
            self.statements += 1;
            self.current().push(Statement { words, block: None });
        }
    }

    fn open(&mut self, words: Vec<Word<'t>>, span: Span, cx: &Cx<'_>) -> Result<(), Box<Diagnostic>> {
        self.blocks += 1;
        if self.open.len() >= NESTING_MAX {
            return Err(Box::new(limit_reached(
                "blocks inside each other",
                NESTING_MAX,
                Some(cx.place(span)),
            )));
        }
        if self.blocks > BLOCKS_MAX {
            return Err(Box::new(limit_reached(
                "blocks",
                BLOCKS_MAX,
                Some(cx.place(span)),
            )));
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
                self.said.push((
                    "L-11",
                    span,
                    "a '{' without a keyword before it".to_owned(),
                    notes,
                ));
                self.open.push(Level::Nothing);
            }
        }
        Ok(())
    }

    fn close(&mut self, span: Span) {
        match self.open.pop() {
            Some(Level::Block(mut statement)) => {
                if let Some(block) = &mut statement.block {
                    block.statements.shrink_to_fit();
                }
                self.current().push(statement);
            }
            Some(Level::Nothing) => {}
            None => {
                let notes: &[&str] = &["it is ignored, as keepalived does"];
                self.said.push(("L-10", span, "a '}' too many".to_owned(), notes));
            }
        }
    }

    /// A word that only stands at the top was met inside a block: closes all blocks, as their author meant.
    fn close_forgotten(&mut self, word: Word<'t>, cx: &Cx<'_>) {
        if !self.recover {
            return;
        }
        while let Some(level) = self.open.pop() {
            if let Level::Block(statement) = level {
                let open = statement
                    .block
                    .as_ref()
                    .map_or(statement.span(), |block| block.open);
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
                self.said.push(("L-09", open, text, notes));
                self.current().push(statement);
            }
        }
    }
}
