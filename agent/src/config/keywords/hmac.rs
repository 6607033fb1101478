//! `auth_hmac`: the keys that sign adverts, and what counts as signed.

use super::{Entry, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::Set;
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{Int, OneOf, WholeSeconds, Words};
use crate::config::keyword::{Args, Table, read_block, row};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::model::SigningMode;
use std::time::Duration;

/// The block as written.
#[derive(Debug)]
pub(crate) struct RawHmac {
    pub at: Span,
    pub keys: Vec<KeyLine>,
    pub active: Option<(u8, Span)>,
    pub window: Option<(Duration, Span)>,
    pub monotonic: bool,
    pub mode: (SigningMode, Span),
}

/// `key ID VALUE`.
#[derive(Debug)]
pub(crate) struct KeyLine {
    pub id: u8,
    pub value: KeyValue,
    pub at: Span,
}

/// Where a key comes from.
#[derive(Debug)]
pub(crate) enum KeyValue {
    /// In the file itself.
    Text(Secret),
    /// `file:PATH`.
    File(String),
}

/// What must not be shown.
pub(crate) struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[rustfmt::skip]
pub(crate) const HMAC: Table<RawHmac> = Table { block: "vrrp_instance/auth_hmac", parts: &[&[
    row("key", Words("ID hex:HEX|file:PATH|TEXT"), "required", InPlace, "A key of 32 to 64 bytes under an id, 1 to 255; \
        several for a rotation. Equal on all nodes. A file holds hex:HEX or TEXT.", Set(key)),
    row("active_key", Int(1, 255), "the only key", InPlace, "Id of the key that signs; any of the keys is good on \
        reception.", Set(|it, a, _| it.active = Some((a.small(), a.span())))),
    row("time_window", WholeSeconds(1, 300), "max(3 × advert_int, 5)", InPlace, "With anti_replay time: by how much the \
        clocks of two nodes may differ.", Set(|it, a, _| it.window = Some((a.span_of_time(), a.span())))),
    row("anti_replay", OneOf(&["time", "monotonic"]), "time", InPlace, "How repeats are noticed. time: an advert is \
        recent by the clock, and its number grows. monotonic: its number grows; clocks do not matter.",
        Set(|it, a, _| it.monotonic = a.text() == "monotonic")),
    row("mode", OneOf(&["enforce", "permissive", "receive-only"]), "enforce", InPlace, "enforce: signs, and takes signed \
        adverts only. permissive: takes those without signature, too. receive-only: does not sign itself, either. A \
        signature that is there has to be right.", Set(|it, a, _| it.mode = (match a.text() {
            "permissive" => SigningMode::Permissive,
            "receive-only" => SigningMode::ReceiveOnly,
            _ => SigningMode::Enforce,
        }, a.span()))),
]] };

/// Reads the block.
pub(super) fn block(statement: &Statement<'_>, cx: &mut Cx<'_>) -> RawHmac {
    let at = statement.keyword().span;
    let mut it = RawHmac {
        at,
        keys: Vec::new(),
        active: None,
        window: None,
        monotonic: false,
        mode: (SigningMode::Enforce, at),
    };
    read_block(&HMAC, &mut it, statement, cx);
    it
}

fn key(it: &mut RawHmac, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let id = a.words[0].text.parse::<u8>().ok().filter(|id| *id > 0);
    // Without an id the first word may be the key.
    let hidden = if id.is_some() {
        a.words.get(1)
    } else {
        a.words.first()
    };
    if let Some(word) = hidden.filter(|word| !word.text.starts_with("file:")) {
        cx.keep_secret(word.span);
    }
    let notes = &[
        "the line is ignored",
        "write 'key 1 file:/etc/keepalived/vrrp.key'",
    ];
    let (Some(id), Some(value)) = (id, a.words.get(1)) else {
        let text = "key needs an id in 1–255 and a key";
        return cx.error("L-05", a.keyword.span, text, notes);
    };
    if a.words.len() > 2 {
        let text = "a key is one word: put one with spaces into quotes, or into a file";
        return cx.error("L-08", a.keyword.span, text, notes);
    }
    it.keys.push(KeyLine {
        id,
        value: match value.text.strip_prefix("file:") {
            Some(path) => KeyValue::File(path.to_owned()),
            None => KeyValue::Text(Secret(value.text.to_owned())),
        },
        at: value.span,
    });
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &HMAC);
}
