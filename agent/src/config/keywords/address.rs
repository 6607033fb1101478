//! Lines of `virtual_ipaddress`, `virtual_ipaddress_excluded` and `static_ipaddress`.

use super::routing::number_of_name;
use super::static_net;
use crate::config::findings::Cx;
use crate::config::keyword::{no_block, shown};
use crate::config::lexer::{Span, Word};
use crate::config::mistakes;
use crate::config::tree::Statement;
use crate::config::value;
use crate::model::AddressExtras;
use std::net::{IpAddr, Ipv4Addr};

/// A line of `virtual_ipaddress` as written.
#[derive(Clone, Debug)]
pub(crate) struct AddressLine {
    pub address: IpAddr,
    pub prefix_len: Option<u8>,
    pub device: Option<(String, Span)>,
    pub label: Option<String>,
    pub scope: u8,
    pub broadcast: Option<IpAddr>,
    pub track: bool,
    pub use_vmac: Option<Span>,
    pub extras: AddressExtras,
    /// `preferred_lft`: seconds, `u32::MAX` for ever.
    pub preferred: Option<u32>,
    /// Length given with the peer.
    pub peer_len: Option<u8>,
    /// `track_group`, and where its name stands.
    pub group: Option<(String, Span)>,
    pub at: Span,
}

pub(super) fn address_lines(list: &mut Vec<AddressLine>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let Some(block) = &statement.block else {
        return no_block(statement, cx);
    };
    for line in &block.statements {
        list.extend(address_line(line, block.open.line, cx));
    }
}

/// Reads `ADDRESS[/LENGTH] [dev IFNAME] [label TEXT] …`; `None` after telling that there is no address.
fn address_line(line: &Statement<'_>, block_line: u32, cx: &mut Cx<'_>) -> Option<AddressLine> {
    let first = line.keyword();
    let mut text = first.text;
    if let Some(bare) = text.strip_suffix(';') {
        mistakes::semicolon(first, block_line, cx);
        text = bare;
        if text.is_empty() {
            return None;
        }
    }
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<IpAddr>() else {
        let what = format!("'{}' is not an IP address", shown(text));
        let note = if text.contains('$') {
            "is the name defined above? before '/' and other signs write ${NAME}"
        } else {
            "write ADDRESS/LENGTH"
        };
        cx.error(
            "L-07",
            first.span,
            what,
            &["the line is ignored, as keepalived does", note],
        );
        return None;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix_len = match length.map(|length| (length, value::number(length))) {
        None => None,
        Some((_, Some(length))) if (0..=most).contains(&length) => u8::try_from(length).ok(),
        Some((length, _)) => {
            let used = leading_number(length, most);
            let what = format!("prefix length '{}' is not in 0–{most}", shown(length));
            let note = format!("/{} is used, as in keepalived", used.map_or(most, i128::from));
            let mask = length.parse().ok().and_then(bits_of_mask);
            let advice = mask.map(|bits| format!("write '{address}/{bits}'"));
            let notes: Vec<&str> = std::iter::once(note.as_str()).chain(advice.as_deref()).collect();
            cx.error("L-05", first.span, what, &notes);
            used.or(u8::try_from(most).ok())
        }
    };
    let mut it = AddressLine {
        address,
        prefix_len,
        device: None,
        label: None,
        scope: 0,
        broadcast: None,
        track: true,
        use_vmac: None,
        extras: AddressExtras::default(),
        preferred: None,
        peer_len: None,
        group: None,
        at: first.span,
    };
    let mut words = line.arguments().iter();
    let mut strange = false;
    while let Some(word) = words.next() {
        let mut next = |cx: &mut Cx<'_>| {
            let next = words.next().copied();
            if next.is_none() {
                let what = format!("'{}' needs a word behind it", word.text);
                cx.error("L-03", word.span, what, &["it is ignored"]);
            }
            next
        };
        match word.text {
            "dev" => match words.next() {
                Some(device) if it.device.is_none() => {
                    it.device = Some((device.text.trim_end_matches(';').to_owned(), device.span));
                }
                other => {
                    let what = match other {
                        Some(_) => "'dev' stands twice in the line",
                        None => "'dev' needs an interface behind it",
                    };
                    let notes: &[&str] = &["the address is left out, as in keepalived"];
                    cx.error("L-08", word.span, what, notes);
                    return None;
                }
            },
            "label" => {
                it.label = next(cx).and_then(|word| {
                    let fits = word.text.len() <= 15;
                    if !fits {
                        let what = "a label has at most 15 characters";
                        cx.error("V-21", word.span, what, &["the address gets no label"]);
                    }
                    fits.then(|| word.text.to_owned())
                });
            }
            "scope" => it.scope = next(cx).map_or(0, |word| scope(word, cx)),
            "brd" | "broadcast" => {
                it.broadcast = next(cx).and_then(|word| broadcast(word, address, prefix_len, cx))
            }
            "no_track" => it.track = false,
            "use_vmac" => it.use_vmac = Some(word.span),
            "peer" => {
                if let Some((peer, length)) = next(cx).and_then(|word| peer(word, address, cx)) {
                    (it.extras.peer, it.peer_len) = (Some(peer), length);
                }
            }
            "home" | "-nodad" | "mngtmpaddr" if address.is_ipv4() => {
                let what = format!("'{}' is for IPv6 addresses", word.text);
                cx.warn("L-08", word.span, what, &["it is ignored"]);
            }
            "home" => it.extras.home = true,
            "-nodad" => it.extras.dad = true,
            "mngtmpaddr" => it.extras.temporary = true,
            "noprefixroute" => it.extras.noprefixroute = true,
            "autojoin" => it.extras.autojoin = true,
            "track_group" => {
                it.group = next(cx).map(|word| (word.text.trim_end_matches(';').to_owned(), word.span));
            }
            "preferred_lft" => it.preferred = next(cx).and_then(|word| lifetime(word, cx)),
            other if other.starts_with("//") => {
                mistakes::slashes(*word, cx);
                break;
            }
            other if other.bytes().all(|byte| byte == b';') => mistakes::semicolon(*word, block_line, cx),
            // One of them is enough to see what is wrong with the line.
            other => {
                if !std::mem::replace(&mut strange, true) {
                    meaningless(other, *word, cx);
                }
            }
        }
    }
    Some(it)
}

