//! IPsec authentication headers over IPv4 (RFC 2402 with HMAC-MD5-96, RFC 2403), as keepalived puts them before VRRP 2.

use super::same::is_same;
use md5::{Digest, Md5};
use std::net::Ipv4Addr;

/// Its number in the IP header.
pub const PROTOCOL: u8 = 51;
/// Bytes of the header.
pub const LENGTH: usize = 24;
/// Bytes of its integrity check value.
const ICV: usize = 12;

/// What the IP header said: the value covers it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outer {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub identification: u16,
    pub ttl: u8,
}

/// Why a packet is not from somebody who knows the key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsealed {
    #[error("{0} bytes is shorter than an authentication header")]
    Truncated(usize),
    #[error("the authentication header is for protocol {0}")]
    Protocol(u8),
    #[error("the authentication header says it is {0} words long, must be 4")]
    Words(u8),
    #[error("the authentication header names {0} as its sender")]
    Sender(Ipv4Addr),
    #[error("the authentication header was made with another key")]
    Value,
}

/// Puts an authentication header before a message.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// | next header   | length 4      |            reserved           |
/// |     security parameters index: the sender's IPv4 address      |
/// |                       sequence number                         |
/// |              integrity check value, 12 bytes …                |
/// ```
pub fn seal(key: &[u8], outer: Outer, next: u8, sequence: u32, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH + message.len());
    bytes.extend([next, 4, 0, 0]);
    bytes.extend(outer.source.octets());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0; ICV]);
    bytes.extend(message);
    let value = value(key, outer, outer.ttl, &bytes);
    bytes[LENGTH - ICV..LENGTH].copy_from_slice(&value);
    bytes
}

/// The sequence number and the message, if it was sealed with this key.
///
/// RFC 2402 §3.3.3.1.1 leaves the TTL out of the value; keepalived 2.2 takes it in as it is sent. Either will do: the
/// TTL is looked at anyway.
pub fn open<'a>(key: &[u8], outer: Outer, next: u8, bytes: &'a [u8]) -> Result<(u32, &'a [u8]), Unsealed> {
    let Some((header, message)) = bytes.split_first_chunk::<LENGTH>() else {
        return Err(Unsealed::Truncated(bytes.len()));
    };
    if header[0] != next {
        return Err(Unsealed::Protocol(header[0]));
    }
    if header[1] != 4 {
        return Err(Unsealed::Words(header[1]));
    }
    let sender = Ipv4Addr::new(header[4], header[5], header[6], header[7]);
    if sender != outer.source {
        return Err(Unsealed::Sender(sender));
    }
    let mut blank = bytes.to_vec();
    blank[LENGTH - ICV..LENGTH].fill(0);
    let got = &header[LENGTH - ICV..];
    let fits = |ttl: u8| is_same(&value(key, outer, ttl, &blank), got);
    if !fits(outer.ttl) && !fits(0) {
        return Err(Unsealed::Value);
    }
    let sequence = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    Ok((sequence, message))
}

/// The integrity check value: over the IP header with its class, fragment offset and checksum zero, and the rest with
/// the value itself zero.
fn value(key: &[u8], outer: Outer, ttl: u8, rest: &[u8]) -> [u8; ICV] {
    let mut header = [0; 20];
    header[0] = 0x45;
    let total = u16::try_from(header.len() + rest.len()).unwrap_or(u16::MAX);
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[4..6].copy_from_slice(&outer.identification.to_be_bytes());
    header[8] = ttl;
    header[9] = PROTOCOL;
    header[12..16].copy_from_slice(&outer.source.octets());
    header[16..20].copy_from_slice(&outer.destination.octets());
    let whole = hmac_md5(key, &[&header, rest]);
    let mut value = [0; ICV];
    value.copy_from_slice(&whole[..ICV]);
    value
}

/// RFC 2104 with MD5. A key must not be longer than 64 bytes: those would have to be hashed first.
fn hmac_md5(key: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    let mut inner = Md5::new_with_prefix(block.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let outer = Md5::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"secret\0\0";
    /// What keepalived 2.2.7 sent, behind the IP header.
    const SENT: [u8; 44] = [
        0x70, 0x04, 0, 0, 10, 9, 0, 1, 0, 0, 0, 1, 0x30, 0xee, 0xd9, 0x8b, 0x24, 0x8d, 0xcc, 0xb5, 0x3f,
        0xeb, 0x4d, 0xe4, 0x21, 0x33, 0x96, 0x01, 0x02, 0x01, 0x3c, 0x5d, 10, 9, 0, 100, 0, 0, 0, 0, 0, 0, 0,
        0,
    ];

    fn outer() -> Outer {
        Outer {
            source: Ipv4Addr::new(10, 9, 0, 1),
            destination: Ipv4Addr::new(224, 0, 0, 18),
            identification: 1,
            ttl: 255,
        }
    }

    #[test]
    fn the_vectors_of_rfc_2202_come_out() {
        let hex = |bytes: [u8; 16]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac_md5(&[0x0b; 16], &[b"Hi There"])),
            "9294727a3638bb1c13f48ef8158bfc9d"
        );
        let split: &[&[u8]] = &[b"what do ya want ", b"for nothing?"];
        assert_eq!(hex(hmac_md5(b"Jefe", split)), "750c783e6ab0b503eaa86e310a5db738");
    }

    #[test]
    fn what_keepalived_sent_is_what_we_send_and_can_be_opened() {
        assert_eq!(seal(KEY, outer(), 112, 1, &SENT[24..]), SENT);
        assert_eq!(open(KEY, outer(), 112, &SENT), Ok((1, &SENT[24..])));
    }

    #[test]
    fn a_value_that_leaves_the_ttl_out_is_good_as_well() {
        let by_rfc = seal(KEY, Outer { ttl: 0, ..outer() }, 112, 9, &SENT[24..]);
        assert_eq!(open(KEY, outer(), 112, &by_rfc), Ok((9, &SENT[24..])));
    }

    /// F018.
    #[test]
    fn whatever_else_differs_is_refused() {
        assert_eq!(open(b"other", outer(), 112, &SENT), Err(Unsealed::Value));
        let elsewhere = Outer {
            destination: Ipv4Addr::new(10, 9, 0, 2),
            ..outer()
        };
        assert_eq!(open(KEY, elsewhere, 112, &SENT), Err(Unsealed::Value));
        let later = Outer {
            identification: 2,
            ..outer()
        };
        assert_eq!(open(KEY, later, 112, &SENT), Err(Unsealed::Value));
        let sender = Outer {
            source: Ipv4Addr::new(10, 9, 0, 3),
            ..outer()
        };
        assert_eq!(
            open(KEY, sender, 112, &SENT),
            Err(Unsealed::Sender(Ipv4Addr::new(10, 9, 0, 1)))
        );
        assert_eq!(open(KEY, outer(), 6, &SENT), Err(Unsealed::Protocol(112)));
        assert_eq!(open(KEY, outer(), 112, &SENT[..23]), Err(Unsealed::Truncated(23)));
        for at in 0..SENT.len() * 8 {
            let mut flipped = SENT;
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(open(KEY, outer(), 112, &flipped).is_err(), "bit {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_opened_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(open(KEY, outer(), 112, &bytes).is_err());
        }
    }
}
