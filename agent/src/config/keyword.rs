//! What a row of the keyword tables is, and how a block is read by one.

use super::findings::Cx;
use super::lexer::{Span, Word};
use super::tree::{Block, Statement};
use super::value::{self, Value};
use super::{mistakes, similar};

/// What a keyword takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Takes {
    Nothing,
    /// `on`/`true`/`yes` or `off`/`false`/`no`; on when left out.
    Flag,
    /// A whole number in a range.
    Int(i64, i64),
    /// The same, or nothing.
    OptInt(i64, i64),
    /// Seconds with decimals; range in microseconds.
    Seconds(u64, u64),
    /// Whole seconds.
    WholeSeconds(u64, u64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// One word: what it is.
    Name(&'static str),
    /// One word or none.
    OptName(&'static str),
    /// At least one word, read by the keyword itself: what they are.
    Words(&'static str),
    /// Any number of words.
    OptWords(&'static str),
    /// An IPv4 or IPv6 address.
    Ip,
    /// An address and perhaps a port.
    Endpoint,
    /// A command in quotes, then perhaps user and group.
    Script,
    /// The same, or nothing.
    OptScript,
    /// A command; what follows it is ignored.
    Command,
    /// One word in either kind of quotes: what it is.
    Quoted(&'static str),
    /// `N [reverse]`, with the range of N.
    Weight(i64, i64),
    /// One word that must never be shown.
    Secret,
    /// A block with keywords of its own; what stands between the word and the brace.
    Block(&'static str),
    /// A block with one entry a line: what an entry is.
    List(&'static str),
}

impl Takes {
    /// Its form, as written in a manual.
    pub fn form(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Flag => "[on|off]".to_owned(),
            Self::Int(..) => "N".to_owned(),
            Self::OptInt(..) => "[N]".to_owned(),
            Self::Seconds(..) | Self::WholeSeconds(..) => "SECONDS".to_owned(),
            Self::OneOf(words) => words.join("|"),
            Self::Name(what) | Self::Quoted(what) | Self::Words(what) => what.to_owned(),
            Self::OptName(what) | Self::OptWords(what) => format!("[{what}]"),
            Self::Ip => "ADDRESS".to_owned(),
            Self::Endpoint => "ADDRESS [PORT]".to_owned(),
            Self::Script => "\"COMMAND\" [USER [GROUP]]".to_owned(),
            Self::OptScript => "[\"COMMAND\" [USER [GROUP]]]".to_owned(),
            Self::Command => "\"COMMAND\"".to_owned(),
            Self::Weight(..) => "N [reverse]".to_owned(),
            Self::Secret => "TEXT".to_owned(),
            Self::Block("") => "{ … }".to_owned(),
            Self::Block(what) => format!("{what} {{ … }}"),
            Self::List(what) => format!("{{ {what} … }}"),
        }
    }

    /// Its range, as written in a manual; empty when there is none.
    pub fn range(self) -> String {
        match self {
            Self::Int(low, high) | Self::OptInt(low, high) | Self::Weight(low, high) => between(low, high),
            Self::Seconds(low, high) => format!("{}–{}", value::seconds(low), value::seconds(high)),
            Self::WholeSeconds(low, high) => format!("{low}–{high}"),
            _ => String::new(),
        }
    }

    /// Whether a block belongs to it.
    pub fn has_block(self) -> bool {
        matches!(self, Self::Block(_) | Self::List(_))
    }
}

fn between(low: i64, high: i64) -> String {
    match (low, high) {
        (low, i64::MAX) => format!("{low} or more"),
        (low, high) => format!("{low}–{high}"),
    }
}

/// What a change of the setting does while the agent runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Live {
    /// In force at once, nothing else happens.
    InPlace,
    /// That object begins anew: an instance goes to BACKUP, a check to its first run.
    Restart,
    /// Only at the next start; a reload says so.
    NextStart,
}

impl Live {
    /// How the reference says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::InPlace => "at once",
            Self::Restart => "restarts that object",
            Self::NextStart => "at the next start",
        }
    }
}

/// What counts when a keyword is given twice in a block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeated {
    Last,
    First,
    /// The setter decides, and says so.
    ToldBySetter,
}

/// Puts what a line says where the block keeps it.
pub(crate) type Setter<T> = fn(&mut T, &Args<'_, '_>, &mut Cx<'_>);

/// What the agent makes of a keyword.
pub(crate) enum Does<T: 'static> {
    /// It acts: the setter.
    Set(Setter<T>),
    /// It acts and has a block, which the function reads.
    Block(fn(&mut T, &Statement<'_>, &mut Cx<'_>)),
    /// It acts, but is an old spelling: of what.
    Old(&'static str, Setter<T>),
    /// Read without effect, and nothing is missed: why.
    Idle(&'static str),
    /// Will never act: why, and what to use instead.
    Refused(&'static str),
}

/// How the agent treats a keyword, for the reference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    Acts,
    /// Acts; the words to write instead.
    Old(&'static str),
    /// Has no effect, and needs none: why.
    Idle(&'static str),
    /// Will never act: why, and what to use instead.
    Refused(&'static str),
}

/// One keyword of one block.
pub(crate) struct Keyword<T: 'static> {
    pub info: Info,
    pub does: Does<T>,
}

/// The part of a row that does not depend on what it sets.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    pub name: &'static str,
    pub takes: Takes,
    pub default: &'static str,
    pub live: Live,
    pub doc: &'static str,
    pub repeated: Repeated,
}

/// One row of a table.
pub(crate) const fn row<T>(
    name: &'static str,
    takes: Takes,
    default: &'static str,
    live: Live,
    doc: &'static str,
    does: Does<T>,
) -> Keyword<T> {
    Keyword {
        info: Info {
            name,
            takes,
            default,
            live,
            doc,
            // As in keepalived, which takes no second script.
            repeated: match takes {
                Takes::Script | Takes::OptScript => Repeated::First,
                _ => Repeated::Last,
            },
        },
        does,
    }
}

/// A row whose keyword counts as it is given first.
pub(crate) const fn first_counts<T>(mut row: Keyword<T>) -> Keyword<T> {
    row.info.repeated = Repeated::First;
    row
}

/// A row whose setter knows what counts when its keyword is given again.
pub(crate) const fn told_by_setter<T>(mut row: Keyword<T>) -> Keyword<T> {
    row.info.repeated = Repeated::ToldBySetter;
    row
}

impl<T> Keyword<T> {
    /// How the agent treats it.
    pub(crate) fn standing(&self) -> Standing {
        match self.does {
            Does::Set(_) | Does::Block(_) => Standing::Acts,
            Does::Old(instead, _) => Standing::Old(instead),
            Does::Idle(why) => Standing::Idle(why),
            Does::Refused(why) => Standing::Refused(why),
        }
    }
}

/// The keywords of one kind of block. Check blocks share rows, hence the parts.
pub(crate) struct Table<T: 'static> {
    /// As in the reference: `vrrp_instance`, `virtual_server/real_server`.
    pub block: &'static str,
    pub parts: &'static [&'static [Keyword<T>]],
}

impl<T> Table<T> {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &'static Keyword<T>> + use<T> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    fn find(&self, name: &str) -> Option<(usize, &'static Keyword<T>)> {
        self.rows().enumerate().find(|(_, row)| row.info.name == name)
    }
}

/// The arguments of one keyword, already read as its row says.
pub(crate) struct Args<'a, 't> {
    pub keyword: Word<'t>,
    pub words: &'a [Word<'t>],
    pub value: Value<'t>,
}

impl<'t> Args<'_, 't> {
    /// The arguments, or the keyword if there are none.
    pub(crate) fn span(&self) -> Span {
        match (self.words.first(), self.words.last()) {
            (Some(first), Some(last)) if first.span.line == last.span.line => Span {
                end: last.span.end,
                ..first.span
            },
            (Some(first), _) => first.span,
            _ => self.keyword.span,
        }
    }

    pub(crate) fn flag(&self) -> bool {
        match self.value {
            Value::Flag(on) => on,
            ref other => mismatch(other, true),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self.value {
            Value::Int(number) => number,
            ref other => mismatch(other, 0),
        }
    }

    /// A number that its row keeps within the type.
    pub(crate) fn small<N: TryFrom<i64> + Default>(&self) -> N {
        N::try_from(self.int()).unwrap_or_else(|_| mismatch(&self.value, N::default()))
    }

    pub(crate) fn opt_int(&self) -> Option<i64> {
        match self.value {
            Value::OptInt(number) => number,
            ref other => mismatch(other, None),
        }
    }

    pub(crate) fn span_of_time(&self) -> std::time::Duration {
        match self.value {
            Value::Time(time) => time,
            ref other => mismatch(other, std::time::Duration::ZERO),
        }
    }

    pub(crate) fn text(&self) -> &'t str {
        match self.value {
            Value::Text(text) => text,
            ref other => mismatch(other, ""),
        }
    }

    pub(crate) fn quoted(&self) -> String {
        match &self.value {
            Value::Quoted(text) => text.clone(),
            other => mismatch(other, String::new()),
        }
    }

    pub(crate) fn ip(&self) -> std::net::IpAddr {
        match self.value {
            Value::Ip(address) => address,
            ref other => mismatch(other, std::net::Ipv4Addr::UNSPECIFIED.into()),
        }
    }

    pub(crate) fn endpoint(&self) -> (std::net::IpAddr, Option<u16>) {
        match self.value {
            Value::Endpoint(address, port) => (address, port),
            ref other => mismatch(other, (std::net::Ipv4Addr::UNSPECIFIED.into(), None)),
        }
    }

    pub(crate) fn script(&self) -> value::ScriptWords {
        match &self.value {
            Value::Script(script) => script.clone(),
            other => mismatch(other, value::ScriptWords::default()),
        }
    }

    pub(crate) fn opt_script(&self) -> Option<value::ScriptWords> {
        match &self.value {
            Value::Script(script) => Some(script.clone()),
            Value::Nothing => None,
            other => mismatch(other, None),
        }
    }

    pub(crate) fn weight(&self) -> (i32, bool) {
        match self.value {
            Value::Weight(weight, reverse) => (weight, reverse),
            ref other => mismatch(other, (0, false)),
        }
    }
}

