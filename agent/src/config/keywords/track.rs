//! What instances follow: scripts, processes, files; and the lines of the `track_…` blocks.

use super::{Entry, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::Set;
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{Command, Int, Nothing, OneOf, OptWords, Quoted, Seconds, Weight, Words};
use crate::config::keyword::{Args, Keyword, Table, first_counts, row, shown};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::config::value::{self, ScriptWords};
use crate::model::{InitFile, ParamMatch};
use std::time::Duration;

/// A `vrrp_script` as written.
#[derive(Debug, Default)]
pub(crate) struct RawScript {
    pub name: String,
    pub at: Span,
    pub script: Option<(ScriptWords, Span)>,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub weight: i32,
    pub reverse: bool,
    pub rise: Option<u32>,
    pub fall: Option<u32>,
    pub user: Option<(Option<String>, Option<String>)>,
    pub init_fail: bool,
}

pub(crate) const SCRIPT: Table<RawScript> = Table {
    block: "vrrp_script",
    parts: &[SCRIPT_ROWS],
};

#[rustfmt::skip]
const SCRIPT_ROWS: &[Keyword<RawScript>] = &[
    row("script", Command, "required", InPlace, "The command of the check; exit code 0 is success. Quote it when \
        it has arguments. It is not given to a shell.",
        Set(|it, a, _| it.script = Some((a.script(), a.span())))),
    row("interval", Seconds(0, 4_294_967_000_000), "1", InPlace, "Time from the beginning of one run to the next; \
        runs never overlap. 0 becomes 1.",
        Set(|it, a, _| it.interval = Some(a.span_of_time()))),
    row("timeout", Seconds(0, 4_294_967_000_000), "the interval", InPlace, "A run that takes longer is ended and \
        counts as a failure.",
        Set(|it, a, _| it.timeout = Some(a.span_of_time()))),
    row("weight", Weight(-253, 253), "0", InPlace, "0: failure puts the instance into FAULT. Positive: added while \
        it succeeds. Negative: added while it fails. 'reverse' swaps success and failure.",
        Set(|it, a, _| (it.weight, it.reverse) = a.weight())),
    row("rise", Int(1, 2_147_483_647), "1", InPlace, "Successes in a row that make it good again.",
        Set(|it, a, _| it.rise = Some(a.small()))),
    row("fall", Int(1, 2_147_483_647), "1", InPlace, "Failures in a row that make it bad.",
        Set(|it, a, _| it.fall = Some(a.small()))),
    row("user", Words("USER [GROUP]"), "script_user", InPlace, "Whom it runs as.",
        Set(|it, a, _| {
            let word = |at: usize| a.words.get(at).map(|word: &crate::config::lexer::Word<'_>| word.text.to_owned());
            it.user = Some((word(0), word(1)));
        })),
    row("init_fail", Nothing, "off", InPlace, "It counts as failed until its first success, and instances start \
        without waiting for its first result.",
        Set(|it, _, _| it.init_fail = true)),
];

/// A `vrrp_track_process` as written.
#[derive(Debug, Default)]
pub(crate) struct RawProcess {
    pub name: String,
    pub at: Span,
    /// The command and its arguments.
    pub process: Vec<String>,
    pub compare: Option<ParamMatch>,
    pub weight: i32,
    pub reverse: bool,
    pub quorum: Option<u32>,
    pub quorum_max: Option<u32>,
    pub fork_delay: Duration,
    pub terminate_delay: Duration,
    pub full_command: bool,
}

pub(crate) const PROCESS: Table<RawProcess> = Table {
    block: "vrrp_track_process",
    parts: &[PROCESS_ROWS],
};

#[rustfmt::skip]
const PROCESS_ROWS: &[Keyword<RawProcess>] = &[
    first_counts(row("process", Words("NAME [PARAMETER] …"), "required", InPlace, "The process looked for; with parameters the \
        command line is compared as well. Quotes make one word. Names are compared to 15 characters unless full_command \
        is set.", Set(|it, a, _| it.process = a.words.iter().map(|word| word.text.to_owned()).collect()))),
    row("param_match", OneOf(&["initial", "partial"]), "exact", InPlace, "How parameters are compared. partial: more \
        may follow. initial: the last one may be longer, too.", Set(|it, a, _| it.compare = Some(match a.text() {
            "initial" => ParamMatch::Initial,
            _ => ParamMatch::Partial,
        }))),
    first_counts(row("weight", Weight(-254, 254), "0", InPlace, "As for vrrp_script, depending on the quorum.",
        Set(|it, a, _| (it.weight, it.reverse) = a.weight()))),
    row("quorum", Int(1, 65_535), "1", InPlace, "Fewest processes for success.",
        Set(|it, a, _| it.quorum = Some(a.small()))),
    row("quorum_max", Int(0, 65_535), "no limit", InPlace, "Most processes for success.",
        Set(|it, a, _| it.quorum_max = Some(a.small()))),
    row("delay", Seconds(1, 3_600_000_000), "0", InPlace, "Sets fork_delay and terminate_delay.", Set(|it, a, _| {
        it.fork_delay = a.span_of_time();
        it.terminate_delay = it.fork_delay;
    })),
    row("fork_delay", Seconds(1, 3_600_000_000), "0", InPlace, "How long there must be enough before it counts.",
        Set(|it, a, _| it.fork_delay = a.span_of_time())),
    row("terminate_delay", Seconds(1, 3_600_000_000), "0", InPlace, "How long there must be too few before it counts; \
        rides over restarts.", Set(|it, a, _| it.terminate_delay = a.span_of_time())),
    row("full_command", Nothing, "off", InPlace, "Compares the command as it was started, not its short name.",
        Set(|it, _, _| it.full_command = true)),
];

/// A `track_file` as written.
#[derive(Debug, Default)]
pub(crate) struct RawFile {
    pub name: String,
    pub at: Span,
    pub path: Option<(String, Span)>,
    pub weight: Option<(i32, bool)>,
    pub init: Option<InitFile>,
}

#[rustfmt::skip]
const FILE_ROWS: &[Keyword<RawFile>] = &[
    first_counts(row("file", Quoted("PATH"), "required", InPlace, "The file. It counts by the number at its beginning, as C writes \
        numbers; as 0 when there is none, or no file. It is read again when it was written and closed, or another one \
        was moved there.", Set(|it, a, _| it.path = Some((a.quoted(), a.span()))))),
    first_counts(row("weight", Weight(-254, 254), "1", InPlace, "The number is multiplied by it. A result of -254 or less is a \
        fault, 253 is the most that counts. Weight 0: any number but 0 is a fault.",
        Set(|it, a, _| it.weight = Some(a.weight())))),
    row("init_file", OptWords("VALUE [overwrite]"), "none", InPlace, "Makes the file, with this number or 0, when \
        there is none; with overwrite at each start of the agent.", Set(init_file)),
];

fn init_file(it: &mut RawFile, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let mut init = InitFile {
        value: 0,
        overwrite: false,
    };
    for word in a.words {
        match (word.text, value::number(word.text).map(i32::try_from)) {
            ("overwrite", _) => init.overwrite = true,
            (_, Some(Ok(number))) => init.value = number,
            (other, _) => {
                let text = format!("init_file '{}' is neither a number nor 'overwrite'", shown(other));
                let notes: &[&str] = &["it is left out", "write for example: init_file 0 overwrite"];
                cx.error("L-04", word.span, text, notes);
            }
        }
    }
    it.init = Some(init);
}

pub(crate) const FILE: Table<RawFile> = Table {
    block: "track_file",
    parts: &[FILE_ROWS],
};
pub(crate) const OLD_FILE: Table<RawFile> = Table {
    block: "vrrp_track_file",
    parts: &[FILE_ROWS],
};

/// A line of `track_interface`, `track_script` and their like.
#[derive(Clone, Debug)]
pub(crate) struct TrackLine {
    pub name: String,
    pub at: Span,
    /// Given here: it overrides that of the definition.
    pub weight: Option<(i32, bool)>,
}

/// Reads the lines `NAME [weight N [reverse|noreverse]]` of a block.
pub(crate) fn track_lines(statement: &Statement<'_>, cx: &mut Cx<'_>) -> Vec<TrackLine> {
    let Some(block) = &statement.block else {
        crate::config::keyword::no_block(statement, cx);
        return Vec::new();
    };
    let mut lines = Vec::with_capacity(block.statements.len());
    for line in &block.statements {
        let name = line.keyword();
        let mut weight = None;
        let mut words = line.arguments().iter().peekable();
        while let Some(word) = words.next() {
            match word.text {
                "weight" => match words.next().map(|number| (number, value::number(number.text))) {
                    Some((_, Some(number))) if (-254..=254).contains(&number) => {
                        weight = Some((i32::try_from(number).unwrap_or(0), false));
                    }
                    Some((number, Some(_))) => {
                        let text = format!("weight {} is outside -254–254", shown(number.text));
                        cx.error(
                            "L-05",
                            number.span,
                            text,
                            &["the weight of the definition is used"],
                        );
                    }
                    Some((number, None)) => {
                        let text = format!("weight '{}' is not a whole number", shown(number.text));
                        cx.error(
                            "L-04",
                            number.span,
                            text,
                            &["the weight of the definition is used"],
                        );
                    }
                    None => cx.error(
                        "L-03",
                        word.span,
                        "'weight' needs N",
                        &["keepalived ends with code 2 here"],
                    ),
                },
                "reverse" | "noreverse" if weight.is_some() => {
                    weight = weight.map(|(number, _)| (number, word.text == "reverse"));
                }
                _ => {
                    let text = format!("'{}' has no meaning behind a name here", shown(word.text));
                    cx.error(
                        "L-08",
                        word.span,
                        text,
                        &["write one name a line: NAME [weight N [reverse]]"],
                    );
                    break;
                }
            }
        }
        let name_text = name.text.trim_end_matches(';');
        if name_text.len() != name.text.len() {
            crate::config::mistakes::semicolon(name, block.open.line, cx);
        }
        if !name_text.is_empty() {
            lines.push(TrackLine {
                name: name_text.to_owned(),
                at: name.span,
                weight,
            });
        }
    }
    lines
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &SCRIPT);
    add(entries, &PROCESS);
    add(entries, &FILE);
    add(entries, &OLD_FILE);
}