/// Tells of a word that no address line has.
fn meaningless(other: &str, word: Word<'_>, cx: &mut Cx<'_>) {
    let names = static_net::ADDRESS_LINE.rows().map(|row| row.info.name);
    let advice = match crate::config::similar::nearest(other, names) {
        Some(near) => format!("did you mean '{near}'?"),
        None if other.parse::<IpAddr>().is_ok() || other.contains('/') => {
            "write one address a line".to_owned()
        }
        None if other == "netmask" => "write ADDRESS/LENGTH".to_owned(),
        None => {
            "known are dev, label, scope, brd, peer, preferred_lft, noprefixroute and no_track".to_owned()
        }
    };
    let what = format!("'{}' has no meaning behind an address", shown(other));
    cx.error(
        "L-08",
        word.span,
        what,
        &[&advice, "such words are ignored, as keepalived does"],
    );
}

/// The number that a length begins with.
fn leading_number(length: &str, most: i128) -> Option<u8> {
    let digits = length.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = length.split_at(digits);
    let number = value::number(number).filter(|it| (0..=most).contains(it))?;
    // A mask has dots; its first number is no length.
    u8::try_from(number).ok().filter(|_| !rest.starts_with('.'))
}

/// How many bits a mask has, if they stand together at its beginning.
fn bits_of_mask(mask: Ipv4Addr) -> Option<u32> {
    let bits = u32::from(mask);
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones())
}

/// `ADDRESS[/LENGTH]` of the other end.
fn peer(word: Word<'_>, address: IpAddr, cx: &mut Cx<'_>) -> Option<(IpAddr, Option<u8>)> {
    let text = word.text.trim_end_matches(';');
    let (peer, length) = text
        .split_once('/')
        .map_or((text, None), |(peer, length)| (peer, Some(length)));
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map(|it| value::number(it).filter(|it| (0..=most).contains(it)));
    match (peer.parse::<IpAddr>(), length) {
        (Ok(peer), None) if peer.is_ipv4() == address.is_ipv4() => Some((peer, None)),
        (Ok(peer), Some(Some(length))) if peer.is_ipv4() == address.is_ipv4() => {
            Some((peer, u8::try_from(length).ok()))
        }
        _ => {
            let what = format!("'{}' is no address of the same family", shown(word.text));
            let notes = &["write peer ADDRESS/LENGTH", "the address gets no peer"];
            cx.error("L-07", word.span, what, notes);
            None
        }
    }
}

/// Seconds, or `forever`.
fn lifetime(word: Word<'_>, cx: &mut Cx<'_>) -> Option<u32> {
    match word.text.trim_end_matches(';') {
        "forever" => Some(u32::MAX),
        other => {
            let seconds = value::number(other).and_then(|it| u32::try_from(it).ok());
            if seconds.is_none() {
                let what = format!("'{}' is neither seconds nor 'forever'", shown(other));
                cx.error("L-05", word.span, what, &["the default is used"]);
            }
            seconds
        }
    }
}

/// Scope names as iproute2 has them.
fn scope(word: Word<'_>, cx: &mut Cx<'_>) -> u8 {
    match word.text {
        "global" => 0,
        "site" => 200,
        "link" => 253,
        "host" => 254,
        "nowhere" => 255,
        other => value::number(other)
            .or_else(|| number_of_name("rt_scopes", other, cx).map(i128::from))
            .and_then(|number| u8::try_from(number).ok())
            .unwrap_or_else(|| {
                let what = format!("scope '{}' is not known", shown(other));
                cx.error(
                    "L-06",
                    word.span,
                    what,
                    &["global is used", "write global, site, link, host or a number"],
                );
                0
            }),
    }
}

fn broadcast(word: Word<'_>, address: IpAddr, prefix_len: Option<u8>, cx: &mut Cx<'_>) -> Option<IpAddr> {
    let IpAddr::V4(v4) = address else {
        cx.error(
            "L-07",
            word.span,
            "IPv6 has no broadcast address",
            &["it is left out"],
        );
        return None;
    };
    let host = u32::MAX
        .checked_shr(u32::from(prefix_len.unwrap_or(32)))
        .unwrap_or(0);
    match word.text {
        "+" => Some(IpAddr::V4((v4.to_bits() | host).into())),
        "-" => Some(IpAddr::V4((v4.to_bits() & !host).into())),
        other => match other.parse::<Ipv4Addr>() {
            Ok(address) => Some(IpAddr::V4(address)),
            Err(_) => {
                let what = format!("'{}' is not an IPv4 address", shown(other));
                cx.error(
                    "L-07",
                    word.span,
                    what,
                    &["write an address, + or -", "it is left out"],
                );
                None
            }
        },
    }
}
