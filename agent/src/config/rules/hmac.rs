//! `auth_hmac`: keys that can be used, and one that signs.

use crate::config::findings::Cx;
use crate::config::keyword::shown;
use crate::config::keywords::{KeyLine, KeyValue, RawHmac, RawInstance};
use crate::config::source::KeyFile;
use crate::model::{Signing, SigningKey, SigningMode};
use std::collections::BTreeMap;
use std::time::Duration;

/// The shortest window that follows from an interval.
const WINDOW_MIN: Duration = Duration::from_secs(5);
const WINDOW_MAX: Duration = Duration::from_secs(300);

/// `None` when the instance could not sign, or could not tell what is signed: it would be a second master.
pub(super) fn signing(
    it: &RawInstance,
    raw: &RawHmac,
    interval: Duration,
    strict: bool,
    cx: &mut Cx<'_>,
) -> Option<Signing> {
    if let Some((_, at)) = it.auth_type {
        let notes: &[&str] = &[
            "the password is not used, as with keepalived",
            "remove the authentication block",
        ];
        cx.warn("V-60", at, "auth_hmac stands for all authentication", notes);
    }
    let keys = keys(raw, cx);
    let active = active(raw, &keys, cx)?;
    let mode = mode(raw, strict, cx);
    let window = window(raw, interval);
    if window.is_some() && cx.advises(raw.at, "V-62") {
        let text = format!(
            "nodes whose clocks are more than {} s apart refuse each other's adverts: both become MASTER",
            window.unwrap_or_default().as_secs()
        );
        let notes: &[&str] = &[
            "a warning comes at half of it (vrrp.clocks_apart)",
            "write 'anti_replay monotonic' unless the clocks of all nodes are disciplined",
        ];
        cx.hint("V-62", raw.at, text, notes);
    }
    Some(Signing {
        keys,
        active,
        mode,
        window,
    })
}

fn keys(raw: &RawHmac, cx: &mut Cx<'_>) -> BTreeMap<u8, SigningKey> {
    let mut keys = BTreeMap::new();
    for line in &raw.keys {
        if keys.contains_key(&line.id) {
            let text = format!("there are two keys of the id {}", line.id);
            cx.error("V-57", line.at, text, &["the first one counts"]);
            continue;
        }
        match bytes(line, cx) {
            Ok(key) => drop(keys.insert(line.id, SigningKey(key))),
            Err(why) => {
                let notes = &[
                    "the key is left out",
                    "make one with: printf 'hex:%s' \"$(openssl rand -hex 32)\"",
                ];
                cx.error(
                    "V-57",
                    line.at,
                    format!("key {} cannot be used: {why}", line.id),
                    notes,
                );
            }
        }
    }
    keys
}

fn bytes(line: &KeyLine, cx: &mut Cx<'_>) -> Result<Vec<u8>, String> {
    let text = match &line.value {
        KeyValue::Text(text) => text.0.clone().into_bytes(),
        KeyValue::File(path) => read(line, path, cx)?,
    };
    let key = match text.strip_prefix(b"hex:") {
        Some(digits) => {
            unhex(digits).ok_or("what follows 'hex:' is not an even number of hexadecimal digits")?
        }
        None => text,
    };
    if SigningKey::SIZES.contains(&key.len()) {
        Ok(key)
    } else {
        Err(format!("it has {} bytes, it needs 32 to 64", key.len()))
    }
}

fn read(line: &KeyLine, path: &str, cx: &mut Cx<'_>) -> Result<Vec<u8>, String> {
    let KeyFile { bytes, loose } = cx
        .files
        .key(path)
        .map_err(|error| format!("{} {error}", shown(path)))?;
    if let Some(loose) = loose {
        let notes = &[
            "it is used all the same, as by keepalived",
            "chown root it, and chmod 600",
        ];
        cx.warn(
            "V-59",
            line.at,
            format!("the key file {} {loose}", shown(path)),
            notes,
        );
    }
    let end = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace());
    Ok(end.map_or_else(Vec::new, |end| bytes[..=end].to_vec()))
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = (digits.iter())
        .map(|it| char::from(*it).to_digit(16).and_then(|it| u8::try_from(it).ok()))
        .collect();
    let digits = digits.filter(|it| it.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

fn active(raw: &RawHmac, keys: &BTreeMap<u8, SigningKey>, cx: &mut Cx<'_>) -> Option<u8> {
    let (at, what) = match (raw.active, keys.len()) {
        (Some((id, _)), _) if keys.contains_key(&id) => return Some(id),
        (None, 1) => return keys.keys().next().copied(),
        (Some((id, at)), _) => (
            at,
            format!("active_key {id} is none of the keys that can be used"),
        ),
        (None, 0) => (raw.at, "auth_hmac has no key that can be used".to_owned()),
        (None, _) => (raw.at, "auth_hmac has several keys and no active_key".to_owned()),
    };
    let notes = &[
        "the instance is left out: unsigned, it would become a second master beside its peers",
        "write 'active_key ID' with the id of a key that all nodes have",
    ];
    cx.error("V-58", at, what, notes);
    None
}

fn mode(raw: &RawHmac, strict: bool, cx: &mut Cx<'_>) -> SigningMode {
    let (mode, at) = raw.mode;
    if strict && mode != SigningMode::Enforce {
        let text = format!("strict mode knows no auth_hmac mode {}", mode.word());
        cx.error(
            "V-61",
            at,
            text,
            &["enforce is used", "finish the migration before strict_mode"],
        );
        return SigningMode::Enforce;
    }
    mode
}

fn window(raw: &RawHmac, interval: Duration) -> Option<Duration> {
    let follows = Duration::from_secs((3 * interval).as_secs_f64().ceil() as u64);
    let window = raw.window.map_or(follows.max(WINDOW_MIN), |(window, _)| window);
    (!raw.monotonic).then_some(window.min(WINDOW_MAX))
}

/// What keeps two nodes from taking each other's adverts, in words; `None` if nothing does.
pub(super) fn apart(ours: &Signing, theirs: &Signing) -> Option<String> {
    for (one, other, whose) in [(ours, theirs, "here"), (theirs, ours, "on the peer")] {
        match (one.active_key(), other.keys.get(&one.active)) {
            _ if !one.signs() => {
                if other.mode == SigningMode::Enforce {
                    return Some(format!(
                        "auth_hmac does not sign {whose} (mode receive-only), and the other one wants it"
                    ));
                }
            }
            (Some(key), Some(known)) if key == known => {}
            (_, Some(_)) => return Some(format!("key {} is another one on the peer", one.active)),
            (_, None) => {
                return Some(format!(
                    "adverts are signed with key {} {whose}, which the other one does not have",
                    one.active
                ));
            }
        }
    }
    None
}
