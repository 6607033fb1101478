//! `garp_group`, and what `garp_extra_if` says: the pace of announcements, and more of them.

use super::{Entry, Raw, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{List, Name, Seconds};
use crate::config::keyword::{Args, Table, no_block, read_block, row, shown};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::config::value;
use crate::model::Elsewhere;
use std::time::Duration;

/// A `garp_group` as written.
#[derive(Debug, Default)]
pub(crate) struct RawGarpGroup {
    pub at: Span,
    pub arp_gap: Option<Duration>,
    pub na_gap: Option<Duration>,
    pub interfaces: Vec<(String, Span)>,
}

#[rustfmt::skip]
const GARP_GROUP: Table<RawGarpGroup> = Table { block: "garp_group", parts: &[&[
    row("garp_interval", Seconds(0, 4_294_000_000), "0", InPlace, "Time between two gratuitous ARPs of the group.",
        Set(|it, a, _| it.arp_gap = Some(a.span_of_time()))),
    row("gna_interval", Seconds(0, 4_294_000_000), "0", InPlace, "Time between two neighbour adverts of the group.",
        Set(|it, a, _| it.na_gap = Some(a.span_of_time()))),
    row("interface", Name("IFNAME"), "", InPlace, "A member.",
        Set(|it, a, _| it.interfaces.push((a.text().to_owned(), a.span())))),
    row("interfaces", List("IFNAME"), "", InPlace, "Members.", Block(members)),
]] };

fn members(it: &mut RawGarpGroup, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    let words = block.statements.iter().flat_map(|line| &line.words);
    it.interfaces
        .extend(words.map(|word| (word.text.to_owned(), word.span)));
}

pub(super) fn group(raw: &mut Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let mut it = RawGarpGroup {
        at: statement.keyword().span,
        ..RawGarpGroup::default()
    };
    read_block(&GARP_GROUP, &mut it, statement, cx);
    raw.garp_groups.push(it);
}

/// Reads `[all] SECONDS`; `None` after telling what is wrong.
pub(super) fn elsewhere(a: &Args<'_, '_>, least: u32, cx: &mut Cx<'_>) -> Option<Elsewhere> {
    const MOST: u32 = 86_400;
    let (mut all, mut every) = (false, None);
    for word in a.words {
        if word.text == "all" {
            all = true;
            continue;
        }
        let seconds = value::number(word.text).and_then(|it| u32::try_from(it).ok());
        every = seconds.filter(|it| (least..=MOST).contains(it));
        if every.is_none() {
            let text = format!(
                "'{}' of {} is not in {least}–{MOST}",
                shown(word.text),
                a.keyword.text
            );
            cx.error(
                "L-05",
                word.span,
                text,
                &["the line is ignored, as in keepalived"],
            );
            return None;
        }
    }
    let Some(seconds) = every else {
        let text = format!("{} needs a time", a.keyword.text);
        cx.error("L-03", a.span(), text, &["it is ignored", "write [all] SECONDS"]);
        return None;
    };
    Some(Elsewhere {
        every: Duration::from_secs(seconds.into()),
        all,
    })
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &GARP_GROUP);
}