/// A row and its setter disagree: our mistake, found by the test that tries every row.
fn mismatch<V>(value: &Value<'_>, instead: V) -> V {
    debug_assert!(
        false,
        "a setter asked for something other than its row reads: {value:?}"
    );
    instead
}

/// Reads the statements of a block by its table.
pub(crate) fn read_block<T>(
    table: &'static Table<T>,
    it: &mut T,
    statement: &Statement<'_>,
    cx: &mut Cx<'_>,
) {
    match &statement.block {
        Some(block) => read_statements(table, it, block, cx),
        None => no_block(statement, cx),
    }
}

/// A keyword that needs a block stands without one.
pub(crate) fn no_block(statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let keyword = statement.keyword();
    let text = format!("'{}' needs a block '{{ … }}'", keyword.text);
    let words: Vec<&str> = statement.arguments().iter().map(|word| word.text).collect();
    let words = shown(&words.join(" "));
    let entries = super::keywords::all();
    let is_list = |entry: &super::Entry| matches!(entry.info.takes, Takes::List(_));
    let inside = (entries.iter()).any(|entry| entry.info.name == keyword.text && is_list(entry));
    let secret = mistakes::holds_secret(keyword.text);
    if let Some(first) = statement.arguments().first().filter(|_| secret) {
        cx.keep_secret(first.span);
    }
    let advice = match (words.is_empty() || secret, inside) {
        (true, _) => format!("write '{} {{ … }}'", keyword.text),
        (false, true) => format!("write '{} {{ {words} }}'", keyword.text),
        (false, false) => format!("write '{} {words} {{ … }}'", keyword.text),
    };
    let notes: &[&str] = &[
        "it is ignored; keepalived takes the lines up to the next '}' for its block",
        &advice,
    ];
    cx.error("L-12", keyword.span, text, notes);
}

