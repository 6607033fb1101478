//! Public addresses, each replaced by the same other one everywhere: what belongs together can still be seen.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses replaced so far.
#[derive(Debug, Default)]
pub(crate) struct Redacted {
    four: BTreeMap<Ipv4Addr, Ipv4Addr>,
    six: BTreeMap<Ipv6Addr, Ipv6Addr>,
}

impl Redacted {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.four.len() + self.six.len()
    }

    /// The text with its public addresses replaced.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(from) = rest.find(part) {
            let (before, found) = rest.split_at(from);
            let to = found.find(|c| !part(c)).unwrap_or(found.len());
            let (word, after) = found.split_at(to);
            out.push_str(before);
            // `vs:` and the like end with a colon that belongs to no address.
            let colon = word.starts_with(':') && !word.starts_with("::");
            out.push_str(if colon { ":" } else { "" });
            let word = &word[usize::from(colon)..];
            // The end of a name is no address.
            let inside = !colon && before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                || after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            match self.word(word).filter(|_| !inside) {
                Some(other) => out.push_str(&other),
                None => out.push_str(word),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// An address, with the port or the punctuation behind it.
    fn word(&mut self, word: &str) -> Option<String> {
        let bare = word.trim_end_matches(['.', ':']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(format!("{}{}", self.other(address)?, &word[bare.len()..]));
        }
        let (address, port) = word.split_once(':')?;
        let address = address.parse::<Ipv4Addr>().ok()?;
        Some(format!("{}:{port}", self.other(address.into())?))
    }

    /// What stands for an address; `None` when it tells nobody anything.
    fn other(&mut self, address: IpAddr) -> Option<IpAddr> {
        match address {
            IpAddr::V4(address) if is_public(address) => {
                let next = u32::try_from(self.four.len()).unwrap_or(u32::MAX) + 1;
                // 198.18.0.0/15 is for measurements (RFC 2544) and nobody's.
                let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
                let other = || Ipv4Addr::from(first + next % (1 << 17));
                Some((*self.four.entry(address).or_insert_with(other)).into())
            }
            IpAddr::V6(address) if is_public_six(address) => {
                let next = u128::try_from(self.six.len()).unwrap_or(u128::MAX) + 1;
                let first = u128::from(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0));
                let other = || Ipv6Addr::from(first + next);
                Some((*self.six.entry(address).or_insert_with(other)).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        }
    }
}

fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let measured = a == 198 && (18..20).contains(&b);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        || shared
        || measured)
}

fn is_public_six(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    a & 0xe000 == 0x2000 && !(a == 0x2001 && b == 0xdb8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_replaced_alike_and_nothing_else_is() {
        let mut redacted = Redacted::default();
        for (text, want) in [
            ("9.9.9.9:443/tcp 9.9.9.9", "198.18.0.1:443/tcp 198.18.0.1"),
            (
                "[2600:9000::1]:443, 8.8.8.8/32.",
                "[2001:db8:ffff::1]:443, 198.18.0.2/32.",
            ),
            ("vs:9.9.9.9:80", "vs:198.18.0.1:80"),
            ("\"address\":\"9.9.9.9\"", "\"address\":\"198.18.0.1\""),
            ("from 8.8.8.8: timed out", "from 198.18.0.2: timed out"),
            (
                "10.0.0.1 192.168.1.1:80 127.0.0.1 224.0.0.18",
                "10.0.0.1 192.168.1.1:80 127.0.0.1 224.0.0.18",
            ),
            (
                "203.0.113.10:443 2001:db8::1 fe80::1",
                "203.0.113.10:443 2001:db8::1 fe80::1",
            ),
            (
                "version 0.4.1, 09:20:00, 1.2.3.4.5, 00:16:3e:11:22:33",
                "version 0.4.1, 09:20:00, 1.2.3.4.5, 00:16:3e:11:22:33",
            ),
            ("eth0.100 face: dead lb9.9.9.9x", "eth0.100 face: dead lb9.9.9.9x"),
            ("", ""),
        ] {
            assert_eq!(redacted.text(text), want, "{text}");
        }
        assert_eq!(redacted.len(), 3);
        // What is replaced already stays.
        assert_eq!(redacted.text("198.18.0.1:80"), "198.18.0.1:80");
    }
}
