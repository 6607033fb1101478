//! What stands behind `encap`: what packets of a route are wrapped in.

use super::{Line, SERVICES, Wrong, number_in, wrong};
use crate::config::keyword::shown;
use crate::config::lexer::Word;
use crate::model::{Encap, Tunnel};
use std::net::IpAddr;

/// More labels than any stack has room for.
const LABELS_MAX: usize = 16;

pub(super) fn read(name: Word<'_>, line: &mut Line<'_, '_, '_>) -> Result<Encap, Wrong> {
    let kind = line.after(name)?;
    match kind.text {
        "ip" => Ok(Encap::Ip(tunnel(kind, IpAddr::is_ipv4, ["tos", "ttl"], line)?)),
        "ip6" => Ok(Encap::Ip6(tunnel(
            kind,
            IpAddr::is_ipv6,
            ["tc", "hoplimit"],
            line,
        )?)),
        "mpls" => labels(line.after(kind)?),
        "ila" => locator(line.after(kind)?),
        _ => Err(at(
            kind,
            format!("'{}' is nothing to wrap packets in", shown(kind.text)),
            "write ip, ip6, mpls or ila behind encap",
        )),
    }
}

fn at(word: Word<'_>, what: String, advice: &str) -> Wrong {
    Wrong {
        at: Some(word.span),
        ..wrong("V-118", what, advice)
    }
}

/// Pairs of a word and its value; the first other word belongs to the route again.
fn tunnel(
    kind: Word<'_>,
    fits: fn(&IpAddr) -> bool,
    [service, hops]: [&str; 2],
    line: &mut Line<'_, '_, '_>,
) -> Result<Tunnel, Wrong> {
    let mut it = Tunnel::default();
    let known = ["id", "dst", "src", "flags", service, hops];
    while line.peek().is_some_and(|text| known.contains(&text))
        && let Some(word) = line.take()
    {
        match word.text {
            "id" => it.id = Some(line.number(word, u64::MAX)?),
            "flags" => it.flags = Some(line.number(word, 65_535)?),
            "dst" | "src" => {
                let address = line.address(word)?;
                if !fits(&address) {
                    return Err(at(
                        word,
                        format!("{address} cannot be an address of encap {}", kind.text),
                        "encap ip takes IPv4 addresses, encap ip6 IPv6 ones",
                    ));
                }
                *(if word.text == "dst" {
                    &mut it.destination
                } else {
                    &mut it.source
                }) = Some(address);
            }
            text if text == service => {
                let value = line.after(word)?;
                it.tos = Some(line.named(value, &SERVICES)?);
            }
            _ => it.ttl = Some(line.number(word, 255)?),
        }
    }
    if it.destination.is_none() && it.id.is_none() {
        return Err(at(
            kind,
            format!("encap {} says neither where to nor which tunnel", kind.text),
            "write 'dst ADDRESS' or 'id N'",
        ));
    }
    Ok(it)
}

/// `LABEL[/LABEL…]`.
fn labels(word: Word<'_>) -> Result<Encap, Wrong> {
    let part = |text| Word {
        text,
        span: word.span,
    };
    let labels: Vec<u32> = word
        .text
        .split('/')
        .map(|text| number_in(part(text), 0, (1 << 20) - 1))
        .collect::<Result<_, _>>()?;
    if labels.len() > LABELS_MAX {
        return Err(at(
            word,
            format!("{} labels are too many", labels.len()),
            "write at most 16",
        ));
    }
    Ok(Encap::Mpls(labels))
}

/// Four groups of hexadecimal digits.
fn locator(word: Word<'_>) -> Result<Encap, Wrong> {
    let group = |text: &str| u16::from_str_radix(text, 16).ok();
    let groups: Option<Vec<u16>> = word.text.split(':').map(group).collect();
    let locator = groups.and_then(|it| <[u16; 4]>::try_from(it).ok());
    locator.map(Encap::Ila).ok_or_else(|| {
        at(
            word,
            format!("'{}' is no locator", shown(word.text)),
            "write four groups of hexadecimal digits, such as 2001:db8:0:1",
        )
    })
}
