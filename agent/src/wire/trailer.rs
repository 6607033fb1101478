//! The trailer of a signed advert: `auth_hmac` as keepalived has it since 2.4.2 (draft-cassen-vrrp-auth-hmac).

use super::same::is_same;
use ring::hmac;
use std::net::IpAddr;

/// Bytes of it.
pub const LENGTH: usize = 28;
/// Bytes of its value: HMAC-SHA256 cut to 128 bits.
const VALUE: usize = 16;
/// The only scheme there is.
const SHA256: u8 = 1;
/// Where the checksum of a message stands.
const CHECKSUM: std::ops::Range<usize> = 6..8;

/// What a value is bound to besides the message, so that it fits no other router and no other sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bound {
    pub source: IpAddr,
    pub version: u8,
    pub vrid: u8,
}

/// A trailer as it was read; nobody has looked yet whether its value fits.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// | scheme 1      | key id        |            reserved           |
/// |          sequence number: seconds of Unix time                |
/// |  … its fraction in 1/65536 s  |  … counter within that        |
/// |                      value, 16 bytes …                        |
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trailer {
    pub key: u8,
    pub sequence: u64,
    head: [u8; LENGTH - VALUE],
    value: [u8; VALUE],
}

impl Trailer {
    /// `None`: another scheme, or its reserved bytes are not zero.
    pub fn read(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (head, value) = bytes.split_first_chunk::<{ LENGTH - VALUE }>()?;
        if head[0] != SHA256 || head[2..4] != [0, 0] {
            return None;
        }
        Some(Self {
            key: head[1],
            sequence: u64::from_be_bytes(*head.last_chunk()?),
            head: *head,
            value: value.try_into().ok()?,
        })
    }

    /// Whether it was made for this message by somebody who has the key.
    pub fn fits(&self, key: &[u8], bound: Bound, message: &[u8]) -> bool {
        is_same(&value(key, bound, message, &self.head), &self.value)
    }
}

/// The trailer to put behind a message. What stands in the checksum of the message does not matter.
pub fn sign(key: &[u8], id: u8, sequence: u64, bound: Bound, message: &[u8]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[0] = SHA256;
    bytes[1] = id;
    bytes[4..LENGTH - VALUE].copy_from_slice(&sequence.to_be_bytes());
    let value = value(key, bound, message, &bytes[..LENGTH - VALUE]);
    bytes[LENGTH - VALUE..].copy_from_slice(&value);
    bytes
}

/// Over a pseudo-header of 20 bytes, the message with its checksum zero, and the trailer with the value zero.
fn value(key: &[u8], bound: Bound, message: &[u8], head: &[u8]) -> [u8; VALUE] {
    let mut pseudo = [0; 20];
    pseudo[1] = bound.version;
    pseudo[2] = bound.vrid;
    match bound.source {
        IpAddr::V4(v4) => {
            pseudo[0] = 4;
            pseudo[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            pseudo[0] = 6;
            pseudo[4..20].copy_from_slice(&v6.octets());
        }
    }
    let mut blank = message.to_vec();
    if let Some(checksum) = blank.get_mut(CHECKSUM) {
        checksum.fill(0);
    }
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in [&pseudo[..], &blank, head, &[0; VALUE]] {
        context.update(part);
    }
    let mut value = [0; VALUE];
    value.copy_from_slice(&context.sign().as_ref()[..VALUE]);
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> [u8; 32] {
        std::array::from_fn(|at| at as u8)
    }

    fn bound(source: &str) -> Bound {
        Bound {
            source: source.parse().unwrap(),
            version: 3,
            vrid: 51,
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// The appendix of the draft: key 00 to 1f, id 1, sequence 0x6800000080000000. Made again with Python's
    /// `hmac.new(key, pseudo + message + trailer, 'sha256').digest()[:16]`.
    fn vectors() -> [(Bound, Vec<u8>, Vec<u8>); 2] {
        [
            (
                bound("198.51.100.10"),
                bytes("3133c80100644402c0000264"),
                bytes("0101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265"),
            ),
            (
                bound("fe80::10"),
                bytes("3133c8010064a2e9fe800000000000000000000000000100"),
                bytes("010100006800000080000000c8c56146ebfd66ee10ec4d8186461b78"),
            ),
        ]
    }

    #[test]
    fn the_vectors_of_the_draft_are_made_and_fit() {
        for (bound, message, trailer) in vectors() {
            assert_eq!(
                sign(&key(), 1, 0x6800_0000_8000_0000, bound, &message)[..],
                trailer
            );
            let read = Trailer::read(trailer[..].try_into().unwrap()).unwrap();
            assert_eq!((read.key, read.sequence), (1, 0x6800_0000_8000_0000));
            assert!(read.fits(&key(), bound, &message));
        }
    }

    #[test]
    fn every_bit_but_those_of_the_checksum_is_covered() {
        for (bound, message, trailer) in vectors() {
            let fits = |message: &[u8], trailer: &[u8]| {
                Trailer::read(trailer.try_into().unwrap()).is_some_and(|it| it.fits(&key(), bound, message))
            };
            for bit in 0..message.len() * 8 {
                let mut other = message.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(fits(&other, &trailer), CHECKSUM.contains(&(bit / 8)), "bit {bit}");
            }
            for bit in 0..LENGTH * 8 {
                let mut other = trailer.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(!fits(&message, &other), "bit {bit} of the trailer");
            }
        }
    }

    #[test]
    fn it_fits_no_other_key_sender_version_and_router() {
        for (bound, message, trailer) in vectors() {
            let read = Trailer::read(trailer[..].try_into().unwrap()).unwrap();
            let others = [
                Bound { vrid: 52, ..bound },
                Bound { version: 2, ..bound },
                Bound {
                    source: "198.51.100.11".parse().unwrap(),
                    ..bound
                },
            ];
            assert!(others.iter().all(|other| !read.fits(&key(), *other, &message)));
            assert!(!read.fits(&[7; 32], bound, &message));
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_fits_and_any_bytes_are_read_or_refused(
            key in proptest::collection::vec(any::<u8>(), 32..65),
            (id, sequence) in any::<(u8, u64)>(),
            message in proptest::collection::vec(any::<u8>(), 0..64),
            noise in any::<[u8; LENGTH]>(),
        ) {
            let bound = bound("192.0.2.1");
            let read = Trailer::read(&sign(&key, id, sequence, bound, &message)).unwrap();
            prop_assert!(read.fits(&key, bound, &message));
            prop_assert_eq!((read.key, read.sequence), (id, sequence));
            if let Some(read) = Trailer::read(&noise) {
                prop_assert!(!read.fits(&key, bound, &message));
            }
        }
    }
}
