//! `PING_CHECK`: one echo, and only its own answer counts.
//!
//! ```text
//!  0        1        2        4        6        8                16
//!  +--------+--------+--------+--------+--------+----------------+
//!  | type   | code 0 | check  | id     | seq    | cookie         |
//!  +--------+--------+--------+--------+--------+----------------+
//! ```

use std::net::IpAddr;

/// What ties an answer to its question.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Echo {
    pub sequence: u16,
    /// Nobody else's: the kernel may replace the id, so it is not looked at.
    pub cookie: u64,
}

const HEADER: usize = 8;
const LENGTH: usize = HEADER + 8;

impl Echo {
    /// The request, checksum included (RFC 792; for ICMPv6 the kernel fills it in, RFC 3542 §3.1).
    pub fn encode(self, to: IpAddr) -> [u8; LENGTH] {
        let mut packet = [0; LENGTH];
        packet[0] = if to.is_ipv4() { 8 } else { 128 };
        packet[4..6].copy_from_slice(&self.cookie.to_be_bytes()[..2]);
        packet[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        packet[HEADER..].copy_from_slice(&self.cookie.to_be_bytes());
        if to.is_ipv4() {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// Whether these bytes answer it. A raw IPv4 socket puts the IP header before them.
    pub fn is_answered_by(self, from: IpAddr, raw: bool, bytes: &[u8]) -> bool {
        let bytes = if raw && from.is_ipv4() {
            let header = bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            bytes.get(header..).unwrap_or_default()
        } else {
            bytes
        };
        let reply = if from.is_ipv4() { 0 } else { 129 };
        bytes.len() >= LENGTH
            && bytes[0] == reply
            && bytes[1] == 0
            && bytes[6..8] == self.sequence.to_be_bytes()
            && bytes[HEADER..LENGTH] == self.cookie.to_be_bytes()
    }
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn reply(echo: Echo, to: IpAddr) -> Vec<u8> {
        let mut packet = echo.encode(to).to_vec();
        packet[0] = if to.is_ipv4() { 0 } else { 129 };
        packet
    }

    /// F152.
    #[test]
    fn only_its_own_answer_counts() {
        let echo = Echo {
            sequence: 1,
            cookie: 0x1234_5678_9abc_def0,
        };
        for from in [V4, V6] {
            assert!(echo.is_answered_by(from, false, &reply(echo, from)));
            assert!(
                !echo.is_answered_by(from, false, &echo.encode(from)),
                "its own request"
            );
            for other in [Echo { sequence: 2, ..echo }, Echo { cookie: 1, ..echo }] {
                assert!(
                    !echo.is_answered_by(from, false, &reply(other, from)),
                    "{other:?}"
                );
            }
            let bytes = reply(echo, from);
            for length in 0..bytes.len() {
                assert!(
                    !echo.is_answered_by(from, false, &bytes[..length]),
                    "cut at {length}"
                );
            }
        }
        let mut unreachable = reply(echo, V4);
        unreachable[0] = 3;
        assert!(!echo.is_answered_by(V4, false, &unreachable));
    }

    #[test]
    fn a_raw_ipv4_answer_is_found_behind_its_header() {
        let echo = Echo {
            sequence: 7,
            cookie: 99,
        };
        for words in [5, 7, 15] {
            let mut bytes = vec![0; words * 4];
            bytes[0] = 0x40 | words as u8;
            bytes.extend(reply(echo, V4));
            assert!(echo.is_answered_by(V4, true, &bytes), "header of {words} words");
        }
        assert!(!echo.is_answered_by(V4, true, &[]));
        assert!(!echo.is_answered_by(V4, true, &[0x4f; 20]));
    }

    #[test]
    fn the_checksum_of_a_request_proves_right() {
        let packet = Echo {
            sequence: 0xffff,
            cookie: u64::MAX,
        }
        .encode(V4);
        assert_eq!(checksum(&packet), 0);
    }
}