pub(crate) fn read_statements<T>(table: &'static Table<T>, it: &mut T, block: &Block<'_>, cx: &mut Cx<'_>) {
    let mut seen = [false; 256];
    for statement in &block.statements {
        let Some((index, row)) = lookup(table, statement, block.open.line, cx) else {
            continue;
        };
        let again = std::mem::replace(&mut seen[index & 255], true);
        if again && is_second(&row.info, statement, cx) {
            continue;
        }
        read_statement(table.block, row, it, statement, block.open.line, cx);
    }
}

/// Tells that a keyword is given twice, where that means something; whether the second time does not count.
fn is_second(info: &Info, statement: &Statement<'_>, cx: &mut Cx<'_>) -> bool {
    let (is_first, note) = match info.repeated {
        Repeated::First => (true, "the first one counts, as in keepalived"),
        Repeated::Last if info.takes.has_block() || matches!(info.takes, Takes::Words(_)) => return false,
        Repeated::Last => (false, "the last one counts"),
        Repeated::ToldBySetter => return false,
    };
    if !cx.quiet {
        let text = format!("'{}' is given twice in this block", info.name);
        cx.warn("L-16", statement.keyword().span, text, &[note]);
    }
    is_first
}

/// The row of a statement; tells when there is none.
pub(crate) fn lookup<T>(
    table: &'static Table<T>,
    statement: &Statement<'_>,
    block_line: u32,
    cx: &mut Cx<'_>,
) -> Option<(usize, &'static Keyword<T>)> {
    let keyword = statement.keyword();
    let found = table.find(keyword.text);
    if found.is_none() {
        if mistakes::is_secret_block(table.block)
            && let Some(word) = statement.arguments().first()
        {
            cx.keep_secret(word.span);
        }
        if !mistakes::unknown(table.block, statement, block_line, cx) {
            unknown(table, statement, cx);
        }
    }
    found
}

