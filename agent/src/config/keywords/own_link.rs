//! `use_vmac` and `use_ipvlan`: words of interfaces of the instances' own.

use crate::config::findings::Cx;
use crate::config::keyword::{Args, shown};
use crate::config::lexer::Span;
use crate::config::value;
use crate::model::IpvlanMode;
use std::net::IpAddr;

/// `use_vmac` as written.
#[derive(Debug, Default)]
pub(crate) struct VmacWords {
    pub name: Option<(String, Span)>,
    /// Five or six bytes; the number of the virtual router follows five.
    pub mac: Vec<u8>,
    pub at: Span,
}

/// `use_ipvlan` as written.
#[derive(Debug, Default)]
pub(crate) struct IpvlanWords {
    pub name: Option<(String, Span)>,
    pub address: Option<(IpAddr, u8, Span)>,
    pub mode: IpvlanMode,
    pub at: Span,
}

/// Reads `[[name] IFNAME] [MAC] [netlink_notify_msg] [group N]`.
pub(super) fn vmac_words(a: &Args<'_, '_>, cx: &mut Cx<'_>) -> VmacWords {
    let mut it = VmacWords {
        at: a.keyword.span,
        ..VmacWords::default()
    };
    let mut words = a.words.iter();
    while let Some(word) = words.next() {
        let bytes: Option<Vec<u8>> = (word.text.split(':'))
            .map(|byte| u8::from_str_radix(byte, 16).ok().filter(|_| byte.len() <= 2))
            .collect();
        match word.text {
            "name" => it.name = words.next().map(|word| (word.text.to_owned(), word.span)),
            // It is how the group of the link would be set, which nothing here asks for.
            "group" => drop(words.next()),
            "netlink_notify_msg" => {}
            text if text.contains(':') => match bytes.filter(|it| matches!(it.len(), 5 | 6)) {
                Some(bytes) if bytes[0] & 1 == 0 => it.mac = bytes,
                _ => {
                    let what = format!("'{}' is no MAC of an interface", shown(text));
                    let notes = &[
                        "the virtual router's own is used",
                        "write six bytes, the first of them even",
                    ];
                    cx.error("L-07", word.span, what, notes);
                }
            },
            text => it.name = Some((text.to_owned(), word.span)),
        }
    }
    it
}

/// Reads `[[name] IFNAME] [ADDRESS[/LENGTH]] [bridge|private|vepa] [group N]`.
pub(super) fn ipvlan_words(a: &Args<'_, '_>, cx: &mut Cx<'_>) -> IpvlanWords {
    let mut it = IpvlanWords {
        at: a.keyword.span,
        ..IpvlanWords::default()
    };
    let mut words = a.words.iter();
    while let Some(word) = words.next() {
        match word.text {
            "name" => it.name = words.next().map(|word| (word.text.to_owned(), word.span)),
            // As behind use_vmac.
            "group" => drop(words.next()),
            "bridge" => it.mode = IpvlanMode::Bridge,
            "private" => it.mode = IpvlanMode::Private,
            "vepa" => it.mode = IpvlanMode::Vepa,
            text => match address(text) {
                Some((address, length)) => it.address = Some((address, length, word.span)),
                None if text.contains(['/', ':']) => {
                    let what = format!("'{}' is no address of an interface", shown(text));
                    let notes = &["it is ignored", "write ADDRESS/LENGTH"];
                    cx.error("L-07", word.span, what, notes);
                }
                None => it.name = Some((text.to_owned(), word.span)),
            },
        }
    }
    it
}

/// `ADDRESS[/LENGTH]`, of the whole length unless one is given.
fn address(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(length) => u8::try_from(value::number(length)?)
            .ok()
            .filter(|it| *it <= most)?,
    };
    Some((address, length))
}
