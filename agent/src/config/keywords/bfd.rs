//! BFD sessions, as written.

use super::{Entry, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::Set;
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{Flag, Int, Ip, Nothing, Weight, Words};
use crate::config::keyword::{Args, Keyword, Table, read_block, row, shown};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::config::value;
use std::net::IpAddr;
use std::time::Duration;

/// A `bfd_instance` as written.
#[derive(Debug, Default)]
pub(crate) struct RawBfd {
    pub name: String,
    pub at: Span,
    pub neighbor: Option<IpAddr>,
    pub source: Option<(IpAddr, Span)>,
    pub min_rx: Option<Duration>,
    pub min_tx: Option<Duration>,
    pub idle_tx: Option<Duration>,
    pub multiplier: Option<u8>,
    pub passive: bool,
    pub ttl: Option<u8>,
    pub max_hops: Option<i64>,
    pub multihop: bool,
    pub weight: i32,
    pub reverse: bool,
    /// Named with `vrrp`, with `checker`; neither means both.
    pub for_vrrp: bool,
    pub for_checks: bool,
}

pub(crate) const BFD: Table<RawBfd> = Table {
    block: "bfd_instance",
    parts: &[BFD_ROWS],
};

const MS: &str = "MILLISECONDS";

#[rustfmt::skip]
const BFD_ROWS: &[Keyword<RawBfd>] = &[
    row("neighbor_ip", Ip, "required", InPlace, "The other end of the session.",
        Set(|it, a, _| it.neighbor = Some(a.ip()))),
    row("neighbour_ip", Ip, "required", InPlace, "The same as neighbor_ip.",
        Set(|it, a, _| it.neighbor = Some(a.ip()))),
    row("source_ip", Ip, "chosen by the kernel", InPlace, "This end of the session.",
        Set(|it, a, _| it.source = Some((a.ip(), a.span())))),
    row("min_rx", Words(MS), "10", InPlace, "Shortest interval at which packets can be taken; decimals to a \
        microsecond.", Set(|it, a, cx| millis(&mut it.min_rx, a, 1_000, cx))),
    row("min_tx", Words(MS), "10", InPlace, "Interval between packets while up. The slower of this and the neighbour's \
        min_rx counts.", Set(|it, a, cx| millis(&mut it.min_tx, a, 1_000, cx))),
    row("idle_tx", Words(MS), "1000", InPlace, "Interval between packets while not up; at least 1000.",
        Set(|it, a, cx| millis(&mut it.idle_tx, a, 1_000_000, cx))),
    row("multiplier", Int(1, 255), "5", InPlace, "Packets the neighbour may miss of ours before it calls the session \
        down.", Set(|it, a, _| it.multiplier = Some(a.small()))),
    row("passive", Nothing, "off", InPlace, "Waits for the other end to speak first.",
        Set(|it, _, _| it.passive = true)),
    row("ttl", Int(1, 255), "255 (IPv4), 64 (IPv6)", InPlace, "TTL or hop limit of packets sent, and, less max_hops, \
        the least of packets taken.", Set(|it, a, _| it.ttl = Some(a.small()))),
    row("hoplimit", Int(1, 255), "255 (IPv4), 64 (IPv6)", InPlace, "The same as ttl.",
        Set(|it, a, _| it.ttl = Some(a.small()))),
    row("max_hops", Int(-1, 255), "0", InPlace, "Most hops a packet may have made; -1: any.",
        Set(|it, a, _| it.max_hops = Some(a.int()))),
    row("multihop", Flag, "off", InPlace, "Uses the port for sessions over several hops, 4784.",
        Set(|it, a, _| it.multihop = a.flag())),
    row("weight", Weight(-253, 253), "0", InPlace, "As for vrrp_script: what track_bfd adds, unless it says otherwise.",
        Set(|it, a, _| (it.weight, it.reverse) = a.weight())),
    row("vrrp", Nothing, "both", InPlace, "Only instances may follow it, unless checker is given, too.",
        Set(|it, _, _| it.for_vrrp = true)),
    row("checker", Nothing, "both", InPlace, "Only checks may follow it, unless vrrp is given, too.",
        Set(|it, _, _| it.for_checks = true)),
];

/// The most that 32 bits of microseconds hold, in whole milliseconds.
const MICROS_MAX: u128 = 4_294_967_000;

/// Milliseconds with up to three decimals.
fn millis(slot: &mut Option<Duration>, a: &Args<'_, '_>, least: u128, cx: &mut Cx<'_>) {
    let Some(word) = a.words.first() else { return };
    match value::micros(word.text).map(|millionths| millionths / 1_000) {
        Some(micros) if (least..=MICROS_MAX).contains(&micros) => {
            *slot = Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)));
        }
        Some(_) => {
            let range = format!("{}–4294967", least / 1_000);
            let text = format!("{} ms is outside {range}", shown(word.text));
            cx.error("L-05", word.span, text, &["the default is used"]);
        }
        None => {
            let text = format!("'{}' is not a number of milliseconds", shown(word.text));
            cx.error("L-04", word.span, text, &["the default is used"]);
        }
    }
}

pub(super) fn session(raw: &mut super::Raw, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(name) = super::vrrp::name(statement, cx) else {
        return;
    };
    let mut it = RawBfd {
        name,
        at: statement.span(),
        ..RawBfd::default()
    };
    let object = std::mem::replace(&mut cx.object, format!("bfd {}", it.name));
    read_block(&BFD, &mut it, statement, cx);
    cx.object = object;
    raw.sessions.push(it);
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    add(entries, &BFD);
}
