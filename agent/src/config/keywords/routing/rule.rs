//! A line of `virtual_rules` or `static_rules`.

use super::{GROUPS, Line, Wrong, not_in, number_in, prefix, wrong};
use crate::config::lexer::Word;
use crate::model::{Rule, RuleAction, TABLE_MAIN};
use lb_shared::names::Family;

/// The first rule of a family that has no preference gets this one, the next one less, as in keepalived.
const PREFERENCE_BASE: u32 = 16_384;

pub(super) fn read(line: &mut Line<'_, '_, '_>) -> Result<Rule, Wrong> {
    let (mut family, mut preference, mut action, mut protocol) = (None, None, None, None);
    let mut it = Rule::new(Family::Inet, 0, RuleAction::Lookup(TABLE_MAIN));
    while let Some(word) = line.take() {
        match word.text {
            "inet" => family = Some(Family::Inet),
            "inet6" => family = Some(Family::Inet6),
            "not" => it.invert = true,
            "from" | "to" => {
                let next = line.after(word)?;
                let selector = match next.text {
                    "all" | "any" | "default" => None,
                    _ => Some(prefix(next)?).filter(|(_, length)| *length > 0),
                };
                *(if word.text == "from" {
                    &mut it.from
                } else {
                    &mut it.to
                }) = selector;
            }
            "table" | "lookup" => action = Some(RuleAction::Lookup(line.table(word)?)),
            "goto" => action = Some(RuleAction::Goto(line.number(word, u64::from(u32::MAX))?)),
            "nop" => action = Some(RuleAction::Nop),
            "blackhole" => action = Some(RuleAction::Blackhole),
            "unreachable" => action = Some(RuleAction::Unreachable),
            "prohibit" => action = Some(RuleAction::Prohibit),
            "type"
                if line.peek().is_some_and(|next| {
                    ["unicast", "blackhole", "unreachable", "prohibit"].contains(&next)
                }) =>
            {
                // The next word says it for itself.
                line.takes("unicast");
            }
            "preference" | "priority" | "order" => preference = Some(line.number(word, u64::from(u32::MAX))?),
            "iif" | "dev" => it.iif = Some(line.name(word)?),
            "oif" => it.oif = Some(line.name(word)?),
            "tos" | "dsfield" => it.tos = line.type_of_service(word)?,
            "realms" => it.realms = line.realms(word)?,
            "tunnel-id" => it.tunnel = Some(line.number(word, u64::MAX)?).filter(|it| *it != 0),
            "l3mdev" => action = Some(RuleAction::L3Master),
            "suppress_ifgroup" | "sup_group" => {
                let next = line.after(word)?;
                it.suppress_group = Some(line.named(next, &GROUPS)?);
            }
            "fwmark" => {
                let next = line.after(word)?;
                let (value, mask) = next
                    .text
                    .split_once('/')
                    .map_or((next.text, None), |(value, mask)| (value, Some(mask)));
                let mask = mask.map_or(Some(u32::MAX), mark);
                it.fwmark = Some(
                    mark(value)
                        .zip(mask)
                        .ok_or_else(|| not_in(next, 0, u64::from(u32::MAX)))?,
                );
            }
            "suppress_prefixlength" | "sup_pl" => {
                it.suppress_prefix_len = Some(line.number(word, u64::from(u32::MAX >> 1))?);
            }
            "uidrange" => it.users = Some(range(line.after(word)?, u64::from(u32::MAX) - 1)?),
            "ipproto" => {
                let next = line.after(word)?;
                it.ip_protocol = Some(match next.text {
                    "icmp" => 1,
                    "tcp" => 6,
                    "udp" => 17,
                    "ipv6-icmp" | "icmpv6" => 58,
                    "sctp" => 132,
                    _ => number_in(next, 1, 255)?,
                });
            }
            "sport" => it.source_ports = Some(range(line.after(word)?, 65_535)?),
            "dport" => it.destination_ports = Some(range(line.after(word)?, 65_535)?),
            "protocol" => protocol = Some(line.protocol(word)?),
            "no_track" => it.track = false,
            "track_group" => line.track_group(word)?,
            _ => return Err(line.unknown(word, "a rule")),
        }
    }
    let mut families = (it.from.iter().chain(&it.to)).map(|(address, _)| Family::of(*address));
    it.family = family.or_else(|| families.next()).unwrap_or(Family::Inet);
    if (it.from.iter().chain(&it.to)).any(|(address, _)| Family::of(*address) != it.family) {
        return Err(wrong(
            "V-45",
            "the addresses of the rule are of two families",
            "write two rules",
        ));
    }
    if it.realms.is_some() && it.family == Family::Inet6 {
        return Err(wrong(
            "V-45",
            "'realms' is for rules of IPv4",
            "leave it out, as it has no meaning here",
        ));
    }
    it.protocol = line.settle_protocol(protocol, it.track);
    it.action = match (action, it.suppress_prefix_len) {
        (Some(action), _) => action,
        (None, Some(_)) => RuleAction::Lookup(TABLE_MAIN),
        (None, None) => return Err(wrong("V-45", "the rule does nothing", "write 'table NAME'")),
    };
    let looks = matches!(it.action, RuleAction::Lookup(_) | RuleAction::L3Master);
    if !looks && (it.realms.is_some() || it.suppress_group.is_some() || it.suppress_prefix_len.is_some()) {
        return Err(wrong(
            "V-45",
            "realms and suppressors go with a table only",
            "write 'table NAME', or leave them out",
        ));
    }
    it.preference = match preference {
        Some(preference) => preference,
        None => {
            let before = &mut line.cx.rules_without_preference[usize::from(it.family == Family::Inet6)];
            let given = PREFERENCE_BASE.saturating_sub(*before);
            *before += 1;
            let span = line.words[0].span;
            let advice = format!(
                "it gets {given}, as in keepalived; write 'preference N': the order of rules matters"
            );
            line.cx
                .warn("V-46", span, "the rule has no preference", &[&advice]);
            given
        }
    };
    Ok(it)
}

/// A mark, which people write in either base.
fn mark(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// `A` or `A-B`.
fn range<T: TryFrom<i128> + PartialOrd + Copy>(word: Word<'_>, most: u64) -> Result<(T, T), Wrong> {
    let (first, last) = word.text.split_once('-').unwrap_or((word.text, word.text));
    let part = |text| Word {
        text,
        span: word.span,
    };
    let (first, last): (T, T) = (number_in(part(first), 0, most)?, number_in(part(last), 0, most)?);
    if first > last {
        return Err(not_in(word, 0, most));
    }
    Ok((first, last))
}