fn unknown<T>(table: &'static Table<T>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let keyword = statement.keyword();
    if cx.is_full() {
        return cx.error("L-01", keyword.span, "", &[]);
    }
    let here = if table.block.is_empty() {
        "at the top of the file".to_owned()
    } else {
        format!("in {}", table.block)
    };
    let skipped = match &statement.block {
        Some(_) => "the whole block is skipped; keepalived would lose what follows it",
        None => "the line is ignored, as keepalived does",
    };
    let near = similar::nearest(keyword.text, table.rows().map(|row| row.info.name));
    let message = |what: &str| format!("'{}' {what}", shown(keyword.text));
    match near {
        Some(near) if near != keyword.text => {
            let advice = format!("did you mean '{near}'?");
            cx.error(
                "L-01",
                keyword.span,
                message(&format!("is not a keyword {here}")),
                &[&advice, skipped],
            );
        }
        _ => match super::explain::blocks_of(keyword.text).as_slice() {
            [] => {
                let elsewhere = super::explain::nearest_anywhere(keyword.text);
                let advice = elsewhere.map(|(name, block)| format!("did you mean '{name}' (of {block})?"));
                let notes: Vec<&str> = advice.as_deref().into_iter().chain([skipped]).collect();
                cx.error(
                    "L-01",
                    keyword.span,
                    message(&format!("is not a keyword {here}")),
                    &notes,
                );
            }
            blocks => {
                let place = format!("it belongs in {}", blocks.join(" or "));
                cx.error(
                    "L-02",
                    keyword.span,
                    message(&format!("has no place {here}")),
                    &[&place, skipped],
                );
            }
        },
    }
}

/// A word from a file, short enough to be put into a message.
pub(crate) fn shown(word: &str) -> String {
    match word.char_indices().nth(48) {
        Some((at, _)) => format!("{}…", &word[..at]),
        None => word.to_owned(),
    }
}

pub(crate) fn read_statement<T>(
    block: &'static str,
    row: &'static Keyword<T>,
    it: &mut T,
    statement: &Statement<'_>,
    block_line: u32,
    cx: &mut Cx<'_>,
) {
    let info = &row.info;
    let keyword = statement.keyword();
    // Whatever is said about the line: a secret is not shown, whether the keyword acts or not.
    if let (Takes::Secret, Some(secret)) = (info.takes, statement.arguments().first()) {
        cx.keep_secret(secret.span);
    }
    if statement.block.is_some() && !info.takes.has_block() {
        let text = format!("'{}' has no block", info.name);
        cx.error(
            "L-12",
            keyword.span,
            text,
            &["what stands in the braces is skipped"],
        );
    }
    let act = |set: Setter<T>, it: &mut T, cx: &mut Cx<'_>| {
        if let Some(value) = value::read(block, info, statement, block_line, cx) {
            let words = statement.arguments();
            set(
                it,
                &Args {
                    keyword,
                    words,
                    value,
                },
                cx,
            );
        }
    };
    match &row.does {
        Does::Set(set) => act(*set, it, cx),
        Does::Old(instead, set) => {
            if cx.first_in_file(keyword.span, block, info.name) {
                let text = format!("'{}' is an old word", info.name);
                cx.warn(
                    "L-14",
                    keyword.span,
                    text,
                    &[&format!("it acts; write '{instead}' instead")],
                );
            }
            act(*set, it, cx);
        }
        Does::Block(read) => read(it, statement, cx),
        Does::Idle(why) => {
            if !cx.quiet && cx.first_in_file(keyword.span, block, info.name) {
                let text = format!("'{}' is accepted without effect", info.name);
                cx.hint("L-15", keyword.span, text, &[why]);
            }
        }
        Does::Refused(why) => {
            if !cx.quiet && cx.first_in_file(keyword.span, block, info.name) {
                let text = format!("'{}' is refused: it will not act here", info.name);
                cx.hint("L-30", keyword.span, text, &[why]);
            }
        }
    }
}
